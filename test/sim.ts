// A deterministic simulation: the driver, a model of the server and the network between them in one process, under a
// clock of its own. A seed decides everything: who calls what, how bytes are cut and delayed, what breaks and when. The
// same seed gives the same run, always. `npm run sim -- --seeds 1000000` looks for a seed that breaks an invariant,
// `npm run sim -- --seed 7` shows one run.
//
//     simulate(driver, seed)      → the first invariant that was broken, or undefined
//
// Invariants, numbered as the project's goals are: I1 the right reply to the right caller, I2 settled (nothing hangs,
// and the handler recovers), I3 in time, I4 at most once and honest about it, I5 in order, I6 no zombies, I7 quiet,
// I8 session state, I9 nothing left behind. Of messages: each once, in order, none missing without a gap.

import { Buffer } from "node:buffer";
import { fork } from "node:child_process";
import { EventEmitter, getEventListeners } from "node:events";
import { availableParallelism } from "node:os";
import process, { argv, exit } from "node:process";
import { setImmediate } from "node:timers";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Socket } from "node:net";
import type { FeedOptions, Gap, Handler, Message, Outcome, PipelineError, RedisError, Subscription } from "../redis.ts";

export type Driver = typeof import("../redis.ts");
export type Breach = { seed: number; invariant: string; what: string; trace: string[] };

// ==== Chance and time ====

export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed + 1) * 0x9e3779b9 | 0;
    for (let i = 0; i < 3; i++) this.next(); // neighbours begin alike
  }

  /** mulberry32: from 0 to just below 1. */
  next(): number {
    this.#state = this.#state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  of(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(...choices: T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

type Task = { at: number; order: number; run: (() => void) | undefined };

/** What is to be done, the earliest first: a binary heap. */
export class Agenda {
  readonly #heap: Task[] = [];
  #order = 0;

  get next(): number {
    while (this.#heap.length > 0 && this.#heap[0]!.run === undefined) this.take();
    return this.#heap[0]?.at ?? Infinity;
  }

  /** How many have not been cancelled. */
  get live(): number {
    return this.#heap.filter(({ run }) => run !== undefined).length;
  }

  add(at: number, run: () => void): Task {
    const task = { at, order: this.#order++, run };
    const heap = this.#heap;
    let i = heap.length;
    for (; i > 0 && before(task, heap[i - 1 >> 1]!); i = i - 1 >> 1) heap[i] = heap[i - 1 >> 1]!;
    heap[i] = task;
    return task;
  }

  take(): Task {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let i = 0;
    for (let child = 1; child < heap.length; child = 2 * i + 1) {
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

const before = (a: Task, b: Task): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** When all promises that can be settled now have been, and all their consequences. */
export const quiet = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// ==== The network ====

const FIN = Symbol("fin");
const RST = Symbol("rst");
type Segment = string | typeof FIN | typeof RST;

/** One direction of a link: bytes arrive in order, cut anywhere, some time later; or much later, or never. */
class Pipe {
  readonly #sim: Simulation;
  readonly #arrived: (segment: Segment) => void;
  readonly #way: Segment[] = [];
  #last = 0;
  /** Segments whose time came while the pipe was held. */
  #late = 0;
  held = false;
  dead = false;
  /** Bytes that the other side has not taken. */
  onWay = 0;

  constructor(sim: Simulation, arrived: (segment: Segment) => void) {
    this.#sim = sim;
    this.#arrived = arrived;
  }

  send(segment: Segment): void {
    const { chance, chunky } = this.#sim;
    if (typeof segment !== "string") return this.#add(segment);
    this.onWay += segment.length;
    for (let rest = segment; rest !== "";) {
      const size = chance.of(chunky) ? 1 + chance.below(Math.min(rest.length, 80)) : rest.length;
      this.#add(rest.slice(0, size));
      rest = rest.slice(size);
    }
  }

  /** Bytes that would arrive at the same time as those before them arrive with them. */
  #add(segment: Segment): void {
    const { chance, chunky, now } = this.#sim;
    const time = Math.max(this.#last, now + this.#sim.latency());
    const last = this.#way.at(-1);
    const joins = time === this.#last && typeof last === "string" && typeof segment === "string" && !chance.of(chunky);
    if (joins) return void (this.#way[this.#way.length - 1] = last + segment);
    this.#way.push(segment);
    this.#last = time;
    this.#sim.at(time, () => this.#arrive());
  }

  #arrive(): void {
    if (this.held || this.#sim.hole) {
      this.#late++;
      return;
    }
    const segment = this.#way.shift();
    if (segment === undefined || this.dead) return;
    if (typeof segment === "string") this.onWay -= segment.length;
    this.#arrived(segment);
  }

  /** What was held comes now, be it wanted or not. */
  heal(): void {
    this.held = false;
    const late = this.#late;
    this.#late = 0;
    for (let i = 0; i < late; i++) this.#sim.at(this.#sim.now + this.#sim.latency(), () => this.#arrive());
  }

  /** What has not arrived is lost, from anywhere on. */
  cut(): void {
    this.#way.length = this.#sim.chance.below(this.#way.length + 1);
  }
}

/** A connection: the driver's socket, two pipes, and a session of the server. */
class Link {
  readonly #sim: Simulation;
  readonly id: number;
  readonly up: Pipe;
  readonly down: Pipe;
  readonly socket: VirtualSocket;
  readonly session: Session;
  /** All that was handed to the socket. */
  readonly written: string[] = [];

  constructor(sim: Simulation, id: number) {
    this.#sim = sim;
    this.id = id;
    this.socket = new VirtualSocket(sim, this);
    this.session = new Session(sim.server, this);
    this.up = new Pipe(sim, (segment) => {
      this.session.arrived(segment);
      this.socket.pump();
    });
    this.down = new Pipe(sim, (segment) => this.socket.arrived(segment));
  }

  heal(): void {
    this.up.heal();
    this.down.heal();
  }

  /** The driver sees the end of it, and the server does not for a while. */
  split(time: number): void {
    this.#sim.say?.(`link ${this.id}: split for ${time.toFixed(1)}`);
    this.up.held = true;
    this.down.send(this.#sim.chance.pick<typeof FIN | typeof RST>(FIN, RST));
    this.#sim.at(this.#sim.now + time, () => this.heal());
  }
}

/** What was written: the memory itself, and what stood in it then. */
type Chunk = { bytes: Buffer; text: string };

/** What the driver uses of net.Socket. Like that, it looks into what was written when the system takes it, and not before. */
class VirtualSocket extends EventEmitter {
  readonly #sim: Simulation;
  readonly #link: Link;
  /** What the system has not taken yet, and how much that is. */
  readonly #unsent: Chunk[] = [];
  #length = 0;
  #corked = false;
  #full = false;
  #paused = false;
  readonly #unread: Segment[] = [];
  remotePort: number | undefined;
  readonly writableHighWaterMark = 16_384;
  destroyed = false;

  constructor(sim: Simulation, link: Link) {
    super();
    this.#sim = sim;
    this.#link = link;
  }

  connect(): void {
    if (this.destroyed) return;
    if (this.#sim.hole) return void this.#sim.holed.push(() => this.connect());
    if (this.#sim.server.down) return this.#break("ECONNREFUSED");
    this.remotePort = 6379;
    this.#link.session.open();
    this.#sim.say?.(`link ${this.#link.id}: connected`);
    this.#tell("connect");
  }

  /** Few bytes are told as many in some runs, so that the driver holds back. */
  get writableLength(): number {
    return this.#length * this.#sim.scale;
  }

  write(bytes: Buffer): void {
    if (this.destroyed) return;
    const text = bytes.toString("latin1");
    if (this.#link.written.push(text) > MOST_WRITES) {
      this.#sim.breach("I2", "it writes without end");
      throw new Error("too much");
    }
    this.#unsent.push({ bytes, text });
    this.#length += bytes.length;
    this.#full ||= this.writableLength >= this.writableHighWaterMark;
    if (!this.#corked) this.#offer();
  }

  cork(): void {
    this.#corked = true;
  }

  uncork(): void {
    this.#corked = false;
    this.#offer();
  }

  /** A slow socket, as any that encrypts, takes nothing at once; and it may break while the driver waits for it. */
  #offer(): void {
    const { now, slow, chance } = this.#sim;
    if (!slow) return this.pump();
    this.#sim.at(now + (chance.of(0.3) ? chance.next() * 200 : this.#sim.latency()), () => {
      if (this.#sim.slow && chance.of(0.15)) this.#link.split(chance.next() * 200);
      this.pump();
    });
  }

  pump(): void {
    let sent = "";
    for (let room = this.#sim.window - this.#link.up.onWay; room > 0 && this.#unsent.length > 0;) {
      const taken = this.#take(this.#unsent[0]!, room);
      room -= taken.length;
      sent += taken;
    }
    if (sent === "") return;
    this.#sim.say?.(`link ${this.#link.id}: > ${JSON.stringify(sent.slice(0, 2_000))}`);
    this.#length -= sent.length;
    this.#link.up.send(sent);
    if (this.#full && this.#length === 0) this.#sim.at(this.#sim.now, () => this.#drained());
  }

  #take(chunk: Chunk, room: number): string {
    const { bytes, text } = chunk;
    const taken = bytes.toString("latin1", 0, room);
    if (!text.startsWith(taken)) this.#sim.breach("I1", "what was written changes before it is sent");
    chunk.bytes = bytes.subarray(taken.length);
    chunk.text = text.slice(taken.length);
    if (chunk.text === "") this.#unsent.shift();
    return taken;
  }

  #drained(): void {
    if (this.#length > 0 || this.destroyed) return;
    this.#full = false;
    this.#tell("drain");
  }

  arrived(segment: Segment): void {
    this.#unread.push(segment);
    this.#read();
  }

  #read(): void {
    while (!this.#paused && !this.destroyed && this.#unread.length > 0) this.#receive(this.#unread.shift()!);
  }

  #receive(segment: Segment): void {
    if (segment === RST) return this.#break("ECONNRESET");
    if (segment === FIN) {
      this.#sim.say?.(`link ${this.#link.id}: < end`);
      this.#tell("end");
      return void this.destroy();
    }
    this.#sim.say?.(`link ${this.#link.id}: < ${JSON.stringify(segment.slice(0, 2_000))}`);
    this.#tell("data", Buffer.from(segment, "latin1"));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#sim.at(this.#sim.now, () => this.#read());
  }

  destroy(): this {
    if (!this.#end()) return this;
    this.#sim.say?.(`link ${this.#link.id}: closed`);
    this.#link.up.send(FIN);
    return this;
  }

  /** What the network has taken may still come; what the system holds may not. */
  resetAndDestroy(): this {
    if (!this.#end()) return this;
    this.#sim.say?.(`link ${this.#link.id}: reset`);
    if (this.#sim.chance.of(0.5)) this.#link.up.cut();
    this.#link.up.send(RST);
    return this;
  }

  #end(): boolean {
    if (this.destroyed) return false;
    this.destroyed = true;
    this.remotePort = undefined;
    this.#unsent.length = this.#length = 0;
    this.#sim.at(this.#sim.now, () => this.#tell("close"));
    return true;
  }

  #break(code: string): void {
    if (!this.#end()) return;
    this.#sim.say?.(`link ${this.#link.id}: ${code}`);
    this.#tell("error", Object.assign(new Error(code), { code }));
  }

  #tell(event: string, ...args: unknown[]): void {
    this.#sim.touched = true;
    if (event !== "error" || this.listenerCount("error") > 0) this.emit(event, ...args);
    else this.#sim.breach("I7", "an error without a listener");
  }
}

// ==== The server ====

type Reply = { wire: string; value?: unknown };

const ok = (text = "OK"): Reply => ({ wire: `+${text}\r\n`, value: text });
const bulk = (text: string): Reply => ({ wire: `$${text.length}\r\n${text}\r\n`, value: text });
const integer = (value: number): Reply => ({ wire: `:${value}\r\n`, value });
const refused = (text: string): Reply => ({ wire: `-${text}\r\n` });
const array = (replies: Reply[]): Reply =>
  ({ wire: `*${replies.length}\r\n${replies.map(({ wire }) => wire).join("")}`, value: replies.map(({ value }) => value) });

/** One execution of one command. */
type Entry = { order: number; session: Session; words: string[]; value: unknown; was: unknown; batch: number };

const WRITES = ["SET", "RPUSH", "INCR", "BLPOP", "EVAL"];
const LISTENING = ["SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "PING"];
const ALWAYS = ["HELLO", "AUTH", "SELECT", "CLIENT", "ECHO", "MULTI", "DISCARD", "WATCH", "UNWATCH", ...LISTENING];

/** Whether this channel, or pattern, has what is said on that channel. */
const covers = (name: string, channel: string): boolean =>
  name === channel || (name.endsWith("*") && channel.startsWith(name.slice(0, -1)));

/** Every argument list of the workload has one `#12;`, which says whose it is. */
function nonceOf(words: readonly string[]): number | undefined {
  for (const word of words) {
    const at = word.indexOf("#");
    if (at >= 0) return parseInt(word.slice(at + 1));
  }
  return undefined;
}

class Server {
  readonly sim: Simulation;
  readonly sessions = new Set<Session>();
  readonly entries = new Map<number, Entry[]>();
  /** Who was refused at least once. */
  readonly refusals = new Set<number>();
  /** Whether it has refused writes alone: what does not write goes past those that wait. */
  refusedWrites = false;
  /** What another client has published: the channel of each message, which says which of these it is. */
  readonly published: string[] = [];
  readonly #data = new Map<string, string | number | string[]>();
  readonly #versions = new Map<string, number>();
  #batches = 0;
  down = false;
  frozen = false;
  /** What it says instead of doing anything, for a while. */
  refusing: string | undefined;

  constructor(sim: Simulation) {
    this.sim = sim;
  }

  thaw(): void {
    this.frozen = false;
    const { chance } = this.sim;
    const order = [...this.sessions].map((session) => ({ session, by: chance.next() })).sort((a, b) => a.by - b.by);
    for (const { session } of order) session.work();
  }

  publish(channel: string): void {
    if (this.down || this.frozen) return;
    const number = String(this.published.push(channel) - 1);
    this.sim.say?.(`published on ${channel}: ${number}`);
    for (const session of this.sessions) session.hear(channel, number);
  }

  at(session: Session, key: string): string {
    return `${session.db}:${key}`;
  }

  version(at: string): number {
    return this.#versions.get(at) ?? 0;
  }

  list(at: string): string[] {
    if (!this.#data.has(at)) this.#data.set(at, []);
    return this.#data.get(at) as string[];
  }

  note(session: Session, words: string[], value: unknown, was?: unknown): void {
    const { sim } = this;
    const nonce = nonceOf(words);
    if (nonce === undefined) return;
    const entry = { order: sim.order(), session, words, value, was, batch: session.batch };
    sim.say?.(`link ${session.link.id}: executes ${words.join(" ").slice(0, 200)} → ${JSON.stringify(value)?.slice(0, 200)}`);
    const entries = this.entries.get(nonce);
    if (entries === undefined) this.entries.set(nonce, [entry]);
    else entries.push(entry);
    this.#check(session, `#${nonce}`);
  }

  #check(session: Session, what: string): void {
    const { dbid, username, name } = this.sim.settings;
    const state = `db ${session.db} user ${session.user} name ${session.name}`;
    const wanted = `db ${dbid} user ${username ?? "default"} name ${name ?? ""}`;
    if (state !== wanted) this.sim.breach("I8", `${what} ran with ${state}, not ${wanted}`);
  }

  /** Why this command is not done now. */
  refusal(name: string): string | undefined {
    const { refusing } = this;
    if (refusing === undefined || ALWAYS.includes(name)) return undefined;
    const writesOnly = refusing.startsWith("READONLY") || refusing.startsWith("OOM");
    return writesOnly && !WRITES.includes(name) ? undefined : refusing;
  }

  execute(session: Session, words: string[]): Reply | undefined {
    const name = words[0]!.toUpperCase();
    const [, first = "", second = ""] = words;
    const { settings, chance } = this.sim;
    if (!session.known && name !== "HELLO" && name !== "AUTH") return refused("NOAUTH Authentication required.");
    const { queue } = session;
    const isListening = session.protocol === 2 && session.listens;
    if (isListening && !LISTENING.includes(name)) return refused(`ERR Can't execute '${name}' in this context`);
    if (queue !== undefined && !["EXEC", "DISCARD", "MULTI", "WATCH"].includes(name)) {
      const no = this.refusal(name);
      if (no !== undefined) session.spoilt = true;
      else queue.push(words);
      return no === undefined ? ok("QUEUED") : this.#refuse(words, no);
    }
    const no = name === "EXEC" ? queue?.map(([queued]) => this.refusal(queued!)).find(Boolean) : this.refusal(name);
    if (no !== undefined && name === "EXEC") {
      session.forget();
      return refused(`EXECABORT Transaction discarded because of: ${no}`);
    }
    if (no !== undefined) return this.#refuse(words, name === "EVAL" ? `${no} script: f_1, on @user_script:1.` : no);
    const at = this.at(session, first);
    switch (name) {
      case "HELLO": return session.hello(words);
      case "AUTH": return session.login(words.length > 2 ? first : "default", words.at(-1)!) ?? ok();
      case "SELECT":
        session.db = Number(first);
        return ok();
      case "PING": return isListening ? array([bulk("pong"), bulk("")]) : ok("PONG");
      case "SUBSCRIBE":
      case "PSUBSCRIBE":
      case "UNSUBSCRIBE":
      case "PUNSUBSCRIBE":
        this.#check(session, name);
        return session.listen(name, first);
      case "CLIENT": return this.#client(session, words);
      case "ECHO":
        this.note(session, words, first);
        return bulk(first);
      case "GET": { // of a key `g:…` the value is known beforehand: it is the name
        const value = first.startsWith("g:") ? first : this.#data.get(at) ?? null;
        this.note(session, words, value);
        return value === null ? session.nil("$") : bulk(String(value));
      }
      case "SET": {
        const was = this.#data.get(at) ?? null;
        this.#write(at, second);
        this.note(session, words, "OK", was);
        return ok();
      }
      case "INCR": {
        const value = Number(this.#data.get(at) ?? 0) + 1;
        this.#write(at, value);
        this.note(session, words, value);
        return integer(value);
      }
      case "RPUSH": {
        const length = this.list(at).push(...words.slice(2));
        this.#write(at, this.list(at));
        this.note(session, words, length);
        this.#feed(at);
        return integer(length);
      }
      case "EVAL": // redis.call("RPUSH", …), and then an error
        this.#write(this.at(session, words[3]!), [...this.list(this.at(session, words[3]!)), words[4]!]);
        this.note(session, words, undefined);
        return refused(chance.pick("ERR it failed script: f_1", "LOADING says the script", "READONLY says it"));
      case "BLPOP": return this.pop(session, words) ?? session.block(words);
      case "MULTI":
        if (queue !== undefined) return refused("ERR MULTI calls can not be nested");
        session.queue = [];
        return ok();
      case "WATCH":
        for (const key of words.slice(1)) session.watched.set(this.at(session, key), this.version(this.at(session, key)));
        return ok();
      case "UNWATCH":
        session.watched.clear();
        return ok();
      case "DISCARD":
        if (queue === undefined) return refused("ERR DISCARD without MULTI");
        session.forget();
        return ok();
      case "EXEC": return this.#exec(session);
      default: return refused(`ERR unknown command '${words[0]}', with args beginning with: `);
    }
  }

  #refuse(words: string[], why: string): Reply {
    const nonce = nonceOf(words);
    if (nonce !== undefined) this.refusals.add(nonce);
    this.refusedWrites ||= why.startsWith("READONLY");
    this.sim.say?.(`server refuses ${words.join(" ").slice(0, 100)}: ${why}`);
    return refused(why);
  }

  #write(at: string, value: string | number | string[]): void {
    this.#data.set(at, value);
    this.#versions.set(at, this.version(at) + 1);
  }

  #exec(session: Session): Reply {
    const { queue, spoilt, watched } = session;
    if (queue === undefined) return refused("ERR EXEC without MULTI");
    const changed = [...watched].some(([at, version]) => this.version(at) !== version);
    session.forget();
    if (spoilt) return refused("EXECABORT Transaction discarded because of previous errors.");
    if (changed) return session.nil("*");
    session.batch = ++this.#batches;
    const owners = new Set(queue.map((words) => this.sim.batchOf(nonceOf(words))));
    if (owners.size > 1) this.sim.breach("I8", `a stranger inside of MULTI: ${queue.map((words) => words.join(" ")).join(", ")}`);
    const replies = queue.map((words) => this.execute(session, words)!);
    session.batch = 0;
    return array(replies);
  }

  /** Of the first list that has something. */
  pop(session: Session, words: string[]): Reply | undefined {
    for (const key of words.slice(1, -1)) {
      const at = this.at(session, key);
      const value = this.list(at)[0];
      if (value === undefined) continue;
      this.#write(at, this.list(at).slice(1));
      this.note(session, words, [key, value]);
      return array([bulk(key), bulk(value)]);
    }
    return undefined;
  }

  #feed(at: string): void {
    for (const session of this.sessions) if (session.waitsFor(at)) this.sim.at(this.sim.now, () => session.unblock());
  }

  #client(session: Session, words: string[]): Reply {
    const what = words[1]!.toUpperCase();
    const { id, address, db, user } = session;
    if (what === "INFO") return bulk(`id=${id} addr=${address} laddr=10.0.0.1:6379 fd=8 name= db=${db} user=${user}\n`);
    if (what === "SETNAME") {
      session.name = words[2]!;
      return ok();
    }
    if (what === "UNBLOCK" && !this.sim.deny) {
      return integer(Number([...this.sessions].some((other) => String(other.id) === words[2] && other.release())));
    }
    if (what === "LIST" && !this.sim.deny) {
      const other = [...this.sessions].find((each) => String(each.id) === words[3]);
      if (other === undefined) return bulk("");
      const idle = Math.floor((this.sim.now - other.heard) / 1_000);
      return bulk(`id=${other.id} addr=${other.address} laddr=10.0.0.1:6379 fd=8 name= age=0 idle=${idle} flags=b\n`);
    }
    if (what !== "KILL" || this.sim.deny) return refused(`NOPERM User has no permissions to run 'client|${what.toLowerCase()}'`);
    const filters = new Map<string, string>();
    for (let i = 2; i < words.length; i += 2) filters.set(words[i]!.toUpperCase(), words[i + 1]!);
    const doomed = [...this.sessions].filter((other) => other !== session &&
      (filters.get("ID") ?? String(other.id)) === String(other.id) && (filters.get("ADDR") ?? other.address) === other.address);
    for (const other of doomed) other.kill(FIN);
    this.sim.say?.(`link ${session.link.id}: kills ${doomed.map(({ link }) => link.id).join() || "nobody"}`);
    return integer(doomed.length);
  }
}

/** One client as the server knows it. */
class Session {
  readonly #server: Server;
  readonly link: Link;
  readonly id: number;
  readonly address: string;
  #input = "";
  #state: "new" | "open" | "ending" | "closed" = "new";
  #blocked: { words: string[] } | undefined;
  #overdue = false;
  db = 0;
  user = "default";
  name = "";
  known: boolean;
  protocol = 2;
  queue: string[][] | undefined;
  spoilt = false;
  /** Channels, and patterns, which end in a star. */
  readonly #channels = new Set<string>();
  readonly watched = new Map<string, number>();
  /** In which EXEC it is. */
  batch = 0;
  /** When it last received bytes. */
  heard = 0;
  /** Whether its next reply never ends. */
  endless = false;

  constructor(server: Server, link: Link) {
    this.#server = server;
    this.link = link;
    this.id = link.id + 100;
    this.address = `10.0.0.2:${50_000 + link.id}`;
    this.known = server.sim.settings.password === undefined;
  }

  open(): void {
    this.#state = "open";
    this.#server.sessions.add(this);
  }

  arrived(segment: Segment): void {
    if (this.#state === "closed" || this.#state === "new") return this.link.down.send(RST);
    if (typeof segment === "string") this.heard = this.#server.sim.now;
    if (typeof segment === "string") this.#input += segment;
    else this.#state = "ending";
    if (segment === RST && this.#server.sim.chance.of(0.5)) this.#input = "";
    this.work();
  }

  /** Does what has arrived, command by command; what came before the end is done in spite of it. */
  work(): void {
    if (this.#server.frozen) return;
    if (this.#overdue) this.#giveUp();
    while (this.#blocked === undefined && this.#state !== "closed") {
      const words = this.#take();
      if (words === undefined) break;
      const reply = this.#server.execute(this, words);
      if (reply !== undefined) this.say(this.endless ? "*2\r\n$5\r\nhello\r\n*1000\r\n" : reply.wire);
      if (reply !== undefined) this.endless = false;
    }
    if (this.#state === "ending") this.kill(FIN);
  }

  /** `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`, if all of it is here. */
  #take(): string[] | undefined {
    while (this.#input.startsWith("\r\n")) this.#input = this.#input.slice(2); // blank lines are nothing
    const input = this.#input;
    let at = input.indexOf("\r\n") + 2;
    if (at === 1) return undefined;
    const count = Number(input.slice(1, at - 2));
    if (input[0] !== "*" || !Number.isInteger(count)) throw new Error(`the driver wrote ${JSON.stringify(input)}`);
    const words: string[] = [];
    for (let i = 0; i < count; i++) {
      const end = input.indexOf("\r\n", at);
      if (end < 0) return undefined;
      if (input[at] !== "$") throw new Error(`the driver wrote ${JSON.stringify(input.slice(at, at + 100))}`);
      const size = Number(input.slice(at + 1, end));
      if (input.length < end + 4 + size) return undefined;
      words.push(input.slice(end + 2, end + 2 + size));
      at = end + 4 + size;
    }
    this.#input = input.slice(at);
    return words;
  }

  say(wire: string): void {
    if (this.#state !== "closed") this.link.down.send(wire);
  }

  kill(how: typeof FIN | typeof RST): void {
    if (this.#state === "closed" || this.#state === "new") return;
    this.#state = "closed";
    this.#server.sessions.delete(this);
    this.#blocked = undefined;
    this.link.down.send(how);
  }

  forget(): void {
    this.queue = undefined;
    this.spoilt = false;
    this.watched.clear();
  }

  nil(type: "$" | "*"): Reply {
    return { wire: this.protocol === 3 ? "_\r\n" : `${type}-1\r\n`, value: null };
  }

  hello(words: string[]): Reply {
    if (this.#server.sim.old) return refused("ERR unknown command 'HELLO', with args beginning with: ");
    const auth = words.indexOf("AUTH");
    const wrong = auth > 0 ? this.login(words[auth + 1]!, words[auth + 2]!) : undefined;
    if (wrong !== undefined) return wrong;
    if (!this.known) return refused("NOAUTH HELLO must be called with the client already authenticated");
    if (words.includes("SETNAME")) this.name = words[words.indexOf("SETNAME") + 1]!;
    this.protocol = Number(words[1]);
    const report = [bulk("server"), bulk("redis"), bulk("proto"), integer(3), bulk("id"), integer(this.id)];
    return { wire: `%3\r\n${report.map(({ wire }) => wire).join("")}` };
  }

  login(user: string, password: string): Reply | undefined {
    const { settings } = this.#server.sim;
    if (user !== (settings.username ?? "default") || password !== settings.password) return refused("WRONGPASS invalid");
    this.known = true;
    this.user = user;
    return undefined;
  }

  get listens(): boolean {
    return this.#channels.size > 0;
  }

  listen(name: string, channel: string): Reply {
    if (name.includes("UN")) this.#channels.delete(channel);
    else this.#channels.add(channel);
    return this.#push(bulk(name.toLowerCase()), bulk(channel), integer(this.#channels.size));
  }

  hear(channel: string, message: string): void {
    for (const name of this.#channels) {
      if (!covers(name, channel)) continue;
      const kind = name === channel ? [bulk("message")] : [bulk("pmessage"), bulk(name)];
      this.say(this.#push(...kind, bulk(channel), bulk(message)).wire);
    }
  }

  #push(...parts: Reply[]): Reply {
    const { wire } = array(parts);
    return { wire: this.protocol === 3 ? `>${wire.slice(1)}` : wire };
  }

  block(words: string[]): undefined {
    const mine = this.#blocked = { words };
    const { sim } = this.#server;
    sim.at(sim.now + Number(words.at(-1)) * 1_000, () => {
      if (this.#blocked !== mine) return;
      if (this.#server.frozen) this.#overdue = true;
      else this.#giveUp();
      this.work();
    });
  }

  #giveUp(): void {
    this.#overdue = false;
    if (this.#blocked === undefined) return;
    this.#server.note(this, this.#blocked.words, null);
    this.#blocked = undefined;
    this.say(this.nil("*").wire);
  }

  /** Ends what it waits for, as CLIENT UNBLOCK ERROR does; whether it waited. */
  release(): boolean {
    if (this.#blocked === undefined) return false;
    this.#blocked = undefined;
    this.#overdue = false;
    this.say(refused("UNBLOCKED client unblocked via CLIENT UNBLOCK").wire);
    this.#server.sim.at(this.#server.sim.now, () => this.work());
    return true;
  }

  waitsFor(at: string): boolean {
    return this.#blocked?.words.some((key) => this.#server.at(this, key) === at) === true;
  }

  unblock(): void {
    const words = this.#blocked?.words;
    const reply = words === undefined ? undefined : this.#server.pop(this, words);
    if (reply === undefined) return;
    this.#blocked = undefined;
    this.say(reply.wire);
    this.work();
  }
}

// ==== The callers ====

/** One command of the workload and what became of it. */
type Op = {
  nonce: number;
  name: string;
  writes: boolean;
  /** Whether its view is idempotent: it may be done several times. */
  repeats: boolean;
  /** On a connection that was lent before. */
  lent: boolean;
  /** All of these or none. */
  batch: number;
  /** What was read under WATCH before this was written. */
  saw?: unknown;
  given: number;
  settled: number;
  outcome?: "acked" | Outcome;
  error?: RedisError;
  /** Since when the driver calls it fenced. */
  fenced: number;
  reply?: unknown;
};

/** Somebody who listens. */
type Listener = {
  readonly names: string[];
  readonly options: FeedOptions;
  subscription?: Subscription | undefined;
  over: boolean;
  /** From which message on those of a name must come. */
  readonly due: Map<string, number>;
  /** The last message of a name. */
  readonly heard: Map<string, number>;
  last: number;
  gap: boolean;
  missed: number;
};

type Settings = {
  poolsize: number; dbid: number; username?: string; password?: string; name?: string; protocol: 2 | 3; replyTimeout: number;
  connectTimeout: number; leaseTimeout: number; pingInterval: number; maxPending: number; maxUnsent: number;
};

/** Texts as the bytes they are on the wire. */
const inBytes = (value: unknown): unknown =>
  typeof value === "string" ? Buffer.from(value).toString("latin1") : Array.isArray(value) ? value.map(inBytes) : value;
const same = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(inBytes(a)) === JSON.stringify(b);

/** By so much a deadline may be missed. */
const SLACK = 100;
/** So many replies may come in time before and among those of a pipeline. */
const MOST_REPLIES = 20;
const MOST_TURNS = 40_000;
const MOST_WRITES = 2_000;
const RECOVERY = 60_000;

/** How a call fails when the handler has been closed. */
const ENDED = ["CLOSED", "ABORTED", "TRANSACTION_OVER", "LEASE_OVER"];

let current: Simulation | undefined;
for (const event of ["unhandledRejection", "uncaughtException"] as const) {
  process.on(event, (error: unknown) => {
    if (current === undefined) throw error;
    current.breach("I7", `${event}: ${error instanceof Error ? error.stack : String(error)}`);
  });
}

class Simulation {
  readonly #driver: Driver;
  readonly #seed: number;
  readonly chance: Chance;
  readonly say: ((text: string) => void) | undefined;
  readonly trace: string[] = [];
  #breach: Breach | undefined;

  now = 1_000;
  /** Whether the driver has been given something, and may have more to do. */
  touched = false;
  readonly #timers = new Agenda();
  readonly #events = new Agenda();
  #immediates: (() => void)[] = [];
  #order = 0;
  #stalled = 0;
  #over = false;

  readonly chunky: number;
  readonly #pace: number;
  /** The socket takes little at once. */
  readonly tight: boolean;
  readonly window: number;
  readonly scale: number;
  slow: boolean;
  /** All of the network holds what it has. */
  hole = false;
  readonly holed: (() => void)[] = [];
  readonly #links: Link[] = [];

  readonly settings: Settings;
  /** A server that does not know HELLO, or does not let us end connections. */
  readonly old: boolean;
  readonly deny: boolean;
  readonly server: Server;

  #db!: Handler;
  readonly #ops: Op[] = [];
  readonly #suspects: Op[] = [];
  readonly #signals: AbortSignal[] = [];
  readonly #listeners: Listener[] = [];
  #open = 0;
  /** Since when there is no handler any more. */
  #closed = Infinity;
  #batches = 0;

  constructor(driver: Driver, seed: number, tracing: boolean) {
    this.#driver = driver;
    this.#seed = seed;
    const chance = this.chance = new Chance(seed);
    if (tracing) this.say = (text) => void this.trace.push(`${(this.now - 1_000).toFixed(2).padStart(9)}  ${text}`);
    this.chunky = chance.pick(0, 0.05, 0.4);
    this.#pace = chance.pick(0.1, 1, 10);
    this.tight = chance.of(0.5);
    this.window = this.tight ? 200 : chance.pick(Infinity, Infinity, 3_000);
    this.scale = this.tight ? chance.pick(500, 65_536) : 1;
    this.slow = chance.of(0.5);
    this.old = chance.of(0.1);
    this.deny = chance.of(0.1);
    const user = chance.pick({}, {}, { password: "secret" }, { username: "ann", password: "secret" });
    this.settings = {
      poolsize: chance.pick(1, 1, 2, 3), dbid: chance.pick(0, 3), ...user, ...chance.pick({}, { name: "sim" }),
      protocol: chance.pick(3, 3, 2), replyTimeout: chance.pick(40, 200, 1_000), connectTimeout: chance.pick(100, 1_000),
      leaseTimeout: chance.pick(300, 30_000), pingInterval: chance.pick(100, 10_000),
      maxPending: chance.pick(2 ** 20, 2 ** 20, 12), maxUnsent: chance.pick(2 ** 20, 2 ** 20, 600),
    };
    this.server = new Server(this);
  }

  order(): number {
    return ++this.#order;
  }

  latency(): number {
    const { chance } = this;
    return chance.of(0.02) ? chance.next() * 30 * this.#pace : chance.next() * this.#pace;
  }

  at(time: number, task: () => void): void {
    this.#events.add(time, task);
  }

  breach(invariant: string, what: string): void {
    this.#breach ??= { seed: this.#seed, invariant, what, trace: this.trace };
    this.say?.(`${invariant} IS BROKEN: ${what}`);
  }

  batchOf(nonce: number | undefined): number {
    return nonce === undefined ? 0 : this.#ops[nonce]!.batch;
  }

  // ---- A run ----

  async run(): Promise<Breach | undefined> {
    current = this;
    const { stackTraceLimit } = Error;
    if (this.say === undefined) Error.stackTraceLimit = 0; // stacks take a fifth of the time
    Object.assign(this.#driver.internals.world, {
      now: () => this.now,
      random: () => this.chance.next(),
      // Timers of Node fire up to one millisecond early or late.
      after: (delay: number, task: () => void) =>
        Object.assign(this.#timers.add(this.now + Math.max(0.1, delay + this.chance.next() * 2 - 0.9), task), { unref }),
      cancel: (timer: Task | undefined) => {
        if (timer !== undefined) timer.run = undefined;
      },
      afterInput: (task: () => void) => void this.#immediates.push(task),
      connect: () => this.#connect(),
    });
    const lacks = `${this.old ? ", no HELLO" : ""}${this.deny ? ", no KILL" : ""}`;
    this.say?.(`seed ${this.#seed}: ${JSON.stringify(this.settings)}${lacks}`);
    this.#db = this.#driver.lazyConnectionPool(this.settings);
    this.#plan();
    await quiet();
    for (let turns = 0; !this.#over && this.#breach === undefined; turns++) {
      if (turns > MOST_TURNS) this.breach("I2", "it does not come to rest");
      await this.#turn();
    }
    if (this.#breach === undefined) this.#judge();
    current = undefined;
    Error.stackTraceLimit = stackTraceLimit;
    return this.#breach;
  }

  /** As an event loop goes round: what is due, what has arrived, what waits for that. */
  async #turn(): Promise<void> {
    if (this.#immediates.length === 0) this.now = Math.max(this.now, Math.min(this.#timers.next, this.#events.next));
    if (this.now === Infinity) return this.breach("I2", "nothing will ever happen again");
    while (this.#timers.next <= this.now) await this.#do(this.#timers.take().run!, true);
    while (this.#events.next <= this.now && this.#breach === undefined) await this.#do(this.#events.take().run!, false);
    const immediates = this.#immediates;
    this.#immediates = [];
    for (const task of immediates) await this.#do(task, true);
  }

  async #do(task: () => void, touches: boolean): Promise<void> {
    this.touched = touches;
    try {
      task();
    } catch (error) {
      this.breach("I7", `thrown: ${error instanceof Error ? error.stack : String(error)}`);
    }
    if (this.touched) await quiet();
  }

  #connect(): Socket {
    if (this.chance.of(0.003)) throw new Error("too many open files");
    const link = new Link(this, this.#links.length + 1);
    this.#links.push(link);
    this.at(this.now + this.latency(), () => link.socket.connect());
    return link.socket as unknown as Socket;
  }

  #sleep(time: number): Promise<void> {
    return new Promise((resolve) => this.at(this.now + time, () => {
      this.touched = true;
      resolve();
    }));
  }

  #plan(): void {
    const { chance } = this;
    const length = chance.pick(20, 200, 1_500);
    const moments = [this.now];
    const moment = (): number => { // half of all comes soon after something else
      const time = chance.of(0.5) ? chance.pick(...moments) + chance.next() * 50 : this.now + chance.next() * length;
      return moments[moments.length] = Math.min(time, this.now + length);
    };
    const calls = 1 + chance.below(16);
    for (let i = 0; i < calls; i++) {
      this.at(moment(), () => {
        this.touched = true;
        for (let more = chance.pick(1, 1, 2, 6); more > 0; more--) this.#call();
      });
    }
    const listeners = chance.pick(0, 0, 1, 2);
    for (let i = 0; i < listeners; i++) this.at(moment(), () => void this.#listen());
    for (let i = listeners * chance.pick(10, 50); i > 0; i--) this.at(moment(), () => this.#publish(chance.pick(1, 1, 6)));
    for (let i = chance.below(5); i > 0; i--) this.at(moment(), () => this.#fault(length));
    if (chance.of(0.3)) this.at(moment(), () => void this.#close());
    this.at(this.now + length, () => void this.#finish());
  }

  // ---- Faults ----

  #fault(length: number): void {
    const { chance, server } = this;
    const live = this.#links.filter(({ socket }) => !socket.destroyed);
    const link = live[chance.below(live.length)];
    const time = chance.next() * length * chance.pick(0.1, 1);
    const kind = chance.pick("cut", "cut", "fin", "half", "hold", "hold", "hole", "freeze", "swallow", "refuse", "refuse",
      "refuse", "down", "garbage", "endless", "push", "stall", "kill", "split", "split");
    this.say?.(`fault: ${kind} ${link === undefined ? "" : `of link ${link.id} `}for ${time.toFixed(1)}`);
    const later = (task: () => void): void => this.at(this.now + time, () => {
      this.say?.(`fault: ${kind} is over`);
      task();
    });
    switch (kind) {
      case "cut": // at any byte, in both directions
        link?.up.cut();
        link?.down.cut();
        return link?.session.kill(chance.pick<typeof FIN | typeof RST>(FIN, RST));
      case "fin": return link?.session.kill(FIN);
      case "half": return link?.down.send(FIN);
      case "kill":
        for (const session of server.sessions) session.kill(FIN);
        return;
      case "hold": {
        if (link === undefined) return;
        if (chance.of(0.7)) link.up.held = true;
        link.down.held = !link.up.held || chance.of(0.5);
        return later(() => link.heal());
      }
      case "split": return link?.split(time);
      case "hole":
        this.hole = true;
        return later(() => this.#heal());
      case "swallow":
        if (link !== undefined) link.down.dead = true;
        return;
      case "freeze":
        server.frozen = true;
        return later(() => server.thaw());
      case "refuse":
        server.refusing = chance.pick("LOADING Redis is loading the dataset in memory", "READONLY You can't write against it",
          "MASTERDOWN Link with MASTER is down", "BUSY Redis is busy running a script", "TRYAGAIN Multiple keys",
          "OOM command not allowed when used memory > 'maxmemory'");
        return later(() => {
          server.refusing = undefined;
        });
      case "down":
        server.down = true;
        for (const session of server.sessions) session.kill(RST);
        return later(() => {
          server.down = false;
        });
      case "garbage": return link?.session.say(chance.pick("?what\r\n", "$5\r\nabcdefg\r\n", ":12x\r\n", "*-7\r\n"));
      case "endless":
        if (link !== undefined) link.session.endless = true;
        return;
      case "push":
        if (link?.session.protocol === 3) link.session.say(">2\r\n+invalidate\r\n_\r\n");
        return;
      case "stall": // of the driver's own process: nothing is done, then everything
        this.now += Math.min(time, 300);
        this.#stalled += Math.min(time, 300);
    }
  }

  #heal(): void {
    this.hole = false;
    for (const link of this.#links) link.heal();
    for (const connect of this.holed.splice(0)) connect();
  }

  // ---- Calls ----

  #op(name: string, writes: boolean, about: Partial<Op> = {}): Op {
    const op = { nonce: this.#ops.length, name, writes, repeats: false, lent: false, batch: 0, settled: Infinity, fenced: Infinity, ...about,
      given: this.order() };
    this.#ops.push(op);
    for (const suspect of this.#suspects) if (suspect.fenced === Infinity && suspect.error!.fenced) suspect.fenced = this.order();
    return op;
  }

  #settle(op: Op, result: unknown): void {
    const { RedisError, ArgumentError } = this.#driver;
    op.settled = this.order();
    if (!(result instanceof Error)) {
      op.outcome = "acked";
      op.reply = result;
      return this.say?.(`#${op.nonce} ${op.name} gives ${JSON.stringify(result)?.slice(0, 100)}`);
    }
    if (!(result instanceof RedisError)) return this.breach("I7", `#${op.nonce} ${op.name}: ${result.stack}`);
    op.error = result;
    op.outcome = result.outcome;
    const how = `${result.code} ${result.outcome}${result.fenced ? " fenced" : ""}`;
    this.say?.(`#${op.nonce} ${op.name} fails: ${how} ${result.message}`);
    if (result.outcome === "unknown" && op.writes) this.#suspects.push(op);
    if (result.fenced && result.outcome === "unknown") op.fenced = op.settled;
    if (op.given > this.#closed && !op.lent && (!ENDED.includes(result.code) || result.outcome !== "not-sent")) {
      this.breach("I2", `#${op.nonce} was given after the end: ${result.code} ${result.outcome}`);
    }
  }

  /** Follows a promise to its end, which must come within `limit`; `least` is the time of what it waits for. */
  async #follow<T>(what: string, limit: number, promise: Promise<T>, least = limit): Promise<T> {
    const given = this.now;
    const stalled = this.#stalled;
    this.#open++;
    this.say?.(`${what} within ${limit.toFixed(0)}`);
    const check = (error?: unknown): void => {
      this.#open--;
      const took = this.now - given;
      if (took > limit + SLACK + this.#stalled - stalled) this.breach("I3", `${what} took ${took.toFixed(1)}, not ${limit}`);
      const early = (error as RedisError | undefined)?.code === "REPLY_TIMEOUT" && took < least && limit < Infinity;
      if (early) this.breach("I3", `${what} timed out after ${took.toFixed(1)}, not ${least}`);
    };
    try {
      const value = await promise;
      check();
      return value;
    } catch (error) {
      check(error);
      throw error;
    }
  }

  async #track(op: Op, limit: number, promise: Promise<unknown>): Promise<unknown> {
    try {
      const reply = await this.#follow(`#${op.nonce} ${op.name}`, limit, promise);
      this.#settle(op, reply);
      return reply;
    } catch (error) {
      this.#settle(op, error);
      throw error;
    }
  }

  #view(): { db: Handler; limit: number } {
    const { chance } = this;
    const limit = chance.of(0.5) ? this.settings.replyTimeout : chance.pick(5, 30, 100, 400, 3_000);
    if (!chance.of(0.25)) return { db: this.#db.with({ replyTimeout: limit }), limit };
    const last = this.#signals.at(-1);
    if (last !== undefined && chance.of(0.3)) return { db: this.#db.with({ replyTimeout: limit, signal: last }), limit };
    const controller = new AbortController();
    this.#signals.push(controller.signal);
    const delay = chance.next() * chance.pick(0, 1, 5, 100);
    const abort = (): void => {
      this.touched = true;
      this.say?.("aborts");
      controller.abort();
    };
    if (delay === 0 && chance.of(0.2)) abort();
    else this.at(this.now + delay, abort);
    return { db: this.#db.with({ replyTimeout: limit, signal: controller.signal }), limit };
  }

  #call(): void {
    const { chance } = this;
    const { db: once, limit } = this.#view();
    const repeats = chance.of(0.3);
    const db = repeats ? once.with({ idempotent: true }) : once;
    const kind = chance.pick("one", "one", "one", "one", "pipeline", "commit", "watch", "multi", "block", "transaction", "lease");
    const done =
      kind === "one" ? this.#one(db, limit, { repeats }) : kind === "block" ? this.#block(db, limit)
      : kind === "pipeline" ? this.#pipeline(db, limit, { repeats })
      : kind === "commit" ? this.#commit(db, limit, { repeats })
      : kind === "watch" ? this.#watch(db, limit) : kind === "multi" ? this.#multi(db, limit)
      : kind === "lease" ? this.#lease(db, limit) : this.#transaction(db, limit);
    done.catch(() => {}); // what failed has been noted
  }

  #simple(to: any, about: Partial<Op> = {}): { op: Op; given: any } {
    const { chance } = this;
    const accent = chance.of(0.1) ? "é" : "";
    switch (chance.below(6)) {
      case 0: {
        const op = this.#op("echo", false, about);
        return { op, given: to.echo(`#${op.nonce};${accent}`) };
      }
      case 1: {
        const op = this.#op("get", false, about);
        return { op, given: to.get(`g:#${op.nonce};${accent}`) };
      }
      case 2: {
        const isLong = chance.of(this.tight ? 0.5 : 0.1);
        const op = this.#op(isLong ? "rpush" : "set", true, about);
        if (!isLong) return { op, given: to.set(`k:${chance.below(3)}`, `#${op.nonce};${accent}`) };
        const much = this.tight ? Buffer.alloc(4_100, `${op.nonce};`) : "".padEnd(chance.pick(60_000, 70_000), `${op.nonce};`);
        return { op, given: to.rpush(`l:#${op.nonce};`, much, much) };
      }
      case 3: {
        const op = this.#op("incr", true, about);
        return { op, given: to.incr(`c:#${op.nonce};`) };
      }
      default: {
        const op = this.#op("rpush", true, about);
        return { op, given: to.rpush(chance.pick("log", "log", "q:0", "q:1"), `#${op.nonce};${accent}`) };
      }
    }
  }

  #one(db: Handler, limit: number, about: Partial<Op>): Promise<unknown> {
    if (this.chance.of(0.9)) {
      const { op, given } = this.#simple(db, about);
      return this.#track(op, limit, given);
    }
    const op = this.#op("eval", true, about);
    return this.#track(op, limit, db.eval("push, then fail", 1, "log", `#${op.nonce};`));
  }

  #block(db: Handler, limit: number): Promise<unknown> {
    const op = this.#op("blpop", true);
    const time = this.chance.pick(0.01, 0.05, 0.3);
    const promise = db.blpop([`b:#${op.nonce};`, `q:${this.chance.below(2)}`], time);
    return this.#track(op, time * 1_000 + Math.max(limit, 1_000), promise);
  }

  async #pipeline(db: Handler, limit: number, about: Partial<Op>): Promise<void> {
    const chain: any = db.pipeline();
    const ops: Op[] = [];
    for (let i = 1 + this.chance.below(5); i > 0; i--) ops.push(this.#simple(chain, about).op);
    const done = chain.execPipeline({ errors: "return" });
    const results = await this.#follow(`#${ops[0]!.nonce}… pipeline of ${ops.length}`, MOST_REPLIES * limit, done, limit);
    this.#share(ops, results as unknown[]);
  }

  async #commit(db: Handler, limit: number, about: Partial<Op>): Promise<void> {
    const chain: any = db.pipeline();
    const batch = ++this.#batches;
    const ops: Op[] = [];
    for (let i = 1 + this.chance.below(4); i > 0; i--) ops.push(this.#simple(chain, { ...about, batch }).op);
    try {
      const done = chain.commit() as Promise<unknown[]>;
      this.#share(ops, await this.#follow(`#${ops[0]!.nonce}… commit of ${ops.length}`, MOST_REPLIES * limit, done, limit));
    } catch (error) {
      // Of what was only queued, the error of all says what has become; if that is not-sent, EXEC was.
      const { results, outcome } = error as PipelineError;
      ops.forEach((op, i) => {
        if (results[i] instanceof Error) this.#settle(op, results[i]);
        else if (outcome === "not-sent") op.outcome = "not-executed";
        else this.#settle(op, error);
      });
    }
  }

  #share(ops: Op[], results: unknown[]): void {
    if (results.length !== ops.length) this.breach("I1", `${results.length} results of ${ops.length} commands`);
    ops.forEach((op, i) => this.#settle(op, results[i]));
  }

  /** What a step between the caller and the server may be interrupted by: time. */
  async #pause(): Promise<void> {
    if (this.chance.of(0.4)) await this.#sleep(this.chance.next() * this.chance.pick(2, 50));
  }

  async #watch(db: Handler, limit: number): Promise<void> {
    const key = `w:${this.chance.below(2)}`;
    const t: any = await this.#follow(`watch ${key}`, limit, db.watch(key));
    await this.#pause();
    const saw = await this.#follow(`look at ${key}`, limit, t.get(key));
    await this.#pause();
    const m = await this.#follow("multi", limit, t.multi());
    await this.#queue(m, limit, key, saw);
  }

  async #multi(db: Handler, limit: number): Promise<void> {
    const t = await this.#follow("multi", limit, db.multi());
    await this.#queue(t, limit);
  }

  async #queue(t: any, limit: number, key?: string, saw?: unknown): Promise<void> {
    const { chance } = this;
    const batch = ++this.#batches;
    const ops: Op[] = [];
    const about = { batch, lent: true };
    if (key !== undefined) {
      const op = this.#op("set", true, { ...about, saw });
      ops.push(op);
      t.set(key, `#${op.nonce};`).catch(() => {});
    }
    for (let i = chance.below(3) + (key === undefined ? 1 : 0); i > 0; i--) {
      const { op, given } = this.#simple(t, about);
      ops.push(op);
      given.catch(() => {});
      await this.#pause();
    }
    const end = chance.pick("commit", "commit", "commit", "discard", "forget");
    try {
      if (end === "commit") this.#share(ops, await this.#follow(`#${ops[0]!.nonce}… exec`, limit, t.commit()));
      else if (end === "discard") await this.#follow("discard", limit, t.discard());
      if (end !== "commit") for (const op of ops) op.outcome = "not-executed";
    } catch (error) {
      this.#abandon(ops, end === "discard" ? undefined : error);
    }
  }

  async #transaction(db: Handler, limit: number): Promise<void> {
    const key = `w:${this.chance.below(2)}`;
    let ops: Op[] = [];
    const body = async (t: any): Promise<void> => {
      const saw = await t.get(key);
      for (const op of ops) op.outcome = "not-executed"; // of an attempt that was too late
      await this.#pause();
      const m = await t.multi();
      const op = this.#op("set", true, { batch: ++this.#batches, lent: true, saw });
      ops = [op];
      m.set(key, `#${op.nonce};`).catch(() => {});
      await this.#pause();
    };
    try {
      const results = await this.#follow(`transaction ${key}`, Infinity, db.transaction([key], body, { attempts: 3 }));
      this.#share(ops, results);
    } catch (error) {
      this.#abandon(ops, error);
    }
  }

  /** A body that calls, awaited or not, and may leave its connection in another database or inside of MULTI. */
  async #lease(db: Handler, limit: number): Promise<void> {
    const { chance } = this;
    await this.#follow("lease", Infinity, db.lease(async (c) => {
      for (let i = chance.below(4); i > 0; i--) {
        const { op, given } = this.#simple(c, { lent: true });
        const done = this.#track(op, limit, given);
        if (chance.of(0.5)) await done;
        else done.catch(() => {});
        await this.#pause();
      }
      const end = chance.pick("return", "return", "throw", "select", "multi", "watch", "blpop");
      if (end === "throw") throw new Error("of the body");
      if (end === "select") await c.select(99);
      if (end === "multi") (await c.multi()).call("PING").catch(() => {});
      if (end === "watch") await c.watch("w:0");
      if (end === "blpop") c.blpop("b:none", 0).catch(() => {});
      await this.#pause();
    }));
  }

  /** What was queued is not done unless EXEC has been said. */
  #abandon(ops: Op[], error?: unknown): void {
    for (const op of ops) {
      if (error === undefined || (error as RedisError).outcome === "not-sent") op.outcome = "not-executed";
      else this.#settle(op, error);
    }
  }

  // ---- Publish and subscribe ----

  #publish(count: number): void {
    for (let i = 0; i < count; i++) this.server.publish(this.chance.pick("a:0", "a:1", "b:0"));
  }

  async #listen(): Promise<void> {
    const { chance } = this;
    this.touched = true;
    const kind = chance.pick<"subscribe" | "psubscribe">("subscribe", "psubscribe");
    const names = kind === "subscribe" ? ["a:0", "a:1", "b:0"] : ["a:*", "b:*"];
    const options = chance.pick<FeedOptions>({}, { buffer: 3 }, { buffer: 3, overflow: "drop" }, { buffer: 3, overflow: "fail" });
    const first = names.slice(0, 1 + chance.below(names.length));
    const listener: Listener = { names, options, over: false, due: new Map(), heard: new Map(), last: -1, gap: false, missed: 0 };
    this.#listeners.push(listener);
    try {
      const told = (item: Message | Gap): void => this.#hear(listener, item);
      const isTold = chance.of(0.3);
      const how = isTold ? [told, options] as const : [options] as const;
      const begun = this.#db[kind](first, ...how as [FeedOptions]);
      const subscription = await this.#follow(`${kind} ${first.join()}`, this.settings.connectTimeout, begun);
      listener.subscription = subscription;
      for (const name of first) listener.due.set(name, this.server.published.length);
      if (!isTold) void this.#follow(`messages of ${names.join()}`, Infinity, this.#read(listener, subscription));
      await this.#change(listener, subscription);
    } catch (error) {
      this.say?.(`listening fails: ${String(error)}`);
      if (!(error instanceof this.#driver.RedisError)) throw error;
      listener.over ||= listener.subscription === undefined;
    }
  }

  /** Reads at its own pace, to the end. */
  async #read(listener: Listener, subscription: Subscription): Promise<void> {
    try {
      for await (const item of subscription) {
        this.#hear(listener, item);
        if (this.chance.of(0.3)) await this.#sleep(this.chance.next() * 200);
      }
    } catch (error) {
      const isSlow = listener.options.overflow === "fail" && (error as RedisError).code === "TOO_SLOW";
      if (!isSlow) this.breach("I2", `a subscription fails: ${String(error)}`);
      listener.over = true;
    }
    if (!listener.over && this.#closed === Infinity) this.breach("I2", "a subscription ends");
  }

  /** Listens to more, or less. */
  async #change(listener: Listener, subscription: Subscription): Promise<void> {
    const { chance, server } = this;
    const { connectTimeout, replyTimeout } = this.settings;
    const { names, due } = listener;
    for (let i = chance.below(4); i > 0; i--) {
      await this.#sleep(chance.next() * 200);
      const name = chance.pick(...names);
      const most = 2 * (connectTimeout + replyTimeout);
      const least = Math.min(connectTimeout, replyTimeout);
      if (!due.has(name)) {
        await this.#follow(`subscribe ${name}, too`, most, subscription.subscribe(name), least);
        due.set(name, server.published.length);
      } else if (due.size > 1) {
        due.delete(name);
        await this.#follow(`unsubscribe ${name}`, most, subscription.unsubscribe(name), least);
      }
    }
    if (chance.of(0.7)) return;
    listener.over = true;
    if (chance.of(0.5)) subscription.close();
    else await subscription.unsubscribe();
  }

  #hear(listener: Listener, { channel, message, pattern, gap }: Message | Gap): void {
    const { server: { published } } = this;
    const { names, due, heard, options } = listener;
    this.say?.(`${names.join()} hears ${gap === undefined ? message : `a gap of ${gap.toFixed(1)}`}`);
    if (gap !== undefined) return void (listener.gap = true);
    const number = Number(message);
    const name = pattern ?? channel;
    if (published[number] !== channel || !names.includes(name)) this.breach("I1", `message ${number} comes as one of ${name}`);
    if (number <= listener.last) this.breach("I5", `message ${number} comes after ${listener.last}`);
    for (let i = listener.last + 1; i < number && !listener.gap; i++) {
      if (![...due].some(([of, from]) => i >= from && covers(of, published[i]!))) continue;
      listener.missed++;
      const dropped = options.overflow === "drop" ? listener.subscription?.dropped ?? Infinity : 0;
      if (listener.missed > dropped) this.breach("I4", `message ${i} is missing before ${number}, and there is no gap`);
    }
    heard.set(name, listener.last = number);
    listener.gap = false;
  }

  /** Until everybody who listens hears everything again. */
  async #hearing(since: number): Promise<void> {
    const from = this.server.published.length;
    const isDeaf = ({ due, heard, over }: Listener): boolean =>
      !over && [...due.keys()].some((name) => (heard.get(name) ?? -1) < from);
    while (this.#closed === Infinity && this.#listeners.some(isDeaf)) {
      if (this.now - since > RECOVERY) return this.breach("I2", "a subscription is not restored");
      for (const channel of ["a:0", "a:1", "b:0"]) this.server.publish(channel);
      await this.#sleep(500);
    }
  }

  // ---- The end ----

  async #close(): Promise<void> {
    const { chance } = this;
    this.touched = true;
    if (this.#closed < Infinity) return;
    this.#closed = this.order();
    if (chance.of(0.5)) {
      this.say?.("destroy()");
      return this.#db.destroy();
    }
    const timeout = chance.pick(1, 50, 500);
    await this.#follow("disconnect()", timeout, this.#db.disconnect({ timeout }));
  }

  /** All faults are over: the handler recovers, is closed, and leaves nothing behind. */
  async #finish(): Promise<void> {
    const { server } = this;
    this.touched = true;
    this.say?.("all is well again");
    server.refusing = undefined;
    server.down = false;
    this.slow = false;
    this.#heal();
    server.thaw();
    const since = this.now;
    while (this.#closed === Infinity && this.#links.some(({ down, socket }) => down.dead && !socket.destroyed)) {
      if (this.now - since > RECOVERY) return this.breach("I2", "a dead connection is kept");
      await this.#sleep(200);
    }
    while (this.#closed === Infinity && !await this.#works()) {
      if (this.now - since > RECOVERY) return this.breach("I2", "it does not recover");
      await this.#sleep(500);
    }
    await this.#hearing(since);
    const wanted = this.settings.poolsize + this.#listeners.filter(({ over }) => !over).length;
    let links = Infinity;
    for (let i = 0; i < 20 && links > wanted; i++) { // one that only looked at others goes soon
      links = this.#links.filter(({ socket }) => !socket.destroyed).length;
      if (links > wanted) await this.#sleep(200);
    }
    if (links > wanted && this.#closed === Infinity) this.breach("I9", `${links} links are open, not ${wanted}`);
    await this.#close();
    for (let i = 0; this.#open > 0; i++) {
      if (i > 100) return this.breach("I2", `${this.#open} promises hang`);
      await this.#sleep(100);
    }
    await this.#sleep(20);
    if (this.#timers.live > 0) this.breach("I9", `${this.#timers.live} timers are left`);
    const open = this.#links.filter(({ socket }) => !socket.destroyed);
    if (open.length > 0) this.breach("I9", `links ${open.map(({ id }) => id).join()} are left open`);
    const listeners = this.#signals.reduce((sum, signal) => sum + getEventListeners(signal, "abort").length, 0);
    if (listeners > 0) this.breach("I9", `${listeners} listeners are left on signals`);
    this.#over = true;
  }

  /** Whether each connection can be had: as many blocking commands as there are connections, at once. */
  async #works(): Promise<boolean> {
    const db = this.#db.with({ replyTimeout: 1_000 });
    if (!await this.#follow("try to read", 1_000, db.get("none")).then(() => true, () => false)) return false;
    const calls = Array.from({ length: this.settings.poolsize }, (_, i) =>
      this.#follow(`try ${i}`, 1_050, db.blpop(["none"], 0.05)));
    return (await Promise.allSettled(calls)).every(({ status }) => status === "fulfilled");
  }

  // ---- The oracle ----

  #judge(): void {
    const { server, settings } = this;
    const batches = new Map<number, { told: number; done: number; runs: Set<number>; repeats: boolean }>();
    let last = 0;
    for (const op of this.#ops) {
      const entries = server.entries.get(op.nonce) ?? [];
      this.#judgeOutcome(op, entries);
      for (const { was } of entries) {
        if (op.saw !== undefined && !same(op.saw, was)) {
          this.breach("I4", `#${op.nonce} saw ${JSON.stringify(op.saw)} under WATCH and has overwritten ${JSON.stringify(was)}`);
        }
      }
      if (op.batch > 0) {
        const batch = batches.get(op.batch) ?? { told: 0, done: 0, runs: new Set(), repeats: op.repeats };
        batches.set(op.batch, batch);
        batch.told++;
        batch.done += entries.length;
        for (const entry of entries) batch.runs.add(entry.batch);
      }
      const mayMove = op.lent || op.repeats || op.name === "get" || op.name === "blpop" || server.refusals.has(op.nonce) ||
        (server.refusedWrites && !op.writes);
      if (settings.poolsize > 1 || op.outcome !== "acked" || mayMove) continue;
      const order = entries[0]?.order ?? last;
      if (order < last) this.breach("I5", `#${op.nonce} was done before what was given earlier`);
      last = order;
    }
    for (const [batch, { told, done, runs, repeats }] of batches) {
      const isOnce = runs.size === 1 || (repeats && runs.size > 0);
      const isWhole = done === told * runs.size && isOnce && !runs.has(0);
      if (done !== 0 && !isWhole) this.breach("I4", `batch ${batch} was done in part`);
    }
    if (this.#breach === undefined) this.#judgeZombies(); // which takes for done what is acked
  }

  #judgeOutcome(op: Op, entries: Entry[]): void {
    const { nonce, name, outcome } = op;
    const count = entries.length;
    const told = `#${nonce} ${name} was ${outcome} and is done ${count} times`;
    const isOnce = op.writes && !op.repeats;
    if (outcome === "acked" ? count === 0 || (count > 1 && isOnce) : outcome === "unknown" && count > 1 && isOnce) {
      this.breach("I4", told);
    }
    if ((outcome === "not-sent" || (outcome === "not-executed" && op.writes)) && count > 0) this.breach("I4", told);
    if (count > 6) this.breach("I4", told); // what reads, or may be repeated, is issued again five times
    if (op.repeats && op.writes && outcome === "acked" && !this.deny && entries.at(-1)!.order > op.settled) {
      this.breach("I6", `#${nonce} ${name} is done again after its reply`);
    }
    if (outcome === "not-sent" && this.#links.some(({ written }) => written.some((text) => text.includes(`#${nonce};`)))) {
      this.breach("I4", `#${nonce} ${name} was written, and not not-sent`);
    }
    const values = (op.repeats && this.deny ? entries : entries.slice(-1)).map(({ value }) => value);
    if (outcome === "acked" && count > 0 && !values.some((value) => same(op.reply, value))) {
      this.breach("I1", `#${nonce} ${name} was given ${JSON.stringify(op.reply)}, not ${JSON.stringify(entries.at(-1)!.value)}`);
    }
  }

  /** Nothing that was given up is done after something that was given later and was answered. */
  #judgeZombies(): void {
    const { server, settings, deny } = this;
    for (const zombie of this.#suspects) {
      const done = server.entries.get(zombie.nonce)?.at(-1)?.order ?? 0;
      if (done < zombie.settled) continue;
      const lost = zombie.error!.code === "CONNECTION_LOST" || settings.poolsize === 1;
      const since = deny || !lost ? zombie.fenced : zombie.settled;
      const living = this.#ops.find(({ given, outcome, nonce, lent }) =>
        given > since && outcome === "acked" && !lent && server.entries.get(nonce)!.at(-1)!.order < done);
      if (living === undefined) continue;
      this.breach("I6", `#${zombie.nonce} (${zombie.error!.code}) is done after #${living.nonce}, which was given later`);
    }
  }
}

function unref<T>(this: T): T {
  return this;
}

/** One run; undefined when all invariants hold. */
export function simulate(driver: Driver, seed: number, tracing = false): Promise<Breach | undefined> {
  return new Simulation(driver, seed, tracing).run();
}

/** All that happens in one run, line by line. */
export async function trace(driver: Driver, seed: number): Promise<string[]> {
  const simulation = new Simulation(driver, seed, true);
  await simulation.run();
  return simulation.trace;
}

/** Many runs; the first breach, with its trace. */
export async function search(driver: Driver, from: number, to: number, step = 1): Promise<Breach | undefined> {
  for (let seed = from; seed < to; seed += step) {
    const breach = await simulate(driver, seed);
    if (breach !== undefined) return await simulate(driver, seed, true) ?? breach; // memory of the driver outlives a run
  }
  return undefined;
}

// ==== npm run sim -- [--seeds n] [--from n] [--seed n] ====

export function show({ seed, invariant, what, trace }: Breach): string {
  return `${trace.join("\n")}\nseed ${seed}: ${invariant} is broken: ${what}`;
}

async function main(): Promise<void> {
  const string = { type: "string" } as const;
  const { values } = parseArgs({ options: { seeds: string, from: string, seed: string, step: string } });
  const driver = await import("../redis.ts");
  if (values.seed !== undefined) {
    const run = new Simulation(driver, Number(values.seed), true);
    const breach = await run.run();
    console.log(breach === undefined ? `${run.trace.join("\n")}\nseed ${values.seed}: all invariants hold` : show(breach));
    exit(breach === undefined ? 0 : 1);
  }
  const from = Number(values.from ?? 0);
  const to = from + Number(values.seeds ?? 20_000);
  if (values.step !== undefined) return await part(driver, from, to, Number(values.step));
  const workers = Math.min(availableParallelism(), 8);
  const start = Date.now();
  let broken = 0;
  await Promise.all(Array.from({ length: workers }, (_, i) => new Promise<void>((resolve) => {
    const options = ["--from", String(from + i), "--seeds", String(to - from - i), "--step", String(workers)];
    fork(fileURLToPath(import.meta.url), options).on("message", (text) => {
      broken++;
      console.log(`${String(text)}\n`);
    }).on("exit", () => resolve());
  })));
  const seconds = (Date.now() - start) / 1_000;
  const rate = ((to - from) / seconds).toFixed(0);
  const took = `${seconds.toFixed(1)} s, ${rate} a second`;
  console.log(`${to - from} seeds in ${took}: ${broken === 0 ? "all hold" : `${broken} broken`}`);
  exit(broken === 0 ? 0 : 1);
}

/** The seeds of one process; after so many breaches it is clear. */
async function part(driver: Driver, from: number, to: number, step: number): Promise<void> {
  for (let broken = 0; broken < 5 && from < to; from += step) {
    const breach = await search(driver, from, to, step);
    if (breach === undefined) break;
    broken++;
    from = breach.seed;
    await new Promise((resolve) => process.send!(show(breach), resolve));
  }
  exit(0);
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) await main();

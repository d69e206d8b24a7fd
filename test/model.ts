// The hosts of the simulation: servers with data, their replicas, Sentinels, and nodes of a cluster. Each host
// has an address, and a session for each connection.

import { FIN, RST } from "./network.ts";
import type { Link, Segment } from "./network.ts";
import type { Simulation } from "./sim.ts";

// ==== The server ====

export type Reply = {
  wire: string;
  value?: unknown;
  /** Called when the driver reads it. */
  read?: () => void;
};

const ok = (text = "OK"): Reply => ({ wire: `+${text}\r\n`, value: text });
export const bulk = (text: string): Reply => ({ wire: `$${text.length}\r\n${text}\r\n`, value: text });
export const integer = (value: number): Reply => ({ wire: `:${value}\r\n`, value });
export const refused = (text: string): Reply => ({ wire: `-${text}\r\n` });
export const array = (replies: Reply[]): Reply =>
  ({ wire: `*${replies.length}\r\n${replies.map(({ wire }) => wire).join("")}`, value: replies.map(({ value }) => value) });

export const nil: Reply = { wire: "*-1\r\n", value: null };
export const texts = (...parts: (string | number)[]): Reply => array(parts.map((part) => bulk(String(part))));

/** One execution of one command. */
export type Entry = {
  order: number; server: Server; session: Session; words: string[]; value: unknown; was: unknown; batch: number;
  /** Whether keys were watched when it was executed. */
  watched: boolean;
};

const WRITES = ["FLUSHALL", "SET", "RPUSH", "INCR", "BLPOP", "EVAL"];
export type Login = { username?: string; password?: string };

const LISTENING = ["SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "PING"];
const ALWAYS = ["HELLO", "AUTH", "SELECT", "CLIENT", "ECHO", "MULTI", "DISCARD", "WATCH", "UNWATCH", ...LISTENING];

/** Whether subscribers to this channel or pattern get the messages of that channel. */
export const covers = (name: string, channel: string): boolean =>
  name === channel || (name.endsWith("*") && channel.startsWith(name.slice(0, -1)));

/** Every command of the workload has one `#12;` among its arguments, which identifies the call. */
export const noncesOf = (text: string): number[] => [...text.matchAll(/#(\d+);/g)].map(([, digits]) => Number(digits));

export function nonceOf(words: readonly string[]): number | undefined {
  for (const word of words) {
    const at = word.indexOf("#");
    if (at >= 0) return parseInt(word.slice(at + 1));
  }
  return undefined;
}

/** A process at an address, which accepts connections. */
export abstract class Host {
  readonly sim: Simulation;
  readonly ip: string;
  readonly port: number;
  readonly sessions = new Set<Session>();
  /** Addresses of all connections that it has had. */
  readonly clients = new Set<string>();
  #down = false;
  #frozen = false;
  #away = false;
  /** Time since which it is down, frozen or away. */
  goneSince = Infinity;
  /** Time, past or future, since which no fault affects it or its connections. */
  calmSince = 0;
  /** Messages for its subscribers, delivered when it is no longer frozen. */
  readonly #unheard: [channel: string, message: string][] = [];

  constructor(sim: Simulation, ip: string, port: number) {
    this.sim = sim;
    this.ip = ip;
    this.port = port;
  }

  get name(): string {
    return `${this.ip}:${this.port}`;
  }

  get down(): boolean {
    return this.#down;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** Whether the network between it and the driver holds what it has. */
  get away(): boolean {
    return this.#away;
  }

  set down(is: boolean) {
    this.#down = is;
    this.#mark();
  }

  set frozen(is: boolean) {
    this.#frozen = is;
    this.#mark();
  }

  set away(is: boolean) {
    this.#away = is;
    this.#mark();
  }

  #mark(): void {
    if (!this.#down && !this.#frozen && !this.#away) this.goneSince = Infinity;
    else if (this.goneSince === Infinity) this.goneSince = this.sim.now;
  }

  /** The user who may log in; hosts of another kind must not get this password. */
  abstract get login(): Login;
  abstract execute(session: Session, words: string[]): Reply | undefined;
  /** Called with what the driver writes to it. */
  written(_link: Link, _text: string): void {}

  /** More fields of its reply to HELLO. */
  report(_session: Session): Reply[] {
    return [];
  }

  session(link: Link): Session {
    return new Session(this, link);
  }

  thaw(): void {
    this.frozen = false;
    const { chance } = this.sim;
    for (const [channel, message] of this.#unheard.splice(0)) this.hear(channel, message);
    const order = [...this.sessions].map((session) => ({ session, by: chance.next() })).sort((a, b) => a.by - b.by);
    for (const { session } of order) session.work();
  }

  hear(channel: string, message: string): void {
    if (this.frozen) this.#unheard.push([channel, message]);
    else for (const session of this.sessions) session.hear(channel, message);
  }

  killAll(how: typeof FIN | typeof RST): void {
    for (const session of this.sessions) session.kill(how);
  }

  crash(): void {
    this.down = true;
    this.killAll(RST);
  }
}

/** An address where no host answers. */
export class Nobody extends Host {
  constructor(sim: Simulation, ip: string, port: number) {
    super(sim, ip, port);
    this.down = sim.chance.of(0.5);
    this.away = !this.down;
  }

  get login(): Login {
    return {};
  }

  execute(): undefined {}
}

/** The data of a server, or of several that are proxies for the same. */
export class Store {
  readonly data = new Map<string, string | number | string[]>();
  readonly versions = new Map<string, number>();
  /** All writes in order, for replicas. */
  readonly log: { at: string; value: string | number | string[] | undefined }[] = [];
  /** Times at which keys expire. */
  readonly expiries = new Map<string, number>();
  /** The servers that have it. */
  readonly servers = new Set<Server>();

  /** `until`: when it expires. `isFlush`: without a push for this key. */
  write(at: string, value: string | number | string[] | undefined, until?: number, isFlush = false): void {
    if (value === undefined) this.data.delete(at);
    else this.data.set(at, value);
    if (until === undefined) this.expiries.delete(at);
    else this.expiries.set(at, until);
    this.versions.set(at, (this.versions.get(at) ?? 0) + 1);
    this.log.push({ at, value });
    for (const server of this.servers) server.changed(at, isFlush);
  }

  /** Repeats the writes of another, up to this length of its log. */
  follow(other: Store, length: number): void {
    for (let i = this.log.length; i < length; i++) this.write(other.log[i]!.at, other.log[i]!.value);
  }
}

export class Server extends Host {
  #store = new Store();
  /** The sessions that track a key, by its name. */
  readonly #tracking = new Map<string, Set<Session>>();
  /** Its primary, if it is a replica. */
  master: Server | undefined;
  /** The epoch in which it last became the master. */
  reign = 0;
  readonly runId: string;
  /** An error with which it refuses commands, for a while. */
  refusing: string | undefined;
  readonly login: Login;

  constructor(sim: Simulation, ip: string, port = 6379, store?: Store) {
    super(sim, ip, port);
    this.store = store ?? this.#store;
    this.runId = `${ip.replaceAll(".", "")}`.padStart(40, "0");
    const { username, password } = sim.settings;
    this.login = { ...username === undefined ? {} : { username }, ...password === undefined ? {} : { password } };
  }

  override written(link: Link, text: string): void {
    this.sim.scene.written(link, text);
    this.sim.near?.written(text);
  }

  get store(): Store {
    return this.#store;
  }

  /** As a replica does that gets all data anew, it says to those who track keys that all may have changed. */
  set store(store: Store) {
    this.#store.servers.delete(this);
    this.#store = store;
    store.servers.add(this);
    this.flush();
  }

  // ---- Keys that are tracked, and keys that expire ----

  /** Pushes to those who have read a key since its last change. */
  changed(at: string, isFlush: boolean): void {
    const { near } = this.sim;
    if (near === undefined) return;
    near.sample(at);
    const key = at.slice(at.indexOf(":") + 1);
    const sessions = this.#tracking.get(key) ?? [];
    if (isFlush) return;
    this.#tracking.delete(key);
    const order = this.sim.order();
    for (const session of sessions) {
      session.say(`>2\r\n${bulk("invalidate").wire}${texts(key).wire}`, () => near.heard(this, key, order));
    }
  }

  flush(): void {
    const { near } = this.sim;
    const order = near === undefined ? 0 : this.sim.order();
    for (const session of new Set([...this.#tracking.values()].flatMap((sessions) => [...sessions]))) {
      session.say(`>2\r\n${bulk("invalidate").wire}_\r\n`, () => near!.heard(this, undefined, order));
    }
    this.#tracking.clear();
  }

  #track(session: Session, key: string): void {
    if (!session.tracks) return;
    const sessions = this.#tracking.get(key) ?? new Set();
    this.#tracking.set(key, sessions.add(session));
    this.sim.near!.tracks(session, key);
  }

  hasExpired(at: string): boolean {
    return (this.#store.expiries.get(at) ?? Infinity) <= this.sim.now;
  }

  /** The value of a key; null if it has none, or has expired. */
  live(at: string): unknown {
    return this.hasExpired(at) ? null : this.#store.data.get(at) ?? null;
  }

  #expire(at: string): void {
    if (this.hasExpired(at)) this.#store.write(at, undefined);
  }

  /** Has a key expire: it is gone at once, but the server notices only when it is asked, or some time later. */
  #expireAt(at: string, until: number): void {
    const { sim } = this;
    sim.at(until, () => sim.near?.sample(at));
    sim.at(until + sim.chance.next() * 120, () => {
      if (!this.down && !this.frozen && this.role === "master") this.#expire(at);
    });
  }

  get role(): "master" | "slave" {
    return this.master === undefined ? "master" : "slave";
  }

  override report(session: Session): Reply[] {
    session.role = this.role;
    return [bulk("mode"), bulk("standalone"), bulk("role"), bulk(this.role === "slave" ? "replica" : "master")];
  }

  at(session: Session, key: string): string {
    return `${session.db}:${key}`;
  }

  version(at: string): number {
    return this.store.versions.get(at) ?? 0;
  }

  list(at: string): string[] {
    return (this.store.data.get(at) ?? []) as string[];
  }

  note(session: Session, words: string[], value: unknown, was?: unknown): void {
    const { sim } = this;
    const nonce = nonceOf(words);
    if (nonce === undefined) return;
    const watched = session.isWatched;
    const entry = { order: sim.order(), server: this, session, words, value, was, batch: session.batch, watched };
    sim.say?.(`link ${session.link.id}: executes ${words.join(" ").slice(0, 200)} → ${JSON.stringify(value)?.slice(0, 200)}`);
    const entries = sim.entries.get(nonce);
    if (entries === undefined) sim.entries.set(nonce, [entry]);
    else entries.push(entry);
    this.#check(session, `#${nonce}`);
    sim.scene.executed(entry, sim.op(nonce));
  }

  #check(session: Session, what: string): void {
    const { dbid, username, name } = this.sim.settings;
    const state = `db ${session.db} user ${session.user} name ${session.name}`;
    const wanted = `db ${dbid} user ${username ?? "default"} name ${name ?? ""}`;
    if (state !== wanted) this.sim.breach("I8", `${what} ran with ${state}, not ${wanted}`);
  }

  /** Why this command is not done now. */
  refusal(name: string): string | undefined {
    const refusing = this.refusing ?? (this.role === "slave" ? "READONLY You can't write against a read only replica." : undefined);
    if (refusing === undefined || ALWAYS.includes(name)) return undefined;
    const writesOnly = refusing.startsWith("READONLY") || refusing.startsWith("OOM");
    return writesOnly && !WRITES.includes(name) ? undefined : refusing;
  }

  execute(session: Session, words: string[]): Reply | undefined {
    const name = words[0]!.toUpperCase();
    const [, first = "", second = ""] = words;
    const { chance } = this.sim;
    if (!session.known && name !== "HELLO" && name !== "AUTH") return refused("NOAUTH Authentication required.");
    const { queue } = session;
    const isListening = session.protocol === 2 && session.listens;
    if (isListening && !LISTENING.includes(name)) return refused(`ERR Can't execute '${name}' in this context`);
    if (queue !== undefined && !["EXEC", "DISCARD", "MULTI", "WATCH"].includes(name)) {
      const no = this.refusal(name);
      if (no !== undefined) session.spoilt = true;
      else queue.push(words);
      return no === undefined ? ok("QUEUED") : this.refuse(words, no);
    }
    const no = name === "EXEC" ? queue?.map(([queued]) => this.refusal(queued!)).find(Boolean) : this.refusal(name);
    if (no !== undefined && name === "EXEC") {
      session.forget();
      return refused(`EXECABORT Transaction discarded because of: ${no}`);
    }
    if (no !== undefined) return this.refuse(words, name === "EVAL" ? `${no} script: f_1, on @user_script:1.` : no);
    const at = this.at(session, first);
    switch (name) {
      case "HELLO": return session.hello(words);
      case "ROLE": {
        session.role = this.role;
        const { master } = this;
        return master === undefined ? array([bulk("master"), integer(this.store.log.length), array([])])
          : texts("slave", master.ip, master.port, "connected", this.store.log.length);
      }
      case "INFO":
        return bulk(`run_id:${this.runId}\r\nuptime_in_seconds:${Math.floor(this.sim.now / 1_000) + 1_000}\r\n`);
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
      case "FLUSHALL":
        this.sim.near!.flush(this);
        return ok();
      case "PTTL": {
        this.#expire(at);
        this.#track(session, first);
        const until = this.store.expiries.get(at);
        return integer(until !== undefined ? Math.floor(until - this.sim.now) : this.store.data.has(at) ? -1 : -2);
      }
      case "GET": { // of a key `g:…` the value is known beforehand: it is the name
        this.#expire(at);
        this.#track(session, first);
        const value = first.startsWith("g:") ? first : this.store.data.get(at) ?? null;
        if (Array.isArray(value)) return refused("WRONGTYPE Operation against a key holding the wrong kind of value");
        this.note(session, words, value);
        return value === null ? session.nil("$") : bulk(String(value));
      }
      case "SET": {
        const was = this.store.data.get(at) ?? null;
        this.#write(at, second, words[3] === "PX" ? this.sim.now + Number(words[4]) : undefined);
        this.note(session, words, "OK", was);
        return ok();
      }
      case "INCR": {
        const value = Number(this.store.data.get(at) ?? 0) + 1;
        this.#write(at, value);
        this.note(session, words, value);
        return integer(value);
      }
      case "RPUSH": {
        const list = [...this.list(at), ...words.slice(2)];
        this.#write(at, list);
        this.note(session, words, list.length);
        this.#feed(at);
        return integer(list.length);
      }
      case "EVAL": // redis.call("RPUSH", …), and then an error
        this.#write(this.at(session, words[3]!), [...this.list(this.at(session, words[3]!)), words[4]!]);
        this.note(session, words, undefined);
        return refused(chance.pick("ERR it failed script: f_1", "LOADING says the script", "READONLY says it"));
      case "BLPOP": return this.pop(session, words) ?? session.block(words, this);
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

  refuse(words: string[], why: string): Reply {
    const nonce = nonceOf(words);
    if (nonce !== undefined) this.sim.refusals.add(nonce);
    this.sim.refusedWrites ||= why.startsWith("READONLY");
    this.sim.say?.(`server refuses ${words.join(" ").slice(0, 100)}: ${why}`);
    return refused(why);
  }

  /** What another node of a cluster has sent; undefined if it goes. */
  put(at: string, value: string | number | string[] | undefined, until?: number): void {
    this.store.write(at, value, until);
    if (until !== undefined) this.#expireAt(at, until);
    this.sim.scene.wrote(this);
    this.#feed(at);
  }

  #write(at: string, value: string | number | string[], until?: number): void {
    this.store.write(at, value, until);
    if (until !== undefined) this.#expireAt(at, until);
    this.sim.scene.wrote(this);
  }

  #exec(session: Session): Reply {
    const { queue, spoilt } = session;
    const watched = new Map(session.watched);
    if (queue === undefined) return refused("ERR EXEC without MULTI");
    const changed = [...watched].some(([at, version]) => this.version(at) !== version);
    session.forget();
    if (spoilt) return refused("EXECABORT Transaction discarded because of previous errors.");
    if (changed) return session.nil("*");
    session.batch = this.sim.nextBatch();
    session.isWatched = watched.size > 0;
    const owners = new Set(queue.map((words) => this.sim.batchOf(nonceOf(words))));
    if (owners.size > 1) this.sim.breach("I8", `a stranger inside of MULTI: ${queue.map((words) => words.join(" ")).join(", ")}`);
    const replies = queue.map((words) => this.execute(session, words)!);
    session.batch = 0;
    session.isWatched = false;
    return array(replies);
  }

  /** Pops from the first list that is not empty. */
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
    if (what === "INFO") return bulk(`id=${id} addr=${address} laddr=${this.name} fd=8 name= db=${db} user=${user}\n`);
    if (what === "TRACKING") {
      session.tracks = true;
      return ok();
    }
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
      return bulk(`id=${other.id} addr=${other.address} laddr=${this.name} fd=8 name= age=0 idle=${idle} flags=b\n`);
    }
    if (what !== "KILL" || this.sim.deny) return refused(`NOPERM User has no permissions to run 'client|${what.toLowerCase()}'`);
    const filters = new Map<string, string>();
    for (let i = 2; i < words.length; i += 2) filters.set(words[i]!.toUpperCase(), words[i + 1]!);
    if (!this.clients.has(filters.get("ADDR")!)) {
      this.sim.breach("I6", `${this.name} is to end ${filters.get("ADDR")}, which is a connection of another server`);
    }
    const doomed = [...this.sessions].filter((other) => other !== session &&
      (filters.get("ID") ?? String(other.id)) === String(other.id) && (filters.get("ADDR") ?? other.address) === other.address);
    for (const other of doomed) other.kill(FIN);
    this.sim.say?.(`link ${session.link.id}: kills ${doomed.map(({ link }) => link.id).join() || "nobody"}`);
    return integer(doomed.length);
  }
}

/** One client as the server knows it. */
export class Session {
  readonly host: Host;
  readonly link: Link;
  readonly id: number;
  readonly address: string;
  #input = "";
  #state: "new" | "open" | "ending" | "closed" = "new";
  /** The command that blocks it, and the server where it waits. */
  #blocked: { words: string[]; server: Server } | undefined;
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
  /** Number of the EXEC that runs, and whether WATCH preceded it. */
  batch = 0;
  isWatched = false;
  /** The role that the server has said it has. */
  role: "master" | "slave" | undefined;
  /** The next command follows ASKING. */
  asking = false;
  /** The owners in its last CLUSTER SLOTS. */
  owners: readonly ClusterNode[] = [];
  /** Whether it gets pushes for the keys that it reads. */
  tracks = false;
  /** When it last received bytes. */
  heard = 0;
  /** Whether its next reply never ends. */
  endless = false;

  constructor(host: Host, link: Link) {
    this.host = host;
    this.link = link;
    this.address = `10.0.9.9:${50_000 + link.id}`;
    host.clients.add(this.address);
    this.id = 100 + host.clients.size; // servers have the same ids
    this.known = host.login.password === undefined;
  }

  open(): void {
    this.#state = "open";
    this.host.sessions.add(this);
  }

  arrived(segment: Segment): void {
    if (this.#state === "closed" || this.#state === "new") return this.link.down.send(RST);
    if (typeof segment === "string") this.heard = this.host.sim.now;
    if (typeof segment === "string") this.#input += segment;
    else this.#state = "ending";
    if (segment === RST && this.host.sim.chance.of(0.5)) this.#input = "";
    this.work();
  }

  /** Does what has arrived, command by command; what came before the end is done in spite of it. */
  work(): void {
    if (this.host.frozen) return;
    if (this.#overdue) this.#giveUp();
    while (this.#blocked === undefined && this.#state !== "closed") {
      const words = this.#take();
      if (words === undefined) break;
      const reply = this.host.execute(this, words);
      if (reply !== undefined) this.say(this.endless ? "*2\r\n$5\r\nhello\r\n*1000\r\n" : reply.wire, reply.read);
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

  say(wire: string, read?: () => void): void {
    if (this.#state !== "closed") this.link.say(wire, read);
  }

  kill(how: typeof FIN | typeof RST): void {
    if (this.#state === "closed" || this.#state === "new") return;
    this.#state = "closed";
    this.host.sessions.delete(this);
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
    if (this.host.sim.old) return refused("ERR unknown command 'HELLO', with args beginning with: ");
    const auth = words.indexOf("AUTH");
    const wrong = auth > 0 ? this.login(words[auth + 1]!, words[auth + 2]!) : undefined;
    if (wrong !== undefined) return wrong;
    if (!this.known) return refused("NOAUTH HELLO must be called with the client already authenticated");
    if (words.includes("SETNAME")) this.name = words[words.indexOf("SETNAME") + 1]!;
    this.protocol = Number(words[1]);
    const own = this.host.report(this);
    if (this.host.sim.near !== undefined) own.push(bulk("version"), bulk("7.0.15"));
    const report = [bulk("server"), bulk("redis"), bulk("proto"), integer(3), bulk("id"), integer(this.id), ...own];
    return { wire: `%${report.length / 2}\r\n${report.map(({ wire }) => wire).join("")}` };
  }

  login(user: string, password: string): Reply | undefined {
    const { login, sim } = this.host;
    if (sim.scene.isForeign(this.host, password)) sim.breach("I10", `${this.host.name} is told a password of another kind of host`);
    if (user !== (login.username ?? "default") || password !== login.password) return refused("WRONGPASS invalid");
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

  block(words: string[], server: Server): undefined {
    const mine = this.#blocked = { words, server };
    const { sim } = server;
    sim.at(sim.now + Number(words.at(-1)) * 1_000, () => {
      if (this.#blocked !== mine) return;
      if (server.frozen) this.#overdue = true;
      else this.#giveUp();
      this.work();
    });
  }

  #giveUp(): void {
    this.#overdue = false;
    if (this.#blocked === undefined) return;
    this.#blocked.server.note(this, this.#blocked.words, null);
    this.#blocked = undefined;
    this.say(this.nil("*").wire);
  }

  /** Ends the command that blocks it, as CLIENT UNBLOCK ERROR does; returns whether there was one. */
  release(why = "UNBLOCKED client unblocked via CLIENT UNBLOCK"): boolean {
    if (this.#blocked === undefined) return false;
    this.#blocked = undefined;
    this.#overdue = false;
    this.say(refused(why).wire);
    this.host.sim.at(this.host.sim.now, () => this.work());
    return true;
  }

  /** The command that blocks it. */
  get blocked(): string[] | undefined {
    return this.#blocked?.words;
  }

  waitsFor(at: string): boolean {
    return this.#blocked?.words.some((key) => this.#blocked!.server.at(this, key) === at) === true;
  }

  unblock(): void {
    const reply = this.#blocked?.server.pop(this, this.#blocked.words);
    if (reply === undefined) return;
    this.#blocked = undefined;
    this.say(reply.wire);
    this.work();
  }
}

// ==== Sentinels ====

/** The master's address and epoch, as a Sentinel reports them. */
export type Word = { epoch: number; ip: string; port: number };

type Listed = { sentinels: readonly Sentinel[]; servers: readonly Server[] };

export class Sentinel extends Host {
  /** The master that it knows. */
  view: Word;
  /** Returns a false master that it names for a while. */
  lie: (() => Word | undefined) | undefined;
  /** Whether it knows the name at all. */
  knows = true;
  /** Whether it considers the master down. */
  isDown = false;
  readonly login: Login;
  /** All Sentinels, and all servers. */
  readonly #all: () => Listed;
  /** Its last answer, and whether that was a lie. */
  #said: Word;
  #lied = false;

  constructor(sim: Simulation, ip: string, view: Word, login: Login, all: () => Listed) {
    super(sim, ip, 26_379);
    this.view = this.#said = view;
    this.login = login;
    this.#all = all;
  }

  override report(): Reply[] {
    return [bulk("mode"), bulk("sentinel")];
  }

  override written(link: Link, text: string): void {
    if (text.toLowerCase().includes("get-master-addr-by-name")) this.sim.scene.asked(link);
  }

  tell(event: string, text: string): void {
    if (!this.down) this.hear(event, text);
  }

  execute(session: Session, words: string[]): Reply | undefined {
    const [name, what] = words.map((word) => word.toUpperCase());
    if (!session.known && name !== "HELLO" && name !== "AUTH") return refused("NOAUTH Authentication required.");
    switch (name) {
      case "HELLO": return session.hello(words);
      case "AUTH": return session.login(words.length > 2 ? words[1]! : "default", words.at(-1)!) ?? ok();
      case "PING": return ok("PONG");
      case "CLIENT": return refused("ERR unknown subcommand");
      case "SUBSCRIBE": return session.listen(name, words[1]!);
      case "SENTINEL": return what === "MYID" ? bulk(this.ip) : this.#answer(what!, session);
      default:
        this.sim.breach("I1", `Sentinel ${this.name} is told ${words.join(" ")}`);
        return refused(`ERR unknown command '${words[0]}', with args beginning with: `);
    }
  }

  #answer(what: string, session: Session): Reply {
    if (!this.knows) return what === "GET-MASTER-ADDR-BY-NAME" ? session.nil("*") : refused("ERR No such master with that name");
    const { servers, sentinels } = this.#all();
    const flags = (role: string, host: Host): string => host.down ? `s_down,${role}` : role;
    const at = ({ ip, port }: { ip: string; port: number }): string[] => ["ip", ip, "port", String(port)];
    const isMaster = (server: Server): boolean => server.ip === this.#said.ip && server.port === this.#said.port;
    switch (what) {
      case "GET-MASTER-ADDR-BY-NAME":
        this.#said = this.lie?.() ?? this.view;
        this.#lied = this.#said !== this.view;
        return texts(this.#said.ip, this.#said.port);
      case "MASTER":
        return texts("name", "mymaster", ...at(this.#said), "flags", this.isDown ? "s_down,o_down,master" : "master",
          "config-epoch", this.#said.epoch, "down-after-milliseconds", 200);
      case "SENTINELS":
        return array(sentinels.filter((other) => other !== this).map((other) =>
          texts("name", other.ip, ...at(other), "runid", other.ip, "flags", flags("sentinel", other))));
      default: { // REPLICAS
        const replicas = servers.filter((server) => !isMaster(server));
        const said = this.#said;
        const reply = array(replicas.map((server) =>
          texts("name", server.name, ...at(server), "runid", server.runId, "flags", flags("slave", server),
            "slave-priority", 100, "role-reported", server.role)));
        const isLie = this.#lied;
        return { ...reply, read: () => this.sim.scene.told(said, isLie) };
      }
    }
  }
}

// ==== Clusters ====

/** A range of slots that move together; its owner, and the epoch of that. */
export type Range = { readonly first: number; readonly last: number };
export type Ownership = { owner: ClusterNode; epoch: number };

/** CRC-16/XMODEM of the tag of a key, bit by bit. */
export function slotOf(key: string): number {
  const [, tag] = /\{(.+?)\}/.exec(key) ?? [key, key];
  let crc = 0;
  for (const char of tag!) {
    crc ^= char.charCodeAt(0) << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc % 16_384;
}

export class ClusterNode extends Server {
  readonly ranges: readonly Range[];
  /** The owner of each range, in its view. */
  readonly view: Ownership[] = [];
  readonly migrating = new Map<number, ClusterNode>();
  readonly importing = new Set<number>();
  /** Wrong nodes to which it redirects commands for a range, for a while. */
  readonly misleads = new Map<number, ClusterNode>();
  readonly #replicas: (of: ClusterNode) => readonly ClusterNode[];

  constructor(sim: Simulation, ip: string, ranges: readonly Range[], replicas: (of: ClusterNode) => readonly ClusterNode[]) {
    super(sim, ip, 7_000);
    this.ranges = ranges;
    this.#replicas = replicas;
  }

  get epoch(): number {
    return Math.max(...this.view.map(({ epoch }) => epoch));
  }

  /** Takes over the owners that are newer than those it knows. */
  learn(of: readonly Ownership[]): void {
    for (const [at, known] of of.entries()) {
      if (known.epoch <= (this.view[at]?.epoch ?? 0)) continue;
      this.view[at] = { ...known };
      this.migrating.delete(at);
      if (known.owner === this) continue;
      this.importing.delete(at);
      for (const session of this.sessions) {
        const { blocked } = session;
        if (blocked !== undefined && this.rangeOf(blocked[1]!) === at) {
          this.sim.scene.named(at, known.owner, "MOVED");
          session.release(`MOVED ${slotOf(blocked[1]!)} ${known.owner.name}`);
        }
      }
    }
  }

  rangeOf(key: string): number {
    const slot = slotOf(key);
    return this.ranges.findIndex(({ first, last }) => slot >= first && slot <= last);
  }

  /** The keys that it has of a range. */
  keysOf(range: number): string[] {
    return [...this.store.data.keys()].filter((at) => this.rangeOf(at.slice(2)) === range);
  }

  static keysIn(words: readonly string[]): readonly string[] {
    switch (words[0]!.toUpperCase()) {
      case "GET": case "PTTL": case "SET": case "INCR": case "RPUSH": return [words[1]!];
      case "BLPOP": return words.slice(1, -1);
      case "WATCH": return words.slice(1);
      case "EVAL": return [words[3]!];
      default: return [];
    }
  }

  override execute(session: Session, words: string[]): Reply | undefined {
    const name = words[0]!.toUpperCase();
    if (session.known && name === "ASKING") {
      session.asking = true;
      return ok();
    }
    if (session.known && name === "CLUSTER") return words[1]!.toUpperCase() === "SLOTS" ? this.#slots(session) : this.#info(session);
    const { queue } = session;
    const keys = name === "EXEC" ? (queue ?? []).flatMap(ClusterNode.keysIn) : ClusterNode.keysIn(words);
    const no = session.known && keys.length > 0 && session.batch === 0 ? this.#redirection(session, keys, words) : undefined;
    let reply: Reply | undefined;
    if (no === undefined) reply = super.execute(session, words);
    else {
      reply = no;
      this.sim.say?.(`${this.name} answers ${words.join(" ").slice(0, 80)}: ${no.wire.trim()}`);
      if (name === "EXEC") {
        if (session.spoilt) reply = refused("EXECABORT Transaction discarded because of previous errors.");
        session.forget();
      } else if (queue !== undefined) session.spoilt = true;
    }
    if (session.queue === undefined) session.asking = false;
    return reply;
  }

  /** The redirection or refusal of a command; undefined if this node executes it. */
  #redirection(session: Session, keys: readonly string[], words: string[]): Reply | undefined {
    const slot = slotOf(keys[0]!);
    const range = this.rangeOf(keys[0]!);
    if (keys.some((key) => slotOf(key) !== slot)) return refused("CROSSSLOT Keys in request don't hash to the same slot");
    if (nonceOf(words) !== undefined) this.sim.scene.routed(this, range, session.asking, words);
    const { owner } = this.view[range]!;
    const present = keys.filter((key) => this.store.data.has(this.at(session, key))).length;
    const to = (how: "MOVED" | "ASK", node: ClusterNode): Reply => {
      for (const each of [words, ...session.queue ?? []]) this.sim.redirections.add(`${nonceOf(each)} ${this.name}`);
      return { ...refused(`${how} ${slot} ${node.name}`), read: () => this.sim.scene.named(range, node, how) };
    };
    const tryAgain = (): Reply => {
      for (const queued of session.queue ?? []) this.sim.refusals.add(nonceOf(queued)!); // others do not wait for these keys
      return this.refuse(words, "TRYAGAIN Multiple keys request during rehashing of slot");
    };
    const wrong = this.misleads.get(range);
    if (wrong !== undefined) return to("MOVED", wrong);
    if (owner === this && this.role === "master") {
      const target = this.migrating.get(range);
      if (target === undefined || present === keys.length) return undefined;
      const nonce = nonceOf(words);
      if (nonce !== undefined && this.keysOf(range).length > 0) this.sim.mayBeOvertaken(nonce); // by those whose keys are here
      return present > 0 ? tryAgain() : to("ASK", target);
    }
    if (!this.importing.has(range) || !session.asking) return to("MOVED", owner);
    return keys.length > 1 && present < keys.length ? tryAgain() : undefined;
  }

  #slots(session: Session): Reply {
    const node = ({ ip, port, runId }: ClusterNode): Reply => array([bulk(ip), integer(port), bulk(runId)]);
    const view = session.owners = this.view.map(({ owner }) => owner);
    const reply = array(this.ranges.map(({ first, last }, i) =>
      array([integer(first), integer(last), node(view[i]!), ...this.#replicas(view[i]!).map(node)])));
    return { ...reply, read: () => view.forEach((owner, range) => this.sim.scene.named(range, owner, "SLOTS")) };
  }

  /** The driver asks for it behind CLUSTER SLOTS. */
  #info({ owners }: Session): Reply {
    const { epoch } = this;
    const reply = bulk(`cluster_state:ok\r\ncluster_current_epoch:${epoch}\r\n`);
    return { ...reply, read: () => this.sim.scene.mapped(epoch, owners) };
  }
}

// The network of the simulator, and the chance and time that it runs under: links between the driver and hosts, each two
// pipes in which bytes are cut, delayed, held and lost.

import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import { setImmediate } from "node:timers";
import type { Host, Session } from "./model.ts";
import type { Simulation } from "./sim.ts";

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

export type Task = { at: number; order: number; run: (() => void) | undefined };

/** Tasks with their times, the earliest first: a binary heap. */
export class Agenda {
  readonly #heap: Task[] = [];
  #order = 0;

  get next(): number {
    while (this.#heap.length > 0 && this.#heap[0]!.run === undefined) this.take();
    return this.#heap[0]?.at ?? Infinity;
  }

  /** Number of tasks that have not been cancelled. */
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

/** Resolves when all promises that can be settled now have been, and their reactions have run. */
export const quiet = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// ==== The network ====

const MOST_WRITES = 2_000;

export const FIN = Symbol("fin");
export const RST = Symbol("rst");
export type Segment = string | typeof FIN | typeof RST;

/** One direction of a link: bytes arrive in order, cut anywhere, some time later; or much later, or never. */
class Pipe {
  readonly #sim: Simulation;
  readonly #host: Host;
  readonly #arrived: (segment: Segment) => void;
  readonly #way: Segment[] = [];
  #last = 0;
  /** Segments whose time came while the pipe was held. */
  #late = 0;
  held = false;
  dead = false;
  /** Bytes that the other side has not taken. */
  onWay = 0;

  constructor(sim: Simulation, host: Host, arrived: (segment: Segment) => void) {
    this.#sim = sim;
    this.#host = host;
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

  /** Joins bytes to those before them if they would arrive at the same time. */
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
    if (this.held || this.#sim.hole || this.#host.away) {
      this.#late++;
      return;
    }
    const segment = this.#way.shift();
    if (segment === undefined || this.dead) return;
    if (typeof segment === "string") this.onWay -= segment.length;
    this.#arrived(segment);
  }

  /** Lets the segments arrive that were held. */
  heal(): void {
    this.held = false;
    const late = this.#late;
    this.#late = 0;
    for (let i = 0; i < late; i++) this.#sim.at(this.#sim.now + this.#sim.latency(), () => this.#arrive());
  }

  /** Loses a random number of the last segments that have not arrived. */
  cut(): void {
    this.#way.length = this.#sim.chance.below(this.#way.length + 1);
  }
}

/** A connection: the driver's socket, two pipes, and a session of a host. */
export class Link {
  readonly #sim: Simulation;
  readonly id: number;
  readonly host: Host;
  readonly up: Pipe;
  readonly down: Pipe;
  readonly socket: VirtualSocket;
  readonly session: Session;
  /** All that was handed to the socket. */
  readonly written: string[] = [];
  /** Numbers of bytes that the host has written and that the driver has read; callbacks for when it has read so many. */
  #said = 0;
  #read = 0;
  readonly #marks: { at: number; run: () => void }[] = [];

  constructor(sim: Simulation, id: number, host: Host) {
    this.#sim = sim;
    this.id = id;
    this.host = host;
    this.socket = new VirtualSocket(sim, this);
    this.session = host.session(this);
    this.up = new Pipe(sim, host, (segment) => {
      this.session.arrived(segment);
      this.socket.pump();
    });
    this.down = new Pipe(sim, host, (segment) => this.socket.arrived(segment));
  }

  /** Sends bytes of the host; `read` is called before the driver reads the last of them. */
  say(wire: string, read?: () => void): void {
    this.#said += wire.length;
    if (read !== undefined) this.#marks.push({ at: this.#said, run: read });
    this.down.send(wire);
  }

  reads(bytes: number): void {
    this.#read += bytes;
    while (this.#marks.length > 0 && this.#marks[0]!.at <= this.#read) this.#marks.shift()!.run();
  }

  heal(): void {
    this.up.heal();
    this.down.heal();
  }

  /** Ends it for the driver; the server does not notice for a while. */
  split(time: number): void {
    this.#sim.say?.(`link ${this.id}: split for ${time.toFixed(1)}`);
    this.up.held = true;
    this.down.send(this.#sim.chance.pick<typeof FIN | typeof RST>(FIN, RST));
    this.#sim.at(this.#sim.now + time, () => this.heal());
  }
}

/** A written buffer: its memory, and a copy of its text at the time of the write. */
type Chunk = { bytes: Buffer; text: string };

/** The part of net.Socket that the driver uses. Like that, it reads written memory only when the system takes it. */
class VirtualSocket extends EventEmitter {
  readonly #sim: Simulation;
  readonly #link: Link;
  /** Buffers that the system has not taken yet, and their length. */
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
    if (this.#sim.hole || this.#link.host.away) return void this.#sim.holed.push(() => this.connect());
    if (this.#link.host.down) return this.#break("ECONNREFUSED");
    this.remotePort = this.#link.host.port;
    this.#link.session.open();
    this.#sim.say?.(`link ${this.#link.id}: connected to ${this.#link.host.name}`);
    this.#tell("connect");
  }

  /** Reports more bytes than there are in some runs, so that the driver holds back. */
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
    this.#link.host.written(this.#link, text);
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

  /** A slow socket, as any that encrypts, takes nothing at once, and may break while the driver waits for it. */
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
    this.#link.reads(segment.length);
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
    if (!this.destroyed && this.remotePort === undefined) this.#sim.trouble(this.#link.host, 0); // it connects too slowly
    if (!this.#end()) return this;
    this.#sim.say?.(`link ${this.#link.id}: closed`);
    this.#link.up.send(FIN);
    return this;
  }

  /** Bytes on the network may still arrive; bytes that the system holds do not. */
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
    this.#sim.near?.lost(this.#link);
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

// A proxy between a client and a server that does to them what networks do: it cuts a connection after any byte of
// either direction, by FIN or by RST, holds bytes and gives them later, delays and slices them, and loses single replies.
// It finds the ends of replies, in RESP2 and RESP3, and knows nothing else about Redis; nothing here imports redis.ts.

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type NetConnectOpts, type Server, type Socket } from "node:net";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";

/** How a connection ends: in good order, or broken off. */
export type Cut = "fin" | "rst";

/** What becomes of a reply: it passes; is lost; it and all behind it wait; the cut comes in its place; or other bytes do. */
export type Fate = "pass" | "swallow" | "hold" | Cut | { instead: string };

/** A command on its way, the `nth` of its connection, counted from 1. */
export type Asked = { words: string[]; nth: number; link: Link };

// ==== Where messages end ====

type Piece = { bytes: Buffer; kind: string; begins: boolean; ends: boolean };

/** Cuts a stream of RESP, chunk by chunk, at the ends of its outermost values: replies, pushes, or commands. */
export class Boundaries {
  /** How many elements are still to come of each value that is open, the innermost last. */
  #open: number[] = [];
  #line = "";
  #skip = 0;
  /** The first byte of the value under way; "" between values. */
  #kind = "";

  *pieces(chunk: Buffer): Generator<Piece> {
    let [start, begins] = [0, this.#kind === ""];
    for (let at = 0; at < chunk.length; ) {
      if (this.#kind === "") this.#kind = String.fromCharCode(chunk[at]!);
      at = this.#advance(chunk, at);
      if (this.#skip > 0 || this.#line !== "" || this.#open.length > 0) continue;
      yield { bytes: chunk.subarray(start, at), kind: this.#kind, begins, ends: true };
      [start, begins, this.#kind] = [at, true, ""];
    }
    if (start < chunk.length) yield { bytes: chunk.subarray(start), kind: this.#kind, begins, ends: false };
  }

  /** One line, or as much of one, or of the bytes of a string, as the chunk has. */
  #advance(chunk: Buffer, at: number): number {
    if (this.#skip > 0) {
      const taken = Math.min(this.#skip, chunk.length - at);
      this.#skip -= taken;
      if (this.#skip === 0) this.#close();
      return at + taken;
    }
    const newline = chunk.indexOf("\n", at);
    const end = newline < 0 ? chunk.length : newline + 1;
    this.#line += chunk.toString("latin1", at, end);
    if (newline >= 0) {
      const [kind = "", length] = [this.#line[0], Number(this.#line.slice(1))];
      this.#line = "";
      this.#value(kind, length);
    }
    return end;
  }

  #value(kind: string, length: number) {
    if ("$=!".includes(kind) && length >= 0) this.#skip = length + 2;
    else if ("*~>".includes(kind) && length > 0) this.#open.push(length);
    else if (kind === "%" && length > 0) this.#open.push(2 * length);
    // What an attribute is about follows it, and is one value with it.
    else if (kind === "|") this.#open.push(2 * length + 1);
    else this.#close();
  }

  /** A value is complete, and with it perhaps those around it. */
  #close() {
    while (this.#open.length > 0 && --this.#open[this.#open.length - 1]! === 0) this.#open.pop();
  }
}

// ==== One direction of a connection ====

/** Breaks a connection off. Node cannot reset one that is just being ended, and would keep its handle for ever. */
function reset(socket: Socket) {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

/** Bytes on their way, and behind them how they end. */
export class Flow {
  /** Bytes that were given on. */
  passed = 0;
  readonly #proxy: Proxy;
  readonly #link: Link;
  readonly #from: Socket;
  readonly #to: Socket;
  #queue: (Buffer | Cut)[] = [];
  #held = false;
  #pumping = false;
  #last: { byte: number; cut: Cut } | undefined;

  constructor(proxy: Proxy, link: Link, from: Socket, to: Socket, read: (flow: Flow, chunk: Buffer) => void) {
    this.#proxy = proxy;
    this.#link = link;
    this.#from = from;
    this.#to = to;
    from.on("data", (chunk) => read(this, chunk));
    from.on("end", () => this.push("fin"));
    from.on("error", () => this.push("rst"));
  }

  /** Gives on that many bytes more, then cuts the connection. */
  cutAfter(bytes: number, cut: Cut) {
    this.#last = { byte: this.passed + bytes, cut };
    if (bytes === 0) this.#link.cut(cut);
  }

  hold() {
    this.#held = true;
  }

  /** Gives on what was held, in its order, even if who sent it is long gone. */
  release() {
    this.#held = false;
    void this.#pump();
  }

  /** What is held: with onReply, each reply and each push by itself, or a part of one. */
  get held(): readonly (Buffer | Cut)[] {
    return this.#queue;
  }

  /** Gives on what was held in one write, in another order. */
  releaseAs(arrange: (held: Buffer[]) => Buffer[]) {
    this.#queue = [Buffer.concat(arrange(this.#queue.filter((item) => typeof item !== "string")))];
    this.release();
  }

  push(item: Buffer | Cut) {
    this.#queue.push(item);
    void this.#pump();
  }

  async #pump() {
    if (this.#pumping) return;
    this.#pumping = true;
    while (!this.#held && this.#queue.length > 0) {
      const delay = this.#proxy.delay?.() ?? 0;
      if (delay > 0) await sleep(delay);
      for (let due = this.#queue.length; due > 0 && !this.#held; due--) { // and what came meanwhile goes with it
        const item = this.#queue.shift();
        if (item === "fin") this.#to.end();
        else if (item === "rst") reset(this.#to);
        else if (item) await this.#give(item); // else a cut has emptied the queue
      }
    }
    this.#pumping = false;
  }

  async #give(bytes: Buffer) {
    const rest = this.#last ? this.#last.byte - this.passed : Infinity;
    const due = bytes.subarray(0, rest);
    const { slice } = this.#proxy;
    for (let at = 0; at < due.length; at += slice) {
      const part = slice < due.length ? due.subarray(at, at + slice) : due;
      this.passed += part.length;
      this.#write(part);
      if (slice < due.length) await turn();
    }
    if (bytes.length < rest || this.#last === undefined) return;
    const { cut } = this.#last;
    this.#queue = [];
    this.#to.write("", () => this.#link.cut(cut)); // behind what was written
  }

  #write(bytes: Buffer) {
    if (this.#to.destroyed || this.#to.writableEnded || this.#to.write(bytes)) return;
    this.#from.pause();
    this.#to.once("drain", () => this.#from.resume());
  }
}

// ==== One connection ====

export class Link {
  /** 1 for the first connection. */
  readonly id: number;
  /** Towards the server, and towards the client. */
  readonly up: Flow;
  readonly down: Flow;
  /** When the client has left it. */
  readonly left: Promise<void>;
  readonly #proxy: Proxy;
  readonly #sockets: Socket[];
  #commands = new Boundaries();
  #replies = new Boundaries();
  #unread: Buffer[] = [];
  #asked: Asked[] = [];
  #nth = 0;
  #fate: Fate = "pass";

  constructor(proxy: Proxy, id: number, client: Socket, server: Socket) {
    this.#proxy = proxy;
    this.id = id;
    this.#sockets = [client, server];
    this.left = new Promise((resolve) => {
      for (const event of ["end", "error", "close"]) client.once(event, () => resolve());
    });
    this.up = new Flow(proxy, this, client, server, (flow, chunk) => this.#ask(flow, chunk));
    this.down = new Flow(proxy, this, server, client, (flow, chunk) => this.#reply(flow, chunk));
  }

  get open(): boolean {
    return this.#sockets.every((socket) => !socket.destroyed);
  }

  /** What the server takes for the client's address. */
  get address(): string {
    const { localAddress, localPort } = this.#sockets[1]!;
    return `${localAddress}:${localPort}`;
  }

  /** Whether both sides know that it has ended. */
  get gone(): boolean {
    return this.#sockets.every((socket) => socket.destroyed);
  }

  /** Ends both sides now. */
  cut(cut: Cut) {
    if (!this.open) return;
    this.#proxy.faults++;
    for (const socket of this.#sockets) {
      if (cut === "rst") reset(socket);
      else socket.removeAllListeners("data").resume().end(); // unread bytes would make a reset of it
    }
  }

  hold() {
    this.#proxy.faults++;
    this.up.hold();
    this.down.hold();
  }

  release() {
    this.up.release();
    this.down.release();
  }

  destroy() {
    for (const socket of this.#sockets) socket.destroy();
  }

  #ask(flow: Flow, chunk: Buffer) {
    if (this.#proxy.onReply) for (const { bytes, ends } of this.#commands.pieces(chunk)) {
      this.#unread.push(bytes);
      if (!ends) continue;
      const words = Buffer.concat(this.#unread).toString().split("\r\n").filter((_, at) => at > 0 && at % 2 === 0);
      this.#asked.push({ words, nth: ++this.#nth, link: this });
      this.#unread = [];
    }
    flow.push(chunk);
  }

  #reply(flow: Flow, chunk: Buffer) {
    const { onReply } = this.#proxy;
    if (!onReply) return flow.push(chunk);
    for (const { bytes, kind, begins } of this.#replies.pieces(chunk)) {
      const asked = begins && kind !== ">" ? this.#asked.shift() : undefined;
      if (begins) this.#fate = asked ? onReply(asked) : "pass";
      const fate = this.#fate;
      if (begins && fate !== "pass") this.#proxy.faults++;
      if (fate === "hold") flow.hold();
      if (fate === "pass" || fate === "hold") flow.push(bytes);
      else if (fate === "fin" || fate === "rst") this.cut(fate);
      else if (begins && fate !== "swallow") flow.push(Buffer.from(fate.instead));
    }
  }
}

// ==== The proxy ====

export class Proxy {
  readonly host = "127.0.0.1";
  port = 0;
  /** All connections ever made, in their order, and when. */
  readonly links: Link[] = [];
  readonly times: number[] = [];
  faults = 0;
  /** Where new connections lead. */
  target: NetConnectOpts;
  /** Milliseconds that what is on its way waits. */
  delay: (() => number) | undefined;
  /** The most bytes that are given on at once. */
  slice = Infinity;
  /** New connections are broken off. */
  refuse = false;
  /** What becomes of each reply. Set it before the connections are made: each command is matched with its reply. */
  onReply: ((asked: Asked) => Fate) | undefined;
  #server: Server;
  #hole = false;

  private constructor(target: NetConnectOpts) {
    this.target = target;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  static async start(target: NetConnectOpts): Promise<Proxy> {
    const proxy = new Proxy(target);
    await once(proxy.#server.listen(0, proxy.host), "listening");
    proxy.port = (proxy.#server.address() as AddressInfo).port;
    return proxy;
  }

  get connections(): number {
    return this.links.length;
  }

  /** The connections that are open. */
  get open(): Link[] {
    return this.links.filter((link) => link.open);
  }

  /** Ends all connections. */
  cut(cut: Cut) {
    for (const link of this.open) link.cut(cut);
  }

  /** A black hole: of connections that are there, and of those to come, nothing passes and nobody is told. */
  hold() {
    this.#hole = true;
    for (const link of this.open) link.hold();
  }

  /** New connections pass again; what the hole has swallowed stays in it, until release(). */
  heal() {
    this.#hole = false;
  }

  /** Everything passes, what was held first. */
  release() {
    this.heal();
    for (const link of this.links) link.release();
  }

  async stop() {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const link of this.links) link.destroy();
    await closed;
  }

  #accept(client: Socket) {
    this.times.push(performance.now());
    if (this.refuse) {
      this.faults++;
      client.on("error", () => {}).resetAndDestroy();
      return;
    }
    const server = connect({ ...this.target, allowHalfOpen: true, noDelay: true } as NetConnectOpts);
    const link = new Link(this, this.links.length + 1, client, server);
    this.links.push(link);
    if (this.#hole) link.hold();
  }
}

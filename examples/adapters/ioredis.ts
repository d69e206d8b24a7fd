// Clients in the shape of ioredis, for libraries that are written for it: BullMQ, rate-limiter-flexible, redlock,
// @sesamecare-oss/redlock, @fastify/rate-limit, graphql-redis-subscriptions, @socket.io/redis-adapter and
// @socket.io/redis-streams-adapter. Copy this file to yours, and change its import of redis.ts.
//
//     const client = new IoRedis((name) => lazyConnection({ host: "localhost", name }));
//     const queue = new Queue("mail", { connection: client as never }); // "as never": the types want ioredis's class
//
// The function opens a handler. Each client has its own, also one that duplicate() makes, as each has a connection in
// ioredis. A single connection keeps the order of the calls; a pool does not. It may lead to the master that Sentinels
// name, or to a cluster, which looks like one server then.
//
// Commands have ioredis's names, arguments and callbacks, and replies its form as far as these libraries read them.
// While the server cannot be reached, commands fail soon instead of waiting in a queue, and the status stays "ready":
// "error" is emitted only before the first "ready". There is no WATCH, and CLIENT SETNAME does nothing.

import { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Commander, RedisError, script } from "../../redis.ts";
import type { Client, Script } from "../../redis.ts";

type Run = (on: any, words: any[]) => any;
type Definition = { lua: string; numberOfKeys?: number; readOnly?: boolean };
type Feed = { subscription?: any; turn: Promise<unknown> };

const same = (reply: unknown): unknown => reply;
const strings = (reply: any[] | null): unknown => reply?.flat().map(String) ?? null;
const entries = (list: any[]): unknown => list.map(([id, fields]) => [id, fields.flat()]);
const text = (reply: unknown): unknown => // in a cluster, each node has a text
  typeof reply === "object" && reply !== null ? Object.values(reply).join("\n") : reply;
function counts(reply: any): unknown { // in a cluster, each node counts its own subscribers
  const pairs = Array.isArray(reply) ? reply : Object.values(reply).flat();
  if (!Array.isArray(pairs[0])) return reply;
  const sums = new Map<string, number>();
  for (const [channel, n] of pairs) sums.set(channel, (sums.get(channel) ?? 0) + n);
  return [...sums].flat();
}

/** Makes ioredis's replies from ours with maps as pairs, where they differ and a library reads them. */
const replies = new Map<string, (reply: any) => unknown>(Object.entries({
  hgetall: Object.fromEntries, // BullMQ
  hscan: ([cursor, pairs]: any) => [cursor, pairs.flat()], // BullMQ: children of a flow
  zrange: strings, zrevrange: strings, bzpopmin: strings, // BullMQ: scores are text, behind their members
  zscore: (score: number | null) => score === null ? null : String(score), // BullMQ
  xread: (streams: any[] | null) => streams?.map(([name, list]) => [name, entries(list)]) ?? null, // BullMQ, socket.io
  xrange: entries, // socket.io: what a client has missed
  pubsub: counts, // socket.io: the number of servers
  info: text, client: text, // BullMQ: the version, and the names of workers
}));

/** BullMQ recognises by this text that it may try again. ioredis keeps commands back while a server loads its data. */
const asIoredis = (error: unknown): unknown => !(error instanceof RedisError) || !error.unavailable ? error
  : Object.assign(new Error("Connection is closed.", { cause: error }), { code: error.code, outcome: error.outcome });

/** Arrays are spread (socket.io, redlock), true is sent as text (@fastify/rate-limit), null as nothing (BullMQ). */
const wordsOf = (args: unknown[]): any[] =>
  args.flat().map((arg) => typeof arg === "boolean" ? String(arg) : arg ?? "");

/** Sends a call. The last argument may be a callback: @fastify/rate-limit, graphql-redis-subscriptions, socket.io. */
function call(args: unknown[], send: (words: any[]) => Promise<unknown>): Promise<unknown> {
  const callback: any = typeof args.at(-1) === "function" ? args.at(-1) : undefined;
  const reply = send(wordsOf(callback === undefined ? args : args.slice(0, -1)))
    .catch((error: unknown) => Promise.reject(asIoredis(error)));
  if (callback !== undefined) reply.then((value) => callback(null, value), callback);
  return reply;
}

export interface IoRedis { [command: string]: any }
export class IoRedis extends EventEmitter {
  /** "connecting", "ready" or "end"; BullMQ sets it, too. */
  status = "";
  /** BullMQ and socket.io look for options of ioredis in it. */
  readonly options = {};
  readonly #open: (name?: string) => Client<string>;
  /** From duplicate(), for option `name`: BullMQ finds workers by the names of their connections. */
  readonly #name: string | undefined;
  readonly #scripts = new Map<string, Run>();
  readonly #feeds = new Map<string, Feed>();
  #db: any;

  constructor(open: (name?: string) => Client<string>, name?: string) {
    super();
    this.#open = open;
    this.#name = name;
    void this.#start();
  }

  async #start(): Promise<void> {
    const db = this.#db = this.#open(this.#name).with({ maps: "pairs" }) as any;
    this.status = "connecting";
    for (;;) {
      const error = await db.ready().then(() => undefined, same);
      if (db !== this.#db || this.status === "end") return;
      if (error === undefined) break;
      if (this.listenerCount("error") > 0) this.emit("error", error);
      await sleep(100, undefined, { ref: false }); // the driver goes on trying meanwhile
    }
    this.status = "ready";
    this.emit("ready");
  }

  /** BullMQ ends the connection on which a worker waits, and opens it again. */
  async connect(): Promise<void> {
    if (this.status === "end") void this.#start();
    await this.#db.ready();
  }

  /** Closes the handler: commands may finish, except blocking ones, which are ended. */
  async quit(): Promise<"OK"> {
    const isFirst = this.status !== "end";
    this.status = "end";
    await this.#db.disconnect();
    if (isFirst) for (const event of ["close", "end"]) this.emit(event);
    return "OK";
  }

  disconnect(): void { void this.quit(); }
  duplicate(options?: { connectionName?: string }): IoRedis {
    return new IoRedis(this.#open, options?.connectionName);
  }

  pipeline(): any { return new Chain(this.#db.pipeline(), this.#scripts, "execPipeline"); }
  multi(): any { return new Chain(this.#db.pipeline(), this.#scripts, "commit"); }

  /** Makes a method of a script. Without `numberOfKeys`, its first argument is their number. */
  defineCommand(name: string, { lua, numberOfKeys, readOnly = false }: Definition): void {
    const scripts: Script<unknown>[] = [];
    const run: Run = (on, words) => {
      const keys = numberOfKeys ?? Number(words.shift());
      return (scripts[keys] ??= script(lua, { keys, readonly: readOnly }))(on, ...words);
    };
    this.#scripts.set(name, run);
    this[name] = (...args: unknown[]) => call(args, (words) => run(this.#db, words));
  }

  call(name: string, ...args: unknown[]): Promise<unknown> {
    const row = name.toLowerCase();
    // BullMQ names the connection on which it reads events, once that is open.
    if (row === "client" && String(args[0]).toUpperCase() === "SETNAME") return Promise.resolve("OK");
    return call(args, (words) => this.#db.call(row, ...words).then(replies.get(row)));
  }

  /** Listens to channels (kind ""), patterns ("p") or shard channels ("s"), or leaves them, in the order of the calls. */
  protected listen(kind: string, isEnd: boolean, args: unknown[]): Promise<unknown> {
    const feed: Feed = this.#feeds.get(kind) ?? { turn: Promise.resolve() };
    this.#feeds.set(kind, feed);
    return call(args, (channels) => {
      const done = feed.turn.then(async () => {
        const isOpen = feed.subscription !== undefined && feed.subscription.state !== "ended";
        if (isOpen) await feed.subscription[isEnd ? "unsubscribe" : "subscribe"](...channels);
        else if (!isEnd) {
          const hear = (item: any): void => item.gap === undefined ? this.#hear(kind, item) : undefined;
          feed.subscription = await this.#db.with({ charset: null })[`${kind}subscribe`](channels, hear);
        }
        return feed.subscription?.channels.length ?? 0;
      });
      feed.turn = done.catch(same);
      return done;
    });
  }

  #hear(kind: string, { pattern, channel, message }: Record<string, Buffer>): void {
    const parts = kind === "p" ? [String(pattern), channel, message] : [channel, message];
    this.emit(`${kind}messageBuffer`, ...parts); // socket.io
    if (this.listenerCount(`${kind}message`) > 0) this.emit(`${kind}message`, ...parts.map(String));
  }
}

interface Chain { [command: string]: any }
/** A pipeline or a transaction, whose exec() gives [error, reply] of each command. */
class Chain {
  readonly #pipeline: any;
  readonly #how: "commit" | "execPipeline";
  readonly #readers: ((reply: unknown) => unknown)[] = [];

  constructor(pipeline: unknown, scripts: ReadonlyMap<string, Run>, how: "commit" | "execPipeline") {
    this.#pipeline = pipeline;
    this.#how = how;
    for (const [name, run] of scripts) this[name] = (...args: unknown[]) => this.#add(same, args, run);
  }

  #add(read: (reply: any) => unknown, args: unknown[], run: Run): this {
    run(this.#pipeline, wordsOf(args));
    this.#readers.push(read);
    return this;
  }

  call(name: string, ...args: unknown[]): this {
    return this.#add(replies.get(name) ?? same, args, (on, words) => on.call(name, ...words));
  }

  exec(...args: unknown[]): Promise<unknown> {
    return call(args, async () => (await this.#pipeline[this.#how]({ errors: "return" }) as unknown[]).map((reply, i) =>
      reply instanceof Error ? [asIoredis(reply), undefined] : [null, this.#readers[i]!(reply)]));
  }
}

// Our xinfoStream() is xinfo("STREAM") in ioredis; send_command is for socket.io.
const methods = Object.keys(Object.getPrototypeOf(Commander.prototype));
for (const name of new Set(methods.map((method) => method.replace(/[A-Z].*/, "")))) {
  for (const { prototype } of [IoRedis, Chain]) {
    prototype[name] ??= function (...args: unknown[]) { return this["call"](name, ...args); };
  }
}
IoRedis.prototype["send_command"] = IoRedis.prototype.call;
for (const kind of ["", "p", "s"]) {
  IoRedis.prototype[`${kind}subscribe`] = function (...args: unknown[]) { return this["listen"](kind, false, args); };
  IoRedis.prototype[`${kind}unsubscribe`] = function (...args: unknown[]) { return this["listen"](kind, true, args); };
}

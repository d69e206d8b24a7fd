// A redis.ts handler in the shape of a node-redis 5 client (package redis), for libraries that expect one. Copy this
// file, and pass nodeRedis(db) as their client:
//
//     const db = lazyConnectionPool({ host: "10.0.0.1" });
//     app.use(session({ store: new RedisStore({ client: nodeRedis(db) }), ... }));
//
// It has what these libraries call, and nothing else: connect-redis 9, @keyv/redis 5 (and so cache-manager 7),
// @socket.io/redis-adapter 8, @socket.io/redis-streams-adapter 0.3. For another one, add a line to CALLS. The handler
// may be of one server, of a master that Sentinels watch, or of a cluster. Use a pool: duplicates share the handler,
// and each stream that socket.io reads takes one of its connections.

import { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { ClusterHandler, RedisError } from "../../redis.ts";
import type { Handler, ShardedHandler, Subscription } from "../../redis.ts";

type Listener = (message: any, channel: any) => unknown;
type Kind = "subscribe" | "psubscribe" | "ssubscribe";
type Adding = [channels: string | string[], listener: Listener, inBytes?: boolean];
type Removing = [channels?: string | string[], listener?: Listener];
type Entry = [id: string, message: Record<string, string>];

/** { expiration: { type: "EX", value: 60 } } is { EX: 60 }, which node-redis takes, too. */
const expiring = ({ expiration, ...options }: any = {}) =>
  expiration === undefined ? options : { ...options, [expiration.type]: expiration.value };
const trimming = ({ TRIM }: any = {}) =>
  TRIM === undefined ? {} : { [TRIM.strategy]: [TRIM.strategyModifier ?? "=", TRIM.threshold] };

/** Commands of node-redis: the method of redis.ts, and its arguments. */
const CALLS: Record<string, (...args: any[]) => [method: string, ...args: unknown[]]> = {
  get: (key) => ["get", key],
  set: (key, value, options) => ["set", key, value, expiring(options)],
  mGet: (keys) => ["mget", keys],
  exists: (keys) => ["exists", keys],
  del: (keys) => ["del", keys],
  expire: (key, seconds) => ["expire", key, seconds], // connect-redis
  unlink: (keys) => ["unlink", keys], // keyv
  flushDb: () => ["flushdb"], // keyv with noNamespaceAffectsAll
  publish: (channel, message) => ["publish", channel, message], // socket.io
  sPublish: (channel, message) => ["spublish", channel, message],
  xAdd: (key, id, fields, options) => ["xadd", key, trimming(options), id, fields],
};
const callsTo = <T>(run: (method: string, args: unknown[]) => T): Record<string, (...args: any[]) => T> =>
  Object.fromEntries(Object.entries(CALLS).map(([name, call]) => [name, (...args) => {
    const [method, ...changed] = call(...args);
    return run(method, changed);
  }]));

/** Repeats a call while the server is away, until the handler is closed: so long do the calls of node-redis wait. */
async function persist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof RedisError) || !error.unavailable || error.code === "CLOSED") throw error;
      await sleep(100, undefined, { ref: false });
    }
  }
}

/** Nobody listens on a closed handler, and socket.io does not await the promises of these calls. */
const unlessClosed = (change: Promise<void>): Promise<void> =>
  change.catch((error: { code?: string }) => { if (error.code !== "CLOSED") throw error; });

/** Listeners of one kind, on one connection: socket.io listens to a channel for each room. */
class Listeners {
  readonly #channels = new Map<string, { listener: Listener; inBytes: boolean }[]>();
  readonly #open: () => Promise<Subscription<Buffer>>;
  #subscription: Promise<Subscription<Buffer>> | undefined;

  constructor(db: any, kind: Kind) {
    const hear = ({ pattern, channel, message }: any): void => {
      for (const { listener, inBytes } of this.#channels.get(String(pattern ?? channel)) ?? []) {
        if (inBytes) listener(message, channel);
        else listener(String(message), String(channel));
      }
    };
    this.#open = () => persist(() => db.with({ charset: null })[kind]([...this.#channels.keys()], hear));
  }

  async add(channels: string | string[], listener: Listener, inBytes = false): Promise<void> {
    const names = [channels].flat();
    for (const name of names) this.#channels.set(name, [...this.#channels.get(name) ?? [], { listener, inBytes }]);
    const subscription = await (this.#subscription ??= this.#open());
    await persist(() => subscription.subscribe(names));
  }

  /** Without a listener, removes all of these channels; without channels, all. */
  async remove(channels: string | string[] = [...this.#channels.keys()], listener?: Listener): Promise<void> {
    const subscription = this.#subscription;
    const names = [channels].flat();
    for (const name of names) {
      const kept = this.#channels.get(name)?.filter((one) => listener !== undefined && one.listener !== listener) ?? [];
      if (kept.length > 0) this.#channels.set(name, kept);
      else this.#channels.delete(name);
    }
    if (this.#channels.size === 0) this.#subscription = undefined; // it ends with its last channel
    await (await subscription)?.unsubscribe(names.filter((name) => !this.#channels.has(name)));
  }
}

export class NodeRedis extends EventEmitter {
  isOpen = true;
  [command: string]: any; // those of CALLS
  readonly #db: any;
  readonly #isDuplicate: boolean;
  readonly #listeners: Record<Kind, Listeners>;

  constructor(db: Handler | ShardedHandler | ClusterHandler, isDuplicate = false) {
    super();
    this.#db = db;
    this.#isDuplicate = isDuplicate;
    const of = (kind: Kind): Listeners => new Listeners(db, kind);
    this.#listeners = { subscribe: of("subscribe"), psubscribe: of("psubscribe"), ssubscribe: of("ssubscribe") };
    Object.assign(this, callsTo((method, args) => this.#tell(this.#db[method](...args))));
  }

  /** An error is an event, too: socket.io leaves calls alone, and a rejection that nobody handles ends the process. */
  #tell<T>(promise: Promise<T>): Promise<T> {
    if (this.listenerCount("error") > 0) promise.catch((error: unknown) => this.emit("error", error));
    return promise;
  }

  /** The handler connects by itself. */
  async connect(): Promise<this> { return this; }
  /** The same handler, with other listeners. */
  duplicate(): NodeRedis { return new NodeRedis(this.#db, true); }

  /** Ends the listeners; unless this is a duplicate, closes the handler. */
  async close(): Promise<void> {
    this.isOpen = false;
    const all = Object.values(this.#listeners);
    if (this.#isDuplicate) await Promise.all(all.map((listeners) => unlessClosed(listeners.remove())));
    else await this.#db.disconnect();
  }

  disconnect(): Promise<void> { return this.close(); }
  destroy(): void { // keyv.disconnect(true)
    if (!this.#isDuplicate) this.#db.destroy();
    void this.close();
  }

  // socket.io
  subscribe(...args: Adding) { return this.#tell(unlessClosed(this.#listeners.subscribe.add(...args))); }
  pSubscribe(...args: Adding) { return this.#tell(unlessClosed(this.#listeners.psubscribe.add(...args))); }
  sSubscribe(...args: Adding) { return this.#tell(unlessClosed(this.#listeners.ssubscribe.add(...args))); }
  unsubscribe(...args: Removing) { return this.#tell(unlessClosed(this.#listeners.subscribe.remove(...args))); }
  pUnsubscribe(...args: Removing) { return this.#tell(unlessClosed(this.#listeners.psubscribe.remove(...args))); }
  sUnsubscribe(...args: Removing) { return this.#tell(unlessClosed(this.#listeners.ssubscribe.remove(...args))); }

  /** A map in the reply is [name, value, ...]: socket.io reads the reply to PUBSUB NUMSUB so. */
  async sendCommand(words: string[]): Promise<any> {
    const reply = await this.#tell<any>(this.#db.call(...words));
    return reply === Object(reply) && !Array.isArray(reply) ? Object.entries(reply).flat() : reply;
  }

  /** A transaction: client.multi().get("a").del("a").exec(). Rejects with the first error. */
  multi(): any {
    const pipeline = this.#db.pipeline();
    const exec = async (): Promise<unknown[]> => {
      const replies: unknown[] = await pipeline.commit();
      const error = replies.find((reply) => reply instanceof Error);
      if (error !== undefined) throw error;
      return replies;
    };
    const chain: object = Object.assign(callsTo((method, args) => {
      pipeline[method](...args);
      return chain;
    }), { exec: () => this.#tell(exec()) });
    return chain;
  }

  async scan(cursor: string, options?: object): Promise<{ cursor: string; keys: string[] }> { // keyv
    const [next, keys] = await this.#tell<any>(this.#db.scan(cursor, options));
    return { cursor: next, keys };
  }

  /** Yields arrays of keys. */
  async *scanIterator({ COUNT = 10, ...options }: { COUNT?: number } = {}): AsyncGenerator<string[]> { // connect-redis
    let page: string[] = [];
    for await (const key of this.#db.scanIterator({ ...options, COUNT })) {
      if (page.push(key) < COUNT) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  async xRange(key: string, start: string, end: string): Promise<object[]> { // socket.io, as xRead
    return (await this.#tell<any>(this.#db.xrange(key, start, end))).map(([id, message]: Entry) => ({ id, message }));
  }

  async xRead(streams: { key: string; id: string }[], options?: object): Promise<object[] | null> {
    const STREAMS = [...streams.map(({ key }) => key), ...streams.map(({ id }) => id)];
    const reply = await this.#tell<any>(this.#db.xread({ ...options, STREAMS })).catch(async (error) => {
      if (error.code === "CLOSED") await sleep(1_000, undefined, { ref: false }); // socket.io reads again at once
      throw error;
    });
    return reply && Object.entries<Entry[]>(reply).map(([name, entries]) =>
      ({ name, messages: entries.map(([id, message]) => ({ id, message })) }));
  }
}

/** For a cluster: keyv groups keys by slot, and asks each node for its keys. */
class NodeRedisCluster extends NodeRedis {
  constructor(db: ClusterHandler) {
    super(db);
    this.slots = Array(16_384).fill({ master: { client: this } });
    const nodes = () => Array.from(db.shards().values(), (node) => ({ client: new NodeRedis(node, true) }));
    Object.defineProperty(this, "masters", { get: nodes });
  }

  nodeClient({ client }: { client: NodeRedis }): NodeRedis { return client; }
}

export const nodeRedis = (db: Handler | ShardedHandler | ClusterHandler): NodeRedis =>
  db instanceof ClusterHandler ? new NodeRedisCluster(db) : new NodeRedis(db);

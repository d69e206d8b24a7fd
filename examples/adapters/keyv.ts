// A store for keyv 5, and so for cache-manager 7, over any redis.ts handler, also over shards, and without @keyv/redis,
// which brings node-redis:
//
//     const cache = new Keyv(new KeyvStore(db), { namespace: "cache" });
//
// A key is stored as cache:key; @keyv/redis stores it as cache::key. Values are what keyv makes of them: JSON.

import { EventEmitter } from "node:events";
import type { ClusterHandler, Handler, ShardedHandler } from "../../redis.ts";

type Entry = { key: string; value: string; ttl?: number };
const PAGE = 500;

export class KeyvStore extends EventEmitter {
  /** Without this name, keyv has no iterator(). */
  readonly opts = { dialect: "redis" };
  /** Set by keyv, which puts it before each key. */
  namespace: string | undefined;
  readonly #db: Handler;

  constructor(db: Handler | ShardedHandler | ClusterHandler) {
    super();
    this.#db = db as Handler; // all have these commands
  }

  async get(key: string): Promise<string | undefined> { return await this.#db.get(key) ?? undefined; }
  async getMany(keys: string[]): Promise<(string | undefined)[]> {
    return (await this.#db.mget(keys)).map((value) => value ?? undefined);
  }

  async set(key: string, value: string, ttl?: number): Promise<boolean> {
    return await this.#db.set(key, value, ttl ? { PX: Math.ceil(ttl) } : {}) === "OK";
  }

  setMany(entries: Entry[]): Promise<boolean[]> {
    return Promise.all(entries.map(({ key, value, ttl }) => this.set(key, value, ttl)));
  }

  async has(key: string): Promise<boolean> { return await this.#db.exists(key) > 0; }
  async delete(key: string): Promise<boolean> { return await this.#db.unlink(key) > 0; }
  async deleteMany(keys: string[]): Promise<boolean> { return await this.#db.unlink(keys) > 0; }

  /** Deletes the keys of the namespace; without one, all keys of the database. */
  async clear(): Promise<void> {
    for await (const keys of this.#pages(this.namespace)) await this.#db.unlink(keys);
  }

  async *iterator(namespace?: string): AsyncGenerator<[key: string, value: string]> {
    for await (const keys of this.#pages(namespace)) {
      const values = await this.#db.mget(keys);
      for (const [i, key] of keys.entries()) if (values[i] != null) yield [key, values[i]];
    }
  }

  async *#pages(namespace?: string): AsyncGenerator<string[]> {
    const MATCH = namespace === undefined ? "*" : `${namespace.replace(/[\\*?[\]]/g, "\\$&")}:*`;
    let page: string[] = [];
    for await (const key of this.#db.scanIterator({ MATCH, COUNT: PAGE, TYPE: "string" })) {
      if (page.push(key) < PAGE) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  disconnect(): Promise<void> { return this.#db.disconnect(); }
}

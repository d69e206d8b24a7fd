// A driver of unstorage (Nuxt, Nitro, H3) over a handler, because the package's own builds an ioredis client by itself.
// Keys and values are the same, so that one program may use this driver and another that one. Copy this file to yours.
//
//     const storage = createStorage({ driver: unstorageDriver(db, { base: "app", ttl: 600 }) });

/** Any handler: of a server, of shards or of a cluster. */
type Store = {
  exists(key: string): Promise<number>;
  get(key: string): Promise<string | null>;
  mget(keys: string[]): Promise<(string | null)[]>;
  set(key: string, value: string, options: { EX: number | undefined }): Promise<unknown>;
  unlink(keys: string | string[]): Promise<number>;
  scanIterator(options: { MATCH: string; COUNT: number }): AsyncIterable<string>;
  disconnect(): Promise<void>;
};
type Options = {
  /** Stands before each key. */
  base?: string;
  /** Seconds after which a value expires, unless setItem() is given others. */
  ttl?: number;
};

export function unstorageDriver(db: Store, { base = "", ttl }: Options = {}) {
  const prefix = base === "" ? "" : `${base}:`;
  const under = async (start: string): Promise<string[]> => {
    const pattern = `${(prefix + start).replace(/[*?[\]\\]/g, "\\$&")}*`;
    const keys = new Set<string>(); // SCAN may give a key twice
    for await (const key of db.scanIterator({ MATCH: pattern, COUNT: 1_000 })) keys.add(key);
    return [...keys];
  };
  return {
    name: "redis.ts",
    getInstance: () => db,
    hasItem: async (key: string) => await db.exists(prefix + key) === 1,
    getItem: (key: string) => db.get(prefix + key),
    async getItems(items: { key: string }[]) {
      const values = await db.mget(items.map(({ key }) => prefix + key));
      return items.map(({ key }, i) => ({ key, value: values[i] ?? null }));
    },
    async setItem(key: string, value: string, options?: { ttl?: number }) {
      await db.set(prefix + key, value, { EX: options?.ttl ?? ttl });
    },
    async removeItem(key: string) { await db.unlink(prefix + key); },
    getKeys: async (start = "") => (await under(start)).map((key) => key.slice(prefix.length)),
    clear: async (start = "") => { await db.unlink(await under(start)); },
    dispose: () => db.disconnect(),
  };
}

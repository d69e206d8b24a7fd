// A cacheHandler for Next.js 16: keeps pages and fetched data in Redis, for all servers of an app. In
// cache-handler.mjs, beside next.config.mjs:
//
//     // One, if this is loaded twice; with unref, it lets `next build` end.
//     const db = globalThis.nextCacheDb ??= lazyConnectionPool({ host: "10.0.0.1", unref: true });
//     export default nextCache(db, { prefix: `next:${process.env.BUILD_ID}:` });
//
// and in next.config.mjs:
//
//     cacheHandler: fileURLToPath(import.meta.resolve("./cache-handler.mjs")),
//     cacheMaxMemorySize: 0,
//
// While Redis is away, pages are made anew for each request, and revalidateTag() and revalidatePath() fail. With
// db.with({ cache: 60_000 }), most reads are answered from memory. Times are those of the servers: their clocks must
// agree.

import { deserialize, serialize } from "node:v8";
import type { ClusterHandler, Handler, ShardedHandler } from "../../redis.ts";

/** Seconds. */
type Lifetime = { revalidate?: number | false; expire?: number | undefined };
type Context = { tags?: string[]; softTags?: string[]; cacheControl?: Lifetime };
type Entry = { value: any; lastModified: number; cacheControl: Lifetime | undefined; tags: string[] };
type Options = {
  prefix?: string;
  /** Seconds after which an entry is removed that does not expire earlier. */
  maxAge?: number;
};

export const nextCache = (db: Handler | ShardedHandler | ClusterHandler, options: Options = {}) => {
  const { prefix = "next:", maxAge = 30 * 86_400 } = options;
  const text = db as Handler; // all have these commands
  const bytes = text.with({ charset: null });
  /** A hash with the times at which tags become stale, `s:` and the tag, and expire, `e:` and the tag. */
  const times = `${prefix}#tags`;
  const ignore = (error: unknown): null => {
    console.error(String(error));
    return null;
  };

  const read = async (key: string, { tags = [], softTags = [] }: Context): Promise<Entry | null> => {
    const stored = await bytes.get(prefix + key);
    if (stored === null) return null;
    const entry: Entry = deserialize(stored);
    const all = [...new Set([...entry.tags, ...tags, ...softTags])];
    const found = await text.hmget(times, all.map((tag) => `s:${tag}`), all.map((tag) => `e:${tag}`));
    const stale = Math.max(0, ...found.slice(0, all.length).map(Number));
    const expired = found.slice(all.length).map(Number);
    if (expired.some((time) => time > entry.lastModified && time <= Date.now())) return null;
    if (stale <= entry.lastModified) return entry;
    // So Next.js returns it, and makes another meanwhile. A page's lifetime must be whole seconds, and not 0.
    if (entry.value?.kind === "FETCH") return { ...entry, lastModified: 1 };
    return { ...entry, lastModified: stale - 1_000, cacheControl: { ...entry.cacheControl, revalidate: 1 } };
  };

  return class CacheHandler {
    get(key: string, context: Context = {}): Promise<Entry | null> { return read(key, context).catch(ignore); }

    async set(key: string, value: any, { tags = [], cacheControl }: Context = {}): Promise<void> {
      const ofPage = value?.headers?.["x-next-cache-tags"];
      const all = [...tags, ...value?.tags ?? [], ...typeof ofPage === "string" ? ofPage.split(",") : []];
      const entry: Entry = { value, lastModified: Date.now(), cacheControl, tags: all };
      const EX = Math.max(1, Math.ceil(Math.min(cacheControl?.expire ?? maxAge, maxAge)));
      await text.set(prefix + key, serialize(entry), { EX }).catch(ignore);
    }

    /** Entries with these tags are expired at once or, with a profile, stale now and expired after so many seconds. */
    async revalidateTag(tags: string | string[], profile?: { expire?: number }): Promise<void> {
      const now = Date.now();
      const seconds = profile === undefined ? 0 : profile.expire;
      const changes = new Map<string, number | undefined>(); // what is undefined is not sent
      for (const tag of [tags].flat()) {
        changes.set(`s:${tag}`, profile && now);
        changes.set(`e:${tag}`, seconds === undefined ? undefined : now + seconds * 1_000);
      }
      if (changes.size > 0) await text.hset(times, changes);
    }

    resetRequestCache(): void {} // it keeps nothing for a request
  };
};

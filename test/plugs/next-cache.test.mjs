// The cacheHandler of Next.js, by the contract of the class, which next's server calls.

import assert from "node:assert/strict";
import { test } from "node:test";
import { nextCache } from "../../dist/examples/adapters/next-cache.js";
import { lazyClusterConnectionPool, lazyConnectionPool } from "../../dist/redis.js";
import { RedisCluster, RedisServer, until } from "../../dist/test/servers.js";
import { closing, started } from "./helpers.mjs";

const LIMIT = { timeout: 120_000 };
const PAGE = { kind: "APP_PAGE", isFallback: false };
const pageOf = (html, tags) => ({
  kind: "APP_PAGE", html, status: 200, postponed: undefined, rscData: Buffer.from([0, 255]),
  headers: { "x-next-cache-tags": tags }, segmentData: new Map([["/_tree", Buffer.from("tree")]]),
});
const fetchOf = (body, tags) =>
  ({ kind: "FETCH", revalidate: 60, tags, data: { headers: {}, body, status: 200, url: "http://api" } });

/** What two servers of an app have: a handler each. */
const pair = (t, open) => Array.from({ length: 2 }, () => new (nextCache(closing(t, open())))({ revalidatedTags: [] }));

async function checkCache(t, open) {
  const [one, two] = pair(t, open);
  const before = Date.now();
  const cacheControl = { revalidate: 60, expire: 3_600 };
  assert.equal(await two.get("/news", PAGE), null);
  await one.set("/news", pageOf("<p>1", "news,_N_T_/news"), { cacheControl });
  await one.set("/gone", null, {});
  await one.set("hash", fetchOf("1", ["prices"]), { fetchCache: true, tags: ["prices"] });
  const page = await two.get("/news", PAGE);
  assert.deepEqual(page.value, pageOf("<p>1", "news,_N_T_/news"));
  assert.ok(Buffer.isBuffer(page.value.rscData) && Buffer.isBuffer(page.value.segmentData.get("/_tree")));
  assert.deepEqual(page.cacheControl, cacheControl);
  assert.ok(page.lastModified >= before && page.lastModified <= Date.now());
  assert.equal((await two.get("/gone", PAGE)).value, null, "a page that is not there is remembered");
  assert.deepEqual((await two.get("hash", { kind: "FETCH", tags: ["prices"] })).value, fetchOf("1", ["prices"]));
  return [one, two];
}

/** Waits for the next millisecond: an entry of the same one counts as older than what is revalidated. */
const later = () => {
  const now = Date.now();
  return until(() => Date.now() > now, "time to pass");
};

test("two servers share pages and fetched data", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  await checkCache(t, () => lazyConnectionPool({ port: redis.port }));
  const seconds = await redis.call("TTL", "next:/news");
  assert.ok(seconds > 3_500 && seconds <= 3_600, `${seconds} s`);
  assert.ok(await redis.call("TTL", "next:hash") > 86_400);
});

test("also through a cluster, and from a near cache", LIMIT, async (t) => {
  const cluster = await started(t, RedisCluster, { replicas: 0 });
  await checkCache(t, () => lazyClusterConnectionPool(cluster.hosts, { cache: 60_000 }));
});

test("a tag that one server revalidates expires pages and data of the other, until they are made anew", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const [one, two] = await checkCache(t, () => lazyConnectionPool({ port: redis.port }));
  await later();
  await two.revalidateTag("news");
  assert.equal(await one.get("/news", PAGE), null);
  assert.notEqual(await one.get("hash", { kind: "FETCH", tags: ["prices"] }), null);
  await two.revalidateTag(["prices", "others"]);
  assert.equal(await one.get("hash", { kind: "FETCH", tags: ["prices"] }), null);
  await later();
  await one.set("/news", pageOf("<p>2", "news"), {});
  await one.set("soft", fetchOf("2", []), {});
  assert.equal((await two.get("/news", PAGE)).value.html, "<p>2");
  await later();
  await one.revalidateTag("_N_T_/path"); // as revalidatePath() does
  assert.equal(await two.get("soft", { kind: "FETCH", softTags: ["_N_T_/path"] }), null);
  await one.revalidateTag([]);
});

test("a tag that is revalidated with a profile leaves pages and data to be returned once more, as stale", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const [one, two] = await checkCache(t, () => lazyConnectionPool({ port: redis.port }));
  await later();
  await one.revalidateTag(["news", "prices"], { expire: 3_600 });
  await later();
  const { value, lastModified, cacheControl } = await two.get("/news", PAGE);
  assert.equal(value.html, "<p>1");
  assert.ok(lastModified + cacheControl.revalidate * 1_000 < Date.now(), "next makes it anew");
  assert.deepEqual(cacheControl, { revalidate: 1, expire: 3_600 }, "what next accepts: whole seconds, and not 0");
  const data = await two.get("hash", { kind: "FETCH", tags: ["prices"] });
  assert.ok(Date.now() - data.lastModified > 365 * 86_400 * 1_000, "next fetches it again");
  await one.revalidateTag("news", { expire: 0 });
  assert.equal(await two.get("/news", PAGE), null);
});

test("while Redis is down, there is nothing in the cache, nothing fails, and revalidating tells so", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const { mock } = t.mock.method(console, "error", () => {});
  const [one] = pair(t, () => lazyConnectionPool({ port: redis.port }));
  await one.set("/news", pageOf("<p>1", "news"), {});
  await redis.kill();
  assert.equal(await one.get("/news", PAGE), null);
  await one.set("/news", pageOf("<p>1", "news"), {});
  assert.equal(mock.callCount(), 2);
  await assert.rejects(one.revalidateTag("news"), { code: "NOT_CONNECTED" });
  await redis.restart();
  await until(async () => {
    await one.set("/news", pageOf("<p>2", "news"), {});
    return await one.get("/news", PAGE) !== null;
  }, "the page to be kept again");
});

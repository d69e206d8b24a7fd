// cache-manager with @keyv/redis, and with the store of examples/adapters/keyv.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Keyv, createKeyv } from "@keyv/redis";
import { createCache } from "cache-manager";
import { KeyvStore } from "../../dist/examples/adapters/keyv.js";
import { nodeRedis } from "../../dist/examples/adapters/node-redis.js";
import { lazyConnectionPool } from "../../dist/redis.js";
import { RedisServer, until } from "../../dist/test/servers.js";
import { closing, started } from "./helpers.mjs";

const LIMIT = { timeout: 120_000 };

const KEYVS = {
  "@keyv/redis": (db) => createKeyv(nodeRedis(db)),
  KeyvStore: (db) => new Keyv({ store: new KeyvStore(db), useKeyPrefix: false }),
};

const cacheOf = (t, { port }, make = KEYVS["@keyv/redis"]) => {
  const keyv = closing(t, make(lazyConnectionPool({ port })));
  keyv.on("error", () => {}); // the cache tells of it, too
  return createCache({ stores: [keyv] });
};

for (const [name, make] of Object.entries(KEYVS)) test(`${name}: two programs share what is wrapped`, LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const [one, two] = [cacheOf(t, redis, make), cacheOf(t, redis, make)];
  let loads = 0;
  const load = async () => ({ loads: ++loads });
  assert.deepEqual(await one.wrap("page", load, 60_000), { loads: 1 });
  assert.deepEqual(await two.wrap("page", load, 60_000), { loads: 1 });
  const left = await redis.call("PTTL", "page");
  assert.ok(left > 50_000 && left <= 60_000, `${left} ms are left`);
  await redis.call("PEXPIRE", "page", "0");
  assert.deepEqual(await two.wrap("page", load, 60_000), { loads: 2 });
  await one.del("page");
  assert.deepEqual(await two.wrap("page", load, 60_000), { loads: 3 });
});

test("mset, mget, mdel, ttl and clear", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const cache = cacheOf(t, redis);
  await cache.mset([{ key: "a", value: 1, ttl: 60_000 }, { key: "b", value: { two: 2 } }]);
  assert.deepEqual(await cache.mget(["a", "b", "c"]), [1, { two: 2 }, undefined]);
  assert.ok(await cache.ttl("a") > Date.now() + 50_000);
  await cache.mdel(["a"]);
  assert.deepEqual(await cache.mget(["a", "b"]), [undefined, { two: 2 }]);
  await cache.clear();
  assert.equal(await redis.call("DBSIZE"), 0);
});

test("while Redis is down, wrap() loads each time; when it is back, values are kept again", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const cache = cacheOf(t, redis);
  let loads = 0;
  const load = async () => ++loads;
  await redis.kill();
  assert.equal(await cache.wrap("page", load), 1);
  assert.equal(await cache.wrap("page", load), 2);
  await redis.restart();
  await until(async () => {
    const before = loads;
    return await cache.wrap("page", load) === before;
  }, "a value that is kept");
});

// keyv with @keyv/redis, and with the store of examples/adapters/keyv.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Keyv, createKeyv } from "@keyv/redis";
import { KeyvStore } from "../../dist/examples/adapters/keyv.js";
import { nodeRedis } from "../../dist/examples/adapters/node-redis.js";
import { clusterConnectionPool, lazyConnectionPool, lazyShardedConnectionPool } from "../../dist/redis.js";
import { RedisCluster, RedisServer, until } from "../../dist/test/servers.js";
import { closing, started } from "./helpers.mjs";

const LIMIT = { timeout: 120_000 };

const KEYVS = {
  "@keyv/redis": (db, options) => createKeyv(nodeRedis(db), options),
  KeyvStore: (db, options) => new Keyv(new KeyvStore(db), options),
};

/** A keyv whose errors must be none. */
function keyvOf(t, db, options, make = KEYVS["@keyv/redis"]) {
  const keyv = make(db, options);
  keyv.on("error", assert.fail);
  return closing(t, keyv);
}

for (const [name, make] of Object.entries(KEYVS)) test(`${name}: values come back as they were, and expire`, LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const keyv = keyvOf(t, lazyConnectionPool({ port: redis.port }), undefined, make);
  const value = { name: "Ada", bytes: Buffer.from([0, 255]), list: [1, null] };
  assert.equal(await keyv.set("user", value, 60_000), true);
  assert.deepEqual(await keyv.get("user"), value);
  assert.equal(await keyv.has("user"), true);
  const [key] = await redis.call("KEYS", "*user");
  const left = await redis.call("PTTL", key);
  assert.ok(left > 50_000 && left <= 60_000, `${left} ms are left`);
  assert.equal(await keyv.set("forever", 1), true);
  assert.equal(await redis.call("PTTL", key.replace("user", "forever")), -1);
  await redis.call("PEXPIRE", key, "0");
  assert.equal(await keyv.get("user"), undefined);
  assert.equal(await keyv.delete("forever"), true);
  assert.equal(await keyv.delete("forever"), false);
  assert.equal(await keyv.has("forever"), false);
});

/** Stores many values under two namespaces, reads them in every way, and clears one of the two. */
async function checkMany(t, open, make) {
  const isOurs = make === KEYVS.KeyvStore; // @keyv/redis takes the characters of a pattern for one
  const ours = keyvOf(t, await open(), { namespace: isOurs ? "o[u]rs*" : "our" }, make);
  const others = keyvOf(t, await open(), { namespace: "ours" }, make);
  const entries = Array.from({ length: 150 }, (_, i) => ({ key: `key${i}`, value: i, ttl: 60_000 }));
  const keys = entries.map(({ key }) => key);
  await ours.setMany(entries);
  await others.set("key1", "other");
  assert.deepEqual(await ours.getMany(["key1", "none", "key2"]), [1, undefined, 2]);
  assert.deepEqual(await ours.hasMany(["key1", "none"]), [true, false]);
  const found = [];
  for await (const [key, value] of ours.iterator()) found.push([key, value]);
  assert.deepEqual(found.sort(([, a], [, b]) => a - b), entries.map(({ key, value }) => [key, value]));
  assert.equal(await ours.deleteMany(["key1", "key2", "none"]), true);
  assert.deepEqual(await ours.getMany(["key0", "key1", "key2"]), [0, undefined, undefined]);
  await ours.clear();
  assert.ok((await ours.getMany(keys)).every((value) => value === undefined));
  assert.equal(await others.get("key1"), "other");
}

for (const [name, make] of Object.entries(KEYVS)) {
  test(`${name}: many values are stored, read, iterated over and deleted; clear() clears one namespace`, LIMIT, async (t) => {
    const redis = await started(t, RedisServer);
    await checkMany(t, () => lazyConnectionPool({ port: redis.port }), make);
  });

  test(`${name}: the same in a cluster, whose nodes each have some of the keys`, LIMIT, async (t) => {
    const cluster = await started(t, RedisCluster, { replicas: 0 });
    await checkMany(t, () => clusterConnectionPool(cluster.hosts), make);
  });
}

test("KeyvStore: the same over shards", LIMIT, async (t) => {
  const shards = [await started(t, RedisServer), await started(t, RedisServer)];
  const hosts = shards.map(({ host, port }) => `${host}:${port}`);
  await checkMany(t, () => lazyShardedConnectionPool(hosts), KEYVS.KeyvStore);
});

test("@keyv/redis: without a namespace, clear() leaves the keys of namespaces, with noNamespaceAffectsAll, none", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const db = lazyConnectionPool({ port: redis.port });
  const spaced = keyvOf(t, lazyConnectionPool({ port: redis.port }), { namespace: "ours" });
  await spaced.set("key", 1);
  const keyv = keyvOf(t, db);
  await keyv.set("key", 2);
  await keyv.clear();
  assert.deepEqual([await keyv.get("key"), await spaced.get("key")], [undefined, 1]);
  const all = keyvOf(t, lazyConnectionPool({ port: redis.port }), { noNamespaceAffectsAll: true });
  await all.clear();
  assert.equal(await redis.call("DBSIZE"), 0);
});

test("while Redis is down, values are missing and the error is told, or thrown; then keyv goes on", LIMIT, async (t) => {
  const redis = await started(t, RedisServer, { aof: true });
  const keyv = closing(t, createKeyv(nodeRedis(lazyConnectionPool({ port: redis.port })), { throwOnErrors: true }));
  const quiet = closing(t, createKeyv(nodeRedis(lazyConnectionPool({ port: redis.port }))));
  const own = closing(t, new Keyv(new KeyvStore(lazyConnectionPool({ port: redis.port }))));
  const errors = [];
  for (const one of [keyv, quiet, own]) one.on("error", (error) => errors.push(error.code));
  await quiet.set("key", "value");
  await redis.kill();
  await assert.rejects(keyv.get("key"), { code: "NOT_CONNECTED" });
  assert.equal(await quiet.get("key"), undefined);
  assert.equal(await own.get("key"), undefined);
  assert.ok(errors.length >= 3 && errors.every((code) => code === "NOT_CONNECTED"), errors.join());
  await redis.restart();
  await until(async () => await keyv.get("key").catch(() => {}) === "value", "keyv to go on");
  await until(() => own.set("key", "value"), "the own store to go on");
  assert.equal(await own.get("key"), "value");
});

test("disconnect() closes the handler", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const db = lazyConnectionPool({ port: redis.port });
  const keyv = createKeyv(nodeRedis(db));
  await keyv.set("key", 1);
  await keyv.disconnect();
  await assert.rejects(db.get("key"), { code: "CLOSED" });
});

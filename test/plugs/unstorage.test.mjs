// unstorage with the driver of examples/adapters/unstorage.ts; its own redis driver, over ioredis, must agree with it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createStorage } from "unstorage";
import itsOwn from "unstorage/drivers/redis";
import { unstorageDriver } from "../../dist/examples/adapters/unstorage.js";
import { lazyClusterConnectionPool, lazyConnectionPool } from "../../dist/redis.js";
import { RedisCluster, RedisServer } from "../../dist/test/servers.js";

let server;
before(async () => { server = await RedisServer.start(); });
after(() => server.stop());

async function tryAll(storage) {
  await storage.setItem("users:1", { name: "Ann" });
  await storage.setItem("users:2", "Bob", { ttl: 600 });
  await storage.setItem("other", 3);
  const bytes = new Uint8Array([0, 255, 13, 10]);
  await storage.setItemRaw("bytes", bytes);
  assert.deepEqual(await storage.getItem("users:1"), { name: "Ann" });
  assert.equal(await storage.getItem("none"), null);
  assert.deepEqual([await storage.hasItem("other"), await storage.hasItem("none")], [true, false]);
  assert.deepEqual([...await storage.getItemRaw("bytes")], [...bytes]);
  const items = await storage.getItems(["users:2", "none", "other"]);
  assert.deepEqual(items.map(({ key, value }) => [key, value]), [["users:2", "Bob"], ["none", null], ["other", 3]]);
  assert.deepEqual((await storage.getKeys()).sort(), ["bytes", "other", "users:1", "users:2"]);
  assert.deepEqual((await storage.getKeys("users")).sort(), ["users:1", "users:2"]);
  await storage.removeItem("other");
  assert.equal(await storage.hasItem("other"), false);
  await storage.clear();
  assert.deepEqual(await storage.getKeys(), []);
}

test("unstorage: values, bytes, lists of keys and times to live, by this driver as by its own", async () => {
  const { host, port } = server;
  const db = lazyConnectionPool({ host, port, poolsize: 2 });
  const ours = createStorage({ driver: unstorageDriver(db, { base: "app*", ttl: 900 }) });
  const theirs = createStorage({ driver: itsOwn({ base: "app*", ttl: 900, host, port }) });
  await db.set("appx:1", "of another program"); // "app*" is not a pattern
  await tryAll(ours);
  await tryAll(theirs);
  await ours.setItem("a", { n: 1 });
  await theirs.setItem("b", { n: 2 }, { ttl: 600 });
  assert.deepEqual([await theirs.getItem("a"), await ours.getItem("b")], [{ n: 1 }, { n: 2 }]);
  assert.deepEqual((await theirs.getKeys()).sort(), (await ours.getKeys()).sort());
  const ends = await Promise.all(["app*:a", "app*:b"].map((key) => server.call("TTL", key)));
  assert.ok(ends[0] > 800 && ends[1] > 500 && ends[1] <= 600);
  assert.equal(await db.get("appx:1"), "of another program");
  await Promise.all([ours.dispose(), theirs.dispose()]);
  await assert.rejects(db.get("a")); // dispose() closed the handler
});

test("unstorage: a cluster serves as one server does", async (t) => {
  const cluster = await RedisCluster.start({ replicas: 0 });
  const storage = createStorage({ driver: unstorageDriver(lazyClusterConnectionPool([cluster.hosts[0]], { poolsize: 2 })) });
  t.after(async () => {
    await storage.dispose();
    await cluster.stop();
  });
  await tryAll(storage);
});

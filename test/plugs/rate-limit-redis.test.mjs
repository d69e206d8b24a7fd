// express-rate-limit with rate-limit-redis.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import express from "express";
import { rateLimit } from "express-rate-limit";
import { RedisStore } from "rate-limit-redis";
import { sendCommand } from "../../dist/examples/adapters/rate-limit-redis.js";
import { lazyClusterConnectionPool, lazyConnectionPool, lazyShardedConnectionPool } from "../../dist/redis.js";
import { RedisCluster, RedisServer, until } from "../../dist/test/servers.js";
import { closing, started } from "./helpers.mjs";

const LIMIT = { timeout: 120_000 };

/** A web server that takes three requests a minute from each user; returns the status of each of `count` requests. */
async function webServer(t, db, options) {
  closing(t, db);
  const app = express();
  const store = new RedisStore({ sendCommand: sendCommand(db) });
  const keyGenerator = (request) => request.headers.user;
  const logger = { warn: assert.fail, error: () => {} }; // while Redis is down
  app.use(rateLimit({ windowMs: 60_000, limit: 3, store, keyGenerator, logger, ...options }));
  app.get("/", (_request, response) => response.end());
  app.use((error, _request, response, _next) => response.status(error.unavailable ? 503 : 500).end());
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${server.address().port}`;
  const get = async (user) => (await fetch(origin, { headers: { user }, signal: AbortSignal.timeout(10_000) })).status;
  return async (user, count = 1) => {
    const all = [];
    for (let i = 0; i < count; i++) all.push(await get(user));
    return all;
  };
}

test("a limit is enforced across two web servers, for each user", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const one = await webServer(t, lazyConnectionPool({ port: redis.port }));
  const two = await webServer(t, lazyConnectionPool({ port: redis.port }));
  assert.deepEqual(await one("ada", 2), [200, 200]);
  assert.deepEqual(await two("ada", 2), [200, 429]);
  assert.deepEqual(await one("ada", 1), [429]);
  assert.deepEqual(await one("bob", 4), [200, 200, 200, 429]);
  await redis.call("PEXPIRE", "rl:ada", "0"); // as when the minute is over
  assert.deepEqual(await two("ada", 1), [200]);
});

test("of requests that come at once, as many pass as the limit says", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const web = await webServer(t, lazyConnectionPool({ port: redis.port }));
  const all = await Promise.all(Array.from({ length: 20 }, () => web("ada")));
  assert.equal(all.filter(([status]) => status === 200).length, 3);
});

test("after SCRIPT FLUSH and a restart of Redis, the limit is enforced again; in between, there is a 503", LIMIT, async (t) => {
  const redis = await started(t, RedisServer, { aof: true });
  const web = await webServer(t, lazyConnectionPool({ port: redis.port }));
  assert.deepEqual(await web("ada", 2), [200, 200]);
  await redis.call("SCRIPT", "FLUSH");
  assert.deepEqual(await web("ada", 2), [200, 429]);
  await redis.kill();
  assert.deepEqual(await web("ada", 2), [503, 503]);
  await redis.restart();
  const status = await until(async () => {
    const [answer] = await web("ada");
    return answer !== 503 && answer;
  }, "an answer");
  assert.equal(status, 429);
  assert.deepEqual(await web("bob", 4), [200, 200, 200, 429]);
});

test("a web server may start while Redis is down", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  await redis.kill();
  const web = await webServer(t, lazyConnectionPool({ port: redis.port }));
  assert.deepEqual(await web("ada", 2), [503, 503]);
  await redis.restart();
  await until(async () => (await web("ada"))[0] === 200, "a pass");
  assert.deepEqual(await web("ada", 3), [200, 200, 429]);
});

test("with passOnStoreError, requests pass while Redis is down", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const web = await webServer(t, lazyConnectionPool({ port: redis.port }), { passOnStoreError: true });
  assert.deepEqual(await web("ada", 4), [200, 200, 200, 429]);
  await redis.kill();
  assert.deepEqual(await web("ada", 4), [200, 200, 200, 200]);
});

test("users are counted on the node of their key, in a cluster and over shards", LIMIT, async (t) => {
  const cluster = await started(t, RedisCluster, { replicas: 0 });
  const shards = [await started(t, RedisServer), await started(t, RedisServer)];
  for (const open of [
    () => lazyClusterConnectionPool(cluster.hosts),
    () => lazyShardedConnectionPool(shards.map(({ host, port }) => `${host}:${port}`)),
  ]) {
    const webs = [await webServer(t, open()), await webServer(t, open())];
    const users = Array.from({ length: 12 }, (_, i) => `user${i}`);
    for (const user of users) {
      assert.deepEqual([await webs[0](user, 2), await webs[1](user, 2)], [[200, 200], [200, 429]]);
    }
  }
  for (const server of [...cluster.servers, ...shards]) assert.ok(await server.call("DBSIZE") > 0);
});

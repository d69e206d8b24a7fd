// connect-redis, with express-session and express, and with @fastify/session.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { RedisStore } from "connect-redis";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import express from "express";
import session from "express-session";
import Fastify from "fastify";
import { nodeRedis } from "../../dist/examples/adapters/node-redis.js";
import {
  lazyClusterConnectionPool, lazyConnectionPool, lazyShardedConnectionPool, manager, sentinel,
} from "../../dist/redis.js";
import { RedisCluster, RedisServer, SentinelSet, until } from "../../dist/test/servers.js";
import { closing, started } from "./helpers.mjs";

const LIMIT = { timeout: 120_000 };

/** A web server that counts the visits of each session, and the handler of its sessions. */
async function webServer(t, db) {
  const store = new RedisStore({ client: nodeRedis(db) });
  const app = express();
  app.use(session({ store, secret: "secret", resave: false, saveUninitialized: false }));
  app.get("/", (request, response) => {
    request.session.visits = (request.session.visits ?? 0) + 1;
    response.json(request.session.visits);
  });
  app.get("/logout", (request, response, next) => {
    request.session.destroy((error) => error ? next(error) : response.end());
  });
  app.use((error, _request, response, _next) => response.status(error.unavailable ? 503 : 500).end(error.code));
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = () => {
    server.closeAllConnections();
    server.close();
    return db.disconnect();
  };
  t.after(stop);
  return { store, stop, get: visitor(`http://127.0.0.1:${server.address().port}`) };
}

/** A browser, which keeps its cookie. */
const visitor = (origin) => async (path = "/", browser = {}) => {
  const headers = { cookie: browser.cookie ?? "" };
  const response = await fetch(origin + path, { headers, signal: AbortSignal.timeout(10_000) });
  browser.cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? browser.cookie;
  return { status: response.status, body: await response.text() };
};

test("a session outlives the web server, and ends when its visitor logs out", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const browser = {};
  const old = await webServer(t, lazyConnectionPool({ port: redis.port }));
  assert.deepEqual(await old.get("/", browser), { status: 200, body: "1" });
  assert.deepEqual(await old.get("/", browser), { status: 200, body: "2" });
  await old.stop();

  const web = await webServer(t, lazyConnectionPool({ port: redis.port }));
  assert.deepEqual(await web.get("/", browser), { status: 200, body: "3" });
  assert.deepEqual(await web.get("/"), { status: 200, body: "1" }, "another visitor");
  const [, id] = /connect\.sid=s:(.*?)\./.exec(decodeURIComponent(browser.cookie));
  const key = `sess:${id}`;
  const seconds = await redis.call("TTL", key);
  assert.ok(seconds > 86_300 && seconds <= 86_400, `expires in ${seconds} s`);
  assert.equal((await web.get("/logout", browser)).status, 200);
  assert.equal(await redis.call("EXISTS", key), 0);
  assert.deepEqual(await web.get("/", browser), { status: 200, body: "1" });
});

test("while Redis is down, requests get a 503 and none hangs; when it is back, the sessions are there", LIMIT, async (t) => {
  const redis = await started(t, RedisServer, { aof: true });
  const web = await webServer(t, lazyConnectionPool({ port: redis.port }));
  const browser = {};
  assert.deepEqual(await web.get("/", browser), { status: 200, body: "1" });
  await redis.kill();
  const answers = await Promise.all(Array.from({ length: 20 }, () => web.get("/", browser)));
  for (const answer of answers) assert.deepEqual(answer, { status: 503, body: "NOT_CONNECTED" });
  await redis.restart();
  const answer = await until(async () => {
    const { status, body } = await web.get("/", browser);
    return status !== 503 && { status, body };
  }, "a session");
  assert.deepEqual(answer, { status: 200, body: "2" });
});

/** Lists and clears more sessions than one page of SCAN has. */
async function checkLists(t, db) {
  closing(t, db);
  const store = new RedisStore({ client: nodeRedis(db), prefix: "app:" });
  const ids = Array.from({ length: 250 }, (_, i) => `id${i}`).sort();
  await Promise.all(ids.map((id, i) => store.set(id, { cookie: {}, user: i })));
  await db.set("other", "kept");
  assert.deepEqual((await store.ids()).sort(), ids);
  assert.equal(await store.length(), 250);
  const all = await store.all();
  assert.deepEqual(all.map(({ id }) => id).sort(), ids);
  assert.equal(all.find(({ id }) => id === "id7").user, (await store.get("id7")).user);
  await store.touch("id7", { cookie: { expires: new Date(Date.now() + 10_000) } });
  assert.ok(await db.ttl("app:id7") <= 10);
  await store.clear();
  assert.equal(await store.length(), 0);
  assert.equal(await db.get("other"), "kept");
}

test("all sessions are listed and cleared", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  await checkLists(t, lazyConnectionPool({ port: redis.port }));
});

test("sessions in a cluster are listed and cleared, on all its nodes", LIMIT, async (t) => {
  const cluster = await started(t, RedisCluster, { replicas: 0 });
  await checkLists(t, lazyClusterConnectionPool(cluster.hosts));
});

test("over shards, too", LIMIT, async (t) => {
  const shards = [await started(t, RedisServer), await started(t, RedisServer)];
  await checkLists(t, lazyShardedConnectionPool(shards.map(({ host, port }) => `${host}:${port}`)));
});

test("sessions work through a manager", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const names = closing(t, manager([`redis://127.0.0.1:${redis.port}/sessions`]));
  await checkLists(t, names.select("sessions"));
});

test("after a failover of the Sentinels' master, the sessions are there", LIMIT, async (t) => {
  const set = await started(t, SentinelSet);
  const watched = closing(t, sentinel(set.hosts));
  const web = await webServer(t, watched.masterFor("mymaster"));
  const browser = {};
  assert.deepEqual(await web.get("/", browser), { status: 200, body: "1" });
  const old = await set.settle();
  await old.call("SET", "last", "write");
  assert.equal(await old.call("WAIT", "2", "30000"), 2, "replicas that have the session");
  await old.kill();
  const answer = await until(async () => {
    const { status, body } = await web.get("/", browser);
    return status !== 503 && { status, body };
  }, "the new master", 60_000);
  assert.deepEqual(answer, { status: 200, body: "2" });
});

test("@fastify/session keeps its sessions in the same store", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const serve = async () => {
    const app = Fastify();
    const store = new RedisStore({ client: nodeRedis(closing(t, lazyConnectionPool({ port: redis.port }))) });
    const secret = "a secret of more than 32 characters";
    await app.register(fastifyCookie).register(fastifySession, { store, secret, cookie: { secure: false } });
    app.get("/", async ({ session }) => session.visits = (session.visits ?? 0) + 1);
    app.setErrorHandler((error, _request, reply) => reply.status(error.unavailable ? 503 : 500).send(error.code));
    await app.listen({ host: "127.0.0.1", port: 0 });
    t.after(() => app.close());
    return visitor(`http://127.0.0.1:${app.server.address().port}`);
  };
  const [one, two] = [await serve(), await serve()];
  const browser = {};
  assert.deepEqual(await one("/", browser), { status: 200, body: "1" });
  assert.deepEqual(await two("/", browser), { status: 200, body: "2" });
  await redis.kill();
  assert.deepEqual(await one("/", browser), { status: 503, body: "NOT_CONNECTED" });
});

// socket.io with @socket.io/redis-adapter, its sharded adapter, @socket.io/redis-streams-adapter and redis-emitter.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { nodeRedis } from "../../dist/examples/adapters/node-redis.js";
import { clusterConnectionPool, lazyConnectionPool } from "../../dist/redis.js";
import { RedisCluster, RedisServer, until } from "../../dist/test/servers.js";
import { closing, started } from "./helpers.mjs";

const LIMIT = { timeout: 120_000 };
const ADAPTERS = {
  "@socket.io/redis-adapter": (client) => createAdapter(client, client.duplicate()),
  "its sharded adapter": (client) => createShardedAdapter(client, client.duplicate()),
  "@socket.io/redis-streams-adapter": (client) => createStreamsAdapter(client),
  "@socket.io/redis-streams-adapter, sharded": (client) =>
    createStreamsAdapter(client, { useShardedPubSub: true, streamCount: 3 }),
};

/** A socket.io server. A client's "join" puts it into a room. */
async function ioServer(t, db, adapterOf, options) {
  const client = closing(t, nodeRedis(db));
  const errors = [];
  client.on("error", ({ code }) => errors.push(code));
  const http = createServer().listen(0, "127.0.0.1");
  await once(http, "listening");
  const io = new Server(http, { adapter: adapterOf(client), ...options });
  t.after(() => io.close());
  io.on("connection", (socket) => socket.on("join", (room, joined) => {
    socket.join(room);
    joined();
  }));
  return { io, errors, origin: `http://127.0.0.1:${http.address().port}` };
}

/** A client, and what it has received. */
async function clientOf(t, origin, room) {
  const socket = connect(origin, { transports: ["websocket"], reconnectionDelay: 10, forceNew: true });
  t.after(() => socket.close());
  const received = [];
  socket.on("news", (...args) => received.push(args));
  socket.on("question", (text, answer) => answer(`${text}, ${room}`));
  await once(socket, "connect");
  await socket.emitWithAck("join", room);
  return { socket, received, next: async (event) => (await once(socket, event))[0] };
}

/** Two servers that know of each other, with a client each. */
async function pair(t, open, adapterOf, options) {
  const start = async () => ioServer(t, await open(), adapterOf, options);
  const servers = [await start(), await start()];
  const counts = () => Promise.all(servers.map(({ io }) => io.of("/").adapter.serverCount().catch(() => 0)));
  await until(async () => (await counts()).every((count) => count === 2), "the servers to know of each other");
  const clients = [await clientOf(t, servers[0].origin, "red"), await clientOf(t, servers[1].origin, "blue")];
  return { servers, clients };
}

async function checkMessages(t, open, adapterOf) {
  const { servers: [one, two], clients: [red, blue] } = await pair(t, open, adapterOf);
  let isHeard = false;
  blue.socket.on("hello", () => isHeard = true);
  await until(() => {
    one.io.to("blue").emit("hello");
    return isHeard;
  }, "the room to be known"); // the sharded adapter listens to a channel for each room
  const done = red.next("done");
  one.io.to("blue").emit("news", "for blue");
  one.io.emit("news", "for all", Buffer.from([0, 255]));
  one.io.except("red").emit("news", "not for red");
  one.io.emit("done");
  await done;
  await until(() => blue.received.length === 3, "the messages for blue");
  assert.deepEqual(blue.received.sort(), [["for all", Buffer.from([0, 255])], ["for blue"], ["not for red"]]);
  assert.deepEqual(red.received, [["for all", Buffer.from([0, 255])]]);

  const answers = await one.io.timeout(60_000).emitWithAck("question", "who");
  assert.deepEqual(answers.sort(), ["who, blue", "who, red"]);
  assert.deepEqual((await two.io.fetchSockets()).map(({ id }) => id).sort(), [red.socket.id, blue.socket.id].sort());
  two.io.on("sum", (a, b, answer) => answer(a + b));
  assert.deepEqual(await one.io.serverSideEmitWithAck("sum", 1, 2), [3]);

  one.io.in("blue").socketsJoin("green");
  await until(async () => (await one.io.in("green").fetchSockets()).length === 1, "blue to be in green");
  await until(() => {
    one.io.to("green").emit("news", "for green");
    return blue.received.some(([text]) => text === "for green");
  }, "a message to green");
  assert.ok(!red.received.some(([text]) => text === "for green"));
  const left = once(blue.socket, "disconnect");
  one.io.in("blue").disconnectSockets(true);
  await left;
}

for (const [name, adapterOf] of Object.entries(ADAPTERS)) {
  test(`${name}: messages of one server reach the clients of the other`, LIMIT, async (t) => {
    const redis = await started(t, RedisServer);
    await checkMessages(t, () => lazyConnectionPool({ port: redis.port }), adapterOf);
  });

  test(`${name}: also through a cluster`, LIMIT, async (t) => {
    const cluster = await started(t, RedisCluster, { replicas: 0 });
    await checkMessages(t, () => clusterConnectionPool(cluster.hosts), adapterOf);
  });

  test(`${name}: the servers may start while Redis is down, and outlive its restarts`, LIMIT, async (t) => {
    const redis = await started(t, RedisServer);
    await redis.kill();
    const open = () => lazyConnectionPool({ port: redis.port });
    const starting = pair(t, open, adapterOf);
    starting.catch(() => {});
    await redis.restart();
    const { servers: [one, two], clients: [red, blue] } = await starting;
    for (const restart of ["first", "second"]) {
      await redis.kill();
      one.errors.length = 0;
      one.io.emit("news", `lost in the ${restart}`);
      await until(() => red.received.some(([text]) => text === `lost in the ${restart}`), "the server's own client");
      await until(() => one.errors.length > 0, "an error that tells so");
      await redis.restart();
      await until(() => {
        two.io.emit("news", `after the ${restart}`);
        return red.received.some(([text]) => text === `after the ${restart}`);
      }, "the other server's client");
    }
    assert.ok(!blue.received.some(([text]) => text.startsWith("lost")));
  });
}

test("@socket.io/redis-emitter takes the handler as it is", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const open = () => lazyConnectionPool({ port: redis.port });
  const { clients: [red, blue] } = await pair(t, open, ADAPTERS["@socket.io/redis-adapter"]);
  const emitter = new Emitter(closing(t, open()));
  const done = [red.next("done"), blue.next("done")];
  emitter.to("red").emit("news", Buffer.from([0, 255]));
  emitter.emit("done");
  await Promise.all(done);
  assert.deepEqual([red.received, blue.received], [[[Buffer.from([0, 255])]], []]);
});

test("@socket.io/redis-streams-adapter: a handler that is closed before it does not make it spin", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const client = nodeRedis(lazyConnectionPool({ port: redis.port }));
  await client.xRead([{ key: "stream", id: "0" }]);
  await client.close();
  let isRejected = false;
  client.xRead([{ key: "stream", id: "0" }]).catch(() => isRejected = true);
  await assert.rejects(client.get("key"), { code: "CLOSED" });
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
  assert.equal(isRejected, false);
});

test("@socket.io/redis-streams-adapter: a client that was away gets what it missed from another server", LIMIT, async (t) => {
  const redis = await started(t, RedisServer);
  const options = { connectionStateRecovery: { maxDisconnectionDuration: 60_000 } };
  const { servers: [one, two], clients: [red] } =
    await pair(t, () => lazyConnectionPool({ port: redis.port }), createStreamsAdapter, options);
  const seen = red.next("news");
  two.io.emit("news", "before");
  await seen;
  red.socket.io.uri = two.origin; // as when a load balancer leads it there
  red.socket.io.reconnection(false);
  red.socket.io.engine.close();
  await until(async () => (await redis.call("KEYS", "sio:session:*")).length === 1, "its session to be stored");
  two.io.to("red").emit("news", "meanwhile");
  two.io.to("blue").emit("news", "for others");
  const back = once(red.socket, "connect");
  red.socket.connect();
  await back;
  assert.equal(red.socket.recovered, true);
  const done = red.next("done");
  one.io.emit("done");
  await done;
  assert.deepEqual(red.received.map(([text]) => text), ["before", "meanwhile"]);
});

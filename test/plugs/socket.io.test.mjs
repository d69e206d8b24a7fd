// The two adapters of socket.io over the ioredis shape: two servers, with two clients each.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { IoRedis } from "../../dist/examples/adapters/ioredis.js";
import { lazyClusterConnection } from "../../dist/redis.js";
import { RedisCluster, until } from "../../dist/test/servers.js";
import { ioredis } from "./ioredis.mjs";

const all = ioredis();
let cluster;
const clients = [];
const clustered = () => {
  const client = new IoRedis((name) => lazyClusterConnection([cluster.hosts[0]], { name }));
  clients.push(client);
  return client;
};
before(async () => { cluster = await RedisCluster.start({ replicas: 0 }); });
after(async () => {
  await Promise.all(clients.map((client) => client.quit()));
  await cluster.stop();
});

const kinds = {
  "@socket.io/redis-adapter": () => createAdapter(all.client(), all.client()),
  "@socket.io/redis-adapter, sharded": () => createShardedAdapter(all.client(), all.client()),
  "@socket.io/redis-adapter, in a cluster": () => createAdapter(clustered(), clustered()),
  "@socket.io/redis-adapter, sharded, in a cluster": () => createShardedAdapter(clustered(), clustered()),
  "@socket.io/redis-streams-adapter": () => createStreamsAdapter(all.client(), { blockTimeInMs: 500 }),
  "@socket.io/redis-streams-adapter, sharded": () =>
    createStreamsAdapter(all.client(), {
      blockTimeInMs: 500, useShardedPubSub: true, streamName: "sharded", channelPrefix: "sharded",
    }),
  "@socket.io/redis-streams-adapter, in a cluster": () => createStreamsAdapter(clustered(), { blockTimeInMs: 500 }),
};

async function serving(adapter) {
  const http = createServer();
  const server = new Server(http, { adapter });
  const connected = once(server, "connection");
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const client = io(`http://127.0.0.1:${http.address().port}`, { transports: ["websocket"], forceNew: true });
  const [socket] = await connected;
  return { server, client, socket };
}

/** Emits until the client hears it. */
async function reaches(client, emit, event) {
  const heard = once(client, event).then(() => true);
  while (!await Promise.race([heard, sleep(20)])) emit();
}

for (const [name, open] of Object.entries(kinds)) {
  test(`${name}: messages, rooms, answers and lists of sockets go from one server to the clients of another`, async () => {
    const [a, b] = await Promise.all([serving(open()), serving(open())]);
    try {
      await until(async () => await a.server.of("/").adapter.serverCount() === 2, "both servers to listen");
      await reaches(b.client, () => a.server.emit("first"), "first"); // a stream is read from its end at that time

      const heard = Promise.all([a, b].map(({ client }) => once(client, "text")));
      a.server.emit("text", "hello", Buffer.from([0, 255, 13, 10]));
      for (const [text, bytes] of await heard) assert.deepEqual([text, [...bytes]], ["hello", [0, 255, 13, 10]]);

      const numbers = [];
      b.client.on("number", (n) => numbers.push(n));
      for (let i = 0; i < 200; i++) {
        a.server.emit("number", i);
        if (i % 10 === 0) await new Promise(setImmediate); // over many ticks
      }
      await until(() => numbers.length === 200, "all numbers");
      assert.deepEqual(numbers, Array.from({ length: 200 }, (_, i) => i));

      b.socket.join("room");
      let wrong = 0;
      a.client.on("room", () => wrong++);
      await reaches(b.client, () => a.server.to("room").emit("room"), "room"); // a room may have a channel of its own
      assert.equal(wrong, 0);

      b.client.on("question", (n, answer) => answer(n + 1));
      assert.deepEqual(await a.server.to("room").timeout(60_000).emitWithAck("question", 41), [42]);
      const sockets = await a.server.fetchSockets();
      assert.deepEqual(sockets.map(({ id }) => id).sort(), [a.socket.id, b.socket.id].sort());
      b.server.on("ask", (answer) => answer("b"));
      assert.deepEqual(await a.server.serverSideEmitWithAck("ask"), ["b"]);
      const gone = once(b.client, "disconnect");
      a.server.in("room").disconnectSockets();
      assert.equal((await gone)[0], "io server disconnect");
    } finally {
      for (const { client, server } of [a, b]) {
        client.disconnect();
        await server.close();
      }
    }
  });
}

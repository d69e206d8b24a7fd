// A short trial of the whole way to a server, run by test/runtimes/run.mjs on every runtime, beside a copy of redis.ts.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import {
  connection, lazyConnection, lazyConnectionPool, lazyShardedConnectionPool, lazyUnixConnection, script,
} from "../redis.ts";

const { SMOKE_PORT, SMOKE_TLS_PORT, SMOKE_SOCKET, SMOKE_CA } = process.env;
const host = "127.0.0.1";

const db = lazyConnection({ host, port: Number(SMOKE_PORT) });
assert.equal(await db.ping(), "PONG");

for (const [text, kept] of [
  ["plain", "plain"],
  ["", ""],
  ["tête-à-tête 🦊", "tête-à-tête 🦊"],
  ["a lone \ud83e surrogate", "a lone \ufffd surrogate"], // UTF-8 has no bytes for half a character
  ["é".repeat(512 * 1024), "é".repeat(512 * 1024)], // 1 MiB
] as const) {
  assert.equal(await db.set("text", text), "OK");
  assert.equal(await db.get("text"), kept);
}

const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
await db.set("bytes", bytes);
assert.deepEqual(await db.with({ charset: null }).get("bytes"), bytes);

const counts = await Promise.all(Array.from({ length: 1000 }, () => db.incr("count")));
assert.deepEqual(
  counts,
  Array.from({ length: 1000 }, (_, index) => index + 1),
);

await db.hset("hash", { name: "fox", legs: 4 });
assert.deepEqual({ ...(await db.hgetall("hash")) }, { name: "fox", legs: "4" });
assert.deepEqual(await db.mget("count", "nothing"), ["1000", null]);
await assert.rejects(db.incr("hash"), { code: "WRONGTYPE" });

const request = new AsyncLocalStorage<string>();
const heard: unknown[] = [];
const events = ["start", "end", "error", "asyncStart", "asyncEnd"];
for (const event of events) {
  subscribe(`tracing:redis.ts:command:${event}`, (message) =>
    void heard.push([event, (message as { command: string }).command, request.getStore()]));
}
await request.run("first", () => assert.rejects(db.incr("hash")));
assert.deepEqual(heard, events.map((event) => [event, "INCR", "first"]));
assert.ok(db.stats().every(({ errors, bytesRead }) => errors === 2 && bytesRead > 1_000_000));

const pool = lazyConnectionPool({ host, port: Number(SMOKE_PORT), poolsize: 3 });
assert.deepEqual(await pool.pipeline().set("text", "piped").get("text").execPipeline(), ["OK", "piped"]);
const look = await pool.watch("text");
assert.equal(await look.get("text"), "piped");
const change = await look.multi();
void change.append("text", "!");
assert.deepEqual(await change.commit(), [6]);
const popped = pool.blpop("queue", 5);
await pool.rpush("queue", "element");
assert.deepEqual(await popped, ["queue", "element"]);
assert.equal(await script("return #ARGV[1]")(pool, "four"), 4);
const channel = await pool.subscribe("channel");
await pool.publish("channel", "message");
for await (const { message } of channel) {
  assert.equal(message, "message");
  break;
}
await pool.disconnect();

const shards = lazyShardedConnectionPool([`${host}:${SMOKE_PORT}`, `localhost:${SMOKE_PORT}`], { poolsize: 2 });
assert.equal(await shards.mset({ one: 1, two: 2, three: 3, four: 4 }), "OK");
assert.deepEqual(await shards.mget("one", "two", "three", "four"), ["1", "2", "3", "4"]);
assert.deepEqual(await shards.pipeline().get("one").get("two").get("three").execPipeline(), ["1", "2", "3"]);
assert.equal(Object.keys(await shards.ping()).length, 2);
await shards.disconnect();

const unix = lazyUnixConnection(SMOKE_SOCKET);
assert.equal(await unix.get("count"), "1000");

const secure = await connection({ host, port: Number(SMOKE_TLS_PORT), tls: { ca: SMOKE_CA } });
assert.equal(await secure.get("count"), "1000");

// A server that is busy reads nothing, so the sockets fill up: what they have been given must stay as it is meanwhile.
await db.configSet({ "lua-time-limit": 0 }); // or a slow machine's server would answer BUSY
const busy = db.eval("for i = 1, 2e7 do end", 0);
const valueOf = (n: number) => `${n % 7 === 0 ? "é" : "e"}${n};`.repeat(n % 11 === 0 ? 20_000 : 2000);
const writes: Promise<unknown>[] = [];
for (let n = 0; n < 1500; n++) {
  writes.push([unix, secure, db][n % 3]!.set(`slow:${n}`, n % 5 === 0 ? Buffer.from(valueOf(n)) : valueOf(n)));
  if (n % 40 === 0) await new Promise(setImmediate);
}
await Promise.all([busy, ...writes]);
for (let n = 0; n < writes.length; n++) assert.ok(await db.get(`slow:${n}`) === valueOf(n), `slow:${n}`);
await unix.disconnect();

await secure.call("CLIENT", "KILL", "TYPE", "normal"); // all but itself
assert.equal(await db.get("count"), "1000");
await secure.disconnect();
await db.disconnect();
// The process must now end by itself.

// Tests of what is seen from outside: the diagnostics channels, stats() and the stacks of option trace; on real servers.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { SpanKind, context } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { clusterConnection, connection, lazyConnection, lazyConnectionPool, lazyShardedConnection } from "../redis.ts";
import type { CommandTrace, Handler, NodeStats, Options, RedisError, ReplyError } from "../redis.ts";
import { traceRedis } from "../examples/opentelemetry.ts";
import { createMetricsServer } from "../examples/prometheus.ts";
import { slowLog } from "../examples/slow-log.ts";
import { failure, ours, runProgram, using } from "./handlers.ts";
import { Proxy } from "./proxy.ts";
import { RedisCluster, RedisServer, SLOT_TAGS, ScriptedServer, freePort, until } from "./servers.ts";

const EVENTS = ["start", "end", "error", "asyncStart", "asyncEnd"];
const TRACING = ["command", "batch", "connect"].flatMap((kind) => EVENTS.map((event) => `tracing:redis.ts:${kind}:${event}`));
const POINTS = ["connection:opened", "connection:lost", "connection:refused", "connection:demoted", "pool:waiting",
  "subscription:gap"].map((name) => `redis.ts:${name}`);

type Heard = { name: string; message: any; store: unknown };

const requests = new AsyncLocalStorage<unknown>();

/** Listens to these channels while `use` runs; `heard` has what they said. */
async function listening<T>(names: readonly string[], use: (heard: Heard[]) => Promise<T>): Promise<T> {
  const heard: Heard[] = [];
  const listeners = names.map((name) => {
    const listener = (message: unknown): void => void heard.push({ name, message, store: requests.getStore() });
    channel(name).subscribe(listener);
    return () => channel(name).unsubscribe(listener);
  });
  try {
    return await use(heard);
  } finally {
    for (const stop of listeners) stop();
  }
}

const short = ({ name }: Heard): string => name.split(":").slice(2).join(":");
/** The ends of commands and batches. */
const ended = (heard: readonly Heard[]): CommandTrace[] =>
  heard.filter(({ name }) => name.endsWith("asyncEnd") && !name.includes("connect")).map(({ message }) => message);

let server: RedisServer;
before(async () => {
  server = await RedisServer.start();
});
after(() => server.stop());

const withDb = <T>(options: Options, use: (db: Handler) => Promise<T>): Promise<T> =>
  using(lazyConnection({ port: server.port, ...options }) as Handler, use);

describe("tracing channels", () => {
  test("a call publishes start and end at once and the rest with its reply, all with one object", () => withDb({}, async (db) => {
    await db.ready();
    await listening(TRACING, async (heard) => {
      const reply = db.set("k", "v");
      assert.deepEqual(heard.map(short), ["command:start", "command:end"]);
      assert.equal("result" in heard[0]!.message, false);
      assert.equal(await reply, "OK");
      assert.deepEqual(heard.map(short), ["command:start", "command:end", "command:asyncStart", "command:asyncEnd"]);
      assert.equal(new Set(heard.map(({ message }) => message)).size, 1);
      const { duration, ...about } = heard[0]!.message;
      assert.deepEqual(about, {
        command: "SET", serverAddress: "localhost", serverPort: server.port, database: 0, node: `localhost:${server.port}`,
        batchMode: undefined, batchSize: undefined, attempts: 1, redirections: 0, cached: false,
      });
      assert.ok(duration > 0);
      assert.deepEqual([heard[0]!.message.args, heard[0]!.message.result], [["?", "?"], "OK"]);
    });
  }));

  test("an error is published before the end, and rejects the call as ever", () => withDb({}, async (db) => {
    await db.set("text", "v");
    await listening(TRACING, async (heard) => {
      const error = await failure(db.lpush("text", "v")) as ReplyError;
      assert.deepEqual(heard.map(short),
        ["command:start", "command:end", "command:error", "command:asyncStart", "command:asyncEnd"]);
      assert.equal(heard[0]!.message.error, error);
      assert.equal(error.code, "WRONGTYPE");
    });
  }));

  test("a rejection that nobody handles is reported once, also if somebody listens", async () => {
    const [code, said] = await runProgram(`
      import { subscribe } from "node:diagnostics_channel";
      import { lazyConnection } from ${JSON.stringify(ours("redis"))};
      subscribe("tracing:redis.ts:command:start", () => {});
      const reported = [];
      process.on("unhandledRejection", (error) => reported.push(error.code));
      const db = lazyConnection({ port: ${server.port} });
      await db.set("text", "v");
      db.lpush("text", "v");
      await db.get("text");
      await new Promise((resolve) => setTimeout(resolve, 50));
      await db.disconnect();
      console.log(reported.join());
    `);
    assert.deepEqual([code, said], [0, "WRONGTYPE"]);
  });

  test("spans nest: each call is a child of its caller's span, although all share one connection and one write", () =>
    withDb({}, async (db) => {
      type Span = { name: string; parent: Span | undefined; ended?: unknown };
      const spans: Span[] = [];
      const { start, asyncEnd } = { start: channel("tracing:redis.ts:command:start"), asyncEnd: channel("tracing:redis.ts:command:asyncEnd") };
      start.bindStore(requests, (message) => {
        const span = { name: (message as CommandTrace).command, parent: requests.getStore() as Span | undefined };
        spans.push(span);
        return span;
      });
      const end = (message: unknown): void => {
        const span = requests.getStore() as Span;
        span.ended = message;
      };
      asyncEnd.subscribe(end);
      try {
        await Promise.all(["a", "b", "c"].map((name) => requests.run({ name, parent: undefined }, async () => {
          await db.set(name, "v");
          assert.equal((requests.getStore() as Span).name, name); // the caller's own again
          await Promise.all([db.get(name), db.strlen(name)]);
          await new Promise(setImmediate);
          await db.del(name);
          assert.equal((requests.getStore() as Span).name, name);
        })));
      } finally {
        start.unbindStore(requests);
        asyncEnd.unsubscribe(end);
      }
      for (const name of ["a", "b", "c"]) {
        const children = spans.filter(({ parent }) => parent?.name === name);
        assert.deepEqual(children.map((span) => span.name), ["SET", "GET", "STRLEN", "DEL"]);
        assert.ok(children.every((span) => (span.ended as CommandTrace).command === span.name));
      }
      assert.equal(spans.length, 12);
    }));

  test("a listener to any one of the events is enough", () => withDb({}, async (db) => {
    for (const event of ["asyncEnd", "error", "asyncStart", "end"]) {
      await listening([`tracing:redis.ts:command:${event}`], async (heard) => {
        await failure(db.call("NO_SUCH"));
        assert.deepEqual(heard.map(({ message }) => message.command), ["NO_SUCH"]);
      });
    }
  }));

  test("nothing is published if nobody listens, and nothing of the driver's own commands if somebody does", () =>
    withDb({ pingInterval: 20, readFrom: "any" }, async (db) => {
      let published = 0;
      const names = [...TRACING, ...POINTS];
      for (const name of names) Object.assign(channel(name), { publish: () => published++ });
      try {
        await db.set("k", "v");
        await db.pipeline().get("k").execPipeline();
        await failure(db.lpush("k", "v"));
        assert.equal(published, 0);
      } finally {
        for (const name of names) delete (channel(name) as { publish?: unknown }).publish;
      }
      const { cmdstat_ping: before = "" } = await statistics();
      await listening(TRACING, async (heard) => {
        await until(async () => (await statistics())["cmdstat_ping"] !== before, "a PING of the driver");
        assert.deepEqual(heard, []);
      });
    }));

  test("pipelines and transactions are batches, a durable write is one command", () => withDb({}, async (db) => {
    await listening(TRACING, async (heard) => {
      await db.pipeline().get("k").incr("n").call("ECHO", "v").execPipeline();
      await db.pipeline().get("k").incr("n").commit();
      await db.with({ durable: { replicas: 1, timeout: 1 } }).set("k", "v").catch(() => {});
      await db.transaction(["k"], async (t) => {
        await t.get("k");
        const m = await t.multi();
        m.incr("n");
        m.incr("n");
      });
      const all = ended(heard).map(({ command, batchMode, batchSize, commands, args }) => [command, batchMode, batchSize, commands, args]);
      assert.deepEqual(all, [
        ["PIPELINE", "PIPELINE", 3, ["GET", "INCR", "ECHO"], []],
        ["MULTI", "MULTI", 2, ["GET", "INCR"], []],
        ["SET", undefined, undefined, ["SET"], ["?", "?"]],
        ["WATCH", undefined, undefined, ["WATCH"], ["?"]],
        ["GET", undefined, undefined, ["GET"], ["?"]],
        ["MULTI", undefined, undefined, ["MULTI"], []],
        ["INCR", undefined, undefined, ["INCR"], ["?"]],
        ["INCR", undefined, undefined, ["INCR"], ["?"]],
        ["MULTI", "MULTI", 2, ["INCR", "INCR"], []],
      ]);
      assert.ok(heard.every(({ name, message }) => name.includes(":batch:") === (message.batchMode !== undefined)));
    });
  }));

  test("the first error of a batch is its error", () => withDb({}, async (db) => {
    await db.set("text", "v");
    await listening(TRACING, async (heard) => {
      await failure(db.pipeline().get("text").lpush("text", "v").incr("text").execPipeline());
      assert.deepEqual(heard.map(short), ["batch:start", "batch:end", "batch:error", "batch:asyncStart", "batch:asyncEnd"]);
      assert.equal(heard[0]!.message.error.command, "LPUSH");
    });
  }));

  test("traceKeys shows the keys, and neither values nor what may be none", () => withDb({ traceKeys: true }, async (db) => {
    await listening(TRACING, async (heard) => {
      await db.set("k", "v", { EX: 10 });
      await db.mset({ a: 1, b: 2 });
      await db.hset("h", { field: "value" });
      await db.eval("return 1", 1, "k", "arg");
      await db.configGet("maxmemory");
      await failure(db.call("NO_SUCH", "word"));
      await failure(db.call({ name: "NO_SUCH", keys: [2, 2, 1] }, "word", "key"));
      await db.with({ traceKeys: false }).get("k");
      await db.get(Buffer.from([0xff, 0x0a]));
      assert.deepEqual(ended(heard).map(({ command, args }) => [command, ...args]), [
        ["SET", "k", "?", "?", "?"], ["MSET", "a", "?", "b", "?"], ["HSET", "h", "?", "?"], ["EVAL", "?", "?", "k", "?"],
        ["CONFIG GET", "?"], ["NO_SUCH", "?"], ["NO_SUCH", "?", "key"], ["GET", "?"], ["GET", "\ufffd\ufffd"],
      ]);
    });
  }));

  test("a read that is issued again after its connection was lost is one call with two attempts", async () => {
    const proxy = await Proxy.start({ port: server.port });
    try {
      await withDb({ port: proxy.port }, async (db) => {
        await db.set("k", "v");
        await listening([...TRACING, ...POINTS], async (heard) => {
          const [link] = proxy.open;
          link!.hold();
          const reply = db.get("k");
          await db.ready();
          link!.cut("rst");
          assert.equal(await reply, "v");
          const [call, ...more] = ended(heard);
          assert.deepEqual([call!.command, call!.attempts, more], ["GET", 2, []]);
          assert.equal(heard.filter(({ name }) => name.endsWith("command:start")).length, 1);
        });
      });
    } finally {
      await proxy.stop();
    }
  });

  test("reads that are answered from memory are published like others, and say so", () => withDb({}, async (db) => {
    const view = db.with({ cache: 60_000, traceKeys: true });
    await db.set("near:1", "v");
    await db.set("near:text", "v");
    await until(async () => await view.get("near:open") === null && db.cacheStats().off === undefined, "the cache to be open");
    await listening(TRACING, async (heard) => {
      const { hits, misses } = db.cacheStats();
      await Promise.all([view.get("near:1"), view.get("near:1")]); // the second waits for the first
      requests.run("caller", () => void view.get("near:1").then(() => {}));
      assert.deepEqual(heard.slice(-2).map(({ name, store }) => [name.split(":").at(-1), store]), [["start", "caller"], ["end", "caller"]]);
      assert.equal(await view.get("near:1"), "v");
      await db.get("near:1");
      await failure(view.lrange("near:text", 0, -1));
      const all = ended(heard).map(({ command, args, cached, attempts, node }) => [command, args[0], cached, attempts, node]);
      const at = `localhost:${server.port}`;
      assert.deepEqual(all, [
        ["GET", "near:1", false, 1, at], ["GET", "near:1", false, 1, at], ["GET", "near:1", true, 0, at], ["GET", "near:1", true, 0, at],
        ["GET", "?", false, 1, at], ["LRANGE", "near:text", false, 1, at],
      ]);
      assert.deepEqual(heard.filter(({ name }) => name.endsWith(":error")).map(({ message }) => message.error.code), ["WRONGTYPE"]);
      assert.ok(ended(heard).every(({ duration, result, error }) => duration >= 0 && ("v" === result || error !== undefined)));
      assert.equal(heard.filter(({ name }) => name.endsWith("command:start")).length, 6);
      assert.deepEqual([db.cacheStats().hits - hits, db.cacheStats().misses - misses], [2, 3]);
    });
  }));

  test("a loop of reads from memory, which lets the event loop turn, publishes each once", () => withDb({}, async (db) => {
    const view = db.with({ cache: 60_000 });
    await until(async () => await view.get("near:2") === null && db.cacheStats().off === undefined, "the cache to be open");
    await listening(["tracing:redis.ts:command:start", "tracing:redis.ts:command:asyncEnd"], async (heard) => {
      const end = performance.now() + 50;
      let calls = 0;
      for (; performance.now() < end; calls++) await view.get("near:2");
      assert.deepEqual([heard.length, ended(heard).filter(({ cached }) => cached).length >= calls - 2], [2 * calls, true]);
    });
  }));

  test("with option trace, an error of a read that may be cached has the stack of its call", () => withDb({ trace: true, cache: 60_000 }, async (db) => {
    await db.set("near:text", "v");
    await until(async () => await db.get("near:open") === null && db.cacheStats().off === undefined, "the cache to be open");
    const reader = (): Promise<unknown> => db.lrange("near:text", 0, -1);
    assert.match((await failure(reader()) as RedisError).stack!, /\breader\b/);
  }));

  test("the parts of a call on several shards name their nodes", async () => {
    const other = await RedisServer.start();
    const hosts = [server, other].map(({ port }) => `localhost:${port}`);
    try {
      await using(lazyShardedConnection(hosts), async (db) => listening(TRACING, async (heard) => {
        const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
        await db.mget(keys);
        assert.deepEqual(ended(heard).map(({ command, node }) => [command, node]).sort(), hosts.map((host) => ["MGET", host]).sort());
        heard.length = 0;
        const [from, to] = hosts.map((host) => keys.find((key) => db.nodeFor(key) === host)!) as [string, string];
        await db.set(from, "v");
        await db.rename(from, to);
        const commands = ended(heard).map(({ command }) => command); // of its steps
        assert.ok(["DUMP", "RESTORE"].every((name) => commands.includes(name)), String(commands));
      }));
    } finally {
      await other.stop();
    }
  });

  test("in a cluster, redirections are counted, and the node is the one that answered", async () => {
    const cluster = await RedisCluster.start({ replicas: 0 });
    try {
      await using(await clusterConnection(cluster.hosts), async (db) => {
        const key = `{${SLOT_TAGS[0]}}`;
        await db.set(key, "v");
        const from = await cluster.owner(0);
        const to = cluster.servers.find((one) => one !== from)!;
        await cluster.move(0, to);
        await listening(TRACING, async (heard) => {
          assert.equal(await db.get(key), "v");
          const [call, ...more] = ended(heard);
          assert.deepEqual(more, []);
          const { command, serverPort, node, redirections, attempts } = call!;
          assert.deepEqual([command, serverPort, node.split(":")[1], redirections, attempts], ["GET", from.port, String(to.port), 1, 2]);
        });
      });
    } finally {
      await cluster.stop();
    }
  });

  test("with traceAs: \"ioredis\", they have the names and the shapes of ioredis, which Sentry listens to", async () => {
    const names = ["command", "connect"].flatMap((kind) => ["start", "asyncEnd", "error"].map((event) => `tracing:ioredis:${kind}:${event}`));
    await listening([...names, ...TRACING], (heard) =>
      withDb({ traceAs: "ioredis", dbid: 1 }, async (db) => {
        await db.set("k", "v");
        await failure(db.lpush("k", "v"));
        await db.pipeline().get("k").get("k").execPipeline();
        assert.deepEqual(heard.map(({ name }) => name.slice("tracing:ioredis:".length)), [
          "connect:start", "command:start", "connect:asyncEnd", "command:asyncEnd", "command:start", "command:error", "command:asyncEnd",
          "command:start", "command:asyncEnd",
        ]);
        const [connect, set] = heard.map(({ message }) => message);
        assert.deepEqual([connect.serverAddress, connect.serverPort, connect.connectionEpoch], ["localhost", server.port, 0]);
        assert.deepEqual([set.command, set.args, set.database, set.serverAddress, set.serverPort, set.result],
          ["SET", ["?", "?"], 1, "localhost", server.port, "OK"]);
        assert.deepEqual([heard.at(-1)!.message.command, heard.at(-1)!.message.batchSize], ["PIPELINE", 2]);
      }));
  });

  test("a Unix socket has its path as address, and no port", () =>
    using(lazyConnection({ path: server.path }), (db) => listening(TRACING, async (heard) => {
      await db.ping();
      const [{ serverAddress, serverPort, node }] = ended(heard) as [CommandTrace];
      assert.deepEqual([serverAddress, serverPort, node], [server.path, undefined, server.path]);
    })));
});

/** Counts of commands, as the server has them. */
const statistics = async (): Promise<Record<string, string>> => Object.fromEntries(
  String(await server.call("INFO", "commandstats")).split("\r\n").map((line) => line.split(":") as [string, string]));

describe("events of connections", () => {
  const kill = (db: Handler): Promise<unknown> => db.clientId().then((id) => server.call("CLIENT", "KILL", "ID", String(id)));

  test("opened and lost connections are told, with the error", () => listening(POINTS, (heard) => withDb({}, async (db) => {
    await db.ready();
    await kill(db);
    await until(() => heard.length === 3, "the connection to be back");
    assert.deepEqual(heard.map(short), ["opened", "lost", "opened"].map((name) => name));
    const [opened, lost] = heard.map(({ message }) => message);
    assert.ok(opened.duration > 0);
    assert.deepEqual([lost.node, lost.error.code], [`localhost:${server.port}`, "CONNECTION_LOST"]);
    await db.disconnect();
    assert.equal(heard.length, 3); // closed by its user
  })));

  test("an attempt that fails is told, on its tracing channel, too", async () => {
    const port = await freePort();
    await listening([...POINTS, ...TRACING], async (heard) => {
      await failure(connection({ port }));
      const told = heard.filter(({ name }) => name.endsWith("refused") || name.endsWith("connect:error"));
      assert.deepEqual(told.map(({ message }) => [message.serverPort, message.error.code]), [[port, "CONNECT_FAILED"], [port, "CONNECT_FAILED"]]);
    });
  });

  test("a command that waits for a connection is told, with their number", () => withDb({}, async (db) => {
    await db.ready();
    await listening(POINTS, async (heard) => {
      const blocked = db.blpop("nothing", 0.2);
      await Promise.all([blocked, db.get("a"), db.get("b")]);
      assert.deepEqual(heard.map(({ name, message }) => [name, message.command, message.waiting]),
        [["redis.ts:pool:waiting", "GET", 1], ["redis.ts:pool:waiting", "GET", 2]]);
    });
  }));

  test("a gap of a subscription is told", () => withDb({}, async (db) => {
    const subscription = await db.subscribe("news", () => {});
    await listening(POINTS, async (heard) => {
      await server.call("CLIENT", "KILL", "TYPE", "pubsub");
      const gap = await until(() => heard.find(({ name }) => name.endsWith("gap")), "the gap");
      assert.equal(typeof gap!.message.gap, "number");
      assert.equal(gap!.message.serverPort, server.port);
    });
    subscription.close();
  }));

  test("a server that has become a replica is told", async () => {
    const demoted = await RedisServer.start();
    try {
      await withDb({ port: demoted.port, replyTimeout: 1_000 }, async (db) => {
        await db.with({ replyTimeout: 60_000 }).set("k", "v");
        await demoted.call("REPLICAOF", "localhost", String(server.port));
        await listening(POINTS, async (heard) => {
          await failure(db.set("k", "v"));
          const told = await until(() => heard.find(({ name }) => name.endsWith("demoted")), "its news");
          assert.equal(told!.message.serverPort, demoted.port);
        });
      });
    } finally {
      await demoted.stop();
    }
  });
});

describe("stats()", () => {
  test("has state and counts for each node", () => withDb({}, async (db) => {
    await db.ready();
    const [fresh] = db.stats() as [NodeStats];
    await db.set("text", "v".repeat(1_000));
    await failure(db.lpush("text", "v"));
    await db.pipeline().get("text").get("text").execPipeline();
    const [{ bytesRead, bytesWritten, ...stats }, ...others] = db.stats() as [NodeStats];
    assert.deepEqual(others, []);
    assert.deepEqual(stats, {
      node: `localhost:${server.port}`, serverAddress: "localhost", serverPort: server.port, database: 0, role: "primary",
      connections: { idle: 1, used: 0, opening: 0, max: 1 }, pending: 0, waiting: 0, opened: 1, lost: 0, refused: 0,
      createTime: fresh.createTime, lent: 0, useTime: 0, waited: fresh.waited, waitTime: fresh.waitTime, timeouts: 0,
      replies: fresh.replies + 4, errors: 1, failures: 0, codes: Object.assign(Object.create(null), { WRONGTYPE: 1 }),
    });
    assert.ok(bytesWritten - fresh.bytesWritten > 1_000 && bytesRead - fresh.bytesRead > 2_000, `${bytesRead} ${bytesWritten}`);
  }));

  test("tells used connections, and commands that wait or are pending", () =>
    using(lazyConnectionPool({ port: server.port, poolsize: 2 }), async (db) => {
      await db.ready();
      const blocked = [db.blpop("nothing", 0.3), db.blpop("nothing", 0.3)];
      const waiting = db.get("k");
      const [{ connections, pending, waiting: count }] = db.stats() as [NodeStats];
      assert.deepEqual([connections, pending, count], [{ idle: 0, used: 2, opening: 0, max: 2 }, 3, 1]);
      await Promise.all([...blocked, waiting]);
      const [{ connections: later }] = db.stats() as [NodeStats];
      assert.deepEqual(later, { idle: 2, used: 0, opening: 0, max: 2 });
    }));

  test("tells how long connections took to open and were lent, and how long commands waited for one", () =>
    using(lazyConnection({ port: server.port, replyTimeout: 60_000 }), async (db) => {
      const first = db.get("k"); // waits until the connection is open
      await first;
      const [opened] = db.stats() as [NodeStats];
      assert.deepEqual([opened.opened, opened.waited, opened.lent], [1, 1, 0]);
      assert.ok(opened.createTime > 0 && opened.waitTime > 0, `${opened.waitTime} ${opened.createTime}`);
      await Promise.all([db.blpop("nothing", 0.1), db.get("k"), db.get("k")]);
      const [lent] = db.stats() as [NodeStats];
      assert.deepEqual([lent.waited, lent.lent, lent.timeouts], [3, 1, 0]);
      assert.ok(lent.useTime >= 90 && lent.waitTime - opened.waitTime >= 180, `${lent.useTime} ${lent.waitTime}`);
      await Promise.all([db.blpop("nothing", 0.2), failure(db.with({ replyTimeout: 20 }).get("k"))]);
      const [late] = db.stats() as [NodeStats];
      assert.deepEqual([late.waited, late.lent, late.timeouts, late.failures, { ...late.codes }], [3, 2, 1, 1, { REPLY_TIMEOUT: 1 }]);
    }));

  test("counts errors by their codes, and no codes that scripts make up", () => withDb({}, async (db) => {
    await db.set("text", "v");
    await failure(db.lpush("text", "v"));
    await db.pipeline().lpush("text", "v").incr("text").execPipeline().catch(() => {});
    for (let i = 0; i < 3; i++) await failure(db.eval(`return redis.error_reply("MADEUP${i} by a script")`, 0));
    const [{ errors, failures, codes }] = db.stats() as [NodeStats];
    assert.deepEqual([errors, failures, { ...codes }], [6, 0, { WRONGTYPE: 2, ERR: 1, OTHER: 3 }]);
  }));

  test("keeps the totals of lost connections, and counts losses, failed attempts and commands without reply", async () => {
    const mortal = await RedisServer.start();
    try {
      await withDb({ port: mortal.port }, async (db) => {
        await db.set("k", "v".repeat(1_000));
        const [before] = db.stats() as [NodeStats];
        const blocked = failure(db.blpop("nothing", 0));
        await until(async () => String(await mortal.call("CLIENT", "LIST")).includes("cmd=blpop"), "it to block");
        await mortal.kill();
        await blocked;
        await until(() => db.stats()[0]!.refused > 0, "an attempt to fail");
        await until(async () => (await failure(db.get("k"))).code === "NOT_CONNECTED", "it to be down");
        const [down] = db.stats() as [NodeStats];
        assert.deepEqual([down.opened, down.lost, down.connections.idle], [1, 1, 0]);
        assert.ok(down.failures >= 2 && down.bytesWritten >= before.bytesWritten && down.replies >= before.replies);
        await mortal.restart();
        await db.ready().catch(() => {});
        await until(() => db.stats()[0]!.opened === 2, "it to be back");
        assert.ok(db.stats()[0]!.bytesWritten > down.bytesWritten);
      });
    } finally {
      await mortal.stop();
    }
  });

  test("has a row for each shard, each replica, each of several servers and each subscription", async () => {
    const other = await RedisServer.start();
    const hosts = [server, other].map(({ port }) => `localhost:${port}`);
    const rolesOf = (db: { stats(): NodeStats[] }): string[] => db.stats().map(({ node, role }) => `${role} ${node}`);
    try {
      await using(lazyShardedConnection(hosts), async (db) => {
        const subscription = await db.psubscribe("*", () => {});
        assert.deepEqual(rolesOf(db), [...hosts.map((host) => `primary ${host}`), ...hosts.map((host) => `listener ${host}`)]);
        assert.deepEqual(rolesOf(subscription), hosts.map((host) => `listener ${host}`));
      });
      await using(lazyConnection({ anyOf: hosts }), async (db) => {
        await db.ready();
        assert.deepEqual(rolesOf(db), hosts.map((host) => `member ${host}`));
      });
      await using(lazyConnection({ port: server.port, replicas: [hosts[1]!], readFrom: "any" }), async (db) => {
        await db.ready();
        assert.deepEqual(rolesOf(db), [`primary ${hosts[0]}`, `replica ${hosts[1]}`]);
      });
    } finally {
      await other.stop();
    }
  });
});

describe("option trace", () => {
  const caller = (db: Handler): Promise<unknown> => db.lpush("text", "v");
  const first = (error: Error): string => error.stack!.split("\n")[0]!;

  test("gives each error the stack of its call", () => withDb({ trace: true }, async (db) => {
    await db.set("text", "v");
    const error = await failure(caller(db)) as RedisError;
    assert.match(error.stack!, /\bcaller\b/);
    assert.equal(first(error), `ReplyError: ${error.message}`);
  }));

  test("also if there is no reply, and only where it is set", async () => {
    const silent = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      await peer.read();
    });
    try {
      await withDb({ port: silent.port, replyTimeout: 100 }, async (db) => {
        const impatient = (): Promise<unknown> => db.with({ trace: true }).get("k");
        const error = await failure(impatient());
        assert.equal(error.code, "REPLY_TIMEOUT");
        assert.match(error.stack, /\bimpatient\b/);
      });
    } finally {
      await silent.stop();
    }
    await withDb({}, async (db) => {
      await db.set("text", "v");
      assert.doesNotMatch((await failure(caller(db))).stack, /\bcaller\b/);
    });
  });
});

describe("examples", () => {
  test("the slow log tells what took long, and neither keys nor values", () => withDb({}, async (db) => {
    const lines: string[] = [];
    slowLog(30, (line) => void lines.push(line));
    await db.set("canary:key", "canary-value");
    await db.blpop("canary:list", 0.05);
    await failure(Promise.all([db.blpop("canary:list", 0.05), db.lpush("canary:key", "canary-value")]));
    await db.disconnect();
    const mine = lines.filter((line) => line.includes(String(server.port)));
    assert.equal(mine.filter((line) => line.startsWith("BLPOP ? ? took ")).length, 2, String(mine));
    assert.ok(mine.some((line) => /^LPUSH \? \? took \d+ ms on localhost:\d+ and failed: ReplyError: WRONGTYPE /.test(line)), String(mine));
    assert.doesNotMatch(String(mine), /canary/);
  }));

  test("the metrics for Prometheus are those of stats()", () => withDb({}, async (db) => {
    const web = createMetricsServer(db).listen(0, "127.0.0.1");
    await once(web, "listening");
    try {
      await db.set("text", "v");
      await failure(db.lpush("text", "v"));
      const subscriptions = [await db.subscribe("a", () => {}), await db.subscribe("b", () => {})];
      const answer = await fetch(`http://127.0.0.1:${(web.address() as AddressInfo).port}/metrics`);
      const lines = (await answer.text()).trim().split("\n");
      const labels = (role: string): string => `{node="localhost:${server.port}",database="0",role="${role}"`;
      for (const line of [
        "# TYPE redis_errors_total counter", `redis_errors_total${labels("primary")}} 1`,
        `redis_errors_by_code_total${labels("primary")},code="WRONGTYPE"} 1`, `redis_waited_total${labels("primary")}} 1`,
        `redis_connections${labels("primary")},state="idle"} 1`, `redis_connections${labels("listener")},state="idle"} 2`,
      ]) assert.ok(lines.includes(line), `${line} is not in:\n${lines.join("\n")}`);
      const samples = lines.filter((line) => !line.startsWith("#"));
      assert.ok(samples.every((line) => /^\w+\{[^{}]*\} \d+(\.\d+)?(e-\d+)?$/.test(line)), lines.join("\n"));
      assert.equal(new Set(samples.map((line) => line.split(" ")[0])).size, samples.length); // no series twice
      for (const subscription of subscriptions) subscription.close();
    } finally {
      web.close();
      web.closeAllConnections();
    }
  }));

  test("OpenTelemetry's SDK gets a span for each call, as a child of the active one", () => withDb({ traceKeys: true }, async (db) => {
    const exporter = new InMemorySpanExporter();
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const tracer = provider.getTracer("test");
    traceRedis(tracer);
    await db.set("text", "v");
    exporter.reset();
    await Promise.all(["one", "two"].map((name) => tracer.startActiveSpan(name, async (span) => {
      await db.get(name);
      await failure(db.lpush("text", "v"));
      await db.pipeline().get("a").get("b").execPipeline();
      await db.pipeline().get("a").incr("n").commit();
      span.end();
    })));
    const spans = exporter.getFinishedSpans();
    for (const name of ["one", "two"]) {
      const parent = spans.find((span) => span.name === name)!;
      const children = spans.filter((span) => span.parentSpanContext?.spanId === parent.spanContext().spanId);
      assert.deepEqual(children.map((span) => [span.name, span.kind, span.status.code]), [
        ["GET", SpanKind.CLIENT, 0], ["LPUSH", SpanKind.CLIENT, 2], ["PIPELINE GET", SpanKind.CLIENT, 0], ["MULTI", SpanKind.CLIENT, 0],
      ]);
      const common = {
        "db.system.name": "redis", "db.namespace": "0", "server.address": "localhost", "server.port": server.port,
        "network.peer.address": "localhost", "network.peer.port": server.port,
      };
      assert.deepEqual(children.map(({ attributes }) => ({ ...attributes })), [
        { ...common, "db.operation.name": "GET", "db.query.text": `GET ${name}` },
        { ...common, "db.operation.name": "LPUSH", "db.query.text": "LPUSH text ?", "error.type": "WRONGTYPE", "db.response.status_code": "WRONGTYPE" },
        { ...common, "db.operation.name": "PIPELINE GET", "db.operation.batch.size": 2 },
        { ...common, "db.operation.name": "MULTI", "db.operation.batch.size": 2 },
      ]);
    }
    assert.equal(spans.length, 10);
    context.disable();
  }));

  test("a listener of Sentry's kind, which ends a span early if there is a result, follows each call to its end", () =>
    withDb({ traceAs: "ioredis", traceKeys: true }, async (db) => {
      type Span = { name: string; text: string; result?: unknown; error?: unknown; isEnded: boolean };
      const spans: Span[] = [];
      const spanOf = new WeakMap<object, Span>();
      const start = channel("tracing:ioredis:command:start");
      start.bindStore(requests, (message: any) => {
        const span: Span = { name: message.command, text: [message.command, ...message.args].join(" "), isEnded: false };
        spans.push(span);
        spanOf.set(message, span);
        return span;
      });
      const finish = (message: any): void => {
        const span = spanOf.get(message)!;
        assert.equal(span.isEnded, false);
        Object.assign(span, { isEnded: true }, "error" in message ? { error: message.error.code } : { result: message.result });
      };
      const end = (message: any): void => {
        if ("error" in message || "result" in message) finish(message);
      };
      channel("tracing:ioredis:command:end").subscribe(end);
      channel("tracing:ioredis:command:asyncEnd").subscribe(finish);
      try {
        await db.set("user:1", "v");
        await Promise.all([db.get("user:1"), db.get("user:2"), failure(db.lpush("user:1", "v"))]);
      } finally {
        start.unbindStore(requests);
        channel("tracing:ioredis:command:end").unsubscribe(end);
        channel("tracing:ioredis:command:asyncEnd").unsubscribe(finish);
      }
      assert.deepEqual(spans, [
        { name: "SET", text: "SET user:1 ?", isEnded: true, result: "OK" },
        { name: "GET", text: "GET user:1", isEnded: true, result: "v" }, // a cache hit
        { name: "GET", text: "GET user:2", isEnded: true, result: null },
        { name: "LPUSH", text: "LPUSH user:1 ?", isEnded: true, error: "WRONGTYPE" },
      ]);
    }));
});

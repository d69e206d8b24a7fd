// Tests of redis.ts, in its own order of sections, on real servers. A scripted server stands in for what a real one will
// not do. `npm test` runs them, compiled. `npm run runtimes -- --suite` runs this file as it is under `bun test` and
// `deno test -A`, after a build, because one test looks at what was built. Every test runs on all three; only that no
// timer or socket is left shows on Bun, which lists no resources, by nothing more than that the process ends.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { createServer as createWebServer } from "node:http";
import { Socket, connect as connectTcp } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Duplex, Readable, getDefaultHighWaterMark, setDefaultHighWaterMark } from "node:stream";
import { after, before, beforeEach, describe, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer } from "node:tls";
import { fileURLToPath } from "node:url";
import { format, inspect } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  AbortError, ConnectionError, DurabilityError, NotSupportedError, PipelineError, ProtocolError, RedisError, ReplyError, ShardError,
  ShardedHandler, TimeoutError, WatchError, clusterConnection, clusterConnectionPool, connection, connectionPool, internals,
  lazyClusterConnection, lazyClusterConnectionPool, lazyConnection, lazyConnectionPool, lazyShardedConnection,
  lazyShardedConnectionPool, lazyShardedUnixConnection, lazyShardedUnixConnectionPool, lazyUnixConnection,
  lazyUnixConnectionPool, libraryFunction, manager, script, sentinel, shardedConnection, shardedConnectionPool, shardedUnixConnection,
  shardedUnixConnectionPool, unixConnection, unixConnectionPool,
} from "./redis.ts";
import type {
  ClusterHandler, ConsumeOptions, Consumed, Gap, Handler, Key, LeasedConnection, Manager, Message, Monitored, Options, Subscription, Transaction, Watch,
} from "./redis.ts";
import { fromDns } from "./examples/from-dns.ts";
import { fromEtcd } from "./examples/from-etcd.ts";
import { fromFile } from "./examples/from-file.ts";
import { Editor } from "./test/editor.ts";
import * as reference from "./test/reference.ts";
import { cpuSince, effort, encoded, failure, ours, runProgram, runtime, using } from "./test/handlers.ts";
import { samples } from "./test/samples.ts";
import { Proxy } from "./test/proxy.ts";
import type { Link } from "./test/proxy.ts";
import {
  RedisCluster, RedisServer, ScriptedSentinel, ScriptedServer, SentinelSet, Twemproxy, freePort, hasTwemproxy, until,
} from "./test/servers.ts";
import type { Peer, Said, ServerOptions } from "./test/servers.ts";
import { clusterSurface, surface } from "./test/surface.ts";

const { Decoder, MORE, commands, encodeName, flatten, world } = internals;
type Row = InstanceType<typeof internals.Row>;
type Hooks = NonNullable<ConstructorParameters<typeof internals.Pool>[2]>;
type Connection = Parameters<NonNullable<Hooks["prepare"]>>[0];
const rows = Object.entries(commands) as [string, Row][];
const limits = { maxDepth: 128, maxBulk: 512 * 2 ** 20, maxElements: 2 ** 20, maxReply: 2 ** 30 };

// Bun ends a test after five seconds, however slow the machine is.
if (runtime === "Bun") (await import("bun:test" as string)).setDefaultTimeout(300_000);

let server: RedisServer;
before(async () => {
  server = await RedisServer.start({ tls: true });
});
after(() => server.stop());

/** Gives a handler to `use` and closes it, whatever happens. */
const withDb = <T>(options: Options, use: (db: Handler) => Promise<T>): Promise<T> =>
  using(lazyConnection({ port: server.port, ...options }) as Handler, use);

/** The same against a scripted server, which has been greeted already. */
async function withScript<T>(script: (peer: Peer) => Promise<void>, use: (db: Handler, port: number) => Promise<T>, options: Options = {}) {
  const scripted = await ScriptedServer.start(async (peer) => {
    await peer.hello();
    await script(peer);
  });
  try {
    return await withDb({ port: scripted.port, ...options }, (db) => use(db, scripted.port));
  } finally {
    await scripted.stop();
  }
}

/** Never quietly, and never where the tests decide what lands. */
const skip = (t: TestContext, why: string): void => {
  if (process.env["CI"]) throw new Error(`skipped: ${why}`);
  t.skip(why);
};

/** Collects garbage when it is called. */
function garbageCollector(): () => void {
  const { Bun } = globalThis as { Bun?: { gc(sync: boolean): void } };
  if (Bun !== undefined) return () => Bun.gc(true);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}

type Pass = (time: number) => Promise<void>;

/**
 * Runs `use` while the driver's clock stands still, except for what `pass` lets pass, and `stall`: then all that was due
 * meanwhile is late. Servers answer as ever.
 */
async function inVirtualTime(use: (pass: Pass, stall: Pass) => Promise<void>): Promise<void> {
  const real = { ...world };
  const timers = new Map<unknown, { at: number; task: () => void }>();
  let now = real.now();
  const run = async (end: number): Promise<void> => {
    for (;;) {
      const [first] = [...timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at);
      if (first === undefined) break;
      const [timer, { at, task }] = first;
      timers.delete(timer);
      now = Math.max(now, at);
      task();
      await new Promise(setImmediate);
    }
    now = end;
  };
  Object.assign(world, {
    now: () => now,
    after: (delay: number, task: () => void) => {
      const timer = { unref: () => timer };
      timers.set(timer, { at: now + delay, task });
      return timer;
    },
    cancel: (timer: NodeJS.Timeout | undefined) => timers.delete(timer) || real.cancel(timer),
  });
  try {
    await use((time) => run(now + time), (time) => run(now += time));
  } finally {
    Object.assign(world, real);
  }
}

/** Redis 6 tells no subcommands in COMMAND, and lacks many that the README and the surface use. */
const isOld = (): boolean => parseInt(server.version) < 7;

/** The line of CLIENT LIST for this connection: Redis 6.0 has no CLIENT INFO. */
const ownLine = async (db: Handler): Promise<string> => {
  const [id, lines] = await Promise.all([db.clientId(), db.clientList()]);
  return lines.split("\n").find((line) => line.startsWith(`id=${id} `))!;
};

// ==== The file ====

describe("the file", () => {
  const source = readFileSync("redis.ts", "utf8");
  const readme = readFileSync("README.md", "utf8");

  test("its table of contents is what its banners say", () => {
    const [header = ""] = source.split("\nimport ");
    const contents = [...header.matchAll(/^\/\/ {3,}(\d+)\. (.+?) {2,}/gm)].map(([, number, title]) => `${number}. ${title}`);
    const banners = [...source.matchAll(/^\/\/ ==== (.+) ====$/gm)].map(([, banner]) => banner);
    assert.deepEqual(contents, banners);
  });

  test("its version is the package's", () => {
    const { version, dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
    assert.equal(source.split("\n")[0]!.split(" ")[2], `${version}:`);
    assert.equal(dependencies, undefined);
  });

  test("it compiles as it is copied, as .ts and as .mts, under the strictest settings", async () => {
    const folder = mkdtempSync(join(tmpdir(), "copied-"));
    const flags = ["--noEmit", "--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--noUnusedLocals",
      "--noUnusedParameters", "--noImplicitReturns", "--noPropertyAccessFromIndexSignature", "--noImplicitOverride",
      "--isolatedModules", "--verbatimModuleSyntax", "--erasableSyntaxOnly", "--allowImportingTsExtensions", "--target", "es2022",
      "--lib", "es2023", "--module", "nodenext", "--types", "node", "--typeRoots", resolve("node_modules/@types")];
    for (const name of ["redis.ts", "redis.mts"]) copyFileSync("redis.ts", join(folder, name));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const tsc = spawn(resolve("node_modules/.bin/tsc"), [...flags, "redis.ts", "redis.mts"], { cwd: folder });
    let said = "";
    tsc.stdout.on("data", (chunk) => { said += chunk; });
    const [code] = await once(tsc, "exit");
    rmSync(folder, { recursive: true });
    assert.deepEqual([said, code], ["", 0]);
  });

  test("it is ASCII: with any other letter the engine would keep all of it in twice the memory", () => {
    assert.doesNotMatch(source, /[^\n -~]/);
  });

  test("it ends with the licence", () => {
    const licence = readFileSync("LICENSE", "utf8").replace(/\s+/g, " ").trim();
    const end = source.slice(source.lastIndexOf("// MIT License")).replace(/^\/\/ ?/gm, "").replace(/\s+/g, " ").trim();
    assert.equal(end, licence);
  });

  test("it imports nothing but Node's own modules", () => {
    const modules = [...source.matchAll(/^import .* from "(.*)";$/gm)].map(([, name]) => name);
    assert.ok(modules.every((name) => name!.startsWith("node:")), String(modules));
  });

  test("each option and each code has a line in the README", () => {
    const [options = ""] = source.split("const OPTIONS = {")[1]!.split("} satisfies");
    const names = [...options.matchAll(/^  (\w+): \{ check: /gm)].map(([, name]) => name);
    assert.ok(names.length > 20);
    for (const name of names) assert.match(readme, new RegExp(`^${name}( {2,}|$)`, "m"), `option ${name}`);
    for (const [, code] of source.matchAll(/Error\(\s*"([A-Z_]+)", "(?:not-sent|not-executed|unknown)"/g)) {
      assert.ok(readme.includes(`### ${code}`) || readme.includes(`\`${code}\``), `code ${code}`);
    }
  });

  test("the README's examples run", async () => {
    const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!);
    assert.ok(examples.length > 5);
    const more = await Promise.all([RedisServer.start(), RedisServer.start()]);
    const cluster = await RedisCluster.start({ replicas: 0 });
    for (const example of examples) {
      const shards = example.replace("localhost:6380", `localhost:${more[0].port}`).replace("localhost:6381", `localhost:${more[1].port}`)
        .replace("localhost:7000", cluster.hosts[0]!).replace("localhost:7001", cluster.hosts[1]!);
      if (!isOld() || !example.includes("GT: true")) await runExample(shards);
    }
    await Promise.all([...more, cluster].map((server) => server.stop()));
  });
});

/** An example of the README as it stands, except that its server is the tests' own. */
async function runExample(example: string): Promise<void> {
  const body = example
    .replace(/^import (\{[^}]*\}) from ".*redis\.ts";$/gm, "const $1 = redis;")
    .replace(/^import (\{[^}]*\}) from "(node:.*)";$/gm, 'const $1 = await import("$2");')
    .replaceAll("onnection()", `onnection({ port: ${server.port} })`)
    .replaceAll("/tmp/redis.sock", server.path)
    .replaceAll("port: 6379", `port: ${server.port}`)
    .replaceAll('host: "localhost"', `port: ${server.port}`)
    .replaceAll("localhost:6379", `localhost:${server.port}`);
  const AsyncFunction = (async () => {}).constructor as new (...args: string[]) => (...args: unknown[]) => Promise<void>;
  const redis = await import("./redis.ts");
  const bare = (text: string): string => text.replace(/["'\s]/g, "");
  const logged: string[] = [];
  try {
    await new AsyncFunction("redis", "console", body)(redis, { log: (...values: unknown[]) => logged.push(bare(format(...values))) });
  } catch (error) {
    throw new Error(`this example of the README fails: ${error}\n${example}`, { cause: error });
  }
  // `console.log(…); // this` promises what is printed.
  for (const [, promised] of example.matchAll(/console\.log\(.*\/\/ (.*)$/gm)) {
    assert.ok(logged.includes(bare(promised!)), `${promised} is not among ${logged}`);
  }
}

// ==== 1. Options and errors ====

describe("options", () => {
  const wrong: [name: string, options: unknown, says: RegExp][] = [
    ["a port that is text", { port: "6379" }, /option port must be a whole number/],
    ["a port out of range", { port: 65_536 }, /option port/],
    ["port 0", { port: 0 }, /option port/],
    ["an empty host", { host: "" }, /option host must be a string/],
    ["a dbid that is not whole", { dbid: 1.5 }, /option dbid/],
    ["a negative dbid", { dbid: -1 }, /option dbid/],
    ["poolsize 0", { poolsize: 0 }, /option poolsize/],
    ["a misspelt option", { replytimeout: 5 }, /no option "replytimeout"/],
    ["an option named __proto__", JSON.parse('{"__proto__": {"host": "evil"}}'), /no option "__proto__"/],
    ["a protocol that is not", { protocol: 4 }, /option protocol must be one of 2, 3/],
    ["a charset that is not", { charset: "utf-16" }, /option charset/],
    ["a negative time", { replyTimeout: -1 }, /option replyTimeout must be a positive number of milliseconds/],
    ["a time of zero", { connectTimeout: 0 }, /option connectTimeout/],
    ["tls that is text", { tls: "yes" }, /option tls/],
    ["credentials beside a password", { credentials: () => ({ password: "a" }), password: "b" }, /option credentials/],
    ["a username without a password", { username: "a" }, /option username needs a password/],
    ["a name with a blank", { name: "a b" }, /option name/],
    ["null", null, /options must be an object or a URL/],
    ["a number", 6379, /options must be an object or a URL/],
    ["a class", new Date(), /options must be an object or a URL/],
  ];
  for (const [name, options, says] of wrong) {
    test(`${name} is a TypeError that names it`, async () => {
      assert.throws(() => lazyConnection(options as Options), (error) => error instanceof TypeError && says.test(error.message));
      await assert.rejects(connection(options as Options), (error) => error instanceof TypeError && says.test(error.message));
    });
  }

  test("options of shards that are no object are a TypeError that says so", () => {
    for (const options of [null, "redis://localhost", 6379]) {
      const open = () => lazyShardedConnectionPool(["127.0.0.1:6379"], options as any);
      assert.throws(open, (error) => error instanceof TypeError && error.message === "options must be an object");
    }
  });

  test("an option that is undefined is as good as left out", () => withDb({ host: undefined, name: undefined } as object, async (db) => {
    assert.equal(await db.ping(), "PONG");
  }));

  const urls: [url: string, says: RegExp][] = [
    ["http://localhost", /scheme/],
    ["localhost:6379", /not a URL/],
    ["not a url", /not a URL/],
    ["redis://a@b@c", /one @/],
    ["redis://:hunter2@localhost:99999", /not a URL/],
    ["redis://:hunter2@localhost/a", /dbid/],
    ["redis://:hunter2@localhost/-1", /dbid/],
    ["redis://:hunter2@localhost/1/2", /dbid/],
    ["redis://:hunter2%zz@localhost", /%/],
    ["redis://:hunter2@localhost?tls=false", /cannot set tls/],
    ["redis://:hunter2@localhost?host=evil", /cannot set host/],
    ["redis://:hunter2@localhost/1?dbid=2", /cannot set dbid/],
    ["redis://:hunter2@localhost?replyTimeout=soon", /replyTimeout/],
    ["redis://:hunter2@localhost#top", /no #/],
    ["redis://user@localhost", /needs a password/],
    ["redis://u:12?hunter2@localhost", /cannot set this option/],
    ["redis:12", /not a URL/],
    ["unix://tmp/redis.sock", /three slashes/],
  ];
  for (const [url, says] of urls) {
    test(`the URL ${url} is refused, and the error does not show its password`, () => {
      assert.throws(() => lazyConnection(url), (error: any) => {
        assert.match(error.message, says);
        return error instanceof TypeError && !inspect(error, { showHidden: true, depth: 9 }).includes("hunter2");
      });
    });
  }

  test("the simplest mistakes in a URL are told with what to write instead, and no password is shown", () => {
    for (const [url, says] of [
      ["host:6379", /^not a URL; write redis:\/\/host:6379$/], ["[::1]:6379", /; write redis:\/\/\[::1\]:6379$/],
      ["hunter2", /^not a URL such as redis:\/\/host:port$/], ["u:hunter2@h:1", /^not a URL such as/],
      ["redis://:hunter2#x@h", /%23 for #/], ["redis://:hunter2/x@h", /%2F for \//], ["redis://u:12/hunter2@h", /%2F for \//],
      ["redis://:hunter2?x@h", /%3F for \?/], ["redis://u:12?hunter2@h", /%3F for \?/], ["redis://u:12?hunter2=x@h", /%3F for \?/],
      ["redis://h?hunter2=x", /cannot set this option; it can set dbid, name/], ["redis://h?tls=false", /cannot set tls; it can set/],
      ["redis://h?dbid=1&dbid=2", /cannot set dbid a second time/],
    ] as const) {
      assert.throws(() => lazyConnection(url), (error: any) => {
        assert.match(error.message, says);
        return error instanceof TypeError && !inspect(error, { showHidden: true }).includes("hunter2");
      }, url);
    }
  });

  test("a URL sets user, password, host, port, database and what its query may", async () => {
    await server.call("ACL", "SETUSER", "al@ice", "on", ">p@ss:/?#", "~*", "+@all");
    const url = `redis://al%40ice:p%40ss%3A%2F%3F%23@127.0.0.1:${server.port}/3?name=tested&replyTimeout=1000`;
    const db = await connection(url);
    assert.match(await ownLine(db), / name=tested .* db=3 .* user=al@ice( |$)/);
    await db.disconnect();
    await server.call("ACL", "DELUSER", "al@ice");
  });

  test("valkey: and unix: URLs, and URL objects, do as well", async () => {
    for (const url of [`valkey://localhost:${server.port}`, `unix://${server.path}`, new URL(`redis://127.0.0.1:${server.port}`)]) {
      const db = await connection(url);
      assert.equal(await db.ping(), "PONG");
      await db.disconnect();
    }
  });
});

// ==== 2. RESP: encoding ====

describe("encoding", () => {
  const name = encodeName("CALL");

  for (const [method, [args, words]] of Object.entries(samples)) {
    test(`${method} sends ${words}`, () => {
      const row = commands[method as keyof typeof commands] as Row;
      const expected = words.split(" ").map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
      assert.equal(encoded(row.name, args, row.form).toString(), `*${expected.length}\r\n${expected.join("")}`);
    });
  }

  test("every row has a sample", () => {
    assert.deepEqual(Object.keys(samples).sort(), rows.map(([method]) => method).sort());
  });

  test("100,000 random argument lists arrive as they are", () => {
    const random = reference.random(1);
    for (let i = 0; i < 100_000; i++) {
      const args = reference.randomArguments(random);
      const [words] = reference.parseCommands(encoded(name, args));
      assert.deepEqual(words, [Buffer.from("CALL"), ...reference.expectedArguments(args)]);
    }
  });

  class Point {}
  const refused: [name: string, value: unknown][] = [
    ["null", null], ["NaN", NaN], ["a boolean", true], ["false", false], ["a symbol", Symbol("secret")],
    ["a function", () => {}], ["a date", new Date()], ["a Map", new Map()], ["a Set", new Set()], ["a RegExp", /secret/],
    ["a class instance", new Point()], ["an array", ["secret"]], ["an object", { a: "secret" }], ["a nested object", { a: { b: 1 } }], ["null in an object", { a: null }],
    ["null in an array", [null]], ["undefined in an array", ["a", undefined]], ["a promise", Promise.resolve("secret")],
  ];
  for (const [what, value] of refused) {
    test(`${what} is a TypeError that names the argument, before anything is sent`, () => withDb({}, async (db) => {
      await server.call("CONFIG", "RESETSTAT");
      const error = await failure(db.call("set", "key", value));
      assert.ok(error instanceof TypeError);
      assert.match(error.message, /^SET: .*argument 2/);
      assert.doesNotMatch(error.message, /secret/i);
      const { code, outcome, command } = error as any;
      assert.deepEqual({ code, outcome, command }, { code: "INVALID_ARGUMENT", outcome: "not-sent", command: "SET" });
      assert.equal(await db.get("no such key"), null);
      assert.doesNotMatch(await server.call("INFO", "commandstats"), /cmdstat_set:/);
    }));
  }

  test("undefined is a TypeError where an argument is needed, and the same as none where it may be omitted", () =>
    withDb({}, async (typed) => {
    const db = typed as any;
    for (const [at, call] of [
      [1, () => db.call("set", undefined, "b")], [2, () => db.set("k", undefined)], [1, () => db.get(undefined)],
      [2, () => db.call("SET", "k", undefined)], [3, () => db.hset("k", "f", undefined)], [3, () => db.hget("k", "f", undefined)],
      [2, () => db.expire("k", undefined)], [3, () => db.hexpire("k", 1, undefined)], [2, () => db.publish("c", undefined)],
      [2, () => db.sadd("k", undefined)], [2, () => db.del("a", undefined)], [4, () => script("")(db, "a", undefined as any)],
      [2, () => db.call("JSON.DEL", "k", undefined)], [3, () => db.call("FT.DROPINDEX", "i", "DD", undefined, undefined)],
      [2, () => db.call({ name: "JSON.DEL", values: true }, "k", undefined)], [1, () => db.call("NO.SUCH", undefined)],
    ] as const) {
      const error = await failure(call());
      assert.ok(error instanceof TypeError);
      assert.match(error.message, new RegExp(`: argument ${at}: undefined cannot be sent$`));
    }
    assert.equal(await db.set("key", "value", undefined), "OK");
    assert.equal(await db.bitcount("key", undefined), 21);
    assert.equal(await db.lpop("none", undefined), null);
    assert.equal(await db.xadd("stream", { MAXLEN: 5, LIMIT: undefined }, "1-1", { a: 1 }), "1-1");
    assert.deepEqual(await db.sort("none", undefined), []);
    assert.deepEqual(await db.zunion(1, "none", undefined), []);
    assert.equal(await db.geodist("none", "a", "b", undefined), null);
    assert.equal(await db.call("GEODIST", "none", "a", "b", undefined), null);
  }));

  test("arguments that are too big are refused before anything is sent", () => withDb({}, async (db) => {
    assert.match((await failure(db.set("k", Buffer.allocUnsafeSlow(2 ** 29 + 1)))).message, /longer than 512 MiB/);
    const quarter = Buffer.allocUnsafeSlow(2 ** 28);
    assert.match((await failure(db.sadd("k", Array(9).fill(quarter)))).message, /longer than 2 GiB/);
    assert.match((await failure(db.sadd("k", Array(2 ** 20).fill("x")))).message, /more than 1048576 arguments/);
    assert.equal(await db.ping(), "PONG");
  }));

  test("a Buffer that is detached before it is sent fails its own command and no other", () => withDb({}, async (db) => {
    await db.mset({ a: "A", b: "B" });
    const bytes = new Uint8Array(5000);
    const taken = failure(db.set("k", bytes));
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    assert.deepEqual(await Promise.all([db.get("a"), db.get("b")]), ["A", "B"]);
    assert.equal((await taken).outcome, "not-sent");
  }));

  test("an array, an object, a Map, a Set or a date is refused wherever a row takes one value, for every row", () => {
    const others = [["x"], ["x", "y", "z"], [["x"]], {}, { EX: 1 }, new Map([["a", "b"]]), new Set(["a"]), new Date()];
    let checked = 0;
    for (const [method, [args]] of Object.entries(samples)) {
      const { name, form } = commands[method as keyof typeof commands] as Row;
      const lead = args[form.lead - 1] instanceof Object ? form.lead : Infinity;
      const last = form.end === 0 ? Infinity : args.length - Number(args.at(-1)!.constructor === Object);
      for (const [i, arg] of args.entries()) {
        const at = i + 1 > lead ? i : i + 1;
        const isList = at >= form.lists && i + 1 !== last;
        for (const other of others) {
          const isPlain = other.constructor === Object;
          if (typeof arg === "object" || (isPlain ? form.options <= at && form.end === 0 : false)) continue;
          const isPair = form.pairs && at >= form.lists && (isPlain || other instanceof Map);
          if (isPair || i + 1 === lead || (isList && !isPlain && !(other instanceof Map || other instanceof Date))) continue;
          if (isPlain && i + 1 === form.lead) continue;
          assert.throws(() => flatten(name, args.with(i, other), form), {
            name: "TypeError", message: /: argument \d+ (is|holds) an? \w+, where one value is expected(; JSON\.stringify it\?)?$/,
          }, `${method}: ${inspect(other)} as argument ${i + 1}`);
          checked++;
        }
      }
    }
    assert.ok(checked > 3_000, String(checked));
  });

  test("an array, an object or a Map in the place of one value never becomes options, fields, members or keys", () =>
    withDb({}, async (typed) => {
    const db = typed as any;
    const list = ["x", "EX", "1"];
    const pair = [1, ["a", "2", "b"]];
    const [array, object] = ["an array", "an object"].map((kind) => `${kind}, where one value is expected`) as [string, string];
    const calls: [says: string, call: () => Promise<unknown>][] = [
      [`SET: argument 2 is ${array}`, () => db.set("k", list)],
      [`SET: argument 2 is ${object}; JSON.stringify it?`, () => db.set("k", { PX: 1 })],
      ["SET: argument 2 is a Map, where one value is expected", () => db.set("k", new Map([["PX", 1]]))],
      ["SET: argument 2 is a Date, where one value is expected", () => db.set("k", new Date())],
      ["SET: argument 2 is a Point, where one value is expected", () => db.set("k", new Point())],
      [`GET: argument 1 is ${array}`, () => db.get(["k"])],
      [`SET: argument 3 holds ${array}`, () => db.set("k", "v", { EX: ["1", "NX"] })],
      [`SET: argument 3 holds ${object}; JSON.stringify it?`, () => db.set("k", "v", { IFEQ: { a: 1 } })],
      [`SCAN: argument 2 holds ${array}`, () => db.scan(0, { MATCH: ["*", "COUNT", "1"] })],
      [`ZRANGE: argument 4 holds ${array}`, () => db.zrange("z", 0, -1, { BYSCORE: true, LIMIT: [0, ["1", "WITHSCORES"]] })],
      [`EXPIRE: argument 2 is ${array}`, () => db.expire("k", ["1", "NX"])],
      [`BLPOP: argument 2 is ${array}`, () => db.blpop("q", ["p", "1"])],
      [`LMPOP: argument 3 is ${array}`, () => db.lmpop(1, "q", ["LEFT", "COUNT", "9"])],
      [`HSET: argument 2 holds ${array}`, () => db.hset("u", { name: ["Eve", "admin", "1"] })],
      [`HSET: argument 2 holds ${object}; JSON.stringify it?`, () => db.hset("u", { name: { admin: "1" } })],
      [`HSET: argument 3 is ${array}`, () => db.hset("u", "name", ["x", "role", "admin"])],
      [`HSET: argument 3 is ${object}; JSON.stringify it?`, () => db.hset("u", "name", { role: "admin" })],
      [`HSET: argument 2 holds ${array}`, () => db.hset("u", ["name", ["x", "role", "admin"]])],
      [`HSET: argument 2 holds ${array}`, () => db.hset("u", Object.entries({ name: ["x", "role", "admin"] }))],
      [`HSET: argument 2 holds ${array}`, () => db.hset("u", new Map([["name", ["x", "role", "admin"]]]))],
      ["HSET: argument 2 does not consist of groups of 2 values", () => db.hset("u", ["a", "b", "c"], "d")],
      [`MSET: argument 1 holds ${array}`, () => db.mset({ a: ["1", "b", "2"] })],
      [`XADD: argument 3 holds ${array}`, () => db.xadd("s", "*", { a: ["1", "b", "2"] })],
      [`XADD: argument 2 is ${array}`, () => db.xadd("s", ["*", "a", "1"], { b: 1 })],
      [`XADD: argument 3 is ${array}`, () => db.xadd("s", { MAXLEN: 9 }, ["*", "a", "1"], { b: 1 })],
      [`ZADD: argument 2 holds ${array}`, () => db.zadd("z", pair)],
      [`ZADD: argument 2 holds ${array}`, () => db.zadd("z", [pair, [3, "c"]])],
      [`ZADD: argument 3 is ${array}`, () => db.zadd("z", 1, ["a", "2", "b"])],
      ["ZADD: argument 2 does not consist of groups of 2 values", () => db.zadd("z", [1, "a", 2], "b")],
      [`GEOADD: argument 2 holds ${array}`, () => db.geoadd("g", [1, 2, ["a", 3, 4, "b"]])],
      [`CONFIG SET: argument 1 holds ${array}`, () => db.configSet({ maxmemory: ["0", "maxclients", "1"] })],
      [`SET: argument 2 is ${array}`, () => db.call("SET", "k", list)],
      [`HSET: argument 2 holds ${array}`, () => db.call("hset", "u", { name: ["Eve", "admin", "1"] })],
      [`CONFIG SET: argument 1 holds ${array}`, () => db.call("CONFIG", "SET", { maxmemory: ["0", "maxclients", "1"] })],
      [`EVALSHA: argument 3 is ${array}`, () => script("return 1", { keys: 1 })(db, ["a", "b"] as any, "c")],
      [`EVALSHA: argument 4 is ${object}; JSON.stringify it?`, () => script("return 1", { keys: 1 })(db, "a", { b: 1 } as any)],
      [`FCALL: argument 3 is ${array}`, () => libraryFunction("f", { keys: 1 })(db, ["a", "b"] as any)],
      [`JSON.SET: argument 2 is ${array}`, () => db.call({ name: "JSON.SET", values: true }, "k", ["$", "1"])],
      [`HSCAN: argument 1 is ${array}`, () => db.hscanIterator(["a", "b"]).next()],
    ];
    await server.call("CONFIG", "RESETSTAT");
    for (const [says, call] of calls) {
      const error = await failure(call());
      assert.ok(error instanceof TypeError);
      assert.equal(error.message, says);
    }
    assert.doesNotMatch(await server.call("INFO", "commandstats"), /cmdstat_(set|hset|mset|xadd|zadd|geoadd|scan|evalsha):/);
    assert.throws(() => db.pipeline().set("k", list), TypeError);
  }));

  test("an option takes as many values as its row says, a flag true or false, and no other option a boolean, for every row", () => {
    const lists: Record<string, [taken: unknown[], refused: unknown[]]> = {
      "": [["a", 1], [["a"], ["a", "b"], [], { A: 1 }]],
      "2": [[["a", 1]], ["a", [], ["a"], ["a", 1, "NX"], ["a", ["b"]], [["a", "b"]], new Set(["a", "b"])]],
      "3": [[["a", 1, "b"]], ["a", ["a", "b"], ["a", 1, "b", "NX"], ["a", ["b", "c"]]]],
      "1|2": [[1, "a", ["~", 1]], [[], [1], ["~", 1, "NX"], ["~", [1]]]],
      "1+n": [[[1, "a"], [2, ["a", "b"]], ["2", "a", new Set(["b"])], [0]],
        [[1], [1, "a", "NX"], [2, ["a"]], ["x", "a"], [NaN, "a"], [-1], [], [1.5, "a"], 1, [1, ["a", ["NX"]]]]],
      "1+2n": [[[1, "a", 1], [2, "a", 1, "b", 2], [2, ["a", 1], ["b", 2]]], [[1, "a"], [1, "a", 1, "NX"], [2, "a", 1], [2, ["a", 1, "b"]]]],
      "n+n": [[["a", "b"], [["a", "b"], [0, 0]]], ["a", ["a"], ["a", 0, "b", 0], [["a", "b", 0], 0], [["a"], [0, 1, 2]], [[["a", "b"], "c"], 0]]],
      n: [["a", ["a", "b"], [], ["a", ["b"]]], [{ A: 1 }, null, [{ A: 1 }]]],
      ints: [[1, [1, 2n, "3"]], [["a"], [1, "NX"], [1, ""], "a", [1.5], [[1, "NX"]]]],
    };
    let checked = 0;
    for (const [method, row] of rows) for (const [option, { mark, list }] of row.form.takes!) {
      if (option === "*") continue;
      const form = { ...row.form, options: 1, optional: 2, lead: Infinity, lists: Infinity, end: 0, count: 0 } as const;
      const addedBy = (value: unknown): unknown[] => flatten(row.name, [{ [option]: value }], form);
      const [taken, refused] = mark === "?" ? [[true, false, undefined], [1, 0, "", "yes", [true], null, {}]] as const : lists[list]!;
      const [booleans, absent] = mark === "?" ? [[], []] : mark === "!" || row.form.takes!.has("*") ? [[true, false], [undefined]] : [[true, false], []];
      for (const value of taken) {
        const count = typeof value === "boolean" ? Number(value) : value === undefined ? 0 : 1 + [value].flat(9).reduce((sum: number, part: unknown) =>
          sum + (part instanceof Set ? part.size : 1), 0);
        assert.equal(addedBy(value).length, count, `${method}: ${option} ${inspect(value)}`);
      }
      for (const value of [...refused, ...booleans, ...absent]) {
        assert.throws(() => addedBy(value), { name: "TypeError" }, `${method}: ${option} ${inspect(value)}`);
        checked++;
      }
    }
    assert.ok(checked > 1_500, String(checked));
  });

  test("an array in an option never adds options, however long it is, nor a boolean or undefined in the place of a value", () =>
    withDb({}, async (typed) => {
    const db = typed as any;
    const calls: [says: string, call: () => Promise<unknown>][] = [
      ["SORT: argument 2: LIMIT takes an array of 2 values", () => db.sort("list", { LIMIT: [0, 2, "STORE", "victim"] })],
      ["SORT: argument 2: LIMIT takes an array of 2 values", () => db.sort("list", { LIMIT: 0 })],
      ["BITFIELD: argument 2: GET takes an array of 2 values", () => db.bitfield("b", { GET: ["u8", 0, "SET", "u8", 0, 90] })],
      ["BITFIELD: argument 3: SET takes an array of 3 values", () => db.bitfield("b", { GET: ["u8", 0] }, { SET: ["u8", 0] })],
      ["XREADGROUP: argument 1: GROUP takes an array of 2 values",
        () => db.xreadgroup({ GROUP: ["g", "c", "NOACK"], STREAMS: ["q", ">"] })],
      ["XREADGROUP: argument 1: STREAMS takes two lists of the same length",
        () => db.xreadgroup({ GROUP: ["g", "c"], STREAMS: [["q", "p", ">"], ">"] })],
      ["XREAD: argument 1: STREAMS takes two lists of the same length", () => db.xread({ STREAMS: ["q", "p", "0", "0"] })],
      ["XADD: argument 2: MAXLEN takes one value, or an array of 2", () => db.xadd("q", { MAXLEN: ["=", 0, "NOMKSTREAM"] }, "*", { a: 1 })],
      ["XADD: argument 2: MINID takes one value, or an array of 2", () => db.xadd("q", { MINID: ["~"] }, "*", { a: 1 })],
      ["XADD: argument 2: IDMP takes an array of 2 values", () => db.xadd("q", { IDMP: ["p", "i", "MAXLEN", 0] }, "*", { a: 1 })],
      ["ZRANGEBYSCORE: argument 4: LIMIT takes an array of 2 values", () => db.zrangebyscore("z", 0, 9, { LIMIT: [0, 9, "WITHSCORES"] })],
      ["GEOSEARCH: argument 2: FROMLONLAT takes an array of 2 values",
        () => db.geosearch("g", { FROMLONLAT: [1, 1, "WITHCOORD", "WITHHASH"], BYRADIUS: [1, "m"] })],
      ["GEOSEARCH: argument 2: BYPOLYGON takes a count, and twice as many values", () => db.geosearch("g", { BYPOLYGON: [1, 1, 2, "ASC"] })],
      ["MIGRATE: argument 6: AUTH2 takes an array of 2 values", () => db.migrate("h", 1, "k", 0, 9, { AUTH2: ["u", "p", "COPY"] })],
      ["FAILOVER: argument 1: TO takes an array of 2 values", () => db.failover({ TO: ["h", 1, "FORCE"] })],
      ["COMMAND LIST: argument 1: FILTERBY takes an array of 2 values", () => db.commandList({ FILTERBY: ["MODULE"] })],
      ["MODULE LOADEX: argument 2: CONFIG takes an array of 2 values", () => db.moduleLoadex("/m.so", { CONFIG: ["a", 1, "ARGS", "b"] })],
      ["HEXPIRE: argument 3: FIELDS takes a count, and as many values", () => db.hexpire("h", 9, { FIELDS: [1, ["a", "b"]] })],
      ["HSETEX: argument 2: FIELDS takes a count, and twice as many values", () => db.hsetex("h", { FIELDS: [1, "a", 1, "KEEPTTL"] })],
      ["XDELEX: argument 2: IDS takes a count, and as many values", () => db.xdelex("q", { IDS: [1, "1-1", "ACKED"] })],
      ["VADD: argument 2: VALUES takes a count, and as many values", () => db.vadd("v", { VALUES: [2, [1, 2, "evil", "SETATTR"]] }, "{}")],
      ["VSIM: argument 2: VALUES takes a count, and as many values", () => db.vsim("v", { VALUES: [2, 1, 2, "TRUTH"] })],
      ["HOTKEYS START: argument 1: METRICS takes a count, and as many values", () => db.hotkeysStart({ METRICS: [1, "CPU", "NET"] })],
      ["CLIENT KILL: argument 1: ID takes whole numbers", () => db.clientKill({ ID: [7, "SKIPME", "no"] })],
      ["SET: argument 3: a boolean is only for options that are flags", () => db.set("k", "v", { IFEQ: false })],
      ["SET: argument 3: a boolean is only for options that are flags", () => db.set("k", "v", { EX: false })],
      ["SCAN: argument 2: a boolean is only for options that are flags", () => db.scan(0, { MATCH: true, COUNT: true })],
      ["LPOS: argument 3: a boolean is only for options that are flags", () => db.lpos("l", "a", { COUNT: false })],
      ["SET: argument 3: NX is either true or false", () => db.set("k", "v", { NX: "EX" })],
      ["SET: argument 3: GET is either true or false", () => db.call("set", "k", "v", { get: 1 })],
      ["SET: argument 3: a condition that is undefined would be dropped", () => db.set("k", "v", { IFEQ: undefined })],
      ["SET: argument 3: a condition that is undefined would be dropped", () => db.set("k", "v", { EX: 9, IFDNE: undefined })],
      ["DELEX: argument 2: a condition that is undefined would be dropped", () => db.delex("k", { IFEQ: undefined })],
      ["CLIENT KILL: argument 1: a condition that is undefined would be dropped", () => db.clientKill({ ID: undefined, SKIPME: "yes" })],
      ["CLIENT KILL: argument 1: a condition that is undefined would be dropped", () => db.clientKill({ USER: undefined, TYPE: "normal" })],
      ["CLIENT KILL: argument 1: a boolean is only for options that are flags", () => db.clientKill({ "NOT-ADDR": false })],
    ];
    for (const [says, call] of calls) {
      const error = await failure(call());
      assert.ok(error instanceof TypeError);
      assert.equal(error.message, says);
    }
    assert.equal(await db.set("k", "v", { EX: undefined, NX: undefined, PX: 9000 }), "OK");
    assert.equal((await db.scan(0, { MATCH: undefined, COUNT: 1000, TYPE: undefined })).length, 2);
  }));

  test("a list has the keys that are counted before it, no more and no less, and options stand behind them, for every row", () => {
    const counting = rows.filter(([, { form }]) => form.count > 0);
    assert.deepEqual(counting.map(([method]) => method).filter((method) => !/^[bsz]|store$|^(eval|fcall)/.test(method)), ["msetex", "lmpop"]);
    for (const [method, { name, form }] of counting) {
      const before = Array.from({ length: form.count - 1 }, () => 1);
      const after = form.end === -1 ? ["MIN"] : [];
      const call = (...args: unknown[]): unknown[] => flatten(name, [...before, ...args, ...after], form);
      const hasArguments = form.options === Infinity && form.end === 0;
      const list = (keys: number): unknown => form.pairs ? Object.fromEntries(Array.from({ length: keys }, (_, i) => [`EX${i}`, i])) : Array(keys).fill("EX");
      for (const [count, keys] of [[1, 1], [2, 2], ["2", 2], [0, 0]] as const) call(count, list(keys));
      for (const [count, keys] of [[1, 2], [2, 1], [1, 0], [0, 1], ["1", 3], ["x", 1], [-1, 1], [1.5, 1], [1.5, 2], ["", 0], [Infinity, 1]] as const) {
        if (count === 0 && hasArguments) continue; // all of them are arguments
        assert.throws(() => call(count, list(keys)), { name: "TypeError" }, `${method}: ${count} counts ${keys}`);
      }
      const more: unknown[] = [["EX"], ["a", "b"], new Set(["a"]), new Map([["EX", 10]]), { EX: 1 }];
      for (const value of more) {
        const isOption = value === more.at(-1);
        if (!(isOption && form.options < Infinity) && !(hasArguments && (Array.isArray(value) || value instanceof Set))) {
          assert.throws(() => call(1, list(1), value), { name: "TypeError" }, `${method}: ${inspect(value)} behind the keys`);
        }
        if (isOption) assert.throws(() => call(2, "a", value), { name: "TypeError" }, `${method}: options as a key`);
        if (isOption) assert.throws(() => call(1, list(1), value, "a"), { name: "TypeError" }, `${method}: a key behind options`);
      }
      assert.throws(() => flatten(name, [...before, 2, "a", undefined], form), { name: "TypeError" }, `${method}: undefined as a key`);
    }
  });

  test("what stands in the place of a key never becomes an option, nor a key an argument, however lists are cut", () =>
    withDb({}, async (typed) => {
    const db = typed as any;
    const few = (at: number, count: number): string => `argument ${at} does not have the keys that argument ${count} counts`;
    const options = "is options, where a key is expected";
    const behind = "stands where only options may";
    const calls: [says: string, call: () => Promise<unknown>][] = [
      [`MSETEX: ${few(2, 1)}`, () => db.msetex(1, { a: 1, EX: 10 })],
      [`MSETEX: ${few(2, 1)}`, () => db.msetex(2, { a: 1 }, { EX: 10 })],
      [`MSETEX: argument 3 ${behind}`, () => db.msetex(1, { a: 1 }, new Map([["EX", 10]]))],
      [`MSETEX: argument 3 ${behind}`, () => db.msetex(1, { a: 1 }, ["EX", 10])],
      [`ZUNION: ${few(2, 1)}`, () => db.zunion(1, ["a", "WITHSCORES"])],
      [`ZUNION: ${few(2, 1)}`, () => db.zunion(3, ["a", "b"])],
      [`ZUNION: argument 3 ${behind}`, () => db.zunion(1, "a", ["WITHSCORES"])],
      [`ZUNION: argument 3 ${options}`, () => db.zunion(2, "z", { nokey: "WITHSCORES" })],
      ["ZUNION: argument 3: undefined cannot be sent", () => db.zunion(2, "a", undefined)],
      ["ZUNION: argument 3: WEIGHTS takes a value for each key", () => db.zunion(1, "a", { WEIGHTS: [1, "WITHSCORES"] })],
      ["ZINTERSTORE: argument 4: WEIGHTS takes a value for each key", () => db.zinterstore("d", 2, ["a", "b"], { WEIGHTS: [1] })],
      [`ZINTER: argument 4 ${behind}`, () => db.zinter(1, "a", { AGGREGATE: "SUM" }, "b")],
      [`ZDIFF: argument 2 ${options}`, () => db.zdiff(1, { WITHSCORES: true })],
      [`ZDIFFSTORE: ${few(3, 2)}`, () => db.zdiffstore("d", 1, new Set(["a", "b"]))],
      [`ZUNIONSTORE: argument 4 ${options}`, () => db.zunionstore("d", 2, "a", { AGGREGATE: "MIN" })],
      [`SINTERCARD: ${few(2, 1)}`, () => db.sintercard(1, ["s1", "LIMIT", "1"])],
      [`SINTERCARD: argument 2 ${options}`, () => db.sintercard(2, { LIMIT: 1 }, "a")],
      [`ZINTERCARD: ${few(2, 1)}`, () => db.zintercard(1, [["a", ["LIMIT", 1]]])],
      [`LMPOP: ${few(2, 1)}`, () => db.lmpop(1, ["q", "LEFT", "COUNT"], "9")],
      [`BZMPOP: ${few(3, 2)}`, () => db.bzmpop(0.1, 2, ["z"], "MIN")],
      [`EVAL: ${few(3, 2)}`, () => db.eval("return KEYS", 1, ["k", "evil"], "arg")],
      [`EVAL: ${few(3, 2)}`, () => db.eval("return KEYS", 2, ["k"], "arg")],
      [`EVAL: ${few(3, 2)}`, () => db.eval("return KEYS", 1, [], "arg")],
      [`EVAL_RO: ${few(3, 2)}`, () => db.eval_ro("return KEYS", 1, new Set(["k", "evil"]))],
      [`EVALSHA: ${few(4, 2)}`, () => db.evalsha("0".repeat(40), 2, "k", ["l", "evil"])],
      [`EVALSHA_RO: ${few(3, 2)}`, () => db.evalsha_ro("0".repeat(40), 1n, ["k", "l"])],
      [`FCALL: ${few(3, 2)}`, () => db.fcall("f", "1", ["k", "evil"])],
      [`FCALL_RO: ${few(3, 2)}`, () => db.call("fcall_ro", "f", 1, ["k", "evil"])],
      ["XCLAIM: argument 5 is an object, where one value is expected; JSON.stringify it?", () => db.xclaim("q", "g", "c", 0, { JUSTID: true })],
      ["XCLAIM: argument 5: undefined cannot be sent", () => db.xclaim("q", "g", "c", 0, undefined)],
      [`XCLAIM: argument 7 ${behind}`, () => db.xclaim("q", "g", "c", 0, "1-1", { IDLE: 5 }, "FORCE")],
      ["SFLUSH: argument 1 is an object, where one value is expected; JSON.stringify it?", () => db.sflush({ SYNC: true })],
    ];
    for (const [says, call] of calls) {
      const error = await failure(call());
      assert.ok(error instanceof TypeError, says);
      assert.equal(error.message, says);
    }
    await db.zadd("counted", [1, "m"]);
    assert.deepEqual(await db.zunion(2, "counted", ["none"], { WEIGHTS: [2, 1] }, { WITHSCORES: true }), [["m", 2]]);
    assert.deepEqual(await db.eval("return {#KEYS, #ARGV}", 2, "a", ["b"], ["c", "d"], "e", []), [2, 3]);
    assert.deepEqual(await db.eval("return {#KEYS, #ARGV}", 0, ["c", "d"]), [0, 2]);
    assert.equal(await db.sintercard(1, ["none"], undefined), 0);
  }));

  test("an item has exactly its values, and names and values never shift: no array adds a member, and nothing empty takes a place", () =>
    withDb({}, async (typed) => {
    const db = typed as any;
    const empty = "an empty list, whose place the next value would take";
    const calls: [says: string, call: () => Promise<unknown>][] = [
      ["ZADD: argument 2 holds 4 values in one array, not 2", () => db.zadd("z", [1, "x", 2, "evil"])],
      ["ZADD: argument 3 holds 4 values in one array, not 2", () => db.zadd("z", [1, "x"], [2, "y", "3", "evil"])],
      ["ZADD: argument 3 holds 4 values in one array, not 2", () => db.zadd("z", { CH: true }, [[1, "x"], [2, "y", 3, "evil"]])],
      ["ZADD: argument 2 holds 3 values in one array, not 2", () => db.zadd("z", [[1, "x"], 2, "evil"])],
      ["GEOADD: argument 2 holds 6 values in one array, not 3", () => db.geoadd("g", [1, 1, "x", 2, 2, "evil"])],
      ["GEOADD: argument 2 holds 6 values in one array, not 3", () => db.call("geoadd", "g", [[1, 1, "x", 2, 2, "evil"]])],
      [`HSET: argument 2 is ${empty}`, () => db.hset("u", {}, "v1", "f2", [])],
      [`HSET: argument 2 is ${empty}`, () => db.hset("u", [], "v1", "f2", {})],
      [`HSET: argument 4 is ${empty}`, () => db.hset("u", "f", "v", new Map(), "v1", "f2", [])],
      [`HSET: argument 2 is ${empty}`, () => db.hset("u", [[]], "v1", "f2", [])],
      [`HSET: argument 3 is ${empty}`, () => db.hset("u", { a: 1 }, {}, Buffer.from("v1"), "f2", [])],
      [`HSET: argument 2 holds ${empty}`, () => db.hset("u", [[], "v1", "f2", []])],
      [`HSET: argument 2 holds ${empty}`, () => db.hset("u", [["f", 1], [], "v1", "f2", []])],
      [`MSET: argument 1 is ${empty}`, () => db.mset([], "v1", "k2", [])],
      [`XADD: argument 3 is ${empty}`, () => db.xadd("q", "*", {}, "v1", "f2", {})],
      [`XADD: argument 4 is ${empty}`, () => db.xadd("q", { MAXLEN: 9 }, "*", {}, "v1", "f2", {})],
      [`CONFIG SET: argument 1 is ${empty}`, () => db.configSet({}, "maxmemory", "0", [])],
      [`ZADD: argument 2 is ${empty}`, () => db.zadd("z", [], "1", "evil")],
    ];
    for (const [says, call] of calls) {
      const error = await failure(call());
      assert.ok(error instanceof TypeError, says);
      assert.equal(error.message, says);
    }
    assert.equal(await db.del("items"), 0);
    assert.equal(await db.hset("items", { gone: undefined }, "z", 0, {}, { a: 1 }, [], ["b", 2], [["c", 3]], "d", 4, {}, [[]]), 5);
    assert.equal(await db.xadd("item stream", {}, "1-1", { a: 1 }), "1-1");
    assert.equal(await db.zadd("scored items", {}, 4, "d"), 1);
    assert.equal(await db.zadd("scored items", [], [[1, "a"], [2, "b"]], [3, "c"], [[]]), 3);
  }));

  test("a score, a place or an id that is spelled like an option is refused, and adds or drops nothing", () => withDb({}, async (typed) => {
    const db = typed as any;
    const like = "like an option, where a number or an id is expected";
    const calls: [says: string, call: () => Promise<unknown>][] = [
      [`ZADD: argument 2 begins ${like}`, () => db.zadd("z", ["XX", "CH"], [1, "new"])],
      [`ZADD: argument 2 begins ${like}`, () => db.zadd("z", ["INCR", "CH"], [1, "new"])],
      [`ZADD: argument 2 begins ${like}`, () => db.zadd("z", [["nx", "gt"], [1, "new"]])],
      [`ZADD: argument 2 begins ${like}`, () => db.zadd("z", [], [Buffer.from("XX"), "CH"], [1, "new"])],
      [`ZADD: argument 3 begins ${like}`, () => db.zadd("z", { GT: true }, ["XX", "CH"], [1, "new"])],
      [`ZADD: argument 2 begins ${like}`, () => db.call("zadd", "z", "NX", "CH", [1, "new"])],
      [`GEOADD: argument 2 begins ${like}`, () => db.geoadd("g", ["NX", "CH", "CH"], [1, 1, "new"])],
      [`GEOADD: argument 3 begins ${like}`, () => db.geoadd("g", { CH: true }, ["xx", "CH", "CH"], [1, 1, "new"])],
      [`XADD: argument 2 begins ${like}`, () => db.xadd("st", "MAXLEN", ["0", "*", "f", "v"])],
      [`XADD: argument 2 begins ${like}`, () => db.xadd("st", "nomkstream", [["*", "f"], ["v", "w"]])],
      [`XADD: argument 2 begins ${like}`, () => db.xadd("st", new TextEncoder().encode("MINID"), { 0: "*", f: "v" })],
      [`XADD: argument 3 begins ${like}`, () => db.xadd("st", { MAXLEN: 9 }, "LIMIT", { 0: "*", f: "v" })],
      [`XCLAIM: argument 5 holds a word ${like}`, () => db.xclaim("q", "g", "c", 0, ["1-1", "FORCE", "JUSTID"])],
      [`XCLAIM: argument 6 holds a word ${like}`, () => db.xclaim("q", "g", "c", 0, "1-1", new Set(["LASTID", "9-9"]))],
      [`SFLUSH: argument 1 holds a word ${like}`, () => db.sflush([0, 1, "SYNC"])],
      [`CLUSTER MIGRATION: argument 2 holds a word ${like}`, () => db.clusterMigration("CANCEL", ["ALL"])],
    ];
    for (const [says, call] of calls) {
      const error = await failure(call());
      assert.ok(error instanceof TypeError, says);
      assert.equal(error.message, says);
    }
    assert.equal(await db.zadd("spelled", ["inf", "XX"], ["-INF", "CH"], ["+infinity", "INCR"], ["Infinity", "GT"], ["1e3", "LT"]), 5);
    assert.equal(await db.zadd("spelled", [[2, "NX"]]), 1);
    assert.equal(await db.xadd("spelled stream", "7-*", ["MAXLEN", 0]), "7-0");
    assert.equal(await db.call("xadd", "spelled stream", "MAXLEN", "=", 1, "8-1", "f", Buffer.from("v")), "8-1");
  }));

  test("lists are arrays or Sets, and names and values are objects, Maps or arrays of pairs, where a command takes such",
    () => withDb({}, async (db) => {
    assert.equal(await db.sadd("set", new Set(["a", "b"]), ["c"], "d"), 4);
    assert.equal(await db.hset("hash", new Map<string | Buffer, number>([["a", 1], [Buffer.from("b"), 2]]), { c: 3 }), 3);
    assert.equal(await db.hset("hash", ["d", 4, "e", 5], [["f", 6]], "g", 7, { h: undefined }), 4);
    assert.deepEqual(Object.values(await db.hgetall("hash")), ["1", "2", "3", "4", "5", "6", "7"]);
    assert.equal(await db.zadd("zset", [1, "a"], [[2, "b"], [3, "c"]]), 3);
    assert.equal(await db.call("DEL", new Set(["set", "hash"]), ["zset"]), 3);
    assert.match((await failure(db.hset("hash", new Set(["a", "b"]) as any))).message, /argument 2 is a Set, where/);
  }));

  test("a boolean is an option only where a command has options, and under a name in capitals; in data it is refused", () =>
    withDb({}, async (db) => {
    for (const [data, says] of [
      ['{ "active": true }', "holds"], ['{ "VIP": true, "ROLE": "user", "X": true }', "holds"], ['{ "X": false }', "holds"],
    ] as const) {
      for (const call of [db.hset("h", JSON.parse(data)), db.xadd("h", "*", JSON.parse(data)), db.mset(JSON.parse(data)),
        db.call("HSET", "h", JSON.parse(data)), db.hset("h", new Map(Object.entries(JSON.parse(data))) as any)]) {
        const error = await failure(call);
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /: argument \d: a boolean cannot be sent$/, says);
      }
    }
    assert.equal(await db.exists("h"), 0);
    assert.match((await failure(db.set("k", "v", { ex: true } as any))).message, /a boolean under a name that is not in capitals/);
    assert.equal(await db.set("k", "v", { EX: 10, NX: false, GET: false }), "OK");
  }));

  test("objects and bytes of another realm are sent like our own, and its classes are refused by name", () =>
    withDb({}, async (db) => {
    const foreign = (code: string): any => runInNewContext(code);
    await db.hset("h", foreign("({ a: 1, b: 'two' })"));
    await db.hset("h", foreign("new Map([['c', 3]])"), foreign("['d', 4]"));
    assert.deepEqual({ ...await db.hgetall("h") }, { a: "1", b: "two", c: "3", d: "4" });
    assert.equal(await db.set("new", "v", foreign("({ EX: 10, GET: true })")), null);
    assert.equal(await db.sadd("s", foreign("new Set(['a', 'b'])")), 2);
    await db.set("bytes", foreign("new Uint8Array([104, 105])"));
    await db.append("bytes", foreign("new Uint8Array([33]).buffer"));
    assert.equal(await db.get("bytes"), "hi!");
    for (const [code, kind] of [["new Date()", "a Date"], ["new (class Account {})()", "an Account"], ["({})", "an object"],
      ["[]", "an array"], ["new Map()", "a Map"], ["new Error('secret')", "an Error"], ["Object.create({ a: 1 })", "an Object"]]) {
      const { message } = await failure(db.set("k", foreign(code!)));
      assert.ok(message.startsWith(`SET: argument 2 is ${kind}, where one value is expected`), message);
    }
    const other = lazyConnection(foreign(`({ port: ${server.port} })`)); // options, too
    assert.equal(await other.ping(), "PONG");
    await other.disconnect();
  }));

  test("what only looks like bytes, a list or a Map, or cannot be read at all, is a TypeError of ours, and nothing is sent", () =>
    withDb({}, async (typed) => {
    const db = typed as any;
    const { Proxy: ProxyObject } = globalThis;
    const revoked = (of: object) => {
      const { proxy, revoke } = ProxyObject.revocable(of, {});
      revoke();
      return proxy;
    };
    const tagged = (tag: string, more = {}) => ({ [Symbol.toStringTag]: tag, ...more });
    const thrower = (name: PropertyKey) => Object.defineProperty({}, name, { enumerable: true, get: () => { throw new Error("mine"); } });
    const named = (name: unknown) => new (Object.defineProperty(class {}, "name", { value: name }))();
    const odd: unknown[] = [
      named(() => {}), named(5), named("x\r\ny".repeat(1_000)), tagged("Set"), tagged("Set", { size: 1 }), tagged("Map", { keys: () => ["a"] }),
      tagged("ArrayBuffer", { byteLength: 3 }), tagged("SharedArrayBuffer", { byteLength: 3, length: 3, 0: 1 }),
      revoked({}), revoked([]), revoked(new Set()), new ProxyObject(new Set(["a"]), {}), new ProxyObject(new Map([["a", "b"]]), {}),
      new ProxyObject(new ArrayBuffer(3), {}), new ProxyObject(new Uint8Array(3), {}), thrower(Symbol.toStringTag), thrower("constructor"), thrower("a"),
      Object.create(thrower("constructor")), Object.defineProperty(new Set(["a"]), Symbol.iterator, { value: undefined }),
      new ProxyObject({}, { getPrototypeOf() { throw new Error("mine"); } }), new ProxyObject({}, { ownKeys() { throw new Error("mine"); } }),
    ];
    const calls: ((value: unknown) => unknown)[] = [
      (value) => db.get(value), (value) => db.set("k", value), (value) => db.set("k", "v", { EX: value }), (value) => db.sadd("k", value),
      (value) => db.sadd("k", ["a", value]), (value) => db.mget(value), (value) => db.mget([value]), (value) => db.hset("k", { a: value }),
      (value) => db.zadd("k", [1, value]), (value) => db.scan(value, 1), (value) => db.blpop(value), (value) => db.zrange("k", value, 1),
      (value) => db.call("FOO", "k", ["a", value, value]), (value) => db.call("CLIENT", value), (value) => db.watch(value),
      (value) => db.publish("c", value), (value) => db.subscribe(value),
    ];
    await server.call("CONFIG", "RESETSTAT");
    for (const value of odd) {
      for (const call of calls) {
        const error = await failure((async () => call(value))());
        const said = `${call}: ${inspect(error)}`;
        // A getter's own error; and FOO takes an object with a Symbol as one without options.
        if (error.message === "mine" || error.command === "FOO" && error instanceof ReplyError) continue;
        assert.deepEqual([error instanceof TypeError, error.code, error.outcome], [true, "INVALID_ARGUMENT", "not-sent"], said);
        assert.ok(error.message.length < 200 && !error.message.includes("\n") && !error.message.includes("mine"), said);
      }
    }
    assert.doesNotMatch(await server.call("INFO", "commandstats"), /cmdstat_(get|set|sadd|mget|hset|zadd|scan|blpop|zrange|publish|subscribe|watch):/);
    assert.equal((await failure(db.hset("k", thrower("a")))).message, "mine");
    for (const call of [
      () => db.call({ name: "FOO", keys: 5 }, "k"), () => db.call({ name: "FOO", keys: [1] }, "k"), () => db.call({ name: "FOO", key: 1 }, "k"),
      () => db.call({ name: "FOO", read: "no" }, "k"), () => db.consume("a").next(), () => db.consume("a", null).next(),
      () => db.consume("a", 5).next(), () => script({} as any), () => script("return 1", null as any), () => script("return 1", { keys: -1 }),
      () => script("return 1")(undefined as any, "a"), () => libraryFunction(5 as any), () => libraryFunction("f", { code: 5 as any }),
      () => libraryFunction("f")(null as any), () => db.with(null),
    ]) {
      const error = await failure((async () => call())());
      assert.deepEqual([error instanceof TypeError, error.code], [true, "INVALID_ARGUMENT"], `${call}: ${inspect(error)}`);
    }
  }));

  test("a command's name is shown readable and short, whatever it is", () => withDb({}, async (db) => {
    const names = ["GET\r\nX", `a\u202e${"b".repeat(10_000)}`, "\x1b[2J", "\ud800"];
    for (const name of names) {
      for (const call of [() => db.call(name, "k"), () => db.call(name, "k", undefined), () => db.call(`${name} x`),
        () => db.call({ name, values: true }, [1]), () => db.pipeline().call(name, "k").execPipeline()]) {
        const { message, command } = await failure(call());
        for (const text of [message.slice(message.indexOf(command)), command]) {
          assert.ok(text.length < 500 && ![..."\r\n\x1b\u202e"].some((char) => text.includes(char)), JSON.stringify(text));
        }
      }
    }
    assert.equal(await db.ping(), "PONG");
  }));

  test("Infinity goes out in the server's own words, and what zscore gives can go in again; NaN is refused", () =>
    withDb({}, async (db) => {
    assert.equal(await db.zadd("z", [Infinity, "most"], [-Infinity, "least"], [1, "one"]), 3);
    const most = await db.zscore("z", "most");
    assert.equal(most, Infinity);
    assert.equal(await db.zadd("z", { CH: true }, [most!, "one"]), 1);
    assert.deepEqual(await db.zrangebyscore("z", -Infinity, Infinity), ["least", "most", "one"]);
    assert.deepEqual(await db.zrange("z", Infinity, -Infinity, { BYSCORE: true, REV: true }), ["one", "most", "least"]);
    assert.equal(await db.call("ZCOUNT", "z", -Infinity, 0), 1);
    assert.deepEqual(await db.zunion(1, "z", { WEIGHTS: [-Infinity], WITHSCORES: true }).then((all) => all.map(([, n]) => n)),
      [-Infinity, -Infinity, Infinity]);
    await db.hset("infinite", { a: Infinity, b: -Infinity });
    assert.deepEqual({ ...await db.hgetall("infinite") }, { a: "inf", b: "-inf" });
    assert.match((await failure(db.zadd("z", [NaN, "none"]))).message, /^ZADD: argument 2: NaN cannot be sent$/);
  }));

  test("an array that holds itself is refused", () => {
    const endless: unknown[] = [];
    endless.push(endless);
    assert.throws(() => flatten(name, [endless]), /arrays nested deeper/);
  });

  test("a getter among the arguments is read once, whatever is left out, and however the call is sent", async () => {
    let reads = 0;
    const of = <T extends object>(name: string, value: unknown, others: T = {} as T): any =>
      Object.defineProperty({ ...others }, name, { enumerable: true, get: () => { reads++; return value; } });
    const calls: ((db: any) => unknown)[] = [
      (db) => db.zrange("z", of("REV", true)), (db) => db.zrange("z", 0, of("BYSCORE", true, { REV: true })),
      (db) => db.zrange("z", undefined, undefined, of("BYLEX", true)), (db) => db.hscan("h", of("MATCH", "f*")),
      (db) => db.set("k", "v", of("EX", 9)), (db) => db.hset(Buffer.from("h"), of("f", "v")), (db) => db.mset(of("{k}", "v", { "{k}1": "w" })),
      (db) => db.call("FOO", of("k", "v")), (db) => db.call("FOO", "k", of("f", "v")), (db) => db.call("set", "k", "v", of("PX", 9_999)),
      (db) => db.pipeline().mset(of("k", "v")).call("FOO", of("k", "v")).execPipeline({ errors: "return" }),
      (db) => db.pipeline().mset(of("{k}", "v", { "{k}1": "w" })).commit(),
      (db) => db.lease(...db.shard ? ["{k}"] : [], (on: any) => on.mset(of("{k}", "v"))),
      (db) => db.lease(...db.shard ? ["{k}"] : [], (on: any) => on.pipeline().mset(of("{k}", "v")).commit()),
      (db) => db.transaction(["{k}"], async (t: any) => { (await t.multi()).mset(of("{k}", "v")); }),
    ];
    const shards = lazyShardedConnection([`localhost:${server.port}`, `127.0.0.1:${server.port}`]) as any;
    for (const call of calls) {
      for (const db of [shards, lazyConnection({ port: server.port })]) {
        reads = 0;
        await (call(db) as Promise<unknown>).catch((error: unknown) => assert.ok(error instanceof ReplyError, inspect(error)));
        const expected = String(call).split("of(").length - 1;
        assert.equal(reads, expected, `${call}${db === shards ? " over shards" : ""}`);
        if (db !== shards) db.destroy();
      }
    }
    shards.destroy();
    await server.call("DEL", "k", "h", "{k}", "{k}1");
  });

  test("changing a small argument after the call does not change what is sent", () => withDb({}, async (db) => {
    const bytes = Buffer.from("before");
    const fields: Record<string, string> = { a: "before" };
    const done = [db.set("bytes", bytes), db.hset("fields", fields)];
    bytes.write("AFTER!");
    fields.a = "after";
    await Promise.all(done);
    assert.equal(await db.get("bytes"), "before");
    assert.equal(await db.hget("fields", "a"), "before");
  }));

  test("values of every size arrive unchanged, as text and as bytes", () => withDb({}, async (db) => {
    for (const size of [0, 1, 63, 64, 65, 4095, 4096, 4097, 65_535, 65_536, 65_537, 3_000_000]) {
      for (const unit of ["x", "é", "🦊"]) {
        const text = unit.repeat(size / unit.length);
        await db.set("text", text);
        assert.ok(await db.get("text") === text, `${size} of ${unit}`);
      }
      const bytes = Buffer.alloc(size, 0xfe);
      await db.set("bytes", bytes);
      assert.ok(bytes.equals((await db.with({ charset: null }).get("bytes"))!), `${size} bytes`);
    }
  }));
});

// ==== 3. RESP: decoding ====

describe("decoding", () => {
  /** The driver's values as the reference writes them. */
  const plain = (value: unknown): unknown => {
    if (value instanceof ReplyError) return new reference.ErrorReply(value.raw);
    if (Buffer.isBuffer(value)) return Buffer.from(value);
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value !== "object" || value === null) return value;
    return reference.mapOf(...Object.entries(value).map(([key, item]): [any, any] => [key, plain(item)]));
  };

  /** All replies in these chunks, and why it stopped if it did. */
  const decode = (chunks: Iterable<Buffer>, charset: "utf-8" | "latin1" | null): { replies: unknown[]; error?: string } => {
    const decoder = new Decoder(limits);
    const replies: unknown[] = [];
    try {
      for (const chunk of chunks) {
        decoder.feed(chunk);
        for (let reply = decoder.take(charset); reply !== MORE; reply = decoder.take(charset)) {
          replies.push(decoder.pushed ? new reference.Push((reply as unknown[]).map(plain) as any) : plain(reply));
        }
        chunk.fill(0xff); // the decoder must not hold on to it
      }
      return { replies };
    } catch (error) {
      assert.ok(error instanceof ProtocolError, String(error));
      return { replies, error: error.message };
    }
  };

  const whole = (bytes: Buffer): Buffer[] => [Buffer.from(bytes)];
  const bytewise = (bytes: Buffer): Buffer[] => Array.from(bytes, (byte) => Buffer.from([byte]));
  const cutAt = (bytes: Buffer, at: number): Buffer[] => [Buffer.from(bytes.subarray(0, at)), Buffer.from(bytes.subarray(at))];
  const randomly = (bytes: Buffer, random: reference.Random): Buffer[] => {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length;) {
      const size = 1 + Math.floor(random() * (random() < 0.5 ? 8 : bytes.length));
      chunks.push(Buffer.from(bytes.subarray(at, at + size)));
      at += size;
    }
    return chunks;
  };

  test("every valid reply decodes to its value: whole, byte by byte and split at every position", () => {
    for (const [name, frame, text, raw = text] of reference.validFrames) {
      const bytes = Buffer.from(frame as string);
      for (const [charset, value] of [["utf-8", text], [null, raw]] as const) {
        const expected = { replies: [value] };
        assert.deepEqual(decode(whole(bytes), charset), expected, name);
        if (bytes.length > 5_000) continue;
        assert.deepEqual(decode(bytewise(bytes), charset), expected, `${name}, byte by byte`);
        for (let at = 1; at < bytes.length; at++) assert.deepEqual(decode(cutAt(bytes, at), charset), expected, `${name}, cut at ${at}`);
      }
    }
  });

  test("every breach of the protocol is a ProtocolError, whole and byte by byte", () => {
    for (const [name, frame] of reference.hostileFrames) {
      const bytes = Buffer.from(frame as string);
      assert.ok(decode(whole(bytes), "utf-8").error, name);
      if (bytes.length < 5_000) assert.ok(decode(bytewise(bytes), "utf-8").error, `${name}, byte by byte`);
    }
  });

  test("a reply that has not fully arrived is waited for", () => {
    for (const [name, frame] of reference.incompleteFrames) {
      const bytes = Buffer.from(frame as string);
      assert.deepEqual(decode(whole(bytes), "utf-8"), { replies: reference.decodeReply(bytes, "utf-8").replies }, name);
    }
  });

  test("nothing is decoded after a breach of the protocol", () => {
    const decoder = new Decoder(limits);
    decoder.feed(Buffer.from("?\r\n+OK\r\n"));
    assert.throws(() => decoder.take("utf-8"), ProtocolError);
    assert.throws(() => decoder.take("utf-8"), ProtocolError);
    decoder.feed(Buffer.from("+OK\r\n"));
    assert.throws(() => decoder.take("utf-8"), ProtocolError);
  });

  test("200,000 random replies in random chunks decode as the slow reference says", () => {
    const random = reference.random(2);
    for (let i = 0; i < 200_000; i++) {
      const bytes = reference.randomReply(random, i % 4 === 0 ? 2 : 3);
      const charset = ([null, "utf-8", "utf-8", "latin1"] as const)[i % 4]!;
      const { replies } = reference.decodeReply(bytes, charset);
      const decoded = decode(randomly(bytes, random), charset);
      assert.deepEqual(decoded, { replies }, bytes.toString("latin1").slice(0, 1000));
    }
  });

  test("20,000 replies with a byte changed are refused where the reference refuses them", () => {
    const random = reference.random(3);
    for (let i = 0; i < 20_000; i++) {
      const bytes = Buffer.from(reference.randomReply(random, 3));
      if (bytes.length > 5_000) continue;
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const expected = reference.decodeReply(bytes, "utf-8");
      const decoded = decode(randomly(bytes, random), "utf-8");
      const frame = bytes.toString("latin1").slice(0, 1000);
      if (expected.error !== undefined && expected.error !== reference.incomplete && !frame.includes("-nan")) {
        assert.ok(decoded.error, `${expected.error}: ${frame}`);
      }
      if (expected.error === undefined) assert.deepEqual(decoded, expected, frame);
    }
  });

  const memoryFor = (bytes: Buffer): number => {
    const before = process.memoryUsage();
    const decoder = new Decoder({ ...limits, maxElements: 2 ** 26 });
    decoder.feed(bytes);
    assert.equal(decoder.take("utf-8"), MORE);
    const now = process.memoryUsage();
    return now.heapUsed + now.external - before.heapUsed - before.external;
  };

  test("a few hostile bytes allocate no memory for data that has not arrived", () => {
    assert.ok(memoryFor(Buffer.from("*30000000\r\n".repeat(4))) < 4 * 2 ** 20);
    assert.ok(memoryFor(Buffer.from("%30000000\r\n".repeat(4))) < 4 * 2 ** 20);
    assert.ok(memoryFor(Buffer.from("$536870912\r\n")) < 4 * 2 ** 20);
  });

  test("a streamed string of many parts takes time in proportion to its bytes, and its parts are limited", () => {
    // As much in both, because some machines count the time of a processor in steps of 10 ms.
    const timeFor = (strings: number): number => {
      const parts = 800_000 / strings;
      const bytes = Buffer.from(`$?\r\n${";1\r\na\r\n".repeat(parts)};0\r\n`);
      const begun = process.cpuUsage();
      for (let i = 0; i < strings; i++) assert.equal((decode(whole(bytes), "utf-8").replies[0] as string).length, parts);
      return cpuSince(begun);
    };
    // What else the machine does can only make it more.
    const least = (strings: number): number => Math.min(timeFor(strings), timeFor(strings), timeFor(strings));
    timeFor(8);
    const [eight, one] = [least(8), least(1)];
    assert.ok(one < 3 * eight + 10_000, `${eight} us for eight strings, ${one} us for one that is as long`);
    const endless = Buffer.from(`$?\r\n${";1\r\na\r\n".repeat(2 ** 21 + 1)}`);
    assert.match(decode(whole(endless), "utf-8").error ?? "", /too long/);
  });

  test("a bulk string that arrives in many chunks takes time in proportion to its bytes", () => {
    const size = 32 * 2 ** 20;
    const decoder = new Decoder(limits);
    decoder.feed(Buffer.from(`$${size}\r\n`));
    assert.equal(decoder.take(null), MORE);
    const chunk = Buffer.alloc(4096, "a");
    for (let sent = 0; sent < size; sent += chunk.length) {
      decoder.feed(chunk);
      assert.equal(decoder.take(null), MORE);
    }
    decoder.feed(Buffer.from("\r\n+NEXT\r\n"));
    assert.equal((decoder.take(null) as Buffer).length, size);
    assert.equal(decoder.take(null), "NEXT");
  });

  /** Bytes that are characters of one to four bytes, and now and then none. */
  const someText = (random: reference.Random, size: number): Buffer => {
    const pieces = ["a", "é", "€", "😀", "\r\n"].map((text) => Buffer.from(text));
    const bytes = Buffer.concat(Array.from({ length: size }, () => pieces[Math.floor(random() * pieces.length)]!), size);
    for (let at = 0; at < size; at += 1 + Math.floor(random() * size)) bytes[at] = 0xe2;
    return bytes;
  };
  const frame = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")]);

  test("a long text is the same wherever it is split, valid UTF-8 or not", () => {
    const random = reference.random(31);
    for (let i = 0; i < 30; i++) {
      const bytes = someText(random, 65_530 + i);
      const stream = Buffer.concat([frame(bytes), Buffer.from("+NEXT\r\n")]);
      for (const charset of ["utf-8", "latin1", null] as const) {
        const value = charset === null ? bytes : bytes.toString(charset);
        const cuts = [cutAt(stream, 4), cutAt(stream, stream.length - 8 - (i % 4)), randomly(stream, random), randomly(stream, random)];
        for (const chunks of cuts) assert.deepEqual(decode(chunks, charset), { replies: [value, "NEXT"] });
      }
      for (const terminator of [8, 9]) {
        const broken = Buffer.from(stream);
        broken[broken.length - terminator] = 0x58;
        assert.match(decode(cutAt(broken, 5_000), "utf-8").error ?? "", /a string that/);
        assert.match(decode(cutAt(broken, broken.length - 9), "utf-8").error ?? "", /a string that/);
      }
    }
  });

  test("many short strings are the same in every charset, wherever they are split and whatever is between them", () => {
    const random = reference.random(32);
    for (let i = 0; i < 100; i++) {
      const items = Array.from({ length: 400 }, (_, n) =>
        i % 2 ? Buffer.from(`item ${n}`.slice(0, n % 16)) : someText(random, Math.floor(random() * 16)));
      const between = Buffer.from(["", "$-1\r\n", ":7\r\n", "*1\r\n$1\r\na\r\n"][i % 4]!);
      const stream = Buffer.concat([Buffer.from(`*${i % 4 ? 801 : 401}\r\n`), ...items.flatMap((item) => [frame(item), between]), frame(items[9]!)]);
      for (const charset of ["utf-8", "latin1", null] as const) {
        const text = (bytes: Buffer) => charset === null ? bytes : bytes.toString(charset);
        const others = [[], [null], [7], [[text(Buffer.from("a"))]]][i % 4]!;
        const value = [...items.flatMap((item) => [text(item), ...others]), text(items[9]!)];
        for (const chunks of [whole(stream), randomly(stream, random)]) assert.deepEqual(decode(chunks, charset), { replies: [value] });
      }
    }
  });

  test("each element of EXEC's reply is read in its own way, wherever the bytes are split", () => {
    const map = "%2\r\n$1\r\n2\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n";
    const stream = Buffer.from(`>1\r\n${map}*4\r\n${map}|1\r\n+a\r\n${map}${map}-ERR no\r\n*1\r\n${map}${map}`);
    const object = { __proto__: null, 1: "b", 2: "a" };
    const reading = { parts: [{ ordered: true }, {}, { ordered: true }, {}] } as const;
    const cuts = Array.from({ length: stream.length }, (_, at) => cutAt(stream, at));
    for (const chunks of [whole(stream), bytewise(stream), ...cuts]) {
      const decoder = new Decoder(limits);
      const replies: any[] = [];
      for (const chunk of chunks) {
        decoder.feed(chunk);
        for (let reply; (reply = decoder.take("utf-8", reading)) !== MORE;) replies.push(reply);
      }
      const [error] = replies[1].splice(2, 1);
      assert.ok(error instanceof ReplyError);
      assert.deepEqual(replies, [[object], [[["2", "a"], ["1", "b"]], object, [object]], object]);
    }
  });
});

// ==== 4. Commands ====

describe("commands", () => {
  test("every command and subcommand of the server has a row, of the same kind and with the same keys", async () => {
    const known = new Map(rows.map(([, row]) => [row.name.text, row]));
    const compare = ([name, , flags, first, last, step, , , , subcommands = []]: any[]): void => {
      const wire = name.toUpperCase().replace("|", " ");
      if (subcommands.length > 0) return subcommands.forEach(compare);
      if (wire.endsWith(" HELP") || INTERNAL.includes(wire)) return;
      const row = known.get(wire);
      if (isOld() && !row && (GONE.includes(wire) || rows.some(([, { name }]) => name.text.startsWith(`${wire} `)))) return;
      assert.ok(row, `no row for ${wire}`);
      if (row.instead === undefined) {
        const kind = flags.includes("readonly") ? "read" : flags.includes("write") ? "write" : "other";
        if (!isOld() || kind !== "read") assert.equal(row.kind, kind, wire); // Redis 6 calls TIME, ECHO … readonly
      }
      if (flags.includes("blocking")) assert.ok(row.block, `${wire} blocks`);
      if (typeof row.keys === "function") assert.ok(flags.includes("movablekeys"), `${wire} has movable keys`);
      else if (!flags.includes("movablekeys")) {
        const shift = row.keys[0] === 0 ? 0 : row.name.words - 1;
        const [ours1, ours2, ours3] = row.keys;
        assert.deepEqual([ours1 + shift, ours2 < 0 ? ours2 : ours2 + shift, ours3], [first, last, step], wire);
      }
    };
    for (const command of await server.call("COMMAND")) compare(command);
  });

  test("the keys of every sample are the ones that the server finds", async () => {
    const flat = (words: string[]) => server.call("COMMAND", "GETKEYS", ...words).catch((error: Error) => error.message);
    for (const [method, [args, wire]] of Object.entries(samples)) {
      const row = commands[method as keyof typeof commands] as Row;
      const words = flatten(row.name, args, row.form);
      const keys = row.positions(words).map((at) => String(words[at]));
      const found = await flat(wire.split(" "));
      if (found === "ERR Invalid command specified") continue; // a command of a newer server
      if (isOld() && /^ERR Invalid (number of )?arguments/.test(found)) continue; // its options too
      if (keys.length === 0 || NOT_KEYS.includes(row.name.text)) assert.match(String(found), /has no key arguments|wrong number/, wire);
      else assert.deepEqual(isOld() ? [...found].sort() : found, isOld() ? [...keys].sort() : keys, wire);
    }
  });

  test("editors show the comment of a row, on all that has commands, from the source and from the built types", async () => {
    const editor = await Editor.start();
    const get = /^The value of `key`, or null\./;
    const calls: [on: string, method: string, comment: RegExp][] = [
      ["db.", "get", get], ["db.", "zadd", /^Add members or change scores/], ["db.pipeline().", "get", get],
      ["(await db.multi()).", "get", get], ["sharded.", "get", get], ["sharded.", "info", /^Text about the server/],
    ];
    try {
      for (const from of ["../redis.ts", "../dist/redis.js"]) {
        const head = `import { lazyConnection, lazyShardedConnection } from "${from}";
          const db = lazyConnection(), sharded = lazyShardedConnection(["a", "b"]);
          async (): Promise<void> => void `;
        for (const [on, method, comment] of calls) {
          const hover = await editor.hover(`${head}${on}${method}|`);
          const completion = await editor.completion(`${head}${on}${method.slice(0, -1)}|`, method);
          for (const { documentation } of [hover, completion]) assert.match(documentation, comment, `${on}${method} from ${from}`);
        }
      }
    } finally {
      await editor.close();
    }
  });

  /** Their channel or cursor decides on the node, but is no key. */
  const NOT_KEYS = ["SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE", "CLUSTERSCAN"];
  /** Commands of Redis 6 that Redis 7 has no more; HOST: and POST are a trap for browsers. */
  const GONE = ["STRALGO", "HOST:", "POST"];
  /** What servers and their own tests say to a server; like every HELP, which is for people, they are left to call(). */
  const INTERNAL = ["PFDEBUG", "PFSELFTEST", "RESTORE-ASKING", "TRIMSLOTS", "XIDMPRECORD"];

  /** What the server's own COMMAND says of a row and of COMMAND DOCS of an option: whether there is such a thing. */
  const knows = async (to: RedisServer): Promise<(row: Row, option?: string) => Promise<boolean>> => {
    const names = new Set<string>();
    const note = ([name, , , , , , , , , subcommands = []]: any[]): void => {
      names.add(name.toUpperCase().replace("|", " "));
      subcommands.forEach(note);
    };
    (await to.call("COMMAND")).forEach(note);
    return async ({ name: { text } }, option) => names.has(text) &&
      (option === undefined || JSON.stringify(await to.call("COMMAND", "DOCS", text)).includes(`"${option}"`));
  };

  /** Walks a surface on that server; gives the calls that the server has not. */
  const walk = async (to: RedisServer, protocol: 2 | 3, calls: typeof surface): Promise<string[]> => {
    const lacking: string[] = [];
    const has = await knows(to);
    await withDb({ port: to.port, protocol, replyTimeout: 20_000 }, async (db) => {
      for (const [name, args, expected, option] of calls) {
        if (!await has(commands[name as keyof typeof commands] as Row, option)) {
          lacking.push(option === undefined ? name : `${name} ${option}`);
          continue;
        }
        const reply = await (db as any)[name](...args).catch((error: unknown) => error);
        const call = `${name} ${inspect(args)} gave ${inspect(reply, { depth: 9 })}`;
        if (typeof expected === "function") assert.ok(expected(reply), call);
        else assert.deepEqual(unprototyped(reply), expected, call);
        assertNoPrototypes(reply, call);
      }
    });
    return [...new Set(lacking)];
  };

  for (const protocol of [3, 2] as const) {
    test(`the whole surface answers as promised under RESP${protocol}`, async (t) => {
      if (isOld()) return skip(t, `Redis ${server.version} lacks too much of it; that both versions agree is tested below`);
      await server.call("FLUSHALL");
      const lacking = await walk(server, protocol, surface);
      assert.deepEqual(lacking.filter((name) => !NEW.test(name)), [], "Redis 7.0 has these already");
      if (lacking.length > 0) t.diagnostic?.(`the server has no ${lacking.join(", ")}`);
      await server.call("FLUSHALL");
    });

    test(`a node of a cluster answers as promised under RESP${protocol}`, async (t) => {
      if (isOld()) return skip(t, `Redis ${server.version} has no CLUSTER ADDSLOTSRANGE`);
      const node = await RedisServer.start({ args: ["--cluster-enabled", "yes"] });
      await node.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
      await until(async () => /cluster_state:ok/.test(await node.call("CLUSTER", "INFO")), "the cluster to be ok");
      const lacking = await walk(node, protocol, clusterSurface);
      assert.deepEqual(lacking.filter((name) => !NEW.test(name)), [], "Redis 7.0 has these already");
      await node.stop();
    });
  }

  /** What came after Redis 7.0, by the table's own words. */
  const NEW = / |^(waitaof|h\w*(expire|expireat|expiretime|ttl|persist)|hsetex|hgetex|hgetdel|x(delex|ackdel|cfgset)|delex|delifeq|digest|msetex|bless\w+|v[a-z]+|scriptShow|commandlog\w+|hotkeys\w+|cluster(Myshardid|SlotStats|scan|Getslotmigrations|Migration))$/;

  test("what reads or removes nothing answers at once, alone, in a pipeline and in a transaction", () =>
    withDb({}, async (db) => {
    await db.set("n", 1);
    await server.call("CONFIG", "RESETSTAT");
    const none = new Set<string>();
    assert.deepEqual(await Promise.all([db.mget([]), db.mget(...[]), db.hmget("h", []), db.zmscore("z", none),
      db.smismember("s", [], []), db.geopos("g", []), db.geohash("g", []), db.sunion([]), db.scriptExists([])]),
      Array.from({ length: 9 }, () => []));
    assert.deepEqual(await Promise.all([db.del([]), db.unlink(none), db.exists([]), db.touch([]), db.hdel("h", []),
      db.srem("s", []), db.zrem("z", []), db.xdel("x", []), db.xack("x", "g", []), db.pfcount([])]), Array(10).fill(0));
    assert.deepEqual(await db.call("mget", []), []);
    assert.notEqual(await db.mget([]), await db.mget([]), "each gets an array of its own");
    assert.match((await failure(db.hmget(["h"] as any, []))).message, /argument 1 is an array/);
    assert.match((await failure((db as any).hmget())).message, /wrong number/);
    assert.match((await failure(db.sadd("s", []))).message, /wrong number/, "what adds is the server's to answer");
    const pipeline = db.pipeline().mget([]).get("n").del([]).mget("n", "m");
    assert.equal(pipeline.length, 4);
    assert.deepEqual(await pipeline.execPipeline(), [[], "1", 0, ["1", null]]);
    assert.deepEqual(await pipeline.execPipeline(), []);
    assert.deepEqual(await db.pipeline().exists([]).execPipeline(), [0]);
    assert.deepEqual(await db.pipeline().mget([]).incr("n").commit(), [[], 2]);
    const { results } = await failure(db.pipeline().mget([]).lpush("n", "x").exists([]).execPipeline());
    assert.deepEqual([results[0], results[1].code, results[2]], [[], "WRONGTYPE", 0]);
    const watch = await db.watch("n");
    assert.deepEqual(await watch.mget([]), []);
    const t = await watch.multi();
    assert.equal(await t.del([]), "QUEUED");
    void t.incr("n");
    void t.mget([]);
    assert.deepEqual(await t.commit(), [0, 3, []]);
    assert.doesNotMatch(await server.call("INFO", "commandstats"), /cmdstat_(hmget|zmscore|del|unlink|exists|hdel):calls=[^,]*,usec=[^,]*,usec_per_call=[^,]*,rejected_calls=0/);
  }));

  test("an empty list never means all, and what is nested and empty is empty", () => withDb({}, async (db) => {
    await server.call("CONFIG", "RESETSTAT");
    const none = new Set<string>();
    assert.deepEqual(await Promise.all([db.mget([[]] as any), db.del([], [[], [none]] as any), db.hmget("h", [[]] as any)]), [[], 0, []]);
    assert.deepEqual(await Promise.all([db.commandInfo([]), db.info([]), db.latencyReset(none), db.info([], [none] as any)]), [[], "", 0, ""]);
    assert.deepEqual((await Promise.all([db.commandDocs([]), db.latencyHistogram([])])).map((all) => ({ ...all })), [{}, {}]);
    assert.deepEqual(await db.with({ charset: null }).commandDocs([]), []);
    assert.deepEqual(await db.with({ charset: null }).info([]), Buffer.alloc(0));
    assert.deepEqual(await db.pipeline().info([]).commandInfo([]).execPipeline(), ["", []]);
    assert.doesNotMatch(await server.call("INFO", "commandstats"), /cmdstat_(mget|del|hmget|command|latency)\W/);
    assert.match(await db.info(), /redis_version/);
    assert.match(await db.info([], "server"), /redis_version/);
    assert.ok((await db.commandInfo()).length > 100);
    const pipeline = db.pipeline().mget([]);
    const late: any = await db.lease(async (connection) => {
      assert.deepEqual(await connection.mget([]), []);
      return { connection, pipeline: connection.pipeline().mget([]) };
    });
    assert.equal((await failure(late.connection.mget([]))).code, "LEASE_OVER");
    assert.equal((await failure(late.pipeline.execPipeline())).code, "LEASE_OVER");
    await db.disconnect();
    assert.equal((await failure(db.info([]))).code, "CLOSED");
    assert.equal((await failure(pipeline.execPipeline())).code, "CLOSED");
  }));

  for (const protocol of [2, 3] as const) {
    test(`data spelled like an option does not change the shape of a reply, and options in any case do (RESP${protocol})`,
      () => withDb({ protocol }, async (db) => {
      await db.zadd("WITHSCORES", [1, "a"], [2, "WITHSCORE"]);
      await db.hset("WITHVALUES", { NOVALUES: "1", match: "2" });
      const members = ["a", "WITHSCORE"];
      const scored = [["a", 1], ["WITHSCORE", 2]];
      const replies: [reply: unknown, expected: unknown][] = [
        [await db.zunion(2, "none", "WITHSCORES"), members],
        [await db.zinter(2, "WITHSCORES", "WITHSCORES", { WEIGHTS: [1, 1] }), members],
        [await db.zdiff(1, ["WITHSCORES"]), members],
        [await db.call("ZUNION", 1, "WITHSCORES"), members],
        [await db.call("zunion", 2, "WITHSCORES", "none", "withscores"), scored],
        [await db.call("ZDIFF", 1, "WITHSCORES", { WITHSCORES: true }), scored],
        [await db.call("ZRANGE", "WITHSCORES", 0, -1), members],
        [await db.call("ZRANGE", "WITHSCORES", 0, -1, "withscores"), scored],
        [await db.call("zrangebyscore", "WITHSCORES", "-inf", "+inf", "WithScores", "LIMIT", 0, 9), scored],
        [await db.zrandmember("WITHSCORES", 2).then((found) => found.sort().reverse()), members],
        [await db.zrank("WITHSCORES", "WITHSCORE"), 1],
        [await db.zrevrank("WITHSCORES", "WITHSCORE"), 0],
        [await db.hrandfield("WITHVALUES", 2).then((found) => found.sort()), ["NOVALUES", "match"]],
        [await db.hscan("WITHVALUES", 0, { MATCH: "NOVALUES" }), ["0", { NOVALUES: "1" }]],
        [await db.call("HSCAN", "WITHVALUES", 0, "match", "NOVALUES"), ["0", { NOVALUES: "1" }]],
        [await db.call("hscan", "WITHVALUES", 0, "COUNT", 9, "match", "MATCH"), ["0", {}]],
        [await db.lcs("IDX", "LEN"), ""],
        [(await db.pipeline().zunion(1, "WITHSCORES").execPipeline())[0], members],
        [(await db.pipeline().zunion(1, "WITHSCORES", { WITHSCORES: true }).commit())[0], scored],
      ];
      for (const [reply, expected] of replies) assert.deepEqual(unprototyped(reply), expected);
    }));
  }

  test("data spelled like an option is not taken for the key behind that option", () => {
    const cases: [row: Row, args: unknown[], keys: number[]][] = [
      [commands.sort, ["k", { BY: "STORE", GET: "STORE" }], [0]],
      [commands.sort, ["k", { GET: "BY" }, { GET: "STORE", STORE: "dst" }], [0, 6]],
      [commands.georadiusbymember, ["k", "STORE", 200, "km"], [0]],
      [commands.georadiusbymember, ["k", "STORE", 200, "km", { STOREDIST: "dst" }], [0, 5]],
      [commands.migrate, ["host", 1, "", 0, 9, { AUTH: "KEYS", KEYS: ["a", "b"] }], [8, 9]],
      [commands.migrate, ["host", 1, "", 0, 9, { AUTH2: ["KEYS", "KEYS"], KEYS: "a" }], [9]],
      [commands.xreadgroup, [{ GROUP: ["STREAMS", "STREAMS"], COUNT: 1, STREAMS: ["s", ">"] }], [6]],
      [commands.xreadgroup, [{ COUNT: 1, GROUP: ["STREAMS", "BLOCK"], STREAMS: [["s", "t"], [">", ">"]] }], [6, 7]],
      [commands.xreadgroup, [{ COUNT: 1, BLOCK: 2, GROUP: ["GROUP", "GROUP"], NOACK: true, STREAMS: ["s", ">"] }], [9]],
      [commands.xread, [{ STREAMS: [["GROUP", "STREAMS"], [0, 0]] }], [1, 2]],
    ];
    for (const [row, args, keys] of cases) assert.deepEqual(row.positions(flatten(row.name, args, row.form)), keys);
  });

  test("of an option that is given twice, the key is the one that the server takes: the last", () => withDb({}, async (db) => {
    const cases: [row: Row, args: unknown[], keys: number[]][] = [
      [commands.sort, ["from", { STORE: "a" }, { STORE: "STORE" }], [0, 4]],
      [commands.sort, ["from", "STORE", "STORE", "BY", "STORE", "store", "b"], [0, 6]],
      [commands.georadius, ["places", 0, 0, 1, "m", { STORE: "a", STOREDIST: "b" }], [0, 8]],
      [commands.georadius, ["places", 0, 0, 1, "m", { STOREDIST: "b" }, { STORE: "STOREDIST" }], [0, 8]],
      [commands.georadiusbymember, ["places", "here", 1, "m", { STORE: "a", STOREDIST: "b" }], [0, 7]],
    ];
    await db.rpush("from", 2, 1);
    await db.geoadd("places", [0, 0, "here"]);
    for (const [row, args, keys] of cases) {
      const words = flatten(row.name, args, row.form);
      assert.deepEqual(row.positions(words), keys);
      await server.call("DEL", "a", "b", "STORE", "STOREDIST");
      await db.call(row.name.text, ...args);
      const stored = await db.exists(String(words[keys[1]!]));
      assert.deepEqual([stored, await db.exists("a", "b", "STORE", "STOREDIST")], [1, 1], String(args));
    }
  }));

  const forms: [form: string, options: Options][] =
    [["objects", {}], ["pairs", { maps: "pairs" }], ["pairs of bytes", { charset: null }]];
  for (const [form, options] of forms) test(`the whole surface has the same replies under RESP2 and RESP3, as ${form}`, async () => {
    const replies = await Promise.all([2, 3].map(async (protocol) => {
      const fresh = await RedisServer.start();
      const shapes: string[] = [];
      await withDb({ port: fresh.port, protocol: protocol as 2 | 3, replyTimeout: 20_000, ...options }, async (db) => {
        for (const [name, args, expected] of surface) {
          const reply = await (db as any)[name](...args).catch((error: unknown) => error);
          if (name === "configGet" && form !== "objects") reply.sort(); // a server lists them in an order of its own
          // What differs from one time to the next is compared by its types.
          const shown = typeof expected === "function" ? typesOf(reply) : unprototyped(reply);
          shapes.push(`${name} ${inspect(args)}: ${shown instanceof Error ? shown.message : inspect(shown, { depth: 9, sorted: true })}`);
        }
      });
      await fresh.stop();
      return shapes;
    }));
    assert.deepEqual(replies[0], replies[1]);
  });

  const typesOf = (reply: any): unknown =>
    Array.isArray(reply) ? [...new Set(reply.map((item) => inspect(typesOf(item), { depth: 9 })))].sort()
    : reply instanceof Error ? reply
    : reply === null || typeof reply !== "object" ? reply === null ? null : typeof reply
    : Object.fromEntries(Object.keys(reply).sort().map((name) => [/^\d+$/.test(name) ? "number" : name, typesOf(reply[name])]));

  const unprototyped = (reply: any): any =>
    Array.isArray(reply) ? reply.map(unprototyped)
    : reply === null || typeof reply !== "object" || Buffer.isBuffer(reply) || reply instanceof Error ? reply
    : Object.fromEntries(Object.entries(reply).map(([name, value]) => [name, unprototyped(value)]));

  const assertNoPrototypes = (reply: any, call: string): void => {
    if (Array.isArray(reply)) for (const item of reply) assertNoPrototypes(item, call);
    else if (typeof reply === "object" && reply !== null && !(reply instanceof Error) && !Buffer.isBuffer(reply)) {
      assert.equal(Object.getPrototypeOf(reply), null, call);
      for (const item of Object.values(reply)) assertNoPrototypes(item, call);
    }
  };

  test("prototype names are fields like any others", () => withDb({}, async (db) => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "length", "0"];
    for (const name of names) await db.hset("prototypes", name, `value of ${name}`);
    for (const view of [db, lazyConnection({ port: server.port, protocol: 2 })]) {
      const hash = await view.hgetall("prototypes");
      assert.deepEqual(Object.keys(hash).sort(), [...names].sort());
      for (const name of names) assert.equal(hash[name], `value of ${name}`);
      if (view !== db) view.destroy();
    }
    assert.equal(({} as any).a, undefined);
  }));

  test("integers beyond 2^53 are exact", () => withDb({}, async (db) => {
    await db.set("big", "9007199254740991");
    assert.equal(await db.incr("big"), 9007199254740992n);
    await db.set("big", 9223372036854775806n);
    assert.equal(await db.incr("big"), 9223372036854775807n);
    await db.set("big", "41");
    assert.equal(await db.incr("big"), 42);
  }));

  /** Keys have no order of their own. */
  const inOrder = (reply: unknown): unknown =>
    !Array.isArray(reply) ? reply : reply.includes("stream") ? reply.sort() : reply.map(inOrder);

  test("left-out ranges are all, left-out cursors the beginning, also before options and in pipelines and transactions", async () => {
    for (const protocol of [2, 3] as const) {
      await withPool({ protocol, poolsize: 2, dbid: 9 }, async (db) => {
        await db.flushdb();
        await db.zadd("range", [1, "a"], [2, "b"], [3, "c"]);
        await db.rpush("list", "a", "b", "c");
        await db.set("text", "abcdef");
        for (const id of ["1-0", "2-0"]) await db.xadd("stream", id, { f: "v" });
        await db.sadd("set", "a");
        await db.hset("hash", { f: "v" });
        const short: [method: string, args: unknown[], full: unknown[]][] = [
          ["keys", [], ["*"]], ["keys", [undefined], ["*"]],
          ["scan", [], [0]], ["scan", [{ MATCH: "r*", COUNT: 1000 }], [0, { MATCH: "r*", COUNT: 1000 }]],
          ["hscan", ["hash"], ["hash", 0]], ["hscan", ["hash", { COUNT: 10 }], ["hash", 0, { COUNT: 10 }]],
          ["sscan", ["set"], ["set", 0]], ["zscan", ["range", { MATCH: "a" }], ["range", 0, { MATCH: "a" }]],
          ["lrange", ["list"], ["list", 0, -1]], ["lrange", ["list", 1], ["list", 1, -1]],
          ["lrange", ["list", undefined, 1], ["list", 0, 1]],
          ["getrange", ["text", 2], ["text", 2, -1]], ["substr", ["text", 2], ["text", 2, -1]],
          ["zrange", ["range"], ["range", 0, -1]], ["zrange", ["range", 1], ["range", 1, -1]],
          ["zrange", ["range", { WITHSCORES: true }], ["range", 0, -1, { WITHSCORES: true }]],
          ["zrange", ["range", 1, { WITHSCORES: true }], ["range", 1, -1, { WITHSCORES: true }]],
          ["zrange", ["range", undefined, 1, { WITHSCORES: false }], ["range", 0, 1]],
          ["zrevrange", ["range"], ["range", 0, -1]],
          ["zcount", ["range"], ["range", "-inf", "+inf"]], ["zcount", ["range", 2], ["range", 2, "+inf"]],
          ["zlexcount", ["range"], ["range", "-", "+"]], ["zrangebylex", ["range"], ["range", "-", "+"]],
          ["zrangebyscore", ["range", { WITHSCORES: true }], ["range", "-inf", "+inf", { WITHSCORES: true }]],
          ["zrangebyscore", ["range", "(1"], ["range", "(1", "+inf"]],
          ["zrevrangebyscore", ["range", { LIMIT: [0, 1] }], ["range", "+inf", "-inf", { LIMIT: [0, 1] }]],
          ["zrevrangebylex", ["range"], ["range", "+", "-"]],
          ["xrange", ["stream", { COUNT: 1 }], ["stream", "-", "+", { COUNT: 1 }]], ["xrange", ["stream", "2"], ["stream", "2", "+"]],
          ["xrevrange", ["stream"], ["stream", "+", "-"]],
        ];
        if (!isOld()) {
          short.push(
            ["zrange", ["range", { BYSCORE: true }], ["range", "-inf", "+inf", { BYSCORE: true }]],
            ["zrange", ["range", { BYSCORE: true, REV: true }], ["range", "+inf", "-inf", { BYSCORE: true, REV: true }]],
            ["zrange", ["range", 2, { BYSCORE: true, REV: true }], ["range", 2, "-inf", { BYSCORE: true, REV: true }]],
            ["zrange", ["range", { BYLEX: true, REV: true }], ["range", "+", "-", { BYLEX: true, REV: true }]],
          );
        }
        const t = await db.multi() as any;
        const p = db.pipeline() as any;
        const expected: unknown[] = [];
        for (const [method, args, full] of short) {
          const on = db as any;
          expected.push(inOrder(await on[method](...full)));
          assert.deepEqual(inOrder(await on[method](...args)), expected.at(-1), `${method} ${inspect(args)}`);
          assert.equal(await t[method](...args), "QUEUED");
          p[method](...args);
        }
        assert.deepEqual((await t.commit()).map(inOrder), expected);
        assert.deepEqual((await p.execPipeline()).map(inOrder), expected);
        assert.match((await failure((db as any).lrange())).message, /wrong number of arguments/);
        assert.ok(await failure((db as any).zrange("range", null, 1)) instanceof TypeError);
        assert.match((await failure(db.call("LRANGE", "list"))).message, /wrong number/, "call() sends the words as they are");
        await db.flushdb();
      });
    }
  });

  test("an argument is left out only at the end, or in front of options that nothing follows; otherwise it is a TypeError", () =>
    withDb({}, async (typed) => {
    const db = typed as any;
    await db.zadd("left out", [1, "a"]);
    await db.rpush("0", "x");
    const object = "an object, where one value is expected; JSON.stringify it?";
    const calls: [says: string, call: () => unknown][] = [
      ["BLPOP: argument 2: undefined cannot be sent", () => db.blpop("a", undefined, 1)],
      ["BRPOP: argument 2: undefined cannot be sent", () => db.brpop(["a"], undefined, 1, undefined)],
      ["BZPOPMIN: argument 2: undefined cannot be sent", () => db.bzpopmin(["a"], undefined, 1)],
      ["BZPOPMAX: argument 2: undefined cannot be sent", () => db.bzpopmax("a", undefined, "b", 1)],
      [`BLPOP: argument 2 is ${object}`, () => db.blpop("a", {})],
      [`ZRANGE: argument 2 is ${object}`, () => db.zrange("left out", {}, "WITHSCORES")],
      [`ZRANGE: argument 3 is ${object}`, () => db.zrange("left out", 0, {}, "WITHSCORES")],
      [`ZRANGE: argument 2 is ${object}`, () => db.zrange("left out", { REV: true }, 0, -1)],
      [`ZRANGE: argument 2 is ${object}`, () => db.zrange("left out", {}, { WITHSCORES: true })],
      [`SCAN: argument 1 is ${object}`, () => db.scan({}, "MATCH", "z*")],
      [`HSCAN: argument 2 is ${object}`, () => db.hscan("h", { NOVALUES: true }, { MATCH: "x" })],
      [`XRANGE: argument 2 is ${object}`, () => db.xrange("s", { COUNT: 1 }, "-", "+")],
      [`ZCOUNT: argument 2 is ${object}`, () => db.zcount("left out", { a: 1 })],
      [`KEYS: argument 1 is ${object}`, () => db.keys({})],
      [`LRANGE: argument 3 is ${object}`, () => db.lrange("l", 0, {})],
      ["ZRANGE: argument 2 is an array, where one value is expected", () => db.zrange("left out", [0])],
      ["ZRANGE: argument 2: BYSCORE is either true or false", () => db.zrange("left out", { BYSCORE: ["a"] } as any)],
      ["ZRANGE: argument 3: a boolean under a name that is not in capitals cannot be sent",
        () => db.zrange("left out", undefined, { rev: true })],
      ["SCAN: argument 1 holds an array, where one value is expected", () => db.scan({ MATCH: ["a"] })],
    ];
    for (const [says, call] of calls) {
      const error = await failure(call());
      assert.deepEqual([error.message, error.code, error instanceof TypeError], [says, "INVALID_ARGUMENT", true]);
    }
    assert.equal(await db.lpop("0"), "x", "nothing was popped");
    assert.deepEqual(await db.zrange("left out", undefined, undefined, { WITHSCORES: true }), [["a", 1]]);
    assert.deepEqual(await db.zrange("left out", undefined, 5, { REV: true }), ["a"]);
    assert.deepEqual(await db.zrange("left out", { WITHSCORES: true }, undefined), [["a", 1]]);
  }));

  test("a left-out timeout waits as long as it takes", () => withPool({ poolsize: 8 }, async (db) => {
    const keys = ["l1", "l2", "l3", "l4", "z1", "z2"];
    await db.del(keys, "to");
    const waits = [db.blpop("l1"), db.brpop(["l2", "none"]), db.brpoplpush("l3", "to"), db.bzpopmin("z1"), db.bzpopmax(["none", "z2"])];
    if (!isOld()) waits.push(db.blmove("l4", "to", "LEFT", "RIGHT") as any);
    await until(async () => (await server.call("INFO", "clients")).includes(`blocked_clients:${waits.length}`), "all to wait");
    for (const key of ["l1", "l2", "l3"]) await server.call("RPUSH", key, key);
    for (const key of ["z1", "z2"]) await server.call("ZADD", key, "1", key);
    if (!isOld()) await server.call("RPUSH", "l4", "l4");
    const popped = [["l1", "l1"], ["l2", "l2"], "l3", ["z1", "z1", 1], ["z2", "z2", 1], "l4"];
    assert.deepEqual(await Promise.all(waits), popped.slice(0, waits.length));
    assert.equal(await db.call("BLPOP", "none", 0.01), null);
    await db.rpush("0.01", "x");
    assert.deepEqual(await db.blpop(["none", "0.01"]), ["0.01", "x"], "a list has no timeout");
    await db.del("to");
  }));

  test("whatever adds a fraction returns a number, and get the text with all its digits", async () => {
    for (const protocol of [2, 3] as const) {
      for (const charset of ["utf-8", null] as const) {
        await withDb({ protocol, charset }, async (db) => {
          await db.del("fractions", "text", "hash");
          const p = db.pipeline().zincrby("fractions", 0.25, "m").hincrbyfloat("hash", "f", 0.25).incrbyfloat("text", 0.25);
          assert.deepEqual(await p.execPipeline(), [0.25, 0.25, 0.25]);
          assert.equal(await db.incrbyfloat("text", "9007199254740993"), 9007199254740993.25);
          assert.equal(String(await db.get("text")), "9007199254740993.25");
          assert.equal(await db.hincrbyfloat("hash", "f", -0.25), 0);
          await db.del("fractions", "text", "hash");
        });
      }
    }
  });
});

// ==== 5. Commander ====

describe("a call", () => {
  test("call() takes any command, and gives those of the table their usual shape", () => withDb({ protocol: 2 }, async (db) => {
    await db.call("HSET", "called", { a: 1 });
    assert.deepEqual({ ...await db.call<object>("hgetall", "called") }, { a: "1" });
    const encoding = isOld() ? "ziplist" : "listpack";
    assert.equal(await db.call("object encoding", "called"), encoding);
    assert.equal(await db.call("OBJECT", "encoding", "called"), encoding);
    assert.equal((await failure(db.call("no.such", "a"))).code, "ERR");
    assert.equal((await failure(db.call({ name: "no.such", keys: [0, 0, 0], read: true }))).command, "NO.SUCH");
  }));

  test("call() takes a subcommand as one value only, so that nothing gets around what a shared connection must not send", () =>
    withDb({}, async (db) => {
    const nothings = [[], [[]], {}, new Set(), new Map(), { X: undefined }, { X: false }, ["REPLY"], { REPLY: "SKIP" },
      new Set(["REPLY"]), [["REPLY", "OFF"]], undefined, null, true];
    const calls: unknown[][] = nothings.flatMap((nothing) => [
      ["CLIENT", nothing, "REPLY", "SKIP"], ["client", nothing, "TRACKING", "ON"], [{ name: "CLIENT" }, nothing, "REPLY", "OFF"],
      [{ name: "CLIENT", values: true }, nothing, "REPLY", "OFF"], ["SCRIPT", nothing, "DEBUG", "YES"],
      ["CONFIG", nothing, "SET", "maxmemory", "1"], ["HIMPORT", nothing, "PREPARE", "f", "a"], ["COMMAND", nothing, "COUNT"],
    ]);
    calls.push(["CONFIG", ["SET", "maxmemory", "1"]], ["CONFIG", { SET: "maxmemory" }, "1"], ["CONFIG", "SET", "maxmemory", { 1: 2 }]);
    for (const [name, ...args] of calls) {
      const error = await failure(db.call(name as string, ...args));
      assert.ok(error instanceof TypeError, inspect(args));
      assert.match(error.message, /^(CLIENT|SCRIPT|CONFIG|CONFIG SET|HIMPORT|COMMAND): argument \d( is an? \w+, where|: (undefined|null|a boolean) cannot)/);
      assert.equal((error as any).code, "INVALID_ARGUMENT");
      assert.throws(() => db.pipeline().call(name as string, ...args), TypeError);
    }
    for (const first of ["reply", Buffer.from("Reply")]) {
      assert.equal((await failure(db.call("client", first, "SKIP"))).code, "NOT_SUPPORTED");
    }
    assert.deepEqual(await Promise.all([db.set("own", "v"), db.get("own"), db.ping()]), ["OK", "v", "PONG"], "each its own");
    assert.equal(await db.call("CONFIG", Buffer.from("set"), { maxmemory: 0 }), "OK");
    assert.match((await failure(db.call("CLIENT"))).message, /wrong number of arguments/);
    assert.ok(Array.isArray(await db.call("COMMAND")));
  }));

  test("an error reply tells code, outcome and command, and shows none of the arguments", () => withDb({}, async (db) => {
    await db.set("text", "a");
    const error = await failure(db.lpush("text", "b"));
    assert.ok(error instanceof ReplyError && error instanceof RedisError);
    const { code, outcome, command } = error;
    assert.deepEqual({ code, outcome, command }, { code: "WRONGTYPE", outcome: "not-executed", command: "LPUSH" });
    const unknown = await failure(db.call("NOSUCH", "hunter2", "hunter2"));
    assert.doesNotMatch(inspect(unknown, { showHidden: true }), /hunter2/);
  }));

  test("the message of an error reply begins with the server's words and ends with the command", () => withDb({}, async (db) => {
    const wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    await db.set("text", "a");
    assert.equal((await failure(db.lpush("text", "b"))).message, `${wrong} (LPUSH)`);
    assert.equal((await failure(db.call("LPUSH", "text", "b"))).message, `${wrong} (LPUSH)`);
    assert.match((await failure(db.evalsha("0".repeat(40), 0))).message, /^NOSCRIPT No matching script.* \(EVALSHA\)$/);
    const [queued] = await db.pipeline().lpush("text", "b").execPipeline({ errors: "return" });
    assert.equal((queued as unknown as Error).message, `${wrong} (LPUSH)`);
    const [nested] = await db.eval("return {redis.pcall('LPUSH', 'text', 'b')}", 0) as [ReplyError];
    assert.ok(nested instanceof ReplyError && nested.message.startsWith(wrong), inspect(nested));
    await withDb({ port: await freePort() }, async (away) => {
      assert.match((await failure(away.get("text"))).message, /^GET: not connected/);
    });
  }));

  const REFUSED: [text: string, unavailable: boolean][] = [
    ["LOADING Redis is loading the dataset in memory", true],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true],
    ["READONLY You can't write against a read only replica.", true],
    ["BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", true],
    ["TRYAGAIN Multiple keys request during rehashing of slot", true],
    ["CLUSTERDOWN The cluster is down", true],
    ["OOM command not allowed when used memory > 'maxmemory'.", true],
    ["MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", true],
    ["NOREPLICAS Not enough good replicas to write.", true],
    ["UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", true],
    ["WRONGTYPE Operation against a key holding the wrong kind of value", false],
    ["NOPERM this user has no permissions to run the 'set' command", false],
    ["BUSYGROUP Consumer Group name already exists", false],
    ["ERR syntax error", false],
  ];
  test("an error is `unavailable` if it is about the server and not about the call, and so is a pipeline's", async () => {
    for (const [text, unavailable] of REFUSED) {
      await withScript(async (peer) => {
        for (;;) {
          const [name] = await peer.read();
          peer.write(name === "SET" ? `-${text}\r\n` : "+OK\r\n");
        }
      }, async (db) => {
        const among = await failure(db.pipeline().set("k", "v").ping().execPipeline()); // which does not wait
        const { code, unavailable: alone } = among.results[0];
        assert.deepEqual([code, alone, among.unavailable], [text.split(" ")[0], unavailable, unavailable]);
      });
    }
    await withDb({}, async (db) => {
      const errors = [
        failure(db.set("k", null as never)), failure(db.call("SELECT", 1)), failure(db.with({ signal: AbortSignal.abort() }).ping()),
      ];
      for (const error of await Promise.all(errors)) assert.equal(error.unavailable, false, String(error));
      const late = await failure(db.with({ signal: AbortSignal.timeout(20) }).blpop("nobody", 0));
      assert.deepEqual([late.code, late.unavailable], ["ABORTED", true]);
    });
  });

  test("whatever fails because the server is down is `unavailable`, and its log is short and repeats no cause", async () => {
    const port = await freePort();
    const logged = async (promise: Promise<unknown>): Promise<any> => {
      const error = await failure(promise);
      assert.equal(error.unavailable, true, inspect(error));
      const lines = inspect(error).split("\n");
      const most = runtime === "Bun" ? 40 : 30; // Bun's stacks go on through all callers that wait
      assert.ok(lines.length < most, `${lines.length} lines:\n${inspect(error)}`);
      const causes = new Set();
      for (let at = error; at !== undefined; at = at.cause) {
        assert.ok(!causes.has(at.message), at.message);
        causes.add(at.message);
      }
      return error;
    };
    await logged(connection({ port }));
    await withDb({ port }, async (db) => {
      await failure(db.ping());
      const error = await logged((async function caller() { await db.ping(); })());
      const [, first, second] = error.stack.split("\n    at ");
      const called = runtime === "Bun" ? first : second; // behind the method's, which Bun leaves by a tail call
      assert.match(called, /caller/, error.stack);
      await logged(db.pipeline().get("a").get("b").execPipeline());
      await logged(db.pipeline().get("a").get("b").commit());
      await logged(db.watch("a"));
      await logged(db.transaction(["a"], () => {}));
      await logged(db.subscribe("a"));
    });
    const db = lazyShardedConnection([`localhost:${port}`, `127.0.0.1:${port}`, `localhost:${server.port}`]);
    await using(db, async () => {
      const keys = Array.from({ length: 20 }, (_, i) => `key:${i}`);
      await logged(db.mget(...keys));
      await logged(db.pipeline().mget(...keys).execPipeline());
      await logged(db.dbsize());
    });
  });

  test("what the server quotes of a secret is cut off", () => withDb({}, async (db) => {
    const error = await failure(db.aclSetuser("nobody", "on", "<hunter2"));
    assert.equal(error.code, "ERR");
    assert.doesNotMatch(inspect(error, { showHidden: true }), /hunter2/);
  }));

  test("what is changed in an options object after the call does not change the shape of the reply", async () => {
    await withDb({ protocol: 2 }, async (db) => {
      await db.zadd("shaped", [1, "a"]);
      const options = { WITHSCORES: true as boolean };
      const reply = db.zrange("shaped", 0, -1, options as { WITHSCORES: true });
      options.WITHSCORES = false;
      assert.deepEqual(await reply, [["a", 1]]);
    });
  });

  test("a script that fails may have done something: its outcome is unknown", () => withDb({}, async (db) => {
    assert.equal((await failure(db.eval("redis.call('SET', KEYS[1], 1) return redis.call('LPUSH', KEYS[1], 1)", 1, "half"))).outcome, "unknown");
    assert.equal((await failure(db.evalsha("0".repeat(40), 0))).outcome, "not-executed");
    assert.equal(await db.get("half"), "1");
  }));

  test("a script that the server says it did not begin is not executed", () => withDb({ protocol: 2 }, async (db) => {
    await server.call("ACL", "SETUSER", "no-scripts", "on", ">secret", "~*", "+@all", "-eval", "-evalsha", "-fcall");
    const calls: [name: string, ...args: unknown[]][] = [
      ["EVAL", "return 1"], ["EVAL", "return (", 0], ["EVALSHA", "0".repeat(40)],
      ...["EVAL", "EVALSHA"].flatMap((name) => [[2, "a"], [-1], [0.5, "a"], ["x", "a"]].map((args) =>
        [name, name === "EVAL" ? "return 1" : "0".repeat(40), ...args] as [string, ...unknown[]])),
      ...isOld() ? [] : [["FCALL", "nope"], ["FCALL", "nope", 0]] as [string, ...unknown[]][],
    ];
    for (const [name, ...args] of calls) {
      assert.equal((await failure(db.call(name, ...args))).outcome, "not-executed", `${name} ${args}`);
      await withDb({ username: "no-scripts", password: "secret" }, async (restricted) => {
        const { code, outcome } = await failure(restricted.call(name, ...args));
        if (code === "NOPERM") assert.equal(outcome, "not-executed", `${name} ${args}`);
      });
    }
    await server.call("ACL", "DELUSER", "no-scripts");
    const twoKeys = script("return redis.call('SET', KEYS[1], KEYS[2])", { keys: 2 });
    assert.equal((await failure(twoKeys(db, "a"))).outcome, "not-executed");
    const [{ outcome }] = await twoKeys(db.pipeline(), "a").execPipeline({ errors: "return" }) as any;
    assert.equal(outcome, "not-executed");
    for (const lua of [ // the same words from inside, after a write
      "redis.call('SET', 'half', 1) return redis.error_reply(\"ERR wrong number of arguments for 'set' command\")",
      "redis.call('SET', 'half', 1) return redis.call('SET')", "redis.call('SET', 'half', 1) return redis.pcall('LPUSH', 'half', 1)",
      "redis.call('SET', 'half', 1) return redis.call('NOSUCH')",
    ]) assert.equal((await failure(db.eval(lua, 0))).outcome, "unknown", lua);
    if (isOld()) return;
    const nested = "redis.call('SET', 'half', 1) return redis.pcall('SINTERCARD', 5, 'a')"; // EVAL may say the same
    assert.equal((await failure(db.eval(nested, 0))).outcome, "unknown");
    assert.equal((await failure(db.eval(nested, 1, "half", "a"))).outcome, "unknown");
  }));

  test("a command that is not in the table and fails may have done something, unless the server says that it did not begin",
    async () => {
    const said: [text: string, outcome: string][] = [
      ["ERR index is being built", "unknown"], ["WRONGTYPE Operation against a key holding the wrong kind of value", "unknown"],
      ["ERR wrong number of arguments for 'set' command", "unknown"], ["TSDB: the key does not exist", "unknown"],
      ["ERR wrong number of arguments for 'mod.add' command", "not-executed"],
      ["ERR wrong number of arguments for 'mod.add|sub' command", "not-executed"],
      ["ERR unknown command 'MOD.ADD', with args beginning with: 'a' ", "not-executed"],
      ["ERR unknown command `MOD.ADD`, with args beginning with: `a` ", "not-executed"],
      ["ERR unknown subcommand 'sub'. Try MOD.ADD HELP.", "not-executed"],
      ["NOPERM this user has no permissions to access one of the keys used as arguments", "not-executed"],
      ["OOM command not allowed when used memory > 'maxmemory'.", "not-executed"],
      ["BUSY Redis is busy running a script.", "not-executed"], ["MOVED 3999 127.0.0.1:6381", "not-executed"],
      ["CROSSSLOT Keys in request don't hash to the same slot", "not-executed"],
    ];
    for (const [text, outcome] of said) {
      await withScript(async (peer) => {
        for (;;) {
          await peer.read();
          peer.write(`-${text}\r\n`);
        }
      }, async (db) => {
        assert.equal((await failure(db.call("MOD.ADD", "a"))).outcome, outcome, text);
        assert.equal((await failure(db.call({ name: "MOD.GET", read: true }, "a"))).outcome, "not-executed", text);
        const [piped] = await db.pipeline().call("MOD.ADD", "a").execPipeline({ errors: "return" }) as unknown as [RedisError];
        assert.equal(piped.outcome, outcome, text);
      });
    }
  });

  test("what changes the connection is refused, and the message says what to use", () => withDb({}, async (db) => {
    for (const [name, instead] of [["select", "dbid"], ["auth", "password"], ["subscribe", "subscribe()"], ["quit", "disconnect()"]] as const) {
      const error = await failure(db.call(name, 1));
      assert.ok(error instanceof NotSupportedError);
      assert.equal(error.outcome, "not-sent");
      assert.ok(error.message.includes(instead), error.message);
    }
    for (const way of [["client", "reply", "off"], ["client", Buffer.from("reply")], ["CLIENT REPLY"]]) {
      const [name, ...args] = way as [string, ...unknown[]];
      assert.equal((await failure(db.call(name, ...args))).code, "NOT_SUPPORTED");
    }
    const pipeline = db.pipeline() as any;
    assert.throws(() => pipeline.exec(), /use instead: execPipeline\(\) or commit\(\) of a pipeline/);
    for (const name of ["SUBSCRIBE ch", "SELECT 5", "", undefined, 5, {}]) {
      assert.ok(await failure(db.call(name as string)) instanceof TypeError);
    }
    assert.equal(await db.ping(), "PONG");
  }));

  test("charset null gives Buffers, and maps as pairs, under both protocols alike", async () => {
    for (const protocol of [2, 3] as const) {
      await withDb({ protocol }, async (text) => {
        const db = text.with({ charset: null });
        const bytes = Buffer.from([0xff, 0, 0x0d, 0x0a, 0x80]);
        await db.set(bytes, bytes);
        assert.deepEqual(await db.get(bytes), bytes);
        await db.del("raw");
        assert.deepEqual(await db.hgetall("raw"), []);
        await db.hset("raw", [bytes, bytes]);
        assert.deepEqual(await db.hgetall("raw"), [[bytes, bytes]]);
        assert.equal(await db.set("a", "b"), "OK");
        await db.zadd("raw zset", [1.5, bytes]);
        assert.deepEqual(await db.zrange("raw zset", 0, -1, { WITHSCORES: true }), [[bytes, 1.5]]);
        await text.del("raw zset");
      });
    }
  });

  test("maps: \"pairs\" gives fields of an entry as they were added: in their order, repeated, named by numbers", async () => {
    const fields = [["b", "1"], ["2", "x"], ["f", "1"], ["1", "y"], ["f", "2"], ["__proto__", "z"]];
    for (const protocol of [2, 3] as const) {
      await withDb({ protocol }, async (text) => {
        const db = text.with({ maps: "pairs" });
        await db.del("ordered");
        const id = await db.xadd("ordered", "*", fields.flat());
        const entries = [[id, fields]];
        assert.deepEqual(await db.xrange("ordered", "-", "+"), entries);
        assert.deepEqual(await db.xrevrange("ordered", "+", "-"), entries);
        assert.deepEqual(await db.xread({ STREAMS: ["ordered", 0] }), [["ordered", entries]]);
        await db.xgroupCreate("ordered", "g", "0");
        const read = await db.xreadgroup({ GROUP: ["g", "c"], STREAMS: ["ordered", ">"] });
        assert.deepEqual(read, [["ordered", entries]]);
        assert.deepEqual(await db.xclaim("ordered", "g", "d", 0, id), entries);
        const [piped, atomic] = await Promise.all([
          db.pipeline().xrange("ordered", "-", "+").execPipeline(), db.pipeline().xrange("ordered", "-", "+").commit(),
        ]);
        assert.deepEqual([piped, atomic], [[entries], [entries]]);
        const objects = db.with({ maps: "objects" });
        assert.deepEqual(Object.keys((await objects.xrange("ordered", "-", "+"))[0]![1]), ["1", "2", "b", "f", "__proto__"]);
        await db.del("ordered");
      });
    }
  });

  test("maps: \"pairs\" of a handler is text in pairs everywhere, and objects no more", async () => {
    for (const protocol of [2, 3] as const) {
      const db = await connection({ port: server.port, protocol, maps: "pairs" });
      await db.del("paired");
      assert.deepEqual(await db.hgetall("paired"), []);
      await db.hset("paired", ["2", "b"], ["1", "a"]);
      assert.deepEqual(await db.hgetall("paired"), [["2", "b"], ["1", "a"]]);
      assert.deepEqual((await db.hscan("paired", 0))[1], [["2", "b"], ["1", "a"]]);
      assert.deepEqual(await all(db.hscanIterator("paired")), [["2", "b"], ["1", "a"]]);
      assert.deepEqual(await db.configGet("hash-max-*-entries"), await db.with({ charset: "latin1" }).configGet("hash-max-*-entries"));
      assert.deepEqual(await db.with({ charset: null }).hget("paired", "2"), Buffer.from("b"));
      assert.deepEqual(await db.with({ convertNumbers: true }).hgetall("paired"), [[2, "b"], [1, "a"]]);
      await db.del("paired");
      await db.disconnect();
    }
  });

  test("charset latin1 gives each byte as a character", () => withDb({ charset: "latin1" }, async (db) => {
    await db.set("latin", Buffer.from([0xe9]));
    assert.equal(await db.get("latin"), "é");
  }));

  for (const protocol of [2, 3] as const) {
    for (const charset of ["utf-8", "latin1", null] as const) {
      test(`dumps are bytes that can be restored, and what comes with them is text, in charset ${charset} of RESP${protocol}`,
        () => withDb({ protocol, charset }, async (db) => {
        const value = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
        const text = charset === null ? Buffer.from("text") : "text";
        await server.call("DEL", "dumped");
        await db.set("dumped", value);
        await db.set("beside", "text");
        const numbers = db.with({ convertNumbers: true });
        const piped = await db.pipeline().get("beside").dump("dumped").get("beside").execPipeline();
        const atomic = await db.pipeline().get("beside").dump("dumped").get("beside").commit();
        const t = await db.multi();
        for (const queued of [t.get("beside"), t.dump("dumped"), t.get("beside")]) assert.equal(await queued, "QUEUED");
        const queued = await t.commit();
        for (const replies of [piped, atomic, queued]) assert.deepEqual([replies[0], replies[2]], [text, text]);
        const dumps = [
          await db.dump("dumped"), await numbers.dump("dumped"), await db.call("DUMP", "dumped"),
          piped[1], atomic[1], queued[1],
        ];
        for (const dump of dumps) {
          assert.ok(Buffer.isBuffer(dump), inspect(dump));
          assert.equal(await db.restore("restored", 0, dump, { REPLACE: true }), "OK");
          assert.deepEqual(await db.with({ charset: null }).get("restored"), value);
        }
        assert.equal(await db.dump("no such key"), null);
        assert.match((await failure(db.dump(["two", "keys"] as unknown as Key))).message, /wrong number of arguments|array/);
        await server.call("DEL", "dumped", "beside", "restored");
      }));
    }
  }

  test("a dump of all functions can be restored", async (t) => {
    if (isOld()) return skip(t, `Redis ${server.version} has no functions`);
    await withDb({}, async (db) => {
      const code = `#!lua name=dumped\nredis.register_function('dumped', function() return '${"\u00e9".repeat(9)}' end)`;
      await db.functionLoad(code);
      const dump = await db.functionDump();
      await db.functionFlush();
      assert.equal(await db.functionRestore(dump), "OK");
      assert.equal(await db.fcall("dumped", 0), "\u00e9".repeat(9));
      await db.functionFlush();
    });
  });

  test("an element's vector as it is stored is bytes in every charset", () => {
    const stored = Buffer.from([0x7f, 0xff, 0x80, 0x00]);
    return withScript(async (peer) => {
      for (;;) {
        await peer.read();
        peer.write(Buffer.concat([Buffer.from("*4\r\n+int8\r\n$4\r\n"), stored, Buffer.from("\r\n,1.5\r\n$3\r\n0.5\r\n")]));
      }
    }, async (db) => {
      for (const charset of ["utf-8", "latin1", null] as const) {
        const view = db.with({ charset });
        assert.deepEqual(await view.vemb("v", "a", { RAW: true }), ["int8", stored, 1.5, 0.5], String(charset));
      }
    });
  });

  test("a small Buffer does not keep the chunk alive that it came in", () => withDb({}, async (db) => {
    await db.set("small", "abc");
    const bytes = (await db.with({ charset: null }).get("small"))!;
    assert.ok(bytes.buffer.byteLength <= Buffer.poolSize, `${bytes.buffer.byteLength}`);
  }));

  test("convertNumbers converts only what it can give back as it was", async () => {
    const db = await connection({ port: server.port, convertNumbers: true });
    const values: [text: string, value: unknown][] = [
      ["42", 42], ["-7", -7], ["1.5", 1.5], ["0", 0], ["9007199254740993", 9007199254740993n],
      ["007", "007"], ["1.0", "1.0"], ["+5", "+5"], ["", ""], [" 1", " 1"], ["1e5", "1e5"], ["NaN", "NaN"], ["Infinity", "Infinity"],
      ["-0", "-0"], ["0x10", "0x10"], ["1_000", "1_000"], ["12abc", "12abc"],
    ];
    for (const [text, value] of values) {
      await db.set("number", text);
      assert.equal(await db.get("number"), value, text);
    }
    await db.hset("numbers", { a: 1, 2: "x" });
    assert.deepEqual({ ...await db.hgetall("numbers") }, { a: 1, 2: "x" });
    await db.disconnect();
  });

  test("a view refuses options that it does not have", () => withDb({}, async (db) => {
    assert.throws(() => db.with({ replyTimeout: 0 }), /replyTimeout/);
    assert.throws(() => db.with({ maps: "entries" } as object), /maps must be one of "objects", "pairs"/);
    assert.throws(() => db.with({ host: "other" } as object), /no option "host"/);
    assert.throws(() => db.with({ signal: "now" } as object), /signal must be an AbortSignal/);
  }));
});

describe("an AbortSignal", () => {
  test("that has fired rejects before anything is sent", () => withDb({}, async (db) => {
    const error = await failure(db.with({ signal: AbortSignal.abort("enough") }).incr("aborted"));
    assert.ok(error instanceof AbortError);
    assert.deepEqual([error.code, error.outcome, error.cause, error.command], ["ABORTED", "not-sent", "enough", "INCR"]);
    assert.equal(await db.exists("aborted"), 0);
  }));

  test("that fires in the tick of the call keeps the command from being sent", () => withDb({}, async (db) => {
    const id = await db.clientId();
    const abort = new AbortController();
    const calls = [db.get("a"), db.with({ signal: abort.signal }).incr("not sent"), db.get("a")];
    abort.abort();
    const [, error] = await Promise.allSettled(calls);
    assert.equal((error as PromiseRejectedResult).reason.outcome, "not-sent");
    assert.equal(await db.exists("not sent"), 0);
    assert.equal(await db.clientId(), id, "it is the same connection still");
  }));

  test("that fires in the tick of the only call leaves nothing pending", () => withDb({}, async (db) => {
    await db.ping();
    const abort = new AbortController();
    const call = failure(db.with({ signal: abort.signal }).incr("not sent"));
    abort.abort();
    assert.equal((await call).outcome, "not-sent");
    await until(() => inspect(db).includes("1 open; 0 pending"), "nothing to be pending");
  }));

  test("that fires after the write shifts no reply: 20,000 calls aborted at random among others", () => withDb({}, async (db) => {
    for (let i = 0; i < 1000; i++) db.set(`nonce:${i}`, i).catch(() => {});
    const id = await db.clientId();
    const random = reference.random(4);
    let aborted = 0;
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 1000 }, async (_, i) => {
        const abort = new AbortController();
        const call = db.with({ signal: abort.signal }).get(`nonce:${i}`);
        if (random() < 0.5) setTimeout(() => abort.abort(), random() * 5);
        else if (random() < 0.5) setImmediate(() => abort.abort());
        try {
          assert.equal(await call, String(i));
        } catch (error) {
          assert.ok(error instanceof AbortError, String(error));
          aborted++;
        }
        assert.equal(await db.get(`nonce:${i}`), String(i));
      }));
    }
    assert.ok(aborted > 100, `${aborted} aborted`);
    assert.equal(await db.clientId(), id, "it is the same connection still");
  }));

  test("may be shared by many views without a warning", () => withDb({}, async (db) => {
    const warnings: unknown[] = [];
    const note = (warning: unknown) => warnings.push(warning);
    process.on("warning", note);
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 50 }, () => db.with({ signal }).get("a")));
    await new Promise(setImmediate);
    process.off("warning", note);
    assert.deepEqual(warnings, []);
  }));

  test("has one listener for all its commands, and none when they are done", () => withDb({}, async (db) => {
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: any[]) => { listeners++; return (addEventListener as any).apply(signal, args); };
    signal.removeEventListener = (...args: any[]) => { listeners--; return (removeEventListener as any).apply(signal, args); };
    const view = db.with({ signal });
    const calls = Array.from({ length: 100 }, () => view.ping());
    assert.equal(listeners, 1);
    await Promise.all(calls);
    assert.equal(listeners, 0);
  }));
});

// ==== 6. Connection ====

describe("the handshake", () => {
  test("TCP, a Unix socket and TLS lead to the same server", async () => {
    const tls = { ca: server.certs!.ca.cert };
    await server.call("SET", "where", "here");
    for (const options of [{ port: server.port }, { path: server.path }, { port: server.tlsPort, tls }, { port: server.tlsPort, tls, host: "127.0.0.1" }]) {
      const db = await connection(options);
      assert.equal(await db.get("where"), "here");
      await db.disconnect();
    }
    const db = await unixConnection(server.path);
    assert.equal(await db.get("where"), "here");
    await db.disconnect();
  });

  test("TLS is verified: a stranger's certificate, another name's and an unknown authority are refused", async () => {
    const { ca, wrong, stranger } = server.certs!;
    const files = ["--tls-cert-file", wrong.certFile, "--tls-key-file", wrong.keyFile];
    const misnamed = await RedisServer.start({ tls: true, args: files });
    const attempts: [Options, RegExp][] = [
      [{ port: server.tlsPort, tls: true }, /UNABLE_TO|SELF_SIGNED|unable to/],
      [{ port: server.tlsPort, tls: { ca: stranger.cert } }, /UNABLE_TO|SIGNATURE|unable to|self/i],
      [{ port: misnamed.tlsPort, tls: { ca: ca.cert } }, /ERR_TLS_CERT_ALTNAME_INVALID|altnames/],
    ];
    for (const [options, says] of attempts) {
      const error = await failure(connection(options));
      assert.equal(error.code, "CONNECT_FAILED");
      assert.match(error.message, says);
    }
    assert.doesNotMatch(await misnamed.call("INFO", "commandstats"), /cmdstat_hello/, "nothing was sent to it");
    await misnamed.stop();
  });

  test("TLS with a client's certificate", async () => {
    const { ca, client } = certificatesOf(server);
    const strict = await RedisServer.start({ tls: true, args: ["--tls-auth-clients", "yes"] });
    const tls = { ca: ca.cert, cert: client.cert, key: client.key };
    const db = await connection({ port: strict.tlsPort, tls });
    assert.equal(await db.ping(), "PONG");
    await db.disconnect();
    assert.ok(await failure(connection({ port: strict.tlsPort, tls: { ca: ca.cert } })) instanceof ConnectionError);
    await strict.stop();
  });

  test("TLS tells the server the host's name, and never an address", async () => {
    const { ca, server: own } = certificatesOf(server);
    const names: unknown[] = [];
    const listener = createServer({ cert: own.cert, key: own.key }, (socket) => {
      names.push(socket.servername || undefined); // Node says false, Deno null
      socket.end();
    });
    await once(listener.listen(0, "127.0.0.1"), "listening");
    const { port } = listener.address() as AddressInfo;
    for (const host of ["localhost", "127.0.0.1"]) await failure(connection({ host, port, tls: { ca: ca.cert } }));
    assert.deepEqual(names, ["localhost", undefined]);
    listener.close();
  });

  const certificatesOf = ({ certs }: RedisServer) => certs!;

  test("options that tls.connect does not take are an error, not a crash, and leave no socket behind", async () => {
    for (const port of [server.tlsPort, await freePort()]) {
      const error = await failure(connection({ port, tls: { cert: "garbage", key: "garbage" } }));
      assert.equal(error.code, "CONNECT_FAILED");
    }
    await until(() => !process.getActiveResourcesInfo().includes("TCPConnectWrap"), "all sockets to be gone");
  });

  describe("over a stream of one's own", () => {
    const toServer = (): Socket => connectTcp(server.port, server.host);
    /** Any Duplex, such as a channel of SSH: what goes through it comes out of another socket. */
    class Tunnel extends Duplex {
      readonly #socket: Socket;
      constructor(socket: Socket) {
        super();
        this.#socket = socket;
        socket.on("data", (chunk) => this.push(chunk) || socket.pause()).on("end", () => this.push(null));
        socket.on("error", (error) => this.destroy(error)).on("close", () => this.destroy());
      }
      override _read() { this.#socket.resume(); }
      override _write(chunk: Buffer, _: string, done: () => void) { this.#socket.write(chunk, () => done()); }
      override _final(done: () => void) { this.#socket.end(done); }
      override _destroy(error: Error | null, done: (error: Error | null) => void) {
        this.#socket.destroy();
        done(error);
      }
    }
    const later = async <T>(make: () => T): Promise<T> => {
      await sleep(5);
      return make();
    };

    for (const [what, open] of [
      ["a socket", toServer], ["a promise of a socket", () => later(toServer)],
      ["a socket that is connected", async () => {
        const socket = toServer();
        await once(socket, "connect");
        return socket;
      }],
      ["a Duplex", () => new Tunnel(toServer())], ["a promise of a Duplex", () => later(() => new Tunnel(toServer()))],
    ] as const) {
      test(`${what} carries commands, big values and messages, and nothing connects to the host`, () =>
        using(lazyConnectionPool({ host: "nowhere.invalid", port: 1, poolsize: 2, dbid: 3, socket: open }), async (db) => {
          await db.ready();
          const big = "x".repeat(8 * 2 ** 20);
          await Promise.all([db.set("big", big), db.set("small", 1)]);
          assert.ok(await db.get("big") === big);
          const news = await db.subscribe("news");
          await db.publish("news", "hello");
          assert.equal((await news[Symbol.asyncIterator]().next()).value?.message, "hello");
          await server.call("CLIENT", "KILL", "TYPE", "normal");
          await until(() => db.get("small").then((value) => value === "1", () => false), "another stream");
          await db.disconnect();
        }));
    }

    test("TLS runs on top of it, and the certificate is checked against the host", async () => {
      const { ca } = certificatesOf(server);
      for (const open of [
        () => connectTcp(server.tlsPort, server.host), () => later(() => new Tunnel(connectTcp(server.tlsPort, server.host))),
      ]) {
        const options = { port: 1, tls: { ca: ca.cert }, socket: open };
        const db = await connection({ host: "localhost", ...options });
        await db.set("k", "v".repeat(2 ** 20));
        assert.equal((await db.get("k"))!.length, 2 ** 20);
        await db.disconnect();
        const error = await failure(connection({ host: "wrong.example", ...options }));
        assert.equal(error.code, "CONNECT_FAILED");
        assert.match(error.message, /ALTNAME|altnames/);
      }
    });

    test("the function learns host, port and path of each server, and no secret; the password goes through the stream only", async () => {
      const seen: object[] = [];
      const listener = await ScriptedServer.start(() => {});
      const socket = (endpoint: object) => {
        seen.push(endpoint);
        return toServer();
      };
      const login = { username: "default", password: "needless", name: "me" };
      const db = await connection({ host: "127.0.0.1", port: listener.port, ...login, socket });
      await db.disconnect();
      const shards = await shardedConnection(["a:1", { host: "b", port: 2 }], { ...login, socket });
      await shards.disconnect();
      await (await unixConnection("/tmp/none.sock", { socket })).disconnect();
      assert.deepEqual(seen.slice(0, 3), [
        { host: "127.0.0.1", port: listener.port, path: undefined }, { host: "a", port: 1, path: undefined },
        { host: "b", port: 2, path: undefined },
      ]);
      assert.equal((seen[3] as { path: string }).path, "/tmp/none.sock");
      assert.equal(listener.connections, 0);
      await listener.stop();
    });

    test("a function that fails, or returns no open stream, rejects with that as the cause, and is called again", async () => {
      const destroyed = (): Socket => toServer().destroy();
      const broken = (): Socket => toServer().destroy(new Error("broken"));
      const ended = async (): Promise<Duplex> => new Tunnel(toServer()).end();
      for (const [socket, cause] of [
        [() => { throw new Error("no route"); }, /^no route$/], [() => Promise.reject(new Error("no route")), /^no route$/],
        [() => undefined, /must return a duplex stream$/], [() => ({}), /must return a duplex stream$/],
        [() => null, /must return a duplex stream$/], [() => "stream", /must return a duplex stream$/],
        [() => new Readable({ read() {} }), /must return a duplex stream$/],
        [destroyed, /must return a stream that is open$/], [broken, /must return a stream that is open$/],
        [ended, /must return a stream that is open$/],
      ] as [any, RegExp][]) {
        const error = await failure(connection({ port: server.port, socket }));
        assert.deepEqual([error.code, error.outcome], ["CONNECT_FAILED", "not-sent"]);
        assert.match(error.message, /^no connection to localhost:\d+: option socket failed$/);
        assert.match(error.cause.message, cause);
      }
      let calls = 0;
      const socket = () => ++calls < 3 ? Promise.reject(new Error("not yet")) : toServer();
      await withDb({ socket }, (db) => until(() => db.ping().catch(() => false), "the third attempt"));
    });

    test("connectTimeout holds for the function, too: it is named, and a stream that comes too late is closed", async () => {
      let give!: (stream: Duplex) => void;
      const socket = () => new Promise<Duplex>((resolve) => { give = resolve; });
      const error = await failure(connection({ port: server.port, connectTimeout: 30, socket }));
      assert.deepEqual([error.code, error.outcome], ["CONNECT_TIMEOUT", "not-sent"]);
      assert.match(error.message, /^stream to localhost:\d+ not opened by option socket after 30 ms$/);
      const late = toServer();
      give(late);
      await until(() => late.destroyed, "the late stream to be closed");
    });

    test("a stream of text, one that fails later, and one that never says that it has closed do no harm", async () => {
      const error = await failure(connection({ port: server.port, socket: () => toServer().setEncoding("utf8") }));
      assert.equal(error.code, "PROTOCOL");
      let stream!: Duplex;
      const quiet = (): Duplex => stream = Object.assign(new Tunnel(toServer()), { _destroy(_: unknown, done: () => void) {} });
      const db = await connection({ port: server.port, socket: quiet });
      stream.emit("error", new Error("late"));
      await until(() => db.ping().catch(() => false), "another stream");
      await db.disconnect();
      stream.emit("error", new Error("later"));
    });
  });

  test("one round trip brings protocol, user, password, name and database", async () => {
    let seen: string[][] = [];
    const scripted = await ScriptedServer.start(async (peer) => {
      seen = [await peer.hello(), await peer.read()];
      peer.write("+OK\r\n");
    });
    const db = await connection({ port: scripted.port, username: "u", password: "p", name: "n", dbid: 7 });
    assert.deepEqual(seen, [["HELLO", "3", "AUTH", "u", "p", "SETNAME", "n"], ["SELECT", "7"]]);
    await db.disconnect();
    await scripted.stop();
  });

  test("a server without HELLO is spoken to in RESP2, and the user does not notice", async () => {
    const old = await RedisServer.start({ args: ["--rename-command", "HELLO", "", "--requirepass", "secret"] });
    const db = await connection({ port: old.port, password: "secret", name: "modest", dbid: 2 });
    assert.match(await ownLine(db), isOld() ? / name=modest .* db=2 / : / name=modest .* db=2 .* resp=2/);
    await db.hset("h", { a: 1 });
    assert.deepEqual({ ...await db.hgetall("h") }, { a: "1" });
    await db.disconnect();
    assert.equal((await failure(connection({ port: old.port, password: "wrong" }))).code, "REFUSED");
    assert.equal((await failure(connection({ port: old.port }))).code, "REFUSED");
    await old.stop();
  });

  test("a password for a server that has none is accepted under both protocols, with and without a user name", async () => {
    for (const protocol of [2, 3] as const) {
      for (const login of [{ password: "needless" }, { username: "default", password: "needless" }]) {
        await withDb({ protocol, ...login }, async (db) => assert.equal(await db.ping(), "PONG"));
        await withDb({ protocol, credentials: () => login }, async (db) => assert.equal(await db.ping(), "PONG"));
      }
    }
    const old = await ScriptedServer.start(async (peer) => {
      for (;;) {
        const [name] = await peer.read();
        peer.write(name === "AUTH" ? "-ERR Client sent AUTH, but no password is set\r\n" : "+PONG\r\n");
      }
    });
    await withDb({ port: old.port, protocol: 2, password: "needless" }, async (db) => assert.equal(await db.ping(), "PONG"));
    await old.stop();
    await server.call("CONFIG", "SET", "requirepass", "secret");
    try {
      for (const protocol of [2, 3] as const) {
        const error = await failure(connection({ port: server.port, protocol, password: "wrong" }));
        assert.deepEqual([error.code, error.cause.code], ["REFUSED", "WRONGPASS"]);
      }
    } finally {
      await server.call("CONFIG", "SET", "requirepass", "");
    }
  });

  test("an empty password is none, as of an environment variable that is not set, and so is an empty user name", async () => {
    for (const protocol of [2, 3] as const) {
      for (const login of [{ password: "" }, { username: "", password: "" }, { username: "", password: "needless" }]) {
        await withDb({ protocol, ...login }, async (db) => assert.equal(await db.ping(), "PONG"));
        await withDb({ protocol, credentials: () => login }, async (db) => assert.equal(await db.ping(), "PONG"));
      }
    }
    const port = server.port;
    assert.throws(() => lazyConnection({ port, username: "ada", password: "" }), /option username needs a password/);
    const error = await failure(connection({ port, credentials: () => ({ username: "ada", password: "" }) }));
    assert.equal(error.code, "NO_CREDENTIALS");
    await withDb({ credentials: () => ({ password: "needless" }), password: "" }, async (db) => assert.equal(await db.ping(), "PONG"));
    await server.call("ACL", "SETUSER", "default", "resetpass", ">secret");
    try {
      const refused = await failure(connection({ port, password: "" }));
      assert.match(refused.message, /it requires a password/);
    } finally {
      await server.call("ACL", "SETUSER", "default", "nopass");
    }
  });

  test("credentials are asked for at every connect, also when they come later", async () => {
    await server.call("ACL", "SETUSER", "rotating", "on", ">first", "~*", "+@all");
    let password = "first";
    let asked = 0;
    const credentials = async () => {
      await sleep(5);
      asked++;
      return { username: "rotating", password };
    };
    await withDb({ credentials }, async (db) => {
      assert.equal(await db.aclWhoami(), "rotating");
      await server.call("ACL", "SETUSER", "rotating", "resetpass", ">second");
      password = "second";
      await server.call("CLIENT", "KILL", "USER", "rotating");
      assert.equal(await db.get("no such key"), null);
      assert.equal(await db.aclWhoami(), "rotating");
      assert.equal(asked, 2);
    });
    const error = await failure(connection({ port: server.port, credentials: () => { throw new Error("vault sealed"); } }));
    assert.deepEqual([error.code, error.outcome, error.cause.message], ["NO_CREDENTIALS", "not-sent", "vault sealed"]);
    await server.call("ACL", "DELUSER", "rotating");
  });

  describe("credentials that expire", () => {
    const LIFE = 60_000;
    // Virtual time passes faster than the server answers.
    const options = { pingInterval: Infinity, replyTimeout: Infinity, leaseTimeout: Infinity, connectTimeout: Infinity };
    let password = "0";
    let calls = 0;
    /** Gives a new password; from then on, only that and the last one work. */
    const credentials = async () => {
      calls++;
      const last = password === "0" ? [] : [`>${password}`];
      const renewed = String(Number(password) + 1);
      await server.call("ACL", "SETUSER", "expiring", "resetpass", `>${renewed}`, ...last, "on", "~*", "&*", "+@all");
      password = renewed;
      return { username: "expiring", password, expires: calls % 2 === 0 ? new Date(Date.now() + LIFE) : Date.now() + LIFE };
    };
    const logins = async (): Promise<number> =>
      Number(/cmdstat_auth:calls=(\d+)/.exec(await server.call("INFO", "commandstats"))?.[1] ?? 0);
    const clients = async (): Promise<string[]> => (await server.call("CLIENT", "LIST")).split("\n")
      .filter((line: string) => line.includes("user=expiring")).map((line: string) => line.split(" ")[0]!).sort();
    beforeEach(async () => {
      calls = 0;
      await server.call("CONFIG", "RESETSTAT");
    });
    after(() => server.call("ACL", "DELUSER", "expiring"));
    /** Lets time pass, and the server answer meanwhile, until so many logins have been renewed. */
    const renewed = (pass: Pass, count: number): Promise<boolean> => until(async () => {
      await pass(LIFE / 100);
      return await logins() >= count;
    }, `${count} logins`);

    test("open connections log in again on time, by one call for all, and no caller notices", () => inVirtualTime((pass) =>
      using(lazyConnectionPool({ port: server.port, poolsize: 3, credentials, ...options }), async (db) => {
        await db.ready();
        const before = await clients();
        calls = 0;
        await db.set("n", 0);
        for (let life = 1; life <= 2; life++) {
          const counted = Promise.all(Array.from({ length: 50 }, () => db.incr("n")));
          await renewed(pass, 3 * life);
          await counted;
        }
        assert.ok(calls >= 2 && calls <= 3, `${calls} calls`); // those opened at different times had different credentials
        assert.equal(await db.get("n"), "100");
        assert.deepEqual(await clients(), before);
      })));

    test("a command that blocks for ever is ended and sent again behind AUTH", () => inVirtualTime((pass) =>
      using(lazyConnectionPool({ port: server.port, poolsize: 2, credentials, ...options }), async (db) => {
        await db.ready();
        const before = await clients();
        await db.del("jobs");
        const job = db.blpop("jobs", 0);
        const blocked = async (): Promise<boolean> => (await server.call("INFO", "clients")).includes("blocked_clients:1");
        await until(blocked, "it to block");
        await renewed(pass, 2);
        await until(blocked, "it to block again");
        await db.rpush("jobs", "a");
        assert.deepEqual(await job, ["jobs", "a"]);
        assert.deepEqual(await clients(), before);
      })));

    test("in a transaction, AUTH waits for EXEC; a lease that has its own login keeps that", () => inVirtualTime((pass) =>
      using(lazyConnectionPool({ port: server.port, poolsize: 3, credentials, ...options }), async (db) => {
        await db.ready();
        await server.call("ACL", "SETUSER", "guest", "on", "nopass", "+@all", "~*");
        const t = await db.multi();
        const queued = t.set("k", 1);
        await db.lease(async (own) => {
          await own.auth("guest", "");
          await server.call("CONFIG", "RESETSTAT");
          for (let part = 0; part <= 80; part++) await pass(LIFE / 100).then(logins);
          assert.equal(await logins(), 1, "of the third connection only");
          assert.equal(await own.aclWhoami(), "guest");
        });
        await queued;
        t.get("k");
        assert.deepEqual(await t.commit(), ["OK", "1"]);
        await until(async () => await logins() === 2, "the login behind EXEC");
        await server.call("ACL", "DELUSER", "guest");
      })));

    test("a subscription under RESP3 stays; under RESP2, and with MONITOR, it moves to a new connection with a gap", () =>
      inVirtualTime((pass) => using(lazyConnectionPool({ port: server.port, poolsize: 1, credentials, ...options }), async (db) => {
        const old = lazyConnection({ port: server.port, protocol: 2, credentials, ...options });
        try {
          const [three, two, monitor] = await Promise.all([db.subscribe("news"), old.subscribe("news"), db.monitor()]);
          await server.call("CONFIG", "RESETSTAT");
          const gap = async (feed: AsyncIterator<{ gap?: number | undefined }>): Promise<boolean> => {
            for (;;) {
              const { value, done } = await feed.next();
              if (done) return false;
              if (value.gap !== undefined) return true;
            }
          };
          const gaps = [gap(two[Symbol.asyncIterator]()), gap(monitor)];
          await renewed(pass, 3); // of two handlers' connections and a subscription
          for (let i = 0; i < 20; i++) await pass(50); // rests before reconnecting
          assert.deepEqual(await Promise.all(gaps), [true, true]);
          await until(() => two.state === "listening" && monitor.state === "listening", "both to listen again");
          await server.call("PUBLISH", "news", "b");
          assert.equal((await three[Symbol.asyncIterator]().next()).value?.message, "b", "no gap before it");
          assert.equal((await two[Symbol.asyncIterator]().next()).value?.message, "b");
        } finally {
          old.destroy();
        }
      })));

    test("an `expires` that is over, or no time, is refused", async () => {
      for (const expires of [0, Date.now() - 1, Date.now() / 1_000, new Date(NaN), "tomorrow", null]) {
        const error = await failure(connection({ port: server.port, credentials: () => ({ password: "p", expires }) as any }));
        assert.deepEqual([error.code, error.cause.code], ["NO_CREDENTIALS", "INVALID_ARGUMENT"]);
        assert.match(error.cause.message, /`expires` must be a Date/);
      }
    });
  });

  test("a refused login rejects what waits, is not tried again in a hurry, and recovers when it is mended", async () => {
    await server.call("ACL", "SETUSER", "late", "on", ">right", "~*", "+@all");
    await server.call("ACL", "LOG", "RESET");
    await withDb({ username: "late", password: "hunter2" }, async (db) => {
      const error = await failure(db.get("a"));
      assert.deepEqual([error.code, error.outcome, error.cause.code], ["NOT_CONNECTED", "not-sent", "REFUSED"]);
      assert.doesNotMatch(inspect(error, { showHidden: true, depth: 9 }), /hunter2/);
      const [entry] = await server.call("ACL", "LOG");
      assert.equal(Number(entry[1]), 1, "one attempt so far");
      await server.call("ACL", "SETUSER", "late", ">hunter2");
      await until(() => db.get("a").then(() => true, () => false), "the login to be tried again");
    });
    await server.call("ACL", "DELUSER", "late");
  });

  test("nobody listening, no such socket and no such host reject at once, with what the system said", async () => {
    const port = await freePort();
    assert.match((await failure(connection({ port }))).message, new RegExp(`no connection to localhost:${port}: ECONNREFUSED`));
    assert.match((await failure(unixConnection("/nonexistent/redis.sock"))).message, /ENOENT/);
    const error = await failure(connection({ host: "no-such-host.invalid", connectTimeout: 2_000 }));
    assert.ok(["CONNECT_FAILED", "CONNECT_TIMEOUT"].includes(error.code), error.message);
  });

  test("a server that accepts and says nothing is given up after connectTimeout", async () => {
    const silent = await ScriptedServer.start(() => {});
    for (const options of [{}, { protocol: 2 as const }, { tls: true }, { credentials: () => new Promise<never>(() => {}) }]) {
      const error = await failure(connection({ port: silent.port, connectTimeout: 50, ...options }));
      assert.ok(error instanceof TimeoutError);
      assert.deepEqual([error.code, error.outcome], ["CONNECT_TIMEOUT", "not-sent"]);
    }
    await silent.stop();
  });

  test("a server that dies, stalls or talks nonsense at any byte of its greeting never gets a command", async () => {
    const greeting = "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n+OK\r\n";
    let at = 0;
    let extra = 0;
    let ending: "end" | "reset" | "stall" | "nonsense" = "end";
    const dying = await ScriptedServer.start(async (peer) => {
      await peer.read();
      peer.write(greeting.slice(0, at));
      if (ending === "end") peer.end();
      else if (ending === "reset") setImmediate(() => peer.reset());
      else if (ending === "nonsense") peer.write("\0\r\n".repeat(9));
      await peer.read(); // SELECT
      await peer.read().then(() => extra++, () => {});
    });
    for (ending of ["end", "reset", "stall", "nonsense"] as const) {
      for (at = 0; at < greeting.length; at += ending === "stall" ? 12 : 1) {
        const error = await failure(connection({ port: dying.port, dbid: 1, connectTimeout: ending === "stall" ? 20 : 1_000 }));
        assert.ok(error instanceof ConnectionError, `${ending} at ${at}: ${error}`);
        assert.equal(error.outcome, "not-sent");
      }
    }
    assert.equal(extra, 0);
    await dying.stop().catch(() => {});
  });

  test("a server that is loading is no refusal: it is asked again soon", async () => {
    let asked = 0;
    const loading = await ScriptedServer.start(async (peer) => {
      asked++;
      await peer.read();
      peer.write(asked < 3 ? "-LOADING Redis is loading the dataset in memory\r\n" : "+OK\r\n");
      for (;;) {
        await peer.read();
        peer.write("+PONG\r\n");
      }
    });
    const { now } = world;
    const still = now();
    world.now = () => still; // commands wait for attempts that come soon, however long this machine takes for them
    try {
      await withDb({ port: loading.port, protocol: 2 }, async (db) => assert.equal(await db.ping(), "PONG"));
    } finally {
      world.now = now;
      await loading.stop().catch(() => {});
    }
  });

  test("credentials that are none, and a host with something hidden in it, are refused", async () => {
    const error = await failure(connection({ port: server.port, credentials: () => ({}) as any }));
    assert.equal(error.code, "NO_CREDENTIALS");
    assert.throws(() => lazyConnection({ host: "localhost\0.evil.example" }), /option host/);
  });

  test("an error instead of any greeting reply is told as the server said it", async () => {
    for (const [hello, select, says] of [
      ["-ERR max number of clients reached\r\n", "", /max number of clients/],
      ["-DENIED Redis is running in protected mode\r\n", "", /DENIED/],
      ["%0\r\n", "-ERR DB index is out of range\r\n", /out of range/],
    ] as const) {
      const refusing = await ScriptedServer.start(async (peer) => {
        await peer.read();
        peer.write(`${hello}$0\r\n\r\n${select}`);
      });
      const error = await failure(connection({ port: refusing.port, dbid: 1, connectTimeout: 10_000 }));
      assert.equal(error.code, "REFUSED");
      assert.match(error.message, says);
      await refusing.stop();
    }
  });
});

describe("a connection", () => {
  test("writes all that is given in a tick at once: commands, pipelines, transactions and Buffers, each in its order", async () => {
    let writes = 0;
    await onSockets((socket) => onWrites(socket, (go) => {
      writes++;
      go();
    }), () => withDb({}, async (db) => {
      await db.del("ordered");
      const push = (i: number): Promise<unknown> =>
        i % 10 === 3 ? db.pipeline().rpush("ordered", i).execPipeline()
        : i % 10 === 5 ? db.pipeline().rpush("ordered", i).commit()
        : db.rpush("ordered", i % 10 === 7 ? Buffer.from(String(i).padStart(5_000)) : i);
      const hundred = Array.from({ length: 100 }, (_, i) => i);
      writes = 0;
      const lengths = await Promise.all(hundred.map((i) => db.rpush("ordered", i)));
      assert.equal(writes, 1);
      assert.deepEqual(lengths, hundred.map((i) => i + 1));
      await db.del("ordered");
      writes = 0;
      assert.deepEqual((await Promise.all(hundred.map(push))).flat(), hundred.map((i) => i + 1));
      assert.equal(writes, 1);
      assert.deepEqual((await db.lrange("ordered", 0, -1)).map(Number), hundred);
    }));
  });

  /** How many bytes of memory for Buffers `use` asks for, without what the tasks do that it gives to `uncounted`. */
  async function allocated(use: (uncounted: (task: () => void) => void) => Promise<unknown>): Promise<number> {
    const { allocUnsafeSlow, concat, from } = Buffer;
    let bytes = 0;
    const counting = (allocate: (...args: any[]) => Buffer) => (...args: any[]): Buffer => {
      const buffer = allocate.apply(Buffer, args);
      if (!(args[0] instanceof ArrayBuffer)) bytes += buffer.length; // or it is but a view
      return buffer;
    };
    try {
      Object.assign(Buffer, { allocUnsafeSlow: counting(allocUnsafeSlow), concat: counting(concat), from: counting(from) });
      await use((task) => {
        const before = bytes;
        task();
        bytes = before;
      });
      return bytes;
    } finally {
      Object.assign(Buffer, { allocUnsafeSlow, concat, from });
    }
  }

  test("a long reply is given as much memory as it has bytes, once; a text none but its own", () => withDb({}, async (db) => {
    await db.setrange("long", 2 ** 24 - 1, "x");
    const inBytes = await allocated(() => db.with({ charset: null }).get("long"));
    const first = 2 ** 20; // and grown once it is full
    assert.ok(inBytes >= 2 ** 24 && inBytes <= 2 ** 24 + first + 2 ** 16, `${inBytes}`);
    const asText = await allocated(() => db.get("long"));
    assert.ok(asText < 2 ** 16, `${asText}`);
  }));

  test("a socket that tells late that it has sent all is not waited for in vain", async () => {
    const before = getDefaultHighWaterMark(false);
    setDefaultHighWaterMark(false, 2 ** 20);
    const frozen = await RedisServer.start();
    try {
      await withDb({ port: frozen.port }, async (db) => {
        await db.ready();
        frozen.freeze();
        const values = Array.from({ length: 300 }, (_, i) => db.set("k", `${i}`.padEnd(50_000)));
        await sleep(200); // it fills up
        frozen.thaw();
        assert.deepEqual(new Set(await Promise.all(values)), new Set(["OK"]));
      });
    } finally {
      setDefaultHighWaterMark(false, before);
      await frozen.stop();
    }
  });

  test("what a closed connection had not sent is not kept", async () => {
    await using deaf = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      peer.socket.pause();
    });
    const program = `
      import { lazyConnection } from "${ours("redis")}";
      const open = (port) => lazyConnection({ port, reconnect: false }).ready();
      const use = async () => {
        const stalled = await open(${deaf.port});
        stalled.mset(...Array.from({ length: 20 }, (_, i) => i % 2 ? Buffer.alloc(2e7) : "k" + i)).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 100)); // the socket fills up
        stalled.destroy();
      };
      await use();
      const later = await open(${server.port}); // what an engine remembers of the last call is forgotten with the next
      await later.ping();
      later.destroy();
      let held = Infinity;
      for (let i = 0; i < 30 && held > 1e8; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        gc();
        held = process.memoryUsage().external;
      }
      console.log(held);`;
    const [, held] = await runProgram(program, "--expose-gc");
    assert.ok(Number(held) > 0 && Number(held) < 2e7, held);
  });

  test("texts are written in the same memory again and again, and big Buffers in none", async () => {
    const [text, bytes] = ["x".repeat(2 ** 20), Buffer.alloc(2 ** 20)];
    // Bun's sockets join what is written at once, in memory of their own.
    const use = (uncounted: (task: () => void) => void) => onSockets((socket) => onWrites(socket, uncounted), () =>
      withDb({}, async (db) => {
        for (let i = 0; i < 50; i++) await Promise.all([db.set("long", text), db.set("bytes", bytes), db.get("short")]);
      }));
    const written = await allocated(use);
    assert.ok(written < 4 * 2 ** 20, `${written}`);
  });

  test("a command in flight takes less than 550 bytes beside its data, promise and all", async () => {
    const program = `
      import { lazyConnection } from "${ours("redis")}";
      const db = await lazyConnection({ port: ${server.port} }).ready();
      await db.get("k");
      const alive = () => (gc(), process.memoryUsage().heapUsed);
      const before = alive();
      const pending = Array.from({ length: 50_000 }, () => db.get("k"));
      console.log((alive() - before) / pending.length);
      await Promise.all(pending);
      await db.disconnect();`;
    const [, bytes] = await runProgram(program, "--expose-gc");
    assert.ok(Number(bytes) > 100 && Number(bytes) < 550, bytes);
  });

  test("a million commands at once all come back", () => withDb({ replyTimeout: 600_000 }, async (db) => {
    let sum = 0;
    await db.set("million", 0);
    await Promise.all(Array.from({ length: 1_000_000 }, () => db.incr("million").then((n) => { sum += n; })));
    assert.equal(sum, 1_000_000 * 1_000_001 / 2);
  }));

  test("a frozen server makes every command time out, written or not, and no late reply reaches another", async () => {
    const frozen = await RedisServer.start();
    await withDb({ port: frozen.port, replyTimeout: 150 }, async (db) => {
      const patient = db.with({ replyTimeout: 30_000 });
      await patient.mset({ a: "A", b: "B" });
      frozen.freeze();
      const calls = [db.get("a"), db.set("a", "changed"), db.incr("n")];
      for (const call of calls) {
        const error = await failure(call);
        assert.ok(error instanceof ConnectionError, String(error));
        assert.ok(["REPLY_TIMEOUT", "CONNECTION_LOST"].includes(error.code));
        assert.equal(error.outcome, "unknown");
      }
      const error = await failure(db.get("b"));
      assert.ok(error instanceof TimeoutError && error.outcome !== undefined);
      frozen.thaw();
      await until(() => patient.get("b").then((value) => value === "B", () => false), "the server to answer again");
      assert.equal(await patient.get("b"), "B");
    });
    await frozen.stop();
  });

  test("a command that times out while others are answered keeps its place: nobody gets its reply", async () => {
    let goOn = () => {};
    const late = new Promise<void>((resolve) => { goOn = resolve; });
    await withScript(async (peer) => {
      assert.deepEqual(await peer.read(), ["GET", "slow"]);
      assert.deepEqual(await peer.read(), ["GET", "quick"]);
      peer.write("$4"); // the server is alive, but this reply takes its time
      await late;
      peer.write("\r\nslow\r\n$5\r\nquick\r\n");
      assert.deepEqual(await peer.read(), ["GET", "next"]);
      peer.write("$4\r\nnext\r\n");
    }, async (db) => {
      await db.ready();
      const slow = db.with({ replyTimeout: 40 }).get("slow");
      const quick = db.get("quick");
      assert.equal((await failure(slow)).code, "REPLY_TIMEOUT");
      goOn();
      assert.equal(await quick, "quick");
      assert.equal(await db.get("next"), "next");
    });
  });

  test("a short deadline of one call costs the others nothing", async () => {
    const frozen = await RedisServer.start();
    await withDb({ port: frozen.port, replyTimeout: 60_000 }, async (db) => {
      await db.set("n", 0);
      frozen.freeze();
      const others = [db.incr("n"), db.get("n")];
      assert.equal((await failure(db.with({ replyTimeout: 50 }).get("n"))).code, "REPLY_TIMEOUT");
      frozen.thaw();
      assert.deepEqual(await Promise.all(others), [1, "1"]);
    });
    await frozen.stop();
  });

  test("a stall of our own is not taken for the server's silence", () => withDb({ replyTimeout: 100 }, async (db) => {
    await db.with({ replyTimeout: 30_000 }).set("n", 0);
    const call = db.incr("n");
    await new Promise(setImmediate);
    for (const end = performance.now() + 600; performance.now() < end;);
    assert.equal(await call, 1);
  }));

  test("a stall before a command could be written, or before a connection was open, costs neither its time", () =>
    inVirtualTime(async (_, stall) => {
      const opening = connection({ port: server.port, connectTimeout: 100 });
      await stall(1_000);
      const db = await opening;
      await db.set("n", 0);
      const call = db.with({ replyTimeout: 100 }).incr("n");
      await stall(1_000);
      assert.equal(await call, 1);
      db.destroy();
    }));

  test("a shorter deadline behind a longer one is kept", () => withScript(async (peer) => {
    await peer.read();
    await peer.closed;
  }, async (db) => {
    const long = failure(db.with({ replyTimeout: 60_000 }).get("long"));
    assert.equal((await failure(db.with({ replyTimeout: 30 }).set("short", 1))).code, "REPLY_TIMEOUT");
    db.destroy();
    assert.equal((await long).code, "CLOSED");
  }));

  test("a breach of the protocol kills it: what is in flight is unknown, and nobody gets another's reply", async () => {
    let peers = 0;
    const breaching = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      if (++peers === 1) {
        await peer.read();
        await peer.read();
        await peer.read();
        peer.write("+OK\r\n@what is this\r\n+OK\r\n+OK\r\n");
      }
      for (;;) {
        await peer.read();
        peer.write("+AGAIN\r\n");
      }
    });
    await withDb({ port: breaching.port }, async (db) => {
      const [first, second, third] = await Promise.allSettled([db.set("a", 1), db.incr("b"), db.get("c")]);
      assert.deepEqual(first, { status: "fulfilled", value: "OK" });
      const error = (second as PromiseRejectedResult).reason;
      assert.deepEqual([error.code, error.outcome, error.command], ["PROTOCOL", "unknown", "INCR"]);
      assert.deepEqual(third, { status: "fulfilled", value: "AGAIN" }, "a read is issued again");
    });
    await breaching.stop();
  });

  test("a reply to nothing kills it, idle or busy, whole or cut", async () => {
    const unasked: ((peer: Peer) => Promise<void>)[] = [
      async (peer) => peer.write("+SURPRISE\r\n"),
      async (peer) => peer.write("$8\r\nSURP"),
      async (peer) => {
        await peer.read();
        peer.write("+ANSWER\r\n+SURPRISE\r\n");
      },
    ];
    for (const surprise of unasked) {
      let peers = 0;
      await withScript(async (peer) => {
        peers++;
        if (peer.id === 1) await surprise(peer);
        for (;;) {
          await peer.read();
          peer.write("+ANSWER\r\n");
        }
      }, async (db) => {
        await db.get("a").catch(() => {});
        await until(() => peers === 2, "another connection");
        assert.equal(await db.get("b"), "ANSWER");
      });
    }
  });

  test("one that carries commands and pushes gives pushes to all who share it, in bytes, and each reply to its caller",
    async () => {
    const { Pool, fixedAddress, readOptions, shared } = internals;
    const sharing = async (port: number, use: (ask: Connection["ask"], pushes: unknown[][]) => Promise<void>) => {
      const pushes: unknown[][] = [[], []];
      let tracked: Connection | undefined;
      const users = pushes.map((own): Hooks => ({
        carries: "both",
        prepare: async (connection) => {
          tracked = connection;
          if (own === pushes[0]) await connection.ask(commands.clientTracking, "ON");
        },
        pushed: (push) => own.push(push),
      }));
      const options = readOptions({ port, poolsize: 1 });
      const pool = new Pool(fixedAddress(options), options, shared(...users));
      try {
        await pool.ready();
        await use((row, ...args) => tracked!.ask(row, ...args), pushes);
        assert.deepEqual(pushes[0], pushes[1]);
      } finally {
        pool.destroy();
      }
    };
    const key = Buffer.from([0xff, 0x0d, 0x0a, 0xfe]);
    const invalidated = [Buffer.from("invalidate"), [key]];
    await sharing(server.port, async (ask, pushes) => {
      const replies = await Promise.all(Array.from({ length: 30 }, (_, i) => [
        ask(commands.set, key, i), ask(commands.get, key), ask(commands.echo, `é ${i}`),
      ]).flat());
      assert.deepEqual(replies, Array.from({ length: 30 }, (_, i) => ["OK", String(i), `é ${i}`]).flat());
      assert.deepEqual(pushes[0], Array(29).fill(invalidated), "one for each time that it had been read before");
      await withDb({}, (other) => other.set(key, "by another"));
      await until(() => pushes[1]!.length === 30, "it, while nothing is in flight");
      await server.call("FLUSHALL");
      await until(() => pushes[1]!.length === 31, "that all keys are invalid");
      assert.deepEqual(pushes[0]![30], [Buffer.from("invalidate"), null]);
    });
    const push = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$4\r\n\xff\r\n\xfe\r\n";
    const cut = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      for (const bytes of [`${push}+OK\r\n${push}`, `$2\r\nab\r\n${push}`]) {
        await peer.read();
        peer.write(Buffer.from(bytes, "latin1"));
      }
      await peer.read();
      peer.write("+OK\r\n+SURPRISE\r\n");
      await peer.closed;
    });
    const { connect } = world;
    world.connect = (config, receive) => connect(config, (chunk) => {
      for (const byte of Buffer.from(chunk)) receive(Buffer.from([byte]));
    });
    try {
      await sharing(cut.port, async (ask, pushes) => {
        assert.equal(await ask(commands.get, "k"), "ab");
        await until(() => pushes[0]!.length === 3, "the last of them");
        assert.deepEqual(pushes[0], Array(3).fill(invalidated));
        assert.equal(await ask(commands.get, "k"), "OK");
        await until(() => cut.connections === 2, "a reply to nothing to be a breach here, too");
      });
    } finally {
      world.connect = connect;
      await cut.stop();
    }
  });

  test("pushes between replies are no replies", () => withScript(async (peer) => {
    await peer.read();
    await peer.read();
    peer.write(">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n$1\r\na\r\n>1\r\n+unheard-of\r\n$1\r\nb\r\n>3\r\n+message\r\n+c\r\n+m\r\n");
  }, async (db) => {
    assert.deepEqual(await Promise.all([db.get("a"), db.get("b")]), ["a", "b"]);
  }));

  test("big values wait for a server that reads slowly, and stay not-sent until they are written", () =>
    withScript(async (peer) => {
      peer.socket.pause();
      await peer.closed;
    }, async (db) => {
      await db.ready();
      const value = Buffer.alloc(2 ** 20);
      const calls = Array.from({ length: 48 }, () => failure(db.set("k", value)));
      await sleep(20);
      db.destroy();
      const outcomes = (await Promise.all(calls)).map(({ outcome }) => outcome);
      assert.ok(outcomes.filter((outcome) => outcome === "not-sent").length > 20, outcomes.join());
    }));

  test("more than maxPending or maxUnsent is rejected at once, and what was accepted succeeds", async () => {
    await withDb({ maxPending: 100 }, async (db) => {
      await db.ping();
      const results = await Promise.allSettled(Array.from({ length: 150 }, () => db.incr("capped")));
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 100);
      const { reason } = results[149] as PromiseRejectedResult;
      assert.deepEqual([reason.code, reason.outcome], ["OVERLOADED", "not-sent"]);
      assert.equal(await db.get("capped"), "100");
    });
    await withDb({ maxPending: 10, replyTimeout: 30 }, async (db) => {
      await db.with({ replyTimeout: 5_000 }).ping();
      const popped = failure(db.with({ replyTimeout: 60_000 }).blpop("nothing", 0));
      for (let round = 0; round < 3; round++) {
        const codes = await Promise.all(Array.from({ length: 10 }, async () => (await failure(db.get("a"))).code));
        assert.deepEqual(new Set(codes), new Set(["REPLY_TIMEOUT"]), "those that timed out are pending no more");
      }
      db.destroy();
      await popped;
    });
    await withDb({ maxUnsent: 10_000 }, async (db) => {
      await db.ping();
      const results = await Promise.allSettled(Array.from({ length: 20 }, () => db.set("capped", "x".repeat(1000))));
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 10);
    });
    await withDb({ port: await freePort(), maxPending: 2 }, async (db) => {
      const codes = await Promise.all([1, 2, 3].map(async () => (await failure(db.ping())).code));
      assert.deepEqual(codes, ["NOT_CONNECTED", "NOT_CONNECTED", "OVERLOADED"]);
    });
  });
});

// ==== 7. Pool ====

describe("reconnecting", () => {
  test("is silent: the next command after a lost connection succeeds, with user, database and name as before", async () => {
    await withDb({ dbid: 5, name: "restored" }, async (db) => {
      await db.set("kept", 1);
      for (let i = 0; i < 10; i++) {
        await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        assert.equal(await db.get("kept"), "1");
        assert.match(await ownLine(db), isOld() ? / name=restored .* db=5 / : / name=restored .* db=5 .* resp=3/);
      }
      assert.equal(await db.get("kept"), "1");
      await db.flushdb();
    });
  });

  test("a read caught in a dropped connection is issued once more; a write is not, and says so", async () => {
    const seen: string[] = [];
    const dropping = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      for (;;) {
        const [name] = await peer.read();
        seen.push(`${peer.id} ${name}`);
        if (peer.id > 1) peer.write("+ANSWER\r\n");
        else if (name === "SET") return peer.reset();
      }
    });
    await withDb({ port: dropping.port }, async (db) => {
      const [read, written] = await Promise.allSettled([db.get("a"), db.set("b", 1)]);
      assert.deepEqual(read, { status: "fulfilled", value: "ANSWER" });
      const { code, outcome, command } = (written as PromiseRejectedResult).reason;
      assert.deepEqual({ code, outcome, command }, { code: "CONNECTION_LOST", outcome: "unknown", command: "SET" });
    });
    assert.deepEqual(seen, ["1 GET", "1 SET", "2 GET"]);
    await dropping.stop();
  });

  test("a read is issued again up to five times, however soon its connections die, and then rejected", async () => {
    let reads = 0;
    let deaths = 5;
    const dropping = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      for (; ; peer.write("+at last\r\n")) {
        await peer.read();
        reads++;
        if (deaths-- > 0) return peer.end();
      }
    });
    await withDb({ port: dropping.port }, async (db) => {
      assert.equal(await db.get("a"), "at last");
      deaths = Infinity;
      const error = await failure(db.get("a"));
      assert.deepEqual([error.code, error.outcome], ["CONNECTION_LOST", "unknown"]);
      assert.equal(reads, 6 + 6);
    });
    await dropping.stop();
  });

  test("a lost write is fenced when the server that it was sent to has said so, and not by another at the same address", async () => {
    for (const [laddr, id, isSame] of [
      ["10.0.0.1:6379", 9, true], // the same server: it has counted on
      ["10.0.0.2:6379", 9, false], // another one behind the same name
      ["10.0.0.1:6379", 3, false], // another one that has taken over the address: it counts for itself
    ] as const) {
      let kills = 0;
      const away = await ScriptedServer.start((peer) => {
        const identity = peer.id === 1 ? `id=5 addr=1.1.1.1:1 laddr=10.0.0.1:6379` : `id=${id} addr=1.1.1.1:2 laddr=${laddr}`;
        let seen = "";
        peer.socket.on("data", (bytes: Buffer) => {
          seen += bytes.toString();
          for (let at = seen.indexOf("\r\n*", 1); seen !== ""; at = seen.indexOf("\r\n*", 1)) {
            const command = at < 0 ? seen : seen.slice(0, at + 2);
            seen = seen.slice(command.length);
            if (command.includes("HELLO")) peer.write("%0\r\n");
            else if (command.includes("INFO")) peer.write(`$${identity.length}\r\n${identity}\r\n`);
            else if (command.includes("INCR")) peer.reset();
            else if (command.includes("KILL")) kills++, peer.write(":0\r\n");
            else peer.write("+PONG\r\n");
          }
        });
      });
      await withDb({ port: away.port }, async (db) => {
        const error = await failure(db.incr("n"));
        assert.deepEqual([error.code, error.outcome], ["CONNECTION_LOST", "unknown"]);
        assert.equal(await db.ping(), "PONG");
        assert.deepEqual([error.fenced, kills], [isSame, isSame ? 1 : 0], `${laddr}, id ${id}`);
      });
      await away.stop();
    }
  });

  /** Gives `use` a port of `server` whose connections are reset in place of each reply that is lost. */
  async function withLosses(use: (port: number, lose: (name: string, times: number) => void) => Promise<void>): Promise<void> {
    const proxy = await Proxy.start({ host: server.host, port: server.port });
    const losses = new Map<string, number>();
    proxy.onReply = ({ words: [name = ""] }) => {
      const left = losses.get(name) ?? 0;
      losses.set(name, left - 1);
      return left > 0 ? "rst" : "pass";
    };
    await use(proxy.port, (name, times) => losses.set(name, times)).finally(() => proxy.stop());
  }

  test("an idempotent view's writes whose reply is lost are issued again, single, in pipelines and in transactions", () =>
    withLosses((port, lose) => withDb({ port }, async (db) => {
      const again = db.with({ idempotent: true });
      await db.del("n", "m", "l");
      lose("INCR", 1);
      const error = await failure(db.incr("n"));
      assert.deepEqual([error.code, error.outcome], ["CONNECTION_LOST", "unknown"], "never by default");
      lose("INCR", 3);
      assert.equal(await again.incr("n"), 1 + 4);
      lose("EVAL", 1);
      assert.equal(await again.eval("return redis.call('INCR', KEYS[1])", 1, "n"), 7);
      lose("INCR", 1);
      const piped = again.pipeline().incr("m").rpush("l", "a").get("n").rpush("l", "b").execPipeline();
      assert.deepEqual(await piped, [2, 3, "7", 4], "nothing of it had been answered");
      await db.del("m", "l");
      lose("RPUSH", 1);
      assert.deepEqual(await again.pipeline().incr("m").rpush("l", "a").rpush("l", "b").execPipeline(), [1, 3, 4],
        "what has been answered is not issued again");
      lose("EXEC", 2);
      assert.deepEqual(await again.pipeline().incr("m").incr("m").commit(), [6, 7], "all of it, or none");
    })));

  test("an idempotent view's writes are issued again on each shard", () => withLosses(async (port, lose) => {
    const hosts = [`127.0.0.1:${port}`, { port: server.port, dbid: 1 }];
    await using(lazyShardedConnection(hosts), async (db) => {
      const names = Array.from({ length: 20 }, (_, i) => `s:${i}`);
      const values = Object.fromEntries(names.map((name) => [name, 1]));
      lose("MSET", 1);
      assert.equal((await failure(db.mset(values))).outcome, "unknown");
      lose("MSET", 2);
      assert.equal(await db.with({ idempotent: true }).mset(values), "OK");
      assert.equal(await db.del(names), 20);
    });
  }));

  test("an idempotent view's write is issued again up to five times, and never after its deadline", () =>
    withLosses((port, lose) => withDb({ port }, async (db) => {
      const again = db.with({ idempotent: true });
      await db.del("n");
      lose("INCR", Infinity);
      const error = await failure(again.incr("n"));
      assert.deepEqual([error.code, error.outcome, error.command], ["CONNECTION_LOST", "unknown", "INCR"]);
      assert.equal(await db.get("n"), "6");
      await server.call("CLIENT", "PAUSE", "300", "ALL");
      const late = await failure(again.with({ replyTimeout: 50 }).set("n", "late"));
      assert.deepEqual([late.code, late.outcome], ["REPLY_TIMEOUT", "unknown"]);
    })));

  test("what fails the second time is of unknown outcome: the first time may have done it", () =>
    withLosses((port, lose) => withDb({ port }, async (db) => {
      const again = db.with({ idempotent: true });
      await db.set("from", "x");
      lose("RENAME", 1);
      const error = await failure(again.rename("from", "to"));
      assert.deepEqual([error.code, error.outcome], ["ERR", "unknown"]);
      await db.set("from", "x");
      lose("RENAME", 1);
      const [piped] = await again.pipeline().rename("from", "to").execPipeline({ errors: "return" }) as [RedisError];
      assert.deepEqual([piped.code, piped.outcome], ["ERR", "unknown"]);
      const { code, outcome } = await failure(again.rename("from", "to"));
      assert.deepEqual([code, outcome], ["ERR", "not-executed"], "the first time is as ever");
    })));

  test("blocking commands, messages and transactions that look first are never issued again, whatever the view says", () =>
    withLosses((port, lose) => using(lazyConnectionPool({ port, poolsize: 2 }), async (db) => {
      const again = db.with({ idempotent: true });
      await db.del("q", "n");
      await db.rpush("q", "a", "b", "c");
      lose("BLPOP", 1);
      assert.equal((await failure(again.blpop("q", 1))).outcome, "unknown");
      assert.deepEqual(await db.lrange("q"), ["b", "c"]);
      for (const calls of [() => again.publish("c", "m"), () => again.pipeline().publish("c", "m").execPipeline()]) {
        lose("PUBLISH", 1);
        assert.equal((await failure(calls())).outcome, "unknown");
      }
      lose("EXEC", 1);
      const change = await (await again.watch("n")).multi();
      void change.incr("n");
      assert.equal((await failure(change.commit())).outcome, "unknown");
      assert.equal(await db.get("n"), "1");
    })));

  test("an idempotent write is issued again behind the fence or, where none is needed, at once", async () => {
    for (const [laddr, id, seen] of [
      ["10.0.0.1:6379", 9, ["1 SET", "2 KILL", "2 SET"]], // the same server: it has counted on
      ["10.0.0.2:6379", 9, ["1 SET", "2 SET"]], // another one
      ["10.0.0.1:6379", 3, ["1 SET", "2 SET"]], // it was started again: the old connection has ended
    ] as const) {
      const commands: string[] = [];
      const away = await ScriptedServer.start((peer) => {
        const identity = peer.id === 1 ? "id=5 addr=1.1.1.1:1 laddr=10.0.0.1:6379" : `id=${id} addr=1.1.1.1:2 laddr=${laddr}`;
        peer.socket.on("data", (bytes: Buffer) => {
          for (const command of bytes.toString().split("\r\n*")) {
            const name = ["HELLO", "INFO", "KILL", "SET\r\n"].find((word) => command.includes(word))!.trim();
            if (name === "KILL" || name === "SET") commands.push(`${peer.id} ${name}`);
            if (name === "HELLO") peer.write("%0\r\n");
            else if (name === "INFO") peer.write(`$${identity.length}\r\n${identity}\r\n`);
            else if (name === "KILL") peer.write(":1\r\n");
            else if (peer.id === 1) return peer.reset();
            else peer.write("+OK\r\n");
          }
        });
      });
      await withDb({ port: away.port }, async (db) => {
        assert.equal(await db.with({ idempotent: true }).set("k", "v"), "OK");
        assert.deepEqual(commands, seen, `${laddr}, id ${id}`);
      });
      await away.stop();
    }
  });

  test("replies and errors settle in the order of the commands", () => withDb({}, async (db) => {
    await db.set("text", "x");
    const order: string[] = [];
    await Promise.all([0, 1, 2].flatMap((i) => [
      db.lpush("text", "y").catch(() => order.push(`error ${i}`)), db.get("text").then(() => order.push(`reply ${i}`)),
    ]));
    assert.deepEqual(order, ["error 0", "reply 0", "error 1", "reply 1", "error 2", "reply 2"]);
  }));

  test("a connection that has answered in the tick of a slow command is not silent: others stay on it", async () => {
    let release = () => {};
    await withScript(async (peer) => {
      for (;;) {
        const [, key] = await peer.read();
        if (key === "quick") peer.write("$1\r\na\r\n");
        else if (key === "beside") release = () => peer.write(":1\r\n:2\r\n");
      }
    }, async (db) => {
      const patient = db.with({ replyTimeout: 30_000 });
      for (let round = 0; round < 5; round++) {
        const [quick, slow] = [patient.get("quick"), failure(db.incr("slow"))];
        assert.equal(await quick, "a");
        const beside = patient.incr("beside");
        assert.equal((await slow).code, "REPLY_TIMEOUT");
        release();
        assert.equal(await beside, 2);
      }
    }, { replyTimeout: 100 });
  });

  test("a read whose reply breaches the protocol is not issued again: the next would too", () => withScript(async (peer) => {
    const [, key] = await peer.read();
    peer.write(key === "broken" ? "@\r\n" : "+whole\r\n");
  }, async (db) => {
    const [broken, whole] = await Promise.allSettled([db.get("broken"), db.get("whole")]);
    assert.equal((broken as PromiseRejectedResult).reason.code, "PROTOCOL");
    assert.deepEqual(whole, { status: "fulfilled", value: "whole" });
  }));

  test("no increment is lost or doubled while connections are killed", () => withDb({}, async (db) => {
    await db.del("counted");
    let acknowledged = 0;
    let unknown = 0;
    let kills: Promise<unknown> = Promise.resolve();
    await Promise.all(Array.from({ length: 32 }, async (_, caller) => {
      for (let i = 0; i < 150; i++) {
        const isFatal = (32 * i + caller) % 150 === 149;
        if (isFatal) kills = kills.then(() => server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"));
        try {
          await db.incr("counted");
          acknowledged++;
        } catch (error: any) {
          assert.ok(error instanceof ConnectionError, String(error));
          assert.notEqual(error.outcome, "not-executed");
          if (error.outcome === "unknown") unknown++;
        }
        await sleep(1);
      }
    }));
    await kills;
    const count = Number(await server.call("GET", "counted"));
    assert.ok(count >= acknowledged && count <= acknowledged + unknown, `${acknowledged} <= ${count} <= ${acknowledged} + ${unknown}`);
    assert.ok(unknown < 32 * 150 / 2 && acknowledged > 500, `${acknowledged} acknowledged`);
  }));

  test("a server that is down fails commands fast, and is found again when it is back", async () => {
    const mortal = await RedisServer.start({ aof: true });
    await withDb({ port: mortal.port }, async (db) => {
      await db.set("survives", 1);
      await mortal.kill();
      const first = await failure(db.get("survives"));
      assert.deepEqual([first.code, first.outcome, first.cause.code], ["NOT_CONNECTED", "not-sent", "CONNECT_FAILED"]);
      // While it rests between attempts, a thousand commands fail in less time than one attempt's rest.
      const errors = await Promise.all(Array.from({ length: 1000 }, () => failure(db.get("survives"))));
      assert.ok(errors.every(({ outcome }) => outcome === "not-sent"));
      await mortal.restart();
      await until(() => db.get("survives").then((value) => value === "1", () => false), "the server to be found again");
    });
    await mortal.stop();
  });

  test("a loop of calls that fail at once starves nothing: timers fire, and the connection is found again", async () => {
    const port = await freePort();
    const loops: [what: string, options: Options, call: (db: Handler) => unknown][] = [
      ["a command", {}, (db) => db.get("a")], ["a blocking command", {}, (db) => db.blpop("q", 1)],
      ["a pipeline", {}, (db) => db.pipeline().get("a").execPipeline()], ["a transaction", {}, (db) => db.multi()],
      ["consume()", {}, (db) => db.consume("s", { group: "g", consumer: "c", create: "0" }).next()],
      ["ready()", {}, (db) => db.ready()], ["a subscription", {}, (db) => db.subscribe("a")],
      ["a blocking command", { reconnect: false }, (db) => db.blpop("q", 1)],
      ["an aborted call", {}, (db) => db.with({ signal: AbortSignal.abort() }).get("a")],
      ["an aborted transaction", {}, (db) => db.with({ signal: AbortSignal.abort() }).multi()],
      ["an aborted pipeline", {}, (db) => db.with({ signal: AbortSignal.abort() }).pipeline().get("a").execPipeline()],
      ["a call with a wrong argument", {}, (db) => db.get(null as any)],
    ];
    for (const closed of [false, true]) {
      for (const [what, options, call] of loops) {
        await withDb({ port, ...options }, async (db) => {
          await failure(db.ping());
          if (closed) db.destroy();
          let fired = false;
          setTimeout(() => { fired = true; }, 1);
          for (let rounds = 0; !fired; rounds++) {
            await failure(call(db));
            if (rounds > 1_000_000) assert.fail(`${what}: no timer fires`);
          }
        });
      }
    }
    await withDb({ port }, async (db) => {
      let answer: unknown;
      const worker = (async () => {
        while (answer === undefined) answer = await db.with({ replyTimeout: 5_000 }).echo("here").catch(() => undefined);
      })();
      await failure(db.ping());
      const late = await ScriptedServer.start(async (peer) => {
        await peer.hello();
        await peer.read();
        peer.write("$4\r\nhere\r\n");
      }, { port });
      await worker;
      await late.stop();
    });
  });

  test("a blocking command waits for the next attempt, and is answered if that succeeds: a worker's loop rests", async () => {
    const port = await freePort();
    let failed = 0;
    const { connect } = world;
    world.connect = (...how) => connect(...how).once("error", () => failed++);
    try {
      await withDb({ port }, async (db) => {
        await until(() => inspect(db).includes("1 resting") && failure(db.ping()), "the server to be down");
        const before = failed;
        for (let i = 0; i < 4; i++) {
          const popped = failure(db.blpop("q", 0));
          for (let j = 0; j < 3; j++) assert.equal((await failure(db.ping())).code, "NOT_CONNECTED"); // beside it
          const { code, outcome } = await popped;
          assert.deepEqual([code, outcome], ["NOT_CONNECTED", "not-sent"]);
        }
        assert.ok(failed - before >= 3, "each but the first, for which one may just have failed, waited for an attempt");
      });
    } finally {
      world.connect = connect;
    }
  });

  test("a million calls that fail at once do not take a turn each", () => withDb({ maxPending: 1, replyTimeout: Infinity }, async (db) => {
    const popped = failure(db.blpop("no list", 0));
    await blocked(1);
    let turns = 0;
    let counting = true;
    const count = (): void => void (turns++, counting && setImmediate(count));
    const waits = failure(db.get("a"));
    setImmediate(count);
    const codes = await Promise.all(Array.from({ length: 1_000_000 }, () => db.get("a").catch(({ code }) => code)));
    counting = false;
    assert.ok(codes.every((code) => code === "OVERLOADED") && turns < 100, `${turns} turns`);
    db.destroy();
    await Promise.all([popped, waits]);
  }));

  test("a server that is back in a moment is not missed: commands wait for the attempts that come soon", async () => {
    const { now } = world;
    const still = now();
    world.now = () => still; // however long this machine takes, the moment is not over
    try {
      const port = await freePort();
      await withDb({ port }, async (db) => {
        const early = db.get("a");
        await sleep(20);
        const late = await ScriptedServer.start(async (peer) => {
          await peer.hello();
          await peer.read();
          peer.write("+HERE\r\n");
        }, { port });
        assert.equal(await early, "HERE");
        await late.stop();
      });
    } finally {
      world.now = now;
    }
  });

  test("a command that has waited until its deadline says which step of connecting the server has not answered", async () => {
    const silent = await ScriptedServer.start(() => {});
    const { port } = silent;
    const never = () => new Promise<never>(() => {});
    const waits = (db: Handler, step: string) => using(db.with({ replyTimeout: 20 }), () => until(async () => {
      const error = await failure(db.set("k", "v"));
      assert.deepEqual([error.code, error.outcome, error.unavailable], ["REPLY_TIMEOUT", "not-sent", true], String(error));
      return new RegExp(`^SET: not sent within 20 ms: ${step} after \\d+ ms$`).test(error.message);
    }, step));
    const to = (options: Options) => lazyConnection({ replyTimeout: 20, port, ...options }) as Handler;
    await waits(to({}), `HELLO to localhost:${port} unanswered`);
    await waits(to({ protocol: 2, password: "a" }), `AUTH to localhost:${port} unanswered`);
    await waits(to({ tls: true }), `TLS handshake with localhost:${port} unanswered`);
    await waits(to({ credentials: never }), `credentials for localhost:${port} not known`);
    const options = internals.readOptions({ replyTimeout: 20, poolsize: 1 });
    const unknown = { ...internals.fixedAddress(options), name: "mymaster", next: never };
    await waits(internals.handlerAt(unknown, options), "address of mymaster not known");
    const { connect } = world;
    world.connect = () => new Socket(); // as when nobody answers, whatever this machine's network does
    try {
      await waits(to({ host: "10.0.0.1", port: 6379 }), "still connecting to 10.0.0.1:6379");
      const timeout = await failure(connection({ host: "10.0.0.1", connectTimeout: 20 }));
      assert.equal(timeout.message, "still connecting to 10.0.0.1:6379 after 20 ms");
    } finally {
      world.connect = connect;
    }
    await silent.stop();
    const error = await failure(using(to({}), (db) => db.ping()));
    assert.match(error.message, new RegExp(`no connection to localhost:${port}: ECONNREFUSED`));
  });

  test("a command that has waited until its deadline says that all connections are lent, and to what", async () => {
    await withDb({}, async (db) => {
      await db.ready();
      const popped = failure(db.blpop("nobody", 0));
      const { message } = await failure(db.with({ replyTimeout: 60 }).ping());
      assert.equal(message, "PING: not sent within 60 ms: its only connection is lent to blocking commands, transactions or leases "
        + "(BLPOP); use a pool");
      db.destroy();
      await popped;
    });
    await using(lazyConnectionPool({ port: server.port, poolsize: 3 }), async (db) => {
      await db.ready();
      const popped = failure(db.blpop("nobody", 0));
      await Promise.all([db.watch("a"), db.multi()]);
      const { message } = await failure(db.with({ replyTimeout: 60 }).ping());
      assert.equal(message, "PING: not sent within 60 ms: 3 of 3 connections are lent to blocking commands, transactions or leases "
        + "(BLPOP, WATCH, MULTI); raise poolsize");
      db.destroy();
      await popped;
    });
  });

  test("a command that was held back until its deadline says what the server said to the others", async () => {
    for (const says of ["LOADING Redis is loading the dataset in memory", "READONLY You can't write against a read only replica."]) {
      await withScript(async (peer) => {
        for (;;) {
          const [name] = await peer.read();
          if (name === "SET") peer.write(`-${says}\r\n`);
        }
      }, async (db) => {
        const probe = failure(db.with({ replyTimeout: 60_000 }).set("probe", 1));
        const held = `INCR: not sent within 20 ms: held back, because the server says: ${says}`;
        await until(async () => (await failure(db.with({ replyTimeout: 20 }).incr("held"))).message === held, held);
        db.destroy();
        await probe;
      });
    }
  });

  test("what answers in the place of a Redis server is named: HTTP, SSH, TLS, whole or byte by byte", async () => {
    const web = createWebServer().listen(0, "127.0.0.1");
    await once(web, "listening");
    const { port } = web.address() as AddressInfo;
    const error = await failure(connection({ port }));
    assert.deepEqual([error.code, error.outcome, error.unavailable], ["PROTOCOL", "not-sent", true]);
    assert.equal(error.message, `what answers at localhost:${port} speaks HTTP`);
    web.close();
    for (const [bytes, says] of [
      ["HTTP/1.1 400 Bad Request\r\n\r\n", /speaks HTTP$/], ["SSH-2.0-OpenSSH_9.6\r\n", /speaks SSH$/],
      ["\x15\x03\x01\0\x02\x02\x46", /speaks TLS; set option tls, or write rediss:$/], ["@", /broke the protocol/],
    ] as const) {
      for (const size of [bytes.length, 1]) {
        const other = await ScriptedServer.start(async (peer) => {
          for (let at = 0; at < bytes.length; at += size) {
            peer.write(Buffer.from(bytes.slice(at, at + size), "latin1"));
            await new Promise((resolve) => setImmediate(resolve));
          }
        });
        assert.match((await failure(connection({ port: other.port }))).message, says);
        await other.stop();
      }
    }
  });

  test("the rests between attempts grow, with full jitter, and are bounded", async () => {
    const rests: number[] = [];
    const { after, random } = world;
    world.random = () => 0.999;
    world.after = (delay, task) => {
      rests.push(delay);
      return after(delay > 66_000 ? delay : delay > 1_000 ? 1 : Math.min(delay, 20), task); // time limits stay
    };
    try {
      const port = await freePort();
      const db = lazyConnection({ port, pingInterval: Infinity, connectTimeout: 77_777, replyTimeout: 66_666 });
      await until(() => rests.filter((rest) => rest < 66_000).length > 12, "twelve rests");
      db.destroy();
    } finally {
      Object.assign(world, { after, random });
    }
    const grown = rests.filter((rest) => rest < 66_000).map((rest) => Math.round(rest));
    assert.deepEqual(grown.slice(0, 10), [51, 101, 201, 401, 800, 1599, 2499, 2499, 2499, 2499]);
  });

  test("a server that dies after each greeting is met with growing rests", async () => {
    const rests: number[] = [];
    const { after, random } = world;
    world.random = () => 0.999;
    world.after = (delay, task) => {
      rests.push(delay);
      return after(delay > 66_000 ? delay : Math.min(delay, 5), task); // time limits stay
    };
    const dying = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      peer.end();
    });
    const options = { port: dying.port, pingInterval: Infinity, connectTimeout: 77_777, replyTimeout: 66_666 };
    const db = lazyConnection(options);
    try {
      await until(() => rests.some((rest) => rest > 2_000 && rest < 66_000), "a long rest");
    } finally {
      Object.assign(world, { after, random });
      db.destroy();
      await dying.stop().catch(() => {});
    }
  });

  test("reconnect: false stays down, and says so", async () => {
    const mortal = await RedisServer.start();
    await withDb({ port: mortal.port, reconnect: false }, async (db) => {
      assert.equal(await db.ping(), "PONG");
      await mortal.restart();
      assert.equal((await failure(db.ping())).code, "NOT_CONNECTED");
      assert.equal((await failure(db.ping())).outcome, "not-sent");
    });
    await mortal.stop();
  });

  test("a silent idle connection is asked whether it lives, and replaced if not; a busy one is not asked", async () => {
    let pings = 0;
    const deaf = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      for (;;) {
        const [name] = await peer.read();
        if (name === "PING") pings++;
        if (name === "PING" && peer.id === 1) continue;
        peer.write("+PONG\r\n");
      }
    });
    await withDb({ port: deaf.port, pingInterval: 30, replyTimeout: 60 }, async () => {
      await until(() => deaf.peers.length >= 2, "a second connection");
    });
    assert.ok(pings >= 1);
    await deaf.stop();
    await inVirtualTime((pass) => withDb({ pingInterval: 1_000 }, async (db) => {
      await db.ready();
      await server.call("CONFIG", "RESETSTAT");
      for (let i = 0; i < 30; i++) {
        await db.get("busy");
        await pass(700);
      }
      assert.doesNotMatch(await server.call("INFO", "commandstats"), /cmdstat_ping/);
      await pass(1_000);
      await until(async () => /cmdstat_ping/.test(await server.call("INFO", "commandstats")), "an idle one to be asked");
    }));
  });

  test("a silent connection that takes no more bytes is replaced, too", () => withScript(async (peer) => {
    await peer.read();
    if (peer.id === 1) peer.socket.pause();
    peer.write("+PONG\r\n");
  }, async (db) => {
    await db.ready();
    const [, held] = await Promise.all([db.ping(), failure(db.set("k", Buffer.alloc(2 ** 26)))]);
    const waited = await failure(db.ping()); // behind what is left of the value
    assert.deepEqual([held.code, waited.code], ["REPLY_TIMEOUT", "REPLY_TIMEOUT"]);
    assert.equal(await db.with({ replyTimeout: 30_000 }).ping(), "PONG");
  }, { replyTimeout: 2_000 }));
});

describe("a blocking command", () => {
  test("has the connection to itself; others wait and are served in order", () => withDb({}, async (db) => {
    const popped = db.blpop("queue", 5);
    const [first, second] = [db.set("waited", 1), db.incr("waited")];
    await until(async () => /blocked_clients:1/.test(await server.call("INFO", "clients")), "the pop to block");
    await server.call("RPUSH", "queue", "element");
    assert.deepEqual(await popped, ["queue", "element"]);
    assert.deepEqual([await first, await second], ["OK", 2]);
    await db.del("waited");
  }));

  test("may take its block time and a reply's time more", async () => {
    await withDb({}, async (db) => {
      assert.equal(await db.blpop("empty", 0.05), null);
      assert.equal(await db.xread({ BLOCK: 50, STREAMS: ["empty", "$"] }), null);
    });
    const calls: ((db: Handler) => Promise<unknown>)[] = [
      (db) => db.blpop("awaited", 60), (db) => db.xread({ BLOCK: 60_000, STREAMS: ["awaited", "$"] }),
    ];
    for (const call of calls) {
      await inVirtualTime((pass) => withDb({ replyTimeout: 1_000, pingInterval: Infinity }, async (db) => {
        await db.ready();
        const outcome = call(db).then(() => "answered", ({ code }) => code as string);
        await blocked(1);
        await pass(60_900);
        assert.equal(await Promise.race([outcome, "pending"]), "pending");
        await pass(300);
        assert.equal(await outcome, "REPLY_TIMEOUT");
        await blocked(0);
      }));
    }
  });

  test("that is aborted gives its connection up, and the next command has a new one", () => withDb({}, async (db) => {
    const abort = new AbortController();
    const popped = failure(db.with({ signal: abort.signal }).blpop("aborted queue", 0));
    await until(async () => /blocked_clients:1/.test(await server.call("INFO", "clients")), "the pop to block");
    abort.abort();
    assert.equal((await popped).outcome, "unknown");
    assert.equal(await db.ping(), "PONG");
    await server.call("RPUSH", "aborted queue", "kept");
    assert.equal(await db.lpop("aborted queue"), "kept");
  }));

  test("is known by what is sent: an option that is undefined, or a stream of that name, does not block", () =>
    withDb({ replyTimeout: 5_000 }, async (db) => {
      assert.equal(await db.xread({ BLOCK: undefined as any, STREAMS: ["empty", "$"] }), null);
      assert.equal(await db.call("xread", "streams", "BLOCK", "0"), null);
      assert.equal(await db.call("XREAD", Buffer.from("block"), "10", "streams", "empty", "$"), null);
    }));

  test("is known wherever BLOCK stands, last if it is there twice, and a group of that name does not block", () =>
    withPool({ poolsize: 2 }, async (db) => {
    const blocks = (...args: unknown[]) => commands.xreadgroup.block!(flatten(commands.xreadgroup.name, args, commands.xreadgroup.form));
    const STREAMS = ["stream", ">"];
    assert.equal(blocks({ BLOCK: 1_500, GROUP: ["g", "c"], STREAMS }), 1_500);
    assert.equal(blocks({ COUNT: 1, GROUP: ["BLOCK", "STREAMS"], BLOCK: 0, STREAMS }), Infinity);
    assert.equal(blocks({ COUNT: 1, GROUP: ["BLOCK", "BLOCK"], NOACK: true, STREAMS }), undefined);
    assert.equal(blocks("BLOCK", 5, "GROUP", "g", "c", "block", 0, "STREAMS", "BLOCK", 7), Infinity);
    await db.xgroupCreate("stream", "BLOCK", "$", { MKSTREAM: true });
    const [read] = await db.pipeline().xreadgroup({ COUNT: 1, GROUP: ["BLOCK", "BLOCK"], STREAMS: ["stream", ">"] }).execPipeline();
    assert.equal(read, null);
    assert.throws(() => db.pipeline().xreadgroup({ BLOCK: 1, GROUP: ["BLOCK", "BLOCK"], STREAMS: ["stream", ">"] }), /blocking/);
    const waiting = db.xreadgroup({ BLOCK: 60_000, GROUP: ["BLOCK", "me"], STREAMS: ["stream", ">"] });
    assert.equal(await db.get("beside it"), null); // on another connection
    await db.xadd("stream", "1-1", { a: 1 });
    assert.deepEqual(Object.keys((await waiting)!), ["stream"]);
  }));

  for (const poolsize of [1, 2]) {
    const from = poolsize === 1 ? "a connection that is opened for it" : "another connection of the pool";
    const onDeadLink = async (expected: string, sever: (link: Link, id: number) => unknown) => {
      const proxy = await Proxy.start({ host: "127.0.0.1", port: server.port });
      const db = await connectionPool({ port: proxy.port, poolsize, pingInterval: 50, replyTimeout: 500, name: "looking" }) as Handler;
      try {
        const popped = failure(db.blpop("dead link", 0));
        await blocked(1);
        const line = (await clientsNamed("looking")).find((one) => one.includes("flags=b"))!;
        const link = proxy.links.find(({ address }) => line.includes(` addr=${address} `))!;
        await sever(link, parseInt(line.slice(3)));
        const { code, outcome } = await popped;
        assert.deepEqual([code, outcome], ["CONNECTION_LOST", expected]);
        assert.equal(await server.call("RPUSH", "dead link", "element"), 1);
        assert.deepEqual(await db.blpop("dead link", 0), ["dead link", "element"]);
        assert.ok((await clientsNamed("looking")).length <= poolsize + 1, "no more than one looks");
      } finally {
        db.destroy();
        await proxy.stop();
      }
    };

    test(`whose link is dead is given up, seen from ${from}, and nothing is popped by nobody`, () =>
      onDeadLink("not-executed", (link) => link.hold()));

    test(`whose connection the server no longer knows is given up, seen from ${from}`, () =>
      onDeadLink("unknown", async (link, id) => {
        link.hold();
        await server.call("CLIENT", "KILL", "ID", String(id));
      }));
  }

  test("that is only long keeps its connection and its place in the queue, however often it is looked at", () =>
    withPool({ poolsize: 2, pingInterval: 20, name: "patient" }, async (db) => {
      const pops = [db.blpop("patient queue", 0), db.blpop("patient queue", 0)];
      await blocked(2);
      const looks = async () => parseInt(/cmdstat_client\|list:calls=(\d+)/.exec(await server.call("INFO", "commandstats"))?.[1] ?? "0");
      const before = await looks();
      const ids = (await clientsNamed("patient")).filter((line) => line.includes("flags=b")).map((line) => line.split(" ")[0]);
      await until(async () => await looks() > before + 20, "it to be looked at");
      const later = (await clientsNamed("patient")).filter((line) => line.includes("flags=b")).map((line) => line.split(" ")[0]);
      assert.deepEqual(later, ids);
      await server.call("RPUSH", "patient queue", "a", "b");
      assert.deepEqual(await Promise.all(pops), [["patient queue", "a"], ["patient queue", "b"]]);
      assert.deepEqual(await Promise.all([db.ping(), db.echo("in order")]), ["PONG", "in order"]);
    }));

  test("that was never written costs its neighbours nothing when it is aborted", () => withDb({}, async (db) => {
    await db.set("n", 0);
    const abort = new AbortController();
    const [counted, popped] = [db.incr("n"), failure(db.with({ signal: abort.signal }).blpop("empty", 0))];
    abort.abort();
    assert.equal((await popped).outcome, "not-sent");
    assert.equal(await counted, 1);
  }));

  test("that reads is not issued again: it might miss what came between", async () => {
    let reads = 0;
    await withScript(async (peer) => {
      await peer.read();
      reads++;
      peer.end();
    }, async (db) => {
      assert.equal((await failure(db.xread({ BLOCK: 1000, STREAMS: ["s", "$"] }))).outcome, "unknown");
      assert.equal(reads, 1);
    });
  });

  test("times out what waits behind it as not-sent", () => withDb({ replyTimeout: 60 }, async (db) => {
    const popped = db.blpop("long queue", 0);
    const error = await failure(db.get("a"));
    assert.deepEqual([error.code, error.outcome], ["REPLY_TIMEOUT", "not-sent"]);
    await server.call("RPUSH", "long queue", "element");
    assert.deepEqual(await popped, ["long queue", "element"]);
  }));
});

/** Gives the handler of a pool to `use` and closes it, whatever happens. */
async function withPool<T>(options: Options, use: (db: Handler) => Promise<T>): Promise<T> {
  const db = lazyConnectionPool({ port: server.port, ...options }) as Handler;
  try {
    await db.ready();
    return await use(db);
  } finally {
    db.destroy();
  }
}

/** A pool of a scripted server, whose connections are greeted and then do as `script` says. */
async function withScriptedPool(
  options: Options, script: (peer: Peer) => Promise<void>, use: (db: Handler, peers: Peer[]) => Promise<void>,
) {
  const scripted = await ScriptedServer.start(async (peer) => {
    await peer.hello();
    await script(peer);
  });
  try {
    await withPool({ port: scripted.port, ...options }, (db) => use(db, scripted.peers));
  } finally {
    await scripted.stop();
  }
}

const blocked = (count: number) => until(async () => {
  const clients = await server.call("INFO", "clients");
  return clients.includes(`blocked_clients:${count}\r\n`);
}, `${count} clients to block`);
const clientsNamed = async (name: string): Promise<string[]> =>
  (await server.call("CLIENT", "LIST")).split("\n").filter((line: string) => line.includes(` name=${name} `));
const nextTick = () => new Promise<void>((resolve) => process.nextTick(resolve));
/** Whether it is settled within a turn of the event loop. */
const settledAtOnce = (promise: Promise<unknown>): Promise<boolean> =>
  Promise.race([promise.then(() => true, () => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))]);

describe("a pool", () => {
  const factories: [name: string, make: (options: Options) => Handler | Promise<Handler>][] = [
    ["connectionPool", (options) => connectionPool({ port: server.port, ...options }) as Promise<Handler>],
    ["lazyConnectionPool", (options) => lazyConnectionPool({ port: server.port, ...options }) as Handler],
    ["unixConnectionPool", (options) => unixConnectionPool(server.path, options) as Promise<Handler>],
    ["lazyUnixConnectionPool", (options) => lazyUnixConnectionPool(server.path, options) as Handler],
  ];

  for (const [name, make] of factories) {
    test(`${name} keeps as many connections as poolsize says, ten unless it does`, async () => {
      for (const [options, count] of [[{ poolsize: 3 }, 3], [{}, 10]] as const) {
        const made = make({ ...options, name: `of-${name}` });
        assert.equal(made instanceof Promise, !name.startsWith("lazy"));
        const db = await made;
        try {
          if (name.startsWith("lazy")) await db.ready();
          assert.match(inspect(db), new RegExp(`: ${count} open; 0 pending`));
          const clients = await clientsNamed(`of-${name}`);
          assert.equal(clients.length, count);
          assert.ok(clients.every((line) => line.includes(`${server.path}:0`) === /unix/i.test(name)), clients[0]);
          assert.equal(await db.ping(), "PONG");
        } finally {
          await db.disconnect();
        }
        await until(async () => (await clientsNamed(`of-${name}`)).length === 0, "all of them to be gone");
      }
    });

    test(`${name} refuses a poolsize that is no whole number from 1 on, and names it`, async () => {
      for (const poolsize of [0, -1, 1.5, "10", NaN, null]) {
        const error = await failure((async () => make({ poolsize: poolsize as number }))());
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /^option poolsize must be a whole number/);
      }
    });
  }

  test("takes the place of a connection without anything else changing", async () => {
    const program = async (db: Handler): Promise<unknown[]> => {
      const said: unknown[] = [];
      await db.del("of", "list");
      said.push(await db.set("of", 1), ...await Promise.all([db.incr("of"), db.get("of"), db.type("of")]));
      said.push(await db.pipeline().incr("of").get("of").execPipeline(), await db.pipeline().incr("of").commit());
      const t = await db.multi("of");
      said.push(await t.incr("of"), await t.commit());
      said.push(await db.transaction(["of"], async (u) => (await u.multi()).get("of")));
      const popped = db.blpop("list", 5);
      await blocked(1);
      await server.call("RPUSH", "list", "element");
      said.push(await popped, (await failure(db.lpush("of", 1))).code, await db.with({ charset: null }).get("of"));
      for await (const key of db.scanIterator({ MATCH: "of" })) said.push(key);
      const news = await db.subscribe("of");
      await server.call("PUBLISH", "of", "news");
      for await (const item of news) {
        said.push(item);
        break;
      }
      return [...said, await db.del("of")];
    };
    const one = await withDb({}, program);
    assert.deepEqual(await withPool({ poolsize: 3 }, program), one);
    assert.equal(one.length, 15);
  });

  test("is ready when all of its connections are; an eager one is rejected when one cannot be made", async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    let refused = false;
    const scripted = await ScriptedServer.start(async (peer) => {
      if (peer.id % 3 === 0) await gate;
      if (peer.id % 3 === 0 && refused) return peer.reset();
      await peer.hello();
    });
    const options = { port: scripted.port, poolsize: 3 };
    const lazy = lazyConnectionPool(options);
    try {
      let ready = false;
      const whenReady = lazy.ready().then(() => {
        ready = true;
      });
      await until(() => inspect(lazy).includes(": 2 open, 1 opening"), "two connections to open");
      assert.equal(ready, false);
      const eager = connectionPool(options);
      await until(() => scripted.peers.length === 6, "as many for the eager pool");
      open();
      const db = await eager;
      assert.match(inspect(db), /: 3 open; 0 pending/);
      db.destroy();
      await whenReady;
      refused = true;
      const error = await failure(connectionPool(options));
      assert.deepEqual([error.code, error.outcome], ["CONNECT_FAILED", "not-sent"]);
      await until(() => scripted.peers.slice(6).every(({ socket }) => socket.destroyed), "the others to be closed");
    } finally {
      open();
      lazy.destroy();
      await scripted.stop();
    }
  });

  test("keeps to one connection within a tick, and begins each tick with the one that has least to do", () =>
    withPool({ poolsize: 3 }, async (db) => {
      const ticks: Promise<number>[][] = [];
      for (const count of [4, 2, 1, 5, 4, 1]) {
        ticks.push(Array.from({ length: count }, () => db.clientId()));
        await nextTick();
      }
      const ids = await Promise.all(ticks.map(async (calls) => [...new Set(await Promise.all(calls))]));
      assert.ok(ids.every(({ length }) => length === 1), inspect(ids));
      const order = ids.flat();
      // Loads after each tick: 4 0 0, 4 2 0, 4 2 1, 4 2 6, 4 6 6, 5 6 6.
      const [first, second, third] = order;
      assert.deepEqual(order, [first, second, third, third, second, first]);
      assert.equal(new Set(order).size, 3);
    }));

  test("runs what blocks, and nothing else, on a connection of its own", () => withPool({ poolsize: 2 }, async (db) => {
    await db.del("nothing", "stream");
    await db.xgroupCreate("stream", "group", "$", { MKSTREAM: true });
    const blocking: [name: string, call: () => Promise<unknown>][] = [
      ["blpop", () => db.blpop("nothing", 0.02)],
      ["brpop", () => db.brpop(["nothing", "nowhere"], 0.02)],
      ["blmove", () => db.blmove("nothing", "nowhere", "LEFT", "RIGHT", 0.02)],
      ["brpoplpush", () => db.brpoplpush("nothing", "nowhere", 0.02)],
      ["bzpopmin", () => db.bzpopmin("nothing", 0.02)],
      ["bzpopmax", () => db.bzpopmax("nothing", 0.02)],
      ["blmpop", () => db.blmpop(0.02, 1, "nothing", "LEFT")],
      ["bzmpop", () => db.bzmpop(0.02, 1, "nothing", "MIN")],
      ["xread", () => db.xread({ BLOCK: 20, STREAMS: ["nothing", "$"] })],
      ["xreadgroup", () => db.xreadgroup({ GROUP: ["group", "me"], BLOCK: 20, STREAMS: ["stream", ">"] })],
      ["a durable write", () => failure(db.with({ durable: { replicas: 1, timeout: 20 } }).set("a", 1))],
      ["call", () => db.call("BLPOP", "nothing", "0.02")],
    ];
    for (const [name, call] of blocking) {
      const calls = [call(), db.get("a"), db.get("b")];
      assert.match(inspect(db), /: 1 open, 1 lent; 3 pending/, name);
      await Promise.all(calls);
      assert.match(inspect(db), /: 2 open; 0 pending/, name);
    }
    for (const call of [() => db.xread({ STREAMS: ["nothing", "0"] }), () => db.lpop("nothing"), () => db.ping()]) {
      const reply = call();
      assert.match(inspect(db), /: 2 open; 1 pending/);
      await reply;
    }
    await db.del("stream");
  }));

  test("with nine of its ten connections blocked serves on the tenth as ever", () => withPool({}, async (db) => {
    const pops = Array.from({ length: 9 }, (_, i) => db.blpop(`busy:${i}`, 0));
    await blocked(9);
    const ids = new Set<number>();
    for (let round = 0; round < 20; round++) {
      const [id, ...replies] = await Promise.all([
        db.clientId(), ...Array.from({ length: 50 }, (_, i) => db.set("tenth", i)), db.get("tenth"),
      ]);
      ids.add(id as number);
      assert.deepEqual(replies, [...Array(50).fill("OK"), "49"]);
    }
    assert.equal(ids.size, 1);
    await db.pipeline().rpush("busy:0", 0).del("tenth").execPipeline();
    for (let i = 1; i < 9; i++) await db.rpush(`busy:${i}`, i);
    assert.deepEqual(await Promise.all(pops), Array.from({ length: 9 }, (_, i) => [`busy:${i}`, String(i)]));
    assert.match(inspect(db), /: 10 open; 0 pending/);
  }));

  test("serves in order who waits, each within its own deadline", () => withPool({ poolsize: 2 }, async (db) => {
    await db.del("order");
    const pops = [db.blpop("busy:1", 0), db.blpop("busy:2", 0)];
    await blocked(2);
    const waiting = [
      db.rpush("order", 1),
      db.multi().then(async (t) => {
        t.rpush("order", 2);
        t.rpush("order", 3);
        return t.commit();
      }),
      db.rpush("order", 4),
      db.blmove("order", "order", "LEFT", "RIGHT", 0),
      db.rpush("order", 5),
    ];
    const hurried = db.with({ replyTimeout: 40 });
    const late = hurried.pipeline().rpush("order", "late");
    const given = [hurried.rpush("order", "late"), hurried.multi(), late.execPipeline()];
    for (const error of await Promise.all(given.map(failure))) {
      assert.ok(error instanceof RedisError);
      assert.deepEqual([error.code, error.outcome], ["REPLY_TIMEOUT", "not-sent"]);
    }
    await server.call("RPUSH", "busy:2", "free");
    assert.deepEqual(await Promise.all(waiting), [1, [2, 3], 4, "1", 5]);
    assert.deepEqual(await db.lrange("order", 0, -1), ["2", "3", "4", "1", "5"]);
    assert.match(inspect(db), /: 1 open, 1 lent; 1 pending/);
    await server.call("RPUSH", "busy:1", "free");
    assert.deepEqual(await Promise.all(pops), [["busy:1", "free"], ["busy:2", "free"]]);
    await db.del("order");
  }));

  test("gives up a command that blocks for longer than it may, and its connection, and nothing else", () =>
    withScriptedPool({ poolsize: 2 }, async (peer) => {
      for (;;) {
        const [name] = await peer.read();
        if (name !== "BLPOP") peer.write(`+${name} by ${peer.id}\r\n`);
      }
    }, async (db, peers) => {
      const popped = failure(db.with({ replyTimeout: 30 }).blpop("never", 0.01));
      const served = String(await db.ping());
      const error = await popped;
      assert.ok(error instanceof TimeoutError);
      assert.deepEqual([error.code, error.outcome, error.command], ["REPLY_TIMEOUT", "unknown", "BLPOP"]);
      assert.match(error.message, /within 1010 ms/);
      await until(() => inspect(db).includes(": 2 open; 0 pending"), "the pool to be whole again");
      assert.equal(peers.length, 3);
      const calls = [db.ping()];
      await nextTick();
      calls.push(db.ping());
      assert.deepEqual((await Promise.all(calls)).sort(), [served, "PING by 3"], "the other one was not touched");
    }));

  test("frees the connection of a blocking command that is aborted, and no element is lost unsaid", () =>
    withPool({ poolsize: 3 }, async (db) => {
      await db.del("aborted", "other");
      const other = db.blpop("other", 0);
      await blocked(1);
      const became = { popped: 0, unknown: 0, left: 0 };
      for (let i = 0; i < 30; i++) {
        const abort = new AbortController();
        const popped = db.with({ signal: abort.signal }).blpop("aborted", 0);
        popped.catch(() => {});
        await blocked(2);
        if (i % 3 === 0) abort.abort();
        await server.call("RPUSH", "aborted", i.toString());
        if (i % 3 === 1) await popped;
        abort.abort();
        const [result] = await Promise.allSettled([popped]);
        const [left] = await until(async () => {
          await blocked(1);
          return [await server.call("LPOP", "aborted")];
        }, "the element");
        if (result.status === "fulfilled") became.popped++;
        else {
          assert.ok(result.reason instanceof AbortError);
          assert.equal(result.reason.outcome, "unknown");
          became.unknown++;
        }
        if (left === null) continue;
        assert.equal(result.status, "rejected", "what was popped is not there any more");
        became.left++;
      }
      assert.ok(became.popped >= 10 && became.unknown >= 10, inspect(became));
      await until(() => inspect(db).includes(": 2 open, 1 lent"), "the pool to be whole again");
      await db.rpush("other", "element");
      assert.deepEqual(await other, ["other", "element"]);
    }));

  test("frees the connection of an aborted command when what others had sent on it before is answered", () => {
    let aborted = () => {};
    const abortion = new Promise<void>((resolve) => {
      aborted = resolve;
    });
    let blocks = false;
    return withScriptedPool({ poolsize: 1 }, async (peer) => {
      if (peer.id === 1) {
        for (let i = 0; i < 2; i++) await peer.read(); // INCR and BLPOP
        blocks = true;
        await abortion;
        return peer.write(":1\r\n");
      }
      await peer.read();
      peer.write("+PONG\r\n");
    }, async (db, peers) => {
      const counted = db.incr("n");
      const abort = new AbortController();
      const popped = failure(db.with({ signal: abort.signal }).blpop("list", 0));
      const after = db.ping();
      await until(() => blocks, "the pop to block");
      abort.abort();
      assert.deepEqual([(await popped).code, (await popped).outcome], ["ABORTED", "unknown"]);
      aborted();
      assert.equal(await counted, 1);
      assert.equal(await after, "PONG");
      assert.equal(peers.length, 2);
    });
  });

  test("loses with a connection what was in flight on it", () => withScriptedPool({ poolsize: 3 }, async (peer) => {
    while ((await peer.read())[0] !== "INCR");
    if (peer.id === 2) return peer.end();
    await peer.read(); // GET, when the other one is gone
    peer.write(":1\r\n+READ\r\n");
  }, async (db, peers) => {
    const calls: Promise<unknown>[] = [];
    for (let tick = 0; tick < 3; tick++) {
      calls.push(db.incr("a"));
      await nextTick();
    }
    const lost = (await Promise.race(calls.map(failure)));
    assert.deepEqual([lost.code, lost.outcome, lost.command], ["CONNECTION_LOST", "unknown", "INCR"]);
    assert.match(inspect(db), /: 2 open, 1 (resting|opening); 4 pending/); // two of them tell the server to end it
    const reads: Promise<unknown>[] = [];
    for (let tick = 0; tick < 2; tick++) {
      reads.push(db.get("b"));
      await nextTick();
    }
    assert.deepEqual(await Promise.all(reads), ["READ", "READ"]);
    const ends = await Promise.allSettled(calls);
    assert.deepEqual(ends.map(({ status }) => status).sort(), ["fulfilled", "fulfilled", "rejected"]);
    assert.equal(peers.filter(({ socket }) => socket.destroyed).length, 1);
  }));

  test("loses with a blocked connection only its pop, and wakes nobody with a dead connection", () =>
    withPool({ poolsize: 2, name: "lent" }, async (db) => {
      await db.del("waited", "list:0", "list:1");
      const pops = [db.blpop("list:0", 0), db.blpop("list:1", 0)];
      const first = failure(Promise.race(pops));
      await blocked(2);
      const waiting = [db.incr("waited"), db.get("waited"), db.multi().then((t) => {
        t.incr("waited");
        return t.commit();
      }), db.incr("waited")];
      const [victim] = await clientsNamed("lent");
      await server.call("CLIENT", "KILL", "ID", /^id=(\d+)/.exec(victim!)![1]!);
      const error = await first;
      assert.deepEqual([error.code, error.outcome, error.command], ["CONNECTION_LOST", "unknown", "BLPOP"]);
      assert.deepEqual(await Promise.all(waiting), [1, "1", [2], 3]);
      for (const key of ["list:0", "list:1"]) await db.rpush(key, "element");
      assert.equal((await Promise.allSettled(pops)).filter(({ status }) => status === "fulfilled").length, 1);
      await db.del("waited", "list:0", "list:1");
    }));

  test("that has lost all of its connections fails fast, and is whole again when the server is back", async () => {
    const mortal = await RedisServer.start({ aof: true });
    try {
      await withPool({ port: mortal.port, poolsize: 4 }, async (db) => {
        await db.set("survives", 1);
        const pops = [db.blpop("list", 0), db.blpop("list", 0)].map(failure);
        await until(async () => (await mortal.call("INFO", "clients")).includes("blocked_clients:2"), "two to block");
        await mortal.kill();
        for (const { code, outcome } of await Promise.all(pops)) {
          assert.deepEqual([code, outcome], ["CONNECTION_LOST", "unknown"]);
        }
        const errors = [await failure(db.get("survives"))];
        await until(() => inspect(db).includes(": 4 resting"), "all to rest");
        const calls = [db.get("survives"), db.incr("survives"), db.multi(), db.watch("survives"), db.blpop("list", 0)];
        for (const call of calls) errors.push(await failure(call));
        const ends = errors.map(({ code, outcome }) => `${code} ${outcome}`);
        assert.deepEqual(ends, Array(6).fill("NOT_CONNECTED not-sent"));
        await mortal.restart();
        await until(() => inspect(db).includes(": 4 open; 0 pending"), "the pool to be whole again");
        assert.equal(await db.get("survives"), "1");
      });
    } finally {
      await mortal.stop();
    }
  });

  test("recovers connection by connection: the first that is back serves", async () => {
    let back = 0;
    const scripted = await ScriptedServer.start(async (peer) => {
      if (peer.id > 3 && back++ > 0) return; // only one more is greeted
      await peer.hello();
      for (;;) {
        await peer.read();
        if (peer.id <= 3) return peer.reset();
        peer.write("+HERE\r\n");
      }
    });
    try {
      await withPool({ port: scripted.port, poolsize: 3 }, async (db) => {
        const lost: Promise<unknown>[] = [];
        for (let tick = 0; tick < 3; tick++) {
          lost.push(failure(db.incr("a")));
          await nextTick();
        }
        await Promise.all(lost);
        for (let i = 0; i < 5; i++) assert.equal(await db.get("a"), "HERE");
        await until(() => inspect(db).includes(": 1 open, 2 opening"), "the others still to open");
        const late = db.blpop("a", 0);
        assert.equal(await late, "HERE");
      });
    } finally {
      await scripted.stop();
    }
  });

  test("with more waiting than maxPending or maxUnsent rejects the next at once, as not sent", async () => {
    await withPool({ poolsize: 1, maxPending: 3, replyTimeout: Infinity }, async (db) => {
      const popped = db.blpop("busy", 0);
      await blocked(1);
      const waiting = [db.get("no such key"), db.blpop("full", 5), db.watch("a")];
      const pipeline = db.pipeline().get("a").execPipeline();
      for (const rejected of [db.get("a"), db.set("a", 1), db.blpop("b", 0), db.multi(), pipeline].map(failure)) {
        assert.equal(await settledAtOnce(rejected), true);
        const { code, outcome } = await rejected;
        assert.deepEqual([code, outcome], ["OVERLOADED", "not-sent"]);
      }
      await server.call("RPUSH", "full", "element");
      await server.call("RPUSH", "busy", "element");
      const [read, element, watched] = await Promise.all(waiting) as [null, string[], Watch];
      assert.deepEqual([await popped, read, element], [["busy", "element"], null, ["full", "element"]]);
      await watched.unwatch();
      assert.equal(await db.ping(), "PONG");
    });
    await withPool({ poolsize: 1, maxUnsent: 1000 }, async (db) => {
      const popped = db.blpop("busy", 0);
      await blocked(1);
      const waiting = [db.echo("x".repeat(400)), db.echo("x".repeat(600))];
      const rejected = failure(db.echo("x"));
      assert.equal(await settledAtOnce(rejected), true);
      assert.deepEqual([(await rejected).code, (await rejected).outcome], ["OVERLOADED", "not-sent"]);
      await server.call("RPUSH", "busy", "element");
      await popped;
      assert.deepEqual((await Promise.all(waiting)).map(({ length }) => length), [400, 600]);
    });
  });

  test("sends what is too much for one connection on the others, and rejects only what is too much for all", async () => {
    await withPool({ poolsize: 10 }, async (db) => {
      const value = Buffer.alloc(2 ** 20);
      const sent = await Promise.all(Array.from({ length: 100 }, (_, i) => db.set(`much:${i % 3}`, value)));
      assert.deepEqual(sent, Array(100).fill("OK"));
      await db.del("much:0", "much:1", "much:2");
    });
    for (const options of [{ maxPending: 10 }, { maxUnsent: 1_000 }]) {
      const codesOf = (poolsize: number) => withPool({ poolsize, ...options }, async (db) => {
        const calls = await Promise.allSettled(Array.from({ length: 40 }, (_, i) => db.echo(String(i).padStart(100))));
        return calls.map((call) => call.status === "rejected" ? call.reason.code : Number(call.value));
      });
      const most = (await codesOf(1)).indexOf("OVERLOADED");
      assert.deepEqual(await codesOf(3), Array.from({ length: 40 }, (_, i) => i < 3 * most ? i : "OVERLOADED"));
    }
  });

  test("refuses no command that reads for the size of writes, on its connection or waiting", () =>
    withPool({ poolsize: 1, maxUnsent: 1_000 }, async (db) => {
      const big = "x".repeat(2_000);
      const mixed = (): Promise<unknown>[] =>
        [db.set("big", big), failure(db.set("big", 1)), db.get("no such key"), db.exists("no such key")];
      const [set, refused, ...reads] = await Promise.all(mixed()) as any[];
      assert.deepEqual([set, refused.code, reads], ["OK", "OVERLOADED", [null, 0]]);
      const answers = await Promise.all(Array.from({ length: 20 }, () => db.get("k".repeat(100)).catch(({ code }) => code)));
      const most = answers.indexOf("OVERLOADED"); // reads have the same bound, for themselves
      assert.deepEqual(answers, answers.map((_, i) => i < most ? null : "OVERLOADED"));
      assert.ok(most > 5, `${most}`);
      const popped = db.blpop("busy", 0);
      await blocked(1);
      const waiting = mixed();
      assert.equal((await waiting[1] as any).code, "OVERLOADED");
      await server.call("RPUSH", "busy", "element");
      assert.deepEqual((await Promise.all([popped, ...waiting])).slice(3), [null, 0]);
      await db.del("big");
    }));

  test("loses and doubles no increment while its connections are killed one by one", () =>
    withPool({ poolsize: 4, name: "counting" }, async (db) => {
      await db.del("counted");
      let acknowledged = 0;
      let unknown = 0;
      const random = reference.random(7);
      const { count: countCall, killed } = killing("counting", 80, random);
      await Promise.all(Array.from({ length: 16 }, async () => {
        for (let i = 0; i < 200; i++) {
          countCall();
          try {
            await (random() < 0.1 ? db.pipeline().incr("counted").commit() : db.incr("counted"));
            acknowledged++;
          } catch (error: any) {
            assert.notEqual(error.outcome, "not-executed");
            if (error.outcome === "unknown") unknown++;
          }
          if (i % 4 === 0) await sleep(1);
        }
      }));
      assert.ok(await killed() > 3);
      const count = Number(await server.call("GET", "counted"));
      assert.ok(count >= acknowledged && count <= acknowledged + unknown, `${acknowledged} <= ${count} <= +${unknown}`);
      assert.ok(acknowledged > 1600, `${acknowledged} acknowledged`);
      await db.del("counted");
    }));
});

/** Kills one of the clients of this name whenever so many calls have been counted; tells how many there were. */
function killing(name: string, every: number, random: () => number): { count: () => void; killed: () => Promise<number> } {
  let [calls, killed] = [0, 0];
  let kills = Promise.resolve();
  const kill = async (): Promise<void> => {
    const clients = await clientsNamed(name);
    const [, id] = /^id=(\d+)/.exec(clients[Math.floor(random() * clients.length)] ?? "") ?? [];
    if (id !== undefined) await server.call("CLIENT", "KILL", "ID", id).then(() => killed++, () => {});
  };
  const count = (): void => {
    if (++calls % every === 0) kills = kills.then(kill);
  };
  return { count, killed: () => kills.then(() => killed) };
}

// ==== 8. Routes and pipelines ====

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : never;
/** Fails to compile when a promise is not of exactly this type. */
const typed = <Expected>() => <T>(promise: Promise<T>, _same: Same<T, Expected>): Promise<T> => promise;

/** Runs `use` while the server lets writes wait. */
async function paused<T>(use: () => Promise<T>): Promise<T> {
  await server.call("CLIENT", "PAUSE", "5000", "WRITE");
  try {
    return await use();
  } finally {
    await server.call("CLIENT", "UNPAUSE");
  }
}

type Tap = { writes: number; bytes: number; unsent: number; limit: number };

/**
 * Runs `use` while it is counted what is handed to sockets, how often they write, and how much waits in them at most.
 * From `limit` bytes on they write no more, as when the other side has stopped reading.
 */
async function tapped(use: (tap: Tap) => Promise<void>): Promise<void> {
  const tap: Tap = { writes: 0, bytes: 0, unsent: 0, limit: Infinity };
  await onSockets((socket) => {
    const { write } = socket;
    socket.write = (...args: any[]) => {
      tap.bytes += args[0].length;
      const more = write.apply(socket, args);
      tap.unsent = Math.max(tap.unsent, socket.writableLength);
      return more;
    };
    onWrites(socket, (go) => {
      tap.writes++;
      if (tap.bytes <= tap.limit) go();
    });
  }, () => use(tap));
}

/** Runs `use` while each new socket is shown to `look`. */
async function onSockets(look: (socket: any, port: number) => void, use: () => Promise<void>): Promise<void> {
  const { connect } = world;
  world.connect = (config, receive) => {
    const socket = connect(config, receive);
    look(socket, config.port);
    return socket;
  };
  try {
    await use();
  } finally {
    world.connect = connect;
  }
}

/** Tells of each write of a socket to the system, which happens when `go` is called. */
function onWrites(socket: any, tell: (go: () => void) => void): void {
  let isWriting = false; // Bun's _writev calls _write
  for (const name of ["_write", "_writev"]) {
    const written = socket[name];
    socket[name] = (...args: any[]) => {
      if (isWriting) return written.apply(socket, args);
      tell(() => {
        isWriting = true;
        written.apply(socket, args);
        isWriting = false;
      });
    };
  }
}

type Address = Parameters<typeof internals.handlerAt>[0];
type Renewed = Parameters<NonNullable<Address["retain"]>>[0];

/** A handler of a scripted address. */
const withAddress = (address: Omit<Address, "name">, options: Options, use: (db: Handler) => Promise<void>) =>
  using(internals.handlerAt({ name: "scripted", ...address }, internals.readOptions({ poolsize: 1, ...options })), use);
const endpointAt = (port: number) => internals.readOptions({ host: "127.0.0.1", port });

/** A server that answers each command with its name and `by`, once `held` has resolved for GET slow and BLPOP. */
const answering = (by: string, held?: Promise<void>) => ScriptedServer.start(async (peer) => {
  await peer.hello();
  for (;;) {
    const [name, key] = await peer.read();
    if (name === "BLPOP" || key === "slow") await held;
    peer.write(name === "BLPOP" ? `*2\r\n+q\r\n+${by}\r\n` : `+${name} by ${by}\r\n`);
  }
});

describe("an address", () => {
  test("that moves in the moment a connection is ready has one connection afterwards", async () => {
    for (let moment = 0; moment < 12; moment++) {
      const a = await answering("a");
      const pools: Renewed[] = [];
      let verified = 0;
      const move = {
        next: () => endpointAt(a.port),
        retain: (pool: Renewed) => void pools.push(pool),
        verify: () => {
          if (verified++ > 0) return;
          let soon = Promise.resolve();
          for (let i = 0; i < moment; i++) soon = soon.then(() => {});
          void soon.then(() => pools[0]!.renew());
        },
      };
      try {
        await withAddress(move, {}, async (db) => {
          assert.equal(await db.get("k"), "GET by a");
          const open = () => a.peers.filter(({ socket }) => !socket.destroyed).length;
          await until(() => a.connections > 1 && open() === 1, "the first one alone to be closed");
          assert.equal(a.connections, 2);
        });
      } finally {
        await a.stop();
      }
    }
  });

  test("that moves lets a write be answered that was sent before its connection was lent", async () => {
    let release = () => {};
    const a = await answering("a", new Promise<void>((resolve) => { release = resolve; }));
    const pools: Renewed[] = [];
    const move = { next: () => endpointAt(a.port), retain: (pool: Renewed) => void pools.push(pool) };
    try {
      await withAddress(move, {}, async (db) => {
        await db.ready();
        const set = db.set("slow", 1);
        await sleep(20);
        const stop = new AbortController();
        const popped = failure(db.with({ signal: stop.signal }).blpop("q", 0));
        pools[0]!.renew();
        stop.abort(); // before BLPOP is written
        release();
        assert.equal((await popped).code, "ABORTED");
        assert.equal(await set, "SET by a");
      });
    } finally {
      await a.stop();
    }
  });

  test("that moves leads new commands to the new server; those in flight are answered where they are", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const [a, b] = [await answering("a", held), await answering("b")];
    const pools: Renewed[] = [];
    let port = a.port;
    let most = 0;
    const sockets = new Set<any>();
    const { after } = world;
    world.after = (delay, task) => after(delay * 1_000, task); // no limit of time plays a part
    const move = { next: () => endpointAt(port), retain: (pool: Renewed) => void pools.push(pool) };
    try {
      await onSockets((socket) => {
        sockets.add(socket);
        most = Math.max(most, [...sockets].filter(({ destroyed }) => !destroyed).length);
      }, () => withAddress(move, { poolsize: 3 }, async (db) => {
        await db.ready();
        const popped = db.blpop("q", 0);
        const slow = db.get("slow");
        await nextTick();
        assert.match(inspect(db), /scripted db 0: 2 open, 1 lent; 2 pending/);
        port = b.port;
        pools[0]!.renew();
        pools[0]!.renew();
        assert.match(inspect(db), /2 recalled/);
        assert.equal(await db.get("k"), "GET by b");
        assert.deepEqual([await settledAtOnce(slow), await settledAtOnce(popped)], [false, false]);
        assert.deepEqual([a.connections, b.connections], [3, 1]);
        release();
        assert.equal(await slow, "GET by a");
        assert.deepEqual(await popped, ["q", "a"]);
        await until(() => inspect(db).includes(": 3 open; 0 pending"), "the pool to be whole again");
        await until(() => a.peers.every(({ socket }) => socket.destroyed), "the old connections to be closed");
        assert.deepEqual([a.connections, b.connections, most], [3, 3, 3]);
      }));
    } finally {
      world.after = after;
      await Promise.all([a.stop(), b.stop()]);
    }
  });

  const unknown = new Error("no such master");
  for (const [how, fail] of [
    ["throws", () => {
      throw unknown;
    }],
    ["rejects", () => Promise.reject(unknown)],
  ] as [string, () => Promise<never>][]) {
    test(`that ${how} is asked again and again; meanwhile commands fail, and say why`, async () => {
      let isKnown = false;
      await withAddress({ next: () => isKnown ? endpointAt(server.port) : fail() }, {}, async (db) => {
        const early = await failure(db.ready());
        assert.ok(early instanceof ConnectionError);
        assert.deepEqual([early.code, early.message, early.cause],
          ["CONNECT_FAILED", "no connection to scripted", unknown]);
        const error = await failure(db.get("k"));
        assert.deepEqual([error.code, error.outcome, error.cause.cause], ["NOT_CONNECTED", "not-sent", unknown]);
        isKnown = true;
        await until(() => db.ping().catch(() => false), "the next attempt");
      });
    });
  }

  test("that never answers is given up after connectTimeout, while other attempts go on", async () => {
    let asked = 0;
    const next = () => ++asked === 1 ? new Promise<never>(() => {}) : endpointAt(server.port);
    await inVirtualTime((pass) => withAddress({ next }, { poolsize: 2, connectTimeout: 500 }, async (db) => {
      const ready = failure(db.ready());
      assert.equal(await db.ping(), "PONG");
      await pass(499);
      assert.equal(await settledAtOnce(ready), false);
      await pass(1);
      const error = await ready;
      assert.ok(error instanceof TimeoutError);
      assert.deepEqual([error.code, error.outcome], ["CONNECT_TIMEOUT", "not-sent"]);
      assert.match(error.message, /the address of scripted was not known within 500 ms/);
      await until(async () => (await pass(100), inspect(db).includes(": 2 open")), "the next attempt");
      assert.equal(asked, 3);
    }));
  });

  test("that answers after a while is waited for; too late, or after the end, nothing is opened", async () => {
    const target = await answering("it");
    const answers: (() => void)[] = [];
    const next = () => new Promise<ReturnType<typeof endpointAt>>((resolve) =>
      answers.push(() => resolve(endpointAt(target.port))));
    let pool: Renewed | undefined;
    const retain = (by: Renewed) => void (pool = by);
    await withAddress({ next, retain }, {}, async (db) => {
      const got = db.get("k");
      pool!.renew(); // the first answer is not wanted any more
      answers[0]!();
      assert.equal(await settledAtOnce(got), false);
      answers[1]!();
      assert.equal(await got, "GET by it");
      assert.deepEqual([answers.length, target.connections], [2, 1]);
    });
    await withAddress({ next, retain }, {}, async (db) => {
      db.destroy();
      answers[2]!();
      await nextTick();
      pool!.renew();
      assert.equal((await failure(db.get("k"))).code, "CLOSED");
      assert.deepEqual([answers.length, target.connections], [3, 1]);
    });
    await target.stop();
  });

  test("that refuses the server that answered lets no command reach it", async () => {
    const seen: string[][] = [];
    const target = await ScriptedServer.start(async (peer) => {
      const own = seen[peer.id - 1] = [] as string[];
      await peer.hello();
      for (;;) {
        own.push((await peer.read())[0]!);
        peer.write("+OK\r\n");
      }
    });
    const verdicts = [() => {
      throw new Error("its role is slave");
    }, () => Promise.reject(new Error("its run id is another")), () => {}];
    const verify = () => verdicts.shift()!();
    await withAddress({ next: () => endpointAt(target.port), verify, expected: true }, {}, async (db) => {
      const got = db.get("k");
      const error = await failure(db.ready());
      assert.ok(error instanceof ConnectionError);
      assert.deepEqual([error.code, error.outcome], ["WRONG_SERVER", "not-sent"]);
      assert.match(error.message, /127\.0\.0\.1:\d+ is not the expected server: its role is slave/);
      assert.equal(await got, "OK");
      assert.deepEqual(seen, [[], [], ["GET"]]);
    });
    await target.stop();
  });

  test("has its greeting sent in the handshake's own write, and finds the replies on the connection", async () => {
    const said: unknown[] = [];
    const greeting = [[commands.clientGetname], [commands.echo, "hi"], [commands.incr, "a list"]] as const;
    const verify = (tried: Connection) => void said.push(tried.replies.hello?.["proto"], ...tried.replies.greeting);
    await server.call("DEL", "a list");
    await server.call("RPUSH", "a list", "element");
    await tapped((tap) =>
      withAddress({ next: () => endpointAt(server.port), greeting, verify }, { name: "greeted" }, async (db) => {
        await db.ready();
        assert.equal(tap.writes, 1);
        const [proto, name, echo, error] = said;
        assert.deepEqual([proto, name, echo], [3, "greeted", "hi"]);
        assert.ok(error instanceof ReplyError && error.code === "WRONGTYPE", "an error is a reply, too");
      }));
  });

  test("is notified of attempts that failed and of connections that were lost", async () => {
    const target = await answering("it");
    const ports = [await freePort(), target.port, target.port];
    const ended: unknown[] = [];
    await withAddress({
      next: () => endpointAt(ports[0]!),
      ended: ({ port }, { code }) => {
        ended.push([port, code]);
        ports.shift();
      },
      expected: true,
    }, {}, async (db) => {
      const [dead] = ports;
      assert.equal(await db.get("k"), "GET by it");
      assert.deepEqual(ended, [[dead, "CONNECT_FAILED"]]);
      target.peers[0]!.end();
      await until(() => target.connections === 2, "another connection");
      assert.equal(await db.get("k"), "GET by it");
      assert.deepEqual(ended.slice(1), [[target.port, "CONNECTION_LOST"]]);
    });
    await target.stop();
  });

  test("is retained by each pool that uses it, and released by each when it ends", async () => {
    for (const end of [(db: Handler) => db.destroy(), (db: Handler) => db.disconnect()]) {
      const using: Renewed[] = [];
      const log: string[] = [];
      await withAddress({
        next: () => endpointAt(server.port),
        retain: (pool) => {
          log.push("retain");
          using.push(pool);
        },
        release: (pool) => {
          log.push("release");
          using.splice(using.indexOf(pool), 1);
        },
      }, { poolsize: 2 }, async (db) => {
        const news = await db.subscribe("news");
        assert.deepEqual(log, ["retain", "retain"], "by the commands and by the subscription");
        await news.unsubscribe("news");
        await until(() => log.length === 3, "the subscription's connection to be released");
        assert.equal(await db.ping(), "PONG");
        await end(db);
        await end(db);
        db.destroy();
        assert.deepEqual([log, using], [["retain", "retain", "release", "release"], []]);
      });
    }
  });

  test("whose server is expected back has its commands wait, however long it is away", async () => {
    let isBack = false;
    await inVirtualTime((pass) => withAddress({
      next: () => {
        if (isBack) return endpointAt(server.port);
        throw new Error("not yet");
      },
      expected: true,
    }, { replyTimeout: 60_000 }, async (db) => {
      const waiting = db.ping();
      await pass(30_000);
      assert.equal(await settledAtOnce(waiting), false);
      isBack = true;
      await pass(3_000);
      assert.equal(await waiting, "PONG");
    }));
  });
});

test("a pool whose server refuses a write goes on reading while the write waits", async () => {
  const demoted = await RedisServer.start();
  try {
    await demoted.call("REPLICAOF", "127.0.0.1", "1");
    await withPool({ port: demoted.port, poolsize: 2, replyTimeout: 30_000 }, async (db) => {
      await db.ready();
      let isSet = false;
      const set = db.set("k", 1).then(() => {
        isSet = true;
      });
      for (let i = 0; i < 50; i++) assert.equal(await db.get("k"), null);
      await until(async () => (await demoted.call("INFO", "errorstats")).includes("READONLY"), "the write to be refused");
      for (let i = 0; i < 50; i++) assert.equal(await db.get("k"), null);
      assert.equal(isSet, false);
      await demoted.call("REPLICAOF", "NO", "ONE");
      await set;
      assert.equal(await db.get("k"), "1");
    });
  } finally {
    await demoted.stop();
  }
});

/** Answers SET as `told` says, once closes the connection if that is "", and accepts everything else. Counts the SETs. */
const refusing = (told: { set: string; sets: number }) => async (peer: Peer): Promise<void> => {
  for (;;) {
    const [name] = await peer.read();
    if (name === "SET") told.sets++;
    if (name === "SET" && told.set === "") {
      told.set = "+OK\r\n";
      return peer.reset();
    }
    peer.write(name === "SET" ? told.set : name === "GET" ? "$1\r\nv\r\n" : "+OK\r\n");
  }
};
const withRefusals = (poolsize: number, told: { set: string; sets: number }, use: (db: Handler) => Promise<void>): Promise<void> =>
  withScriptedPool({ poolsize, replyTimeout: 5_000 }, refusing(told), use);

test("a connection whose server was demoted is closed as soon as nothing else is unanswered on it", async () => {
  const told = { set: "-READONLY You can't write against a read only replica.\r\n", sets: 0 };
  const { after } = world;
  try {
    await withRefusals(1, told, async (db) => {
      world.after = (delay, task) => after(delay === 250 ? 60_000 : delay, task); // the time that it has to answer
      const set = db.set("k", 1);
      await until(() => told.sets > 0, "SET to be refused");
      assert.equal(await db.get("k"), "v");
      told.set = "+OK\r\n";
      await set;
    });
  } finally {
    world.after = after;
  }
});

test("reads go on once a server that was loading refuses only writes", async () => {
  const told = { set: "-LOADING Redis is loading the dataset in memory\r\n", sets: 0 };
  await withRefusals(2, told, async (db) => {
    let isSet = false;
    const set = db.set("k", 1).then(() => void (isSet = true));
    await until(() => told.sets > 0, "SET to be refused");
    told.set = "-READONLY You can't write against a read only replica.\r\n";
    assert.equal(await soon(db.get("k"), "a read"), "v");
    assert.equal(isSet, false);
    told.set = "+OK\r\n";
    await set;
  });
});

test("what was held back survives the probe's connection, even if no command waited for its seat before", async () => {
  const port = await freePort();
  const db = lazyConnection({ port, replyTimeout: 5_000 }) as Handler;
  await until(async () => (await failure(db.get("k"))).code === "NOT_CONNECTED", "the seat to be hopeless");
  const told = { set: "-LOADING Redis is loading the dataset in memory\r\n", sets: 0 };
  const scripted = await ScriptedServer.start(async (peer) => {
    await peer.hello();
    await refusing(told)(peer);
  }, { port });
  try {
    await until(() => db.get("k").then(() => true, () => false), "the server to be found");
    const probe = failure(db.set("k", 1));
    await until(() => told.sets > 0, "SET to be refused");
    told.set = "";
    const held = [db.set("k", 2), db.get("k")];
    assert.equal((await probe).outcome, "unknown");
    assert.deepEqual(await Promise.all(held), ["OK", "v"]);
  } finally {
    db.destroy();
    await scripted.stop();
  }
});

describe("a pipeline", () => {
  test("gives the replies in order, each in its command's shape, and is typed as a tuple", async () => {
    for (const protocol of [2, 3] as const) {
      await withPool({ protocol, poolsize: 2 }, async (db) => {
        await db.del("n", "hash", "zset", "set", "none");
        await db.set("n", 1);
        await typed<[number, string | null, Record<string, string>, [string, number][]]>()(
          db.pipeline().incr("n").get("n").hgetall("none").zrange("none", 0, -1, { WITHSCORES: true }).execPipeline(),
          true);
        const filled = await db.pipeline()
          .hset("hash", { a: 1, b: 2 }).zadd("zset", [1.5, "x"], ["inf", "y"]).sadd("set", "m").execPipeline();
        assert.deepEqual(filled, [2, 2, 1]);
        const together = await db.pipeline()
          .hgetall("hash").zrange("zset", 0, -1, { WITHSCORES: true }).smembers("set").zscore("zset", "x").get("none")
          .mget("n", "none").configGet("port").call<string>("TYPE", "hash").call("HGETALL", "hash").execPipeline();
        assert.deepEqual(together, [
          await db.hgetall("hash"), await db.zrange("zset", 0, -1, { WITHSCORES: true }), ["m"], 1.5, null,
          ["2", null], { __proto__: null, port: String(server.port) }, "hash", await db.hgetall("hash"),
        ]);
        assert.deepEqual(together[1], [["x", 1.5], ["y", Infinity]]);
        const stepwise = db.pipeline();
        for (let i = 0; i < 100; i++) stepwise.incrby("n", i);
        stepwise.get("n");
        assert.equal(stepwise.length, 101);
        const results: unknown[] = await stepwise.execPipeline();
        assert.deepEqual([results.length, results[0], results.at(-1)], [101, 2, "4952"]);
        const bytes = await db.with({ charset: null }).pipeline().get("n").ping().execPipeline();
        assert.deepEqual(bytes, [Buffer.from("4952"), "PONG"]);
        assert.deepEqual(await db.with({ convertNumbers: true }).pipeline().get("n").commit(), [4952]);
        await db.del("n", "hash", "zset", "set");
      });
    }
  });

  test("knows at compile time what each of its commands gives", () => withDb({}, async (db) => {
    await db.del("a", "n");
    const chained: [string | null, number] = await db.pipeline().get("a").incr("n").execPipeline();
    const atomic: [string | null | ReplyError, number | ReplyError] = await db.pipeline().get("a").incr("n").commit();
    const called: [string, number] = await db.pipeline().call<string>("PING").incr("n").execPipeline();
    const raw = db.with({ charset: null });
    const bytes: [Buffer | null, number] = await raw.pipeline().get("a").incr("n").execPipeline();
    const stepwise: unknown[] = await db.pipeline().execPipeline();
    await typed<[string | null, number]>()(db.pipeline().get("a").incr("n").execPipeline(), true);
    await typed<[Buffer | null | ReplyError, string[] | ReplyError]>()(
      raw.pipeline().get("a").call<string[]>("KEYS", "-").commit(), true);
    assert.deepEqual([chained, atomic, called, bytes, stepwise], [[null, 1], [null, 2], ["PONG", 3], [null, 4], []]);
    await db.del("n");
  }));

  test("sends nothing before it is executed, then everything in one write on one connection", () => tapped((tap) =>
    withPool({ poolsize: 3 }, async (db) => {
      const p = db.pipeline();
      for (let i = 0; i < 100; i++) p.clientId();
      tap.writes = 0;
      await db.ping();
      assert.equal(tap.writes, 1);
      const ids = await p.execPipeline();
      assert.equal(tap.writes, 2);
      assert.equal(new Set(ids).size, 1);
      assert.equal(p.length, 0);
      assert.deepEqual(await p.execPipeline(), [], "an empty one is no reason to ask the server");
      assert.equal(tap.writes, 2);
      assert.deepEqual(await p.echo("again").execPipeline(), ["again"]);
    })));

  test("whose commands fail rejects with all results in place, or gives them", () => withDb({}, async (db) => {
    const wrong = () => db.pipeline().set("text", "x").incr("text").get("text").call("NOSUCH", "secret").get("text");
    const error = await failure(wrong().execPipeline());
    assert.ok(error instanceof PipelineError && error instanceof RedisError);
    assert.deepEqual([error.code, error.outcome, error.command], ["ERR", "not-executed", "INCR"]);
    assert.match(error.message, /^INCR: 2 of 5 commands failed, first: ERR value is not an integer/);
    const results = await wrong().execPipeline({ errors: "return" });
    for (const [set, incr, got, none, again] of [error.results, results] as any[]) {
      assert.deepEqual([set, got, again], ["OK", "x", "x"]);
      assert.ok(incr instanceof ReplyError && none instanceof ReplyError);
      assert.deepEqual([incr.command, none.command], ["INCR", "NOSUCH"]);
      assert.deepEqual([incr.outcome, none.outcome], ["not-executed", "not-executed"]);
    }
    assert.equal(error.cause, error.results[1]);
    assert.deepEqual(await wrong().execPipeline({ errors: "reject" }).catch((again) => again.results.length), 5);
    const option = await failure(db.pipeline().ping().execPipeline({ errors: "throw" as "reject" }));
    assert.ok(option instanceof TypeError && /errors/.test(option.message), String(option));
    await db.del("text");
  }));

  test("shapes each reply by the options as they were when its command was called", async () => {
    await withDb({ protocol: 2 }, async (db) => {
      await db.zadd("shaped", [1, "a"]);
      for (const send of ["execPipeline", "commit"] as const) {
        const options = { WITHSCORES: true as boolean };
        const p = db.pipeline().get("none").zrange("shaped", 0, -1, options as { WITHSCORES: true });
        options.WITHSCORES = false;
        p.zrange("shaped", 0, -1, options as { WITHSCORES: true }).zrange("shaped", 0, -1);
        p.call("ZRANGE", "shaped", 0, -1, "WITHSCORES");
        assert.deepEqual(await (p as any)[send](), [null, [["a", 1]], ["a"], ["a"], [["a", 1]]], send);
      }
      await db.del("shaped");
    });
  });

  test("throws what cannot be sent or gathered, and keeps what it has", () => withDb({}, async (db) => {
    const p = db.pipeline().set("a", 1) as any;
    const wrong: [call: () => unknown, kind: new (...args: any[]) => Error, says: RegExp][] = [
      [() => p.set("a", null), TypeError, /^SET: argument 2: null cannot be sent/],
      [() => p.mget("a", ["b", undefined]), TypeError, /^MGET: argument 2: undefined cannot be sent/],
      [() => p.call("SET", "a", NaN), TypeError, /^SET: argument 2: NaN cannot be sent/],
      [() => p.call(""), TypeError, /name of a command/],
      [() => p.blpop("a", 0), NotSupportedError, /^BLPOP: .*blocking.*call it on the handler/],
      [() => p.xread({ BLOCK: 0, STREAMS: ["a", "$"] }), NotSupportedError, /^XREAD/],
      [() => p.call("WAIT", 1, 0), NotSupportedError, /^WAIT/],
      [() => p.multi(), NotSupportedError, /^MULTI: .*use instead: multi\(\)/],
      [() => p.call("EXEC"), NotSupportedError, /^EXEC: .*use instead: execPipeline\(\) or commit\(\)/],
      [() => p.watch("a"), NotSupportedError, /^WATCH: .*use instead: watch\(\)/],
      [() => p.select(1), NotSupportedError, /^SELECT: .*use instead/],
    ];
    for (const [call, kind, says] of wrong) {
      assert.throws(call, (error: Error) => {
        assert.ok(error instanceof kind, String(error));
        assert.match(error.message, says);
        assert.equal((error as RedisError).outcome, "not-sent");
        return true;
      });
    }
    assert.equal(p.length, 1);
    assert.deepEqual(await p.get("a").execPipeline(), ["OK", "1"]);
    await db.del("a");
  }));

  test("that loses its connection tells of each command what became of it", () => tapped(async (tap) => {
    const scripted = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      if (peer.id > 1) return;
      for (const answer of ["+OK\r\n", ":1\r\n"]) {
        await peer.read();
        peer.write(answer);
      }
      peer.end();
    });
    try {
      await withDb({ port: scripted.port }, async (db) => {
        const p = db.pipeline().set("a", 1).incr("n").incr("n").get("a");
        const results = await p.execPipeline({ errors: "return" }) as any[];
        assert.deepEqual(results.slice(0, 2), ["OK", 1]);
        for (const [i, command] of [[2, "INCR"], [3, "GET"]] as const) {
          const { code, outcome, command: told } = results[i];
          assert.deepEqual([code, outcome, told], ["CONNECTION_LOST", "unknown", command]);
        }
      });
      for (const send of ["execPipeline", "commit"] as const) {
        for (const limit of [0, 100_000, 2 ** 20]) {
          tap.limit = Infinity;
          await withDb({ port: scripted.port }, async (db) => {
            await db.ready();
            const p = db.pipeline();
            const begins: number[] = [];
            let size = send === "commit" ? encoded(commands.multi.name, []).length : 0;
            for (let i = 0; i < 40; i++) {
              begins.push(size);
              const value = i % 3 === 0 ? Buffer.alloc(90_000) : "x".repeat(60_000);
              p.set("key", value);
              size += `*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$${value.length}\r\n`.length + value.length + 2;
            }
            tap.bytes = 0;
            tap.limit = limit;
            const lost = failure(p[send]());
            await until(() => tap.bytes > limit, "the socket to be full");
            await new Promise(setImmediate);
            scripted.peers.at(-1)!.end();
            const error = await lost;
            assert.ok(error instanceof PipelineError);
            assert.equal(error.code, "CONNECTION_LOST");
            const expected = begins.map((begin) => begin < tap.bytes ? "unknown" : "not-sent");
            assert.deepEqual(error.results.map((result: any) => result.outcome), expected, `${send} ${limit}`);
            assert.deepEqual([expected[0], expected.at(-1)], ["unknown", "not-sent"]);
            assert.equal(error.outcome, send === "commit" ? "not-sent" : "unknown", "EXEC, or the first that failed");
          });
        }
      }
    } finally {
      await scripted.stop();
    }
  }));

  test("that never had a connection was not sent, and one that waits for a connection goes out once", async () => {
    await withDb({ port: await freePort() }, async (db) => {
      const error = await failure(db.pipeline().set("a", 1).get("a").execPipeline());
      assert.ok(error instanceof PipelineError);
      assert.deepEqual([error.code, error.outcome], ["NOT_CONNECTED", "not-sent"]);
      const results = error.results.map((result: any) => `${result.command} ${result.outcome}`);
      assert.deepEqual(results, ["SET not-sent", "GET not-sent"]);
      const atomic = await failure(db.pipeline().set("a", 1).get("a").commit());
      assert.deepEqual([atomic.outcome, atomic.results.length], ["not-sent", 2]);
    });
    const db = lazyConnection({ port: server.port });
    try {
      assert.deepEqual(await db.pipeline().del("early").incr("early").commit(), [0, 1]);
      assert.deepEqual(await db.pipeline().incr("early").del("early").execPipeline(), [2, 1]);
    } finally {
      db.destroy();
    }
  });

  test("of 300,000 commands is written in pieces, as fast as the server takes them", () => tapped((tap) =>
    withDb({ replyTimeout: 600_000 }, async (db) => {
      const count = 300_000;
      const value = "x".repeat(100);
      const p = db.pipeline();
      for (let i = 0; i < count; i++) p.set(`huge:${i % 1000}`, value);
      p.incr("huge:n");
      tap.bytes = tap.unsent = 0;
      const other = db.ping();
      const sent = p.execPipeline();
      const behind = db.echo("behind");
      const results = await sent;
      assert.ok(tap.bytes > count * 130, `${tap.bytes} bytes`);
      assert.ok(tap.unsent < 2 ** 19, `${tap.unsent} bytes waited in the socket`);
      assert.equal(results.length, count + 1);
      assert.ok(results.every((result, i) => result === (i < count ? "OK" : 1)));
      assert.deepEqual([await other, await behind], ["PONG", "behind"]);
      for (let i = 0; i < count; i++) p.get(`huge:${i % 1000}`);
      const read = await p.commit();
      assert.ok(read.length === count && read.every((result) => result === value));
      await db.flushdb();
    })));

  test("of many big values costs as its values do, however often the server makes it wait", () => withDb({}, async (db) => {
    const value = Buffer.alloc(4096);
    // As much in both, because some machines count the time of a processor in steps of 10 ms.
    const costOf = (pipelines: number): Promise<number> => effort(async () => {
      for (let sent = 0; sent < pipelines; sent++) {
        const pipeline = db.pipeline();
        for (let i = 0; i < 40_000 / pipelines; i++) pipeline.set("big", value);
        await pipeline.execPipeline();
      }
    });
    const least = async (pipelines: number) => Math.min(await costOf(pipelines), await costOf(pipelines), await costOf(pipelines));
    const [eight, one] = [await least(8), await least(1)];
    assert.ok(one < 2 * eight + 50, `${eight} ms in eight pipelines, ${one} ms in one`);
    await db.del("big");
  }));

  test("that is late or aborted is given up as a whole, and shifts no reply", () => withDb({}, async (db) => {
    await db.ready();
    const abort = new AbortController();
    const [aborted, late] = await paused(async () => {
      const slow = db.with({ signal: abort.signal }).pipeline().get("a").incr("n").get("a").execPipeline();
      const hurried = db.with({ replyTimeout: 50 }).pipeline().set("n", 1).echo("later").commit();
      const error = await failure(hurried);
      abort.abort();
      return [await failure(slow), error];
    });
    assert.deepEqual([late.code, late.outcome, late.results.length], ["REPLY_TIMEOUT", "unknown", 2]);
    const { results } = aborted;
    const ends = results.slice(1).map((result: any) => `${result.code} ${result.outcome}`);
    assert.deepEqual([results.length, ends], [3, ["ABORTED unknown", "ABORTED unknown"]]);
    assert.equal(await db.echo("after"), "after");
    assert.equal(await db.getdel("n"), "1", "what was given up was done nevertheless");
  }));
});

describe("a pipeline that commits", () => {
  /** Replies of VSIM and VLINKS, whose members are named by numbers, and of HGETALL, in RESP3. */
  const PEERS = "%3\r\n$2\r\n10\r\n,1\r\n$1\r\n7\r\n,0.5\r\n$1\r\n2\r\n,0.25\r\n";
  const FIELDS = "%2\r\n$1\r\nb\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\n2\r\n";
  const LAYERS = `*2\r\n${PEERS}%0\r\n`;
  const SCORED = [["10", 1], ["7", 0.5], ["2", 0.25]];
  const BEST = [SCORED, { __proto__: null, b: "1", a: "2" }, [SCORED, []]];

  test("sends MULTI, its commands and EXEC in one write on a shared connection, none of the others' among them", () =>
    tapped(async (tap) => {
      const seen: string[] = [];
      const scripted = await ScriptedServer.start(async (peer) => {
        await peer.hello();
        for (;;) {
          const [name] = await peer.read();
          seen.push(name!);
          peer.write(name === "EXEC" ? "*2\r\n+OK\r\n$1\r\n1\r\n" : name === "MULTI" ? "+OK\r\n" : "+QUEUED\r\n");
        }
      });
      try {
        await withDb({ port: scripted.port }, async (db) => {
          await db.ready();
          tap.writes = 0;
          assert.deepEqual(await db.pipeline().set("a", 1).get("a").commit(), ["OK", "1"]);
          assert.equal(tap.writes, 1);
          const [, replies] = await Promise.all([db.ping(), db.pipeline().set("a", 1).get("a").commit(), db.ping()]);
          assert.deepEqual(replies, ["OK", "1"]);
        });
        const transaction = ["MULTI", "SET", "GET", "EXEC"];
        assert.deepEqual(seen, [...transaction, "PING", ...transaction, "PING"]);
      } finally {
        await scripted.stop();
      }
    }));

  test("gives the replies in their shapes, errors of single commands in place", async () => {
    for (const protocol of [2, 3] as const) {
      await withPool({ protocol, poolsize: 2 }, async (db) => {
        await db.del("hash", "text");
        const replies = await db.pipeline()
          .hset("hash", { a: 1 }).hgetall("hash").set("text", "x").incr("text").hgetall("text").zscore("none", "x")
          .zadd("zset", [2.5, "m"]).zrange("zset", 0, -1, { WITHSCORES: true }).del("zset").commit() as any[];
        const [hset, hash, set, incr, wrong, score, zadd, range] = replies;
        assert.deepEqual([hset, hash, set, score], [1, { __proto__: null, a: "1" }, "OK", null]);
        assert.deepEqual([zadd, range], [1, [["m", 2.5]]]);
        assert.ok(incr instanceof ReplyError && wrong instanceof ReplyError);
        assert.deepEqual([incr.command, incr.code, wrong.command, wrong.code], ["INCR", "ERR", "HGETALL", "WRONGTYPE"]);
        assert.deepEqual(await db.pipeline().commit(), []);
        await db.del("hash", "text");
      });
    }
  });

  test("gives members in the server's order, though their names are numbers, beside maps that are objects",
    () => withScript(async (peer) => {
      for (;;) {
        const [name] = await peer.read();
        peer.write(name === "EXEC" ? `*3\r\n${PEERS}${FIELDS}${LAYERS}` : name === "MULTI" ? "+OK\r\n" : "+QUEUED\r\n");
      }
    }, async (db) => {
      const p = db.pipeline().vsim("v", { ELE: "a" }, { WITHSCORES: true }).hgetall("h");
      assert.deepEqual(await p.vlinks("v", "a", { WITHSCORES: true }).commit(), BEST);
      const t = await db.multi();
      void t.vsim("v", { ELE: "a" }, { WITHSCORES: true });
      void t.hgetall("h");
      void t.vlinks("v", "a", { WITHSCORES: true });
      assert.deepEqual(await t.commit(), BEST);
    }));

  test("does nothing when the server refuses one of its commands", () => withDb({}, async (db) => {
    const error = await failure(db.pipeline().set("a", 1).call("NOSUCH").set("b", 1).commit());
    assert.ok(error instanceof PipelineError);
    assert.deepEqual([error.code, error.outcome, error.command], ["EXECABORT", "not-executed", "EXEC"]);
    const [first, second, third] = error.results as any[];
    assert.deepEqual([first, second.code, second.command, third], ["QUEUED", "ERR", "NOSUCH", "QUEUED"]);
    assert.equal(await db.exists("a", "b"), 0);
    assert.deepEqual(await db.pipeline().set("a", 1).del("a").commit(), ["OK", 1]);
  }));

  test("tells as cause the first command that could not be queued, be there one or several", async () => {
    for (const protocol of [2, 3] as const) {
      await withPool({ protocol, poolsize: 2 }, async (db) => {
        const error = await failure(db.pipeline().get("a").call("INCR").set("a", 1).call("NOSUCH").commit());
        assert.deepEqual([error.code, error.outcome, error.command], ["EXECABORT", "not-executed", "EXEC"]);
        assert.equal(error.cause, error.results[1]);
        assert.deepEqual([error.cause.code, error.cause.command, error.cause.outcome], ["ERR", "INCR", "not-executed"]);
        assert.match(error.message, /^EXEC: 2 of 4 commands failed and none was executed, first: ERR wrong number of/);
        assert.equal(error.unavailable, false);
      });
    }
  });

  test("is unavailable when the server could not queue a command for lack of memory", () => withScript(async (peer) => {
    for (;;) {
      const [name] = await peer.read();
      peer.write(name === "EXEC" ? "-EXECABORT Transaction discarded because of previous errors.\r\n"
        : name === "SET" ? "-OOM command not allowed\r\n" : "+QUEUED\r\n");
    }
  }, async (db) => {
    const t = await db.multi();
    t.set("k", 1);
    for (const commit of [() => t.commit(), () => db.pipeline().get("k").set("k", 1).commit()]) {
      const error = await failure(commit());
      assert.deepEqual([error.code, error.cause.code, error.unavailable], ["EXECABORT", "OOM", true]);
    }
  }));

  test("whose EXEC was sent is never called unsent, wherever the pieces of it end", async () => {
    const scripted = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      while ((await peer.read())[0] !== "EXEC");
      peer.end();
    });
    try {
      const set = (value: string) => encoded(commands.set.name, ["a", value]).length;
      const exec = encoded(commands.exec.name, []).length;
      for (let left = 0; left <= exec + 1; left += 3) {
        await withDb({ port: scripted.port }, async (db) => {
          const p = db.pipeline();
          // A piece ends where it has reached 65,536 bytes: before EXEC, or with it.
          const last = 65_536 - left - 70 * set("x".repeat(900)) - set("x".repeat(100));
          for (let i = 0; i < 70; i++) p.set("a", "x".repeat(900));
          p.set("a", "x".repeat(100 + last));
          assert.equal(set("x".repeat(100 + last)), set("x".repeat(100)) + last);
          const error = await failure(p.commit());
          assert.deepEqual([error.code, error.outcome], ["CONNECTION_LOST", "unknown"], `${left} bytes before the end`);
          assert.ok(error.results.every((result: any) => result.outcome === "unknown"));
        });
      }
    } finally {
      await scripted.stop();
    }
  });

  test("that may not begin says so, and does not call undone what was done", async () => {
    await server.call("ACL", "SETUSER", "no-multi", "on", ">secret", "~*", "+@all", "-multi");
    await withDb({ username: "no-multi", password: "secret" }, async (db) => {
      const error = await failure(db.pipeline().set("alone", 1).get("alone").commit());
      assert.ok(error instanceof PipelineError);
      assert.deepEqual([error.code, error.outcome, error.command], ["NOPERM", "unknown", "MULTI"]);
      assert.deepEqual(error.results, ["OK", "1"]);
      await db.del("alone");
    });
    await server.call("ACL", "SETUSER", "no-exec", "on", ">secret", "~*", "+@all", "-exec");
    await withDb({ username: "no-exec", password: "secret" }, async (db) => {
      const error = await failure(db.pipeline().set("alone", 1).commit());
      assert.deepEqual([error.outcome, error.command], ["not-executed", "EXEC"]);
      assert.equal(await db.exists("alone"), 0, "it is no longer inside of MULTI");
    });
    await server.call("ACL", "DELUSER", "no-multi", "no-exec");
  });
});

// ==== 9. Transactions and leases ====

describe("a transaction", () => {
  /** Whether the one connection of this handler is free, and not inside of anything. */
  const assertFree = async (db: Handler, how: string) => {
    assert.equal(await db.with({ replyTimeout: 2_000 }).echo("free"), "free", how);
    assert.match(inspect(db), /: 1 open; 0 pending/, how);
    assert.match(await db.clientInfo(), / flags=N /, how);
  };

  test("queues: each command answers QUEUED, and commit gives what they gave, each in its shape", async () => {
    for (const protocol of [2, 3] as const) {
      await withPool({ protocol, poolsize: 2 }, async (db) => {
        await db.del("t", "hash", "zset", "text");
        const t = await db.multi();
        await typed<"QUEUED">()(t.set("t", 1), true);
        const queued = [
          t.hset("hash", { a: 1 }), t.hgetall("hash"), t.zadd("zset", [1.5, "m"]), t.zscore("zset", "m"),
          t.zincrby("zset", 1, "m"), t.zrange("zset", 0, -1, { WITHSCORES: true }), t.sismember("none", "x"),
          t.call("GET", "t"), t.get("none"), t.time(),
        ];
        assert.deepEqual(await Promise.all(queued), Array(10).fill("QUEUED"));
        const replies = await t.commit();
        const time = replies.pop() as [number, number];
        assert.deepEqual(replies, ["OK", 1, { __proto__: null, a: "1" }, 1, 1.5, 2.5, [["m", 2.5]], 0, "1", null]);
        assert.deepEqual([time.length, Math.abs(Number(time[0]) - Date.now() / 1000) < 60], [2, true]);
        const bytes = await db.with({ charset: null }).multi();
        assert.equal(await bytes.get("t"), "QUEUED");
        assert.deepEqual(await bytes.commit(), [Buffer.from("1")]);
        assert.deepEqual(await (await db.multi()).commit(), []);
        await db.del("t", "hash", "zset");
      });
    }
  });

  test("leaves the errors of single commands in place, as values", () => withDb({}, async (db) => {
    await db.set("text", "x");
    const t = await db.multi();
    for (const call of [t.incr("text"), t.hgetall("text"), t.set("text", "y")]) call.catch(() => {});
    const [incr, wrong, set] = await t.commit() as any[];
    assert.ok(incr instanceof ReplyError && wrong instanceof ReplyError);
    assert.deepEqual([incr.command, incr.code], ["INCR", "ERR"]);
    assert.deepEqual([wrong.command, wrong.code, set], ["HGETALL", "WRONGTYPE", "OK"]);
    assert.equal(await db.getdel("text"), "y");
  }));

  test("that looks first commits when nothing was changed, and rejects with WatchError when something was", () =>
    withPool({ poolsize: 2 }, async (db) => {
      await db.mset({ seen: 1, also: 1 });
      const begins: [how: string, begin: () => Promise<Transaction>][] = [
        ["watch", async () => {
          const t = await db.watch("seen", ["also"]);
          assert.equal(await t.get("seen"), "1");
          return t.multi();
        }],
        ["watch twice", async () => {
          const t = await db.watch("also");
          assert.equal(await t.watch("seen"), t);
          assert.deepEqual(await t.mget("seen", "also"), ["1", "1"]);
          return t.multi();
        }],
        ["multi of keys", () => db.multi(["also", "seen"])],
      ];
      for (const [how, begin] of begins) {
        for (const change of [undefined, "seen", "also", "other"]) {
          const t = await begin();
          t.set("result", how);
          if (change !== undefined) await server.call("SET", change, "1");
          if (change === undefined || change === "other") {
            assert.deepEqual(await t.commit(), ["OK"], how);
            assert.equal(await db.getdel("result"), how);
          } else {
            const error = await failure(t.commit());
            assert.ok(error instanceof WatchError && error instanceof RedisError, String(error));
            assert.deepEqual([error.code, error.outcome], ["WATCH", "not-executed"]);
            assert.equal(await db.exists("result"), 0);
          }
        }
      }
      const t = await db.watch("seen");
      await t.set("seen", 2);
      assert.ok(await failure((await t.multi()).commit()) instanceof WatchError, "also when it changed the key itself");
      assert.match(inspect(db), /: 2 open; 0 pending/);
      await db.del("seen", "also", "other");
    }));

  test("watches the keys of multi() too, and loses none that was watched before", async () => {
    for (const protocol of [2, 3] as const) {
      await withDb({ protocol }, async (db) => {
        const begins: ((look: Watch) => Promise<Transaction>)[] = [
          (look) => look.multi("b"), (look) => look.multi(["b", "c"]), (look) => look.multi(Buffer.from("b")),
        ];
        for (const begin of begins) {
          for (const change of ["a", "b", "other"]) {
            const t = await begin(await db.watch("a"));
            t.set("result", 1);
            await server.call("SET", change, "1");
            if (change === "other") assert.deepEqual(await t.commit(), ["OK"]);
            else assert.ok(await failure(t.commit()) instanceof WatchError, change);
            assert.equal(await db.del("result"), change === "other" ? 1 : 0);
            await assertFree(db, change);
          }
        }
        const look = await db.watch("a");
        const error = await failure(look.multi("b", null as any));
        assert.match(error.message, /^WATCH: argument 2: null cannot/);
        assert.equal(await look.get("b"), "1", "it has not begun");
        assert.deepEqual(await (await look.multi([])).commit(), [], "no keys, but it begins");
        assert.deepEqual(await (await db.multi([])).commit(), []);
        await db.del("a", "b", "other");
      });
    }
  });

  test("does not begin when the server refuses to watch the keys of multi(), and executes nothing", async () => {
    await server.call("ACL", "SETUSER", "only-a", "on", ">secret", "~a", "+@all");
    await withDb({ username: "only-a", password: "secret" }, async (db) => {
      const look = await db.watch("a");
      const begun = failure(look.multi("b"));
      look.set("a", 1);
      const error = await begun;
      assert.deepEqual([error.code, error.command], ["NOPERM", "WATCH"]);
      const over = await failure(look.commit());
      assert.deepEqual([over.code, over.cause.code], ["TRANSACTION_OVER", "NOPERM"]);
      await assertFree(db, "WATCH refused");
      assert.equal(await db.get("a"), null);
    });
    await server.call("ACL", "DELUSER", "only-a");
  });

  test("queues unwatch() after multi(), as the server does: what was watched is looked at nevertheless", async () => {
    for (const protocol of [2, 3] as const) {
      await withDb({ protocol }, async (db) => {
        for (const change of [false, true]) {
          const t = await db.multi("k");
          const calls = [t.set("m", 1), t.unwatch(), t.call("UNWATCH"), t.get("m")];
          assert.deepEqual(await Promise.all(calls), Array(4).fill("QUEUED"));
          if (change) await server.call("SET", "k", "1");
          if (change) assert.ok(await failure(t.commit()) instanceof WatchError);
          else assert.deepEqual(await t.commit(), ["OK", "OK", "OK", "1"]);
          await assertFree(db, `changed: ${change}`);
        }
        await db.del("k", "m");
      });
    }
  });

  test("whose promise is called instead of awaited says what to write, and gives its connection back at once", () =>
    withDb({ leaseTimeout: 1e9, replyTimeout: 5_000 }, async (db) => {
      const id = await db.clientId();
      const chain = "; a chain is db.pipeline().set(...).get(...).commit()";
      const calls: [command: string | undefined, call: (promise: any) => unknown, says: string][] = [
        ["SET", (p) => p.set("k", 1).get("k").exec(), "set(...)"],
        ["ZRANGE", (p) => p.zrange("k"), "zrange(...)"],
        ["CONFIG GET", (p) => p.configGet("*"), "configGet(...)"],
        ["EXEC", (p) => p.exec(), "commit(...)"],
        [undefined, (p) => p.commit(), "commit(...)"],
        [undefined, (p) => p.call("GET", "k"), "call(...)"],
        ["DISCARD", (p) => p.discard(), "discard(...)"],
      ];
      const begins: [from: string, begin: () => Promise<() => Promise<unknown>>][] = [
        ["db.multi", async () => () => db.multi()], ["db.multi", async () => () => db.multi("k", ["m"])],
        ["db.multi", async () => () => db.with({ charset: null }).multi([["set", "k", "1"]] as any)],
        ["db.watch", async () => () => db.watch("k")],
        ["t.multi", async () => {
          const t = await db.watch("k");
          return () => t.multi();
        }],
        ["t.multi", async () => {
          const t = await db.watch("k");
          return () => t.multi("m");
        }],
        ["t.watch", async () => {
          const t = await db.watch("k");
          return () => t.watch("m");
        }],
      ];
      const turns: [when: string, wait: (promise: Promise<unknown>) => unknown][] = [
        ["at once", () => {}], ["when it is written", () => Promise.resolve().then(() => new Promise(process.nextTick))],
        ["when it has begun", (promise) => promise],
      ];
      for (const [from, begin] of begins) {
        for (const [when, wait] of turns) {
          for (const [command, call, says] of when === "at once" ? calls : calls.slice(0, 1)) {
            const promise = (await begin())();
            if (when !== "at once") await wait(promise);
            assert.throws(() => call(promise), (error: any) => {
              assert.ok(error instanceof NotSupportedError, String(error));
              assert.deepEqual([error.code, error.outcome, error.command], ["NOT_SUPPORTED", "not-sent", command]);
              const text = `${from}() returns a promise: write (await ${from}(...)).${says}`;
              const named = command === undefined ? text : `${command}: ${text}`;
              assert.equal(error.message, from.endsWith("multi") ? named + chain : named);
              return true;
            });
            await assertFree(db, `${from}(), ${when}`);
            const t: any = await promise.catch((error) => error);
            const told = t instanceof Error ? t : await failure(t.set("k", 2));
            assert.match([told.message, told.cause?.message].join(), /returns a promise: write/);
            assert.equal(await db.exists("k", "m"), 0);
          }
        }
      }
      assert.equal(await db.clientId(), id, "which is the same as before");
    }));

  test("whose promise is called instead of awaited sends nothing, and waits for nothing", () =>
    withScript(async (peer) => {
      for (;;) {
        const [name] = await peer.read();
        peer.write(name === "ECHO" ? "+free\r\n" : "-ERR nobody asked for this\r\n");
      }
    }, async (db) => {
      await db.echo("free");
      for (const begin of [() => db.multi(), () => db.watch("k"), () => db.multi("k")] as (() => any)[]) {
        assert.throws(() => begin().set("k", 1), NotSupportedError);
        assert.throws(() => begin().set("k", 1), NotSupportedError);
        assert.equal(await db.echo("free"), "free");
        const stop = new AbortController();
        const aborted = failure(db.with({ signal: stop.signal }).multi());
        stop.abort();
        assert.equal((await aborted).outcome, "not-sent");
        assert.match(inspect(db), /: 1 open; /, "what was not sent costs no connection");
      }
    }));

  test("whose promise is called instead of awaited leaves no rejection unhandled, whatever becomes of it", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    try {
      await withDb({}, async (db) => {
        for (const lost of [false, true]) {
          for (const begin of [() => db.multi(), () => db.multi(null as any), () => db.multi("k"), () => db.watch("k")]) {
            const calls = [begin(), begin()] as any[];
            if (lost) void calls.map((promise) => promise.catch(() => {}));
            if (lost) await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
            for (const promise of calls) assert.throws(() => promise.get("k"), NotSupportedError);
            await db.ping();
          }
        }
        const error = await failure(db.transaction(["k"], (t: any) => t.multi().set("k", 1)));
        assert.match(error.message, /^SET: t\.multi\(\) returns a promise/);
        const swallowed = failure(db.transaction(["k"], (t: any) => { try { t.multi().set("k", 1); } catch {} }));
        assert.match((await swallowed).cause.message, /^SET: t\.multi\(\) returns a promise/);
        assert.equal(await db.exists("k"), 0);
      });
      const db = lazyConnection({ port: await freePort() });
      assert.throws(() => (db as any).multi().set("k", 1), NotSupportedError);
      await db.disconnect();
      assert.throws(() => (db as any).multi().set("k", 1), NotSupportedError);
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      assert.deepEqual(unhandled, []);
    } finally {
      process.off("unhandledRejection", note);
    }
  });

  test("has a promise with every command of the table, and is a promise like any other", () => withDb({}, async (db) => {
    const promise = db.multi() as any;
    for (const name of Object.keys(commands)) assert.equal(typeof promise[name], "function", name);
    assert.ok(promise instanceof Promise);
    const [[t], same] = await Promise.all([Promise.all([promise]), promise.finally(() => {})]);
    assert.equal(t, same);
    assert.equal(promise.then(() => {}).constructor, Promise);
    assert.deepEqual(await t.commit(), []);
  }));

  test("has a connection of its own, and others' commands do not get in between", async () => {
    await withPool({ poolsize: 3 }, async (db) => {
      const [t, u] = await Promise.all([db.watch("a"), db.watch("a")]);
      const ids = await Promise.all([t.clientId(), u.clientId(), db.clientId()]);
      assert.equal(new Set(ids).size, 3);
      await Promise.all([t.unwatch(), u.unwatch()]);
      const [first, second, v] = await Promise.all([db.clientId(), db.clientId(), db.watch("a")]);
      assert.equal(first, second);
      assert.notEqual(await v.clientId(), first, "an idle one is taken, if there is one");
      await v.unwatch();
    });
    await withDb({}, async (db) => {
      const t = await db.multi();
      const outside = db.incr("outside");
      const next = db.multi();
      t.set("inside", 1);
      assert.equal(inspect(db).includes("1 lent; 3 pending"), true, inspect(db));
      assert.deepEqual(await t.commit(), ["OK"]);
      assert.equal(await outside, 1);
      assert.deepEqual(await (await next).commit(), []);
      await db.del("inside", "outside");
    });
  });

  test("gives its connection back however it ends", () => withDb({ leaseTimeout: 60_000 }, async (db) => {
    await server.call("SET", "k", "0");
    const id = await db.clientId();
    const ends: [how: string, end: () => Promise<unknown>][] = [
      ["commit", async () => (await db.multi()).commit()],
      ["discard", async () => {
        const t = await db.multi();
        t.set("k", 1);
        assert.equal(await t.discard(), "OK");
      }],
      ["unwatch", async () => assert.equal(await (await db.watch("k")).unwatch(), "OK")],
      ["discard without multi()", async () => assert.equal(await (await db.watch("k")).discard(), "OK")],
      ["await using", async () => {
        const t = await db.watch("k");
        t.set("m", 1);
        await t[Symbol.asyncDispose]();
        await t[Symbol.asyncDispose]();
      }],
      ["a changed key", async () => {
        const t = await db.multi("k");
        await server.call("SET", "k", "0");
        assert.ok(await failure(t.commit()) instanceof WatchError);
      }],
      ["a command refused by the server", async () => {
        const t = await db.multi();
        assert.equal((await failure(t.call("NOSUCH"))).code, "ERR");
        t.set("k", 1);
        const error = await failure(t.commit());
        assert.ok(error instanceof ReplyError);
        assert.deepEqual([error.code, error.outcome], ["EXECABORT", "not-executed"]);
      }],
      ["discard after a command refused by the server", async () => {
        const t = await db.multi();
        t.call("NOSUCH").catch(() => {});
        await t.discard();
      }],
      ["watch refused by the server", async () => assert.equal((await failure(db.watch([]))).code, "ERR")],
      ["watch of what is no key", async () => assert.ok(await failure(db.watch(null as any)) instanceof TypeError)],
      ["multi of what is no key", async () => {
        const error = await failure(db.multi("k", null as any));
        assert.match(error.message, /^WATCH: argument 2: null cannot/);
      }],
      ["a body that throws", async () => assert.rejects(db.transaction(["k"], async (t) => {
        (await t.multi()).set("k", 1);
        throw new Error("no");
      }), /^Error: no$/)],
      ["a body that does nothing", async () => assert.deepEqual(await db.transaction(["k"], () => {}), [])],
      ["a body that ends it itself", async () => assert.deepEqual(await db.transaction(["k"], (t) => t.unwatch()), [])],
    ];
    for (const [how, end] of ends) {
      await end();
      await assertFree(db, how);
      assert.equal(await db.clientId(), id, `${how} costs no connection`);
      await server.call("SET", "m", "0");
      await server.call("APPEND", "k", "");
      assert.deepEqual(await db.pipeline().get("k").commit(), ["0"], `${how} leaves nothing done and nothing watched`);
    }
    const gone: [how: string, end: () => Promise<unknown>][] = [
      ["an aborted call", async () => {
        const abort = new AbortController();
        const t = await db.with({ signal: abort.signal }).multi();
        const call = failure(t.set("k", 1));
        abort.abort();
        assert.equal((await call).code, "ABORTED");
        assert.equal((await failure(t.commit())).outcome, "not-sent");
      }],
      ["a timeout", async () => {
        const t = await db.with({ replyTimeout: 500 }).watch("k");
        assert.equal((await failure(paused(() => t.set("m", 1)))).outcome, "unknown");
        assert.equal((await failure(t.multi())).code, "TRANSACTION_OVER");
      }],
      ["a lost connection", async () => {
        const t = await db.multi();
        await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        assert.equal((await failure(t.commit())).code, "CONNECTION_LOST");
      }],
    ];
    for (const [how, end] of gone) {
      await end();
      await assertFree(db, how);
      assert.deepEqual(await db.pipeline().get("k").commit(), ["0"], how);
    }
    await db.del("k", "m");
  }));

  test("whose MULTI or DISCARD is refused gives its connection back outside of everything, or not at all", async () => {
    await server.call("ACL", "SETUSER", "no-multi", "on", ">secret", "~*", "+@all", "-multi");
    await server.call("ACL", "SETUSER", "no-discard", "on", ">secret", "~*", "+@all", "-discard", "-unwatch");
    try {
      await withDb({ username: "no-multi", password: "secret" }, async (db) => {
        for (const begin of [() => db.multi(), () => db.multi("k"), async () => (await db.watch("k")).multi()]) {
          assert.equal((await failure(begin())).code, "NOPERM");
          await assertFree(db, "MULTI refused");
        }
        const t = await db.watch("k");
        await failure(t.multi());
        const error = await failure((t as unknown as Transaction).set("k", 1));
        assert.deepEqual([error.code, error.outcome, error.cause.code], ["TRANSACTION_OVER", "not-sent", "NOPERM"]);
        assert.equal(error.unavailable, false);
        assert.equal(await db.exists("k"), 0);
      });
      await withDb({ username: "no-discard", password: "secret" }, async (db) => {
        const t = await db.multi();
        t.set("k", 1);
        assert.equal((await failure(t.discard())).code, "NOPERM");
        await assertFree(db, "DISCARD refused");
        const u = await db.watch("k");
        assert.equal((await failure(u.unwatch())).code, "NOPERM");
        await server.call("SET", "k", "0");
        assert.deepEqual(await db.pipeline().get("k").del("k").commit(), ["0", 1], "the keys are not watched any more");
      });
    } finally {
      await server.call("ACL", "DELUSER", "no-multi", "no-discard");
    }
  });

  test("that is over says so, whatever is asked of it, and sends nothing", () => withDb({}, async (db) => {
    const ends: ((t: any) => Promise<unknown>)[] = [
      (t) => t.commit(), (t) => t.discard(), async (t) => {
        await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await failure(t.get("a"));
      },
    ];
    for (const end of ends) {
      const t = await db.multi() as any;
      await end(t);
      await db.ping();
      await server.call("CONFIG", "RESETSTAT");
      for (const name of ["commit", "discard", "multi", "unwatch", "watch", "get", "set", "call"]) {
        const error = await failure(t[name]("a", "b"));
        assert.ok(error instanceof NotSupportedError, `${name}: ${error}`);
        assert.deepEqual([error.code, error.outcome], ["TRANSACTION_OVER", "not-sent"], name);
        assert.match(error.message, /this transaction is over/);
      }
      await t[Symbol.asyncDispose]();
      const stats = await server.call("INFO", "commandstats");
      assert.doesNotMatch(stats, /cmdstat_(exec|discard|multi|unwatch|watch|get|set|a):/);
    }
  }));

  test("tells what comes in the wrong order, and goes on", () => withDb({}, async (db) => {
    const t = await db.watch("a") as any;
    const said: string[] = [];
    const ask = async (name: string) => said.push((await failure(t[name]("a"))).message);
    await ask("commit");
    await t.multi();
    for (const name of ["multi", "watch", "exec"]) await ask(name);
    assert.deepEqual(said.slice(0, 3), ["call this after multi()", ...Array(2).fill("call this before multi()")]);
    assert.match(said[3]!, /^EXEC: /);
    t.set("a", 1);
    assert.deepEqual(await t.discard(), "OK");
    await assertFree(db, "discard");
    for (const name of ["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"]) {
      const error = await failure(db.call(name));
      assert.ok(error instanceof NotSupportedError);
      assert.match(error.message, new RegExp(`^${name}: .*use instead: (multi\\(\\)|watch\\(\\)|execPipeline)`));
      assert.equal(error.outcome, "not-sent");
    }
    assert.throws(() => (db as any).commit(), { name: "TypeError", message: /commit is not a function/ });
  }));

  test("with a call that cannot be sent commits nothing, rather than the rest", () => withDb({}, async (db) => {
    const wrong: [call: (t: any) => Promise<unknown>, kind: Function][] = [
      [(t) => t.set("k", null), TypeError],
      [(t) => t.set("k", { EX: {} }), TypeError],
      [(t) => t.call("SET", "k", NaN), TypeError],
      [(t) => t.call("SE T"), TypeError],
      [(t) => t.select(1), NotSupportedError],
    ];
    for (const [call, kind] of wrong) {
      const t = await db.multi();
      t.set("before", 1);
      assert.ok(await failure(call(t)) instanceof kind);
      assert.equal(await t.set("after", 1), "QUEUED");
      const error = await failure(t.commit());
      assert.ok(error instanceof kind, String(error));
      assert.equal((error as RedisError).outcome, "not-sent");
      await assertFree(db, String(call));
      assert.equal(await db.exists("before", "after", "k"), 0);
    }
  }));

  test("whose promises nobody awaits leaves no rejection unhandled", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    try {
      await withDb({}, async (db) => {
        for (const end of ["refused", "killed", "over", "wrong", "aborted", "forgotten"]) {
          const abort = new AbortController();
          const t = await db.with({ signal: abort.signal }).multi() as any;
          t.set("k", 1);
          if (end === "refused") t.call("NOSUCH");
          if (end === "killed") await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
          if (end === "over") await t.discard();
          if (end === "wrong") t.set("k", null);
          if (end === "aborted") abort.abort();
          for (let i = 0; i < 3; i++) {
            t.set("k", i);
            await new Promise(setImmediate);
          }
          if (end === "forgotten") await t.discard();
          else await failure(t.commit());
        }
        await db.ping();
      });
      await new Promise(setImmediate);
      assert.deepEqual(unhandled, []);
    } finally {
      process.off("unhandledRejection", note);
    }
  });

  test("tells as cause the first command that the server did not queue, though nobody awaits the calls", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    try {
      for (const protocol of [2, 3] as const) {
        await withDb({ protocol }, async (db) => {
          const queue = (t: any) => {
            for (const args of [["SET", "k", 1], ["INCR"], ["NOSUCH"], ["GET"]]) t.call(...args);
          };
          const begins: [how: string, run: () => Promise<unknown>][] = [
            ["multi()", async () => {
              const t = await db.multi();
              queue(t);
              return t.commit();
            }],
            ["watch() and an error before multi()", async () => {
              const look = await db.watch("k");
              assert.equal((await failure(look.call("SET"))).code, "ERR");
              const t = await look.multi();
              queue(t);
              await new Promise(setImmediate);
              return t.commit();
            }],
            ["transaction()", () => db.transaction(["k"], async (t) => queue(await t.multi()))],
          ];
          for (const [how, run] of begins) {
            const error = await failure(run());
            assert.ok(error instanceof ReplyError, how);
            assert.deepEqual([error.code, error.command, error.outcome], ["EXECABORT", "EXEC", "not-executed"], how);
            const { code, command, message } = error.cause as ReplyError;
            assert.deepEqual([code, command], ["ERR", "INCR"], how);
            assert.match(message, /^ERR wrong number of arguments/);
            await assertFree(db, how);
          }
          assert.equal(await db.exists("k"), 0);
        });
      }
      await new Promise(setImmediate);
      assert.deepEqual(unhandled, []);
    } finally {
      process.off("unhandledRejection", note);
    }
  });

  test("that cannot be ended because its signal was aborted gives its connection back", () =>
    withDb({ leaseTimeout: 60_000, replyTimeout: 2_000 }, async (db) => {
      for (const isQueueing of [false, true]) {
        const stop = new AbortController();
        const ending = db.with({ signal: stop.signal }).transaction(["k"], async (t) => {
          await t.get("k");
          if (isQueueing) await t.multi();
          stop.abort();
        });
        assert.equal((await failure(ending)).code, "ABORTED");
        assert.equal(await db.ping(), "PONG");
      }
    }));

  test("that is left alone for leaseTimeout loses its connection to the others; one in use does not", async () => {
    for (const begin of ["multi", "watch"] as const) {
      await withPool({ poolsize: 2, leaseTimeout: 400 }, async (db) => {
        await db.set("k", 0);
        const left = await db[begin]("k") as any;
        await left.set("k", 1);
        const used = await db.watch("m");
        const waits = db.echo("served");
        let served = false;
        const done = () => {
          served = true;
        };
        waits.then(done, done);
        while (!served) {
          await used.get("k");
          await sleep(10);
        }
        assert.equal(await waits, "served");
        const error = await failure(begin === "multi" ? left.commit() : left.get("k"));
        assert.ok(error instanceof TimeoutError, String(error));
        assert.deepEqual([error.code, error.outcome], ["LEASE_EXPIRED", "not-sent"]);
        assert.equal((await failure(left.commit())).code, "TRANSACTION_OVER");
        assert.equal(await used.get("k"), begin === "multi" ? "0" : "1");
        assert.deepEqual(await (await used.multi()).commit(), []);
        await until(() => inspect(db).includes(": 2 open; 0 pending"), "the pool to be whole again");
        await db.del("k");
      });
    }
  });

  test("does not run in part when its connection dies, after whichever command, awaited or not", async () => {
    for (const awaited of [true, false]) {
      for (let died = 0; died <= 4; died++) {
        const elsewhere: string[] = [];
        const scripted = await ScriptedServer.start(async (peer) => {
          await peer.hello();
          if (died === 0 && peer.id === 1) await peer.read(); // or it would begin, rightly, on another connection
          for (let i = 0; peer.id > 1 || i < died; i++) {
            const [name] = await peer.read();
            if (peer.id > 1) elsewhere.push(name!);
            if (peer.id === 1 && i === 3) break;
            peer.write(name === "MULTI" ? "+OK\r\n" : peer.id > 1 ? "+PONG\r\n" : "+QUEUED\r\n");
          }
          peer.end();
        });
        try {
          await withDb({ port: scripted.port }, async (db) => {
            const run = async () => {
              const t = await db.multi();
              for (const key of ["a", "b"]) {
                const call = t.set(key, 1);
                if (awaited) await call.catch(() => {});
              }
              return t.commit();
            };
            const error = await failure(run());
            assert.ok(["CONNECTION_LOST", "TRANSACTION_OVER"].includes(error.code), String(error));
            assert.notEqual(error.outcome, "not-executed");
            if (died === 4) assert.equal(error.outcome, "unknown", "EXEC was sent");
            assert.equal(await db.ping(), "PONG");
          });
          assert.deepEqual(elsewhere, ["PING"], `died after ${died} commands, awaited: ${awaited}`);
        } finally {
          await scripted.stop();
        }
      }
    }
  });

  test("does not run on another connection what its own did not take any more", () => tapped(async (tap) => {
    const elsewhere: string[] = [];
    const scripted = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      for (;;) {
        const [name] = await peer.read();
        if (peer.id > 1) elsewhere.push(name!);
        peer.write(name === "MULTI" ? "+OK\r\n" : "+PONG\r\n");
      }
    });
    try {
      await withDb({ port: scripted.port }, async (db) => {
        const t = await db.multi();
        tap.limit = 0;
        const calls = [failure(t.set("big", Buffer.alloc(2 ** 20)))];
        await new Promise(setImmediate);
        calls.push(failure(t.set("tail", 1)), failure(t.set("tail", 2)), failure(t.commit()));
        await new Promise(setImmediate);
        tap.limit = Infinity;
        scripted.peers[0]!.reset();
        const errors = await Promise.all(calls);
        assert.deepEqual(errors.map(({ code }) => code), Array(4).fill("CONNECTION_LOST"));
        assert.deepEqual(errors.map(({ outcome }) => outcome), ["unknown", "not-sent", "not-sent", "not-sent"]);
        assert.equal(await db.ping(), "PONG");
      });
      assert.deepEqual(elsewhere, ["PING"]);
    } finally {
      await scripted.stop();
    }
  }));

  test("never commits after its watch was lost with its connection", () => withDb({}, async (db) => {
    await db.set("k", 1);
    for (const when of ["before multi()", "after multi()", "after the last command"]) {
      const t = await db.watch("k");
      const kill = async (at: string) => {
        if (when !== at) return;
        await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await server.call("SET", "k", "1");
        assert.equal(await db.get("k"), "1", "there is a new connection");
      };
      const error = await failure((async () => {
        await kill("before multi()");
        const m = await t.multi();
        await kill("after multi()");
        m.set("k", 2);
        await kill("after the last command");
        return m.commit();
      })());
      assert.ok(error instanceof RedisError && !(error instanceof WatchError), String(error));
      assert.notEqual(error.outcome, "not-executed");
      assert.equal(await db.get("k"), "1", when);
    }
    await db.del("k");
  }));
});

describe("transaction()", () => {
  test("watches, runs the body, commits, and gives the replies", () => withPool({ poolsize: 2 }, async (db) => {
    await db.set("n", 5);
    const replies = await db.transaction(["n"], async (t) => {
      const n = Number(await t.get("n"));
      const m = await t.multi();
      m.set("n", n * 2);
      m.get("n");
    });
    assert.deepEqual(replies, ["OK", "10"]);
    await db.del("n");
  }));

  test("begins again when a watched key was changed, after a random pause that grows, and gives up in the end", () =>
    withDb({}, async (db) => {
      const { after, random } = world;
      const pauses: number[] = [];
      world.random = () => 0.999;
      world.after = (delay, task) => {
        if (delay <= 50) pauses.push(Math.round(delay));
        return after(delay, task);
      };
      try {
        await db.set("n", 0);
        let runs = 0;
        const body = (changes: number) => async (t: Watch) => {
          const n = Number(await t.get("n"));
          if (++runs <= changes) await server.call("INCR", "n");
          (await t.multi()).set("n", n + 100);
        };
        assert.deepEqual(await db.transaction(["n"], body(3)), ["OK"]);
        assert.deepEqual([runs, await db.get("n"), pauses.splice(0)], [4, "103", [2, 4, 8]]);
        runs = 0;
        const error = await failure(db.transaction(["n"], body(Infinity), { attempts: 8 }));
        assert.ok(error instanceof WatchError);
        assert.deepEqual([runs, await db.get("n"), pauses], [8, "111", [2, 4, 8, 16, 32, 50, 50]]);
        await db.del("n");
      } finally {
        Object.assign(world, { after, random });
      }
    }));

  test("without keys watches nothing, and runs once", async () => {
    for (const protocol of [2, 3] as const) {
      await withDb({ protocol }, async (db) => {
        await db.set("n", 5);
        await server.call("CONFIG", "RESETSTAT");
        const doubled = await db.transaction([], async (t) => {
          const n = Number(await t.get("n"));
          await server.call("SET", "n", "6");
          (await t.multi()).incrby("n", n);
        });
        assert.deepEqual(doubled, [11]);
        assert.deepEqual(await db.transaction([[]], async (t) => void (await t.multi()).get("n")), ["11"]);
        assert.deepEqual(await db.transaction([], () => {}), []);
        assert.doesNotMatch(await server.call("INFO", "commandstats"), /cmdstat_watch/);
        const thrown = await failure(db.transaction([], () => { throw new Error("no"); }));
        assert.equal(thrown.message, "no");
        let runs = 0;
        const watching = db.transaction([], async (t) => {
          if (++runs < 3) void (await t.multi("n")).incr("n"), await server.call("INCR", "n");
          else (await t.multi()).get("n");
        });
        assert.deepEqual([await watching, runs], [["13"], 3], "but it begins again if the body watches");
        assert.match(inspect(db), /: 1 open; 0 pending/);
        await db.del("n");
      });
    }
  });

  test("is rejected when its connection was lost after something was queued, though the body ended well", () =>
    withDb({}, async (db) => {
      const error = await failure(db.transaction(["k"], async (t) => {
        const id = await t.clientId();
        const m = await t.multi();
        await server.call("CLIENT", "KILL", "ID", String(id));
        await failure(m.set("k", 1));
      }));
      assert.deepEqual([error.code, error.outcome], ["TRANSACTION_OVER", "not-sent"]);
      assert.deepEqual([error.cause.code, error.unavailable], ["CONNECTION_LOST", true]);
      assert.equal(await db.get("k"), null);
    }));

  test("names keys, a body and options that cannot be, and watches nothing", () => withDb({}, async (db) => {
    await db.ping();
    await server.call("CONFIG", "RESETSTAT");
    const wrong: [args: unknown[], says: RegExp][] = [
      [["stock", () => {}], /keys/],
      [[undefined, () => {}], /keys/],
      [[["k", null], () => {}], /argument 2: null cannot/],
      [[["k"], "body"], /body/],
      [[["k"]], /body/],
      ...[0, -1, 1.5, "3", NaN].map((attempts): [unknown[], RegExp] => [[["k"], () => {}, { attempts }], /attempts/]),
    ];
    for (const [args, says] of wrong) {
      const error = await failure((async () => (db as any).transaction(...args))());
      assert.ok(error instanceof TypeError, `${args}: ${error}`);
      assert.match(error.message, says);
    }
    assert.doesNotMatch(await server.call("INFO", "commandstats"), /cmdstat_watch/);
  }));

  test("of 16 callers that increment one counter, connections killed meanwhile, loses and doubles nothing", () =>
    withPool({ poolsize: 8, name: "optimists" }, async (db) => {
      await db.set("counter", 0);
      const each = 500;
      const became = { acknowledged: 0, unknown: 0, failed: 0 };
      const random = reference.random(16);
      const { count: countCall, killed } = killing("optimists", 100, random);
      const increment = () => db.transaction(["counter"], async (t) => {
        const n = Number(await t.get("counter"));
        (await t.multi()).set("counter", n + 1);
      });
      await Promise.all(Array.from({ length: 16 }, async () => {
        for (let done = 0; done < each;) {
          countCall();
          try {
            assert.deepEqual(await increment(), ["OK"]);
            became.acknowledged++;
            done++;
          } catch (error) {
            assert.ok(error instanceof RedisError, String(error));
            if (error.outcome === "unknown") {
              became.unknown++;
              done++;
            } else became.failed++;
          }
        }
      }));
      assert.ok(await killed() > 10);
      const count = Number(await server.call("GET", "counter"));
      const { acknowledged, unknown } = became;
      assert.ok(count >= acknowledged && count <= acknowledged + unknown, `${count}: ${inspect(became)}`);
      assert.ok(acknowledged > 16 * each / 2, inspect(became));
      await db.del("counter");
    }));
});

describe("a lease", () => {
  /** Commands that change their connection, the line of CLIENT LIST that shows it, and the protocol that they need. */
  const changes: [how: string, change: (c: LeasedConnection) => Promise<unknown>, shows: RegExp][] = [
    ["SELECT", (c) => c.select(5), / db=5 /],
    ["CLIENT SETNAME", (c) => c.clientSetname("renamed"), / name=renamed /],
    ["AUTH", (c) => c.auth("tenant", "pw"), / user=tenant /],
    ["HELLO to another protocol", (c) => c.hello(2), / name=leases /],
    ["HELLO with a login and a name", (c) => c.hello(3, { AUTH: ["tenant", "pw"], SETNAME: "hi" }), / name=hi .* user=tenant /],
    ["RESET", (c) => c.reset(), / name= .* db=0 /],
    ["CLIENT TRACKING", (c) => c.clientTracking("ON", { BCAST: true }), / flags=[A-Z]*[tB]/],
    ["call()", (c) => c.call("select", 6), / db=6 /],
    ["a pipeline", (c) => c.pipeline().call("SELECT", 7).get("k").execPipeline(), / db=7 /],
    ["a pipeline that is committed", (c) => c.pipeline().call("SELECT", 8).commit(), / db=8 /],
    ["a transaction in it", async (c) => {
      const t = await c.multi();
      void t.call("SELECT", 9);
      return t.commit();
    }, / db=9 /],
  ];

  test("sends what changes its connection, which is closed afterwards: nobody else gets it so", async () => {
    await server.call("ACL", "SETUSER", "tenant", "on", ">pw", "~*", "+@all");
    for (const protocol of [3, 2] as const) for (const poolsize of [1, 2]) {
      await withPool({ protocol, poolsize, dbid: 3, name: "leases" }, async (db) => {
        await db.ready();
        for (const [how, change, shows] of changes) {
          if (isOld() && how.startsWith("CLIENT TRACKING")) continue;
          if (protocol === 2 && how.startsWith("CLIENT TRACKING")) continue; // RESP2 needs REDIRECT
          const id = await db.lease(async (c) => {
            assert.match(await ownLine(c as any), / name=leases .* db=3 /, how);
            await change(c);
            assert.match(await ownLine(c as any), shows, how);
            await c.set("where", how);
            assert.equal(await c.get("where"), how);
            return c.clientId();
          });
          for (let i = 0; i < 2 * poolsize; i++) {
            assert.match(await ownLine(db), / name=leases .* flags=N db=3 .* user=default/, how);
            await db.lease(async (c) => {
              assert.notEqual(await c.clientId(), id, how);
              assert.match(await ownLine(c as any), / name=leases .* flags=N db=3 .* user=default/, how);
            });
          }
          await until(async () => !new RegExp(`^id=${id} `, "m").test(await db.clientList()), `its connection to end: ${how}`);
        }
        await until(() => inspect(db).includes(`: ${poolsize} open; 0 pending`), "the pool to be whole again");
      });
    }
    await server.call("ACL", "DELUSER", "tenant");
  });

  test("in which nothing was changed gives its connection back as it was, whatever was done there", () =>
    withPool({ poolsize: 2 }, async (db) => {
      await db.ready();
      await db.del("list", "text");
      const ids = new Set<number>();
      const uses: ((c: LeasedConnection) => unknown)[] = [
        () => {}, (c) => c.set("text", "x"), (c) => c.incr("text").catch(() => {}), (c) => c.call("NOSUCH").catch(() => {}),
        (c) => c.blpop("list", 0.01), (c) => c.pipeline().get("text").incr("n").execPipeline(),
        (c) => c.pipeline().get("text").commit(), async (c) => (await c.multi()).commit(),
        async (c) => (await c.multi("text")).discard(), async (c) => (await c.watch("text")).unwatch(),
        (c) => c.with({ charset: null }).get("text"), (c) => void c.get("text"),
        (c) => (c as any).subscribe("a").catch(() => {}), (c) => c.set("k", null as any).catch(() => {}),
        (c) => script<number>("return 1")(c), () => { throw new Error("of the body"); },
      ];
      for (const use of uses) {
        await db.lease(async (c) => {
          ids.add(await c.clientId());
          return use(c);
        }).catch((error) => assert.equal(error.message, "of the body"));
        assert.match(inspect(db), /: 2 open; 0 pending/, String(use));
        assert.match(await db.clientInfo(), / flags=N /);
      }
      assert.ok(ids.size <= 2, [...ids].join());
      await db.del("n", "text");
    }));

  test("resolves as its body does, and rejects with what that throws, at once or later", () => withDb({}, async (db) => {
    const wrong = new Error("of the body");
    assert.equal(await db.lease(() => 5), 5);
    assert.deepEqual(await db.lease(async (c) => [await c.ping()]), ["PONG"]);
    assert.equal(await failure(db.lease(() => { throw wrong; })), wrong);
    assert.equal(await failure(db.lease(async (c) => {
      await c.select(1);
      throw wrong;
    })), wrong);
    assert.match(await ownLine(db), / db=0 /);
    for (const body of [undefined, "body", {}]) {
      const error = await failure(db.lease(body as any));
      assert.ok(error instanceof TypeError && /body of lease\(\) must be a function/.test(error.message), String(error));
    }
  }));

  test("alone takes the commands that need one; the error on a shared connection names lease(), and nothing is sent", async () => {
    const sent: string[] = [];
    await withScript(async (peer) => {
      for (;;) {
        const words = await peer.read();
        sent.push(words.join(" "));
        peer.write(words[0] === "MULTI" ? "+OK\r\n" : words[0] === "EXEC" ? "*0\r\n" : words[0] === "PING" ? "+PONG\r\n" : "+OK\r\n");
      }
    }, async (db) => {
      await db.ready();
      const wanted = rows.filter(([, { kind }]) => kind === "leased");
      assert.ok(wanted.length > 15);
      for (const [method, row] of wanted) {
        const [args, words] = samples[method]!;
        const [name, ...rest] = row.name.text.split(" ") as [string, ...string[]];
        const t = await db.multi() as any;
        const refusals: [how: string, call: () => unknown][] = [
          ["a handler", () => (db as any)[method](...args)], ["call()", () => db.call(name, ...rest, ...args)],
          ["a pipeline", () => (db.pipeline() as any)[method](...args)],
          ["a transaction", () => t[method](...args)],
        ];
        for (const [how, call] of refusals) {
          const error = await failure((async () => call())());
          assert.ok(error instanceof NotSupportedError, `${how}: ${error}`);
          assert.deepEqual([error.code, error.outcome, error.command], ["NOT_SUPPORTED", "not-sent", row.name.text], how);
          assert.match(error.message, /this needs a connection of its own; use instead: (.*, or )?lease\(\)$/, how);
        }
        await t.discard();
        await db.ping();
        sent.length = 0;
        await db.lease(async (c) => void await (c as any)[method](...args));
        assert.deepEqual([sent.shift(), await db.ping()], [words, "PONG"]);
      }
    });
  });

  test("does not send what the driver itself relies on, and says what does", () => withDb({}, async (db) => {
    const barred = rows.filter(([, { kind }]) => kind === "session");
    for (const name of ["CLIENT REPLY", "SUBSCRIBE", "MONITOR", "MULTI", "EXEC", "QUIT", "SYNC", "SCRIPT DEBUG"]) {
      assert.ok(barred.some(([, row]) => row.name.text === name), name);
    }
    await db.lease(async (c) => {
      const id = await c.clientId();
      for (const [method, row] of barred) {
        const [args] = samples[method]!;
        const [name, ...rest] = row.name.text.split(" ") as [string, ...string[]];
        const calls: (() => unknown)[] = [() => c.call(name, ...rest, ...args), () => c.pipeline().call(name, ...rest, ...args)];
        if (!/^(multi|watch)$/.test(method)) calls.push(() => (c as any)[method](...args));
        for (const call of calls) {
          const error = await failure((async () => call())());
          assert.ok(error instanceof NotSupportedError, `${method}: ${error}`);
          assert.match(error.message, /this does not run in a lease; use instead: /);
        }
      }
      assert.equal(await c.clientId(), id);
    });
  }));

  test("that is over sends nothing any more: a call is refused, late or left over, in whatever form", () =>
    withPool({ poolsize: 2 }, async (db) => {
      await db.del("late");
      for (const isChanged of [false, true]) {
        let left!: LeasedConnection;
        await db.lease(async (c) => {
          left = c;
          if (isChanged) await c.select(1);
        });
        const pipeline = left.pipeline().set("late", 1);
        const calls: [how: string, call: () => Promise<unknown>][] = [
          ["a command", () => left.set("late", 1)], ["call()", () => left.call("SET", "late", 1)],
          ["a view", () => left.with({ charset: null }).set("late", 1)], ["one that needs it", () => left.select(1)],
          ["a transaction", () => left.multi()], ["a watch", () => left.watch("late")],
          ["a script", () => script("return 1")(left)],
        ];
        for (const [how, call] of calls) {
          const error = await failure(call());
          assert.ok(error instanceof NotSupportedError, `${how}: ${error}`);
          assert.deepEqual([error.code, error.outcome], ["LEASE_OVER", "not-sent"], how);
          assert.match(error.message, /this lease is over/);
        }
        for (const send of ["execPipeline", "commit"] as const) {
          const error = await failure(left.pipeline().set("late", 1)[send]());
          assert.deepEqual([error.code, error.outcome], ["LEASE_OVER", "not-sent"], send);
        }
        assert.equal((await pipeline.execPipeline({ errors: "return" }) as any)[0].code, "LEASE_OVER");
        assert.equal(await db.exists("late"), 0);
      }
    }));

  test("waits at its end for commands that were not awaited; one that still blocks ends with its connection", () =>
    withPool({ poolsize: 2 }, async (db) => {
      await db.del("n", "empty");
      const replies: unknown[] = [];
      let last: Promise<unknown> | undefined;
      await db.lease((c) => {
        for (let i = 0; i < 3; i++) void c.incr("n").then((n) => replies.push(n));
        last = c.pipeline().incr("n").execPipeline();
      });
      assert.deepEqual(replies, [1, 2, 3]);
      assert.deepEqual(await last, [4]);
      assert.match(inspect(db), /: 2 open; 0 pending/);
      let popped!: Promise<any>;
      await db.lease(async (c) => {
        popped = failure(c.blpop("empty", 0));
        await until(async () => /cmd=blpop/.test(await db.clientList()), "it to block");
      });
      await until(() => inspect(db).includes(": 2 open; 0 pending"), "the pool to be whole again");
      assert.deepEqual([(await popped).code, (await popped).outcome], ["CONNECTION_LOST", "unknown"]);
      await db.rpush("empty", "x");
      assert.equal(await db.lpop("empty"), "x", "the server does not wait for it any more");
      await db.del("n");
    }));

  test("whose blocking command was aborted or late is closed at its end, because the server may still wait for it", () =>
    withPool({ poolsize: 1, replyTimeout: 1_000 }, async (db) => {
      await db.del("empty");
      const id = await db.lease(async (c) => {
        const abort = new AbortController();
        const popped = failure(c.with({ signal: abort.signal }).blpop("empty", 0));
        await new Promise(setImmediate);
        abort.abort();
        assert.equal((await popped).code, "ABORTED");
        return db.with({ replyTimeout: 1 }).call("CLIENT", "ID").catch(() => 0);
      });
      assert.equal(id, 0, "the only connection was lent");
      assert.equal(await db.rpush("empty", "x"), 1);
      assert.equal(await db.lpop("empty"), "x");
    }));

  test("runs transactions and pipelines on its connection; while one is open, nothing else would be queued in it", () =>
    withPool({ poolsize: 2 }, async (db) => {
      await db.del("a", "b");
      await db.lease(async (c) => {
        const id = await c.clientId();
        assert.deepEqual(await c.pipeline().clientId().set("a", 1).execPipeline(), [id, "OK"]);
        assert.deepEqual(await c.pipeline().clientId().incr("a").commit(), [id, 2]);
        const t = await c.watch("a");
        assert.deepEqual([await t.get("a"), await t.clientId()], ["2", id]);
        for (const call of [() => c.get("a"), () => c.multi(), () => c.watch("b"), () => c.with({}).set("b", 1), () => c.select(1)]) {
          const error = await failure(call());
          assert.ok(error instanceof NotSupportedError, String(error));
          assert.deepEqual([error.code, error.outcome], ["NOT_SUPPORTED", "not-sent"]);
          assert.match(error.message, /a transaction has begun on this connection; call it there/);
        }
        const m = await t.multi();
        void m.clientId();
        void m.incr("a");
        assert.deepEqual(await m.commit(), [id, 3]);
        assert.equal(await c.get("a"), "3");
        const seen = await c.multi("a");
        await db.set("a", 10);
        void seen.set("a", 11);
        assert.ok(await failure(seen.commit()) instanceof WatchError);
        assert.equal(await c.get("a"), "10");
        assert.equal((await failure(c.call("WATCH"))).code, "NOT_SUPPORTED");
        assert.equal((await failure(c.watch())).code, "ERR");
        assert.equal(await c.get("a"), "10", "a transaction that could not begin is not open");
      });
      assert.match(inspect(db), /: 2 open; 0 pending/);
      await db.del("a");
    }));

  test("RESET in a transaction would end it, so it is refused there", () => withPool({ poolsize: 2 }, async (db) => {
    await db.del("a");
    await db.lease(async (c) => {
      const p = c.pipeline().set("a", 1).call("RESET").set("a", 2);
      assert.match((await failure(p.commit())).message, /^RESET: it would end the transaction/);
      assert.equal(p.length, 3);
      const t = await c.watch("a");
      assert.match((await failure(t.call("RESET"))).message, /^RESET: it would end the transaction/);
      const m = await t.multi();
      const refused = await failure(m.call("RESET"));
      void m.set("a", 3);
      assert.equal(await failure(m.commit()), refused);
      assert.equal(await c.exists("a"), 0);
      assert.deepEqual(await p.execPipeline(), ["OK", "RESET", "OK"]);
      assert.equal(await c.get("a"), "2");
    });
    await db.del("a");
  }));

  test("with a transaction that is still open at its end is closed: nobody's command is queued", () =>
    withPool({ poolsize: 2 }, async (db) => {
      await db.del("k");
      for (const begin of ["multi", "watch"] as const) {
        let left: any;
        await db.lease(async (c) => {
          left = await c[begin]("k");
          await left.set("k", 1);
        });
        for (let i = 0; i < 4; i++) assert.match(await db.clientInfo(), / flags=N .* multi=-1 /);
        const error = await failure(begin === "multi" ? left.commit() : left.get("k"));
        assert.deepEqual([error.code, error.outcome], ["LEASE_OVER", "not-sent"]);
        assert.equal(await db.getdel("k"), begin === "multi" ? null : "1");
      }
    }));

  test("is over when a transaction in it was left without an end: its connection may still queue what is sent", () =>
    withPool({ poolsize: 2 }, async (db) => {
      await db.del("k");
      for (const begin of ["multi", "watch"] as const) {
        const id = await db.lease(async (c) => {
          const [id, abort] = [await c.clientId(), new AbortController()];
          const t = await c.with({ signal: abort.signal })[begin]("k") as any;
          await t.set("k", 1);
          abort.abort();
          assert.equal((await failure(begin === "multi" ? t.commit() : t.unwatch())).code, "ABORTED");
          for (const call of [() => c.set("k", 2), () => c.multi()]) {
            const error = await failure(call());
            assert.deepEqual([error.code, error.outcome], ["LEASE_OVER", "not-sent"]);
          }
          return id;
        });
        await until(async () => !new RegExp(`^id=${id} `, "m").test(await db.clientList()), "its connection to end");
        assert.equal(await db.getdel("k"), begin === "multi" ? null : "1");
      }
    }));

  test("whose connection is lost sends the rest nowhere, awaited or not, and says so", async () => {
    for (const awaited of [true, false]) {
      const elsewhere: string[] = [];
      await withScript(async (peer) => {
        for (let i = 0; peer.id > 1 || i < 2; i++) {
          const words = await peer.read();
          if (peer.id > 1) elsewhere.push(words.join(" "));
          peer.write(words[0] === "PING" ? "+PONG\r\n" : "+OK\r\n");
        }
        if (peer.id === 1) await peer.read();
        peer.end();
      }, async (db) => {
        const codes: string[] = [];
        const result = await db.lease(async (c) => {
          for (const key of ["a", "b", "c", "d", "e"]) {
            const set = c.set(key, 1).then(() => "OK", (error) => `${error.code} ${error.outcome}`).then((code) => codes.push(code));
            if (awaited) await set;
          }
          await c.pipeline().set("f", 1).execPipeline().catch(({ code }) => codes.push(code));
          await c.multi().catch(({ code }) => codes.push(code));
          return "ended";
        });
        assert.equal(result, "ended");
        assert.deepEqual(codes.slice(0, 3), ["OK", "OK", "CONNECTION_LOST unknown"]);
        for (const code of codes.slice(3)) assert.match(code, /^(CONNECTION_LOST|LEASE_OVER)/);
        assert.equal(codes.length, 7);
        assert.equal(await db.ping(), "PONG");
      });
      assert.deepEqual(elsewhere, ["PING"]);
    }
  });

  test("is over when what changes its connection was not answered: what follows could meet another database", () =>
    withScript(async (peer) => {
      for (;;) {
        const words = await peer.read();
        if (words[0] !== "SELECT") peer.write(words[0] === "PING" ? "+PONG\r\n" : "+OK\r\n");
        else if (words[1] === "1") await peer.closed;
      }
    }, async (db) => {
      await db.lease(async (c) => {
        assert.equal(await c.set("a", 1), "OK");
        const late = await failure(c.with({ replyTimeout: 30 }).select(1));
        assert.deepEqual([late.code, late.outcome], ["REPLY_TIMEOUT", "unknown"]);
        const error = await failure(c.set("a", 2));
        assert.deepEqual([error.code, error.outcome, error.cause, error.unavailable], ["LEASE_OVER", "not-sent", late, true]);
      });
      assert.equal(await db.ping(), "PONG", "on another connection");
    }));

  test("goes on after a command that was late or aborted, and is closed at its end", () => withScript(async (peer) => {
    for (;;) {
      const [name, key] = await peer.read();
      if (key !== "late") peer.write(name === "PING" ? `+${peer.id}\r\n` : "+OK\r\n");
      else void until(() => release, "the release").then(() => peer.write("+late\r\n"));
      if (key === "late") await until(() => release, "the release");
    }
  }, async (db) => {
    release = false;
    await db.lease(async (c) => {
      assert.equal((await failure(c.with({ replyTimeout: 30 }).get("late"))).code, "REPLY_TIMEOUT");
      release = true;
      assert.equal(await c.get("next"), "OK", "its own reply");
    });
    assert.equal(await db.ping(), "2");
    const abort = new AbortController();
    abort.abort();
    await db.lease(async (c) => {
      assert.equal((await failure((async () => c.with({ signal: abort.signal }).get("a"))())).code, "ABORTED");
    });
    assert.equal(await db.ping(), "2", "one that was not sent has changed nothing");
  }));
  let release = false;

  test("that is left alone for leaseTimeout loses its connection; one in use does not", () =>
    withPool({ poolsize: 2, leaseTimeout: 400 }, async (db) => {
      let isServed = false;
      const left = db.lease(async (c) => {
        await c.select(1);
        await until(() => isServed, "the other caller");
        return failure(c.get("k"));
      });
      const used = db.lease(async (c) => {
        while (!isServed) {
          await c.get("k");
          await sleep(10);
        }
        return c.ping();
      });
      assert.equal(await db.echo("served"), "served");
      isServed = true;
      const error = await left;
      assert.ok(error instanceof TimeoutError, String(error));
      assert.deepEqual([error.code, error.outcome], ["LEASE_EXPIRED", "not-sent"]);
      assert.equal(await used, "PONG");
    }));

  test("takes a connection of its own and waits for one, within its deadline or until its signal is aborted", () =>
    withPool({ poolsize: 2 }, async (db) => {
      const order: string[] = [];
      const lend = (name: string) => db.lease(async (c) => {
        const id = await c.clientId();
        order.push(`${name} begins`);
        for (let i = 0; i < 3; i++) await c.ping();
        order.push(`${name} ends`);
        return id;
      });
      const [a, b] = await Promise.all([lend("a"), lend("b"), lend("c")]);
      assert.notEqual(a, b);
      assert.ok(order.indexOf("c begins") > Math.min(order.indexOf("a ends"), order.indexOf("b ends")), order.join());
      await db.lease(() => db.lease(async () => {
        const late = await failure(db.with({ replyTimeout: 30 }).lease(() => {}));
        assert.equal(late.message, "LEASE: not sent within 30 ms: 2 of 2 connections are lent to blocking commands, "
          + "transactions or leases (LEASE); raise poolsize");
        const abort = new AbortController();
        const waiting = failure(db.with({ signal: abort.signal }).lease(() => assert.fail("it must not begin")));
        abort.abort();
        assert.deepEqual([(await waiting).code, (await waiting).outcome], ["ABORTED", "not-sent"]);
      }));
      assert.match(inspect(db), /: 2 open; 0 pending/);
    }));

  for (const end of ["disconnect", "destroy"] as const) {
    test(`whose handler is closed meanwhile by ${end}() ends, and nothing is left open`, async () => {
      const db = lazyConnectionPool({ port: server.port, poolsize: 2, name: `lease-${end}` });
      await db.ready();
      await db.del("empty");
      const errors: any[] = [];
      let closing: unknown;
      await db.lease(async (c) => {
        await c.select(1);
        const popped = failure(c.blpop("empty", 0));
        await until(async () => /cmd=blpop/.test(await server.call("CLIENT", "LIST")), "it to block");
        closing = db[end]();
        errors.push(await popped);
        await closing;
        errors.push(await failure(c.set("k", 1)), await failure(c.multi()), await failure(db.lease(() => {})));
      });
      assert.deepEqual(errors.map(({ code }) => code), Array(4).fill("CLOSED"));
      const outcomes = [end === "disconnect" ? "not-executed" : "unknown", ...Array(3).fill("not-sent")];
      assert.deepEqual(errors.map(({ outcome }) => outcome), outcomes);
      await until(async () => !(await server.call("CLIENT", "LIST")).includes(`name=lease-${end}`), "its connections to be gone");
      assert.match(inspect(db), /closed/);
    });
  }

  test("drops invalidation messages, and goes on", () => withPool({ poolsize: 2 }, async (db) => {
    await db.lease(async (c) => {
      await c.clientTracking("ON");
      await c.set("tracked", 1);
      for (let i = 0; i < 5; i++) {
        await c.get("tracked");
        await db.set("tracked", i);
        assert.equal(await c.get("tracked"), String(i));
      }
    });
    await db.del("tracked");
  }));

  test("keeps HIMPORT's lists of fields for the hashes that follow, one by one or many in one write", async () => {
    const heard: string[][] = [];
    await withScript(async (peer) => {
      const lists = new Set<string>();
      for (;;) {
        const words = await peer.read();
        heard[peer.id] = [...heard[peer.id] ?? [], words.join(" ")];
        if (words[1] === "PREPARE") lists.add(words[2]!);
        const isKnown = words[1] !== "SET" || lists.has(words[3]!);
        peer.write(isKnown ? "+OK\r\n" : "-ERR no such fieldset\r\n");
      }
    }, (db) => db.lease(async (c) => {
      assert.equal(await c.himportPrepare("user", "name", "born"), "OK");
      const users = [["u:1", "Ada", "1815"], ["u:2", "Grace", "1906"]] as const;
      assert.deepEqual(await Promise.all(users.map(([key, ...values]) => c.himportSet(key, "user", values))), ["OK", "OK"]);
      assert.equal((await failure(c.himportSet("u:3", "other", "x"))).code, "ERR");
      assert.deepEqual(await c.pipeline().call("HIMPORT", "SET", "u:4", "user", "Joan", "1917").execPipeline(), ["OK"]);
    }));
    assert.deepEqual(heard.filter(Boolean), [[
      "HIMPORT PREPARE user name born", "HIMPORT SET u:1 user Ada 1815", "HIMPORT SET u:2 user Grace 1906",
      "HIMPORT SET u:3 other x", "HIMPORT SET u:4 user Joan 1917",
    ]]);
  });
});

// ==== 10. Scripts, scans and streams ====

/** How often the server has been given a command, refused or not. */
const timesCalled = async (name: string): Promise<number> =>
  Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(await server.call("INFO", "commandstats"))?.[1] ?? 0);

/** The same promise, rejected when it takes too long: what waits in vain must fail, and not hang. */
async function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  const over = new AbortController();
  const late = sleep(30_000, undefined, { signal: over.signal }).then(() => {
    throw new Error(`waited in vain for ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    over.abort();
  }
}

/** The same items, as long as each comes soon. */
async function* steady<T>(items: AsyncIterable<T>): AsyncGenerator<T, void, void> {
  const from = items[Symbol.asyncIterator]();
  let left = true;
  try {
    for (;;) {
      left = false; // if the next one does not come, nobody is asked to end it
      const { value, done } = await soon(from.next(), "the next item");
      if (done) return;
      left = true;
      yield value;
    }
  } finally {
    if (left) await from.return?.();
  }
}

/** All that comes, until it ends. */
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const given: T[] = [];
  for await (const item of steady(items)) given.push(item);
  return given;
}

/** The same as withDb, with a pool. */
const withDbPool = <T>(options: Options, use: (db: Handler) => Promise<T>): Promise<T> =>
  using(lazyConnectionPool({ port: server.port, ...options }) as Handler, use);

describe("a script", () => {
  const add = script<number>("return redis.call('INCRBY', KEYS[1], ARGV[1])", { keys: 1 });
  const forget = () => server.call("SCRIPT", "FLUSH");

  test("goes by its digest, and in full only where the server does not know it, with its effect exactly once",
    () => withDb({}, async (db) => {
    await forget();
    await db.del("added");
    await server.call("CONFIG", "RESETSTAT");
    const counts = async () => [await db.get("added"), await timesCalled("evalsha"), await timesCalled("eval")];
    assert.equal(await add(db, "added", 5), 5);
    assert.deepEqual(await counts(), ["5", 1, 1]);
    assert.equal(await add(db, "added", 2), 7);
    assert.deepEqual(await counts(), ["7", 2, 1]);
    await forget();
    assert.equal(await add(db, "added", 3), 10);
    assert.deepEqual(await counts(), ["10", 3, 2]);
    await forget();
    const sums = await Promise.all(Array.from({ length: 50 }, () => add(db, "added", 1)));
    assert.deepEqual(sums.sort((a, b) => a - b), Array.from({ length: 50 }, (_, i) => 11 + i), "each once");
  }));

  test("takes the first so many of its arguments for keys", () => withDb({}, async (db) => {
    const lua = "return {#KEYS, #ARGV, KEYS[1] or '', ARGV[1] or ''}";
    assert.deepEqual(await script(lua)(db), [0, 0, "", ""]);
    assert.deepEqual(await script(lua)(db, "x", 1), [0, 2, "", "x"]);
    assert.deepEqual(await script(lua, { keys: 2 })(db, "a", "b", "x"), [2, 1, "a", "x"]);
    const [key, value] = [Buffer.from([0xff]), Buffer.from([0xfe])];
    assert.deepEqual(await script(lua, { keys: 1 })(db.with({ charset: null }), key, value), [1, 1, key, value]);
    const tooMany = await failure(script(lua, { keys: 3 })(db, "a"));
    assert.match(tooMany.message, /keys/i);
    assert.ok(await failure(script(lua)(db, null as any)) instanceof TypeError);
    for (const keys of [-1, 1.5, "1" as any]) assert.throws(() => script(lua, { keys }), /option keys must be/);
  }));

  test("that fails half-way is not run again, and its outcome is unknown", () => withDb({}, async (db) => {
    await forget();
    for (const says of ["HALF way", "NOSCRIPT of mine"]) {
      const half = script(`redis.call('INCR', KEYS[1]) return redis.error_reply('${says}')`, { keys: 1 });
      await db.del("half");
      for (const times of ["1", "2"]) {
        const error = await failure(half(db, "half"));
        assert.ok(error instanceof ReplyError);
        assert.deepEqual([error.code, error.outcome], [says.split(" ")[0], "unknown"]);
        assert.equal(await db.get("half"), times);
      }
    }
  }));

  test("works in pipelines and transactions of a server that does not know it, and its type follows",
    () => withDb({}, async (db) => {
    await db.del("piped");
    await forget();
    const results: [number, string | null, number] =
      await add(add(db.pipeline(), "piped", 2).get("piped"), "piped", 3).execPipeline();
    assert.deepEqual(results, [2, "2", 5]);
    await forget();
    assert.deepEqual(await add(db.pipeline().get("piped"), "piped", 5).commit(), ["5", 10]);
    await forget();
    const t = await db.multi();
    assert.equal(await add(t, "piped", 1), "QUEUED");
    assert.deepEqual(await t.commit(), [11]);
    await forget();
    const watch = await db.watch("piped");
    assert.equal(await script<string>("return redis.call('GET', KEYS[1])", { keys: 1 })(watch, "piped"), "11");
    const queue = await watch.multi();
    assert.equal(await add(queue, "piped", 1), "QUEUED");
    assert.deepEqual(await queue.commit(), [12]);
  }));

  test("that only reads goes as such: it may not write, and is issued again when its connection is lost", async (t) => {
    const read = script<string | null>("return redis.call('GET', KEYS[1])", { keys: 1, readonly: true });
    const seen: string[] = [];
    let answer = (peer: Peer): void => peer.reset();
    await withScript(async (peer) => {
      for (;;) {
        const [name] = await peer.read();
        seen.push(`${peer.id} ${name}`);
        answer(peer);
        answer = (other) => other.write("$2\r\nok\r\n");
      }
    }, async (db) => {
      assert.equal(await read(db, "k"), "ok");
      answer = (peer) => peer.reset();
      const error = await failure(add(db, "k", 1));
      assert.deepEqual([error.code, error.outcome, error.command], ["CONNECTION_LOST", "unknown", "EVALSHA"]);
    });
    assert.deepEqual(seen, ["1 EVALSHA_RO", "2 EVALSHA_RO", "2 EVALSHA"], "the other one is not");
    if (isOld()) return skip(t, "EVAL_RO came with Redis 7");
    await forget();
    await withDb({}, async (db) => {
      await db.set("only read", "here");
      assert.equal(await read(db, "only read"), "here", "in full");
      assert.equal(await read(db, "only read"), "here", "by its digest");
      const write = script("return redis.call('SET', KEYS[1], 'changed')", { keys: 1, readonly: true });
      assert.ok(await failure(write(db, "only read")) instanceof ReplyError);
      assert.equal(await db.get("only read"), "here");
    });
  });
});

describe("a function of a library", () => {
  const code = `#!lua name=counting
    redis.register_function('count', function(keys, args) return redis.call('INCRBY', keys[1], args[1]) end)
    redis.register_function{ function_name = 'counted', flags = { 'no-writes' },
      callback = function(keys) return redis.call('GET', keys[1]) end }
    redis.register_function('breaks', function(keys)
      redis.call('INCR', keys[1])
      return redis.error_reply('MINE it is')
    end)`;
  const count = libraryFunction<number>("count", { keys: 1, code });

  test("is called, and its library loaded where the server does not know it, with its effect exactly once",
    async (t) => {
    if (isOld()) return skip(t, "functions came with Redis 7");
    await withDb({}, async (db) => {
      await server.call("FUNCTION", "FLUSH");
      await db.del("counted");
      const withoutCode = await failure(libraryFunction("count", { keys: 1 })(db, "counted", 1));
      assert.ok(withoutCode instanceof ReplyError);
      await server.call("CONFIG", "RESETSTAT");
      for (const expected of [2, 4]) assert.equal(await count(db, "counted", 2), expected);
      assert.equal(await timesCalled("function\\|load"), 1, "loaded once");
      await server.call("FUNCTION", "FLUSH");
      assert.equal(await count(db, "counted", 1), 5);
      assert.equal(await libraryFunction("counted", { keys: 1, readonly: true })(db, "counted"), "5");
      const wrong = await failure(libraryFunction("count", { keys: 1, readonly: true })(db, "counted", 1));
      assert.ok(wrong instanceof ReplyError, "a function that writes is not called as one that reads");
      const broken = await failure(libraryFunction("breaks", { keys: 1, code })(db, "counted"));
      assert.deepEqual([broken.code, broken.outcome], ["MINE", "unknown"]);
      assert.equal(await db.get("counted"), "6", "another error is no reason to try again");
      const missing = await failure(libraryFunction("missing", { code })(db));
      assert.ok(missing instanceof ReplyError, "the code does not have it");
      const piped: [number, string | null] = await count(db.pipeline(), "counted", 1).get("counted").execPipeline();
      assert.deepEqual(piped, [7, "7"]);
      const transaction = await db.multi();
      assert.equal(await count(transaction, "counted", 1), "QUEUED");
      assert.deepEqual(await transaction.commit(), [8]);
    });
  });
});

describe("scan iterators", () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => `it:${i}`);
  const sorted = async (items: AsyncIterable<string>): Promise<string[]> => [...new Set(await all(items))].sort();

  test("give all keys, or those of a pattern and a type", () => withDb({ dbid: 9 }, async (db) => {
    await db.flushdb();
    assert.deepEqual(await all(db.scanIterator()), []);
    await db.mset(...names(1_000).map((name) => [name, 1]));
    await db.sadd("it:set", 1);
    await db.set("other", 1);
    assert.deepEqual(await sorted(db.scanIterator()), [...names(1_000), "it:set", "other"].sort());
    const matching = names(1_000).filter((name) => name.startsWith("it:99"));
    assert.deepEqual(await sorted(db.scanIterator({ MATCH: "it:99*", COUNT: 7 })), matching);
    assert.deepEqual(await sorted(db.scanIterator({ TYPE: "set" })), ["it:set"]);
    const [key] = await all(db.with({ charset: null }).scanIterator({ MATCH: "other" }));
    assert.deepEqual(key, Buffer.from("other"));
    await db.flushdb();
  }));

  test("ask for a page when its first item is wanted, and no more after a break",
    () => withDb({ dbid: 9 }, async (db) => {
    await db.mset(...names(500).map((name) => [name, 1]));
    await server.call("CONFIG", "RESETSTAT");
    const keys = db.scanIterator({ COUNT: 10 });
    assert.equal(await timesCalled("scan"), 0);
    for await (const _ of keys) {
      assert.equal(await timesCalled("scan"), 1);
      break;
    }
    assert.equal((await keys.next()).done, true);
    assert.equal(await timesCalled("scan"), 1);
    await all(db.scanIterator({ COUNT: 10 }));
    assert.ok(await timesCalled("scan") > 30);
    await db.flushdb();
  }));

  test("give the fields, members and scores of what is too big for one page, in RESP2 as in RESP3", async () => {
    for (const protocol of [3, 2] as const) {
      await withDb({ protocol }, async (db) => {
        await db.del("it:hash", "it:set", "it:zset");
        const fields = ["__proto__", "constructor", "7", ...names(1_000)];
        await db.hset("it:hash", fields.flatMap((name) => [name, `v${name}`]));
        await db.sadd("it:set", names(1_000));
        await db.zadd("it:zset", ...names(1_000).map((name, i): [number, string] => [i + 0.5, name]));
        const found = new Map(await all(db.hscanIterator("it:hash", { COUNT: 10 })));
        assert.equal(found.size, 1_003);
        for (const [field, value] of found) assert.equal(value, `v${field}`);
        assert.ok(found.has("__proto__") && found.has("constructor"));
        assert.deepEqual(await sorted(db.sscanIterator("it:set", { COUNT: 10 })), names(1_000).sort());
        const scores = new Map(await all(db.zscanIterator("it:zset", { MATCH: "it:5*" })));
        assert.deepEqual([...scores.keys()].sort(), names(1_000).filter((name) => name.startsWith("it:5")).sort());
        for (const [member, score] of scores) assert.equal(score, Number(member.slice(3)) + 0.5);
        const bytes = db.with({ charset: null });
        const seven = [Buffer.from("7"), Buffer.from("v7")];
        assert.deepEqual(await all(bytes.hscanIterator("it:hash", { MATCH: "7" })), [seven]);
        assert.deepEqual(await all(bytes.sscanIterator("it:set", { MATCH: "it:7" })), [Buffer.from("it:7")]);
        assert.deepEqual(await all(bytes.zscanIterator("it:zset", { MATCH: "it:7" })), [[Buffer.from("it:7"), 7.5]]);
        assert.deepEqual(await all(db.hscanIterator("it:nothing")), []);
        await db.del("it:hash", "it:set", "it:zset");
      });
    }
  });

  test("end with the server's error, and with a TypeError for what cannot be sent", () => withDb({}, async (db) => {
    await db.set("it:text", 1);
    assert.equal((await failure(db.hscanIterator("it:text").next())).code, "WRONGTYPE");
    assert.ok(await failure(db.scanIterator({ MATCH: null as any }).next()) instanceof TypeError);
    for (const options of ["x*", 10, ["MATCH", "x*"], null] as any[]) {
      for (const keys of [db.scanIterator(options), db.hscanIterator("h", options), db.sscanIterator("s", options),
        db.zscanIterator("z", options)]) {
        const error = await failure(keys.next());
        assert.ok(error instanceof TypeError);
        assert.equal(error.message, 'options must be an object, such as { MATCH: "user:*" }');
      }
    }
    await db.del("it:text");
  }));
});

describe("consume()", () => {
  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i));
  const fill = async (stream: string, from: number, to: number): Promise<void> => {
    for (const n of numbers(from, to)) await server.call("XADD", stream, "*", "n", n);
  };
  const fresh = async (stream: string, count = 0): Promise<void> => {
    await server.call("DEL", stream);
    await server.call("XGROUP", "CREATE", stream, "g", "0", "MKSTREAM");
    await fill(stream, 0, count);
  };
  /** The numbers of the entries that are with somebody who has not acknowledged them. */
  const unacknowledged = async (stream: string): Promise<string[]> => {
    const pending: [id: string][] = await server.call("XPENDING", stream, "g", "-", "+", "1000");
    const entries = await Promise.all(pending.map(([id]) => server.call("XRANGE", stream, id, id)));
    return entries.map(([entry]) => entry?.[1][1] ?? "deleted");
  };
  const how = { group: "g", consumer: "me", block: 20 };
  const isBlocked = async (count = 1): Promise<boolean> =>
    (await server.call("INFO", "clients")).includes(`blocked_clients:${count}\r`);

  /** What comes until there have been so many; then a signal stops it. */
  async function consumed(
    db: Handler, stream: string, count: number, options: Partial<ConsumeOptions> = {},
  ): Promise<string[]> {
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const [, { n }] of steady(db.consume(stream, { ...how, signal: stop.signal, ...options }))) {
      seen.push(n!);
      if (seen.length === count) stop.abort();
    }
    return seen;
  }

  for (const [on, open] of [
    ["one connection", withDb],
    ["one connection in RESP2", (_: Options, use: (db: Handler) => Promise<void>) => withDb({ protocol: 2 }, use)],
    ["a pool", withDbPool],
  ] as const) {
    test(`makes the group, reads page by page and acknowledges each entry when its body has run, on ${on}`,
      () => open({}, async (db) => {
      await server.call("DEL", "consumed");
      assert.equal((await failure(db.consume("consumed", how).next())).code, "NOGROUP");
      await fill("consumed", 0, 25);
      const stop = new AbortController();
      const seen: string[] = [];
      for await (const [id, fields] of steady(db.consume("consumed", { ...how, create: "0", signal: stop.signal }))) {
        const left = await unacknowledged("consumed");
        assert.equal(left[0], fields["n"], "the one in hand is not acknowledged, those before it are");
        assert.equal((await db.xrange("consumed", id, id)).length, 1, "the handler serves the body");
        seen.push(fields["n"]!);
        if (seen.length === 25) stop.abort();
      }
      assert.deepEqual(seen, numbers(0, 25));
      assert.deepEqual(await unacknowledged("consumed"), []);
      await fill("consumed", 25, 26);
      assert.deepEqual(await consumed(db, "consumed", 1, { create: "0" }), ["25"], "the group is there already");
      await server.call("DEL", "consumed");
    }));
  }

  test("with create \"$\" begins with what is new, and makes the stream", () => withDb({}, async (db) => {
    for (const before of [0, 3]) {
      await server.call("DEL", "new ones");
      await fill("new ones", 0, before);
      const entries = consumed(db, "new ones", 1, { create: "$" });
      const groups = () => server.call("XINFO", "GROUPS", "new ones").catch(() => []);
      await until(async () => (await groups()).length === 1, "the group");
      await fill("new ones", before, before + 1);
      assert.deepEqual(await entries, [String(before)]);
    }
    await server.call("DEL", "new ones");
  }));

  test("left by a break or a throw keeps the entry in hand unacknowledged, and begins with it the next time",
    () => withDb({}, async (db) => {
    await fresh("left", 15);
    const seen: string[] = [];
    for await (const [, { n }] of steady(db.consume("left", { ...how, count: 5 }))) {
      seen.push(n!);
      if (n === "6") break;
    }
    assert.deepEqual(await unacknowledged("left"), ["6", "7", "8", "9"]);
    await assert.rejects(async () => {
      for await (const [, { n }] of steady(db.consume("left", { ...how, count: 2 }))) {
        seen.push(n!);
        if (n === "7") throw new RangeError("of the body");
      }
    }, RangeError);
    assert.deepEqual(await unacknowledged("left"), ["7", "8", "9"]);
    seen.push(...await consumed(db, "left", 8, { count: 2 }));
    assert.deepEqual(seen, [...numbers(0, 7), ...numbers(6, 8), ...numbers(7, 15)]);
    assert.deepEqual(await unacknowledged("left"), []);
    await server.call("DEL", "left");
  }));

  test("gives its own unacknowledged entries first, then what others left idle, then new ones", async (t) => {
    if (isOld()) return skip(t, "XAUTOCLAIM came with Redis 6.2");
    await withDb({}, async (db) => {
      await fresh("claimed", 12);
      const read = (consumer: string, count: string) =>
        server.call("XREADGROUP", "GROUP", "g", consumer, "COUNT", count, "STREAMS", "claimed", ">");
      const abandon = (entries: [id: string][], by: string) =>
        server.call("XCLAIM", "claimed", "g", by, "0", ...entries.map(([id]) => id), "IDLE", "3600000", "JUSTID");
      const [[, idle]] = await read("gone", "3");
      await read("me", "3");
      await read("busy", "3");
      await abandon(idle, "gone");
      const options = { claimAfter: 1_800_000, count: 2 };
      const order = [...numbers(3, 6), ...numbers(0, 3), ...numbers(9, 12)];
      assert.deepEqual(await consumed(db, "claimed", 9, options), order);
      assert.deepEqual(await unacknowledged("claimed"), ["6", "7", "8"], "what another one is busy with is left alone");
      const [[, others]] = await server.call("XREADGROUP", "GROUP", "g", "busy", "STREAMS", "claimed", "0");
      await abandon(others, "busy");
      assert.deepEqual(await consumed(db, "claimed", 3, options), ["6", "7", "8"], "also when nothing new comes");
      assert.deepEqual(await unacknowledged("claimed"), []);
      await server.call("DEL", "claimed");
    });
  });

  for (const protocol of [2, 3] as const) {
    test(`gives entries in the form of its view, bytes unharmed, under RESP${protocol}`, () => withDb({ protocol }, async (db) => {
      const bytes = Buffer.from([0xff, 0x00, 0x80]);
      const views: [view: Handler<any>, fields: unknown][] = [
        [db.with({ charset: null }), [[Buffer.from("n"), Buffer.from("1")], [Buffer.from("n"), bytes]]],
        [db.with({ charset: "latin1" }), { __proto__: null, n: "\xff\0\x80" }],
        [db.with({ charset: "latin1", maps: "pairs" }), [["n", "1"], ["n", "\xff\0\x80"]]],
        [db.with({ charset: "latin1", maps: "pairs", convertNumbers: true }), [["n", 1], ["n", "\xff\0\x80"]]],
      ];
      for (const [view, fields] of views) {
        await fresh("formed");
        const added: string[] = [];
        for (let i = 0; i < 5; i++) added.push(await db.xadd("formed", "*", ["n", 1, "n", bytes]));
        await server.call("XREADGROUP", "GROUP", "g", "me", "COUNT", "3", "STREAMS", "formed", ">"); // its own, to begin with
        const ids: string[] = [];
        for await (const [id, given] of steady(view.consume("formed", { ...how, count: 2 }))) {
          assert.deepEqual(given, fields);
          ids.push(String(id));
          if (ids.length === 5) break;
        }
        assert.deepEqual(ids, added);
        assert.equal((await unacknowledged("formed")).length, 1, "all but the one in hand were acknowledged");
      }
      await server.call("DEL", "formed");
    }));
  }

  test("takes over entries in the form of its view, too", async (t) => {
    if (isOld()) return skip(t, "XAUTOCLAIM came with Redis 6.2");
    await withDb({ charset: null }, async (db) => {
      await fresh("formed", 2);
      await server.call("XREADGROUP", "GROUP", "g", "gone", "STREAMS", "formed", ">");
      const seen: unknown[] = [];
      for await (const [, fields] of steady(db.consume("formed", { ...how, claimAfter: 0 }))) {
        seen.push(fields);
        if (seen.length === 2) break;
      }
      assert.deepEqual(seen, [[[Buffer.from("n"), Buffer.from("0")]], [[Buffer.from("n"), Buffer.from("1")]]]);
      await server.call("DEL", "formed");
    });
  });

  test("skips entries that were deleted, and does not keep them pending", () => withDb({}, async (db) => {
    await fresh("thinned", 6);
    const [[, entries]] = await server.call("XREADGROUP", "GROUP", "g", "me", "STREAMS", "thinned", ">");
    await server.call("XDEL", "thinned", entries[0][0], entries[3][0], entries[5][0]);
    await fill("thinned", 6, 7);
    assert.deepEqual(await consumed(db, "thinned", 4, { count: 2 }), ["1", "2", "4", "6"]);
    assert.deepEqual(await unacknowledged("thinned"), []);
    await server.call("DEL", "thinned");
  }));

  test("is stopped by its signal: the entry in hand is acknowledged, the rest is kept; a waiting one ends, too",
    () => withDb({}, async (db) => {
    await fresh("stopped", 5);
    assert.deepEqual(await consumed(db, "stopped", 2), ["0", "1"]);
    assert.deepEqual(await unacknowledged("stopped"), ["2", "3", "4"]);
    assert.deepEqual(await consumed(db, "stopped", 3), ["2", "3", "4"]);
    const stop = new AbortController();
    const waiting = all(db.consume("stopped", { ...how, signal: stop.signal }));
    await until(() => isBlocked(), "it to wait");
    stop.abort();
    assert.deepEqual(await waiting, []);
    await until(() => isBlocked(0), "the server to let it go");
    await fill("stopped", 5, 6);
    assert.deepEqual(await all(db.consume("stopped", { ...how, signal: AbortSignal.abort() })), []);
    assert.deepEqual(await unacknowledged("stopped"), [], "one that is stopped from the start asks for nothing");
    await server.call("DEL", "stopped");
  }));

  for (const [what, end] of [
    ["return()", (_, entries) => entries.return!()],
    ["its signal", (stop) => stop.abort()],
    ["destroy() of a stream made of it", async (_, entries) => {
      const readable = Readable.from(entries);
      readable.resume();
      await until(() => isBlocked(2), "both to wait");
      readable.destroy();
      await once(readable, "close");
    }],
  ] as [string, (stop: AbortController, entries: AsyncIterableIterator<unknown>) => unknown][]) {
    test(`that waits is ended at once by ${what}, and the server gives it nothing more`,
      () => withDbPool({ poolsize: 3 }, async (db) => {
      await fresh("waits");
      const stop = new AbortController();
      const options = { ...how, block: 600_000, signal: stop.signal };
      const other = db.consume("waits", { ...options, consumer: "other" });
      const entries = db.consume("waits", options);
      const next = [other.next(), ...what.includes("destroy") ? [] : [entries.next(), entries.next()]];
      await until(() => isBlocked(Math.min(next.length, 2)), "them to wait");
      await end(stop, entries);
      if (!what.includes("signal")) await other.return!();
      assert.deepEqual(await Promise.all(next), next.map(() => ({ value: undefined, done: true })));
      assert.deepEqual(await entries.next(), { value: undefined, done: true });
      await until(() => isBlocked(0), "the server to let them go");
      await fill("waits", 0, 2);
      assert.deepEqual(await unacknowledged("waits"), []);
      assert.deepEqual(await consumed(db, "waits", 2), ["0", "1"]);
      await server.call("DEL", "waits");
    }));
  }

  test("that is ended while an entry comes loses none: the next one begins with it", () => withDb({}, async (db) => {
    await fresh("ended");
    let delivered = 0;
    for (const n of numbers(0, 50)) {
      const entries = db.consume("ended", { ...how, block: 600_000 });
      const next = entries.next();
      await until(() => isBlocked(), "it to wait");
      await Promise.all([fill("ended", Number(n), Number(n) + 1), entries.return()]);
      if ((await next).value !== undefined) delivered++;
      assert.deepEqual(await consumed(db, "ended", 1), [n], "what was not acknowledged comes again");
    }
    assert.ok(delivered < 50, "it was ended");
    await server.call("DEL", "ended");
  }));

  test("ends with the signal of its view, which keeps no entry in hand from being acknowledged",
    () => withDb({}, async (db) => {
    await fresh("viewed", 2);
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const [, { n }] of steady(db.with({ signal: stop.signal }).consume("viewed", how))) {
      seen.push(n!);
      stop.abort();
    }
    assert.deepEqual([seen, await unacknowledged("viewed")], [["0"], ["1"]]);
    const waiting = new AbortController();
    const view = db.with({ signal: waiting.signal });
    const rest = all(view.consume("viewed", { ...how, block: 600_000 }));
    await until(() => isBlocked(), "it to wait");
    waiting.abort();
    assert.equal((await rest).length, 1);
    await server.call("DEL", "viewed");
  }));

  test("gives what its view gives: bytes that are no text, names that come twice, numbers", async () => {
    for (const protocol of [3, 2] as const) {
      await withDb({ protocol }, async (db) => {
        const bytes = Buffer.from([0xff, 0, 0xc3, 0x28]);
        const fill = async (): Promise<void> => {
          await fresh("bytes");
          await db.xadd("bytes", "1-1", ["f", bytes, "f", 42]);
        };
        const first = async <T>(entries: AsyncIterable<T>): Promise<T> => (await take(1, entries))[0]!;
        const raw = db.with({ charset: null });
        const expected = [Buffer.from("1-1"), [[Buffer.from("f"), bytes], [Buffer.from("f"), Buffer.from("42")]]];
        await fill();
        assert.deepEqual(await first(raw.consume("bytes", how)), [...expected, 1]);
        assert.deepEqual(await first(raw.consume("bytes", how)), [...expected, 2], "also when it comes again");
        await fill();
        assert.deepEqual((await first(db.with({ convertNumbers: true }).consume("bytes", how)))[1]["f"], 42);
        await fill();
        const latin = (await first(db.with({ charset: "latin1" }).consume("bytes", how)))[1];
        assert.deepEqual(Object.entries(latin), [["f", "42"]]);
        await db.del("bytes");
      });
    }
  });

  test("tells how often an entry was delivered, and counts only what was given to the body",
    () => withDb({}, async (db) => {
    await fresh("counted", 3);
    const seen: [n: string, deliveries: number][] = [];
    for (const round of [1, 2, 3]) {
      for await (const [, { n }, deliveries] of steady(db.consume("counted", how))) {
        seen.push([n!, deliveries]);
        if (n === "0" && round < 3) break; // it fails
        if (n === "2") break;
      }
    }
    assert.deepEqual(seen, [["0", 1], ["0", 2], ["0", 3], ["1", 2], ["2", 2]]);
    await server.call("DEL", "counted");
  }));

  for (const [where, charset] of [["a stream", "utf-8"], ["a stream", null], ["a function", "utf-8"]] as const) {
    test(`leads an entry that was delivered maxDeliveries times to ${where}, with charset ${charset}`,
      () => withDb({}, async (db) => {
      await server.call("DEL", "dead");
      await fresh("poisoned", 1);
      const bytes = Buffer.from([0xff, 0xfe]);
      await db.xadd("poisoned", "*", ["bad", bytes, "bad", "twice"]);
      await fill("poisoned", 1, 3);
      const dead: unknown[] = [];
      const options: ConsumeOptions<any> = {
        ...how, maxDeliveries: 3, deadLetter: where === "a stream" ? "dead" : (entry: unknown) => dead.push(entry),
      };
      const seen: unknown[] = [];
      let failures = 0;
      while (seen.at(-1) !== "2" && failures < 10) {
        for await (const [, fields] of steady(db.with({ charset: charset as "utf-8" }).consume("poisoned", options))) {
          const [[name, value]] = (Array.isArray(fields) ? fields : Object.entries(fields)) as [[unknown, unknown]];
          seen.push(String(name) === "bad" ? "bad" : String(value));
          if (seen.at(-1) === "bad" && ++failures) break;
          if (seen.at(-1) === "2") break;
        }
      }
      assert.deepEqual(seen, ["0", "bad", "bad", "bad", "1", "2"]);
      assert.deepEqual(await unacknowledged("poisoned"), ["2"]);
      if (where === "a stream") {
        const [entry, ...others] = await db.with({ charset: null }).xrange("dead", "-", "+");
        assert.deepEqual([entry![1], others], [[["bad", bytes], ["bad", "twice"]].map((pair) => pair.map((text) => Buffer.from(text as string))), []]);
      } else {
        const [[, fields, deliveries]] = dead as [[string, Record<string, string>, number]];
        assert.deepEqual([dead.length, { ...fields }, deliveries], [1, { bad: "twice" }, 3]);
      }
      await server.call("DEL", "poisoned", "dead");
    }));
  }

  test("keeps an entry that its dead-letter function cannot take, and tells why", () => withDb({}, async (db) => {
    await fresh("refused", 1);
    const options = { ...how, maxDeliveries: 1, deadLetter: () => Promise.reject(new RangeError("no room")) };
    for await (const _ of steady(db.consume("refused", options))) break;
    assert.ok(await failure(db.consume("refused", options).next()) instanceof RangeError);
    assert.deepEqual(await unacknowledged("refused"), ["0"]);
    await server.call("DEL", "refused");
  }));

  test("of which each entry may be delivered once reads one at a time: what it has not given is not lost",
    () => withDb({}, async (db) => {
    await fresh("once", 5);
    const dead: unknown[] = [];
    const seen: string[] = [];
    const options = { ...how, maxDeliveries: 1, deadLetter: ([, { n }]: Consumed) => dead.push(n) };
    while (seen.length < 5) {
      for await (const [, { n }] of steady(db.consume("once", options))) {
        seen.push(n!);
        if (Number(n) % 2 === 1 || n === "4") break;
      }
    }
    assert.deepEqual([seen, dead], [numbers(0, 5), ["1", "3"]]);
    await server.call("DEL", "once");
  }));

  test("lives with a server that says null for entries that were deleted, as Redis 6.2 does", async () => {
    const pending = [["1-1", "gone"], ["2-1", "gone"]];
    const acknowledged: string[] = [];
    const text = (word: string): string => `$${word.length}\r\n${word}\r\n`;
    await withScript(async (peer) => {
      for (;;) {
        const [name, , , owner, , id] = await peer.read();
        const own = pending.filter(([, consumer]) => consumer === "me");
        if (name === "XPENDING") {
          peer.write(own.length === 0 ? "*0\r\n" : `*1\r\n*4\r\n${text(own[0]![0]!)}${text("me")}:0\r\n:1\r\n`);
        } else if (name === "XAUTOCLAIM") {
          for (const entry of pending) entry[1] = owner!;
          peer.write(`*2\r\n${text("0-0")}*${pending.length}\r\n${pending.map(([id]) => text(id!)).join("")}`);
        } else if (name === "XCLAIM") {
          peer.write(id === "1-1" ? "*1\r\n_\r\n" : `*1\r\n*2\r\n${text("2-1")}*2\r\n${text("n")}${text("0")}`);
        } else if (name === "XACK") {
          acknowledged.push(owner!);
          pending.splice(pending.findIndex(([id]) => id === owner), 1);
          peer.write(":1\r\n");
        } else peer.write("_\r\n");
      }
    }, async (db) => {
      const seen = await consumed(db, "old", 1, { claimAfter: 1 });
      assert.deepEqual([seen, acknowledged], [["0"], ["1-1", "2-1"]]);
    });
  });

  test("rests before it rejects, whatever the reason is, so that a loop around it does not spin", () => withDb({}, async (db) => {
    await server.call("DEL", "none");
    await server.call("SET", "text", "x");
    const closed = lazyConnection({ port: server.port });
    await closed.disconnect();
    for (const [on, stream, code] of [[db, "none", "NOGROUP"], [db, "text", "WRONGTYPE"], [closed, "none", "CLOSED"]] as const) {
      const begun = performance.now();
      for (let i = 0; i < 40; i++) assert.equal((await failure(on.consume(stream, how).next())).code, code);
      assert.ok(performance.now() - begun > 200, `40 starts with ${code} took ${performance.now() - begun} ms`); // 1,000 expected
    }
  }));

  test("with create reads what there is on a server that is full: the group is made only if it is missing", async () => {
    await using full = await RedisServer.start();
    await withDb({ port: full.port }, async (db) => {
      await full.call("XGROUP", "CREATE", "jobs", "g", "0", "MKSTREAM");
      await full.call("XADD", "jobs", "*", "n", "1");
      await full.call("CONFIG", "SET", "maxmemory", "1");
      assert.equal((await failure(db.set("k", 1))).code, "OOM");
      assert.deepEqual(await consumed(db, "jobs", 1, { create: "0" }), ["1"]);
    });
  });

  test("several consumers share a stream and a pool, each entry comes to one of them, and the pool serves others",
    () => withDbPool({ poolsize: 4 }, async (db) => {
    await fresh("shared");
    const stop = new AbortController();
    const seen: string[][] = [[], [], []];
    const done = seen.map(async (mine, i) => {
      const options = { ...how, consumer: `c${i}`, count: 3, signal: stop.signal };
      for await (const [, { n }] of db.consume("shared", options)) mine.push(n!);
    });
    for (const n of numbers(0, 300)) await db.xadd("shared", "*", { n });
    await until(() => seen.flat().length >= 300, "all of them");
    stop.abort();
    await Promise.all(done);
    assert.deepEqual(seen.flat().sort((a, b) => Number(a) - Number(b)), numbers(0, 300));
    assert.deepEqual(await unacknowledged("shared"), []);
    await server.call("DEL", "shared");
  }));

  test("goes on after its connection was lost, with what it had been given first", () => withDb({}, async (db) => {
    await fresh("cut", 4);
    const seen: string[] = [];
    const lost = async (count: number): Promise<void> => {
      await until(() => seen.length === count && isBlocked(), "it to wait");
      await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    };
    const stop = new AbortController();
    const loop = (async () => {
      for await (const [, { n }] of db.consume("cut", { ...how, block: 600_000, signal: stop.signal })) seen.push(n!);
    })();
    await lost(4);
    await fill("cut", 4, 6);
    await lost(6);
    await server.call("XREADGROUP", "GROUP", "g", "me", "STREAMS", "cut", ">");
    await fill("cut", 6, 7);
    await server.call("XREADGROUP", "GROUP", "g", "me", "STREAMS", "cut", ">"); // as if the reply had been lost
    await until(() => isBlocked(), "it to wait again");
    await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await fill("cut", 7, 8);
    await until(() => seen.length === 8, "the last one");
    stop.abort();
    await loop;
    assert.deepEqual(seen, numbers(0, 8));
    assert.deepEqual(await unacknowledged("cut"), []);
    await server.call("DEL", "cut");
  }));

  test("acknowledges the entry in hand also after its connection was lost, and does not give it again",
    () => withDb({}, async (db) => {
    await fresh("in hand", 3);
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const [, { n }] of steady(db.consume("in hand", { ...how, signal: stop.signal }))) {
      seen.push(n!);
      if (n === "1") await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      if (n === "2") stop.abort();
    }
    assert.deepEqual([seen, await unacknowledged("in hand")], [["0", "1", "2"], []]);
    await server.call("DEL", "in hand");
  }));

  test("that cannot begin is rejected with the reason", async () => {
    await withDb({ port: await freePort() }, async (db) => {
      const error = await failure(db.consume("nothing", how).next());
      assert.ok(error instanceof ConnectionError, String(error));
    });
    await withDb({}, async (db) => {
      assert.equal((await failure(db.consume("nothing", how).next())).code, "NOGROUP");
    });
  });

  test("ends with an error when its connection is lost and reconnect is false, or when the handler is closed",
    async () => {
    await withDb({ reconnect: false }, async (db) => {
      await fresh("for good");
      const next = failure(db.consume("for good", { ...how, block: 600_000 }).next());
      await until(() => isBlocked(), "it to wait");
      await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      assert.equal((await next).code, "CONNECTION_LOST");
    });
    await withDb({}, async (db) => {
      const next = failure(db.consume("for good", { ...how, block: 600_000 }).next());
      await until(() => isBlocked(), "it to wait");
      db.destroy();
      assert.equal((await next).code, "CLOSED");
    });
    await server.call("DEL", "for good");
  });

  for (const [what, remove] of [
    ["its group", ["XGROUP", "DESTROY", "remade", "g"]], ["its stream", ["DEL", "remade"]], ["all data", ["FLUSHDB"]],
  ] as const) {
    for (const create of ["0", "$"] as const) {
      for (const isWaiting of [true, false]) {
        test(`with create "${create}" makes the group again when ${what} is deleted ${isWaiting ? "while it waits" : "under its body"}`,
          () => withDb({ dbid: 5 }, async (db) => {
          const call = async (...args: string[]): Promise<any> => (await Promise.all([server.call("SELECT", "5"),
            server.call(...args), server.call("SELECT", "0")]))[1];
          await call("FLUSHDB");
          await call("XADD", "remade", "*", "n", "old");
          const seen: string[] = [];
          let isRemoved = false;
          const removed = async (): Promise<void> => {
            isRemoved = true;
            await call(...remove);
            await call("XADD", "remade", "*", "n", "after");
          };
          const stop = new AbortController();
          const loop = (async () => {
            for await (const [, { n }] of db.consume("remade", { ...how, create, count: 1, signal: stop.signal })) {
              seen.push(n!);
              if (n === "before" && !isWaiting && !isRemoved) await removed();
            }
          })();
          await until(async () => (await call("XINFO", "GROUPS", "remade")).length > 0, "the group");
          await call("XADD", "remade", "*", "n", "before");
          await until(() => seen.includes("before"), "the first one");
          if (isWaiting) {
            await until(() => isBlocked(), "it to wait");
            await removed();
          }
          await until(() => seen.includes("after"), "what came afterwards");
          stop.abort();
          await loop;
          const first = create === "0" ? ["old", "before"] : ["before"];
          const again = create === "0" && what === "its group" ? first : []; // they are still in the stream
          assert.deepEqual(seen, [...first, ...again, "after"]);
          await call("FLUSHDB");
        }));
      }
    }
  }

  test("ends with NOGROUP when the group is deleted and it must not make one", () => withDb({}, async (db) => {
    await fresh("unmade", 1);
    const entries = db.consume("unmade", how);
    assert.equal((await entries.next()).value?.[1]["n"], "0");
    await server.call("XGROUP", "DESTROY", "unmade", "g");
    assert.equal((await failure(entries.next())).code, "NOGROUP");
    await server.call("DEL", "unmade");
  }));

  for (const aof of [true, false]) {
    test(`goes on after a restart of the server ${aof ? "with" : "without"} its data`, async () => {
      const mortal = await RedisServer.start({ aof });
      try {
        await using(lazyConnectionPool({ port: mortal.port, poolsize: 2 }), async (db) => {
          await db.ready();
          const seen: string[] = [];
          const stop = new AbortController();
          const loop = (async () => {
            const options = { ...how, create: "0" as const, signal: stop.signal };
            for await (const [, { n }] of db.consume("mortal", options)) seen.push(n!);
          })();
          for (const n of ["0", "1", "2"]) {
            const add = () => mortal.call("XADD", "mortal", "*", "n", n);
            await until(() => add().catch(() => false), "the server");
            await until(() => seen.includes(n), n);
            await mortal.kill();
            await mortal.restart();
          }
          stop.abort();
          await loop;
          assert.deepEqual([...new Set(seen)], ["0", "1", "2"]);
        });
      } finally {
        await mortal.stop();
      }
    });
  }

  test("goes on when its server becomes a replica and then a primary again", async () => {
    const mortal = await RedisServer.start();
    try {
      await using(lazyConnection({ port: mortal.port }), async (db) => {
        await mortal.call("XADD", "turned", "*", "n", "0");
        const seen: string[] = [];
        const stop = new AbortController();
        const loop = (async () => {
          const options = { ...how, create: "0" as const, block: 600_000, signal: stop.signal };
          for await (const [, { n }] of db.consume("turned", options)) seen.push(n!);
        })();
        const isWaiting = async () => /blocked_clients:1/.test(await mortal.call("INFO", "clients"));
        await until(async () => seen.length === 1 && await isWaiting(), "it to wait");
        await mortal.call("REPLICAOF", "127.0.0.1", String(await freePort()));
        const refused = async () => Number(/errorstat_(?:READONLY|UNBLOCKED):count=(\d+)/
          .exec(await mortal.call("INFO", "errorstats"))?.[1] ?? 0);
        await until(async () => await refused() > 1, "it to be refused");
        await mortal.call("REPLICAOF", "NO", "ONE");
        await mortal.call("XADD", "turned", "*", "n", "1");
        await until(() => seen.length === 2, "it to go on");
        stop.abort();
        await loop;
        assert.deepEqual(seen, ["0", "1"]);
      });
    } finally {
      await mortal.stop();
    }
  });

  test("refuses options that cannot be", () => withDb({}, async (db) => {
    const impossible = {
      count: [0, -1, 1.5, "2"], block: [-1, 1.5], claimAfter: [-1, "1"], maxDeliveries: [0, 1.5, "3", 3],
      deadLetter: ["dead"], consumer: [undefined, null], group: [undefined, {}],
    };
    for (const [name, values] of Object.entries(impossible)) {
      for (const value of values) {
        const options = { ...how, create: "0", [name]: value } as ConsumeOptions;
        const error = await failure(db.consume("nothing", options).next());
        assert.ok(error instanceof TypeError && error.message.includes(name), `${name} ${value}: ${error}`);
      }
    }
    assert.ok(await failure(db.consume("nothing", { consumer: "me" } as ConsumeOptions).next()) instanceof TypeError);
    assert.equal(await server.call("EXISTS", "nothing"), 0, "nothing was sent");
  }));
});

// ==== 11. Publish and subscribe ====

const subscribers = async (...channels: string[]): Promise<number[]> =>
  (await server.call("PUBSUB", "NUMSUB", ...channels)).filter((_: unknown, i: number) => i % 2 === 1);
/** The ids of the connections that listen. */
const listeners = async (): Promise<string[]> =>
  [...(await server.call("CLIENT", "LIST", "TYPE", "pubsub")).matchAll(/^id=(\d+)/gm)].map(([, id]) => id!);
const killListeners = (): Promise<number> => server.call("CLIENT", "KILL", "TYPE", "pubsub");
const nobodyListens = () => until(async () => (await listeners()).length === 0, "everybody to be gone");

/** What comes, as it comes, until it ends. */
function collect<T>(items: AsyncIterable<T>): T[] {
  const given: T[] = [];
  void (async () => {
    for await (const item of items) given.push(item);
  })().catch(() => {});
  return given;
}

/** The next so many. */
async function take<T>(count: number, from: AsyncIterable<T>): Promise<T[]> {
  const items = from[Symbol.asyncIterator]();
  const given: T[] = [];
  while (given.length < count) {
    const { value, done } = await soon(items.next(), `item ${given.length + 1} of ${count}`);
    assert.ok(!done, `it ended after ${given.length}`);
    given.push(value);
  }
  return given;
}

const texts = (items: readonly { message?: unknown }[]): unknown[] => items.map(({ message }) => message);
const isGap = ({ gap }: { gap?: number | undefined }): boolean => gap !== undefined;

for (const protocol of [3, 2] as const) {
  describe(`a subscription, in RESP${protocol}`, () => {
    after(nobodyListens);

    test("gives what is said on its channels, in order, as an iterator or to a listener",
      () => withDb({ protocol }, async (db) => {
      const s = await db.subscribe(["news", "weather"]);
      const heard: unknown[] = [];
      const l = await db.subscribe("news", (item) => heard.push(item));
      assert.deepEqual([s.channels, l.channels], [["news", "weather"], ["news"]]);
      assert.equal(await db.publish("news", "one"), 2);
      await db.publish("weather", "sunny");
      await db.publish("elsewhere", "unheard");
      await db.publish("news", "42");
      const news = (message: string) => ({ channel: "news", message, pattern: undefined });
      const weather = { channel: "weather", message: "sunny", pattern: undefined };
      assert.deepEqual(await take(3, s), [news("one"), weather, news("42")]);
      await until(() => heard.length === 2, "the listener to have heard it");
      assert.deepEqual(heard, [news("one"), news("42")]);
    }));

    test("of patterns says which of them matched", () => withDb({ protocol }, async (db) => {
      const s = await db.psubscribe(["a.*", "*.b"]);
      await db.publish("a.1", "first");
      await db.publish("a.b", "twice");
      const items = await take(3, s);
      assert.deepEqual(items[0], { channel: "a.1", message: "first", pattern: "a.*" });
      assert.deepEqual(items.slice(1).map(({ pattern }) => pattern).sort(), ["*.b", "a.*"]);
      assert.deepEqual(texts(items), ["first", "twice", "twice"]);
      await s.unsubscribe("*.b");
      await db.publish("a.b", "once");
      await db.publish("a.c", "last");
      const rest = (await take(2, s)).map(({ message, pattern }) => [message, pattern]);
      assert.deepEqual(rest, [["once", "a.*"], ["last", "a.*"]]);
    }));

    test("of shard channels hears what is said there, and nothing else", async (t) => {
      if (isOld()) return skip(t, "shard channels came with Redis 7");
      await withDb({ protocol }, async (db) => {
        const s = await db.ssubscribe(["shard one", "shard two"]);
        await db.publish("shard one", "for others");
        assert.equal(await db.spublish("shard one", "for us"), 1);
        assert.deepEqual(await take(1, s), [{ channel: "shard one", message: "for us", pattern: undefined }]);
        await s.unsubscribe("shard one");
        assert.equal(await db.spublish("shard one", "for nobody"), 0);
        assert.equal(await killListeners(), 1);
        assert.ok(isGap((await take(1, s))[0]!));
        assert.deepEqual([await db.spublish("shard one", "x"), await db.spublish("shard two", "y")], [0, 1]);
        assert.deepEqual(texts(await take(1, s)), ["y"]);
      });
    });

    test("is confirmed for all of its channels together, also under a flood of messages",
      () => withDb({ protocol }, async (db) => {
      const channels = Array.from({ length: 100 }, (_, i) => `many:${i}`);
      const s = await db.subscribe(channels[0]!);
      const flood = Array.from({ length: 2_000 }, (_, i) => db.publish("many:0", i));
      assert.equal(await s.subscribe(channels.slice(1, 50), "many:50"), s);
      assert.deepEqual(await subscribers(...channels.slice(0, 51)), Array(51).fill(1));
      await Promise.all([...flood, s.subscribe(channels.slice(51)), s.unsubscribe(channels.slice(1, 40))]);
      assert.deepEqual(await subscribers(...channels), channels.map((_, i) => (i > 0 && i < 40 ? 0 : 1)));
      assert.deepEqual(s.channels.sort(), [channels[0], ...channels.slice(40)].sort());
      assert.deepEqual(texts(await take(2_000, s)), Array.from({ length: 2_000 }, (_, i) => String(i)));
    }));

    test("with charset null gives bytes, also for names that are no text and while others are being confirmed",
      () => withDb({ protocol }, async (db) => {
      const names = [Buffer.from([0xff]), Buffer.from([0xfe]), Buffer.from("text")];
      const bytes = db.with({ charset: null });
      const s = await bytes.subscribe(names);
      assert.deepEqual(s.channels, names);
      const p = await bytes.psubscribe(Buffer.from([0x2a, 0xff]));
      const said = Buffer.from([0, 0xc3, 0x28, 13, 10, 0xff]);
      for (const name of names) await db.publish(name, said);
      assert.deepEqual(await take(3, s), names.map((channel) => ({ channel, message: said, pattern: undefined })));
      assert.deepEqual(await take(1, p), [{ channel: names[0], message: said, pattern: Buffer.from([0x2a, 0xff]) }]);
      await s.unsubscribe(names[0]!);
      const receivers = await Promise.all(names.map((name) => db.publish(name, "x")));
      assert.deepEqual(receivers, [1, 1, 1], "the pattern's, and two");
      const flood = Promise.all(Array.from({ length: 200 }, (_, i) => db.publish("text", Buffer.from([0xff, i]))));
      await s.subscribe(Array.from({ length: 50 }, (_, i) => `more ${i}`));
      await flood;
      const items = (await take(202, s)).slice(2);
      assert.deepEqual(texts(items), Array.from({ length: 200 }, (_, i) => Buffer.from([0xff, i])));
      const [latin] = await Promise.all([db.with({ charset: "latin1" }).subscribe("latin")]);
      await db.publish("latin", Buffer.from([0xe9]));
      assert.deepEqual(texts(await take(1, latin)), ["é"]);
    }));

    test("ends when nothing is left to listen to, when it is closed, and when its loop is left",
      () => withDb({ protocol }, async (db) => {
      const open = () => db.subscribe(["end:1", "end:2"]);
      const some = await open();
      const items = collect(some);
      await some.unsubscribe("end:1");
      assert.deepEqual(await subscribers("end:1", "end:2"), [0, 1]);
      await db.publish("end:2", "still heard");
      await until(() => items.length === 1, "it");
      await some.unsubscribe("end:2");
      const whole = await open();
      await whole.unsubscribe();
      await whole.unsubscribe();
      assert.deepEqual([await all(whole), whole.channels], [[], []]);
      assert.equal((await failure(whole.subscribe("again"))).code, "CLOSED");
      const closed = await open();
      await db.publish("end:2", "kept");
      await until(async () => (await take(1, closed)).length === 1, "it");
      closed.close();
      closed.close();
      assert.deepEqual(await all(closed), []);
      const left = await open();
      for (const message of ["a", "b", "c"]) await db.publish("end:1", message);
      for await (const item of steady(left)) {
        assert.equal(item.message, "a");
        assert.deepEqual(await subscribers("end:1"), [1]);
        break;
      }
      await nobodyListens();
      assert.deepEqual(await subscribers("end:1", "end:2"), [0, 0]);
      assert.deepEqual(await all(left), [], "what was left is gone");
      const disposed = await open();
      await disposed[Symbol.asyncDispose]();
      await nobodyListens();
    }));

    test("that is closed lets what has come still be read", () => withDb({ protocol }, async (db) => {
      const s = await db.subscribe("kept", { buffer: 3, overflow: "drop" });
      for (let i = 0; i < 5; i++) await db.publish("kept", i);
      await until(() => s.dropped === 2, "all of them to have come");
      s.close();
      assert.deepEqual(texts(await all(s)), ["2", "3", "4"]);
    }));

    test("has a connection of its own, beside the pool's, that ends with the handler", async () => {
      const mine = async () => (await server.call("CLIENT", "LIST")).match(/ name=counted /g)?.length ?? 0;
      for (const close of ["disconnect", "destroy"] as const) {
        await withDbPool({ protocol, poolsize: 2, name: "counted" }, async (db) => {
          await db.ready();
          const s = await db.subscribe("own:1");
          const p = await db.psubscribe("own:*");
          assert.equal(await mine(), 4);
          assert.match(inspect(db), /2 open; 0 pending/);
          const blocked = [db.blpop("own", 0.05), db.blpop("own", 0.05)];
          await server.call("PUBLISH", "own:1", "heard");
          assert.deepEqual(texts([...await take(1, s), ...await take(1, p)]), ["heard", "heard"]);
          await Promise.all(blocked);
          const waiting = all(s);
          await db[close]();
          assert.deepEqual([await waiting, await all(p)], [[], []]);
          assert.equal((await failure(db.subscribe("own:1"))).code, "CLOSED");
          await until(async () => await mine() === 0, "all to be gone");
        });
      }
    });

    test("listens again after its connection was killed, and the gap stands before the first later message",
      () => withDb({ protocol }, async (db) => {
      const begun = performance.now();
      const s = await db.subscribe(["killed:1", "killed:2"]);
      const p = await db.psubscribe("killed:?");
      await s.subscribe("killed:3");
      await s.unsubscribe("killed:1");
      for (const round of [1, 2, 3]) {
        await db.publish("killed:3", "before");
        const ids = await listeners();
        assert.equal(await killListeners(), 2);
        await until(async () => (await listeners()).filter((id) => !ids.includes(id)).length === 2, "both to be back");
        await until(async () => (await subscribers("killed:2", "killed:3")).join() === "1,1", "its channels");
        assert.deepEqual(await subscribers("killed:1", "killed:2", "killed:3"), [0, 1, 1], `round ${round}`);
        await db.publish("killed:2", "after");
        for (const subscription of [s, p]) {
          const [before, gap, after] = await take(3, subscription);
          assert.deepEqual([before!.message, after!.message], ["before", "after"]);
          assert.deepEqual(Object.keys(gap!), ["gap"]);
          assert.ok(gap!.gap! > 0 && gap!.gap! < performance.now() - begun, String(gap!.gap));
        }
      }
    }));

    test("announces a gap also when no message follows, to a listener, too", () => withDb({ protocol }, async (db) => {
      const heard: unknown[] = [];
      const s = await db.subscribe("quiet");
      await db.subscribe("quiet", ({ gap }) => heard.push(typeof gap));
      await killListeners();
      assert.ok(isGap((await take(1, s))[0]!));
      await until(() => heard.length === 1, "the listener to be told");
      assert.deepEqual(heard, ["number"]);
    }));

    test("names the time it was away", async () => {
      const mortal = await RedisServer.start();
      const { connect, random } = world;
      world.random = () => 0; // the shortest rests
      let noticed = 0;
      let attempts = 0;
      try {
        await withDb({ port: mortal.port, protocol }, async (db) => {
          const s = await db.subscribe("away");
          world.connect = (config, receive) => {
            if (attempts++ === 0) noticed = performance.now();
            return connect(config, receive);
          };
          const killed = performance.now();
          await mortal.kill();
          await until(() => attempts > 20, "it to have tried in vain");
          const restarted = performance.now();
          await mortal.restart();
          const { gap } = (await take(1, s))[0]!;
          const [least, most] = [restarted - noticed, performance.now() - killed];
          assert.ok(gap! >= least && gap! <= most, `${least} <= ${gap} <= ${most}`);
          await mortal.call("PUBLISH", "away", "here again");
          assert.deepEqual(texts(await take(1, s)), ["here again"]);
        });
      } finally {
        Object.assign(world, { connect, random });
        await mortal.stop();
      }
    });

    test("under a hundred kills no message comes twice or out of order, and every missing one lies at a gap",
      async () => {
      const { random } = world;
      world.random = () => 0; // the shortest rests
      try {
        await withDb({ protocol }, async (db) => {
          const begun = performance.now();
          const s = await db.subscribe(["numbers", ...Array.from({ length: 20 }, (_, i) => `none:${i}`)]);
          const items = collect(s);
          let sent = 0;
          let kills = 0;
          let killing = true;
          const publishing = (async () => {
            while (killing) {
              await Promise.all(Array.from({ length: 25 }, () => db.publish("numbers", ++sent)));
              await sleep(1);
            }
          })();
          for (let i = 0; kills < 100 && i < 1_000; i++) {
            const heard = items.length;
            kills += await killListeners();
            if (i % 2) await sleep(Math.random() * 20); // it is killed also while it is being confirmed
            else await until(() => items.length > heard + 25, "messages to be heard again");
          }
          killing = false;
          await publishing;
          assert.ok(kills >= 100, `${kills} kills`);
          await until(async () => (await subscribers("numbers"))[0] === 1, "it to be back");
          await db.publish("numbers", ++sent);
          await until(() => items.at(-1)?.message === String(sent), "the last one");
          let last = 0;
          let announced = false;
          for (const { message, gap } of items) {
            if (gap !== undefined) announced = true;
            else {
              const number = Number(message);
              assert.ok(number > last, `${number} after ${last}`);
              assert.ok(number === last + 1 || announced, `${last + 1} to ${number - 1} are missing without a gap`);
              last = number;
              announced = false;
            }
          }
          const gaps = items.filter(isGap);
          assert.ok(gaps.length > 50 && gaps.length <= kills, `${gaps.length} gaps`);
          assert.ok(gaps.reduce((sum, { gap }) => sum + gap!, 0) < performance.now() - begun, "they do not overlap");
        });
      } finally {
        world.random = random;
      }
    });

    test("takes channels in lists of every kind, and refuses what is no channel", () => withDb({ protocol }, async (db) => {
      const s = await db.subscribe(new Set(["list:a", "list:b"]));
      await s.subscribe(new Set(["list:c"]), ["list:d", Buffer.from("list:e")], "list:f");
      assert.deepEqual(s.channels.map(String), ["a", "b", "c", "d", "e", "f"].map((name) => `list:${name}`));
      await s.unsubscribe(new Set(["list:b"]), [Buffer.from("list:d")]);
      await s.unsubscribe([], new Set());
      const counts = await db.pubsubNumsub("list:a", "list:b", "list:c", "list:d", "list:e", "list:f");
      assert.deepEqual(Object.values(counts), [1, 0, 1, 0, 1, 1]);
      for (const none of [{}, null, undefined, new Map([["a", "b"]]), ["list:a", { list: "b" }]] as any[]) {
        for (const call of [s.subscribe(none), s.unsubscribe(none), db.subscribe(none)]) {
          const error = await failure(call);
          assert.deepEqual([error.code, error instanceof TypeError], ["INVALID_ARGUMENT", true], inspect(none));
        }
      }
      assert.equal(s.channels.length, 4);
      s.close();
    }));

    test("takes any name for a channel", () => withDb({ protocol }, async (db) => {
      const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "", " ", "message", "ünïcode"];
      const s = await db.subscribe(names);
      const p = await db.psubscribe("__proto__");
      const say = async () => {
        for (const name of names) assert.equal(await db.publish(name, name), name === "__proto__" ? 2 : 1);
        const items = await take(names.length, s);
        assert.deepEqual(items, names.map((name) => ({ channel: name, message: name, pattern: undefined })));
        assert.deepEqual(await take(1, p), [{ channel: "__proto__", message: "__proto__", pattern: "__proto__" }]);
      };
      await say();
      await killListeners();
      for (const subscription of [s, p]) assert.ok(isGap((await take(1, subscription))[0]!));
      await say();
      await s.unsubscribe("__proto__", "constructor");
      assert.deepEqual(await subscribers(...names), [0, 0, ...Array(names.length - 2).fill(1)]);
    }));

    test("understands what comes cut at every byte", async () => {
      const { connect } = world;
      world.connect = (config, receive) => connect(config, (chunk) => {
        for (const byte of Buffer.from(chunk)) receive(Buffer.from([byte]));
      });
      try {
        await withDb({ protocol }, async (db) => {
          const s = await db.with({ charset: null }).subscribe(["cut:1", "cut:2"]);
          const said = [
            Buffer.alloc(0), Buffer.from("\r\n>3\r\n+message\r\n"), Buffer.from([0xff, 13, 10]),
            Buffer.alloc(5_000, "x"),
          ];
          const talk = Promise.all(said.map((message) => db.publish("cut:2", message)));
          await Promise.all([talk, s.subscribe("cut:3"), s.unsubscribe("cut:1")]);
          assert.deepEqual(texts(await take(said.length, s)), said);
          await db.publish("cut:3", "last");
          assert.deepEqual(texts(await take(1, s)), [Buffer.from("last")]);
        });
      } finally {
        world.connect = connect;
      }
    });
  });
}

describe("a subscription that cannot be", () => {
  test("for want of permission is rejected, at once, when more is asked for, and without harm to what it has",
    async (t) => {
    if (isOld()) return skip(t, "permissions for channels came with Redis 6.2");
    await server.call("ACL", "SETUSER", "hearing", "on", ">secret", "~*", "+@all", "resetchannels", "&open:*");
    try {
      await withDb({ username: "hearing", password: "secret" }, async (db) => {
        for (const open of [
          () => db.subscribe("shut"), () => db.subscribe(["open:1", "shut"]),
          () => db.psubscribe("*"), () => db.ssubscribe("shut"),
        ]) {
          const error = await failure(open());
          assert.ok(error instanceof ConnectionError);
          const { code, outcome, cause } = error;
          assert.deepEqual([code, outcome, (cause as RedisError).code], ["REFUSED", "not-sent", "NOPERM"]);
        }
        await nobodyListens();
        const s = await db.subscribe("open:1");
        const error = await failure(s.subscribe("open:2", "shut"));
        assert.deepEqual([error.code, error.outcome], ["NOPERM", "not-executed"]);
        assert.deepEqual(s.channels, ["open:1", "open:2"]);
        await killListeners();
        assert.ok(isGap((await take(1, s))[0]!), "it is back");
        await server.call("PUBLISH", "open:2", "heard");
        assert.deepEqual(texts(await take(1, s)), ["heard"]);
        assert.equal(await db.get("no such key"), null);
      });
    } finally {
      await server.call("ACL", "DELUSER", "hearing");
    }
  });

  test("because the server is down, silent or refuses the login is rejected, and leaves nothing behind", async () => {
    await withDb({ port: await freePort() }, async (db) => {
      for (const open of [() => db.subscribe("a"), () => db.psubscribe("a*"), () => db.monitor()]) {
        const error = await failure(open());
        assert.deepEqual([error.code, error.outcome], ["CONNECT_FAILED", "not-sent"]);
      }
    });
    const silent = await ScriptedServer.start(() => {});
    try {
      await withDb({ port: silent.port, connectTimeout: 50 }, async (db) => {
        assert.equal((await failure(db.subscribe("a"))).code, "CONNECT_TIMEOUT");
      });
    } finally {
      await silent.stop();
    }
    const peers = new Set<Peer>();
    await withScript(async (peer) => {
      const [name] = await peer.read();
      if (name === "SUBSCRIBE") peers.add(peer);
      peer.write("-ERR not here\r\n");
    }, async (db) => {
      assert.match((await failure(db.subscribe("a"))).message, /not here/);
      await Promise.all([...peers].map((peer) => peer.closed));
      assert.equal(peers.size, 1, "it is not tried again");
    });
  });

  test("because the handler is closed meanwhile is rejected", async () => {
    const silent = await ScriptedServer.start(() => {});
    try {
      const db = lazyConnection({ port: silent.port });
      const attempt = failure(db.subscribe("a"));
      await until(() => silent.connections === 2, "it to connect");
      db.destroy();
      assert.equal((await attempt).code, "CLOSED");
    } finally {
      await silent.stop();
    }
  });

  test("because of its arguments is a TypeError that names them, and connects to nothing",
    () => withDb({}, async (db) => {
    await db.ping();
    const connections = async () => /total_connections_received:\d+/.exec(await server.call("INFO", "stats"))![0];
    const before = await connections();
    const options: [object, RegExp][] = [
      ...[0, -1, 1.5, "10", null, Infinity].map((buffer): [object, RegExp] => [{ buffer }, /option buffer must be/]),
      ...["explode", "", null, 1].map((overflow): [object, RegExp] => [{ overflow }, /option overflow must be/]),
      [{ bufer: 5 }, /bufer/],
      [{ onState: "told" }, /option onState must be a function/],
      ["channel two" as any, /options/],
    ];
    for (const [option, says] of options) {
      for (const open of [
        () => db.subscribe("a", option), () => db.psubscribe("a", () => {}, option),
        () => db.ssubscribe(["a"], option), () => db.monitor(option),
      ]) {
        const error = await failure(open());
        assert.ok(error instanceof TypeError, String(error));
        assert.match(error.message, says);
        assert.equal((error as any).code, "INVALID_ARGUMENT");
      }
    }
    assert.ok(await failure(db.subscribe("a", undefined as any, { buffer: 0 })) instanceof TypeError);
    assert.match((await failure(db.subscribe("a", "b" as any, {}))).message, /listener/);
    for (const channel of [null, undefined, {}, NaN, Symbol("a"), true, ["a", null]] as any[]) {
      const error = await failure(db.subscribe(channel));
      assert.ok(error instanceof TypeError, `${String(channel)}: ${error}`);
      assert.equal((error as any).code, "INVALID_ARGUMENT");
    }
    await db.ping();
    assert.equal(await connections(), before);
    const s = await db.subscribe("a");
    assert.ok(await failure(s.subscribe(null as any)) instanceof TypeError);
    assert.deepEqual(s.channels, ["a"]);
    assert.equal((await failure(db.call("SUBSCRIBE", "a"))).code, "NOT_SUPPORTED");
  }));

  test("any more, because reconnect is false, ends with an error instead of waiting for ever",
    () => withDb({ reconnect: false }, async (db) => {
    const s = await db.subscribe("once");
    await db.publish("once", "heard");
    await take(1, s);
    const next = failure(take(1, s));
    await killListeners();
    assert.equal((await next).code, "CONNECTION_LOST", String(await next));
  }));
});

describe("a slow consumer", () => {
  after(nobodyListens);
  const KILO = "x".repeat(1_000);
  const flood = async (db: Handler, channel: string, from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i += 100) {
      await Promise.all(count(i, Math.min(i + 100, to)).map((n) => db.publish(channel, `${n} ${KILO}`)));
    }
  };
  const numbersOf = (items: readonly { message?: unknown }[]): number[] =>
    texts(items).map((message) => Number(String(message).split(" ")[0]));
  const count = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
  /** How many bytes the server keeps for those who listen. */
  const kept = async (): Promise<number> =>
    Number(/ omem=(\d+)/.exec(await server.call("CLIENT", "LIST", "TYPE", "pubsub"))?.[1] ?? -1);

  test("is waited for, unless it asks otherwise: the socket is read no more, and nothing is lost",
    () => withDb({}, async (db) => {
    const s = await db.subscribe("slow", { buffer: 10 });
    let sent = 0;
    while (await kept() < 100_000 && sent < 50_000) await flood(db, "slow", sent, sent += 1_000);
    assert.ok(await kept() >= 100_000, "the server keeps what is not read");
    assert.deepEqual(numbersOf(await take(sent, s)), count(0, sent));
    await until(async () => await kept() === 0, "the server to be rid of it");
    await db.publish("slow", sent);
    assert.deepEqual([numbersOf(await take(1, s)), s.dropped], [[sent], 0]);
  }));

  test("that is paused is not taken for dead; when the server has had enough comes what was read, a gap, and the rest",
    () =>
    withDb({ pingInterval: 50, replyTimeout: 400 }, async (db) => {
      const [, limits] = await server.call("CONFIG", "GET", "client-output-buffer-limit");
      const patient = db.with({ replyTimeout: 30_000 });
      let sent = 0;
      try {
        const s = await db.subscribe("too slow", { buffer: 1 });
        while (await kept() < 100_000 && sent < 50_000) await flood(patient, "too slow", sent, sent += 1_000);
        const [id] = await listeners();
        const paused = performance.now();
        await until(() => performance.now() > paused + 900, "it to have been asked, were it to be asked");
        assert.deepEqual(await listeners(), [id]);
        await server.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1000000 0 0");
        while ((await listeners()).length > 0 && sent < 100_000) await flood(patient, "too slow", sent, sent += 1_000);
        assert.deepEqual(await subscribers("too slow"), [0]);
        const items = collect(s);
        await until(() => items.some(isGap), "the gap");
        await patient.publish("too slow", sent);
        await until(() => !isGap(items.at(-1)!), "what came after it");
        const gap = items.findIndex(isGap);
        assert.ok(gap > 1 && gap < sent, String(gap));
        assert.deepEqual(numbersOf(items.slice(0, gap)), count(0, gap));
        assert.deepEqual(numbersOf(items.slice(gap + 1)), [sent]);
      } finally {
        await server.call("CONFIG", "SET", "client-output-buffer-limit", limits);
      }
    }));

  test("may have the oldest dropped, and told how many", () => withDb({}, async (db) => {
    const s = await db.subscribe("drop", { buffer: 5, overflow: "drop" });
    const other = await db.subscribe("drop", { buffer: 100 });
    await flood(db, "drop", 0, 100);
    await until(() => s.dropped >= 95, "the last one to have come");
    assert.deepEqual(numbersOf(await take(5, s)), count(95, 100));
    assert.equal(s.dropped, 95);
    await db.publish("drop", 100);
    assert.deepEqual(numbersOf(await take(1, s)), [100]);
    assert.equal(s.dropped, 95);
    assert.deepEqual(numbersOf(await take(101, other)), count(0, 101), "one that has been read from has room");
  }));

  test("a big buffer that is full costs no more for each message than a small one, and is read as fast", () =>
    withDb({}, async (db) => {
    const costOf = async (buffer: number): Promise<number> => {
      const s = await db.subscribe("many", { buffer, overflow: "drop" });
      return effort(async () => {
        for (let round = 0; round < 100; round++) {
          const pipeline = db.pipeline();
          for (let i = 0; i < 2_000; i++) pipeline.publish("many", "message");
          await pipeline.execPipeline();
        }
        await until(() => s.dropped === 200_000 - buffer, "the last one to have come");
        let left = buffer;
        for await (const _ of s) if (--left === 0) break;
      });
    };
    const [small, big] = [await costOf(10), await costOf(100_000)];
    assert.ok(big < 4 * small + 100, `${big} ms with a buffer of 100,000, ${small} ms with one of 10`);
  }));

  test("of which the oldest are dropped keeps the mark of a gap, and counts messages only",
    () => withDb({}, async (db) => {
    const s = await db.subscribe("drop gap", { buffer: 3, overflow: "drop" });
    const heard: unknown[] = [];
    await db.subscribe("drop gap", (item) => heard.push(item));
    await killListeners();
    await until(async () => (await subscribers("drop gap"))[0] === 2, "both to be back");
    for (let i = 0; i < 10; i++) await db.publish("drop gap", i);
    await until(() => s.dropped >= 8, "the last one to have come");
    const items = await take(3, s);
    assert.ok(isGap(items[0]!), "what is missing after it is counted; what is missing before it is not");
    assert.deepEqual([numbersOf(items.slice(1)), s.dropped], [[8, 9], 8]);
  }));

  test("may have it fail: what was there can be read, then comes the error", () => withDb({}, async (db) => {
    const s = await db.subscribe("fail", { buffer: 5, overflow: "fail" });
    await flood(db, "fail", 0, 5);
    const canary = await db.subscribe("fail");
    await db.publish("fail", 5);
    await take(1, canary);
    await until(async () => (await subscribers("fail"))[0] === 1, "it to have failed");
    const items: unknown[] = [];
    const error = await failure((async () => {
      for await (const item of steady(s)) items.push(item);
    })());
    assert.ok(error instanceof RedisError, String(error));
    assert.equal(error.code, "TOO_SLOW");
    assert.deepEqual(numbersOf(items as []).slice(0, 5), count(0, 5));
    assert.equal((await failure(s.subscribe("more"))).code, "CLOSED");
    assert.equal(await db.publish("fail", "x"), 1, "the others do not notice");
  }));
});

describe("a listener that throws or rejects", () => {
  test("becomes a warning of the process, and hears what comes next", () => withDb({}, async (db) => {
    const warnings: Error[] = [];
    const unhandled: unknown[] = [];
    const warn = (warning: Error) => warnings.push(warning);
    const note = (error: unknown) => unhandled.push(error);
    process.on("warning", warn).on("unhandledRejection", note).on("uncaughtException", note);
    try {
      const odd = [new RangeError("an error"), "a text", undefined, null, Object.create(null), Symbol(), { then: 1 }];
      const heard: unknown[] = [];
      await db.subscribe("thrown", (item) => {
        heard.push(item.message);
        const [how, which] = (item.message ?? "gap").split(" ");
        if (how === "throw") throw odd[Number(which)];
        if (how === "reject") return Promise.reject(odd[Number(which)]);
        return how === "then" ? { then: () => { throw odd[Number(which)]; } } : undefined;
      });
      const said = ["throw", "reject", "then"].flatMap((how) => odd.map((_, i) => `${how} ${i}`)).concat("last");
      for (const message of said) await db.publish("thrown", message);
      await until(() => heard.includes("last"), "the last one");
      await until(() => warnings.length === said.length - 1, "the warnings");
      assert.deepEqual(heard, said, "nothing is missing, and there is no gap");
      assert.deepEqual(unhandled, []);
      assert.equal(warnings.filter((warning) => warning === odd[0]).length, 3, "an error is itself the warning");
      assert.equal(warnings.filter(({ message }) => message === "a text").length, 3);
      assert.equal(await db.get("no such key"), null);
    } finally {
      process.off("warning", warn).off("unhandledRejection", note).off("uncaughtException", note);
    }
  }));

  test("may close its subscription, and hears no more", () => withDb({}, async (db) => {
    const heard: unknown[] = [];
    const s = await db.subscribe("closing", ({ message }) => {
      heard.push(message);
      if (message === "1") s.close();
    });
    const other = await db.subscribe("closing");
    await Promise.all(["0", "1", "2", "3"].map((message) => db.publish("closing", message)));
    await take(4, other);
    await until(async () => (await subscribers("closing"))[0] === 1, "it to be closed");
    assert.deepEqual(heard, ["0", "1"]);
  }));
});

describe("a subscription and a server that", () => {
  /** As a server says it unasked, or confirms. */
  const push = (protocol: 2 | 3, ...words: (string | number)[]): string =>
    `${protocol === 3 ? ">" : "*"}${words.length}\r\n` +
    words.map((word) => (typeof word === "number" ? `:${word}\r\n` : `$${word.length}\r\n${word}\r\n`)).join("");

  /** A server that gives those who subscribe to `script`, each with the how many-th it is and its first command. */
  async function withSpeaker(
    protocol: 2 | 3, script: (peer: Peer, time: number, first: string[]) => Promise<void>,
    use: (db: Handler, speak: (data: string) => void) => Promise<void>, options: Options = {},
  ): Promise<void> {
    let times = 0;
    let listening: Peer | undefined;
    const speaker = await ScriptedServer.start(async (peer) => {
      if (protocol === 3) await peer.hello();
      else {
        await peer.read();
        peer.write("+PONG\r\n");
      }
      const first = await peer.read();
      if (!first[0]!.includes("SUBSCRIBE")) return;
      listening = peer;
      await script(peer, ++times, first);
    });
    try {
      await withDb({ port: speaker.port, protocol, ...options }, (db) => use(db, (data) => listening!.write(data)));
    } finally {
      await speaker.stop();
    }
  }

  for (const protocol of [3, 2] as const) {
    const say = (...words: (string | number)[]) => push(protocol, ...words);

    test(`dies while it confirms: the gap is announced again, in RESP${protocol}`,
      () => withSpeaker(protocol, async (peer, time, [, first]) => {
      assert.equal(first, "one");
      assert.deepEqual(await peer.read(), ["SUBSCRIBE", "two"]);
      peer.write(say("subscribe", "one", 1));
      if (time === 2) {
        peer.write(say("message", "one", "before"));
        return peer.end();
      }
      peer.write(say("subscribe", "two", 2));
      if (time === 1) return peer.end();
      peer.write(say("message", "one", "after"));
      await peer.closed;
    }, async (db) => {
      const s = await db.subscribe(["one", "two"]);
      const items = await take(4, s);
      assert.deepEqual(items.map((item) => isGap(item) || item.message), [true, "before", true, "after"]);
    }));

    test(`speaks before it has confirmed all again: a gap stands behind that, too, in RESP${protocol}`,
      () => withSpeaker(protocol, async (peer, time) => {
      await peer.read();
      const early = time === 1 ? "" : say("message", "one", "early");
      peer.write(say("subscribe", "one", 1) + early + say("subscribe", "two", 2) + say("message", "two", "late"));
      if (time === 1) return peer.end();
      await peer.closed;
    }, async (db) => {
      const items = await take(5, await db.subscribe(["one", "two"]));
      assert.deepEqual(items.map((item) => isGap(item) || item.message), ["late", true, "early", true, "late"]);
    }));

    test(`speaks between replies: nobody gets another's, in RESP${protocol}`,
      () => withSpeaker(protocol, async (peer) => {
      let said = 0;
      const chat = () => peer.write(say("message", "a", String(said++)) + say("pmessage", "*", "a", String(said++)));
      peer.write(say("subscribe", "a", 1));
      chat();
      for (;;) {
        const [name, channel] = await peer.read();
        chat();
        if (name === "PING") peer.write(protocol === 3 ? "+PONG\r\n" : say("pong", ""));
        else peer.write(say(name!.toLowerCase(), channel!, 2));
        chat();
      }
    }, async (db) => {
      const s = await db.with({ charset: null }).subscribe("a");
      await s.subscribe("b", "c");
      await s.unsubscribe("b");
      const items = await take(30, s); // its own PINGs among them
      assert.deepEqual(texts(items), Array.from({ length: 30 }, (_, i) => Buffer.from(String(i))));
      assert.deepEqual(items.slice(0, 2).map(({ pattern }) => pattern), [undefined, Buffer.from("*")]);
    }, { pingInterval: 20 }));

    test(`ends a channel by itself: only that is subscribed to again, on the same connection, behind a gap, in RESP${protocol}`,
      () => withSpeaker(protocol, async (peer, time) => {
      assert.equal(time, 1);
      await peer.read();
      peer.write(say("ssubscribe", "a", 1) + say("ssubscribe", "b", 2) + say("smessage", "a", "1"));
      assert.deepEqual(await peer.read(), ["SSUBSCRIBE", "a"]);
      peer.write(say("ssubscribe", "a", 2) + say("smessage", "a", "2"));
      assert.deepEqual(await peer.read(), ["SUNSUBSCRIBE", "b"]);
      peer.write(say("sunsubscribe", "b", 1) + say("smessage", "a", "3"));
      await peer.closed;
    }, async (db, speak) => {
      const s = await db.ssubscribe(["a", "b"]);
      const items = await take(1, s);
      speak(say("sunsubscribe", "a", 1));
      items.push(...await take(2, s));
      await s.unsubscribe("b");
      items.push(...await take(1, s));
      assert.deepEqual(items.map((item) => isGap(item) || item.message), ["1", true, "2", "3"]);
      assert.deepEqual(s.channels, ["a"]);
    }));

    test(`ends a channel by itself and refuses it for now: it is asked again, and the others are heard, in RESP${protocol}`,
      async () => {
      const { after } = world;
      const delays: number[] = [];
      try {
        await withSpeaker(protocol, async (peer, time) => {
          assert.equal(time, 1);
          await peer.read();
          peer.write(say("ssubscribe", "a", 1) + say("ssubscribe", "b", 2) + say("sunsubscribe", "a", 1));
          world.after = (delay, task) => {
            if (delay < 1_000 || delay > 2_000) return after(delay, task);
            delays.push(delay);
            return after(1, task);
          };
          for (const refusal of ["-MOVED 1 elsewhere:6379\r\n", "-NOPERM not yet\r\n"]) {
            assert.deepEqual(await peer.read(), ["SSUBSCRIBE", "a"]);
            peer.write(refusal + say("smessage", "b", "meanwhile"));
          }
          assert.deepEqual(await peer.read(), ["SSUBSCRIBE", "a"]);
          peer.write(say("ssubscribe", "a", 2) + say("smessage", "a", "again"));
          await peer.closed;
        }, async (db) => {
          const items = await take(6, await db.ssubscribe(["a", "b"]));
          const expected = [true, "meanwhile", true, "meanwhile", true, "again"];
          assert.deepEqual(items.map((item) => isGap(item) || item.message), expected);
        }, { pingInterval: 60_000, replyTimeout: 10_000 });
        assert.equal(delays.length, 2);
      } finally {
        world.after = after;
      }
    });

    test(`ends a channel whose name is not text: none is lost, in RESP${protocol}`,
      () => withSpeaker(protocol, async (peer, time) => {
      assert.equal(time, 1);
      await peer.readRaw();
      peer.write(say("ssubscribe", "?", 1) + say("ssubscribe", "?", 2));
      const mark = protocol === 3 ? ">" : "*";
      peer.write(Buffer.from(`${mark}3\r\n$12\r\nsunsubscribe\r\n$1\r\n\xff\r\n:1\r\n`, "latin1"));
      const again = [await peer.readRaw(), await peer.readRaw()].map(([, name]) => name);
      assert.deepEqual(again, [Buffer.from([0xfe]), Buffer.from([0xff])]);
      peer.write(say("ssubscribe", "?", 1) + say("ssubscribe", "?", 2) + say("smessage", "a", "after"));
      await peer.closed;
    }, async (db) => {
      const items = await take(2, await db.ssubscribe([Buffer.from([0xfe]), Buffer.from([0xff])]));
      assert.deepEqual(items.map((item) => isGap(item) || item.message), [true, "after"]);
    }));
  }

  test("says what nobody understands: it is no message, and those around it are heard",
    () => withSpeaker(3, async (peer) => {
    peer.write(push(3, "subscribe", "a", 1));
    for (const [i, nonsense] of [
      ">0\r\n", ">1\r\n+unheard-of\r\n", ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n", ">2\r\n+invalidate\r\n_\r\n",
      ">1\r\n+message\r\n", ">2\r\n+message\r\n+a\r\n", ">3\r\n+pmessage\r\n+a\r\n+b\r\n",
      ">5\r\n+message\r\n+a\r\n+b\r\n+c\r\n+d\r\n", ">1\r\n*0\r\n", ">1\r\n_\r\n", ">2\r\n:1\r\n:2\r\n",
      ">3\r\n+__proto__\r\n+a\r\n+b\r\n", ">3\r\n+subscribe\r\n+b\r\n:2\r\n", ">3\r\n+message\r\n*1\r\n+a\r\n%0\r\n",
    ].entries()) peer.write(nonsense + push(3, "message", "a", String(i)));
    await peer.closed;
  }, async (db) => {
    const s = await db.subscribe("a");
    const items = await take(14, s);
    assert.deepEqual(items, items.map((_, i) => ({ channel: "a", message: String(i), pattern: undefined })));
  }));

  test("breaks the protocol: its connection is replaced, behind a gap", async () => {
    for (const protocol of [3, 2] as const) {
      for (const breach of ["+OK\r\n:1\r\n", "@\r\n", ":1\r\n", "*1\r\n+hello\r\n", "-ERR no more\r\n", "$-1\r\n"]) {
        await withSpeaker(protocol, async (peer, time) => {
          peer.write(push(protocol, "subscribe", "a", 1) + push(protocol, "message", "a", String(time)));
          await peer.closed;
        }, async (db, speak) => {
          const s = await db.subscribe("a");
          const items = await take(1, s);
          speak(breach);
          items.push(...await take(2, s));
          assert.deepEqual(items.map((item) => isGap(item) || item.message), ["1", true, "2"], JSON.stringify(breach));
        });
      }
    }
  });

  test("goes silent is asked with PING, and replaced, behind a gap", async () => {
    for (const protocol of [3, 2] as const) {
      await withSpeaker(protocol, async (peer, time) => {
        peer.write(push(protocol, "subscribe", "a", 1) + push(protocol, "message", "a", String(time)));
        assert.deepEqual(await peer.read(), ["PING"]);
        await peer.closed;
      }, async (db) => {
        const items = await take(3, await db.subscribe("a"));
        assert.deepEqual(items.map((item) => isGap(item) || item.message), ["1", true, "2"]);
      }, { pingInterval: 30, replyTimeout: 60 });
    }
  });
});

describe("subscriptions that come and go", () => {
  test("still change after the signal of the call that began them was aborted", () => withDb({}, async (db) => {
    const abort = new AbortController();
    const s = await db.with({ signal: abort.signal }).subscribe("signal:1");
    abort.abort();
    await s.subscribe("signal:2");
    await s.unsubscribe("signal:1");
    assert.deepEqual(await subscribers("signal:1", "signal:2"), [0, 1]);
  }));

  test("stop to listen though the signal was aborted or they have ended", () => withDb({}, async (db) => {
    const abort = new AbortController();
    const heard: unknown[] = [];
    const s = await db.with({ signal: abort.signal }).subscribe(["stop:1", "stop:2"], ({ message }) => heard.push(message));
    abort.abort();
    await s.unsubscribe("stop:1");
    assert.deepEqual([await db.publish("stop:1", "x"), await db.publish("stop:2", "y")], [0, 1]);
    await until(() => heard.length > 0, "it");
    assert.deepEqual(heard, ["y"]);
    const closed = await db.subscribe(["stop:3", "stop:4", "stop:5"]);
    closed.close();
    await closed.unsubscribe("stop:3");
    await closed.unsubscribe();
    const lost = await db.with({ charset: null }).subscribe(["stop:6", "stop:7"]);
    const end = lost.unsubscribe("stop:6");
    lost.close();
    await end;
  }));

  test("that begin under a signal end with it, and leave nothing behind", async () => {
    const silent = await ScriptedServer.start(() => {});
    try {
      const db = lazyConnection({ port: silent.port });
      const own = 1;
      await until(() => silent.connections === own, "its own");
      const never = db.with({ signal: AbortSignal.abort() });
      for (const open of [() => never.subscribe("a"), () => never.psubscribe("a", () => {})]) {
        const { code, outcome } = await failure(open());
        assert.deepEqual([code, outcome], ["ABORTED", "not-sent"]);
      }
      assert.equal(silent.connections, own, "nothing was opened");
      const reason = new RangeError("enough");
      for (const open of [(db: Handler) => db.subscribe("a"), (db: Handler) => db.ssubscribe("a"), (db: Handler) => db.monitor()]) {
        const abort = new AbortController();
        const before = silent.connections;
        const attempt = failure(open(db.with({ signal: abort.signal })));
        await until(() => silent.connections > before, "it to connect");
        abort.abort(reason);
        const { code, cause } = await attempt;
        assert.deepEqual([code, cause], ["ABORTED", reason]);
      }
      await Promise.all(silent.peers.slice(own).map((peer) => peer.closed));
      db.destroy();
    } finally {
      await silent.stop();
    }
  });

  test("are not kept by the handler", () => withDb({}, async (db) => {
    const collectGarbage = garbageCollector();
    const open = async (end: (s: Subscription) => unknown) => {
      const s = await db.subscribe("come and go");
      await end(s);
      return new WeakRef(s);
    };
    const gone = [await open((s) => s.close()), await open((s) => s.unsubscribe()), await open(async (s) => {
      await db.publish("come and go", "x");
      for await (const _ of steady(s)) break;
    })];
    const kept = await db.subscribe("come and go");
    await until(() => (collectGarbage(), gone.every((ref) => ref.deref() === undefined)), "them to be garbage");
    assert.deepEqual(kept.channels, ["come and go"]);
  }));
});

describe("the state of a subscription", () => {
  type Told = [state: string, code: string | undefined];
  const note = (told: Told[]) => (state: string, error?: RedisError): void => void told.push([state, error?.code]);

  test("is told and can be asked, through a loss to its end", () => withDb({}, async (db) => {
    const told: Told[] = [];
    const heard: unknown[] = [];
    const s = await db.subscribe("state", ({ gap }) => heard.push(typeof gap), { onState: note(told) });
    assert.deepEqual([s.state, s.error, told], ["listening", undefined, [["listening", undefined]]]);
    await killListeners();
    await until(() => told.length === 3, "it to listen again");
    assert.deepEqual(heard, ["number"]);
    s.close();
    s.close();
    assert.deepEqual([s.state, s.error], ["ended", undefined]);
    const codes = [undefined, "CONNECTION_LOST", undefined, undefined];
    assert.deepEqual(told, ["listening", "connecting", "listening", "ended"].map((state, i) => [state, codes[i]]));
  }));

  test("says why it does not listen: the server is down, or its user was deleted", async () => {
    await server.call("ACL", "SETUSER", "leaving", "on", ">hunter2", "~*", "&*", "+@all");
    try {
      await withDb({ username: "leaving", password: "hunter2" }, async (db) => {
        const told: Told[] = [];
        const s = await db.subscribe("state", { onState: note(told) });
        await server.call("ACL", "DELUSER", "leaving");
        await until(() => s.error?.code === "REFUSED", "it to be refused");
        assert.equal(s.state, "connecting");
        assert.deepEqual(told.slice(0, 3), [["listening", undefined], ["connecting", "CONNECTION_LOST"], ["connecting", "REFUSED"]]);
        assert.doesNotMatch(inspect(s, { showHidden: true, depth: 9 }), /hunter2/);
        await server.call("ACL", "SETUSER", "leaving", "on", ">hunter2", "~*", "&*", "+@all");
        await until(() => s.state === "listening", "it to listen again", 20_000);
        assert.equal(s.error, undefined);
      });
    } finally {
      await server.call("ACL", "DELUSER", "leaving");
    }
  });

  test("tells a listener of the end: for want of a reconnect, or with the handler", async () => {
    const told: Told[] = [];
    await withDb({ reconnect: false }, async (db) => {
      await db.subscribe("state", () => {}, { onState: note(told) });
      await killListeners();
      await until(() => told.length === 2, "the end");
    });
    await withDb({}, async (db) => {
      await db.psubscribe("state*", () => {}, { onState: note(told) });
      await db.disconnect();
    });
    const ends: Told[] = [["ended", "CONNECTION_LOST"], ["listening", undefined], ["ended", undefined]];
    assert.deepEqual(told, [["listening", undefined], ...ends]);
  });

  test("becomes a warning when an error ends a listener that asks for no state", () => withDb({ reconnect: false }, async (db) => {
    const warned = once(process, "warning");
    await db.subscribe("state", () => {});
    await killListeners();
    const [warning] = await warned;
    assert.equal(warning.code, "CONNECTION_LOST");
  }));

  test("ends with the error of a reader that was too slow; a callback that throws becomes a warning",
    () => withDb({}, async (db) => {
    const warned = once(process, "warning");
    const s = await db.subscribe("state", { buffer: 1, overflow: "fail", onState: (state) => {
      if (state === "ended") throw new RangeError("mine");
    } });
    for (const message of ["1", "2"]) await db.publish("state", message);
    assert.equal((await warned)[0].message, "mine");
    assert.deepEqual([s.state, s.error?.code], ["ended", "TOO_SLOW"]);
  }));

  test("is shown by console.log, without the names of channels", () => withDb({ name: "shown", password: undefined }, async (db) => {
    const s = await db.subscribe(["hunter2", "b"], { buffer: 5 });
    await db.publish("b", "secret");
    await until(() => inspect(s).includes("1 unread"), "it");
    const shown = `2 channels: listening, 1 unread, 0 dropped; localhost:${server.port} db 0: 1 open; 0 pending`;
    assert.equal(inspect(s), `Subscription <${shown}>`);
    s.close();
    assert.match(inspect(s), /^Subscription <2 channels: ended, 1 unread, 0 dropped; .*: closed; 0 pending>$/);
    const monitor = await db.monitor();
    assert.match(inspect(monitor, { depth: 9 }), /^Feed <listening, \d+ unread, 0 dropped; .*>$/);
  }));

  for (const protocol of [3, 2] as const) {
    test(`is "connecting" while a channel that the server has ended is not confirmed again, in RESP${protocol}`, async () => {
      const say = (...words: (string | number)[]) => `${protocol === 3 ? ">" : "*"}${words.length}\r\n` +
        words.map((word) => (typeof word === "number" ? `:${word}\r\n` : `$${word.length}\r\n${word}\r\n`)).join("");
      let speaker: Peer | undefined;
      const scripted = await ScriptedServer.start(async (peer) => {
        if (protocol === 3) await peer.hello();
        else {
          await peer.read();
          peer.write("+PONG\r\n");
        }
        if ((await peer.read())[0] !== "SSUBSCRIBE") return;
        speaker = peer;
        peer.write(say("ssubscribe", "a", 1));
        await peer.closed;
      });
      try {
        await withDb({ port: scripted.port, protocol }, async (db) => {
          const told: Told[] = [];
          const s = await db.ssubscribe("a", { onState: note(told) });
          speaker!.write(say("sunsubscribe", "a", 0));
          await until(() => s.state === "connecting", "the end of the channel");
          assert.deepEqual(await speaker!.read(), ["SSUBSCRIBE", "a"]);
          speaker!.write(say("ssubscribe", "a", 1));
          await until(() => s.state === "listening", "its return");
          assert.deepEqual(told, ["listening", "connecting", "listening"].map((state) => [state, undefined]));
        });
      } finally {
        await scripted.stop();
      }
    });
  }
});

describe("monitor()", () => {
  /** Its lines cannot be read there: https://github.com/valkey-io/valkey/pull/2036 */
  const isUnescaped = (): boolean => ["8.1.0", "8.1.1"].includes(server.version);
  const UNESCAPED = "Valkey before 8.1.2 escapes no quotes";
  /** The words of the commands with this name, in order. */
  const words = async (name: string, count: number, monitor: AsyncIterable<Monitored | Gap>): Promise<string[][]> => {
    const found: string[][] = [];
    while (found.length < count) {
      const [item] = await take(1, monitor);
      if (item!.gap === undefined && item!.words[0] === name) found.push(item!.words);
    }
    return found;
  };

  for (const protocol of [3, 2] as const) {
    test(`gives every command as it was given, whatever is in it, in RESP${protocol}`, async (t) => {
      if (isUnescaped()) return skip(t, UNESCAPED);
      await withDb({ protocol, dbid: 3 }, givesAll);
    });

    const givesAll = async (db: Handler): Promise<void> => {
      const monitor = await (await db.ready()).monitor();
      const said = [
        "", " ", "plain", 'a "quoted" word', "it's", "back\\slash", '\\"', "\\x41",
        "two\r\nlines\t", "\x07\b\0\x01\x7f",
        "] [", "ünïcode €", "x".repeat(5_000),
      ];
      const begun = Date.now() / 1_000;
      for (const word of said) await db.echo(word);
      await server.call("ECHO", "of others");
      const { address, time, db: number } = (await take(1, monitor))[0] as Monitored;
      assert.match(address, /^127\.0\.0\.1:\d+$/);
      assert.equal(number, 3);
      assert.ok(time > begun - 1 && time < Date.now() / 1_000 + 1, String(time));
      const expected = [...said.slice(1), "of others"].map((word) => ["ECHO", word]);
      assert.deepEqual(await words("ECHO", said.length, monitor), expected);
      await db.eval("return redis.call('echo', ARGV[1])", 0, "from within");
      const items = await take(2, monitor) as Monitored[];
      const seen = items.map(({ address, words }) => [address === "lua", words.at(-1)]);
      assert.deepEqual(seen, [[false, "from within"], [true, "from within"]]);
    };

    test(`goes on after a loss, behind a gap, and ends with a break or with the handler, in RESP${protocol}`,
      () => withDb({ protocol }, async (db) => {
      const monitoring = async (): Promise<string[]> =>
        [...(await server.call("CLIENT", "LIST")).matchAll(/^id=(\d+) .* flags=O/gm)].map(([, id]) => id!);
      const monitor = await (await db.ready()).monitor();
      const [id] = await monitoring();
      await server.call("CLIENT", "KILL", "ID", id!);
      const items = collect({ [Symbol.asyncIterator]: () => monitor });
      await until(() => items.some(isGap), "the gap");
      await db.echo("after");
      await until(() => (items.at(-1) as Monitored)?.words?.[1] === "after", "it");
      monitor.close();
      await until(async () => (await monitoring()).length === 0, "it to be gone");
      const other = await db.monitor();
      await db.echo("x");
      for await (const item of steady(other)) {
        assert.ok(item);
        break;
      }
      await until(async () => (await monitoring()).length === 0, "it to be gone");
      const last = await db.monitor();
      const rest = all(last);
      db.destroy();
      await rest;
      await until(async () => (await monitoring()).length === 0, "it to be gone");
    }));
  }

  test("reads commands of any length", async (t) => {
    if (isUnescaped()) return skip(t, UNESCAPED);
    await withDb({}, async (db) => {
      const monitor = await (await db.ready()).monitor();
      const long = "a\"€\n".repeat(100_000);
      await db.echo(long);
      await db.echo("next");
      const items = await take(2, monitor) as Monitored[];
      assert.ok(items[0]!.words?.[1] === long, "it is whole");
      assert.deepEqual(items[1]!.words, ["ECHO", "next"]);
    });
  });

  test("reads its bytes as the handler's charset says, and each as a character where that is null", async () => {
    const bytes = Buffer.from([0x20, 0xe9, 0xff, 0x0a]);
    for (const charset of ["latin1", null] as const) {
      await withDb({ charset: charset as "latin1" }, async (db) => {
        const monitor = await (await db.ready()).monitor();
        await db.echo(bytes);
        assert.deepEqual(((await take(1, monitor))[0] as Monitored).words, ["ECHO", bytes.toString("latin1")]);
      });
    }
  });

  test("can be slow, too", () => withDb({}, async (db) => {
    const monitor = await (await db.ready()).monitor({ buffer: 2, overflow: "drop" });
    for (const word of ["1", "2", "3", "4"]) await db.echo(word);
    await until(() => monitor.dropped === 2, "the first two to be dropped");
    assert.deepEqual((await take(2, monitor) as Monitored[]).map(({ words }) => words[1]), ["3", "4"]);
  }));
});

// ==== 12. Sentinel ====

const replicaAt = (port: number, more: Record<string, string> = {}) =>
  ({ ip: "127.0.0.1", port: String(port), flags: "slave", "role-reported": "slave", "slave-priority": "100", ...more });

/** Runs `use` with scripted Sentinels, all of which say the same, and real servers, all of them masters. */
async function withScriptedSentinels(
  [sentinels, servers]: [sentinels: number, servers: number],
  use: (sentinels: ScriptedSentinel[], servers: RedisServer[], options: Options) => Promise<void>,
): Promise<void> {
  const nodes = await Promise.all(Array.from({ length: servers }, () => RedisServer.start({ args: ["--repl-diskless-sync-delay", "0"], unix: false })));
  const said = (): Said => ({ address: ["127.0.0.1", nodes[0]?.port ?? 1], epoch: 1 });
  const all = await Promise.all(Array.from({ length: sentinels }, (_, i) => ScriptedSentinel.start(said(), { id: `s${i}` })));
  const options = { sentinels: all.map(({ host }) => host), master: "mymaster", poolsize: 2, replyTimeout: 60_000 };
  try {
    await use(all, nodes, options);
  } finally {
    await Promise.all([...all, ...nodes].map((server) => server.stop()));
  }
}

const lazyOne = (options: Options): Handler => lazyConnection(options) as Handler;
const lazyPool = (options: Options): Handler => lazyConnectionPool(options) as Handler;
const eagerPool = async (options: Options): Promise<Handler> => await connectionPool(options) as Handler;
const portOf = async (db: Handler): Promise<number> => Number(/tcp_port:(\d+)/.exec(await db.info("server"))?.[1]);
const becomesReplica = async (node: RedisServer, of: RedisServer): Promise<void> => {
  await node.call("REPLICAOF", of.host, String(of.port));
  await until(async () => (await node.call("ROLE"))[3] === "connected", "the replica to be attached");
};

describe("options of Sentinels", () => {
  const sentinels = ["127.0.0.1:26379"];
  for (const [name, options, says] of [
    ["a master without Sentinels", { master: "m" }, /option master needs sentinels/],
    ["Sentinels without a master", { sentinels }, /option sentinels needs master/],
    ["Sentinels beside a host", { sentinels, master: "m", host: "a" }, /omit option host/],
    ["Sentinels beside a path", { sentinels, master: "m", path: "/a" }, /omit option path/],
    ["Sentinels beside replicas", { sentinels, master: "m", replicas: ["a:1"] }, /omit option replicas/],
    ["an empty list of Sentinels", { sentinels: [], master: "m" }, /sentinels must be a list of hosts/],
    ["a Sentinel that is a number", { sentinels: [1], master: "m" }, /sentinels\[0\]: not host:port/],
    ["a database of a Sentinel", { sentinels: [{ host: "a", dbid: 1 }], master: "m" }, /sentinels\[0\]: a Sentinel has no option dbid/],
    ["an unknown option of a Sentinel", { sentinels: [{ hots: "a" }], master: "m" }, /sentinels\[0\]: there is no option "hots"/],
    ["a name with a space", { sentinels, master: "a b" }, /option master must be a name without spaces/],
    ["a map to no address", { addressMap: { "a:1": "b" } }, /option addressMap must be/],
    ["a map from no address", { addressMap: { a: "b:1" } }, /option addressMap must be/],
  ] as [string, object, RegExp][]) {
    test(`${name}: a TypeError that names it`, () => {
      assert.throws(() => lazyConnection(options as Options), (error) => error instanceof TypeError && says.test(error.message));
    });
  }

  test("one of several may be what Sentinels name", () => {
    const { anyOf } = internals.readOptions({ anyOf: [{ sentinels, master: "a" }, "redis://b:1"], port: 7000 });
    assert.deepEqual((anyOf as readonly { config: Options }[]).map(({ config: { master, host, port } }) => [master, host, port]),
      [["a", "localhost", 6379], [undefined, "b", 1]]);
  });

  test("a URL holds all of them", () => {
    const read = (url: string) => {
      const { sentinels, master, username, password, dbid, tls } = internals.readOptions(url);
      const all = sentinels!.map((one) => [one.host, one.port, one.username, one.password, one.tls]);
      return [all, master, username, password, dbid, tls];
    };
    assert.deepEqual(read("redis+sentinel://al:p%40ss@a:26380/my%2Fmaster/3?sentinel=b&sentinel=[::1]:7"), [
      [["a", 26380, undefined, undefined, false], ["b", 26379, undefined, undefined, false], ["::1", 7, undefined, undefined, false]],
      "my/master", "al", "p@ss", 3, false,
    ]);
    assert.deepEqual(read("rediss+sentinel://a/m?sentinel=b&sentinelUsername=su&sentinelPassword=sp"),
      [[["a", 26379, "su", "sp", true], ["b", 26379, "su", "sp", true]], "m", undefined, undefined, 0, true]);
    for (const [url, says] of [
      ["redis+sentinel://:hunter2@a", /redis\+sentinel:\/\/host:port\/master/], ["redis+sentinel:///m", /host:port\/master/],
      ["redis+sentinel://:hunter2@a/m/0/1", /host:port\/master/], ["redis+sentinel://a/m/x", /option dbid/],
      ["redis+sentinel://a/m?sentinel=x@hunter2:1", /not host:port/], ["redis+sentinel://a/m?tls=false", /cannot set tls/],
      ["redis+sentinel://a/m?sentinelPassword=hunter2&sentinelUsername=", /^$/], ["redis://a?sentinel=b", /cannot set this option/],
    ] as const) {
      const made = (): string => {
        try {
          internals.readOptions(url);
          return "";
        } catch (error) {
          return (error as Error).message;
        }
      };
      assert.match(made(), says, url);
      assert.doesNotMatch(made(), /hunter2/);
    }
  });

  test("TLS of the servers holds for Sentinels, too, unless one has its own; credentials do not", () => {
    const options = { sentinels: ["a", { host: "b", tls: false, password: "s" }], master: "m", tls: true, password: "p" };
    const { sentinels } = internals.readOptions(options);
    assert.deepEqual(sentinels!.map(({ tls, password, port }) => [tls, password, port]), [[true, undefined, 26379], [false, "s", 26379]]);
  });
});

describe("a master that Sentinels watch", () => {
  let set: SentinelSet;
  /** A single Sentinel elects itself; several may split their votes, and then take many seconds. */
  let lone: SentinelSet;
  before(async () => {
    [set, lone] = await Promise.all([SentinelSet.start(), SentinelSet.start({ sentinels: 1 })]);
  });
  after(() => Promise.all([set.stop(), lone.stop()]));
  beforeEach(() => Promise.all([set.settle(), lone.settle()]));
  const options = (more: Options = {}, { hosts } = set): Options =>
    ({ sentinels: hosts, master: "mymaster", replyTimeout: 60_000, poolsize: 3, ...more });

  test("is found by every kind of factory, and by a URL", async () => {
    const { port } = (await set.master())!;
    const [first, ...others] = set.hosts;
    const url = `redis+sentinel://${first}/mymaster/2?${others.map((host) => `sentinel=${host}`).join("&")}`;
    for (const made of [connection(url), connectionPool(options()), lazyConnection(options()), lazyConnectionPool(url)]) {
      await using(await made as Handler, async (db) => {
        assert.equal(await portOf(db), port);
        assert.ok(inspect(db).includes(`mymaster at 127.0.0.1:${port}`), inspect(db));
      });
    }
    const shards = await shardedConnection([{ master: "mymaster" }, `127.0.0.1:${server.port}`], { sentinels: set.hosts })
      .catch((error) => error);
    assert.match(shards.message, /hosts\[1\]: option sentinels needs master/);
    await using(lazyShardedConnectionPool([{ sentinels: set.hosts, master: "mymaster" }, { port: server.port }]), async (db) => {
      const key = Array.from({ length: 99 }, (_, i) => `k${i}`).find((key) => db.nodeFor(key) === "mymaster")!;
      assert.equal(await db.set(key, "v"), "OK");
      assert.equal(await (await set.master())!.call("GET", key), "v");
    });
  });

  test("is followed when it is killed: commands wait for the new one, and subscriptions move with a gap", async () => {
    await using(lazyPool(options({}, lone)), async (db) => {
      await db.set("k", 0);
      const messages = await db.subscribe("news");
      const old = (await lone.master())!;
      const failed: unknown[] = [];
      let done = 0;
      await old.kill();
      const writes = Array.from({ length: 100 }, (_, i) => db.set("k", i + 1).then(() => done++, (error) => failed.push(error)));
      await Promise.all(writes);
      assert.deepEqual([done, failed], [100, []]);
      const now = lone.node(await portOf(db));
      assert.notEqual(now, old);
      assert.equal(await now.call("GET", "k"), "100");
      const items = messages[Symbol.asyncIterator]();
      const { value } = await items.next();
      assert.ok(value!.gap! > 0);
      await now.call("PUBLISH", "news", "hello");
      let message;
      do message = (await items.next()).value!.message;
      while (message === undefined);
      assert.equal(message, "hello");
      await old.restart();
    });
  });

  test("is left at the first announcement of another, and no command fails", async () => {
    await using(lazyPool(options()), async (db) => {
      const old = (await set.master())!;
      let isOver = false;
      const errors: unknown[] = [];
      const caller = async () => {
        while (!isOver) {
          await db.incr("n").catch((error) => errors.push(error));
          await sleep(1);
        }
      };
      const callers = [caller(), caller(), caller()];
      await set.sentinels[0]!.call("SENTINEL", "FAILOVER", "mymaster");
      await until(async () => await portOf(db) !== old.port, "the switch");
      isOver = true;
      await Promise.all(callers);
      assert.deepEqual(errors, []);
    });
  });

  test("that freezes is left; when it thaws, it gets no more commands", async () => {
    await using(lazyPool(options({ name: "tested" }, lone)), async (db) => {
      await db.set("k", 0);
      const old = (await lone.master())!;
      const popped = failure(db.blpop("queue", 0));
      old.freeze();
      try {
        const [sent, later] = [db.incr("n").catch((error) => error), await until(async () => {
          const port = await portOf(db).catch(() => old.port);
          return port !== old.port && port;
        }, "the switch")];
        assert.deepEqual([(await sent).code, (await sent).outcome], ["CONNECTION_LOST", "unknown"]);
        assert.deepEqual([(await popped).code, (await popped).outcome], ["CONNECTION_LOST", "unknown"]);
        assert.notEqual(later, old.port);
      } finally {
        old.thaw();
      }
      await until(async () => (await old.call("ROLE"))[0] === "slave", "the old one to be demoted");
      await db.set("k", 1);
      assert.doesNotMatch(await old.call("CLIENT", "LIST"), /name=tested/);
    });
  });

  test("has its replicas answer reads, as the Sentinels know them", async () => {
    await using(lazyPool(options({ readFrom: "replica" })), async (db) => {
      const master = (await set.master())!;
      await db.ready();
      const name = "redis";
      await db.set(name, "v");
      await until(() => (inspect(db).match(/replica/g) ?? []).length === 2, "both replicas to be known");
      const replicas = set.nodes.filter((node) => node !== master);
      const reads = async (node: RedisServer) => Number(/cmdstat_get:calls=(\d+)/.exec(await node.call("INFO", "commandstats"))?.[1] ?? 0);
      await Promise.all(set.nodes.map((node) => node.call("CONFIG", "RESETSTAT")));
      await until(async () => {
        await db.get(name);
        return (await Promise.all(replicas.map(reads))).every((count) => count > 0);
      }, "both replicas to answer");
    });
  });
});

describe("sentinel()", () => {
  let set: SentinelSet;
  before(async () => {
    set = await SentinelSet.start({ sentinels: 2 });
  });
  after(() => set.stop());

  test("gives a handler for a master, and one for its replicas, which refuses what may write", async () => {
    const sentinels = sentinel(set.hosts, { poolsize: 2 });
    const [db, replicas] = [sentinels.masterFor("mymaster"), sentinels.replicaFor("mymaster")];
    const master = (await set.master())!;
    assert.equal(await portOf(db), master.port);
    await db.set("k", "v");
    await until(() => inspect(replicas).split("; replica ").filter((each) => each.includes("2 open")).length === 3, "the replicas");
    const others = set.nodes.filter((node) => node !== master);
    await until(async () => {
      await replicas.get("k");
      const all = await Promise.all(others.map((node) => node.call("INFO", "commandstats")));
      return all.every((stats) => stats.includes("cmdstat_get:"));
    }, "both replicas to answer");
    const refused: (() => unknown)[] = [
      () => replicas.set("k", 1), () => replicas.eval("return 1", 0), () => replicas.with({ readFrom: "primary" }).del("k"),
      () => replicas.call("X.Y", "k"), () => replicas.lease(async () => {}), async () => replicas.pipeline().incr("k"),
      () => replicas.transaction([], async (t) => (await t.multi()).set("k", 1)),
    ];
    for (const each of refused) {
      const error = await failure(each());
      assert.ok(error instanceof NotSupportedError, inspect(error));
      assert.match(error.message, /this handler is for replicas, which only read; use masterFor\(\)/);
    }
    assert.equal(await replicas.getrange("k", 0, -1), "v");
    await sentinels.disconnect();
    assert.equal((await failure(db.get("k"))).code, "CLOSED");
  });

  test("asks for addresses, and leaves nothing open; unknown names are an error", async () => {
    await using({ destroy() {}, sentinels: sentinel(set.hosts) }, async ({ sentinels }) => {
      const { port } = (await set.master())!;
      assert.deepEqual(await sentinels.discoverMaster("mymaster"), { host: "127.0.0.1", port });
      const replicas = await sentinels.discoverReplicas("mymaster");
      assert.deepEqual(replicas.map((each) => each.port).sort(), set.nodes.map((node) => node.port).filter((each) => each !== port).sort());
      for (const ask of [sentinels.discoverMaster("nope"), sentinels.discoverReplicas("nope")]) assert.equal((await failure(ask)).code, "NO_MASTER");
      const links = async () => (await set.sentinels[0]!.call("CLIENT", "LIST", "TYPE", "pubsub")).length;
      await until(async () => await links() === 0, "the connections to be closed");
      await sentinels.disconnect();
      assert.throws(() => sentinels.masterFor("mymaster"), { code: "CLOSED" });
      assert.equal((await failure(sentinels.discoverMaster("mymaster"))).code, "CLOSED");
    });
  });

  test("opens one pool for a name and its options, however often it is asked", async () => {
    const sentinels = sentinel(set.hosts, { name: "counted", poolsize: 2 });
    const handlers = [sentinels.masterFor("mymaster"), sentinels.masterFor("mymaster"), sentinels.masterFor("mymaster", { dbid: 1 })];
    await Promise.all(handlers.map((db) => db.ready()));
    const lines = async () => (await (await set.master())!.call("CLIENT", "LIST")).match(/ name=counted /g)?.length ?? 0;
    assert.equal(await lines(), 4);
    await handlers[0]!.disconnect();
    assert.equal((await failure(handlers[1]!.ping())).code, "CLOSED");
    assert.equal(await sentinels.masterFor("mymaster").ping(), "PONG", "a new one in its place");
    await sentinels.disconnect();
    await until(async () => await lines() === 0, "all to be closed");
  });
});

describe("Sentinels", () => {
  test("are asked on one connection each, by all handlers and for all names; at the end nothing is open", () =>
    withScriptedSentinels([2, 1], async (sentinels, [node], options) => {
      const handlers = [lazyPool(options), lazyOne({ ...options, master: "other" }), lazyPool(options)];
      for (const db of handlers) assert.equal(await portOf(db), node!.port);
      assert.deepEqual(sentinels.map(({ open }) => open), [1, 1]);
      await handlers[0]!.disconnect();
      await handlers[1]!.disconnect();
      assert.deepEqual(sentinels.map(({ open }) => open), [1, 1]);
      handlers[2]!.destroy();
      await until(() => sentinels.every(({ open }) => open === 0), "their connections to be closed");
      const asked = sentinels.map(({ asked }) => asked);
      await sleep(300);
      assert.deepEqual(sentinels.map(({ asked }) => asked), asked);
      assert.deepEqual(sentinels.map(({ server }) => server.connections), [1, 1]);
    }));

  test("that are silent, lie or know nothing do not keep one good one from being heard", () =>
    withScriptedSentinels([6, 1], async ([silent, none, empty, zero, stale, good], [node], options) => {
      silent!.said = {};
      none!.said = { address: null };
      empty!.said = { address: ["", node!.port] };
      zero!.said = { address: ["127.0.0.1", "0"] };
      stale!.said = { address: ["127.0.0.1", server.port], epoch: 0 };
      good!.said = { address: ["127.0.0.1", node!.port], epoch: 7 };
      await using(await eagerPool(options), async (db) => assert.equal(await portOf(db), node!.port));
    }));

  test("that do not answer, or do not know the name, are an error that lists what each of them said", () =>
    withScriptedSentinels([3, 1], async (sentinels, [node], options) => {
      const dead = `127.0.0.1:${await freePort()}`;
      sentinels[0]!.said = { address: null };
      sentinels[1]!.said = { address: ["", 1] };
      sentinels[2]!.said = {};
      const unknown = await failure(connection({ ...options, sentinels: [...options.sentinels!, dead] }));
      assert.deepEqual([unknown.code, unknown.outcome, unknown.constructor], ["NO_MASTER", "not-sent", ConnectionError]);
      const said = unknown.cause.errors.map(({ message }: Error) => message);
      for (const [i, why] of [/does not know this name/, /says no address/, /./, /ECONNREFUSED/].entries()) assert.match(said[i], why);
      assert.ok(said.every((text: string, i: number) => text.startsWith(`Sentinel ${[...options.sentinels!, dead][i]}: `)), said);

      const silent = await failure(connection({ ...options, sentinels: [dead] }));
      assert.deepEqual([silent.code, silent.outcome], ["NO_SENTINEL", "not-sent"]);
      assert.match(silent.message, /^no Sentinel answers: Sentinel 127.0.0.1:\d+: .*ECONNREFUSED/);

      const data = await failure(connection({ ...options, sentinels: [`127.0.0.1:${node!.port}`] }));
      assert.match(data.message, /it is not a Sentinel/);

      await using(lazyOne({ ...options, sentinels: [dead] }), async (db) => {
        const error = await failure(db.get("k"));
        assert.deepEqual([error.code, error.cause.code], ["NOT_CONNECTED", "NO_SENTINEL"]);
      });
    }));

  test("are believed by the highest epoch, which is remembered: an old master that comes back is not taken", () =>
    withScriptedSentinels([3, 2], async (sentinels, [old, now], options) => {
      for (const sentinel of sentinels.slice(1)) sentinel.said = { address: ["127.0.0.1", now!.port], epoch: 2 };
      await using(lazyOne(options), async (db) => {
        assert.equal(await portOf(db), now!.port);
        for (const sentinel of sentinels.slice(1)) sentinel.said = {};
        await now!.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        const error = await until(() => db.ready().then(() => undefined, (error) => error), "the loss to be noticed");
        assert.equal(error.code, "NO_MASTER");
        assert.match(error.message, new RegExp(`it says 127.0.0.1:${old!.port}, of epoch 1 before 2`));
        sentinels[1]!.said = { address: ["127.0.0.1", old!.port], epoch: 1 }; // most of them: they were set up anew
        assert.equal(await until(() => portOf(db).catch(() => 0), "the new agreement"), old!.port);
      });
    }));

  test("that name a replica lead to its master: after REPLICAOF by hand, and after FAILOVER, without an error", () =>
    withScriptedSentinels([2, 2], async (_, [a, b], options) => {
      await becomesReplica(b!, a!);
      await using(await eagerPool(options), async (db) => {
        assert.equal(await portOf(db), a!.port);
        const errors: unknown[] = [];
        let [isOver, done] = [false, 0];
        const caller = async () => {
          while (!isOver) await db.incr("n").then(() => done++, (error) => errors.push(error));
        };
        const callers = [caller(), caller()];
        await until(() => done > 10, "some writes");
        await a!.call("FAILOVER");
        await until(async () => await portOf(db) === b!.port, "the new master");
        isOver = true;
        await Promise.all(callers);
        assert.deepEqual(errors, []);
        assert.equal(await b!.call("GET", "n"), String(done));

        await until(async () => (await a!.call("ROLE"))[3] === "connected", "the old one to be attached");
        await a!.call("REPLICAOF", "NO", "ONE");
        await becomesReplica(b!, a!);
        assert.equal(await db.set("k", "by hand"), "OK");
        assert.equal(await a!.call("GET", "k"), "by hand");
      });
      await a!.call("REPLICAOF", b!.host, String(b!.port)); // an eager one finds its way, too
      await b!.call("REPLICAOF", "NO", "ONE");
      await until(async () => (await a!.call("ROLE"))[3] === "connected", "the replica to be attached");
      await using(await eagerPool(options), async (db) => assert.equal(await portOf(db), b!.port));
    }));

  test("that lead to replicas only get no command sent there", () =>
    withScriptedSentinels([1, 3], async (_, [a, b, c], options) => {
      await becomesReplica(b!, c!);
      await becomesReplica(a!, b!);
      await using(lazyOne({ ...options, replyTimeout: 500 }), async (db) => {
        const error = await failure(db.set("k", 1));
        assert.equal(error.outcome, "not-sent");
        assert.match(inspect(error), /its role is slave/);
        for (const node of [a!, b!]) assert.doesNotMatch(await node.call("INFO", "commandstats"), /cmdstat_set:/);
      });
    }));

  test("know the server's run id: another server at its address gets no command, a restarted one does", () =>
    withScriptedSentinels([1, 0], async ([sentinel], _, options) => {
      let info = "run_id:stranger\r\nuptime_in_seconds:100\r\n";
      const seen: string[] = [];
      const data = await ScriptedServer.start(async (peer) => {
        await peer.hello();
        for (;;) {
          const [name = ""] = await peer.read();
          if (name === "INFO") peer.write(`$${info.length}\r\n${info}\r\n`);
          else {
            seen.push(name);
            peer.write("+OK\r\n");
          }
        }
      });
      const state = { ip: "127.0.0.1", port: String(data.port), runid: "known", "info-refresh": "90000" };
      sentinel!.said = { address: ["127.0.0.1", data.port], state };
      const refused = await failure(connection(options));
      assert.equal(refused.code, "WRONG_SERVER");
      assert.match(refused.message, /the Sentinels know another server at this address/);
      assert.deepEqual(seen, []);
      for (const known of [{ ...state, "info-refresh": "100000" }, { ...state, runid: "stranger" }, { ...state, runid: "" }]) {
        sentinel!.said.state = known;
        await using(lazyOne(options), async (db) => assert.equal(await db.set("k", 1), "OK"));
      }
      sentinel!.said.state = state;
      info = "";
      await using(lazyOne(options), async (db) => assert.equal(await db.set("k", 1), "OK", "the user may not run INFO"));
      await data.stop();
    }));

  test("select a replica, which gets the commands as soon as it is a master and the old one is lost", () =>
    withScriptedSentinels([1, 2], async ([sentinel], [old, next], options) => {
      await becomesReplica(next!, old!);
      sentinel!.said.state = { "down-after-milliseconds": "60000" };
      sentinel!.said.replicas = [replicaAt(next!.port)];
      const select = (event: string) => sentinel!.publish(event, `slave x 127.0.0.1 ${next!.port} @ mymaster 127.0.0.1 ${old!.port}`);
      await using(lazyPool(options), async (db) => {
        await db.set("k", 1);
        select("+selected-slave");
        await next!.call("REPLICAOF", "NO", "ONE");
        select("+promoted-slave");
        const probes = async () => (await next!.call("CLIENT", "LIST")).includes("cmd=role");
        await until(probes, "the replica to be watched");
        assert.equal(await portOf(db), old!.port, "the old one is there");
        await old!.kill();
        assert.equal(await db.set("k", 2), "OK");
        assert.equal(await next!.call("GET", "k"), "2", "although the Sentinel still names the old one");
        await until(async () => !await probes(), "the watching to end");
      });
    }));

  test("that agree that a frozen master is down have the selected one take its place while the old connections are open", () =>
    withScriptedSentinels([1, 2], async ([sentinel], [old, next], options) => {
      await becomesReplica(next!, old!);
      sentinel!.said.replicas = [replicaAt(next!.port)];
      const about = `@ mymaster 127.0.0.1 ${old!.port}`;
      await using(lazyPool(options), async (db) => {
        await db.set("k", 1);
        sentinel!.said.state = { flags: "s_down,o_down,master" };
        sentinel!.publish("+odown", `master mymaster 127.0.0.1 ${old!.port} #quorum 2/2`);
        sentinel!.publish("+selected-slave", `slave x 127.0.0.1 ${next!.port} ${about}`);
        await until(async () => (await next!.call("CLIENT", "LIST")).includes("cmd=role"), "the replica to be watched");
        assert.equal(await portOf(db), old!.port, "it is not a master yet");
        await next!.call("MULTI");
        for (const words of [["REPLICAOF", "NO", "ONE"], ["CLIENT", "KILL", "TYPE", "normal"]]) await next!.call(...words);
        await next!.call("EXEC"); // as a Sentinel does it
        await until(async () => await portOf(db) === next!.port, "the new master");
      });
    }));

  test("say whether a failover is to be waited for: without a replica, commands fail at once", () =>
    withScriptedSentinels([1, 2], async ([sentinel], [old, next], options) => {
      sentinel!.said.state = { "down-after-milliseconds": "60000" };
      await using(lazyOne(options), async (db) => {
        await db.ping();
        await old!.kill();
        const error = await failure(db.set("k", 1));
        assert.deepEqual([error.code, error.outcome], ["NOT_CONNECTED", "not-sent"]);
        sentinel!.said.replicas = [replicaAt(1, { flags: "slave,s_down" }), replicaAt(2, { "slave-priority": "0" })];
        assert.equal((await failure(db.set("k", 1))).code, "NOT_CONNECTED");
        sentinel!.said.replicas = [replicaAt(next!.port)];
        const asked = sentinel!.asked;
        await until(() => sentinel!.asked > asked + 3, "more questions");
        let set: Promise<unknown> = Promise.resolve();
        await until(() => {
          set = db.set("k", 1);
          return Promise.race([set.catch(() => false), sleep(400, true)]).then((isWaiting) => isWaiting === true);
        }, "a command that waits");
        sentinel!.said = { ...sentinel!.said, address: ["127.0.0.1", next!.port], epoch: 2 };
        assert.equal(await set, "OK");
        sentinel!.said = { address: null };
        await next!.kill();
        assert.equal((await failure(db.set("k", 1))).code, "NOT_CONNECTED", "no Sentinel knows it any more");
      });
    }));

  test("get their own credentials, learned ones too, and servers get theirs", () =>
    withScriptedSentinels([2, 0], async ([seed, learned], _, options) => {
      const logins: string[][] = [];
      const data = await ScriptedServer.start(async (peer) => {
        logins.push(await peer.hello());
        for (;;) {
          await peer.read();
          peer.write("+OK\r\n");
        }
      });
      for (const sentinel of [seed!, learned!]) sentinel.said.address = ["127.0.0.1", data.port];
      seed!.said.sentinels = [{ ip: "127.0.0.1", port: String(learned!.server.port), runid: "s1", flags: "sentinel" }];
      const one = { host: "127.0.0.1", port: seed!.server.port, username: "watcher", password: "of the Sentinels" };
      await using(lazyOne({ ...options, sentinels: [one], password: "of the data" }), async (db) => {
        await db.set("k", 1);
        await until(() => learned!.asked > 0, "the other to be asked");
      });
      for (const { logins } of [seed!, learned!]) assert.ok(logins.every((words) => words.join(" ").includes("AUTH watcher of the Sentinels")));
      assert.ok(logins.length > 0 && logins.every((words) => words.join(" ").includes("AUTH default of the data")));
      assert.doesNotMatch(String([seed!.logins, learned!.logins]), /of the data/);
      assert.doesNotMatch(String(logins), /of the Sentinels/);
      await data.stop();
    }));

  test("that others list are learned by their id, under their newest address, and at most 64 of them", () =>
    withScriptedSentinels([3, 1], async ([seed, first, second], [node], options) => {
      const listed = (port: number, runid: string, flags = "sentinel") => ({ ip: "127.0.0.1", port: String(port), runid, flags });
      const dead = await freePort();
      seed!.said.sentinels = [
        listed(first!.server.port, "moving"), listed(seed!.server.port, "s0"), listed(dead, "down", "sentinel,s_down"), listed(0, "none"),
        listed(second!.server.port, ""), ...Array.from({ length: 1_000 }, (_, i) => ({ ...listed(dead, `id ${i}`), ip: `127.1.${i >> 8}.${i & 255}` })),
      ];
      const opened = new Set<string>();
      const connect = world.connect;
      world.connect = (endpoint, receive) => {
        if (endpoint.port === dead) opened.add(endpoint.host);
        return connect(endpoint, receive);
      };
      try {
        await using(lazyOne({ ...options, sentinels: [seed!.host] }), async (db) => {
          await db.ping();
          const renew = () => seed!.publish("+sentinel", `sentinel x 127.0.0.1 1 @ mymaster 127.0.0.1 ${node!.port}`);
          await until(() => (renew(), sleep(20, first!.asked > 0)), "the listed one to be asked");
          seed!.said.sentinels![0] = listed(second!.server.port, "moving");
          await until(() => (renew(), sleep(20, second!.asked > 0)), "its new address");
          await until(() => first!.open === 0, "the old address to be left");
          assert.deepEqual([seed!.open, second!.open], [1, 1]);
          assert.equal(opened.size, 63);
        });
      } finally {
        world.connect = connect;
      }
    }));

  test("and servers are dialled where addressMap says", () =>
    withScriptedSentinels([2, 2], async ([seed, learned], [master, replica], options) => {
      await becomesReplica(replica!, master!);
      for (const sentinel of [seed!, learned!]) {
        sentinel.said = {
          address: ["10.0.0.1", 6379], sentinels: [{ ip: "10.0.0.3", port: "26379", runid: "s1", flags: "sentinel" }],
          replicas: [replicaAt(6379, { ip: "fd00::2" })],
        };
      }
      const map: Record<string, string | { host: string; port: number }> = {
        "10.0.0.1:6379": `localhost:${master!.port}`, "[fd00::2]:6379": { host: "127.0.0.1", port: replica!.port },
        "10.0.0.3:26379": learned!.host,
      };
      for (const addressMap of [map, (address: string) => map[address]]) {
        const asked = learned!.asked;
        await using(lazyOne({ ...options, sentinels: [seed!.host], addressMap, readFrom: "replica" }), async (db) => {
          assert.equal(await db.set("k", "mapped"), "OK");
          assert.equal(await master!.call("GET", "k"), "mapped");
          await until(() => inspect(db).includes(`replica 127.0.0.1:${replica!.port} db 0: 1 open`), "the replica");
          await until(() => (seed!.publish("+sentinel", "sentinel x 1 1 @ mymaster 1 1"), sleep(20, learned!.asked > asked)), "the Sentinel");
        });
      }
    }));

  test("that refuse events, or speak RESP2 only, are asked all the same", () =>
    withScriptedSentinels([1, 2], async ([sentinel], [old, next], options) => {
      sentinel!.events = false;
      sentinel!.said.replicas = [replicaAt(next!.port)];
      await using(lazyOne({ ...options, sentinels: [sentinel!.host] }), async (db) => {
        await db.ping();
        await old!.kill();
        const set = db.set("k", 1);
        sentinel!.said = { address: ["127.0.0.1", next!.port], epoch: 2 };
        assert.equal(await set, "OK");
      });
      const real = await SentinelSet.start({ replicas: 0, sentinels: 1 });
      const two = { host: "127.0.0.1", port: real.sentinels[0]!.port, protocol: 2 as const };
      await using(lazyOne({ ...options, sentinels: [two], protocol: 2 }), async (db) => {
        assert.equal(await portOf(db), real.nodes[0]!.port);
      });
      await real.stop();
    }));
});

// ==== 13. Servers ====

/** So many servers of their own, for the tests of one describe. */
function startServers(count: number, options?: ServerOptions): RedisServer[] {
  const started: RedisServer[] = [];
  before(async () => {
    started.push(...await Promise.all(Array.from({ length: count }, () => RedisServer.start(options))));
  });
  after(() => Promise.all(started.map((one) => one.stop())));
  return started;
}

/** So many replicas are in step, and the primary knows it. */
const areOnline = (primary: RedisServer, count: number): Promise<boolean> => until(async () =>
  (await primary.call("INFO", "replication")).split(/state=online|,online/).length === count + 1, "replicas to be in step");
const replicaOf = ({ host, port }: RedisServer): string[] => ["--replicaof", host, String(port)];

/** A server and its replicas, which have all that it has. */
async function startFamily(replicas: number, { password, ...options }: ServerOptions & { password?: string } = {}) {
  const args = password === undefined ? [] : ["--requirepass", password, "--masterauth", password];
  const start = async (more: string[]): Promise<RedisServer> => {
    const started = await RedisServer.start({ ...options, args: ["--repl-diskless-sync-delay", "0", ...args, ...more] });
    if (password !== undefined) await started.call("AUTH", password);
    return started;
  };
  const primary = await start([]);
  const others = await Promise.all(Array.from({ length: replicas }, () => start(replicaOf(primary))));
  await areOnline(primary, replicas);
  await isCopied(primary, replicas); // Valkey calls them online before they say so themselves
  return [primary, ...others] as [primary: RedisServer, ...replicas: RedisServer[]];
}

/** The replicas have all that was written until now: what follows is acknowledged after it. */
async function isCopied(primary: RedisServer, replicas: number): Promise<void> {
  await primary.call("SET", "last", "");
  await primary.call("DEL", "last");
  await primary.call("WAIT", String(replicas), "0");
}

/** Gives a server, its replicas and a pool that reads from them to `use`, and ends them all. */
async function withFamily(
  replicas: number, options: Options & ServerOptions,
  use: (db: Handler, primary: RedisServer, ...replicas: RedisServer[]) => Promise<void>,
) {
  const { aof = false, ...rest } = options;
  const family = await startFamily(replicas, { aof });
  const db = await connectionPool({ port: family[0].port, poolsize: 2, readFrom: "replica", ...rest }) as Handler;
  try {
    await use(db, ...family);
  } finally {
    db.destroy();
    await Promise.all(family.map((one) => one.stop()));
  }
}

describe("a durable write", () => {
  const short = { durable: { replicas: 2, timeout: 50 } };

  test("succeeds once the replicas have it, and says so when fewer do: single, in pipelines, scripts and transactions", () =>
    withFamily(1, { readFrom: "primary" }, async (db, primary, replica) => {
      const durable = db.with({ durable: 1 });
      assert.equal(await durable.set("k", 1), "OK");
      assert.equal(await replica.call("GET", "k"), "1");
      assert.deepEqual(await durable.pipeline().incr("k").get("k").incr("k").execPipeline(), [2, "2", 3]);
      assert.equal(await replica.call("GET", "k"), "3");
      assert.deepEqual(await durable.pipeline().incr("k").get("k").commit(), [4, "4"]);
      assert.equal(await script("return redis.call('INCR', KEYS[1])", { keys: 1 })(durable, "k"), 5);
      assert.deepEqual(await durable.transaction(["k"], async (t) => {
        assert.equal(await t.incr("other"), 1);
        void (await t.multi()).incr("k");
      }), [6]);
      assert.equal(await replica.call("GET", "k"), "6");

      const lacking = db.with(short);
      const error = await failure(lacking.incr("k")) as DurabilityError;
      assert.ok(error instanceof DurabilityError);
      assert.deepEqual([error.code, error.outcome, error.command, error.replicas, error.reply, error.unavailable],
        ["NOT_DURABLE", "executed", "INCR", 1, 7, true]);
      assert.equal(error.message, "INCR: executed, but 1 of 2 replicas have it");
      const results = await lacking.pipeline().incr("k").get("k").lpush("k", 1).execPipeline({ errors: "return" });
      assert.deepEqual(results.map((result) => result instanceof RedisError ? result.code : result), ["NOT_DURABLE", "8", "WRONGTYPE"]);
      assert.equal((await failure(lacking.pipeline().incr("k").execPipeline())).outcome, "executed");
      const committed = await failure(lacking.pipeline().incr("k").get("k").commit()) as DurabilityError;
      assert.deepEqual([committed.code, committed.outcome, committed.reply], ["NOT_DURABLE", "executed", [10, "10"]]);
      const transaction = await failure(lacking.transaction(["k"], async (t) => void (await t.multi()).incr("k"))) as DurabilityError;
      assert.deepEqual([transaction.code, transaction.reply], ["NOT_DURABLE", [11]]);
      assert.equal((await failure(lacking.lpush("k", 1))).code, "WRONGTYPE", "an error of the write's own comes first");
      assert.equal(await primary.call("GET", "k"), "11", "nothing was done twice");
    }));

  test("sends WAIT once, behind it; what reads, and what is queued, has none", () => withFamily(1, { readFrom: "primary" }, async (db, primary) => {
    await forget([primary]);
    const durable = db.with({ durable: 1 });
    await durable.get("k");
    await durable.pipeline().get("k").mget("k").execPipeline();
    await durable.ping();
    assert.doesNotMatch(await primary.call("INFO", "commandstats"), /cmdstat_wait/);
    await durable.set("k", 1);
    await durable.pipeline().set("k", 2).set("k", 3).commit();
    const queue = await durable.multi();
    void queue.set("k", 4);
    void queue.set("k", 5);
    await queue.commit();
    await durable.with({ durable: 0 }).set("k", 6);
    assert.match(await primary.call("INFO", "commandstats"), /cmdstat_wait:calls=3,/);
  }));

  test("keeps nobody waiting but those who need its connection, and disconnect() lets it finish", () =>
    withFamily(1, { readFrom: "primary" }, async (db, primary) => {
      const order: string[] = [];
      const lacking = failure(db.with({ durable: { replicas: 2, timeout: 500 } }).set("k", 1)).then(() => order.push("durable"));
      await until(async () => (await primary.call("INFO", "clients")).includes("blocked_clients:1"), "WAIT");
      assert.equal(await db.get("k").finally(() => order.push("get")), "1");
      await Promise.all([lacking, db.disconnect()]);
      assert.deepEqual(order, ["get", "durable"]);
    }));

  test("that was executed says so also when its WAIT is not answered, and an idempotent one is issued again", async () => {
    const [primary, replica] = await startFamily(1);
    const proxy = await Proxy.start({ host: primary.host, port: primary.port });
    let losses = 1;
    proxy.onReply = ({ words: [name] }) => name === "WAIT" && losses-- > 0 ? "rst" : "pass";
    await using(lazyConnection({ port: proxy.port, durable: 1 }), async (db) => {
      const error = await failure(db.incr("k")) as DurabilityError;
      assert.deepEqual([error.code, error.outcome, error.replicas, error.reply], ["NOT_DURABLE", "executed", undefined, 1]);
      assert.equal((error.cause as RedisError).code, "CONNECTION_LOST");
      losses = 1;
      assert.equal(await db.with({ idempotent: true }).incr("k"), 3);
      assert.equal(await replica!.call("GET", "k"), "3");
    });
    await proxy.stop();
    await Promise.all([primary.stop(), replica!.stop()]);
  });

  test("waits for the replicas of each shard", () => withFamily(1, { readFrom: "primary" }, (_, primary) =>
    using(lazyShardedConnection([{ port: primary.port }, { port: server.port }], short), async (db) => {
      const names = Array.from({ length: 20 }, (_, i) => `d:${i}`);
      const error = await failure(db.with({ durable: { replicas: 1, timeout: 50 } }).mset(Object.fromEntries(names.map((name) => [name, 1])))) as ShardError;
      assert.ok(error instanceof ShardError);
      assert.deepEqual([error.code, error.outcome, error.failures.length, error.done.length], ["NOT_DURABLE", "executed", 1, 1]);
      assert.equal(error.failures[0]!.node, `localhost:${server.port}`);
      const far = names.find((name) => db.nodeFor(name) !== db.nodeFor("d:0"))!;
      const steps = await failure(db.rename("d:0", far));
      assert.ok(steps instanceof NotSupportedError && /steps do not wait for replicas/.test(steps.message), String(steps));
      assert.equal(await db.with({ durable: 0 }).del(names), 20);
    })));

  test("is no blocking command: that is refused before it is sent", () => withDb({ durable: 1 }, async (db) => {
    const error = await failure(db.blpop("k", 1));
    assert.ok(error instanceof NotSupportedError && error.outcome === "not-sent", String(error));
    for (const durable of [-1, 1.5, "1", { replicas: 1, timeout: 0 }, { timeout: 1 }, { replicas: 1, more: 1 }]) {
      assert.throws(() => db.with({ durable } as never), { code: "INVALID_ARGUMENT", message: /option durable must be/ });
    }
  }));
});

describe("WAIT and WAITAOF by themselves", () => {
  test("are refused where any connection may take them, and say what to use", async () => {
    await using(lazyConnectionPool({ port: server.port, poolsize: 2 }), async (db) => {
      for (const call of [() => db.wait(0, 1), () => db.call("WAITAOF", 0, 0, 1)]) {
        const error = await failure(call());
        assert.ok(error instanceof NotSupportedError && /with\(\{ durable: n \}\)/.test(error.message), String(error));
      }
    });
    await using(lazyShardedConnection([{ port: server.port }]), async (db) => {
      const error = await failure(db.call("WAIT", 0, 1));
      assert.ok(error instanceof NotSupportedError && /with\(\{ durable: n \}\)/.test(error.message), String(error));
    });
  });

  test("count the replicas of one connection's writes, and of a transaction's", () =>
    withFamily(1, { readFrom: "primary" }, async (pool, primary) => {
      await withDb({ port: primary.port }, async (db) => {
        const [, count] = await Promise.all([db.set("k", 1), db.wait(1, 5_000)]);
        assert.equal(count, 1);
      });
      await pool.transaction(["k"], async (t) => {
        await t.set("other", 1);
        assert.equal(await t.wait(1, 5_000), 1);
      });
    }));
});

const forget = (servers: RedisServer[]): Promise<unknown> => Promise.all(servers.map((one) => one.call("CONFIG", "RESETSTAT")));
/** How often each of the servers has been given a command since then. */
const counts = (servers: RedisServer[], name: string): Promise<number[]> => Promise.all(servers.map(async (one) =>
  Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, "m").exec(await one.call("INFO", "commandstats"))?.[1] ?? 0)));
const sum = (numbers: number[]): number => numbers.reduce((total, number) => total + number, 0);
/** Reads until it is this server that is asked. */
const isRead = (db: Handler, one: RedisServer): Promise<boolean> => forget([one]).then(() => until(async () => {
  await db.get("k").catch(() => {});
  return sum(await counts([one], "get")) > 0;
}, "the server to be read from"));
const clientsOf = async (one: RedisServer, name: string): Promise<string[]> =>
  (await one.call("CLIENT", "LIST")).split("\n").filter((line: string) => line.includes(` name=${name} `));
const nobodyOn = (servers: RedisServer[], name: string): Promise<boolean> => until(async () =>
  (await Promise.all(servers.map((one) => clientsOf(one, name)))).flat().length === 0, "all connections to be closed");

type Load = { errors: any[]; more: (count: number) => Promise<boolean> };

/** Does `work` over and over in so many callers while `use` goes on, and gives what has failed. */
async function underLoad(
  callers: number, work: (caller: number, turn: number) => Promise<unknown>, use: (load: Load) => Promise<void>,
): Promise<any[]> {
  const errors: any[] = [];
  let done = 0;
  let running = true;
  const ended = Promise.all(Array.from({ length: callers }, async (_, caller) => {
    for (let turn = 0; running; turn++) {
      await work(caller, turn).then(() => done++, (error) => errors.push(error));
      await sleep(1);
    }
  }));
  /** Until so many more have succeeded. */
  const more = (count: number): Promise<boolean> => {
    const goal = done + count;
    return until(() => done >= goal, `${count} more calls to succeed`);
  };
  try {
    await use({ errors, more });
  } finally {
    running = false;
    await ended;
  }
  return errors;
}

/** A server that plays a part: what it says about replication, and to GET; who it is unless `get` says otherwise. */
type Part = { name: string; replication: string; get?: string; asked?: number };

async function play(part: Part): Promise<ScriptedServer> {
  const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
  return ScriptedServer.start(async (peer) => {
    await peer.hello();
    for (;;) {
      const name = (await peer.read())[0]!.toUpperCase();
      if (name === "INFO") part.asked = (part.asked ?? 0) + 1;
      if (name === "INFO") peer.write(bulk(part.replication));
      else if (name === "GET") peer.write(part.get ?? bulk(part.name));
      else peer.write(name === "PING" ? "+PONG\r\n" : "+OK\r\n");
    }
  });
}

const PRIMARY = "role:master\r\nconnected_slaves:0\r\nmaster_repl_offset:1000\r\n";
const atOffset = (offset: number): string => "role:slave\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:0\r\n" +
  `master_sync_in_progress:0\r\nslave_repl_offset:${offset}\r\nmaster_repl_offset:${offset}\r\n`;
const SYNCING = "role:slave\r\nmaster_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\nmaster_sync_in_progress:1\r\n" +
  "slave_repl_offset:1\r\nmaster_link_down_since_seconds:1\r\n";

/** A scripted primary with scripted replicas, and a pool that reads from these. */
async function withParts(parts: [primary: Part, ...replicas: Part[]], options: Options, use: (db: Handler) => Promise<void>) {
  const [primary, ...replicas] = await Promise.all(parts.map(play));
  const given = replicas.map(({ host, port }) => `${host}:${port}`);
  const db = await connectionPool({
    host: primary!.host, port: primary!.port, poolsize: 2, readFrom: "replica", replicas: given, ...options,
  }) as Handler;
  try {
    await use(db);
  } finally {
    db.destroy();
    for (const one of [primary!, ...replicas]) await one.stop();
  }
}

/** Who answers, of several reads. */
async function whoReads(db: Handler): Promise<string> {
  const names = new Set<string>();
  for (let i = 0; i < 6; i++) names.add(String(await db.get("k")));
  return [...names].sort().join(" and ");
}
const untilReads = (db: Handler, who: string): Promise<boolean> =>
  until(async () => await whoReads(db) === who, `${who} to answer`);

describe("reading from replicas", () => {
  let family: [primary: RedisServer, ...replicas: RedisServer[]];
  const { after: inTime } = world;
  let looked = 0;
  /** The servers have been asked how they are so many times more. */
  const looks = (count: number): Promise<boolean> => {
    const goal = looked + count;
    return until(() => looked >= goal, "the servers to be asked");
  };
  before(async () => {
    // What is done every second is done twenty times as often.
    world.after = (delay, task) => {
      if (delay !== 1_000) return inTime(delay, task);
      looked++;
      return inTime(50, task);
    };
    family = await startFamily(2);
    await family[0].call("SET", "k", "value");
    await isCopied(family[0], 2);
  });
  after(() => {
    world.after = inTime;
    return Promise.all(family.map((one) => one.stop()));
  });

  /** A handler of the shared family, ready, with nothing counted yet. */
  async function withReader<T>(options: Options, use: (db: Handler) => Promise<T>): Promise<T> {
    const db = await connectionPool({ port: family[0].port, poolsize: 2, ...options }) as Handler;
    try {
      await forget(family);
      return await use(db);
    } finally {
      db.destroy();
    }
  }

  for (const [readFrom, expected] of [
    [undefined, [12, 0, 0]], ["primary", [12, 0, 0]], ["replica", [0, 6, 6]], ["any", [4, 4, 4]],
  ] as const) {
    test(`with readFrom ${readFrom ?? "left out"} shares twelve reads out as ${expected.join(", ")}`, async () => {
      for (const open of [connection, connectionPool]) {
        const db = await open({ port: family[0].port, poolsize: 2, ...(readFrom && { readFrom }) });
        await forget(family);
        for (let i = 0; i < 12; i++) assert.equal(await db.get("k"), "value");
        assert.deepEqual(await counts(family, "get"), expected);
        await db.disconnect();
      }
    });
  }

  test("keeps to one server within a tick", () => withReader({ readFrom: "replica" }, async (db) => {
    assert.deepEqual(await Promise.all(Array.from({ length: 20 }, () => db.get("k"))), Array(20).fill("value"));
    assert.deepEqual((await counts(family, "get")).sort(), [0, 0, 20]);
  }));

  test("knows what reads from the command's row, also through call(), a view and a script that only reads",
    () => withReader({ readFrom: "replica" }, async (db) => {
    await Promise.all([
      db.call("get", "k"), db.with({ charset: null }).get("k"), db.mget("k", "none"), db.strlen("k"), db.exists("k"),
    ]);
    const rows = await Promise.all(["get", "mget", "strlen", "exists"].map((name) => counts(family, name)));
    assert.deepEqual(rows.map(sum), [2, 1, 1, 1]);
    assert.equal(sum(rows.map(([primary]) => primary!)), 0);
    if (isOld()) return;
    assert.equal(await db.call("eval_ro", "return redis.call('get', KEYS[1])", 1, "k"), "value");
    assert.equal((await counts(family, "eval_ro"))[0], 0);
  }));

  for (const readFrom of ["replica", "any"] as const) {
    test(`with readFrom ${readFrom} gives writes, transactions, scans, what blocks and what listens to the primary`,
      () => withReader({ readFrom }, async (db) => {
      for (let i = 0; i < 6; i++) {
        await db.set("written", i);
        await db.call("getset", "written", i + 1);
        await db.eval("return redis.call('get', KEYS[1])", 1, "k");
      }
      const t = await db.watch("k");
      assert.equal(await t.get("k"), "value");
      const queue = await t.multi();
      await queue.get("k");
      assert.deepEqual(await queue.commit(), ["value"]);
      const once = await db.multi();
      await once.get("k");
      await once.commit();
      await db.pipeline().get("k").commit();
      let cursor = "0";
      do cursor = (await db.scan(cursor))[0];
      while (cursor !== "0");
      assert.deepEqual((await all(db.scanIterator())).sort(), ["k", "written"]);
      await db.sadd("set", "member");
      await db.hset("hash", { field: "value" });
      await db.zadd("sorted", [1, "member"]);
      assert.deepEqual(await all(db.sscanIterator("set")), ["member"]);
      assert.deepEqual(await all(db.hscanIterator("hash")), [["field", "value"]]);
      assert.deepEqual(await all(db.zscanIterator("sorted")), [["member", 1]]);
      await db.blpop("empty", 0.01);
      await db.xread({ BLOCK: 10, STREAMS: ["empty", "$"] });
      const s = await db.subscribe("channel");
      assert.equal(await family[0].call("PUBLISH", "channel", "heard"), 1);
      assert.deepEqual(texts(await take(1, s)), ["heard"]);
      s.close();
      for (const name of [
        "get", "getset", "eval", "watch", "multi", "exec", "scan", "sscan", "hscan", "zscan", "blpop", "xread", "subscribe",
      ]) {
        const [primary, ...replicas] = await counts(family, name);
        // What was written comes to the replicas, too, from the primary.
        if (name !== "getset" && name !== "multi" && name !== "exec") assert.deepEqual(replicas, [0, 0], name);
        assert.ok(primary! > 0, name);
      }
      for (const replica of family.slice(1)) {
        assert.doesNotMatch(await replica.call("INFO", "errorstats"), /READONLY/);
      }
      await db.del("written", "set", "hash", "sorted");
    }));
  }

  test("a pipeline that only reads may go to a replica; one that writes goes to the primary",
    () => withReader({ readFrom: "replica" }, async (db) => {
    const mixed = await db.pipeline().set("mixed", 1).get("mixed").execPipeline();
    assert.deepEqual(mixed, ["OK", "1"]);
    assert.deepEqual(await counts(family, "get"), [1, 0, 0]);
    await forget(family);
    for (let i = 0; i < 4; i++) {
      assert.deepEqual(await db.pipeline().get("k").strlen("k").get("k").execPipeline(), ["value", 5, "value"]);
    }
    assert.equal(sum(await counts(family, "get")), 8);
    await db.del("mixed");
  }));

  test("a mistake in the options is a TypeError that names it", async () => {
    for (const [name, options] of [
      ["readFrom", { readFrom: "nearest" }], ["maxLag", { maxLag: 0 }],
      ["allowNode", { allowNode: ["10.0.0.1"] }], ["replicas", { replicas: "localhost:6380" }],
      ["replicas|localhost", { replicas: ["localhost"] }],
    ] as const) {
      assert.throws(() => lazyConnection({ readFrom: "replica", ...options } as Options), (error: any) => {
        assert.match(error.message, new RegExp(name));
        return error instanceof TypeError && (error as any).code === "INVALID_ARGUMENT";
      });
    }
  });

  test("replicas are found, or given as strings, URLs and objects, with the password that all have", async () => {
    const guarded = await startFamily(2, { password: "hunter2" });
    const [primary, one, other] = guarded as [RedisServer, RedisServer, RedisServer];
    const forms: Options["replicas"][] = [
      undefined,
      [`127.0.0.1:${one.port}`, { host: "127.0.0.1", port: other.port }],
      [`redis://:hunter2@127.0.0.1:${one.port}`, new URL(`redis://127.0.0.1:${other.port}`)],
      [{ path: one.path }, `[::ffff:127.0.0.1]:${other.port}`],
    ];
    try {
      for (const replicas of forms) {
        const options = { port: primary.port, password: "hunter2", readFrom: "replica", ...(replicas && { replicas }) } as const;
        const db = await connectionPool(options);
        await forget(guarded);
        for (let i = 0; i < 4; i++) await db.get("k");
        assert.deepEqual(await counts(guarded, "get"), [0, 2, 2], inspect(replicas));
        assert.doesNotMatch(inspect(db, { depth: Infinity, showHidden: true }), /hunter2/);
        await db.disconnect();
      }
    } finally {
      await Promise.all(guarded.map((each) => each.stop()));
    }
  });

  test("a pipeline of which a stopped replica has a part is answered by the primary, whole, and does no harm when the replica goes on",
    () => withFamily(1, {}, async (db, primary, replica) => {
      const name = (i: number) => `${i}`.padEnd(100_000, ".");
      const numbers = Array.from({ length: 300 }, (_, i) => i);
      await Promise.all(numbers.map((i) => db.set(name(i), i)));
      await isCopied(primary, 1);
      await until(async () => (await forget([replica]), await db.get(name(0)), await counts([replica], "get"))[0] === 1, "the replica");
      replica.freeze();
      const pipeline = db.pipeline();
      for (const i of numbers) pipeline.get(name(i));
      const values = await pipeline.execPipeline();
      assert.deepEqual(values, numbers.map(String));
      replica.thaw();
      await until(async () => (await counts([replica], "get"))[0]! > 1, "the replica to go on");
      assert.equal(await db.get(name(7)), "7");
    }));

  test("replicas are found in the INFO of old servers, too", async () => {
    // Redis 2.6 tells no offsets: whoever is connected and does not sync has all.
    const old: Part = { name: "the replica", replication: atOffset(1000).replaceAll(/\w+_repl_offset.*\r\n/g, "") };
    const recent: Part = { name: "the replica", replication: atOffset(1000) };
    const offline = await play({ name: "nobody", replication: atOffset(1000) });
    try {
      for (const part of [old, recent]) {
        const replica = await play(part);
        const { port } = replica;
        const lines = part === old
          ? [`slave0:127.0.0.1,${port},online`, `slave1:127.0.0.1,${offline.port},wait_bgsave`]
          : [`slave0:ip=127.0.0.1,port=${port},state=online,offset=1000,lag=0`,
            `slave1:ip=127.0.0.1,port=${offline.port},state=wait_bgsave,offset=0,lag=0`, "master_repl_offset:1000"];
        const replication = ["role:master", "connected_slaves:2", ...lines, ""].join("\r\n");
        await withParts([{ name: "the primary", replication }], { replicas: undefined! }, async (db) => {
          assert.equal(await whoReads(db), "the replica", lines[0]);
          part.replication = SYNCING;
          await untilReads(db, "the primary");
        });
        await replica.stop();
      }
    } finally {
      await offline.stop();
    }
  });

  test("without any replica the primary answers", async () => {
    await withFamily(0, {}, async (db) => {
      await db.set("k", "value");
      for (let i = 0; i < 4; i++) assert.equal(await db.get("k"), "value");
    });
    await withParts([{ name: "the primary", replication: PRIMARY }], { replicas: undefined! }, async (db) => {
      assert.equal(await whoReads(db), "the primary");
    });
    const nobody = `127.0.0.1:${await freePort()}`;
    await withParts([{ name: "the primary", replication: PRIMARY }], { replicas: [nobody] }, async (db) => {
      assert.equal(await whoReads(db), "the primary");
    });
  });

  test("a replica that syncs is passed over, and taken when it has all", async () => {
    const replica: Part = { name: "the replica", replication: SYNCING };
    await withParts([{ name: "the primary", replication: PRIMARY }, replica], {}, async (db) => {
      assert.equal(await whoReads(db), "the primary");
      replica.replication = atOffset(1000);
      await untilReads(db, "the replica");
      replica.replication = SYNCING;
      await untilReads(db, "the primary");
    });
  });

  test("a replica that lags is passed over, and taken again when it has caught up", async () => {
    const primary: Part = { name: "the primary", replication: PRIMARY };
    const slow: Part = { name: "the slow one", replication: atOffset(1000) };
    const quick: Part = { name: "the quick one", replication: atOffset(1000) };
    await withParts([primary, slow, quick], { maxLag: 50 }, async (db) => {
      assert.equal(await whoReads(db), "the quick one and the slow one");
      primary.replication = PRIMARY.replace("1000", "2000");
      quick.replication = atOffset(2000);
      await untilReads(db, "the quick one");
      quick.replication = atOffset(1000);
      await untilReads(db, "the primary");
      slow.replication = atOffset(2000);
      await untilReads(db, "the slow one");
    });
  });

  test("a replica that lags for less than maxLag is read from", async () => {
    const primary: Part = { name: "the primary", replication: PRIMARY };
    const slow: Part = { name: "the slow one", replication: atOffset(1000) };
    await withParts([primary, slow], { maxLag: 60_000 }, async (db) => {
      primary.replication = PRIMARY.replace("1000", "2000");
      await looks(3);
      assert.equal(await whoReads(db), "the slow one");
    });
  });

  test("a replica that has become a primary is passed over", async () => {
    const promoted: Part = { name: "the promoted one", replication: atOffset(1000) };
    await withParts([{ name: "the primary", replication: PRIMARY }, promoted], {}, async (db) => {
      assert.equal(await whoReads(db), "the promoted one");
      promoted.replication = PRIMARY;
      await untilReads(db, "the primary");
    });
  });

  test("what a replica cannot answer yet the primary answers; any other error is the answer", async () => {
    const replica: Part = { name: "the replica", replication: atOffset(1000) };
    await withParts([{ name: "the primary", replication: PRIMARY }, replica], {}, async (db) => {
      for (const code of ["LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down"]) {
        replica.get = `-${code}\r\n`;
        for (let i = 0; i < 6; i++) assert.equal(await db.get("k"), "the primary");
      }
      delete replica.get;
      await untilReads(db, "the replica");
      replica.get = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
      const error = await failure(db.get("k"));
      assert.deepEqual([error.code, error.outcome, error instanceof ReplyError], ["WRONGTYPE", "not-executed", true]);
    });
  });

  test("a pipeline that is moved while it is half written is whole on either server", async () => {
    const got: string[][] = [[], []];
    const peers: Peer[][] = [[], []];
    const start = (at: number): Promise<ScriptedServer> => ScriptedServer.start(async (peer) => {
      await peer.hello();
      peers[at]!.push(peer);
      for (;;) {
        const [name, key] = await peer.read();
        const said = name === "INFO" ? at === 0 ? PRIMARY : atOffset(1000) : String(at);
        if (name === "GET") got[at]!.push(key!.slice(0, 3));
        peer.write(`$${said.length}\r\n${said}\r\n`);
      }
    });
    const [primary, replica] = await Promise.all([start(0), start(1)]);
    const options = { port: primary.port, replicas: [`127.0.0.1:${replica.port}`], readFrom: "replica" } as const;
    await inVirtualTime((pass) => withDb({ ...options, replyTimeout: 5_000 }, async (db) => {
      await until(async () => (await pass(100), await db.get("k") === "1"), "the replica to be read");
      for (const keys of got) keys.length = 0;
      const keys = Array.from({ length: 200 }, (_, i) => String(100 + i));
      const pipeline = db.pipeline();
      for (const key of keys) pipeline.get(key.padEnd(100_000));
      for (const peer of peers.flat()) peer.socket.pause();
      const sent = pipeline.execPipeline();
      await new Promise(setImmediate);
      await pass(1_300); // it is moved after a second
      for (const peer of peers[1]!) peer.socket.resume();
      await until(() => got[1]!.length >= keys.length, "the replica to get all");
      for (const peer of peers[0]!) peer.socket.resume();
      assert.deepEqual(await soon(sent, "the pipeline"), keys.map(() => "0"));
      assert.deepEqual(got, [keys, keys]);
    }));
    await primary.stop();
    await replica.stop();
  });

  test("a replica that drops the connection in the middle of a read is no failure: the primary answers", async () => {
    const dropping = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      for (;;) {
        const [name] = await peer.read();
        if (name !== "INFO") return peer.reset();
        const said = atOffset(1000);
        peer.write(`$${said.length}\r\n${said}\r\n`);
      }
    });
    const replicas = [`127.0.0.1:${dropping.port}`];
    try {
      await withParts([{ name: "the primary", replication: PRIMARY }], { replicas }, async (db) => {
        const answers = await Promise.all(Array.from({ length: 10 }, () => db.get("k")));
        assert.deepEqual(answers, Array(10).fill("the primary"));
        for (let i = 0; i < 10; i++) assert.equal(await db.get("k"), "the primary");
      });
    } finally {
      await dropping.stop();
    }
  });

  test("a replica that is killed is passed over without one failure, and read from again when it is back",
    () => withFamily(2, {}, async (db, primary, one, other) => {
    await db.set("k", "value");
    await Promise.all([isRead(db, one!), isRead(db, other!)]);
    const errors = await underLoad(20, () => db.get("k"), async ({ more }) => {
      await more(200);
      await one!.kill();
      await more(500);
      await other!.kill();
      await more(500);
      await forget([primary]);
      await more(100 + 20); // 20 of them may have been answered before that
      assert.ok(sum(await counts([primary], "get")) >= 100, "the primary stands in for both");
      await Promise.all([one!.restart(), other!.restart()]);
      await Promise.all([isRead(db, one!), isRead(db, other!)]);
    });
    assert.deepEqual(errors.map(String), []);
  }));

  test("a replica that is frozen makes what it was given late, is passed over, and read from again when it thaws",
    () => withFamily(2, { replyTimeout: 1_000 }, async (db, _primary, frozen, other) => {
    await db.set("k", "value");
    await Promise.all([isRead(db, frozen!), isRead(db, other!)]);
    const late = await underLoad(10, () => db.get("k"), async ({ errors, more }) => {
      await more(100);
      frozen!.freeze();
      await looks(3);
      await until(async () => {
        const before = errors.length;
        await more(200);
        return errors.length === before;
      }, "failures to end");
      frozen!.thaw();
      await isRead(db, frozen!);
    });
    assert.ok(late.every((error) => error instanceof TimeoutError), String(late[0]));
  }));

  for (const readFrom of ["replica", "any"] as const) {
    test(`with readFrom ${readFrom} and the primary killed replicas answer, and writes fail at once, until it is back`,
      () => withFamily(2, { aof: true, readFrom }, async (db, primary, ...replicas) => {
      await db.set("k", "value");
      await isCopied(primary, 2);
      await isRead(db, replicas[0]!);
      const read = async (): Promise<void> => assert.equal(await db.get("k"), "value");
      const failures = await underLoad(10, read, async ({ errors, more }) => {
        await more(50);
        await primary.kill();
        await until(async () => (await failure(db.set("k", "other"))).code === "NOT_CONNECTED", "writes to fail fast");
        const refused = await Promise.all(Array.from({ length: 100 }, () => failure(db.incr("n"))));
        assert.ok(refused.every((error) => error instanceof ConnectionError && error.outcome === "not-sent"));
        if (readFrom === "any") errors.length = 0; // what the primary was reading when it was killed is lost
        await looks(4);
        await more(200);
      });
      assert.deepEqual(failures.map(String), []);
      await primary.restart();
      await until(() => db.set("k", "value").then(() => true, () => false), "the primary to be found again");
    }));
  }

  test("with nobody left reads fail at once", () => withFamily(1, {}, async (db, primary, replica) => {
    await isRead(db, replica!);
    await Promise.all([primary.kill(), replica!.kill()]);
    await until(async () => (await failure(db.get("k"))).code === "NOT_CONNECTED", "reads to fail fast");
  }));

  test("a replica that comes is found, and one that goes is let go",
    () => withFamily(1, { name: "of-family" }, async (db, primary, leaving) => {
    const coming = await RedisServer.start();
    try {
      await isRead(db, leaving!);
      await coming.call("REPLICAOF", primary.host, String(primary.port));
      await isRead(db, coming);
      await leaving!.call("REPLICAOF", "NO", "ONE");
      await nobodyOn([leaving!], "of-family");
      await forget([primary, coming]);
      for (let i = 0; i < 4; i++) await db.get("k");
      assert.deepEqual(await counts([primary, coming], "get"), [0, 4]);
    } finally {
      await coming.stop();
    }
  }));

  test("shards have replicas as single servers do, found or given, and lose none of their reads with them", async () => {
    const families = await Promise.all([startFamily(1), startFamily(1)]);
    const [[a, a1], [b, b1]] = families as [[RedisServer, RedisServer], [RedisServer, RedisServer]];
    const hosts = [{ host: a.host, port: a.port, replicas: [`${a1.host}:${a1.port}`] }, `${b.host}:${b.port}`];
    const db = await shardedConnectionPool(hosts, { poolsize: 2, readFrom: "replica", name: "sharded" });
    const keys = Array.from({ length: 40 }, (_, i) => `k:${i}`);
    try {
      await Promise.all(keys.map((key) => db.set(key, key)));
      await Promise.all([a, b].map((one) => isCopied(one, 1)));
      await forget(families.flat());
      for (const key of keys) assert.equal(await db.get(key), key);
      const ofA = keys.filter((key) => db.nodeFor(key) === `${a.host}:${a.port}`).length;
      assert.deepEqual(await counts([a, a1, b, b1], "get"), [0, ofA, 0, keys.length - ofA]);
      assert.deepEqual(await db.mget(keys), keys);
      assert.deepEqual(await counts([a, a1, b, b1], "mget"), [0, 1, 0, 1]);
      await a1.kill();
      for (let i = 0; i < 5; i++) assert.deepEqual(await db.mget(keys), keys);
      assert.equal((await counts([a], "mget"))[0], 5);
      await db.disconnect();
      await nobodyOn([a, b, b1], "sharded");
    } finally {
      db.destroy();
      await Promise.all(families.flat().map((one) => one.stop()));
    }
  });

  test("a replica that lagged when the primary went is not read from until it is known to have all", async () => {
    const part: Part = { name: "the primary", replication: PRIMARY };
    const [late, quick]: Part[] = ["the late one", "the quick one"].map((name) => ({ name, replication: atOffset(1000) })) as any;
    const [primary, ...others] = await Promise.all([part, late!, quick!].map(play));
    const replicas = others.map(({ host, port }) => `${host}:${port}`);
    const db = await connectionPool({ port: primary!.port, poolsize: 2, readFrom: "replica", maxLag: 50, replicas });
    try {
      part.replication = PRIMARY.replace("1000", "2000");
      quick!.replication = atOffset(2000);
      await untilReads(db, "the quick one");
      await primary!.stop();
      await looks(3);
      assert.equal(await whoReads(db), "the quick one", "what was fit when the primary was last asked stays so");
      quick!.replication = atOffset(1).replace("link_status:up", "link_status:down"); // it was restarted, and has lost all
      await until(async () => (await db.get("k").catch((error) => error)).code === "NOT_CONNECTED", "nobody to be read from");
      await looks(3);
      assert.equal((await failure(db.get("k"))).code, "NOT_CONNECTED");
    } finally {
      db.destroy();
      for (const one of [primary!, ...others]) await one.stop();
    }
  });

  test("a replica that was restarted without its data while the primary is down is not read from",
    () => withFamily(1, { name: "family" }, async (db, primary, replica) => {
    const { random } = world;
    world.random = () => 0.01; // it is soon looked for again
    try {
      await db.set("k", "value");
      await isCopied(primary, 1);
      await isRead(db, replica!);
      await primary.kill();
      await until(async () => (await failure(db.set("k", "other"))).code === "NOT_CONNECTED", "the loss to be noticed");
      assert.equal(await db.get("k"), "value");
      await replica!.kill();
      await replica!.restart();
      assert.equal(await replica!.call("DBSIZE"), 0);
      await until(async () => (await clientsOf(replica!, "family")).length > 0, "it to be found again");
      await looks(3);
      assert.equal((await failure(db.get("k"))).code, "NOT_CONNECTED");
    } finally {
      world.random = random;
    }
  }));

  test("where a tick reads from does not depend on what else it reads", () => withReader({ readFrom: "replica" }, async (db) => {
    const anywhere = db.with({ readFrom: "any" });
    for (let i = 0; i < 30; i++) await Promise.all([anywhere.exists("k"), db.get("k"), anywhere.exists("k"), db.get("k")]);
    const [[primary, ...replicas], [other]] = await Promise.all([counts(family, "get"), counts(family, "exists")]);
    assert.deepEqual([primary, sum(replicas)], [0, 60]);
    assert.ok(other! > 0, "the others are read everywhere");
  }));

  test("a view reads from replicas, too, also of a handler that reads from the primary", () => withReader({}, async (db) => {
    const view = db.with({ readFrom: "replica" });
    await Promise.all(family.slice(1).map((one) => isRead(view, one)));
    await forget(family);
    for (let i = 0; i < 4; i++) assert.deepEqual(await Promise.all([view.get("k"), db.get("k")]), ["value", "value"]);
    const [primary, ...replicas] = await counts(family, "get");
    assert.deepEqual([primary, sum(replicas)], [4, 4]);
  }));

  test("a view of a closed handler opens no connection to replicas", async () => {
    for (const close of [(db: Handler) => db.destroy(), (db: Handler) => db.disconnect()]) {
      const replica = await ScriptedServer.start(async (peer) => void await peer.hello());
      try {
        const db = await connection({ port: family[0].port, replicas: [`127.0.0.1:${replica.port}`] });
        await close(db);
        await assert.rejects(db.with({ readFrom: "replica" }).get("k"), { code: "CLOSED" });
        const later = await connection({ port: replica.port }); // accepted after any connection that was opened before
        later.destroy();
        assert.equal(replica.connections, 1);
      } finally {
        await replica.stop();
      }
    }
  });

  test("a pipeline of reads is answered by the primary when the replica that was to answer it dies", async () => {
    let given = 0;
    const dying = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      for (;;) {
        const [name] = await peer.read();
        if (name === "INFO") peer.write(`$${atOffset(1000).length}\r\n${atOffset(1000)}\r\n`);
        else if (++given % 2) return peer.reset();
        else {
          peer.write("$4\r\nhalf\r\n"); // the first reply of several
          return peer.end();
        }
      }
    });
    try {
      const replicas = [`127.0.0.1:${dying.port}`];
      await withParts([{ name: "the primary", replication: PRIMARY }], { replicas }, async (db) => {
        while (given < 4) {
          const answers = await db.pipeline().get("k").get("other").get("k").execPipeline();
          assert.deepEqual(answers, Array(3).fill("the primary"));
        }
      });
      assert.ok(given > 1, `it was asked ${given} times`);
    } finally {
      await dying.stop();
    }
  });

  test("disconnect() and destroy() leave nothing behind: no client on any server, no timer, no socket", async () => {
    const program = `
      import { connectionPool, lazyConnectionPool, lazyShardedConnectionPool } from "${ours("redis")}";
      const options = { port: ${family[0].port}, poolsize: 2, readFrom: "any", name: "left-over" };
      const replicas = [${family.slice(1).map(({ port }) => `"127.0.0.1:${port}"`).join()}, "127.0.0.1:${await freePort()}"];
      for (let i = 0; i < 24; i++) {
        const more = i % 4 < 2 ? { replicas } : {};
        const db = i % 8 === 7 ? lazyShardedConnectionPool([{ port: options.port, ...more }], { poolsize: 2, readFrom: "any", name: "left-over" })
          : i % 2 ? await connectionPool({ ...options, ...more }) : lazyConnectionPool({ ...options, ...more });
        if (i % 3) await Promise.all([db.get("k"), db.get("k"), db.set("left", i)]);
        if (i % 5) await db.disconnect(); else db.destroy();
      }
      const left = () => process.getActiveResourcesInfo().filter((name) => /Timeout|TCP/.test(name)).join();
      for (let i = 0; i < 1000 && left() !== ""; i++) await new Promise(setImmediate);
      console.log(left());
    `;
    assert.deepEqual(await runProgram(program), [0, ""]);
    await nobodyOn(family, "left-over");
  });
});

// ==== 14. One of several ====

/** An iterable of lists that a test pushes to, and the signal with which each call of it was made. */
function lists<T>(): { source: (signal: AbortSignal) => AsyncIterable<T[]>; push: (list: T[]) => void; fail: (error: Error) => void; signals: AbortSignal[] } {
  const signals: AbortSignal[] = [];
  const waiting: (T[] | Error)[] = [];
  let wake = (): void => {};
  const add = (item: T[] | Error): void => {
    waiting.push(item);
    wake();
  };
  const source = async function* (signal: AbortSignal): AsyncGenerator<T[]> {
    signals.push(signal);
    for (;;) {
      while (waiting.length === 0) await new Promise<void>((resolve) => { wake = resolve; });
      const item = waiting.shift()!;
      if (item instanceof Error) throw item;
      yield item;
    }
  };
  return { source, push: add, fail: add, signals };
}

/** The warnings of the process with this code, from now until `use` has ended. */
async function warnings(code: string, use: (told: Error[]) => Promise<void>): Promise<void> {
  const told: Error[] = [];
  const listen = (warning: Error & { code?: string }): void => {
    if (warning.code === code) told.push(warning);
  };
  process.on("warning", listen);
  try {
    await use(told);
  } finally {
    process.off("warning", listen);
  }
}

/** Waits until a handler shows so many of its members in this state. */
const areIn = (db: object, state: "live" | "left", count: number): Promise<boolean> =>
  until(() => inspect(db).split(`(${state}, `).length === count + 1, `${count} members to be ${state}`);

describe("one of several", () => {
  const servers = startServers(2);
  const extra = (use: (one: RedisServer) => Promise<void>): Promise<void> => RedisServer.start().then((one) => use(one).finally(() => one.stop()));
  const at = ({ port }: RedisServer, share: { weight?: number; priority?: number } = {}) => ({ host: "127.0.0.1", port, ...share });
  const tellApart = (all: RedisServer[]): Promise<unknown> => Promise.all(all.map((one) => one.call("SET", "who", String(one.port))));
  const asked = (one: RedisServer): Promise<number> => counts([one], "get").then(([count]) => count!);
  beforeEach(() => Promise.all([tellApart(servers), forget(servers)]));

  for (const callers of [1, 100]) {
    test(`shares 4,000 commands of ${callers} callers as the weights say, within 5 points`, async () => {
      const anyOf = [`redis://127.0.0.1:${servers[0]!.port}`, `redis://127.0.0.1:${servers[1]!.port}?weight=3`];
      await using(await connectionPool({ anyOf, poolsize: 8 }), async (db) => {
        await areIn(db, "live", 2);
        await forget(servers);
        await Promise.all(Array.from({ length: callers }, async () => {
          for (let i = 0; i < 4_000 / callers; i++) await db.get("k");
        }));
        const [light, heavy] = await counts(servers, "get");
        assert.equal(light! + heavy!, 4_000);
        assert.ok(light! > 800 && light! < 1_200, `${light} : ${heavy}`);
      });
    });
  }

  test("counts commands, not ticks: callers that keep in step get the shares, too", async () => {
    await using(await connectionPool({ anyOf: servers.map((one) => at(one)), poolsize: 2 }), async (db) => {
      await areIn(db, "live", 2);
      await forget(servers);
      for (let i = 0; i < 200; i++) await Promise.all(Array.from({ length: i % 2 === 0 ? 19 : 1 }, () => db.get("k")));
      const [one] = await counts(servers, "get");
      assert.ok(one! > 900 && one! < 1_100, `${one} of 2,000`);
    });
  });

  test("keeps to one member within a tick, so that its commands keep their order", async () => {
    await using(await connectionPool({ anyOf: servers.map((one) => at(one)), poolsize: 2 }), async (db) => {
      await areIn(db, "live", 2);
      const seen = new Set<string | null>();
      for (let i = 0; i < 20; i++) {
        const [, , n, who] = await Promise.all([db.set("n", i), db.incr("n"), db.get("n"), db.get("who")]);
        assert.equal(n, String(i + 1));
        seen.add(who);
      }
      assert.equal(seen.size, 2);
    });
  });

  test("a member with weight 0 gets nothing, and no connection", async () => {
    await using(await connectionPool({ anyOf: [at(servers[0]!), at(servers[1]!, { weight: 0 })], name: "drained" }), async (db) => {
      for (let i = 0; i < 20; i++) await db.get("k");
      assert.deepEqual(await counts(servers, "get"), [20, 0]);
      assert.equal((await clientsOf(servers[1]!, "drained")).length, 0);
      assert.match(inspect(db), /:\d+ \(weight 0\)>$/);
    });
  });

  test("the lowest group of priority with a live member serves, from the first command on, and again when it is back", () =>
    extra(async (first) => {
      const anyOf = [at(servers[0]!, { priority: 2 }), at(first, { priority: 1, weight: 1 }), at(servers[1]!, { priority: 2 })];
      await using(lazyConnectionPool({ anyOf, poolsize: 2 }), async (db) => {
        await first.call("SET", "who", "first");
        for (let i = 0; i < 20; i++) assert.equal(await db.get("who"), "first");
        await first.kill();
        await areIn(db, "left", 1);
        for (let i = 0; i < 20; i++) assert.match(String(await db.get("who")), /^\d+$/);
        assert.ok((await counts(servers, "get")).every((count) => count === 10), "the others share");
        await first.restart();
        await first.call("SET", "who", "first");
        await until(async () => await db.get("who") === "first", "the first group to serve again");
        for (let i = 0; i < 20; i++) assert.equal(await db.get("who"), "first");
      });
    }));

  test("a member that dies loses only what it was executing; its share goes to the others, and comes back without a burst", () =>
    extra(async (dying) => {
      await using(await connectionPool({ anyOf: [at(servers[0]!), at(dying)], poolsize: 4 }), async (db) => {
        await areIn(db, "live", 2);
        const work = (caller: number): Promise<unknown> => caller % 2 === 0 ? db.get("k") : db.incr("n");
        const errors = await underLoad(20, work, async ({ errors, more }) => {
          await more(200);
          await dying.kill();
          await areIn(db, "left", 1);
          const lost = errors.length;
          await more(2_000);
          assert.equal(errors.length, lost, "none is lost to a member that is known to be dead");
          await dying.restart();
          await areIn(db, "live", 2);
          await forget([servers[0]!, dying]);
          await more(1_000);
          const [one, other] = await counts([servers[0]!, dying], "get");
          assert.ok(other! > 0 && other! < 0.6 * (one! + other!), `${one} : ${other}`);
        });
        assert.ok(errors.every(({ outcome, command }) => outcome === "unknown" && command === "INCR"), String(errors[0]));
      });
    }));

  test("a member whose connections were all lent gets no burst when they are free again", async () => {
    await using(await connectionPool({ anyOf: servers.map((one) => at(one)), poolsize: 2 }), async (db) => {
      await areIn(db, "live", 2);
      const blocked = [db.blpop("gate", 0), db.blpop("gate", 0)]; // in one tick, so at one member
      await until(async () => (await Promise.all(servers.map((one) => one.call("INFO", "clients")))).join().includes("blocked_clients:2"), "them to block");
      for (let i = 0; i < 200; i++) await db.get("k");
      const [first, second] = await counts(servers, "get");
      assert.deepEqual([Math.min(first!, second!), Math.max(first!, second!)], [0, 200]);
      for (const one of servers) await one.call("RPUSH", "gate", "1", "2");
      await Promise.all(blocked);
      await forget(servers);
      for (let i = 0; i < 100; i++) await db.get("k");
      const [one, other] = await counts(servers, "get");
      assert.ok(Math.abs(one! - other!) <= 4, `${one} : ${other}`);
      await Promise.all(servers.map((one) => one.call("DEL", "gate")));
    });
  });

  test("a member that was never there, or is gone, loses no command at all", async () => {
    const port = await freePort();
    await using(lazyConnectionPool({ anyOf: [{ host: "127.0.0.1", port, weight: 100 }, at(servers[0]!)], poolsize: 2 }), async (db) => {
      const replies = await Promise.all(Array.from({ length: 100 }, (_, i) => db.set(`k${i}`, i)));
      assert.ok(replies.every((reply) => reply === "OK"));
      for (let i = 0; i < 100; i++) await db.incr("n");
      assert.match(inspect(db), /\(left, weight 100, priority 0: no connection to .*ECONNREFUSED\)/);
    });
  });

  test("a member that freezes leaves: reads are answered elsewhere, unwritten commands go there, written ones are unknown", () =>
    extra(async (frozen) => {
      await tellApart([frozen]);
      await using(await connectionPool({ anyOf: [at(servers[0]!), at(frozen)], poolsize: 2, replyTimeout: 4_000 }), async (db) => {
        await areIn(db, "live", 2);
        const errors = await underLoad(10, (caller) => caller < 5 ? db.get("who") : db.incr("n"), async ({ errors, more }) => {
          await more(100);
          frozen.freeze();
          await areIn(db, "left", 1);
          await more(1_000);
          assert.equal(errors.length, 0, "no deadline has passed: reads went elsewhere");
          await until(() => errors.length > 0, "the writes that it had been sent to be given up");
          await more(1_000);
          frozen.thaw();
          await areIn(db, "live", 2);
          await forget([frozen]);
          await until(async () => await asked(frozen) > 0, "it to get its share again");
        });
        assert.ok(errors.length > 0 && errors.length <= 5, `${errors.length}`);
        assert.ok(errors.every(({ outcome, command }) => outcome === "unknown" && command === "INCR"), String(errors[0]));
      });
    }));

  /** A member that answers GET as its part says, and PING, too, if it is loading. */
  const playing = (part: { get: string; ping?: string; gets: number }): Promise<ScriptedServer> => ScriptedServer.start(async (peer) => {
    await peer.hello();
    for (;;) {
      const [name] = await peer.read();
      if (name === "PING") peer.write(part.ping ?? "+PONG\r\n");
      else {
        part.gets++;
        peer.write(part.get);
      }
    }
  });

  for (const refusal of ["LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down",
    "READONLY You can't write against a read only replica.", "CLUSTERDOWN The cluster is down", "BUSY Redis is busy running a script.",
    "MISCONF Redis is configured to save RDB snapshots", "NOREPLICAS Not enough good replicas to write.", "OOM command not allowed"]) {
    test(`a member that says ${refusal.split(" ")[0]} leaves, the command goes elsewhere, and it returns when it is able`, async () => {
      const part: Parameters<typeof playing>[0] = { get: `-${refusal}\r\n`, gets: 0 };
      const refusing = await playing(part);
      await using(await connectionPool({ anyOf: [{ host: "127.0.0.1", port: refusing.port }, at(servers[0]!)], poolsize: 2 }), async (db) => {
        await areIn(db, "live", 2);
        for (let i = 0; i < 10; i++) assert.equal(await db.set("k", i), "OK");
        assert.ok(part.gets > 0, "it was asked");
        await until(async () => {
          await db.set("k", 1);
          return inspect(db).includes("(left, ");
        }, "it to leave");
        part.get = "+OK\r\n";
        const before = part.gets;
        await until(async () => await db.set("k", 1) === "OK" && part.gets > before + 1, "it to be sent commands again");
      });
      await refusing.stop();
    });
  }

  test("a member that loads is not even asked, however often it is tried, until it has loaded", async () => {
    const part: Parameters<typeof playing>[0] = { get: "-LOADING Redis is loading\r\n", ping: "-LOADING Redis is loading\r\n", gets: 0 };
    const loading = await playing(part);
    await using(lazyConnectionPool({ anyOf: [{ host: "127.0.0.1", port: loading.port, weight: 9 }, at(servers[0]!)], poolsize: 2 }), async (db) => {
      for (let i = 0; i < 100; i++) await db.get("none");
      const tried = loading.connections;
      await until(async () => await db.get("none") === null && loading.connections > tried + 2, "it to be tried in the background");
      assert.equal(part.gets, 0);
      Object.assign(part, { get: "+loaded\r\n", ping: undefined });
      await until(async () => await db.get("none") === "loaded", "it to serve");
    });
    await loading.stop();
  });

  test("when all refuse, commands wait within their deadlines for the first that is able, or get the refusal", async () => {
    const parts = [1, 2].map((): Parameters<typeof playing>[0] => ({ get: "-LOADING Redis is loading\r\n", gets: 0 }));
    const all = await Promise.all(parts.map(playing));
    await using(await connectionPool({ anyOf: all.map(({ port }) => ({ host: "127.0.0.1", port })), poolsize: 1 }), async (db) => {
      const late = await failure(db.with({ replyTimeout: 300 }).set("k", 1));
      assert.deepEqual([late.code, late.outcome], ["LOADING", "not-executed"]);
      const waiting = db.set("k", 1);
      await until(() => parts.every(({ gets }) => gets > 1), "both to be asked");
      for (const part of parts) part.get = "+OK\r\n";
      assert.equal(await waiting, "OK");
    });
    await Promise.all(all.map((one) => one.stop()));
  });

  test("with all of them down, commands fail at once, and work as soon as one is back", () => extra((one) => extra(async (other) => {
    await using(await connectionPool({ anyOf: [at(one), at(other)], poolsize: 2 }), async (db) => {
      await Promise.all([one.kill(), other.kill()]);
      await until(async () => (await failure(db.incr("n"))).code === "NOT_CONNECTED", "commands to fail fast");
      const failed = await Promise.all(Array.from({ length: 100 }, () => failure(db.incr("n"))));
      assert.ok(failed.every(({ code, outcome }) => code === "NOT_CONNECTED" && outcome === "not-sent"), String(failed[0]));
      await other.restart();
      await until(() => db.incr("n").then(() => true, () => false), "the other to serve");
    });
  })));

  test("a single connection is to the best live member, and moves when that dies", () => extra(async (best) => {
    await tellApart([best]);
    await using(await connection({ anyOf: [at(servers[0]!), at(best, { weight: 2 }), at(servers[1]!)] }), async (db) => {
      for (let i = 0; i < 20; i++) assert.equal(await db.get("who"), String(best.port));
      await best.kill();
      assert.deepEqual(await Promise.all([db.set("n", 1), db.incr("n"), db.get("who")]).catch(() => Promise.all([
        db.set("n", 1), db.incr("n"), db.get("who")])), ["OK", 2, String(servers[0]!.port)]);
      for (let i = 0; i < 20; i++) assert.equal(await db.get("who"), String(servers[0]!.port));
      assert.equal(await asked(servers[1]!), 0);
    });
  }));

  test("an eager handler is ready as soon as a member is, and rejects only if none can be opened", async () => {
    const [none, nobody] = await Promise.all([freePort(), freePort()]);
    await using(await connectionPool({ anyOf: [`127.0.0.1:${none}`, at(servers[0]!)], poolsize: 2 }), (db) => db.ping());
    const error = await failure(connectionPool({ anyOf: [`127.0.0.1:${none}`, `127.0.0.1:${nobody}`] }));
    assert.deepEqual([error.code, error.message.includes(String(none))], ["CONNECT_FAILED", true]);
  });

  test("transactions, leases, blocking commands and pipelines each run on one live member", () => extra(async (gone) => {
    await using(await connectionPool({ anyOf: [at(gone), ...servers.map((one) => at(one))], poolsize: 2 }), async (db) => {
      await gone.kill();
      await areIn(db, "left", 1);
      for (let i = 0; i < 6; i++) {
        const results = await db.transaction(["n"], async (t) => {
          const who = await t.get("who");
          (await t.multi()).set("n", String(who)).catch(() => {});
        });
        assert.deepEqual(results, ["OK"]);
        const [set, got] = await db.pipeline().set("p", i).get("p").commit();
        assert.deepEqual([set, got], ["OK", String(i)]);
        assert.deepEqual(await db.lease(async (c) => {
          await c.rpush("queue", i);
          return c.blpop("queue", 1);
        }), ["queue", String(i)]);
        assert.equal(await db.blpop("empty", 0.01), null);
      }
    });
  }));

  test("a subscription moves to another member, with a gap, and publish() reaches it there", () => extra(async (best) => {
    const gaps: number[] = [];
    const heard: string[] = [];
    await using(await connectionPool({ anyOf: [at(servers[0]!), at(best, { weight: 2 })], poolsize: 2 }), async (db) => {
      await areIn(db, "live", 2);
      await db.subscribe("news", ({ message, gap }) => void (gap === undefined ? heard.push(message) : gaps.push(gap)));
      assert.equal(await db.publish("news", "one"), 1);
      best.freeze(); // nothing tells the subscription, but what the members are asked
      await areIn(db, "left", 1);
      await until(async () => await db.publish("news", "two") === 1, "the subscription to have moved");
      await until(() => heard.includes("two"), "the message");
      assert.equal(gaps.length, 1);
      best.thaw();
      await areIn(db, "live", 2);
      await until(async () => await db.publish("news", "three") === 1, "the subscription to be where publish() is");
      await until(() => heard.includes("three"), "the message");
    });
  }));

  test("a scan stays with its member, and fails with it", () => extra(async (best) => {
    for (const one of [best, ...servers]) await one.call("DEBUG", "POPULATE", "500", String(one.port));
    const prefix = `${best.port}:`;
    await using(await connectionPool({ anyOf: [at(servers[0]!), at(best, { weight: 2 })], poolsize: 2, replyTimeout: 500 }), async (db) => {
      await areIn(db, "live", 2);
      let found = 0;
      for await (const key of db.scanIterator({ MATCH: prefix + "*" })) if (key.startsWith(prefix)) found++;
      assert.ok(found >= 500, String(found));
      const cut = await failure((async () => {
        for await (const _ of db.scanIterator({ COUNT: 10 })) if (found++ === 600) await best.kill();
      })());
      assert.ok(cut instanceof ConnectionError, String(cut));
      await best.restart();
      const fill = async (one: RedisServer): Promise<void> => {
        const words = Array.from({ length: 4_000 }, (_, i) => `${i}`);
        await one.call("HSET", "hash", ...words);
        await one.call("SADD", "set", "text", ...words);
        await one.call("ZADD", "zset", ...words);
      };
      await Promise.all([best, ...servers].map(fill));
      const parts = [() => db.hscanIterator("hash"), () => db.sscanIterator("set"), () => db.zscanIterator("zset")];
      for (const iterate of parts) {
        await areIn(db, "live", 2);
        let read = 0;
        const lost = await failure((async () => {
          for await (const _ of iterate()) if (read++ === 100) await best.kill();
        })());
        assert.ok(lost instanceof ConnectionError && read < 2_000, `${lost} after ${read}`);
        await best.restart();
        await fill(best);
      }
    });
    await Promise.all(servers.map((one) => one.call("FLUSHALL")));
  }));

  test("works for shards, each of which may be one of several", () => extra(async (gone) => {
    const hosts = [{ anyOf: [at(gone), at(servers[0]!)] }, at(servers[1]!)];
    await using(lazyShardedConnectionPool(hosts, { poolsize: 2 }), async (db) => {
      assert.deepEqual([...db.shards().keys()], [`127.0.0.1:${gone.port},127.0.0.1:${servers[0]!.port}`, `127.0.0.1:${servers[1]!.port}`]);
      await gone.kill();
      await until(async () => inspect(db).includes("(left, "), "it to leave");
      const keys = Array.from({ length: 50 }, (_, i) => `key:${i}`);
      await db.mset(Object.fromEntries(keys.map((key) => [key, key])));
      assert.deepEqual(await db.mget(keys), keys);
      await db.del(keys);
    });
  }));

  test("its options are checked, and no error shows a password", async () => {
    for (const [options, message] of [
      [{ anyOf: [] }, /anyOf must be a list of hosts/],
      [{ anyOf: "a:1" }, /anyOf must be a list of hosts, or a function/],
      [{ anyOf: ["a:1", "a:1"] }, /anyOf\[1\]: a:1 is already in the list/],
      [{ anyOf: ["a:1"], host: "b" }, /option host belongs to each host of anyOf/],
      [{ anyOf: [{ anyOf: ["a:1"] }] }, /anyOf\[0\]: a host of anyOf has no option anyOf/],
      [{ anyOf: ["a:1"], path: "/b" }, /option path belongs/],
      [{ anyOf: ["a:1"], replicas: ["b:1"] }, /option replicas belongs/],
      [{ anyOf: [{ host: "a", weight: -1 }] }, /anyOf\[0\]: option weight must be a number of at least 0/],
      [{ anyOf: [{ host: "a", priority: 1.5 }] }, /anyOf\[0\]: option priority must be a whole number/],
      [{ anyOf: ["redis://:secret@a?weight=x"] }, /anyOf\[0\]: option weight must be/],
      [{ anyOf: ["redis://:secret@a?weight=1&weight=2"] }, /anyOf\[0\]: a URL's query cannot set weight a second time/],
      [{ anyOf: ["redis://:secret@a?host=b"] }, /anyOf\[0\]: a URL's query cannot set host; it can set .*, weight, priority/],
      [{ anyOf: [{ host: "a", weight: 0 }] }, /anyOf must have a weight above 0/],
      [{ anyOf: [{ host: "a", charset: null }] }, /anyOf\[0\]: option charset must be the same for all hosts of anyOf/],
      ["redis://:secret@a?weight=1", /a URL's query cannot set this option; it can set dbid, [a-zA-Z, ]+$/],
    ] as [any, RegExp][]) {
      assert.throws(() => lazyConnectionPool(options), (error: Error) => {
        assert.ok(!error.message.includes("secret"), error.message);
        assert.match(error.message, message);
        return error instanceof TypeError;
      });
    }
  });
});

describe("a live list", () => {
  const servers = startServers(3);
  const host = ({ port }: RedisServer): string => `127.0.0.1:${port}`;
  beforeEach(() => Promise.all(servers.map((one) => one.call("SET", "who", host(one)))));

  test("is asked for once by all handlers that use it, and told when the last of them has ended", async () => {
    const { source, push, signals } = lists<string>();
    const [one, other] = [lazyConnectionPool({ anyOf: source, poolsize: 2 }), lazyConnection({ anyOf: source })];
    const waiting = [one.get("who"), other.get("who"), one.pipeline().get("who").execPipeline(), one.transaction([], async (t) => void t)];
    await sleep(20);
    push([host(servers[0]!)]);
    assert.deepEqual(await Promise.all(waiting), [host(servers[0]!), host(servers[0]!), [host(servers[0]!)], []]);
    const late = lazyConnection({ anyOf: source });
    assert.equal(await late.get("who"), host(servers[0]!), "who comes later gets the last list");
    assert.equal(signals.length, 1);
    await Promise.all([one.disconnect(), late.disconnect()]);
    assert.equal(signals[0]!.aborted, false);
    await other.disconnect();
    assert.equal(signals[0]!.aborted, true);
    push([host(servers[1]!)]);
    const again = lazyConnection({ anyOf: source });
    push([host(servers[2]!)]);
    await until(() => signals.length === 2, "it to be asked for anew");
    assert.equal(await again.get("who"), host(servers[2]!));
    again.destroy();
    assert.equal(signals[1]!.aborted, true);
  });

  test("replaces members whole, under load and without one failure; those that stay keep their connections", async () => {
    const { source, push } = lists<object>();
    const member = (at: number, weight = 1): object => ({ host: "127.0.0.1", port: servers[at]!.port, weight });
    await using(lazyConnectionPool({ anyOf: source, poolsize: 2, name: "live-list" }), async (db) => {
      push([member(0), member(1)]);
      const sure: Promise<unknown>[] = [];
      const errors = await underLoad(20, (caller, turn) => caller % 2 === 0 ? db.incr("n") : db.get(`k${turn}`), async ({ more }) => {
        await more(100);
        const ids = (await clientsOf(servers[1]!, "live-list")).map((line) => line.split(" ")[0]);
        assert.equal(ids.length, 2);
        for (const list of [[member(1), member(2)], [member(2), member(1, 3)], [member(0, 0), member(1)], [member(1), member(0), member(2)], [member(1)]]) {
          sure.push(db.blpop("nothing", 0.2));
          push(list);
          await more(200);
        }
        assert.deepEqual((await clientsOf(servers[1]!, "live-list")).map((line) => line.split(" ")[0]), ids, "it kept its connections");
        await nobodyOn([servers[0]!, servers[2]!], "live-list");
        await forget(servers);
        await more(100);
        assert.deepEqual((await counts([servers[0]!, servers[2]!], "get")), [0, 0]);
      });
      assert.deepEqual(errors.map(String), []);
      assert.deepEqual(await Promise.all(sure), sure.map(() => null));
    });
  });

  test("that is wrong changes nothing, and is told once by a warning; so is a function that fails, which is called again", () =>
    warnings("BAD_LIST", async (told) => {
      const { source, push, fail, signals } = lists<unknown>();
      await using(lazyConnectionPool({ anyOf: source as Options["anyOf"] & object, poolsize: 1 }), async (db) => {
        push([host(servers[0]!)]);
        assert.equal(await db.get("who"), host(servers[0]!));
        push(["redis://:secret@a", "nowhere"]);
        push(["redis://:secret@a", "nowhere"]);
        push([]);
        await until(() => told.length === 2, "the warnings");
        assert.deepEqual(told.map(({ message }) => message), [
          'a list of hosts was not taken: anyOf[1]: "nowhere" has no port; write "10.0.0.1:6379" or "[::1]:6379"',
          'a list of hosts was not taken: anyOf must be a list of hosts, such as ["10.0.0.1:6379"]',
        ]);
        assert.equal(await db.get("who"), host(servers[0]!));
        for (let i = 0; i < 3; i++) fail(new Error("no list today"));
        await until(() => signals.length === 4, "it to be called again");
        assert.equal((told[2]!.cause as Error).message, "no list today");
        assert.equal(await db.get("who"), host(servers[0]!));
        push([host(servers[1]!)]);
        await until(async () => await db.get("who") === host(servers[1]!), "the next list to be taken");
        assert.equal(told.length, 3);
        assert.ok(signals.every(({ aborted }) => !aborted));
      });
    }));

  test("lets a subscription wait for it, too", async () => {
    const { source, push } = lists<string>();
    await using(lazyConnection({ anyOf: source }), async (db) => {
      const heard: string[] = [];
      const subscribed = db.subscribe("news", ({ message }) => void heard.push(message!));
      await sleep(20);
      push([host(servers[0]!)]);
      await subscribed;
      assert.equal(await db.publish("news", "hello"), 1);
      await until(() => heard.length === 1, "the message");
    });
  });

  test("whose function fails before the first one makes commands fail, until there is one", () => warnings("BAD_LIST", async (told) => {
    let list: string[] | undefined;
    const source = (): AsyncIterable<string[]> => {
      if (list === undefined) throw new Error("nothing there");
      const found = list;
      return (async function* () { yield found; })();
    };
    await using(lazyConnectionPool({ anyOf: source, poolsize: 1 }), async (db) => {
      const error = await failure(db.incr("n"));
      assert.deepEqual([error.code, error.outcome], ["NOT_CONNECTED", "not-sent"]);
      assert.match(inspect(error), /nothing there/);
      assert.match((await failure(db.ready())).message, /list of hosts/);
      list = [host(servers[0]!)];
      await until(() => db.get("who").then((who) => who === host(servers[0]!), () => false), "the list to be taken");
      await until(() => told.length === 1, "the warning");
    });
  }));

  test("of which nothing comes lets no command hang, nor a process", async () => {
    await using(lazyConnectionPool({ anyOf: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) }), replyTimeout: 100 }),
      async (db) => {
        const error = await failure(db.get("k"));
        assert.deepEqual([error.code, error.outcome], ["REPLY_TIMEOUT", "not-sent"]);
        assert.match(error.message, /address of a list of hosts not known/);
      });
    const [code, said] = await runProgram(`
      import { lazyConnection } from ${JSON.stringify(ours("redis"))};
      const hosts = async function* () { yield [${JSON.stringify(host(servers[0]!))}]; for (;;) await new Promise(() => {}); };
      const db = lazyConnection({ anyOf: hosts });
      await db.ping();
      await db.disconnect();
      console.log("closed");
    `);
    assert.deepEqual([code, said], [0, "closed"]);
  });
});

describe("a manager", () => {
  const servers = startServers(3);
  const url = ({ port }: RedisServer, rest = "cache"): string => `redis://127.0.0.1:${port}/${rest}`;
  beforeEach(async () => {
    for (const one of servers) for (const db of ["0", "2"]) {
      await one.call("SELECT", db);
      await one.call("SET", "who", `${one.port}/${db}`);
    }
    await forget(servers);
  });
  const withManager = async (hosts: Parameters<typeof manager>[0], use: (m: Manager) => Promise<void>, options?: Options): Promise<void> => {
    const m = manager(hosts, options) as Manager;
    await use(m).finally(() => m.disconnect());
  };

  test("gives a lazy pool for each name and database of one list, the same at each call, and shares by the weights", () =>
    withManager([url(servers[0]!, "cache?weight=1"), url(servers[1]!, "cache?weight=3&db=0"), url(servers[2]!, "n/x?db=2&transaction=1&more=1")], async (m) => {
      const cache = m.select("cache");
      assert.equal(m.select("cache", 0), cache);
      await areIn(cache, "live", 2);
      await forget(servers);
      for (let i = 0; i < 400; i++) await cache.get("k");
      const [one, other] = await counts(servers, "get");
      assert.ok(Math.abs(one! - 100) <= 20 && one! + other! === 400, `${one} : ${other}`);
      assert.equal(await m.select("n/x", 2).get("who"), `${servers[2]!.port}/2`);
      for (const [name, db] of [["n/x", 0], ["cache", 1], ["nobody", 0]] as const) {
        assert.throws(() => m.select(name, db), { code: "NO_NODES", outcome: "not-sent" });
      }
      assert.match(inspect(m), /^Manager <0\/cache: .* \| 2\/n\/x: .*>$/);
    }));

  test("reads URLs as zyredis does", async () => {
    const accepted: [url: string, name: string, db: number, weight: number][] = [
      ["redis://127.0.0.1:7000/a", "a", 0, 1], ["redis://127.0.0.1:7000/", "", 0, 1], ["redis://127.0.0.1:7000/n/x?db=3", "n/x", 3, 1],
      ["redis://127.0.0.1:7000/a?weight=&db=", "a", 0, 1], ["redis://127.0.0.1:7000/a?weight=5&weight=9", "a", 0, 5],
      ["redis://127.0.0.1:7000/a?weight=%202&unknown=x", "a", 0, 2], ["redis://127.0.0.1:7000/a\n", "a", 0, 1],
      ["redis://user:pw@[::1]:7000/a", "a", 0, 1],
    ];
    for (const [given, name, db, weight] of accepted) {
      await withManager([given], async (m) => assert.match(inspect(m.select(name, db)), new RegExp(`:7000 db ${db}: .*weight ${weight},`), given));
    }
    for (const given of ["http://a:1/b", "redis://a:1", "redis://a/b", "a:1/b", "", "redis://a:1/b?weight=1.5", "redis://a:1/b?weight=abc",
      "redis://a:1/b?db=x", "redis://a:1/b?db=-1", "redis://a:1/b?transaction=yes", "redis://:secret@a:b/c", "redis://a:1/b#c", 7, { host: "a" }]) {
      assert.throws(() => manager([url(servers[0]!), given as string]), (error: Error) => {
        assert.ok(error instanceof TypeError && error.message.startsWith("hosts[1]: ") && !error.message.includes("secret"), `${given}: ${error}`);
        return true;
      });
    }
    for (const name of ["host", "dbid", "anyOf", "replicas"]) {
      assert.throws(() => manager([url(servers[0]!)], { [name]: name === "dbid" ? 1 : name === "host" ? "a" : ["a:1"] }), /belongs to the URLs of the list/);
    }
    assert.throws(() => manager([]), /hosts must be a list/);
  });

  test("weight 0 drains a server, a negative one as well, and weights of one server add up", () =>
    withManager([url(servers[0]!, "a?weight=0"), url(servers[1]!, "a"), url(servers[1]!, "a?weight=2"), url(servers[2]!, "a?weight=-1"), url(servers[2]!, "b?weight=0")],
      async (m) => {
        for (let i = 0; i < 20; i++) await m.select("a").get("k");
        assert.deepEqual(await counts(servers, "get"), [0, 20, 0]);
        assert.match(inspect(m.select("a")), /weight 3,/);
        assert.throws(() => m.select("b"), { code: "NO_NODES" });
      }));

  test("follows a live list: names wait for the first, move with each, and keep their servers when they vanish or a list is wrong", () =>
    warnings("BAD_LIST", (bad) => warnings("NO_NODES", async (gone) => {
      const { source, push, fail, signals } = lists<string>();
      await withManager(source, async (m) => {
        const [cache, other] = [m.select("cache"), m.select("other", 2)];
        const waiting = [cache.get("who"), other.get("who")];
        push([url(servers[0]!), url(servers[1]!, "other?db=2")]);
        assert.deepEqual(await Promise.all(waiting), [`${servers[0]!.port}/0`, `${servers[1]!.port}/2`]);
        assert.throws(() => m.select("nobody"), { code: "NO_NODES" });
        push([url(servers[2]!)]); // a node is deleted, another added
        await until(async () => await cache.get("who") === `${servers[2]!.port}/0`, "the list to be taken");
        await until(() => gone.length === 1, "the warning");
        assert.match(gone[0]!.message, /no node "other" with database 2/);
        assert.equal(await other.get("who"), `${servers[1]!.port}/2`);
        assert.throws(() => m.select("other", 2), { code: "NO_NODES" });
        push([url(servers[0]!), "redis://nowhere"]);
        await until(() => bad.length === 1, "the warning");
        fail(new Error("lost"));
        await until(() => bad.length === 2, "the warning");
        assert.equal(await cache.get("who"), `${servers[2]!.port}/0`);
        push([url(servers[1]!, "other?db=2")]);
        await until(() => {
          try {
            return m.select("other", 2) === other;
          } catch {
            return false;
          }
        }, "the name to be back");
        assert.equal(signals.length, 2);
      });
      assert.ok(signals.every(({ aborted }) => aborted));
    })));

  test("serves from the nodes that live", () => withManager([url(servers[0]!), url(servers[1]!)], async (m) => {
    const dead = await freePort();
    const half = manager([url(servers[0]!), `redis://127.0.0.1:${dead}/cache`]);
    for (let i = 0; i < 200; i++) await half.select("cache").get("k"); // zyredis loses every second one
    await half.disconnect();
    assert.equal(await m.select("cache").ping(), "PONG");
  }));

  test("is closed with all its handlers, and makes a new one for a name whose handler was closed", async () => {
    const m = manager([url(servers[0]!)], { name: "managed", charset: null });
    const first = m.select("cache");
    assert.ok(Buffer.isBuffer(await first.get("who")));
    await first.disconnect();
    const second = m.select("cache");
    assert.ok(second !== first);
    await second.ping();
    await m[Symbol.asyncDispose]();
    assert.equal((await failure(second.ping())).code, "CLOSED");
    assert.throws(() => m.select("cache"), { code: "CLOSED" });
    await nobodyOn(servers, "managed");
    await m.disconnect();
  });
});

// ==== 15. Placement ====

const crcTable = Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte >>> 0;
});
const crc32 = (bytes: string): number => {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = crcTable[(crc ^ bytes.charCodeAt(i)) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
};
const toBytes = (key: string | Buffer): string => Buffer.from(key as string).toString("latin1");

/** The ring of txredisapi: 160 points a node; a key has the first one behind it, or else the last one of all. */
function originalRing(nodes: string[]): (key: string | Buffer) => string {
  const owner = new Map<number, string>();
  const points: number[] = [];
  for (const node of nodes) {
    for (let i = 0; i < 160; i++) {
      const point = crc32(toBytes(`${node}:${i}`));
      owner.set(point, node);
      points.push(point);
    }
  }
  points.sort((a, b) => a - b);
  return (key) => {
    const bytes = toBytes(key);
    const crc = crc32(/^[^\n]+\{([^\n]*)\}/.exec(bytes)?.[1] ?? bytes);
    let [from, to] = [0, points.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (points[middle]! <= crc) from = middle + 1;
      else to = middle;
    }
    return owner.get(points[Math.min(from, points.length - 1)]!)!;
  };
}

/** The rule of rediscluster: a remainder, and a tag that ends one byte before the key's end and is not stored. */
const originalRemainder = (count: number) => (key: string | Buffer): [node: string, stored: string] => {
  const bytes = toBytes(key);
  const at = bytes.indexOf("{");
  const tag = at < 0 ? bytes : bytes.slice(at + 1, -1);
  return [`node_${crc32(tag) % count + 1}`, at < 0 ? bytes : bytes.slice(0, at)];
};

/** Keys with all that the rules look at, as text and as bytes. */
function* oddKeys(count: number): Generator<string | Buffer> {
  const random = reference.random(4);
  const below = (bound: number): number => Math.floor(random() * bound);
  const parts = ["{", "{", "}", "}", "\n", "\r", "a", "key", ":", "7", " ", "\0", "é", "ключ", "中", "😀", "\u2028",
    "\x7f"];
  for (let i = 0; i < count; i++) {
    const text = Array.from({ length: below(9) }, () => parts[below(parts.length)]!).join("");
    if (i % 4 > 0) yield text;
    else yield i % 8 > 0 ? Buffer.from(text) : Buffer.from(Array.from({ length: below(9) }, () =>
      [0x7b, 0x7d, 0x0a, below(256), below(256)][below(5)]!));
  }
}

describe("through a proxy", () => {
  const proxies = ["codis", "twemproxy", "envoy"] as const;
  /** Answers everything with OK, and PING with PONG; `seen` has the commands. */
  const answering = async (use: (port: number, seen: string[]) => Promise<void>): Promise<void> => {
    const seen: string[] = [];
    const scripted = await ScriptedServer.start(async (peer) => {
      for (;;) {
        const words = await peer.read();
        seen.push(words.join(" "));
        peer.write(words[0] === "PING" ? "+PONG\r\n" : "+OK\r\n");
      }
    });
    try {
      await use(scripted.port, seen);
    } finally {
      await scripted.stop();
    }
  };

  for (const proxy of proxies) {
    test(`${proxy} is greeted with AUTH and PING only`, () => answering(async (port, seen) => {
      const db = await connection({ port, proxy, password: "secret" });
      assert.deepEqual(seen, ["AUTH secret", "PING"]);
      await db.disconnect();
    }));

    test(`options that ${proxy} cannot serve are a TypeError that names them`, () => {
      for (const [name, value] of Object.entries({
        dbid: 1, name: "n", readFrom: "any", durable: 1, replicas: ["localhost:1"], protocol: 3,
        ...(proxy === "envoy" ? {} : { username: "u" }),
      })) {
        const options = { proxy, password: "p", [name]: value } as Options;
        assert.throws(() => lazyConnection(options).destroy(), { name: "TypeError", message: new RegExp(`option ${name} .*${proxy}`) });
        const shards = (): void => lazyShardedConnection(["localhost:1", "localhost:2"], options).destroy();
        assert.throws(shards, { name: "TypeError", message: new RegExp(`option ${name} `) });
      }
      using(lazyConnection({ proxy }), async (db) => {
        assert.throws(() => db.with({ readFrom: "replica" }), /option readFrom/);
        assert.throws(() => db.with({ durable: 1 }), /option durable/);
        db.with({ replyTimeout: 5, charset: null });
      });
      assert.throws(() => lazyShardedConnection([{ host: "a", proxy }, "b:1"]), /option proxy must be the same for all nodes/);
    });

    test(`what ${proxy} refuses is refused before it is sent`, () => answering(async (port, seen) => {
      await using(lazyConnection({ port, proxy }), async (db) => {
        await db.ready();
        seen.length = 0;
        const refused = async (promise: unknown): Promise<void> => {
          const error = await failure(promise);
          assert.ok(error instanceof NotSupportedError && error.message.includes(proxy), `${error}`);
          assert.deepEqual([error.code, error.outcome], ["NOT_SUPPORTED", "not-sent"]);
        };
        for (const call of [
          "KEYS *", "MOVE a 1", "OBJECT ENCODING a", "RENAME a b", "RENAMENX a b", "SCAN 0", "BITOP AND a b c", "MSETNX a 1 b 2",
          "BLPOP a 0", "BRPOP a 0", "BRPOPLPUSH a b 0", "BZPOPMIN a 0", "PSUBSCRIBE a", "PUNSUBSCRIBE a", "SUBSCRIBE a",
          "UNSUBSCRIBE a", "UNWATCH", "WATCH a", "AUTH a", "SELECT 1", "BGREWRITEAOF", "BGSAVE", "DBSIZE", "FLUSHALL", "FLUSHDB",
          "INFO", "LASTSAVE", "MONITOR", "SAVE", "SHUTDOWN", "SLAVEOF NO ONE", "SLOWLOG GET", "SYNC", "TIME", "RANDOMKEY",
          "MIGRATE h 1 k 0 1", "SCRIPT LOAD x", "CONFIG GET a", "CLIENT LIST", "HELLO 2", "XREAD STREAMS a 0", "WAIT 1 0",
          "COPY {a}b c", "SUNION a b", "SINTER a b", "SDIFF a b", "ZUNIONSTORE a 2 b c", "EVAL x 0", "EVAL x 2 a b",
          "XGROUP CREATE k g 0", "LMPOP 1 a LEFT", "XINFO STREAM k", "MEMORY USAGE k", "PFCOUNT a b", "SORT a BY w*",
          ...(proxy === "envoy" ? ["SUNION {a}b {a}c"] : ["MULTI", "EXEC", "DISCARD", "PUBLISH a b"]),
          ...(proxy === "codis" ? ["RESTORE a 0 b", "SORT a"] : []),
          ...(proxy === "twemproxy" ? ["XADD a * b c", "NOSUCH a", "EXISTS a b", "EXPIRE a 1 NX", "PING a", "ECHO a"] : []),
        ]) {
          const [name = "", ...args] = call.split(" ");
          await refused(db.call(name, ...args));
          assert.throws(() => db.pipeline().call(name, ...args), NotSupportedError, call);
        }
        for (const begin of [
          () => db.watch("a"), () => db.multi("a"), () => db.transaction(["a"], () => {}), () => db.transaction([], () => {}),
          () => db.lease(() => {}), () => db.subscribe("a"), () => db.psubscribe("a"), () => db.ssubscribe("a"), () => db.monitor(),
          () => db.scanIterator().next(), () => db.consume("s", { group: "g", consumer: "c" }).next(),
          ...(proxy === "envoy" ? [] : [() => db.multi(), () => db.pipeline().get("a").commit()]),
        ]) await refused(begin());
        assert.deepEqual(seen, []);
        await Promise.all([
          db.ping(), db.get("a"), db.mset({ a: 1, b: 2 }), db.del("a", "b"), db.hset("h", { a: 1 }), db.call("EVAL", "x", 2, "{a}b", "{a}c"),
          db.hscanIterator("h").next().catch(() => {}), ...(proxy === "envoy" ? [db.publish("a", "b")] : [db.sunion("{a}b", "{a}c")]),
        ]);
        assert.equal(seen.length, 8);
      });
      await using(lazyShardedConnection([`localhost:${port}`], { proxy }), async (db) => {
        assert.ok(await failure(db.rename("a", "b")) instanceof NotSupportedError);
        assert.ok(await failure(db.dbsize()) instanceof NotSupportedError);
        assert.ok(await failure(db.sunion("a", "b")) instanceof NotSupportedError);
      });
    }));
  }

  test("transactions without WATCH go through Envoy", () => answering(async (port, seen) => {
    await using(lazyConnection({ port, proxy: "envoy" }), async (db) => {
      await db.ready();
      seen.length = 0;
      await db.pipeline().set("a", 1).commit().catch(() => {});
      assert.deepEqual(seen, ["MULTI", "SET a 1", "EXEC"]);
    });
  }));

  for (const [said, of] of [
    ["ERR Connection timed out", "twemproxy"], ["SERVER_ERROR Connection refused", "twemproxy"],
    ["ERR handle response, backend conn reset", "codis"], ["upstream failure", "envoy"], ["finished with 2 error(s)", "envoy"],
  ] as const) {
    test(`after "${said}" by ${of}, a write may have been executed, and a web server should answer 503`, async () => {
      const scripted = await ScriptedServer.start(async (peer) => {
        for (;;) peer.write((await peer.read())[0] === "PING" ? "+PONG\r\n" : `-${said}\r\n`);
      });
      await using(lazyConnection({ port: scripted.port, proxy: of }), async (db) => {
        const [write, read] = [await failure(db.mset({ a: 1, b: 2 })), await failure(db.get("a"))];
        assert.ok(write instanceof ReplyError && write.raw === said);
        assert.deepEqual([write.outcome, write.unavailable, read.outcome, read.unavailable], ["unknown", true, "not-executed", true]);
      });
      await scripted.stop();
    });
  }

  describe("that is a real twemproxy", () => {
    let servers: RedisServer[];
    let twemproxy: Twemproxy;
    const isThere = hasTwemproxy();
    const real = (name: string, body: () => Promise<unknown>): void => void test(name, async (t) => {
      if (!isThere) return skip(t, "there is no twemproxy; sh test/setup.sh installs Debian's package nutcracker");
      await Promise.all(servers.map((server) => server.call("FLUSHALL")));
      await body();
    });
    const options = { proxy: "twemproxy" as const };
    const keys = Array.from({ length: 100 }, (_, i) => `key:${i}`);
    before(async () => {
      if (!isThere) return;
      servers = await Promise.all([RedisServer.start(), RedisServer.start(), RedisServer.start()]);
      twemproxy = await Twemproxy.start(servers);
    });
    after(async () => {
      if (!isThere) return;
      await twemproxy.stop();
      await Promise.all(servers.map((server) => server.stop()));
    });

    real("closes no connection because of a call that the driver passes", async () => {
      let passed = 0;
      await using(await connection({ port: twemproxy.port, ...options }), async (db) => {
        for (const [method, [args]] of Object.entries(samples)) {
          const { name } = commands[method as keyof typeof commands] as Row;
          const [first = "", ...others] = name.text.split(" ");
          const error: any = await db.call(first, ...others, ...args).catch((reason) => reason);
          if (error instanceof NotSupportedError) continue;
          assert.notEqual(error?.code, "CONNECTION_LOST", name.text);
          passed++;
        }
      });
      assert.ok(passed > 100, `${passed} passed`);
    });

    real("divides MSET, MGET and DEL among its servers, and takes pipelines of 10,000", async () => {
      await using(lazyConnectionPool({ port: twemproxy.port, poolsize: 3, ...options }), async (db) => {
        await db.mset(Object.fromEntries(keys.map((key, i) => [key, i])));
        const sizes = await Promise.all(servers.map((server) => server.call("DBSIZE")));
        assert.ok(sizes.every((size) => size > 0), String(sizes));
        assert.deepEqual(await db.mget(keys), keys.map((_, i) => String(i)));
        const pipeline = db.pipeline();
        for (let i = 0; i < 10_000; i++) pipeline.set(`n:${i}`, i);
        for (let i = 0; i < 10_000; i++) pipeline.get(`n:${i}`);
        const replies = await pipeline.execPipeline();
        assert.deepEqual(replies.slice(10_000), Array.from({ length: 10_000 }, (_, i) => String(i)));
        assert.equal(await db.del(keys), 100);
        await Promise.all(Array.from({ length: 10_000 }, (_, i) => db.del(`n:${i}`)));
        assert.deepEqual(await Promise.all(servers.map((server) => server.call("DBSIZE"))), [0, 0, 0]);
      });
    });

    real("loses a server: only its keys fail, with what twemproxy says, until the server is back", async () => {
      await using(lazyConnectionPool({ port: twemproxy.port, poolsize: 2, ...options }), async (db) => {
        await db.mset(Object.fromEntries(keys.map((key) => [key, "v"])));
        const lost = new Set<string>(await servers[1]!.call("KEYS", "*"));
        await servers[1]!.kill();
        for (const key of keys) {
          const answer = await db.get(key).catch((error) => error);
          if (!lost.has(key)) assert.equal(answer, "v");
          else assert.ok(answer instanceof RedisError && answer.unavailable, `${answer}`);
        }
        const error = await failure(db.mset(Object.fromEntries(keys.map((key) => [key, "w"]))));
        assert.deepEqual([error.outcome, error.unavailable], ["unknown", true]);
        await servers[1]!.restart();
        await until(() => Promise.all(keys.map((key) => db.set(key, "x"))).then(() => true, () => false), "all keys");
        assert.deepEqual(new Set(await db.mget(keys)), new Set(["x"]));
      });
    });

    real("is killed and started again: the driver connects again", async () => {
      await using(lazyConnectionPool({ port: twemproxy.port, poolsize: 2, ...options }), async (db) => {
        await db.ready();
        await twemproxy.kill();
        assert.equal((await failure(until(() => db.get("k"), "an error"))).unavailable, true);
        await twemproxy.launch();
        await until(() => db.set("k", "v").catch(() => false), "a connection");
        assert.equal(await db.get("k"), "v");
      });
    });
  });
});

describe("placement", () => {
  const near = (count: number): string[] => Array.from({ length: count }, (_, i) => `127.0.0.1:${i + 1}`);
  const numbered = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
  /** The number of each key's node. */
  const nodesOf = (db: ShardedHandler, keys: readonly Key[]): Uint8Array => {
    const numbers = new Map(nodeNames(db).map((name, i) => [name, i]));
    return Uint8Array.from(keys, (key) => numbers.get(db.nodeFor(key))!);
  };
  const counted = (nodes: Uint8Array, count: number): number[] => {
    const counts = Array<number>(count).fill(0);
    for (const node of nodes) counts[node]!++;
    return counts;
  };

  test("shares 1,000,000 keys out evenly over 3, 8 and 32 nodes, and one node more takes its share and no other moves",
    () => {
    const keys = numbered("key:", 1_000_000);
    for (const count of [3, 8, 32]) {
      const before = placing(near(count), {}, (db) => nodesOf(db, keys));
      const fullest = Math.max(...counted(before, count));
      assert.ok(fullest <= 1.03 * keys.length / count, `${fullest} keys on the fullest of ${count}`);
      const after = placing(near(count + 1), {}, (db) => nodesOf(db, keys));
      let moved = 0;
      for (let i = 0; i < keys.length; i++) {
        if (after[i] === before[i]) continue;
        assert.equal(after[i], count, `${keys[i]} moves from one old node to another`);
        moved++;
      }
      assert.ok(moved <= 1.02 * keys.length / (count + 1), `${moved} keys move to the new one of ${count + 1}`);
    }
  });

  test("heeds weights: a share of each node's part of their sum, none for 0, and only the reweighted node's keys move",
    () => {
    const keys = numbered("user:", 200_000);
    const weighted = (...weights: number[]) =>
      placing(weights.map((weight, i) => ({ host: "127.0.0.1", port: i + 1, weight })), {}, (db) => nodesOf(db, keys));
    const quarters = counted(weighted(1, 3), 2);
    assert.ok(Math.abs(quarters[0]! / 50_000 - 1) < 0.02 && Math.abs(quarters[1]! / 150_000 - 1) < 0.02,
      String(quarters));
    const uneven = weighted(2, 1, 0, 0.5, 0.5);
    for (const [i, share] of [0.5, 0.25, 0, 0.125, 0.125].entries()) {
      assert.ok(Math.abs(counted(uneven, 5)[i]! - share * keys.length) <= 0.02 * share * keys.length,
        String(counted(uneven, 5)));
    }
    assert.deepEqual(weighted(20, 10, 0, 5, 5), uneven, "only their proportion counts");
    assert.deepEqual(weighted(1, 1, 1), placing(near(3), {}, (db) => nodesOf(db, keys)),
      "1 is what a host without one has");
    const heavier = weighted(2, 2, 0, 0.5, 0.5);
    for (let i = 0; i < keys.length; i++) assert.ok(heavier[i] === uneven[i] || heavier[i] === 1, keys[i]);
    const alone = weighted(0, 1, 0);
    assert.ok(alone.every((node) => node === 1));
  });

  test("does not depend on the order of the hosts, nor on the form that they are given in", () => {
    const keys = numbered("k", 10_000);
    const names = (hosts: Hosts) => placing(hosts, {}, (db) => keys.map((key) => db.nodeFor(key)));
    const expected = names(near(5));
    assert.deepEqual(names(near(5).reverse()), expected);
    assert.deepEqual(names(near(5).map((address) => `redis://:password@${address}/7`)), expected);
    assert.deepEqual(names(near(5).map((address) => ({ host: "127.0.0.1", port: Number(address.split(":")[1]) }))),
      expected);
  });

  test("of bytes is that of the same text, whatever they are held in", () => {
    const texts = ["", "key", "ключ", "中文{é}", "😀", "{ключ}1", "\0\r\n", "x".repeat(10_000)];
    for (const placement of ["rendezvous", "txredisapi", "rediscluster"] as const) {
      placing(near(32), { placement }, (db) => {
        for (const text of texts) {
          const bytes = Buffer.from(text);
          const padded = Buffer.concat([Buffer.from("{a}"), bytes, Buffer.from("b")]);
          const forms = [bytes, new Uint8Array(bytes), padded.subarray(3, -1), new Uint8Array(bytes).buffer,
            new DataView(padded.buffer, padded.byteOffset + 3, bytes.length)];
          for (const form of forms) assert.equal(db.nodeFor(form), db.nodeFor(text), `${placement}: ${inspect(form)}`);
        }
        const invalid = Array.from({ length: 100 }, (_, i) => db.nodeFor(Buffer.from([0xff, 0x80, i])));
        assert.ok(new Set(invalid).size > 10, "bytes that are no text are not all the same");
      });
    }
  });

  test("looks at the hash tag only, as Redis Cluster does", () => {
    const tags: [key: string, tag: string][] = [
      ["{user}", "user"], ["{user}:1", "user"], ["a{user}b", "user"], ["{user", "{user"], ["user}", "user}"],
      ["}user{", "}user{"],
      ["{}", "{}"], ["{}user", "{}user"], ["foo{}{bar}", "foo{}{bar}"],
      ["foo{{bar}}zap", "{bar"], ["foo{bar}{zap}", "bar"],
      ["foo{bar}}", "bar"], ["}{user}", "user"], ["{ }", " "], ["{\n}x", "\n"], ["ключ{é}", "é"], ["", ""],
      ["user", "user"],
    ];
    for (const [key, tag] of tags) {
      const asked: unknown[] = [];
      const placement = (hashed: unknown): string => {
        asked.push(hashed);
        return "127.0.0.1:1";
      };
      placing(near(2), { placement }, (db) => db.nodeFor(key));
      placing(near(2), { placement }, (db) => db.nodeFor(Buffer.from(key)));
      assert.deepEqual(asked, [tag, tag]);
    }
    placing(near(32), {}, (db) => {
      for (let i = 0; i < 1_000; i++) {
        const node = db.nodeFor(`user${i}`);
        assert.equal(db.nodeFor(`{user${i}}.following`), node);
        assert.equal(db.nodeFor(`a:{user${i}}:{b}`), node);
      }
      const whole = numbered("{}", 1_000).map((key) => db.nodeFor(key));
      assert.equal(new Set(whole).size, 32, "an empty tag is none");
    });
  });

  describe("of txredisapi", () => {
    const localhost = (...ports: number[]) => ports.map((port) => `localhost:${port}`);
    const three = localhost(6379, 6380, 6381);
    const placement = "txredisapi";

    test("is the original's for the keys that were tried with it", () => {
      const vectors: Record<string, string[]> = {
        6379: ["foo", "key", "key1", "key2", "user:1", "user:2", "foo00", "ключ", "{lero}:0", "a{b}c}",
        "localhost:6380:0", "key:942"],
        6380: ["bar", "a", "b", "c", "user:1000", "hello world", "", "test{lero}:0", "test{lero}:99", "a{b}{c}", "a{}",
          "x{y"],
        6381: ["baz", "foo01", "test:42", "key:951"],
      };
      placing(three, { placement }, (db) => {
        for (const [port, keys] of Object.entries(vectors)) {
          for (const key of keys) assert.equal(db.nodeFor(key), `localhost:${port}`, key);
        }
      });
      placing(["unix:///tmp/redis1.sock", { path: "/tmp/redis2.sock" }], { placement }, (db) => {
        for (const key of ["foo", "bar", "user:1"]) assert.equal(db.nodeFor(key), "/tmp/redis2.sock");
      });
    });

    test("is the original's rule for 100,000 keys of every kind", () => {
      for (const nodes of [three, localhost(6379, 6380), near(10), ["10.1.2.3:6379"], ["[::1]:6379", "/tmp/ключ.sock"]]) {
        const original = originalRing(nodes);
        const hosts = nodes.map((name) => name.startsWith("/") ? { path: name } : name);
        placing(hosts, { placement }, (db) => {
          for (const key of oddKeys(nodes === three ? 100_000 : 20_000)) {
            assert.equal(db.nodeFor(key), original(key), inspect(key));
          }
        });
      }
    });

    test("shares keys out as unevenly as the original, and moves as few", () => {
      const shares: [prefix: string, counts: number[]][] = [
        ["key:", [39_753, 34_891, 25_356]], ["k:", [39_723, 34_790, 25_487]], ["foo", [39_682, 35_093, 25_225]],
        ["user:", [39_741, 34_826, 25_433]],
      ];
      const nodes = (hosts: string[], prefix: string) =>
        placing(hosts, { placement }, (db) => nodesOf(db, numbered(prefix, 100_000)));
      for (const [prefix, counts] of shares) assert.deepEqual(counted(nodes(three, prefix), 3), counts, prefix);
      assert.deepEqual(counted(nodes(localhost(6379, 6380), "key:"), 2), [54_049, 45_951]);
      assert.deepEqual(counted(nodes(localhost(6381, 6379, 6380), "key:"), 3), [25_356, 39_753, 34_891],
        "the order does not matter");
      const before = nodes(three, "key:");
      const moved = nodes([...three, "localhost:6382"], "key:").filter((node, i) => node !== before[i]);
      assert.deepEqual([moved.length, moved.every((node) => node === 3)], [21_145, true]);
    });
  });

  describe("of rediscluster", () => {
    const placement = "rediscluster";

    test("is the original's for the keys that were tried with it, on nodes called node_1 and so on", () => {
      const vectors: [key: string, of2: number, of3: number, of4: number][] = [
        ["foo", 2, 3, 2], ["bar", 1, 3, 3], ["foobar", 2, 3, 2], ["a", 2, 1, 4], ["b", 2, 3, 2], ["c", 2, 1, 4],
        ["d", 1, 1, 1],
        ["z", 2, 3, 4], ["key1", 1, 2, 1], ["key2", 1, 2, 3], ["user:1000", 2, 1, 4], ["hello", 1, 2, 3], ["", 1, 1, 1],
        [" foo bar ", 2, 3, 2], ["1", 2, 3, 4], ["123456789", 1, 3, 3], ["test_a", 1, 1, 3], ["wlctest_abc_def", 1, 3, 3],
        ["中文", 2, 2, 4], ["é", 1, 3, 3], ["x".repeat(64), 1, 3, 3], ["bar{foo}", 2, 3, 2], ["{foo}", 2, 3, 2],
        ["a{b}c", 2, 3, 4],
        ["a{b", 1, 1, 1], ["a{", 1, 1, 1], ["a{}", 1, 1, 1], ["a{b}{c}", 1, 2, 1], ["a}b{foo}", 2, 3, 2],
        ["user{1000}.following", 2, 1, 4],
      ];
      for (const count of [2, 3, 4] as const) {
        placing(near(count), { placement }, (db) => {
          assert.deepEqual(nodeNames(db), Array.from({ length: count }, (_, i) => `node_${i + 1}`));
          for (const vector of vectors) assert.equal(db.nodeFor(vector[0]), `node_${vector[count - 1]}`, vector[0]);
        });
      }
    });

    test("is the original's rule for 100,000 keys of every kind", () => {
      for (const [count, tries] of [[4, 100_000], [1, 1_000], [7, 20_000], [32, 20_000]] as const) {
        const original = originalRemainder(count);
        placing(near(count), { placement }, (db) => {
          for (const key of oddKeys(tries)) assert.equal(db.nodeFor(key), original(key)[0], inspect(key));
        });
      }
    });

    test("goes by the order in which the hosts are given", () => withShards({ placement }, async (db) => {
      const info = await db.info("server");
      assert.deepEqual(Object.keys(info), ["node_1", "node_2", "node_3", "node_4"]);
      for (const [i, text] of Object.values(info as unknown as Record<string, string>).entries()) {
        assert.match(text, new RegExp(`tcp_port:${shards[i]!.port}\r\n`));
      }
    }));

    test("stores a key without its tag, on its tag's node", () => withShards({ placement }, async (db) => {
      const original = originalRemainder(4);
      const keys = ["plain", "bar{foo}", "{whole}", "a{b}c", "b{b", "c{", "d{}", "e{b}{c}", "a}b{foo}", "user{1000}.following",
        "ключ{é}", "f{é", "g\n{x\ny}", Buffer.from([0xff, 0x7b, 0xfe, 0xfd, 0x7d]), ...oddKeys(300)];
      for (const key of keys) {
        const [node, stored] = original(key);
        const own = db.shards().get(node)!;
        assert.equal(await db.set(key, `of ${node}`), "OK");
        assert.equal(await own.get(Buffer.from(stored, "latin1")), `of ${node}`, inspect(key));
        assert.equal(await db.get(key), `of ${node}`);
        assert.equal(await db.dbsize(), 1);
        assert.equal(await db.del(key), 1);
      }
      assert.equal(await db.shard("bar{foo}").set("bar", "direct"), "OK",
        "the node's own handler takes keys as they are stored");
      assert.equal(await db.get("bar{foo}"), "direct");
      assert.deepEqual(await db.keys("*"), ["bar"]);
    }));

    test("finds each key of a command by its own tag", () => withShards({ placement }, async (db) => {
      assert.equal(await db.mset({ "a{foo}": 1, "b{foo}": 2, "c{bar}": 3, d: 4 }), "OK");
      assert.deepEqual(await db.mget("d", "b{foo}", "c{bar}", ["a{foo}", "a"]), ["4", "2", "3", "1", null]);
      assert.deepEqual([await db.exists("a{foo}", "c{bar}", "d", "d"), await db.dbsize()], [4, 4]);
      assert.deepEqual(await db.shard("x{foo}").mget("a", "b"), ["1", "2"]);
      assert.equal(await db.shard("x{bar}").get("c"), "3");
      assert.equal(await db.msetnx("a{bar}", 5, "e{foo}", 6), 1);
      assert.equal(await db.msetnx("a{foo}", 5, "f{foo}", 6), 0);
      assert.deepEqual(await db.pipeline().get("a{bar}").mget("e{foo}", "c{bar}", "e").execPipeline(),
        ["5", ["6", "3", null]]);
      assert.equal(await db.del("a{foo}", "b{foo}", "c{bar}", "d", "a{bar}", "e{foo}"), 6);
      assert.equal(await db.dbsize(), 0);
    }));

    test("misplaced() finds all keys when two nodes take each other's place", () => withShards({ placement }, async (db) => {
      const keys = Array.from({ length: 200 }, (_, i) => `key:${i}`);
      await db.mset(keys.flatMap((key) => [key, 1]));
      assert.deepEqual(await all(db.misplaced()), []);
      const [first, second, ...others] = addresses() as [string, string, string, string];
      const moved = keys.filter((key) => /_[12]$/.test(db.nodeFor(key))).sort();
      const swapped = [second, first, ...others];
      assert.deepEqual((await all(db.misplaced(swapped))).map(({ key }) => key).sort(), moved);
      await db.setHosts(swapped);
      assert.deepEqual((await all(db.misplaced())).map(({ key }) => key).sort(), moved);
    }));

    test("what is published on a channel with a tag is heard on it", () => withShards({ placement }, async (db) => {
      const names = ["news{a}", "news{b}", "{a}", "news", "news{}"];
      const s = await db.subscribe(names);
      for (const name of names) assert.equal(await db.publish(name, `of ${name}`), 1, name);
      const heard = await take(names.length, s) as Message[];
      const told = heard.map(({ channel, message }) => `${channel}: ${message}`).sort();
      assert.deepEqual(told, names.map((name) => `${name}: of ${name}`).sort());
    }));
  });

  describe("by a function", () => {
    test("is what it returns, by the tag and the nodes with their weights", () => {
      const asked: unknown[] = [];
      const hosts = ["127.0.0.1:1", { host: "127.0.0.1", port: 2, weight: 5 }];
      const placement = (tag: string, nodes: readonly { name: string; weight: number }[]): string => {
        asked.push([tag, nodes.map(({ name, weight }) => [name, weight])]);
        return nodes[tag.length % 2]!.name;
      };
      placing(hosts, { placement }, (db) => {
        assert.deepEqual(["a", "{ab}c", "abc"].map((key) => db.nodeFor(key)),
          ["127.0.0.1:2", "127.0.0.1:1", "127.0.0.1:2"]);
      });
      const nodes = [["127.0.0.1:1", 1], ["127.0.0.1:2", 5]];
      assert.deepEqual(asked, ["a", "ab", "abc"].map((tag) => [tag, nodes]));
    });

    test("rules every command", async () => {
      await withShards({ placement: (tag, nodes) => nodes[Number(tag) % 4]!.name }, async (db) => {
        await db.mset(...Array.from({ length: 8 }, (_, i) => [String(i), i]));
        const found = (await onEach("KEYS", "*")).map((keys) => keys.sort());
        assert.deepEqual(found, [["0", "4"], ["1", "5"], ["2", "6"], ["3", "7"]]);
      });
    });

    test("sees of a node its name and its weight, and no password", () => {
      const seen: unknown[] = [];
      const hosts = ["redis://user:hunter2@127.0.0.1:1", { host: "127.0.0.1", port: 2, password: "hunter2", weight: 2 }];
      const placement = (_: string, nodes: readonly { name: string; weight: number }[]): string => {
        seen.push(...nodes);
        return nodes[0]!.name;
      };
      placing(hosts, { placement, password: "hunter2", username: "user" }, (db) => db.nodeFor("a"));
      assert.deepEqual(seen, [{ name: "127.0.0.1:1", weight: 1 }, { name: "127.0.0.1:2", weight: 2 }]);
      for (const node of seen) assert.deepEqual(Reflect.ownKeys(node as object), ["name", "weight"]);
      assert.doesNotMatch(inspect(seen, { showHidden: true, depth: 9 }) + JSON.stringify(seen), /hunter2/);
    });

    test("that throws for one channel harms no other one of its subscription, and no change of hosts", async () => {
      let isAngry = false;
      const placement = (tag: string, nodes: readonly { name: string }[]): string => {
        if (tag === "boom" || (isAngry && tag === "later")) throw new Error("not this one");
        return tag === "nowhere" ? tag : nodes.at(-1)!.name;
      };
      await withShards({ placement }, async (db) => {
        const s = await db.subscribe(["a", "later"]);
        for (const [channels, says] of [[["boom"], /not this one/], [["b", "nowhere"], /placement/]] as const) {
          assert.match((await failure(db.subscribe([...channels]))).message, says);
          assert.match((await failure(soon(s.subscribe(...channels), "its refusal"))).message, says);
        }
        await s.subscribe("c");
        assert.deepEqual([...s.channels].sort(), ["a", "b", "c", "later"]);
        const items = collect(s);
        for (const channel of ["a", "b", "c", "later"]) assert.equal(await db.publish(channel, "before"), 1, channel);
        isAngry = true;
        await soon(db.setHosts(addresses().slice(0, 2)), "setHosts()");
        for (const channel of ["a", "b", "c"]) assert.equal(await db.publish(channel, "after"), 1, channel);
        const heard = (): unknown[] => texts(items.filter((item) => !isGap(item))).sort();
        await until(() => heard().length >= 7, "all messages");
        assert.deepEqual(heard(), [...Array(3).fill("after"), ...Array(4).fill("before")]);
      });
    });

    const wrong: [what: string, placement: (tag: string) => any, says: RegExp][] = [
      ["returns the name of no node", () => "nowhere:1", /placement/],
      ["returns nothing", () => undefined, /placement/],
      ["returns a promise", async () => addresses()[0], /placement/],
      ["returns a node's number", () => 1, /placement/],
      ["throws", () => { throw new Error("not now"); }, /not now/],
    ];
    for (const [what, placement, says] of wrong) {
      test(`that ${what} fails the command, and nothing is sent`, () => withShards({ placement }, async (db) => {
        assert.throws(() => db.nodeFor("a"), (error: Error) => says.test(error.message));
        const calls = [() => db.get("a"), () => db.mset("a", 1, "b", 2), () => db.rename("a", "b"), () => db.call("SET", "a", 1)];
        for (const call of calls) {
          const error = await failure(call());
          assert.match(error.message, says);
          assert.equal(error.outcome ?? "not-sent", "not-sent");
        }
        assert.throws(() => db.pipeline().get("a"), (error: Error) => says.test(error.message));
        assert.equal(await db.dbsize(), 0);
      }));
    }
  });
});

// ==== 16. Sharding ====

const shards: RedisServer[] = [];
before(async () => {
  shards.push(...await Promise.all(Array.from({ length: 4 }, () => RedisServer.start())));
});
after(async () => {
  await Promise.all(shards.map((shard) => shard.stop()));
});

type Hosts = Parameters<typeof shardedConnection>[0];
type Sharding = NonNullable<Parameters<typeof shardedConnection>[1]>;

const addresses = (): string[] => shards.map(({ port }) => `127.0.0.1:${port}`);
const onEach = (...args: string[]): Promise<any[]> => Promise.all(shards.map((shard) => shard.call(...args)));
const serverOf = (node: string): RedisServer => shards[addresses().indexOf(node)]!;
/** How many connections of that name the servers have. */
const connectionsNamed = async (name: string): Promise<number[]> => (await onEach("CLIENT", "LIST"))
  .map((list) => list.split("\n").filter((line: string) => line.includes(` name=${name} `)).length);

/** Gives a handler of four empty servers to `use` and closes it, whatever happens. */
async function withShards<T>(options: Sharding, use: (db: ShardedHandler) => Promise<T>): Promise<T> {
  await onEach("FLUSHALL");
  const make = options.poolsize === undefined ? shardedConnection : shardedConnectionPool;
  return using(await make(addresses(), options) as unknown as ShardedHandler, use);
}

/** A handler for what needs no server: `use` returns before anything is sent. */
function placing<T>(hosts: Hosts, options: Sharding, use: (db: ShardedHandler) => T): T {
  const db = lazyShardedConnection(hosts, options) as unknown as ShardedHandler;
  try {
    return use(db);
  } finally {
    db.destroy();
  }
}

const nodeNames = (db: ShardedHandler): string[] => [...db.shards().keys()];

/** Keys on that node, whose names begin so. */
function keysOn(db: ShardedHandler, node: string, name = "key", count = 1): string[] {
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) {
    if (i > 1_000 * count) throw new Error(`no key falls on ${node}`);
    if (db.nodeFor(`${name}:${i}`) === node) keys.push(`${name}:${i}`);
  }
  return keys;
}
const keyOn = (db: ShardedHandler, node: string, name?: string): string => keysOn(db, node, name)[0]!;
/** A key on each node, in the order of the nodes. */
const keyOnEach = (db: ShardedHandler, name?: string): string[] => nodeNames(db).map((node) => keyOn(db, node, name));

describe("a list of hosts", () => {
  type Made = ShardedHandler | Promise<ShardedHandler>;
  const factories: [name: string, make: (hosts: any, options?: any) => Made, pool: boolean, unix: boolean][] = [
    ["shardedConnection", shardedConnection, false, false],
    ["shardedConnectionPool", shardedConnectionPool, true, false],
    ["shardedUnixConnection", shardedUnixConnection, false, true],
    ["shardedUnixConnectionPool", shardedUnixConnectionPool, true, true],
    ["lazyShardedConnection", lazyShardedConnection, false, false],
    ["lazyShardedConnectionPool", lazyShardedConnectionPool, true, false],
    ["lazyShardedUnixConnection", lazyShardedUnixConnection, false, true],
    ["lazyShardedUnixConnectionPool", lazyShardedUnixConnectionPool, true, true],
  ];

  for (const [name, make, pool, unix] of factories) {
    const eager = !name.startsWith("lazy");
    const places = () => unix ? shards.map(({ path }) => path) : addresses();

    test(`${name} gives a handler ${eager ? "that is ready" : "at once"}, named after its servers' addresses`,
      async () => {
      for (const [options, count] of [[{ poolsize: 3 }, pool ? 3 : 1], [{}, pool ? 10 : 1]] as const) {
        const made = make(places(), { ...options, name: `of-${name}` });
        assert.equal(made instanceof Promise, eager);
        const db = await made;
        try {
          assert.ok(db instanceof ShardedHandler);
          assert.deepEqual([...db.shards().keys()], places());
          if (!eager) assert.equal(await db.ready(), db);
          assert.deepEqual(await connectionsNamed(`of-${name}`), [count, count, count, count]);
          const key = keyOn(db, places()[2]!);
          assert.equal(await db.set(key, name), "OK");
          assert.equal(await shards[2]!.call("GET", key), name);
        } finally {
          await db.disconnect();
        }
        await until(async () => (await connectionsNamed(`of-${name}`)).every((left) => left === 0),
          "all of them to be gone");
      }
    });

    test(`${name} tells what is wrong with its list, and shows no password`, async () => {
      const good = places()[0]!;
      const whole = ["", null, undefined, {}, 6379, good, new Set([good]), []];
      const any: [entry: unknown, says: RegExp][] = [
        ...[42, null, undefined, true, [good], new Date(), () => good].map((entry): [unknown, RegExp] => [entry, /not /]),
        ["", /""|empty/], [good, new RegExp(`${good} .*already`)],
      ];
      const hosts: typeof any = [
        ["localhost", /"localhost" has no port/], ["[::1]", /"\[::1\]" has no port/], ["::1", /"::1" has no port/],
        ["localhost:", /"localhost:"/], ["localhost:0", /port/], ["localhost:65536", /port/], ["localhost:-1", /port/],
        ["localhost:1.5", /port/], ["localhost:redis", /"localhost:redis"/], ["localhost:1e3", /"localhost:1e3"/],
        ["localhost: 1", /"localhost: 1"/], [":6379", /":6379"/], ["a b:6379", /host/],
        ["/tmp/redis.sock", /"\/tmp\/redis\.sock"/],
        ["http://:hunter2@localhost:1", /scheme/], ["redis://:hunter2@localhost:99999", /not a URL/],
        [":hunter2@localhost:6379", /./], ["user:hunter2@localhost", /./], ["redis:user:hunter2@localhost", /./],
        [`redis://:hunter2@${addresses()[0]}`, /already/], [new URL(`redis://:hunter2@${addresses()[0]}`), /already/],
        [{ host: "127.0.0.1", port: shards[0]!.port, password: "hunter2" }, /already/],
        [{ host: "far", port: 1, password: "hunter2", weight: -1 }, /weight/],
        [{ host: "far", port: 1, weight: NaN }, /weight/],
        [{ host: "far", port: 1, weight: Infinity }, /weight/], [{ host: "far", port: 1, weight: "2" }, /weight/],
        [{ host: "far", port: 0, password: "hunter2" }, /port/], [{ host: "", port: 1 }, /host/],
        [{ host: "far", prot: 6380 }, /"prot"/],
        [{ host: "far", port: 1, replicas: "near:1" }, /replicas/],
        [{ host: "far", port: 1, replicas: ["near"] }, /"near" has no port/],
      ];
      const paths: typeof any = [
        [{ path: "" }, /path/], [{ path: 5 }, /path/], [{ path: good }, /already/],
        [{ path: "/far", weight: -1 }, /weight/],
        [{ path: "/far", wieght: 1 }, /"wieght"/], [{ weight: 1 }, /path/],
      ];
      const lists: [list: unknown, says: RegExp][] = [
        ...whole.map((list): [unknown, RegExp] => [list, unix ? /list of (hosts|paths)/ : /list of hosts/]),
        ...[...any, ...unix ? paths : hosts].map(([entry, { source }]): [unknown, RegExp] =>
          [[good, entry], new RegExp(`^(hosts|paths)\\[1\\].*${source}`)]),
      ];
      for (const [list, says] of lists) {
        let made: Made | undefined;
        const error = await failure((async () => {
          made = make(list, { password: "hunter2", name: `not-${name}` });
          if (!eager) (made as ShardedHandler).destroy();
          await made;
        })());
        const about = `${inspect(list)}: ${error}`;
        assert.equal(made === undefined, !eager, `thrown or rejected: ${about}`);
        assert.ok(error instanceof TypeError, about);
        assert.deepEqual([(error as any).code, (error as any).outcome], ["INVALID_ARGUMENT", "not-sent"], about);
        assert.match(error.message, says, about);
        assert.ok(!inspect(error, { showHidden: true, depth: 9 }).includes("hunter2"), about);
      }
      assert.deepEqual(await connectionsNamed(`not-${name}`), [0, 0, 0, 0]);
    });

    if (eager) {
      test(`${name} rejects when one of the servers is down, and leaves no connection to the others`, async () => {
        const gone = unix ? `${shards[0]!.path}.none` : `127.0.0.1:${await freePort()}`;
        const error = await failure((async () => make([...places(), gone], { name: "in-vain" }))());
        assert.ok(error instanceof ConnectionError, String(error));
        assert.equal(error.outcome, "not-sent");
        assert.ok(error.message.includes(gone), error.message);
        await until(async () => (await connectionsNamed("in-vain")).every((count) => count === 0),
          "nobody to be connected");
      });
    }
  }

  test("takes strings, URLs and objects, and names all of them the same way", () => {
    const hosts: [host: Hosts[number], name: string][] = [
      ["10.0.0.1:6379", "10.0.0.1:6379"], ["[::1]:6379", "[::1]:6379"], ["redis.example:1", "redis.example:1"],
      ["redis://10.0.0.2", "10.0.0.2:6379"], ["rediss://u:p@10.0.0.3:7000/5", "10.0.0.3:7000"],
      [new URL("valkey://[::1]:6380"), "[::1]:6380"], [new URL("redis://10.0.0.4"), "10.0.0.4:6379"],
      ["unix:///tmp/a.sock", "/tmp/a.sock"], [{ path: "/tmp/b.sock" }, "/tmp/b.sock"],
      [{ host: "10.0.0.5" }, "10.0.0.5:6379"],
      [{ host: "::1", port: 7001, weight: 2 }, "[::1]:7001"], [{ port: 7002, weight: 0.5 }, "localhost:7002"],
      [{ host: "10.0.0.6", port: 1, password: "p", weight: 0 }, "10.0.0.6:1"],
    ];
    placing(hosts.map(([host]) => host), {}, (db) => {
      assert.deepEqual(nodeNames(db), hosts.map(([, name]) => name));
    });
  });

  test("an IPv6 address is connected to without its brackets", async () => {
    const { connect } = world;
    const asked: unknown[] = [];
    world.connect = (config, receive) => {
      asked.push([config.host, config.port]);
      return connect(config, receive);
    };
    try {
      placing(["[::1]:6379", { host: "::1", port: 6380 }, "redis://[::1]:6381"], {}, () => {});
    } finally {
      world.connect = connect;
    }
    assert.deepEqual(asked, [["::1", 6379], ["::1", 6380], ["::1", 6381]]);
  });

  test("what a host says of itself goes before what the options say of all", async () => {
    await shards[1]!.call("ACL", "SETUSER", "own", "on", ">hunter2", "~*", "+@all");
    const [first, second, third] = addresses() as [string, string, string];
    const db = await shardedConnection(
      [first, `redis://own:hunter2@${second}/3?name=own`, { host: "127.0.0.1", port: shards[2]!.port, dbid: 4 }],
      { dbid: 2, name: "common" },
    );
    const wanted = [[first, 2, "common", "default"], [second, 3, "own", "own"], [third, 4, "common", "default"]] as const;
    for (const [node, dbid, name, user] of wanted) {
      const lines: string = await db.shards().get(node)!.clientList();
      assert.ok(lines.split("\n").some((line) => line.includes(` name=${name} `) && line.includes(` db=${dbid} `)
        && (isOld() || line.includes(` user=${user} `))), lines);
    }
    await db.disconnect();
    await shards[1]!.call("ACL", "DELUSER", "own");
  });

  test("a placement that is none is a TypeError that names it, and so is a weight that the placement cannot heed",
    async () => {
    const weighted = [{ host: "a", port: 1, weight: 2 }, "b:1"];
    const wrong: [hosts: any, options: any, says: RegExp][] = [
      [["a:1"], { placement: "ring" }, /placement/], [["a:1"], { placement: 3 }, /placement/],
      [["a:1"], { placement: null }, /placement/],
      [weighted, { placement: "txredisapi" }, /weight/], [weighted, { placement: "rediscluster" }, /weight/],
      [[{ host: "a", port: 1, weight: 0 }, { host: "b", port: 1, weight: 0 }], {}, /weight/],
      [["a:1"], { placment: "rendezvous" }, /"placment"/], [["a:1"], { poolsize: 0 }, /poolsize/],
      [["a:1"], null, /options/],
    ];
    for (const [hosts, options, says] of wrong) {
      assert.throws(() => lazyShardedConnection(hosts, options),
        (error) => error instanceof TypeError && says.test(error.message));
      await assert.rejects(shardedConnection(hosts, options),
        (error) => error instanceof TypeError && says.test(error.message));
    }
  });

  test("what is for all nodes is refused in an entry, which the error names", async () => {
    const common = { charset: null, convertNumbers: true, replyTimeout: 100, readFrom: "any" } as const;
    for (const [name, value] of Object.entries(common)) {
      for (const list of [["a:1", { host: "b", port: 2, [name]: value }], [{ host: "b", port: 2, [name]: value }]] as any[]) {
        const says = new RegExp(`^hosts\\[${list.length - 1}\\].*\\b${name}\\b`);
        assert.throws(() => lazyShardedConnection(list), (error: any) =>
          error instanceof TypeError && (error as any).code === "INVALID_ARGUMENT" && says.test(error.message), name);
        const error = await placing(["a:1"], {}, (db) => failure((async () => db.setHosts(list))()));
        assert.ok(error instanceof TypeError && says.test(error.message), String(error));
      }
      placing(["a:1", "b:2"], { [name]: value }, () => {});
    }
  });

  test("ready() waits for every server, and rejects while one of them is down", async () => {
    const late = await RedisServer.start();
    await late.kill();
    const db = lazyShardedConnection([...addresses(), `127.0.0.1:${late.port}`]);
    try {
      const error = await failure(db.ready());
      assert.ok(error instanceof ConnectionError, String(error));
      assert.ok(error.message.includes(String(late.port)), error.message);
      await late.restart();
      await until(() => db.ready().then((ready) => ready === db, () => false), "the handler to be ready");
    } finally {
      db.destroy();
      await late.stop();
    }
    assert.equal((await failure(db.ready())).code, "CLOSED");
  });

  test("disconnect() lets what is pending on every server finish, and leaves no connection", () =>
    withShards({ name: "drained" }, async (db) => {
      const keys = keyOnEach(db);
      const calls = Array.from({ length: 4_000 }, (_, i) => db.incr(keys[i % 4]!));
      const closing = db.disconnect();
      const late = await failure(db.incr(keys[0]!));
      assert.deepEqual([late.code, late.outcome], ["CLOSED", "not-sent"]);
      await closing;
      assert.deepEqual((await Promise.all(calls)).slice(-4), [1_000, 1_000, 1_000, 1_000]);
      await until(async () => (await connectionsNamed("drained")).every((count) => count === 0),
        "nobody to be connected");
      await db.disconnect();
      await db[Symbol.asyncDispose]();
      db.destroy();
    }));

  test("destroy() ends at once: what was written is unknown, what was not is not-sent", () =>
    withShards({ name: "destroyed" }, async (db) => {
      const [key, other] = keyOnEach(db) as [string, string];
      await shards[0]!.call("CLIENT", "PAUSE", "60000", "WRITE");
      const written = failure(db.incr(key));
      await new Promise(setImmediate);
      const waiting = failure(db.incr(other));
      db.destroy();
      await shards[0]!.call("CLIENT", "UNPAUSE");
      assert.deepEqual([(await written).code, (await written).outcome], ["CLOSED", "unknown"]);
      assert.deepEqual([(await waiting).code, (await waiting).outcome], ["CLOSED", "not-sent"]);
      await until(async () => (await connectionsNamed("destroyed")).every((count) => count === 0),
        "nobody to be connected");
    }));

  test("a handler shows the state of each of its servers, and no secret", async () => {
    await onEach("ACL", "SETUSER", "hidden", "on", ">hunter2", "~*", "+@all");
    const gone = `127.0.0.1:${await freePort()}`;
    const hosts = [...addresses().map((address) => `redis://hidden:hunter2@${address}`), `redis://:hunter2@${gone}`];
    const db = lazyShardedConnection(hosts, { password: "hunter2", username: "hidden" });
    try {
      await failure(db.ready());
      await Promise.all(addresses().map((node) => db.shards().get(node)!.ready()));
      const shown = inspect(db);
      assert.match(shown, /^ShardedHandler </);
      for (const node of addresses()) assert.match(shown, new RegExp(`${node} [^|]*1 open;`));
      assert.match(shown, new RegExp(`${gone} [^|]*1 (opening|resting);`));
      const inDepth = inspect(db, { showHidden: true, depth: Infinity, showProxy: true });
      for (const text of [inDepth, JSON.stringify(db), String(db)]) {
        assert.doesNotMatch(text, /hunter2/);
      }
    } finally {
      await db.disconnect();
    }
    assert.match(inspect(db), /closed/);
    await onEach("ACL", "DELUSER", "hidden");
  });

  test("with() gives the same handler with other options for the calls made through it",
    () => withShards({}, async (db) => {
    const keys = keyOnEach(db);
    await db.mset(...keys.map((key, i) => [key, i]));
    const bytes: ShardedHandler<Buffer> = db.with({ charset: null });
    assert.ok(bytes instanceof ShardedHandler);
    assert.deepEqual(await bytes.mget(keys), ["0", "1", "2", "3"].map((text) => Buffer.from(text)));
    assert.deepEqual(await db.with({ convertNumbers: true }).mget(keys), [0, 1, 2, 3]);
    assert.deepEqual(await bytes.shard(keys[3]!).get(keys[3]!), Buffer.from("3"));
    assert.equal(bytes.nodeFor(keys[1]!), db.nodeFor(keys[1]!));
    const abort = new AbortController();
    abort.abort();
    for (const call of [(on: typeof db) => on.get(keys[0]!), (on: typeof db) => on.mget(keys)]) {
      const error = await failure(call(db.with({ signal: abort.signal })));
      assert.deepEqual([error.code, error.outcome], ["ABORTED", "not-sent"]);
    }
    assert.deepEqual(await db.mget(keys), ["0", "1", "2", "3"]);
  }));

  test("nodeFor(), shard() and shards() tell where a key lives, and give that server's own handler", () =>
    withShards({}, async (db) => {
      assert.deepEqual(nodeNames(db), addresses());
      for (const key of keyOnEach(db)) {
        const own = db.shard(key);
        assert.ok(!(own instanceof ShardedHandler));
        await own.set(key, "own");
        assert.equal(await serverOf(db.nodeFor(key)).call("GET", key), "own");
        assert.deepEqual(await (await own.multi(key)).discard(), "OK");
        const queued = await own.transaction([key], async (t) => (await t.multi()).append(key, "ed"));
        assert.deepEqual(queued, [5]);
        assert.deepEqual(await own.pipeline().get(key).del(key).commit(), ["owned", 1]);
        assert.deepEqual(await db.shards().get(db.nodeFor(key))!.keys("*"), []);
      }
      for (const none of [undefined, null, true, {}]) {
        assert.throws(() => db.nodeFor(none as any), TypeError);
        assert.throws(() => db.shard(none as any), TypeError);
      }
    }));
});

// What follows is written from the originals' rules, and knows nothing of the driver. Bytes are in strings, one a unit.


// ---- The same calls on four servers and on one ----

/** A key of each kind; what it is called on the servers is another matter. */
const contents = {
  none: [],
  s1: ["SADD", "a", "b", "c", "\xff\0\xfe", "\xc3"], s2: ["SADD", "b", "c", "d", "\xff\0\xfe"], s3: ["SADD", "c"],
  s4: ["SADD", "1", "2", "3"],
  s5: ["SADD", "only"], z1: ["ZADD", "1", "a", "2", "b", "3", "c", "4", "\xff\0"],
  z2: ["ZADD", "10", "b", "20", "c", "inf", "d", "1.5", "\xff\0"],
  z3: ["ZADD", "0.5", "c"], z4: ["ZADD", "0", "a", "0", "b", "0", "c", "0", "d"], p1: ["PFADD", "a", "b", "c"],
  p2: ["PFADD", "c", "d", "e"],
  p3: ["PFADD", "\xff"], t1: ["SET", "ohmytext"], t2: ["SET", "mynewtext"], t3: ["SET", "\xff\x0f\0\r\n"],
  t4: ["SET", "\x0f\xff\x01"],
  l1: ["RPUSH", "x", "y", "\xff\0", "z"], l2: ["RPUSH", "1"], h1: ["HSET", "f", "v", "g", "\xff\0"],
  x1: ["XADD", "1-1", "f", "v"],
  g1: ["GEOADD", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"],
  // These have a time to live; the last one has bytes for a name that are no text.
  es: ["SADD", "old", "a"], ez: ["ZADD", "7", "old"], et: ["SET", "old"], el: ["RPUSH", "old"], eh: ["HSET", "old", "1"],
  ex: ["XADD", "2-1", "old", "1"], "\xffb": ["SADD", "b", "\xfe"],
} as const;
type Name = keyof typeof contents;
type Keys = Record<Name, Key>;
const names = Object.keys(contents) as Name[];
const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");

/** Puts into an empty server those of the keys that live there. */
const fill = (db: Handler, stored: Keys, here: (name: Name) => boolean): Promise<unknown> =>
  Promise.all(names.filter(here).flatMap((name) => {
    const [command, ...words] = contents[name] as readonly string[];
    if (command === undefined) return [];
    const filled = db.call(command, stored[name], ...words.map(bytesOf));
    return name.startsWith("e") ? [filled, db.pexpire(stored[name], 1_090_000)] : [filled];
  }));

/** All that a server holds: [key, type, value, whether it has about the time to live of `fill`], sorted by key. */
async function held(latin: Handler): Promise<unknown[]> {
  const byType: Record<string, (key: Key) => Promise<unknown>> = {
    string: (key) => latin.get(key), list: (key) => latin.lrange(key, 0, -1),
    set: async (key) => (await latin.smembers(key)).sort(), zset: (key) => latin.zrange(key, 0, -1, { WITHSCORES: true }),
    hash: async (key) => Object.entries(await latin.hgetall(key)).sort(), stream: (key) => latin.xrange(key, "-", "+"),
  };
  const keys = (await latin.keys("*")).sort();
  return Promise.all(keys.map(async (key) => {
    const type = await latin.type(bytesOf(key));
    const [value, ttl] = await Promise.all([byType[type]!(bytesOf(key)), latin.pttl(bytesOf(key))]);
    return [key, type, value, Math.floor(ttl / 100_000)];
  }));
}

/** What became of a call: its reply, or what its error says. */
async function fate(call: Promise<unknown>): Promise<unknown> {
  try {
    return { reply: await call };
  } catch (error) {
    const { name, code, outcome, command, message } = error as RedisError;
    // It may be a step of ours that failed. A server that does not know the command repeats its arguments.
    const said = message.replace(/^([A-Z]+: )+/, "").replace(/(unknown command).*/s, "$1");
    return { name, code, command, said, changed: outcome === "unknown" };
  }
}

const sorted = async <T>(reply: Promise<T[]>): Promise<T[]> => (await reply).sort();

type Case = (db: Handler, k: Keys) => Promise<unknown>;

// Each is run with its keys on four servers, and with the same keys on one. What it does must be the same.
const together: Case[] = [
  // Sets.
  (db, k) => sorted(db.sinter(k.s1, k.s2)),
  (db, k) => sorted(db.sinter([k.s1, [k.s2] as any], k["\xffb"])),
  (db, k) => sorted(db.sinter(k.s1)),
  (db, k) => sorted(db.sinter(k.s1, k.none)),
  (db, k) => sorted(db.sinter(k.s1, k.s1, k.s2)),
  (db, k) => sorted(db.sinter(k.s1, k.l1)),
  (db, k) => sorted(db.sinter(k.none, k.t1)),
  (db, k) => sorted(db.sunion(k.s1, k.s2, k.s3, k.s4, k.es)),
  (db, k) => sorted(db.sunion(k.none, k.s3)),
  (db, k) => sorted(db.sunion(k.s1, k.z1)),
  (db, k) => sorted(db.sdiff(k.s1, k.s2, k.s3)),
  (db, k) => sorted(db.sdiff(k.s2, k.s1)),
  (db, k) => sorted(db.sdiff(k.none, k.s1)),
  (db, k) => sorted(db.sdiff(k.s1, k.none, k["\xffb"])),
  (db, k) => sorted(db.sdiff(k.s1, k.s1)),
  (db, k) => db.sintercard(2, [k.s1, k.s2]),
  (db, k) => db.sintercard(2, [k.s1, k.s2], { LIMIT: 2 }),
  (db, k) => db.sintercard(3, [k.s1, k.s2, k.none]),
  (db, k) => db.sintercard(5, [k.s1, k.s2]),
  (db, k) => db.sintercard(2, [k.s1, k.h1]),
  (db, k) => db.sinterstore(k.none, k.s1, k.s2),
  (db, k) => db.sinterstore(k.es, k.s1, k.s2),
  (db, k) => db.sinterstore(k.l1, [k.s1, k.s2]),
  (db, k) => db.sinterstore(k.es, k.s1, k.none),
  (db, k) => db.sinterstore(k.h1, k.s3, k.s4),
  (db, k) => db.sinterstore(k.s1, k.s1, k.s2),
  (db, k) => db.sinterstore(k.s1, k.s2, k.s1, k.s1),
  (db, k) => db.sinterstore(k.es, k.s1, k.l1),
  (db, k) => db.sinterstore(k["\xffb"], k.s1, k["\xffb"]),
  (db, k) => db.sunionstore(k.none, k.s1, k.s2, k.es),
  (db, k) => db.sunionstore(k.s3, k.s1, k.s2),
  (db, k) => db.sunionstore(k.t1, k.none),
  (db, k) => db.sunionstore(k.et, k["\xffb"], k.s4),
  (db, k) => db.sunionstore(k.es, k.es, k.s1),
  (db, k) => db.sunionstore(k.es, k.s1, k.t1),
  (db, k) => db.sdiffstore(k.none, k.s1, k.s2),
  (db, k) => db.sdiffstore(k.s2, k.s1, k.s2),
  (db, k) => db.sdiffstore(k.s3, k.s3, k.s1),
  (db, k) => db.sdiffstore(k.ez, k.none, k.s1),
  (db, k) => db.sdiffstore(k.s1, k.s1, k.z1),
  // Sorted sets.
  (db, k) => db.zinter(2, [k.z1, k.z2]),
  (db, k) => db.zinter(2, [k.z1, k.z2], { WITHSCORES: true }),
  (db, k) => db.zinter(3, [k.z1, k.z2, k.s1], { WEIGHTS: [2, 3, 0.5], AGGREGATE: "MAX", WITHSCORES: true }),
  (db, k) => db.zinter(2, [k.z1, k.none]),
  (db, k) => db.zinter(2, [k.z1, k.l1]),
  (db, k) => db.zunion(2, [k.z1, k.z2], { WITHSCORES: true }),
  (db, k) => db.zunion(3, [k.z1, k.z1, k.z3], { AGGREGATE: "MIN", WITHSCORES: true }),
  (db, k) => db.zunion(2, [k.s1, k["\xffb"]], { WITHSCORES: true }),
  (db, k) => db.zunion(2, [k.none, k.z3]),
  (db, k) => db.zunion(5, [k.z1, k.z2]),
  (db, k) => db.zdiff(2, [k.z1, k.z3], { WITHSCORES: true }),
  (db, k) => db.zdiff(3, [k.z4, k.z1, k.s3]),
  (db, k) => db.zdiff(2, [k.none, k.z1]),
  (db, k) => db.zintercard(2, [k.z1, k.z2]),
  (db, k) => db.zintercard(2, [k.z1, k.z2], { LIMIT: 1 }),
  (db, k) => db.zintercard(2, [k.z1, k.h1]),
  (db, k) => db.zinterstore(k.none, 2, [k.z1, k.z2]),
  (db, k) => db.zinterstore(k.ez, 2, [k.z1, k.z2], { WEIGHTS: [1, 0] }),
  (db, k) => db.zinterstore(k.z1, 2, [k.z1, k.s2], { AGGREGATE: "MIN" }),
  (db, k) => db.zinterstore(k.l1, 2, [k.z1, k.none]),
  (db, k) => db.zinterstore(k.el, 1, [k.t1]),
  (db, k) => db.zunionstore(k.none, 3, [k.z1, k.z2, k.z3], { WEIGHTS: [1, 10, 100] }),
  (db, k) => db.zunionstore(k.z3, 2, [k.z3, k.z1]),
  (db, k) => db.zunionstore(k.eh, 2, [k.none, k.none]),
  (db, k) => db.zunionstore(k.et, 1, [k["\xffb"]]),
  (db, k) => db.zunionstore(k.z3, 2, [k.z1, k.z2], { WEIGHTS: [1] }),
  (db, k) => db.zdiffstore(k.none, 2, [k.z4, k.z1]),
  (db, k) => db.zdiffstore(k.z1, 2, [k.z1, k.z4]),
  (db, k) => db.zdiffstore(k.ez, 2, [k.z3, k.z1]),
  (db, k) => db.zrangestore(k.none, k.z1, 0, -1),
  (db, k) => db.zrangestore(k.ez, k.z1, "(1", "inf", { BYSCORE: true, LIMIT: [0, 2] }),
  (db, k) => db.zrangestore(k.l1, k.z4, "[b", "(d", { BYLEX: true }),
  (db, k) => db.zrangestore(k.t1, k.none, 0, -1),
  (db, k) => db.zrangestore(k.ez, k.z1, 5, 9),
  (db, k) => db.zrangestore(k.z2, k.s1, 0, -1),
  (db, k) => db.geosearchstore(k.none, k.g1, { FROMLONLAT: [15, 37], BYRADIUS: [100, "km"] } as any),
  (db, k) => db.geosearchstore(k.es, k.g1, { FROMMEMBER: "Palermo", BYBOX: [400, 400, "km"], STOREDIST: true } as any),
  (db, k) => db.geosearchstore(k.ez, k.none, { FROMLONLAT: [15, 37], BYRADIUS: [1, "km"] } as any),
  (db, k) => db.geosearchstore(k.ez, k.g1, { FROMMEMBER: "Rome", BYRADIUS: [1, "km"] } as any),
  (db, k) => db.geosearchstore(k.ez, k.t1, { FROMLONLAT: [15, 37], BYRADIUS: [1, "km"] } as any),
  // Strings and HyperLogLogs.
  (db, k) => db.pfcount(k.p1, k.p2, k.p3),
  (db, k) => db.pfcount([k.p1, k.p1, k.none]),
  (db, k) => db.pfcount(k.none),
  (db, k) => db.pfcount(k.p1, k.t1),
  (db, k) => db.pfcount(k.p1, k.s1),
  (db, k) => db.pfmerge(k.none, k.p1, k.p2),
  (db, k) => db.pfmerge(k.p1, k.p2, k.p3).then(() => db.pfcount(k.p1)),
  (db, k) => db.pfmerge(k.p1, k.none),
  (db, k) => db.pfmerge(k.p1, k.p1, k.p2),
  (db, k) => db.pfmerge(k.s1, k.p2),
  (db, k) => db.pfmerge(k.p1, k.t1),
  (db, k) => db.bitop("AND", k.none, k.t3, k.t4),
  (db, k) => db.bitop("OR", k.et, k.t1, k.t3, k.none),
  (db, k) => db.bitop("XOR", k.t3, [k.t3, k.t4]),
  (db, k) => db.bitop("XOR", k.l1, k.t3, k.t3),
  (db, k) => db.bitop("NOT", k.t1, k.t4),
  (db, k) => db.bitop("NOT", k.t1, k.t4, k.t3),
  (db, k) => db.bitop("AND", k.es, k.none),
  (db, k) => db.bitop("AND", k.et, k.t1, k.l1),
  (db, k) => db.lcs(k.t1, k.t2),
  (db, k) => db.lcs(k.t1, k.t2, { LEN: true }),
  (db, k) => db.lcs(k.t1, k.t2, { IDX: true, MINMATCHLEN: 2, WITHMATCHLEN: true }),
  (db, k) => db.lcs(k.none, k.t2),
  // The same by their names.
  (db, k) => sorted(db.call<string[]>("sinter", k.s1, k.s2)),
  (db, k) => db.call("ZUNIONSTORE", k.none, 2, k.z1, k.z2, "AGGREGATE", "max"),
  (db, k) => db.call("bitop", "or", k.none, k.t3, k.t4),
];

const moved: Case[] = [
  // Every type, with a time to live and without.
  ...names.map((name): Case => (db, k) => db.rename(k[name], k.t2)),
  ...names.map((name): Case => (db, k) => db.renamenx(k[name], k.none)),
  (db, k) => db.rename(k.es, k.none),
  (db, k) => db.rename(k.t1, k.et),
  (db, k) => db.rename(k.none, k.t1),
  (db, k) => db.rename(k.none, k.none),
  (db, k) => db.rename(k.es, k.es),
  (db, k) => db.rename(k["\xffb"], k.el),
  (db, k) => db.rename(k.et, k["\xffb"]),
  (db, k) => db.renamenx(k.t1, k.s1),
  (db, k) => db.renamenx(k.es, k.es),
  (db, k) => db.renamenx(k.none, k.t1),
  // SMOVE.
  (db, k) => db.smove(k.s1, k.s2, "a"),
  (db, k) => db.smove(k.s1, k.s2, "b"),
  (db, k) => db.smove(k.s1, k.s2, "no member"),
  (db, k) => db.smove(k.s1, k.s2, bytesOf("\xff\0\xfe")),
  (db, k) => db.smove(k.s1, k["\xffb"], bytesOf("\xc3")),
  (db, k) => db.smove(k.s4, k.s1, 2),
  (db, k) => db.smove(k.s5, k.none, "only"),
  (db, k) => db.smove(k.s1, k.none, "no member"),
  (db, k) => db.smove(k.s3, k.es, "c"),
  (db, k) => db.smove(k.none, k.s1, "a"),
  (db, k) => db.smove(k.none, k.l1, "a"),
  (db, k) => db.smove(k.l1, k.s1, "x"),
  (db, k) => db.smove(k.s1, k.l1, "a"),
  (db, k) => db.smove(k.s1, k.l1, "no member"),
  (db, k) => db.smove(k.s1, k.s1, "a"),
  (db, k) => db.smove(k.s1, k.s1, "no member"),
  // MSETNX.
  (db, k) => db.msetnx(k.none, 1),
  (db, k) => db.msetnx(k.none, 1, k.t1, 2, k.t3, 3),
  (db, k) => db.msetnx(k.t1, 1, k.none, 2),
  (db, k) => db.msetnx(k.s1, 1),
  // Elements of lists.
  (db, k) => db.rpoplpush(k.l1, k.l2),
  (db, k) => db.rpoplpush(k.l1, k.none),
  (db, k) => db.rpoplpush(k.l2, k.el),
  (db, k) => db.rpoplpush(k.none, k.l1),
  (db, k) => db.rpoplpush(k.none, k.s1),
  (db, k) => db.rpoplpush(k.l1, k.s1),
  (db, k) => db.rpoplpush(k.l2, k.t1),
  (db, k) => db.rpoplpush(k.s1, k.l1),
  (db, k) => db.rpoplpush(k.l1, k.l1),
  ...(["LEFT", "RIGHT"] as const).flatMap((from) => (["LEFT", "RIGHT"] as const).flatMap((to): Case[] => [
    (db, k) => db.lmove(k.l1, k.l2, from, to),
    (db, k) => db.lmove(k.l1, k.none, from, to),
    (db, k) => db.lmove(k.el, k.l1, from, to),
    (db, k) => db.lmove(k.l1, k.et, from, to),
    (db, k) => db.lmove(k.l2, k.s1, from, to),
    (db, k) => db.lmove(k.none, k.s1, from, to),
    (db, k) => db.lmove(k.h1, k.l1, from, to),
    (db, k) => db.lmove(k.l1, k.l1, from, to),
    (db, k) => db.blmove(k.l1, k.l2, from, to, 5),
    (db, k) => db.blmove(k.l1, k.s1, from, to, 5),
    (db, k) => db.blmove(k.t1, k.l1, from, to, 5),
  ])),
  (db, k) => db.lmove(k.el, k.s1, "LEFT", "LEFT"),
  (db, k) => db.lmove(k.l1, k.l2, "MIDDLE" as any, "LEFT"),
  (db, k) => db.blmove(k.none, k.l1, "LEFT", "RIGHT", 0.01),
  (db, k) => db.brpoplpush(k.l1, k.l2, 5),
  (db, k) => db.brpoplpush(k.l1, k.none, 0),
  (db, k) => db.brpoplpush(k.l1, k.z1, 5),
  (db, k) => db.brpoplpush(k.none, k.l1, 0.01),
  (db, k) => db.brpoplpush(k.none, k.z1, 0.01),
  (db, k) => db.brpoplpush(k.x1, k.l1, 5),
  (db, k) => db.brpoplpush(k.l1, k.l2, -1),
  // Those that are split.
  (db, k) => db.mset(k.t1, 1, k.s1, 2, k.none, 3, k.t1, 4),
  (db, k) => db.mget(k.t1, k.none, k.s1, k.t3, k.t1, [k.t4, k.et]),
  (db, k) => db.del(k.t1, k.none, k.s1, k.t1, k["\xffb"]),
  (db, k) => db.unlink([k.l1, k.h1], k.ex),
  (db, k) => db.exists(k.t1, k.t1, k.none, k["\xffb"]),
  (db, k) => db.touch(k.t1, k.s1, k.none),
  (db, k) => db.dbsize(),
];

const copied: Case[] = [
  ...names.map((name): Case => (db, k) => db.copy(k[name], k.none)),
  ...names.map((name): Case => (db, k) => db.copy(k[name], k.et, { REPLACE: true })),
  (db, k) => db.copy(k.es, k.t1, { REPLACE: true }),
  (db, k) => db.copy(k.t1, k.s1),
  (db, k) => db.copy(k.none, k.t1, { REPLACE: true }),
  (db, k) => db.copy(k.t1, k.t1),
];

/** Runs them on four servers, its keys on the nodes that `place` says, and on one; and compares all that can be seen. */
async function compare(options: Sharding, place: (index: number) => number, cases: readonly Case[]): Promise<void> {
  const observers = shards.map(({ port }) => lazyConnection({ port, charset: "latin1" }) as Handler);
  const differ: unknown[] = [];
  const latin = { charset: "latin1", replyTimeout: 30_000 } as const;
  await withDb({ dbid: 12, ...latin }, (one) => withShards({ ...latin, ...options }, async (sharded) => {
    const nodes = nodeNames(sharded);
    const home = (name: Name): number => place(names.indexOf(name));
    const [asked, stored] = [{}, {}] as [Keys, Keys];
    for (const name of names) {
      const tagged = (i: number): string => options.placement === "rediscluster" ? `${name}{${i}}` : `${name}:${i}`;
      let i = 0;
      while (sharded.nodeFor(bytesOf(tagged(i))) !== nodes[home(name)]) i++;
      asked[name] = name.startsWith("\xff") ? bytesOf(tagged(i)) : tagged(i);
      stored[name] = options.placement === "rediscluster" ? bytesOf(name) : asked[name];
    }
    const names12 = names.map((name) => [Buffer.from(stored[name] as string).toString("latin1"), home(name)] as const);
    for (const run of cases) {
      await Promise.all([one, ...observers].map((db) => db.flushdb()));
      await fill(one, stored, () => true);
      await Promise.all(observers.map((db, node) => fill(db, stored, (name) => home(name) === node)));
      const [told, got] = await Promise.all([fate(run(one, stored)), fate(run(sharded as unknown as Handler, asked))]);
      const expected = await held(one);
      const found = await Promise.all(observers.map(held));
      const where = new Map(names12);
      const wanted = shards.map((_, node) => expected.filter((item) => where.get((item as string[])[0]!) === node));
      try {
        assert.deepEqual({ fate: got, held: found }, { fate: told, held: wanted });
      } catch (error) {
        differ.push(`${run} of ${cases.indexOf(run)}: ${(error as Error).message}`);
      }
    }
    await one.flushdb();
  })).finally(() => observers.forEach((db) => db.destroy()));
  assert.equal(differ.length, 0, `${differ.length} calls differ, first ${differ.slice(0, 10).join("\n\n")}`);
}

describe("commands over shards", () => {
  const arrangements: [says: string, options: Sharding, place: (index: number) => number][] = [
    ["each on another server", {}, (index) => index % 4],
    ["most of them on one server", {}, (index) => index % 5 === 0 ? 2 : 1],
    ["anywhere, through pools in RESP2", { protocol: 2, poolsize: 3 }, (index) => (index * 7 + (index >> 2)) % 4],
    ["placed as by rediscluster, with tags", { placement: "rediscluster" }, (index) => (index * 3 + (index >> 3)) % 4],
  ];
  for (const [says, options, place] of arrangements) {
    test(`do with keys ${says} what they do with the same keys on one`, () => compare(options, place, together));
    test(`move and store, with keys ${says}, as on one`, () => compare(options, place, moved));
    test(`copy, with keys ${says}, as on one`, async (t) => {
      if (isOld()) return skip(t, "COPY is not in Redis 6.0");
      await compare(options, place, copied);
    });
  }

  test("do with all keys on one server what they do there, in one command", () => withShards({}, async (db) => {
    const tagged = Object.fromEntries(names.map((name) => [name, `{same}${name}`])) as Keys;
    const home = serverOf(db.nodeFor("same"));
    await fill(db.shard("same"), tagged, () => true);
    await home.call("CONFIG", "RESETSTAT");
    const calls = [() => db.sinterstore(tagged.none, tagged.s1, tagged.s2), () => db.rename(tagged.none, tagged.s3),
      () => db.rpoplpush(tagged.l1, tagged.l2), () => db.msetnx(tagged.t1, 1, tagged.t2, 2),
      () => db.mget(tagged.t1, tagged.t2),
      () => db.smove(tagged.s1, tagged.s2, "a"), () => db.pfmerge(tagged.p1, tagged.p2),
      () => db.del(tagged.t1, tagged.t2)];
    for (const call of calls) await call();
    const stats: string = await home.call("INFO", "commandstats");
    const counts = [...stats.matchAll(/^cmdstat_(\w+):calls=(\d+)/gm)].map(([, name, count]) => [name, Number(count)]);
    assert.deepEqual(counts.filter(([name]) => name !== "config" && name !== "info").sort(),
      ["del", "mget", "msetnx", "pfmerge", "rename", "rpoplpush", "sinterstore", "smove"].map((name) => [name, 1]));
  }));

  test("of one key go to its server and to no other", () => withShards({}, async (db) => {
    const processed = async (): Promise<number[]> => (await onEach("INFO", "stats"))
      .map((text) => Number(/total_commands_processed:(\d+)/.exec(text)![1]));
    for (const [i, node] of nodeNames(db).entries()) {
      const [text, list, set, zset, hash, stream, channel] = ["text", "list", "set", "zset", "hash", "stream", "channel"]
        .map((name) => keyOn(db, node, name)) as [string, string, string, string, string, string, string];
      const calls: (() => Promise<unknown>)[] = [
        () => db.set(text, "1", { EX: 100 }), () => db.get(Buffer.from(text)), () => db.incr(text), () => db.ttl(text),
        () => db.rpush(list, "a", "b"), () => db.lpop(list), () => db.blpop(list, 1), () => db.sadd(set, "m"),
        () => db.scard(set),
        () => db.zadd(zset, [1, "m"]), () => db.zrange(zset, 0, -1), () => db.hset(hash, { f: "v" }),
        () => db.hgetall(hash),
        () => db.xadd(stream, "*", { f: "v" }), () => db.xread({ STREAMS: [stream, "0"] }), () => db.objectEncoding(text),
        () => db.call("APPEND", text, "0"), () => db.call({ name: "STRLEN", keys: [1, 1, 1], read: true }, text),
        () => db.eval("return redis.call('GET', KEYS[1])", 1, text), () => db.mget(text),
        () => db.publish(channel, "news"),
        () => db.sort(set, { ALPHA: true }), () => db.memoryUsage(text), () => db.xinfoStream(stream),
      ];
      const before = await processed();
      for (const call of calls) await call();
      const after = await processed();
      const grown = after.map((count, at) => count - before[at]! - 1); // that INFO itself
      assert.ok(grown[i]! >= calls.length, String(grown));
      assert.deepEqual(grown.filter((_, at) => at !== i), [0, 0, 0]);
      assert.deepEqual([await db.get(text), await db.ttl(text) > 0, await db.zrange(zset, 0, -1)], ["20", true, ["m"]]);
    }
  }));

  test("MSET, MGET, EXISTS, TOUCH, UNLINK and DEL take 10,000 keys, and answer in the order of the call", async () => {
    const all: Sharding[] = [{}, { poolsize: 3 }, { placement: "txredisapi" }, { placement: "rediscluster" }];
    for (const options of all) {
      await withShards(options, async (db) => {
        const keys = Array.from({ length: 10_000 }, (_, i) => `key:${i}`);
        assert.equal(await db.mset(Object.fromEntries(keys.map((key, i) => [key, i]))), "OK");
        const counts = await onEach("DBSIZE");
        assert.ok(counts.every((count) => count > 1_000), String(counts));
        assert.deepEqual(await db.mget(keys), keys.map((_, i) => String(i)));
        assert.deepEqual(await db.mget(...keys.map((key) => Buffer.from(key)).reverse()),
          keys.map((_, i) => String(9_999 - i)));
        const twice = keys.flatMap((key) => [key, "missing", key]);
        assert.deepEqual(await db.mget(twice), keys.flatMap((_, i) => [String(i), null, String(i)]));
        assert.deepEqual([await db.exists(twice), await db.touch(...keys, "missing")], [20_000, 10_000]);
        assert.equal(await db.unlink(keys.slice(0, 5_000), ["missing", ...keys.slice(0, 5_000)]), 5_000);
        assert.equal(await db.del(...keys), 5_000);
        assert.deepEqual(await onEach("DBSIZE"), [0, 0, 0, 0]);
      });
    }
  });

  test("split ones take their arguments in every form, and give bytes where the handler does",
    () => withShards({}, async (db) => {
    const [a, b, c, d] = keyOnEach(db) as [string, string, string, string];
    const bytes = Buffer.from([0xff, 0, 0xfe, 0x0d, 0x0a]);
    await db.mset(a, 1, { [b]: 2, [c]: bytes }, [[d, "first"], d, 4n]);
    const raw = db.with({ charset: null });
    const replies: (Buffer | null)[] = await raw.mget(d, [c, "missing", [b]] as any, Buffer.from(a));
    assert.deepEqual(replies, [Buffer.from("4"), bytes, null, Buffer.from("2"), Buffer.from("1")]);
    assert.equal(await db.mset({ [a]: undefined, [b]: 5 } as any), "OK");
    assert.deepEqual(await db.mget(a, b), ["1", "5"]);
    const big = Buffer.alloc(100_000, 7);
    await db.mset(...[a, b, c, d].map((key) => [key, big]));
    assert.deepEqual(await raw.mget(a, b, c, d), [big, big, big, big]);
    assert.deepEqual(await db.call("MGET", a, "missing").then((reply: any) => reply[1]), null);
    assert.equal(await db.call<number>("del", a, b, c, d, a), 4);
  }));

  test("with nothing to read or remove answer as on one server", () => withShards({}, async (db) => {
    const names = [...db.shards().keys()];
    assert.deepEqual({ ...await db.info([]) }, Object.fromEntries(names.map((name) => [name, ""])));
    assert.deepEqual({ ...await db.latencyReset([]) }, Object.fromEntries(names.map((name) => [name, 0])));
    assert.deepEqual([await db.mget([]), await db.del([]), await db.sunion([]), await db.scriptExists([])], [[], 0, [], []]);
    assert.deepEqual(await db.pipeline().mget([]).set("a", 1).hmget("h", []).execPipeline(), [[], "OK", []]);
  }));

  test("without a key, or with what cannot be sent, reject and do nothing", () => withShards({}, async (db) => {
    const [a, b] = keyOnEach(db) as [string, string];
    const wrong: (() => Promise<unknown>)[] = [
      () => db.mset(), () => db.mset({}), () => db.mset(a, 1, b), () => db.mset(a),
      () => db.msetnx(a, 1, b), () => db.mset(a, null as any, b, 1), () => db.mget(a, null as any),
      () => db.del(a, undefined as any, b),
      () => (db as any).rename(a), () => (db as any).sinterstore(a), () => (db as any).smove(a, b),
      () => (db as any).rpoplpush(a),
      () => db.rename(a, null as any), () => db.sunionstore(a, b, NaN as any), () => (db as any).zunionstore(a),
      () => (db as any).bitop("AND"),
      () => db.zunionstore(a, NaN as any, [b]), () => db.set(null as any, 1), () => db.zunion(0, [a, b]),
      () => db.zunion(9, [a, b]),
      () => db.zunionstore(a, -1, [b]), () => db.zunionstore(a, "x" as any, [b]), () => db.sintercard(1.5, [a, b]),
    ];
    for (const call of wrong) {
      const error = await failure(soon(call(), String(call)));
      assert.ok(["not-sent", "not-executed"].includes(error.outcome), `${call}: ${inspect(error)}`);
    }
    assert.deepEqual(await onEach("DBSIZE"), [0, 0, 0, 0]);
  }));

  test("keep a time to live to the millisecond when they carry a key to another server",
    () => withShards({}, async (db) => {
    const [from, to] = keyOnEach(db) as [string, string];
    const copies = isOld() ? [] : [() => db.copy(from, to)];
    for (const carry of [() => db.rename(from, to), () => db.renamenx(from, to), ...copies]) {
      for (const ttl of [999_500, 12_345_678_901]) {
        await db.del(from, to);
        const start = performance.now();
        await db.set(from, "value", { PX: ttl });
        await carry();
        const left = await db.pttl(to);
        const passed = performance.now() - start;
        assert.ok(left <= ttl && left >= ttl - passed - 50, `${left} of ${ttl} are left after ${passed} ms`);
        await db.set(from, "value");
        await db.del(to);
        await carry();
        assert.equal(await db.pttl(to), -1);
      }
    }
  }));

  test("carry big values of every type, and what they had stays what it was", () => withShards({}, async (db) => {
    const [from, to] = keyOnEach(db) as [string, string];
    const many = Array.from({ length: 20_000 }, (_, i) => `member:${i}`);
    const big = "x".repeat(5_000_000);
    const values: [put: () => Promise<unknown>, get: (key: string) => Promise<unknown>][] = [
      [() => db.set(from, big), (key) => db.get(key)],
      [() => db.rpush(from, many), (key) => db.lrange(key, 0, -1)],
      [() => db.sadd(from, many), (key) => sorted(db.smembers(key))],
      [() => db.zadd(from, ...many.map((member, i): [number, string] => [i + 0.5, member])),
        (key) => db.zrange(key, 0, -1, { WITHSCORES: true })],
      [() => db.hset(from, many.flatMap((field) => [field, field])), (key) => db.hgetall(key)],
    ];
    for (const [put, get] of values) {
      await put();
      const before = await get(from);
      assert.equal(await db.rename(from, to), "OK");
      assert.deepEqual([await get(to), await db.exists(from)], [before, 0]);
      assert.equal(await db.renamenx(to, from), 1);
      assert.deepEqual(await get(from), before);
      await db.del(from);
    }
    await db.xgroupCreate(from, "group", "0", { MKSTREAM: true });
    await db.xadd(from, "1-1", { f: "v" });
    await db.xreadgroup({ GROUP: ["group", "consumer"], STREAMS: [from, ">"] });
    await db.rename(from, to);
    assert.deepEqual((await db.xpending(to, "group"))[0], 1, "a stream keeps its groups and what they have pending");
  }));

  test("sets and sorted sets of many members meet", () => withShards({}, async (db) => {
    const [first, second, third] = keyOnEach(db) as [string, string, string];
    const members = Array.from({ length: 25_000 }, (_, i) => `member:${i}`);
    await db.sadd(first, members);
    await db.zadd(second, ...members.map((member, i): [number, string] => [i / 2, member]));
    assert.equal(await db.sunionstore(third, first), 25_000);
    assert.equal((await db.sinter(third, first)).length, 25_000);
    assert.equal(await db.zunionstore(third, 2, [second, first], { WEIGHTS: [2, 0] }), 25_000);
    assert.deepEqual(await db.zrange(third, 0, -1, { WITHSCORES: true }), members.map((member, i) => [member, i]));
    assert.deepEqual((await db.keys("*")).sort(), [first, second, third].sort());
  }));

  test("RENAME needs no more than one connection to a server, also when keys go both ways", () =>
    withShards({ replyTimeout: 30_000 }, async (db) => {
      const [a, b] = nodeNames(db) as [string, string];
      const [here, there] = [keysOn(db, a, "here", 40), keysOn(db, b, "there", 40)];
      await db.mset(...[...here.slice(0, 20), ...there.slice(0, 20)].map((key) => [key, key]));
      const swap = (key: string, i: number) => [db.rename(key, there[20 + i]!), db.rename(there[i]!, here[20 + i]!)];
      await Promise.all(here.slice(0, 20).flatMap(swap));
      assert.deepEqual(await db.mget(there.slice(20)), here.slice(0, 20));
      assert.deepEqual(await db.mget(here.slice(20)), there.slice(0, 20));
      assert.equal(await db.dbsize(), 40);
    }));

  test("BRPOPLPUSH and BLMOVE wait for an element, and hold up nobody", () => withShards({ poolsize: 2 }, async (db) => {
    const [from, to] = keyOnEach(db) as [string, string];
    const waits: [wait: () => Promise<string | null>, lists: () => Promise<unknown>][] = [
      [() => db.brpoplpush(from, to, 0), () => db.lrange(to, 0, -1)],
      ...isOld() ? [] : [[() => db.blmove(from, to, "LEFT", "RIGHT", 5), () => db.lrange(to, 0, -1)] as any],
    ];
    for (const [wait, list] of waits) {
      const waiting = wait();
      await until(async () => /blocked_clients:1\r/.test(await serverOf(db.nodeFor(from)).call("INFO", "clients")),
        "it to wait");
      assert.deepEqual(await Promise.all([db.get("other"), db.llen(to)]), [null, 0]);
      await db.rpush(from, "element");
      assert.equal(await waiting, "element");
      assert.deepEqual([await list(), await db.exists(from)], [["element"], 0]);
      await db.del(to);
    }
  }));

  test("RPOPLPUSH by many at once loses and doubles nothing", () => withShards({ poolsize: 3 }, async (db) => {
    const [from, to] = keyOnEach(db) as [string, string];
    const elements = Array.from({ length: 1_000 }, (_, i) => `element:${i}`);
    await db.rpush(from, elements);
    const moves = await Promise.all(Array.from({ length: 1_100 },
      (_, i) => i % 2 ? db.rpoplpush(from, to) : db.lmove(from, to, "LEFT", "LEFT")));
    assert.deepEqual(moves.filter((element) => element !== null).sort(), elements.toSorted());
    assert.deepEqual([await sorted(db.lrange(to, 0, -1)), await db.exists(from)], [elements.toSorted(), 0]);
  }));

  test("RENAME of a key that others write to at the same time loses none of their writes",
    () => withShards({ poolsize: 3 }, async (db) => {
    const [from, to] = keyOnEach(db) as [string, string];
    let acknowledged = 0;
    let over = false;
    const writers = Promise.all(Array.from({ length: 4 }, async () => {
      for (let i = 0; !over; i++) {
        await db.incr(from);
        acknowledged++;
        for (let other = 0; other < 5 + i % 7; other++) await db.get(`other:${other}`); // or it is changed all the time
      }
    }));
    let total = 0;
    let renamed = 0;
    for (let i = 0; i < 50; i++) {
      try {
        await db.rename(from, to);
      } catch (error) {
        // Not there yet, or changed again and again.
        assert.equal((error as RedisError).outcome, "not-executed", inspect(error));
        continue;
      }
      renamed++;
      total += Number(await db.getdel(to));
    }
    over = true;
    await writers;
    assert.equal(total + Number(await db.get(from)), acknowledged);
    assert.ok(renamed > 0);
  }));

  test("MSETNX sets all or none, also when many try at once", () => withShards({}, async (db) => {
    const keys = keyOnEach(db);
    assert.equal(await db.msetnx(...keys.flatMap((key) => [key, "first"])), 1);
    assert.equal(await db.msetnx(...keys.flatMap((key) => [key, "second"]), "another", "second"), 0);
    assert.deepEqual(await db.mget(...keys, "another"), ["first", "first", "first", "first", null]);
    await db.del(keys[2]!);
    assert.equal(await db.msetnx(Object.fromEntries(keys.map((key) => [key, "third"]))), 0);
    assert.deepEqual(await db.mget(keys), ["first", "first", null, "first"]);
  }));

  test("of every server: KEYS, DBSIZE, FLUSHDB, FLUSHALL and RANDOMKEY tell of all as of one",
    () => withShards({}, async (db) => {
    assert.deepEqual([await db.keys("*"), await db.dbsize(), await db.randomkey()], [[], 0, null]);
    for (const key of keyOnEach(db)) {
      await db.set(key, 1);
      for (let i = 0; i < 10; i++) assert.equal(await db.randomkey(), key, "while there is one, it is found");
      await db.del(key);
    }
    const keys = Array.from({ length: 1_000 }, (_, i) => `key:${i}`);
    await db.mset(keys.flatMap((key) => [key, 1]));
    const [random, found] = [await db.randomkey(), await db.keys("*")];
    assert.ok(keys.includes(random!));
    assert.deepEqual([found.sort(), await db.dbsize()], [keys.toSorted(), 1_000]);
    assert.deepEqual((await db.keys("key:99*")).sort(), keys.filter((key) => key.startsWith("key:99")).sort());
    assert.deepEqual(await db.with({ charset: null }).keys("key:7"), [Buffer.from("key:7")]);
    assert.equal(await db.flushdb(), "OK");
    assert.deepEqual(await onEach("DBSIZE"), [0, 0, 0, 0]);
    await db.mset(keys.flatMap((key) => [key, 1]));
    assert.equal(await db.flushall({ ASYNC: true }), "OK");
    assert.equal(await db.dbsize(), 0);
  }));

  test("of every server: scripts are loaded, known and flushed on all of them", () => withShards({}, async (db) => {
    const sha1 = await db.scriptLoad("return KEYS[1]");
    assert.match(sha1, /^[0-9a-f]{40}$/);
    for (const key of keyOnEach(db)) assert.equal(await db.evalsha(sha1, 1, key), key);
    const onOne = await shards[2]!.call("SCRIPT", "LOAD", "return 2");
    assert.deepEqual(await db.scriptExists(sha1, onOne, "0".repeat(40)), [1, 0, 0]);
    assert.equal(await db.scriptFlush(), "OK");
    assert.deepEqual(await db.scriptExists(sha1, onOne), [0, 0]);
    if (isOld()) return;
    const code = "#!lua name=lib\nredis.register_function('own', function(keys) return keys[1] end)";
    assert.equal(await db.functionLoad({ REPLACE: true }, code), "lib");
    for (const key of keyOnEach(db)) assert.equal(await db.fcall("own", 1, key), key);
    assert.equal(await db.functionFlush(), "OK");
  }));

  test("of every server: what each of them says of itself comes by its name",
    () => withShards({ name: "asked" }, async (db) => {
    const each = <T>(reply: T): [string, T][] => Object.entries(reply as object) as [string, any][];
    const ports = shards.map(({ port }) => port);
    const replies = await Promise.all([db.info("server"), db.ping(), db.configGet("port"), db.time(), db.clientList(),
      db.lastsave()] as
      Promise<unknown>[]) as [any, any, any, any, any, any];
    for (const reply of replies) {
      assert.equal(Object.getPrototypeOf(reply), null);
      assert.deepEqual(Object.keys(reply), addresses());
    }
    const [info, ping, config, time, clients, saved] = replies.map(each) as [any, any, any, any, any, any];
    assert.deepEqual(info.map(([, text]: [string, string]) => Number(/tcp_port:(\d+)/.exec(text)![1])), ports);
    assert.deepEqual(ping, addresses().map((node) => [node, "PONG"]));
    assert.deepEqual(config.map(([, { port }]: [string, any]) => Number(port)), ports);
    for (const [, [seconds, microseconds]] of time) assert.ok(seconds > 1.7e9 && microseconds < 1e6, inspect(time));
    for (const [, list] of clients) assert.match(list, / name=asked /);
    for (const [, seconds] of saved) assert.ok(seconds > 1.7e9);
    const key = keyOn(db, addresses()[0]!);
    assert.equal(await db.configSet({ "slowlog-max-len": 77 } as any), "OK");
    assert.deepEqual((await onEach("CONFIG", "GET", "slowlog-max-len")).map(([, length]) => length),
      ["77", "77", "77", "77"]);
    assert.equal((await failure(db.configSet({ "no-such-setting": 1 } as any))).code, "ERR");
    assert.equal(await db.get(key), null);
  }));

  test("of every server: one that refuses is named in the error, beside what the others answered",
    () => withShards({}, async (db) => {
    await shards[1]!.call("ACL", "SETUSER", "default", "-dbsize", "-info");
    try {
      for (const call of [() => db.dbsize(), () => db.info("server")]) {
        const error = await failure(call());
        assert.ok(error instanceof ShardError, inspect(error));
        assert.deepEqual([error.code, error.failures.map(({ node }) => node)], ["NOPERM", [addresses()[1]]]);
        assert.ok(error.failures[0]!.error instanceof ReplyError);
        assert.deepEqual(error.done.map(({ node }) => node).sort(), addresses().filter((_, i) => i !== 1).sort());
        assert.equal(error.outcome, error.command === "DBSIZE" ? "not-executed" : "unknown", "a read changes nothing");
      }
    } finally {
      await shards[1]!.call("ACL", "SETUSER", "default", "+@all");
    }
  }));
});

/** How many commands each server has been given until now, this question not counted. */
const commandsGiven = async (): Promise<number[]> => (await onEach("INFO", "stats"))
  .map((text) => Number(/total_commands_processed:(\d+)/.exec(text)![1]));
/** Runs `use`, and tells how many commands it cost each server. */
async function costOf(use: () => Promise<unknown>): Promise<number[]> {
  const before = await commandsGiven();
  await use();
  return (await commandsGiven()).map((count, i) => count - before[i]! - 1); // the question itself
}

describe("what cannot be sharded", () => {
  const refusal = async (call: () => unknown, command: string): Promise<NotSupportedError> => {
    const made = (async () => call())();
    assert.ok(await settledAtOnce(made), `${command} is not answered at once`);
    const error = await failure(made);
    assert.ok(error instanceof NotSupportedError, `${command}: ${inspect(error)}`);
    assert.deepEqual([error.code, error.outcome, error.command], ["NOT_SUPPORTED", "not-sent", command]);
    assert.ok(error.message.startsWith(`${command}: `), error.message);
    return error;
  };

  test("is every command that shardedMethods does not name: it rejects at once, is named, and nothing is sent", () =>
    withShards({}, async (db) => {
      const methods = new Set(db.shardedMethods);
      const refused = rows.filter(([method]) => !methods.has(method));
      assert.ok(refused.length > 50 && refused.length < 250, String(refused.length));
      const cost = await costOf(async () => {
        for (const [method, row] of refused) {
          const [args] = samples[method]!;
          const [name, ...words] = row.name.text.split(" ") as [string, ...string[]];
          await refusal(() => db.call(name, ...words, ...args), row.name.text);
          const isOwn = /^[ps]?subscribe$|^watch$/.test(method); // has a method of its own
          if (!isOwn) await refusal(() => (db as any)[method](...args), row.name.text);
        }
      });
      assert.deepEqual(cost, [0, 0, 0, 0]);
    }));

  test("shardedMethods has each command once, none that changes a connection, and all that have one key", () =>
    withShards({}, async (db) => {
      const methods = db.shardedMethods;
      assert.equal(new Set(methods).size, methods.length);
      const byName = new Map(rows);
      for (const method of methods) assert.equal(byName.get(method)!.instead, undefined, method);
      for (const [method, row] of rows) {
        if (row.instead === undefined && String(row.keys) === "1,1,1") assert.ok(methods.includes(method), method);
      }
      const named = ["mget", "mset", "del", "unlink", "exists", "touch", "sinter", "sunionstore", "zunion", "pfmerge",
        "bitop", "rename", "copy", "smove", "msetnx", "lmove", "brpoplpush", "keys", "dbsize", "flushall", "scriptLoad",
        "randomkey", "info", "ping", "configGet", "time", "clientList", "publish", "eval", "blpop", "xread"];
      for (const method of named) assert.ok(methods.includes(method), method);
      for (const method of ["scan", "multi", "exec", "watch", "select", "subscribe", "wait", "monitor"]) {
        assert.ok(!methods.includes(method), method);
      }
      assert.deepEqual(placing(["127.0.0.1:1"], { placement: "rediscluster" }, (other) => other.shardedMethods), methods);
    }));

  test("MULTI without keys and monitor() are the shards' own", () => withShards({}, async (db) => {
    const any = db as any;
    const [a, b] = keyOnEach(db) as [string, string];
    const cost = await costOf(async () => {
      await refusal(() => any.multi(), "MULTI");
      await refusal(() => any.multi(a, b), "WATCH");
      await refusal(() => any.watch(a, b), "WATCH");
      await refusal(() => any.transaction([a, b], () => {}), "WATCH");
      assert.match((await refusal(() => any.transaction([], () => {}), "TRANSACTION")).message, /shard\(key\)/);
      await refusal(() => any.multi([]), "MULTI");
      await refusal(() => any.exec(), "EXEC");
      await refusal(() => any.monitor(), "MONITOR");
      await refusal(() => any.scan(0), "SCAN");
      await refusal(() => any.select(1), "SELECT");
      for (const name of ["MULTI", "EXEC", "WATCH", "UNWATCH", "DISCARD", "SUBSCRIBE", "MONITOR", "SCAN"]) {
        await refusal(() => db.call(name, "0"), name);
      }
      assert.match((await refusal(() => any.watch(a, b), "WATCH")).message, /shard/, "it says what does it");
    });
    assert.deepEqual(cost, [0, 0, 0, 0]);
    const t = await db.shard(a).multi();
    await t.set(a, 1);
    assert.deepEqual(await t.commit(), ["OK"]);
  }));

  test("is a command whose keys are on different servers, unless there is a way; on one server it works", () =>
    withShards({}, async (db) => {
      const [a, b] = keyOnEach(db) as [string, string];
      const [c, d] = keysOn(db, nodeNames(db)[2]!, "c", 2) as [string, string];
      const calls: [name: string, call: (first: string, second: string) => unknown, reply: unknown][] = [
        ["BLPOP", (k, l) => db.blpop(k, l, 0.01), null],
        ["BRPOP", (k, l) => db.brpop([k, l], 0.01), null],
        ["BZPOPMIN", (k, l) => db.bzpopmin(k, l, 0.01), null],
        ["XREAD", (k, l) => db.xread({ STREAMS: [[k, l], ["0", "0"]] }), null],
        ["XREAD", (k, l) => db.xread({ BLOCK: 1, STREAMS: [[k, l], ["$", "$"]] }), null],
        ["EVAL", (k, l) => db.eval("return #KEYS", 2, k, l), 2],
        ["SORT", (k, l) => db.sort(k, { STORE: l }), 0],
        ["GEORADIUS", (k, l) => db.georadius(k, 15, 37, 1, "km", { STORE: l }), 0],
        ["MYCOMMAND", (k, l) => db.call({ name: "MYCOMMAND", keys: [1, 2, 1] }, k, l), undefined],
        ...isOld() ? [] : [
          ["LMPOP", (k, l) => db.lmpop(2, k, l, "LEFT"), null],
          ["ZMPOP", (k, l) => db.call("ZMPOP", 2, k, l, "MIN"), null],
          ["BLMPOP", (k, l) => db.call("BLMPOP", 0.01, 2, k, l, "LEFT"), null],
          ["EVAL_RO", (k, l) => db.eval_ro("return #KEYS", 2, k, l), 2],
        ] satisfies [string, (k: string, l: string) => unknown, unknown][],
      ];
      const cost = await costOf(async () => {
        for (const [name, call] of calls) await refusal(() => call(a, b), name);
        await refusal(() => db.eval("return 1", 0), "EVAL");
        await refusal(() => db.evalsha("0".repeat(40), 0), "EVALSHA");
      });
      assert.deepEqual(cost, [0, 0, 0, 0]);
      for (const [name, call, reply] of calls) {
        if (reply === undefined) assert.match((await failure(call(c, d) as Promise<unknown>)).message, /unknown command/);
        else assert.deepEqual(await call(c, d), reply, name);
      }
    }));

  test("is a sort by keys that only its patterns name, alone and in a pipeline; without such patterns it works", () =>
    withShards({}, async (db) => {
      const list = keyOn(db, addresses()[1]!, "list");
      await db.rpush(list, 2, 1);
      const reads = isOld() ? [] : ["sort_ro"] as const;
      for (const name of ["sort", ...reads] as const) {
        const cost = await costOf(async () => {
          for (const options of [{ BY: "w_*" }, { GET: "*" }, { BY: "nosort", GET: "w_*->f" }] as any[]) {
            await refusal(() => db[name](list, options), name.toUpperCase());
            assert.throws(() => db.pipeline()[name](list, options), NotSupportedError);
          }
        });
        assert.deepEqual(cost, [0, 0, 0, 0]);
        assert.deepEqual([await db[name](list), await db[name](list, { BY: "nosort", GET: "#" })], [["1", "2"], ["2", "1"]]);
      }
    }));

  test("a script runs where its keys are, is loaded where it is not known, and cannot be without a key", () =>
    withShards({}, async (db) => {
      const add = script<number>("return redis.call('INCRBY', KEYS[1], ARGV[1])", { keys: 1 });
      const sum = script<number>("return redis.call('GET', KEYS[1]) + redis.call('GET', KEYS[2])",
        { keys: 2, readonly: !isOld() });
      for (const node of nodeNames(db)) {
        const [key, other] = keysOn(db, node, "counter", 2) as [string, string];
        assert.deepEqual([await add(db, key, 5), await add(db, other, 2), await sum(db, key, other)], [5, 2, 7]);
        assert.deepEqual(await add(db.pipeline().get(key), key, 1).execPipeline(), ["5", 6]);
      }
      const [a, b] = keyOnEach(db) as [string, string];
      await refusal(() => script("return 1")(db), "EVALSHA");
      const command = isOld() ? "EVALSHA" : "EVALSHA_RO";
      await refusal(() => sum(db, a, b), command);
    }));

  test("what a pipeline cannot hold throws at once, and what was gathered stays", () => withShards({}, async (db) => {
    const [a, b] = keyOnEach(db) as [string, string];
    const p = db.pipeline().set(a, 1) as any;
    const wrong: [command: string, call: () => unknown][] = [
      ["SINTER", () => p.sinter(a, b)], ["RENAME", () => p.rename(a, b)], ["SMOVE", () => p.smove(a, b, "m")],
      ["MSETNX", () => p.msetnx(a, 1, b, 2)], ["RPOPLPUSH", () => p.rpoplpush(a, b)], ["COPY", () => p.copy(a, b)],
      ["PFCOUNT", () => p.pfcount(a, b)], ["EVAL", () => p.eval("return 1", 2, a, b)],
      ["XREAD", () => p.xread({ STREAMS: [[a, b], ["0", "0"]] })],
      ["KEYS", () => p.keys("*")], ["DBSIZE", () => p.dbsize()], ["FLUSHALL", () => p.flushall()],
      ["INFO", () => p.info()],
      ["PING", () => p.ping()], ["SCAN", () => p.scan(0)], ["RANDOMKEY", () => p.randomkey()], ["MULTI", () => p.multi()],
      ["WATCH", () => p.watch(a)], ["BLPOP", () => p.blpop(a, 0)], ["SELECT", () => p.select(1)],
      ["EVAL", () => p.call("EVAL", "return 1", 0)],
    ];
    for (const [command, call] of wrong) {
      assert.throws(call, (error: any) => error instanceof NotSupportedError && error.outcome === "not-sent"
        && error.command === command,
        command);
    }
    assert.throws(() => p.set(b, null), TypeError);
    assert.throws(() => p.mget(a, [b, undefined]), TypeError);
    assert.equal(p.length, 1);
    assert.deepEqual(await p.get(a).execPipeline(), ["OK", "1"]);
  }));
});

/** Runs `use` while it is counted how often the sockets to each port write. */
async function countingWrites(use: (writes: Map<number, number>) => Promise<void>): Promise<void> {
  const writes = new Map<number, number>();
  await onSockets((socket, port) => onWrites(socket, (go) => {
    writes.set(port, (writes.get(port) ?? 0) + 1);
    go();
  }), () => use(writes));
}

describe("pipelines over shards", () => {
  test("send the arguments as they were when they were given", () => withShards({}, async (db) => {
    const members = ["a"];
    const pipeline = db.pipeline().smismember("k", members).zmscore("k", members).geopos("k", members);
    members.push("b");
    assert.deepEqual(await pipeline.execPipeline(), [[0], [null], [null]]);
  }));

  test("give the replies of 10,000 mixed commands in the order of the calls, as on one server", async () => {
    const run = async (db: Handler): Promise<unknown[]> => {
      const random = reference.random(5);
      const below = (bound: number): number => Math.floor(random() * bound);
      const p = db.pipeline() as any;
      for (let i = 0; i < 10_000; i++) {
        const key = `${below(300)}`;
        const calls: (() => void)[] = [
          () => p.set(`text:${key}`, i), () => p.get(`text:${key}`), () => p.incr(`n:${key}`),
          () => p.rpush(`list:${key}`, i),
          () => p.lpop(`list:${key}`), () => p.mget(`text:${key}`, `n:${key}`, "text:1", "missing"),
          () => p.hset(`hash:${key}`, { [i]: i }),
          () => p.hlen(`hash:${key}`), () => p.mset(`text:${key}`, i, "text:2", i),
          () => p.exists(`n:${key}`, `list:${key}`, "text:2"),
          () => p.zadd(`zset:${key}`, [i, i]), () => p.zrange(`zset:${key}`, -1, -1, { WITHSCORES: true }),
          () => p.del(`n:${key}`, "text:3"),
        ];
        calls[below(calls.length)]!();
      }
      assert.equal(p.length, 10_000);
      const results = await p.execPipeline();
      assert.equal(p.length, 0);
      return results;
    };
    const one = await withDb({ dbid: 12 }, async (db) => {
      await db.flushdb();
      const results = await run(db);
      await db.flushdb();
      return results;
    });
    for (const options of [{}, { poolsize: 3, protocol: 2 }, { placement: "rediscluster" }] as Sharding[]) {
      assert.deepEqual(await withShards(options, (db) => run(db as unknown as Handler)), one);
    }
  });

  test("cost one write a server, and none a server that has nothing to do",
    () => countingWrites((writes) => withShards({}, async (db) => {
    const keys = keyOnEach(db);
    for (const used of [keys, keys.slice(0, 2), keys.slice(3)]) {
      const p = db.pipeline() as any;
      for (let i = 0; i < 1_000; i++) p.incr(used[i % used.length]);
      p.mget(used);
      writes.clear();
      await nextTick();
      assert.equal(writes.size, 0, "nothing is sent before it is executed");
      assert.equal((await p.execPipeline()).length, 1_001);
      const expected = used.map((key) => [serverOf(db.nodeFor(key)).port, 1]);
      assert.deepEqual([...writes].sort(), expected.sort());
    }
    writes.clear();
    assert.deepEqual(await db.pipeline().execPipeline(), []);
    assert.equal(writes.size, 0, "an empty one is no reason to ask anybody");
  })));

  test("are typed and shaped as on one server, and take the view's options", () => withShards({}, async (db) => {
    const [a, b, c, d] = keyOnEach(db) as [string, string, string, string];
    type Results = [number, Record<string, string>, "OK" | null, (string | null)[], [string, number][]];
    const results: Results = await db.pipeline()
      .hset(a, { f: "v" }).hgetall(a).set(b, 5).mget(b, d, b).zrange(c, 0, -1, { WITHSCORES: true }).execPipeline();
    assert.deepEqual(results, [1, { __proto__: null, f: "v" }, "OK", ["5", null, "5"], []]);
    const bytes = await db.with({ charset: null }).pipeline().mget(d, b).get(b).execPipeline();
    assert.deepEqual(bytes, [[null, Buffer.from("5")], Buffer.from("5")]);
    assert.deepEqual(await db.with({ convertNumbers: true }).pipeline().get(b).call("GET", b).execPipeline(), [5, 5]);
  }));

  test("whose commands fail reject with all results in place, or give them", () => withShards({}, async (db) => {
    const [a, b, c] = keyOnEach(db) as [string, string, string];
    const wrong = () => db.pipeline().set(a, "x").set(b, "y").incr(b).incr(a).get(a).mget(a, b, c).call("NOSUCH", c);
    const error = await failure(wrong().execPipeline());
    assert.ok(error instanceof PipelineError, inspect(error));
    assert.deepEqual([error.code, error.command], ["ERR", "INCR"]);
    assert.match(error.message, /^INCR: 3 of 7 commands failed, first: ERR value is not an integer/);
    for (const results of [error.results, await wrong().execPipeline({ errors: "return" })] as any[]) {
      assert.deepEqual([results.slice(0, 2), results[4], results[5]], [["OK", "OK"], "x", ["x", "y", null]]);
      for (const at of [2, 3, 6]) assert.ok(results[at] instanceof ReplyError, inspect(results[at]));
      assert.deepEqual([results[2].command, results[6].command, results[2].outcome], ["INCR", "NOSUCH", "not-executed"]);
    }
    assert.equal(error.cause, error.results[2]);
    const option = await failure(db.pipeline().get(a).execPipeline({ errors: "throw" as "reject" }));
    assert.ok(option instanceof TypeError && /errors/.test(option.message), String(option));
  }));

  test("are committed as a transaction when all keys live on one node, else not sent", () => withShards({}, async (db) => {
    const [a, b] = keyOnEach(db) as [string, string];
    const p = db.pipeline().set(a, 1).set(b, 2);
    const error = await failure(p.commit());
    assert.ok(error instanceof NotSupportedError, inspect(error));
    assert.deepEqual([error.code, error.outcome], ["NOT_SUPPORTED", "not-sent"]);
    assert.match(error.message, /shard/);
    assert.deepEqual([await db.dbsize(), p.length], [0, 2]);
    assert.deepEqual(await p.execPipeline(), ["OK", "OK"]);
    assert.deepEqual(await db.pipeline().commit(), []);
    const twin = `{${a}}:twin`;
    const [set, values, refused, sum] = await db.pipeline().set(twin, 5).mget(a, twin).lpush(a, 1).incr(twin).commit();
    assert.deepEqual([set, values, (refused as any).code, sum], ["OK", ["1", "5"], "WRONGTYPE", 6]);
  }));
});

describe("a pipeline over shards that cannot be divided", () => {
  test("sends no part of a call that throws, whichever of its keys cannot be placed, and all of the others once", async () => {
    let bad = "b";
    const placement = (tag: string, nodes: readonly { name: string }[]): string => {
      if (tag === bad) throw new Error("no node for it");
      return nodes[tag.charCodeAt(0) % nodes.length]!.name;
    };
    await withShards({ placement }, async (db) => {
      const pipeline = db.pipeline().incr("a").incr("c");
      for (const keys of [["b", "c", "d"], ["c", "b", "d"], ["c", "d", "b"]]) {
        assert.throws(() => pipeline.mset(Object.fromEntries(keys.map((key) => [`{${key}}new`, 1]))), /no node for it/);
        assert.throws(() => pipeline.del(keys.map((key) => `{${key}}`)), /no node for it/);
      }
      assert.throws(() => pipeline.mset({ "{c}new": 1, "{d}new": Symbol() as any, "{e}new": 1 }), TypeError);
      assert.throws(() => pipeline.set("{c}new", 1, { get EX(): number { throw new Error("no time"); } }), /no time/);
      assert.equal(pipeline.length, 2);
      bad = "c"; // which has been gathered
      assert.match((await failure(pipeline.execPipeline())).message, /no node for it/);
      assert.equal(pipeline.length, 2);
      bad = "";
      assert.deepEqual(await pipeline.execPipeline(), [1, 1]);
      assert.equal(await db.exists("{b}new", "{c}new", "{d}new", "{e}new"), 0);
    });
  });
});

describe("transactions over shards", () => {
  for (const placement of ["rendezvous", "rediscluster"] as const) {
    const twins = placement === "rediscluster" ? ["n{tag|", "m{tag|"] as const : ["{tag}:n", "{tag}:m"] as const;

    test(`run on the node of their keys (${placement})`, () => withShards({ placement }, async (db) => {
      const [n, m] = twins;
      await db.mset(n, 1, m, 2);
      const t = await db.watch(n, m);
      assert.equal(await t.get(n), "1");
      assert.deepEqual(await t.mget(n, m), ["1", "2"]);
      const queue = await t.multi();
      assert.equal(await queue.incr(n), "QUEUED");
      assert.equal(await queue.incrby(m, 5), "QUEUED");
      assert.deepEqual(await queue.commit(), [2, 7]);
      assert.deepEqual(await db.mget(n, m), ["2", "7"]);

      const again = await (await db.multi(n)).commit();
      assert.deepEqual(again, []);
      const replies = await db.transaction([n, m], async (tx) => {
        const sum = Number(await tx.get(n)) + Number(await tx.get(m));
        void (await tx.multi()).set(n, sum);
      });
      assert.deepEqual([replies, await db.get(n)], [["OK"], "9"]);
    }));
  }

  test("fail with a WatchError when a watched key was changed", () => withShards({ poolsize: 2 }, async (db) => {
    const t = await db.watch("k");
    await db.set("k", "changed");
    const queue = await t.multi();
    void queue.set("k", "mine");
    assert.ok(await failure(queue.commit()) instanceof WatchError);
    assert.equal(await db.get("k"), "changed");
  }));

  test("without keys run where there is only one node", async () => {
    for (const placement of ["rendezvous", "rediscluster"] as const) {
      await using(lazyShardedConnection([`localhost:${server.port}`], { placement }) as ShardedHandler, async (db) => {
        const replies = await db.transaction([], async (t) => {
          assert.equal(await t.get("n{tag}"), null);
          const m = await t.multi("n{tag}");
          void m.incr("n{tag}");
          void m.unwatch();
          void m.del("n{tag}");
        });
        assert.deepEqual(replies, [1, "OK", 1]);
        assert.deepEqual(await (await db.multi([])).commit(), []);
      });
    }
  });

  test("whose promises are called instead of awaited give their connections back", () => withShards({}, async (db) => {
    const [a, b] = keyOnEach(db) as [string, string];
    const any = db as any;
    for (const call of [() => any.multi(a).set(a, 1), () => any.watch(a).get(a), () => any.multi().set(a, 1),
      () => any.multi(a, b).exec(), () => (db.shard(a) as any).multi().set(a, 1)]) {
      assert.throws(call, NotSupportedError);
    }
    assert.deepEqual(await db.mget(a, b), [null, null]);
  }));

  test("watch the keys of multi() too", () => withShards({ poolsize: 2 }, async (db) => {
    for (const change of [false, true]) {
      const t = await (await db.watch("{k}")).multi(["{k}:b"]);
      if (change) await db.set("{k}:b", 1);
      void t.set("{k}", 1);
      if (change) assert.ok(await failure(t.commit()) instanceof WatchError);
      else assert.deepEqual(await t.commit(), ["OK"]);
    }
  }));

  test("refuse keys of other nodes and commands for every node, and stay usable", () => withShards({}, async (db) => {
    const [a, b] = keyOnEach(db) as [string, string];
    const t = await db.watch(a);
    const others = [
      () => t.get(b), () => t.watch(b), () => t.multi(b), () => t.mget(a, b), () => t.dbsize(), () => t.call("SCAN", 0),
    ];
    for (const call of others) {
      const error = await failure(call() as Promise<unknown>);
      assert.ok(error instanceof NotSupportedError, inspect(error));
      assert.equal(error.outcome, "not-sent");
    }
    assert.equal(await t.get(a), null);
    const queue = await t.multi();
    const refused = await failure(queue.set(b, 1));
    void queue.set(a, 1);
    assert.equal(await failure(queue.commit()), refused, "without it the others are not done either");
    assert.deepEqual([await db.exists(a), await db.exists(b)], [0, 0]);
  }));
});

describe("a lease over shards", () => {
  for (const placement of ["rendezvous", "rediscluster"] as const) {
    const [n, m] = placement === "rediscluster" ? ["n{tag|", "m{tag|"] as const : ["{tag}:n", "{tag}:m"] as const;

    test(`has a connection to the node of its keys, where commands without keys run, too (${placement})`, () =>
      withShards({ placement }, async (db) => {
        await db.mset(n, 1, m, 2);
        const port = (await db.shard(n).configGet("port")).port;
        for (const keys of [n, [n, m]]) {
          await db.lease(keys, async (c) => {
            assert.equal((await c.configGet("port")).port, port);
            await c.clientSetname("leased");
            assert.deepEqual([await c.clientGetname(), await c.get(n), await c.mget(n, m)], ["leased", "1", ["1", "2"]]);
            assert.deepEqual(await c.pipeline().get(m).ping().mget(n, m).execPipeline(), ["2", "PONG", ["1", "2"]]);
            assert.deepEqual(await c.pipeline().get(m).get(n).commit(), ["2", "1"]);
            const t = await c.watch(n);
            assert.equal(await t.get(n), "1");
            const queue = await t.multi();
            void queue.get(m);
            assert.deepEqual(await queue.commit(), ["2"]);
            assert.deepEqual([await c.dbsize(), await c.ping()], [2, "PONG"]);
          });
        }
        assert.deepEqual(Object.values(await db.ping()), Array(4).fill("PONG"));
        assert.equal(await db.shard(n).clientGetname(), null);
      }));
  }

  test("refuses keys of other nodes, and stays usable", () => withShards({}, async (db) => {
    const [a, b] = keyOnEach(db) as [string, string];
    await db.lease(a, async (c) => {
      const refused: (() => unknown)[] = [
        () => c.get(b), () => c.watch(b), () => c.multi(b), () => c.mget(a, b), () => c.rename(a, b), () => c.himportSet(b, "f", "v"),
        () => c.pipeline().set(b, 1), () => c.call("SET", b, 1),
      ];
      for (const call of refused) {
        const error = await failure((async () => call())());
        assert.ok(error instanceof NotSupportedError, `${call}: ${error}`);
        assert.deepEqual([error.code, error.outcome], ["NOT_SUPPORTED", "not-sent"]);
      }
      assert.equal(await c.set(a, 1), "OK");
    });
    assert.deepEqual([await db.get(a), await db.get(b)], ["1", null]);
    for (const keys of [[a, b], []]) {
      const error = await failure(db.lease(keys, () => assert.fail("it must not begin")));
      assert.equal(error.outcome, "not-sent", String(error));
    }
    assert.match((await failure(db.call("SELECT", 1))).message, /the dbid option, or lease\(\)/);
  }));
});

describe("scans over shards", () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => `it:${i}`);

  test("find every key of every server once", async () => {
    for (const placement of ["rendezvous", "rediscluster"] as const) {
      await withShards({ placement }, async (db) => {
        assert.deepEqual(await all(db.scanIterator()), []);
        await db.mset(...names(2_000).map((name) => [name, 1]));
        await db.sadd("it:set", 1);
        await db.set("other", 1);
        assert.deepEqual((await all(db.scanIterator())).sort(), [...names(2_000), "it:set", "other"].sort());
        const matching = names(2_000).filter((name) => name.startsWith("it:99"));
        assert.deepEqual((await all(db.scanIterator({ MATCH: "it:99*", COUNT: 7 }))).sort(), matching.sort());
        assert.deepEqual(await all(db.scanIterator({ TYPE: "set" })), ["it:set"]);
        assert.deepEqual(await all(db.with({ charset: null }).scanIterator({ MATCH: "other" })), [Buffer.from("other")]);
        for await (const key of db.scanIterator()) {
          assert.ok(key);
          break;
        }
      });
    }
  });

  test("of one key's fields, members and scores go to its server", async () => {
    for (const [placement, tag] of [["rendezvous", ""], ["rediscluster", "{tag}"]] as const) {
      await withShards({ placement }, async (db) => {
        await db.hset(`hash${tag}`, names(1_000).flatMap((name) => [name, `v${name}`]));
        await db.sadd(`set${tag}`, names(1_000));
        await db.zadd(`zset${tag}`, ...names(1_000).map((name, i): [number, string] => [i + 0.5, name]));
        const fields = new Map(await all(db.hscanIterator(`hash${tag}`, { COUNT: 10 })));
        assert.deepEqual([...fields].sort(), names(1_000).map((name) => [name, `v${name}`]).sort());
        assert.deepEqual([...new Set(await all(db.sscanIterator(`set${tag}`, { COUNT: 10 })))].sort(),
          names(1_000).sort());
        const scores = new Map(await all(db.zscanIterator(`zset${tag}`, { MATCH: "it:5*" })));
        assert.deepEqual([...scores.keys()].sort(), names(1_000).filter((name) => name.startsWith("it:5")).sort());
        for (const [member, score] of scores) assert.equal(score, Number(member.slice(3)) + 0.5);
        const paged = await db.hscan(`hash${tag}`, 0, { COUNT: 10 });
        assert.ok(Object.keys(paged[1]).length > 0);
        assert.deepEqual(await all(db.sscanIterator("nothing")), []);
        assert.equal((await failure(db.sscanIterator(`hash${tag}`).next())).code, "WRONGTYPE");
      });
    }
  });

  test("misplaced() tells which keys lie on another server than they should, now or after a change of hosts", () =>
    withShards({}, async (db) => {
      await db.mset(...names(1_000).map((name) => [name, 1]));
      assert.deepEqual(await all(db.misplaced()), []);
      const [first, second] = addresses() as [string, string];
      const stray = [keyOn(db, first, "stray"), keyOn(db, second, "astray")] as const;
      await shards[3]!.call("MSET", stray[0], "1", stray[1], "1");
      const from = addresses()[3]!;
      const byKey = <T extends { key: string }>(items: T[]) => items.sort((a, b) => a.key < b.key ? -1 : 1);
      const strayed = [{ key: stray[0], from, to: first }, { key: stray[1], from, to: second }];
      assert.deepEqual(byKey(await all(db.misplaced())), byKey(strayed));
      assert.equal((await all(db.with({ charset: null }).misplaced())).every(({ key }) => Buffer.isBuffer(key)), true);
      await db.shards().get(from)!.del(...stray);
      // Without the last server: all that it has, and nothing else, would move.
      const three = addresses().slice(0, 3);
      const leaving = await all(db.misplaced(three));
      assert.deepEqual(leaving.map(({ key }) => key).sort(), (await shards[3]!.call("KEYS", "*")).sort());
      const placed = placing(three, {}, (other) => leaving.map(({ key }) => other.nodeFor(key)));
      assert.deepEqual(leaving.map(({ to }) => to), placed);
      assert.ok(leaving.every((item) => item.from === from));
      // With one more: some of each would move, to that one.
      const coming = await all(db.misplaced([...addresses(), "127.0.0.1:1"]));
      assert.ok(coming.length > 100 && coming.length < 300 && coming.every(({ to }) => to === "127.0.0.1:1"),
        String(coming.length));
      assert.ok(await failure(db.misplaced(["nonsense"]).next()) instanceof TypeError);
    }));
});

describe("a node that is down", () => {
  const last = (): string => addresses()[3]!;
  /** Runs `use` while the last of the four servers is gone, and the handler knows it. */
  const withOneDown = (options: Sharding, use: (db: ShardedHandler) => Promise<void>): Promise<void> =>
    withShards(options, async (db) => {
    const key = keyOn(db, last());
    await shards[3]!.kill();
    try {
      await until(async () => (await db.get(key).catch((error) => error)).code === "NOT_CONNECTED",
        "the loss to be noticed");
      await use(db);
    } finally {
      await shards[3]!.restart();
    }
    await until(() => db.get(key).then(() => true, () => false), "it to come back by itself");
  });

  test("fails its own keys, whose errors name it; those of the others never notice, and it comes back by itself", () =>
    withShards({}, async (db) => {
      const keys = keyOnEach(db);
      const own = keys.pop()!;
      const failed: unknown[] = [];
      let calls = 0;
      let over = false;
      const callers = Promise.all(keys.map(async (key) => {
        let value = 0;
        while (!over) {
          value++;
          calls++;
          try {
            assert.deepEqual(await Promise.all([db.incr(key), db.get(key), db.mget(key), db.shard(key).ping()]),
              [value, String(value), [String(value)], "PONG"]);
          } catch (error) {
            failed.push(error);
            return;
          }
        }
      }));
      await db.set(own, 1);
      await shards[3]!.kill();
      const error = await until(async () => {
        const got = await db.get(own).catch((reason) => reason);
        return got instanceof RedisError && got.code === "NOT_CONNECTED" ? got : undefined;
      }, "its keys to fail");
      assert.ok(error instanceof ConnectionError);
      assert.deepEqual([error.outcome, error.command], ["not-sent", "GET"]);
      assert.ok(error.message.includes(last()), error.message);
      const before = calls;
      await until(() => calls > before + 300, "the others to go on");
      await shards[3]!.restart();
      await until(() => db.set(own, 2).then(() => true, () => false), "it to come back");
      assert.equal(await db.get(own), "2");
      over = true;
      await callers;
      assert.deepEqual(failed, []);
    }));

  test("makes MGET and the like reject, with what failed and what the others answered",
    () => withOneDown({}, async (db) => {
    const keys = [...keyOnEach(db, "a"), ...keyOnEach(db, "b"), keyOn(db, last(), "c")];
    const alive = keys.filter((key) => db.nodeFor(key) !== last());
    const dead = keys.filter((key) => db.nodeFor(key) === last());
    await db.mset(...alive.map((key) => [key, `of ${key}`]));
    const bytes = keys.map((key) => Buffer.from(key));
    for (const given of [keys, bytes]) {
      const error = await failure(db.mget(given));
      assert.ok(error instanceof ShardError && error instanceof RedisError, inspect(error));
      assert.deepEqual([error.code, error.outcome, error.command], ["NOT_CONNECTED", "not-sent", "MGET"]);
      assert.ok(error.message.includes(last()), error.message);
      const [failed, ...more] = error.failures;
      const lost = given === keys ? dead : dead.map((key) => Buffer.from(key));
      assert.deepEqual([failed!.node, failed!.keys, more], [last(), lost, []]);
      assert.ok(failed!.error instanceof ConnectionError && failed!.error === error.cause);
      assert.deepEqual([failed!.error.code, failed!.error.outcome], ["NOT_CONNECTED", "not-sent"]);
      const found = error.done.flatMap(({ keys, reply }: any) => keys.map((key: Key, i: number) => [String(key), reply[i]]));
      assert.deepEqual(found.sort(), alive.map((key) => [key, `of ${key}`]).sort());
      assert.deepEqual(error.done.map(({ node }) => node).sort(), addresses().slice(0, 3).sort());
    }
    const only = await failure(db.mget(dead));
    assert.deepEqual([only instanceof ConnectionError, only.code, only.outcome], [true, "NOT_CONNECTED", "not-sent"]);
    const halves = await failure(db.mset(...keys.map((key) => [key, "again"])));
    assert.deepEqual([halves.failures[0].keys, halves.done.map(({ reply }: any) => reply)], [dead, ["OK", "OK", "OK"]]);
    assert.deepEqual(await db.mget(alive), alive.map(() => "again"));
    const removed = await failure(db.del(...keys, alive[0]!));
    assert.ok(removed instanceof ShardError);
    assert.equal(removed.done.reduce((sum, { reply }) => sum + Number(reply), 0), alive.length);
    assert.equal(await db.exists(alive), 0);
  }));

  test("that has nobody left beside it makes them not-sent", async () => {
    const gone = [await freePort(), await freePort()].map((port) => `127.0.0.1:${port}`);
    const db = lazyShardedConnection(gone) as unknown as ShardedHandler;
    try {
      await failure(db.ready());
      const keys = keyOnEach(db);
      await until(async () => (await db.mget(keys).catch((error) => error)).code === "NOT_CONNECTED",
        "both to be given up");
      const error = await failure(db.mget(keys));
      assert.ok(error instanceof ShardError, inspect(error));
      assert.deepEqual([error.outcome, error.done, error.failures.length], ["not-sent", [], 2]);
      for (const node of gone) assert.ok(error.message.includes(node), error.message);
    } finally {
      db.destroy();
    }
  });

  test("makes what every server is asked reject, and tells what the others said", () => withOneDown({}, async (db) => {
    const alive = keyOnEach(db).slice(0, 3);
    await db.mset(...alive.map((key) => [key, 1]));
    const calls = [() => db.keys("*"), () => db.dbsize(), () => db.ping(), () => db.info(), () => db.scriptLoad("return 1")];
    for (const call of calls) {
      const error = await failure(call());
      assert.ok(error instanceof ShardError, inspect(error));
      assert.deepEqual(error.failures.map(({ node, keys }) => [node, keys]), [[last(), []]]);
      assert.deepEqual(error.done.map(({ node }) => node), addresses().slice(0, 3));
    }
    assert.deepEqual((await failure(db.dbsize())).done.map(({ reply }: any) => reply), [1, 1, 1]);
    const scan = db.scanIterator();
    const error = await failure(all(scan));
    assert.ok(error instanceof ConnectionError && error.message.includes(last()), inspect(error));
  }));

  test("fails its part of a pipeline only", () => withOneDown({}, async (db) => {
    const keys = keyOnEach(db);
    const sets = () => keys.reduce<any>((p, key) => p.set(key, "value").get(key), db.pipeline());
    const p = () => sets().mget(keys).mget(keys.slice(0, 3));
    const error = await failure(p().execPipeline());
    assert.ok(error instanceof PipelineError, inspect(error));
    for (const results of [error.results, await p().execPipeline({ errors: "return" })] as any[]) {
      assert.deepEqual(results.slice(0, 6), ["OK", "value", "OK", "value", "OK", "value"]);
      for (const result of results.slice(6, 8)) {
        assert.ok(result instanceof ConnectionError && result.message.includes(last()), inspect(result));
        assert.equal(result.outcome, "not-sent");
      }
      const [split, whole] = results.slice(8);
      assert.ok(split instanceof ShardError, inspect(split));
      assert.deepEqual([split.failures.map(({ keys: lost }) => lost), split.done.length], [[[keys[3]]], 3]);
      assert.deepEqual(whole, ["value", "value", "value"]);
    }
  }));

  test("costs nobody an element or a key that was to be carried to it or from it",
    () => withOneDown({ replyTimeout: 30_000 }, async (db) => {
    const [here, , , gone] = keyOnEach(db) as [string, string, string, string];
    const other = keyOn(db, addresses()[1]!, "other");
    const before = async () => [await db.type(here), await shards[0]!.call("DBSIZE"), await shards[1]!.call("DBSIZE")];
    const attempts: [fill: () => Promise<unknown>, calls: (() => Promise<unknown>)[], value: () => Promise<unknown>][] = [
      [() => db.rpush(here, "a", "b", "c"), [
        () => db.rpoplpush(here, gone), () => db.lmove(here, gone, "LEFT", "LEFT"), () => db.brpoplpush(here, gone, 1),
        () => db.rpoplpush(gone, here), () => db.blmove(gone, here, "LEFT", "LEFT", 1),
      ], () => db.lrange(here, 0, -1)],
      [() => db.sadd(here, "a", "b", "c"), [
        () => db.smove(here, gone, "a"), () => db.smove(gone, here, "a"), () => db.sunionstore(here, gone, here),
        () => db.sinterstore(gone, here),
        () => db.sunionstore(other, here, gone), () => db.rename(here, gone), () => db.rename(gone, here),
        () => db.renamenx(here, gone),
        ...isOld() ? [] : [() => db.copy(here, gone), () => db.copy(gone, here, { REPLACE: true })],
        () => db.sunion(here, gone),
      ], () => sorted(db.smembers(here))],
      [() => db.set(here, "text"), [
        () => db.msetnx(other, 1, gone, 1), () => db.bitop("OR", here, gone, here), () => db.rename(here, gone),
      ], () => db.get(here)],
    ];
    for (const [put, calls, value] of attempts) {
      await put();
      const was = [await value(), await before()];
      for (const call of calls) {
        const error = await failure(soon(call(), String(call)));
        assert.ok(error instanceof RedisError, inspect(error));
        assert.equal(error.code, "NOT_CONNECTED", `${call}: ${inspect(error)}`);
        assert.notEqual(error.outcome, "unknown", `${call}: nothing has changed`);
        assert.ok(error.message.includes(last()), `${call}: ${error.message}`);
        assert.deepEqual([await value(), await before()], was, String(call));
      }
      await db.del(here);
    }
  }));
});

const hostOf = ({ host, port }: RedisServer): string => `${host}:${port}`;

/** Gives a handler of shards to `use` and closes it, whatever happens. */
async function withFour<T>(
  servers: readonly RedisServer[], options: Options, use: (db: ShardedHandler) => Promise<T>,
): Promise<T> {
  const db = await shardedConnectionPool(servers.map(hostOf), { poolsize: 2, ...options }) as ShardedHandler;
  try {
    return await use(db);
  } finally {
    db.destroy();
  }
}

/** Keys by the name of the node that holds them. */
function byNode(db: ShardedHandler, keys: readonly string[]): Map<string, string[]> {
  const nodes = new Map<string, string[]>([...db.shards().keys()].map((name) => [name, []]));
  for (const key of keys) nodes.get(db.nodeFor(key))!.push(key);
  return nodes;
}

for (const protocol of [3, 2] as const) {
  describe(`publish and subscribe over shards, in RESP${protocol}`, () => {
    const servers = startServers(4);
    const channels = Array.from({ length: 40 }, (_, i) => `channel:${i}`);
    const list = async (one: RedisServer, what = "CHANNELS"): Promise<string[]> => (await one.call("PUBSUB", what)).sort();
    const messages = (items: readonly (Message | { gap?: number })[]): Message[] =>
      items.filter((item): item is Message => item.gap === undefined);

    /** Says something on each channel through the handler, and waits until all of it was heard, once. */
    async function isHeard(db: ShardedHandler, items: any[], said: string, on = channels): Promise<void> {
      assert.deepEqual(await Promise.all(on.map((channel) => db.publish(channel, said))), on.map(() => 1));
      const heard = (): string[] => messages(items).filter(({ message }) => message === said).map(({ channel }) => channel);
      await until(() => heard().length >= on.length, `all of ${said}`);
      assert.deepEqual(heard().sort(), [...on].sort());
    }

    test("each message comes once, and in the order of its channel", () => withFour(servers, { protocol }, async (db) => {
      const items = collect(await db.subscribe(channels));
      const said = Array.from({ length: 25 }, (_, i) => String(i));
      await Promise.all(channels.map(async (channel) => {
        for (const message of said) assert.equal(await db.publish(channel, message), 1);
      }));
      await until(() => items.length >= channels.length * said.length, "all messages");
      const heard = messages(items);
      for (const channel of channels) {
        const expected = said.map((message) => ({ channel, message, pattern: undefined }));
        assert.deepEqual(heard.filter((item) => item.channel === channel), expected);
      }
    }));

    test("a channel is listened to on its own node, and nowhere else", () => withFour(servers, { protocol }, async (db) => {
      const s = await db.subscribe(channels.slice(0, 30));
      assert.equal(await s.subscribe(channels.slice(30)), s);
      assert.deepEqual([...s.channels].sort(), [...channels].sort());
      const nodes = byNode(db, channels);
      for (const one of servers) assert.deepEqual(await list(one), nodes.get(hostOf(one))!.sort());
      assert.ok([...nodes.values()].every((held) => held.length > 0));
      await s.unsubscribe(channels.slice(5));
      const rest = byNode(db, channels.slice(0, 5));
      for (const one of servers) {
        await until(async () => (await list(one)).join() === rest.get(hostOf(one))!.sort().join(), "the others to be left");
      }
      await db.publish(channels[39]!, "unheard");
      await isHeard(db, collect(s), "heard", channels.slice(0, 5));
      await s.unsubscribe();
      assert.deepEqual(await all(s), []);
      assert.deepEqual(s.channels, []);
      for (const one of servers) await until(async () => (await list(one)).length === 0, "nobody to listen");
      for (const channel of channels) assert.equal((await failure(s.subscribe(channel))).code, "CLOSED");
      for (const one of servers) assert.deepEqual(await list(one), []);
    }));

    test("what is closed while it is told what to listen to leaves nothing behind", async () => {
      for (const end of ["its close()", "unsubscribe()", "destroy()", "disconnect()"]) {
        await withFour(servers, { protocol, name: "hasty" }, async (db) => {
          const first = db.nodeFor(channels[0]!);
          const s = await db.subscribe(channels.filter((channel) => db.nodeFor(channel) === first));
          const more = s.subscribe(channels).catch((error: unknown) => error);
          const other = db.subscribe(channels).catch((error: unknown) => error);
          if (end === "its close()") s.close();
          if (end === "unsubscribe()") await s.unsubscribe();
          if (end === "destroy()") db.destroy();
          if (end === "disconnect()") await db.disconnect();
          await soon(more, `subscribe() to settle after ${end}`);
          const opened: any = await soon(other, "the other to settle");
          if (end.startsWith("d")) assert.equal(opened.code, "CLOSED");
          else opened.close();
          for (const one of servers) await until(async () => (await list(one)).length === 0, `nobody to listen after ${end}`);
        });
      }
    });

    test("a listener hears it, too, and leaving the loop or closing ends it on every node",
      () => withFour(servers, { protocol, name: "listening" }, async (db) => {
      const heard: any[] = [];
      const l = await db.subscribe(channels, (item) => heard.push(item));
      await isHeard(db, heard, "to the listener");
      l.close();
      const s = await db.subscribe(channels);
      await db.publish(channels[0]!, "left");
      for await (const { message } of s) {
        assert.equal(message, "left");
        break;
      }
      for (const one of servers) await until(async () => (await list(one)).length === 0, "nobody to listen");
      const waiting = all(await db.subscribe(channels));
      await db.disconnect();
      assert.deepEqual(await waiting, []);
      await nobodyOn(servers, "listening");
      assert.equal((await failure(db.subscribe(channels))).code, "CLOSED");
    }));

    test("patterns listen on all nodes, and hear each message once", () => withFour(servers, { protocol }, async (db) => {
      const s = await db.psubscribe(["channel:?", "channel:1?"]);
      for (const one of servers) assert.equal(await one.call("PUBSUB", "NUMPAT"), 2);
      const items = collect(s);
      await isHeard(db, items, "to patterns", channels.slice(0, 20));
      const patterns = messages(items).map(({ channel, pattern }) => `${channel} ${pattern}`).sort();
      const expected = channels.slice(0, 20).map((channel, i) => `${channel} ${i < 10 ? "channel:?" : "channel:1?"}`);
      assert.deepEqual(patterns, expected.sort());
      await s.unsubscribe("channel:?");
      for (const one of servers) await until(async () => await one.call("PUBSUB", "NUMPAT") === 1, "one pattern to be left");
      await s.unsubscribe();
      for (const one of servers) await until(async () => await one.call("PUBSUB", "NUMPAT") === 0, "none to be left");
    }));

    test("shard channels are on their nodes as well", async (t) => {
      if (isOld()) return skip(t, "shard channels came with Redis 7");
      await withFour(servers, { protocol }, async (db) => {
        const s = await db.ssubscribe(channels);
        const nodes = byNode(db, channels);
        for (const one of servers) assert.deepEqual(await list(one, "SHARDCHANNELS"), nodes.get(hostOf(one))!.sort());
        assert.deepEqual(await Promise.all(channels.map((channel) => db.spublish(channel, channel))), channels.map(() => 1));
        const items = await take(channels.length, s);
        assert.deepEqual(texts(items).sort(), [...channels].sort());
        s.close();
      });
    });

    test("with charset null gives bytes", () => withFour(servers, { protocol }, async (db) => {
      const names = [Buffer.from([0xff]), Buffer.from([0xfe]), Buffer.from([0xfd]), Buffer.from("text")];
      const s = await db.with({ charset: null }).subscribe(names);
      for (const name of names) assert.equal(await db.publish(name, name), 1);
      const items = await take(names.length, s);
      for (const name of names) assert.ok(items.some((item) => name.equals(item.channel!) && name.equals(item.message!)));
    }));

    test("a node that is restarted leaves a gap, and is heard again; the others are heard all along", async () => {
      const mortal = await RedisServer.start();
      const all = [...servers.slice(0, 3), mortal];
      try {
        await withFour(all, { protocol }, async (db) => {
          const items = collect(await db.subscribe(channels));
          const patterns = collect(await db.psubscribe("channel:*"));
          const lost = byNode(db, channels).get(hostOf(mortal))!;
          const others = channels.filter((channel) => !lost.includes(channel));
          assert.ok(lost.length > 0);
          const say = async (said: string, on: string[]) => {
            assert.deepEqual(await Promise.all(on.map((channel) => db.publish(channel, said))), on.map(() => 2));
            for (const heard of [items, patterns]) {
              await until(() => texts(heard).filter((message) => message === said).length === on.length, `all of ${said}`);
            }
          };
          await say("before", channels);
          await mortal.kill();
          await say("meanwhile", others);
          assert.deepEqual([items.some(isGap), patterns.some(isGap)], [false, false], "a gap is told when it is over");
          const error = await failure(db.publish(lost[0]!, "unheard"));
          assert.ok(error instanceof ConnectionError, String(error));
          await mortal.restart();
          await until(() => items.some(isGap) && patterns.some(isGap), "the gaps");
          await until(() => db.ready().then(() => true, () => false), "the node to be found again");
          await say("after", channels);
          assert.deepEqual([items.filter(isGap).length, patterns.filter(isGap).length], [1, 1]);
        });
      } finally {
        await mortal.stop();
      }
    });

    test("channels are followed to where they are moved by setHosts, and nothing is left on nodes that go", () =>
      withFour(servers.slice(0, 3), { protocol, name: "following" }, async (db) => {
      const s = await db.subscribe(channels);
      const items = collect(s);
      const patterns = collect(await db.psubscribe("pattern:*"));
      const isFollowed = async (now: RedisServer[], said: string) => {
        await db.setHosts(now.map(hostOf));
        await isHeard(db, items, said);
        await isHeard(db, patterns, said, channels.map((channel) => `pattern:${channel}`));
        const nodes = byNode(db, channels);
        for (const one of now) {
          const expected = nodes.get(hostOf(one))!.sort().join();
          await until(async () => (await list(one)).join() === expected, "each channel to be on its node, and only there");
        }
        await nobodyOn(servers.filter((one) => !now.includes(one)), "following");
      };
      await isHeard(db, items, "at first");
      await isFollowed(servers, "with a new node");
      await isFollowed(servers.slice(1), "without an old one");
      await isFollowed([servers[0]!, servers[3]!], "with others");
      await s.subscribe("later");
      await isHeard(db, items, "later", [...channels, "later"]);
    }));

    test("channels are followed also when the hosts are changed again meanwhile, or others are added and left", () =>
      withFour(servers.slice(0, 2), { protocol, name: "hurried" }, async (db) => {
      const s = await db.subscribe(channels.slice(0, 20));
      const items = collect(s);
      for (let round = 0; round < 5; round++) {
        await Promise.all([
          db.setHosts(servers.map(hostOf)), s.subscribe(channels.slice(20)), db.setHosts(servers.slice(2).map(hostOf)),
          s.unsubscribe(channels.slice(0, 10)), db.setHosts(servers.slice(0, 3).map(hostOf)), s.subscribe(channels.slice(0, 10)),
        ]);
        // A server may see a moment later that a connection has ended, and would count it until then.
        await until(async () => (await Promise.all(channels.map((channel) => db.shard(channel).pubsubNumsub(channel))))
          .every((counts) => Object.values(counts)[0] === 1), "each channel to be listened to once");
        await isHeard(db, items, `in round ${round}`);
        const nodes = byNode(db, channels);
        for (const one of servers.slice(0, 3)) {
          const expected = nodes.get(hostOf(one))!.sort().join();
          await until(async () => (await list(one)).join() === expected, "each channel to be on its node, and only there");
        }
        await nobodyOn(servers.slice(3), "hurried");
        await s.unsubscribe(channels.slice(20));
      }
    }));

    test("a new node that is down keeps none of the others from being heard or let go, and is heard when it comes", async () => {
      const later = await RedisServer.start();
      await later.kill();
      try {
        await withFour(servers.slice(0, 3), { protocol, name: "patient" }, async (db) => {
          const items = collect(await db.subscribe(channels));
          await db.setHosts([...servers.slice(0, 2), later].map(hostOf));
          const nodes = byNode(db, channels);
          await isHeard(db, items, "meanwhile", servers.slice(0, 2).flatMap((one) => nodes.get(hostOf(one))!));
          await nobodyOn(servers.slice(2), "patient");
          assert.ok(await failure(db.subscribe(channels)) instanceof ConnectionError);
          await later.restart();
          await until(() => db.ready().then(() => true, () => false), "the node to be found");
          await until(async () => (await list(later)).length === nodes.get(hostOf(later))!.length, "its channels");
          await isHeard(db, items, "at last");
          for (const one of servers.slice(0, 2)) {
            assert.equal((await clientsOf(one, "patient")).length, 3, "two of the pool and one that listens");
          }
        });
      } finally {
        await later.stop();
      }
    });

    test("what was said when the hosts were changed comes once and in order, and what is missing lies at a gap", () =>
      withFour(servers.slice(0, 2), { protocol }, async (db) => {
      const items = collect(await db.subscribe(channels));
      let said = 0;
      for (const now of [servers, servers.slice(2), servers.slice(0, 2)]) {
        for (let i = 0; i < 3; i++) {
          said++;
          await Promise.all(channels.map((channel) => db.publish(channel, said)));
        }
        await db.setHosts(now.map(hostOf));
      }
      await isHeard(db, items, "the last");
      for (const channel of channels) {
        const numbers = texts(items.filter((item) => item.channel === channel)).map(Number).slice(0, -1);
        assert.deepEqual(numbers, [...new Set(numbers)].sort((x, y) => x - y));
        assert.ok(numbers.length === said || items.some(isGap), `${numbers} of ${said}`);
      }
    }));
  });
}

describe("changing the hosts while running", () => {
  const servers = startServers(4);
  const keys = Array.from({ length: 300 }, (_, i) => `key:${i}`);
  beforeEach(() => Promise.all(servers.map((one) => one.call("FLUSHALL"))));

  const nodesFor = (db: ShardedHandler): string[] => keys.map((key) => db.nodeFor(key));
  const idsOf = async (those: RedisServer[], name: string): Promise<string[]> =>
    (await Promise.all(those.map((one) => clientsOf(one, name)))).flat().map((line) => line.split(" ")[0]!).sort();
  const heldBy = async (one: RedisServer, pattern = "*"): Promise<string[]> => (await one.call("KEYS", pattern)).sort();
  /** Where the keys are, by asking the servers themselves, must be where the handler says. */
  async function areWhereTheyBelong(db: ShardedHandler): Promise<void> {
    await Promise.all(servers.map((one) => one.call("FLUSHALL")));
    await Promise.all(keys.map((key) => db.set(key, key)));
    const nodes = byNode(db, keys);
    for (const one of servers) assert.deepEqual(await heldBy(one), (nodes.get(hostOf(one)) ?? []).sort());
  }

  test("adds, removes and reweights nodes under load without one failure",
    () => withFour(servers.slice(0, 2), { name: "moving" }, async (db) => {
    const [a, b, c, d] = servers.map(hostOf) as [string, string, string, string];
    const weighted = (weight: number) => ({ host: servers[0]!.host, port: servers[0]!.port, weight });
    let changes = 0;
    const work = async (caller: number, turn: number): Promise<void> => {
      const key = `work:${caller}:${turn % 50}`;
      const before = changes;
      await db.set(key, turn);
      const [value, several] = await Promise.all([db.get(key), db.mget(keys.slice(0, 20))]);
      assert.equal(several.length, 20);
      // Keys are not moved with the nodes, so after a change it may be somewhere else.
      if (changes === before) assert.equal(value, String(turn));
    };
    const errors = await underLoad(16, work, async ({ more }) => {
      for (const hosts of [
        [a, b, c], [b, c], [b, c, d], [a, b, c, d], [weighted(3), b, c, d], [weighted(0), b, c, d], [d, b], [a], [c, d, a, b],
      ]) {
        await more(100);
        const expected = hosts.map((host) => typeof host === "string" ? host : a).sort();
        changes++;
        const changed = db.setHosts(hosts);
        assert.deepEqual([...db.shards().keys()].sort(), expected, "new commands follow at once");
        const places = new Set(nodesFor(db));
        await Promise.all([changed, more(50)]);
        const gone = servers.filter((one) => !expected.includes(hostOf(one)));
        await nobodyOn(gone, "moving");
        assert.deepEqual(new Set(nodesFor(db)), places);
        const isWeightless = hosts.some((host) => typeof host === "object" && host.weight === 0);
        assert.equal(places.has(a), expected.includes(a) && !isWeightless);
      }
    });
    assert.deepEqual(errors.map(String), []);
    await areWhereTheyBelong(db);
  }));

  test("new commands follow the new placement from the very call on, also through views",
    () => withFour(servers.slice(0, 2), {}, async (db) => {
    const view = db.with({ replyTimeout: 4_000 });
    const changing = db.setHosts(servers.map(hostOf));
    const nodes = byNode(db, keys);
    const replies = await Promise.all(keys.map((key, i) => (i % 2 ? db : view).set(key, key)));
    assert.deepEqual(new Set(replies), new Set(["OK"]));
    for (const one of servers) assert.deepEqual(await heldBy(one), nodes.get(hostOf(one))!.sort());
    assert.deepEqual(nodesFor(view as ShardedHandler), nodesFor(db));
    assert.ok(nodes.get(hostOf(servers[3]!))!.length > 0);
    assert.deepEqual(await db.mget(keys), keys);
    await changing;
  }));

  test("what is in flight on a node that goes finishes there, and then its connections are closed",
    () => withFour(servers, { name: "draining" }, async (db) => {
    const leaving = servers[3]!;
    const key = keys.find((each) => db.nodeFor(each) === hostOf(leaving))!;
    const popped = db.blpop(key, 5);
    await until(async () => (await leaving.call("INFO", "clients")).includes("blocked_clients:1"), "it to block");
    const written = Array.from({ length: 1_000 }, () => db.incr(`{${key}}:n`));
    let resolved = false;
    const changed = db.setHosts(servers.slice(0, 3).map(hostOf)).then(() => { resolved = true; });
    assert.notEqual(db.nodeFor(key), hostOf(leaving));
    assert.equal((await Promise.all(written)).at(-1), 1_000);
    assert.equal(await leaving.call("GET", `{${key}}:n`), "1000");
    assert.equal(resolved, false, "it waits for the one that blocks");
    await leaving.call("RPUSH", key, "element");
    assert.deepEqual(await popped, [key, "element"]);
    await changed;
    await nobodyOn([leaving], "draining");
  }));

  test("a node that goes and does not answer is given up in time",
    () => withFour(servers, { replyTimeout: 200 }, async (db) => {
    const frozen = servers[2]!;
    const key = keys.find((each) => db.nodeFor(each) === hostOf(frozen))!;
    frozen.freeze();
    try {
      const late = failure(db.incr(key));
      await soon(db.setHosts([servers[0]!, servers[1]!].map(hostOf)), "setHosts");
      assert.ok(await late instanceof ConnectionError);
      assert.equal(await db.with({ replyTimeout: 30_000 }).incr(key), 1);
    } finally {
      frozen.thaw();
    }
  }));

  test("nodes that stay keep their connections", () => withFour(servers.slice(0, 3), { name: "staying" }, async (db) => {
    const ids = (): Promise<string[]> => idsOf(servers.slice(0, 2), "staying");
    const before = await ids();
    assert.equal(before.length, 4);
    const [a, b, , d] = servers as [RedisServer, RedisServer, RedisServer, RedisServer];
    await db.setHosts([hostOf(b), { host: a.host, port: a.port, weight: 2 }, `redis://${hostOf(d)}`]);
    await areWhereTheyBelong(db);
    assert.deepEqual(await ids(), before);
  }));

  test("a new node may be down: its keys fail, the others' do not, and it is found when it comes", async () => {
    const later = await RedisServer.start();
    await later.kill();
    try {
      await withFour(servers.slice(0, 2), {}, async (db) => {
        await db.setHosts([...servers.slice(0, 2), later].map(hostOf));
        const results = await Promise.allSettled(keys.map((key) => db.set(key, 1)));
        for (const [i, result] of results.entries()) {
          const isDown = db.nodeFor(keys[i]!) === hostOf(later);
          assert.equal(result.status, isDown ? "rejected" : "fulfilled");
          if (result.status === "rejected") assert.ok(result.reason instanceof ConnectionError, String(result.reason));
        }
        await later.restart();
        const key = keys.find((each) => db.nodeFor(each) === hostOf(later))!;
        await until(() => db.set(key, 1).then(() => true, () => false), "the node to be found");
      });
    } finally {
      await later.stop();
    }
  });

  test("misplaced() finds exactly the keys that move, before and after", () => withFour(servers.slice(0, 3), {}, async (db) => {
    const byKey = (moves: { key: string; from: string; to: string }[]) => moves.sort((a, b) => (a.key < b.key ? -1 : 1));
    await Promise.all(keys.map((key) => db.set(key, key)));
    assert.deepEqual(await all(db.misplaced()), []);
    const before = nodesFor(db);
    const planned = byKey(await all(db.misplaced(servers.map(hostOf))));
    assert.deepEqual(nodesFor(db), before, "asking changes nothing");
    await db.setHosts(servers.map(hostOf));
    const after = nodesFor(db);
    const moved = keys.map((key, i) => ({ key, from: before[i]!, to: after[i]! })).filter(({ from, to }) => from !== to);
    assert.deepEqual(planned, byKey(moved));
    assert.ok(moved.length > 0 && moved.every(({ to }) => to === hostOf(servers[3]!)));
    const misplaced = byKey(await all(db.misplaced()));
    assert.deepEqual(misplaced, planned);
    // As the README shows it: each key is copied, then deleted where it was.
    for (const { key, from, to } of misplaced) {
      const [source, target] = [db.shards().get(from)!, db.shards().get(to)!];
      await target.restore(key, 0, (await source.with({ charset: null }).dump(key))!);
      await source.del(key);
    }
    assert.deepEqual(await all(db.misplaced()), []);
    assert.deepEqual(await db.mget(keys), keys);
    const leaving = await all(db.misplaced(servers.slice(1).map(hostOf)));
    assert.deepEqual(leaving.map(({ key }) => key).sort(), await heldBy(servers[0]!));
  }));

  test("a bad list is a TypeError that names what is wrong, and changes nothing",
    () => withFour(servers, { name: "unchanged" }, async (db) => {
    const [a, b] = servers.map(hostOf) as [string, string];
    const before = await idsOf(servers, "unchanged");
    const places = nodesFor(db);
    const wrong: [hosts: unknown, says: RegExp][] = [
      [[], /hosts/], ["127.0.0.1:6379", /hosts/], [null, /hosts/], [[a, b, a], new RegExp(`hosts\\[2\\]: ${a} `)],
      [[a, "localhost"], /hosts\[1\]/], [[a, "localhost:99999"], /hosts\[1\].*port/],
      [[a, null], /hosts\[1\]/], [[6379], /hosts\[0\]/],
      [[a, { host: "localhost", port: 1, weight: -1 }], /hosts\[1\].*weight/],
      [[{ host: "localhost", port: 1, weight: 0 }], /hosts.*weight/],
      [[a, "redis://:hunter2@localhost:99999"], /hosts\[1\].*URL/], [[a, { host: "localhost", prot: 1 }], /hosts\[1\].*"prot"/],
    ];
    for (const [hosts, says] of wrong) {
      for (const ask of [() => db.setHosts(hosts as string[]), () => all(db.misplaced(hosts as string[]))]) {
        const error = await failure((async () => ask())());
        assert.ok(error instanceof TypeError, String(error));
        assert.match(error.message, says);
        assert.equal((error as any).code, "INVALID_ARGUMENT");
        assert.doesNotMatch(inspect(error, { showHidden: true, depth: 9 }), /hunter2/);
      }
      assert.deepEqual(nodesFor(db), places);
    }
    await areWhereTheyBelong(db);
    assert.deepEqual(await idsOf(servers, "unchanged"), before);
  }));

  test("while it is being changed it may be changed again: the last list holds",
    () => withFour(servers, { name: "again" }, async (db) => {
    const lists = [[0, 1], [2, 3], [0, 1, 2, 3], [3], [1, 2], [0, 1, 3]].map((which) => which.map((at) => servers[at]!));
    const errors = await underLoad(8, (caller, turn) => db.set(`again:${caller}:${turn % 20}`, turn), async ({ more }) => {
      await more(50);
      for (let round = 0; round < 5; round++) {
        await Promise.all(lists.map((list) => db.setHosts(list.map(hostOf))));
        assert.deepEqual([...db.shards().keys()].sort(), lists.at(-1)!.map(hostOf).sort());
        await nobodyOn([servers[2]!], "again");
        await more(20);
      }
    });
    assert.deepEqual(errors.map(String), []);
    await areWhereTheyBelong(db);
  }));

  test("a pipeline that was begun before finds its nodes", () => withFour(servers, {}, async (db) => {
    const some = keys.slice(0, 60);
    let pipeline: any = db.pipeline();
    for (const key of some) pipeline = pipeline.set(key, key);
    await db.setHosts(servers.slice(0, 2).map(hostOf));
    for (const key of some) pipeline = pipeline.get(key);
    const replies: unknown[] = await pipeline.execPipeline({ errors: "return" });
    assert.deepEqual(new Set(replies.filter((reply) => reply instanceof Error).map(String)), new Set());
    assert.deepEqual(replies, [...some.map(() => "OK"), ...some]);
  }));

  test("a handler of one shard that is let go says that it is closed", () => withFour(servers, {}, async (db) => {
    const key = keys.find((each) => db.nodeFor(each) === hostOf(servers[3]!))!;
    const shard = db.shard(key);
    assert.equal(await shard.set(key, "there"), "OK");
    await db.setHosts(servers.slice(0, 3).map(hostOf));
    assert.deepEqual([(await failure(shard.get(key))).code, (await failure(shard.ready())).code], ["CLOSED", "CLOSED"]);
    assert.equal(await db.shard(key).get(key), null);
  }));

  test("when the handler is closed it says so, and ends what is under way", async () => {
    for (const close of ["disconnect", "destroy"] as const) {
      await withFour(servers, { name: "closing", replyTimeout: 60_000 }, async (db) => {
        const s = await db.subscribe(keys);
        const key = keys.find((each) => db.nodeFor(each) === hostOf(servers[3]!))!;
        const popped = failure(db.blpop(key, 0));
        await until(async () => (await servers[3]!.call("INFO", "clients")).includes("blocked_clients:1"), "it to block");
        const changing = db.setHosts(servers.slice(0, 2).map(hostOf)).catch((error: unknown) => error);
        if (close === "destroy") db.destroy();
        else await db.disconnect({ timeout: 50 });
        assert.deepEqual([(await soon(popped, "blpop")).code, await all(s)], ["CLOSED", []]);
        await soon(changing, "setHosts to settle");
        const error = await failure((async () => db.setHosts(servers.map(hostOf)))());
        assert.deepEqual([error.code, error.outcome], ["CLOSED", "not-sent"]);
        await nobodyOn(servers, "closing");
      });
    }
  });
});

describe("a live list of hosts", () => {
  const nodes = startServers(3);
  const host = ({ port }: RedisServer): string => `127.0.0.1:${port}`;
  const names = (db: ShardedHandler): string[] => [...db.shards().keys()];

  test("lets everything that is called before the first list wait for it", async () => {
    const { source, push, signals } = lists<string>();
    await using(lazyShardedConnectionPool(source, { poolsize: 2 }), async (db) => {
      const late = await failure(db.with({ replyTimeout: 20 }).get("a"));
      assert.deepEqual([late.code, late.outcome, late.command], ["REPLY_TIMEOUT", "not-sent", "GET"]);
      assert.equal((await failure(db.with({ signal: AbortSignal.timeout(10) }).get("a"))).code, "ABORTED");
      assert.throws(() => db.nodeFor("a"), { code: "NOT_CONNECTED" });
      const pipeline = db.pipeline().set("p", 1).mset({ p: 2, q: 2 }).mget("p", "q");
      const heard: string[] = [];
      const waiting = Promise.all([
        db.mset({ a: 1, b: 2, c: 3, d: 4 }).then(() => db.mget("a", "b", "c", "d")),
        pipeline.execPipeline(),
        db.pipeline().set("{t}1", 1).incr("{t}1").commit(),
        db.transaction(["{t}2"], async (t) => void (await t.multi()).set("{t}2", 1).catch(() => {})),
        db.lease("x", (c) => c.get("x")),
        db.subscribe("news", ({ message }) => void heard.push(message!)).then(() => db.publish("news", "hello")),
        db.ready().then(() => "ready"),
        db.dbsize().then(() => "counted"),
        db.scanIterator().next().then(() => "scanned"),
      ]);
      pipeline.set("later", 1); // belongs to the next
      assert.equal(pipeline.length, 1);
      push(nodes.map(host));
      assert.deepEqual(await waiting, [
        ["1", "2", "3", "4"], ["OK", "OK", ["2", "2"]], ["OK", 2], ["OK"], null, 1, "ready", "counted", "scanned",
      ]);
      await until(() => heard.length === 1, "the message");
      assert.equal(signals.length, 1);
      const crossing = db.pipeline();
      assert.throws(() => { for (let i = 0; i < 40; i++) crossing.smove(`a${i}`, `b${i}`, "m"); }, NotSupportedError);
    });
    assert.equal(signals[0]!.aborted, true);
    await Promise.all(nodes.map((node) => node.call("FLUSHALL")));
  });

  test("what cannot be sent to the nodes of the list is refused when there is one", async () => {
    const { source, push } = lists<string>();
    await using(lazyShardedConnection(source), async (db) => {
      const crossing = db.pipeline().get("k");
      for (let i = 0; i < 40; i++) crossing.rename(`a${i}`, `b${i}`); // some of them
      const refused = failure(crossing.execPipeline());
      push(nodes.map(host));
      assert.ok(await refused instanceof NotSupportedError);
    });
  });

  test("replaces the nodes under load without one failure; setHosts() ends it", async () => {
    const { source, push, signals } = lists<object>();
    const all = nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
    push(all);
    await using(await shardedConnectionPool(source, { poolsize: 2 }), async (db) => {
      const errors = await underLoad(20, (caller, turn) => db.incr(`${caller}:${turn}`), async ({ more }) => {
        for (const list of [all.slice(1), all, all.slice(0, 2), [{ ...all[0], weight: 3 }, all[2]!]]) {
          push(list);
          await until(() => names(db).length === list.length, "the list to be taken");
          await more(100);
        }
        await db.setHosts(all);
        assert.equal(signals[0]!.aborted, true);
        push(all.slice(1));
        await more(100);
        assert.equal(names(db).length, 3);
      });
      assert.deepEqual(errors.map(String), []);
    });
    await Promise.all(nodes.map((node) => node.call("FLUSHALL")));
  });

  test("that is wrong changes nothing, and is told by a warning; without any, calls fail at once", () => warnings("BAD_LIST", async (told) => {
    const { source, push, fail } = lists<string>();
    await using(lazyShardedConnection(source), async (db) => {
      fail(new Error("nothing there"));
      const first = await failure(db.get("k"));
      assert.deepEqual([first.code, first.outcome, first.command], ["NOT_CONNECTED", "not-sent", "GET"]);
      assert.match(inspect(first), /nothing there/);
      assert.equal((await failure(shardedConnection(source))).code, "NOT_CONNECTED");
      push([host(nodes[0]!)]);
      await until(() => db.get("k").then(() => true, () => false), "the list to be taken");
      push(["a:1", "a:1"]);
      await until(() => told.length === 2, "the warnings");
      assert.match(told[1]!.message, /hosts\[1\]: a:1 is already in the list/);
      assert.deepEqual(names(db), [host(nodes[0]!)]);
    });
  }));

  test("ends what waits for the first list when the handler is closed", async () => {
    const { source, signals } = lists<string>();
    const db = lazyShardedConnection(source);
    const waiting = [db.get("k"), db.pipeline().get("k").execPipeline(), db.ready(), db.subscribe("news")].map(failure);
    await until(() => signals.length === 1, "the function to be called");
    await db.disconnect();
    for (const error of await Promise.all(waiting)) assert.equal(error.code, "CLOSED");
    assert.equal((await failure(db.get("k"))).code, "CLOSED");
    assert.equal(signals[0]!.aborted, true);
  });
});

describe("the others go on when one of four is killed", () => {
  const servers = startServers(4);

  test("of 100 callers' calls none fails that is for another node, and its own fail until it is back", () =>
    withFour(servers, {}, async (db) => {
    const mortal = servers[1]!;
    const failed = new Map<string, number>();
    const done = new Map<string, number>(servers.map((one) => [hostOf(one), 0]));
    const call = async (caller: number, turn: number): Promise<void> => {
      const key = `caller:${caller}:${turn % 16}`;
      const node = db.nodeFor(key);
      try {
        await db.set(key, turn);
        const value = await db.get(key);
        // Without a file of its own, the one that is restarted has forgotten.
        assert.ok(value === String(turn) || node === hostOf(mortal), `${value} instead of ${turn}`);
        done.set(node, done.get(node)! + 1);
      } catch (error: any) {
        if (!(error instanceof ConnectionError)) throw error;
        failed.set(node, (failed.get(node) ?? 0) + 1);
        if (error.code === "NOT_CONNECTED") assert.ok(error.message.includes(hostOf(mortal)), error.message);
      }
    };
    const progress = async (ofWhom: RedisServer[]): Promise<void> => {
      const before = new Map(done);
      for (const name of ofWhom.map(hostOf)) await until(() => done.get(name)! >= before.get(name)! + 300, `calls of ${name}`);
    };
    const errors = await underLoad(100, call, async () => {
      await progress(servers);
      for (let kill = 1; kill <= 3; kill++) {
        await mortal.kill();
        const before = failed.get(hostOf(mortal)) ?? 0;
        await until(() => (failed.get(hostOf(mortal)) ?? 0) > before, "its own to fail");
        await progress(servers.filter((one) => one !== mortal));
        await mortal.restart();
        await progress(servers);
      }
    });
    assert.deepEqual(errors.map(String), []);
    assert.deepEqual([...failed.keys()], [hostOf(mortal)], `failures: ${inspect(failed)}, successes: ${inspect(done)}`);
  }));

  test("what is spread over the nodes fails with the keys of that one, and tells what the others said", () =>
    withFour(servers, {}, async (db) => {
    const keys = Array.from({ length: 40 }, (_, i) => `spread:${i}`);
    await db.mset(Object.fromEntries(keys.map((key) => [key, key])));
    const mortal = servers[3]!;
    const lost = keys.filter((key) => db.nodeFor(key) === hostOf(mortal));
    await mortal.kill();
    await until(() => db.shard(lost[0]!).ping().then(() => false, () => true), "it to be missed");
    const error = await failure(db.mget(keys));
    assert.deepEqual(error.failures.map(({ node, keys: affected }: any) => [node, affected]), [[hostOf(mortal), lost]]);
    assert.ok(error.failures[0].error instanceof ConnectionError);
    const answered = error.done.flatMap(({ keys: those, reply }: any) => those.map((key: string, i: number) => [key, reply[i]]));
    const others = keys.filter((key) => !lost.includes(key));
    assert.deepEqual(answered.sort(), others.map((key) => [key, key]).sort());
    assert.deepEqual(await db.mget(others), others);
    await mortal.restart();
    await until(() => db.mget(keys).then(() => true, () => false), "it to be found again");
  }));
});

describe("steps over nodes", () => {
  const pools = { poolsize: 3 };
  const turns = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await new Promise(setImmediate);
  };
  /** The server has been given this command, and has it wait until it is unpaused. */
  const isHeld = (one: RedisServer, name: string): Promise<boolean> => until(async () =>
    new RegExp(` flags=\\w*b.* cmd=${name} `).test(await one.call("CLIENT", "LIST")), `${name} to wait`);
  /** While it runs, the server keeps all writes waiting until it is told to go on. */
  async function holding<T>(one: RedisServer, use: (goOn: () => Promise<unknown>) => Promise<T>): Promise<T> {
    await one.call("CLIENT", "PAUSE", "60000", "WRITE");
    try {
      return await use(() => one.call("CLIENT", "UNPAUSE"));
    } finally {
      await one.call("CLIENT", "UNPAUSE");
    }
  }

  type Scripted = (peer: Peer, command: string[]) => unknown;
  /** Gives a handler of these servers, and their names, to `use`. A scripted one answers :1 unless it is told otherwise. */
  async function withPlayed(
    parts: (RedisServer | Scripted)[], options: Sharding, use: (db: ShardedHandler, ...names: string[]) => Promise<void>,
  ): Promise<void> {
    const start = (script: Scripted): Promise<ScriptedServer> => ScriptedServer.start(async (peer) => {
      await peer.hello();
      for (;;) {
        const command = await peer.read();
        if (await script(peer, command) === undefined) peer.write(":1\r\n");
      }
    });
    const played = await Promise.all(parts.map((part) => part instanceof RedisServer ? part : start(part)));
    const names = played.map(({ host, port }) => `${host}:${port}`);
    const db = await shardedConnection(names, options) as unknown as ShardedHandler;
    try {
      await use(db, ...names);
    } finally {
      db.destroy();
      for (const one of played) if (one instanceof ScriptedServer) await one.stop();
    }
  }

  test("SMOVE of one member by two at once leaves it in one of the sets or in both, and never in none", () =>
    withShards({}, (db) => withFour(shards, { poolsize: 1 }, async (other) => {
    const [from, to] = keyOnEach(db) as [string, string];
    const rounds = async (member: string): Promise<void> => {
      for (let round = 0; round < 30; round++) {
        await Promise.all([db.srem(to, member), db.sadd(from, member)]);
        await Promise.all([db.smove(from, to, member), turns(round % 4).then(() => other.smove(from, to, member))]);
        const held = await Promise.all([db.sismember(from, member), db.sismember(to, member)]);
        assert.ok(sum(held) > 0, `it is in none after round ${round}`);
      }
    };
    await Promise.all(Array.from({ length: 10 }, (_, i) => rounds(`member:${i}`)));
  })));

  // ---- Elements on their way ----

  type Move = [name: string, move: (db: ShardedHandler, from: string, to: string) => Promise<string | null>];
  const moves = (): Move[] => [
    ["RPOPLPUSH", (db, from, to) => db.rpoplpush(from, to)], ["BRPOPLPUSH", (db, from, to) => db.brpoplpush(from, to, 5)],
    ...(isOld() ? [] : [
      ["LMOVE", (db, from, to) => db.lmove(from, to, "LEFT", "RIGHT")],
      ["BLMOVE", (db, from, to) => db.blmove(from, to, "LEFT", "RIGHT", 5)],
    ] satisfies Move[]),
  ];

  /** The element is on the first server, on the second or where the error says, and nothing else is left of the call. */
  async function isSomewhere(from: string, to: string, element: string, moved: any, about: string): Promise<void> {
    const listed = async (at: number, key: string): Promise<string[]> => shards[at]!.call("LRANGE", key, "0", "-1");
    const [source, target] = await Promise.all([listed(0, from), listed(1, to)]);
    const named: string[] = (moved?.done ?? []).flatMap(({ keys }: { keys: Key[] }) => keys.map(String));
    const aside = (await Promise.all(named.map((key) => listed(0, key)))).flat();
    const told = `${about}: ${inspect({ moved, source, target, aside })}`;
    assert.ok([source, target, aside].flat().includes(element), `it is nowhere ${told}`);
    if (moved === element) assert.deepEqual([source, target], [[], [element]], told);
    assert.ok([source, target].flat().length <= 1, `it is there twice ${told}`);
    const left = (await onEach("KEYS", "redis.ts:*")).flat().filter((key) => !named.includes(key));
    assert.deepEqual(left, [], `something is left ${told}`);
    if (named.length > 0) await shards[0]!.call("DEL", ...named);
  }

  for (const pushed of ["before it", "before the end", "after the end"] as const) {
    test(`an element pushed ${pushed} is in a list when the call that moves it is aborted at any moment`, () =>
      withShards(pools, async (db) => {
      const [from, to] = keyOnEach(db) as [string, string];
      const push = (element: string): Promise<unknown> => shards[0]!.call("RPUSH", from, element);
      for (const [name, move] of moves()) {
        for (let round = 0; round < 36; round++) {
          const [abort, element, moment] = [new AbortController(), `element:${round}`, round % 12];
          const about = `${name} aborted after ${moment} turns in round ${round}`;
          if (pushed === "before it") await push(element);
          const moving = move(db.with({ signal: abort.signal }), from, to).catch((error: unknown) => error);
          if (pushed === "before the end") await turns(round % 5);
          const before = pushed === "before the end" && push(element);
          await turns(moment);
          abort.abort();
          await Promise.all([before, pushed === "after the end" && push(element)]);
          const moved = await soon(moving, about);
          await isSomewhere(from, to, element, moved, about);
          await Promise.all([db.del(from), db.del(to)]);
        }
      }
    }));
  }

  test("a list whose last element is put back when the call is aborted keeps its time to live", () =>
    withShards(pools, async (db) => {
    const [from, to] = keyOnEach(db) as [string, string];
    for (const [name, move] of moves()) {
      for (let moment = 0; moment < 12; moment++) {
        const abort = new AbortController();
        await db.rpush(from, "only");
        await db.pexpire(from, 1_000_000);
        const moving = move(db.with({ signal: abort.signal }), from, to).catch((error: unknown) => error);
        await turns(moment);
        abort.abort();
        await moving;
        const left = await db.pttl(from);
        if (left !== -2) assert.ok(left > 0, `${name} aborted after ${moment} turns: it has lost its time to live`);
        await Promise.all([db.del(from), db.del(to)]);
      }
    }
  }));

  for (const end of ["disconnect", "setHosts", "destroy"] as const) {
    test(`an element on its way ${end === "destroy" ? "is in a list after" : "arrives in spite of"} ${end}()`, async () => {
      for (const [name, move] of moves()) {
        for (const moment of [0, 1, 2, 3, 5]) {
          await withShards({ name: "moving" }, async (db) => {
            const [from, to] = keyOnEach(db) as [string, string];
            await db.rpush(from, "precious");
            const moving = move(db, from, to).catch((error: unknown) => error);
            await turns(moment);
            if (end === "setHosts") await db.setHosts([addresses()[1]!]);
            else await db[end]();
            const moved = await soon(moving, "it to settle");
            if (end === "destroy") await nobodyOn(shards, "moving"); // then all it wrote has been read
            else assert.equal(moved, "precious");
            await isSomewhere(from, to, "precious", moved, `${name} after ${moment} turns`);
          });
        }
      }
    });
  }

  test("an element whose destination holds no list is put back where it was, and its list keeps its time to live", () =>
    withShards(pools, async (db) => {
    const [from, to, other] = keyOnEach(db) as [string, string, string];
    await db.set(to, "text");
    for (const [name, move] of moves()) {
      for (let round = 0; round < 24; round++) {
        const elements = round % 2 ? ["only"] : ["first", "second", "third"];
        const ttl = round % 3 ? 1_000_000 : -1;
        await db.rpush(from, elements);
        if (ttl > 0) await db.pexpire(from, ttl);
        const error = await failure(move(db, from, to));
        assert.deepEqual([error.code, error.outcome, error.command], ["WRONGTYPE", "not-executed", name]);
        assert.deepEqual([await db.lrange(from, 0, -1), await db.get(to), await db.dbsize()], [elements, "text", 2], name);
        const left = await db.pttl(from);
        assert.ok(ttl < 0 ? left === ttl : left > 0, `${name}: of ${ttl} ms are left ${left} for ${elements}`);
        await db.del(from);
      }
      await db.set(from, "text");
      assert.equal((await failure(move(db, from, other))).code, "WRONGTYPE");
      assert.deepEqual([await db.get(from), await db.dbsize()], ["text", 2]);
      await db.del(from);
    }
  }));

  test("an element that cannot be put back, because its list has become a text, is where the error says", () =>
    withShards(pools, async (db) => {
    const [from, to] = keyOnEach(db) as [string, string];
    await db.set(to, "text");
    for (const [name, move] of moves()) {
      await db.rpush(from, name);
      const error = await holding(shards[1]!, async (goOn) => {
        const moving = failure(move(db, from, to));
        await isHeld(shards[1]!, "[lr]push");
        await shards[0]!.call("SET", from, "theirs");
        await goOn();
        return moving;
      });
      assert.ok(error instanceof ShardError, `${name}: ${inspect(error)}`);
      assert.deepEqual([error.code, error.outcome, error.command], ["WRONGTYPE", "unknown", name]);
      const [{ node, keys: [key], reply }] = error.done as [ShardError["done"][number]];
      assert.deepEqual([node, String(reply), await db.get(from)], [addresses()[0], name, "theirs"]);
      assert.deepEqual(await shards[0]!.call("LRANGE", String(key), "0", "-1"), [name]);
      await Promise.all([shards[0]!.call("DEL", String(key)), db.del(from)]);
    }
  }));

  for (const [at, which] of ["source", "destination"].entries()) {
    test(`an element whose ${which} is frozen is where the error says`, () =>
      withShards({ poolsize: 5, replyTimeout: 500, name: "frozen" }, async (db) => {
      const all = moves().map(([name, move], i) => {
        const [from, to] = nodeNames(db).map((node) => keysOn(db, node, "list", 4)[i]!) as [string, string];
        return { name, move, from, to };
      });
      for (const { from, name } of all) await db.with({ replyTimeout: 30_000 }).rpush(from, name);
      shards[at]!.freeze();
      const errors = await Promise.all(all.map(async ({ name, move, from, to }) => {
        const abort = new AbortController();
        const moving = failure(move(db.with({ signal: abort.signal }), from, to));
        await turns(5);
        if (which === "source" && name.startsWith("B")) abort.abort(); // it may wait for as long as it may block
        return soon(moving, name);
      })).finally(() => shards[at]!.thaw());
      db.destroy();
      await nobodyOn(shards, "frozen");
      const named: string[] = [];
      for (const [i, { name, from, to }] of all.entries()) {
        const error = errors[i];
        assert.ok(error instanceof ShardError, `${name}: ${inspect(error)}`);
        assert.deepEqual([error.outcome, error.command], ["unknown", name]);
        const [{ node, keys: [key], reply }] = error.done as [ShardError["done"][number]];
        assert.deepEqual([node, reply && String(reply)], [addresses()[0], which === "source" ? null : name]);
        const calls = [[0, from], [1, to], [0, String(key)]] as const;
        const lists = await Promise.all(calls.map(([one, list]) => shards[one]!.call("LRANGE", list, "0", "-1")));
        assert.ok(lists.flat().includes(name), `${name}: ${inspect(lists)}`);
        named.push(String(key));
      }
      assert.deepEqual((await onEach("KEYS", "redis.ts:*")).flat().filter((key) => !named.includes(key)), []);
    }));
  }

  // ---- Keys on their way ----

  test("RENAMENX leaves alone what somebody else has put where the copy was", () => withShards(pools, async (db) => {
    const [from, to] = keyOnEach(db) as [string, string];
    await db.set(from, "first");
    const [renamed, theirs] = await holding(shards[1]!, async (goOn) => {
      const renaming = db.renamenx(from, to);
      await isHeld(shards[1]!, "restore");
      await shards[0]!.call("SET", from, "second"); // what was copied is not what it is
      const setting = withDb({ port: shards[1]!.port }, (other) => other.set(to, "theirs"));
      await isHeld(shards[1]!, "set");
      await goOn();
      return Promise.all([renaming, setting]);
    });
    assert.deepEqual([renamed, theirs, await db.mget(from, to)], [0, "OK", ["second", "theirs"]]);
    await db.del(to);
    const again = await holding(shards[1]!, async (goOn) => {
      const renaming = db.renamenx(from, to);
      await isHeld(shards[1]!, "restore");
      await shards[0]!.call("SET", from, "third");
      await goOn();
      return renaming;
    });
    assert.deepEqual([again, await db.mget(from, to)], [1, [null, "third"]], "its own copy it replaces");
  }));

  for (const method of ["rename", "renamenx"] as const) {
    for (const old of method === "rename" ? ["old", null] : [null]) {
      test(`${method}() over ${old} of a key that somebody deletes half-way has renamed it or changed nothing, as it says`, () =>
        withShards(pools, async (db) => {
        const [from, to] = keyOnEach(db) as [string, string];
        await db.set(from, "source");
        if (old !== null) await db.set(to, old);
        const became: any = await holding(shards[1]!, async (goOn) => {
          const renaming = fate(db[method](from, to));
          await isHeld(shards[1]!, "restore");
          await shards[0]!.call("DEL", from);
          await goOn();
          return renaming;
        });
        const isRenamed = became.reply === (method === "rename" ? "OK" : 1);
        if (isRenamed) assert.deepEqual(await db.mget(from, to), [null, "source"], inspect(became));
        else assert.deepEqual([became.code, became.changed, await db.mget(from, to)], ["ERR", false, [null, old]]);
      }));
    }
  }

  test("the outcome of RENAME is unknown when it has replaced the destination and then fails", async () => {
    let reads = 0;
    let isQueued = false;
    const changing: Scripted = (peer, [name]) => {
      if (name === "MULTI") reads++;
      if (name === "MULTI" || name === "EXEC") isQueued = name === "MULTI";
      const replies: Record<string, string> = {
        MULTI: "+OK", WATCH: "+OK", UNWATCH: "+OK", PTTL: "+QUEUED",
        DUMP: !isQueued ? "$7\r\nanother" : reads === 1 ? "+QUEUED" : "-ERR not now",
        EXEC: reads === 1 ? "*2\r\n:-1\r\n$3\r\none" : "-EXECABORT Transaction discarded",
      };
      return peer.write(`${replies[name!]}\r\n`) ?? true;
    };
    const restoring: Scripted = (peer) => peer.write("+OK\r\n") ?? true;
    await withPlayed([changing, restoring], {}, async (db, here, there) => {
      const error = await failure(db.rename(keyOn(db, here!), keyOn(db, there!)));
      assert.deepEqual([error.raw, error.outcome, error.command, reads], ["ERR not now", "unknown", "RENAME", 2]);
    });
  });

  type Ask = (key: string) => Promise<unknown>;
  const replacements: [by: string, replace: Ask, is: Ask, now: unknown][] = [
    ["another text", (key) => shards[0]!.call("SET", key, "theirs"), (key) => shards[0]!.call("GET", key), "theirs"],
    ["more of it", (key) => shards[0]!.call("APPEND", key, " theirs"), (key) => shards[0]!.call("GET", key), "mine theirs"],
    ["nothing", (key) => shards[0]!.call("DEL", key), (key) => shards[0]!.call("GET", key), null],
    ["a list", (key) => shards[0]!.call("DEL", key).then(() => shards[0]!.call("RPUSH", key, "theirs")),
      (key) => shards[0]!.call("LRANGE", key, "0", "-1"), ["theirs"]],
  ];
  for (const [by, replace, is, now] of replacements) {
    test(`MSETNX takes back what is still its own, and not what somebody has replaced by ${by}`, async () => {
      let goOn = (): void => {};
      const late: Scripted = async (peer, [name]) => {
        if (name === "MSETNX") await new Promise<void>((resolve) => { goOn = resolve; });
        peer.write(":0\r\n");
        return true;
      };
      await shards[0]!.call("FLUSHALL");
      await withPlayed([shards[0]!, late], {}, async (db, here, there) => {
        const [first, changed, last] = keysOn(db, here!, "key", 3) as [string, string, string];
        const setting = db.msetnx([first, changed, last, keyOn(db, there!)].flatMap((key) => [key, "mine"]));
        await until(async () => await shards[0]!.call("EXISTS", first) === 1, "its own node to have set them");
        await replace(changed);
        goOn();
        assert.equal(await setting, 0);
        assert.deepEqual([await shards[0]!.call("EXISTS", first, last), await is(changed)], [0, now]);
      });
    });
  }

  test("MSETNX says that the outcome is unknown when that of one node is, whatever the others say", async () => {
    let left: Peer | undefined;
    const leaving: Scripted = (peer, [name]) => {
      if (name !== "EXISTS") return;
      peer.write(":0\r\n");
      peer.end();
      left = peer;
      return true;
    };
    const silent: Scripted = async (peer, [name]) => {
      if (name === "MSETNX") return peer.reset() ?? true;
      await (await until(() => left, "the other to leave"))!.closed;
      peer.write(":0\r\n");
      return true;
    };
    await withPlayed([leaving, silent], { reconnect: false, replyTimeout: 30_000 }, async (db, gone, lost) => {
      const error = await failure(db.msetnx(keyOn(db, gone!), 1, keyOn(db, lost!), 1));
      assert.deepEqual([error.outcome, error.command, error instanceof ConnectionError], ["unknown", "MSETNX", true]);
    });
  });

  type Slow = [name: string, last: string, call: (db: ShardedHandler, a: string, b: string) => Promise<unknown>];
  const slow: [what: string, steps: Slow[]][] = [
    ["what goes step by step", [
      ["SMOVE", "SADD", (db, a, b) => db.smove(a, b, "m")], ["RENAME", "RESTORE", (db, a, b) => db.rename(a, b)],
      ["RENAMENX", "RESTORE", (db, a, b) => db.renamenx(a, b)], ["COPY", "RESTORE", (db, a, b) => db.copy(a, b)],
    ]],
    ["what is brought together", [
      ["SINTER", "MULTI", (db, a, b) => db.sinter(b, a)], ["PFCOUNT", "MULTI", (db, a, b) => db.pfcount(b, a)],
    ]],
  ];
  for (const [what, steps] of slow) test(`all steps of ${what} have one deadline`, async () => {
    const replies: Record<string, string> = {
      MULTI: "+OK\r\n", PTTL: "+QUEUED\r\n", DUMP: "+QUEUED\r\n", EXEC: "*2\r\n:-1\r\n$1\r\nx\r\n", SMEMBERS: "*1\r\n$1\r\nm\r\n",
      GET: "$1\r\nx\r\n",
    };
    for (const [name, last, call] of steps) await inVirtualTime(async (pass) => {
      let goOn = (): void => {};
      const gate = new Promise<void>((resolve) => { goOn = resolve; });
      let isLast = false;
      const first: Scripted = (peer, [command]) => gate.then(() => {
        peer.write(replies[command!] ?? ":1\r\n");
        return true;
      });
      const second: Scripted = (_, [command]) => {
        isLast ||= command === last;
        return true; // which is no answer
      };
      await withPlayed([first, second, second], { replyTimeout: 240 }, async (db, one, other, third) => {
        const order: string[] = [];
        const told = (what: string) => (error: any): void => {
          assert.deepEqual([error.code, error instanceof TimeoutError], ["REPLY_TIMEOUT", true], `${name}: ${inspect(error)}`);
          order.push(what);
        };
        const several = failure(call(db, keyOn(db, one!), keyOn(db, other!))).then(told("all steps"));
        await pass(60);
        const single = failure(db.get(keyOn(db, third!))).then(told("a single step"));
        await pass(60);
        goOn(); // half of their time is over, and a quarter of that of the single step
        await until(() => isLast, "the last step");
        await pass(119);
        assert.deepEqual(order, [], name);
        await pass(2);
        await several;
        await pass(60);
        await single;
        assert.deepEqual(order, ["all steps", "a single step"], name);
      });
    });
  });

  // ---- What is refused ----

  test("wrong numbers of arguments are refused as one server refuses them, and nothing is done", () =>
    withShards({}, async (db) => {
    const [a, b] = keyOnEach(db) as [string, string];
    const [near, nearer] = keysOn(db, nodeNames(db)[0]!, "near", 2) as [string, string];
    const any = db as any;
    const calls: ((from: string, to: string) => Promise<unknown>)[] = [
      (from, to) => db.call("RPOPLPUSH", from, to, "x"), (from, to) => db.call("SMOVE", from, to, "m", "x"),
      (from, to) => any.smove(from, to), (from, to) => db.call("RENAME", from, to, "x"),
      (from, to) => db.call("RENAMENX", from, to, "x"), (from, to) => db.call("BRPOPLPUSH", from, to),
      (from, to) => db.call("BRPOPLPUSH", from, to, 1, 1), (from, to) => db.call("MSETNX", from, 1, to),
      ...isOld() ? [] : [
        ["LMOVE"], ["LMOVE", "LEFT"], ["LMOVE", "LEFT", "RIGHT", "x"], ["LMOVE", "LEFT", "ASIDE"], ["BLMOVE", "LEFT", "RIGHT"],
        ["BLMOVE", "LEFT", "RIGHT", "soon"],
      ].map(([name, ...words]) => (from: string, to: string) => db.call(name!, from, to, ...words)),
    ];
    for (const call of calls) {
      for (const key of [a, near]) await db.rpush(key, "1", "2");
      const [one, several] = await Promise.all([fate(call(near, nearer)), fate(soon(call(a, b), String(call)))]);
      assert.deepEqual(several, one, String(call));
      assert.ok((several as any).code === "ERR", inspect(several));
      assert.deepEqual([await db.lrange(a, 0, -1), await db.lrange(near, 0, -1), await db.dbsize()], [["1", "2"], ["1", "2"], 2]);
      await db.flushall();
    }
    for (const call of [() => any.get(), () => any.set(), () => any.lpush(), () => db.call("GET"), () => any.rename()]) {
      const error = await failure(soon(call(), String(call)));
      assert.ok(["not-sent", "not-executed"].includes(error.outcome), inspect(error));
      assert.match(error.message, /wrong number of arguments|no key/);
    }
    for (const call of [() => db.mset(a, 1, b), () => db.call("MSET", a, 1, b, 2, near), () => any.mset(a, 1, b, 2, near)]) {
      assert.ok(["not-sent", "not-executed"].includes((await failure(call())).outcome));
      assert.deepEqual(await onEach("DBSIZE"), [0, 0, 0, 0], "MSET with a key that has no value writes nothing");
    }
  }));

  test("a user who may not write the copies that are needed is told NOPERM", async () => {
    await onEach("ACL", "SETUSER", "narrow", "on", ">hunter2", "~app:*", "+@all");
    try {
      await withShards({ username: "narrow", password: "hunter2" }, async (db) => {
        const [a, b, c] = keyOnEach(db, "app:") as [string, string, string];
        await Promise.all([a, b].map((key) => db.sadd(key, "member")));
        const calls: [name: string, call: () => Promise<unknown>][] = [
          ["SINTER", () => db.sinter(a, b)], ["SUNIONSTORE", () => db.sunionstore(c, a, b)],
        ];
        for (const [name, call] of calls) {
          const error = await failure(call());
          assert.ok(error instanceof ReplyError, inspect(error));
          assert.deepEqual([error.code, error.outcome, error.command], ["NOPERM", "not-executed", name]);
        }
        await db.rpush(keyOn(db, addresses()[0]!, "app:list"), "element");
        const error = await failure(db.rpoplpush(keyOn(db, addresses()[0]!, "app:list"), keyOn(db, addresses()[1]!, "app:list")));
        assert.deepEqual([error.code, error.outcome, error.command], ["NOPERM", "not-executed", "RPOPLPUSH"]);
        assert.deepEqual((await onEach("DBSIZE")), [2, 1, 0, 0]);
      });
    } finally {
      await onEach("ACL", "DELUSER", "narrow");
    }
  });

  // ---- What it costs ----

  test("the last of 3,000 channels costs not much more than the first", () => withShards({}, async (db) => {
    const s = await db.subscribe("first", () => {});
    const thirds: number[] = [];
    for (let third = 0; third < 3; third++) {
      thirds.push(await effort(async () => {
        for (let i = 0; i < 1_000; i++) await s.subscribe(`channel:${third}:${i}`);
      }));
    }
    assert.ok(thirds[2]! < 4 * thirds[0]!, `${thirds.map(Math.round).join(", ")} ms`);
    assert.equal(s.channels.length, 3_001);
  }));

  test("MSET, MGET and DEL of 40,000 keys cost on four nodes not much more than on one", () => withShards({}, (db) =>
    withDb({ port: shards[0]!.port }, async (one) => {
    const keys = Array.from({ length: 40_000 }, (_, i) => `key:${i}`);
    const pairs = keys.flatMap((key) => [key, "value"]);
    const calls: ((to: Handler) => Promise<unknown>)[] = [(to) => to.mset(pairs), (to) => to.mget(keys), (to) => to.del(keys)];
    // Often enough for a processor's time that is counted in steps of 10 ms.
    const often = (to: Handler): Promise<number> => effort(async () => {
      for (let round = 0; round < 4; round++) for (const call of calls) await call(to);
    });
    const least = async (to: Handler): Promise<number> => Math.min(await often(to), await often(to), await often(to));
    const [single, several] = [await least(one), await least(db as unknown as Handler)];
    assert.ok(several <= 6 * single, `${several} ms on four, ${single} ms on one`);
  })));
});

// ==== 17. Slots, 18. Cluster ====

describe("a cluster", () => {
  let cluster: RedisCluster;
  before(async () => {
    cluster = await RedisCluster.start();
  });
  after(() => cluster.stop());

  const withCluster = <T>(use: (db: ClusterHandler) => Promise<T>, options: Options = {}): Promise<T> =>
    using(lazyClusterConnectionPool(cluster.hosts.slice(0, 1), options) as ClusterHandler, use);
  /** The server after the owner of a slot, in turn: a slot can move there. */
  const nextOf = async (slot: number): Promise<RedisServer> => {
    const primaries: RedisServer[] = [];
    for (const at of [0, 8_191, 16_383]) primaries.push(await cluster.owner(at));
    const owner = await cluster.owner(slot);
    return primaries.find((server) => server !== owner)!;
  };
  const slotOf = (key: string): number => internals.slotOf(key);
  /** How many calls of a command a server has counted. */
  const calls = async (on: RedisServer, name: string): Promise<number> =>
    Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(await on.call("INFO", "commandstats"))?.[1] ?? 0);

  test("finds every key's slot as the server does, in text and in bytes", async () => {
    const keys = ["", "123456789", "foo", "{user1000}.following", "foo{}{bar}", "foo{{bar}}zap", "{bar", "foo{bar}{zap}", "{}", "{}key",
      "{a}{b}:x", "a{b", "a}b{c}d", "a{b}c}d", "}{a}", "{中}x", "中文", "é", "x".repeat(4_856), "x".repeat(4_855)];
    for (let i = 0; i < 200; i++) keys.push(Array.from({ length: i % 40 }, () => "ab{}é€😀:"[Math.floor(Math.random() * 9)]).join(""));
    for (const key of keys) {
      const slot = await cluster.servers[0]!.call("CLUSTER", "KEYSLOT", key);
      assert.equal(internals.slotOf(key), slot, JSON.stringify(key));
      assert.equal(internals.slotOf(Buffer.from(key)), slot, JSON.stringify(key));
    }
    assert.equal(internals.slotOf(Buffer.from([0, 255, 0])), 1_023);
  });

  test("commands without a key, and with keys to be divided, go where the server's tips say", async () => {
    const unsplit = ["msetnx"]; // not atomic in parts: later servers have no such tip
    const unasked = ["wait", "script|kill", "function|kill", "latency|graph", "latency|histogram", "latency|history", "memory|malloc-stats"];
    const merges: Record<string, string[]> = {
      agg_sum: ["sum"], agg_logical_and: ["least"], all_succeeded: ["first"], special: ["first"], undefined: ["joined", "random", "first", "inTurn"],
    };
    const all: any[] = await cluster.servers[0]!.call("COMMAND");
    const byName = new Map(rows.map(([, row]) => [row.name.text.toLowerCase().replace(" ", "|"), row]));
    let count = 0;
    for (const [name, , , , , , , tips] of all.flatMap((command) => [command, ...command[9]])) {
      const policy = (kind: string): string | undefined => tips.find((tip: string) => tip.startsWith(`${kind}_policy:`))?.split(":")[1];
      const row = byName.get(name);
      const request = policy("request");
      if (row === undefined || request === undefined || request === "special" || [...unsplit, ...unasked].includes(name)) continue;
      count++;
      const spread = row.spread as string;
      assert.ok(request === "multi_shard" ? spread === "split" : ["all", "each"].includes(spread), `${name}: ${request}, ${spread}`);
      if (spread !== "each") assert.ok(merges[String(policy("response"))]!.includes(row.merge.name), `${name}: ${row.merge.name}`);
    }
    assert.ok(count > 25, `${count} with a tip`);
  });

  test("is found from one seed, and each command goes to the node of its key", () => withCluster(async (db) => {
    const before = await Promise.all(cluster.servers.map((server) => calls(server, "set")));
    const keys = Array.from({ length: 300 }, (_, i) => `spread:${i}`);
    assert.deepEqual(await Promise.all(keys.map((key, i) => db.set(key, i))), keys.map(() => "OK"));
    assert.deepEqual(await db.mget(keys), keys.map((_, i) => String(i)));
    assert.equal(await db.exists(keys, "spread:none"), 300);
    assert.equal(await db.del(keys.slice(100)), 200);
    assert.equal(await db.dbsize(), 100);
    const found: string[] = [];
    for await (const key of db.scanIterator({ COUNT: 10 })) found.push(key);
    assert.deepEqual(found.sort(), keys.slice(0, 100).sort());
    assert.equal(await db.flushall(), "OK");
    assert.equal(await db.dbsize(), 0);
    const counts = await Promise.all(cluster.servers.slice(0, 3).map((server) => calls(server, "set")));
    assert.ok(counts.every((count, i) => count > before[i]!));
    assert.equal(counts.reduce((sum, count, i) => sum + count - before[i]!, 0), 300); // none was redirected
  }));

  test("describes its nodes, with their slots and states", () => withCluster(async (db) => {
    const nodes = await db.nodes();
    assert.deepEqual(nodes.map(({ address }) => address).sort(), [...cluster.hosts].sort());
    const primaries = nodes.filter(({ role }) => role === "primary");
    assert.equal(primaries.length, 3);
    assert.equal(primaries.flatMap(({ slots }) => slots).reduce((sum, [from, to]) => sum + to - from + 1, 0), 16_384);
    for (const { id, state, role } of nodes) {
      assert.match(id, /^[0-9a-f]{40}$/);
      if (role === "replica") assert.equal(state, "unused");
    }
    await db.ready();
    assert.ok((await db.nodes()).every(({ role, state }) => role === "replica" || state === "connected"));
    assert.equal(db.nodeFor("{06S}x"), primaries.find(({ slots }) => slots[0]![0] === 0)!.address);
    assert.equal(await db.shard("{06S}x").ping(), "PONG");
    assert.deepEqual(Object.keys(await db.ping()).sort(), primaries.map(({ address }) => address).sort());
  }));

  test("call() of a command whose keys it does not know goes where the node says", () => withCluster(async (db) => {
    for (const key of ["{06S}pf", "{8YG}pf", "{6ZJ}pf"]) {
      await db.pfadd(key, "x");
      assert.equal(await db.call("PFDEBUG", "ENCODING", key), "sparse"); // its key comes second
    }
    assert.equal(await db.publish(5, "to a channel that is a number"), 0);
  }));

  test("an eager handler has all its connections, and closes all of them", async () => {
    const db = await clusterConnectionPool(cluster.hosts, { poolsize: 2, name: "eager" });
    assert.equal(await db.set("eager", 1), "OK");
    const named = async (): Promise<number> => {
      const lists = await Promise.all(cluster.servers.map((server) => server.call("CLIENT", "LIST")));
      return lists.join("").split("name=eager ").length - 1;
    };
    assert.equal(await named(), 6);
    await db.disconnect();
    await until(async () => await named() === 0, "the connections to close");
    assert.equal((await failure(db.get("eager"))).code, "CLOSED");
  });

  test("a server that is not one says so, to eager and to lazy handlers", async () => {
    const error = await failure(clusterConnection([`127.0.0.1:${server.port}`]));
    assert.equal(error.code, "WRONG_SERVER");
    assert.match(error.message, /is not a node of a cluster; use connection\(\) or connectionPool\(\)/);
    await using(lazyClusterConnection([{ port: server.port }]), async (db) => {
      const lazy = await failure(db.get("k"));
      assert.deepEqual([lazy.code, lazy.outcome, lazy.unavailable], ["NOT_CONNECTED", "not-sent", true]);
      assert.match(lazy.message, /is not a node of a cluster/);
    });
    assert.throws(() => lazyClusterConnection([]), /seeds must be a list of hosts/);
    assert.throws(() => lazyClusterConnection(["unix:///tmp/redis.sock"]), /option path does not go with a cluster/);
  });

  test("takes no option that says in another way where its servers are", () => {
    const hosts = ["127.0.0.1:7000"];
    const others = {
      sentinels: { sentinels: hosts, master: "m" }, master: { master: "m" }, anyOf: { anyOf: hosts }, proxy: { proxy: "codis" }, replicas: { replicas: hosts },
    } as const;
    for (const [name, options] of Object.entries(others)) {
      const refusal = new RegExp(`^(seeds\\[0\\]: )?option ${name} does not go with a cluster$`);
      const isRefusal = ({ name: kind, message }: Error): boolean => kind === "TypeError" && refusal.test(message);
      assert.throws(() => lazyClusterConnection(hosts, options as Options), isRefusal, name);
      assert.throws(() => lazyClusterConnection([{ host: "127.0.0.1", ...options as Options }]), isRefusal, name);
    }
    assert.throws(() => lazyClusterConnection(["redis+sentinel://a:1/m"]), /seeds\[0\]: option sentinels does not go with a cluster/);
    assert.throws(() => lazyClusterConnection([{ port: 7000, charset: "latin1" }]), /option charset must be the same for all nodes/);
  });

  test("finds its seeds in a live list, for which commands wait; the list ends with the handler", async () => {
    let give: (hosts: string[]) => void = () => {};
    let isEnded = false;
    const source = async function* (signal: AbortSignal): AsyncGenerator<string[]> {
      signal.addEventListener("abort", () => { isEnded = true; });
      for (;;) yield await new Promise<string[]>((resolve) => { give = resolve; });
    };
    await using(lazyClusterConnectionPool(source) as ClusterHandler, async (db) => {
      const written = db.set("live", 1);
      const piped = db.pipeline().get("live").execPipeline();
      const ready = db.ready();
      assert.throws(() => db.nodeFor("live"), /the nodes of the cluster are not known yet/);
      await sleep(20);
      give(cluster.hosts.slice(1, 2));
      assert.deepEqual([await written, await piped], ["OK", ["1"]]);
      await ready;
    });
    assert.ok(isEnded);
  });

  test("whose live list fails, or does not come, makes commands fail with its error, until there is one", () => warnings("BAD_LIST", async () => {
    let hosts: string[] | undefined;
    const source = async function* (): AsyncGenerator<string[]> {
      if (hosts === undefined) throw new Error("nothing there");
      yield hosts;
    };
    await using(lazyClusterConnection(source) as ClusterHandler, async (db) => {
      const error = await failure(db.get("k"));
      assert.deepEqual([error.code, error.outcome], ["NOT_CONNECTED", "not-sent"]);
      assert.match(inspect(error), /nothing there/);
      hosts = cluster.hosts.slice(0, 1);
      await until(() => db.ping().then(() => true, () => false), "the list");
    });
    const silent = (): AsyncIterable<string[]> => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) });
    const error = await failure(clusterConnection(silent, { connectTimeout: 50 }));
    assert.deepEqual([error.code, error.message], ["NOT_CONNECTED", "no list of hosts has come"]);
    const db = lazyClusterConnection(silent);
    const pending = failure(db.get("k"));
    db.destroy();
    assert.equal((await pending).code, "CLOSED");
  }));

  test("that has no databases refuses a dbid in its own words", async () => {
    const error = await failure(clusterConnection(cluster.hosts, { dbid: 1 }));
    assert.equal(error.code, "REFUSED");
    assert.match(error.message, /SELECT is not allowed in cluster mode/);
  });

  test("whose nodes tell hostnames, or no names at all, is found and followed like one that tells addresses", async () => {
    const configure = (name: string, value: string): Promise<unknown> =>
      Promise.all(cluster.servers.map((each) => each.call("CONFIG", "SET", name, value)));
    const slot = slotOf("{names}");
    try {
      for (const [type, hostname] of [["hostname", "localhost"], ["unknown-endpoint", ""], ["hostname", ""]] as const) {
        await configure("cluster-announce-hostname", hostname);
        await configure("cluster-preferred-endpoint-type", type);
        await until(async () => {
          const views = await Promise.all(cluster.servers.map((each) => each.call("CLUSTER", "SLOTS")));
          const names = new Set(views.flat().flatMap(([, , ...nodes]: any[]) => nodes.map(([host]: any[]) => host)));
          return names.size === 1 && !names.has("127.0.0.1"); // "localhost", null, or "?"
        }, "the names to be told");
        await withCluster(async (db) => {
          assert.equal(await db.mset({ "{06S}": 1, "{8YG}": 2, "{6ZJ}": 3, "{names}": 4 }), "OK");
          await cluster.move(slot, await nextOf(slot));
          assert.deepEqual(await db.mget("{06S}", "{8YG}", "{6ZJ}", "{names}"), ["1", "2", "3", "4"]);
          for (const { address } of await db.nodes()) assert.match(address, type === "hostname" && hostname ? /^localhost:/ : /^127/);
        });
      }
    } finally {
      await configure("cluster-preferred-endpoint-type", "ip");
      await configure("cluster-announce-hostname", "");
    }
  });

  test("of one primary without replicas works", async () => {
    const alone = await RedisCluster.start({ primaries: 1, replicas: 0 });
    await using(await clusterConnection(alone.hosts), async (db) => {
      await db.mset({ a: 1, b: 2 });
      assert.deepEqual(await db.mget("a", "b", "c"), ["1", "2", null]);
      assert.deepEqual((await db.nodes()).map(({ slots }) => slots), [[[0, 16_383]]]);
      assert.equal((await failure(db.transaction([], () => {}))).code, "NOT_SUPPORTED");
    }).finally(() => alone.stop());
  });

  test("a slot that has moved is followed, and the map learns of it", () => withCluster(async (db) => {
    const slot = slotOf("{moved}");
    await db.set("{moved}k", "v");
    const to = await nextOf(slot);
    await cluster.move(slot, to);
    assert.equal(await db.get("{moved}k"), "v");
    assert.equal(await db.append("{moved}k", "w"), 2);
    assert.equal(db.nodeFor("{moved}"), `127.0.0.1:${to.port}`);
    const gets = await calls(to, "get");
    assert.equal(await db.get("{moved}k"), "vw");
    assert.equal(await calls(to, "get"), gets + 1);
  }));

  test("while a slot moves, its keys are found on both nodes; ASKING goes before each command, and ASK is not remembered", () =>
    withCluster(async (db) => {
      const slot = slotOf("{ask}");
      await db.set("{ask}old", "source");
      const to = await nextOf(slot);
      const from = await cluster.beginMove(slot, to);
      const askings = await calls(to, "asking");
      assert.equal(await db.set("{ask}new", "target"), "OK");
      assert.deepEqual([await db.get("{ask}old"), await db.get("{ask}new")], ["source", "target"]);
      assert.deepEqual(await Promise.all([db.incr("{ask}n"), db.incr("{ask}n"), db.incr("{ask}n")]), [1, 2, 3]);
      const big = "x".repeat(1_000_000); // does not fit into a socket at once
      assert.deepEqual(await Promise.all([db.set("{ask}big", big), db.strlen("{ask}big")]), ["OK", 1_000_000]);
      assert.equal(await calls(to, "asking") - askings, 7);
      assert.equal(db.nodeFor("{ask}"), `127.0.0.1:${from.port}`);
      await cluster.moveKeys(slot, from, to);
      await cluster.finishMove(slot, from, to);
      assert.deepEqual(await db.mget("{ask}old", "{ask}new", "{ask}n"), ["source", "target", "3"]);
    }));

  test("commands with several keys of a slot that moves wait until its keys are on one node", () => withCluster(async (db) => {
    const slot = slotOf("{try}");
    await db.mset({ "{try}a": 1, "{try}b": 2 });
    const to = await nextOf(slot);
    const from = await cluster.beginMove(slot, to);
    await from.call("MIGRATE", to.host, String(to.port), "{try}a", "0", "5000");
    const pending = Promise.all([
      db.mget("{try}a", "{try}b"), db.mset({ "{try}c": 3, "{try}d": 4 }), db.pipeline().mget("{try}a", "{try}b").execPipeline(),
      db.pipeline().incr("{try}a").incr("{try}b").commit(),
      db.eval("return #KEYS", 2, "{try}a", "{try}c"),
    ]);
    const refused = /cmdstat_mget:.*rejected_calls=(\d+)/;
    await until(async () => Number(refused.exec(await from.call("INFO", "commandstats"))?.[1] ?? 0) > 2, "a second attempt");
    await cluster.moveKeys(slot, from, to);
    await cluster.finishMove(slot, from, to);
    const [values, set, piped, committed, count] = await pending;
    assert.deepEqual([values.length, set, piped.length, committed, count], [2, "OK", 1, [2, 3], 2]);
    assert.deepEqual(await db.mget("{try}a", "{try}b", "{try}c", "{try}d"), ["2", "3", "3", "4"]);
  }));

  test("CLUSTERDOWN is waited for, within the deadline", () => withCluster(async (db) => {
    const slot = slotOf("{down}");
    await db.set("{down}k", 1);
    const owner = await cluster.owner(slot);
    await owner.call("CLUSTER", "DELSLOTS", String(slot));
    const late = await failure(db.with({ replyTimeout: 200 }).get("{down}k"));
    assert.deepEqual([late.code, late.outcome], ["CLUSTERDOWN", "not-executed"]);
    const pending = Promise.all([db.incr("{down}k"), db.pipeline().get("{down}k").execPipeline()]);
    await sleep(100);
    await owner.call("CLUSTER", "ADDSLOTS", String(slot));
    assert.equal((await pending)[0], 2);
    await cluster.settled();
  }));

  test("of a pipeline, only the commands that were redirected are issued again", () => withCluster(async (db) => {
    const slot = slotOf("{pipe}");
    await db.mset({ "{pipe}a": 0, "other:a": 0, "other:b": 0 });
    await cluster.move(slot, await nextOf(slot));
    const replies = await db.pipeline().incr("other:a").incr("{pipe}a").incr("other:b").incr("{pipe}a").get("{pipe}a")
      .mget("other:a", "{pipe}a").execPipeline();
    assert.deepEqual(replies, [1, 1, 1, 2, "2", ["1", "2"]]);
    const from = await cluster.beginMove(slot, await nextOf(slot));
    assert.deepEqual(await db.pipeline().incr("other:a").incr("{pipe}x").incr("{pipe}x").incr("{pipe}a").execPipeline(), [2, 1, 2, 3]);
    const to = await nextOf(slot);
    await cluster.moveKeys(slot, from, to);
    await cluster.finishMove(slot, from, to);
    assert.deepEqual(await db.mget("other:a", "{pipe}a", "{pipe}x"), ["2", "3", "2"]);
  }));

  test("MULTI is issued again as a whole, and a watch that meets a redirection is a WatchError", () => withCluster(async (db) => {
    const slot = slotOf("{multi}");
    await db.set("{multi}a", 0);
    const watch = await db.watch("{multi}a");
    assert.equal(await watch.get("{multi}a"), "0");
    await cluster.move(slot, await nextOf(slot));
    const error = await failure(watch.get("{multi}a"));
    assert.ok(error instanceof WatchError);
    assert.deepEqual([error.code, error.outcome, error.command], ["WATCH", "not-executed", "GET"]);
    assert.deepEqual(await db.pipeline().incr("{multi}a").incr("{multi}b").commit(), [1, 1]);

    const queued = await db.multi("{multi}a");
    const from = await cluster.beginMove(slot, await nextOf(slot));
    const to = await nextOf(slot);
    await cluster.moveKeys(slot, from, to);
    void queued.incr("{multi}a");
    assert.ok(await failure(queued.commit()) instanceof WatchError);
    assert.deepEqual(await db.pipeline().incr("{multi}a").incr("{multi}b").commit(), [2, 2]); // behind ASKING
    let bodies = 0;
    assert.deepEqual(await db.transaction(["{multi}a"], async (t) => {
      const value = Number(await t.get("{multi}a"));
      if (bodies++ === 0) await cluster.finishMove(slot, from, to);
      void (await t.multi()).set("{multi}a", value + 1);
    }), ["OK"]);
    assert.equal(await db.get("{multi}a"), "3");
    await cluster.settled();
  }));

  test("a durable write follows its slot, and the replicas of its new primary must have it", () => withCluster(async (db) => {
    const durable = db.with({ durable: 1 });
    const slot = slotOf("{durable}");
    await db.set("{durable}a", 0);
    await cluster.move(slot, await nextOf(slot));
    assert.equal(await durable.incr("{durable}a"), 1);
    const to = await nextOf(slot);
    const from = await cluster.beginMove(slot, to);
    assert.deepEqual(await durable.pipeline().incr("{durable}b").incr("{durable}a").get("{durable}b").execPipeline(), [1, 2, "1"]);
    await cluster.moveKeys(slot, from, to);
    await cluster.finishMove(slot, from, to);
    const error = await failure(db.with({ durable: { replicas: 2, timeout: 100 } }).incr("{durable}a"));
    assert.ok(error instanceof DurabilityError);
    assert.deepEqual([error.replicas, error.reply], [1, 3]);
  }));

  test("a lease and a durable commit() whose slot has moved get the node's error, and the next ones do not", () => withCluster(async (db) => {
    const slot = slotOf("{leased}");
    await db.set("{leased}k", 1);
    await cluster.move(slot, await nextOf(slot));
    const error = await failure(db.lease("{leased}k", (c) => c.incr("{leased}k")));
    assert.deepEqual([error.code, error.outcome], ["MOVED", "not-executed"]);
    assert.equal(await db.lease("{leased}k", (c) => c.incr("{leased}k")), 2);
    await cluster.move(slot, await nextOf(slot));
    const durable = db.with({ durable: 1 });
    const refused = await failure(durable.pipeline().incr("{leased}k").commit());
    assert.deepEqual([refused.code, refused.outcome, refused.cause.code], ["EXECABORT", "not-executed", "MOVED"]);
    assert.deepEqual(await durable.pipeline().incr("{leased}k").commit(), [3]);
  }));

  test("scanIterator misses no key while slots move between nodes that it has scanned and others", () => withCluster(async (db) => {
    await db.flushall();
    const keys = Array.from({ length: 60 }, (_, i) => `{scan:${i % 12}}${i}`);
    await Promise.all(keys.map((key) => db.set(key, 1)));
    const found = new Set<string>();
    const slots = [...new Set(keys.map(slotOf))];
    let first = "";
    for await (const key of db.scanIterator({ COUNT: 1 })) {
      found.add(key);
      first ||= db.nodeFor(key);
      const slot = slots.pop(); // moves to the node that is scanned first, after the scan has begun there
      const to = cluster.servers.find(({ port }) => first.endsWith(`:${port}`))!;
      if (slot !== undefined && await cluster.owner(slot) !== to) await cluster.move(slot, to);
    }
    assert.deepEqual([...found].sort(), [...keys].sort());
  }));

  test("what its slots do not allow is refused by name before it is sent", () => withCluster(async (db) => {
    await db.ready();
    const refused = [
      db.rename("a", "b"), db.sinterstore("a", "b", "c"), db.msetnx({ a: 1, b: 2 }), db.lmove("a", "b", "LEFT", "LEFT"),
      db.watch("a", "b"), db.pipeline().get("a").get("b").commit(), db.transaction(["a", "b"], () => {}), db.multi("a", "b"),
      db.eval("return 1", 2, "a", "b"), db.lease(["a", "b"], () => {}), db.call("WAIT", 1, 0),
    ];
    for (const { code, outcome } of await Promise.all(refused.map(failure))) {
      assert.deepEqual([code, outcome], ["NOT_SUPPORTED", "not-sent"]);
    }
    assert.throws(() => db.pipeline().rename("a", "b"), NotSupportedError);
    const t = await db.watch("{w}a");
    assert.match((await failure(t.get("b"))).message, /not on the node of this transaction/);
    await t.discard();
    // On one node, but in two slots.
    const [one, other] = ["{06S}a", "{Qi}a"];
    assert.equal(db.nodeFor(one), db.nodeFor(other));
    assert.match((await failure(db.rename(one, other))).message, /RENAME: .*its keys are in several slots/);
    assert.deepEqual([await db.mset({ [one]: 1, [other]: 2 }), await db.mget(one, other)], ["OK", ["1", "2"]]);
  }));

  test("calls of one tick to one slot keep their order while it moves", async () => {
    for (const make of [lazyClusterConnection, lazyClusterConnectionPool]) {
      await using(make(cluster.hosts), async (db) => {
        const slot = slotOf("{order}");
        await db.del("{order}");
        const given: number[] = [];
        const pending: Promise<number>[] = [];
        let isMoving = true;
        const push = async (): Promise<void> => {
          while (isMoving) {
            for (let i = 0; i < 20; i++) {
              given.push(given.length);
              pending.push(db.rpush("{order}", given.length - 1));
            }
            if (make === lazyClusterConnectionPool) await pending.at(-1);
            else await new Promise(setImmediate);
          }
        };
        const pushing = push();
        for (let i = 0; i < 6; i++) await cluster.move(slot, await nextOf(slot));
        isMoving = false;
        await pushing;
        const positions = await Promise.all(pending);
        assert.deepEqual([...positions].sort((a, b) => a - b), given.map((n) => n + 1));
        for (let i = 1; i < given.length; i++) {
          if (i % 20 !== 0) assert.ok(positions[i]! > positions[i - 1]!, `${i} is at ${positions[i]}, and ${i - 1} at ${positions[i - 1]}`);
        }
      });
    }
  });

  test("a blocking command follows its slot, with the time that it has left", () => withCluster(async (db) => {
    const slot = slotOf("{block}");
    const popped = db.blpop("{block}q", 20);
    await until(async () => (await (await cluster.owner(slot)).call("INFO", "clients")).includes("blocked_clients:1"), "the command to block");
    const to = await nextOf(slot);
    await cluster.move(slot, to);
    await until(async () => (await to.call("INFO", "clients")).includes("blocked_clients:1"), "the command to block again");
    const [sent] = (await to.call("CLIENT", "LIST")).split("\n").filter((line: string) => line.includes("cmd=blpop"));
    assert.ok(sent);
    assert.equal(await db.rpush("{block}q", "x"), 1);
    assert.deepEqual(await popped, ["{block}q", "x"]);
    const unblocked = failure(db.blpop("{block}q", 20)); // by another client: that is for the caller
    await until(async () => (await to.call("CLIENT", "LIST")).includes("cmd=blpop"), "the command to block");
    const [, id] = /id=(\d+) .*cmd=blpop/.exec(await to.call("CLIENT", "LIST"))!;
    await to.call("CLIENT", "UNBLOCK", id!, "ERROR");
    assert.equal((await unblocked).code, "UNBLOCKED");
    assert.equal(await db.blpop("{block}q", 0.05), null);
  }));

  test("replicas answer reads, if the view asks for it", () => withCluster(async (db) => {
    const reader = db.with({ readFrom: "replica" });
    await db.set("{06S}read", "v");
    const [replica] = await cluster.replicasOf(await cluster.owner(0));
    await until(async () => {
      assert.equal(await reader.get("{06S}read"), "v");
      return await calls(replica!, "get") > 0;
    }, "a read on the replica");
    assert.equal(await reader.set("{06S}read", "w"), "OK");
    const { state } = (await db.nodes()).find(({ address }) => address === `127.0.0.1:${replica!.port}`)!;
    assert.equal(state, "connected");
  }));

  test("a manual failover shows in no error", () => withCluster(async (db) => {
    let isRunning = true;
    const acked = new Array<number>(8).fill(0);
    const work = async (id: number): Promise<void> => {
      for (let k = 1; isRunning; k++) {
        assert.equal(await db.incr(`{06S}w${id}`), k);
        assert.equal(await db.incr(`w${id}`), k);
        await db.pipeline().incr(`{06S}p${id}`).get(`w${id}`).execPipeline();
        assert.deepEqual(await db.pipeline().incr(`{06S}m${id}`).incr(`{06S}n${id}`).commit(), [k, k]);
        acked[id] = k;
      }
    };
    await db.flushall();
    const workers = Promise.all(Array.from({ length: 8 }, (_, id) => work(id)));
    const old = await cluster.owner(0);
    const [replica] = await cluster.replicasOf(old);
    await replica!.call("CLUSTER", "FAILOVER");
    await until(async () => await cluster.owner(0) === replica, "the failover");
    const seen = Math.min(...acked);
    await until(() => Math.min(...acked) > seen + 5, "more work");
    isRunning = false;
    await workers;
    assert.equal(db.nodeFor("{06S}x"), `127.0.0.1:${replica!.port}`);
    assert.deepEqual((await db.mget(acked.map((_, id) => `{06S}p${id}`))).map(Number), acked);
    await cluster.settled();
  }, { replyTimeout: 20_000 }));

  test("a primary that is killed costs only what was in flight there, and its replica is used once it takes over", () =>
    withCluster(async (db) => {
      const counts = new Map<string, number>();
      let isRunning = true;
      const errors: any[] = [];
      const worst = { other: 0 };
      const work = async (key: string): Promise<void> => {
        for (let k = 1; isRunning; k++) {
          const begun = performance.now();
          await db.incr(key).then(() => counts.set(key, (counts.get(key) ?? 0) + 1), (error) => errors.push(error));
          if (key.startsWith("{6ZJ}")) worst.other = Math.max(worst.other, performance.now() - begun);
        }
      };
      await db.flushall();
      const keys = Array.from({ length: 16 }, (_, i) => `${i % 2 === 0 ? "{06S}" : "{6ZJ}"}killed:${i}`);
      const workers = Promise.all(keys.map(work));
      const victim = await cluster.owner(0);
      const [replica] = await cluster.replicasOf(victim);
      await until(() => counts.size === 16, "all to work");
      await victim.kill();
      await until(() => replica!.call("ROLE").then(([role]) => role === "master"), "the failover");
      const before = counts.get(keys[0]!)!;
      await until(() => counts.get(keys[0]!)! > before + 10, "commands on the new primary");
      isRunning = false;
      await workers;
      assert.ok(errors.length <= 8, `${errors.length} errors`);
      for (const { outcome, code } of errors) assert.deepEqual([outcome, code], ["unknown", "CONNECTION_LOST"]);
      assert.equal(db.nodeFor("{06S}x"), `127.0.0.1:${replica!.port}`);
      await victim.restart();
      await cluster.settled();
      await until(async () => !(await db.nodes()).some(({ state, role }) => role === "primary" && state !== "connected"), "a calm map");
    }, { replyTimeout: 20_000, poolsize: 1 }));

  test("a primary that freezes is left once its replica has taken over, long before deadlines pass", () => withCluster(async (db) => {
    await db.set("{06S}frozen", 0);
    const victim = await cluster.owner(0);
    const [replica] = await cluster.replicasOf(victim);
    victim.freeze();
    try {
      const begun = performance.now();
      const lost = await failure(db.incr("{06S}frozen"));
      assert.deepEqual([lost.code, lost.outcome], ["CONNECTION_LOST", "unknown"]);
      assert.equal((await replica!.call("ROLE"))[0], "master");
      assert.equal(await db.incr("{06S}frozen"), 1);
      assert.ok(performance.now() - begun < 20_000);
    } finally {
      victim.thaw();
    }
    await cluster.settled();
    assert.equal(await db.get("{06S}frozen"), "1");
  }, { replyTimeout: 30_000 }));

  test("subscriptions follow: shard channels their slots, others the nodes that are left, each with a gap", () =>
    withCluster(async (db) => {
      const slot = slotOf("{ssub}");
      const shard = await db.ssubscribe("{ssub}ch");
      const items = shard[Symbol.asyncIterator]();
      assert.equal(await db.spublish("{ssub}ch", "one"), 1);
      assert.equal((await items.next()).value!.message, "one");
      await cluster.move(slot, await nextOf(slot));
      assert.ok((await items.next()).value!.gap! >= 0);
      await until(async () => await db.spublish("{ssub}ch", "two") === 1, "the subscription");
      let item = (await items.next()).value!;
      while (item.message === undefined) item = (await items.next()).value!;
      assert.equal(item.message, "two");
      shard.close();
      await cluster.move(slot, await nextOf(slot)); // which the driver has no reason to know yet
      const late = await db.ssubscribe("{ssub}ch");
      assert.equal(await db.spublish("{ssub}ch", "three"), 1);
      for await (const { message } of late) if (message === "three") break;

      const news = await db.subscribe("news");
      await db.publish("news", "hello");
      const messages = news[Symbol.asyncIterator]();
      assert.equal((await messages.next()).value!.message, "hello");
      const port = await Promise.all(cluster.servers.map(async (each) => await each.call("PUBSUB", "NUMSUB", "news")));
      const listener = cluster.servers[port.findIndex(([, count]) => count === 1)]!;
      await listener.kill();
      assert.ok((await messages.next()).value!.gap! >= 0);
      await until(async () => {
        const running = cluster.servers.filter(({ isRunning }) => isRunning);
        const counts = await Promise.all(running.map((each) => each.call("PUBSUB", "NUMSUB", "news")));
        return counts.some(([, count]) => count === 1);
      }, "the subscription on another node");
      await listener.restart();
      await cluster.settled();
      news.close();
    }));
});

/** A cluster of scripted nodes; `answer` gets what no handshake asks, and `nodes` is what CLUSTER SLOTS says. */
async function scriptedCluster<T>(
  count: number, slots: (ports: number[]) => string, answer: (node: number, words: string[], peer: Peer, ports: number[]) => void,
  use: (db: ClusterHandler, ports: number[], greetings: string[][]) => Promise<T>, options: Options = {},
): Promise<T> {
  const ports: number[] = [];
  const greetings: string[][] = [];
  const servers: ScriptedServer[] = [];
  for (let node = 0; node < count; node++) {
    const scripted = await ScriptedServer.start(async (peer) => {
      greetings.push([String(node), ...await peer.hello()]);
      for (;;) {
        const words = await peer.read();
        const text = words.join(" ");
        if (text === "CLUSTER SLOTS") peer.write(slots(ports));
        else if (text === "CLUSTER INFO") peer.write("$25\r\ncluster_current_epoch:5\r\n\r\n");
        else if (text === "PING") peer.write("+PONG\r\n");
        else answer(node, words, peer, ports);
      }
    });
    servers.push(scripted);
    ports.push(scripted.port);
  }
  try {
    return await using(lazyClusterConnection([`127.0.0.1:${ports[0]}`], options) as ClusterHandler, (db) => use(db, ports, greetings));
  } finally {
    for (const scripted of servers) await scripted.stop();
  }
}
const node = (host: string | null, port: number, id: string): string =>
  `*3\r\n${host === null ? "$-1" : `$${host.length}\r\n${host}`}\r\n:${port}\r\n$${id.length}\r\n${id}\r\n`;
const ranges = (...all: [first: number, last: number, ...nodes: string[]][]): string =>
  `*${all.length}\r\n${all.map(([first, last, ...nodes]) => `*${2 + nodes.length}\r\n:${first}\r\n:${last}\r\n${nodes.join("")}`).join("")}`;
const half = ([one, two]: number[]): string => ranges([0, 8_191, node(null, one!, "a")], [8_192, 16_383, node("127.0.0.1", two!, "b")]);

// Not on Bun and Deno: a commit() was told MOVED there now and then, for a reason that is not known yet; see the README.
if (runtime === "Node") describe("a cluster that is resharded under load", () => {
  test("shows no error, and does nothing twice: single keys, several, pipelines, MULTI, scripts, transactions", async () => {
    const cluster = await RedisCluster.start({ replicas: 0 });
    const add = script<number>("return redis.call('INCRBY', KEYS[1], ARGV[1])", { keys: 1 });
    try {
      await using(lazyClusterConnectionPool(cluster.hosts.slice(0, 1), { replyTimeout: 30_000 }) as ClusterHandler, async (db) => {
        const heard = await db.ssubscribe("{w:0}ch");
        let isRunning = true;
        const rounds: number[] = [];
        const work = async (id: number): Promise<void> => {
          const key = `{w:${id}}`;
          for (let k = 1; isRunning; k++) {
            const [pushed, counted] = await Promise.all([db.rpush(`${key}list`, k), db.rpush(`${key}list`, -k)]);
            assert.deepEqual([pushed, counted], [2 * k - 1, 2 * k]);
            await db.mset({ [`${key}a`]: k, [`${key}b`]: k, [`far:${id}`]: k });
            assert.deepEqual(await db.mget(`${key}a`, `far:${id}`, `${key}b`), [String(k), String(k), String(k)]);
            const piped = await db.pipeline().incr(`${key}p`).set(`far:${id}:${k % 9}`, k).incr(`${key}p`).execPipeline();
            assert.deepEqual(piped, [2 * k - 1, "OK", 2 * k]);
            assert.deepEqual(await db.pipeline().incr(`${key}m`).incr(`${key}n`).commit(), [k, k]);
            assert.equal(await add(db, `${key}s`, 2), 2 * k);
            if (k % 5 === 0) {
              await db.transaction([`${key}t`], async (t) => {
                const value = Number(await t.get(`${key}t`));
                void (await t.multi()).set(`${key}t`, value + 1);
              });
            }
            rounds[id] = k;
          }
        };
        const workers = Promise.all(Array.from({ length: 12 }, (_, id) => work(id)));
        for (let round = 0; round < 3; round++) {
          for (let id = 0; id < 12; id++) {
            const slot = internals.slotOf(`{w:${id}}`);
            const owner = cluster.servers.indexOf(await cluster.owner(slot));
            await cluster.move(slot, cluster.servers[(owner + 1) % 3]!);
          }
        }
        isRunning = false;
        await workers;
        for (const [id, k] of rounds.entries()) {
          assert.deepEqual(await db.mget(`{w:${id}}p`, `{w:${id}}m`, `{w:${id}}s`), [2 * k, k, 2 * k].map(String));
          assert.equal(Number(await db.get(`{w:${id}}t`)), Math.floor(k / 5));
        }
        assert.equal(await until(() => db.spublish("{w:0}ch", "still here"), "the subscription"), 1);
        for await (const { message } of heard) if (message === "still here") break;
      });
    } finally {
      await cluster.stop();
    }
  });
});

describe("nodes of a cluster that disagree", () => {
  test("send a command round at most 16 times, and not in a hurry", async () => {
    const asked = [0, 0];
    await scriptedCluster(2, half, (at, _, peer, ports) => {
      asked[at]!++;
      peer.write(`-MOVED ${internals.slotOf("k")} 127.0.0.1:${ports[1 - at]}\r\n`);
    }, async (db) => {
      const begun = performance.now();
      const error = await failure(db.get("k"));
      assert.deepEqual([error.code, error.outcome, error.command], ["MOVED", "not-executed", "GET"]);
      assert.equal(asked[0]! + asked[1]!, 17);
      assert.ok(performance.now() - begun > 13 * 50);
    });
  });

  test("send a command to themselves: it goes there on a new connection", async () => {
    let refusals = 0;
    await scriptedCluster(2, half, (_, __, peer, ports) => {
      if (peer.id !== 0 && refusals++ === 0) peer.write(`-MOVED ${internals.slotOf("k")} :${ports[1]}\r\n`);
      else peer.write("$1\r\nv\r\n");
    }, async (db) => {
      assert.equal(internals.slotOf("k") > 8_191, false);
      assert.equal(await db.get("k"), "v");
      assert.equal(refusals, 2);
    });
  });

  test("say nonsense, which goes to the caller", async () => {
    const nonsense = ["MOVED", "MOVED x", "MOVED __proto__ 127.0.0.1:1", "MOVED -1 127.0.0.1:1", "MOVED 16384 127.0.0.1:1", "MOVED 1e3 127.0.0.1:1",
      "ASK 1000000000 127.0.0.1:1", "MOVED 5 nowhere"];
    let next = "";
    await scriptedCluster(2, half, (_, __, peer) => peer.write(`-${next}\r\n`), async (db) => {
      for (next of nonsense) assert.equal((await failure(db.get("k"))).raw, next);
    });
  });

  test("leave slots out: those fail at once, the others work", () => scriptedCluster(1, ([one]) =>
    `*5\r\n$3\r\nbad\r\n*2\r\n:5\r\n:6\r\n*3\r\n:-4\r\n:99999\r\n${node(null, one!, "a")}*3\r\n:0\r\n:8191\r\n${node(null, one!, "a")}` +
    `*3\r\n:9000\r\n:9001\r\n${node("?", 0, "b")}`,
  (_, __, peer) => peer.write("$1\r\nv\r\n"), async (db) => {
    const covered = Array.from({ length: 20 }, (_, i) => `k${i}`).find((key) => internals.slotOf(key) < 8_192)!;
    const uncovered = Array.from({ length: 20 }, (_, i) => `k${i}`).find((key) => internals.slotOf(key) > 9_001)!;
    assert.equal(await db.get(covered), "v");
    const error = await failure(db.get(uncovered));
    assert.deepEqual([error.code, error.outcome], ["SLOT_NOT_SERVED", "not-sent"]);
    assert.equal(await db.get(covered), "v");
  }));

  test("get the login and the name of the handler, and no message or inspection shows the password", () =>
    scriptedCluster(2, half, (_, __, peer) => peer.write("-NOPERM no\r\n"), async (db, _, greetings) => {
      const errors = await Promise.all(["foo", "k"].map((key) => failure(db.get(key))));
      assert.deepEqual([...new Set(greetings.map(([node]) => node))].sort(), ["0", "1"]);
      for (const [, ...greeting] of greetings) assert.equal(greeting.join(" "), "HELLO 3 AUTH default canary SETNAME app");
      for (const shown of [inspect(errors, { depth: 9 }), inspect(db), JSON.stringify(await db.nodes())]) assert.doesNotMatch(shown, /canary/);
    }, { password: "canary", name: "app" }));

  test("know of no slots yet: they are asked again until one does", async () => {
    let asked = 0;
    await scriptedCluster(1, (ports) => asked++ < 2 ? "*0\r\n" : ranges([0, 16_383, node(null, ports[0]!, "a")]),
      (_, __, peer) => peer.write("$1\r\nv\r\n"), async (db) => {
        const error = await failure(db.get("k"));
        assert.deepEqual([error.code, error.outcome], ["NOT_CONNECTED", "not-sent"]);
        assert.match(error.message, /tells no slots/);
        assert.equal((await failure(db.ready())).code, "NOT_READY");
        assert.equal(await until(() => db.get("k").catch(() => undefined), "the slots"), "v");
      });
  });

  test("go: their connections are closed when no slot is theirs any more", async () => {
    let isGone = false;
    await scriptedCluster(2, (ports) => isGone ? ranges([0, 16_383, node(null, ports[0]!, "a")]) : half(ports),
      (at, words, peer, ports) => peer.write(isGone && at === 1 ? `-MOVED 12182 127.0.0.1:${ports[0]}\r\n` : "+OK\r\n"),
      async (db) => {
        assert.equal(await db.set("foo", 1), "OK"); // slot 12182
        assert.ok((await db.nodes()).length === 2);
        isGone = true;
        assert.equal(await db.set("foo", 1), "OK");
        await until(() => !inspect(db).includes(" | "), "one node to be left");
        assert.equal((await db.nodes()).length, 1);
        assert.equal(await db.set("foo", 1), "OK");
      });
  });

  test("are connected to where addressMap says, only if allowNode permits it, and never by an address that it does not", async () => {
    const isAsked = new Set<string>();
    const far = ([one, two]: number[]): string =>
      ranges([0, 8_191, node("10.0.0.1", one!, "a"), node("10.0.0.1", 1, "c")], [8_192, 16_383, node("10.0.0.2", two!, "b")]);
    const addressMap = (address: string): string => address.replace("10.0.0.1", "localhost").replace("10.0.0.2", "127.0.0.1");
    const answer = (at: number, _: string[], peer: Peer, ports: number[]): void =>
      void peer.write(at === 0 ? `-MOVED ${internals.slotOf("k")} 10.0.0.2:${ports[1]}\r\n` : `$1\r\n${at}\r\n`);
    await scriptedCluster(2, far, answer, async (db, ports) => {
      assert.equal(await db.get("foo"), "1");
      assert.deepEqual((await db.nodes()).map(({ address }) => address), [`localhost:${ports[0]}`, "localhost:1", `127.0.0.1:${ports[1]}`]);
      assert.deepEqual([...isAsked].sort(), ["localhost", "127.0.0.1"].sort());
      assert.equal(await db.get("k"), "1"); // MOVED to an address of theirs
    }, { addressMap, allowNode: (host) => (isAsked.add(host), true) });
    const allowNode = (host: string): boolean => host === "localhost";
    for (const options of [{ addressMap, allowNode }, { addressMap: (address: string) => address.startsWith("10.0.0.2") ? "nowhere" : addressMap(address) }]) {
      await scriptedCluster(2, far, answer, async (db) => {
        const error = await failure(db.get("foo"));
        assert.deepEqual([error.code, error.outcome], ["SLOT_NOT_SERVED", "not-sent"]);
        assert.match(error.message, "allowNode" in options ? /no node serves slot 12182; allowNode refuses 127\.0\.0\.1:/ : /; addressMap gave no address for 10\.0\.0\.2:/);
        const moved = await failure(db.get("k"));
        assert.deepEqual([moved.code, moved.outcome], ["MOVED", "not-executed"]);
      }, options);
    }
  });

  test("know no host but a name for it, a null, an empty one or an ip of metadata", async () => {
    for (const host of ["$-1\r\n", "$0\r\n\r\n", "$1\r\n?\r\n"]) {
      await scriptedCluster(1, ([one]) =>
        `*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n${host}:${one}\r\n$1\r\na\r\n*2\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n`,
      (_, __, peer) => peer.write("$1\r\nv\r\n"), async (db) => {
        assert.equal(await db.get("k"), "v");
      });
    }
  });
});

// ==== 19. The door ====

describe("a handler", () => {
  test("eager: is ready, or the promise is rejected; lazy: is there at once", async () => {
    const eager = await connection({ port: server.port });
    assert.match(inspect(eager), /1 open/);
    await eager.disconnect();
    const lazy = lazyConnection({ port: server.port });
    assert.match(inspect(lazy), /1 opening/);
    assert.equal(await lazy.ready(), lazy);
    assert.match(inspect(lazy), /1 open; 0 pending/);
    await lazy.disconnect();
    await assert.rejects(lazy.ready(), { code: "CLOSED" });
    const unix = lazyUnixConnection(server.path);
    assert.equal(await unix.ping(), "PONG");
    await unix.disconnect();
  });

  test("lazy, with a server that comes later: ready() rejects when it cannot connect, and resolves when it can", async () => {
    const mortal = await RedisServer.start();
    await mortal.kill();
    await withDb({ port: mortal.port }, async (db) => {
      assert.ok(await failure(db.ready()) instanceof ConnectionError);
      await mortal.restart();
      await until(() => db.ready().then(() => true, () => false), "the handler to be ready");
    });
    await mortal.stop();
  });

  test("shows its address, its state and its pending commands, and no secret", async () => {
    await server.call("ACL", "SETUSER", "hidden", "on", ">hunter2", "~*", "+@all");
    const credentials = { username: "hidden", password: "hunter2" };
    for (const options of [credentials, { credentials: () => credentials }]) {
      const db = await connection({ port: server.port, ...options });
      const calls = [db.get("a"), db.get("b")];
      assert.match(inspect(db), new RegExp(`localhost:${server.port} db 0: 1 open; 2 pending`));
      await Promise.all(calls);
      for (const shown of [inspect(db, { showHidden: true, depth: Infinity, showProxy: true }), JSON.stringify(db), String(db)]) {
        assert.doesNotMatch(shown, /hunter2/);
      }
      await db.disconnect();
      assert.match(inspect(db), /closed/);
    }
    await server.call("ACL", "DELUSER", "hidden");
  });

  test("disconnect() lets what is pending finish, and what comes after is rejected", async () => {
    const db = await connection({ port: server.port });
    await db.del("drained");
    const calls = Array.from({ length: 10_000 }, () => db.incr("drained"));
    const closing = db.disconnect();
    const late = await failure(db.incr("drained"));
    assert.deepEqual([late.code, late.outcome], ["CLOSED", "not-sent"]);
    await closing;
    assert.equal((await Promise.all(calls)).at(-1), 10_000);
    assert.equal(db.disconnect(), db.disconnect(), "once is enough");
    await db.disconnect();
    db.destroy();
  });

  test("disconnect() of a lazy handler lets commands finish that wait for the connection", async () => {
    const db = lazyConnection({ port: server.port });
    const reply = db.set("early", 1);
    await db.disconnect();
    assert.equal(await reply, "OK");
  });

  test("disconnect() does not wait for an attempt that fails: what waited is told so", async () => {
    const db = lazyConnection({ port: await freePort(), replyTimeout: 60_000 });
    const call = failure(db.get("a"));
    await db.disconnect();
    assert.deepEqual([(await call).outcome, (await call) instanceof TimeoutError], ["not-sent", false]);
  });

  test("disconnect() from a frozen server ends within its bound, and says what it does not know", async () => {
    const frozen = await RedisServer.start();
    const db = await connection({ port: frozen.port });
    await db.set("a", 1);
    frozen.freeze();
    const call = failure(db.incr("a"));
    await sleep(5);
    await db.disconnect({ timeout: 50 });
    assert.deepEqual([(await call).code, (await call).outcome], ["CLOSED", "unknown"]);
    await frozen.stop();
  });

  test("disconnect() of a server that says nothing ends at once if nothing is pending, or only what waits", async () => {
    const options = { connectTimeout: 60_000, replyTimeout: 60_000 };
    const mute = await ScriptedServer.start((peer) => peer.closed);
    const db = lazyConnectionPool({ port: mute.port, ...options });
    await until(() => mute.connections === 10, "the attempts");
    await db.disconnect({ timeout: Infinity });
    const other = lazyConnection({ port: mute.port, ...options });
    const popped = failure(other.blpop("queue", 0));
    await other.disconnect({ timeout: Infinity });
    assert.deepEqual([(await popped).code, (await popped).outcome], ["CLOSED", "not-sent"]);
    await mute.stop();
    const frozen = await RedisServer.start();
    const probing = await connection({ port: frozen.port, ...options, pingInterval: 20 });
    frozen.freeze();
    await until(() => inspect(probing).includes("1 pending"), "a PING on its way");
    await probing.disconnect({ timeout: Infinity });
    await frozen.stop();
  });

  for (const [what, poolsize, blocking] of [["the only connection", 1, 1], ["all connections", 3, 3], ["some", 3, 2]] as const) {
    test(`disconnect() ends blocking commands on ${what}, and nothing that they would have popped is lost`, async () => {
      const db = await connectionPool({ port: server.port, poolsize });
      const pops = Array.from({ length: blocking - 1 }, () => db.blpop("no list", 0));
      const waiting = [db.xread({ BLOCK: 0, STREAMS: ["no stream", "$"] }), ...pops].map(failure);
      await blocked(blocking);
      await db.disconnect({ timeout: Infinity });
      for (const { code, outcome } of await Promise.all(waiting)) assert.deepEqual([code, outcome], ["CLOSED", "not-executed"]);
      assert.equal(await server.call("RPUSH", "no list", "a"), 1);
      await server.call("DEL", "no list");
      await until(async () => (await server.call("CLIENT", "LIST")).split("cmd=client|unblock").length === 1, "no helper to be left");
    });
  }

  test("disconnect() ends a blocking command at any moment: each element has been popped by a caller, or is there", async () => {
    await server.call("DEL", "raced");
    let popped = 0;
    for (let round = 0; round < 40; round++) {
      const db = await connection({ port: server.port });
      const pop = db.blpop("raced", 0).then(() => popped++, ({ code, outcome }) => {
        assert.equal(code, "CLOSED");
        assert.notEqual(outcome, "unknown");
      });
      for (let turn = 0; turn < round % 4; turn++) await new Promise(setImmediate);
      const pushed = round % 2 ? server.call("RPUSH", "raced", "element") : undefined;
      await db.disconnect({ timeout: Infinity });
      await pop;
      if (await pushed !== undefined) assert.equal(popped + await server.call("LLEN", "raced"), (round + 1) / 2);
    }
    await server.call("DEL", "raced");
  });

  test("disconnect() waits for a blocking command that it may not end, for as long as for any other", async () => {
    await server.call("ACL", "SETUSER", "meek", "on", ">secret", "~*", "+@all", "-client|unblock", "-client|kill");
    const db = await connection({ port: server.port, username: "meek", password: "secret" });
    const popped = failure(db.blpop("no list", 0));
    await blocked(1);
    await db.disconnect({ timeout: 50 });
    assert.deepEqual([(await popped).code, (await popped).outcome], ["CLOSED", "unknown"]);
    await server.call("ACL", "DELUSER", "meek");
  });

  test("disconnect() and destroy() with a server that is down end at once", async () => {
    const port = await freePort();
    const db = lazyConnection({ port });
    await failure(db.ping());
    await db.disconnect();
    const other = lazyConnection({ port });
    other.destroy();
    other.destroy();
    await other.disconnect();
    assert.equal((await failure(other.ping())).code, "CLOSED");
  });

  test("destroy() ends at once: what was written is unknown, what was not is not-sent", async () => {
    const db = await connection({ port: server.port });
    const written = failure(db.debug("sleep", 0.1));
    await new Promise(setImmediate);
    const waiting = failure(db.incr("never"));
    db.destroy();
    assert.deepEqual([(await written).code, (await written).outcome], ["CLOSED", "unknown"]);
    assert.deepEqual([(await waiting).code, (await waiting).outcome], ["CLOSED", "not-sent"]);
  });

  test("is disposed of by asyncDispose", async () => {
    const db = await connection({ port: server.port });
    await db[Symbol.asyncDispose]();
    assert.equal((await failure(db.ping())).code, "CLOSED");
  });

  test("nothing opens after disconnect() or destroy(), whatever is called and through whatever view", async () => {
    const { connect } = world;
    const host = { host: "127.0.0.1", port: server.port, replicas: [`127.0.0.1:${server.tlsPort}`] };
    const makers: (() => [db: any, closed: any])[] = [
      () => Array(2).fill(lazyConnection(host)) as [any, any], () => Array(2).fill(lazyConnectionPool(host)) as [any, any],
      () => Array(2).fill(lazyShardedConnection([host])) as [any, any],
      () => {
        const shards = lazyShardedConnection([host]);
        return [shards, shards.shard("a")];
      },
    ];
    const others = (db: any): (() => unknown)[] => [
      () => db.subscribe("a"), () => db.psubscribe("a"), () => db.ssubscribe("a"), () => db.monitor(), () => db.ready(),
      () => db.multi("a"), () => db.watch("a"), () => db.transaction(["a"], () => {}), () => db.scanIterator().next(),
      () => db.pipeline().get("a").execPipeline(), () => db.pipeline().get("a").commit(),
      () => db.consume("a", { group: "g", consumer: "c" }).next(), () => db.setHosts([host]), () => db.misplaced().next(),
    ];
    try {
      for (const make of makers) {
        for (const end of ["disconnect", "destroy"] as const) {
          const [owner, db] = make();
          await owner[end]();
          let opened = 0;
          world.connect = (...how) => (opened++, connect(...how));
          for (const view of [db, db.with({ readFrom: "replica" }), db.with({ readFrom: "any" })]) {
            const calls = [...others(view), ...Object.keys(commands).map((name) => () => view[name]("a"))];
            for (const call of calls) await failure((async () => call())()).catch((error) => assert.fail(`${call}: ${error}`));
          }
          assert.equal(opened, 0);
          world.connect = connect;
        }
      }
    } finally {
      world.connect = connect;
    }
  });

  test("leaves nothing behind: no client on the server, no timer, and the process ends by itself", async () => {
    const clients = (await server.call("CLIENT", "LIST")).split("\n").length;
    const program = `
      import { connection, lazyConnection } from "${ours("redis")}";
      const port = ${server.port};
      for (let i = 0; i < 200; i++) {
        const db = i % 2 ? await connection({ port }) : lazyConnection({ port });
        if (i % 3) await db.ping();
        if (i % 5) await db.disconnect(); else db.destroy();
      }
      const refused = lazyConnection({ port: ${await freePort()} });
      await refused.ping().catch(() => {});
      refused.destroy();
      const left = () => process.getActiveResourcesInfo().filter((name) => /Timeout|TCP/.test(name)).join();
      for (let i = 0; i < 1000 && left() !== ""; i++) await new Promise(setImmediate);
      console.log(left());
    `;
    assert.deepEqual(await runProgram(program), [0, ""]);
    await until(async () => (await server.call("CLIENT", "LIST")).split("\n").length <= clients, "all clients to be gone");
  });

  test("an idle handler keeps the process alive, as any open socket does, until it is closed", async () => {
    const program = `
      import { lazyConnection } from "${ours("redis")}";
      const db = lazyConnection({ port: ${server.port} });
      await db.ping();
      setTimeout(() => {
        console.log("alive");
        db.destroy();
      }, 100).unref(); // comes only if something else keeps the process alive
    `;
    assert.deepEqual(await runProgram(program), [0, "alive"]);
  });

  test("never throws from a socket event: no listener is needed, and no rejection goes unhandled", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    const mortal = await RedisServer.start();
    const db = await connection({ port: mortal.port });
    await mortal.kill();
    await sleep(200);
    db.destroy();
    await sleep(10);
    process.off("unhandledRejection", note);
    assert.deepEqual(unhandled, []);
    await mortal.stop();
  });
});

// ==== The examples ====

describe("sources of live lists", () => {
  const servers = startServers(2);
  beforeEach(() => Promise.all(servers.map((one) => one.call("SET", "who", String(one.port)))));
  const serves = (db: Handler, { port }: RedisServer): Promise<boolean> =>
    until(async () => await db.get("who") === String(port), "the server to be used");

  test("a file is read, and again when it is replaced or written to; a broken one changes nothing", () => warnings("BAD_LIST", async (told) => {
    const folder = mkdtempSync(join(tmpdir(), "hosts-"));
    const file = join(folder, "redis-hosts");
    writeFileSync(file, `127.0.0.1:${servers[0]!.port}\n`);
    await using(lazyConnectionPool({ anyOf: fromFile(file), poolsize: 1 }), async (db) => {
      await serves(db, servers[0]!);
      writeFileSync(`${file}.new`, `\nredis://127.0.0.1:${servers[1]!.port}?weight=2\n`);
      renameSync(`${file}.new`, file);
      await serves(db, servers[1]!);
      writeFileSync(`${file}.new`, "nonsense\n");
      renameSync(`${file}.new`, file);
      await until(() => told.length === 1, "the warning");
      rmSync(file);
      await until(() => told.length === 2, "the warning");
      await serves(db, servers[1]!);
      writeFileSync(file, `127.0.0.1:${servers[0]!.port}\n`);
      await serves(db, servers[0]!);
    });
    rmSync(folder, { recursive: true });
  }));

  test("SRV records are asked for, with their weights and priorities, and again; a DNS server that is silent changes nothing", async () => {
    type Srv = { port: number; weight: number; priority: number };
    let records: Srv[] | undefined = [{ port: servers[0]!.port, weight: 0, priority: 1 }, { port: servers[1]!.port, weight: 5, priority: 2 }];
    let asked = 0;
    const numbers = (...values: number[]): Buffer => Buffer.from(values.flatMap((value) => [value >> 8, value & 255]));
    const localhost = Buffer.from("\x09localhost\0", "latin1");
    const dns = createSocket("udp4", (question, from) => { // answers each question for SRV records
      asked++;
      if (records === undefined) return;
      const end = question.indexOf(0, 12) + 5; // of the question, behind its name, type and class
      const answers = records.flatMap(({ port, weight, priority }) => [
        numbers(0xc00c, 33, 1, 0, 1, 6 + localhost.length), numbers(priority, weight, port), localhost,
      ]);
      const head = Buffer.concat([question.subarray(0, 2), numbers(0x8180, 1, records.length, 0, 0)]);
      dns.send(Buffer.concat([head, question.subarray(12, end), ...answers]), from.port, from.address);
    });
    await once(dns.bind(0, "127.0.0.1"), "listening");
    const anyOf = fromDns("_redis._tcp.test", { every: 20, servers: [`127.0.0.1:${dns.address().port}`] });
    try {
      await using(lazyConnectionPool({ anyOf, poolsize: 1 }), async (db) => {
        await serves(db, servers[0]!);
        assert.match(inspect(db), new RegExp(`:${servers[0]!.port} .*weight 1, priority 1\\); or .*:${servers[1]!.port} .*weight 5, priority 2\\)`));
        records = [{ port: servers[1]!.port, weight: 1, priority: 0 }];
        await serves(db, servers[1]!);
        records = undefined;
        const before = asked;
        await until(() => asked > before, "it to be asked");
        await serves(db, servers[1]!);
      });
    } finally {
      dns.close();
    }
  });

  test("etcd is read and watched: keys that come, change and go; while it is down the list stays", async (t) => {
    const [port, peers] = [await freePort(), await freePort()];
    const folder = mkdtempSync(join(tmpdir(), "etcd-"));
    const start = () => spawn("etcd", ["--data-dir", folder, "--listen-client-urls", `http://127.0.0.1:${port}`,
      "--advertise-client-urls", `http://127.0.0.1:${port}`, "--listen-peer-urls", `http://127.0.0.1:${peers}`], { stdio: "ignore" });
    let etcd = start();
    const isThere = await new Promise((resolve) => etcd.once("error", () => resolve(false)).once("spawn", () => resolve(true)));
    if (!isThere) return skip(t, "there is no etcd");
    const stop = async (): Promise<void> => {
      const gone = once(etcd, "exit");
      etcd.kill("SIGKILL");
      await gone;
    };
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const send = (path: string, body: object): Promise<boolean> => until(() => fetch(`http://127.0.0.1:${port}/v3/kv/${path}`,
      { method: "POST", body: JSON.stringify(body) }).then((response) => response.ok, () => false), "etcd to answer");
    const put = (name: string, { port }: RedisServer): Promise<boolean> =>
      send("put", { key: base64(`/redis/${name}`), value: base64(`redis://127.0.0.1:${port}?weight=3`) });
    try {
      await put("a", servers[0]!);
      await using(lazyConnectionPool({ anyOf: fromEtcd(`http://127.0.0.1:${port}`, "/redis/"), poolsize: 1 }), async (db) => {
        await serves(db, servers[0]!);
        await put("a", servers[1]!);
        await serves(db, servers[1]!);
        await put("b", servers[0]!);
        await areIn(db, "live", 2);
        await send("deleterange", { key: base64("/redis/a") });
        await serves(db, servers[0]!);
        await until(() => !inspect(db).includes(String(servers[1]!.port)), "the other to have left");
        await stop();
        for (let i = 0; i < 20; i++) assert.equal(await db.get("who"), String(servers[0]!.port));
        etcd = start();
        await put("b", servers[1]!);
        await serves(db, servers[1]!);
      });
    } finally {
      await stop();
      rmSync(folder, { recursive: true });
    }
  });
});

test("a tour of a cluster runs to its end: a slot moves without a failed call, and a replica takes over", async () => {
  const child = spawn(process.execPath, [fileURLToPath(ours("examples/cluster"))], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const output of [child.stdout, child.stderr]) output.on("data", (chunk) => { said += chunk; });
  const [code] = await once(child, "exit");
  assert.equal(code, 0, said);
  const [there, back, killed, ...more] = Array.from(said.matchAll(/ calls, (\d+) failed/g), ([, count]) => Number(count));
  assert.deepEqual([there, back, more], [0, 0, []], said);
  assert.ok(killed! <= 3, said); // those that the primary was executing
  assert.match(said, /Goodbye/);
});

describe("a web server over shards", () => {
  const servers = startServers(4, { aof: true });
  const names = Array.from({ length: 40 }, (_, i) => `page-${i}`);
  let web: Awaited<ReturnType<typeof startWeb>>;
  let placement: ShardedHandler;

  async function startWeb(hosts: string[]) {
    const port = await freePort();
    const child = spawn(process.execPath, [fileURLToPath(ours("examples/web"))], {
      env: { ...process.env, REDIS_HOSTS: hosts.join(), PORT: String(port) }, stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    for (const output of [child.stdout, child.stderr]) output.on("data", (chunk) => { said += chunk; });
    const exited = once(child, "exit");
    await until(() => said.includes("listening") || child.exitCode !== null, "the web server to listen");
    assert.equal(child.exitCode, null, said);
    const ask = (method: string, name: string, init: RequestInit = {}): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}/${name}`, { method, ...init });
    const status = async (method: string, name: string, init?: RequestInit): Promise<number> => {
      const response = await ask(method, name, init);
      await response.arrayBuffer();
      return response.status;
    };
    const stop = async (): Promise<[code: number | null, signal: string | null]> => {
      process.kill(child.pid!, "SIGTERM"); // after child.kill() Deno would not tell how it ended
      return soon(exited, "the web server to end") as Promise<[number | null, string | null]>;
    };
    return { ask, status, stop, child, port };
  }

  before(async () => {
    web = await startWeb(servers.map(hostOf));
    placement = lazyShardedConnection(servers.map(hostOf)) as ShardedHandler;
  });
  after(async () => {
    placement.destroy();
    web.child.kill("SIGKILL");
  });

  test("sets, gets and deletes, and what is missing is not found", async () => {
    assert.equal(await web.status("GET", "foo"), 404);
    for (const method of ["PUT", "POST"]) {
      assert.equal(await web.status(method, "foo", { body: `bar by ${method}` }), 200);
      const response = await web.ask("GET", "foo");
      assert.deepEqual([response.status, await response.text()], [200, `bar by ${method}`]);
      assert.equal(await placement.get("foo"), `bar by ${method}`);
    }
    assert.equal(await web.status("DELETE", "foo"), 200);
    assert.equal(await web.status("GET", "foo"), 404);
    assert.equal(await web.status("DELETE", "foo"), 404);
  });

  test("values are bytes, of any length, and a name is any text", async () => {
    const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    for (const body of [Buffer.alloc(0), every, Buffer.alloc(1_000_000, every)]) {
      for (const name of ["bytes", "a/b?c=d", "ünïcode €", "%", "__proto__", ""]) {
        const path = encodeURIComponent(name);
        assert.equal(await web.status("PUT", path, { body }), 200);
        const response = await web.ask("GET", path);
        assert.equal(response.status, 200);
        assert.ok(body.equals(Buffer.from(await response.arrayBuffer())), `${body.length} bytes`);
        assert.equal(await placement.strlen(name), body.length);
      }
    }
  });

  test("nonsense is refused, and nothing comes of it", async () => {
    assert.equal(await web.status("GET", "%zz"), 400);
    assert.equal(await web.status("PATCH", "foo", { body: "x" }), 405);
    assert.equal(await web.status("PUT", "huge", { body: Buffer.alloc(17 * 2 ** 20) }), 413);
    assert.equal(await web.status("GET", "huge"), 404);
  });

  test("answers 503 for the keys of a server that is down, 200 for all others, and 200 for all when it is back", async () => {
    const mortal = servers[2]!;
    const isLost = (name: string): boolean => placement.nodeFor(name) === hostOf(mortal);
    const lost = names.filter(isLost);
    assert.ok(lost.length > 0 && lost.length < names.length);
    assert.deepEqual(new Set(await Promise.all(names.map((name) => web.status("PUT", name, { body: name })))), new Set([200]));
    await mortal.kill();
    await until(async () => await web.status("GET", lost[0]!) === 503, "the first 503");
    for (const [method, body] of [["GET"], ["PUT", "new"], ["GET"]] as const) {
      await Promise.all(names.map(async (name) => {
        const response = await web.ask(method, name, body === undefined ? {} : { body });
        assert.equal(response.status, isLost(name) ? 503 : 200, `${method} ${name}`);
        assert.equal(response.headers.get("retry-after"), isLost(name) ? "1" : null);
        await response.arrayBuffer();
      }));
    }
    await mortal.restart();
    await until(async () => await web.status("GET", lost[0]!) === 200, "its keys to be back");
    await Promise.all(names.map(async (name) => {
      const response = await web.ask("GET", name);
      assert.deepEqual([response.status, await response.text()], [200, isLost(name) ? name : "new"]);
    }));
  });

  test("starts without Redis, and finds it when it comes", async () => {
    const later = await RedisServer.start();
    await later.kill();
    const early = await startWeb([hostOf(later)]);
    try {
      assert.equal(await early.status("GET", "foo"), 503);
      await later.restart();
      await until(async () => await early.status("PUT", "foo", { body: "bar" }) === 200, "Redis to be found");
      assert.deepEqual(await early.stop(), [0, null]);
    } finally {
      early.child.kill("SIGKILL");
      await later.stop();
    }
  });

  test("SIGTERM ends it when what was asked has been answered, and leaves no connection", async () => {
    const chunks = new TransformStream<Uint8Array, Uint8Array>();
    const writer = chunks.writable.getWriter();
    const request = web.status("PUT", "late", { body: chunks.readable, duplex: "half" } as RequestInit);
    await writer.write(Buffer.from("half and "));
    await until(async () => await web.status("GET", "late") === 404, "it to be under way");
    const ended = web.stop();
    await until(() => fetch(`http://127.0.0.1:${web.port}/x`).then(() => false, () => true), "it to take no more requests");
    await writer.write(Buffer.from("half"));
    await writer.close();
    assert.equal(await request, 200);
    assert.deepEqual(await ended, [0, null]);
    const late = (): Promise<string | null> => placement.get("late").catch(String); // it may not have found all again yet
    await until(async () => await late() === "half and half", "what was asked to be there");
    placement.destroy();
    const others = async (): Promise<number> => sum(await Promise.all(servers.map(async (one) =>
      (await one.call("CLIENT", "LIST")).trim().split("\n").length - 1))); // without the one that asks
    await until(async () => await others() === 0, "all connections to be closed");
  });
});

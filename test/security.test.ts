// What a hostile server, a hostile caller's data and a careless log must not be able to do. SECURITY.md's chapter
// "What the driver defends against" promises it, each promise has its test here, and the frames and limits of the decoder have theirs beside
// the others in redis.test.ts. Times and sizes are compared within one run only, never with a clock's figure.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { inspect, promisify } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  ConnectionError, PipelineError, ProtocolError, ReplyError, ShardError, connection, internals, lazyConnection, lazyConnectionPool,
  lazyClusterConnection, lazyShardedConnection, lazyUnixConnection, lazyUnixConnectionPool, libraryFunction, script, sentinel,
} from "../redis.ts";
import type { Handler, Options } from "../redis.ts";
import { random } from "./reference.ts";
import { cpuSince, failure, ours, runProgram, using } from "./handlers.ts";
import { samples } from "./samples.ts";
import {
  Peer, RedisCluster, RedisServer, ScriptedSentinel, ScriptedServer, certificates, freePort, until,
} from "./servers.ts";

const { Decoder, MORE, commands } = internals;
const built = dirname(fileURLToPath(import.meta.url)); // the tests run compiled, in dist/test
const root = resolve(built, "../..");
const source = readFileSync(join(root, "redis.ts"), "utf8");

let server: RedisServer;
let locked: RedisServer;

// Each canary has the same song, so that one search finds any of them.
const SONG = "cAnArY";
const PASSWORD = `${SONG}-password`, USER = `${SONG}-user`, KEY = `${SONG}-key`, VALUE = `${SONG}-value`;

before(async () => {
  [server, locked] = await Promise.all([
    RedisServer.start(),
    RedisServer.start({ args: ["--requirepass", PASSWORD] }),
  ]);
  await server.call("ACL", "SETUSER", USER, "on", `>${PASSWORD}`, "~allowed:*", "+@all", "-flushall");
});
after(() => Promise.all([server.stop(), locked.stop()]));

const failureOf = (run: () => unknown): Promise<any> => failure((async () => run())());

const withDb = <T>(options: Options, use: (db: Handler) => Promise<T>): Promise<T> =>
  using(lazyConnection({ port: server.port, ...options }) as Handler, use);

async function withScript<T>(script: (peer: Peer) => Promise<void>, use: (db: Handler) => Promise<T>, options: Options = {}) {
  const scripted = await ScriptedServer.start(async (peer) => {
    await peer.hello();
    await script(peer);
  });
  try {
    return await withDb({ port: scripted.port, ...options }, use);
  } finally {
    await scripted.stop();
  }
}

/** Answers every command with these bytes. */
const saying = (bytes: string | Buffer) => async (peer: Peer): Promise<void> => {
  for (;;) {
    await peer.read();
    peer.write(bytes);
  }
};

// ==== No secrets in what is logged ====

/** All that a log could make of it: texts, own properties of any kind, causes, and what inspect and JSON show. */
function everything(thing: unknown): string[] {
  const seen = new Set<unknown>();
  const texts: string[] = [];
  const walk = (value: unknown): void => {
    if (typeof value === "string" || typeof value === "symbol") texts.push(String(value));
    if (typeof value !== "object" || value === null || seen.has(value)) return;
    seen.add(value);
    if (Buffer.isBuffer(value)) texts.push(value.toString());
    for (const name of Reflect.ownKeys(value)) {
      texts.push(String(name));
      walk(Object.getOwnPropertyDescriptor(value, name)!.value);
    }
    if (value instanceof Error) texts.push(value.message, value.stack ?? "", String(value), value.name);
  };
  walk(thing);
  texts.push(inspect(thing, { showHidden: true, depth: Infinity, maxStringLength: Infinity, maxArrayLength: Infinity }));
  texts.push(inspect(thing), String(thing), JSON.stringify(thing) ?? "");
  if (thing instanceof Error) texts.push(inspect(structuredClone(thing), { showHidden: true, depth: Infinity }));
  return texts;
}

function assertSilent(thing: unknown): void {
  for (const text of everything(thing)) {
    const at = text.toLowerCase().indexOf(SONG.toLowerCase());
    assert.ok(at < 0, `a canary sings: ${text.slice(Math.max(0, at - 100), at + 40)}`);
  }
}

const login = (): Options => ({ port: server.port, username: USER, password: PASSWORD, replyTimeout: 5_000 });

type Path = [what: string, fail: () => Promise<unknown>];

const asUser = (use: (db: Handler) => unknown) => () => withDb(login(), (db) => failureOf(() => use(db)));
const asAnyone = (use: (db: Handler) => unknown, options: Options = {}) => () =>
  withDb(options, (db) => failureOf(() => use(db)));
const against = (bytes: string, use: (db: Handler) => unknown, options: Options = {}) => () =>
  withScript(saying(bytes), (db) => failureOf(() => use(db)), options);
/** A server that takes the command and never answers. */
const mute = (use: (db: Handler) => unknown, options: Options = {}) => () => withScript(async (peer) => {
  await peer.read();
}, (db) => failureOf(() => use(db)), options);
const cutting = (use: (db: Handler) => unknown) => () => withScript(async (peer) => {
  await peer.read();
  peer.reset();
}, (db) => failureOf(() => use(db)), { reconnect: false });

const paths: Path[] = [
  // Options and URLs
  ["a refused login", () => failure(connection({ port: server.port, username: USER, password: `${PASSWORD}!` }))],
  ["a refused login in RESP2", () =>
    failure(connection({ port: server.port, username: USER, password: `${PASSWORD}!`, protocol: 2 }))],
  ["a refused login with a URL", () => failure(connection(`redis://${USER}:${PASSWORD}!@127.0.0.1:${server.port}`))],
  ["a refused login with a function", () => failure(connection({
    port: server.port, credentials: () => ({ username: USER, password: `${PASSWORD}!` }),
  }))],
  ["a refused login of a pool", async () => {
    const db = lazyConnectionPool({ port: server.port, username: USER, password: `${PASSWORD}!`, poolsize: 2 });
    const errors = [await failure(db.ready()), await failure(db.get(KEY)), inspect(db, { showHidden: true, depth: 9 })];
    db.destroy();
    return errors;
  }],
  ["nobody listening", async () => failure(connection({ port: await freePort(), username: USER, password: PASSWORD }))],
  ["no such socket", async () => {
    const db = lazyUnixConnection("/no/such.sock", { username: USER, password: PASSWORD });
    const error = await failure(db.get(KEY));
    db.destroy();
    return error;
  }],
  ["a URL of another scheme", () => failureOf(() => lazyConnection(`http://${USER}:${PASSWORD}@host`))],
  ["a URL that is none", () => failureOf(() => lazyConnection(`${USER}:${PASSWORD}@host`))],
  ["a URL with a bad port", () => failureOf(() => lazyConnection(`redis://${USER}:${PASSWORD}@host:99999`))],
  ["a URL with two @", () => failureOf(() => lazyConnection(`redis://${USER}:${PASSWORD}@a@host`))],
  ["a URL with a bad escape", () => failureOf(() => lazyConnection(`redis://${USER}:${PASSWORD}%@host`))],
  ["a URL with the password behind ?", () => failureOf(() => lazyConnection(`redis://host?${PASSWORD}=${VALUE}`))],
  ["a URL with the password as its database", () => failureOf(() => lazyConnection(`redis://host/${PASSWORD}`))],
  ["a host of a list with a password and no scheme", () =>
    failureOf(() => lazyShardedConnection(["a:1", `${USER}:${PASSWORD}@host:1`]))],
  ["a wrong option beside a password", () => failureOf(() => lazyConnection({ password: PASSWORD, port: VALUE } as object))],
  ["a password that is none", () => failureOf(() => lazyConnection({ password: [PASSWORD] } as object))],
  ["credentials that are none", () => failure(connection({
    port: server.port, credentials: (() => ({ username: USER, password: [PASSWORD] })) as never,
  }))],
  ["a key for TLS that is none", () => failure(connection({
    port: server.port, tls: { key: PASSWORD, cert: VALUE, passphrase: PASSWORD }, password: PASSWORD, connectTimeout: 5_000,
  }))],
  ["TLS where nobody speaks it", () => failure(connection({
    port: server.port, tls: true, password: PASSWORD, connectTimeout: 200,
  }))],
  // Commands that the server refuses
  ["NOPERM for a key", asUser((db) => db.set(KEY, VALUE))],
  ["NOPERM for a command", asUser((db) => db.call("FLUSHALL", VALUE))],
  ["WRONGTYPE", asUser(async (db) => {
    await db.rpush("allowed:list", "a");
    await db.set("allowed:list", VALUE, { GET: true });
  })],
  ["an unknown command", asAnyone((db) => db.call("NOSUCH", KEY, VALUE))],
  ["an unknown subcommand", asAnyone((db) => db.call("CONFIG", VALUE))],
  ["an option that is none", asAnyone((db) => db.call("SET", KEY, VALUE, PASSWORD))],
  ["ACL SETUSER", asAnyone((db) => db.aclSetuser(USER, PASSWORD))],
  ["ACL SETUSER through call()", asAnyone((db) => db.call("ACL", "SETUSER", USER, PASSWORD))],
  ["ACL DELUSER of nobody's name", asAnyone((db) => db.call("ACL", "DELUSER", VALUE, "default"))],
  ["ACL GETUSER through call()", asAnyone((db) => db.call("ACL", "GETUSER"))],
  ["CONFIG SET", asAnyone((db) => db.configSet({ maxmemory: PASSWORD }))],
  ["CONFIG SET through call()", asAnyone((db) => db.call("CONFIG", "SET", PASSWORD, VALUE))],
  ["MIGRATE", async () => asAnyone(async (db) => {
    await db.set(KEY, VALUE);
    await db.call("MIGRATE", "127.0.0.1", String(locked.port), KEY, 0, 1000, "AUTH2", USER, `${PASSWORD}!`);
  })()],
  ["HELLO through call()", asAnyone((db) => db.call("HELLO", "3", "AUTH", USER, PASSWORD))],
  ["AUTH through call()", asAnyone((db) => db.call("AUTH", USER, PASSWORD))],
  ["a command's name with a secret in it", asAnyone((db) => db.call(`AUTH ${PASSWORD}`))],
  ["a command's name with a secret in it, behind a known name", asAnyone((db) => db.call(`CONFIG ${PASSWORD}`))],
  ...[":", "=", "\t", "\n", "\0", "'", "\u00a0", ": "].map((mark): Path => [
    `a command's name with a secret behind ${JSON.stringify(mark)}`, asAnyone((db) => db.call(`AUTH${mark}${PASSWORD}`, KEY)),
  ]),
  // Scripts
  ["a script that fails", asAnyone((db) => script("return redis.call('INCR', KEYS[1], ARGV[1])", { keys: 1 })(db, KEY, VALUE))],
  ["a script that does not compile", asAnyone((db) => script("this is no lua")(db, KEY, VALUE))],
  ["a function that is not there", asAnyone((db) => libraryFunction("nosuch")(db, KEY, VALUE))],
  // Lost and late
  ["a command that times out", mute((db) => db.set(KEY, VALUE), { replyTimeout: 50 })],
  ["a command whose connection is lost", cutting((db) => db.set(KEY, VALUE))],
  ["a command that is aborted", mute(async (db) => {
    const abort = new AbortController();
    const pending = db.with({ signal: abort.signal }).set(KEY, VALUE);
    setImmediate(() => abort.abort());
    await pending;
  })],
  ["a command of a closed handler", asAnyone(async (db) => {
    db.destroy();
    await db.set(KEY, VALUE);
  })],
  ["a command too many", mute(async (db) => {
    const first = db.set(KEY, VALUE);
    first.catch(() => {});
    await db.set(KEY, VALUE);
  }, { maxPending: 1, replyTimeout: 1_000 })],
  // What cannot be sent
  ["an argument that is none", asAnyone((db) => db.set(KEY, { nested: { [VALUE]: VALUE } } as never))],
  ["an argument of a class named so", asAnyone((db) => db.call("SET", KEY, new (class { secret = VALUE; })() as never))],
  ["a symbol", asAnyone((db) => db.call("SET", KEY, Symbol(VALUE) as never))],
  ["an option of a view", asAnyone(async (db) => db.with({ replyTimeout: VALUE } as never))],
  // Breaches of the protocol, in whose bytes the value is
  ["a bulk that goes on", against(`$3\r\n${VALUE}\r\n`, (db) => db.get(KEY))],
  ["an unknown type", against(`${VALUE}\r\n`, (db) => db.get(KEY))],
  ["a length that is none", against(`$${VALUE}\r\n`, (db) => db.get(KEY))],
  ["a reply to nothing", against(`+OK\r\n+${VALUE}\r\n`, async (db) => {
    await db.set(KEY, VALUE);
    await db.set(KEY, VALUE);
  }, { reconnect: false })],
  ["a server that quotes the arguments of an unknown command", against(
    `-ERR unknown command 'X', with args beginning with: '${VALUE}' '${KEY}' \r\n`, (db) => db.call("X", VALUE))],
  // Many at once
  ["a pipeline", asUser((db) => db.pipeline().set(KEY, VALUE).get("allowed:a").execPipeline())],
  ["a pipeline whose other replies hold the value", asAnyone((db) =>
    db.pipeline().set(KEY, VALUE).get(KEY).call("INCR", KEY).execPipeline())],
  ["a pipeline of what cannot be sent", asAnyone((db) => db.pipeline().set(KEY, { a: { b: VALUE } } as never))],
  ["a transaction", asUser(async (db) => {
    const t = await db.multi();
    void t.set(KEY, VALUE).catch(() => {});
    await t.commit();
  })],
  ["a watch that fails", asAnyone(async (db) => {
    const watch = await db.watch(KEY);
    await server.call("SET", KEY, VALUE);
    const t = await watch.multi();
    void t.set(KEY, VALUE).catch(() => {});
    await t.commit();
  })],
  // Shards and placements
  ["shards with a node that is down", async () => {
    const db = lazyShardedConnection([{ port: server.port }, { port: await freePort() }], { username: USER, password: PASSWORD });
    const keys = Array.from({ length: 20 }, (_, i) => `allowed:${KEY}${i}`);
    const errors = [
      await failure(db.mget(keys)), await failure(db.mset(Object.fromEntries(keys.map((key) => [key, VALUE])))),
      await failure(db.dbsize()), inspect(db, { showHidden: true, depth: Infinity }), JSON.stringify(db),
    ];
    assert.ok(errors[0] instanceof ShardError && errors[0].failures.length > 0);
    db.destroy();
    return errors;
  }],
  ["a key whose shards cannot meet", async () => {
    const db = lazyShardedConnection([{ port: server.port }, { port: locked.port }]);
    const keys = Array.from({ length: 32 }, (_, i) => `${KEY}${i}`); // on one shard by chance once in 2^31 runs
    return failure(db.call("EVAL", "return 1", keys.length, keys)).finally(() => db.destroy());
  }],
  ["a placement function that names no node", async () => {
    const db = lazyShardedConnection([{ port: server.port, password: PASSWORD, username: USER }], { placement: () => VALUE });
    const error = await failure(db.get(KEY));
    db.destroy();
    return error;
  }],
  ["a replica that refuses the login", async () => withDb({
    ...login(), readFrom: "replica", replicas: [{ port: server.port, username: USER, password: `${PASSWORD}!` }],
  }, async (db) => [await failure(db.get(KEY)), inspect(db, { showHidden: true, depth: Infinity })])],
  ["replicas that are none", () => failureOf(() => lazyConnection({ replicas: [`redis://${USER}:${PASSWORD}@h:0x`] }))],
  // Publish and subscribe, monitor
  ["a channel that is not allowed", asUser(async (db) => {
    await server.call("ACL", "SETUSER", USER, "resetchannels");
    await db.subscribe(KEY);
  })],
  ["a channel that is none", asAnyone((db) => db.subscribe({ [KEY]: VALUE } as never))],
  ["an option of a subscription", asAnyone((db) => db.subscribe(KEY, { buffer: VALUE } as never))],
  ["monitor() without permission", async () => {
    await server.call("ACL", "SETUSER", USER, "-monitor");
    return withDb(login(), (db) => failureOf(async () => {
      const feed = await db.monitor();
      await feed.next();
    }));
  }],
  // Handlers
  ["inspect() of handlers, views and pipelines", () => withDb(login(), async (db) => {
    await db.ready();
    void db.set(`allowed:${KEY}`, VALUE).catch(() => {});
    return [db, db.with({ replyTimeout: 5 }), db.pipeline().set(KEY, VALUE)]
      .flatMap((handler) => [...everything(handler)].filter((text) => !text.includes("native code")));
  })],
];

describe("a canary in password, user name, key and value is not heard from", () => {
  for (const [what, fail] of paths) {
    test(what, async () => {
      const error = await fail();
      for (const one of [error].flat()) {
        if (typeof one === "object") assert.ok(one instanceof Error, inspect(one));
        assertSilent(one);
      }
    });
  }

  test("warnings: a listener that throws is told of by its own words only", async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): void => void warnings.push(warning);
    process.on("warning", listen);
    await withDb(login(), async (db) => {
      await server.call("ACL", "SETUSER", USER, "allchannels");
      await db.subscribe(`channel:${KEY}`, () => {
        throw new Error("thrown by the listener");
      });
      await server.call("PUBLISH", `channel:${KEY}`, VALUE);
      await until(() => warnings.length > 0, "a warning");
    });
    process.off("warning", listen);
    for (const warning of warnings) assertSilent(warning);
  });

  test("what a caller asks for is there: the failures of shards and the results of pipelines can be read", () =>
    withDb({}, async (db) => {
      const error = await failure(db.pipeline().set(KEY, VALUE).get(KEY).call("INCR", KEY).execPipeline());
      assert.ok(error instanceof PipelineError);
      assert.deepEqual(error.results.slice(0, 2), ["OK", VALUE]);
    }));
});

// ==== What a server quotes of its command ====

/** Puts the canary before each text of an argument and, with `numbers`, in the place of each number. */
function sung(arg: unknown, numbers = false): unknown {
  if (typeof arg === "string") return `${SONG}${arg}`;
  if (typeof arg === "number" || typeof arg === "bigint") return numbers ? `${SONG}${arg}` : arg;
  if (Array.isArray(arg)) return arg.map((one) => sung(one, numbers));
  if (arg instanceof Map) return new Map([...arg].map((pair) => sung(pair, numbers) as [unknown, unknown]));
  if (arg instanceof Uint8Array) return Buffer.concat([Buffer.from(SONG), arg]);
  if (typeof arg !== "object" || arg === null) return arg;
  return Object.fromEntries(Object.entries(arg).map(([name, value]) => [name, sung(value, numbers)]));
}

const rowsOf = (...kinds: string[]): string[] =>
  Object.keys(samples).filter((method) => kinds.includes((commands as any)[method].kind));

/** Calls each of these rows with a canary in each argument; returns the errors. */
async function sing(db: any, methods: readonly string[], numbers = false): Promise<any[]> {
  const errors = await Promise.all(methods.map((method) =>
    db[method](...samples[method]![0].map((arg) => sung(arg, numbers))).then(() => [], (error: unknown) => error)));
  return errors.flat();
}

/** Every way in which a server may quote words. */
const QUOTES: [what: string, quote: (word: string) => string][] = [
  ["single quotes", (word) => `'${word}'`], ["double quotes", (word) => `"${word}"`], ["backticks", (word) => `\`${word}\``],
  ["a backtick and a quote", (word) => `\`${word}'`], ["curly quotes", (word) => `\u201c${word}\u201d`],
  ["single curly quotes", (word) => `\u2018${word}\u2019`], ["guillemets", (word) => `\u00ab${word}\u00bb`],
  ["nothing", (word) => word], ["colons", (word) => `:${word}:`], ["brackets, in capitals", (word) => `[${word.toUpperCase()}]`],
  ["quotes, in capitals", (word) => `'${word.toUpperCase()}'`], ["nothing, in lower case", (word) => word.toLowerCase()],
  ["quotes that have no end", (word) => `'${word}`], ["quotes, and cut to 9 bytes", (word) => `'${word.slice(0, 9)}'`],
];

/** Answers each command with an error that quotes its words. */
const quoting = (quote: (word: string) => string, most = 800) => async (peer: Peer): Promise<void> => {
  for (;;) {
    const words = await peer.read();
    const said = words.map((word) => quote(word.replaceAll("\r", " ").replaceAll("\n", " "))).join(" ");
    peer.write(`-ERR I will not do ${said.slice(0, most)}\r\n`);
  }
};

describe("an error does not show what the server quotes of the command", () => {
  test("but the digest of a script, with EVALSHA as with EVAL", () => withDb({}, async (db) => {
    const lua = "return redis.call('NOSUCH')";
    const digest = createHash("sha1").update(lua).digest("hex");
    const byDigest = script(lua);
    const errors = [await failureOf(() => db.eval(lua, 0)), await failureOf(() => byDigest(db)), await failureOf(() => byDigest(db))];
    for (const { message, raw } of errors) assert.equal(message.includes(digest), raw.includes(digest), message);
    assert.equal(errors[0].message.replace("EVAL", "EVALSHA"), errors[2].message);
    const key = "b".repeat(40); // looks like a digest
    const { message } = await failureOf(() => db.evalsha(digest, 1, key));
    assert.ok(!message.includes(key), message);
  }));

  const HARMFUL = ["shutdown", "debug", "replicaof", "slaveof", "failover", "clientPause", "save"];
  for (const numbers of [false, true]) {
    test(`a real server, for every row: texts${numbers ? " and numbers" : ""}`, async () => {
      const own = await RedisServer.start();
      const db = lazyConnectionPool({ port: own.port, poolsize: 4, replyTimeout: 2_000 });
      const errors = await sing(db, rowsOf("read", "write", "other").filter((method) => !HARMFUL.includes(method)), numbers);
      for (const error of errors) assertSilent(error);
      const quotes = errors.filter((error) => String(error.raw).toLowerCase().includes(SONG.toLowerCase()));
      assert.ok(quotes.length >= 5, `${quotes.length} errors quote a canary`);
      for (const method of rowsOf("leased")) {
        await db.lease(async (leased) => (await sing(leased, [method], numbers)).forEach(assertSilent)).catch(assertSilent);
      }
      db.destroy();
      await own.stop();
    });
  }

  for (const [what, quote] of QUOTES) {
    test(`a server that quotes all words, in ${what}, for every row`, () => withScript(quoting(quote), async (db) => {
      const methods = rowsOf("read", "write", "other");
      const errors = await sing(db, methods);
      assert.ok(errors.length > methods.length * 0.9, `${errors.length} of ${methods.length}`);
      for (const error of errors) {
        assertSilent(error);
        if (error instanceof ReplyError) assert.match(error.message, /^ERR I will not do /);
      }
    }));
  }

  test("nor do the diagnostics channels, for every row", async () => {
    const own = await RedisServer.start();
    const db = lazyConnectionPool({ port: own.port, poolsize: 4, replyTimeout: 2_000, trace: true });
    const heard: any[] = [];
    const listener = (message: unknown): void => void heard.push(message);
    const names = ["command", "batch", "connect"].flatMap((kind) => ["start", "error", "asyncEnd"].map((event) => `tracing:redis.ts:${kind}:${event}`));
    for (const name of names) subscribe(name, listener);
    try {
      const methods = rowsOf("read", "write", "other").filter((method) => !HARMFUL.includes(method));
      await sing(db, methods);
      await db.lease((leased) => sing(leased, rowsOf("leased"))).catch(() => {});
      await db.call("MODULE.AUTH", PASSWORD).catch(() => {});
      await db.pipeline().set(KEY, VALUE).get(KEY).incr(KEY).execPipeline().catch(() => {});
      await db.pipeline().set(KEY, VALUE).get(KEY).commit();
      assert.ok(heard.length > 2 * methods.length, `${heard.length} messages of ${methods.length} rows`);
      for (const message of heard) assertSilent([{ ...message }, inspect(message), message.args, message.commands]);
    } finally {
      for (const name of names) unsubscribe(name, listener);
      db.destroy();
      await own.stop();
    }
  });

  test("it is the same in pipelines, transactions, inside of replies, and for the code", async () => {
    const text = `-ERR no '${KEY}' nor ${VALUE}\r\n`;
    const ask = async (db: Handler) => [
      await failure(db.set(KEY, VALUE)), await failure(db.pipeline().set(KEY, VALUE).get(KEY).execPipeline()),
      ...await db.pipeline().set(KEY, VALUE).execPipeline({ errors: "return" }) as unknown[],
    ];
    for (const one of await withScript(saying(text), ask)) assertSilent(one);
    await withScript(saying(`*3\r\n:1\r\n${text}*1\r\n${text}`), async (db) => {
      for (const reply of [await db.eval(VALUE, 1, KEY), await db.call("ANY", KEY, VALUE)] as any[]) {
        assert.ok(reply[1] instanceof ReplyError && reply[2][0] instanceof ReplyError);
        for (const one of [reply[1], reply[2][0]]) assertSilent(one);
        assert.equal(reply[1].raw, text.slice(1, -2));
      }
      const [[, error]] = await db.pipeline().call("ANY", KEY, VALUE).execPipeline() as any;
      assertSilent(error);
    });
    await withScript(async (peer) => {
      for (;;) {
        const [name] = await peer.read();
        peer.write(name === "MULTI" ? "+OK\r\n" : name === "EXEC" ? `*2\r\n${text}*1\r\n${text}` : "+QUEUED\r\n");
      }
    }, async (db) => {
      const t = await db.multi();
      void t.set(KEY, VALUE);
      void t.call("ANY", VALUE, KEY);
      for (const [set, any] of [await t.commit(), await db.pipeline().set(KEY, VALUE).call("ANY", VALUE, KEY).commit()] as any[]) {
        assert.ok(set instanceof ReplyError && any[0] instanceof ReplyError);
        for (const one of [set, any[0]]) assertSilent(one);
      }
    });
    await withScript(saying(`-${KEY} ${VALUE}\r\n`), async (db) => {
      const error = await failure(db.set(KEY, VALUE));
      assertSilent(error);
      assert.deepEqual([error.code, error.message], ["***", "*** *** (SET)"]);
    });
  });

  test("arguments of any kind and length are masked, as far as the server shows them", async () => {
    const long = `${SONG}-${"long".repeat(100)}`, strange = `${SONG} it's "a\\b\r\n\u0130stanbul`;
    const args = [Buffer.from(KEY), new TextEncoder().encode(VALUE), [long, [strange]], new Set([987654321, 12345678901234567890n])];
    for (const [, quote] of QUOTES) {
      for (const most of [50, 500, 1_800, 100_000]) {
        await withScript(quoting(quote, most), async (db) => {
          const error = await failure(db.call({ name: "ANY" }, ...args));
          assertSilent(error);
          for (const text of everything(error)) assert.ok(!text.includes("987654321") && !text.includes("1234567890"), text);
        });
      }
    }
    await withScript(quoting((word) => word), async (db) => { // more words than a text is long, or longer ones
      for (const error of await Promise.all([
        failure(db.mget(Array.from({ length: 50_000 }, (_, i) => `${SONG}${i}`))), failure(db.set(KEY, VALUE.repeat(100_000))),
      ])) assertSilent(error);
    });
  });

  test("what servers format in their own way is masked, too: coordinates, a script's parts, a name of several words", () =>
    withDb({}, async (db) => {
      for (const error of [
        await failure(db.geoadd(KEY, [200.123456789, 95.5, VALUE])), await failure(db.geoadd(KEY, ["-200.123456", "95.50", VALUE])),
      ]) for (const text of everything(error)) assert.ok(!text.includes("200.123") && !text.includes("95.5"), text);
      for (const code of [`this is ${VALUE}`, `return '${VALUE}`, `x = '${VALUE}' 1`, `return redis.call('${SONG}')) `]) {
        assertSilent(await failure(db.call("SCRIPT", "LOAD", code)));
        assertSilent(await failure(db.eval(code, 0)));
      }
      for (const code of [
        `#!lua name=${SONG} x=${VALUE}\n`, `#!${SONG} name=a\n`, `#!lua name=a\n this is ${VALUE}`, `#!lua name=${VALUE}\n`,
        `#!lua name=a\n redis.register_function('${SONG}', ${SONG})`, `#!lua name=a ${SONG}\n`,
      ]) assertSilent(await failure(db.functionLoad(code)));
      assertSilent(await failure(db.aclSetuser("a", `(%${SONG}`, "~a", `${KEY})`)));
      assertSilent(await failure(db.aclSetuser("a", `(%${SONG}`)));
    }));

  test("the server's own words stay, and raw is its text unchanged", async () => {
    const said: [said: string, shown: string, ...args: unknown[]][] = [
      ["WRONGTYPE Operation against a key holding the wrong kind of value", "", "key", "value", "a", "wrong", "WRONGTYPE"],
      ["ERR value is not an integer or out of range", "", "value", "ERR", "not", 1],
      ["ERR user_script:1: order is gone", "", 1, "1", "user_script"],
      ["NOSCRIPT No matching script. Please use EVAL.", "", "noscript", "script", "no"],
      ["OOM command not allowed when used memory > 'maxmemory'.", "", "OOM", "memory"],
      ["HALF way", "", "half"],
      ["ERR no order 'o' of user u1, 1 left of 250", "ERR no order '***' of user u1, 1 left of ***", "o", "u1", 1, "250"],
      ["ERR Slot 1044 is busy at host1:1044", "ERR Slot *** is busy at ***:***", 1044, "host1"],
    ];
    for (const [text, shown, ...args] of said) {
      await withScript(saying(`-${text}\r\n`), async (db) => {
        const error = await failure(db.call("ANY", ...args));
        assert.deepEqual([error.message, error.raw], [`${shown || text} (ANY)`, text]);
      });
    }
    const unknown = `ERR unknown command 'ANY', with args beginning with: '${KEY}' `;
    await withScript(saying(`-${unknown}\r\n`), async (db) => {
      const error = await failure(db.call("ANY", KEY));
      assert.deepEqual([error.message, error.raw], ["ERR unknown command 'ANY' (ANY)", unknown]);
    });
  });
});

// ==== The login's secrets ====

describe("a server that has the password cannot have it logged", () => {
  const ODD = `${SONG} p@ss/w%6frd"\u00e9`;
  const LOGINS: [what: string, options: Options, password: string][] = [
    ["a password", { password: PASSWORD }, PASSWORD],
    ["a user's password", { username: USER, password: PASSWORD }, PASSWORD],
    ["a password of many kinds of characters", { password: ODD }, ODD],
    ["a password from a function", { credentials: async () => ({ username: USER, password: ODD }) }, ODD],
  ];
  const textsWith = (secret: string): string[] => [
    `ERR no ${secret}`, `${secret} no`, `${secret.toUpperCase()} no`, `ERR no${secret.toLowerCase()}no`, `LOADING ${secret}`,
    `NOAUTH \u201c${secret}\u201d`, `NOPERM \u2018${secret}\u2019 is no`, `ERR ${encodeURIComponent(secret)}`,
    `ERR ${secret.replace("%6f", "o")}`, `ERR '${secret.slice(0, -3)}`, `WRONGPASS ${secret.slice(0, 11)} ...`,
  ];
  /** Where the server says it: in answer to this command, or before it is asked. */
  const MOMENTS: [command: string, options: Options][] = [
    ["HELLO", {}], ["AUTH", { protocol: 2 }], ["PING", { protocol: 2 }], ["CLIENT", { protocol: 2, name: "n" }],
    ["SELECT", { dbid: 1 }], ["GET", {}], ["", {}],
  ];
  for (const [what, login, secret] of LOGINS) {
    for (const [moment, options] of MOMENTS) {
      test(`${what}, told ${moment === "" ? "before it is asked" : `in answer to ${moment}`}`, async () => {
        for (const text of textsWith(secret)) {
          const scripted = await ScriptedServer.start(async (peer) => {
            for (;;) {
              const [name] = await peer.read();
              const reply = name === moment || moment === "" ? `-${text}\r\n` : name === "HELLO" ? "%0\r\n" : "+OK\r\n";
              peer.write(moment === "" ? reply.repeat(2) : reply);
            }
          });
          const db = lazyConnection({ port: scripted.port, replyTimeout: 150, ...login, ...options });
          const replies = await Promise.allSettled([db.get("k"), db.pipeline().get("k").get("l").execPipeline()]);
          const shown = everything(db).filter((one) => !one.includes("native code"));
          db.destroy();
          await scripted.stop();
          for (const reply of replies) assertSilent((reply as PromiseRejectedResult).reason); // NOPERM for HELLO is no failure
          for (const one of shown) assertSilent(one);
        }
      });
    }
  }

  test("in a push, in a reply, in EXEC, and in answer to commands that do not name it", async () => {
    const error = `-ERR no ${PASSWORD}\r\n`;
    await withScript(saying(`>2\r\n+other\r\n${error}*2\r\n${error}*1\r\n${error}`), async (db) => {
      const [one, [other]] = await db.call("ANY") as any;
      for (const each of [one, other]) assertSilent(each);
    }, { password: PASSWORD });
  });

  test("as its role, to a handler that uses Sentinels", async () => {
    for (const said of [PASSWORD, USER, `\u001b[31m${PASSWORD}`, "x".repeat(100_000)]) {
      const role = `*1\r\n$${said.length}\r\n${said}\r\n`;
      const scripted = await ScriptedServer.start(async (peer) => {
        for (;;) peer.write((await peer.read())[0] === "HELLO" ? "%0\r\n" : role);
      });
      await using one = await ScriptedSentinel.start({ address: ["127.0.0.1", scripted.port] });
      const login = { username: USER, password: PASSWORD };
      await using(lazyConnection({ sentinels: [one.host], master: "m", ...login, reconnect: false }), async (db) => {
        const error = await failure(db.ready());
        assertSilent(error);
        assert.match(error.message, /is not the expected server: it is not a master$/);
        for (const shown of everything(db).filter((text) => !text.includes("native code"))) assertSilent(shown);
      });
      await scripted.stop();
    }
  });

  test("in quotes of its own, as servers and JSON escape them", async () => {
    for (const [password, said] of [
      ['pass"word', 'pass\\"word'], ["pass\\word1", "pass\\\\word1"], ["tab\there12", "tab\\there12"], ["tab\there12", "tab\\x09here12"],
      ["\u00fcn\u00efc\u00f6d\u00e9", "\\xc3\\xbcn\\xc3\\xafc\\xc3\\xb6d\\xc3\\xa9"], ["\u0001ctl99", "\\u0001ctl99"],
    ] as const) {
      await withScript(saying(`-ERR the user gave ${said} today\r\n`), async (db) => {
        assert.equal((await failure(db.get("k"))).message, "ERR the user gave *** today (GET)", said);
      }, { password });
    }
  });

  test("a code of the protocol stays, even if the password is the same word, and so does the rest of the text", async () => {
    for (const password of ["ERR", "err", "no", "a"]) { // the last are too short to be looked for in longer words
      await withScript(saying("-ERR no thing, but a canary: ERR\r\n"), async (db) => {
        const { code, message } = await failure(db.get("k"));
        assert.equal(code, "ERR");
        const words = message.split(" ").slice(1);
        assert.ok(message.startsWith("ERR ") && !words.some((word: string) => word.toLowerCase() === password.toLowerCase()), message);
        assert.match(message, / thing, but/);
      }, { password });
    }
    const refused = await ScriptedServer.start(async (peer) => {
      await peer.read();
      peer.write("-ERR Client sent AUTH, but no password is set\r\n");
      await peer.closed;
    });
    const { message } = await failure(connection({ port: refused.port, password: "err" }));
    await refused.stop();
    assert.match(message, /: ERR Client sent AUTH, but no password is set/);
    await withDb({ password: "password" }, async (db) => assert.equal(await db.ping(), "PONG")); // the server needs none
    await withDb({ password: "password", protocol: 2 }, async (db) => assert.equal(await db.ping(), "PONG"));
  });
});

// ==== Names that JavaScript has ideas about ====

const NAMES = ["__proto__", "constructor", "prototype", "toString", "valueOf", "hasOwnProperty", "length", "0", "then", "toJSON",
  "__defineGetter__", "isPrototypeOf", "name", "message", "inspect"];

const INTRINSICS = [Object.prototype, Array.prototype, Function.prototype, Map.prototype, Promise.prototype, Error.prototype,
  String.prototype, Buffer.prototype];
const shapeOf = (): unknown[] => INTRINSICS.map((intrinsic) => Reflect.ownKeys(intrinsic).map((name) =>
  [name, Object.getOwnPropertyDescriptor(intrinsic, name)]));

describe("a Sentinel that knows a password from elsewhere cannot have it shown", () => {
  const secrets = ["server-hunter2", "other-sentinel-hunter3", "rotating-hunter4"] as const;

  for (const [what, options, secret] of [
    ["of the servers", { password: secrets[0] }, secrets[0]], ["of another Sentinel", {}, secrets[1]],
    ["that a function gives for the servers", { credentials: () => ({ password: secrets[2] }) }, secrets[2]],
  ] as const) {
    test(`the password ${what}`, async () => {
      const says = `-ERR no such master, try ${secret} or ${secret.slice(0, -1)}\r\n`;
      let isHostile = false;
      await using master = await ScriptedServer.start(async (peer) => {
        for (;;) {
          const [name] = await peer.read();
          peer.write(name === "HELLO" ? "%1\r\n+role\r\n+master\r\n" : "+PONG\r\n");
        }
      });
      const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
      await using hostile = await ScriptedServer.start(async (peer) => {
        for (;;) {
          const [name, what] = await peer.read();
          if (name === "HELLO") peer.write(`%1\r\n${bulk("mode")}${bulk("sentinel")}`);
          else if (what !== "GET-MASTER-ADDR-BY-NAME" || isHostile) peer.write(says);
          else peer.write(`*2\r\n${bulk("127.0.0.1")}${bulk(String(master.port))}`);
        }
      });
      const hosts = [`127.0.0.1:${hostile.port}`, { host: "127.0.0.1", port: await freePort(), password: secrets[1] }];
      const shown: unknown[] = [];
      await using(lazyConnection({ ...options, sentinels: hosts, master: "m" }) as Handler, async (db) => {
        await db.ping(); // with the password, if a function gives it
        isHostile = true;
        for (const peer of master.peers) peer.reset();
        await until(async () => {
          const error = await db.ready().catch((error) => error);
          shown.push(error);
          return error.code === "NO_MASTER";
        }, "the name to be unknown");
        shown.push(inspect(db), await db.get("k").catch((error) => error));
        await using all = sentinel(hosts, options);
        shown.push(await all.discoverMaster("m").catch((error) => error));
      });
      const told = shown.map((each) => inspect(each, { depth: 20 })).join("\n");
      assert.match(told, /NO_MASTER/);
      assert.match(told, /try \*\*\* or \*\*\*/);
      const raw = told.split("\n").filter((line) => line.includes(secret.slice(0, -1)) && !line.includes("[cause]: [Getter"));
      assert.deepEqual(raw, []);
    });
  }
});

describe("names of prototypes are names like any others", () => {
  const plain = (value: object): [string, unknown][] => Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  const sorted = [...NAMES].sort();
  let pristine: unknown[];
  before(() => {
    pristine = shapeOf();
  });
  after(() => assert.deepEqual(shapeOf(), pristine));

  for (const protocol of [2, 3] as const) {
    test(`as fields of hashes, of streams and as members, in RESP${protocol}`, () => withDb({ protocol }, async (db) => {
      await db.del("hash", "stream", "zset");
      const fields = Object.fromEntries(NAMES.map((name) => [name, `value of ${name}`]));
      Object.defineProperty(fields, "__proto__", { value: "value of __proto__", enumerable: true, writable: true });
      await db.hset("hash", fields);
      const hash = await db.hgetall("hash");
      assert.equal(Object.getPrototypeOf(hash), null);
      assert.deepEqual(plain(hash), sorted.map((name) => [name, `value of ${name}`]));
      await db.xadd("stream", "*", fields);
      const [[, entry] = []] = await db.xrange("stream", "-", "+") as [string, object][];
      assert.equal(Object.getPrototypeOf(entry), null);
      assert.deepEqual(plain(entry!), sorted.map((name) => [name, `value of ${name}`]));
      await db.zadd("zset", ...NAMES.map((name, i): [number, string] => [i, name]));
      assert.deepEqual(await db.zrange("zset", 0, -1), NAMES);
    }));
  }

  test("as keys, channels, and words of the monitor", () => withDb({}, async (db) => {
    for (const name of NAMES) {
      await db.set(name, name);
      assert.equal(await db.get(name), name);
    }
    assert.deepEqual(await db.mget(NAMES), NAMES);
    const subscription = await db.subscribe(NAMES);
    const feed = await db.monitor();
    for (const name of NAMES) await db.publish(name, name);
    for (const name of NAMES) {
      const { value } = await subscription[Symbol.asyncIterator]().next();
      assert.deepEqual([(value as any).channel, (value as any).message], [name, name]);
      const line = await feed.next();
      assert.deepEqual((line.value as any).words, ["PUBLISH", name, name]);
    }
  }));

  test("as names of maps in maps, of configuration and of servers, from a server that says what it likes", async () => {
    const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
    const inner = `%${NAMES.length}\r\n${NAMES.map((name) => bulk(name) + bulk(`own ${name}`)).join("")}`;
    const outer = `%${NAMES.length}\r\n${NAMES.map((name) => bulk(name) + inner).join("")}`;
    const flat = `*${NAMES.length * 2}\r\n${NAMES.map((name) => bulk(name) + bulk(name)).join("")}`;
    await withScript(saying(outer), async (db) => {
      for (const reply of [await db.call("ANY"), await db.functionStats()] as any[]) {
        assert.equal(Object.getPrototypeOf(reply), null);
        assert.deepEqual(Object.keys(reply).sort(), sorted);
        for (const name of NAMES) {
          assert.equal(Object.getPrototypeOf(reply[name]), null);
          assert.deepEqual(plain(reply[name]), sorted.map((other) => [other, `own ${other}`]));
        }
      }
    });
    await withScript(saying(flat), async (db) => {
      for (const reply of [await db.configGet("*"), await db.hgetall("h"), await db.xinfoStream("s")] as any[]) {
        assert.equal(Object.getPrototypeOf(reply), null);
        assert.deepEqual(plain(reply), sorted.map((name) => [name, name]));
      }
    });
    // In what nobody asked for, and in attributes, which nobody gets.
    const push = `>${NAMES.length}\r\n${NAMES.map(bulk).join("")}|1\r\n${bulk("__proto__")}${inner}+OK\r\n`;
    await withScript(saying(push), async (db) => assert.equal(await db.set("a", "b"), "OK"));
  });

  test("as words and codes of errors", async () => {
    for (const name of NAMES) {
      await withScript(saying(`-${name} is what went wrong\r\n`), async (db) => {
        const error = await failure(db.set("k", "v"));
        assert.ok(error instanceof ReplyError);
        assert.equal(error.code, name);
      });
    }
  });

  test("as names of options, of hosts and of nodes", async () => {
    for (const name of NAMES.filter((known) => known !== "name")) {
      const options = JSON.parse(`{ ${JSON.stringify(name)}: 1 }`);
      assert.throws(() => lazyConnection(options), TypeError, name);
      assert.throws(() => lazyConnection(`redis://host?${name}=1`), TypeError, name);
      assert.throws(() => lazyShardedConnection([options]), TypeError, name);
      assert.throws(() => lazyShardedConnection(["a:1"], { placement: name as never }), TypeError, name);
      assert.throws(() => lazyShardedConnection([name]), TypeError, name);
      await withDb({}, async (db) => assert.throws(() => db.with(options), TypeError, name));
    }
    const nodes = [{ host: "127.0.0.1", port: server.port }];
    for (const name of NAMES) {
      const db = lazyShardedConnection(nodes, { placement: () => name });
      assert.equal((await failure(db.get("k"))).code, "INVALID_ARGUMENT");
      db.destroy();
    }
  });

  test("as lines of INFO, by which replicas are looked for", async () => {
    const info = ["role:master", ...NAMES.map((name) => `${name}:${name}`), "slave__proto__:ip=constructor,port=toString", ""];
    const text = info.join("\r\n");
    await withScript(async (peer) => {
      for (;;) {
        const [name] = await peer.read();
        peer.write(name === "INFO" ? `$${text.length}\r\n${text}\r\n` : "+OK\r\n");
      }
    }, async (db) => assert.equal(await db.get("k"), "OK"), { readFrom: "any" });
  });
});

// ==== A polluted Object.prototype ====

/** Names that break the language or Node itself when they are polluted, whatever a program does; and why. */
const HOPELESS = {
  "the language asks every promise, iterator and property descriptor for them":
    "then return get set value writable enumerable configurable",
  "EventEmitter asks its own records for the names of events, and its listeners for the last":
    "connect connectionAttempt ready lookup newListener removeListener resume",
  "streams and sockets ask themselves, or options that Node makes for TLS":
    "_construct server read reading destroy final encoding defaultEncoding highWaterMark objectMode noDelay keepAlive " +
    "keepAliveInitialDelay readableHighWaterMark writableHighWaterMark readableObjectMode writableObjectMode write writev blockList " +
    "captureRejections typeOfService",
  "dns.lookup asks options that Node makes": "order verbatim",
};

/** Prints what a program finds without pollution, and each name and value of Object.prototype under which it differs. */
const polluted = (driver: string, ports: Record<string, unknown>, names: readonly string[]): string => `
import { once } from "node:events";
import { connect } from "node:net";
const ports = ${JSON.stringify(ports)}, names = ${JSON.stringify(names)};
const port = ports.tcp, base = { password: ports.password, connectTimeout: 20_000, replyTimeout: 20_000 };
const values = {
  text: ports.rogue, number: 7, flag: true, list: [ports.rogue], object: { host: "rogue.example", path: ports.rogue },
  function: () => ports.rogue,
};
let uncaught = "";
for (const kind of ["uncaughtException", "unhandledRejection"]) process.on(kind, (error) => { uncaught += error?.stack ?? error; });
let count = 0;
const tell = (error) => [error.name, error.code, error.outcome, error.command, error.message, error.unavailable];

async function use(driver, stream) {
  const { lazyConnection, lazyConnectionPool, lazyShardedConnection, lazyUnixConnection, script, libraryFunction, sentinel } = driver;
  const { lazyClusterConnectionPool, manager } = driver;
  const { Model, RedisCounter, RedisDict, RedisList, RedisQueue, RedisSet, RedisSortedSet, json } = driver;
  const found = [];
  const db = lazyConnection({ ...base, port });
  found.push(await db.flushall(), await db.scriptFlush(), await db.set("k", "v", { EX: 100 }), await db.get("k"));
  found.push(await db.hset("h", { a: 1, b: "x" }), Object.entries(await db.hgetall("h")), await db.zadd("z", { CH: true }, [1, "m"]));
  found.push(await db.lpush("l", ["a", ["b"]]), await db.lrange("l"), await db.mset(new Map([["m", 1]])));
  found.push(tell(await db.incr("h").catch((error) => error)), tell(await (async () => db.set("k", null))().catch((error) => error)));
  found.push(await db.pipeline().get("k").set("k", 2).hget("k", "a").execPipeline({ errors: "return" }).then((all) => all.map(String)));
  found.push(await db.pipeline().set("k", 1).incr("k").commit(), await db.call("GET", "k"), await db.call({ name: "X.Y" }).catch(tell));
  found.push(await db.with({ convertNumbers: true }).get("k"), await db.with({ charset: null }).get("k").then(String));
  found.push(await db.transaction(["k"], async (t) => {
    const was = await t.get("k");
    const multi = await t.multi();
    void multi.set("k", was + "0");
  }));
  found.push(await script("return {KEYS[1], ARGV[1]}", { keys: 1 })(db, "k", "four"), await script("return 5")(db));
  found.push(await libraryFunction("none")(db).catch(tell), await db.blpop("none", 0.01));
  for await (const key of db.scanIterator()) found.push(typeof key);
  const [dict, list, set] = [new RedisDict(db, "rd", { serializer: json }), new RedisList(db, "rl"), new RedisSet(db, "rs")];
  await dict.update({ a: 1, b: { c: 2 } });
  found.push(await dict.entries(), await dict.pop("b"), await list.append("x", "y"), await list.slice(), [...await set.union(["z"])]);
  const [zset, queue] = [new RedisSortedSet(db, "rz"), new RedisQueue(db, "rq", { maxSize: 2 })];
  found.push(await zset.update([["m", 1]]), await zset.entries(), await zset.rangeByScore(0, 2), await queue.put("job"), await queue.get());
  found.push(await queue.get({ timeout: 1 }), await new RedisCounter(db, "rc").multiply(2), tell(await list.append({}).catch((error) => error)));
  const model = new Model(db, "rm");
  found.push(await model.db.set(model.key(1), 2), await model.db.get(model.key(1)), await model.db.get("none", 5), queue.maxSize);
  await db.xadd("s", "1-1", { f: "v" });
  for await (const entry of db.consume("s", { group: "g", consumer: "c", create: "0" })) { found.push(JSON.stringify(entry)); break; }
  const feed = await db.subscribe("channel");
  found.push(await db.publish("channel", "message"));
  for await (const { channel, message, pattern } of feed) { found.push(channel, message, pattern); break; }
  const pool = lazyConnectionPool({ ...base, port, poolsize: 2 });
  await pool.ready();
  found.push(await pool.lease(async (lent) => [await lent.select(1), await lent.get("k")]));
  const shards = lazyShardedConnection(["127.0.0.1:" + port, { host: "localhost", port }], base);
  found.push(await shards.mset({ one: 1, two: 2, three: 3 }), await shards.mget("one", "two", "three"), await shards.rename("one", "five"));
  const unix = lazyUnixConnection(ports.path, base);
  const secure = lazyConnection({ ...base, host: "localhost", port: ports.tls, tls: { ca: ports.ca } });
  const strange = lazyConnection({ ...base, host: "localhost", port: ports.tls, tls: true });
  const none = lazyConnection({ ...base, host: "127.0.0.1", port: 1, reconnect: false });
  found.push(await unix.get("k"), await secure.get("k"), tell(await strange.get("k").catch((error) => error)), await none.get("k").catch(tell));
  const { password, ...open } = base, { direct } = ports;
  const listed = async function* () {
    yield ["127.0.0.1:" + direct, { host: "localhost", port: direct, weight: 2, priority: 1 }];
    await new Promise(() => {});
  };
  const map = { ["127.0.0.1:" + direct]: { host: "localhost", port: direct } };
  const sentinels = sentinel(["127.0.0.1:" + ports.sentinel], { ...base, poolsize: 1, addressMap: map, allowNode: (host) => host === "localhost" });
  const others = [
    lazyConnectionPool({ ...base, poolsize: 2, anyOf: await listed().next().then((list) => list.value) }),
    lazyConnection({ ...base, anyOf: listed }),
    lazyShardedConnection(async function* () { yield [{ port: direct }]; await new Promise(() => {}); }, base),
    sentinels.masterFor("mymaster"), sentinels.replicaFor("mymaster"),
    lazyConnection({ ...open, port: direct, socket: () => stream, credentials: async () => ({ password, expires: Date.now() + 3_600_000 }) }),
  ];
  for (const each of others) found.push(await each.get("one"), await each.pipeline().get("two").execPipeline());
  await (await others[0].subscribe("none")).close();
  found.push(await others[3].set("two", 2), tell(await (async () => others[4].set("two", 3))().catch((error) => error)));
  found.push(await sentinels.discoverMaster("mymaster"), await sentinels.discoverReplicas("mymaster"), await sentinels.discoverMaster("no").catch(tell));
  const url = "redis://127.0.0.1:" + ports.open;
  const near = lazyConnectionPool(url, { poolsize: 2, name: "n", traceKeys: true, zone: "here", readFrom: "any" });
  const remember = { ttl: 60_000, stale: 1_000, serializer: json };
  found.push(await near.flushall(), await near.set("k", "v"), await near.with({ cache: { ttl: 1_000 } }).get("k"), Object.keys(near.cacheStats()));
  found.push(await near.remember("r", remember, () => ({ a: 1 })), await near.remember("r", remember, () => 2), await near.forget("r") ?? "none");
  found.push(tell(await near.with({ durable: { replicas: 1, timeout: 1 } }).set("k", 1).catch((error) => error)));
  found.push(near.stats().map((node) => [node.role, Object.keys(node).length]), tell(await near.set("k", 1, { NO: 1 }).catch((error) => error)));
  const watch = await near.watch("k");
  const begun = await watch.multi();
  void begun.incr("k");
  found.push(await begun.commit(), tell(await (async () => lazyConnection(url, { port: 1 }))().catch((error) => error)));
  const managed = manager([url + "/one?weight=2", url + "/two"], { replyTimeout: 1_500 });
  found.push(await managed.select("one").get("k"), tell(await (async () => managed.select("none"))().catch((error) => error)));
  const behind = lazyConnection({ port: ports.open, proxy: "twemproxy" });
  found.push(await behind.get("k"), tell(await (async () => behind.keys("*"))().catch((error) => error)));
  const cluster = lazyClusterConnectionPool(["127.0.0.1:" + ports.cluster], { poolsize: 1 });
  const reader = lazyClusterConnectionPool(async function* () { yield [{ host: "127.0.0.1", port: ports.cluster }]; await new Promise(() => {}); }, { poolsize: 1, readFrom: "replica" });
  found.push(await cluster.mset({ a: 1, b: 2, c: 3 }), await cluster.mget("a", "b", "c"), await cluster.pipeline().get("a").set("b", 1).execPipeline());
  found.push(await cluster.lease("b", (lent) => lent.get("b")), await cluster.with({ cache: 1_000 }).get("b"), await cluster.publish("none", 1));
  found.push(await cluster.remember("a", { ttl: 60_000 }, () => 7), tell(await cluster.rename("a", "b").catch((error) => error)));
  found.push(...(await cluster.nodes()).map(({ role, slots }) => [role, slots]), await reader.ready().then(() => reader.get("none")));
  await managed.disconnect();
  await Promise.all([db, pool, shards, unix, secure, strange, none, near, behind, cluster, reader, ...others].map((each) => each.disconnect()));
  return found;
}

/** What happens while these names of Object.prototype have this value. Each time, the driver is new. */
async function under(names, value) {
  const driver = await import("${driver}?" + ++count);
  uncaught = "";
  const stream = connect(ports.direct, "127.0.0.1");
  await once(stream, "connect");
  for (const name of names) Object.prototype[name] = value;
  let found;
  try {
    found = await use(driver, stream);
  } catch (error) {
    found = error?.stack ?? String(error);
  }
  for (const name of names) delete Object.prototype[name];
  return uncaught || JSON.stringify(found);
}

const usual = await under([], 0);
console.log(usual);
async function search(names, kind) {
  const found = await under(names, values[kind]);
  if (found === usual) return;
  if (names.length === 1) return console.log(names[0], kind, found.slice(0, 700));
  await search(names.slice(0, names.length >> 1), kind);
  await search(names.slice(names.length >> 1), kind);
}
if (names.length > 0) for (const kind of Object.keys(values)) await search(names, kind);
console.log("end");
process.exit();
`;

describe("a polluted Object.prototype", () => {
  /** What came on each connection; for TLS, behind the name that the client asked for. */
  const seen: { bytes: string }[] = [];
  const relay = (name: string) => (client: Socket): void => {
    const record = { bytes: name };
    seen.push(record);
    const upstream = connect(locked.port, locked.host);
    client.on("data", (chunk) => { record.bytes += chunk.toString("latin1"); });
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on("error", () => {}).on("close", () => [client, upstream].forEach((each) => each.destroy()));
  };
  const listening = async (server: Server, ...where: (string | number)[]): Promise<any> => {
    await once(server.listen(...where as [number]), "listening");
    return server.address();
  };

  test("changes no byte that is sent and no result, whichever name that the file uses has which value", { timeout: 1_200_000 }, async () => {
    const isCode = (line: string): boolean => !["//", "/*", "*"].some((mark) => line.trim().startsWith(mark));
    const words = source.split("\n").filter(isCode).join("\n").match(/[A-Za-z_$][\w$]*/g)!;
    const hopeless = Object.values(HOPELESS).join(" ").split(" ");
    const names = [...new Set(words)].filter((name) => !(name in {}) && !hopeless.includes(name));
    assert.ok(["path", "servername", "checkServerIdentity", "ca", "batch", "words", "weight"].every((name) => names.includes(name)));
    const { ca, server: own } = certificates();
    const plain = createServer(relay("")), rogue = createServer(relay("rogue"));
    const secure = createTlsServer({ cert: own.cert, key: own.key }, (socket) => relay(String(socket.servername))(socket));
    const folder = mkdtempSync(join(tmpdir(), "redis.ts-"));
    const { host, port: direct } = locked; // for what also sends commands in the background
    const monitored = `sentinel monitor mymaster ${host} ${direct} 1\nsentinel auth-pass mymaster ${PASSWORD}\n`;
    const sentinel = await RedisServer.start({ sentinel: monitored, unix: false });
    const cluster = await RedisCluster.start({ primaries: 2, replicas: 1 });
    try {
      const path = join(folder, "rogue.sock");
      await listening(rogue, path);
      const { port: tcp } = await listening(plain, 0, locked.host);
      const { port: tls } = await listening(secure, 0, locked.host);
      const ports = { tcp, tls, direct, sentinel: sentinel.port, path: locked.path, rogue: path, ca: ca.cert, password: PASSWORD,
        open: server.port, cluster: cluster.servers[0]!.port };
      const run = async (names: readonly string[]) => {
        seen.length = 0;
        const result = await runProgram(polluted(ours("redis"), ports, names));
        return [result, new Set(seen.map(({ bytes }) => bytes))] as const;
      };
      const [usual, sent] = await run([]);
      assert.match(usual[1], /^\[.*\]\nend$/s);
      assert.ok(sent.size > 5 && [...sent].some((bytes) => bytes.startsWith("localhost*")));
      const [found, bytes] = await run(names);
      assert.deepEqual(found, usual);
      sent.add("localhost"); // from the connection that does not trust the server
      assert.deepEqual([...bytes].filter((each) => !sent.has(each)), []);
    } finally {
      for (const each of [plain, secure, rogue]) each.close();
      await Promise.all([sentinel.stop(), cluster.stop()]);
      rmSync(folder, { recursive: true });
    }
  });
});

// ==== TLS ====

describe("TLS", () => {
  let secure: RedisServer;
  before(async () => {
    secure = await RedisServer.start({ tls: true });
  });
  after(() => secure.stop());

  const withTls = <T>(tls: Options["tls"], use: (db: Handler) => Promise<T>, host = "localhost"): Promise<T> =>
    withDb({ host, port: secure.tlsPort, tls, reconnect: false }, use);
  const refused = (tls: Options["tls"]): Promise<any> => withTls(tls, (db) => failure(db.ready()));

  test("is verified even if the environment says that it need not be", async () => {
    const program = `
      const { connection } = await import(${JSON.stringify(ours("redis"))});
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
      for (const tls of [true, {}, { rejectUnauthorized: undefined }, { rejectUnauthorized: null }, { rejectUnauthorized: false }]) {
        const db = await connection({ host: "localhost", port: ${secure.tlsPort}, tls }).catch((error) => error);
        console.log(db.code ?? await db.ping());
        await db.disconnect?.();
      }`;
    const [code, said] = await runProgram(program);
    const [strict, ...rest] = said.split("\n").filter((line) => line === "CONNECT_FAILED" || line === "PONG");
    assert.deepEqual([code, strict, ...rest], [0, ...Array(4).fill("CONNECT_FAILED"), "PONG"], said);
  });

  const { ca } = certificates();
  const checks: [what: string, check: () => unknown, message: RegExp][] = [
    ["throws", () => { throw new Error("not this one"); }, /: not this one$/],
    ["throws what is no error", () => { throw "text"; }, /: a callback of option tls failed$/],
    ["returns an error", () => Object.assign(new Error("x"), { code: "MINE" }), /: MINE$/],
    ["returns true", () => true, /: a callback of option tls returned a boolean$/],
    ["returns false", () => false, /returned a boolean$/],
    ["returns a promise", async () => undefined, /returned a Promise$/],
    ["returns a promise that rejects", async () => { throw new Error("late"); }, /returned a Promise$/],
    ["returns what throws when it is looked at", () => ({ get then() { throw new Error("no"); } }), /: no$|returned an object$/],
  ];
  for (const [what, check, message] of checks) {
    test(`a checkServerIdentity that ${what} refuses the connection, and nothing else`, async () => {
      const error = await refused({ ca: ca.cert, checkServerIdentity: check as any });
      assert.ok(error instanceof ConnectionError);
      assert.deepEqual([error.code, error.outcome, error.cause instanceof Error], ["CONNECT_FAILED", "not-sent", true]);
      assert.match(error.message, message);
    });
  }

  test("a checkServerIdentity is asked with the host's name, and accepts with undefined or null", async () => {
    for (const accepted of [undefined, null]) {
      const asked: string[] = [];
      const checkServerIdentity = (name: string): any => (asked.push(name), accepted);
      assert.equal(await withTls({ ca: ca.cert, checkServerIdentity }, (db) => db.ping()), "PONG");
      assert.deepEqual(asked, ["localhost"]);
    }
  });

  test("an option that is undefined counts as omitted: the name is sent and checked, and so is the certificate", async () => {
    const names = ["servername", "checkServerIdentity", "rejectUnauthorized", "ciphers", "minDHSize", "ca", "cert", "key", "minVersion",
      "maxVersion", "secureContext", "ALPNProtocols", "host", "path", "port", "socket", "onread", "session", "secureProtocol"];
    const none = Object.fromEntries(names.map((name) => [name, undefined]));
    const { server: own, wrong } = certificates();
    const asked: unknown[] = [];
    for (const { cert, key } of [own, wrong]) {
      const peer = createTlsServer({ cert, key }, (socket) => {
        asked.push(socket.servername);
        socket.on("error", () => {}).pipe(connect(secure.port, secure.host).on("error", () => {})).pipe(socket);
      });
      const { port } = await new Promise<any>((resolve) => peer.listen(0, "127.0.0.1", () => resolve(peer.address())));
      const talk = (tls: object) => withDb({ host: "localhost", port, tls, reconnect: false }, (db) => db.ping().catch((error) => String(error.message)));
      if (cert === own.cert) assert.equal(await talk({ ...none, ca: ca.cert }), "PONG");
      else assert.match(await talk({ ...none, ca: ca.cert }), /ERR_TLS_CERT_ALTNAME_INVALID/);
      assert.match(await talk(none), /UNABLE_TO|SELF_SIGNED|unable to/);
      peer.close();
    }
    assert.equal(asked[0], "localhost");
  });

  test("its options cannot lead elsewhere: host, port, path, socket and onread are refused", () => {
    for (const name of ["host", "port", "path", "socket", "onread"]) {
      assert.throws(() => lazyConnection({ tls: { [name]: SONG } }), (error: Error) =>
        error instanceof TypeError && error.message.includes("option tls must be a boolean, or an object without host") && !error.message.includes(SONG));
    }
  });
});

// ==== Limits ====

describe("the table of limits in SECURITY.md", () => {
  const page = readFileSync(join(root, ".github/SECURITY.md"), "utf8");
  const rows = page.split("## Fixed limits")[1]!.split("\n## ")[0]!.split("\n").filter((line) => line.startsWith("| "));
  const limits: [constant: string, row: string][] = [
    ["MAX_NESTING", "arrays nested in an argument"], ["MOST_MEMBERS", "values that a command"], ["MAX_NUMBER", "digits of a number"],
    ["MOST_RENAMES", "attempts of `rename`"], ["REISSUES", "times that a command"], ["MOST_FENCES", "lost connections"],
    ["MOST_REPLICAS", "replicas"], ["MOST_SENTINELS", "Sentinels learned"], ["MOST_LISTED", "entries read"], ["MOST_INFO", "INFO"],
    ["MOST_NODES", "nodes of a cluster"], ["MOST_REFUSALS", "addresses in one message"], ["MOST_HOPS", "redirections of a command"],
    ["MOST_CACHED_KEYS", "keys of a call"],
    ["LONGEST_HOST", "a host's name"],
    ["LONGEST_ADDRESS", "an address in CLIENT INFO"], ["MOST_STACKS", "errors with a stack"],
    ["MOST_SHOWN", "a server's text"], ["MOST_NAMED", "a server's text"],
  ];

  test("states the values that the file has", () => {
    for (const [constant, row] of limits) {
      const [, value = "none"] = new RegExp(`^const ${constant} = ([\\d_]+)`, "m").exec(source) ?? [];
      const [, , cell = ""] = rows.find((line) => line.startsWith(`| ${row}`))?.split("|") ?? [];
      const stated = cell.replaceAll(",", "").split(/\D+/).filter(Boolean);
      assert.ok(stated.includes(value.replaceAll("_", "")), `${constant} is ${value}, the page says ${cell}`);
    }
  });

  test("has each constant of the file that is named as a maximum", () => {
    const named = [...source.matchAll(/^const ((?:MOST|MAX|LONGEST)_\w+)/gm)].map(([, name]) => name!);
    const elsewhere = ["MAX_WORD", "MAX_WORDS", "MAX_TEXT", "LONGEST_REST", "LONGEST_GAP", "LONGEST_TICK", "LONGEST_POLL", "MOST_PROBES", "MOST_MISSES"]; // in words, or of times and tries
    assert.deepEqual(named.filter((name) => !elsewhere.includes(name) && !limits.some(([limit]) => limit === name)), []);
  });
});

// ==== Without any power but the network ====

const smoke = `
import assert from "node:assert/strict";
if (process.env.FREEZE) {
  const { Buffer } = await import("node:buffer");
  await import("node:net"); await import("node:tls"); // Node's own modules may still be setting themselves up
  const seen = new Set();
  const freeze = (value) => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) return;
    seen.add(value);
    Object.freeze(value);
    freeze(Object.getPrototypeOf(value));
    for (const { value: item, get, set } of Object.values(Object.getOwnPropertyDescriptors(value))) {
      freeze(item); freeze(get); freeze(set);
    }
  };
  const names = ["Object", "Function", "Array", "String", "Number", "Boolean", "Symbol", "BigInt", "Math", "JSON", "Reflect",
    "Proxy", "Promise", "Map", "Set", "WeakMap", "WeakSet", "WeakRef", "Date", "RegExp", "Error", "TypeError", "RangeError",
    "SyntaxError", "ReferenceError", "EvalError", "URIError", "AggregateError", "ArrayBuffer", "SharedArrayBuffer", "DataView",
    "Uint8Array", "Int8Array", "Uint16Array", "Int32Array", "Uint32Array", "Float64Array", "BigInt64Array"];
  // Node itself sets what an error's trace is like, so Error and its prototype keep what they are but stay open there.
  for (const name of names) freeze(globalThis[name].prototype ?? globalThis[name]);
  freeze(Object.getPrototypeOf(function* () {}));
  freeze(Object.getPrototypeOf(async function () {}));
  freeze(Object.getPrototypeOf(async function* () {}));
  freeze([][Symbol.iterator]().__proto__);
  assert.ok(Object.isFrozen(Object.prototype) && Object.isFrozen(Array.prototype) && Object.isFrozen(Promise.prototype));
}
const before = Object.keys(globalThis).join();
const { lazyConnection, lazyConnectionPool, lazyShardedConnection, script } = await import(process.env.DRIVER);
assert.equal(Object.keys(globalThis).join(), before);
const port = Number(process.env.REDIS_PORT), host = "127.0.0.1";
const db = lazyConnection({ host, port, convertNumbers: true });
assert.equal(await db.set("smoke", "é\\u{1f600}"), "OK");
assert.equal(await db.get("smoke"), "é\\u{1f600}");
await db.hset("smoke:h", { a: 1, b: "x" });
assert.deepEqual(Object.entries(await db.hgetall("smoke:h")), [["a", 1], ["b", "x"]]);
await assert.rejects(db.incr("smoke:h"), { code: "WRONGTYPE" });
await assert.rejects(async () => db.set("a", null), TypeError);
assert.equal(await script("return ARGV[1]")(db, "four"), "four");
const pool = lazyConnectionPool({ host, port, poolsize: 3 });
assert.deepEqual(await pool.pipeline().set("smoke", 1).incr("smoke").execPipeline(), ["OK", 2]);
assert.deepEqual(await pool.transaction(["smoke"], async (t) => {
  const was = await t.get("smoke");
  const multi = await t.multi();
  void multi.set("smoke", was + "0");
}), ["OK"]);
const popped = pool.blpop("smoke:queue", 600);
await pool.rpush("smoke:queue", "element");
assert.deepEqual(await popped, ["smoke:queue", "element"]);
const channel = await pool.subscribe("smoke:channel");
await pool.publish("smoke:channel", "message");
for await (const { message } of channel) { assert.equal(message, "message"); break; }
for await (const _ of pool.scanIterator({ COUNT: 1000 })) break;
const shards = lazyShardedConnection([{ host, port }, { host: "localhost", port }]);
assert.equal(await shards.mset({ one: 1, two: 2, three: 3 }), "OK");
assert.deepEqual(await shards.mget("one", "two", "three"), ["1", "2", "3"]);
await Promise.all([db.disconnect(), pool.disconnect(), shards.disconnect()]);
console.log("smoke passed");
`;

describe("the driver needs no power but the network's", () => {
  let folder: string;
  before(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), "redis.ts-")));
    writeFileSync(join(folder, "smoke.mjs"), smoke);
  });
  after(() => rmSync(folder, { recursive: true }));

  const driver = join(root, "dist", "redis.js");
  const run = async (flags: string[], env: Record<string, string> = {}): Promise<void> => {
    const child = spawn(process.execPath, [...flags, join(folder, "smoke.mjs")], {
      // No environment besides: the driver reads none.
      env: { DRIVER: driver, REDIS_PORT: String(server.port), ...env }, stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => output += chunk);
    child.stderr.on("data", (chunk) => output += chunk);
    const code = await new Promise((done) => child.on("close", done));
    assert.ok(code === 0 && output.includes("smoke passed"), output);
  };

  test("it works without eval, and without __proto__", () =>
    run(["--disallow-code-generation-from-strings", "--disable-proto=throw"]));

  test("it works with frozen primordials", () => run([], { FREEZE: "yes" }));

  test("it works under Node's permission model, allowed to read its own file and nothing else", async (t) => {
    const flag = ["--permission", "--experimental-permission"].find((one) => process.allowedNodeEnvironmentFlags.has(one));
    if (flag === undefined) return t.skip("this runtime has no permission model");
    // Node looks into package.json for what kind of module it is.
    const read = [join(folder, "*"), driver, join(root, "package.json")].map((path) => `--allow-fs-read=${path}`);
    const net = process.allowedNodeEnvironmentFlags.has("--allow-net") ? ["--allow-net"] : [];
    await run([flag, ...read, ...net]);
  });

  test("importing it opens nothing, starts nothing and reads no environment", async () => {
    const look = `
      const { env } = process;
      const read = [];
      const note = (_, name) => {
        // Node's loader asks for some itself.
        if (new Error().stack.includes(${JSON.stringify(driver)})) read.push(String(name));
      };
      process.env = new Proxy(env, { get: note, has: note, getOwnPropertyDescriptor: note });
      for (const name of ["stdin", "stdout", "stderr"]) {
        Object.defineProperty(process, name, { configurable: true, get: () => void read.push(name) });
      }
      await import(${JSON.stringify(driver)});
      process.env = env;
      if (read.length > 0) throw new Error("it read " + read.join());
      const active = process.getActiveResourcesInfo();
      if (active.some((name) => /TCP|Timeout|Immediate|DNS/.test(name))) throw new Error("it has " + active.join());`;
    await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", look]);
  });
});

// ==== No regular expression over what a server sends ====

/** Where a regular expression stands in the source. Strings, templates' text and comments are left out first. */
function regularExpressions(text: string): string[] {
  const found: string[] = [];
  let last = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    const end = (mark: string, from: number): number => {
      let to = from;
      while (to < text.length && text[to] !== mark) to += text[to] === "\\" ? 2 : 1;
      return to;
    };
    const behind = (mark: string): number => text.includes(mark, at) ? text.indexOf(mark, at) : text.length;
    if (text.startsWith("//", at)) at = behind("\n");
    else if (text.startsWith("/*", at)) at = behind("*/") + 1;
    else if (char === '"' || char === "'") {
      at = end(char, at + 1);
      last = '"';
    } else if (char === "`") {
      // A template: what stands in ${} is code, and is looked at by itself.
      let to = at + 1;
      for (; to < text.length && text[to] !== "`"; to++) {
        if (text[to] === "\\") to++;
        else if (text.startsWith("${", to)) {
          const from = to + 2;
          to++;
          for (let depth = 1; depth > 0 && to < text.length;) {
            to++;
            if (text[to] === "`") to = end("`", to + 1);
            else if (text[to] === '"') to = end('"', to + 1);
            else depth += text[to] === "{" ? 1 : text[to] === "}" ? -1 : 0;
          }
          found.push(...regularExpressions(text.slice(from, to)));
        }
      }
      at = to;
      last = '"';
    } else if (char === "/" && !/[\w$)\]"]/.test(last)) {
      let to = at + 1;
      for (let inClass = false; to < text.length && (text[to] !== "/" || inClass); to++) {
        if (text[to] === "\\") to++;
        else if (text[to] === "[") inClass = true;
        else if (text[to] === "]") inClass = false;
      }
      found.push(text.slice(at, to + 1));
      at = to;
      last = '"';
    } else if (char.trim() !== "") last = char;
  }
  return found;
}

/** CPU in microseconds, the least of three tries: what else the machine does can only make it more. */
function cost(run: () => void): number {
  return Math.min(...[1, 2, 3].map(() => {
    const begun = process.cpuUsage();
    run();
    return Math.max(1, cpuSince(begun));
  }));
}

/** The same of what takes more than one tick. */
async function least(run: () => Promise<void>): Promise<number> {
  const tries: number[] = [];
  for (let i = 0; i < 3; i++) {
    const begun = process.cpuUsage();
    await run();
    tries.push(cpuSince(begun));
  }
  return Math.min(...tries);
}

const STEP = 10_000; // in which some machines count the time of a processor

/** One that is ten times as big may take as long as ten, and a good deal for memory that no cache holds; not ten times that. */
function assertLinear(ten: number, big: number): void {
  assert.ok(big < 3.5 * ten + 2 * STEP, `${ten} us for ten, and ${big} us for one that is ten times as big`);
}

/** The same of what takes long: measured again only if it seems not to hold. */
async function mustBeLinear(ten: () => Promise<number>, big: () => Promise<number>): Promise<void> {
  let costs: [ten: number, big: number] = [Infinity, Infinity];
  for (let tries = 1;; tries++) {
    costs = [Math.min(costs[0], await ten()), Math.min(costs[1], await big())];
    if (tries === 3 || costs[1] < 3.5 * costs[0]) return assertLinear(...costs);
  }
}

/** Ten of a megabyte, and one of ten: as much in both. */
const SIZES: readonly [count: number, size: number][] = [[10, 1e6], [1, 1e7]];

const MB = 1e6;

describe("no regular expression sees what a server sends", () => {
  test("the finder of regular expressions finds them", () => {
    const sample = 'a / b / c; "/x/"; // /y/\nconst r = /a[/]b\\/c/; f(`/z/ ${g(/q/)}`); x.split(/,/)';
    assert.deepEqual(regularExpressions(sample), ["/a[/]b\\/c/", "/q/", "/,/"]);
  });

  test("there is none in the file, nor a RegExp made of text", () => {
    assert.deepEqual(regularExpressions(source), []);
    const code = source.split("\n").filter((line) => !line.trimStart().startsWith("//") && !line.trimStart().startsWith("*"));
    for (const made of ["RegExp", ".match(", ".matchAll(", ".search("]) {
      assert.deepEqual(code.filter((line) => line.includes(made)), [], made);
    }
  });

  /** Compares the CPU of ten calls to a server that answers so with that of one whose answer is ten times as big. */
  async function served(reply: (size: number) => Buffer, call: (db: Handler) => Promise<unknown>, options: Options = {}) {
    const costs: number[] = [];
    for (const [count, size] of SIZES) {
      const bytes = reply(size);
      await withScript(saying(bytes), async (db) => {
        await db.ping().catch(() => {});
        costs.push(await least(async () => {
          for (let nth = 0; nth < count; nth++) await call(db);
        }));
      }, { replyTimeout: 60_000, ...options });
    }
    assertLinear(costs[0]!, costs[1]!);
  }

  const bulkOf = (text: string): Buffer => Buffer.from(`$${Buffer.byteLength(text)}\r\n${text}\r\n`);
  const upTo = (unit: string, size: number): string => unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
  const hostile: [what: string, unit: string][] = [
    ["colons", ":"], ["line ends", "\r\n"], ["blanks", " "], ["slaves", "slave0:ip=1,port=2,state=online\r\n"],
    ["quotes and backslashes", '"\\'], ["fields", "a=b "],
  ];
  for (const [what, unit] of hostile) {
    test(`INFO and CLIENT LIST of ${what} cost what their bytes do`, () =>
      served((size) => bulkOf(upTo(unit, size)), async (db) => {
        await db.info();
        await db.clientList();
        await db.clusterNodes();
      }));
  }

  test("INFO of a primary whose replicas are looked for costs what its bytes do", () =>
    served((size) => bulkOf(`role:master\r\n${upTo("slave0:ip=,port=,=,\r\n", size)}`), (db) => db.get("k"),
      { readFrom: "any" }));

  test("an error of any length costs what its bytes do", () =>
    served((size) => Buffer.from(`!${size}\r\n${upTo("'\"` , with args ", size)}\r\n`), async (db) => {
      assert.ok((await failure(db.call("CONFIG", "SET", "a", "b"))).message.length < 1100);
      assert.ok((await failure(db.set("a", "b"))).message.length < 1100);
    }));

  test("the cost of the address in a redirection grows with its bytes", async () => {
    const costs: number[] = [];
    for (const code of ["ERR", "MOVED"]) {
      const text = `-${code} 1 ${"a".repeat(2 ** 24)}:1\r\n`;
      const scripted = await ScriptedServer.start(async (peer) => {
        for (;;) {
          const [name, what] = await peer.read();
          if (name === "GET") peer.write(text);
          else if (what === "SLOTS") peer.write(`*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:${scripted.port}\r\n`);
          else peer.write(name === "HELLO" ? "%0\r\n" : "+OK\r\n");
        }
      });
      await using(lazyClusterConnection([`127.0.0.1:${scripted.port}`], { replyTimeout: 60_000 }) as any, async (db: Handler) => {
        await db.set("k", 1);
        costs.push(await least(async () => {
          assert.equal((await failure((db as any).lease("k", (of: Handler) => of.get("k")))).code, code);
        }));
      });
      await scripted.stop();
    }
    assert.ok(costs[1]! < 3 * costs[0]! + 100_000, `${costs}`); // microseconds
  });

  for (const [what, unit] of [["words", '"a" '], ["backslashes", '\\\\"'], ["open quotes", '"\\x'], ["brackets", " ["]]) {
    test(`a line of MONITOR of ${what} costs what its bytes do`, () => {
      const costOf = async ([count, size]: typeof SIZES[number]): Promise<number> => {
        const line = `+1700000000.123456 [0 127.0.0.1:50000] ${upTo(unit!, size)}\r\n`;
        const end = '+1700000000.123456 [0 127.0.0.1:50000] "END"\r\n';
        return withScript(async (peer) => {
          await peer.read();
          peer.write("+OK\r\n");
          peer.write(line.repeat(count) + end);
          await peer.closed;
        }, async (db) => {
          const feed = await db.monitor();
          const begun = process.cpuUsage();
          for (;;) {
            const { value } = await feed.next();
            assert.ok(value !== undefined);
            if ((value as any).words?.[0] === "END") break;
          }
          return cpuSince(begun);
        });
      };
      return mustBeLinear(() => costOf(SIZES[0]!), () => costOf(SIZES[1]!));
    });
  }
});

// ==== What is long, and allowed ====

test("an error of 200,000 characters is an error like any other, and its connection stays", () => withDb({}, async (db) => {
  const id = await db.clientId();
  const error = await failure(db.eval("return redis.error_reply('MINE ' .. string.rep('x', 200000))", 0));
  assert.ok(error instanceof ReplyError);
  assert.equal(error.code, "MINE");
  assert.ok(error.raw.length > 200_000);
  assert.equal(await db.clientId(), id);
}));

// ==== Memory and time of hostile frames ====

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const used = (): number => {
  for (let i = 0; i < 2; i++) collect(); // memory outside of the heap is counted as free one collection later
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

describe("hostile frames cost what their bytes do", () => {
  const limits = { maxDepth: 128, maxBulk: 512 * 2 ** 20, maxElements: 2 ** 26, maxReply: 2 ** 30 };
  const frames: [what: string, head: string, unit: string][] = [
    ["an array of empty arrays", "*?\r\n", "*0\r\n"], ["an array of empty maps", "*?\r\n", "%0\r\n"],
    ["an array of empty strings", "*?\r\n", "$0\r\n\r\n"], ["an array of nulls", "*?\r\n", "_\r\n"],
    ["attributes of nothing", "", "|0\r\n"], ["a map of one name", "%?\r\n", "+a\r\n:1\r\n"],
    ["a map of aggregates as names", "%?\r\n", "*0\r\n:1\r\n"],
    ["integers of twenty digits", "*?\r\n", ":-9223372036854775807\r\n"],
    ["doubles", "*?\r\n", ",1.7976931348623157e308\r\n"], ["parts of a streamed string", "$?\r\n", ";1\r\na\r\n"],
    ["invalid UTF-8", "*?\r\n", `$1000\r\n${"\xff".repeat(1000)}\r\n`], ["long numbers", "*?\r\n", `(${"9".repeat(1000)}\r\n`],
    ["errors", "*?\r\n", "-\r\n"], ["verbatim strings", "*?\r\n", "=4\r\ntxt:\r\n"], ["pushes", "", ">1\r\n+a\r\n"],
  ];
  const bytesOf = (head: string, unit: string, size: number): Buffer =>
    Buffer.from(head + unit.repeat(Math.ceil(size / unit.length)), "latin1");

  const drain = (bytes: Buffer, chunk: number): InstanceType<typeof Decoder> => {
    const decoder = new Decoder(limits);
    for (let at = 0; at < bytes.length; at += chunk) {
      decoder.feed(bytes.subarray(at, at + chunk));
      while (decoder.take("utf-8") !== MORE);
    }
    return decoder;
  };

  for (const [what, head, unit] of frames) {
    test(`${what}: time is linear`, () => {
      const [small, large] = [MB / 2, 5 * MB].map((size) => bytesOf(head, unit, size)); // both pay for the collector
      drain(small!, 65_536);
      const ten = cost(() => {
        for (let i = 0; i < 10; i++) drain(small!, 65_536);
      });
      assertLinear(ten, cost(() => drain(large!, 65_536)));
    });
  }

  test("memory is at most 64 times the bytes that came, and 1 MiB", () => {
    for (const [what, head, unit] of frames) {
      const bytes = bytesOf(head, unit, 3e5);
      let decoder: unknown;
      const held = Math.min(...[1, 2, 3].map(() => { // a compiler at work keeps other memory, for a while
        decoder = undefined;
        const before = used();
        decoder = drain(bytes, 65_536);
        return used() - before;
      }));
      assert.ok(held < 64 * bytes.length + 2 ** 20, `${what}: ${held} bytes for ${bytes.length}`);
      assert.ok(decoder); // it lives, and what it holds, until all is counted
    }
  });

  test("a reply byte by byte costs no more at depth 128 than at depth 1, per byte", () => {
    const flat = Buffer.from(`*128\r\n${":1\r\n".repeat(128)}`.repeat(300));
    const deep = Buffer.from(`${"*1\r\n".repeat(128)}:1\r\n`.repeat(300));
    drain(flat, 1);
    const [flatCost, deepCost] = [cost(() => drain(flat, 1)), cost(() => drain(deep, 1))];
    assert.ok(deepCost < 10 * flatCost * deep.length / flat.length + STEP, `${deepCost} us, and ${flatCost} us`);
  });

  test("the limits are options: a reply beyond them ends the connection, and nothing else", async () => {
    const bombs: [Options, string][] = [
      [{ maxDepth: 4 }, "*1\r\n".repeat(5)], [{ maxElements: 10 }, "*11\r\n"], [{ maxElements: 10 }, "%11\r\n"],
      [{ maxElements: 10 }, `*?\r\n${":1\r\n".repeat(11)}`], [{ maxElements: 10 }, `$?\r\n${";1\r\na\r\n".repeat(11)}`],
      [{ maxBulk: 100 }, "$101\r\n"], [{ maxBulk: 100 }, "!101\r\n"], [{ maxBulk: 100 }, "=101\r\n"],
      [{ maxBulk: 100 }, `$?\r\n${`;50\r\n${"a".repeat(50)}\r\n`.repeat(2)};1\r\n`],
      ...[`*300\r\n${"+a\r\n".repeat(300)}`, `*999\r\n${"+a\r\n".repeat(300)}`, `$?\r\n${";1\r\na\r\n".repeat(200)}`,
        "|1\r\n+a\r\n:1\r\n".repeat(100)].map((bomb): [Options, string] => [{ maxReply: 1_000 }, bomb]),
    ];
    for (const [options, bomb] of bombs) {
      await withScript(saying(bomb), async (db) => {
        const error = await failure(db.set("k", "v"));
        assert.ok(error instanceof ProtocolError, inspect(error));
        assert.equal(error.outcome, "unknown");
        if (options.maxReply !== undefined) assert.match(error.message, /maxReply/);
      }, { ...options, replyTimeout: 10_000 });
    }
  });
});

// ==== Memory and time of many errors ====

describe("errors by the thousand", () => {
  const OOM = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
  const isTraced = ({ stack }: Error): boolean => stack!.includes("\n    at ");
  const filled = (db: Handler, count: number) => {
    const pipeline = db.pipeline();
    for (let i = 0; i < count; i++) pipeline.set("k", "v");
    return pipeline;
  };
  const ways: Record<string, (db: Handler, count: number) => Promise<unknown[]>> = {
    "a pipeline": (db, count) => filled(db, count).execPipeline({ errors: "return" }),
    "a pipeline that rejects": (db, count) =>
      filled(db, count).execPipeline().catch(({ results }: PipelineError) => results),
    EXEC: (db, count) => filled(db, count).commit(),
    "single calls": (db, count) => Promise.all(Array.from({ length: count }, () => db.set("k", "v").catch((error) => error))),
  };
  const SET = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
  const [MULTI, EXEC] = ["*1\r\n$5\r\nMULTI\r\n", "*1\r\n$4\r\nEXEC\r\n"];
  /** Calls `then` whenever so many bytes have come: reading them as commands takes longer than all else. */
  const every = (peer: Peer, bytes: number, then: () => void): Promise<void> => {
    let come = 0;
    peer.socket.on("data", ({ length }) => {
      come += length;
      if (come >= bytes) come -= bytes, then();
    });
    return peer.closed;
  };
  /** Answers so many SETs, in EXEC or not, with this error: again and again. */
  const refusing = (count: number, error: string, isAtomic = false) => (peer: Peer): Promise<void> => {
    const errors = error.repeat(count);
    const reply = isAtomic ? `+OK\r\n${"+QUEUED\r\n".repeat(count)}*${count}\r\n${errors}` : errors;
    return every(peer, SET.length * count + (isAtomic ? MULTI.length + EXEC.length : 0), () => peer.write(reply));
  };

  for (const [way, run] of Object.entries(ways)) {
    for (const error of ["-E\r\n", OOM]) {
      test(`an error reply in ${way} takes at most 64 times its bytes: ${error.trim()}`, () =>
        withScript(refusing(20_000, error, way === "EXEC"), async (db) => {
          const costs: number[] = []; // the least counts: a compiler at work keeps other memory, for a while
          for (let round = 0; round < 5; round++) {
            const replies = await run(db, 20_000);
            const held = used();
            assert.ok(replies.every((reply) => reply instanceof ReplyError && `${error.slice(1, -2)} (SET)` === reply.message));
            assert.ok(!replies.some((reply) => isTraced(reply as Error)), "nobody called where a reply was read");
            replies.length = 0;
            costs.push((held - used()) / 20_000);
          }
          const each = Math.min(...costs.filter((bytes) => bytes > 0));
          assert.ok(each < 64 * error.length, `${costs} bytes for ${error.length}`);
        }, { replyTimeout: 600_000 }));
    }
  }

  test("a pipeline of refused commands takes time that is linear in their number", () => {
    const costOf = (runs: number, count: number): Promise<number> => withScript(refusing(count, OOM), async (db) => {
      const begun = process.cpuUsage();
      for (let i = 0; i < runs; i++) await ways["a pipeline"]!(db, count);
      return cpuSince(begun);
    }, { replyTimeout: 60_000 });
    return mustBeLinear(() => costOf(10, 5_000), () => costOf(1, 50_000));
  });

  const silent = async (peer: Peer): Promise<void> => { await peer.closed; };
  const failing: [what: string, code: string, fail: (db: Handler, peer: Peer, stop: AbortController) => unknown][] = [
    ["aborted", "ABORTED", (_db, _peer, stop) => stop.abort()],
    ["without a connection", "CONNECTION_LOST", (_db, peer) => peer.reset()],
    ["closed", "CLOSED", (db) => db.destroy()],
  ];

  for (const [what, code, fail] of [...failing, ["late", "REPLY_TIMEOUT", () => {}] as const]) {
    test(`of 1,000 calls that are ${what} at once, at most 100 errors have a stack, and each has its own words`, () => {
      let peer: Peer;
      return withScript((it) => silent(peer = it), async (db) => {
        await db.ready();
        const stop = new AbortController();
        const patient = db.with({ signal: stop.signal, replyTimeout: code === "REPLY_TIMEOUT" ? 100 : 60_000 });
        const calls = Array.from({ length: 1_000 }, (_, i) => failure(i % 2 ? patient.incr("k") : patient.decr("k")));
        await new Promise(setImmediate);
        fail(db, peer, stop);
        const errors = await Promise.all(calls);
        assert.equal(new Set(errors).size, 1_000);
        assert.ok(errors.filter(isTraced).length <= 100);
        for (const [i, error] of errors.entries()) {
          const { code: found, command, message } = error;
          assert.deepEqual([found, command, message.split(":")[0]], [code, i % 2 ? "INCR" : "DECR", command]);
        }
      }, { reconnect: false });
    });
  }

  test("of 1,000 calls that fail at once, 100 have a stack with their caller, and so has the next one", async () => {
    const db = lazyConnection({ port: server.port });
    db.destroy();
    const kinds: [string, () => Promise<unknown>][] = [
      ["CLOSED", () => db.get("k")],
      ["ABORTED", () => db.with({ signal: AbortSignal.abort() }).get("k")],
      ["INVALID_ARGUMENT", () => db.set("k", null as never)],
      ["NOT_SUPPORTED", () => db.call("SELECT", 1)],
    ];
    for (const [code, run] of kinds) {
      async function caller() { await run(); }
      const errors = await Promise.all(Array.from({ length: 1_000 }, () => failure(caller())));
      assert.ok(errors.every((error) => error.code === code), code);
      const traced = errors.filter((error) => error.stack.includes("caller")).length;
      assert.ok(traced >= 1 && traced <= 100, `${code}: ${traced}`);
      assert.match((await failure(caller())).stack, /caller/);
    }
  });

  test("Error.stackTraceLimit is what it was, whatever fails", () => withDb({ maxPending: 50 }, async (db) => {
    const { stackTraceLimit } = Error;
    try {
      for (const limit of [0, 3, Infinity]) {
        Error.stackTraceLimit = limit;
        await Promise.allSettled(Array.from({ length: 200 }, () => db.call("NOSUCH")));
        await db.pipeline().set("k", "v").incr("k").execPipeline({ errors: "return" });
        assert.equal(Error.stackTraceLimit, limit);
      }
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }));

  for (const [what, code, fail] of failing) {
    test(`a pipeline of 100,000 commands that is ${what} fails in slices, and takes no late reply`, async () => {
      const [count, answered] = [100_000, 1_000];
      let peer!: Peer;
      let halves = 0;
      await withScript((it) => every(peer = it, SET.length * count / 2, () => {
        if (++halves === 1) it.write("+OK\r\n".repeat(answered));
      }), async (db) => {
        const stop = new AbortController();
        const sent = filled(db.with({ signal: stop.signal }) as Handler, count).execPipeline({ errors: "return" });
        const behind = db.incr("behind").catch((error) => error.code);
        await until(() => halves === 2, "all commands to be written");
        fail(db, peer, stop);
        peer.write(`${"+late\r\n".repeat(count - answered)}:7\r\n`);
        let turns = 0;
        let isOver = false;
        const turn = (): void => void (turns++, isOver || setImmediate(turn));
        turn();
        const results = await sent;
        isOver = true;
        assert.ok(turns > count / 5_000, `${turns} turns`);
        const replies = results.filter((result) => !(result instanceof Error));
        assert.ok(replies.length <= answered && replies.every((reply) => reply === "OK"), `${replies.length} replies`);
        for (const error of results.slice(replies.length) as any[]) {
          assert.deepEqual([error.code, error.outcome, error.command], [code, "unknown", "SET"]);
        }
        assert.equal(results.length, count);
        assert.equal(await behind, code === "ABORTED" ? 7 : code);
      }, { replyTimeout: 60_000, reconnect: false });
    });
  }
});

// ==== What is sent is what was there at the call ====

describe("a call's bytes", () => {
  test("are those of the moment of the call, whatever becomes of the values afterwards", () => withDb({}, async (db) => {
    const draw = random(7);
    const calls: [Promise<unknown>, string][] = [];
    for (let i = 0; i < 500; i++) {
      const bytes = Buffer.alloc(1 + Math.floor(draw() * 4000), 97 + i % 26);
      const list: unknown[] = ["a", bytes, "b", ["x", bytes]];
      calls.push([db.call("EVAL", "return table.concat(ARGV, ',')", 0, list), `a,${bytes},b,x,${bytes}`]);
      bytes.fill(0);
      list[1] = "changed";
      (list[3] as unknown[]).length = 0;
    }
    for (const [reply, expected] of calls) assert.equal(await reply, expected);
  }));

  test("of a big Buffer that is changed later are of its length, and shift nothing", () => withDb({}, async (db) => {
    const big = Buffer.alloc(1_000_000, "a");
    const done = [db.set("big", big), db.set("next", "value"), db.get("next")];
    big.write("\r\n*1\r\n$8\r\nFLUSHALL\r\n", 500_000);
    assert.deepEqual((await Promise.all(done)).slice(1), ["OK", "value"]);
    assert.equal(await db.strlen("big"), 1_000_000);
  }));

  test("are asked for once, by whatever code stands behind them", () => withDb({}, async (db) => {
    let asked = 0;
    const fields = { get field() { return asked++ === 0 ? "first" : "\r\n*1\r\n$8\r\nFLUSHALL\r\n"; } };
    await db.del("asked");
    await db.hset("asked", fields);
    assert.deepEqual({ ...await db.hgetall("asked") }, { field: "first" });
    assert.equal(asked, 1);
  }));

  test("never become commands: CRLF and whole commands as data stay data", () => withDb({}, async (db) => {
    const evil = "x\r\n*1\r\n$8\r\nFLUSHALL\r\n";
    await db.set("survivor", "1");
    await db.set(evil, evil);
    assert.equal(await db.get(evil), evil);
    await db.hset("h", { [evil]: evil });
    await db.publish(evil, evil);
    assert.ok(await failure(db.call(evil)));
    assert.ok(await failure(db.call("PING", evil, evil)));
    assert.equal(await db.get("survivor"), "1");
    const other = (options: object) => lazyConnection({ port: server.port, ...options });
    for (const name of ["name", "host"]) assert.throws(() => other({ [name]: evil }), TypeError);
  }));

  test("are refused before the first of them when they are too many, and the connection goes on", () => withDb({}, async (db) => {
    const half = Buffer.allocUnsafeSlow(2 ** 29);
    const tooMuch: unknown[] = [
      [Buffer.allocUnsafeSlow(2 ** 29 + 1)], [half, half, half, half, "x"], Array(2 ** 20).fill(""), [[Array(2 ** 20).fill("")]],
      [Object.fromEntries(Array.from({ length: 2 ** 19 }, (_, i) => [`f${i}`, 1]))],
    ];
    for (const args of tooMuch as unknown[][]) {
      const error = await failure(db.call("SADD", "too many", args as never));
      assert.ok(error instanceof TypeError && (error as any).outcome === "not-sent", String(error).slice(0, 200));
    }
    assert.equal(await db.exists("too many"), 0);
  }));
});

// ==== URLs ====

type Wanted = { host?: string; port?: number; path?: string; dbid?: number; tls?: true } | null;

/** What leads where: nothing in a URL may reach another option or another host than a reader of it would think. */
const urls: [url: string, wanted: Wanted][] = [
  ["redis://h", { host: "h" }], ["redis://h:1", { host: "h", port: 1 }], ["redis://h:65535/", { host: "h", port: 65_535 }],
  ["redis://h/0", { host: "h" }], ["redis://h/15", { host: "h", dbid: 15 }],
  ["redis://h/2147483647", { host: "h", dbid: 2147483647 }],
  ["rediss://h", { host: "h", tls: true }], ["valkey://h", { host: "h" }], ["valkeys://h:7", { host: "h", port: 7, tls: true }],
  ["redis://127.0.0.1", { host: "127.0.0.1" }], ["redis://[::1]:7", { host: "::1", port: 7 }], ["redis://[::1]", { host: "::1" }],
  ["redis://[2001:db8::1]/3", { host: "2001:db8::1", dbid: 3 }], ["unix:///a/b", { path: "/a/b" }],
  ["unix:///a%20b", { path: "/a b" }], ["redis://:p@h", { host: "h" }], ["redis://u:p@h:2/1", { host: "h", port: 2, dbid: 1 }],
  ["redis://:p%40q@h", { host: "h" }], ["redis://:p%2Fq@h", { host: "h" }], ["redis://u%3Av:p@h", { host: "h" }],
  ["redis://h?name=a", { host: "h" }], ["redis://h?dbid=3", { host: "h", dbid: 3 }], ["redis://h?poolsize=2", { host: "h" }],
  ["redis://h?protocol=2", { host: "h" }], ["redis://h?replyTimeout=10&connectTimeout=5", { host: "h" }],
  ["REDIS://h", { host: "h" }], ["redis://a.b-c.example:6380", { host: "a.b-c.example", port: 6380 }],
  ["redis://%68ost", { host: "host" }], ["redis://xn--bcher-kva.example", { host: "xn--bcher-kva.example" }],
  // No URL, or not of ours
  ["", null], [" ", null], ["h", null], ["h:1", null], ["//h", null], ["/a/b", null], ["redis", null], ["redis:", null],
  ["redis:h", null], ["redis:/h", null], ["redis:h:1", null], ["http://h", null], ["https://h", null], ["file:///a", null],
  ["tcp://h", null], ["tls://h", null], ["ftp://h", null], ["ws://h", null], ["javascript://h", null], ["data://h", null],
  ["redis+tls://h", null], ["redis+unix:///a", null], ["redis-sentinel://h", null], ["redis-cluster://h", null],
  ["redisss://h", null],
  ["unix://a/b", null], ["unix:a", null], ["unix://", null], ["unix://h", null],
  // Ports
  ["redis://h:0", null], ["redis://h:65536", null], ["redis://h:99999999999", null], ["redis://h:-1", null],
  ["redis://h:1a", null],
  ["redis://h:0x10", null], ["redis://h: 1", null], ["redis://h:1:2", null], ["redis://h:p", null], ["redis://[::1]:x", null],
  // Who is the host?
  ["redis://a@b@c", null], ["redis://a:b@c@d:1", null], ["redis://u:p@h@evil/0", null],
  ["redis://h:1@evil", { host: "evil" }], // user h and password 1, which is not to be told from user:1234@host
  ["redis://evil#@h", null], ["redis://evil?@h", null], ["redis://u:p#@h", null], ["redis://u:p?x@h", null],
  ["redis://u@h", null], ["redis://h#f", null], ["redis://h/0#f", null], ["redis://[::1", null], ["redis://::1", null],
  ["redis://h h", null], ["redis://h\\@evil", null], ["redis://h%00evil", null], ["redis://h%0d%0aevil", null],
  ["redis://h%20", null], ["redis://h%5Bx", { host: "h[x" }], ["redis://%5B::1%5D", null], ["redis://h%5D", { host: "h]" }],
  ["redis:12?name=a://b", null], ["redis:?name=a://b", null], ["redis:/?//h://", null], ["redis:\\\\h://", null],
  ["redis://h:1\t2", null], ["redis://a\nb", null], ["redis://a\rb/1", null], [" redis://h\n", { host: "h" }],
  ["redis://h%2fevil", { host: "h/evil" }], ["redis://é", null], ["redis://h\u202e", null], ["redis://[::1]evil", null],
  // Databases
  ["redis://h/a", null], ["redis://h/-1", null], ["redis://h/1.5", null], ["redis://h/1e1", null], ["redis://h/0x1", null],
  ["redis://h/01", null], ["redis://h/+1", null], ["redis://h/%31", null], ["redis://h/1/", null], ["redis://h/1/2", null],
  ["redis://h//1", null], ["redis://h/ 1", null], ["redis://h/2147483648", null], ["redis://h/99999999999999999999", null],
  ["redis://h/NaN", null], ["redis://h/Infinity", null], ["redis://h/-0", null], ["redis://h/null", null],
  // Escapes
  ["redis://:%@h", null], ["redis://:%zz@h", null], ["redis://:%e9@h", null], ["redis://:%c0%80@h", null],
  ["redis://%ff:p@h", null],
  ["unix:///%", null], ["unix:///%ff", null],
  // A system cuts a path at NUL, or after its last byte
  ["unix:///a/short%00/b", null], ["unix:///a%0ab", null], ["unix:///a%1b[2Jb", null], ["unix:///a%7fb", null],
  [`unix:///${"a".repeat(102)}`, { path: `/${"a".repeat(102)}` }], [`unix:///${"a".repeat(255)}`, null],
  [`unix:///${"%C3%A9".repeat(53)}`, process.platform === "linux" ? { path: `/${"é".repeat(53)}` } : null],
  [`unix:///${"%C3%A9".repeat(128)}`, null],
  // The query reaches only what is harmless, once, and in its only spelling
  ...["host", "port", "path", "username", "password", "credentials", "tls", "tls.ca", "tls[ca]", "rejectUnauthorized",
    "servername", "charset", "convertNumbers", "leaseTimeout", "maxPending", "maxUnsent", "maxDepth", "maxBulk", "maxElements",
    "maxReply", "readFrom", "replicas", "allowNode", "maxLag", "reconnect", "family", "lookup", "db", "DBID", "Name", "__proto__",
    "constructor", "prototype", "toString", ""]
    .map((name): [string, Wanted] => [`redis://h?${name}=1`, null]),
  ["redis://h/1?dbid=1", null], ["redis://h?dbid=1&dbid=2", null], ["redis://h?name=a&name=b", null], ["redis://h?dbid", null],
  ["redis://h?dbid=", null], ["redis://h?dbid=01", null], ["redis://h?dbid=-1", null], ["redis://h?name=a%20b", null],
  ["redis://h?name=%0d%0a", null], ["redis://h?name=", null], ["redis://h?protocol=4", null], ["redis://h?poolsize=0", null],
  ["redis://h?poolsize=1e9", null], ["redis://h?replyTimeout=-1", null], ["redis://h?replyTimeout=NaN", null],
  ["redis://h?replyTimeout=0", null], ["redis://h?connectTimeout=1s", null], ["redis://h?a", null], ["redis://h?&&a=1", null],
];

describe("URLs", () => {
  const { connect } = internals.world;
  let given: any;
  before(() => {
    internals.world.connect = (config, receive) => {
      given = config;
      throw new Error("nothing is to be connected");
    };
  });
  after(() => {
    internals.world.connect = connect;
  });

  /** Where it would connect to. */
  function destination(url: string): any {
    lazyConnection(url).destroy();
    const { host, port, path, dbid, tls } = given;
    return { host, port, path, dbid, tls };
  }

  for (const [url, wanted] of urls) {
    test(`${JSON.stringify(url)} ${wanted === null ? "is refused" : `leads to ${inspect(wanted)}`}`, () => {
      if (wanted === null) assert.throws(() => destination(url), { name: "TypeError", code: "INVALID_ARGUMENT" });
      else assert.deepEqual(destination(url), { host: "localhost", port: 6379, path: undefined, dbid: 0, tls: false, ...wanted });
    });
  }

  test("100,000 mutated ones lead where a reader of WHATWG URLs sees them lead, or are refused", () => {
    const draw = random(11);
    const pieces = ["redis:", "//", "/", "@", ":", "?", "#", "%", "%40", "%2F", "h", "evil", "1", "0", "65536", "[::1]", "&", "=",
      "\\", "name", "dbid", "tls", " ", "\t", "é", "."];
    let taken = 0;
    for (let i = 0; i < 100_000; i++) {
      let url = draw() < 0.7 ? "redis://" : "";
      for (let left = 1 + Math.floor(draw() * 8); left > 0; left--) url += pieces[Math.floor(draw() * pieces.length)];
      let found: any;
      try {
        found = destination(url);
      } catch (error) {
        assert.equal((error as any).code, "INVALID_ARGUMENT", url);
        continue;
      }
      taken++;
      const seen = new URL(url);
      const host = decodeURIComponent(seen.hostname).replace("[", "").replace("]", "");
      assert.deepEqual([seen.protocol, found.host, found.port, found.path, found.tls],
        ["redis:", host || "localhost", Number(seen.port || 6379), undefined, false], url);
      assert.ok(url.split("@").length <= 2 && !url.includes("#"), url);
    }
    assert.ok(taken > 100, `${taken} were taken`);
  });
});

// ==== What a server says, in a terminal ====

const unfit = (text: string): string[] => Array.from(text).filter((char) => {
  const code = char.codePointAt(0)!;
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
    (code >= 0x2066 && code <= 0x2069) || [0x200e, 0x200f, 0x61c, 0x2028, 0x2029].includes(code);
});

describe("an error of the server", () => {
  const said: [what: string, text: string][] = [
    ["an escape sequence", "ERR \x1b[2J\x1b]0;owned\x07 done"], ["line ends", "ERR one\r\n2026-01-01 INFO all is well\nmore"],
    ["bidirectional marks", "ERR \u202egnp.exe\u202c \u2066a\u2069 \u200f \u200e \u061c"],
    ["C1 controls", "ERR \x9b31m \x85 \x90"],
    ["NUL and DEL", "ERR a\0b\x7fc"], ["separators", "ERR a\u2028b\u2029c"], ["a code of controls", "\x1b[31mERR\u202e what"],
    ["a mebibyte", `ERR ${"x".repeat(2 ** 20)}`], ["a mebibyte without blanks", "x".repeat(2 ** 20)],
    ["a mebibyte of bells", "\x07".repeat(2 ** 20)], ["a mebibyte of emoji", `ERR ${"😀".repeat(2 ** 18)}`],
  ];
  for (const [what, text] of said) {
    test(`with ${what} is fit to be shown and short, and its text is there as it came`, () =>
      withScript(saying(`!${Buffer.byteLength(text)}\r\n${text}\r\n`), async (db) => {
        const error = await failure(db.set("k", "v"));
        assert.ok(error instanceof ReplyError);
        const stackHead = (error.stack ?? "").split("\n    at ")[0]!;
        for (const shown of [error.message, error.code, String(error), stackHead]) assert.deepEqual(unfit(shown), [], what);
        assert.ok(Buffer.byteLength(error.message) <= 1024 && Buffer.byteLength(error.code) <= 1024,
          `${Buffer.byteLength(error.message)} bytes, code ${Buffer.byteLength(error.code)}`);
        assert.ok(Buffer.from(error.message).toString() === error.message);
        assert.equal(error.raw, text);
      }));
  }

  test("is as fit inside of aggregates, of pipelines, of a refused login", async () => {
    const evil = "-ERR \x1b[2J\u202e done\r\n";
    await withScript(saying(`*1\r\n${evil}`), async (db) => {
      const [error] = await db.call("ANY") as Error[];
      assert.ok(error instanceof ReplyError && unfit(error.message).length === 0);
    });
    await withScript(saying(evil), async (db) => {
      const error = await failure(db.pipeline().get("a").get("b").execPipeline());
      assert.ok(error instanceof PipelineError);
      for (const one of [error, ...error.results as Error[]]) assert.deepEqual(unfit(one.message), []);
    });
    const refusing = await ScriptedServer.start(async (peer) => {
      await peer.read();
      peer.write(evil);
      await peer.closed;
    });
    const error = await failure(connection({ port: refusing.port }));
    for (let at = error; at !== undefined; at = at.cause) assert.deepEqual(unfit(at.message), []);
    await refusing.stop();
  });
});

// ==== What one server says, and another is sent ====

describe("an impostor cannot have the real server told to end others", () => {
  const big = "9".repeat(2 ** 20);
  const own = ({ socket }: Peer): string => `127.0.0.1:${socket.remotePort}`;
  const line = (id: string, address: string, local = "127.0.0.1:6379"): string =>
    `id=${id} addr=${address} laddr=${local} fd=8 name= age=0 idle=0 flags=N\n`;

  /** The first connection leads to whoever says `first` of itself, later ones to a server that says `later`. */
  async function killsAfter(
    first: (peer: Peer) => string, later: (peer: Peer) => string, path?: string,
  ): Promise<[fenced: boolean, outcome: string, kills: string[]]> {
    const scripted = await ScriptedServer.start(async (peer) => {
      peer.identity = (peer.id === 1 ? first : later)(peer);
      await peer.hello();
      for (;;) {
        const [name] = await peer.read();
        if (name === "INCR") return void peer.socket.destroy();
        peer.write("+PONG\r\n");
      }
    }, path === undefined ? {} : { path });
    return using(path === undefined ? lazyConnection({ port: scripted.port }) : lazyUnixConnection(path), async (db) => {
      const error = await failure(db.incr("n"));
      await db.ping();
      return [error.fenced, error.outcome, scripted.peers.slice(1).flatMap(({ fenced }) => fenced)] as any;
    }).finally(() => scripted.stop());
  }

  const honest = (peer: Peer): string => line("9", own(peer));
  const throughNat = (peer: Peer): string => line("9", `172.17.0.1:${peer.socket.remotePort}`);
  const forged: [what: string, first: (peer: Peer) => string, later?: (peer: Peer) => string][] = [
    ["another's address", () => line("5", "10.1.2.3:4444")],
    ["the address of another client of this machine", () => line("5", "127.0.0.1:1")],
    ["another's address, through NAT", () => line("5", "10.1.2.3:4444"), throughNat],
    ["our own address, where the real server sees that of a NAT", (peer) => line("5", own(peer)), throughNat],
    ["our address behind a NAT that the real server does not see", throughNat],
    ["our address twice", (peer) => line("5", `${own(peer)} addr=10.1.2.3:4444`)],
    ["two addresses", (peer) => line("5", `${own(peer)},10.1.2.3:4444`)],
    ["no address", () => line("5", "")], ["a pattern as address", () => line("5", "*:*")],
    ["a name as address", () => line("5", "localhost:4444")], ["a socket as address", () => line("5", "/tmp/redis.sock:0")],
    ["an address with line ends", (peer) => line("5", `${own(peer)}\r\nQUIT`)],
    ["an address of a mebibyte", () => line("5", `${big}:1`)], ["a server's address of a mebibyte", (peer) => line("5", own(peer), big)],
    ["no id", (peer) => line("", own(peer))], ["a pattern as id", (peer) => line("*", own(peer))],
    ["an id with a sign", (peer) => line("-5", own(peer))], ["an id with a fraction", (peer) => line("5.5", own(peer))],
    ["an id with an exponent", (peer) => line("1e0", own(peer))], ["an id with zeros", (peer) => line("005", own(peer))],
    ["an id of 0", (peer) => line("0", own(peer))], ["an id of 20 digits", (peer) => line("9".repeat(20), own(peer))],
    ["an id of a mebibyte", (peer) => line(big, own(peer))],
    ["an id with line ends", (peer) => line("5\r\n*1\r\n$8\r\nFLUSHALL", own(peer))],
    ["something before the id", (peer) => `id=7 ${line("5", own(peer))}`], ["nothing", () => ""],
  ];
  for (const [what, first, later = honest] of forged) {
    test(`by ${what}: there is no fence, and the lost write stays unknown`, async () =>
      assert.deepEqual(await killsAfter(first, later), [false, "unknown", []]));
  }

  test("and the server that says the truth, behind NAT too, is told to end the connection that was lost", async () => {
    let address = "";
    const mine = (of: (peer: Peer) => string) => (peer: Peer): string =>
      line("5", address = of(peer));
    for (const [first, later] of [
      [mine(own), honest], [mine(({ socket }) => `172.17.0.1:${socket.remotePort}`), throughNat],
      [mine(() => "[2001:db8::1]:50000"), () => line("9", "[2001:db8::1]:50001")],
    ] as const) {
      assert.deepEqual(await killsAfter(first, later), [true, "unknown", [`CLIENT KILL ID 5 ADDR ${address}`]]);
    }
  });

  test("through a Unix socket, whose path may hold blanks, only a client of the same socket is named", async () => {
    const folder = mkdtempSync(join(tmpdir(), "redis.ts-socket-"));
    const path = join(folder, "a socket");
    const later = (): string => line("9", `${path}:0`, `${path}:0`);
    try {
      assert.deepEqual(await killsAfter(() => line("5", `${path}:0`, `${path}:0`), later, path),
        [true, "unknown", [`CLIENT KILL ID 5 ADDR ${path}:0`]]);
      for (const address of ["10.1.2.3:4444", "/run/other.sock:0", ""]) {
        assert.deepEqual(await killsAfter(() => line("5", address, `${path}:0`), later, path), [false, "unknown", []]);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("disconnect() unblocks a connection only where the server lists it under our address", async () => {
    for (const isOurs of [true, false]) {
      const asked: string[] = [];
      let address = "";
      let blocked: Peer | undefined;
      const scripted = await ScriptedServer.start(async (peer) => {
        peer.identity = line("99", own(peer));
        await peer.hello();
        for (;;) {
          const [name, what = ""] = await peer.read();
          if (name === "BLPOP") {
            address = own(peer);
            blocked = peer;
          } else if (what === "LIST") {
            const listed = line("99", isOurs ? address : "10.1.2.3:4444");
            peer.write(`$${listed.length}\r\n${listed}\r\n`);
          } else peer.write(":1\r\n");
          if (what === "UNBLOCK") blocked!.write("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
          asked.push(`${name} ${what}`);
        }
      });
      const db = lazyConnectionPool({ port: scripted.port, poolsize: 2, replyTimeout: isOurs ? 60_000 : 300 });
      await db.ready();
      const popped = failure(db.blpop("list", 0));
      await until(() => asked.includes("BLPOP list"), "the command that blocks");
      await db.disconnect();
      await popped;
      assert.ok(asked.includes("CLIENT LIST"));
      assert.equal(asked.includes("CLIENT UNBLOCK"), isOurs);
      await scripted.stop();
    }
  });
});

describe("a server sends the driver nowhere that its user does not want it to go", () => {
  /** Answers INFO with a replica at this address, and everything else with OK; counts the INFOs. */
  const naming = (host: string, port: number, asked: { infos: number }, before = 0) => async (peer: Peer): Promise<void> => {
    const info = `role:master\r\nmaster_repl_offset:0\r\n${".".repeat(before)}\r\nslave0:ip=${host},port=${port},state=online,offset=0,lag=0\r\n`;
    await peer.hello();
    for (;;) {
      const [name] = await peer.read();
      if (name === "INFO") asked.infos++;
      peer.write(name === "INFO" ? `$${info.length}\r\n${info}\r\n` : "+OK\r\n");
    }
  };

  /** What reaches a replica that a primary names: the number of connections, their first bytes; and what inspect shows. */
  async function reached(
    open: (primary: ScriptedServer, replica: { host: string; port: number }) => Handler, path?: string, host = "127.0.0.1",
    before = 0,
  ): Promise<{ count: number; shown: string; address: string }> {
    const asked = { infos: 0 };
    const replica = await ScriptedServer.start((peer) => peer.closed);
    const primary = await ScriptedServer.start(naming(host, replica.port, asked, before), path === undefined ? {} : { path });
    try {
      return await using(open(primary, replica), async (db) => {
        assert.equal(await db.get("k"), "OK");
        await until(() => asked.infos >= 2, "a second look");
        assert.equal(await db.get("k"), "OK");
        return { count: replica.connections, shown: inspect(db), address: `${host}:${replica.port}` };
      });
    } finally {
      await Promise.all([primary.stop(), replica.stop()]);
    }
  }

  for (const [what, allowNode, isAllowed] of [
    ["undefined", undefined, true], ["a function that says yes", () => true, true], ["one that says no", () => false, false],
    ["one that promises", async () => true, false], ["one that says something else", () => "yes", false],
    ["one that throws", () => { throw new Error("no"); }, false],
  ] as [string, any, boolean][]) {
    test(`allowNode is ${what}: a replica that INFO names is ${isAllowed ? "" : "not "}connected to`, async () => {
      const names: [string, number][] = [];
      const asking = allowNode && ((host: string, port: number) => (names.push([host, port]), allowNode(host, port)));
      const { count, shown, address } = await reached(({ port }) =>
        lazyConnection({ port, readFrom: "any", allowNode: asking }) as Handler);
      assert.equal(count > 0, isAllowed);
      assert.equal(shown.includes(`not allowed: ${address}`), !isAllowed, shown);
      for (const [host, port] of names) assert.equal(`${host}:${port}`, address);
      assert.equal(names.length > 0, allowNode !== undefined);
    });
  }

  for (const [what, addressMap] of [
    ["throws", () => { throw new Error("no"); }], ["gives no address", () => "nowhere"],
  ] as [string, any][]) {
    test(`addressMap is a function that ${what}: a replica that INFO names is not connected to`, async () => {
      const { count } = await reached(({ port }) => lazyConnection({ port, readFrom: "any", addressMap }) as Handler);
      assert.equal(count, 0);
    });
  }

  test("addressMap throws for one address that a Sentinel names: the others are used", async () => {
    const state = (ip: string, runid: string) => ({ ip, port: "6379", runid, flags: "slave" });
    const states = [state("10.0.0.1", "a"), state("10.0.0.2", "b"), state("10.0.0.3", "c")];
    const said = { address: ["10.0.0.4", 6379] as const, replicas: states, sentinels: states };
    await using one = await ScriptedSentinel.start(said);
    const addressMap = (address: string): string => {
      if (address.startsWith("10.0.0.1:")) throw new Error("no");
      return address.startsWith("10.0.0.2:") ? "nowhere" : address.replace("10.0.0", "127.0.0");
    };
    await using all = sentinel([one.host], { addressMap });
    assert.deepEqual(await all.discoverMaster("m"), { host: "127.0.0.4", port: 6379 });
    assert.deepEqual(await all.discoverReplicas("m"), [{ host: "127.0.0.3", port: 6379 }]);
  });

  test("INFO of a primary is read up to a limit: a replica that it names after that gets no connection", async () => {
    for (const [length, isRead] of [[1_000, true], [1_050_000, false]] as const) {
      const { count } = await reached(({ port }) => lazyConnection({ port, readFrom: "any" }) as Handler, undefined, undefined, length);
      assert.equal(count > 0, isRead);
    }
  });

  test("from a Unix socket nowhere, whatever allowNode says, but to replicas in the options, of which it is not asked", async () => {
    const folder = mkdtempSync(join(tmpdir(), "redis.ts-socket-"));
    const path = join(folder, "socket");
    try {
      const options = { readFrom: "any", password: PASSWORD, allowNode: () => true } as const;
      for (const open of [lazyUnixConnection, lazyUnixConnectionPool]) {
        const { count, shown, address } = await reached(() => open(path, options) as Handler, path);
        assert.equal(count, 0);
        assert.ok(shown.includes(`not allowed: ${address}`), shown);
      }
      const listed = await reached((_, { host, port }) =>
        lazyUnixConnection(path, { ...options, replicas: [{ host, port }], allowNode: () => false }) as Handler, path);
      assert.ok(listed.count > 0 && !listed.shown.includes("not allowed"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("from TLS only over TLS", async () => {
    const { ca, server: { cert, key } } = certificates();
    const asked = { infos: 0 };
    const heard: Buffer[] = [];
    const replica = await ScriptedServer.start(async (peer) => {
      peer.socket.once("data", (bytes: Buffer) => heard.push(bytes));
      await peer.closed;
    });
    const primary = createTlsServer({ cert, key }, (socket) => {
      naming("127.0.0.1", replica.port, asked)(new Peer(socket, 1)).catch(() => socket.destroy());
    }).listen(0, "127.0.0.1");
    await once(primary, "listening");
    const { port } = primary.address() as AddressInfo;
    const db = lazyConnection({ host: "127.0.0.1", port, password: PASSWORD, tls: { ca: ca.cert }, readFrom: "any" });
    await using(db, async () => {
      await db.get("k");
      await until(() => heard.length > 0, "a connection to the replica");
    });
    for (const bytes of heard) assert.equal(bytes[0], 22); // the beginning of a TLS handshake
    primary.close();
    await replica.stop();
  });

  test("nor to a host whose name is longer than any", async () => {
    const { count, shown } = await reached(({ port }) =>
      lazyConnection({ port, readFrom: "any" }) as Handler, undefined, "h".repeat(254));
    assert.equal(count, 0);
    assert.ok(!shown.includes("hhh"), shown);
  });
});

describe("a server cannot provoke a storm", () => {
  const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
  const idle = async (peer: Peer): Promise<void> => {
    for (;;) {
      const [name] = await peer.read();
      peer.write(name === "HELLO" ? "%1\r\n+role\r\n+master\r\n" : "+PONG\r\n");
    }
  };
  /** Counts events while the server provokes them for a second; returns how long that took, because limits depend on it. */
  const counted = async (count: () => number, worst: () => unknown): Promise<{ times: number; seconds: number }> => {
    const [begun, before] = [performance.now(), count()];
    while (performance.now() - begun < 1_000) {
      await worst();
      await sleep(1);
    }
    return { times: count() - before, seconds: (performance.now() - begun) / 1_000 };
  };

  test("of connections to servers that a Sentinel reports as being promoted", async () => {
    await using closing = await ScriptedServer.start(async (peer) => peer.reset());
    await using master = await ScriptedServer.start(idle);
    await using one = await ScriptedSentinel.start({ address: ["127.0.0.1", master.port] });
    await using(lazyConnection({ sentinels: [one.host], master: "m" }) as Handler, async (db) => {
      await db.ping();
      let ports = 0;
      const asked = one.asked;
      const { times, seconds } = await counted(() => closing.connections, () => {
        one.publish("+selected-slave", `slave x 127.0.0.1 ${closing.port} @ m 127.0.0.1 1`);
        for (let i = 0; i < 5; i++) one.publish("+promoted-slave", `slave x 127.0.0.1 ${1 + ports++ % 100} @ m 127.0.0.1 1`);
      });
      assert.ok(times <= 2 + 8 * seconds, `${times}`);
      assert.ok(one.asked - asked <= 2 + 20 * seconds, `${one.asked}`);
    });
  });

  test("of connections because it answers blocking commands with nonsense", async () => {
    await using hostile = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      await peer.read();
      peer.write("?nonsense\r\n");
    });
    await using(lazyConnection({ port: hostile.port }) as Handler, async (db) => {
      const { times, seconds } = await counted(() => hostile.connections, async () => {
        const { code } = await db.blpop("q", 0).catch((error) => error);
        assert.ok(["PROTOCOL", "CONNECTION_LOST", "NOT_CONNECTED"].includes(code), code);
      });
      assert.ok(times <= 8 + 8 * seconds, `${times}`);
    });
  });

  test("of moves to masters that a Sentinel names one after the other", async () => {
    const masters = await Promise.all([ScriptedServer.start(idle), ScriptedServer.start(idle)]);
    await using one = await ScriptedSentinel.start({ address: ["127.0.0.1", masters[0]!.port] });
    const connections = (): number => masters[0]!.connections + masters[1]!.connections;
    await using(lazyConnectionPool({ sentinels: [one.host], master: "m", poolsize: 4 }) as Handler, async (db) => {
      await db.ping();
      let epoch = 0;
      const { times, seconds } = await counted(connections, () => {
        one.said = { address: ["127.0.0.1", masters[epoch % 2]!.port], epoch: ++epoch };
        one.publish("+switch-master", "m 127.0.0.1 1 127.0.0.1 2");
      });
      assert.ok(times <= 4 * (8 + 2 * seconds), `${times}`);
    });
    await Promise.all(masters.map((master) => master.stop()));
  });

  for (const [what, where] of [["to itself", () => ":0"], ["to ever new ports", (nth: number) => `127.0.0.1:${1 + nth % 1_000}`]] as const) {
    test(`of connections because a node of a cluster redirects ${what}`, async () => {
      let nth = 0;
      const hostile = await ScriptedServer.start(async (peer) => {
        for (;;) {
          const [name, what] = await peer.read();
          if (name === "GET") peer.write(`-MOVED 5 ${where(nth++)}\r\n`);
          else if (what === "SLOTS") peer.write(`*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:${hostile.port}\r\n`);
          else peer.write(name === "HELLO" ? "%0\r\n" : "+OK\r\n");
        }
      });
      let dials = 0;
      const ports = new Set<number>();
      const socket = ({ port, host }: { port: number; host: string }): Socket => {
        dials++;
        ports.add(port);
        return connect({ port, host });
      };
      await using(lazyClusterConnection([`127.0.0.1:${hostile.port}`], { socket, replyTimeout: 300 }) as any, async (db: Handler) => {
        await db.with({ replyTimeout: 30_000 }).set("k", 1);
        const call = (): void => void db.get(`k${nth}`).catch(() => {});
        const before = [await counted(() => dials, call), await counted(() => dials, call)];
        const { times, seconds } = await counted(() => dials, call);
        assert.ok(times <= 10 * (2 + seconds), `${before.map((one) => one.times)} and then ${times} attempts`);
        assert.ok(ports.size <= 30, `${ports.size} ports`);
      });
      await hostile.stop();
    });
  }

  test("of questions by remember(), by naming ever new loaders", async () => {
    let asked = 0;
    await withScript(async (peer) => {
      for (;;) {
        const [name, key = ""] = await peer.read();
        const isMark = key.startsWith("remember:");
        if (name!.startsWith("EVAL") || isMark) asked++;
        const mark = `:${asked}`.padStart(9, "m");
        peer.write(name!.startsWith("EVAL") ? `*2\r\n$-1\r\n$9\r\n${mark}\r\n` : isMark ? `$9\r\n${mark}\r\n` : name === "GET" ? "$-1\r\n" : ":-1\r\n");
      }
    }, async (db) => {
      const options = { ttl: 60_000, lockTimeout: 1_000, timeout: 2_000 };
      const load = () => assert.fail("another one loads, says the server");
      const calls = [db.remember("k", options, load), db.remember("k", options, load), db.remember("l", options, load)];
      for (const { code } of await Promise.all(calls.map(failure))) assert.equal(code, "REPLY_TIMEOUT");
      assert.ok(asked < 200, `${asked} questions`);
      await until(async () => {
        const before = asked;
        await sleep(600);
        return asked === before;
      }, "an end of the questions after all callers have left");
    }, { replyTimeout: 1_000 });
  });

  test("of subscriptions, by ending each as soon as it has confirmed it", async () => {
    let asked = 0;
    const hostile = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      for (;;) {
        const [name, channel = ""] = await peer.read();
        if (name === "SUBSCRIBE") asked++;
        for (const kind of ["subscribe", "unsubscribe"]) peer.write(`>3\r\n${bulk(kind)}${bulk(channel)}:0\r\n`);
      }
    });
    await using(lazyConnection({ port: hostile.port }), async (db) => {
      await db.subscribe("a", () => {});
      const { times, seconds } = await counted(() => asked, () => {});
      assert.ok(times <= 2 + seconds, `${times}`);
      await until(() => asked > 2, "another attempt"); // it does not give up
    });
    await hostile.stop();
  });
});

describe("a cursor or an id that is none is not sent back", () => {
  const big = "9".repeat(2 ** 20);
  const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
  const odd = ["", "*", "-1", "1e3", "5 6", "0\r\nQUIT", "9".repeat(21), big, "$", ">", "+", "5-", "-5", "5-*", `${big}-0`];

  test("by scans: the call fails with PROTOCOL, and no other command follows", async () => {
    for (const cursor of odd) {
      const asked: string[][] = [];
      await withScript(async (peer) => {
        for (;;) {
          asked.push(await peer.read());
          peer.write(`*2\r\n${bulk(cursor)}*0\r\n`);
        }
      }, async (db) => {
        for (const scan of [db.scanIterator(), db.hscanIterator("h"), db.sscanIterator("s"), db.zscanIterator("z")]) {
          assert.equal((await failure(scan.next())).code, "PROTOCOL", cursor.slice(0, 9));
        }
      });
      assert.equal(asked.length, 4);
    }
  });

  test("by consume(): neither those of entries that wait, nor of claimed or new ones", async () => {
    const pending = (id: string): string => `*1\r\n*4\r\n${bulk(id)}$1\r\nc\r\n:5\r\n:1\r\n`;
    const claimed = (id: string): string => `*2\r\n${bulk(id)}*0\r\n`;
    const fresh = (id: string): string => `%1\r\n$1\r\ns\r\n*1\r\n*2\r\n${bulk(id)}*2\r\n$1\r\nf\r\n$1\r\nv\r\n`;
    for (const id of ["*", "5", "5-*", "9".repeat(21), `${big}-0`]) {
      for (const [forger, forged] of [["XPENDING", pending], ["XAUTOCLAIM", claimed], ["XREADGROUP", fresh]] as const) {
        const asked: string[][] = [];
        const times = (name: string): number => asked.filter((words) => words[0] === name).length;
        await withScript(async (peer) => {
          for (;;) {
            const words = await peer.read();
            asked.push(words);
            if (words[0] === forger) peer.write(forged(id));
            else peer.write(words[0] === "XPENDING" ? "*0\r\n" : claimed("0-0"));
          }
        }, async (db) => {
          const entries = db.consume("s", { group: "g", consumer: "c", claimAfter: 1 });
          const next = entries.next();
          await until(() => times(forger) >= 2, "a second attempt"); // it rests and asks again, as after any bad reply
          await entries.return();
          assert.deepEqual(await next, { value: undefined, done: true });
        });
        assert.deepEqual([times("XCLAIM"), times("XACK")], [0, 0]);
        for (const words of asked) if (words[0] === "XAUTOCLAIM") assert.equal(words[5], "0-0");
      }
    }
  });
});

// ==== The supply chain ====

describe("the package", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

  test("has no dependency, and nothing that runs when it is installed", () => {
    const kinds = Object.keys(manifest).filter((name) => name.toLowerCase().endsWith("dependencies"));
    assert.deepEqual(kinds, ["devDependencies"]);
    for (const hook of ["preinstall", "install", "postinstall", "prepare", "prepublish", "preprepare", "postprepare"]) {
      assert.equal(manifest.scripts[hook], undefined, hook);
    }
    assert.deepEqual(manifest.files, ["dist/redis.js", "dist/redis.d.ts"]);
    for (const version of Object.values(manifest.devDependencies)) assert.match(version as string, /^\d+\.\d+\.\d+$/);
  });

  test("has one version, in every file that names it", () => {
    assert.equal(JSON.parse(readFileSync(join(root, "jsr.json"), "utf8")).version, manifest.version);
    assert.ok(readFileSync(join(root, "CHANGELOG.md"), "utf8").includes(`\n## ${manifest.version}\n`));
    const [item] = JSON.parse(readFileSync(join(root, "registry.json"), "utf8")).items;
    assert.deepEqual(item.files.map(({ path }: { path: string }) => path), ["redis.ts"]);
  });

  test("imports Node's modules only, named as such, and never at run time by a name that is made", () => {
    const imports = source.split("\n").filter((line) => line.startsWith("import") || line.includes("from \""))
      .filter((line) => !line.trimStart().startsWith("//"));
    assert.ok(imports.length > 0);
    const allowed = /from "node:(buffer|crypto|diagnostics_channel|module|net|stream|string_decoder|timers|tls|util|util\/types)";$/;
    for (const line of imports) assert.match(line, allowed);
    const code = source.split("\n").filter((line) => !line.trimStart().startsWith("//"));
    // What is loaded only when it is needed is loaded in one place, by a name that stands there in full.
    const named = /\bbuiltin\("node:(crypto|diagnostics_channel|tls|util)"\)/g;
    assert.deepEqual(code.filter((line) => /\bcreateRequire\(|\bbuiltin\b|getBuiltinModule/.test(line.replaceAll(named, ""))),
      ["const builtin = <Name extends keyof LazyModules>(name: Name): LazyModules[Name] =>",
        '  process.getBuiltinModule?.(name) ?? createRequire("/")(name); // webpack breaks the latter; Node 20.15 has no other']);
    for (const power of ["import(", "require(", "eval(", "new Function", "process.env", "globalThis"]) {
      // A handler has a command that is named eval.
      assert.deepEqual(code.filter((line) => line.replaceAll("this.db.eval(", "").includes(power)), [], power);
    }
  });

  test("is built the same twice, byte for byte", async () => {
    const folder = mkdtempSync(join(tmpdir(), "redis.ts-"));
    try {
      const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
      const hashes = await Promise.all(["one", "two"].map(async (name) => {
        const out = join(folder, name);
        await promisify(execFile)(process.execPath, [tsc, "-p", root, "--outDir", out]);
        return ["redis.js", "redis.d.ts"].map((file) => createHash("sha256").update(readFileSync(join(out, file))).digest("hex"));
      }));
      assert.deepEqual(hashes[0], hashes[1]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

// ==== Sentinels ====

describe("with TLS, Sentinels", () => {
  const { ca, wrong, stranger } = certificates();

  /** A Sentinel and its master, both with TLS; `use` gets their options, which lead to the ports with TLS. */
  const withSentinel = async (
    [sentinelArgs, serverArgs]: [string[], string[]], use: (options: Options, master: RedisServer) => Promise<void>,
  ): Promise<void> => {
    const master = await RedisServer.start({ tls: true, args: serverArgs, unix: false });
    const lines = `sentinel monitor m 127.0.0.1 ${master.port} 1\n`;
    const sentinel = await RedisServer.start({ tls: true, args: sentinelArgs, sentinel: lines, unix: false });
    try {
      await use({
        sentinels: [`127.0.0.1:${sentinel.tlsPort}`], master: "m", password: PASSWORD, tls: { ca: ca.cert },
        addressMap: { [`127.0.0.1:${master.port}`]: `127.0.0.1:${master.tlsPort}` },
      }, master);
    } finally {
      await Promise.all([sentinel.stop(), master.stop()]);
    }
  };
  const fake = (certificate: typeof wrong): string[] =>
    ["--tls-cert-file", certificate.certFile, "--tls-key-file", certificate.keyFile];
  const hello = async (node: RedisServer): Promise<boolean> => /cmdstat_hello/.test(await node.call("INFO", "commandstats"));

  test("and the master that they name are reached if their certificates are right", () => withSentinel([[], []], async (options, master) => {
    await using(await connection(options) as Handler, async (db) => assert.equal(await db.ping(), "PONG"));
    assert.equal(await hello(master), true);
  }));

  test("are not spoken to if their certificates are wrong, nor is a master with a wrong one", async () => {
    for (const [name, certificate] of [["another name", wrong], ["an unknown authority", stranger]] as const) {
      await withSentinel([fake(certificate), []], async (options, master) => {
        assert.equal((await failure(connection(options))).code, "NO_SENTINEL", name);
        assert.equal(await hello(master), false, name);
      });
      await withSentinel([[], fake(certificate)], async (options, master) => {
        assert.equal((await failure(connection(options))).code, "CONNECT_FAILED", name);
        assert.equal(await hello(master), false, name);
      });
    }
  });

  test("and all that they name never see a plain byte", async () => {
    const first: number[] = [];
    let seen = "";
    const sniffer = await ScriptedServer.start((peer) => new Promise((resolve) => {
      peer.socket.on("data", (chunk) => {
        first.push(chunk[0]!);
        seen += chunk.toString("latin1");
        peer.end();
        resolve();
      });
    }));
    const at = { ip: "127.0.0.1", port: String(sniffer.port) };
    const said = { address: ["127.0.0.1", sniffer.port] as const, replicas: [{ ...at, flags: "slave" }] };
    const sentinel = await ScriptedSentinel.start(said);
    const plain = { host: "127.0.0.1", port: sentinel.server.port, tls: false, password: `${SONG} of Sentinels` };
    const secret = { host: "127.0.0.1", port: sniffer.port, password: `${SONG} of Sentinels` };
    for (const sentinels of [[secret], [plain]]) {
      const options: Options = { sentinels, master: "m", tls: true, password: PASSWORD, readFrom: "any", replyTimeout: 300 };
      await using(lazyConnectionPool(options) as Handler, async (db) => {
        await failure(db.get("k"));
        await failure(db.subscribe("news"));
        await until(() => first.length > 5, "some attempts");
      });
    }
    assert.deepEqual([...new Set(first)], [0x16]); // a TLS handshake
    assert.ok(!seen.includes(SONG));
    assert.ok(!String(sentinel.logins).includes(PASSWORD));
    await Promise.all([sniffer.stop(), sentinel.stop()]);
  });
});

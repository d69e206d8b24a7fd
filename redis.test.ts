// Tests of redis.ts, in its own order of sections, on real servers. A scripted server stands in for what a real one will
// not do. `npm test` runs them; the one file also runs under `bun test` and `deno test -A`.

import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer } from "node:tls";
import { format, inspect } from "node:util";
import {
  AbortError, ConnectionError, NotSupportedError, ProtocolError, RedisError, ReplyError, TimeoutError,
  connection, internals, lazyConnection, lazyUnixConnection, unixConnection,
} from "./redis.ts";
import type { Handler, Options } from "./redis.ts";
import * as reference from "./test/reference.ts";
import { samples } from "./test/samples.ts";
import { RedisServer, ScriptedServer, freePort, until } from "./test/servers.ts";
import type { Peer } from "./test/servers.ts";
import { clusterSurface, surface } from "./test/surface.ts";

const { Decoder, MORE, commands, encode, encodeName, flatten, world } = internals;
type Row = InstanceType<typeof internals.Row>;
const rows = Object.entries(commands) as [string, Row][];
const limits = { maxDepth: 128, maxBulk: 512 * 2 ** 20, maxElements: 2 ** 20 };

let server: RedisServer;
before(async () => {
  server = await RedisServer.start({ tls: true });
});
after(() => server.stop());

/** Gives a handler to `use` and closes it, whatever happens. */
async function withDb<T>(options: Options, use: (db: Handler) => Promise<T>): Promise<T> {
  const db = lazyConnection({ port: server.port, ...options }) as Handler;
  try {
    return await use(db);
  } finally {
    db.destroy();
  }
}

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

const failure = async (promise: Promise<unknown>): Promise<any> => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: "this should have been rejected" });
};

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
    const [options = ""] = source.split("export type Options = {")[1]!.split("};");
    for (const [, name] of options.matchAll(/^  (\w+)\?:/gm)) assert.match(readme, new RegExp(`^${name}( {2,}|$)`, "m"), `option ${name}`);
    for (const [, code] of source.matchAll(/"([A-Z][A-Z_]+)", "(?:not-sent|not-executed|unknown)"/g)) {
      assert.ok(readme.includes(`### ${code}`) || readme.includes(`\`${code}\``), `code ${code}`);
    }
  });

  test("the README's examples run", async () => {
    const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!);
    assert.ok(examples.length > 5);
    for (const example of examples) if (!isOld() || !example.includes("GT: true")) await runExample(example);
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
    ["redis://u:12?hunter2@localhost", /cannot set that/],
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
  const bytesOf = (wire: string | (string | Buffer)[]): Buffer =>
    Buffer.concat([wire].flat().map((part) => typeof part === "string" ? Buffer.from(part, "latin1") : part));

  for (const [method, [args, words]] of Object.entries(samples)) {
    test(`${method} sends ${words}`, () => {
      const row = commands[method as keyof typeof commands] as Row;
      const expected = words.split(" ").map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
      assert.equal(bytesOf(encode(row.name, args)).toString(), `*${expected.length}\r\n${expected.join("")}`);
    });
  }

  test("every row has a sample", () => {
    assert.deepEqual(Object.keys(samples).sort(), rows.map(([method]) => method).sort());
  });

  test("100,000 random argument lists arrive as they are", () => {
    const random = reference.random(1);
    for (let i = 0; i < 100_000; i++) {
      const args = reference.randomArguments(random);
      const [words] = reference.parseCommands(bytesOf(encode(name, args)));
      assert.deepEqual(words, [Buffer.from("CALL"), ...reference.expectedArguments(args)]);
    }
  });

  const refused: [name: string, value: unknown][] = [
    ["null", null], ["NaN", NaN], ["Infinity", Infinity], ["a boolean", true], ["false", false], ["a symbol", Symbol("secret")],
    ["a function", () => {}], ["a date", new Date()], ["a Map", new Map()], ["a Set", new Set()], ["a RegExp", /secret/],
    ["a class instance", new (class Secret {})()], ["a nested object", { a: { b: 1 } }], ["null in an object", { a: null }],
    ["null in an array", [null]], ["undefined in an array", ["a", undefined]], ["a promise", Promise.resolve("secret")],
  ];
  for (const [what, value] of refused) {
    test(`${what} is a TypeError that says where it stood, before anything is sent`, () => withDb({}, async (db) => {
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

  test("undefined before another argument is a TypeError; behind the last it is nothing", async () => withDb({}, async (db) => {
    assert.ok(await failure(db.call("set", undefined, "b")) instanceof TypeError);
    assert.equal(await db.set("key", "value", undefined), "OK");
  }));

  test("what is too big is refused before a byte is sent", () => withDb({}, async (db) => {
    assert.match((await failure(db.set("k", Buffer.allocUnsafeSlow(2 ** 29 + 1)))).message, /longer than 512 MiB/);
    const quarter = Buffer.allocUnsafeSlow(2 ** 28);
    assert.match((await failure(db.sadd("k", Array(9).fill(quarter)))).message, /longer than 2 GiB/);
    assert.match((await failure(db.sadd("k", Array(2 ** 20).fill("x")))).message, /more than 1048576 arguments/);
    assert.equal(await db.ping(), "PONG");
  }));

  test("bytes that are taken away before they are sent cost nobody anything", () => withDb({}, async (db) => {
    await db.mset({ a: "A", b: "B" });
    const bytes = new Uint8Array(5000);
    const taken = failure(db.set("k", bytes));
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    assert.deepEqual(await Promise.all([db.get("a"), db.get("b")]), ["A", "B"]);
    assert.equal((await taken).outcome, "not-sent");
  }));

  test("a boolean is an option only under a name in capitals; as data it is refused", () => withDb({}, async (db) => {
    const error = await failure(db.hset("h", JSON.parse('{ "active": true, "admin": false }')));
    assert.match(error.message, /a boolean under a name that is no option/);
    assert.equal(await db.set("k", "v", { EX: 10, NX: false, GET: false }), "OK");
  }));

  test("an array that holds itself is refused", () => {
    const endless: unknown[] = [];
    endless.push(endless);
    assert.throws(() => flatten(name, [endless]), /arrays in arrays/);
  });

  test("what is changed after the call does not change what is sent, if it is small", () => withDb({}, async (db) => {
    const bytes = Buffer.from("before");
    const fields: Record<string, string> = { a: "before" };
    const done = [db.set("bytes", bytes), db.hset("fields", fields)];
    bytes.write("AFTER!");
    fields.a = "after";
    await Promise.all(done);
    assert.equal(await db.get("bytes"), "before");
    assert.equal(await db.hget("fields", "a"), "before");
  }));

  test("values of every size arrive, as text and as bytes", () => withDb({}, async (db) => {
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
    if (value instanceof ReplyError) return new reference.ErrorReply(value.message);
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

  test("every valid reply decodes to its value: whole, byte by byte and cut at every position", () => {
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

  test("what is not all there is waited for", () => {
    for (const [name, frame] of reference.incompleteFrames) {
      const bytes = Buffer.from(frame as string);
      assert.deepEqual(decode(whole(bytes), "utf-8"), { replies: reference.decodeReply(bytes, "utf-8").replies }, name);
    }
  });

  test("after a breach nothing is decoded any more", () => {
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

  test("a few hostile bytes cost no memory for what has not arrived", () => {
    assert.ok(memoryFor(Buffer.from("*30000000\r\n".repeat(4))) < 4 * 2 ** 20);
    assert.ok(memoryFor(Buffer.from("%30000000\r\n".repeat(4))) < 4 * 2 ** 20);
    assert.ok(memoryFor(Buffer.from("$536870912\r\n")) < 4 * 2 ** 20);
  });

  test("a streamed string of many parts takes time as its bytes do, and its parts are counted", () => {
    const timeFor = (parts: number): number => {
      const bytes = Buffer.from(`$?\r\n${";1\r\na\r\n".repeat(parts)};0\r\n`);
      const begun = process.cpuUsage();
      assert.equal((decode(whole(bytes), "utf-8").replies[0] as string).length, parts);
      return process.cpuUsage(begun).user;
    };
    timeFor(1_000);
    assert.ok(timeFor(100_000) < 40 * timeFor(10_000) + 10_000);
    const endless = Buffer.from(`$?\r\n${";1\r\na\r\n".repeat(2 ** 21 + 1)}`);
    assert.match(decode(whole(endless), "utf-8").error ?? "", /too long/);
  });

  test("a bulk of many chunks takes no longer than its bytes do", () => {
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
});

// ==== 4. Commands ====

describe("commands", () => {
  test("every command and subcommand of the server has a row, of the same kind and with the same keys", async () => {
    const known = new Map(rows.map(([, row]) => [row.name.text, row]));
    const compare = ([name, , flags, first, last, step, , , , subcommands = []]: any[]): void => {
      const wire = name.toUpperCase().replace("|", " ");
      if (subcommands.length > 0) return subcommands.forEach(compare);
      const row = known.get(wire);
      if (isOld() && !row && (GONE.includes(wire) || rows.some(([, { name }]) => name.text.startsWith(`${wire} `)))) return;
      assert.ok(row, `no row for ${wire}`);
      if (row.kind !== "session") {
        const kind = flags.includes("readonly") ? "read" : flags.includes("write") ? "write" : "other";
        if (!isOld() || kind !== "read") assert.equal(row.kind, kind, wire); // Redis 6 calls TIME, ECHO … readonly
      }
      if (flags.includes("blocking")) assert.ok(row.block, `${wire} blocks`);
      if (typeof row.keys === "function") assert.ok(flags.includes("movablekeys"), `${wire} has movable keys`);
      else if (!flags.includes("movablekeys") && !(isOld() && wire === "PFDEBUG")) {
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
      const words = flatten(row.name, args);
      const keys = row.positions(words).map((at) => String(words[at]));
      const found = await flat(wire.split(" "));
      if (found === "ERR Invalid command specified") continue; // a command of a newer server
      if (isOld() && (/^ERR Invalid (number of )?arguments/.test(found) || wire.startsWith("PFDEBUG"))) continue; // its options too
      if (keys.length === 0 || NOT_KEYS.includes(row.name.text)) assert.match(String(found), /has no key arguments|wrong number/, wire);
      else assert.deepEqual(isOld() ? [...found].sort() : found, isOld() ? [...keys].sort() : keys, wire);
    }
  });

  /** Their channel or cursor decides on the node, but is no key. */
  const NOT_KEYS = ["SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE", "CLUSTERSCAN"];
  /** Commands of Redis 6 that Redis 7 has no more; HOST: and POST are a trap for browsers. */
  const GONE = ["STRALGO", "HOST:", "POST"];

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
  const NEW = / |^(waitaof|h\w*(expire|expireat|expiretime|ttl|persist)|hsetex|hgetex|hgetdel|x(delex|ackdel|cfgset)|delex|delifeq|digest|msetex|v[a-z]+|scriptShow|commandlog\w+|hotkeys\w+|cluster(Myshardid|SlotStats|scan|Getslotmigrations|Migration))$/;

  test("the whole surface has the same replies under RESP2 and RESP3", async () => {
    const replies = await Promise.all([2, 3].map(async (protocol) => {
      const fresh = await RedisServer.start();
      const shapes: string[] = [];
      await withDb({ port: fresh.port, protocol: protocol as 2 | 3, replyTimeout: 20_000 }, async (db) => {
        for (const [name, args, expected] of surface) {
          const reply = await (db as any)[name](...args).catch((error: unknown) => error);
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
    else if (typeof reply === "object" && reply !== null && !(reply instanceof Error)) {
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

  test("an error reply tells code, outcome and command, and shows none of the arguments", () => withDb({}, async (db) => {
    await db.set("text", "a");
    const error = await failure(db.lpush("text", "b"));
    assert.ok(error instanceof ReplyError && error instanceof RedisError);
    const { code, outcome, command } = error;
    assert.deepEqual({ code, outcome, command }, { code: "WRONGTYPE", outcome: "not-executed", command: "LPUSH" });
    const unknown = await failure(db.call("NOSUCH", "hunter2", "hunter2"));
    assert.doesNotMatch(inspect(unknown, { showHidden: true }), /hunter2/);
  }));

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

  test("what changes the connection is refused, and the message says what to use", () => withDb({}, async (db) => {
    for (const [name, instead] of [["select", "dbid"], ["auth", "password"], ["subscribe", "subscribe()"], ["quit", "disconnect()"]] as const) {
      const error = await failure(db.call(name, 1));
      assert.ok(error instanceof NotSupportedError);
      assert.equal(error.outcome, "not-sent");
      assert.ok(error.message.includes(instead), error.message);
    }
    for (const way of [["client", "reply", "off"], ["CLIENT", ["REPLY", "OFF"]], ["client", Buffer.from("reply")], ["CLIENT REPLY"]]) {
      const [name, ...args] = way as [string, ...unknown[]];
      assert.equal((await failure(db.call(name, ...args))).code, "NOT_SUPPORTED");
    }
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

  test("charset latin1 gives each byte as a character", () => withDb({ charset: "latin1" }, async (db) => {
    await db.set("latin", Buffer.from([0xe9]));
    assert.equal(await db.get("latin"), "é");
  }));

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
    await db.ping();
    const abort = new AbortController();
    const calls = [db.get("a"), db.with({ signal: abort.signal }).incr("not sent"), db.get("a")];
    abort.abort();
    const [, error] = await Promise.allSettled(calls);
    assert.equal((error as PromiseRejectedResult).reason.outcome, "not-sent");
    assert.equal(await db.exists("not sent"), 0);
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
    await sleep(5);
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
      names.push(socket.servername);
      socket.end();
    });
    await once(listener.listen(0, "127.0.0.1"), "listening");
    const { port } = listener.address() as AddressInfo;
    for (const host of ["localhost", "127.0.0.1"]) await failure(connection({ host, port, tls: { ca: ca.cert } }));
    assert.deepEqual(names, ["localhost", false]);
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
    world.now = () => now() / 20; // commands wait for attempts that come soon; let that be long enough
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
      ["+OK\r\n", "-ERR DB index is out of range\r\n", /out of range/],
    ] as const) {
      const refusing = await ScriptedServer.start(async (peer) => {
        await peer.read();
        peer.write(hello + select);
      });
      const error = await failure(connection({ port: refusing.port, dbid: 1, connectTimeout: 500 }));
      assert.equal(error.code, "REFUSED");
      assert.match(error.message, says);
      await refusing.stop();
    }
  });
});

describe("a connection", () => {
  test("writes all commands of a tick at once, and a pipeline of promises keeps its order", async () => {
    let writes = 0;
    const { connect } = world;
    world.connect = (config) => {
      const socket = connect(config);
      const { write } = socket;
      socket.write = ((...args: any[]) => { writes++; return (write as any).apply(socket, args); }) as any;
      return socket;
    };
    try {
      await withDb({}, async (db) => {
        await db.del("ordered");
        writes = 0;
        const lengths = await Promise.all(Array.from({ length: 100 }, (_, i) => db.rpush("ordered", i)));
        assert.equal(writes, 1);
        assert.deepEqual(lengths, Array.from({ length: 100 }, (_, i) => i + 1));
        assert.deepEqual(await db.lrange("ordered", 0, -1), Array.from({ length: 100 }, (_, i) => String(i)));
      });
    } finally {
      world.connect = connect;
    }
  });

  test("a million commands at once all come back", () => withDb({ replyTimeout: 60_000 }, async (db) => {
    let sum = 0;
    await db.set("million", 0);
    await Promise.all(Array.from({ length: 1_000_000 }, () => db.incr("million").then((n) => { sum += n; })));
    assert.equal(sum, 1_000_000 * 1_000_001 / 2);
  }));

  test("a frozen server makes every command time out, written or not, and no late reply reaches another", async () => {
    const frozen = await RedisServer.start();
    await withDb({ port: frozen.port, replyTimeout: 150 }, async (db) => {
      await db.mset({ a: "A", b: "B" });
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
      await until(() => db.get("b").then((value) => value === "B", () => false), "the server to answer again");
      assert.equal(await db.get("b"), "B");
    });
    await frozen.stop();
  });

  test("a command that times out while others are answered keeps its place: nobody gets its reply", () => withScript(async (peer) => {
    assert.deepEqual(await peer.read(), ["GET", "slow"]);
    assert.deepEqual(await peer.read(), ["GET", "quick"]);
    peer.write("$4"); // the server is alive, but this reply takes its time
    await sleep(120);
    peer.write("\r\nslow\r\n$5\r\nquick\r\n");
    assert.deepEqual(await peer.read(), ["GET", "next"]);
    peer.write("$4\r\nnext\r\n");
  }, async (db) => {
    const slow = db.with({ replyTimeout: 40 }).get("slow");
    const quick = db.get("quick");
    assert.equal((await failure(slow)).code, "REPLY_TIMEOUT");
    assert.equal(await quick, "quick");
    assert.equal(await db.get("next"), "next");
  }));

  test("a short deadline of one call costs the others nothing", () => withDb({}, async (db) => {
    await db.set("n", 0);
    const slow = db.debug("sleep", 0.3);
    const others = [db.incr("n"), db.get("n")];
    assert.equal((await failure(db.with({ replyTimeout: 50 }).get("n"))).code, "REPLY_TIMEOUT");
    assert.deepEqual(await Promise.all([slow, ...others]), ["OK", 1, "1"]);
  }));

  test("a stall of our own is not taken for the server's silence", () => withDb({ replyTimeout: 100 }, async (db) => {
    await db.set("n", 0);
    const call = db.incr("n");
    await new Promise(setImmediate);
    for (const end = performance.now() + 250; performance.now() < end;);
    assert.equal(await call, 1);
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

  test("a read that is lost twice is rejected", async () => {
    let reads = 0;
    const dropping = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      await peer.read();
      reads++;
      peer.end();
    });
    await withDb({ port: dropping.port }, async (db) => {
      const error = await failure(db.get("a"));
      assert.deepEqual([error.code, error.outcome], ["CONNECTION_LOST", "unknown"]);
      assert.equal(reads, 2);
    });
    await dropping.stop();
  });

  test("no increment is lost or doubled while connections are killed", () => withDb({}, async (db) => {
    await db.del("counted");
    let acknowledged = 0;
    let unknown = 0;
    let stop = false;
    const killer = (async () => {
      while (!stop) {
        await sleep(20);
        await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      }
    })();
    await Promise.all(Array.from({ length: 32 }, async () => {
      for (let i = 0; i < 300; i++) {
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
    stop = true;
    await killer;
    const count = Number(await server.call("GET", "counted"));
    assert.ok(count >= acknowledged && count <= acknowledged + unknown, `${acknowledged} <= ${count} <= ${acknowledged} + ${unknown}`);
    assert.ok(unknown < 32 * 300 / 2 && acknowledged > 1000, `${acknowledged} acknowledged`);
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

  test("a server that is back in a moment is not missed: commands wait for the attempts that come soon", async () => {
    const { now } = world;
    world.now = () => now() / 20; // a moment is long enough for a machine that is busy
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

  test("the rests between attempts grow, with full jitter, and are bounded", async () => {
    const rests: number[] = [];
    const { after, random } = world;
    world.random = () => 0.999;
    world.after = (delay, task) => {
      rests.push(delay);
      return after(delay > 1_000 && delay < 10_100 ? 1 : Math.min(delay, 20), task);
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
    assert.deepEqual(grown.slice(0, 10), [51, 101, 201, 401, 800, 1599, 3198, 6395, 9991, 9991]);
  });

  test("a server that dies after each greeting is met with growing rests", async () => {
    const rests: number[] = [];
    const { after, random } = world;
    world.random = () => 0.999;
    world.after = (delay, task) => {
      rests.push(delay);
      return after(Math.min(delay, 5), task);
    };
    const dying = await ScriptedServer.start(async (peer) => {
      await peer.hello();
      peer.end();
    });
    const options = { port: dying.port, pingInterval: Infinity, connectTimeout: 77_777, replyTimeout: 66_666 };
    const db = lazyConnection(options);
    try {
      await until(() => rests.some((rest) => rest > 6_000 && rest < 66_000), "a long rest");
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
      await until(() => deaf.peers.length === 2, "a second connection");
    });
    assert.ok(pings >= 1);
    await deaf.stop();
    await withDb({ pingInterval: 50 }, async (db) => {
      await server.call("CONFIG", "RESETSTAT");
      for (let i = 0; i < 30; i++) {
        await db.get("busy");
        await sleep(5);
      }
      assert.doesNotMatch(await server.call("INFO", "commandstats"), /cmdstat_ping/);
    });
  });
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

  test("may take its block time and a reply's time more", () => withDb({ replyTimeout: 150 }, async (db) => {
    assert.equal(await db.blpop("empty", 0.3), null);
    assert.equal(await db.xread({ BLOCK: 300, STREAMS: ["empty", "$"] }), null);
  }));

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

  test("is known by what is sent: an option that is false, or a stream of that name, does not block", () =>
    withDb({ replyTimeout: 5_000 }, async (db) => {
      assert.equal(await db.xread({ BLOCK: false as any, STREAMS: ["empty", "$"] }), null);
      assert.equal(await db.call("xread", "streams", "BLOCK", "0"), null);
      assert.equal(await db.call("XREAD", Buffer.from("block"), "10", "streams", "empty", "$"), null);
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
    const popped = db.blpop("long queue", 0.4);
    const error = await failure(db.get("a"));
    assert.deepEqual([error.code, error.outcome], ["REPLY_TIMEOUT", "not-sent"]);
    assert.equal(await popped, null);
  }));
});

// ==== 8. The door ====

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

  test("leaves nothing behind: no client on the server, no timer, and the process ends by itself", async () => {
    const clients = (await server.call("CLIENT", "LIST")).split("\n").length;
    const program = `
      import { connection, lazyConnection } from ${JSON.stringify(new URL("./redis.js", import.meta.url).href)};
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
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk) => { output += chunk; });
    const [code] = await once(child, "exit");
    assert.deepEqual([code, output.trim()], [0, ""]);
    await until(async () => (await server.call("CLIENT", "LIST")).split("\n").length <= clients, "all clients to be gone");
  });

  test("an idle handler keeps the process alive, as any open socket does, until it is closed", () => withDb({}, async (db) => {
    await db.ping();
    assert.ok(process.getActiveResourcesInfo().some((name) => name.includes("TCP")));
  }));

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

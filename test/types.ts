// What the types promise, held by the compiler alone: `tsc` reads this file, and nothing in it is ever run.

import { Buffer } from "node:buffer";
import {
  Model, RedisCounter, RedisDict, RedisList, RedisLifoQueue, RedisQueue, RedisSet, RedisSortedSet, clusterConnection, connection, json,
  keyOf, lazyClusterConnectionPool, lazyConnection, lazyShardedConnection, lazyUnixConnection, manager,
  plain, script, sentinel, shardedConnectionPool, unixConnection,
} from "../redis.ts";
import type {
  Bulk, ClaimedEntry, CommandInfo, Coordinates, Entry, Facts, Fields, FunctionLibrary, Handler, InPairs, LcsMatch,
  Line, PendingEntry, PipelineOptions, RedisError, ReplyError, Scored, SetOptions, VembRaw, XinfoStream, XinfoStreamFull, XpendingEntry,
  XpendingSummary, ClusterHandler, ClusterNodeInfo, NodeStats, ShardedHandler, Transaction,
} from "../redis.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;

/** is<T>() takes a promise of exactly T; of anything else it asks for arguments that nobody gives. */
const is = <T>() => <R>(_reply: Promise<R>, ..._: Equal<R, T> extends true ? [] : [wanted: T, got: R]): void => {};

/** All calls of one name have one type. */
export function replies(db: Handler, keys: string[], anyFlag: { WITHSCORES: true }): void {
  const ok = is<"OK">(), count = is<number>(), maybe = is<number | null>(), counts = is<number[]>();
  const text = is<string>(), bulk = is<Bulk>(), texts = is<string[]>(), bulks = is<Bulk[]>(), scored = is<Scored[]>();

  // Keys
  count(db.del("a", ["b", "c"]));
  count(db.del(Buffer.from("a"), keys));
  count(db.expire("k", 10, { NX: true }));
  is<[string, string[]]>()(db.scan(0, { MATCH: "a*", TYPE: "hash" }));
  texts(db.sort("k"));
  texts(db.sort("k", { ALPHA: true, LIMIT: [0, 1] }));
  bulks(db.sort("k", { GET: "#" }, { GET: "name:*" }));
  count(db.sort("k", { STORE: "dst" }));
  count(db.sort("k", { GET: "#" }, { GET: "name:*", STORE: "dst" }));
  texts(db.sort_ro("k", { DESC: true }));
  bulks(db.sort_ro("k", { GET: "#" }));
  is<Buffer | null>()(db.dump("k"));
  count(db.blessSet("k", "NO-EVICT"));
  count(db.blessClear("k", "no-evict"));
  texts(db.blessGet("k"));
  is<[string, string[]]>()(db.blessScan(0, "NO-EVICT", { COUNT: 10 }));
  is<"OK" | "NOKEY">()(db.migrate("host", 6379, "k", 0, 100));
  is<[number, number]>()(db.waitaof(1, 1, 0));

  // Strings
  bulk(db.get("k"));
  is<"OK" | null>()(db.set("k", "v"));
  is<"OK" | null>()(db.set("k", 1n, { EX: 10, NX: true }));
  is<"OK" | null>()(db.set("k", 1n, { GET: false }));
  bulk(db.set("k", "v", { GET: true }));
  bulk(db.set("k", "v", { GET: true, XX: true, PX: 10 }));
  bulks(db.mget("a", ["b"]));
  ok(db.mset({ a: 1, b: "2", c: undefined }));
  count(db.incrbyfloat("k", 0.1));
  count(db.hincrbyfloat("k", "a", "0.1"));
  is<[number, number]>()(db.increx("k", { BYINT: 2 }));
  text(db.lcs("a", "b"));
  count(db.lcs("a", "b", { LEN: true }));
  is<{ matches: LcsMatch[]; len: number }>()(db.lcs("a", "b", { IDX: true, WITHMATCHLEN: true }));

  // Options and optional arguments may be undefined
  const given: { n: number | undefined; text: string | undefined; limit: [number, number] | undefined } =
    { n: undefined, text: undefined, limit: undefined };
  is<"OK" | null>()(db.set("k", "v", { EX: given.n, NX: given.n === 1 }));
  is<[string, string[]]>()(db.scan(undefined, { MATCH: given.text, COUNT: given.n, TYPE: given.text }));
  texts(db.zrange("k", undefined, 5, { LIMIT: given.limit }));
  texts(db.zrange("k", 0, given.n));
  texts(db.zrangebyscore("k", undefined, undefined, { LIMIT: given.limit }));
  is<[string, number][]>()(db.zrange("k", undefined, 5, { WITHSCORES: true }));
  texts(db.lrange("k", undefined, 5));
  is<Entry[]>()(db.xrange("k", undefined, "5", { COUNT: given.n }));
  texts(db.sort("k", { BY: given.text, LIMIT: given.limit }));
  is<string | null>()(db.xadd("k", { MAXLEN: given.n, NOMKSTREAM: true }, "*", { a: 1 }));
  texts(db.geosearch("k", { FROMMEMBER: given.text, BYBOX: undefined, COUNT: given.n }));
  db.zunionstore("d", 1, "k", { WEIGHTS: undefined, AGGREGATE: undefined });
  const none = undefined;
  db.subscribe("c", () => 0, { buffer: none, overflow: none, onState: none });
  db.transaction(["k"], () => 0, { attempts: none });
  script("return 1", { keys: none, readonly: none });
  db.pipeline().get("k").execPipeline({ errors: none });
  db.call({ name: "GET", keys: none, read: none, values: none }, "k");
  db.consume("s", { group: "g", consumer: "me", count: none, block: none, create: none, signal: none });
  db.disconnect({ timeout: none });

  // Bitmaps and HyperLogLogs
  is<(number | null)[]>()(db.bitfield("k", { GET: ["u8", 0] }, { INCRBY: ["i5", "#1", 1] }));
  count(db.bitop("AND", "dst", "a", "b"));
  count(db.pfcount("a", "b"));

  // Geo
  const circle = { FROMLONLAT: [15, 37], BYRADIUS: [200, "km"] } as const;
  count(db.geoadd("k", [13.4, 38.1, "a"], [15.1, 37.5, "b"]));
  count(db.geoadd("k", { CH: true }, [13.4, 38.1, "a"]));
  is<(Coordinates | null)[]>()(db.geopos("k", "a"));
  texts(db.geosearch("k", circle));
  is<[string, number][]>()(db.geosearch("k", { ...circle, WITHDIST: true }));
  is<[string, number][]>()(db.geosearch("k", { ...circle, WITHHASH: true }));
  is<[string, Coordinates][]>()(db.geosearch("k", { ...circle, WITHCOORD: true }));
  is<[string, number, number][]>()(db.geosearch("k", { ...circle, WITHDIST: true, WITHHASH: true }));
  is<[string, number, Coordinates][]>()(db.geosearch("k", { ...circle, WITHDIST: true, WITHCOORD: true }));
  is<[string, number, Coordinates][]>()(db.geosearch("k", { ...circle, WITHHASH: true, WITHCOORD: true }));
  is<[string, number, number, Coordinates][]>()(
    db.geosearch("k", { ...circle, WITHDIST: true, WITHHASH: true, WITHCOORD: true }));
  // The rest of this family shares geosearch's overloads, around a point or a member.
  texts(db.georadius("k", 15, 37, 200, "km"));
  texts(db.georadius("k", 15, 37, 200, "km", { COUNT: 1, ANY: true }));
  is<[string, number][]>()(db.georadius("k", 15, 37, 200, "km", { WITHDIST: true }));
  count(db.georadius("k", 15, 37, 200, "km", { STORE: "dst" }));
  is<[string, Coordinates][]>()(db.georadius_ro("k", 15, 37, 200, "km", { WITHCOORD: true }));
  texts(db.georadiusbymember("k", "a", 200, "km"));
  is<[string, number][]>()(db.georadiusbymember("k", "a", 200, "km", { WITHHASH: true }));
  count(db.georadiusbymember("k", "a", 200, "km", { STOREDIST: "dst", ASC: true }));
  texts(db.georadiusbymember_ro("k", "a", 200, "km", { DESC: true }));

  // Hashes
  count(db.hset("k", { a: 1 }));
  count(db.hset("k", "a", 1, "b", 2));
  count(db.hset("k", new Map([["a", 1]]), [["b", 2], ["c", 3]]));
  is<Fields>()(db.hgetall("k"));
  bulk(db.hrandfield("k"));
  texts(db.hrandfield("k", 2));
  is<[string, string][]>()(db.hrandfield("k", 2, { WITHVALUES: true }));
  is<[string, Fields]>()(db.hscan("k", 0));
  is<[string, Fields]>()(db.hscan("k", 0, { COUNT: 10, NOVALUES: false }));
  is<[string, string[]]>()(db.hscan("k", 0, { COUNT: 10, NOVALUES: true }));
  counts(db.hexpire("k", 10, { FIELDS: [2, "a", "b"] }));

  // Arrays
  counts(db.argrep("k", "-", "+", { GLOB: "a*" }, { GLOB: "b*", NOCASE: true }));
  is<[number, string][]>()(db.argrep("k", "-", "+", { GLOB: "a*" }, { GLOB: "b*", WITHVALUES: true }));
  maybe(db.arop("k", 0, 9, { SUM: true }));
  maybe(db.arop("k", 0, 9, { XOR: true }));
  count(db.arop("k", 0, 9, { MATCH: "a" }));

  // Lists
  bulk(db.lpop("k"));
  is<string[] | null>()(db.lpop("k", 2));
  bulk(db.rpop("k"));
  is<string[] | null>()(db.rpop("k", 2));
  is<[string, string[]] | null>()(db.lmpop(2, "a", ["b"], "LEFT"));
  is<[string, string[]] | null>()(db.lmpop(keys.length, ...keys, "RIGHT", { COUNT: 2 }));
  is<[string, string[]] | null>()(db.blmpop(0.5, 1, "a", "LEFT", { COUNT: 2 }));
  is<[string, string] | null>()(db.blpop("a", ["b"], 0.5));
  is<[string, string] | null>()(db.brpop(...keys, 0));
  maybe(db.lpos("k", "a"));
  maybe(db.lpos("k", "a", { RANK: -1 }));
  counts(db.lpos("k", "a", { RANK: -1, COUNT: 0 }));
  texts(db.lmovem("a", "b", "LEFT", "RIGHT"));
  texts(db.lmovem("a", "b", "LEFT", "RIGHT", { COUNT: 2, OBO: true }));
  is<string[] | null>()(db.lmovem("a", "b", "LEFT", "RIGHT", { EXACTLY: 2, BULK: true }));
  is<string[] | null>()(db.blmovem("a", "b", "LEFT", "RIGHT", 0.5, { COUNT: 2 }));

  // Sets
  count(db.sadd("k", "a", ["b", 1], new Set(["c"])));
  bulk(db.spop("k"));
  texts(db.spop("k", 2));
  bulk(db.srandmember("k"));
  texts(db.srandmember("k", -3));
  count(db.sintercard(2, "a", "b"));
  count(db.sintercard(keys.length, keys, { LIMIT: 5 }));
  count(db.sunioncard(2, ["a", "b"], { APPROX: true }));
  count(db.sdiffcard(2, "a", "b", { LIMIT: 5 }));

  // Sorted sets
  count(db.zadd("k", [1, "a"], ["-inf", "b"]));
  count(db.zadd("k", [[1, "a"], [2, "b"]]));
  count(db.zadd("k", { GT: true, CH: true }, [1, "a"]));
  maybe(db.zadd("k", { INCR: true, NX: true }, [1, "a"]));
  maybe(db.zscore("k", "a"));
  maybe(db.zrank("k", "a"));
  maybe(db.zrank("k", "a", { WITHSCORE: false }));
  is<[number, number] | null>()(db.zrank("k", "a", { WITHSCORE: true }));
  maybe(db.zrevrank("k", "a"));
  is<[number, number] | null>()(db.zrevrank("k", "a", { WITHSCORE: true }));
  texts(db.zrange("k", 0, -1));
  texts(db.zrange("k", "(1", "+inf", { BYSCORE: true, LIMIT: [0, 10], WITHSCORES: false }));
  scored(db.zrange("k", 0, -1, { WITHSCORES: true }));
  scored(db.zrange("k", 0, -1, { ...anyFlag, REV: true }));
  texts(db.zrangebyscore("k", 0, 1, { LIMIT: [0, 10] }));
  scored(db.zrangebyscore("k", 0, 1, { LIMIT: [0, 10], WITHSCORES: true }));
  texts(db.zrevrange("k", 0, -1));
  scored(db.zrevrange("k", 0, -1, { WITHSCORES: true }));
  texts(db.zrevrangebyscore("k", 1, 0));
  scored(db.zrevrangebyscore("k", 1, 0, { WITHSCORES: true }));
  bulk(db.zrandmember("k"));
  texts(db.zrandmember("k", 2));
  scored(db.zrandmember("k", 2, { WITHSCORES: true }));
  is<[string, Scored[]]>()(db.zscan("k", 0));
  is<Scored | null>()(db.zpopmin("k"));
  scored(db.zpopmin("k", 2));
  is<Scored | null>()(db.zpopmax("k"));
  scored(db.zpopmax("k", 2));
  is<[string, Scored[]] | null>()(db.zmpop(2, "a", "b", "MIN"));
  is<[string, Scored[]] | null>()(db.bzmpop(0.5, 2, keys, "MAX", { COUNT: 2 }));
  is<[string, string, number] | null>()(db.bzpopmin("a", "b", 0.5));
  texts(db.zdiff(2, "a", "b"));
  texts(db.zdiff(2, ...keys, { WITHSCORES: false }));
  scored(db.zdiff(2, "a", "b", { WITHSCORES: true }));
  texts(db.zinter(2, keys, { WEIGHTS: [1, 2] }));
  scored(db.zinter(2, ...keys, { AGGREGATE: "MAX", WITHSCORES: true }));
  texts(db.zunion(2, "a", ["b"]));
  scored(db.zunion(2, "a", ["b"], { WITHSCORES: true }));
  count(db.zintercard(2, "a", "b", { LIMIT: 5 }));
  count(db.zunionstore("dst", 2, "a", "b"));
  count(db.zinterstore("dst", 2, keys, { WEIGHTS: [1, 2], AGGREGATE: "COUNT" }));

  // Streams
  const STREAMS = ["s", ">"] as const;
  text(db.xadd("s", "*", { a: 1 }));
  text(db.xadd("s", { MAXLEN: ["~", 1000], NOMKSTREAM: false }, "*", ["a", 1]));
  bulk(db.xadd("s", { MAXLEN: 1000, NOMKSTREAM: true }, "*", { a: 1 }));
  is<Entry[]>()(db.xrange("s", "-", "+", { COUNT: 10 }));
  is<Record<string, Entry[]> | null>()(db.xread({ BLOCK: 0, STREAMS: [["a", "b"], ["$", 0]] }));
  is<Record<string, PendingEntry[]> | null>()(db.xreadgroup({ GROUP: ["g", "c"], STREAMS }));
  is<Record<string, PendingEntry[]> | null>()(db.xreadgroup({ GROUP: ["g", "c"], COUNT: 1, STREAMS: ["s", "0"] }));
  is<Record<string, ClaimedEntry[]> | null>()(db.xreadgroup({ GROUP: ["g", "c"], CLAIM: 100, STREAMS }));
  is<(-1 | 1 | 2)[]>()(db.xdelex("s", { ACKED: true, IDS: [1, "1-0"] }));
  is<XpendingSummary>()(db.xpending("s", "g"));
  is<XpendingEntry[]>()(db.xpending("s", "g", "-", "+", 10, "c"));
  is<XpendingEntry[]>()(db.xpending("s", "g", { IDLE: 100 }, "-", "+", 10));
  is<Entry[]>()(db.xclaim("s", "g", "c", 100, "1-0", ["2-0"]));
  is<Entry[]>()(db.xclaim("s", "g", "c", 100, keys, { FORCE: true }));
  texts(db.xclaim("s", "g", "c", 100, "1-0", ["2-0"], { JUSTID: true }));
  is<[string, Entry[], string[]]>()(db.xautoclaim("s", "g", "c", 100, "0-0", { COUNT: 10 }));
  is<[string, string[], string[]]>()(db.xautoclaim("s", "g", "c", 100, "0-0", { JUSTID: true }));
  ok(db.xsetid("s", "5-0", { ENTRIESADDED: 7, MAXDELETEDID: "3-0" }));
  is<XinfoStream>()(db.xinfoStream("s"));
  is<XinfoStreamFull>()(db.xinfoStream("s", { FULL: true, COUNT: 10 }));

  // Vector sets
  count(db.vadd("v", { VALUES: [2, 0.5, 1] }, "a", { Q8: true }));
  is<number[] | null>()(db.vemb("v", "a"));
  is<VembRaw | null>()(db.vemb("v", "a", { RAW: true }));
  bulk(db.vrandmember("v"));
  texts(db.vrandmember("v", 2));
  texts(db.vsim("v", { ELE: "a" }));
  texts(db.vsim("v", { FP32: new Float32Array(2) }, { COUNT: 10, WITHSCORES: false }));
  scored(db.vsim("v", { ELE: "a" }, { WITHSCORES: true }));
  is<[string, Bulk][]>()(db.vsim("v", { ELE: "a" }, { WITHATTRIBS: true }));
  is<[string, number, Bulk][]>()(db.vsim("v", { ELE: "a" }, { WITHSCORES: true, WITHATTRIBS: true }));
  is<string[][] | null>()(db.vlinks("v", "a"));
  is<Scored[][] | null>()(db.vlinks("v", "a", { WITHSCORES: true }));

  // Scripting, connection, server, cluster
  is<unknown>()(db.eval("return 1", 1, "k", "a"));
  is<FunctionLibrary[]>()(db.functionList({ LIBRARYNAME: "lib*" }));
  is<(FunctionLibrary & { library_code: string })[]>()(db.functionList({ WITHCODE: true }));
  is<Buffer>()(db.functionDump());
  text(db.functionLoad("#!lua name=lib"));
  text(db.functionLoad({ REPLACE: true }, "#!lua name=lib"));
  ok(db.clientKill("127.0.0.1:1234"));
  count(db.clientKill({ TYPE: "NORMAL", "NOT-ID": [1, 2] }));
  is<"PONG">()(db.ping());
  text(db.ping("hello"));
  ok(db.aclLog("RESET"));
  is<Facts[]>()(db.aclLog());
  is<Facts[]>()(db.aclLog(5));
  is<Fields>()(db.configGet("maxmemory*"));
  is<(CommandInfo | null)[]>()(db.commandInfo("get"));
  text(db.clusterMigration("IMPORT", 0, 100));
  count(db.clusterMigration("CANCEL", { ALL: true }));
  is<Facts[]>()(db.clusterMigration("STATUS"));
  is<Facts[]>()(db.clusterMigration("STATUS", { ID: "id" }));
}

export function views(db: Handler): void {
  const raw = db.with({ charset: null });
  is<Buffer | null>()(raw.get("k"));
  is<"OK" | null>()(raw.set("k", "v"));
  is<Buffer | null>()(raw.set("k", "v", { GET: true }));
  is<number>()(raw.incr("k"));
  is<number>()(raw.incrbyfloat("k", 1));
  is<[Buffer, Buffer][]>()(raw.hgetall("k"));
  is<[Buffer, number][]>()(raw.zrange("k", 0, -1, { WITHSCORES: true }));
  is<Buffer[]>()(raw.zrange("k", 0, -1));
  is<[Buffer, [Buffer, Buffer][]][]>()(raw.xrange("s", "-", "+"));
  is<[Buffer, [Buffer, [Buffer, Buffer][]][]][] | null>()(raw.xread({ STREAMS: ["s", 0] }));
  is<Buffer | null>()(raw.dump("k"));
  is<"PONG">()(raw.ping());
  is<Line | undefined>()(raw.commandInfo("get").then(([get]) => get?.[2][0])); // a simple string is never a Buffer

  const numbers = db.with({ convertNumbers: true });
  is<string | number | bigint | null>()(numbers.get("k"));
  is<Record<string, string | number | bigint>>()(numbers.hgetall("k"));
  is<Buffer | null>()(numbers.dump("k"));
  is<"OK" | null>()(numbers.set("k", 1));
  is<Buffer | null>()(numbers.with({ charset: null }).get("k"));

  is<Bulk>()(raw.with({ charset: "latin1" }).get("k"));

  const paired = db.with({ maps: "pairs" });
  is<Bulk>()(paired.get("k"));
  is<[string, string][]>()(paired.hgetall("k"));
  is<[string, [string, string][]][]>()(paired.xrange("s", "-", "+"));
  is<[string, [string, [string, string][]][]][] | null>()(paired.xread({ STREAMS: ["s", 0] }));
  is<Record<string, string>>()(paired.with({ maps: "objects" }).hgetall("k"));
  is<[string, string][]>()(paired.with({ replyTimeout: 50 }).hgetall("k"));
  is<[Buffer, Buffer][]>()(paired.with({ charset: null }).hgetall("k"));
  type Text = string | number | bigint;
  is<[Text, Text][]>()(paired.with({ convertNumbers: true }).hgetall("k"));
  is<[Text, Text][]>()(numbers.with({ maps: "pairs" }).hgetall("k"));
  is<[[string, string][], string | null]>()(paired.pipeline().hgetall("k").get("k").execPipeline());
  is<IteratorResult<string, void>>()(paired.scanIterator().next());
  const how = { group: "g", consumer: "c", maxDeliveries: 3, deadLetter: "dead" };
  is<IteratorResult<[string, Fields, number], void>>()(db.consume("s", how).next());
  is<IteratorResult<[Buffer, [Buffer, Buffer][], number], void>>()(raw.consume("s", how).next());
  is<IteratorResult<[string, [string, string][], number], void>>()(paired.consume("s", how).next());
  raw.consume("s", { ...how, deadLetter: ([id, fields, deliveries]) => [id.length, fields[0]?.[1].length, deliveries * 2] });
  is<Handler<InPairs<string>>>()(connection({ maps: "pairs" }));
  is<ShardedHandler<InPairs<Buffer>>>()(shardedConnectionPool(["a:1"], { maps: "pairs", charset: null }));
  is<Buffer | null>()(raw.with({ replyTimeout: 50, signal: AbortSignal.timeout(50) }).get("k"));

  is<unknown>()(db.call("JSON.GET", "k"));
  is<string[]>()(raw.call<string[]>({ name: "FT.LIST", read: true }, "k"));
}

export function factories(): void {
  is<Handler>()(connection("redis://localhost"));
  is<Handler<Buffer>>()(connection({ charset: null }));
  is<Handler<string | number | bigint>>()(unixConnection("/tmp/redis.sock", { convertNumbers: true }));
  is<Handler>()(lazyConnection().ready());
  is<Handler<Buffer>>()(lazyConnection({ charset: null, port: 6380 }).ready());
  is<Handler<Buffer>>()(lazyUnixConnection("/tmp/redis.sock", { charset: null }).ready());
  lazyConnection({ allowNode: (host, port) => host.startsWith("10.") && port < 7_000 });
  // @ts-expect-error
  lazyConnection({ allowNode: async () => true });
  // @ts-expect-error
  lazyConnection({ hots: "localhost" });
  // @ts-expect-error
  lazyConnection({ port: "6379" });
  // @ts-expect-error
  lazyUnixConnection({ path: "/tmp/redis.sock" });
  // @ts-expect-error
  lazyConnection().with({ poolsize: 2 });
}

interface User { readonly name: string; born?: number; data?: Uint8Array | undefined }
interface Account extends User { id: bigint }
interface Page { title: string; tags: string[] }
interface Dated { at: Date }

/** What names and values may be in: objects of types and of interfaces, and arrays. */
export function named(db: Handler, t: Transaction, user: User, account: Account, page: Page, dated: Dated): void {
  const count = is<number>(), ok = is<"OK">();
  const loose: Record<string, string | number> = {};
  for (const fields of [user, account, loose, { ...user, more: 1 }, ["a", 1], [["a", 1]]] as const) count(db.hset("k", fields));
  count(db.hset("k", user));
  count(db.hset("k", account));
  count(db.hset("k", { bind: "::1", name: "Ada", length: 3 }));
  count(db.hset("k", user, account, { more: 1 }, "field", "value", ["other", 1n]));
  count(db.hset("k", { ...page, tags: page.tags.join() }));
  ok(db.hmset("k", account));
  ok(db.mset(user));
  ok(db.mset({ a: 1 }, user, loose));
  count(db.msetnx(account));
  count(db.msetex(1, user, { EX: 10 }));
  count(db.armset("k", { 1: "a" }, loose));
  is<string>()(db.xadd("s", "*", user));
  is<Bulk>()(db.xadd("s", { NOMKSTREAM: true }, "*", account));
  is<"QUEUED">()(t.hset("k", user));
  is<[number, string]>()(db.pipeline().hset("k", user).xadd("s", "*", account).execPipeline());
  // @ts-expect-error
  db.hset("k", page);
  // @ts-expect-error
  db.xadd("s", "*", dated);
  // @ts-expect-error
  db.mset(page);
  // @ts-expect-error
  db.hset("k", new Date());
  // @ts-expect-error
  db.hset("k", new Map([["a", null]]));
  // @ts-expect-error
  db.hset("k", { a: 1, b: true });
  // @ts-expect-error
  db.hset("k", ["a", undefined]);
  // @ts-expect-error
  db.hset("k", undefined);
  // @ts-expect-error
  db.pipeline().hset("k", dated);
  // @ts-expect-error
  t.mset(page);
  // @ts-expect-error
  db.hset("k", "f", true);
  // @ts-expect-error
  db.hset("k", "f", user.name === "Ada");
  // @ts-expect-error
  db.mset("a", true);
  // @ts-expect-error
  db.msetnx("a", false);
  // @ts-expect-error
  db.xadd("q", "*", page.tags.length > 1);
  // @ts-expect-error
  db.hset("k", Symbol("f"));
  // @ts-expect-error
  db.hset("k", () => 1);
  // @ts-expect-error
  db.hset("k", Date);
  // @ts-expect-error
  db.armset("k", null);
  // @ts-expect-error
  db.hmset("k", "f", user.born === 1815 ? "yes" : true);
  // @ts-expect-error
  db.pipeline().mset("a", true);
  // @ts-expect-error
  t.hset("k", "f", true);
}

/** Of commands that are sent together, each may have failed. */
export function together(db: Handler, raw: Handler<Buffer>, how: PipelineOptions): void {
  type Failed = [Bulk | RedisError, number | RedisError];
  const p = db.pipeline().get("a").incr("n");
  is<[Bulk, number]>()(p.execPipeline());
  is<[Bulk, number]>()(p.execPipeline({ errors: "reject" }));
  is<Failed>()(p.execPipeline({ errors: "return" }));
  is<Failed>()(p.execPipeline(how));
  is<[Bulk | ReplyError, number | ReplyError]>()(p.commit());
  is<[Buffer | null | ReplyError]>()(raw.pipeline().get("a").commit());
  is<unknown[]>()(db.pipeline().commit());
  is<unknown[]>()(db.pipeline().execPipeline({ errors: "return" }));
}

/** Over shards: most commands as ever, what every node is asked by the node's name, the rest not there. */
export function shards(db: ShardedHandler, raw: ShardedHandler<Buffer>): void {
  is<Bulk>()(db.get("k"));
  is<Bulk[]>()(db.mget("a", ["b"]));
  is<Buffer[]>()(raw.sinter("a", "b"));
  is<number>()(db.dbsize());
  is<number>()(db.publish("channel", "message"));
  is<Record<string, string>>()(db.info("server"));
  is<Record<string, Buffer>>()(raw.info());
  is<Record<string, "PONG">>()(db.ping());
  is<[string | null, number]>()(db.pipeline().get("a").incr("n").execPipeline());
  is<(string | number | bigint | null)[]>()(db.with({ convertNumbers: true }).mget("a"));
  is<unknown[]>()(db.shard("k").transaction(["k"], () => {}));
  is<unknown[]>()(db.transaction([], (t) => is<Transaction>()(t.multi("k", ["l"]))));
  db.transaction([], async (t) => is<"QUEUED">()((await t.multi()).unwatch()));
  // @ts-expect-error
  db.multi("k").set("k", 1);
  // @ts-expect-error
  db.watch("k").get("k");
  // @ts-expect-error
  db.transaction(["k"], (t) => t.multi().set("k", 1));
  is<ShardedHandler>()(shardedConnectionPool(["a:1", "b:2"]));
  is<Buffer | null>()(lazyShardedConnection(["a:1", { host: "b", weight: 2 }], { charset: null }).get("k"));

  // @ts-expect-error
  db.scan(0);
  // @ts-expect-error
  db.multi();
  // @ts-expect-error
  db.clientId();
  // @ts-expect-error
  lazyShardedConnection(["a:1"], { placement: "ketama" });
  is<Bulk>()(lazyConnection({ sentinels: ["a:1", { host: "b", password: "p" }], master: "m" }).get("k"));
  is<Bulk>()(lazyShardedConnection([{ master: "m" }], { sentinels: ["a:1"] }).get("k"));
  is<Bulk>()(lazyConnection({ sentinels: async function* () { yield ["a:1"]; }, master: "m" }).get("k"));
  is<Bulk>()(sentinel(async function* () { yield ["a:1"]; }).masterFor("m").get("k"));
  is<Bulk>()(sentinel(["a:1"]).masterFor("m", { dbid: 1 }).get("k"));
  is<Buffer | null>()(sentinel(["a:1"], { charset: null }).replicaFor("m").get("k"));
  is<{ host: string; port: number }[]>()(sentinel(["a:1"]).discoverReplicas("m"));
  lazyConnection({ addressMap: (address) => (address === "a:1" ? "b:2" : undefined) });
  // @ts-expect-error
  sentinel(["a:1"]).masterFor("m", { charset: null });
  // @ts-expect-error
  lazyConnection({ sentinels: "a:1", master: "m" });
}


/** A lease has all commands that are not the driver's own, and gives what its body gives. */
export function cluster(db: ClusterHandler, raw: ClusterHandler<Buffer>): void {
  is<Bulk[]>()(db.mget("a", ["b"]));
  is<Buffer | null>()(raw.get("k"));
  is<Record<string, "PONG">>()(db.ping());
  is<ClusterNodeInfo[]>()(db.nodes());
  is<unknown[]>()(db.transaction(["k"], (t) => is<Transaction>()(t.multi())));
  is<Bulk>()(db.lease("k", (c) => c.get("k")));
  is<Buffer | null>()(db.with({ charset: null }).get("k"));
  is<ClusterHandler>()(clusterConnection(["a:1", { host: "b" }]));
  is<Buffer | null>()(lazyClusterConnectionPool(["a:1"], { charset: null }).get("k"));

  // @ts-expect-error
  db.scan(0);
  // @ts-expect-error
  db.multi();
  // @ts-expect-error
  db.wait(1, 0);
  // @ts-expect-error
  db.setHosts(["a:1"]);
  // @ts-expect-error
  clusterConnection("a:1");
}

export function leases(db: Handler, raw: Handler<Buffer>, sharded: ShardedHandler): void {
  const ok = is<"OK">();
  is<number>()(db.lease(() => 5));
  is<Bulk>()(db.lease(async (c) => c.get("k")));
  is<Buffer | null>()(raw.lease((c) => c.get("k")));
  is<Bulk>()(sharded.lease("k", (c) => c.get("k")));
  is<"PONG">()(sharded.lease(["j", "k"], (c) => c.ping()));
  is<void>()(db.lease(async (c) => {
    ok(c.select(1));
    ok(c.himportPrepare("list", "a", ["b"]));
    ok(c.himportSet("k", "list", 1, ["2"]));
    ok(c.auth("name", "password"));
    ok(c.clientNoEvict("ON"));
    is<"RESET">()(c.reset());
    is<Buffer | null>()(c.with({ charset: null }).get("k"));
    is<[Bulk, number]>()(c.pipeline().get("a").incr("n").execPipeline());
    is<"QUEUED">()((await c.multi("k")).get("k"));
    is<Bulk>()((await c.watch("k")).get("k"));
    // @ts-expect-error
    c.subscribe("channel");
    // @ts-expect-error
    c.clientReply("OFF");
    // @ts-expect-error
    c.disconnect();
  }));
  // @ts-expect-error
  db.himportSet("k", "list", 1);
  // @ts-expect-error
  db.lease("k", () => 5);
  // @ts-expect-error
  sharded.lease(() => 5);
}

/** Ranges are by default all, scans begin at the beginning, and pops wait without limit. */
type Person = { name: string };
type Numeric = string | number | bigint;
/** Values are of the handler's text, or of the serializer. */
export function collections(
  db: Handler, raw: Handler<Buffer>, numeric: Handler<Numeric>, pairs: Handler<InPairs<string>>, shards: ShardedHandler,
  cluster: ClusterHandler<Buffer>, ada: Person, lines: Iterable<string>,
): void {
  const count = is<number>(), flag = is<boolean>(), nothing = is<void>(), text = is<string | undefined>(), bytes = is<Buffer | undefined>();
  const list = new RedisList(db, "k");
  text(list.at(0));
  text(new RedisList(shards, Buffer.from("k"), { pageSize: 10 }).pop());
  text(new RedisList(pairs, "k").shift());
  text(new RedisList(db, "k", { serializer: plain }).pop());
  bytes(new RedisList(raw, "k").pop());
  bytes(new RedisSet(cluster, "k").pop());
  is<Numeric | undefined>()(new RedisList(numeric, "k").pop());
  is<string[]>()(list.slice(1));
  count(list.append("a", "b"));
  count(list.extend(lines));
  nothing(list.set(0, "a"));
  nothing(list.trim(0, 1));
  // @ts-expect-error: values are text, not numbers
  list.append(1);
  // @ts-expect-error: undefined is not a value
  list.append(undefined);
  // @ts-expect-error: a string would be taken as an iterable of characters
  list.extend(5);
  // @ts-expect-error: with charset null, values are Buffers
  new RedisList(raw, "k").append("a");

  const people = new RedisDict<Person>(db, "k", { serializer: json });
  is<Person | undefined>()(people.get("a"));
  is<Person | null>()(people.get("a", null));
  is<[string, Person][]>()(people.entries());
  is<(Person | undefined)[]>()(people.getMany(["a"]));
  is<Person>()(people.setDefault("a", ada));
  nothing(people.update({ a: ada }));
  nothing(people.update(new Map([["a", ada]])));
  flag(people.set("a", ada));
  const typed: AsyncIterable<[string, Person]> = people;
  is<[Buffer, Buffer][]>()(new RedisDict(raw, "k").entries());
  is<[Buffer, Person][]>()(new RedisDict<Person, Buffer>(raw, "k", { serializer: json }).entries());
  is<Person | undefined>()(new RedisDict<Person>(numeric, "k", { serializer: json }).get("a"));
  // @ts-expect-error: another shape
  people.set("a", { nome: "Ada" });
  // @ts-expect-error: the serializer is missing
  new RedisDict<Person>(db, "k");
  // @ts-expect-error: field names are Buffers
  new RedisDict<Person>(raw, "k", { serializer: json });
  // @ts-expect-error: there is no such option
  new RedisDict(db, "k", { maxSize: 1 });

  const dates = { encode: (date: Date) => date.getTime(), decode: (stored: string) => new Date(stored) };
  is<Date | undefined>()(new RedisQueue(db, "k", { serializer: dates, maxSize: 5 }).get({ timeout: 5 }));
  is<Date | undefined>()(new RedisLifoQueue(numeric, "k", { serializer: dates }).get({ timeout: undefined, signal: undefined }));
  count(new RedisQueue(db, "k", { maxSize: undefined }).put("a"));
  // @ts-expect-error: it decodes text, and the handler gives bytes
  new RedisSet(raw, "k", { serializer: dates });
  // @ts-expect-error: decode is missing
  new RedisSet(db, "k", { serializer: { encode: String } });

  const set = new RedisSet<Person>(db, "k", { serializer: json });
  is<Set<Person>>()(set.union(set, [ada], new Set([ada])));
  nothing(set.differenceUpdate(set));
  // @ts-expect-error: values of another type
  set.union(["a"]);

  const ranks = new RedisSortedSet(db, "k");
  is<[member: string, score: number][]>()(ranks.rangeByScore("(1", Infinity, { withScores: true }));
  is<string[]>()(ranks.rangeByScore(1, 2, { offset: 1, count: 2 }));
  is<number | undefined>()(ranks.score("a"));
  is<[member: string, score: number][]>()(ranks.entries(0, 2, { reverse: true }));
  // @ts-expect-error: a bound is a number
  ranks.count("low");

  count(new RedisCounter(cluster, "k").add(1n));

  is<string | undefined>()(db.remember("k", { ttl: 1 }, () => 5));
  is<Buffer | undefined>()(raw.remember("k", { ttl: 1, stale: 5, serializer: plain }, async () => null));
  is<string | number | bigint | undefined>()(numeric.remember("k", { ttl: 1 }, () => undefined));
  is<Person | undefined>()(cluster.remember("k", { ttl: 1, serializer: json }, async () => ada));
  is<Person | undefined>()(shards.remember<Person>("k", { ttl: 1, serializer: json }, () => null));
  is<Date | undefined>()(numeric.remember("k", { ttl: 1, serializer: dates }, () => new Date()));
  nothing(db.forget("k"));
  // @ts-expect-error: without a serializer, it must be text, a number or bytes
  db.remember("k", { ttl: 1 }, () => ada);
  // @ts-expect-error: not what the serializer encodes
  db.remember("k", { ttl: 1, serializer: dates }, () => "a");
  // @ts-expect-error: it decodes text, and the handler gives bytes
  raw.remember("k", { ttl: 1, serializer: dates }, () => new Date());
  // @ts-expect-error: ttl is missing
  db.remember("k", {}, () => "a");
  const key: string = keyOf("a")("b", 1, 2n);
  // @ts-expect-error: it cannot be part of a key
  keyOf("a")(undefined);
  class People extends Model<Person> {
    find(id: number) { return this.db.get(this.key(id)); }
  }
  is<Person | undefined>()(new People(shards, "person").find(7));
  flag(new Model<Person>(raw, "person").db.set(key, ada, { EX: 5, NX: true }));
  is<Date | undefined>()(new Model(db, "date", { serializer: dates }).db.pop("a"));
  // @ts-expect-error: another shape
  new Model<Person>(db).db.set("a", "b");
  void typed;
}

export function leftOut(db: Handler, flag: boolean): void {
  const texts = is<string[]>(), scored = is<Scored[]>(), count = is<number>(), entries = is<Entry[]>();
  texts(db.keys());
  is<[string, string[]]>()(db.scan());
  is<[string, string[]]>()(db.scan({ MATCH: "a*" }));
  is<[string, string[]]>()(db.sscan("k"));
  is<[string, Fields]>()(db.hscan("k", { MATCH: "a*" }));
  is<[string, string[]]>()(db.hscan("k", { NOVALUES: true }));
  is<[string, Scored[]]>()(db.zscan("k"));
  is<string>()(db.getrange("k", 2));
  texts(db.lrange("k"));
  texts(db.lrange("k", 1));
  texts(db.zrange("k"));
  texts(db.zrange("k", 1));
  texts(db.zrange("k", { BYSCORE: true, REV: true }));
  scored(db.zrange("k", { WITHSCORES: true }));
  scored(db.zrangebyscore("k", 5, { WITHSCORES: true }));
  is<Scored[] | string[]>()(db.zrevrange("k", { WITHSCORES: flag }));
  texts(db.zrevrangebyscore("k", { LIMIT: [0, 1] }));
  texts(db.zrangebylex("k"));
  count(db.zcount("k"));
  count(db.zcount("k", 5));
  entries(db.xrange("s"));
  entries(db.xrevrange("s", { COUNT: 1 }));
  is<[string, string] | null>()(db.blpop("k"));
  is<[string, string] | null>()(db.brpop(["j", "k"]));
  is<[string, string, number] | null>()(db.bzpopmin("k"));
  is<Bulk>()(db.brpoplpush("a", "b"));
  is<[string[], Scored[]]>()(db.pipeline().lrange("k").zrange("k", { WITHSCORES: true }).execPipeline());
}

/** Words of the manual compile in lower case, too. */
export function tokens(db: Handler): void {
  const count = is<number>();
  count(db.bitop("not", "dst", "a"));
  count(db.linsert("k", "before", "a", "b"));
  is<Bulk>()(db.lmove("a", "b", "left", "RIGHT"));
  is<[string, string[]] | null>()(db.lmpop(1, "k", "left"));
  is<[string, Scored[]] | null>()(db.zmpop(1, "k", "min"));
  is<[string, Scored[]] | null>()(db.bzmpop(0.5, 1, "k", "max"));
  count(db.zunionstore("dst", 2, "a", "b", { AGGREGATE: "max" }));
  is<(number | null)[]>()(db.bitfield("k", { OVERFLOW: "sat", INCRBY: ["u8", 0, 1] }));
  is<number | null>()(db.geodist("k", "a", "b", "KM"));
  is<number | null>()(db.geodist("k", "a", "b", "km"));
  count(db.clientKill({ TYPE: "normal", SKIPME: "yes" }));
  is<"OK">()(db.aclLog("reset"));
  is<string[]>()(db.commandList({ FILTERBY: ["aclcat", "read"] }));
  is<"OK" | `OK ${string}`>()(db.replicaof("no", "one"));
  is<Facts[]>()(db.clusterMigration("status"));
}

/** An option that may be set or not gives the union of both replies. */
export function unknowns(db: Handler, raw: Handler<Buffer>, flag: boolean, options: SetOptions): void {
  const maybeScored = is<Scored[] | string[]>(), entries = is<Entry[] | string[]>();
  is<Bulk>()(db.set("k", "v", { GET: flag }));
  is<Bulk>()(db.set("k", "v", options));
  is<Buffer | "OK" | null>()(raw.set("k", "v", { GET: flag }));
  maybeScored(db.zrange("k", 0, -1, { WITHSCORES: flag }));
  maybeScored(db.zrange("k", 0, -1, { WITHSCORES: Math.random() < 0.5, REV: true }));
  maybeScored(db.zrevrangebyscore("k", 1, 0, { WITHSCORES: flag }));
  maybeScored(db.zrandmember("k", 2, { WITHSCORES: flag }));
  maybeScored(db.zunion(2, "a", "b", { WITHSCORES: flag }));
  is<number | [number, number] | null>()(db.zrank("k", "a", { WITHSCORE: flag }));
  is<number | null>()(db.zadd("k", { INCR: flag }, [1, "a"]));
  is<Bulk>()(db.xadd("s", { NOMKSTREAM: flag }, "*", { a: 1 }));
  is<[string, string][] | string[]>()(db.hrandfield("k", 2, { WITHVALUES: flag }));
  is<[string, string[]] | [string, Fields]>()(db.hscan("k", 0, { NOVALUES: flag }));
  is<number[] | [number, string][]>()(db.argrep("k", "-", "+", { GLOB: "a*" }, { GLOB: "b*", WITHVALUES: flag }));
  is<{ matches: LcsMatch[]; len: number } | number | string>()(db.lcs("a", "b", { LEN: flag }));
  entries(db.xclaim("s", "g", "c", 100, "1-0", { JUSTID: flag }));
  is<[string, string[], string[]] | [string, Entry[], string[]]>()(
    db.xautoclaim("s", "g", "c", 100, "0-0", { JUSTID: flag }));
  is<XinfoStream | XinfoStreamFull>()(db.xinfoStream("s", { FULL: flag }));
  is<VembRaw | number[] | null>()(db.vemb("v", "a", { RAW: flag }));
  is<string[] | [string, number][] | [string, Bulk][] | [string, number, Bulk][]>()(
    db.vsim("v", { ELE: "a" }, { WITHSCORES: flag }));
  is<string[] | [string, number][] | [string, Coordinates][] | [string, number, Coordinates][]
    | [string, number, number][] | [string, number, number, Coordinates][]>()(
    db.geosearch("k", { FROMMEMBER: "a", BYRADIUS: [1, "km"], WITHDIST: flag, WITHCOORD: flag }));
  is<(FunctionLibrary & { library_code: string })[] | FunctionLibrary[]>()(db.functionList({ WITHCODE: flag }));
  is<[Scored[] | string[]]>()(db.pipeline().zrange("k", 0, -1, { WITHSCORES: flag }).execPipeline());

  // XREADGROUP ignores CLAIM unless the id is ">".
  const STREAMS = ["s", "0"] as const;
  is<Record<string, (PendingEntry | ClaimedEntry)[]> | null>()(db.xreadgroup({ GROUP: ["g", "c"], CLAIM: 100, STREAMS }));
  const group = { GROUP: ["g", "c"], STREAMS: ["s", ">"] } as const;
  is<Record<string, (PendingEntry | ClaimedEntry)[]> | null>()(db.xreadgroup(flag ? { ...group, CLAIM: 100 } : group));
}

export function mistakes(db: Handler, raw: Handler<Buffer>): void {
  // Arguments are text, numbers or bytes.
  // @ts-expect-error
  db.get(null);
  // @ts-expect-error
  db.get(1);
  // @ts-expect-error
  db.set("k", undefined);
  // @ts-expect-error
  db.set("k", true);
  // @ts-expect-error
  db.set("k", new Date());
  // @ts-expect-error
  db.set("k", { a: 1 });
  // @ts-expect-error
  db.hset("k", { a: null });
  // @ts-expect-error
  db.sadd("k", ["a", [true]]);
  // @ts-expect-error
  db.zadd("k", [1, ["a", 2, "b"]]);
  // @ts-expect-error
  db.hset("k", new Set(["a", "b"]));
  // @ts-expect-error
  db.hset("k", new Map([["a", ["b"]]]));
  // @ts-expect-error
  script("return 1", { keys: 1 })(db, ["k"]);

  // Options are the manual's, in its spelling, with what it wants.
  // @ts-expect-error
  db.set("k", "v", { EXX: 10 });
  // @ts-expect-error
  db.set("k", "v", { ex: 10 });
  // @ts-expect-error
  db.set("k", "v", { EX: "10" });
  // @ts-expect-error
  db.zrange("k", 0, -1, { WITHSCORE: true });
  // @ts-expect-error
  db.zrange("k", 0, -1, { LIMIT: 10 });
  // @ts-expect-error
  db.sintercard(2, "a", "b", { LIMT: 5 });
  // @ts-expect-error
  db.sintercard(2, { LIMIT: 1 }, "a");
  // @ts-expect-error
  db.zunion(2, "a", { WITHSCORES: true }, "b");
  // @ts-expect-error
  db.zunionstore("dst", 2, { AGGREGATE: "MIN" }, "a", "b");
  // @ts-expect-error
  db.zdiffstore("dst", 2, "a", "b", { WITHSCORES: true });
  // @ts-expect-error
  db.xclaim("s", "g", "c", 100, { JUSTID: true });
  // @ts-expect-error
  db.sort("k", { LIMIT: [0, 2, "STORE", "victim"] });
  // @ts-expect-error
  db.set("k", "v", { IFEQ: false });
  // @ts-expect-error
  db.set("k", "v", { IFEQ: undefined });
  // @ts-expect-error
  db.lpos("k", "a", { COUNT: false });
  // @ts-expect-error
  db.clientTracking("ON", { BCAST: "yes" });
  // @ts-expect-error
  db.zunion(2, "a", "b", { WITHSCORES: 1 });
  // @ts-expect-error
  db.lmpop(1, "k", "Left");
  // @ts-expect-error
  db.bitop("nand", "dst", "a");

  // @ts-expect-error
  db.lpop("k", 1, 2);
  // @ts-expect-error
  db.blpop("k", "5");
  // @ts-expect-error
  db.zrange();
  // @ts-expect-error
  db.nosuchcommand();

  // What changes a connection is not for a shared one.
  // @ts-expect-error
  db.select(1);
  // @ts-expect-error
  db.unsubscribe("channel");
  // @ts-expect-error
  db.exec();
  // @ts-expect-error
  db.auth("password");

  // Seen from outside.
  is<NodeStats[]>()(Promise.resolve(db.stats()));
  is<string | null>()(db.with({ trace: true, traceKeys: true }).get("k"));
  lazyConnection({ traceAs: "ioredis", traceKeys: true, trace: false });
  // @ts-expect-error
  lazyConnection({ traceAs: "node-redis" });
  // @ts-expect-error
  db.with({ traceAs: "ioredis" });

  // One of several: a list, or a function that returns lists.
  lazyConnection({ anyOf: ["a:1", "redis://b?weight=3", { host: "c", weight: 0, priority: 1, password: "x" }] });
  lazyConnection({ anyOf: async function* (signal) { if (!signal.aborted) yield ["a:1", { host: "b", weight: 2 }]; } });
  shardedConnectionPool(async function* (signal) { if (!signal.aborted) yield ["a:1", { host: "b", weight: 2 }]; }, { charset: null });
  is<string | null>()(manager(["redis://a:1/cache"]).select("cache").get("k"));
  is<Buffer | null>()(manager(async function* () { yield ["redis://a:1/cache"]; }, { charset: null }).select("cache", 1).get("k"));
  // @ts-expect-error
  manager([{ host: "a" }]);
  // @ts-expect-error
  shardedConnectionPool(() => ["a:1"]);
  // @ts-expect-error
  lazyConnection({ anyOf: "a:1" });
  // @ts-expect-error
  lazyConnection({ anyOf: [{ host: "a", weight: "3" }] });
  // @ts-expect-error
  lazyConnection({ host: "a", weight: 3 });
  // @ts-expect-error
  lazyConnection({ anyOf: () => ["a:1"] });

  // @ts-expect-error
  const text: Handler = raw;
  void text;
}

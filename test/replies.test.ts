// A server that answers a command by any other kind of reply than the command has: the driver tells so by an error of
// its own, whether the caller or the driver has sent the command. node:test fails on what nobody handles.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  Model, RedisCounter, RedisDict, RedisError, RedisLifoQueue, RedisList, RedisQueue, RedisSet, RedisSortedSet, lazyConnectionPool,
  lazyShardedConnection, script, sentinel,
} from "../redis.ts";
import { using } from "./handlers.ts";
import { ScriptedSentinel, ScriptedServer } from "./servers.ts";

const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

/** One reply of each kind that the decoder knows, some with others in them. */
const kinds: Record<string, string> = {
  "simple string": "+OK\r\n", "empty string": "$0\r\n\r\n", string: bulk("x"), "null string": "$-1\r\n", "null array": "*-1\r\n",
  integer: ":7\r\n", "negative integer": ":-1\r\n", "big number": "(123456789012345678901234567890\r\n", double: ",1.5\r\n",
  infinity: ",inf\r\n", "not a number": ",nan\r\n", boolean: "#t\r\n", null: "_\r\n", "verbatim string": "=7\r\ntxt:abc\r\n",
  error: "-ERR x\r\n", "long error": "!5\r\nERR x\r\n", "attribute before a string": "|1\r\n+a\r\n+b\r\n+c\r\n",
  "empty array": "*0\r\n", "array of one": "*1\r\n+a\r\n", "array of two": "*2\r\n+0\r\n*0\r\n", "array of five": `*5\r\n${":1\r\n".repeat(5)}`,
  "array of nulls": "*2\r\n_\r\n_\r\n", "array of a map": "*1\r\n%1\r\n+a\r\n+b\r\n", "array with an error": "*2\r\n-ERR y\r\n+0\r\n",
  "nested array": "*2\r\n*1\r\n*0\r\n%0\r\n", "array of a set": "*3\r\n~1\r\n%0\r\n%1\r\n%0\r\n%0\r\n_\r\n", set: "~1\r\n+a\r\n",
  "empty map": "%0\r\n", map: "%1\r\n+a\r\n+b\r\n", "map by a map": "%1\r\n%1\r\n+a\r\n+b\r\n+c\r\n",
  "map by an array": "%1\r\n*1\r\n+a\r\n+c\r\n", "map by null": "%1\r\n_\r\n_\r\n",
  "map of odd values": "%3\r\n+flags\r\n:5\r\n+config-epoch\r\n%0\r\n+ip\r\n*0\r\n", "array of such a map": "*1\r\n%2\r\n+flags\r\n:5\r\n+runid\r\n%0\r\n",
};

/** How the server answers everything else. */
const ordinary: Record<string, string> = {
  HELLO: "%3\r\n+server\r\n+redis\r\n+version\r\n+7.0.0\r\n+proto\r\n:3\r\n", PING: "+PONG\r\n", SCAN: "*2\r\n+0\r\n*0\r\n",
  "CLIENT INFO": bulk("id=5 addr=127.0.0.1:4000 laddr=127.0.0.1:5000"), "CLIENT UNBLOCK": ":1\r\n", "CLIENT KILL": ":1\r\n",
  "CLIENT LIST": bulk("id=5 addr=127.0.0.1:4000 cmd=blpop flags=b"), INFO: bulk("role:master\r\nconnected_slaves:0\r\n"),
  GET: bulk("v"), EXEC: "*1\r\n+OK\r\n", DEL: ":1\r\n", XREADGROUP: "_\r\n", XAUTOCLAIM: "*2\r\n+0-0\r\n*0\r\n", WAIT: ":1\r\n",
  XPENDING: "*0\r\n", PTTL: ":-1\r\n", DUMP: bulk("dump"), ROLE: "*3\r\n+master\r\n:0\r\n*0\r\n", TYPE: "+zset\r\n", SMEMBERS: "*0\r\n", ZRANGE: "*0\r\n", EXISTS: ":0\r\n",
};

async function answering(target: string, odd: string, usual = ordinary): Promise<ScriptedServer> {
  return ScriptedServer.start(async (peer) => {
    for (let isQueueing = false; ; ) {
      const [first = "", second = ""] = (await peer.readAny()).map((word) => String(word).toUpperCase());
      const name = ["CLIENT", "SCRIPT", "SENTINEL"].includes(first) ? `${first} ${second}` : first;
      if (name === "MULTI") isQueueing = true;
      else if (name === "EXEC") isQueueing = false;
      peer.write(name === target ? odd : isQueueing && name !== "MULTI" ? "+QUEUED\r\n" : usual[name] ?? "+OK\r\n");
    }
  });
}

const some = async (items: AsyncIterable<unknown>): Promise<void> => {
  let left = 3;
  for await (const _ of items) if (--left === 0) return;
};
const options = { group: "g", consumer: "c", block: 10 } as const;

type Use = (db: any) => Promise<unknown>;
const get: Use = (db) => db.get("a");
const queue: Use = async (db) => {
  const t = await (await db.watch("a")).multi();
  t.set("a", 1).catch(() => {});
  return t.commit();
};
const block: Use = async (db) => {
  db.blpop("q", 0).catch(() => {});
  await sleep(20);
  await db.disconnect({ timeout: 100 });
};
const consume: Use = async (db) => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 100);
  const view = db.with({ signal: stop.signal });
  await some(view.consume("s", { ...options, create: "0", claimAfter: 1, maxDeliveries: 2, deadLetter: "dead" }));
};

/** What is done with one server, by the command that gets the odd reply. */
const uses: Record<string, Use[]> = {
  HELLO: [get, queue], "CLIENT INFO": [get, queue], "CLIENT SETINFO": [get], "CLIENT SETNAME": [get], SELECT: [get], PING: [get],
  AUTH: [get], INFO: [(db) => db.with({ readFrom: "any" }).get("a")], "CLIENT UNBLOCK": [block], "CLIENT LIST": [block],
  SCAN: [(db) => some(db.scanIterator())], HSCAN: [async (db) => { for await (const [field] of db.hscanIterator("h")) return field; }],
  SSCAN: [(db) => some(db.sscanIterator("s"))], ZSCAN: [async (db) => { for await (const [member] of db.zscanIterator("z")) return member; }],
  EXEC: [queue, (db) => db.pipeline().set("a", 1).commit(), (db) => db.transaction(["a"], queue, { attempts: 2 })],
  MULTI: [queue, (db) => db.pipeline().set("a", 1).commit()], WATCH: [queue], WAIT: [(db) => db.with({ durable: 1 }).set("a", 1)],
  XREADGROUP: [consume], XAUTOCLAIM: [consume], XPENDING: [consume], XGROUP: [consume], EVALSHA: [(db) => (script("return 1") as Use)(db)],
  GET: [get, (db) => db.pipeline().get("a").execPipeline(), (db) => db.lease((on: any) => on.get("a"))],
};

/** What is done with collections. Loops take the items apart. */
const collecting: Record<string, Use[]> = {
  LLEN: [(db) => new RedisList(db, "l").slice(-3), (db) => some(new RedisList(db, "l")), (db) => new RedisQueue(db, "q", { maxSize: 1 }).isFull()],
  LRANGE: [(db) => new RedisList(db, "l").slice(0, 3)], LINDEX: [(db) => new RedisList(db, "l").at(0)], RPUSH: [(db) => new RedisList(db, "l").append("a")],
  ZCARD: [(db) => new RedisSortedSet(db, "z").entries()], ZSCORE: [(db) => new RedisSortedSet(db, "z").has("a")],
  ZRANGE: [(db) => new RedisSortedSet(db, "z").entries(), (db) => new RedisSortedSet(db, "z").at(0)],
  ZREVRANGE: [(db) => new RedisSortedSet(db, "z").slice(0, 3, { reverse: true })],
  ZRANGEBYSCORE: [(db) => new RedisSortedSet(db, "z").rangeByScore(), (db) => new RedisSortedSet(db, "z").rangeByScore(0, 1, { withScores: true })],
  SMEMBERS: [(db) => new RedisSet(db, "s").values()], SPOP: [(db) => new RedisSet(db, "s").pop()],
  SUNION: [(db) => new RedisSet(db, "s").union(["a"])], SDIFF: [(db) => new RedisSet(db, "s").difference(["a"])],
  SINTER: [(db) => new RedisSet(db, "s").intersection(new RedisSet(db, "t"))], SSCAN: [(db) => some(new RedisSet(db, "s"))],
  HGETALL: [(db) => new RedisDict(db, "h").entries()], HKEYS: [(db) => new RedisDict(db, "h").keys()], HVALS: [(db) => new RedisDict(db, "h").values()],
  HMGET: [(db) => new RedisDict(db, "h").getMany(["a", "b"])], HGET: [(db) => new RedisDict(db, "h").get("a")], HSCAN: [(db) => some(new RedisDict(db, "h"))],
  BRPOP: [(db) => new RedisQueue(db, "q").get()], BLPOP: [(db) => some(new RedisLifoQueue(db, "q"))], RPOP: [(db) => new RedisQueue(db, "q").get({ timeout: 0 })],
  EVALSHA: [(db) => new RedisQueue(db, "q", { maxSize: 1 }).put("a"), (db) => new RedisDict(db, "h").pop("a"), (db) => new RedisCounter(db, "c").multiply(2)],
  GET: [(db) => new RedisCounter(db, "c").value(), (db) => new Model(db).db.get("a")], INCRBY: [(db) => new RedisCounter(db, "c").add()],
  MGET: [(db) => new Model(db).db.getMany(["a", "b"]), (db) => some(new Model(db).db.items())], SCAN: [(db) => some(new Model(db).db.keys())],
};

/** The same over shards: what is sent to several of them, and what takes several steps. */
const spread: Record<string, Use[]> = {
  MGET: [(db) => db.mget("a", "b", "c", "d", "e")], DEL: [(db) => db.del("a", "b", "c", "d")], KEYS: [(db) => db.keys("*")],
  DBSIZE: [(db) => db.dbsize()], INFO: [(db) => db.info()], RANDOMKEY: [(db) => db.randomkey()],
  "SCRIPT EXISTS": [(db) => db.scriptExists("a")], MSET: [(db) => db.mset({ a: 1, b: 2, c: 3, d: 4 })],
  DUMP: [(db) => db.rename("a", "b"), (db) => db.copy("c", "d")], PTTL: [(db) => db.rename("a", "b")],
  TYPE: [(db) => db.zunion(4, ["a", "b", "c", "d"])], ZRANGE: [(db) => db.zunion(4, ["a", "b", "c", "d"])],
  SMEMBERS: [(db) => db.sunion("a", "b", "c", "d"), (db) => db.sdiffstore("x", "a", "b", "c")], SREM: [(db) => db.smove("a", "b", "m")],
  EXISTS: [(db) => db.msetnx("a", 1, "b", 2, "c", 3)], LPOP: [(db) => db.lmove("a", "b", "LEFT", "RIGHT")],
  RPOP: [(db) => db.rpoplpush("c", "d")], EXEC: [(db) => db.sdiffstore("x", "a", "b", "c")], GET: [(db) => db.bitop("AND", "x", "a", "b", "c")],
};

/** Uses it; fails if that throws anything but an error of the driver's. */
async function tryOut(what: string, db: any, use: Use): Promise<void> {
  try {
    await Promise.race([use(db), sleep(1_500)]); // a cursor that never ends leads nowhere
  } catch (error: any) {
    assert.ok(error instanceof RedisError, `${what}: ${error?.stack ?? error}`);
  } finally {
    db.destroy();
  }
}

for (const [handler, table] of Object.entries({ "one server": uses, "collections": collecting, "two shards": spread })) {
  describe(`an odd reply with ${handler}`, () => {
    for (const [target, list] of Object.entries(table)) {
      test(`to ${target} is an error of the driver's, of whatever kind it is`, async () => {
        await Promise.all(Object.entries(kinds).map(async ([kind, odd]) => {
          await using server = await answering(target, odd);
          const limits = { replyTimeout: 200, connectTimeout: 200, name: "odd", password: "secret" };
          for (const use of list) for (const protocol of [2, 3] as const) {
            const host = { host: "127.0.0.1", port: server.port, protocol };
            const db = table !== spread
              ? lazyConnectionPool({ ...host, ...limits, poolsize: 2, dbid: target === "SELECT" ? 1 : 0 })
              : lazyShardedConnection([host, { ...host, host: "localhost" }], limits);
            await tryOut(`${target} answered by a ${kind}`, db, use);
          }
        }));
      });
    }
  });
}

describe("an odd reply with Sentinels", () => {
  const told = ["MYID", "GET-MASTER-ADDR-BY-NAME", "MASTER", "SENTINELS", "REPLICAS"].map((what) => `SENTINEL ${what}`);

  for (const target of ["HELLO", "SUBSCRIBE", ...told]) {
    test(`to ${target} from one of them, of whatever type, does not hide the answers of the others`, async () => {
      await using master = await answering("", "");
      const at = ["127.0.0.1", master.port] as const;
      const state = { "config-epoch": "1", flags: "master" };
      const replies = {
        ...ordinary, HELLO: "%2\r\n+mode\r\n+sentinel\r\n+proto\r\n:3\r\n", "SENTINEL REPLICAS": "*0\r\n", "SENTINEL SENTINELS": "*0\r\n",
        "SENTINEL GET-MASTER-ADDR-BY-NAME": `*2\r\n${bulk(at[0])}${bulk(String(at[1]))}`,
        "SENTINEL MASTER": `%2\r\n${Object.entries(state).flat().map(bulk).join("")}`, "SENTINEL MYID": bulk("odd"),
      };
      await Promise.all(Object.entries(kinds).map(async ([kind, odd]) => {
        await using strange = await answering(target, odd, replies);
        await using honest = await ScriptedSentinel.start({ address: at, epoch: 2 });
        const sentinels = [`127.0.0.1:${strange.port}`, honest.host];
        const db = lazyConnectionPool({ sentinels, master: "m", poolsize: 2, readFrom: "any", replyTimeout: 60_000 });
        await using(db, async () => assert.equal(await db.get("k"), "v", kind));
        await using all = sentinel(sentinels);
        assert.deepEqual(await all.discoverMaster("m"), { host: at[0], port: at[1] }, kind);
        assert.deepEqual(await all.discoverReplicas("m"), [], kind);
      }));
    });
  }

  for (const target of ["ROLE", "INFO"]) {
    test(`to ${target} from the server that they call the master causes an error in the driver's words`, async () => {
      const replies = { ...ordinary, HELLO: "%1\r\n+proto\r\n:3\r\n", ...(target === "INFO" ? { ROLE: "-NOPERM no\r\n" } : {}) };
      await Promise.all(Object.entries(kinds).map(async ([kind, odd]) => {
        await using master = await answering(target, odd, replies);
        await using honest = await ScriptedSentinel.start({ address: ["127.0.0.1", master.port] });
        const db = lazyConnectionPool({ sentinels: [honest.host], master: "m", poolsize: 1, reconnect: false });
        const said = await using(db, () => db.ready().then(() => "ready", ({ message }: Error) => message));
        const isError = kind === "error" || kind === "long error"; // without ROLE, INFO says it
        assert.match(said, isError ? /^ready$|: ERR x/ : /the reply is not of this command's kind|it is not a master/, kind);
      }));
    });
  }
});

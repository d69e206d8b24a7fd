// The workloads and their goals. To add a workload, add an entry to a group.
//
//   about     its description in the table
//   data      commands that fill the empty servers
//   open      opens a client at one of the addresses tcp, tls, unix, three and cluster; a connection over tcp by default
//   prepare   runs once, before the turns; its result is passed to step
//   step      one turn of a caller; n counts the turns of all callers
//   callers   how many callers run at once, each in a loop; 1 by default
//   counts    operations in one step; 1 by default
//   floor     a turn of all callers at once on plain sockets; omitted where that is not simple
//   goal      the lowest acceptable ratio of redis.ts to a client, to the floor, or to itself in another workload; and
//             cpu: the most microseconds of CPU per operation
//
// Workloads that measure no rate have a cost instead of steps:
//
//   cost      takes one measurement in a fresh process; it receives a function that opens one more connection
//   unit      of the cost
//   goal      most: the highest acceptable cost

// Workloads that measure latency have a load, too:
//
//   load      how many calls there are a second, as a share of what the slowest client reaches with its callers
//   beside    a call that is made every so many milliseconds beside them, and not measured
//   restart   whether the server is killed and started again in the middle
//   goal      how many times the other client's 99th percentile is to be redis.ts's
//
import { setTimeout as sleep } from "node:timers/promises";
import { bulk, command } from "./clients.mjs";

const times = (count, make) => Array.from({ length: count }, (_, index) => make(index));

const keys = times(1000, (index) => `key:${index}`);
const values = times(1000, (index) => `value:${index}`.padEnd(100, "."));
const buffers = values.map((value) => Buffer.from(value));
const items = times(10_000, (index) => String(index).padStart(10, "0"));
const message = values[0];

const fillKeys = ["MSET", ...keys.flatMap((key, index) => [key, values[index]])];

const total = (bulks) => bulks.reduce((sum, text) => sum + bulk(text).length, 0);
const getReply = bulk(values[0]).length;
const OK = "+OK\r\n".length;

/** A turn of the floor. The request is built on first use and sent every turn. */
const exchange = (commands, replyBytes) => {
  let request;
  return (db) => db.exchange((request ??= Buffer.from(commands().join(""))), replyBytes);
};
const get = (n) => command("GET", keys[n % 1000]);
const set = (n) => command("SET", keys[n % 1000], values[n % 1000]);

/** Goal: at least `ratio` times as fast as ioredis and node-redis, and as fast as Bun's own client. */
const rivals = (ratio) => ({ ioredis: ratio, "node-redis": ratio, bun: 1 });

const halves = (callers) => ({
  data: [fillKeys],
  callers,
  step(db, n) {
    const index = (n >> 1) % 1000;
    return n % 2 ? db.set(keys[index], values[index]) : db.get(keys[index]);
  },
  floor: exchange(
    () => times(callers, (n) => (n % 2 ? set(n) : get(n))),
    Math.ceil(callers / 2) * getReply + Math.floor(callers / 2) * OK,
  ),
});

const getting = (bytes) => ({
  data: [["SET", "value", ".".repeat(bytes)]],
  step: (db) => db.get("value"),
  floor: exchange(() => [command("GET", "value")], bulk(".".repeat(bytes)).length),
});

const setting = (bytes) => {
  const value = ".".repeat(bytes);
  return { step: (db) => db.set("value", value), floor: exchange(() => [command("SET", "value", value)], OK) };
};

const gets = (count, step) => ({
  data: [fillKeys],
  counts: count,
  prepare: () => times(count, (n) => keys[n % 1000]),
  step,
  floor: exchange(() => times(count, get), count * getReply),
});
const together = (db, _, keys) => Promise.all(keys.map((key) => db.get(key)));
const pipelined = (db, _, keys) => db.gets(keys);

// ==== The main workloads ====

const main = {
  one: {
    about: "one caller, GET after GET",
    data: [fillKeys],
    step: (db, n) => db.get(keys[n % 1000]),
    floor: exchange(() => [get(0)], getReply),
    goal: rivals(1),
  },
  hundred: { about: "100 callers, half GET half SET", ...halves(100), goal: { ...rivals(3), floor: 0.6, cpu: 1 } },
  thousand: { about: "1,000 callers", ...halves(1000), goal: rivals(3) },
  burst: { about: "10,000 GETs at once", ...gets(10_000, together), goal: rivals(3) },
  pipeline: { about: "explicit pipeline of 1,000 GETs", ...gets(1000, pipelined), goal: rivals(2) },
  mget: {
    about: "MGET of 1,000 keys, per value",
    data: [fillKeys],
    counts: 1000,
    step: (db) => db.mget(keys),
    floor: exchange(() => [command("MGET", ...keys)], "*1000\r\n".length + 1000 * getReply),
    goal: rivals(1.5),
  },
  hgetall: {
    about: "HGETALL of 1,000 fields, per field",
    data: [["HSET", "hash", ...fillKeys.slice(1)]],
    counts: 1000,
    step: (db) => db.hgetall("hash"),
    floor: exchange(() => [command("HGETALL", "hash")], "*2000\r\n".length + total(keys) + total(values)),
    goal: rivals(2),
  },
  lrange: {
    about: "LRANGE of 10,000 ten-byte items, per item",
    data: [["RPUSH", "list", ...items]],
    counts: 10_000,
    step: (db) => db.lrange("list", 0, -1),
    floor: exchange(() => [command("LRANGE", "list", "0", "-1")], "*10000\r\n".length + total(items)),
    goal: rivals(2),
  },
  get: { about: "GET of 1 MiB", ...getting(2 ** 20), goal: { ...rivals(1), floor: 0.85 } },
  set: { about: "SET of 1 MiB", ...setting(2 ** 20), goal: { ...rivals(1), floor: 0.85 } },
  publish: {
    about: "publish and receive, 1,000 at once",
    counts: 1000,
    async prepare(db) {
      const listener = {};
      await db.listen("news", (message) => {
        if (listener.received.push(message) === 1000) listener.resolve(listener.received);
      });
      return listener;
    },
    step(db, _, listener) {
      listener.received = [];
      const receivedAll = new Promise((resolve) => (listener.resolve = resolve));
      return Promise.all([receivedAll, ...times(1000, () => db.publish("news", message))]);
    },
    floor: exchange(
      () => times(1000, () => command("PUBLISH", "news", message)),
      1000 * (":1\r\n".length + "*3\r\n".length + total(["message", "news", message])),
    ),
    goal: rivals(2),
  },
};

// ==== Pools, shards, TLS, Unix sockets, Buffers, transactions ====

const more = {
  pool: {
    about: "100 callers, pool of ten",
    ...halves(100),
    open: (client, { tcp }) => client.pool?.(tcp),
    goal: { hundred: 0.9 },
  },
  lent: {
    about: "100 callers, pool of ten, one blocked, one lent",
    ...halves(100),
    open: (client, { tcp }) => client.lent?.(tcp),
    goal: { pool: 0.9 },
  },
  shards: {
    about: "100 callers, three servers",
    ...halves(100),
    open: (client, { three }) => client.shards?.(three),
    floor: undefined,
  },
  tls: { about: "100 callers, TLS", ...halves(100), open: (client, { tls }) => client.open(tls) },
  unix: { about: "100 callers, Unix socket", ...halves(100), open: (client, { unix }) => client.open(unix) },
  buffers: {
    ...halves(100),
    about: "100 callers, Buffers in and out",
    step(db, n) {
      const index = (n >> 1) % 1000;
      return n % 2 ? db.set(keys[index], buffers[index]) : db.getBuffer(keys[index]);
    },
  },
  transaction: {
    about: "MULTI, 10 GETs, EXEC, per GET; 10 callers",
    data: [fillKeys],
    callers: 10,
    counts: 10,
    step: (db, n) => db.atomic(keys.slice(n % 990, (n % 990) + 10)),
    floor: exchange(
      () => times(10, () => [command("MULTI"), ...times(10, get), command("EXEC")]).flat(),
      10 * (OK + 10 * "+QUEUED\r\n".length + "*10\r\n".length + 10 * getReply),
    ),
  },
};

// ==== A cluster of three primaries ====

const inCluster = (workload) => ({
  ...workload,
  data: [],
  open: (client, { cluster }) => client.cluster?.(cluster),
  async prepare(db) {
    await Promise.all(keys.map((key, index) => db.set(key, values[index])));
    return workload.prepare?.(db);
  },
  floor: undefined,
});

const cluster = {
  "cluster-hundred": { about: "cluster, 100 callers, half GET half SET", ...inCluster(halves(100)), goal: { ioredis: 4, "node-redis": 4 } },
  "cluster-thousand": { about: "cluster, 1,000 callers", ...inCluster(halves(1000)), goal: { ioredis: 4, "node-redis": 4 } },
  "cluster-pipeline": {
    about: "cluster, pipeline of 1,000 GETs of spread keys",
    ...inCluster(gets(1000, pipelined)),
    goal: { ioredis: 3, "node-redis": 3 },
  },
  "cluster-mget": {
    about: "cluster, MGET of 1,000 spread keys, per value",
    ...inCluster({ counts: 1000, step: (db) => db.mget(keys) }),
    goal: { ioredis: 3, "node-redis": 3 },
  },
};

// ==== The near cache: every read is a hit ====

const fields = times(10, (n) => [`field:${n}`, values[n]]).flat();

/** A thousand hits, one after the other; then the event loop turns, which node-redis's hits never let it do. */
const hits = (hit) => ({
  data: [fillKeys, ["HSET", "hash", ...fields]],
  counts: 1000,
  open: (client, { tcp }) => client.near?.(tcp),
  prepare: (db) => Promise.all([...keys.map((key) => db.get(key)), db.hgetall("hash")]),
  async step(db) {
    let reply;
    for (let n = 0; n < 1000; n++) reply = await hit(db, n);
    await new Promise(setImmediate);
    return reply;
  },
});

const near = {
  "near-get": { about: "near cache, GET of 100 bytes", ...hits((db, n) => db.get(keys[n])), goal: { "node-redis": 3, cpu: 0.6 } },
  "near-hgetall": { about: "near cache, HGETALL of 10 fields", ...hits((db) => db.hgetall("hash")), goal: { "node-redis": 2 } },
};

// ==== Latency ====

const big = Buffer.alloc(8 * 2 ** 20, ".");
const onePool = (client, { tcp }) => client.pool?.(tcp);
const half = { unit: "ms", goal: { ioredis: 2, "node-redis": 2 } };
/** 16 MiB every 200 ms: a value that is read, and one that is written. */
const large = { every: 200, step: (db) => Promise.all([db.getBuffer("big"), db.set("big", big)]) };
const loads = (name, about, more) => Object.fromEntries([20, 50, 80].map((percent) => [
  `${name}-${percent}`, { ...half, ...halves(100), ...more, about: `${about}, ${percent} %`, load: percent / 100 },
]));

const latency = {
  ...loads("latency", "latency on one connection"),
  ...loads("latency-pool", "latency on a pool of ten", { open: onePool }),
  "latency-lent": {
    ...half, ...halves(100), about: "latency on a pool of ten, one blocked, one lent, 50 %", load: 0.5,
    open: (client, { tcp }) => client.lent?.(tcp),
  },
  "latency-large": { ...half, ...halves(100), about: "latency beside large values, one connection, 20 %", load: 0.2, beside: large },
  "latency-pool-large": {
    ...half, ...halves(100), about: "latency beside large values, pool of ten, 20 %", load: 0.2, beside: large, open: onePool,
  },
  "latency-restart": { ...half, ...halves(100), about: "latency over a restart, one connection, 20 %", load: 0.2, restart: true },
};

// ==== Very large workloads ====

const veryLarge = {
  million: { about: "explicit pipeline of 1,000,000 GETs", ...gets(1_000_000, pipelined), goal: rivals(2) },
  huge: {
    about: "GET of 512 MiB as a Buffer, per MiB",
    data: [["SETRANGE", "huge", String(2 ** 29 - 1), "."]],
    counts: 512,
    step: (db) => db.getBuffer("huge"),
    floor: exchange(() => [command("GET", "huge")], `$${2 ** 29}\r\n\r\n`.length + 2 ** 29),
  },
};

// ==== Costs of having a client ====

/** Exposes gc() at run time: with the process flag, Node would compile its own modules again and start slower. */
async function collector() {
  if (process.versions.bun) return () => Bun.gc(true);
  const [{ setFlagsFromString }, { runInNewContext }] = await Promise.all([import("node:v8"), import("node:vm")]);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}

/** Bytes of live memory, without what valkey-glide and Bun keep outside of JavaScript's heap. */
async function alive() {
  globalThis.gc ??= await collector();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const costs = {
  import: {
    about: "from import to the first handler",
    unit: "ms",
    open: (client, { tcp }) => client.make?.(tcp),
    async cost(open) {
      const start = performance.now();
      const db = await open();
      return db && performance.now() - start;
    },
    goal: { most: 10 },
  },
  start: {
    about: "from import to the first reply",
    unit: "ms",
    async cost(open) {
      const start = performance.now();
      await (await open()).get(keys[0]);
      return performance.now() - start;
    },
  },
  memory: {
    about: "heap for the code and one connection",
    unit: "MiB",
    async cost(open) {
      const before = await alive();
      const db = await open();
      await db.get(keys[0]);
      return (await alive() - before) / 2 ** 20;
    },
    goal: { most: 5 },
  },
  idle: {
    about: "heap for an idle connection",
    unit: "KiB",
    async cost(open) {
      const dbs = [await open()];
      const before = await alive();
      while (dbs.length <= 1000) dbs.push(await open());
      return (await alive() - before) / (dbs.length - 1) / 1024;
    },
    goal: { most: 16 },
  },
  inflight: {
    about: "heap for a command in flight, of 100,000",
    unit: "bytes",
    async cost(open, pause) {
      const db = await open();
      await db.get(keys[0]);
      await pause();
      const before = await alive();
      const pending = times(100_000, (n) => db.set(keys[n % 1000], "."));
      await sleep(500); // until everything is in the system's buffers
      return (await alive() - before) / pending.length;
    },
    goal: { most: 250 },
  },
};

// ==== How the cost grows with the amount of work ====

const growth = {
  ...Object.fromEntries(
    [1, 10, 100, 1000, 10_000].map((n) => [`callers-${n}`, { about: `half GET half SET, callers: ${n}`, ...halves(n) }]),
  ),
  ...Object.fromEntries(
    [10, 100, 1000, 10_000, 100_000, 2 ** 20, 2 ** 24].map((n) => [`bytes-${n}`, { about: `GET of ${n} bytes`, ...getting(n) }]),
  ),
};

export const groups = { main, more, cluster, near, latency, large: veryLarge, costs, growth };
export const workloads = Object.assign({}, ...Object.values(groups));

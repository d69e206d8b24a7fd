// node bench/shards.mjs [killed | placement] [--callers n] [--seconds n] [--rounds n]
// killed: latency of calls on each of four shards before, while and after one of them is killed and restarted.
// placement: time to find the node of a key among sixteen.

import { availableParallelism, cpus } from "node:os";
import { createHistogram } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { lazyShardedConnection, shardedConnectionPool } from "../dist/redis.js";
import { RedisServer, until } from "../dist/test/servers.js";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    callers: { type: "string", default: "50" },
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
  },
});
const { callers, seconds, rounds } = Object.fromEntries(Object.entries(options).map(([name, text]) => [name, Number(text)]));
if (!(callers > 0 && seconds > 0 && rounds > 0)) throw new Error("--callers, --seconds and --rounds must be positive");

function print(table) {
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  for (const row of table) {
    const line = row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])));
    console.log(line.join("  ").trimEnd());
  }
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

// ==== Killing and restarting a shard ====

const PHASES = ["before", "during", "after"];

/** A record for each phase and node: latencies of the calls that succeeded, and the number of failures. */
const newRecords = (names) =>
  Object.fromEntries(PHASES.map((phase) => [
    phase, Object.fromEntries(names.map((name) => [name, { times: createHistogram(), failures: 0 }])),
  ]));

/**
 * Starts callers that pause between calls. Otherwise the callers of the killed shard, whose calls fail at once, would put
 * more load on the others, and that load would be measured, not the cost of losing a shard. Returns a function that stops.
 */
function startCallers(db, record) {
  let running = true;
  const caller = async (_, own) => {
    for (let turn = 0; running; turn++) {
      const key = `user:${own}:${turn % 1000}`;
      const node = record(db.nodeFor(key));
      const start = process.hrtime.bigint();
      try {
        await (turn % 2 === 0 ? db.set(key, turn) : db.get(key));
        node.times.record(process.hrtime.bigint() - start);
      } catch {
        node.failures++;
      }
      await sleep(1 + Math.random() * 4);
    }
  };
  const finished = Promise.all(Array.from({ length: callers }, caller));
  return async () => {
    running = false;
    await finished;
  };
}

async function measureKill() {
  const servers = await Promise.all(Array.from({ length: 4 }, () => RedisServer.start({ unix: false, aof: true })));
  const names = servers.map(({ host, port }) => `${host}:${port}`);
  const db = await shardedConnectionPool(names);
  try {
    const stopWarmUp = startCallers(db, () => ({ times: createHistogram(), failures: 0 }));
    await sleep(1000);
    await stopWarmUp();
    const records = newRecords(names);
    let phase = "before";
    const stop = startCallers(db, (name) => records[phase][name]);
    await sleep(seconds * 1000);
    phase = "during";
    await servers[0].kill();
    await sleep((seconds * 1000) / 2);
    await servers[0].restart();
    await until(() => db.shards().get(names[0]).ping().then(() => true, () => false), "the server to be found again", 30_000);
    await sleep((seconds * 1000) / 2);
    phase = "after";
    await sleep(seconds * 1000);
    await stop();
    return { names, records };
  } finally {
    db.destroy();
    await Promise.all(servers.map((server) => server.stop()));
  }
}

async function killed() {
  const ratios = [];
  for (let round = 1; round <= rounds; round++) {
    const { names, records } = await measureKill();
    const time = ({ times }, percentile) => (times.count === 0 ? "" : (times.percentile(percentile) / 1e6).toFixed(2));
    const cells = names.map((name, at) => {
      const of = PHASES.map((phase) => records[phase][name]);
      const ratio = of[1].times.percentile(99) / of[0].times.percentile(99);
      if (at > 0) ratios.push(ratio);
      return [
        at === 0 ? `${name}, killed` : name,
        ...of.flatMap((record) => [String(record.times.count), time(record, 50), time(record, 99), String(record.failures)]),
        at === 0 ? "" : `${ratio.toFixed(2)} x`,
      ];
    });
    const columns = PHASES.flatMap((phase) => [`calls ${phase}`, "p50 ms", "p99 ms", "failed"]);
    print([["shard", ...columns, "p99 during/before"], ...cells]);
    console.log();
  }
  console.log(`p99 during/before of the shards that were not killed: median ${median(ratios).toFixed(2)} x, ` +
    `highest ${Math.max(...ratios).toFixed(2)} x`);
}

// ==== Placement ====

function placement() {
  const hosts = Array.from({ length: 16 }, (_, i) => `10.0.0.${i + 1}:6379`);
  const keys = Array.from({ length: 100_000 }, (_, i) => `user:${i}`);
  const cells = ["rendezvous", "txredisapi", "rediscluster"].map((name) => {
    // Nothing here awaits, so it is destroyed before it connects.
    const db = lazyShardedConnection(hosts, { placement: name, reconnect: false });
    const load = new Map();
    for (const key of keys) load.set(db.nodeFor(key), (load.get(db.nodeFor(key)) ?? 0) + 1);
    const times = [];
    for (let round = 0; round < rounds * 5; round++) {
      let used = 0;
      const start = performance.now();
      for (const key of keys) used += db.nodeFor(key).length;
      times.push(((performance.now() - start) * 1e6) / keys.length);
      if (used === 0) throw new Error("no key has a node");
    }
    db.destroy();
    return [name, median(times).toFixed(0), (Math.max(...load.values()) / (keys.length / hosts.length)).toFixed(2)];
  });
  print([["placement", "ns/key", "fullest/mean"], ...cells]);
}

// ==== Main ====

const modes = { killed, placement };
const chosen = positionals.length > 0 ? positionals : Object.keys(modes);
const unknown = chosen.find((name) => !Object.hasOwn(modes, name));
if (unknown) throw new Error(`no mode ${unknown}; there are ${Object.keys(modes).join(", ")}`);
console.log(`node ${process.versions.node}; ${cpus()[0]?.model}, ${availableParallelism()} cores`);
for (const name of chosen) {
  console.log();
  await modes[name]();
}

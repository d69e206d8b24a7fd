// A tour of a Redis Cluster with six private servers: ordinary use first, then what happens when a slot moves and when a
// primary is killed. `npm run build && node dist/examples/cluster.js` runs it.

import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { RedisError, lazyClusterConnectionPool } from "../redis.ts";
import { RedisCluster } from "../test/servers.ts";

const title = (text: string): void => console.log(`\n\x1b[1m${text}\x1b[0m`);
const show = (code: string, value: unknown): void =>
  console.log(`  ${code.padEnd(72)} ${inspect(value, { breakLength: Infinity })}`);
const failure = (error: unknown): string =>
  error instanceof RedisError ? `${error.name}: ${error.message} (${error.code}, ${error.outcome})` : String(error);

title("Six private servers form a cluster: three primaries, and a replica of each");
const cluster = await RedisCluster.start();
const [seed] = cluster.hosts as [string];
const db = lazyClusterConnectionPool([seed], { poolsize: 2, replyTimeout: 10_000 });
show(`lazyClusterConnectionPool(["${seed}"])`, db);
for (const { address, role, slots, state } of await db.nodes()) {
  console.log(`  ${address}  ${role.padEnd(8)} slots ${slots.map((range) => range.join("-")).join(", ").padEnd(12)} ${state}`);
}

title("Commands go to the nodes of their keys");
show('await db.mset({ a: 1, b: 2, c: 3 })', await db.mset({ a: 1, b: 2, c: 3 }));
show('["a", "b", "c"].map((key) => db.nodeFor(key))', ["a", "b", "c"].map((key) => db.nodeFor(key)));
show('await db.mget("a", "b", "c", "none")', await db.mget("a", "b", "c", "none"));
show('await db.pipeline().incr("a").incr("b").get("c").execPipeline()',
  await db.pipeline().incr("a").incr("b").get("c").execPipeline());
show('await db.pipeline().incr("{cart:7}items").get("{cart:7}items").commit()',
  await db.pipeline().incr("{cart:7}items").get("{cart:7}items").commit());
await db.rename("a", "b").catch((error: unknown) => show('await db.rename("a", "b")', failure(error)));

/** Calls on three keys, one on each node, that go on meanwhile; tells how many succeeded, failed, and the slowest. */
async function meanwhile(change: () => Promise<unknown>): Promise<string> {
  let isRunning = true;
  let [count, slowest] = [0, 0];
  const errors: string[] = [];
  const call = async (key: string): Promise<void> => {
    while (isRunning) {
      const begun = performance.now();
      await db.incr(key).then(() => count++, (error: unknown) => errors.push(failure(error)));
      slowest = Math.max(slowest, performance.now() - begun);
    }
  };
  const calls = Promise.all(["a", "b", "c"].map(call));
  await change();
  isRunning = false;
  await calls;
  const failed = [`${errors.length} failed`, ...errors].join("; ");
  return `${count} calls, ${failed}; slowest ${Math.round(slowest)} ms`;
}

title("A slot moves to another node, and back, under load");
const slot = await cluster.servers[0]!.call("CLUSTER", "KEYSLOT", "a");
const owner = await cluster.owner(slot);
const other = cluster.servers.find((server) => server !== owner)!;
show(`slot ${slot} of key "a" moves from ${owner.port} to ${other.port}`, await meanwhile(() => cluster.move(slot, other)));
show('db.nodeFor("a")', db.nodeFor("a"));
show(`and back to ${owner.port}`, await meanwhile(() => cluster.move(slot, owner)));

title("A primary is killed under load, and its replica takes over");
const [replica] = await cluster.replicasOf(owner);
show(`kill -9 of ${owner.port}; its replica is ${replica!.port}`, await meanwhile(async () => {
  await owner.kill();
  while (db.nodeFor("a") !== `127.0.0.1:${replica!.port}`) await sleep(10);
  await db.incr("a");
}));
show('db.nodeFor("a")', db.nodeFor("a"));
await owner.restart();
await cluster.settled();
show("the old primary is back, as a replica", await cluster.replicasOf(replica!).then((all) => all.map(({ port }) => port)));

title("Goodbye");
await db.disconnect();
show("await db.disconnect(); db", db);
await cluster.stop();

// The soak: one server, a pool, shards, a master that Sentinels watch, and a cluster, in turn, each with a new handler
// under mixed load. Every two seconds something is done to it, as a seed decides. Every write is judged by the oracle;
// after each turn nothing of the handler may be left.
//
//     npm run faults -- soak --minutes 60 --seed 7
//
// To add a fault, add it to `troubles`, or to the faults of a turn; each resolves when it has been mended.

import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  RedisError, lazyClusterConnectionPool, lazyConnection, lazyConnectionPool, lazyShardedConnectionPool, script,
} from "../redis.ts";
import type { Handler } from "../redis.ts";
import type { Scene } from "./faults.ts";
import { Chance } from "./network.ts";
import type { Adapter, Log, Servers } from "./oracle.ts";
import type { Proxy } from "./proxy.ts";
import { RedisCluster, SentinelSet, until } from "./servers.ts";
import type { RedisServer } from "./servers.ts";

type Fault = readonly [what: string, run: () => Promise<unknown>];

/** A handler, what it leads to, and what may happen there. */
type Place = {
  db: Handler;
  faults: Fault[];
  /** Asks the server of the first key, past the driver. */
  servers: Servers;
  /** Number of replicas that must have a write, because they may take over. */
  replicas: number;
  /** Number of faults so far, and whether the last one is still felt. */
  hurts: number;
  isHurt: boolean;
};

const range = (length: number) => Array.from({ length }, (_, i) => i);
/** A recovery that takes longer has failed. */
const SOON = 15_000;
const DEADLINE = 10_000;
const LISTS = 8;

// ==== Faults ====

/** What may happen to any server, or to the network before it. */
const troubles = (chance: Chance, pick: () => Promise<readonly [RedisServer, Proxy]>): Fault[] => [
  ["CLIENT KILL", async () => (await pick())[0].call("CLIENT", "KILL", "TYPE", "normal")],
  ["connections cut", async () => (await pick())[1].cut(chance.pick("fin", "rst"))],
  ["connections refused", async () => {
    const [, proxy] = await pick();
    proxy.refuse = true;
    proxy.cut("rst");
    await sleep(chance.next() * 1_000);
    proxy.refuse = false;
  }],
  ["partition, then all arrives", async () => {
    const [, proxy] = await pick();
    proxy.hold();
    await sleep(chance.next() * 2_500);
    proxy.release();
  }],
  ["partition, then all is lost", async () => {
    const [, proxy] = await pick();
    proxy.hold();
    await sleep(chance.next() * 2_500);
    proxy.cut("rst");
    proxy.heal();
  }],
  ["short freeze", async () => {
    const [server] = await pick();
    server.freeze();
    await sleep(chance.next() * 400);
    server.thaw();
  }],
  ["SCRIPT FLUSH", async () => (await pick())[0].call("SCRIPT", "FLUSH").catch(() => {})], // Sentinels have no scripts
  ["CLIENT PAUSE", async () => (await pick())[0].call("CLIENT", "PAUSE", String(chance.below(300)), chance.pick("ALL", "WRITE"))],
];

/** What may happen to servers whose data outlives them. */
const restarts = (chance: Chance, pick: () => Promise<readonly [RedisServer, Proxy]>): Fault[] => [
  ["kill", async () => {
    const [server] = await pick();
    await server.kill();
    await sleep(chance.next() * 500);
    await server.restart();
  }],
  ["restart", async () => (await pick())[0].restart()],
  ["long freeze", async () => {
    const [server] = await pick();
    server.freeze();
    await sleep(chance.next() * 3_000);
    server.thaw();
  }],
];

// ==== The turns ====

/** So many servers whose data outlives a kill, each behind a proxy. */
async function durable(scene: Scene, chance: Chance, count: number) {
  const all = await Promise.all(range(count).map(async () => {
    const server = await scene.durable();
    return [server, await scene.proxy(server.port)] as const;
  }));
  const pick = async () => chance.pick(...all);
  const faults = [...troubles(chance, pick), ...restarts(chance, pick)];
  const call = async (...args: string[]): Promise<any> => {
    const replies = await Promise.all(all.map(([server]) => server.call(...args)));
    return replies.find((reply) => reply !== null && reply.length !== 0) ?? replies[0];
  };
  const hosts = all.map(([, { host, port }]) => ({ host, port }));
  return { hosts, place: (db: Handler): Place => ({ db, faults, servers: { call }, replicas: 0, hurts: 0, isHurt: false }) };
}

/** Proxies before these servers, and the address map that leads there. */
async function behind(scene: Scene, servers: readonly RedisServer[]) {
  const proxies = new Map<number, Proxy>();
  for (const { port } of servers) proxies.set(port, await scene.proxy(port));
  return {
    proxy: (server: RedisServer) => proxies.get(server.port)!,
    hosts: servers.map(({ port }) => `127.0.0.1:${proxies.get(port)!.port}`),
    addressMap: (name: string) => `127.0.0.1:${proxies.get(Number(name.split(":").at(-1)))!.port}`,
  };
}

async function watched(scene: Scene, chance: Chance): Promise<Place> {
  const set = await SentinelSet.start();
  scene.atEnd(() => set.stop());
  const { proxy, addressMap } = await behind(scene, [...set.nodes, ...set.sentinels]);
  const sentinels = set.sentinels.map((sentinel) => `127.0.0.1:${proxy(sentinel).port}`);
  const db = lazyConnectionPool({ sentinels, master: set.name, addressMap, poolsize: 8, replyTimeout: DEADLINE }) as Handler;
  const master = () => until(() => set.master(), "the Sentinels to agree") as Promise<RedisServer>;
  const pick = async (server = chance.of(0.6) ? undefined : chance.pick(...set.sentinels, ...set.nodes)) => {
    server ??= await master();
    return [server, proxy(server)] as const;
  };
  /** The master is away until another has taken over. */
  const loss = (lose: (old: RedisServer) => unknown, mend: (old: RedisServer) => unknown) => async () => {
    const old = await master();
    await lose(old);
    await until(async () => ![undefined, old].includes(await set.master().catch(() => undefined)), "a new master", 60_000);
    await mend(old);
  };
  const faults: Fault[] = [
    ...troubles(chance, pick),
    ["kill of the master", loss((old) => old.kill(), (old) => old.restart())],
    ["freeze of the master", loss((old) => old.freeze(), (old) => old.thaw())],
    ["SENTINEL FAILOVER", async () => {
      const old = await master();
      let askedAt = -Infinity;
      await until(async () => {
        if (![undefined, old].includes(await set.master())) return true;
        if (performance.now() - askedAt < 6_000) return false;
        askedAt = performance.now(); // it may be refused, or given up
        return set.sentinels[0]!.call("SENTINEL", "FAILOVER", set.name).then(() => false, () => false);
      }, "the failover", 60_000);
    }],
    ["restart of a Sentinel", async () => chance.pick(...set.sentinels).restart()],
  ];
  const settling = faults.map(([what, run]): Fault => [what, async () => {
    await run();
    await set.settle();
  }]);
  const call = async (...args: string[]) => (await master()).call(...args);
  return { db, faults: settling, servers: { call }, replicas: 2, hurts: 0, isHurt: false };
}

async function slots(scene: Scene, chance: Chance): Promise<Place> {
  const cluster = await RedisCluster.start();
  scene.atEnd(() => cluster.stop());
  const { proxy, hosts, addressMap } = await behind(scene, cluster.servers);
  const db = lazyClusterConnectionPool(hosts, { addressMap, poolsize: 8, replyTimeout: DEADLINE }) as unknown as Handler;
  const primary = () => cluster.owner(chance.pick(0, 8_191, 16_383));
  const pick = async () => {
    const server = chance.of(0.7) ? await primary() : chance.pick(...cluster.servers);
    return [server, proxy(server)] as const;
  };
  const loss = (lose: (old: RedisServer) => unknown, mend: (old: RedisServer) => unknown) => async () => {
    const old = await primary();
    const [replica] = await cluster.replicasOf(old);
    await lose(old);
    await until(async () => (await replica!.call("ROLE"))[0] === "master", "the failover", 60_000);
    await mend(old);
  };
  const move = async () => {
    const slot: number = await cluster.servers[0]!.call("CLUSTER", "KEYSLOT", `log:${chance.below(LISTS)}`);
    const [from, to] = [await cluster.owner(slot), await primary()];
    if (to !== from) await cluster.move(slot, to);
  };
  const faults: Fault[] = [
    ...troubles(chance, pick),
    ["kill of a primary", loss((old) => old.kill(), (old) => old.restart())],
    ["freeze of a primary", loss((old) => old.freeze(), (old) => old.thaw())],
    ["CLUSTER FAILOVER", () => cluster.handOver(chance.pick(0, 8_191, 16_383))],
    ["a slot moves", move],
    ["slots move", async () => { for (let i = 0; i < 8; i++) await move(); }],
    ["restart of a replica", async () => {
      const [replica] = await cluster.replicasOf(await primary());
      await replica!.restart();
    }],
  ];
  const settling = faults.map(([what, run]): Fault => [what, async () => {
    await run();
    await cluster.settled();
  }]);
  return { db, faults: settling, servers: cluster, replicas: 1, hurts: 0, isHurt: false };
}

const turns: [kind: string, make: (scene: Scene, chance: Chance) => Promise<Place>][] = [
  ["one server", async (scene, chance) => {
    const { hosts: [host], place } = await durable(scene, chance, 1);
    return place(lazyConnection({ ...host, replyTimeout: DEADLINE }) as Handler);
  }],
  ["pool", async (scene, chance) => {
    const { hosts: [host], place } = await durable(scene, chance, 1);
    return place(lazyConnectionPool({ ...host, poolsize: 8, replyTimeout: DEADLINE }) as Handler);
  }],
  ["shards", async (scene, chance) => {
    const { hosts, place } = await durable(scene, chance, 3);
    return place(lazyShardedConnectionPool(hosts, { poolsize: 4, replyTimeout: DEADLINE }) as unknown as Handler);
  }],
  ["Sentinel", watched],
  ["cluster", slots],
];

// ==== The load ====

const pushScript = script("return redis.call('RPUSH', KEYS[1], ARGV[1])", { keys: 1 });

/** A reply, or the error that stands in its place. */
function result(reply: unknown): unknown {
  if (reply instanceof Error) throw reply;
  return reply;
}

/** The ways to append an element; each returns its position. */
const ways: ((db: Handler, key: string, text: string) => Promise<unknown>)[] = [
  (db, key, text) => db.rpush(key, text),
  (db, key, text) => db.call("RPUSH", key, text),
  (db, key, text) => pushScript(db, key, text),
  async (db, key, text) =>
    result((await db.pipeline().get(`{${key}}`).rpush(key, text).get("fixed:1").execPipeline({ errors: "return" }))[1]),
  async (db, key, text) => result((await db.pipeline().llen(key).rpush(key, text).commit())[1]),
  async (db, key, text) => {
    const change = async (t: Awaited<ReturnType<Handler["watch"]>>) => void (await t.multi()).rpush(key, text);
    return result((await db.transaction([`{${key}}`], change) as unknown[])[0]);
  },
];

/** Appends in each way in turn. A write that is executed, but that too few replicas have, may be lost with its server. */
function appending(base: Adapter): Adapter {
  let n = 0;
  return {
    ...base,
    call: (db, [, key, text]) => ways[n++ % ways.length]!(db, key!, text!),
    outcome: (error) => (error.outcome === "executed" ? "unknown" : error.outcome),
  };
}

const keys = range(100).map((i) => `fixed:${i}`);
const value = (key: string) => `${key} é ${key}`;

/** Whether a read gives what was written; undefined for one that only says so of a server that is left alone. */
const reads: ((db: Handler, at: number) => Promise<boolean | undefined>)[] = [
  async (db, at) => await db.get(keys[at]!) === value(keys[at]!),
  async (db, at) => {
    const some = keys.slice(at, at + 10);
    return String(await db.mget(some)) === String(some.map(value));
  },
  async (db, at) => {
    const [a, b] = await db.pipeline().get(keys[at]!).strlen(keys[at]!).execPipeline();
    return a === value(keys[at]!) && b === Buffer.byteLength(value(keys[at]!));
  },
  async (db, at) => await db.with({ replyTimeout: 1 + at % 20 }).get(keys[at]!) === value(keys[at]!),
  async (db, at) => await db.with({ signal: AbortSignal.timeout(at % 20) }).get(keys[at]!) === value(keys[at]!),
  async (db) => {
    const found = new Set<string>();
    for await (const key of db.scanIterator({ MATCH: "fixed:*", COUNT: 50 })) found.add(key);
    return [...found].every((key) => keys.includes(key)) && (found.size === keys.length || undefined);
  },
];

/** Callers beside the oracle's, each with its own invariant; `end` waits for them and judges. */
async function company(scene: Scene, place: Place): Promise<() => Promise<void>> {
  const { db, replicas, servers } = place;
  let isOver = false;
  scene.atEnd(() => {
    isOver = true;
  });
  const wrong = (isWrong: boolean, what: string) => {
    if (isWrong) scene.counts.wrong++;
    scene.breach(isWrong, what);
  };
  const repeat = async (pause: number, within: number, work: (n: number) => Promise<unknown>) => {
    for (let n = 0; !isOver; n++) {
      scene.counts.operations++;
      const { state, error } = await scene.settled(work(n), within);
      scene.breach(error !== undefined && !(error instanceof RedisError), `a call failed with ${error}`);
      if (state === "hung") scene.breach(true, `a call hangs: ${work}`);
      await sleep(pause);
    }
  };
  const sure = replicas > 0 ? db.with({ durable: { replicas, timeout: 1_000 } }) as Handler : db;
  const popped = new Set<string>();
  let [done, unsure] = [0, 0];
  const published = new Set<number>();
  const holes: number[] = [];
  let [last, gap] = [-1, false];
  const feed = await db.subscribe("news", (item: any) => {
    if (item.gap !== undefined) return void (gap = true);
    const number = Number(item.message);
    // Another node may get late what its neighbour has passed on before.
    wrong(number <= last && !(gap && replicas > 0), `message ${number} came after ${last}`);
    if (!gap) for (let n = last + 1; n < number; n++) holes.push(n);
    [last, gap] = [Math.max(last, number), gap && number <= last];
  });
  const running = [
    ...range(4).map((lane) => repeat(10, DEADLINE, async (n) => {
      const way = (lane + n) % reads.length;
      const { isHurt, hurts } = place;
      const isRight = await reads[way]!(db, (n * 7) % 100);
      wrong(isRight === false, `a read gives what was never written: ${reads[way]}`);
      wrong(isRight === undefined && !isHurt && hurts === place.hurts, "an iteration misses keys");
    })),
    repeat(20, DEADLINE, (n) => db.rpush("queue", `${n}`)),
    ...range(2).map(() => repeat(5, DEADLINE + 1_000, async () => {
      const got = await db.blpop("queue", 0.05);
      if (got === null) return;
      // What was taken from a server that is lost is there again at the next.
      if (popped.has(got[1]) && replicas === 0) scene.counts.doubled++;
      popped.add(got[1]);
    })),
    ...range(2).map(() => repeat(15, 10 * DEADLINE, async () => {
      const isDone = sure.transaction(["count"], async (t) => {
        const count = Number(await t.get("count"));
        (await t.multi()).set("count", count + 1);
      });
      await isDone.then(() => done++, (error) => {
        if (error.outcome === "unknown" || error.outcome === "executed") unsure++;
        throw error;
      });
    })),
    repeat(20, DEADLINE, async (n) => {
      await db.publish("news", `${n}`);
      published.add(n);
    }),
  ];
  return async () => {
    isOver = true;
    await Promise.all(running);
    await feed.unsubscribe();
    const count = Number(await servers.call("GET", "count"));
    if (count < done) scene.counts.lost += done - count;
    if (count > done + unsure) scene.counts.doubled += count - done - unsure;
    // Nodes and replicas pass messages on to each other, and lose them without a word.
    const missing = replicas > 0 ? [] : holes.filter((n) => published.has(n));
    wrong(missing.length > 0, `messages ${missing} are missing, and no gap says so`);
  };
}

// ==== A turn ====

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

async function memory(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await sleep(10);
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

/** Number of sockets and timers that keep the process alive. */
const handles = () => process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Timeout/.test(name)).length;

type Turn = { kind: string; make: (typeof turns)[number][1]; chance: Chance; faults: number; pause: number };

/** One turn; returns its handler, which nothing should hold any more. */
async function take(scene: Scene, { kind, make, chance, faults, pause }: Turn, say: (text: string) => void): Promise<WeakRef<Handler>> {
  const place = await make(scene, chance);
  const { db, replicas, servers } = place;
  scene.atEnd(() => db.destroy());
  await until(() => db.ping().then(() => true, () => false), "the first reply");
  for (const key of keys) await servers.call("DEL", key);
  for (const key of keys) await db.set(key, value(key));
  const sure = replicas > 0 ? db.with({ durable: { replicas, timeout: 1_000 } }) : db;
  const log: Log = scene.log(sure, { workers: 16, lists: LISTS, deadline: DEADLINE + 2_000, pause: 4 }).start();
  await log.recovered();
  const end = await company(scene, place);
  for (let fault = 0; fault < faults; fault++) {
    const next = performance.now() + pause;
    const [what, run] = chance.pick(...place.faults);
    say(`${kind}: ${what}`);
    scene.counts.faults++;
    place.hurts++;
    place.isHurt = true;
    await run();
    const time = await log.recovered();
    place.isHurt = false;
    scene.recovered(time);
    scene.breach(time > SOON, `${kind}: no success soon after ${what}`);
    await sleep(Math.max(0, next - performance.now()));
  }
  await log.stop();
  await end();
  await scene.judge(log, servers);
  await db.disconnect();
  return new WeakRef(db);
}

export type SoakOptions = {
  seed: number;
  /** Rounds end after so many milliseconds; one is made in any case. */
  time: number;
  /** Number of faults of a turn, and milliseconds from one to the next at least. */
  faults: number;
  pause: number;
  /** Told of each fault, and of each turn. */
  say?: (text: string) => void;
};

export async function soak(scene: Scene, { seed, time, faults, pause, say = () => {} }: SoakOptions) {
  const chance = new Chance(seed);
  const start = performance.now();
  const before = await memory();
  let most = before + 32; // code that is compiled, the first time
  const isOver = (round: number) => round > 1 && performance.now() - start > time;
  for (let round = 1; !isOver(round); round++) {
    for (const [kind, make] of turns) {
      if (isOver(round)) break;
      const [base, seedOfTurn] = [handles(), chance.below(2 ** 31)];
      const part = scene.part(appending(scene.adapter));
      const handler = await take(part, { kind, make, chance: new Chance(seedOfTurn), faults, pause }, say).catch((error) => {
        part.breach(true, `${kind}: ${error.stack ?? error}`);
      });
      await part.end();
      const { counts } = part;
      scene.add(counts);
      const used = await memory();
      await until(() => handles() <= base, "", SOON).catch(() => {});
      scene.breach(handles() > base, `${kind}: ${handles() - base} sockets or timers are left`);
      scene.breach(handler?.deref() !== undefined, `${kind}: the handler is still held`);
      for (const breach of part.breaches) scene.breach(true, `${kind}, seed ${seedOfTurn}: ${breach}`);
      const { operations, acked, unknown, lost, doubled, wrong, lied, reordered, zombie, hung, recovery } = counts;
      const bad = Object.entries({ lost, doubled, wrong, lied, reordered, zombie, hung }).filter(([, count]) => count > 0);
      say(`round ${round}, ${kind}: ${counts.faults} faults, ${operations} operations, ${acked} acknowledged, ${unknown} unknown,` +
        ` back within ${Math.round(recovery)} ms, ${bad.join(" ") || "nothing wrong"};` +
        ` ${used.toFixed(1)} MB, resident ${Math.round(process.memoryUsage().rss / 2 ** 20)} MB, ${handles()} handles`);
      for (const breach of part.breaches) say(`BREACH: ${breach}`);
      scene.breach(used > most, `${kind}: ${used.toFixed(1)} MB are used in round ${round}, more than ${most.toFixed(1)}`);
    }
    if (round === 1) most = await memory() + 8;
  }
}

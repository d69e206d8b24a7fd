// The fault scenarios: each does one kind of harm to a client at work, and counts what became of its commands.
//
//     npm run faults                               all rows
//     npm run faults -- R02 R05 --scale 0.1        some, at a tenth of their size
//     npm run faults -- --client pool              pools, or shards, where a row is not about one connection
//     npm run faults -- soak --minutes 60 --seed 7 random faults, on one kind of handler after the other (soak.ts)
//     npm run faults -- R02 --client ioredis       another client (bench/clients.mjs), where a row is not redis.ts's own
//
// To add a row, add an entry to `rows`: `what` is a sentence, `run` does the harm and tells its Scene what it saw.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import {
  RedisCounter, RedisQueue, WatchError, lazyClusterConnectionPool, lazyConnection, lazyConnectionPool, lazyShardedConnection,
  script,
} from "../redis.ts";
import type { Handler, Options } from "../redis.ts";
import { Log, nothing, outcomeOf } from "./oracle.ts";
import type { Adapter, CallOptions, Counts, LogOptions, Opening, Outcome, Servers } from "./oracle.ts";
import { Proxy } from "./proxy.ts";
import type { Cut, Fate, Link } from "./proxy.ts";
import { RedisCluster, RedisServer, SLOT_TAGS, ScriptedSentinel, ScriptedServer, SentinelSet, until } from "./servers.ts";
import type { ServerOptions } from "./servers.ts";
import { soak } from "./soak.ts";
import type { SoakOptions } from "./soak.ts";

// ==== The client ====

export const redisTs: Adapter = {
  name: "redis.ts",
  open: ({ pool, ...opening }) => (pool === undefined ? lazyConnection : lazyConnectionPool)(optionsOf(opening, pool)),
  call(client, [name, ...args], options) {
    const view = options ? client.with({ replyTimeout: options.timeout, signal: options.signal }) : client;
    return view.call(name, ...args);
  },
  close: (client) => client.destroy(),
  multi(client, commands) {
    const pipeline = client.pipeline();
    for (const [name, ...args] of commands) pipeline.call(name, ...args);
    return pipeline.commit();
  },
  outcome: (error) => error.outcome,
  fenced: (error) => error.fenced === true,
  aborts: true,
  cluster: (ports, replyTimeout) =>
    lazyClusterConnectionPool(ports.map((port) => ({ host: "127.0.0.1", port })), { replyTimeout, poolsize: 4 }),
  sentinel: (hosts, master, replyTimeout, name) => lazyConnectionPool({ sentinels: hosts, master, replyTimeout, name, poolsize: 16 }),
};

const optionsOf = ({ port, ca, db = 0, user, timeout, connectTimeout }: Opening, poolsize?: number) => ({
  host: "127.0.0.1", port, dbid: db, username: user?.name, password: user?.password, tls: ca ? { ca } : false,
  replyTimeout: timeout, connectTimeout, poolsize,
});

/** Two names for one server are two shards of it: whatever goes wrong between them shows in the same lists. */
const shardsOf = ({ port, ...rest }: Opening) => {
  const { port: _, host, ...options } = optionsOf({ port, ...rest });
  return lazyShardedConnection([host, "localhost"].map((host) => ({ host, port })), options);
};

const forms: Record<string, Adapter> = {
  "redis.ts": redisTs,
  pool: {
    ...redisTs, name: "redis.ts, pools of four", connections: 4, cluster: undefined, sentinel: undefined,
    open: (opening) => lazyConnectionPool(optionsOf(opening, 4)),
  },
  shards: { ...redisTs, name: "redis.ts, two shards", open: shardsOf, connections: 2, cluster: undefined, sentinel: undefined },
};

// ==== The scene ====

export type Result = Counts & { breaches: string[] };

type Settled = { state: "acked" | "hung" | Outcome; value?: any; error?: any };

/** So much time in which this process runs: where the machine stalls, it and its timers have the rest afterwards. */
async function running(time: number): Promise<void> {
  for (let left = time; left > 0; left -= 100) await sleep(Math.min(left, 100));
}

/** Where a row happens: makes servers, proxies and clients, ends them, and keeps the count. */
export class Scene {
  readonly counts = nothing();
  readonly breaches: string[] = [];
  readonly scale: number;
  readonly adapter: Adapter;
  #endings: (() => unknown)[] = [];

  constructor(scale: number, adapter: Adapter) {
    this.scale = scale;
    this.adapter = adapter;
  }

  /** So many of `full` as the scale says, and at least `least`. */
  times(full: number, least = 1): number {
    return Math.max(least, Math.round(full * this.scale));
  }

  async server(options: ServerOptions = {}): Promise<RedisServer> {
    const server = await RedisServer.start({ unix: false, ...options });
    this.atEnd(() => server.stop());
    return server;
  }

  /** A master and its replica. */
  async pair(): Promise<[master: RedisServer, replica: RedisServer]> {
    const args = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
    const [master, replica] = [await this.server({ args }), await this.server({ args })];
    await replica.call("REPLICAOF", master.host, `${master.port}`);
    return [master, replica];
  }

  /** A server whose data outlives a kill: what it has answered is written, if not yet on the disk. */
  durable(...args: string[]): Promise<RedisServer> {
    return this.server({ aof: true, args });
  }

  async proxy(port: number): Promise<Proxy> {
    const proxy = await Proxy.start({ host: "127.0.0.1", port });
    this.atEnd(() => {
      this.counts.faults += proxy.faults;
      return proxy.stop();
    });
    return proxy;
  }

  async scripted(script: Parameters<typeof ScriptedServer.start>[0]): Promise<ScriptedServer> {
    const scripted = await ScriptedServer.start(script);
    this.atEnd(() => scripted.stop());
    return scripted;
  }

  async open(options: Opening): Promise<any> {
    const client = await this.adapter.open(options);
    this.atEnd(() => this.adapter.close(client));
    return client;
  }

  /** A cluster of three primaries and their replicas, and a client of it at work. */
  async cluster(): Promise<[cluster: RedisCluster, log: Log]> {
    const cluster = await RedisCluster.start();
    this.atEnd(() => cluster.stop());
    const client = await this.adapter.cluster!(cluster.servers.map(({ port }) => port), 10_000);
    this.atEnd(() => this.adapter.close(client));
    const log = this.log(client, { lists: 16, deadline: 10_000 }).start();
    await log.recovered();
    return [cluster, log];
  }

  /** A handler of redis.ts, for rows that are about what only it has. */
  db(options: Options): Handler {
    const db = lazyConnectionPool({ host: "127.0.0.1", poolsize: 1, ...options }) as Handler;
    this.atEnd(() => db.destroy());
    return db;
  }

  /** A scene within this one, which ends by itself; its counts and breaches are its own. */
  part(adapter: Adapter): Scene {
    return new Scene(this.scale, adapter);
  }

  log(client: any, options?: LogOptions): Log {
    const log = new Log(this.adapter, client, options);
    this.atEnd(() => log.stop()); // else a row that fails leaves its workers to those after it
    return log;
  }

  call(client: any, args: string[], options?: CallOptions): Promise<any> {
    this.counts.operations++;
    return this.adapter.call(client, args, options);
  }

  /** What became of a command; "hung" if nothing did within so many milliseconds, and SLACK. */
  async settled(promise: Promise<unknown>, within: number): Promise<Settled> {
    const late = new AbortController();
    const hung = sleep(within + SLACK, undefined, { signal: late.signal }).then(() => running(300), () => {})
      .then(() => ({ state: "hung" as const }));
    const settled = promise.then(
      (value) => ({ state: "acked" as const, value }),
      (error) => ({ state: outcomeOf(this.adapter, error), error }),
    );
    const what = await Promise.race([settled, hung]);
    late.abort();
    this.count(what.state);
    return what;
  }

  count(state: "acked" | "hung" | Outcome) {
    const { counts } = this;
    if (state === "acked") counts.acked++;
    else if (state === "hung") counts.hung++;
    else if (state === "unknown") counts.unknown++;
    else if (state === "not-sent") counts.notSent++;
    else counts.refused++;
  }

  /** Calls until it succeeds; fails with the last error. */
  async eventually(client: any, args: string[], { within = 30_000, pause = 5 } = {}): Promise<any> {
    const end = performance.now() + within;
    for (;;) {
      const { state, value, error } = await this.settled(this.call(client, args), end - performance.now());
      if (state === "acked") return value;
      if (performance.now() > end || state === "hung") throw error ?? new Error(`${args[0]} hangs`);
      await sleep(pause);
    }
  }

  add(counts: Counts) {
    for (const name of Object.keys(counts) as (keyof Counts)[]) {
      if (name === "recovery") this.recovered(counts.recovery);
      else this.counts[name] += counts[name];
    }
  }

  recovered(time: number) {
    this.counts.recovery = Math.max(this.counts.recovery, time);
  }

  /** Waits for what shows that all is well again; gives how long that took. */
  async recovery(well: Promise<unknown>): Promise<number> {
    const since = performance.now();
    await well;
    const time = performance.now() - since;
    this.recovered(time);
    return time;
  }

  /**
   * Ends the workers of a log, and counts what the server shows of them. `fenced`: whether a write of unknown outcome
   * is ended before later ones; it cannot be through another member.
   */
  async judge(log: Log, server: Servers, fenced = true): Promise<Counts> {
    await log.stop();
    const counts = await log.judge(server);
    if (!fenced) counts.zombie = counts.reordered = 0;
    this.add(counts);
    return counts;
  }

  /** A criterion that was not met. */
  breach(isBreach: boolean, what: string) {
    if (isBreach && !this.breaches.includes(what)) this.breaches.push(what);
  }

  /** Runs `work` for each item, `lanes` of them at a time. */
  async lanes<T>(lanes: number, items: readonly T[], work: (item: T, lane: number) => Promise<void>) {
    const queue = items.values();
    await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
      for (const item of queue) await work(item, lane);
    }));
  }

  atEnd(ending: () => unknown) {
    this.#endings.push(ending);
  }

  async end() {
    for (const ending of this.#endings.splice(0).reverse()) {
      try {
        await ending();
      } catch (error) {
        this.breach(true, `at the end: ${error}`);
      }
    }
  }
}

/** What is a breach wherever it happens. */
const crimes = ["lost", "doubled", "wrong", "lied", "reordered", "zombie", "hung"] as const;

export async function run(row: Row, scale: number, adapter: Adapter): Promise<Result> {
  const scene = new Scene(scale, adapter);
  try {
    await row.run(scene);
  } catch (error: any) {
    scene.breach(true, String(error?.stack ?? error).split("\n").slice(0, 3).join(" "));
  } finally {
    await scene.end();
  }
  for (const crime of crimes) scene.breach(scene.counts[crime] > 0, `${scene.counts[crime]} ${crime}`);
  return { ...scene.counts, breaches: scene.breaches };
}

export type Row = {
  id: string;
  what: string;
  run(scene: Scene): Promise<void>;
  /**
   * It uses features that only redis.ts has; it needs signals, clusters or Sentinels; its judgement holds for a single
   * connection only.
   */
  needs?: "redis.ts" | "signals" | "one connection" | "cluster" | "sentinel";
  /** It keeps a core busy, so no other such row runs beside it; or it must have the process to itself. */
  load?: "busy" | "alone";
};

const random = (most: number) => Math.random() * most;
const range = (length: number) => Array.from({ length }, (_, i) => i);

/** A recovery that takes longer has failed. How soon things recover is shown in virtual time: see sim.ts. */
const SOON = 15_000;
/** A call that takes so much longer than it should hangs, and is not just slow because the machine is. */
const SLACK = 10_000;

/** For so long a server may be away without a caller's being told. */
const PATIENCE = 250;

// ==== A. Delivery ====

const R01: Row = {
  id: "R01",
  what: "a server that is killed and restarted loses nothing that was acknowledged, and no caller sees that it was away",
  load: "busy",
  async run(scene) {
    const server = await scene.durable();
    const log = scene.log(await scene.open({ port: server.port, timeout: 5000 })).start();
    await log.recovered();
    const kills = scene.times(200, 3);
    for (let kill = 0; kill < kills; kill++) {
      await sleep(20 + random(60));
      const since = performance.now();
      await server.kill();
      await server.restart();
      scene.recovered(await log.recovered());
      if (performance.now() - since > PATIENCE) log.refusals.clear(); // a server that is away, and callers are told so
    }
    scene.counts.faults += kills;
    await scene.judge(log, server);
    const { unknown, recovery } = scene.counts;
    scene.breach(unknown > 64 * kills, `${unknown} unknown in ${kills} kills`);
    scene.breach(log.refusals.size > 0, `callers saw ${[...log.refusals]}`);
    scene.breach(recovery > SOON, "no success soon after the server was back");
  },
};

const R02: Row = {
  id: "R02",
  what: "connections that the server kills under 64 callers apply nothing twice, and leave nobody hanging",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    const log = scene.log(await scene.open({ port: server.port, timeout: 5000 })).start();
    await log.recovered();
    for (let kill = scene.times(1000, 10); kill > 0; kill--) {
      scene.counts.faults += await server.call("CLIENT", "KILL", "TYPE", "normal");
      const time = await log.recovered();
      scene.recovered(time);
      if (time > SOON) break; // whoever has lost its connection for ever is found hanging
      await sleep(random(5));
    }
    await scene.judge(log, server);
  },
};

const R03: Row = {
  id: "R03",
  what: "a pipeline cut after any byte of its requests or its replies is told truly, and MULTI is all or nothing",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    const step = Math.max(1, Math.round(1 / scene.scale));
    const size = { up: 0, down: 0 };
    const pipeline = async (name: string, proxy: Proxy, harm: (link: Link) => void) => {
      const client = await scene.adapter.open({ port: proxy.port, timeout: 5000 });
      try {
        await scene.eventually(client, ["PING"]);
        const links = proxy.open.map((link) => ({ link, up: link.up.passed, down: link.down.passed }));
        for (const { link } of links) harm(link);
        const log = scene.log(client, { lists: 1, prefix: `${name}:` });
        const head = range(8).map((k) => log.append(0, k));
        const multi = scene.settled(
          scene.adapter.multi(client, range(5).map((k) => ["RPUSH", `${name}:multi`, `${k}`])), 7000);
        const tail = range(7).map((k) => log.append(0, 8 + k));
        await Promise.race([Promise.all([...head, ...tail]), sleep(7000 + SLACK)]);
        const { state } = await multi;
        for (const direction of ["up", "down"] as const) {
          const passed = links.map(({ link, [direction]: before }) => link[direction].passed - before);
          size[direction] = Math.max(size[direction], ...passed);
        }
        scene.add(await log.judge(server));
        const there = await server.call("LLEN", `${name}:multi`);
        scene.breach(there !== 0 && there !== 5, `${there} of 5 commands of a MULTI were done`);
        scene.breach(there === 0 && state === "acked", "a MULTI that was acknowledged was not done");
        scene.breach(there > 0 && state !== "acked" && state !== "unknown", `a MULTI said to be ${state} was done`);
      } finally {
        await scene.adapter.close(client);
      }
    };
    const proxies = await Promise.all(range(6).map(() => scene.proxy(server.port)));
    await pipeline("whole", proxies[0]!, () => {});
    const cuts = (["up", "down"] as const).flatMap((direction) => (["fin", "rst"] as const).flatMap((cut) =>
      range(Math.ceil(size[direction] / step)).map((n) => ({ direction, cut, byte: n * step + Math.floor(random(step)) }))));
    await scene.lanes(proxies.length, cuts, async ({ direction, cut, byte }, lane) => {
      await pipeline(`${direction}-${cut}-${byte}`, proxies[lane]!, (link) => link[direction].cutAfter(byte, cut));
    });
  },
};

/** A write times out, a later one is acknowledged, and then the bytes of the first arrive. */
async function zombie(scene: Scene, times: number, { tls = false, pool = 1, freeze = false }) {
  const server = await scene.server({ tls });
  const proxy = await scene.proxy(tls ? server.tlsPort : server.port);
  const { ca } = server.certs ?? {};
  const client = await scene.open({ port: proxy.port, timeout: 300, connectTimeout: 500, pool, ...(ca ? { ca: ca.cert } : {}) });
  for (let time = 0; time < times; time++) {
    const key = `k:${time}`;
    await scene.eventually(client, ["PING"]);
    if (freeze) server.freeze();
    else proxy.hold();
    const held = proxy.open;
    const old = await scene.settled(scene.call(client, ["SET", key, "old"]), 3000);
    if (freeze) server.thaw();
    else proxy.heal();
    await scene.eventually(client, ["SET", key, "new"]);
    const { error } = old;
    if (scene.adapter.fenced && error) scene.breach(!scene.adapter.fenced(error), "not said to be fenced");
    scene.breach(old.state !== "unknown" && old.state !== "hung", `a write that timed out is ${old.state}`);
    proxy.release();
    // Until the server has read what was held, and its end; a client that never closed leaves it open.
    await until(() => held.every((link) => link.gone), "", 500).catch(() => {});
    scene.breach((await server.call("GET", key)) !== "new", "the old value came back");
    if (freeze) scene.counts.faults++;
  }
}

const R04: Row = {
  id: "R04",
  what: "a write that timed out never comes back over one that was acknowledged later",
  async run(scene) {
    const times = scene.times(30);
    await Promise.all([
      zombie(scene, times, {}), zombie(scene, times, { pool: 3 }), zombie(scene, times, { tls: true }),
      zombie(scene, times, { freeze: true }), zombie(scene, times, { freeze: true, tls: true }),
    ]);
  },
};

const R05: Row = {
  id: "R05",
  what: "a command whose reply is lost one to five times is repeated if it reads, and done once if it writes",
  async run(scene) {
    const server = await scene.server();
    const lane = async (mode: Cut | "swallow", numbers: number[]) => {
      const proxy = await scene.proxy(server.port);
      const left = new Map<string, number>();
      proxy.onReply = ({ words: [, key = ""] }): Fate => {
        const losses = left.get(key) ?? 0;
        left.set(key, losses - 1);
        return losses > 0 ? mode : "pass";
      };
      const client = await scene.open({ port: proxy.port, timeout: mode === "swallow" ? 150 : 30_000 });
      for (const number of numbers) {
        const [read, write] = [`r:${mode}:${number}`, `w:${mode}:${number}`];
        await server.call("SET", read, read);
        await scene.eventually(client, ["PING"]);
        for (const key of [read, write]) left.set(key, 1 + (number % 5));
        const got = await scene.settled(scene.call(client, ["GET", read]), 30_000);
        if (got.state === "acked" && got.value !== read) scene.counts.wrong++;
        // A reply that never comes, on a connection that lives, leaves no time to ask again.
        const lost = `${1 + (number % 5)} times`;
        scene.breach(mode !== "swallow" && got.state !== "acked", `a read was ${got.state}, its reply lost ${lost}`);
        await scene.eventually(client, ["PING"]);
        const { state } = await scene.settled(scene.call(client, ["INCR", write]), 30_000);
        const done = Number(await server.call("GET", write));
        if (done > 1) scene.counts.doubled++;
        scene.breach(state !== "unknown" && state !== "hung", `a write whose reply was lost is ${state}`);
      }
    };
    const each = scene.times(20, 3);
    await Promise.all((["rst", "fin", "swallow"] as const).flatMap((mode) =>
      range(4).map((n) => lane(mode, range(mode === "swallow" ? Math.min(5, each) : each).map((i) => i * 4 + n)))));
  },
};

const R06: Row = {
  id: "R06",
  what: "commands that nobody awaited stand in the order of the program, with holes only where they were rejected",
  needs: "one connection",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    const client = await scene.open({ port: server.port, timeout: 30_000 });
    const log = scene.log(client, { lists: 1, deadline: 30_000 });
    const kills = scene.times(100, 4);
    let k = 0;
    const issue = (count: number) => {
      for (const end = k + count; k < end; k++) void log.append(0, k);
    };
    const kill = async () => {
      const killed = await server.call("CLIENT", "KILL", "TYPE", "normal");
      scene.counts.faults += killed;
    };
    for (let round = 0; round < kills; round++) {
      const fatal = Math.floor(random(5));
      for (let burst = 0; burst < 5; burst++) {
        // What is issued now is written at the end of this tick, beside the order to kill.
        if (burst === fatal) void kill();
        issue(200);
        await turn();
      }
      let back = false;
      const recovered = log.recovered(30_000).then(() => (back = true));
      for (; !back; await sleep(1)) issue(1);
      await recovered;
    }
    await scene.judge(log, server);
  },
};

const R07: Row = {
  id: "R07",
  what: "commands that wait for a server that does not answer keep their order, their deadlines and their bound",
  needs: "redis.ts",
  async run(scene) {
    const server = await scene.server();
    const proxy = await scene.proxy(server.port);
    const hole = scene.times(3000, 1500);
    proxy.hold(); // an attempt is under way all the time, so nobody is told that the server is down
    const db = scene.db({ port: proxy.port, maxPending: 4000, replyTimeout: 60_000, connectTimeout: 60_000 });
    const hasty = db.with({ replyTimeout: 1000 });
    for (const round of [1, 2]) {
      const key = `list:${round}`;
      const begun = performance.now();
      const ends: number[] = [];
      const calls = range(5000).map((i) => {
        const call = (i % 4 === 3 ? hasty : db).call("RPUSH", key, `${i}`);
        const end = () => void (ends[i] = performance.now() - begun);
        call.then(end, end);
        return scene.settled(call, 60_000);
      });
      await turn();
      scene.breach(ends[4000] === undefined, "the command over the bound was not rejected at once");
      await Promise.all([sleep(hole), ...calls.filter((_, i) => i % 4 === 3)]);
      const released = performance.now() - begun;
      proxy.release();
      const settled = await Promise.all(calls);
      scene.counts.operations += calls.length;
      const kept = settled.flatMap(({ state }, i) => (state === "acked" ? [`${i}`] : []));
      scene.breach(String(await server.call("LRANGE", key, "0", "-1")) !== String(kept), "the list has another order");
      for (const [i, { state }] of settled.entries()) {
        const expected = i >= 4000 || i % 4 === 3 ? "not-sent" : "acked";
        scene.breach(state !== expected, `one that should be ${expected} is ${state}`);
        const due = i < 4000 && i % 4 === 3 ? 1000 : 0;
        if (state === "not-sent") scene.breach(ends[i]! < due - 20 || ends[i]! > released, "rejected at a wrong time");
      }
      if (round === 2) break;
      proxy.hold();
      proxy.cut("rst");
      await until(() => proxy.connections === 2, "the next attempt");
    }
  },
};

// ==== B. Timeouts, cancelling, half-open connections ====

const R08: Row = {
  id: "R08",
  what: "everything a frozen server was asked settles in time, and no reply is wrong once it goes on",
  async run(scene) {
    const server = await scene.server();
    const client = await scene.open({ port: server.port, timeout: 500 });
    await scene.eventually(client, ["PING"]);
    const log = scene.log(client, { deadline: 500 });
    const calls = range(64).map((worker) => log.append(worker, 0));
    server.freeze();
    scene.counts.faults++;
    await turn();
    for (let i = 0; i < 1000; i++) calls.push(log.append(i % 64, 1 + Math.floor(i / 64)));
    await sleep(scene.times(10_000, 2500));
    await until(() => log.pending === 0, "", SLACK).catch(() => {});
    scene.breach(log.pending > 0, `${log.pending} pending long after their deadline`);
    server.thaw();
    await scene.recovery(scene.eventually(client, ["PING"]).catch(() => {}));
    for (let k = 100; k < 110; k++) {
      await Promise.race([Promise.all(range(64).map((worker) => log.append(worker, k))), sleep(3000 + SLACK)]);
    }
    await scene.judge(log, server);
  },
};

const R09: Row = {
  id: "R09",
  what: "a call that is cancelled at any moment takes nobody's reply, and costs no connection",
  needs: "signals",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    const proxy = await scene.proxy(server.port);
    proxy.delay = () => random(5);
    const client = await scene.open({ port: proxy.port, timeout: 10_000 });
    await scene.eventually(client, ["PING"]);
    let cancels = scene.times(100_000, 2000);
    await Promise.all(range(64).map(async (worker) => {
      for (let k = 0; cancels > 0; k++) {
        const nonce = `${worker}:${k}`;
        const controller = new AbortController();
        let settled = false;
        const echo = scene.call(client, ["EVAL", "return KEYS[1]", "1", nonce], { signal: controller.signal });
        const call = scene.settled(echo, 12_000);
        void call.then(() => void (settled = true));
        if (k % 2) {
          const moment = Math.floor(random(4));
          if (moment === 1) await turn();
          else if (moment > 1) await sleep(random(10));
          if (!settled) {
            scene.counts.faults++;
            cancels--;
            controller.abort();
            await turn();
            scene.breach(!settled, "a cancelled call was not rejected at once");
          }
        }
        const { state, value } = await call;
        if (state === "acked" && value !== nonce) scene.counts.wrong++;
      }
    }));
    scene.breach(proxy.connections > (scene.adapter.connections ?? 1), `${proxy.connections} connections`);
  },
};

const R10: Row = {
  id: "R10",
  what: "commands at a server that sleeps or pauses time out when they should, and their late replies reach nobody",
  async run(scene) {
    const pause = scene.times(2000, 2000);
    await Promise.all((["SLEEP", "ALL", "WRITE"] as const).map(async (kind) => {
      const server = await scene.server();
      const client = await scene.open({ port: server.port, timeout: 200, connectTimeout: 1000 });
      const reader = await scene.open({ port: server.port, timeout: 2000 });
      const log = scene.log(client, { deadline: 200, workers: 16 });
      for (let round = 0; round < scene.times(50, 1); round++) {
        for (const each of [client, reader]) await scene.eventually(each, ["PING"]);
        const over = sleep(pause);
        const command = kind === "SLEEP" ? ["DEBUG", "SLEEP", `${pause / 1000}`] : ["CLIENT", "PAUSE", `${pause}`, kind];
        const paused = server.call(...command);
        if (kind !== "SLEEP") await paused;
        scene.counts.faults++;
        const calls = range(16).map((worker) => log.append(worker, round * 100));
        if (kind === "WRITE") {
          const { state } = await scene.settled(scene.call(reader, ["GET", "k"]), pause / 2);
          scene.breach(state !== "acked", `a read while writes were paused is ${state}`);
        }
        await Promise.race([Promise.all(calls), over]);
        scene.breach(log.pending > 0, `${log.pending} pending long after their deadline`);
        await Promise.all([over, paused]);
        await scene.recovery(scene.eventually(client, ["PING"]).catch(() => {}));
        await Promise.all(range(16).map((worker) => log.append(worker, round * 100 + 1)));
      }
      await scene.judge(log, server);
    }));
  },
};

const R11: Row = {
  id: "R11",
  what: "a connection into a black hole is noticed soon, whether it is used or idle, and left",
  needs: "redis.ts",
  async run(scene) {
    const server = await scene.server();
    await Promise.all([false, true].map(async (active) => {
      const proxy = await scene.proxy(server.port);
      const db = scene.db({ port: proxy.port, pingInterval: 500, replyTimeout: 500, connectTimeout: 500 });
      for (let round = scene.times(20, 1); round > 0; round--) {
        await scene.eventually(db, ["PING"]);
        const link = proxy.open.at(-1)!;
        proxy.hold();
        if (active) void scene.settled(scene.call(db, ["INCR", "k"]), 3000);
        const left = await Promise.race([link.left.then(() => true), running(1200 + SLACK).then(() => false)]);
        scene.breach(!left, `an ${active ? "active" : "idle"} connection was not left in time`);
        proxy.heal();
        const healed = performance.now();
        await scene.eventually(db, ["PING"]);
        scene.recovered(performance.now() - healed);
        proxy.release();
      }
    }));
    scene.breach(scene.counts.recovery > SOON, "no success soon after the hole was gone");
  },
};

const R12: Row = {
  id: "R12",
  what: "a connection on which any step of the handshake stalls, is late, refused or cut is thrown away, and the next one serves",
  needs: "one connection",
  async run(scene) {
    const server = await scene.server({ tls: true });
    await server.call("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all");
    const opening = { db: 5, user: { name: "app", password: "secret" }, timeout: 20_000, connectTimeout: 300 };
    const serve = async (what: string, harm: (proxy: Proxy) => void, { late = false, tls = false } = {}): Promise<number> => {
      const proxy = await scene.proxy(tls ? server.tlsPort : server.port);
      let steps = 0;
      if (!tls) proxy.onReply = ({ words, nth }) => {
        if (words[0] === "ECHO") steps ||= nth - 1;
        return "pass";
      };
      harm(proxy);
      const client = await scene.open({ ...opening, port: proxy.port, ...(tls ? { ca: server.certs!.ca.cert } : {}) });
      const since = performance.now();
      const replies = Promise.allSettled(range(10).map((i) => scene.eventually(client, ["ECHO", `${what} ${i}`])));
      // What was late arrives after its time.
      if (late) {
        await until(() => proxy.links.length > 1, "", 3000).catch(() => {});
        proxy.release();
      }
      for (const [i, reply] of (await replies).entries()) {
        if (reply.status === "rejected") scene.breach(true, `${what}: not served: ${reply.reason}`);
        else if (reply.value !== `${what} ${i}`) scene.counts.wrong++;
      }
      scene.recovered(performance.now() - since);
      const info = String(await scene.eventually(client, ["CLIENT", "INFO"]));
      scene.breach(!/ db=5 /.test(info) || !/ user=app /.test(info), `${what}: user or database was lost`);
      return steps;
    };
    const steps = await serve("whole", () => {});
    scene.breach(steps === 0, "no handshake was seen");
    const first = (nth: number, fate: Fate) => (proxy: Proxy) => {
      const pass = proxy.onReply!;
      proxy.onReply = (asked) => (asked.link.id === 1 && asked.nth === nth ? fate : pass(asked));
    };
    await Promise.all([
      ...[false, true].map((tls) => serve(tls ? "silent below TLS" : "silent", (proxy) => {
        proxy.hold();
        setTimeout(() => proxy.heal(), 100);
      }, { tls })),
      serve("closed", (proxy) => {
        proxy.refuse = true;
        setTimeout(() => void (proxy.refuse = false), 100);
      }),
      ...range(steps).flatMap((step) => [
        serve(`step ${step} stalled`, first(step + 1, "hold")),
        serve(`step ${step} late`, first(step + 1, "hold"), { late: true }),
        serve(`step ${step} refused`, first(step + 1, { instead: "-ERR not now\r\n" })),
        serve(`step ${step} reset`, first(step + 1, "rst")),
        serve(`step ${step} closed`, first(step + 1, "fin")),
      ]),
    ]);
  },
};

const R13: Row = {
  id: "R13",
  what: "consumers that block are given each element once, and go on when their connections are lost",
  needs: "redis.ts",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    const db = scene.db({ port: server.port, poolsize: 24 });
    await db.ready();
    const { counts } = scene;
    const popped = new Map<string, number>();
    let running = true;
    const consume = async (work: () => Promise<void>) => {
      while (running) await work().catch(async (error) => {
        if (running) scene.count(error.outcome);
        await sleep(5);
      });
    };
    const pop = async () => {
      const got = await db.blpop("queue", 0);
      if (got) popped.set(got[1], (popped.get(got[1]) ?? 0) + 1);
    };
    const readers = range(5).map(() => ({ last: "0", seen: [] as string[] }));
    const consumers = [
      ...range(10).map(() => consume(pop)),
      ...range(5).map(() => consume(async () => void (await db.blmove("moving", "moved", "LEFT", "RIGHT", 0)))),
      ...readers.map((reader) => consume(async () => {
        const streams = (await db.call("XREAD", "BLOCK", 0, "STREAMS", "stream", reader.last)) as Record<string, any>;
        for (const [id, fields] of streams?.["stream"] ?? []) {
          reader.last = id;
          reader.seen.push(fields.n);
        }
      })),
    ];
    let number = 0;
    for (let kill = scene.times(100, 5); kill > 0; kill--) {
      for (let i = 0; i < 20; i++, number++) {
        const given = [["RPUSH", "queue"], ["RPUSH", "moving"], ["XADD", "stream", "*", "n"]];
        await Promise.all(given.map((words) => server.call(...words, `${number}`)));
      }
      if (kill % 5 === 0) {
        const [id] = /(?<=^id=)\d+(?=.* cmd=blpop)/m.exec(await server.call("CLIENT", "LIST")) ?? [];
        if (id) await server.call("CLIENT", "UNBLOCK", id, kill % 2 ? "ERROR" : "TIMEOUT");
      }
      const before = performance.now();
      await db.get("k");
      scene.breach(performance.now() - before > SOON, "others were kept waiting by those that block");
      counts.faults += await server.call("CLIENT", "KILL", "TYPE", "normal");
      const isBlocked = async () => /blocked_clients:20\b/.test(await server.call("INFO", "clients"));
      await scene.recovery(until(isBlocked, "the consumers"));
    }
    await until(async () => (await server.call("LLEN", "queue")) + (await server.call("LLEN", "moving")) === 0, "the rest");
    await until(() => readers.every(({ seen }) => seen.length >= number), "the readers").catch(() => {});
    running = false;
    db.destroy();
    await Promise.all(consumers);
    counts.operations = number * 3;
    counts.acked += popped.size;
    for (const times of popped.values()) if (times > 1) counts.doubled++;
    const all = String(range(number));
    if (String((await server.call("LRANGE", "moved", "0", "-1")).map(Number).sort((a: number, b: number) => a - b)) !== all) {
      counts.lost++;
    }
    for (const { seen } of readers) if (String(seen) !== all) counts.wrong++;
  },
};

// ==== C. States of a server ====

const R14: Row = {
  id: "R14",
  what: "while a server loads its data commands wait, within their deadline, and ask it seldom",
  load: "busy",
  async run(scene) {
    const loading = scene.times(3000, 900);
    const slow = ["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no"];
    const server = await scene.server({ args: slow });
    for (let i = 0; i < loading / 10; i++) await server.call("SET", `filler:${i}`, `${i}`.padEnd(2048));
    const proxy = await scene.proxy(server.port);
    let asked = 0;
    proxy.onReply = ({ words }) => {
      if (words[0] === "RPUSH") asked++;
      return "pass";
    };
    const client = await scene.open({ port: proxy.port, timeout: 60_000 });
    const log = scene.log(client, { deadline: 60_000 }).start();
    await log.recovered();
    const isLoading = () => server.call("PING").then(() => false, (error) => /^LOADING/.test(error.message));
    for (let round = scene.times(10, 1); round > 0; round--) {
      await server.call("SHUTDOWN", "SAVE").catch(() => {}); // nothing is lost, and nothing needs to be replayed
      const back = server.restart();
      await until(isLoading, "LOADING");
      const since = performance.now();
      asked = 0;
      const hasty = await scene.settled(scene.call(client, ["RPUSH", "hasty", "x"], { timeout: loading / 3 }), 12_000);
      const honest = hasty.state === "not-executed" || hasty.state === "not-sent";
      if (scene.adapter.outcome) scene.breach(!honest, `one whose deadline was shorter is ${hasty.state}`);
      await back;
      // Each of the 64 callers is refused once, perhaps twice; from then on it is 20 a second, or 40 to be generous.
      const most = 2 * 64 + (40 * (performance.now() - since)) / 1000;
      scene.breach(asked > most, `${asked} commands while it was loading, ${Math.round(most)} would do`);
      scene.recovered(await log.recovered());
      scene.counts.faults++;
    }
    const counts = await scene.judge(log, server);
    scene.breach(counts.refused > 0, `callers saw ${[...log.refusals]}`);
    scene.breach(scene.counts.recovery > SOON, "no success soon after the server was ready");
  },
};

/** What servers say, and whether it can come from inside of a script. */
const refusals: [text: string, inScripts?: boolean][] = [
  ["LOADING Redis is loading the dataset in memory"],
  ["READONLY You can't write against a read only replica.", true],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."],
  ["BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."],
  ["OOM command not allowed when used memory > 'maxmemory'.", true],
  ["MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", true],
  ["NOREPLICAS Not enough good replicas to write.", true],
  ["NOAUTH Authentication required."],
  ["WRONGPASS invalid username-password pair or user is disabled."],
  ["NOPERM this user has no permissions to run the 'get' command", true],
  ["CROSSSLOT Keys in request don't hash to the same slot"],
  ["EXECABORT Transaction discarded because of previous errors."],
  ["NOSCRIPT No matching script. Please use EVAL."],
  ["WRONGTYPE Operation against a key holding the wrong kind of value", true],
  ["UNBLOCKED client unblocked via CLIENT UNBLOCK"],
  ["TRYAGAIN Multiple keys request during rehashing of slot"],
  ["ERR max number of clients reached"],
  ["DENIED Redis is running in protected mode"],
];

const R15: Row = {
  id: "R15",
  what: "each error of a server has its code and its outcome wherever it comes, and its neighbours have their replies",
  needs: "redis.ts",
  async run(scene) {
    const check = (where: string, code: string, error: any, outcomes: Outcome[]) => {
      scene.counts.operations++;
      scene.counts.refused++;
      scene.breach(error?.code !== code, `${code} ${where}: the code is ${error?.code}`);
      scene.breach(!outcomes.includes(error?.outcome), `${code} ${where}: the outcome is ${error?.outcome}`);
    };
    // A machine that stalls just when a command is asked once more has the answer cut off by the deadline.
    const unstalled = async <T>(ask: () => Promise<T>, errorOf: (result: T) => any): Promise<T> => {
      for (let time = 0; ; time++) {
        const result = await ask();
        if (time === 4 || errorOf(result)?.code !== "REPLY_TIMEOUT") return result;
      }
    };
    await Promise.all(refusals.map(async ([text, inScripts]) => {
      const code = text.slice(0, text.indexOf(" "));
      const scripted = await scene.scripted(async (peer) => {
        await peer.hello();
        for (let queued: string[] | undefined; ; ) {
          const [name = "", key] = await peer.read();
          const reply = key === "bad" || name === "EVAL" ? `-${text}\r\n` : `+${key}\r\n`;
          if (reply[0] === "-") scene.counts.faults++;
          if (name === "CLIENT") peer.write("-ERR unknown\r\n");
          else if (name === "MULTI") peer.write("+OK\r\n"), (queued = []);
          else if (name === "EXEC") peer.write(`*${queued!.length}\r\n${queued!.join("")}`), (queued = undefined);
          else if (queued) peer.write("+QUEUED\r\n"), queued.push(reply);
          else peer.write(reply);
        }
      });
      const db = scene.db({ port: scripted.port, replyTimeout: 400 });
      await db.ready();
      const gathered = () => db.pipeline().call("GET", "a").call("GET", "bad").call("GET", "b");
      for (const [where, replies] of [
        ["in a pipeline", await gathered().execPipeline({ errors: "return" })],
        ["in MULTI", await gathered().commit()],
      ] as [string, any[]][]) {
        check(where, code, replies[1], ["not-executed"]);
        if (replies[0] !== "a" || replies[2] !== "b") scene.counts.wrong++;
      }
      const script = await db.call("EVAL", "return 1", 0).then(() => undefined, (error) => error);
      check("from a script", code, script, inScripts ? ["unknown"] : ["unknown", "not-executed"]);
      const [before, single, after] = await unstalled(
        () => Promise.allSettled(["a", "bad", "b"].map((key) => db.call("GET", key))), ([, single]: any) => single.reason);
      check("alone", code, (single as PromiseRejectedResult).reason, ["not-executed"]);
      if ((before as any).value !== "a" || (after as any).value !== "b") scene.counts.wrong++;
      const mayClose = code === "READONLY" || code === "NOAUTH";
      scene.breach(!mayClose && scripted.connections > 1, `${code}: the connection was given up`);
    }));

    const server = await scene.server();
    const db = scene.db({ port: server.port });
    const fail = (call: Promise<unknown>) => call.then(() => undefined, (error) => error);
    await db.set("text", "x");
    check("really", "WRONGTYPE", await fail(db.lpush("text", "y")), ["not-executed"]);
    const half = "redis.call('INCR', KEYS[1]) return redis.call('LPUSH', KEYS[1], 1)";
    check("really, from a script", "WRONGTYPE", await fail(db.eval(half, 1, "half")), ["unknown"]);
    scene.breach((await db.get("half")) !== "1", "the script did nothing");
    check("really", "NOSCRIPT", await fail(db.evalsha("0".repeat(40), 0)), ["not-executed"]);
    check("really", "ERR", await fail(db.call("NOSUCHCOMMAND", "x")), ["not-executed"]);
    await server.call("CONFIG", "SET", "maxmemory", "1");
    check("really", "OOM", await fail(db.set("more", "x")), ["not-executed"]);
    await server.call("CONFIG", "SET", "maxmemory", "0");
    await server.call("CONFIG", "SET", "min-replicas-to-write", "1");
    check("really", "NOREPLICAS", await fail(db.set("more", "x")), ["not-executed"]);
    await server.call("CONFIG", "SET", "min-replicas-to-write", "0");
    await server.call("ACL", "SETUSER", "default", "-flushall");
    check("really", "NOPERM", await fail(db.flushall()), ["not-executed"]);
    await server.call("REPLICAOF", "127.0.0.1", "1");
    const demoted = await unstalled(() => fail(db.with({ replyTimeout: 300 }).set("more", "x")), (error) => error);
    check("really", "READONLY", demoted, ["not-executed"]);
  },
};

/** Makes the replica the master, and the master its replica. */
async function handOver(master: RedisServer, replica: RedisServer) {
  await until(async () => /state=online/.test(await master.call("INFO", "replication")), "the replica");
  await master.call("FAILOVER", "TO", replica.host, `${replica.port}`);
  await until(async () => (await replica.call("ROLE"))[0] === "master", "the failover");
}

const R16: Row = {
  id: "R16",
  what: "when the master becomes a replica and its name leads to the new one, commands follow, and land once",
  load: "busy",
  async run(scene) {
    let [master, replica] = await scene.pair();
    const proxy = await scene.proxy(master.port);
    const log = scene.log(await scene.open({ port: proxy.port, timeout: 5000 }), { workers: 16 }).start();
    for (let flip = scene.times(20, 2); flip > 0; flip--) {
      await log.recovered();
      await handOver(master, replica);
      proxy.target = { host: replica.host, port: replica.port }; // as a name does that is resolved anew
      [master, replica] = [replica, master];
      const time = await log.recovered();
      scene.recovered(time);
      scene.counts.faults++;
      if (time > SOON) break;
    }
    const counts = await scene.judge(log, master);
    scene.breach(counts.notSent + counts.refused > 0, `callers saw ${[...log.refusals]}`);
    scene.breach(scene.counts.recovery > SOON, "commands did not follow soon");
  },
};

const R17: Row = {
  id: "R17",
  what: "a login that is refused is tried seldom, says why, and recovers once it is mended",
  needs: "redis.ts",
  async run(scene) {
    const server = await scene.server();
    await server.call("ACL", "SETUSER", "app", "on", ">first", "~*", "+@all");
    const mended = async (db: Handler) => {
      const time = await scene.recovery(scene.eventually(db, ["GET", "k"]));
      scene.breach(time > SOON, "a mended login was not noticed");
    };
    const wrong = async () => {
      const proxy = await scene.proxy(server.port);
      let password = "wrong";
      const db = scene.db({ port: proxy.port, credentials: () => Promise.resolve({ username: "app", password }) });
      const { state, error } = await scene.settled(scene.call(db, ["GET", "k"]), 7000);
      scene.breach(state !== "not-sent", `a command of one who cannot log in is ${state}`);
      const why = [error?.message, error?.cause?.message, error?.cause?.cause?.message].join();
      scene.breach(!/WRONGPASS/.test(why), `the error does not say why: ${why}`);
      await sleep(scene.times(10_000, 3000));
      const since = performance.now();
      const before = proxy.times.length;
      await sleep(3000);
      const attempts = proxy.times.length - before;
      scene.counts.faults += proxy.times.length;
      const seconds = Math.ceil((performance.now() - since) / 1000);
      scene.breach(attempts > seconds + 1, `${attempts} attempts in ${seconds} s`);
      password = "first";
      await mended(db);
    };
    const rotated = async () => {
      await server.call("ACL", "SETUSER", "other", "on", ">first", "~*", "+@all");
      let [password, asked] = ["first", 0];
      const db = scene.db({
        port: server.port,
        credentials: () => {
          asked++;
          return Promise.resolve({ username: "other", password });
        },
      });
      await scene.eventually(db, ["GET", "k"]);
      await server.call("ACL", "SETUSER", "other", "resetpass", ">second");
      await server.call("CLIENT", "KILL", "USER", "other");
      scene.counts.faults++;
      await sleep(300);
      password = "second";
      await mended(db);
      scene.breach(asked < 2, "the credentials were not asked for again");
    };
    const full = async () => {
      const small = await scene.server();
      await small.call("CONFIG", "SET", "maxclients", "1");
      const db = scene.db({ port: small.port });
      const { state } = await scene.settled(scene.call(db, ["GET", "k"]), 7000);
      scene.breach(state !== "not-sent", `a command at a full server is ${state}`);
      scene.counts.faults++;
      await small.call("CONFIG", "SET", "maxclients", "100");
      await mended(db);
    };
    await Promise.all([wrong(), rotated(), full()]);
  },
};

// ==== D. State of a session, transactions ====

const R18: Row = {
  id: "R18",
  what: "user, database, name, protocol and every subscription are as they were before anything else is done",
  needs: "redis.ts",
  async run(scene) {
    const server = await scene.server();
    await server.call("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all");
    const options = { port: server.port, username: "app", password: "secret", dbid: 5, name: "worker" };
    const db = scene.db(options);
    const channels = range(scene.times(1000, 100)).map((i) => `channel:${i}`);
    const some = range(scene.times(100, 20));
    await db.subscribe(channels, () => {});
    await db.psubscribe(some.map((i) => `pattern:${i}:*`), () => {});
    await db.ssubscribe(some.map((i) => `shard:${i}`), () => {});
    const subscribed = async () => {
      const counts = (await server.call("PUBSUB", "NUMSUB", ...channels)).filter((count: unknown) => count === 1).length;
      const shards = (await server.call("PUBSUB", "SHARDNUMSUB", ...some.map((i) => `shard:${i}`)));
      return counts === channels.length && (await server.call("PUBSUB", "NUMPAT")) === some.length &&
        shards.filter((count: unknown) => count === 1).length === some.length;
    };
    await until(subscribed, "the subscriptions");
    for (let kill = scene.times(100, 5); kill > 0; kill--) {
      scene.counts.faults += await server.call("CLIENT", "KILL", "USER", "app");
      const since = performance.now();
      const info = String(await scene.eventually(db, ["CLIENT", "INFO"]));
      for (const field of ["user=app", "db=5", "name=worker", "resp=3"])
        scene.breach(!info.trim().split(" ").includes(field), `${field} was lost: ${info}`);
      await until(subscribed, "the subscriptions").catch(() => scene.breach(true, "subscriptions were lost"));
      scene.recovered(performance.now() - since);
    }
    scene.breach(scene.counts.recovery > SOON, "the session was not restored soon");
  },
};

const R19: Row = {
  id: "R19",
  what: "no write ever gets into another database, however often connections are lost",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    const written = range(16).map(() => new Set<string>());
    const each = Math.ceil(scene.times(100_000, 3200) / 32);
    let running = 32;
    const workers = range(16).map(async (db) => {
      const client = await scene.open({ port: server.port, db, timeout: 5000 });
      await Promise.all([0, 1].map(async (worker) => {
        for (let k = 0; k < each; k++) {
          const key = `${db}:${worker}:${k}`;
          const { state } = await scene.settled(scene.call(client, ["SET", key, "x"]), 7000);
          if (state === "acked") written[db]!.add(key);
          else if (state === "hung") break;
        }
        running--;
      }));
    });
    let kills = scene.times(100, 10);
    while (running > 0) {
      await sleep(10 + random(20));
      if (kills-- > 0) scene.counts.faults += await server.call("CLIENT", "KILL", "TYPE", "normal");
    }
    await Promise.all(workers);
    for (const [db, acked] of written.entries()) {
      await server.call("SELECT", `${db}`);
      const there = new Set<string>(await server.call("KEYS", "*"));
      for (const key of there) if (!key.startsWith(`${db}:`)) scene.counts.wrong++;
      for (const key of acked) if (!there.has(key)) scene.counts.lost++;
    }
  },
};

const R20: Row = {
  id: "R20",
  what: "a counter under WATCH has exactly the increments that were acknowledged, through any number of lost connections",
  needs: "redis.ts",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    const db = scene.db({ port: server.port, poolsize: 16 });
    await db.set("counter", 0);
    const { counts } = scene;
    let [running, acks] = [16, 0];
    const increment = async () => {
      let committing = false;
      counts.operations++;
      try {
        const look = await db.watch("counter");
        const value = Number(await look.get("counter"));
        const change = await look.multi();
        change.set("counter", value + 1).catch(() => {});
        committing = true;
        await change.commit();
        acks++;
        scene.count("acked");
      } catch (error: any) {
        if (error instanceof WatchError) return scene.count("not-executed");
        // Whatever failed before EXEC was given cannot have done anything.
        scene.count(committing ? error.outcome : "not-executed");
        await sleep(1);
      }
    };
    const each = scene.times(1000, 30);
    const workers = range(16).map(async () => {
      for (const goal = each; acks < goal * 16; ) await increment();
      running--;
    });
    const kills = scene.times(500, 20);
    for (let next = 0; running > 0; await sleep(random(2))) {
      if (acks < next) continue;
      next = acks + random((2 * 16 * each) / kills);
      counts.faults += await server.call("CLIENT", "KILL", "TYPE", "normal");
    }
    await Promise.all(workers);
    const final = Number(await server.call("GET", "counter"));
    if (final < acks) counts.lost += acks - final;
    scene.breach(final > acks + counts.unknown, `${final} increments, ${acks} acknowledged, ${counts.unknown} unknown`);
  },
};

const R21: Row = {
  id: "R21",
  what: "a transaction cut after any byte is done whole or not at all, and no other caller's command gets into it",
  needs: "redis.ts",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    const feed = await scene.db({ port: server.port }).monitor({ buffer: 1_000_000 });
    const inside = new Set<string>();
    const watching = (async () => {
      for await (const item of feed) {
        if (item.gap !== undefined) continue;
        const { address, words: [name = "", key = ""] } = item;
        if (key === "done") return;
        if (name.toUpperCase() === "MULTI") inside.add(address);
        else if (["EXEC", "HELLO"].includes(name.toUpperCase())) inside.delete(address); // a port may be given again
        else if (inside.has(address)) scene.breach(!key.startsWith("multi:"), `${name} ${key} ran between MULTI and EXEC`);
      }
    })();
    const step = Math.max(1, Math.round(1 / scene.scale));
    const cuts = (["fin", "rst"] as const).flatMap((cut) => range(Math.ceil(900 / step)).map((n) =>
      ({ cut, byte: n * step + Math.floor(random(step)), leased: n % 2 === 1 })));
    await scene.lanes(4, cuts, async ({ cut, byte, leased }) => {
      const proxy = await scene.proxy(server.port);
      const db = scene.db({ port: proxy.port, poolsize: leased ? 2 : 1 });
      await db.ready();
      const key = `multi:${cut}:${byte}`;
      const other = (i: number) => scene.settled(scene.call(db, ["INCR", `${cut}:${byte}:${i}`]), 7000);
      for (const link of proxy.open) link.up.cutAfter(byte, cut);
      const before = range(8).map(other); // with the transaction they are some 900 bytes
      const done = (async () => {
        if (!leased) {
          const pipeline = db.pipeline();
          for (let i = 0; i < 10; i++) pipeline.rpush(key, i);
          return pipeline.commit();
        }
        const multi = await db.multi();
        for (let i = 0; i < 10; i++) multi.rpush(key, i).catch(() => {});
        return multi.commit();
      })();
      const after = range(56).map((i) => other(i + 8));
      const { state } = await scene.settled(done, 7000);
      scene.counts.operations++;
      const settled = await Promise.all([...before, ...after]);
      const there = await server.call("LLEN", key);
      scene.breach(there % 10 !== 0, `${there} of 10 commands were done`);
      if (there > 10) scene.counts.doubled++;
      if (there === 0 && state === "acked") scene.counts.lost++;
      if (there === 10 && (state === "not-sent" || state === "not-executed")) scene.counts.lied++;
      for (const [i, { state, value }] of settled.entries()) {
        const count = Number((await server.call("GET", `${cut}:${byte}:${i}`)) ?? 0);
        if (count > 1) scene.counts.doubled++;
        if (state === "acked" && (count === 0 || value !== 1)) scene.counts.wrong++;
        if (count > 0 && (state === "not-sent" || state === "not-executed")) scene.counts.lied++;
      }
    });
    await server.call("ECHO", "done");
    await watching;
  },
};

const R22: Row = {
  id: "R22",
  what: "a transaction whose reply is lost is unknown and done once; a script that the server forgot runs once",
  needs: "redis.ts",
  async run(scene) {
    const server = await scene.server({ args: ["--client-output-buffer-limit", "normal 100000 0 0"] });
    const db = scene.db({ port: server.port });
    await server.call("SET", "big", "x".repeat(10_000));
    const times = scene.times(100, 10);
    for (let time = 0; time < times; time++) {
      await scene.eventually(db, ["PING"]);
      const pipeline = db.pipeline().incr(`counter:${time}`);
      for (let i = 0; i < 400; i++) pipeline.get("big");
      const { state } = await scene.settled(pipeline.commit(), 7000);
      const done = Number(await server.call("GET", `counter:${time}`));
      scene.counts.operations++;
      scene.counts.faults++;
      if (done > 1) scene.counts.doubled++;
      scene.breach(state !== "unknown", `a transaction whose reply was lost is ${state}`);
      scene.breach(done !== 1, `it was done ${done} times`);
    }
    const append = script<number>("return redis.call('RPUSH', KEYS[1], ARGV[1])", { keys: 1 });
    let n = 0;
    await scene.eventually(db, ["PING"]);
    for (let time = 0; time < times; time++) {
      await server.call("SCRIPT", "FLUSH");
      scene.counts.faults++;
      const singles = [append(db, "list", n++), append(db, "list", n++)];
      await Promise.all(singles);
      await server.call("SCRIPT", "FLUSH");
      await append(db.pipeline(), "list", n++).execPipeline();
      await server.call("SCRIPT", "FLUSH");
      const multi = await db.multi();
      void append(multi, "list", n++);
      await multi.commit();
      scene.counts.operations += 4;
      scene.counts.acked += 4;
    }
    if (String(await server.call("LRANGE", "list", "0", "-1")) !== String(range(n))) scene.counts.wrong++;
  },
};

// ==== E. Publish and subscribe ====

const R23: Row = {
  id: "R23",
  what: "no message comes twice or out of order, and every gap is announced where it is",
  needs: "redis.ts",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    const db = scene.db({ port: server.port });
    const news = await db.subscribe(["news"]);
    let [last, gaps, unannounced] = [-1, 0, 0];
    const reading = (async () => {
      let mayMiss = false;
      for await (const { message, gap } of news) {
        if (gap !== undefined) {
          mayMiss = true;
          gaps++;
          continue;
        }
        scene.counts.acked++;
        const number = Number(message);
        if (number <= last) scene.counts[number === last ? "doubled" : "reordered"]++;
        else if (number > last + 1 && !mayMiss) unannounced++;
        last = number;
        mayMiss = false;
      }
    })();
    let publishing = true;
    let number = 0;
    const publisher = (async () => {
      while (publishing) {
        const burst = range(75).map(() => db.publish("news", number++));
        await Promise.all(burst);
        await sleep(4);
      }
    })();
    for (let kill = scene.times(100, 5); kill > 0; kill--) {
      const before = gaps;
      await sleep(20 + random(30));
      scene.counts.faults += await server.call("CLIENT", "KILL", "TYPE", "pubsub");
      await scene.recovery(until(() => gaps > before, "the gap to be announced"));
    }
    publishing = false;
    await publisher;
    await until(async () => {
      const all = last === number - 1;
      if (!all) await db.publish("news", number++);
      return all;
    }, "the last message");
    news.close();
    await reading;
    scene.counts.operations = number;
    scene.breach(unannounced > 0, `${unannounced} gaps were not announced`);
  },
};

const R24: Row = {
  id: "R24",
  what: "a subscriber slower than its messages keeps its memory bounded, and what it misses is announced or counted",
  needs: "redis.ts",
  load: "alone",
  async run(scene) {
    const server = await scene.server();
    await server.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 10");
    const [publisher, other] = [scene.db({ port: server.port }), scene.db({ port: server.port })];
    for (const overflow of ["pause", "drop"] as const) {
      const news = await scene.db({ port: server.port }).subscribe([overflow], { overflow });
      let [last, number, running, unannounced, gaps] = [-1, 0, true, 0, 0];
      const reading = (async () => {
        let mayMiss = overflow === "drop";
        for await (const { message, gap } of news) {
          if (gap !== undefined) gaps++;
          mayMiss ||= gap !== undefined;
          if (message === undefined) continue;
          const next = parseInt(message);
          if (next <= last) scene.counts.reordered++;
          if (next > last + 1 && !mayMiss) unannounced++;
          mayMiss = overflow === "drop";
          last = next;
          scene.counts.acked++;
          if (running) await sleep(1);
        }
      })();
      const before = process.memoryUsage().rss;
      let [most, slowest] = [before, 0];
      const end = performance.now() + scene.times(30_000, 1500);
      while (performance.now() < end) {
        const burst = range(400).map(() => publisher.publish(overflow, `${number++}`.padEnd(1024)));
        const since = performance.now();
        await other.get("k");
        slowest = Math.max(slowest, performance.now() - since);
        await Promise.all(burst);
        most = Math.max(most, process.memoryUsage().rss);
        scene.counts.operations += burst.length;
        await sleep(4);
      }
      running = false;
      await until(() => last === number - 1 || gaps > 0, "the rest of the messages");
      const grown = Math.round((most - before) / 2 ** 20);
      scene.breach(grown > 64 + 32, `${overflow}: ${grown} MB more memory`); // 32 for the publisher and the collector
      scene.breach(slowest > SOON, `${overflow}: another command took ${Math.round(slowest)} ms`);
      scene.breach(unannounced > 0, `${unannounced} gaps were not announced`);
      if (overflow === "drop") scene.breach(news.dropped === 0, "what was dropped was not counted");
      scene.counts.faults += gaps;
      news.close();
      await reading;
    }
  },
};

const pushes = {
  message: ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n",
  invalidate: ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
  unheardOf: ">2\r\n$9\r\nunheardOf\r\n%1\r\n:1\r\n*2\r\n#t\r\n_\r\n",
  sunsubscribe: ">3\r\n$12\r\nsunsubscribe\r\n$4\r\nnews\r\n:0\r\n",
};

const R25: Row = {
  id: "R25",
  what: "what a server says unasked, between any replies and cut at any byte, takes nobody's reply",
  needs: "redis.ts",
  async run(scene) {
    const step = Math.max(1, Math.round(0.3 / scene.scale));
    await Promise.all(Object.values(pushes).map(async (push) => {
      let [place, byte] = [0, 0];
      const scripted = await scene.scripted(async (peer) => {
        await peer.hello();
        for (let replies: string[] = []; ; ) {
          const [name, text = ""] = await peer.read();
          if (name === "ECHO") replies.push(`$${text.length}\r\n${text}\r\n`);
          else peer.write("-ERR unknown\r\n");
          if (replies.length < 4) continue;
          replies.splice(place, 0, push);
          const [bytes, at] = [replies.join(""), byte];
          peer.write(bytes.slice(0, at));
          await sleep(2); // else the two halves may arrive as one
          peer.write(bytes.slice(at));
          replies = [];
        }
      });
      const db = scene.db({ port: scripted.port });
      const length = 4 * "$1\r\n0\r\n".length + push.length;
      for (place = 0; place <= 4; place++)
        for (byte = Math.floor(random(step)); byte < length; byte += step) {
          scene.counts.faults++;
          const calls = range(4).map((i) => scene.settled(scene.call(db, ["ECHO", `${i}`]), 7000));
          for (const [i, { state, value }] of (await Promise.all(calls)).entries()) {
            if (state === "acked" && value !== `${i}`) scene.counts.wrong++;
            scene.breach(state !== "acked", `a call was ${state}`);
          }
        }
      scene.breach(scripted.connections > 1, "the connection was given up");
    }));
  },
};

// ==== H. Sentinels ====

/**
 * Callers whose writes both replicas must have, if the client can wait for that: each INCR that succeeds must return more
 * than the last one of its key. One caller does not wait for the replicas, which follow the new master only once it is
 * announced; it shows when the new master takes writes.
 */
function writers(scene: Scene, db: any): { stop: () => Promise<void>; since: (time: number) => Promise<number> } {
  const waits = scene.adapter === redisTs;
  const view = waits ? db.with({ durable: { replicas: 2, timeout: 500 } }) : db; // of two: Sentinels may promote either
  const executed: number[] = [];
  let isOver = false;
  const all = Promise.all(range(8).map(async (n) => {
    for (let last = 0, failed = 0; !isOver;) {
      const { state, value } = await scene.settled(scene.call(n === 0 ? db : view, ["INCR", `count:${n}`]), 10_000);
      if (state === "acked" && n === 0) executed.push(performance.now());
      if (state === "acked" && n > 0 && waits && value <= last) scene.counts.lost += last - value + 1;
      if (state === "acked") scene.counts.doubled += Math.max(0, value - last - 1 - failed);
      failed = state === "acked" ? 0 : failed + 1; // each of these may have been executed
      if (state === "acked") last = value;
      await sleep(1);
    }
  }));
  return {
    stop: async () => {
      isOver = true;
      await all;
    },
    since: (time) => until(() => executed.find((at) => at > time), "a write after the failover", 60_000) as Promise<number>,
  };
}

/** The first moment at which one of these takes writes. */
const promotion = (nodes: RedisServer[]): Promise<number> =>
  until(async () => {
    const roles = await Promise.all(nodes.map((node) => node.call("ROLE").catch(() => [])));
    return roles.some(([role]) => role === "master") && performance.now();
  }, "a new master", 60_000) as Promise<number>;

async function failovers(scene: Scene, times: number, fault: (old: RedisServer) => unknown, mend: (old: RedisServer) => unknown) {
  const set = await SentinelSet.start();
  scene.atEnd(() => set.stop());
  const db = await scene.adapter.sentinel!(set.hosts, set.name, 10_000, "tested");
  scene.atEnd(() => scene.adapter.close(db));
  await scene.eventually(db, ["PING"]);
  const work = writers(scene, db);
  for (let i = 0; i < times; i++) {
    const old = await set.settle();
    await work.since(performance.now());
    const writable = promotion(set.nodes.filter((node) => node !== old));
    await fault(old);
    scene.counts.faults++;
    const promoted = await writable;
    scene.recovered(await work.since(promoted) - promoted);
    await mend(old);
  }
  await work.stop();
  scene.breach(scene.counts.recovery > SOON, "the new master was not found soon");
}

const R26: Row = {
  id: "R26",
  what: "a master that Sentinels watch is killed: the new one is found, and what both replicas had is not lost",
  needs: "sentinel",
  load: "busy",
  run: (scene) => failovers(scene, scene.times(20, 1), (old) => old.kill(), (old) => old.restart()),
};

const R27: Row = {
  id: "R27",
  what: "a master that Sentinels watch freezes: the new one is found, and the old one gets nothing more when it thaws",
  needs: "sentinel",
  load: "busy",
  run: (scene) => failovers(scene, scene.times(10, 1), (old) => old.freeze(), async (old) => {
    old.thaw();
    let isLeft = false; // once it has noticed that they were closed
    await until(async () => {
      const [[role], clients] = await Promise.all([old.call("ROLE"), old.call("CLIENT", "LIST")]);
      const isOurs = clients.includes(" name=tested ");
      scene.breach(isLeft && isOurs, "the old master has new connections of ours");
      isLeft ||= !isOurs;
      return role === "slave";
    }, "the old master to be demoted");
    scene.breach(!isLeft, "the old master keeps connections of ours");
  }),
};

const R28: Row = {
  id: "R28",
  what: "Sentinels are stale, silent, know nothing, lie or are all away: one good one is enough, and soon",
  needs: "redis.ts",
  async run(scene) {
    const [good, replica] = [await scene.server(), await scene.server()];
    await replica.call("REPLICAOF", good.host, `${good.port}`);
    const at = ({ port }: { port: number }, host = "127.0.0.1") => ({ address: [host, port] as const });
    const many = range(1_000).map((i) => ({ ip: "127.0.0.1", port: "1", runid: `${i}`, flags: "sentinel" }));
    const lies = [{}, { address: null }, { ...at(replica), epoch: 1 }, at({ port: 1 }), at({ port: 0 }), at(good, ""), at(good, "::1"),
      at(good, "no.such.host.invalid"), { ...at(good), epoch: 2, sentinels: many }];
    const sentinels = await Promise.all(range(4).map(() => ScriptedSentinel.start({})));
    scene.atEnd(() => Promise.all(sentinels.map((sentinel) => sentinel.stop())));
    for (const lie of lies) {
      for (const sentinel of sentinels) sentinel.said = lie;
      const hosts = sentinels.map(({ host }) => host);
      const db = scene.db({ host: undefined, sentinels: hosts, master: "m", replyTimeout: 1_000 });
      await scene.settled(scene.call(db, ["SET", "k", "v"]), 1_000);
      scene.counts.faults++;
      sentinels[3]!.said = { ...at(good), epoch: 9 };
      await scene.recovery(scene.eventually(db, ["SET", "k", "v"], { pause: 50 }));
      db.destroy();
    }
    scene.breach(/cmdstat_set:.*rejected_calls=[1-9]/.test(await replica.call("INFO", "commandstats")), "a write was sent to a replica");
    scene.breach(scene.counts.recovery > SOON, "one good Sentinel was not enough");
  },
};

const R29: Row = {
  id: "R29",
  what: "two servers that hand over to each other, without Sentinels, are followed, and no caller notices",
  needs: "redis.ts",
  load: "alone",
  async run(scene) {
    let [master, replica] = await scene.pair();
    const anyOf = [master, replica].map(({ host, port }) => ({ host, port }));
    const log = scene.log(scene.db({ host: undefined, anyOf, poolsize: 4 }), { deadline: 5_000 }).start();
    for (let flip = scene.times(50, 3); flip > 0; flip--) {
      await log.recovered();
      await handOver(master, replica);
      [master, replica] = [replica, master];
      scene.recovered(await log.recovered());
      scene.counts.faults++;
    }
    const { unknown, notSent, refused } = await scene.judge(log, master, false);
    scene.breach(unknown + notSent + refused > 0, `callers saw ${[...log.refusals]} and ${unknown} unknown`);
    for (const { begun, ended } of log.operations) scene.recovered(ended - begun);
    scene.breach(scene.counts.recovery > SOON, "a command waited for long");
  },
};

// ==== I. Resources and lifetime ====

const R37: Row = {
  id: "R37",
  what: "what a frozen server is offered is bounded, what is over is refused at once, and what was accepted is done",
  load: "alone",
  async run(scene) {
    const server = await scene.server();
    const client = await scene.open({ port: server.port, timeout: 120_000 });
    await scene.eventually(client, ["PING"]);
    const value = "x".repeat(1000);
    const { counts } = scene;
    counts.acked = 0;
    const offered = scene.times(1_000_000, 100_000);
    const before = process.memoryUsage().rss;
    let [most, pending] = [before, 0];
    server.freeze();
    counts.faults++;
    for (let i = 0; i < offered; i++) {
      pending++;
      counts.operations++;
      scene.adapter.call(client, ["SET", `k:${i}`, value]).then(() => scene.count("acked"), (error) => {
        scene.count(outcomeOf(scene.adapter, error));
      }).finally(() => pending--);
      if (i % 1000 === 999) {
        await turn();
        most = Math.max(most, process.memoryUsage().rss);
      }
    }
    const accepted = pending;
    server.thaw();
    await until(() => pending === 0, "", 120_000).catch(() => {});
    counts.hung += pending;
    const grown = Math.round((most - before) / 2 ** 20);
    const keys = await server.call("DBSIZE");
    if (keys < counts.acked) counts.lost += counts.acked - keys;
    scene.breach(grown > 150, `${grown} MB more memory`);
    scene.breach(counts.notSent !== offered - accepted, `${counts.notSent} not sent, ${offered - accepted} refused at once`);
    scene.breach(counts.acked !== accepted, `${accepted} accepted, ${counts.acked} done`);
  },
};

const R38: Row = {
  id: "R38",
  what: "many clients of a server that is away all come back soon",
  needs: "one connection",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    const proxy = await scene.proxy(server.port);
    const clients = await Promise.all(range(500).map(() => scene.open({ port: proxy.port, timeout: 10_000 })));
    await Promise.all(clients.map((client) => scene.eventually(client, ["PING"])));
    for (let round = scene.times(10, 1); round > 0; round--) {
      proxy.refuse = true;
      proxy.cut("rst");
      await sleep(1500);
      proxy.refuse = false;
      // The proxy is in this process, and Node accepts one connection a turn: many calls that fail would make turns long.
      await scene.recovery(Promise.all(clients.map((client) => scene.eventually(client, ["PING"], { pause: 500 }))));
    }
    scene.breach(scene.counts.recovery > SOON, "not all were back soon");
  },
};

const R39: Row = {
  id: "R39",
  what: "a client that was closed, at whatever moment, leaves nothing behind, and has told truly what became of its commands",
  needs: "redis.ts",
  load: "alone",
  async run(scene) {
    const server = await scene.server();
    const sockets = () => process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Pipe/.test(name)).length;
    const clients = async () => String(await server.call("CLIENT", "LIST")).trim().split("\n").length;
    await server.call("PING");
    await until(() => sockets() === sockets(), "");
    const base = { sockets: sockets(), clients: await clients() };
    const lives = scene.times(10_000, 200);
    await scene.lanes(32, range(lives), async (life) => {
      const db = lazyConnection({ host: "127.0.0.1", port: server.port });
      scene.counts.faults++;
      const call = scene.settled(scene.call(db, ["INCR", `life:${life}`]), 7000);
      const way = life % 4;
      if (way === 0) await call;
      else if (way === 1) await sleep(random(3)); // in the middle of the handshake
      if (way === 3) db.destroy();
      else await Promise.all([db.disconnect(), db.disconnect()]);
      const { state } = await call;
      const done = Number((await server.call("GET", `life:${life}`)) ?? 0);
      if (state === "acked" && done === 0) scene.counts.lost++;
      if (state !== "acked" && state !== "unknown" && done > 0) scene.counts.lied++;
      const after = await scene.settled(db.call("PING"), 1000);
      scene.breach(after.state !== "not-sent", `a call after the end is ${after.state}`);
    });
    await until(() => sockets() <= base.sockets, "", SLACK).catch(() => {});
    scene.breach(sockets() > base.sockets, `${sockets() - base.sockets} sockets are left`);
    await until(async () => (await clients()) <= base.clients, "", SLACK).catch(() => {});
    scene.breach((await clients()) > base.clients, "the server still has connections of ours");

    const inFlight = scene.times(10_000, 2000);
    const live = lazyConnection({ host: "127.0.0.1", port: server.port });
    await live.ready();
    const drained = range(inFlight).map(() => scene.settled(scene.call(live, ["INCR", "drained"]), 12_000));
    await live.disconnect({ timeout: 10_000 });
    await Promise.all(drained);
    scene.counts.lost += inFlight - Number(await server.call("GET", "drained"));

    const stuck = lazyConnection({ host: "127.0.0.1", port: server.port });
    await stuck.ready();
    server.freeze();
    const given = range(inFlight).map(() => scene.settled(scene.call(stuck, ["INCR", "stuck"]), 7000));
    const since = performance.now();
    await stuck.disconnect({ timeout: 1000 });
    const took = performance.now() - since;
    scene.breach(took > 1000 + SLACK, `closing on a frozen server took ${Math.round(took)} ms`);
    const states = new Set((await Promise.all(given)).map(({ state }) => state));
    server.thaw();
    scene.breach(states.has("acked") || states.has("not-executed"), `commands on a frozen server are ${[...states]}`);

    const program = `
      import { connection } from ${JSON.stringify(new URL("../redis.js", import.meta.url).href)};
      const db = await connection({ host: "127.0.0.1", port: ${server.port} });
      await db.set("k", 1);
      await db.disconnect();
      console.log("closed");`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: ["ignore", "pipe", "inherit"] });
    scene.atEnd(() => child.kill("SIGKILL"));
    const exit = once(child, "close"); // after its output
    const told = await Promise.race([once(child.stdout, "data"), exit]);
    const closed = performance.now();
    scene.breach(!String(told[0]).startsWith("closed"), "a program did not come to its end");
    await exit;
    scene.recovered(performance.now() - closed);
    scene.breach(performance.now() - closed > SOON, "a program did not exit by itself");
  },
};

const soaking = (options: (scene: Scene) => SoakOptions): Row => ({
  id: "R40",
  what: "one server, a pool, shards, Sentinels and a cluster under mixed load and random faults leave nothing wrong and nothing behind",
  needs: "redis.ts",
  load: "alone",
  run: (scene) => soak(scene, options(scene)),
});

const R40 = soaking((scene) => ({ seed: 40, time: 0, faults: scene.times(20, 2), pause: scene.scale * 2_000 }));

// ==== One of several ====

/** A handler over so many proxies of one server, as members with the same data. */
async function several(scene: Scene, count: number, anyOf?: (members: Member[]) => Options["anyOf"]) {
  const server = await scene.server();
  const proxies = await Promise.all(range(count).map(() => scene.proxy(server.port)));
  const members = proxies.map(({ host, port }) => ({ host, port }));
  const db = scene.db({ host: undefined, anyOf: anyOf?.(members) ?? members, poolsize: 4, replyTimeout: 3000 });
  const log = scene.log(db, { deadline: 3000 }).start();
  await log.recovered();
  /** No command that was begun after this time may be lost. */
  const keeps = (since: number, to: string): void => {
    const lost = log.operations.filter(({ begun, state }) => begun > since && state !== "acked" && state !== "pending");
    scene.breach(lost.length > 0, `${lost.length} lost to ${to}`);
  };
  const judge = async (mostUnknown = Infinity): Promise<void> => {
    await scene.judge(log, server, false);
    scene.breach(scene.counts.unknown > mostUnknown, `${scene.counts.unknown} unknown, at most ${mostUnknown} expected`);
    scene.breach(log.refusals.size > 0, `callers saw ${[...log.refusals]}`);
  };
  return { proxies, members, db, log, keeps, judge };
}
type Member = { host: string; port: number; weight?: number };

/** Waits until so many members of the handler live. */
const live = (db: Handler, count: number) =>
  until(() => inspect(db).split("(live, ").length === count + 1, `${count} live members`, 20_000);

/** As if its machine were off: connections are broken, and new ones refused. */
function switchOff(proxy: Proxy) {
  proxy.refuse = true;
  proxy.cut("rst");
}

const A01: Row = {
  id: "A01",
  what: "one of two servers that freezes leaves, and no command is lost to it from then on",
  needs: "redis.ts",
  async run(scene) {
    const { proxies, db, log, keeps, judge } = await several(scene, 2);
    const freezes = scene.times(10, 2);
    for (let freeze = 0; freeze < freezes; freeze++) {
      await live(db, 2);
      const frozen = proxies[freeze % 2]!;
      frozen.hold();
      await scene.recovery(live(db, 1));
      const left = performance.now();
      await log.recovered();
      await running(500);
      keeps(left, "a member that was known to be frozen");
      frozen.cut("rst"); // what it was sent is gone with it
      frozen.heal();
    }
    await judge(64 * freezes);
    scene.breach(scene.counts.recovery > SOON, "a frozen member stayed");
  },
};

const A02: Row = {
  id: "A02",
  what: "a server that comes and goes costs nobody more than what it was executing, while another is there",
  needs: "redis.ts",
  async run(scene) {
    const { proxies, db, log, judge } = await several(scene, 2);
    const flaps = scene.times(100, 10);
    for (let flap = 0; flap < flaps; flap++) {
      switchOff(proxies[0]!);
      await sleep(random(100));
      proxies[0]!.refuse = false;
      await sleep(random(200));
      scene.recovered(await log.recovered());
    }
    await live(db, 2);
    await judge(64 * flaps);
    scene.breach(scene.counts.recovery > SOON, "the other did not serve soon");
  },
};

const A03: Row = {
  id: "A03",
  what: "with two of four servers dead, now these and now those, the others answer everything",
  needs: "redis.ts",
  async run(scene) {
    const { proxies, db, log, keeps, judge } = await several(scene, 4);
    for (let turn = scene.times(20, 2); turn > 0; turn--) {
      await live(db, 4);
      const dead = turn % 2 === 0 ? proxies.slice(0, 2) : proxies.slice(2);
      dead.forEach(switchOff);
      await scene.recovery(live(db, 2));
      const left = performance.now();
      await log.recovered();
      keeps(left, "members that were known to be dead");
      for (const proxy of dead) proxy.refuse = false;
    }
    await judge();
  },
};

const A04: Row = {
  id: "A04",
  what: "a list of servers that changes under load loses nothing, and no caller notices",
  needs: "redis.ts",
  async run(scene) {
    let push: (list: Member[]) => void = () => {};
    const { members, log, judge } = await several(scene, 4, (all) => async function* () {
      for (let list = all; ; list = await new Promise((resolve) => { push = resolve; })) yield list;
    });
    const changes = scene.times(200, 20);
    for (let change = 0; change < changes; change++) {
      const kept = members.filter(() => random(1) < 0.5).map((member) => ({ ...member, weight: Math.floor(random(4)) }));
      push([...kept.filter(({ port }) => port !== members[change % 4]!.port), members[change % 4]!]);
      await log.recovered();
    }
    scene.counts.faults += changes;
    await judge(0);
  },
};

const A05: Row = {
  id: "A05",
  what: "a source of lists that throws, ends, or says nonsense costs no command",
  needs: "redis.ts",
  async run(scene) {
    const calls = scene.times(50, 5);
    let called = 0;
    const signals = new Set<AbortSignal>();
    const nonsense: any[] = [[], ["nowhere"], "a:1", undefined, [{ host: "a", weight: -1 }], [{ host: "a", weight: 0 }]];
    const { db, log, judge } = await several(scene, 2, (all) => async function* (signal) {
      called++;
      signals.add(signal);
      yield called === 1 ? all : all.slice(called % 2);
      yield nonsense[called % nonsense.length];
      if (called % 2 === 0) throw new Error("the source is broken");
    });
    await until(() => called >= calls, "the source to be called again and again", 4_000 * calls);
    await log.recovered();
    scene.counts.faults += called;
    await judge(0);
    db.destroy();
    scene.breach([...signals].some(({ aborted }) => !aborted), "the source was not told of the end");
  },
};

// ==== G. Clusters ====

const R30: Row = {
  id: "R30",
  what: "primaries of a cluster that hand over to their replicas are followed, and no caller notices",
  load: "busy",
  needs: "cluster",
  async run(scene) {
    const [cluster, log] = await scene.cluster();
    for (let flip = 0; flip < scene.times(100, 3); flip++) {
      await cluster.handOver([0, 8191, 16_383][flip % 3]!); // a primary votes for the same shard once in two seconds
      scene.recovered(await log.recovered());
      await cluster.settled();
      scene.counts.faults++;
    }
    const { unknown, notSent, refused } = await scene.judge(log, cluster);
    scene.breach(unknown + notSent + refused > 0, `callers saw ${[...log.refusals]} and ${unknown} unknown`);
  },
};

const R31: Row = {
  id: "R31",
  what: "a primary of a cluster that is killed costs what was in flight there, whether or not the others then refuse",
  load: "busy",
  needs: "cluster",
  async run(scene) {
    const [cluster, log] = await scene.cluster();
    const kills = scene.times(20, 2);
    for (let kill = 0; kill < kills; kill++) {
      const coverage = kill % 2 === 0 ? "no" : "yes";
      for (const server of cluster.servers) await server.call("CONFIG", "SET", "cluster-require-full-coverage", coverage);
      const victim = await cluster.owner([0, 8191, 16_383][kill % 3]!);
      const [replica] = await cluster.replicasOf(victim);
      await victim.kill();
      await until(async () => (await replica!.call("ROLE"))[0] === "master", "the failover");
      scene.recovered(await log.recovered());
      await victim.restart();
      await cluster.settled();
      scene.counts.faults++;
    }
    const { unknown, notSent, refused } = await scene.judge(log, cluster);
    scene.breach(unknown > 64 * 4 * kills, `${unknown} unknown in ${kills} kills`);
    scene.breach(notSent + refused > 0, `callers saw ${[...log.refusals]}`);
    scene.breach(scene.counts.recovery > SOON, "no success soon after the replica had taken over");
  },
};

const R32: Row = {
  id: "R32",
  what: "slots of a cluster that move under load, one after the other, show in no error",
  load: "busy",
  needs: "cluster",
  async run(scene) {
    const [cluster, log] = await scene.cluster();
    const primaries = cluster.servers.slice(0, 3);
    const slots: number[] = [];
    for (const list of range(16)) slots.push(await primaries[0]!.call("CLUSTER", "KEYSLOT", `log:${list}`));
    for (let move = 0; move < scene.times(1000, 32); move++) {
      const slot = slots[move % 16]!;
      const owner = primaries.indexOf(await cluster.owner(slot));
      await cluster.move(slot, primaries[(owner + 1) % 3]!);
      scene.counts.faults++;
    }
    scene.recovered(await log.recovered());
    const { unknown, notSent, refused } = await scene.judge(log, cluster);
    scene.breach(unknown + notSent + refused > 0, `callers saw ${[...log.refusals]} and ${unknown} unknown`);
  },
};

/** Says who has which slots: each of these by the server at that port. */
const slotsAre = (...all: (readonly [first: number | string, last: number, port: number])[]): string =>
  `*${all.length}\r\n${all.map(([first, last, port]) => `*3\r\n:${first}\r\n:${last}\r\n` +
    `*3\r\n$9\r\n127.0.0.1\r\n:${port}\r\n$40\r\n${`${port}`.padStart(40, "0")}\r\n`).join("")}`;

/**
 * How nodes of a cluster may mislead: what they answer to commands of slot 0, at the node with the slots from 8,192 on
 * or at the other, and whom they name.
 */
type Trick = {
  what: string;
  answer?: (isOther: boolean, ports: readonly number[]) => string;
  slots?: (ports: readonly number[]) => string;
};

const tricks: Trick[] = [
  { what: "MOVED in a circle", answer: (isOther, [one, two]) => `-MOVED 0 127.0.0.1:${isOther ? one : two}` },
  { what: "MOVED to itself", answer: (isOther, [one, two]) => `-MOVED 0 127.0.0.1:${isOther ? two : one}` },
  { what: "ASK in a circle", answer: (isOther, [one, two]) => `-ASK 0 127.0.0.1:${isOther ? one : two}` },
  { what: "MOVED to a port without a host", answer: (isOther, [one, two]) => `-MOVED 0 :${isOther ? one : two}` },
  { what: "MOVED to nowhere", answer: () => "-MOVED 0" },
  { what: "MOVED to an unknown host", answer: () => "-MOVED 0 evil.invalid:6379" },
  ...["__proto__", "-1", "16384", "1000000000"].map((slot): Trick =>
    ({ what: `MOVED of slot ${slot}`, answer: (isOther, [one, two]) => `-MOVED ${slot} 127.0.0.1:${isOther ? one : two}` })),
  { what: "CLUSTERDOWN", answer: () => "-CLUSTERDOWN The cluster is down" },
  { what: "READONLY", answer: () => "-READONLY You can't write against a read only replica." },
  { what: "no slots", slots: () => "*0\r\n" },
  { what: "half of the slots", slots: ([, two]) => slotsAre([8_192, 16_383, two!]) },
  { what: "slots of two nodes", slots: ([one, two]) => slotsAre([0, 16_383, one!], [8_192, 16_383, two!]) },
  { what: "slots that there are not", slots: ([one, two]) => slotsAre([0, 8_191, one!], [8_192, 1e9, two!], [-7, -1, one!]) },
  { what: "slots that are no numbers", slots: ([one]) => slotsAre(["__proto__", 16_383, one!]) },
  { what: "slots that are no list", slots: () => "$9\r\n__proto__\r\n" },
  { what: "slots without a node", slots: () => "*2\r\n*2\r\n:0\r\n:8191\r\n*3\r\n:8192\r\n:16383\r\n*0\r\n" },
];

/** The most redirections of a command, and after them the most a second. */
const MOST_HOPS = 16;
const MOST_A_SECOND = 50;

/** Two nodes of a cluster that play this trick until `end`, and count how often they are asked for the key in slot 0. */
async function misled(scene: Scene, { answer, slots }: Trick) {
  const ports: number[] = [];
  const state = { ports, asked: 0, isOver: false };
  for (const at of [0, 1]) {
    const scripted = await scene.scripted(async (peer) => {
      for (;;) {
        const words = await peer.read();
        const [name, what] = [words[0]!.toUpperCase(), words[1]?.toUpperCase()];
        const good = slotsAre([0, 8_191, ports[0]!], [8_192, 16_383, ports[1]!]);
        if (name === "HELLO") peer.greet(words);
        else if (name === "CLUSTER" && what === "SLOTS") peer.write(state.isOver ? good : slots?.(ports) ?? good);
        else if (name === "CLUSTER") peer.write("$25\r\ncluster_current_epoch:5\r\n\r\n");
        else if (name === "INFO") peer.write("$9\r\nloading:0\r\n");
        else if (name === "PING") peer.write("+PONG\r\n");
        else if (name === "SET" && what === ZERO.toUpperCase()) {
          state.asked++;
          peer.write(state.isOver || answer === undefined ? "+OK\r\n" : `${answer(at === 1, ports)}\r\n`);
        } else peer.write("+OK\r\n");
      }
    });
    ports.push(scripted.port);
  }
  return state;
}
/** Keys in the first slot and in the last. */
const [ZERO, LAST] = [`{${SLOT_TAGS[0]}}k`, `{${SLOT_TAGS[16383]}}k`];

const R33: Row = {
  id: "R33",
  what: "nodes of a cluster that mislead are asked seldom, other slots are served meanwhile, and all of them afterwards",
  needs: "cluster",
  async run(scene) {
    const names = () => String([Object.prototype, Array.prototype].map((each) => Reflect.ownKeys(each).map(String)));
    const before = names();
    const long = scene.times(5_000, 500);
    await scene.lanes(7, tricks, async (trick) => {
      const state = await misled(scene, trick);
      scene.counts.faults++;
      const opening = Promise.resolve(scene.adapter.cluster!(state.ports, 10_000));
      const calls = (key: string) => scene.settled(opening.then((client) => scene.call(client, ["SET", key, "v"])), 10_000);
      const since = performance.now();
      const [zero, last] = [calls(ZERO), calls(LAST)];
      const isServed = trick.slots === undefined || trick.what.startsWith("half") || trick.what.includes("two");
      if (isServed) scene.breach((await last).state !== "acked", `${trick.what}: other slots are not served`);
      await Promise.race([zero, running(long)]);
      const most = MOST_HOPS + 1 + MOST_A_SECOND * (performance.now() - since) / 1_000;
      scene.breach(state.asked > most, `${trick.what}: asked ${state.asked} times`);
      state.isOver = true;
      await Promise.all([zero, last]);
      const client = await opening.catch(() => scene.adapter.cluster!(state.ports, 10_000));
      scene.atEnd(() => scene.adapter.close(client));
      for (const key of [ZERO, LAST]) {
        const well = scene.eventually(client, ["SET", key, "v"], { within: SOON, pause: 20 });
        await scene.recovery(well.catch((error) => scene.breach(true, `${trick.what}: not served afterwards: ${error.message}`)));
      }
    });
    scene.breach(names() !== before, "a prototype was changed");
  },
};

const R34: Row = {
  id: "R34",
  what: "a primary that only the client cannot reach costs the others nothing, and nodes that are elsewhere after a restart are found",
  load: "busy",
  needs: "cluster",
  async run(scene) {
    const cluster = await RedisCluster.start({ args: ["--appendonly", "yes", "--appendfsync", "no"] });
    scene.atEnd(() => cluster.stop());
    const proxies = await Promise.all(cluster.servers.map(({ port }) => scene.proxy(port)));
    for (const [i, server] of cluster.servers.entries()) await server.call("CONFIG", "SET", "cluster-announce-port", `${proxies[i]!.port}`);
    await until(async () => {
      const views = await Promise.all(cluster.servers.map((server) => server.call("CLUSTER", "SLOTS")));
      return views.every((view) => proxies.every(({ port }) => JSON.stringify(view).includes(`,${port},`)));
    }, "the nodes to name the proxies");
    // As a name that leads to a node wherever it is.
    const seeds = await Promise.all(cluster.servers.map(({ port }) => scene.proxy(port)));
    const client = await scene.adapter.cluster!(seeds.map(({ port }) => port), 10_000);
    scene.atEnd(() => scene.adapter.close(client));
    const log = scene.log(client, { lists: 16, deadline: 10_000, pause: 1 }).start();
    await log.recovered();

    for (let round = 0; round < scene.times(10, 3); round++) {
      const at = round % 3;
      const [first, last] = [Math.floor(at * 16_384 / 3), Math.floor((at + 1) * 16_384 / 3)];
      const slots: number[] = await Promise.all(range(16).map((list) => cluster.servers[0]!.call("CLUSTER", "KEYSLOT", `log:${list}`)));
      const others = range(16).filter((list) => slots[list]! < first || slots[list]! >= last);
      const from = log.operations.length;
      for (const proxy of [proxies[at]!, seeds[at]!]) proxy.hold();
      await running(1_500);
      const serve = async () => {
        const served = log.operations.slice(from).filter(({ state }) => state === "acked");
        return others.every((list) => served.filter((each) => each.list === list).length >= 20);
      };
      await until(serve, "", SOON).catch(() => scene.breach(true, "slots of other primaries were not served meanwhile"));
      for (const proxy of [proxies[at]!, seeds[at]!]) proxy.release();
      scene.recovered(await log.recovered());
    }

    await Promise.all(cluster.servers.map((server) => server.kill()));
    proxies.forEach(switchOff); // from now on they name their own ports
    await Promise.all(cluster.servers.map((server) => server.restart()));
    await cluster.settled();
    scene.recovered(await log.recovered());
    const dialled = () => proxies.reduce((sum, { times }) => sum + times.length, 0);
    const isLeft = async () => {
      const before = dialled();
      await running(1_000);
      return dialled() === before;
    };
    await until(isLeft, "", SOON).catch(() => scene.breach(true, "addresses where nobody is any more are still dialled"));
    await scene.judge(log, cluster);
    scene.breach(scene.counts.recovery > SOON, "no success soon after all was well again");
  },
};

// ==== N. Near the data ====

/** Longest time for which cached readers of these rows may get what others have changed. */
const MAX_STALE = 300;

/** Sets a counter, unless it is higher already: a write that comes late, or again, does not take it back. */
const RAISE = `if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end`;
const raises: ((db: Handler, key: string, n: number) => Promise<unknown>)[] = [
  (db, key, n) => db.eval(RAISE, 1, key, n),
  (db, key, n) => db.pipeline().eval(RAISE, 1, key, n).execPipeline(),
  (db, key, n) => db.pipeline().eval(RAISE, 1, key, n).commit(),
];

/**
 * Counters that rise, some by writes of this handler and some by those of another, and their cached reader. It must get
 * at least what this handler, or what the other one MAX_STALE ago, had seen acknowledged, and what it has got before, if
 * writes are not lost with a master; or nothing, after a flush.
 */
function cachedCounters(scene: Scene, db: Handler, other: Handler, keepsAll = true) {
  const cached = db.with({ cache: { ttl: 60_000, maxStale: MAX_STALE } });
  const counters = range(6).map((i) => ({
    key: `counter:${i}`, isOwn: i % 2 === 0, last: 0, acked: [{ n: 0, begun: -Infinity, ended: -Infinity }],
  }));
  let isOver = false;
  let flushedAt = -Infinity;
  const write = async ({ key, isOwn, acked }: (typeof counters)[number]) => {
    for (let n = 1; !isOver; n++) {
      const begun = performance.now();
      const { state } = await scene.settled(raises[n % raises.length]!(isOwn ? db : other, key, n), 5_000);
      scene.counts.operations++;
      if (state === "acked") acked.push({ n, begun, ended: performance.now() });
      await sleep(random(20));
    }
  };
  const read = async () => {
    for (; !isOver; await sleep(1)) {
      const now = performance.now(); // in this turn, the driver's clock is not behind
      await Promise.all(counters.map(async (counter) => {
        const { key, isOwn, acked } = counter;
        const least = acked.findLast(({ ended }) => ended <= (isOwn ? now : now - MAX_STALE))!;
        const { state, value } = await scene.settled(cached.get(key), 5_000);
        scene.counts.operations++;
        if (state !== "acked" || (value === null && flushedAt >= least.begun)) return;
        const isOld = Number(value) < least.n;
        const goesBack = keepsAll && Number(value) < counter.last;
        if (isOld || goesBack) scene.counts.wrong++;
        scene.breach(isOld, isOwn ? "a read is behind the handler's own writes" : "a read is older than its bound");
        scene.breach(goesBack, "a counter goes back for its reader");
        counter.last = Number(value);
      }));
    }
  };
  const work = [...counters.map(write), read()];
  const stop = async () => {
    isOver = true;
    await Promise.all(work);
  };
  scene.atEnd(stop);
  return {
    counters,
    async flush(server: RedisServer) {
      flushedAt = Infinity;
      await server.call("FLUSHALL");
      flushedAt = performance.now();
    },
    /** Waits until each counter has risen and some are read from memory, and until what others wrote must be seen. */
    async recovered() {
      const [before, { hits }] = [counters.map(({ acked }) => acked.length), db.cacheStats()];
      const isWell = () => counters.every(({ acked }, i) => acked.length > before[i]!) && db.cacheStats().hits > hits;
      const time = await scene.recovery(until(isWell, "writes, and hits", 60_000));
      scene.breach(time > SOON, "no hits soon after all was well again");
      await running(3 * MAX_STALE);
    },
    stop,
  };
}

/** The connection behind a proxy on which the server tracks keys. */
async function trackedLink(server: RedisServer, proxy: Proxy): Promise<Link | undefined> {
  const clients = String(await server.call("CLIENT", "LIST")).split("\n");
  return proxy.open.find(({ address }) => clients.some((client) => client.includes(` addr=${address} `) && /flags=\w*t/.test(client)));
}

const N01: Row = {
  id: "N01",
  what: "a counter never goes back for cached readers, whatever happens to the server and to the tracked connection",
  needs: "redis.ts",
  async run(scene) {
    const server = await scene.durable();
    const proxy = await scene.proxy(server.port);
    const options = { port: proxy.port, poolsize: 3, replyTimeout: 3_000 };
    proxy.delay = () => (random(1) < 0.7 ? 0 : random(30)); // pushes come before acknowledgements, and long after them
    const work = cachedCounters(scene, scene.db(options), scene.db({ ...options, port: server.port }));
    await work.recovered();
    const tracked = () => until(() => trackedLink(server, proxy), "the tracked connection") as Promise<Link>;
    const faults: (() => Promise<unknown>)[] = [
      async () => (await tracked()).cut("rst"),
      async () => { // its pushes come late, and at once
        const link = await tracked();
        link.down.hold();
        await sleep(random(5 * MAX_STALE));
        link.down.release();
      },
      () => work.flush(server),
      () => server.call("CLIENT", "KILL", "TYPE", "normal"),
      async () => {
        server.freeze();
        await sleep(random(2 * MAX_STALE));
        server.thaw();
      },
      async () => { // of connections that carry writes
        for (const link of proxy.open) if (link !== await trackedLink(server, proxy)) link.cut("rst");
      },
      async () => {
        await server.kill();
        await server.restart();
      },
      async () => { // half of the network
        const link = await tracked();
        link.hold();
        await sleep(random(3 * MAX_STALE));
        link.cut("rst");
      },
      () => server.call("CONFIG", "SET", "tracking-table-max-keys", `${1 + Math.floor(random(6))}`),
    ];
    for (let i = 0; i < scene.times(10 * faults.length, faults.length); i++) {
      await faults[i % faults.length]!();
      scene.counts.faults++;
      await work.recovered();
    }
    await work.stop();
  },
};

const N02: Row = {
  id: "N02",
  what: "what both replicas have does not go back for cached readers when the master is killed or freezes",
  needs: "redis.ts",
  async run(scene) {
    const set = await SentinelSet.start();
    scene.atEnd(() => set.stop());
    const open = () => scene.db({ host: undefined, sentinels: set.hosts, master: set.name, poolsize: 3, replyTimeout: 3_000 })
      .with({ durable: { replicas: 2, timeout: 500 } }) as Handler;
    const work = cachedCounters(scene, open(), open(), false);
    for (let i = 0; i < scene.times(10, 2); i++) {
      const old = await set.settle();
      await work.recovered();
      const writable = promotion(set.nodes.filter((node) => node !== old));
      await (i % 2 === 0 ? old.kill() : old.freeze());
      scene.counts.faults++;
      await writable;
      await (i % 2 === 0 ? old.restart() : old.thaw());
    }
    await set.settle();
    await work.recovered();
    await work.stop();
  },
};

const N03: Row = {
  id: "N03",
  what: "a counter never goes back for cached readers while its slot moves, and what was missing there is found when it is made",
  needs: "redis.ts",
  async run(scene) {
    const cluster = await RedisCluster.start({ replicas: 0 });
    scene.atEnd(() => cluster.stop());
    const open = () => {
      const db = lazyClusterConnectionPool(cluster.hosts, { poolsize: 2, replyTimeout: 3_000 }) as unknown as Handler;
      scene.atEnd(() => db.destroy());
      return db;
    };
    const [db, other] = [open(), open()];
    const work = cachedCounters(scene, db, other);
    const cached = db.with({ cache: { ttl: 60_000, maxStale: MAX_STALE } });
    await work.recovered();
    const move = async (key: string) => {
      const slot: number = await cluster.servers[0]!.call("CLUSTER", "KEYSLOT", key);
      const owner = cluster.servers.indexOf(await cluster.owner(slot));
      await cluster.move(slot, cluster.servers[(owner + 1) % 3]!);
      scene.counts.faults++;
    };
    for (let i = 0; i < scene.times(100, 6); i++) {
      const missing = `missing:${i}`; // no server reports that it is made by another one
      const before = await scene.settled(cached.get(missing), 5_000);
      if (i % 2 === 0) await move(work.counters[i % 6]!.key); // else nobody learns of the other move
      await move(missing);
      const made = await scene.settled(other.set(missing, "made"), 5_000);
      await work.recovered();
      const { state, value } = await scene.settled(cached.get(missing), 5_000);
      const isMissed = before.state === "acked" && made.state === "acked" && state === "acked" && value !== "made";
      if (isMissed) scene.counts.wrong++;
      scene.breach(isMissed, "a key is still missing, although it was made on another node");
    }
    await work.stop();
  },
};

/** Orders in which a push may stand among the replies of a load, in one chunk. */
const isPush = (part: Buffer) => part[0] === 62; // ">"
const orders: ((held: Buffer[]) => Buffer[])[] = [
  (held) => held,
  (held) => [...held.filter(isPush), ...held.filter((part) => !isPush(part))],
  (held) => [...held.filter((part) => !isPush(part)).slice(0, -1), ...held.filter(isPush), ...held.filter((part) => !isPush(part)).slice(-1)],
];

const N04: Row = {
  id: "N04",
  what: "a reply that comes in one chunk with the push that makes it stale, before or behind it, is not kept",
  needs: "redis.ts",
  async run(scene) {
    const server = await scene.server();
    const proxy = await scene.proxy(server.port);
    proxy.onReply = () => "pass"; // parts its replies
    const db = scene.db({ port: proxy.port, poolsize: 2, replyTimeout: 60_000 });
    const cached = db.with({ cache: { ttl: 60_000, maxStale: 60_000 } });
    const kept = async () => { // a load is kept
      const { hits } = db.cacheStats();
      for (let i = 0; i < 2; i++) await cached.get("kept");
      return db.cacheStats().hits > hits;
    };
    await until(kept, "hits");
    const { down } = (await trackedLink(server, proxy))!;
    const changes: ((key: string) => string[])[] = [(key) => ["SET", key, "new"], () => ["FLUSHALL"], (key) => ["DEL", key]];
    for (let time = 0; time < scene.times(500, 18); time++) {
      const key = `key:${time}`;
      const change = changes[Math.floor(time / orders.length) % changes.length]!(key);
      await server.call("SET", key, "old");
      down.hold();
      const loads = range(3).map(() => scene.settled(scene.call(cached, ["GET", key]), 60_000));
      const held = () => down.held as readonly Buffer[];
      await until(() => held().some((part) => String(part) === "$3\r\nold\r\n"), "the reply");
      await server.call(...change);
      await until(() => held().some(isPush), "the push");
      down.releaseAs(orders[time % orders.length]!);
      scene.counts.faults++;
      for (const { value } of await Promise.all(loads)) if (value !== "old" && value !== "new" && value !== null) scene.counts.wrong++;
      const now = change[0] === "SET" ? "new" : null;
      for (let i = 0; i < 2; i++) {
        const { value } = await scene.settled(scene.call(cached, ["GET", key]), 60_000);
        if (value !== now) scene.counts.wrong++;
        scene.breach(value !== now, `${value} is kept after ${change[0]}, in order ${time % orders.length}`);
      }
    }
    scene.breach(!await kept(), "nothing is kept any more");
  },
};

/** A process with this program, in which `db` is a handler for the server; its lines are given to `hear`. */
function spawned(scene: Scene, port: number, program: string, hear: (line: string, child: Spawned) => void): Spawned {
  const head = `
    import { writeSync } from "node:fs";
    import { setTimeout as sleep } from "node:timers/promises";
    import { RedisQueue, lazyConnectionPool } from ${JSON.stringify(new URL("../redis.js", import.meta.url).href)};
    const db = lazyConnectionPool({ host: "127.0.0.1", port: ${port}, poolsize: 4 });
    const say = (...words) => writeSync(1, words.join(" ") + "\\n");`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", head + program], { stdio: ["ignore", "pipe", "inherit"] });
  const own: Spawned = { exit: once(child, "close"), kill: () => void child.kill("SIGKILL") };
  scene.atEnd(async () => {
    own.kill();
    await own.exit;
  });
  createInterface({ input: child.stdout }).on("line", (line) => hear(line, own));
  return own;
}
type Spawned = { exit: Promise<unknown>; kill(): void };

/** Of N05: the time after which another caller loads, and the keys. */
const LOCK_TIMEOUT = 1_500;
const PAGES = range(4).map((i) => `page:${i}`);
/** Notes that a load begins, now and until when nobody else may load, by the server's clock. */
const BEGIN = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = math.max(0, redis.call('PTTL', 'remember:{' .. KEYS[1] .. '}'))
redis.call('RPUSH', 'log', table.concat({ 'begin', KEYS[1], ARGV[1], now, now + left }, ' '))`;

const N05: Row = {
  id: "N05",
  what: "loaders that die or fail hold nobody up for long, one process loads at a time, and an error is its caller's alone",
  needs: "redis.ts",
  load: "busy",
  async run(scene) {
    const server = await scene.server();
    // Each load is in a list, from its beginning to its end; a caller reports what it got, how, and how long that took.
    const program = `
      const own = db.with({ replyTimeout: 60_000 });
      const lane = async (key, lane) => {
        for (let n = 0, last = 0; ; n++) {
          const id = process.pid + ":" + lane + ":" + n;
          const isLate = Math.random() < 0.1;
          const load = async () => {
            await own.eval(${JSON.stringify(BEGIN)}, 1, key, id);
            say("loading");
            await sleep(20 + Math.random() * 30);
            const value = await own.incr("version:" + key);
            await own.rpush("log", "end " + key + " " + id);
            if (Math.random() < 0.2) throw new Error(id);
            return value;
          };
          const view = isLate ? db.with({ signal: AbortSignal.timeout(Math.ceil(Math.random() * 30)) }) : db;
          const since = performance.now();
          const options = { ttl: 100, lockTimeout: ${LOCK_TIMEOUT}, timeout: 60_000 };
          const what = await view.remember(key, options, load).then(Number, (error) => {
            return error.code === "ABORTED" && isLate ? "aborted" : error.message === id ? "failed" : "wrong: " + error.message;
          });
          say("got", performance.now() - since, typeof what === "number" ? what >= last ? "value" : "wrong: " + what + " after " + last : what);
          if (typeof what === "number") last = what;
          await sleep(Math.random() * 10);
        }
      };
      for (const key of ${JSON.stringify(PAGES)}) for (const i of [0, 1]) void lane(key, i);`;
    let [kills, loads] = [0, 0];
    const due = scene.times(40, 4);
    const dead = new Set<Spawned>();
    const start = () => spawned(scene, server.port, program, (line, child) => {
      const [what, time, ...result] = line.split(" ");
      if (what === "loading") {
        if (++loads % 10 < 8 || kills >= due || dead.has(child)) return;
        kills++;
        dead.add(child);
        child.kill(); // in the middle
        void child.exit.then(start);
        return;
      }
      const { counts } = scene;
      counts.operations++;
      if (result[0] === "value") counts.acked++;
      else if (result[0] !== "wrong:") counts.refused++;
      else counts.wrong++;
      scene.breach(result[0] === "wrong:", `a caller got ${result.join(" ")}`);
      scene.recovered(Number(time));
    });
    for (let i = 0; i < 3; i++) start();
    const log = (): Promise<string[]> => server.call("LRANGE", "log", "0", "-1");
    await until(() => kills >= due, "the kills", 20 * due * LOCK_TIMEOUT);
    const from = (await log()).length;
    const isServed = async () => {
      const lines = (await log()).slice(from);
      return PAGES.every((key) => lines.some((line) => line.startsWith(`end ${key} `)));
    };
    await scene.recovery(until(isServed, "each key to be loaded again", 60_000));
    scene.counts.faults += kills;
    scene.breach(scene.counts.recovery > LOCK_TIMEOUT + SLACK, "a caller was held up");
    const loading = new Map<string, { id: string; until: number }>();
    for (const line of await log()) {
      const [what, key, id, time, until] = line.split(" ") as [string, string, string, string, string];
      const other = loading.get(key);
      if (what === "begin" && other !== undefined && Number(time) < other.until) scene.counts.doubled++; // two at once
      if (what === "begin") loading.set(key, { id, until: Number(until) });
      else if (other?.id === id) loading.delete(key);
    }
  },
};

const N06: Row = {
  id: "N06",
  what: "consumers of a queue that are killed, with an item or while they wait, lose at most that, and nobody gets an item twice",
  needs: "redis.ts",
  load: "busy",
  async run(scene) {
    const server = await scene.durable();
    const { counts } = scene;
    const LANES = 2;
    const program = `
      const queue = new RedisQueue(db, "queue");
      const lane = async () => {
        for (;;) {
          try {
            say("took", await queue.get());
          } catch (error) {
            say("lost", error.outcome);
            await sleep(5);
          }
        }
      };
      for (let i = 0; i < ${LANES}; i++) void lane();`;
    const taken = new Map<string, number>();
    const consumers = new Set<Spawned>();
    const start = () => consumers.add(spawned(scene, server.port, program, (line) => {
      const [what, item = ""] = line.split(" ");
      if (what === "took") taken.set(item, (taken.get(item) ?? 0) + 1);
      else scene.count(item as Outcome);
    }));
    const kill = async () => {
      const [victim] = consumers as unknown as [Spawned];
      consumers.delete(victim);
      victim.kill();
      await victim.exit;
      counts.faults++;
      killed++;
      start();
    };
    for (let i = 0; i < 3; i++) start();
    const queue = new RedisQueue(scene.db({ port: server.port, poolsize: 4 }), "queue");
    let [put, killed] = [0, 0];
    const isBlocked = async () => new RegExp(`blocked_clients:${3 * LANES}\\b`).test(await server.call("INFO", "clients"));
    const puts = async (count: number) => {
      for (; count > 0; count--) {
        const { state } = await scene.settled(queue.put(`${put++}`), 10_000);
        if (state !== "acked" && state !== "unknown") put--; // its number is free
      }
    };
    for (let round = 0; round < scene.times(60, 6); round++) {
      await until(isBlocked, "the consumers", 60_000);
      const putting = puts(200);
      if (round % 3 === 0) await kill(); // while they take
      else if (round % 3 === 1) counts.faults += await server.call("CLIENT", "KILL", "TYPE", "normal");
      await putting;
      if (round % 3 === 2) {
        await until(isBlocked, "the consumers", 60_000);
        await kill(); // while it waits
      }
    }
    await until(async () => (await server.call("LLEN", "queue")) === 0 && await isBlocked(), "the rest", 60_000);
    for (const consumer of consumers) {
      consumer.kill();
      await consumer.exit; // and its lines have come
    }
    counts.operations += put;
    counts.acked = taken.size;
    for (const times of taken.values()) if (times > 1) counts.doubled++;
    const lost = range(put).filter((n) => !taken.has(`${n}`)).length;
    const most = counts.unknown + LANES * killed;
    scene.breach(lost > most, `${lost} items are lost, at most ${most} were in flight`);
  },
};

const N07: Row = {
  id: "N07",
  what: "counters under kills have what was acknowledged, and at most what is unknown in addition",
  needs: "redis.ts",
  load: "busy",
  async run(scene) {
    const server = await scene.durable();
    const db = scene.db({ port: server.port, poolsize: 4 });
    const ways: ((counter: RedisCounter) => Promise<number>)[] = [
      (counter) => counter.add(), (counter) => counter.subtract(-1n), (counter) => counter.shiftLeft(1),
    ];
    const counters = ways.map((way, i) => ({ way, counter: new RedisCounter(db, `counter:${i}`), acked: 0, unknown: 0 }));
    await db.mset(["counter:0", 0, "counter:1", 0, "counter:2", 1]);
    let isOver = false;
    const workers = range(15).map(async (worker) => {
      for (const each = counters[worker % ways.length]!; !isOver;) {
        const isDoubling = worker % ways.length === 2;
        if (isDoubling && each.acked + each.unknown >= 40) return;
        scene.counts.operations++;
        const { state } = await scene.settled(each.way(each.counter), 10_000);
        if (state === "acked") each.acked++;
        else if (state === "unknown") each.unknown++;
        await sleep(isDoubling ? random(50) : random(2));
      }
    });
    for (let kill = 0; kill < scene.times(100, 10); kill++) {
      await sleep(random(50));
      if (kill % 4 === 3) {
        await server.kill();
        await server.restart();
        scene.counts.faults++;
      } else scene.counts.faults += await server.call("CLIENT", "KILL", "TYPE", "normal");
      await scene.recovery(scene.eventually(db, ["PING"]));
    }
    isOver = true;
    await Promise.all(workers);
    for (const [i, { acked, unknown }] of counters.entries()) {
      const value = Number(await server.call("GET", `counter:${i}`));
      const count = i === 2 ? Math.log2(value) : value;
      if (count < acked) scene.counts.lost += acked - count;
      if (count > acked + unknown) scene.counts.doubled += count - acked - unknown;
    }
  },
};

export const rows: Row[] = [
  R01, R02, R03, R04, R05, R06, R07, R08, R09, R10, R11, R12, R13, R14, R15, R16, R17, R18, R19, R20, R21, R22, R23, R24,
  R25, R26, R27, R28, R29, R30, R31, R32, R33, R34, R37, R38, R39, R40, A01, A02, A03, A04, A05,
  N01, N02, N03, N04, N05, N06, N07,
];

// ==== The program ====

/** Rows that keep a core busy one after the other, others beside them, those that must be alone at the end. */
export async function runAll(
  chosen: Row[], scale: number, adapter: Adapter, told: (row: Row, result: Result) => void,
) {
  const lane = async (queue: IterableIterator<Row>) => {
    for (const row of queue) told(row, await run(row, scale, adapter));
  };
  const quiet = chosen.filter(({ load }) => load === undefined).values();
  await Promise.all([lane(chosen.filter(({ load }) => load === "busy").values()), ...range(3).map(() => lane(quiet))]);
  await lane(chosen.filter(({ load }) => load === "alone").values());
}

const columns = ["faults", "operations", "acked", "unknown", "lost", "doubled", "wrong", "hung", "recovery"] as const;

async function main(args: string[]) {
  const option = (name: string) => {
    const at = args.indexOf(`--${name}`);
    return at < 0 ? undefined : args.splice(at, 2)[1];
  };
  const scale = Number(option("scale") ?? 1);
  const client = option("client") ?? "redis.ts";
  const others = async () => (await import(new URL("../../bench/clients.mjs", import.meta.url).href)).clients;
  const adapter: Adapter = forms[client] ?? { name: client, ...(await others())[client]?.adapter };
  if (!adapter.call || !(scale > 0)) {
    throw new Error("npm run faults -- [rows] [--scale x] [--client pool|shards|ioredis|iovalkey|node-redis]");
  }
  const [minutes, seed] = [Number(option("minutes") ?? 10), Number(option("seed") ?? Math.floor(random(2 ** 31)))];
  const say = (text: string) => console.log(`${new Date().toISOString().slice(11, 19)}  ${text}`);
  const long = soaking(() => ({ seed, time: minutes * 60_000, faults: 30, pause: 2_000, say }));
  const isSoak = args[0] === "soak";
  if (isSoak) say(`soak of ${minutes} minutes, seed ${seed}`);
  const unknown = isSoak ? args.slice(1) : args.filter((id) => !rows.some((row) => row.id === id));
  if (unknown.length > 0) throw new Error(`no such row: ${unknown}; there are ${rows.map(({ id }) => id)}`);
  const able = ({ needs }: Row) => adapter === redisTs || needs === undefined || (needs === "signals" && adapter.aborts === true)
    || (needs === "one connection" && adapter.connections === undefined) || (needs === "cluster" && !!adapter.cluster)
    || (needs === "sentinel" && !!adapter.sentinel);
  const chosen = isSoak ? [long] : rows.filter((row) => (args.length === 0 || args.includes(row.id)) && able(row));

  let breaches = 0;
  for (const event of ["unhandledRejection", "uncaughtException"] as const)
    process.on(event, (error: unknown) => {
      breaches++;
      console.log(`${event}: ${String((error as Error)?.stack ?? error)}`);
    });
  console.log(`${adapter.name}, scale ${scale}; recovery in ms\n`);
  console.log(["row", ...columns, "verdict"].map((name) => name.padStart(11)).join(""));
  await runAll(chosen, scale, adapter, (row, result) => {
    if (result.breaches.length > 0) breaches++;
    const figures = columns.map((name) => String(Math.round(result[name])).padStart(11)).join("");
    console.log(`${row.id.padStart(11)}${figures}${(result.breaches.length > 0 ? "BREACH" : "ok").padStart(11)}`);
    for (const breach of result.breaches) console.log(`${"".padEnd(15)}${breach}`);
  });
  process.exit(breaches > 0 ? 1 : 0); // whatever a client may have left open
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(process.argv.slice(2));

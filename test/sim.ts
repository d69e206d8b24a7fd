// A deterministic simulation: the driver, a model of servers and the network between them in one process, under a clock
// of its own. A seed decides everything: who calls what, how bytes are cut and delayed, what breaks and when. The same
// seed gives the same run, always. `npm run sim -- --seeds 1000000` looks for a seed that breaks an invariant, in each
// kind of scene, `npm run sim -- --seed 7 --kind sentinel` shows one run.
//
//     network.ts    chance, time, links and sockets
//     model.ts      servers, Sentinels and nodes of a cluster, with their sessions
//     near.ts       cached readers, and what they may get
//     scenes.ts     the kinds of scenes: which hosts there are, what happens to them, what must hold there
//     this file     the callers, the faults, and the judgement
//
//     simulate(driver, seed, kind)      → the first invariant that was broken, or undefined
//
// Invariants, numbered as the project's goals are: I1 the right reply to the right caller, I2 settled (nothing hangs,
// and the handler recovers), I3 in time, I4 at most once and honest about it, I5 in order, I6 no zombies, I7 quiet,
// I8 session state, and no command for a server that should get none, I9 nothing left behind, I10 no secret for others.
// Of messages: each once, in order, none missing without a gap.

import { Buffer } from "node:buffer";
import { fork } from "node:child_process";
import { getEventListeners } from "node:events";
import { availableParallelism } from "node:os";
import process, { argv, exit } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Socket } from "node:net";
import type { FeedOptions, Gap, Handler, Message, Outcome, PipelineError, RedisError, Subscription } from "../redis.ts";
import { covers } from "./model.ts";
import type { Entry, Host } from "./model.ts";
import { Near } from "./near.ts";
import { Agenda, Chance, FIN, Link, quiet, RST } from "./network.ts";
import type { Task } from "./network.ts";
import { Cluster, Failover, Fixed, Several } from "./scenes.ts";
import type { Scene } from "./scenes.ts";

export type Driver = typeof import("../redis.ts");
export type Breach = { kind: Kind; seed: number; invariant: string; what: string; trace: string[] };

/** The kinds of scenes. */
const SCENES = { fixed: Fixed, sentinel: Failover, several: Several, cluster: Cluster } as const;
export type Kind = keyof typeof SCENES;
/** The kinds that run by default; clusters need `--kind cluster`. */
export const kinds: readonly Kind[] = ["fixed", "sentinel", "several"];

/** Warnings about wrong lists are not printed: the source gives many on purpose. */
const printers = process.listeners("warning");
process.removeAllListeners("warning").on("warning", (warning) => {
  if ((warning as { code?: string }).code !== "BAD_LIST") for (const print of printers) print(warning);
});

// ==== The callers ====

/** One command of the workload and what became of it. */
export type Op = {
  nonce: number;
  name: string;
  writes: boolean;
  /** Whether its view is idempotent: it may be done several times. */
  repeats: boolean;
  /** On a connection that was lent before. */
  lent: boolean;
  /** All of these or none. */
  batch: number;
  /** The value read under WATCH before this write. */
  saw?: unknown;
  given: number;
  /** The time when it was given, and what else was given in the same turn. */
  at: number;
  tick: number;
  /** Of a pipeline. */
  many?: boolean;
  /** The hash tag of its keys. */
  tag?: string | undefined;
  settled: number;
  /** Milliseconds until then. */
  took: number;
  outcome?: "acked" | Outcome;
  error?: RedisError;
  /** Time since which the driver reports it as fenced. */
  fenced: number;
  reply?: unknown;
};

/** Somebody who listens. */
type Listener = {
  readonly names: string[];
  readonly options: FeedOptions;
  subscription?: Subscription | undefined;
  over: boolean;
  /** From which message on those of a name must come. */
  readonly due: Map<string, number>;
  /** The last message of a name. */
  readonly heard: Map<string, number>;
  last: number;
  gap: boolean;
  missed: number;
};

type Settings = {
  poolsize: number; dbid: number; username?: string; password?: string; name?: string; protocol: 2 | 3; replyTimeout: number;
  connectTimeout: number; leaseTimeout: number; pingInterval: number; maxPending: number; maxUnsent: number;
  /** Of runs with cached readers. */
  cacheBytes?: number;
};

/** Texts as the bytes they are on the wire. */
const inBytes = (value: unknown): unknown =>
  typeof value === "string" ? Buffer.from(value).toString("latin1") : Array.isArray(value) ? value.map(inBytes) : value;
const same = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(inBytes(a)) === JSON.stringify(b);

/** By so much a deadline may be missed. */
const SLACK = 100;
/** Commands that take so long may be overtaken: their node may be silent. */
const SLOW = 240;
/** So many replies may come in time before and among those of a pipeline. */
const MOST_REPLIES = 20;
const MOST_TURNS = 40_000;
const RECOVERY = 60_000;

/** How a call fails when the handler has been closed. */
const ENDED = ["CLOSED", "ABORTED", "TRANSACTION_OVER", "LEASE_OVER"];

let current: Simulation | undefined;
for (const event of ["unhandledRejection", "uncaughtException"] as const) {
  process.on(event, (error: unknown) => {
    if (current === undefined) throw error;
    current.breach("I7", `${event}: ${error instanceof Error ? error.stack : String(error)}`);
  });
}

export class Simulation {
  readonly #driver: Driver;
  readonly #seed: number;
  readonly chance: Chance;
  readonly say: ((text: string) => void) | undefined;
  readonly trace: string[] = [];
  #breach: Breach | undefined;

  now = 1_000;
  /** Whether the driver has been given something, and may have more to do. */
  touched = false;
  readonly #timers = new Agenda();
  readonly #events = new Agenda();
  #immediates: (() => void)[] = [];
  #order = 0;
  #stalled = 0;
  #over = false;

  readonly chunky: number;
  readonly #pace: number;
  /** The socket takes little at once. */
  readonly tight: boolean;
  readonly window: number;
  readonly scale: number;
  /** Whether sockets take nothing at once, and may break meanwhile: in this run, and now. */
  readonly isSlow: boolean;
  slow: boolean;
  /** All of the network holds what it has. */
  hole = false;
  readonly holed: (() => void)[] = [];
  readonly #links: Link[] = [];

  readonly settings: Settings;
  /** Servers that do not know HELLO, or do not let us end connections. */
  readonly old: boolean;
  readonly deny: boolean;
  readonly kind: Kind;
  readonly scene: Scene;
  /** The cached readers, if there are some. */
  readonly near: Near | undefined;
  /** Number of tasks that have been done. */
  turns = 0;
  /** The executions, by command. */
  readonly entries = new Map<number, Entry[]>();
  /** Commands that were refused at least once. */
  readonly refusals = new Set<number>();
  /** Commands that a node has redirected, each with the node. */
  readonly redirections = new Set<string>();
  /** Whether only writes have been refused: other commands then overtake those that wait. */
  refusedWrites = false;
  /** Turns in which a caller has asked for a connection of its own: it may be that of the turn's other commands. */
  readonly #lendingTicks = new Set<number>();
  /** The channels of the messages that another client has published; each message is its index here. */
  readonly published: string[] = [];
  #executions = 0;
  #ticks = 0;

  db!: Handler;
  readonly #ops: Op[] = [];
  readonly #suspects: Op[] = [];
  readonly #signals: AbortSignal[] = [];
  readonly #listeners: Listener[] = [];
  #open = 0;
  /** Time since which the handler is closed. */
  #closed = Infinity;
  #batches = 0;

  constructor(driver: Driver, seed: number, kind: Kind, tracing: boolean) {
    this.#driver = driver;
    this.#seed = seed;
    this.kind = kind;
    const chance = this.chance = new Chance(seed);
    if (tracing) this.say = (text) => void this.trace.push(`${(this.now - 1_000).toFixed(2).padStart(9)}  ${text}`);
    this.chunky = chance.pick(0, 0.05, 0.4);
    this.#pace = chance.pick(0.1, 1, 10);
    this.tight = chance.of(0.5);
    this.window = this.tight ? 200 : chance.pick(Infinity, Infinity, 3_000);
    this.scale = this.tight ? chance.pick(500, 65_536) : 1;
    this.isSlow = this.slow = chance.of(0.5);
    this.old = chance.of(0.1);
    this.deny = chance.of(0.1);
    const user = chance.pick({}, {}, { password: "secret" }, { username: "ann", password: "secret" });
    this.settings = {
      poolsize: chance.pick(1, 1, 2, 3), dbid: kind === "cluster" ? 0 : chance.pick(0, 3), ...user, ...chance.pick({}, { name: "sim" }),
      protocol: chance.pick(3, 3, 2), replyTimeout: chance.pick(40, 200, 1_000), connectTimeout: chance.pick(100, 1_000),
      leaseTimeout: chance.pick(300, 30_000), pingInterval: chance.pick(100, 10_000),
      maxPending: chance.pick(2 ** 20, 2 ** 20, 12), maxUnsent: chance.pick(2 ** 20, 2 ** 20, 600),
    };
    this.scene = new SCENES[kind](this);
    // By a chance of its own, so that it does not change what happens in the other runs.
    const isNear = new Chance(seed ^ 0x5eed).of(0.4) && kind !== "several" && !this.old && this.settings.protocol === 3;
    this.near = isNear ? new Near(this) : undefined;
  }

  order(): number {
    return ++this.#order;
  }

  latency(): number {
    const { chance } = this;
    return chance.of(0.02) ? chance.next() * 30 * this.#pace : chance.next() * this.#pace;
  }

  at(time: number, task: () => void): void {
    this.#events.add(time, task);
  }

  breach(invariant: string, what: string): void {
    this.#breach ??= { kind: this.kind, seed: this.#seed, invariant, what, trace: this.trace };
    this.say?.(`${invariant} IS BROKEN: ${what}`);
  }

  op(nonce: number): Op {
    return this.#ops[nonce]!;
  }

  /** The number of an execution of EXEC. */
  nextBatch(): number {
    return ++this.#executions;
  }

  /** Begins a turn of the callers. */
  tick(): void {
    this.touched = true;
    this.#ticks++;
  }

  /** The number of a transaction. */
  batch(): number {
    return ++this.#batches;
  }

  batchOf(nonce: number | undefined): number {
    return nonce === undefined ? 0 : this.#ops[nonce]!.batch;
  }

  /** Notes that later commands may be done before this one, and before all of its transaction, which goes with it. */
  mayBeOvertaken(nonce: number): void {
    const { batch } = this.op(nonce);
    this.refusals.add(nonce);
    if (batch > 0) for (const op of this.#ops) if (op.batch === batch) this.refusals.add(op.nonce);
  }

  // ---- A run ----

  async run(): Promise<Breach | undefined> {
    current = this;
    const { stackTraceLimit } = Error;
    if (this.say === undefined) Error.stackTraceLimit = 0; // stacks take a fifth of the time
    Object.assign(this.#driver.internals.world, {
      now: () => this.now,
      random: () => this.chance.next(),
      // Timers of Node fire up to one millisecond early or late.
      after: (delay: number, task: () => void) =>
        Object.assign(this.#timers.add(this.now + Math.max(0.1, delay + this.chance.next() * 2 - 0.9), task), { unref }),
      cancel: (timer: Task | undefined) => {
        if (timer !== undefined) timer.run = undefined;
      },
      afterInput: (task: () => void) => void this.#immediates.push(task),
      connect: ({ host, port }: { host: string; port: number }) => this.#connect(this.scene.at(host, port)),
    });
    const lacks = `${this.old ? ", no HELLO" : ""}${this.deny ? ", no KILL" : ""}`;
    this.say?.(`${this.kind} seed ${this.#seed}: ${JSON.stringify(this.settings)}${lacks}`);
    this.db = this.scene.open(this.#driver);
    this.#plan();
    await quiet();
    for (let turns = 0; !this.#over && this.#breach === undefined; turns++) {
      if (turns > MOST_TURNS) this.breach("I2", "it does not come to rest");
      await this.#turn();
    }
    if (this.#breach === undefined) this.#judge();
    else this.db.destroy(); // Sentinels and lists are shared with the handlers of later runs
    await quiet();
    current = undefined;
    Error.stackTraceLimit = stackTraceLimit;
    return this.#breach;
  }

  /** As an event loop goes round: what is due, what has arrived, what waits for that. */
  async #turn(): Promise<void> {
    if (this.#immediates.length === 0) this.now = Math.max(this.now, Math.min(this.#timers.next, this.#events.next));
    if (this.now === Infinity) return this.breach("I2", "nothing will ever happen again");
    while (this.#timers.next <= this.now) await this.#do(this.#timers.take().run!, true);
    while (this.#events.next <= this.now && this.#breach === undefined) await this.#do(this.#events.take().run!, false);
    const immediates = this.#immediates;
    this.#immediates = [];
    for (const task of immediates) await this.#do(task, true);
  }

  async #do(task: () => void, touches: boolean): Promise<void> {
    this.touched = touches;
    this.turns++;
    try {
      task();
    } catch (error) {
      this.breach("I7", `thrown: ${error instanceof Error ? error.stack : String(error)}`);
    }
    this.near?.sampleAll();
    if (this.touched) await quiet();
  }

  #connect(host: Host): Socket {
    if (this.chance.of(0.003)) throw new Error("too many open files");
    const link = new Link(this, this.#links.length + 1, host);
    this.#links.push(link);
    this.at(this.now + this.latency(), () => link.socket.connect());
    return link.socket as unknown as Socket;
  }

  sleep(time: number): Promise<void> {
    return new Promise((resolve) => this.at(this.now + time, () => {
      this.touched = true;
      resolve();
    }));
  }

  #plan(): void {
    const { chance } = this;
    const length = this.kind === "fixed" ? chance.pick(20, 200, 1_500) : chance.pick(200, 1_500, 6_000);
    const moments = [this.now];
    const moment = (): number => { // half of all comes soon after something else
      const time = chance.of(0.5) ? chance.pick(...moments) + chance.next() * 50 : this.now + chance.next() * length;
      return moments[moments.length] = Math.min(time, this.now + length);
    };
    const calls = 1 + chance.below(length > 2_000 ? 40 : 16);
    for (let i = 0; i < calls; i++) {
      this.at(moment(), () => {
        this.touched = true;
        this.#ticks++;
        for (let more = chance.pick(1, 1, 2, 6); more > 0; more--) this.#call();
      });
    }
    const listeners = chance.pick(0, 0, 1, 2);
    for (let i = 0; i < listeners; i++) this.at(moment(), () => void this.#listen());
    for (let i = listeners * chance.pick(10, 50); i > 0; i--) this.at(moment(), () => this.#publish(chance.pick(1, 1, 6)));
    for (let i = chance.below(5); i > 0; i--) this.at(moment(), () => this.#fault(length));
    this.scene.plan(moment);
    this.near?.plan(moment);
    if (chance.of(0.3)) this.at(moment(), () => void this.#close());
    this.at(this.now + length, () => void this.#finish());
  }

  // ---- Faults ----

  #fault(length: number): void {
    const { chance, scene } = this;
    const host = chance.pick(...scene.hosts);
    const server = chance.pick(...scene.servers);
    const live = this.#links.filter(({ socket }) => !socket.destroyed);
    const link = live[chance.below(live.length)];
    const time = chance.next() * length * chance.pick(0.1, 1);
    const kind = chance.pick("cut", "cut", "fin", "half", "hold", "hold", "hole", "freeze", "swallow", "refuse", "refuse",
      "refuse", "down", "garbage", "endless", "push", "stall", "kill", "split", "split", "away");
    this.say?.(`fault: ${kind} of ${host.name}, ${link === undefined ? "" : `of link ${link.id} `}for ${time.toFixed(1)}`);
    for (const each of ["hole", "stall"].includes(kind) ? scene.hosts : [host, server, link?.host]) {
      if (each !== undefined) this.trouble(each, kind === "swallow" ? Infinity : time);
    }
    const later = (task: () => void): void => this.at(this.now + time, () => {
      this.say?.(`fault: ${kind} is over`);
      task();
    });
    switch (kind) {
      case "cut": // at any byte, in both directions
        link?.up.cut();
        link?.down.cut();
        return link?.session.kill(chance.pick<typeof FIN | typeof RST>(FIN, RST));
      case "fin": return link?.session.kill(FIN);
      case "half": return link?.down.send(FIN);
      case "kill":
        return host.killAll(FIN);
      case "hold": {
        if (link === undefined) return;
        if (chance.of(0.7)) link.up.held = true;
        link.down.held = !link.up.held || chance.of(0.5);
        return later(() => link.heal());
      }
      case "split": return link?.split(time);
      case "hole":
        this.hole = true;
        return later(() => this.#heal());
      case "swallow":
        if (link !== undefined) link.down.dead = true;
        return;
      case "freeze":
        host.frozen = true;
        return later(() => host.thaw());
      case "away":
        host.away = true;
        return later(() => this.#heal(host));
      case "refuse":
        server.refusing = chance.pick("LOADING Redis is loading the dataset in memory", "READONLY You can't write against it",
          "MASTERDOWN Link with MASTER is down", "BUSY Redis is busy running a script", "TRYAGAIN Multiple keys",
          "OOM command not allowed when used memory > 'maxmemory'");
        return later(() => {
          server.refusing = undefined;
        });
      case "down":
        host.crash();
        return later(() => {
          host.down = false;
        });
      case "garbage": return link?.session.say(chance.pick("?what\r\n", "$5\r\nabcdefg\r\n", ":12x\r\n", "*-7\r\n"));
      case "endless":
        if (link !== undefined) link.session.endless = true;
        return;
      case "push":
        if (link?.session.protocol === 3) link.session.say(">2\r\n+invalidate\r\n_\r\n");
        return;
      case "stall": return this.stall(Math.min(time, 300));
    }
  }

  /** The driver's own process does nothing for some time, then everything. */
  stall(time: number): void {
    this.now += time;
    this.#stalled += time;
  }

  /** For some time, this host is not well. */
  trouble(host: Host, time: number): void {
    host.calmSince = Math.max(host.calmSince, this.now + time);
  }

  /** The network holds nothing any more, or nothing of this host. */
  #heal(host?: Host): void {
    if (host === undefined) this.hole = false;
    for (const each of host === undefined ? this.scene.hosts : [host]) each.away = false;
    for (const link of this.#links) if (host === undefined || link.host === host) link.heal();
    for (const connect of this.holed.splice(0)) connect();
  }

  // ---- Calls ----

  give(name: string, writes: boolean, about: Partial<Op> = {}): Op {
    const op = { nonce: this.#ops.length, name, writes, repeats: false, lent: false, batch: 0, settled: Infinity, took: 0, fenced: Infinity, ...about,
      given: this.order(), at: this.now, tick: this.#ticks };
    this.#ops.push(op);
    for (const suspect of this.#suspects) if (suspect.fenced === Infinity && suspect.error!.fenced) suspect.fenced = this.order();
    return op;
  }

  #settle(op: Op, result: unknown): void {
    const { RedisError } = this.#driver;
    op.settled = this.order();
    op.took = this.now - op.at;
    if (!(result instanceof Error)) {
      op.outcome = "acked";
      op.reply = result;
      return this.say?.(`#${op.nonce} ${op.name} gives ${JSON.stringify(result)?.slice(0, 100)}`);
    }
    if (!(result instanceof RedisError)) return this.breach("I7", `#${op.nonce} ${op.name}: ${result.stack}`);
    op.error = result;
    op.outcome = result.outcome;
    const how = `${result.code} ${result.outcome}${result.fenced ? " fenced" : ""}`;
    this.say?.(`#${op.nonce} ${op.name} fails: ${how} ${result.message}`);
    this.scene.failed(op);
    if (result.outcome === "unknown" && op.writes) this.#suspects.push(op);
    if (result.fenced && result.outcome === "unknown") op.fenced = op.settled;
    if (op.given > this.#closed && !op.lent && (!ENDED.includes(result.code) || result.outcome !== "not-sent")) {
      this.breach("I2", `#${op.nonce} was given after the end: ${result.code} ${result.outcome}`);
    }
  }

  /** Follows a promise to its end, which must come within `limit`; `least` is the time of what it waits for. */
  async follow<T>(what: string, limit: number, promise: Promise<T>, least = limit): Promise<T> {
    const given = this.now;
    const stalled = this.#stalled;
    this.#open++;
    this.say?.(`${what} within ${limit.toFixed(0)}`);
    const check = (error?: unknown): void => {
      this.#open--;
      const took = this.now - given;
      if (took > limit + SLACK + this.#stalled - stalled) this.breach("I3", `${what} took ${took.toFixed(1)}, not ${limit}`);
      const early = (error as RedisError | undefined)?.code === "REPLY_TIMEOUT" && took < least && limit < Infinity &&
        this.#closed === Infinity;
      if (early) this.breach("I3", `${what} timed out after ${took.toFixed(1)}, not ${least}`);
    };
    try {
      const value = await promise;
      check();
      return value;
    } catch (error) {
      check(error);
      throw error;
    }
  }

  async track(op: Op, limit: number, promise: Promise<unknown>, least = limit): Promise<unknown> {
    try {
      const reply = await this.follow(`#${op.nonce} ${op.name}`, limit, promise, least);
      this.#settle(op, reply);
      return reply;
    } catch (error) {
      this.#settle(op, error);
      throw error;
    }
  }

  #view(): { db: Handler; limit: number } {
    const { chance } = this;
    const limit = chance.of(0.5) ? this.settings.replyTimeout : chance.pick(5, 30, 100, 400, 3_000);
    if (!chance.of(0.25)) return { db: this.db.with({ replyTimeout: limit }), limit };
    const last = this.#signals.at(-1);
    if (last !== undefined && chance.of(0.3)) return { db: this.db.with({ replyTimeout: limit, signal: last }), limit };
    const controller = new AbortController();
    this.#signals.push(controller.signal);
    const delay = chance.next() * chance.pick(0, 1, 5, 100);
    const abort = (): void => {
      this.touched = true;
      this.say?.("aborts");
      controller.abort();
    };
    if (delay === 0 && chance.of(0.2)) abort();
    else this.at(this.now + delay, abort);
    return { db: this.db.with({ replyTimeout: limit, signal: controller.signal }), limit };
  }

  #call(): void {
    const { chance } = this;
    const { db: once, limit } = this.#view();
    const repeats = chance.of(0.3);
    const db = repeats ? once.with({ idempotent: true }) : once;
    const kind = chance.pick("one", "one", "one", "one", "pipeline", "commit", "watch", "block", "transaction",
      ...this.kind === "cluster" ? [] : ["multi", "lease"]); // there, these need a key
    if (!["one", "pipeline", "commit"].includes(kind)) this.#lendingTicks.add(this.#ticks);
    const done =
      kind === "one" ? this.#one(db, limit, { repeats }) : kind === "block" ? this.#block(db, limit)
      : kind === "pipeline" ? this.#pipeline(db, limit, { repeats })
      : kind === "commit" ? this.#commit(db, limit, { repeats })
      : kind === "watch" ? this.#watch(db, limit) : kind === "multi" ? this.#multi(db, limit)
      : kind === "lease" ? this.#lease(db, limit) : this.#transaction(db, limit);
    done.catch(() => {}); // what failed has been noted
  }

  /** Plans calls for one slot, some in each of several turns, so that their order may be lost. */
  rush(tag: string, time: number): void {
    const { chance } = this;
    for (let turns = 2 + chance.below(4); turns > 0; turns--) {
      this.at(this.now + chance.next() * time, () => {
        this.touched = true;
        this.#ticks++;
        const limit = 1_000;
        const db = this.db.with({ replyTimeout: limit });
        for (let more = chance.pick(1, 2, 4); more > 0; more--) {
          const { op, given } = this.#simple(db, { tag });
          this.track(op, limit, given).catch(() => {});
        }
      });
    }
  }

  #simple(to: any, about: Partial<Op> = {}): { op: Op; given: any } {
    const { chance } = this;
    const accent = chance.of(0.1) ? "é" : "";
    about = { tag: this.scene.tag(), ...about };
    const key = (name: string): string => this.#key(name, about.tag);
    switch (this.kind === "cluster" ? 1 + chance.below(5) : chance.below(6)) {
      case 0: {
        const op = this.give("echo", false, about);
        return { op, given: to.echo(`#${op.nonce};${accent}`) };
      }
      case 1: {
        const op = this.give("get", false, about);
        return { op, given: to.get(key(`g:#${op.nonce};${accent}`)) };
      }
      case 2: {
        const isLong = chance.of(this.tight ? 0.5 : 0.1);
        const op = this.give(isLong ? "rpush" : "set", true, about);
        if (!isLong) return { op, given: to.set(key(`k:${chance.below(3)}`), `#${op.nonce};${accent}`) };
        const much = this.tight ? Buffer.alloc(4_100, `${op.nonce};`) : "".padEnd(chance.pick(60_000, 70_000), `${op.nonce};`);
        return { op, given: to.rpush(key(`l:#${op.nonce};`), much, much) };
      }
      case 3: {
        const op = this.give("incr", true, about);
        return { op, given: to.incr(key(`c:#${op.nonce};`)) };
      }
      default: {
        const op = this.give("rpush", true, about);
        return { op, given: to.rpush(key(chance.pick("log", "log", "q:0", "q:1")), `#${op.nonce};${accent}`) };
      }
    }
  }

  #key(name: string, tag: string | undefined): string {
    return tag === undefined ? name : `${name}{${tag}}`;
  }

  #one(db: Handler, limit: number, about: Partial<Op>): Promise<unknown> {
    if (this.chance.of(0.9)) {
      const { op, given } = this.#simple(db, about);
      return this.track(op, limit, given);
    }
    const tag = this.scene.tag();
    const op = this.give("eval", true, { ...about, tag });
    return this.track(op, limit, db.eval("push, then fail", 1, this.#key("log", tag), `#${op.nonce};`));
  }

  #block(db: Handler, limit: number): Promise<unknown> {
    const op = this.give("blpop", true);
    const time = this.chance.pick(0.01, 0.05, 0.3);
    const tag = this.scene.tag();
    const promise = db.blpop([this.#key(`b:#${op.nonce};`, tag), this.#key(`q:${this.chance.below(2)}`, tag)], time);
    return this.track(op, time * 1_000 + Math.max(limit, 1_000), promise);
  }

  async #pipeline(db: Handler, limit: number, about: Partial<Op>): Promise<void> {
    const chain: any = db.pipeline();
    const ops: Op[] = [];
    for (let i = 1 + this.chance.below(5); i > 0; i--) ops.push(this.#simple(chain, { ...about, many: true }).op);
    const done = chain.execPipeline({ errors: "return" });
    const results = await this.follow(`#${ops[0]!.nonce}… pipeline of ${ops.length}`, MOST_REPLIES * limit, done, limit);
    this.#share(ops, results as unknown[]);
  }

  async #commit(db: Handler, limit: number, about: Partial<Op>): Promise<void> {
    const chain: any = db.pipeline();
    const batch = this.batch();
    const ops: Op[] = [];
    const tag = this.scene.tag();
    for (let i = 1 + this.chance.below(4); i > 0; i--) ops.push(this.#simple(chain, { ...about, batch, tag }).op);
    try {
      const done = chain.commit() as Promise<unknown[]>;
      this.#share(ops, await this.follow(`#${ops[0]!.nonce}… commit of ${ops.length}`, MOST_REPLIES * limit, done, limit));
    } catch (error) {
      // Of what was only queued, the error of all says what has become; if that is not-sent, EXEC was.
      const { results, outcome } = error as PipelineError;
      ops.forEach((op, i) => {
        if (results[i] instanceof Error) this.#settle(op, results[i]);
        else if (outcome === "not-sent") op.outcome = "not-executed";
        else this.#settle(op, error);
      });
    }
  }

  #share(ops: Op[], results: unknown[]): void {
    if (results.length !== ops.length) this.breach("I1", `${results.length} results of ${ops.length} commands`);
    ops.forEach((op, i) => this.#settle(op, results[i]));
  }

  /** What a step between the caller and the server may be interrupted by: time. */
  async #pause(): Promise<void> {
    if (this.chance.of(0.4)) await this.sleep(this.chance.next() * this.chance.pick(2, 50));
  }

  async #watch(db: Handler, limit: number): Promise<void> {
    const tag = this.scene.tag();
    const key = this.#key(`w:${this.chance.below(2)}`, tag);
    const t: any = await this.follow(`watch ${key}`, limit, db.watch(key));
    await this.#pause();
    const saw = await this.follow(`look at ${key}`, limit, t.get(key));
    await this.#pause();
    const m = await this.follow("multi", limit, t.multi());
    await this.#queue(m, limit, key, saw, tag);
  }

  async #multi(db: Handler, limit: number): Promise<void> {
    const t = await this.follow("multi", limit, db.multi());
    await this.#queue(t, limit);
  }

  async #queue(t: any, limit: number, key?: string, saw?: unknown, tag?: string): Promise<void> {
    const { chance } = this;
    const batch = this.batch();
    const ops: Op[] = [];
    const about = { batch, lent: true, tag };
    if (key !== undefined) {
      const op = this.give("set", true, { ...about, saw });
      ops.push(op);
      t.set(key, `#${op.nonce};`).catch(() => {});
    }
    for (let i = chance.below(3) + (key === undefined ? 1 : 0); i > 0; i--) {
      const { op, given } = this.#simple(t, about);
      ops.push(op);
      given.catch(() => {});
      await this.#pause();
    }
    const end = chance.pick("commit", "commit", "commit", "discard", "forget");
    try {
      if (end === "commit") this.#share(ops, await this.follow(`#${ops[0]!.nonce}… exec`, limit, t.commit()));
      else if (end === "discard") await this.follow("discard", limit, t.discard());
      if (end !== "commit") for (const op of ops) op.outcome = "not-executed";
    } catch (error) {
      this.#abandon(ops, end === "discard" ? undefined : error);
    }
  }

  async #transaction(db: Handler, limit: number): Promise<void> {
    const tag = this.scene.tag();
    const key = this.#key(`w:${this.chance.below(2)}`, tag);
    let ops: Op[] = [];
    const body = async (t: any): Promise<void> => {
      const saw = await t.get(key);
      for (const op of ops) op.outcome = "not-executed"; // of an attempt that was too late
      await this.#pause();
      const m = await t.multi();
      const op = this.give("set", true, { batch: this.batch(), lent: true, saw, tag });
      ops = [op];
      m.set(key, `#${op.nonce};`).catch(() => {});
      await this.#pause();
    };
    try {
      const results = await this.follow(`transaction ${key}`, Infinity, db.transaction([key], body, { attempts: 3 }));
      this.#share(ops, results);
    } catch (error) {
      this.#abandon(ops, error);
    }
  }

  /** A body that calls, awaited or not, and may leave its connection in another database or inside of MULTI. */
  async #lease(db: Handler, limit: number): Promise<void> {
    const { chance } = this;
    await this.follow("lease", Infinity, db.lease(async (c) => {
      for (let i = chance.below(4); i > 0; i--) {
        const { op, given } = this.#simple(c, { lent: true });
        const done = this.track(op, limit, given);
        if (chance.of(0.5)) await done;
        else done.catch(() => {});
        await this.#pause();
      }
      const end = chance.pick("return", "return", "throw", "select", "multi", "watch", "blpop");
      if (end === "throw") throw new Error("of the body");
      if (end === "select") await c.select(99);
      if (end === "multi") (await c.multi()).call("PING").catch(() => {});
      if (end === "watch") await c.watch("w:0");
      if (end === "blpop") c.blpop("b:none", 0).catch(() => {});
      await this.#pause();
    }));
  }

  /** Queued commands are not executed unless EXEC has been sent. */
  #abandon(ops: Op[], error?: unknown): void {
    for (const op of ops) {
      if (error === undefined || (error as RedisError).outcome === "not-sent") op.outcome = "not-executed";
      else this.#settle(op, error);
    }
  }

  // ---- Publish and subscribe ----

  #publish(count: number): void {
    for (let i = 0; i < count; i++) this.#say(this.chance.pick("a:0", "a:1", "b:0"));
  }

  #say(channel: string): void {
    if (!this.scene.mayPublish) return;
    const number = String(this.published.push(channel) - 1);
    this.say?.(`published on ${channel}: ${number}`);
    this.scene.publish(channel, number);
  }

  async #listen(): Promise<void> {
    const { chance } = this;
    this.touched = true;
    const kind = chance.pick<"subscribe" | "psubscribe">("subscribe", "psubscribe");
    const names = kind === "subscribe" ? ["a:0", "a:1", "b:0"] : ["a:*", "b:*"];
    const options = chance.pick<FeedOptions>({}, { buffer: 3 }, { buffer: 3, overflow: "drop" }, { buffer: 3, overflow: "fail" });
    const first = names.slice(0, 1 + chance.below(names.length));
    const listener: Listener = { names, options, over: false, due: new Map(), heard: new Map(), last: -1, gap: false, missed: 0 };
    this.#listeners.push(listener);
    try {
      const told = (item: Message | Gap): void => this.#hear(listener, item);
      const isTold = chance.of(0.3);
      const how = isTold ? [told, options] as const : [options] as const;
      const begun = this.db[kind](first, ...how as [FeedOptions]);
      const attempts = this.kind === "fixed" ? 1 : 4; // where the address moves, another attempt begins
      const { connectTimeout } = this.settings;
      const subscription = await this.follow(`${kind} ${first.join()}`, attempts * connectTimeout, begun, connectTimeout);
      listener.subscription = subscription;
      for (const name of first) listener.due.set(name, this.published.length);
      if (!isTold) void this.follow(`messages of ${names.join()}`, Infinity, this.#read(listener, subscription));
      await this.#change(listener, subscription);
    } catch (error) {
      this.say?.(`listening fails: ${String(error)}`);
      if (!(error instanceof this.#driver.RedisError)) throw error;
      listener.over ||= listener.subscription === undefined;
    }
  }

  /** Reads at its own pace, to the end. */
  async #read(listener: Listener, subscription: Subscription): Promise<void> {
    try {
      for await (const item of subscription) {
        this.#hear(listener, item);
        if (this.chance.of(0.3)) await this.sleep(this.chance.next() * 200);
      }
    } catch (error) {
      const isSlow = listener.options.overflow === "fail" && (error as RedisError).code === "TOO_SLOW";
      if (!isSlow) this.breach("I2", `a subscription fails: ${String(error)}`);
      listener.over = true;
    }
    if (!listener.over && this.#closed === Infinity) this.breach("I2", "a subscription ends");
  }

  /** Listens to more, or less. */
  async #change(listener: Listener, subscription: Subscription): Promise<void> {
    const { chance, published } = this;
    const { connectTimeout, replyTimeout } = this.settings;
    const { names, due } = listener;
    for (let i = chance.below(4); i > 0; i--) {
      await this.sleep(chance.next() * 200);
      const name = chance.pick(...names);
      const most = 2 * (connectTimeout + replyTimeout);
      const least = Math.min(connectTimeout, replyTimeout);
      if (!due.has(name)) {
        await this.follow(`subscribe ${name}, too`, most, subscription.subscribe(name), least);
        due.set(name, published.length);
      } else if (due.size > 1) {
        due.delete(name);
        await this.follow(`unsubscribe ${name}`, most, subscription.unsubscribe(name), least);
      }
    }
    if (chance.of(0.7)) return;
    listener.over = true;
    if (chance.of(0.5)) subscription.close();
    else await subscription.unsubscribe();
  }

  #hear(listener: Listener, { channel, message, pattern, gap }: Message | Gap): void {
    const { published } = this;
    const { names, due, heard, options } = listener;
    this.say?.(`${names.join()} hears ${gap === undefined ? message : `a gap of ${gap.toFixed(1)}`}`);
    if (gap !== undefined) return void (listener.gap = true);
    const number = Number(message);
    const name = pattern ?? channel;
    if (published[number] !== channel || !names.includes(name)) this.breach("I1", `message ${number} comes as one of ${name}`);
    if (this.kind === "cluster") return void (heard.set(name, number)); // each channel moves by itself, from and to any node
    if (number <= listener.last) this.breach("I5", `message ${number} comes after ${listener.last}`);
    for (let i = listener.last + 1; i < number && !listener.gap; i++) {
      if (![...due].some(([of, from]) => i >= from && covers(of, published[i]!))) continue;
      listener.missed++;
      const dropped = options.overflow === "drop" ? listener.subscription?.dropped ?? Infinity : 0;
      if (listener.missed > dropped) this.breach("I4", `message ${i} is missing before ${number}, and there is no gap`);
    }
    heard.set(name, listener.last = number);
    listener.gap = false;
  }

  /** Waits until all subscriptions get all messages again. */
  async #hearing(since: number): Promise<void> {
    const from = this.published.length;
    const isDeaf = ({ due, heard, over }: Listener): boolean =>
      !over && [...due.keys()].some((name) => (heard.get(name) ?? -1) < from);
    while (this.#closed === Infinity && this.#listeners.some(isDeaf)) {
      if (this.now - since > RECOVERY) return this.breach("I2", "a subscription is not restored");
      for (const channel of ["a:0", "a:1", "b:0"]) this.#say(channel);
      await this.sleep(500);
    }
  }

  // ---- The end ----

  async #close(): Promise<void> {
    const { chance } = this;
    this.touched = true;
    if (this.#closed < Infinity) return;
    this.#closed = this.order();
    if (chance.of(0.5)) {
      this.say?.("destroy()");
      return this.db.destroy();
    }
    const timeout = chance.pick(1, 50, 500);
    await this.follow("disconnect()", timeout, this.db.disconnect({ timeout }));
  }

  /** All faults are over: the handler recovers, is closed, and leaves nothing behind. */
  async #finish(): Promise<void> {
    const { scene } = this;
    this.touched = true;
    this.say?.("all is well again");
    for (const server of scene.servers) server.refusing = undefined;
    for (const host of scene.hosts) host.down = false;
    this.slow = false;
    scene.well();
    this.#heal();
    for (const host of scene.hosts) host.thaw();
    const since = this.now;
    while (this.#closed === Infinity && this.#links.some(({ down, socket }) => down.dead && !socket.destroyed)) {
      if (this.now - since > RECOVERY) return this.breach("I2", "a dead connection is kept");
      await this.sleep(200);
    }
    while (this.#closed === Infinity && !await this.#works()) {
      if (this.now - since > RECOVERY) return this.breach("I2", "it does not recover");
      await this.sleep(500);
    }
    await this.#hearing(since);
    const tracking = this.near === undefined ? 0 : this.kind === "cluster" ? scene.servers.length : 1;
    const wanted = scene.links + tracking + this.#listeners.filter(({ over }) => !over).length;
    let links = Infinity;
    // One that only looked at others goes soon; that of a node without slots with the second map that lacks it.
    const most = this.kind === "cluster" ? 600 : 60;
    for (let i = 0; i < most && links > wanted; i++) {
      links = this.#links.filter(({ socket }) => !socket.destroyed).length;
      if (links > wanted) await this.sleep(200);
    }
    if (links > wanted && this.#closed === Infinity) this.breach("I9", `${links} links are open, not ${wanted}`);
    await this.#close();
    for (let i = 0; this.#open > 0; i++) {
      if (i > 100) return this.breach("I2", `${this.#open} promises hang`);
      await this.sleep(100);
    }
    for (let i = 0; i === 0 || (i < 120 && this.#timers.live > 0 && this.kind !== "fixed"); i++) await this.sleep(20); // of short rests
    if (this.#timers.live > 0) this.breach("I9", `${this.#timers.live} timers are left`);
    const open = this.#links.filter(({ socket }) => !socket.destroyed);
    if (open.length > 0) this.breach("I9", `links ${open.map(({ id }) => id).join()} are left open`);
    scene.check();
    const listeners = this.#signals.reduce((sum, signal) => sum + getEventListeners(signal, "abort").length, 0);
    if (listeners > 0) this.breach("I9", `${listeners} listeners are left on signals`);
    this.#over = true;
  }

  /** Whether each connection can be had: as many blocking commands as there are connections, at once. */
  async #works(): Promise<boolean> {
    const db = this.db.with({ replyTimeout: 1_000 });
    if (!await this.follow("try to read", this.kind === "cluster" ? 10_000 : 1_000, this.scene.works(db), 1_000).catch(() => false)) return false;
    if (this.kind === "cluster") return true;
    const calls = Array.from({ length: this.settings.poolsize }, (_, i) =>
      this.follow(`try ${i}`, 1_050, db.blpop(["none"], 0.05)));
    return (await Promise.allSettled(calls)).every(({ status }) => status === "fulfilled");
  }

  // ---- The oracle ----

  #judge(): void {
    const { settings } = this;
    const batches = new Map<number, { told: number; done: number; runs: Set<number>; repeats: boolean }>();
    let last = 0;
    const ends = new Map<string, { nonce: number; order: number }>();
    for (const op of this.#ops) {
      const entries = this.entries.get(op.nonce) ?? [];
      this.#judgeOutcome(op, entries);
      for (const { was, watched } of entries) {
        if (op.saw !== undefined && !watched) this.breach("I8", `#${op.nonce} is done without WATCH`);
        if (op.saw !== undefined && !same(op.saw, was)) {
          this.breach("I4", `#${op.nonce} saw ${JSON.stringify(op.saw)} under WATCH and has overwritten ${JSON.stringify(was)}`);
        }
      }
      if (op.batch > 0) {
        const batch = batches.get(op.batch) ?? { told: 0, done: 0, runs: new Set(), repeats: op.repeats };
        batches.set(op.batch, batch);
        batch.told++;
        batch.done += entries.length;
        for (const entry of entries) batch.runs.add(entry.batch);
      }
      this.#judgeTick(op, entries, ends);
      const mayMove = op.lent || op.repeats || op.name === "get" || op.name === "blpop" || this.refusals.has(op.nonce) ||
        (this.refusedWrites && !op.writes);
      if (settings.poolsize > 1 || this.kind !== "fixed" || op.outcome !== "acked" || mayMove) continue;
      const order = entries[0]?.order ?? last;
      if (order < last) this.breach("I5", `#${op.nonce} was done before what was given earlier`);
      last = order;
    }
    for (const [batch, { told, done, runs, repeats }] of batches) {
      const isOnce = runs.size === 1 || (repeats && runs.size > 0);
      const isWhole = done === told * runs.size && isOnce && !runs.has(0);
      if (done !== 0 && !isWhole) this.breach("I4", `batch ${batch} was done in part`);
    }
    if (this.#breach === undefined) this.#judgeZombies(); // which takes for done what is acked
  }

  /** Commands for one slot of a cluster, of one turn or on one connection, are executed in their order, redirected or not. */
  #judgeTick({ nonce, name, tick, tag, outcome, lent, repeats, writes, many, took }: Op, entries: Entry[], ends: Map<string, { nonce: number; order: number }>): void {
    const { maxPending, maxUnsent, poolsize } = this.settings;
    const isFull = maxPending < 100 || maxUnsent < 1_000; // the rest of a turn may go to another connection
    const isLent = poolsize > 1 && this.#lendingTicks.has(tick); // and so it may then
    if (many || this.kind !== "cluster") return; // before the nodes are known, a pipeline goes to one of them
    if (isFull || isLent || lent || repeats || !writes || name === "blpop" || outcome !== "acked" || this.refusals.has(nonce)) return;
    const { order, server } = entries[0]!;
    for (const slot of poolsize > 1 ? [`${tick} ${tag}`] : [`${tick} ${tag}`, tag!]) {
      const before = ends.get(slot) ?? { nonce, order };
      const hasReturned = this.redirections.has(`${before.nonce} ${server.name}`); // the slot, between the two
      if (order < before.order && !hasReturned) this.breach("I5", `#${nonce} is done before #${before.nonce}, of the same slot`);
      if (took < SLOW) ends.set(slot, { nonce, order });
    }
  }

  #judgeOutcome(op: Op, entries: Entry[]): void {
    const { nonce, name, outcome } = op;
    const count = entries.length;
    const told = `#${nonce} ${name} was ${outcome} and is done ${count} times`;
    const isOnce = op.writes && !op.repeats;
    if (outcome === "acked" ? count === 0 || (count > 1 && isOnce) : outcome === "unknown" && count > 1 && isOnce) {
      this.breach("I4", told);
    }
    if ((outcome === "not-sent" || (outcome === "not-executed" && op.writes)) && count > 0) this.breach("I4", told);
    if (count > 6) this.breach("I4", told); // what reads, or may be repeated, is issued again five times
    const isFenced = !this.deny && new Set(entries.map(({ server }) => server)).size <= 1; // no server can end what another has
    if (op.repeats && op.writes && outcome === "acked" && isFenced && entries.at(-1)!.order > op.settled) {
      this.breach("I6", `#${nonce} ${name} is done again after its reply`);
    }
    if (outcome === "not-sent" && this.#links.some(({ written }) => written.some((text) => text.includes(`#${nonce};`)))) {
      this.breach("I4", `#${nonce} ${name} was written, and not not-sent`);
    }
    const values = (op.repeats && !isFenced ? entries : entries.slice(-1)).map(({ value }) => value);
    if (outcome === "acked" && count > 0 && !values.some((value) => same(op.reply, value))) {
      this.breach("I1", `#${nonce} ${name} was given ${JSON.stringify(op.reply)}, not ${JSON.stringify(entries.at(-1)!.value)}`);
    }
  }

  /** No abandoned command is executed after a command that was called later and has been answered. */
  #judgeZombies(): void {
    const { entries, settings, deny } = this;
    for (const zombie of this.#suspects) {
      const last = entries.get(zombie.nonce)?.at(-1);
      const done = last?.order ?? 0;
      if (done < zombie.settled) continue;
      const lost = zombie.error!.code === "CONNECTION_LOST" || settings.poolsize === 1;
      const since = deny || !lost ? zombie.fenced : zombie.settled;
      const living = this.#ops.find(({ given, outcome, nonce, lent }) =>
        given > since && outcome === "acked" && !lent && entries.get(nonce)!.at(-1)!.order < done &&
        (given > zombie.fenced || entries.get(nonce)!.at(-1)!.server === last!.server));
      if (living === undefined) continue;
      this.breach("I6", `#${zombie.nonce} (${zombie.error!.code}) is done after #${living.nonce}, which was given later`);
    }
  }
}

function unref<T>(this: T): T {
  return this;
}

/** One run; undefined when all invariants hold. */
export function simulate(driver: Driver, seed: number, kind: Kind, tracing = false): Promise<Breach | undefined> {
  return new Simulation(driver, seed, kind, tracing).run();
}

/** All that happens in one run, line by line. */
export async function trace(driver: Driver, seed: number, kind: Kind): Promise<string[]> {
  const simulation = new Simulation(driver, seed, kind, true);
  await simulation.run();
  return simulation.trace;
}

/** Many runs, of each kind with each seed; the first breach, with its trace. */
export async function search(
  driver: Driver, from: number, to: number, step = 1, of: readonly Kind[] = kinds,
): Promise<Breach | undefined> {
  for (let seed = from; seed < to; seed += step) {
    for (const kind of of) {
      const breach = await simulate(driver, seed, kind);
      if (breach !== undefined) return await simulate(driver, seed, kind, true) ?? breach; // memory of the driver outlives a run
    }
  }
  return undefined;
}

// ==== npm run sim -- [--seeds n] [--from n] [--seed n] [--kind name] ====

export function show({ kind, seed, invariant, what, trace }: Breach): string {
  return `${trace.join("\n")}\n${kind} seed ${seed}: ${invariant} is broken: ${what}`;
}

async function main(): Promise<void> {
  const string = { type: "string" } as const;
  const { values } = parseArgs({ options: { seeds: string, from: string, seed: string, step: string, kind: string } });
  const driver = await import("../redis.ts");
  const of = values.kind === undefined ? kinds : (Object.keys(SCENES) as Kind[]).filter((kind) => kind === values.kind);
  if (values.seed !== undefined) {
    const run = new Simulation(driver, Number(values.seed), of[0]!, true);
    const breach = await run.run();
    console.log(breach === undefined ? `${run.trace.join("\n")}\nseed ${values.seed}: all invariants hold` : show(breach));
    exit(breach === undefined ? 0 : 1);
  }
  const from = Number(values.from ?? 0);
  const to = from + Number(values.seeds ?? 20_000);
  if (values.step !== undefined) return await part(driver, from, to, Number(values.step), of);
  const workers = Math.min(availableParallelism(), 8);
  const start = Date.now();
  let broken = 0;
  await Promise.all(Array.from({ length: workers }, (_, i) => new Promise<void>((resolve) => {
    const options = ["--from", String(from + i), "--seeds", String(to - from - i), "--step", String(workers),
      ...values.kind === undefined ? [] : ["--kind", values.kind]];
    fork(fileURLToPath(import.meta.url), options).on("message", (text) => {
      broken++;
      console.log(`${String(text)}\n`);
    }).on("exit", () => resolve());
  })));
  const seconds = (Date.now() - start) / 1_000;
  const runs = (to - from) * of.length;
  const took = `${seconds.toFixed(1)} s, ${(runs / seconds).toFixed(0)} a second`;
  console.log(`${to - from} seeds of ${of.join(", ")} in ${took}: ${broken === 0 ? "all hold" : `${broken} broken`}`);
  exit(broken === 0 ? 0 : 1);
}

/** The seeds of one process; after so many breaches it is clear. */
async function part(driver: Driver, from: number, to: number, step: number, of: readonly Kind[]): Promise<void> {
  for (let broken = 0; broken < 5 && from < to; from += step) {
    const breach = await search(driver, from, to, step, of);
    if (breach === undefined) break;
    broken++;
    from = breach.seed;
    await new Promise((resolve) => process.send!(show(breach), resolve));
  }
  exit(0);
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) await main();

// Cached readers of the simulator: calls through `with({ cache })`, writes of this handler and of other clients, keys that
// expire, flushes, and the judgement of what the readers get. The keys are the scene's own: nobody else uses them.
//
// A reply must have been the value of its key at some moment after each of these that precedes the call: the writing and
// the acknowledgement of a write of this handler, the arrival of a push for the key, the loss of the connection that
// tracks it, and, at one server, the moment since which what another such call has got was the value. That moment must
// also be no longer ago than the view allows, and a kept reply does not outlive its key. Each caller has a reply of its
// own, in its own form; all of them together take no more room than they may.

import { Buffer } from "node:buffer";
import { noncesOf } from "./model.ts";
import type { Server, Session } from "./model.ts";
import { FIN } from "./network.ts";
import type { Link } from "./network.ts";
import type { Op, Simulation } from "./sim.ts";

/** A call, and what its reply is judged by. */
type Called = { at: string; inBytes: boolean; since: number; now: number; turn: number; bound: number };

/** How a call reads; `now`: the time, which the driver does not look at for each call. */
type Terms = { times: { ttl: number; maxStale: number }; limit: number; inBytes: boolean; now: number };

/** Stands for the error of reading what is no text. */
const WRONG = "WRONGTYPE";
/** Longest time for which hits may keep the event loop from turning. */
const LONGEST = 100;

/** The values of a key on the servers that count, from some moment on. */
type Held = { order: number; time: number; values: readonly unknown[]; hasExpired: boolean };

export class Near {
  readonly sim: Simulation;
  readonly #keys: readonly string[];
  /** By key. */
  readonly #held = new Map<string, Held[]>();
  /** The moment after which a reply must have been true, for calls from now on. */
  readonly #since = new Map<string, number>();
  /** The connection on which a key has last been read. */
  readonly #links = new Map<string, Link>();
  /** The times of all views of this run, if they are the same. */
  readonly #times: { ttl: number; maxStale: number } | undefined;
  /** Keys that writes change as soon as they are written, by the numbers of these. */
  readonly #writes = new Map<number, string>();
  hits = 0;

  constructor(sim: Simulation) {
    const { chance, settings, scene } = sim;
    this.sim = sim;
    const [tag, other] = [scene.tag(), scene.tag()];
    const names = tag === undefined ? ["n:0", "n:1"] : [`n:0{${tag}}`, `n:1{${tag}}`, `n:0{${other}}`];
    this.#keys = names.slice(0, chance.pick(1, 2, 3)).map((name) => `${settings.dbid}:${name}`);
    this.#times = chance.pick(undefined, { ttl: 60_000, maxStale: 100 });
    settings.cacheBytes = chance.pick(2 ** 26, 2_000);
  }

  // ---- What happens ----

  plan(moment: () => number): void {
    const { sim } = this;
    const { chance } = sim;
    for (const at of this.#keys) this.sample(at);
    for (let i = 5 + chance.below(40); i > 0; i--) {
      sim.at(moment(), () => {
        sim.tick();
        for (let more = chance.pick(1, 2, 4); more > 0; more--) this.#act(chance.pick(...this.#keys));
      });
    }
    for (let i = chance.pick(0, 0, 1, 2); i > 0; i--) sim.at(moment(), () => this.#flush());
    for (let i = chance.pick(0, 0, 1, 3); i > 0; i--) sim.at(moment(), () => this.#cut(chance.pick(...this.#keys)));
    for (let i = sim.kind === "fixed" ? chance.pick(0, 0, 1) : 0; i > 0; i--) sim.at(moment(), () => void this.#loop(chance.pick(...this.#keys)));
  }

  #act(at: string): void {
    const { chance } = this.sim;
    const kind = chance.pick("read", "read", "read", "read", "read", "write", "write", "foreign");
    if (kind === "read") this.#read(at);
    else if (kind === "write") this.#write(at);
    else this.#foreign(at);
    if (kind !== "read") this.#readSoon(at, chance.pick(0, 1, 4));
  }

  /** Reads while what has been written is under way. */
  #readSoon(at: string, count: number): void {
    const { sim } = this;
    for (; count > 0; count--) {
      sim.at(sim.now + sim.chance.next() * sim.chance.pick(1, 10, 50), () => {
        sim.tick();
        void this.#read(at);
      });
    }
  }

  #name(at: string): string {
    return at.slice(at.indexOf(":") + 1);
  }

  #terms(): Terms {
    const { chance } = this.sim;
    const times = this.#times ?? { ttl: chance.pick(20, 300, 60_000), maxStale: chance.pick(100, 1_000, 15_000) };
    return { times, limit: chance.pick(100, 1_000), inBytes: chance.of(0.2), now: this.sim.now };
  }

  /** Reads; whether the reply has come at once, from memory. */
  async #read(at: string, { times, limit, inBytes, now } = this.#terms()): Promise<boolean> {
    const { sim } = this;
    const since = Math.max(this.#since.get(at) ?? 0, this.#since.get(`${at} ${inBytes}`) ?? 0);
    const called = { at, inBytes, since, now, turn: sim.turns, bound: Math.min(times.ttl, times.maxStale) };
    const view = sim.db.with({ replyTimeout: limit, cache: times, charset: inBytes ? null : "utf-8" });
    try {
      return this.#judge(called, await sim.follow(`cached read of ${at}`, limit, view.get(this.#name(at))));
    } catch (error) {
      return (error as { code?: string }).code === "WRONGTYPE" && this.#judge(called, WRONG);
    }
  }

  /** Reads again and again while the replies come from memory, each a millisecond later. */
  async #loop(at: string): Promise<void> {
    const { sim } = this;
    sim.tick();
    const terms = { ...this.#terms(), times: { ttl: 60_000, maxStale: 15_000 } };
    await this.#read(at, terms);
    const { turns } = sim;
    for (let i = 0; await this.#read(at, terms) && sim.turns === turns; i++) {
      if (i > LONGEST) return sim.breach("I3", "hits keep the event loop from turning");
      sim.stall(1);
    }
  }

  #write(at: string): void {
    const { sim } = this;
    const { chance } = sim;
    const key = this.#name(at);
    const how = chance.pick("plain", "plain", "px", "pipeline", "commit", ...sim.kind === "cluster" ? [] : ["multi", "multi", "flush"] as const);
    const db = sim.db.with({ replyTimeout: 1_000 });
    if (how === "flush") {
      return void sim.follow("flush", 1_000, db.flushall()).then(() => {
        for (const each of this.#keys) this.#mark(each, sim.order());
        this.#read(at);
      }, () => {});
    }
    const tag = /\{(.*)\}/.exec(key)?.[1];
    const op = sim.give("set", true, { tag, lent: how === "multi", ...how === "multi" ? { batch: sim.batch() } : {} });
    const value = `#${op.nonce};`;
    const multi = async (): Promise<unknown> => {
      const m = await db.multi();
      m.set(key, value).catch(() => {});
      if (chance.of(0.5)) {
        this.#readSoon(at, 4);
        await sim.sleep(chance.next() * 30);
      }
      return (await m.commit() as unknown[])[0];
    };
    if (how !== "multi") this.#writes.set(op.nonce, at);
    const given: Promise<unknown> = how === "plain" ? db.set(key, value) : how === "px" ? db.set(key, value, { PX: 5 + chance.below(200) })
      : how === "pipeline" ? db.pipeline().set(key, value).execPipeline().then(([reply]) => reply)
      : how === "multi" ? multi() : db.pipeline().set(key, value).commit().then(([reply]) => reply);
    sim.track(op, how === "plain" || how === "px" ? 1_000 : 20_000, given, 1_000).then(() => {
      this.#mark(at, op.settled);
      if (chance.of(0.5)) void this.#read(at);
    }, () => {
      if (how === "multi" && op.outcome === "not-sent") op.outcome = "not-executed"; // queued, and no EXEC
    });
  }

  /** A tracked connection ends, with the pushes that are under way, or holds them; another client writes at once. */
  #cut(at: string): void {
    const { sim } = this;
    const { chance } = sim;
    const isHeld = chance.of(0.4);
    const time = chance.next() * 3_000;
    sim.say?.(`the connection that tracks ${at} ${isHeld ? `holds pushes for ${time.toFixed(1)}` : "ends"}`);
    const link = this.#links.get(at);
    if (isHeld && link !== undefined) {
      link.down.held = true;
      sim.at(sim.now + time, () => link.heal());
    } else {
      link?.down.cut();
      link?.session.kill(FIN);
    }
    this.#foreign(at);
    this.#readSoon(at, 3);
    if (isHeld) for (let i = 0; i < 4; i++) sim.at(sim.now + chance.next() * time, () => this.#readSoon(at, 2));
  }

  /** A hash tag of its keys. */
  get tag(): string {
    return /\{(.*)\}/.exec(this.sim.chance.pick(...this.#keys))![1]!;
  }

  /** Another client writes, or the key goes. */
  #foreign(at: string): void {
    const { sim } = this;
    const { chance } = sim;
    const server = sim.scene.holders(at).find(({ down, frozen, role }) => !down && !frozen && role === "master");
    if (server === undefined) return;
    const value = chance.of(0.2) ? undefined : chance.of(0.1) ? ["no text"] : `of another ${sim.order()}`;
    sim.say?.(`${server.name}: another client sets ${at} to ${value}`);
    server.put(at, value, value !== undefined && chance.of(0.3) ? sim.now + 5 + chance.below(200) : undefined);
  }

  #flush(): void {
    for (const server of this.sim.scene.servers) {
      if (server.down || server.frozen || server.role !== "master") continue;
      this.sim.say?.(`${server.name}: FLUSHALL of the cached keys`);
      this.flush(server);
    }
  }

  flush(server: Server): void {
    for (const at of this.#keys) if (server.store.data.has(at)) server.store.write(at, undefined, undefined, true);
    server.flush();
    this.sim.scene.wrote(server);
  }

  // ---- What is true ----

  /** Notes the value of a key. */
  sample(at: string): void {
    if (!this.#keys.includes(at)) return;
    const { sim } = this;
    const all = this.#held.get(at) ?? [];
    this.#held.set(at, all);
    const holders = sim.scene.holders(at);
    const values = holders.map((server) => server.live(at)).map((value) => Array.isArray(value) ? WRONG : value);
    const last = all.at(-1);
    if (last !== undefined && JSON.stringify(last.values) === JSON.stringify(values)) return;
    const hasExpired = holders.length > 0 && holders.every((server) => server.hasExpired(at)); // a server that is down is none
    all.push({ order: sim.order(), time: sim.now, values, hasExpired });
  }

  sampleAll(): void {
    for (const at of this.#keys) this.sample(at);
  }

  #mark(at: string, order: number): void {
    this.#since.set(at, Math.max(this.#since.get(at) ?? 0, order));
  }

  /** The driver has read a push for a key, or for all that a server tracks. */
  heard(server: Server, key: string | undefined, order: number): void {
    for (const at of this.#keys) {
      const isMeant = key === undefined ? this.#links.get(at)?.host === server : this.#name(at) === key;
      if (isMeant) this.#mark(at, order);
    }
  }

  /** The driver has written this to a socket. */
  written(text: string): void {
    if (this.#writes.size === 0) return;
    for (const nonce of noncesOf(text)) {
      const at = this.#writes.get(nonce);
      if (at !== undefined) this.#mark(at, this.sim.order());
    }
  }

  tracks({ link }: Session, key: string): void {
    for (const at of this.#keys) {
      if (this.#name(at) === key) this.#links.set(at, link);
    }
  }

  /** The driver's end of a connection has closed. */
  lost(link: Link): void {
    for (const [at, last] of this.#links) if (last === link) this.#mark(at, this.sim.order());
  }

  // ---- What must hold ----

  /** Whether the reply has come from memory. */
  #judge({ at, inBytes, since, now, turn, bound }: Called, reply: unknown): boolean {
    const { sim } = this;
    this.sample(at);
    const all = this.#held.get(at)!;
    const isHit = sim.turns === turn;
    if (isHit) this.hits++;
    const value = Buffer.isBuffer(reply) ? String(reply) : reply;
    const what = `a cached read of ${at} gives ${JSON.stringify(value)}`;
    sim.say?.(`cached read of ${at} gives ${JSON.stringify(value)}${isHit ? ", from memory" : ""}`);
    const last = all.findLastIndex(({ values }) => values.includes(value));
    const next = all[last + 1];
    if (last < 0) sim.breach("I1", `${what}, which never was its value`);
    if (typeof value === "string" && value !== WRONG && Buffer.isBuffer(reply) !== inBytes) sim.breach("I1", `${what}, in another form`);
    if (Buffer.isBuffer(reply)) reply.fill(0); // it is its caller's own
    const most = sim.settings.cacheBytes! * sim.scene.servers.length;
    const { bytes } = sim.db.cacheStats();
    if (bytes > most) sim.breach("I10", `the cache takes ${bytes} bytes, not ${most}`);
    if (last >= 0 && sim.kind === "fixed" && typeof value === "string" && value !== WRONG) this.#mark(`${at} ${inBytes}`, all[last]!.order);
    if (next === undefined) return isHit;
    if (next.order < since) sim.breach("I1", `${what}, which the handler knew to be old`);
    if (next.time < now - bound) sim.breach("I3", `${what}, which is older than ${bound}`);
    const isOne = all[last]!.values.length === 1; // of two holders, the other one's key may be another
    if (isHit && isOne && next.hasExpired && next.time < now) sim.breach("I1", `a kept reply has outlived ${at}`);
    return isHit;
  }
}

// The scenes of the simulator: which hosts there are, how the driver is told of them, what happens to them besides
// faults, and what must hold there besides the invariants of every run.
//
//     fixed      one server
//     sentinel   a master, its replicas, and Sentinels that lag, lie and are cut off; failovers of all kinds
//     several    members of anyOf with the same data, in a list that may be live: they freeze, flap, and are drained
//     cluster    nodes with slots that move, views that lag and differ, redirections in a ring, and failovers

import { ClusterNode, Nobody, nonceOf, noncesOf, Sentinel, Server, slotOf, Store } from "./model.ts";
import type { Entry, Host, Ownership, Range, Word } from "./model.ts";
import { FIN } from "./network.ts";
import type { Link } from "./network.ts";
import type { Driver, Op, Simulation } from "./sim.ts";
import type { ClusterHandler, Handler } from "../redis.ts";

export abstract class Scene {
  readonly sim: Simulation;
  /** Servers with data. */
  abstract readonly servers: readonly Server[];
  readonly #others = new Map<string, Host>();

  constructor(sim: Simulation) {
    this.sim = sim;
  }

  abstract open(driver: Driver): Handler;
  /** Number of connections that stay open without faults, besides those of listeners. */
  abstract get links(): number;

  get hosts(): readonly Host[] {
    return this.servers;
  }

  /** The host at this address. */
  at(ip: string, port: number): Host {
    const host = this.hosts.find((each) => each.ip === ip && each.port === port);
    if (host !== undefined) return host;
    const name = `${ip}:${port}`;
    const other = this.#others.get(name) ?? new Nobody(this.sim, ip, port);
    this.#others.set(name, other);
    return other;
  }

  /** Plans the events of the scene, apart from faults; `moment` returns a random time. */
  plan(_moment: () => number): void {}

  /** Sends a message to the subscribers. */
  publish(channel: string, message: string): void {
    for (const server of this.servers) if (!server.down) server.hear(channel, message);
  }

  /** Whether a message can be published now. */
  get mayPublish(): boolean {
    return this.servers.every(({ down, frozen }) => !down && !frozen);
  }

  /** Called when something has been written to a server's data. */
  wrote(_server: Server): void {}
  /** Called with what the driver writes to a server. */
  written(_link: Link, _text: string): void {}
  /** Called when a command of the workload is executed. */
  executed(_entry: Entry, _op: Op): void {}
  /** Called when a command has failed. */
  failed(_op: Op): void {}
  /** Called when the driver asks a Sentinel, and when it reads the answer. */
  asked(_link: Link): void {}
  told(_word: Word, _isLie: boolean): void {}
  /** Called when a command comes to a node, and when the driver reads who has a range of slots. */
  routed(_node: ClusterNode, _range: number, _isAsking: boolean, _words: readonly string[]): void {}
  named(_range: number, _node: ClusterNode, _by: "MOVED" | "ASK" | "SLOTS"): void {}
  /** Called when the driver has read a map: the owner of each range. */
  mapped(_epoch: number, _owners: readonly ClusterNode[]): void {}
  /** The hash tag of a caller's keys, if their slots matter. */
  tag(): string | undefined {
    return undefined;
  }

  /** The servers whose value of a key counts for cached readers. */
  holders(_at: string): readonly Server[] {
    return this.servers.filter(({ down }) => !down);
  }

  /** Whether the handler works again; may also reject. */
  async works(db: Handler): Promise<boolean> {
    await db.get("none");
    return true;
  }

  /** Whether this password belongs to another kind of host. */
  isForeign(_host: Host, _password: string): boolean {
    return false;
  }

  /** Called when all faults are over. */
  well(): void {}
  /** Checks that everything is closed that must close with the handler. */
  check(): void {}
}

export class Fixed extends Scene {
  readonly servers: readonly [Server];

  constructor(sim: Simulation) {
    super(sim);
    this.servers = [new Server(sim, "10.0.0.1")];
  }

  override at(): Host {
    return this.servers[0];
  }

  open(driver: Driver): Handler {
    return driver.lazyConnectionPool(this.sim.settings);
  }

  get links(): number {
    return this.sim.settings.poolsize;
  }
}

// ==== Sentinels ====

/** Longest time between the arrival of an answer of a Sentinel and the last command for the old master. */
const GRACE = 200;
/** The same for a lent connection, which must first be answered. */
const LENT_GRACE = 300;
/** An answer that comes so soon after a question is not too late for it. */
const IN_TIME = 40;
const ROUND = 400;

export class Failover extends Scene {
  readonly servers: readonly Server[];
  readonly sentinels: readonly Sentinel[];
  readonly #login: { password?: string };
  #master: Server;
  #epoch = 1;
  /** An old master that is cut off from the others, and still in its role. */
  #isolated: Server | undefined;
  /** Steps of failovers that have not happened yet. */
  readonly #steps = new Set<() => void>();
  /** The highest epoch that the driver has read, and when. */
  #known = { epoch: 0, at: Infinity };
  /** Time at which the driver began to ask. */
  #round = -Infinity;
  #isDeceived = false;

  constructor(sim: Simulation) {
    super(sim);
    const { chance } = sim;
    this.servers = [1, 2, 3].map((i) => new Server(sim, `10.0.0.${i}`));
    const master = this.#master = this.servers[0]!;
    master.reign = 1;
    for (const server of this.servers) if (server !== master) server.master = master;
    this.#login = chance.pick({}, { password: "of the Sentinels" });
    const { ip, port } = master;
    const count = chance.pick(3, 3, 5);
    this.sentinels = Array.from({ length: count }, (_, i) =>
      new Sentinel(sim, `10.0.1.${i + 1}`, { epoch: 1, ip, port }, this.#login, () => this));
  }

  override get hosts(): readonly Host[] {
    return [...this.servers, ...this.sentinels];
  }

  open(driver: Driver): Handler {
    const seeds = this.sentinels.slice(0, this.sim.chance.pick(1, 2, 3)).map(({ ip, port }) => ({ host: ip, port, ...this.#login }));
    return driver.lazyConnectionPool({ ...this.sim.settings, sentinels: seeds, master: "mymaster" });
  }

  get links(): number {
    return this.sim.settings.poolsize + this.sentinels.length;
  }

  override isForeign(host: Host, password: string): boolean {
    const { settings } = this.sim;
    return host instanceof Sentinel ? password === settings.password : password === this.#login.password;
  }

  override publish(channel: string, message: string): void {
    this.#master.hear(channel, message);
  }

  override get mayPublish(): boolean {
    return !this.#master.down && !this.#master.frozen;
  }

  override plan(moment: () => number): void {
    const { chance, sim } = { chance: this.sim.chance, sim: this.sim };
    for (let i = chance.pick(0, 1, 1, 2, 3); i > 0; i--) sim.at(moment(), () => this.#failover());
    for (let i = chance.pick(0, 0, 1, 2); i > 0; i--) sim.at(moment(), () => this.#mislead());
  }

  // ---- What is true ----

  #later(delay: number, run: () => void): void {
    const step = (): void => {
      if (this.#steps.delete(step)) run();
    };
    this.#steps.add(step);
    this.sim.at(this.sim.now + delay, step);
  }

  #failover(): void {
    const { chance, say } = this.sim;
    if (this.#steps.size > 0) return;
    const old = this.#master;
    const next = chance.pick(...this.servers.filter((server) => server !== old));
    const kind = chance.pick("crash", "crash", "split", "split", "planned");
    const epoch = ++this.#epoch;
    say?.(`failover ${epoch}: ${kind}, from ${old.name} to ${next.name}`);
    if (kind === "crash") old.crash();
    if (kind === "crash") this.#later(chance.next() * 3_000, () => void (old.down = false));
    if (kind === "split") this.#isolated = old;
    const [leader, ...others] = [...this.sentinels].sort(() => chance.next() - 0.5);
    const about = `slave ${next.name} ${next.ip} ${next.port} @ mymaster ${old.ip} ${old.port}`;
    if (kind !== "planned") for (const sentinel of this.sentinels) sentinel.isDown = chance.of(0.7);
    if (chance.of(0.5)) leader!.tell("+selected-slave", about);
    this.#later(chance.next() * chance.pick(50, 800), () => {
      if (kind === "planned") next.store.follow(old.store, old.store.log.length);
      this.#promote(next, epoch);
      if (kind === "planned") this.#demote(old);
      if (chance.of(0.5)) leader!.tell("+promoted-slave", about);
      const learns = chance.next() * 800;
      this.#later(learns, () => this.#learn(leader!, epoch, next, old));
      for (const other of others) this.#later(learns + chance.next() * chance.pick(100, 2_500), () => this.#learn(other, epoch, next, old));
      for (const server of this.servers) {
        if (server === next || (kind === "planned" && server === old)) continue;
        this.#later(learns + chance.next() * 2_000, () => this.#demote(server));
      }
    });
  }

  #promote(server: Server, epoch: number): void {
    this.sim.say?.(`${server.name} is the master of epoch ${epoch}`);
    server.master = undefined;
    server.reign = epoch;
    this.#master = server;
    if (this.sim.chance.of(0.5)) server.killAll(FIN);
  }

  /** Makes it a replica of the master, whose data it takes over. */
  #demote(server: Server): void {
    const { chance, say } = this.sim;
    const master = this.#master;
    if (server === master) return;
    if (server.role === "master") {
      say?.(`${server.name} becomes a replica of ${master.name}`);
      for (const session of server.sessions) session.release("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");
    }
    if (this.#isolated === server) this.#isolated = undefined;
    server.master = master;
    server.store = new Store();
    server.store.follow(master.store, master.store.log.length);
    if (chance.of(0.5)) server.killAll(FIN);
  }

  #learn(sentinel: Sentinel, epoch: number, master: Server, old?: Server): void {
    if (epoch <= sentinel.view.epoch) return;
    this.sim.say?.(`Sentinel ${sentinel.name} learns of epoch ${epoch}`);
    sentinel.view = { epoch, ip: master.ip, port: master.port };
    sentinel.isDown = false;
    if (old !== undefined && this.sim.chance.of(0.7)) {
      sentinel.tell("+switch-master", `mymaster ${old.ip} ${old.port} ${master.ip} ${master.port}`);
    }
  }

  override wrote(server: Server): void {
    if (server === this.#isolated) return;
    const { length } = server.store.log;
    for (const replica of this.servers) {
      if (replica.master !== server) continue;
      const { store } = replica;
      const of = server.store;
      this.sim.at(this.sim.now + this.sim.chance.next() * 20, () => {
        if (replica.master === server && replica.store === store && server !== this.#isolated) store.follow(of, length);
      });
    }
  }

  /** A Sentinel forgets the master, or names a replica as the master, for a while; never an old master that is isolated. */
  #mislead(): void {
    const { chance, now, say } = this.sim;
    const sentinel = chance.pick(...this.sentinels);
    const kind = chance.pick("forgets", "lies", "lies");
    const epoch = chance.pick(0, 0, 0, -1, 100);
    const target: Host = chance.pick(...this.servers, this.at("10.0.0.9", 6379));
    say?.(`Sentinel ${sentinel.name} ${kind}${kind === "lies" ? `: ${target.name} in epoch ${epoch} more` : ""}`);
    if (kind === "forgets") sentinel.knows = false;
    else {
      sentinel.lie = () => {
        const isFalse = target instanceof Server && target.role === "master" && target !== this.#master;
        return isFalse ? undefined : { ip: target.ip, port: target.port, epoch: sentinel.view.epoch + epoch };
      };
    }
    this.sim.at(now + chance.next() * 2_000, () => this.#enlighten(sentinel));
  }

  #enlighten(sentinel: Sentinel): void {
    sentinel.knows = true;
    sentinel.lie = undefined;
  }

  override well(): void {
    for (const step of this.#steps) step();
    this.#isolated = undefined;
    for (const sentinel of this.sentinels) {
      this.#enlighten(sentinel);
      this.#learn(sentinel, this.#epoch, this.#master);
      sentinel.isDown = false;
    }
    for (const server of this.servers) if (server !== this.#master && server.master !== this.#master) this.#demote(server);
  }

  // ---- What must hold ----

  override asked(_link: Link): void {
    const { now } = this.sim;
    if (now > this.#round + ROUND) this.#round = now;
  }

  override told({ epoch }: Word, isLie: boolean): void {
    const { now } = this.sim;
    if (isLie) this.#isDeceived = true;
    if (now <= this.#round + IN_TIME && epoch > this.#known.epoch) this.#known = { epoch, at: now };
  }

  override executed({ server, session }: Entry, { nonce, at, lent }: Op): void {
    const said = session.role === undefined ? "has not been asked for its role" : "has said that it is a replica";
    if (session.role !== "master") this.sim.breach("I8", `#${nonce} is done by ${server.name}, which ${said}`);
    const since = this.#known.at + GRACE + (lent ? LENT_GRACE : 0);
    if (this.#isDeceived || server.reign >= this.#known.epoch || at <= since) return;
    const what = `the master of epoch ${server.reign}; the driver knows of epoch ${this.#known.epoch}`;
    this.sim.breach("I4", `#${nonce} is done by ${server.name}, ${what}`);
  }
}

// ==== One of several ====

type Member = { host: string; port: number; weight: number; priority: number };

/** Time after its loss or its last reply at which a member must get no more commands. */
const DEAD = 2_600;

export class Several extends Scene {
  readonly servers: readonly Server[];
  /** The current list, and the time since which it is that. */
  #list: readonly Member[];
  #since = 0;
  readonly #isLive: boolean;
  /** The next results of the source: lists, or errors. */
  readonly #next: (readonly unknown[] | Error)[] = [];
  #wake: (() => void) | undefined;
  readonly #signals: AbortSignal[] = [];

  constructor(sim: Simulation) {
    super(sim);
    const { chance } = sim;
    const store = new Store();
    this.servers = Array.from({ length: chance.pick(2, 3, 4) }, (_, i) => new Server(sim, `10.0.0.${i + 1}`, 6379, store));
    this.#list = this.#make();
    this.#isLive = chance.of(0.6);
  }

  /** A list of some of the servers, at least one of which serves. */
  #make(): readonly Member[] {
    const { chance } = this.sim;
    const list = this.servers.filter(() => chance.of(0.8)).map(({ ip, port }): Member =>
      ({ host: ip, port, weight: chance.pick(0, 1, 1, 2, 3), priority: chance.pick(0, 0, 0, 1) }));
    return list.some(({ weight }) => weight > 0) ? list : this.#make();
  }

  open(driver: Driver): Handler {
    const anyOf = this.#isLive ? (signal: AbortSignal) => this.#lists(signal) : this.#list;
    return driver.lazyConnectionPool({ ...this.sim.settings, anyOf });
  }

  /** The source: begins with the list that holds. */
  async *#lists(signal: AbortSignal): AsyncGenerator<readonly any[]> {
    this.#signals.push(signal);
    yield this.#list;
    for (;;) {
      const next = this.#next.shift();
      if (next === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else if (next instanceof Error) throw next;
      else {
        yield next;
        const isGood = next.every((entry) => typeof entry === "object");
        if (isGood) this.#list = next as Member[]; // the driver asks for more when it has taken it
        if (isGood) this.#since = this.sim.order();
        this.sim.say?.(`the list ${isGood ? "holds" : "was wrong"}`);
      }
    }
  }

  override plan(moment: () => number): void {
    const { sim } = this;
    const { chance } = sim;
    if (this.#isLive) for (let i = chance.pick(0, 1, 2, 4); i > 0; i--) sim.at(moment(), () => this.#change());
    for (let i = chance.pick(0, 1, 2); i > 0; i--) sim.at(moment(), () => this.#hurt());
  }

  #change(): void {
    const { chance, say } = this.sim;
    const list = this.#make();
    const next = chance.of(0.15) ? new Error("the source has failed") : chance.of(0.3) ? [...list, "redis://10.0.0.9:wrong"] : list;
    say?.(`the source gives ${next instanceof Error ? "an error" : JSON.stringify(next)}`);
    this.#next.push(next);
    this.sim.touched = true;
    this.#wake?.();
  }

  /** A member freezes, or flaps, for longer than most faults last. */
  #hurt(): void {
    const { chance, say } = this.sim;
    const server = chance.pick(...this.servers);
    const kind = chance.pick("freeze", "down", "flap");
    say?.(`${server.name}: ${kind}`);
    const time = chance.next() * 6_000;
    if (kind === "freeze") {
      server.frozen = true;
      this.sim.trouble(server, time);
      return this.sim.at(this.sim.now + time, () => server.thaw());
    }
    for (let i = kind === "flap" ? 6 : 1, at = 0, each = time / i; i > 0; i--, at += each) {
      this.sim.trouble(server, at + each / 2);
      this.sim.at(this.sim.now + at, () => server.crash());
      this.sim.at(this.sim.now + at + each / 2, () => void (server.down = false));
    }
  }

  get #serving(): readonly Server[] {
    const names = this.#list.filter(({ weight }) => weight > 0).map(({ host }) => host);
    return this.servers.filter(({ ip }) => names.includes(ip));
  }

  get links(): number {
    return this.sim.settings.poolsize * this.#serving.length;
  }

  override executed({ server }: Entry, { nonce, given, lent }: Op): void {
    if (lent || given <= this.#since || this.#serving.includes(server)) return; // what was lent may end its work
    this.sim.breach("I8", `#${nonce} is done by ${server.name}, which is not in the list, or has no weight`);
  }

  /** Whether a member could have taken a command that was given then. */
  #isServed(at: number): boolean {
    return !this.sim.isSlow && this.#serving.some(({ calmSince, goneSince }) => goneSince === Infinity && calmSince + DEAD < at);
  }

  override written({ host }: Link, text: string): void {
    for (const nonce of noncesOf(text)) {
      const { at, lent } = this.sim.op(nonce);
      const isDead = host.goneSince + DEAD < at && !lent;
      if (isDead && this.#isServed(at)) this.sim.breach("I4", `#${nonce} is sent to ${host.name}, which is dead`);
    }
  }

  override failed({ nonce, error, at, given }: Op): void {
    if (error!.code !== "NOT_CONNECTED" || given < this.#since || !this.#isServed(at)) return;
    this.sim.breach("I4", `#${nonce} finds no connection, and a member is well`);
  }

  override check(): void {
    if (this.#signals.some(({ aborted }) => !aborted)) this.sim.breach("I9", "the source of the lists is not told that it is over");
  }
}

// ==== Clusters ====

/** Hash tags, each in a slot of its own. */
const TAGS = ["a", "b", "c", "d", "e", "f"];

/** Divides the slots into ranges: each of these alone, and those between them. */
function rangesOf(slots: readonly number[]): Range[] {
  const ranges: Range[] = [];
  let next = 0;
  for (const slot of [...slots].sort((a, b) => a - b)) {
    if (slot > next) ranges.push({ first: next, last: slot - 1 });
    ranges.push({ first: slot, last: slot });
    next = slot + 1;
  }
  ranges.push({ first: next, last: 16_383 });
  return ranges;
}

/** The driver doubts the newest map when it has read older ones for so long. */
const DOUBT = 4_900;

export class Cluster extends Scene {
  readonly servers: readonly ClusterNode[];
  readonly #ranges = rangesOf(TAGS.map((tag) => slotOf(tag)));
  /** The true owners of the ranges, and the last epoch. */
  readonly #truth: Ownership[];
  #epoch: number;
  readonly #steps = new Set<() => void>();
  /** Ranges that are moving, or whose owner fails over, each with the node that gets it. */
  readonly #busy = new Map<number, ClusterNode>();
  /** Primaries of which a replica is taking over. */
  readonly #leaving = new Set<ClusterNode>();
  /** Nodes that are replicas, or have been. */
  readonly #replicas = new Set<ClusterNode>();
  /** Nodes that the driver has read to be the owner of a range, or the target of an ASK. */
  readonly #named = new Map<string, "owner" | "asked">();
  /** Of each range, its owner in the newest map that the driver has read, and since when; undefined after another word. */
  readonly #mapped: ({ owner: ClusterNode; at: number } | undefined)[] = [];
  #newest = 0;
  /** Time since which it has read older maps; it follows them in the end. */
  #olderSince = Infinity;
  /** Commands that have come to a node. */
  readonly #arrived = new Set<number>();
  #db: ClusterHandler | undefined;

  constructor(sim: Simulation) {
    super(sim);
    const { chance } = sim;
    const count = chance.pick(4, 6, 7);
    this.servers = Array.from({ length: count }, (_, i) => new ClusterNode(sim, `10.0.0.${i + 1}`, this.#ranges, (of) =>
      this.servers.filter(({ master }) => master === of)));
    const primaries = this.servers.slice(0, 3);
    this.#epoch = primaries.length;
    if (count > 4) for (const [i, replica] of this.servers.slice(3, 6).entries()) this.#attach(replica, primaries[i]!);
    this.#truth = this.#ranges.map((_, i) => {
      const at = Math.floor(i * 3 / this.#ranges.length);
      return { owner: primaries[at]!, epoch: at + 1 };
    });
    for (const node of this.servers) node.learn(this.#truth);
  }

  open(driver: Driver): Handler {
    const seeds = this.servers.slice(0, this.sim.chance.pick(1, 2, 3)).map(({ name }) => name);
    this.#db = driver.lazyClusterConnectionPool(seeds, this.sim.settings) as ClusterHandler;
    return this.#db as unknown as Handler;
  }

  get links(): number {
    return this.sim.settings.poolsize * new Set(this.#truth.map(({ owner }) => owner)).size;
  }

  override tag(): string {
    return this.sim.chance.pick(...TAGS);
  }

  override get mayPublish(): boolean {
    return true;
  }

  override plan(moment: () => number): void {
    const { sim } = this;
    const { chance } = sim;
    for (let i = chance.pick(0, 1, 3, 6); i > 0; i--) sim.at(moment(), () => this.#move(sim.near?.tag ?? this.tag()));
    for (let i = chance.pick(0, 0, 1, 2); i > 0; i--) sim.at(moment(), () => this.#failover());
    for (let i = chance.pick(0, 0, 0, 1, 2); i > 0; i--) sim.at(moment(), () => this.#mislead());
  }

  // ---- What is true ----

  #later(delay: number, run: () => void): void {
    const step = (): void => {
      if (this.#steps.delete(step)) run();
    };
    this.#steps.add(step);
    this.sim.at(this.sim.now + delay, step);
  }

  /** A new owner, of which the others hear at different times. */
  #give(ranges: readonly number[], owner: ClusterNode, first: readonly ClusterNode[]): void {
    const { chance, say } = this.sim;
    const epoch = ++this.#epoch;
    for (const range of ranges) this.#truth[range] = { owner, epoch };
    say?.(`${owner.name} has ${ranges.map((range) => this.#ranges[range]!.first).join()} since epoch ${epoch}`);
    const news = this.#truth.map((known) => ({ ...known }));
    const most = chance.pick(20, 200, 2_000);
    owner.learn(news);
    for (const node of this.servers) {
      if (node !== owner) this.#later(chance.next() * (first.includes(node) ? 20 : most), () => node.learn(news));
    }
  }

  /** A range goes to another node: key by key, with ASK meanwhile, or at once. */
  #move(tag: string): void {
    const { chance, say } = this.sim;
    const range = this.servers[0]!.rangeOf(tag);
    const from = this.#truth[range]!.owner;
    const to = chance.pick(...this.servers.filter(({ role, down }) => role === "master" && !down));
    if (this.#busy.has(range) || to === from || from.down || this.#leaving.has(to)) return;
    this.#busy.set(range, to);
    if (chance.of(0.6)) this.sim.rush(tag, chance.pick(20, 100, 500));
    say?.(`slot ${this.#ranges[range]!.first} moves from ${from.name} to ${to.name}`);
    const isAtOnce = chance.of(0.2);
    if (!isAtOnce) {
      from.migrating.set(range, to);
      to.importing.add(range);
    }
    const pace = chance.pick(1, 20, 200);
    const next = (): void => {
      const keys = from.keysOf(range);
      for (const at of isAtOnce ? keys : keys.slice(0, 1)) {
        if (!from.hasExpired(at)) to.put(at, from.store.data.get(at), from.store.expiries.get(at));
        from.put(at, undefined);
      }
      if (!isAtOnce && keys.length > 0) return this.#later(chance.next() * pace, next);
      to.importing.delete(range);
      this.#busy.delete(range);
      this.#give([range], to, [from]);
      if (isAtOnce) from.learn(this.#truth);
      if (chance.of(0.3)) this.#later(chance.next() * chance.pick(20, 200), () => this.#move(tag)); // often before all have heard of it
    };
    this.#later(isAtOnce ? 0 : chance.next() * pace * 5, next);
  }

  /** A replica takes over. The old primary comes back as its replica, and may soon be the primary again. */
  #failover(next = this.sim.chance.pick(...this.servers)): void {
    const { chance, say } = this.sim;
    const old = next.master as ClusterNode | undefined;
    const ranges = [...this.#truth.keys()].filter((range) => this.#truth[range]!.owner === old);
    if (old === undefined || old.down || ranges.some((range) => this.#busy.has(range)) || [...this.#busy.values()].includes(old)) return;
    for (const range of ranges) this.#busy.set(range, next);
    this.#leaving.add(old);
    const isPlanned = chance.of(0.5);
    if (ranges.length > 0 && chance.of(0.6)) this.sim.rush(chance.pick(...TAGS.filter((tag) =>
      ranges.includes(old.rangeOf(tag)))) ?? this.tag(), chance.pick(20, 100, 500));
    if (isPlanned && chance.of(0.5)) for (const node of [old, next]) this.#refuse(node);
    say?.(`${next.name} will take over from ${old.name}, which ${isPlanned ? "waits for it" : "crashes"}`);
    const isFailed = (): boolean => !isPlanned;
    if (isFailed()) old.crash();
    this.#later(isPlanned ? 0 : chance.next() * chance.pick(50, 1_500), () => {
      if (isPlanned) next.store.follow(old.store, old.store.log.length);
      next.master = undefined;
      for (const range of ranges) this.#busy.delete(range);
      for (const replica of this.servers) if (replica.master === old && replica !== next) this.#attach(replica, next);
      this.#attach(old, next);
      this.#leaving.delete(old);
      this.#give(ranges, next, []);
      if (isPlanned) old.learn(this.#truth);
      if (isPlanned && chance.of(0.5)) this.#later(chance.next() * 100, () => this.#failover(old));
      if (!isPlanned) this.#later(chance.next() * 2_000, () => {
        old.learn(this.#truth);
        old.down = false;
      });
    });
  }

  /** A node refuses commands for a while. */
  #refuse(node: ClusterNode): void {
    const { chance, now, say } = this.sim;
    const time = chance.next() * 400;
    node.refusing = chance.pick("LOADING Redis is loading the dataset in memory", "CLUSTERDOWN The cluster is down");
    say?.(`${node.name} refuses commands for ${time.toFixed(1)}: ${node.refusing}`);
    this.sim.at(now + time, () => void (node.refusing = undefined));
  }

  #attach(node: ClusterNode, master: ClusterNode): void {
    this.#replicas.add(node);
    node.master = master;
    node.store = new Store();
    node.store.follow(master.store, master.store.log.length);
  }

  override wrote(server: Server): void {
    const { store } = server;
    const { length } = store.log;
    for (const replica of this.servers) {
      if (replica.master !== server) continue;
      const own = replica.store;
      this.sim.at(this.sim.now + this.sim.chance.next() * 20, () => {
        if (replica.master === server && replica.store === own) own.follow(store, length);
      });
    }
  }

  /** Two nodes send the commands of a slot to each other, for a while. */
  #mislead(): void {
    const { chance, now, say } = this.sim;
    const range = this.servers[0]!.rangeOf(this.tag());
    const { owner } = this.#truth[range]!;
    const other = chance.pick(...this.servers.filter((node) => node !== owner));
    say?.(`${owner.name} and ${other.name} send commands of ${this.#ranges[range]!.first} to each other`);
    owner.misleads.set(range, other);
    other.misleads.set(range, owner);
    this.sim.at(now + chance.next() * 400, () => {
      owner.misleads.delete(range);
      other.misleads.delete(range);
    });
  }

  override well(): void {
    for (const node of this.servers) node.misleads.clear();
    while (this.#steps.size > 0) for (const step of this.#steps) step();
    for (const node of this.servers) node.learn(this.#truth);
  }

  /** While a slot moves, its keys are on the old node or, if they are not, on the new one. */
  override holders(at: string): readonly Server[] {
    const range = this.servers[0]!.rangeOf(at.slice(2));
    const { owner } = this.#truth[range]!;
    return [owner.store.data.has(at) ? owner : owner.migrating.get(range) ?? owner];
  }

  // ---- What must hold ----

  override named(range: number, node: ClusterNode, by: "MOVED" | "ASK" | "SLOTS"): void {
    const isAsk = by === "ASK";
    const isSuccessor = !isAsk && this.#replicas.has(node); // which takes over all that its primary has
    for (const each of isSuccessor ? this.#ranges.keys() : [range]) {
      const key = `${each} ${node.name}`;
      if (!isAsk || !this.#named.has(key)) this.#named.set(key, isAsk ? "asked" : "owner");
      if (by === "MOVED" && this.#mapped[each]?.owner !== node) this.#mapped[each] = undefined;
    }
  }

  override mapped(epoch: number, owners: readonly ClusterNode[]): void {
    const { now, old, settings } = this.sim;
    if (old || settings.protocol === 2) return; // it uses the map after some more replies
    if (epoch < this.#newest) this.#olderSince = Math.min(this.#olderSince, now);
    if (now > this.#olderSince + DOUBT) this.#mapped.length = 0;
    else if (epoch >= this.#newest) { // of two maps of one epoch that differ, neither is newer
      for (const [range, owner] of owners.entries()) {
        if (this.#mapped[range]?.owner !== owner) this.#mapped[range] = epoch === this.#newest ? undefined : { owner, at: now };
      }
    }
    this.#newest = Math.max(this.#newest, epoch);
  }

  override routed(node: ClusterNode, range: number, isAsking: boolean, words: readonly string[]): void {
    const named = this.#named.get(`${range} ${node.name}`);
    const { nonce, many, lent, at } = this.sim.op(nonceOf(words)!);
    const isFirst = this.#arrived.size < this.#arrived.add(nonce).size;
    if (many) return; // before the nodes are known, a pipeline goes to one of them
    const mapped = this.#mapped[range];
    if (isFirst && !lent && mapped !== undefined && at > mapped.at && mapped.owner !== node) {
      this.sim.breach("I8", `${words.join(" ").slice(0, 100)} comes to ${node.name}, and the newest map names ${mapped.owner.name}`);
    }
    if (named === "owner" || (isAsking && named === "asked")) return;
    const what = named === undefined ? "nobody has named" : "only ASK has named";
    this.sim.breach("I8", `${words.join(" ").slice(0, 100)} comes to ${node.name}, which ${what}`);
  }

  /** Whether every slot can be read, and the driver knows its owner. */
  override async works(db: Handler): Promise<boolean> {
    for (const tag of TAGS) await db.get(`none{${tag}}`);
    const nodes = await this.#db!.nodes();
    return this.#ranges.every(({ first, last }, i) => nodes.some(({ address, role, slots }) =>
      role === "primary" && address === this.#truth[i]!.owner.name && slots.some(([from, to]) => from <= first && last <= to)));
  }
}

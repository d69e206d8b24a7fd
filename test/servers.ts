// What the tests stand on: real servers in folders of their own, a scripted server for what a real one will not do,
// and certificates. Nothing here imports redis.ts: an oracle must not share the driver's mistakes.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

// ==== What must not outlive the tests ====

const children = new Set<ChildProcess>();
const folders = new Set<string>();

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "redis.ts-"));
  folders.add(folder);
  return folder;
}

function removeFolder(folder: string) {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  for (const folder of folders) removeFolder(folder);
});
// A signal's default is to end the process without "exit".
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));

/** Asks every 10 ms until the answer is truthy, and returns it; gives up after `within` ms, naming `what`. */
export async function until<T>(condition: () => T | Promise<T>, what: string, within = 120_000): Promise<T> {
  const end = Date.now() + within;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${within} ms in vain for ${what}`);
    await sleep(10);
  }
}

const FIRST_PORT = 10_000;
const PORTS = 1_000;
let claimed: Promise<number> | undefined;
let nextPort = Math.floor(Math.random() * PORTS);

/** Claims a thousand ports, by listening on the first until this process ends. If all are claimed, takes any. */
async function claimPorts(): Promise<number> {
  for (let first = FIRST_PORT; first < FIRST_PORT + 10 * PORTS; first += PORTS) {
    const claim = createServer();
    const isOurs = await new Promise<boolean>((resolve) => {
      claim.once("error", () => resolve(false)).listen(first, "127.0.0.1", () => resolve(true));
    });
    claim.unref(); // on Deno, a UDP socket would still keep the process alive
    if (isOurs) return first;
  }
  return FIRST_PORT + PORTS * Math.floor(Math.random() * 10);
}

/**
 * A TCP port nobody listens on, nor will soon: each process has its own, and takes them in turn. It lies below the range
 * systems take for outgoing connections: there a client that keeps trying a dead server's port can by chance be given
 * that very port, and connects to itself. A cluster's nodes listen 10,000 ports above, too.
 */
export async function freePort(): Promise<number> {
  const first = await (claimed ??= claimPorts());
  for (;;) {
    const port = first + (nextPort++ % PORTS);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

// ==== RESP, independently of the driver ====

/** The other side has closed the connection. */
export class Gone extends Error {}

/** What a server says in RESP2; a bulk string stays bytes. */
type Value = Buffer | string | number | null | Error | Value[];

/** Reads RESP2 off a socket, one value a call. */
class Wire {
  #chunks: Buffer[] = [];
  #length = 0;
  #closed = false;
  #wake = () => {};
  #last: Promise<unknown> = Promise.resolve();

  constructor(socket: Socket) {
    socket.on("data", (chunk) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#wake();
    });
    socket.on("end", () => this.#close());
    socket.on("close", () => this.#close());
    socket.on("error", () => {}); // "close" follows
  }

  /** The next value. Calls take turns, in their order. */
  read(): Promise<Value> {
    const value = this.#last.then(() => this.#value());
    this.#last = value.catch(() => {});
    return value;
  }

  #close() {
    this.#closed = true;
    this.#wake();
  }

  async #value(): Promise<Value> {
    const line = (await this.#line()).toString();
    const rest = line.slice(1);
    const length = Number(rest);
    switch (line[0]) {
      case "+":
        return rest;
      case "-":
        return new Error(rest);
      case ":":
        return length;
      case "$":
        return length < 0 ? null : (await this.#take(length + 2)).subarray(0, length);
      case "*": {
        if (length < 0) return null;
        const values: Value[] = [];
        while (values.length < length) values.push(await this.#value());
        return values;
      }
    }
    throw new Error(`not RESP2: ${JSON.stringify(line.slice(0, 100))}`);
  }

  async #line(): Promise<Buffer> {
    for (;;) {
      const end = this.#joined().indexOf("\r\n");
      if (end >= 0) return (await this.#take(end + 2)).subarray(0, end);
      await this.#more();
    }
  }

  async #take(length: number): Promise<Buffer> {
    while (this.#length < length) await this.#more();
    const all = this.#joined();
    this.#chunks = [all.subarray(length)];
    this.#length -= length;
    return all.subarray(0, length);
  }

  #joined(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }

  async #more() {
    if (this.#closed) throw new Gone("the other side closed the connection");
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}

// A reply as a test likes to compare it: strings for bytes, an error thrown where it is the whole reply.
function plain(value: Value): any {
  if (Buffer.isBuffer(value)) return value.toString();
  return Array.isArray(value) ? value.map(plain) : value;
}

function command(args: string[]): string {
  return `*${args.length}\r\n` + args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join("");
}

// ==== A real server ====

export type ServerOptions = {
  /** More arguments of the server; they win over ours. */
  args?: string[];
  /** A second port that speaks TLS with the server certificate of `certificates()`; asks clients for none. */
  tls?: boolean;
  /** A Unix socket, on by default. */
  unix?: boolean;
  /** An append-only file, with which what was answered outlives `kill()` and `restart()`. */
  aof?: boolean;
  /** The first lines of the configuration of a Sentinel, which the server then is. */
  sentinel?: string;
};

let binary: { path: string; version: string } | undefined;

// What $REDIS_SERVER names, else a redis-server or valkey-server of the PATH.
function findServer() {
  if (binary) return binary;
  const paths = process.env.REDIS_SERVER ? [process.env.REDIS_SERVER] : ["redis-server", "valkey-server"];
  for (const path of paths) {
    try {
      const [, version] = /\bv=(\S+)/.exec(execFileSync(path, ["--version"], { encoding: "utf8" })) ?? [];
      if (version) return (binary = { path, version });
    } catch {} // the next, or the error below
  }
  throw new Error(`cannot run ${paths.join(" or ")}; sh test/setup.sh installs a server`);
}

export class RedisServer {
  readonly host = "127.0.0.1";
  /** Of the server's program, such as "7.0.15". */
  readonly version: string;
  readonly dir = makeFolder();
  /** The Unix socket, in `dir`. */
  readonly path: string;
  readonly certs: Certificates | undefined;
  port = 0;
  tlsPort = 0;
  #options: ServerOptions;
  #child: ChildProcess | undefined;
  #oracle: { socket: Socket; wire: Wire; pending: number } | undefined;

  private constructor(options: ServerOptions) {
    this.#options = options;
    this.version = findServer().version;
    this.path = join(this.dir, "redis.sock");
    if (options.tls) this.certs = certificates();
  }

  /** A server that answers, in a folder of its own. */
  static async start(options: ServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(options);
    for (let attempt = 1; ; attempt++) {
      server.port = await freePort();
      if (options.tls)
        do server.tlsPort = await freePort();
        while (server.tlsPort === server.port);
      try {
        await server.#launch();
        return server;
      } catch (error) {
        const portTaken = /address already in use/i.test(String(error));
        if (portTaken && attempt < 10) continue;
        removeFolder(server.dir);
        throw error;
      }
    }
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number {
    if (!this.#child?.pid) throw new Error("the server is not running");
    return this.#child.pid;
  }

  /**
   * Sends a command on a RESP2 connection that is not the driver's and returns the reply with strings for bytes; an
   * error reply is thrown. The connection stays open between calls, so CLIENT LIST has one more than the test's.
   */
  async call(...args: string[]): Promise<any> {
    const reused = this.#oracle !== undefined;
    const oracle = (this.#oracle ??= this.#openOracle());
    if (oracle.pending++ === 0) oracle.socket.ref();
    oracle.socket.write(command(args));
    try {
      const value = await oracle.wire.read();
      if (value instanceof Error) throw value;
      return plain(value);
    } catch (error) {
      // A test's CLIENT KILL meets this connection too, and its end may not have been noticed yet.
      if (error instanceof Gone && reused && this.#oracle !== oracle && this.#child) return this.call(...args);
      throw error;
    } finally {
      if (--oracle.pending === 0) oracle.socket.unref();
    }
  }

  /** Ends it and removes the folder. By KILL: after TERM a primary waits ten seconds for replicas that have gone. */
  async stop() {
    await this.kill();
    removeFolder(this.dir);
  }

  /** KILL, and waits for the end. `restart()` brings it back. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  /** The same ports, folder and arguments again, after a TERM if it still runs. Data needs `aof`. */
  async restart() {
    await this.#end("SIGTERM");
    await this.#launch();
  }

  /** Stops the process in its tracks: the system still accepts connections and takes bytes, nobody answers. */
  freeze() {
    process.kill(this.pid, "SIGSTOP");
  }

  thaw() {
    process.kill(this.pid, "SIGCONT");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #launch() {
    const { args = [], tls, unix = true, aof, sentinel } = this.#options;
    const { path, version } = findServer();
    const config = join(this.dir, "sentinel.conf");
    if (sentinel !== undefined && !existsSync(config)) writeFileSync(config, sentinel); // which it rewrites
    const given = [
      ...(sentinel !== undefined ? [config, "--sentinel"] : []),
      "--port",
      this.port,
      "--bind",
      this.host,
      "--dir",
      this.dir,
      "--save",
      "",
      "--loglevel",
      "warning",
      ...(unix ? ["--unixsocket", this.path] : []),
      // "no": by default, a server whose disk is slow answers before it has written to the file.
      ...(aof ? ["--appendonly", "yes", "--appendfsync", "no"] : []),
      ...(parseInt(version) >= 7 ? ["--enable-debug-command", "yes"] : []),
      ...(this.certs
        ? [
            "--tls-port",
            this.tlsPort,
            "--tls-auth-clients",
            "no",
            "--tls-ca-cert-file",
            this.certs.ca.certFile,
            "--tls-cert-file",
            this.certs.server.certFile,
            "--tls-key-file",
            this.certs.server.keyFile,
          ]
        : []),
      ...args,
    ];
    const log = join(this.dir, "log");
    const output = openSync(log, "w");
    const child = spawn(path, given.map(String), { stdio: ["ignore", output, output] });
    closeSync(output);
    children.add(child);
    child.once("exit", () => {
      children.delete(child);
      if (this.#child === child) this.#child = undefined;
    });
    child.unref();
    this.#child = child;
    try {
      await until(() => {
        if (!this.#child) throw new Error(`the server did not start: ${readFileSync(log, "utf8")}`);
        return this.#answers();
      }, "the server to answer PING");
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  async #answers(): Promise<boolean> {
    try {
      return (await this.call("PING")) === "PONG";
    } catch (error) {
      return /^NOAUTH/.test((error as Error).message); // else refused, or LOADING
    }
  }

  async #end(signal: NodeJS.Signals) {
    this.#oracle?.socket.destroy();
    const child = this.#child;
    if (!child) return;
    const exit = once(child, "exit");
    child.ref();
    child.kill(signal);
    child.kill("SIGCONT"); // a frozen process hears no TERM
    await exit;
  }

  #openOracle() {
    const socket = connect(this.port, this.host);
    const oracle = { socket, wire: new Wire(socket), pending: 0 };
    for (const event of ["end", "close"])
      socket.on(event, () => {
        if (this.#oracle === oracle) this.#oracle = undefined;
      });
    return oracle;
  }
}

// ==== Sentinels ====

export type SentinelOptions = {
  /** Number of replicas, and of Sentinels. */
  replicas?: number;
  sentinels?: number;
  /** Arguments of each data server, and more lines of each Sentinel's configuration. */
  args?: string[];
  config?: string;
  downAfter?: number;
  name?: string;
};

/** A master, replicas, and the Sentinels that watch them, with short periods. */
export class SentinelSet {
  readonly name: string;
  readonly nodes: RedisServer[] = [];
  readonly sentinels: RedisServer[] = [];

  private constructor(name: string) {
    this.name = name;
  }

  static async start(options: SentinelOptions = {}): Promise<SentinelSet> {
    const { replicas = 2, sentinels = 3, args = [], config = "", downAfter = 500, name = "mymaster" } = options;
    const set = new SentinelSet(name);
    const own = ["--repl-diskless-sync-delay", "0", ...args];
    const master = await RedisServer.start({ args: own, unix: false });
    set.nodes.push(master);
    for (let i = 0; i < replicas; i++) {
      set.nodes.push(await RedisServer.start({ args: [...own, "--replicaof", "127.0.0.1", `${master.port}`], unix: false }));
    }
    const lines = [
      `sentinel monitor ${name} 127.0.0.1 ${master.port} ${(sentinels >> 1) + 1}`,
      `sentinel down-after-milliseconds ${name} ${downAfter}`,
      `sentinel failover-timeout ${name} 2000`,
      `sentinel parallel-syncs ${name} 2`,
      config,
    ];
    for (let i = 0; i < sentinels; i++) {
      const sentinel = await RedisServer.start({ sentinel: `${lines.join("\n")}\n`, unix: false });
      set.sentinels.push(sentinel);
      // While the master is down, a Sentinel sends INFO each second, and takes no replica whose INFO is older than 5 pings.
      // One that has not run for two seconds would do nothing for 30 s.
      const periods = [
        "info-period", "200", "ping-period", "300", "publish-period", "200", "ask-period", "100", "tilt-trigger", "60000",
      ];
      if (parseInt(sentinel.version) >= 7) await sentinel.call("SENTINEL", "DEBUG", ...periods);
    }
    await set.settle();
    return set;
  }

  /** Where the Sentinels are, for the option. */
  get hosts(): string[] {
    return this.sentinels.map(({ host, port }) => `${host}:${port}`);
  }

  node(port: number): RedisServer {
    return this.nodes.find((node) => node.port === port)!;
  }

  /** Fields that a Sentinel states, by name: of MASTER, or of each of REPLICAS. */
  async state(sentinel = this.sentinels[0]!): Promise<Record<string, string>> {
    return fields(await sentinel.call("SENTINEL", "MASTER", this.name));
  }

  async replicas(sentinel = this.sentinels[0]!): Promise<Record<string, string>[]> {
    return (await sentinel.call("SENTINEL", "REPLICAS", this.name)).map(fields);
  }

  /** The server that all Sentinels call the master. */
  async master(): Promise<RedisServer | undefined> {
    const ports = await Promise.all(
      this.sentinels.map(async (sentinel) =>
        (await sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", this.name).catch(() => []))?.[1],
      ),
    );
    return new Set(ports).size === 1 ? this.nodes.find(({ port }) => String(port) === ports[0]) : undefined;
  }

  /** Waits until the Sentinels agree about the master, know each other, and all replicas are attached to it. */
  async settle(): Promise<RedisServer> {
    const isSettled = async (sentinel: RedisServer) => {
      const [{ flags, "num-other-sentinels": others }, replicas] = [await this.state(sentinel), await this.replicas(sentinel)];
      const fit = replicas.filter((replica) => replica["flags"] === "slave" && replica["master-link-status"] === "ok");
      return flags === "master" && Number(others) === this.sentinels.length - 1 && fit.length === this.nodes.length - 1;
    };
    await until(async () => (await Promise.all(this.sentinels.map(isSettled))).every(Boolean), "the Sentinels to settle", 60_000);
    return (await until(() => this.master(), "the Sentinels to agree"))!;
  }

  async stop() {
    await Promise.all([...this.sentinels, ...this.nodes].map((server) => server.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function fields(pairs: string[]): Record<string, string> {
  return Object.fromEntries(Array.from({ length: pairs.length / 2 }, (_, i) => [pairs[2 * i], pairs[2 * i + 1]]));
}

// ==== A real proxy ====

/** Whether there is a twemproxy, whose program is `nutcracker`. */
export function hasTwemproxy(): boolean {
  try {
    execFileSync("nutcracker", ["--version"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
}

/** A twemproxy in front of these servers. */
export class Twemproxy {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly #dir = makeFolder();
  #child: ChildProcess | undefined;

  private constructor(port: number, servers: readonly RedisServer[], timeout: number) {
    this.port = port;
    const settings = {
      listen: `${this.host}:${port}`, hash: "md5", distribution: "modula", redis: true, hash_tag: '"{}"', timeout,
      auto_eject_hosts: false, server_retry_timeout: 100,
    };
    const lines = Object.entries(settings).map(([name, value]) => `  ${name}: ${value}`);
    const hosts = servers.map((server) => `   - ${server.host}:${server.port}:1`);
    writeFileSync(join(this.#dir, "conf"), ["all:", ...lines, "  servers:", ...hosts, ""].join("\n"));
  }

  static async start(servers: readonly RedisServer[], timeout = 2_000): Promise<Twemproxy> {
    const proxy = new Twemproxy(await freePort(), servers, timeout);
    await proxy.launch();
    return proxy;
  }

  async launch() {
    const file = (name: string) => join(this.#dir, name);
    const stats = ["-a", this.host, "-s", String(await freePort())];
    const args = ["-c", file("conf"), "-o", file("log"), "-p", file("pid"), ...stats];
    const child = spawn("nutcracker", args, { stdio: "ignore" });
    children.add(child);
    child.once("exit", () => children.delete(child));
    child.unref();
    this.#child = child;
    await until(async () => {
      const socket = connect(this.port, this.host);
      const opened = await Promise.race([once(socket, "connect").then(() => true), once(socket, "error").then(() => false)])
        .catch(() => false);
      socket.destroy();
      if (child.exitCode !== null) throw new Error(`twemproxy did not start: ${readFileSync(file("log"), "utf8")}`);
      return opened;
    }, "twemproxy to accept connections");
  }

  async kill() {
    const exit = once(this.#child!, "exit");
    this.#child!.ref();
    this.#child!.kill("SIGKILL");
    await exit;
  }

  async stop() {
    await this.kill();
    removeFolder(this.#dir);
  }
}

// ==== A cluster ====

/** Tags that put a key into a slot: `{06S}x` is in slot 0. */
export const SLOT_TAGS = { 0: "06S", 1: "Qi", 5460: "1OV", 5461: "8M", 8191: "6xN", 10922: "4BE", 10923: "63n", 16383: "6ZJ" };

export type ClusterOptions = { primaries?: number; replicas?: number; args?: string[] };

/** Real servers in cluster mode: first the primaries, each with a third of the slots, then their replicas in turn. */
export class RedisCluster {
  readonly servers: RedisServer[];
  readonly primaries: number;

  private constructor(servers: RedisServer[], primaries: number) {
    this.servers = servers;
    this.primaries = primaries;
  }

  static async start({ primaries = 3, replicas = 3, args = [] }: ClusterOptions = {}): Promise<RedisCluster> {
    const flags = [
      "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000",
      "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", "--appendonly", "no",
      "--repl-ping-replica-period", "1", // CLUSTER SLOTS lists a replica once it has received something
      "--cluster-require-full-coverage", "no", ...args,
    ];
    const started = await Promise.all(Array.from({ length: primaries + replicas }, () => RedisServer.start({ args: flags })));
    const cluster = new RedisCluster(started, primaries);
    try {
      await cluster.#form();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get hosts(): string[] {
    return this.servers.map(({ host, port }) => `${host}:${port}`);
  }

  async #form() {
    const { servers, primaries } = this;
    const [first, ...others] = servers as [RedisServer, ...RedisServer[]];
    for (const [i, server] of servers.entries()) {
      await server.call("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1));
      if (i >= primaries) continue;
      const [from, to] = [i, i + 1].map((n) => Math.floor((n * 16_384) / primaries));
      const slots = Array.from({ length: to! - from! }, (_, i) => String(from! + i)); // Redis 6 has no ADDSLOTSRANGE
      await server.call("CLUSTER", "ADDSLOTS", ...slots);
    }
    for (const server of others) await first.call("CLUSTER", "MEET", server.host, String(server.port));
    for (const [i, server] of servers.slice(primaries).entries()) {
      const id = await servers[i % primaries]!.call("CLUSTER", "MYID");
      await until(() => server.call("CLUSTER", "REPLICATE", id).then(() => true, () => false), "a replica to know its primary");
    }
    await this.settled();
  }

  /** Resolves when all servers that run agree that the cluster is up, and that each range has all its nodes. */
  settled(nodes = this.servers.length): Promise<unknown> {
    return until(async () => {
      const views = await Promise.all(this.servers.filter(({ isRunning }) => isRunning).map(async (server) => {
        const asked = [["CLUSTER", "INFO"], ["CLUSTER", "SLOTS"], ["INFO", "replication"]].map((words) => server.call(...words));
        const [info, slots, replication] = await Promise.all(asked).catch(() => ["", []]); // it may be loading its data
        const ids = new Set(slots.flatMap((range: any[]) => range.slice(2).map((node) => node[2])));
        return info.includes("cluster_state:ok") && ids.size === nodes && !replication.includes("master_link_status:down")
          ? JSON.stringify(slots.map((range: any[]) => [range[0], range[1], range[2][2]]).sort()) : undefined;
      }));
      return views[0] !== undefined && views.every((view) => view === views[0]);
    }, "the cluster to settle");
  }

  /** Has a replica take over the slots of its primary, which loses nothing, as FORCE and TAKEOVER may. */
  async handOver(slot: number): Promise<RedisServer> {
    const [replica] = await this.replicasOf(await this.owner(slot)) as [RedisServer];
    let askedAt = -Infinity;
    await until(async () => {
      if (await this.owner(slot) === replica) return true;
      if (performance.now() - askedAt < 6_000) return false;
      askedAt = performance.now(); // anew: it gives up after 5 s, if the others have voted for that shard just before
      return replica.call("CLUSTER", "FAILOVER").then(() => false, () => false); // refused once it is a primary
    }, "the failover", 60_000);
    return replica;
  }

  /** Sends a command to the server of its first key. */
  async call(...args: string[]): Promise<any> {
    const running = this.servers.find(({ isRunning }) => isRunning)!;
    return this.#whenUp(await this.owner(await running.call("CLUSTER", "KEYSLOT", args[1] ?? "")), ...args);
  }

  /** Sends it again while the server takes the cluster for down, as after a stall of this machine for a second. */
  async #whenUp(server: RedisServer, ...args: string[]): Promise<any> {
    let value: any;
    await until(() => server.call(...args).then((reply) => {
      value = reply;
      return true;
    }, (error: Error) => {
      if (!error.message.startsWith("CLUSTERDOWN")) throw error;
    }), "the cluster to be up");
    return value;
  }

  /** The server that serves a slot, by its own view: for a moment, others may believe what they heard before. */
  owner(slot: number): Promise<RedisServer> {
    return until(async () => {
      const claims = await Promise.all(this.servers.filter(({ isRunning }) => isRunning).map(async (server) => {
        const frozen = new Promise<[]>((resolve) => void setTimeout(resolve, 1_000, []).unref());
        const slots: any[][] = await Promise.race([server.call("CLUSTER", "SLOTS").catch(() => []), frozen]);
        const [, , [, port] = []] = slots.find(([from, to]) => from <= slot && slot <= to) ?? [];
        return port === server.port ? [server] : [];
      }));
      const [owner, ...others] = claims.flat();
      return others.length === 0 && owner;
    }, `an owner of slot ${slot}`) as Promise<RedisServer>;
  }

  /** The running replicas of a server. */
  async replicasOf(primary: RedisServer): Promise<RedisServer[]> {
    const id = await primary.call("CLUSTER", "MYID");
    const lines: string[] = await primary.call("CLUSTER", "REPLICAS", id);
    return this.servers.filter(({ port }) => lines.some((line) => line.includes(`:${port}@`)));
  }

  /** Begins to move a slot: until `finishMove`, some of its keys may be on either server. */
  async beginMove(slot: number, to: RedisServer): Promise<RedisServer> {
    const from = await this.owner(slot);
    await to.call("CLUSTER", "SETSLOT", String(slot), "IMPORTING", await from.call("CLUSTER", "MYID"));
    await from.call("CLUSTER", "SETSLOT", String(slot), "MIGRATING", await to.call("CLUSTER", "MYID"));
    return from;
  }

  async moveKeys(slot: number, from: RedisServer, to: RedisServer) {
    for (;;) {
      const keys: string[] = await from.call("CLUSTER", "GETKEYSINSLOT", String(slot), "100");
      if (keys.length === 0) return;
      await this.#whenUp(from, "MIGRATE", to.host, String(to.port), "", "0", "5000", "KEYS", ...keys);
    }
  }

  async finishMove(slot: number, from: RedisServer, to: RedisServer) {
    const id = await to.call("CLUSTER", "MYID");
    const others = this.servers.filter((server) => server.isRunning && server !== to && server !== from);
    for (const server of [to, from, ...others]) {
      await server.call("CLUSTER", "SETSLOT", String(slot), "NODE", id).catch((error) => {
        if (!others.includes(server)) throw error; // replicas refuse it, and learn by themselves
      });
    }
  }

  /** Moves a slot as redis-cli does, while clients go on. */
  async move(slot: number, to: RedisServer) {
    const from = await this.beginMove(slot, to);
    await this.moveKeys(slot, from, to);
    await this.finishMove(slot, from, to);
  }

  async stop() {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

// ==== A scripted server ====

/** A client of a ScriptedServer, seen from the server. */
export class Peer {
  readonly socket: Socket;
  /** 1 for the first connection. */
  readonly id: number;
  readonly closed: Promise<void>;
  /** How it was asked to end other connections. */
  readonly fenced: string[] = [];
  /** What it said of its library by CLIENT SETINFO. */
  readonly library: string[] = [];
  /** The line of CLIENT INFO. */
  identity: string;
  #wire: Wire;

  constructor(socket: Socket, id: number) {
    this.socket = socket;
    this.id = id;
    this.identity = `id=${id} addr=127.0.0.1:${socket.remotePort} name=\n`;
    this.#wire = new Wire(socket);
    this.closed = new Promise((resolve) => {
      socket.once("close", () => resolve());
    });
  }

  /** The next command; throws `Gone` when the client has closed. */
  async read(): Promise<string[]> {
    return (await this.readRaw()).map(String);
  }

  /** What the driver asks or says for itself, who it is and to end a lost connection, is answered here and kept from scripts. */
  async readRaw(): Promise<Buffer[]> {
    for (;;) {
      const args = await this.readAny();
      const text = args.map(String).join(" ");
      if (text === "CLIENT INFO") this.#tellWho();
      else if (text.startsWith("CLIENT SETINFO ")) this.#noteLibrary(args);
      else if (text.startsWith("CLIENT KILL ID ")) {
        this.fenced.push(text);
        this.write(":1\r\n");
      } else return args;
    }
  }

  /** The next command, also if the driver asks it for itself. */
  async readAny(): Promise<Buffer[]> {
    const args = await this.#wire.read();
    const isCommand = Array.isArray(args) && args.length > 0 && args.every((arg) => Buffer.isBuffer(arg));
    if (!isCommand) throw new Error(`not a command: ${JSON.stringify(plain(args))}`);
    return args as Buffer[];
  }

  write(data: string | Uint8Array) {
    this.socket.write(data);
  }

  /** Reads HELLO and what follows it, answers as a server does, and returns the former. */
  async hello(): Promise<string[]> {
    const args = await this.read();
    if (args[0]?.toUpperCase() !== "HELLO") throw new Error(`expected HELLO, got ${args.join(" ")}`);
    this.greet(args);
    if (args[1] !== "3") return args;
    for (let asked = ""; asked !== "CLIENT,INFO"; ) {
      const said = await this.readAny();
      asked = String(said);
      if (asked.startsWith("CLIENT,SETINFO,")) this.#noteLibrary(said);
      else if (asked !== "CLIENT,INFO") throw new Error(`expected CLIENT INFO, got ${asked}`);
    }
    this.#tellWho();
    return args;
  }

  /** Answers HELLO as a server does. */
  greet(args: readonly string[]) {
    const head = args[1] === "3" ? "%7" : "*14";
    const text = (string: string) => `$${string.length}\r\n${string}\r\n`;
    this.write(
      `${head}\r\n` +
        [
          text("server"),
          text("redis"),
          text("version"),
          text("7.4.0"),
          text("proto"),
          `:${args[1] ?? 2}\r\n`,
          text("id"),
          `:${this.id}\r\n`,
          text("mode"),
          text("standalone"),
          text("role"),
          text("master"),
          text("modules"),
          "*0\r\n",
        ].join(""),
    );
  }

  /** Answers CLIENT INFO. */
  #tellWho() {
    this.write(`$${this.identity.length}\r\n${this.identity}\r\n`);
  }

  /** Answers CLIENT SETINFO, as servers from 7.2 on do. */
  #noteLibrary([, , attribute, value]: readonly Buffer[]) {
    this.library.push(`${attribute} ${value}`);
    this.write("+OK\r\n");
  }

  /** Closes after what was written. */
  end() {
    this.socket.end();
  }

  /** Breaks the connection off: the client sees ECONNRESET. */
  reset() {
    this.socket.resetAndDestroy();
  }
}

/** Runs a script for each connection. One that fails resets its client, and `stop()` throws what it threw. */
export class ScriptedServer {
  readonly host = "127.0.0.1";
  /** All connections ever accepted, in their order. */
  readonly peers: Peer[] = [];
  readonly path: string | undefined;
  port = 0;
  #server: Server;
  #failure: unknown;

  private constructor(script: (peer: Peer) => void | Promise<void>, path: string | undefined) {
    this.path = path;
    this.#server = createServer({ noDelay: true }, async (socket) => {
      const peer = new Peer(socket, this.peers.length + 1);
      this.peers.push(peer);
      try {
        await script(peer);
      } catch (error) {
        if (error instanceof Gone) return;
        this.#failure ??= error;
        peer.reset();
      }
    });
  }

  static async start(script: (peer: Peer) => void | Promise<void>, options: { path?: string; port?: number } = {}) {
    const scripted = new ScriptedServer(script, options.path);
    const server = scripted.#server;
    if (options.path) server.listen(options.path);
    else server.listen(options.port ?? 0, scripted.host);
    await once(server, "listening");
    if (!options.path) scripted.port = (server.address() as AddressInfo).port;
    return scripted;
  }

  get connections(): number {
    return this.peers.length;
  }

  async stop() {
    if (this.#server.listening) {
      const closed = once(this.#server, "close");
      this.#server.close();
      for (const peer of this.peers) peer.socket.destroy();
      await closed;
    }
    if (this.#failure) throw this.#failure;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

// ==== A scripted Sentinel ====

/** What a scripted Sentinel says of a master: undefined for an answer that never comes. */
export type Said = {
  address?: readonly [host: string, port: number | string] | null | undefined;
  epoch?: number;
  state?: Record<string, string>;
  sentinels?: Record<string, string>[];
  replicas?: Record<string, string>[];
};

/** A scripted Sentinel, which says what `said` says at the time; `logins` are the words of HELLO, `publish` sends an event. */
export class ScriptedSentinel {
  said: Said;
  readonly logins: string[][] = [];
  server!: ScriptedServer;
  asked = 0;
  events = true;
  readonly #id: string;

  constructor(said: Said, id = "") {
    this.said = said;
    this.#id = id;
  }

  static async start(said: Said = {}, { id, port }: { id?: string; port?: number } = {}): Promise<ScriptedSentinel> {
    const sentinel = new ScriptedSentinel(said, id);
    sentinel.server = await ScriptedServer.start((peer) => sentinel.#serve(peer), port === undefined ? {} : { port });
    return sentinel;
  }

  get host(): string { return `127.0.0.1:${this.server.port}`; }
  get open(): number { return this.server.peers.filter(({ socket }) => !socket.destroyed).length; }

  publish(event: string, text: string): void {
    for (const peer of this.server.peers) if (!peer.socket.destroyed) peer.write(`>3\r\n${[`message`, event, text].map(bulk).join("")}`);
  }

  async #serve(peer: Peer): Promise<void> {
    const maps = (states: Record<string, string>[]) => `*${states.length}\r\n${states.map(mapped).join("")}`;
    for (;;) {
      const words = await peer.read();
      const [name = "", what = ""] = words;
      const { address, epoch = 0, state = {}, sentinels = [], replicas = [] } = this.said;
      if (name === "HELLO") {
        this.logins.push(words);
        peer.write(`%2\r\n${bulk("mode")}${bulk("sentinel")}${bulk("proto")}:3\r\n`);
      } else if (name === "SUBSCRIBE") {
        peer.write(this.events ? `>3\r\n${bulk("subscribe")}${bulk(what)}:1\r\n` : "-NOPERM this user has no permissions\r\n");
      } else if (what === "MYID") peer.write(bulk(this.#id));
      else if (address === undefined) return peer.closed; // silent from now on
      else if (what === "GET-MASTER-ADDR-BY-NAME") {
        this.asked++;
        peer.write(address === null ? "_\r\n" : `*2\r\n${bulk(address[0])}${bulk(String(address[1]))}`);
      } else if (what === "MASTER") peer.write(mapped({ "config-epoch": String(epoch), flags: "master", ...state }));
      else if (what === "SENTINELS") peer.write(maps(sentinels));
      else if (what === "REPLICAS") peer.write(maps(replicas));
      else peer.write("+PONG\r\n");
    }
  }

  stop(): Promise<void> { return this.server.stop(); }
  [Symbol.asyncDispose](): Promise<void> { return this.stop(); }
}

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
const mapped = (state: Record<string, string>): string =>
  `%${Object.keys(state).length}\r\n${Object.entries(state).flat().map(bulk).join("")}`;

// ==== Certificates ====

/** In PEM, as text and as files. */
export type Certificate = { cert: string; key: string; certFile: string; keyFile: string };

export type Certificates = {
  ca: Certificate;
  /** For localhost, 127.0.0.1 and ::1. */
  server: Certificate;
  client: Certificate;
  /** For wrong.example, by the same CA. */
  wrong: Certificate;
  /** A CA that signed none of these. */
  stranger: Certificate;
};

let made: Certificates | undefined;

/** Made by the openssl command on the first call, the same ever after; gone with the process. */
export function certificates(): Certificates {
  if (made) return made;
  const dir = makeFolder();
  const file = (name: string) => join(dir, name);
  const openssl = (command: string, input?: string) =>
    execFileSync("openssl", command.split(" "), { cwd: dir, input, encoding: "utf8", stdio: "pipe" });

  writeFileSync(
    file("config"),
    `
    [req]
    distinguished_name = name
    [name]
    [ca]
    basicConstraints = critical, CA:TRUE
    keyUsage = critical, keyCertSign
    subjectKeyIdentifier = hash
    [server]
    subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
    [client]
    extendedKeyUsage = clientAuth
    [wrong]
    subjectAltName = DNS:wrong.example
  `,
  );

  const make = (name: string, extensions: string, signer?: string): Certificate => {
    const request = `req -new -config config -key ${name}.key -subj /CN=redis.ts-${name}`;
    openssl(`ecparam -name prime256v1 -genkey -noout -out ${name}.key`);
    if (signer)
      openssl(
        `x509 -req -CA ${signer}.crt -CAkey ${signer}.key -CAcreateserial -days 2 -extfile config` +
          ` -extensions ${extensions} -out ${name}.crt`,
        openssl(request),
      );
    else openssl(`${request} -x509 -days 2 -extensions ${extensions} -out ${name}.crt`);
    const [certFile, keyFile] = [file(`${name}.crt`), file(`${name}.key`)];
    return { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8"), certFile, keyFile };
  };
  return (made = {
    ca: make("ca", "ca"),
    server: make("server", "server", "ca"),
    client: make("client", "client", "ca"),
    wrong: make("wrong", "wrong", "ca"),
    stranger: make("stranger", "ca"),
  });
}

// redis.ts 0.1.0: a Redis client in one file, without dependencies. MIT licence, at the end.
// SPDX-License-Identifier: MIT
// For the compiler and linters of the project it is copied to; its own tests check its types without these lines:
/* eslint-disable */
// @ts-nocheck
// deno-lint-ignore-file
// deno-fmt-ignore-file
// biome-ignore-all lint: a copied file
// biome-ignore-all format: a copied file
// biome-ignore-all assist: a copied file
//
//     import { lazyConnection } from "./redis.ts";
//
//     const db = lazyConnection();                    // or lazyConnection("redis://user:secret@cache.example:6379/1")
//     await db.set("greeting", "hello", { EX: 60 });  // every command of the Redis manual, in lower case
//     await db.get("greeting");                       // "hello"
//     await db.disconnect();
//
// Runs unmodified on Node 22.18 and later, Bun and Deno; compiled, on Node 20. Copy it, import it, read it.
//
// Contents
//
//   1. Options and errors           options and their checks; error classes, and the meaning of error codes
//   2. RESP: encoding               arguments to bytes
//   3. RESP: decoding               bytes to replies; chunks may end anywhere, and no byte is trusted
//   4. Commands                     the table: one row per command
//   5. Commander                    rows to methods, calls to promises
//   6. Addresses and sessions       where a server is; the handshake, and logins that are renewed
//   7. Connection                   one socket: its queue and its replies
//   8. Seats                        the parts of a pool
//   9. Pools                        connections to a server, kept alive
//   10. Routes and pipelines        the server of a command; several commands sent together
//   11. Transactions and leases     several commands on a connection of their own
//   12. Scripts, scans and streams  operations that take several commands
//   13. Publish and subscribe       messages that the server pushes
//   14. Sentinel                    lists of hosts that change; the address of a master, which Sentinels know
//   15. Near cache                  replies in memory, while the server vouches for them; one loader of a value
//   16. Servers and fleets          a primary and its replicas, the servers of a handler, and handlers
//   17. One of several              servers with the same data, by weight and priority
//   18. Placement                   the mapping of keys to nodes
//   19. Sharding                    many servers behind one handler
//   20. Slots                       the slots of a Redis Cluster and its nodes
//   21. Cluster                     the handler of a Redis Cluster, whose slots may move
//   22. Collections                 lists, sets, dicts, queues and counters; models
//   23. The door                    the functions that a user calls
//
// How a command travels
//
//   db.get("k")               checks the arguments against GET's row; makes a Command, which holds the promise   (5, 2)
//   Router.route              finds the server of its keys: the only one, or that of a placement or a slot (10, 19, 21)
//   Pool.dispatch             sets its deadline and picks a connection, or queues it until one is free           (9)
//   Connection.push           queues it for output; at the end of the tick, the connection encodes its queue     (7)
//   Encoder.put               into one buffer, and sends it in one write                                         (2)
//   in flight                 written but not yet answered: replies arrive in the order of the commands          (7)
//   Decoder.take              returns one complete reply, in the charset of the oldest command in flight         (3)
//   Command.answer            converts the reply to the shape of its row, and settles the promise                (5)
//
// A command is always in exactly one queue: a pool's, while it waits for a connection or for a server to be ready, or a
// connection's, unwritten or in flight. The queue determines its outcome if it fails: `not-sent` before it is written,
// `unknown` once it is written but not answered.
//
// A section uses only the sections above it.

import { Buffer, constants, isAscii as areAscii } from "node:buffer";
import type * as Crypto from "node:crypto";
import type * as Diagnostics from "node:diagnostics_channel";
import { createRequire } from "node:module";
import { connect as connectTcp, isIP } from "node:net";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import type * as Tls from "node:tls";
import type * as Util from "node:util";
import { isAnyArrayBuffer, isMap, isSet } from "node:util/types";

/** Version of this file, as in its first line. */
export const version = "0.1.0";

const { emitWarning, nextTick, platform } = process; // node:process would open the standard streams

/** Modules loaded on first use: few programs need them, and they take as long to load as all others together. */
type LazyModules = {
  "node:crypto": typeof Crypto; "node:diagnostics_channel": typeof Diagnostics; "node:tls": typeof Tls;
  "node:util": typeof Util;
};
const builtin = <Name extends keyof LazyModules>(name: Name): LazyModules[Name] =>
  process.getBuiltinModule?.(name) ?? createRequire("/")(name); // webpack breaks the latter; Node 20.15 has no other
/** Whether two options, or lists of them, are the same. */
const areEqual = (a: unknown, b: unknown): boolean => builtin("node:util").isDeepStrictEqual(a, b);

// ==== 1. Options and errors ====
//
// Each option is one row of OPTIONS: its check, its default, where else it may be set, and the comment that editors
// show. The option types follow from the rows. To add an option, add a row, and a line to the guide. An invalid option
// throws a TypeError that names it; no message ever shows a value. REFUSALS has one row per error code that the driver
// interprets instead of only passing it on.

/** Character encoding of text in replies; null returns Buffers. */
export type Charset = "utf-8" | "latin1" | null;
/** Representation of maps in replies: objects, or arrays of [name, value]. */
export type Maps = "objects" | "pairs";
type Milliseconds = number; // Infinity for no limit
/** `expires`: when the server stops accepting them, as a Date or a Unix time in milliseconds; by default, never. */
export type Credentials = { username?: string | undefined; password: string; expires?: Date | number | undefined };
type Secrets = { readonly username?: string | undefined; readonly password?: string | undefined };
type Check<T> = { readonly wanted: string; readonly holds: (value: unknown) => value is T };

/** Copies a record, so that an entry that it lacks is not read from a polluted Object.prototype. */
const bare = <T extends object>(record: T): T => Object.setPrototypeOf({ ...record }, null);

const ownEntry = <T extends object, N extends keyof T>(record: T, name: N): T[N] | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;

const NO_ENTRIES: Readonly<Record<string, never>> = bare({});

/** Makes all rows of a table inherit nothing. */
function bareRows(table: Readonly<Record<string, object>>): void {
  for (const row of Object.values(table)) Object.setPrototypeOf(row, null);
}

const must = <T extends unknown>(wanted: string, holds: (value: any) => boolean): Check<T> =>
  ({ wanted, holds: holds as Check<T>["holds"] });
const whole = (from: number, to: number): Check<number> =>
  must(`a whole number from ${from} to ${to}`, (value) => Number.isInteger(value) && value >= from && value <= to);
const oneOf = <const T extends string | number | boolean | null>(...values: T[]): Check<T> =>
  must(`one of ${values.map((value) => JSON.stringify(value)).join(", ")}`, (value) => values.includes(value));
const string = (wanted: string, holds: (value: string) => boolean): Check<string> =>
  must(wanted, (value) => typeof value === "string" && holds(value));
const duration = must<Milliseconds>("a positive number of milliseconds", (ms) => typeof ms === "number" && ms > 0);
/** Options of tls.connect that would replace the connection, or the name that its certificate must have. */
const NOT_OF_TLS = ["host", "port", "path", "socket", "onread"] as const;
const secure = must<boolean | Omit<Tls.ConnectionOptions, typeof NOT_OF_TLS[number]>>(
  `a boolean, or an object without ${NOT_OF_TLS.join(", ")}`, (value) => typeof value === "boolean" ||
    (isPlain(value) && NOT_OF_TLS.every((name) => ownEntry(value, name) === undefined)));
const isFunction = (value: unknown): boolean => typeof value === "function";
const functionOf = <F,>(): Check<F> => must("a function", isFunction);
/** Opens the stream to a server; `path` is that of a Unix socket. */
export type SocketFunction = (
  endpoint: { readonly host: string; readonly port: number; readonly path: string | undefined },
) => Duplex | Promise<Duplex>;
/** Number of replicas that must acknowledge a write, and the time limit for that: by default, replyTimeout. */
export type Durable = { replicas: number; timeout?: Milliseconds | undefined };
/** How long replies may be answered from memory, and how long without news of the server: by default, 5 s. */
export type Cache = { ttl: Milliseconds; maxStale?: Milliseconds | undefined };
const isCache = (value: unknown): boolean => {
  const { ttl, maxStale = Infinity, ...others } = bare(isPlain(value) ? value : { ttl: value });
  return (ttl === 0 || duration.holds(ttl)) && duration.holds(maxStale) && Object.keys(others).length === 0;
};
const isDurable = (value: unknown): boolean => {
  const { replicas, timeout = Infinity, ...others } = bare(isPlain(value) ? value : { replicas: value });
  return whole(0, 2 ** 31 - 1).holds(replicas) && duration.holds(timeout) && Object.keys(others).length === 0;
};
/** Maps "host:port", as a server reports it, to where to connect; undefined leaves it as it is. */
export type AddressMap =
  | Readonly<Record<string, string | { host: string; port: number }>>
  | ((address: string) => string | { host: string; port: number } | undefined);
const isLocation = (value: unknown): boolean => {
  if (typeof value === "string") return isHostPort(value);
  const { host, port } = isPlain(value) ? bare(value) : NO_ENTRIES;
  return OPTIONS.host.check.holds(host) && OPTIONS.port.check.holds(port);
};
const hostList = <H,>(): Check<readonly H[] | LiveHosts<H>> => // readOptions checks the entries of a list
  must("a list of hosts, or a function that returns lists", (hosts) => Array.isArray(hosts) || isFunction(hosts));
const isAddressMap = (map: unknown): boolean => typeof map === "function" ||
  (isPlain(map) && Object.keys(map).every(isHostPort) && Object.values(map).every(isLocation));
const printable = (text: string): boolean => [...text].every((c) => c >= " " && c !== "\x7f");
const visible = string("a string of visible characters", (s) => s !== "" && [...s].every((c) => c > " " && c < "\x7f"));
const secret = string("a string", () => true);
/** Systems truncate a path that is longer, or that contains a NUL, and would connect to another socket. */
const PATH_BYTES = platform === "linux" ? 107 : platform === "win32" ? 255 : 103;
const socketPath = string(`a non-empty path of at most ${PATH_BYTES} bytes without control characters`, (path) =>
  path !== "" && Buffer.byteLength(path) <= PATH_BYTES && printable(path));

/**
 * `query`: a URL's query may set the option, because it cannot weaken security. `view`: db.with() may set it.
 * `endpoint`: how to reach one server; all servers of a handler share the others. `direct`: not set behind a proxy.
 */
type Setting = {
  check: Check<unknown>; preset?: unknown; query?: true; view?: true; endpoint?: true; direct?: true;
};

const OPTIONS = {
  /** Name or IP address of the server. */
  host: { check: visible, preset: "localhost", endpoint: true },
  /** TCP port of the server. */
  port: { check: whole(1, 65_535), preset: 6379, endpoint: true },
  /** Unix socket of the server, instead of host and port. */
  path: { check: socketPath, endpoint: true },
  /** Database number, selected on every connect. */
  dbid: { check: whole(0, 2 ** 31 - 1), preset: 0, query: true, direct: true },
  /** Name of an ACL user. A password without a username belongs to the default user. */
  username: { check: secret, endpoint: true },
  /** Password of the user. An empty string means no password. A server that requires no password accepts any. */
  password: { check: secret, endpoint: true },
  /** Returns a user and password that change; called at every connect and before they expire. */
  credentials: { check: functionOf<() => Credentials | Promise<Credentials>>(), endpoint: true },
  /** Name of the connections in CLIENT LIST. */
  name: { check: visible, query: true, direct: true },
  /** TLS: true, or options of Node's tls.connect (ca, cert, key, servername ...). Certificates are verified. */
  tls: { check: secure, preset: false, endpoint: true },
  /** Opens the stream to a server instead of the driver: through SSH, for example. TLS runs on top of it. */
  socket: { check: functionOf<SocketFunction>(), endpoint: true },
  /** Protocol version to request. Servers without HELLO use version 2; replies have the same shape in both. */
  protocol: { check: oneOf(2, 3), preset: 3, query: true, endpoint: true },
  /** Kind of proxy that the driver connects to, with RESP2. Commands that the proxy does not pass are refused. */
  proxy: { check: oneOf("codis", "twemproxy", "envoy") },
  /** Number of connections in a pool. */
  poolsize: { check: whole(1, 65_535), preset: 10, query: true },
  /** Whether the driver reopens lost connections in the background. */
  reconnect: { check: oneOf(true, false), preset: true },
  /** Whether the handler lets the process end while it is open, and with commands that are pending. */
  unref: { check: oneOf(true, false), preset: false },
  /** How text in replies is decoded; null returns Buffers. Arguments are always sent as UTF-8. */
  charset: { check: oneOf("utf-8", "latin1", null), preset: "utf-8", view: true },
  /** Whether text in replies becomes a number if that number prints as exactly this text ("42", but not "042"). */
  convertNumbers: { check: oneOf(true, false), preset: false, view: true },
  /** "pairs" returns maps as arrays of [name, value]: in the server's order, with repeated names. */
  maps: { check: oneOf("objects", "pairs"), preset: "objects", view: true },
  /** Time limit for opening a connection, from the first packet to the end of the handshake, in milliseconds. */
  connectTimeout: { check: duration, preset: 10_000, query: true },
  /** Time limit for a command from the call to its reply: waiting, network and server together, in milliseconds. */
  replyTimeout: { check: duration, preset: 5_000, query: true, view: true },
  /** Time for which a transaction or a lease may hold its connection without using it, in milliseconds. */
  leaseTimeout: { check: duration, preset: 30_000 },
  /** Time without data after which the driver checks a connection with PING, in milliseconds. */
  pingInterval: { check: duration, preset: 10_000, query: true },
  /** Number of commands that may be pending at once; further commands are rejected. */
  maxPending: { check: whole(1, 2 ** 30), preset: 2 ** 20 },
  /** Total size of unwritten commands, in bytes (for text, in characters); further commands are rejected. */
  maxUnsent: { check: whole(1, Number.MAX_SAFE_INTEGER), preset: 64 * 2 ** 20 },
  /** Maximum nesting depth of a reply. */
  maxDepth: { check: whole(1, 65_536), preset: 128 },
  /** Maximum size of a string in a reply, in bytes. */
  maxBulk: { check: whole(1, 2 ** 31 - 1), preset: 512 * 2 ** 20 },
  /** Maximum number of elements in an array, a map or a set in a reply. */
  maxElements: { check: whole(1, 2 ** 27), preset: 2 ** 26 },
  /** Maximum size of a whole reply, in bytes. */
  maxReply: { check: whole(1, Number.MAX_SAFE_INTEGER), preset: 2 ** 30 }, // two strings of maxBulk
  /** Servers that answer read-only commands: the primary, its replicas, or any of them. */
  readFrom: { check: oneOf("primary", "replica", "any"), preset: "primary", view: true, direct: true },
  /** Replicas of the server. If omitted, the driver asks the primary for them when readFrom needs them. */
  replicas: { check: must<readonly Host[]>("a list of hosts", () => true), direct: true }, // see readOptions
  /** Servers or proxies with the same data, instead of host; or a function that returns lists of them. */
  anyOf: { check: hostList<MemberHost>() },
  /** Sentinels that know where the server is, or a function that returns lists. Each has its own credentials. */
  sentinels: { check: hostList<Host>(), direct: true },
  /** Name of the master whose address the Sentinels are asked for. */
  master: { check: string("a name without spaces", (name) => name !== "" && printable(name) && !name.includes(" ")) },
  /** Where to connect instead of an address that a server reports: { "10.0.0.1:6379": "localhost:7001" }. */
  addressMap: { check: must<AddressMap>("an object of addresses, or a function", isAddressMap) },
  /**
   * Decides whether the driver may connect to an address that a server names; only true permits it. Called before the
   * driver connects, and again at every check, but not for addresses in your own options.
   */
  allowNode: { check: functionOf<(host: string, port: number) => boolean>() },
  /** Availability zone of this process: of the servers that readFrom permits, it prefers those that are in it. */
  zone: { check: visible, query: true, direct: true },
  /** Maximum replication lag of a replica that answers reads, in milliseconds. */
  maxLag: { check: duration, preset: 10_000 },
  /** Whether the driver reissues writes whose outcome is unknown. Only for writes that may be executed twice. */
  idempotent: { check: oneOf(true, false), preset: false, view: true },
  /** Number of replicas that must acknowledge a write (WAIT) before it succeeds, or { replicas, timeout }. 0: none. */
  durable: {
    check: must<number | Durable>("a number of replicas, or { replicas, timeout }", isDurable), preset: 0, view: true,
    direct: true,
  },
  /** How long reads may be answered from memory, in milliseconds, or { ttl, maxStale }. 0: never. */
  cache: {
    check: must<Milliseconds | Cache>("a number of milliseconds, or { ttl, maxStale }", isCache), preset: 0, view: true,
  },
  /** Maximum size of the near cache of each server, in bytes. */
  cacheBytes: { check: whole(0, Number.MAX_SAFE_INTEGER), preset: 64 * 2 ** 20 },
  /** Whether errors have the stack of the call that failed. For debugging, because each call then captures a stack. */
  trace: { check: oneOf(true, false), preset: false, view: true },
  /** Name before the driver's tracing channels: its own, or "ioredis", to which Sentry listens. */
  traceAs: { check: oneOf("redis.ts", "ioredis"), preset: "redis.ts" },
  /** Whether the messages of tracing channels show keys. They never show values. */
  traceKeys: { check: oneOf(true, false), preset: false, view: true },
} satisfies Record<string, Setting>;
bareRows(OPTIONS);

type Table = typeof OPTIONS;
type Value<N extends keyof Table> = Table[N]["check"] extends Check<infer T> ? T : never;
/** Names of the options whose rows have this entry. */
type Having<E extends string> = { [N in keyof Table]: Table[N] extends Record<E, unknown> ? N : never }[keyof Table];

/** Addresses, credentials, limits and behaviour. Every option may be omitted, or undefined. */
export interface Options extends AnyOptions {} // an interface may refer to itself, here through replicas and anyOf
type AnyOptions = { [N in keyof Table]?: Value<N> | undefined };
/** Options of one view of a handler: db.with({ replyTimeout: 50 }). */
export type ViewOptions = Pick<Options, Having<"view">> & { signal?: AbortSignal | undefined };
/** One server of a list: "host:port", "[::1]:6379", a URL, or options. */
export type Host = string | URL | Options;
/**
 * One server of option anyOf; a URL may end in ?weight=3&priority=1. `weight` is its share of the commands (default 1);
 * 0 drains it. `priority` is its group (default 0): only the lowest group that has a live server serves.
 */
export type MemberHost = string | URL | Options & { weight?: number | undefined; priority?: number | undefined };
/** Returns lists of hosts, each of which replaces the one before. Called again after it has ended or failed. */
export type LiveHosts<H> = (signal: AbortSignal) => AsyncIterable<readonly H[]>;

/** Type of text in replies with these options. */
export type TextOf<C, N> = C extends null ? Buffer : N extends true ? string | number | bigint : string;
/** Marks a handler whose maps are pairs: Handler<InPairs<string>>. */
export type InPairs<Text> = { readonly pairs: Text };
/** Type of text of a handler, without the mark. */
type TextIn<Text> = [Text] extends [InPairs<infer T>] ? T : Text;
/** Text and mark of a handler with these options, and of a view that changes them. */
type FormOf<C, N, M> = M extends "pairs" ? InPairs<TextOf<C, N>> : TextOf<C, N>;
type ViewOfForm<Text, C, N, M> =
  C extends undefined ? (N extends true ? Marked<TextOf<"utf-8", N>, Text, M> : Marked<TextIn<Text>, Text, M>)
  : Marked<TextOf<C, N>, Text, M>;
type Marked<New, Old, M> =
  M extends "pairs" ? InPairs<New> : M extends "objects" ? New : [Old] extends [InPairs<any>] ? InPairs<New> : New;

type Preset = { [N in Having<"preset">]: Value<N> };
/** Options that have been checked and completed. */
type Config = Preset & Omit<AnyOptions, keyof Preset | "replicas" | "sentinels" | "anyOf"> & {
  replicas?: readonly Config[]; sentinels?: readonly Config[] | LiveHosts<unknown>;
  anyOf?: readonly MemberConfig[] | LiveHosts<unknown>;
};
type MemberConfig = { readonly config: Config; readonly weight: number; readonly priority: number };
type Unchecked = { [N in keyof Table]?: unknown };
type ProxyName = NonNullable<Config["proxy"]>;

const NAMES = Object.keys(OPTIONS) as (keyof Table)[];
const IN_QUERY = NAMES.filter((name) => "query" in OPTIONS[name]);
/** Options that belong to the caller, not to one of several servers. */
const OF_VIEW = NAMES.filter((name) => "view" in OPTIONS[name]);

/** Reads options, or a URL and options beside it, which add to the URL, and never lead elsewhere. */
function readPlace(place: Unchecked | string | URL = {}, beside?: Unchecked): Unchecked {
  if (typeof place !== "string" && !(place instanceof URL)) {
    if (beside !== undefined) throw new ArgumentError("options must be one object");
    return place;
  }
  const own = readUrl(String(place));
  const more = beside === undefined ? {} : plainly(beside);
  const { tls, ...rest } = own;
  const twice = givenOf(more, [...PLACES.flat(), ...Object.keys(rest) as (keyof Table)[]]);
  if (twice !== undefined) throw new ArgumentError(`the URL decides about option ${twice}`);
  return combined(more, own);
}

/** Checks options, or a URL with options beside it, and completes them with the defaults. */
function readOptions(given?: Unchecked | string | URL, beside?: Unchecked): Config {
  const read = given === undefined ? readPlace(beside) : readPlace(given, beside);
  if (!isPlain(read)) throw new ArgumentError("options must be an object or a URL");
  const options = bare(read);
  const config: Unchecked = {};
  for (const [name, { preset }] of Object.entries<Setting>(OPTIONS)) config[name as keyof Table] = preset;
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) config[name as keyof Table] = checkOption(name, value);
  }
  config.username ||= undefined; // an empty environment variable
  config.password ||= undefined;
  if (config.credentials && (config.username ?? config.password) !== undefined) {
    throw new ArgumentError("option credentials cannot be combined with username or password");
  }
  if (config.username !== undefined && config.password === undefined) {
    throw new ArgumentError("option username needs a password; in a URL, a password alone is redis://:secret@host");
  }
  const { replicas, anyOf } = config;
  if (anyOf !== undefined) {
    const other = givenOf(options, ["host", "path", "replicas", "sentinels", "master"]);
    if (other !== undefined) throw new ArgumentError(`option ${other} belongs to each host of anyOf`);
    return { ...config, anyOf: Array.isArray(anyOf) ? readMembers(config as Config, anyOf) : anyOf } as Config;
  }
  if ((config.sentinels ?? config.master) !== undefined) config.sentinels = readSentinels(config, options);
  if (config.proxy !== undefined) config.protocol = throughProxy(config, options.protocol);
  if (replicas === undefined || (Array.isArray(replicas) && replicas.length === 0)) return config as Config;
  const readReplica = (host: unknown): Config => replicaOf(config as Config, readHost(host));
  return { ...config as Config, replicas: readHosts("replicas", replicas, readReplica) };
}

const MEMBER = {
  weight: must<number>("a number of at least 0", (value) => Number.isFinite(value) && value >= 0),
  priority: whole(0, 65_535),
};
const IN_MEMBER = Object.keys(MEMBER) as (keyof Table)[];

/** Reads the hosts of option anyOf. Each has the common options, except where it has its own. */
function readMembers(common: Config, hosts: unknown): MemberConfig[] {
  const seen = new Set<string>();
  const members = readHosts("anyOf", hosts, (host) => {
    const { weight = 1, priority = 0, ...own } = readHost(host, IN_MEMBER) as Unchecked & Partial<MemberConfig>;
    mustBeCommon(own, "hosts of anyOf");
    if (ownEntry(own, "anyOf") !== undefined) throw new ArgumentError("a host of anyOf has no option anyOf");
    for (const [name, value] of Object.entries({ weight, priority })) checked(name, value, MEMBER[name as "weight"]);
    const config = readOptions(withOwn({ ...common, anyOf: undefined, host: undefined }, own));
    const name = nodeName(config);
    if (seen.has(name)) throw new ArgumentError(`${name} is already in the list`);
    seen.add(name);
    return { config, weight, priority };
  });
  if (members.every(({ weight }) => weight === 0)) throw new ArgumentError("anyOf must have a weight above 0");
  return members;
}

/** Groups of options that locate a server. Options of two groups exclude each other. */
const PLACES = [["anyOf"], ["sentinels", "master"], ["path"], ["host", "port"]] as const;

/** Adds a server's own options to common ones. The "s" of rediss: asks for TLS, and keeps the certificates for it. */
function combined(common: Unchecked, own: Unchecked): Unchecked {
  const tls: unknown = ownEntry(common, "tls");
  return { ...common, ...own, ...(ownEntry(own, "tls") === true && isPlain(tls) ? { tls } : {}) };
}

/** Merges the options of a host in a list with the common ones. If it has an address, it replaces the common one. */
function withOwn(common: Unchecked, own: Unchecked): Unchecked {
  const options = combined(common, own);
  const way = PLACES.find((names) => givenOf(own, names) !== undefined);
  for (const name of way === undefined ? [] : PLACES.flat()) {
    const holds = (way as readonly string[]).includes(name) || (name === "port" && way![0] === "anyOf"); // of its hosts
    if (!holds) options[name] = ownEntry(own, name);
  }
  return options;
}

const givenOf = <N extends keyof Table>(options: Unchecked, names: readonly N[]): N | undefined =>
  names.find((name) => ownEntry(options, name) !== undefined);

/** Throws if one of several servers has an option of its own that belongs to the caller. */
function mustBeCommon(own: Unchecked, all: string, ...more: (keyof Table)[]): void {
  const common = givenOf(own, [...OF_VIEW, ...more]);
  if (common !== undefined) throw new ArgumentError(`option ${common} must be the same for all ${all}`);
}

/** Throws if an option needs commands that the proxy does not pass; returns the protocol version for the proxy. */
function throughProxy(options: Unchecked, protocol: unknown = 2): number {
  const { proxy, username } = options;
  const direct = Object.entries<Setting>(OPTIONS).filter(([, setting]) => setting.direct);
  const changed = direct.find(([name, { preset }]) => options[name as keyof Table] !== preset)?.[0]
    ?? (protocol === 3 ? "protocol" : username !== undefined && proxy !== "envoy" ? "username" : undefined);
  if (changed === undefined) return 2;
  throw new ArgumentError(`option ${changed} cannot be set, because ${proxy} does not pass what it needs`);
}

/** Options of a replica: those of its primary, except its address. */
function replicaOf(primary: Config, host: Unchecked): Config {
  return readOptions({ ...withOwn(primary, host), replicas: undefined, readFrom: "primary" });
}

const SENTINEL_PORT = 26_379;

/** Checks the options that belong together, and a list of Sentinels, but not a live one. */
function readSentinels({ sentinels, master, tls }: Unchecked, given: Unchecked): Config["sentinels"] {
  if (sentinels === undefined) throw new ArgumentError("option master needs sentinels, which know its address");
  if (master === undefined) throw new ArgumentError("option sentinels needs master, the name of the server");
  const other = givenOf(given, ["host", "port", "path", "replicas"]);
  if (other !== undefined) throw new ArgumentError(`the Sentinels know the addresses: omit option ${other}`);
  return isFunction(sentinels) ? sentinels as LiveHosts<unknown> : readSentinelHosts(sentinels, tls);
}

/** Completes the options of each Sentinel; from the options of its servers, it takes only `tls`. */
function readSentinelHosts(hosts: unknown, tls: unknown): Config[] {
  return readHosts("sentinels", hosts, (host) => {
    const own = readHost(host, [], SENTINEL_PORT);
    const names = NAMES.filter((name) => "endpoint" in OPTIONS[name]);
    const given = (Object.keys(own) as (keyof Table)[]).filter((name) => own[name] !== undefined);
    const stray = given.find((name) => !names.includes(name));
    if (stray !== undefined) {
      throw new ArgumentError(`a Sentinel has no option ${JSON.stringify(stray)}; its options are ${names.join(", ")}`);
    }
    return readOptions({ ...combined({ tls }, { ...own, tls: own.tls ?? tls }), port: own.port ?? SENTINEL_PORT });
  }, SENTINEL_PORT);
}

function checkOption(name: string, value: unknown): unknown {
  if (Object.hasOwn(OPTIONS, name)) return checked(name, value, OPTIONS[name as keyof Table].check);
  throw new ArgumentError(`there is no option ${JSON.stringify(name)}; the options are ${NAMES.join(", ")}`);
}

function checked<T>(name: string, value: T, check: Check<unknown>): T {
  if (!check.holds(value)) throw new ArgumentError(`option ${name} must be ${check.wanted}`);
  return value;
}

function plainly<T>(options: T): T {
  if (!isPlain(options)) throw new ArgumentError("options must be an object");
  return options;
}

/** Checks options by name, and copies them; undefined ones may be omitted. */
function checkAll<T extends object>(options: T, checks: Record<string, Check<unknown>>): T {
  for (const [name, value] of Object.entries(plainly(options))) {
    if (!Object.hasOwn(checks, name)) {
      const names = Object.keys(checks).join(", ");
      throw new ArgumentError(`there is no option ${JSON.stringify(name)}; the options are ${names}`);
    }
    if (value !== undefined) checked(name, value, checks[name]!);
  }
  return bare(options);
}

/**
 * Reads redis://user:password@host:port/dbid?name=value, unix:///path, or a Sentinel's URL: see readSentinelUrl().
 * `extra`: more names that the query may have. Errors never show a password.
 */
function readUrl(text: string, extra: readonly (keyof Table)[] = []): Unchecked {
  const given = text.trim();
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const [, rest = ""] = given.split("://");
  const before = rest.slice(0, Math.max(0, rest.lastIndexOf("@"))); // perhaps meant as user and password
  const isRaw = ["#", "/", "?"].some((mark) => before.includes(mark));
  const hint = isRaw ? "; inside a password, write %23 for #, %2F for / and %3F for ?" : "";
  const example = isHostPort(given) ? `; write redis://${given}` : EXAMPLE;
  if (!given.slice(given.indexOf(":")).startsWith("://")) throw new ArgumentError(`not a URL${example}`);
  if (!printable(given)) throw new ArgumentError("a URL has no control characters");
  if (url === undefined) throw new ArgumentError(`not a URL${EXAMPLE}${hint}`);
  const [scheme = "", kind] = url.protocol.slice(0, -1).split("+", 2);
  const schemes = ["redis:", "rediss:", "valkey:", "valkeys:", "unix:", ...SENTINEL_SCHEMES];
  if (!schemes.includes(url.protocol)) throw new ArgumentError(`a URL's scheme must be one of ${schemes.join(" ")}`);
  if (given.split("@").length > 2) throw new ArgumentError("a URL has at most one @; write %40 inside a password");
  if (given.includes("#")) throw new ArgumentError("a server's URL has no #; write %23 inside a password");
  const options: Unchecked = bare({});
  if (url.username !== "") options.username = decode(url.username);
  if (url.password !== "") options.password = decode(url.password);
  if (url.protocol === "unix:") {
    if (url.hostname !== "") throw new ArgumentError("a Unix socket's URL has three slashes");
    options.path = decode(url.pathname);
  } else if (kind === "sentinel") Object.assign(options, readSentinelUrl(url));
  else {
    const { hostname } = url;
    if (hostname !== "") options.host = hostname.startsWith("[") ? hostname.slice(1, -1) : decode(hostname);
    if (url.port !== "") options.port = Number(url.port);
    if (url.pathname.length > 1) options.dbid = toNumber(url.pathname.slice(1));
  }
  if (Number.isNaN(options.dbid) && isRaw) throw new ArgumentError(`option dbid must be a number${hint}`);
  if (scheme === "rediss" || scheme === "valkeys") options.tls = true;
  for (const [name, value] of url.searchParams as Iterable<[keyof Table, string]>) {
    const isKnown = IN_QUERY.includes(name) || extra.includes(name);
    if (!isKnown || Object.hasOwn(options, name)) {
      // Any other name may be the end of a password.
      const named = isKnown || Object.hasOwn(OPTIONS, name) ? name : "this option";
      const why = isKnown ? " a second time" : `; it can set ${[...IN_QUERY, ...extra].join(", ")}`;
      throw new ArgumentError(`a URL's query cannot set ${isRaw ? `this option${hint}` : `${named}${why}`}`);
    }
    const isText = Object.hasOwn(OPTIONS, name) && OPTIONS[name].check === visible;
    options[name] = isText ? value : toNumber(value);
  }
  return options;
}

const EXAMPLE = " such as redis://host:port";
const SENTINEL_SCHEMES = ["redis", "rediss", "valkey", "valkeys"].map((scheme) => `${scheme}+sentinel:`);
/** Names in the query of a Sentinel's URL that are no options: more Sentinels, and the login for all of them. */
const OF_SENTINELS = ["sentinel", "sentinelUsername", "sentinelPassword"] as const;

/** Reads redis+sentinel://user:password@a:26379/master/dbid?sentinel=b:26379; removes what it read from the query. */
function readSentinelUrl({ hostname, port, pathname, searchParams }: URL): Unchecked {
  const [, master = "", dbid, ...more] = pathname.split("/");
  if (hostname === "" || master === "" || more.length > 0) {
    throw new ArgumentError("the URL of a Sentinel is redis+sentinel://host:port/master or .../master/dbid");
  }
  const [username, password] = OF_SENTINELS.slice(1).map((name) => searchParams.get(name) ?? undefined);
  const first = port === "" ? hostname : `${hostname}:${port}`;
  const hosts = [first, ...searchParams.getAll("sentinel")].map((host) => readHost(host, [], SENTINEL_PORT));
  for (const name of OF_SENTINELS) searchParams.delete(name);
  return {
    sentinels: hosts.map((host) => ({ ...host, username, password })),
    master: decode(master),
    ...(dbid === undefined || dbid === "" ? {} : { dbid: toNumber(dbid) }),
  };
}

/** Whether a text is host:port, and thus safe to show, rather than a password. */
function isHostPort(text: string): boolean {
  const at = text.lastIndexOf(":");
  return !text.includes("@") && visible.holds(text) && at > 0 && OPTIONS.port.check.holds(toNumber(text.slice(at + 1)));
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ArgumentError("a % in a URL must be followed by two hexadecimal digits; write %25 for the sign itself");
  }
}

const hostOf = (at: Pick<Config, "path" | "host" | "port">): string =>
  ownEntry(at, "path") ?? `${at.host.includes(":") ? `[${at.host}]` : at.host}:${at.port}`;
/** The name of a node: its address, its master's name or, for one of several, all their addresses. */
function nodeName({ anyOf, master, ...config }: Config): string {
  if (typeof anyOf === "function") throw new ArgumentError("a node's anyOf must be a list, because it names the node");
  return anyOf?.map((member) => nodeName(member.config)).join(",") ?? master ?? hostOf(config);
}

/** Reads each entry of a list of hosts; an error names the entry. `port`: for the example in an error. */
function readHosts<T>(
  name: string, hosts: unknown, read: (host: unknown, at: number) => T, port: number = OPTIONS.port.preset,
): T[] {
  if (!Array.isArray(hosts) || hosts.length === 0) {
    throw new ArgumentError(`${name} must be a list of hosts, such as ["10.0.0.1:${port}"]`);
  }
  return hosts.map((host, at) => {
    try {
      return read(host, at);
    } catch (error) {
      throw error instanceof ArgumentError ? new ArgumentError(`${name}[${at}]: ${error.message}`) : error;
    }
  });
}

/** Reads one entry of a list. `extra`: as for readUrl(); `usual`: the default port. Errors hide passwords. */
function readHost(host: unknown, extra?: readonly (keyof Table)[], usual?: number): Unchecked {
  if (isPlain(host)) return bare(host);
  if (host instanceof URL || (typeof host === "string" && host.includes("://"))) return readUrl(String(host), extra);
  if (typeof host !== "string" || host.includes("@")) throw new ArgumentError("not host:port, a URL or options");
  const hasPort = host.lastIndexOf(":") > host.indexOf("]");
  if (!hasPort && usual !== undefined) return readHost(`${host}:${usual}`, extra, usual);
  const colon = host.lastIndexOf(":");
  const isBracketed = host.startsWith("[") && host[colon - 1] === "]";
  const name = isBracketed ? host.slice(1, colon - 1) : host.slice(0, colon);
  const port = toNumber(host.slice(colon + 1));
  if (colon < 1 || Number.isNaN(port) || (name.includes(":") && !isBracketed)) {
    const example = usual ?? OPTIONS.port.preset;
    throw new ArgumentError(`${JSON.stringify(host)} has no port; write "10.0.0.1:${example}" or "[::1]:${example}"`);
  }
  return bare({ host: name, port });
}

/** Returns the number that prints as this text; otherwise NaN, which fails every check. */
const toNumber = (text: string): number => String(Number(text)) === text ? Number(text) : NaN;

/** Whether a value is a plain object: its prototype is null or Object.prototype, of any realm (node:vm, Jest). */
function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  try {
    const prototype: unknown = Object.getPrototypeOf(value);
    return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
  } catch {
    return false; // a revoked Proxy, or one with a trap that throws
  }
}

/**
 * Outcome of a failed command. `not-sent`: no byte of it reached the socket; `not-executed`: the server refused it;
 * `unknown`: it was written, but no reply arrived; `executed`: it succeeded, but too few replicas acknowledged it, or a
 * serializer could not decode what it returned.
 */
export type Outcome = "not-sent" | "not-executed" | "unknown" | "executed";

/** `shown`: the text of the message, if it is not the server's. */
type About = { command?: string | undefined; cause?: unknown; fence?: Fence | undefined; shown?: string | undefined };
const NOTHING_MORE: About = { command: undefined, cause: undefined, fence: undefined, shown: undefined };
/**
 * Identity of a connection, as its server reports it; the id is empty if that was not credible. `server`: identifies
 * the server, and how it sees this client. `done`: the connection is lost, and no more of its commands can be executed.
 */
type Fence = { id: string; address: string; server: string; done: boolean; lostAt: number };

/** Maximum number of errors with a stack in one tick: people read a few, and a million would take gigabytes. */
const MOST_STACKS = 100;
/** Number of errors in this tick that may have captured a stack. */
let stacks = 0;

function mayCapture(): boolean {
  if (Error.stackTraceLimit === 0) return false;
  if (stacks === 0) nextTick(() => void (stacks = 0));
  return ++stacks <= MOST_STACKS;
}

/** Sets the length of the stacks that errors capture. An assignment would throw where primordials are frozen. */
const limitStacks = (length: number): void => void Reflect.set(Error, "stackTraceLimit", length);

/** Turns stacks off for the next error if this tick has had its share; returns the limit to restore afterwards. */
function spareStack(): number {
  const { stackTraceLimit } = Error;
  if (!mayCapture()) limitStacks(0);
  return stackTraceLimit;
}

/** Base class of every rejection. `code` is the reason, listed in the guide; `command` is the name of the command. */
export class RedisError extends Error {
  readonly code: string;
  readonly outcome: Outcome;
  readonly command: string | undefined;
  readonly #text: string;
  readonly #shown: string;
  readonly #fence: Fence | undefined;

  constructor(code: string, outcome: Outcome, message: string, about: About = NOTHING_MORE) {
    const { command, cause, fence, shown = message } = { ...NOTHING_MORE, ...about }; // own properties only
    const limit = spareStack();
    super(new.target.worded(shown, command), cause === undefined ? undefined : { cause });
    limitStacks(limit);
    this.code = code;
    this.outcome = outcome;
    this.command = command;
    this.#text = message;
    this.#shown = shown;
    this.#fence = fence;
  }

  /** True once the server is known to have closed the command's connection: the command can no longer run. */
  get fenced(): boolean { return this.#fence?.done === true; }
  /** Whether a web server should answer with 503: the call is valid, but the server is down, starting or slow. */
  get unavailable(): boolean { return this.cause instanceof RedisError && this.cause.unavailable; }
  protected get text(): string { return this.#text; }

  of(command: string | undefined, outcome: Outcome, fence = this.#fence, cause = ownEntry(this, "cause")): this {
    const Kind = this.constructor as typeof RedisError;
    return new Kind(this.code, outcome, this.#text, { command, cause, fence, shown: this.#shown }) as this;
  }

  protected static worded(message: string, command: string | undefined): string {
    return command === undefined ? message : `${command}: ${message}`;
  }
}

/** There is no connection, or it was lost, or the server did not answer in time. */
export class ConnectionError extends RedisError {
  override get unavailable(): boolean { return true; }
}

/** A deadline has passed: replyTimeout, connectTimeout, or the time of a blocking command plus a grace period. */
export class TimeoutError extends ConnectionError {}
/** The server sent bytes that violate the protocol. The connection is closed; no command received another's reply. */
export class ProtocolError extends ConnectionError {}

/** Builds the error for a reply of a type that the command does not have; `cause`: the error from reading it. */
const badReply = ({ name }: Row, cause?: unknown): ProtocolError =>
  new ProtocolError("PROTOCOL", "unknown", "the reply is not of this command's kind", { command: name.text, cause });

/** Runs `read`, which interprets a reply. Any error except a RedisError means that the reply is malformed. */
function understood<T>(row: Row, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof RedisError ? error : badReply(row, error);
  }
}

/** Reads each element of a reply; throws if that is no array, or if an element is not of the command's kind. */
const elementsIn = <S,>(row: Row, reply: unknown, read: (element: any) => S): S[] => understood(row, () => {
  if (!Array.isArray(reply)) throw badReply(row);
  return reply.map((element) => read(element));
});

/** The AbortSignal of a view fired; `cause` is its reason. */
export class AbortError extends RedisError {
  /** True for AbortSignal.timeout(), which is a deadline. */
  override get unavailable(): boolean { return (this.cause as Error | undefined)?.name === "TimeoutError"; }
}

/** The command does not work on this kind of handler; the message suggests an alternative. */
export class NotSupportedError extends RedisError {}

/** The server answered with an error; `code` is its first word: ERR, WRONGTYPE, NOPERM. */
export class ReplyError extends RedisError {
  /** Text of the server's error, unchanged: of any length, with any characters, and with what it quotes. */
  get raw(): string { return this.text; }
  override get unavailable(): boolean { return refusalOf(this).passes === true || super.unavailable; }

  /** Puts the server's text first, because libraries match on it: /^NOSCRIPT/. */
  protected static override worded(message: string, command: string | undefined): string {
    return command === undefined ? readable(message) : `${readable(message)} (${command})`;
  }
}

/** Longest server text in a message, in bytes: less than 1 KiB together with the command's name. */
const MOST_SHOWN = 900;

/** Longest name of a command or a class in a message, in bytes. */
const MOST_NAMED = 64;

/** Makes a text safe to log: short, and without characters that move the cursor or change the text direction. */
function readable(text: string, most = MOST_SHOWN): string {
  if (text.length <= most && isVisible(text)) return text;
  const chars = Array.from(text.slice(0, most + 1), (char) => isShown(char.codePointAt(0)!) ? char : "\ufffd");
  const shown = chars.join("");
  const bytes = Buffer.from(shown);
  return bytes.length <= most ? shown : `${new StringDecoder().write(bytes.subarray(0, most))}\u2026`;
}

/** Whether all characters are visible ASCII or spaces, as in most errors: many times faster than isShown for each. */
function isVisible(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 0x20 || text.charCodeAt(i) > 0x7e) return false;
  return true;
}

const isShown = (code: number): boolean =>
  code >= 0x20 && (code < 0x7f || code > 0x9f) && code !== 0x61c && (code < 0x200e || code > 0x200f) &&
  (code < 0x2028 || code > 0x202e) && (code < 0x2066 || code > 0x2069);

/** Returns the start of a server's text without the arguments and the user that it quotes in well-known places. */
function ownWords(raw: string): string {
  const [said = ""] = raw.slice(0, 2 * MOST_SHOWN).split(", with args beginning with:");
  const named = "NOPERM User "; // Redis 8 and Valkey 9 name the user
  return said.startsWith(named) ? `NOPERM this user${said.slice(said.indexOf(" has ", named.length))}` : said;
}

/** A write of a durable view was executed, but too few replicas acknowledged it, or their number is unknown. */
export class DurabilityError extends RedisError {
  /** Number of replicas that acknowledged the write; undefined if the server did not report it: see `cause`. */
  readonly replicas: number | undefined;
  readonly #reply: unknown;

  constructor(wanted: number, waited: number | RedisError, reply: unknown, command: string) {
    const replicas = waited instanceof RedisError ? undefined : waited;
    const cause = waited instanceof RedisError ? waited : undefined;
    const why = `executed, but ${replicas ?? "an unknown number"} of ${wanted} replicas have it`;
    super("NOT_DURABLE", "executed", cause ? `${why}: ${cause.message}` : why, { command, cause });
    this.replicas = replicas;
    this.#reply = reply;
  }

  /** The reply to the write. A getter, so that a log of the error does not show it. */
  get reply(): unknown { return this.#reply; }
  override get unavailable(): boolean { return true; }
  override of(): this { return this; }
  static { named(this, "DurabilityError"); }
}

/** An invalid option or argument; nothing was sent. */
export class ArgumentError extends TypeError {
  readonly code: string = "INVALID_ARGUMENT";
  readonly outcome: Outcome = "not-sent";
  readonly command: string | undefined;

  constructor(message: string, command?: string, options?: ErrorOptions) {
    const limit = spareStack();
    super(command === undefined ? message : `${command}: ${message}`, options);
    limitStacks(limit);
    this.command = command;
  }

  get unavailable(): boolean { return false; }
}

/** Reaction to an error: retry later, use another server, follow the address, connect without HELLO, or ignore it. */
type Verdict = "wait" | "elsewhere" | "follow" | "fallback" | "ignore";
/**
 * Stage of the error: HELLO, the rest of the handshake, or a command to a primary or a replica. A member is a primary
 * that is one of several; if it has no verdict of its own, or there is no other live member, the primary's holds.
 */
type Stage = "hello" | "handshake" | "primary" | "replica" | "member";
/**
 * `holds`: the commands of the pool that wait until the server has accepted one of them. `passes`: the error concerns
 * the server, not the command, and is temporary. `begun`: the command may have been executed, at least in part.
 * `routed`: it concerns the slot of the keys; the command has not begun, and the router of a cluster decides about it.
 */
type Refusal = { readonly [S in Stage]?: Verdict } & { readonly holds?: "writes" | "everything" } &
  { readonly [F in "passes" | "begun" | "routed"]?: true };

const UNREADY: Refusal = {
  handshake: "wait", primary: "wait", replica: "elsewhere", member: "elsewhere", holds: "everything", passes: true,
};
const LOST: Refusal = { primary: "elsewhere", replica: "elsewhere", member: "elsewhere" };

/** Reactions by error code and stage. Without a reaction, the error goes to the caller. */
const REFUSALS: Record<string, Refusal> = {
  LOADING: UNREADY,
  MASTERDOWN: UNREADY,
  TRYAGAIN: { handshake: "wait", primary: "wait", passes: true, routed: true },
  BUSY: { handshake: "wait", member: "elsewhere", passes: true }, // commands do not wait, because SCRIPT KILL must not
  // The host name may now resolve to the new primary.
  READONLY: { primary: "follow", member: "elsewhere", holds: "writes", passes: true },
  CLUSTERDOWN: { member: "elsewhere", holds: "everything", passes: true, routed: true },
  SLOT_NOT_SERVED: { member: "elsewhere", passes: true, routed: true },
  MISCONF: { member: "elsewhere", passes: true }, // the server cannot write to its disk
  NOREPLICAS: { member: "elsewhere", passes: true },
  OOM: { member: "elsewhere", passes: true },
  UNBLOCKED: { passes: true }, // by CLIENT UNBLOCK
  // The server was demoted while the command was blocked.
  UNBLOCKED_BY_FORCE: { member: "elsewhere", passes: true, routed: true },
  PROXY_FAILURE: { passes: true, begun: true },
  NOPROTO: { hello: "fallback" },
  NOPERM: { hello: "fallback" },
  NOAUTH: { hello: "fallback" }, // Valkey 9.1, for any unknown command before a login
  UNKNOWN_COMMAND: { hello: "fallback" },
  NO_PASSWORD_SET: { handshake: "ignore" },
  UNKNOWN_SUBCOMMAND: {},
  MOVED: { passes: true, routed: true },
  ASK: { passes: true, routed: true },
  EXECABORT: { routed: true }, // perhaps because a command of the transaction was refused with one of the others
  CROSSSLOT: {},
  NOT_CONNECTED: LOST,
  CONNECTION_LOST: LOST,
  CLOSED: LOST,
  REPLY_TIMEOUT: LOST,
};
bareRows(REFUSALS);
const NO_REFUSAL: Refusal = bare({});

/** Names for errors whose code does not identify them, with parts of their texts. */
const TEXTS: readonly (readonly [name: string, texts: readonly string[]])[] = [
  ["UNKNOWN_COMMAND", ["ERR unknown command"]],
  ["UNKNOWN_SUBCOMMAND", ["ERR unknown subcommand"]],
  ["NO_PASSWORD_SET", ["called without any password configured", "but no password is set"]], // since and before Redis 6
  ["UNBLOCKED_BY_FORCE", ["UNBLOCKED force unblock"]],
  ["SLOT_NOT_SERVED", ["CLUSTERDOWN Hash slot not served"]], // other slots may be served
  // Twemproxy, Codis or Envoy has lost a server, or got no reply in time. The last text: "finished with 2 error(s)".
  ["PROXY_FAILURE", ["ERR Connection refused", "ERR Connection timed out", "ERR Connection reset", "ERR Broken pipe",
    "ERR Host is down", "ERR No route to host", "ERR Network is unreachable", "SERVER_ERROR", "ERR handle request",
    "ERR handle response", "upstream failure", "upstream protocol error", "no upstream host", " error(s)"]],
];

const nameOfRefusal = (error: RedisError): string => {
  const said = error instanceof ReplyError ? ownWords(error.raw) : "";
  return TEXTS.find(([, texts]) => texts.some((text) => said.includes(text)))?.[0] ?? error.code;
};
const refusalOf = (error: RedisError): Refusal => ownEntry(REFUSALS, nameOfRefusal(error)) ?? NO_REFUSAL;

/** Sets an error's name to text, which minifiers keep. An assignment would throw where primordials are frozen. */
function named(kind: { readonly prototype: Error }, value: string): void {
  Object.defineProperty(kind.prototype, "name", bare({ value, configurable: true, writable: true }));
}

const KINDS = { RedisError, ConnectionError, TimeoutError, ProtocolError, AbortError, NotSupportedError, ReplyError };
for (const [name, kind] of Object.entries({ ...KINDS, TypeError: ArgumentError })) named(kind, name);

// ==== 2. RESP: encoding ====
//
// The driver sends a command as an array of bulk strings: `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`. A call checks and flattens
// the arguments; a write encodes them, one command after the other, into a buffer that all connections share. The
// encoder reuses the buffer once the sockets have sent its bytes, and does not copy big Buffers into it.

/** A command's name: `text` is for messages, `wire` follows the array's count: `\r\n$6\r\nCONFIG\r\n$3\r\nGET`. */
type Name = { readonly text: string; readonly wire: Uint8Array; readonly words: number };
type Word = string | Buffer;
/** A command's flat arguments; numbers become text when they are written. */
type Words = readonly (Word | number)[];
/** Node's methods behind toString() and write(), which skip the lookup of an encoding. */
type Raw = Buffer & Record<"utf8Slice" | "latin1Slice", (from: number, end: number) => string> &
  Record<"utf8Write", (text: string, at: number, maxBytes: number) => number>;
/** The part of a socket that the encoder uses. */
type Sink = Pick<Socket, "write" | "cork" | "uncork" | "writableLength" | "writableHighWaterMark">;

/** Buffers of at least this size are written without being copied. */
const BIG_BUFFER = 4096;
/** Approximate number of bytes written to a socket at a time. */
const CHUNK_SIZE = 65_536;
/** Upper bound for the size of an argument's framing, or of a printed number. */
const SLACK = 32;
/** Size of most arguments' framing. */
const FRAMING = 8;
const MAX_WORD = 512 * 2 ** 20;
const MAX_WORDS = 2 ** 20;
const MAX_NESTING = 8;
const EMPTY = Buffer.alloc(0);
const CR = 13;
const LF = 10;

function encodeName(text: string): Name {
  const words = text.split(" ");
  const wire = words.map((word) => `\r\n$${Buffer.byteLength(word)}\r\n${word}`).join("");
  return { text: nameIn(text), wire: Buffer.from(wire), words: words.length };
}

const isNumeral = (char = ""): boolean => char >= "0" && char <= "9";
/** Whether a character can be part of a word: a digit, "_", or a letter of an alphabet with capitals. */
const isInWord = (char = ""): boolean =>
  char === "_" || isNumeral(char) || (char >= "a" && char <= "z") || char.toLowerCase() !== char.toUpperCase();

/** Returns the part of a text that can be the name of a command: what follows may be an argument. */
function nameIn(text: string): string {
  let end = 0;
  while (end < Math.min(text.length, MOST_NAMED) && (isInWord(text[end]) || " -.|".includes(text[end]!))) end++;
  return end === text.length ? text : `${text.slice(0, end)}\u2026`;
}

class Encoder {
  readonly #sink: Sink;
  /** At least the socket's high-water mark: below it, 'drain' never fires. */
  readonly #fullAt: number;
  /** Number of words already written, if a full socket interrupted a command. */
  #written = 0;
  #isCorked = false;

  constructor(sink: Sink) {
    this.#sink = sink;
    this.#fullAt = Math.max(CHUNK_SIZE, sink.writableHighWaterMark);
  }

  /** Whether the socket's buffer is so full that more bytes would only wait in it. */
  get isFull(): boolean { return this.#sink.writableLength + smallBuffer.length >= this.#fullAt; }

  /** Writes a command; false if the socket fills up first: the same call after 'drain' writes the rest. */
  put(name: Name, words: Words): boolean {
    let i = this.#written;
    if (i === 0) {
      this.#reserve(name.wire.length + SLACK);
      smallBuffer.begin(name, words.length);
    }
    for (const first = i; i < words.length; i++) {
      const word = words[i]!;
      const length = lengthOf(word);
      if (i > first && (length >= BIG_BUFFER || !smallBuffer.fits(length + SLACK)) && this.isFull) {
        this.#written = i;
        return false;
      }
      this.#put(word);
    }
    smallBuffer.crlf();
    this.#written = 0;
    return true;
  }

  flush(): void {
    smallBuffer.writeTo(this.#sink);
    if (this.#isCorked) this.#sink.uncork();
    this.#isCorked = false;
    smallBuffer.settle(this.#sink);
    bigBuffer.settle(this.#sink);
  }

  #put(word: Word | number): void {
    if (typeof word === "string") return this.#putText(word, smallBuffer);
    if (typeof word === "number") return this.#putText(String(word), smallBuffer);
    if (word.length === 0) throw new Error(CHANGED); // flatten() has replaced empty ones with ""
    const isBig = word.length >= BIG_BUFFER;
    this.#reserve(isBig ? SLACK : word.length + SLACK);
    smallBuffer.head(word.length);
    if (!isBig) return smallBuffer.copy(word);
    this.#handOver(smallBuffer);
    this.#sink.write(word);
  }

  /** Tries ASCII first: most text is ASCII, and its length in bytes is known. */
  #putText(text: string, to: WriteBuffer): void {
    if (text.length >= CHUNK_SIZE && to === smallBuffer) {
      this.#handOver(smallBuffer);
      this.#putText(text, bigBuffer);
      return this.#handOver(bigBuffer);
    }
    this.#reserve(text.length + SLACK, to);
    if (to.ascii(text)) return;
    const length = Buffer.byteLength(text);
    this.#reserve(length + SLACK, to);
    to.head(length);
    to.utf8(text, length);
  }

  #reserve(size: number, of = smallBuffer): void {
    if (of.fits(size)) return;
    this.#handOver(of);
    of.renew(size);
  }

  /** Writes a buffer to the socket, which holds it back until flush(). */
  #handOver(from: WriteBuffer): void {
    if (from.length === 0) return;
    if (!this.#isCorked) this.#sink.cork();
    this.#isCorked = true;
    from.writeTo(this.#sink);
  }
}

/** Memory that commands are encoded into. All sockets share it, and take turns. */
class WriteBuffer {
  #bytes = EMPTY;
  /** The bytes from here to #at have not been handed to a socket. */
  #from = 0;
  #at = 0;
  /** Sockets that still had bytes of this memory to send when last checked. */
  readonly #holders = new Set<Sink>();

  get length(): number { return this.#at - this.#from; }

  /** Whether `size` more bytes fit; at the start of a chunk, whether a whole chunk does. */
  fits(size: number): boolean {
    return this.#at + (this.length > 0 ? size : Math.max(size, CHUNK_SIZE)) <= this.#bytes.length;
  }

  /** Starts again at 0 once all bytes are handed over, in the same memory if that is big enough and not in use. */
  renew(size: number): void {
    for (const sink of this.#holders) if (sink.writableLength === 0) this.#holders.delete(sink);
    const isFree = this.#holders.size === 0 && size <= this.#bytes.length;
    if (!isFree) this.#bytes = Buffer.allocUnsafeSlow(size + 2 * CHUNK_SIZE);
    this.#holders.clear();
    this.#from = this.#at = 0;
  }

  writeTo(sink: Sink): void {
    if (this.length === 0) return;
    const bytes = this.#bytes.subarray(this.#from, this.#at);
    this.#from = this.#at;
    sink.write(bytes);
    if (sink.writableLength > 0) this.#holders.add(sink);
  }

  /** Starts again at 0 once all bytes are handed over, if the sockets have sent them, as they usually have. */
  settle(sink: Sink): void {
    if (this.#holders.size > 0 && sink.writableLength === 0) this.#holders.delete(sink);
    if (this.#holders.size === 0) this.#from = this.#at = 0;
    if (this.#bytes.length > 2 ** 22) this.#bytes = EMPTY; // too much to keep
  }

  /** `*2\r\n$3\r\nGET` */
  begin(name: Name, words: number): void {
    this.#bytes[this.#at++] = 0x2a;
    this.#digits(name.words + words);
    for (let i = 0; i < name.wire.length; i++) this.#bytes[this.#at++] = name.wire[i]!;
  }

  /** `\r\n$1\r\n`: the end of one word and the head of the next. */
  head(length: number): void {
    this.crlf();
    this.#bytes[this.#at++] = 0x24;
    this.#digits(length);
    this.crlf();
  }

  crlf(): void {
    this.#bytes[this.#at++] = CR;
    this.#bytes[this.#at++] = LF;
  }

  /** Writes a word if it is ASCII; otherwise writes nothing and returns false. */
  ascii(text: string): boolean {
    const start = this.#at;
    const { length } = text;
    this.head(length);
    // For short text, a loop over the characters is faster. Non-ASCII text uses some of the 4 extra bytes.
    const isAscii = length <= 20 ? this.#shortAscii(text) : this.utf8(text, length + 4) === length;
    if (!isAscii) this.#at = start;
    return isAscii;
  }

  /** Writes as many whole characters as fit into `maxBytes`; returns the number of bytes. */
  utf8(text: string, maxBytes: number): number {
    const written = (this.#bytes as Raw).utf8Write(text, this.#at, maxBytes);
    this.#at += written;
    return written;
  }

  copy(bytes: Buffer): void {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #shortAscii(text: string): boolean {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) return false;
      this.#bytes[this.#at++] = code;
    }
    return true;
  }

  #digits(number: number): void {
    if (number > 9) this.#digits((number / 10) | 0);
    this.#bytes[this.#at++] = 48 + number % 10;
  }
}

const smallBuffer = new WriteBuffer();
/** Holds big texts, so that a socket that is slow to send one does not keep smallBuffer occupied. */
const bigBuffer = new WriteBuffer();

/** Positions, from 1, of the arguments that may be more than one value; Infinity for none. See the table's legend. */
type Form = {
  readonly lists: number;
  /** -1 if the last argument before the options is a single value. */
  readonly end: 0 | -1;
  /** Number of values in an item, which no list may split: 2 for names and values. */
  readonly size: number;
  readonly pairs: boolean;
  readonly options: number;
  readonly lead: number;
  readonly optional: number;
  /** Position of the argument that counts the keys after it (0 for none); `step`: number of words per key. */
  readonly count: number;
  readonly step: number;
  /** Options that do not take exactly one value, by name, "*" for all; undefined: any option takes any values. */
  readonly takes: ReadonlyMap<string, OptionForm> | undefined;
};
/** `mark`: "?" for a flag, "!" if undefined is refused; `list`: number of values in an array, "2" or "1+n". */
type OptionForm = { readonly mark: string; readonly list: string };

/** Form of a command that takes one value per argument. */
const VALUES: Form = {
  lists: Infinity, end: 0, size: 1, pairs: false, options: Infinity, lead: Infinity, optional: Infinity,
  count: 0, step: 1, takes: new Map(),
};
/** Form of a command that is not in the table: the driver cannot tell which of its arguments are optional. */
const ANY: Form = { ...VALUES, lists: 1, options: 1, takes: undefined };
const ONE_VALUE: OptionForm = { mark: "", list: "" };
const ANYTHING: OptionForm = { mark: "any", list: "n" };

function readOption(word: string): [name: string, form: OptionForm] {
  const [head = "", list = ""] = word.split(" ");
  const mark = head.endsWith("?") || head.endsWith("!") ? head.slice(-1) : "";
  return [head.slice(0, head.length - mark.length), { mark, list }];
}

/** Flattens arguments, unless all are strings or numbers, as in most calls. */
function wordsOf(name: Name, args: readonly unknown[], form = ANY): Words {
  if (args.length + name.words > MAX_WORDS) return flatten(name, args, form);
  for (let i = 0; i < args.length; i++) {
    if (typeof args[i] !== "string" && !Number.isFinite(args[i])) return flatten(name, args, form);
  }
  return args as Words;
}

const lengthOf = (word: Word | number): number => typeof word === "number" ? SLACK : word.length;

/** Estimates a command's size in bytes, with one byte per character. Throws if it is too big for a server. */
function sizeOf(name: Name, words: Words): number {
  let size = name.wire.length;
  for (const word of words) size += lengthOf(word) + FRAMING;
  if (size > MAX_WORD / 3) checkSize(name, words); // a character takes up to three bytes
  return size;
}

function checkSize(name: Name, words: Words): void {
  const sizes = words.map((word) => typeof word === "string" ? Buffer.byteLength(word) : lengthOf(word));
  if (sizes.some((size) => size > MAX_WORD)) throw new ArgumentError("an argument longer than 512 MiB", name.text);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total > 2 ** 31) throw new ArgumentError("arguments longer than 2 GiB in total", name.text);
}

const CHANGED = "an argument's ArrayBuffer was detached before it was sent";

/** Whether the ArrayBuffer of an argument was detached: flatten() leaves no empty Buffers. */
const areChanged = (words: Words): boolean => words.some((word) => typeof word === "object" && word.length === 0);

/**
 * Flattens arguments where the form allows it: an array or a Set to its elements, data to alternating names and values,
 * options as addOptions() does. A trailing optional argument may be undefined. Anything else throws an ArgumentError.
 */
function flatten(name: Name, args: readonly unknown[], form = ANY): Word[] {
  try {
    return flattened(name, args, form);
  } catch (cause) { // thrown by the runtime for a Proxy or an iterator, or by a getter
    if (!(cause instanceof TypeError) || cause instanceof ArgumentError) throw cause;
    throw new ArgumentError("an argument cannot be read", name.text, { cause });
  }
}

function flattened(name: Name, args: readonly unknown[], form: Form): Word[] {
  const words: Word[] = [];
  const lead = form.lead <= args.length && isPlain(args[form.lead - 1]) ? form.lead : Infinity;
  let count = args.length;
  while (count >= form.optional + Number(lead < count) && args[count - 1] === undefined) count--;
  const end = form.end === 0 ? count : count - Number(isPlain(args[count - 1])) + form.end;
  const options = form.end === 0 || form.options === Infinity ? form.options : end + 2;
  let from = 0;
  let isBehind = false;
  for (let i = 1; i <= count; i++) {
    const arg = args[i - 1];
    const at = i > lead ? i - 1 : i;
    const start = words.length;
    if (at === form.lists) from = start;
    const areOptions = at >= options && isPlain(arg);
    const refused = (areOptions || (i === lead && isPlain(arg)) ? addOptions(words, arg, form)
      : at >= form.lists && i <= end ? addPart(words, arg, form, from) : addValue(words, arg)) ??
      misplaced(words, start, arg, form, areOptions, isBehind && !areOptions);
    if (refused !== undefined) throw new ArgumentError(`argument ${i}${refused}`, name.text);
    isBehind ||= areOptions;
  }
  const data = form.size === 1 ? [] : args.slice(form.lists - Number(lead === Infinity), count);
  const gap = gapIn(data);
  if (gap >= 0) throw new ArgumentError(`argument ${count - data.length + gap + 1} is ${EMPTY_LIST}`, name.text);
  const behind = form.lists - form.lead; // 1 if an id precedes the data
  if (behind >= 0 && data.some(isList) && couldBeOption(words[from - behind])) {
    throw new ArgumentError(`argument ${count - data.length + 1 - behind} begins ${LIKE_OPTION}`, name.text);
  }
  if (count < args.length && words.length < endOfKeys(words, form)) {
    throw new ArgumentError(`argument ${count + 1}${refusal(undefined, "is")}`, name.text);
  }
  if (words.length + name.words > MAX_WORDS) throw new ArgumentError(`more than ${MAX_WORDS} arguments`, name.text);
  return words;
}

/**
 * Returns the reason why an argument is misplaced, or undefined. A list of counted keys must hold all remaining keys;
 * only options may follow counted keys or options. A server ends another list at the first word that is an option.
 */
function misplaced(
  words: Words, start: number, arg: unknown, form: Form, areOptions: boolean, isBehind: boolean,
): string | undefined {
  if (form.takes === undefined) return undefined;
  if (isBehind) return ` ${ONLY_OPTIONS}`;
  const areMixed = form.lists <= form.options && form.options < Infinity;
  if (form.count === 0 && (areOptions || !areMixed)) return undefined;
  const end = endOfKeys(words, form);
  if (areOptions) return start >= end ? undefined : " is options, where a key is expected";
  if (typeof arg !== "object" || !isList(arg)) return undefined;
  if (form.count === 0) return words.slice(start).some(couldBeOption) ? ` holds a word ${LIKE_OPTION}` : undefined;
  if (words.length === end || (start >= end && form.options === Infinity)) return undefined;
  return start >= end ? ` ${ONLY_OPTIONS}` : ` does not have the keys that argument ${form.count} counts`;
}

const LIKE_OPTION = "like an option, where a number or an id is expected";
/** Whether a server could take a word for an option: it begins with a letter, and is not infinity. */
function couldBeOption(word: Word | number = ""): boolean {
  const text = String(word).toLowerCase();
  return text >= "a" && text < "{" && text !== "inf" && text !== "infinity";
}

const ONLY_OPTIONS = "stands where only options may";
const isList = (value: unknown): boolean =>
  Array.isArray(value) || isPlain(value) || isSet(value) || isMap(value);
/** Index after the counted keys; 0 if the row counts none, NaN if their count is not a whole number as it prints. */
function endOfKeys(words: Words, { count, step }: Form): number {
  const said = count === 0 ? "0" : String(words[count - 1]);
  const keys = Number(said);
  return Number.isInteger(keys) && keys >= 0 && String(keys) === said ? count + step * keys : NaN;
}

/** Checks that an argument is one word; `what` names it in the error. */
function wordOf(what: string, key: unknown): Word {
  if (typeof key === "string") return key;
  const words: Word[] = [];
  const refused = addValue(words, key);
  if (refused !== undefined) throw new ArgumentError(`${what}${refused}`);
  return words[0]!;
}

/** Returns the bytes of a word as text, one character each. */
function byteText(key: Word): string {
  if (typeof key !== "string") return key.toString("latin1");
  return Buffer.byteLength(key) === key.length ? key : Buffer.from(key).toString("latin1");
}

/** Appends an argument that may be a list or data; returns the reason for a refusal. No list may split an item. */
function addPart(words: Word[], value: unknown, form: Form, from: number, depth = 0): string | undefined {
  if (typeof value !== "object" || value === null) return addValue(words, value, depth === 0 ? "is" : "holds");
  const { size, pairs } = form;
  const isWhole = (words.length - from) % size === 0;
  if (isWhole && (Array.isArray(value) || (size === 1 && isSet(value)))) {
    if (depth === MAX_NESTING) return `: arrays nested deeper than ${MAX_NESTING} cannot be sent`;
    for (const element of value as Iterable<unknown>) {
      const refused = typeof element === "string" ? void words.push(element)
        : addPart(words, element, form, from, depth + 1);
      if (refused !== undefined) return refused;
    }
    if ((words.length - from) % size !== 0) return ` does not consist of groups of ${size} values`;
    return size === 1 ? undefined : misread(value as unknown[], form);
  }
  if (isWhole && isPlain(value) && (pairs || form === ANY)) {
    return pairs ? addPairs(words, Object.keys(value), (name) => value[name]) : addOptions(words, value, form);
  }
  if (isWhole && (pairs || form === ANY) && isMap(value)) {
    return addPairs(words, value.keys(), (name) => value.get(name));
  }
  return addValue(words, value, depth === 0 ? "is" : "holds");
}

/** Returns the reason why a server would group an array's values differently from the caller, or undefined. */
function misread(values: readonly unknown[], { size, pairs }: Form): string | undefined {
  if (gapIn(values) >= 0) return ` holds ${EMPTY_LIST}`;
  const isItem = !pairs && values.some((value) => !Array.isArray(value));
  return isItem && values.length !== size ? ` holds ${values.length} values in one array, not ${size}` : undefined;
}

const EMPTY_LIST = "an empty list, whose place the next value would take";

/** Index of the first empty list before a single value, or -1. */
const gapIn = (values: readonly unknown[]): number =>
  values.findIndex((value, i) => i + 1 < values.length && isEmpty(value) && !isList(values[i + 1]));

function isEmpty(value: unknown): boolean {
  if (typeof value !== "object") return false;
  if (Array.isArray(value)) return value.every(isEmpty);
  if (isPlain(value)) return Object.keys(value).length === 0;
  return isMap(value) && value.size === 0;
}

function addPairs(words: Word[], names: Iterable<unknown>, valueOf: (name: any) => unknown): string | undefined {
  for (const name of names) {
    const value = valueOf(name);
    if (value === undefined) continue;
    const refused = addValue(words, name, "holds") ?? addValue(words, value, "holds");
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/** Appends options; returns the reason for a refusal. A boolean needs a name in capitals, because others are data. */
function addOptions(words: Word[], options: Record<string, unknown>, form: Form): string | undefined {
  const { takes } = form;
  const given = new Set<string>();
  for (const option of Object.keys(options)) {
    const value = options[option];
    const name = option.toUpperCase();
    const isBoolean = typeof value === "boolean";
    if (isBoolean && !isCapital(option)) return ": a boolean under a name that is not in capitals cannot be sent";
    const { mark, list } = takes === undefined ? ANYTHING : takes.get(option) ?? takes.get(name) ?? ONE_VALUE;
    if (isBoolean && mark !== "?" && mark !== "any") return ": a boolean is only for options that are flags";
    const isCondition = mark === "!" || takes?.has("*") === true;
    if (isCondition && value === undefined) return ": a condition that is undefined would be dropped";
    if (value === undefined || value === false) continue;
    if (takes !== undefined && given.size === given.add(name).size) return `: ${name} is given in two spellings`;
    words.push(option);
    if (value === true) continue;
    if (mark === "?") return `: ${name} is either true or false`;
    const refused = list === "" ? addValue(words, value, "holds") : addListed(words, value, name, list, form);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/** Appends the values of an option that takes a list. If the row counts its keys, a list "n" has one value per key. */
function addListed(words: Word[], value: unknown, name: string, list: string, form: Form): string | undefined {
  const start = words.length;
  const isFixed = Number(list.at(-1)) > 0;
  for (const element of isFixed && Array.isArray(value) ? value : [value]) {
    const refused = isFixed ? addValue(words, element, "holds") : addPart(words, element, VALUES, 0, 1);
    if (refused !== undefined) return refused;
  }
  const { is, holds } = LISTS[list]!;
  if (!holds(words.slice(start), value)) return `: ${name} takes ${is}`;
  const isForKeys = list === "n" && form.count > 0;
  return isForKeys && words.length - start !== numberIn(words[form.count - 1])
    ? `: ${name} takes a value for each key` : undefined;
}

/** Kinds of option lists, as rows write them: a description for errors, and a check of the flat words. */
const LISTS: Record<string, { readonly is: string; readonly holds: (words: Words, value: unknown) => boolean }> = {
  "2": { is: "an array of 2 values", holds: (words, value) => Array.isArray(value) && words.length === 2 },
  "3": { is: "an array of 3 values", holds: (words, value) => Array.isArray(value) && words.length === 3 },
  "1|2": { is: "one value, or an array of 2", holds: ({ length }, value) => length === (Array.isArray(value) ? 2 : 1) },
  "1+n": { is: "a count, and as many values", holds: (words) => words.length === 1 + numberIn(words[0]) },
  "1+2n": { is: "a count, and twice as many values", holds: (words) => words.length === 1 + 2 * numberIn(words[0]) },
  "n+n": { is: "two lists of the same length", holds: areHalves },
  n: { is: "a list", holds: () => true },
  ints: { is: "whole numbers", holds: (words) => words.every((word) => Number.isInteger(numberIn(word))) },
};

const numberIn = (word: Word | number | undefined): number => String(word) === "" ? NaN : Number(String(word));

function areHalves(words: Words, value: unknown): boolean {
  const half: Word[] = [];
  return Array.isArray(value) && value.length === 2 && addPart(half, value[0], VALUES, 0, 1) === undefined &&
    half.length * 2 === words.length;
}

const isCapital = (name: string): boolean => name === name.toUpperCase() && name !== name.toLowerCase();

/** Appends one value. Returns the reason for a refusal, or undefined; `verb`: the argument "is" or "holds" it. */
function addValue(words: Word[], value: unknown, verb = "is"): string | undefined {
  if (typeof value === "string") words.push(value);
  else if (typeof value === "bigint" || Number.isFinite(value)) words.push(String(value));
  else if (value === Infinity || value === -Infinity) words.push(value > 0 ? "inf" : "-inf");
  else if (ArrayBuffer.isView(value)) words.push(bytesOf(value.buffer, value.byteOffset, value.byteLength));
  else if (isAnyArrayBuffer(value)) words.push(bytesOf(value));
  else return refusal(value, verb);
  return undefined;
}

/** Copies a buffer, unless it is big and its length cannot change before it is written. */
function bytesOf(buffer: ArrayBufferLike, offset = 0, length = buffer.byteLength): Word {
  if (length === 0) return "";
  const bytes = Buffer.from(buffer, offset, length);
  const isFixed = buffer instanceof ArrayBuffer && !(buffer as { resizable?: boolean }).resizable;
  return isFixed && length >= BIG_BUFFER ? bytes : Buffer.from(bytes);
}

function refusal(value: unknown, verb: string): string {
  if (typeof value !== "object" || value === null) return `: ${nameOf(value)} cannot be sent`;
  return ` ${verb} ${nameOf(value)}, where one value is expected${isPlain(value) ? "; JSON.stringify it?" : ""}`;
}

/** Names the kind of a value, or the class of an object, without showing it. */
function nameOf(value: unknown): string {
  if (value === null || value === undefined || typeof value === "number") return String(value);
  const kind = typeof value === "object" && !isPlain(value) ? classOf(value) : typeof value;
  return "AEIOaeio".includes(kind.charAt(0)) ? `an ${kind}` : `a ${kind}`;
}

function classOf(value: object): string {
  try {
    if (Array.isArray(value)) return "array";
    const { constructor } = value;
    const name: unknown = typeof constructor === "function" ? constructor.name : "";
    return typeof name === "string" && name !== "" ? readable(name, MOST_NAMED) : "object of some class";
  } catch {
    return "object that cannot be read";
  }
}

// ==== 3. RESP: decoding ====
//
// feed() a chunk, then take() replies until it returns MORE. A reply may be split anywhere: a partial line is kept in a
// buffer that doubles; a partial string is collected in a buffer of its own or, if it is a long text, decoded as it
// arrives; unfinished aggregates are on a stack. The decoder allocates at most 1 MiB for a string whose bytes have not
// arrived, and does not recurse. The first byte that violates the protocol throws a ProtocolError, and so does every
// later take(). To add a type, add a case to #value; #strings is only a fast path of #value.

/** Returned by take() while the reply is incomplete. */
const MORE = Symbol("more");
/** No value yet: the decoder opened an aggregate, or discarded an attribute. */
const NOTHING = Symbol("nothing");

type Limits = Pick<Config, "maxDepth" | "maxBulk" | "maxElements" | "maxReply">;

/** Form of a decoded reply. `ordered`: maps as pairs; `binary`: strings as Buffers; `parts`: of replies in EXEC's. */
type Reading = { readonly ordered?: true; readonly binary?: true; readonly parts?: readonly Reading[] };

type Frame = {
  readonly type: number;
  /** Reading of each element, if they differ. */
  readonly parts: readonly Reading[] | undefined;
  /** Number of elements still to come, two for each pair of a map; Infinity until a streamed aggregate ends. */
  left: number;
  readonly items: unknown[];
  /** Size of a streamed string so far, in bytes. */
  size: number;
  /** Length of `items` at the last attribute, which describes the next element: one must follow. */
  attributedAt: number;
};

type PartialString = {
  readonly type: number;
  /** Length in bytes, without the final CRLF. */
  readonly length: number;
  /** Number of bytes that have arrived, including those of the CRLF. */
  arrived: number;
  bytes: Buffer;
  /** Decodes a long text as it arrives, into `text` instead of `bytes`. */
  readonly reader: StringDecoder | undefined;
  text: string;
};

const PLAIN: Reading = bare({});
const MAX_NUMBER = 65_536; // bytes of a length or a number: parsing a big number takes quadratic time
const MAX_TEXT = constants.MAX_STRING_LENGTH;
/** V8 copies shorter substrings; longer ones keep the whole text in memory. */
const MIN_SLICE = 13;
// The first buffer of a partial string, and the factor by which it grows each time it is full.
const FIRST_BUFFER = 2 ** 20;
const GROWTH = 64;
// Results of #length that are not lengths.
const NULL = -1;
const INCOMPLETE = -2;
const STREAMED = -3;
const BAD_LENGTH = "a malformed length";
const NO_CRLF = "a string that does not end with CRLF after its length";
const TOO_LONG = "a reply longer than maxReply";

class Decoder {
  readonly #limits: Limits;
  readonly #pushCharset: Charset;
  /** Makes an error from its line and its index in an aggregate. */
  readonly #explain: (line: Buffer, at: number) => ReplyError;
  readonly #maxReply: number; // needed for every reply: faster here than in #limits
  /** The unfinished aggregates; the innermost is #top. */
  readonly #stack: Frame[] = [];
  #top: Frame | undefined;
  #chunk: Buffer = EMPTY;
  #at = 0;
  /** Latest possible end of the reply, counted from the start of the chunk. */
  #bound: number;
  // After a partial line, #chunk is the used part of #lineBuffer; its first #searched bytes have no line end.
  #lineBuffer: Buffer = EMPTY;
  #searched = 0;
  #partial: PartialString | undefined;
  /** The chunk as text, decoded on first use; "" if it is not ASCII. */
  #chunkText: string | undefined;
  /** The caller's charset, and that of the string being read. */
  #callCharset: Charset = "utf-8";
  #charset: Charset = "utf-8";
  #maps: Maps = "objects";
  #reading = PLAIN;
  #error: ProtocolError | undefined;
  /** Whether the last result of take() was a push. */
  pushed = false;

  constructor(limits: Limits, pushCharset: Charset = "utf-8", explain = (line: Buffer, _at: number) => toError(line)) {
    this.#limits = limits;
    this.#explain = explain;
    this.#bound = this.#maxReply = limits.maxReply;
    this.#pushCharset = pushCharset;
  }

  /** Adds bytes after take() returned MORE. They must not change until it returns MORE again. */
  feed(chunk: Buffer): void {
    this.#searched = this.#chunk.length;
    this.#chunk = this.#searched === 0 ? chunk : this.#join(chunk);
    this.#chunkText = undefined;
  }

  /** Joins the partial line and a chunk. Because the buffer doubles, each byte is copied only once or twice. */
  #join(chunk: Buffer): Buffer {
    const size = this.#searched + chunk.length;
    if (size > this.#lineBuffer.length) {
      this.#lineBuffer = Buffer.allocUnsafeSlow(Math.max(size, 2 * this.#lineBuffer.length));
      this.#chunk.copy(this.#lineBuffer);
    }
    chunk.copy(this.#lineBuffer, this.#searched);
    return this.#lineBuffer.subarray(0, size);
  }

  /** After MORE: the string that has not fully arrived. */
  get partial(): Pick<PartialString, "length" | "arrived"> | undefined { return this.#partial; }
  /** After MORE: whether a part of a reply has arrived; parts of pushes do not count. */
  get begun(): boolean {
    const type = this.#stack[0]?.type ?? (this.#partial === undefined ? this.#chunk[this.#at] : this.#partial.type);
    return type !== undefined && type !== 0x3e && type !== 0x7c;
  }

  /** Returns the next reply or push, or MORE. Error replies are ReplyErrors, in aggregates too. */
  take(charset: Charset, reading = PLAIN, maps: Maps = "objects"): unknown {
    if (this.#error !== undefined) throw this.#error;
    if (this.#top === undefined && this.#partial === undefined) {
      this.#callCharset = charset;
      this.#maps = maps;
      this.#read(reading);
      this.pushed = false;
    }
    let value = this.#partial === undefined ? NOTHING : this.#fill(this.#partial);
    while (value !== MORE) {
      if (value === NOTHING) {
        if (this.#top !== undefined) this.#strings(this.#top);
        value = this.#value();
      } else if (this.#top !== undefined) value = this.#add(this.#top, value);
      else {
        if (this.#at > this.#bound) throw this.#breach(TOO_LONG);
        this.#bound = this.#at + this.#maxReply;
        return value;
      }
    }
    if (this.#chunk.length > this.#bound) throw this.#breach(TOO_LONG);
    this.#keepRest();
    return MORE;
  }

  /** Copies the partial line at the end of the chunk, whose memory will change, unless it is in #lineBuffer already. */
  #keepRest(): void {
    if (this.#at === 0 && this.#searched > 0) return;
    this.#lineBuffer = this.#at === this.#chunk.length ? EMPTY : Buffer.from(this.#chunk.subarray(this.#at));
    this.#chunk = this.#lineBuffer;
    this.#bound -= this.#at;
    this.#at = 0;
  }

  #read(reading: Reading): void {
    this.#reading = reading;
    this.#charset = reading.binary === true ? null : this.#callCharset;
  }

  /** Decodes a scalar or an empty aggregate; opens any other aggregate, and returns NOTHING. */
  #value(): unknown {
    if (this.#at === this.#chunk.length) return MORE;
    const type = this.#chunk[this.#at]!;
    const top = this.#top;
    if (top?.type === 0x24 && type !== 0x3b) throw this.#breach("a type other than ; inside a streamed string");
    switch (type) {
      case 0x24: // $ bulk string
      case 0x3d: // = verbatim string
      case 0x21: return this.#bulk(type); // ! bulk error
      case 0x3a: return this.#integer(); // : integer
      case 0x2b: return this.#simple(); // + simple string
      case 0x2d: return this.#line((line) => this.#failed(line), this.#limits.maxBulk); // - simple error
      case 0x2a: // * array
      case 0x7e: // ~ set
      case 0x25: // % map
      case 0x7c: return this.#open(type); // | attribute
      case 0x3e: // > push
        if (top !== undefined) throw this.#breach("a push inside a reply");
        return this.#open(type);
      case 0x5f: return this.#line(toNull); // _ null
      case 0x23: return this.#line(toBoolean); // # boolean
      case 0x2c: return this.#line(toDouble); // , double
      case 0x28: return this.#line(toBigInt); // ( big number
      case 0x2e: return this.#line(toNull) === MORE ? MORE : this.#endStreamed(top); // . end of a streamed aggregate
      case 0x3b: // ; part of a streamed string
        if (top?.type !== 0x24) throw this.#breach("a part of a streamed string outside one");
        return this.#bulk(type);
      default: throw this.#breach(`an unknown type, byte ${type}`);
    }
  }

  /** Adds the bulk strings that have fully arrived, as most have, to an aggregate; leaves the last one to #value. */
  #strings(frame: Frame): void {
    if (frame.parts !== undefined) this.#read(frame.parts[frame.items.length] ?? PLAIN);
    if (frame.left === Infinity || frame.parts !== undefined) return;
    const chunk = this.#chunk;
    for (let at = this.#at; frame.left > 1 && chunk[at] === 0x24; this.#at = at) {
      let length = chunk[at + 1]! - 48;
      if (!(length > 0 && length < 10)) return;
      let from = at + 2;
      for (let digit = chunk[from]! - 48; digit >= 0 && digit < 10 && length < 10_000; digit = chunk[++from]! - 48) {
        length = length * 10 + digit;
      }
      const end = from + 2 + length;
      const isWhole = chunk[from] === CR && chunk[from + 1] === LF && chunk[end] === CR && chunk[end + 1] === LF;
      if (!isWhole || length > this.#limits.maxBulk) return;
      frame.items.push(this.#element(from + 2, end, frame.left));
      frame.left--;
      at = end + 2;
    }
  }

  /** Decodes one of many strings. Slicing short ones from the text of the whole chunk is several times faster. */
  #element(from: number, end: number, left: number): unknown {
    const chunk = this.#chunk;
    if (this.#charset === null) return this.#text(chunk, from, end, false);
    const isShort = end - from < MIN_SLICE;
    if (isShort && this.#chunkText === undefined && left > chunk.length >> 9) {
      this.#chunkText = areAscii(chunk) ? (chunk as Raw).latin1Slice(0, chunk.length) : "";
    }
    if (!this.#chunkText) return this.#text(chunk, from, end, false);
    return isShort ? this.#chunkText.substring(from, end) : (chunk as Raw).latin1Slice(from, end);
  }

  /** Adds a value to the innermost aggregate; returns the aggregate once it is complete, else NOTHING. */
  #add(frame: Frame, value: unknown): unknown {
    const max = this.#limits.maxElements * (frame.type === 0x25 ? 2 : 1);
    const isFull = frame.left === Infinity && frame.items.length === max; // announced counts were checked by #open
    if (isFull) throw this.#breach("a streamed aggregate that is too long");
    frame.items.push(value);
    return --frame.left === 0 ? this.#close(frame) : NOTHING;
  }

  #close(frame: Frame): unknown {
    this.#stack.pop();
    this.#top = this.#stack[this.#stack.length - 1];
    if (frame.type === 0x25) {
      return toMap(frame.items, this.#charset === null || this.#maps === "pairs" || this.#reading.ordered === true);
    }
    if (frame.type === 0x7c) {
      if (this.#top !== undefined) this.#top.attributedAt = this.#top.items.length;
      return NOTHING;
    }
    if (frame.type === 0x3e) this.pushed = true;
    return frame.items;
  }

  #open(type: number): unknown {
    const count = this.#length(type === 0x2a, type !== 0x7c && type !== 0x3e);
    if (count === INCOMPLETE) return MORE;
    if (count === NULL) return null;
    if (count > this.#limits.maxElements) throw this.#breach(`an aggregate of ${count} elements`);
    if (this.#stack.length >= this.#limits.maxDepth) throw this.#breach("a reply nested deeper than maxDepth");
    if (type === 0x3e) this.#charset = this.#pushCharset;
    const perElement = type === 0x25 || type === 0x7c ? 2 : 1;
    const frame = this.#push(type, count === STREAMED ? Infinity : count * perElement);
    return count === 0 ? this.#close(frame) : NOTHING;
  }

  #push(type: number, left: number): Frame {
    const parts = type === 0x2a && this.#stack.length === 0 ? this.#reading.parts : undefined;
    this.#top = { type, parts, left, items: [], size: 0, attributedAt: -1 };
    this.#stack.push(this.#top);
    return this.#top;
  }

  #endStreamed(top: Frame | undefined): unknown {
    if (top?.left !== Infinity || top.type === 0x24) throw this.#breach("the end of a streamed aggregate outside one");
    if (top.attributedAt === top.items.length) throw this.#breach("an attribute without a value");
    if (top.type === 0x25 && top.items.length % 2 !== 0) throw this.#breach("a map whose last name has no value");
    return this.#close(top);
  }

  /** Decodes a string of announced length, if all of it has arrived. */
  #bulk(type: number): unknown {
    const length = this.#length(type === 0x24, type === 0x24);
    if (length === INCOMPLETE) return MORE;
    if (length === NULL) return null;
    if (length === STREAMED) return this.#push(0x24, Infinity), NOTHING;
    let size = length;
    if (type === 0x3b) {
      if (length === 0) {
        const whole = Buffer.concat(this.#close(this.#top!) as Buffer[]);
        return this.#text(whole, 0, whole.length, true);
      }
      size = this.#top!.size += length;
    }
    if (size > this.#limits.maxBulk) throw this.#breach(`a string of ${size} bytes`);
    const from = this.#at;
    const end = from + length;
    if (end + 2 > this.#chunk.length) return this.#fill(this.#partial = this.#begin(type, length));
    this.#at = end + 2;
    if (this.#chunk[end] !== CR || this.#chunk[end + 1] !== LF) throw this.#breach(NO_CRLF);
    return this.#content(type, this.#chunk, from, end, false);
  }

  #begin(type: number, length: number): PartialString {
    const isLong = type === 0x24 && length >= CHUNK_SIZE && length <= MAX_TEXT && this.#charset !== null;
    const reader = isLong ? new StringDecoder(this.#charset!) : undefined;
    return { type, length, arrived: 0, bytes: EMPTY, reader, text: "" };
  }

  /** Adds the bytes that have arrived to a partial string; returns the string once it is complete, else MORE. */
  #fill(partial: PartialString): unknown {
    const { type, length, reader } = partial;
    const chunk = this.#chunk;
    const part = chunk.subarray(this.#at, this.#at + Math.max(0, length - partial.arrived));
    if (reader !== undefined) partial.text += reader.write(part);
    else if (part.length > 0) append(partial, part);
    partial.arrived += part.length;
    this.#at += part.length;
    for (; partial.arrived < length + 2 && this.#at < chunk.length; partial.arrived++, this.#at++) {
      if (chunk[this.#at] !== (partial.arrived === length ? CR : LF)) throw this.#breach(NO_CRLF);
    }
    if (partial.arrived < length + 2) return MORE;
    this.#partial = undefined;
    return reader === undefined ? this.#content(type, partial.bytes, 0, length, true) : partial.text + reader.end();
  }

  /** `own`: the bytes are in a buffer of their own, which take() may return. */
  #content(type: number, bytes: Buffer, from: number, end: number, own: boolean): unknown {
    switch (type) {
      case 0x24: return this.#text(bytes, from, end, own);
      case 0x3d: // begins with its format: "txt:"
        if (end - from < 4 || bytes[from + 3] !== 0x3a) throw this.#breach("a verbatim string without a format");
        return this.#text(bytes, from + 4, end, own);
      case 0x21: return this.#failed(bytes.subarray(from, end));
      default: return this.#add(this.#top!, Buffer.from(bytes.subarray(from, end)));
    }
  }

  #failed(line: Buffer): ReplyError { return this.#explain(line, this.#stack[0]?.items.length ?? 0); }

  #text(bytes: Buffer, from: number, end: number, own: boolean): unknown {
    if (this.#charset === null) return own ? bytes.subarray(from, end) : Buffer.from(bytes.subarray(from, end));
    if (end - from > MAX_TEXT) throw this.#breach("a text too long for this runtime; charset null returns a Buffer");
    const slices = bytes as Raw;
    return this.#charset === "utf-8" ? slices.utf8Slice(from, end) : slices.latin1Slice(from, end);
  }

  /** Reads the length between a type and the end of its line; otherwise returns NULL, STREAMED or INCOMPLETE. */
  #length(mayBeNull: boolean, mayBeStreamed: boolean): number {
    const chunk = this.#chunk;
    const from = this.#at + 1;
    let at = from;
    let length = 0;
    for (; at < chunk.length && chunk[at] !== CR; at++) {
      const digit = chunk[at]! - 48;
      if (digit < 0 || digit > 9 || at > from + 9 || (length === 0 && at > from)) {
        const isSpecial = at === from && (chunk[at] === 0x2d || chunk[at] === 0x3f);
        if (isSpecial) return this.#specialLength(mayBeNull, mayBeStreamed);
        throw this.#breach(BAD_LENGTH);
      }
      length = length * 10 + digit;
    }
    if (at + 1 >= chunk.length) return INCOMPLETE;
    if (at === from || chunk[at + 1] !== LF) throw this.#breach(BAD_LENGTH);
    this.#at = at + 2;
    return length;
  }

  /** `-1` or `?` */
  #specialLength(mayBeNull: boolean, mayBeStreamed: boolean): number {
    const word = this.#line(toText);
    if (word === MORE) return INCOMPLETE;
    if (word === "-1" && mayBeNull) return NULL;
    if (word === "?" && mayBeStreamed) return STREAMED;
    throw this.#breach(BAD_LENGTH);
  }

  /** Tries "+OK\r\n" first, the most frequent simple string. */
  #simple(): unknown {
    const chunk = this.#chunk;
    const at = this.#at;
    const isOk = chunk[at + 1] === 0x4f && chunk[at + 2] === 0x4b && chunk[at + 3] === CR && chunk[at + 4] === LF;
    if (!isOk) return this.#line(toText, this.#limits.maxBulk);
    this.#at = at + 5;
    return "OK";
  }

  #integer(): unknown {
    const chunk = this.#chunk;
    const negative = chunk[this.#at + 1] === 0x2d;
    const from = this.#at + (negative ? 2 : 1);
    let at = from;
    let value = 0;
    for (; at < chunk.length && at < from + 15; at++) {
      const digit = chunk[at]! - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at === from || chunk[at] !== CR || chunk[at + 1] !== LF) return this.#line(toInteger);
    this.#at = at + 2;
    return negative ? 0 - value : value;
  }

  /** Reads the rest of the line after a type. `reader` returns undefined if it is malformed. */
  #line(reader: (line: Buffer) => unknown, longest = MAX_NUMBER): unknown {
    const chunk = this.#chunk;
    const from = Math.max(this.#at, this.#searched - 1); // the last byte may be a CR
    const end = chunk.indexOf(CR, from);
    const line = chunk.subarray(this.#at + 1, end < 0 ? chunk.length : end);
    if (line.length > longest) throw this.#breach("a line that is too long");
    const isPartial = end < 0 || end + 1 === chunk.length;
    if (chunk.indexOf(LF, from) !== (isPartial ? -1 : end + 1)) throw this.#breach("a line that ends without CRLF");
    if (isPartial) return MORE;
    const value = reader(line);
    if (value === undefined) throw this.#breach("a malformed line");
    this.#at = end + 2;
    return value;
  }

  #breach(what: string): ProtocolError {
    this.#error = new ProtocolError("PROTOCOL", "unknown", `the server broke the protocol: ${what}`);
    return this.#error;
  }
}

function append(to: PartialString, part: Buffer): void {
  const size = to.arrived + part.length;
  if (size > to.bytes.length) {
    const room = Math.max(size, FIRST_BUFFER, to.bytes.length * GROWTH);
    const grown = Buffer.allocUnsafeSlow(Math.min(to.length, room));
    to.bytes.copy(grown);
    to.bytes = grown;
  }
  part.copy(to.bytes, to.arrived);
}

const toText = (line: Buffer): string => line.toString();
const toNull = (line: Buffer): null | undefined => line.length === 0 ? null : undefined;
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([["t", true], ["f", false]]);
const toBoolean = (line: Buffer): boolean | undefined => BOOLEANS.get(line.toString("latin1"));

type Asked = {
  readonly row: Pick<Row, "method"> & { readonly name: Pick<Name, "text">; readonly is: Row["is"] };
  readonly words: Words;
};
const UNASKED: Asked = { row: { name: { text: "" }, method: "", is: NO_ENTRIES }, words: [] };

/** Makes the error for a server's text. No stack: a command rejects with a copy that has one. */
function toError(
  line: Buffer, login: Secrets = NO_ENTRIES, asked = UNASKED, others?: Iterable<string>,
): ReplyError {
  const raw = line.toString();
  const text = masked(ownWords(raw), login, asked, others);
  const [code = ""] = text.split(" ", 1);
  const shown = text === raw ? raw : text; // one string in memory, if they are the same
  return withoutStack(() => new ReplyError(readable(code), "not-executed", raw, { shown }));
}

const MASK = "***";
/** Codes of servers, which are not masked even if a password is the same word: libraries match on them. */
const CODES = new Set([...Object.keys(REFUSALS), ...(
  "ERR WRONGTYPE NOSCRIPT WRONGPASS EXECABORT NOGROUP BUSYGROUP BUSYKEY NOTBUSY UNKILLABLE DENIED INPROG IOERR " +
  "NOTREADY NOQUORUM"
).split(" ")]);
/** Whether a word looks like a code, of a server or a script; such words are not masked as arguments. */
const isCode = (word: string): boolean => isCapital(word) && Array.from(word).every(isInWord);
/** Words of servers' own texts, masked only in quotes: a mask in a text that never changes gives the argument away. */
const ORDINARY_WORDS = new Set((
  "access acl against allowed already also and any are arg args argument arguments array attempted auth " +
  "authentication background because been before bgsave block both busy but bylex byscore call called can cannot " +
  "channel channels check client clients cluster code command commands compatible compiling configured connection " +
  "consumer contain contains context could count data database dataset db default denied did disable disabled disk " +
  "does either element elements empty engine error errors event exceeds exist existing exists expected expire fail " +
  "failed failing field fields file float for force format found from function functions get given global greater " +
  "group groups has hash have held help hold holding idle increment index infinity info init initialized integer " +
  "invalid item its key keys kind larger last latitude least len length less library like limit line lines list " +
  "loaded loading log longer longitude lua many master match matching max maximum maxlen maxmemory may member " +
  "members memory message metadata min minid minimum missing mode module more must name names near needs negative " +
  "new node node's nonexistent not number numkeys object offset one ones only open operation option options order " +
  "out overflow pair parameter parameters password path pattern patterns perform permission permissions persist " +
  "please point port position positive previous produce properly queued range read reading redirect redis refused " +
  "registering related replica replication reply report required reset return run running same samples save script " +
  "scripts server set setname should size slot slots smaller snapshots sorted specified start started state stop " +
  "store stream streams string such support supported syntax target text than that the there they this time timeout " +
  "too top transaction try type unable under unit unknown unsupported use used user user_function user_script " +
  "username using valid value values variable want was weights when while with without withscores writable write " +
  "writing wrong you your zero zset"
).split(" "));
/** Minimum lengths of a word that is masked inside longer words, and of a beginning by which it is recognised. */
const LONG = 8;
const BEGINNING = 16;
/** Opening quotes, each with its closing quotes. */
const QUOTES: ReadonlyMap<string, string> = new Map([
  ["'", "'"], ['"', '"'], ["`", "`'"], ["\u2018", "\u2019"], ["\u201c", "\u201d"], ["\u201e", "\u201c\u201d"],
  ["\u201a", "\u2018\u2019"], ["\u00ab", "\u00bb"], ["\u2039", "\u203a"],
]);

/** Returns a word for comparison: in lower case, without line ends, as a server shows it, and of the same length. */
function folded(word: Word | number, most: number): string {
  const text = typeof word === "object" ? word.toString("utf8", 0, 4 * most) : String(word);
  const start = text.slice(0, most).replaceAll("\u0130", "i"); // the only character that grows in lower case
  return start.toLowerCase().replaceAll("\r", " ").replaceAll("\n", " ");
}

/** A server's text, in which parts are marked to be hidden. */
class MaskedText {
  /** The text in lower case, for comparison. */
  readonly low: string;
  readonly #text: string;
  #hidden: Uint8Array | undefined;

  constructor(text: string) {
    this.#text = text;
    this.low = folded(text, text.length);
  }

  mark(from: number, to: number): void { (this.#hidden ??= new Uint8Array(this.low.length)).fill(1, from, to); }
  keep(length: number): void { this.#hidden?.fill(0, 0, length); }

  /**
   * Marks each occurrence of a word, or of at least `least` characters of its beginning. At the end of the text, which
   * the server may have cut, three characters are enough, unless they are ordinary.
   */
  hide(word: string, least: number, isPart: boolean, isOrdinary: (word: string) => boolean): void {
    const { low } = this;
    const start = word.slice(0, Math.min(least, 3));
    for (let at = low.indexOf(start); at >= 0; at = low.indexOf(start, at + 1)) {
      let end = at;
      while (end - at < word.length && end < low.length && low[end] === word[end - at]) end++;
      const isBegun = isInWord(low[at - 1]) && isInWord(low[at]);
      const goesOn = isInWord(low[end - 1]) && isInWord(low[end]);
      const isCut = end === low.length && end - at > 2 && !isBegun && !isOrdinary(low.slice(at));
      if (isCut || (end - at >= least && (isPart || (!isBegun && !goesOn)))) this.mark(at, end);
    }
  }

  hideEach(isHidden: (word: string) => boolean): void {
    const { low } = this;
    for (let at = 0, end = 0; at < low.length; at = end + 1) {
      for (end = at; isInWord(low[end]) || (low[end] === "." && isInWord(low[end + 1]));) end++;
      if (end > at && isHidden(low.slice(at, end))) this.mark(at, end);
    }
  }

  /** The same for each part between quotes. The last may lack its closing quote, if the server has cut the text. */
  hideQuoted(isHidden: (word: string) => boolean): void {
    const { low } = this;
    for (let at = 0; at < low.length; at++) {
      const ends = isInWord(low[at - 1]) ? undefined : QUOTES.get(low[at]!); // not the apostrophe of "can't"
      if (ends === undefined) continue;
      let to = at + 1;
      while (to < low.length && (!ends.includes(low[to]!) || isInWord(low[to + 1]))) to++;
      const word = low.slice(at + 1, to);
      if (Array.from(word).some(isInWord) && isHidden(word)) this.mark(at + 1, to);
      at = to;
    }
  }

  /** The text, as far as it may be shown: whole words are known to be masked up to there. */
  toString(): string {
    const text = this.#text;
    const hidden = this.#hidden;
    if (hidden === undefined) return text;
    let shown = "";
    for (let at = 0, end = 0; at < text.length && at <= MOST_SHOWN; at = end) {
      end = hidden.indexOf(1 - hidden[at]!, at);
      if (end < 0) end = text.length;
      shown += hidden[at] === 1 ? MASK : text.slice(at, Math.min(end, MOST_SHOWN + 1));
    }
    return text.length > MOST_SHOWN ? `${shown}\u2026` : shown;
  }
}

/**
 * Masks the words of the command, the connection's login and other passwords in a server's text, in any case; between
 * quotes, also parts of words. If the command has so many words, or such long ones, that comparing would take too long,
 * masks all words, or all quoted ones, that are not ordinary.
 */
function masked(
  said: string, { username = "", password = "" }: Secrets, { row, words }: Asked, others: Iterable<string> = [],
): string {
  const text = new MaskedText(said);
  const { length } = said;
  const names = row.name.text.toLowerCase();
  const digest = row.is.digest ? folded(words[0] ?? "", length) : "";
  const isName = (word: string): boolean => names === word.replaceAll("|", " ") || names.split(" ").includes(word) ||
    (word === digest && isDigest(word));
  const isOrdinary = (word: string): boolean =>
    isName(word) || word.split(" ").every((part) => part.length < 3 || ORDINARY_WORDS.has(part));
  const sent = [...words, row.method.slice(row.name.text.length), username]; // a method's name may be longer
  const areMany = words.length > 16 + 4 * length;
  for (const word of areMany ? [] : sent) {
    const low = folded(word, length);
    if (low.length < 3 || isOrdinary(low)) continue;
    text.hide(low, Math.min(low.length, BEGINNING), low.length >= LONG, isOrdinary);
  }
  let all: string | undefined;
  const areLong = areMany || sent.reduce<number>((sum, word) => sum + lengthOf(word), 0) > 64 * length;
  const isSent = (word: string): boolean => areLong ? !isOrdinary(word)
    : (all ??= sent.map((one) => folded(one, Infinity)).join(" ")).includes(word) || word.includes("\\");
  text.hideQuoted((word) => !isName(word) && isSent(word));
  if (areMany || row.is.code) text.hideEach((word) => !isOrdinary(word) && isSent(word));
  if (said.includes(".")) text.hideEach(isRounded);
  const [code = ""] = said.split(" ", 1);
  if (isCode(code)) text.keep(code.length);
  for (const form of [password, ...others].flatMap(formsOf)) {
    text.hide(form, Math.min(form.length, Math.max(4, Math.ceil(form.length / 2))), form.length > 2, isOrdinary);
  }
  if (CODES.has(code)) text.keep(code.length);
  return text.toString();
}

/** Whether a word is the SHA-1 digest of a script, which servers show, for EVAL, too. */
const isDigest = (word: string): boolean =>
  word.length === 40 && Array.from(word).every((char) => isNumeral(char) || (char >= "a" && char <= "f"));
/** Whether a word is a number as the server formats it: 200.1 as 200.100000. */
const isRounded = (word: string): boolean => word.at(-7) === "." && Number(word) >= 0;

/** Quotes a text as servers do: with a backslash before quotes and backslashes, and other bytes as \x0a. */
const quoted = (text: string): string => Array.from(Buffer.from(text), (byte) => {
  if (byte < 0x20 || byte > 0x7e) return `\\x${byte.toString(16).padStart(2, "0")}`;
  return (byte === 0x22 || byte === 0x5c ? "\\" : "") + String.fromCharCode(byte);
}).join("");

/** A password, each form once: unchanged, escaped and decoded as in a URL, and quoted as in JSON or by a server. */
function formsOf(password: string): string[] {
  if (password === "") return [];
  const forms = [password, quoted(password), JSON.stringify(password).slice(1, -1)];
  for (const change of [encodeURIComponent, decodeURIComponent]) {
    try {
      forms.push(change(password));
    } catch {} // it cannot be escaped or decoded
  }
  return [...new Set(forms.map((form) => folded(form, Infinity)))];
}

/** Runs `make` without capturing a stack, which would take 100 times the error's memory. */
function withoutStack<T>(make: () => T): T {
  const { stackTraceLimit } = Error;
  limitStacks(0);
  try {
    return make();
  } finally {
    limitStacks(stackTraceLimit);
  }
}

/** Copies an error for use as a cause, without its stack, which has only the driver's lines and would fill logs. */
const asCause = (error: RedisError): RedisError => withoutStack(() => error.of(error.command, error.outcome));

function toBigInt(line: Buffer): bigint | undefined {
  const from = line[0] === 0x2d || line[0] === 0x2b ? 1 : 0;
  if (line.length === from || !line.subarray(from).every(isDigit)) return undefined;
  const digits = BigInt(line.toString("latin1", from));
  return line[0] === 0x2d ? -digits : digits;
}

/** Parses a 64-bit integer: to a number if that is exact, otherwise to a bigint. */
function toInteger(line: Buffer): number | bigint | undefined {
  const value = toBigInt(line);
  if (value === undefined || BigInt.asIntN(64, value) !== value) return undefined;
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function toDouble(line: Buffer): number | undefined {
  const word = line.toString("latin1");
  if (word === "inf") return Infinity;
  if (word === "-inf") return -Infinity;
  if (word === "nan" || word === "-nan") return NaN; // servers before 7.2 print what the C library prints
  const wellFormed = line.length > 0 && line.every((byte, i) =>
    isDigit(byte) || byte === 0x2d || byte === 0x2b || byte === 0x65 || byte === 0x45 ||
    (byte === 0x2e && isDigit(line[i - 1]) && isDigit(line[i + 1])));
  return wellFormed && !Number.isNaN(Number(word)) ? Number(word) : undefined;
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 48 && byte <= 57;

/** Builds an object from alternating names and values, or [name, value] pairs if `raw` or if a name is not a scalar. */
function toMap(flat: readonly unknown[], raw: boolean): unknown {
  if (raw) return toPairs(flat);
  const map = Object.create(null) as Record<string, unknown>;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i];
    if (typeof name === "object" && name !== null) return toPairs(flat);
    map[typeof name === "string" ? name : String(name)] = flat[i + 1];
  }
  return map;
}

function toPairs(flat: readonly unknown[]): unknown[][] {
  const pairs: unknown[][] = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i], flat[i + 1]]);
  return pairs;
}

// ==== 4. Commands ====
//
// One row per command; there is no other list. The name on the wire follows from the method's: a capital starts a new
// word, and the first word is the container (configGet is CONFIG GET, clientNoEvict is CLIENT NO-EVICT). A row states:
//
//   read / write / other      COMMAND's flags: readonly, write, or neither; by default, only a read is ever sent twice
//   session(instead)          changes connection state that the driver relies on (MULTI, SUBSCRIBE): not for callers
//   leased(instead)           needs a dedicated connection (SELECT): sent only in a lease, which closes it afterwards
//   <(key: Key) => Bulk>      the signature, arguments in the manual's order; a union of signatures becomes overloads
//   (keys, placing)           its keys, and the arguments that determine the server, if these are not the keys; if an
//                             argument counts the keys, lists must have as many, and options come after them
//   .lists(2).options(3) ...  the arguments, counted from 1, that may be more than one value: the compiler compares
//                             them with the signature. A call with an array or an object anywhere else is refused.
//     lists(n, -1)            from the nth on, arrays and Sets stand for their elements; -1: except the last argument
//     items(n, size)          lists of `size` values that belong together
//     pairs(n)                items of 2: an object or a Map stands for its names and values
//     options(n, ...)         from the nth on, objects are options; the row lists those that do not take one value:
//       "NX?"                 a flag: true or false
//       "IFEQ!"               a condition, which must not be undefined; "*!": every option is a condition
//       "LIMIT 2"             an array of 2 values; "MAXLEN 1|2": or one value
//       "IDS 1+n"             a count and as many values; "FIELDS 1+2n": twice as many; "STREAMS n+n": two equal lists
//       "KEYS n"              any number of values, or one for each key that is counted; "ID ints" if whole numbers
//     needs(n, ...)           as options(), but the nth argument is required
//     lead(n, ...)            the nth may be options; positions of the other arguments do not count it
//     optional(n)             from the nth on, arguments are single values and optional
//   .empty(reply)             the reply to a call whose lists are empty, which the driver gives without a server;
//     empty(reply, 1)         but not to a call without arguments, which means all
//   .as(shape)                converts the reply of either protocol version to the type in the signature
//   .defaults(values)         of the optional arguments, or of the one after the lists, if a call omits them
//   .blocks(time)             may block on the server, for the time that the arguments state
//   .across(spread, merge)    runs it on several servers; `merge` combines their replies, by default to the first
//     "split"                 divides its keys, each with the arguments that follow it, among their servers
//     "set" "zset" "string"   copies its keys, all of that type, to the server of the first one
//     "all"                   runs it on all servers; it has no keys
//     "each"                  as "all", but returns the reply of each server under its name
//   .traits(...)              facts that other sections need:
//     ordered                 its shape needs the maps of RESP3 as pairs, in the server's order
//     binary                  strings in its reply are bytes, not text: Buffers in every charset
//     code                    its argument is code; the server may show any word of it in an error
//     partly                  may fail after it has done part of its work
//     unlisted                is not in this table: if it fails, its effects are unknown
//     digest                  names a script by its digest; if the digest is unknown, the server executed nothing
//     cursor                  its cursor is valid only on the server that issued it
//     patterns                BY and GET may refer to keys that are not among the arguments
//     volatile                its reply may change although its keys do not, so the near cache never keeps it
//     channel                 a channel, not a key, determines the server
//     harmless                sent by the driver itself; may run even after its connection is lost
//     resets                  runs at once even after MULTI, and ends the transaction
//     login                   may change the user of its connection
//     bound                   its reply concerns earlier commands on its connection
//     unproxied               has a key, but no proxy passes it, or all of them handle it wrongly
//     twemproxy codis         has a key, but this proxy does not pass it
//     bare                    twemproxy passes it only without its optional arguments, and with one key
//
// To add a command, add its row; test/rows.ts compares it with its signature, tests with a live server's COMMAND.

export type Bytes = ArrayBufferView | ArrayBuffer;
/** A key: text, which is sent as UTF-8, or bytes, which are sent unchanged. */
export type Key = string | Bytes;
export type Arg = string | number | bigint | Bytes;
export type Int = number | bigint;
/** Any number of values, in arrays or not: del("a", "b"), del(["a", "b"]). */
export type Many<T = Arg> = Listed<T>[];
type Listed<T = Arg> = T | readonly T[] | ReadonlySet<T>;
/** Names and values: { a: 1, b: 2 }, a Map, ["a", 1, "b", 2], or [["a", 1], ["b", 2]]. */
export type Pairs = Readonly<Record<string, Arg | undefined>> | ReadonlyMap<Arg, Arg | undefined> |
  readonly (Arg | readonly Arg[])[];
export type Bulk = string | null;
export type Fields = Record<string, string>;
export type Scored = [member: string, score: number];
/** An entry of a stream; with({ maps: "pairs" }), its fields are pairs: all of them, in their order. */
export type Entry = [id: string, fields: Fields];
/** An option without a value. */
export type Flag = boolean | undefined;

type Kind = "read" | "write" | "other" | "session" | "leased";
/** The first and the last key among the arguments (1 is the first, -1 the last argument), and the step between keys. */
type Positions = readonly [first: number, last: number, step: number];
/** Finds the keys of other commands, as indexes into the flat arguments. */
type Finder = ((words: Words) => number[]) & { readonly counted?: Pick<Form, "count" | "step"> };
type Keys = Positions | Finder;
/** The call that a reply answers; `raw`: maps in the reply are pairs. */
type Call = { readonly raw: boolean; readonly row: Row; readonly words: Words };
/** Converts a reply; keeps null, and a reply that already has this shape. */
type Shape = (reply: any, call: Call) => unknown;
/** Time for which a call may block; undefined if it does not block. `at`: the index of the time, in `unit`. */
type Block = ((words: Words) => Milliseconds | undefined) &
  { readonly unit: Milliseconds; readonly at: (words: Words) => number };

/** Answer of a sharded handler to a command: one reply, one per server, or none. */
type Reach = "placed" | "each" | "nowhere";
type Spread = "split" | "all" | "each" | Carriage;
/** Types of values that the driver can copy from one server to another. */
type Carriage = "set" | "zset" | "string";
/** Combines several servers' replies into one; `keys` holds, for each reply, the indexes of its keys. */
type Merge = (replies: readonly any[], keys: readonly (readonly number[])[]) => unknown;
/** Default values of optional arguments that a call omits; `of`: those before these options. */
type Defaults = { readonly values: DefaultValues; readonly of: (options: Words) => DefaultValues };
type DefaultValues = readonly (string | number)[];
type Trait =
  | "ordered" | "binary" | "code" | "partly" | "unlisted" | "digest" | "cursor" | "patterns" | "volatile" | "channel"
  | "harmless" | "resets" | "login" | "bound" | "unproxied" | "twemproxy" | "codis" | "envoy" | "bare";

type Nothing = [] | 0 | "" | Record<string, never>;

const NO_PART: Partial<Form> = {};
const NO_WORDS: readonly string[] = [];
const NO_TRAITS: Row["is"] = bare({});

/** Types that a row carries for the compiler; `said` describes its arguments: "lists 2". Not `declare`: for Babel 7. */
interface Row<F = any, K extends Kind = Kind, R extends Reach = Reach, Said extends string = string> {
  readonly call: F;
  readonly reach: R;
  readonly said: Said;
}
class Row<F = any, K extends Kind = Kind, R extends Reach = Reach, Said extends string = string> {
  readonly kind: K;
  readonly keys: Keys;
  /** The driver's alternative to a command that it does not send on a shared connection. */
  readonly instead: string | undefined;
  readonly placing: Keys;
  /** Name of its method: "configGet". */
  method = "";
  #name: Name | undefined;
  #form: Form | undefined;
  #part: Partial<Form> = NO_PART;
  /** Its words on options: "LIMIT 2". */
  #takes: readonly string[] = NO_WORDS;
  none: Nothing | undefined = undefined;
  least = 0;
  shape: Shape | undefined = undefined;
  block: Block | undefined = undefined;
  usual: Defaults | undefined = undefined;
  is: { readonly [T in Trait]?: true } = NO_TRAITS;
  spread: Spread | undefined = undefined;
  merge: Merge = first;

  constructor(kind: K, keys: Keys, instead?: string, placing = keys) {
    this.kind = kind;
    this.keys = keys;
    this.instead = instead;
    this.placing = placing;
  }

  /** Name on the wire. Like the form, it is made on first use because most commands are never sent. */
  get name(): Name { return this.#name ??= encodeName(wireName(this.method)); }
  get form(): Form { return this.#form ??= this.#formed(); }
  set form(form: Form) { this.#form = form; }
  empty(none: Nothing, least = 0): this { return Object.assign(this, { none, least }); }
  as(shape: Shape): this { return Object.assign(this, { shape }); }
  blocks(block: Block): this { return Object.assign(this, { block }); }

  defaults(values: DefaultValues, of: Defaults["of"] = () => values): this {
    return Object.assign(this, { usual: { values, of } });
  }

  traits(...traits: Trait[]): this {
    return Object.assign(this, { is: bare(Object.fromEntries(traits.map((trait) => [trait, true]))) });
  }

  across<S extends Spread>(spread: S, merge = first): Row<F, K, S extends "each" ? "each" : "placed", Said> {
    return Object.assign(this as Row<F, K, any, Said>, { spread, merge });
  }

  lists<N extends number, E extends 0 | -1 = 0>(lists: N, end = 0 as E) {
    return this.#taking<`lists ${N} ${E}`>({ lists, end });
  }

  items<N extends number, S extends number>(lists: N, size: S) {
    return this.#taking<`items ${N} ${S}`>({ lists, size });
  }

  pairs<N extends number>(lists: N) {
    return this.#taking<`pairs ${N}`>({ lists, size: 2, pairs: true });
  }

  options<N extends number, L extends readonly string[]>(options: N, ...takes: L) {
    return this.#taking<`options ${N}` | L[number]>({ options, optional: options }, takes);
  }

  needs<N extends number, L extends readonly string[]>(options: N, ...takes: L) {
    return this.#taking<`needs ${N}` | L[number]>({ options, optional: options + 1 }, takes);
  }

  lead<N extends number, L extends readonly string[]>(lead: N, ...takes: L) {
    return this.#taking<`lead ${N}` | L[number]>({ lead }, takes);
  }

  optional<N extends number>(optional: N) { return this.#taking<`optional ${N}`>({ optional }); }

  #taking<Word extends string>(part: Partial<Form>, takes: readonly string[] = []): Row<F, K, R, Said | Word> {
    this.#part = this.#part === NO_PART ? part : { ...this.#part, ...part };
    if (takes.length > 0) this.#takes = [...this.#takes, ...takes];
    return this as Row<F, K, R, any>;
  }

  #formed(): Form {
    const counted = typeof this.keys === "function" ? ownEntry(this.keys, "counted") : undefined;
    if (this.#part === NO_PART && counted === undefined) return VALUES;
    return { ...VALUES, ...counted, ...this.#part, takes: new Map(this.#takes.map(readOption)) };
  }

  /** Returns the indexes of the keys in the flat arguments; numkeys may claim more keys than there are. */
  positions(words: Words, keys = this.keys): number[] {
    if (typeof keys === "function") return keys(words).filter((at) => at < words.length);
    const [first, last, step] = keys;
    if (first === 0) return [];
    const end = last < 0 ? words.length + last + 1 : Math.min(last, words.length);
    return range(first - 1, Math.ceil((end - first + 1) / step), step);
  }
}

/** Adds the arguments that a call omits. Flattens the options, on which they depend and which may be read only once. */
function completed(args: readonly unknown[], { name, form }: Row, usual: Defaults): readonly unknown[] {
  const from = form.end === 0 ? form.optional - 1 : 1;
  const to = from + usual.values.length;
  let at = from;
  while (at < to && args[at] !== undefined && !isOptions(args[at], form)) at++;
  if (at === to) return args;
  let count = args.length;
  while (count > from && args[count - 1] === undefined) count--;
  const end = Math.min(to, isOptions(args[count - 1], form) ? count - 1 : count);
  const given = args.slice(from, end);
  if (end < from || (form.end !== 0 && count > from) || given.some((arg) => isOptions(arg, form))) return args;
  const counted = args.slice(0, count).fill("", 0, end); // keeps the argument numbers in errors
  const others = flatten(name, counted, { ...form, options: Math.min(form.options, count) }).slice(end);
  const all = usual.of(others).map((value, i) => given[i] === undefined ? value : given[i]);
  return [...args.slice(0, from), ...all, ...others];
}

const isOptions = (arg: unknown, { options }: Form): boolean => options < Infinity && isPlain(arg);

function wireName(method: string): string {
  let text = "";
  for (const char of method) text += char === char.toLowerCase() ? char : `${text.includes(" ") ? "-" : " "}${char}`;
  return text.toUpperCase();
}

const read = <F, R extends Reach = "placed">(keys: Keys = one) => new Row<F, "read", R, never>("read", keys);
const write = <F,>(keys: Keys = one) => new Row<F, "write", "placed", never>("write", keys);
const other = <F, R extends Reach = "nowhere">(keys: Keys = none, placing = keys) =>
  new Row<F, "other", R, never>("other", keys, undefined, placing);
const session = <F,>(instead: string, keys: Keys = none) =>
  new Row<F, "session", "nowhere", never>("session", keys, instead);
const leased = <F,>(instead?: string, keys: Keys = none) =>
  new Row<F, "leased", "nowhere", never>("leased", keys, instead === undefined ? "lease()" : `${instead}, or lease()`);

// ---- Options of several rows ----

const EXPIRE = ["NX?", "XX?", "GT?", "LT?"] as const;
const FLUSH = ["ASYNC?", "SYNC?"] as const;
const REFERENCES = ["KEEPREF?", "DELREF?", "ACKED?"] as const;
const TRIM = [...REFERENCES, "MAXLEN 1|2", "MINID 1|2"] as const;
const ORDER = ["ASC?", "DESC?", "ANY?"] as const;
const AREA = [...ORDER, "BYBOX 3", "BYPOLYGON 1+2n", "BYRADIUS 2", "FROMLONLAT 2"] as const;
const FOUND = ["WITHCOORD?", "WITHDIST?", "WITHHASH?"] as const;

// ---- Where the keys are ----

const none: Positions = [0, 0, 0];
const one: Positions = [1, 1, 1];
const two: Positions = [1, 2, 1];
const all: Positions = [1, -1, 1];
const butFirst: Positions = [2, -1, 1];
const butLast: Positions = [1, -2, 1];
const pairs: Positions = [1, -1, 2];

/** `count` numbers from `from` on, `step` apart; none if `count` is negative, too large or NaN. */
const range = (from: number, count: number, step = 1): number[] =>
  Array.from({ length: count > 0 && count <= MAX_WORDS ? count : 0 }, (_, i) => from + i * step);
/** Options whose values may be any text, even the name of an option; AUTH2 and GROUP have two. */
const TEXTUAL = ["MATCH", "EXACT", "GLOB", "RE", "ELE", "FP32", "FILTER", "BY", "GET", "AUTH", "AUTH2", "GROUP"];
/** Returns the index after the first option, at `from` or later, that is one of `names`; 0 if there is none. */
function indexAfter(words: Words, from: number, names: readonly string[]): number {
  for (let i = from; i < words.length; i++) {
    const word = String(words[i]).toUpperCase();
    if (names.includes(word)) return i + 1;
    if (TEXTUAL.includes(word)) i += word === "AUTH2" || word === "GROUP" ? 2 : 1;
  }
  return 0;
}

/** Returns the index of the value of the last option in `names` before `end`: servers use the last. 0 for none. */
function lastValue(words: Words, from: number, names: readonly string[], end = words.length): number {
  let last = 0;
  for (let at = from; (at = indexAfter(words, at, names)) > 0 && at < end; at++) last = at;
  return last;
}

/** Keys, `step` apart, after the argument at position `at`, which counts them: numkeys(1) for LMPOP, (2) for EVAL. */
const numkeys = (at: number, step = 1): Finder =>
  Object.assign((words: Words) => range(at, Number(String(words[at - 1])), step), { counted: { count: at, step } });
/** A destination, the number of sources, and the sources: ZUNIONSTORE. */
const storeNumkeys: Finder =
  Object.assign((words: Words) => [0, ...numkeys(2)(words)], { counted: { count: 2, step: 1 } });
/** The first argument, and the one after the last of `names`, which are at `from` or later: SORT with STORE. */
const oneAndAfter = (from: number, ...names: string[]): Finder => (words) =>
  [...new Set([0, lastValue(words, from, names)])];
/** All arguments after the word `name`, which is at `from` or later, or the first `part` of them. */
const allAfter = (name: string, from: number, part = 1): Finder => (words) => {
  const at = indexAfter(words, from, [name]);
  return at > 0 ? range(at, (words.length - at) * part) : [];
};
/** The third argument or, if that is empty, all after KEYS: MIGRATE. */
const thirdOrKeys: Finder = (words) => String(words[2]) === "" ? allAfter("KEYS", 5)(words) : [2];
/** The first half of the arguments after STREAMS. */
const streams = allAfter("STREAMS", 0, 1 / 2);

// ---- One reply from several servers ----

const first: Merge = ([reply]) => reply;
const sum: Merge = (replies) => replies.reduce((total, reply) => total + reply, 0);
const most: Merge = (replies) => Math.max(...replies);
const joined: Merge = (replies) => replies.flat();
/** The minimum of each column: 1 where every server replied 1. */
const least: Merge = (replies) => replies.reduce((a, b) => a.map((n: number, i: number) => Math.min(n, b[i])));
/** Values in the order of the command's keys. */
const inTurn: Merge = (replies, keys) => {
  const values: unknown[] = [];
  for (const [i, reply] of replies.entries()) for (const [j, key] of keys[i]!.entries()) values[key] = reply[j];
  return values;
};
const random: Merge = (replies) => {
  const found = replies.filter((reply) => reply !== null);
  return found[Math.floor(Math.random() * found.length)] ?? null;
};

// ---- How long a call may block ----

/** Reads the time at this index (-1: the call has none): 0 means forever, and the server rejects invalid times. */
const blocking = (unit: Milliseconds, at: (words: Words) => number): Block => Object.assign((words: Words) => {
  const index = at(words);
  if (index === -1) return undefined;
  const time = Number(String(words[index])) * unit;
  return time === 0 ? Infinity : time > 0 ? time : 0;
}, { unit, at });
/** The time is at position `at`; -1: the last argument. */
const timeAt = (at: number) => (words: Words): number => at < 0 ? words.length + at : at - 1;
const seconds = (at: number): Block => blocking(1_000, timeAt(at));
const ms = (at: number): Block => blocking(1, timeAt(at));
/** The time is the value of BLOCK, if that precedes STREAMS. */
const blockOption = blocking(1, (words) => lastValue(words, 0, ["BLOCK"], indexAfter(words, 0, ["STREAMS"])) || -1);

// ---- What a call may leave out ----

/** All ranks, scores or names, as the options of ZRANGE say. */
const allOf: Defaults["of"] = (options) => {
  const has = (option: string): boolean => indexAfter(options, 0, [option]) > 0;
  const [low, high] = has("BYSCORE") ? ["-inf", "+inf"] : has("BYLEX") ? ["-", "+"] : [0, -1];
  return has("REV") && low !== 0 ? [high!, low] : [low!, high!];
};

// ---- Shapes ----

const same: Shape = (reply) => reply;
/** Decodes text even under charset null, for literal types. */
const text: Shape = (reply) => (reply instanceof Uint8Array ? Buffer.from(reply).toString() : reply);
/** Converts true (RESP3) or 1 (RESP2) to 1, false or 0 to 0. */
const flag: Shape = (reply) => typeof reply === "boolean" ? Number(reply) : reply;
/** Converts "1.5" (RESP2) or 1.5 (RESP3) to 1.5; also "inf", "-inf" and "nan". */
const number: Shape = (reply) =>
  typeof reply === "string" || Buffer.isBuffer(reply) ? toDouble(Buffer.from(reply)) ?? reply : reply;

const list = (shape: Shape): Shape => (reply, call) =>
  Array.isArray(reply) ? reply.map((item) => shape(item, call)) : reply;
const tuple = (...shapes: readonly Shape[]): Shape => (reply, call) =>
  Array.isArray(reply) ? reply.map((item, i) => (shapes[i] ?? same)(item, call)) : reply;

/** Builds a map from an object, [name, value] pairs or alternating names and values; shapes each value. */
const mapBy = (shapeOf: (name: string) => Shape): Shape => (reply, call) => {
  if (!Array.isArray(reply) && !isPlain(reply)) return reply;
  const flat = Array.isArray(reply) ? (Array.isArray(reply[0]) ? reply.flat() : reply) : Object.entries(reply).flat();
  return toMap(flat.map((item, i) => i % 2 === 0 ? item : shapeOf(String(flat[i - 1]))(item, call)), call.raw);
};
const mapOf = (shape: Shape): Shape => mapBy(() => shape);
/** Builds a map in which some values have shapes of their own. */
const fields = (shapes: Record<string, Shape>): Shape =>
  mapBy((name) => Object.hasOwn(shapes, name) ? shapes[name]! : same);
/** Builds a map from alternating names and values (RESP2); RESP3 sends a map. */
const map: Shape = (reply, call) => Array.isArray(reply) && !Array.isArray(reply[0]) ? toMap(reply, call.raw) : reply;
const maps = list(map);
const mapsWith = (shapes: Record<string, Shape>): Shape => list(fields(shapes));
/** Converts [f, v, f, v] (RESP2) or [[f, v], [f, v]] to the latter. */
const couples: Shape = (reply) => Array.isArray(reply) && !Array.isArray(reply[0]) ? toPairs(reply) : reply;
/** Converts [m, "1"] (RESP2) or [m, 1] to the latter. */
const pair = tuple(same, number);
/** Converts [m, "1", m, "2"] (RESP2) or [[m, 1], [m, 2]] to the latter. */
const scored: Shape = (reply, call) => list(pair)(couples(reply, call), call);
/** Converts scored members after a cursor or a key. */
const andScored = tuple(same, scored);
/** Converts a stream's entry, [id, [f, v, f, v]], to [id, { f: v }]; a deleted entry stays null. */
const entry: Shape = tuple(same, map);
const entries: Shape = list(entry);
const numbers = list(number);
const numeric: Shape = (reply, call) => numbers(number(reply, call), call);
/** Converts all but the members to numbers: [[m, "1.5", 7, ["2", "3"]], ...] to [[m, 1.5, 7, [2, 3]], ...]. */
const located = list(tuple(same, numeric, numeric, numeric));

/** Applies `shape` if the call has that option, else `otherwise`. */
const when = (name: string, shape: Shape, otherwise: Shape = same): Shape => (reply, call) =>
  (hasOption(name, call) ? shape : otherwise)(reply, call);
/** Whether a call has an option. Options come after the keys, and not before the position that the row states. */
const hasOption = (name: string, { row, words }: Call): boolean =>
  indexAfter(words, Math.max(row.form.options - 1, (row.positions(words).at(-1) ?? -1) + 1), [name]) > 0;
const withScores = when("WITHSCORES", scored);
/** Applies `shape` if the call has at most `most` arguments, else `otherwise`. */
const upTo = (most: number, shape: Shape, otherwise: Shape = same): Shape => (reply, call) =>
  (call.words.length <= most ? shape : otherwise)(reply, call);
/** Without a count, converts [] to null, and [m, "1"] or [m, 1] to [m, 1]; with a count, acts as `scored`. */
const popped = upTo(1, (reply, call) => reply?.length ? pair(reply, call) : null, scored);

/** Converts [a, b, c, ...] (RESP2) or a map of a to b or [b, c] (RESP3) to [[a, b, c], ...]; needs trait `ordered`. */
const records = (...parts: readonly Shape[]): Shape => (reply, call) => {
  if (reply === null) return null;
  const words: unknown[] = (Array.isArray(reply) ? reply : Object.entries(reply)).flat(2);
  return range(0, words.length / parts.length, parts.length).map((row) =>
    parts.map((part, column) => part(words[row + column], call)));
};
const similar = when("WITHSCORES", when("WITHATTRIBS", records(same, number, same), records(same, number)),
  when("WITHATTRIBS", records(same, same)));

/** Converts COMMAND INFO of a command and of its subcommands. */
const commandInfo: Shape = (reply, call) =>
  tuple(same, same, same, same, same, same, same, same, list(keySpec), list(commandInfo))(reply, call);
const keySpec = fields({ begin_search: fields({ spec: map }), find_keys: fields({ spec: map }) });
/** Converts COMMAND DOCS of a command or an argument, either of which may contain others. */
const docs: Shape = (reply, call) => fields({ arguments: list(docs), subcommands: mapOf(docs) })(reply, call);

// ---- The table ----

const commands = {
  // ---- Keys ----
  /** Number of keys removed. Since 1.0.0. */
  del: write<(...keys: Many<Key>) => number>(all).lists(1).empty(0).across("split", sum),
  /** Like del, but frees the memory in the background. Since 4.0.0. */
  unlink: write<(...keys: Many<Key>) => number>(all).lists(1).empty(0).across("split", sum),
  /** Number of these keys that exist; a key named twice counts twice. Since 1.0.0; several keys 3.0.3. */
  exists: read<(...keys: Many<Key>) => number>(all).lists(1).empty(0).across("split", sum).traits("bare"),
  /** Number of these keys that exist; marks each as recently used, for eviction. Since 3.2.1. */
  touch: read<(...keys: Many<Key>) => number>(all).lists(1).empty(0).across("split", sum).traits("volatile"),
  /** The type of the value, "none" when `key` is missing; modules name their own types. Since 1.0.0. */
  type: read<(key: Key) => KeyType>(),
  /** 1 when copied (into DB); 0 when `source` is missing, or `destination` exists without REPLACE. Since 6.2.0. */
  copy: write<(source: Key, destination: Key, options?: Loose<{ DB: Int; REPLACE: Flag }>) => number>(two)
    .options(3, "REPLACE?"),
  /** Rename `key`, replacing `newkey`; an error when `key` is missing. Since 1.0.0. */
  rename: write<(key: Key, newkey: Key) => "OK">(two).traits("unproxied"),
  /** 1 when renamed, 0 when `newkey` exists already; an error when `key` is missing. Since 1.0.0. */
  renamenx: write<(key: Key, newkey: Key) => number>(two).traits("unproxied"),
  /** 1 when moved to database `db`; 0 when `key` is missing here or exists there. Since 1.0.0. */
  move: write<(key: Key, db: Int) => number>().traits("unproxied"),
  /** 1 when the time to live was set; 0 when `key` is missing or the condition fails. Since 1.0.0; options 7.0. */
  expire: write<(key: Key, seconds: Int, options?: ExpireOptions) => number>().options(3, ...EXPIRE).traits("bare"),
  /** Like expire, in milliseconds. Since 2.6.0; options 7.0. */
  pexpire: write<(key: Key, milliseconds: Int, options?: ExpireOptions) => number>().options(3, ...EXPIRE)
    .traits("bare"),
  /** Like expire, at a Unix time in seconds; a past time removes the key. Since 1.2.0; options 7.0. */
  expireat: write<(key: Key, unixTime: Int, options?: ExpireOptions) => number>().options(3, ...EXPIRE).traits("bare"),
  /** Like expireat, with the Unix time in milliseconds. Since 2.6.0; options 7.0. */
  pexpireat: write<(key: Key, unixTime: Int, options?: ExpireOptions) => number>().options(3, ...EXPIRE).traits("bare"),
  /** The Unix time in seconds at which `key` expires; -1 when it never does, -2 when it is missing. Since 7.0.0. */
  expiretime: read<(key: Key) => number>().traits("unproxied"),
  /** Like expiretime, in milliseconds. Since 7.0.0. */
  pexpiretime: read<(key: Key) => number>().traits("unproxied"),
  /** The time to live in seconds; -1 when there is none, -2 when `key` is missing. Since 1.0.0. */
  ttl: read<(key: Key) => number>().traits("volatile"),
  /** The time to live in milliseconds; -1 when there is none, -2 when `key` is missing. Since 2.6.0. */
  pttl: read<(key: Key) => number>().traits("volatile"),
  /** 1 when a time to live was removed, 0 when there was none. Since 2.2.0. */
  persist: write<(key: Key) => number>(),
  /** All keys ("*"), or those that match the pattern. Blocks a server with many keys: see scan. Since 1.0.0. */
  keys: read<(pattern?: Arg) => string[]>(none).optional(1).defaults(["*"]).across("all", joined),
  /** Some keys and the cursor for the next call, "0" at the end. Keys may repeat. Start with 0. Since 2.8; TYPE 6.0. */
  scan: read<
    (...args: [...Leading<[cursor: Arg]>, options?: ScanOptions & Loose<{ TYPE: Arg }>]) => Page<string[]>, "nowhere"
  >(none).options(2).optional(1).defaults([0]).traits("cursor"),
  /** Any key of the database, or null when it is empty. Since 1.0.0. */
  randomkey: read<() => Bulk>(none).across("all", random),
  /** Sorted elements, as numbers unless ALPHA; GET: the values its patterns find; STORE: their number. Since 1.0.0. */
  sort: write<SortInto | Sorted<SortOptions & { STORE?: undefined }>>(oneAndAfter(1, "STORE"))
    .options(2, "LIMIT 2", "ASC?", "DESC?", "ALPHA?").traits("patterns", "codis"),
  /** Like sort, without STORE. Since 7.0.0. */
  sort_ro: read<Sorted<SortRoOptions>>().options(2, "LIMIT 2", "ASC?", "DESC?", "ALPHA?")
    .traits("patterns", "twemproxy"),
  /** The value in the server's own format, for restore, always as a Buffer; null when missing. Since 2.6.0. */
  dump: read<(key: Key) => Buffer | null>().traits("volatile", "binary"),
  /** Create `key` from a dump; `ttl` in milliseconds, 0: none. BUSYKEY if it exists, unless REPLACE. Since 2.6.0. */
  restore: write<(key: Key, ttl: Int, serialized: Arg, options?: RestoreOptions) => "OK">()
    .options(4, "REPLACE?", "ABSTTL?").traits("codis"),
  /** Move `key`, or KEYS if it is "", to another server; "NOKEY" if missing. `timeout`: ms of silence. Since 2.6.0. */
  migrate: write<(host: string, port: Int, key: Key, db: Int, timeout: Int, options?: MigrateOptions) => "OK" | "NOKEY">
    (thirdOrKeys).options(6, "COPY?", "REPLACE?", "AUTH2 2", "KEYS n").traits("partly", "unproxied"),
  /** The internal encoding of the value ("listpack", "embstr" ...); null when `key` is missing. Since 2.2.3. */
  objectEncoding: read<(key: Key) => Bulk>().traits("volatile"),
  /** Access frequency on a logarithmic scale; null when missing, an error unless an LFU policy is set. Since 4.0.0. */
  objectFreq: read<(key: Key) => number | null>().traits("volatile"),
  /** Seconds since the last access; null when missing, an error when an LFU policy is set. Since 2.2.3. */
  objectIdletime: read<(key: Key) => number | null>().traits("volatile"),
  /** Number of references to the value; null when `key` is missing. Since 2.2.3. */
  objectRefcount: read<(key: Key) => number | null>().traits("volatile"),
  /** Protect an existing key from eviction: 1, or 0 when it was; OOM when the memory is full. Since 8.12.0. */
  blessSet: write<(key: Key, flag: Token<"NO-EVICT">) => number>(),
  /** Let an existing key be evicted again: 1, or 0 when it was not protected. Since 8.12.0. */
  blessClear: write<(key: Key, flag: Token<"NO-EVICT">) => number>(),
  /** The protections of an existing key: ["NO-EVICT"], or []. Since 8.12.0. */
  blessGet: other<(key: Key) => string[], "placed">(one),
  /** Some of the protected keys, and the cursor for the next call, "0" at the end. Start with 0. Since 8.12.0. */
  blessScan: other<(cursor: Arg, flag: Token<"NO-EVICT">, options?: CountOptions) => Page<string[]>>().options(3)
    .traits("cursor"),
  /** Number of replicas with this connection's writes; waits `timeout` ms (0: forever) for `numreplicas`. Since 3.0. */
  wait: other<(numreplicas: Int, timeout: Int) => number>().blocks(ms(-1)).traits("bound"),
  /** Like wait, for writes on disk (AOF): 0 or 1 for this server, and the number of replicas. Since 7.2.0. */
  waitaof: other<(numlocal: Int, numreplicas: Int, timeout: Int) => [local: number, replicas: number]>().blocks(ms(-1))
    .traits("bound"),

  // ---- Strings ----
  /** The value of `key`, or null. WRONGTYPE when it is not a string. Since 1.0.0. */
  get: read<(key: Key) => Bulk>(),
  /** "OK", or null when NX, XX or IF... fails; with GET the old value. EX in seconds, PX in ms. Since 1.0.0. */
  set: write<With<"GET", [key: Key, value: Arg], Bulk, "OK" | null, SetOptions>>()
    .options(3, "NX?", "XX?", "GET?", "KEEPTTL?", "IFEQ!", "IFNE!", "IFDEQ!", "IFDNE!"),
  /** The value, or null; also sets its time to live, or removes that with PERSIST. Since 6.2.0. */
  getex: write<(key: Key, options?: GetexOptions) => Bulk>().options(2, "PERSIST?"),
  /** The value, or null; also removes the key. Since 6.2.0. */
  getdel: write<(key: Key) => Bulk>(),
  /** The old value, or null. Deprecated since 6.2.0: set with GET. Since 1.0.0. */
  getset: write<(key: Key, value: Arg) => Bulk>(),
  /** 1 when set, 0 when `key` exists already. Deprecated since 2.6.12: set with NX. Since 1.0.0. */
  setnx: write<(key: Key, value: Arg) => number>(),
  /** Set with a time to live. Deprecated since 2.6.12: set with EX. Since 2.0.0. */
  setex: write<(key: Key, seconds: Int, value: Arg) => "OK">(),
  /** Set with a time to live. Deprecated since 2.6.12: set with PX. Since 2.6.0. */
  psetex: write<(key: Key, milliseconds: Int, value: Arg) => "OK">(),
  /** The values of all keys in order, null for each that is missing or not a string. Since 1.0.0. */
  mget: read<(...keys: Many<Key>) => Bulk[]>(all).lists(1).empty([]).across("split", inTurn),
  /** Set several keys at once, atomically. Since 1.0.1. */
  mset: write<(...pairs: (Arg | Pairs)[]) => "OK">(pairs).pairs(1).across("split"),
  /** Set several keys only when none of them exists: 1, else 0 and nothing is set. Since 1.0.1. */
  msetnx: write<(...pairs: (Arg | Pairs)[]) => number>(pairs).pairs(1).traits("unproxied"),
  /** Set `numkeys` keys with one expiry: 1, or 0 and none is set when NX or XX fails for any. Since 8.4.0. */
  msetex: write<(numkeys: number, pairs: Pairs, options?: MsetexOptions) => number>(numkeys(1, 2)).pairs(2)
    .options(3, "NX?", "XX?", "KEEPTTL?"),
  /** Append to the string at `key`; returns the new length in bytes. Since 2.0.0. */
  append: write<(key: Key, value: Arg) => number>(),
  /** The length in bytes, 0 when `key` is missing. Since 2.2.0. */
  strlen: read<(key: Key) => number>(),
  /** The bytes from `start` to `end` (-1), both included, negative from the end; "" if there are none. Since 2.4.0. */
  getrange: read<(key: Key, start: Int, end?: Int) => string>().optional(3).defaults([-1]),
  /** Like getrange. Deprecated since 2.0.0: getrange. Since 1.0.0. */
  substr: read<(key: Key, start: Int, end?: Int) => string>().optional(3).defaults([-1]).traits("twemproxy"),
  /** Overwrite bytes from `offset` on, padding with zero bytes; returns the new length. Since 2.2.0. */
  setrange: write<(key: Key, offset: Int, value: Arg) => number>(),
  /** The new value, a bigint beyond 2^53; a missing key counts as 0. An error if not an integer. Since 1.0.0. */
  incr: write<(key: Key) => number>(),
  /** The new value, as incr. Since 1.0.0. */
  incrby: write<(key: Key, increment: Int) => number>(),
  /** The new value, as the nearest double; get returns it as text, with all digits. Since 2.6.0. */
  incrbyfloat: write<(key: Key, increment: Float) => number>().as(number),
  /** The new value, as incr. Since 1.0.0. */
  decr: write<(key: Key) => number>(),
  /** The new value, as incr. Since 1.0.0. */
  decrby: write<(key: Key, decrement: Int) => number>(),
  /** Add 1, BYINT or BYFLOAT, but not past a bound; SATURATE stops there. ENX: only without expiry. Since 8.8.0. */
  increx: write<(key: Key, options?: IncrexOptions) => [value: number, added: number]>()
    .options(2, "SATURATE?", "PERSIST?", "ENX?").as(numbers).traits("unproxied"),
  /** 1 when removed, 0 when missing or the condition fails; WRONGTYPE for a condition on another type. Since 8.4.0. */
  delex: write<(key: Key, options?: Compare) => number>().options(2, "*!").traits("unproxied"),
  /** Remove `key` only when it holds `value`: 1, else 0. Valkey 9.0; in Redis delex. */
  delifeq: write<(key: Key, value: Arg) => number>().traits("unproxied"),
  /** The XXH3 hash of the string as 16 hexadecimal digits, for IFDEQ and IFDNE; null when missing. Since 8.4.0. */
  digest: read<(key: Key) => Bulk>().traits("unproxied"),
  /** The longest common subsequence; LEN: its length; IDX: its pieces, last first. A missing key is empty. Since 7. */
  lcs: read<
    | ((key1: Key, key2: Key, options: LcsOptions & { IDX: true }) => { matches: LcsMatch[]; len: number })
    | ((key1: Key, key2: Key, options: LcsOptions & { LEN: true; IDX?: No }) => number)
    | ((key1: Key, key2: Key) => string)
    | Either<[key1: Key, key2: Key, options: LcsOptions], [{ matches: LcsMatch[]; len: number }, number, string]>
  >(two).options(3, "LEN?", "IDX?", "WITHMATCHLEN?").as(when("IDX", map)).across("string").traits("unproxied"),

  // ---- Bitmaps ----
  /** The bit at `offset`; 0 beyond the end and when `key` is missing. Since 2.2.0. */
  getbit: read<(key: Key, offset: Int) => number>(),
  /** Set the bit at `offset` to 0 or 1, growing the string as needed; returns the old bit. Since 2.2.0. */
  setbit: write<(key: Key, offset: Int, value: Int) => number>(),
  /** Number of 1 bits, in all or in the bytes (BIT: bits) from `start` to `end`. Since 2.6.0; BIT 7.0. */
  bitcount: read<(key: Key, start?: Int, end?: Int, options?: { BYTE?: Flag; BIT?: Flag }) => number>()
    .options(4, "BYTE?", "BIT?").optional(2),
  /** Position of the first bit that equals `bit`; -1 when there is none. Since 2.8.7; BIT 7.0. */
  bitpos: read<(key: Key, bit: Int, start?: Int, end?: Int, options?: { BYTE?: Flag; BIT?: Flag }) => number>()
    .options(5, "BYTE?", "BIT?").optional(3),
  /** Store the result of the operation; returns its length in bytes. Since 2.6.0; DIFF, DIFF1, ANDOR, ONE 8.2. */
  bitop: write<(operation: BitOperation, destkey: Key, ...keys: Many<Key>) => number>(butFirst).lists(3)
    .across("string"),
  /** Results of GET (value), SET (old value), INCRBY (new, null on OVERFLOW FAIL); bigints beyond 2^53. Since 3.2.0. */
  bitfield: write<(key: Key, ...operations: BitfieldOperation[]) => (number | null)[]>()
    .options(2, "GET 2", "SET 3", "INCRBY 3"),
  /** Like bitfield, GET only. Since 6.0.0. */
  bitfield_ro: read<(key: Key, ...operations: { GET: BitfieldPlace }[]) => number[]>().options(2, "GET 2")
    .traits("twemproxy"),

  // ---- HyperLogLogs ----
  /** 1 when the estimate changed or `key` was created, else 0. Since 2.8.9. */
  pfadd: write<(key: Key, ...elements: Many) => number>().lists(2),
  /** Estimated number of distinct elements added to all keys together; standard error 0.81 %. Since 2.8.9. */
  pfcount: read<(...keys: Many<Key>) => number>(all).lists(1).empty(0).across("string"),
  /** Merge `sourcekeys` into `destkey`. Since 2.8.9. */
  pfmerge: write<(destkey: Key, ...sourcekeys: Many<Key>) => "OK">(all).lists(2).across("string"),

  // ---- Geo ----
  /** Add or move members; returns the number added (with CH: changed). Degrees. Since 3.2.0; options 6.2. */
  geoadd: write<(key: Key, ...args: [...items: GeoItem[]] | [options: GeoaddOptions, ...items: GeoItem[]]) => number>()
    .lead(2, "NX?", "XX?", "CH?").items(2, 3),
  /** Distance between two members in metres or `unit`; null when either is missing. Since 3.2.0. */
  geodist: read<(key: Key, member1: Arg, member2: Arg, unit?: GeoUnit) => number | null>().optional(4).as(number),
  /** The members' standard geohashes of 11 characters, null for each that is missing. Since 3.2.0. */
  geohash: read<(key: Key, ...members: Many) => Bulk[]>().lists(2).empty([]),
  /** Positions of the members as stored (at most 0.6 m off); null for each that is missing. Since 3.2.0. */
  geopos: read<(key: Key, ...members: Many) => (Coordinates | null)[]>().lists(2).empty([]).as(list(numbers)),
  /** Members in an area, unsorted unless ASC or DESC; WITH... extends each. Since 6.2.0; BYPOLYGON Valkey 9.0. */
  geosearch: read<GeoFind<[key: Key], GeosearchOptions>>().needs(2, ...AREA, ...FOUND).as(located),
  /** Store the members geosearch finds, with STOREDIST scored by distance; returns their number. Since 6.2.0. */
  geosearchstore: write<(destination: Key, source: Key, area: GeosearchOptions & { STOREDIST?: Flag }) => number>(two)
    .needs(3, ...AREA, "STOREDIST?").across("zset"),
  /** Like geosearch around a point, with STORE or STOREDIST as geosearchstore. Deprecated since 6.2.0. Since 3.2.0. */
  georadius: write<Georadius<AroundPoint>>(oneAndAfter(5, "STORE", "STOREDIST")).options(6, ...ORDER, ...FOUND)
    .as(located),
  /** Like geosearch around a point. Deprecated since 6.2.0: geosearch. Since 3.2.10. */
  georadius_ro: read<GeoradiusRo<AroundPoint>>().options(6, ...ORDER, ...FOUND).as(located).traits("twemproxy"),
  /** Like georadius, around a member; an error when that is missing. Deprecated since 6.2.0. Since 3.2.0. */
  georadiusbymember: write<Georadius<AroundMember>>(oneAndAfter(4, "STORE", "STOREDIST")).options(5, ...ORDER, ...FOUND)
    .as(located),
  /** Like geosearch around a member. Deprecated since 6.2.0: geosearch. Since 3.2.10. */
  georadiusbymember_ro: read<GeoradiusRo<AroundMember>>().options(5, ...ORDER, ...FOUND).as(located)
    .traits("twemproxy"),

  // ---- Hashes ----
  /** Set fields; returns the number added. Since 2.0.0; several fields 4.0.0. */
  hset: write<(key: Key, ...fields: (Arg | Pairs)[]) => number>().pairs(2),
  /** 1 when set, 0 when the field exists already. Since 2.0.0. */
  hsetnx: write<(key: Key, field: Arg, value: Arg) => number>(),
  /** Set fields. Deprecated since 4.0.0: hset. Since 2.0.0. */
  hmset: write<(key: Key, ...fields: (Arg | Pairs)[]) => "OK">().pairs(2),
  /** The value of a field, or null. Since 2.0.0. */
  hget: read<(key: Key, field: Arg) => Bulk>(),
  /** The values of the fields in order, null for each that is missing. Since 2.0.0. */
  hmget: read<(key: Key, ...fields: Many) => Bulk[]>().lists(2).empty([]),
  /** All fields and values; an empty object when `key` is missing. Since 2.0.0. */
  hgetall: read<(key: Key) => Fields>().as(map),
  /** The names of all fields. Since 2.0.0. */
  hkeys: read<(key: Key) => string[]>(),
  /** The values of all fields. Since 2.0.0. */
  hvals: read<(key: Key) => string[]>(),
  /** Number of fields, 0 when `key` is missing. Since 2.0.0. */
  hlen: read<(key: Key) => number>(),
  /** 1 when the field exists, else 0. Since 2.0.0. */
  hexists: read<(key: Key, field: Arg) => number>(),
  /** The length of the field's value in bytes, 0 when missing. Since 3.2.0. */
  hstrlen: read<(key: Key, field: Arg) => number>(),
  /** Number of fields removed; removing the last one removes the key. Since 2.0.0; several fields 2.4.0. */
  hdel: write<(key: Key, ...fields: Many) => number>().lists(2).empty(0),
  /** The field's new value, as with incr. Since 2.0.0. */
  hincrby: write<(key: Key, field: Arg, increment: Int) => number>(),
  /** The field's new value, as the nearest double; hget returns it as text, with all digits. Since 2.6.0. */
  hincrbyfloat: write<(key: Key, field: Arg, increment: Float) => number>().as(number),
  /** A field or null; up to `count` different ones, -3 for 3 that may repeat; WITHVALUES: pairs. Since 6.2.0. */
  hrandfield: read<((key: Key) => Bulk) | With<"WITHVALUES", [key: Key, count: Int], [string, string][], string[]>>()
    .options(3, "WITHVALUES?").optional(2).as(when("WITHVALUES", couples)).traits("volatile"),
  /** Some fields, and the cursor for the next call, "0" at the end. NOVALUES: only names. Since 2.8.0; NOVALUES 7.4. */
  hscan: read<With<"NOVALUES", [key: Key, ...Leading<[cursor: Arg]>], Page<string[]>, Page<Fields>, ScanOptions>>()
    .options(3, "NOVALUES?").optional(2).as(when("NOVALUES", same, tuple(same, map))).defaults([0]).traits("cursor"),
  /** For each field 1: set, 2: removed (the time is past), 0: condition failed, -2: no such field. Since 7.4.0. */
  hexpire: write<(key: Key, seconds: Int, options: HexpireOptions) => number[]>().needs(3, ...EXPIRE, "FIELDS 1+n")
    .traits("unproxied"),
  /** Like hexpire, in milliseconds. Since 7.4.0. */
  hpexpire: write<(key: Key, milliseconds: Int, options: HexpireOptions) => number[]>()
    .needs(3, ...EXPIRE, "FIELDS 1+n").traits("unproxied"),
  /** Like hexpire, at a Unix time in seconds. Since 7.4.0. */
  hexpireat: write<(key: Key, unixTime: Int, options: HexpireOptions) => number[]>().needs(3, ...EXPIRE, "FIELDS 1+n")
    .traits("unproxied"),
  /** Like hexpire, at a Unix time in milliseconds. Since 7.4.0. */
  hpexpireat: write<(key: Key, unixTime: Int, options: HexpireOptions) => number[]>().needs(3, ...EXPIRE, "FIELDS 1+n")
    .traits("unproxied"),
  /** For each field the Unix time in seconds when it expires; -1 when never, -2 when missing. Since 7.4.0. */
  hexpiretime: read<(key: Key, options: FieldsOption) => number[]>().needs(2, "FIELDS 1+n").traits("unproxied"),
  /** Like hexpiretime, in milliseconds. Since 7.4.0. */
  hpexpiretime: read<(key: Key, options: FieldsOption) => number[]>().needs(2, "FIELDS 1+n").traits("unproxied"),
  /** For each field the time to live in seconds; -1 when there is none, -2 when it is missing. Since 7.4.0. */
  httl: read<(key: Key, options: FieldsOption) => number[]>().needs(2, "FIELDS 1+n").traits("volatile", "unproxied"),
  /** Like httl, in milliseconds. Since 7.4.0. */
  hpttl: read<(key: Key, options: FieldsOption) => number[]>().needs(2, "FIELDS 1+n").traits("volatile", "unproxied"),
  /** For each field 1 when its expiry was removed, -1 when it had none, -2 when it is missing. Since 7.4.0. */
  hpersist: write<(key: Key, options: FieldsOption) => number[]>().needs(2, "FIELDS 1+n").traits("unproxied"),
  /** Remove fields and return their values, null for each that is missing. Since 8.0.0. */
  hgetdel: write<(key: Key, options: FieldsOption) => Bulk[]>().needs(2, "FIELDS 1+n").traits("unproxied"),
  /** The values of the fields, null for each that is missing, after setting their expiry. Since 8.0.0. */
  hgetex: write<(key: Key, options: GetexOptions & FieldsOption) => Bulk[]>().needs(2, "PERSIST?", "FIELDS 1+n")
    .traits("unproxied"),
  /** Set fields and their expiry: 1, or 0 and none is set when FNX or FXX fails for any. Since 8.0.0. */
  hsetex: write<(key: Key, options: HsetexOptions) => number>().needs(2, "FNX?", "FXX?", "KEEPTTL?", "FIELDS 1+2n")
    .traits("unproxied"),
  /** Name a list of fields for himportSet, on this connection: in a lease. Since 8.10.0. */
  himportPrepare: leased<(fieldset: Arg, ...fields: Many) => "OK">("hset()").lists(2),
  /** Replace `key` with a hash of these values, in the order of himportPrepare's fields. Since 8.10.0. */
  himportSet: leased<(key: Key, fieldset: Arg, ...values: Many) => "OK">("hset()", one).lists(3),
  /** Forget a list of fields: 1, or 0 when there is none of that name. Since 8.10.0. */
  himportDiscard: leased<(fieldset: Arg) => number>("hset()"),
  /** Forget all lists of fields; returns their number. Since 8.10.0. */
  himportDiscardall: leased<() => number>("hset()"),

  // ---- Arrays ----
  /** Set elements from `index` on; returns the number added. Since 8.8.0. */
  arset: write<(key: Key, index: Int, ...values: Many) => number>().lists(3).traits("unproxied"),
  /** Set elements by { index: value }; returns the number added. Since 8.8.0. */
  armset: write<(key: Key, ...elements: (Arg | Pairs)[]) => number>().pairs(2).traits("unproxied"),
  /** The element at `index`, or null. Since 8.8.0. */
  arget: read<(key: Key, index: Int) => Bulk>().traits("unproxied"),
  /** The elements at the indexes, null for each that is missing. Since 8.8.0. */
  armget: read<(key: Key, ...indexes: Many<Int>) => Bulk[]>().lists(2).empty([]).traits("unproxied"),
  /** The elements from `start` to `end`, backwards if `end` is less; null in gaps. At most 1,000,000. Since 8.8.0. */
  argetrange: read<(key: Key, start: Int, end: Int) => Bulk[]>().traits("unproxied"),
  /** The elements that exist from `start` to `end`, backwards if `end` is less, with their indexes. Since 8.8.0. */
  arscan: read<(key: Key, start: Int, end: Int, options?: Loose<{ LIMIT: Int }>) => Indexed[]>().options(4).as(couples)
    .traits("unproxied"),
  /** Indexes from `start` ("-") to `end` ("+") whose elements pass any test; WITHVALUES: elements too. Since 8.8.0. */
  argrep: read<Ending<"WITHVALUES", ArgrepOf, Indexed[], number[], ArgrepTest>>()
    .options(4, "AND?", "OR?", "NOCASE?", "WITHVALUES?").as(when("WITHVALUES", couples)).traits("unproxied"),
  /** SUM, MIN, MAX, AND, OR or XOR: null when no element is a number; MATCH and USED count. Since 8.8.0. */
  arop: read<
    | ((key: Key, start: Int, end: Int, operation: { SUM: true } | { MIN: true } | { MAX: true }) => number | null)
    | ((key: Key, start: Int, end: Int, operation: { AND: true } | { OR: true } | { XOR: true }) => number | null)
    | ((key: Key, start: Int, end: Int, operation: { MATCH: Arg } | { USED: true }) => number)
  >().needs(4, "SUM?", "MIN?", "MAX?", "AND?", "OR?", "XOR?", "USED?").as(number).traits("unproxied"),
  /** Number of elements, not counting gaps; 0 when `key` is missing. Since 8.8.0. */
  arcount: read<(key: Key) => number>().traits("unproxied"),
  /** The last index in use, plus 1; 0 when `key` is missing. Since 8.8.0. */
  arlen: read<(key: Key) => number>().traits("unproxied"),
  /** Size and layout of the array; an error when `key` is missing. Since 8.8.0. */
  arinfo: read<(key: Key, options?: { FULL?: Flag }) => Counts>().options(2, "FULL?").as(mapOf(number))
    .traits("volatile", "unproxied"),
  /** Number of elements removed; removing the last one removes the key. Since 8.8.0. */
  ardel: write<(key: Key, ...indexes: Many<Int>) => number>().lists(2).empty(0).traits("unproxied"),
  /** Remove all elements in each [start, end], both included; returns their number. Since 8.8.0. */
  ardelrange: write<(key: Key, ...ranges: Many<Int>) => number>().lists(2).empty(0).traits("unproxied"),
  /** Set elements at the insert cursor, and move it; returns the index of the last. Since 8.8.0. */
  arinsert: write<(key: Key, ...values: Many) => number>().lists(2).traits("unproxied"),
  /** Like arinsert, in a ring of `size` elements: the first follows the last. Since 8.8.0. */
  arring: write<(key: Key, size: Int, ...values: Many) => number>().lists(3).traits("unproxied"),
  /** The next index for arinsert, 0 when `key` is missing, null when none is left. Since 8.8.0. */
  arnext: read<(key: Key) => number | null>().traits("unproxied"),
  /** Move the insert cursor: 1, or 0 when `key` is missing. Since 8.8.0. */
  arseek: write<(key: Key, index: Int) => number>().traits("unproxied"),
  /** The last `count` elements up to the insert cursor, with REV the newest first; null in gaps. Since 8.8.0. */
  arlastitems: read<(key: Key, count: Int, options?: { REV?: Flag }) => Bulk[]>().options(3, "REV?")
    .traits("unproxied"),

  // ---- Lists ----
  /** Add elements at the head, each before the previous one; returns the new length. Since 1.0.0; several 2.4. */
  lpush: write<(key: Key, ...elements: Many) => number>().lists(2),
  /** lpush only when the list exists; returns the new length, 0 when there is none. Since 2.2.0; several 4.0. */
  lpushx: write<(key: Key, ...elements: Many) => number>().lists(2),
  /** Add elements at the tail, in their order; returns the new length. Since 1.0.0; several 2.4. */
  rpush: write<(key: Key, ...elements: Many) => number>().lists(2),
  /** rpush only when the list exists; returns the new length, 0 when there is none. Since 2.2.0; several 4.0. */
  rpushx: write<(key: Key, ...elements: Many) => number>().lists(2),
  /** Remove and return the first element, or the first `count`; null when there is none. Since 1.0.0; count 6.2. */
  lpop: write<((key: Key) => Bulk) | ((key: Key, count: Int) => string[] | null)>().optional(2),
  /** Remove and return the last element, or `count` from there; null when there is none. Since 1.0.0; count 6.2. */
  rpop: write<((key: Key) => Bulk) | ((key: Key, count: Int) => string[] | null)>().optional(2),
  /** Remove and return up to COUNT (1) elements from an end of the first non-empty list, or null. Since 7.0.0. */
  lmpop: write<PopFrom<[], End, string[]>>(numkeys(1)).lists(2, -1).options(2),
  /** Number of elements; 0 when `key` is missing. Since 1.0.0. */
  llen: read<(key: Key) => number>(),
  /** The element at `index`, counted from the tail when negative (-1 is the last); null out of range. Since 1.0.0. */
  lindex: read<(key: Key, index: Int) => Bulk>(),
  /** All elements, or those from `start` to `stop`, both included; negative counts from the tail. Since 1.0.0. */
  lrange: read<(key: Key, start?: Int, stop?: Int) => string[]>().optional(2).defaults([0, -1]),
  /** The index of `element`, or null; with COUNT the indexes of that many (0: of all). Since 6.0.6. */
  lpos: read<With<"COUNT", [key: Key, element: Arg], number[], number | null, LposOptions, Int>>().options(3),
  /** Put `element` next to the first `pivot`; returns the new length, -1 without pivot, 0 without list. Since 2.2.0. */
  linsert: write<(key: Key, where: Token<"BEFORE" | "AFTER">, pivot: Arg, element: Arg) => number>(),
  /** Replace the element at `index`; an error when there is no such element or no list. Since 1.0.0. */
  lset: write<(key: Key, index: Int, element: Arg) => "OK">(),
  /** Remove `count` equal elements, from the tail when negative, all when 0; returns their number. Since 1.0.0. */
  lrem: write<(key: Key, count: Int, element: Arg) => number>(),
  /** Keep only the elements from `start` to `stop`; the key is removed when none is left. Since 1.0.0. */
  ltrim: write<(key: Key, start: Int, stop: Int) => "OK">(),
  /** Move one element from an end of `source` to an end of `destination` and return it, or null. Since 6.2.0. */
  lmove: write<(source: Key, destination: Key, wherefrom: End, whereto: End) => Bulk>(two),
  /** lmove of up to COUNT elements, or of EXACTLY that many, else null; OBO or BULK. Since 8.10.0. */
  lmovem: write<With<"EXACTLY", Move, string[] | null, string[], LmovemOptions, Int>>(two).options(5, "OBO?", "BULK?")
    .traits("unproxied"),
  /** Move the last element of `source` to the head of `destination`, or null. lmove replaces it. Since 1.2.0. */
  rpoplpush: write<(source: Key, destination: Key) => Bulk>(two),
  /** lpop from the first non-empty list, waiting up to `timeout` seconds (0: forever). Since 2.0.0. */
  blpop: write<Waiting<[key: string, element: string]>>(butLast).lists(1, -1).defaults([0]).blocks(seconds(-1)),
  /** rpop from the first non-empty list, waiting up to `timeout` seconds (0: forever). Since 2.0.0. */
  brpop: write<Waiting<[key: string, element: string]>>(butLast).lists(1, -1).defaults([0]).blocks(seconds(-1)),
  /** lmpop that waits up to `timeout` seconds (0: forever), then returns null. Since 7.0.0. */
  blmpop: write<PopFrom<[timeout: number], End, string[]>>(numkeys(2)).lists(3, -1).options(3).blocks(seconds(1)),
  /** lmove that waits up to `timeout` seconds (0: forever), then returns null. Since 6.2.0. */
  blmove: write<(...args: [...Move, timeout?: number]) => Bulk>(two).optional(5).defaults([0]).blocks(seconds(5)),
  /** lmovem that waits up to `timeout` seconds (0: forever) for enough, then returns null. Since 8.10.0. */
  blmovem: write<(...args: [...Move, timeout: number, how?: LmovemOptions]) => string[] | null>(two)
    .options(6, "OBO?", "BULK?").blocks(seconds(5)),
  /** rpoplpush that waits up to `timeout` seconds (0: forever), then returns null. blmove replaces it. Since 2.2.0. */
  brpoplpush: write<(source: Key, destination: Key, timeout?: number) => Bulk>(two).optional(3).defaults([0])
    .blocks(seconds(3)),

  // ---- Sets ----
  /** Add members; returns the number added. Since 1.0.0; several 2.4. */
  sadd: write<(key: Key, ...members: Many) => number>().lists(2),
  /** Remove members; returns the number removed. Since 1.0.0; several 2.4. */
  srem: write<(key: Key, ...members: Many) => number>().lists(2).empty(0),
  /** Move `member` from one set to the other: 1, or 0 when it is not in `source`. Since 1.0.0. */
  smove: write<(source: Key, destination: Key, member: Arg) => number>(two),
  /** Remove and return a random member, or null, or up to `count` as an array. Since 1.0.0; count 3.2. */
  spop: write<((key: Key) => Bulk) | ((key: Key, count: Int) => string[])>().optional(2),
  /** A random member or null; up to `count` different ones, -3 for 3 that may repeat. Since 1.0.0; count 2.6. */
  srandmember: read<((key: Key) => Bulk) | ((key: Key, count: Int) => string[])>().optional(2).traits("volatile"),
  /** Number of members; 0 when `key` is missing. Since 1.0.0. */
  scard: read<(key: Key) => number>(),
  /** 1 when `member` is in the set, else 0. Since 1.0.0. */
  sismember: read<(key: Key, member: Arg) => number>(),
  /** sismember of several members: 1 or 0 for each. Since 6.2.0. */
  smismember: read<(key: Key, ...members: Many) => number[]>().lists(2).empty([]),
  /** All members, in no particular order. Prefer sscan for a large set. Since 1.0.0. */
  smembers: read<(key: Key) => string[]>(),
  /** Some members, and the cursor for the next call, "0" at the end. Members may repeat. Since 2.8.0. */
  sscan: read<(...args: [key: Key, ...Leading<[cursor: Arg]>, options?: ScanOptions]) => Page<string[]>>()
    .options(3).optional(2).defaults([0]).traits("cursor"),
  /** Members of the first set that are in none of the others. Since 1.0.0. */
  sdiff: read<(...keys: Many<Key>) => string[]>(all).lists(1).empty([]).across("set"),
  /** Store the sdiff of `keys` in `destination`, replacing it; returns its size. Since 1.0.0. */
  sdiffstore: write<(destination: Key, ...keys: Many<Key>) => number>(all).lists(2).across("set"),
  /** Number of members sdiff would return, counting up to LIMIT (0: no limit). Since 8.10.0. */
  sdiffcard: read<Counted<LimitOptions>>(numkeys(1)).lists(2).empty(0, 2).options(2).across("set"),
  /** Members in all of the sets; a missing key is an empty set. Since 1.0.0. */
  sinter: read<(...keys: Many<Key>) => string[]>(all).lists(1).empty([]).across("set"),
  /** Store the sinter of `keys` in `destination`, replacing it; returns its size. Since 1.0.0. */
  sinterstore: write<(destination: Key, ...keys: Many<Key>) => number>(all).lists(2).across("set"),
  /** Number of members sinter would return, counting up to LIMIT (0: no limit). Since 7.0.0. */
  sintercard: read<Counted<LimitOptions>>(numkeys(1)).lists(2).empty(0, 2).options(2).across("set"),
  /** Members in any of the sets. Since 1.0.0. */
  sunion: read<(...keys: Many<Key>) => string[]>(all).lists(1).empty([]).across("set"),
  /** Store the sunion of `keys` in `destination`, replacing it; returns its size. Since 1.0.0. */
  sunionstore: write<(destination: Key, ...keys: Many<Key>) => number>(all).lists(2).across("set"),
  /** Number of members sunion would return, counting up to LIMIT; an estimate with APPROX. Since 8.10.0. */
  sunioncard: read<Counted<LimitOptions & { APPROX?: Flag }>>(numkeys(1)).lists(2).empty(0, 2).options(2, "APPROX?")
    .across("set"),

  // ---- Sorted sets ----
  /** Add members or change scores; the number added (CH: changed; INCR: new score or null). Since 1.2.0; GT, LT 6.2. */
  zadd: write<Adds<"INCR", number | null, number, ZaddOptions, ScoreMembers, [scored: ScoreMember]>>()
    .lead(2, "NX?", "XX?", "GT?", "LT?", "CH?", "INCR?").items(2, 2).as(number),
  /** Add `increment` to a member's score (a new one starts at 0); returns the new score. Since 1.2.0. */
  zincrby: write<(key: Key, increment: Arg, member: Arg) => number>().as(number),
  /** Remove members; returns the number removed. Since 1.2.0; several 2.4. */
  zrem: write<(key: Key, ...members: Many) => number>().lists(2).empty(0),
  /** Number of members; 0 when `key` is missing. Since 1.2.0. */
  zcard: read<(key: Key) => number>(),
  /** Number of members, all or scored from `min` ("-inf") to `max` ("+inf"): "(1" excludes 1. Since 2.0.0. */
  zcount: read<(key: Key, min?: Arg, max?: Arg) => number>().optional(2).defaults(["-inf", "+inf"]),
  /** Number of members zrangebylex would return. All members must have the same score. Since 2.8.9. */
  zlexcount: read<(key: Key, min?: Arg, max?: Arg) => number>().optional(2).defaults(["-", "+"]),
  /** The score of `member`, or null. Since 1.2.0. */
  zscore: read<(key: Key, member: Arg) => number | null>().as(number),
  /** The scores of `members`, null for each that is missing. Since 6.2.0. */
  zmscore: read<(key: Key, ...members: Many) => (number | null)[]>().lists(2).empty([]).as(numbers),
  /** The rank of `member`, 0 for the lowest score, or null; WITHSCORE adds the score. Since 2.0.0; WITHSCORE 7.2. */
  zrank: read<Rank>().options(3, "WITHSCORE?").as(when("WITHSCORE", pair)),
  /** zrank from the other end: 0 for the highest score. Since 2.0.0; WITHSCORE 7.2. */
  zrevrank: read<Rank>().options(3, "WITHSCORE?").as(when("WITHSCORE", pair)),
  /** Members, all or by rank, BYSCORE or BYLEX (name); REV swaps the bounds. Since 1.2.0; BY..., REV, LIMIT 6.2. */
  zrange: read<WithScores<[key: Key, ...Leading<[start: Arg, stop: Arg]>], ZrangeOptions>>()
    .options(4, "BYSCORE?", "BYLEX?", "REV?", "LIMIT 2", "WITHSCORES?")
    .optional(2).as(withScores).defaults([0, -1], allOf),
  /** Store the zrange of `src` in `dst`, replacing it; returns its size. Since 6.2.0. */
  zrangestore: write<(dst: Key, src: Key, min: Arg, max: Arg, options?: ZrangeOptions) => number>(two)
    .options(5, "BYSCORE?", "BYLEX?", "REV?", "LIMIT 2").across("zset"),
  /** Members with scores from `min` to `max`: "(1" excludes 1. zrange with BYSCORE replaces it. Since 1.0.5. */
  zrangebyscore: read<WithScores<[key: Key, ...Leading<[min: Arg, max: Arg]>], Loose<{ LIMIT: Limit }>>>()
    .options(4, "LIMIT 2", "WITHSCORES?").optional(2).as(withScores).defaults(["-inf", "+inf"]),
  /** Members by name from `min` to `max`: "[a" includes, "(a" excludes, "-" and "+" are unbounded. Since 2.8.9. */
  zrangebylex: read<Ranging<[min: Arg, max: Arg], Loose<{ LIMIT: Limit }>, string[]>>().options(4, "LIMIT 2")
    .optional(2).defaults(["-", "+"]),
  /** zrange from the highest score down. zrange with REV replaces it. Since 1.2.0. */
  zrevrange: read<WithScores<[key: Key, ...Leading<[start: Int, stop: Int]>]>>().options(4, "WITHSCORES?").optional(2)
    .as(withScores).defaults([0, -1]),
  /** zrangebyscore from the highest down, `max` first. zrange with REV and BYSCORE replaces it. Since 2.2.0. */
  zrevrangebyscore: read<WithScores<[key: Key, ...Leading<[max: Arg, min: Arg]>], Loose<{ LIMIT: Limit }>>>()
    .options(4, "LIMIT 2", "WITHSCORES?").optional(2).as(withScores).defaults(["+inf", "-inf"]),
  /** zrangebylex backwards, `max` first. zrange with REV and BYLEX replaces it. Since 2.8.9. */
  zrevrangebylex: read<Ranging<[max: Arg, min: Arg], Loose<{ LIMIT: Limit }>, string[]>>().options(4, "LIMIT 2")
    .optional(2).defaults(["+", "-"]),
  /** A random member or null; up to `count` different ones, -3 for 3 that may repeat. Since 6.2.0. */
  zrandmember: read<((key: Key) => Bulk) | WithScores<[key: Key, count: Int]>>().options(3, "WITHSCORES?").optional(2)
    .as(withScores).traits("volatile"),
  /** Some members with their scores, and the cursor for the next call, "0" at the end. Since 2.8.0. */
  zscan: read<(...args: [key: Key, ...Leading<[cursor: Arg]>, options?: ScanOptions]) => Page<Scored[]>>()
    .options(3).optional(2).as(andScored).defaults([0]).traits("cursor"),
  /** Remove the members with scores from `min` to `max`; returns their number. Since 1.2.0. */
  zremrangebyscore: write<(key: Key, min: Arg, max: Arg) => number>(),
  /** Remove the members from rank `start` to `stop`, -1 being the highest; returns their number. Since 2.0.0. */
  zremrangebyrank: write<(key: Key, start: Int, stop: Int) => number>(),
  /** Remove the members that zrangebylex would return; returns their number. Since 2.8.9. */
  zremrangebylex: write<(key: Key, min: Arg, max: Arg) => number>(),
  /** Remove and return the member with the lowest score, or null, or the `count` lowest. Since 5.0.0. */
  zpopmin: write<((key: Key) => Scored | null) | ((key: Key, count: Int) => Scored[])>().optional(2).as(popped),
  /** Remove and return the member with the highest score, or null, or the `count` highest. Since 5.0.0. */
  zpopmax: write<((key: Key) => Scored | null) | ((key: Key, count: Int) => Scored[])>().optional(2).as(popped),
  /** Remove and return up to COUNT (1) members, lowest or highest, of the first non-empty set, or null. Since 7.0.0. */
  zmpop: write<PopFrom<[], Token<"MIN" | "MAX">, Scored[]>>(numkeys(1)).lists(2, -1).options(2).as(andScored),
  /** zpopmin from the first non-empty set, waiting up to `timeout` seconds (0: forever). Since 5.0.0. */
  bzpopmin: write<Waiting<[key: string, ...Scored]>>(butLast).lists(1, -1).as(tuple(same, same, number))
    .defaults([0]).blocks(seconds(-1)),
  /** zpopmax from the first non-empty set, waiting up to `timeout` seconds (0: forever). Since 5.0.0. */
  bzpopmax: write<Waiting<[key: string, ...Scored]>>(butLast).lists(1, -1).as(tuple(same, same, number))
    .defaults([0]).blocks(seconds(-1)),
  /** zmpop that waits up to `timeout` seconds (0: forever), then returns null. Since 7.0.0. */
  bzmpop: write<PopFrom<[timeout: number], Token<"MIN" | "MAX">, Scored[]>>(numkeys(2)).lists(3, -1).options(3)
    .as(andScored).blocks(seconds(1)),
  /** Members of the first sorted set that are in none of the others. Since 6.2.0. */
  zdiff: read<Combined<unknown>>(numkeys(1)).lists(2).empty([], 2).options(2, "WITHSCORES?").as(withScores)
    .across("zset"),
  /** Store the zdiff of the keys in `destination`, replacing it; returns its size. Since 6.2.0. */
  zdiffstore: write<(destination: Key, numkeys: Int, ...keys: Many<Key>) => number>(storeNumkeys).lists(3)
    .across("zset"),
  /** Members in all sorted sets, scores weighted and added up, or as AGGREGATE says. Since 6.2.0; COUNT 8.8. */
  zinter: read<Combined<ZunionOptions>>(numkeys(1)).lists(2).empty([], 2).options(2, "WEIGHTS n", "WITHSCORES?")
    .as(withScores).across("zset"),
  /** Store the zinter of the keys in `destination`, replacing it; returns its size. Since 2.0.0. */
  zinterstore: write<CombineInto<ZunionOptions>>(storeNumkeys).lists(3).options(3, "WEIGHTS n").across("zset"),
  /** Number of members zinter would return, counting up to LIMIT (0: no limit). Since 7.0.0. */
  zintercard: read<Counted<LimitOptions>>(numkeys(1)).lists(2).empty(0, 2).options(2).across("zset"),
  /** Members in any sorted set, scores weighted and added up, or as AGGREGATE says. Since 6.2.0; COUNT 8.8. */
  zunion: read<Combined<ZunionOptions>>(numkeys(1)).lists(2).empty([], 2).options(2, "WEIGHTS n", "WITHSCORES?")
    .as(withScores).across("zset"),
  /** Store the zunion of the keys in `destination`, replacing it; returns its size. Since 2.0.0. */
  zunionstore: write<CombineInto<ZunionOptions>>(storeNumkeys).lists(3).options(3, "WEIGHTS n").across("zset"),

  // ---- Streams ----
  /**
   * Append an entry, `id` "*" or above the last; returns its id, null if NOMKSTREAM prevents that. An array of fields
   * keeps their order and repeated names; an object lists names that are whole numbers first. Since 5.0.0.
   */
  xadd: write<Adds<"NOMKSTREAM", Bulk, string, XaddOptions, [id: Arg, ...fields: Pairs[]]>>()
    .lead(2, "NOMKSTREAM?", "IDMP 2", ...TRIM).pairs(3).traits("twemproxy"),
  /** Delete the oldest entries, to MAXLEN or MINID; returns their number. Since 5.0.0; MINID 6.2; KEEPREF ... 8.2. */
  xtrim: write<(key: Key, options: Trimming & References) => number>().needs(2, ...TRIM).traits("twemproxy"),
  /** Delete entries; returns the number deleted. Since 5.0.0. */
  xdel: write<(key: Key, ...ids: Many) => number>().lists(2).empty(0).traits("twemproxy"),
  /** Delete entries, and groups' references to them; for each 1, -1 if missing, 2 if kept (ACKED). Since 8.2.0. */
  xdelex: write<(key: Key, options: XdelexOptions) => (-1 | 1 | 2)[]>().needs(2, ...REFERENCES, "IDS 1+n")
    .traits("unproxied"),
  /** Number of entries; 0 when `key` is missing. Since 5.0.0. */
  xlen: read<(key: Key) => number>().traits("twemproxy"),
  /**
   * All entries, or those from `start` to `end`: "-" and "+" are the ends, "(id" excludes. An object has the last of
   * repeated fields; with({ maps: "pairs" }) returns all fields in their order. Since 5.0.0; "(" 6.2.
   */
  xrange: read<Ranging<[start: Arg, end: Arg], CountOptions, Entry[]>>().options(4).optional(2).as(entries)
    .defaults(["-", "+"]).traits("twemproxy"),
  /** xrange from the newest down, `end` first. Since 5.0.0; "(" 6.2. */
  xrevrange: read<Ranging<[end: Arg, start: Arg], CountOptions, Entry[]>>().options(4).optional(2).as(entries)
    .defaults(["+", "-"]).traits("twemproxy"),
  /** Entries after the ids, by stream; null if there are none, even after BLOCK ms (0: forever). Since 5.0.0. */
  xread: read<(options: XreadOptions) => Record<string, Entry[]> | null>(streams).needs(1, "STREAMS n+n")
    .as(mapOf(entries)).blocks(blockOption).traits("volatile"),
  /** xread for a consumer of a group: undelivered entries for the id ">", else its own pending ones. Since 5.0.0. */
  xreadgroup: write<
    | ((options: XreadgroupOptions & Streams<">"> & { CLAIM: Int }) => Record<string, ClaimedEntry[]> | null)
    | ((options: XreadgroupOptions & { CLAIM?: undefined }) => Record<string, PendingEntry[]> | null)
    | Either<[options: XreadgroupOptions], [Record<string, (PendingEntry | ClaimedEntry)[]> | null]>
  >(streams).needs(1, "GROUP 2", "NOACK?", "STREAMS n+n").as(mapOf(list(tuple(same, map, number, number))))
    .blocks(blockOption),
  /** Remove entries from the group's pending list; returns the number removed. Since 5.0.0. */
  xack: write<(key: Key, group: Arg, ...ids: Many) => number>().lists(3).empty(0).traits("twemproxy"),
  /** xack and xdelex in one; for each 1, -1 if missing, 2 if acknowledged but not deleted (ACKED). Since 8.2.0. */
  xackdel: write<(key: Key, group: Arg, options: XdelexOptions) => (-1 | 1 | 2)[]>().needs(3, ...REFERENCES, "IDS 1+n")
    .traits("unproxied"),
  /** Return pending entries to the group; returns their number. FATAL: with 2^63 - 1 deliveries. Since 8.8.0. */
  xnack: write<(key: Key, group: Arg, mode: Token<"SILENT" | "FAIL" | "FATAL">, options: XnackOptions) => number>()
    .needs(4, "FORCE?", "IDS 1+n").traits("unproxied"),
  /** A group's pending entries: number, first and last id, number per consumer; or a range, idle in ms. Since 5.0.0. */
  xpending: read<
    ((key: Key, group: Arg) => XpendingSummary) | ((key: Key, group: Arg, ...range: PendingRange) => XpendingEntry[])
  >().lead(3).optional(3).as(upTo(2, tuple(same, same, same, list(pair)))).traits("volatile", "twemproxy"),
  /** Make `consumer` own entries idle for `minIdleTime` ms; returns these, with JUSTID their ids. Since 5.0.0. */
  xclaim: write<Ending<"JUSTID", [...Claim, id: Listed, ...more: Many], string[], Entry[], XclaimOptions>>().lists(5)
    .options(6, "FORCE?", "JUSTID?").as(when("JUSTID", same, entries)).traits("twemproxy"),
  /** xclaim of the idle entries from `start` on; next is "0-0" at the end. Since 6.2.0; deleted ids 7.0. */
  xautoclaim: write<With<"JUSTID", [...Claim, start: Arg], Claimed<string[]>, Claimed<Entry[]>, CountOptions>>()
    .options(6, "JUSTID?").as(when("JUSTID", same, tuple(same, entries, same))).traits("twemproxy"),
  /** Create a group that starts after `id` ("0": all, "$": only new); BUSYGROUP when it exists. Since 5.0.0. */
  xgroupCreate: write<(key: Key, group: Arg, id: Arg, options?: Loose<{ MKSTREAM: Flag; ENTRIESREAD: Int }>) => "OK">()
    .options(4, "MKSTREAM?"),
  /** Make the group start after another id. Since 5.0.0; ENTRIESREAD 7.0. */
  xgroupSetid: write<(key: Key, group: Arg, id: Arg, options?: Loose<{ ENTRIESREAD: Int }>) => "OK">().options(4),
  /** Remove a group and its pending entries: 1, or 0 when there is none. Since 5.0.0. */
  xgroupDestroy: write<(key: Key, group: Arg) => number>(),
  /** Add a consumer: 1, or 0 when it exists. Since 6.2.0. */
  xgroupCreateconsumer: write<(key: Key, group: Arg, consumer: Arg) => number>(),
  /** Remove a consumer; returns the number of its pending entries. Since 5.0.0. */
  xgroupDelconsumer: write<(key: Key, group: Arg, consumer: Arg) => number>(),
  /** Describes a stream; FULL: with entries and groups, up to COUNT (10; 0: all). An error if missing. Since 5.0.0. */
  xinfoStream: read<With<"FULL", [key: Key], XinfoStreamFull, XinfoStream, CountOptions>>().options(2, "FULL?")
    .as(fields({ entries, groups: mapsWith({ consumers: maps }), "first-entry": entry, "last-entry": entry }))
    .traits("volatile"),
  /** The groups of a stream; lag is null when the server cannot tell. Since 5.0.0; entries-read and lag 7.0. */
  xinfoGroups: read<(key: Key) => XinfoGroup[]>().as(maps).traits("volatile"),
  /** The consumers of a group; idle and inactive in milliseconds. Since 5.0.0; inactive 7.2. */
  xinfoConsumers: read<(key: Key, group: Arg) => XinfoConsumer[]>().as(maps).traits("volatile"),
  /** Set the seconds and the number of ids per producer that IDMP remembers; forgets current ids. Since 8.6.0. */
  xcfgset: write<(key: Key, options: Loose<{ "IDMP-DURATION": Int; "IDMP-MAXSIZE": Int }>) => "OK">().needs(2)
    .traits("unproxied"),
  /** Set an existing stream's last id, not below its last entry's; meant for replication. Since 5.0.0; options 7.0. */
  xsetid: write<(key: Key, lastId: Arg, options?: Loose<{ ENTRIESADDED: Int; MAXDELETEDID: Arg }>) => "OK">()
    .options(3).traits("twemproxy"),

  // ---- Vector sets ----
  /** Add an element or replace its vector: 1 when it is new, else 0. REDUCE precedes the vector. Since 8.0.0. */
  vadd: write<(key: Key, vector: Vector & Loose<{ REDUCE: Int }>, element: Arg, options?: VaddOptions) => number>()
    .lead(2, "VALUES 1+n").options(3, "CAS?", "NOQUANT?", "BIN?", "Q8?").as(flag).traits("unproxied"),
  /** Remove an element: 1, or 0 when there is no such element. Since 8.0.0. */
  vrem: write<(key: Key, element: Arg) => number>().as(flag).traits("unproxied"),
  /** Number of elements; 0 when `key` is missing. Since 8.0.0. */
  vcard: read<(key: Key) => number>().traits("unproxied"),
  /** The dimension of the vectors, after REDUCE; an error when `key` is missing. Since 8.0.0. */
  vdim: read<(key: Key) => number>().traits("unproxied"),
  /** 1 when `element` is in the set, else 0. Since 8.2.0. */
  vismember: read<(key: Key, element: Arg) => number>().as(flag).traits("unproxied"),
  /** An element's vector, approximately as added, or null; RAW: as stored, in a Buffer. Since 8.0.0. */
  vemb: read<With<"RAW", [key: Key, element: Arg], VembRaw | null, number[] | null>>().options(3, "RAW?")
    .as(when("RAW", tuple(text, same, number, number), numbers)).traits("binary", "unproxied"),
  /** An element's attributes, a JSON text, or null. Since 8.0.0. */
  vgetattr: read<(key: Key, element: Arg) => Bulk>().traits("unproxied"),
  /** Set an element's attributes, "" to remove them: 1, or 0 when there is no such element. Since 8.0.0. */
  vsetattr: write<(key: Key, element: Arg, json: Arg) => number>().as(flag).traits("unproxied"),
  /** A random element or null; up to `count` different ones, -3 for 3 that may repeat. Since 8.0.0. */
  vrandmember: read<((key: Key) => Bulk) | ((key: Key, count: Int) => string[])>().optional(2)
    .traits("volatile", "unproxied"),
  /** Elements by name from `start` to `end`: "[a" includes, "(a" excludes, "-" and "+" are unbounded. Since 8.4.0. */
  vrange: read<(key: Key, start?: Arg, end?: Arg, count?: Int) => string[]>().optional(2).defaults(["-", "+"])
    .traits("unproxied"),
  /** The elements most like a vector or an element, best first; scores from 1 (same) to 0 (opposite). Since 8.0.0. */
  vsim: read<
    | Adding<Query, VsimOptions, [element: string], [["WITHSCORES", [score: number]], ["WITHATTRIBS", [attribs: Bulk]]]>
    | ((...args: [...Query, options?: VsimOptions & Optional<"WITHSCORES" | "WITHATTRIBS", No>]) => string[])
  >().needs(2, "VALUES 1+n", "WITHSCORES?", "WITHATTRIBS?", "TRUTH?", "NOTHREAD?").as(similar)
    .traits("ordered", "unproxied"),
  /** An element's neighbours, layer by layer from the top, or null. Since 8.0.0. */
  vlinks: read<With<"WITHSCORES", [key: Key, element: Arg], Scored[][] | null, string[][] | null>>()
    .options(3, "WITHSCORES?").as(when("WITHSCORES", list(records(same, number)))).traits("ordered", "unproxied"),
  /** Dimension, size, quantization and graph of a vector set, or null. Since 8.0.0. */
  vinfo: read<(key: Key) => Facts | null>().as(map).traits("volatile", "unproxied"),

  // ---- Scripting ----
  /** Run a Lua script: `numkeys` keys, then other arguments; returns its result unchanged. Since 2.6.0. */
  eval: other<(script: Arg, numkeys: Int, ...args: Many) => unknown, "placed">(numkeys(2)).lists(3).traits("partly"),
  /** eval of a script that may only read, so replicas accept it. Since 7.0.0. */
  eval_ro: read<(script: Arg, numkeys: Int, ...args: Many) => unknown>(numkeys(2)).lists(3).traits("volatile"),
  /** eval by the SHA-1 digest of a cached script; NOSCRIPT when the server does not know it. Since 2.6.0. */
  evalsha: other<(sha1: Arg, numkeys: Int, ...args: Many) => unknown, "placed">(numkeys(2)).lists(3)
    .traits("partly", "digest"),
  /** evalsha of a script that may only read. Since 7.0.0. */
  evalsha_ro: read<(sha1: Arg, numkeys: Int, ...args: Many) => unknown>(numkeys(2)).lists(3).traits("volatile"),
  /** Call a function of a loaded library: `numkeys` keys, then arguments; returns its result. Since 7.0.0. */
  fcall: other<(name: Arg, numkeys: Int, ...args: Many) => unknown, "placed">(numkeys(2)).lists(3)
    .traits("partly", "unproxied"),
  /** fcall of a function flagged no-writes; an error for any other. Since 7.0.0. */
  fcall_ro: read<(name: Arg, numkeys: Int, ...args: Many) => unknown>(numkeys(2)).lists(3).traits("volatile"),
  /** Delete a library and its functions; an error when there is none of that name. Since 7.0.0. */
  functionDelete: write<(library: Arg) => "OK">(none).across("all"),
  /** All libraries as one binary payload for functionRestore, always as a Buffer. Since 7.0.0. */
  functionDump: other<() => Buffer>().traits("binary"),
  /** Delete all libraries. Since 7.0.0. */
  functionFlush: write<(options?: FlushOptions) => "OK">(none).options(1, ...FLUSH).across("all"),
  /** Stop the function that is running; NOTBUSY when none is, UNKILLABLE once it has written. Since 7.0.0. */
  functionKill: other<() => "OK">(),
  /** The libraries, or those whose names match LIBRARYNAME; WITHCODE: with their source. Since 7.0.0. */
  functionList: other<
    With<"WITHCODE", [], (FunctionLibrary & { library_code: string })[], FunctionLibrary[], Loose<{ LIBRARYNAME: Arg }>>
  >().options(1, "WITHCODE?").as(mapsWith({ functions: maps })).across("each"),
  /** Load a library; returns its name. An error when it exists, unless REPLACE, which comes first. Since 7.0.0. */
  functionLoad: write<(...args: [code: Arg] | [options: Optional<"REPLACE">, code: Arg]) => string>(none)
    .lead(1, "REPLACE?").across("all").traits("code"),
  /** Load functionDump's bytes: APPEND (the default) fails if a name exists, FLUSH deletes all first. Since 7.0.0. */
  functionRestore: write<(payload: Arg, how?: Optional<"FLUSH" | "APPEND" | "REPLACE">) => "OK">(none)
    .options(2, "FLUSH?", "APPEND?", "REPLACE?").across("all"),
  /** The running function, or null, and for each engine the numbers of libraries and functions. Since 7.0.0. */
  functionStats: other<() => { running_script: Report | null; engines: Record<string, Counts> }>()
    .as(fields({ running_script: map, engines: mapOf(map) })).across("each"),
  /** Set the debugging mode of this connection's next eval. Since 3.2.0. */
  scriptDebug: session<(mode: "YES" | "SYNC" | "NO") => "OK">("redis-cli --ldb"),
  /** For each digest 1 when that script is cached, else 0. Since 2.6.0. */
  scriptExists: other<(...sha1s: Many) => number[]>().lists(1).empty([]).across("all", least),
  /** Empty the script cache. Since 2.6.0; ASYNC and SYNC 6.2. */
  scriptFlush: other<(options?: FlushOptions) => "OK">().options(1, ...FLUSH).across("all"),
  /** Stop the script that is running; NOTBUSY when none is, UNKILLABLE once it has written. Since 2.6.0. */
  scriptKill: other<() => "OK">(),
  /** Cache a script without running it; returns its SHA-1 digest in hex. Since 2.6.0. */
  scriptLoad: other<(script: Arg) => string>().across("all").traits("code"),
  /** Source of a cached script; NOSCRIPT when it is not cached. Valkey 8.0. */
  scriptShow: other<(sha1: Arg) => string>(),

  // ---- Publish and subscribe ----
  /** Send a message to a channel; returns the number of clients of this server that received it. Since 2.0.0. */
  publish: other<(channel: Arg, message: Arg) => number, "placed">(none, one).traits("channel"),
  /** Send a message to a shard channel, on the node of its slot; returns the number of receivers. Since 7.0.0. */
  spublish: other<(shardchannel: Key, message: Arg) => number, "placed">(one).traits("channel", "unproxied"),
  /** Channels with at least one subscriber, or those that match the glob pattern. Since 2.8.0. */
  pubsubChannels: other<(pattern?: Arg) => string[]>().optional(1).across("all", joined),
  /** Number of distinct patterns with subscribers; of several servers, the highest number. Since 2.8.0. */
  pubsubNumpat: other<() => number>().across("all", most),
  /** Number of subscribers of each channel, not counting patterns. Since 2.8.0. */
  pubsubNumsub: other<(...channels: Many) => Counts>().lists(1).as(map).across("each"),
  /** Shard channels with at least one subscriber, or those that match the glob pattern. Since 7.0.0. */
  pubsubShardchannels: other<(pattern?: Arg) => string[]>().optional(1).across("all", joined),
  /** Number of subscribers of each shard channel. Since 7.0.0. */
  pubsubShardnumsub: other<(...shardchannels: Many) => Counts>().lists(1).as(map).across("each"),
  /** Listen to channels: one confirmation for each. Since 2.0.0. */
  subscribe: session<(...channels: Many) => unknown>("subscribe()").lists(1),
  /** Listen to all channels that match the glob patterns. Since 2.0.0. */
  psubscribe: session<(...patterns: Many) => unknown>("psubscribe()").lists(1),
  /** Listen to shard channels, all of one slot. Since 7.0.0. */
  ssubscribe: session<(...shardchannels: Many<Key>) => unknown>("ssubscribe()", all).lists(1),
  /** Stop listening to these channels, or to all. Since 2.0.0. */
  unsubscribe: session<(...channels: Many) => unknown>("unsubscribe() of the subscription").lists(1),
  /** Stop listening to these patterns, or to all. Since 2.0.0. */
  punsubscribe: session<(...patterns: Many) => unknown>("unsubscribe() of the subscription").lists(1),
  /** Stop listening to these shard channels, or to all. Since 7.0.0. */
  sunsubscribe: session<(...shardchannels: Many<Key>) => unknown>("unsubscribe() of the subscription", all).lists(1),

  // ---- Transactions ----
  /** Begin a transaction: later commands are queued. Since 1.2.0. */
  multi: session<() => "OK">("multi() of the handler, or commit() of a pipeline"),
  /** Run the queued commands; returns all replies, or null when a watched key has changed. Since 1.2.0. */
  exec: session<() => unknown[] | null>("execPipeline() or commit() of a pipeline, commit() of a transaction"),
  /** Drop the queued commands and all watches. Since 2.0.0. */
  discard: session<() => "OK">("multi()"),
  /** Make the next transaction fail if one of these keys changes before it. Since 2.2.0. */
  watch: session<(...keys: Many<Key>) => "OK">("watch()", all).lists(1),
  /** Forget all watched keys. Since 2.2.0. */
  unwatch: session<() => "OK">("watch()"),

  // ---- Connection ----
  /** Log in, as the default user when no name is given. Since 1.0.0; username 6.0. */
  auth: leased<(usernameOrPassword: Arg, password?: Arg) => "OK">("the password option").optional(2).traits("login"),
  /** Set whether the next command's keys are tracked, in OPTIN or OPTOUT mode. Since 6.0.0. */
  clientCaching: leased<(mode: "YES" | "NO") => "OK">(),
  /** Declare a capability of this client, such as redirect. Valkey 8.0. */
  clientCapa: leased<(...capabilities: Many) => "OK">().lists(1),
  /** Name of the connection that answers (any of the pool), or null. Since 2.6.9. */
  clientGetname: other<() => Bulk>(),
  /** Id of the client that gets this connection's invalidations: 0 for itself, -1 when not tracking. Since 6.0.0. */
  clientGetredir: other<() => number>(),
  /** The server's id of the connection that answers (any of the pool); ids only grow. Since 5.0.0. */
  clientId: other<() => number>(),
  /** Make this connection an import source, which sees expired keys. Valkey 8.1. */
  clientImportSource: leased<(state: "ON" | "OFF") => "OK">(),
  /** The line of clientList for the connection that answers. Since 6.2.0. */
  clientInfo: other<() => string>().traits("harmless"),
  /** Close the client at ip:port, or all that pass the filters (a number). Since 2.4.0; LADDR 6.2, MAXAGE (s) 7.4. */
  clientKill: other<((address: string) => "OK") | ((filters: ClientFilters) => number)>()
    .needs(1, "*!", "ID ints", "NOT-ID ints").traits("harmless"),
  /** A line of name=value words for each client that passes the filters. Since 2.4.0; TYPE 5.0, ID 6.2; rest Valkey. */
  clientList: other<(filters?: ClientFilters) => string>().options(1, "*!", "ID ints", "NOT-ID ints").across("each")
    .traits("harmless"),
  /** Exempt this connection from the eviction of clients. Since 7.0.0. */
  clientNoEvict: leased<(state: "ON" | "OFF") => "OK">(),
  /** Do not count this connection's reads as accesses to the keys. Since 7.2.0. */
  clientNoTouch: leased<(state: "ON" | "OFF") => "OK">(),
  /** Delay all clients' commands (with WRITE only writes) for `timeout` milliseconds. Since 3.0.0; WRITE 6.2. */
  clientPause: other<(timeout: Int, options?: { WRITE?: Flag; ALL?: Flag }) => "OK">().options(2, "WRITE?", "ALL?"),
  /** Turn replies on or off. Since 3.2.0. */
  clientReply: session<(mode: "ON" | "OFF" | "SKIP") => "OK">("(nothing: every command waits for its reply)"),
  /** Name the client library or its version for clientList. Since 7.2.0. */
  clientSetinfo: leased<(attribute: "LIB-NAME" | "LIB-VER", value: Arg) => "OK">().traits("harmless"),
  /** Name this connection. Since 2.6.9. */
  clientSetname: leased<(name: Arg) => "OK">("the name option"),
  /** Turn on invalidation messages, which a lease drops: REDIRECT them. An options object per PREFIX. Since 6.0.0. */
  clientTracking: leased<(state: "ON" | "OFF", ...options: TrackingOptions[]) => "OK">()
    .options(2, "BCAST?", "OPTIN?", "OPTOUT?", "NOLOOP?"),
  /** Tracking state of the connection that answers; redirect is -1 when it is not tracking. Since 6.2.0. */
  clientTrackinginfo: other<() => { flags: string[]; redirect: number; prefixes: string[] }>().as(map),
  /** Unblock a client, as if timed out or with an error; 0 when it was not blocked. Since 5.0.0. */
  clientUnblock: other<(id: Int, options?: { TIMEOUT?: Flag; ERROR?: Flag }) => number>()
    .options(2, "TIMEOUT?", "ERROR?").traits("harmless"),
  /** End clientPause. Since 6.2.0. */
  clientUnpause: other<() => "OK">(),
  /** The message itself. Since 1.0.0. */
  echo: other<(message: Arg) => string>(),
  /** Change the protocol, log in, name the connection; describes the server. NOPROTO when unknown. Since 6.0.0. */
  hello: leased<(protover?: 2 | 3, options?: HelloOptions) => Report>("the protocol option").options(2, "AUTH 2")
    .optional(1).as(fields({ modules: maps })).traits("login"),
  /** "PONG", or the message itself. Since 1.0.0; message 2.8. */
  ping: other<(() => "PONG") | ((message: Arg) => string)>().optional(1).across("each").traits("harmless", "bare"),
  /** Ask the server to close the connection. Since 1.0.0; deprecated 7.2. */
  quit: session<() => "OK">("disconnect()"),
  /** Reset the connection: RESP2, database 0, logged out. Since 6.2.0. */
  reset: leased<() => "RESET">().traits("resets", "login"),
  /** Change the database of this connection. Since 1.0.0. */
  select: leased<(index: Int) => "OK">("the dbid option"),

  // ---- Server ----
  /** The categories of commands, or the commands in one; an error when it is unknown. Since 6.0.0. */
  aclCat: other<(category?: Arg) => string[]>().optional(1),
  /** Delete users and close their connections; returns the number deleted. Since 6.0.0. */
  aclDeluser: other<(...usernames: Many) => number>().lists(1).empty(0).across("all"),
  /** OK when the user may run the command, or the reason why not. Since 7.0.0. */
  aclDryrun: other<(username: Arg, command: Arg, ...args: Many) => "OK" | (string & {})>().lists(3),
  /** A random password in hex, of 256 or `bits` bits. Since 6.0.0. */
  aclGenpass: other<(bits?: Int) => string>().optional(1),
  /** The rules of a user, or null when there is none of that name. Since 6.0.0; in this form 7.0. */
  aclGetuser: other<(username: Arg) => AclUser | null>().as(fields({ selectors: maps })),
  /** All users, each as a line of the ACL file. Since 6.0.0. */
  aclList: other<() => string[]>().across("each"),
  /** Reload the ACL file; an error changes nothing. Since 6.0.0. */
  aclLoad: other<() => "OK">(),
  /** Recent refusals, newest first, 10 or `count` entries, times in Unix ms; or clear the log. Since 6.0.0. */
  aclLog: other<((reset: Token<"RESET">) => "OK") | ((count?: Int) => Facts[])>().optional(1)
    .as(mapsWith({ "age-seconds": number })),
  /** Write the users to the ACL file. Since 6.0.0. */
  aclSave: other<() => "OK">().across("all"),
  /** Create a user or change its rules; an error in one rule changes nothing. Since 6.0.0; selectors 7.0. */
  aclSetuser: other<(username: Arg, ...rules: Many) => "OK">().lists(2).across("all"),
  /** Names of all users. Since 6.0.0. */
  aclUsers: other<() => string[]>().across("each"),
  /** Name of the user that this connection is logged in as. Since 6.0.0. */
  aclWhoami: other<() => string>().across("each"),
  /** Abort the backup that is not yet sealed. Since 8.10.0. */
  backupAbort: other<() => "OK">(),
  /** Remove the files of the sealed backup. Since 8.10.0. */
  backupCleanup: other<() => "OK">(),
  /** Paths of the backup files that are final. Since 8.10.0. */
  backupList: other<() => string[]>(),
  /** Freeze the backup: its files are complete. Since 8.10.0. */
  backupSeal: other<() => "OK">(),
  /** Begin a backup into the directory `backupdirname`, which must be empty. Since 8.10.0. */
  backupStart: other<() => "OK">(),
  /** State of the backup: idle, pending ... sealed, failed; times are Unix seconds, 0 for not yet. Since 8.10.0. */
  backupStatus: other<() => Facts>().as(fields({ start_time: number, end_time: number })),
  /** Start to rewrite the append-only file in the background. Since 1.0.0. */
  bgrewriteaof: other<() => `Background ${string}`>().across("each"),
  /** Start to save in the background; an error when busy. Since 1.0.0; SCHEDULE 3.2.2; CANCEL Valkey 8.1. */
  bgsave: other<(how?: Optional<"SCHEDULE" | "CANCEL">) => `${"Background" | "Scheduled"} ${string}`>()
    .options(1, "SCHEDULE?", "CANCEL?").across("each"),
  /** Details of all commands: arity, flags, keys, subcommands. Since 2.8.13. */
  command: other<() => CommandInfo[]>().as(list(commandInfo)),
  /** Number of commands of the server. Since 2.8.13. */
  commandCount: other<() => number>(),
  /** Documentation of these commands, or of all; omits unknown ones. Since 7.0.0. */
  commandDocs: other<(...names: Many) => Record<string, Report>>().lists(1).empty({}, 1).as(mapOf(docs)),
  /** The keys in a full command; an error when it has none. Since 2.8.13. */
  commandGetkeys: other<(command: Arg, ...args: Many) => string[]>().lists(2),
  /** The keys in a full command, each with flags of its use: RO, RW, access, update ... Since 7.0.0. */
  commandGetkeysandflags: other<(command: Arg, ...args: Many) => [key: string, flags: Line[]][]>().lists(2),
  /** Details of these commands, null for an unknown one; of all when none is named. Since 2.8.13. */
  commandInfo: other<(...names: Many) => (CommandInfo | null)[]>().lists(1).empty([], 1).as(list(commandInfo)),
  /** Names of all commands, or of one module, one ACL category or a glob pattern. Since 7.0.0. */
  commandList: other<
    (options?: Loose<{ FILTERBY: readonly [Token<"MODULE" | "ACLCAT" | "PATTERN">, Arg] }>) => string[]
  >().options(1, "FILTERBY 2"),
  /** Up to `count` (-1: all) commands that were slow, or whose request or reply was large. Valkey 8.1. */
  commandlogGet: other<(count: Int, type: CommandlogType) => LogEntry[]>(),
  /** Number of entries in that log. Valkey 8.1. */
  commandlogLen: other<(type: CommandlogType) => number>(),
  /** Clear that log. Valkey 8.1. */
  commandlogReset: other<(type: CommandlogType) => "OK">(),
  /** Configuration parameters that match the glob patterns; {} when none does. Since 2.0.0; several 7.0. */
  configGet: other<(...patterns: Many) => Fields>().lists(1).as(map).across("each"),
  /** Set the counters of info to zero. Since 2.0.0. */
  configResetstat: other<() => "OK">().across("all"),
  /** Write the configuration to the file that the server was started with. Since 2.8.0. */
  configRewrite: other<() => "OK">().across("all"),
  /** Change configuration parameters; an error changes none. Since 2.0.0; several 7.0. */
  configSet: other<(...parameters: Pairs[]) => "OK">().pairs(1).across("all"),
  /** Number of keys in the database. Since 1.0.0. */
  dbsize: read<() => number>(none).across("all", sum),
  /** For testing the server: effect and reply depend on the subcommand, which may be harmful. Since 1.0.0. */
  debug: other<(subcommand: Arg, ...args: Many) => unknown>().lists(2),
  /** Start a failover to a replica; OK means started, not done. Since 6.2.0. */
  failover: other<(options?: FailoverOptions) => "OK">().options(1, "TO 2", "FORCE?", "ABORT?"),
  /** Delete all keys of all databases. Since 1.0.0; ASYNC 4.0, SYNC 6.2. */
  flushall: write<(options?: FlushOptions) => "OK">(none).options(1, ...FLUSH).across("all"),
  /** Delete all keys of the database. Since 1.0.0; ASYNC 4.0, SYNC 6.2. */
  flushdb: write<(options?: FlushOptions) => "OK">(none).options(1, ...FLUSH).across("all"),
  /** The report since hotkeysStart, in an array; null when never started. Since 8.6.0. */
  hotkeysGet: other<() => [Report] | null>().as(mapsWith({ "by-cpu-time-us": couples, "by-net-bytes": couples })),
  /** Free what hotkeysStart collected; an error while it still collects. Since 8.6.0. */
  hotkeysReset: other<() => "OK">(),
  /** Start to collect the most expensive keys. DURATION in seconds; SAMPLE n counts one command in n. Since 8.6.0. */
  hotkeysStart: other<(options: HotkeysStartOptions) => "OK">().needs(1, "METRICS 1+n", "SLOTS 1+n"),
  /** Stop collecting and keep the report; null when nothing was being collected. Since 8.6.0. */
  hotkeysStop: other<() => "OK" | null>(),
  /** Text about the server, name:value lines under # headings; all or some sections. Since 1.0.0; several 7.0. */
  info: other<(...sections: Many) => string>().lists(1).empty("", 1).across("each"),
  /** Unix time in seconds of the last successful save. Since 1.0.0. */
  lastsave: other<() => number>().across("each"),
  /** The server's analysis of its latency events, as text. Since 2.8.13. */
  latencyDoctor: other<() => string>().across("each"),
  /** A text graph of an event's latency; an error when it has no samples. Since 2.8.13. */
  latencyGraph: other<(event: Arg) => string>(),
  /** For these commands, or all: number of calls, and a histogram of their times in microseconds. Since 7.0.0. */
  latencyHistogram: other<(...commands: Many) => Record<string, { calls: number; histogram_usec: Counts }>>().lists(1)
    .empty({}, 1).as(mapOf(fields({ histogram_usec: map }))),
  /** Up to 160 of the latest samples of an event: Unix time in seconds, latency in milliseconds. Since 2.8.13. */
  latencyHistory: other<(event: Arg) => [time: number, latency: number][]>(),
  /** For each event: when it last happened in Unix seconds, its latest and longest in milliseconds. Since 2.8.13. */
  latencyLatest: other<() => [event: string, time: number, latest: number, max: number][]>().across("each"),
  /** Forget these events, or all; returns their number. Since 2.8.13. */
  latencyReset: other<(...events: Many) => number>().lists(1).empty(0, 1).across("each"),
  /** ASCII art, and the server's version. Since 5.0.0. */
  lolwut: read<(options?: Loose<{ VERSION: Int | readonly Int[] }>) => string>(none).options(1, "VERSION ints")
    .across("each"),
  /** The server's analysis of its memory, as text. Since 4.0.0. */
  memoryDoctor: other<() => string>().across("each"),
  /** The allocator's own statistics, as text. Since 4.0.0. */
  memoryMallocStats: other<() => string>(),
  /** Ask the allocator to return memory to the system. Since 4.0.0. */
  memoryPurge: other<() => "OK">().across("each"),
  /** Memory usage: bytes, counts and ratios; db.0 and the like are objects. Since 4.0.0. */
  memoryStats: other<() => Record<string, number | Counts>>()
    .as(mapOf((reply, call) => number(map(reply, call), call))).across("each"),
  /** Memory of a key in bytes, estimated from 5 or SAMPLES nested values (0: all); null when missing. Since 4.0.0. */
  memoryUsage: read<(key: Key, options?: Loose<{ SAMPLES: Int }>) => number | null>().options(2).traits("volatile"),
  /** The loaded modules. Since 4.0.0; path and args 7.0. */
  moduleList: other<() => { name: string; ver: number; path?: string; args?: string[] }[]>().as(maps).across("each"),
  /** Load a module from a file on the server. Since 4.0.0. */
  moduleLoad: other<(path: Arg, ...args: Many) => "OK">().lists(2),
  /** moduleLoad with configuration: one options object for each CONFIG, the last with ARGS. Since 7.0.0. */
  moduleLoadex: other<(path: Arg, ...options: Loose<{ CONFIG: readonly [Arg, Arg]; ARGS: readonly Arg[] }>[]) => "OK">()
    .options(2, "ARGS n", "CONFIG 2"),
  /** Unload a module; an error when others depend on it or it has data types. Since 4.0.0. */
  moduleUnload: other<(name: Arg) => "OK">(),
  /** Turn the connection into a stream of all commands that the server receives. Since 1.0.0. */
  monitor: session<() => "OK">("monitor()"),
  /** Internal: a replica requests the stream of writes. Since 2.8.0. */
  psync: session<(replicationid: Arg, offset: Int, ...args: Many) => unknown>("(nothing: it is for servers only)")
    .lists(3),
  /** Internal: a replica introduces itself. Since 3.0.0. */
  replconf: session<(...args: Many) => unknown>("(nothing: it is for servers only)").lists(1),
  /** Make the server a replica of another, or with ("NO", "ONE") a master again. Since 5.0.0. */
  replicaof: other<(...of: [host: Arg, port: Int] | [Token<"NO">, Token<"ONE">]) => "OK" | `OK ${string}`>(),
  /** The server's role in replication; see Role. Since 2.8.12. */
  role: other<() => Role>().as(tuple(text)).across("each"),
  /** Save to disk now, which blocks all clients. Since 1.0.0. */
  save: other<() => "OK">().across("each"),
  /** Of a Sentinel: whether enough Sentinels are up to agree and to fail over. Since 2.8.12. */
  sentinelCkquorum: other<(name: Arg) => `OK ${string}`>(),
  /** Of a Sentinel: fails over now, without asking the others. Since 2.6.0. */
  sentinelFailover: other<(name: Arg) => "OK">(),
  /** Of a Sentinel: the address of a master; null when it does not know the name. Since 2.4.0. */
  sentinelGetMasterAddrByName: other<(name: Arg) => [host: string, port: string] | null>(),
  /** Of a Sentinel: all that it knows of a master, in text. Since 2.8.0. */
  sentinelMaster: other<(name: Arg) => Fields>().as(map),
  /** Of a Sentinel: all that it knows of each master, in text. Since 2.4.0. */
  sentinelMasters: other<() => Fields[]>().as(maps),
  /** Of a Sentinel: its id. Since 6.2.0. */
  sentinelMyid: other<() => string>(),
  /** Of a Sentinel: all that it knows of each replica of a master, in text. Since 5.0.0. */
  sentinelReplicas: other<(name: Arg) => Fields[]>().as(maps),
  /** Of a Sentinel: forgets what it knows of all masters with matching names; returns their number. Since 2.6.0. */
  sentinelReset: other<(pattern: Arg) => number>(),
  /** Of a Sentinel: all that it knows of each other Sentinel of a master, in text. Since 2.8.0. */
  sentinelSentinels: other<(name: Arg) => Fields[]>().as(maps),
  /** Delete all keys in ranges of slots, [first, last] each, options last; returns those flushed. Since 8.0.0. */
  sflush: write<(...ranges: [...Ranges, ...options: [] | [FlushOptions]]) => [first: number, last: number][]>(none)
    .lists(1).options(2, ...FLUSH),
  /** Save if so configured, then exit: the connection ends. OK only when ABORT cancels one. Since 1.0.0; NOW 7.0. */
  shutdown: other<(options?: Optional<"NOSAVE" | "SAVE" | "NOW" | "FORCE" | "ABORT">) => "OK">()
    .options(1, "NOSAVE?", "SAVE?", "NOW?", "FORCE?", "ABORT?"),
  /** The old name of replicaof. Since 1.0.0; deprecated 5.0. */
  slaveof: other<(...of: [host: Arg, port: Int] | [Token<"NO">, Token<"ONE">]) => "OK" | `OK ${string}`>(),
  /** The 10 or `count` (-1: all) latest slow commands. Since 2.2.12; argc 8.10. */
  slowlogGet: other<(count?: Int) => LogEntry[]>().optional(1).across("each"),
  /** Number of entries in the slow log. Since 2.2.12. */
  slowlogLen: other<() => number>().across("each"),
  /** Clear the slow log. Since 2.2.12. */
  slowlogReset: other<() => "OK">().across("each"),
  /** Exchange two databases, for all clients at once. Since 4.0.0. */
  swapdb: write<(index1: Int, index2: Int) => "OK">(none),
  /** Internal: an old replica requests the stream of writes. Since 1.0.0. */
  sync: session<() => unknown>("(nothing: it is for servers only)"),
  /** The server's clock: Unix seconds, and microseconds of that second. Since 2.6.0. */
  time: other<() => [seconds: string, microseconds: string]>().across("each"),

  // ---- Cluster ----
  /** Accept the next command although its slot is still being imported. Since 3.0.0. */
  asking: leased<() => "OK">(),
  /** Assign these slots to this node; an error when one is assigned. Since 3.0.0. */
  clusterAddslots: other<(...slots: Many<Int>) => "OK">().lists(1),
  /** clusterAddslots for ranges, [first, last] each. Since 7.0.0. */
  clusterAddslotsrange: other<(...ranges: Many<Int>) => "OK">().lists(1),
  /** Advance the configuration epoch. Since 3.0.0. */
  clusterBumpepoch: other<() => `BUMPED ${number}` | `STILL ${number}`>(),
  /** Cancel all slot migrations that began on this node. Valkey 9.0. */
  clusterCancelslotmigrations: other<() => "OK">(),
  /** Number of nodes that report `node` as failing. Since 3.0.0. */
  clusterCountFailureReports: other<(node: Arg) => number>(),
  /** Number of keys of this node in the slot. Since 3.0.0. */
  clusterCountkeysinslot: other<(slot: Int) => number>(),
  /** Make this node forget which nodes serve these slots. Since 3.0.0. */
  clusterDelslots: other<(...slots: Many<Int>) => "OK">().lists(1),
  /** clusterDelslots for ranges, [first, last] each. Since 7.0.0. */
  clusterDelslotsrange: other<(...ranges: Many<Int>) => "OK">().lists(1),
  /** Make this replica the master; FORCE without the old one's help, TAKEOVER even without a vote. Since 3.0.0. */
  clusterFailover: other<(options?: { FORCE?: Flag; TAKEOVER?: Flag }) => "OK">().options(1, "FORCE?", "TAKEOVER?"),
  /** Delete all keys of a slot. Valkey 9.0. */
  clusterFlushslot: write<(slot: Int, options?: FlushOptions) => "OK">(none).options(2, ...FLUSH),
  /** Make this node, which must be empty, forget all slots. Since 3.0.0. */
  clusterFlushslots: other<() => "OK">(),
  /** Remove a node from this one's list, and keep it out for a minute. Since 3.0.0. */
  clusterForget: other<(node: Arg) => "OK">(),
  /** Up to `count` keys of this node in the slot. Since 3.0.0. */
  clusterGetkeysinslot: other<(slot: Int, count: Int) => string[]>(),
  /** Current and recent slot migrations; times are Unix seconds. Valkey 9.0. */
  clusterGetslotmigrations: other<() => Facts[]>().as(maps),
  /** The state of the cluster as this node sees it, in name:value lines. Since 3.0.0. */
  clusterInfo: other<() => string>(),
  /** The slot of a key, or of its hash tag. Since 3.0.0. */
  clusterKeyslot: other<(key: Key) => number>(),
  /** The links to and from other nodes, two per node; create-time in Unix milliseconds. Since 7.0.0. */
  clusterLinks: other<() => Facts[]>().as(maps),
  /** Introduce another node by its address; OK means only that it will try. Since 3.0.0; cluster bus port 4.0. */
  clusterMeet: other<(ip: Arg, port: Int, clusterBusPort?: Int) => "OK">().optional(3),
  /** Move slots to these nodes, in the background. Valkey 9.0. */
  clusterMigrateslots: other<(...moves: { SLOTSRANGE: Many<Int>; NODE: string }[]) => "OK">()
    .options(1, "SLOTSRANGE ints"),
  /** IMPORT ranges of slots to this node (a task id), CANCEL tasks (their number), or their STATUS. Since 8.4.0. */
  clusterMigration: other<
    | ((action: Token<"IMPORT">, ...ranges: Many<Int>) => string)
    | ((action: Token<"CANCEL">, tasks: Loose<{ ID: Arg; ALL: Flag }>) => number)
    | ((action: Token<"STATUS">, tasks?: Loose<{ ID: Arg; ALL: Flag }>) => Facts[])
  >().lists(2).options(2, "ALL?").as(maps),
  /** Id of this node. Since 3.0.0. */
  clusterMyid: other<() => string>(),
  /** Id of the shard this node belongs to. Since 7.2.0. */
  clusterMyshardid: other<() => string>(),
  /** All nodes as this one sees them, one per line in the format of nodes.conf. Since 3.0.0. */
  clusterNodes: other<() => string>(),
  /** A master's replicas, one per line as in clusterNodes. Since 5.0.0. */
  clusterReplicas: other<(node: Arg) => string[]>(),
  /** Make this node a replica of another. Since 3.0.0. */
  clusterReplicate: other<(node: Arg) => "OK">(),
  /** Leave the cluster; HARD with a new id and epoch 0 as well. A master must be empty. Since 3.0.0. */
  clusterReset: other<(options?: { HARD?: Flag; SOFT?: Flag }) => "OK">().options(1, "HARD?", "SOFT?"),
  /** Write nodes.conf to disk. Since 3.0.0. */
  clusterSaveconfig: other<() => "OK">(),
  /** Set the epoch of a node that is new and knows no others. Since 3.0.0. */
  clusterSetConfigEpoch: other<(epoch: Int) => "OK">(),
  /** Mark a slot as importing, migrating, STABLE, or owned by NODE. Since 3.0.0; TIMEOUT Valkey 8.0. */
  clusterSetslot: other<(slot: Int, options: ClusterSetslotOptions) => "OK">().needs(2, "STABLE?"),
  /** Shards with their nodes and slots, [first, last, ...]; endpoint null or "": the host you asked. Since 7.0.0. */
  clusterShards: other<() => { slots: number[]; nodes: Record<string, Bulk | number>[] }[]>()
    .as(mapsWith({ nodes: maps })),
  /** The old name of clusterReplicas. Since 3.0.0; deprecated 5.0. */
  clusterSlaves: other<(node: Arg) => string[]>(),
  /** Usage of each slot of this node: key-count and, if configured, time and traffic. Since 8.2.0; Valkey 8.0. */
  clusterSlotStats: other<(options: ClusterSlotStatsOptions) => [slot: number, stats: Counts][]>()
    .needs(1, "SLOTSRANGE 2", "ASC?", "DESC?").as(entries).across("each"),
  /** Ranges of slots, each with its master, then its replicas; host null: the one you asked. Since 3.0.0. */
  clusterSlots: other<() => [first: number, last: number, ...nodes: ClusterSlotsNode[]][]>()
    .as(list(list(tuple(same, same, same, map)))),
  /** Internal: two nodes transfer slots. Since 8.4.0; Valkey 9.0. */
  clusterSyncslots: session<(action: Arg, ...args: Many) => unknown>("(nothing: it is for servers only)").lists(2),
  /** Some keys of the cluster, and the cursor for the next call, "0" at the end. Valkey 9.1. */
  clusterscan: read<
    (...args: [...Leading<[cursor: Arg]>, options?: ScanOptions & Loose<{ TYPE: Arg; SLOT: Int }>]) => Page<string[]>
  >().options(2).optional(1).defaults([0]).traits("unproxied"),
  /** Let this replica in a cluster answer reads. Since 3.0.0. */
  readonly: leased<() => "OK">(),
  /** Undo readonly. Since 3.0.0. */
  readwrite: leased<() => "OK">(),
} satisfies Record<string, Row>;

// ---- Options and replies, in the manual's words ----

/** A number with a fraction; text keeps digits that a double would lose. */
export type Float = number | string;
/** Replies of TYPE. Modules name their own types, mostly with a dash: "ReJSON-RL". */
export type KeyType =
  | "none" | "string" | "list" | "set" | "zset" | "hash" | "stream" | "array" | "vectorset" | `${string}-${string}`;
/** A simple string, which is never a Buffer. The compiler can tell this type from `string`. */
export type Line = Uppercase<string> | Lowercase<string> | `${string} ${string}`;

/** A word of the manual, in capitals or not: the server takes both. */
type Token<T extends string> = T | Lowercase<T>;
/** Excludes an option that another overload requires: the compiler chooses the order of overloads. */
type No = false | undefined;
/** Options that are conditions, and refuse undefined, which would drop them. */
type Conditions<T> = { [N in keyof T]?: Exclude<T[N], undefined> };
/** Arguments of calls that may match any other signature, { WITHSCORES: flag }, and the replies of those signatures. */
type Either<A extends unknown[], Replies extends unknown[]> = { readonly args: A; readonly replies: Replies };
/** Arguments that a call may omit from the end: [a, b], [a] or []. */
type Leading<A extends unknown[]> = A extends [...infer Rest, unknown] ? OrNone<A> | Leading<Rest> : [];
type OrNone<A extends unknown[]> = { [I in keyof A]: A[I] | undefined };
/** A command that returns a range of the value at a key, by default all of it. */
type Ranging<A extends unknown[], O, R> = (...args: [key: Key, ...Leading<A>, options?: O]) => R;
/** T, whose entries may all be omitted or undefined. */
type Loose<T> = { [N in keyof T]?: T[N] | undefined };
/** Options with these names. */
type Optional<N extends string, Value = Flag> = { [Name in N]?: Value | undefined };
/** The two signatures of many rows: with option N set to V the reply is Y, otherwise Z; O has the other options. */
type With<N extends string, A extends unknown[], Y, Z, O = unknown, V = true> =
  | ((...args: [...A, options: O & { [Name in N]: V }]) => Y)
  | ((...args: [...A, options?: O & Optional<N, Not<V>>]) => Z)
  | Either<[...A, options: O & Optional<N, V | Not<V>>], [Y, Z]>;
/** Excludes an option that takes true, or another value. */
type Not<V> = V extends true ? No : undefined;
/** Like With, for commands that take any number of arguments before the options. */
type Ending<N extends string, A extends unknown[], Y, Z, O> =
  | ((...args: [...A, options: O & { [Name in N]: true }]) => Y)
  | ((...args: [...A, ...options: [] | [O & Optional<N, No>]]) => Z)
  | Either<[...A, options: O & Optional<N>], [Y, Z]>;
type WithScores<A extends unknown[], O = unknown> = With<"WITHSCORES", A, Scored[], string[], O>;
/** Like With, for commands whose options precede `Items`, or `Item` with option N. */
type Adds<N extends string, Y, Z, O, Items extends unknown[], Item extends unknown[] = Items> =
  | ((key: Key, options: O & { [Name in N]: true }, ...items: Item) => Y)
  | ((key: Key, options: O & Optional<N, No>, ...items: Items) => Z)
  | ((key: Key, ...items: Items) => Z)
  | Either<[key: Key, options: O & Optional<N>, ...items: Item], [Y, Z]>;
/** The calls with options in Parts, each of which adds its part to every item of the reply. */
type Adding<A extends unknown[], O, Item extends unknown[], Parts extends [string, unknown[]][]> =
  | Added<A, O, Item, Parts>
  | Either<[...A, options: O & Optional<Parts[number][0]>], [AnyAdded<Item, Parts>]>;
type Added<A extends unknown[], O, Item extends unknown[], Parts> =
  Parts extends [[infer N extends string, infer Part extends unknown[]], ...infer Rest]
    ? Added<A, O & { [Name in N]: true }, [...Item, ...Part], Rest> | Added<A, O & { [Name in N]?: No }, Item, Rest>
    : Item extends [unknown] ? never : (...args: [...A, options: O]) => Item[];
type AnyAdded<Item extends unknown[], Parts> =
  Parts extends [[string, infer Part extends unknown[]], ...infer Rest]
    ? AnyAdded<[...Item, ...Part], Rest> | AnyAdded<Item, Rest>
    : Item extends [infer Only] ? Only[] : Item[];

/** Time to live in seconds (EX) or ms (PX), or a Unix time in either (EXAT, PXAT). Set only one; undefined is never. */
export type Expiry = Optional<"EX" | "PX" | "EXAT" | "PXAT", Int>;
/** Conditions on the current value or on its digest: equal or not. */
export type Compare = Conditions<Optional<"IFEQ" | "IFNE" | "IFDEQ" | "IFDNE", Arg>>;
/** Conditions: no expiry is set (NX), one is set (XX), the new one is later (GT), the new one is earlier (LT). */
export type ExpireOptions = Optional<"NX" | "XX" | "GT" | "LT">;
/** Options of SCAN, SSCAN, HSCAN and ZSCAN. COUNT is a hint about the amount of work per call. */
export type ScanOptions = Loose<{ MATCH: Arg; COUNT: Int }>;
type Page<T> = [cursor: string, page: T];
type Limit = readonly [offset: Int, count: Int];
export type SortRoOptions = Loose<{ BY: Arg; LIMIT: Limit; GET: Arg }> & Optional<"ASC" | "DESC" | "ALPHA">;
/** Options of SORT. Each GET after the first needs another options object; STORE must be in the last one. */
export interface SortOptions extends SortRoOptions { STORE?: Key | undefined }
type SortInto = (key: Key, ...options: [...SortOptions[], last: SortOptions & { STORE: Key }]) => number;
type Sorted<O> =
  | ((key: Key, options: O & { GET: Arg }, ...more: O[]) => Bulk[])
  | ((key: Key, options?: O & { GET?: undefined }) => string[])
  | Either<[key: Key, ...options: O[]], [Bulk[]]>;
/** Options of RESTORE. ABSTTL: the time to live is a Unix time in milliseconds. IDLETIME in seconds. */
export type RestoreOptions = Loose<{ REPLACE: Flag; ABSTTL: Flag; IDLETIME: Int; FREQ: Int }>;
/** KEYS comes last. AUTH (a password) since 4.0.7, AUTH2 (a user's name and password) since 6.0. */
export type MigrateOptions = Optional<"COPY" | "REPLACE"> &
  Loose<{ AUTH: Arg; AUTH2: readonly [username: Arg, password: Arg]; KEYS: Key | Readonly<Many<Key>> }>;

/** NX: only if the key is missing; XX: only if it exists. KEEPTTL since 6.0, GET 6.2, NX with GET 7.0, IF... 8.4. */
export interface SetOptions extends Expiry, Compare { NX?: Flag; XX?: Flag; GET?: Flag; KEEPTTL?: Flag }
export type GetexOptions = Expiry & { PERSIST?: Flag };
export type MsetexOptions = Expiry & Optional<"NX" | "XX" | "KEEPTTL">;
export type IncrexOptions = Expiry & Optional<"SATURATE" | "PERSIST" | "ENX"> &
  Optional<"LBOUND" | "UBOUND", Int | Float> & Loose<{ BYINT: Int; BYFLOAT: Float }>;
/** MINMATCHLEN and WITHMATCHLEN need IDX. */
export type LcsOptions = Loose<{ LEN: Flag; IDX: Flag; MINMATCHLEN: Int; WITHMATCHLEN: Flag }>;
/** A common piece: its range in the first string and in the second; its length with WITHMATCHLEN. */
export type LcsMatch = [first: [start: number, end: number], second: [start: number, end: number], length?: number];

export type BitOperation = Token<"AND" | "OR" | "XOR" | "NOT" | "DIFF" | "DIFF1" | "ANDOR" | "ONE">;
/** A number in a bitmap: its width, "u8" or "i16" ..., and its first bit, or "#2" for the third of this width. */
export type BitfieldPlace = readonly [encoding: string, offset: Int | string];
/** One step of BITFIELD. OVERFLOW, before SET or INCRBY, applies to all that follow. */
export type BitfieldOperation = Loose<{ GET: BitfieldPlace; OVERFLOW: Token<"WRAP" | "SAT" | "FAIL"> }> &
  Optional<"SET" | "INCRBY", readonly [...BitfieldPlace, value: Int]>;

export type GeoUnit = Token<"M" | "KM" | "MI" | "FT">;
export type Coordinates = [longitude: number, latitude: number];
export type GeoItem = readonly [longitude: Float, latitude: Float, member: Arg];
export type GeoaddOptions = Optional<"NX" | "XX" | "CH">;
type GeoOrder = Optional<"ASC" | "DESC" | "ANY"> & CountOptions;
/** Options of GEOSEARCH besides WITH...: one FROM... and one BY... (BYPOLYGON needs no FROM), and the order. */
export type GeosearchOptions = GeoOrder & Loose<{
  FROMMEMBER: Arg; FROMLONLAT: readonly [longitude: Float, latitude: Float];
  BYRADIUS: readonly [radius: Float, unit: GeoUnit]; BYBOX: readonly [width: Float, height: Float, unit: GeoUnit];
  BYPOLYGON: readonly [vertices: number, ...coordinates: (Many<Float>[number] | readonly [Float, Float])[]];
}>;
export interface GeoradiusOptions extends GeoOrder { STORE?: undefined; STOREDIST?: undefined }
/** GeoradiusOptions with a destination, which excludes WITH... */
export type GeoradiusStoreOptions = GeoOrder & ({ STORE: Key } | { STOREDIST: Key });
type AroundPoint = [key: Key, longitude: Float, latitude: Float, radius: Float, unit: GeoUnit];
type AroundMember = [key: Key, member: Arg, radius: Float, unit: GeoUnit];
/** The calls of GEOSEARCH and the like: WITH... extends each member; distances are in the unit of the area. */
type GeoFind<A extends unknown[], O> =
  | Adding<A, O, [member: string],
      [["WITHDIST", [distance: number]], ["WITHHASH", [hash: number]], ["WITHCOORD", [coordinates: Coordinates]]]>
  | ((...args: [...A, options: O & Optional<"WITHDIST" | "WITHHASH" | "WITHCOORD", No>]) => string[]);
type GeoradiusRo<A extends unknown[]> = GeoFind<A, GeoradiusOptions> | ((...args: A) => string[]);
type Georadius<A extends unknown[]> = GeoradiusRo<A> | ((...args: [...A, options: GeoradiusStoreOptions]) => number);

/** Some fields of a hash: their number, then their names. Comes last among the options. */
export type FieldsOption = { FIELDS: readonly [numfields: number, ...fields: Many] };
export type HexpireOptions = ExpireOptions & FieldsOption;
/** FIELDS: their number, then alternating names and values. FNX: only if none of them exists, FXX: only if all do. */
export type HsetexOptions = Expiry & Optional<"FNX" | "FXX" | "KEEPTTL"> &
  { FIELDS: readonly [numfields: number, ...namesAndValues: (Arg | readonly [name: Arg, value: Arg])[]] };

type Indexed = [index: number, value: string];
type ArgrepOf = [key: Key, start: Arg, end: Arg, ...tests: (ArgrepTest & { WITHVALUES?: No })[]];
/** Tests of ARGREP: any must match, with AND all. To repeat a test, add another object; WITHVALUES is in the last. */
export type ArgrepTest = Optional<"EXACT" | "MATCH" | "GLOB" | "RE", Arg> & Loose<{ LIMIT: Int }> &
  Optional<"AND" | "OR" | "WITHVALUES" | "NOCASE">;

/** An end of a list: LEFT is the head. */
export type End = Token<"LEFT" | "RIGHT">;
export type CountOptions = Loose<{ COUNT: Int }>;
/** The calls of LMPOP and the like, which pop COUNT elements from one end of the first of `keys` that is not empty. */
type PopFrom<A extends unknown[], Where, T> =
  (...args: [...A, numkeys: Int, ...keys: Many<Key>, where: Where, ...options: [] | [CountOptions]]) =>
    [key: string, popped: T] | null;
type Waiting<R> = (...args: [...keys: Many<Key>, timeout: number] | [keys: Key | readonly Key[]]) => R | null;
type Move = [source: Key, destination: Key, wherefrom: End, whereto: End];
type Counted<O> = (numkeys: Int, ...keysAndOptions: [...keys: Many<Key>, ...options: [] | [O]]) => number;
/** Upper bound of a count; 0 for no limit. */
export type LimitOptions = Loose<{ LIMIT: Int }>;
/** Options of LPOS: RANK 2 starts at the second match, -1 at the last; MAXLEN limits the number of comparisons. */
export type LposOptions = Optional<"RANK" | "COUNT" | "MAXLEN", Int>;
/** Number of elements for LMOVEM (COUNT or EXACTLY); moved one by one (OBO), or in their order (BULK). */
export type LmovemOptions = Loose<{ COUNT: Int; EXACTLY: Int; OBO: Flag; BULK: Flag }>;

/** Arguments of ZADD: [1, "a"], ["-inf", "b"]. */
export type ScoreMember = readonly [score: Arg, member: Arg];
type ScoreMembers = (ScoreMember | readonly ScoreMember[])[];
export type ZaddOptions = Optional<"NX" | "XX" | "GT" | "LT" | "CH" | "INCR">;
export type ZrangeOptions = Loose<{ BYSCORE: Flag; BYLEX: Flag; REV: Flag; LIMIT: Limit }>;
/** Options of ZINTER, ZUNION and their STORE forms: a weight for each key. */
export type ZunionOptions = Loose<{ WEIGHTS: readonly Arg[]; AGGREGATE: Token<"SUM" | "MIN" | "MAX" | "COUNT"> }>;
type Rank = With<"WITHSCORE", [key: Key, member: Arg], [rank: number, score: number] | null, number | null>;
type Combined<O> = Ending<"WITHSCORES", [numkeys: Int, ...keys: Many<Key>], Scored[], string[], O>;
type CombineInto<O> =
  (destination: Key, numkeys: Int, ...keysAndOptions: [...keys: Many<Key>, ...options: [] | [O]]) => number;

/** References of groups to a deleted entry stay (the default) or go; ACKED deletes only acknowledged entries. */
type References = Optional<"KEEPREF" | "DELREF" | "ACKED">;
/** Length to trim to: 1000 or ["=", 1000] exactly, ["~", 1000] roughly but faster; LIMIT (with "~") per call. */
type Trimming = Loose<{ MAXLEN: Int | readonly ["=" | "~", Int]; MINID: Arg | readonly ["=" | "~", Arg]; LIMIT: Int }>;
/** NOMKSTREAM, MINID, LIMIT since 6.2; KEEPREF, DELREF, ACKED 8.2; IDMP and IDMPAUTO, against duplicates, 8.6. */
export type XaddOptions = References & Trimming &
  Loose<{ NOMKSTREAM: Flag; IDMPAUTO: Arg; IDMP: readonly [pid: Arg, iid: Arg] }>;
/** IDS: their number, then the ids: [2, "1-0", "2-0"]. */
export type XdelexOptions = References & { IDS: readonly [numids: Int, ...ids: Many] };
/** Options of XNACK; RETRYCOUNT and FORCE are for the server's own use. */
export type XnackOptions = Pick<XdelexOptions, "IDS"> & Loose<{ RETRYCOUNT: Int; FORCE: Flag }>;
/** Keys, and for each the id to read after: "$" for new entries only, "+" for the last entry (7.4). */
type Streams<Id> = { STREAMS: readonly [keys: Key | readonly Key[], ids: Id | readonly Id[]] };
/** STREAMS comes last: ["k", "$"] or [["j", "k"], [0, 0]]. BLOCK in milliseconds. MAXCOUNT, MAXSIZE (bytes) 8.10. */
export type XreadOptions = Streams<Arg> & Optional<"COUNT" | "MAXCOUNT" | "MAXSIZE" | "BLOCK", Int>;
/** STREAMS comes last. CLAIM (8.4), in milliseconds, adds pending entries idle for that time. */
export type XreadgroupOptions = XreadOptions &
  { GROUP: readonly [group: Arg, consumer: Arg]; CLAIM?: Int | undefined; NOACK?: Flag };
/** An entry of XREADGROUP; its fields are null when it is pending but has been deleted. */
export type PendingEntry = [id: string, fields: Fields | null];
/** An entry read with CLAIM: milliseconds since its last delivery, and number of deliveries; 0 and 0 if it is new. */
export type ClaimedEntry = [id: string, fields: Fields, idle: number, deliveries: Int];
/** Reply of XPENDING for a whole group; null for ids and consumers when nothing is pending. */
export type XpendingSummary =
  [pending: number, first: Bulk, last: Bulk, consumers: [name: string, pending: number][] | null];
export type XpendingEntry = [id: string, consumer: string, idle: number, deliveries: Int];
type PendingRange = [...[] | [options: { IDLE: Int }], start: Arg, end: Arg, count: Int, consumer?: Arg];
type Claim = [key: Key, group: Arg, consumer: Arg, minIdleTime: Int];
type Claimed<T> = [next: string, claimed: T, deleted: string[]];
/** Options of XCLAIM; IDLE in milliseconds, TIME a Unix time in milliseconds. */
export type XclaimOptions = Loose<{ IDLE: Int; TIME: Int; RETRYCOUNT: Int; FORCE: Flag; JUSTID: Flag; LASTID: Arg }>;

type StreamFacts = Record<"length" | "radix-tree-keys" | "radix-tree-nodes" | "entries-added", number> &
  Record<"last-generated-id" | "max-deleted-entry-id" | "recorded-first-entry-id", string>;
/** Reply of XINFO STREAM; newer servers add fields. */
export type XinfoStream = StreamFacts & { groups: number; "first-entry": Entry | null; "last-entry": Entry | null };
/** XINFO STREAM FULL: its groups have names, pending entries and consumers. Times are Unix times in milliseconds. */
export type XinfoStreamFull = StreamFacts & { entries: Entry[]; groups: Report[] };
export type XinfoGroup = {
  name: string; consumers: number; pending: number; "last-delivered-id": string;
  "entries-read": number | null; lag: number | null; "nacked-count"?: number;
};
export type XinfoConsumer = { name: string; pending: number; idle: number; inactive?: number };

/** A vector: numbers after their count, [2, 0.5, 1], or 32-bit floats, little-endian: a Float32Array. */
export type Vector = { VALUES: readonly [count: Int, ...values: Many] } | { FP32: Bytes };
export type VsimQuery = Vector | { ELE: Arg };
type Query = [key: Key, query: VsimQuery];
export type VaddOptions = Optional<"CAS" | "NOQUANT" | "BIN" | "Q8"> & Loose<{ EF: Int; SETATTR: Arg; M: Int }>;
/** Options of VSIM; EPSILON is a distance from 0 to 1. */
export type VsimOptions = Optional<"WITHSCORES" | "WITHATTRIBS" | "TRUTH" | "NOTHREAD"> &
  Optional<"COUNT" | "EF" | "FILTER-EF", Int> & Loose<{ EPSILON: Arg; FILTER: Arg }>;
/** Reply of VEMB RAW: only int8 has a range. */
export type VembRaw = [quantization: "fp32" | "bin" | "int8", data: Buffer, norm: number, range?: number];

type Ranges = [range: Listed<Int>, ...more: Many<Int>];
/** Options of FLUSHALL and the like: delete in the background (ASYNC), or before the reply (SYNC). */
export type FlushOptions = { ASYNC?: Flag; SYNC?: Flag };
type HelloOptions = Loose<{ AUTH: readonly [username: Arg, password: Arg]; SETNAME: Arg }>;
export type TrackingOptions = Optional<"BCAST" | "OPTIN" | "OPTOUT" | "NOLOOP"> & Loose<{ REDIRECT: Int; PREFIX: Arg }>;
type ClientFilter = Optional<"ADDR" | "LADDR" | "IP" | "FLAGS" | "CAPA", string> &
  Optional<"USER" | "NAME" | "LIB-NAME" | "LIB-VER", Arg> & Loose<{ DB: Int; ID: Int | readonly Int[] }> &
  Loose<{ TYPE: Token<"NORMAL" | "MASTER" | "SLAVE" | "REPLICA" | "PRIMARY" | "PUBSUB"> }>;
/** Filters of CLIENT LIST and KILL; all must match. Redis: ID, TYPE; KILL also USER, ADDR, LADDR, SKIPME, MAXAGE. */
export type ClientFilters = Conditions<
  ClientFilter & Loose<{ SKIPME: Token<"YES" | "NO">; MAXAGE: Int; IDLE: Int }> &
  { [N in keyof ClientFilter as `NOT-${N}`]: ClientFilter[N] }
>;
export type CommandlogType = Token<"SLOW" | "LARGE-REQUEST" | "LARGE-REPLY">;
/** Options of FAILOVER: FORCE needs TO and TIMEOUT, which is in milliseconds. */
export type FailoverOptions = Loose<{ TO: readonly [host: Arg, port: Int]; FORCE: Flag; ABORT: Flag; TIMEOUT: Int }>;
/** Options of HOTKEYS START, METRICS first, each list after its count: { METRICS: [1, "CPU"], SLOTS: [1, 42] }. */
export type HotkeysStartOptions = Optional<"COUNT" | "DURATION" | "SAMPLE", Int> &
  { METRICS: readonly [count: Int, ...metrics: Token<"CPU" | "NET">[]] } &
  Loose<{ SLOTS: readonly [count: Int, ...slots: Int[]] }>;
/** Options of CLUSTER SETSLOT: the id of a node, or STABLE; TIMEOUT in milliseconds. */
export type ClusterSetslotOptions = Loose<{ IMPORTING: Arg; MIGRATING: Arg; NODE: Arg; STABLE: Flag; TIMEOUT: Int }>;
/** Options of CLUSTER SLOT-STATS: slots from first to last, or ordered by one of the statistics. */
export type ClusterSlotStatsOptions = { SLOTSRANGE: readonly [first: Int, last: Int] } |
  { ORDERBY: string; LIMIT?: Int | undefined; ASC?: Flag; DESC?: Flag };

// Reports of servers about themselves: numbers, plain values or nested values, by name. They vary between versions.
export type Counts = Record<string, number>;
export type Facts = Record<string, string | number>;
export type Report = Record<string, unknown>;
/** Reply of COMMAND INFO for one command; a negative arity is a minimum. Redis 6 ends with the ACL categories. */
export type CommandInfo = [
  name: string, arity: number, flags: Line[], firstKey: number, lastKey: number, step: number,
  aclCategories: Line[], tips: string[], keySpecs: Report[], subcommands: unknown[][],
];
/** A library of functions; the engine is LUA. */
export type FunctionLibrary =
  { library_name: string; engine: string; functions: { name: string; description: Bulk; flags: Line[] }[] };
type AclRules = { commands: string; keys: string; channels: string; databases?: string };
/** Rules of a user as in the ACL file; passwords as SHA-256 in hex; databases since Valkey 9.1. */
export type AclUser = AclRules & { flags: string[]; passwords: string[]; selectors: AclRules[] };
/** A logged command: Unix seconds; microseconds (or bytes, if large); its first arguments; their number (8.10). */
export type LogEntry =
  [id: number, time: number, cost: number, args: string[], address: string, name: string, argc?: number];
/** Reply of ROLE: a master's offset and replicas, a replica's master and offset, a Sentinel's masters. */
export type Role =
  | [role: "master", offset: number, replicas: [host: string, port: string, offset: string][]]
  | [role: "slave", host: string, port: number, state: string, offset: number]
  | [role: "sentinel", masters: string[]];
/** A node in CLUSTER SLOTS; the id since 4.0, the metadata (ip, hostname) since 7.0. */
export type ClusterSlotsNode = [host: Bulk, port: number, id: string, metadata: Fields];

// ==== 5. Commander ====
//
// A Commander has every row of the table as a method, and sends calls with give(). A Command is one call: its words,
// its promise and its state. A View holds the options of a call: deadline, charset, signal. To add a kind of handler,
// extend Commander and implement give().

type Signatures = typeof commands;
type Overloads<U> = (U extends unknown ? (u: U) => void : never) extends (i: infer I) => void ? I : never;
/** Names and values in an object; of any type, because an interface is not assignable to a Record. */
type ValuesOf<T> = object & { readonly [N in keyof T]: Arg | undefined } &
  { readonly [Symbol.iterator]?: never; readonly [Symbol.hasInstance]?: never }; // lists and functions have these
/** A method; a parameter of type Pairs also accepts an object whose type is an interface. */
type Method<A extends unknown[], Result> =
  [Pairs] extends [A[number]] ? <T extends ValuesOf<T>>(...args: WithValues<A, T>) => Result : (...args: A) => Result;
type WithValues<A extends unknown[], T> = { [I in keyof A]: [Pairs] extends [A[I]] ? A[I] | T : A[I] };
/** The compiler takes the first overload that fits a call, so the ones in Either come last. */
type Later<F, Text, To = Reach> = Overloads<Promised<Exclude<F, AnyEither>, Text, To>> &
  Overloads<Promised<Extract<F, AnyEither>, Text, To>>;
type AnyEither = Either<any, any>;
type Promised<F, Text, To> =
  F extends (...args: infer A) => infer R ? Method<A, Promise<FromEach<Reply<R, Text>, To>>>
  : F extends Either<infer A, infer Replies> ? Method<A, Promise<FromEach<AnyReply<Replies, Text>, To>>> : never;
type FromEach<R, To> = [To] extends ["each"] ? Record<string, R> : R;
/** Decodes each type by itself: in a union with `string`, the compiler loses "OK", which is never bytes. */
type AnyReply<Replies extends unknown[], Text> = { [I in keyof Replies]: Reply<Replies[I], Text> }[number];
/** A reply whose text is of type `Text`; maps become pairs where text may be bytes, because bytes cannot be names. */
type Reply<R, Text> = [Text] extends [string] ? R
  : [Text] extends [InPairs<infer T>] ? Decoded<R, T, "pairs">
  : Decoded<R, Text, string extends Text ? "objects" : "pairs">;
type Decoded<R, Text, M> =
  R extends string ? (string extends R ? Text : R)
  : R extends readonly unknown[] ? { [I in keyof R]: Decoded<R[I], Text, M> }
  : R extends ReplyError | Buffer ? R
  : R extends object ? (M extends "pairs" ? DecodedPairs<R, Text> : { [K in keyof R]: Decoded<R[K], Text, M> })
  : R;
type DecodedPairs<R, Text> = [name: Text, value: Decoded<R[keyof R], Text, "pairs">][];

/** Commands for a shared connection. Editors show a row's comment only through `keyof` of such a type. */
type Shared = Omit<Signatures, RowsLike<Row<any, "session" | "leased">>>;
type Leased = Omit<Signatures, RowsLike<Row<any, "session">>>;
type RowsLike<R extends Row> = { [C in keyof Signatures]: Signatures[C] extends R ? C : never }[keyof Signatures];
/** Every command as a method; `Text` is the type of text in replies, or InPairs of that type. */
export type Commands<Text = string> = { [C in keyof Shared]: Later<Shared[C]["call"], Text> };
/** All methods of Commands, and the commands that need a dedicated connection. */
export type LeasedCommands<Text = string> = { [C in keyof Leased]: Later<Leased[C]["call"], Text> };

/** Grace period after a blocking command's own timeout, which the server checks ten times a second. */
const GRACE: Milliseconds = 1_000;
const SHORTEST: Milliseconds = 2; // of the waits that the driver chooses: to Redis 6, 0.001 s is 0, which is no limit

type Special = {
  /** Several commands that are sent together; again() and moveTo() replace the batch. */
  batch: Batch | undefined;
  /** Words that are already flattened, for a tombstone. */
  readonly words: Words | undefined;
  readonly queued: boolean;
  /** The commands whose replies EXEC returns, if they were sent one by one, and the reading of these replies. */
  readonly exec: { readonly commands: readonly Command[]; readonly reading: Reading } | undefined;
  /** Receives the lease of its connection, which stays leased after this command. */
  readonly keep: ((lease: Lease) => void) | undefined;
  readonly detour: Detour | undefined;
};
/** Number of redirections of a command, and the state of the ASKING that precedes it in the same write. */
type Detour = { readonly hops: number; asking: "none" | "due" | "sent" | "answered" };
/** Has every entry itself, so that a polluted prototype cannot add one; a copy for each command would cost time. */
const ORDINARY: Special = {
  batch: undefined, words: undefined, queued: false, exec: undefined, keep: undefined, detour: undefined,
};
const NO_FENCES: readonly Fence[] = [];

type Target = { dispatch(command: Command): Promise<unknown> };

/** The pool that a command waits in, or whose connection it was written to. */
interface CommandOwner extends Target {
  /** The server, as listeners see it. */
  readonly info: ServerInfo;
  /** Counts an error that the caller of one of its commands gets. */
  count?(error: RedisError): void;
  /** Returns another server for a command that is about to fail here. */
  elsewhere(command: Command, error: RedisError): Target | undefined;
  /** Called after a command's last reply, or after its failure: the connection may then still owe a reply. */
  finished(command: Command, owesReply?: boolean): void;
  /** Ends a blocking command that its caller has aborted; if it has popped an element, that is still its reply. */
  stop?(command: Command, error: RedisError): Promise<void>;
}

class Command {
  readonly row: Row;
  readonly view: View;
  special: Special;
  words: Words;
  readonly size: number;
  /** Replaced, if it is traced, before a caller gets it. */
  promise: Promise<unknown>;
  /** Determines the outcome if the command fails. */
  state: "waiting" | "written" | "settled" = "waiting";
  /** Time at which it fails without a reply: set once, by the first pool that takes it. */
  deadline = Infinity;
  /** Time limit for the first server that may answer it; Infinity for the others. */
  within: Milliseconds | undefined = undefined;
  /** Asked for another server before the command fails, and notified afterwards. */
  owner: CommandOwner | undefined = undefined;
  /** Number of reissues after a lost connection or a move. */
  reissues = 0;
  /** Fences of the connections on which earlier attempts were lost; none if the command only reads. */
  #lostWith: readonly Fence[] = NO_FENCES;
  /** The last reply in which the server said that it cannot execute the command yet. */
  refusal: RedisError | undefined = undefined;
  /** Fence of the lost connection to which the command was written. */
  fence: Fence | undefined = undefined;
  #resolve!: (reply: unknown) => void;
  #reject!: (error: unknown) => void;
  static #calls = 0;
  /** Its place in the order of calls. */
  #turn = (Command.#calls = (Command.#calls + 1) | 0);

  constructor(row: Row, args: readonly unknown[], view: View, special = ORDINARY) {
    this.row = row;
    this.view = view;
    this.special = special;
    this.words = special.words ?? wordsOf(row.name, args, row.form);
    this.size = special.batch?.size ?? sizeOf(row.name, this.words);
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (view.signal !== undefined) follow(view.signal, this);
  }

  get name(): string { return this.row.name.text; }
  /** Time for which it may block on the server; undefined if it does not block. */
  get blocks(): Milliseconds | undefined { return this.row.block?.(this.words); }

  /** Time for which it may occupy its connection, because it blocks or WAIT follows it. */
  get occupies(): Milliseconds | undefined { return this.special.batch?.wait ?? this.blocks; }

  get timeout(): Milliseconds {
    const { occupies, within = Infinity, view: { replyTimeout } } = this;
    return occupies === undefined ? Math.min(replyTimeout, within) : occupies + Math.max(replyTimeout, GRACE);
  }

  /** Whether it needs a dedicated connection. */
  get exclusive(): boolean { return this.occupies !== undefined || this.special.keep !== undefined; }
  /** Reading of its next reply. */
  get reading(): Reading {
    const { special } = this;
    return special === ORDINARY ? this.row.is : special.batch?.reading ?? special.exec?.reading ?? this.row.is;
  }

  /** Whether a replica may answer it. */
  get reads(): boolean {
    return this.blocks === undefined && (this.special.batch?.rows.every(isSteady) ?? isSteady(this.row));
  }

  /** Whether a server that takes no writes may refuse it. */
  get mayWrite(): boolean {
    const { row: { kind, is }, special } = this;
    return special.batch === undefined ? kind === "write" || kind === "session" || is.partly === true : !this.reads;
  }

  /** Whether it may be executed twice: it does not block, and only reads, or changes data in an idempotent view. */
  get isRepeatable(): boolean {
    const { row, view: { idempotent }, special: { batch, keep } } = this;
    if (this.blocks !== undefined || keep !== undefined) return false;
    if (batch !== undefined) return (idempotent || row.kind === "read") && batch.rows.every(mayRepeat);
    return row.kind === "read" || (idempotent && changesData(row));
  }

  /** The call that is answered by its next reply, or by the item at this index of EXEC's reply. */
  asked(at: number): Pick<Command, "row" | "words"> {
    const { batch, exec } = this.special;
    if (batch === undefined) return exec?.commands[at] ?? this;
    const i = batch.isExecuting ? at + 1 : batch.replies.length; // after MULTI
    return { row: batch.rows[i] ?? this.row, words: batch.words[i] ?? [] };
  }

  get isChanged(): boolean { return this.special.batch?.words.some(areChanged) ?? areChanged(this.words); }
  get isAsking(): boolean { return this.special.detour?.asking === "sent"; }

  /** Writes as much as the socket has room for; true if nothing is left to write. */
  write(to: Encoder): boolean {
    const { batch, detour } = this.special;
    if (detour?.asking === "due") {
      to.put(commands.asking.name, []);
      detour.asking = "sent";
    }
    return batch?.write(to) ?? to.put(this.row.name, this.words);
  }

  /** Takes a reply; true if it was the last. */
  answer(reply: unknown): boolean {
    const { batch, queued, detour } = this.special;
    if (detour?.asking === "sent") {
      detour.asking = "answered";
      return false;
    }
    if (batch !== undefined && !batch.take(reply, this.view)) return false;
    if (this.state === "settled") return true;
    const result = batch?.replies ?? (queued && !(reply instanceof ReplyError) ? reply : this.shaped(reply));
    this.#settle();
    if (!(result instanceof ReplyError)) this.#resolve(result);
    else this.#reject(this.reissues > 0 ? afterReissue(this.row, result) : result);
    return true;
  }

  /** Resolves it with a reply from memory, in the shape of its row. */
  resolve(reply: unknown): void {
    if (this.state === "settled") return;
    this.#settle();
    this.#resolve(reply);
  }

  shaped(reply: unknown): unknown { return shape(this.row, this.words, this.view, reply); }

  /** Rejects the command, or moves it to another server and returns a tombstone for the queue that it leaves. */
  fail(error: RedisError, tell = inOrder): Command | undefined {
    if (this.state === "settled") return undefined;
    const other = this.owner?.elsewhere(this, error);
    if (other !== undefined) return this.moveTo(other);
    const owesReply = this.state === "written";
    const untouched = this.refusal === undefined ? "not-sent" : "not-executed";
    const outcome = owesReply || this.reissues > 0 ? "unknown" : untouched;
    const isSplit = this.#lostWith.some(({ server }) => server !== this.fence?.server); // no server can vouch for all
    const failure = withoutStack(() => error.of(this.name, outcome, isSplit ? undefined : this.fence));
    if (mayCapture()) Error.captureStackTrace(failure, Commander.prototype["issue"]); // only the caller's lines
    this.#settle();
    tell(() => this.#reject(failure));
    this.owner?.count?.(failure);
    this.owner?.finished(this, owesReply);
    return undefined;
  }

  /** Fails a written command that was certainly not executed. */
  refuse(error: RedisError): void {
    if (this.state === "written") this.state = "waiting";
    this.refusal = error;
    this.fail(error);
  }

  /** Fails it at its deadline; if only the time for a first server has passed, moves it to another, or lets it wait. */
  expire(obstacle: string, cause?: RedisError): Command | undefined {
    const isWaiting = this.state === "waiting";
    const limit = `within ${this.timeout} ms`;
    const isAgain = this.reissues > 0; // it was sent before
    const message = isWaiting ? `not sent ${isAgain ? "again " : ""}${limit}: ${obstacle}` : `no answer ${limit}`;
    const overdue = new TimeoutError("REPLY_TIMEOUT", "unknown", message, isWaiting ? { cause } : {});
    const error = isWaiting ? this.refusal ?? overdue : overdue;
    if ((this.within ?? Infinity) === Infinity) return this.fail(error);
    const other = this.owner?.elsewhere(this, error);
    if (other !== undefined) return this.moveTo(other);
    this.#extend();
    return this.deadline > world.now() ? undefined : this.fail(error);
  }

  /** Gives it the rest of its time, if it had only the part for a first server. */
  #extend(): void {
    if (this.within !== undefined && this.within < Infinity) this.deadline += this.view.replyTimeout - this.timeout;
    this.within = Infinity;
  }

  /** Prepares it to be issued again, with its promise and deadline, after its connection was lost. */
  again(): void {
    const { special, fence, row } = this;
    if (special.batch !== undefined) special.batch = special.batch.again();
    if (fence !== undefined && row.kind !== "read") this.#lostWith = [...this.#lostWith, fence];
    this.reissues++;
    this.back();
  }

  /** Compares two commands by the order of their calls. The counter wraps around, and so does the difference. */
  static byTurn(one: Command, other: Command): number { return (one.#turn - other.#turn) | 0; }

  /** Takes over the turn, the deadline, the redirections and the lost connections of a pipeline that it leaves. */
  inherit(pipeline: Command): void {
    this.#turn = pipeline.#turn;
    this.deadline = pipeline.deadline;
    this.special = { ...this.special, detour: pipeline.special.detour };
    this.reissues = pipeline.reissues;
    this.#lostWith = pipeline.#lostWith;
  }

  /** Prepares it to be sent once more to the same server, behind ASKING if it was before. */
  back(): void {
    const { detour } = this.special;
    if (detour !== undefined && detour.asking !== "none") detour.asking = "due";
    this.state = "waiting";
  }

  /** Prepares it for another server, after one that did not execute it; keeps its promise and deadline. */
  redirect(hops: number, asks: boolean): void {
    this.special = { ...this.special, detour: { hops, asking: asks ? "due" : "none" } };
    this.state = "waiting";
    const { row: { block }, blocks = Infinity, words, deadline, view: { replyTimeout } } = this;
    if (block === undefined || blocks === Infinity) return;
    const left = Math.max(SHORTEST, Math.ceil(deadline - Math.max(replyTimeout, GRACE) - world.now()));
    this.words = words.with(block.at(words), String(left / block.unit)); // the time that is left
  }

  /** Moves it to another server, with its promise and deadline. The tombstone receives the replies still due here. */
  moveTo(other: Target): Command {
    const { row, view, special, words, owner } = this;
    const tombstone = new Command(row, words, view.sure, { ...special, words });
    tombstone.state = "settled";
    if (special.batch !== undefined) special.batch = special.batch.again(this.reads ? [] : undefined); // from one copy
    if (this.state === "written") this.reissues++;
    this.#extend();
    this.state = "waiting";
    if (special.detour !== undefined) this.redirect(special.detour.hops, false);
    this.fence = undefined;
    void other.dispatch(this); // dispatch() changes the owner
    owner?.finished(this);
    return tombstone;
  }

  #settle(): void {
    this.state = "settled";
    if (this.view.signal !== undefined) unfollow(this.view.signal, this);
  }
}

/** Rejects a microtask later, once the caller has attached its handlers: Node tracks unhandled rejections at a cost. */
const inOrder = (reject: () => void): void => void Promise.resolve().then(reject);

function shape(row: Row, words: Words, view: View, reply: unknown): unknown {
  if (reply instanceof ReplyError) { // its stack has no lines of a caller
    return withoutStack(() => reply.of(row.name.text, outcomeOf(row, words, reply)));
  }
  try {
    const shaped = row.shape === undefined ? reply : row.shape(reply, { raw: view.isRaw, row, words });
    return view.convertNumbers ? withNumbers(shaped) : shaped;
  } catch (error) {
    return badReply(row, error);
  }
}

const isReplyError = (result: unknown): result is ReplyError => result instanceof ReplyError;

/** Outcome of an error reply: a script, MIGRATE or an unlisted command may have done some of its work. */
function outcomeOf(row: Row, words: Words, error: ReplyError): Outcome {
  const { kind, is } = row;
  const refusal = refusalOf(error);
  const isKnown = refusal !== NO_REFUSAL; // the server returns those that are known before it begins
  const mayHaveBegun = is.partly || (kind !== "read" && (refusal.begun || (is.unlisted && !isKnown)));
  if (!mayHaveBegun) return "not-executed";
  // The number of keys decides, not the error's text: a script that ran may fail with the same text.
  const lacksKeys = row.form.count > 0 && !(words.length >= endOfKeys(words, row.form));
  return lacksKeys || hasNotBegun(row, words, error) ? "not-executed" : "unknown";
}

/** Start of the error for an unknown digest. The code alone proves nothing: a script that ran may return NOSCRIPT. */
const UNKNOWN_SCRIPT = "NOSCRIPT No matching script";

/**
 * Whether the server says that this command did not begin, rather than one that its script called, or the script. If a
 * script raises an error, the server adds its digest; words that it returns are in its code or its arguments. Only a
 * script that is called by its digest, and has the server's own words in its code, cannot be told from the server.
 */
function hasNotBegun({ name: { text }, is }: Row, words: Words, error: ReplyError): boolean {
  const raw = ownWords(error.raw);
  const [, quoted = ""] = raw.toLowerCase().split(raw.includes("`") ? "`" : "'", 2);
  const isNamed = quoted === text.toLowerCase() || quoted.startsWith(`${text.toLowerCase()}|`);
  const isFunction = text.startsWith("FCALL");
  const own = is.digest ? UNKNOWN_SCRIPT : isFunction ? NO_FUNCTION : "ERR Error compiling script";
  const declares = isFunction || (!is.digest && String(words[0]).startsWith("#!"));
  const starts = [own, ...UNBEGUN, ...(declares ? [READ_ONLY] : []), ...(isNamed ? UNBEGUN_IF_NAMED : [])];
  if (!starts.some((start) => raw.startsWith(start))) return false;
  const [code = "", next = ""] = raw.split(" ", 2);
  const mark = code === "ERR" ? next : code;
  const isOwn = raw.includes(" script: ") || words.some((word) => typeof word !== "number" && word.includes(mark));
  return !(is.partly && isOwn);
}

const NO_FUNCTION = "ERR Function not found";
/** What declares that it writes does not begin on a replica. Other code does: these may be the words of its write. */
const READ_ONLY = "READONLY You can't write against a read only replica";
/** No command that a script calls is refused with these words: the server would not have begun the script. */
const UNBEGUN = ["MASTERDOWN Link with MASTER is down", "READONLY Can not run script with write flag",
  ...["Redis", "Valkey", "KeyDB"].flatMap((name) => [`BUSY ${name} is busy running`, `LOADING ${name} is loading`])];
const UNBEGUN_IF_NAMED = ["ERR unknown command ", "ERR wrong number of arguments for ", "NOPERM "];

const isSteady = (row: Row): boolean => row.kind === "read" && !row.is.cursor;
/** Whether an error is the server's, or a script's that repeats it, but not a script's own with the same code. */
const isOfServer = ({ is }: Row, error: ReplyError): boolean => !is.partly || ownWords(error.raw).startsWith(READ_ONLY);
/** Whether it may change data: writes and scripts, but not commands that configure the server or send messages. */
const changesData = ({ kind, is }: Row): boolean => kind === "write" || is.partly === true;
/** Whether a batch may repeat it. Session commands in a batch are MULTI and EXEC; the bound one is the final WAIT. */
const mayRepeat = (row: Row): boolean =>
  row.kind === "read" || row.kind === "session" || row.is.bound === true || changesData(row);
/** Marks an error after a reissue as of unknown outcome: RENAME finds no key if the first attempt has renamed it. */
const afterReissue = ({ kind, name }: Row, error: ReplyError): ReplyError =>
  kind === "read" ? error : error.of(name.text, "unknown");

/** Several commands that are sent together, in parallel arrays, which take less memory than an object per command. */
class Batch {
  readonly rows: Row[] = [];
  readonly words: Words[] = [];
  readonly replies: unknown[] = [];
  size = 0;
  /** Reading of the reply to EXEC, if MULTI and EXEC enclose the commands. */
  exec: Reading | undefined = undefined;
  /** Time limit of the WAIT at its end, if there is one. */
  wait: Milliseconds | undefined = undefined;
  /** Number of commands written completely, and number written at least in part. */
  #written = 0;
  #begun = 0;
  /** Of earlier attempts: number of commands that may have been executed, and number of all that were written. */
  #attempted = 0;
  #refused = 0;
  /** Whether its connection was lost, so that the encoder writes no more of it. */
  isLost = false;
  /** Replies of other servers to commands that a cluster has redirected, by the positions of the commands. */
  redirected: Map<number, Promise<unknown>> | undefined = undefined;

  get length(): number { return this.rows.length; }
  get isAtomic(): boolean { return this.exec !== undefined; }

  get answering(): Row { return this.rows[this.replies.length]!; }
  get isExecuting(): boolean { return this.isAtomic && this.answering === commands.exec; }
  get reading(): Reading { return this.isExecuting ? this.exec! : this.answering.is; }

  add(row: Row, words: Words): void {
    this.size += sizeOf(row.name, words);
    this.rows.push(row);
    this.words.push(words);
  }

  /** Encloses the commands in MULTI and EXEC. Throws if one of them would not be queued. */
  makeAtomic(): void {
    this.rows.forEach(mustQueue);
    this.exec = execOf(this.rows);
    this.add(commands.exec, []);
    this.rows.unshift(commands.multi);
    this.words.unshift([]);
  }

  /** Adds WAIT if a command may change data and the view asks for replicas; returns whether it did. */
  makeDurable({ waitArgs }: View): boolean {
    if (waitArgs === undefined || !this.rows.some(changesData)) return false;
    this.add(commands.wait, waitArgs);
    this.wait = waitArgs[1] === 0 ? Infinity : waitArgs[1];
    return true;
  }

  write(to: Encoder): boolean {
    for (; this.#written < this.length; this.#written++) {
      if (to.isFull) return false;
      this.#begun = Math.max(this.#begun, this.#written + 1);
      if (!to.put(this.rows[this.#written]!.name, this.words[this.#written]!)) return false;
    }
    return true;
  }

  take(reply: unknown, view: View): boolean {
    const isQueued = this.isAtomic && !(reply instanceof ReplyError);
    this.replies.push(isQueued ? reply : this.shaped(this.replies.length, view, reply));
    return this.replies.length === this.length;
  }

  shaped(at: number, view: View, reply: unknown): unknown {
    const row = this.rows[at]!;
    const result = shape(row, this.words[at]!, view, reply);
    return result instanceof ReplyError && at < this.#attempted ? afterReissue(row, result) : result;
  }

  /**
   * Copies the batch for another connection; this one may still be queued at its own. `kept`: replies to keep, none if
   * the batch is atomic, or if WAIT must cover all its writes; `attempted`: how many commands may have been executed.
   */
  again(kept?: readonly unknown[], attempted = this.#begun): Batch {
    const replies = [...kept ?? (this.isAtomic || this.wait !== undefined ? [] : this.replies)];
    const batch = Object.assign(new Batch(), this, { replies, isLost: false });
    batch.#written = replies.length;
    batch.#begun = attempted;
    batch.#attempted = Math.max(this.#attempted, attempted);
    batch.#refused = Math.max(this.#refused, this.#begun);
    return batch;
  }

  /**
   * Returns the first refusal of a server that is not ready, and its position, if the server executed nothing from
   * there on. `error`: the reply that has come; of a pipeline only the last one, of a transaction EXEC's, can show it.
   */
  refused(error: ReplyError): { refusal: ReplyError; at: number } | undefined {
    const { rows, words, replies } = this;
    if (this.wait !== undefined || this.redirected !== undefined || replies.length < rows.length - 1) return undefined;
    const all = [...replies, error];
    const first = all.findIndex((reply) => isReplyError(reply) && refusalOf(reply).holds !== undefined);
    const refusal = all[first] as ReplyError;
    if (this.isAtomic) return first > 0 && error.code === "EXECABORT" ? { refusal, at: 0 } : undefined;
    const isRefused = (reply: unknown, at: number): boolean => isReplyError(reply) &&
      refusalOf(reply).holds !== undefined && outcomeOf(rows[at]!, words[at]!, reply) === "not-executed";
    const isRest = first >= 0 && all.every((reply, at) => at < first || isRefused(reply, at));
    return isRest ? { refusal, at: first } : undefined;
  }

  /** Awaits the replies of redirected commands, and puts them among the others. */
  async complete(replies: unknown[]): Promise<unknown[]> {
    for (const [at, reply] of this.redirected ?? []) replies[at] = await reply;
    return replies;
  }

  /** Returns a function that returns the result of the command at an index: its reply so far, or this error. */
  failed(error: RedisError): (row: Row, at: number) => unknown {
    const replies = [...this.replies]; // without replies that arrive later
    const begun = this.isLost || error.outcome !== "unknown" ? this.#begun : Infinity;
    const refused = error.outcome === "not-executed" ? Infinity : this.#refused;
    return ({ name }, at) => at < replies.length ? replies[at]
      : error.of(name.text, at < begun ? "unknown" : at < refused ? "not-executed" : "not-sent");
  }
}

const execOf = (rows: readonly Row[]): Reading =>
  rows.some(({ is }) => is.ordered || is.binary) ? bare({ parts: rows.map(({ is }) => is) }) : PLAIN;

/** Replaces text with a number wherever the number prints as exactly that text. */
function withNumbers(reply: unknown): unknown {
  if (typeof reply === "string") return toNumberOrText(reply);
  if (Array.isArray(reply)) return reply.map(withNumbers);
  if (!isPlain(reply)) return reply;
  for (const name of Object.keys(reply)) reply[name] = withNumbers(reply[name]);
  return reply;
}

function toNumberOrText(text: string): number | bigint | string {
  const number = toNumber(text);
  if (Number.isFinite(number)) return number;
  const big = text.length > 15 && text.length < 64 ? toBigInt(Buffer.from(text)) : undefined;
  return big !== undefined && String(big) === text ? big : text;
}

/** Longest time without news of the server for which the near cache answers, unless a view says otherwise. */
const STALE: Milliseconds = 5_000;
/** `watch`: called with the entry that answers a command of the view, before it is answered. */
type Near = Required<Cache> & {
  readonly maxStale: Milliseconds; readonly form: string; watch: ((entry: CachedReply) => void) | undefined;
};

/** The options that may differ from call to call. */
class View {
  readonly #near: Near | undefined;
  #inBytes: View | undefined;

  constructor(view: ViewOptions & Pick<Config, "replyTimeout" | "charset">) {
    const options = bare(view);
    const { replyTimeout, charset, convertNumbers = false, maps = "objects", readFrom = "primary", signal } = options;
    const { idempotent = false, durable: given = 0, cache = 0, trace, traceKeys } = options;
    const durable = isPlain(given) ? bare(given) : given;
    Object.assign(this, { replyTimeout, charset, convertNumbers, maps, readFrom, idempotent, durable, cache, signal });
    Object.assign(this, { trace, traceKeys }); // undefined for the driver's own commands
    if (cache === 0) return;
    const { ttl, maxStale = STALE } = bare(isPlain(cache) ? cache : { ttl: cache });
    if (ttl > 0) this.#near = { ttl, maxStale, form: `${charset} ${maps}`, watch: undefined };
  }

  /** The limits of the near cache, and the form of the replies that this view reads; undefined without a cache. */
  get near(): Near | undefined { return this.#near; }

  /** The same view, but with bytes in its replies. */
  get inBytes(): View { return this.#inBytes ??= new View({ ...this, charset: null, convertNumbers: false }); }

  get isRaw(): boolean { return this.charset === null || this.maps === "pairs"; }

  /** Arguments of the WAIT that follows writes of this view; undefined for none. */
  get waitArgs(): readonly [replicas: number, timeout: Milliseconds] | undefined {
    const { durable, replyTimeout } = this;
    const { replicas, timeout = replyTimeout } = bare(typeof durable === "number" ? { replicas: durable } : durable);
    if (replicas === 0) return undefined;
    return [replicas, timeout === Infinity ? 0 : Math.min(Math.ceil(timeout), 2 ** 31 - 1)];
  }

  /** A view for operations that must finish once begun: on the primary, in bytes, without a signal. */
  get sure(): View {
    const { replyTimeout, trace, traceKeys } = this;
    return new View({ replyTimeout, charset: null, trace, traceKeys });
  }

  with(changes: ViewOptions = {}): View {
    const changed = Object.entries(plainly(changes)).filter(([, value]) => value !== undefined);
    for (const [name, value] of changed) {
      if (!Object.hasOwn(this, name)) throw new ArgumentError(`a view has no option ${JSON.stringify(name)}`);
      if (name !== "signal") checkOption(name, value);
      else if (!(value instanceof AbortSignal)) throw new ArgumentError("option signal must be an AbortSignal");
    }
    return new View({ ...this, ...Object.fromEntries(changed) });
  }
}

interface View extends Readonly<Omit<Pick<Config, Having<"view">>, Traced> & Pick<ViewOptions, "signal" | Traced>> {}
type Traced = "trace" | "traceKeys";

/** A command, or another operation that a signal aborts. */
type Follower = { readonly name: string; fail(error: AbortError): unknown };
/** The followers of each signal, which share one listener; the last one to leave removes the listener. */
const followers = new WeakMap<AbortSignal, Set<Follower>>();

function follow(signal: AbortSignal, follower: Follower): void {
  if (signal.aborted) throw aborted(signal).of(follower.name, "not-sent");
  const all = followers.get(signal) ?? new Set();
  if (all.size === 0) signal.addEventListener("abort", abortAll);
  followers.set(signal, all.add(follower));
}

function unfollow(signal: AbortSignal, follower: Follower): void {
  const all = followers.get(signal)!;
  all.delete(follower);
  if (all.size === 0) signal.removeEventListener("abort", abortAll);
}

function abortAll(this: AbortSignal): void {
  const error = aborted(this);
  for (const follower of followers.get(this) ?? []) follower.fail(error);
}

const aborted = ({ reason }: AbortSignal): AbortError =>
  new AbortError("ABORTED", "unknown", "the signal of this call was aborted", { cause: reason });

/**
 * Describes a command to call(). `keys`: the positions of its keys, by default the first argument; `read`: it only
 * reads; `values`: every argument is a single value, and an array or an object is refused.
 */
export type CallOptions = { name: string } & Loose<{ keys: Positions; read: boolean; values: boolean }>;

const CALLING: Record<keyof CallOptions, Check<unknown>> = {
  name: string("the name of a command", (name) => name !== ""),
  keys: must("[first, last, step]", (keys) => Array.isArray(keys) && keys.length === 3 && keys.every(Number.isInteger)),
  read: oneOf(true, false),
  values: oneOf(true, false),
};

const notSupported = ({ name }: Row, why: string): NotSupportedError =>
  new NotSupportedError("NOT_SUPPORTED", "not-sent", why, { command: name.text });

function mustQueue(row: Row): void {
  if (row.is.resets) throw notSupported(row, "it would end the transaction; call it outside of one");
}

/** Base class of handlers, pipelines and transactions, which differ in give(). */
export abstract class Commander {
  readonly #view: View;

  constructor(view: View) { this.#view = view; }

  /** Sends a call, or throws. Returns the caller's result: the promise of a reply, or the pipeline itself. */
  protected abstract give(row: Row, args: readonly unknown[]): unknown;

  /** Whether a reply can be awaited before the next call. */
  get direct(): boolean { return true; }

  /**
   * Calls any command: call("JSON.SET", key, "$", "1"). If it is in the table, its reply has the usual shape. If not,
   * it is treated as a write whose first argument is its only key, unless CallOptions say otherwise.
   */
  call<T = unknown>(name: string | CallOptions, ...args: unknown[]): Promise<T> {
    return this.callWith(name, args) as Promise<T>;
  }

  /** call() with a list of arguments: spread out, 100,000 of them would overflow the stack. */
  protected callWith(name: string | CallOptions, args: readonly unknown[]): unknown {
    try {
      const { row, rest } = rowOf(name, args);
      return this.issue(row, rest);
    } catch (error) {
      return this.refuse(error);
    }
  }

  /** Issues a call of a row. `usual`: default values of the arguments that the call omits. */
  protected issue(row: Row, given: readonly unknown[], usual?: Defaults): unknown {
    try {
      const args = usual === undefined ? given : completed(given, row, usual);
      return row.none !== undefined && isOfNothing(row, args)
        ? this.known(replyOf(row.none, this.view), row) : this.give(row, args);
    } catch (error) {
      return this.refuse(error);
    }
  }

  /** Answers a call whose lists are empty. */
  protected known(reply: unknown, _row: Row): unknown { return Promise.resolve(reply); }
  protected refuse(error: unknown): Promise<unknown> { return rejected(error); }
  protected get view(): View { return this.#view; }
}

type Issuer = { issue: Commander["issue"] };

/** Whether the lists of a call are empty, as in mget([]), mget([[]]), hmget("k", ...[]) and zunion(0, []). */
function isOfNothing({ name, form, least }: Row, args: readonly unknown[]): boolean {
  if (args.length < least) return false;
  const end = args.length - Number(isOptions(args.at(-1), form));
  for (let i = form.lists - 1; i < end; i++) if (!isEmptyList(args[i])) return false;
  const words = wordsOf(name, args, form);
  return (end < args.length || words.length === form.lists - 1) && endOfKeys(words, form) === form.count;
}

function isEmptyList(value: unknown, depth = 0): boolean {
  if (typeof value !== "object" || depth > MAX_NESTING) return false;
  try {
    if (!Array.isArray(value) && !isSet(value)) return false;
    for (const element of value as Iterable<unknown>) if (!isEmptyList(element, depth + 1)) return false;
    return true;
  } catch {
    return false; // a value that cannot be read, which flatten() reports
  }
}

/** Builds the reply to a call whose lists are empty, in the view's charset and maps: a new object for each call. */
function replyOf(none: Nothing, { charset, isRaw }: View): unknown {
  if (none === "") return charset === null ? Buffer.alloc(0) : none;
  return none === 0 ? none : Array.isArray(none) ? [] : toMap([], isRaw);
}

// Filled before it becomes a prototype: V8 rebuilds the layout of a prototype for each method added to it.
const methods: Record<string, unknown> = {};
for (const [name, row] of Object.entries<Row>(commands)) {
  row.method = name;
  const { usual } = row;
  methods[name] = function (this: Issuer, ...args: unknown[]) { return this.issue(row, args, usual); };
}
Object.setPrototypeOf(Commander.prototype, methods);

/** Built by the first call(): rows by name, and the names that a subcommand follows. */
let byName: ReadonlyMap<string, Row> | undefined;
const containers = new Set<string>();

function rowNamed(text: string): Row | undefined {
  if (byName !== undefined) return byName.get(text);
  const rows = Object.values<Row>(commands);
  for (const { name } of rows) if (name.words > 1) containers.add(name.text.slice(0, name.text.indexOf(" ")));
  byName = new Map(rows.map((row) => [row.name.text, row]));
  return byName.get(text);
}

const unlisted = (kind: Kind, keys: Keys, text: string): Row =>
  Object.assign(new Row(kind, keys), { method: text.toLowerCase(), form: ANY }).traits("unlisted");

/** Returns the row for call() and the row's arguments. A subcommand is part of the name, or the first argument. */
function rowOf(target: string | CallOptions, args: readonly unknown[]): { row: Row; rest: readonly unknown[] } {
  const unsaid = { name: target, keys: undefined, read: undefined, values: undefined };
  const options = isPlain(target) ? checkAll(target, CALLING) : unsaid;
  const { name, keys = one, read: reads = false, values = false } = options;
  if (typeof name !== "string" || name === "") throw new ArgumentError("call() needs the name of a command");
  const text = name.toUpperCase();
  const known = rowNamed(text);
  const about = { text: known?.name.text ?? nameIn(text), wire: EMPTY, words: 1 };
  if (!known && text.includes(" ")) {
    throw new ArgumentError("a name has no spaces; pass the rest as arguments", about.text.split(" ", 1)[0]);
  }
  const rest = values ? flatten(about, args, VALUES) : args;
  const [first] = containers.has(text) ? flatten(about, rest.slice(0, 1), VALUES) : [];
  const subcommand = first === undefined ? undefined : rowNamed(`${text} ${String(first).toUpperCase()}`);
  if (subcommand !== undefined) return { row: subcommand, rest: rest.slice(1) };
  return { row: known ?? unlisted(reads ? "read" : "write", keys, text), rest };
}

// ---- Tracing ----
//
// Calls and connections are published on node:diagnostics_channel, under the names and in the order of Node's
// TracingChannel. A pool asks once a tick whether anybody listens; only then, a CommandTrace is made for each command.

/** A server, as listeners of the diagnostics channels and stats() see it. A Unix socket has a path and no port. */
export type ServerInfo = {
  /** Its address, "host:port"; before the first attempt to connect, the name of a master. */
  readonly node: string;
  readonly serverAddress: string;
  readonly serverPort: number | undefined;
  readonly database: number;
};

function serverInfo(name: string, at: Endpoint | undefined, database: number): ServerInfo {
  if (at === undefined) return { node: name, serverAddress: name, serverPort: undefined, database };
  const path = ownEntry(at, "path");
  const [serverAddress, serverPort] = path === undefined ? [at.host, at.port] : [path, undefined];
  return { node: hostOf(at), serverAddress, serverPort, database };
}

export interface CommandTrace extends ServerInfo {
  /** The server that the command was last sent to; the other members of ServerInfo name the first one. */
  node: string;
  /** The error; of a batch, the first one. Absent before the end, and if there was none. */
  readonly error?: unknown;
  /** The reply. Absent before the end. Not enumerable, so that no log shows it. */
  readonly result?: unknown;
}

/**
 * Message of the channels tracing:redis.ts:command:... and tracing:redis.ts:batch:...: one object for all events of a
 * command or, in a pipeline or a transaction, of all commands to one server. Shows no values. Since 0.1.0.
 */
export class CommandTrace {
  /** The command's name, such as "CONFIG GET"; of a batch, its batchMode. */
  readonly command: string;
  readonly batchMode: "PIPELINE" | "MULTI" | undefined;
  /** Number of commands in a batch, without MULTI and EXEC. */
  readonly batchSize: number | undefined;
  /** Number of times it was sent, or was to be sent; and among these, after a node of a cluster had redirected it. */
  attempts = 1;
  redirections = 0;
  /** Whether it was answered from memory; it was then sent 0 times. False before the end. */
  cached = false;
  /** Time from the call to the end, in milliseconds; 0 before the end. */
  duration = 0;
  readonly #command: Command;
  readonly #begun = world.now();

  constructor(command: Command, at: ServerInfo) {
    Object.assign(this, at);
    const { row, special: { batch, exec } } = command;
    const isPart = exec === undefined && (batch?.rows[0] ?? row) === row; // not a batch, but perhaps WAIT follows it
    this.#command = command;
    this.batchMode = isPart ? undefined : exec !== undefined || batch?.isAtomic ? "MULTI" : "PIPELINE";
    this.batchSize = isPart ? undefined : this.#rows.length;
    this.command = this.batchMode ?? row.name.text;
  }

  get #rows(): readonly Row[] {
    const { row, special: { batch, exec } } = this.#command;
    const rows = exec?.commands.map((queued) => queued.row) ?? batch?.rows ?? [row];
    return rows.filter(({ kind, is }) => kind !== "session" && !is.bound); // without MULTI, EXEC and WAIT
  }

  /** Names of the commands of a batch; of a single command, its own. */
  get commands(): string[] {
    return this.batchMode === undefined ? [this.command] : this.#rows.map(({ name }) => name.text);
  }

  /** "?" for each argument; with option traceKeys, keys are shown. Of a batch, empty. */
  get args(): string[] {
    const { row, words, special: { batch } } = this.#command;
    if (this.batchMode !== undefined) return [];
    return batch?.words.flatMap((list, at) => batch.rows[at] === row ? this.#shown(list) : []) ?? this.#shown(words);
  }

  #shown(words: Words): string[] {
    const { row, view: { traceKeys } } = this.#command;
    const isKnown = row.is.unlisted !== true || row.keys !== one; // call() guesses the key
    const keys = new Set(traceKeys && isKnown ? row.positions(words) : []);
    return Array.from(words, (word, at) => keys.has(at) ? readable(String(word)) : "?");
  }

  finish(): void {
    const { owner, reissues, special: { batch, detour } } = this.#command;
    this.node = owner?.info.node ?? this.node;
    this.redirections = batch?.redirected?.size ?? detour?.hops ?? 0;
    this.attempts = this.cached ? 0 : 1 + reissues + this.redirections;
    this.duration = world.now() - this.#begun;
  }
}

type Channel = Pick<Diagnostics.Channel, "hasSubscribers" | "publish"> &
  Partial<Pick<Diagnostics.Channel, "runStores">>;
const SILENT_CHANNEL: Channel = { hasSubscribers: false, publish: () => {} };
let diagnostics: { channel(name: string): Channel } | undefined;

/** Finds a channel; in a runtime that has none, returns one that nobody can hear. */
function channelNamed(name: string): Channel {
  try {
    return (diagnostics ??= builtin("node:diagnostics_channel")).channel(name);
  } catch {
    diagnostics = { channel: () => SILENT_CHANNEL };
    return SILENT_CHANNEL;
  }
}

const TRACE_EVENTS = ["start", "end", "asyncStart", "asyncEnd", "error"] as const;

class Tracer {
  readonly #channels: Readonly<Record<typeof TRACE_EVENTS[number], Channel>>;

  constructor(name: string) {
    const channels = TRACE_EVENTS.map((event) => [event, channelNamed(`tracing:${name}:${event}`)]);
    this.#channels = bare(Object.fromEntries(channels));
  }

  get isHeard(): boolean {
    const { start, end, asyncStart, asyncEnd, error } = this.#channels;
    return start.hasSubscribers || asyncEnd.hasSubscribers || error.hasSubscribers || end.hasSubscribers ||
      asyncStart.hasSubscribers;
  }

  /** Publishes the start now, and the end when the promise is settled, both in the caller's async context. */
  follow<T>(about: object, promise: Promise<T>): Promise<T> {
    const { start, end } = this.#channels;
    let followed = promise;
    const begin = (): void => {
      followed = promise.then((result) => {
        const error = Array.isArray(result) && result.find((item) => item instanceof RedisError);
        this.#finish(about, error || undefined, result);
        return result;
      }, (error: unknown) => {
        this.#finish(about, error);
        throw error;
      });
    };
    if (start.runStores !== undefined) start.runStores(about, begin);
    else {
      start.publish(about);
      begin();
    }
    end.publish(about);
    return followed;
  }

  #finish(about: object, error: unknown, result?: unknown): void {
    const { asyncStart, asyncEnd, error: failed } = this.#channels;
    if (about instanceof CommandTrace) about.finish();
    if (error === undefined) Object.defineProperty(about, "result", bare({ value: result }));
    else {
      Object.assign(about, { error });
      failed.publish(about);
    }
    asyncStart.publish(about);
    asyncEnd.publish(about);
  }
}

type Tracers = Readonly<Record<"command" | "batch" | "connect", Tracer>>;
const TRACERS = new Map<Config["traceAs"], Tracers>();

function tracersOf({ traceAs }: PoolOptions): Tracers {
  const of = (kind: keyof Tracers): Tracer => new Tracer(`${traceAs}:${kind}`);
  const batch = traceAs === "ioredis" ? "command" : "batch"; // Sentry does not listen to ioredis:batch
  const tracers = TRACERS.get(traceAs) ?? { command: of("command"), batch: of(batch), connect: of("connect") };
  TRACERS.set(traceAs, tracers);
  return tracers;
}

const heard = (tracers: Tracers): Tracers | undefined =>
  tracers.command.isHeard || tracers.batch.isHeard ? tracers : undefined;

/** The commands that are traced, because one may begin more than once, and their messages. */
const traced = new WeakMap<Command, CommandTrace | undefined>();

/** Sets the deadline of a caller's command, and publishes it. Called by the first that takes it, a pool or a cache. */
function beginCall(command: Command, now: number, tracers: Tracers | undefined, by: Pick<CommandOwner, "info">): void {
  command.deadline = now + command.timeout;
  const { view } = command;
  const isTraced = tracers !== undefined || view.trace === true;
  if (!isTraced || view.trace === undefined || traced.has(command)) return; // undefined: one of the driver's own
  if (view.trace) command.promise = withCaller(command.promise);
  const about = tracers && new CommandTrace(command, by.info);
  traced.set(command, about);
  if (about === undefined) return;
  const tracer = about.batchMode === undefined ? tracers!.command : tracers!.batch;
  if (tracer.isHeard) command.promise = tracer.follow(about, command.promise);
}

const DEPTH = 30;

/** Gives the promise's error the stack of the call that is running now. */
function withCaller<T>(promise: Promise<T>): Promise<T> {
  const { stackTraceLimit } = Error;
  limitStacks(DEPTH);
  const [whole, callers] = [new Error(" "), new Error(" ")];
  Error.captureStackTrace(callers, Commander.prototype["issue"]);
  limitStacks(stackTraceLimit);
  const lines = [callers, whole].map(({ stack = "" }) => cut(stack, "\n")[1]);
  return promise.catch((error: Error) => {
    const value = `${error.name}: ${error.message}\n${lines[0] || lines[1]}`; // not every call passes issue()
    Object.defineProperty(error, "stack", bare({ value, configurable: true, writable: true }));
    throw error;
  });
}

/** Channels of single events, by the ends of their names. */
const POINT_CHANNELS = new Map<string, Channel>();

function tell(event: string, about: () => ServerInfo & Readonly<Record<string, unknown>>): void {
  const channel = POINT_CHANNELS.get(event) ?? channelNamed(`redis.ts:${event}`);
  POINT_CHANNELS.set(event, channel);
  if (channel.hasSubscribers) channel.publish(about());
}

// ==== 6. Addresses and sessions ====
//
// An Address locates a server, and is consulted before every attempt to connect; an Endpoint is how to connect this
// time. A Session is the state of a connection on its server: a handshake sets user, name and database before any
// command of a caller; credentials that expire are renewed. To find servers in a new way, write an Address; to send
// one more command in the handshake, change #introduce.

/** How to connect to a server: its address, login and protocol. */
type Endpoint = Pick<Config, Having<"endpoint">>;
/** Connection options that do not depend on the server. */
type PoolOptions = Omit<Config, keyof Endpoint | "replicas" | "anyOf" | "readFrom" | "zone" | "maxLag">;

/** Locates a server. The optional members are for addresses that move; an address without them is made by bare(). */
interface Address {
  /** Shown in errors and when a handler is inspected. */
  readonly name: string;
  /** Called before every attempt; connectTimeout covers this call and the attempt together. */
  next(): Endpoint | Promise<Endpoint>;
  /** Commands to send in the handshake, as rows with arguments; the connection keeps their replies. */
  readonly greeting?: readonly (readonly [row: Row, ...args: unknown[]])[];
  /** Throws, or rejects, if the server that answered is not the right one. */
  verify?(connection: Connection, endpoint: Endpoint): unknown;
  /** Called when an attempt to connect has failed, and when a connection has been lost. */
  ended?(endpoint: Endpoint, error: RedisError): void;
  /** Whether the server is expected back soon; commands then wait for it until their deadlines. */
  readonly expected?: boolean;
  /** The replicas of the server, if the address knows them; the server is then not asked for them. */
  replicas?(): Promise<readonly Config[]>;
  /** Called when a pool begins to use the address, which may then call the pool's renew(). */
  retain?(pool: Pool): void;
  /** Called when a pool has ended; the address ends with its last pool. */
  release?(pool: Pool): void;
}

type Location = { readonly host: string; readonly port: number };
/** Maximum length of a host's name in DNS. */
const LONGEST_HOST = 253;
/** Options about addresses that servers report. */
type LearningOptions = Pick<Config, "addressMap" | "allowNode">;

/** Returns where to connect for an address that a server has reported, as addressMap says; all such pass here. */
function learned({ addressMap: map = {} }: LearningOptions, host: unknown, port: unknown): Location | undefined {
  if (typeof host !== "string" || host.length > LONGEST_HOST || !visible.holds(host)) return undefined;
  const told = { host, port: typeof port === "string" ? toNumber(port) : port as number };
  if (!OPTIONS.port.check.holds(told.port)) return undefined;
  const name = hostOf(told);
  const mapped = typeof map === "function" ? map(name) : Object.hasOwn(map, name) ? map[name] : undefined;
  if (mapped === undefined) return told;
  if (!isLocation(mapped)) throw new ArgumentError(`addressMap gave no address for ${name}`);
  return typeof mapped === "string" ? readHost(mapped) as Location : { host: mapped.host, port: mapped.port };
}

const fixedAddress = (endpoint: Endpoint): Address => bare({ name: addressOf(endpoint), next: () => endpoint });

/**
 * Whether the driver may connect to an address that the server at `from` has named: only if option allowNode permits
 * it, and never in plain text if that server was reached by TLS or a Unix socket, because the password would be sent.
 */
function mayFollow(from: Pick<Config, "tls" | "path" | "allowNode">, to: Config): boolean {
  return (to.tls !== false || (from.tls === false && from.path === undefined)) && isAllowed(from, to);
}

function isAllowed({ allowNode }: LearningOptions, { host, port }: Location): boolean {
  try {
    return allowNode === undefined || allowNode(host, port) === true;
  } catch {
    return false;
  }
}

const addressOf = (endpoint: Endpoint): string =>
  endpoint.tls === false ? hostOf(endpoint) : `${hostOf(endpoint)} over TLS`;

/** Clock, randomness and network: everything that a simulation replaces. */
const world = {
  now: (): number => performance.now(),
  random: (): number => Math.random(),
  after: (delay: Milliseconds, task: () => void): NodeJS.Timeout => setTimeout(task, Math.min(delay, 2 ** 31 - 1)),
  cancel: (timer: NodeJS.Timeout | undefined): void => clearTimeout(timer),
  /** Runs a task once all input that has arrived has been read. */
  afterInput: (task: () => void): void => void setImmediate(task),
  endOfTick: <Of,>(task: (of: Of) => void, of: Of): void => nextTick(task, of),
  connect: ({ host, port, path, tls }: Endpoint, receive: (chunk: Buffer) => void, stream?: Socket): Socket => {
    const tcp = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 15_000 };
    const callback = (size: number, { buffer, byteOffset }: Uint8Array): boolean => {
      receive(Buffer.from(buffer, byteOffset, size)); // not always INPUT: Bun before 1.4 uses its own buffer
      return true;
    };
    let input: Buffer | undefined;
    const buffer = (): Buffer => input ??= INPUT.byteLength > 0 ? INPUT : newInput();
    const reading = tls === false ? { onread: { buffer, callback } } : {}; // else the socket emits "data"
    const socket = stream ?? connectTcp({ ...UNSET, ...(path === undefined ? tcp : { path }), ...reading });
    if (tls === false) return socket;
    try {
      const secured = builtin("node:tls").connect(tlsOptions(host, tls === true ? {} : tls, socket));
      TRANSPORTS.set(secured, socket);
      return secured;
    } catch (error) {
      socket.on("error", ignore).destroy();
      throw error;
    }
  },
};

/**
 * Options of a socket, and of TLS, that Node would otherwise read from a polluted Object.prototype: it would connect to
 * another server, or trust another authority. A null prototype would not help: Node copies the options.
 */
const UNSET: Readonly<Record<string, undefined>> = Object.fromEntries([
  "path fd handle socket lookup family hints localAddress localPort blockList autoSelectFamily",
  "autoSelectFamilyAttemptTimeout timeout signal onread allowHalfOpen noDelay keepAlive keepAliveInitialDelay",
  "typeOfService captureRejections construct read write writev final destroy readable writable encoding",
  "defaultEncoding highWaterMark readableHighWaterMark writableHighWaterMark objectMode readableObjectMode",
  "writableObjectMode servername ca cert key pfx passphrase crl dhparam ecdhCurve sigalgs secureContext",
  "secureProtocol secureOptions minVersion maxVersion session sessionIdContext sessionTimeout ticketKeys",
  "honorCipherOrder clientCertEngine privateKeyEngine privateKeyIdentifier allowPartialTrustChain ALPNProtocols",
  "certificateCompression pskCallback requestCert requestOCSP enableTrace isServer",
].flatMap((names) => names.split(" ").map((name) => [name, undefined])));

/** Completes the user's TLS options. One that is undefined counts as omitted, and only `false` turns off the checks. */
function tlsOptions(host: string, given: Tls.ConnectionOptions, socket: Socket): Tls.ConnectionOptions {
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  const set: Tls.ConnectionOptions = bare(Object.fromEntries(entries));
  const { checkServerIdentity: check, pskCallback, rejectUnauthorized } = set;
  if (typeof check === "function") {
    set.checkServerIdentity = guarded(check, undefined, (found) => found instanceof Error ? found : undefined,
      (error) => error);
  }
  if (typeof pskCallback === "function") {
    set.pskCallback = guarded(pskCallback, null, (found) => isPsk(found) ? found : undefined, (error) => {
      socket.destroy(error);
      return null;
    });
  }
  const isChecked = rejectUnauthorized !== false; // else Node asks NODE_TLS_REJECT_UNAUTHORIZED
  const name = isIP(host) === 0 ? { servername: host } : {};
  return { ...UNSET, ...name, ...set, rejectUnauthorized: isChecked, host, socket };
}

const isPsk = (found: unknown): found is Tls.PSKCallbackNegotation => {
  const { psk, identity } = isPlain(found) ? found : NO_ENTRIES;
  return ArrayBuffer.isView(psk) && psk.byteLength <= 256 && typeof identity === "string" && identity.length <= 128;
};

/** Wraps a user's callback: if it throws, Node gets an Error, which ends the attempt; nobody could catch a throw. */
const guarded = <A extends unknown[], R>(
  callback: (...args: A) => unknown, none: R, fit: (found: unknown) => R | undefined, failed: (error: Error) => R,
) => (...args: A): R => {
  try {
    const found = callback(...args);
    if (found === undefined || found === null) return none;
    const result = fit(found);
    if (result !== undefined) return result;
    Promise.resolve(found).catch(ignore);
    return failed(new TypeError(`a callback of option tls returned ${nameOf(found)}`));
  } catch (cause) {
    return failed(cause instanceof Error ? cause : new TypeError("a callback of option tls failed", { cause }));
  }
};

/** Longest time by which a deadline is postponed after a stall of this process: enough for most round trips. */
const LEEWAY: Milliseconds = 50;

/**
 * Runs a task after a delay, once pending input has been read. If this process stalled meanwhile, postpones the task by
 * the length of the stall, at most LEEWAY: input and output were stalled, too. `keep` receives the current timer.
 */
function afterSilence(delay: Milliseconds, task: () => void, keep: (timer: NodeJS.Timeout) => void): void {
  const due = world.now() + Math.max(0, delay); // what is overdue already has not been stalled
  keep(world.after(delay, () => {
    const stalled = Math.min(Math.max(0, world.now() - due), LEEWAY);
    keep(world.after(stalled, () => world.afterInput(task))); // a timer, because Deno runs immediates before input
  }));
}

/** Opens a stream with option socket, whose function gets no secrets. */
async function openStream({ socket, host, port, path }: Endpoint): Promise<Socket> {
  const stream = await socket!({ host, port, path }) as Socket; // or another Duplex
  const isStream = [stream?.on, stream?.write, stream?.destroy].every((method) => typeof method === "function");
  if (!isStream) throw new ArgumentError("option socket must return a duplex stream");
  stream.on("error", ignore); // until the connection listens
  if (stream.destroyed || stream.readableEnded || stream.writableEnded) {
    stream.destroy();
    throw new ArgumentError("option socket must return a stream that is open");
  }
  stream.setNoDelay?.(true);
  return stream;
}

const newInput = (): Buffer => Buffer.allocUnsafeSlow(65_536);
/**
 * Read buffer that all sockets share, because each chunk is decoded before the next is read. On Cloudflare Workers, the
 * first socket to read takes its memory for good, and leaves a length of 0; there each later socket has its own.
 */
const INPUT = newInput();
/** The TCP socket of each TLS socket. */
const TRANSPORTS = new WeakMap<Socket, Socket>();

const ignore = (): void => {};
/** Calls that fail at once reject after a turn of the event loop, so that a loop of them does not starve timers. */
const turn = (): Promise<void> => new Promise((resolve) => world.afterInput(resolve));
const rejected = async (error: unknown): Promise<never> => {
  await turn();
  throw error;
};
const rest = (time: Milliseconds): Promise<void> => new Promise((resolve) => void world.after(time, resolve));
/** Resolves when all of these are settled, or after `timeout` at the latest; what has arrived by then still counts. */
const settled = (promises: Iterable<Promise<unknown>>, timeout: Milliseconds): Promise<void> =>
  new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    afterSilence(timeout, resolve, (current) => void (timer = current));
    void Promise.allSettled(promises).then(() => world.cancel(timer)).then(resolve);
  });

/** The times are of world.now(). */
type Login = Secrets & { readonly renewAt: number; readonly expiresAt: number };
type LoginFunction = NonNullable<Endpoint["credentials"]>;
type LoginCall = { readonly at: number; readonly login: Promise<Login>; result: Login | undefined };
/** The last call of each credentials function; connections that log in at the same time share it. */
const LOGINS = new WeakMap<LoginFunction, LoginCall>();
/** The password of a server; if a function gives it, the last one. */
const passwordOf = ({ password, credentials }: Endpoint): string | undefined =>
  password ?? (credentials && LOGINS.get(credentials)?.result?.password);
const RENEWAL_REST: Milliseconds = 1_000; // minimum time between two attempts to renew a login

/**
 * Calls a credentials function, or returns the pending call, unless that is older than `patience`. `tried`: the login
 * to replace; if another connection has got a newer one, returns that.
 */
function logIn(credentials: LoginFunction, patience: Milliseconds, tried?: Login): Promise<Login> {
  const at = world.now();
  const last = LOGINS.get(credentials);
  const isShared = last?.result === undefined ? last !== undefined && at - last.at < patience
    : tried !== undefined && last.result !== tried && last.result.renewAt > at;
  if (isShared) return last!.login;
  const call: LoginCall = { at, login: readLogin(credentials), result: undefined };
  LOGINS.set(credentials, call);
  call.login.then((login) => void (call.result = login), () => {
    if (LOGINS.get(credentials) === call) LOGINS.delete(credentials);
  });
  return call.login;
}

/** Calls the function. Sets `renewAt` at random to 60 to 80 % of the life, so that clients do not all ask at once. */
async function readLogin(credentials: LoginFunction): Promise<Login> {
  try {
    const given = await credentials();
    const { username, password, expires }: Partial<Credentials> =
      isPlain(given) ? bare(given) : Object(given) === given ? given : NO_ENTRIES;
    const areTexts = typeof password === "string" && typeof (username ?? "") === "string";
    const isLogin = areTexts && (password !== "" || !username);
    if (!isLogin) throw new ArgumentError("it must return { password } or { username, password }");
    const isTime = typeof expires === "number" || expires instanceof Date;
    const life = expires === undefined ? Infinity : isTime ? Number(expires) - Date.now() : NaN;
    const past = life <= 0 ? ` in the future; it was ${Math.round(-life)} ms ago` : "";
    if (!(life > 0)) throw new ArgumentError(`\`expires\` must be a Date, or a Unix time in milliseconds${past}`);
    const now = world.now();
    const renewAt = now + life * (life === Infinity ? 1 : 0.6 + 0.2 * world.random());
    return { username: username || undefined, password: password || undefined, renewAt, expiresAt: now + life };
  } catch (cause) {
    const why = cause instanceof ArgumentError ? `: ${cause.message}` : ""; // other messages may contain a secret
    throw new ConnectionError("NO_CREDENTIALS", "not-sent", `the credentials function failed${why}`, { cause });
  }
}

/** The state of a connection on its server: user, name and database. Sets it in the handshake, and renews the login. */
class Session {
  readonly #connection: Connection;
  readonly #endpoint: Endpoint;
  readonly #options: PoolOptions;
  readonly #owner: Owner;
  /** The last login, whose user and password no error may show. */
  login: Login;
  /** Ends a step of the renewal. */
  #timer: NodeJS.Timeout | undefined;
  /** Whether the user to whom the connection is lent has begun a transaction, or has changed the login. */
  #isQueueing = false;
  #hasOwnLogin = false;
  /** Resumes an AUTH that waits for the end of the transaction. */
  #afterExec: (() => void) | undefined;
  /** The blocking command that is interrupted for AUTH, and sent again behind it. */
  #interrupted: Command | undefined;

  constructor(connection: Connection, endpoint: Endpoint, options: PoolOptions, owner: Owner) {
    const { username, password } = endpoint;
    this.#connection = connection;
    this.#endpoint = endpoint;
    this.#options = options;
    this.#owner = owner;
    this.login = { username, password, renewAt: Infinity, expiresAt: Infinity };
  }

  // ---- The handshake: user, name and database are set before any command of a caller ----

  async begin(socket: Socket): Promise<void> {
    const { credentials, protocol } = this.#endpoint;
    if (credentials !== undefined) this.login = await logIn(credentials, this.#options.connectTimeout);
    if (protocol === 2 || !await this.#greetThree(socket)) await this.#greetTwo(socket);
    await this.#verify();
    await this.#owner.prepare?.(this.#connection);
  }

  /** Greets with HELLO, in one round trip. False if the server does not know it, or denies it to this user. */
  async #greetThree(socket: Socket): Promise<boolean> {
    const { username = "default", password } = this.login;
    const login = password === undefined ? undefined : [username, password];
    const hello = this.#ask(commands.hello, 3, { AUTH: login, SETNAME: this.#options.name });
    const others = this.#introduce(socket);
    others.catch(ignore); // HELLO is awaited first
    try {
      const said = await hello;
      if (!isPlain(said) && !Array.isArray(said)) throw badReply(commands.hello); // a listener's may be pairs of bytes
      this.#connection.replies.hello = said as Report;
    } catch (error) {
      if (error instanceof ReplyError && refusalOf(error).hello === "fallback") return false;
      throw error;
    }
    await others;
    return true;
  }

  /** Greets without HELLO. If a password is required but not configured, the server refuses PING. */
  async #greetTwo(socket: Socket): Promise<void> {
    const { name } = this.#options;
    const auth = this.#authenticate(this.login);
    const others = Promise.all([
      name === undefined ? undefined : this.#ask(commands.clientSetname, name),
      this.#introduce(socket),
      this.#ask(commands.ping),
    ]);
    others.catch(ignore); // AUTH is awaited first
    await auth;
    await others;
  }

  async #authenticate({ username, password }: Login): Promise<void> {
    const login = username === undefined ? [password] : [username, password];
    if (password === undefined) return;
    await this.#ask(commands.auth, ...login).catch((error: RedisError) => {
      if (refusalOf(error).handshake !== "ignore") throw error; // HELLO, too, accepts a password that is not needed
    });
  }

  /** Sends the part that both protocols share: CLIENT SETINFO and INFO, SELECT, and the commands of the address. */
  async #introduce(socket: Socket): Promise<void> {
    const { dbid, proxy } = this.#options;
    const { greeting = [] } = this.#owner.address;
    // Unknown before Redis 7.2. Sent first, so that no reply to it is still to come when the connection is open.
    for (const words of proxy === undefined ? LIBRARY : []) this.#ask(commands.clientSetinfo, ...words).catch(ignore);
    const identity = proxy !== undefined ? undefined : this.#ask(commands.clientInfo).then((line) => {
      if (typeof line !== "string" && !Buffer.isBuffer(line)) throw badReply(commands.clientInfo);
      const transport = TRANSPORTS.get(socket) ?? socket;
      Object.assign(this.#connection.fence, readIdentity(String(line), this.#endpoint, transport));
    }, ignore);
    const select = dbid === 0 ? undefined : this.#ask(commands.select, dbid);
    const replies = greeting.map(([row, ...args]) => this.#ask(row, ...args).catch((error: unknown) => error));
    await Promise.all([identity, select]);
    this.#connection.replies.greeting = await Promise.all(replies);
  }

  async #verify(): Promise<void> {
    try {
      await this.#owner.address.verify?.(this.#connection, this.#endpoint);
    } catch (cause) {
      if (cause instanceof ConnectionError) throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      const message = `${addressOf(this.#endpoint)} is not the expected server: ${why}`;
      throw new ConnectionError("WRONG_SERVER", "not-sent", message, { cause });
    }
  }

  // ---- Credentials that expire ----

  /** Logs in again before the credentials expire; if they do expire, or AUTH cannot be sent, it is replaced. */
  async keepLogin(): Promise<void> {
    const { connectTimeout } = this.#options;
    let tried = this.login;
    let failure: RedisError = NO_LOGIN;
    for (let time = tried.renewAt; this.login.expiresAt < Infinity && this.#connection.isOpen;) {
      const { expiresAt } = this.login;
      await this.#within(Math.min(time, expiresAt) - world.now());
      if (this.#hasOwnLogin) return;
      if (world.now() >= expiresAt) {
        return this.#owner.replace?.(new ConnectionError("CONNECTION_LOST", "unknown", EXPIRED, { cause: failure }));
      }
      try {
        const limit = Math.min(connectTimeout, expiresAt - world.now());
        const next = await this.#within(limit, logIn(this.#endpoint.credentials!, connectTimeout, tried));
        if (!this.#connection.isOpen) return;
        if (next === undefined) throw NO_LOGIN;
        tried = next;
        if (!this.#takesAuth) return this.#owner.replace?.(RENEWED);
        await this.#within(expiresAt - world.now(), this.#authenticateBetween(next).then(() => (this.login = next)));
        time = next.renewAt;
      } catch (error) {
        failure = asCause(error as RedisError);
        const left = expiresAt - world.now();
        time = world.now() + Math.max(RENEWAL_REST, left * (0.1 + 0.1 * world.random()));
      }
    }
  }

  /** Resolves with the result of the promise, or with undefined after this time. end() cancels the time limit. */
  #within<T>(time: Milliseconds, promise = new Promise<T>(ignore)): Promise<T | undefined> {
    world.cancel(this.#timer);
    return new Promise((resolve, reject) => {
      this.#timer = world.after(time, () => resolve(undefined));
      if (this.#options.unref) this.#timer.unref();
      promise.then(resolve, reject);
    });
  }

  get #takesAuth(): boolean {
    const { carries } = this.#owner;
    return carries !== "monitor" && (carries !== "messages" || this.#connection.replies.hello !== undefined);
  }

  /** Sends AUTH between other commands: after EXEC, because a transaction would queue it. */
  async #authenticateBetween(login: Login): Promise<void> {
    while (this.#isQueueing) await new Promise<void>((resolve) => (this.#afterExec = resolve));
    const { blocking } = this.#connection;
    const sent = this.#authenticate(login);
    if (blocking?.blocks === Infinity && blocking.owner !== undefined) { // in a lease, it could not be sent again
      this.#interrupted = blocking;
      this.#owner.interrupt?.();
    }
    await sent;
  }

  /** Notes the transactions and logins of the user to whom the connection is lent. */
  sent({ row, special: { batch }, promise }: Command): void {
    this.#hasOwnLogin ||= (batch?.rows ?? [row]).some(({ is }) => is.login);
    const endTransaction = (): void => {
      this.#isQueueing = false;
      this.#afterExec?.();
    };
    if (row === commands.multi) {
      this.#isQueueing = true;
      promise.catch(endTransaction);
    } else if (row === commands.exec || row === commands.discard) endTransaction();
  }

  /** Sends a command again, behind AUTH, if it was unblocked for that. */
  resumes(command: Command): boolean {
    if (command !== this.#interrupted) return false;
    this.#interrupted = undefined;
    command.back();
    this.#connection.push(command);
    return true;
  }

  end(): void { world.cancel(this.#timer); }
  #ask(row: Row, ...args: unknown[]): Promise<unknown> { return this.#connection.ask(row, ...args); }
}
const NO_LOGIN = new TimeoutError("NO_CREDENTIALS", "not-sent", "the credentials function did not answer in time");
const EXPIRED = "its credentials have expired";
const RENEWED = new ConnectionError("CONNECTION_LOST", "unknown", "its credentials expire soon");
const LIBRARY = [["LIB-NAME", "redis.ts"], ["LIB-VER", version]] as const; // as CLIENT LIST shows it

/** Splits a text at the first occurrence of the mark. */
function cut(text: string, mark: string): [before: string, after: string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + mark.length)];
}

/** Longest address in CLIENT INFO: servers truncate a socket's path to 77 bytes. */
const LONGEST_ADDRESS = 128;

/**
 * Reads the line of CLIENT INFO, `id=7 addr=10.0.0.1:50000 laddr=10.0.0.2:6379 fd=8 ...`. The server may have invented
 * it, so that the driver makes another server kill somebody else's connection. So it counts only if it is well-formed,
 * and only for connections that the server sees in the same way: with our socket's own address or, behind NAT or a
 * proxy, as the same host.
 */
function readIdentity(line: string, endpoint: Endpoint, socket: Socket): Partial<Fence> {
  const [head] = cut(cut(line, " fd=")[0], " name="); // the path of a Unix socket may contain spaces
  const [known, local] = cut(head, " laddr=");
  const [word, address] = cut(known, " addr=");
  const id = cut(word, "id=")[1];
  const host = endpoint.path === undefined ? ipOf(address) : address;
  const { localAddress, localPort = 0 } = socket;
  const own = typeof localAddress === "string" ? ipOf(hostOf({ host: localAddress, port: localPort })) : "";
  const isDirect = own !== "" && own === host && address.endsWith(`:${localPort}`);
  const isGood = word === `id=${id}` && ID.holds(toNumber(id)) && host !== "" &&
    [address, local].every((text) => text.length <= LONGEST_ADDRESS && printable(text));
  return isGood ? { id, address, server: [addressOf(endpoint), local, isDirect ? "" : host].join(" ") } : {};
}

const ID = whole(1, Number.MAX_SAFE_INTEGER);

/** Returns the IP address in "10.0.0.1:50000" or "[::1]:50000"; an empty text if there is none. */
function ipOf(address: string): string {
  const at = address.lastIndexOf(":");
  const [from, to] = address.startsWith("[") && address[at - 1] === "]" ? [1, at - 1] : [0, at];
  const host = address.slice(from, to);
  const isGood = isIP(host) !== 0 && OPTIONS.port.check.holds(toNumber(address.slice(at + 1)));
  return isGood ? cut(host, "::ffff:")[1] || host : "";
}

// ==== 7. Connection ====
//
// One socket, from its opening to its death; it never reconnects, and transactions on it die with it. A command's
// position in the queue decides its outcome: the first commands are in flight, written and awaiting replies in order;
// the rest are unwritten. A command that is abandoned in flight keeps its position until its reply has been read and
// dropped.
//
//     receive: one reply for the first <- [ in flight | not written ] <- push
//                             flush: one write for all  ^

/** FIFO queue in a ring buffer that doubles when it is full. */
class Ring<T> {
  #ring: (T | undefined)[] = new Array(16);
  #head = 0;
  length = 0;

  push(item: T): void {
    if (this.length === this.#ring.length) this.#resize(this.length * 2);
    this.#ring[this.#index(this.length++)] = item;
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = this.#index(1);
    if (--this.length === 0 && this.#ring.length > 65_536) this.#resize(16); // frees the memory of a burst
    return item;
  }

  at(position: number): T | undefined { return this.#ring[this.#index(position)]; }
  replace(position: number, item: T): void { this.#ring[this.#index(position)] = item; }
  #index(position: number): number { return (this.#head + position) & (this.#ring.length - 1); }

  #resize(size: number): void {
    const ring = new Array<T | undefined>(size);
    for (let i = 0; i < this.length; i++) ring[i] = this.#ring[this.#index(i)];
    this.#ring = ring;
    this.#head = 0;
  }
}

/** Whether a row neither changes data nor sends a message: INFO, PING and MULTI do not, like all that only read. */
const isLight = ({ kind, is }: Row): boolean => kind !== "write" && !is.partly && !is.channel;
const isLightLoad = ({ row, special: { batch } }: Command): boolean =>
  row.kind === "read" || (batch === undefined ? isLight(row) : batch.rows.every(isLight));

/** The commands of a connection or a pool. A gap (undefined) is a command that was abandoned before it was written. */
class Queue extends Ring<Command | undefined> {
  /** Size of the unwritten commands, and of the light ones among them, in bytes (for text, in characters). */
  #unsent = 0;
  #unsentLight = 0;
  /** Number of written commands, which come first. */
  inFlight = 0;

  override push(command: Command): void {
    super.push(command);
    this.#count(command, command.size);
  }

  /** Whether there is no room for this command. Unsent bytes of writes do not count against a light one. */
  isFull({ maxPending, maxUnsent }: PoolOptions, command: Command): boolean {
    return this.length >= maxPending || (isLightLoad(command) ? this.#unsentLight : this.#unsent) >= maxUnsent;
  }

  #count(command: Command, size: number): void {
    this.#unsent += size;
    if (isLightLoad(command)) this.#unsentLight += size;
  }

  /** The command whose reply comes next. */
  get first(): Command | undefined { return this.inFlight > 0 ? this.at(0) : undefined; }

  /** The command to be written next. */
  get next(): Command | undefined { return this.inFlight < this.length ? this.at(this.inFlight) : undefined; }

  advance(): void {
    const command = this.next!;
    this.#count(command, -command.size);
    this.inFlight++;
  }

  /** Removes the next command, which was abandoned; behind commands in flight, leaves a gap. */
  skip(): void {
    if (this.inFlight === 0) return void this.shift();
    this.advance();
    this.replace(this.inFlight - 1, undefined);
  }

  /** Removes the first command, and the gaps after it. */
  override shift(): Command | undefined {
    const first = super.shift();
    if (this.inFlight === 0) this.#count(first!, -first!.size);
    else {
      this.inFlight--;
      while (this.inFlight > 0 && this.at(0) === undefined) {
        super.shift();
        this.inFlight--;
      }
    }
    return first;
  }

  commands(count = this.length): Command[] {
    return Array.from({ length: count }, (_, i) => this.at(i)).filter((command) => command !== undefined);
  }

  drain(): Command[] {
    const commands = this.commands();
    while (this.length > 0) this.shift();
    return commands;
  }
}

type Owner = {
  /** Can add commands to the handshake, and verify the server. */
  readonly address: Address;
  /** Called once, when an open connection has died; `orphans` are its unsettled commands, in order. */
  readonly closed: (error: RedisError, orphans: Command[]) => void;
  /** Passwords of other connections that its server may know, and that errors must not show. */
  readonly secrets?: (() => string[]) | undefined;
  readonly prepare?: ((connection: Connection) => Promise<unknown>) | undefined;
  /** Takes a command that the server refused, to send it again somewhere; false if its caller must get the error. */
  readonly refused: (command: Command, error: ReplyError) => boolean;
  /** Called to have the server end a command that may block for ever, because AUTH waits behind it. */
  readonly interrupt?: () => void;
  /** Called when the connection cannot log in again, and another one must take its place. */
  readonly replace?: (error: RedisError) => void;
  /** "commands" by default. */
  readonly carries?: Carries | undefined;
  /** Receives each push, message, or line of MONITOR. Without it, pushes are dropped. */
  readonly pushed?: ((push: readonly unknown[]) => void) | undefined;
};

/** Traffic on a connection. "both" means replies, and pushes (as Buffers) from a server that tracks keys. */
type Carries = "commands" | "messages" | "monitor" | "both";

/** Totals of a connection, or of the connections of a pool. */
type Traffic = { replies: number; bytesRead: number; bytesWritten: number };

class Connection {
  /** Settles when the handshake ends, or when the connection dies before that. */
  readonly opened: Promise<void>;
  readonly socketClosed: Promise<void>;
  /** Identity of the connection, as the server reports it in the handshake. */
  readonly fence: Fence = { id: "", address: "", server: "", done: false, lostAt: Infinity };
  /** Replies to the handshake: to HELLO, and to the commands of the address. */
  readonly replies: { hello: Report | undefined; greeting: unknown[] } = { hello: undefined, greeting: [] };
  readonly dialledAt = world.now();
  lastReceived = 0;
  /** Time of its last sign of life: the end of a reply, for a listener also of a push, or much of one long string. */
  #lastSign = 0;
  #knocked = -Infinity;
  /** Bytes of the arriving string since the last sign of life. */
  #arrived = 0;
  /** Whether it has been of use: it has answered a caller's command or, for a listener, confirmed its channels. */
  isOfUse = false;
  /** Whether it was closed with unanswered writes, which the server may still execute. */
  hasLostWrites = false;
  /** Called with each command that does not only read: when it is written, and before its caller gets the reply. */
  onWrite: ((command: Command) => void) | undefined = undefined;
  /** Number of replies since the handshake, and number of bytes received. */
  replyCount = 0;
  #received = 0;
  readonly #endpoint: Endpoint;
  readonly #options: PoolOptions;
  readonly #owner: Owner;
  /** Whether it carries messages or lines of MONITOR. */
  readonly #isListener: boolean;
  /** Undefined until option socket has returned a stream. */
  #socket: Socket | undefined;
  #encoder!: Encoder;
  readonly #decoder: Decoder;
  /** View for the driver's own commands. */
  readonly #view: View;
  readonly #queue = new Queue();
  readonly #session: Session;
  #timer: NodeJS.Timeout | undefined;
  #settle!: { resolve: () => void; reject: (error: RedisError) => void };
  #socketHasClosed!: () => void;
  #phase: "connecting" | "greeting" | "open" | "closed" = "connecting";
  #error: RedisError | undefined;
  #flushing = false;
  #paused = false;
  /** The command in flight that is only partly written, because the socket's buffer is full. */
  #unfinished: Command | undefined;
  #big: Command | undefined;

  constructor(endpoint: Endpoint, options: PoolOptions, owner: Owner) {
    const { connectTimeout } = options;
    this.#endpoint = endpoint;
    this.#options = options;
    this.#owner = bare(owner);
    this.#session = new Session(this, endpoint, options, this.#owner);
    const { carries } = this.#owner;
    this.#isListener = carries === "messages" || carries === "monitor";
    const charset = this.#isListener ? options.charset : "utf-8";
    const explain = (line: Buffer, at: number): ReplyError =>
      toError(line, this.#session.login, this.#queue.first?.asked(at), this.#owner.secrets?.());
    this.#decoder = new Decoder(options, carries === "both" ? null : charset, explain);
    this.#view = new View({ replyTimeout: Math.min(options.replyTimeout, connectTimeout), charset });
    const receive = (chunk: Buffer): void => this.#receive(chunk);
    const attach = (stream?: Socket): void => {
      if (this.#phase === "closed") stream?.destroy();
      else this.#attach(world.connect(endpoint, receive, stream), receive);
    };
    const isGiven = endpoint.socket !== undefined;
    (isGiven ? openStream(endpoint).then(attach) : new Promise(() => attach())).catch((cause) => {
      const failed = `no connection to ${addressOf(endpoint)}${isGiven ? ": option socket failed" : ""}`;
      this.close(new ConnectionError("CONNECT_FAILED", "not-sent", failed, { cause })); // tls.connect() may throw
    });
    afterSilence(connectTimeout, () => {
      const late = `${this.obstacle} after ${Math.round(connectTimeout)} ms`;
      if (this.#phase !== "open") this.close(new TimeoutError("CONNECT_TIMEOUT", "not-sent", late));
    }, (timer) => void (this.#timer = options.unref ? timer.unref() : timer));
    this.opened = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.socketClosed = new Promise((resolve) => (this.#socketHasClosed = resolve));
  }

  get isOpen(): boolean { return this.#phase === "open"; }
  /** Number of unwritten and unanswered commands. */
  get load(): number { return this.#queue.length; }
  /** The load, for a choice of connections: more than any other, behind a big command or a reply that is arriving. */
  get burden(): number {
    const isBusy = (this.#big?.state ?? "settled") !== "settled" || this.#decoder.begun;
    return isBusy ? this.load + 2 ** 31 : this.load;
  }

  get traffic(): Traffic {
    const { bytesWritten = 0 } = this.#socket ?? {}; // not every stream counts them
    return { replies: this.replyCount, bytesRead: this.#received, bytesWritten };
  }
  isFull(command: Command): boolean { return this.#queue.isFull(this.#options, command); }
  /** The unfinished step of connecting, for error messages. */
  get obstacle(): string {
    const host = hostOf(this.#endpoint);
    const [asked] = this.pending;
    if (this.#socket === undefined) return `stream to ${host} not opened by option socket`;
    const transport = TRANSPORTS.get(this.#socket);
    const isSecuring = this.#phase === "connecting" && transport !== undefined && transport.connecting !== true;
    if (isSecuring) return `TLS handshake with ${host} unanswered`;
    if (this.#phase === "connecting") return `still connecting to ${host}`;
    if (asked !== undefined) return `${asked.name} to ${host} unanswered`;
    const isLogin = this.#endpoint.credentials !== undefined && this.fence.id === "";
    return isLogin ? `credentials for ${host} not known` : `check of ${host} not finished`;
  }

  /** Whether the reply to a command that was abandoned is still to come. */
  get owes(): boolean { return this.load > this.pending.length; }
  /** Commands that have not been settled, in order. */
  get pending(): Command[] { return this.#queue.commands().filter((command) => command.state !== "settled"); }

  /** The blocking command that the server is executing on this connection. */
  get blocking(): Command | undefined { return this.pending.find(({ blocks }) => blocks !== undefined); }

  /** Sends a blank line, which a server reads while a command blocks: CLIENT LIST then shows a shorter idle time. */
  knock(): void {
    if (this.#phase !== "open" || this.#mayWrite || this.#encoder.isFull) return;
    this.#socket!.write(BLANK);
    this.#knocked = world.now();
  }

  /** Whether CLIENT LIST says that the server has not received the last blank line. */
  isIdle(line: string): boolean {
    const [idle = ""] = cut(line, " idle=")[1].split(" ", 1);
    const slack = this.#view.replyTimeout + 1_000; // idle is in whole seconds
    return Number(idle) * 1_000 > world.now() - this.#knocked + slack;
  }

  /** Opens another connection to the same server, for the driver's own commands. */
  another(): Connection { return Connection.alone(this.#endpoint, this.#options, this.#owner.address); }

  /** Opens a connection that belongs to no pool. */
  static alone(endpoint: Endpoint, options: PoolOptions, address: Address): Connection {
    const closed: Owner["closed"] = (error, orphans) => orphans.forEach((command) => command.fail(error));
    return new Connection(endpoint, options, { address, closed, refused: () => false });
  }

  /** Queues a command, to be written with the others of this tick. */
  push(command: Command): void {
    if (this.#phase === "closed") return void command.fail(this.#error!, world.afterInput);
    this.#queue.push(command);
    if (command.size >= BIG) this.#big = command;
    if (this.#flushing) return;
    this.#flushing = true;
    world.endOfTick(flush, this);
  }

  pushLent(command: Command): void {
    this.push(command);
    this.#session.sent(command);
  }

  /** Writes queued commands now, as many as the socket has room for. */
  flush(): void {
    this.#flushing = false;
    while (this.#mayWrite) {
      while (this.#mayWrite) this.#write();
      this.#encoder.flush();
    }
  }

  get #mayWrite(): boolean { return (this.#unfinished ?? this.#queue.next) !== undefined && !this.#encoder.isFull; }

  /** Closes it when its shared commands that have a deadline are answered, or after `limit`. */
  finish(error: RedisError, limit = Infinity): void {
    const others = this.pending.filter(({ owner, exclusive, deadline }) =>
      owner !== undefined && !exclusive && deadline < Infinity);
    if (others.length === 0) return this.close(error);
    void settled(others.map(({ promise }) => promise), limit).then(() => this.close(error));
  }

  /** Closes it at once. Its owner may reissue pending commands, but not `culprit`, which would get the same reply. */
  close(error: RedisError, culprit?: Command): void {
    if (this.#phase === "closed") return;
    const wasOpen = this.#phase === "open";
    this.#phase = "closed";
    this.#error = error;
    world.cancel(this.#timer);
    this.#session.end();
    const orphans = this.pending.filter((command) => command !== culprit);
    const written = this.#queue.commands(this.#queue.inFlight);
    for (const { special: { batch } } of written) if (batch !== undefined) batch.isLost = true;
    this.hasLostWrites = written.some(({ row }) => row.kind !== "read" && !row.is.harmless);
    this.#destroySocket();
    this.#queue.drain();
    this.#unfinished = undefined;
    culprit?.fail(error);
    if (wasOpen) return this.#owner.closed(error, orphans);
    for (const command of orphans) command.fail(error);
    this.#settle.reject(withoutStack(() => error.of(undefined, "not-sent")));
  }

  #destroySocket(): void {
    const socket = this.#socket;
    const transport = socket && (TRANSPORTS.get(socket) ?? socket);
    // Discards unsent bytes where that is possible: not for Unix sockets, nor in every runtime.
    if (this.hasLostWrites && transport?.remotePort !== undefined) transport.resetAndDestroy?.();
    socket?.destroy();
    if (this.#endpoint.socket === undefined) return;
    transport?.destroy();
    this.#socketHasClosed(); // not every stream emits `close`
  }

  /** Moves the unwritten commands to other servers that can take them; tombstones remain. */
  evacuate(): void {
    for (let i = this.#queue.inFlight; i < this.#queue.length; i++) {
      const command = this.#queue.at(i);
      const mayMove = command?.state === "waiting" && !command.exclusive; // commands of a lease stay
      const other = mayMove ? command.owner?.elsewhere(command, SILENT) : undefined;
      if (other !== undefined) this.#queue.replace(i, command!.moveTo(other));
    }
  }

  /** Fails overdue commands; returns the next deadline. Closes a connection that was silent for a whole timeout. */
  expire(now: number): number {
    let next = Infinity;
    let isSilent = false;
    let isFirst = true;
    for (let i = 0; i < this.#queue.length; i++) {
      const command = this.#queue.at(i);
      // Skips the connection's own commands: they have no deadline, and must not hide a dead link.
      if (command === undefined || command.state === "settled" || command.deadline === Infinity) continue;
      const { batch } = command.special;
      if (command.deadline <= now && batch !== undefined && batch.length > 1) { // counts from the last reply
        command.deadline = Math.max(command.deadline, this.#lastSign + command.timeout);
      }
      if (command.deadline > now) next = Math.min(next, command.deadline);
      else {
        // An unwritten command behind others says nothing about the link while those still have time.
        isSilent ||= (command.state === "written" || isFirst) && this.#isSilent(command, now);
        const tombstone = command.expire(`${hostOf(this.#endpoint)} has not taken what was sent before it`);
        if (now < command.deadline) next = Math.min(next, command.deadline);
        if (tombstone !== undefined) {
          this.#queue.replace(i, tombstone);
          if (this.#unfinished === command) this.#unfinished = tombstone; // its rest must follow on this connection
        }
      }
      isFirst = false;
    }
    if (isSilent && !this.#paused) this.close(SILENT);
    return next;
  }

  /**
   * Whether the server has shown no sign of life since this command was issued, for a whole replyTimeout. Mere bytes
   * count only for the oldest reply, and only until its deadline: a reply that never ends would swallow all later ones.
   */
  #isSilent(command: Command, now: number): boolean {
    const { first = command } = this.#queue;
    const called = command.deadline - command.timeout;
    const isFirstServer = command.within !== Infinity; // another server has had less time
    const hadFullTime = isFirstServer && now - called >= this.#view.replyTimeout;
    const hasTime = first.state !== "settled" && first.deadline > now && first.deadline < Infinity;
    const isOldest = hasTime || command === first;
    return hadFullTime && (isOldest ? this.lastReceived : this.#lastSign) <= called;
  }

  /** Sends PING if the server has been silent for this long; returns the time by which it must reply. */
  probe(now: number, silence: Milliseconds): number {
    // Commands with a short deadline, or with none (the connection's own), would not reveal a dead link.
    const isWatched = this.pending.some(({ deadline, timeout }) =>
      deadline < Infinity && timeout >= this.#view.replyTimeout);
    if (now - this.#lastSign < silence || isWatched || this.#paused) return Infinity;
    const ping = this.ping();
    ping.deadline = now + ping.timeout;
    return ping.deadline;
  }

  ping(): Command {
    const ping = new Command(commands.ping, [], this.#view);
    ping.promise.catch(ignore);
    this.push(ping);
    return ping;
  }

  get isPaused(): boolean { return this.#paused; }

  /** Stops reading. Until resume(), silence does not close the connection. */
  pause(): void {
    this.#paused = true;
    this.#socket!.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.lastReceived = this.#lastSign = world.now();
    this.#socket!.resume();
  }

  #attach(socket: Socket, receive: (chunk: Buffer) => void): void {
    const { tls, socket: isGiven } = this.#endpoint;
    this.#socket = socket;
    this.#encoder = new Encoder(socket);
    socket.on("data", (chunk: unknown) => Buffer.isBuffer(chunk) ? receive(chunk) : this.close(NO_BYTES));
    socket.on("error", (cause) => this.close(this.#lost(cause)));
    socket.on("end", () => this.close(this.#lost()));
    socket.on("close", () => {
      this.#socketHasClosed();
      this.close(this.#lost());
      this.#encoder.flush(); // releases unsent memory
    });
    socket.on("drain", () => this.flush());
    if (this.#options.unref) for (const each of [socket, TRANSPORTS.get(socket)]) each?.unref?.();
    const greet = (): void => {
      this.#phase = "greeting";
      this.#session.begin(socket).then(() => this.#open()).catch((error: unknown) =>
        this.close(error instanceof ProtocolError ? this.#foreign(error) : connectError(error)));
    };
    if (tls === false && isGiven !== undefined && !socket.connecting) greet();
    else socket.once(tls === false ? "connect" : "secureConnect", greet);
  }

  #open(): void {
    if (this.#phase === "closed") return;
    this.#phase = "open";
    this.replyCount = 0;
    world.cancel(this.#timer);
    void this.#session.keepLogin();
    this.#settle.resolve();
  }

  #lost(cause?: NodeJS.ErrnoException): ConnectionError {
    const address = addressOf(this.#endpoint);
    const why = cause === undefined ? "the server closed it" : ownEntry(cause, "code") ?? cause.message;
    return this.#phase === "open"
      ? new ConnectionError("CONNECTION_LOST", "unknown", `the connection to ${address} was lost: ${why}`, { cause })
      : new ConnectionError("CONNECT_FAILED", "not-sent", `no connection to ${address}: ${why}`, { cause });
  }

  #write(): void {
    const command = this.#unfinished ?? this.#next();
    if (command === undefined) return;
    try {
      this.#unfinished = command.write(this.#encoder) ? undefined : command;
    } catch (cause) {
      this.close(this.#lost(cause as Error));
    }
  }

  /** Marks the next command as in flight and returns it; undefined if it was abandoned meanwhile. */
  #next(): Command | undefined {
    const command = this.#queue.next!;
    const { isChanged } = command;
    if (isChanged) command.fail(new ConnectionError("CONNECTION_LOST", "not-sent", CHANGED));
    if (isChanged || command.state === "settled") return void this.#queue.skip();
    this.#queue.advance();
    command.state = "written";
    command.fence = this.fence;
    if (this.onWrite !== undefined && command.row.kind !== "read") this.onWrite(command);
    return command;
  }

  #receive(chunk: Buffer): void {
    if (this.#phase === "closed") return;
    this.lastReceived = world.now();
    this.#received += chunk.length;
    this.#decoder.feed(chunk);
    try {
      if (this.#answer() || this.#hasGrown(chunk)) {
        this.#lastSign = this.lastReceived;
        this.#arrived = 0;
      }
    } catch (cause) {
      const breach = cause instanceof ProtocolError ? cause
        : new ProtocolError("PROTOCOL", "unknown", "a reply could not be decoded", { cause });
      const error = this.#phase === "open" ? breach : this.#foreign(breach, chunk);
      this.close(error, this.#decoder.begun ? this.#queue.first : undefined);
    }
  }

  /** Returns the error of a handshake with a peer of another protocol, which its first bytes may tell. */
  #foreign({ message }: ProtocolError, chunk?: Buffer): ProtocolError {
    const found = chunk && FOREIGN.find(([mark]) => mark.startsWith(chunk.toString("latin1", 0, mark.length)));
    const speaks = found === undefined ? `does not speak as a Redis server does: ${message}` : `speaks ${found[1]}`;
    return new ProtocolError("PROTOCOL", "not-sent", `what answers at ${hostOf(this.#endpoint)} ${speaks}`);
  }

  /** Whether enough of one long string has arrived to count as a sign of life: 1 % of it, and at least 64 KiB. */
  #hasGrown(chunk: Buffer): boolean {
    const { arrived, length } = this.#decoder.partial ?? NO_STRING;
    this.#arrived = Math.min(arrived, this.#arrived + chunk.length);
    return this.#arrived >= Math.max(65_536, length / 100);
  }

  /**
   * Settles commands with their replies; returns whether a reply, or a listener's message, was complete. Removes each
   * command only after its reply has been decoded, so that a protocol error finds it in flight.
   */
  #answer(): boolean {
    let hasEnded = false;
    for (;;) {
      const command = this.#queue.first;
      const { charset, maps } = command?.view ?? this.#view;
      const reply = this.#decoder.take(charset, command?.reading, maps);
      if (reply === MORE) {
        if (command === undefined && !this.#isListener && this.#decoder.begun) this.close(UNEXPECTED);
        return hasEnded;
      }
      const isPush = this.#isPush(reply, command);
      hasEnded ||= !isPush || this.#isListener;
      if (isPush) this.#owner.pushed?.(Array.isArray(reply) ? reply : [reply]);
      else if (command === undefined) {
        this.close(reply instanceof ReplyError ? connectError(reply) : UNEXPECTED);
        return hasEnded;
      } else if (reply instanceof ReplyError && this.#takenBack(command, reply)) this.#queue.shift();
      else {
        this.replyCount++;
        this.isOfUse ||= command.view !== this.#view && !(reply instanceof ReplyError);
        if (!command.answer(reply)) continue;
        this.#queue.shift();
        if (this.onWrite !== undefined && command.row.kind !== "read") this.onWrite(command);
        command.owner?.finished(command);
      }
    }
  }

  /** Whether a command that the server refused is sent again, here or by the owner. */
  #takenBack(command: Command, error: ReplyError): boolean {
    const isResumed = error.code === "UNBLOCKED" && this.#session.resumes(command);
    return isResumed || (!command.isAsking && command.state === "written" && this.#owner.refused(command, error));
  }

  /** RESP3 marks pushes, but confirms subscriptions with pushes, too. RESP2 pushes are known by their first word. */
  #isPush(reply: unknown, command: Command | undefined): boolean {
    if (!this.#decoder.pushed && !this.#isListener) return false;
    if (this.#owner.carries === "monitor" && typeof reply === "string") return command === undefined;
    if (!Array.isArray(reply)) return false;
    const kind = String((reply as unknown[])[0]);
    const isMarked = this.#decoder.pushed || PUSHES.has(kind);
    return isMarked && (command === undefined || kind.toUpperCase() !== command.name);
  }

  /** Sends a command of the driver's own, which has no owner. */
  ask(row: Row, ...args: unknown[]): Promise<unknown> {
    const command = new Command(row, args, this.#view);
    this.push(command);
    return command.promise;
  }
}

/** Commands that subscribe: the kind and length of their messages, and the command that unsubscribes. */
const LISTENING = {
  subscribe: { message: "message", parts: 3, end: "unsubscribe" },
  psubscribe: { message: "pmessage", parts: 4, end: "punsubscribe" },
  ssubscribe: { message: "smessage", parts: 3, end: "sunsubscribe" },
} as const;
type Subscribing = keyof typeof LISTENING;
/** Entries of LISTENING by kind of push: messages and unsubscriptions, because a server may end a subscription. */
const PUSHES: ReadonlyMap<string, typeof LISTENING[Subscribing]> =
  new Map(Object.values(LISTENING).flatMap((row) => [[row.message, row], [row.end, row]]));
const BLANK = Buffer.from("\r\n");
/** Size from which commands behind another one wait longer for its bytes than for the server, in bytes. */
const BIG = 65_536;
const NO_BYTES = new ProtocolError("PROTOCOL", "unknown", "the stream of option socket gives no Buffers");
const NO_STRING = { length: 0, arrived: 0 };
const UNEXPECTED = new ProtocolError("PROTOCOL", "unknown", "the server sent a reply that no command was waiting for");
const SILENT = new ConnectionError("CONNECTION_LOST", "unknown", "the server has gone silent");

/** The first bytes that servers of other protocols send to a Redis client, and the names of the protocols. */
const FOREIGN: readonly [mark: string, name: string][] =
  [["HTTP/", "HTTP"], ["SSH-", "SSH"], ["\x15\x03", "TLS; set option tls, or write rediss:"]];

/** Converts the cause of a failed handshake to the connection's error. */
function connectError(cause: unknown): RedisError {
  if (cause instanceof ConnectionError) return cause;
  const isReply = cause instanceof ReplyError;
  const why = isReply && (cause.code === "NOAUTH" ? "it requires a password" : cause.message);
  const [code, message] = !isReply ? ["CONNECT_FAILED", "the handshake failed"]
    : refusalOf(cause).handshake === "wait" ? ["NOT_READY", `the server is not ready: ${why}`]
    : ["REFUSED", `the server refused the connection: ${why}`];
  return new ConnectionError(code, "not-sent", message, { cause: isReply ? asCause(cause) : cause });
}

const flush = (connection: Connection): void => connection.flush();

// ==== 8. Seats ====
//
// The parts of a pool: seats, each with a connection or none; the order in which they dial; the commands that have no
// connection yet; lost connections that the server must end; blocked connections, about which the server is asked. To
// change how long a pool waits before it dials, change Dialling.
//
//     opening -> open <-> lent     closes once it has answered: -> recalled     without a connection: -> resting

const FIRST_REST: Milliseconds = 50;
const LONGEST_REST: Milliseconds = 2_500;
const REFUSED_REST: Milliseconds = 1_000; // after a refused login: more frequent attempts would look like an attack
const PAUSE: Milliseconds = 50; // before retrying a server that is not ready
const STABLE: Milliseconds = 5_000; // a connection that has lasted this long counts as stable
const PATIENCE: Milliseconds = 250; // commands wait this long after a loss, which is enough for a server to restart
const THAW: Milliseconds = 1_000; // an idle connection must answer within this time after a freeze
const COARSE: Milliseconds = 10; // minimum time between two checks of deadlines
const MOST_FENCES = 10_000; // for servers that stay unreachable
const REISSUES = 5; // maximum for a command: each execution may crash the server, or each reply exceed a limit

/** Callbacks for the life of a pool's connections, and the pool's role among the copies of its data. */
type Hooks = Pick<Owner, "prepare" | "carries" | "pushed" | "secrets"> & {
  readonly lost?: (error: RedisError) => void;
  readonly opened?: () => void;
  /** Whether it opens no connection before wake(). */
  readonly isSpare?: boolean;
  /** The server's role, for REFUSALS; a primary by default. */
  readonly role?: "primary" | "replica" | "member";
  /** Finds another copy of the data for a command that is about to fail with this error. */
  readonly copy?: (from: Pool, command: Command, error: RedisError) => Pool | undefined;
  /** Finds the server that has taken over the keys of an unwritten command. */
  readonly successor?: ((command: Command) => Target | undefined) | undefined;
  /** Takes a command that was refused because of its slot, and its lease; false if its caller must get the error. */
  readonly redirect?:
    ((from: Pool, command: Command, error: ReplyError, lease: Lease | undefined) => boolean) | undefined;
  /** Called with such an error of a listener, whose commands are not redirected. */
  readonly learn?: (error: ReplyError) => void;
  /** Those of all servers of a handler: one that leaves and comes back gets another pool. Default: the pool's own. */
  readonly fences?: Fences;
};

/** Combines the hooks of several users of the same connections. */
const shared = (...hooks: readonly Hooks[]): Hooks => sharedBy(hooks.map(bare));
const sharedBy = (users: readonly Hooks[]): Hooks => ({
  carries: users.find(({ carries }) => carries !== undefined)?.carries,
  prepare: (connection) => Promise.all(users.map(({ prepare }) => prepare?.(connection))),
  pushed: (push) => users.forEach(({ pushed }) => pushed?.(push)),
  lost: (error) => users.forEach(({ lost }) => lost?.(error)),
});

/** A connection lent to one user, whose commands run on it or not at all. */
type Lease = {
  /** The command that it was lent for. */
  readonly command: Command;
  /** Time at which it was lent, and at which a command was last sent on it. */
  readonly since: number;
  touched: number;
  readonly dispatch: (command: Command) => Promise<unknown>;
  /** Returns the connection; unless it is `clean`, closes it, which ends any transaction on it. */
  readonly release: (clean: boolean) => void;
};

class Seat {
  state: "opening" | "open" | "lent" | "recalled" | "resting" = "opening";
  connection: Connection | undefined;
  /** Time at which its connection was opened or, if it has none, lost. */
  since = world.now();
  /** Time until which commands wait for it while it has no connection. */
  awaitedUntil = Infinity;
  /** Ends its rest, its wait for the address, or the time in which its connection is in doubt. */
  timer: NodeJS.Timeout | undefined;
  lease: Lease | undefined;
  readonly #unref: boolean;

  constructor({ unref }: PoolOptions) { this.#unref = unref; }

  /** Whether its connection has been of use, or has lasted. */
  get isProven(): boolean { return this.connection!.isOfUse || world.now() - this.since >= STABLE; }

  stop(): void {
    world.cancel(this.timer);
    this.timer = undefined;
  }

  after(delay: Milliseconds, task: () => void): void {
    this.stop();
    this.timer = world.after(delay, task);
    if (this.#unref) this.timer.unref();
  }

  /** Sends no more commands on its connection. That closes when it has answered, a lent one when it is returned. */
  recall(error: RedisError, mayClose = this.state === "open"): void {
    this.state = "recalled";
    if (mayClose) this.connection!.finish(error, PATIENCE);
  }

  /** Closes a lent connection that has not been used for leaseTimeout; returns the time at which that will be. */
  expireLease(now: number, leaseTimeout: Milliseconds): number {
    const { lease, connection } = this;
    if (lease === undefined) return Infinity;
    const used = connection!.load > 0 ? now : Math.max(lease.touched, connection!.lastReceived);
    const end = used + leaseTimeout;
    if (end <= now) connection!.close(FORGOTTEN);
    return end <= now ? Infinity : end;
  }
}

/**
 * Lost connections whose commands may still reach the server. Every other connection of its pools first makes the
 * server kill them: a lent one when it is returned, because it may be in a transaction.
 */
class Fences {
  readonly #fences = new Set<Fence>();
  /** The pools whose connections kill them. */
  readonly pools = new Set<Pool>();

  add(fence: Fence): void {
    this.#fences.add(fence);
    const [oldest] = this.#fences;
    if (this.#fences.size > MOST_FENCES) this.#fences.delete(oldest!);
    fence.lostAt = world.now();
    for (const { free } of this.pools) for (const connection of free) this.#send(connection, fence);
  }

  /** Sends CLIENT KILL, on this connection, for each whose id the same server has issued. */
  send(connection: Connection): void {
    for (const fence of this.#fences) this.#send(connection, fence);
  }

  #send(connection: Connection, fence: Fence): void {
    const { server, id } = connection.fence;
    // A server's ids ascend: a connection that was dialled later and has a lower id leads to another server.
    const isOther = connection.dialledAt > fence.lostAt && Number(id) <= Number(fence.id);
    if (server !== fence.server || isOther) return;
    connection.ask(commands.clientKill, { ID: fence.id, ADDR: fence.address }).then((ended) => {
      fence.done ||= ended === 0 || ended === 1; // before any later reply; 0 if it had ended already
      this.#fences.delete(fence);
    }, (error) => {
      if (error instanceof ReplyError) this.#fences.delete(fence);
    });
  }
}

/** The commands of a pool that have no connection: those that wait for one, and those that the server has refused. */
class Backlog {
  readonly #pool: Pool;
  readonly #waiting = new Queue();
  /** Commands that the server refused; after PAUSE, one of them is resent alone, as the probe. */
  readonly #refused: Command[] = [];
  #pause: NodeJS.Timeout | undefined;
  #probe: Command | undefined;
  /** Which commands are held until the server accepts the probe, and the queue that holds them. */
  #holds: "nothing" | "writes" | "everything" = "nothing";
  readonly #held = new Queue();

  constructor(pool: Pool) { this.#pool = pool; }

  isHeld(command: Command): boolean {
    if (this.#holds === "nothing" || command === this.#probe) return false;
    return this.#holds === "everything" || command.mayWrite;
  }

  /** Whether a command still waits here: not settled, and not moved to another server. */
  has({ state, owner }: Command): boolean { return state === "waiting" && owner === this.#pool; }
  /** Its commands, in the order in which they would be written. */
  get commands(): Command[] {
    const all = [...this.#refused, ...this.#waiting.commands(), ...this.#held.commands()];
    return all.filter((command) => this.has(command));
  }

  queueOf(command: Command): Queue { return this.isHeld(command) ? this.#held : this.#waiting; }
  get next(): Command | undefined { return this.#waiting.next; }
  shift(): void { this.#waiting.shift(); }

  lineUp(first: readonly Command[] = []): void {
    for (const command of [...first, ...this.#drain()]) {
      if (this.has(command)) this.queueOf(command).push(command);
    }
    this.#pool.serve();
  }

  /** Empties the queues, then queues the commands that stay: one that leaves may come back at once. */
  sift(stays: (command: Command) => boolean): void {
    const isKept = (command: Command): boolean => this.has(command) && stays(command);
    this.#refused.push(...this.#refused.splice(0).filter(isKept));
    this.lineUp(this.#drain().filter(isKept));
  }

  #drain(): Command[] { return [...this.#waiting.drain(), ...this.#held.drain()]; }

  /** Takes a command that the server refused, and resends it after PAUSE. */
  refuse(command: Command, error: RedisError): void {
    const { holds = this.#holds } = refusalOf(error);
    command.refusal = error;
    this.#refused.push(command);
    const isProbe = command === this.#probe;
    if (isProbe) this.#probe = undefined;
    this.#pause ??= world.after(PAUSE, () => this.#retry());
    if (holds === this.#holds || (!isProbe && this.#holds === "everything")) return;
    this.#holds = holds;
    this.lineUp();
  }

  /** Called when a command has been answered or has failed. If it is the probe, releases all others. */
  finished(command: Command): void {
    if (command === this.#probe) this.#resend();
  }

  /** The server's refusal because of which this command is held. */
  reasonFor(command: Command): RedisError | undefined {
    return this.isHeld(command) ? (this.#probe ?? this.#refused[0])?.refusal : undefined;
  }

  stop(): void { world.cancel(this.#pause); }

  #retry(): void {
    this.#pause = undefined;
    if (this.#probe !== undefined) return;
    const holds = (command: Command): boolean => refusalOf(command.refusal!).holds !== undefined;
    this.#resend(this.#refused.find((command) => holds(command) && this.has(command)));
  }

  /** Resends the refused commands and, if there is no probe, the held ones. */
  #resend(probe?: Command): void {
    this.#probe = probe;
    if (probe === undefined) this.#holds = "nothing";
    world.cancel(this.#pause);
    this.#pause = undefined;
    this.lineUp(this.#refused.splice(0));
  }
}

/**
 * Decides when a pool's seats dial. One seat dials for all: until its connection is open and not in doubt, the other
 * unconnected seats rest. The rest doubles with each failed attempt, and with each connection that is lost early.
 */
class Dialling {
  readonly #pool: Pool;
  #asker: Seat | undefined;
  /** Number of attempts that have failed since the pool had a connection. */
  #failures = 0;
  /** Number of connections lost early since the last one that was of use. */
  #doubts = 0;

  constructor(pool: Pool) { this.#pool = pool; }

  /** Whether this seat asks for all; if none does, this one begins to. */
  asks(seat: Seat): boolean { return (this.#asker ??= seat) === seat; }

  get #next(): Seat | undefined {
    return this.#pool.seats.find((seat) => seat.state === "resting" && seat !== this.#asker);
  }

  /** Lets another seat ask, too, if an attempt takes long: of several servers, it may have met the only dead one. */
  relieve(): void {
    const next = this.#next;
    if (next === undefined) return;
    next.after(LONGEST_REST, () => {
      if (this.#asker?.state !== "opening") return;
      this.#asker = next;
      this.#pool.open(next);
    });
  }

  /** Called when a seat has a connection that commands may use. */
  opened(seat: Seat): void {
    if (this.#asker?.state === "opening") this.#asker = seat; // its attempt takes longer than this one took
    if (seat === this.#asker && seat.timer === undefined) this.#openOthers(seat);
  }

  /** Opens the other seats: at once or, after an early loss, when this connection has been of use or has lasted. */
  #openOthers(seat: Seat): void {
    const isProven = this.#doubts === 0 || (seat.timer !== undefined && seat.isProven);
    seat.stop();
    this.#failures = 0;
    if (!isProven) {
      const next = seat.state === "lent" ? this.#next : undefined; // a command that blocks may prove nothing for long
      if (next === undefined) return seat.after(FIRST_REST, () => this.#openOthers(seat));
      this.#asker = next;
      return this.#pool.open(next);
    }
    this.#doubts = 0;
    this.#asker = undefined;
    const waiting = this.#pool.seats.filter(({ state }) => state === "resting");
    for (const other of waiting) if (this.#asker === undefined) this.#pool.open(other);
  }

  /** Returns the rest after an attempt that has failed. */
  failed(seat: Seat): Milliseconds {
    const delay = restOf(this.#failures + this.#doubts);
    if (this.asks(seat)) this.#failures++;
    return delay;
  }

  /** Has one seat ask first: where the connections of all seats lead to a replica, new ones may, too. */
  doubt(): void { this.#doubts ||= 1; }

  /** Returns the rest after a connection that was lost early, if it was not of use. */
  lost(seat: Seat): Milliseconds {
    const { isProven } = seat;
    const delay = restOf(isProven ? 0 : this.#doubts);
    if (this.asks(seat)) this.#doubts = isProven ? 1 : this.#doubts + 1;
    return delay;
  }
}

/** Connections on which commands block. They cannot answer PING, so the server is asked on another one about them. */
class Blocked {
  readonly #pool: Pool;
  readonly #timeout: Milliseconds;
  /** Connections that were opened to ask. */
  readonly helpers = new Set<Connection>();
  #checking: Promise<unknown> | undefined;
  #ending: Promise<void> | undefined;
  /** Commands that the server is asked to end, once for each question. */
  readonly #asked: Command[] = [];

  constructor(pool: Pool, timeout: Milliseconds) {
    this.#pool = pool;
    this.#timeout = timeout;
  }

  /** Whether the commands have been ended, because the pool closes. */
  get isEnding(): boolean { return this.#ending !== undefined; }

  get #connections(): Connection[] {
    return this.#pool.seats.flatMap(({ lease, connection }) => lease && connection?.blocking ? connection : []);
  }

  /**
   * Asks on an open connection or, if there is none, on one opened for this. `ask` receives a connection's line of
   * CLIENT LIST, or "" if that id is not ours there: CLIENT UNBLOCK would end another client's command.
   */
  async #ask(
    blocked: readonly Connection[], ask: (other: Connection, about: Connection, line: string) => Promise<unknown>,
  ): Promise<unknown[]> {
    const known = blocked.filter(({ fence }) => fence.id !== "");
    if (known.length === 0) return [];
    const [open] = this.#pool.free;
    const other = open ?? known[0]!.another();
    if (other !== open) this.helpers.add(other);
    const replies = other.opened.then(() => Promise.all(known.map(async (about) => {
      const { id, address, server } = about.fence;
      if (server !== other.fence.server) return; // there, the id would belong to another client
      const line = await other.ask(commands.clientList, { ID: id });
      if (typeof line !== "string") return;
      return ask(other, about, line.includes(` addr=${address} `) ? line : "");
    })));
    await settled([replies], this.#timeout);
    if (this.helpers.delete(other)) other.close(CLOSED);
    return Promise.race([replies, []]).catch(() => []);
  }

  /** Checks those that have received nothing for this long. */
  check(silence: Milliseconds): void {
    const silent = this.#connections.filter(({ lastReceived }) => world.now() - lastReceived >= silence);
    if (silent.length === 0) return;
    const before = new Map(silent.map((about) => [about, [about.blocking, about.lastReceived]]));
    this.#checking ??= this.#ask(silent, async (other, about, line) => {
      const { blocking, lastReceived } = about;
      const [asked, received] = before.get(about)!;
      if (blocking !== asked || lastReceived !== received) return;
      if (line !== "" && !about.isIdle(line)) return about.knock();
      const isUnblocked = await unblock(other, about, line) === 1;
      if (isUnblocked) blocking?.refuse(SILENT); // it was still blocked, so it had popped nothing
      about.close(SILENT);
    }).catch(ignore).finally(() => (this.#checking = undefined));
  }

  /** Ends the command that blocks one of them, which is sent again. */
  async interrupt(connection: Connection): Promise<void> {
    const command = connection.blocking!;
    await this.#during(command, this.#ask([connection], unblock)).catch(ignore);
    if (command.state === "settled") this.#pool.finished(command, connection.owes);
  }

  /** Ends all of their commands, so that no popped element is lost. */
  end(): Promise<void> { return this.#ending ??= this.#end(() => true).then(ignore, ignore); }
  /** Whether the server is asked to end this command. Until it answers, it could end the connection's next command. */
  isAsked(command: Command): boolean { return this.#asked.includes(command); }

  stop(command: Command): Promise<boolean> {
    return this.#during(command, this.#end((blocking) => blocking === command).catch(() => false));
  }

  async #during<T>(command: Command, question: Promise<T>): Promise<T> {
    this.#asked.push(command);
    return question.finally(() => this.#asked.splice(this.#asked.indexOf(command), 1));
  }

  async #end(isMeant: (blocking: Command) => boolean): Promise<boolean> {
    for (;;) {
      const blocked = this.#connections.filter(({ blocking }) => isMeant(blocking!));
      if (blocked.length === 0) return true;
      const blocking = blocked.map((connection) => connection.blocking!.promise);
      const replies = await this.#ask(blocked, unblock);
      if (!replies.some((reply) => typeof reply === "number")) return false; // no answer: they stay pending
      await settled(blocking, PAUSE); // CLIENT UNBLOCK may overtake a command
    }
  }
}

const unblock = async (on: Connection, { fence }: Connection, line: string): Promise<unknown> =>
  line !== "" && on.ask(commands.clientUnblock, fence.id, "ERROR");

const CLOSED = new ConnectionError("CLOSED", "not-sent", "the handler was closed");
const LEFT = new ConnectionError("CLOSED", "not-sent", "the server has left the list of hosts, or the cluster");
const FORGOTTEN = new TimeoutError("LEASE_EXPIRED", "unknown", "a lent connection was left unused for leaseTimeout");
const DEMOTED = new ConnectionError("CONNECTION_LOST", "unknown", "the server has become a replica");
const MOVED = new ConnectionError("CONNECTION_LOST", "unknown", "the address or the role of the server has changed");
const ABANDONED = new ConnectionError("CONNECTION_LOST", "unknown", "a lent connection was closed after use");

/** Full jitter: clients that lost the same server do not reconnect in step. */
const restOf = (doublings: number): Milliseconds =>
  1 + world.random() * Math.min(LONGEST_REST, FIRST_REST * 2 ** doublings);

// ==== 9. Pools ====
//
// A Pool keeps `poolsize` connections to one address, each in a seat; a single connection is a pool of one. Ordinary
// commands go to the least loaded open seat, one seat per tick, so that one write carries them, and behind a big
// command or reply only if there is no other; a blocking command is lent a seat. Commands wait while a seat is opening
// or all are lent, and fail at once while the server is down. To change how a seat is chosen, change #freest.

class Pool implements CommandOwner {
  static readonly #endTick = (pool: Pool): void => void (pool.#now = 0);
  readonly address: Address;
  readonly #options: PoolOptions;
  readonly #hooks: Hooks;
  readonly seats: readonly Seat[];
  readonly #dialling = new Dialling(this);
  readonly #backlog = new Backlog(this);
  readonly #blocked: Blocked;
  readonly #fences: Fences;
  readonly #whenReady: ((result: void | Promise<never>) => void)[] = [];
  /** The time of this tick, or 0 before its first command, and the open seat that takes the commands of this tick. */
  #now = 0;
  #current: Seat | undefined;
  #due = Infinity;
  readonly #tracers: Tracers;
  /** The tracers, if somebody listened at the beginning of this tick. */
  #heard: Tracers | undefined;
  #endpoint: Endpoint | undefined;
  /** Totals of closed connections, and counts of what happened to all. */
  readonly #past: Traffic = { replies: 0, bytesRead: 0, bytesWritten: 0 };
  readonly #counts = {
    opened: 0, lost: 0, refused: 0, createTime: 0, lent: 0, useTime: 0, waited: 0, waitTime: 0, timeouts: 0, errors: 0,
    failures: 0,
  };
  readonly #codes: Record<string, number> = bare({});
  #dialled = 0;
  #deadlines: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  /** Time from which the heartbeat is so late that this process must have been frozen. */
  #frozenAt = Infinity;
  /** The error of the last attempt or of the last lost connection; undefined once a connection is open again. */
  lastError: RedisError | undefined;
  /** Number of times that its commands may have begun to go to another server: connections lost, or moved away. */
  moves = 0;
  #onWrite: Connection["onWrite"];
  #closing: Promise<void> | undefined;
  /** The error of commands that come after it has been closed. */
  #closed = CLOSED;
  #ended = false;
  /** Whether it opens no connections, until wake(). */
  #isAsleep: boolean;
  #lostAt = -Infinity;

  constructor(address: Address, options: PoolOptions, hooks: Hooks = {}) {
    this.address = address;
    this.#options = options;
    this.#hooks = bare(hooks);
    this.#tracers = tracersOf(options);
    this.#isAsleep = this.#hooks.isSpare === true;
    this.#fences = this.#hooks.fences ?? new Fences();
    this.#fences.pools.add(this);
    this.seats = Array.from({ length: options.poolsize }, () => new Seat(options));
    this.#blocked = new Blocked(this, options.replyTimeout);
    address.retain?.(this);
    for (const seat of this.seats) {
      if (this.#isAsleep) this.#rest(seat, 0);
      else this.open(seat);
    }
    this.#beat();
  }

  // ---- Commands ----

  dispatch(command: Command): Promise<unknown> {
    command.owner = this;
    if (this.#closing !== undefined) command.fail(this.#closed, world.afterInput);
    else {
      this.admit(command);
      if (this.#current?.state !== "open") this.#current = this.#freest();
      const connection = this.#current?.connection;
      if (connection === undefined || command.exclusive || this.#backlog.isHeld(command)) this.#wait(command);
      else if (connection.isFull(command)) this.#spill(command);
      else connection.push(command);
    }
    return command.promise;
  }

  /** Sets the deadline of a command that has none; returns the current time. */
  admit(command: Command): number {
    if (this.#now === 0) {
      this.#now = world.now();
      this.#current = undefined;
      if (this.#now >= this.#frozenAt) this.#thaw(this.#now);
      this.#heard = heard(this.#tracers);
      world.endOfTick(Pool.#endTick, this);
    }
    const now = this.#now;
    if (command.deadline === Infinity) beginCall(command, now, this.#heard, this);
    if (command.deadline < this.#due) this.#wakeBy(command.deadline, now);
    return now;
  }

  /** Sends a command that this tick's connection has no room for on one that has, and so the rest of the tick. */
  #spill(command: Command): void {
    const seat = this.#freest(command);
    if (seat === undefined) return overload(command);
    this.#current = seat;
    seat.connection!.push(command);
  }

  #wait(command: Command): void {
    const queue = this.#backlog.queueOf(command);
    if (queue.isFull(this.#options, command)) return overload(command);
    const isDown = this.#down;
    const mayRest = command.blocks !== undefined && this.#options.reconnect; // it waits for the next attempt
    if (isDown && !mayRest) return void command.fail(this.#notConnected(), world.afterInput);
    queue.push(command);
    if (!isDown) this.serve();
    const waiting = queue.length; // if not 0, this command is the last of them
    if (waiting > 0) tell("pool:waiting", () => ({ ...this.info, command: command.name, waiting }));
  }

  /** Assigns seats to waiting commands: one to all that may share it, for their order. Fails them if none will come. */
  serve(): void {
    const backlog = this.#backlog;
    let shared: Seat | undefined;
    for (let command = backlog.next; command !== undefined; command = backlog.next) {
      if (shared?.state !== "open" || shared.connection!.isFull(command)) shared = this.#freest();
      const seat = command.exclusive ? this.#freest() : shared;
      if (seat === undefined && !this.#down) return this.#wakeBy(this.#awaitedUntil);
      backlog.shift();
      if (seat === undefined) command.fail(this.#notConnected(), world.afterInput);
      else if (backlog.has(command)) this.#assign(seat, command);
    }
  }

  /** Sends a command on this seat's connection, and lends it the connection if it needs one of its own. */
  #assign(seat: Seat, command: Command): void {
    const connection = seat.connection!;
    const touched = this.admit(command); // a reissued command may be due before the timer
    const wait = touched - command.deadline + command.timeout;
    if (wait > 0.01) { // less is rounding; not NaN, as without a deadline
      this.#counts.waited++;
      this.#counts.waitTime += wait;
    }
    if (!command.exclusive) return connection.push(command);
    const lease: Lease = {
      command,
      since: touched,
      touched,
      dispatch: (next) => {
        lease.touched = this.admit(next);
        const asking = command.special.detour?.asking ?? "none";
        if (asking === "none" || mayAsk(command, next)) connection.pushLent(next);
        else {
          const refusal = command.refusal as ReplyError;
          if (!this.#redirect(seat, next, refusal)) next.refuse(refusal);
          lease.release(false); // so that EXEC does not execute the others
        }
        return next.promise;
      },
      release: (clean) => this.#giveBack(seat, lease, clean),
    };
    seat.state = "lent";
    seat.lease = lease;
    this.#counts.lent++;
    if (command.row === LEASE && this.#hooks.redirect === undefined) command.answer(undefined);
    else connection.pushLent(command);
    if (command.special.keep === undefined) return;
    command.special.keep(lease);
    this.#wakeBy(touched + this.#options.leaseTimeout);
  }

  #giveBack(seat: Seat, lease: Lease, clean: boolean): void {
    if (seat.lease !== lease || this.#blocked.isAsked(lease.command)) return;
    seat.lease = undefined;
    if (lease.command.owner !== undefined) this.#counts.useTime += world.now() - lease.since;
    if (!clean) seat.connection!.finish(ABANDONED);
    else if (seat.state === "recalled") seat.connection!.finish(MOVED, PATIENCE);
    else this.#use(seat);
  }

  /** Takes back the connection that the command occupied; closes it if the reply is still to come. */
  finished(command: Command, owesReply = false): void {
    this.#backlog.finished(command);
    if (command.occupies === undefined) return;
    this.seats.find(({ lease }) => lease?.command === command)?.lease?.release(!owesReply);
  }

  elsewhere(command: Command, error: RedisError): Target | undefined {
    const { successor, copy, role = "primary" } = this.#hooks;
    if (refusalOf(error)[role] !== "elsewhere") return undefined;
    const isInTime = command.deadline > world.now();
    const next = command.state === "waiting" && isInTime ? successor?.(command) : undefined;
    const hasTime = isInTime || (command.within ?? Infinity) < Infinity;
    return next ?? (hasTime ? copy?.(this, command, error) : undefined);
  }

  /** The least burdened of the open seats, or of those that have room for a command. */
  #freest(command?: Command): Seat | undefined {
    let freest: Seat | undefined;
    for (const seat of this.seats) {
      if (seat.state !== "open" || (command !== undefined && seat.connection!.isFull(command))) continue;
      if (freest === undefined || seat.connection!.burden < freest.connection!.burden) freest = seat;
    }
    return freest;
  }

  // ---- Commands that the server refuses ----

  /**
   * Takes back a command that was certainly not executed, to retry it elsewhere or after PAUSE, if its deadline leaves
   * time for a reply. One that is bound to its connection stays there, unless the router of a cluster takes it. Of a
   * pipeline, takes back the rest if the server refused all of it.
   */
  #takeBack(seat: Seat, command: Command, error: ReplyError): boolean {
    const { owner, special, row, words } = command;
    if (refusalOf(error).routed && this.#redirect(seat, command, error)) return true;
    const isUnblocked = error.code === "UNBLOCKED";
    const rest = special.batch?.refused(error);
    const refusal = rest?.refusal ?? error;
    const verdict = refusalOf(refusal)[this.#hooks.role === "replica" ? "replica" : "primary"];
    const isBound = !isUnblocked && (owner === undefined || command.exclusive);
    const mayHaveBegun = row.is.partly && outcomeOf(row, words, error) === "unknown";
    if (isBound || (special.batch !== undefined && rest === undefined) || mayHaveBegun) {
      if (verdict === "follow" && isOfServer(special.batch?.answering ?? row, error)) this.#leave(seat, REFUSED_REST);
      return false;
    }
    if (isUnblocked && this.#blocked.isEnding) {
      command.refuse(CLOSED);
      return true;
    }
    const isWhole = rest === undefined || rest.at === 0 || command.reads;
    const copy = isWhole ? this.elsewhere(command, refusal) : undefined;
    if (copy !== undefined) {
      command.state = "waiting";
      command.refusal = refusal;
      if (rest !== undefined) special.batch = special.batch!.again([], 0);
      command.moveTo(copy);
      return true;
    }
    if ((verdict !== "wait" && verdict !== "follow") || !this.#mayRetry(command)) return false;
    if (verdict === "follow") this.#leave(seat);
    if (rest !== undefined) special.batch = special.batch!.again(special.batch!.replies.slice(0, rest.at), rest.at);
    return this.retry(command, refusal);
  }

  /** Leaves a server that has become a replica, unless the connection is so young that the address was just asked. */
  #leave(seat: Seat, age: Milliseconds = 0): void {
    const { state, since, connection } = seat;
    if ((state !== "open" && state !== "lent") || world.now() - since < age) return;
    this.moves++;
    tell("connection:demoted", () => this.info);
    seat.recall(DEMOTED, false);
    if (state === "open") void Promise.resolve().then(() => connection!.finish(DEMOTED, PATIENCE)); // after this reply
  }

  #mayRetry({ deadline }: Command): boolean {
    return world.now() + 2 * PAUSE <= deadline && this.#closing === undefined;
  }

  /** Takes a command that was certainly not executed, and sends it after PAUSE; false if that would be too late. */
  retry(command: Command, error: RedisError): boolean {
    if (!this.#mayRetry(command)) return false;
    command.back();
    command.owner = this;
    this.admit(command);
    this.#backlog.refuse(command, error);
    return true;
  }

  /** Offers the router a command that was refused because of its slot; if it takes it, the connection is free. */
  #redirect({ lease }: Seat, command: Command, error: ReplyError): boolean {
    if (this.#closing !== undefined || !this.#hooks.redirect?.(this, command, error, lease)) return false;
    this.#backlog.finished(command);
    if (lease?.command === command) lease.release(true);
    return true;
  }

  // ---- Other servers ----

  /** Moves to where the address leads now; connections close when they have answered, lent ones perhaps at once. */
  renew(isReplaced = false): void {
    if (this.#closing !== undefined) return;
    this.moves++;
    for (const seat of this.seats) {
      const { connection, state } = seat;
      if (state !== "opening" && state !== "resting") {
        seat.recall(MOVED, state === "open" || (state === "lent" && isReplaced));
        continue;
      }
      connection?.close(MOVED);
      if (seat.connection !== connection) continue; // it was open a moment ago, so its loss has reopened the seat
      seat.since = world.now();
      this.#rest(seat, 0, Infinity);
    }
  }

  get isAsleep(): boolean { return this.#isAsleep; }

  /** Closes its connections, and opens none until wake(); does nothing while one of them is in use. */
  sleep(): void {
    const isIdle = ({ state, connection }: Seat): boolean => state === "resting" || state === "opening" ||
      (state === "open" && connection!.load === 0);
    if (!this.seats.every(isIdle) || this.#backlog.commands.length > 0) return;
    this.#isAsleep = true;
    this.renew();
  }

  wake(): void {
    if (!this.#isAsleep || this.#closing !== undefined) return;
    this.#isAsleep = false;
    for (const seat of this.seats) {
      if (seat.state !== "resting") continue; // it opens when its last connection has closed
      seat.since = world.now();
      seat.awaitedUntil = Infinity;
      this.open(seat);
    }
  }

  /** Moves commands that are not written to the servers that have taken over their keys, or to other copies. */
  evacuate(): void {
    if (this.#hooks.copy === undefined) return;
    for (const { connection } of this.seats) connection?.evacuate();
    this.#backlog.sift((command) => {
      const other = this.elsewhere(command, SILENT);
      if (other !== undefined) command.moveTo(other);
      return other === undefined;
    });
  }

  /** Time of the server's last bytes, if it owes a reply to a command that does not block. */
  get owingSince(): number | undefined {
    const owing = this.free.filter(({ load }) => load > 0);
    return owing.length === 0 ? undefined : Math.max(...owing.map(({ lastReceived }) => lastReceived));
  }

  /** Resolves when the server has answered everything that was sent to it, or nothing for PATIENCE. */
  async answered(): Promise<void> {
    const isOwing = (connection: Connection): boolean => connection.isOpen &&
      connection.pending.some(({ owner, exclusive }) => owner !== undefined && !exclusive);
    const seats = this.seats.filter(({ connection, lease }) =>
      lease === undefined ? connection?.isOpen : isOwing(connection!));
    const open = seats.map(({ connection }) => connection!);
    let isAnswered = false;
    const all = Promise.allSettled(seats.map(async ({ lease }, i) => {
      if (lease === undefined) await open[i]!.ask(commands.ping);
      else while (isOwing(open[i]!)) await rest(COARSE); // PING would come after what the lease does
    })).then(() => {
      isAnswered = true;
    });
    const lastReceived = (): number => Math.max(...open.map((connection) => connection.lastReceived));
    for (let before = -Infinity, last = lastReceived(); !isAnswered && last !== before; last = lastReceived()) {
      before = last;
      await settled([all], PATIENCE);
    }
  }

  /** Whether the server answers PING, or sends anything else, within a limit; true if all connections are lent. */
  async answers(limit: Milliseconds): Promise<boolean> {
    const connection = this.#freest()?.connection;
    if (connection === undefined) return this.isConnected;
    const asked = world.now();
    const reply = connection.ask(commands.ping).then(() => true, () => false);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => void afterSilence(limit,
      () => resolve(connection.lastReceived > asked), (current) => void (timer = current.unref())));
    return Promise.race([reply, late]).finally(() => world.cancel(timer));
  }

  // ---- Seats ----

  open(seat: Seat): void {
    if (this.#closing !== undefined) return;
    seat.state = "opening";
    seat.stop();
    this.#dialling.relieve();
    try {
      const endpoint = this.address.next();
      if (endpoint instanceof Promise) void this.#ask(seat, endpoint);
      else this.#dial(seat, endpoint, this.#options);
    } catch (cause) {
      this.#failed(seat, cause);
    }
  }

  /** Waits for the address; ignores an answer that comes too late, or after the seat was reopened. */
  async #ask(seat: Seat, asked: Promise<Endpoint>): Promise<void> {
    const { connectTimeout } = this.#options;
    const end = world.now() + connectTimeout;
    const late = `the address of ${this.address.name} was not known within ${connectTimeout} ms`;
    seat.after(connectTimeout, () => this.#failed(seat, new TimeoutError("CONNECT_TIMEOUT", "not-sent", late)));
    const { timer } = seat;
    try {
      const endpoint = await asked;
      if (seat.timer === timer) this.#dial(seat, endpoint, { ...this.#options, connectTimeout: end - world.now() });
    } catch (cause) {
      if (seat.timer === timer) this.#failed(seat, cause);
    }
  }

  #dial(seat: Seat, endpoint: Endpoint, options: PoolOptions): void {
    const { address } = this;
    this.#endpoint = endpoint;
    const connectionEpoch = this.#dialled++;
    const connection: Connection = new Connection(endpoint, options, {
      ...this.#hooks,
      address,
      closed: (error, orphans) => this.#lost(seat, connection, endpoint, error, orphans),
      refused: (command, error) => {
        const isTaken = this.#takeBack(seat, command, error);
        if (!isTaken && command.view.trace !== undefined) this.count(error);
        return isTaken;
      },
      interrupt: () => void this.#blocked.interrupt(connection),
      replace: (error) => this.#closing ?? seat.recall(error),
    });
    seat.connection = connection;
    connection.onWrite = this.#onWrite;
    seat.stop();
    const { connect } = this.#tracers;
    if (connect.isHeard) connect.follow({ ...this.info, connectionEpoch }, connection.opened).catch(ignore);
    connection.opened.then(() => {
      if (seat.connection !== connection) return;
      const duration = world.now() - connection.dialledAt;
      this.#counts.opened++;
      this.#counts.createTime += duration;
      tell("connection:opened", () => ({ ...this.info, duration }));
      seat.since = world.now();
      this.#use(seat);
      this.#hooks.opened?.();
    }, (error: RedisError) => {
      address.ended?.(endpoint, error);
      if (seat.connection === connection) this.#failed(seat, error);
    });
  }

  /** Makes a connection available. Its first commands make the server kill lost connections. */
  #use(seat: Seat): void {
    seat.state = "open";
    this.lastError = undefined;
    this.#fences.send(seat.connection!);
    this.#dialling.opened(seat);
    if (this.#isReady) this.#settleReady();
    this.serve();
  }

  #failed(seat: Seat, cause: unknown): void {
    const why = cause instanceof RedisError ? `: ${cause.message}` : ""; // of others, a message may contain a secret
    const error = cause instanceof ConnectionError ? cause
      : new ConnectionError("CONNECT_FAILED", "not-sent", `no connection to ${this.address.name}${why}`, { cause });
    this.lastError = asCause(error);
    if (error !== CLOSED) {
      this.#counts.refused++;
      tell("connection:refused", () => ({ ...this.info, error }));
    }
    this.#settleReady(error);
    this.#hooks.lost?.(error);
    const delay = this.#dialling.failed(seat);
    if (error.code === "REFUSED") this.#rest(seat, REFUSED_REST * (1 + world.random()), -Infinity);
    else this.#rest(seat, delay, error.code === "NOT_READY" ? Infinity : undefined);
    this.serve();
    if (!this.isConnected) this.evacuate();
  }

  /** Reissues commands that were not written or may be repeated: ahead of all later ones, but behind the fences. */
  #lost(seat: Seat, connection: Connection, endpoint: Endpoint, error: RedisError, orphans: readonly Command[]): void {
    this.lastError = asCause(error);
    if (error !== ABANDONED && error !== FORGOTTEN) this.moves++;
    addTo(this.#past, connection.traffic);
    if (error !== CLOSED && !CLOSED_BY_US.includes(error)) {
      this.#counts.lost++;
      tell("connection:lost", () => ({ ...this.info, error }));
    }
    if (connection.hasLostWrites && connection.fence.id !== "") this.#fences.add(connection.fence);
    this.address.ended?.(endpoint, error);
    this.#hooks.lost?.(error);
    const [again, failed]: [Command[], Command[]] = [[], []];
    for (const command of orphans) (this.#closing === undefined && mayRunAgain(command) ? again : failed).push(command);
    const now = world.now();
    const isHealthy = CLOSED_BY_US.includes(error) || now - seat.since >= STABLE;
    const isUseless = !isHealthy && !seat.isProven;
    const delay = isHealthy ? 0 : this.#dialling.lost(seat);
    if (error === DEMOTED) this.#dialling.doubt();
    seat.since = this.#lostAt = now;
    this.#rest(seat, delay, Infinity); // commands wait for one attempt
    if (isUseless) this.#settleReady(error);
    this.#backlog.lineUp(again);
    if (!this.isConnected) this.evacuate();
    for (const command of failed) command.fail(error); // last: a failed probe releases the held commands
  }

  /** Reopens the seat after the delay or, unless it asks for all, with the others; commands wait until that time. */
  #rest(seat: Seat, delay: Milliseconds, awaitedUntil?: number): void {
    const usual = this.address.expected === true ? Infinity : seat.since + PATIENCE;
    seat.state = "resting";
    seat.connection = seat.lease = undefined;
    seat.awaitedUntil = -Infinity;
    seat.stop();
    if (this.#closing !== undefined || !this.#options.reconnect || this.#isAsleep) return;
    if (!this.#dialling.asks(seat)) return this.#dialling.relieve();
    seat.awaitedUntil = awaitedUntil ?? usual;
    if (delay === 0) this.open(seat);
    else seat.after(delay, () => this.open(seat));
  }

  /** Time until which commands wait for a connection: Infinity while there is one, even if it is lent. */
  get #awaitedUntil(): number {
    let last = -Infinity;
    for (const { state, awaitedUntil } of this.seats) {
      if (state !== "resting" && state !== "opening") return Infinity;
      if (state === "opening" || this.#closing === undefined) last = Math.max(last, awaitedUntil);
    }
    return last === -Infinity ? last : Math.max(last, this.#lostAt + PATIENCE); // the seat that asks may be older
  }

  /** Whether there is no connection, and none is expected soon. */
  get #down(): boolean { return this.#awaitedUntil <= world.now(); }
  /** Whether a command could be written now. */
  get isUp(): boolean { return this.seats.some(({ state }) => state === "open"); }
  /** Whether it has a connection, even if that is lent. */
  get isConnected(): boolean { return this.seats.some(({ state }) => state === "open" || state === "lent"); }
  /** Whether a command would fail at once. */
  get isDown(): boolean { return this.#closing !== undefined || this.#down; }
  get #isReady(): boolean { return this.seats.every(({ state }) => state !== "opening" && state !== "resting"); }

  #notConnected(): RedisError {
    if (this.#closing !== undefined) return this.#closed;
    const cause = this.lastError;
    return new ConnectionError("NOT_CONNECTED", "not-sent", `not connected: ${cause?.message}`, { cause });
  }

  // ---- Time ----

  #wakeBy(time: number, now = world.now()): void {
    if (time >= this.#due || this.#ended) return;
    world.cancel(this.#deadlines);
    this.#due = time;
    afterSilence(time - now, () => this.#expire(), (timer) => void (this.#deadlines = timer.unref()));
  }

  /** One timer serves all deadlines: when the earliest is due, all are checked. */
  #expire(): void {
    const now = world.now();
    const { leaseTimeout } = this.#options;
    this.#due = Infinity;
    this.#backlog.sift((command) => {
      if (now < command.deadline) return true;
      const tombstone = command.expire(this.#obstacle(command, now), this.lastError);
      if (command.state === "settled") this.#counts.timeouts++;
      return tombstone === undefined && command.deadline > now;
    });
    const ends = this.seats.map((seat) =>
      Math.min(seat.connection?.expire(now) ?? Infinity, seat.expireLease(now, leaseTimeout)));
    const next = this.#backlog.commands.reduce((first, { deadline }) => Math.min(first, deadline), Math.min(...ends));
    this.#wakeBy(Math.max(next, now + COARSE), now);
  }

  /** The reason why a command has no connection yet, for error messages. */
  #obstacle(command: Command, now: number): string {
    const refusal = this.#backlog.reasonFor(command);
    if (refusal !== undefined) return `held back, because the server says: ${refusal.message}`;
    const users = this.seats.flatMap(({ lease }) => lease?.command.name ?? []);
    const lent = `lent to blocking commands, transactions or leases (${[...new Set(users)].join(", ")})`;
    const all = this.seats.length;
    if (users.length === all && all === 1) return `its only connection is ${lent}; use a pool`;
    if (users.length === all) return `${all} of ${all} connections are ${lent}; raise poolsize`;
    const opening = this.seats.find(({ state }) => state === "opening");
    const step = opening?.connection?.obstacle ?? `address of ${this.address.name} not known`;
    const waits = opening && `${step} after ${Math.round(now - opening.since)} ms`;
    const failed = this.lastError && `${waits ? "before that, " : ""}${this.lastError.message}`;
    const some = users.length > 0 && `${users.length} of ${all} connections are ${lent}`;
    return [some, waits, failed].filter(Boolean).join("; ");
  }

  #beat(): void {
    const { pingInterval } = this.#options;
    const now = world.now();
    if (now >= this.#frozenAt) this.#thaw(now);
    this.#frozenAt = now + 2 * pingInterval;
    this.#wakeBy(Math.min(...this.free.map((connection) => connection.probe(now, pingInterval))), now);
    this.#heartbeat = world.after(pingInterval, () => this.#beat()).unref();
    if (this.#closing === undefined) this.#blocked.check(pingInterval);
  }

  /**
   * Has each connection answer a PING before it is used again, and replaces an idle one that does not: this process was
   * frozen, as cloud functions are, and a connection that was lost meanwhile without a sign would swallow a write.
   */
  #thaw(now: number): void {
    this.#frozenAt = Infinity; // until the next heartbeat
    for (const seat of this.seats) {
      if (seat.state !== "open" || seat.connection!.isPaused) continue; // nobody would read the answer
      const connection = seat.connection!;
      const isIdle = connection.load === 0;
      const ping = connection.ping();
      const release = (isClean: boolean): void => this.#giveBack(seat, lease, isClean);
      const lease: Lease = { command: ping, since: now, touched: now, dispatch: () => ping.promise, release };
      seat.state = "lent";
      seat.lease = lease;
      seat.stop();
      if (isIdle) {
        afterSilence(THAW, () => connection.isPaused || connection.close(SILENT), (timer) => void (seat.timer = timer));
      }
      ping.deadline = now + ping.timeout;
      this.#wakeBy(ping.deadline);
      const end = (): void => {
        if (seat.lease === lease) seat.stop();
        release(true); // also if only other signs of life have come in time
      };
      ping.promise.then(end, end);
    }
  }

  // ---- Beginning and end ----

  /** Resolves when all connections are up; rejects as soon as one of them cannot be opened. */
  ready(): Promise<void> {
    if (this.#closing !== undefined) return rejected(this.#closed.of(undefined, "not-sent"));
    if (this.#isReady) return Promise.resolve();
    if (this.#down && !this.#isAsleep) return rejected(this.#notConnected());
    return new Promise((resolve) => this.#whenReady.push(resolve));
  }

  #settleReady(error?: RedisError): void {
    for (const resolve of this.#whenReady.splice(0)) resolve(error && Promise.reject(error));
  }

  /** Lets pending commands finish until the timeout; with 0, closes at once. Later commands fail with this error. */
  close(timeout: Milliseconds, error = CLOSED): Promise<void> {
    if (this.#closing === undefined) this.#closed = error;
    if (timeout > 0) return this.#closing ??= this.#drain(timeout);
    this.#closing ??= Promise.resolve();
    this.#end();
    return this.#closing;
  }

  destroy(): void { void this.close(0); }

  /** Ends blocking commands, by CLIENT UNBLOCK if they have been sent. */
  unblock(): Promise<void> {
    for (const command of this.#backlog.commands) if (command.blocks !== undefined) command.fail(CLOSED);
    return this.#blocked.end();
  }

  /** Ends a blocking command. Its connection stays lent until the reply to CLIENT UNBLOCK, which could end the next. */
  async stop(command: Command, error: RedisError): Promise<void> {
    if (command.state === "waiting") return void command.fail(error);
    const isAnswered = await this.#blocked.stop(command);
    command.fail(error); // if the server has not ended it
    this.finished(command, !isAnswered);
  }

  get #connections(): Connection[] { return this.seats.flatMap(({ connection }) => connection ?? []); }
  /** Sets `onWrite` of all its connections, of those to come, too. */
  watchWrites(onWrite: (command: Command) => void): void {
    this.#onWrite = onWrite;
    for (const connection of this.#connections) connection.onWrite = onWrite;
  }

  /** Its connections that are open and not lent. */
  get free(): Connection[] { return this.seats.flatMap((seat) => seat.state === "open" ? seat.connection! : []); }

  /** Lets pending commands finish until the timeout. If there is no connection, fails those that wait for one. */
  async #drain(timeout: Milliseconds): Promise<void> {
    const connections = this.#connections;
    for (const seat of this.seats) seat.stop();
    if (connections.length === 0) for (const command of this.#backlog.commands) command.fail(this.#closed);
    const called = this.seats.flatMap(({ lease, connection }) => // not the driver's own, which have no owner
      connection?.pending.filter(({ owner }) => owner !== undefined || lease !== undefined) ?? []);
    await settled([...this.#backlog.commands, ...called].map((command) => command.promise), timeout);
    this.#end();
    await Promise.all([...connections, ...this.#blocked.helpers].map((connection) => connection.socketClosed));
  }

  #end(): void {
    if (!this.#ended) this.address.release?.(this);
    this.#ended = true;
    this.#fences.pools.delete(this);
    for (const timer of [this.#heartbeat, this.#deadlines]) world.cancel(timer);
    this.#backlog.stop();
    for (const command of this.#backlog.commands) command.fail(this.#closed);
    for (const seat of this.seats) seat.stop();
    for (const connection of [...this.#connections, ...this.#blocked.helpers]) connection.close(this.#closed);
    this.#settleReady(this.#closed.of(undefined, "not-sent"));
  }

  get info(): ServerInfo { return serverInfo(this.address.name, this.#endpoint, this.#options.dbid); }

  count(error: RedisError): void {
    const isReply = error instanceof ReplyError;
    const code = isReply && !CODES.has(error.code) ? "OTHER" : error.code; // a script can invent any number of codes
    this.#counts[isReply ? "errors" : "failures"]++;
    this.#codes[code] = (this.#codes[code] ?? 0) + 1;
  }

  stats(role: NodeStats["role"]): NodeStats {
    const waiting = this.#backlog.commands.length;
    const connections = { idle: 0, used: 0, opening: 0, max: this.seats.length };
    let pending = waiting;
    const total = { ...this.#past };
    for (const { state, connection } of this.seats) {
      const load = connection?.load ?? 0;
      pending += load;
      if (connection !== undefined) addTo(total, connection.traffic);
      if (state === "opening") connections.opening++;
      else if (state !== "resting") connections[state === "open" && load === 0 ? "idle" : "used"]++;
    }
    return { ...this.info, role, connections, pending, waiting, ...this.#counts, codes: bare(this.#codes), ...total };
  }

  /** One-line summary for people. */
  describe(): string {
    const count = (of: Seat["state"]): number => this.seats.filter(({ state }) => state === of).length;
    const states = (["open", "lent", "recalled", "opening", "resting"] as const).filter((state) => count(state) > 0);
    const shown = this.#closing === undefined ? states.map((state) => `${count(state)} ${state}`).join(", ") : "closed";
    const pending = this.#connections.reduce((sum, { load }) => sum + load, this.#backlog.commands.length);
    return `${this.address.name} db ${this.#options.dbid}: ${shown}; ${pending} pending`;
  }
}

/** State and counts of the connections to one server, as stats() returns them. Counts never decrease. Since 0.1.0. */
export type NodeStats = ServerInfo & {
  /** A member is one of several servers with the same data; a listener has the connection of a subscription. */
  readonly role: "primary" | "replica" | "member" | "listener";
  /** Open connections without and with commands, those that are being opened, and the most that there may be. */
  readonly connections: { idle: number; used: number; opening: number; max: number };
  /** Number of commands without a reply; and among these, those without a connection. */
  readonly pending: number;
  readonly waiting: number;
  /** Connections that were opened, those that broke, and attempts that failed. */
  readonly opened: number;
  readonly lost: number;
  readonly refused: number;
  /** Total time that opening took, in milliseconds, as all times here. */
  readonly createTime: number;
  /** Connections that were lent, to blocking commands, transactions and leases; total time until they came back. */
  readonly lent: number;
  readonly useTime: number;
  /** Commands that were sent later than they were called, for lack of a connection, and the total time until then. */
  readonly waited: number;
  readonly waitTime: number;
  /** Commands that failed because they had no connection in time. */
  readonly timeouts: number;
  /** Replies, also to the driver's own checks (PING, INFO); error replies that callers got; commands without reply. */
  readonly replies: number;
  readonly errors: number;
  readonly failures: number;
  /** Number of these errors and failures, by their codes; codes that scripts or modules have made up are OTHER. */
  readonly codes: Readonly<Record<string, number>>;
  /** Bytes received, and bytes sent; these only if the stream counts them, as sockets do. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
};

function addTo(total: Traffic, more: Traffic): void {
  for (const name of Object.keys(more) as (keyof Traffic)[]) total[name] += more[name];
}

const OVERLOADED = new ConnectionError("OVERLOADED", "not-sent", "too much is pending; see maxPending and maxUnsent");
const overload = (command: Command): void => void command.fail(OVERLOADED, world.afterInput);
const CLOSED_BY_US: readonly RedisError[] = [DEMOTED, MOVED, ABANDONED]; // the server is healthy: retried at once

/** First command of a lease(), with its keys; sent only in a cluster: as EXISTS, which a node without them refuses. */
const LEASE = unlisted("other", all, "LEASE").traits("harmless");
Object.defineProperty(LEASE, "name", bare({ value: { ...encodeName("EXISTS"), text: "LEASE" } }));

/**
 * In a lease whose first command needed ASKING, puts ASKING before a command with the same keys: after it, a node
 * answers for any key of the slot, even one that is still elsewhere. False if such a key would be queued after MULTI.
 */
function mayAsk(first: Command, next: Command): boolean {
  const keys = new Set(Array.from(keysOf(first), byteText));
  const isKnown = Array.from(keysOf(next), byteText).every((key) => keys.has(key));
  const { row, special: { queued } } = next;
  if (isKnown && !queued && row !== commands.exec && row !== commands.discard) next.redirect(0, true);
  return isKnown || !queued;
}

function* keysOf({ row, words, special: { batch } }: Command): Generator<Word> {
  const { rows, words: lists } = batch ?? { rows: [row], words: [words] };
  for (const [i, each] of rows.entries()) {
    for (const at of each.positions(lists[i]!, each.placing)) {
      const key = lists[i]![at];
      if (key !== undefined) yield typeof key === "number" ? String(key) : key;
    }
  }
}

/** Limits what a server can cause: a few times at once, then after rests, which double until none comes for STABLE. */
class Allowance {
  readonly #free: number;
  #count = 0;
  #last = -Infinity;
  #until = -Infinity;

  constructor(free: number) { this.#free = free; }

  /** Whether it may happen now; counts it. */
  take(): boolean {
    const now = world.now();
    if (now < this.#until) return false;
    this.#count = now - this.#last >= STABLE ? 1 : this.#count + 1;
    this.#last = now;
    this.#until = this.#count < this.#free ? now : now + restOf(this.#count - this.#free);
    return true;
  }
}

/** Whether a command from a lost connection may go to another; if it is a reissue, counts it. */
function mayRunAgain(command: Command): boolean {
  if (command.owner === undefined || command.state === "settled") return false; // it belongs to its connection
  if (command.state === "waiting") return true;
  if (!command.isRepeatable || command.reissues === REISSUES) return false;
  command.again();
  return true;
}

// ==== 10. Routes and pipelines ====
//
// A Router finds the server of a command. A pipeline gathers commands and sends them in one write to each server, with
// one promise for all replies. commit(), unlike execPipeline(), encloses them in MULTI and EXEC, still on a shared
// connection. A durable write has a WAIT behind it. To change how a call is sent, change give() of its class.

/**
 * At least one command of a pipeline failed: `results` has all replies and errors, in the order of the commands, and
 * `cause` is the first error. `code`, `command` and `outcome` are those of `cause` or, if that made EXEC fail, EXEC's.
 */
export class PipelineError extends RedisError {
  readonly #results: unknown[];

  constructor(results: unknown[], error: RedisError, cause = error) {
    const failed = results.reduce<number>((sum, result) => sum + Number(result instanceof RedisError), 0);
    const also = cause === error ? "" : " and none was executed";
    const what = failed > 0 ? `${failed} of ${results.length} commands failed${also}, first`
      : error.outcome === "unknown" ? "no reply shows what was executed" : "none was executed";
    const why = cause.of(undefined, cause.outcome).message;
    super(error.code, error.outcome, `${what}: ${why}`, { command: error.command, cause });
    this.#results = results;
  }

  /** Replies and errors in the order of the commands. A getter, so that a log of the error does not show them. */
  get results(): unknown[] { return this.#results; }
  override get unavailable(): boolean {
    return super.unavailable || this.#results.some((it) => it instanceof RedisError && it.unavailable);
  }

  override of(): this { return this; }
  static { named(this, "PipelineError"); }
}

/** `errors: "return"` leaves errors among the replies; "reject", the default, rejects with a PipelineError. */
export type PipelineOptions = Loose<{ errors: "reject" | "return" }>;
const GATHERING = { errors: oneOf("reject", "return") };

type Chained<F, Done extends unknown[], Text> = Overloads<Link<Exclude<F, AnyEither>, Done, Text>> &
  Overloads<Link<Extract<F, AnyEither>, Done, Text>>;
type Link<F, Done extends unknown[], Text> =
  F extends (...args: infer A) => infer R ? Method<A, Pipeline<[...Done, Reply<R, Text>], Text>>
  : F extends Either<infer A, infer Replies> ? Method<A, Pipeline<[...Done, AnyReply<Replies, Text>], Text>> : never;
/** Every command as a link of a chain, whose type collects the types of the replies. */
type Links<Done extends unknown[], Text> = { [C in keyof Shared]: Chained<Shared[C]["call"], Done, Text> };
/** The replies of a pipeline; without a chain of calls, their types are unknown. */
type Results<Done extends unknown[]> = Done extends [] ? unknown[] : Done;
type OrError<Done extends unknown[], E> = { [I in keyof Done]: Done[I] | E };

/** Commands gathered to be sent together: db.pipeline().get("a").incr("n").execPipeline(). */
export interface Pipeline<Done extends unknown[] = [], Text = string> extends Links<Done, Text> {
  /** Adds any command by name, like call() of a handler; T is the type of its reply. */
  call<T = unknown>(name: string | CallOptions, ...args: unknown[]): Pipeline<[...Done, T], Text>;
  /** Number of gathered commands. */
  readonly length: number;
  /**
   * Sends the commands and empties the pipeline; resolves with their replies in order. If one failed, rejects with a
   * PipelineError, which has all replies and errors.
   */
  execPipeline(options?: Loose<{ errors: "reject" }>): Promise<Results<Done>>;
  /** With errors: "return", the errors of commands are among the replies. */
  execPipeline(options: PipelineOptions): Promise<Results<OrError<Done, RedisError>>>;
  /**
   * Sends the commands between MULTI and EXEC and empties the pipeline; errors of individual commands are among the
   * replies. If the server does not queue one, it executes none: rejects with a PipelineError, code EXECABORT.
   */
  commit(): Promise<Results<OrError<Done, ReplyError>>>;
}

const UNBOUND = "it is about earlier writes on its connection, which here may be any; use with({ durable: n }), " +
  "a transaction, or a handler with one connection";

type Member = { readonly name: string; readonly server: Target };
/** The arguments that one server receives, and the indexes of the command's keys among them. */
type Part<M = Member> = { readonly member: M; readonly args: Words; readonly keys: readonly number[] };
/** The parts of a command, and a function that merges their replies. Without parts, it runs in steps, or not at all. */
type Plan<M = Member> = {
  server: undefined;
  parts: readonly Part<M>[];
  merge(replies: readonly unknown[]): unknown;
  inSteps: ((view: View) => Promise<unknown>) | undefined;
};
const planOf = <M,>(parts: Plan<M>["parts"], merge: Plan<M>["merge"], inSteps?: Plan<M>["inSteps"]): Plan<M> =>
  ({ server: undefined, parts, merge, inSteps });

interface Router {
  /** The server, if there is only one. */
  readonly only: Target | undefined;
  /** Kind of proxy that its servers are. */
  readonly proxy: ProxyName | undefined;
  /** Throws if it sends no commands any more. */
  mustBeOpen(command: string): void;
  /** Throws for a command that is not supported here. `gathered`: its arguments, in a pipeline or a transaction. */
  check(row: Row, gathered?: readonly unknown[]): void;
  /** Finds the server. `pinned`: for a lease or a transaction, whose later commands must go to the same one. */
  route(row: Row, args: readonly unknown[], pinned?: boolean): Member | Plan;
  /** Resolves when a live list has named the servers; undefined if they are known. */
  known(view: View): Promise<void> | undefined;
}

/** Finds the server of a command, and its arguments there; throws if the command needs several servers. */
function single(router: Router, row: Row, args: readonly unknown[]): [server: Target, args: readonly unknown[]] {
  const route = router.route(row, args, true);
  if (route.server !== undefined) return [route.server, args];
  const [part, ...others] = route.parts;
  if (part === undefined || others.length > 0) throw unsharded(row, SCATTERED);
  return [part.member.server, part.args];
}

const unshared = (row: Row): NotSupportedError =>
  notSupported(row, `this needs a connection of its own; use instead: ${row.instead}`);

const SCATTERED = "its keys are on several nodes";
const unsharded = (row: Row, why: string): NotSupportedError => notSupported(row,
  `cannot be sharded: ${why}; give all its keys one hash tag, use shard(key), or use shards() for each node`);

// ---- Proxies ----

/** The hash tag, as in Redis Cluster: the text between the first { and the next }, or else the whole key. */
function tagOf(key: string): string {
  const from = key.indexOf("{") + 1;
  const to = from === 0 ? -1 : key.indexOf("}", from);
  return to > from ? key.slice(from, to) : key;
}

/** Whether BY or GET refers to other keys: without "*", as in BY "nosort" and GET "#", it does not. */
const hasPattern = (words: Words): boolean => words.some((word, i) =>
  ["BY", "GET"].includes(String(words[i - 1]).toUpperCase()) && String(word).includes("*"));

/** Throws if the router's proxy would refuse this command (with arguments, this call), or answer it wrongly. */
function mustPass({ proxy }: Pick<Router, "proxy">, row: Row, args?: readonly unknown[]): void {
  if (proxy === undefined) return;
  const why = whyNot(proxy, row) ?? (args && whyNotCalled(proxy, row, wordsOf(row.name, args, row.form)));
  if (why !== undefined) throw notSupported(row, `${proxy} ${why}`);
}

const SHARING = "shares its connections to the servers among its clients, so that no client can rely on one";

/** Returns why a proxy does not pass a command, whatever its arguments; undefined if it may pass it. */
function whyNot(proxy: ProxyName, row: Row): string | undefined {
  const { block, is, instead, placing } = row;
  const isTransaction = row === commands.multi || row === commands.exec || row === commands.discard;
  if (row === commands.ping || (isTransaction && proxy === "envoy")) return undefined;
  if (instead !== undefined || row === LEASE) return SHARING;
  if (placing === none) return "passes only commands that have a key, and PING";
  if (block !== undefined) return "passes no commands that may block";
  if (is.channel && proxy !== "envoy") return "passes no messages";
  return is.unproxied || is[proxy] || (is.unlisted && proxy === "twemproxy") ? "does not pass this command" : undefined;
}

/** Returns why a proxy does not pass this call as it should: it looks at the first argument, for EVAL at the third. */
function whyNotCalled(proxy: ProxyName, row: Row, words: Words): string | undefined {
  const { form: { lists, options, optional }, is, name } = row;
  const isBare = words.length < Math.min(options, optional, lists + 1);
  if (is.bare && proxy === "twemproxy" && !isBare) return "passes it only with one key, and without options";
  if (row === commands.ping) return undefined;
  const [first, ...others] = row.positions(words, row.placing);
  if (first === undefined) return "passes only calls that have a key";
  if (name.words > 1 || first !== (is.partly ? 2 : 0)) return "finds no key where this command has its keys";
  if (is.patterns && hasPattern(words)) return "does not look at patterns, which refer to keys of other servers";
  if (others.length === 0 || row.spread === "split") return undefined;
  if (proxy === "envoy" && !is.partly) return "does not pass this command with several keys";
  const tags = new Set([first, ...others].map((at) => tagOf(byteText(wordOf("a key", words[at])))));
  return tags.size === 1 ? undefined : "passes it to one server only; give all its keys one hash tag";
}

/** Replies to calls with empty lists, which are not sent, by the positions of these calls. */
type Known = Map<number, unknown>;

function withKnown(replies: unknown[], known: Known): unknown[] {
  const given = replies.values();
  const length = replies.length + known.size;
  return known.size === 0 ? replies
    : Array.from({ length }, (_, at) => known.has(at) ? known.get(at) : given.next().value);
}

/** Number of results created in one turn of the event loop, which takes a few milliseconds. */
const SLICE = 4_096;

/** Creates a result for each item, perhaps an error, in slices, so that a million do not stall the process. */
async function inSlices<T,>(items: readonly T[], make: (item: T, at: number) => unknown): Promise<unknown[]> {
  const results: unknown[] = [];
  for (;;) {
    const slice = items.slice(results.length, results.length + SLICE);
    withoutStack(() => slice.forEach((item) => results.push(make(item, results.length))));
    if (results.length === items.length) return results;
    await turn();
  }
}

class Gathering extends Commander {
  readonly #router: Router;
  #batch = new Batch();
  #known: Known = new Map();

  constructor(router: Router, view: View) {
    super(view);
    this.#router = router;
  }

  override get direct(): boolean { return false; }
  get length(): number { return this.#batch.length + this.#known.size; }

  give(row: Row, args: readonly unknown[]): this {
    const words = wordsOf(row.name, args, row.form);
    this.#router.check(row, words);
    const blocks = row.block?.(words) !== undefined;
    if (blocks) throw notSupported(row, "a blocking command would hold up the others; call it on the handler");
    this.#batch.add(row, words);
    return this;
  }

  protected override known(reply: unknown): this {
    this.#known.set(this.length, reply);
    return this;
  }

  /** Throws, because a chain cannot reject. The commands gathered before remain. */
  protected override refuse(error: unknown): never { throw error; }

  async execPipeline(options: PipelineOptions = {}): Promise<unknown[]> {
    const { errors = "reject" } = checkAll(options, GATHERING);
    if (this.#batch.length === 0) return this.#ofNothing();
    const later = this.#later();
    if (later !== undefined) return (await later).execPipeline({ errors });
    const { batches, merge } = this.#divide();
    const known = this.#restart();
    const sent = Array.from(batches, ([server, batch]) => sendPipeline(server, batch, PIPELINE, this.view));
    const replies = await Promise.all(sent);
    const results = withKnown(await merge(replies), known);
    const first = results.find((result) => result instanceof RedisError);
    if (first !== undefined && errors === "reject") throw new PipelineError(results, first);
    return results;
  }

  async commit(): Promise<unknown[]> {
    if (this.#batch.length === 0) return this.#ofNothing();
    const later = this.#later();
    if (later !== undefined) return (await later).commit();
    mustPass(this.#router, commands.multi);
    const [[server, batch], ...others] = [...this.#divide(true).batches] as [[Target, Batch]];
    if (others.length > 0) throw unsharded(commands.multi, "a transaction runs on one server");
    batch.makeAtomic();
    const known = this.#restart();
    const sent = await sendBatch(server, batch, TRANSACTION, this.view);
    const [begun, ...results] = sent.replies;
    const last = results.pop();
    if (last instanceof RedisError) {
      // After an error reply to MULTI, the server has run the commands one by one; the reason not to send it fails all.
      const isBegunAlone = isReplyError(begun) && begun !== last && sent.batch.replies.length > 0;
      if (isBegunAlone) throw new PipelineError(results, begun.of("MULTI", "unknown"));
      throw new PipelineError(results, last, last.code === "EXECABORT" ? results.find(isReplyError) : last);
    }
    return executed(last, results.length, (reply, i) => sent.batch.shaped(i + 1, this.view, reply), known, sent.lacks);
  }

  #ofNothing(): unknown[] {
    const known = this.#restart();
    if (known.size > 0) this.#router.mustBeOpen(PIPELINE.name.text);
    return withKnown([], known);
  }

  /** Moves the commands to a pipeline that is sent when the servers are known; undefined if they are known already. */
  #later(): Promise<Gathering> | undefined {
    const listed = this.#router.known(this.view);
    if (listed === undefined) return undefined;
    const later = new Gathering(this.#router, this.view);
    later.#batch = this.#batch;
    later.#known = this.#restart();
    return listed.then(() => later);
  }

  #restart(): Known {
    const known = this.#known;
    this.#batch = new Batch();
    this.#known = new Map();
    return known;
  }

  /** A batch for each server, and a function that merges their replies in the order of the calls. */
  #divide(
    pinned = false,
  ): { batches: Map<Target, Batch>; merge: (replies: readonly unknown[][]) => Promise<unknown[]> } {
    const { only } = this.#router;
    if (only !== undefined) return { batches: new Map([[only, this.#batch]]), merge: async ([replies]) => replies! };
    const batches = new Map<Target, Batch>();
    const { rows, words } = this.#batch;
    const add = (server: Target, row: Row, args: Words): Target => {
      const batch = batches.get(server) ?? new Batch();
      batches.set(server, batch);
      batch.add(row, args);
      return server;
    };
    const routes = rows.map((row, at) => {
      const route = this.#router.route(row, words[at]!, pinned);
      if (route.server !== undefined) return add(route.server, row, words[at]!);
      if (route.parts.length === 0) throw unsharded(row, SCATTERED);
      return [route.parts.map(({ member, args }) => add(member.server, row, args)), route] as const;
    });
    const merge = (replies: readonly unknown[][]): Promise<unknown[]> => {
      const lanes = new Map([...batches.keys()].map((server, i) => [server, replies[i]!.values()]));
      const next = (server: Target): unknown => lanes.get(server)!.next().value;
      return inSlices(routes, (route) => isParted(route) ? route[1].merge(route[0].map(next)) : next(route));
    };
    return { batches, merge };
  }
}

type Parted = readonly [servers: readonly Target[], plan: Plan];
const isParted = (route: Target | Parted): route is Parted => Array.isArray(route);

/** Converts the replies that EXEC returns, one for each command; throws if too few replicas have what it wrote. */
async function executed(
  reply: unknown, count: number, shaped: (reply: unknown, i: number) => unknown, known: Known, lacks?: Lack,
): Promise<unknown[]> {
  if (!Array.isArray(reply) || reply.length !== count) throw badReply(commands.exec);
  const replies = withKnown(await inSlices(reply, shaped), known);
  const lack = lacks?.(replies, "EXEC");
  if (lack !== undefined) throw lack;
  return replies;
}

/** Replies of a batch, except WAIT's, with an error for each command without reply; the batch of the last attempt. */
type Sent = { replies: unknown[]; batch: Batch; lacks: Lack | undefined };
/** Returns the error of a write that too few replicas have; undefined if enough have it. */
type Lack = (reply: unknown, command: string) => DurabilityError | undefined;

async function sendBatch(server: Target, batch: Batch, row: Row, view: View): Promise<Sent> {
  const isDurable = batch.makeDurable(view);
  let replies: unknown[];
  let command: Command | undefined;
  try {
    command = new Command(row, [], view, { ...ORDINARY, batch });
    replies = await server.dispatch(command) as unknown[];
  } catch (error) {
    if (command === undefined) await turn();
    replies = await inSlices(batch.rows, (command?.special.batch ?? batch).failed(error as RedisError));
  }
  const last = command?.special.batch ?? batch;
  if (last.redirected !== undefined) await last.complete(replies);
  return { replies, batch: last, lacks: isDurable ? lackOf(view, replies.pop()) : undefined };
}

/** Compares WAIT's reply with the number of replicas that the view asks for; an error counts as too few. */
function lackOf({ waitArgs: [wanted] = [0, 0] }: View, waited: unknown): Lack {
  const known = typeof waited === "number" || waited instanceof RedisError ? waited : badReply(commands.wait);
  const isEnough = typeof known === "number" && known >= wanted;
  return (reply, command) => isEnough ? undefined : new DurabilityError(wanted, known, reply, command);
}

/** Sends a batch; each write in it fails if too few replicas have it. */
async function sendPipeline(server: Target, batch: Batch, row: Row, view: View): Promise<unknown[]> {
  const { replies, lacks, batch: { rows, redirected } } = await sendBatch(server, batch, row, view);
  if (lacks === undefined) return replies;
  return inSlices(replies, (reply, i) => {
    const isJudged = !changesData(rows[i]!) || reply instanceof RedisError || redirected?.has(i);
    return isJudged ? reply : lacks(reply, rows[i]!.name.text) ?? reply;
  });
}

/** Sends a command and, if it may change data, WAIT behind it. */
function send(server: Target, row: Row, args: readonly unknown[], view: View): Promise<unknown> {
  const isDurable = view.durable !== 0 && view.waitArgs !== undefined && changesData(row);
  if (!isDurable) return server.dispatch(new Command(row, args, view));
  const batch = new Batch();
  batch.add(row, wordsOf(row.name, args, row.form));
  if (row.block?.(batch.words[0]!) !== undefined) throw notSupported(row, UNDURABLE);
  return sendPipeline(server, batch, row, view).then(([reply]) => {
    if (reply instanceof RedisError) throw reply;
    return reply;
  });
}

const UNDURABLE = "a blocking command cannot wait for replicas, too; use another view, or with({ durable: 0 })";

/** Names of a whole batch in its errors; the server has no such commands. */
const PIPELINE = unlisted("other", none, "PIPELINE");
const TRANSACTION = unlisted("other", none, "TRANSACTION");

// ==== 11. Transactions and leases ====
//
// A transaction that reads before it writes has a lease: a connection of its own from watch() or multi() until
// commit(), discard() or unwatch(), or until the first failure. lease() lends a connection to a function until the
// function settles. To change what runs on such a connection, change give() of Watch or of LeasedConnection.

/** A watched key was changed, so EXEC executed nothing. The code is WATCH. */
export class WatchError extends RedisError {
  static { named(this, "WatchError"); }
}

/** Every command, with its type after multi(). */
type Queueing = { [C in keyof Shared]: Queued<Shared[C]["call"]> };
type Queued<F> = Overloads<
  F extends ((...args: infer A) => unknown) | Either<infer A, any> ? Method<A, Promise<"QUEUED">> : never>;

/** A transaction that queues commands: each resolves with "QUEUED", and commit() with the replies. */
export interface Transaction extends Queueing, Pick<Watch, "commit" | "discard"> {
  /** Queues any command by name. */
  call(name: string | CallOptions, ...args: unknown[]): Promise<"QUEUED">;
  /** Queues UNWATCH, which changes nothing here: EXEC checks the watched keys before it runs any command. */
  unwatch(): Promise<"QUEUED">;
}

/** A transaction that reads first: until multi(), the server executes commands at once; after it, it queues them. */
export class Watch<Text = string> extends Commander {
  readonly #router: Router;
  readonly #server: Target;
  readonly #lease: Lease;
  #state: "watching" | "queueing" | "finished";
  readonly #queued: Command[] = [];
  readonly #known: Known = new Map();
  /** The first error of a call that could not be queued; commit() then discards all of them. */
  #refused: unknown;
  /** The first error of a command that the server did not queue; EXEC then executes none of them. */
  #unqueued: RedisError | undefined;
  /** The failure that ended the transaction. */
  #cause: unknown;
  #lacks: Lack | undefined;

  constructor(router: Router, view: View, server: Target, lease: Lease) {
    super(view);
    this.#router = router;
    this.#server = server;
    this.#lease = lease;
    this.#state = lease.command.row === commands.multi ? "queueing" : "watching";
  }

  override get direct(): boolean { return false; }

  protected give(row: Row, args: readonly unknown[]): Promise<unknown> {
    this.#expect(undefined, row);
    if (row === commands.unwatch && this.#state === "queueing") return this.#queue(row, args);
    const words = wordsOf(row.name, args, row.form);
    this.#router.check(row, words);
    mustQueue(row);
    return this.#give(row, words);
  }

  #give(row: Row, args: readonly unknown[]): Promise<unknown> {
    const [server, own] = single(this.#router, row, args);
    if (server !== this.#server) throw unsharded(row, "its keys are not on the node of this transaction");
    if (this.#state !== "watching") return this.#queue(row, own);
    const { promise } = this.#send(row, own);
    const waited = changesData(row) ? this.#wait() : undefined;
    return waited === undefined ? promise : confirmed(row, promise, waited);
  }

  #queue(row: Row, args: readonly unknown[]): Promise<unknown> {
    const command = this.#send(row, args, { ...ORDINARY, queued: true });
    this.#queued.push(command);
    return command.promise;
  }

  protected override known(reply: unknown, row: Row): unknown {
    this.#expect(undefined, row);
    if (this.#state === "watching") return super.known(reply, row);
    this.#known.set(this.#queued.length + this.#known.size, reply);
    return Promise.resolve("QUEUED");
  }

  /** Like EXEC, commit() also reports a call that could not be queued, so the call itself need not be awaited. */
  protected override refuse(error: unknown): Promise<unknown> {
    const refused = super.refuse(error);
    if (this.#state === "queueing") this.#refused ??= error;
    if (this.#state !== "watching") refused.catch(ignore);
    return refused;
  }

  /** Watches more keys, before multi(); resolves with this Watch. */
  watch(...keys: Many<Key>): Promise<this> {
    return Beginning.of("t.watch", this.#watch(keys), (error) => this.abandon(error));
  }

  async #watch(keys: Many<Key>): Promise<this> {
    this.#expect("watching");
    await this.#give(commands.watch, keys);
    return this;
  }

  /** Watches these keys, too, and sends MULTI: from then on, the server queues commands until commit(). */
  multi(...keys: Many<Key>): Promise<Transaction> {
    return Beginning.of("t.multi", this.#multi(keys), (error) => this.abandon(error));
  }

  async #multi(keys: Many<Key>): Promise<Transaction> {
    this.#expect("watching");
    const watched = isOfNothing(commands.watch, keys) ? undefined : this.#give(commands.watch, keys);
    const begun = this.#control(commands.multi);
    this.#state = "queueing";
    begun.catch((error) => this.#end(false, error));
    watched?.catch((error) => this.abandon(error)); // MULTI has already been sent behind it
    await Promise.all([watched, begun]);
    return this as unknown as Transaction;
  }

  /**
   * Sends EXEC and returns the connection; resolves with the replies in order, errors among them. Executes nothing, and
   * rejects, if a watched key was changed (WatchError) or a command was not queued (ReplyError, code EXECABORT).
   */
  async commit(): Promise<unknown[]> {
    this.#expect("queueing");
    if (this.#refused !== undefined) {
      await this.discard();
      throw this.#refused;
    }
    const exec = { commands: this.#queued, reading: execOf(this.#queued.map(({ row }) => row)) };
    const replies = await this.#conclude(commands.exec, { ...ORDINARY, exec }).catch((error: RedisError) => {
      if (this.#unqueued instanceof WatchError) throw this.#unqueued; // its slot has moved
      const isAborted = isReplyError(error) && error.code === "EXECABORT";
      throw isAborted ? error.of(error.command, error.outcome, undefined, this.#unqueued) : error;
    }) as unknown[] | null;
    if (replies === null) throw new WatchError("WATCH", "not-executed", "a watched key was changed");
    const shaped = (result: unknown, i: number): unknown => this.#queued[i]!.shaped(result);
    return executed(replies, this.#queued.length, shaped, this.#known, this.#lacks);
  }

  /** Discards the queued commands, unwatches the keys and returns the connection, even if the signal was aborted. */
  async discard(): Promise<"OK"> {
    this.#expect();
    const row = this.#state === "watching" ? commands.unwatch : commands.discard;
    return await this.#conclude(row, ORDINARY, this.view.sure) as "OK";
  }

  /** Unwatches the keys and returns the connection. After multi(), it is queued like a command. */
  unwatch(): Promise<"OK"> {
    const isQueueing = this.#state === "queueing";
    return (isQueueing ? this.issue(commands.unwatch, []) : this.discard()) as Promise<"OK">;
  }

  /** Ends the transaction because of an error after which nothing of it may be executed. */
  abandon(cause: unknown): void {
    if (this.#state === "finished") return;
    this.#cause = cause;
    this.discard().catch(ignore);
  }

  [Symbol.asyncDispose](): Promise<unknown> { return this.#state === "finished" ? Promise.resolve() : this.discard(); }

  /** Ends transaction(): commits after multi(), otherwise unwatches. */
  async finish(): Promise<unknown[]> {
    if (this.#state === "queueing" || this.#cause !== undefined) return this.commit();
    if (this.#state === "watching") await this.#conclude(commands.unwatch);
    return [];
  }

  /** Throws unless the transaction is in this state; without a state, throws only if it is finished. */
  #expect(state?: "watching" | "queueing", row?: Row): void {
    if (this.#state === "finished") {
      if (this.#cause instanceof WatchError) throw this.#cause; // its slot has moved
      const about = { command: row?.name.text, cause: this.#cause };
      throw new NotSupportedError("TRANSACTION_OVER", "not-sent", "this transaction is over", about);
    }
    if (state === undefined || this.#state === state) return;
    const message = `call this ${state === "watching" ? "before" : "after"} multi()`;
    throw new NotSupportedError("NOT_SUPPORTED", "not-sent", message);
  }

  /** Sends a command. A failure without reply leaves the server's state unknown: it ends transaction and connection. */
  #send(row: Row, args: readonly unknown[] = [], special = ORDINARY, view = this.view): Command {
    const command = new Command(row, args, view, special);
    this.#lease.dispatch(command).catch((error) => {
      if (special.queued) this.#unqueued ??= error;
      if (!isReplyError(error)) this.#end(false, error);
    });
    return command;
  }

  /** Sends MULTI or the last command. If it cannot be sent, because a signal was aborted, ends the transaction. */
  #control(row: Row, special?: Special, view?: View): Promise<unknown> {
    try {
      return this.#send(row, [], special, view).promise;
    } catch (error) {
      this.#end(false, error);
      throw error;
    }
  }

  /** Sends the last command and returns the connection, which an error closes, unless it is EXEC's error reply. */
  async #conclude(row: Row, special?: Special, view?: View): Promise<unknown> {
    const promise = this.#control(row, special, view);
    const waited = row === commands.exec ? this.#wait() : undefined;
    this.#state = "finished";
    const clean = await promise.then(() => true, (error) => row === commands.exec && error instanceof ReplyError);
    if (waited !== undefined) this.#lacks = await waited;
    this.#end(clean);
    return promise;
  }

  #wait(): Promise<Lack> | undefined {
    const { view } = this;
    const waited = view.waitArgs && this.#send(commands.wait, view.waitArgs).promise;
    return waited?.catch((error: unknown) => error).then((reply) => lackOf(view, reply));
  }

  #end(clean: boolean, cause?: unknown): void {
    if (this.#state !== "finished") this.#cause = cause;
    this.#state = "finished";
    this.#lease.release(clean);
  }
}

export interface Watch<Text> extends Commands<Text> {}

/** Resolves with the reply to a write once WAIT says that enough replicas have it; otherwise rejects. */
async function confirmed({ name }: Row, written: Promise<unknown>, waited: Promise<Lack>): Promise<unknown> {
  const reply = await written;
  const lack = (await waited)(reply, name.text);
  if (lack !== undefined) throw lack;
  return reply;
}

/**
 * Promise of a transaction. A command that is called on it, as on the chain that other clients' multi() returns, throws
 * and ends the transaction, because nobody else would end it.
 */
class Beginning<T = unknown> extends Promise<T> {
  /** Makes then() and catch() return ordinary promises. */
  static override get [Symbol.species](): PromiseConstructor { return Promise; }
  #origin = "";
  #end: (error: RedisError) => void = ignore;

  /** `origin`: the call that returns the promise; `end`: ends the transaction, now or as soon as it has begun. */
  static of<T>(origin: string, begun: Promise<T>, end: (error: RedisError) => void): Beginning<T> {
    const promise = new Beginning<T>((resolve) => resolve(begun));
    promise.#origin = origin;
    promise.#end = end;
    return promise;
  }

  issue(row: Row): never { return this.#refuse(row === commands.exec ? "commit" : row.method, row.name.text); }
  call(): never { return this.#refuse("call"); }
  callWith(): never { return this.#refuse("call"); }
  commit(): never { return this.#refuse("commit"); }
  execPipeline(): never { return this.#refuse("execPipeline"); }

  /** Ends the transaction; the promise need not be awaited any more. */
  abandon(error: RedisError): void {
    this.catch(ignore);
    this.#end(error);
  }

  #refuse(method: string, command?: string): never {
    const origin = this.#origin;
    const chain = origin.endsWith("multi") ? "; a chain is db.pipeline().set(...).get(...).commit()" : "";
    const error = new NotSupportedError("NOT_SUPPORTED", "not-sent",
      `${origin}() returns a promise: write (await ${origin}(...)).${method}(...)${chain}`, { command });
    this.abandon(error);
    throw error;
  }
}
// Beginning inherits from Promise and has every command as a method, like a Commander.
Object.setPrototypeOf(Beginning.prototype, Object.assign(Object.create(Promise.prototype), methods));

/** Borrows a connection from a server for this first command; resolves with the lease when the command is answered. */
function borrow(server: Target, row: Row, args: readonly unknown[], view: View): [first: Command, Promise<Lease>] {
  let lease: Lease | undefined;
  const first = new Command(row, args, view, { ...ORDINARY, keep: (given) => void (lease = given) });
  return [first, server.dispatch(first).then(() => lease!, (error: RedisError) => {
    if (row === LEASE && isReplyError(error) && !refusalOf(error).routed) return lease!; // it is the right node
    lease?.release(error instanceof ReplyError || error.outcome === "not-sent");
    throw row === LEASE && !isReplyError(error) ? error.of("LEASE", "not-sent") : error;
  })];
}

/** Sends WATCH, MULTI or UNWATCH to the server that `route` finds, as the first command on a leased connection. */
function begin<Text>(
  router: Router, row: Row, view: View, route: () => [server: Target, args?: readonly unknown[]],
): Beginning<Watch<Text>> {
  let first: Command | undefined;
  const start = async (): Promise<Watch<Text>> => {
    try {
      const listed = router.known(view);
      if (listed !== undefined) await listed;
      mustPass(router, row);
      const [server, args = []] = route();
      const [command, lease] = borrow(server, row, args, view);
      first = command;
      return new Watch<Text>(router, view, server, await lease);
    } catch (error) {
      if (first === undefined) await turn();
      throw error;
    }
  };
  const begun = start();
  return Beginning.of(`db.${row.method}`, begun, (error) => {
    if (first?.state === "waiting") first.fail(error);
    void begun.then((t) => t.abandon(error), ignore);
  });
}

const beginWatch = <Text,>(router: Router, keys: Many<Key>, view: View): Beginning<Watch<Text>> =>
  begin(router, commands.watch, view, () => single(router, commands.watch, keys));

/** `anywhere`: the server for a transaction without keys. */
function beginMulti(router: Router, keys: Many<Key>, view: View, anywhere: () => Target): Promise<Transaction> {
  if (isOfNothing(commands.watch, keys)) {
    return begin(router, commands.multi, view, () => [anywhere()]) as Promise<unknown> as Promise<Transaction>;
  }
  const watch = beginWatch(router, keys, view);
  return Beginning.of("db.multi", watch.then((t) => t.multi()), (error) => watch.abandon(error));
}

/** Routes the commands of lease()'s body to the lent connection, and decides whether others may use it afterwards. */
class Loan implements Router {
  readonly #router: Router;
  readonly #server: Target;
  readonly #lease: Lease;
  readonly #self: Member = { name: "", server: this };
  /** The current user: the body, or the transaction that it has begun. */
  #user: "body" | Lease | "nobody" = "body";
  readonly #pending = new Set<Command>();
  /** Whether the connection is still in the state in which it was lent. */
  #isClean = true;
  /** The last failure other than an error reply. */
  #cause: unknown;

  constructor(router: Router, server: Target, lease: Lease) {
    this.#router = router;
    this.#server = server;
    this.#lease = lease;
  }

  get only(): Target | undefined { return this.#router.only && this; }
  get proxy(): ProxyName | undefined { return this.#router.proxy; }
  known(): undefined { return undefined; }

  mustBeOpen(command: string): void {
    if (this.#user !== "body") throw this.#refusal.of(command, "not-sent");
  }

  check(row: Row, gathered?: readonly unknown[]): void {
    if (row.kind === "session") throw notSupported(row, `this does not run in a lease; use instead: ${row.instead}`);
    if (gathered !== undefined) this.route(row, gathered);
  }

  /** Commands without keys run on this node; keys of others must be on it. */
  route(row: Row, args: readonly unknown[]): Member | Plan {
    if (this.only !== undefined || row.placing === none) return this.#self;
    const [server, own] = single(this.#router, row, args);
    if (server !== this.#server) throw unsharded(row, "its keys are not on the node of this lease");
    const words = wordsOf(row.name, own, row.form);
    return planOf([{ member: this.#self, args: words, keys: [] }], ([reply]) => reply);
  }

  /** Sends the body's command. During a transaction, the body can send no other: the server would queue it. */
  dispatch(command: Command): Promise<unknown> {
    const sent = this.#send(command, "body");
    const { keep } = command.special;
    if (keep !== undefined && this.#user === "body") {
      const lease: Lease = {
        command,
        since: 0,
        touched: 0,
        dispatch: (next) => this.#send(next, lease),
        release: (clean) => {
          if (this.#user === lease) this.#user = clean ? "body" : "nobody";
        },
      };
      this.#user = lease;
      keep(lease);
    }
    return sent;
  }

  /** Waits for pending replies, unless a command blocks; then returns the connection, or has the pool close it. */
  async end(): Promise<void> {
    const isIdle = this.#user === "body";
    this.#user = "nobody";
    const pending = [...this.#pending];
    const isBlocked = pending.some(({ blocks }) => blocks !== undefined);
    if (!isBlocked) await Promise.allSettled(pending.map(({ promise }) => promise));
    this.#lease.release(isIdle && !isBlocked && this.#isClean);
  }

  async #send(command: Command, user: "body" | Lease): Promise<unknown> {
    const { row, special: { batch } } = command;
    if (this.#user !== user) {
      command.fail(this.#refusal, world.afterInput);
      return command.promise;
    }
    const isChanging = (batch?.rows ?? [row]).some(({ kind }) => kind === "leased");
    if (isChanging) this.#isClean = false;
    this.#pending.add(command);
    try {
      return await this.#lease.dispatch(command);
    } catch (error) {
      if (!(error instanceof ReplyError)) this.#failed(error as RedisError, isChanging);
      throw error;
    } finally {
      this.#pending.delete(command);
    }
  }

  /** Later commands must not run on a connection that may, or may not, have been changed. */
  #failed(error: RedisError, isChanging: boolean): void {
    if (error.outcome === "not-sent") return;
    this.#cause = error;
    this.#isClean = false;
    if (isChanging) this.#user = "nobody";
  }

  get #refusal(): NotSupportedError {
    return this.#user === "nobody"
      ? new NotSupportedError("LEASE_OVER", "not-sent", "this lease is over", { cause: this.#cause })
      : new NotSupportedError("NOT_SUPPORTED", "not-sent", "a transaction has begun on this connection; call it there");
  }
}

/**
 * The connection that lease() lends to its body. It also has the commands that change a connection (SELECT, AUTH ...);
 * its pipelines and transactions take these by call().
 */
export class LeasedConnection<Text = string> extends Commander {
  readonly #loan: Loan;

  constructor(loan: Loan, view: View) {
    super(view);
    this.#loan = loan;
  }

  /** The same connection with other options for the calls made through it. */
  with<
    const C extends Charset | undefined = undefined, const N extends boolean | undefined = undefined,
    const M extends Maps | undefined = undefined,
  >(options: ViewOptions & { charset?: C; convertNumbers?: N; maps?: M }): LeasedConnection<ViewOfForm<Text, C, N, M>> {
    return new LeasedConnection(this.#loan, this.view.with(options));
  }

  protected give(row: Row, args: readonly unknown[]): Promise<unknown> {
    this.#loan.check(row);
    const [server, own] = single(this.#loan, row, args);
    return send(server, row, own, this.view);
  }

  protected override known(reply: unknown, row: Row): unknown {
    this.#loan.mustBeOpen(row.name.text);
    return super.known(reply, row);
  }

  /** Gathers commands to send together on this connection. */
  pipeline(): Pipeline<[], Text> { return new Gathering(this.#loan, this.view) as unknown as Pipeline<[], Text>; }
  /** Sends WATCH on this connection: until the transaction has ended, only it can send commands. */
  watch(...keys: Many<Key>): Promise<Watch<Text>> { return beginWatch(this.#loan, keys, this.view); }
  /** Sends MULTI on this connection, after WATCH if there are keys. */
  multi(...keys: Many<Key>): Promise<Transaction> {
    return beginMulti(this.#loan, keys, this.view, () => this.#loan);
  }
}

export interface LeasedConnection<Text> extends LeasedCommands<Text> {}

/** Lends `body` a connection; if there are several nodes, a connection to the node of these keys. */
async function lend<Text, T>(
  router: Router, keys: readonly unknown[], view: View, body: (connection: LeasedConnection<Text>) => T,
): Promise<Awaited<T>> {
  if (typeof body !== "function") throw new ArgumentError("the body of lease() must be a function");
  const listed = router.known(view);
  if (listed !== undefined) await listed;
  mustPass(router, LEASE);
  const [server] = single(router, LEASE, keys);
  const [, lease] = borrow(server, LEASE, keys, view);
  const loan = new Loan(router, server, await lease);
  try {
    return await body(new LeasedConnection<Text>(loan, view));
  } finally {
    await loan.end();
  }
}

/** `attempts`: how many times transaction() tries before it rejects with the WatchError; 100 by default. */
export type TransactionOptions = Loose<{ attempts: number }>;
const TRANSACTING = { attempts: whole(1, 2 ** 30) };
const CLOSING = { timeout: duration };

// ==== 12. Scripts, scans and streams ====
//
// Calls that take several commands: a script by its digest, or in full if the server does not know it; cursors as
// iterators; reading, claiming and acknowledging the entries of a consumer group. To add one, write a retry or a loop.

/**
 * `keys`: how many leading arguments are keys, 0 by default. `readonly`: the script only reads (EVAL_RO or FCALL_RO,
 * since Redis 7.0), so after a lost connection it may be sent again.
 */
export type ScriptOptions = Loose<{ keys: number; readonly: boolean }>;

/**
 * A script as a function: it takes a handler, a pipeline or a transaction, then keys and arguments. Keys and arguments
 * are single values: a list is refused, because it would shift the arguments behind it.
 */
export interface Script<R> {
  <Done extends unknown[], Text>(on: Pipeline<Done, Text>, ...keysAndArgs: Arg[]): Pipeline<[...Done, R], Text>;
  (on: Transaction, ...keysAndArgs: Arg[]): Promise<"QUEUED">;
  (on: Pick<Commander, "call" | "direct">, ...keysAndArgs: Arg[]): Promise<R>;
}

const SCRIPTING: Record<keyof ScriptOptions, Check<unknown>> = {
  keys: whole(0, MAX_WORDS), readonly: oneOf(true, false),
};

function mustBeCallable(on: unknown): void {
  if (typeof (on as Commander | undefined | null)?.["callWith"] === "function") return;
  throw new ArgumentError("a script needs a handler, a pipeline or a transaction to run on");
}

/** Codes of errors after which a script is sent again, unless its words show that they may be its own. */
const REPEATED = ["NOSCRIPT", "LOADING", "MASTERDOWN", "READONLY", "BUSY"];

/**
 * Turns a Lua script into a function, which sends its SHA-1 digest, and the script only if the server lacks it:
 * const add = script<number>("return redis.call('INCRBY', KEYS[1], ARGV[1])", { keys: 1 }); await add(db, "n", 2);
 */
export function script<R = unknown>(lua: string, options: ScriptOptions = {}): Script<R> {
  if (typeof lua !== "string") throw new ArgumentError("a script must be a string");
  const { keys = 0, readonly = false } = checkAll(options, SCRIPTING);
  let sha1: string | undefined; // set by the first call: most programs need no node:crypto
  const suffix = readonly ? "_RO" : "";
  const run = (on: Commander, name: string, code: string, rest: readonly Arg[]): Promise<unknown> =>
    on["callWith"]({ name: `${name}${suffix}`, values: true }, [code, keys, ...rest]) as Promise<unknown>;
  return ((on: Commander, ...rest: Arg[]) => {
    mustBeCallable(on);
    const inFull = (): Promise<unknown> => run(on, "EVAL", lua, rest);
    // A pipeline or a transaction cannot retry; a script that may say so itself must not be repeated for that.
    if (!on.direct || REPEATED.some((code) => lua.includes(code))) return inFull();
    sha1 ??= builtin("node:crypto").createHash("sha1").update(lua).digest("hex");
    return run(on, "EVALSHA", sha1, rest).catch(ifRefused(UNKNOWN_SCRIPT, inFull));
  }) as unknown as Script<R>;
}

/**
 * Turns the function of a library into a JavaScript function, which sends FCALL. With `code`, it loads the library if
 * the server lacks the function, except in pipelines and transactions. Since Redis 7.0.
 */
export function libraryFunction<R = unknown>(
  name: string, options: ScriptOptions & { code?: string } = {},
): Script<R> {
  if (typeof name !== "string") throw new ArgumentError("the name of a function must be a string");
  const { keys = 0, readonly = false, code } = checkAll(options, { ...SCRIPTING, code: secret });
  return ((on: Commander, ...rest: Arg[]) => {
    mustBeCallable(on);
    const target = { name: readonly ? "FCALL_RO" : "FCALL", values: true };
    const fcall = (): Promise<unknown> => on["callWith"](target, [name, keys, ...rest]) as Promise<unknown>;
    if (!on.direct || code === undefined || code.includes(NO_FUNCTION)) return fcall();
    return fcall().catch(ifRefused(NO_FUNCTION, () =>
      on.call("FUNCTION", "LOAD", "REPLACE", code).then(fcall)));
  }) as unknown as Script<R>;
}

/** Whether a text is a whole number of 64 bits. Cursors and ids are sent to a server again, perhaps another one. */
const areDigits = (text: string): boolean =>
  text !== "" && text.length <= 20 && [...text].every((char) => isNumeral(char));

/** Returns the id of a stream's entry, 1700000000000-0, in a reply; throws if it is anything else. */
function entryId<T>(row: Row, id: T): T {
  const parts = typeof id === "string" || Buffer.isBuffer(id) ? id.toString().split("-", 3) : [];
  if (parts.length !== 2 || !parts.every(areDigits)) throw badReply(row);
  return id;
}

/** Follows a cursor, page by page, until it is "0" again. As with SCAN itself, an item may come twice. */
async function* scan<Item>(
  options: ScanOptions | undefined,
  row: Row,
  page: (cursor: string) => Promise<any>,
): AsyncGenerator<Item, void, undefined> {
  if (options !== undefined && !isPlain(options)) {
    return rejected(new ArgumentError('options must be an object, such as { MATCH: "user:*" }'));
  }
  let cursor = "0";
  do {
    const reply = await page(cursor);
    const [next, items] = understood(row, (): [string, Item[]] => {
      const [after, found] = reply;
      const isCursor = typeof after !== "object" || Buffer.isBuffer(after);
      const isPage = Array.isArray(found) || isPlain(found);
      if (!isCursor || !areDigits(String(after)) || !isPage) throw badReply(row);
      const page: unknown[] = Array.isArray(found) ? found : Object.entries(found);
      const areFit = page.every((item) => Array.isArray(item) ? item.length === 2 : row.shape === undefined);
      if (!areFit) throw badReply(row); // a loop takes the items apart
      return [String(after), page as Item[]];
    });
    yield* items;
    cursor = next;
  } while (cursor !== "0");
}

const isKey = (value: unknown): boolean => typeof value === "string" || ArrayBuffer.isView(value);
/** Options that such a table checks. */
type Checked<T> = { [N in keyof T]?: (T[N] extends Check<infer V> ? V : never) | undefined };

const CONSUMING = {
  group: must<string>("a string", isKey),
  consumer: must<string>("a string", isKey),
  /** Creates a missing group, and stream, to read all entries ("0") or new ones ("$"). By default, rejects: NOGROUP. */
  create: oneOf("0", "$"),
  /** Takes over entries that other consumers have not acknowledged for this many milliseconds. Since Redis 6.2. */
  claimAfter: whole(0, Number.MAX_SAFE_INTEGER),
  /** Maximum number of new entries in one read; 10 by default. */
  count: whole(1, 2 ** 30),
  /** How many milliseconds one read waits for new entries; 1,000 by default. */
  block: whole(1, 2 ** 31 - 1),
  /** An entry that is still pending after this many deliveries goes to `deadLetter` instead, and is acknowledged. */
  maxDeliveries: whole(1, Number.MAX_SAFE_INTEGER),
  /** Key of a stream, to which the entry's fields are added, or a function, which gets the entry and is awaited. */
  deadLetter: must<unknown>("a stream's key or a function", (value) => isKey(value) || typeof value === "function"),
  /** Ends the loop once the current entry has been acknowledged. */
  signal: must<AbortSignal>("an AbortSignal", (value) => value instanceof AbortSignal),
};
/** How a consumer reads a stream for its group. */
export type ConsumeOptions<Text = string> = Checked<typeof CONSUMING> &
  { group: string; consumer: string; deadLetter?: Key | ((entry: Consumed<Text>) => unknown) | undefined };

/** An entry of a stream, and how many times it has been delivered, this time included. */
export type Consumed<Text = string> =
  [id: Reply<Entry[0], Text>, fields: Reply<Entry[1], Text>, deliveries: number];

/** An async iterator whose return() ends it at once; that of a plain async generator waits for a pending next(). */
export class Iteration<T> implements AsyncIterableIterator<T, void, void> {
  readonly #items: AsyncGenerator<T, void, void>;
  readonly #stop: () => void;
  readonly #last: "dropped" | "awaited";
  /** Calls to next() that wait for an item. */
  readonly #readers = new Set<(result: IteratorReturnResult<void>) => void>();

  /** `stop` ends the command or pause that the generator waits for. `last`: what return() does with its last item. */
  constructor(items: AsyncGenerator<T, void, void>, stop: () => void, last: "dropped" | "awaited" = "dropped") {
    this.#items = items;
    this.#stop = stop;
    this.#last = last;
  }

  next(): Promise<IteratorResult<T, void>> {
    return new Promise((resolve, reject) => {
      this.#readers.add(resolve);
      void this.#items.next().then(resolve, reject).then(() => this.#readers.delete(resolve));
    });
  }

  /** Called when a loop exits early. */
  async return(): Promise<IteratorReturnResult<void>> {
    this.#stop();
    const ended = this.#items.return().catch(ignore);
    if (this.#last === "awaited") await ended;
    for (const resolve of this.#readers) resolve({ value: undefined, done: true });
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this { return this; }
  async [Symbol.asyncDispose](): Promise<void> { await this.return(); }
}

/**
 * The entries of a stream for one consumer of a group: first its own unacknowledged ones, then those that other
 * consumers abandoned, then new ones. An entry is acknowledged when the next one is requested. If the loop ends before
 * that, the entry is delivered again: each is delivered at least once. After a failure, starts again with its own ones.
 */
class Consumer<Text> {
  readonly name = "XREADGROUP";
  readonly #router: Router;
  readonly #stream: Key;
  readonly #options: ConsumeOptions<Text>;
  /** Whether its servers reopen lost connections. */
  readonly #reconnects: () => boolean;
  readonly #stop = new AbortController();
  /** The signals that end it, which belong to the call and to its view. */
  readonly #signals: AbortSignal[];
  /** For commands that end with the iteration. */
  readonly #view: View;
  /** For commands that must finish even then: XACK, and those that move an entry to `deadLetter`. */
  readonly #sure: View;
  #stage: "creating" | "pending" | "new" = "pending";
  /** Whether a read may block. After a failure, the first may not: the pool takes back only others after READONLY. */
  #mayBlock = false;
  /** Cursor of XAUTOCLAIM. */
  #cursor: unknown = "0-0";
  /** Id after which a created group starts: "0" or, with create "$", the id of the last new entry. */
  #from: unknown;
  /** Number of failures since the last reply; undefined before the first. */
  #failures: number | undefined;

  constructor(router: Router, stream: Key, options: ConsumeOptions<Text>, view: View, reconnects: () => boolean) {
    this.#router = router;
    this.#stream = stream;
    this.#options = options;
    this.#reconnects = reconnects;
    this.#signals = [options.signal, view.signal].filter((signal) => signal !== undefined);
    // A lost reply leaves its entries pending. So XREADGROUP must fail instead of being repeated, to read those first.
    this.#view = new View({ ...view, readFrom: "primary", idempotent: false, durable: 0, signal: this.#stop.signal });
    this.#sure = view.sure;
    if (options.create === "0") this.#from = "0";
  }

  async *entries(): AsyncGenerator<Consumed<Text>, void, void> {
    await turn(); // it may end at once, and a loop around it must not spin
    this.#check();
    if (this.#signals.some(({ aborted }) => aborted)) return;
    for (const signal of this.#signals) follow(signal, this);
    try {
      while (!this.#isEnded) {
        for (const entry of await this.#read().catch((error: unknown) => this.#recover(error))) {
          if (this.#isEnded) return;
          yield entry;
          await this.#acknowledge(entry[0]);
        }
      }
    } finally {
      for (const signal of this.#signals) unfollow(signal, this);
    }
  }

  /** Ends the iteration, and the command that it waits for. */
  fail(): void { this.#stop.abort(); }
  get #isEnded(): boolean { return this.#stop.signal.aborted; }

  #check(): void {
    const { group, consumer, maxDeliveries, deadLetter } = this.#options;
    checkAll(this.#options, CONSUMING);
    wordOf("the stream", this.#stream);
    mustPass(this.#router, commands.xreadgroup);
    for (const [name, value] of Object.entries({ group, consumer })) checked(name, value, CONSUMING.group);
    if ((maxDeliveries === undefined) !== (deadLetter === undefined)) {
      throw new ArgumentError("options maxDeliveries and deadLetter need each other");
    }
  }

  /** The next entries, if there are any. */
  async #read(): Promise<Consumed<Text>[]> {
    const { group, consumer, claimAfter, count = 10 } = this.#options;
    if (this.#stage === "creating") await this.#create();
    if (this.#stage === "pending") {
      // One by one, by XPENDING: reading more of them would count as a delivery of each.
      const [next] = await this.#list(this.#view, commands.xpending, this.#stream, group, "-", "+", 1, consumer);
      if (next !== undefined && !Array.isArray(next)) throw badReply(commands.xpending);
      if (next !== undefined) return this.#redeliver(next as XpendingEntry);
      this.#stage = "new";
    }
    if (claimAfter !== undefined) {
      const claim = [this.#stream, group, consumer, claimAfter, this.#cursor, { COUNT: count, JUSTID: true }];
      const [cursor, claimed] = await this.#list(this.#view, commands.xautoclaim, ...claim);
      if (!Array.isArray(claimed)) throw badReply(commands.xautoclaim);
      this.#cursor = entryId(commands.xautoclaim, cursor);
      if (claimed.length > 0) {
        this.#stage = "pending";
        return [];
      }
    }
    return this.#readNew();
  }

  async #readNew(): Promise<Consumed<Text>[]> {
    const { group, consumer, create, count = 10, block = 1_000, maxDeliveries } = this.#options;
    const reply = await this.#send(this.#view, commands.xreadgroup, {
      GROUP: [group, consumer],
      COUNT: maxDeliveries === 1 ? 1 : count, // reading more would count as delivering them
      ...(this.#mayBlock ? { BLOCK: block } : {}),
      STREAMS: [this.#stream, ">"],
    });
    this.#mayBlock = true;
    return understood(commands.xreadgroup, () => {
      const [[, entries] = [undefined, []]] = Array.isArray(reply) ? reply : Object.entries<any>(reply ?? {});
      const read = entries.map(([id, fields]: [any, any]) => [entryId(commands.xreadgroup, id), fields, 1]);
      if (create === "$" && read.length > 0) this.#from = read.at(-1)[0];
      return read;
    });
  }

  /** Claims one of its own entries, which counts as a delivery. A deleted one is null before Redis 7.0, then absent. */
  async #redeliver([id, , , deliveries]: XpendingEntry): Promise<Consumed<Text>[]> {
    const { group, consumer, maxDeliveries = Infinity, deadLetter } = this.#options;
    const isDead = Number(deliveries) >= maxDeliveries;
    const view = isDead && typeof deadLetter !== "function" ? this.#sure : this.#view;
    entryId(commands.xpending, id);
    const [entry] = await this.#list(view, commands.xclaim, this.#stream, group, consumer, 0, id);
    if (entry === undefined) return [];
    if (entry !== null && !isDead) return [[...entry, Number(deliveries) + 1] as Consumed<Text>];
    if (entry !== null && typeof deadLetter === "function") await deadLetter([...entry, Number(deliveries)] as any);
    else if (entry !== null) await this.#send(this.#sure, commands.xadd, deadLetter, "*", entry[1]);
    await this.#acknowledge(id);
    return [];
  }

  async #create(): Promise<void> {
    const { group, create } = this.#options;
    if (create === "$") this.#from = await this.#position();
    await this.#send(this.#view, commands.xgroupCreate, this.#stream, group, this.#from, { MKSTREAM: true })
      .catch(ifRefused("BUSYGROUP", () => void (this.#failures = 0)));
    this.#stage = "pending";
  }

  /** Id after which a group for new entries starts: the stream's last or, if the group is created again, our last. */
  async #position(): Promise<unknown> {
    const from = this.#from;
    const [row, ...range] = from === undefined ? [commands.xrevrange, "+", "-"] as const
      : [commands.xrange, "-", from] as const;
    const [found] = await this.#list(this.#view, row, this.#stream, ...range, { COUNT: 1 });
    if (found !== undefined) understood(row, () => entryId(row, found[0]));
    if (from === undefined) return found?.[0] ?? "0";
    return found === undefined || String(found[0]) === String(from) ? "0" : from; // no older entry: the stream is new
  }

  /** Sends XACK until the server answers; a second one does no harm. */
  async #acknowledge(id: unknown): Promise<void> {
    for (;;) {
      try {
        return await this.#send(this.#sure, commands.xack, this.#stream, this.#options.group, id);
      } catch (error) {
        if (this.#isEnded) throw error;
        await this.#recover(error);
      }
    }
  }

  /** Rests; then goes on after a failure that will pass, and throws any other, and the first. */
  async #recover(error: unknown): Promise<[]> {
    if (this.#isEnded) return [];
    const isMissing = this.#options.create !== undefined && error instanceof ReplyError && error.code === "NOGROUP";
    const canReturn = error instanceof ConnectionError && error.code !== "CLOSED" && this.#reconnects();
    const mayPass = isMissing || ((canReturn || isPassing(error)) && this.#failures !== undefined);
    const failures = mayPass ? this.#failures ?? 0 : 0;
    // Also before it throws: a loop around it must not spin. A group that is missing at first is created at once.
    if (!isMissing || this.#failures !== undefined) await pause(restOf(failures), this.#stop.signal);
    if (!mayPass) throw error;
    this.#failures = failures + 1;
    if (isMissing) this.#stage = "creating";
    else if (this.#stage === "new") this.#stage = "pending";
    this.#mayBlock = false;
    return [];
  }

  async #list(view: View, row: Row, ...args: unknown[]): Promise<any[]> {
    const reply = await this.#send(view, row, ...args);
    return elementsIn(row, reply, (element) => element);
  }

  async #send(view: View, row: Row, ...args: unknown[]): Promise<any> {
    this.#router.check(row);
    const listed = this.#router.known(view);
    if (listed !== undefined) await listed;
    const [server, command] = understood(row, () => { // the arguments may come from earlier replies
      const [server, own] = single(this.#router, row, args);
      return [server, new Command(row, own, view)];
    });
    const reply = await server.dispatch(command);
    this.#failures = 0;
    return reply;
  }
}

/** Whether this refusal is temporary: the server was demoted, or is loading its data. */
const isPassing = (error: unknown): boolean => error instanceof ReplyError &&
  (error.code === "UNBLOCKED" || ["wait", "follow"].includes(refusalOf(error).primary ?? ""));

/** Resolves after the delay, or as soon as the signal is aborted. */
async function pause(delay: Milliseconds, signal: AbortSignal): Promise<void> {
  const sleeper = { name: "", fail: ignore };
  const aborted = new Promise<void>((resolve) => (sleeper.fail = resolve));
  follow(signal, sleeper);
  await settled([aborted], delay);
  unfollow(signal, sleeper);
}

/** Returns a callback for catch(): calls `instead` if the server refused with these words; rethrows other errors. */
const ifRefused = <T,>(words: string, instead: () => T) => (error: unknown): T => {
  if (error instanceof ReplyError && error.outcome !== "unknown" && error.raw.startsWith(words)) return instead();
  throw error;
};

// ==== 13. Publish and subscribe ====
//
// Messages that servers push go through a Feed: a listener connection to each server (a pool of one, separate from the
// handler's), a bounded buffer with an overflow policy, and an iterator or a callback. A new connection first repeats
// the commands of the lost one, and the Feed marks the gap in the stream, where messages may be missing. Only #arrange
// compares the channels wanted from each server with the commands sent to it. To listen to another kind of push, pass
// its command to Feed.open(), and a function that reads its pushes to the Feed.

/** A message; `pattern` is the one that matched, for psubscribe. */
export type Message<Text = string> = { channel: Text; message: Text; pattern: Text | undefined; gap?: undefined };
/** The subscription was interrupted for `gap` milliseconds: messages may be missing here. */
export type Gap = { channel?: undefined; message?: undefined; pattern?: undefined; gap: Milliseconds };
/** Called for each message and each gap; if it throws or rejects, the error becomes a process warning. */
export type Listener<Item> = (item: Item | Gap) => unknown;

const FEEDING = {
  /** Maximum number of unread items; 10,000 by default. */
  buffer: whole(1, 2 ** 30),
  /**
   * Policy for a full buffer. "pause", the default, stops reading from the socket: nothing is lost until the server's
   * own buffer is full and it closes the connection, which leaves a gap. "drop" drops the oldest item and counts it in
   * `dropped`. "fail" ends the iteration with the error TOO_SLOW.
   */
  overflow: oneOf("pause", "drop", "fail"),
  /**
   * Called with the new state, and the error that caused the change, if any; while "connecting", also when an attempt
   * fails with another code. Without it, an error that ends the feed of a listener becomes a process warning.
   */
  onState: functionOf<(state: FeedState, error: RedisError | undefined) => unknown>(),
};
/** Options of a subscription or of monitor(): its buffer, and a listener for its state. */
export type FeedOptions = Checked<typeof FEEDING>;

/** "listening": the servers have confirmed all channels. "connecting": messages may be missed. "ended": for good. */
export type FeedState = "connecting" | "listening" | "ended";

/** A server that a feed can listen to. */
type Source = { readonly address: Address; readonly config: Config; readonly learn?: Hooks["learn"] };

/** Listens to one server. */
class ListenerConnection {
  /** Commands sent to the server, by channel name. A new connection repeats all of them. */
  readonly sent = new Map<string, { readonly args: readonly Key[]; confirmed?: Promise<unknown> }>();
  pool!: Pool;
  /** Settles with the first connection; undefined once this has started sending the commands, or has failed. */
  opening: Promise<void> | undefined;
  connection: Connection | undefined;
  /** The time since which messages may have been missed, until the gap is marked. */
  missingSince: number | undefined;
  /** Whether its server has confirmed all commands of the current connection. */
  isListening = false;
}

/** Reads an item from a push; undefined if it contains none. */
type Read<Item> = (push: readonly unknown[], from: ListenerConnection) => Item | undefined;

/** Items that servers push, in order, for one reader: messages, or the commands that monitor() streams. */
export class Feed<Item> implements AsyncIterableIterator<Item | Gap, undefined> {
  /** Number of items dropped, with overflow "drop". */
  dropped = 0;
  /** The listener of each server. */
  readonly listeners = new Map<Source, ListenerConnection>();
  /** Channels that a server has ended, until they are confirmed again. */
  readonly missing = new Set<string>();
  /** Called when it ends. */
  onClose = ignore;
  readonly #read: Read<Item>;
  readonly #callback: Listener<Item> | undefined;
  readonly #buffer: number;
  readonly #overflow: FeedOptions["overflow"];
  readonly #onState: FeedOptions["onState"];
  #state: FeedState = "connecting";
  /** The error that caused this state. */
  #error: RedisError | undefined;
  #items = new Ring<Item | Gap>();
  /** Calls to next() that wait for an item. */
  readonly #readers = new Ring<(result: IteratorResult<Item | Gap, undefined> | Promise<never>) => void>();

  constructor(read: Read<Item>, options: FeedOptions, callback?: Listener<Item>) {
    const { buffer = 10_000, overflow = "pause", onState } = checkAll(options, FEEDING);
    this.#read = read;
    this.#callback = callback;
    this.#buffer = buffer;
    this.#overflow = overflow;
    this.#onState = onState;
  }

  /** The state, whose changes onState receives. */
  get state(): FeedState { return this.#state; }
  get ended(): boolean { return this.#state === "ended"; }
  /** The error because of which it is not listening, if there was one. */
  get error(): RedisError | undefined { return this.#error; }

  /** Listens to one more server, with commands of this kind. */
  open(server: Source, changes: Partial<PoolOptions>, kind: Subscribing | "monitor"): ListenerConnection {
    const listener = new ListenerConnection();
    const options = { ...server.config, ...changes, poolsize: 1 };
    listener.pool = new Pool(server.address, options, {
      carries: kind === "monitor" ? "monitor" : "messages",
      redirect: (_pool, _command, error) => {
        server.learn?.(error);
        return false;
      },
      prepare: async (connection) => {
        listener.opening = undefined;
        listener.connection = connection;
        await Promise.all([...listener.sent.values()].map((command) =>
          command.confirmed = connection.ask(commands[kind], ...command.args)));
        connection.isOfUse ||= listener.sent.size > 0;
        this.markGap(listener);
        listener.isListening = true;
        this.update();
      },
      pushed: (push) => {
        this.markGap(listener);
        const item = this.#read(push, listener);
        if (item !== undefined) this.#deliver(item);
      },
      lost: (error) => {
        if (this.listeners.get(server) !== listener) return; // it has no channels any more
        listener.opening = listener.connection = undefined;
        listener.isListening = false;
        listener.missingSince ??= world.now();
        if (options.reconnect) this.update(error);
        else this.close(error);
      },
    });
    this.listeners.set(server, listener);
    listener.opening = listener.pool.ready();
    listener.opening.catch(ignore); // whoever awaits it gets the error
    return listener;
  }

  /** Marks a gap before the next item, and before each one until the server has confirmed all commands. */
  markGap(listener: ListenerConnection): void {
    if (listener.missingSince === undefined) return;
    const gap = world.now() - listener.missingSince;
    listener.missingSince = listener.connection?.load === 0 ? undefined : listener.missingSince + gap;
    tell("subscription:gap", () => ({ ...listener.pool.info, gap: Math.ceil(gap) }));
    this.#deliver({ gap: Math.ceil(gap) });
  }

  async ready(): Promise<void> { await Promise.all(Array.from(this.listeners.values(), ({ pool }) => pool.ready())); }

  /** Resolves with the next item. At the end, resolves with `done`, or rejects with the error that ended the feed. */
  next(): Promise<IteratorResult<Item | Gap, undefined>> {
    if (this.#items.length > 0) {
      const isHalf = this.#items.length - 1 === this.#buffer >> 1;
      if (isHalf) for (const { connection } of this.listeners.values()) connection?.resume();
      return Promise.resolve({ value: this.#items.shift()!, done: false });
    }
    if (!this.ended) return new Promise((resolve) => this.#readers.push(resolve));
    if (this.#error !== undefined) return rejected(this.#error);
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Called when a loop exits early. */
  return(): Promise<IteratorResult<Item | Gap, undefined>> {
    this.#items = new Ring();
    this.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Ends the feed; items in the buffer can still be read. */
  close(error?: RedisError): void {
    if (this.ended) return;
    const wasListening = this.#state === "listening";
    this.#state = "ended";
    this.#error = error;
    for (const { pool } of this.listeners.values()) pool.destroy();
    this.onClose();
    while (this.#readers.length > 0) this.#readers.shift()!(this.next() as Promise<never>);
    if (this.#onState !== undefined) call(this.#onState, "ended", error);
    else if (this.#callback !== undefined && wasListening && error !== undefined) warn(error);
  }

  /** Recomputes the state; `error` is the cause of a change. */
  update(error?: RedisError): void {
    if (this.ended) return;
    const all = [...this.listeners.values()];
    const isListening = this.missing.size === 0 && all.length > 0 && all.every((listener) => listener.isListening);
    const state = isListening ? "listening" : "connecting";
    if (state === this.#state && (error === undefined || error.code === this.#error?.code)) return;
    this.#state = state;
    this.#error = error;
    if (this.#onState !== undefined) call(this.#onState, state, error);
  }

  /** State and counts of its connections. */
  stats(): NodeStats[] { return Array.from(this.listeners.values(), ({ pool }) => pool.stats("listener")); }

  /** One-line summary for people. */
  describe(): string {
    const pools = Array.from(this.listeners.values(), ({ pool }) => pool.describe());
    const why = this.#error === undefined ? "" : ` (${this.#error.code})`;
    return [`${this.#state}${why}, ${this.#items.length} unread, ${this.dropped} dropped`, ...pools].join("; ");
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string { return `Feed <${this.describe()}>`; }

  [Symbol.asyncIterator](): this { return this; }
  async [Symbol.asyncDispose](): Promise<void> { this.close(); }

  #deliver(item: Item | Gap): void {
    if (this.ended) return;
    if (this.#callback !== undefined) return call(this.#callback, item);
    const reader = this.#readers.shift();
    if (reader !== undefined) return reader({ value: item, done: false });
    this.#items.push(item);
    if (this.#items.length <= this.#buffer) return;
    if (this.#overflow === "fail") this.close(TOO_SLOW);
    else if (this.#overflow === "pause") for (const { connection } of this.listeners.values()) connection?.pause();
    else {
      const first = this.#items.shift() as Gap;
      // A gap at the front takes the next item's place: it stands for messages that `dropped` does not count.
      if (Object.hasOwn(first, "gap")) this.#items.replace(0, first);
      this.dropped++;
    }
  }
}

const TOO_SLOW = new ConnectionError("TOO_SLOW", "unknown", "more than `buffer` messages were waiting to be read");

function call<A extends unknown[]>(listener: (...args: A) => unknown, ...args: A): void {
  try {
    const result = listener(...args);
    if (result !== undefined) Promise.resolve(result).catch(warn);
  } catch (error) {
    warn(error);
  }
}

const warn = (error: unknown): void =>
  emitWarning(error instanceof Error || typeof error === "string" ? error : `a listener threw ${nameOf(error)}`);

type Listening<Text> =
  | [channels: Many<Key>[number], listener?: Listener<Message<Text>>, options?: FeedOptions]
  | [channels: Many<Key>[number], options?: FeedOptions];

/** A subscription to channels or patterns: for await (const { channel, message, gap } of it). */
export class Subscription<Text = string> implements AsyncIterable<Message<Text> | Gap> {
  readonly #kind: Subscribing;
  readonly #view: View;
  /** The servers that must be subscribed to a channel, by its name; throws if a placement function throws. */
  readonly #serversOf: (name: string) => readonly Source[];
  readonly #feed: Feed<Message<Text>>;
  /** The wanted channels, by name. */
  readonly #channels = new Map<string, Key>();
  /** Time at which a server last ended the subscription to a channel, by the channel's name. */
  readonly #endedAt = new Map<string, number>();
  /** Names of the channels that the next retry moves, and the times since when their messages may be missing. */
  readonly #retried = new Map<string, number>();

  constructor(
    view: View, kind: Subscribing, where: (channel: Key) => readonly Source[], channels: readonly Key[],
    options: FeedOptions, listener: Listener<Message<Text>> | undefined,
  ) {
    this.#kind = kind;
    this.#view = new View({ ...view, signal: undefined }); // it must not abort later commands
    this.#serversOf = (name) => this.#channels.has(name) ? where(this.#channels.get(name)!) : [];
    for (const channel of channels) this.#channels.set(channelName(channel), channel);
    this.#feed = new Feed((push, from) => this.#read(push, from), options, listener);
  }

  /** Resolves when all servers have confirmed all channels. */
  async ready(): Promise<void> { await Promise.all(Array.from(this.#channels.keys(), (name) => this.#arrange(name))); }
  /** Called when it ends. */
  set onClose(task: () => void) { this.#feed.onClose = task; }
  /** Number of messages dropped, with overflow "drop". */
  get dropped(): number { return this.#feed.dropped; }
  /** The state, whose changes onState receives. */
  get state(): FeedState { return this.#feed.state; }
  /** The error because of which it is not listening, if there was one. */
  get error(): RedisError | undefined { return this.#feed.error; }
  /** The channels, or patterns, that it is subscribed to. */
  get channels(): Key[] { return [...this.#channels.values()]; }

  /** Listens to more channels; resolves when the server has confirmed all of them. Rejects if it refused one. */
  async subscribe(...channels: Many<Key>): Promise<this> {
    const added = new Map(channelsIn(this.#kind, channels).map((channel) => [channelName(channel), channel]));
    const fresh = [...added.keys()].filter((name) => !this.#channels.has(name));
    for (const [name, channel] of added) this.#channels.set(name, channel);
    const refused = await this.#arrangeAll(added.keys());
    for (const name of fresh) if (refused.has(name)) this.#channels.delete(name);
    await this.#arrangeAll(refused.keys());
    for (const error of refused.values()) throw error;
    return this;
  }

  /** Stops listening to these channels; without any, to all. The subscription ends with its last one. */
  async unsubscribe(...channels: Many<Key>): Promise<void> {
    const { end } = LISTENING[this.#kind];
    const removed = (channels.length === 0 ? this.channels : channelsIn(end, channels)).map(channelName);
    for (const name of removed) {
      this.#channels.delete(name);
      this.#endedAt.delete(name);
      this.#feed.missing.delete(name);
    }
    if (this.#channels.size === 0) return this.close();
    await this.#arrangeAll(removed); // a refused channel was added again, or the subscription has ended
  }

  /** Moves these channels to their current servers and marks a gap; retries refused ones later. */
  async move(names: Iterable<string> = this.#channels.keys(), since = world.now()): Promise<void> {
    const moved = [...names];
    const refused = await this.#arrangeAll(moved, since);
    for (const name of moved) this.#feed.missing[refused.has(name) ? "add" : "delete"](name);
    this.#feed.update();
    if (refused.size > 0 && !this.#feed.ended) this.#moveLater([...refused.keys()], since);
  }

  /** Adds channels to the next retry. */
  #moveLater(names: readonly string[], since = world.now()): void {
    const isScheduled = this.#retried.size > 0;
    for (const name of names) this.#retried.set(name, Math.min(since, this.#retried.get(name) ?? since));
    if (isScheduled) return;
    world.after(REFUSED_REST * (1 + world.random()), () => {
      const [all, first] = [[...this.#retried.keys()], Math.min(...this.#retried.values())];
      this.#retried.clear();
      void this.move(all, first);
    }).unref();
  }

  /** State and counts of its connections. */
  stats(): NodeStats[] { return this.#feed.stats(); }
  /** Ends the subscription at once; messages in the buffer can still be read. */
  close(): void { this.#feed.close(); }
  [Symbol.asyncDispose](): Promise<void> { return this.#feed[Symbol.asyncDispose](); }
  [Symbol.asyncIterator](): AsyncIterator<Message<Text> | Gap, undefined> { return this.#feed; }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Subscription <${this.#channels.size} channels: ${this.#feed.describe()}>`;
  }

  /** Arranges each of these channels; resolves with the errors of those that failed, by name. */
  async #arrangeAll(names: Iterable<string>, since?: number): Promise<Map<string, unknown>> {
    const refused = new Map<string, unknown>();
    await Promise.all(Array.from(names, (name) =>
      this.#arrange(name, since).catch((error: unknown) => refused.set(name, error))));
    return refused;
  }

  /** Subscribes to a channel where it is wanted, then unsubscribes elsewhere. `since`: when it began to move. */
  async #arrange(name: string, since?: number): Promise<void> {
    if (this.#feed.ended) throw CLOSED.of(undefined, "not-sent");
    const servers = this.#serversOf(name);
    const begun = await Promise.allSettled(servers.map((server) => this.#begin(server, name, since)));
    const wanted = this.#serversOf(name);
    if (wanted.some((server) => !servers.includes(server))) return this.#arrange(name, since); // it has moved meanwhile
    const ended: Promise<unknown>[] = [];
    for (const [server, { sent, pool }] of this.#feed.listeners) {
      const old = wanted.includes(server) ? undefined : sent.get(name);
      if (old !== undefined) {
        const end = new Command(commands[LISTENING[this.#kind].end], old.args, this.#view);
        ended.push(pool.dispatch(end).catch(ignore)); // a new connection does not repeat it
        sent.delete(name);
      }
      if (sent.size === 0 && this.#feed.listeners.delete(server)) pool.destroy();
    }
    this.#feed.update();
    await Promise.all(ended);
    for (const [i, result] of begun.entries()) {
      if (result.status === "rejected" && wanted.includes(servers[i]!)) throw result.reason;
    }
  }

  /** Resolves when the server has confirmed the channel. Each has its own command, so that each is confirmed alone. */
  async #begin(server: Source, name: string, since?: number): Promise<void> {
    const listener = this.#feed.listeners.get(server)
      ?? this.#feed.open(server, { charset: this.#view.charset }, this.#kind);
    let command = listener.sent.get(name);
    if (command === undefined) {
      const args = [this.#channels.get(name)!];
      const confirmed = listener.opening ?? listener.pool.dispatch(new Command(commands[this.#kind], args, this.#view));
      listener.sent.set(name, command = { args, confirmed });
      listener.missingSince ??= since;
    }
    try {
      await command.confirmed;
      this.#feed.markGap(listener);
    } catch (error) {
      if (error instanceof ReplyError && listener.sent.get(name) === command) listener.sent.delete(name);
      throw error;
    }
  }

  /** [message, channel, text], [pmessage, pattern, channel, text], or [sunsubscribe, channel, count]. */
  #read(push: readonly unknown[], { sent }: ListenerConnection): Message<Text> | undefined {
    const kind = String(push[0]);
    const row = PUSHES.get(kind);
    if (kind === row?.end && row === LISTENING[this.#kind]) { // unasked, as when its slot moves
      const name = channelName(push[1] as Key);
      const names = sent.has(name) ? [name] : [...sent.keys()]; // decoded, a name that is not UTF-8 could be any
      const now = world.now();
      const isAgain = names.some((ended) => now - (this.#endedAt.get(ended) ?? -Infinity) < STABLE);
      for (const ended of names) {
        sent.delete(ended);
        this.#endedAt.set(ended, now);
        this.#feed.missing.add(ended);
      }
      this.#feed.update();
      if (isAgain) this.#moveLater(names);
      else void this.move(names);
    }
    const isFit = push.every((part) => typeof part === "string" || Buffer.isBuffer(part));
    if (row?.message !== kind || push.length !== row.parts || !isFit) return undefined;
    const pattern = row.parts === 4 ? push[1] as Text : undefined;
    return { channel: push[row.parts - 2] as Text, message: push[row.parts - 1] as Text, pattern };
  }
}

/** The channels in a call's lists, as the row says what these may be. */
const channelsIn = (method: Subscribing | typeof LISTENING[Subscribing]["end"], channels: readonly unknown[]): Word[] =>
  flatten(commands[method].name, channels, commands[method].form);
/** The bytes of a channel's name, one character each: decoded as UTF-8, different names could become equal. */
const channelName = (channel: Key): string => byteText(wordOf("a channel", channel));

/** A command that the server received: Unix time in seconds, database, the client's address, and the words. */
export type Monitored = { time: number; db: number; address: string; words: string[]; gap?: undefined };

/** Parses `1700000000.123456 [0 127.0.0.1:50000] "SET" "k" "a \"quoted\" value"`, with \x41 and ESCAPES. */
function readMonitored(line: string, charset: "utf-8" | "latin1"): Monitored | undefined {
  const from = line.indexOf(" [");
  const to = line.indexOf("] ", from);
  if (from < 0 || to < 0) return undefined;
  const [db = "", address = ""] = line.slice(from + 2, to).split(" ", 2);
  const words: string[] = [];
  let word = "";
  for (let at = to + 3; at < line.length; at++) {
    if (line[at] === '"') {
      words.push(Buffer.from(word, "latin1").toString(charset));
      word = "";
      at += 2; // skips a space and the next word's quote
    } else if (line[at] !== "\\") word += line[at];
    else if (line[++at] !== "x") word += ESCAPES[line[at]!] ?? line[at];
    else {
      word += String.fromCharCode(Number.parseInt(line.slice(at + 1, at + 3), 16));
      at += 2;
    }
  }
  return { time: Number(line.slice(0, from)), db: Number(db), address, words };
}

const ESCAPES: Readonly<Record<string, string>> = bare({ n: "\n", r: "\r", t: "\t", a: "\x07", b: "\b" });

// ==== 14. Sentinel ====
//
// Finds the master that Sentinels watch. All handlers with the same Sentinels share one set of connections to them. The
// driver asks all of them at once, and takes the answer with the highest config-epoch, so that an old master that comes
// back is not taken. Events only make the driver ask sooner. The server must say itself that it is the master before it
// gets a command; a replica leads to its master. While the master is lost, the driver asks ten times a second and
// watches the replica that is being promoted: it takes writes about half a second before the Sentinels name it. To
// react to one more event, add it to EVENTS. A list of Sentinels, or of other hosts, may be live: a LiveList calls the
// user's function, and gives each list to all its followers.

/** Number of warnings about a live list that are remembered, so that they are not repeated. */
const WARNINGS = 16;
const NOT_LIVE = "it must return an async iterable of lists; write async function* () { yield [...]; }";

/** A handler that follows a live list. `take` throws if a list is wrong, and the handler keeps the one before. */
type ListFollower = { readonly take: (hosts: unknown) => void; readonly failed: (error: RedisError) => void };
/**
 * `listed`: resolves when the first list has come, when the function has failed, or at stop(). `error`: why the last
 * list was not taken.
 */
type Following = {
  readonly listed: Promise<void>; readonly error: () => RedisError | undefined; readonly stop: () => void;
};

/** Lists of hosts from a function, which is called once for all its followers, and again when it ends or fails. */
class LiveList {
  /** The lists of the functions that are being followed. */
  static readonly #all = new Map<LiveHosts<unknown>, LiveList>();
  readonly #source: LiveHosts<unknown>;
  /** Each with the function that resolves its `listed`. */
  readonly #followers = new Map<ListFollower, () => void>();
  readonly #stop = new AbortController();
  #lists: AsyncIterator<readonly unknown[]> | undefined;
  /** The last list, as the only element; empty before the first list. */
  #last: [hosts?: unknown] = [];
  #error: RedisError | undefined;
  /** Texts of the warnings since the list changed. */
  readonly #told = new Set<string>();
  #doublings = 0;
  #rest: NodeJS.Timeout | undefined;

  constructor(source: LiveHosts<unknown>) {
    this.#source = source;
  }

  /** Gives the follower the last list, if any, and each later one; a list that is not live, once. */
  static follow(hosts: unknown, follower: ListFollower): Following {
    if (!isFunction(hosts)) {
      follower.take(hosts);
      return { listed: Promise.resolve(), error: () => undefined, stop: ignore };
    }
    const source = hosts as LiveHosts<unknown>;
    const list = LiveList.#all.get(source) ?? new LiveList(source);
    LiveList.#all.set(source, list);
    if (list.#followers.size === 0) void list.#read();
    const listed = new Promise<void>((resolve) => list.#followers.set(follower, resolve));
    if (list.#last.length > 0) list.#give(follower, list.#last[0]);
    else if (list.#error !== undefined) list.#fail(follower, list.#error);
    return { listed, error: () => list.#error, stop: () => list.#leave(follower) };
  }

  #leave(follower: ListFollower): void {
    this.#begun(follower);
    if (!this.#followers.delete(follower) || this.#followers.size > 0) return;
    LiveList.#all.delete(this.#source);
    world.cancel(this.#rest);
    this.#stop.abort();
    void (async () => this.#lists?.return?.())().catch(ignore); // not awaited: the function may ignore it
  }

  #begun(follower: ListFollower): void { this.#followers.get(follower)?.(); }

  async #read(): Promise<void> {
    const { signal } = this.#stop;
    const begun = world.now();
    try {
      await turn(); // so that all followers of this tick get the first list in the same way
      if (signal.aborted) return;
      const returned: Partial<AsyncIterable<readonly unknown[]>> = this.#source(signal);
      if (!isFunction(returned?.[Symbol.asyncIterator])) throw new ArgumentError(NOT_LIVE);
      const lists = this.#lists = returned[Symbol.asyncIterator]!();
      for (;;) {
        const { done, value } = await lists.next();
        if (done && this.#last.length === 0 && this.#error === undefined) throw new Error("it ended without a list");
        if (signal.aborted || done) break;
        this.#take(value);
        await turn(); // a function that never waits must not stop the process
      }
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : typeof cause === "string" ? cause : nameOf(cause);
      if (!signal.aborted) this.#tell(`the function failed: ${readable(why)}`, cause);
    }
    if (signal.aborted) return;
    if (world.now() - begun >= STABLE) this.#doublings = 0;
    this.#rest = world.after(restOf(this.#doublings++), () => void this.#read()).unref();
  }

  #take(hosts: unknown): void {
    const taken = [...this.#followers.keys()].map((follower) => this.#give(follower, hosts));
    if (!taken.includes(false)) this.#error = undefined;
    if (!taken.includes(true)) return;
    if (!areEqual(this.#last, [hosts])) this.#told.clear();
    this.#last = [hosts];
  }

  #give(follower: ListFollower, hosts: unknown): boolean {
    try {
      follower.take(hosts);
      this.#begun(follower);
      return true;
    } catch (cause) {
      this.#tell((cause as Error).message, cause);
      return false;
    }
  }

  #fail(follower: ListFollower, error: RedisError): void {
    follower.failed(error);
    this.#begun(follower);
  }

  /** Emits a process warning, unless one has said the same since the list changed. */
  #tell(why: string, cause: unknown): void {
    this.#error = new ConnectionError("BAD_LIST", "not-sent", `a list of hosts was not taken: ${why}`, { cause });
    if (this.#last.length === 0) for (const follower of this.#followers.keys()) this.#fail(follower, this.#error);
    if (this.#told.has(why)) return;
    if (this.#told.size === WARNINGS) this.#told.clear(); // each one differs
    this.#told.add(why);
    emitWarning(this.#error);
  }
}

/** Time limits for an answer: of a connected Sentinel, and of one that is connecting, if no other has answered. */
const ANSWER: Milliseconds = 300;
const FIRST_ANSWER: Milliseconds = 1_000;
/** Time limit for the first of a live list of Sentinels. */
const FIRST_LIST: Milliseconds = 10_000;
const NO_LIST = new ConnectionError("NO_SENTINEL", "not-sent", "no list of Sentinels has come");
/** Time for the others after the first answer: one of them may have a higher epoch. */
const OTHERS: Milliseconds = 50;
/** Intervals between questions: when all is well, during a failover, and when that has taken too long. */
const POLL: Milliseconds = 10_000;
const POLL_LOST: Milliseconds = 100;
const POLL_LONG: Milliseconds = 500;
/** Minimum time between two questions that events cause. */
const NEWS: Milliseconds = 50;
/** Time for which an answer also serves those who ask for the same master. */
const FRESH: Milliseconds = 50;
/** Interval between questions to a replica that is being promoted. */
const PROBE: Milliseconds = 25;
/** Time for which most Sentinels must name an older epoch: after a failover, only one may know the new one at first. */
const AGREEMENT: Milliseconds = 5_000;
/** Usual maximum duration of a failover, after down-after-milliseconds. */
const FAILOVER: Milliseconds = 10_000;
/** Tolerance for the uptime of a server, which is in whole seconds. */
const SLACK_OF_UPTIME: Milliseconds = 2_000;
const MOST_SENTINELS = 64;
/** Maximum number of replicas that are taken from Sentinels, or from a primary's INFO. */
const MOST_REPLICAS = 64;
/** Maximum number of entries that are read of a Sentinel's list of replicas or Sentinels. */
const MOST_LISTED = 1_000;
const MOST_PROBES = 4;
/** Number of unanswered questions after which a Sentinel is forgotten, unless another lists it. */
const MOST_MISSES = 3;
/** Limits of a connection to a Sentinel, which sends less than a server. */
const OF_LINK = { poolsize: 1, connectTimeout: 2_000, replyTimeout: ANSWER, maxElements: 2 ** 17, maxReply: 2 ** 24 };
const QUESTION = new View({ replyTimeout: ANSWER, charset: "utf-8" });
const FIRST_QUESTION = new View({ replyTimeout: FIRST_ANSWER, charset: "utf-8" });
const EVENTS = ["+switch-master", "+promoted-slave", "+selected-slave", "-role-change", "+odown", "-odown", "+sdown",
  "-sdown", "+slave", "+sentinel", "+reset-master"];
/** Flags of a replica that is down, is being promoted, or is being attached to another master. */
const UNFIT = ["s_down", "o_down", "disconnected", "master_down", "promoted", "reconf_sent", "reconf_inprog"];
/** Events that name the replica to be promoted; not -role-change, which an old master that comes back causes, too. */
const PROMOTIONS = ["+selected-slave", "+promoted-slave"];

/** The fields of a server or a Sentinel, as a Sentinel reports them; none if the reply is of another kind. */
const stateIn = (reply: unknown): Partial<Fields> => bare(Object.fromEntries(
  Object.entries(isPlain(reply) ? reply : NO_ENTRIES).filter(([, value]) => typeof value === "string"))) as Fields;
const statesIn = (reply: unknown): readonly Partial<Fields>[] | undefined =>
  Array.isArray(reply) ? reply.slice(0, MOST_LISTED).map(stateIn) : undefined;

/** Whether a server or a Sentinel has one of these flags: "master,s_down,o_down". */
const isIn = ({ flags = "" }: Partial<Fields>, ...wanted: string[]): boolean =>
  flags.split(",").some((flag) => wanted.includes(flag));
const isSame = (a: Location | undefined, b: Location | undefined): boolean =>
  a?.host === b?.host && a?.port === b?.port;

/** Answer of one Sentinel about a master: its address, or an error. */
type Answer = Awaited<ReturnType<SentinelLink["ask"]>>;

/** `tls`: the option of the servers, which the Sentinels of a live list take over. */
type SentinelOptions = Required<Pick<Config, "sentinels">> & Partial<Pick<Config, "tls" | "unref">> & LearningOptions;

/** A connection to one Sentinel, for questions and events. */
class SentinelLink {
  readonly config: Config;
  readonly pool: Pool;
  /** The id by which other Sentinels list it. */
  id = "";
  /** Number of questions since its last answer. */
  misses = 0;
  #hasBeenUp = false;
  /** Time from which a question makes it dial again, although its pool may rest for longer. */
  #restsUntil = Infinity;

  /** Calls `hear` with each event, and with none when events may have been missed. */
  constructor(
    config: Config, hear: (event?: string, words?: readonly string[]) => void, secrets: () => string[],
  ) {
    this.config = config;
    this.pool = new Pool(bare<Address>({
      name: addressOf(config),
      next: () => config,
      greeting: [[commands.sentinelMyid]],
      verify: ({ replies: { hello, greeting: [id] } }) => {
        if ((hello?.["mode"] ?? "sentinel") !== "sentinel") throw new Error("it is not a Sentinel");
        if (typeof id === "string") this.id = id;
      },
    }), { ...config, ...OF_LINK }, {
      secrets,
      prepare: async (connection) => {
        this.#restsUntil = Infinity;
        if (this.#hasBeenUp) hear();
        this.#hasBeenUp = true;
        // Not awaited, because it may be refused. With RESP2, a connection that listens could not ask.
        if (connection.replies.hello === undefined) return;
        for (const event of EVENTS) connection.ask(commands.subscribe, event).catch(ignore);
      },
      pushed: ([, event, text]) => hear(String(event), String(text).split(" ")),
      lost: ({ code }) => void (this.#restsUntil = world.now() + (code === "REFUSED" ? REFUSED_REST : POLL_LOST)),
    });
  }

  /** Asks for a master, in one write. The answer has an error if the Sentinel is silent, or does not know the name. */
  async ask(name: string) {
    if (world.now() > this.#restsUntil) {
      this.#restsUntil = Infinity;
      this.pool.renew();
    }
    const view = this.pool.isUp ? QUESTION : FIRST_QUESTION;
    const put = (row: Row, failed: (error: Error) => unknown): Promise<any> =>
      this.pool.dispatch(new Command(row, [name], view)).catch(failed);
    const [address, state, sentinels, replicas] = await Promise.all([
      put(commands.sentinelGetMasterAddrByName, (error) => error),
      put(commands.sentinelMaster, ignore).then(stateIn), // its user may not be allowed to ask for this
      put(commands.sentinelSentinels, ignore).then(statesIn),
      put(commands.sentinelReplicas, ignore).then(statesIn),
    ]);
    this.misses = address instanceof ConnectionError ? this.misses + 1 : 0;
    const from: SentinelLink = this;
    const answer = { from, state, epoch: Number(state["config-epoch"]) || 0, sentinels, replicas };
    try {
      return { ...answer, location: this.#locationIn(address), error: undefined };
    } catch (error) {
      return { ...answer, location: undefined, error: error as Error };
    }
  }

  #locationIn(address: any): Location {
    if (address instanceof Error) throw address;
    if (address === null) throw new Error("it does not know this name");
    const location = learned(this.config, address[0], address[1]);
    if (location === undefined) throw new Error("it says no address");
    if (!isAllowed(this.config, location)) throw new Error(`allowNode refuses ${hostOf(location)}`);
    return location;
  }
}

/** Sentinels that some handlers share: those of the option, until a new list lacks them, and those that they list. */
class Sentinels {
  static readonly #all: Sentinels[] = [];
  readonly #config: SentinelOptions;
  #seeds: readonly SentinelLink[] = [];
  /** Sentinels that others list, by id. */
  readonly #learned = new Map<string, SentinelLink>();
  readonly #masters = new Map<string, WatchedMaster>();
  readonly #following: Following;

  private constructor(config: SentinelOptions) {
    this.#config = config;
    const { sentinels, tls } = config;
    this.#following = LiveList.follow(sentinels, {
      take: (hosts) => this.#take(isFunction(sentinels) ? readSentinelHosts(hosts, tls) : hosts as Config[]),
      failed: ignore,
    });
  }

  /** Replaces all Sentinels, learned ones too; keeps the connections to those that are in the new list. */
  #take(hosts: readonly Config[]): void {
    const former = this.#links;
    const { addressMap, allowNode, unref = false } = this.#config;
    this.#learned.clear();
    this.#seeds = hosts.map((host) => {
      const config = { ...host, addressMap, allowNode, unref };
      return former.find((link) => areEqual(link.config, config)) ?? this.#link(config);
    });
    for (const link of former) if (!this.#seeds.includes(link)) link.pool.destroy();
    for (const master of this.#masters.values()) master.hear();
  }

  learned(host: unknown, port: unknown): Location | undefined {
    try {
      const location = learned(this.#config, host, port);
      return location !== undefined && isAllowed(this.#config, location) ? location : undefined;
    } catch {
      return undefined; // addressMap has thrown, or gave no address
    }
  }

  /** Finds the Sentinels of these options, if they are in use; all handlers with the same `config` share them. */
  static #find({ sentinels, tls, addressMap, allowNode, unref }: Config): [SentinelOptions, Sentinels | undefined] {
    const config = { sentinels: sentinels!, tls: isFunction(sentinels) ? tls : false, addressMap, allowNode, unref };
    return [config, Sentinels.#all.find((other) => areEqual(other.#config, config))];
  }

  /** Names the Sentinels, for people: those that are in use, or those of the option. */
  static describe(options: Config): string {
    const [{ sentinels }, known] = Sentinels.#find(options);
    const links = known?.links.map(({ config }) => config) ?? [];
    const hosts = links.length === 0 && Array.isArray(sentinels) ? sentinels as readonly Config[] : links;
    return hosts.map(addressOf).join(", ") || "a live list";
  }

  /** Returns the master that these options name. */
  static master(options: Config): WatchedMaster {
    const name = options.master!;
    const [config, known] = Sentinels.#find(options);
    const all = known ?? new Sentinels(config);
    if (known === undefined) Sentinels.#all.push(all);
    const master = all.#masters.get(name) ?? new WatchedMaster(name, all);
    all.#masters.set(name, master);
    return master;
  }

  /** Forgets a master that nobody uses. With the last one, all connections are closed. */
  forget(master: WatchedMaster): void {
    this.#masters.delete(master.name);
    if (this.#masters.size > 0) return;
    Sentinels.#all.splice(Sentinels.#all.indexOf(this), 1);
    this.#following.stop();
    for (const { pool } of this.#links) pool.destroy();
  }

  get #links(): SentinelLink[] { return [...this.#seeds, ...this.#learned.values()]; }

  /** The Sentinels to ask, each once: others often list a seed, too, by another name. */
  get links(): SentinelLink[] {
    const ids = this.#seeds.map(({ id }) => id);
    return [...this.#seeds, ...[...this.#learned].flatMap(([id, link]) => ids.includes(id) ? [] : link)];
  }

  /** Asks all Sentinels for a master at once; resolves soon after the first one has named an address. */
  async ask(name: string): Promise<readonly Answer[]> {
    if (this.#seeds.length === 0) await settled([this.#following.listed], FIRST_LIST);
    const seeds = this.#seeds;
    if (seeds.length === 0) throw this.#following.error() ?? NO_LIST.of(undefined, "not-sent");
    const answers: Answer[] = [];
    let hear = ignore;
    const first = new Promise<void>((resolve) => (hear = resolve));
    const asked = this.links.map(async (link, at) => {
      answers[at] = await link.ask(name);
      if (answers[at].location !== undefined) hear();
    });
    await Promise.race([first, Promise.all(asked)]);
    await settled(asked, OTHERS);
    const links = this.#links;
    const all = answers.filter(({ from }) => links.includes(from)); // others were replaced by a new list
    if (all.length === 0 && seeds !== this.#seeds) return this.ask(name);
    if (this.#masters.size > 0) this.#learn(all);
    return all;
  }

  #link(config: Config): SentinelLink {
    return new SentinelLink(config, (event, words = []) => {
      const all = [...this.#masters.values()];
      for (const master of all) if (event === undefined || isAbout(words, master)) master.hear(event, words);
    }, () => {
      const servers = [...this.#masters.values()].flatMap(({ users }) => [...users.values()]);
      return [...servers, ...this.#links.map((link) => link.config)].flatMap((each) => passwordOf(each) ?? []);
    });
  }

  /** Adds the Sentinels that others list, at their new addresses; drops those that neither answer nor are listed. */
  #learn(answers: readonly Answer[]): void {
    const listed = new Map<string, Config>();
    for (const { from, sentinels = [] } of answers) {
      for (const state of sentinels) {
        const { ip, port, runid } = state;
        const location = isIn(state, "s_down", "disconnected") ? undefined : this.learned(ip, port);
        if (location === undefined || !runid) continue;
        const config = { ...from.config, ...location, path: undefined };
        if (mayFollow(from.config, config)) listed.set(runid, config);
      }
    }
    for (const [id, link] of this.#learned) {
      const now = listed.get(id);
      const isGone = now === undefined ? link.misses >= MOST_MISSES : !isSame(now, link.config);
      if (!isGone && !this.#seeds.some((seed) => seed.id === id)) continue;
      this.#learned.delete(id);
      link.pool.destroy();
    }
    for (const [id, config] of listed) {
      const isSeed = this.#seeds.some((seed) => seed.id === id || isSame(seed.config, config));
      if (isSeed || this.#learned.has(id) || this.#learned.size >= MOST_SENTINELS) continue;
      this.#learned.set(id, this.#link(config));
      for (const master of this.#masters.values()) master.hear(); // it may know better
    }
  }
}

/** Whether an event concerns a master: <type> <name> <ip> <port> @ <master> ..., or <master> ... for +switch-master. */
const isAbout = (words: readonly string[], { name }: WatchedMaster): boolean =>
  words.includes("@") ? words[words.indexOf("@") + 1] === name : words[0] === name || words[1] === name;

/** One master as a set of Sentinels knows it, for all pools that connect to it. */
class WatchedMaster {
  readonly name: string;
  readonly #sentinels: Sentinels;
  /** Its users, pools and callers that only ask, with the options of their servers. */
  readonly users = new Map<object, Config>();
  /** The highest epoch so far, and the address that came with it. */
  #epoch = 0;
  /** Time since which most Sentinels name an older epoch. */
  #olderSince = Infinity;
  #said: Location | undefined;
  /** The master, if not at that address: a promoted replica, or one to which a replica led; until a newer answer. */
  #instead: Location | undefined;
  #replicas: readonly Partial<Fields>[] = [];
  /** State of the master, as the Sentinels see it. */
  #state: Partial<Fields> = NO_ENTRIES;
  #isDown = false;
  /** Time at which the last connection was lost. */
  #lostAt = Infinity;
  /** Time since which it is lost, or reported down. */
  #urgentSince = Infinity;
  /** Times of the last question, of the last answer, and of the last one that may serve others. */
  #askedAt = -Infinity;
  #answeredAt = -Infinity;
  #freshAt = -Infinity;
  #asking: Promise<void> | undefined;
  /** Whether an event has arrived since the last question. */
  #hasNews = false;
  #timer: NodeJS.Timeout | undefined;
  /** Changes of the address that the Sentinels name: a hostile one might name another each time. */
  readonly #moves = new Allowance(3);
  /** Connections to replicas that are being promoted; one that has failed keeps its place until a time. */
  readonly #probes = new Map<string, { readonly connection: Connection; until: number }>();

  constructor(name: string, sentinels: Sentinels) {
    this.name = name;
    this.#sentinels = sentinels;
  }

  leave(user: object): void {
    if (!this.users.delete(user) || this.users.size > 0) return;
    world.cancel(this.#timer);
    for (const { connection } of this.#probes.values()) connection.close(CLOSED);
    this.#sentinels.forget(this);
  }

  get #downAfter(): Milliseconds { return Number(this.#state["down-after-milliseconds"]) || 0; }
  get location(): Location | undefined { return this.#instead ?? this.#said; }
  get #pools(): Pool[] { return [...this.users.keys()].filter((user) => user instanceof Pool); }

  /** Whether a failover is under way, or about to begin: the master is lost, and a replica can take its place. */
  get expected(): boolean {
    const now = world.now();
    const isSoon = now < this.#lostAt + this.#downAfter + FAILOVER || isIn(this.#state, "failover_in_progress");
    const isKnown = this.#said !== undefined && now < this.#answeredAt + 10 * ANSWER;
    return isKnown && this.#lostAt < Infinity && isSoon &&
      this.#replicas.some((replica) => !isIn(replica, "s_down", "o_down") && replica["slave-priority"] !== "0");
  }

  /** The replicas that Sentinels list. `mustBeUp`: only those that they consider up and attached to this master. */
  async replicas(mustBeUp: boolean): Promise<readonly Location[]> {
    if (this.#answeredAt === -Infinity) await this.ask();
    return this.#replicas.flatMap((state) => {
      const isUnfit = mustBeUp && (isIn(state, ...UNFIT) || state["role-reported"] === "master");
      const location = isUnfit ? undefined : this.#sentinels.learned(state["ip"], state["port"]);
      return location === undefined || isSame(location, this.location) ? [] : location;
    });
  }

  /** Asks for the address, unless it has just become known. */
  locate(): Location | Promise<Location> {
    const { location } = this;
    if (location !== undefined && world.now() < this.#freshAt + FRESH) return location;
    return this.ask().then(() => this.location!);
  }

  /** Asks the Sentinels; rejects if none answers, or none knows the master. */
  ask(): Promise<void> {
    return this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
      this.#arm(this.#hasNews ? NEWS : undefined);
    });
  }

  async #ask(): Promise<void> {
    this.#hasNews = false;
    this.#askedAt = world.now();
    const answers = await this.#sentinels.ask(this.name);
    const told = answers.filter(({ location }) => location !== undefined).sort((a, b) => b.epoch - a.epoch);
    const isLike = (a: Answer) => (b: Answer): boolean => a.epoch === b.epoch && isSame(a.location, b.location);
    // With equal epochs, the known address holds. A lower epoch holds if most keep naming it: they were set up anew.
    const [first] = told;
    const best = told.find((answer) => answer.epoch === first!.epoch && isSame(answer.location, this.#said)) ?? first;
    const isOlder = best !== undefined && best.epoch < this.#epoch;
    const isAgreed = isOlder && told.filter(isLike(best)).length * 2 > this.#sentinels.links.length;
    this.#olderSince = isAgreed ? Math.min(this.#olderSince, world.now()) : Infinity;
    const isUnsure = isOlder && world.now() - this.#olderSince < AGREEMENT;
    if (best === undefined || isUnsure || isOlder !== isAgreed) throw this.#unknown(answers);
    const before = this.location;
    if (before !== undefined && !isSame(best.location, this.#said) && !this.#moves.take()) return;
    if (best.epoch !== this.#epoch || !isSame(best.location, this.#said)) this.#instead = undefined;
    this.#epoch = best.epoch;
    this.#said = best.location;
    this.#state = best.state;
    this.#replicas = best.replicas ?? this.#replicas;
    this.#isDown = told.some(({ state }) => isIn(state, "o_down"));
    this.#answeredAt = this.#freshAt = world.now();
    if (before !== undefined && !isSame(before, this.location)) this.#moved();
    for (const { replicas = [] } of told) {
      const promoted = replicas.filter((state) => isIn(state, "promoted"));
      for (const { ip, port } of promoted) void this.#watch(ip, port).catch(ignore);
    }
  }

  /** Returns the error if no answer has a valid address; its cause lists what each Sentinel said. */
  #unknown(answers: readonly Answer[]): ConnectionError {
    const errors = answers.map(({ from, error, location, epoch }) => {
      const why = error === undefined ? `it says ${hostOf(location!)}, of epoch ${epoch} before ${this.#epoch}`
        : error instanceof RedisError && error.cause instanceof Error ? error.cause.message : error.message;
      return new Error(`Sentinel ${from.pool.address.name}: ${why}`, { cause: error });
    });
    const isSilent = answers.every(({ error }) => error instanceof ConnectionError);
    // The last address is kept: open connections must leave it when the Sentinels know the name again.
    if (!isSilent && answers.every(({ location }) => location === undefined)) this.#replicas = [];
    const said = errors.slice(0, 3).map(({ message }) => message).join("; ");
    const cause = new AggregateError(errors, said);
    const name = readable(this.name, MOST_NAMED);
    return isSilent ? new ConnectionError("NO_SENTINEL", "not-sent", `no Sentinel answers: ${said}`, { cause })
      : new ConnectionError("NO_MASTER", "not-sent", `no Sentinel knows the master ${name}: ${said}`, { cause });
  }

  /** Schedules the next question: soon, and with jitter, while the master is lost or reported down. */
  #arm(delay?: Milliseconds): void {
    world.cancel(this.#timer);
    if (this.#pools.length === 0) return;
    const isUrgent = this.#lostAt < Infinity || isIn(this.#state, "s_down", "o_down", "failover_in_progress");
    this.#urgentSince = isUrgent ? Math.min(this.#urgentSince, world.now()) : Infinity;
    const isLong = world.now() > this.#urgentSince + this.#downAfter + FAILOVER;
    const usual = (isLong ? POLL_LONG : isUrgent ? POLL_LOST : POLL) * (0.5 + world.random());
    this.#timer = world.after(delay ?? usual, () => void this.ask().catch(ignore)).unref();
  }

  /** Asks soon because of an event; called without one if events may have been missed. */
  hear(event?: string, words: readonly string[] = []): void {
    if (this.#asking !== undefined) this.#hasNews = true;
    else if (world.now() < this.#askedAt + NEWS) this.#arm(NEWS);
    else void this.ask().catch(ignore);
    if (PROMOTIONS.includes(event!) && words[0] === "slave") void this.#watch(words[2], words[3]).catch(ignore);
  }

  /** Moves all pools to the new master; they leave the old one at once. */
  #moved(): void {
    this.#freshAt = world.now();
    for (const pool of this.#pools) pool.renew(true);
  }

  /** Called when an attempt to connect has failed, or a connection was lost. */
  ended(endpoint: Location, error: RedisError): void {
    if (!isSame(endpoint, this.location) || error.code === "CLOSED") return;
    this.#freshAt = -Infinity;
    const up = this.#pools.filter((pool) => pool.isConnected); // it lives if they are connected to it
    const isWrong = error.code === "WRONG_SERVER" && this.#instead !== undefined;
    const isGone = error.code !== "CONNECTION_LOST" && up.length === 0;
    if (isWrong || isGone) this.#instead = undefined;
    for (const pool of error === DEMOTED ? this.#pools : isWrong ? up : []) pool.renew(true);
    if (up.length > 0 || this.#lostAt < Infinity) return;
    this.#lostAt = world.now();
    if (this.#asking === undefined) this.#arm();
  }

  /** Throws unless the server says that it is a master; follows a replica to its master, once. */
  async verify(connection: Connection, endpoint: Location): Promise<void> {
    const [role, host, port, link] = await roleOf(connection);
    if (role === "master") {
      if (!isSame(endpoint, this.location)) throw new Error("the master has moved meanwhile");
      if (this.#isForeign(connection, endpoint)) throw new Error("the Sentinels know another server at this address");
      this.#lostAt = Infinity;
      return;
    }
    const isReplica = role === "slave";
    const isLinked = isReplica && (link === "connected" || link === "sync");
    const master = isLinked && isSame(endpoint, this.#said) ? this.#sentinels.learned(host, port) : undefined;
    if (master !== undefined && !isSame(master, endpoint)) {
      this.#instead = master;
      this.#moved();
    }
    throw new Error(isReplica ? "its role is slave" : role === "sentinel" ? "it is a Sentinel" : "it is not a master");
  }

  /**
   * Whether this is not the server that the Sentinels have seen at this address: it has another run id, and was started
   * before they last looked. If it was started later, it may be the master after a restart.
   */
  #isForeign({ replies }: Connection, endpoint: Location): boolean {
    const { runid, ip, port, "info-refresh": seen = "" } = this.#state;
    const info = fieldsOfInfo(replies.greeting[0]);
    const [id = runid, uptime] = [info.get("run_id"), info.get("uptime_in_seconds")];
    const isSeen = Boolean(runid && seen) && [this.#said, this.#sentinels.learned(ip, port)].every((at) =>
      isSame(at, endpoint));
    const age = Number(seen) + world.now() - this.#answeredAt + SLACK_OF_UPTIME;
    return isSeen && id !== runid && Number(uptime) * 1_000 > age;
  }

  /** Watches a replica that a Sentinel has named in a failover; dials again when the promotion closes connections. */
  async #watch(host: unknown, port: unknown): Promise<void> {
    const [pool] = this.#pools;
    const location = this.#sentinels.learned(host, port);
    if (pool === undefined || location === undefined || isSame(location, this.location)) return;
    const config = this.users.get(pool)!;
    const endpoint = { ...config, ...location };
    const name = hostOf(location);
    for (const [other, { until }] of this.#probes) if (until <= world.now()) this.#probes.delete(other);
    if (this.#probes.has(name) || this.#probes.size >= MOST_PROBES) return;
    const end = world.now() + FAILOVER;
    for (let pause = PROBE; world.now() < end && this.users.size > 0; pause = Math.min(2 * pause, PATIENCE)) {
      const connection = Connection.alone(endpoint, config, fixedAddress(endpoint));
      this.#probes.set(name, { connection, until: Infinity });
      const timer = world.after(end - world.now(), () => connection.close(CLOSED)).unref();
      const isOver = await this.#probe(connection, location).catch(({ code }) => code !== "CONNECTION_LOST");
      world.cancel(timer);
      connection.close(CLOSED);
      if (isOver) break;
      await rest(pause);
    }
    this.#probes.get(name)!.until = world.now() + (isSame(location, this.location) ? 0 : LONGEST_REST);
  }

  /** Takes the replica as the master when it says so, and the old one is down or cannot be reached. */
  async #probe(connection: Connection, location: Location): Promise<boolean> {
    for (await connection.opened; !isSame(location, this.location); await rest(PROBE)) {
      const [role] = await askRole(connection);
      if (role !== "master" || (!this.#isDown && this.#pools.some((pool) => pool.isUp))) continue;
      this.#instead = location;
      this.#moved();
    }
    return true;
  }
}

/** Returns the role of a server, as ROLE states it; for a master, HELLO's reply is enough. */
async function roleOf(connection: Connection): Promise<readonly unknown[]> {
  const { hello } = connection.replies;
  const isMaster = understood(commands.hello, () => {
    const fields: [unknown, unknown][] = Array.isArray(hello) ? hello : Object.entries(hello ?? {}); // pairs of bytes
    return String(fields.find(([name]) => String(name) === "role")?.[1]) === "master";
  });
  return isMaster ? ["master"] : askRole(connection);
}

/** Maximum length of INFO, in characters. */
const MOST_INFO = 1_048_576;

/** The fields of INFO; none if the reply is of another kind. */
function fieldsOfInfo(info: unknown): Map<string, string> {
  const text = typeof info === "string" || Buffer.isBuffer(info) ? info.slice(0, MOST_INFO).toString() : "";
  return new Map(text.split("\r\n").map((line) => cut(line, ":")));
}

/** Asks for the role with ROLE or, if the user may not run that, with INFO. */
async function askRole(connection: Connection): Promise<readonly unknown[]> {
  try {
    const reply = await connection.ask(commands.role) as unknown[];
    return understood(commands.role, () => {
      const [role, host, port, link] = reply;
      return [role, host, port, link].map(String);
    });
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    const info = fieldsOfInfo(await connection.ask(commands.info, "replication"));
    const link = info.get("master_link_status") === "up" ? "connected" : "connect";
    return [info.get("role"), info.get("master_host"), info.get("master_port"), link];
  }
}

/** The address of a master that Sentinels watch. */
class SentinelMaster implements Address {
  readonly greeting = [[commands.info, "server"]] as const;
  readonly config: Config;
  #master: WatchedMaster | undefined;

  constructor(config: Config) { this.config = config; }

  get name(): string {
    const location = this.#master?.location;
    return location === undefined ? this.config.master! : `${this.config.master} at ${hostOf(location)}`;
  }

  next(): Endpoint | Promise<Endpoint> {
    const endpointAt = (location: Location): Endpoint => ({ ...this.config, ...location });
    const location = this.#master!.locate();
    return location instanceof Promise ? location.then(endpointAt) : endpointAt(location);
  }

  verify(by: Connection, endpoint: Endpoint): Promise<void> { return this.#master!.verify(by, endpoint); }
  ended(endpoint: Endpoint, error: RedisError): void { this.#master!.ended(endpoint, error); }
  get expected(): boolean { return this.#master!.expected; }

  retain(pool: Pool): void {
    this.#master = Sentinels.master(this.config);
    this.#master.users.set(pool, this.config);
  }

  release(pool: Pool): void { this.#master!.leave(pool); }

  async replicas(): Promise<readonly Config[]> {
    const locations = await this.#master!.replicas(false).catch(() => []); // the Server finds out which are fit
    return locations.slice(0, MOST_REPLICAS).map((location) => replicaOf(this.config, location));
  }
}

// ==== 15. Near cache ====
//
// Keeps replies in memory while the server vouches for them, for views with option cache. One connection beside the
// pool carries the loads and the pushes of the server, which tracks the keys that are read there: both come in one
// order. An entry exists from the call that loads it. Whatever drops it before its reply has come makes sure that the
// reply goes to its callers and is not kept: a push for one of its keys, a flush, the loss of a connection, and each
// write of this handler, when it is written and again when it is answered. To change which commands it takes, change
// the trait `volatile` of their rows; to change what drops entries, look for the calls of #drop and #clear.
//
//     loading -> kept -> dropped     dropped while it is loading: its callers still get the reply

/** Counts of a handler's near cache, for all its servers; `off`: the reason why one of them keeps nothing now. */
export type CacheStats = {
  hits: number; misses: number; entries: number; bytes: number; evictions: number; invalidations: number;
  off: string | undefined;
};

/** Longest time for which a caller waits for another caller's load before it sends its own command. */
const LATE: Milliseconds = 1_000;
/** Maximum number of keys of a call whose reply is kept: each costs the server a PTTL. */
const MOST_CACHED_KEYS = 100;
/** Hits between two looks at the clock, and the time after which they let the event loop turn. */
const HITS = 16;
const LONGEST_TICK: Milliseconds = 10;
/** Memory of an entry without its words and its reply, and of each of its keys, in bytes. */
const ENTRY_SIZE = 400;
const KEY_SIZE = 400;

class CachedReply {
  /** The call and the form of its reply. */
  readonly id: string;
  /** The bytes of its keys, as text. */
  readonly keys: readonly string[];
  /** Time at which its load was sent: the reply is at least as new. */
  readonly sentAt: number;
  /** `maxStale` of the view that loads it. */
  readonly maxStale: Milliseconds;
  state: "loading" | "kept" | "dropped" = "loading";
  /** The commands that wait for the load. */
  waiting: Command[];
  /** In the shape of its row. Callers get copies. */
  reply: unknown;
  /** Time at which the first of its keys expires. */
  until = Infinity;
  size = 0;
  /** Number of entries that had been used when it was last moved to the end of the list. */
  turn = 0;
  /** Called when it is dropped. */
  watchers: (() => void)[] | undefined;

  constructor(id: string, keys: readonly string[], sentAt: number, first: Command) {
    this.id = id;
    this.keys = keys;
    this.sentAt = sentAt;
    this.maxStale = first.view.near!.maxStale;
    this.waiting = [first];
    first.view.near!.watch?.(this);
  }

  drop(): void {
    this.state = "dropped";
    for (const changed of this.watchers ?? []) changed();
  }
}

/** Whether the reply to this command may be kept: it depends on keys that the server tracks, and on nothing else. */
function isKept({ row: { kind, keys, is }, words, special }: Command): boolean {
  if (kind !== "read" || keys === none || is.volatile || is.cursor || special !== ORDINARY) return false;
  return !(is.patterns && hasPattern(words)) && !(is.unlisted && keys === one); // call() may not know its keys
}

class NearCache {
  static readonly #endTick = (cache: NearCache): void => void (cache.#calls = 0);
  readonly #pool: Pool;
  readonly #config: Config;
  readonly #isClustered: boolean;
  /** The tracked connection; undefined if the server cannot have one, and after the end. */
  #link: Pool | undefined;
  /** Why nothing is kept until the server is another one. */
  #off: string | undefined;
  /** `moves` of the pool when the tracked connection was opened. */
  #moves = 0;
  /** The entries by their ids, the least recently used first; and by their keys. */
  readonly #entries = new Map<string, CachedReply>();
  readonly #byKey = new Map<string, Set<CachedReply>>();
  readonly #loads = new Set<CachedReply>();
  /** Time at which the last answered command was sent on the tracked connection: pushes up to then have arrived. */
  #vouchedAt = -Infinity;
  /** Whether a load has waited for LATE, so that others do not begin. */
  #isLate = false;
  /** Whether it was used since the last PING, and the time between two of them. */
  #isUsed = false;
  #interval = Infinity;
  #nextPing: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #turns = 0;
  /** Number of calls in this tick, and the time when last read. */
  #calls = 0;
  #tickAt = 0;
  #now = 0;
  /** The tracers, if somebody listened when the time was last read. */
  #heard: Tracers | undefined;
  #deferred: Command[] = [];
  #bytes = 0;
  readonly #counts = { hits: 0, misses: 0, evictions: 0, invalidations: 0 };

  /** `off`: why this server has no near cache. */
  constructor(pool: Pool, config: Config, isClustered: boolean, off?: string) {
    const { proxy, protocol } = config;
    this.#pool = pool;
    this.#config = config;
    this.#isClustered = isClustered;
    this.#off = off ?? (proxy !== undefined ? `${proxy} does not pass CLIENT TRACKING`
      : protocol === 2 ? "option protocol is 2, and invalidations need RESP3" : undefined);
    if (this.#off !== undefined) return;
    pool.watchWrites((command) => this.wrote(command));
    this.#open();
  }

  get stats(): CacheStats {
    const why = this.#link?.lastError?.message ?? "it is opening";
    const off = this.#off ?? (this.#link!.isUp ? undefined : `the tracked connection is not open: ${why}`);
    return { ...this.#counts, entries: this.#entries.size, bytes: this.#bytes, off };
  }

  /** Answers a command from memory, or has it wait for a load; false if the server does not track keys. */
  take(command: Command): boolean {
    if (this.#moves !== this.#pool.moves) this.#restart();
    if (this.#off !== undefined) return false;
    const isTickLong = this.#calls++ % HITS === 0 && this.#isTickLong();
    if ((isTickLong || this.#heard !== undefined) && command.deadline === Infinity) this.#begin(command);
    if (isTickLong) return this.#defer(command);
    const { ttl, maxStale, form, watch } = command.view.near!;
    const now = this.#now;
    const id = idOf(command, form);
    const entry = this.#entries.get(id);
    const isHit = entry?.state === "kept" && now < entry.until && now - entry.sentAt < ttl &&
      now - this.#vouchedAt <= maxStale;
    if (!isHit) return this.#miss(command, id, entry);
    this.#counts.hits++;
    this.#isUsed = true;
    watch?.(entry);
    const about = this.#heard && traced.get(command);
    if (about !== undefined) about.cached = true;
    if (this.#turns - entry.turn > this.#entries.size >> 1) this.#touch(entry);
    command.resolve(copyFor(entry.reply, command.view));
    return true;
  }

  // ---- Loads ----

  #miss(command: Command, id: string, entry: CachedReply | undefined): true {
    const { row, words, view: { near } } = command;
    const { ttl, maxStale } = near!;
    const now = this.#now;
    this.#counts.misses++;
    this.#isUsed = true;
    this.#interval = Math.min(this.#interval, maxStale / 3);
    const age = entry?.state === "loading" ? now - entry.sentAt : Infinity;
    if (entry !== undefined && age < ttl && age <= maxStale && !this.#isLate) {
      if (entry.waiting.length < this.#config.maxPending) entry.waiting.push(command);
      else overload(command);
      near!.watch?.(entry);
    } else {
      const keys = row.positions(words).map((at) => words[at]!);
      const mayLoad = !this.#isLate && this.#link!.isUp && keys.length > 0 && keys.length <= MOST_CACHED_KEYS;
      if (!mayLoad) {
        void this.#pool.dispatch(command);
        return true;
      }
      this.#drop(entry);
      this.#load(command, id, keys);
    }
    if (command.deadline === Infinity) this.#begin(command);
    return true;
  }

  #begin(command: Command): void { beginCall(command, this.#now, this.#heard, this.#pool); }

  /** Asks for the times to live of the keys first: a change after that is a push, which drops the entry. */
  #load(command: Command, id: string, keys: Words): void {
    const { row, words, view: { charset, maps } } = command;
    const batch = new Batch();
    for (const key of keys) batch.add(commands.pttl, [key]);
    batch.add(row, words);
    const texts = keys.map((key) => byteText(typeof key === "number" ? String(key) : key));
    const entry = new CachedReply(id, texts, this.#now, command);
    this.#entries.set(id, entry);
    entry.turn = ++this.#turns;
    for (const text of texts) {
      const entries = this.#byKey.get(text) ?? new Set();
      this.#byKey.set(text, entries.add(entry));
    }
    this.#loads.add(entry);
    if (this.#watch === undefined) this.#watchLoads();
    if (this.#nextPing === undefined) this.#beat();
    const sent = sendBatch(this.#link!, batch, PIPELINE, this.#viewOf(charset, maps));
    void sent.then(({ replies }) => this.#loaded(entry, replies));
  }

  #viewOf(charset: Charset, maps?: Maps): View {
    return new View({ replyTimeout: this.#config.replyTimeout, charset, maps });
  }

  /** If the load has failed, its callers send their own commands; an error of the command itself is everybody's. */
  #loaded(entry: CachedReply, replies: unknown[]): void {
    const reply = replies.pop();
    const { waiting } = entry;
    this.#loads.delete(entry);
    const isFailure = (it: unknown): boolean =>
      it instanceof RedisError && (!isReplyError(it) || refusalOf(it).passes === true);
    const refused = replies.find((ttl) => ttl instanceof RedisError);
    if (refused !== undefined && !isFailure(refused)) this.#refuse((refused as RedisError).message);
    if (isFailure(reply)) {
      this.#drop(entry);
      return this.#send(waiting);
    }
    this.#vouch(entry.sentAt);
    if (refused !== undefined || reply instanceof RedisError) this.#drop(entry);
    else if (entry.state === "loading") this.#keep(entry, reply, replies as number[]);
    entry.waiting = [];
    for (const command of waiting) {
      if (reply instanceof RedisError) command.answer(reply);
      else command.resolve(copyFor(reply, command.view));
    }
  }

  /** Sends commands as if there were no cache. */
  #send(waiting: readonly Command[]): void {
    for (const command of waiting) {
      if (command.state === "settled") continue;
      if (command.deadline < Infinity) command.within = Infinity; // it has had less than its whole time
      void this.#pool.dispatch(command);
    }
  }

  /** Takes commands from loads that take long: the connection of the load may be dead. */
  #expire(): void {
    const now = world.now();
    for (const entry of this.#loads) {
      const { waiting, sentAt } = entry;
      entry.waiting = [];
      this.#isLate ||= now >= sentAt + LATE;
      for (const command of waiting) {
        // A caller that has waited elsewhere before may be due earlier than the load.
        const until = Math.min(sentAt + LATE, sentAt + command.timeout / 2, command.deadline);
        if (now < until) entry.waiting.push(command);
        else {
          this.#drop(entry); // the reply from the pool may be newer
          this.#send([command]);
        }
      }
    }
    this.#watch = undefined;
    if (this.#loads.size > 0) this.#watchLoads();
  }

  #watchLoads(): void { afterSilence(2 * COARSE, () => this.#expire(), (timer) => void (this.#watch = timer)); }

  // ---- Entries ----

  /** In a cluster, nobody says that a missing key has been created on the node to which its slot has moved. */
  #keep(entry: CachedReply, reply: unknown, ttls: readonly number[]): void {
    const { id, keys, sentAt, maxStale } = entry;
    const { cacheBytes } = this.#config;
    const words = keys.reduce((sum, key) => sum + KEY_SIZE + key.length, ENTRY_SIZE + id.length);
    const lives = ttls.map((ttl) => ttl >= 0 ? Number(ttl) : ttl === -2 && this.#isClustered ? maxStale : Infinity);
    entry.until = sentAt + Math.min(...lives);
    entry.reply = reply;
    entry.size = words + sizeOfReply(reply);
    entry.state = "kept";
    this.#bytes += entry.size;
    if (entry.size > cacheBytes) return this.#drop(entry);
    for (const oldest of this.#entries.values()) {
      if (this.#bytes <= cacheBytes) return;
      if (oldest.state !== "kept") continue;
      this.#counts.evictions++;
      this.#drop(oldest);
    }
  }

  /** Moves an entry to the end of the list; called only if it is in the older half, because that takes time. */
  #touch(entry: CachedReply): void {
    entry.turn = ++this.#turns;
    this.#entries.delete(entry.id);
    this.#entries.set(entry.id, entry);
  }

  #drop(entry: CachedReply | undefined): void {
    if (entry === undefined || entry.state === "dropped") return;
    entry.drop();
    this.#bytes -= entry.size;
    this.#entries.delete(entry.id);
    for (const key of entry.keys) {
      const entries = this.#byKey.get(key);
      if (entries?.delete(entry) && entries.size === 0) this.#byKey.delete(key);
    }
  }

  #clear(): void {
    this.#counts.invalidations += this.#entries.size;
    for (const entry of this.#entries.values()) entry.drop();
    this.#entries.clear();
    this.#byKey.clear();
    this.#bytes = 0;
  }

  /** Drops the entries of a key; `key`: its bytes, as text. */
  #changed(key: string): void {
    for (const entry of this.#byKey.get(key) ?? []) {
      this.#counts.invalidations++;
      this.#drop(entry);
    }
  }

  /** Drops the entries of keys that have gone to another server. */
  forget(isGone: (key: Buffer) => boolean): void {
    for (const key of this.#byKey.keys()) if (isGone(Buffer.from(key, "latin1"))) this.#changed(key);
  }

  /** Drops what a command of this handler may have changed: everything, if it does not name its keys. */
  wrote({ row, words, special: { batch, exec } }: Command): void {
    if (this.#entries.size === 0) return;
    if (batch !== undefined) for (const [i, each] of batch.rows.entries()) this.#changedBy(each, batch.words[i]!);
    else if (exec !== undefined) for (const queued of exec.commands) this.#changedBy(queued.row, queued.words);
    else this.#changedBy(row, words);
  }

  #changedBy(row: Row, words: Words): void {
    if (!changesData(row)) return;
    const isKnown = !row.is.unlisted || row.keys !== one; // by default, call() takes the first argument for the key
    const positions = isKnown ? row.positions(words) : [];
    if (positions.length === 0) this.#clear();
    for (const at of positions) this.#changed(byteText(wordOf("a key", words[at])));
  }

  // ---- The tracked connection ----

  #open(): void {
    this.#moves = this.#pool.moves;
    this.#link = new Pool(this.#pool.address, { ...this.#config, poolsize: 1 }, {
      carries: "both",
      prepare: (connection) => this.#track(connection),
      pushed: (push) => this.#pushed(push),
      lost: () => this.#clear(),
      opened: () => {
        this.#isLate = false;
        if (this.#off !== undefined) this.#link?.destroy();
      },
    });
  }

  /** Has the server track the keys that are read on a connection, unless that would not be safe. */
  async #track(connection: Connection): Promise<void> {
    const version = String(connection.replies.hello?.["version"] ?? "");
    if (!(Number.parseInt(version) >= 7)) { // before, a push may be inside a reply
      const found = version === "" ? "the server has no HELLO" : `the server is ${readable(version, MOST_NAMED)}`;
      return this.#refuse(`${found}; invalidations need 7.0`);
    }
    await connection.ask(commands.clientTracking, "ON").catch((error: RedisError) => {
      if (!isReplyError(error) || refusalOf(error).handshake === "wait") throw error;
      this.#refuse(error.message);
    });
  }

  /** Keeps nothing until a connection of the pool has been lost or moved: then the server may be another one. */
  #refuse(why: string): void {
    this.#off = why;
    this.#clear();
    if (this.#link?.isUp) this.#link.destroy();
  }

  /** Begins again, because the commands of the pool may go to another server now. */
  #restart(): void {
    if (this.#link === undefined) return;
    this.#link.destroy();
    this.#clear();
    this.#off = undefined;
    this.#open();
  }

  #pushed([kind, keys]: readonly unknown[]): void {
    if (String(kind) !== "invalidate") return;
    if (!Array.isArray(keys)) return this.#clear();
    for (const key of keys) this.#changed(byteText(wordOf("a key", key)));
  }

  #vouch(at: number): void {
    this.#vouchedAt = Math.max(this.#vouchedAt, at);
    this.#isLate = false;
  }

  /** Sends PING, while the cache is in use: no hit may be older than the last answer by more than maxStale. */
  #beat(): void {
    this.#nextPing = undefined;
    if (!this.#isUsed || this.#link!.isUp === false) return;
    const at = world.now();
    this.#isUsed = false;
    this.#link!.dispatch(new Command(commands.ping, [], this.#viewOf("utf-8"))).then(() => this.#vouch(at), ignore);
    this.#nextPing = world.after(this.#interval, () => this.#beat()).unref();
  }

  async end(timeout: Milliseconds): Promise<void> {
    const link = this.#link;
    this.#off ??= CLOSED.message;
    this.#link = undefined; // so that no deferred command opens another
    this.#clear();
    world.cancel(this.#nextPing); // not the watch: callers of loads keep their deadlines
    await link?.close(timeout);
  }

  describe(): string {
    const { hits, misses, entries, bytes, off } = this.stats;
    return `near cache: ${off === undefined ? "" : `off (${off}), `}${entries} entries, ${bytes} bytes, ` +
      `${hits} hits, ${misses} misses`;
  }

  // ---- Time ----

  /** Reads the clock. Whether this tick has taken so long that no push has been read for a while. */
  #isTickLong(): boolean {
    const now = this.#now = world.now();
    this.#heard = heard(tracersOf(this.#config));
    if (this.#calls === 1) {
      this.#tickAt = now;
      world.endOfTick(NearCache.#endTick, this);
    }
    const isLong = now - this.#tickAt > LONGEST_TICK;
    if (isLong) this.#calls--; // the next call looks again
    return isLong;
  }

  /** Takes a command in the next turn of the event loop, so that a loop that waits for a change sees the change. */
  #defer(command: Command): true {
    const isFirst = this.#deferred.push(command) === 1;
    if (isFirst) {
      void turn().then(() => this.#deferred.splice(0).forEach((each) => {
        if (each.state !== "settled" && !this.take(each)) this.#send([each]);
      }));
    }
    return true;
  }
}

/** Identifies a call, and the form of its reply. */
function idOf({ row, words }: Command, form: string): string {
  const [first] = words;
  if (words.length === 1 && typeof first === "string") return `${row.method} ${form} ${first}`; // most calls
  let id = `${row.method}\n${form}`;
  for (const word of words) {
    const text = typeof word === "object" ? word.toString("latin1") : String(word);
    id += typeof word === "object" ? ` b${text.length} ${text}` : ` ${text.length} ${text}`;
  }
  return id;
}

/** A reply for one caller, who may change it. */
function copyFor(reply: unknown, { convertNumbers }: View): unknown {
  const own = typeof reply === "object" ? copyOf(reply) : reply;
  return convertNumbers ? withNumbers(own) : own;
}

function copyOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(copyOf);
  if (!isPlain(value)) return value; // an error inside a reply
  const copy = Object.create(null) as Record<string, unknown>;
  for (const name of Object.keys(value)) copy[name] = copyOf(value[name]);
  return copy;
}

/** Estimates the memory of a reply in bytes; text beyond ASCII takes at most as many as in UTF-8. */
function sizeOfReply(value: unknown): number {
  if (typeof value === "string") return 24 + Buffer.byteLength(value);
  if (Buffer.isBuffer(value)) return 100 + value.length;
  if (typeof value !== "object" || value === null) return 16;
  const isArray = Array.isArray(value);
  const parts = isArray ? value : Object.entries(value);
  return parts.reduce((sum, part) => sum + 8 + sizeOfReply(part), isArray ? 32 : 64);
}

// ---- Serializers ----

/**
 * Turns values into what is stored, and back. `encode` returns one argument of a command; `decode` gets text, as UTF-8,
 * or a Buffer if the handler's charset is null. Errors that they throw reject the call.
 */
export type Serializer<T, Text = string> = {
  readonly encode: (value: T) => Arg;
  readonly decode: (stored: Text) => T;
};

/** Stores text, numbers and bytes as commands send them, and returns text as the handler does. Since 0.1.0. */
export const plain = {
  encode: (value: any): Arg => value,
  decode: <Text,>(stored: Text): Text => stored,
};

/** Stores values as JSON. Since 0.1.0. */
export const json: Serializer<any, string | Buffer> = {
  encode: (value) => JSON.stringify(value),
  decode: (stored) => {
    try {
      return JSON.parse(String(stored));
    } catch {
      throw new SyntaxError("it is not JSON"); // the engine's error would show some of it
    }
  },
};

/** A serializer could not decode a value. A method that removes values has removed it: `raw` has it. */
export class DecodeError extends RedisError {
  readonly #raw: unknown;

  constructor(raw: unknown, cause: unknown) {
    super("NOT_DECODED", "executed", "the serializer cannot decode a stored value", { cause });
    this.#raw = raw;
  }

  /** The value as it was stored: text, or a Buffer. A getter, so that a log of the error does not show it. */
  get raw(): unknown { return this.#raw; }
  override of(): this { return this; }
  static { named(this, "DecodeError"); }
}

const isSerializer = (value: unknown): boolean =>
  ["encode", "decode"].every((name) => isFunction((value as Record<string, unknown> | null)?.[name]));
const SERIALIZER = must("an object with the functions encode and decode", isSerializer);

function encodedBy<T>(serializer: Serializer<T, any>, value: T, name: string): Word {
  let encoded: Arg;
  try {
    encoded = serializer.encode(value);
    if (encoded as unknown instanceof Promise) (encoded as any).catch(ignore); // refused below
  } catch (cause) {
    throw new ArgumentError(`the serializer cannot encode ${name}`, undefined, { cause });
  }
  return wordOf(name, encoded);
}

function decodedBy<T>(serializer: Serializer<T, any>, stored: unknown): T {
  try {
    return serializer.decode(stored);
  } catch (cause) {
    throw new DecodeError(stored, cause);
  }
}

/** Decodes bytes according to the view's options. */
function worded(reply: unknown, { charset, convertNumbers }: View): unknown {
  const text = Buffer.isBuffer(reply) && charset !== null ? reply.toString(charset) : reply;
  return convertNumbers ? withNumbers(text) : text;
}

// ---- One loader ----
//
// A value stands under its key as the serializer encodes it. A second key, its mark, says more: FRESH_MARK while a
// value is not old, if there is `stale`; NONE_MARK; or the token of the caller that is loading, which may store its
// value only while the token is there. The others read the mark on the tracked connection, and wait until that reply
// is dropped.

/** Options of remember(). */
export type RememberOptions = {
  /** Time for which a value is stored, in milliseconds. */
  ttl: Milliseconds;
  /** Time after that for which callers get the old value, while one loads a new one; none by default. */
  stale?: Milliseconds | undefined;
  /** 0 to 1: up to this part of `ttl` is left out at random, so that values do not expire together; 0 by default. */
  jitter?: number | undefined;
  /** Time for which it is stored that `load` has returned undefined or null; 0: not at all. By default, `ttl`. */
  nothing?: Milliseconds | undefined;
  /** Time after which another caller loads, because the one that loads may be dead; 10,000 by default. */
  lockTimeout?: Milliseconds | undefined;
  /** Time limit of a call, its own load included; twice `lockTimeout` by default. */
  timeout?: Milliseconds | undefined;
};
type Loading<T> = () => T | undefined | null | Promise<T | undefined | null>;
/** Type of stored values, as the serializers of a handler get them. */
type SerializedIn<Text> = TextIn<Text> extends Buffer ? Buffer : string;
type Remembering = RememberOptions & { readonly serializer?: Serializer<any, any> | undefined };
/** Options of remember(), completed, and its function. */
type Terms = { readonly [N in keyof Remembering]-?: NonNullable<Remembering[N]> } & { readonly load: Loading<unknown> };

const LIFE = whole(0, 2 ** 50);
const REMEMBERING: Record<keyof Remembering, Check<unknown>> = {
  ttl: whole(1, 2 ** 50), stale: LIFE, nothing: LIFE, lockTimeout: whole(1, 2 ** 31 - 1), timeout: duration,
  jitter: must("a number from 0 to 1", (part) => typeof part === "number" && part >= 0 && part <= 1),
  serializer: SERIALIZER,
};
const LOCK_TIMEOUT: Milliseconds = 10_000;
/** Longest pause between two looks at a mark that the server does not track, or whose changes lead to no value. */
const LONGEST_POLL: Milliseconds = 250;
const QUICK_CHANGES = 8; // before such a pause
const FRESH_MARK = "=";
const NONE_MARK = "-";

/** Puts a token in the mark if there is nothing to return; returns value and mark. ARGV[3]: whether values get old. */
const CLAIM = script(`local value, mark = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if mark == '${FRESH_MARK}' and not value then mark = false end
if not mark and (not value or ARGV[3] == '1') then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  mark = ARGV[1]
end
return {value, mark}`, { keys: 2 });
/** Stores a mark and a value, or nothing, or after a failure only removes the token. Does nothing without the token. */
const STORE = script(`local token, mark, time, value, life = unpack(ARGV)
if redis.call('GET', KEYS[2]) ~= token then return 0 end
if value then redis.call('SET', KEYS[1], value, 'PX', life) elseif mark then redis.call('DEL', KEYS[1]) end
if mark and time ~= '0' then redis.call('SET', KEYS[2], mark, 'PX', time) else redis.call('DEL', KEYS[2]) end
return 1`, { keys: 2 });

/** Sends all commands to the server of one key. */
class AtServer extends Commander {
  readonly #server: Target;

  constructor(server: Target, view: View) {
    super(view);
    this.#server = server;
  }

  protected give(row: Row, args: readonly unknown[]): unknown { return send(this.#server, row, args, this.view); }
}

/** Where a value and its mark are. */
type Spotted = { readonly server: Target; readonly key: Word; readonly mark: Word };
type Stored = Buffer | null;
type Found = readonly [value: Stored, mark: Stored];

async function spotOf(router: ClientRouter, given: Key, view: View): Promise<Spotted> {
  await router.known(view);
  router.check(commands.evalsha);
  const [server, [key]] = single(router, commands.get, [wordOf("the key", given)]);
  const text = byteText(key as Word);
  const mark = tagOf(text) === text ? `remember:{${text}}` : `remember:${text}`; // both have one hash tag
  return { server, key: key as Word, mark: Buffer.from(mark, "latin1") };
}

/** Reads the reply to CLAIM. */
function foundIn(reply: unknown): Found {
  const [value, mark, ...others] = elementsIn<unknown>(commands.evalsha, reply, (element) => element);
  const isStored = (it: unknown): it is Stored => it === null || Buffer.isBuffer(it);
  if (!isStored(value) || !isStored(mark) || others.length > 0) throw badReply(commands.evalsha);
  return [value, mark];
}

/** Whether a value, or nothing, is known, and not old. */
const isKnown = ([value, mark]: Found, stale: Milliseconds): boolean =>
  value === null ? String(mark) === NONE_MARK : stale === 0 || String(mark) === FRESH_MARK;

/** The loads of this process that have not ended, by key, of each handler. */
const LOADS = new WeakMap<Fleet<any>, Map<string, Load>>();

function loadsOf({ fleet }: ClientRouter): Map<string, Load> {
  const loads = LOADS.get(fleet) ?? new Map<string, Load>();
  LOADS.set(fleet, loads);
  return loads;
}

const noValue = (timeout: Milliseconds): TimeoutError =>
  new TimeoutError("REPLY_TIMEOUT", "unknown", `remember() has no value within ${timeout} ms`);

/** Waits until an entry is dropped, or its key expires, which the server may notice later. */
const untilDropped = (entry: CachedReply): Promise<void> => new Promise((resolve) => {
  const timer = world.after(Math.max(1, entry.until - world.now()), resolve);
  (entry.watchers ??= []).push(() => {
    world.cancel(timer);
    resolve();
  });
});

/** One load in this process, for all callers of the key; it goes on when they have left. */
class Load {
  readonly #spot: Spotted;
  readonly #terms: Terms;
  readonly #token = builtin("node:crypto").randomUUID();
  readonly #on: AtServer;
  /** For the caller whose function loads: rejects if that fails. */
  readonly own: Promise<Stored>;
  /** For the others: undefined if it has failed, or takes too long; then they begin again. */
  readonly shared: Promise<Stored | undefined>;
  #leave!: (value: undefined) => void;

  constructor(spot: Spotted, terms: Terms, end: (ended: Load) => void) {
    const view = new View({ replyTimeout: terms.lockTimeout, charset: null, idempotent: true });
    this.#spot = spot;
    this.#terms = terms;
    this.#on = new AtServer(spot.server, view);
    this.own = this.#find();
    const left = new Promise<undefined>((resolve) => void (this.#leave = resolve));
    this.shared = Promise.race([this.own.catch(() => undefined), left]);
    void this.shared.then(() => end(this));
  }

  async #find(): Promise<Stored> {
    const { key, mark } = this.#spot;
    const { lockTimeout, stale, timeout } = this.#terms;
    const end = world.now() + timeout; // its caller has left, and the others begin again
    for (let changes = 0; world.now() < end; changes++) {
      if (changes >= QUICK_CHANGES) await rest(LONGEST_POLL * world.random()); // the server may have invented them
      const found = foundIn(await CLAIM(this.#on, key, mark, this.#token, lockTimeout, stale > 0 ? 1 : 0));
      if (String(found[1]) === this.#token) return this.#fill();
      if (isKnown(found, stale)) return found[0];
      await this.#change(String(found[1]));
    }
    throw noValue(timeout);
  }

  /** Waits until the mark has changed, or may have expired. */
  async #change(token: string): Promise<void> {
    const { server, mark } = this.#spot;
    const view = new View({ replyTimeout: this.#terms.lockTimeout, charset: null, cache: Infinity });
    let entry: CachedReply | undefined;
    view.near!.watch = (it) => void (entry = it);
    for (let pause = 1;; pause = Math.min(2 * pause, LONGEST_POLL)) {
      if (String(await send(server, commands.get, [mark], view)) !== token) return;
      if (entry?.state === "kept") return untilDropped(entry);
      await rest(pause * (1 + world.random()) / 2); // the server does not track the mark, or not yet
    }
  }

  async #fill(): Promise<Stored> {
    const { key, mark } = this.#spot;
    const { ttl, stale, jitter, nothing, lockTimeout, serializer, load } = this.#terms;
    const timer = world.after(lockTimeout, () => this.#leave(undefined));
    const store = (...args: Arg[]): Promise<unknown> =>
      STORE(this.#on, key, mark, this.#token, ...args).catch(ignore); // then the token expires
    const lasting = (time: Milliseconds): Milliseconds => Math.ceil(time * (1 - jitter * world.random()));
    try {
      const value = await load();
      if (value === undefined || value === null) {
        await store(NONE_MARK, lasting(nothing));
        return null;
      }
      const word = encodedBy(serializer, value, "what load() has returned");
      const bytes = Buffer.from(typeof word === "object" ? word : String(word)); // a copy
      const life = Math.max(1, lasting(ttl));
      await store(FRESH_MARK, stale > 0 ? life : 0, bytes, life + stale);
      return bytes;
    } catch (error) {
      await store();
      throw error;
    } finally {
      world.cancel(timer);
    }
  }
}

function termsOf(options: Remembering, load: Loading<unknown>): Terms {
  const { ttl, stale = 0, jitter = 0, nothing = ttl, lockTimeout = LOCK_TIMEOUT, timeout = 2 * lockTimeout,
    serializer = plain } = checkAll(options, REMEMBERING);
  checked("ttl", ttl, REMEMBERING.ttl);
  if (typeof load !== "function") throw new ArgumentError("remember() needs a function that loads the value");
  return { ttl, stale, jitter, nothing, lockTimeout, timeout, serializer, load };
}

async function remembered(
  router: ClientRouter, given: Key, options: Remembering, load: Loading<unknown>, view: View,
): Promise<unknown> {
  const terms = termsOf(options, load);
  const { stale, timeout, serializer } = terms;
  const end = world.now() + timeout;
  const decoded = (bytes: Stored): unknown => bytes === null ? undefined : decodedBy(serializer,
    serializer === plain ? worded(bytes, view) : view.charset === null ? bytes : bytes.toString());
  for (;;) {
    const spot = await spotOf(router, given, view);
    const { server, key, mark } = spot;
    const read = (name: Word): Promise<Stored> => send(server, commands.get, [name], view.inBytes) as Promise<Stored>;
    const [value, early] = await Promise.all([read(key), stale > 0 ? read(mark) : null]);
    const found: Found = [value, early ?? (value === null ? await read(mark) : null)];
    if (isKnown(found, stale)) return decoded(value);
    const loads = loadsOf(router);
    const id = byteText(key);
    const other = loads.get(id);
    const mayLoad = other === undefined && (value === null || found[1] === null); // else another process refreshes it
    const own = mayLoad ? new Load(spot, terms, (it) => loads.get(id) === it && loads.delete(id)) : undefined;
    if (own !== undefined) loads.set(id, own);
    if (value !== null) return decoded(value);
    const bytes = await beforeEnd<Stored | undefined>(own?.own ?? other!.shared, end, timeout, view);
    if (bytes !== undefined) return decoded(bytes && Buffer.from(bytes)); // of their own
  }
}

/** Waits for a load as long as one caller does. */
function beforeEnd<R>(result: Promise<R>, end: number, timeout: Milliseconds, { signal }: View): Promise<R> {
  let settle = ignore;
  return new Promise<R>((resolve, reject) => {
    const follower = { name: "GET", fail: reject };
    if (signal !== undefined) follow(signal, follower);
    const timer = world.after(Math.max(0, end - world.now()), () => reject(noValue(timeout)));
    settle = () => {
      world.cancel(timer);
      if (signal !== undefined) unfollow(signal, follower);
    };
    result.then(resolve, reject);
  }).finally(() => settle());
}

async function forgotten(router: ClientRouter, given: Key, view: View): Promise<void> {
  const { server, key, mark } = await spotOf(router, given, view);
  loadsOf(router).delete(byteText(key));
  await send(server, commands.del, [key, mark], view);
}

// ==== 16. Servers and fleets ====
//
// A Server holds one data set: the pool of its primary and, if readFrom needs them, those of its replicas. Every second
// it asks the primary for its replicas, and each replica for its offset. A read goes to a fit replica, a different one
// each tick, or to the primary if none is fit. A Fleet manages the life cycle of a handler's servers; a Client is the
// base class of handlers. To change which replicas are fit, change #judge.

type Replica = {
  readonly pool: Pool;
  fit: boolean;
  /** Time at which it last had all the data of its primary. */
  current: number;
  /** Its replication offset at the last check. */
  offset: number;
};
/** A primary's replication offset at some time. `id`: its replication id, without which offsets do not compare. */
type Progress = { readonly at: number; readonly offset: number; readonly id: string | undefined };

/** Interval between checks of the replicas. */
const LOOK: Milliseconds = 1_000;

/** The address that these options describe: fixed, or the one of a master that Sentinels watch. */
const addressFor = (config: Config): Address =>
  config.sentinels === undefined ? fixedAddress(config) : new SentinelMaster(config);

const ONE_OF_SEVERAL = "the server is one of several, and the others may have newer data";
const ONLY_READS = "this handler is for replicas, which only read; use masterFor()";

/** One data set, as a fleet and a handler use it; also the router of a handler with only this one. */
interface Origin extends ClientRouter, Target, Source {
  /** The server for commands that only one server can answer, such as those of one scan. */
  readonly pinned: Server;
  ready(): Promise<unknown>;
  /** State and counts of its connections. */
  stats(): NodeStats[];
  /** Ends blocking commands without losing an element that they have popped. */
  unblock(): void;
  /** The near caches of its servers that have been used. */
  readonly caches: readonly NearCache[];
  /** Lets pending commands finish until the timeout, then closes. May be called again with a shorter timeout. */
  end(timeout: Milliseconds, error?: RedisError): Promise<void>;
}

/** A primary and its replicas. */
class Server implements Origin {
  readonly address: Address;
  readonly config: Config;
  readonly primary: Pool;
  readonly only: Server = this;
  readonly pinned: Server = this;
  readonly #self: Named = { name: "", server: this };
  readonly fleet: Fleet = new Fleet([this.#self]);
  readonly #replicas = new Map<string, Replica>();
  /** Addresses in the primary's last INFO to which the driver may not connect. */
  #refused: readonly string[] = [];
  /** Pools of former replicas, until they have been drained. */
  readonly #leaving = new Set<Pool>();
  /** Pools of servers that are in option zone. */
  readonly #inZone = new WeakSet<Pool>();
  /** Settles when the replicas have been checked for the first time. */
  #looked: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #progress: Progress = { at: -Infinity, offset: Infinity, id: undefined };
  /** The pools that take this tick's reads. */
  #readers: Record<"replica" | "any", Pool | undefined> | undefined;
  #turn = 0;
  /** Hooks of the user of several servers. */
  readonly #outside: Hooks;
  readonly #hooks: Hooks = { copy: (from, command, error) => this.#copyFor(from, command, error) };
  #near: NearCache | undefined;

  readonly learn: Hooks["learn"];
  /** Whether it refuses commands that may change data. */
  readonly onlyReads: boolean;

  constructor(config: Config, address: Address = addressFor(config), outside: Hooks = {}, onlyReads = false) {
    this.config = config;
    this.address = address;
    this.onlyReads = onlyReads;
    this.#outside = bare(outside);
    this.learn = this.#outside.learn;
    this.primary = new Pool(address, config, { ...outside, ...this.#hooks });
    if (config.readFrom !== "primary") this.#looked = this.#look();
  }

  dispatch(command: Command): Promise<unknown> {
    const { readFrom, near } = command.view;
    if (near !== undefined && isKept(command) && this.#nearCache?.take(command)) return command.promise;
    const isMoved = command.special.detour !== undefined;
    if (readFrom === "primary" || !command.reads || isMoved) return this.primary.dispatch(command);
    if (!this.fleet.isClosed) this.#looked ??= this.#look();
    if (this.#readers === undefined) world.endOfTick<Server>((server) => void (server.#readers = undefined), this);
    const readers = this.#readers ??= { replica: undefined, any: undefined };
    const pool = readers[readFrom] ??= this.#choose(readFrom);
    if (pool !== this.primary) command.within = Math.min(LOOK, command.timeout / 2);
    return pool.dispatch(command);
  }

  /** All reads of one tick go to one copy, so that one write carries them. */
  #choose(from: "replica" | "any"): Pool {
    const fit = [...this.#replicas.values()].filter((replica) => replica.fit).map(({ pool }) => pool);
    if (from === "any") fit.push(this.primary);
    const up = fit.filter((pool) => pool.isUp);
    const near = up.filter((pool) => this.#inZone.has(pool));
    const chosen = near.length > 0 ? near : up;
    return chosen.at(this.#turn++ % chosen.length) ?? this.primary;
  }

  /** Finds another copy of the data, here or at another server, for a command that this one cannot answer. */
  #copyFor(from: Pool, command: Command, error: RedisError): Pool | undefined {
    const mayStay = command.view.readFrom !== "primary" && command.reads && command.within !== Infinity &&
      !this.fleet.isClosed;
    const other = !mayStay ? from : from === this.primary ? this.#choose("replica") : this.primary;
    if (other !== from) return other;
    return from === this.primary ? this.#outside.copy?.(from, command, error) : undefined;
  }

  /** The near cache, made on first use; undefined once the handler is closed. */
  get #nearCache(): NearCache | undefined {
    if (this.fleet.isClosed) return undefined;
    const { redirect, role } = this.#outside;
    return this.#near ??= new NearCache(this.primary, this.config, redirect !== undefined, role && ONE_OF_SEVERAL);
  }

  get caches(): readonly NearCache[] { return this.#near === undefined ? [] : [this.#near]; }

  // ---- The router ----

  get proxy(): ProxyName | undefined { return this.config.proxy; }

  check(row: Row, gathered?: readonly unknown[]): void {
    checkShared(this.config, row, gathered);
    if (this.onlyReads && (changesData(row) || row === LEASE)) throw notSupported(row, ONLY_READS);
  }

  mustBeOpen(command: string): void { this.fleet.mustBeOpen(command); }

  route(row: Row, args: readonly unknown[]): Named {
    if (this.config.proxy !== undefined) mustPass(this, row, args);
    return this.#self;
  }

  known(): undefined { return undefined; }
  where(): readonly Server[] { return [this]; }
  members(): readonly Named[] { return this.fleet.members; }
  toScan(): readonly Named[] { return this.fleet.members; }
  anywhere(): Server { return this; }

  // ---- Replicas ----

  async #look(): Promise<void> {
    const at = world.now();
    const { address, config } = this;
    const replicas = address.replicas === undefined ? config.replicas : await address.replicas();
    if (this.fleet.isClosed) return;
    if (replicas !== undefined) this.#keep(replicas);
    const info = await this.#ask(this.primary);
    if (this.fleet.isClosed) return;
    if (info !== undefined && replicas === undefined) {
      const named = online(info, this.config);
      const allowed = named.filter((config) => mayFollow(this.config, config));
      this.#refused = named.filter((config) => !allowed.includes(config)).map(hostOf);
      this.#keep(allowed);
    }
    const before = this.#progress;
    if (info !== undefined) {
      this.#progress = { at, offset: Number(info.get("master_repl_offset") ?? 0), id: info.get("master_replid") };
    }
    await Promise.all([...this.#replicas.values()].map((replica) => this.#judge(replica, before, info !== undefined)));
    if (!this.fleet.isClosed) this.#timer = world.after(LOOK, () => void this.#look()).unref();
  }

  /** Whether a replica could take a command now; undefined if the driver does not use it. */
  isUp(replica: Config): boolean | undefined { return this.#replicas.get(addressOf(replica))?.pool.isUp; }

  /** Opens pools for new replicas and drains those of former ones. */
  #keep(configs: readonly Config[]): void {
    const addresses = configs.map(addressOf);
    for (const [address, { pool }] of this.#replicas) {
      if (addresses.includes(address)) continue;
      this.#replicas.delete(address);
      this.#leaving.add(pool);
      void pool.close(this.config.replyTimeout).then(() => this.#leaving.delete(pool));
    }
    for (const config of configs) {
      if (this.#replicas.has(addressOf(config))) continue;
      const fixed = fixedAddress(config);
      const { successor, redirect } = this.#outside;
      const address = redirect === undefined ? fixed : bare({ ...fixed, greeting: READING });
      const pool = new Pool(address, config, { successor, redirect, ...this.#hooks, role: "replica" });
      this.#replicas.set(addressOf(config), { pool, fit: false, current: -Infinity, offset: 0 });
    }
  }

  /**
   * A replica is fit if it is complete and at most maxLag behind: its offset has reached the offset that the primary
   * had at this check or at a recent one, and it follows no other primary. While the primary does not answer, a fit
   * replica stays fit, unless it has lost data.
   */
  async #judge(replica: Replica, before: Progress, isPrimaryUp: boolean): Promise<void> {
    const now = this.#progress;
    const info = await this.#ask(replica.pool);
    const offset = Number(info?.get("slave_repl_offset") ?? Infinity); // absent before Redis 2.8
    const isLinked = info?.get("master_link_status") === "up";
    for (const progress of [before, now]) if (isLinked && offset >= progress.offset) replica.current = progress.at;
    const isComplete = info?.get("role") === "slave" && info.get("master_sync_in_progress") === "0";
    const isFirst = now.offset === Infinity; // no primary has ever answered: any copy will do
    const isNear = isPrimaryUp ? now.at - replica.current <= this.config.maxLag : replica.fit || isFirst;
    const { id = info?.get("master_replid") } = now; // absent before Redis 4
    const isOurs = id === (info?.get("master_replid") ?? id);
    replica.fit = isComplete && isNear && (isPrimaryUp ? isOurs : offset >= replica.offset);
    replica.offset = offset;
  }

  /** The fields of INFO replication or, with option zone, of all of INFO; undefined if the server does not answer. */
  async #ask(pool: Pool): Promise<Map<string, string> | undefined> {
    const { replyTimeout, zone } = this.config;
    const view = new View({ replyTimeout: Math.min(replyTimeout, LOOK), charset: "utf-8" }); // a slower one is not fit
    const sections = zone === undefined ? ["replication"] : []; // before 7.0, servers take only one
    const info = await pool.dispatch(new Command(commands.info, sections, view)).catch(ignore);
    const fields = typeof info === "string" ? fieldsOfInfo(info) : undefined;
    const isInZone = zone !== undefined && fields?.get("availability_zone") === zone; // known to Valkey 8 and later
    if (isInZone) this.#inZone.add(pool);
    else if (fields !== undefined) this.#inZone.delete(pool);
    return fields;
  }

  // ---- The life cycle, for a Fleet ----

  ready(): Promise<unknown> { return Promise.all([this.primary.ready(), this.#looked]); }
  unblock(): void { void this.primary.unblock(); }

  async end(timeout: Milliseconds, error?: RedisError): Promise<void> {
    this.fleet.close(error);
    world.cancel(this.#timer);
    for (const pool of this.#leaving) pool.destroy();
    const ended = this.#pools.map((pool) => pool.close(timeout, error));
    await Promise.all([this.#near?.end(timeout), ...ended]);
  }

  get #pools(): Pool[] { return [this.primary, ...[...this.#replicas.values()].map(({ pool }) => pool)]; }
  stats(): NodeStats[] {
    const { role = "primary" } = this.#outside;
    return this.#pools.map((pool) => pool.stats(pool === this.primary ? role : "replica"));
  }

  describe(): string {
    const caches = this.caches.map((cache) => cache.describe());
    const pools = [this.#pools.map((pool) => pool.describe()).join("; replica "), ...caches].join("; ");
    return this.#refused.length === 0 ? pools : `${pools}; not allowed: ${this.#refused.join(", ")}`;
  }
}

/** Throws for a command that needs a connection of its own, or is about earlier ones on its connection. */
function checkShared({ poolsize, proxy }: Config, row: Row, gathered?: readonly unknown[]): void {
  if (proxy !== undefined) mustPass({ proxy }, row, gathered);
  if (row.instead !== undefined) throw unshared(row);
  if (row.is.bound && gathered === undefined && poolsize > 1) throw notSupported(row, UNBOUND);
}

/** Commands in the handshake with a replica of a cluster, which would otherwise redirect reads to its primary. */
const READING: readonly [Row][] = [[commands.readonly]];

/** slave0:ip=10.0.0.2,port=6379,state=online,offset=...,lag=... or, before Redis 2.8, slave0:10.0.0.2,6379,online */
function online(info: Map<string, string>, primary: Config): Config[] {
  const hosts = [...info].flatMap(([name, line]) => {
    const [host = "", port = "", state] = line.split(",").map((word) => word.slice(word.indexOf("=") + 1));
    if (!name.startsWith("slave") || state !== "online") return [];
    try {
      return learned(primary, host, toNumber(port)) ?? [];
    } catch {
      return []; // addressMap has thrown, or gave no address
    }
  });
  return hosts.slice(0, MOST_REPLICAS).map((host) => replicaOf(primary, host));
}

/** A server of a fleet, with its name. */
type Named = { readonly name: string; readonly server: Origin };
/** A feed or a subscription of a handler, which has connections of its own and is closed with it. */
type Companion = { ready(): Promise<void>; stats(): NodeStats[]; close(): void; onClose: () => void };

/** Settles as `wait()` does, or rejects when the signal is aborted. */
function unlessAborted<T>(signal: AbortSignal | undefined, name: string, wait: () => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const follower = { name, fail: (error: AbortError) => reject(error.of(undefined, "not-sent")) };
    if (signal !== undefined) follow(signal, follower);
    void wait().then(resolve, reject).then(() => signal && unfollow(signal, follower));
  }).catch(rejected);
}

/** Takes the place of all servers when a handler has been closed, although some may still be in use by its steps. */
const SHUT: Member = {
  name: "",
  server: {
    dispatch(command) {
      command.fail(CLOSED, world.afterInput);
      return command.promise;
    },
  },
};

/** The servers of a handler, its feeds and its subscriptions: one life cycle, for one server or many. */
class Fleet<M extends Named = Named> {
  /** Assigned only by add() and replace(). */
  members: readonly M[];
  /** The error of commands and companions that come after it has been closed. */
  closed: RedisError | undefined;
  /** Called when the fleet closes. */
  onClose = ignore;
  readonly #companions = new Set<Companion>();
  #closing: Promise<void> | undefined;
  /** Servers of an earlier list that have not been drained yet. */
  readonly #leaving = new Set<Origin>();
  /** Running commands of several steps. */
  readonly #steps = new Set<Promise<unknown>>();
  /** Resolves when all its members are known. */
  known: () => Promise<unknown> = () => Promise.resolve();

  constructor(members: readonly M[] = []) { this.members = members; }

  get isClosed(): boolean { return this.closed !== undefined; }
  /** Whether its servers, or one of them, reopen lost connections. */
  get reconnects(): boolean { return this.members.some(({ server }) => server.config.reconnect); }

  mustBeOpen(command?: string): void {
    if (this.closed !== undefined) throw this.closed.of(command, "not-sent");
  }

  /** Resolves when the companion is ready. The signal can end only this wait, not a companion that is ready. */
  async admit<C extends Companion>(companion: C, signal: AbortSignal | undefined): Promise<C> {
    this.#companions.add(companion);
    companion.onClose = () => this.#companions.delete(companion);
    try {
      if (this.closed !== undefined) await rejected(this.closed.of(undefined, "not-sent"));
      await unlessAborted(signal, "SUBSCRIBE", () => companion.ready());
      return companion;
    } catch (error) {
      companion.close();
      throw error;
    }
  }

  /** Keeps the servers open until these steps have finished. */
  keepOpenDuring<T>(steps: Promise<T>): Promise<T> {
    this.#steps.add(steps);
    return steps.finally(() => this.#steps.delete(steps));
  }

  add(member: M): void { this.members = [...this.members, member]; }

  /** Lets commands in flight finish on their servers; resolves when the removed servers have been drained. */
  async replace(members: readonly M[], timeout: Milliseconds): Promise<void> {
    const kept = members.map(({ server }) => server);
    const gone = this.members.map(({ server }) => server).filter((server) => !kept.includes(server));
    this.members = members;
    await Promise.all([...gone.map((server) => this.#drain(server, timeout)), this.moveCompanions()]);
  }

  /** Moves subscriptions to the current servers of their channels. */
  async moveCompanions(): Promise<void> {
    await Promise.all(Array.from(this.#companions, (companion) => 
      companion instanceof Subscription && companion.move().catch(ignore))); // it tries again by itself
  }

  async #drain(server: Origin, timeout: Milliseconds): Promise<void> {
    this.#leaving.add(server);
    await settled(this.#steps, timeout);
    await server.end(timeout, LEFT);
    this.#leaving.delete(server);
  }

  async ready(): Promise<void> {
    if (this.closed !== undefined) await rejected(this.closed.of(undefined, "not-sent"));
    await this.known();
    await Promise.all(this.members.map(({ server }) => server.ready()));
  }

  /** Accepts nothing more, and closes the companions. */
  close(error: RedisError = CLOSED): void {
    this.closed ??= error;
    this.onClose();
    for (const companion of this.#companions) companion.close();
  }

  disconnect(timeout: Milliseconds): Promise<void> { return this.#closing ??= this.end(timeout); }

  /** Ends its servers; those that are already leaving get no more time than the others. */
  async end(timeout: Milliseconds, error?: RedisError): Promise<void> {
    this.close(error);
    const leaving = [...this.#leaving];
    const servers = [...this.members.map(({ server }) => server), ...leaving];
    if (timeout > 0) for (const server of servers) server.unblock();
    const limit = world.now() + timeout;
    if (timeout > 0 && this.#steps.size > 0) await settled(this.#steps, timeout);
    const left = Math.max(0, limit - world.now());
    const timer = world.after(left, () => leaving.forEach((server) => void server.end(0)));
    await Promise.all(servers.map((server) => server.end(left, error)));
    world.cancel(timer);
  }

  stats(): NodeStats[] {
    const sources = [...this.members.map(({ server }) => server), ...this.#companions];
    return sources.flatMap((source) => source.stats());
  }

  describe(): string {
    return this.members.map(({ name, server }) => `${name && `${name} at `}${server.describe()}`).join(" | ");
  }
}

/** A router for a Client: also knows where to listen, and sends a command to several servers. */
interface ClientRouter extends Router {
  readonly fleet: Fleet;
  /** All servers that have keys. */
  members(): readonly Named[];
  /** The servers to scan, one after the other, without missing a key. */
  toScan(): Iterable<Named> | AsyncIterable<Named>;
  /** The server for a transaction without keys; undefined unless one server has all keys. */
  anywhere(): Target | undefined;
  where(kind: Subscribing, channel: Key): readonly Source[];
  /** Runs a command that needs more than one server, or several steps. */
  spread?(row: Row, plan: Plan, view: View): Promise<unknown>;
  /** One-line summary for people. */
  describe(): string;
}

/** The process that a scan reads: a cursor is valid nowhere else. */
class ScannedProcess {
  readonly owner: CommandOwner | undefined;
  readonly #pool: Pool | undefined;
  readonly #view: View;
  #moves: number | undefined;
  /** The id of the process, when that has been needed; empty if it is not told, or not to this user. */
  #id: string | undefined;

  constructor(owner: CommandOwner | undefined, mayAsk: boolean, { replyTimeout, signal }: View) {
    this.owner = owner;
    this.#pool = mayAsk && owner instanceof Pool ? owner : undefined;
    this.#view = new View({ replyTimeout, signal, charset: "utf-8" });
    this.#moves = this.#pool?.moves;
  }

  /** Whether it is the one that answers now. Asks for its id before the second page, and after a loss. */
  async isSame(): Promise<boolean> {
    const [pool, before] = [this.#pool, this.#moves];
    const moves = pool?.moves;
    if (moves === before && this.#id !== undefined) return true;
    const info = await pool?.dispatch(new Command(commands.info, ["server"], this.#view)).catch(ignore);
    const id = fieldsOfInfo(info).get("run_id") ?? "";
    const isKnown = this.#id === undefined ? moves === before : id === this.#id;
    [this.#moves, this.#id] = [moves, id];
    return isKnown && moves === pool?.moves;
  }
}

/** Returns the router and the view of a handler. */
let insideOf:
  <Text, R extends ClientRouter>(handler: Client<Text, R>) => { readonly router: R; readonly view: View };

/** The handler for a router. */
type HandlerOf<R extends ClientRouter, Text> =
  R extends Origin ? Handler<Text> : R extends Shards ? ShardedHandler<Text>
  : R extends Cluster ? ClusterHandler<Text> : Client<Text, R>;

/** Base class of handlers, for one server or many. */
export abstract class Client<Text, R extends ClientRouter = ClientRouter> extends Commander {
  readonly #router: R;
  static { insideOf = (handler) => ({ router: handler.#router, view: handler.view }); }

  constructor(router: R, view: View) {
    super(view);
    this.#router = router;
  }

  /** The same handler with other options for the calls made through it: with({ replyTimeout: 50 }).get("k"). */
  with<
    const C extends Charset | undefined = undefined, const N extends boolean | undefined = undefined,
    const M extends Maps | undefined = undefined,
  >(options: ViewOptions & { charset?: C; convertNumbers?: N; maps?: M }): HandlerOf<R, ViewOfForm<Text, C, N, M>> {
    const view = this.view.with(options);
    const { proxy } = this.#router;
    if (proxy !== undefined) throughProxy({ ...view, proxy, dbid: 0 });
    const Kind = this.constructor as new (router: R, view: View) => HandlerOf<R, ViewOfForm<Text, C, N, M>>;
    return new Kind(this.#router, view);
  }

  protected give(row: Row, args: readonly unknown[]): Promise<unknown> {
    this.#router.check(row);
    const route = this.#router.route(row, args);
    return route.server === undefined ? this.#router.spread!(row, route, this.view)
      : send(route.server, row, args, this.view);
  }

  /** Several servers have a reply each. */
  protected override known(reply: unknown, row: Row): unknown {
    const { only } = this.#router;
    this.#router.mustBeOpen(row.name.text);
    const isEach = row.spread === "each" && only === undefined;
    return super.known(isEach ? toMap(this.#router.members().flatMap(({ name }) => [name, reply]), false) : reply, row);
  }

  /** Gathers commands to send together to each server: db.pipeline().get("a").incr("n").execPipeline(). */
  pipeline(): Pipeline<[], Text> { return new Gathering(this.#router, this.view) as unknown as Pipeline<[], Text>; }

  /** Sends MULTI on a connection of its own, after WATCH if there are keys. */
  multi(...keys: Many<Key>): Promise<Transaction> {
    return beginMulti(this.#router, keys, this.view, () => this.#anywhere(commands.multi));
  }

  /** Sends WATCH on a connection of its own: read through the Watch, then multi(), queue, commit(). */
  watch(...keys: Many<Key>): Promise<Watch<Text>> { return beginWatch(this.#router, keys, this.view); }

  /** The only server; throws if there are several, because only keys could choose among them. */
  #anywhere(row: Row): Target {
    const server = this.#router.anywhere();
    if (server === undefined) throw unsharded(row, "without keys, its node is not known");
    return server;
  }

  /**
   * Watches `keys`, calls `body`, which reads and, after multi(), queues commands, then commits. Starts again if a
   * watched key was changed meanwhile; after `attempts`, rejects with the WatchError. Resolves with the replies of the
   * queued commands, errors among them, or [] without multi(). When sharded, all keys must be on one node, and a
   * transaction without keys needs shard(key). While the slot of its keys moves, starts again until replyTimeout.
   */
  async transaction(
    keys: Readonly<Many<Key>>, body: (t: Watch<Text>) => unknown, options: TransactionOptions = {},
  ): Promise<unknown[]> {
    const { attempts = 100 } = checkAll(options, TRANSACTING);
    if (!Array.isArray(keys)) return rejected(new ArgumentError("transaction() needs the keys in an array"));
    if (typeof body !== "function") return rejected(new ArgumentError("the body of transaction() must be a function"));
    const { replyTimeout } = this.view;
    for (let changes = 0, moves = 0, movedAt = 0; ;) {
      const t = await (isOfNothing(commands.watch, keys)
        ? begin<Text>(this.#router, commands.unwatch, this.view, () => [this.#anywhere(TRANSACTION)])
        : beginWatch<Text>(this.#router, keys, this.view));
      try {
        await body(t);
        return await t.finish();
      } catch (error) {
        await t[Symbol.asyncDispose]().catch(ignore);
        if (!(error instanceof WatchError)) throw error;
        const cause = ownEntry(error, "cause"); // a redirection, if no key was changed
        if (cause === undefined && ++changes >= attempts) throw error;
        if (moves === 0) movedAt = world.now();
        moves = cause === undefined ? 0 : moves + 1;
        if (moves > 0 && world.now() - movedAt >= replyTimeout) {
          const why = `not executed within ${replyTimeout} ms: ${error.message}`;
          throw new TimeoutError("REPLY_TIMEOUT", "not-executed", why, { cause });
        }
      }
      await rest(world.random() * Math.min(PAUSE * (moves > 0 ? 4 : 1), 2 ** (moves || changes)));
    }
  }

  /** Iterates over the keys of all servers, by SCAN; keys may repeat. Since Redis 2.8; TYPE 6.0. */
  async *scanIterator(options?: ScanOptions & Loose<{ TYPE: Arg }>): AsyncGenerator<TextIn<Text>, void, undefined> {
    await this.#router.known(this.view);
    mustPass(this.#router, commands.scan);
    await unlessAborted(this.view.signal, "SCAN", () => this.#router.fleet.known());
    for await (const { server: { pinned } } of this.#router.toScan()) {
      yield* scan<any>(options, commands.scan, this.#pages(commands.scan, (cursor) => [pinned, [cursor, options]]));
    }
  }

  /** Reads pages of one key, all from one server. */
  #pagesOf(row: Row, key: Key, options: ScanOptions | undefined): (cursor: string) => Promise<unknown> {
    let target: Target | undefined;
    let server: Target;
    return this.#pages(row, (cursor) => {
      this.#router.check(row);
      const [found, args] = single(this.#router, row, [key, cursor, options]);
      if (found !== target) server = (found as Partial<Origin>).pinned ?? found; // a list may have moved the key
      target = found;
      return [server, args];
    });
  }

  /** A cursor is valid only in the process that issued it: begins again if another server, or process, answers. */
  #pages(
    row: Row, locate: (cursor: string) => readonly [server: Target, args: readonly unknown[]],
  ): (cursor: string) => Promise<unknown> {
    let scanned: ScannedProcess | undefined;
    return async (cursor) => {
      await this.#router.known(this.view);
      for (let from = cursor;; from = "0") {
        if (from !== "0" && !await scanned!.isSame()) continue;
        const [server, args] = locate(from);
        const command = new Command(row, args, this.view);
        const reply = await server.dispatch(command);
        const { owner } = command;
        if (from === "0") scanned = new ScannedProcess(owner, this.#router.proxy === undefined, this.view);
        else if (owner !== scanned!.owner || !await scanned!.isSame()) continue; // or its slot, or the key, has moved
        return reply;
      }
    };
  }

  /** Iterates over the fields of a hash and their values, by HSCAN; fields may repeat. Since Redis 2.8. */
  hscanIterator(
    key: Key, options?: ScanOptions,
  ): AsyncGenerator<[field: TextIn<Text>, value: TextIn<Text>], void, undefined> {
    return scan(options, commands.hscan, this.#pagesOf(commands.hscan, key, options));
  }

  /** Iterates over the members of a set, by SSCAN; members may repeat. Since Redis 2.8. */
  sscanIterator(key: Key, options?: ScanOptions): AsyncGenerator<TextIn<Text>, void, undefined> {
    return scan(options, commands.sscan, this.#pagesOf(commands.sscan, key, options));
  }

  /** Iterates over the members of a sorted set and their scores, by ZSCAN; members may repeat. Since Redis 2.8. */
  zscanIterator(
    key: Key, options?: ScanOptions,
  ): AsyncGenerator<[member: TextIn<Text>, score: number], void, undefined> {
    return scan(options, commands.zscan, this.#pagesOf(commands.zscan, key, options));
  }

  /**
   * Iterates over the entries of a stream as one consumer of a group: [id, fields, deliveries], id and fields as xrange
   * returns them. Acknowledges an entry when the loop asks for the next one. Since Redis 5.0.
   */
  consume(stream: Key, options: ConsumeOptions<Text>): Iteration<Consumed<Text>> {
    const { fleet } = this.#router;
    const consumer = new Consumer<Text>(this.#router, stream, bare(options), this.view, () => fleet.reconnects);
    return new Iteration(consumer.entries(), () => consumer.fail());
  }

  /**
   * Listens to channels on connections of its own; resolves when the server has confirmed all of them. Without a
   * listener, iterate over the subscription.
   */
  subscribe(...args: Listening<TextIn<Text>>): Promise<Subscription<TextIn<Text>>> {
    return this.#listen("subscribe", args).catch(rejected);
  }

  /** Listens to all channels that match glob patterns; messages tell which. When sharded, listens on all nodes. */
  psubscribe(...args: Listening<TextIn<Text>>): Promise<Subscription<TextIn<Text>>> {
    return this.#listen("psubscribe", args).catch(rejected);
  }

  /** Listens to shard channels (SSUBSCRIBE). Since Redis 7.0. */
  ssubscribe(...args: Listening<TextIn<Text>>): Promise<Subscription<TextIn<Text>>> {
    return this.#listen("ssubscribe", args).catch(rejected);
  }

  async #listen<T>(kind: Subscribing, [channels, ...how]: Listening<T>): Promise<Subscription<T>> {
    mustPass(this.#router, commands[kind]);
    const [listener, options = {}] = how.length > 1 || typeof how[0] === "function" ? how : [undefined, how[0]];
    if (listener !== undefined && typeof listener !== "function") {
      throw new ArgumentError("the listener must be a function");
    }
    await this.#router.known(this.view);
    await unlessAborted(this.view.signal, kind, () => this.#router.fleet.known());
    const where = (channel: Key): readonly Source[] => this.#router.where(kind, channel);
    const all = channelsIn(kind, [channels]);
    if (all.length === 0) throw new ArgumentError("no channel was passed", commands[kind].name.text);
    return this.#router.fleet.admit(
      new Subscription<T>(this.view, kind, where, all, options, listener), this.view.signal);
  }

  /** Counts of the near cache, since the handler was made; see option cache. Since 0.1.0. */
  cacheStats(): CacheStats {
    const all = this.#router.fleet.members.flatMap(({ server }) => server.caches.map(({ stats }) => stats));
    const sum = (count: Exclude<keyof CacheStats, "off">): number => all.reduce((total, of) => total + of[count], 0);
    return {
      hits: sum("hits"), misses: sum("misses"), entries: sum("entries"), bytes: sum("bytes"),
      evictions: sum("evictions"), invalidations: sum("invalidations"),
      off: all.find(({ off }) => off !== undefined)?.off,
    };
  }

  /**
   * Returns the value of a key or, if it is missing, what `load` returns, and stores that: as it is, so that other
   * programs can read it. Among all processes, one loads at a time, and the others wait for its value. With undefined
   * or null, there is nothing, and it is remembered that there is nothing. If `load` fails, its own caller gets the
   * error, and another caller loads.
   */
  remember(
    key: Key, options: RememberOptions & { readonly serializer?: typeof plain | undefined }, load: Loading<Arg>,
  ): Promise<TextIn<Text> | undefined>;
  remember<T>(
    key: Key, options: RememberOptions & { readonly serializer: typeof json }, load: Loading<T>,
  ): Promise<T | undefined>;
  remember<T>(
    key: Key, options: RememberOptions & { readonly serializer: Serializer<T, SerializedIn<Text>> }, load: Loading<T>,
  ): Promise<T | undefined>;
  remember(key: Key, options: Remembering, load: Loading<unknown>): Promise<any> {
    return remembered(this.#router, key, options, load, this.view).catch(rejected);
  }

  /** Removes what remember() has stored for a key. What is being loaded now will not be stored. */
  forget(key: Key): Promise<void> { return forgotten(this.#router, key, this.view).catch(rejected); }

  /** Resolves when all connections are open; rejects as soon as one cannot be opened, or when the handler is closed. */
  async ready(): Promise<this> {
    await this.#router.known(this.view);
    await this.#router.fleet.ready();
    return this;
  }

  /** Lets pending commands finish for at most `timeout` ms (default: replyTimeout), but ends blocking ones; closes. */
  disconnect(options: Loose<{ timeout: Milliseconds }> = {}): Promise<void> {
    const { timeout = this.view.replyTimeout } = checkAll(options, CLOSING);
    return this.#router.fleet.disconnect(timeout);
  }

  /** Returns the state and the counts of its connections, for each of its servers and of its subscriptions. */
  stats(): NodeStats[] { return this.#router.fleet.stats(); }

  /** Closes at once and rejects pending commands with CLOSED. */
  destroy(): void { void this.#router.fleet.end(0); }
  [Symbol.asyncDispose](): Promise<void> { return this.disconnect(); }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `${this.constructor.name} <${this.#router.describe()}>`;
  }
}

/** A handler for one server, with every command. */
export class Handler<Text = string> extends Client<Text, Origin> {
  get #server(): Origin { return insideOf(this).router; }

  /**
   * Lends `body` a connection of its own, for commands that change it or depend on such a change: SELECT, AUTH,
   * CLIENT NO-EVICT, HIMPORT. After one of these, the connection is closed, otherwise it returns to the pool. Resolves
   * or rejects as `body` does.
   */
  async lease<T>(body: (connection: LeasedConnection<Text>) => T): Promise<Awaited<T>> {
    this.#server.check(LEASE);
    return lend(this.#server, [], this.view, body).catch(rejected);
  }

  /** Streams every command that the server executes, with MONITOR, which costs the server much of its speed. */
  async monitor(options: FeedOptions = {}): Promise<Feed<Monitored>> {
    mustPass(this.#server, commands.monitor);
    const { closed } = this.#server.fleet;
    if (closed !== undefined) await rejected(closed.of(undefined, "not-sent"));
    const charset = this.#server.config.charset ?? "latin1";
    const feed = new Feed<Monitored>(([line]) => readMonitored(String(line), charset), options);
    feed.open(this.#server, { pingInterval: Infinity }, "monitor").sent.set("", { args: [] });
    return this.#server.fleet.admit(feed, this.view.signal);
  }
}

export interface Handler<Text> extends Commands<Text> {}

// ==== 17. One of several ====
//
// Option anyOf names servers, or proxies, with the same data. Several has a Server for each of these members. The
// commands of a tick go to one member: of the live ones with the lowest priority, that with the fewest commands for its
// weight. Commands that must stay on one server go to the best member; a single connection is always to that member. A
// member leaves when it has no connection, does not answer PING, or refuses a command; its unwritten commands move to
// others, and the driver tries it in the background.
// To change which member serves, change #candidates; to change when one leaves or returns, change #watch.
//
//     new -> live <-> left     new: not tried yet, because none was live when it was added, or because it is a spare

/** A member, with its share of the commands. */
type Choice = {
  readonly server: Server;
  readonly config: Config;
  weight: number;
  priority: number;
  state: "new" | "live" | "left";
  /** Sum of 1 / weight over its commands. */
  used: number;
  /** Time of the last change of state. */
  since: number;
  /** Time before which it does not return. */
  until: number;
  /** Number of times that the delay before its return has doubled; reset only when the member has lasted. */
  doublings: number;
  /** The timer of its next PING. */
  timer: NodeJS.Timeout | undefined;
};

class Several implements Origin {
  static readonly #endTick = (several: Several): void => void (several.#current = undefined);
  readonly config: Config;
  readonly only: Several = this;
  readonly #self: Named = { name: "", server: this };
  readonly fleet: Fleet = new Fleet([this.#self]);
  /** The address of the best member, for subscriptions. */
  readonly address: Address;
  /** The members with a weight above 0, the best first; before the first list, a stand-in, where commands wait. */
  #members: readonly Choice[] = [];
  /** The servers of the members, whose life cycle it manages. */
  readonly #servers = new Fleet();
  /** Names of the members with weight 0. */
  #drained: readonly string[] = [];
  /** The member that takes this tick's commands. */
  #current: Choice | undefined;
  /** The best of the live and new members. */
  #first: Choice | undefined;
  /** Whether at least two members are live or new, so that one may answer what another does not. */
  #hasSpare = false;
  readonly #listeners = new Set<Pool>();
  /** The member at which subscriptions listen. */
  #heard: Choice | undefined;
  #unfollow = ignore;

  /** `follow`: follows a live list, instead of the hosts of option anyOf. */
  constructor(config: Config, follow?: (follower: ListFollower) => () => void) {
    const { anyOf, ...common } = config;
    this.config = config;
    this.address = bare<Address>({
      name: "the best of several",
      next: () => (this.#heard = this.#best).server.address.next(),
      retain: (pool) => void this.#listeners.add(pool),
      release: (pool) => void this.#listeners.delete(pool),
    });
    if (typeof anyOf === "function") follow = (follower) => LiveList.follow(anyOf, follower).stop;
    if (follow !== undefined) this.#follow(follow, common);
    else this.#replace(anyOf as readonly MemberConfig[]);
  }

  /** Whether only the best member has a connection. */
  get #isSingle(): boolean { return this.config.poolsize === 1; }

  dispatch(command: Command): Promise<unknown> {
    const { is } = command.row;
    const staysTogether = this.#isSingle || is.cursor || is.channel;
    const member = staysTogether ? this.#best : this.#next;
    member.used += 1 / member.weight;
    if (this.#hasSpare && command.reads) command.within = Math.min(LOOK, command.timeout / 2);
    return member.server.dispatch(command);
  }

  /** The member for the commands of this tick; only one, so that they keep their order and are sent in one write. */
  get #next(): Choice {
    if (this.#current === undefined) world.endOfTick(Several.#endTick, this);
    if (this.#current?.state === "live") return this.#current;
    const candidates = this.#candidates();
    const current = this.#current = leastUsed(candidates) ?? this.#members[0]!;
    for (const member of this.#members) { // so that none gets a burst to make up for the time without a share
      if (!candidates.includes(member)) member.used = Math.max(member.used, current.used);
    }
    return current;
  }

  /** The members that are live or new. */
  get #known(): readonly Choice[] { return this.#members.filter(({ state }) => state !== "left"); }

  /** The best member: the same in all programs that have the same list and find the same members live. */
  get #best(): Choice { return this.#first ?? this.#candidates()[0] ?? this.#members[0]!; }

  /**
   * The members that may take commands: of the live and new ones, those with the lowest priority, and of these the ones
   * with a free connection, if any. If none is live or new, those on which a command would not fail at once.
   */
  #candidates(except?: Choice, mustBeLive = false): readonly Choice[] {
    const known = this.#known.filter((member) => member !== except);
    const others = (): readonly Choice[] =>
      this.#members.filter((member) => member !== except && !member.server.primary.isDown);
    const group = lowestOf(known.length > 0 || mustBeLive ? known : others());
    const free = this.#isSingle ? group.slice(0, 1) : group.filter(({ server }) => server.primary.isUp);
    return free.length > 0 ? free : group;
  }

  /** Finds another member for a command that certainly was not executed, or that may be executed twice. */
  #copyFor(from: Pool, command: Command, error: RedisError): Pool | undefined {
    const member = this.#members.find(({ server }) => server.primary === from);
    if (member !== undefined && (error instanceof ReplyError || !from.isConnected)) this.#leave(member);
    const { state, row, words, reads } = command;
    const isContinued = row.is.cursor && words[row.placing === none ? 0 : 1] !== "0"; // that member's cursor
    const isUnknown = state === "written" && !(error instanceof ReplyError) && !reads;
    if (this.fleet.isClosed || isContinued || isUnknown) return undefined;
    const other = leastUsed(this.#candidates(member, member !== undefined && !from.isDown));
    if (other !== undefined) this.#wake(other);
    const isFirst = error.code === "REPLY_TIMEOUT" && command.within !== Infinity; // after part of its time
    return other?.server.primary ?? (isFirst ? from : undefined);
  }

  // ---- The router ----

  get proxy(): ProxyName | undefined { return this.config.proxy; }
  check(row: Row, gathered?: readonly unknown[]): void { checkShared(this.config, row, gathered); }
  mustBeOpen(command: string): void { this.fleet.mustBeOpen(command); }

  route(row: Row, args: readonly unknown[]): Named {
    if (this.config.proxy !== undefined) mustPass(this, row, args);
    return this.#self;
  }

  known(): undefined { return undefined; } // commands wait at a stand-in
  where(): readonly Origin[] { return [this]; }
  members(): readonly Named[] { return this.fleet.members; }
  toScan(): readonly Named[] { return this.fleet.members; }
  anywhere(): Several { return this; }
  get pinned(): Server { return this.#best.server; }

  // ---- Members ----

  /** Lets commands wait for the first list at a stand-in, whose address never becomes known; the list replaces it. */
  #follow(follow: (follower: ListFollower) => () => void, common: Config): void {
    const waiting: ((error: RedisError) => void)[] = [];
    let failure: RedisError | undefined;
    const next = (): Promise<Endpoint> => new Promise((_, reject) => {
      if (failure === undefined) waiting.push(reject);
      else reject(failure);
    });
    const standIn = { ...common, poolsize: 1 };
    const address: Address = bare({ name: "a list of hosts", next });
    this.#members = [this.#open(standIn, { weight: 1, priority: 0 }, "new", address)];
    this.#adopt();
    const take = (hosts: unknown): void => this.#replace(readMembers(common, hosts));
    const failed = (error: RedisError): void => {
      failure = error;
      for (const reject of waiting.splice(0)) reject(error);
    };
    this.#unfollow = follow({ take, failed });
  }

  /** Opens servers for new members, and drains those of former ones. */
  #replace(configs: readonly MemberConfig[]): void {
    const former = this.#members;
    const stays = (member: Choice): boolean =>
      configs.some(({ config, weight }) => weight > 0 && areEqual(member.config, config));
    const state = former.some((member) => member.state === "live" && stays(member)) ? "left" : "new";
    this.#drained = configs.filter(({ weight }) => weight === 0).map(({ config }) => hostOf(config));
    this.#members = configs.filter(({ weight }) => weight > 0).map(({ config, ...share }) => {
      const kept = former.find((member) => areEqual(member.config, config));
      return kept === undefined ? this.#open(config, share, state) : Object.assign(kept, share);
    }).sort((a, b) => a.priority - b.priority || b.weight - a.weight);
    this.#adopt();
    for (const member of former) {
      if (this.#members.includes(member)) continue;
      world.cancel(member.timer);
      member.server.primary.evacuate();
    }
  }

  /** Gives the fleet the servers of the current members, and drains those of former ones. */
  #adopt(): void {
    const named = this.#members.map(({ server }) => ({ name: "", server }));
    void this.#servers.replace(named, this.config.replyTimeout);
    this.#changed();
  }

  #open(
    config: Config, share: Pick<Choice, "weight" | "priority">, state: Choice["state"], address?: Address,
  ): Choice {
    const self = (): Choice | undefined => this.#members.find((other) => other.config === config);
    const server = new Server(this.#isSingle ? { ...config, poolsize: 1 } : config, address, {
      role: "member",
      isSpare: this.#isSingle,
      prepare: (connection) => connection.ask(commands.ping), // a server that is loading refuses it
      copy: (from, command, error) => this.#copyFor(from, command, error),
      opened: () => this.#join(self()),
      lost: () => {
        const member = self();
        if (member?.server.primary.isConnected === false) this.#leave(member);
      },
    });
    const since = world.now();
    const member: Choice = {
      server, config, ...share, state, used: 0, since, until: since, doublings: 0, timer: undefined,
    };
    this.#watchAfter(member, PATIENCE);
    return member;
  }

  #join(member: Choice | undefined): void {
    if (member === undefined || member.state === "live" || world.now() < member.until) return;
    member.state = "live";
    member.since = world.now();
    this.#changed();
  }

  #leave(member: Choice): void {
    if (member.state === "left" || member.server.primary.isAsleep) return;
    const now = world.now();
    member.doublings = now - member.since >= STABLE ? 0 : member.doublings + 1;
    member.state = "left";
    member.since = now;
    member.until = now + restOf(member.doublings);
    this.#watchAfter(member, member.until - now);
    for (const other of this.#known.length > 0 ? [] : this.#members) { // one of them may be back
      if (other === member) continue;
      other.until = now;
      this.#watchAfter(other, 0);
    }
    this.#changed();
  }

  /** Sends PING to a member: every second, and when it may return. */
  async #watch(member: Choice): Promise<void> {
    const answers = await member.server.primary.answers(Math.min(this.config.replyTimeout, LOOK));
    if (!this.#members.includes(member) || member.server.primary.isAsleep) return;
    if (answers) this.#join(member);
    else this.#leave(member);
    this.#sleep();
    const rest = member.state === "left" ? member.until - world.now() : 0;
    this.#watchAfter(member, rest > 0 ? rest : LOOK);
  }

  #watchAfter(member: Choice, delay: Milliseconds): void {
    world.cancel(member.timer);
    const isWatched = !this.fleet.isClosed && !member.server.primary.isAsleep;
    if (isWatched) member.timer = world.after(delay, () => void this.#watch(member)).unref();
  }

  /** Called when the members, or the state of one, have changed. */
  #changed(): void {
    const before = this.#first;
    this.#first = this.#known[0];
    this.#hasSpare = this.#known.length > 1;
    for (const member of this.#members.slice(0, this.#members.indexOf(this.#best) + 1)) this.#wake(member);
    const hasMoved = this.#isSingle && before !== this.#first;
    void Promise.resolve().then(() => this.#rearrange(hasMoved)); // later, because a command may be about to move
  }

  /** Moves waiting commands to members that serve, and subscriptions to the best member. */
  #rearrange(hasMoved: boolean): void {
    if (this.fleet.isClosed) return;
    const serving = hasMoved ? [this.#best] : lowestOf(this.#known);
    for (const member of this.#members) if (!serving.includes(member)) member.server.primary.evacuate();
    this.#sleep();
    if (this.#heard === undefined || this.#heard === this.#best) return;
    for (const pool of this.#listeners) pool.renew();
  }

  #wake(member: Choice): void {
    if (!member.server.primary.isAsleep) return;
    member.server.primary.wake();
    this.#watchAfter(member, PATIENCE);
  }

  /** With a single connection: closes idle ones to members that are worse than a live one. */
  #sleep(): void {
    const best = this.#isSingle ? this.#members.findIndex(({ state }) => state === "live") : -1;
    for (const member of best < 0 ? [] : this.#members.slice(best + 1)) {
      member.server.primary.sleep();
      if (member.server.primary.isAsleep) member.state = "new";
    }
  }

  // ---- The life cycle, for a Fleet ----

  /** Resolves when a member is ready; rejects if none can be opened. */
  async ready(): Promise<unknown> {
    const members = this.#members;
    return Promise.any(members.map(({ server }) => server.ready())).catch(({ errors: [error] }) => {
      if (this.#members === members || this.fleet.isClosed) throw error;
      return this.ready(); // of the members of the new list
    });
  }

  unblock(): void { for (const { server } of this.#members) server.unblock(); }
  get caches(): readonly NearCache[] { return this.#members.flatMap(({ server }) => server.caches); }
  stats(): NodeStats[] { return this.#members.flatMap(({ server }) => server.stats()); }

  async end(timeout: Milliseconds, error?: RedisError): Promise<void> {
    this.fleet.close(error);
    this.#unfollow();
    for (const { timer } of this.#members) world.cancel(timer);
    await this.#servers.end(timeout, error);
  }

  describe(): string {
    const shares = this.#members.map(({ server, weight, priority, state }) => {
      const why = state === "left" && server.primary.lastError;
      const shown = server.primary.isAsleep ? "spare" : state;
      return `${server.describe()} (${shown}, weight ${weight}, priority ${priority}${why ? `: ${why.message}` : ""})`;
    });
    return [...shares, ...this.#drained.map((name) => `${name} (weight 0)`)].join("; or ");
  }
}

/** The members of the lowest priority. */
function lowestOf(members: readonly Choice[]): readonly Choice[] {
  const lowest = Math.min(...members.map(({ priority }) => priority));
  return members.filter(({ priority }) => priority === lowest);
}

/** The member that has had the fewest commands for its weight. */
const leastUsed = (members: readonly Choice[]): Choice | undefined =>
  members.reduce<Choice | undefined>((least, member) => least && least.used <= member.used ? least : member, undefined);

const originOf = (config: Config, address?: Address): Origin =>
  config.anyOf === undefined ? new Server(config, address) : new Several(config);

/** A node of a manager's list. */
type ManagedNode = { readonly name: string; readonly db: number; readonly weight: number; readonly host: Unchecked };

/**
 * Reads redis://host:port/name?weight=N&db=D as zyredis does: N and D are whole numbers, and so is `transaction`, which
 * has no effect; other parameters are ignored.
 */
function readNode(given: unknown): ManagedNode {
  const text = given instanceof URL || typeof given === "string" ? String(given).trim() : "";
  const at = text.indexOf("/", text.indexOf("://") + 3);
  const host = readUrl(at < 0 ? text : text.slice(0, at));
  if (host.port === undefined) throw new ArgumentError("a node's URL needs a port, such as redis://host:port/name");
  if (at < 0) throw new ArgumentError("a node's URL needs a name, such as redis://host:port/name");
  if (text.includes("#")) throw new ArgumentError("a node's URL has no #");
  const [name, query] = cut(text.slice(at + 1), "?");
  const params = new URLSearchParams(query);
  const [weight, db] = [["weight", "1"], ["db", "0"], ["transaction", "0"]].map(([param = "", usual = ""]) => {
    const number = params.get(param)?.trim() || usual;
    const digits = ["+", "-"].includes(number[0]!) ? number.slice(1) : number;
    const isWhole = digits !== "" && [...digits].every((digit) => isNumeral(digit));
    if (!isWhole) throw new ArgumentError(`${param} of a node's URL must be a whole number`);
    return Number(number);
  }) as [number, number, number];
  return { name, db: checkOption("dbid", db) as number, weight: Math.max(0, weight), host };
}

/** Adds up the weights of URLs that name the same server. */
function sharesOf(nodes: readonly ManagedNode[]): unknown[] {
  const shares = new Map<string, Unchecked & { weight: number }>();
  for (const { host, weight } of nodes) {
    const name = `${host.host}:${host.port}`;
    shares.set(name, { ...host, weight: weight + (shares.get(name)?.weight ?? 0) });
  }
  return [...shares.values()].filter(({ weight }) => weight > 0);
}

/** Options that a manager takes from its list. */
const IN_LIST = ["host", "port", "path", "dbid", "anyOf", "replicas"] as const;

/** Handlers by the names in a list of URLs, redis://host:port/name?weight=N&db=D; made by manager(). */
export class Manager<Text = string> {
  readonly #config: Config;
  readonly #handlers = new Map<string, { readonly handler: Handler<Text>; readonly several: Several }>();
  readonly #followers = new Map<ListFollower, readonly [name: string, db: number]>();
  readonly #following: Following;
  /** The nodes of the last list; undefined before the first. */
  #nodes: readonly ManagedNode[] | undefined;
  #closing: Promise<void> | undefined;

  constructor(hosts: unknown, options: Unchecked = {}) {
    this.#config = readOptions(options);
    const other = givenOf(options, IN_LIST);
    if (other !== undefined) throw new ArgumentError(`option ${other} belongs to the URLs of the list`);
    this.#following = LiveList.follow(hosts, {
      take: (list) => this.#take(list),
      failed: (error) => this.#followers.forEach((_, { failed }) => failed(error)),
    });
  }

  /**
   * Returns a lazy pool for the nodes with this name and database, the same at each call. Throws if the list has none
   * with a weight above 0; before the first list, commands wait for it.
   */
  select(name: string, db = 0): Handler<Text> {
    if (this.#closing !== undefined) throw CLOSED.of(undefined, "not-sent");
    if (typeof name !== "string") throw new ArgumentError("select() needs the name of a client");
    checkOption("dbid", db);
    if (this.#nodes !== undefined && this.#hosts(name, db).length === 0) throw this.#noNodes(name, db);
    const key = `${db}/${name}`;
    const known = this.#handlers.get(key);
    if (known !== undefined && !known.several.fleet.isClosed) return known.handler;
    const config = { ...this.#config, dbid: db };
    const several = new Several(config, (follower) => this.#follow(follower, name, db));
    const handler = new Handler<Text>(several, new View(config));
    this.#handlers.set(key, { handler, several });
    return handler;
  }

  /** Closes its handlers, as their disconnect() does, and stops following the list. */
  disconnect(options?: { timeout?: Milliseconds }): Promise<void> {
    this.#following.stop();
    const all = Array.from(this.#handlers.values(), ({ handler }) => handler.disconnect(options));
    return this.#closing ??= Promise.all(all).then(ignore);
  }

  [Symbol.asyncDispose](): Promise<void> { return this.disconnect(); }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const all = Array.from(this.#handlers, ([key, { several }]) => `${key}: ${several.describe()}`);
    return `Manager <${all.join(" | ")}>`;
  }

  #hosts(name: string, db: number, nodes = this.#nodes): unknown[] {
    return sharesOf(nodes?.filter((node) => node.name === name && node.db === db) ?? []);
  }

  #noNodes(name: string, db: number): RedisError {
    const about = `${JSON.stringify(name)} with database ${db}`;
    const isDrained = this.#nodes?.some((node) => node.name === name && node.db === db) === true;
    const why = isDrained ? `all nodes ${about} have weight 0 in the list` : `the list has no node ${about}`;
    return new RedisError("NO_NODES", "not-sent", why);
  }

  #take(list: unknown): void {
    const former = this.#nodes;
    this.#nodes = readHosts("hosts", list, (url) => {
      const node = readNode(url);
      readMembers(this.#config, [{ ...node.host, weight: 1 }]); // throws before any handler has the list
      return node;
    });
    for (const [follower, [name, db]] of this.#followers) {
      this.#give(follower, name, db);
      const isGone = this.#hosts(name, db).length === 0 && this.#hosts(name, db, former).length > 0;
      if (isGone) emitWarning(this.#noNodes(name, db));
    }
  }

  /** Gives a handler its hosts. If the list has none for it, the handler keeps those that it has. */
  #give(follower: ListFollower, name: string, db: number): void {
    const hosts = this.#hosts(name, db);
    if (hosts.length > 0) follower.take(hosts);
    else follower.failed(this.#noNodes(name, db));
  }

  #follow(follower: ListFollower, name: string, db: number): () => void {
    this.#followers.set(follower, [name, db]);
    const error = this.#following.error();
    if (this.#nodes !== undefined) this.#give(follower, name, db);
    else if (error !== undefined) follower.failed(error);
    return () => void this.#followers.delete(follower);
  }
}

// ==== 18. Placement ====
//
// Decides which node holds a key: a rule extracts the key's tag, and maps tags to nodes. To place keys in another way,
// pass a function as option `placement`, or add a rule.

/** A node as a placement sees it. A node with twice the weight holds twice as many keys; with weight 0, none. */
export type ShardNode = { readonly name: string; readonly weight: number };
/** Returns the name of a key's node. `tag` is the key's hash tag, or else the whole key. */
export type Placement = (tag: string, nodes: readonly ShardNode[]) => string;

/** Keys are strings of one character per byte. */
type Rule = {
  /** Extracts the part of a key that determines its node. */
  readonly tag: (key: string) => string;
  /** Returns a function that maps a tag to the index of its node. */
  readonly over: (nodes: readonly ShardNode[]) => (tag: string) => number;
  /** The name under which a node stores a key, if it differs. */
  readonly stored?: (key: string) => string;
  /** It may throw, so a pipeline also consults it when a call is added. */
  readonly fallible?: true;
  /** The name of the node at this index, if it is not its address. */
  readonly name?: (at: number) => string;
  /** All nodes must have the same weight. */
  readonly equal?: true;
};

const RULES: Readonly<Record<string, Rule>> = {
  rendezvous: { tag: tagOf, over: rendezvous },
  txredisapi: { tag: lastTagOf, over: ring, equal: true },
  rediscluster: {
    tag: suffixOf, over: (nodes) => (tag) => crc32(tag) % nodes.length, stored: (key) => key.split("{", 1)[0]!,
    name: (at) => `node_${at + 1}`, equal: true,
  },
};
bareRows(RULES);

/** In the key's first line, the text between the last } and the last { before it, unless that { is the first byte. */
function lastTagOf(key: string): string {
  const [line = ""] = key.split("\n", 1);
  const to = line.lastIndexOf("}");
  const from = to < 1 ? 0 : line.lastIndexOf("{", to - 1);
  return from > 0 ? line.slice(from + 1, to) : key;
}

/** The text after the first {, without its last byte. */
function suffixOf(key: string): string {
  const from = key.indexOf("{");
  return from < 0 ? key : key.slice(from + 1, -1);
}

/** The table of CRC-32, one entry per byte value; computed on first use. */
let remainders: Int32Array | undefined;

function remainder(byte: number): number {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
}

/** CRC-32 as in zlib. */
function crc32(text: string): number {
  const table = remainders ??= Int32Array.from({ length: 256 }, (_, byte) => remainder(byte));
  let crc = -1;
  for (let i = 0; i < text.length; i++) crc = table[(crc ^ text.charCodeAt(i)) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/**
 * Rendezvous hashing: of all nodes, a key belongs to the one with the lowest -ln(u) / weight, where u in (0, 1) is the
 * CRC-32 of the tag, mixed with that of the node's name. Adding or removing a node moves no key between the others.
 */
function rendezvous(nodes: readonly ShardNode[]): (tag: string) => number {
  const names = nodes.map(({ name }) => crc32(byteText(name)));
  const weights = nodes.map(({ weight }) => weight);
  return (tag) => {
    const hash = crc32(tag);
    let winner = 0;
    let lowest = Infinity;
    for (let i = 0; i < names.length; i++) {
      const u = scatter(hash ^ names[i]!);
      if ((1 - u) / weights[i]! >= lowest) continue; // saves the logarithm: -ln(u) >= 1 - u
      const drawn = -Math.log(u) / weights[i]!;
      if (drawn >= lowest) continue;
      lowest = drawn;
      winner = i;
    }
    return winner;
  };
}

/** Mixes 32 bits into a number between 0 and 1, with the finalizer of MurmurHash3. */
function scatter(bits: number): number {
  let mixed = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (((mixed ^ (mixed >>> 16)) >>> 0) + 0.5) / 2 ** 32;
}

/** Points per node on the ring. */
const POINTS = 160;

/** Consistent hashing: a key belongs to the first point above its CRC-32, or to the last point if there is none. */
function ring(nodes: readonly ShardNode[]): (tag: string) => number {
  const owners = new Map<number, number>();
  for (const [at, { name }] of nodes.entries()) {
    for (let i = 0; i < POINTS; i++) owners.set(crc32(byteText(`${name}:${i}`)), at);
  }
  const points = [...owners.keys()].sort((a, b) => a - b);
  return (tag) => owners.get(points[Math.min(above(points, crc32(tag)), points.length - 1)]!)!;
}

/** The number of sorted values that are at most this one. */
function above(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A rule that calls the user's function. */
function custom(placement: Placement): Rule {
  const over = (nodes: readonly ShardNode[]) => (tag: string) => {
    const name = placement(Buffer.from(tag, "latin1").toString(), nodes);
    const at = nodes.findIndex((node) => node.name === name);
    if (at < 0) throw new ArgumentError("the placement function did not return the name of a node");
    return at;
  };
  return bare({ tag: tagOf, over, fallible: true });
}

function readPlacement(placement: unknown = "rendezvous"): Rule {
  if (typeof placement === "function") return custom(placement as Placement);
  checked("placement", placement, must(`a function or ${oneOf(...Object.keys(RULES)).wanted}`, (name) =>
    typeof name === "string" && Object.hasOwn(RULES, name)));
  return RULES[placement as string]!;
}

// ==== 19. Sharding ====
//
// Many servers behind one handler. The placement finds the node of a key. The row of a command says what happens if its
// keys are on several nodes: `split` divides it, `together` copies its keys to one node, and STEPS has the steps of the
// others. None of this is atomic across nodes. To shard a command, call one of these on its row, or add its steps.

/** One of several servers. With weight 3 it holds three times as many keys as with weight 1; with weight 0, none. */
export type ShardHost = string | URL | Options & { weight?: number | undefined };
/** `placement` decides which node holds a key: "rendezvous" by default. */
export type ShardOptions = Options & { placement?: "rendezvous" | "txredisapi" | "rediscluster" | Placement };

/** A command failed on some of its nodes: `code` and `cause` are the code and the error of the first of them. */
export class ShardError extends RedisError {
  readonly #failures: { node: string; keys: Key[]; error: RedisError }[];
  readonly #done: { node: string; keys: Key[]; reply: unknown }[];

  constructor({ name, kind }: Row, failures: ShardError["failures"], done: ShardError["done"]) {
    const { error: cause } = failures[0]!;
    const outcomes = failures.map(({ error }) => error.outcome);
    const isAll = outcomes.every((each) => each === "executed");
    const isPartly = outcomes.some((each) => each === "unknown" || each === "executed");
    const isUnknown = isPartly || (done.length > 0 && kind !== "read");
    const isRefused = outcomes.includes("not-executed");
    const outcome = isAll ? "executed" : isUnknown ? "unknown" : isRefused ? "not-executed" : "not-sent";
    const counts = new Map<string, number>();
    for (const { node, keys } of failures) counts.set(node, (counts.get(node) ?? 0) + keys.length);
    const nodes = Array.from(counts, ([node, keys]) => keys === 0 ? node : `${node} (${keys} keys)`);
    const why = cause.of(undefined, cause.outcome).message;
    super(cause.code, outcome, `failed on ${nodes.join(", ")}: ${why}`, { command: name.text, cause });
    this.#failures = failures;
    this.#done = done;
  }

  /** Failed nodes, with the command's keys on them and their errors. A getter, so that logging does not show keys. */
  get failures(): { node: string; keys: Key[]; error: RedisError }[] { return this.#failures; }
  /** Nodes that succeeded, with the command's keys on them and their replies. */
  get done(): { node: string; keys: Key[]; reply: unknown }[] { return this.#done; }
  override get unavailable(): boolean { return this.#failures.some(({ error }) => error.unavailable); }
  override of(): this { return this; }
  static { named(this, "ShardError"); }
}

type Node = ShardNode & Named & { readonly config: Config };

/** A key among a command's arguments: its position, its name on its server, and its group. */
type Place<G> = { readonly at: number; readonly key: Word; readonly group: G };

/** The places of keys. A server can use all keys of a group together; a group is a node, or a slot of a cluster. */
interface Layout<M extends Member, G> {
  readonly proxy: ProxyName | undefined;
  members(): readonly M[];
  groupOf(key: Word): G;
  memberOf(group: G, pinned?: boolean): M;
  /** The name that a key has on its server. */
  stored(key: Word): Word;
  /** Runs a command whose keys are in several groups and which cannot be divided. */
  runInSteps(row: Row, words: readonly Word[], places: readonly Place<G>[], view: View): Promise<unknown>;
}

/** Finds the servers of a command, and its arguments there. `pinned`: as for Router.route(). */
function plan<M extends Member, G>(
  layout: Layout<M, G>, row: Row, args: readonly unknown[], pinned?: boolean,
): Plan<M> {
  if (isForAll(row)) {
    const words = wordsOf(row.name, args, row.form);
    const parts = layout.members().map((member) => ({ member, args: words, keys: [] }));
    return planOf(parts, (replies) => conclude(row, [], parts, replies));
  }
  const words = flatten(row.name, args, row.form);
  mustPass(layout, row, words);
  const positions = row.positions(words, row.placing);
  if (words.length === 0 && row.placing !== none) throw new ArgumentError("no key was passed", row.name.text);
  if (positions.length === 0) throw unsharded(row, "this call has no key");
  if (row.is.patterns && hasPattern(words)) throw unsharded(row, "its patterns refer to other keys");
  const keys = positions.map((at) => words[at]!);
  const places = keys.map((key, i) =>
    ({ at: positions[i]!, key: row.is.channel ? key : layout.stored(key), group: layout.groupOf(key) }));
  for (const { at, key } of places) words[at] = key;
  const [group, ...others] = new Set(places.map((place) => place.group));
  if (others.length === 0) {
    return planOf([{ member: layout.memberOf(group!, pinned), args: words, keys: [] }], ([reply]) => reply);
  }
  if (row.spread !== "split") {
    return planOf<M>([], ignore, (view) => layout.runInSteps(row, words, places, view));
  }
  if (row.placing === pairs && words.length % 2 !== 0) throw new ArgumentError("a key has no value", row.name.text);
  const parts = divide(places, words, (group) => layout.memberOf(group, pinned));
  return planOf(parts, (replies) => conclude(row, keys, parts, replies));
}

/** Whether the command's only key is its first argument, as for most commands, so that no plan is needed. */
const hasOneKey = (row: Row, args: readonly unknown[]): boolean =>
  row.placing === one && !row.is.patterns && typeof args[0] === "string";

/** Throws for a command that does not work over several servers. `isSure`: with its one key, routing never throws. */
function mustSpread(router: ClientRouter, row: Row, gathered: readonly unknown[] | undefined, isSure: boolean): void {
  if (row.instead !== undefined) throw unshared(row);
  if (row.is.bound) throw notSupported(row, UNBOUND);
  if (!isSharded(row)) throw unsharded(row, "it has no key");
  if (gathered === undefined) return;
  if (isForAll(row)) throw unsharded(row, "commands for every node cannot be pipelined");
  if (isSure) return;
  const route = router.route(row, gathered);
  if (route.server === undefined && route.parts.length === 0) throw unsharded(row, SCATTERED);
}

/** The router of a sharded handler. */
class Shards implements ClientRouter, Layout<Node, Node> {
  readonly only = undefined;
  readonly fleet = new Fleet<Node>();
  readonly #options: Unchecked;
  readonly #rule: Rule;
  readonly #readHost: (host: unknown) => Unchecked;
  #locate: (key: Word) => Node = () => {
    throw this.#unlisted();
  };
  readonly #following: Following;

  constructor(
    hosts: unknown, options: Unchecked, rule: Rule, readHost: (host: unknown) => Unchecked, timeout: Milliseconds,
  ) {
    if (options.replicas !== undefined) throw new ArgumentError("set option replicas on each host of the list");
    this.#options = options;
    this.#rule = rule;
    this.#readHost = readHost;
    this.#following = LiveList.follow(hosts, { take: (list) => void this.#replace(list, timeout), failed: ignore });
    this.fleet.onClose = () => this.#following.stop();
  }

  get proxy(): ProxyName | undefined { return this.#options.proxy as ProxyName | undefined; }

  check(row: Row, gathered?: readonly unknown[]): void {
    if (this.#options.proxy !== undefined) mustPass(this, row);
    const isSure = this.fleet.members.length === 0 || // then checked when it is sent
      (gathered !== undefined && this.#isSimple(row, gathered) && !this.#rule.fallible);
    mustSpread(this, row, gathered, isSure);
  }

  mustBeOpen(command: string): void { this.fleet.mustBeOpen(command); }

  route(row: Row, args: readonly unknown[]): Member | Plan<Node> {
    if (this.fleet.isClosed) return SHUT;
    if (this.fleet.members.length === 0) {
      return planOf([], ignore, (view) => this.#sendLater(row, args, view));
    }
    return this.#isSimple(row, args) ? this.#locate(args[0] as string) : plan(this, row, args);
  }

  #isSimple(row: Row, args: readonly unknown[]): boolean {
    return hasOneKey(row, args) && this.#rule.stored === undefined;
  }

  members(): readonly Node[] { return this.fleet.members; }
  toScan(): readonly Node[] { return this.fleet.members; }
  anywhere(): Origin | undefined { return this.members().length === 1 ? this.members()[0]!.server : undefined; }
  groupOf(key: Word): Node { return this.#locate(key); }
  memberOf(node: Node): Node { return node; }
  locate(key: Key): Node { return this.#locate(wordOf("a key", key)); }
  describe(): string { return this.members().length === 0 ? this.#unlisted().message : this.fleet.describe(); }

  /** Channels are on the node that publish() sends to, patterns on all nodes. */
  where(kind: Subscribing, channel: Key): readonly Origin[] {
    return (kind === "psubscribe" ? this.fleet.members : [this.locate(channel)]).map(({ server }) => server);
  }

  /** Returns a function that finds a key's node, among these hosts or, by default, the current ones. */
  locator(hosts: unknown): (key: Word) => Omit<Node, "server"> {
    return hosts === undefined ? this.#locate : this.#over(this.#read(hosts));
  }

  /** The name that a key has on its node. */
  stored(key: Word): Word {
    const text = byteText(key);
    const stored = this.#rule.stored?.(text) ?? text;
    return stored === text ? key : Buffer.from(stored, "latin1");
  }

  spread(row: Row, plan: Plan<Node>, view: View): Promise<unknown> {
    const { inSteps } = plan;
    return inSteps === undefined ? sendParts(row, plan, view) : this.fleet.keepOpenDuring(inSteps(view));
  }

  /** All steps share one deadline, except those that must follow because earlier ones have changed data. */
  runInSteps(row: Row, words: readonly Word[], places: readonly Place<Node>[], view: View): Promise<unknown> {
    const steps = STEPS.get(row);
    if (steps === undefined && row.spread === undefined) throw unsharded(row, SCATTERED);
    if (view.waitArgs !== undefined && row.kind !== "read") throw unsharded(row, "its steps do not wait for replicas");
    const { sure, signal, replyTimeout } = view;
    const end = world.now() + replyTimeout;
    const spots = places.map((place) => ({
      ...place,
      node: place.group,
      get on() { return new Handler<Buffer>(place.group.server, sure.with({ signal, replyTimeout: leftUntil(end) })); },
      sure: new Handler<Buffer>(place.group.server, sure),
    }));
    const doing = steps?.(spots, words, row).then((reply) => worded(reply, view)) ?? together(row, words, spots, view);
    return step(undefined, doing.catch((error) => {
      throw error instanceof RedisError || error instanceof ArgumentError ? error : badReply(row, error);
    }), row.name.text);
  }

  /** Replaces the hosts, and stops following a live list. */
  setHosts(hosts: unknown, timeout: Milliseconds): Promise<void> {
    this.fleet.mustBeOpen();
    const replaced = this.#replace(hosts, timeout);
    this.#following.stop();
    return replaced;
  }

  known(view: View): Promise<void> | undefined {
    return this.fleet.members.length > 0 ? undefined : this.#untilKnown(view);
  }

  async #untilKnown({ replyTimeout, signal }: View): Promise<void> {
    await unlessAborted(signal, "", () => settled([this.#following.listed], replyTimeout));
    if (this.fleet.members.length > 0) return;
    if (this.fleet.isClosed || this.#following.error() !== undefined) return rejected(this.#unlisted());
    throw new TimeoutError("REPLY_TIMEOUT", "not-sent", `no list of hosts within ${replyTimeout} ms`);
  }

  /** The error of a call before the first list. */
  #unlisted(): RedisError {
    if (this.fleet.isClosed) return CLOSED.of(undefined, "not-sent");
    const cause = this.#following.error();
    const why = cause?.message ?? "no list of hosts has come";
    return new ConnectionError("NOT_CONNECTED", "not-sent", `not connected: ${why}`, { cause });
  }

  /** Sends a command when there is a list, within its deadline. */
  async #sendLater(row: Row, args: readonly unknown[], view: View): Promise<unknown> {
    const end = world.now() + view.replyTimeout;
    await step(undefined, this.known(view) ?? Promise.resolve(), row.name.text);
    const route = this.route(row, args);
    const left = view.with({ replyTimeout: leftUntil(end) });
    return route.server === undefined ? this.spread(row, route, left) : send(route.server, row, args, left);
  }

  #replace(hosts: unknown, timeout: Milliseconds): Promise<void> {
    const nodes = this.#read(hosts).map((node) => {
      const kept = this.fleet.members.find(({ config }) => areEqual(config, node.config));
      return { ...node, server: kept?.server ?? originOf(node.config) };
    });
    this.#locate = this.#over(nodes);
    const { stored, fallible } = this.#rule;
    for (const node of nodes) {
      for (const cache of node.server.caches) {
        cache.forget((key) => stored !== undefined || fallible === true || this.#locate(key) !== node);
      }
    }
    return this.fleet.replace(nodes, timeout);
  }

  /** A user's placement function sees only a node's name and weight. */
  #over<N extends ShardNode>(nodes: readonly N[]): (key: Word) => N {
    const { tag, over } = this.#rule;
    const find = over(Object.freeze(nodes.map(({ name, weight }) => Object.freeze({ name, weight }))));
    return (key) => nodes[find(tag(byteText(key)))]!;
  }

  #read(hosts: unknown): Omit<Node, "server">[] {
    const seen = new Set<string>();
    const nodes = readHosts("hosts", hosts, (host, at) => {
      const { weight = 1, ...own } = this.#readHost(host) as Unchecked & { weight?: unknown };
      mustBeCommon(own, "nodes", "proxy");
      checked("weight", weight, MEMBER.weight);
      if (this.#rule.equal && weight !== 1) throw new ArgumentError("this placement does not support weights");
      const config = readOptions(withOwn(this.#options, own));
      const name = nodeName(config);
      if (seen.has(name)) throw new ArgumentError(`${name} is already in the list`);
      seen.add(name);
      return { name: this.#rule.name?.(at) ?? name, weight: weight as number, config };
    });
    if (nodes.every(({ weight }) => weight === 0)) throw new ArgumentError("hosts must have one with a weight above 0");
    return nodes;
  }
}

/** Sends the parts of a command: those of one server in one write, unless the near cache may answer one of them. */
function sendParts(row: Row, { parts, merge }: Plan, view: View): Promise<unknown> {
  const [first] = parts;
  if (parts.length === 1 && row.spread !== "each") return send(first!.member.server, row, first!.args, view);
  const lanes = new Map<Target, number[]>();
  for (const [i, { member: { server } }] of parts.entries()) listIn(lanes, server).push(i);
  const isApart = lanes.size === parts.length || view.near !== undefined;
  const isDurable = view.durable !== 0 && changesData(row);
  const replies = isApart && !isDurable ? sendApart(row, parts, view) : sendLanes(row, parts, lanes, view);
  return replies.then((all) => {
    const reply = merge(all);
    if (reply instanceof RedisError) throw reply;
    return reply;
  });
}

function sendApart(row: Row, parts: readonly Part[], view: View): Promise<unknown[]> {
  const issued = parts.map(({ args }) => new Command(row, args, view)); // before sending any: it may throw
  const sent = withoutStack(() => issued.map((command, i) => parts[i]!.member.server.dispatch(command)));
  return Promise.all(sent.map((reply) => reply.catch((error: unknown) => error)));
}

async function sendLanes(
  row: Row, parts: readonly Part[], lanes: ReadonlyMap<Target, readonly number[]>, view: View,
): Promise<unknown[]> {
  const replies: unknown[] = [];
  await Promise.all(Array.from(lanes, async ([server, lane]) => {
    const batch = new Batch();
    for (const i of lane) batch.add(row, parts[i]!.args);
    for (const [at, reply] of (await sendPipeline(server, batch, row, view)).entries()) replies[lane[at]!] = reply;
  }));
  return replies;
}

/** Returns the list of a key; adds an empty one if there is none. */
function listIn<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

/** Divides the arguments of a command among the groups: each key, with the arguments that follow it. */
function divide<M, G>(places: readonly Place<G>[], words: readonly Word[], memberOf: (group: G) => M): Part<M>[] {
  const step = places[1]!.at - places[0]!.at;
  const parts = new Map<G, { member: M; args: Word[]; keys: number[] }>();
  for (const [key, { group, at }] of places.entries()) {
    const part = parts.get(group) ?? { member: memberOf(group), args: [], keys: [] };
    parts.set(group, part);
    part.keys.push(key);
    for (let i = at; i < at + step; i++) part.args.push(words[i]!);
  }
  return [...parts.values()];
}

const isForAll = ({ spread }: Row): boolean => spread === "all" || spread === "each";

const isSharded = (row: Row): boolean => row.instead === undefined && (isForAll(row) || row.placing !== none);

/** Merges the replies of several nodes; returns a ShardError if some of them failed. */
function conclude(row: Row, keys: readonly Word[], parts: readonly Part[], replies: readonly unknown[]): unknown {
  const results = parts.map((part, i) =>
    ({ node: part.member.name, keys: part.keys.map((key) => keys[key]!), reply: replies[i] }));
  const failures = results.flatMap(({ reply: error, ...of }) => error instanceof RedisError ? { ...of, error } : []);
  const done = results.filter(({ reply }) => !(reply instanceof RedisError));
  const aborted = failures.find(({ error }) => error instanceof AbortError);
  if (failures.length > 0) return aborted?.error ?? new ShardError(row, failures, done);
  if (row.spread === "each") return toMap(results.flatMap(({ node, reply }) => [node, reply]), false);
  try {
    return row.merge(replies, parts.map((part) => part.keys));
  } catch (error) {
    return badReply(row, error);
  }
}

// ---- Steps over several nodes ----

/** Handlers of a key's node, which return bytes: `on` obeys the call's deadline and signal, `sure` does not. */
type Spot = Place<Node> & { readonly node: Node; readonly on: Handler<Buffer>; readonly sure: Handler<Buffer> };
/** Runs a command in steps. `words` are its arguments, with the names that keys have on their nodes. */
type Steps = (spots: readonly Spot[], words: readonly Word[], row: Row) => Promise<unknown>;

const MOST_RENAMES = 100;
const MOST_MEMBERS = 10_000; // written by one command
const leftUntil = (end: Milliseconds): Milliseconds => Math.max(1, Math.ceil(end - world.now()));
/** Generates a unique key. */
const ownName = (): string => `redis.ts:${builtin("node:crypto").randomUUID()}`;

/**
 * Gives a step's failure the outcome of the whole command: before the first change "not-sent", or the outcome of the
 * error reply; after it "unknown". Instead of a PipelineError, rejects with its first error reply, or else its cause.
 */
const step = <T,>(outcome: Outcome | undefined, doing: Promise<T>, command?: string): Promise<T> =>
  doing.catch((error) => {
    if (!(error instanceof RedisError)) throw error;
    const results = error instanceof PipelineError ? [...error.results, error.cause] : [error];
    const why = results.find((result) => result instanceof ReplyError) ?? results.at(-1) as RedisError;
    const isRefused = outcome === "not-sent" && why instanceof ReplyError;
    throw why.of(command, isRefused ? why.outcome : outcome ?? why.outcome);
  });

/** Copies a value with its time to live; resolves with its DUMP, or null if the key does not exist. */
async function copy(from: Spot, to: Spot, REPLACE: boolean): Promise<Buffer | null> {
  const replies = await step("not-sent", from.on.pipeline().pttl(from.key).dump(from.key).commit());
  const [left, dump] = [accepted(replies[0]), accepted(replies[1])];
  if (dump !== null) await to.on.restore(to.key, left < 0 ? 0 : Math.max(1, left), dump, { REPLACE });
  return dump;
}

function accepted<T>(reply: T | ReplyError): T {
  if (reply instanceof ReplyError) throw reply;
  return reply;
}

/** Copies, then deletes the source if it is unchanged; otherwise deletes the copy, if unchanged, and retries. */
async function rename(from: Spot, to: Spot, replace: boolean): Promise<true> {
  for (let attempt = 1; attempt <= MOST_RENAMES; attempt++) {
    const isReplaced = replace && attempt > 1; // by an earlier copy
    const dump = await (isReplaced ? step("unknown", copy(from, to, replace)) : copy(from, to, replace));
    if (dump === null && !isReplaced) throw new ReplyError("ERR", "not-executed", "ERR no such key");
    if (dump === null) return true; // the source was deleted, as if after the rename
    if (await deleteIf(from, "dump", dump)) return true;
    if (!replace) await deleteIf(to, "dump", dump);
  }
  throw new WatchError("WATCH", "unknown", "the key was changed after each copy");
}

/** Deletes a key if it has this value. Never holds connections of two nodes: crossing renames could deadlock. */
async function deleteIf({ sure, key }: Spot, look: "dump" | "mget", value: Buffer): Promise<boolean> {
  const deleted = await step("unknown", sure.transaction([key], async (t) => {
    const [found] = [await t[look](key)].flat(); // MGET returns null for other types
    if (found?.equals(value)) void (await t.multi()).del(key);
  }));
  return deleted.length > 0;
}

/**
 * Moves an element between lists. Until it arrives, a helper list on the source's node holds it, so that it is never
 * lost. If it certainly has not arrived, it is put back; if that is unknown or impossible, a ShardError names the list.
 */
async function pass([from, to]: readonly Spot[], words: readonly Word[], row: Row): Promise<Buffer | null> {
  const { on, sure, key, node } = from!;
  const [out, into] = words.slice(2).map((word) => String(word).toUpperCase()); // only LMOVE and BLMOVE name the ends
  const transit = ownName();
  let element: Buffer | null = null;
  const ttl = sure.pttl(key).catch(() => -1);
  const putBack = async (): Promise<void> => {
    const held = element ?? await sure.lindex(transit, 0);
    if (held === null) return;
    await sure[out === "LEFT" ? "lpush" : "rpush"](key, held); // in MULTI, DEL would run even if this were refused
    await sure.del(transit);
    const left = await ttl;
    if (left > 0 && await sure.llen(key) === 1) await sure.pexpire(key, left); // deleted with its last element
  };
  try {
    element = await on.call<Buffer | null>(row.name.text, key, transit, ...words.slice(2));
    if (element === null) return null;
    await to!.sure[into === "RIGHT" ? "rpush" : "lpush"](to!.key, element);
    await sure.del(transit).catch(ignore);
    return element;
  } catch (cause) {
    const error = cause as RedisError;
    const isUnknown = error.outcome === "unknown";
    if (element === null && !isUnknown) throw error;
    const failures = [{ node: to!.node.name, keys: [to!.key], error }];
    const lost = new ShardError(row, failures, [{ node: node.name, keys: [transit], reply: element }]);
    if (element !== null && isUnknown) throw lost;
    await putBack().catch(() => Promise.reject(lost));
    throw error;
  }
}

/** Sets all keys if none of them exists. If a node does not set its keys, deletes those that others have set. */
async function setAll(spots: readonly Spot[], words: readonly Word[]): Promise<number> {
  const existing = await step("not-sent", Promise.all(spots.map(({ on, key }) => on.exists(key))));
  if (existing.includes(1)) return 0;
  const parts = divide(spots, words, (node) => node);
  const sets = await Promise.allSettled(parts.map(({ keys, args }) => spots[keys[0]!]!.sure.msetnx(...args as Word[])));
  const done = parts.filter((_, i) => (sets[i] as { value?: number }).value === 1);
  if (done.length === parts.length) return 1;
  await Promise.all(done.flatMap(({ keys }) => keys.map((at) =>
    deleteIf(spots[at]!, "mget", Buffer.from(words[2 * at + 1] as string)))));
  const failures = sets.flatMap((set) => set.status === "rejected" ? [set.reason as RedisError] : []);
  if (failures.length > 0) throw failures.find(({ outcome }) => outcome === "unknown") ?? failures[0];
  return 0;
}

/** Sends a call with a wrong number of arguments per key to the first key's server, which refuses it. */
const exactly = (perKey: number, steps: Steps): Steps => (spots, words, row) =>
  words.length === perKey * spots.length ? steps(spots, words, row) : spots[0]!.on.call(row.name.text, ...words);

const STEPS = new Map<Row, Steps>([
  [commands.rename, exactly(1, async ([from, to]) => await rename(from!, to!, true) && "OK")],
  [commands.renamenx, exactly(1, ([from, to]) =>
    rename(from!, to!, false).then(Number, ifRefused("BUSYKEY", () => 0)))],
  [commands.copy, ([from, to], [, , ...options]) => {
    const isKnown = options.every((word) => String(word).toUpperCase() === "REPLACE");
    if (!isKnown) throw unsharded(commands.copy, "across nodes, it supports only REPLACE");
    return copy(from!, to!, options.length > 0).then((dump) => dump ? 1 : 0, ifRefused("BUSYKEY", () => 0));
  }],
  [commands.smove, exactly(3 / 2, async ([from, to], [, , member]) => {
    const { on, sure, key } = from!;
    const [exists, holds] = await step("not-sent", Promise.all([on.exists(key), on.sismember(key, member!)]));
    if (exists === 1 && holds === 0) await step("not-sent", to!.on.scard(to!.key)); // rejects if it is not a set
    if (holds === 0) return 0;
    await to!.on.sadd(to!.key, member!);
    return step("unknown", sure.srem(key, member!)); // better in both sets than in neither
  })],
  [commands.msetnx, exactly(2, setAll)],
  ...[commands.rpoplpush, commands.lmove, commands.brpoplpush, commands.blmove].map((row) => [row, pass] as const),
]);

/** Reads a value; resolves with commands that recreate it under `name`. */
async function carry(carriage: Carriage, { on, key }: Spot, name: Word): Promise<[row: Row, args: unknown[]][]> {
  const inChunks = (row: Row, members: readonly unknown[]): [row: Row, args: unknown[]][] =>
    range(0, Math.ceil(members.length / MOST_MEMBERS)).map((i) =>
      [row, [name, ...members.slice(i * MOST_MEMBERS, (i + 1) * MOST_MEMBERS)]]);
  const set = async () => inChunks(commands.sadd, await on.smembers(key)); // ZUNION and others accept sets, too
  if (carriage === "string") return inChunks(commands.set, [await on.get(key)].filter((value) => value !== null));
  if (carriage === "set") return set();
  return on.zrange(key, 0, -1, { WITHSCORES: true }).then((scored) =>
    inChunks(commands.zadd, scored.map(([member, score]) => [String(score), member])), ifRefused("WRONGTYPE", set));
}

/** Runs the command on its first key's node. Copies of the other keys exist there only within one MULTI and EXEC. */
async function together(row: Row, args: readonly Word[], spots: readonly Spot[], view: View): Promise<unknown> {
  const { node } = spots[0]!;
  const end = world.now() + view.replyTimeout;
  const words = [...args];
  const others = spots.filter((spot) => spot.node !== node);
  const copies = await step("not-sent", Promise.all(others.map((spot) =>
    carry(row.spread as Carriage, spot, words[spot.at] = ownName()))));
  const gathered = new Gathering(node.server, view.with({ replyTimeout: leftUntil(end), durable: 0 }));
  for (const [add, args] of copies.flat()) understood(add, () => gathered.give(add, args));
  gathered.give(row, words);
  gathered.give(commands.del, others.map(({ at }) => words[at]));
  const reply = (await gathered.commit()).at(-2);
  if (reply instanceof RedisError) throw reply;
  return reply;
}

// ---- The handler ----

/** Commands that can be sharded. Some that go to every node, like INFO, resolve with replies by node name. */
export type ShardedCommands<Text = string> = {
  [C in keyof Sharded]: Later<Sharded[C]["call"], Text, Sharded[C]["reach"]>;
};
type Sharded = Omit<Shared, RowsLike<Row<any, any, "nowhere">>>;

/** Base class of handlers for many servers. */
export abstract class ManyClient<Text, R extends Shards | Cluster = Shards | Cluster> extends Client<Text, R> {
  get #router(): R { return insideOf(this).router; }

  /** Sends WATCH and MULTI to the node of these keys. */
  override multi(...keys: [key: Key | readonly Key[], ...more: Many<Key>]): Promise<Transaction> {
    return super.multi(...keys);
  }

  /** Lends `body` a connection to the node of these keys, like lease() of a handler for one server. */
  lease<T>(keys: Key | readonly Key[], body: (connection: LeasedConnection<Text>) => T): Promise<Awaited<T>> {
    return lend(this.#router, [keys], this.view, body).catch(rejected);
  }

  /** Names of the methods whose commands can be sharded. */
  get shardedMethods(): string[] {
    return Object.entries(commands).flatMap(([name, row]) => isSharded(row) ? [name] : []);
  }

  /** The name of a key's node. */
  nodeFor(key: Key): string { return this.#router.locate(key).name; }
  /** A handler for the key's node, for commands that need one server; call it again after nodes have changed. */
  shard(key: Key): Handler<Text> { return new Handler(this.#router.locate(key).server, this.view); }

  /** Handlers for all current nodes, by name. */
  shards(): Map<string, Handler<Text>> {
    return new Map(this.#router.members().map(({ name, server }) => [name, new Handler(server, this.view)]));
  }
}

/** A handler for many servers; each key is on one of them. */
export class ShardedHandler<Text = string> extends ManyClient<Text, Shards> {
  get #shards(): Shards { return insideOf(this).router; }

  /**
   * Replaces the list of hosts, and a live list for good. Commands in flight finish on their nodes, new ones go to the
   * nodes of the new list; resolves when nodes that are no longer in it have been drained and closed. Moves no keys:
   * see misplaced().
   */
  setHosts(hosts: readonly ShardHost[]): Promise<void> { return this.#shards.setHosts(hosts, this.view.replyTimeout); }

  /**
   * Iterates over the keys that are not on their node according to `hosts` (by default, the current list): `from` is
   * the node that has the key, `to` the node that should have it. Scans all nodes.
   */
  async *misplaced(
    hosts?: readonly ShardHost[],
  ): AsyncGenerator<{ key: TextIn<Text>; from: string; to: string }, void, undefined> {
    await this.#shards.known(this.view);
    const locate = this.#shards.locator(hosts);
    for (const { name, config, server } of this.#shards.fleet.members) {
      for await (const key of new Handler<Buffer>(server, this.view.sure).scanIterator()) {
        const to = locate(key);
        if (nodeName(to.config) === nodeName(config)) continue;
        yield { key: worded(key, this.view) as TextIn<Text>, from: name, to: to.name };
      }
    }
  }
}

export interface ShardedHandler<Text> extends ShardedCommands<Text> {}

// ==== 20. Slots ====
//
// Each key of a Redis Cluster is in one of 16,384 slots, and each slot is served by one primary. While slots move from
// one node to another, a Handover holds their commands, so that they keep their order. To read another form of the map,
// change readView.

const SLOTS = 16_384;

/** CRC-16/XMODEM of each byte, and of each byte followed by a zero byte; computed on first use. */
let slotTables: ReturnType<typeof makeSlotTables> | undefined;

function makeSlotTables(): { readonly ofOne: Uint16Array; readonly ofTwo: Uint16Array } {
  const ofOne = Uint16Array.from({ length: 256 }, (_, byte) => {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    return crc;
  });
  return { ofOne, ofTwo: ofOne.map((crc) => crc << 8 ^ ofOne[crc >> 8]!) };
}

/** The slot of a key or a shard channel: a CRC-16 of its tag. */
function slotOf(key: Word): number {
  const { ofOne, ofTwo } = slotTables ??= makeSlotTables();
  const tag = tagOf(typeof key === "string" ? key : byteText(key));
  let i = 0;
  let crc = 0;
  let bits = 0;
  for (; i < tag.length - 1; i += 2) { // two bytes at a time: half as many steps depend on the one before
    const left = tag.charCodeAt(i);
    const right = tag.charCodeAt(i + 1);
    bits |= left | right;
    crc = ofTwo[(crc >> 8 ^ left) & 255]! ^ ofOne[(crc ^ right) & 255]!;
  }
  if (i < tag.length) {
    const last = tag.charCodeAt(i);
    bits |= last;
    crc = (crc & 255) << 8 ^ ofOne[(crc >> 8 ^ last) & 255]!;
  }
  return bits > 127 && typeof key === "string" ? slotOf(Buffer.from(key)) : crc & (SLOTS - 1);
}

/** The slot of the first key of a command, or of a batch; undefined if it has none. */
function slotOfCommand(command: Command): number | undefined {
  for (const key of keysOf(command)) return slotOf(key);
  return undefined;
}

const isSlot = (slot: unknown): slot is number => whole(0, SLOTS - 1).holds(slot);
const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || host.startsWith("127.");
const shuffled = <T,>(items: readonly T[]): T[] =>
  items.map((item) => ({ item, at: world.random() })).sort((a, b) => a.at - b.at).map(({ item }) => item);

/** State of a node's connections: "unused" before the first command for it. */
export type ClusterNodeState = "connected" | "connecting" | "lost" | "unused";
/** A node of a cluster, as nodes() describes it. `slots`: ranges, as first and last; a replica has its primary's. */
export type ClusterNodeInfo = {
  id: string; address: string; role: "primary" | "replica"; slots: [first: number, last: number][];
  state: ClusterNodeState;
};

/** A node of a cluster; its connections are opened on first use. */
class ClusterNode implements Named {
  readonly name: string;
  readonly config: Config;
  id = "";
  replicas: readonly ClusterNode[] = [];
  /** Time at which a map last named replicas of it. */
  replicatedAt = -Infinity;
  /** Time at which its last connection was lost; undefined while it answers. */
  lostAt: number | undefined;
  /** Number of maps in a row that do not name it as a primary. */
  absences = 0;
  /** The handover that began in this tick. */
  handover: Handover | undefined;
  /** Limits the renewals that its redirections to itself cause. */
  readonly renewals = new Allowance(3);
  /** Whether commands may be redirected to it, although it is not open yet. */
  mayOpen = false;
  /** `owingSince` of its pool when last checked, and whether it had not changed then. */
  owingSince: number | undefined;
  isSilent = false;
  opened: Server | undefined;
  readonly #open: (node: ClusterNode) => Server;

  constructor(config: Config, open: (node: ClusterNode) => Server) {
    this.name = hostOf(config);
    this.config = config;
    this.#open = open;
  }

  get server(): Server { return this.opened ??= this.#open(this); }
  get isLost(): boolean { return this.lostAt !== undefined && this.opened?.primary.isUp !== true; }

  /** `primary`: its primary, or the node itself. */
  state(primary: ClusterNode): ClusterNodeState {
    const isUp = primary === this ? this.opened?.primary.isUp : primary.opened?.isUp(this.config);
    return isUp === undefined ? "unused" : isUp ? "connected" : this.isLost ? "lost" : "connecting";
  }
}

/** A command in a handover, and the node to which it goes if that is not the owner of its slot. */
type HeldCommand = readonly [command: Command, to: ClusterNode | undefined];

/** Holds the commands of slots that move, or whose node is not known, and sends them on in the order of their calls. */
class Handover implements CommandOwner {
  /** The node whose commands it holds. */
  readonly name: string;
  readonly server = this;
  readonly slots = new Set<number>();
  /** Commands that other nodes have had, and new ones. */
  readonly #held: HeldCommand[] = [];
  readonly #later = new Queue();
  /** Servers that may still answer earlier commands of the slots. */
  readonly #pools = new Set<Pool>();
  /** Unanswered commands that it has sent to a node which does not own their slot. */
  readonly #away = new Set<Command>();
  #whenBack = ignore;
  /** Number of PAUSEs that its commands rest before they go on, while nodes disagree. */
  rests = 0;
  isOver = false;
  readonly #options: Config;
  readonly #obstacle: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(name: string, options: Config, obstacle: string) {
    this.name = name;
    this.#options = options;
    this.#obstacle = obstacle;
  }

  dispatch(command: Command): Promise<unknown> {
    const isNew = command.owner === undefined;
    this.#own(command);
    if (!isNew) this.#held.push([command, undefined]);
    else if (this.#later.isFull(this.#options, command)) overload(command);
    else this.#later.push(command);
    return command.promise;
  }

  /** Takes a command that a node refused; `to`: the node to which it goes, if that is not the owner of its slot. */
  redirect(command: Command, to: ClusterNode | undefined): void {
    this.back(command);
    this.#own(command);
    this.#held.push([command, to]);
  }

  #own(command: Command): void {
    command.owner = this;
    if (command.deadline === Infinity) beginCall(command, world.now(), heard(tracersOf(this.#options)), this);
    this.#timer ??= world.after(2 * COARSE, () => this.#expire());
  }

  get info(): ServerInfo { return serverInfo(this.name, this.#options, this.#options.dbid); }
  elsewhere(): undefined { return undefined; }
  finished(): void {}
  /** Makes answered() wait for this server, too. */
  follow(pool: Pool): void { this.#pools.add(pool); }

  /** Resolves when the earlier commands of its slots have been answered, or their server is silent. */
  async answered(): Promise<void> {
    do {
      for (const pool of this.#pools) await pool.answered().then(() => this.#pools.delete(pool));
      while (this.#away.size > 0) {
        const before = this.#away.size;
        await settled([new Promise<void>((resolve) => (this.#whenBack = resolve))], SILENCE);
        if (this.#away.size === before) this.#away.clear();
      }
    } while (this.#pools.size > 0);
  }

  /** Sends a command on. `isAway`: its node does not own its slot, so that later commands wait for its reply. */
  send(command: Command, to: Target, isAway: boolean): void {
    void to.dispatch(command);
    if (!isAway || command.blocks !== undefined) return;
    const back = (): void => this.back(command);
    this.#away.add(command);
    command.promise.then(back, back);
  }

  /** Stops waiting for the reply to a command that it has sent. */
  back(command: Command): void {
    if (this.#away.delete(command) && this.#away.size === 0) this.#whenBack();
  }

  /** Takes back a command that take() returned. */
  keep(held: HeldCommand): void { this.#held.push(held); }

  /** Removes the unsettled commands, and returns them in the order of their calls. */
  take(): HeldCommand[] {
    const later = this.#later.drain().map((command): HeldCommand => [command, undefined]);
    return [...this.#held.splice(0), ...later]
      .filter(([{ state }]) => state !== "settled")
      .sort(([one], [other]) => Command.byTurn(one, other));
  }

  end(): HeldCommand[] {
    this.isOver = true;
    world.cancel(this.#timer);
    return this.take();
  }

  #expire(): void {
    const now = world.now();
    for (const command of [...this.#held.map(([held]) => held), ...this.#later.commands()]) {
      if (command.deadline <= now) command.expire(this.#obstacle);
    }
    this.#timer = world.after(2 * COARSE, () => this.#expire());
  }
}

/** View of the cluster by one of its nodes: CLUSTER SLOTS, and the epoch in CLUSTER INFO. */
type ClusterView = { readonly epoch: number; readonly ranges: readonly unknown[]; readonly teller: Config };

/** The commands in the handshake that ask a node for its view. */
const VIEWING: readonly [Row][] = [[commands.clusterSlots], [commands.clusterInfo]];

/** Reads a node's replies to these; throws if it is not a node of a cluster, or names no slots. */
function readView([ranges, info]: readonly unknown[], teller: Config): ClusterView {
  if (ranges instanceof RedisError) {
    const isNone = ranges.message.includes("cluster support disabled");
    const why = isNone ? "is not a node of a cluster; use connection() or connectionPool()" : "names no slots";
    throw new ConnectionError("WRONG_SERVER", "not-sent", `${addressOf(teller)} ${why}`, { cause: asCause(ranges) });
  }
  const epoch = toNumber(fieldsOfInfo(info).get("cluster_current_epoch") ?? "");
  return { epoch: ID.holds(epoch) ? epoch : 0, ranges: Array.isArray(ranges) ? ranges : [], teller };
}

// ==== 21. Cluster ====
//
// A router over slots. Nodes say which of them serves which slots, and where a command for another node belongs (MOVED,
// ASK): the driver sends it there, with the same promise and deadline. The map is renewed in the background, from
// several nodes. To change what becomes of a command that a node refused, change #move; to change how a node's address
// is read, change #nodeAt.

const MOST_NODES = 4_096;
const MOST_REFUSALS = 8; // shown in one message
/** Maximum number of redirections of a command, and of those without a pause: two nodes could redirect for ever. */
const MOST_HOPS = 16;
const QUICK_HOPS = 3;
const WITNESSES = 3; // nodes asked for a map at once
const WITNESS_TIMEOUT: Milliseconds = 1_000;
/** Time between two maps: the shortest, doubled while nothing changes; the longest; and without a reason to ask. */
const FIRST_GAP: Milliseconds = 100;
const LONGEST_GAP: Milliseconds = 5_000;
const REVIEW: Milliseconds = 30_000;
const SILENCE: Milliseconds = 1_000; // a node that owes replies and sends nothing for this long may have been replaced
const TAKEOVER: Milliseconds = 30_000; // commands wait this long for a replica to take over from a lost primary

const UNLISTED = new ConnectionError("NOT_CONNECTED", "not-sent", "no list of hosts has come");
const ELSEWHERE = "its slot is moving to another node";
/** The owner of each slot. */
type Owners = (ClusterNode | undefined)[];

/** The error for a command, a transaction or a lease whose keys are in several slots. */
const inSlots = (row: Row): NotSupportedError =>
  notSupported(row, "its keys are in several slots of the cluster; give all of them one hash tag");

/** The router of a cluster's handler. */
class Cluster implements ClientRouter, Layout<Member, number> {
  readonly only = undefined;
  readonly proxy = undefined;
  readonly fleet = new Fleet<ClusterNode>();
  readonly #options: Config;
  #seeds: readonly Config[] = [];
  readonly #following: Following;
  readonly #nodes = new Map<string, ClusterNode>();
  /** Where the commands of each slot go: to its owner, or to a handover. */
  #slots: (Member | undefined)[] = [];
  #owners: Owners = [];
  /** For each slot, where its commands go now: for transactions and leases, whose keys must be in one slot. */
  readonly #pinned: (Member | undefined)[] = [];
  /** The owners, each once; undefined until computed again after a change. */
  #members: readonly ClusterNode[] | undefined;
  /** Slots whose owner was named by a MOVED that is at least as new as the map. */
  readonly #patched = new Set<number>();
  readonly #handovers = new Set<Handover>();
  /** Lost connections to nodes, also to those that have left and may come back. */
  readonly #fences = new Fences();
  /** Connections to nodes that are asked for their views. */
  readonly #witnessing = new Set<Connection>();
  /** Holds the commands of slots without an owner while a map is on its way. */
  #lobby: Handover | undefined;
  #epoch = -1;
  /** Address of the node that first named this epoch, and of the last one whose epoch most others did not confirm. */
  #teller = "";
  #liar = "";
  /** Time since which most nodes name older epochs. */
  #olderSince = Infinity;
  /** Nodes that probably have the latest map. */
  readonly #hints = new Set<ClusterNode>();
  #asking: Promise<void> | undefined;
  #isStale = false;
  #gap = FIRST_GAP;
  #askedAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  /** Number of times in a row that no node has answered, and the last error. */
  #failures = 0;
  #error: RedisError | undefined;
  /** Reasons for which the driver does not use addresses that nodes have named. */
  readonly #refusals = new Set<string>();
  /** Limits new connections to nodes that MOVED and ASK name; past the limit, commands wait for the next map. */
  readonly #visits = new Allowance(16);
  /** Whether subscriptions will move at the end of this tick. */
  #areMoving = false;
  /** The node that ordinary subscriptions listen to. */
  #broadcaster: ClusterNode | undefined;

  /** `seeds`: a list, or a function that returns lists. */
  constructor(seeds: unknown, options: Unchecked) {
    this.#options = readClustered(options);
    this.fleet.known = () => this.#known();
    this.fleet.onClose = () => this.#close();
    this.#following = LiveList.follow(seeds, {
      take: (hosts) => {
        this.#seeds = readSeeds(hosts, options);
        if (this.#epoch < 0) this.#ask().catch(ignore); // otherwise they are used for the next map
      },
      failed: (error) => void (this.#error = error),
    });
    this.#ask().catch(ignore);
    this.#listen();
  }

  // ---- Routing ----

  check(row: Row, gathered?: readonly unknown[]): void {
    mustSpread(this, row, gathered, gathered !== undefined && hasOneKey(row, gathered));
  }

  mustBeOpen(command: string): void { this.fleet.mustBeOpen(command); }
  known(): undefined { return undefined; } // commands wait for their slot

  route(row: Row, args: readonly unknown[], pinned = false): Member | Plan {
    if (this.fleet.isClosed) return SHUT;
    if (hasOneKey(row, args)) return this.memberOf(slotOf(args[0] as string), pinned);
    if (isForAll(row) && this.#epoch < 0) {
      return planOf([], ignore, (view) => unlessAborted(view.signal, row.name.text, () => this.#known())
        .then(() => this.spread(row, plan(this, row, args), view)));
    }
    const found = plan<Member, number>(this, row, args, pinned);
    if (pinned && found.parts.length !== 1) throw inSlots(row);
    return found;
  }

  members(): readonly ClusterNode[] {
    if (this.#members !== undefined) return this.#members;
    const members = new Set<ClusterNode>();
    let last: ClusterNode | undefined; // adjacent slots mostly share an owner, and a Set is slow
    for (const owner of this.#owners) if (owner !== last && (last = owner) !== undefined) members.add(owner!);
    return this.#members = [...members];
  }

  anywhere(): undefined { return undefined; }

  /** Yields all primaries, and again those that got slots which may not have been scanned completely. */
  async *toScan(): AsyncGenerator<Named, void> {
    const scanned = new Set<number>();
    await this.#known();
    for (;;) {
      const node = this.#owners.find((owner, slot) => owner !== undefined && !scanned.has(slot));
      if (node === undefined) return;
      const slots = this.#slotsOf(node);
      yield node;
      await this.#asking; // those answers may be older than the move of a slot
      await this.#ask();
      for (const slot of slots) if (this.#owners[slot] === node) scanned.add(slot);
    }
  }

  groupOf(key: Word): number { return slotOf(key); }
  memberOf(slot: number, pinned = false): Member {
    if (!pinned) return this.#slots[slot] ?? this.#waitingRoom();
    const dispatch = (command: Command): Promise<unknown> => this.memberOf(slot).server.dispatch(command);
    return this.#pinned[slot] ??= { name: "", server: { dispatch } };
  }

  stored(key: Word): Word { return key; }
  runInSteps(row: Row): never { throw inSlots(row); }
  /** The node of a key; throws before the first map, and if no node serves its slot. */
  locate(key: Key): ClusterNode {
    const slot = slotOf(wordOf("a key", key));
    const node = this.#owners[slot];
    if (node === undefined) throw this.#unserved(slot);
    return node;
  }

  spread(row: Row, plan: Plan, view: View): Promise<unknown> {
    return plan.inSteps?.(view) ?? sendParts(row, plan, view);
  }

  // ---- Commands that a node refused ----

  /** Decides what becomes of a command that `from` refused because of its slot; false: its caller gets the error. */
  #redirect(from: ClusterNode, pool: Pool, command: Command, error: ReplyError, lease: Lease | undefined): boolean {
    const { view, owner, special: { batch } } = command;
    if (owner === undefined) { // a command on a lent connection stays there
      if (lease !== undefined) this.#told(from, error);
      if (nameOfRefusal(error) === "EXECABORT" || lease === undefined || lease.command.row === LEASE) return false;
      command.refuse(new WatchError("WATCH", "not-executed", ELSEWHERE, { cause: asCause(error) }));
      return true;
    }
    if (batch === undefined) return this.#move(from, pool, command, error);
    const at = batch.replies.length;
    if (batch.isAtomic) {
      const cause = [...batch.replies, error].filter(isReplyError).find(({ code }) => code !== "EXECABORT");
      if (batch.rows[at] !== commands.exec || cause === undefined || !refusalOf(cause).routed) return false;
      if (batch.wait !== undefined) return this.#moveCopy(from, pool, command, cause);
      return this.#move(from, pool, command, cause);
    }
    const target: Target = {
      dispatch: (single) => {
        single.inherit(command);
        if (!this.#move(from, pool, single, error)) single.refuse(error);
        return single.promise;
      },
    };
    if (batch.rows[at] === commands.wait || view.signal?.aborted) return false;
    const own = new View({ ...view, trace: undefined }); // it is traced as a part of the batch
    const reply = send(target, batch.rows[at]!, batch.words[at]!, own).catch((failed: unknown) => failed);
    batch.redirected = (batch.redirected ?? new Map()).set(at, reply);
    return false;
  }

  /** Moves a copy of a durable transaction, because the reply to its WAIT is still to come here. */
  #moveCopy(from: ClusterNode, pool: Pool, command: Command, error: ReplyError): boolean {
    const { row, view, special } = command;
    const batch = special.batch!;
    if (view.signal?.aborted) return false;
    const copy = new Command(row, [], view, { ...special, batch: batch.again([], 0) });
    copy.inherit(command);
    if (!this.#move(from, pool, copy, error)) return false;
    const replies = copy.promise.then((all) => copy.special.batch!.complete(all as unknown[]))
      .catch((failed: unknown) => batch.rows.map(() => failed));
    batch.redirected = new Map(batch.rows.map((_, at) => [at, replies.then((all) => all[at])]));
    return false;
  }

  /** Sends a command that was certainly not executed to the node that the error names, or again after a pause. */
  #move(from: ClusterNode, pool: Pool, command: Command, error: ReplyError): boolean {
    const { batch, detour = { hops: 0, asking: "none" } } = command.special;
    const renew = (hops: number, asks: boolean): void => {
      if (batch !== undefined) command.special.batch = batch.again([], 0);
      command.redirect(hops, asks);
      command.refusal = error;
    };
    const code = nameOfRefusal(error);
    if (code === "MOVED" || code === "ASK") {
      const isReplicas = pool !== from.opened?.primary;
      const told = this.#told(from, error, isReplicas ? "replica" : detour.asking === "none" ? "owner" : "asked");
      const hops = detour.hops + 1;
      if (told === undefined || hops > MOST_HOPS) return false;
      const handover = this.#handover(from, pool, [told.slot]);
      const isInDoubt = told.node === undefined || told.node === from;
      handover.rests = Math.max(handover.rests, hops - (isInDoubt ? 0 : QUICK_HOPS));
      renew(hops, code === "ASK");
      for (const cache of from.opened?.caches ?? []) cache.wrote(command); // the other node has a cache of its own
      const isOwners = code === "MOVED" && slotOfCommand(command) === told.slot; // call() may not know the keys
      handover.redirect(command, isOwners ? undefined : told.node);
      return true;
    }
    const slot = slotOfCommand(command) ?? SLOTS;
    const owner = this.#owners[slot] ?? from;
    const where = this.#slots[slot];
    if (where instanceof Handover) where.back(command);
    if (code !== "TRYAGAIN") this.#refresh();
    const { primary } = owner.server;
    const isRetried = primary.retry(command, error);
    if (isRetried) renew(0, false);
    return isRetried;
  }

  /** Reads "MOVED 3999 127.0.0.1:6381", and learns from it; undefined if it makes no sense. */
  #told(
    from: ClusterNode, error: ReplyError, by: "owner" | "asked" | "replica" = "owner",
  ): { slot: number; node: ClusterNode | undefined } | undefined {
    const [code, text = "", where = ""] = error.raw.split(" ", 3);
    if (code !== "MOVED" && code !== "ASK") return undefined;
    const colon = where.lastIndexOf(":");
    const slot = toNumber(text);
    if (colon < 0 || !isSlot(slot)) return undefined;
    const named = this.#nodeAt(where.slice(0, colon), toNumber(where.slice(colon + 1)), from.config);
    const mayOpen = named === undefined || named.opened !== undefined || (named.mayOpen ||= this.#visits.take());
    const node = mayOpen ? named : undefined;
    if (code === "MOVED" && node !== undefined && by !== "replica") this.#patch(slot, node, from, by === "asked");
    else this.#refresh();
    return { slot, node };
  }

  /**
   * Applies a MOVED until there is a newer map, unless it comes late from a node that has lost the slot meanwhile. A
   * replica that has taken over gets all slots of its primary. `wasAsked`: `from` was not the owner; ASK had named it.
   */
  #patch(slot: number, node: ClusterNode, from: ClusterNode, wasAsked: boolean): void {
    this.#hints.add(node);
    this.#refresh();
    const old = this.#owners[slot];
    if (node === from) { // the node's name now leads to another server
      if (node.renewals.take()) from.opened?.primary.renew();
      return;
    }
    if (old === node || (old !== undefined && old !== from && !wasAsked)) return;
    const isPromoted = old?.replicas.includes(node) === true;
    this.#assign(node, isPromoted ? this.#slotsOf(old!) : [slot]);
    for (const moved of isPromoted ? this.#slotsOf(node) : [slot]) this.#patched.add(moved);
  }

  #slotsOf(node: ClusterNode): number[] {
    return this.#owners.flatMap((owner, slot) => owner === node ? [slot] : []);
  }

  /** Gives slots to a node. Their commands wait until the old node has answered the commands that it was sent. */
  #assign(node: ClusterNode, slots: readonly number[]): void {
    const left = new Map<ClusterNode, number[]>();
    this.#members = undefined;
    for (const slot of slots) {
      const old = this.#owners[slot];
      this.#owners[slot] = node;
      if (!(this.#slots[slot] instanceof Handover)) this.#slots[slot] = node;
      if (old !== undefined) listIn(left, old).push(slot);
    }
    for (const [old, ofOld] of left) {
      const gone = new Set(ofOld);
      for (const cache of old.opened?.caches ?? []) cache.forget((key) => gone.has(slotOf(key)));
      if (old.opened !== undefined) this.#handover(old, old.opened.primary, ofOld);
      if (!this.#owners.includes(old)) {
        old.replicas = [];
        if (old.isSilent) old.opened?.primary.renew(); // it would not answer before the deadlines of its commands
      }
      old.opened?.primary.evacuate();
    }
    if (this.#areMoving) return;
    this.#areMoving = true;
    world.endOfTick<Cluster>((cluster) => {
      cluster.#areMoving = false;
      void cluster.fleet.moveCompanions();
    }, this);
  }

  /** Begins a handover for those of these slots that are in none; returns the handover of the first slot. */
  #handover(from: ClusterNode, pool: Pool, slots: readonly number[]): Handover {
    for (const slot of slots) {
      const current = this.#slots[slot];
      if (current instanceof Handover) current.follow(pool);
      else {
        if (from.handover?.isOver !== false) from.handover = this.#begin(from, pool);
        this.#slots[slot] = from.handover;
        from.handover.slots.add(slot);
      }
    }
    return this.#slots[slots[0]!] as Handover;
  }

  #begin(from: ClusterNode, pool: Pool): Handover {
    const obstacle = `${ELSEWHERE}, and ${from.name} has not answered what was sent before it`;
    const handover = new Handover(from.name, from.config, obstacle);
    handover.follow(pool);
    this.#handovers.add(handover);
    world.endOfTick<ClusterNode>((node) => void (node.handover = undefined), from);
    const finish = async (): Promise<void> => {
      while (!handover.isOver) {
        await handover.answered();
        const { rests } = handover;
        handover.rests = 0;
        if (rests > 0) await rest(PAUSE * rests * (0.75 + 0.25 * world.random()));
        else this.#release(handover);
      }
    };
    void this.fleet.keepOpenDuring(finish());
    return handover;
  }

  /**
   * Sends its commands on. If those of one slot are for several nodes, in turn, each node must answer before the next
   * gets its commands. A slot leaves the handover when all its commands have gone to its owner.
   */
  #release(handover: Handover): void {
    const { isClosed } = this.fleet;
    const targets = new Map<number, ClusterNode | undefined>();
    const stay = new Set<number>();
    for (const held of handover.take()) {
      const [command, to] = held;
      const slot = slotOfCommand(command) ?? SLOTS;
      const target = to ?? this.#owners[slot];
      const isNext = targets.has(slot) && targets.get(slot) !== target;
      if (isNext && !isClosed && handover.slots.has(slot)) stay.add(slot);
      if (stay.has(slot)) handover.keep(held);
      else {
        handover.send(command, target?.server ?? this.#waitingRoom(), target !== this.#owners[slot]);
        targets.set(slot, target);
      }
    }
    for (const slot of handover.slots) {
      if (!isClosed && (stay.has(slot) || (targets.get(slot) ?? this.#owners[slot]) !== this.#owners[slot])) continue;
      handover.slots.delete(slot);
      this.#slots[slot] = this.#owners[slot];
    }
    if (handover.slots.size > 0) return;
    this.#handovers.delete(handover);
    handover.end();
  }

  #waitingRoom(): Handover {
    if (this.#lobby !== undefined) return this.#lobby;
    const obstacle = "the nodes of the cluster are not known";
    this.#lobby = new Handover("a node that is not known", this.#options, obstacle);
    if (this.#asking !== undefined) return this.#lobby; // emptied by the answer
    if (this.#error === undefined) this.#refresh();
    else world.endOfTick<Cluster>((cluster) => cluster.#emptyLobby(), this);
    return this.#lobby;
  }

  /** Sends the commands of the lobby to the owners of their slots; fails those that have none. */
  #emptyLobby(): void {
    const lobby = this.#lobby;
    this.#lobby = undefined;
    for (const [command] of lobby?.end() ?? []) {
      const slot = slotOfCommand(command) ?? 0;
      const member = this.#slots[slot];
      if (member !== undefined) void member.server.dispatch(command);
      else command.fail(this.fleet.isClosed ? CLOSED : this.#unserved(slot), world.afterInput);
    }
  }

  #unserved(slot: number): ConnectionError {
    const cause = this.#error;
    if (this.#epoch >= 0) {
      const unserved = [`no node serves slot ${slot}`, ...this.#refusals].join("; ");
      return new ConnectionError("SLOT_NOT_SERVED", "not-sent", unserved);
    }
    const why = cause === undefined ? "the nodes of the cluster are not known yet" : `not connected: ${cause.message}`;
    return new ConnectionError("NOT_CONNECTED", "not-sent", why, { cause });
  }

  // ---- Nodes ----

  /**
   * Returns the node at an address that another node, `from`, named; undefined if the driver cannot or may not connect
   * to it. All addresses that nodes name pass here. `ip` replaces the name "?".
   */
  #nodeAt(host: unknown, port: unknown, from: Config, ip?: unknown): ClusterNode | undefined {
    const named = host === null || host === "" ? from.host : host === "?" ? ip : host;
    try {
      const location = typeof named === "string" ? learned(from, named, port === 0 ? from.port : port) : undefined;
      if (location === undefined) return undefined;
      const isAskedHost = location.host === named && isLoopback(named) && !isLoopback(from.host);
      const address = isAskedHost ? { ...location, host: from.host } : location;
      const known = this.#nodes.get(hostOf({ path: undefined, ...address }));
      if (known !== undefined || this.#nodes.size >= MOST_NODES) return known;
      const config = { ...replicaOf(from, address), readFrom: from.readFrom };
      if (!mayFollow(from, config)) throw new Error(`allowNode refuses ${hostOf(config)}`);
      const node = new ClusterNode(config, (opening) => this.#open(opening));
      this.#nodes.set(node.name, node);
      return node;
    } catch (cause) { // also an error of the user's functions
      const why = cause instanceof Error ? cause.message : String(cause);
      if (this.#refusals.size < MOST_REFUSALS) this.#refusals.add(why);
      return undefined;
    }
  }

  #open(node: ClusterNode): Server {
    const address: Address = Object.setPrototypeOf({ // bare() would read its getter
      ...fixedAddress(node.config),
      get expected() {
        return node.replicas.length > 0 && node.lostAt !== undefined && world.now() - node.lostAt < TAKEOVER;
      },
      replicas: async () => node.replicas.map(({ config }) => config),
      verify: () => void (node.lostAt = undefined),
      ended: () => {
        if (node.lostAt === undefined) [this.#gap, this.#isStale] = [FIRST_GAP, false]; // whatever is scheduled is late
        node.lostAt ??= world.now();
        this.#refresh();
        if (node === this.#broadcaster) void this.fleet.moveCompanions();
      },
    }, null);
    const server = new Server(node.config, address, {
      successor: (command) => this.#successor(node, command),
      redirect: (pool, command, error, lease) => this.#redirect(node, pool, command, error, lease),
      learn: (error) => void this.#told(node, error),
      fences: this.#fences,
    });
    node.opened = server;
    this.fleet.add(node);
    if (this.fleet.isClosed) void server.end(0);
    return server;
  }

  #successor(node: ClusterNode, command: Command): Target | undefined {
    const slot = slotOfCommand(command);
    const owner = slot === undefined ? undefined : this.#owners[slot];
    return owner === undefined || owner === node || this.fleet.isClosed ? undefined : this.memberOf(slot!).server;
  }

  describe(): string {
    const nodes = this.fleet.describe() || `${this.members().length} primaries, none of them used yet`;
    const error = this.fleet.isClosed ? CLOSED : this.#error;
    const why = error?.message ?? "the nodes are not known yet";
    return this.#epoch < 0 ? `seeds ${this.#seeds.map(hostOf).join(", ")}: ${why}` : nodes;
  }

  nodes(): ClusterNodeInfo[] {
    return this.members().flatMap((primary) => {
      const slots: [number, number][] = [];
      for (const slot of this.#slotsOf(primary)) {
        const last = slots.at(-1);
        if (last?.[1] === slot - 1) last[1] = slot;
        else slots.push([slot, slot]);
      }
      return [primary, ...primary.replicas].map((node): ClusterNodeInfo => ({
        id: node.id, address: node.name, role: node === primary ? "primary" : "replica", slots,
        state: node.state(primary),
      }));
    });
  }

  /** The nodes to listen to: for a shard channel that of its slot, for keyspace events all, else any node. */
  where(kind: Subscribing, channel: Key): readonly Server[] {
    if (kind === "ssubscribe") return [this.locate(channel).server];
    const members = this.members();
    if (byteText(wordOf("a channel", channel)).startsWith("__key")) return members.map(({ server }) => server);
    const isFit = this.#broadcaster !== undefined && members.includes(this.#broadcaster) && !this.#broadcaster.isLost;
    if (!isFit) this.#broadcaster = shuffled(members).find(({ isLost }) => !isLost) ?? members[0];
    return this.#broadcaster === undefined ? [] : [this.#broadcaster.server];
  }

  // ---- The map ----

  /** Resolves when the nodes are known, and the connections to all primaries are opening. */
  async #known(): Promise<void> {
    if (this.#epoch < 0) await this.#ask();
    this.fleet.mustBeOpen();
    for (const node of this.members()) void node.server;
  }

  /** Asks for a new map if a node owes replies but has sent nothing for a while: a replica may have taken over. */
  #listen(): void {
    for (const node of this.fleet.members) {
      const owingSince = node.opened?.primary.owingSince;
      node.isSilent = owingSince !== undefined && owingSince === node.owingSince;
      node.owingSince = owingSince;
      if (!node.isSilent) continue;
      for (const replica of node.replicas) this.#hints.add(replica);
      this.#refresh();
    }
    this.#watch = world.after(SILENCE, () => this.#listen()).unref();
  }

  /** Asks for a new map, soon after the last one; commands whose slot has an owner do not wait for it. */
  #refresh(): void {
    if (this.fleet.isClosed || this.#isStale) return;
    this.#isStale = true;
    if (this.#asking === undefined) this.#schedule();
  }

  #schedule(): void {
    world.cancel(this.#timer);
    if (this.fleet.isClosed) return;
    const { random } = world;
    const rest = this.#epoch < 0 ? restOf(this.#failures)
      : this.#isStale ? Math.max(0, this.#askedAt + this.#gap - world.now()) + this.#gap / 2 * random()
      : REVIEW * (0.5 + random());
    this.#timer = world.after(Math.max(1, rest), () => void this.#ask().catch(ignore)).unref();
  }

  #ask(): Promise<void> {
    return this.#asking ??= this.#askWitnesses().finally(() => {
      this.#asking = undefined;
      this.#emptyLobby();
      this.#schedule();
    });
  }

  /** Asks WITNESSES nodes at a time until one has answered. Adopts each view when it arrives. */
  async #askWitnesses(): Promise<void> {
    if (this.#seeds.length === 0) await settled([this.#following.listed], this.#options.connectTimeout);
    this.fleet.mustBeOpen();
    if (this.#seeds.length === 0) this.#error ??= UNLISTED;
    this.#isStale = false;
    this.#askedAt = world.now();
    let hasChanged = false;
    const witnesses = this.#witnesses();
    const views: ClusterView[] = [];
    for (let answers = 0; answers === 0;) {
      const some = witnesses.splice(0, WITNESSES);
      if (some.length === 0) {
        this.#failures++;
        if (this.#epoch < 0) throw this.#error!.of(undefined, "not-sent");
        return;
      }
      await Promise.all(some.map(async (config) => {
        try {
          const view = await this.#view(config);
          hasChanged = this.#adopt(view) || hasChanged;
          views.push(view);
          if (this.#epoch < 0) throw this.#useless(config);
          answers++;
        } catch (error) {
          this.#error = asCause(error as RedisError);
        }
      }));
    }
    this.#error = undefined;
    hasChanged = this.#adoptOlder(views) || hasChanged;
    const isWaiting = this.members().some(({ isLost, lostAt = 0 }) => isLost && world.now() - lostAt < TAKEOVER);
    this.#gap = hasChanged || isWaiting ? FIRST_GAP : Math.min(2 * this.#gap, LONGEST_GAP);
    if (isWaiting) this.#isStale = true; // a replica may take over at any moment
  }

  /** The error of a node in whose view there is no usable node. */
  #useless(config: Config): ConnectionError {
    const [teller, why] = [addressOf(config), [...this.#refusals].join("; ")];
    return why === "" ? new ConnectionError("NOT_READY", "not-sent", `${teller} names no slots`)
      : new ConnectionError("SLOT_NOT_SERVED", "not-sent", `no node that ${teller} names can be used: ${why}`);
  }

  /** Asks a node for its view, on a connection of its own. */
  async #view(config: Config): Promise<ClusterView> {
    const options = { ...config, connectTimeout: Math.min(config.connectTimeout, WITNESS_TIMEOUT) };
    const connection = Connection.alone(config, options, bare<Address>({ ...fixedAddress(config), greeting: VIEWING }));
    this.#witnessing.add(connection);
    await connection.opened.finally(() => this.#witnessing.delete(connection));
    connection.close(CLOSED);
    return readView(connection.replies.greeting, config);
  }

  /** The nodes to ask, best first: replicas of lost primaries, nodes that know of a change, a primary, seeds, all. */
  #witnesses(): Config[] {
    const primaries = this.members();
    const lost = primaries.filter(({ isLost }) => isLost);
    const [any, ...others] = shuffled(primaries.filter(({ isLost }) => !isLost));
    const nodes = [...lost.flatMap(({ replicas }) => replicas), ...this.#hints, ...any === undefined ? [] : [any]];
    this.#hints.clear();
    const configs = [...nodes.slice(0, WITNESSES - 1).map(({ config }) => config), ...shuffled(this.#seeds),
      ...[...nodes, ...others, ...lost].map(({ config }) => config)];
    return [...new Map(configs.map((config) => [hostOf(config), config])).values()];
  }

  /** Adopts an older view if several nodes have named older epochs for AGREEMENT: one node has invented the map's. */
  #adoptOlder(views: readonly ClusterView[]): boolean {
    const older = views.filter(({ epoch }) => epoch < this.#epoch).sort((a, b) => b.epoch - a.epoch);
    const isAlone = views.every(({ epoch, teller }) => epoch < this.#epoch || hostOf(teller) === this.#teller);
    const isAgreed = isAlone && older.length > 1;
    this.#olderSince = isAgreed ? Math.min(this.#olderSince, world.now()) : Infinity;
    this.#isStale ||= isAgreed; // to ask again soon
    if (world.now() < this.#olderSince + AGREEMENT) return false;
    this.#liar = this.#teller;
    this.#epoch = older[0]!.epoch;
    return this.#adopt(older[0]!, true);
  }

  /** Adopts a view unless it is older than the map; returns whether an owner has changed. */
  #adopt({ epoch, ranges, teller }: ClusterView, isOurs = false): boolean {
    const name = hostOf(teller);
    if (epoch < this.#epoch || this.fleet.isClosed) return false;
    if (epoch > this.#epoch && name === this.#liar) return false;
    this.#refusals.clear();
    const claims: Owners = new Array(SLOTS).fill(undefined);
    const primaries = new Set<ClusterNode>();
    for (const range of ranges.slice(0, SLOTS)) {
      const primary = this.#readRange(range, teller, claims);
      if (primary !== undefined) primaries.add(primary);
    }
    if (primaries.size === 0 || (!isOurs && this.#isForeign(primaries))) return false;
    const isFirst = this.#epoch < 0;
    if (epoch > this.#epoch) this.#patched.clear();
    if (epoch > this.#epoch) this.#teller = name;
    this.#epoch = epoch;
    this.#failures = 0;
    if (isFirst) [this.#owners, this.#slots, this.#members] = [claims, claims.slice(), undefined];
    const moved = this.#moves(claims, primaries);
    for (const [node, slots] of moved) this.#assign(node, slots);
    this.#emptyLobby();
    this.#dropAbsent(primaries);
    return isFirst || moved.size > 0;
  }

  /** The slots to which a view gives new owners, except those for which a MOVED named one of the view's primaries. */
  #moves(claims: Owners, primaries: ReadonlySet<ClusterNode>): Map<ClusterNode, number[]> {
    const moved = new Map<ClusterNode, number[]>();
    for (let slot = 0; slot < SLOTS; slot++) {
      const [node, owner] = [claims[slot], this.#owners[slot]];
      if (node === owner || node === undefined) continue;
      const isPatched = this.#patched.has(slot) && owner !== undefined && primaries.has(owner);
      if (!isPatched) listIn(moved, node).push(slot);
    }
    return moved;
  }

  /** Whether a view is of another cluster, to which a seed now belongs: it has none of our nodes, and some are up. */
  #isForeign(primaries: ReadonlySet<ClusterNode>): boolean {
    const known = this.members().flatMap((node) => [node, ...node.replicas]);
    return known.some(({ opened }) => opened?.primary.isUp === true) && !known.some((node) => primaries.has(node));
  }

  /** Reads [first, last, primary, ...replicas], each node as [host, port, id, { ip }]; returns the primary. */
  #readRange(range: unknown, teller: Config, claims: Owners): ClusterNode | undefined {
    if (!Array.isArray(range)) return undefined;
    const [first, last, ...told] = range as unknown[];
    const [primary, ...replicas] = told.map((one) => {
      const [host, port, id, about] = Array.isArray(one) ? one as unknown[] : [];
      const node = this.#nodeAt(host, port, teller, isPlain(about) ? about["ip"] : undefined);
      if (node !== undefined) node.id = typeof id === "string" ? readable(id, MOST_NAMED) : "";
      return node;
    });
    if (primary === undefined || !isSlot(first) || !isSlot(last) || claims[first] !== undefined) return undefined;
    const named = replicas.filter((node) => node !== undefined);
    // A map leaves out a replica that is late, as after a stall of its machine. It may take over all the same.
    if (named.length > 0) primary.replicatedAt = world.now();
    if (named.length > 0 || world.now() >= primary.replicatedAt + TAKEOVER) primary.replicas = named;
    for (let at = first; at <= last && claims[at] === undefined; at++) claims[at] = primary; // a slot has one primary
    return primary;
  }

  /** Closes the connections to nodes that two maps in a row do not name as primaries. */
  #dropAbsent(primaries: ReadonlySet<ClusterNode>): void {
    const serving = new Set([...this.members(), ...primaries]);
    for (const node of this.fleet.members) node.absences = serving.has(node) ? 0 : node.absences + 1;
    const kept = this.fleet.members.filter(({ absences }) => absences < 2);
    if (kept.some(({ absences }) => absences > 0)) this.#isStale = true;
    const gone = this.fleet.members.filter(({ absences }) => absences >= 2);
    if (gone.length > 0) void this.fleet.replace(kept, gone[0]!.config.replyTimeout);
    for (const node of gone) Object.assign(node, { opened: undefined, absences: 0, lostAt: undefined });
    const named = new Set([...serving].flatMap((node) => [node, ...node.replicas]));
    for (const [name, node] of this.#nodes) {
      if (!named.has(node) && node.opened === undefined) this.#nodes.delete(name);
    }
  }

  #close(): void {
    this.#following.stop();
    for (const timer of [this.#timer, this.#watch]) world.cancel(timer);
    for (const connection of this.#witnessing) connection.close(CLOSED);
    this.#emptyLobby();
    for (const handover of this.#handovers) this.#release(handover);
  }
}

/** Options that a cluster does not accept: they state in another way where servers are. */
const UNCLUSTERED = ["path", "replicas", "sentinels", "master", "anyOf", "proxy"] as const;

function readClustered(options: Unchecked): Config {
  const wrong = givenOf(options, UNCLUSTERED);
  if (wrong !== undefined) throw new ArgumentError(`option ${wrong} does not go with a cluster`);
  return readOptions(options);
}

/** Reads the seeds of a cluster, to which the options apply. */
function readSeeds(seeds: unknown, options: Unchecked): Config[] {
  return readHosts("seeds", seeds, (seed) => {
    const own = readHost(seed);
    mustBeCommon(own, "nodes");
    return readClustered(combined(options, own));
  });
}

/**
 * A handler for a Redis Cluster; each key is on the node that serves its slot. All keys of a command, a transaction or
 * a lease must be in one slot, except those of commands that are divided, such as mget.
 */
export class ClusterHandler<Text = string> extends ManyClient<Text, Cluster> {
  /** Resolves with the nodes of the cluster when the driver knows them. */
  async nodes(): Promise<ClusterNodeInfo[]> {
    const { router } = insideOf(this);
    await router.fleet.known();
    return router.nodes();
  }
}

export interface ClusterHandler<Text> extends ShardedCommands<Text> {}

// ==== 22. Collections ====
//
// Lists, sets, dicts, queues and counters of a server, with the methods that JavaScript's own collections have; models,
// which build keys. All follow zyredis. A collection is a handler, a key and a serializer, and keeps nothing in memory:
// a method sends one command, or one script where several would not be atomic, or reads in pages. To add a method, look
// for the command or script that does it in one step. To add a collection, extend Collection.

/** Any handler for one server or many, whose replies have text of this type. */
export type AnyHandler<Text> =
  Pick<Commander, "call" | "direct"> & { scanIterator(): AsyncGenerator<Text, void, undefined> };
type Unconverted = AnyHandler<string | number | bigint>;

/** `pageSize`: number of elements that a long read asks for with one command, 50 by default. */
export type CollectionOptions<T, Text = string> =
  Loose<{ pageSize: number }> & { readonly serializer: Serializer<T, Text> };
/** Options of a collection with the serializer `plain`. */
export type PlainOptions = Loose<{ pageSize: number }> & { readonly serializer?: typeof plain | undefined };

const COLLECTING = { serializer: SERIALIZER, pageSize: whole(1, MAX_WORDS) };
const INTEGER = whole(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
const INDEX = must<number>("a whole number, or Infinity", (value) => value === Infinity || INTEGER.holds(value));
const SCORE = must<number>("a number, and not NaN", (value) => typeof value === "number" && !Number.isNaN(value));

function argument<T>(name: string, value: T, check: Check<unknown>): T {
  if (!check.holds(value)) throw new ArgumentError(`argument ${name} must be ${check.wanted}`);
  return value;
}

/** Base class of collections and models: encodes and decodes values with a serializer. */
abstract class Values<T> {
  readonly #db: Handler<any>;
  readonly #options: CollectionOptions<T, any>;

  constructor(db: AnyHandler<any>, options: object = {}, usual: Serializer<any, any> = plain) {
    if (!(db instanceof Client)) throw new ArgumentError("a collection needs a handler");
    const given = checkAll(options, this.checks) as Loose<CollectionOptions<T, any>>;
    this.#options = bare({ ...given, serializer: given.serializer ?? usual });
    const charset = insideOf(db).view.charset === null ? null : "utf-8"; // commands send UTF-8
    const text = this.#options.serializer === plain ? {} : { charset, convertNumbers: false } as const;
    this.#db = db.with({ maps: "pairs", ...text }) as Handler<any>;
  }

  protected get checks(): Record<string, Check<unknown>> { return COLLECTING; }
  protected get db(): Handler<any> { return this.#db; }
  protected get options(): CollectionOptions<T, any> { return this.#options; }
  protected get pageSize(): number { return this.#options.pageSize ?? 50; }

  protected encode(value: T, name = "a value"): Word {
    if (value === undefined) throw new ArgumentError(`${name} must not be undefined`);
    return encodedBy(this.#options.serializer, value, name);
  }

  protected decode(stored: unknown): T { return decodedBy(this.#options.serializer, stored); }

  protected decodeAll(row: Row, reply: unknown): T[] { return elementsIn(row, reply, (one) => this.decode(one)); }

  /** Decodes a reply that is null if there is no value; then returns `missing`. */
  protected found<D = undefined>(stored: unknown, missing?: D): T | D {
    return stored === null ? missing as D : this.decode(stored);
  }

  /** Reads the values of these names with one command for each page, all sent together. */
  protected async inPages(
    row: Row, names: Iterable<unknown>, read: (page: Word[]) => Promise<unknown>,
  ): Promise<(T | undefined)[]> {
    const words = elementsOf(names).map((name) => wordOf("a name", name));
    const pages = range(0, Math.ceil(words.length / this.pageSize), this.pageSize).map(async (at) => {
      const page = words.slice(at, at + this.pageSize);
      const values = elementsIn(row, await read(page), (stored) => this.found(stored));
      if (values.length !== page.length) throw badReply(row);
      return values;
    });
    return (await Promise.all(pages)).flat();
  }
}

/** Whether a value is iterable, but not text, which would be taken apart. */
const isIterable = (value: any, by: symbol = Symbol.iterator): value is Iterable<any> =>
  typeof value === "object" && value !== null && isFunction(value[by]);

function elementsOf<S>(values: Iterable<S>): S[] {
  if (!isIterable(values)) throw new ArgumentError("the values must be iterable, and not a string");
  return [...values];
}

/** Returns an array of the values of an iteration. */
async function collected<S>(items: AsyncIterable<S>): Promise<S[]> {
  const all: S[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Base class of the collections that have a key. `More`: further options. */
abstract class Collection<T, More = unknown> extends Values<T> {
  readonly key: Key;

  constructor(db: AnyHandler<T>, key: Key, options?: PlainOptions & More);
  constructor(db: Unconverted, key: Key, options: CollectionOptions<T> & More);
  constructor(db: AnyHandler<Buffer>, key: Key, options: CollectionOptions<T, Buffer> & More);
  constructor(db: AnyHandler<any>, key: Key, options?: object) {
    super(db, options);
    wordOf("the key", key);
    this.key = key;
  }

  /** Reads a range in pages; its end is at most the size that the collection has when the read begins. */
  protected async *range<S>(
    start: number, end: number, size: "llen" | "zcard", read: (from: number, last: number) => Promise<S[]>,
  ): AsyncGenerator<S, void, undefined> {
    argument("start", start, INTEGER);
    argument("end", end, INDEX);
    if (start >= end && start < 0 === end < 0) return;
    const length = await this.db[size](this.key);
    if (!AMOUNT.holds(length)) throw badReply(commands[size]);
    const to = Math.min(length, end < 0 ? length + end : end);
    for (let from = start < 0 ? Math.max(0, length + start) : start; from < to; from += this.pageSize) {
      const wanted = Math.min(this.pageSize, to - from);
      const page = await read(from, from + wanted - 1);
      yield* page;
      if (page.length < wanted) return; // elements were removed meanwhile
    }
  }
}

/** A list. Positions are those of an array, and negative ones count from the end. Since 0.1.0. */
export class RedisList<T = string> extends Collection<T> implements AsyncIterable<T> {
  /** The element at this position; undefined if there is none. The server walks to it from the nearer end (LINDEX). */
  async at(index: number): Promise<T | undefined> {
    return this.found(await this.db.lindex(this.key, argument("index", index, INTEGER)));
  }

  /** Replaces the element at this position; rejects with the server's error if there is none. */
  async set(index: number, value: T): Promise<void> {
    await this.db.lset(this.key, argument("index", index, INTEGER), this.encode(value));
  }

  /** The elements from `start` up to, and without, `end`. Read in pages: a change meanwhile may shift elements. */
  slice(start = 0, end = Infinity): Promise<T[]> { return collected(this.#range(start, end)); }
  /** Number of elements. */
  async length(): Promise<number> { return this.db.llen(this.key); }
  /** Adds values at the end, with one command; returns the new length. */
  append(...values: T[]): Promise<number> { return this.#push("rpush", values); }
  /** Adds values at the beginning, in their order, as an array's unshift() does; returns the new length. */
  prepend(...values: T[]): Promise<number> { return this.#push("lpush", values.reverse()); }
  /** Adds the values of an iterable at the end, with one command; returns the new length. */
  extend(values: Iterable<T>): Promise<number> { return this.#push("rpush", values); }
  /** Removes the last element and returns it; undefined if the list is empty. */
  async pop(): Promise<T | undefined> { return this.found(await this.db.rpop(this.key)); }
  /** Removes the first element and returns it; undefined if the list is empty. */
  async shift(): Promise<T | undefined> { return this.found(await this.db.lpop(this.key)); }

  /** Keeps only the elements that slice(start, end) returns. */
  async trim(start: number, end = Infinity): Promise<void> {
    argument("start", start, INTEGER);
    argument("end", end, INDEX);
    if (end === 0) await this.db.ltrim(this.key, 1, 0); // LTRIM's last position is included, and -1 is the end
    else await this.db.ltrim(this.key, start, end === Infinity ? -1 : end - 1);
  }

  /** Removes the first `count` elements equal to the value (the last if negative, all if 0); returns their number. */
  async remove(value: T, count = 1): Promise<number> {
    return this.db.lrem(this.key, argument("count", count, INTEGER), this.encode(value));
  }

  async #push(name: "rpush" | "lpush", values: Iterable<T>): Promise<number> {
    const words = elementsOf(values).map((value) => this.encode(value));
    return words.length === 0 ? this.length() : this.db[name](this.key, words);
  }

  /** Iterates over the elements in pages, up to the length at the beginning. */
  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> { return this.#range(0, Infinity); }

  #range(start: number, end: number): AsyncGenerator<T, void, undefined> {
    return this.range(start, end, "llen", async (from, last) =>
      this.decodeAll(commands.lrange, await this.db.lrange(this.key, from, last)));
  }
}

/** Removes the members that are not among the arguments. */
const RETAIN = `local kept = {}
for _, member in ipairs(ARGV) do kept[member] = true end
for _, member in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if not kept[member] then redis.call('SREM', KEYS[1], member) end
end`;

/** A RedisSet, or any other values. Sets of the same handler are combined on the server. */
export type Members<T> = Iterable<T> | AsyncIterable<T>;

/** A set. Two values are the same if the serializer encodes them to the same bytes. Since 0.1.0. */
export class RedisSet<T = string> extends Collection<T> implements AsyncIterable<T> {
  /** Adds a value; true if it is new. */
  async add(value: T): Promise<boolean> { return await this.db.sadd(this.key, this.encode(value)) === 1; }
  /** Removes a value; true if it was there. */
  async delete(value: T): Promise<boolean> { return await this.db.srem(this.key, this.encode(value)) === 1; }
  async has(value: T): Promise<boolean> { return await this.db.sismember(this.key, this.encode(value)) === 1; }
  async size(): Promise<number> { return this.db.scard(this.key); }
  /** Removes a random value and returns it; undefined if the set is empty. */
  async pop(): Promise<T | undefined> { return this.found(await this.db.spop(this.key)); }
  /** All values, with one command (SMEMBERS), in no particular order. */
  async values(): Promise<T[]> { return this.decodeAll(commands.smembers, await this.db.smembers(this.key)); }
  /** The values in this set or in any of the others. */
  union(...others: Members<T>[]): Promise<Set<T>> { return this.#combine("sunion", others); }
  /** The values in this set and in all others. */
  intersection(...others: Members<T>[]): Promise<Set<T>> { return this.#combine("sinter", others); }
  /** The values of this set that are in none of the others. */
  difference(...others: Members<T>[]): Promise<Set<T>> { return this.#combine("sdiff", others); }

  /** Adds the values of the others. Atomic; all are sets of the same handler and serializer, or none is. */
  unionUpdate(...others: Members<T>[]): Promise<void> { return this.#update("sunionstore", others); }
  /** Removes the values that are not in all of the others. Atomic, as unionUpdate(). */
  intersectionUpdate(...others: Members<T>[]): Promise<void> { return this.#update("sinterstore", others); }
  /** Removes the values that are in any of the others. Atomic, as unionUpdate(). */
  differenceUpdate(...others: Members<T>[]): Promise<void> { return this.#update("sdiffstore", others); }

  /** Iterates over the values in pages, by SSCAN: while the set changes, a value may come twice. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for await (const member of this.db.sscanIterator(this.key, { COUNT: this.pageSize })) yield this.decode(member);
  }

  /** The keys of the sets that the server can combine with this one; the values of the others, by their bytes. */
  async #sorted(others: Members<T>[]): Promise<[keys: Key[], lists: Map<string, T>[]]> {
    const { router } = insideOf(this.db);
    const isNear = (other: Members<T>): other is RedisSet<T> => other instanceof RedisSet &&
      insideOf(other.db).router === router && other.options.serializer === this.options.serializer;
    const lists = others.filter((other) => !isNear(other)).map(async (other) => {
      const values = isIterable(other, Symbol.asyncIterator) ? await collected<T>(other as any)
        : elementsOf<T>(other as any);
      return new Map(values.map((value) => [byteText(this.encode(value)), value]));
    });
    return [others.filter(isNear).map(({ key }) => key), await Promise.all(lists)];
  }

  async #update(name: "sunionstore" | "sinterstore" | "sdiffstore", others: Members<T>[]): Promise<void> {
    const [keys, lists] = await this.#sorted(others);
    if (keys.length > 0 && lists.length > 0) {
      throw new ArgumentError("sets of this handler and other values cannot be combined in one step: make two calls");
    }
    if (keys.length > 0) return void await this.db[name](this.key, this.key, keys);
    const tokens = lists.flatMap((list) => [...list.keys()])
      .filter((token) => name !== "sinterstore" || lists.every((list) => list.has(token)));
    const words = tokens.map((token) => Buffer.from(token, "latin1"));
    if (name === "sinterstore" && lists.length > 0) await this.db.eval(RETAIN, 1, this.key, words);
    else if (words.length > 0) await this.db[name === "sunionstore" ? "sadd" : "srem"](this.key, words);
  }

  async #combine(name: "sunion" | "sinter" | "sdiff", others: Members<T>[]): Promise<Set<T>> {
    const [keys, lists] = await this.#sorted(others);
    const found = new Map(elementsIn(commands[name], await this.db[name](this.key, keys), (member) =>
      [byteText(wordOf("a member", member)), this.decode(member)]));
    for (const list of lists) {
      if (name === "sunion") for (const [token, value] of list) found.set(token, value);
      else for (const token of found.keys()) if (list.has(token) === (name === "sdiff")) found.delete(token);
    }
    return new Set(found.values());
  }
}

/** `reverse`: positions count from the highest score, and members come in that order. */
export type OrderOptions = Loose<{ reverse: boolean }>;
/** `offset`: number of members to skip; `count`: maximum number of members. */
export type ByScoreOptions = Loose<{ offset: number; count: number }>;
/** A score that is included or, with a bracket, excluded: "(1.5". Infinity and -Infinity mean no bound. */
export type ScoreBound = number | `(${number}`;

const ORDERING = { reverse: oneOf(true, false) };
const AMOUNT = whole(0, Number.MAX_SAFE_INTEGER);
const BY_SCORE = { offset: AMOUNT, count: AMOUNT, withScores: oneOf(true, false) };
const BOUND = must<ScoreBound>('a number, or "(" and a number', (bound) =>
  typeof bound === "string" ? bound.startsWith("(") && !Number.isNaN(numberIn(bound.slice(1))) : SCORE.holds(bound));

/** Members with scores, in the order of the scores and, for equal ones, of the members' bytes. Since 0.1.0. */
export class RedisSortedSet<T = string> extends Collection<T> implements AsyncIterable<T> {
  /** Adds a member, or changes its score; true if it is new. */
  async add(member: T, score: number): Promise<boolean> { return await this.update([[member, score]]) === 1; }

  /** Adds members or changes their scores, from a Map or [member, score] pairs; returns how many are new. */
  async update(scores: Iterable<readonly [member: T, score: number]>): Promise<number> {
    const items = entriesOf<T, number>(scores).map(([member, score]) =>
      [argument("score", score, SCORE), this.encode(member, "a member")] as const);
    return items.length === 0 ? 0 : this.db.zadd(this.key, items);
  }

  /** Removes a member; true if it was there. */
  async delete(member: T): Promise<boolean> { return await this.db.zrem(this.key, this.encode(member)) === 1; }
  async has(member: T): Promise<boolean> { return await this.score(member) !== undefined; }
  async size(): Promise<number> { return this.db.zcard(this.key); }
  /** The member at this position, which may be negative; undefined if there is none. */
  async at(index: number): Promise<T | undefined> {
    argument("index", index, INTEGER);
    return this.decodeAll(commands.zrange, await this.db.zrange(this.key, index, index))[0];
  }

  /** The members from `start` up to, and without, `end`. Read in pages: a change meanwhile may shift members. */
  async slice(start = 0, end = Infinity, options: OrderOptions = {}): Promise<T[]> {
    return (await this.entries(start, end, options)).map(([member]) => member);
  }

  /** The same members with their scores. */
  entries(start = 0, end = Infinity, options: OrderOptions = {}): Promise<[member: T, score: number][]> {
    return collected(this.#range(start, end, options));
  }

  /** The score of a member; undefined if it is missing. */
  score(member: T): Promise<number | undefined> { return this.#about("zscore", member); }
  /** The position of a member, 0 for the lowest score; undefined if it is missing. */
  rank(member: T): Promise<number | undefined> { return this.#about("zrank", member); }
  /** The position of a member, 0 for the highest score; undefined if it is missing. */
  reverseRank(member: T): Promise<number | undefined> { return this.#about("zrevrank", member); }

  async #about(name: "zscore" | "zrank" | "zrevrank", member: T): Promise<number | undefined> {
    return await this.db[name](this.key, this.encode(member)) as number | null ?? undefined;
  }

  /** Adds to the score of a member, which is 0 if it is missing; returns the new score. */
  async increment(member: T, amount = 1): Promise<number> {
    return this.db.zincrby(this.key, argument("amount", amount, SCORE), this.encode(member));
  }

  /** The members with scores from `min` to `max`, both included, with one command. */
  async rangeByScore<W extends boolean = false>(
    min: ScoreBound = -Infinity, max: ScoreBound = Infinity, options: ByScoreOptions & Loose<{ withScores: W }> = {},
  ): Promise<(W extends true ? [member: T, score: number] : T)[]> {
    const { offset = 0, count = -1, withScores = false } = checkAll(options, BY_SCORE);
    const from = argument("min", min, BOUND);
    const pairs = this.#scored("zrangebyscore", await this.db.zrangebyscore(this.key, from, argument("max", max, BOUND),
      { LIMIT: [offset, count], WITHSCORES: true }));
    return (withScores ? pairs : pairs.map(([member]) => member)) as any;
  }

  /** Number of members with scores from `min` to `max`, both included. */
  async count(min: ScoreBound = -Infinity, max: ScoreBound = Infinity): Promise<number> {
    return this.db.zcount(this.key, argument("min", min, BOUND), argument("max", max, BOUND));
  }

  /** Iterates over the members in pages, from the lowest score, up to the size at the beginning. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for await (const [member] of this.#range(0, Infinity, {})) yield member;
  }

  async *#range(start: number, end: number, options: OrderOptions): AsyncGenerator<[T, number], void, undefined> {
    const name = checkAll(options, ORDERING).reverse ? "zrevrange" : "zrange";
    yield* this.range(start, end, "zcard", async (from, last) =>
      this.#scored(name, await this.db[name](this.key, from, last, { WITHSCORES: true })));
  }

  #scored(name: "zrange" | "zrevrange" | "zrangebyscore", page: unknown): [T, number][] {
    return elementsIn(commands[name], page, ([member, score]) => [this.decode(member), Number(score)]);
  }
}

/** Returns the entries of a plain object, a Map, or an iterable of pairs. */
function entriesOf<N, V>(given: unknown): (readonly [N, V])[] {
  const entries: unknown[] = isPlain(given) ? Object.entries(given) : isIterable(given) ? [...given] : [undefined];
  if (entries.every((entry) => Array.isArray(entry) && entry.length === 2)) return entries as [N, V][];
  throw new ArgumentError("update() needs an object, a Map, or an iterable of pairs");
}

/** Names with values. */
export type Entries<N, T> = Iterable<readonly [N, T]> | (N extends string ? Readonly<Record<string, T>> : never);

const POP_FIELD = script(`local value = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return value`, { keys: 1 });
const SET_DEFAULT = script(`redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1])`, { keys: 1 });

/** A hash, with the methods of a Map. `Field`: type of its fields' names, that of the handler's text. Since 0.1.0. */
export class RedisDict<T = string, Field = string> extends Collection<T> implements AsyncIterable<[Field, T]> {
  constructor(db: AnyHandler<T> & AnyHandler<Field>, key: Key, options?: PlainOptions);
  constructor(db: Unconverted & AnyHandler<Field | number | bigint>, key: Key, options: CollectionOptions<T>);
  constructor(db: AnyHandler<Buffer> & AnyHandler<Field>, key: Key, options: CollectionOptions<T, Buffer>);
  constructor(db: any, key: Key, options?: any) { super(db, key, options); }

  /** The value of a field; `missing` if there is none. */
  async get<D = undefined>(field: Field, missing?: D): Promise<T | D> {
    return this.found(await this.db.hget(this.key, wordOf("field", field)), missing);
  }

  /** Sets a field; true if it is new. */
  async set(field: Field, value: T): Promise<boolean> {
    return await this.db.hset(this.key, wordOf("field", field), this.encode(value)) === 1;
  }

  async has(field: Field): Promise<boolean> { return await this.db.hexists(this.key, wordOf("field", field)) === 1; }
  /** Removes a field; true if it was there. */
  async delete(field: Field): Promise<boolean> { return await this.db.hdel(this.key, wordOf("field", field)) === 1; }
  async size(): Promise<number> { return this.db.hlen(this.key); }
  /** The names of all fields, with one command; iterate over a big dict instead. */
  async keys(): Promise<Field[]> { return elementsIn(commands.hkeys, await this.db.hkeys(this.key), (name) => name); }
  /** All values, with one command. */
  async values(): Promise<T[]> { return this.decodeAll(commands.hvals, await this.db.hvals(this.key)); }

  /** All fields and values, with one command. */
  async entries(): Promise<[field: Field, value: T][]> {
    const pairs: unknown = await this.db.hgetall(this.key);
    return elementsIn(commands.hgetall, pairs, ([field, value]) => [field, this.decode(value)]);
  }

  /** The values of several fields, undefined where one is missing; in pages. */
  async getMany(fields: Iterable<Field>): Promise<(T | undefined)[]> {
    return this.inPages(commands.hmget, fields, (page) => this.db.hmget(this.key, page));
  }

  /** Returns the value of a field, after setting it to `value` if there is none. Atomic. */
  async setDefault(field: Field, value: T): Promise<T> {
    return this.decode(await SET_DEFAULT(this.db, this.key, wordOf("field", field), this.encode(value)));
  }

  /** Removes a field and returns its value; `missing` if there is none. Atomic. */
  async pop<D = undefined>(field: Field, missing?: D): Promise<T | D> {
    return this.found(await POP_FIELD(this.db, this.key, wordOf("field", field)), missing);
  }

  /** Sets fields, with one command. */
  async update(values: Entries<Field, T>): Promise<void> {
    const words = entriesOf<Field, T>(values).flatMap(([field, value]) => [wordOf("field", field), this.encode(value)]);
    if (words.length > 0) await this.db.hset(this.key, words);
  }

  /** Iterates over fields and values in pages, by HSCAN: while the dict changes, a field may come twice. */
  async *[Symbol.asyncIterator](): AsyncGenerator<[Field, T], void, undefined> {
    for await (const [field, value] of this.db.hscanIterator(this.key, { COUNT: this.pageSize })) {
      yield [field as Field, this.decode(value)];
    }
  }
}

/** `timeout`: maximum time that get() waits, in ms; 0: none; no limit by default. `signal`: ends the wait. */
export type QueueGetOptions = Loose<{ timeout: Milliseconds; signal: AbortSignal }>;
type Bounded = Loose<{ maxSize: number }>;

const WAITING = {
  timeout: must("a number of milliseconds", (ms) => typeof ms === "number" && ms >= 0), signal: CONSUMING.signal,
};
const QUEUEING = { ...COLLECTING, maxSize: whole(1, Number.MAX_SAFE_INTEGER) };
const PUT = script(`if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[1]) then return -1 end
return redis.call('LPUSH', KEYS[1], ARGV[2])`, { keys: 1 });

/**
 * A queue: the item that was put first is taken first. Option `maxSize` bounds it. An item belongs to one taker; it is
 * lost with a process that dies after taking it. For jobs that must survive that, use consume() on a stream.
 * Since 0.1.0.
 */
export class RedisQueue<T = string> extends Collection<T, Bounded> implements AsyncIterable<T> {
  /** Maximum number of items, which put() does not exceed. */
  get maxSize(): number { return (this.options as Bounded).maxSize ?? Infinity; }
  protected override get checks(): Record<string, Check<unknown>> { return QUEUEING; }
  /** The commands that take an item: at once, and when there is one. */
  protected get taking(): readonly [now: Row, waiting: Row] { return [commands.rpop, commands.brpop]; }

  /** Adds an item; returns the new size. Rejects with the code FULL if the queue has maxSize items. */
  async put(item: T): Promise<number> {
    const word = this.encode(item, "an item");
    if (this.maxSize === Infinity) return this.db.lpush(this.key, word);
    const size = await PUT(this.db, this.key, this.maxSize, word);
    if (!INTEGER.holds(size)) throw badReply(commands.evalsha);
    if (size < 0) throw new RedisError("FULL", "not-executed", `the queue has maxSize (${this.maxSize}) items`);
    return size;
  }

  /**
   * Takes the next item, and waits for one if there is none; after `timeout` ms, returns undefined. Waiting occupies a
   * connection. When `signal` is aborted, rejects with an AbortError, unless the server has just given out an item:
   * then returns that.
   */
  async get(options: QueueGetOptions = {}): Promise<T | undefined> {
    const { timeout = Infinity, signal } = checkAll(options, WAITING);
    const [now, waiting] = this.taking;
    if (timeout === 0) return this.found(await this.#take(now, [this.key], signal));
    const wait = Math.min(Math.max(SHORTEST, Math.ceil(timeout)), 2 ** 31 - 1);
    const seconds = timeout === Infinity ? 0 : wait / 1_000; // 0: no limit
    const reply = await this.#take(waiting, [this.key, seconds], signal);
    if (reply === null) return undefined;
    if (!Array.isArray(reply) || reply.length !== 2) throw badReply(waiting);
    return this.found(reply[1]);
  }

  /** Number of items. */
  async size(): Promise<number> { return this.db.llen(this.key); }
  async isEmpty(): Promise<boolean> { return await this.size() === 0; }
  async isFull(): Promise<boolean> { return this.maxSize < Infinity && await this.size() >= this.maxSize; }

  /**
   * Takes items one by one, and waits for more. A signal of the handler's view, disconnect(), or return() ends the
   * wait; if the server has just given out an item, next() still returns that. A lost connection, with which an item
   * may have been lost, ends it with an error.
   */
  [Symbol.asyncIterator](): Iteration<T> {
    const stop = new AbortController();
    return new Iteration(this.#items(stop.signal), () => stop.abort(), "awaited");
  }

  async *#items(signal: AbortSignal): AsyncGenerator<T, void, void> {
    try {
      for (;;) {
        const item = await this.get({ signal });
        if (item !== undefined) yield item;
        else await rest(restOf(0)); // somebody has ended the wait by CLIENT UNBLOCK, or the server does not wait
      }
    } catch (error) {
      if (!(error instanceof AbortError && signal.aborted)) throw error;
    }
  }

  /** Sends a command that takes an item; a signal ends it only if no item is lost. */
  async #take(row: Row, args: readonly unknown[], given: AbortSignal | undefined): Promise<any> {
    const { router, view: usual } = insideOf(this.db);
    const { signal: own, ...others } = usual;
    const signals = [given, own].filter((signal) => signal !== undefined);
    const stopped = (outcome: Outcome): AbortError | undefined =>
      signals.filter(({ aborted }) => aborted).map((signal) => aborted(signal).of(row.name.text, outcome))[0];
    const view = new View({ ...others, readFrom: "primary", idempotent: false, durable: 0 });
    if (stopped("not-sent") === undefined) await unlessAborted(given, row.name.text, async () => router.known(usual));
    const over = stopped("not-sent");
    if (over !== undefined) return rejected(over);
    router.check(row);
    const [server, routed] = single(router, row, args);
    const command = new Command(row, routed, view);
    const stop = (error: AbortError): unknown => command.owner?.stop?.(command, error) ?? command.fail(error);
    const cancel = (error: AbortError): unknown => command.state === "waiting" && command.fail(error);
    const follower = { name: row.name.text, fail: command.blocks === undefined ? cancel : stop };
    for (const signal of signals) follow(signal, follower);
    try {
      return await server.dispatch(command);
    } catch (error) {
      const isUnblocked = error instanceof ReplyError && error.code === "UNBLOCKED";
      throw isUnblocked ? stopped("not-executed") ?? error : error;
    } finally {
      for (const signal of signals) unfollow(signal, follower);
    }
  }
}

/** A stack: the item that was put last is taken first. Since 0.1.0. */
export class RedisLifoQueue<T = string> extends RedisQueue<T> {
  protected override get taking(): readonly [now: Row, waiting: Row] { return [commands.lpop, commands.blpop]; }
}

/** INCRBY checks that the value is a whole number. Doubles are exact up to 2^53, and `bit` has 32 bits. */
const CALCULATE = script(`local a, op, b = redis.call('INCRBY', KEYS[1], 0), ARGV[1], tonumber(ARGV[2])
local most, half = 9007199254740991, 4294967296
local r
if math.abs(a) > most then r = most + 1
elseif op == '*' then r = a * b
elseif op == '**' then r = a ^ b
elseif op == '<<' then r = a * 2 ^ b
elseif op == '>>' then r = math.floor(a / 2 ^ b)
elseif op == '/' or op == '%' then
  r = math.fmod(a, b)
  local quotient = (a - r) / b -- exact
  if r ~= 0 and (r < 0) ~= (b < 0) then r, quotient = r + b, quotient - 1 end
  if op == '/' then r = quotient end
else
  local high, low = math.floor(a / half), math.floor(b / half)
  r = bit[op](high, low) * half + bit[op](a - high * half, b - low * half) % half
end
if r ~= r or math.abs(r) > most then return false end
redis.call('SET', KEYS[1], string.format('%.0f', r + 0), 'KEEPTTL')
return r`, { keys: 1 });

/** Reads a whole number as the server does. As everywhere, its type is number, although it is a bigint beyond 2^53. */
const WHOLE: Serializer<number, any> = {
  encode: String,
  decode: (stored) => {
    const number = toInteger(Buffer.from(String(stored)));
    if (String(number) === String(stored)) return number as number; // INCRBY refuses other forms, such as "007"
    throw new SyntaxError("it is not a whole number");
  },
};
const SHIFT = whole(0, 1_000);
const FACTOR = must<number>("a whole number between -2^53 and 2^53, and not 0", (n) => INTEGER.holds(n) && n !== 0);
const STEP = must<Int>("a whole number", (n) => typeof n === "bigint" || INTEGER.holds(n));

/**
 * A whole number, 0 if the key is missing. Each method is atomic, keeps the key's time to live and returns the new
 * value. add() and subtract() have 64 bits, and return a bigint beyond 2^53; the others reject there.
 * Since 0.1.0.
 */
export class RedisCounter extends Collection<number> {
  constructor(db: AnyHandler<any>, key: Key) { super(db, key, { serializer: WHOLE }); }
  async value(): Promise<number> { return this.found(await this.db.get(this.key), 0); }
  async add(n: Int = 1): Promise<number> { return this.db.incrby(this.key, argument("n", n, STEP)); }
  async subtract(n: Int = 1): Promise<number> { return this.db.decrby(this.key, argument("n", n, STEP)); }
  async multiply(n: number): Promise<number> { return this.#calculate("*", n, INTEGER); }
  /** Divides, and rounds down: -7 by 2 is -4. */
  async divide(n: number): Promise<number> { return this.#calculate("/", n, FACTOR); }
  /** The remainder of divide(), with the sign of `n`: -7 by 2 is 1. */
  async modulo(n: number): Promise<number> { return this.#calculate("%", n, FACTOR); }
  async power(n: number): Promise<number> { return this.#calculate("**", n, AMOUNT); }
  /** Bitwise operators on two's complement of 64 bits, not of 32 as JavaScript's own. */
  async and(n: number): Promise<number> { return this.#calculate("band", n, INTEGER); }
  async or(n: number): Promise<number> { return this.#calculate("bor", n, INTEGER); }
  async xor(n: number): Promise<number> { return this.#calculate("bxor", n, INTEGER); }
  async shiftLeft(n: number): Promise<number> { return this.#calculate("<<", n, SHIFT); }
  /** Divides by 2 ** n and rounds down. */
  async shiftRight(n: number): Promise<number> { return this.#calculate(">>", n, SHIFT); }

  async #calculate(operator: string, n: number, check: Check<unknown>): Promise<number> {
    const result = await CALCULATE(this.db, this.key, operator, argument("n", n, check)) as number | null;
    if (result !== null) return result;
    throw new RedisError("OUT_OF_RANGE", "not-executed", "the value or the result is not between -2^53 and 2^53");
  }
}

/** A part of a key. */
export type KeyPart = string | number | bigint;

/** Builds keys: keyOf("user")("ada", 1) is "user_ada_1". Without prefix, a key begins with its first part. */
export const keyOf = (prefix = ""): ((...parts: KeyPart[]) => string) => {
  const isPart = (part: unknown): boolean => ["string", "bigint"].includes(typeof part) || Number.isFinite(part);
  argument("prefix", prefix, secret);
  return (...parts) => parts.reduce<string>((key, part) => {
    if (!isPart(part)) throw new ArgumentError(`${nameOf(part)} cannot be part of a key`);
    return key === "" ? String(part) : `${key}_${part}`;
  }, prefix);
};

const TAKE = script("local value = redis.call('GET', KEYS[1]) redis.call('DEL', KEYS[1]) return value", { keys: 1 });

/** Reads and writes values by their full keys, as a Map does. Created by a Model. */
export class Items<T> extends Values<T> {
  /** The value of a key; `missing` if there is none. */
  async get<D = undefined>(key: Key, missing?: D): Promise<T | D> {
    return this.found(await this.db.get(key), missing);
  }

  /** Sets a value, with the options of SET; false if their condition was not met. */
  async set(key: Key, value: T, options: Omit<SetOptions, "GET"> = {}): Promise<boolean> {
    const isWrong = !isPlain(options) || Object.keys(options).some((name) => name.toUpperCase() === "GET");
    if (isWrong) throw new ArgumentError("options must be an object of SET's options without GET");
    return await this.db.set(key, this.encode(value), options) !== null;
  }

  async has(key: Key): Promise<boolean> { return await this.db.exists(wordOf("the key", key)) === 1; }
  /** Removes a key; true if it was there. */
  async delete(key: Key): Promise<boolean> { return await this.db.del(wordOf("the key", key)) === 1; }
  /** Removes a key and returns its value; `missing` if there is none. Atomic. */
  async pop<D = undefined>(key: Key, missing?: D): Promise<T | D> {
    return this.found(await TAKE(this.db, wordOf("the key", key)), missing);
  }

  /** Sets several values, with one command for each server (MSET). */
  async update(values: Entries<string, T>): Promise<void> {
    const words = entriesOf<Key, T>(values).flatMap(([key, value]) => [wordOf("a key", key), this.encode(value)]);
    if (words.length > 0) await this.db.mset(words);
  }

  /** The values of several keys, undefined where one is missing; in pages. */
  async getMany(keys: Iterable<Key>): Promise<(T | undefined)[]> {
    return this.inPages(commands.mget, keys, (page) => this.db.mget(page));
  }

  /** Iterates over the keys that match a glob pattern, by SCAN: all servers' keys, not only the model's. */
  async *keys(pattern = "*"): AsyncGenerator<string, void, undefined> {
    for await (const key of this.#scan(pattern)) yield String(key);
  }

  /** Iterates over the same keys with their values, in pages; skips keys of other types. */
  async *items(pattern = "*"): AsyncGenerator<[key: string, value: T], void, undefined> {
    const page: Key[] = [];
    for await (const key of this.#scan(pattern)) {
      if (page.push(key) === this.pageSize) yield* await this.#itemsOf(page.splice(0));
    }
    yield* await this.#itemsOf(page);
  }

  #scan(pattern: string): AsyncGenerator<any, void, undefined> {
    return this.db.scanIterator({ MATCH: argument("pattern", pattern, secret), COUNT: this.pageSize });
  }

  async #itemsOf(keys: Key[]): Promise<[key: string, value: T][]> {
    const values = await this.getMany(keys);
    return keys.flatMap((key, i): [string, T][] => values[i] === undefined ? [] : [[String(key), values[i]]]);
  }
}

/**
 * Ties a handler, a prefix and a serializer (JSON by default) together: `key(...parts)` builds keys, and `db` reads and
 * writes values. class Users extends Model<User> { find(id: number) { return this.db.get(this.key(id)); } }
 * Since 0.1.0.
 */
export class Model<T = any> {
  readonly handler: AnyHandler<any>;
  /** Builds a key from the prefix: key("ada", 1) is "user_ada_1". */
  readonly key: (...parts: KeyPart[]) => string;
  /** The values by their keys. */
  readonly db: Items<T>;

  constructor(handler: AnyHandler<any>, prefix?: string, options?: Omit<PlainOptions, "serializer">);
  constructor(handler: Unconverted, prefix: string, options: CollectionOptions<T>);
  constructor(handler: AnyHandler<Buffer>, prefix: string, options: CollectionOptions<T, Buffer>);
  constructor(handler: AnyHandler<any>, prefix?: string, options?: object) {
    this.handler = handler;
    this.key = keyOf(prefix);
    this.db = new Items<T>(handler, options, json);
  }
}

// ==== 23. The door ====
//
// The factories. Lazy ones return a handler and connect in the background; the others return a promise of a ready
// handler, and reject if a connection cannot be opened. To add a factory, wrap open() or openShards().

type OptionsOf<C, N, M> = Options & { charset?: C | undefined; convertNumbers?: N | undefined; maps?: M | undefined };
type Made<W, H> = W extends "ready" ? Promise<H> : H;
type Factory<W> =
  <const C extends Charset = "utf-8", const N extends boolean = false, const M extends Maps = "objects">(
    options?: OptionsOf<C, N, M> | string | URL, besideUrl?: OptionsOf<C, N, M>) => Made<W, Handler<FormOf<C, N, M>>>;
type UnixFactory<W> =
  <const C extends Charset = "utf-8", const N extends boolean = false, const M extends Maps = "objects">(
    path?: string, options?: OptionsOf<C, N, M>) => Made<W, Handler<FormOf<C, N, M>>>;
type Clustering<W> =
  <const C extends Charset = "utf-8", const N extends boolean = false, const M extends Maps = "objects">(
    seeds: readonly Host[] | LiveHosts<Host>, options?: OptionsOf<C, N, M>,
  ) => Made<W, ClusterHandler<FormOf<C, N, M>>>;
type Sharding<W> = ShardingBy<LiveHosts<ShardHost>, W> & ShardingBy<readonly ShardHost[], W>;
type ShardingBy<Hosts, W> =
  <const C extends Charset = "utf-8", const N extends boolean = false, const M extends Maps = "objects">(
    hosts: Hosts, options?: OptionsOf<C, N, M> & ShardOptions) => Made<W, ShardedHandler<FormOf<C, N, M>>>;

const open = (config: Config, poolsize = config.poolsize, address?: Address): Handler<any> =>
  new Handler(originOf({ ...config, poolsize }, address), new View(config));
const readSocket = (path = "/tmp/redis.sock", options: Options = {}): Config =>
  readOptions({ ...plainly(options), path });

function openShards(
  hosts: readonly ShardHost[] | LiveHosts<ShardHost>, read: typeof readHost, options: ShardOptions = {},
  poolsize?: number,
): ShardedHandler<any> {
  const { placement, ...others } = bare(plainly(options));
  const common = bare(poolsize === undefined ? others : { ...others, poolsize });
  // Throws before anything is opened. With common Sentinels, each host of the list names its master.
  const view = new View(readOptions({ ...others, sentinels: undefined, master: undefined }));
  return new ShardedHandler(new Shards(hosts, common, readPlacement(placement), read, view.replyTimeout), view);
}

function openCluster(
  seeds: readonly Host[] | LiveHosts<Host>, options: Options = {}, poolsize?: number,
): ClusterHandler<any> {
  const common = poolsize === undefined ? plainly(options) : { ...plainly(options), poolsize };
  return new ClusterHandler(new Cluster(seeds, common), new View(readOptions(options)));
}

/** Reads one entry of a list of Unix sockets; a string is a path. */
function readPath(host: unknown): Unchecked {
  const options = typeof host === "string" && !host.includes("://") ? { path: host } : readHost(host);
  return { ...options, path: checkOption("path", options.path) };
}

/** Turns a lazy factory into one of ready handlers. A handler that cannot connect is destroyed. */
const ready = <A extends unknown[], H extends { ready(): Promise<any>; destroy(): void }>(make: (...args: A) => H) =>
  async (...args: A): Promise<H> => {
    const handler = make(...args);
    return handler.ready().catch((error: unknown) => {
      handler.destroy();
      throw error;
    });
  };

const readyShards = ready<[hosts: any, options?: ShardOptions], ShardedHandler<any>>;

/** One connection (default: to localhost:6379), opened in the background. A URL may have options beside it. */
export const lazyConnection: Factory<"now"> = (options, besideUrl) =>
  open(readOptions(options, besideUrl), 1);
/** One connection, ready; rejects if it cannot be opened. */
export const connection: Factory<"ready"> = ready(lazyConnection);
/** `poolsize` connections, opened in the background. A URL may have options beside it. */
export const lazyConnectionPool: Factory<"now"> = (options, besideUrl) => open(readOptions(options, besideUrl));
/** `poolsize` connections, all of them ready; rejects if one cannot be opened. */
export const connectionPool: Factory<"ready"> = ready(lazyConnectionPool);
/** One connection through a Unix socket (default: /tmp/redis.sock), opened in the background. */
export const lazyUnixConnection: UnixFactory<"now"> = (path, options) => open(readSocket(path, options), 1);
/** One connection through a Unix socket, ready; rejects if it cannot be opened. */
export const unixConnection: UnixFactory<"ready"> = ready(lazyUnixConnection);
/** `poolsize` connections through a Unix socket, opened in the background. */
export const lazyUnixConnectionPool: UnixFactory<"now"> = (path, options) => open(readSocket(path, options));
/** `poolsize` connections through a Unix socket, all of them ready; rejects if one cannot be opened. */
export const unixConnectionPool: UnixFactory<"ready"> = ready(lazyUnixConnectionPool);
/** One connection to each of several servers, opened in the background. */
export const lazyShardedConnection: Sharding<"now"> = (hosts, options) => openShards(hosts, readHost, options, 1);
/** One connection to each of several servers, ready; rejects if one of them cannot be opened. */
export const shardedConnection: Sharding<"ready"> = readyShards(lazyShardedConnection);
/** `poolsize` connections to each of several servers, opened in the background. */
export const lazyShardedConnectionPool: Sharding<"now"> = (hosts, options) => openShards(hosts, readHost, options);
/** `poolsize` connections to each of several servers, all of them ready; rejects if one cannot be opened. */
export const shardedConnectionPool: Sharding<"ready"> = readyShards(lazyShardedConnectionPool);
/** One connection through each of several Unix sockets, opened in the background. */
export const lazyShardedUnixConnection: Sharding<"now"> = (paths, options) => openShards(paths, readPath, options, 1);
/** One connection through each of several Unix sockets, ready; rejects if one of them cannot be opened. */
export const shardedUnixConnection: Sharding<"ready"> = readyShards(lazyShardedUnixConnection);
/** `poolsize` connections through each of several Unix sockets, opened in the background. */
export const lazyShardedUnixConnectionPool: Sharding<"now"> = (paths, options) => openShards(paths, readPath, options);
/** `poolsize` connections through each of several Unix sockets, all of them ready; rejects if one cannot be opened. */
export const shardedUnixConnectionPool: Sharding<"ready"> = readyShards(lazyShardedUnixConnectionPool);

/** Handlers for the masters that some Sentinels watch, and for their replicas; see sentinel(). */
export class Sentinel<Text = string> {
  readonly #options: Unchecked;
  #servers: Server[] = [];
  #isClosed = false;

  constructor(options: Unchecked) {
    this.#options = options;
    readOptions({ ...options, master: "any" }); // throws if one is wrong
  }

  /** Returns a lazy pool of connections to the master; for the same options, the same pool. */
  masterFor(name: string, options: NamedOptions = {}): Handler<Text> { return this.#open(name, options, false); }

  /**
   * Returns a lazy pool for commands that only read: the replicas answer them, or the master while no replica is fit.
   * It refuses all commands that may change data. publish() and subscriptions use the master.
   */
  replicaFor(name: string, options: NamedOptions = {}): Handler<Text> {
    const readFrom = ownEntry(plainly(options), "readFrom") === "any" ? "any" : "replica";
    return this.#open(name, { ...options, readFrom }, true);
  }

  /** The address of the master. Rejects if no Sentinel answers (NO_SENTINEL), or none knows the name (NO_MASTER). */
  discoverMaster(name: string): Promise<{ host: string; port: number }> {
    return this.#ask(name, ({ location }) => ({ ...location! }));
  }

  /** The addresses of the replicas that the Sentinels consider up. */
  discoverReplicas(name: string): Promise<{ host: string; port: number }[]> {
    return this.#ask(name, async (master) =>
      (await master.replicas(true)).map((location) => ({ ...location })));
  }

  /** Closes all its handlers, as their own disconnect() does. */
  async disconnect(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#servers.map(({ fleet, config }) => fleet.disconnect(config.replyTimeout)));
  }

  [Symbol.asyncDispose](): Promise<void> { return this.disconnect(); }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const hosts = Sentinels.describe(readOptions({ ...this.#options, master: "any" }));
    const all = this.#servers.map((server) => `${server.onlyReads ? "only reads: " : ""}${server.describe()}`);
    return `Sentinel <${[hosts, ...all].join(" | ")}>`;
  }

  #open(name: string, options: Unchecked, onlyReads: boolean): Handler<Text> {
    if (this.#isClosed) throw CLOSED.of(undefined, "not-sent");
    const config = readOptions({ ...this.#options, ...plainly(options), master: name });
    this.#servers = this.#servers.filter(({ fleet }) => !fleet.isClosed);
    let server = this.#servers.find((old) => old.onlyReads === onlyReads && areEqual(old.config, config));
    if (server === undefined) this.#servers.push(server = new Server(config, addressFor(config), {}, onlyReads));
    return new Handler(server, new View(config));
  }

  async #ask<T>(name: string, question: (master: WatchedMaster) => T): Promise<Awaited<T>> {
    if (this.#isClosed) await rejected(CLOSED.of(undefined, "not-sent"));
    const config = readOptions({ ...this.#options, master: name });
    const master = Sentinels.master(config);
    const user = {};
    master.users.set(user, config); // no error may show its password
    try {
      await master.ask();
      return await question(master);
    } finally {
      master.leave(user);
    }
  }
}

/** Options of the handler for one name; those for the form of replies are the same for all names. */
type NamedOptions = Omit<Options, "charset" | "convertNumbers" | "maps" | "sentinels" | "master">;

/**
 * Gives handlers for masters by their names: sentinel(["10.0.0.1:26379"]).masterFor("mymaster"). The options are those
 * of the servers; each Sentinel has its own. `hosts` may be a function that returns lists.
 */
export const sentinel =
  <const C extends Charset = "utf-8", const N extends boolean = false, const M extends Maps = "objects">(
    hosts: readonly Host[] | LiveHosts<Host>, options: OptionsOf<C, N, M> = {},
  ): Sentinel<FormOf<C, N, M>> => {
    return new Sentinel({ ...plainly(options), sentinels: hosts });
  };

/**
 * Gives handlers by the names in a list, or a live list, of URLs: redis://host:port/name?weight=N&db=D.
 * select("cache") returns a lazy pool that uses one of the servers with that name.
 */
export const manager = <
  const C extends Charset = "utf-8", const N extends boolean = false, const M extends Maps = "objects",
>(hosts: readonly (string | URL)[] | LiveHosts<string | URL>, options?: OptionsOf<C, N, M>): Manager<FormOf<C, N, M>> =>
  new Manager(hosts, options);

/** One connection to each primary of a Redis Cluster, opened on first use; `seeds` are some of its nodes. */
export const lazyClusterConnection: Clustering<"now"> = (seeds, options) => openCluster(seeds, options, 1);
/** One connection to each primary of a Redis Cluster, all ready; rejects if one of them cannot be opened. */
export const clusterConnection: Clustering<"ready"> = ready(lazyClusterConnection);
/** `poolsize` connections to each primary of a Redis Cluster, opened on first use; `seeds` are some of its nodes. */
export const lazyClusterConnectionPool: Clustering<"now"> = (seeds, options) => openCluster(seeds, options);
/** `poolsize` connections to each primary of a Redis Cluster, all ready; rejects if one of them cannot be opened. */
export const clusterConnectionPool: Clustering<"ready"> = ready(lazyClusterConnectionPool);

/** For the tests of this file; may change from version to version. */
export const internals = {
  Decoder, Encoder, MORE, Pool, Row, commands: commands as Signatures, encodeName, fixedAddress, flatten, readOptions,
  shared, slotOf, wordsOf, world,
  handlerAt: (address: Address, config: Config): Handler => open(config, config.poolsize, address),
};

// MIT License
//
// Copyright (c) 2026 the redis.ts authors
//
// Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
// documentation files (the "Software"), to deal in the Software without restriction, including without limitation
// the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and
// to permit persons to whom the Software is furnished to do so, subject to the following conditions:
//
// The above copyright notice and this permission notice shall be included in all copies or substantial portions of
// the Software.
//
// THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO
// THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
// AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
// CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS
// IN THE SOFTWARE.

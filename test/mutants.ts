// Does the simulator see? Bugs, each planted by itself into the compiled driver, and for each the first seed at which an
// invariant breaks. A patch must fit in exactly one place; one that does not is as bad as a bug that is not found.
//
//     npm run mutants                 all of them: the bug, the seed, the invariant
//     npm run mutants -- fence 20000  those with this word in their name, with so many seeds
//     npm run mutants -- sentinel     those of one kind of scenes
//     npm run mutants -- near         those of the near cache, which the tests find if the simulator does not

import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import process, { argv, exit } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { search, Simulation } from "./sim.ts";
import type { Breach, Driver, Kind } from "./sim.ts";

/** Name of the bug, the code that it replaces, the code instead, and what finds it: a kind of scene; `near`: cached readers, or the tests. */
type Mutant = readonly [bug: string, find: string, put: string, kind?: Kind | "near"];

export const mutants: readonly Mutant[] = [
  // What may be issued again, and what must not
  ["a write is issued again after a loss", 'row.kind === "read" || (idempotent && changesData(row))', "mayRepeat(row)"],
  ["a pipeline is issued again after a loss", 'return (idempotent || row.kind === "read") && batch.rows', "return batch.rows"],
  ["a read is issued again and again", "this.reissues++;\n        this.back", "this.back"],
  ["a transaction is issued again from where it was lost", "this.isAtomic || this.wait !== undefined ? [] : this.replies", "this.replies"],
  ["WATCH and MULTI are forgotten across a reconnect",
    "this.#lease.dispatch(command).catch(", "(command.owner = this.#server.primary, this.#lease.dispatch(command)).catch("],
  ["what was lost is issued again behind what came later", "[...first, ...this.#drain()]", "[...this.#drain(), ...first]"],
  ["a script that says LOADING is run again", " || mayHaveBegun) {", ") {"],
  ["a refused command of a pipeline is taken for all of it", "isBound || (special.batch !== undefined && rest === undefined)", "isBound"],
  ["a refused command of a transaction goes elsewhere", "(owner === undefined || command.exclusive)", "command.exclusive"],
  ["a refused command keeps its slot", "this.#takenBack(command, reply))\n                this.#queue.shift();",
    "this.#takenBack(command, reply))\n                continue;"],
  // Replies and their callers
  ["a cancelled slot is removed from the ring",
    "get first() {", 'get first() {\n while (this.at(0)?.state === "settled") this.shift();'],
  ["a cancelled slot keeps its place for ever", 'if (this.state === "settled")\n            return true;',
    'if (this.state === "settled")\n            return false;'],
  ["a push is taken for a reply", "const isPush = this.#isPush(reply, command);", "const isPush = command === undefined;"],
  ["a batch is answered one reply early", "return this.replies.length === this.length;",
    "return this.replies.length >= Math.max(1, this.length - 1);"],
  ["the end of a string is not looked at", "if (this.#chunk[end] !== CR || this.#chunk[end + 1] !== LF)", "if (false)"],
  ["what EXEC did not do is told as done",
    "if (replies === null)", 'if (replies === null)\n return queued.map(() => "OK");\n if (false)'],
  // Outcomes
  ["not-sent is claimed for what was written", 'command.state = "written";', ""],
  ["what was aborted is written in spite of it",
    'if (isChanged || command.state === "settled")', "if (isChanged)"],
  ["what a script did before it failed is told as not executed", 'error) ? "not-executed" : "unknown";',
    'error) ? "not-executed" : "not-executed";'],
  ["the commands of a pipeline that were written are counted off by one", "? this.#begun : Infinity",
    "? this.#begun - 1 : Infinity"],
  ["what is lost is told as not executed", 'this.reissues > 0 ? "unknown" : untouched',
    'this.reissues > 0 ? "not-executed" : untouched'],
  // Bytes
  ["memory is used again before the socket has sent what is in it",
    "if (sink.writableLength > 0)\n            this.#holders.add(sink);", "if (false)\n            ;"],
  ["memory that is full is used again before it has been sent", "const isFree = this.#holders.size === 0 && ", "const isFree = "],
  ["a command that the socket had no place for begins again", "this.#written = i;", ""],
  // Fences
  ["the fence is left out", "this.#fences.add(fence);", "return;"],
  ["a new connection is not told of a fence", "seat.since = world.now();\n            this.#use(seat);",
    'seat.since = world.now();\n            seat.state = "open";\n            if (this.#isReady) this.#settleReady();\n            this.serve();'],
  ["open connections are not told of a fence",
    "for (const { free } of this.pools)", "for (const { free } of [])"],
  ["a connection that comes back is not told of a fence", "else\n            this.#use(seat);",
    'else {\n            seat.state = "open";\n            this.serve();\n        }'],
  ["a fence is called done before it is", "connection.ask(commands.clientKill,", "fence.done = true;\n        connection.ask(commands.clientKill,"],
  ["the wrong connection is fenced off", "ID: fence.id, ADDR", 'ID: "9" + fence.id, ADDR'],
  ["servers are not asked who we are", "proxy !== undefined ? undefined : this.#ask(commands.clientInfo)", "Promise.resolve(\"\")"],
  // Time
  ["the deadline is not armed", "if (command.deadline < this.#due)\n            this.#wakeBy(command.deadline, now);", ""],
  ["only the first deadline is seen to",
    "        this.#wakeBy(Math.max(", "        if (false)\n            this.#wakeBy(Math.max("],
  ["time by which a command is overdue counts as a stall", "world.now() + Math.max(0, delay);", "world.now() + delay;", "cluster"],
  ["a deadline comes early", "if (command.deadline > now)", "if (command.deadline - 20 > now)"],
  ["disconnect() has no limit",
    "afterSilence(timeout, resolve, (current) => void (timer = current));", ""],
  // Leases
  ["a lease is not given back after a failure",
    "this.owner?.finished(this, owesReply);", ""],
  ["a lease that has changed its connection gives it back", "if (isChanging)\n            this.#isClean = false;", ""],
  ["a lease gives its connection back inside of MULTI", "isIdle && !isBlocked && ", "!isBlocked && "],
  ["a connection is given back inside of MULTI", "this.#giveBack(seat, lease, clean)", "this.#giveBack(seat, lease, true)"],
  ["a lent connection is used by others", 'seat.state = "lent";\n        seat.lease', "seat.lease"],
  ["a forgotten lease is never taken away", "connection.close(FORGOTTEN);", ";"],
  ["a transaction that is lost while its body runs is told as done",
    'if (this.#state === "queueing" || this.#cause !== undefined)', 'if (this.#state === "queueing")'],
  ["a transaction that failed keeps its connection", "this.#lease.release(clean);", "if (clean) this.#lease.release(clean);"],
  // Session state
  ["the database is not selected", "const select = dbid === 0 ?", "const select = true ?"],
  ["the name is forgotten", "SETNAME: this.#options.name", "SETNAME: undefined"],
  ["users do not wait for the handshake", 'this.#phase = "greeting";', 'this.#phase = "open";\n this.#settle.resolve();'],
  // Recovery
  ["a lost connection is not opened again", "seat.after(delay, () => this.open(seat));", ";"],
  ["a silent connection is kept", "this.close(SILENT);", ";"],
  ["a reply that never ends keeps its connection", "(isOldest ? this.lastReceived : this.#lastSign)", "this.lastReceived"],
  ["nobody asks an idle connection whether it lives",
    "this.#heartbeat = world.after(pingInterval, () => this.#beat()).unref();", ""],
  ["what was lost is not settled", "for (const command of failed)\n            command.fail(error);", ""],
  ["a command that had no place before is begun in the middle", "this.#written = 0;\n        return true;", "return true;"],
  // Messages
  ["a gap is not marked", "this.#deliver({ gap: Math.ceil(gap) });", ";"],
  ["a gap is marked behind what followed it", "this.markGap(listener);\n                const item", "const item"],
  ["only the first channel is subscribed to again", "[...listener.sent.values()].map(",
    "[...listener.sent.values()].slice(0, 1).map("],
  ["a channel that was added is forgotten by a new start", "listener.sent.set(name, command = { args, confirmed });",
    "command = { args, confirmed };\n if (listener.opening !== undefined)\n listener.sent.set(name, command);"],
  ["a subscription is ready before it is confirmed", "await Promise.all([...listener.sent", "void Promise.all([...listener.sent"],
  ["a message is taken for a reply", "this.#decoder.pushed || PUSHES.has(kind)", "this.#decoder.pushed"],
  ["who was too slow reads no more", "connection?.resume();", ";"],
  ["what is dropped is not counted", "this.dropped++;", ";"],
  ["the mark of a gap is dropped", "if (Object.hasOwn(first, \"gap\"))", "if (false)"],
  ["a subscription that is over keeps its connection",
    "for (const { pool } of this.listeners.values())\n            pool.destroy();", ";"],
  // The end
  ["the heartbeat goes on", "this.#heartbeat, ", ""],
  ["a socket is left open", "socket?.destroy();", "if (this.hasLostWrites)\n socket?.destroy();"],
  ["a signal keeps its listener", "unfollow(this.view.signal, this);", ";"],
  ["a closed handler still takes commands", "if (this.#closing !== undefined)\n            command.fail(this.#closed, ",
    "if (false)\n            command.fail(CLOSED, "],
  ["what waits is forgotten when the handler is closed",
    "command.fail(this.#closed);\n        for (const seat of", ";\n        for (const seat of"],
  // Sentinels
  ["a replica is taken for a master", 'await roleOf(connection);\n        if (role === "master") {',
    "await roleOf(connection);\n        if (true) {", "sentinel"],
  ["the role of a server is not asked for", "verify(by, endpoint) { return this.#master.verify(by, endpoint); }",
    "verify() { }", "sentinel"],
  ["a lower epoch is followed", "const isOlder = best !== undefined && best.epoch < this.#epoch;", "const isOlder = false;", "sentinel"],
  ["a lower epoch of most Sentinels is followed at once", "const isUnsure = isOlder && ", "const isUnsure = false && ", "sentinel"],
  ["connections to an old master are kept", "this.#freshAt = world.now();\n        for (const pool of this.#pools)\n            pool.renew(true);",
    "this.#freshAt = world.now();", "sentinel"],
  ["connections are kept when Sentinels forget the master", "this.#replicas = [];", "this.#said = this.#instead = undefined;", "sentinel"],
  ["WATCH is carried over to a new master",
    "this.#lease.dispatch(command).catch(", "(command.owner = this.#server.primary, this.#lease.dispatch(command)).catch(", "sentinel"],
  ["a fence is sent to another server", "if (server !== fence.server || isOther)", "if (isOther)", "sentinel"],
  ["a write that was lost with a master is issued again at the next",
    'row.kind === "read" || (idempotent && changesData(row))', "mayRepeat(row)", "sentinel"],
  ["Sentinels are told the password of servers", "readSentinelHosts(sentinels, tls);",
    "readSentinelHosts(sentinels.map((host) => ({ password: given.password, ...host })), tls);", "sentinel"],
  ["servers are told the password of Sentinels", "(location) => ({ ...this.config, ...location })",
    "(location) => ({ ...this.config, password: this.config.sentinels[0].password ?? this.config.password, ...location })", "sentinel"],
  ["connections to Sentinels are left open", "of this.#links)\n            pool.destroy();", "of this.#links)\n            void pool;", "sentinel"],
  // One of several
  ["a member that is drained still gets commands", "configs.filter(({ weight }) => weight > 0).map(", "configs.map(", "several"],
  ["a member that has left the list still gets commands", "this.#members = configs.filter(({ weight }) => weight > 0).map(({ config, ...share }) => {",
    "this.#members = [...configs, ...former.filter(({ config }) => config.port !== undefined && !configs.some((other) => areEqual(other.config, config)))].map(({ config, ...share }) => {", "several"],
  ["a dead member is still chosen", 'this.#members.filter(({ state }) => state !== "left");', "this.#members;", "several"],
  ["a list with a wrong entry is taken in part", "this.#replace(readMembers(common, hosts));",
    'this.#replace(readMembers(common, hosts.filter((host) => typeof host !== "string")));', "several"],
  ["what waits at a dead member stays there", "if (!this.isConnected)\n            this.evacuate();\n        for (const command of failed)",
    "for (const command of failed)", "several"],
  ["members are not asked whether they live", "const answers = await member.server.primary.answers(Math.min(this.config.replyTimeout, LOOK));",
    "const answers = true;", "several"],
  ["the source of a list is not told of the end", "this.#stop.abort();\n        void (async", "void (async", "several"],
  ["a write of unknown outcome goes to another member", 'const isUnknown = state === "written" && ', "const isUnknown = false && ", "several"],
  // Clusters
  ["ASKING is left out", 'asking: asks ? "due" : "none"', 'asking: "none"', "cluster"],
  ["what ASK says is kept for later commands", 'if (code === "MOVED" && node !== undefined && by', "if (node !== undefined && by", "cluster"],
  ["what MOVED says outlives a map of a newer epoch", "if (epoch > this.#epoch)\n            this.#patched.clear();", "", "cluster"],
  ["an older map replaces a newer one", "if (epoch < this.#epoch || this.fleet.isClosed)", "if (this.fleet.isClosed)", "cluster"],
  ["part of a MULTI is issued again", "const at = batch.replies.length;\n        if (batch.isAtomic) {",
    "const at = batch.replies.length;\n        if (false) {", "cluster"],
  ["later commands do not wait for a slot that moves", "this.#slots[slot] ?? this.#waitingRoom();",
    "this.#owners[slot] ?? this.#waitingRoom();", "cluster"],
  ["a slot is open before its old node has answered", "await handover.answered();", ";", "cluster"],
  ["what waits for a slot goes before what was redirected", "(one.#turn - other.#turn) | 0", "(other.#turn - one.#turn) | 0", "cluster"],
  ["a node that has lost a slot still says where it is", "|| (old !== undefined && old !== from && !wasAsked)", "", "cluster"],
  ["what waits for a slot goes on in the order in which it came there", ".sort(([one], [other]) => Command.byTurn(one, other))", "", "cluster"],
  ["the connections to a node that is gone are kept", "const gone = this.fleet.members.filter(({ absences }) => absences >= 2);",
    "const gone = [];", "cluster"],
  ["the map is never renewed", "if (this.fleet.isClosed || this.#isStale)", "if (true)", "cluster"],
  ["what waits for a slot has no deadline", "if (command.deadline <= now)\n                command.expire(this.#obstacle);", "", "cluster"],
  ["a refused command that has moved away keeps its place", "this.#refused.push(...this.#refused.splice(0).filter(isKept));",
    "this.#refused.filter(isKept);", "cluster"],
  ["a command that was redirected is told as not sent", 'at < refused ? "not-executed" : "not-sent"', '"not-sent"', "cluster"],
  ["the slot of a key is not that of its tag", 'const tag = tagOf(typeof key === "string" ? key : byteText(key));',
    'const tag = typeof key === "string" ? key : byteText(key);', "cluster"],
  // The near cache
  ["a flush leaves what is kept", "if (!Array.isArray(keys))\n            return this.#clear();", "if (!Array.isArray(keys))\n            return;", "near"],
  ["a flush does not mark what is being loaded",
    'for (const entry of this.#entries.values())\n            entry.drop();\n        this.#entries.clear();',
    'for (const [id, entry] of this.#entries)\n if (entry.state !== "loading") this.#entries.delete(id);', "near"],
  ["a push does not mark what is being loaded", "for (const entry of this.#byKey.get(key) ?? []) {",
    'for (const entry of this.#byKey.get(key) ?? []) {\n if (entry.state === "loading") continue;', "near"],
  ["own writes are dropped only when they are written",
    'this.#queue.shift();\n                if (this.onWrite !== undefined && command.row.kind !== "read")', "this.#queue.shift();\n if (false)", "near"],
  ["own writes are dropped only when they are answered",
    'command.fence = this.fence;\n        if (this.onWrite !== undefined && command.row.kind !== "read")', "command.fence = this.fence;\n if (false)", "near"],
  ["what EXEC executes is not dropped", "for (const queued of exec.commands)", "for (const queued of [])", "near"],
  ["what a pipeline writes is not dropped", "for (const [i, each] of batch.rows.entries())\n                this.#changedBy", "for (const [i, each] of [])\n this.#changedBy", "near"],
  ["a write that goes to another node drops nothing at the old one", "cache.wrote(command);", ";", "near"],
  ["a caller that is older than a load may wait for it too long", "sentAt + command.timeout / 2, command.deadline)",
    "sentAt + command.timeout / 2)", "near"],
  ["a write without keys drops nothing", "if (positions.length === 0)\n            this.#clear();", "", "near"],
  ["the death of the tracked connection is ignored", "lost: () => this.#clear(),", "", "near"],
  ["a connection of the pool that goes to another server is ignored", "if (this.#moves !== this.#pool.moves)", "if (false)", "near"],
  ["a reply outlives its key", "ttl >= 0 ? Number(ttl)", "ttl >= 0 ? Infinity", "near"],
  ["a frozen link is trusted for ever", "now - this.#vouchedAt <= maxStale", "true", "near"],
  ["a missing key of a cluster is kept for ever", "ttl === -2 && this.#isClustered", "false", "near"],
  ["callers share what is kept", "const own = typeof reply === \"object\" ? copyOf(reply) : reply;", "const own = reply;", "near"],
  ["all forms of a reply are one", "form: `${charset} ${maps}`", 'form: ""', "near"],
  ["nothing ever leaves for want of room", "if (this.#bytes <= cacheBytes)\n                return;", "return;", "near"],
  ["the first to come is the first to leave", "if (this.#turns - entry.turn > this.#entries.size >> 1)", "if (false)", "near"],
  ["hits never let the event loop turn", "this.#calls++ % HITS === 0 && this.#isTickLong()", "this.#isTickLong() && false", "near"],
  ["an error is kept", "if (refused !== undefined || reply instanceof RedisError)", "if (refused !== undefined)", "near"],
  ["callers who leave a load let it be kept", "this.#drop(entry); // the reply from the pool may be newer", "", "near"],
];

/** Number of seeds after which the tests look for a bug of the near cache. */
const NEAR_SEEDS = 2_000;
/** Name of these tests. */
const NEAR = "near cache|own writes|does not track keys|never goes back for cached|kept replies of keys|was missing when its slot";

/** Runs these tests on a copy of what was built, with the bug; returns the first that fails. */
async function test(mutant: Mutant, goesOn: () => unknown): Promise<string | undefined> {
  await plant(mutant);
  const [bug] = mutant;
  const built = fileURLToPath(new URL("..", import.meta.url));
  const folder = join(built, "..", `dist-${mutants.indexOf(mutant)}`);
  try {
    cpSync(built, folder, { recursive: true, filter: (file) => !file.includes("/mutants/") });
    cpSync(join(built, "mutants", `${bug.replaceAll(" ", "-")}.js`), join(folder, "redis.js"));
    const args = ["--test-reporter=tap", `--test-name-pattern=${NEAR}`, join(folder, "redis.test.js")];
    const child = spawn(process.execPath, args, { cwd: join(built, ".."), timeout: 300_000, killSignal: "SIGKILL" });
    let said = "";
    child.stdout.on("data", (chunk) => { said += chunk; });
    const beats = setInterval(goesOn, 10_000);
    const [code] = await once(child, "close");
    clearInterval(beats);
    return code === 0 ? undefined : /^ +not ok \d+ - (.*)$/m.exec(said)?.[1] ?? "it never ends";
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The driver with this bug. */
export async function plant([bug, find, put]: Mutant): Promise<Driver> {
  const source = readFileSync(new URL("../redis.js", import.meta.url), "utf8");
  const [head, tail, ...more] = source.split(find);
  if (tail === undefined || more.length > 0) {
    throw new Error(`"${bug}" fits in ${tail === undefined ? 0 : more.length + 1} places`);
  }
  const folder = new URL("../mutants/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = new URL(`${bug.replaceAll(" ", "-")}.js`, folder);
  writeFileSync(file, `${head}${put}${tail}`);
  return await import(file.href) as Driver;
}

/** Finds the first seed that shows it; calls `goesOn` from time to time. */
export async function hunt(mutant: Mutant, seeds: number, goesOn = (): unknown => undefined): Promise<Breach | undefined> {
  const [, , , kind = "fixed"] = mutant;
  const driver = await plant(mutant);
  if (kind === "near") {
    for (const each of ["fixed", "cluster"] as const) {
      for (let seed = 0; seed < Math.min(seeds, NEAR_SEEDS); seed++) {
        if (seed % 100 === 0) goesOn();
        const simulation = new Simulation(driver, seed, each, false);
        const breach = simulation.near && await simulation.run();
        if (breach !== undefined) return breach;
      }
    }
    const what = await test(mutant, goesOn);
    return what === undefined ? undefined : { kind, seed: 0, invariant: "test", what } as unknown as Breach;
  }
  for (let from = 0; from < seeds; from += 100) {
    const breach = await search(driver, from, Math.min(from + 100, seeds), 1, [kind]);
    if (breach !== undefined) return breach;
    goesOn();
  }
  return undefined;
}

type Caught = { kind: Kind | "near"; seed: number; invariant: string; what: string };

/** Each in a process of its own: a bug may be one that never ends. */
function inProcess(mutant: Mutant, seeds: number): Promise<Caught | undefined> {
  return new Promise((resolve) => {
    let caught: Caught | undefined;
    const child = fork(fileURLToPath(import.meta.url), ["--one", String(mutants.indexOf(mutant)), String(seeds)]);
    const watchdog = setTimeout(() => child.kill("SIGKILL"), 120_000);
    child.on("message", (message) => {
      if (message === "goes on") watchdog.refresh();
      else caught = message as Caught;
    });
    child.on("exit", (code, signal) => {
      clearTimeout(watchdog);
      resolve(signal === null ? caught : { kind: mutant[3] ?? "fixed", seed: NaN, invariant: "I2", what: "it never ends" }); // out of time, or of memory
    });
  });
}

async function main(word = "", seeds = "20000"): Promise<void> {
  const wanted = mutants.filter(([bug, , , kind]) => bug.includes(word) || kind === word);
  const results = new Map<Mutant, Caught | undefined>();
  const queue = [...wanted];
  const work = async (): Promise<void> => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      results.set(mutant, await inProcess(mutant, Number(seeds)));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  for (const mutant of wanted) {
    const caught = results.get(mutant);
    const verdict = caught === undefined ? "SURVIVES"
      : `${caught.invariant} at ${caught.kind} seed ${caught.seed}: ${caught.what.split("\n")[0]}`;
    console.log(`${mutant[0].padEnd(68)} ${verdict.slice(0, 110)}`);
  }
  const survivors = wanted.filter((mutant) => results.get(mutant) === undefined).length;
  console.log(`${wanted.length - survivors} of ${wanted.length} are caught`);
  exit(survivors === 0 ? 0 : 1);
}

async function one(index: number, seeds: number): Promise<void> {
  let caught: Caught | undefined;
  try {
    caught = await hunt(mutants[index]!, seeds, () => process.send!("goes on"));
  } catch (error) {
    console.error((error as Error).message);
  }
  if (caught === undefined) exit(1);
  const { kind, seed, invariant, what } = caught;
  process.send!({ kind, seed, invariant, what }, () => exit(0));
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) {
  if (argv[2] === "--one") await one(Number(argv[3]), Number(argv[4]));
  else await main(argv[2], argv[3]);
}

// Does the simulator see? Bugs, each planted by itself into the compiled driver, and for each the first seed at which an
// invariant breaks. A patch must fit in exactly one place; one that does not is as bad as a bug that is not found.
//
//     npm run mutants                 all of them: the bug, the seed, the invariant
//     npm run mutants -- fence 20000  those with this word in their name, with so many seeds

import { fork } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import process, { argv, exit } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { search } from "./sim.ts";
import type { Breach, Driver } from "./sim.ts";

/** What the bug is, what stands in the driver, and what stands there instead. */
type Mutant = readonly [bug: string, find: string, put: string];

export const mutants: readonly Mutant[] = [
  // What may be issued again, and what must not
  ["a write is issued again after a loss", 'row.kind === "read" || (idempotent && changesData(row))', "mayRepeat(row)"],
  ["a pipeline is issued again after a loss", 'return (idempotent || row.kind === "read") && batch.rows', "return batch.rows"],
  ["a read is issued again and again", "this.reissues++;\n        this.state", "this.state"],
  ["a transaction is issued again from where it was lost", "this.isAtomic || this.wait !== undefined ? [] : this.replies", "this.replies"],
  ["WATCH and MULTI are forgotten across a reconnect",
    "this.#lease.dispatch(command).catch(", "(command.owner = this.#server.primary, this.#lease.dispatch(command)).catch("],
  ["what was lost is issued again behind what came later", "[...first, ...this.#waiting.drain(), ", "[...this.#waiting.drain(), ...first, "],
  ["a script that says LOADING is run again", " && !row.is.partly && ", " && "],
  ["a refused command of a pipeline is taken for all of it", " && special.batch === undefined && !exclusive", " && !exclusive"],
  ["a refused command of a transaction goes elsewhere", "const isAlone = !isBound && ",
    "const isAlone = "],
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
  ["what a script did before it failed is told as not executed", '!isUnbegun ? "unknown"',
    '!isUnbegun ? "not-executed"'],
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
    'seat.since = world.now();\n            seat.state = "open";\n            if (this.#isReady) this.#settleReady();\n            this.#serve();'],
  ["open connections are not told of a fence",
    'if (seat.state === "open")\n                this.#fenceOff(seat.connection, fence);', "void 0;"],
  ["a connection that comes back is not told of a fence", "else\n            this.#use(seat);",
    'else {\n            seat.state = "open";\n            this.#serve();\n        }'],
  ["a fence is called done before it is", "connection.ask(commands.clientKill,", "fence.done = true;\n        connection.ask(commands.clientKill,"],
  ["the wrong connection is fenced off", "ID: fence.id, ADDR", 'ID: "9" + fence.id, ADDR'],
  ["servers are not asked who we are", "proxy !== undefined ? undefined : this.ask(commands.clientInfo)", "const identity = Promise.resolve(\"\")"],
  // Time
  ["the deadline is not armed", "if (command.deadline < this.#due)\n            this.#wakeAt(command.deadline, now);", ""],
  ["only the first deadline is seen to",
    "if (next < this.#due)\n            this.#wakeAt(Math.max(", "if (false)\n            this.#wakeAt(Math.max("],
  ["a deadline comes early", "if (command.deadline > now)", "if (command.deadline - 20 > now)"],
  ["disconnect() has no limit",
    "const timer = world.after(timeout, resolve);", "const timer = undefined;"],
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
  ["users do not wait for the handshake", "const { credentials } = this.#endpoint;",
    'this.#phase = "open";\n this.#settle.resolve();\n const { credentials } = this.#endpoint;'],
  // Recovery
  ["a lost connection is not opened again", "seat.timer = world.after(delay, () => this.#open(seat));", ";"],
  ["a silent connection is kept", "this.close(SILENT);", ";"],
  ["a reply that never ends keeps its connection", "(isOldest ? this.lastReceived : this.#lastSign)", "this.lastReceived"],
  ["nobody asks an idle connection whether it lives",
    "this.#heartbeat = world.after(pingInterval, () => this.#beat()).unref();", ""],
  ["what was lost is not settled", "for (const command of failed)\n            command.fail(error);", ""],
  ["a command that had no place before is begun in the middle", "this.#written = 0;\n        return true;", "return true;"],
  // Messages
  ["a gap is not marked", "this.#deliver({ gap });", ";"],
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
  ["a closed handler still takes commands", "if (this.#closing !== undefined)\n            command.fail(CLOSED, ",
    "if (false)\n            command.fail(CLOSED, "],
  ["what waits is forgotten when the handler is closed",
    "command.fail(CLOSED);\n        this.#seats.forEach(stopTimer);", ";\n        this.#seats.forEach(stopTimer);"],
];

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

/** The first seed that shows it. */
export async function hunt(mutant: Mutant, seeds: number): Promise<Breach | undefined> {
  return search(await plant(mutant), 0, seeds);
}

type Caught = { seed: number; invariant: string; what: string };

/** Each in a process of its own: a bug may be one that never ends. */
function inProcess(mutant: Mutant, seeds: number): Promise<Caught | undefined> {
  return new Promise((resolve) => {
    let caught: Caught | undefined;
    const child = fork(fileURLToPath(import.meta.url), ["--one", String(mutants.indexOf(mutant)), String(seeds)]);
    const watchdog = setTimeout(() => child.kill("SIGKILL"), 120_000);
    child.on("message", (message) => {
      caught = message as Caught;
    });
    child.on("exit", (code, signal) => {
      clearTimeout(watchdog);
      resolve(signal === null ? caught : { seed: NaN, invariant: "I2", what: "it never ends" }); // out of time, or of memory
    });
  });
}

async function main(word = "", seeds = "20000"): Promise<void> {
  const wanted = mutants.filter(([bug]) => bug.includes(word));
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
      : `${caught.invariant} at seed ${caught.seed}: ${caught.what.split("\n")[0]}`;
    console.log(`${mutant[0].padEnd(68)} ${verdict.slice(0, 110)}`);
  }
  const survivors = wanted.filter((mutant) => results.get(mutant) === undefined).length;
  console.log(`${wanted.length - survivors} of ${wanted.length} are caught`);
  exit(survivors === 0 ? 0 : 1);
}

async function one(index: number, seeds: number): Promise<void> {
  let caught: Caught | undefined;
  try {
    caught = await hunt(mutants[index]!, seeds);
  } catch (error) {
    console.error((error as Error).message);
  }
  if (caught === undefined) exit(1);
  const { seed, invariant, what } = caught;
  process.send!({ seed, invariant, what }, () => exit(0));
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) {
  if (argv[2] === "--one") await one(Number(argv[3]), Number(argv[4]));
  else await main(argv[2], argv[3]);
}

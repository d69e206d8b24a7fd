// node bench/client.mjs <client> <addresses> [<workload> <seconds> [<calls a second>]]
// One run in a process of its own, against servers that run.mjs has filled; prints the result as one line of JSON.
// Without a workload, it connects and prints the client's version; it fails if the client cannot run here.
// With a number of calls a second, it measures their latency.

import { createHistogram } from "node:perf_hooks";
import { clientOf, clients, command } from "./clients.mjs";
import { workloads } from "./workloads.mjs";

const [name, addresses, workload, seconds, perSecond] = process.argv.slice(2);
const client = clientOf(name);
const at = JSON.parse(addresses);

async function introduce() {
  await client.open(at.tcp);
  const runtime = process.versions.bun ? `Bun ${process.versions.bun}` : `Node ${process.versions.node}`;
  return { version: client.version?.(), runtime };
}

// ==== A rate ====

const { open = () => client.open(at.tcp), prepare, callers = 1, counts = 1, step, floor, cost, beside } = workloads[workload] ?? {};
const onSocket = name === "floor";
const turn = onSocket ? floor : step;
const loops = onSocket ? 1 : callers;
const perTurn = onSocket ? callers * counts : counts;

/** A hash of the replies to the first two turns, to compare with other clients'. */
async function firstReplies(db, prepared) {
  const { createHash } = await import("node:crypto");
  const { plain = (reply) => reply } = client;
  const hash = createHash("sha1");
  for (const n of [0, 1]) {
    const reply = plain(await turn(db, n, prepared));
    hash.update(ArrayBuffer.isView(reply) ? reply : JSON.stringify(reply));
  }
  return hash.digest("hex");
}

async function measure(db, prepared, seconds) {
  let turns = 0;
  let running = true;
  const loop = async () => {
    while (running) await turn(db, turns++, prepared);
  };
  setTimeout(() => {
    running = false;
  }, seconds * 1000);
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(Array.from({ length: loops }, loop));
  const elapsed = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  const operations = turns * perTurn;
  return { value: (operations / elapsed) * 1000, cpu: (user + system) / operations };
}

async function rate() {
  const db = await open(client, at);
  if (!db) return {};
  const prepared = await prepare?.(db);
  const replies = onSocket ? undefined : await firstReplies(db, prepared);
  await measure(db, prepared, seconds / 2); // the warm-up
  return { ...(await measure(db, prepared, seconds)), replies };
}

// ==== A latency ====

/**
 * Calls so often a second, whether or not earlier calls have been answered, and measures each from the time at which it
 * was due: a call that had to wait for the process, too, has waited. Failed calls are counted and not measured.
 */
async function latency() {
  const db = await open(client, at);
  if (!db) return {};
  db.on?.("error", () => {}); // without a listener, some clients end the process when the server restarts
  const prepared = await prepare?.(db);
  await measure(db, prepared, seconds / 2); // the warm-up
  const times = createHistogram();
  const interval = 1000 / perSecond;
  let [calls, pending, errors] = [0, 0, 0];
  const call = (due) => {
    pending++;
    turn(db, calls++, prepared).then(
      () => times.record(Math.max(1, Math.round((performance.now() - due) * 1e6))),
      () => errors++,
    ).then(() => pending--);
  };
  process.stderr.write("begins\n");
  const timer = beside && setInterval(() => beside.step(db).catch(() => {}), beside.every);
  const start = performance.now();
  const end = start + seconds * 1000;
  await new Promise((resolve) => {
    const issue = () => { // an immediate, because a timer may be late by a millisecond
      const now = performance.now();
      for (let due = start + calls * interval; due <= now && due < end; due = start + calls * interval) call(due);
      if (now < end || (pending > 0 && now < end + 10_000)) setImmediate(issue);
      else resolve();
    };
    issue();
  });
  clearInterval(timer);
  const [p50, value, p999] = [50, 99, 99.9].map((percent) => times.percentile(percent) / 1e6);
  return { value, p50, p999, errors: errors + pending };
}

// ==== A cost ====

const send = async (...args) => (await clients.floor.open(at.tcp)).exchange(command(...args), "+OK\r\n".length);
/** Makes the server hold back writes: it reads them and executes none. */
const pause = () => send("CLIENT", "PAUSE", "60000", "WRITE");

async function once() {
  const value = await cost(() => open(client, at), pause);
  await send("CLIENT", "UNPAUSE");
  return { value };
}

console.log(JSON.stringify(await (workload === undefined ? introduce() : cost ? once() : perSecond ? latency() : rate())));
process.exit(); // instead of closing each client its own way

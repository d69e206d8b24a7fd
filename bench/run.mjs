// npm run bench -- [workload or group …] [--quick] [--check] [--clients a,b] [--seconds n] [--rounds n] [--out path]
//                  [--runtime path or bun] [--bun path]
//
// Servers run on one core and clients on another; each run is a process of its own, and clients take turns: A B C A B C.
//
//   --quick     runs the main workloads only, once each
//   --check     exits with an error if a goal is missed
//   --clients   measures only these; the path of another compiled redis.js is a client too, so that two versions can be
//               compared: --clients redis.ts,old/redis.js
//   --runtime   runs the clients on another Node, or on Bun
//   --bun       the Bun that runs Bun's own client; by default the one that `npm run runtimes` fetched, or that of the PATH
//   --out       writes the results to <path>.json and <path>.svg; a complete run writes results.json and results.svg

import { execFile, execFileSync, spawnSync } from "node:child_process";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { arch, availableParallelism, cpus, platform } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { RedisCluster, RedisServer } from "../dist/test/servers.js";
import { clientOf, clients } from "./clients.mjs";
import { picture } from "./picture.mjs";
import { groups, workloads } from "./workloads.mjs";

const here = import.meta.dirname;
const fetchedBun = join(here, "../.runtimes/node_modules/bun/bin/bun");
const allClients = Object.keys(clients).join();
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean" },
    check: { type: "boolean" },
    clients: { type: "string", default: allClients },
    seconds: { type: "string" },
    rounds: { type: "string" },
    runtime: { type: "string", default: process.execPath },
    bun: { type: "string", default: existsSync(fetchedBun) ? fetchedBun : "bun" },
    out: { type: "string" },
  },
});
const seconds = Number(options.seconds ?? (options.quick ? 0.7 : 2));
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3));
if (!(seconds > 0 && Number.isInteger(rounds) && rounds > 0)) throw new Error("--seconds and --rounds must be positive");

const asked = positionals.length > 0 ? positionals : options.quick ? ["main"] : ["main", "more", "large", "costs"];
const chosen = asked.flatMap((name) => (Object.hasOwn(groups, name) ? Object.keys(groups[name]) : [name]));
const unknown = chosen.find((name) => !Object.hasOwn(workloads, name));
if (unknown) throw new Error(`no workload ${unknown}; there are ${Object.keys({ ...groups, ...workloads }).join(", ")}`);
const partial = positionals.length > 0 || options.quick || options.clients !== allClients;
const out = options.out ?? (partial ? undefined : join(here, "results"));

// ==== Runs ====

function install() {
  const modified = (file) => statSync(join(here, file), { throwIfNoEntry: false })?.mtimeMs ?? -1;
  // npm writes this lock file last, so an interrupted installation does not count.
  if (modified("node_modules/.package-lock.json") >= modified("package-lock.json")) return;
  try {
    execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: here, stdio: "inherit" });
  } catch {
    console.error("npm could not install the other clients; the missing ones are left out");
  }
}

const pinned = availableParallelism() > 1 && spawnSync("taskset", ["-c", "0,1", "true"]).status === 0;

const progress = (text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

const execute = promisify(execFile);

/** The result of client.mjs in a process of its own, or why there is none; `started` gets the process. */
async function run(client, args = [], started = () => {}) {
  const runtime = clientOf(client).runtime ?? options.runtime;
  const program = [runtime === "bun" ? options.bun : runtime, join(here, "client.mjs")];
  const command = [...program, client, JSON.stringify(addresses), ...args.map(String)];
  if (pinned) command.unshift("taskset", "-c", "1");
  try {
    const execution = execute(command[0], command.slice(1), { timeout: 120_000, killSignal: "SIGKILL" });
    started(execution.child);
    const { stdout } = await execution;
    return JSON.parse(stdout.trim().split("\n").at(-1)); // valkey-glide logs to the standard output
  } catch ({ killed, stderr = "", message }) {
    if (killed) return { failed: "did not finish within two minutes" };
    return { failed: /^\w*Error.*/m.exec(stderr)?.[0] ?? (stderr.trim().split("\n").at(-1) || message) };
  }
}

async function introduceAll() {
  const known = {};
  for (const client of options.clients.split(",")) {
    const introduction = await run(client);
    if (introduction.failed) console.log(`without ${client}: ${introduction.failed}`);
    else known[client] = introduction;
  }
  return known;
}

async function fill(workload) {
  for (const server of servers) {
    await server.call("FLUSHALL");
    for (const command of workloads[workload].data ?? []) await server.call(...command);
  }
}

async function measure(workload) {
  const runs = {};
  const { floor, load, restart } = workloads[workload];
  const able = Object.keys(known).filter((client) => client !== "floor" || (floor && !load));
  const rate = load && Math.round(load * await slowest(workload, able));
  const args = [workload, seconds, ...(load ? [rate] : [])];
  for (let round = 1; round <= rounds; round++)
    for (const client of able) {
      progress(`${workload} ${round}/${rounds} ${client}`);
      (runs[client] ??= []).push(await run(client, args, restart && restartInside));
    }
  progress("");
  return summary(workload, runs, rate);
}

/** Calls a second that the slowest client reaches, if each waits for its reply. */
async function slowest(workload, able) {
  const rates = [];
  for (const client of able) {
    progress(`${workload} ${client}`);
    rates.push((await run(client, [workload, seconds / 4])).value ?? Infinity);
  }
  return Math.min(...rates);
}

/** Restarts the server in the middle of a measurement, which the client announces. */
function restartInside({ stderr }) {
  stderr.once("data", async () => {
    await new Promise((resolve) => setTimeout(resolve, seconds * 500));
    await servers[0].kill();
    await servers[0].restart();
    pin(servers[0]);
  });
}

function pin({ pid }) {
  if (pinned) execFileSync("taskset", ["-a", "-c", "-p", "0", String(pid)]);
}

const median = (numbers) => {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

/** Each client's medians and spread, or why there are none; leaves out clients that lack the workload. */
function summary(workload, runs, rate) {
  const replies = Object.values(runs).flat().flatMap((run) => run.replies ?? []);
  if (new Set(replies).size > 1) throw new Error(`${workload}: the clients' replies differ`);
  const able = Object.entries(runs).filter(([, [run]]) => Object.keys(run).length > 0);
  return Object.fromEntries(able.map(([client, runs]) => {
    const { failed } = runs.find((run) => run.failed) ?? {};
    if (failed) return [client, { failed }];
    const figures = runs.map((run) => run.value);
    const value = median(figures);
    const spread = (Math.max(...figures) - Math.min(...figures)) / value;
    const middle = (name) => runs[0][name] === undefined ? undefined : median(runs.map((run) => run[name]));
    const result = { value, spread, cpu: middle("cpu") };
    if (rate === undefined) return [client, result];
    return [client, { ...result, p50: middle("p50"), p999: middle("p999"), errors: middle("errors"), rate }];
  }));
}

// ==== The table ====

const figure = (number) => number.toLocaleString("en", { maximumSignificantDigits: 3 });
const times = (ratio) => `${ratio.toFixed(2)} x`;
const percent = (ratio) => `${(ratio * 100).toFixed(1)} %`;
const ratio = (value, other) => (value && other ? times(value / other) : "");
const line = (cells) => console.log(cells.map((cell, n) => (n === 0 ? cell.padEnd(16) : cell.padStart(14))).join("").trimEnd());

function row(client, { failed, value, spread, cpu }, { "redis.ts": ours, floor }, unit) {
  if (failed) return [`  ${client}`, `failed: ${failed}`];
  const faster = unit ? ratio(value, ours?.value) : ratio(ours?.value, value); // of a cost, less is better
  const isReference = client === "redis.ts" || client === "floor";
  return [
    `  ${client}`,
    unit ? `${figure(value)} ${unit}` : figure(value / 1000),
    rounds > 1 ? `${(spread * 100).toFixed(0)} %` : "",
    cpu ? figure(cpu) : "",
    isReference ? "" : faster,
    isReference || !cpu || !ours?.cpu ? "" : percent(ours.cpu / cpu),
    client === "floor" ? "" : ratio(value, floor?.value),
  ];
}

const LATENCIES = ["", "p50 ms", "spread", "p99 ms", "p99.9 ms", "failed", "p99 to ours"];

function latencyRow(client, { failed, value, spread, p50, p999, errors }, { "redis.ts": ours }) {
  if (failed) return [`  ${client}`, `failed: ${failed}`];
  const others = client === "redis.ts" ? "" : ratio(value, ours?.value);
  return [`  ${client}`, figure(p50), `${(spread * 100).toFixed(0)} %`, figure(value), figure(p999), String(errors), others];
}

function print(workload, results) {
  const { about, unit, load } = workloads[workload];
  const { rate } = Object.values(results).find((result) => result.rate) ?? {};
  console.log(`\n${workload}: ${about}${rate ? `; ${rate.toLocaleString("en")} calls a second` : ""}`);
  if (load) line(LATENCIES);
  for (const [client, result] of load ? Object.entries(results) : []) line(latencyRow(client, result, results));
  if (load) return;
  for (const [client, result] of Object.entries(results)) line(row(client, result, results, unit));
}

// ==== The goals ====

/** redis.ts's figure for a goal and whether it is enough: [figure, enough]; undefined if nothing was measured to compare with. */
function reached(results, workload, name, bound) {
  const ours = results[workload]["redis.ts"];
  if (ours?.value === undefined) return ["failed", false];
  const most = { cpu: ours.cpu, most: ours.value }[name];
  if (most !== undefined) return [figure(most), most <= bound];
  const other = Object.hasOwn(clients, name) ? results[workload][name] : results[name]?.["redis.ts"];
  if (other?.value === undefined) return undefined;
  const ratio = workloads[workload].load ? other.value / ours.value : ours.value / other.value;
  return [times(ratio), ratio >= bound];
}

/** Prints the goals and returns how many are missed. */
function check(results) {
  let missed = 0;
  console.log("\ngoals");
  for (const workload of chosen)
    for (const [name, bound] of Object.entries(workloads[workload].goal ?? {})) {
      const [figure, enough] = reached(results, workload, name, bound) ?? ["not measured", true];
      if (!enough) missed++;
      line([`  ${workload}`, name, `${bound}`, figure, enough ? "" : "MISSED"]);
    }
  return missed;
}

// ==== Main ====

install();
const servers = [await RedisServer.start({ tls: true }), await RedisServer.start(), await RedisServer.start()];
const three = servers.map(({ host, port }) => ({ host, port }));
const [{ host, tlsPort, certs, path, version }] = servers;
const cluster = chosen.some((name) => Object.hasOwn(groups.cluster, name)) && (await RedisCluster.start({ replicas: 0 }));
const addresses = {
  tcp: three[0],
  tls: { host, port: tlsPort, tls: { ca: certs.ca.cert } },
  unix: { path },
  three,
  cluster: cluster && cluster.servers.map(({ host, port }) => ({ host, port })),
};
for (const server of [...servers, ...(cluster ? cluster.servers : [])]) pin(server);

const known = await introduceAll();
const setting = {
  versions: Object.fromEntries(Object.entries(known).map(([client, { version }]) => [client, version])),
  runtimes: [...new Set(Object.values(known).map(({ runtime }) => runtime))],
  server: version,
  machine: `${cpus()[0]?.model}, ${availableParallelism()} cores, ${platform()} ${arch()}`,
  pinned,
  seconds,
  rounds,
};
const versions = Object.entries(setting.versions).filter(([, version]) => version);
console.log(`${versions.map((pair) => pair.join(" ")).join(", ")}; ${setting.runtimes.join(", ")}; server ${version}`);
const how = `server and client ${pinned ? "on one core each" : "not pinned"}; ${rounds} x ${seconds} s, medians`;
console.log(`${setting.machine}; ${how}\n`);
line(["", "k op/s", "spread", "CPU µs/op", "redis.ts is", "at CPU", "of the floor"]);

const results = {};
for (const workload of chosen) {
  await fill(workload);
  results[workload] = await measure(workload);
  print(workload, results[workload]);
}
for (const server of servers) await server.stop();
if (cluster) await cluster.stop();

if (out) {
  const report = { date: new Date().toISOString().slice(0, 10), ...setting, results };
  writeFileSync(`${out}.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${out}.svg`, picture(report));
}
if (options.check && check(results) > 0) process.exitCode = 1;

// npm run bench -- [workload …] [--seconds n] [--rounds n] [--json file]
// Server and client on a core each, each run in a process of its own, the clients in turn: A B C A B C.

import { execFile, execFileSync, spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { arch, availableParallelism, cpus, platform } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { RedisServer } from "../dist/test/servers.js";
import { clients, workloads } from "./workloads.mjs";

const here = import.meta.dirname;
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    json: { type: "string" },
  },
});
const [seconds, rounds] = [Number(options.seconds), Number(options.rounds)];
if (!(seconds > 0 && Number.isInteger(rounds) && rounds > 0))
  throw new Error("--seconds and --rounds must be positive");
const chosen = positionals.length > 0 ? positionals : Object.keys(workloads);
const unknown = chosen.find((name) => !Object.hasOwn(workloads, name));
if (unknown) throw new Error(`no workload ${unknown}; there are ${Object.keys(workloads).join(", ")}`);

// ==== Runs ====

function install() {
  const modified = (file) => statSync(join(here, file), { throwIfNoEntry: false })?.mtimeMs ?? -1;
  // npm writes its own lock file into node_modules last, so an installation cut short is not taken for a whole one.
  if (modified("node_modules/.package-lock.json") >= modified("package-lock.json")) return;
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: here, stdio: "inherit" });
}

const pinned = availableParallelism() > 1 && spawnSync("taskset", ["-c", "0,1", "true"]).status === 0;

const progress = (text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text !== "") process.stderr.write(`${text}\n`);
};

const run = promisify(execFile);

async function measure(client, workload, port) {
  const args = [process.execPath, join(here, "client.mjs"), client, workload, port, seconds].map(String);
  if (pinned) args.unshift("taskset", "-c", "1");
  const { stdout } = await run(args[0], args.slice(1));
  return JSON.parse(stdout);
}

async function measureAll(server) {
  const runs = [];
  for (const workload of chosen) {
    await server.call("FLUSHALL");
    for (const command of workloads[workload].data) await server.call(...command);
    const able = Object.keys(clients).filter((client) => client !== "floor" || workloads[workload].floor);
    for (let round = 1; round <= rounds; round++)
      for (const client of able) {
        progress(`${workload} ${round}/${rounds} ${client}`);
        runs.push(await measure(client, workload, server.port));
      }
    const rivals = runs.filter((run) => run.workload === workload && run.client !== "floor");
    if (new Set(rivals.map(({ reply }) => reply)).size > 1) throw new Error(`${workload}: the clients' replies differ`);
  }
  progress("");
  return runs;
}

// ==== The table ====

const median = (numbers) => {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

function summary(runs, workload) {
  const rows = Object.keys(clients).flatMap((client) => {
    const own = runs.filter((run) => run.workload === workload && run.client === client);
    if (own.length === 0) return [];
    const speeds = own.map((run) => run.operationsPerSecond);
    const speed = median(speeds);
    const spread = (Math.max(...speeds) - Math.min(...speeds)) / speed;
    return { client, speed, spread, cpu: median(own.map((run) => run.cpuMicroseconds)) };
  });
  const [ours, ...others] = rows;
  const fastest = Math.max(...others.filter(({ client }) => client !== "floor").map(({ speed }) => speed));
  return rows.map((row) => ({ ...row, ratio: row === ours ? ours.speed / fastest : undefined }));
}

const significant = (number) => (number >= 100 ? number.toFixed(0) : number.toPrecision(3));

function print(runs) {
  const cells = chosen.flatMap((workload) =>
    summary(runs, workload).map((row, index) => [
      index === 0 ? workloads[workload].about : "",
      row.client,
      significant(row.speed / 1000),
      `${(row.spread * 100).toFixed(0)} %`,
      significant(row.cpu),
      row.ratio === undefined ? "" : `${row.ratio.toFixed(2)} x`,
    ]),
  );
  const table = [["workload", "client", "k op/s", "spread", "CPU µs/op", "redis.ts to the faster"], ...cells];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  for (const row of table) {
    const line = row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])));
    console.log(line.join("  ").trimEnd());
  }
}

function describe(server) {
  const version = ({ folder }) => JSON.parse(readFileSync(join(here, folder, "package.json"), "utf8")).version;
  const released = Object.entries(clients).filter(([, { folder }]) => folder);
  const versions = released.map(([name, client]) => [name, version(client)]);
  return {
    versions: Object.fromEntries([...versions, ["node", process.versions.node], ["server", server.version]]),
    machine: `${cpus()[0]?.model}, ${availableParallelism()} cores, ${platform()} ${arch()}`,
    pinned,
    seconds,
    rounds,
  };
}

// ==== Main ====

install();
const server = await RedisServer.start({ unix: false });
try {
  if (pinned) execFileSync("taskset", ["-a", "-c", "-p", "0", String(server.pid)]);
  const setting = describe(server);
  console.log(
    Object.entries(setting.versions)
      .map((pair) => pair.join(" "))
      .join(", "),
  );
  console.log(
    `${setting.machine}; server and client ${pinned ? "on a core each" : "not pinned"}; ` +
      `${rounds} rounds of ${seconds} s, medians\n`,
  );
  const runs = await measureAll(server);
  print(runs);
  if (options.json) writeFileSync(options.json, JSON.stringify({ date: new Date(), ...setting, runs }, null, 2) + "\n");
} finally {
  await server.stop();
}

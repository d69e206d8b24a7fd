// node bench/client.mjs <client> <workload> <port> <seconds>
// One measured run against a server that run.mjs has filled; prints it as one line of JSON.

import { createHash } from "node:crypto";
import { clients, workloads } from "./workloads.mjs";

const [name, workload, port, seconds] = process.argv.slice(2);
const { callers = 1, counts = 1, step, floor } = workloads[workload];
const onSocket = name === "floor";
const turn = onSocket ? floor : step;
const loops = onSocket ? 1 : callers;
const perTurn = onSocket ? callers * counts : counts;

const db = await clients[name].open(Number(port));
const reply = createHash("sha1")
  .update(JSON.stringify(await turn(db, 0)) ?? "")
  .digest("hex");

async function measure(seconds) {
  let turns = 0;
  let running = true;
  const loop = async () => {
    while (running) await turn(db, turns++);
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
  return { operationsPerSecond: (operations / elapsed) * 1000, cpuMicroseconds: (user + system) / operations };
}

await measure(Math.max(0.5, seconds / 2)); // the warm-up
console.log(JSON.stringify({ workload, client: name, ...(await measure(seconds)), reply }));
process.exit(); // without a closing of each client's own kind

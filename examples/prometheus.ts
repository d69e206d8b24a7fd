// Metrics of a handler for Prometheus, from stats(), and a server for them.
//
//     createMetricsServer(db).listen(9464);

import { createServer } from "node:http";
import type { Server } from "node:http";
import type { NodeStats } from "../redis.ts";

const METRICS: readonly [name: string, type: "gauge" | "counter", help: string, value: (stats: NodeStats) => number][] = [
  ["redis_connections_max", "gauge", "Connections that there may be", ({ connections }) => connections.max],
  ["redis_pending", "gauge", "Commands without a reply", ({ pending }) => pending],
  ["redis_waiting", "gauge", "Commands without a connection", ({ waiting }) => waiting],
  ["redis_connections_opened_total", "counter", "Connections that were opened", ({ opened }) => opened],
  ["redis_connections_lost_total", "counter", "Connections that broke", ({ lost }) => lost],
  ["redis_connections_refused_total", "counter", "Attempts to connect that failed", ({ refused }) => refused],
  ["redis_create_seconds_total", "counter", "Time that opening connections took", ({ createTime }) => createTime / 1000],
  ["redis_lent_total", "counter", "Connections lent to one user", ({ lent }) => lent],
  ["redis_use_seconds_total", "counter", "Time for which connections were lent", ({ useTime }) => useTime / 1000],
  ["redis_waited_total", "counter", "Commands that waited for a connection", ({ waited }) => waited],
  ["redis_wait_seconds_total", "counter", "Time for which they waited", ({ waitTime }) => waitTime / 1000],
  ["redis_timeouts_total", "counter", "Commands that had no connection in time", ({ timeouts }) => timeouts],
  ["redis_replies_total", "counter", "Replies", ({ replies }) => replies],
  ["redis_errors_total", "counter", "Error replies", ({ errors }) => errors],
  ["redis_failures_total", "counter", "Commands that failed without a reply", ({ failures }) => failures],
  ["redis_read_bytes_total", "counter", "Bytes received", ({ bytesRead }) => bytesRead],
  ["redis_written_bytes_total", "counter", "Bytes sent", ({ bytesWritten }) => bytesWritten],
];

/** The metrics in Prometheus's text format. */
export function metricsOf(stats: readonly NodeStats[]): string {
  const lines: string[] = [];
  const add = (name: string, type: string, help: string, values: (one: NodeStats) => Record<string, number>): void => {
    const sums = new Map<string, number>(); // several subscriptions may listen to one server
    for (const one of stats) {
      for (const [labels, value] of Object.entries(values(one))) {
        const key = `${name}{node=${JSON.stringify(one.node)},database="${one.database}",role="${one.role}"${labels}}`;
        sums.set(key, (sums.get(key) ?? 0) + value);
      }
    }
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...Array.from(sums, (line) => line.join(" ")));
  };
  add("redis_connections", "gauge", "Connections", ({ connections: { idle, used, opening } }) =>
    ({ ',state="idle"': idle, ',state="used"': used, ',state="opening"': opening }));
  add("redis_errors_by_code_total", "counter", "Errors and failures by code", ({ codes }) =>
    Object.fromEntries(Object.entries(codes).map(([code, count]) => [`,code="${code}"`, count])));
  for (const [name, type, help, value] of METRICS) add(name, type, help, (one) => ({ "": value(one) }));
  return `${lines.join("\n")}\n`;
}

/** Answers GET /metrics. */
export function createMetricsServer(db: { stats(): NodeStats[] }): Server {
  return createServer(({ url }, response) => {
    if (url !== "/metrics") response.writeHead(404).end();
    else response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(metricsOf(db.stats()));
  });
}

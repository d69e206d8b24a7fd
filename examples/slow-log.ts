// A slow log: commands, pipelines and transactions that took too long, with the server and what went wrong.
//
//     slowLog(100);
//     lazyConnection() ... // SET ? ? took 123 ms on localhost:6379

import { subscribe } from "node:diagnostics_channel";
import type { CommandTrace } from "../redis.ts";

/** Logs what takes at least `limit` milliseconds, waiting for a connection included. */
export function slowLog(limit: number, log: (line: string) => void = console.warn): void {
  for (const kind of ["command", "batch"]) {
    subscribe(`tracing:redis.ts:${kind}:asyncEnd`, (message) => {
      const { command, args, batchSize, duration, node, error } = message as CommandTrace;
      const size = batchSize === undefined ? args.slice(0, 10) : [`of ${batchSize} commands`];
      const failed = error === undefined ? "" : ` and failed: ${error}`;
      if (duration >= limit) log(`${[command, ...size].join(" ")} took ${Math.round(duration)} ms on ${node}${failed}`);
    });
  }
}

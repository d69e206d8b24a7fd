// A live list of hosts from the SRV records of a name, which are asked for again and again.
//
//     const db = lazyConnectionPool({ anyOf: fromDns("_redis._tcp.example.com"), poolsize: 8 });
//
// While the DNS server does not answer, the driver keeps the last list, and calls this function again.

import { Resolver } from "node:dns/promises";
import { setTimeout as sleep } from "node:timers/promises";

type Options = {
  /** Time between two questions in milliseconds: about the TTL of the records. */
  every?: number;
  /** DNS servers, such as "10.0.0.53" or "127.0.0.1:8600"; the system's by default. */
  servers?: string[];
};
type Member = { host: string; port: number; weight: number; priority: number };

export const fromDns = (name: string, { every = 10_000, servers }: Options = {}) =>
  async function* (signal: AbortSignal): AsyncGenerator<Member[]> {
    const resolver = new Resolver({ timeout: 2_000, tries: 2 });
    if (servers !== undefined) resolver.setServers(servers);
    signal.addEventListener("abort", () => resolver.cancel(), { once: true });
    for (;;) {
      const records = await resolver.resolveSrv(name);
      // In SRV records, weight 0 means a small share; for the driver, it means none.
      yield records.map(({ name: host, weight, ...rest }) => ({ ...rest, host, weight: weight || 1 }));
      await sleep(every, undefined, { signal, ref: false });
    }
  };

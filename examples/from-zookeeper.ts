// A live list of hosts from ZooKeeper, in the layout of zyredis: each child of one node has a host or a URL as its value,
// such as redis://10.0.0.1:6379?weight=3. With manager(), each is a URL with a name: redis://10.0.0.1:6379/cache?weight=3.
//
//     npm install node-zookeeper-client
//
//     const names = manager(fromZookeeper("10.0.0.5:2181,10.0.0.6:2181", "/services/redis"));
//
// While ZooKeeper is down, the driver keeps the last list; this function connects again or, after SESSION, fails, and the
// driver calls it again.

import zookeeper from "node-zookeeper-client";
import type { Client } from "node-zookeeper-client";

const SESSION = 10_000; // milliseconds

/** Asks ZooKeeper, and calls `changed` when the answer changes for the first time. */
const ask = <T>(put: (changed: () => void, done: (error: Error | zookeeper.Exception | null, result: T) => void) => void,
  changed: () => void): Promise<T> =>
  new Promise((resolve, reject) => put(changed, (error, result) => error ? reject(error) : resolve(result)));

async function read(client: Client, parent: string, changed: () => void): Promise<string[]> {
  const names = await ask<string[]>((watch, done) => client.getChildren(parent, watch, done), changed);
  const values = names.sort().map((name) => ask<Buffer>((watch, done) => client.getData(`${parent}/${name}`, watch, done), changed)
    .catch((error: zookeeper.Exception) => { // a child was deleted meanwhile: the list is read again
      if (error.code !== zookeeper.Exception.NO_NODE) throw error;
    }));
  return (await Promise.all(values)).flatMap((value) => value === undefined ? [] : String(value).trim());
}

export const fromZookeeper = (servers: string, parent: string) => async function* (signal: AbortSignal): AsyncGenerator<string[]> {
  const client = zookeeper.createClient(servers, { sessionTimeout: SESSION });
  let hasChanged = true;
  let wake = (): void => {};
  let fail!: (why: Error) => void;
  const failed = new Promise<never>((_, reject) => { fail = reject; });
  failed.catch(() => {});
  const change = (): void => {
    hasChanged = true;
    wake();
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const awaitConnection = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => fail(new Error("ZooKeeper does not answer")), SESSION);
  };
  client.once("expired", () => fail(new Error("the session with ZooKeeper has expired")));
  client.on("disconnected", awaitConnection).on("connected", () => clearTimeout(timer));
  signal.addEventListener("abort", () => {
    client.close(); // otherwise it would try to connect for ever
    fail(signal.reason);
  }, { once: true });
  try {
    awaitConnection();
    client.connect();
    while (!signal.aborted) {
      if (!hasChanged) await Promise.race([failed, new Promise<void>((resolve) => { wake = resolve; })]);
      hasChanged = false;
      yield await Promise.race([failed, read(client, parent, change)]);
    }
  } finally {
    clearTimeout(timer);
    client.close();
  }
};

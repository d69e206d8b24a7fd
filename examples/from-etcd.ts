// A live list of hosts from etcd, through its HTTP gateway: the values of all keys that begin with a prefix, each of
// which is a host or a URL, such as redis://10.0.0.1:6379?weight=3. With manager(), each is a URL with a name.
//
//     const db = lazyConnectionPool({ anyOf: fromEtcd("http://10.0.0.5:2379", "/services/redis/") });
//
// While etcd is down, the driver keeps the last list, and calls this function again.

import { Buffer } from "node:buffer";

type Range = { header: { revision: string }; kvs?: { value: string }[] };

export const fromEtcd = (url: string, prefix: string) => async function* (signal: AbortSignal): AsyncGenerator<string[]> {
  const post = async (path: string, body: object): Promise<Response> => {
    const response = await fetch(`${url}/v3/${path}`, { method: "POST", body: JSON.stringify(body), signal });
    if (!response.ok) throw new Error(`etcd answered ${response.status}`);
    return response;
  };
  const end = Buffer.from(prefix);
  end[end.length - 1]! += 1; // the first key behind all that begin with the prefix
  const range = { key: Buffer.from(prefix).toString("base64"), range_end: end.toString("base64") };
  const read = async (): Promise<[hosts: string[], revision: bigint]> => {
    const { header, kvs = [] } = await (await post("kv/range", range)).json() as Range;
    return [kvs.map(({ value }) => Buffer.from(value, "base64").toString()), BigInt(header.revision)];
  };

  const [hosts, revision] = await read();
  yield hosts;
  const watch = await post("watch", { create_request: { ...range, start_revision: String(revision + 1n) } });
  for await (const _ of watch.body!) yield (await read())[0]; // whatever has changed: a list is read whole
};

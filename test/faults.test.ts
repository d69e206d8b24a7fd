// Every fault scenario at a tenth of its size; `npm run faults` runs them at any, and with pools and shards.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { redisTs, rows, runAll } from "./faults.ts";
import type { Result, Row } from "./faults.ts";
import { Log } from "./oracle.ts";
import type { Adapter, Outcome } from "./oracle.ts";
import { Boundaries } from "./proxy.ts";
import { RedisServer, until } from "./servers.ts";

describe("faults", () => {
  // The rows know which of them may run beside each other; a test awaits the result of its own.
  const results = new Map<Row, { promise: Promise<Result>; resolve: (result: Result) => void }>();
  for (const row of rows) {
    let resolve!: (result: Result) => void;
    const promise = new Promise<Result>((settle) => {
      resolve = settle;
    });
    results.set(row, { promise, resolve });
  }
  let all: Promise<void> | undefined;
  after(() => all);

  for (const row of rows)
    test(`${row.id}: ${row.what}`, { timeout: 600_000 }, async () => {
      all ??= runAll(rows, 0.1, redisTs, (row, result) => results.get(row)!.resolve(result));
      assert.deepEqual((await results.get(row)!.promise).breaches, []);
    });
});

describe("the oracle", () => {
  let server: RedisServer;
  before(async () => {
    server = await RedisServer.start();
  });
  after(() => server.stop());

  /** What it says of a client whose calls become `call`, twenty of them by two workers; so many of them never end. */
  const judged = async (call: (send: () => Promise<unknown>, n: number) => Promise<unknown>, endless = 0) => {
    await server.call("FLUSHALL");
    let n = 0;
    const adapter: Adapter = {
      name: "planted", open: () => {}, close: () => {}, multi: () => Promise.resolve([]), outcome: (error) => error.outcome,
      call: (_, args) => call(() => server.call(...args), n++),
    };
    const log = new Log(adapter, undefined, { lists: 1, deadline: 50 });
    for (let k = 0; k < 10; k++) for (const worker of [0, 1]) await Promise.race([log.append(worker, k), sleep(20)]);
    await until(() => log.pending === endless, "the others to end");
    const counts = await log.judge(server);
    return Object.entries(counts).flatMap(([name, count]) => (count > 0 && !ordinary.has(name) ? [`${name} ${count}`] : []));
  };
  const ordinary = new Set(["operations", "acked", "unknown", "notSent", "refused"]);
  const fail = (outcome: Outcome) => Promise.reject(Object.assign(new Error(outcome), { outcome }));

  test("finds nothing where nothing is wrong", async () => {
    assert.deepEqual(await judged((send, n) => (n === 7 ? fail("not-sent") : send())), []);
    assert.deepEqual(await judged(async (send, n) => (await send(), n === 7 ? fail("unknown") : n + 1)), []);
  });

  test("finds what is lost, doubled, answered wrongly, lied about, late, and never settled", async () => {
    let late: () => Promise<unknown>;
    const planted: [string, Parameters<typeof judged>[0]][] = [
      ["lost 1", (send, n) => (n === 19 ? Promise.resolve(20) : send())],
      ["doubled 1", async (send, n) => (n === 19 && (await send()), n === 19 ? (await send(), 20) : send())],
      ["wrong 1", async (send, n) => Number(await send()) - (n === 7 ? 1 : 0)],
      ["lied 1", async (send, n) => (await send(), n === 7 ? fail("not-sent") : n + 1)],
      ["reordered 1,zombie 1", (send, n) => {
        if (n === 12) return late = send, fail("unknown");
        return n === 19 ? send().finally(late) : send();
      }],
      ["hung 1", async (send, n) => (await send(), n === 7 ? new Promise(() => {}) : n + 1)],
    ];
    for (const [found, call] of planted) assert.equal(String(await judged(call, found === "hung 1" ? 1 : 0)), found);
  });
});

describe("the proxy", () => {
  const stream = [
    "+OK\r\n", "-ERR no\r\n", ":1\r\n", "$-1\r\n", "$0\r\n\r\n", "$7\r\n+a\r\n:1\n\r\n",
    "*-1\r\n", "*0\r\n", "*2\r\n*1\r\n$1\r\na\r\n:1\r\n",
    "_\r\n", "#t\r\n", ",1.5\r\n", "(12\r\n", "=5\r\ntxt:a\r\n", "!3\r\nERR\r\n", "%1\r\n+a\r\n*1\r\n+b\r\n",
    "~1\r\n+a\r\n", "%0\r\n",
    "|1\r\n+a\r\n+b\r\n:1\r\n", "*1\r\n|1\r\n+a\r\n+b\r\n:1\r\n", ">2\r\n+message\r\n+a\r\n",
  ];

  test("finds where replies end, wherever they are cut", () => {
    const bytes = Buffer.from(stream.join(""));
    for (let size = 1; size < 40; size++) {
      const boundaries = new Boundaries();
      const values = [""];
      for (let at = 0; at < bytes.length; at += size)
        for (const { bytes: part, kind, begins, ends } of boundaries.pieces(bytes.subarray(at, at + size))) {
          assert.equal(begins, values.at(-1) === "");
          values[values.length - 1] += String(part);
          assert.equal(kind, values.at(-1)![0]);
          if (ends) values.push("");
        }
      assert.deepEqual(values, [...stream, ""]);
    }
  });
});

// The simulator in the test suite: some seeds of the driver as it is, and proof that the simulator sees.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import * as driver from "../redis.ts";
import { hunt, mutants } from "./mutants.ts";
import { Agenda, Chance, quiet, search, show, simulate, trace } from "./sim.ts";

test("no invariant breaks in 2,000 simulated runs", { timeout: 30_000 }, async () => {
  const world = { ...driver.internals.world };
  try {
    const breach = await search(driver, 0, 2_000);
    assert.equal(breach && show(breach), undefined);
  } finally {
    Object.assign(driver.internals.world, world);
  }
});

test("a seed gives the same run again", async () => {
  const world = { ...driver.internals.world };
  try {
    for (let seed = 0; seed < 20; seed++) {
      const first = await trace(driver, seed);
      await simulate(driver, seed + 100);
      assert.deepEqual(await trace(driver, seed), first);
      assert.ok(first.length > 10);
    }
  } finally {
    Object.assign(driver.internals.world, world);
  }
});

for (const bug of [
  "a write is issued again after a loss", "WATCH and MULTI are forgotten across a reconnect",
  "a cancelled slot is removed from the ring",
]) {
  test(`the simulator finds out when ${bug}`, { timeout: 60_000 }, async () => {
    const mutant = mutants.find(([name]) => name === bug);
    assert.ok(mutant);
    assert.ok(await hunt(mutant, 2_000));
  });
}

test("many clients of a server that is away try again at different times", async () => {
  const world = { ...driver.internals.world };
  const agenda = new Agenda();
  const chance = new Chance(1);
  const attempts: number[] = [];
  let now = 0;
  const after = (delay: number, task: () => void): any =>
    Object.assign(agenda.add(now + delay, task), { unref() { return this; } });
  const connect = (): any => {
    attempts.push(now);
    const socket = Object.assign(new EventEmitter(), { writableHighWaterMark: 16_384, writableLength: 0, destroy() {} });
    after(1, () => socket.emit("error", Object.assign(new Error("refused"), { code: "ECONNREFUSED" })));
    return socket;
  };
  const cancel = (timer: any): void => {
    if (timer !== undefined) timer.run = undefined;
  };
  Object.assign(driver.internals.world, { now: () => now, random: () => chance.next(), after, cancel, connect });
  try {
    const clients = Array.from({ length: 500 }, () => driver.lazyConnection());
    while (agenda.next < 5_000) {
      now = agenda.next;
      for (let run = agenda.take().run; run !== undefined; run = agenda.next === now ? agenda.take().run : undefined) run();
      await quiet();
    }
    const late = attempts.filter((at) => at > 1_000);
    const within100 = late.map((at) => late.filter((other) => other >= at && other < at + 100).length);
    assert.ok(late.length > 1_000 && Math.max(...within100) < 500 / 4, `${Math.max(...within100)} at once`);
    for (const client of clients) client.destroy();
  } finally {
    Object.assign(driver.internals.world, world);
  }
});

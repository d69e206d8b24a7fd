// The simulator in the test suite: some seeds of the driver as it is, and proof that the simulator sees.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as driver from "../redis.ts";
import { hunt, mutants } from "./mutants.ts";
import { search, show, simulate, trace } from "./sim.ts";

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

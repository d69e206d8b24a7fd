// rate-limiter-flexible over the ioredis shape.
import assert from "node:assert/strict";
import { test } from "node:test";
import { RateLimiterMemory, RateLimiterRedis } from "rate-limiter-flexible";
import { ioredis } from "./ioredis.mjs";

const all = ioredis();

test("rate-limiter-flexible: a limit holds across two instances, and is told, rewarded, blocked and deleted", async () => {
  const [here, there] = [all.client(), all.client()].map((storeClient) =>
    new RateLimiterRedis({ storeClient, keyPrefix: "limit", points: 5, duration: 600 }));
  const results = await Promise.allSettled(Array.from({ length: 9 }, (_, i) => (i % 2 ? here : there).consume("alice")));
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 5);
  const { reason } = results.find(({ status }) => status === "rejected");
  assert.equal(reason.remainingPoints, 0);
  assert.ok(reason.msBeforeNext > 500_000 && reason.msBeforeNext <= 600_000);
  assert.equal((await here.get("alice")).consumedPoints, 9);
  assert.equal(await here.get("bob"), null);

  await here.reward("alice", 5); // 4 of 5 are used
  assert.equal((await there.consume("alice")).remainingPoints, 0);
  await assert.rejects(here.consume("alice"), ({ consumedPoints }) => consumedPoints === 6);
  await there.block("bob", 600);
  await assert.rejects(here.consume("bob"), ({ msBeforeNext }) => msBeforeNext > 500_000);
  assert.equal(await here.delete("bob"), true);
  assert.equal((await here.consume("bob")).remainingPoints, 4);
  assert.equal((await here.set("carol", 3, 0)).consumedPoints, 3); // without an end
  assert.equal(await all.server.call("PTTL", "limit:carol"), -1);
});

test("rate-limiter-flexible: while the server is down, the limiter in memory decides; then the limit holds again", async () => {
  const storeClient = all.client();
  const options = { keyPrefix: "down", points: 1, duration: 600 };
  const limiter = new RateLimiterRedis({
    ...options, storeClient, insuranceLimiter: new RateLimiterMemory({ points: 3, duration: 600 }),
  });
  assert.equal((await limiter.consume("alice")).remainingPoints, 0);
  await all.server.kill();
  assert.equal((await limiter.consume("alice")).remainingPoints, 2);
  await all.server.restart();
  await all.back(storeClient);
  assert.equal((await limiter.consume("bob")).remainingPoints, 0); // the server forgot the script, which is sent again
  const other = new RateLimiterRedis({ ...options, storeClient: all.client() });
  await assert.rejects(other.consume("bob"), ({ remainingPoints }) => remainingPoints === 0);
});

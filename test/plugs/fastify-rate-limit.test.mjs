// @fastify/rate-limit over the ioredis shape.
import assert from "node:assert/strict";
import { test } from "node:test";
import rateLimit from "@fastify/rate-limit";
import fastify from "fastify";
import { until } from "../../dist/test/servers.js";
import { ioredis } from "./ioredis.mjs";

const all = ioredis();

const serving = async (options = {}) => {
  const app = fastify();
  await app.register(rateLimit, { redis: all.client(), max: 3, timeWindow: 600_000, ...options });
  app.get("/", async () => "hello");
  app.get("/hard", { config: { rateLimit: { max: 1 } } }, async () => "hello");
  return app;
};

test("@fastify/rate-limit: a limit holds across two servers, and a route may have its own", async () => {
  const apps = await Promise.all([serving(), serving()]);
  const answers = [];
  for (let i = 0; i < 4; i++) answers.push(await apps[i % 2].inject("/"));
  assert.deepEqual(answers.map(({ statusCode }) => statusCode), [200, 200, 200, 429]);
  assert.deepEqual(answers.map(({ headers }) => headers["x-ratelimit-remaining"]), ["2", "1", "0", "0"]);
  assert.ok(Number(answers[3].headers["retry-after"]) > 500);
  const hard = [];
  for (const app of apps) hard.push((await app.inject("/hard")).statusCode);
  assert.deepEqual(hard, [200, 429]);
  await Promise.all(apps.map((app) => app.close()));
});

test("@fastify/rate-limit: while the server is down, requests pass or fail as skipOnError says; then they are limited", async () => {
  const [lenient, strict] = await Promise.all([serving({ skipOnError: true, max: 1 }), serving({ max: 1 })]);
  const get = async (app) => (await app.inject("/")).statusCode;
  assert.equal(await get(lenient), 429); // used up by the test above
  await all.server.kill();
  assert.equal(await get(lenient), 200);
  assert.equal(await get(strict), 500);
  await all.server.restart();
  const statuses = [];
  while (!statuses.includes(429)) statuses.push(await get(strict)); // 500 until its connection is back
  assert.deepEqual(statuses.filter((status) => status !== 500), [200, 429]);
  await until(async () => await get(lenient) === 429, "its connection to be back, too");
  await Promise.all([lenient.close(), strict.close()]);
});

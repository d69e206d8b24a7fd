// graphql-redis-subscriptions over the ioredis shape.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { buildSchema, parse, subscribe } from "graphql";
import { RedisPubSub } from "graphql-redis-subscriptions";
import { until } from "../../dist/test/servers.js";
import { ioredis } from "./ioredis.mjs";

const all = ioredis();
const open = (options) => new RedisPubSub({ publisher: all.client(), subscriber: all.client(), ...options });

test("graphql-redis-subscriptions: what one process publishes, a GraphQL subscription in another receives", async () => {
  const [here, there] = [open(), open()];
  const schema = buildSchema("type Query { a: Int } type Subscription { said: String }");
  const rootValue = { said: () => there.asyncIterableIterator("SAID") };
  const answers = await subscribe({ schema, document: parse("subscription { said }"), rootValue });
  const first = answers.next().then(() => true);
  while (!await Promise.race([first, sleep(20)])) await here.publish("SAID", { said: "hello" }); // until it listens
  for (let i = 0; i < 100; i++) void here.publish("SAID", { said: String(i) });
  const said = [];
  while (said.length < 100) said.push((await answers.next()).value.data.said);
  said.splice(0, said.lastIndexOf("hello") + 1); // it may have come again
  while (said.length < 100) said.push((await answers.next()).value.data.said);
  assert.deepEqual(said, Array.from({ length: 100 }, (_, i) => String(i)));
  await answers.return();
  await until(async () => (await all.server.call("PUBSUB", "NUMSUB", "SAID"))[1] === 0, "the end of the subscription");
  await Promise.all([here.close(), there.close()]);
});

test("graphql-redis-subscriptions: channels and patterns, two listeners of one, and its last one leaving", async () => {
  const [here, there] = [open(), open()];
  const heard = [];
  const hear = (name) => (payload) => void heard.push([name, payload]);
  const ids = [
    await there.subscribe("news", hear("first")),
    await there.subscribe("news", hear("second")),
    await there.subscribe("n*", hear("pattern"), { pattern: true }),
    await there.subscribe("other", hear("other")),
  ];
  await here.publish("news", { n: 1 });
  await here.publish("other", { n: 2 });
  await until(() => heard.length === 4, "four messages");
  assert.deepEqual(heard.toSorted(), [["first", { n: 1 }], ["other", { n: 2 }], ["pattern", { n: 1 }], ["second", { n: 1 }]]);
  there.unsubscribe(ids[0]);
  there.unsubscribe(ids[1]);
  await until(async () => (await all.server.call("PUBSUB", "CHANNELS")).join() === "other", "one channel to be left");
  await here.publish("news", { n: 3 });
  await here.publish("other", { n: 4 });
  await until(() => heard.length === 6, "two more messages");
  assert.deepEqual(heard.slice(4).toSorted(), [["other", { n: 4 }], ["pattern", { n: 3 }]]);
  await there.subscribe("news", hear("again"));
  await here.publish("news", { n: 5 });
  await until(() => heard.length === 8, "two more messages");
  await Promise.all([here.close(), there.close()]);
});

test("graphql-redis-subscriptions: bytes come through, and messages come again after a restart of the server", async () => {
  const [here, there] = [open(), open({ messageEventName: "messageBuffer", pmessageEventName: "pmessageBuffer" })];
  const heard = [];
  await there.subscribe("bytes", (payload) => heard.push(payload));
  const bytes = Buffer.from([0, 255, 13, 10]);
  await here.publish("bytes", bytes);
  await until(() => heard.length === 1, "the message");
  assert.deepEqual(heard[0], bytes);
  await all.server.kill();
  await all.server.restart();
  await until(async () => (await all.server.call("PUBSUB", "NUMSUB", "bytes"))[1] === 1, "the subscription to be back");
  await until(() => here.publish("bytes", bytes).then(() => true, () => false), "the publisher to be back");
  await until(() => heard.length === 2, "the message");
  await Promise.all([here.close(), there.close()]);
});

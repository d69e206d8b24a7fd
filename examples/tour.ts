// A tour of redis.ts with a private server: ordinary use first, then what happens when Redis is killed.
// `npm start` runs it.

import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { RedisError, lazyConnection } from "../redis.ts";
import { RedisServer } from "../test/servers.ts";

const title = (text: string): void => console.log(`\n\x1b[1m${text}\x1b[0m`);
const show = (code: string, value: unknown): void =>
  console.log(`  ${code.padEnd(72)} ${inspect(value, { breakLength: Infinity })}`);
const failure = (error: unknown): string =>
  error instanceof RedisError ? `${error.name}: ${error.message} (${error.code}, ${error.outcome})` : String(error);

const server = await RedisServer.start({ aof: true });
title(`A private Redis ${server.version} listens on port ${server.port}`);
const db = lazyConnection({ port: server.port });
show("const db = lazyConnection(…)", db);

title("Commands, as in the Redis manual");
show('await db.set("greeting", "hello", { EX: 60 })', await db.set("greeting", "hello", { EX: 60 }));
show('await db.get("greeting")', await db.get("greeting"));
show('await db.get("nothing")', await db.get("nothing"));
show('await db.hset("user:1", { name: "Ada", born: 1815 })', await db.hset("user:1", { name: "Ada", born: 1815 }));
show('await db.hgetall("user:1")', await db.hgetall("user:1"));
show('await db.zadd("scores", [1, "a"], [2.5, "b"])', await db.zadd("scores", [1, "a"], [2.5, "b"]));
show('await db.zrange("scores", 0, -1, { WITHSCORES: true })', await db.zrange("scores", 0, -1, { WITHSCORES: true }));
show('await db.with({ charset: null }).get("greeting")', await db.with({ charset: null }).get("greeting"));

title("Calls made in one tick are sent in one write");
const began = performance.now();
const counts = await Promise.all(Array.from({ length: 10_000 }, () => db.incr("visits")));
const took = Math.round(performance.now() - began);
show('await Promise.all(10,000 × db.incr("visits"))', `1 … ${counts.at(-1)}, in ${took} ms`);

const pipeline = db.pipeline().set("page", "home").incr("visits").get("page");
show('await db.pipeline().set(…).incr("visits").get("page").execPipeline()', await pipeline.execPipeline());
const look = await db.watch("visits");
const seen = Number(await look.get("visits"));
const change = await look.multi();
change.set("visits", seen * 2);
change.get("visits");
show("watch, get, multi, set, get; await commit()", await change.commit());

title("Subscriptions");
const news = await db.subscribe("news");
await db.publish("news", "hello");
for await (const item of news) {
  show('for await (const item of await db.subscribe("news"))', item);
  break;
}

title("Errors say what happened, and whether the command was executed");
await db.lpush("greeting", "x").catch((error: unknown) => show('await db.lpush("greeting", "x")', failure(error)));
// @ts-expect-error null is not a value: both the compiler and the call reject it
await db.set("greeting", null).catch((error: unknown) => show('await db.set("greeting", null)', String(error)));
const soon = AbortSignal.timeout(20);
await db.with({ signal: soon }).blpop("empty", 0)
  .catch((error: unknown) => show('await db.with({ signal }).blpop("empty", 0)', failure(error)));

title("Now the server is killed");
await db.ping();
const caught = db.debug("sleep", 5).catch(failure);
await sleep(20);
await server.kill();
show('a command that the server was executing', await caught);
for (let i = 0; i < 3; i++) {
  const asked = performance.now();
  const result = await db.get("greeting").catch(failure);
  show(`await db.get("greeting"), ${Math.round(performance.now() - asked)} ms later`, result);
  await sleep(200);
}
show("db", db);

title("The server is restarted");
await server.restart();
let attempts = 1;
while (await db.get("greeting").catch(() => undefined) === undefined) {
  attempts++;
  await sleep(50);
}
show(`await db.get("greeting"), attempt ${attempts}`, await db.get("greeting"));
show('await db.incr("visits")', await db.incr("visits"));

title("Goodbye");
await db.disconnect();
show("await db.disconnect(); db", db);
await server.stop();

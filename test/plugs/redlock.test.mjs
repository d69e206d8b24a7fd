// redlock 5 and its successor, @sesamecare-oss/redlock, over the ioredis shape.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Redlock as Sesamecare } from "@sesamecare-oss/redlock";
import Redlock from "redlock";
import { lazyConnection } from "../../dist/redis.js";
import { RedisServer, until } from "../../dist/test/servers.js";
import { IoRedis } from "../../dist/examples/adapters/ioredis.js";

for (const [name, Lock] of Object.entries({ redlock: Redlock, "@sesamecare-oss/redlock": Sesamecare })) {
  test(`${name}: a lock on three servers excludes, is extended, ends, and stands while one server is down`, async () => {
    const servers = await Promise.all([0, 1, 2].map(() => RedisServer.start()));
    const clients = servers.map(({ host, port }) => new IoRedis((name) => lazyConnection({ host, port, name })));
    try {
      // A call settles with the majority: the third server follows.
      const everywhere = (command, holds) => until(async () =>
        (await Promise.all(servers.map((server) => server.call(...command)))).every(holds), `${command} to hold everywhere`);
      const once = { retryCount: 0 };
      const [here, there] = [new Lock(clients, once), new Lock(clients, once)];
      const lock = await here.acquire(["door"], 600_000);
      await assert.rejects(there.acquire(["door"], 600_000));
      await everywhere(["PTTL", "door"], (ms) => ms > 500_000 && ms <= 600_000);
      const extended = await lock.extend(1_200_000);
      await everywhere(["PTTL", "door"], (ms) => ms > 1_000_000);
      await extended.release();
      await everywhere(["EXISTS", "door"], (n) => n === 0);

      for (const server of servers) await server.call("SCRIPT", "FLUSH"); // scripts are sent again
      const over = await there.acquire(["door"], 600_000);
      await assert.rejects(here.acquire(["door"], 600_000));
      await everywhere(["EXISTS", "door"], (n) => n === 1);
      for (const server of servers) await server.call("PEXPIRE", "door", "0");
      await assert.rejects(over.extend(600_000)); // it is not held any more

      await servers[0].kill();
      const two = await here.acquire(["gate"], 600_000);
      await assert.rejects(there.acquire(["gate"], 600_000));
      await two.release();
      await servers[1].kill();
      await assert.rejects(here.acquire(["gate"], 600_000)); // one of three is no majority
      await Promise.all(servers.slice(0, 2).map((server) => server.restart()));
      for (const client of clients) await until(() => client.ping().catch(() => false), "the connection to be back");
      let count = 0;
      const countUp = async () => {
        const before = count;
        await new Promise(setImmediate);
        count = before + 1;
      };
      const often = { retryCount: 10_000, retryDelay: 10 };
      await Promise.all([here, there].map((from) => from.using(["counter"], 600_000, often, countUp)));
      assert.equal(count, 2);
    } finally {
      await Promise.all(clients.map((client) => client.quit()));
      await Promise.all(servers.map((server) => server.stop()));
    }
  });
}

// A real server for the tests of a file, and clients of it in the shape of ioredis; all end with the tests.
import { after, before } from "node:test";
import { IoRedis } from "../../dist/examples/adapters/ioredis.js";
import { lazyConnection } from "../../dist/redis.js";
import { RedisServer, until } from "../../dist/test/servers.js";

export function ioredis(options) {
  const clients = [];
  const all = {
    server: undefined,
    open: (name) => lazyConnection({ host: all.server.host, port: all.server.port, name }),
    client() {
      const client = new IoRedis(all.open);
      clients.push(client);
      return client;
    },
    /** After a restart. */
    back: (client) => until(() => client.ping().then(() => true, () => false), "the connection to be back"),
  };
  before(async () => { all.server = await RedisServer.start(options); });
  after(async () => {
    await Promise.all(clients.map((client) => client.quit()));
    await all.server.stop();
  });
  return all;
}

// Who is measured. To add a client, add an entry and its package.
//
//   version   as its package tells it
//   runtime   the only one that has it, where there is but one
//   open      connects to an address ({ host, port, tls } or { path }), with the client's default options, and gives what
//             the workloads call: get, set, mget, hgetall, lrange and publish as ioredis has them, and
//               getBuffer(key)           the value as bytes
//               gets(keys)               GETs in a pipeline, the way its manual advises
//               atomic(keys)             the same between MULTI and EXEC
//               listen(channel, hear)    SUBSCRIBE on a connection of its own
//   make      a handler that connects in the background, as soon as there is one
//   pool      what open gives, over ten connections
//   lent      the same with a connection of the ten blocked and one lent
//   shards    get and set over several addresses
//   plain     a reply in the shape that the others give it; for the comparison of replies only
//
// A client is left out of workloads that open what it has not.

import { once } from "node:events";
import { readFileSync } from "node:fs";

const versionOf = (folder) => JSON.parse(readFileSync(new URL(`${folder}/package.json`, import.meta.url), "utf8")).version;

// ==== redis.ts ====

const driver = () => import("../dist/redis.js");

const gathered = (pipeline, keys) => keys.reduce((pipeline, key) => pipeline.get(key), pipeline);

async function worded(db) {
  await db.ready();
  const bytes = db.with({ charset: null });
  return Object.assign(db, {
    getBuffer: (key) => bytes.get(key),
    gets: (keys) => gathered(db.pipeline(), keys).execPipeline(),
    atomic: (keys) => gathered(db.pipeline(), keys).commit(),
    listen: (channel, hear) => db.subscribe(channel, ({ message }) => hear(message)),
  });
}

const redisTs = {
  version: () => versionOf(".."),
  open: async (address) => worded(await redisTs.make(address)),
  make: async (address) => (await driver()).lazyConnection(address),
  pool: async (address) => worded((await driver()).lazyConnectionPool({ ...address, poolsize: 10 })),
  async lent(address) {
    const db = await redisTs.pool(address);
    db.blpop("never", 0).catch(() => {});
    await db.watch("never");
    return db;
  },
  shards: async (addresses) => worded((await driver()).lazyShardedConnection(addresses)),
};

// ==== ioredis, and what was made of it ====

/** Clients that know nothing of shards: a connection to each, and callers who pick one by the key's last letter. */
const byHand = (open) => async (addresses) => {
  const dbs = await Promise.all(addresses.map(open));
  const holder = (key) => dbs[key.charCodeAt(key.length - 1) % dbs.length];
  return { get: (key) => holder(key).get(key), set: (key, value) => holder(key).set(key, value) };
};

function likeIoredis(name, load) {
  const gets = async (gathered, keys) => {
    for (const key of keys) gathered.get(key);
    return (await gathered.exec()).map(([, reply]) => reply);
  };
  const make = async (address) => new (await load())(address);
  const open = async (address) => {
    const db = await make(address);
    await once(db, "ready");
    return Object.assign(db, {
      gets: (keys) => gets(db.pipeline(), keys),
      atomic: (keys) => gets(db.multi(), keys),
      listen(channel, hear) {
        const ear = db.duplicate();
        ear.on("message", (_, message) => hear(message));
        return ear.subscribe(channel);
      },
    });
  };
  return { version: () => versionOf(`node_modules/${name}`), open, make, shards: byHand(open) };
}

// ==== node-redis ====

const socketOf = ({ tls, ...place }) => ({ socket: { ...place, ...(tls ? { tls: true, ...tls } : {}) } });

async function openNodeRedis(make) {
  const client = await import("redis");
  const db = await make(client).connect();
  const bytes = db.withTypeMapping({ [client.RESP_TYPES.BLOB_STRING]: Buffer });
  return Object.assign(db, {
    mget: db.mGet,
    hgetall: db.hGetAll,
    lrange: db.lRange,
    getBuffer: (key) => bytes.get(key),
    gets: (keys) => gathered(db.multi(), keys).execAsPipeline(),
    atomic: (keys) => gathered(db.multi(), keys).exec(),
    async listen(channel, hear) {
      const ear = await db.duplicate().connect();
      await ear.subscribe(channel, hear);
    },
  });
}

const nodeRedis = {
  version: () => versionOf("node_modules/redis"),
  open: (address) => openNodeRedis(({ createClient }) => createClient(socketOf(address))),
  async make(address) {
    const db = (await import("redis")).createClient(socketOf(address));
    db.connect().catch(() => {});
    return db;
  },
  pool: (address) =>
    openNodeRedis(({ createClientPool }) => createClientPool(socketOf(address), { minimum: 10, maximum: 10 })),
  shards: (addresses) => byHand(nodeRedis.open)(addresses),
};

// ==== valkey-glide ====

// Its defaults refuse more than 1,000 requests at once, and give each 250 ms.
const generous = { inflightRequestsLimit: 2 ** 21, requestTimeout: 60_000 };

const glide = {
  version: () => versionOf("node_modules/@valkey/valkey-glide"),
  async open({ host, port, path, tls }, more = {}) {
    if (path) return undefined; // it knows no Unix sockets
    const { Batch, Decoder, GlideClient } = await import("@valkey/valkey-glide");
    const secure = { useTLS: true, advancedConfiguration: { tlsAdvancedConfiguration: { rootCertificates: tls?.ca } } };
    const options = { addresses: [{ host, port }], ...generous, ...(tls ? secure : {}) };
    const db = await GlideClient.createClient({ ...options, ...more });
    const publish = db.publish.bind(db);
    return Object.assign(db, {
      publish: (channel, message) => publish(message, channel),
      getBuffer: (key) => db.get(key, { decoder: Decoder.Bytes }),
      gets: (keys) => db.exec(gathered(new Batch(false), keys), true),
      atomic: (keys) => db.exec(gathered(new Batch(true), keys), true),
      async listen(channel, hear) {
        const callback = ({ message }) => hear(message);
        await glide.open({ host, port }, { pubsubSubscriptions: { channelsAndPatterns: { 0: new Set([channel]) }, callback } });
      },
    });
  },
  shards: (addresses) => byHand(glide.open)(addresses),
  plain: (reply) => (reply?.[0]?.field ? Object.fromEntries(reply.map(({ field, value }) => [field, value])) : reply),
};

// ==== Bun's own ====

const urlOf = ({ host, port, path, tls }) => (path ? `redis+unix://${path}` : `${tls ? "rediss" : "redis"}://${host}:${port}`);

const bun = {
  version: () => process.versions.bun,
  runtime: "bun",
  async open(address) {
    const { RedisClient } = await import("bun");
    const db = new RedisClient(urlOf(address), address.tls ? { tls: address.tls } : {});
    await db.connect();
    const mget = db.mget.bind(db);
    // It has no word for a pipeline or a transaction: what is called together leaves together.
    const gets = (keys) => Promise.all(keys.map((key) => db.get(key)));
    return Object.assign(db, {
      mget: (keys) => mget(...keys),
      gets,
      async atomic(keys) {
        db.send("MULTI", []);
        gets(keys);
        return db.send("EXEC", []);
      },
      listen: async (channel, hear) => (await db.duplicate()).subscribe(channel, hear),
    });
  },
  shards: (addresses) => byHand(bun.open)(addresses),
};

// ==== The floor ====

export const bulk = (text) => `$${text.length}\r\n${text}\r\n`;
export const command = (...args) => `*${args.length}\r\n${args.map(bulk).join("")}`;

/** Plain sockets: they write bytes made beforehand and count the bytes that come back, so nothing can be faster. */
const floor = {
  async open({ tls, ...place }) {
    const [{ connect }, { connect: connectTls }] = await Promise.all([import("node:net"), import("node:tls")]);
    let missing = 0;
    let arrived;
    const count = (bytes) => {
      missing -= bytes;
      if (missing === 0) arrived();
      return true;
    };
    const dial = async () => {
      const onread = { buffer: Buffer.alloc(65_536), callback: count };
      const socket = tls ? connectTls({ ...place, ...tls }) : connect({ ...place, noDelay: true, onread });
      if (tls) socket.on("data", (chunk) => count(chunk.length)); // which knows no onread
      await once(socket, tls ? "secureConnect" : "connect");
      return socket;
    };
    const exchange = (socket, request, replyBytes) => {
      missing = replyBytes;
      socket.write(request);
      return new Promise((resolve) => {
        arrived = resolve;
      });
    };
    const socket = await dial();
    return {
      exchange: (request, replyBytes) => exchange(socket, request, replyBytes),
      async listen(channel) {
        const confirmed = `*3\r\n${bulk("subscribe")}${bulk(channel)}:1\r\n`;
        await exchange(await dial(), command("SUBSCRIBE", channel), confirmed.length);
      },
    };
  },
};

// ==== All of them ====

export const clients = {
  "redis.ts": redisTs,
  ioredis: likeIoredis("ioredis", async () => (await import("ioredis")).Redis),
  "node-redis": nodeRedis,
  iovalkey: likeIoredis("iovalkey", async () => (await import("iovalkey")).Redis),
  "valkey-glide": glide,
  bun,
  floor,
};

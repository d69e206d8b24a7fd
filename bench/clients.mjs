// The clients, as the benchmark and the fault scenarios use them. To add one, add an entry and its package.
//
//   version   of its package
//   runtime   the only runtime it exists for, if there is only one
//   open      connects to an address ({ host, port, tls } or { path }) with the client's default options, and returns an
//             object with the methods that workloads call: get, set, mget, hgetall, lrange and publish as in ioredis, and
//               getBuffer(key)           the value as bytes
//               gets(keys)               GETs in a pipeline, the way the client's manual advises
//               atomic(keys)             the same between MULTI and EXEC
//               listen(channel, callback)  SUBSCRIBE on a connection of its own
//   make      returns a handler at once, which connects in the background
//   pool      as open, but a pool of ten connections; for clients without pools, ten connections which take turns
//   lent      the same pool, with one connection blocked and one lent
//   shards    get and set, spread over several addresses
//   near      get and hgetall, answered from memory by a cache which the server invalidates
//   cluster   get, set, mget and gets on a cluster; clients that cannot divide these send a GET for each key
//   plain     converts a reply to the shape that the other clients return; used only to compare replies
//   adapter   for the fault scenarios (test/oracle.ts: Adapter): `npm run faults -- R02 --client ioredis`. The client has
//             its defaults except for what the scenario asks for, and an "error" listener where its absence ends the
//             process; a client without command timeouts runs without them
//
// A workload leaves out clients that lack what it opens.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const versionOf = (folder) => JSON.parse(readFileSync(new URL(`${folder}/package.json`, import.meta.url), "utf8")).version;

// ==== redis.ts ====

const addGets = (pipeline, keys) => keys.reduce((pipeline, key) => pipeline.get(key), pipeline);

/** The driver in `file`, a compiled redis.js. */
function redisTs(file, version) {
  const load = () => import(file);
  const withMethods = async (db) => {
    await db.ready();
    const bytes = db.with({ charset: null });
    return Object.assign(db, {
      getBuffer: (key) => bytes.get(key),
      gets: (keys) => addGets(db.pipeline(), keys).execPipeline(),
      atomic: (keys) => addGets(db.pipeline(), keys).commit(),
      listen: (channel, callback) => db.subscribe(channel, ({ message }) => callback(message)),
    });
  };
  const make = async (address) => (await load()).lazyConnection(address);
  const pool = async (address) => withMethods((await load()).lazyConnectionPool({ ...address, poolsize: 10 }));
  return {
    version,
    open: async (address) => withMethods(await make(address)),
    make,
    pool,
    async lent(address) {
      const db = await pool(address);
      db.blpop("never", 0).catch(() => {});
      await db.watch("never");
      return db;
    },
    shards: async (addresses) => withMethods((await load()).lazyShardedConnection(addresses)),
    cluster: async (addresses) => withMethods((await load()).lazyClusterConnection(addresses)),
    async near(address) {
      const db = (await load()).lazyConnection({ ...address, cache: 3_600_000 });
      do await db.get("any");
      while (db.cacheStats().off !== undefined);
      return db;
    },
  };
}

// ==== ioredis and its fork iovalkey ====

/** For clients without sharding: a connection to each address, chosen by the last character of the key. */
const shardedByHand = (open) => async (addresses) => {
  const dbs = await Promise.all(addresses.map(open));
  const nodeOf = (key) => dbs[key.charCodeAt(key.length - 1) % dbs.length];
  return { get: (key) => nodeOf(key).get(key), set: (key, value) => nodeOf(key).set(key, value) };
};

/** For clients without pools. */
const byTurns = (open) => async (address) => {
  const dbs = await Promise.all(Array.from({ length: 10 }, () => open(address)));
  let turn = 0;
  const next = () => dbs[turn++ % dbs.length];
  return {
    get: (key) => next().get(key), set: (key, value) => next().set(key, value), getBuffer: (key) => next().getBuffer(key),
  };
};

/** For clients whose clusters divide neither MGET nor pipelines. */
function byKey(db) {
  const each = (keys) => Promise.all(keys.map((key) => db.get(key)));
  return { get: (key) => db.get(key), set: (key, value) => db.set(key, value), mget: each, gets: each };
}

function likeIoredis(name, load) {
  const gets = async (pipeline, keys) => {
    for (const key of keys) pipeline.get(key);
    return (await pipeline.exec()).map(([, reply]) => reply);
  };
  const make = async (address) => new (await load())(address);
  const open = async (address) => {
    const db = await make(address);
    await once(db, "ready");
    return Object.assign(db, {
      gets: (keys) => gets(db.pipeline(), keys),
      atomic: (keys) => gets(db.multi(), keys),
      listen(channel, callback) {
        const listener = db.duplicate();
        listener.on("message", (_, message) => callback(message));
        return listener.subscribe(channel);
      },
    });
  };
  const cluster = async (addresses) => {
    const db = new (await load()).Cluster(addresses);
    await once(db, "ready");
    return byKey(db);
  };
  const adapter = {
    async open({ port, ca, db = 0, user, timeout, connectTimeout }) {
      const client = new (await load())({
        host: "127.0.0.1", port, db, username: user?.name, password: user?.password, ...(ca ? { tls: { ca } } : {}),
        ...(timeout ? { commandTimeout: timeout } : {}), ...(connectTimeout ? { connectTimeout } : {}),
      });
      return client.on("error", () => {});
    },
    call: (client, [name, ...args]) => client.call(name, ...args),
    close: (client) => client.disconnect(),
    async multi(client, commands) {
      const queued = client.multi(commands.map(([name, ...args]) => [name.toLowerCase(), ...args]));
      return (await queued.exec()).map(([error, reply]) => error ?? reply);
    },
    cluster: async (ports, timeout) =>
      new (await load()).Cluster(ports.map((port) => ({ host: "127.0.0.1", port })), {
        redisOptions: { commandTimeout: timeout },
      }).on("error", () => {}),
    sentinel: async (hosts, master, commandTimeout, connectionName) => {
      const sentinels = hosts.map((at) => ({ host: at.split(":")[0], port: Number(at.split(":")[1]) }));
      return new (await load())({ sentinels, name: master, commandTimeout, connectionName }).on("error", () => {});
    },
  };
  const version = () => versionOf(`node_modules/${name}`);
  return { version, open, make, pool: byTurns(open), shards: shardedByHand(open), cluster, adapter };
}

// ==== node-redis ====

const socketOf = ({ tls, ...address }) => ({ socket: { ...address, ...(tls ? { tls: true, ...tls } : {}) } });

async function openNodeRedis(make) {
  const client = await import("redis");
  const db = await make(client).connect();
  const bytes = db.withTypeMapping({ [client.RESP_TYPES.BLOB_STRING]: Buffer });
  return Object.assign(db, {
    mget: db.mGet,
    hgetall: db.hGetAll,
    lrange: db.lRange,
    getBuffer: (key) => bytes.get(key),
    gets: (keys) => addGets(db.multi(), keys).execAsPipeline(),
    atomic: (keys) => addGets(db.multi(), keys).exec(),
    async listen(channel, callback) {
      const listener = await db.duplicate().connect();
      await listener.subscribe(channel, callback);
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
  async lent(address) {
    const db = await nodeRedis.pool(address);
    db.blPop("never", 0).catch(() => {});
    db.execute(() => new Promise(() => {}));
    return db;
  },
  shards: (addresses) => shardedByHand(nodeRedis.open)(addresses),
  near: (address) => openNodeRedis(({ createClient, BasicClientSideCache }) => createClient({
    ...socketOf(address), RESP: 3, clientSideCache: new BasicClientSideCache({ ttl: 0, maxEntries: 0, evictPolicy: "LRU" }),
  })),
  async cluster(addresses) {
    const { createCluster } = await import("redis");
    return byKey(await createCluster({ rootNodes: addresses.map(socketOf) }).connect());
  },
  adapter: {
    async open({ port, ca, db = 0, user, timeout, connectTimeout }) {
      const client = (await import("redis")).createClient({
        ...socketOf({ host: "127.0.0.1", port, tls: ca && { ca }, ...(connectTimeout ? { connectTimeout } : {}) }),
        ...(timeout ? { commandOptions: { timeout } } : {}), database: db, username: user?.name, password: user?.password,
      });
      client.on("error", () => {});
      client.connect().catch(() => {}); // the listener is told too, and the client tries again
      return client;
    },
    aborts: true,
    call: (client, args, { signal } = {}) => client.sendCommand(args, signal && { abortSignal: signal }),
    close: (client) => client.destroy(),
    multi: (client, commands) => commands.reduce((multi, args) => multi.addCommand(args), client.multi()).exec(),
    async cluster(ports, timeout) {
      const rootNodes = ports.map((port) => socketOf({ host: "127.0.0.1", port }));
      const client = (await import("redis")).createCluster({ rootNodes, defaults: { commandOptions: { timeout } } });
      client.on("error", () => {});
      await client.connect();
      return { sendCommand: (args) => client.sendCommand(args[1], false, args), destroy: () => client.destroy() };
    },
    async sentinel(hosts, master, timeout, name) {
      const client = (await import("redis")).createSentinel({
        name: master, sentinelRootNodes: hosts.map((at) => ({ host: at.split(":")[0], port: Number(at.split(":")[1]) })),
        nodeClientOptions: { commandOptions: { timeout }, name },
      });
      client.on("error", () => {});
      await client.connect();
      return { sendCommand: (args) => client.sendCommand(false, args), destroy: () => client.destroy() };
    },
  },
};

// ==== valkey-glide ====

// By default it refuses more than 1,000 requests at once, and each times out after 250 ms.
const limits = { inflightRequestsLimit: 2 ** 21, requestTimeout: 60_000 };

const glide = {
  version: () => versionOf("node_modules/@valkey/valkey-glide"),
  async open({ host, port, path, tls }, more = {}) {
    if (path) return undefined; // it has no Unix sockets
    const { Batch, Decoder, GlideClient } = await import("@valkey/valkey-glide");
    const secure = { useTLS: true, advancedConfiguration: { tlsAdvancedConfiguration: { rootCertificates: tls?.ca } } };
    const options = { addresses: [{ host, port }], ...limits, ...(tls ? secure : {}) };
    const db = await GlideClient.createClient({ ...options, ...more });
    const publish = db.publish.bind(db);
    return Object.assign(db, {
      publish: (channel, message) => publish(message, channel),
      getBuffer: (key) => db.get(key, { decoder: Decoder.Bytes }),
      gets: (keys) => db.exec(addGets(new Batch(false), keys), true),
      atomic: (keys) => db.exec(addGets(new Batch(true), keys), true),
      async listen(channel, callback) {
        const channelsAndPatterns = { 0: new Set([channel]) };
        const pubsubSubscriptions = { channelsAndPatterns, callback: ({ message }) => callback(message) };
        await glide.open({ host, port }, { pubsubSubscriptions });
      },
    });
  },
  shards: (addresses) => shardedByHand(glide.open)(addresses),
  plain: (reply) => (reply?.[0]?.field ? Object.fromEntries(reply.map(({ field, value }) => [field, value])) : reply),
};

// ==== Bun's own client ====

const urlOf = ({ host, port, path, tls }) => (path ? `redis+unix://${path}` : `${tls ? "rediss" : "redis"}://${host}:${port}`);

const bun = {
  version: () => process.versions.bun,
  runtime: "bun",
  async open(address) {
    const { RedisClient } = await import("bun");
    const db = new RedisClient(urlOf(address), address.tls ? { tls: address.tls } : {});
    await db.connect();
    const mget = db.mget.bind(db);
    // It has neither pipelines nor transactions; commands of one tick are sent together.
    const gets = (keys) => Promise.all(keys.map((key) => db.get(key)));
    return Object.assign(db, {
      mget: (keys) => mget(...keys),
      gets,
      async atomic(keys) {
        db.send("MULTI", []);
        gets(keys);
        return db.send("EXEC", []);
      },
      listen: async (channel, callback) => (await db.duplicate()).subscribe(channel, callback),
    });
  },
  shards: (addresses) => shardedByHand(bun.open)(addresses),
};

// ==== The floor ====

export const bulk = (text) => `$${text.length}\r\n${text}\r\n`;
export const command = (...args) => `*${args.length}\r\n${args.map(bulk).join("")}`;

/** A plain socket that writes prepared bytes and counts the bytes of the replies: the limit for any client. */
const floor = {
  async open({ tls, ...address }) {
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
      const socket = tls ? connectTls({ ...address, ...tls }) : connect({ ...address, noDelay: true, onread });
      if (tls) socket.on("data", (chunk) => count(chunk.length)); // TLS sockets have no onread
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
  "redis.ts": redisTs("../dist/redis.js", () => versionOf("..")),
  ioredis: likeIoredis("ioredis", async () => (await import("ioredis")).Redis),
  "node-redis": nodeRedis,
  iovalkey: likeIoredis("iovalkey", async () => (await import("iovalkey")).Redis),
  "valkey-glide": glide,
  bun,
  floor,
};

/** The client of that name, or for the path of another compiled redis.js: that one. */
export const clientOf = (name) =>
  Object.hasOwn(clients, name) ? clients[name] : redisTs(pathToFileURL(resolve(name)).href);

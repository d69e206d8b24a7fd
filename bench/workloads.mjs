// What is measured, and on whom. To add a workload or a client, add an entry.

import { once } from "node:events";
import { connect } from "node:net";

// ==== Clients ====
//
// `open` connects with the client's default options and returns what the workloads call: commands by ioredis's names.
// `folder` holds the package.json that tells its version. The floor has none: it is a yardstick, no rival.

const host = "127.0.0.1";

export const clients = {
  "redis.ts": {
    folder: "..",
    async open(port) {
      const { lazyConnection } = await import("../dist/redis.js");
      return lazyConnection({ host, port }).ready();
    },
  },
  ioredis: {
    folder: "node_modules/ioredis",
    async open(port) {
      const { Redis } = await import("ioredis");
      const db = new Redis({ host, port });
      await once(db, "ready");
      return db;
    },
  },
  "node-redis": {
    folder: "node_modules/redis",
    async open(port) {
      const { createClient } = await import("redis");
      const db = await createClient({ socket: { host, port } }).connect();
      return Object.assign(db, { mget: db.mGet, hgetall: db.hGetAll, lrange: db.lRange });
    },
  },
  // A plain socket: writes bytes made beforehand and counts the bytes that come back, so nothing can be faster.
  floor: {
    async open(port) {
      let missing = 0;
      let arrived;
      const callback = (bytes) => {
        missing -= bytes;
        if (missing === 0) arrived();
        return true;
      };
      const socket = connect({ host, port, noDelay: true, onread: { buffer: Buffer.alloc(65_536), callback } });
      await once(socket, "connect");
      return {
        exchange(request, replyBytes) {
          missing = replyBytes;
          socket.write(request);
          return new Promise((resolve) => {
            arrived = resolve;
          });
        },
      };
    },
  },
};

// ==== Workloads ====
//
//   about     what it is, for the table
//   data      commands that fill the empty server
//   step      one turn of a caller; n counts the turns of all callers
//   callers   how many call at once, each in a loop; 1 unless said
//   counts    operations in one step; 1 unless said
//   floor     a turn of all callers at once on the plain socket; left out where that is not simple

const bulk = (text) => `$${text.length}\r\n${text}\r\n`;
const command = (...args) => `*${args.length}\r\n${args.map(bulk).join("")}`;
const times = (count, make) => Array.from({ length: count }, (_, index) => make(index));

const keys = times(1000, (index) => `key:${index}`);
const values = times(1000, (index) => `value:${index}`.padEnd(100, "."));
const items = times(10_000, (index) => String(index).padStart(10, "0"));
const megabyte = ".".repeat(2 ** 20);

const fillKeys = ["MSET", ...keys.flatMap((key, index) => [key, values[index]])];
const getReply = bulk(values[0]).length;
const burst = times(10_000, (index) => keys[index % 1000]);

// The floor's: made once, sent again and again.
const exchange = (commands, replyBytes) => {
  const request = Buffer.from(commands.join(""));
  return (db) => db.exchange(request, replyBytes);
};

export const workloads = {
  one: {
    about: "one caller, GET after GET",
    data: [fillKeys],
    step: (db, n) => db.get(keys[n % 1000]),
  },
  callers: {
    about: "100 callers, half GET half SET",
    data: [fillKeys],
    callers: 100,
    step(db, n) {
      const index = (n >> 1) % 1000;
      return n % 2 ? db.set(keys[index], values[index]) : db.get(keys[index]);
    },
    floor: exchange(
      times(100, (n) => (n % 2 ? command("SET", keys[n], values[n]) : command("GET", keys[n]))),
      50 * getReply + 50 * "+OK\r\n".length,
    ),
  },
  burst: {
    about: "10,000 GETs at once",
    data: [fillKeys],
    counts: 10_000,
    step: (db) => Promise.all(burst.map((key) => db.get(key))),
    floor: exchange(
      burst.map((key) => command("GET", key)),
      10_000 * getReply,
    ),
  },
  mget: {
    about: "MGET of 1,000 keys, per value",
    data: [fillKeys],
    counts: 1000,
    step: (db) => db.mget(keys),
    floor: exchange([command("MGET", ...keys)], "*1000\r\n".length + 1000 * getReply),
  },
  hgetall: {
    about: "HGETALL of 1,000 fields, per field",
    data: [["HSET", "hash", ...fillKeys.slice(1)]],
    counts: 1000,
    step: (db) => db.hgetall("hash"),
  },
  lrange: {
    about: "LRANGE of 10,000 ten-byte items, per item",
    data: [["RPUSH", "list", ...items]],
    counts: 10_000,
    step: (db) => db.lrange("list", 0, -1),
  },
  large: {
    about: "GET and SET of 1 MiB, by turns",
    data: [["SET", "large", megabyte]],
    step: (db, n) => (n % 2 ? db.set("large", megabyte) : db.get("large")),
  },
};

// The simulator in the test suite: some seeds of the driver as it is, and proof that the simulator sees.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import * as driver from "../redis.ts";
import { hunt, mutants } from "./mutants.ts";
import { Agenda, Chance, quiet, search, show, simulate, trace } from "./sim.ts";

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

/** A world with its own clock and network, and one server: its connections open, fail or hang, and end with it. */
class VirtualWorld {
  readonly agenda = new Agenda();
  readonly chance: Chance;
  readonly attempts: number[] = [];
  readonly sockets = new Set<EventEmitter>();
  server: "up" | "down" | "silent" = "down";
  now = 0;

  constructor(seed: number) {
    this.chance = new Chance(seed);
  }

  after(delay: number, task: () => void): any {
    return Object.assign(this.agenda.add(this.now + Math.max(0, delay), task), { unref() { return this; } });
  }

  connect(receive: (chunk: Buffer) => void): any {
    this.attempts.push(this.now);
    const { Decoder, MORE } = driver.internals;
    const decoder = new Decoder({ maxDepth: 8, maxBulk: 1024, maxElements: 64, maxReply: 8192 });
    const ignore = (): void => {};
    const write = (bytes: Buffer): void => {
      decoder.feed(Buffer.from(bytes));
      for (let asked = decoder.take("utf-8"); asked !== MORE; asked = decoder.take("utf-8")) {
        const reply = (asked as string[])[0] === "HELLO" ? "%0\r\n" : "+OK\r\n";
        this.after(1, () => this.sockets.has(socket) && receive(Buffer.from(reply)));
      }
    };
    const socket: EventEmitter = Object.assign(new EventEmitter(), {
      writableHighWaterMark: 16_384, writableLength: 0, write, cork: ignore, uncork: ignore, pause: ignore, resume: ignore,
      destroy: () => this.sockets.delete(socket),
    });
    this.sockets.add(socket);
    this.after(1, () => {
      if (this.server === "up") socket.emit("connect");
      if (this.server === "down") socket.emit("error", Object.assign(new Error("refused"), { code: "ECONNREFUSED" }));
    });
    return socket;
  }

  /** The server goes, and with it its connections. */
  crash(server: "down" | "silent"): void {
    this.server = server;
    for (const socket of [...this.sockets]) socket.emit("end");
  }

  /** Runs everything that is due before this time. */
  async until(time: number): Promise<void> {
    await quiet();
    while (this.agenda.next < time) {
      this.now = this.agenda.next;
      do this.agenda.take().run?.(); while (this.agenda.next === this.now);
      await quiet();
    }
    this.now = time;
  }

  /** Lets the driver run in it. */
  async run(use: () => Promise<void>): Promise<void> {
    const world = { ...driver.internals.world };
    Object.assign(driver.internals.world, {
      now: () => this.now, random: () => this.chance.next(), after: (delay: number, task: () => void) => this.after(delay, task),
      cancel: (timer: any) => {
        if (timer !== undefined) timer.run = undefined;
      },
      connect: (_: unknown, receive: (chunk: Buffer) => void) => this.connect(receive),
    });
    try {
      await use();
    } finally {
      Object.assign(driver.internals.world, world);
    }
  }
}

test("many clients of a server that is away try again at different times", async () => {
  const virtual = new VirtualWorld(1);
  await virtual.run(async () => {
    const clients = Array.from({ length: 500 }, () => driver.lazyConnection());
    await virtual.until(5_000);
    const late = virtual.attempts.filter((at) => at > 1_000);
    const within100 = late.map((at) => late.filter((other) => other >= at && other < at + 100).length);
    assert.ok(late.length > 1_000 && Math.max(...within100) < 500 / 4, `${Math.max(...within100)} at once`);
    for (const client of clients) client.destroy();
  });
});

for (const [name, poolsize] of [["one connection", 1], ["a pool", 10]] as const) {
  for (const lasted of [10_000, 1_000]) {
    test(`commands wait for 250 ms after the loss and fail at once from then on: ${name} that lasted ${lasted} ms`, async () => {
      for (let seed = 0; seed < 10; seed++) {
        const virtual = new VirtualWorld(seed);
        await virtual.run(async () => {
          virtual.server = "up";
          const db = driver.lazyConnectionPool({ poolsize });
          await virtual.until(lasted);
          assert.equal(await Promise.race([db.ready(), quiet()]), db);
          virtual.crash("down");
          const lost = virtual.now;
          const failures: [issued: number, failed: number, code: string][] = [];
          for (let issued = 0; issued < 6_000; issued += 7) {
            await virtual.until(lost + issued);
            if (issued === 3_003) virtual.server = "silent"; // an attempt that hangs is no reason to wait again
            db.get("k").catch(({ code }) => failures.push([issued, virtual.now - lost, code]));
          }
          await quiet();
          assert.equal(failures.length, 858);
          for (const [issued, failed, code] of failures) {
            assert.equal(code, "NOT_CONNECTED");
            const isInTime = issued < 250 ? failed >= 250 && failed <= 260 : issued > 260 ? failed === issued : failed <= 260;
            assert.ok(isInTime, `seed ${seed}: issued at ${issued}, failed at ${failed}`);
          }
          virtual.server = "up";
          await virtual.until(virtual.now + 13_000); // attempts that hang take connectTimeout
          const found = db.get("k");
          await virtual.until(virtual.now + 10);
          assert.equal(await found, "OK");
          db.destroy();
        });
      }
    });
  }
}

test("a first attempt that hangs after the loss is awaited, within the deadline: nothing says that the server is down", async () => {
  const virtual = new VirtualWorld(1);
  await virtual.run(async () => {
    virtual.server = "up";
    const db = driver.lazyConnectionPool({ poolsize: 3, replyTimeout: 1_000 });
    await virtual.until(10_000);
    virtual.crash("silent");
    const error = db.get("k").catch((reason) => reason);
    await virtual.until(11_500);
    const { code, message } = await error;
    assert.equal(code, "REPLY_TIMEOUT");
    assert.equal(message, "GET: not sent within 1000 ms: still connecting to localhost:6379 after 1000 ms; "
      + "before that, the connection to localhost:6379 was lost: the server closed it");
    db.destroy();
  });
});

// The simulator in the test suite: some seeds of the driver as it is, and proof that the simulator sees.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import * as driver from "../redis.ts";
import { hunt, mutants } from "./mutants.ts";
import { Agenda, Chance, quiet, search, show, simulate, trace } from "./sim.ts";

test("no invariant breaks in 2,000 simulated runs", { timeout: 600_000 }, async () => {
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
  test(`the simulator finds out when ${bug}`, { timeout: 600_000 }, async () => {
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


type Time = { now(): number; after(delay: number, task: () => void): unknown; until(end: number): Promise<void> };
type VirtualSocket = EventEmitter & { written: string };

/** Runs `use` in a time of its own, in which `accept` says what becomes of each connection. */
async function inVirtualTime(accept: (socket: VirtualSocket, time: Time) => void, use: (time: Time) => Promise<void>) {
  const world = { ...driver.internals.world };
  const agenda = new Agenda();
  const chance = new Chance(1);
  let now = 0;
  const after = (delay: number, task: () => void): any =>
    Object.assign(agenda.add(now + delay, task), { unref() { return this; } });
  const cancel = (timer: any): void => {
    if (timer !== undefined) timer.run = undefined;
  };
  const time: Time = {
    now: () => now,
    after,
    async until(end) {
      await quiet();
      while (agenda.next < end) {
        now = agenda.next;
        for (let { run } = agenda.take(); run !== undefined; run = agenda.next === now ? agenda.take().run : undefined) run();
        await quiet();
        await quiet(); // what was put off until input has been read, and what follows from that
      }
      now = end;
    },
  };
  const connect = (): any => {
    const socket: VirtualSocket & object = Object.assign(new EventEmitter(), {
      written: "", writableHighWaterMark: 16_384, writableLength: 0, cork() {}, uncork() {}, destroy() {},
      write(bytes: Buffer) { socket.written += bytes.toString("latin1"); },
    });
    accept(socket, time);
    return socket;
  };
  Object.assign(driver.internals.world, { now: time.now, random: () => chance.next(), after, cancel, connect });
  try {
    await use(time);
  } finally {
    Object.assign(driver.internals.world, world);
  }
}


type Answer = (key: string, link: number, say: (bytes: string) => void, after: Time["after"]) => void;
/** Greets under RESP2, then lets `reply` answer each GET: its key, and the number of the connection, are given. */
const answering = (reply: Answer) => {
  let links = 0;
  return (socket: VirtualSocket, { after }: Time): void => {
    const link = ++links;
    const say = (bytes: string): void => void socket.emit("data", Buffer.from(bytes, "latin1"));
    const work = (): void => {
      const words = socket.written.split("\r\n");
      socket.written = "";
      words.forEach((word, i) => {
        if (word === "INFO") say("-ERR unknown\r\n");
        if (word === "PING") say("+PONG\r\n");
        if (word === "GET") reply(words[i + 2]!, link, say, after);
      });
      after(10, work);
    };
    after(1, () => {
      socket.emit("connect");
      work();
    });
  };
};
const UNENDING = "*2\r\n$5\r\nhello\r\n*1000\r\n";

for (const [what, begins] of [["an array", UNENDING], ["a string", "$100000000\r\n"], ["a push", ">3\r\n$7\r\nmessage\r\n*999\r\n"]]) {
  test(`a reply that never ends, ${what}, costs its connection by the second deadline, though bytes come all the time`, async () => {
    const used = new Set<number>();
    await inVirtualTime(answering((key, link, say) => {
      used.add(link);
      say(key === "endless" && link === 1 ? begins! : "$1\r\na\r\n");
    }), async ({ until, now }) => {
      const db = driver.lazyConnection({ protocol: 2, pingInterval: Infinity });
      await until(100);
      const outcomes: string[] = [];
      const call = (key: string): void => void db.get(key).then((value) => outcomes.push(`${value}`), ({ code }) => outcomes.push(code));
      call("endless");
      for (let i = 0; i < 9; i++) {
        await until(now() + 1_000);
        call("later"); // a reply that is swallowed, each second
      }
      await until(now() + 5_000);
      const lost = outcomes.filter((outcome) => outcome === "REPLY_TIMEOUT").length;
      assert.deepEqual([lost, outcomes.length - lost, [...used]], [2, 8, [1, 2]]);
      db.destroy();
    });
  });
}

test("a reply that never ends costs its connection, too, if all callers are in a hurry", async () => {
  await inVirtualTime(answering((_, link, say) => say(link === 1 ? UNENDING : "$1\r\na\r\n")), async ({ until, now }) => {
    const db = driver.lazyConnection({ protocol: 2 });
    await until(100);
    const hurried = db.with({ replyTimeout: 50 });
    const answers: unknown[] = [];
    while (now() < 35_000) {
      hurried.get("k").then((value) => answers.push(value), () => {});
      await until(now() + 30);
    }
    assert.ok(answers.length > 200, `${answers.length} answers`);
    db.destroy();
  });
});

test("callers in a hurry never cost others their connection", async () => {
  const links = new Set<number>();
  let slow: Promise<unknown>;
  await inVirtualTime(answering((key, link, say, after) => {
    links.add(link);
    if (key === "slow") after(20_000, () => say("$4\r\nslow\r\n"));
  }), async ({ until, now }) => {
    const db = driver.lazyConnection({ protocol: 2 });
    await until(100);
    slow = db.with({ replyTimeout: 30_000 }).get("slow");
    while (now() < 19_000) {
      db.with({ replyTimeout: 50 }).get("k").catch(() => {});
      await until(now() + 30);
    }
    await until(25_000);
    assert.deepEqual([await slow, [...links]], ["slow", [1]]);
    db.destroy();
  });
});

for (const [pace, isKept] of [[1_000, true], [6_000, false]] as const) {
  test(`a long string of which 64 KiB come every ${pace} ms ${isKept ? "keeps" : "costs"} its connection`, async () => {
    const links = new Set<number>();
    const part = "x".repeat(65_536);
    let behind: string[] | undefined;
    await inVirtualTime(answering((key, link, say, after) => {
      links.add(link);
      if (key !== "long" || link > 1) return behind !== undefined && link === 1 ? void behind.push("$1\r\na\r\n") : say("$1\r\na\r\n");
      say(`$${30 * part.length}\r\n`);
      behind = [];
      for (let i = 1; i < 30; i++) after(i * pace, () => say(part));
      after(30 * pace, () => {
        say(`${part}\r\n${behind!.join("")}`);
        behind = undefined;
      });
    }), async ({ until, now }) => {
      const db = driver.lazyConnection({ protocol: 2, pingInterval: Infinity });
      await until(100);
      const calls = [db.get("long").catch(() => {})];
      while (now() < 30 * pace + 10_000) {
        await until(now() + 1_000);
        calls.push(db.get("k").catch(() => {}));
      }
      await until(now() + 5_000);
      assert.equal(await calls.at(-1), "a");
      assert.deepEqual([...links], isKept ? [1] : [1, 2]);
      db.destroy();
    });
  });
}

for (const [what, count, pause, expected] of [
  ["a pipeline whose replies flow has as long as it takes", 20, () => 3_000, [20, 60_000]],
  ["a pipeline whose replies stop is given up replyTimeout after the last one", 20, (i: number) => i < 7 ? 3_000 : 1e6, [7, 26_000]],
  ["a pipeline without any reply is given up replyTimeout after the call", 20, () => 1e6, [0, 5_000]],
  ["a pipeline of one command has the time of one command", 1, () => 7_000, [0, 5_000]],
] as const) {
  test(what, async () => {
    let at = 0;
    let nth = 0;
    await inVirtualTime(answering((_, link, say, after) => {
      if (link === 1) after(at += pause(nth++), () => say("$1\r\na\r\n"));
    }), async ({ until, now }) => {
      const db = driver.lazyConnection({ protocol: 2, pingInterval: Infinity });
      await until(1_000);
      const pipeline = db.pipeline();
      for (let i = 0; i < count; i++) pipeline.get(String(i));
      let took = 0;
      const begun = now();
      const done = pipeline.execPipeline({ errors: "return" }).finally(() => { took = now() - begun; });
      await until(100_000);
      const [answered, time] = expected;
      assert.equal((await done).filter((reply) => reply === "a").length, answered);
      assert.ok(took >= time && took < time + 100, `${took} ms`);
      db.destroy();
    });
  });
}

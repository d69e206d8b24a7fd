// The simulator in the test suite: some seeds of the driver as it is, and proof that the simulator sees.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { after, before, test } from "node:test";
import * as driver from "../redis.ts";
import { hunt, mutants, plant } from "./mutants.ts";
import { Agenda, Chance, quiet } from "./network.ts";
import { kinds, search, show, simulate, trace } from "./sim.ts";

test("no invariant breaks in 1,000 simulated runs of each kind", { timeout: 1_200_000 }, async () => {
  const world = { ...driver.internals.world };
  try {
    const breach = await search(driver, 0, 1_000);
    assert.equal(breach && show(breach), undefined);
  } finally {
    Object.assign(driver.internals.world, world);
  }
});

test("a seed gives the same run again", async () => {
  const world = { ...driver.internals.world };
  try {
    for (const kind of kinds) {
      for (let seed = 0; seed < 20; seed++) {
        const first = await trace(driver, seed, kind);
        await simulate(driver, seed + 100, kind);
        assert.deepEqual(await trace(driver, seed, kind), first);
        assert.ok(first.length > 10);
      }
    }
  } finally {
    Object.assign(driver.internals.world, world);
  }
});

for (const bug of [
  "a write is issued again after a loss", "WATCH and MULTI are forgotten across a reconnect",
  "a cancelled slot is removed from the ring", "the role of a server is not asked for", "a fence is sent to another server",
  "a list with a wrong entry is taken in part",
]) {
  test(`the simulator finds out when ${bug}`, { timeout: 600_000 }, async () => {
    const mutant = mutants.find(([name]) => name === bug);
    assert.ok(mutant);
    assert.ok(await hunt(mutant, 2_000));
  });
}

for (const bug of ["a push does not mark what is being loaded", "the death of the tracked connection is ignored"]) {
  test(`cached readers of the simulator find out when ${bug}`, { timeout: 600_000 }, async () => {
    const world = { ...driver.internals.world };
    try {
      assert.ok(await search(await plant(mutants.find(([name]) => name === bug)!), 0, 400, 1, ["fixed"]));
    } finally {
      Object.assign(driver.internals.world, world);
    }
  });
}

for (const [what, bug, seed] of [
  ["a command of a MULTI that a cluster had redirected does not fail as never sent",
    "a command that was redirected is told as not sent", 1_092],
  ["a slot does not go back because of a MOVED that was older than the map", "a node that has lost a slot still says where it is", 1_568],
  ["a cached reader sees a write of its handler that ASK sent to another node",
    "a write that goes to another node drops nothing at the old one", 18_457],
] as const) {
  test(`${what}: a simulated run shows it`, { timeout: 600_000 }, async () => {
    const world = { ...driver.internals.world };
    try {
      assert.equal((await simulate(driver, seed, "cluster"))?.what, undefined);
      assert.match((await simulate(await plant(mutants.find(([name]) => name === bug)!), seed, "cluster"))!.invariant, /^I[1348]$/);
    } finally {
      Object.assign(driver.internals.world, world);
    }
  });
}

type Answer = (key: string, link: number, say: (bytes: string) => void, after: VirtualWorld["after"]) => void;

/**
 * A world with its own clock and network, and one server: its connections open, fail or hang, and end with it. `answer`
 * replies to each GET; it receives the key, and the number of the connection.
 */
class VirtualWorld {
  readonly attempts: number[] = [];
  /** Passwords of HELLO and AUTH; the reply to AUTH is `auth`. */
  readonly logins: { at: number; link: number; password: string }[] = [];
  auth = "+OK\r\n";
  server: "up" | "down" | "silent" = "up";
  /** Does something else with a command than to answer it; true if it did. */
  odd: ((name: string, say: (bytes: string) => void, end: () => void, after: VirtualWorld["after"]) => boolean) | undefined;
  now = 0;
  readonly #agenda = new Agenda();
  readonly #chance: Chance;
  readonly #answer: Answer;
  readonly #sockets = new Set<EventEmitter>();

  constructor(answer: Answer = (_key, _link, say) => say("+OK\r\n"), seed = 1) {
    this.#answer = answer;
    this.#chance = new Chance(seed);
  }

  readonly after = (delay: number, task: () => void): any =>
    Object.assign(this.#agenda.add(this.now + Math.max(0, delay), task), { unref() { return this; } });

  #connect(): any {
    const link = this.attempts.push(this.now);
    const { Decoder, MORE } = driver.internals;
    const decoder = new Decoder({ maxDepth: 8, maxBulk: 1024, maxElements: 64, maxReply: 8192 });
    const ignore = (): void => {};
    const isOpen = (): boolean => this.#sockets.has(socket);
    const say = (bytes: string): void => void (isOpen() && socket.emit("data", Buffer.from(bytes, "latin1")));
    const end = (): void => void (isOpen() && socket.emit("end"));
    const execute = ([name = "", key = "", ...rest]: string[]): void => {
      if (name === "AUTH" || rest[0] === "AUTH") this.logins.push({ at: this.now, link, password: rest.at(-1) ?? key });
      if (this.odd?.(name, say, end, this.after)) return;
      if (name === "AUTH") say(this.auth);
      else if (name === "GET") this.#answer(key, link, say, this.after);
      else say(name === "HELLO" ? "%0\r\n" : name === "PING" ? "+PONG\r\n" : "-ERR unknown\r\n");
    };
    const write = (bytes: Buffer): void => {
      decoder.feed(Buffer.from(bytes));
      for (let asked = decoder.take("utf-8"); asked !== MORE; asked = decoder.take("utf-8")) {
        const words = asked as string[];
        this.after(1, () => isOpen() && execute(words));
      }
    };
    const socket: EventEmitter = Object.assign(new EventEmitter(), {
      writableHighWaterMark: 16_384, writableLength: 0, write, cork: ignore, uncork: ignore, pause: ignore, resume: ignore,
      destroy: () => this.#sockets.delete(socket),
    });
    this.#sockets.add(socket);
    this.after(1, () => {
      if (this.server === "up") socket.emit("connect");
      if (this.server === "down") socket.emit("error", Object.assign(new Error("refused"), { code: "ECONNREFUSED" }));
    });
    return socket;
  }

  /** How many timers have not fired. */
  get timers(): number { return this.#agenda.live; }

  /** The server goes, and with it its connections. */
  crash(server: VirtualWorld["server"]): void {
    this.server = server;
    for (const socket of [...this.#sockets]) socket.emit("end");
  }

  /** Runs everything that is due before this time. */
  async until(time: number): Promise<void> {
    await quiet();
    while (this.#agenda.next < time) {
      this.now = Math.max(this.now, this.#agenda.next); // late timers fire after a freeze
      do this.#agenda.take().run?.(); while (this.#agenda.next <= this.now);
      await quiet();
      await quiet(); // what was put off until input has been read, and what follows from that
    }
    this.now = time;
  }

  /** Lets the driver run in it. */
  async run(use: (virtual: this) => Promise<void>): Promise<void> {
    const world = { ...driver.internals.world };
    Object.assign(driver.internals.world, {
      now: () => this.now, random: () => this.#chance.next(), after: this.after,
      cancel: (timer: any) => {
        if (timer !== undefined) timer.run = undefined;
      },
      connect: () => this.#connect(),
    });
    try {
      await use(this);
    } finally {
      Object.assign(driver.internals.world, world);
    }
  }
}

test("many clients of a server that is away try again at different times", async () => {
  await new VirtualWorld().run(async (virtual) => {
    virtual.server = "down";
    const clients = Array.from({ length: 500 }, () => driver.lazyConnection());
    await virtual.until(5_000);
    const late = virtual.attempts.filter((at) => at > 1_000);
    const within100 = late.map((at) => late.filter((other) => other >= at && other < at + 100).length);
    assert.ok(late.length > 1_000 && Math.max(...within100) < 500 / 4, `${Math.max(...within100)} at once`);
    for (const client of clients) client.destroy();
  });
});

type Odd = NonNullable<VirtualWorld["odd"]>;
const on = (what: string, then: (say: (bytes: string) => void, end: () => void) => void): Odd => (name, say, end) => {
  if (name !== what) return false;
  then(say, end);
  return true;
};
/** Completes the handshake, whose last command in RESP2 is PING, and answers nothing after it. */
const afterLogin = (then: (say: (bytes: string) => void, end: () => void, after: VirtualWorld["after"]) => void) =>
  (last: string): Odd => (name, say, end, after) => {
    if (name !== "CLIENT") return name !== "HELLO";
    say(last === "PING" ? "-ERR unknown\r\n+PONG\r\n" : "-ERR unknown\r\n");
    then(say, end, after);
    return true;
  };
const LOADING = "-LOADING Redis is loading the dataset in memory\r\n";

/** Servers of which no connection is of use: with HELLO or, in RESP2, PING, the handshake ends. */
const USELESS: [what: string, odd: (last: string) => Odd][] = [
  ["closes after its first reply", () => on("HELLO", (say, end) => (say("%0\r\n"), end()))],
  ["is loading its data", (last) => on(last, (say) => say(LOADING))],
  ["requires another password", (last) => on(last, (say) => say("-WRONGPASS invalid username-password pair\r\n"))],
  ["says that it has too many clients, and closes", (last) =>
    on(last, (say, end) => (say("-ERR max number of clients reached\r\n"), end()))],
  ["closes at once after the login", afterLogin((_, end) => end())],
  ["says one word after the login and closes", afterLogin((say, end) => (say(">2\r\n+hello\r\n+you\r\n"), end()))],
  ["answers what nobody asked after the login", afterLogin((say) => say("+hello\r\n"))],
  ["closes some time after the login", afterLogin((_, end, after) => after(100, end))],
  ["closes when it is asked something", () => (name, _, end) => ["GET", "SUBSCRIBE", "MONITOR"].includes(name) && (end(), true)],
  ["refuses what it is asked, and closes", () => (name, say, end) =>
    ["GET", "SUBSCRIBE", "MONITOR"].includes(name) && (say("-ERR go away\r\n"), end(), true)],
];

/** Attempts in this time that one seat may make, and those with which a pool fills once. */
const attemptsOf = (seconds: number, poolsize: number): number => poolsize + 8 + 2 * seconds;

for (const [what, odd] of USELESS) {
  for (const protocol of [3, 2] as const) {
    test(`a server that ${what} is asked by one connection, more and more rarely, however big the pool: RESP${protocol}`, async () => {
      const options = { poolsize: 100, protocol };
      const handlers: [pools: number, size: number, open: () => any][] = [
        [1, 1, () => driver.lazyConnection(options)], [1, 100, () => driver.lazyConnectionPool(options)],
        [1, 100, () => driver.lazyUnixConnectionPool("/tmp/virtual.sock", options)],
        [2, 100, () => driver.lazyShardedConnectionPool(["a:1", "b:1"], options)],
        [1, 100, () => driver.connectionPool(options).catch(() => ({ destroy() {} }))],
      ];
      for (const [pools, poolsize, open] of handlers) {
        for (const isAsked of [true, false]) {
          await new VirtualWorld().run(async (virtual) => {
            virtual.odd = odd(protocol === 3 ? "HELLO" : "PING");
            const opened = open();
            await virtual.until(10);
            for (let at = 0; at < 20_000; at += 50) {
              await virtual.until(at);
              if (isAsked && "get" in opened) for (const key of ["a", "b", "c"]) opened.get(key).catch(() => {});
            }
            const most = pools * attemptsOf(20, poolsize);
            assert.ok(virtual.attempts.length <= most, `${virtual.attempts.length} attempts of ${pools} x ${poolsize}`);
            (await opened).destroy();
          });
        }
      }
    });
  }

  test(`a server that ${what} is asked by a listener more and more rarely`, async () => {
    for (const listen of [(db: any) => db.subscribe("c", () => {}), (db: any) => db.monitor()]) {
      await new VirtualWorld().run(async (virtual) => {
        const db = driver.lazyConnection();
        listen(db).catch(() => {});
        await virtual.until(20);
        virtual.odd = odd("HELLO");
        virtual.crash("up");
        const before = virtual.attempts.length;
        await virtual.until(20_000);
        assert.ok(virtual.attempts.length - before <= 2 * attemptsOf(20, 1), `${virtual.attempts.length - before} attempts`);
        db.destroy();
      });
    }
  });
}

test("a server that closes after each first answer has about one connection per rest, however big the pool", async () => {
  for (const poolsize of [1, 100]) {
    await new VirtualWorld().run(async (virtual) => {
      let answered = 0;
      virtual.odd = on("GET", (say, end) => (answered++, say("+OK\r\n"), end()));
      const db = driver.lazyConnectionPool({ poolsize });
      for (let at = 0; at < 10_000; at += 10) {
        await virtual.until(at);
        for (let i = 0; i < 10; i++) db.get("k").catch(() => {});
      }
      assert.ok(answered > 100, `${answered} answers`); // it is of use, so it is asked again soon
      assert.ok(virtual.attempts.length <= poolsize + 10_000 / 20, `${virtual.attempts.length} attempts`);
      db.destroy();
    });
  }
});

test("500 clients with pools ask a server that is loading as often as 500 connections, and fill at once when it is ready", async () => {
  await new VirtualWorld().run(async (virtual) => {
    virtual.odd = on("PING", (say) => say(LOADING));
    const pools = Array.from({ length: 500 }, () => driver.lazyConnectionPool({ protocol: 2, poolsize: 10 }));
    await virtual.until(10_000);
    assert.ok(virtual.attempts.length <= 500 * attemptsOf(10, 1), `${virtual.attempts.length} attempts`);
    virtual.odd = undefined;
    await virtual.until(10_000 + 2_600);
    await Promise.all(pools.map((pool) => pool.ready()));
    for (const pool of pools) pool.destroy();
  });
});

test("an attempt that hangs does not keep the others of a pool from asking: one more every 2.5 s", async () => {
  await new VirtualWorld().run(async (virtual) => {
    const db = driver.lazyConnectionPool({ poolsize: 50 });
    await virtual.until(10_000);
    virtual.crash("silent"); // as if one of several servers were dead
    await virtual.until(10_100);
    virtual.server = "up";
    const before = virtual.attempts.length;
    assert.equal(before, 51);
    await virtual.until(10_100 + 2_510);
    assert.equal(virtual.attempts.length, 50 + 50);
    db.destroy();
  });
});

test("a pool fills in two handshakes when its server is back after a long time, whoever asks for nothing meanwhile", async () => {
  await new VirtualWorld().run(async (virtual) => {
    const db = driver.lazyConnectionPool({ poolsize: 50 });
    await virtual.until(10_000);
    virtual.crash("down");
    await virtual.until(60_000);
    virtual.server = "up";
    const before = virtual.attempts.length;
    while (virtual.attempts.length === before) await virtual.until(virtual.now + 1);
    await virtual.until(virtual.now + 10);
    assert.equal(await Promise.race([db.ready(), quiet()]), db);
    assert.equal(virtual.attempts.length - before, 50);
    db.destroy();
  });
});

for (const [name, poolsize] of [["one connection", 1], ["a pool", 10]] as const) {
  for (const lasted of [10_000, 1_000]) {
    test(`commands wait for 250 ms after the loss and fail at once from then on: ${name} that lasted ${lasted} ms`, async () => {
      for (let seed = 0; seed < 10; seed++) {
        await new VirtualWorld(undefined, seed).run(async (virtual) => {
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

test("commands wait for 250 ms after the last of two losses, even if the other connections had not come back", async () => {
  await new VirtualWorld().run(async (virtual) => {
    const db = driver.lazyConnectionPool({ poolsize: 4 });
    await virtual.until(10_000);
    virtual.crash("down");
    await virtual.until(virtual.now + 150);
    virtual.server = "up";
    for (let before = Infinity; virtual.attempts.length < before + 3;) { // one connection opens, then three at once
      before = virtual.attempts.length;
      await virtual.until(virtual.now + 1);
    }
    virtual.server = "down"; // which refuses these three
    await virtual.until(virtual.now + 5);
    virtual.crash("down");
    const lost = virtual.now;
    let failed = 0;
    db.get("k").catch(() => (failed = virtual.now));
    await virtual.until(lost + 400);
    assert.ok(failed >= lost + 250 && failed <= lost + 260, `it failed after ${failed - lost} ms`);
    db.destroy();
  });
});

for (const [what, isGone, firstTimer] of [
  ["is whole: the write goes out after a PING", false, false],
  ["has gone silently: the write goes out on a new connection", true, false],
  ["has gone silently, and timers run before the write", true, true],
] as const) {
  test(`after this process was frozen, no write is entrusted to a connection before it has answered, and the path ${what}`, async () => {
    for (const poolsize of [1, 3]) {
      await new VirtualWorld().run(async (virtual) => {
        const said: string[] = [];
        const old = new Set<unknown>();
        virtual.odd = (name, say) => {
          if (virtual.now < 10_000) old.add(say);
          else said.push(name);
          if (virtual.now >= 10_000 && isGone && old.has(say)) return true;
          if (name === "SET") say("+OK\r\n");
          return name === "SET";
        };
        const db = driver.lazyConnectionPool({ poolsize });
        await virtual.until(9_000);
        const before = virtual.attempts.length;
        virtual.now = 100_000; // frozen: no timer ran
        if (firstTimer) await virtual.until(100_000.5);
        let written = Infinity;
        const write = db.set("k", "v").then((reply: unknown) => (written = virtual.now, reply));
        await virtual.until(104_000);
        assert.equal(await Promise.race([write, quiet()]), "OK");
        const pings = said.slice(0, said.indexOf("SET")).filter((name) => name === "PING").length;
        assert.ok(pings > 0 && said.filter((name) => name === "SET").length === 1, said.join(" "));
        assert.equal(virtual.attempts.length > before, isGone);
        assert.ok(written < (isGone ? 101_300 : 100_010), `written at ${written}`);
        await virtual.until(130_000);
        assert.equal(await Promise.race([db.ready(), quiet()]), db);
        db.destroy();
        await virtual.until(131_000);
        assert.equal(virtual.timers, 0);
      });
    }
  });
}

test("a stall of this process that is shorter than the heartbeat asks nothing", async () => {
  await new VirtualWorld().run(async (virtual) => {
    const said: string[] = [];
    virtual.odd = (name) => (said.push(name), false);
    const db = driver.lazyConnection();
    await virtual.until(9_000);
    virtual.now = 18_000;
    void db.get("k");
    await virtual.until(18_010);
    assert.equal(said.at(-1), "GET");
    assert.ok(!said.includes("PING"));
    db.destroy();
  });
});

test("a first attempt that hangs after the loss is awaited, within the deadline: nothing says that the server is down", async () => {
  await new VirtualWorld().run(async (virtual) => {
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

const UNENDING = "*2\r\n$5\r\nhello\r\n*1000\r\n";

for (const [what, begins] of [["an array", UNENDING], ["a string", "$100000000\r\n"], ["a push", ">3\r\n$7\r\nmessage\r\n*999\r\n"]]) {
  test(`a reply that never ends, ${what}, costs its connection by the second deadline, though bytes come all the time`, async () => {
    const used = new Set<number>();
    await new VirtualWorld((key, link, say) => {
      used.add(link);
      say(key === "endless" && link === 1 ? begins! : "$1\r\na\r\n");
    }).run(async (virtual) => {
      const db = driver.lazyConnection({ protocol: 2, pingInterval: Infinity });
      await virtual.until(100);
      const outcomes: string[] = [];
      const call = (key: string): void => void db.get(key).then((value) => outcomes.push(`${value}`), ({ code }) => outcomes.push(code));
      call("endless");
      for (let i = 0; i < 9; i++) {
        await virtual.until(virtual.now + 1_000);
        call("later"); // a reply that is swallowed, each second
      }
      await virtual.until(virtual.now + 5_000);
      const lost = outcomes.filter((outcome) => outcome === "REPLY_TIMEOUT").length;
      assert.deepEqual([lost, outcomes.length - lost, [...used]], [2, 8, [1, 2]]);
      db.destroy();
    });
  });
}

test("a reply that never ends costs its connection, too, if all callers are in a hurry", async () => {
  await new VirtualWorld((_, link, say) => say(link === 1 ? UNENDING : "$1\r\na\r\n")).run(async (virtual) => {
    const db = driver.lazyConnection({ protocol: 2 });
    await virtual.until(100);
    const hurried = db.with({ replyTimeout: 50 });
    const answers: unknown[] = [];
    while (virtual.now < 35_000) {
      hurried.get("k").then((value) => answers.push(value), () => {});
      await virtual.until(virtual.now + 30);
    }
    assert.ok(answers.length > 200, `${answers.length} answers`);
    db.destroy();
  });
});

test("callers in a hurry never cost others their connection", async () => {
  const links = new Set<number>();
  let slow: Promise<unknown>;
  await new VirtualWorld((key, link, say, after) => {
    links.add(link);
    if (key === "slow") after(20_000, () => say("$4\r\nslow\r\n"));
  }).run(async (virtual) => {
    const db = driver.lazyConnection({ protocol: 2 });
    await virtual.until(100);
    slow = db.with({ replyTimeout: 30_000 }).get("slow");
    while (virtual.now < 19_000) {
      db.with({ replyTimeout: 50 }).get("k").catch(() => {});
      await virtual.until(virtual.now + 30);
    }
    await virtual.until(25_000);
    assert.deepEqual([await slow, [...links]], ["slow", [1]]);
    db.destroy();
  });
});

for (const [pace, isKept] of [[1_000, true], [6_000, false]] as const) {
  test(`a long string of which 64 KiB come every ${pace} ms ${isKept ? "keeps" : "costs"} its connection`, async () => {
    const links = new Set<number>();
    const part = "x".repeat(65_536);
    let behind: string[] | undefined;
    await new VirtualWorld((key, link, say, after) => {
      links.add(link);
      if (key !== "long" || link > 1) return behind !== undefined && link === 1 ? void behind.push("$1\r\na\r\n") : say("$1\r\na\r\n");
      say(`$${30 * part.length}\r\n`);
      behind = [];
      for (let i = 1; i < 30; i++) after(i * pace, () => say(part));
      after(30 * pace, () => {
        say(`${part}\r\n${behind!.join("")}`);
        behind = undefined;
      });
    }).run(async (virtual) => {
      const db = driver.lazyConnection({ protocol: 2, pingInterval: Infinity });
      await virtual.until(100);
      const calls = [db.get("long").catch(() => {})];
      while (virtual.now < 30 * pace + 10_000) {
        await virtual.until(virtual.now + 1_000);
        calls.push(db.get("k").catch(() => {}));
      }
      await virtual.until(virtual.now + 5_000);
      assert.equal(await calls.at(-1), "a");
      assert.deepEqual([...links], isKept ? [1] : [1, 2]);
      db.destroy();
    });
  });
}

// ==== Credentials that expire ====

const LIFE = 60_000;
const renewing = { pingInterval: Infinity, connectTimeout: 1_000 };
const expiring = (password: string): driver.Credentials => ({ username: "ada", password, expires: new Date(Date.now() + LIFE) });

// Real time stands still, so that between this and the look of the driver at it none passes.
const { now: today } = Date;
before(() => void (Date.now = () => 1_800_000_000_000));
after(() => void (Date.now = today));

test("each connection logs in again after 60 to 80 % of its credentials' life, with one call for all of a pool", async () => {
  for (let seed = 0; seed < 20; seed++) {
    await new VirtualWorld(undefined, seed).run(async (virtual) => {
      const called: number[] = [];
      const credentials = async () => expiring(String(called.push(virtual.now)));
      const db = driver.lazyConnectionPool({ poolsize: 5, credentials, ...renewing });
      await virtual.until(10 * LIFE);
      assert.equal(virtual.attempts.length, 5, "no connection was lost");
      const gaps = called.slice(1).map((at, i) => at - called[i]!);
      assert.ok(gaps.length >= 12 && gaps.every((gap) => gap > 0.59 * LIFE && gap < 0.81 * LIFE), String(gaps));
      for (let link = 1; link <= 5; link++) {
        const passwords = virtual.logins.filter((login) => login.link === link).map(({ password }) => Number(password));
        assert.deepEqual(passwords, called.map((_, i) => i + 1));
      }
      db.destroy();
    });
  }
});

test("connections that were opened at different times soon share their credentials", async () => {
  await new VirtualWorld().run(async (virtual) => {
    const called: number[] = [];
    const credentials = () => expiring(String(called.push(virtual.now)));
    const clients: { destroy(): void }[] = [];
    for (let i = 0; i < 10; i++) {
      clients.push(driver.lazyConnection({ credentials, ...renewing }));
      await virtual.until(virtual.now + 1_000);
    }
    await virtual.until(LIFE);
    const before = called.length;
    await virtual.until(11 * LIFE);
    assert.ok(called.length - before <= 18, `${called.length - before} calls in ten lives`);
    for (const client of clients) client.destroy();
  });
});

test("many clients whose credentials expire at the same time ask for new ones at different times", async () => {
  await new VirtualWorld().run(async (virtual) => {
    const called: number[] = [];
    const clients = Array.from({ length: 300 }, () =>
      driver.lazyConnection({ credentials: () => expiring(String(called.push(virtual.now))), ...renewing }));
    await virtual.until(LIFE);
    const late = called.filter((at) => at > 1_000);
    const together = late.map((at) => late.filter((other) => other >= at && other < at + LIFE / 100).length);
    assert.ok(late.length >= 300 && Math.max(...together) < 300 / 8, `${Math.max(...together)} of ${late.length}`);
    for (const client of clients) client.destroy();
  });
});

for (const [what, call, auth, why] of [
  ["fails", async () => { throw new Error("vault sealed"); }, "+OK\r\n", "the credentials function failed"],
  ["is not answered", () => new Promise<never>(() => {}), "+OK\r\n", "the credentials function did not answer in time"],
  ["is refused by the server", async () => expiring("wrong"), "-WRONGPASS no\r\n", "WRONGPASS no (AUTH)"],
] as const) {
  /** A handler whose function does its worst from its second call on, until it is mended. */
  const spoilt = (virtual: VirtualWorld) => {
    const called: number[] = [];
    let isMended = false;
    const db = driver.lazyConnection({
      ...renewing, credentials: async () => called.push(virtual.now) === 1 || isMended ? expiring("right") : call(),
    });
    virtual.auth = auth;
    const mend = (): void => {
      isMended = true;
      virtual.auth = "+OK\r\n";
    };
    return { db, called, mend };
  };

  test(`a renewal that ${what} is tried again after rests, and no caller notices if one succeeds before the expiry`, async () => {
    await new VirtualWorld().run(async (virtual) => {
      const { db, called, mend } = spoilt(virtual);
      await virtual.until(0.97 * LIFE);
      mend();
      const rests = called.slice(2).map((at, i) => at - called[i + 1]!);
      assert.ok(rests.length >= 2 && rests.length < 20 && rests.every((rest) => rest >= 1_000), String(rests));
      await virtual.until(5 * LIFE);
      assert.equal(virtual.attempts.length, 1);
      assert.equal(await Promise.race([db.get("k"), virtual.until(virtual.now + 10)]), "OK");
      db.destroy();
    });
  });

  test(`if each renewal ${what} until the expiry, another connection takes the place of this one, and errors tell why`, async () => {
    await new VirtualWorld().run(async (virtual) => {
      const { db, mend } = spoilt(virtual);
      await virtual.until(LIFE - 100);
      assert.equal(await Promise.race([db.get("k"), virtual.until(virtual.now + 10)]), "OK");
      assert.equal(virtual.attempts.length, 1);
      virtual.server = "silent";
      await virtual.until(LIFE + 10);
      const failed = db.with({ replyTimeout: 500 }).get("k").catch((reason) => reason);
      await virtual.until(LIFE + 600);
      const error = await failed;
      assert.match(error.message, /not sent within 500 ms: still connecting .*; before that, its credentials have expired$/);
      assert.deepEqual([error.outcome, error.cause.cause.message], ["not-sent", why]);
      mend();
      virtual.server = "up";
      await virtual.until(LIFE + 10_000);
      assert.equal(await Promise.race([db.get("k"), virtual.until(virtual.now + 10)]), "OK");
      db.destroy();
    });
  });
}

test("a handler that is closed while a renewal is under way leaves no timer behind", async () => {
  await new VirtualWorld().run(async (virtual) => {
    let calls = 0;
    const credentials = async () => calls++ === 0 ? expiring("p") : new Promise<never>(() => {});
    const db = driver.lazyConnection({ credentials, ...renewing });
    await virtual.until(0.8 * LIFE + 100);
    assert.ok(calls > 1);
    db.destroy();
    await virtual.until(2 * LIFE);
    const after = calls;
    await virtual.until(4 * LIFE);
    assert.equal(calls, after);
    assert.equal(virtual.timers, 0);
  });
});

test("a handler over one of several leaves no timer behind, even just after a PING to a member", async () => {
  await new VirtualWorld().run(async (virtual) => {
    const db = driver.lazyConnectionPool({ anyOf: ["a:1", "b:1"], poolsize: 2 });
    await virtual.until(3_100);
    db.destroy();
    await virtual.until(3_110);
    assert.equal(virtual.timers, 0);
  });
});

for (const [what, count, pause, expected] of [
  ["a pipeline whose replies flow has as long as it takes", 20, () => 3_000, [20, 60_000]],
  ["a pipeline whose replies stop is given up replyTimeout after the last one", 20, (i: number) => i < 7 ? 3_000 : 1e6, [7, 26_000]],
  ["a pipeline without any reply is given up replyTimeout after the call", 20, () => 1e6, [0, 5_000]],
  ["a pipeline of one command has the time of one command", 1, () => 7_000, [0, 5_000]],
] as const) {
  test(what, async () => {
    let at = 0;
    let nth = 0;
    await new VirtualWorld((_, link, say, after) => {
      if (link === 1) after(at += pause(nth++), () => say("$1\r\na\r\n"));
    }).run(async (virtual) => {
      const db = driver.lazyConnection({ protocol: 2, pingInterval: Infinity });
      await virtual.until(1_000);
      const pipeline = db.pipeline();
      for (let i = 0; i < count; i++) pipeline.get(String(i));
      let took = 0;
      const begun = virtual.now;
      const done = pipeline.execPipeline({ errors: "return" }).finally(() => { took = virtual.now - begun; });
      await virtual.until(100_000);
      const [answered, time] = expected;
      assert.equal((await done).filter((reply) => reply === "a").length, answered);
      assert.ok(took >= time && took < time + 100, `${took} ms`);
      db.destroy();
    });
  });
}

// The LOG oracle: workers append to lists, `RPUSH log:<n> "w:k"`, and every reply must be the position of that very
// element. One LRANGE after the faults then shows a lost acknowledgement, a double, a wrong reply, a lie about the
// outcome, a reordering and a zombie. It judges any client, through an Adapter. Nothing here imports redis.ts.

import { setTimeout as sleep } from "node:timers/promises";

/** A server, or several as one. */
export type Servers = { call(...args: string[]): Promise<any> };

// ==== Clients ====

export type Outcome = "not-sent" | "not-executed" | "unknown";

export type Opening = {
  port: number;
  /** Certificates that are trusted; then the connection is TLS. */
  ca?: string;
  db?: number;
  user?: { name: string; password: string };
  /** Milliseconds for each command, where the client knows such a thing. */
  timeout?: number;
  connectTimeout?: number;
  /** How many connections, where the client has pools. */
  pool?: number;
};

export type CallOptions = { timeout?: number; signal?: AbortSignal };

/** A client as the scenarios use it. */
export type Adapter = {
  name: string;
  /** A client at once, or one that is connected. */
  open(options: Opening): any;
  call(client: any, args: string[], options?: CallOptions): Promise<unknown>;
  close(client: any): unknown;
  /** The replies of MULTI, the commands, EXEC. */
  multi(client: any, commands: string[][]): Promise<unknown[]>;
  /** What a failure says became of the command; without it, an error of the server's is `not-executed`. */
  outcome?(error: any): Outcome;
  /** Whether a failed command can no longer be done, though it may have been. */
  fenced?(error: any): boolean;
  /** Whether the signal of CallOptions is heeded. */
  aborts?: boolean;
  /** How many connections a client makes, where that is not one. */
  connections?: number;
  /** A client of a cluster, which `call` and `close` take. */
  cluster?: ((ports: number[], timeout: number) => any) | undefined;
  /** A client of the master that these Sentinels watch, whose connections have this name. */
  sentinel?: ((hosts: string[], master: string, timeout: number, name: string) => any) | undefined;
};

const serverError = /^[A-Z]{2,} /;

export function outcomeOf(adapter: Adapter, error: any): Outcome {
  if (adapter.outcome) return adapter.outcome(error);
  return serverError.test(String(error?.message)) ? "not-executed" : "unknown";
}

// ==== The oracle ====

export type Counts = {
  faults: number;
  operations: number;
  acked: number;
  unknown: number;
  /** Rejected as `not-sent`, and as `not-executed`. */
  notSent: number;
  refused: number;
  /** Acknowledged, and not there. */
  lost: number;
  /** There more than once. */
  doubled: number;
  /** Acknowledged with another's reply; or there though nobody sent it. */
  wrong: number;
  /** There, though said to be not sent or not executed. */
  lied: number;
  /** Behind what the same worker sent later. */
  reordered: number;
  /** Behind what was begun after it had been given up. */
  zombie: number;
  /** Not settled by the deadline, and what is fair to a busy machine. */
  hung: number;
  /** The longest time until something succeeded again, in milliseconds. */
  recovery: number;
};

export const nothing = (): Counts => ({
  faults: 0, operations: 0, acked: 0, unknown: 0, notSent: 0, refused: 0, lost: 0, doubled: 0, wrong: 0, lied: 0,
  reordered: 0, zombie: 0, hung: 0, recovery: 0,
});

type Settled = "pending" | "acked" | Outcome;

class Operation {
  readonly list: number;
  readonly text: string;
  readonly begun = performance.now();
  ended = Infinity;
  state: Settled = "pending";
  reply: unknown;

  constructor(list: number, text: string) {
    this.list = list;
    this.text = text;
  }
}

/** `pause`: milliseconds that a worker rests after each success. */
export type LogOptions = { workers?: number; lists?: number; deadline?: number; prefix?: string; pause?: number };

/** How much later than its deadline a call may settle before it counts as hung. */
const GRACE = 10_000;
/** What a worker waits after a failure: a client that fails fast would else be asked a hundred thousand times. */
const PAUSE = 5;

export class Log {
  readonly operations: Operation[] = [];
  /** The codes, or else the messages, of what was rejected though it was certainly not done. */
  readonly refusals = new Set<string>();
  readonly #adapter: Adapter;
  readonly #client: any;
  readonly #lists: number;
  readonly #deadline: number;
  readonly #prefix: string;
  readonly #workers: number;
  readonly #pause: number;
  #running: Promise<void>[] = [];
  #stopped = false;
  #pending = 0;
  #waiting: { since: number; missing: Set<number>; resolve: (time: number) => void }[] = [];

  constructor(adapter: Adapter, client: any, options: LogOptions = {}) {
    this.#adapter = adapter;
    this.#client = client;
    this.#workers = options.workers ?? 64;
    this.#lists = options.lists ?? 4;
    this.#deadline = options.deadline ?? 5000;
    this.#prefix = options.prefix ?? "log:";
    this.#pause = options.pause ?? 0;
  }

  /** Lets the workers begin; each awaits its command before the next. */
  start(): this {
    for (let worker = 0; worker < this.#workers; worker++) this.#running.push(this.#work(worker));
    return this;
  }

  async #work(worker: number) {
    for (let k = 0; !this.#stopped; k++) {
      const operation = await this.append(worker, k);
      const pause = operation.state === "acked" ? this.#pause : PAUSE;
      if (pause > 0) await sleep(pause);
    }
  }

  /** One command; resolved when it is settled, however that is. */
  async append(worker: number, k: number): Promise<Operation> {
    const operation = new Operation(worker % this.#lists, `${worker}:${k}`);
    this.operations.push(operation);
    this.#pending++;
    try {
      const call = this.#adapter.call(this.#client, ["RPUSH", this.#prefix + operation.list, operation.text]);
      operation.reply = await call;
      operation.state = "acked";
    } catch (error: any) {
      operation.state = outcomeOf(this.#adapter, error);
      if (operation.state !== "unknown") this.refusals.add(String(error?.code ?? error?.message));
    }
    operation.ended = performance.now();
    this.#pending--;
    if (operation.state === "acked") this.#tell(operation);
    return operation;
  }

  get pending(): number {
    return this.#pending;
  }

  /** The milliseconds until every list has a success that was begun after this call; at most `within`. */
  async recovered(within = 20_000): Promise<number> {
    const since = performance.now();
    const late = new AbortController();
    const ended = await Promise.race([
      new Promise<number>((resolve) => this.#waiting.push({ since, missing: new Set(Array(this.#lists).keys()), resolve })),
      sleep(within, Infinity, { signal: late.signal }).catch(() => Infinity),
    ]);
    late.abort();
    return Math.min(ended - since, within);
  }

  #tell({ begun, ended, list }: Operation) {
    if (this.#waiting.length === 0) return;
    for (const { since, missing, resolve } of this.#waiting) {
      if (begun >= since) missing.delete(list);
      if (missing.size === 0) resolve(ended);
    }
    this.#waiting = this.#waiting.filter(({ missing }) => missing.size > 0);
  }

  /** Lets no worker begin anew, and waits until everything is settled that can be. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const end = performance.now() + this.#deadline + GRACE;
    while (this.#pending > 0 && performance.now() < end) await sleep(5);
    if (this.#pending === 0) await Promise.all(this.#running);
  }

  /** Compares what the client has said with what the server has. Give it time for whatever may still arrive late. */
  async judge(server: Servers): Promise<Counts> {
    const counts = { ...nothing(), operations: this.operations.length };
    for (const { state, begun, ended } of this.operations) {
      if (state === "acked") counts.acked++;
      else if (state === "unknown") counts.unknown++;
      else if (state === "not-sent") counts.notSent++;
      else if (state === "not-executed") counts.refused++;
      if (ended - begun > this.#deadline + GRACE) counts.hung++;
    }
    for (let list = 0; list < this.#lists; list++) {
      const operations = this.operations.filter((operation) => operation.list === list);
      judgeList(operations, await elements(server, this.#prefix + list), counts);
    }
    return counts;
  }
}

async function elements(server: Servers, key: string): Promise<string[]> {
  const all: string[] = [];
  for (;;) {
    const page: string[] = await server.call("LRANGE", key, `${all.length}`, `${all.length + 9999}`);
    for (const element of page) all.push(element);
    if (page.length < 10_000) return all;
  }
}

function judgeList(operations: Operation[], list: string[], counts: Counts) {
  const sent = new Map(operations.map((operation) => [operation.text, operation]));
  const times = new Map<string, number>();
  const lastOf = new Map<string, number>();
  let latestBegin = 0;
  for (const text of list) {
    const operation = sent.get(text);
    const before = times.get(text) ?? 0;
    times.set(text, before + 1);
    if (!operation) counts.wrong++;
    else if (before > 0) counts.doubled++;
    else {
      const [worker = "", k] = text.split(":");
      if (Number(k) < (lastOf.get(worker) ?? -1)) counts.reordered++;
      lastOf.set(worker, Number(k));
      if (operation.state !== "acked" && operation.ended < latestBegin) counts.zombie++;
      latestBegin = Math.max(latestBegin, operation.begun);
    }
  }
  for (const { text, state, reply } of operations) {
    const there = times.has(text);
    if (state === "acked" && !there) counts.lost++;
    else if (state === "acked" && list[Number(reply) - 1] !== text) counts.wrong++;
    else if (there && (state === "not-sent" || state === "not-executed")) counts.lied++;
  }
}

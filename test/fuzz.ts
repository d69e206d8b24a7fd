// Three fuzzers of redis.ts, each against something slower and plainer than the driver:
//
//   chunkings   random replies, each decoded by the reference once and by the driver in many random chunkings
//   mutations   the files of test/corpus and the frames of test/reference.ts, mutated: accepted, refused and understood
//               as by the reference, in bounded memory, without a hang, and dead after a breach
//   arguments   random argument lists against the reference's parser of the wire, and against a real server
//
//     npm run fuzz                                        all three, as much as a CI has time for
//     npm run fuzz -- --chunkings 1e9                     one of them, as long as it takes
//     npm run fuzz -- --mutations 1e9 --minutes 60        or until the time is over
//     npm run fuzz -- --seed 7                            other cases: case i of seed s is case 0 of seed s + i
//     npm run fuzz -- --mutations 1e6 --keep              inputs that reach something new are added to the corpus
//
// A failure prints the seed and the command that replays it, and the smallest input that still fails; the bytes of a
// decoder's failure are added to the corpus, to be tried first ever after.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect, parseArgs } from "node:util";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { ProtocolError, ReplyError, internals, lazyConnection } from "../redis.ts";
import { encoded } from "./handlers.ts";
import * as reference from "./reference.ts";
import { RedisServer } from "./servers.ts";

const { Decoder, MORE, encodeName } = internals;
type Random = reference.Random;
type Limits = ConstructorParameters<typeof Decoder>[0];

const below = (random: Random, bound: number): number => Math.floor(random() * bound);
const pick = <T>(random: Random, items: readonly T[]): T => items[below(random, items.length)] as T;

// ==== What the driver makes of bytes ====

type Charset = reference.Charset;
type Decoded = { replies: unknown[]; pushes: boolean[]; error?: string };

const generous: Limits = { maxDepth: 128, maxBulk: 512 * 2 ** 20, maxElements: 2 ** 20, maxReply: 2 ** 30 };
// Limits that short inputs can reach: what happens just below and just above them is seen all the time.
const tight: Limits = { maxDepth: 3, maxBulk: 20, maxElements: 4, maxReply: 300 };

const forReference = ({ maxDepth, maxBulk, maxElements, maxReply }: Limits): Partial<reference.Limits> =>
  ({ depth: maxDepth, bulk: maxBulk, elements: maxElements, reply: maxReply });

/** `cuts` are where the chunks end, rising; the last is the length of the bytes. */
function decode(bytes: Buffer, cuts: readonly number[], charset: Charset, limits: Limits, held?: unknown[]): Decoded {
  const decoder = new Decoder(limits);
  held?.push(decoder);
  const decoded: Decoded = { replies: [], pushes: [] };
  const memory = Buffer.from(bytes);
  let from = 0;
  try {
    for (const cut of cuts) {
      const chunk = memory.subarray(from, cut);
      decoder.feed(chunk);
      for (let reply = decoder.take(charset); reply !== MORE; reply = decoder.take(charset)) {
        decoded.replies.push(reply);
        decoded.pushes.push(decoder.pushed);
        // A reply has two bytes at least, so one that comes out of none, for ever, ends here and not in a hang.
        if (decoded.replies.length > bytes.length) throw new Error("more replies than bytes");
      }
      chunk.fill(0xff); // a socket uses this memory again: the decoder must not hold on to it
      from = cut;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    decoded.error = error.message;
    for (const more of ["", "+OK\r\n", "\r\n+OK\r\n"]) {
      assert.throws(() => {
        decoder.feed(Buffer.from(more));
        decoder.take(charset);
      }, (again) => again === error, "a decoder must stay dead after a breach");
    }
  }
  return decoded;
}

/** Whether the driver's value is the reference's. Nothing is copied, because this is asked millions of times. */
function isSame(value: unknown, expected: unknown): boolean {
  if (typeof expected !== "object" || expected === null) return Object.is(value, expected);
  if (expected instanceof reference.ErrorReply) return value instanceof ReplyError && saysAs(value, expected.error);
  if (typeof value !== "object" || value === null) return false;
  if (Buffer.isBuffer(expected)) return Buffer.isBuffer(value) && expected.equals(value);
  if (Array.isArray(expected)) {
    return Array.isArray(value) && value.length === expected.length && expected.every((item, i) => isSame(value[i], item));
  }
  if (Object.getPrototypeOf(value) !== null) return false;
  const names = Object.keys(expected), given = Object.keys(value);
  return names.length === given.length && names.every((name, i) => given[i] === name &&
    isSame((value as Record<string, unknown>)[name], (expected as Record<string, unknown>)[name]));
}

/** What a server says comes as `raw` where the message is made fit to be shown. */
function saysAs(error: ReplyError, said: string): boolean {
  const { raw = error.message } = error as { raw?: string };
  return raw === said;
}

const isPush = (reply: unknown): reply is reference.Push => reply instanceof reference.Push;

function areSame(decoded: Decoded, expected: readonly reference.Reply[]): boolean {
  return decoded.replies.length === expected.length && expected.every((reply, i) => isPush(reply)
    ? decoded.pushes[i] === true && isSame(decoded.replies[i], reply.push)
    : decoded.pushes[i] === false && isSame(decoded.replies[i], reply));
}

// ==== Chunkings ====

/** Where to cut: everywhere, often, seldom, once, or around the ends of lines, which is where decoders go wrong. */
function randomCuts(random: Random, bytes: Buffer): number[] {
  const cuts: number[] = [];
  const { length } = bytes;
  const style = length > 300 ? 0.2 + 0.8 * random() : random();
  const step = style < 0.1 ? 1 : style < 0.2 ? 3 : style < 0.5 ? Math.max(8, length / 20) : length;
  if (style > 0.85) {
    for (let at = bytes.indexOf(13); at >= 0 && cuts.length < 200; at = bytes.indexOf(13, at + 1)) {
      const cut = at - 1 + below(random, 4);
      if (cut > (cuts.at(-1) ?? 0) && cut < length && random() < 0.5) cuts.push(cut);
    }
  } else {
    for (let at = 1 + below(random, step); at < length; at += 1 + below(random, step)) cuts.push(at);
  }
  cuts.push(length);
  return cuts;
}

const PER_REPLY = 64;
const CHARSETS: readonly Charset[] = ["utf-8", null, "utf-8", "latin1"];

/** One stream in as many chunkings as its size allows; gives their number. */
function tryChunkings(seed: number, wanted: number): number {
  const random = reference.random(seed);
  const parts = Array.from({ length: 1 + below(random, 3) }, () => reference.randomReply(random, random() < 0.25 ? 2 : 3));
  const bytes = Buffer.concat([...parts, Buffer.from("+NEXT\r\n")]); // whose value tells that nothing is out of step
  const charset = pick(random, CHARSETS);
  const { replies, error } = reference.decodeReply(bytes, charset);
  if (error !== undefined) throw new Error(`the reference does not understand its own reply: ${error}`);
  const fails = (cuts: readonly number[], some: Buffer = bytes, expected = replies): boolean => {
    const decoded = decode(some, cuts, charset, generous);
    return decoded.error !== undefined || !areSame(decoded, expected);
  };
  const times = Math.min(wanted, bytes.length < 1_000 ? PER_REPLY : Math.max(4, Math.floor(PER_REPLY * 1_000 / bytes.length)));
  for (let i = 0; i < times; i++) {
    const cuts = randomCuts(random, bytes);
    if (!fails(cuts)) continue;
    // Fewer bytes where the reference can read what is left, then fewer cuts.
    const small = shrinkBytes(bytes, (some) => {
      const expected = reference.decodeReply(some, charset);
      return expected.error === undefined && fails(clip(cuts, some.length), some, expected.replies);
    });
    const expected = reference.decodeReply(small, charset).replies;
    const few = shrinkList(clip(cuts, small.length), (some) => fails([...some, small.length], small, expected));
    const ends = [...few.filter((cut) => cut < small.length), small.length];
    throw new Failure(`charset ${charset}, chunks that end at ${ends.join(", ")}
expected ${inspect(expected, { depth: 9 })}
got      ${inspect(decode(small, ends, charset, generous), { depth: 9 })}`, small);
  }
  return times;
}

const clip = (cuts: readonly number[], length: number): number[] => [...cuts.filter((cut) => cut < length), length];

// ==== Mutations ====

// The tests run compiled in dist, where the corpus is not; it lies beside the source.
const corpusFolder = ["corpus", "../../test/corpus"].map((path) => join(dirname(fileURLToPath(import.meta.url)), path))
  .find((path) => exists(path))!;

function exists(folder: string): boolean {
  try {
    return readdirSync(folder).length >= 0;
  } catch {
    return false;
  }
}

/** What was kept, by name. */
export function readCorpus(): [name: string, bytes: Buffer][] {
  return readdirSync(corpusFolder).sort().map((name) => [name, readFileSync(join(corpusFolder, name))]);
}

function keep(bytes: Buffer, why: string): string {
  const name = `${why}-${createHash("sha256").update(bytes).digest("hex").slice(0, 12)}.resp`;
  mkdirSync(corpusFolder, { recursive: true });
  writeFileSync(join(corpusFolder, name), bytes);
  return `test/corpus/${name}`;
}

const LARGEST_SEED = 2_000;
const BOUNDARIES = ["-1", "0", "1", "00", "-0", "+1", "?", "4", "5", "20", "21", "127", "128", "129", "65536", "1048575",
  "1048576", "1048577", "67108864", "67108865", "536870912", "536870913", "2147483647", "2147483648", "4294967295",
  "4294967296", "9007199254740991", "9007199254740992", "9007199254740993", "9223372036854775807",
  "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "99999999999999999999", "1e3", "1.5", ""];
const TOKENS = ["\r\n", "\r", "\n", "$", "*", "%", "~", ">", "|", "=", "!", "(", ",", "#", "_", "+", "-", ":", ";", ".",
  "$?\r\n", "*?\r\n", "%?\r\n", "~?\r\n", ";0\r\n", ".\r\n", "|1\r\n+a\r\n:1\r\n", ">1\r\n+a\r\n", "*0\r\n", "*1\r\n",
  "$-1\r\n", "*-1\r\n", "_\r\n", "#t\r\n", ":1\r\n", "+OK\r\n", "-ERR a\r\n", "$1\r\na\r\n", "=5\r\ntxt:a\r\n", "txt:", "nan",
  "-nan", "inf", "-inf", "\0", "\xff", "e", "E", ".5", "😀", "__proto__"];

function mutate(random: Random, bytes: Buffer, seeds: readonly Buffer[]): Buffer {
  const at = below(random, bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + below(random, random() < 0.7 ? 8 : bytes.length));
  const splice = (from: number, to: number, ...put: Uint8Array[]): Buffer =>
    Buffer.concat([bytes.subarray(0, from), ...put, bytes.subarray(to)]);
  switch (below(random, 9)) {
    case 0: { // flip
      const flipped = Buffer.from(bytes);
      if (at < flipped.length) flipped[at] = random() < 0.5 ? flipped[at]! ^ (1 << below(random, 8)) : below(random, 256);
      return flipped;
    }
    case 1: return bytes.subarray(0, at); // cut
    case 2: return splice(at, end); // remove
    case 3: return splice(at, at, Buffer.from(pick(random, TOKENS), random() < 0.5 ? "utf8" : "latin1")); // insert
    case 4: return splice(end, end, bytes.subarray(at, end)); // duplicate
    case 5: { // swap two neighbours of any length
      const middle = at + below(random, end - at + 1);
      return splice(at, end, bytes.subarray(middle, end), bytes.subarray(at, middle));
    }
    case 6: return splice(at, end, pick(random, seeds).subarray(0, 200)); // a part of another
    case 7: return splice(at, at, pick(random, seeds).subarray(0, 200));
    default: { // a number to a boundary
      const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 48 && byte <= 57;
      let from = at;
      while (from < bytes.length && !isDigit(bytes[from])) from++;
      let to = from;
      while (isDigit(bytes[to])) to++;
      return splice(from, to, Buffer.from(pick(random, BOUNDARIES)));
    }
  }
}

/**
 * What is wrong with how the driver takes this input, if anything is. The reference's `incomplete` means only that it
 * has not met the breach yet: the driver may see earlier that a line is none, but then no continuation must mend it.
 */
function complaint(bytes: Buffer, cuts: readonly number[], charset: Charset, limits: Limits, held?: unknown[]): string | undefined {
  let decoded: Decoded;
  try {
    decoded = decode(bytes, cuts, charset, limits, held);
  } catch (error) {
    return `the driver threw ${inspect(error)}`;
  }
  const expected = reference.decodeReply(bytes, charset, forReference(limits));
  if (isLenient(bytes)) return undefined;
  if (!areSame(decoded, expected.replies)) {
    return `replies differ: expected ${inspect(expected, { depth: 9 })}, got ${inspect(decoded, { depth: 9 })}`;
  }
  if (expected.error === undefined || expected.error === reference.incomplete) {
    if (decoded.error === undefined) return undefined;
    if (expected.error === reference.incomplete && isBeyondMending(bytes, charset, limits)) return undefined;
    return `the driver refused what the reference takes: ${decoded.error}`;
  }
  if (decoded.error !== undefined) return undefined;
  // The driver judges a line when it is whole, and the reference already its first byte: later is not too late, as
  // long as nothing comes of it.
  const later = CONTINUATIONS.map((more) => {
    const continued = Buffer.concat([bytes, Buffer.from(more)]);
    return decode(continued, [...cuts, continued.length], charset, limits);
  });
  const isLate = later.every(({ replies }) => replies.length === decoded.replies.length) &&
    later.some(({ error }) => error !== undefined);
  return isLate ? undefined : `the driver took what the reference refuses: ${expected.error}`;
}

/** Where the driver takes more than the protocol has, on purpose: servers before 7.2 print "-nan". */
const isLenient = (bytes: Buffer): boolean => bytes.includes(",-nan");

const CONTINUATIONS = ["\r\n", "\n", "0\r\n", "1\r\n", "\r\n\r\n", "0\r\n\r\n", ".\r\n", ":1\r\n", ";0\r\n"];

const isBeyondMending = (bytes: Buffer, charset: Charset, limits: Limits): boolean => CONTINUATIONS.every((more) => {
  const { error } = reference.decodeReply(Buffer.concat([bytes, Buffer.from(more)]), charset, forReference(limits));
  return error !== undefined && error !== reference.incomplete;
});

/** What the driver may hold for what it was given: the first buffer of a cut string, and values for bytes. */
const mayHold = (bytes: Buffer): number => 2 ** 20 + 2 ** 16 + 64 * bytes.length;

const BATCH = 64;

class Mutations {
  readonly #seeds: Buffer[];
  readonly #keep: boolean;
  readonly #seen = new Set<string>();
  #held: unknown[] = [];
  #inputs: { bytes: Buffer; seed: number; limits: Limits }[] = [];
  #before = 0;

  constructor(keepNew: boolean) {
    const frames = [...reference.validFrames, ...reference.hostileFrames, ...reference.incompleteFrames];
    this.#seeds = [...readCorpus().map(([, bytes]) => bytes), ...frames.map(([, frame]) => Buffer.from(frame as string))]
      .filter((bytes) => bytes.length > 0 && bytes.length <= LARGEST_SEED);
    this.#keep = keepNew;
    for (const bytes of this.#seeds) this.#isNew(bytes);
  }

  /** Every file as it is: what once mattered must not come back. */
  tryCorpus(): void {
    for (const bytes of this.#seeds) {
      for (const charset of CHARSETS) {
        for (const limits of [generous, tight]) {
          for (const cuts of [[bytes.length], Array.from(bytes, (_, i) => i + 1)]) this.#try(bytes, cuts, charset, limits, false);
        }
      }
    }
  }

  try(seed: number): void {
    const random = reference.random(seed);
    let bytes = pick(random, this.#seeds);
    for (let left = 1 + below(random, 5); left > 0; left--) bytes = mutate(random, bytes, this.#seeds);
    const limits = random() < 0.5 ? generous : tight;
    if (this.#inputs.length === 0) this.#before = usedMemory();
    this.#inputs.push({ bytes, seed, limits });
    this.#try(bytes, randomCuts(random, bytes), pick(random, CHARSETS), limits, true);
    if (this.#inputs.length === BATCH) this.#checkMemory();
    if (!this.#keep || !this.#isNew(bytes)) return;
    const mark = markOf(bytes);
    keep(shrinkBytes(bytes, (some) => markOf(some) === mark), "new");
  }

  #try(bytes: Buffer, cuts: number[], charset: Charset, limits: Limits, hold: boolean): void {
    if (complaint(bytes, cuts, charset, limits, hold ? this.#held : undefined) === undefined) return;
    const says = (some: Buffer, ends = clip(cuts, some.length)) => complaint(some, ends, charset, limits);
    const small = shrinkBytes(bytes, (some) => says(some) !== undefined);
    const few = shrinkList(clip(cuts, small.length), (some) => says(small, clip(some, small.length)) !== undefined);
    const ends = clip(few, small.length);
    throw new Failure(`charset ${charset}, limits ${inspect(limits)}, chunks that end at ${ends.join(", ")}
${says(small, ends)}`, small);
  }

  /** All decoders of a batch are alive: together they hold what each of them may, and garbage besides. */
  #checkMemory(): void {
    const grown = usedMemory() - this.#before;
    const inputs = this.#inputs;
    this.#held = [];
    this.#inputs = [];
    if (grown < inputs.reduce((sum, { bytes }) => sum + mayHold(bytes), 64 * 2 ** 20)) return;
    for (const { bytes, limits } of inputs) {
      const before = usedMemory();
      decode(bytes, [bytes.length], null, limits);
      const held = usedMemory() - before;
      if (held > mayHold(bytes) + 8 * 2 ** 20) throw new Failure(`${held} bytes of memory for ${bytes.length}`, bytes);
    }
  }

  /** Whether nothing before ended like this. */
  #isNew(bytes: Buffer): boolean {
    return this.#seen.size < this.#seen.add(markOf(bytes)).size;
  }
}

/** How an input ended: with what kind of reply, and for what reason; numbers do not count. */
function markOf(bytes: Buffer): string {
  const { replies, error = "" } = decode(bytes, [bytes.length], null, tight);
  const says = error.split(" ").filter((word) => Number.isNaN(Number(word))).join(" ");
  return `${replies.length > 0 ? kindOf(replies.at(-1)) : ""}: ${says}`;
}

function kindOf(value: unknown, depth = 0): string {
  if (Array.isArray(value)) return depth === 2 ? "array" : `[${value.slice(0, 1).map((item) => kindOf(item, depth + 1))}]`;
  return value === null ? "null" : Buffer.isBuffer(value) ? "bytes" : value instanceof Error ? "error" : typeof value;
}

function usedMemory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

// ==== Arguments ====

/** What a caller passes, and the bytes that the server must see. */
type Passed = { args: unknown[]; words: Buffer[]; single: [value: unknown, word: Buffer] };

type Resizable = new (length: number, options: { maxByteLength: number }) => ArrayBuffer & { resize(length: number): void };
type Growable = new (length: number, options: { maxByteLength: number }) => SharedArrayBuffer;

function randomPassed(random: Random): Passed {
  const passed: Passed = { args: [], words: [], single: ["", Buffer.alloc(0)] };
  const add = (arg: unknown, words: Buffer[]): void => {
    passed.args.push(arg);
    passed.words.push(...words);
    const isOne = typeof arg !== "object" || ArrayBuffer.isView(arg) || arg instanceof ArrayBuffer;
    if (words.length === 1 && isOne) passed.single = [arg, words[0]!];
  };
  for (const arg of reference.randomArguments(random)) {
    add(arg, reference.expectedArguments([arg]));
    if (random() < 0.25) add(...randomHard(random));
  }
  return passed;
}

/** What the reference's arguments do not have: memory that is shared or changes its size, and what code stands behind. */
function randomHard(random: Random): [value: unknown, words: Buffer[]] {
  const length = below(random, random() < 0.9 ? 20 : 9_000);
  const bytes = Buffer.alloc(length, Buffer.from([1, 2, 3, 4, 5].map(() => below(random, 256))));
  const into = <B extends ArrayBufferLike>(buffer: B, offset = 0): B => {
    new Uint8Array(buffer).set(bytes, offset);
    return buffer;
  };
  switch (below(random, 9)) {
    case 0: return [into(new SharedArrayBuffer(length)), [bytes]];
    case 1: return [new Uint8Array(into(new SharedArrayBuffer(length + 3), 3), 3), [bytes]];
    case 2: return [into(new (ArrayBuffer as unknown as Resizable)(length, { maxByteLength: length + 10 })), [bytes]];
    case 3: { // a view that follows its buffer
      const buffer = new (ArrayBuffer as unknown as Resizable)(length + 9, { maxByteLength: length + 9 });
      const view = new Uint8Array(buffer, 2);
      into(buffer, 2);
      buffer.resize(length + 2);
      return [view, [bytes]];
    }
    case 4: { // a view that has lost its buffer has no bytes
      const buffer = new (ArrayBuffer as unknown as Resizable)(32, { maxByteLength: 32 });
      const view = new DataView(buffer, 8, 16);
      buffer.resize(4);
      void view;
      return [new Uint8Array(buffer, 4), [Buffer.alloc(0)]];
    }
    case 5: return [into(new (SharedArrayBuffer as unknown as Growable)(length, { maxByteLength: length + 10 })), [bytes]];
    case 6: { // what a getter says, it is asked for once: it could say something else the next time
      let asked = 0;
      const value = { get name() { return asked++ % 2 === 0 ? "first" : "second"; } };
      return [new Proxy(value, { ownKeys: () => (asked = 0, ["name"]) }), [Buffer.from("name"), Buffer.from("first")]];
    }
    case 7: return [new Proxy({ EX: 10, note: "é\r\n" }, {}), ["EX", "10", "note", "é\r\n"].map((word) => Buffer.from(word))];
    default: return [new Proxy(["a", ["\ud800"]], {}), [Buffer.from("a"), Buffer.from("\ufffd")]];
  }
}

const REFUSED: readonly unknown[] = [null, NaN, true, false, Symbol("s"), () => 1, new Date(0), new Map([["a", ["b"]]]),
  new Set([null]), /a/, { a: { b: 1 } }, { a: true }, { EX: null }, [undefined], [null], Promise.resolve(1), new String("a"),
  new Number(1), new (class Cat { toString() { return "cat"; } })(), { toJSON: () => "x" }, new WeakMap(), Object(1n)];

const CALL = encodeName("CALL");

const isWordsOf = (words: readonly unknown[], expected: readonly Buffer[]): boolean =>
  words.length === expected.length && expected.every((word, i) => word.equals(words[i] as Buffer));

function tryWire(seed: number): Passed {
  const passed = randomPassed(reference.random(seed));
  const commands = reference.parseCommands(encoded(CALL, passed.args));
  if (commands.length !== 1 || !isWordsOf(commands[0]!, [Buffer.from("CALL"), ...passed.words])) {
    throw new Failure(`arguments came out as something else: ${inspect(smallest(seed), { depth: 9 })}`);
  }
  const random = reference.random(seed);
  const bad = pick(random, REFUSED);
  const place = below(random, passed.args.length + 1);
  // In a place of its own, and deep in an array.
  const args = passed.args.toSpliced(place, 0, random() < 0.5 ? bad : ["a", [bad]]);
  assert.throws(() => encoded(CALL, args), TypeError, `${inspect(bad)} was not refused`);
  return passed;
}

/** The one argument that fails, if it fails alone. */
function smallest(seed: number): unknown {
  const { args } = randomPassed(reference.random(seed));
  const isWrong = (arg: unknown): boolean => {
    try {
      const [words] = reference.parseCommands(encoded(CALL, [arg]));
      return !isWordsOf(words!.slice(1), reference.expectedArguments([arg]));
    } catch {
      return !(arg instanceof SharedArrayBuffer); // which the reference does not know
    }
  };
  return args.find(isWrong) ?? args;
}

/** As the server saw them: a script gives all of its arguments back, ECHO one, GET what SET has put. */
async function tryServer(seed: number, count: number, port: number, done: () => void): Promise<void> {
  const db = lazyConnection({ port, charset: null, replyTimeout: 60_000, name: "fuzz" });
  const text = lazyConnection({ port, replyTimeout: 60_000 });
  try {
    for (let i = 0; i < count; i += 100) {
      await Promise.all(Array.from({ length: Math.min(100, count - i) }, async (_, j) => {
        const at = seed + i + j;
        const { args, words, single: [single, alone] } = tryWire(at);
        const key = `k${j}`;
        const [first = Buffer.alloc(0)] = words;
        const [all, echoed, , got] = await Promise.all([
          db.call("EVAL", "return ARGV", 0, ...internals.flatten(CALL, args)), // which takes no objects
          db.call("ECHO", single as string), db.set(key, first), db.get(key),
        ]);
        const asText = await text.get(key); // on another connection, so not before the first has it
        const isRight = isWordsOf(all as unknown[], words) && isWordsOf([echoed], [alone]) &&
          isWordsOf([got], [first]) && asText === first.toString();
        if (!isRight) throw new Failure(`seed ${at}: the server was told something else: ${inspect(args, { depth: 9 })}`);
        done();
      }));
    }
  } finally {
    db.destroy();
    text.destroy();
  }
}

// ==== Failures, made small ====

class Failure extends Error {
  readonly bytes: Buffer | undefined;
  constructor(message: string, bytes?: Buffer) {
    super(message);
    this.bytes = bytes;
  }
}

/** As few bytes as can be had by leaving out ranges, from halves down to single bytes, then as plain as they can be. */
function shrinkBytes(bytes: Buffer, fails: (some: Buffer) => boolean): Buffer {
  let small: Buffer = bytes;
  for (let step = Math.ceil(bytes.length / 2); step >= 1; step = step === 1 ? 0 : Math.ceil(step / 2)) {
    for (let at = 0; at < small.length;) {
      const less = Buffer.concat([small.subarray(0, at), small.subarray(at + step)]);
      if (less.length < small.length && fails(less)) small = less;
      else at += step;
    }
  }
  for (let at = 0; at < small.length; at++) {
    const plain = Buffer.from(small);
    plain[at] = 0x61;
    if (small[at] !== 0x61 && fails(plain)) small = plain;
  }
  return small;
}

function shrinkList<T>(list: readonly T[], fails: (some: T[]) => boolean): T[] {
  let small = [...list];
  for (let at = 0; at < small.length;) {
    const less = small.toSpliced(at, 1);
    if (fails(less)) small = less;
    else at++;
  }
  return small;
}

// ==== The threads ====
//
// Each fuzzer has a thread of its own. The main thread sees whether they go on: one that hangs cannot say so itself.

type Kind = "chunkings" | "mutations" | "arguments";
type Task = { kind: Kind; count: number; seed: number; step: 1 | -1; minutes: number; keep: boolean; port: number; state: SharedArrayBuffer };

// Two threads share the chunkings: one goes up from the seed, the other down from the one before it.
const DEFAULTS: Record<Kind, number> = { chunkings: 2_000_000, mutations: 200_000, arguments: 100_000 };
const HUNG = 20_000;

async function work({ kind, count, seed, step, minutes, keep: keepNew, port, state }: Task): Promise<void> {
  // How many are done, and the seed of the one that is under way.
  const shared = new Float64Array(state);
  const end = Date.now() + minutes * 60_000;
  const mutations = kind === "mutations" ? new Mutations(keepNew) : undefined;
  let at = seed;
  // Refusals are errors, and their traces would take a third of the time.
  if (kind !== "mutations") Error.stackTraceLimit = 0;
  try {
    mutations?.tryCorpus();
    if (kind === "arguments") {
      // Most of it is seen on the wire already; one in ten goes to the server, too.
      const wired = Math.floor(count * 0.9);
      for (; shared[0]! < wired && Date.now() < end; at++, shared[0]!++) tryWire(shared[1] = at);
      while (shared[0]! < count && Date.now() < end) {
        const some = Math.min(1_000, count - shared[0]!);
        await tryServer(at, some, port, () => shared[0]!++);
        at += some;
      }
      return;
    }
    for (; shared[0]! < count && Date.now() < end; at += step) {
      shared[1] = at;
      if (mutations === undefined) shared[0]! += tryChunkings(at, PER_REPLY);
      else {
        mutations.try(at);
        shared[0]!++;
      }
    }
  } catch (error) {
    const { message, stack, bytes } = error as Failure;
    const kept = bytes === undefined ? "" : `
input    ${JSON.stringify(bytes.toString("latin1"))} (one character a byte), kept as ${keep(bytes, "failed")}`;
    parentPort!.postMessage(`${kind} failed: ${error instanceof Failure ? message : stack}${kept}
replay   npm run fuzz -- --${kind} 1 --seed ${at}`);
  }
}

async function main(): Promise<void> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: {
    chunkings: text, mutations: text, arguments: text, seed: text, minutes: text, keep: { type: "boolean" },
  } });
  const kinds = Object.keys(DEFAULTS) as Kind[];
  const named = kinds.filter((kind) => values[kind] !== undefined);
  const seed = Number(values.seed ?? 1);
  const minutes = Number(values.minutes ?? Infinity);
  const chosen = named.length > 0 ? named : kinds;
  const needsServer = chosen.includes("arguments");
  const server = needsServer ? await RedisServer.start() : undefined;
  const rest = { minutes, keep: values.keep ?? false, port: server?.port ?? 0 };
  const tasks = chosen.flatMap((kind): Omit<Task, "state">[] => {
    const count = Number(values[kind] ?? (values.minutes === undefined ? DEFAULTS[kind] : Infinity));
    const up: Omit<Task, "state"> = { ...rest, kind, count, seed, step: 1 };
    if (kind !== "chunkings" || count <= PER_REPLY) return [up];
    return [{ ...up, count: count / 2 }, { ...up, count: count / 2, seed: seed - 1, step: -1 }];
  });
  const ends = await Promise.all(tasks.map((task) => run({ ...task, state: new SharedArrayBuffer(16) })));
  const failed = ends.includes(false);
  await server?.stop();
  process.exitCode = failed ? 1 : 0;
}

/** Says how it ended; false when it failed. */
function run(task: Task): Promise<boolean> {
  const { kind, seed, state } = task;
  const shared = new Float64Array(state);
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: task });
  const begun = performance.now();
  let failures = 0;
  let last = { done: -1, at: -1, since: begun };
  const say = (what: string): void => {
    failures++;
    console.error(`${what}\n`);
  };
  const watch = setInterval(() => {
    const now = performance.now();
    if (shared[0] !== last.done || shared[1] !== last.at) last = { done: shared[0]!, at: shared[1]!, since: now };
    if (now - last.since < HUNG) return;
    say(`${kind} hangs\nreplay   npm run fuzz -- --${kind} 1 --seed ${last.at}`);
    void worker.terminate();
  }, 1_000);
  worker.on("message", say);
  worker.on("error", (error) => say(`${kind} crashed: ${error.stack}\nreplay   --seed ${shared[1]}`));
  return new Promise((resolve) => {
    worker.on("exit", () => {
      clearInterval(watch);
      const seconds = (performance.now() - begun) / 1000;
      const how = `${shared[0]!.toLocaleString("en")} in ${seconds.toFixed(1)} s, seed ${seed}`;
      console.log(`${kind.padEnd(10)} ${how}: ${failures > 0 ? "FAILED" : "no difference"}`);
      resolve(failures === 0);
    });
  });
}

if (!isMainThread) await work(workerData as Task);
else if (process.argv[1] === fileURLToPath(import.meta.url)) await main();

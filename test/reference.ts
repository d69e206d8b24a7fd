// Slow, obviously-right references for differential tests of redis.ts: a reply decoder, a command parser, random
// replies and arguments, and streams written by hand, valid and hostile.
//
//   1. Decoding replies    decodeReply
//   2. Parsing commands    parseCommands
//   3. Random input        random, randomReply, randomArguments, expectedArguments
//   4. Frames by hand      validFrames, hostileFrames, incompleteFrames
//
// Nothing here may import the driver, or be made faster at the price of being less plain.

// ==== 1. Decoding replies ====
// Recursive descent over the whole bytes. It fails at the first byte that no continuation could make valid, and says
// `incomplete` only where more bytes could.

export class ErrorReply {
  readonly error: string;
  constructor(error: string) { this.error = error; }
}

export class Push {
  readonly push: Reply[];
  constructor(push: Reply[]) { this.push = push; }
}

export type Charset = "utf-8" | "latin1" | null;
export type Reply =
  string | number | bigint | boolean | null | Buffer | ErrorReply | Push | Reply[] | { [key: string]: Reply };

export interface Limits {
  /** Aggregates open at once, attributes and empty ones included. */
  depth: number;
  /** Bytes in a bulk, a verbatim (with its prefix), a blob error, or all parts of a streamed string. */
  bulk: number;
  /** The count of one aggregate as the wire has it: pairs, for a map. */
  elements: number;
  /** Bytes of one reply or push, from the attributes before it to its end. */
  reply: number;
  /** Bytes of a number between its type and its \r\n. */
  number: number;
}
export const defaultLimits: Limits = { depth: 128, bulk: 512 * 1024 * 1024, elements: 2 ** 20, reply: 2 ** 30, number: 65536 };

/** The `error` of bytes that are a good beginning: a driver must wait for more, and must not fail. */
export const incomplete = "incomplete";

/** Decodes one or more replies. An error stops it; the replies before it stay. */
export function decodeReply(
  bytes: Buffer, charset: Charset, limits: Partial<Limits> = {},
): { replies: Reply[]; error?: string } {
  const decoder = new Decoder(bytes, { ...defaultLimits, ...limits });
  const replies: Reply[] = [];
  try {
    while (!decoder.finished) replies.push(decoder.reply(charset));
    return { replies };
  } catch (failure) {
    if (!(failure instanceof Malformed)) throw failure;
    return { replies, error: failure.message };
  }
}

class Malformed extends Error {}
function fail(message: string): never { throw new Malformed(message); }

const CR = 13, LF = 10;

class Decoder {
  readonly #bytes: Buffer;
  readonly #limits: Limits;
  #at = 0;
  /** Where the reply must have ended. */
  #end = Infinity;

  constructor(bytes: Buffer, limits: Limits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  get finished(): boolean { return this.#at === this.#bytes.length; }

  /** A top-level reply: the only place for a push. */
  reply(charset: Charset): Reply {
    this.#end = this.#at + this.#limits.reply;
    this.#skipAttributes(0);
    if (this.#peek() !== ">") return this.#value(charset, 0);
    this.#byte();
    // Pushes are the driver's own business (channels, invalidations), so they are text whatever the caller asked for.
    return new Push(this.#values(this.#text(), "utf-8", 1, 1));
  }

  /** Any value but a push; `depth` aggregates are open around it. */
  #value(charset: Charset, depth: number): Reply {
    this.#skipAttributes(depth);
    const type = String.fromCharCode(this.#byte());
    switch (type) {
      case "+": return this.#text(this.#limits.bulk);
      case "-": return new ErrorReply(this.#text(this.#limits.bulk));
      case ":": return integer(this.#text());
      case "(": return bigNumber(this.#text());
      case ",": return double(this.#text());
      case "#": return boolean(this.#text());
      case "_": return this.#text() === "" ? null : fail("a null with something in it");
      case "!": return new ErrorReply(this.#bulk(this.#text()).toString("utf8"));
      case "=": return inCharset(this.#verbatim(), charset);
      case "$": {
        const length = this.#text();
        if (length === "-1") return null;
        return inCharset(length === "?" ? this.#streamedString() : this.#bulk(length), charset);
      }
      case "*": {
        const count = this.#text();
        if (count === "-1") return null;
        return count === "?" ? this.#streamed(charset, depth + 1, 1) : this.#values(count, charset, depth + 1, 1);
      }
      case "~": {
        const count = this.#text();
        return count === "?" ? this.#streamed(charset, depth + 1, 1) : this.#values(count, charset, depth + 1, 1);
      }
      case "%": {
        const count = this.#text();
        const flat = count === "?" ? this.#streamed(charset, depth + 1, 2) : this.#values(count, charset, depth + 1, 2);
        return map(flat, charset);
      }
      case ">": return fail("a push inside another reply");
      default: return fail(`no reply starts with ${JSON.stringify(type)}`);
    }
  }

  #skipAttributes(depth: number): void {
    while (this.#peek() === "|") {
      this.#byte();
      this.#values(this.#text(), "utf-8", depth + 1, 2);
    }
  }

  /** The values of a counted aggregate, flat: `each` of them make one element. */
  #values(count: string, charset: Charset, depth: number, each: 1 | 2): Reply[] {
    const elements = size(count, this.#limits.elements);
    if (depth > this.#limits.depth) fail("nested too deep");
    const values: Reply[] = [];
    while (values.length < elements * each) values.push(this.#value(charset, depth));
    return values;
  }

  /** The same up to `.\r\n`, which may stand only where an element would start. */
  #streamed(charset: Charset, depth: number, each: 1 | 2): Reply[] {
    if (depth > this.#limits.depth) fail("nested too deep");
    const values: Reply[] = [];
    while (this.#peek() !== ".") {
      if (values.length === this.#limits.elements * each) fail("too many elements");
      for (let count = 0; count < each; count++) values.push(this.#value(charset, depth));
    }
    this.#byte();
    if (this.#text() !== "") fail("an end of stream with something in it");
    return values;
  }

  #bulk(length: string): Buffer {
    const start = this.#at;
    const end = start + size(length, this.#limits.bulk);
    if (Math.min(end, this.#bytes.length) > this.#end) fail("a reply over the limit");
    if (end > this.#bytes.length) fail(incomplete);
    this.#at = end;
    if (this.#byte() !== CR || this.#byte() !== LF) fail("a bulk that does not end where it should");
    return Buffer.from(this.#bytes.subarray(start, end));
  }

  #verbatim(): Buffer {
    const length = this.#text();
    if (size(length, this.#limits.bulk) < 4) fail("a verbatim string too short for its format");
    const bytes = this.#bulk(length);
    if (bytes[3] !== 58) fail("a verbatim string without the colon after its format");
    return bytes.subarray(4);
  }

  /** `;4\r\nHell\r\n;1\r\no\r\n;0\r\n`. A character may be split over two parts, so they are joined as bytes. */
  #streamedString(): Buffer {
    const parts: Buffer[] = [];
    let total = 0;
    for (;;) {
      if (this.#byte() !== 59) fail("a streamed string goes on with something else than a part");
      const length = this.#text();
      total += size(length, this.#limits.bulk);
      if (total > this.#limits.bulk) fail("a streamed string over the limit");
      if (length === "0") return Buffer.concat(parts);
      parts.push(this.#bulk(length));
    }
  }

  /** The rest of a line, as text. */
  #text(limit = this.#limits.number): string {
    const start = this.#at;
    for (let byte = this.#byte(); byte !== CR; byte = this.#byte()) {
      if (byte === LF) fail("a bare line feed");
      if (this.#at - start > limit) fail("a line over the limit");
    }
    if (this.#byte() !== LF) fail("a bare carriage return");
    return this.#bytes.toString("utf8", start, this.#at - 2);
  }

  #byte(): number {
    if (this.#at === this.#bytes.length) fail(incomplete);
    if (this.#at === this.#end) fail("a reply over the limit");
    return this.#bytes[this.#at++]!;
  }

  #peek(): string { return String.fromCharCode(this.#bytes[this.#at] ?? fail(incomplete)); }
}

/** A length or a count, in its only spelling. */
function size(text: string, limit: number): number {
  if (!/^(0|[1-9][0-9]*)$/.test(text)) fail(`not a length: ${JSON.stringify(text)}`);
  return Number(text) <= limit ? Number(text) : fail(`over the limit of ${limit}: ${text}`);
}

function integer(text: string): number | bigint {
  const value = bigNumber(text);
  if (value !== BigInt.asIntN(64, value)) fail("an integer beyond 64 bits");
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function bigNumber(text: string): bigint {
  return /^[+-]?[0-9]+$/.test(text) ? BigInt(text) : fail(`not an integer: ${JSON.stringify(text)}`);
}

function double(text: string): number {
  if (text === "inf") return Infinity;
  if (text === "-inf") return -Infinity;
  if (text === "nan") return NaN;
  return /^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(text) ? Number(text) : fail(`not a double: ${text}`);
}

function boolean(text: string): boolean {
  return text === "t" ? true : text === "f" ? false : fail(`not a boolean: ${text}`);
}

function inCharset(bytes: Buffer, charset: Charset): string | Buffer {
  if (charset === null) return bytes;
  return charset === "latin1" ? bytes.toString("latin1") : bytes.toString("utf8");
}

function map(flat: Reply[], charset: Charset): Reply {
  const pairs: [Reply, Reply][] = [];
  for (let index = 0; index < flat.length; index += 2) pairs.push([flat[index] as Reply, flat[index + 1] as Reply]);
  // With a charset no scalar is an object, so an object is an aggregate or an error, and has no text to be a key by.
  if (charset === null || pairs.some(([key]) => typeof key === "object" && key !== null)) return pairs;
  return mapOf(...pairs);
}

/** The null-prototype object of these pairs; the last of equal keys wins. */
export function mapOf(...pairs: [key: Reply, value: Reply][]): { [key: string]: Reply } {
  const result: { [key: string]: Reply } = Object.create(null);
  for (const [key, value] of pairs) result[String(key)] = value;
  return result;
}

// ==== 2. Parsing commands ====
// What a client sends, and only that: arrays of bulks, at least the command's name in each.

/** Every command in `bytes`, each as its list of arguments. Throws unless all of `bytes` is commands. */
export function parseCommands(bytes: Buffer): Buffer[][] {
  const commands: Buffer[][] = [];
  let at = 0;

  function header(type: string): number {
    const end = bytes.indexOf("\r\n", at);
    const line = end < 0 ? "" : bytes.toString("latin1", at, end);
    if (line[0] !== type || !/^.(0|[1-9][0-9]*)$/.test(line)) throw new Error(`byte ${at}: expected ${type}<length>`);
    at = end + 2;
    return Number(line.slice(1));
  }

  while (at < bytes.length) {
    const count = header("*");
    if (count === 0) throw new Error(`byte ${at}: a command without a name`);
    const command: Buffer[] = [];
    while (command.length < count) {
      const length = header("$");
      const end = at + length;
      const isWhole = bytes.toString("latin1", end, end + 2) === "\r\n";
      if (!isWhole) throw new Error(`byte ${at}: no CRLF after ${length} bytes`);
      command.push(Buffer.from(bytes.subarray(at, end)));
      at = end + 2;
    }
    commands.push(command);
  }
  return commands;
}

// ==== 3. Random input ====
// Everything is drawn from a seeded generator, so a failing seed is a test case. Edge cases are drawn far more often
// than chance would: they are what differs between two implementations.

/** In [0, 1), like Math.random. */
export type Random = () => number;

/** mulberry32 */
export function random(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function below(random: Random, bound: number): number { return Math.floor(random() * bound); }
function pick<Item>(random: Random, items: readonly Item[]): Item { return items[below(random, items.length)] as Item; }
function chance(random: Random, probability: number): boolean { return random() < probability; }

const linePieces = [
  "a", "hello", "OK", " ", "\0", "\t", "é", "e\u0301", "日本語", "😀", "👩‍👩‍👧", "\ufeff", "\u2028", "$3", "__proto__", "0",
].map((text) => Buffer.from(text));
const breakPieces = ["\r\n", "\r", "\n", "$3\r\nfoo\r\n", ".\r\n", ";0\r\n"].map((text) => Buffer.from(text));
// A lone continuation, truncated 2 to 4 byte sequences, an overlong NUL, a surrogate, and beyond U+10FFFF.
const invalidPieces = [[0xff], [0x80], [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98], [0xc0, 0x80], [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80]].map((bytes) => Buffer.from(bytes));

function randomSize(random: Random): number {
  const kind = random();
  if (kind < 0.8) return below(random, 20);
  if (kind < 0.98) return below(random, 200);
  return below(random, kind < 0.999 ? 8_000 : 100_000);
}

/** About `size` bytes of valid utf-8, or now and then not valid. */
function randomBytes(random: Random, size: number, pieces: readonly Buffer[]): Buffer {
  const alphabet = chance(random, 0.5) ? linePieces.slice(0, 3)
    : chance(random, 0.2) ? [...pieces, ...invalidPieces]
    : pieces;
  const parts: Buffer[] = [];
  for (let length = 0; length < size;) {
    const piece = pick(random, alphabet);
    parts.push(piece);
    length += piece.length;
  }
  return Buffer.concat(parts);
}

function randomBulk(random: Random): Buffer {
  return randomBytes(random, randomSize(random), [...linePieces, ...breakPieces]);
}

function randomLine(random: Random): Buffer {
  return randomBytes(random, Math.min(randomSize(random), 60_000), linePieces);
}

const edgeIntegers = [0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 2n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n,
  10n ** 15n, 10n ** 16n, 10n ** 17n, 10n ** 18n, 2n ** 63n - 2n, 2n ** 63n - 1n];

function randomInteger(random: Random): string {
  const kind = random();
  if (kind < 0.02) return "-0";
  if (kind < 0.05) return String(-(2n ** 63n));
  const value = kind < 0.4 ? pick(random, edgeIntegers)
    : kind < 0.8 ? BigInt(below(random, 2000))
    : BigInt(below(random, 2 ** 31)) * 2n ** 32n + BigInt(below(random, 2 ** 32));
  return pick(random, ["", "", "", "-", "+"]) + value;
}

function randomDigits(random: Random, atMost: number): string {
  let digits = String(1 + below(random, 9));
  for (let left = below(random, atMost); left > 0; left--) digits += below(random, 10);
  return digits;
}

const edgeDoubles = ["inf", "-inf", "nan", "-0", "0", "5e-324", "1e400", "-1E-400", "1.7976931348623157e+308"];

function randomDouble(random: Random): string {
  const kind = random();
  if (kind < 0.2) return pick(random, edgeDoubles);
  if (kind < 0.5) return String((random() - 0.5) * 10 ** below(random, 40));
  const fraction = chance(random, 0.5) ? "." + randomDigits(random, 20) : "";
  const exponent = chance(random, 0.3) ? pick(random, ["e", "E", "e+", "E+", "e-", "E-"]) + below(random, 400) : "";
  return pick(random, ["", "-", "+"]) + randomDigits(random, 20) + fraction + exponent;
}

/** The bytes of one valid top-level reply, with any attributes before it. Protocol 3 may give a push. */
export function randomReply(random: Random, protocol: 2 | 3): Buffer {
  const wire: Buffer[] = [];
  if (protocol === 3 && chance(random, 0.06)) writePush(random, wire);
  else writeValue(random, protocol, 0, wire);
  return Buffer.concat(wire);
}

const types2 = ["+", "-", ":", ":", "$", "$", "$", "null", "*", "*"] as const;
const types3 = [...types2, "_", "#", ",", "(", "!", "=", "$?", "~", "%", "%", "*?", "~?", "%?"] as const;
const aggregates: readonly string[] = ["*", "~", "%", "*?", "~?", "%?"];
const maxDepth = 5;

function line(wire: Buffer[], type: string, text: string | number | Buffer): void {
  wire.push(Buffer.from(type), Buffer.isBuffer(text) ? text : Buffer.from(String(text)), Buffer.from("\r\n"));
}

function writeBulk(wire: Buffer[], type: string, bytes: Buffer): void {
  line(wire, type, bytes.length);
  line(wire, "", bytes);
}

/** `depth` aggregates are open around it. */
function writeValue(random: Random, protocol: 2 | 3, depth: number, wire: Buffer[]): void {
  while (protocol === 3 && chance(random, 0.03)) writeAttribute(random, depth, wire);
  let type = pick<(typeof types3)[number]>(random, protocol === 2 ? types2 : types3);
  // Top-level scalars exercise little: draw again once for an aggregate. At the bottom, stop.
  if (depth === 0 && chance(random, 0.3)) type = protocol === 2 ? "*" : pick(random, ["*", "%", "~", "*?", "%?"]);
  if (depth >= maxDepth && aggregates.includes(type)) type = "$";
  switch (type) {
    case "+": return line(wire, "+", randomLine(random));
    case "-": return line(wire, "-", Buffer.concat([Buffer.from("ERR "), randomLine(random)]));
    case ":": return line(wire, ":", randomInteger(random));
    case "(": return line(wire, "(", chance(random, 0.5) ? randomInteger(random) : "-" + randomDigits(random, 100));
    case ",": return line(wire, ",", randomDouble(random));
    case "#": return line(wire, "#", pick(random, ["t", "f"]));
    case "_": return line(wire, "_", "");
    case "null": return line(wire, pick(random, ["$", "*"]), "-1");
    case "$": return writeBulk(wire, "$", randomBulk(random));
    case "!": return writeBulk(wire, "!", Buffer.concat([Buffer.from("ERR "), randomBulk(random)]));
    case "=": return writeBulk(wire, "=", Buffer.concat([Buffer.from("txt:"), randomBulk(random)]));
    case "$?": return writeStreamedString(random, wire);
    default: return writeAggregate(random, protocol, depth, type, wire);
  }
}

function writeStreamedString(random: Random, wire: Buffer[]): void {
  line(wire, "$", "?");
  const bytes = randomBulk(random);
  for (let at = 0; at < bytes.length;) {
    const part = bytes.subarray(at, at + 1 + below(random, bytes.length < 50 ? 5 : bytes.length));
    writeBulk(wire, ";", part);
    at += part.length;
  }
  line(wire, ";", "0");
}

function randomCount(random: Random, depth: number): number {
  const kind = random();
  if (kind < 0.15) return 0;
  if (kind < 0.9 || depth > 1) return 1 + below(random, 4);
  return below(random, kind < 0.995 ? 30 : 300);
}

function writeAggregate(random: Random, protocol: 2 | 3, depth: number, type: string, wire: Buffer[]): void {
  const count = randomCount(random, depth), kind = type.slice(0, 1), streamed = type.endsWith("?");
  line(wire, kind, streamed ? "?" : count);
  let lastKey: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    if (kind === "%") {
      if (lastKey.length === 0 || chance(random, 0.9)) lastKey = randomKey(random, depth + 1);
      wire.push(...lastKey);
    }
    writeValue(random, protocol, depth + 1, wire);
  }
  if (streamed) line(wire, ".", "");
}

const names = ["a", "b", "name", "1", "é", "", "__proto__", "toString", "null"];

/** Mostly a name, as in real maps; sometimes any value at all. */
function randomKey(random: Random, depth: number): Buffer[] {
  const wire: Buffer[] = [];
  const kind = random();
  if (kind < 0.6) writeBulk(wire, "$", Buffer.from(pick(random, names)));
  else if (kind < 0.8) line(wire, "+", randomLine(random));
  else if (kind < 0.9) writeValue(random, 3, maxDepth, wire);
  else writeValue(random, 3, depth, wire);
  return wire;
}

function writeAttribute(random: Random, depth: number, wire: Buffer[]): void {
  const count = below(random, 3);
  line(wire, "|", count);
  for (let index = 0; index < count; index++) {
    wire.push(...randomKey(random, Math.max(depth + 1, maxDepth - 1)));
    writeValue(random, 3, Math.max(depth + 1, maxDepth - 1), wire);
  }
}

function writePush(random: Random, wire: Buffer[]): void {
  const count = below(random, 4);
  line(wire, ">", 1 + count);
  writeBulk(wire, "$", Buffer.from(pick(random, ["message", "pmessage", "invalidate", "server-cpu-usage", "é"])));
  for (let index = 0; index < count; index++) writeValue(random, 3, 1, wire);
}

export type Scalar = string | number | bigint | ArrayBufferView | ArrayBuffer;
export type Argument = Scalar | Argument[] | { [name: string]: Scalar | Argument[] | boolean | undefined };

/** What a caller may pass after a command's name. */
export function randomArguments(random: Random): Argument[] {
  const args: Argument[] = [];
  for (let left = chance(random, 0.05) ? below(random, 100) : below(random, 6); left > 0; left--) {
    args.push(randomArgument(random, 0));
  }
  return args;
}

function randomArgument(random: Random, depth: number): Argument {
  const kind = random();
  if (kind < 0.75 || depth > 3) return randomScalar(random);
  return kind < 0.88 ? randomArray(random, depth) : randomObject(random, depth);
}

function randomArray(random: Random, depth: number): Argument[] {
  return Array.from({ length: below(random, 4) }, () => randomArgument(random, depth + 1));
}

function randomObject(random: Random, depth: number): Argument {
  const object = chance(random, 0.5) ? {} : Object.create(null);
  for (let left = below(random, 5); left > 0; left--) {
    const name = pick(random, ["EX", "NX", "GT", "field", "é😀", "", "10", "2", "a\r\nb", "toString", "\ud800", "x\0y"]);
    const kind = random();
    object[name] = kind < 0.6 ? randomScalar(random)
      // An array of scalars: whether maps may stand deeper inside an object's value is not settled.
      : kind < 0.75 ? Array.from({ length: below(random, 4) }, () => randomScalar(random))
      : pick(random, /^[A-Z]+$/.test(name) ? [true, false, undefined] : [undefined]); // options are in capitals
  }
  return object;
}

// With lone halves of a surrogate pair, which may also come to stand side by side.
const textPieces = ["a", "GET", "hello world", " ", "\r\n", "\0", "\u007f", "\u0080", "é", "e\u0301", "日本", "😀",
  "\ud83d", "\ude00", "\ufeff"];

function randomText(random: Random): string {
  const kind = random();
  if (kind < 0.08) return "";
  const atMost = kind < 0.9 ? 4 : kind < 0.985 ? 60 : 3_000;
  const alphabet = chance(random, 0.4) ? textPieces.slice(0, 3) : textPieces;
  let text = "";
  for (let left = 1 + below(random, atMost); left > 0; left--) text += pick(random, alphabet);
  return text;
}

function randomScalar(random: Random): Scalar {
  const kind = random();
  if (kind < 0.5) return randomText(random);
  if (kind < 0.6) return pick(random, [0, -0, 1, -1, 1.5, 1e21, 1e-7, -1e300, 2 ** 53, 0.1 + 0.2, Infinity, -Infinity]);
  if (kind < 0.65) return chance(random, 0.5) ? below(random, 1e6) : random();
  if (kind < 0.75) return pick(random, [0n, -1n, 2n ** 53n + 1n, 2n ** 63n, -(2n ** 63n), 10n ** 40n]);
  // Views start inside their buffer, so that one which forgets its offset or its byte length shows.
  const bytes = new Uint8Array(16 + (chance(random, 0.05) ? below(random, 10_000) & ~7 : 8 * below(random, 5)));
  for (let index = 0; index < bytes.length; index++) bytes[index] = below(random, 256);
  const { buffer } = bytes;
  switch (below(random, 7)) {
    case 0: return Buffer.from(bytes);
    case 1: return Buffer.alloc(0);
    case 2: return bytes.subarray(1 + below(random, 8), bytes.length - below(random, 4));
    case 3: return new Uint16Array(buffer, 2, below(random, 6));
    case 4: return new Float64Array(buffer, 8, 1);
    case 5: return new DataView(buffer, 3, below(random, 12));
    default: return buffer;
  }
}

/** The bytes `args` must become, in order. Throws a TypeError for what the driver must refuse. */
export function expectedArguments(args: readonly unknown[]): Buffer[] {
  return args.flatMap((value) => {
    if (Array.isArray(value)) return expectedArguments(value);
    return isPlainObject(value) ? expectedOptions(value) : [scalarBytes(value)];
  });
}

function expectedOptions(options: { [name: string]: unknown }): Buffer[] {
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined || value === false) return [];
    if (value === true) return [Buffer.from(name, "utf8")];
    if (isPlainObject(value)) throw new TypeError("a map inside a map");
    return [Buffer.from(name, "utf8"), ...expectedArguments([value])];
  });
}

function scalarBytes(value: unknown): Buffer {
  if (typeof value === "string") return Buffer.from(value, "utf8");
  if (value === Infinity || value === -Infinity) return Buffer.from(value > 0 ? "inf" : "-inf");
  if (typeof value === "number" && !Number.isNaN(value)) return Buffer.from(String(value));
  if (typeof value === "bigint") return Buffer.from(String(value));
  if (value instanceof ArrayBuffer) return Buffer.from(value.slice(0));
  if (ArrayBuffer.isView(value)) return Buffer.from(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  throw new TypeError(`not an argument: ${typeof value}`);
}

function isPlainObject(value: unknown): value is { [name: string]: unknown } {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null; // of whatever realm
}

// ==== 4. Frames by hand ====
// Bytes given as a string stand for their utf-8. Values are written out, never computed by the decoder above.

export type Frame = [name: string, bytes: string | Buffer];
/** One reply each. Without a fourth, the value is the same with charset null. */
export type ValidFrame = [name: string, bytes: string | Buffer, utf8Value: Reply, bufferValue?: Reply];

const buffer = (text: string): Buffer => Buffer.from(text);
const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");
const error = (text: string): ErrorReply => new ErrorReply(text);
const push = (...values: Reply[]): Push => new Push(values);

function nested(depth: number, innermost: Reply): Reply {
  return depth === 0 ? innermost : [nested(depth - 1, innermost)];
}

export const validFrames: ValidFrame[] = [
  // Simple strings and errors
  ["simple string", "+OK\r\n", "OK"],
  ["simple string, empty", "+\r\n", ""],
  ["simple string with spaces", "+hello world \r\n", "hello world "],
  ["simple string, utf-8", "+é日本😀\r\n", "é日本😀"],
  ["simple string, invalid utf-8", latin1("+a\xffb\r\n"), "a\ufffdb"],
  ["simple string with a NUL", "+a\0b\r\n", "a\0b"],
  ["simple string that looks like a type", "+:1\r\n", ":1"],
  ["simple string with a tab", "+a\tb\r\n", "a\tb"],
  ["simple string of 200,000 bytes", `+${"x".repeat(200_000)}\r\n`, "x".repeat(200_000)],
  ["error", "-ERR unknown command 'foo'\r\n", error("ERR unknown command 'foo'")],
  ["error without a code", "-oops\r\n", error("oops")],
  ["error, empty", "-\r\n", error("")],
  ["error, utf-8", "-ERR é😀\r\n", error("ERR é😀")],
  ["error, MOVED", "-MOVED 3999 127.0.0.1:6381\r\n", error("MOVED 3999 127.0.0.1:6381")],
  ["blob error", "!21\r\nSYNTAX invalid syntax\r\n", error("SYNTAX invalid syntax")],
  ["blob error, empty", "!0\r\n\r\n", error("")],
  ["blob error with CRLF", "!8\r\nERR a\r\nb\r\n", error("ERR a\r\nb")],
  ["blob error, utf-8", "!6\r\nERR é\r\n", error("ERR é")],
  // Integers
  ["integer zero", ":0\r\n", 0],
  ["integer one", ":1\r\n", 1],
  ["integer, negative", ":-1\r\n", -1],
  ["integer, plus sign", ":+5\r\n", 5],
  ["integer, minus zero", ":-0\r\n", 0],
  ["integer, plus zero", ":+0\r\n", 0],
  ["integer 1000", ":1000\r\n", 1000],
  ["integer -2 (TTL)", ":-2\r\n", -2],
  ["integer 2^31 - 1", ":2147483647\r\n", 2147483647],
  ["integer 2^31", ":2147483648\r\n", 2147483648],
  ["integer -2^31 - 1", ":-2147483649\r\n", -2147483649],
  ["integer 2^32", ":4294967296\r\n", 4294967296],
  ["integer of 15 digits", ":999999999999999\r\n", 999999999999999],
  ["integer 2^53 - 1", ":9007199254740991\r\n", 9007199254740991],
  ["integer 2^53", ":9007199254740992\r\n", 9007199254740992n],
  ["integer 2^53 + 1", ":9007199254740993\r\n", 9007199254740993n],
  ["integer -(2^53 - 1)", ":-9007199254740991\r\n", -9007199254740991],
  ["integer -2^53", ":-9007199254740992\r\n", -9007199254740992n],
  ["integer 10^18, a safe number only by rounding", ":1000000000000000000\r\n", 1000000000000000000n],
  ["integer 2^63 - 1", ":9223372036854775807\r\n", 9223372036854775807n],
  ["integer -2^63", ":-9223372036854775808\r\n", -9223372036854775808n],
  ["integer +(2^63 - 1)", ":+9223372036854775807\r\n", 9223372036854775807n],
  // Big numbers
  ["big number", "(3492890328409238509324850943850943825024385\r\n", 3492890328409238509324850943850943825024385n],
  ["big number, negative", "(-3492890328409238509324850943850943825024385\r\n",
    -3492890328409238509324850943850943825024385n],
  ["big number, plus sign", "(+18446744073709551616\r\n", 18446744073709551616n],
  ["big number that is small", "(1\r\n", 1n],
  ["big number zero", "(0\r\n", 0n],
  ["big number minus zero", "(-0\r\n", 0n],
  // Doubles
  ["double", ",1.23\r\n", 1.23],
  ["double without a fraction", ",10\r\n", 10],
  ["double, negative", ",-2.5\r\n", -2.5],
  ["double, plus sign", ",+2.5\r\n", 2.5],
  ["double zero", ",0\r\n", 0],
  ["double minus zero", ",-0\r\n", -0],
  ["double, exponent", ",1e3\r\n", 1000],
  ["double, upper-case exponent", ",1E3\r\n", 1000],
  ["double, signed exponents", ",1.5e+20\r\n", 150000000000000000000],
  ["double, negative exponent", ",-1.5e-7\r\n", -0.00000015],
  ["double of 17 digits", ",0.30000000000000004\r\n", 0.1 + 0.2],
  ["double, the smallest", ",5e-324\r\n", Number.MIN_VALUE],
  ["double, the largest", ",1.7976931348623157e308\r\n", Number.MAX_VALUE],
  ["double that overflows", ",1e400\r\n", Infinity],
  ["double, inf", ",inf\r\n", Infinity],
  ["double, -inf", ",-inf\r\n", -Infinity],
  ["double, nan", ",nan\r\n", NaN],
  // Booleans and nulls
  ["true", "#t\r\n", true],
  ["false", "#f\r\n", false],
  ["null", "_\r\n", null],
  ["null bulk", "$-1\r\n", null],
  ["null array", "*-1\r\n", null],
  // Bulks
  ["bulk", "$5\r\nhello\r\n", "hello", buffer("hello")],
  ["bulk, empty", "$0\r\n\r\n", "", buffer("")],
  ["bulk of ten, a length of two digits", "$10\r\n0123456789\r\n", "0123456789", buffer("0123456789")],
  ["bulk, CRLF inside", "$4\r\na\r\nb\r\n", "a\r\nb", buffer("a\r\nb")],
  ["bulk, only CRLF", "$2\r\n\r\n\r\n", "\r\n", buffer("\r\n")],
  ["bulk, only CR", "$1\r\n\r\r\n", "\r", buffer("\r")],
  ["bulk, NUL", "$3\r\na\0b\r\n", "a\0b", buffer("a\0b")],
  ["bulk that holds a reply", "$9\r\n$3\r\nfoo\r\n\r\n", "$3\r\nfoo\r\n", buffer("$3\r\nfoo\r\n")],
  ["bulk of digits stays text", "$2\r\n42\r\n", "42", buffer("42")],
  ["bulk, 2-byte utf-8", "$2\r\né\r\n", "é", latin1("\xc3\xa9")],
  ["bulk, 3-byte utf-8", "$6\r\n日本\r\n", "日本", latin1("\xe6\x97\xa5\xe6\x9c\xac")],
  ["bulk, emoji", "$4\r\n😀\r\n", "😀", latin1("\xf0\x9f\x98\x80")],
  ["bulk, combining mark", "$3\r\ne\u0301\r\n", "e\u0301", latin1("e\xcc\x81")],
  ["bulk, byte order mark kept", "$4\r\n\ufeffa\r\n", "\ufeffa", latin1("\xef\xbb\xbfa")],
  ["bulk, invalid byte", latin1("$3\r\na\xffb\r\n"), "a\ufffdb", latin1("a\xffb")],
  ["bulk, truncated emoji", latin1("$4\r\n\xf0\x9f\x98!\r\n"), "\ufffd!", latin1("\xf0\x9f\x98!")],
  ["bulk, overlong NUL", latin1("$2\r\n\xc0\x80\r\n"), "\ufffd\ufffd", latin1("\xc0\x80")],
  ["bulk, encoded surrogate", latin1("$3\r\n\xed\xa0\x80\r\n"), "\ufffd\ufffd\ufffd", latin1("\xed\xa0\x80")],
  ["bulk of 100,000 bytes", `$100000\r\n${"y".repeat(100_000)}\r\n`, "y".repeat(100_000), buffer("y".repeat(100_000))],
  ["bulk of 100,000 bytes, utf-8", `$100000\r\n${"é".repeat(50_000)}\r\n`,
    "é".repeat(50_000), buffer("é".repeat(50_000))],
  ["verbatim", "=15\r\ntxt:Some string\r\n", "Some string", buffer("Some string")],
  ["verbatim, markdown", "=7\r\nmkd:# a\r\n", "# a", buffer("# a")],
  ["verbatim, empty", "=4\r\ntxt:\r\n", "", buffer("")],
  ["verbatim with colons and CRLF", "=9\r\ntxt:a:\r\nb\r\n", "a:\r\nb", buffer("a:\r\nb")],
  ["verbatim, utf-8", "=6\r\ntxt:é\r\n", "é", buffer("é")],
  ["streamed string", "$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;1\r\nd\r\n;0\r\n", "Hello word", buffer("Hello word")],
  ["streamed string, empty", "$?\r\n;0\r\n", "", buffer("")],
  ["streamed string, a character split", latin1("$?\r\n;2\r\n\xf0\x9f\r\n;2\r\n\x98\x80\r\n;0\r\n"), "😀", buffer("😀")],
  ["streamed string, CRLF inside", "$?\r\n;4\r\n\r\n;0\r\n;0\r\n", "\r\n;0", buffer("\r\n;0")],
  // Arrays and sets
  ["array, empty", "*0\r\n", []],
  ["array of integers", "*3\r\n:1\r\n:2\r\n:3\r\n", [1, 2, 3]],
  ["array of bulks", "*2\r\n$3\r\nfoo\r\n$3\r\nbar\r\n", ["foo", "bar"], [buffer("foo"), buffer("bar")]],
  ["array, mixed", "*4\r\n:1\r\n+OK\r\n$1\r\na\r\n$-1\r\n", [1, "OK", "a", null], [1, "OK", buffer("a"), null]],
  ["array of ten", `*10\r\n${":7\r\n".repeat(10)}`, [7, 7, 7, 7, 7, 7, 7, 7, 7, 7]],
  ["array with nulls", "*3\r\n$-1\r\n*-1\r\n_\r\n", [null, null, null]],
  ["array with an error (EXEC)", "*3\r\n+OK\r\n-WRONGTYPE bad\r\n:2\r\n", ["OK", error("WRONGTYPE bad"), 2]],
  ["array, nested", "*2\r\n*2\r\n:1\r\n:2\r\n*1\r\n+a\r\n", [[1, 2], ["a"]]],
  ["array, nested empty ones", "*3\r\n*0\r\n*1\r\n*0\r\n~0\r\n", [[], [[]], []]],
  ["array, nesting ends deep", "*2\r\n:1\r\n*2\r\n:2\r\n*1\r\n$1\r\nx\r\n", [1, [2, ["x"]]], [1, [2, [buffer("x")]]]],
  ["SCAN", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n", ["0", ["k"]], [buffer("0"), [buffer("k")]]],
  ["array of every scalar", "*7\r\n#t\r\n_\r\n,1.5\r\n(7\r\n:7\r\n+s\r\n!1\r\ne\r\n",
    [true, null, 1.5, 7n, 7, "s", error("e")]],
  ["array 128 deep", `${"*1\r\n".repeat(128)}:1\r\n`, nested(128, 1)],
  ["set", "~3\r\n+a\r\n:1\r\n#f\r\n", ["a", 1, false]],
  ["set, empty", "~0\r\n", []],
  ["set keeps equal members", "~2\r\n:1\r\n:1\r\n", [1, 1]],
  ["set of bulks", "~1\r\n$1\r\na\r\n", ["a"], [buffer("a")]],
  ["streamed array", "*?\r\n:1\r\n:2\r\n.\r\n", [1, 2]],
  ["streamed array, empty", "*?\r\n.\r\n", []],
  ["streamed array, nested", "*?\r\n*?\r\n.\r\n*1\r\n:1\r\n*?\r\n$?\r\n;0\r\n.\r\n.\r\n",
    [[], [1], [""]], [[], [1], [buffer("")]]],
  ["streamed set", "~?\r\n+a\r\n+b\r\n.\r\n", ["a", "b"]],
  // Maps
  ["map, empty", "%0\r\n", mapOf(), []],
  ["map", "%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", mapOf(["a", 1], ["b", 2]), [["a", 1], ["b", 2]]],
  ["map of bulks", "%1\r\n$1\r\na\r\n$1\r\nb\r\n", mapOf(["a", "b"]), [[buffer("a"), buffer("b")]]],
  ["map, utf-8 key", "%1\r\n$2\r\né\r\n:1\r\n", mapOf(["é", 1]), [[buffer("é"), 1]]],
  ["map, __proto__ is a key", "%1\r\n$9\r\n__proto__\r\n:1\r\n", mapOf(["__proto__", 1]), [[buffer("__proto__"), 1]]],
  ["map, __proto__ over a map", "%1\r\n+__proto__\r\n%1\r\n+x\r\n:1\r\n",
    mapOf(["__proto__", mapOf(["x", 1])]), [["__proto__", [["x", 1]]]]],
  ["map, empty key", "%1\r\n$0\r\n\r\n:1\r\n", mapOf(["", 1]), [[buffer(""), 1]]],
  ["map, integer keys", "%2\r\n:2\r\n+b\r\n:1\r\n+a\r\n", mapOf(["2", "b"], ["1", "a"]), [[2, "b"], [1, "a"]]],
  ["map, big integer key", "%1\r\n:9007199254740993\r\n:1\r\n",
    mapOf(["9007199254740993", 1]), [[9007199254740993n, 1]]],
  ["map, big number key", "%1\r\n(5\r\n:1\r\n", mapOf(["5", 1]), [[5n, 1]]],
  ["map, double keys", "%2\r\n,1.50\r\n:1\r\n,-inf\r\n:2\r\n",
    mapOf(["1.5", 1], ["-Infinity", 2]), [[1.5, 1], [-Infinity, 2]]],
  ["map, boolean keys", "%2\r\n#t\r\n:1\r\n#f\r\n:0\r\n", mapOf(["true", 1], ["false", 0]), [[true, 1], [false, 0]]],
  ["map, null key", "%1\r\n_\r\n:1\r\n", mapOf(["null", 1]), [[null, 1]]],
  ["map, null bulk as key", "%1\r\n$-1\r\n:1\r\n", mapOf(["null", 1]), [[null, 1]]],
  ["map, verbatim key", "%1\r\n=5\r\ntxt:a\r\n:1\r\n", mapOf(["a", 1]), [[buffer("a"), 1]]],
  ["map, streamed key", "%1\r\n$?\r\n;1\r\na\r\n;1\r\nb\r\n;0\r\n:1\r\n", mapOf(["ab", 1]), [[buffer("ab"), 1]]],
  ["map, equal keys", "%2\r\n+a\r\n:1\r\n+a\r\n:2\r\n", mapOf(["a", 2]), [["a", 1], ["a", 2]]],
  ["map, keys equal as text", "%2\r\n:1\r\n+x\r\n$1\r\n1\r\n+y\r\n", mapOf(["1", "y"]), [[1, "x"], [buffer("1"), "y"]]],
  ["map, array key", "%2\r\n*1\r\n:1\r\n+a\r\n+b\r\n:2\r\n", [[[1], "a"], ["b", 2]]],
  ["map, array key last", "%2\r\n$1\r\nb\r\n:2\r\n*0\r\n+a\r\n", [["b", 2], [[], "a"]], [[buffer("b"), 2], [[], "a"]]],
  ["map, map key", "%1\r\n%1\r\n+a\r\n:1\r\n:2\r\n", [[mapOf(["a", 1]), 2]], [[[["a", 1]], 2]]],
  ["map, set key", "%1\r\n~0\r\n:2\r\n", [[[], 2]]],
  ["map, error key", "%1\r\n-ERR a\r\n:2\r\n", [[error("ERR a"), 2]]],
  ["map, array key and equal keys", "%3\r\n:1\r\n:1\r\n:1\r\n:2\r\n*0\r\n:3\r\n", [[1, 1], [1, 2], [[], 3]]],
  ["map, error value", "%1\r\n+a\r\n-ERR b\r\n", mapOf(["a", error("ERR b")]), [["a", error("ERR b")]]],
  ["map, nested", "%1\r\n+a\r\n%1\r\n+b\r\n*1\r\n:1\r\n", mapOf(["a", mapOf(["b", [1]])]), [["a", [["b", [1]]]]]],
  ["maps in an array", "*2\r\n%0\r\n%1\r\n+a\r\n_\r\n", [mapOf(), mapOf(["a", null])], [[], [["a", null]]]],
  ["streamed map", "%?\r\n+a\r\n:1\r\n+b\r\n:2\r\n.\r\n", mapOf(["a", 1], ["b", 2]), [["a", 1], ["b", 2]]],
  ["streamed map, empty", "%?\r\n.\r\n", mapOf(), []],
  ["streamed map, array key", "%?\r\n*0\r\n:1\r\n.\r\n", [[[], 1]]],
  ["HELLO", "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n",
    mapOf(["server", "redis"], ["proto", 3]), [[buffer("server"), buffer("redis")], [buffer("proto"), 3]]],
  // Attributes
  ["attribute before a reply", "|1\r\n+ttl\r\n:3600\r\n:5\r\n", 5],
  ["attribute, empty", "|0\r\n+OK\r\n", "OK"],
  ["attributes in a row", "|1\r\n+a\r\n:1\r\n|1\r\n+b\r\n:2\r\n+OK\r\n", "OK"],
  ["attribute inside an array", "*3\r\n:1\r\n:2\r\n|1\r\n+ttl\r\n:3600\r\n:3\r\n", [1, 2, 3]],
  ["attribute before an empty array", "*2\r\n|1\r\n+a\r\n:1\r\n*0\r\n:1\r\n", [[], 1]],
  ["attribute before a key and a value", "%1\r\n|1\r\n+x\r\n:1\r\n+a\r\n|1\r\n+y\r\n:2\r\n:3\r\n",
    mapOf(["a", 3]), [["a", 3]]],
  ["attribute with aggregates",
    "|1\r\n+key-popularity\r\n%2\r\n$1\r\na\r\n,0.19\r\n$1\r\nb\r\n*1\r\n,0.1\r\n*1\r\n:1\r\n", [1]],
  ["attribute inside an attribute", "|1\r\n|1\r\n+a\r\n:1\r\n+b\r\n|0\r\n:2\r\n:3\r\n", 3],
  ["attribute inside a streamed array", "*?\r\n|1\r\n+a\r\n:1\r\n:2\r\n.\r\n", [2]],
  ["attribute before an error", "|1\r\n+a\r\n:1\r\n-ERR b\r\n", error("ERR b")],
  ["attribute that holds an error", "|1\r\n+a\r\n-ERR b\r\n:1\r\n", 1],
  ["attribute before a push", "|1\r\n+a\r\n:1\r\n>1\r\n+b\r\n", push("b")],
  // Pushes: text, whatever the charset
  ["push, message", ">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$2\r\nhi\r\n", push("message", "ch", "hi")],
  ["push, invalidate", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n", push("invalidate", ["a"])],
  ["push, invalidate all", ">2\r\n$10\r\ninvalidate\r\n_\r\n", push("invalidate", null)],
  ["push, subscribe", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", push("subscribe", "a", 1)],
  ["push, utf-8", ">2\r\n+message\r\n$4\r\n😀\r\n", push("message", "😀")],
  ["push with a map", ">2\r\n+m\r\n%1\r\n$1\r\na\r\n$1\r\nb\r\n", push("m", mapOf(["a", "b"]))],
  ["push with an attribute", ">2\r\n+m\r\n|1\r\n+a\r\n:1\r\n:2\r\n", push("m", 2)],
];

/** Not an error: more bytes could make a reply of each. */
export const incompleteFrames: Frame[] = [
  ["a type alone", "+"],
  ["simple string without its end", "+OK"],
  ["simple string up to CR", "+OK\r"],
  ["error without its end", "-ERR a"],
  ["integer without its end", ":12"],
  ["integer up to CR", ":12\r"],
  ["bulk header", "$5\r\n"],
  ["bulk header cut", "$5"],
  ["bulk, half", "$5\r\nhel"],
  ["bulk without its end", "$5\r\nhello"],
  ["bulk up to CR", "$5\r\nhello\r"],
  ["bulk, empty, without its end", "$0\r\n"],
  ["null bulk cut", "$-1"],
  ["bulk at the limit", "$536870912\r\n"],
  ["verbatim cut in its format", "=7\r\ntx"],
  ["blob error cut", "!5\r\nERR"],
  ["array header", "*2\r\n"],
  ["array, half", "*2\r\n:1\r\n"],
  ["array at the limit", "*1048576\r\n"],
  ["array, nested, cut", "*1\r\n*1\r\n*1\r\n"],
  ["map without its value", "%1\r\n+a\r\n"],
  ["map, key cut", "%1\r\n+a"],
  ["push, half", ">2\r\n+message\r\n"],
  ["attribute alone", "|1\r\n+a\r\n:1\r\n"],
  ["attribute, half", "|1\r\n+a\r\n"],
  ["attribute last in an array", "*1\r\n|0\r\n"],
  ["streamed string, no part", "$?\r\n"],
  ["streamed string, no end", "$?\r\n;1\r\na\r\n"],
  ["streamed string, end cut", "$?\r\n;0"],
  ["streamed array, no end", "*?\r\n:1\r\n"],
  ["streamed array, end cut", "*?\r\n."],
  ["streamed map, no value", "%?\r\n+a\r\n"],
  ["one reply and a half", "+OK\r\n$3\r\nfo"],
];

/** No bytes after these could mend them. */
export const hostileFrames: Frame[] = [
  // Terminators
  ["simple string, bare LF", "+OK\n"],
  ["simple string, LF inside", "+O\nK\r\n"],
  ["simple string, CR inside", "+O\rK\r\n"],
  ["simple string, two CRs", "+OK\r\r\n"],
  ["simple string, LF before CRLF", "+OK\n\r\n"],
  ["big number over the limit", `(${"1".repeat(65_537)}\r\n`],
  ["big number that never ends", `(${"1".repeat(70_000)}`],
  ["length that never ends", `$${"1".repeat(70_000)}`],
  ["error, bare LF", "-ERR a\n"],
  ["error, CR inside", "-ERR\ra\r\n"],
  ["integer, bare LF", ":1\n"],
  ["integer, CR and no LF", ":1\r:2\r\n"],
  ["bulk length, bare LF", "$3\nfoo\r\n"],
  ["bulk length, CR and no LF", "$3\rXfoo\r\n"],
  ["bulk ended by XX", "$3\r\nfooXX"],
  ["bulk ended by LF", "$3\r\nfoo\n"],
  ["bulk ended by CR X", "$3\r\nfoo\rX"],
  ["bulk ended by NULs", "$3\r\nfoo\0\0"],
  ["bulk longer than its length", "$3\r\nfoobar\r\n"],
  ["bulk shorter than its length", "$5\r\nfoo\r\n:1\r\n"],
  ["bulk, empty, with a byte", "$0\r\nX\r\n"],
  ["null bulk with a body", "$-1\r\n\r\n"],
  ["array count, bare LF", "*1\n:1\r\n"],
  ["CRLF alone", "\r\n"],
  ["LF alone", "\n"],
  ["CRLF between replies", "+OK\r\n\r\n+OK\r\n"],
  // Lengths and counts
  ["bulk, no length", "$\r\n\r\n"],
  ["bulk, letters", "$abc\r\n"],
  ["bulk, a letter after digits", "$3a\r\nfoo\r\n"],
  ["bulk, hexadecimal", "$0x3\r\nfoo\r\n"],
  ["bulk, exponent", "$1e1\r\n0123456789\r\n"],
  ["bulk, fraction", "$3.0\r\nfoo\r\n"],
  ["bulk, space before", "$ 3\r\nfoo\r\n"],
  ["bulk, space after", "$3 \r\nfoo\r\n"],
  ["bulk, NUL in its length", "$3\0\r\nfoo\r\n"],
  ["bulk, a full-width digit", "$３\r\nfoo\r\n"],
  ["bulk, plus sign", "$+1\r\na\r\n"],
  ["bulk, leading zero", "$01\r\na\r\n"],
  ["bulk, two zeros", "$00\r\n\r\n"],
  ["bulk, minus zero", "$-0\r\n\r\n"],
  ["bulk, -2", "$-2\r\n"],
  ["bulk, -01", "$-01\r\n"],
  ["bulk, -10", "$-10\r\n"],
  ["bulk, minus alone", "$-\r\n"],
  ["bulk, 512 MiB and one", "$536870913\r\n"],
  ["bulk, 2^32 + 3, three if cut to 32 bits", "$4294967299\r\nfoo\r\n"],
  ["bulk, 2^63", "$9223372036854775808\r\n"],
  ["bulk, 400 digits", `$${"9".repeat(400)}\r\n`],
  ["bulk, ? and more", "$?1\r\n;0\r\n"],
  ["array, no count", "*\r\n"],
  ["array, letters", "*abc\r\n"],
  ["array, -2", "*-2\r\n"],
  ["array, plus sign", "*+1\r\n:1\r\n"],
  ["array, leading zero", "*01\r\n:1\r\n"],
  ["array, fraction", "*1.5\r\n"],
  ["array, 2^20 + 1", "*1048577\r\n"],
  ["array, 2^32, zero if cut to 32 bits", "*4294967296\r\n"],
  ["array, 2^63", "*9223372036854775808\r\n"],
  ["huge array in an array", "*1\r\n*4000000000\r\n"],
  ["set, -1", "~-1\r\n"],
  ["set, letters", "~x\r\n"],
  ["set, huge", "~4000000000\r\n"],
  ["map, -1", "%-1\r\n"],
  ["map, no count", "%\r\n"],
  ["map, leading zero", "%01\r\n+a\r\n:1\r\n"],
  ["map, 2^20 + 1", "%1048577\r\n"],
  ["map, 2^31, zero pairs if doubled in 32 bits", "%2147483648\r\n"],
  ["push, -1", ">-1\r\n"],
  ["push, no count", ">\r\n"],
  ["push, huge", ">4000000000\r\n"],
  ["push, streamed", ">?\r\n+a\r\n.\r\n"],
  ["attribute, -1", "|-1\r\n:1\r\n"],
  ["attribute, huge", "|4000000000\r\n"],
  ["attribute, streamed", "|?\r\n+a\r\n:1\r\n.\r\n:1\r\n"],
  ["blob error, -1", "!-1\r\n"],
  ["blob error, letters", "!x\r\n"],
  ["blob error, streamed", "!?\r\n;0\r\n"],
  ["blob error ended by XX", "!3\r\nfooXX"],
  ["verbatim, -1", "=-1\r\n"],
  ["verbatim, streamed", "=?\r\n;0\r\n"],
  ["verbatim, empty", "=0\r\n\r\n"],
  ["verbatim too short for its format", "=3\r\ntxt\r\n"],
  ["verbatim without its colon", "=5\r\ntxtab\r\n"],
  ["verbatim, the colon too early", "=5\r\ntx:ab\r\n"],
  ["verbatim ended by XX", "=5\r\ntxt:aXX"],
  // Scalars
  ["integer, empty", ":\r\n"],
  ["integer, sign alone", ":-\r\n"],
  ["integer, plus alone", ":+\r\n"],
  ["integer, two signs", ":--1\r\n"],
  ["integer, fraction", ":1.5\r\n"],
  ["integer, exponent", ":1e3\r\n"],
  ["integer, letters", ":abc\r\n"],
  ["integer, a letter after digits", ":12a\r\n"],
  ["integer, hexadecimal", ":0x10\r\n"],
  ["integer, sign after digits", ":1-\r\n"],
  ["integer, space before", ": 1\r\n"],
  ["integer, space after", ":1 \r\n"],
  ["integer, NUL", ":1\0\r\n"],
  ["integer 2^63", ":9223372036854775808\r\n"],
  ["integer -2^63 - 1", ":-9223372036854775809\r\n"],
  ["integer of 20 digits", ":99999999999999999999\r\n"],
  ["integer, inf", ":inf\r\n"],
  ["big number, empty", "(\r\n"],
  ["big number, sign alone", "(-\r\n"],
  ["big number, a letter after digits", "(12a\r\n"],
  ["big number, fraction", "(1.5\r\n"],
  ["big number, hexadecimal", "(0xff\r\n"],
  ["big number, space", "( 1\r\n"],
  ["double, empty", ",\r\n"],
  ["double, letters", ",abc\r\n"],
  ["double, no exponent after e", ",1e\r\n"],
  ["double, sign and no exponent", ",1e+\r\n"],
  ["double, two points", ",1.2.3\r\n"],
  ["double, point and no fraction", ",1.\r\n"],
  ["double, no digits before the point", ",.5\r\n"],
  ["double, sign alone", ",-\r\n"],
  ["double, infinity spelled out", ",infinity\r\n"],
  ["double, Infinity as in JavaScript", ",Infinity\r\n"],
  ["double, hexadecimal", ",0x10\r\n"],
  ["double, space", ", 1\r\n"],
  ["double, comma", ",1,5\r\n"],
  ["boolean, x", "#x\r\n"],
  ["boolean, empty", "#\r\n"],
  ["boolean, true", "#true\r\n"],
  ["boolean, T", "#T\r\n"],
  ["boolean, 1", "#1\r\n"],
  ["null with a letter", "_x\r\n"],
  ["null with a space", "_ \r\n"],
  ["null, bare LF", "_\n"],
  // Structure
  ["push inside an array", "*1\r\n>1\r\n+a\r\n"],
  ["push inside a set", "~1\r\n>1\r\n+a\r\n"],
  ["push as a key", "%1\r\n>1\r\n+a\r\n:1\r\n"],
  ["push as a map's value", "%1\r\n+a\r\n>1\r\n+a\r\n"],
  ["push inside a push", ">2\r\n+a\r\n>1\r\n+b\r\n"],
  ["push inside an attribute", "|1\r\n+a\r\n>1\r\n+b\r\n:1\r\n"],
  ["push inside a streamed array", "*?\r\n>1\r\n+a\r\n.\r\n"],
  ["end of stream outside a stream", ".\r\n"],
  ["end of stream in an array", "*1\r\n.\r\n"],
  ["end of stream in a map", "%1\r\n+a\r\n.\r\n"],
  ["end of stream after a key", "%?\r\n+a\r\n.\r\n"],
  ["end of stream with something in it", "*?\r\n.x\r\n"],
  ["end of stream, bare LF", "*?\r\n.\n"],
  ["end of stream after an attribute", "*?\r\n|0\r\n.\r\n"],
  ["a second end of stream", "*?\r\n.\r\n.\r\n"],
  ["end of stream inside a counted array inside a stream", "*?\r\n*1\r\n.\r\n.\r\n"],
  ["part outside a streamed string", ";1\r\na\r\n"],
  ["last part outside a streamed string", ";0\r\n"],
  ["part in an array", "*1\r\n;1\r\na\r\n"],
  ["part in a streamed array", "*?\r\n;0\r\n"],
  ["streamed string goes on with a bulk", "$?\r\n$1\r\na\r\n"],
  ["streamed string ended by a dot", "$?\r\n;1\r\na\r\n.\r\n"],
  ["streamed string, part -1", "$?\r\n;-1\r\n"],
  ["streamed string, part without a length", "$?\r\n;\r\n"],
  ["streamed string, part with a leading zero", "$?\r\n;01\r\na\r\n;0\r\n"],
  ["streamed string, part 00", "$?\r\n;00\r\n"],
  ["streamed string, part ?", "$?\r\n;?\r\n"],
  ["streamed string, part ended by XX", "$?\r\n;3\r\nfooXX"],
  ["streamed string, last part with a body", "$?\r\n;0\r\n\r\n"],
  ["streamed string, part over the limit", "$?\r\n;536870913\r\n"],
  ["streamed string, parts over the limit together", "$?\r\n;1\r\na\r\n;536870912\r\n"],
  ["arrays 129 deep", `${"*1\r\n".repeat(129)}:1\r\n`],
  ["arrays 100,000 deep", "*1\r\n".repeat(100_000)],
  ["sets 129 deep", `${"~1\r\n".repeat(129)}:1\r\n`],
  ["maps 129 deep", `${"%1\r\n+a\r\n".repeat(129)}:1\r\n`],
  ["maps 129 deep in their keys", "%1\r\n".repeat(129)],
  ["streamed arrays 129 deep", "*?\r\n".repeat(129)],
  ["attributes 129 deep", "|1\r\n".repeat(129)],
  ["a push over arrays 128 deep", `>1\r\n${"*1\r\n".repeat(128)}:1\r\n`],
  // Another protocol at the port, or bytes out of step
  ["HTTP answer", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"],
  ["TLS alert", Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28])],
  ["TLS server hello", Buffer.from([0x16, 0x03, 0x03, 0x00, 0x7a, 0x02, 0x00, 0x00, 0x76])],
  ["SSH banner", "SSH-2.0-OpenSSH_9.6\r\n"],
  ["SMTP banner", "220 mail.example.com ESMTP\r\n"],
  ["memcached", "ERROR\r\n"],
  ["MySQL greeting", Buffer.from("\x4a\0\0\0\x0a8.0.36\0", "latin1")],
  ["inline command", "PING\r\n"],
  ["NUL bytes", Buffer.alloc(16)],
  ["0xff bytes", Buffer.alloc(16, 0xff)],
  ["a byte order mark", "\ufeff+OK\r\n"],
  ["DEL", "\x7f\r\n"],
  ["a letter after a good reply", "+OK\r\nOK\r\n"],
  ["an unknown type in an array", "*2\r\n:1\r\nx\r\n"],
  ["an unknown type as a key", "%1\r\nx\r\n:1\r\n"],
  ["an unknown type in an attribute", "|1\r\n+a\r\nx\r\n:1\r\n"],
  ["an unknown type after an attribute", "|0\r\nx\r\n"],
];

for (let code = 0x20; code < 0x7f; code++) {
  const type = String.fromCharCode(code);
  if (!"+-:$*_#,(!=%|~>;.".includes(type)) hostileFrames.push([`unknown type ${type}`, `${type}1\r\n`]);
}

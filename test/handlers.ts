// What tests do with handlers and promises, of whatever kind.

import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { internals } from "../redis.ts";

/** What a promise is rejected with. */
export const failure = async (promise: unknown): Promise<any> => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: "this should have been rejected" });
};

/** Gives a handler to `use` and closes it, whatever happens. */
export async function using<H extends { destroy(): void }, T>(db: H, use: (db: H) => Promise<T>): Promise<T> {
  try {
    return await use(db);
  } finally {
    db.destroy();
  }
}

/** What a command is on the wire. */
export function encoded(name: Parameters<typeof internals.wordsOf>[0], args: readonly unknown[]): Buffer {
  const written: Buffer[] = [];
  const sink = new Writable({
    write(bytes: Buffer, _, taken) {
      written.push(Buffer.from(bytes)); // whose memory is used again
      taken();
    },
  });
  const encoder = new internals.Encoder(sink);
  const words = internals.wordsOf(name, args);
  while (!encoder.put(name, words)) encoder.flush();
  encoder.flush();
  return Buffer.concat(written);
}

// What tests do with handlers and promises, of whatever kind.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { Writable } from "node:stream";
import { internals } from "../redis.ts";

const { url } = import.meta as ImportMeta & { url: string }; // Deno's type of it has none under our tsconfig.json

export const runtime = "Bun" in globalThis ? "Bun" : "Deno" in globalThis ? "Deno" : "Node";

/** The URL of a module of ours, as the tests load it themselves: as it is, or compiled. */
export const ours = (module: string): string => new URL(`../${module}${extname(url)}`, url).href;

/** Runs a program in a process of its own. */
export async function runProgram(program: string, ...flags: string[]): Promise<[code: number | null, said: string]> {
  const folder = mkdtempSync(join(tmpdir(), "redis.ts-program-"));
  try {
    const file = join(folder, "program.mjs");
    writeFileSync(file, program);
    const child = spawn(process.execPath, [...flags, file], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const output of [child.stdout, child.stderr]) output.on("data", (chunk) => { said += chunk; });
    const [code] = await once(child, "close");
    return [code, said.trim()];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** CPU in microseconds since then: user and system together, because a system may only estimate how they share it. */
export function cpuSince(begun: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begun);
  return user + system;
}

/** The time that the processor was busy with it, in ms. */
export async function effort(use: () => Promise<unknown>): Promise<number> {
  const begun = process.cpuUsage();
  await use();
  return cpuSince(begun) / 1_000;
}

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

/** What a command is on the wire; without the form of its row, that of a command which is not in the table. */
export function encoded(...[name, args, form]: Parameters<typeof internals.wordsOf>): Buffer {
  const written: Buffer[] = [];
  const sink = new Writable({
    write(bytes: Buffer, _, taken) {
      written.push(Buffer.from(bytes)); // whose memory is used again
      taken();
    },
  });
  const encoder = new internals.Encoder(sink);
  const words = internals.wordsOf(name, args, form);
  while (!encoder.put(name, words)) encoder.flush();
  encoder.flush();
  return Buffer.concat(written);
}

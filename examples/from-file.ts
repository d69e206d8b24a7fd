// A live list of hosts from a file with one host or URL a line, which is read again whenever it changes.
//
//     const db = lazyConnectionPool({ anyOf: fromFile("/etc/my-service/redis-hosts") });
//
// To change the list, rename a new file to this name: a file that is written in place may be read half-way.

import { on } from "node:events";
import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";

export const fromFile = (file: string) => async function* (signal: AbortSignal): AsyncGenerator<string[]> {
  // The folder, because a new file may replace the old one, and because a mounted file may be a link to another.
  const watcher = watch(dirname(file), { persistent: false });
  try {
    const changes = on(watcher, "change", { signal });
    let last: string | undefined;
    do {
      const text = await readFile(file, "utf8");
      if (text !== last) yield text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
      last = text;
    } while (!(await changes.next()).done);
  } finally {
    watcher.close();
  }
};

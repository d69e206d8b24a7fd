// Copies redis.ts, as it is, into a small project of each toolchain: installs the toolchain into a temporary folder,
// checks or compiles the project, and runs it against a real server. Prints a table, from which that of test/README.md is made.
// `npm run toolchains -- jest vite` tries only rows whose names contain these words; `-- --core` only the quick ones.

import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { NODE_TYPES, rows } from "./rows.mjs";

const root = join(import.meta.dirname, "../..");
const { RedisServer } = await import(join(root, "dist/test/servers.js"));
const words = process.argv.slice(2).filter((word) => word !== "--core");
const isCore = process.argv.includes("--core");
const chosen = rows.filter(({ name, core }) =>
  (!isCore || core) && (words.length === 0 || words.some((word) => name.toLowerCase().includes(word.toLowerCase()))));

/**
 * The program of every row. It runs on Node, Deno and in bundles. The lines that must not compile show that users'
 * types are exact, although the compiler skips the file itself; compilers that only strip types ignore them.
 */
const program = (from, end) => `import { lazyConnectionPool, RedisError, script } from "${from}";
const add = script("return redis.call('INCRBY', KEYS[1], ARGV[1])", { keys: 1 });

export async function use(port: number): Promise<string> {
  const db = lazyConnectionPool({ port, poolsize: 2 });
  await db.set("name", "fox", { EX: 60 });
  await db.hset("hash", { legs: 4 });
  const name: string | null = await db.get("name");
  // @ts-expect-error because it is a string
  const wrong: number = await db.get("name");
  // @ts-expect-error because SET has no such option
  const typo = db.set("name", "fox", { EXX: 60 }).catch(() => "refused");
  const sum = await add(db, "sum", 2);
  const { legs } = await db.hgetall("hash");
  const failed = await db.incr("name").catch((error: unknown) => error instanceof RedisError ? error.code : "no");
  await db.disconnect();
  return [name, wrong, await typo, sum, legs, failed].join(" ");
}
${end}`;
const SAID = "fox fox refused 2 4 ERR";
const MAIN = "\nvoid use(Number(process.env[\"REDIS_PORT\"])).then((said) => console.log(said));\n";

const exec = promisify(execFile);
const server = await RedisServer.start();
const folder = mkdtempSync(join(tmpdir(), "redis.ts-toolchains-"));
const results = [];
let failures = 0;

async function run(home, command, env) {
  const [binary, ...args] = command;
  const limits = { timeout: 300_000, killSignal: "SIGKILL", maxBuffer: 2 ** 26 };
  const { stdout, stderr } = await exec(binary, args, { cwd: home, env, ...limits });
  return stdout + stderr;
}

const INSTALL = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline", "--ignore-scripts"];

async function attempt(row, home) {
  const { files = {}, packages = {}, from = "./redis.ts", type = "module", end = MAIN, prepare, steps } = row;
  mkdirSync(home);
  const project = join(home, row.project ?? ".");
  const binaries = [home, project].map((path) => join(path, "node_modules/.bin"));
  const env = {
    ...process.env, REDIS_PORT: server.port, PATH: [...binaries, process.env.PATH].join(":"),
    DENO_DIR: join(home, ".deno"), DENO_NO_UPDATE_CHECK: "1", NEXT_TELEMETRY_DISABLED: "1", NO_COLOR: "1", CI: "true",
  };
  const put = (path, content) => {
    mkdirSync(dirname(join(home, path)), { recursive: true });
    writeFileSync(join(home, path), typeof content === "string" ? content : JSON.stringify(content));
  };
  put("package.json", { private: true, type, dependencies: { ...packages } });
  if (Object.keys(packages).length > 0) await run(home, INSTALL, process.env);
  if (prepare !== undefined) {
    await run(home, prepare, env);
    await run(project, INSTALL, process.env);
  }
  cpSync(join(root, "redis.ts"), join(project, row.copy ?? "redis.ts"));
  writeFileSync(join(project, row.program ?? "use.ts"), program(from, end));
  for (const [path, content] of Object.entries(files)) put(join(row.project ?? ".", path), content);
  let said = "";
  const start = Date.now();
  for (const step of steps) {
    await server.call("FLUSHALL");
    said = await run(project, step, env);
  }
  if (!row.isSilent && !said.includes(SAID)) throw new Error(`it said ${said}`);
  return Date.now() - start;
}

for (const row of chosen) {
  const home = join(folder, String(results.length));
  const versions = Object.entries(row.packages ?? {}).filter(([name]) => !row.aside?.includes(name) && name !== NODE_TYPES)
    .map(([name, version]) => `${name} ${version.split("@").at(-1)}`).join(", ");
  try {
    const time = await attempt(row, home);
    results.push(`| ${row.name} | ${versions} | ok | ${(time / 1000).toFixed(1)} s |`);
  } catch (error) {
    failures++;
    results.push(`| ${row.name} | ${versions} | FAILED | |`);
    console.log(`${row.name}: ${error.killed ? "did not end in time" : error.message}\n${error.stdout ?? ""}${error.stderr ?? ""}`);
  }
  console.log(results.at(-1));
  rmSync(home, { recursive: true, force: true });
}
await server.stop();
rmSync(folder, { recursive: true, force: true });
console.log(["", "| toolchain | versions | | time |", "|---|---|---|---|", ...results].join("\n"));
process.exitCode = failures ? 1 : 0;

// Tries redis.ts, copied as is, on every runtime package.json pins: installs them into .runtimes, then runs
// test/smoke.ts in a fresh folder. Node 20 cannot read TypeScript and gets the built files. `npm run runtimes -- bun deno`
// tries only these; with --suite, Bun and Deno also run the whole of redis.test.ts.

import { execFile, execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "../..");
const home = join(root, ".runtimes");
const modules = join(home, "node_modules");

const run = promisify(execFile);
const runtimes = [
  ...["node20", "node22", "node24", "node26"].map((name) => ({ name, binary: `${name}/bin/node`, args: [] })),
  { name: "bun", binary: "bun/bin/bun", args: ["--no-install"], suite: ["test", "redis.test.ts"] },
  {
    name: "deno",
    binary: "deno/deno",
    args: ["run", "--allow-all", "--no-remote", "--no-npm"],
    suite: ["test", "-A", "redis.test.ts"],
  },
];
const withSuite = process.argv.includes("--suite");
const chosen = process.argv.slice(2).filter((name) => name !== "--suite");
/** A suite takes some seven minutes on an ordinary machine. */
const MOST_MINUTES = 45;

function install() {
  const same = (name) =>
    existsSync(join(home, name)) &&
    readFileSync(join(home, name), "utf8") === readFileSync(join(import.meta.dirname, name), "utf8");
  // npm writes its own lock file into node_modules last, so an installation cut short is not taken for a whole one.
  if (same("package.json") && same("package-lock.json") && existsSync(join(modules, ".package-lock.json"))) return;
  console.log("installing the runtimes into .runtimes (1 GB)");
  mkdirSync(home, { recursive: true });
  for (const name of ["package.json", "package-lock.json"]) cpSync(join(import.meta.dirname, name), join(home, name));
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: home, stdio: "inherit" });
}

async function smoke({ name, binary, args }, environment) {
  const folder = mkdtempSync(join(tmpdir(), "redis.ts-smoke-"));
  try {
    const path = join(modules, binary);
    const { stdout } = await run(path, ["--version"], { env: environment });
    const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0];
    const built = name === "node20";
    const [from, extension] = built ? [join(root, "dist"), "js"] : [root, "ts"];
    for (const file of ["redis", "test/smoke"])
      cpSync(join(from, `${file}.${extension}`), join(folder, `${file}.${extension}`));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
    const start = Date.now();
    try {
      const env = { ...environment, DENO_DIR: join(folder, "cache"), DENO_NO_UPDATE_CHECK: "1" };
      await run(path, [...args, `test/smoke.${extension}`], {
        cwd: folder,
        env,
        timeout: 30_000,
        killSignal: "SIGKILL",
      });
      console.log(
        `${name.padEnd(7)} ${version.padEnd(9)} ok      ${Date.now() - start} ms${built ? ", the built file" : ""}`,
      );
      return true;
    } catch (error) {
      const why = error.killed ? "did not end within 30 s" : `ended with ${error.code ?? error.signal}`;
      console.log(`${name.padEnd(7)} ${version.padEnd(9)} FAILED  ${why}\n${error.stdout}${error.stderr}`);
    }
  } catch (error) {
    console.log(`${name.padEnd(7)} ${"".padEnd(9)} FAILED  ${error.message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return false;
}

/** Runs redis.test.ts where it stands. Its summary is shown, with what is skipped; all that it said, if it fails. */
async function suite({ name, binary, suite: args }) {
  const cache = mkdtempSync(join(tmpdir(), "redis.ts-deno-"));
  const start = Date.now();
  const env = { ...process.env, DENO_DIR: cache, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" };
  const limits = { timeout: MOST_MINUTES * 60_000, killSignal: "SIGKILL", maxBuffer: 2 ** 28 };
  try {
    const { stdout, stderr } = await run(join(modules, binary), args, { cwd: root, env, ...limits });
    const said = `${stdout}${stderr}`.split("\n");
    const shown = said.filter((line) => /^\(skip\)|^ *\d+ (pass|skip)|\.\.\. ignored|^ok \|/.test(line));
    console.log(`${name.padEnd(7)} ${args.join(" ")}: ok, ${Date.now() - start} ms\n${shown.join("\n")}`);
    return true;
  } catch (error) {
    const why = error.killed ? `did not end within ${MOST_MINUTES} minutes` : `ended with ${error.code ?? error.signal}`;
    console.log(`${name.padEnd(7)} ${args.join(" ")}: FAILED, ${why}\n${error.stdout}${error.stderr}`);
    return false;
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

execFileSync(join(root, "node_modules/.bin/tsc"), { cwd: root, stdio: "inherit" });
install();
const { RedisServer } = await import(join(root, "dist/test/servers.js"));
const server = await RedisServer.start({ tls: true });
const environment = {
  ...process.env,
  SMOKE_PORT: server.port,
  SMOKE_TLS_PORT: server.tlsPort,
  SMOKE_SOCKET: server.path,
  SMOKE_CA: server.certs.ca.cert,
};
let failures = 0;
const tried = runtimes.filter(({ name }) => chosen.length === 0 || chosen.includes(name));
for (const runtime of tried) {
  await server.call("FLUSHALL");
  if (!(await smoke(runtime, environment))) failures++;
}
for (const runtime of tried) if (withSuite && runtime.suite && !(await suite(runtime))) failures++;
await server.stop();
process.exitCode = failures ? 1 : 0;

// The toolchains, each with exactly pinned packages. `steps` are run in order; the last one prints what the program
// said, unless the row `isSilent`: a linter. `core`: quick enough for every run of CI.

export const NODE_TYPES = "@types/node";
const types = { [NODE_TYPES]: "20.19.43" };
const ts7 = { typescript: "7.0.2", ...types };
const ts5 = { typescript: "5.9.3", ...types };

/** Compiles with tsc and these options beside the usual ones, and runs the result. */
const tsc = (options, more = {}) => ({
  files: {
    "tsconfig.json": {
      compilerOptions: { target: "es2022", module: "nodenext", types: ["node"], outDir: "dist", strict: true, ...options },
      files: ["use.ts"],
    },
  },
  from: "./redis.js",
  steps: [["tsc"], ["node", "dist/use.js"]],
  ...more,
});

const STRICTEST = {
  noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, noUnusedLocals: true, noUnusedParameters: true,
  noImplicitReturns: true, noPropertyAccessFromIndexSignature: true, noImplicitOverride: true, isolatedModules: true,
  verbatimModuleSyntax: true, erasableSyntaxOnly: true, noFallthroughCasesInSwitch: true,
};
const babel = (version) => ({
  "@babel/core": version, "@babel/cli": version, "@babel/preset-typescript": version,
});
const BABEL = { presets: [["@babel/preset-typescript", { rewriteImportExtensions: true }]] };
const FOR_JEST = { presets: [["@babel/preset-env", { targets: { node: "20" } }], "@babel/preset-typescript"] };
const TEST = `import { use } from "./use";
test("it runs", async () => expect(await use(Number(process.env["REDIS_PORT"]))).toBe("fox fox refused 2 4 ERR"));
`;
const tested = { end: "", isSilent: true, from: "./redis" };

export const rows = [
  { name: "tsc 7, strictest settings", core: true, packages: ts7, ...tsc(STRICTEST) },
  { name: "tsc 7, `lib` es2020, target ES2017, not strict", core: true, packages: ts7,
    ...tsc({ target: "es2017", lib: ["es2020"], strict: false }) },
  { name: "tsc 7, CommonJS under node16", core: true, packages: ts7, ...tsc({ module: "node16" }, { type: "commonjs" }) },
  { name: "tsc 6", packages: { ...ts7, typescript: "6.0.3" }, ...tsc({}) },
  { name: "tsc 5.9", packages: ts5, ...tsc(STRICTEST) },
  { name: "tsc 5.4", core: true, packages: { ...ts5, typescript: "5.4.5" }, ...tsc({ ...STRICTEST, erasableSyntaxOnly: undefined }) },
  { name: "tsc 5.4, CommonJS, `moduleResolution` node10", packages: { ...ts5, typescript: "5.4.5" },
    ...tsc({ module: "commonjs", moduleResolution: "node10", lib: ["es2020"], esModuleInterop: true }, { type: "commonjs", from: "./redis" }) },
  { name: "Next.js, `next build` of a fresh app", packages: { "create-next-app": "16.4.3" },
    prepare: ["create-next-app", "app", "--ts", "--app", "--no-eslint", "--no-tailwind", "--no-src-dir", "--use-npm", "--skip-install",
      "--disable-git", "--yes"],
    project: "app", copy: "lib/redis.ts", program: "lib/use.ts", from: "./redis", end: "",
    files: {
      // The fresh app's own fetches fonts from Google.
      "app/layout.tsx": `export default function Layout({ children }: Readonly<{ children: React.ReactNode }>) {
  return <html lang="en"><body>{children}</body></html>;
}
`,
      "app/use/route.ts": `import { use } from "../../lib/use";
export const POST = async () => new Response(await use(Number(process.env["REDIS_PORT"])));
`,
      "visit.mjs": `import { spawn } from "node:child_process";
import { createServer } from "node:net";
const probe = createServer().listen(0);
const { port } = probe.address();
await new Promise((closed) => probe.close(closed));
const next = spawn("next", ["start", "--port", String(port)], { stdio: ["ignore", "pipe", "inherit"] });
for await (const text of next.stdout) {
  const url = /http:\\/\\/localhost:\\d+/.exec(String(text))?.[0];
  if (url === undefined) continue;
  console.log(await (await fetch(url + "/use", { method: "POST" })).text());
  break;
}
next.kill();
`,
    },
    steps: [["next", "build"], ["node", "visit.mjs"]] },
  { name: "ts-node", packages: { "ts-node": "10.9.2", ...ts5 }, aside: ["typescript"], type: "commonjs", from: "./redis",
    files: { "tsconfig.json": { compilerOptions: { module: "node16", target: "es2022", types: ["node"], strict: true } } },
    steps: [["ts-node", "use.ts"]] },
  { name: "tsx", core: true, packages: { tsx: "4.23.15" }, from: "./redis", steps: [["tsx", "use.ts"]] },
  { name: "tsx, CommonJS", packages: { tsx: "4.23.15" }, from: "./redis", type: "commonjs", steps: [["tsx", "use.ts"]] },
  { name: "swc", core: true, packages: { "@swc/core": "1.16.22", "@swc/cli": "0.8.1" }, from: "./redis.js",
    files: { ".swcrc": { jsc: { parser: { syntax: "typescript" }, target: "es2022" }, module: { type: "es6" } } },
    steps: [["swc", "redis.ts", "use.ts", "-d", "dist"], ["node", "dist/use.js"]] },
  { name: "swc, CommonJS, target ES2017", packages: { "@swc/core": "1.16.22", "@swc/cli": "0.8.1" }, from: "./redis.js", type: "commonjs",
    files: { ".swcrc": { jsc: { parser: { syntax: "typescript" }, target: "es2017" }, module: { type: "commonjs" } } },
    steps: [["swc", "redis.ts", "use.ts", "-d", "dist"], ["node", "dist/use.js"]] },
  { name: "Babel 7", core: true, packages: { ...babel("7.28.5"), "@babel/cli": "7.28.3" }, files: { "babel.config.json": BABEL },
    steps: [["babel", "redis.ts", "use.ts", "-d", "dist", "--extensions", ".ts"], ["node", "dist/use.js"]] },
  { name: "Babel 8", packages: babel("8.0.0"), files: { "babel.config.json": BABEL },
    steps: [["babel", "redis.ts", "use.ts", "-d", "dist", "--extensions", ".ts"], ["node", "dist/use.js"]] },
  { name: "Jest with ts-jest", packages: { jest: "30.5.2", "ts-jest": "29.4.15", "@types/jest": "30.0.0", ...ts5 },
    aside: ["typescript", "@types/jest"], ...tested, type: "commonjs",
    files: { "use.test.ts": TEST, "jest.config.json": { preset: "ts-jest" },
      "tsconfig.json": { compilerOptions: { module: "commonjs", target: "es2022", types: ["node", "jest"], strict: true, esModuleInterop: true } } },
    steps: [["jest"]] },
  { name: "Jest with babel-jest", packages: { jest: "30.5.2", "babel-jest": "30.5.2", "@babel/core": "7.28.5", "@babel/preset-env": "7.28.5", "@babel/preset-typescript": "7.28.5" },
    aside: ["@babel/core", "@babel/preset-env", "@babel/preset-typescript"], ...tested, type: "commonjs",
    files: { "use.test.ts": TEST, "babel.config.json": FOR_JEST, "jest.config.json": {} }, steps: [["jest"]] },
  { name: "Vitest", packages: { vitest: "4.1.12" }, ...tested,
    files: { "use.test.ts": `import { expect, test } from "vitest";\n${TEST}` }, steps: [["vitest", "run"]] },
  { name: "esbuild", core: true, packages: { esbuild: "0.28.2" },
    steps: [["esbuild", "use.ts", "--bundle", "--minify", "--platform=node", "--format=esm", "--outfile=out.mjs"], ["node", "out.mjs"]] },
  { name: "esbuild, CommonJS, target ES2017", packages: { esbuild: "0.28.2" },
    steps: [["esbuild", "use.ts", "--bundle", "--platform=node", "--format=cjs", "--target=es2017", "--outfile=out.cjs"], ["node", "out.cjs"]] },
  { name: "rollup with its TypeScript plugin", packages: { rollup: "4.68.8", "@rollup/plugin-typescript": "12.3.1", tslib: "2.9.1", ...ts5 },
    aside: ["typescript", "tslib"], from: "./redis",
    files: {
      "rollup.config.js": 'import typescript from "@rollup/plugin-typescript";\n' +
        'export default { input: "use.ts", output: { file: "out.mjs" }, plugins: [typescript()], external: (id) => id.startsWith("node:") };\n',
      "tsconfig.json": { compilerOptions: { module: "esnext", moduleResolution: "bundler", target: "es2022", types: ["node"], strict: true } },
    },
    steps: [["rollup", "-c", "--failAfterWarnings"], ["node", "out.mjs"]] },
  { name: "webpack with ts-loader", packages: { webpack: "5.113.0", "webpack-cli": "7.3.1", "ts-loader": "9.6.2", ...ts5 },
    aside: ["webpack-cli", "typescript"], from: "./redis", type: "commonjs",
    files: {
      "webpack.config.js": 'module.exports = { mode: "production", target: "node", entry: "./use.ts", output: { path: __dirname, filename: "out.js" },\n' +
        '  resolve: { extensions: [".ts"] }, module: { rules: [{ test: /\\.ts$/, use: "ts-loader" }] } };\n',
      "tsconfig.json": { compilerOptions: { module: "esnext", moduleResolution: "bundler", target: "es2022", types: ["node"], strict: true } },
    },
    steps: [["webpack"], ["node", "out.js"]] },
  { name: "Vite SSR", packages: { vite: "8.4.0" }, from: "./redis",
    steps: [["vite", "build", "--ssr", "use.ts", "--outDir", "out"], ["node", "out/use.js"]] },
  { name: "deno check, lint and fmt", core: true, packages: { deno: "npm:@deno/linux-x64-glibc@2.9.6" },
    files: { "deno.json": { nodeModulesDir: "none" } },
    steps: [["node_modules/deno/deno", "check", "use.ts"], ["node_modules/deno/deno", "lint", "redis.ts"],
      ["node_modules/deno/deno", "fmt", "--check", "redis.ts"], ["node_modules/deno/deno", "run", "-A", "use.ts"]] },
  { name: "typescript-eslint, all rules", packages: { eslint: "10.15.0", "@eslint/js": "10.0.1", "typescript-eslint": "8.74.0", ...ts5 },
    aside: ["typescript", "@eslint/js"], isSilent: true, from: "./redis.js",
    files: {
      "eslint.config.js": 'import tseslint from "typescript-eslint";\nimport js from "@eslint/js";\n' +
        'export default [js.configs.recommended, ...tseslint.configs.all, { languageOptions: { parserOptions: { projectService: true } } },\n' +
        '  { linterOptions: { reportUnusedDisableDirectives: "error" } }];\n',
      "tsconfig.json": { compilerOptions: { module: "nodenext", target: "es2022", types: ["node"], strict: true } },
    },
    steps: [["eslint", "redis.ts"]] },
  { name: "Biome, all rules", core: true, packages: { "@biomejs/biome": "2.6.8" }, isSilent: true,
    files: { "biome.json": { linter: { rules: { recommended: true, suspicious: "error", style: "error", complexity: "error", correctness: "error", nursery: "error", performance: "error" } } } },
    steps: [["biome", "ci", "redis.ts", "--error-on-warnings"]] },
  { name: "Cloudflare Workers (workerd), four requests to one isolate", core: true,
    packages: { workerd: "1.20261117.1", esbuild: "0.28.2" }, aside: ["esbuild"], from: "./redis",
    end: "\nexport default { fetch: async ({ url }: Request) => new Response(await use(Number(new URL(url).searchParams.get(\"port\")))) };\n",
    files: {
      "worker.capnp": `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker), (name = "internet", network = (allow = ["private"]))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")]);
const worker :Workerd.Worker = (modules = [(name = "out.js", esModule = embed "out.js")],
  compatibilityDate = "2026-09-01", compatibilityFlags = ["nodejs_compat"]);
`,
      "visit.mjs": `import { spawn } from "node:child_process";
import binary from "workerd";
const workerd = spawn(binary.default, ["serve", "worker.capnp", "--control-fd=3"], { stdio: ["ignore", "inherit", "inherit", "pipe"] });
for await (const text of workerd.stdio[3]) {
  const message = String(text).split("\\n").map((line) => line && JSON.parse(line)).find(({ event }) => event === "listen");
  if (message === undefined) continue;
  const visit = async () => (await fetch(\`http://127.0.0.1:\${message.port}/?port=\${process.env.REDIS_PORT}\`)).text();
  const said = [];
  for (const count of [1, 1, 2]) said.push(...await Promise.all(Array.from({ length: count }, visit)));
  const failed = said.filter((text) => !/^fox fox refused \\d 4 ERR$/.test(text));
  console.log(failed[0] ?? said[0]);
  break;
}
workerd.kill();
`,
    },
    steps: [["esbuild", "use.ts", "--bundle", "--platform=node", "--format=esm", "--outfile=out.js"], ["node", "visit.mjs"]] },
];

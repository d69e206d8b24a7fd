// Editors document the driver to its users. TypeScript's language server says how: for the file, as users copy it, and
// for the package's types.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Editor } from "./editor.ts";

let editor: Editor;
before(async () => {
  editor = await Editor.start();
});
after(() => editor.close());

for (const file of ["../redis.ts", "../dist/redis.js"]) {
  const show = (code: string): string =>
    `import { connection, lazyConnection, lazyShardedConnection, type Options } from "${file}";\n${code}`;

  describe(`an editor, of ${file}`, () => {
    test("documents an option while it is typed, in every factory and in with()", async () => {
      const codes = [
        "lazyConnection({ pool| })", "lazyShardedConnection([], { pool| })", "const o: Options = { pool| }",
      ];
      for (const typed of codes) {
        const { type, documentation } = await editor.completion(show(typed), "poolsize");
        assert.equal(documentation, "Number of connections in a pool.", typed);
        assert.match(type, /poolsize\?: number/);
      }
      for (const call of ["lazyConnection(", "lazyConnection().with("]) {
        const { documentation } = await editor.completion(show(`${call}{ chars| })`), "charset");
        assert.match(documentation, /^How text in replies is decoded/, call);
      }
    });

    test("documents an option under the mouse, with its type", async () => {
      const charset = await editor.hover(show('lazyConnection({ cha|rset: "latin1" })'));
      assert.match(charset.documentation, /^How text in replies is decoded/);
      const readFrom = await editor.hover(show('const o: Options = { read|From: "any" }'));
      assert.match(readFrom.documentation, /^Servers that answer read-only commands/);
      for (const value of ['"any"', '"primary"', '"replica"']) assert.ok(readFrom.type.includes(value), readFrom.type);
    });

    test("offers the values of an option and the options of a view, and refuses wrong ones", async () => {
      const charsets = await editor.completions(show('lazyConnection({ charset: "|" })'));
      assert.deepEqual(charsets.sort(), ["latin1", "utf-8"]);
      const view = await editor.completions(show("lazyConnection().with({ | })"));
      assert.deepEqual(view.sort(), ["cache", "charset", "convertNumbers", "durable", "idempotent", "maps", "readFrom", "replyTimeout",
        "signal", "trace", "traceKeys"]);
      const right = "lazyConnection({ poolsize: 2, name: undefined, tls: { ca: 'pem' } });";
      assert.deepEqual(await editor.errors(show(right)), []);
      for (const wrong of ["poolsize: '2'", "charset: 'utf8'", "pool: 2", "replicas: 'b:1'", "credentials: () => 1"]) {
        assert.equal((await editor.errors(show(`lazyConnection({ ${wrong} });`))).length, 1, wrong);
      }
    });

    test("documents the factories", async () => {
      const { type, documentation } = await editor.hover(show("const db = await connec|tion({ charset: null });"));
      assert.match(documentation, /^One connection/);
      assert.match(type, /Promise<Handler<Buffer/);
      const lazy = await editor.completion(show("lazyC|"), "lazyConnection");
      assert.match(lazy.documentation, /^One connection/);
    });
  });
}

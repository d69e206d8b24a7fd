// What editors show to users of the driver, asked of TypeScript's language server: of the file itself, as it is copied, and
// of the package's types.

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
      for (const typed of ["lazyConnection({ pool| })", "lazyShardedConnection([], { pool| })", "const o: Options = { pool| }"]) {
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
      assert.match(readFrom.documentation, /^Servers that answer commands that only read/);
      for (const value of ['"any"', '"primary"', '"replica"']) assert.ok(readFrom.type.includes(value), readFrom.type);
    });

    test("offers what an option may be, and nothing that is none", async () => {
      assert.deepEqual((await editor.completions(show('lazyConnection({ charset: "|" })'))).sort(), ["latin1", "utf-8"]);
      const view = await editor.completions(show("lazyConnection().with({ | })"));
      assert.deepEqual(view.sort(), ["charset", "convertNumbers", "readFrom", "replyTimeout", "signal"]);
      assert.deepEqual(await editor.errors(show("lazyConnection({ poolsize: 2, name: undefined, tls: { ca: 'pem' } });")), []);
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

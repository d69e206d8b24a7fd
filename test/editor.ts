// Asks TypeScript's language server what an editor shows: hovers, completions and errors. The last "|" in the code of a
// question is the cursor; the code becomes a module in test/ that is never written to disk.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = pathToFileURL(`${process.cwd()}/`);
const tsc = fileURLToPath(new URL("node_modules/.bin/tsc", root));

/** Type and documentation of the name under the cursor. */
export type Hover = { type: string; documentation: string };
/** One entry of the list that opens under the cursor. */
export type Completion = Hover & { name: string };

type Position = { textDocument: { uri: string }; position: { line: number; character: number } };
type Answer = { id?: number; result?: any; error?: { message: string }; method?: string };

/** Optional members have a question mark in the list. */
const nameOf = ({ label }: { label: string }): string => label.replace(/\?$/, "");

/** One language server, with every module that it has been shown. Close it, or the process does not end. */
export class Editor {
  readonly #server: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (result: any) => void; reject: (error: Error) => void }>();
  #received = Buffer.alloc(0);
  #asked = 0;
  #modules = 0;

  private constructor(server: ChildProcess) {
    this.#server = server;
    server.stdout!.on("data", (bytes: Buffer) => this.#receive(bytes));
    server.on("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the language server has ended"));
    });
  }

  static async start(): Promise<Editor> {
    const server = spawn(tsc, ["--lsp", "--stdio"], {
      cwd: fileURLToPath(root),
      stdio: ["pipe", "pipe", "ignore"],
    });
    const editor = new Editor(server);
    const markup = ["markdown"];
    await editor.#ask("initialize", {
      processId: process.pid,
      rootUri: root.href,
      workspaceFolders: [{ uri: root.href, name: "redis.ts" }],
      capabilities: {
        textDocument: {
          hover: { contentFormat: markup },
          completion: { completionItem: { documentationFormat: markup } },
          diagnostic: {},
        },
      },
    });
    editor.#send({ method: "initialized", params: {} });
    return editor;
  }

  /** The tooltip of the name at the "|". Fails if there is none. */
  async hover(code: string): Promise<Hover> {
    const position = this.#open(code);
    const hover = await this.#hover(position);
    if (hover === undefined) throw new Error(`an editor shows nothing at the bar of ${code}`);
    return { ...hover, documentation: hover.documentation || await this.#documentation(position) };
  }

  /** The names that complete what is typed before the "|". */
  async completions(code: string): Promise<string[]> {
    return (await this.#list(code)).map(nameOf);
  }

  /** One entry of that list, with its details. Fails if it is not in the list. */
  async completion(code: string, name: string): Promise<Completion> {
    const item = (await this.#list(code)).find((item) => nameOf(item) === name);
    if (item === undefined) throw new Error(`${name} does not complete ${code}`);
    const { detail, documentation } = await this.#ask("completionItem/resolve", item);
    const shown = (documentation?.value ?? documentation ?? "").trim();
    const position = this.#open(code.replace(/\w*\|(?=[^|]*$)/, `${name}|`));
    return { name, type: detail ?? "", documentation: shown || await this.#documentation(position) };
  }

  /** The messages of the type errors of this code. */
  async errors(code: string): Promise<string[]> {
    const { textDocument } = this.#open(`${code}|`);
    const { items } = await this.#ask("textDocument/diagnostic", { textDocument });
    return items.filter(({ severity }: any) => severity === 1).map(({ message }: any) => message);
  }

  async close(): Promise<void> {
    const ended = once(this.#server, "close");
    await this.#ask("shutdown", undefined);
    this.#send({ method: "exit" });
    await ended;
  }

  async #list(code: string): Promise<any[]> {
    const position = this.#open(code);
    const list = await this.#ask("textDocument/completion", { ...position, context: { triggerKind: 1 } });
    return list?.items ?? list ?? [];
  }

  async #hover(position: Position): Promise<Hover | undefined> {
    const hover = await this.#ask("textDocument/hover", position);
    if (hover === null) return undefined;
    const [, type = "", documentation = ""] = /^```\w*\n(.*?)\n```\n*(.*)$/s.exec(hover.contents.value) ?? [];
    return { type, documentation: documentation.trim() };
  }

  /**
   * Comment of the declaration: TypeScript 7.0 shows no comments of members of mapped types (typescript-go#3659), but
   * it knows where they are declared, and all other versions show the comment that is found there.
   */
  async #documentation(position: Position): Promise<string> {
    const [declaration] = [await this.#ask("textDocument/definition", position)].flat();
    if (!declaration) return "";
    const { uri, range } = declaration;
    return (await this.#hover({ textDocument: { uri }, position: range.start }))?.documentation ?? "";
  }

  #open(code: string): Position {
    const at = code.lastIndexOf("|");
    const before = code.slice(0, at).split("\n");
    const uri = new URL(`test/shown${this.#modules += 1}.ts`, root).href;
    const text = code.slice(0, at) + code.slice(at + 1);
    this.#send({
      method: "textDocument/didOpen",
      params: { textDocument: { uri, languageId: "typescript", version: 1, text } },
    });
    const position = { line: before.length - 1, character: before.at(-1)!.length };
    return { textDocument: { uri }, position };
  }

  #ask(method: string, params: unknown): Promise<any> {
    const id = this.#asked += 1;
    this.#send({ id, method, params });
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #send(message: object): void {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    this.#server.stdin!.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const head = this.#received.indexOf("\r\n\r\n");
      if (head < 0) return;
      const size = Number(/Content-Length: (\d+)/i.exec(this.#received.toString("latin1", 0, head))![1]);
      const end = head + 4 + size;
      if (this.#received.length < end) return;
      const answer: Answer = JSON.parse(this.#received.toString("utf8", head + 4, end));
      this.#received = this.#received.subarray(end);
      this.#answer(answer);
    }
  }

  /** The server makes requests, too, for settings and file watchers; null declines them. */
  #answer({ id, method, result, error }: Answer): void {
    if (method !== undefined) {
      if (id !== undefined) this.#send({ id, result: null });
      return;
    }
    const waiting = this.#waiting.get(id!);
    this.#waiting.delete(id!);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error.message));
  }
}

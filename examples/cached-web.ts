// A web server whose pages are slow to make. GET /name returns a page from the cache, or makes it: among all processes,
// one at a time makes it, and an old page is returned while a new one is made. POST /name puts a job into a queue, which
// a worker in each process takes: it makes the page anew.
//
//     REDIS=localhost:6379 PORT=8080 node dist/examples/cached-web.js
//     curl http://localhost:8080/news; curl -X POST http://localhost:8080/news
//
// Kill Redis: requests get a 503 at once. Start it again, and all works again.

import { createServer } from "node:http";
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { RedisError, RedisQueue, json, lazyConnectionPool } from "../redis.ts";

const { REDIS = "localhost:6379", PORT = "8080" } = process.env;
const [host = "localhost", port = "6379"] = REDIS.split(":");

type Page = { name: string; version: number };

// Lazy, so that the web server starts whether Redis is there or not.
const db = lazyConnectionPool({ host, port: Number(port), poolsize: 4, replyTimeout: 1_000 });
const cached = db.with({ cache: 10_000 });
const stopping = new AbortController();
const jobs = new RedisQueue<string>(db.with({ signal: stopping.signal }), "pages:jobs");
const pages = { ttl: 60_000, stale: 600_000, jitter: 0.1, serializer: json };

/** Stands for a slow database. It counts in Redis how often a page is made. */
async function make(name: string): Promise<Page | undefined> {
  if (name === "missing") return undefined;
  const version = await db.incr(`pages:made:${name}`);
  await sleep(100);
  return { name, version };
}

type Answer = { status: number; body?: string; headers?: Record<string, string> };

async function respond({ method, url }: IncomingMessage): Promise<Answer> {
  const name = decodeURIComponent(url!.slice(1));
  if (method === "GET") {
    const page = await cached.remember(`page:${name}`, pages, () => make(name));
    return page === undefined ? { status: 404 } : { status: 200, body: JSON.stringify(page) };
  }
  if (method !== "POST") return { status: 405, headers: { allow: "GET, POST" } };
  await jobs.put(name);
  return { status: 202 };
}

function failure(error: unknown): Answer {
  if (error instanceof URIError) return { status: 400, body: "write % in a name as %25\n" };
  console.error(String(error));
  if (error instanceof RedisError && error.unavailable) return { status: 503, headers: { "retry-after": "1" } };
  return { status: 500 };
}

/** Takes jobs until the server stops. A job is lost if the process dies after taking it: then the page stays old. */
async function work(): Promise<void> {
  while (!stopping.signal.aborted) {
    try {
      const name = await jobs.get();
      if (name === undefined) continue;
      await db.forget(`page:${name}`); // what is being made now is not stored
      await db.remember(`page:${name}`, pages, () => make(name));
    } catch (error) {
      if (stopping.signal.aborted) return;
      console.error(String(error));
      await sleep(200); // Redis may be down
    }
  }
}

const server = createServer(async (request, response) => {
  const { status, body, headers } = await respond(request).catch(failure);
  if (!server.listening) response.setHeader("connection", "close"); // else an open connection keeps the process alive
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${PORT}`));
const working = work();

// Open requests are answered and the job is finished; then nothing keeps the process alive.
process.once("SIGTERM", () => server.close(async () => {
  stopping.abort();
  await working;
  await db.disconnect();
}));

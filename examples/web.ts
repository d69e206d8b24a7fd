// A web server over shards: GET, PUT (or POST) and DELETE of /name read, write and delete the key `name` in Redis.
//
//     REDIS_HOSTS=localhost:6379,localhost:6380 PORT=8080 node dist/examples/web.js
//     curl -T photo.jpg http://localhost:8080/photo
//
// Kill one of the Redis servers: requests for its keys get a 503 at once, and all other requests still work. Start it
// again, and requests for its keys work again.

import { createServer } from "node:http";
import type { IncomingMessage } from "node:http";
import { RedisError, lazyShardedConnectionPool } from "../redis.ts";

const { REDIS_HOSTS = "localhost:6379", PORT = "8080" } = process.env;
const MAX_BYTES = 16 * 2 ** 20; // without a limit, one client could exhaust the memory

// Lazy, so that the web server starts whether Redis is there or not; charset null, because values are bytes.
const db = lazyShardedConnectionPool(REDIS_HOSTS.split(","), { charset: null, replyTimeout: 1_000 });

type Answer = { status: number; body?: string | Buffer; headers?: Record<string, string> };
const MISSING: Answer = { status: 404, body: "there is no such key\n" };

async function respond(request: IncomingMessage): Promise<Answer> {
  const key = decodeURIComponent(request.url!.slice(1));
  if (request.method === "GET") {
    const value = await db.get(key);
    return value === null ? MISSING : { status: 200, body: value };
  }
  if (request.method === "PUT" || request.method === "POST") {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of request) if ((size += chunk.length) <= MAX_BYTES) chunks.push(chunk);
    if (size > MAX_BYTES) return { status: 413 };
    await db.set(key, Buffer.concat(chunks));
    return { status: 200 };
  }
  if (request.method === "DELETE") return await db.del(key) === 0 ? MISSING : { status: 200 };
  return { status: 405, headers: { allow: "GET, PUT, POST, DELETE" } };
}

function failure(error: unknown): Answer {
  if (error instanceof URIError) return { status: 400, body: "write % in a name as %25\n" };
  console.error(String(error));
  // The server of this key is down. If the request timed out, it may have been executed; repeating it does no harm.
  if (error instanceof RedisError && error.unavailable) return { status: 503, headers: { "retry-after": "1" } };
  return { status: 500 };
}

const server = createServer(async (request, response) => {
  const { status, body, headers } = await respond(request).catch(failure);
  if (!server.listening) response.setHeader("connection", "close"); // else an open connection keeps the process alive
  response.writeHead(status, { "content-type": "application/octet-stream", ...headers }).end(body);
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${PORT}`));

// Open requests are answered, then pending commands; then nothing keeps the process alive.
process.once("SIGTERM", () => server.close(() => db.disconnect()));

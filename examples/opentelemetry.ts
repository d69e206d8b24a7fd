// OpenTelemetry spans of commands, pipelines and transactions, by the names of its conventions for databases.
//
//     traceRedis(trace.getTracer("redis.ts"));

import { subscribe } from "node:diagnostics_channel";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { Span, Tracer } from "@opentelemetry/api";
import { ReplyError, RedisError } from "../redis.ts";
import type { CommandTrace } from "../redis.ts";

/** "PIPELINE GET" if all commands of a batch are alike. */
function nameOf({ command, commands, batchMode }: CommandTrace): string {
  const isUniform = batchMode !== undefined && new Set(commands).size === 1;
  return isUniform ? `${command} ${commands[0]}` : command;
}

/** Makes a span for each; its parent is the span that is active where the command is called. */
export function traceRedis(tracer: Tracer): void {
  const spans = new WeakMap<object, Span>();
  const start = (message: unknown): void => {
    const about = message as CommandTrace;
    const name = nameOf(about);
    const attributes = {
      "db.system.name": "redis",
      "db.operation.name": name,
      "db.namespace": String(about.database),
      "server.address": about.serverAddress,
      ...about.serverPort === undefined || about.serverPort === 6379 ? {} : { "server.port": about.serverPort },
      ...about.batchSize === undefined ? { "db.query.text": [about.command, ...about.args].join(" ") }
        : about.batchSize === 1 ? {} : { "db.operation.batch.size": about.batchSize },
    };
    spans.set(about, tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }));
  };
  const end = (message: unknown): void => {
    const { error, node, attempts } = message as CommandTrace;
    const span = spans.get(message as CommandTrace);
    if (span === undefined) return;
    const colon = node.lastIndexOf(":");
    if (colon > 0) span.setAttributes({ "network.peer.address": node.slice(0, colon), "network.peer.port": Number(node.slice(colon + 1)) });
    if (attempts > 1) span.setAttribute("redis.attempts", attempts);
    if (error instanceof RedisError) {
      span.setAttribute("error.type", error.code);
      if (error instanceof ReplyError) span.setAttribute("db.response.status_code", error.code);
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    }
    span.end();
  };
  for (const kind of ["command", "batch"]) {
    subscribe(`tracing:redis.ts:${kind}:start`, start);
    subscribe(`tracing:redis.ts:${kind}:asyncEnd`, end);
  }
}

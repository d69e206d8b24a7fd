// Draws the results as bars: each client's throughput as a share of a plain socket's. The colours suit light and dark pages.

import { groups } from "./workloads.mjs";

const colours = {
  "redis.ts": "#e5484d",
  ioredis: "#3e8fd0",
  "node-redis": "#3aa76d",
  iovalkey: "#8e7cc3",
  "valkey-glide": "#c8963e",
  bun: "#8b949e",
};
const [left, right, width, bar] = [270, 60, 760, 5];
const scale = width - left - right;

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const text = (x, y, content, more = "") => `<text x="${x}" y="${y}"${more}>${escape(content)}</text>`;
const rect = (x, y, width, height, colour) =>
  `<rect x="${x}" y="${y}" width="${width.toFixed(1)}" height="${height}" fill="${colour}"/>`;

function legend(clients, y) {
  const at = (n) => 130 + n * 100;
  return clients.map((client, n) => rect(at(n), y - 8, 8, 8, colours[client]) + text(at(n) + 12, y, client));
}

function bars(about, { floor, ...measured }, y) {
  const { "redis.ts": ours, ...others } = measured;
  const fastest = Math.max(...Object.values(others).map(({ value = 0 }) => value));
  const drawn = Object.entries(measured).filter(([, { value }]) => value);
  const middle = y + (drawn.length * bar) / 2 + 4;
  return [
    text(left - 8, middle, about, ' text-anchor="end"'),
    ...drawn.map(([client, { value }], n) =>
      rect(left, y + n * bar, Math.min(1, value / floor.value) * scale, bar - 1, colours[client])),
    text(width - right + 8, middle, `${(ours.value / fastest).toFixed(1)} x`),
  ];
}

export function picture({ versions, runtimes, server, machine, date, results }) {
  const shown = Object.keys(groups.main).filter((workload) => results[workload]?.floor && results[workload]["redis.ts"]?.value);
  const clients = Object.keys(colours).filter((client) => versions[client]);
  const step = clients.length * bar + 12;
  const bottom = 52 + shown.length * step;
  const drawn = [
    text(130, 14, "Throughput as a share of a plain socket's in the same run; x: redis.ts to the fastest other client"),
    ...legend(clients, 34),
    ...shown.flatMap((workload, n) => bars(groups.main[workload].about, results[workload], 52 + n * step)),
    `<path d="M${left - 0.5} 46V${bottom}M${left + scale + 0.5} 46V${bottom}" stroke="#6e7781" fill="none"/>`,
    text(8, bottom + 18, clients.map((client) => `${client} ${versions[client]}`).join(", ")),
    text(8, bottom + 34, `${runtimes.join(", ")}; server ${server}; ${machine}; ${date}`),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + 44}" width="${width}"
 font-family="system-ui, sans-serif" font-size="12" fill="#6e7781">
${drawn.join("\n")}
</svg>
`;
}

// Other clients, as the fault scenarios use them (test/oracle.ts: Adapter): `npm run faults -- R02 --client ioredis`.
// To grade one more, add an entry and its package. Each has its defaults, but for what the scenario asks for; an "error"
// listener, without which these two end the process; and where it has none, no deadline.

const host = "127.0.0.1";
const quiet = (client) => client.on("error", () => {});

export const adapters = {
  ioredis: {
    name: "ioredis",
    async open({ port, ca, db = 0, user, timeout, connectTimeout }) {
      const { Redis } = await import("ioredis");
      return quiet(new Redis({
        host, port, db, username: user?.name, password: user?.password, ...(ca ? { tls: { ca } } : {}),
        ...(timeout ? { commandTimeout: timeout } : {}), ...(connectTimeout ? { connectTimeout } : {}),
      }));
    },
    call: (client, [name, ...args]) => client.call(name, ...args),
    close: (client) => client.disconnect(),
    multi: async (client, commands) => (await client.multi(commands.map(([name, ...args]) => [name.toLowerCase(), ...args]))
      .exec()).map(([error, reply]) => error ?? reply),
  },
  "node-redis": {
    name: "node-redis",
    async open({ port, ca, db = 0, user, timeout, connectTimeout }) {
      const { createClient } = await import("redis");
      const client = quiet(createClient({
        socket: { host, port, ...(ca ? { tls: true, ca } : {}), ...(connectTimeout ? { connectTimeout } : {}) },
        database: db, username: user?.name, password: user?.password, ...(timeout ? { commandOptions: { timeout } } : {}),
      }));
      client.connect().catch(() => {}); // told by the listener, and tried again
      return client;
    },
    aborts: true,
    call: (client, args, { signal } = {}) => client.sendCommand(args, signal && { abortSignal: signal }),
    close: (client) => client.destroy(),
    multi: (client, commands) => commands.reduce((multi, args) => multi.addCommand(args), client.multi()).exec(),
  },
};

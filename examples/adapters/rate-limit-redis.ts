// The sendCommand of rate-limit-redis 6, the store of express-rate-limit, over any redis.ts handler:
//
//     const store = new RedisStore({ sendCommand: sendCommand(db) });
//     app.use(rateLimit({ windowMs: 60_000, limit: 100, store }));
//
// (...words) => db.call(...words) is nearly enough. But the store loads its scripts when it is made, and keeps the
// result for good: also an error, if Redis is away. The result is the script's digest, so it gets that instead; when
// Redis is back, it says NOSCRIPT, and the store loads the script again.

import { createHash } from "node:crypto";
import { RedisError } from "../../redis.ts";

type Reply = boolean | number | string | (boolean | number | string)[];

export const sendCommand = (db: { call(...words: string[]): Promise<unknown> }) =>
  async (...words: string[]): Promise<Reply> => {
    try {
      return await db.call(...words) as Reply;
    } catch (error) {
      const [command, subcommand, script] = words;
      if (command !== "SCRIPT" || subcommand !== "LOAD") throw error;
      if (!(error instanceof RedisError) || !error.unavailable) throw error;
      return createHash("sha1").update(script!).digest("hex");
    }
  };

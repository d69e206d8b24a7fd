// What tests do with handlers and promises, of whatever kind.

import assert from "node:assert/strict";

/** What a promise is rejected with. */
export const failure = async (promise: unknown): Promise<any> => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: "this should have been rejected" });
};

/** Gives a handler to `use` and closes it, whatever happens. */
export async function using<H extends { destroy(): void }, T>(db: H, use: (db: H) => Promise<T>): Promise<T> {
  try {
    return await use(db);
  } finally {
    db.destroy();
  }
}

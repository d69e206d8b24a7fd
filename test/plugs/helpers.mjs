/** Starts servers, which end with the test. */
export async function started(t, Kind, options) {
  const servers = await Kind.start(options);
  t.after(() => servers.stop());
  return servers;
}

/** A handler, or another thing, that is closed with the test. */
export function closing(t, open) {
  t.after(() => open.disconnect());
  return open;
}

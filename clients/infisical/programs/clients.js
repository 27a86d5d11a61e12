// The libraries of one generation and the connections that Infisical makes with them. The generation is the program's
// argument: `today` (BullMQ 5, ioredis 5, Fastify 4) or `next` (BullMQ 6, ioredis 6, Fastify 5), each a folder with a lock file.

import { createRequire } from "node:module";

export const GENERATION = process.argv[2] ?? "today";

const require = createRequire(new URL(`../${GENERATION}/package.json`, import.meta.url));

/** A library of this generation. */
export const library = require;

const { Redis } = library("ioredis");

/** A connection as Infisical's factory makes it: commands wait for the server as long as it takes. */
export function connect(url) {
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  // Without a listener a refused connection is printed by ioredis; a killed server refuses many.
  redis.on("error", () => {});
  return redis;
}

/** A connection that ends with the case. */
export function connectFor(context) {
  const redis = connect(context.server.url);
  context.defer(() => redis.disconnect());
  return redis;
}

/** Every case begins with an empty database, emptied as Infisical's own end-to-end tests do it. */
export async function emptyDatabase(context) {
  const redis = connect(context.server.url);
  await redis.flushdb("SYNC");
  redis.disconnect();
}

/** The title of a program, with the versions that it runs. */
export function title(what, ...libraries) {
  const { dependencies } = library("./package.json");
  return `infisical/${GENERATION} ${what} (${libraries.map((name) => `${name} ${dependencies[name]}`).join(", ")})`;
}

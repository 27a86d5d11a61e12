// A Bull queue that ends with its case, and emptying the server between cases.

import { readFileSync } from "node:fs";

import Bull from "bull";
import { Redis } from "ioredis";

import { within } from "../harness/program.js";

const CLOSE_LIMIT_MS = 5_000;

const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));

/** The title of a program, with the versions that it runs. */
export function title(what, ...libraries) {
  return `neighbours ${what} (${libraries.map((name) => `${name} ${dependencies[name]}`).join(", ")})`;
}

/** A queue with the three connections that Bull gives each. */
export function queueFor(context, name, options = {}) {
  const queue = new Bull(name, context.server.url, options);
  queue.on("error", () => {});
  // Each call of `finished` listens for itself.
  queue.setMaxListeners(0);
  // A job that waits for its work would keep the queue from closing.
  context.defer(() => within(CLOSE_LIMIT_MS, "closing the queue", queue.close(true)));
  return queue;
}

/** A plain connection that ends with the case. */
export function connectFor(context) {
  const redis = new Redis(context.server.url, { maxRetriesPerRequest: null });
  redis.on("error", () => {});
  context.defer(() => redis.disconnect());
  return redis;
}

/** Every case begins with an empty server. */
export async function emptyServer(context) {
  const redis = new Redis(context.server.url);
  await redis.flushall();
  redis.disconnect();
}

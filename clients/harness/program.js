// Runs a program: named cases in order against one server, each with a time limit, and a closing line
// `N passed, N failed`. The exit code is 1 if any case failed. ONLY=<part of a name> runs fewer cases.

import { Server } from "./server.js";

const CASE_LIMIT_MS = 60_000;
const CLEANUP_LIMIT_MS = 10_000;

/**
 * What a case gets: the running server, the program's title (for messages) and `defer`, which registers clean-up that
 * runs in reverse order whether the case passes or not.
 */
class Context {
  #cleanups = [];

  constructor(server) {
    this.server = server;
  }

  defer(cleanup) {
    this.#cleanups.push(cleanup);
  }

  async cleanUp() {
    for (const cleanup of this.#cleanups.reverse()) {
      await within(CLEANUP_LIMIT_MS, "clean-up", Promise.resolve().then(cleanup));
    }
  }
}

/**
 * Runs `cases` (name → async function of a Context). `before_each` prepares the server for a case;
 * `limit_ms` bounds each case.
 */
export async function program(title, cases, { before_each = async () => {}, limit_ms = CASE_LIMIT_MS } = {}) {
  const counts = { passed: 0, failed: 0 };
  const report = (name, error) => {
    counts[error ? "failed" : "passed"] += 1;
    console.log(error ? `  FAIL ${name}\n${indent(describe(error))}` : `  ok   ${name}`);
  };
  // An error that nobody awaited belongs to the case that was running.
  let stray = null;
  process.on("unhandledRejection", (error) => (stray ??= error));
  console.log(title);
  let server;
  try {
    server = await Server.start();
    for (const [name, run] of Object.entries(cases)) {
      if (process.env.ONLY && !name.includes(process.env.ONLY)) continue;
      stray = null;
      report(name, (await attempt(server, run, before_each, limit_ms)) ?? stray);
    }
  } catch (error) {
    report("the server starts", error);
  }
  await server?.stop();
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);
}

/** Runs one case with its clean-up; returns what went wrong, or null. */
async function attempt(server, run, before_each, limit_ms) {
  const context = new Context(server);
  let failure = null;
  const note = (error) => (failure ??= error);
  await within(limit_ms, "the case", before_each(context).then(() => run(context))).catch(note);
  await context.cleanUp().catch(note);
  // A case that failed between a kill and a restart must not take the following ones with it.
  await server.restart().catch((error) => error.message.includes("already running") || note(error));
  return failure;
}

/** Rejects once `limit_ms` have passed without `promise` settling. */
export async function within(limit_ms, what, promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${limit_ms} ms`)), limit_ms);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function describe(error) {
  if (!(error instanceof Error)) return String(error);
  // The assertion's own message shows the difference; of the stack the program's own lines are enough.
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line) && !/node:|node_modules/.test(line));
  return [error.message, ...frames.slice(0, 4)].join("\n");
}

function indent(text) {
  return text.replace(/^/gm, "       ");
}

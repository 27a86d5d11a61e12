// Reproduces Infisical's background queues (secret syncs, webhooks) at full pace on BullMQ: jobs are added one by one from
// 50 places at once while a worker with room for 50 completes and removes them. bench/run measures the server meanwhile.
//
//   node bench/jobs.mjs PORT JOBS WARM_UP
//
// Prints `ready` after the warm-up, waits for a line, runs the jobs, prints the seconds from first add to last completion.
// Ends with 1 if a job did not run exactly once with its own data.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../clients/infisical/today/package.json", import.meta.url));
const { Queue, Worker } = require("bullmq");

const ADDERS = 50;
const CONCURRENCY = 50;
const [port, jobs, warm_up] = process.argv.slice(2).map(Number);
const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };

const queue = new Queue("secret-sync", { connection });
let ran = new Map();
let wanted = 0;
let done = () => {};
const worker = new Worker("secret-sync", async (job) => job.data.secret.length, { connection, concurrency: CONCURRENCY });
worker.on("completed", (job, length) => {
  ran.set(job.data.index, (ran.get(job.data.index) ?? 0) + (length === 64 ? 1 : 2));
  if (ran.size === wanted) done();
});
worker.on("failed", (_, error) => abort(error));
worker.on("error", abort);

function abort(error) {
  console.error(error);
  process.exit(1);
}

async function run(count) {
  ran = new Map();
  wanted = count;
  const all = new Promise((resolve) => (done = resolve));
  let next = 0;
  const add = async () => {
    while (next < count) await queue.add("sync", { index: next++, secret: "s".repeat(64) }, { removeOnComplete: true });
  };
  const began_ms = performance.now();
  await Promise.all([...Array.from({ length: ADDERS }, add), all]);
  const seconds = (performance.now() - began_ms) / 1000;
  if ([...ran.values()].some((times) => times !== 1)) abort(new Error("a job ran twice or with another's data"));
  return seconds;
}

await worker.waitUntilReady();
await run(warm_up);
console.log("ready");
for await (const _ of createInterface({ input: process.stdin })) break;
console.log(await run(jobs));
const left = await queue.getJobCounts();
if (Object.values(left).some((count) => count > 0)) abort(new Error(`jobs are left: ${JSON.stringify(left)}`));
process.exit(0);

// A worker process of the kill loop: it runs up to 100 jobs at once and tells its parent which began, ended and stalled.
// It is ended by SIGKILL only. Arguments: the generation, the server's URL.

import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { connect, library } from "./clients.js";

export const QUEUE = "secret-sync";

/**
 * Locks short enough for the jobs of a lost worker to be found within seconds; the stalled count lies far above the
 * number of kills, because a job may be active at each of them.
 */
const OPTIONS = { concurrency: 100, lockDuration: 3000, stalledInterval: 1000, maxStalledCount: 20 };

async function run(url) {
  const { UnrecoverableError, Worker } = library("bullmq");
  const worker = new Worker(
    QUEUE,
    async (job) => {
      process.send(["began", job.id]);
      if (job.data?.work_ms === undefined) throw new UnrecoverableError(`the data of ${job.id} is gone`);
      await sleep(job.data.work_ms);
      if (job.attemptsMade < job.data.failures) throw new Error("refused at first");
      process.send(["processed", job.id]);
      return job.id;
    },
    { connection: connect(url), ...OPTIONS },
  );
  worker.on("error", () => {});
  worker.on("completed", (job) => process.send(["completed", job.id]));
  worker.on("stalled", (id) => process.send(["stalled", id]));
  await worker.waitUntilReady();
  process.send(["ready"]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // The parent's end must not leave a worker behind.
  process.on("disconnect", () => process.exit(0));
  await run(process.argv[3]);
}

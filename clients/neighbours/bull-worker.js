// A worker process of the kill loop. It tells its parent which jobs began, ended and were completed, and is ended by SIGKILL
// only. Argument: the server's URL.

import { setTimeout as sleep } from "node:timers/promises";

import Bull from "bull";

export const QUEUE = "kill-loop";
const CONCURRENCY = 50;

/** Locks short enough for the jobs of a lost worker to be found within seconds; a job may stall at each of the kills. */
export const SETTINGS = { lockDuration: 2000, lockRenewTime: 500, stalledInterval: 500, guardInterval: 500, maxStalledCount: 20 };

if (process.send && process.argv[2]) {
  const queue = new Bull(QUEUE, process.argv[2], { settings: SETTINGS });
  queue.on("error", () => {});
  queue.on("completed", (job) => process.send(["completed", job.id]));
  queue.process(CONCURRENCY, async (job) => {
    process.send(["began", job.id]);
    await sleep(job.data.work_ms);
    if (job.attemptsMade < job.data.failures) throw new Error("refused at first");
    process.send(["processed", job.id]);
  });
  // The parent's end must not leave a worker behind.
  process.on("disconnect", () => process.exit(0));
  await queue.isReady();
  process.send(["ready"]);
}

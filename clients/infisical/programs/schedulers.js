// Reproduces Infisical's repeated work and its boot: job schedulers (cron patterns in UTC and intervals), the removal of
// repeatable jobs of earlier releases (BullMQ 5 alone still has them), and stale queues that are obliterated by force.

import assert from "node:assert/strict";

import { program } from "../../harness/program.js";
import { eventually } from "../../harness/wait.js";
import { Bull, reaches, settles, submit } from "./bullmq.js";
import { emptyDatabase, GENERATION, library, title } from "./clients.js";

const SCHEDULER = "jsv1:pki-subscriber";
const TEMPLATE = { name: "pki-subscriber-daily-auto-renewal", data: { source: "cron" }, opts: { removeOnComplete: true, removeOnFail: true } };
const INTERVAL_MS = 150;
const DAY_MS = 86_400_000;

const cases = {
  async "an interval runs again and again until it is removed"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("pki-subscriber");
    const seen = [];
    const worker = bull.worker("pki-subscriber", async (job) => seen.push([job.name, job.data.source]));
    await queue.upsertJobScheduler(SCHEDULER, { every: INTERVAL_MS }, TEMPLATE);
    await eventually("four runs", () => worker.began.length >= 4);
    assert.deepEqual(seen[3], [TEMPLATE.name, "cron"]);
    // A run's id ends with the time that it is due; that is exact, however late a busy machine begins it.
    const due_ms = worker.began.map((job) => Number(job.id.split(":").at(-1)));
    for (const [index, due] of due_ms.entries()) {
      assert.ok(worker.began[index].wall_ms >= due - 1, `run ${index} began early`);
      assert.ok(index === 0 || due - due_ms[index - 1] >= INTERVAL_MS, `runs are due at ${due_ms}`);
    }
    assert.equal(await queue.removeJobScheduler(SCHEDULER), true);
    assert.equal(await queue.removeJobScheduler(SCHEDULER), false);
    assert.deepEqual(await queue.getJobSchedulers(), []);
    await settles(queue);
  },

  async "a cron pattern in UTC has one delayed job at its next time"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("pki-subscriber");
    for (let boot = 0; boot < 3; boot += 1) await queue.upsertJobScheduler(SCHEDULER, { pattern: "0 0 * * *", utc: true }, TEMPLATE);
    const midnight_ms = (Math.floor(Date.now() / DAY_MS) + 1) * DAY_MS;
    const [scheduler, ...others] = await queue.getJobSchedulers();
    assert.equal(others.length, 0);
    assert.equal(scheduler.pattern, "0 0 * * *");
    assert.equal(scheduler.next, midnight_ms);
    const delayed = await queue.getDelayed();
    assert.deepEqual(delayed.map((job) => job.id), [`repeat:${SCHEDULER}:${midnight_ms}`]);
    assert.deepEqual(delayed[0].data, { source: "cron" });
  },

  async "nodes that boot together make one scheduler, the last definition wins"(context) {
    const bull = new Bull(context);
    const nodes = Array.from({ length: 8 }, () => bull.queue("pki-subscriber"));
    await Promise.all(nodes.map((queue) => queue.upsertJobScheduler(SCHEDULER, { pattern: "*/5 * * * *", utc: true }, TEMPLATE)));
    await nodes[0].upsertJobScheduler(SCHEDULER, { pattern: "0 3 * * *", utc: true }, { ...TEMPLATE, data: { source: "new" } });
    const schedulers = await nodes[1].getJobSchedulers();
    assert.deepEqual(schedulers.map(({ key, pattern }) => [key, pattern]), [[SCHEDULER, "0 3 * * *"]]);
    const delayed = await nodes[1].getDelayed();
    assert.deepEqual(delayed.map((job) => job.data), [{ source: "new" }]);
  },

  async "schedulers go on after a kill -9"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("pki-subscriber");
    const worker = bull.worker("pki-subscriber");
    await queue.upsertJobScheduler("jsv1:nightly", { pattern: "0 0 * * *", utc: true }, TEMPLATE);
    await queue.upsertJobScheduler(SCHEDULER, { every: INTERVAL_MS }, TEMPLATE);
    await eventually("two runs", () => worker.began.length >= 2);
    await context.server.crash();
    const before = worker.began.length;
    await eventually("three more runs", () => worker.began.length >= before + 3);
    assert.deepEqual((await queue.getJobSchedulers()).map(({ key }) => key).sort(), ["jsv1:nightly", SCHEDULER]);
    assert.equal((await queue.getDelayed()).filter((job) => job.id.startsWith("repeat:jsv1:nightly:")).length, 1);
  },

  async "stale queues are obliterated by force, all at once, also with active jobs"(context) {
    const bull = new Bull(context);
    const names = Array.from({ length: 16 }, (_, index) => `stale-${index}`);
    const queues = names.map((name) => bull.queue(name));
    await Promise.all(queues.flatMap((queue) => Array.from({ length: 30 }, (_, index) => {
      return submit(queue, `job-${index}`, {}, index % 3 === 0 ? { delay: 60_000 } : index % 3 === 1 ? { priority: 2 } : {});
    })));
    await Promise.all(queues.map((queue) => queue.upsertJobScheduler("jsv1:old", { pattern: "0 0 * * *" }, TEMPLATE)));
    const lost = bull.worker(names[0], () => new Promise(() => {}));
    await eventually("an active job", async () => (await queues[0].getActiveCount()) === 1);
    await lost.close(true);
    await assert.rejects(queues[0].obliterate(), { message: /Cannot obliterate queue with active jobs/ });
    await Promise.all(queues.map((queue) => queue.obliterate({ force: true })));
    assert.deepEqual(await bull.connection.keys("bull:stale-*"), []);
  },

  async "a queue that never was is obliterated without complaint"(context) {
    const queue = new Bull(context).queue("queue-internal-recovery");
    await queue.obliterate({ force: true });
    assert.equal(await queue.removeJobScheduler("jsv1:none"), false);
  },
};

const legacy = {
  async "repeatable jobs of earlier releases are listed, and removed for a scheduler"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("ca-auto-renewal");
    const job = await queue.add("daily", { source: "legacy" }, { repeat: { pattern: "0 0 * * *", utc: true, key: "ca-auto-renewal" } });
    await queue.add("hourly", {}, { repeat: { every: 3_600_000 }, jobId: "hourly" });
    const repeatables = await queue.getRepeatableJobs();
    assert.equal(repeatables.length, 2);
    assert.equal((await queue.getDelayed()).length, 2);
    assert.ok((await queue.getJob(job.id)).repeatJobKey);
    for (const { key } of repeatables) assert.equal(await queue.removeRepeatableByKey(key), true);
    assert.equal(await queue.removeRepeatableByKey(repeatables[0].key), false);
    await queue.upsertJobScheduler("jsv1:ca-daily-auto-renewal", { pattern: "0 0 * * *", utc: true }, TEMPLATE);
    const delayed = await queue.getDelayed();
    assert.deepEqual(delayed.map(({ id }) => id.startsWith("repeat:jsv1:ca-daily-auto-renewal:")), [true]);
    await assert.rejects(delayed[0].remove(), { message: /belongs to a job scheduler/ });
    await reaches(queue, delayed[0].id, "delayed");
  },
};

const has_repeatables = typeof library("bullmq").Queue.prototype.getRepeatableJobs === "function";
assert.equal(has_repeatables, GENERATION === "today", "repeatable jobs ended with BullMQ 6");

await program(title("schedulers", "bullmq", "ioredis"), has_repeatables ? { ...cases, ...legacy } : cases, { before_each: emptyDatabase });

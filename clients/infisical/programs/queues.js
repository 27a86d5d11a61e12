// Reproduces Infisical's background queues on BullMQ: secret syncs, webhooks, rotations. Delays, priorities, retries with
// exponential backoff, stalled jobs, rate limits, flows, bounded history, and what is left of them after a kill -9.

import assert from "node:assert/strict";

import { program } from "../../harness/program.js";
import { eventually } from "../../harness/wait.js";
import { Bull, reaches, settles, STALL_OPTIONS, submit } from "./bullmq.js";
import { emptyDatabase, title } from "./clients.js";

const jobs = {
  async "a job's data arrives unchanged, and the job is gone when it is done"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("secret-sync");
    const data = { path: "/é/😀\u0000", value: "\"\\\r\n", big: "s".repeat(200_000), none: null, deep: [1, [2.5, { a: -1e21 }]] };
    let seen = null;
    await submit(queue, "sync-1", data);
    bull.worker("secret-sync", async (job) => (seen = job.data));
    await eventually("the job ran", () => seen);
    assert.deepEqual(seen, data);
    await reaches(queue, "sync-1", "unknown");
    await settles(queue);
  },

  async "the same id twice is one job"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("secret-webhook");
    await Promise.all(Array.from({ length: 50 }, (_, index) => submit(queue, `webhook-${index % 5}`, { index })));
    assert.equal(await queue.getWaitingCount(), 5);
    const worker = bull.worker("secret-webhook");
    await settles(queue);
    assert.equal(worker.began.length, 5);
  },

  async "a thousand jobs in bulk run in order"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("audit-log");
    const bulk = Array.from({ length: 1000 }, (_, index) => ({ name: "log", data: { index }, opts: { jobId: `log-${index}`, removeOnComplete: true } }));
    assert.equal((await queue.addBulk(bulk)).length, 1000);
    const worker = bull.worker("audit-log");
    await settles(queue);
    assert.deepEqual(worker.began.map(({ id }) => id), bulk.map(({ opts }) => opts.jobId));
  },

  async "several workers share the work, each job once"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("access-token-status-update");
    const workers = [1, 2, 3].map(() => bull.worker(queue.name, async () => {}, { concurrency: 20 }));
    await Promise.all(Array.from({ length: 900 }, (_, index) => submit(queue, `token-${index}`)));
    await settles(queue);
    const ids = workers.flatMap((worker) => worker.began.map(({ id }) => id));
    assert.equal(ids.length, 900);
    assert.equal(new Set(ids).size, 900);
  },

  async "history keeps the last few"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("pki-sync");
    bull.worker("pki-sync", async (job) => job.data.index);
    // Letters keep the order of jobs that end within the same millisecond.
    for (let index = 0; index < 12; index += 1) await submit(queue, `sync-${"abcdefghijkl"[index]}`, { index }, { removeOnComplete: { count: 5 } });
    await settles(queue);
    const kept = await queue.getCompleted();
    assert.deepEqual(kept.map((job) => job.returnvalue), [11, 10, 9, 8, 7]);
    assert.equal(await queue.getJobState("sync-d"), "unknown");
    assert.deepEqual(await queue.clean(0, 3, "completed").then((ids) => ids.length), 3);
    assert.equal(await queue.getCompletedCount(), 2);
  },

  async "events, progress and logs reach a listener"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("secret-scanning-v2");
    const events = await bull.events("secret-scanning-v2");
    const seen = [];
    for (const name of ["waiting", "active", "progress", "completed"]) {
      events.on(name, ({ jobId, data }) => seen.push(name === "progress" ? `${jobId} ${name} ${data}` : `${jobId} ${name}`));
    }
    const job = await submit(queue, "scan-1", {}, { removeOnComplete: false });
    bull.worker("secret-scanning-v2", async (running) => {
      await running.log("cloned");
      await running.log("scanned");
      await running.updateProgress(50);
      await running.updateData({ findings: 3 });
      return { findings: 3 };
    });
    assert.deepEqual(await job.waitUntilFinished(events, 10_000), { findings: 3 });
    await eventually("all events", () => seen.length === 4);
    assert.deepEqual(seen, ["scan-1 waiting", "scan-1 active", "scan-1 progress 50", "scan-1 completed"]);
    assert.deepEqual(await queue.getJobLogs("scan-1"), { logs: ["cloned", "scanned"], count: 2 });
    assert.deepEqual((await queue.getJob("scan-1")).data, { findings: 3 });
  },

  async "workers are found by their connections' names"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("secret-sync");
    const workers = [bull.worker("secret-sync"), bull.worker("secret-sync"), bull.worker("other")];
    await Promise.all(workers.map((worker) => worker.waitUntilReady()));
    await eventually("two workers", async () => (await queue.getWorkersCount()) === 2);
  },

  async "keys lie under the prefix that cluster mode needs"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("secret-sync", { prefix: "{secret-sync}" });
    await submit(queue, "sync-1");
    bull.worker("secret-sync", async () => {}, { prefix: "{secret-sync}" });
    await settles(queue);
    const keys = await bull.connection.keys("*");
    assert.ok(keys.length > 0 && keys.every((key) => key.startsWith("{secret-sync}:secret-sync:")), keys.join(" "));
  },
};

const order = {
  async "delayed jobs run when they are due, by time and not by arrival"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("pam-session-expiration");
    const worker = bull.worker("pam-session-expiration");
    await worker.waitUntilReady();
    const began_ms = performance.now();
    const delays_ms = [600, 200, 400, 60_000];
    for (const delay of delays_ms) await submit(queue, `session-${delay}`, {}, { delay });
    assert.deepEqual((await queue.getDelayed()).map((job) => job.id), [200, 400, 600, 60_000].map((delay) => `session-${delay}`));
    await eventually("three jobs", () => worker.began.length === 3);
    assert.deepEqual(worker.began.map(({ id }) => id), ["session-200", "session-400", "session-600"]);
    for (const [index, delay] of [200, 400, 600].entries()) {
      assert.ok(worker.began[index].at_ms - began_ms >= delay - 1, `${delay} ms: after ${worker.began[index].at_ms - began_ms}`);
    }
    await (await queue.getJob("session-60000")).promote();
    await eventually("the promoted job", () => worker.began.length === 4);
    await settles(queue);
  },

  async "priorities come first to last, equal ones in order, jobs without before all"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("certificate-issuance");
    const priorities = [5, 1, 2_097_151, 0, 3, 1, 5, 0, 3];
    for (const [index, priority] of priorities.entries()) await submit(queue, `certificate-${index}`, {}, { priority });
    assert.deepEqual(await queue.getCountsPerPriority([0, 1, 3, 5]), { 0: 2, 1: 2, 3: 2, 5: 2 });
    await (await queue.getJob("certificate-8")).changePriority({ priority: 1 });
    const worker = bull.worker("certificate-issuance");
    await settles(queue);
    assert.deepEqual(worker.began.map(({ id }) => Number(id.split("-")[1])), [3, 7, 1, 5, 8, 4, 0, 6, 2]);
  },

  async "a rate limit holds over all workers"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("user-notification");
    const limiter = { max: 5, duration: 400 };
    for (let index = 0; index < 18; index += 1) await submit(queue, `notification-${index}`);
    const workers = [1, 2].map(() => bull.worker(queue.name, async () => {}, { limiter, concurrency: 10 }));
    await settles(queue);
    const at_ms = workers.flatMap((worker) => worker.began.map((job) => job.at_ms)).sort((a, b) => a - b);
    assert.equal(at_ms.length, 18);
    // 18 jobs need four windows, so three whole ones pass before the last; a tenth is left to timers.
    assert.ok(at_ms.at(-1) - at_ms[0] >= 3 * limiter.duration * 0.9, `took only ${at_ms.at(-1) - at_ms[0]} ms`);
  },

  async "a paused queue keeps its jobs, draining empties it"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("secret-replication");
    const worker = bull.worker("secret-replication");
    await worker.waitUntilReady();
    await queue.pause();
    for (let index = 0; index < 5; index += 1) await submit(queue, `replication-${index}`);
    await submit(queue, "replication-late", {}, { delay: 60_000 });
    assert.equal(await queue.isPaused(), true);
    assert.equal(worker.began.length, 0);
    await queue.drain();
    await submit(queue, "replication-next");
    await queue.resume();
    await eventually("the job after the drain", () => worker.began.length === 1);
    assert.equal(worker.began[0].id, "replication-next");
    await (await queue.getJob("replication-late")).remove();
    await settles(queue);
  },

  async "a deduplicated job is added once while it is pending"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("sync-integrations");
    const add = (index) => queue.add("pull", { index }, { deduplication: { id: "project-1" }, removeOnComplete: true });
    const first = await add(0);
    assert.equal((await add(1)).id, first.id);
    bull.worker("sync-integrations");
    await settles(queue);
    assert.notEqual((await add(2)).id, first.id);
  },
};

const failures = {
  async "retries back off exponentially and give up after the last"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("secret-rotation-v2");
    let healthy = false;
    const worker = bull.worker("secret-rotation-v2", async (job) => {
      if (!healthy) throw new Error(`provider is down: ${job.attemptsMade}`);
      return "rotated";
    });
    const options = { attempts: 4, backoff: { type: "exponential", delay: 100 }, removeOnFail: false, removeOnComplete: false };
    await submit(queue, "rotation-1", {}, options);
    await reaches(queue, "rotation-1", "failed");
    const at_ms = worker.began.map((job) => job.at_ms);
    assert.equal(at_ms.length, 4);
    for (const [index, delay] of [100, 200, 400].entries()) {
      assert.ok(at_ms[index + 1] - at_ms[index] >= delay - 1, `retry ${index + 1} after ${at_ms[index + 1] - at_ms[index]} ms`);
    }
    const job = await queue.getJob("rotation-1");
    assert.equal(job.failedReason, "provider is down: 3");
    assert.equal(job.attemptsMade, 4);
    assert.equal(job.stacktrace.length, 4);
    healthy = true;
    await job.retry();
    await reaches(queue, "rotation-1", "completed");
    assert.equal((await queue.getJob("rotation-1")).returnvalue, "rotated");
  },

  async "a job whose worker is lost is found stalled and run again"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("dynamic-secret-revocation");
    const lost = bull.worker(queue.name, () => new Promise(() => {}), { ...STALL_OPTIONS, skipLockRenewal: true, skipStalledCheck: true });
    await submit(queue, "lease-1");
    await reaches(queue, "lease-1", "active");
    await lost.close(true);
    const stalled = [];
    const worker = bull.worker(queue.name, async () => {}, STALL_OPTIONS);
    worker.on("stalled", (id) => stalled.push(id));
    await settles(queue);
    assert.deepEqual(stalled, ["lease-1"]);
    assert.deepEqual(worker.began.map(({ id }) => id), ["lease-1"]);
  },

  async "a job that stalls too often fails"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("ca-crl-rotation");
    await submit(queue, "crl-1", {}, { removeOnFail: false });
    const options = { ...STALL_OPTIONS, skipLockRenewal: true, maxStalledCount: 0 };
    const lost = bull.worker(queue.name, () => new Promise(() => {}), { ...options, skipStalledCheck: true });
    await reaches(queue, "crl-1", "active");
    await lost.close(true);
    bull.worker(queue.name, async () => {}, options);
    await reaches(queue, "crl-1", "failed");
    assert.equal((await queue.getJob("crl-1")).failedReason, "job stalled more than allowable limit");
  },

  async "a parent waits for its children in other queues and gets their values"(context) {
    const bull = new Bull(context);
    const [parents, children, leaves] = ["ca-lifecycle", "digicert-order-polling", "pki-acme"].map((name) => bull.queue(name));
    const ran = [];
    for (const queue of [parents, children, leaves]) {
      bull.worker(queue.name, async (job) => {
        ran.push(job.id);
        const values = Object.values(await job.getChildrenValues());
        return job.data.value + values.reduce((sum, value) => sum + value, 0);
      });
    }
    const opts = (jobId) => ({ jobId, removeOnComplete: false });
    const child = (index) => ({ name: "order", queueName: children.name, data: { value: 10 ** index }, opts: opts(`child-${index}`) });
    const leaf = { name: "challenge", queueName: leaves.name, data: { value: 5 }, opts: opts("leaf") };
    await bull.flows().add({
      name: "lifecycle", queueName: parents.name, data: { value: 1000 }, opts: opts("parent"),
      children: [child(0), child(1), { ...child(2), children: [leaf] }],
    });
    await reaches(parents, "parent", "completed");
    assert.equal((await parents.getJob("parent")).returnvalue, 1116);
    assert.equal(ran.at(-1), "parent");
    assert.ok(ran.indexOf("leaf") < ran.indexOf("child-2"), ran.join(" "));
    assert.equal(ran.length, 5);
  },

  async "a child's failure fails its parent when it is asked to"(context) {
    const bull = new Bull(context);
    const [parents, children] = ["ca-lifecycle", "certificate-issuance"].map((name) => bull.queue(name));
    const parent_worker = bull.worker(parents.name);
    bull.worker(children.name, async () => assert.fail("refused"));
    const child = { name: "issue", queueName: children.name, data: {}, opts: { jobId: "child", failParentOnFailure: true } };
    await bull.flows().add({ name: "lifecycle", queueName: parents.name, data: {}, opts: { jobId: "parent" }, children: [child] });
    await reaches(children, "child", "failed");
    await reaches(parents, "parent", "failed");
    assert.equal(parent_worker.began.length, 0);
  },
};

const crashes = {
  async "waiting, delayed, prioritized, failed jobs and flows outlive a kill -9"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("secret-sync");
    const failing = bull.worker("secret-sync", async () => assert.fail("down"), {});
    await submit(queue, "failed-1", { n: 1 }, { removeOnFail: false });
    await reaches(queue, "failed-1", "failed");
    await failing.close();
    for (let index = 0; index < 40; index += 1) await submit(queue, `wait-${index}`, { index });
    for (let index = 0; index < 40; index += 1) await submit(queue, `late-${index}`, { index }, { delay: 500 + index });
    for (let index = 0; index < 40; index += 1) await submit(queue, `urgent-${index}`, { index }, { priority: 1 + (index % 4) });
    const opts = { removeOnComplete: true };
    await bull.flows().add({ name: "parent", queueName: queue.name, opts: { ...opts, jobId: "parent" }, children: [{ name: "child", queueName: queue.name, opts: { ...opts, jobId: "child" } }] });
    const before = await queue.getJobCounts();
    await context.server.crash();
    const after = await queue.getJobCounts();
    assert.equal(after.failed, 1);
    assert.equal(after["waiting-children"], 1);
    // Delayed jobs become due only when a worker looks, and there is none.
    assert.deepEqual(after, before);
    const worker = bull.worker("secret-sync", async () => {}, { concurrency: 5 });
    await settles(queue);
    assert.equal(new Set(worker.began.map(({ id }) => id)).size, 122);
    assert.equal(worker.began.length, 122);
    assert.equal((await queue.getJob("failed-1")).data.n, 1);
  },

  async "an idle worker goes on by itself after a kill -9"(context) {
    const bull = new Bull(context);
    const queue = bull.queue("secret-webhook");
    const events = await bull.events("secret-webhook");
    const worker = bull.worker("secret-webhook", async (job) => job.id);
    await submit(queue, "before");
    await eventually("the first job", () => worker.began.length === 1);
    await context.server.crash();
    const job = await submit(queue, "after", {}, { removeOnComplete: false });
    assert.equal(await job.waitUntilFinished(events, 20_000), "after");
    assert.deepEqual(worker.began.map(({ id }) => id), ["before", "after"]);
  },
};

await program(title("queues", "bullmq", "ioredis"), { ...jobs, ...order, ...failures, ...crashes }, { before_each: emptyDatabase });

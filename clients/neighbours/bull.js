// Reproduces how applications of authentik's time use Bull 4: jobs with priorities, delays and retries, repeated jobs, a rate
// limit, events that other processes hear, and the counts and lists that dashboards show.

import assert from "node:assert/strict";

import { program } from "../harness/program.js";
import { eventually } from "../harness/wait.js";
import { connectFor, emptyServer, queueFor, title } from "./queue.js";

const { deepEqual, equal, ok, rejects } = assert;
const numbers = (count) => Array.from({ length: count }, (_, n) => n);

const cases = {
  async "jobs run in order and give back their results"(context) {
    const queue = queueFor(context, "mail");
    const ran = [];
    queue.process(async (job) => {
      ran.push(job.data.n);
      await job.progress(50);
      await job.log(`number ${job.data.n}`);
      return { square: job.data.n ** 2 };
    });
    const jobs = await queue.addBulk(numbers(100).map((n) => ({ data: { n, text: "ü€😀\0\r\n" } })));
    deepEqual(await Promise.all(jobs.map((job) => job.finished())), numbers(100).map((n) => ({ square: n * n })));
    deepEqual(ran, numbers(100));
    const stored = await queue.getJob(jobs[7].id);
    deepEqual([stored.returnvalue, stored.data.text, await stored.progress(), await stored.getState()], [{ square: 49 }, "ü€😀\0\r\n", 50, "completed"]);
    deepEqual((await queue.getJobLogs(jobs[7].id)).logs, ["number 7"]);
  },

  async "priorities, LIFO and delays decide the order"(context) {
    const queue = queueFor(context, "order");
    const late = await queue.add({ name: "late" }, { delay: 300 });
    equal(await late.getState(), "delayed");
    await queue.add({ name: "plain" });
    await queue.add({ name: "low" }, { priority: 10 });
    await queue.add({ name: "high" }, { priority: 1 });
    await queue.add({ name: "last in" }, { lifo: true });
    await late.promote();
    equal(await late.getState(), "waiting");
    const soon = await queue.add({ name: "soon" }, { delay: 50 });
    const ran = [];
    queue.process(async (job) => ran.push(job.data.name));
    await soon.finished();
    await eventually("all jobs", () => ran.length === 6);
    ok(ran.indexOf("high") < ran.indexOf("low"), ran);
    deepEqual([...ran].sort(), ["high", "last in", "late", "low", "plain", "soon"]);
  },

  async "a job is tried again with backoff, and kept when it failed for good"(context) {
    const queue = queueFor(context, "retries");
    queue.process(async (job) => {
      if (job.attemptsMade < job.data.failures) throw new Error(`attempt ${job.attemptsMade}`);
      return job.attemptsMade;
    });
    const heals = await queue.add({ failures: 2 }, { attempts: 5, backoff: { type: "exponential", delay: 10 } });
    equal(await heals.finished(), 2);
    const fails = await queue.add({ failures: 9 }, { attempts: 3, backoff: 10 });
    await rejects(fails.finished(), /attempt 2/);
    const [failed] = await queue.getFailed();
    deepEqual([failed.id, failed.attemptsMade, failed.failedReason, failed.stacktrace.length], [fails.id, 3, "attempt 2", 3]);
    await failed.update({ failures: 0 });
    await failed.retry();
    // The attempt counts on where it had ended.
    equal(await failed.finished(), 3);
  },

  async "events reach other processes' queues"(context) {
    const [worker, observer] = [queueFor(context, "events"), queueFor(context, "events")];
    const heard = [];
    for (const event of ["active", "progress", "completed", "failed"]) observer.on(`global:${event}`, (id, data) => heard.push([event, id, data]));
    await observer.isReady();
    const redis = connectFor(context);
    await eventually("subscriptions", async () => (await redis.pubsub("NUMPAT")) > 0 || (await redis.pubsub("CHANNELS")).length > 0);
    worker.process(async (job) => {
      await job.progress(10);
      if (job.data.fails) throw new Error("on purpose");
      return "done";
    });
    await worker.add({}, { jobId: "good" });
    await worker.add({ fails: true }, { jobId: "bad" });
    const expected = [["active", "good"], ["progress", "good"], ["completed", "good"], ["active", "bad"], ["progress", "bad"], ["failed", "bad"]];
    await eventually("all events", () => heard.length >= 6 || undefined);
    deepEqual(heard.map(([event, id]) => `${event} ${id}`).sort(), expected.map(([event, id]) => `${event} ${id}`).sort());
    deepEqual(heard.find(([event]) => event === "completed").at(2), '"done"');
  },

  async "repeated jobs come again, and stop when they are removed"(context) {
    const queue = queueFor(context, "repeat");
    let runs = 0;
    queue.process(async () => (runs += 1));
    await queue.add({}, { repeat: { every: 50 } });
    await queue.add("nightly", {}, { repeat: { cron: "0 3 * * *", tz: "Europe/Berlin" } });
    const repeated = await queue.getRepeatableJobs();
    deepEqual(repeated.map(({ name }) => name).sort(), ["__default__", "nightly"]);
    await eventually("three runs", () => runs >= 3);
    for (const { key } of repeated) await queue.removeRepeatableByKey(key);
    deepEqual(await queue.getRepeatableJobs(), []);
    await eventually("nothing is delayed", async () => (await queue.getDelayedCount()) === 0);
  },

  async "a rate limit lets all jobs through in the end"(context) {
    const queue = queueFor(context, "limited", { limiter: { max: 4, duration: 400 } });
    const jobs = await queue.addBulk(numbers(12).map((n) => ({ data: { n } })));
    queue.process(async (job) => job.data.n);
    await eventually("jobs are held back", async () => (await queue.getDelayedCount()) > 0);
    deepEqual(await Promise.all(jobs.map((job) => job.finished())), numbers(12));
  },

  async "pausing, counting, listing and cleaning"(context) {
    const queue = queueFor(context, "board");
    await queue.pause();
    equal(await queue.isPaused(), true);
    const jobs = await queue.addBulk(numbers(10).map((n) => ({ data: { n }, opts: n === 9 ? { delay: 600_000 } : {} })));
    queue.process(4, async (job) => {
      if (job.data.n % 3 === 0) throw new Error("a third");
      return job.data.n;
    });
    const counts = async () => {
      const { waiting, active, completed, failed, delayed, paused } = await queue.getJobCounts();
      return [waiting + paused, active, completed, failed, delayed];
    };
    deepEqual(await counts(), [9, 0, 0, 0, 1]);
    await queue.resume();
    await eventually("all ran", async () => (await counts()).join() === "0,0,6,3,1");
    deepEqual((await queue.getCompleted()).map((job) => job.data.n).sort(), [1, 2, 4, 5, 7, 8]);
    deepEqual((await queue.getJobs(["delayed"])).map((job) => job.id), [jobs[9].id]);
    equal((await queue.clean(0, "completed")).length, 6);
    await jobs[9].remove();
    deepEqual(await counts(), [0, 0, 0, 3, 0]);
    const removed = await queue.add({ n: 1 }, { removeOnComplete: true });
    await eventually("the job is gone", async () => (await queue.getJob(removed.id)) === null);
    deepEqual(await counts(), [0, 0, 0, 3, 0]);
    await queue.obliterate({ force: true });
    deepEqual(await connectFor(context).keys("bull:board:*"), []);
  },

  async "a job's id keeps it from being added twice"(context) {
    const queue = queueFor(context, "once");
    const [first, second] = await Promise.all([queue.add({ n: 1 }, { jobId: "same" }), queue.add({ n: 2 }, { jobId: "same" })]);
    deepEqual([first.id, second.id, await queue.count()], ["same", "same", 1]);
    equal((await queue.getJob("same")).data.n, 1);
  },
};

await program(title("bull", "bull", "ioredis"), cases, { before_each: emptyServer });

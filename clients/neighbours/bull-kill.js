// Reproduces Bull 4 at its worst: jobs are added while two worker processes run them, and three times the server is killed
// with SIGKILL and one worker process with it. Every job whose `add` was acknowledged must be processed; a job may run twice,
// but not after its completion was acknowledged.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { program } from "../harness/program.js";
import { eventually, Random } from "../harness/wait.js";
import { QUEUE, SETTINGS } from "./bull-worker.js";
import { emptyServer, queueFor, title } from "./queue.js";

const JOB_COUNT = 1_500;
const ADDERS = 20;
/** Adding stays at most this far ahead of processing, so that jobs are still being added at every kill. */
const LEAD_MAX = 300;
/** The shares of acknowledged jobs at which the server is killed. */
const KILLS_AT = [0.2, 0.45, 0.7];
const WORKERS = 2;
const LIMIT_MS = 60_000;

/** What the producer and the workers saw. */
class Ledger {
  acknowledged = new Set();
  processed = new Set();
  completed = new Set();
  rerun_after_completion = [];

  note([what, id]) {
    if (what === "began" && this.completed.has(id)) this.rerun_after_completion.push(id);
    if (what === "processed") this.processed.add(id);
    if (what === "completed") this.completed.add(id);
  }

  get missing() {
    return [...this.acknowledged].filter((id) => !this.processed.has(id));
  }
}

async function hire(url, ledger) {
  const member = fork(fileURLToPath(new URL("bull-worker.js", import.meta.url)), [url]);
  const ready = once(member, "message");
  member.on("message", (note) => ledger.note(note));
  await ready;
  return member;
}

async function lose(member) {
  const ended = once(member, "exit");
  member.kill("SIGKILL");
  await ended;
}

/** Adds every job; one whose `add` failed, its outcome unknown, is added again under its id. */
async function addAll(queue, random, ledger) {
  const kinds = [{ delay: 200 }, { priority: 3 }, { failures: 1 }];
  const pending = Array.from({ length: JOB_COUNT }, (_, index) => {
    const { failures = 0, ...options } = kinds[random.below(10)] ?? {};
    const data = { work_ms: 20 + random.below(80), failures };
    return { data, options: { ...options, attempts: 10, backoff: 50, jobId: `job-${index}`, removeOnComplete: index % 2 === 0 } };
  })[Symbol.iterator]();
  const adder = async () => {
    for (const { data, options } of pending) {
      await eventually("the workers follow", () => ledger.acknowledged.size - ledger.processed.size < LEAD_MAX, LIMIT_MS);
      while (!ledger.acknowledged.has(options.jobId)) {
        await queue.add(data, options).then(() => ledger.acknowledged.add(options.jobId), () => queue.isReady());
      }
    }
  };
  await Promise.all(Array.from({ length: ADDERS }, adder));
}

const cases = {
  async "no acknowledged job is lost, none runs again after its completion was acknowledged"(context) {
    const random = Random.fromEnvironment("neighbours bull-kill");
    const ledger = new Ledger();
    const crew = [];
    context.defer(() => Promise.all(crew.map(lose)));
    for (let n = 0; n < WORKERS; n += 1) crew.push(await hire(context.server.url, ledger));
    const queue = queueFor(context, QUEUE, { settings: SETTINGS });
    const adding = addAll(queue, random, ledger);
    adding.catch(() => {});
    for (const share of KILLS_AT) {
      await eventually(`${share * 100} % are acknowledged`, () => ledger.acknowledged.size >= share * JOB_COUNT, LIMIT_MS);
      await eventually("jobs are active", async () => (await queue.getActiveCount()) > 0);
      await context.server.kill();
      await lose(crew.shift());
      await context.server.restart();
      crew.push(await hire(context.server.url, ledger));
    }
    await adding;
    assert.equal(ledger.acknowledged.size, JOB_COUNT);
    await eventually("every acknowledged job is processed", () => ledger.missing.length === 0, LIMIT_MS);
    await eventually("nothing is left to do", async () => {
      const { waiting, active, delayed } = await queue.getJobCounts();
      return waiting + active + delayed === 0;
    });
    assert.equal(await queue.getFailedCount(), 0);
    assert.deepEqual(ledger.rerun_after_completion, []);
    // Of the jobs that are kept, those whose completion was acknowledged are there.
    const kept = new Set((await queue.getCompleted()).map((job) => job.id));
    const expected = [...ledger.completed].filter((id) => Number(id.slice(4)) % 2 === 1);
    assert.deepEqual(expected.filter((id) => !kept.has(id)), []);
  },
};

await program(title("bull-kill", "bull", "ioredis"), cases, { before_each: emptyServer, limit_ms: 120_000 });

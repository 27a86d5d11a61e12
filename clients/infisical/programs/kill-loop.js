// Reproduces Infisical's queues at their worst: thousands of jobs are added while two worker processes run them, and three
// times, with at least a hundred jobs active, the server is killed with SIGKILL and one worker process with it. Every job
// whose `add` was acknowledged must be processed; a job may run twice, but not after its completion was acknowledged.
//
// SMALL=1 is for development: fewer jobs, the same kills.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { program } from "../../harness/program.js";
import { eventually, Random } from "../../harness/wait.js";
import { Bull } from "./bullmq.js";
import { emptyDatabase, GENERATION, title } from "./clients.js";
import { QUEUE } from "./kill-loop-worker.js";

const JOB_COUNT = process.env.SMALL === "1" ? 1_200 : 5_000;
const ADDERS = 25;
/** Adding stays at most this far ahead of processing, so that jobs are still being added at every kill. */
const LEAD_MAX = 600;
/** The shares of acknowledged jobs at which the server is killed. */
const KILLS_AT = [0.2, 0.45, 0.7];
const ACTIVE_MIN = 100;
const DOWNTIME_MAX_MS = 400;
const WORKERS = 2;
const ACTIVE_LIMIT_MS = 20_000;
const SHARE_LIMIT_MS = 40_000;
const LOOP_LIMIT_MS = 110_000;
const IDLE_LIMIT_MS = 20_000;
const PROGRAM_LIMIT_MS = 150_000;

/** What the producer and the workers saw; the server is asked only at the end. */
class Ledger {
  acknowledged = new Set();
  runs = new Map();
  completed = new Set();
  stalled = new Set();
  rerun_after_completion = [];

  note([what, id]) {
    if (what === "began" && this.completed.has(id)) this.rerun_after_completion.push(id);
    if (what === "processed") this.runs.set(id, (this.runs.get(id) ?? 0) + 1);
    if (what === "completed") this.completed.add(id);
    if (what === "stalled") this.stalled.add(id);
  }

  get missing() {
    return [...this.acknowledged].filter((id) => !this.runs.has(id));
  }
}

/** The worker processes; one that is killed is replaced. */
class Crew {
  #members = [];

  constructor(url, ledger) {
    this.url = url;
    this.ledger = ledger;
  }

  async hire() {
    const member = fork(fileURLToPath(new URL("kill-loop-worker.js", import.meta.url)), [GENERATION, this.url]);
    this.#members.push(member);
    const ready = once(member, "message");
    member.on("message", (note) => this.ledger.note(note));
    await ready;
  }

  /** Ends the member that is here longest, as a crash would; the jobs that it ran are left active. */
  async loseOne() {
    const member = this.#members.shift();
    const ended = once(member, "exit");
    member.kill("SIGKILL");
    await ended;
  }

  async dismiss() {
    while (this.#members.length > 0) await this.loseOne();
  }
}

/** What kind of job the index is: most are plain, some are late, urgent, or fail at first; every other one is kept when done. */
function plan(index, random) {
  const kinds = [{ delay: random.below(500) }, { priority: 1 + random.below(10) }, { failures: 1 }];
  const { failures = 0, ...options } = kinds[random.below(12)] ?? {};
  return {
    id: `sync-${String(index).padStart(5, "0")}`,
    data: { work_ms: 100 + random.below(200), failures },
    options: {
      ...options,
      attempts: 10,
      backoff: { type: "exponential", delay: 50 },
      removeOnComplete: index % 2 === 0,
      removeOnFail: false,
    },
  };
}

async function addAll(queue, plans, ledger) {
  const pending = plans[Symbol.iterator]();
  const adder = async () => {
    for (const { id, data, options } of pending) {
      while (ledger.acknowledged.size - ledger.runs.size > LEAD_MAX) await sleep(5);
      await queue.add("secret-sync-job", data, { ...options, jobId: id });
      ledger.acknowledged.add(id);
    }
  };
  await Promise.all(Array.from({ length: ADDERS }, adder));
}

/** Kills and restarts at each share; returns how many jobs the server said were active just before each kill. */
async function killLoop({ server, queue, ledger, crew, random }) {
  const active_at_kill = [];
  for (const share of KILLS_AT) {
    await eventually(`${share * 100} % are acknowledged`, () => ledger.acknowledged.size >= share * JOB_COUNT, SHARE_LIMIT_MS);
    const active = await eventually(
      `${ACTIVE_MIN} jobs are active`,
      () => queue.getActiveCount().then((count) => count >= ACTIVE_MIN && count),
      ACTIVE_LIMIT_MS,
    );
    await server.kill();
    await crew.loseOne();
    active_at_kill.push(active);
    const acknowledged = ledger.acknowledged.size;
    await sleep(random.below(DOWNTIME_MAX_MS));
    const start_ms = await server.restart();
    await crew.hire();
    console.error(`  kill ${active_at_kill.length}: ${active} active, ${acknowledged} acknowledged; back after ${start_ms.toFixed(0)} ms`);
  }
  return active_at_kill;
}

async function reportProgress(ledger, until) {
  let finished = false;
  until.finally(() => (finished = true)).catch(() => {});
  for (let seconds = 0; !finished; seconds += 1) {
    if (seconds % 5 === 4) console.error(`  ${ledger.acknowledged.size} acknowledged, ${ledger.runs.size} processed, ${ledger.missing.length} to go`);
    await sleep(1000);
  }
}

const cases = {
  [`${JOB_COUNT} jobs, ${KILLS_AT.length} kills: every acknowledged job is processed`]: async (context) => {
    const random = Random.fromEnvironment("kill loop");
    const { server } = context;
    const bull = new Bull(context);
    const queue = bull.queue(QUEUE);
    const ledger = new Ledger();
    const crew = new Crew(server.url, ledger);
    context.defer(() => crew.dismiss());
    for (let member = 0; member < WORKERS; member += 1) await crew.hire();
    const plans = Array.from({ length: JOB_COUNT }, (_, index) => plan(index, random));

    let adding_ended = false;
    const adding = addAll(queue, plans, ledger).then(() => (adding_ended = true));
    const killing = killLoop({ server, queue, ledger, crew, random });
    const processing = eventually("every acknowledged job is processed", () => adding_ended && ledger.missing.length === 0, LOOP_LIMIT_MS);
    reportProgress(ledger, Promise.all([adding, killing, processing]));
    const [active_at_kill] = await Promise.all([killing, adding, processing]).catch(async (error) => {
      throw new Error(`${error.message}\n${await whereabouts(queue, ledger.missing)}`);
    });
    const busy = () => queue.getJobCounts("wait", "active", "delayed", "prioritized", "paused");
    await eventually("the queue is idle", async () => Object.values(await busy()).every((count) => count === 0), IDLE_LIMIT_MS).catch(async (error) => {
      throw new Error(`${error.message}: ${JSON.stringify(await busy())}`);
    });

    const twice = [...ledger.runs.values()].filter((runs) => runs > 1).length;
    console.error(`  ${ledger.runs.size} processed, ${twice} of them more than once, ${ledger.stalled.size} recovered as stalled`);
    assert.equal(ledger.acknowledged.size, JOB_COUNT);
    assert.ok(active_at_kill.length === KILLS_AT.length && active_at_kill.every((active) => active >= ACTIVE_MIN), String(active_at_kill));
    assert.equal(await queue.getFailedCount(), 0, "jobs are left in failed");
    assert.ok(ledger.stalled.size > 0, "no lost worker left a stalled job, so the loop proved nothing about them");
    await assertHistory(bull.connection, queue, plans);
    // A job that is removed when done may be added again by a client that never heard that it was added, so only kept ones count.
    const kept = new Set(plans.filter(({ options }) => !options.removeOnComplete).map(({ id }) => id));
    assert.deepEqual(ledger.rerun_after_completion.filter((id) => kept.has(id)), [], "jobs ran after their completion was acknowledged");
  },
};

/** Kept jobs are all in `completed`, each with its result; of the others nothing is left. */
async function assertHistory(redis, queue, plans) {
  const completed = await queue.getCompleted(0, -1);
  const kept = plans.filter(({ options }) => !options.removeOnComplete).map(({ id }) => id);
  assert.deepEqual(completed.map((job) => job.id).sort(), kept);
  assert.deepEqual(completed.filter((job) => job.returnvalue !== job.id).map((job) => job.id), [], "results are lost");
  const keys = await redis.keys(`bull:${QUEUE}:sync-*`);
  assert.deepEqual(keys.sort(), kept.map((id) => `bull:${QUEUE}:${id}`));
}

/** For the message of a failure: where the first missing jobs are. */
async function whereabouts(queue, missing) {
  const states = await Promise.all(missing.slice(0, 10).map(async (id) => `${id}: ${await queue.getJobState(id)}`));
  return `${missing.length} acknowledged jobs are not processed (${states.join(", ")}); ${JSON.stringify(await queue.getJobCounts())}`;
}

await program(title("kill loop", "bullmq", "ioredis"), cases, { before_each: emptyDatabase, limit_ms: PROGRAM_LIMIT_MS });

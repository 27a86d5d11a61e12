// Reproduces Infisical's locks: its vendored redlock is redlock 5.0.0-beta.2, three scripts that are sent by hash first and
// in full when the answer begins with NOSCRIPT; the keystore uses two retries, 200 ms apart.

import assert from "node:assert/strict";

import { program } from "../../harness/program.js";
import { eventually } from "../../harness/wait.js";
import { connectFor, emptyDatabase, library, title } from "./clients.js";

const { default: Redlock, ExecutionError, ResourceLockedError } = library("redlock");
const KEYSTORE_SETTINGS = { retryCount: 2, retryDelay: 200 };

const cases = {
  async "a lock excludes others until it is released"(context) {
    const { redis, redlock } = lockerFor(context);
    const lock = await redlock.acquire(["secret-sync-mutex-s1"], 5000);
    assert.equal(await redis.get("secret-sync-mutex-s1"), lock.value);
    const began_ms = performance.now();
    await assertLocked(redlock.acquire(["secret-sync-mutex-s1"], 5000));
    assert.ok(performance.now() - began_ms >= 200, "the retries were not waited for");
    await lock.release();
    assert.equal(await redis.exists("secret-sync-mutex-s1"), 0);
    await (await redlock.acquire(["secret-sync-mutex-s1"], 5000)).release();
  },

  async "several resources are locked together or not at all"(context) {
    const { redis, redlock } = lockerFor(context);
    const lock = await redlock.acquire(["lock-b"], 5000);
    await assertLocked(redlock.acquire(["lock-a", "lock-b", "lock-c"], 5000));
    assert.equal(await redis.exists("lock-a", "lock-b", "lock-c"), 1);
    await lock.release();
    const all = await redlock.acquire(["lock-a", "lock-b", "lock-c"], 5000);
    assert.equal(await redis.exists("lock-a", "lock-b", "lock-c"), 3);
    await all.release();
  },

  async "a lock is extended by its owner alone, and a lost one is not released"(context) {
    const { redis, redlock } = lockerFor(context);
    let lock = await redlock.acquire(["lock-x"], 1000);
    lock = await lock.extend(60_000);
    assert.ok((await redis.pttl("lock-x")) > 50_000);
    await redis.set("lock-x", "somebody-else");
    await assert.rejects(lock.extend(60_000), ExecutionError);
    await assert.rejects(lock.release(), ExecutionError);
    assert.equal(await redis.get("lock-x"), "somebody-else");
  },

  async "a lock that nobody releases ends by itself"(context) {
    const { redis, redlock } = lockerFor(context);
    const lock = await redlock.acquire(["lock-x"], 300);
    const next = await redlock.acquire(["lock-x"], 5000, { retryCount: 50, retryDelay: 50 });
    assert.notEqual(next.value, lock.value);
    assert.equal(await redis.get("lock-x"), next.value);
  },

  async "twenty contenders never overlap"(context) {
    const { redis, redlock } = lockerFor(context);
    let inside = 0;
    const contend = async () => {
      const lock = await redlock.acquire(["lock-x"], 10_000, { retryCount: -1, retryDelay: 15, retryJitter: 10 });
      inside += 1;
      assert.equal(inside, 1);
      // A read and a write on the same counter lose an update if two holders overlap.
      const count = Number(await redis.get("counter"));
      await redis.set("counter", count + 1);
      inside -= 1;
      await lock.release();
    };
    await Promise.all(Array.from({ length: 20 }, contend));
    assert.equal(await redis.get("counter"), "20");
  },

  async "an unknown script is sent in full, once"(context) {
    const { redis, redlock } = lockerFor(context);
    const sent = recordScriptCalls(redis);
    await redis.script("FLUSH");
    for (let round = 0; round < 2; round += 1) await (await redlock.acquire([`lock-${round}`], 5000)).release();
    assert.deepEqual(sent, ["evalsha NOSCRIPT", "eval ok", "evalsha NOSCRIPT", "eval ok", "evalsha ok", "evalsha ok"]);
  },

  async "a lock outlives a kill -9 and is released by its owner"(context) {
    const { redis, redlock } = lockerFor(context);
    const lock = await redlock.acquire(["secret-rotation-v2-mutex-r1"], 60_000);
    const short = await redlock.acquire(["folder-tree-checkpoint-e1"], 400);
    await context.server.crash();
    await assertLocked(redlock.acquire(["secret-rotation-v2-mutex-r1"], 1000));
    assert.equal(await redis.get("secret-rotation-v2-mutex-r1"), lock.value);
    assert.ok((await redis.pttl("secret-rotation-v2-mutex-r1")) <= 60_000);
    await lock.release();
    assert.equal(await redis.exists("secret-rotation-v2-mutex-r1"), 0);
    await eventually("the short lock ended", async () => (await redis.get("folder-tree-checkpoint-e1")) !== short.value);
  },
};

function lockerFor(context) {
  const redis = connectFor(context);
  const redlock = new Redlock([redis], KEYSTORE_SETTINGS);
  redlock.on("error", () => {});
  return { redis, redlock };
}

/** The attempt fails because another holder has the resource, not for any other reason. */
async function assertLocked(attempt) {
  const error = await attempt.then(() => assert.fail("the resource was free"), (reason) => reason);
  assert.ok(error instanceof ExecutionError, String(error));
  for (const stats of await Promise.all(error.attempts)) {
    for (const vote of stats.votesAgainst.values()) assert.ok(vote instanceof ResourceLockedError, String(vote));
  }
}

/** Notes each script call with its outcome, in the order of the replies. */
function recordScriptCalls(redis) {
  const sent = [];
  for (const name of ["eval", "evalsha"]) {
    const call = redis[name].bind(redis);
    redis[name] = async (...args) => {
      try {
        const reply = await call(...args);
        sent.push(`${name} ok`);
        return reply;
      } catch (error) {
        sent.push(`${name} ${error.message.split(" ")[0]}`);
        throw error;
      }
    };
  }
  return sent;
}

await program(title("locks", "redlock", "ioredis"), cases, { before_each: emptyDatabase });

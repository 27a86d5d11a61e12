// Reproduces Infisical's keystore (backend/src/keystore): the plain commands behind locks, markers, counters and lists,
// and the audit-log stream that is a work buffer read with XRANGE and trimmed with XTRIM MINID.

import assert from "node:assert/strict";

import { program } from "../../harness/program.js";
import { eventually, Random } from "../../harness/wait.js";
import { connectFor, emptyDatabase, title } from "./clients.js";

const STREAM = "audit-log-stream";

const cases = {
  async "values with and without expiry, NX, several keys at once"(context) {
    const redis = connectFor(context);
    assert.equal(await redis.set("secret-etag:p1", "etag-1"), "OK");
    assert.equal(await redis.set("mfa-session:m1", JSON.stringify({ userId: "u1" }), "EX", 300), "OK");
    assert.equal(await redis.set("pki-acme-nonce:n1", "1", "EX", 60, "NX"), "OK");
    assert.equal(await redis.set("pki-acme-nonce:n1", "2", "EX", 60, "NX"), null);
    assert.deepEqual(await redis.mget("secret-etag:p1", "missing", "pki-acme-nonce:n1"), ["etag-1", null, "1"]);
    assert.equal(await redis.ttl("secret-etag:p1"), -1);
    assert.equal(await redis.expire("secret-etag:p1", 30), 1);
    assert.equal(await redis.expire("missing", 30), 0);
    for (const [key, seconds] of Object.entries({ "mfa-session:m1": 300, "secret-etag:p1": 30 })) {
      const ttl = await redis.ttl(key);
      assert.ok(ttl > seconds - 5 && ttl <= seconds, `${key}: ${ttl} of ${seconds} s left`);
    }
    assert.equal(await redis.del(["secret-etag:p1", "missing", "mfa-session:m1"]), 2);
    assert.equal(await redis.get("secret-etag:p1"), null);
  },

  async "a marker ends by itself and NX is free again"(context) {
    const redis = connectFor(context);
    await redis.set("project-permission-marker:p1", "fingerprint", "EX", 1);
    assert.equal(await redis.set("project-permission-marker:p1", "other", "EX", 1, "NX"), null);
    await eventually("the marker is gone", async () => (await redis.get("project-permission-marker:p1")) === null);
    assert.equal(await redis.set("project-permission-marker:p1", "next", "EX", 10, "NX"), "OK");
  },

  async "counters, hashes and lists"(context) {
    const redis = connectFor(context);
    const counts = await Promise.all(Array.from({ length: 200 }, () => redis.incrby("app-connection-concurrency-c1", 5)));
    assert.deepEqual(counts, Array.from({ length: 200 }, (_, index) => 5 * (index + 1)));
    assert.equal(await redis.incrby("app-connection-concurrency-c1", -1000), 0);
    assert.equal(await redis.hset("gateway-credentials:i1", "relay", "r1"), 1);
    assert.equal(await redis.hset("gateway-credentials:i1", "relay", "r2"), 0);
    assert.equal(await redis.hget("gateway-credentials:i1", "relay"), "r2");
    assert.equal(await redis.hget("gateway-credentials:i1", "missing"), null);
    for (const value of ["a", "b", "a", "c"]) await redis.rpush("sse-connections:p1:i1", value);
    assert.equal(await redis.lrem("sse-connections:p1:i1", 0, "a"), 2);
    assert.deepEqual(await redis.lrange("sse-connections:p1:i1", 0, -1), ["b", "c"]);
    assert.equal(await redis.llen("sse-connections:p1:i1"), 2);
    await assert.rejects(redis.incrby("sse-connections:p1:i1", 1), { message: /^WRONGTYPE / });
  },

  async "keys by pattern are found by SCAN and removed by pipelined UNLINK"(context) {
    const redis = connectFor(context);
    const pipeline = redis.pipeline();
    for (let index = 0; index < 3000; index += 1) {
      pipeline.set(`project-permission-data:p${index % 3}:user:u${index}:secret`, index, "EX", 600);
    }
    for (const [error] of await pipeline.exec()) assert.equal(error, null);
    const found = await scanAll(redis, "project-permission-data:p1:*");
    assert.equal(found.length, 1000);
    const removal = redis.pipeline();
    for (const key of found) removal.unlink(key);
    assert.ok((await removal.exec()).every(([error, count]) => error === null && count === 1));
    assert.deepEqual(await scanAll(redis, "project-permission-data:p1:*"), []);
    assert.equal((await scanAll(redis, "project-permission-data:*")).length, 2000);
  },

  async "the audit stream is collected in batches and trimmed up to what was read"(context) {
    const redis = connectFor(context);
    const ids = [];
    for (let first = 0; first < 2500; first += 500) {
      const batch = Array.from({ length: 500 }, (_, index) => {
        return redis.xadd(STREAM, "MAXLEN", "~", 1_000_000, "*", "log", JSON.stringify({ id: first + index, note: "é\u0000\n" }));
      });
      ids.push(...(await Promise.all(batch)));
    }
    const { entries, last_id } = await collect(redis, 300, 2000);
    assert.deepEqual(entries.map(([id]) => id), ids.slice(0, 2100));
    assert.deepEqual(JSON.parse(entries[1234][1][1]), { id: 1234, note: "é\u0000\n" });
    assert.equal(await redis.xtrim(STREAM, "MINID", justAfter(last_id)), 2100);
    const rest = await collect(redis, 300, 2000);
    assert.deepEqual(rest.entries.map(([id]) => id), ids.slice(2100));
    assert.equal(await redis.xtrim(STREAM, "MINID", justAfter(rest.last_id)), 400);
    assert.deepEqual(await collect(redis, 300, 2000), { entries: [], last_id: null });
    assert.equal(await redis.xlen(STREAM), 0);
  },

  async "the audit stream is bounded by MAXLEN ~"(context) {
    const redis = connectFor(context);
    const adds = redis.pipeline();
    for (let index = 0; index < 5000; index += 1) adds.xadd(STREAM, "MAXLEN", "~", 1000, "*", "log", String(index));
    await adds.exec();
    // Whole nodes go, so up to one node (100 entries by default) may stay beyond the limit.
    const length = await redis.xlen(STREAM);
    assert.ok(length >= 1000 && length <= 1100, `${length} entries`);
    const [[, last]] = await redis.xrevrange(STREAM, "+", "-", "COUNT", 1);
    assert.deepEqual(last, ["log", "4999"]);
  },

  async "the stream goes on after a kill -9: same entries, ids never go back, also when it is empty"(context) {
    const redis = connectFor(context);
    const ids = await Promise.all(Array.from({ length: 300 }, (_, index) => redis.xadd(STREAM, "MAXLEN", "~", 1_000_000, "*", "log", index)));
    await redis.xtrim(STREAM, "MINID", ids[100]);
    await context.server.crash();
    const { entries, last_id } = await collect(redis, 50, 1000);
    assert.deepEqual(entries, ids.slice(100).map((id, index) => [id, ["log", String(index + 100)]]));
    await redis.xtrim(STREAM, "MINID", justAfter(last_id));
    await context.server.crash();
    assert.equal(await redis.xlen(STREAM), 0);
    const [past_ms] = last_id.split("-");
    await assert.rejects(redis.xadd(STREAM, `${past_ms}-0`, "log", "old"), { message: /equal or smaller than the target stream top item/ });
    assert.ok(isLater(await redis.xadd(STREAM, "MAXLEN", "~", 1_000_000, "*", "log", "new"), last_id));
  },

  async "acknowledged writes of every kind equal a model after each kill -9"(context) {
    const random = Random.fromEnvironment("keystore model");
    const redis = connectFor(context);
    const model = new Map();
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(Array.from({ length: 1500 }, () => write(redis, model, random)));
      await context.server.crash();
      assert.deepEqual(await dump(redis), new Map([...model].sort()));
    }
  },
};

async function scanAll(redis, pattern) {
  const keys = new Set();
  let cursor = "0";
  do {
    const [next, found] = await redis.scan(cursor, "MATCH", pattern, "COUNT", 1000);
    cursor = next;
    for (const key of found) keys.add(key);
  } while (cursor !== "0");
  return [...keys].sort();
}

/** Reads the stream as the exporter does: batch after batch from just behind the last id seen. */
async function collect(redis, batch_size, entries_max) {
  const entries = [];
  let last_id = null;
  while (entries.length < entries_max) {
    const batch = await redis.xrange(STREAM, last_id === null ? "-" : `(${last_id}`, "+", "COUNT", batch_size);
    if (batch.length === 0) break;
    entries.push(...batch);
    last_id = batch.at(-1)[0];
    if (batch.length < batch_size) break;
  }
  return { entries, last_id };
}

function justAfter(id) {
  const [ms, sequence] = id.split("-");
  return `${ms}-${Number(sequence) + 1}`;
}

function isLater(id, than) {
  const [[ms, sequence], [than_ms, than_sequence]] = [id, than].map((text) => text.split("-").map(Number));
  return ms > than_ms || (ms === than_ms && sequence > than_sequence);
}

/** One random write, on the server and on the model; calls on one connection are executed in order. */
function write(redis, model, random) {
  const number = random.below(60);
  const value = `${random.below(1_000_000)}${"x".repeat(random.below(300))}`;
  switch (random.below(8)) {
    case 0:
      model.set(`string:${number}`, value);
      return redis.set(`string:${number}`, value, "EX", 86_400);
    case 1:
      model.has(`string:${number}`) || model.set(`string:${number}`, value);
      return redis.set(`string:${number}`, value, "EX", 3600, "NX");
    case 2:
      model.set(`count:${number}`, String(Number(model.get(`count:${number}`) ?? 0) + number));
      return redis.incrby(`count:${number}`, number);
    case 3:
      model.set(`list:${number}`, [...(model.get(`list:${number}`) ?? []), value]);
      return redis.rpush(`list:${number}`, value);
    case 4: {
      const list = model.get(`list:${number}`) ?? [];
      list.length > 1 ? model.set(`list:${number}`, list.slice(1)) : model.delete(`list:${number}`);
      return redis.lrem(`list:${number}`, 1, list[0] ?? value);
    }
    case 5:
      model.set(`hash:${number}`, { ...model.get(`hash:${number}`), [`f${number % 7}`]: value });
      return redis.hset(`hash:${number}`, `f${number % 7}`, value);
    case 6:
      for (const key of [`string:${number}`, `hash:${number}`]) model.delete(key);
      return redis.del([`string:${number}`, `hash:${number}`]);
    default:
      model.delete(`list:${number}`);
      return redis.unlink(`list:${number}`);
  }
}

async function dump(redis) {
  const readers = {
    string: (key) => redis.get(key),
    count: (key) => redis.get(key),
    list: (key) => redis.lrange(key, 0, -1),
    hash: async (key) => ({ ...(await redis.hgetall(key)) }),
  };
  const state = new Map();
  for (const key of await scanAll(redis, "*")) state.set(key, await readers[key.split(":")[0]](key));
  return state;
}

await program(title("keystore", "ioredis"), cases, { before_each: emptyDatabase });

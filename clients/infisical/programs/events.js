// Reproduces Infisical's event bus (one connection that publishes, a duplicate that subscribes, topics without patterns) and
// the bookkeeping of its server-sent-event streams (a list of connections, a key with expiry for each).

import assert from "node:assert/strict";

import { program } from "../../harness/program.js";
import { eventually } from "../../harness/wait.js";
import { connectFor, emptyDatabase, title } from "./clients.js";

const TOPICS = ["secret-manager", "pki", "infra"];
const CONNECTION_TTL_S = 60;

const cases = {
  async "every topic's messages arrive whole and in order"(context) {
    const bus = await busFor(context, TOPICS);
    const receivers = await Promise.all(
      Array.from({ length: 1000 }, (_, index) => bus.publish(TOPICS[index % 3], { index, data: "ü€😀\u0000\r\n".repeat(index % 50) })),
    );
    assert.ok(receivers.every((count) => count === 1));
    await eventually("all messages", () => bus.received.length === 1000);
    for (const [offset, topic] of TOPICS.entries()) {
      const events = bus.received.filter((event) => event.topic === topic);
      assert.deepEqual(events.map(({ event }) => event.index), events.map((_, index) => index * 3 + offset));
      assert.ok(events.every(({ event }) => event.data === "ü€😀\u0000\r\n".repeat(event.index % 50)));
    }
  },

  async "every subscriber of a topic is told, others are not"(context) {
    const first = await busFor(context, ["secret-manager", "pki"]);
    const second = await busFor(context, ["pki"]);
    assert.equal(await first.publish("pki", 1), 2);
    assert.equal(await first.publish("secret-manager", 2), 1);
    assert.equal(await first.publish("infra", 3), 0);
    await eventually("messages", () => first.received.length === 2 && second.received.length === 1);
    assert.deepEqual(second.received, [{ topic: "pki", event: 1 }]);
  },

  async "nothing arrives after unsubscribing, nothing from before subscribing"(context) {
    const bus = await busFor(context, ["pki"]);
    await bus.subscriber.unsubscribe("pki");
    assert.equal(await bus.publish("pki", "between"), 0);
    await bus.subscriber.subscribe("pki");
    assert.equal(await bus.publish("pki", "after"), 1);
    await eventually("the message", () => bus.received.length > 0);
    assert.deepEqual(bus.received, [{ topic: "pki", event: "after" }]);
  },

  async "subscribers come back by themselves after a kill -9"(context) {
    const bus = await busFor(context, TOPICS);
    await context.server.crash();
    await eventually("all topics have their subscriber", async () => {
      const counts = await bus.publisher.pubsub("NUMSUB", ...TOPICS);
      return TOPICS.every((topic, index) => counts[index * 2] === topic && Number(counts[index * 2 + 1]) === 1);
    });
    for (const topic of TOPICS) assert.equal(await bus.publish(topic, topic), 1);
    await eventually("the messages", () => bus.received.length === 3);
    assert.deepEqual(bus.received.map(({ event }) => event), TOPICS);
  },

  async "a publish in MULTI is delivered with its transaction"(context) {
    const bus = await busFor(context, ["pki"]);
    const replies = await bus.publisher.multi().set("cert-dashboard-stats:p1", "1", "EX", 60).publish("pki", '"stats"').exec();
    assert.deepEqual(replies, [[null, "OK"], [null, 1]]);
    await eventually("the message", () => bus.received.length === 1);
    assert.equal(await bus.publisher.get("cert-dashboard-stats:p1"), "1");
  },

  async "connections of an identity are listed, and those that ended are pruned"(context) {
    const redis = connectFor(context);
    const set_key = "sse-connections:p1:i1";
    for (const id of ["c1", "c2", "c3"]) {
      await redis.rpush(set_key, id);
      await redis.set(`${set_key}:${id}`, "1", "EX", CONNECTION_TTL_S);
    }
    await context.server.crash();
    await redis.del(`${set_key}:c2`);
    const ids = await redis.lrange(set_key, 0, -1);
    const alive = await redis.mget(ids.map((id) => `${set_key}:${id}`));
    for (const [index, id] of ids.entries()) if (alive[index] === null) assert.equal(await redis.lrem(set_key, 0, id), 1);
    assert.deepEqual(await redis.lrange(set_key, 0, -1), ["c1", "c3"]);
    assert.equal(await redis.llen(set_key), 2);
    assert.ok((await redis.ttl(`${set_key}:c1`)) > CONNECTION_TTL_S - 15);
  },
};

/** The bus of one node: both connections are duplicates, as the service makes them. */
async function busFor(context, topics) {
  const redis = connectFor(context);
  const [publisher, subscriber] = [redis.duplicate(), redis.duplicate()];
  const received = [];
  for (const connection of [publisher, subscriber]) {
    connection.on("error", () => {});
    context.defer(() => connection.disconnect());
  }
  subscriber.on("message", (topic, text) => received.push({ topic, event: JSON.parse(text) }));
  assert.equal(await subscriber.subscribe(...topics), topics.length);
  return { publisher, subscriber, received, publish: (topic, event) => publisher.publish(topic, JSON.stringify(event)) };
}

await program(title("events", "ioredis"), cases, { before_each: emptyDatabase });

// How commands travel: connections, pipelines, transactions, pub/sub, blocking calls, and a server that is killed.

import assert from "node:assert/strict";

import { eventually } from "../../harness/wait.js";

const { deepEqual, equal, ok, rejects } = assert;
const PASSWORD = "a secret of sixteen";
const numbers = (count) => Array.from({ length: count }, (_, n) => String(n));
const isError = (pattern) => (value) => value instanceof Error && pattern.test(value.message);

export const cases = {
  async handshake({ open, protocol, version }) {
    const admin = await open();
    const [, major, minor] = /redis_version:(\d+)\.(\d+)/.exec(await admin.raw("INFO", "server"));
    const knows_libraries = Number(major) > 7 || (Number(major) === 7 && Number(minor) >= 2);
    await admin.configSet("requirepass", PASSWORD);
    try {
      await rejects(open({ reconnects: false }).then((r) => r.get("k")), /NOAUTH/);
      await rejects(open({ password: "wrong", reconnects: false }), /WRONGPASS/);
      const r = await open({ password: PASSWORD, database: 2, name: "a-name" });
      equal(await r.set("k", "v"), "OK");
      equal(await admin.get("k"), null);
      const mine = String(await r.raw("CLIENT", "INFO"));
      ok(mine.includes(" name=a-name ") && mine.includes(" db=2 "), mine);
      if (knows_libraries) {
        ok(mine.includes(` resp=${protocol} `) || mine.endsWith(` resp=${protocol}`), mine);
        ok(new RegExp(` lib-name=\\S*redis\\S* `).test(mine) && mine.includes(` lib-ver=${version}`), mine);
      }
      equal(await (await open({ username: "default", password: PASSWORD })).get("k"), null);
    } finally {
      await admin.configSet("requirepass", "");
    }
  },

  async pipeline({ open }) {
    const r = await open();
    const replies = await r.pipeline((queue) => {
      for (const n of numbers(1000)) {
        queue.set(`k${n}`, n);
        queue.get(`k${n}`);
      }
    });
    deepEqual(replies, numbers(1000).flatMap((n) => ["OK", n]));
    const mixed = await r.together((queue) => {
      queue.set("text", "t");
      queue.lPush("text", "x");
      queue.hSet("h", "f", "v");
      queue.hGet("h", "f");
      queue.sAdd("s", "m");
      queue.get("absent");
    });
    ok(isError(/^WRONGTYPE/)(mixed[1]), mixed[1]);
    deepEqual(mixed.toSpliced(1, 1), ["OK", 1, "v", 1, null]);
  },

  async transaction({ open }) {
    const r = await open();
    const replies = await r.transaction((queue) => {
      queue.set("a", "1");
      queue.incr("a");
      queue.lRange("absent", 0, -1);
      queue.hSet("h", "f", "v");
      queue.hGetAll("h");
    });
    deepEqual([...replies.slice(0, 4), { ...replies[4] }], ["OK", 2, [], 1, { f: "v" }]);
    const halved = await r.transaction((queue) => {
      queue.set("a", "text");
      queue.incr("a");
      queue.set("b", "after");
    });
    ok(isError(/not an integer/)(halved[1]), halved[1]);
    deepEqual([halved[0], halved[2], await r.mGet(["a", "b"])], ["OK", "OK", ["text", "after"]]);
    const refused = r.transaction((queue) => {
      queue.set("a", "never");
      queue.raw("NOSUCH");
    });
    await rejects(refused, /EXECABORT|unknown command 'NOSUCH'/);
    equal(await r.get("a"), "text");
    equal(await r.raw("MULTI"), "OK");
    equal(await r.raw("SET", "a", "never"), "QUEUED");
    equal(await r.raw("DISCARD"), "OK");
    equal(await r.get("a"), "text");
  },

  async "watch conflict"({ open }) {
    const [r, other] = [await open(), await open()];
    await r.set("balance", "10");
    const add = async (between) => {
      await r.watch("balance");
      const before = Number(await r.get("balance"));
      await between();
      return r.transaction((queue) => queue.set("balance", String(before + 100)));
    };
    equal(await add(() => other.set("balance", "11")), null);
    equal(await r.get("balance"), "11");
    deepEqual(await add(() => {}), ["OK"]);
    equal(await r.get("balance"), "111");
    // A key that comes into being counts as changed too.
    await r.watch("absent");
    await other.set("absent", "no more");
    equal(await r.transaction((queue) => queue.set("balance", "0")), null);
    equal(await r.get("balance"), "111");
  },

  async "pub/sub"(context) {
    const publisher = await context.open();
    const subscriber = await publisher.subscriber();
    context.defer(() => subscriber.end());
    const received = [];
    const listen = (kind) => (message, channel) => received.push([kind, channel, message]);
    await subscriber.subscribe("news", listen("message"));
    await subscriber.subscribe("other", listen("message"));
    await subscriber.pSubscribe("n?ws*", listen("pmessage"));
    await subscriber.sSubscribe("shard", listen("smessage"));
    deepEqual({ ...(await publisher.pubSubNumSub(["news", "nobody"])) }, { news: 1, nobody: 0 });
    deepEqual({ ...(await publisher.pubSubShardNumSub(["shard"])) }, { shard: 1 });
    equal(await publisher.pubSubNumPat(), 1);
    deepEqual([await publisher.publish("news", "both"), await publisher.publish("nobody", "x")], [2, 0]);
    deepEqual([await publisher.sPublish("shard", "s"), await publisher.publish("shard", "classic")], [1, 0]);
    await eventually("three messages", () => received.length === 3);
    deepEqual(received, [["message", "news", "both"], ["pmessage", "news", "both"], ["smessage", "shard", "s"]]);
    await subscriber.pUnsubscribe("n?ws*");
    await subscriber.unsubscribe("other");
    deepEqual([await publisher.pubSubNumPat(), await publisher.pubSubChannels()], [0, ["news"]]);
    received.length = 0;
    for (const n of numbers(200)) equal(await publisher.publish("news", n), 1);
    await eventually("all messages", () => received.length === 200);
    deepEqual(received.map(([, , message]) => message), numbers(200));
  },

  async "blocking calls"({ open }) {
    const [r, other] = [await open(), await open()];
    deepEqual([await r.blPop("l", 0.05), await r.bzPopMin("z", 0.05), await r.blMove("l", "m", "LEFT", "LEFT", 0.05)], [null, null, null]);
    equal(await r.xRead({ key: "x", id: "$" }, { BLOCK: 20 }), null);
    await other.rPush("second", "s");
    deepEqual({ ...(await r.blPop(["first", "second"], 5)) }, { key: "second", element: "s" });
    const woken = async (call, wake) => {
      await blocked(other);
      await wake();
      return call;
    };
    deepEqual({ ...(await woken(r.blPop(["l", "m"], 0), () => other.rPush("m", "a"))) }, { key: "m", element: "a" });
    equal(await woken(r.brPopLPush("l", "m", 30), () => other.lPush("l", "b")), "b");
    equal(await woken(r.blMove("l", "m", "LEFT", "LEFT", 30), () => other.lPush("l", "c")), "c");
    deepEqual(await other.lRange("m", 0, -1), ["c", "b"]);
    const one = { score: 1.5, value: "one" };
    deepEqual({ ...(await woken(r.bzPopMin(["z", "y"], 30), () => other.zAdd("y", one))) }, { key: "y", ...one });
    deepEqual(await woken(r.blmPop(30, ["l", "l2"], "LEFT", { COUNT: 2 }), () => other.rPush("l2", ["p", "q"])), ["l2", ["p", "q"]]);
    const popped = await woken(r.bzmPop(30, ["z"], "MIN"), () => other.zAdd("z", { score: 2, value: "m" }));
    deepEqual([popped.key, popped.members[0].value, popped.members[0].score], ["z", "m", 2]);
    const [read] = await woken(r.xRead({ key: "x", id: "$" }, { BLOCK: 30_000 }), () => other.xAdd("x", "1-0", { n: "1" }));
    deepEqual([read.name, read.messages[0].id, { ...read.messages[0].message }], ["x", "1-0", { n: "1" }]);
    await other.xGroupCreate("x", "g", "$");
    const [grouped] = await woken(r.xReadGroup("g", "c", { key: "x", id: ">" }, { BLOCK: 30_000 }), () => other.xAdd("x", "2-0", { n: "2" }));
    deepEqual([grouped.messages[0].id, (await other.xPending("x", "g")).pending], ["2-0", 1]);
    // A transaction with several pushes wakes once they are all there.
    const both = () =>
      other.transaction((queue) => {
        queue.rPush("l", "1");
        queue.lPush("l", "0");
      });
    deepEqual({ ...(await woken(r.blPop("l", 30), both)) }, { key: "l", element: "0" });
  },

  async reconnection(context) {
    const { open, server } = context;
    const [r, hasty, worker] = [await open(), await open({ reconnects: false }), await open()];
    const subscriber = await r.subscriber();
    context.defer(() => subscriber.end());
    const received = [];
    await subscriber.subscribe("news", (message) => received.push(message));
    const lua = "return redis.call('RPUSH', KEYS[1], ARGV[1])";
    deepEqual([await r.set("k", "v"), await hasty.get("k"), await r.script(lua, ["l"], ["1"])], ["OK", "v", 1]);
    const waiting = worker.blPop("queue", 0).then((reply) => reply.element, (error) => error);
    await blocked(r);

    await server.kill();
    await rejects(async () => hasty.get("k"));
    const early = onceLoaded(() => r.incr("n"));
    await server.restart();
    deepEqual([await early, await r.get("k"), await r.script(lua, ["l"], ["2"])], [1, "v", 2]);
    deepEqual(await r.lRange("l", 0, -1), ["1", "2"]);

    // ioredis sends a blocked call again; node-redis tells its caller that the connection was lost.
    const outcome = await Promise.race([waiting, blocked(r).then(() => null)]);
    await worker.ready();
    const again = outcome instanceof Error ? worker.blPop("queue", 0).then((reply) => reply.element) : waiting;
    await blocked(r);
    deepEqual([await r.rPush("queue", "job"), await again], [1, "job"]);

    await eventually("the subscription", async () => (await r.publish("news", "after")) === 1);
    await eventually("the message", () => received.length > 0);
    deepEqual(received, ["after"]);
  },

  async "many at once"({ open }) {
    const r = await open();
    const counts = await Promise.all(
      numbers(400).map(async (n) => {
        await r.set(`k${n}`, n);
        equal(await r.get(`k${n}`), n);
        return r.incr("count");
      }),
    );
    deepEqual(counts.sort((a, b) => a - b), numbers(401).slice(1).map(Number));
  },
};

/** Waits until one client is blocked in the server. */
function blocked(r) {
  return eventually("a blocked client", async () => /blocked_clients:1\r/.test(await r.raw("INFO", "clients")));
}

/** LOADING says that a command was refused unexecuted; ioredis waits by itself, node-redis leaves it to its caller. */
async function onceLoaded(call) {
  for (;;) {
    const reply = await call().catch((error) => error);
    if (!(reply instanceof Error && reply.message.startsWith("LOADING"))) return reply;
  }
}

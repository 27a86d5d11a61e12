// Reproduces websockets behind a load balancer: two socket.io nodes that share rooms through @socket.io/redis-adapter (pub/sub,
// classic and sharded) or @socket.io/redis-streams-adapter, over ioredis and over node-redis. With streams a client that lost
// its connection resumes at the entry that it saw last, even if the store was killed and restarted meanwhile.

import assert from "node:assert/strict";
import { once } from "node:events";

import { program } from "../harness/program.js";
import { eventually } from "../harness/wait.js";
import { connectFor, emptyServer, title } from "./queue.js";
import { hearEachOther, pair, STREAM } from "./sockets-node.js";

const { deepEqual, equal, ok } = assert;
const numbers = (count) => Array.from({ length: count }, (_, n) => n);
const ACK_LIMIT_MS = 10_000;

/** What every adapter does. */
const common = {
  async "rooms reach over nodes, binary data too"({ nodes, clients: [a, b] }) {
    nodes[0].io.to("second").emit("message", "to the other node");
    nodes[1].io.to("everyone").except("second").emit("message", { but: "second", bytes: Buffer.from([0, 255, 13, 10]) });
    nodes[0].io.emit("message", "to all");
    await eventually("both heard", () => a.heard.length >= 2 && b.heard.length >= 2);
    for (const n of numbers(200)) nodes[0].io.to("second").emit("message", n);
    await eventually("all of them", () => b.heard.length >= 202);
    deepEqual(b.heard, ["to the other node", "to all", ...numbers(200)]);
    deepEqual(a.heard.filter((message) => typeof message === "string"), ["to all"]);
    const { but, bytes } = a.heard.find((message) => typeof message === "object");
    deepEqual([but, [...bytes]], ["second", [0, 255, 13, 10]]);
  },

  async "clients of every node answer a broadcast"({ nodes, clients }) {
    const answers = await nodes[0].io.to("everyone").timeout(ACK_LIMIT_MS).emitWithAck("question", "who?");
    deepEqual(answers.sort(), clients.map(({ id }) => `who? ${id}`).sort());
  },

  async "nodes ask each other"({ nodes, clients: [a, b] }) {
    nodes[1].io.on("load", (unit, answer) => answer(`7 ${unit}`));
    deepEqual(await nodes[0].io.serverSideEmitWithAck("load", "%"), ["7 %"]);
    const sockets = await nodes[0].io.in("everyone").fetchSockets();
    deepEqual(sockets.map(({ id }) => id).sort(), [a.id, b.id].sort());
    const remote = sockets.find(({ id }) => id === b.id);
    deepEqual([...remote.rooms].sort(), [b.id, "everyone", "second"].sort());
    nodes[0].io.in("second").socketsJoin("moved");
    await eventually("the client is there", async () => (await nodes[0].io.in("moved").fetchSockets()).some(({ id }) => id === b.id));
    nodes[0].io.in("second").socketsLeave("moved");
    await eventually("the client has left", async () => (await nodes[0].io.in("moved").fetchSockets()).length === 0);
    const gone = once(b, "disconnect");
    nodes[0].io.in("second").disconnectSockets(true);
    await gone;
    ok(a.connected);
  },

  async "after a kill -9 the nodes find each other"({ nodes, clients, server }) {
    await server.crash();
    await hearEachOther(nodes, clients);
    const answers = await nodes[1].io.to("everyone").timeout(ACK_LIMIT_MS).emitWithAck("question", "still?");
    equal(answers.length, 2);
    nodes[0].io.to("second").emit("message", "after");
    await eventually("the message", () => clients[1].heard.length > 0);
    deepEqual(clients[1].heard, ["after"]);
  },
};

/** What only streams do. */
const with_streams = {
  async "nodes go on reading where they were when the store was killed"({ nodes, clients, server }) {
    await server.kill();
    await server.restart();
    // Whether the readers are back or not, they ask for what follows the last entry that they saw.
    for (const n of numbers(50)) nodes[0].io.to("second").emit("message", n);
    await eventually("all messages", () => clients[1].heard.length >= 50);
    deepEqual(clients[1].heard, numbers(50));
  },

  async "a client resumes at its entry after a kill -9"({ nodes, clients: [a], server, redis }) {
    const id = a.id;
    await loseConnection(nodes, a, redis);
    nodes[1].io.to("first").emit("message", "before the kill");
    nodes[1].io.to("second").emit("message", "not for this client");
    await inStream(redis, "before the kill");
    await server.crash();
    nodes[1].io.to("everyone").except("first").emit("message", "not for this client");
    nodes[1].io.to("first").emit("message", "after the restart");
    await inStream(redis, "after the restart");
    // The load balancer may send it to another node.
    a.io.uri = nodes[1].url;
    a.connect();
    await once(a, "connect");
    deepEqual([a.recovered, a.id], [true, id]);
    await eventually("what it missed", () => a.heard.length >= 3);
    nodes[0].io.to("first").emit("message", "live again");
    await eventually("the next message", () => a.heard.length >= 4);
    deepEqual(a.heard, ["seen", "before the kill", "after the restart", "live again"]);
    equal(await redis.exists(`sio:session:${a._pid}`), 0);
  },

  async "an entry that was trimmed away is no place to resume"({ nodes, clients: [a], redis }) {
    await loseConnection(nodes, a, redis);
    nodes[1].io.to("first").emit("message", "missed for good");
    await inStream(redis, "missed for good");
    await redis.xtrim(STREAM, "MAXLEN", 1);
    a.connect();
    await once(a, "connect");
    equal(a.recovered, false);
    deepEqual(a.heard, ["seen"]);
  },
};

/** A client hears one more message and then loses its connection without a word; its session is kept in the store. */
async function loseConnection(nodes, client, redis) {
  nodes[1].io.to("first").emit("message", "seen");
  await eventually("the message", () => client.heard.length === 1);
  const gone = once(client, "disconnect");
  client.io.engine.close();
  await gone;
  await eventually("the session", async () => (await redis.exists(`sio:session:${client._pid}`)) === 1);
  ok((await redis.pttl(`sio:session:${client._pid}`)) > 0);
}

async function inStream(redis, text) {
  await eventually(`an entry with ${text}`, async () => (await redis.xrevrange(STREAM, "+", "-", "COUNT", 20)).flat(2).join().includes(text));
}

const cases = {};
for (const library of ["ioredis", "node-redis"]) {
  for (const adapter of ["pub/sub", "sharded", "streams", "streams with sharded pub/sub"]) {
    const parts = adapter.startsWith("streams") ? { ...common, ...with_streams } : common;
    for (const [what, run] of Object.entries(parts)) {
      cases[`${library}, ${adapter}: ${what}`] = async (context) => {
        const application = await pair(context, adapter, library);
        await run({ ...application, server: context.server, redis: connectFor(context) });
      };
    }
  }
}

const libraries = ["socket.io", "@socket.io/redis-adapter", "@socket.io/redis-streams-adapter", "ioredis", "redis"];
await program(title("sockets", ...libraries), cases, { before_each: emptyServer });

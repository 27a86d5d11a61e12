// Nodes of one socket.io application: each has a server, and clients connect to any of them. The nodes know of each other
// through a Redis adapter only.

import { createServer } from "node:http";
import { once } from "node:events";

import { createAdapter as createPubSubAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connectClient } from "socket.io-client";

import { eventually } from "../harness/wait.js";

const RECONNECT_MS = 20;
export const STREAM = "socket.io";

/**
 * A connection of either library, ended with the case. ioredis is to connect when it is told to: adapters wait for such a
 * connection, and subscribe only then. A subscription of a connection that is still being made may be lost in ioredis.
 */
function connect(context, library) {
  const { url } = context.server;
  const options = { lazyConnect: true, maxRetriesPerRequest: null, retryStrategy: () => RECONNECT_MS };
  if (library === "ioredis") return opened(context, new Redis(url, options));
  return opened(context, createClient({ url, socket: { reconnectStrategy: () => RECONNECT_MS } }));
}

async function opened(context, connection) {
  connection.on("error", () => {});
  await connection.connect();
  // Adapters publish and unsubscribe at their end without waiting for it: these commands must not be cut off.
  context.defer(() => (connection instanceof Redis ? connection.quit() : connection.close()));
  return connection;
}

/** What `new Server` takes as its adapter, by the adapter's name. */
const ADAPTERS = {
  "pub/sub": async (context, connection) => createPubSubAdapter(connection, await opened(context, connection.duplicate())),
  sharded: async (context, connection) => createShardedAdapter(connection, await opened(context, connection.duplicate())),
  streams: async (context, connection) => createStreamsAdapter(connection, { blockTimeInMs: 1000 }),
  "streams with sharded pub/sub": async (context, connection) =>
    createStreamsAdapter(connection, { blockTimeInMs: 1000, useShardedPubSub: true }),
};

/** A running node: `io` is its socket.io server, `connect` opens a client to it, `rooms` joins what a client asks for. */
export class Node {
  static async start(context, adapter, library) {
    const node = new Node();
    const http = createServer();
    node.context = context;
    node.io = new Server(http, { adapter: await ADAPTERS[adapter](context, await connect(context, library)), connectionStateRecovery: {} });
    node.io.on("connection", (socket) => {
      socket.on("join", (room, done) => Promise.resolve(socket.join(room)).then(() => done()));
    });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    node.url = `http://127.0.0.1:${http.address().port}`;
    context.defer(() => node.io.close());
    return node;
  }

  /** A client of this node that keeps what it hears, in rooms of its own. */
  async connect(...rooms) {
    const client = connectClient(this.url, { transports: ["websocket"], reconnection: false, forceNew: true });
    this.context.defer(() => client.disconnect());
    client.heard = [];
    client.on("message", (...args) => client.heard.push(args[0]));
    client.on("warm", (n) => (client.warm = n));
    client.on("question", (text, answer) => answer(`${text} ${client.id}`));
    await once(client, "connect");
    for (const room of rooms) await client.emitWithAck("join", room);
    return client;
  }
}

/** Two nodes, with a client each, that hear each other. */
export async function pair(context, adapter, library) {
  const nodes = [await Node.start(context, adapter, library), await Node.start(context, adapter, library)];
  const clients = [await nodes[0].connect("everyone", "first"), await nodes[1].connect("everyone", "second")];
  await hearEachOther(nodes, clients);
  return { nodes, clients };
}

/** Waits until a message of each node reaches the other's client, and each node knows how many there are. */
export async function hearEachOther(nodes, clients) {
  for (const [index, node] of nodes.entries()) {
    const listener = clients[1 - index];
    listener.warm = undefined;
    await eventually("a message from the other node", () => {
      node.io.to("everyone").emit("warm", 1);
      return listener.warm;
    });
    await eventually("the number of nodes", async () => (await node.io.of("/").adapter.serverCount()) === nodes.length);
  }
}

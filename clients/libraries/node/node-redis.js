// node-redis as the cases see it: its own methods, and the few that the libraries shape too differently.

import { createClient, MultiErrorReply, RESP_TYPES, WatchError } from "redis";

const RECONNECT_MS = 20;

/** Opens connections in one protocol. */
export function openNodeRedis(RESP) {
  return async (port, { reconnects = true, ...options }) => {
    const client = createClient({
      RESP,
      ...options,
      socket: { host: "127.0.0.1", port, reconnectStrategy: reconnects ? () => RECONNECT_MS : false },
    });
    // Without a listener an error ends the process.
    client.on("error", () => {});
    await client.connect();
    return face(client);
  };
}

function face(client) {
  const extra = {
    raw: (...args) => client.sendCommand(args.map(String)),
    end: async () => client.isOpen && client.destroy(),
    pipeline: (queue) => queued(client, queue).execAsPipeline(),
    /** What is called in one turn goes out in one piece; an error stands in the place of its reply. */
    together: async (queue) => {
      const calls = [];
      queue(new Proxy(client, { get: (target, name) => (...args) => calls.push(target[name](...args)) }));
      return (await Promise.allSettled(calls)).map(({ value, reason }) => reason ?? value);
    },
    /** All replies of MULTI/EXEC, or null if a watched key had changed. */
    transaction: (queue) => replies(() => queued(client, queue).exec()),
    /** The same client with binary replies. */
    buffers: client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }),
    /** Everything that a SCAN of its kind finds. */
    all: async (iterator, ...args) => {
      const found = [];
      for await (const batch of client[`${iterator}Iterator`](...args)) found.push(...batch);
      return found;
    },
    /** A script that the library sends as EVALSHA, and as EVAL when the server does not know it. */
    script: async (SCRIPT, keys, args) => {
      // In this library scripts belong to a client from its making, so the fallback is spelled out as its guide does.
      const sha = (client.shas ??= new Map()).get(SCRIPT) ?? (await client.scriptLoad(SCRIPT));
      client.shas.set(SCRIPT, sha);
      const options = { keys, arguments: args.map(String) };
      return client.evalSha(sha, options).catch((error) => {
        if (!error.message.startsWith("NOSCRIPT")) throw error;
        return client.eval(SCRIPT, options);
      });
    },
    subscriber: async () => {
      const own = client.duplicate();
      own.on("error", () => {});
      await own.connect();
      return Object.assign(own, { end: async () => own.isOpen && own.destroy() });
    },
    /** Waits until the client has its connection. */
    ready: () => client.isReady || new Promise((resolve) => client.once("ready", resolve)),
  };
  return new Proxy(client, {
    get: (target, name) => {
      if (Object.hasOwn(extra, name)) return extra[name];
      const value = target[name];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function queued(client, queue) {
  const multi = client.multi();
  multi.raw = (...args) => multi.addCommand(args);
  queue(multi);
  return multi;
}

async function replies(execute) {
  try {
    return await execute();
  } catch (error) {
    if (error instanceof WatchError) return null;
    if (error instanceof MultiErrorReply) return error.replies;
    throw error;
  }
}

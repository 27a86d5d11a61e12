// ioredis as the cases see it: under the names, with the options and in the shapes of node-redis, so that every expectation
// stands once. Each method calls ioredis' own method of that command, so its arguments, replies and errors are what is tested.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const RECONNECT_MS = 20;

/** Opens connections with one generation in one protocol; ioredis 5 knows RESP2 only. */
export function openIoredis(name, protocol) {
  const { Redis } = require(name);
  return async (port, { reconnects = true, database = 0, name: connectionName, ...options }) => {
    const redis = new Redis({
      host: "127.0.0.1",
      port,
      db: database,
      connectionName,
      lazyConnect: true,
      retryStrategy: reconnects ? () => RECONNECT_MS : () => null,
      maxRetriesPerRequest: null,
      ...(name === "ioredis" ? { protocol } : {}),
      ...options,
    });
    const refusal = new Promise((_, reject) => redis.on("error", reject));
    refusal.catch(() => {});
    await Promise.race([redis.connect(), refusal]).catch((error) => {
      redis.disconnect();
      throw error;
    });
    return face(redis);
  };
}

// --- arguments: option objects to words --------------------------------------------------------------------------

/** Flags and values in the order of the object: `{ EX: 5, NX: true }` gives EX 5 NX. */
const words = (options = {}) =>
  Object.entries(options).flatMap(([name, value]) => (value === true ? [name] : value === false ? [] : [name, value]));
const limit = ({ LIMIT }) => (LIMIT ? ["LIMIT", LIMIT.offset, LIMIT.count] : []);
const zrangeWords = ({ BY, REV, ...options } = {}) => [...(BY ? [`BY${BY}`] : []), ...(REV ? ["REV"] : []), ...limit(options)];
const members = (list) => [list].flat().flatMap(({ score, value }) => [score, value]);
const zkeys = (keys) =>
  typeof keys[0] === "object"
    ? [keys.length, ...keys.map(({ key }) => key), "WEIGHTS", ...keys.map(({ weight }) => weight)]
    : [keys.length, ...keys];
const counted = (keys) => [[keys].flat().length, ...[keys].flat()];
const geoFrom = (from) => (typeof from === "string" ? ["FROMMEMBER", from] : ["FROMLONLAT", from.longitude, from.latitude]);
const geoBy = ({ radius, width, height, unit }) => (radius ? ["BYRADIUS", radius, unit] : ["BYBOX", width, height, unit]);
const geoWords = ({ SORT, STOREDIST } = {}) => [...(SORT ? [SORT] : []), ...(STOREDIST ? ["STOREDIST"] : [])];
const streamWords = (streams) => ["STREAMS", ...[streams].flat().map(({ key }) => key), ...[streams].flat().map(({ id }) => id)];
const trim = ({ strategy, strategyModifier, threshold }) => [strategy, ...(strategyModifier ? [strategyModifier] : []), threshold];

// --- replies: ioredis' flat arrays to node-redis' objects ------------------------------------------------------------

const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, n) => [flat[2 * n], flat[2 * n + 1]]);
const object = (flat) => Object.fromEntries(pairs(flat));
const number = (text) => (text === null ? null : Number(text.replace?.("inf", "Infinity") ?? text));
const scored = (flat) => pairs(flat).map(([value, score]) => ({ value, score: number(score) }));
const popped = (reply) => reply && { key: reply[0], members: reply[1].map(([value, score]) => ({ value, score: number(score) })) };
const entry = (reply) => reply && { id: reply[0], message: object(reply[1]) };
const found = (reply) => reply && reply.map(([name, messages]) => ({ name, messages: messages.map(entry) }));

// --- the face ---------------------------------------------------------------------------------------------------

function face(redis) {
  return Object.assign(Object.create({ ...plain(redis), ...shaped(redis) }), connection(redis));
}

/** Commands whose words and replies are those of node-redis: only the name has another case. */
function plain(redis) {
  const names =
    "get incr incrBy decr decrBy append getRange setRange strLen getDel mGet del exists dbSize type rename renameNX expire expireAt expireTime ttl pTTL pExpireTime persist unlink " +
    "touch randomKey keys hSetNX hGet hmGet hGetAll hIncrBy hExists hDel hLen hStrLen hKeys hVals rPush lPush rPushX lInsert lRange lIndex lLen lSet lRem rPopLPush lMove lTrim lPop rPop " +
    "sAdd sMembers sIsMember smIsMember sInter sDiff sUnion sInterStore sCard sMove sRem sPop sRandMember zRank zRevRank zCount zLexCount zCard zRem zRandMember zRangeByLex zRemRangeByScore " +
    "xDel xLen xAck setBit getBit bitPos pfAdd pfCount publish sPublish set dump rPopCount zRemRangeByRank mSetNX mSet watch unwatch discard blPop";
  return Object.fromEntries(names.split(" ").map((name) => [name, (...args) => redis[name.toLowerCase()](...args.flat())]));
}

/** Commands that differ in their options or in the shape of what they give back. */
function shaped(redis) {
  return {
    ...stringsAndKeys(redis),
    ...collections(redis),
    ...sortedSets(redis),
    ...streams(redis),
    ...others(redis),
  };
}

function stringsAndKeys(redis) {
  return {
    set: (key, value, options) => redis.set(key, value, ...words(options)),
    getEx: (key, options) => redis.getex(key, ...words(options)),
    incrByFloat: (key, by) => redis.incrbyfloat(key, by),
    lcs: (a, b) => redis.lcs(a, b),
    lcsLen: (a, b) => redis.lcs(a, b, "LEN"),
    copy: (from, to, options) => redis.copy(from, to, ...words(options)),
    sort: (key, { DIRECTION }) => redis.sort(key, DIRECTION),
    objectEncoding: (key) => redis.object("ENCODING", key),
    restore: (key, ttl_ms, payload) => redis.restore(key, ttl_ms, payload),
    mSet: (record) => redis.mset(record),
    mSetNX: (record) => redis.msetnx(record),
  };
}

function collections(redis) {
  return {
    hSet: (key, ...fields) => redis.hset(key, ...fields),
    hIncrByFloat: (key, field, by) => redis.hincrbyfloat(key, field, by),
    hRandField: (key) => redis.hrandfield(key),
    hRandFieldCountWithValues: async (key, count) =>
      pairs((await redis.hrandfield(key, count, "WITHVALUES")).flat()).map(([field, value]) => ({ field, value })),
    lPos: (key, element) => redis.lpos(key, element),
    lPosCount: (key, element, count) => redis.lpos(key, element, "COUNT", count),
    lmPop: (keys, side, options) => redis.lmpop(...counted(keys), side, ...words(options)),
    sInterCard: (keys, limit) => redis.sintercard(...counted(keys), "LIMIT", limit),
    sPopCount: (key, count) => redis.spop(key, count),
    sRandMemberCount: (key, count) => redis.srandmember(key, count),
    blmPop: (timeout_s, keys, side, options) => redis.blmpop(timeout_s, ...counted(keys), side, ...words(options)),
    blMove: (from, to, source, target, timeout_s) => redis.blmove(from, to, source, target, timeout_s),
    blPop: async (keys, timeout_s) => {
      const reply = await redis.blpop(...[keys].flat(), timeout_s);
      return reply && { key: reply[0], element: reply[1] };
    },
    brPopLPush: (from, to, timeout_s) => redis.brpoplpush(from, to, timeout_s),
  };
}

function sortedSets(redis) {
  return {
    zAdd: (key, list, options) => redis.zadd(key, ...words(options), ...members(list)),
    zAddIncr: async (key, list, { condition } = {}) => number(await redis.zadd(key, ...(condition ? [condition] : []), "INCR", ...members(list))),
    zRange: (key, min, max, options) => redis.zrange(key, min, max, ...zrangeWords(options)),
    zRangeWithScores: async (key, min, max) => scored((await redis.zrange(key, min, max, "WITHSCORES")).flat()),
    zScore: async (key, member) => number(await redis.zscore(key, member)),
    zmScore: async (key, list) => (await redis.zmscore(key, ...list)).map(number),
    zIncrBy: async (key, by, member) => number(await redis.zincrby(key, by, member)),
    zPopMin: async (key) => scored((await redis.zpopmin(key)).flat())[0] ?? null,
    zPopMaxCount: async (key, count) => scored((await redis.zpopmax(key, count)).flat()),
    zUnionWithScores: async (keys) => scored((await redis.zunion(...counted(keys), "WITHSCORES")).flat()),
    zInter: (keys) => redis.zinter(...counted(keys)),
    zDiff: (keys) => redis.zdiff(...counted(keys)),
    zInterCard: (keys) => redis.zintercard(...counted(keys)),
    zUnionStore: (to, keys, options) => redis.zunionstore(to, ...zkeys(keys), ...words(options)),
    zmPop: async (keys, side, options) => popped(await redis.zmpop(...counted(keys), side, ...words(options))),
    zRangeStore: (to, from, min, max) => redis.zrangestore(to, from, min, max),
    zRandMemberCountWithScores: async (key, count) => scored((await redis.zrandmember(key, count, "WITHSCORES")).flat()),
    bzPopMin: async (keys, timeout_s) => {
      const reply = await redis.bzpopmin(...[keys].flat(), timeout_s);
      return reply && { key: reply[0], value: reply[1], score: number(reply[2]) };
    },
    bzmPop: async (timeout_s, keys, side) => popped(await redis.bzmpop(timeout_s, ...counted(keys), side)),
  };
}

function streams(redis) {
  const fields = (message) => Object.entries(message).flat();
  return {
    xAdd: (key, id, message, { TRIM } = {}) => redis.xadd(key, ...(TRIM ? trim(TRIM) : []), id, ...fields(message)),
    xAddNoMkStream: (key, id, message) => redis.xadd(key, "NOMKSTREAM", id, ...fields(message)),
    xTrim: (key, strategy, threshold, { strategyModifier } = {}) => redis.xtrim(key, ...trim({ strategy, strategyModifier, threshold })),
    xRange: async (key, from, to, options) => (await redis.xrange(key, from, to, ...words(options))).map(entry),
    xRevRange: async (key, from, to, options) => (await redis.xrevrange(key, from, to, ...words(options))).map(entry),
    xRead: async (list, options) => found(await redis.xread(...words(options), ...streamWords(list))),
    xReadGroup: async (group, consumer, list, options) =>
      found(await redis.xreadgroup("GROUP", group, consumer, ...words(options), ...streamWords(list))),
    xInfoStream: async (key) => {
      const info = object(await redis.xinfo("STREAM", key));
      return { ...info, "first-entry": entry(info["first-entry"]) };
    },
    xInfoGroups: async (key) => (await redis.xinfo("GROUPS", key)).map(object),
    xInfoConsumers: async (key, group) => (await redis.xinfo("CONSUMERS", key, group)).map(object),
    xGroupCreate: (key, group, id, options) => redis.xgroup("CREATE", key, group, id, ...words(options)),
    xGroupDestroy: (key, group) => redis.xgroup("DESTROY", key, group),
    xGroupSetId: (key, group, id) => redis.xgroup("SETID", key, group, id),
    xGroupCreateConsumer: (key, group, consumer) => redis.xgroup("CREATECONSUMER", key, group, consumer),
    xGroupDelConsumer: (key, group, consumer) => redis.xgroup("DELCONSUMER", key, group, consumer),
    xPending: async (key, group) => {
      const [pending, firstId, lastId, consumers] = await redis.xpending(key, group);
      return { pending, firstId, lastId, consumers: consumers.map(([name, count]) => ({ name, deliveriesCounter: Number(count) })) };
    },
    xPendingRange: async (key, group, from, to, count, { consumer }) =>
      (await redis.xpending(key, group, from, to, count, consumer)).map(([id, owner, , deliveriesCounter]) => ({ id, consumer: owner, deliveriesCounter })),
    xClaim: async (key, group, consumer, idle_ms, ids) => (await redis.xclaim(key, group, consumer, idle_ms, ...ids)).map(entry),
    xClaimJustId: (key, group, consumer, idle_ms, ids) => redis.xclaim(key, group, consumer, idle_ms, ...ids, "JUSTID"),
    xAutoClaim: async (key, group, consumer, idle_ms, start, options) => {
      const [nextId, messages, deletedMessages] = await redis.xautoclaim(key, group, consumer, idle_ms, start, ...words(options));
      return { nextId, messages: messages.map(entry), deletedMessages };
    },
  };
}

function others(redis) {
  return {
    bitCount: (key, range) => redis.bitcount(key, ...(range ? Object.values(range) : [])),
    bitOp: (operation, to, keys) => redis.bitop(operation, to, ...keys),
    bitField: (key, operations) => redis.bitfield(key, ...operations.flatMap((step) => Object.values(step))),
    bitFieldRo: (key, [{ encoding, offset }]) => redis.bitfield_ro(key, "GET", encoding, offset),
    pfMerge: (to, keys) => redis.pfmerge(to, ...keys),
    geoAdd: (key, list) => redis.geoadd(key, ...list.flatMap(({ longitude, latitude, member }) => [longitude, latitude, member])),
    geoDist: async (key, a, b, unit) => number(await redis.geodist(key, a, b, unit)),
    geoHash: (key, list) => redis.geohash(key, ...list),
    geoPos: async (key, list) =>
      (await redis.geopos(key, ...list)).map((position) => position && { longitude: position[0], latitude: position[1] }),
    geoSearch: (key, from, by, options) => redis.geosearch(key, ...geoFrom(from), ...geoBy(by), ...geoWords(options)),
    geoSearchWith: async (key, from, by, _with, options) =>
      (await redis.geosearch(key, ...geoFrom(from), ...geoBy(by), ...geoWords(options), "WITHCOORD", "WITHDIST", "WITHHASH")).map(
        ([member, distance, hash, [longitude, latitude]]) => ({ member, distance, hash, coordinates: { longitude, latitude } }),
      ),
    geoSearchStore: (to, key, from, by, options) => redis.geosearchstore(to, key, ...geoFrom(from), ...geoBy(by), ...geoWords(options)),
    eval: (script, { keys = [], arguments: args = [] } = {}) => redis.eval(script, keys.length, ...keys, ...args),
    evalRo: (script, { keys = [], arguments: args = [] } = {}) => redis.eval_ro(script, keys.length, ...keys, ...args),
    evalSha: (sha, { keys = [], arguments: args = [] } = {}) => redis.evalsha(sha, keys.length, ...keys, ...args),
    scriptLoad: (script) => redis.script("LOAD", script),
    scriptExists: (shas) => redis.script("EXISTS", ...shas),
    scriptFlush: () => redis.script("FLUSH"),
    configSet: (name, value) => redis.config("SET", name, value),
    pubSubNumPat: () => redis.pubsub("NUMPAT"),
    pubSubNumSub: async (channels) => object(await redis.pubsub("NUMSUB", ...channels)),
    pubSubShardNumSub: async (channels) => object(await redis.pubsub("SHARDNUMSUB", ...channels)),
    pubSubChannels: () => redis.pubsub("CHANNELS"),
  };
}

function connection(redis) {
  return {
    raw: (name, ...args) => redis.call(name, ...args),
    end: async () => redis.disconnect(),
    pipeline: (queue) => replies(redis.pipeline(), queue),
    together: (queue) => replies(redis.pipeline(), queue),
    transaction: (queue) => replies(redis.multi(), queue),
    buffers: { get: (key) => redis.getBuffer(key), set: (key, value) => redis.set(key, value), dump: (key) => redis.dumpBuffer(key) },
    all: async (iterator, ...args) => {
      const options = typeof args.at(-1) === "object" ? args.pop() : {};
      const kind = iterator === "scan" ? "" : iterator[0];
      const items = [];
      for await (const batch of redis[`${kind}scanStream`](...args, { match: options.MATCH, count: options.COUNT })) items.push(...batch);
      if (kind === "h") return pairs(items).map(([field, value]) => ({ field, value }));
      return kind === "z" ? scored(items) : items;
    },
    script: (lua, keys, args) => {
      const name = `script${lua.length}`;
      if (!redis[name]) redis.defineCommand(name, { lua, numberOfKeys: keys.length });
      return redis[name](...keys, ...args);
    },
    subscriber: async () => subscriber(redis.duplicate()),
    ready: () => redis.status === "ready" || new Promise((resolve) => redis.once("ready", resolve)),
  };
}

/** Queues under the names of the face; what it shapes afterwards is not used in queues. */
async function replies(queue_of_ioredis, queue) {
  queue(Object.assign(face(queue_of_ioredis), { raw: (name, ...args) => queue_of_ioredis.call(name, ...args) }));
  const reply = await queue_of_ioredis.exec();
  return reply && reply.map(([error, value]) => error ?? value);
}

/** One listener a channel, as node-redis has it, over ioredis' events. */
async function subscriber(redis) {
  const listeners = new Map();
  const on = (event, take) => redis.on(event, (...args) => listeners.get(`${event} ${args[0]}`)?.(...take(args)));
  redis.on("error", () => {});
  on("message", ([channel, message]) => [message, channel]);
  on("pmessage", ([, channel, message]) => [message, channel]);
  on("smessage", ([channel, message]) => [message, channel]);
  await redis.connect();
  const adds = (event, name) => (channel, listener) => {
    listeners.set(`${event} ${channel}`, listener);
    return redis[name](channel);
  };
  return {
    subscribe: adds("message", "subscribe"),
    pSubscribe: adds("pmessage", "psubscribe"),
    sSubscribe: adds("smessage", "ssubscribe"),
    unsubscribe: (channel) => redis.unsubscribe(channel),
    pUnsubscribe: (pattern) => redis.punsubscribe(pattern),
    end: async () => redis.disconnect(),
  };
}

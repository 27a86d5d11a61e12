// Type by type: what each family of commands gives back. The calls are node-redis' own; ioredis answers under the same names.

import assert from "node:assert/strict";

const { deepEqual, equal, ok, rejects } = assert;
const range = (from, to) => Array.from({ length: to - from }, (_, n) => String(from + n));
const sorted = (list) => [...list].sort();
const WRONG_TYPE = /^WRONGTYPE Operation against a key holding the wrong kind of value$/;

export const cases = {
  async strings({ open }) {
    const r = await open();
    equal(await r.set("k", "1"), "OK");
    equal(await r.set("k", "2", { NX: true }), null);
    equal(await r.set("absent", "2", { XX: true }), null);
    equal(await r.set("k", "2", { GET: true }), "1");
    equal(await r.set("k", "3", { EX: 100 }), "OK");
    equal(await r.set("k", "4", { KEEPTTL: true }), "OK");
    ok((await r.ttl("k")) > 0);
    equal(await r.getEx("k", { PERSIST: true }), "4");
    equal(await r.ttl("k"), -1);
    equal(await r.get("absent"), null);
    deepEqual([await r.incrBy("n", 5), await r.decrBy("n", 7)], [5, -2]);
    deepEqual([Number(await r.incrByFloat("f", 10.5)), Number(await r.incrByFloat("f", 0.1))], [10.5, 10.6]);
    deepEqual([await r.append("s", "Hello"), await r.append("s", " World")], [5, 11]);
    deepEqual([await r.getRange("s", -5, -1), await r.setRange("s", 6, "Redis"), await r.strLen("s")], ["World", 11, 11]);
    deepEqual([await r.getDel("s"), await r.get("s")], ["Hello Redis", null]);
    equal(await r.mSet({ a: "1", b: "2" }), "OK");
    deepEqual(await r.mGet(["a", "absent", "b"]), ["1", null, "2"]);
    deepEqual([Number(await r.mSetNX({ b: "3", c: "3" })), await r.get("c")], [0, null]);
    equal(await r.del(["a", "b", "absent"]), 2);
    const every_byte = Buffer.from(Array.from({ length: 76_800 }, (_, n) => n % 256));
    equal(String(await r.buffers.set("binary", every_byte)), "OK");
    ok(every_byte.equals(await r.buffers.get("binary")));
    await r.mSet({ x: "ohmytext", y: "mynewtext" });
    deepEqual([await r.lcs("x", "y"), await r.lcsLen("x", "y")], ["mytext", 6]);
  },

  async keys({ open }) {
    const r = await open();
    await r.mSet(Object.fromEntries(range(0, 500).map((n) => [`key:${n}`, n])));
    deepEqual([await r.exists(["key:1", "key:2", "key:1", "absent"]), await r.dbSize()], [3, 500]);
    await r.rPush("list", "1");
    deepEqual([await r.type("key:1"), await r.type("list"), await r.type("absent")], ["string", "list", "none"]);
    deepEqual([await r.rename("key:0", "renamed"), await r.renameNX("renamed", "key:1")], ["OK", 0]);
    deepEqual([await r.copy("key:1", "copy"), await r.copy("key:2", "copy"), await r.copy("key:2", "copy", { REPLACE: true })], [1, 0, 1]);
    deepEqual([await r.get("copy"), await r.expire("copy", 1000), await r.expire("copy", 2000, "NX")], ["2", 1, 0]);
    const ttl_ms = await r.pTTL("copy");
    ok(0 < ttl_ms && ttl_ms <= 1_000_000);
    deepEqual([await r.persist("copy"), await r.ttl("copy"), await r.ttl("absent")], [1, -1, -2]);
    deepEqual([await r.expireAt("copy", 4e9), await r.expireTime("copy"), await r.pExpireTime("copy")], [1, 4e9, 4e12]);
    equal(await r.unlink(["copy", "list"]), 2);
    deepEqual(sorted(new Set(await r.all("scan", { MATCH: "key:*", COUNT: 100 }))), sorted(range(1, 500).map((n) => `key:${n}`)));
    equal((await r.keys("key:1?")).length, 10);
    equal(await r.touch(["key:1", "absent"]), 1);
    ok(/^(key:|renamed)/.test(await r.randomKey()));
    await r.rPush("numbers", ["3", "1", "2"]);
    deepEqual(await r.sort("numbers", { DIRECTION: "DESC" }), ["3", "2", "1"]);
    ok(["listpack", "quicklist"].includes(await r.objectEncoding("numbers")));
    const payload = await r.buffers.dump("numbers");
    equal(await r.restore("restored", 0, payload), "OK");
    deepEqual(await r.lRange("restored", 0, -1), ["3", "1", "2"]);
    await rejects(r.restore("restored", 0, payload), { message: "BUSYKEY Target key name already exists." });
  },

  async hashes({ open }) {
    const r = await open();
    deepEqual([await r.hSet("h", { a: "1", b: "2", c: "3" }), await r.hSet("h", "a", "0"), await r.hSetNX("h", "a", "9")], [3, 0, 0]);
    deepEqual([await r.hGet("h", "a"), await r.hGet("h", "absent")], ["0", null]);
    deepEqual(await r.hmGet("h", ["a", "absent", "c"]), ["0", null, "3"]);
    deepEqual({ ...(await r.hGetAll("h")) }, { a: "0", b: "2", c: "3" });
    deepEqual({ ...(await r.hGetAll("absent")) }, {});
    deepEqual([await r.hIncrBy("h", "a", 5), Number(await r.hIncrByFloat("h", "b", 0.5))], [5, 2.5]);
    deepEqual([await r.hExists("h", "a"), await r.hExists("h", "absent")].map(Number), [1, 0]);
    deepEqual([await r.hDel("h", ["a", "absent"]), await r.hLen("h"), await r.hStrLen("h", "b")], [1, 2, 3]);
    deepEqual([sorted(await r.hKeys("h")), sorted(await r.hVals("h"))], [["b", "c"], ["2.5", "3"]]);
    const big = Object.fromEntries(range(0, 2000).map((n) => [`field:${n}`, n]));
    equal(await r.hSet("big", big), 2000);
    deepEqual(Object.fromEntries((await r.all("hScan", "big", { COUNT: 200 })).map(({ field, value }) => [field, value])), big);
    ok(["b", "c"].includes(await r.hRandField("h")));
    const picked = await r.hRandFieldCountWithValues("h", 5);
    deepEqual(sorted(picked.map(({ field, value }) => `${field}=${value}`)), ["b=2.5", "c=3"]);
  },

  async lists({ open }) {
    const r = await open();
    deepEqual([await r.rPush("l", ["b", "c"]), await r.lPush("l", "a"), await r.rPushX("absent", "x")], [2, 3, 0]);
    equal(await r.lInsert("l", "BEFORE", "c", "bb"), 4);
    deepEqual([await r.lRange("l", 0, -1), await r.lRange("absent", 0, -1)], [["a", "b", "bb", "c"], []]);
    deepEqual([await r.lIndex("l", -1), await r.lIndex("l", 9), await r.lLen("l"), await r.lSet("l", 0, "A")], ["c", null, 4, "OK"]);
    deepEqual([await r.lPos("l", "c"), await r.lPos("l", "absent"), await r.lPosCount("l", "c", 0)], [3, null, [3]]);
    deepEqual([await r.lRem("l", 0, "bb"), await r.lMove("l", "other", "LEFT", "RIGHT"), await r.rPopLPush("l", "other")], [1, "A", "c"]);
    deepEqual(await r.lRange("other", 0, -1), ["c", "A"]);
    deepEqual(await r.lmPop(["absent", "other"], "LEFT", { COUNT: 5 }), ["other", ["c", "A"]]);
    equal(await r.lmPop(["absent"], "LEFT"), null);
    await r.rPush("n", range(0, 100));
    deepEqual([await r.lTrim("n", 10, 12), await r.lRange("n", 0, -1)], ["OK", ["10", "11", "12"]]);
    deepEqual([await r.lPop("n"), await r.rPop("n"), await r.lPop("n"), await r.lPop("n")], ["10", "12", "11", null]);
  },

  async sets({ open }) {
    const r = await open();
    deepEqual([await r.sAdd("s", ["a", "b", "c"]), await r.sAdd("s", "a"), await r.sAdd("t", ["b", "c", "d"])], [3, 0, 3]);
    deepEqual([sorted(await r.sMembers("s")), [...(await r.sMembers("absent"))]], [["a", "b", "c"], []]);
    equal(Number(await r.sIsMember("s", "a")), 1);
    deepEqual((await r.smIsMember("s", ["a", "z"])).map(Number), [1, 0]);
    deepEqual([sorted(await r.sInter(["s", "t"])), [...(await r.sDiff(["s", "t"]))]], [["b", "c"], ["a"]]);
    deepEqual([sorted(await r.sUnion(["s", "t"])), await r.sInterStore("u", ["s", "t"])], [["a", "b", "c", "d"], 2]);
    deepEqual([await r.sInterCard(["s", "t"], 1), await r.sCard("u")], [1, 2]);
    deepEqual([Number(await r.sMove("s", "t", "a")), await r.sRem("s", ["b", "z"])], [1, 1]);
    deepEqual([await r.sPop("s"), await r.sPop("s"), sorted(await r.sPopCount("t", 9))], ["c", null, ["a", "b", "c", "d"]]);
    await r.sAdd("n", range(0, 1000));
    deepEqual(sorted(new Set(await r.all("sScan", "n", { COUNT: 100 }))), sorted(range(0, 1000)));
    equal(new Set(await r.sRandMemberCount("n", 10)).size, 10);
    equal((await r.sRandMemberCount("n", -2000)).length, 2000);
  },

  async "sorted sets"({ open }) {
    const r = await open();
    const scored = (...list) => list.map(([value, score]) => ({ value, score }));
    const plain = (list) => list.map(({ value, score }) => ({ value, score }));
    equal(await r.zAdd("z", scored(["a", 1], ["b", 2.5], ["c", "inf"], ["d", "-inf"])), 4);
    deepEqual(plain(await r.zRangeWithScores("z", 0, -1)), scored(["d", -Infinity], ["a", 1], ["b", 2.5], ["c", Infinity]));
    deepEqual([Number(await r.zAdd("z", scored(["a", 0.5]), { GT: true, CH: true })), Number(await r.zAdd("z", scored(["a", 3]), { XX: true, CH: true }))], [0, 1]);
    deepEqual([await r.zAddIncr("z", scored(["a", 0.25])), await r.zAddIncr("z", scored(["a", 1]), { condition: "NX" })], [3.25, null]);
    const exact = 7_147_483_648_000_001;
    await r.zAdd("exact", scored(["job", exact], ["tenth", 0.1]));
    deepEqual([await r.zScore("exact", "job"), await r.zScore("exact", "tenth"), await r.zScore("z", "absent")], [exact, 0.1, null]);
    deepEqual(await r.zmScore("z", ["a", "absent"]), [3.25, null]);
    deepEqual([await r.zRank("z", "a"), await r.zRevRank("z", "a"), await r.zRank("z", "absent")], [2, 1, null]);
    deepEqual(await r.zRange("z", "(1", "+inf", { BY: "SCORE", LIMIT: { offset: 0, count: 1 } }), ["b"]);
    deepEqual([await r.zRange("z", 0, 1, { REV: true }), await r.zCount("z", 2, 3)], [["c", "a"], 1]);
    await r.zAdd("lex", scored(["a", 0], ["b", 0], ["c", 0], ["d", 0]));
    deepEqual([await r.zRangeByLex("lex", "[b", "(d"), await r.zLexCount("lex", "-", "+")], [["b", "c"], 4]);
    deepEqual([await r.zIncrBy("z", 0.75, "a"), await r.zCard("z"), await r.zRem("z", ["d", "x"])], [4, 4, 1]);
    deepEqual(plain([await r.zPopMin("z")]), scored(["b", 2.5]));
    deepEqual(plain(await r.zPopMaxCount("z", 2)), scored(["c", Infinity], ["a", 4]));
    equal(await r.zPopMin("absent"), null);
    await r.zAdd("x", scored(["a", 1], ["b", 2]));
    await r.zAdd("y", scored(["b", 3], ["c", 4]));
    deepEqual(plain(await r.zUnionWithScores(["x", "y"])), scored(["a", 1], ["c", 4], ["b", 5]));
    deepEqual([await r.zInter(["x", "y"]), await r.zDiff(["x", "y"]), await r.zInterCard(["x", "y"])], [["b"], ["a"], 1]);
    equal(await r.zUnionStore("u", [{ key: "x", weight: 2 }, { key: "y", weight: 1 }], { AGGREGATE: "MAX" }), 3);
    const popped = await r.zmPop(["absent", "u"], "MAX", { COUNT: 2 });
    deepEqual([popped.key, plain(popped.members)], ["u", scored(["c", 4], ["b", 4])]);
    deepEqual([await r.zRangeStore("v", "x", 0, 0), await r.zRemRangeByScore("x", 1, 2)], [1, 2]);
    await r.zAdd("big", range(0, 1000).map((n) => ({ value: `m${n}`, score: Number(n) })));
    const all = await r.all("zScan", "big", { COUNT: 100 });
    deepEqual(new Map(all.map(({ value, score }) => [value, score])), new Map(range(0, 1000).map((n) => [`m${n}`, Number(n)])));
    equal(await r.zRandMember("u"), "a");
    deepEqual(plain(await r.zRandMemberCountWithScores("u", 2)), scored(["a", 2]));
  },

  async streams({ open }) {
    const r = await open();
    equal(await r.xAdd("x", "1-1", { f: "1", g: "v" }), "1-1");
    deepEqual([await r.xAdd("x", "1-*", { f: "2" }), await r.xAdd("x", "2-0", { f: "3" })], ["1-2", "2-0"]);
    await rejects(r.xAdd("x", "1-1", { f: "0" }), /equal or smaller than the target stream top item/);
    deepEqual([await r.xAddNoMkStream("absent", "*", { f: "1" }), await r.xLen("x")], [null, 3]);
    const [first, second, third] = [["1-1", { f: "1", g: "v" }], ["1-2", { f: "2" }], ["2-0", { f: "3" }]];
    deepEqual(entries(await r.xRange("x", "-", "+", { COUNT: 2 })), [first, second]);
    deepEqual(entries(await r.xRange("x", "(1-1", "1-2")), [second]);
    deepEqual(entries(await r.xRevRange("x", "+", "-", { COUNT: 1 })), [third]);
    deepEqual(read(await r.xRead([{ key: "x", id: "1-2" }, { key: "absent", id: "0" }])), { x: [third] });
    equal(await r.xRead({ key: "x", id: "$" }), null);
    const info = await r.xInfoStream("x");
    deepEqual([info.length, info["last-generated-id"], entries([info["first-entry"]])], [3, "2-0", [first]]);
    deepEqual([await r.xDel("x", ["1-2", "9-9"]), await r.xTrim("x", "MINID", 2), await r.xLen("x")], [1, 1, 1]);
    for (const n of range(0, 250)) await r.xAdd("capped", "*", { n }, { TRIM: { strategy: "MAXLEN", strategyModifier: "~", threshold: 100 } });
    const length = await r.xLen("capped");
    ok(100 <= length && length <= 250);
    ok((await r.xTrim("capped", "MAXLEN", 10)) >= 90);
    deepEqual((await r.xRange("capped", "-", "+")).map(({ message }) => message.n), range(240, 250));
  },

  async "stream groups"({ open }) {
    const r = await open();
    const numbered = (...numbers) => numbers.map((n) => [`${n}-0`, { n: String(n) }]);
    equal(await r.xGroupCreate("x", "g", "0", { MKSTREAM: true }), "OK");
    await rejects(r.xGroupCreate("x", "g", "$"), { message: "BUSYGROUP Consumer Group name already exists" });
    for (const n of range(1, 6)) await r.xAdd("x", `${n}-0`, { n });
    deepEqual(read(await r.xReadGroup("g", "alice", { key: "x", id: ">" }, { COUNT: 2 })), { x: numbered(1, 2) });
    deepEqual(read(await r.xReadGroup("g", "bob", { key: "x", id: ">" }, { COUNT: 2 })), { x: numbered(3, 4) });
    equal(await r.xAck("x", "g", ["1-0", "9-0"]), 1);
    const pending = await r.xPending("x", "g");
    deepEqual([pending.pending, pending.firstId, pending.lastId], [3, "2-0", "4-0"]);
    deepEqual(pending.consumers.map(({ name, deliveriesCounter }) => [name, deliveriesCounter]), [["alice", 1], ["bob", 2]]);
    const detail = await r.xPendingRange("x", "g", "-", "+", 10, { consumer: "bob" });
    deepEqual(detail.map(({ id, consumer, deliveriesCounter }) => [id, consumer, deliveriesCounter]), [["3-0", "bob", 1], ["4-0", "bob", 1]]);
    deepEqual(entries(await r.xClaim("x", "g", "alice", 0, ["3-0"])), numbered(3));
    deepEqual(await r.xClaimJustId("x", "g", "alice", 0, ["4-0"]), ["4-0"]);
    const claimed = await r.xAutoClaim("x", "g", "carol", 0, "0", { COUNT: 2 });
    deepEqual([claimed.nextId, entries(claimed.messages), claimed.deletedMessages], ["4-0", numbered(2, 3), []]);
    deepEqual(read(await r.xReadGroup("g", "carol", { key: "x", id: "0" })), { x: numbered(2, 3) });
    const [group] = await r.xInfoGroups("x");
    deepEqual([group.name, group.consumers, group.pending], ["g", 3, 3]);
    deepEqual([group["last-delivered-id"], group["entries-read"], group.lag], ["4-0", 4, 1]);
    deepEqual((await r.xInfoConsumers("x", "g")).map(({ name, pending }) => [name, pending]), [["alice", 1], ["bob", 0], ["carol", 2]]);
    deepEqual([await r.xGroupDelConsumer("x", "g", "carol"), Number(await r.xGroupCreateConsumer("x", "g", "dave"))], [2, 1]);
    deepEqual([await r.xGroupSetId("x", "g", "0"), Number(await r.xGroupDestroy("x", "g"))], ["OK", 1]);
    await rejects(r.xReadGroup("g", "alice", { key: "x", id: ">" }), /^Error: NOGROUP No such key|NOGROUP No such key 'x' or consumer group 'g'/);
  },

  async bits({ open }) {
    const r = await open();
    deepEqual([await r.setBit("b", 7, 1), await r.setBit("b", 7, 0), await r.getBit("b", 7)], [0, 1, 0]);
    await r.set("f", "foobar");
    deepEqual([await r.bitCount("f"), await r.bitCount("f", { start: 1, end: 1 }), await r.bitCount("f", { start: 5, end: 30, mode: "BIT" })], [26, 6, 17]);
    await r.setBit("p", 100, 1);
    deepEqual([await r.bitPos("p", 1), await r.bitPos("absent", 1)], [100, -1]);
    await r.mSet({ a: "abc", c: "abd" });
    deepEqual([await r.bitOp("XOR", "x", ["a", "c"]), await r.get("x")], [3, "\0\0\x07"]);
    const steps = [
      { operation: "SET", encoding: "u8", offset: 0, value: 255 },
      { operation: "GET", encoding: "u4", offset: 0 },
      { operation: "INCRBY", encoding: "u8", offset: 0, increment: 10 },
      { operation: "OVERFLOW", behavior: "SAT" },
      { operation: "INCRBY", encoding: "i5", offset: "#3", increment: 100 },
      { operation: "OVERFLOW", behavior: "FAIL" },
      { operation: "INCRBY", encoding: "i5", offset: "#3", increment: 1 },
    ];
    deepEqual(await r.bitField("bf", steps), [0, 15, 9, 15, null]);
    deepEqual(await r.bitFieldRo("bf", [{ encoding: "u8", offset: 0 }]), [9]);
  },

  async hyperloglog({ open }) {
    const r = await open();
    deepEqual([await r.pfAdd("a", range(0, 1000)), await r.pfAdd("a", "1"), await r.pfCount("a")].map(Number), [1, 0, 1001]);
    deepEqual([Number(await r.pfAdd("b", range(500, 1500))), await r.pfMerge("c", ["a", "b"])], [1, "OK"]);
    deepEqual([await r.pfCount("c"), await r.pfCount(["a", "b"])], [1512, 1512]);
  },

  async geo({ open }) {
    const r = await open();
    const [palermo, catania] = [
      { longitude: 13.361389, latitude: 38.115556, member: "Palermo" },
      { longitude: 15.087269, latitude: 37.502669, member: "Catania" },
    ];
    equal(await r.geoAdd("g", [palermo, catania]), 2);
    deepEqual([await r.geoDist("g", "Palermo", "Catania", "km"), await r.geoDist("g", "Palermo", "absent", "km")], [166.2742, null]);
    deepEqual(await r.geoHash("g", ["Palermo", "absent"]), ["sqc8b49rny0", null]);
    const at = { longitude: "13.3613893389701841", latitude: "38.1155563954962985" };
    const [position, absent] = await r.geoPos("g", ["Palermo", "absent"]);
    near(position, at);
    equal(absent, null);
    const near_centre = { longitude: 15, latitude: 37 };
    deepEqual(await r.geoSearch("g", near_centre, { radius: 200, unit: "km" }, { SORT: "ASC" }), ["Catania", "Palermo"]);
    const found = await r.geoSearchWith("g", "Palermo", { width: 400, height: 400, unit: "km" }, ["WITHCOORD", "WITHDIST", "WITHHASH"], { SORT: "DESC" });
    deepEqual(found.map(({ member, distance, hash }) => [member, Number(distance), Number(hash)]), [
      ["Catania", 166.2742, 3479447370796909],
      ["Palermo", 0, 3479099956230698],
    ]);
    near(found[1].coordinates, at);
    equal(await r.geoSearchStore("h", "g", near_centre, { radius: 100, unit: "km" }, { STOREDIST: true }), 1);
    ok(Math.abs((await r.zScore("h", "Catania")) - 56.4412578701582) < 1e-9);
  },

  async scripts({ open }) {
    const r = await open();
    const reply = await r.eval("return {KEYS[1], ARGV[1], 7, 1.9, false, {'x'}}", { keys: ["k"], arguments: ["v"] });
    deepEqual(reply, ["k", "v", 7, 1, null, ["x"]]);
    equal(await r.eval("return redis.status_reply('FINE')"), "FINE");
    await rejects(r.eval("return redis.error_reply('MY error')"), { message: "MY error" });
    const half = "redis.call('SET', KEYS[1], 'x'); return redis.call('LPUSH', KEYS[1], 'y')";
    await rejects(r.eval(half, { keys: ["k"] }), /WRONGTYPE Operation against a key holding the wrong kind of value/);
    equal(await r.get("k"), "x");
    const sha = await r.scriptLoad("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    equal(await r.evalSha(sha, { keys: ["n"], arguments: ["5"] }), 5);
    deepEqual((await r.scriptExists([sha, "0".repeat(40)])).map(Number), [1, 0]);
    equal(await r.scriptFlush(), "OK");
    await rejects(r.evalSha(sha, { keys: ["n"], arguments: ["5"] }), /NOSCRIPT No matching script/);
    const lua = "redis.call('SET', KEYS[1], cjson.encode({n = tonumber(ARGV[1])})); return redis.call('GET', KEYS[1])";
    for (let n = 0; n < 2; n += 1) equal(await r.script(lua, ["json"], [12]), '{"n":12}');
    await r.hSet("h", "a", "1");
    equal(await r.eval("redis.setresp(3); local m = redis.call('HGETALL', KEYS[1]); return m.map.a", { keys: ["h"] }), "1");
    equal(await r.evalRo("return redis.call('GET', KEYS[1])", { keys: ["n"] }), "5");
    await rejects(r.evalRo("return redis.call('SET', KEYS[1], '6')", { keys: ["n"] }), /Write commands are not allowed from read-only scripts/);
  },

  async errors({ open }) {
    const r = await open();
    await r.set("k", "text");
    await rejects(r.lPush("k", "x"), { message: WRONG_TYPE });
    await rejects(r.incr("k"), { message: "ERR value is not an integer or out of range" });
    await rejects(r.raw("NOSUCH", "a", "b"), { message: /^ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b'/ });
    await rejects(r.raw("GET"), { message: "ERR wrong number of arguments for 'get' command" });
    equal(await r.get("k"), "text");
  },
};

/** Entries as pairs of an id and a plain object. */
function entries(list) {
  return list.map(({ id, message }) => [id, { ...message }]);
}

function read(reply) {
  return Object.fromEntries(reply.map(({ name, messages }) => [name, entries(messages)]));
}

/** Positions are doubles, whose last digit depends on who printed them. */
function near(actual, expected) {
  for (const axis of ["longitude", "latitude"]) {
    ok(Math.abs(Number(actual[axis]) - Number(expected[axis])) < 1e-12, `${axis}: ${actual[axis]}, not ${expected[axis]}`);
  }
}

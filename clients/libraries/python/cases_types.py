"""Type by type: what each family of commands gives back through redis-py."""

import math

import pytest
import redis

from clients import Context

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


async def strings(context: Context):
    r = context.connect()
    assert await r.set("k", "1") is True
    assert await r.set("k", "2", nx=True) is None
    assert await r.set("absent", "2", xx=True) is None
    assert await r.set("k", "2", get=True) == "1"
    assert await r.set("k", "3", ex=100) is True
    assert await r.set("k", "4", keepttl=True) is True and 0 < await r.ttl("k") <= 100
    assert await r.getex("k", persist=True) == "4" and await r.ttl("k") == -1
    assert await r.get("absent") is None
    assert await r.incr("n", 5) == 5 and await r.decr("n", 7) == -2
    assert await r.incrbyfloat("f", 10.5) == 10.5 and await r.incrbyfloat("f", 0.1) == 10.6
    assert await r.append("s", "Hello") == 5 and await r.append("s", " World") == 11
    assert await r.getrange("s", -5, -1) == "World" and await r.setrange("s", 6, "Redis") == 11
    assert await r.strlen("s") == 11 and await r.getdel("s") == "Hello Redis" and await r.get("s") is None
    assert await r.mset({"a": "1", "b": "2"}) is True
    assert await r.mget("a", "absent", "b") == ["1", None, "2"]
    assert await r.msetnx({"b": "3", "c": "3"}) is False and await r.get("c") is None
    assert await r.delete("a", "b", "absent") == 2
    raw = context.connect(decode_responses=False)
    every_byte = bytes(range(256)) * 300
    assert await raw.set(every_byte[:256], every_byte) is True
    assert await raw.get(every_byte[:256]) == every_byte
    await r.set("x", "ohmytext"), await r.set("y", "mynewtext")
    assert await r.lcs("x", "y") == "mytext" and await r.lcs("x", "y", len=True) == 6


async def keys(context: Context):
    r = context.connect()
    await r.mset({f"key:{n}": n for n in range(500)})
    assert await r.exists("key:1", "key:2", "key:1", "absent") == 3
    assert await r.dbsize() == 500
    await r.rpush("list", "1")
    assert [await r.type("key:1"), await r.type("list"), await r.type("absent")] == ["string", "list", "none"]
    assert await r.rename("key:0", "renamed") is True and await r.renamenx("renamed", "key:1") is False
    assert await r.copy("key:1", "copy") is True and await r.copy("key:2", "copy") is False
    assert await r.copy("key:2", "copy", replace=True) is True and await r.get("copy") == "2"
    assert await r.expire("copy", 1000) is True and await r.expire("copy", 2000, nx=True) is False
    assert 0 < await r.pttl("copy") <= 1_000_000 and await r.persist("copy") is True and await r.ttl("copy") == -1
    assert await r.expireat("copy", 4_000_000_000) is True and await r.expiretime("copy") == 4_000_000_000
    assert await r.pexpiretime("copy") == 4_000_000_000_000 and await r.ttl("absent") == -2
    assert await r.unlink("copy", "list") == 2
    found = [key async for key in r.scan_iter(match="key:*", count=100)]
    assert sorted(set(found)) == sorted(f"key:{n}" for n in range(1, 500))
    assert len(await r.keys("key:1?")) == 10
    assert await r.touch("key:1", "absent") == 1 and (await r.randomkey()).startswith(("key:", "renamed"))
    await r.rpush("numbers", 3, 1, 2)
    assert await r.sort("numbers", desc=True) == ["3", "2", "1"]
    assert await r.object("encoding", "numbers") in ("listpack", "quicklist")
    raw = context.connect(decode_responses=False)
    payload = await raw.dump("numbers")
    assert await raw.restore("restored", 0, payload) == b"OK"
    assert await r.lrange("restored", 0, -1) == ["3", "1", "2"]
    with pytest.raises(redis.ResponseError, match="^BUSYKEY Target key name already exists"):
        await raw.restore("restored", 0, payload)


async def hashes(context: Context):
    r = context.connect()
    assert await r.hset("h", mapping={"a": "1", "b": "2", "c": "3"}) == 3
    assert await r.hset("h", "a", "0") == 0 and await r.hsetnx("h", "a", "9") == 0
    assert await r.hget("h", "a") == "0" and await r.hget("h", "absent") is None
    assert await r.hmget("h", ["a", "absent", "c"]) == ["0", None, "3"]
    assert await r.hgetall("h") == {"a": "0", "b": "2", "c": "3"} and await r.hgetall("absent") == {}
    assert await r.hincrby("h", "a", 5) == 5 and await r.hincrbyfloat("h", "b", 0.5) == 2.5
    assert await r.hexists("h", "a") is True and await r.hexists("h", "absent") is False
    assert await r.hdel("h", "a", "absent") == 1 and await r.hlen("h") == 2 and await r.hstrlen("h", "b") == 3
    assert sorted(await r.hkeys("h")) == ["b", "c"] and sorted(await r.hvals("h")) == ["2.5", "3"]
    big = {f"field:{n}": str(n) for n in range(2000)}
    assert await r.hset("big", mapping=big) == 2000
    assert {field: value async for field, value in r.hscan_iter("big", count=200)} == big
    assert await r.hrandfield("h") in ("b", "c")
    picked = await r.hrandfield("h", 5, withvalues=True)
    assert sorted(map(tuple, picked)) == [("b", "2.5"), ("c", "3")]


async def lists(context: Context):
    r = context.connect()
    assert await r.rpush("l", "b", "c") == 2 and await r.lpush("l", "a") == 3
    assert await r.rpushx("absent", "x") == 0 and await r.linsert("l", "before", "c", "bb") == 4
    assert await r.lrange("l", 0, -1) == ["a", "b", "bb", "c"] and await r.lrange("absent", 0, -1) == []
    assert await r.lindex("l", -1) == "c" and await r.lindex("l", 9) is None and await r.llen("l") == 4
    assert await r.lset("l", 0, "A") is True and await r.lpos("l", "c") == 3 and await r.lpos("l", "absent") is None
    assert await r.lpos("l", "c", count=0) == [3] and await r.lrem("l", 0, "bb") == 1
    assert await r.lmove("l", "other", "LEFT", "RIGHT") == "A" and await r.rpoplpush("l", "other") == "c"
    assert await r.lrange("other", 0, -1) == ["c", "A"]
    assert await r.lmpop(2, "absent", "other", direction="LEFT", count=5) == ["other", ["c", "A"]]
    assert await r.lmpop(1, "absent", direction="LEFT") is None
    await r.rpush("n", *range(100))
    assert await r.ltrim("n", 10, 12) is True and await r.lrange("n", 0, -1) == ["10", "11", "12"]
    assert await r.lpop("n") == "10" and await r.rpop("n", 5) == ["12", "11"] and await r.lpop("n") is None


async def sets(context: Context):
    r = context.connect()
    assert await r.sadd("s", "a", "b", "c") == 3 and await r.sadd("s", "a") == 0
    assert await r.sadd("t", "b", "c", "d") == 3
    assert await r.smembers("s") == {"a", "b", "c"} and await r.smembers("absent") == set()
    assert await r.sismember("s", "a") in (1, True) and await r.smismember("s", ["a", "z"]) == [1, 0]
    assert set(await r.sinter("s", "t")) == {"b", "c"} and set(await r.sdiff("s", "t")) == {"a"}
    assert set(await r.sunion("s", "t")) == {"a", "b", "c", "d"} and await r.sinterstore("u", "s", "t") == 2
    assert await r.sintercard(2, ["s", "t"], limit=1) == 1 and await r.scard("u") == 2
    assert await r.smove("s", "t", "a") in (1, True) and await r.srem("s", "b", "z") == 1
    assert await r.spop("s") == "c" and await r.spop("s") is None and set(await r.spop("t", 9)) == {"a", "b", "c", "d"}
    await r.sadd("n", *range(1000))
    assert {member async for member in r.sscan_iter("n", count=100)} == {str(n) for n in range(1000)}
    assert len(set(await r.srandmember("n", 10))) == 10 and len(await r.srandmember("n", -2000)) == 2000


async def sorted_sets(context: Context):
    r = context.connect()
    assert await r.zadd("z", {"a": 1, "b": 2.5, "c": "inf", "d": "-inf"}) == 4
    assert await r.zrange("z", 0, -1, withscores=True) == [["d", -math.inf], ["a", 1], ["b", 2.5], ["c", math.inf]]
    assert await r.zadd("z", {"a": 0.5}, gt=True, ch=True) == 0 and await r.zadd("z", {"a": 3}, xx=True, ch=True) == 1
    assert await r.zadd("z", {"a": 0.25}, incr=True) == 3.25 and await r.zadd("z", {"a": 1}, nx=True, incr=True) is None
    exact = 7_147_483_648_000_001.0
    await r.zadd("exact", {"job": exact, "tenth": 0.1})
    assert await r.zscore("exact", "job") == exact and await r.zscore("exact", "tenth") == 0.1
    assert await r.zscore("z", "absent") is None and await r.zmscore("z", ["a", "absent"]) == [3.25, None]
    assert await r.zrank("z", "a") == 2 and await r.zrevrank("z", "a") == 1 and await r.zrank("z", "absent") is None
    assert await r.zrange("z", "(1", "+inf", byscore=True, offset=0, num=1) == ["b"]
    assert await r.zrange("z", 0, 1, desc=True) == ["c", "a"] and await r.zcount("z", 2, 3) == 1
    await r.zadd("lex", dict.fromkeys("abcd", 0))
    assert await r.zrangebylex("lex", "[b", "(d") == ["b", "c"] and await r.zlexcount("lex", "-", "+") == 4
    assert await r.zincrby("z", 0.75, "a") == 4 and await r.zcard("z") == 4 and await r.zrem("z", "d", "x") == 1
    assert await r.zpopmin("z") == [["b", 2.5]] and await r.zpopmax("z", 2) == [["c", math.inf], ["a", 4]]
    assert await r.zpopmin("absent") == []
    await r.zadd("x", {"a": 1, "b": 2}), await r.zadd("y", {"b": 3, "c": 4})
    assert await r.zunion(["x", "y"], withscores=True) == [["a", 1], ["c", 4], ["b", 5]]
    assert await r.zinter(["x", "y"]) == ["b"] and await r.zdiff(["x", "y"]) == ["a"] and await r.zintercard(2, ["x", "y"]) == 1
    assert await r.zunionstore("u", {"x": 2, "y": 1}, aggregate="MAX") == 3
    assert await r.zmpop(2, ["absent", "u"], max=True, count=2) == ["u", [["c", 4], ["b", 4]]]
    assert await r.zrangestore("v", "x", 0, 0) == 1 and await r.zremrangebyscore("x", 1, 2) == 2
    await r.zadd("big", {f"m{n}": n for n in range(1000)})
    assert {(m, s) async for m, s in r.zscan_iter("big", count=100)} == {(f"m{n}", float(n)) for n in range(1000)}
    assert await r.zrandmember("u") == "a" and await r.zrandmember("u", 2, withscores=True) == [["a", 2]]


async def streams(context: Context):
    r = context.connect()
    assert await r.xadd("x", {"f": "1", "g": "v"}, id="1-1") == "1-1"
    assert await r.xadd("x", {"f": "2"}, id="1-*") == "1-2" and await r.xadd("x", {"f": "3"}, id="2-0") == "2-0"
    with pytest.raises(redis.ResponseError, match="equal or smaller than the target stream top item"):
        await r.xadd("x", {"f": "0"}, id="1-1")
    assert await r.xadd("absent", {"f": "1"}, nomkstream=True) is None and await r.xlen("x") == 3
    first = ["1-1", {"f": "1", "g": "v"}]
    assert shape(await r.xrange("x", "-", "+", count=2)) == [first, ["1-2", {"f": "2"}]]
    assert shape(await r.xrange("x", "(1-1", "1-2")) == [["1-2", {"f": "2"}]]
    assert shape(await r.xrevrange("x", "+", "-", count=1)) == [["2-0", {"f": "3"}]]
    read = await r.xread({"x": "1-2", "absent": "0"})
    assert shape(read) == {"x": [["2-0", {"f": "3"}]]}
    assert await r.xread({"x": "$"}) == {}
    info = await r.xinfo_stream("x")
    assert (info["length"], info["last-generated-id"], shape(info["first-entry"])) == (3, "2-0", first)
    assert await r.xdel("x", "1-2", "9-9") == 1 and await r.xtrim("x", minid="2", approximate=False) == 1 and await r.xlen("x") == 1
    for number in range(250):
        await r.xadd("capped", {"n": number}, maxlen=100, approximate=True)
    assert 100 <= await r.xlen("capped") <= 250 and await r.xtrim("capped", maxlen=10, approximate=False) >= 90
    assert [fields["n"] for _, fields in await r.xrange("capped")] == [str(n) for n in range(240, 250)]


async def stream_groups(context: Context):
    r = context.connect()
    assert await r.xgroup_create("x", "g", id="0", mkstream=True) is True
    with pytest.raises(redis.ResponseError, match="^BUSYGROUP|Consumer Group name already exists"):
        await r.xgroup_create("x", "g")
    for number in range(1, 6):
        await r.xadd("x", {"n": number}, id=f"{number}-0")
    assert shape(await r.xreadgroup("g", "alice", {"x": ">"}, count=2)) == {"x": entries(1, 2)}
    assert shape(await r.xreadgroup("g", "bob", {"x": ">"}, count=2)) == {"x": entries(3, 4)}
    assert await r.xack("x", "g", "1-0", "9-0") == 1
    pending = await r.xpending("x", "g")
    assert (pending["pending"], pending["min"], pending["max"]) == (3, "2-0", "4-0")
    assert [(c["name"], int(c["pending"])) for c in pending["consumers"]] == [("alice", 1), ("bob", 2)]
    detail = await r.xpending_range("x", "g", "-", "+", 10, consumername="bob")
    assert [(d["message_id"], d["consumer"], d["times_delivered"]) for d in detail] == [("3-0", "bob", 1), ("4-0", "bob", 1)]
    assert shape(await r.xclaim("x", "g", "alice", 0, ["3-0"])) == entries(3)
    assert await r.xclaim("x", "g", "alice", 0, ["4-0"], justid=True) == ["4-0"]
    cursor, claimed, deleted = await r.xautoclaim("x", "g", "carol", 0, start_id="0", count=2)
    assert (cursor, shape(claimed), deleted) == ("4-0", entries(2, 3), [])
    assert shape(await r.xreadgroup("g", "carol", {"x": "0"})) == {"x": entries(2, 3)}
    [group] = await r.xinfo_groups("x")
    assert (group["name"], group["consumers"], group["pending"]) == ("g", 3, 3)
    assert (group["last-delivered-id"], group["entries-read"], group["lag"]) == ("4-0", 4, 1)
    assert {c["name"]: c["pending"] for c in await r.xinfo_consumers("x", "g")} == {"alice": 1, "bob": 0, "carol": 2}
    assert await r.xgroup_delconsumer("x", "g", "carol") == 2 and await r.xgroup_createconsumer("x", "g", "dave") == 1
    assert await r.xgroup_setid("x", "g", "0") is True and await r.xgroup_destroy("x", "g") in (1, True)
    with pytest.raises(redis.ResponseError, match="^NOGROUP No such key"):
        await r.xreadgroup("g", "alice", {"x": ">"})


def entries(*numbers: int) -> list:
    """The entries that the group's test wrote under these numbers."""
    return [[f"{number}-0", {"n": str(number)}] for number in numbers]


def shape(reply):
    """Entries come as tuples from some calls and as lists from others."""
    if isinstance(reply, (list, tuple)):
        return [shape(item) for item in reply]
    if isinstance(reply, dict):
        return {key: value if isinstance(value, str) else shape(value) for key, value in reply.items()}
    return reply


async def bits(context: Context):
    r = context.connect()
    assert await r.setbit("b", 7, 1) == 0 and await r.setbit("b", 7, 0) == 1 and await r.getbit("b", 7) == 0
    await r.set("f", "foobar")
    assert await r.bitcount("f") == 26 and await r.bitcount("f", 1, 1) == 6 and await r.bitcount("f", 5, 30, "BIT") == 17
    await r.setbit("p", 100, 1)
    assert await r.bitpos("p", 1) == 100 and await r.bitpos("absent", 1) == -1
    await r.set("a", "abc"), await r.set("c", "abd")
    assert await r.bitop("XOR", "x", "a", "c") == 3 and await r.get("x") == "\x00\x00\x07"
    field = r.bitfield("bf").set("u8", 0, 255).get("u4", 0).incrby("u8", 0, 10).incrby("u8", 0, 1, "FAIL")
    assert await execute(field) == [0, 15, 9, 10]
    field = r.bitfield("bf", "SAT").incrby("i5", "#3", 100).incrby("i5", "#3", 1)
    assert await execute(field) == [15, 15]
    assert await r.bitfield_ro("bf", "u8", 0) == [10]


async def execute(field):
    """Without asyncio it is redis-py's own object, which does not wait."""
    reply = field.execute()
    return await reply if hasattr(reply, "__await__") else reply


async def hyperloglog(context: Context):
    r = context.connect()
    assert await r.pfadd("a", *range(1000)) == 1 and await r.pfadd("a", 1) == 0
    assert await r.pfcount("a") == 1001 and await r.pfadd("b", *range(500, 1500)) == 1
    assert await r.pfmerge("c", "a", "b") is True
    assert await r.pfcount("c") == await r.pfcount("a", "b") == 1512


async def geo(context: Context):
    r = context.connect()
    assert await r.geoadd("g", [13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"]) == 2
    assert await r.geodist("g", "Palermo", "Catania", unit="km") == 166.2742
    assert await r.geodist("g", "Palermo", "absent") is None
    assert await r.geohash("g", "Palermo", "absent") == ["sqc8b49rny0", None]
    [position, absent] = await r.geopos("g", "Palermo", "absent")
    assert position == pytest.approx((13.36138933897018433, 38.11555639549629859), abs=1e-12) and absent is None
    assert await r.geosearch("g", longitude=15, latitude=37, radius=200, unit="km", sort="ASC") == ["Catania", "Palermo"]
    found = await r.geosearch(
        "g", member="Palermo", width=400, height=400, unit="km", sort="DESC", withdist=True, withhash=True, withcoord=True
    )
    assert [(name, distance, score) for name, distance, score, _ in found] == [
        ("Catania", 166.2742, 3479447370796909),
        ("Palermo", 0.0, 3479099956230698),
    ]
    assert found[1][3] == pytest.approx((13.36138933897018433, 38.11555639549629859), abs=1e-12)
    assert await r.geosearchstore("h", "g", longitude=15, latitude=37, radius=100, unit="km", storedist=True) == 1
    assert await r.zscore("h", "Catania") == pytest.approx(56.4412578701582, abs=1e-9)


async def scripts(context: Context):
    r = context.connect()
    assert await r.eval("return {KEYS[1], ARGV[1], 7, 1.9, false, {'x'}}", 1, "k", "v") == ["k", "v", 7, 1, None, ["x"]]
    assert await r.eval("return redis.status_reply('FINE')", 0) == "FINE"
    with pytest.raises(redis.ResponseError, match="^MY error$"):
        await r.eval("return redis.error_reply('MY error')", 0)
    with pytest.raises(redis.ResponseError, match=WRONG_TYPE):
        await r.eval("redis.call('SET', KEYS[1], 'x'); return redis.call('LPUSH', KEYS[1], 'y')", 1, "k")
    assert await r.get("k") == "x"
    sha = await r.script_load("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert await r.evalsha(sha, 1, "n", 5) == 5 and await r.script_exists(sha, "0" * 40) == [True, False]
    assert await r.script_flush() is True
    with pytest.raises(redis.exceptions.NoScriptError):
        await r.evalsha(sha, 1, "n", 5)
    script = r.register_script("redis.call('SET', KEYS[1], cjson.encode({n = tonumber(ARGV[1])})); return redis.call('GET', KEYS[1])")
    assert await script(keys=["json"], args=[12]) == '{"n":12}' == await script(keys=["json"], args=[12])
    resp3 = "redis.setresp(3); local m = redis.call('HGETALL', KEYS[1]); return m.map.a"
    await r.hset("h", "a", "1")
    assert await r.eval(resp3, 1, "h") == "1"
    assert await r.eval_ro("return redis.call('GET', KEYS[1])", 1, "n") == "5"
    with pytest.raises(redis.ResponseError, match="Write commands are not allowed from read-only scripts"):
        await r.eval_ro("return redis.call('SET', KEYS[1], '6')", 1, "n")


async def errors(context: Context):
    r = context.connect(single_connection_client=True) if context.kind == "sync" else context.connect()
    await r.set("k", "text")
    with pytest.raises(redis.ResponseError, match=f"^{WRONG_TYPE}$"):
        await r.lpush("k", "x")
    with pytest.raises(redis.ResponseError, match="^value is not an integer or out of range$"):
        await r.incr("k")
    with pytest.raises(redis.ResponseError, match="^unknown command 'NOSUCH', with args beginning with: 'a' 'b'"):
        await r.execute_command("NOSUCH", "a", "b")
    with pytest.raises(redis.ResponseError, match="^wrong number of arguments for 'get' command$"):
        await r.execute_command("GET")
    assert await r.get("k") == "text"


CASES = {
    "strings": strings,
    "keys": keys,
    "hashes": hashes,
    "lists": lists,
    "sets": sets,
    "sorted sets": sorted_sets,
    "streams": streams,
    "stream groups": stream_groups,
    "bits": bits,
    "hyperloglog": hyperloglog,
    "geo": geo,
    "scripts": scripts,
    "errors": errors,
}

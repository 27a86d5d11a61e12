"""How commands travel: connections, pipelines, transactions, pub/sub, blocking calls, and a server that is killed."""

import asyncio

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.asyncio.retry import Retry as AsyncRetry
from redis.retry import Retry as SyncRetry

from clients import Context, eventually

PASSWORD = "a secret of sixteen"
BOTH = [("news", 1), ("other", 1)]


async def handshake(context: Context):
    admin = context.connect()
    knows_libraries = tuple(map(int, (await admin.info("server"))["redis_version"].split(".")[:2])) >= (7, 2)
    await admin.config_set("requirepass", PASSWORD)
    try:
        with pytest.raises(redis.AuthenticationError):
            await context.connect(retry=None).ping()
        with pytest.raises(redis.AuthenticationError, match="WRONGPASS|invalid username-password"):
            await context.connect(password="wrong", retry=None).ping()
        r = context.connect(password=PASSWORD, db=2, client_name="a-name")
        assert await r.set("k", "v") is True and await admin.get("k") is None
        mine = await r.client_info()
        assert (mine["name"], int(mine["db"])) == ("a-name", 2)
        if knows_libraries:
            assert int(mine["resp"]) == context.protocol
            assert mine["lib-name"].startswith("redis-py") and mine["lib-ver"] == redis.__version__
        assert await context.connect(username="default", password=PASSWORD).ping() is True
        with pytest.raises(redis.ResponseError, match="DB index is out of range"):
            await context.connect(password=PASSWORD, db=4711).ping()
    finally:
        await admin.config_set("requirepass", "")


async def pipeline(context: Context):
    r = context.connect()
    pipe = r.pipeline(transaction=False)
    for number in range(1000):
        pipe.set(f"k{number}", number)
        pipe.get(f"k{number}")
    replies = await pipe.execute()
    assert replies[0::2] == [True] * 1000 and replies[1::2] == [str(n) for n in range(1000)]
    pipe = r.pipeline(transaction=False)
    pipe.set("text", "t"), pipe.lpush("text", "x"), pipe.hset("h", "f", "v"), pipe.hgetall("h"), pipe.zadd("z", {"m": 1.5})
    pipe.zscore("z", "m"), pipe.get("absent")
    replies = await pipe.execute(raise_on_error=False)
    assert isinstance(replies[1], redis.ResponseError) and str(replies[1]).startswith("WRONGTYPE")
    assert [replies[0], *replies[2:]] == [True, 1, {"f": "v"}, 1, 1.5, None]


async def transaction(context: Context):
    r = context.connect()
    pipe = r.pipeline(transaction=True)
    pipe.set("a", "1"), pipe.incr("a"), pipe.lrange("absent", 0, -1), pipe.hset("h", "f", "v"), pipe.hgetall("h")
    assert await pipe.execute() == [True, 2, [], 1, {"f": "v"}]
    pipe = r.pipeline(transaction=True)
    pipe.set("a", "text"), pipe.incr("a"), pipe.set("b", "after")
    replies = await pipe.execute(raise_on_error=False)
    assert replies[0] is True and isinstance(replies[1], redis.ResponseError) and replies[2] is True
    assert await r.mget("a", "b") == ["text", "after"]
    pipe = r.pipeline(transaction=True)
    pipe.set("a", "never"), pipe.execute_command("NOSUCH")
    with pytest.raises(redis.ResponseError, match="unknown command 'NOSUCH'"):
        await pipe.execute()
    assert await r.get("a") == "text"
    pipe = r.pipeline()
    await pipe.watch("a")
    pipe.multi()
    pipe.set("a", "never")
    await pipe.reset()
    assert await r.get("a") == "text"


async def watch_conflict(context: Context):
    r, other = context.connect(), context.connect()
    await r.set("balance", "10")
    pipe = r.pipeline()
    await pipe.watch("balance")
    before = int(await pipe.get("balance"))
    await other.set("balance", "11")
    pipe.multi()
    pipe.set("balance", before + 100)
    with pytest.raises(redis.WatchError):
        await pipe.execute()
    assert await r.get("balance") == "11"
    await pipe.watch("balance")
    before = int(await pipe.get("balance"))
    pipe.multi()
    pipe.set("balance", before + 100)
    assert await pipe.execute() == [True]
    assert await r.get("balance") == "111"
    # A key that expires or comes into being counts as changed too.
    await pipe.watch("absent")
    await other.set("absent", "no more")
    pipe.multi()
    pipe.set("balance", "0")
    with pytest.raises(redis.WatchError):
        await pipe.execute()
    assert await r.get("balance") == "111"


async def next_message(pubsub) -> dict:
    """The next message that is not an answer to a subscription."""

    async def probe():
        return await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)

    return await eventually("a message", probe)


async def pubsub(context: Context):
    r, publisher = context.connect(), context.connect()
    subscriber = r.pubsub()
    context.defer(subscriber.aclose)
    await subscriber.subscribe("news", "other")
    await subscriber.psubscribe("n?ws*")

    async def has_all():
        await subscriber.get_message(timeout=0.01)
        return await publisher.pubsub_numpat() == 1 and await publisher.pubsub_numsub("news", "other") == BOTH

    await eventually("the subscriptions", has_all)
    assert await publisher.publish("news", "both") == 2 and await publisher.publish("nobody", "x") == 0
    received = [await next_message(subscriber), await next_message(subscriber)]
    assert [(m["type"], m["pattern"], m["channel"], m["data"]) for m in received] == [
        ("message", None, "news", "both"),
        ("pmessage", "n?ws*", "news", "both"),
    ]
    await subscriber.punsubscribe("n?ws*")
    await subscriber.unsubscribe("other")

    async def only_news():
        await subscriber.get_message(timeout=0.01)
        return await publisher.pubsub_channels() == ["news"] and await publisher.pubsub_numpat() == 0

    await eventually("the unsubscriptions", only_news)
    for number in range(200):
        assert await publisher.publish("news", number) == 1
    assert [(await next_message(subscriber))["data"] for _ in range(200)] == [str(n) for n in range(200)]
    await sharded(context, publisher)


async def sharded(context: Context, publisher):
    """Sharded channels, on a server that is not a cluster."""
    subscriber = context.connect().pubsub()
    context.defer(subscriber.aclose)
    await subscriber.ssubscribe("shard")

    async def has_shard():
        await subscriber.get_message(timeout=0.01)
        return await publisher.pubsub_shardnumsub("shard") == [("shard", 1)]

    await eventually("the sharded subscription", has_shard)
    assert await publisher.spublish("shard", "s") == 1 and await publisher.publish("shard", "classic") == 0
    message = await next_message(subscriber)
    assert (message["type"], message["channel"], message["data"]) == ("smessage", "shard", "s")


async def blocking(context: Context):
    r, other = context.connect(), context.connect()
    assert await r.blpop("l", timeout=0.05) is None and await r.bzpopmin("z", timeout=0.05) is None
    assert not await r.xread({"x": "$"}, block=20) and await r.blmove("l", "m", 0.05) is None
    await other.rpush("second", "s")
    assert list(await r.blpop(["first", "second"], timeout=5)) == ["second", "s"]

    async def woken(call, wake):
        task = asyncio.create_task(call)
        await context.blocked(other)
        await wake
        return await task

    assert list(await woken(r.blpop(["l", "m"], timeout=0), other.rpush("m", "a"))) == ["m", "a"]
    assert await woken(r.brpoplpush("l", "m", timeout=30), other.lpush("l", "b")) == "b"
    assert await woken(r.blmove("l", "m", 30, "LEFT", "LEFT"), other.lpush("l", "c")) == "c"
    assert await r.lrange("m", 0, -1) == ["c", "b"]
    assert list(await woken(r.bzpopmin(["z", "y"], timeout=30), other.zadd("y", {"one": 1.5}))) == ["y", "one", 1.5]
    assert await woken(r.blmpop(30, 2, "l", "l2", direction="LEFT", count=2), other.rpush("l2", "p", "q")) == ["l2", ["p", "q"]]
    assert await woken(r.bzmpop(30, 1, ["z"], min=True), other.zadd("z", {"m": 2})) == ["z", [["m", 2.0]]]
    read = dict(await woken(r.xread({"x": "$"}, block=30_000), other.xadd("x", {"n": "1"}, id="1-0")))
    assert str(read["x"]).count("1-0") == 1
    await r.xgroup_create("x", "g", id="$")
    read = dict(await woken(r.xreadgroup("g", "c", {"x": ">"}, block=30_000), other.xadd("x", {"n": "2"}, id="2-0")))
    assert str(read["x"]).count("2-0") == 1 and (await r.xpending("x", "g"))["pending"] == 1
    # A transaction with several pushes wakes once they are all there.
    pipe = other.pipeline(transaction=True)
    pipe.rpush("l", "1"), pipe.lpush("l", "0")
    assert list(await woken(r.blpop("l", timeout=30), pipe.execute())) == ["l", "0"]


async def reconnection(context: Context):
    retry = (AsyncRetry if context.kind == "asyncio" else SyncRetry)(ConstantBackoff(0.05), 400)
    r = context.connect(retry=retry)
    hasty = context.connect(retry=None)
    subscriber = r.pubsub()
    context.defer(subscriber.aclose)
    await subscriber.subscribe("news")
    script = r.register_script("return redis.call('RPUSH', KEYS[1], ARGV[1])")
    assert await r.set("k", "v") is True and await hasty.get("k") == "v" and await script(keys=["l"], args=["1"]) == 1
    waiting = asyncio.create_task(context.connect(retry=retry).blpop("queue", timeout=0))
    await context.blocked(hasty)

    await asyncio.to_thread(context.server.kill)
    with pytest.raises(redis.ConnectionError):
        await hasty.get("k")
    early = asyncio.create_task(r.incr("n"))
    await asyncio.to_thread(context.server.start)
    assert await early == 1 and await r.get("k") == "v" and await hasty.get("k") == "v"
    assert await script(keys=["l"], args=["2"]) == 2 and await r.lrange("l", 0, -1) == ["1", "2"]

    await context.blocked(r)
    assert await r.rpush("queue", "job") == 1 and list(await waiting) == ["queue", "job"]

    async def is_subscribed():
        try:
            await subscriber.get_message(timeout=0.01)
        except redis.ConnectionError:  # the one that it lost; the next call connects
            return False
        return await r.publish("news", "after") == 1

    await eventually("the subscription", is_subscribed)
    assert (await next_message(subscriber))["data"] == "after"


async def many_at_once(context: Context):
    r = context.connect(max_connections=50) if context.kind == "asyncio" else context.connect()
    limit = asyncio.Semaphore(40)

    async def call(number: int):
        async with limit:
            await r.set(f"k{number}", number)
            assert await r.get(f"k{number}") == str(number)
            return await r.incr("count")

    counts = await asyncio.gather(*(call(number) for number in range(400)))
    assert sorted(counts) == list(range(1, 401))


CASES = {
    "handshake": handshake,
    "pipeline": pipeline,
    "transaction": transaction,
    "watch conflict": watch_conflict,
    "pub/sub": pubsub,
    "blocking calls": blocking,
    "reconnection": reconnection,
    "many at once": many_at_once,
}

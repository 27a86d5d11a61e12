"""authentik's LDAP source synchronisation: redis-py locks. Also what redis-py says when it connects."""

import multiprocessing
import time
from pathlib import Path

import pytest
import redis
from redis.exceptions import LockError, LockNotOwnedError
from redis.lock import Lock

from server import Server
from support import wait_until

NAME = "goauthentik.io/sources/ldap/sync-directory"


@pytest.fixture
def client(flushed: Server):
    with flushed.client() as client:
        yield client


def test_connects_with_resp3(client):
    connection = client.connection_pool.get_connection()
    try:
        assert int(connection.get_protocol()) == 3
        connection.send_command("HELLO")
        greeting = connection.read_response()
        assert greeting[b"proto"] == 3 and greeting[b"role"] == b"master"
    finally:
        client.connection_pool.release(connection)
    assert client.client_info()["id"] == client.client_id()


def test_named_client_and_second_database(server: Server):
    with redis.Redis.from_url(f"redis://:@127.0.0.1:{server.port}/3", client_name="authentik") as other:
        other.set("k", "v")
        assert other.client_getname() in ("authentik", b"authentik")
        assert other.client_info()["db"] == 3
        with server.client() as client:
            assert client.get("k") is None
        other.flushdb()


@pytest.mark.parametrize("protocol", [2, 3])
def test_reply_shapes_of_both_protocols(flushed: Server, protocol: int):
    with flushed.client(protocol=protocol, decode_responses=True) as client:
        pipe = client.pipeline()
        pipe.hset("h", mapping={"a": 1, "b": 2}).hgetall("h").zadd("z", {"x": 1.5, "y": 2}).zscore("z", "x")
        pipe.sadd("s", "m").smembers("s").get("absent").sismember("s", "m").zrange("z", 0, -1, withscores=True)
        replies = pipe.execute()
        assert replies[:8] == [2, {"a": "1", "b": "2"}, 2, 1.5, 1, {"m"}, None, 1]
        assert [(member, float(score)) for member, score in replies[8]] == [("x", 1.5), ("y", 2.0)]
        assert client.blpop(["absent"], timeout=0.05) is None
        assert client.config_get("appendonly").keys() == {"appendonly"}


def test_pubsub_on_resp3(client):
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("one")
        listener.psubscribe("t*")
        wait_until(lambda: listener.get_message(timeout=0.05) is None and client.pubsub_numpat() == 1, "subscribed")
        client.publish("one", "a")
        client.publish("two", "b")
        heard = [wait_until(lambda: listener.get_message(timeout=0.2), "a message") for _ in range(2)]
    assert [(m["type"], m["channel"], m["data"]) for m in heard] == [
        ("message", b"one", b"a"), ("pmessage", b"two", b"b")
    ]


def test_acquire_and_release(client):
    lock = Lock(client, NAME, timeout=20)
    other = Lock(client, NAME, timeout=20)
    assert lock.acquire() and lock.locked() and lock.owned()
    assert 19_000 < client.pttl(NAME) <= 20_000
    assert other.acquire(blocking=False) is False and not other.owned() and other.locked()
    started = time.monotonic()
    assert other.acquire(blocking_timeout=0.3) is False
    assert time.monotonic() - started < 5
    lock.release()
    assert not client.exists(NAME) and other.acquire(blocking=False)
    with pytest.raises(LockError):
        lock.release()
    other.release()


def test_extend_and_reacquire(client):
    lock = Lock(client, NAME, timeout=10)
    lock.acquire()
    assert lock.extend(20) and 28_000 < client.pttl(NAME) <= 30_000
    assert lock.extend(5, replace_ttl=True) and 4_000 < client.pttl(NAME) <= 5_000
    assert lock.reacquire() and 9_000 < client.pttl(NAME) <= 10_000
    lock.release()
    with pytest.raises(LockError):
        lock.extend(5)


def test_expired_lock_belongs_to_the_next(client):
    late = Lock(client, NAME, timeout=0.15)
    late.acquire()
    following = Lock(client, NAME, timeout=20)
    assert following.acquire(blocking_timeout=10)
    for attempt in (lambda: late.extend(5), late.reacquire, late.release):
        with pytest.raises(LockNotOwnedError):
            attempt()
    assert following.owned()
    following.release()


def test_scripts_come_back_after_a_flush(client):
    lock = Lock(client, NAME, timeout=10)
    assert lock.acquire() and lock.extend(1)
    assert client.script_exists(Lock.lua_extend.sha) == [True]
    client.script_flush()
    assert client.script_exists(Lock.lua_extend.sha) == [False]
    assert lock.extend(1)
    lock.release()


def add_under_lock(port: int, path: str, rounds: int) -> None:
    """Adds one to a number in a file, which is only right while nobody else does."""
    with redis.Redis(host="127.0.0.1", port=port) as client:
        for _ in range(rounds):
            with Lock(client, NAME, timeout=30, sleep=0.002, blocking_timeout=60):
                value = int(Path(path).read_text())
                Path(path).write_text(str(value + 1))


def test_contention_between_processes(flushed: Server, tmp_path: Path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=add_under_lock, args=(flushed.port, str(counter), 40), daemon=True) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert counter.read_text() == "120"


def test_lock_survives_kill(client, server: Server):
    lock = Lock(client, NAME, timeout=60)
    lock.acquire()
    server.kill()
    server.start()
    assert Lock(client, NAME, timeout=60).acquire(blocking=False) is False
    assert lock.owned() and lock.extend(10) and 30_000 < client.pttl(NAME) <= 70_000
    lock.release()


def test_embedded_outpost_sessions(client):
    # The proxy outpost finds the sessions of a user that logs out with KEYS.
    for number in range(30):
        client.set(f"authentik_proxy_session_{number}", f"claims {number}", ex=3601)
    keys = client.keys("authentik_proxy_session_*")
    assert len(keys) == 30
    mine = [key for key in keys if client.get(key) == b"claims 7"]
    assert mine == [b"authentik_proxy_session_7"] and client.delete(*mine) == 1

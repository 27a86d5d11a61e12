"""authentik 2024.12 to 2025.8: django-redis with the tenant's key function, and sessions in that cache."""

import datetime
import random
import threading

import pytest

import authentik_settings
from server import Server
from support import wait_until

PREFIX = "public:authentik_cache:1:"
SESSION_PREFIX = PREFIX + "django.contrib.sessions.cache"


@pytest.fixture(scope="module")
def configured(server: Server):
    authentik_settings.configure(server.url)
    from django.core.cache import cache

    return cache


@pytest.fixture
def cache(configured, flushed: Server):
    return configured


@pytest.fixture
def raw(server: Server):
    with server.client(decode_responses=True) as client:
        yield client


def test_key_function_and_default_timeout(cache, raw):
    cache.set("goauthentik.io/core/app_list", {"apps": [1, "two", None]})
    assert raw.keys() == [PREFIX + "goauthentik.io/core/app_list"]
    assert 295_000 < raw.pttl(PREFIX + "goauthentik.io/core/app_list") <= 300_000
    assert cache.get("goauthentik.io/core/app_list") == {"apps": [1, "two", None]}


@pytest.mark.parametrize(
    "value",
    [0, -(2**63), 2**63 - 1, 2**64, True, 1.5, "", "text \u2603 \r\n", b"\x00\xff\r\n", None, [1, [2]],
     {"a": {1, 2}}, datetime.timedelta(hours=1), "x" * 200_000],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:12]!a}",
)
def test_round_trip(cache, value):
    cache.set("value", value)
    assert cache.get("value", "absent") == value


def test_add_get_or_set_and_delete(cache):
    assert cache.add("k", 1, timeout=60) is True
    assert cache.add("k", 2, timeout=60) is False
    assert cache.get("k") == 1
    assert cache.get_or_set("other", lambda: "made", 60) == "made"
    assert cache.get_or_set("other", lambda: "again", 60) == "made"
    assert cache.has_key("other") and "other" in cache
    assert cache.delete("other") and not cache.delete("other")
    assert cache.get("other", "default") == "default"
    assert cache.delete_many(["k", "absent"]) == 1


def test_incr_keeps_the_time_to_live(cache):
    cache.set("attempts", 1, timeout=100)
    assert cache.incr("attempts") == 2
    assert cache.incr("attempts", 10) == 12
    assert cache.decr("attempts", 5) == 7
    assert 90 < cache.ttl("attempts") <= 100
    with pytest.raises(ValueError):
        cache.incr("absent")
    cache.set("huge", 2**63 - 1, timeout=100)
    assert cache.incr("huge") == 2**63, "an overflow falls back to a pickled number"


def test_incr_from_many_threads_loses_nothing(cache):
    cache.set("counter", 0, timeout=None)
    threads = [threading.Thread(target=lambda: [cache.incr("counter") for _ in range(100)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("counter") == 500


def test_touch_ttl_persist_and_expire(cache):
    cache.set("k", "v", timeout=None)
    assert cache.ttl("k") is None and cache.ttl("absent") == 0
    assert cache.touch("k", 50) and 40 < cache.ttl("k") <= 50
    assert not cache.touch("absent", 50)
    assert cache.persist("k") and cache.ttl("k") is None
    assert cache.expire("k", timeout=30) and 20 < cache.ttl("k") <= 30
    assert cache.pexpire("k", timeout=20_000) and 15_000 < cache.pttl("k") <= 20_000
    in_a_minute = datetime.datetime.now() + datetime.timedelta(minutes=1)
    assert cache.expire_at("k", in_a_minute) and 50 < cache.ttl("k") <= 60
    cache.set("k", "v", timeout=0)
    assert cache.get("k") is None, "a time-out of zero deletes"


def test_short_timeout_expires(cache):
    cache.set("code", "123456", timeout=0.15)
    wait_until(lambda: cache.get("code") is None, "the key expires")
    assert cache.add("code", "654321", timeout=60)


def test_many(cache):
    values = {f"goauthentik.io/policies/{number}": [number] * 3 for number in range(250)}
    cache.set_many(values, timeout=60)
    assert cache.get_many([*values, "absent"]) == values
    assert all(50 < cache.ttl(key) <= 60 for key in list(values)[:10])
    cache.delete_many(values)
    assert cache.get_many(values) == {}


def test_keys_iter_keys_and_delete_pattern(cache):
    for number in range(120):
        cache.set(f"goauthentik.io/policies/{number}", number)
        cache.set(f"goauthentik.io/flows/plan_[{number}]", number)
    flows = {f"goauthentik.io/flows/plan_[{number}]" for number in range(120)}
    assert set(cache.keys("goauthentik.io/flows/*")) == flows
    assert set(cache.iter_keys("goauthentik.io/flows/*", itersize=7)) == flows
    assert sorted(cache.keys("*/plan_[[]1?]")) == [f"goauthentik.io/flows/plan_[{n}]" for n in range(10, 20)]
    assert cache.delete_pattern("goauthentik.io/policies/*", itersize=13) == 120
    assert set(cache.keys("*")) == flows
    cache.clear()
    assert cache.keys("*") == []


def test_versions(cache):
    cache.set("k", "one", version=1)
    cache.set("k", "two", version=2)
    assert (cache.get("k", version=1), cache.get("k", version=2)) == ("one", "two")
    cache.incr_version("k", version=2)
    assert cache.get("k", version=2) is None and cache.get("k", version=3) == "two"


def test_random_operations_against_a_dictionary(cache):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    model: dict[str, object] = {}
    names = [f"name {number}" for number in range(12)]
    for _ in range(1_200):
        name, number = choose.choice(names), choose.randrange(-1000, 1000)
        match choose.randrange(7):
            case 0:
                cache.set(name, number)
                model[name] = number
            case 1:
                assert cache.add(name, number) is (name not in model)
                model.setdefault(name, number)
            case 2:
                assert bool(cache.delete(name)) is (model.pop(name, None) is not None)
            case 3 if name in model:
                model[name] += number
                assert cache.incr(name, number) == model[name]
            case 4:
                some = choose.sample(names, 4)
                assert cache.get_many(some) == {key: model[key] for key in some if key in model}
            case 5:
                some = {key: number for key in choose.sample(names, 3)}
                cache.set_many(some)
                model.update(some)
            case _:
                assert cache.get(name, "absent") == model.get(name, "absent")
    assert sorted(cache.keys("*")) == sorted(model)


def test_cache_lock(cache, raw):
    with cache.lock("import", timeout=10) as lock:
        assert raw.exists(PREFIX + "import") and lock.owned()
        assert cache.lock("import", timeout=10).acquire(blocking=False) is False
    assert not raw.exists(PREFIX + "import")


def new_session():
    from django.contrib.sessions.backends.cache import SessionStore

    return SessionStore


def test_session_life(cache, raw):
    SessionStore = new_session()
    session = SessionStore()
    session["authentik/flows/plan"] = {"stage": 3, "context": {"user": 7}}
    session.create()
    stored = SESSION_PREFIX + session.session_key
    assert raw.keys() == [stored] and len(session.session_key) == 32
    life_ms = authentik_settings.SESSION_LIFE_S * 1000
    assert life_ms - 5_000 < raw.pttl(stored) <= life_ms
    session["user"] = "akadmin"
    session.save()

    loaded = SessionStore(session.session_key)
    assert loaded["user"] == "akadmin"
    old_key = loaded.session_key
    loaded.cycle_key()
    assert raw.keys() == [SESSION_PREFIX + loaded.session_key] and loaded.session_key != old_key
    assert not SessionStore(old_key).exists(old_key)
    loaded.flush()
    assert raw.keys() == []


def test_session_that_was_deleted_elsewhere_is_not_revived(cache):
    from django.contrib.sessions.backends.base import UpdateError

    SessionStore = new_session()
    session = SessionStore()
    session.create()
    SessionStore(session.session_key).delete()
    session["late"] = 1
    with pytest.raises(UpdateError):
        session.save()


def test_logged_in_users_are_found_by_pattern(cache):
    SessionStore = new_session()
    keys = set()
    for number in range(50):
        session = SessionStore()
        session["user"] = number
        session.create()
        keys.add(session.session_key)
    cache.set("unrelated", 1)
    start = "django.contrib.sessions.cache"
    assert {key.removeprefix(start) for key in cache.keys(start + "*")} == keys
    assert cache.delete_pattern(start + "*") == 50 and cache.get("unrelated") == 1


def test_errors_are_misses_and_acknowledged_writes_survive_kill(cache, server: Server):
    SessionStore = new_session()
    sessions = {}
    for number in range(60):
        session = SessionStore()
        session["user"] = number
        session.create()
        cache.set(f"policy/{number}", number, timeout=None)
        sessions[session.session_key] = number
    cache.delete("policy/0")
    cache.set("attempts", 1, timeout=100)
    cache.incr("attempts")
    server.kill()
    try:
        assert cache.get("policy/1", "a miss") == "a miss"
        assert cache.add("policy/1", 2) is None, "an ignored error answers as nothing"
    finally:
        server.start()
    assert {key: SessionStore(key)["user"] for key in sessions} == sessions
    assert cache.get_many([f"policy/{n}" for n in range(60)]) == {f"policy/{n}": n for n in range(1, 60)}
    assert cache.get("attempts") == 2 and 60 < cache.ttl("attempts") <= 100

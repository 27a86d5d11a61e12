"""Tasks of a platform that moved from Celery to Dramatiq, on Dramatiq's own Redis broker and result backend.

The worker imports this file with AUTHENTIK_REDIS_URL set; so does a program, which sets it before the import.
"""

import os
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits import ConcurrentRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as RateLimitBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as ResultBackend

from support import note

#: A broker that was silent for so long has its messages handed to others.
HEARTBEAT_MS = 2_000

client = redis.Redis.from_url(os.environ["AUTHENTIK_REDIS_URL"])
broker = RedisBroker(
    client=client,
    heartbeat_timeout=HEARTBEAT_MS,
    # Out of a million: every fourth command looks for the messages of dead workers.
    maintenance_chance=250_000,
)
broker.add_middleware(Results(backend=ResultBackend(client=client)))
limits = RateLimitBackend(client=client)
broker.add_middleware(GroupCallbacks(limits))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def add(left: int, right: int) -> int:
    return left + right


@dramatiq.actor(store_results=True)
def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dramatiq.actor(store_results=True, max_retries=5, min_backoff=50, max_backoff=100)
def flaky(path: str, failures: int) -> int:
    """Fails so many times, each noted, before it succeeds."""
    with open(path, "a") as lines:
        lines.write("1\n")
    with open(path) as lines:
        attempts = len(lines.readlines())
    if attempts <= failures:
        raise ConnectionError("not yet")
    return attempts


@dramatiq.actor(max_retries=0, queue_name="events")
def fail(path: str) -> None:
    note(path, 1)
    raise ValueError("always")


@dramatiq.actor(queue_name="events")
def note_number(path: str, number: int) -> None:
    note(path, number)


@dramatiq.actor(queue_name="events", max_retries=200, min_backoff=10, max_backoff=30)
def one_at_a_time(path: str, number: int) -> None:
    """Notes its start and its end; the limiter refuses a second one in between, which is tried again."""
    with ConcurrentRateLimiter(limits, "mutex", limit=1, ttl=30_000).acquire():
        note(path, number)
        time.sleep(0.01)
        note(path, number)


@dramatiq.actor(queue_name="events", max_retries=0)
def sleep(path: str, seconds: float) -> None:
    note(path, 1)
    time.sleep(seconds)
    note(path, 2)


@dramatiq.actor(max_retries=20, min_backoff=50, max_backoff=500)
def kill(number: int) -> None:
    note(os.environ["RAN_FILE"], number)

"""authentik's Celery application of 2024.12 to 2025.6: three queues on one Redis database, results beside them.

The worker imports this file with AUTHENTIK_REDIS_URL set; a program calls configure() before its first task.
"""

import os
import time

from celery import Celery

from support import note

QUEUES = ["authentik", "authentik_scheduled", "authentik_events"]
#: Long enough for a loaded machine to run what it has taken, short enough for a test to wait for.
VISIBILITY_S = 5

app = Celery("authentik")


def configure(url: str) -> None:
    """Points broker and result backend at one server, with the time-outs shortened for a test."""
    app.conf.update(
        broker_url=url,
        result_backend=url,
        task_default_queue=QUEUES[0],
        task_create_missing_queues=True,
        task_routes={"scheduled.*": {"queue": QUEUES[1]}, "events.*": {"queue": QUEUES[2]}},
        task_acks_late=True,
        task_track_started=True,
        result_extended=True,
        result_expires=3600,
        worker_hijack_root_logger=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        redis_retry_on_timeout=True,
        redis_backend_health_check_interval=5,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_S,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            # A server killed while this lock is held brings it back; nothing is restored until it expires.
            "unacked_mutex_expire": 2,
            "retry_policy": {"timeout": 5.0},
        },
    )


if "AUTHENTIK_REDIS_URL" in os.environ:
    configure(os.environ["AUTHENTIK_REDIS_URL"])


@app.task(name="core.add")
def add(left: int, right: int) -> int:
    return left + right


@app.task(name="core.total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="core.fail")
def fail(text: str) -> None:
    raise ValueError(text)


@app.task(name="core.flaky", bind=True, max_retries=5)
def flaky(self, path: str, failures: int) -> int:
    """Fails so many times, each noted, and is tried again by a countdown."""
    note(path, self.request.retries)
    if self.request.retries < failures:
        raise self.retry(countdown=0.1, exc=ConnectionError("not yet"))
    return self.request.retries


@app.task(name="core.automatic", autoretry_for=(KeyError,), default_retry_delay=0, max_retries=2)
def automatic(path: str) -> None:
    note(path, 0)
    raise KeyError("always")


@app.task(name="scheduled.now_ms")
def now_ms() -> int:
    return time.time_ns() // 1_000_000


@app.task(name="events.note")
def note_number(path: str, number: int) -> int:
    note(path, number)
    return number


@app.task(name="core.sleep")
def sleep(path: str, seconds: float) -> None:
    note(path, 1)
    time.sleep(seconds)
    note(path, 2)


def note_for_kill(number: int) -> None:
    note(os.environ["RAN_FILE"], number)


# One task per queue, so that the kill program fills all three.
KILL_TASKS = [
    app.task(name=name, ignore_result=True)(note_for_kill)
    for name in ("core.kill", "scheduled.kill", "events.kill")
]

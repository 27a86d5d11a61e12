"""authentik's background tasks until 2025.6: Celery with three queues, broker and results in one Redis database."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

import celery_app
from celery_app import QUEUES, app
from server import Server
from support import WAIT_LIMIT_S, Child, noted, wait_until


def start_worker(server: Server, name: str, *options: str) -> Child:
    """A prefork worker with authentik's options."""
    return Child(
        server, name,
        ["-m", "celery", "-A", "celery_app", "worker", "-Ofair", "-l", "INFO", "--hostname", f"{name}@test", *options],
    )


@pytest.fixture(scope="module")
def configured(server: Server):
    celery_app.configure(server.url)
    yield server
    app.close()


@pytest.fixture(scope="module")
def priorities_noted(configured: Server):
    """What a worker with one process ran of tasks that were waiting before it started."""
    path = configured.dir / "priorities"
    for number in range(16):
        # kombu has four steps and takes the lowest first.
        priority = [9, 3, 0, 6][number % 4]
        celery_app.note_number.apply_async((str(path), priority * 100 + number), priority=priority)
    with configured.client(decode_responses=True) as client:
        waiting = {key: client.llen(key) for key in client.keys(QUEUES[2] + "*") if client.type(key) == "list"}
    worker = start_worker(
        configured, "priorities", "-c", "1", "-Q", QUEUES[2], "--prefetch-multiplier", "1",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    )
    try:
        wait_until(lambda: len(noted(path)) == 16, "all priorities ran")
    finally:
        worker.stop()
    return waiting, noted(path)


@pytest.fixture(scope="module")
def worker(configured: Server, priorities_noted):
    """The worker of the remaining programs: two processes, three queues, events on."""
    worker = start_worker(configured, "worker", "-c", "2", "-E", "-Q", ",".join(QUEUES))
    try:
        wait_until(lambda: app.control.ping(timeout=0.5), "the worker answers a ping")
        yield worker
        assert worker.running(), worker.text()
    except AssertionError:
        print(worker.text()[-8000:])
        raise
    finally:
        worker.stop()


def get(result: AsyncResult):
    """A task's value; raises its exception."""
    return result.get(timeout=WAIT_LIMIT_S, interval=0.05)


def test_priorities(priorities_noted):
    waiting, ran = priorities_noted
    separator = "\x06\x16"
    assert waiting == {QUEUES[2] + suffix: 4 for suffix in ("", f"{separator}3", f"{separator}6", f"{separator}9")}
    assert [number // 100 for number in ran] == [0] * 4 + [3] * 4 + [6] * 4 + [9] * 4
    assert ran == sorted(ran), "within a priority the order of sending holds"


def test_three_queues_and_control(worker):
    inspect = app.control.inspect(timeout=5, limit=1)
    queues = inspect.active_queues()["worker@test"]
    assert sorted(queue["name"] for queue in queues) == sorted(QUEUES)
    results = [celery_app.add.delay(n, n) for n in range(20)] + [celery_app.now_ms.delay() for _ in range(5)]
    assert [get(result) for result in results][:20] == [2 * n for n in range(20)]
    assert app.control.inspect(timeout=5, limit=1).stats()["worker@test"]["pool"]["max-concurrency"] == 2


def test_result_backend(worker, server: Server):
    result = celery_app.add.delay(1, 2)
    assert get(result) == 3 and result.state == "SUCCESS" and result.args == [1, 2]
    again = AsyncResult(result.id, app=app)
    assert again.successful() and again.get(timeout=5) == 3
    with server.client() as client:
        key = f"celery-task-meta-{result.id}"
        assert 3_500 < client.ttl(key) <= 3_600
        again.forget()
        assert not client.exists(key)
    failed = celery_app.fail.delay("reason \u2603")
    with pytest.raises(ValueError, match="reason \u2603"):
        get(failed)
    assert failed.state == "FAILURE" and "ValueError" in failed.traceback
    assert AsyncResult("never-sent", app=app).state == "PENDING"


def test_retries(worker, tmp_path):
    path = tmp_path / "flaky"
    assert get(celery_app.flaky.delay(str(path), 3)) == 3
    assert noted(path) == [0, 1, 2, 3]
    path = tmp_path / "automatic"
    with pytest.raises(KeyError):
        get(celery_app.automatic.delay(str(path)))
    assert len(noted(path)) == 3


def test_countdown_and_eta(worker):
    due = datetime.now(UTC) + timedelta(seconds=0.8)
    by_eta = celery_app.now_ms.apply_async(eta=due)
    by_countdown = celery_app.now_ms.apply_async(countdown=0.8)
    soon = celery_app.now_ms.delay()
    due_ms = due.timestamp() * 1000
    assert get(soon) < get(by_countdown) and get(by_eta) >= due_ms - 1 and get(by_countdown) >= due_ms - 1
    expired = celery_app.add.apply_async((1, 1), countdown=0.2, expires=0.01)
    with pytest.raises(TaskRevokedError):
        get(expired)


def test_group_chain_and_chords(worker, server: Server):
    assert get(group(celery_app.add.s(n, 1) for n in range(15)).apply_async()) == list(range(1, 16))
    assert get(chain(celery_app.add.s(1, 2), celery_app.add.s(10), celery_app.add.s(100)).apply_async()) == 113
    assert get(chord([celery_app.add.s(n, n) for n in range(25)], celery_app.total.s()).apply_async()) == 600
    nested = chord([chord([celery_app.add.s(n, 1) for n in range(3)], celery_app.total.s()) for _ in range(3)],
                   celery_app.total.s())
    assert get(nested.apply_async()) == 18
    broken = chord([celery_app.add.s(1, 1), celery_app.fail.s("in a chord")], celery_app.total.s()).apply_async()
    with pytest.raises(Exception, match="in a chord"):
        get(broken)
    with server.client() as client:
        assert all(client.ttl(key) > 0 for key in client.scan_iter("celery-taskset-meta-*"))


def test_revoke_before_it_starts(worker, tmp_path):
    path = tmp_path / "revoked"
    result = celery_app.note_number.apply_async((str(path), 1), countdown=1.5)
    wait_until(
        lambda: any(task["request"]["id"] == result.id
                    for task in (app.control.inspect(timeout=1, limit=1).scheduled() or {}).get("worker@test", [])),
        "the task waits in the worker",
    )
    result.revoke()
    with pytest.raises(TaskRevokedError):
        get(result)
    assert result.state == "REVOKED" and noted(path) == []


def test_revoke_while_it_runs(worker, tmp_path):
    path = tmp_path / "terminated"
    result = celery_app.sleep.delay(str(path), 60)
    wait_until(lambda: noted(path) == [1] and result.state == "STARTED", "the task runs")
    app.control.revoke(result.id, terminate=True)
    with pytest.raises(TaskRevokedError):
        get(result)
    assert get(celery_app.add.delay(2, 2)) == 4, "the pool goes on"
    assert noted(path) == [1]


def test_worker_events(worker):
    seen: list[tuple[str, str]] = []
    ready, stop = threading.Event(), threading.Event()

    def listen():
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(
                connection, handlers={"*": lambda event: seen.append((event["type"], event.get("uuid", "")))}
            )
            with receiver.consumer_context() as (own_connection, _, _):
                ready.set()
                while not stop.is_set():
                    try:
                        own_connection.drain_events(timeout=0.1)
                    except TimeoutError:
                        continue

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert ready.wait(WAIT_LIMIT_S)
    try:
        # The subscription is sent by the first poll; heartbeats of the worker show that it holds.
        wait_until(lambda: any(kind == "worker-heartbeat" for kind, _ in seen), "a heartbeat")
        result = celery_app.add.delay(3, 4)
        assert get(result) == 7
        expected = {(f"task-{kind}", result.id) for kind in ("received", "started", "succeeded")}
        wait_until(lambda: expected <= set(seen), "the task's events")
    finally:
        stop.set()
        listener.join(WAIT_LIMIT_S)


def test_nothing_is_left_unacknowledged(worker, server: Server):
    with server.client() as client:
        wait_until(lambda: client.zcard("unacked_index") == 0 and client.hlen("unacked") == 0, "all acknowledged")
        assert [client.llen(queue) for queue in QUEUES] == [0, 0, 0]
        for queue in QUEUES:
            assert client.smembers(f"_kombu.binding.{queue}") == {f"{queue}\x06\x16\x06\x16{queue}".encode()}


def test_unacknowledged_task_of_a_dead_worker_comes_back(worker, configured: Server, tmp_path):
    """A worker killed in the middle of a task: the visibility time-out hands the task to the other worker."""
    path = tmp_path / "orphan"
    queue = "authentik_orphans"
    second = start_worker(configured, "second", "-c", "1", "-Q", queue, "--without-gossip", "--without-mingle")
    try:
        result = celery_app.sleep.apply_async((str(path), 3), queue=queue)
        wait_until(lambda: noted(path) == [1], "the second worker runs it")
        second.process.kill()
    finally:
        second.stop()
    app.control.add_consumer(queue, destination=["worker@test"], reply=True, timeout=5)
    assert get(result) is None
    assert noted(path) == [1, 1, 2]

"""Dramatiq's Redis broker, authentik's library of background tasks since 2025.8: one Lua script does everything."""

import importlib
import os
import sys

import pytest
from dramatiq.results import ResultTimeout
from dramatiq.results.errors import ResultFailure

from server import Server
from support import WAIT_LIMIT_S, Child, noted, wait_until

BLOCK = {"block": True, "timeout": WAIT_LIMIT_S * 1000}


@pytest.fixture(scope="module")
def tasks(server: Server):
    """The module of actors, bound to this server."""
    os.environ["AUTHENTIK_REDIS_URL"] = server.url
    try:
        yield importlib.import_module("dramatiq_app")
    finally:
        del os.environ["AUTHENTIK_REDIS_URL"]
        sys.modules.pop("dramatiq_app", None)


def start_worker(server: Server, name: str) -> Child:
    """One process with four threads."""
    return Child(server, name, ["-m", "dramatiq", "dramatiq_app", "--processes", "1", "--threads", "4"])


@pytest.fixture(scope="module")
def worker(server: Server, tasks):
    worker = start_worker(server, "dramatiq")
    try:
        yield worker
    finally:
        worker.stop()


def test_results(worker, tasks, server: Server):
    messages = [tasks.add.send(number, 1) for number in range(30)]
    assert [message.get_result(**BLOCK) for message in messages] == list(range(1, 31))
    stored = tasks.broker.middleware[-2].backend.build_message_key(messages[0])
    with server.client() as client:
        assert 590_000 < client.pttl(stored) <= 600_000
    with pytest.raises(ResultTimeout):
        messages[0].copy(message_id="never-sent").get_result(block=True, timeout=1100)


def test_retries_with_backoff(worker, tasks, tmp_path):
    assert tasks.flaky.send(str(tmp_path / "flaky"), 3).get_result(**BLOCK) == 4
    with pytest.raises(ResultFailure):
        tasks.flaky.send_with_options(args=(str(tmp_path / "hopeless"), 9), max_retries=1).get_result(**BLOCK)


def test_delay(worker, tasks):
    start_ms = tasks.now_ms.send().get_result(**BLOCK)
    delayed = tasks.now_ms.send_with_options(delay=700)
    soon = tasks.now_ms.send()
    assert soon.get_result(**BLOCK) < delayed.get_result(**BLOCK)
    assert delayed.get_result(**BLOCK) >= start_ms + 700


def test_dead_letters(worker, tasks, server: Server, tmp_path):
    message = tasks.fail.send(str(tmp_path / "failed"))
    with server.client() as client:
        wait_until(lambda: client.zcard("dramatiq:events.XQ") == 1, "the message is dead")
        [(identity, died_ms)] = client.zrange("dramatiq:events.XQ", 0, -1, withscores=True)
        assert message.message_id.encode() in client.hget("dramatiq:events.XQ.msgs", identity)
        assert died_ms > 1.6e12 and not client.hexists("dramatiq:events.msgs", identity)
    assert noted(tmp_path / "failed") == [1]


def test_pipeline_and_group(worker, tasks, tmp_path):
    import dramatiq

    assert dramatiq.pipeline([tasks.add.message(1, 2), tasks.add.message(10)]).run().get_result(**BLOCK) == 13
    group = dramatiq.group([tasks.add.message(number, number) for number in range(20)])
    done = tmp_path / "done"
    group.add_completion_callback(tasks.note_number.message(str(done), 20))
    group.run()
    assert list(group.get_results(**BLOCK)) == [2 * number for number in range(20)]
    wait_until(lambda: noted(done) == [20], "the group's callback runs once")


def test_concurrency_limit(worker, tasks, tmp_path):
    path = tmp_path / "mutex"
    for number in range(12):
        tasks.one_at_a_time.send(str(path), number)
    wait_until(lambda: len(noted(path)) == 24, "all ran")
    lines = noted(path)
    assert lines[::2] == lines[1::2], "starts and ends are not interleaved"


def test_join_and_flush(worker, tasks, tmp_path):
    path = tmp_path / "joined"
    for number in range(100):
        tasks.note_number.send(str(path), number)
    tasks.broker.join("events", timeout=WAIT_LIMIT_S * 1000)
    assert sorted(noted(path)) == list(range(100))
    tasks.broker.declare_queue("nobody")
    for number in range(10):
        tasks.broker.enqueue(tasks.note_number.message(str(path), number).copy(queue_name="nobody"))
    assert tasks.broker.do_qsize("nobody") == 10
    tasks.broker.flush("nobody")
    assert tasks.broker.do_qsize("nobody") == 0


def test_task_of_a_dead_worker_comes_back(worker, tasks, server: Server, tmp_path):
    """The last program: it kills the worker. Its successor finds the message by the heartbeat that stopped."""
    path = tmp_path / "orphan"
    tasks.sleep.send(str(path), 2)
    wait_until(lambda: noted(path) == [1], "the task runs")
    os.killpg(worker.process.pid, 9)
    worker.process.wait()
    successor = start_worker(server, "successor")
    try:
        wait_until(lambda: noted(path) == [1, 1, 2], "the successor runs it")
        tasks.broker.join("events", timeout=WAIT_LIMIT_S * 1000)
    finally:
        successor.stop()

"""authentik's Celery queues while the server is killed three times: every acknowledged task runs.

kombu pops a message with BRPOP and notes it as unacknowledged in a second step. A kill between the two takes the
message with it on any server, however durable: one message for each worker and kill at most. Those are counted apart.
"""

import re
from dataclasses import dataclass

from redis.exceptions import ConnectionError as RedisConnectionError

from celery_app import QUEUES
from kill_loop import KILLS, Evidence, Supervised, kill_while_working, summary
from server import Server
from support import HERE, Child, wait_until

KEYS = [queue + priority for queue in QUEUES for priority in ("", "\x06\x163", "\x06\x166", "\x06\x169")]
DRAIN_LIMIT_S = 60
#: So many looks in a row must find the broker empty before it counts so: a popped message is nowhere for a moment.
EMPTY_LOOKS = 100


def broker_is_empty(client) -> bool:
    """Whether no message waits and none is noted as unacknowledged."""
    with client.pipeline(transaction=True) as pipe:
        for key in KEYS:
            pipe.llen(key)
        pipe.zcard("unacked_index").hlen("unacked")
        return not any(pipe.execute())


@dataclass
class Snapshot:
    """What the broker knew when it was back after a kill, as task numbers."""

    acknowledged: set[int]
    waiting: set[int]
    noted_unacknowledged: set[int]

    def explains(self, number: int) -> bool:
        """Whether this kill can have taken the number between its pop and its note.

        A pop takes the oldest of its queue; a push that the server forgot would be among the youngest.
        """
        if number not in self.acknowledged or number in self.waiting | self.noted_unacknowledged:
            return False
        # The sender deals its numbers out to the queues in turn.
        queue = sorted(other for other in self.waiting if other % len(QUEUES) == number % len(QUEUES))
        return not queue or number < queue[len(queue) // 2]


def snapshot(server: Server, acknowledged: set[int]) -> Snapshot:
    """Reads all messages that wait or are noted as unacknowledged."""
    with server.client() as client, client.pipeline(transaction=True) as pipe:
        for key in KEYS:
            pipe.lrange(key, 0, -1)
        *lists, unacknowledged = pipe.hvals("unacked").execute()
    number = re.compile(rb'argsrepr[^0-9]*([0-9]+)')
    return Snapshot(
        acknowledged,
        {int(number.search(message)[1]) for messages in lists for message in messages},
        {int(number.search(message)[1]) for message in unacknowledged},
    )


def unexplained(lost: list[int], snapshots: list[Snapshot]) -> list[int]:
    """The lost numbers that no kill is left for; a kill explains one, as the only worker has one pop under way."""
    left, rest = list(snapshots), []
    for number in lost:
        kill = next((kill for kill in left if kill.explains(number)), None)
        left.remove(kill) if kill else rest.append(number)
    return rest


def drain(server: Server, evidence: Evidence, worker: Supervised) -> list[int]:
    """Waits until all acknowledged tasks ran or the broker stays empty; returns those that never ran."""
    looks = 0

    def drained() -> bool:
        nonlocal looks
        worker.keep()
        with server.client() as client:
            try:
                looks = looks + 1 if broker_is_empty(client) else 0
            except RedisConnectionError:
                looks = 0
        return not evidence.missing() or looks >= EMPTY_LOOKS

    wait_until(drained, "the queues run empty", DRAIN_LIMIT_S)
    return evidence.missing()


def test_acknowledged_tasks_run_across_kills(server: Server, capsys):
    folder = server.dir / "evidence"
    folder.mkdir()
    evidence = Evidence(folder)
    snapshots: list[Snapshot] = []
    arguments = ["-m", "celery", "-A", "celery_app", "worker", "-c", "2", "-Ofair", "-l", "ERROR",
                 "-Q", ",".join(QUEUES), "--without-gossip", "--without-mingle", "--without-heartbeat"]
    worker = Supervised(lambda life: Child(server, f"kill-worker-{life}", arguments, **evidence.environment()))
    sender = Child(server, "kill-sender", [str(HERE / "kill_sender.py"), "celery"], **evidence.environment())
    try:
        with capsys.disabled():
            print()
            kill_while_working(
                server, evidence, sender, worker,
                lambda acknowledged: snapshots.append(snapshot(server, acknowledged)),
            )
            lost = drain(server, evidence, worker)
            rest = unexplained(lost, snapshots)
            print(f"celery: {summary(evidence, lost)}; {len(lost) - len(rest)} popped but never noted, "
                  f"{KILLS} possible; {worker.restarts} worker restarts")
    finally:
        sender.stop()
        worker.child.stop()
    assert not rest, f"{rest}\n{worker.child.text()[-4000:]}"

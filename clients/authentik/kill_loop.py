"""The kill loop: a sender and a worker run while the server is killed and restarted again and again.

The evidence stays outside the server: the sender notes a number when its task was acknowledged, the worker when
it ran. Tasks that ran more than once are fine; a task that was acknowledged and never ran is a loss.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from server import Server
from support import Child, noted, noted_count, wait_until

KILLS = 3
#: The sender acknowledges at least so many tasks.
MIN_TASKS = 2_400
#: The sender waits while so many acknowledged tasks have not run, so that kills meet both sides at work.
MAX_BACKLOG = 700
KILL_LIMIT_S = 60
#: A worker may end by itself so often; more would be a fault that restarts hide.
MAX_RESTARTS = 2 * KILLS


@dataclass
class Evidence:
    """The files that sender and worker write, and the one that tells the sender to come to an end."""

    folder: Path

    @property
    def acknowledged(self) -> Path:
        return self.folder / "acknowledged"

    @property
    def ran(self) -> Path:
        return self.folder / "ran"

    @property
    def refused(self) -> Path:
        return self.folder / "refused"

    @property
    def kills_done(self) -> Path:
        return self.folder / "kills-done"

    def environment(self) -> dict[str, str]:
        """What sender and worker find these files by."""
        return {"EVIDENCE": str(self.folder), "RAN_FILE": str(self.ran)}

    def missing(self) -> list[int]:
        """Acknowledged tasks that never ran."""
        return sorted(set(noted(self.acknowledged)) - set(noted(self.ran)))


class Supervised:
    """A worker that is started again when it ended by itself, as the platform's container would be.

    Celery 5.7 gives up with an AttributeError when a late acknowledgement meets a connection that was just lost,
    and at times takes half a minute to leave after that: the words of its farewell are taken for its end.
    """

    FAREWELL = "Unrecoverable error"

    def __init__(self, start: Callable[[int], Child]) -> None:
        """`start` gets the number of restarts so far, to give each life a log of its own."""
        self.start = start
        self.restarts = 0
        self.child = start(0)

    def keep(self) -> None:
        """Starts the worker again if it has ended or is about to."""
        if not self.child.running() or self.FAREWELL in self.child.text():
            self.child.stop(grace_s=0)
            self.restarts += 1
            assert self.restarts <= MAX_RESTARTS, self.child.text()[-4000:]
            self.child = self.start(self.restarts)


def kill_while_working(
    server: Server, evidence: Evidence, sender: Child, worker: Supervised,
    after_kill: Callable[[set[int]], None] = lambda acknowledged: None,
) -> None:
    """Kills and restarts the server at drawn moments while both children make progress; waits for the sender.

    after_kill gets the numbers that were acknowledged before the kill, once the server is back.
    """
    seed = random.SystemRandom().randrange(2**32)
    choose = random.Random(seed)
    print(f"seed {seed}")
    for kill in range(KILLS):
        sent = noted_count(evidence.acknowledged) + choose.randrange(200, 500)
        done = noted_count(evidence.ran) + choose.randrange(100, 300)

        def progress(sent: int = sent, done: int = done) -> bool:
            worker.keep()
            assert sender.running(), sender.text()[-4000:]
            return noted_count(evidence.acknowledged) >= sent and noted_count(evidence.ran) >= done

        try:
            wait_until(progress, f"progress before kill {kill + 1}", KILL_LIMIT_S)
        except AssertionError:
            print(summary(evidence, []), sender.text()[-4000:], worker.child.text()[-8000:], sep="\n")
            raise
        server.kill()
        acknowledged = set(noted(evidence.acknowledged))
        killed = time.monotonic()
        server.start()
        after_kill(acknowledged)
        print(f"kill {kill + 1}: {noted_count(evidence.acknowledged)} acknowledged, "
              f"{noted_count(evidence.ran)} ran, back after {(time.monotonic() - killed) * 1000:.0f} ms")
    evidence.kills_done.touch()
    wait_until(lambda: worker.keep() or not sender.running(), "the sender comes to an end", KILL_LIMIT_S)
    assert sender.process.returncode == 0, sender.text()[-4000:]
    assert noted_count(evidence.acknowledged) >= MIN_TASKS


def summary(evidence: Evidence, lost: list[int]) -> str:
    """The counts of one run in one line."""
    ran = noted(evidence.ran)
    return (f"{noted_count(evidence.acknowledged)} acknowledged, {noted_count(evidence.refused)} refused, "
            f"{len(set(ran))} ran, {len(ran) - len(set(ran))} ran again, {len(lost)} lost {lost[:10]}")

"""The sender of the kill loop: four threads that send numbered tasks and note what was acknowledged.

Arguments: `celery` or `dramatiq`. It ends once the kills are over and enough tasks were acknowledged.
"""

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from kill_loop import MAX_BACKLOG, MIN_TASKS, Evidence
from support import note, noted_count

THREADS = 4


def sending(library: str) -> tuple[Callable[[int], None], tuple[type[Exception], ...]]:
    """The function that sends one task, and the errors that say that it was not acknowledged."""
    if library == "celery":
        from kombu.exceptions import OperationalError
        from redis.exceptions import RedisError

        from celery_app import KILL_TASKS

        return lambda number: KILL_TASKS[number % 3].delay(number), (OperationalError, RedisError, OSError)
    from dramatiq.errors import BrokerConnectionError
    from redis.exceptions import RedisError

    from dramatiq_app import kill

    return lambda number: kill.send(number), (BrokerConnectionError, RedisError, OSError)


def main(library: str) -> int:
    """Returns the exit status: 1 if a thread ended by an error that it did not expect."""
    evidence = Evidence(Path(os.environ["EVIDENCE"]))
    send, errors = sending(library)
    numbers = itertools.count()
    failed = threading.Event()

    def work() -> None:
        try:
            while not (evidence.kills_done.exists() and noted_count(evidence.acknowledged) >= MIN_TASKS):
                backlog = noted_count(evidence.acknowledged) - noted_count(evidence.ran)
                if backlog > MAX_BACKLOG and not evidence.kills_done.exists():
                    time.sleep(0.01)
                    continue
                number = next(numbers)
                try:
                    send(number)
                except errors:
                    # Nobody promised anything for this number; it may run all the same.
                    note(evidence.refused, number)
                    time.sleep(0.02)
                else:
                    note(evidence.acknowledged, number)
        except BaseException:
            failed.set()
            raise

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1 if failed.is_set() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

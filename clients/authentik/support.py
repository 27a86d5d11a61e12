"""What the programs share: child programs with a log, and waiting for a condition."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from server import Server

HERE = Path(__file__).resolve().parent
#: Where the children find the programs of this folder and the server fixture.
PROGRAM_PATH = os.pathsep.join([str(HERE), str(HERE.parent / "harness")])
WAIT_LIMIT_S = 30
#: Every line of a journal file has this many bytes, so a file's size tells its line count.
LINE_BYTES = 12


def wait_until(condition: Callable[[], object], what: str, limit_s: float = WAIT_LIMIT_S):
    """Polls until condition() is true and returns its value; fails with `what` after limit_s."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit_s} s in vain: {what}")
        time.sleep(0.02)


def note(path: str | Path, number: int) -> None:
    """Appends one number to a journal file; a line this short is written in one piece."""
    line = f"{number:0{LINE_BYTES - 1}d}\n".encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def noted_count(path: str | Path) -> int:
    """How many numbers a journal file holds, repetitions included."""
    try:
        return os.stat(path).st_size // LINE_BYTES
    except FileNotFoundError:
        return 0


def noted(path: str | Path) -> list[int]:
    """The numbers of a journal file in the order in which they were written."""
    path = Path(path)
    return [int(line) for line in path.read_text().split()] if path.exists() else []


class Child:
    """A Python program of this folder (or a module) as a process group with its own log."""

    def __init__(self, server: Server, name: str, arguments: list[str], **environment: str) -> None:
        self.log = server.dir / f"{name}.log"
        env = dict(os.environ, AUTHENTIK_REDIS_URL=server.url, PYTHONPATH=PROGRAM_PATH, **environment)
        # Each child has a session of its own, so that a prefork parent takes its pool along.
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=server.dir, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )

    def text(self) -> str:
        """Everything that the child wrote so far."""
        return self.log.read_text(errors="replace")

    def running(self) -> bool:
        """Whether the child is still there."""
        return self.process.poll() is None

    def stop(self, grace_s: float = 15) -> None:
        """Asks the child to end, and after grace_s ends what is left of its process group."""
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(timeout=grace_s)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

"""Commands on the hosts of a stack, and terminals."""

import os
import pty
import subprocess
import time
from dataclasses import dataclass

from containers import LIMIT_S, POLL_S, SERVER_ADDRESS, until  # noqa: F401

DEBIAN_CLI = "/usr/bin/redis-cli"


@dataclass
class Answer:
    code: int
    out: str
    err: str


class Shell:
    """Runs programs on the hosts of a network."""

    def __init__(self, network, image, control):
        self.network, self.image, self.control = network, image, control

    def run(self, host, command, stdin=""):
        done = subprocess.run(
            self.network.on(host, command), env=self.image.environment(), input=stdin, capture_output=True, text=True,
            timeout=LIMIT_S, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    def inside(self, command, stdin=""):
        """What `docker compose exec` and health checks do: the image's own programs, beside the server."""
        return self.run(self.network.server, command, stdin)

    def oracle(self, args, stdin=""):
        """Debian's redis-cli beside the server."""
        return self.run(self.network.server, [DEBIAN_CLI, *args], stdin)

    def cli(self, args, stdin=""):
        """Debian's redis-cli on the other host."""
        return self.run(self.network.client, [DEBIAN_CLI, *args], stdin)

    def terminal(self, host, command):
        return Terminal(self.network.on(host, command), self.image.environment())


class Terminal:
    """A program on a terminal of its own, as a person has it."""

    def __init__(self, command, environment):
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, {**environment, "TERM": "dumb"})
        os.set_blocking(self.screen, False)
        self.seen = ""
        self.code = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.code is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.screen)

    def type(self, text):
        self.seen = ""
        os.write(self.screen, text.encode())

    def read(self):
        try:
            self.seen += os.read(self.screen, 1 << 16).decode(errors="replace")
        except (BlockingIOError, OSError):
            # The terminal of a program that has ended reads as an error.
            pass
        return self.seen

    def await_text(self, text):
        end = time.monotonic() + LIMIT_S
        while text not in self.read():
            if time.monotonic() > end:
                raise TimeoutError(f"{text!r} never came; the screen has {self.seen!r}")
            time.sleep(POLL_S)

    def ended(self):
        self.read()
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

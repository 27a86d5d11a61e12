"""A server on a free loopback port, with the flags that make both as equal as they can be."""

import socket
import subprocess
import time

LIMIT_S = 20
POLL_S = 0.02
FLAGS = ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory", "1gb",
         "--slowlog-log-slower-than", "-1"]


def until(condition, what):
    end = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {LIMIT_S} s")
        time.sleep(POLL_S)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, program, folder):
        self.port = free_port()
        self.command = [*program, "--port", str(self.port), "--dir", str(folder), *FLAGS]
        self.log = folder / "server.log"

    def __enter__(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

        def ready():
            assert self.process.poll() is None, self.log.read_text()
            return "eady to accept connections" in self.log.read_text()

        until(ready, "a ready server")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

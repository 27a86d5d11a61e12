"""The server under test as a child process: start, kill, restart on the same folder and port."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redis

DEFAULT_BIN = Path(__file__).resolve().parents[2] / "target/release/sessile"
START_LIMIT_S = 30


def command_line() -> list[str]:
    """The server's program with its leading arguments, chosen by CONTROL and SERVER_BIN."""
    if os.environ.get("CONTROL") == "1":
        return ["/usr/bin/redis-server"]
    path = os.environ.get("SERVER_BIN") or str(DEFAULT_BIN)
    # Under the name redis-server the program takes the options alone.
    return [path, "server"] if Path(path).name.startswith("sessile") else [path]


def durability_options() -> list[str]:
    """Redis acknowledges before it syncs unless told otherwise; Sessile needs no option."""
    if os.environ.get("CONTROL") == "1":
        return ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    return []


def free_port() -> int:
    """A loopback TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server on a loopback port with a data folder of its own."""

    def __init__(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="sessile-clients-"))
        self.data = self.dir / "data"
        self.data.mkdir()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.log = self.dir / "server.log"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Starts the server and returns once PING is answered with PONG."""
        command = command_line() + ["--port", str(self.port), "--dir", str(self.data), "--bind", "127.0.0.1"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command + durability_options(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data
            )
        deadline = time.monotonic() + START_LIMIT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start\n{self.log_tail()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with self.client(socket_timeout=1, retry=None) as client:
                return client.ping()
        except redis.RedisError:  # refused, still loading, or half started
            return False

    def client(self, **options) -> redis.Redis:
        """A redis-py client with the library's defaults unless options say otherwise."""
        return redis.Redis(host="127.0.0.1", port=self.port, **options)

    def kill(self) -> None:
        """Ends the server as a power cut would: no shutdown code runs."""
        assert self.process is not None and self.process.poll() is None, "the server had ended by itself"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Ends the server and removes its folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def log_tail(self, lines: int = 40) -> str:
        """The last lines that the server wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

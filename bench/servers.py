"""The two servers side by side: started on a core of their own, asked, measured from outside, ended by process id."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

KINDS = ("redis", "sessile")
ROOT = pathlib.Path(__file__).resolve().parent.parent
START_LIMIT_S = 60
WAIT_LIMIT_S = 120
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# One core for the server with all of its threads and children, one for the clients. On a machine with a single core
# (only `--smoke` runs there) they share it.
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]


class Failed(Exception):
    """A row cannot be measured; the text says why."""


def until(done, what, pause_s=0.005, limit_s=WAIT_LIMIT_S):
    """Waits until `done()` is true and gives what it gave."""
    end = time.monotonic() + limit_s
    while True:
        found = done()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"not within {limit_s} s: {what}")
        time.sleep(pause_s)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Tools:
    """The binaries that take part, and what is compiled for the run."""

    def __init__(self, sessile, redis, folder):
        self.binaries = {"sessile": sessile, "redis": redis}
        self.client = os.path.join(folder, "client")
        self.shim = os.path.join(folder, "fsync.so")
        self.order = os.path.join(folder, "fsync-order")
        pathlib.Path(self.order).write_text("delay 1000", encoding="ascii")
        compile_c(ROOT / "bench/client.c", self.client)
        compile_c(ROOT / "crates/crash/shim/fsync.c", self.shim, "-shared", "-fPIC", "-ldl")


def compile_c(source, target, *flags):
    done = subprocess.run(["cc", "-O2", "-o", target, source, *flags], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"cannot compile {source}:\n{done.stderr}")


class Server:
    """A server process on a free loopback port with a folder of its own; ends with the `with` block.

    Durable is Sessile as it comes, and Redis with `appendfsync always`; otherwise both keep everything in memory.
    `slow_fsync` makes every fsync of either 1 ms longer, as network disks do. Unless `pinned`, server and clients may
    use all cores.
    """

    def __init__(self, tools, kind, durable, slow_fsync=False, pinned=True):
        self.kind = kind
        self.folder = tempfile.mkdtemp(prefix="sessile-bench-")
        self.port = free_port()
        self.process = self.connection = None
        lead = [tools.binaries[kind]] + (["server"] if kind == "sessile" else [])
        every = ",".join(map(str, CORES))
        server_cores, self.client_cores = (str(SERVER_CORE), str(CLIENT_CORE)) if pinned else (every, every)
        self.command = ["taskset", "-c", server_cores, *lead, "--port", str(self.port), "--dir", self.folder]
        self.command += ["--bind", "127.0.0.1", "--protected-mode", "no", "--save", ""]
        if not durable:
            self.command += ["--appendonly", "no"]
        elif kind == "redis":
            self.command += ["--appendonly", "yes", "--appendfsync", "always"]
        self.environment = dict(os.environ)
        if slow_fsync:
            self.environment |= {"LD_PRELOAD": tools.shim, "FSYNC_SHIM": tools.order}

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        """Starts it and gives the seconds until it answered PING with PONG: a server that still loads does not."""
        began = time.monotonic()
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )
        try:
            until(self.answers, "an answer to PING", pause_s=0.002, limit_s=START_LIMIT_S)
        except Failed as failed:
            raise Failed(f"{failed}\n{self.log_tail()}".strip()) from None
        return time.monotonic() - began

    def answers(self):
        if self.process.poll() is not None:
            raise Failed("the server ended by itself")
        try:
            connection = Connection(self.port)
        except OSError:
            return False
        try:
            connection.call("PING")
        except (OSError, Failed):
            connection.close()
            return False
        self.connection = connection
        return True

    def kill(self):
        """`kill -9`, as a power cut or the kernel would."""
        if self.connection:
            self.connection.close()
            self.connection = None
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def log_tail(self):
        return pathlib.Path(self.folder, "log").read_text(errors="replace")[-2000:]

    def call(self, *words):
        return self.connection.call(*words)

    def info(self, section):
        lines = self.call("INFO", section).decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def cpu_s(self):
        """Processor time of all its threads so far, also of those that ended, to the nanosecond."""
        # The number of a process's clock on Linux is made from its id: see clock_getcpuclockid(3).
        return time.clock_gettime_ns((~self.process.pid << 3) | 2) / 1e9

    def rss_bytes(self):
        """Resident memory of the process."""
        return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    def memory_bytes(self):
        """Memory that it and its children hold together; a page that they share counts once."""
        pids = [self.process.pid]
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{task}/children")
            pids += [int(pid) for pid in children.read_text().split()]
        return sum(map(pss_bytes, pids))

    def is_idle(self):
        """Whether it writes no snapshot."""
        info = self.info("persistence")
        fields = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
        return all(info[field] == "0" for field in fields)

    def until_idle(self):
        until(self.is_idle, "the end of a snapshot", pause_s=0.02)


def pss_bytes(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # A child that has just ended.
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024


class Connection:
    """The simplest client: one command, its reply as bytes, an integer, None or a list."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_LIMIT_S)
        self.reader = self.socket.makefile("rb")

    def close(self):
        self.reader.close()
        self.socket.close()

    def call(self, *words):
        """Raises `Failed` with the text of an error reply."""
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self.reply()

    def reply(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the server ended the connection")
        kind, text = line[:1], line[1:-2]
        if kind == b"-":
            raise Failed(text.decode(errors="replace"))
        if kind == b"+":
            return text
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == b"-1" else self.reader.read(int(text) + 2)[:-2]
        return None if text == b"-1" else [self.reply() for _ in range(int(text))]

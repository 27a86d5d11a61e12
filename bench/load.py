"""The clients that make the load, on the cores that a server leaves them."""

import csv
import os
import subprocess

from servers import ROOT, Failed

KEYS = 100_000
PROBE_INTERVAL_US = 100
LIMIT_S = 300
LIBRARIES = ROOT / "clients/infisical/today"


def on_client_cores(server, *words):
    return ["taskset", "-c", server.client_cores, *map(str, words)]


def run(words):
    """Runs a client to its end and gives what it printed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Failed(f"{' '.join(words[3:])}: {done.stdout[-500:]}{done.stderr[-1000:]}")
    return done.stdout


def benchmark_words(server, command, connections, pipeline, requests, keys=KEYS):
    words = ["redis-benchmark", "-p", server.port, "-c", connections, "-P", pipeline, "-n", requests, "-r", keys]
    return on_client_cores(server, *words, "--csv", *command)


def benchmark(server, command, connections, pipeline, requests):
    """redis-benchmark: (requests a second, p99 in ms). An error reply ends it, and is raised."""
    printed = run(benchmark_words(server, command, connections, pipeline, requests))
    rows = [row for row in csv.reader(printed.splitlines()) if len(row) >= 8]
    # A script's quotes and commas may stand in the first columns, which repeat the command: count from the last.
    # It counts whole milliseconds, so a very short run may have taken none.
    rate, p99_ms = min(float(rows[-1][-7]), requests * 2_000), float(rows[-1][-2])
    if rate <= 0:
        raise Failed(f"redis-benchmark gave no rate: {printed}")
    return rate, p99_ms


class Beside:
    """A client that runs beside what is measured, until the `with` block ends."""

    def __init__(self, words):
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self):
        """The next line it prints."""
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"a client ended: {self.process.communicate()[1][-1000:]}")
        return line.strip()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


def writers(server, count, key="key:__rand_int__", keys=KEYS):
    """redis-benchmark with writers that do not stop by themselves."""
    command = ["SET", key, "x" * 64, "KEEPTTL"]
    words = benchmark_words(server, command, count, 1, 2_000_000_000, keys)
    # Its progress would fill a pipe that nobody reads.
    return Beside(["sh", "-c", 'exec "$@" >/dev/null', "sh", *words])


def session_writers(server, count, keys):
    """Writers all over what `fill_sessions` filled."""
    return writers(server, count, "session:000000000000__rand_int__", keys)


def fill(tools, server, count, *command):
    """Sends a command `count` times; {n}, {k} and {x} in it are told in client.c."""
    run(on_client_cores(server, tools.client, "fill", server.port, count, *command))


def fill_sessions(tools, server, count):
    """Keys of 32 bytes, values of 64 that do not compress, with a TTL: the sessions and tokens of a platform."""
    fill(tools, server, count, "SET", "session:{n}", "{x}", "EX", 86_400)


def connects(tools, server, count, parallel):
    """Connections a second that each say HELLO 3, GET and close."""
    return count / float(run(on_client_cores(server, tools.client, "connects", server.port, count, parallel)))


def probe(tools, server, keys, seconds, command=None):
    """A GET each 100 microseconds, which does not wait for a server that stands still: for so long, or from a command
    that starts a snapshot to its end. Gives {count, seconds, p50, p99, p999, max}, latencies in microseconds."""
    words = [tools.client, "probe", server.port, keys, PROBE_INTERVAL_US, seconds, *([command] if command else [])]
    numbers = map(float, run(on_client_cores(server, *words)).split())
    return dict(zip(("count", "seconds", "p50", "p99", "p999", "max"), numbers))


def install_libraries():
    """BullMQ, as the client programs have it installed."""
    installed, wanted = LIBRARIES / "node_modules/.package-lock.json", LIBRARIES / "package-lock.json"
    # npm writes that file last: older than the lock file it is exactly when the install is missing or stale.
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        subprocess.run(["npm", "ci", "--silent"], cwd=LIBRARIES, check=True, stdin=subprocess.DEVNULL)


def jobs(server, count, warm_up):
    """BullMQ: (jobs a second, seconds of the server's processor time a job), from adding to completed."""
    program = os.path.join(ROOT, "bench/jobs.mjs")
    with Beside(on_client_cores(server, "node", program, server.port, count, warm_up)) as client:
        client.line()
        before_s = server.cpu_s()
        client.tell("go")
        seconds = float(client.line())
        return count / seconds, (server.cpu_s() - before_s) / count

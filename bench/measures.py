"""How each row is measured. A measure gets the run's sizes and one server (or makes its own) and gives its numbers."""

import dataclasses
import hashlib
import re
import time

import load
from servers import Failed, Server, until

SAMPLE_PAUSE_S = 0.02
# Writes after which writers are at their pace.
WRITERS_PACE = 200
# Both servers look at their memory now and then.
MEMORY_FACTS_AGE_S = 1.2


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is done: times and counts at `--scale 1`, or as little as proves that the row can be measured."""

    seconds: float
    jobs: int
    connections: int
    keys_memory: int
    keys_heavy: int
    quiet_s: float
    smoke: bool

    @classmethod
    def scaled(cls, scale):
        def share(count, least):
            return max(int(count * scale), least)

        return cls(
            seconds=0.5 * scale, jobs=share(4_000, 500), connections=share(20_000, 2_000),
            keys_memory=share(1_000_000, 10_000), keys_heavy=share(2_000_000, 10_000), quiet_s=1.5, smoke=False,
        )  # fmt: skip

    @classmethod
    def smallest(cls):
        return cls(0, 50, 200, 5_000, 10_000, 0.1, smoke=True)


class Commands:
    """redis-benchmark with commands that run one after the other."""

    CALIBRATION = 1_000

    def __init__(self, name, commands, connections, pipeline):
        self.name, self.commands, self.connections, self.pipeline = name, commands, connections, pipeline
        self.rates = {}

    def requests(self, server, sizes, command):
        """As many requests as take this server about the wanted time; found out once, before the first round."""
        if sizes.smoke:
            return self.whole(20)
        if server.kind not in self.rates:
            first = 100 if "1,000 calls" in self.name else max(self.CALIBRATION, self.connections)
            rate, _ = load.benchmark(server, command, self.connections, self.pipeline, self.whole(first))
            self.rates[server.kind] = rate
        return self.whole(max(self.rates[server.kind] * sizes.seconds, self.connections))

    def whole(self, requests):
        """redis-benchmark sends whole pipelines."""
        return -int(-requests // self.pipeline) * self.pipeline

    def __call__(self, sizes, tools, server):
        total = seconds = p99_ms = cpu_s = 0
        # That many connections are most of the time when there is next to nothing to send.
        connections = min(self.connections, 50) if sizes.smoke else self.connections
        # Both commands as often: RPOP is to find what LPUSH left.
        requests = self.requests(server, sizes, self.commands[0])
        for command in self.commands:
            before_s = server.cpu_s()
            rate, p99 = load.benchmark(server, command, connections, self.pipeline, requests)
            cpu_s += server.cpu_s() - before_s
            total, seconds, p99_ms = total + requests, seconds + requests / rate, max(p99_ms, p99)
        # Below a whole core the client was the bottleneck, and the rate is its own.
        return {"rate": total / seconds, "cpu": cpu_s / total * 1e6, "busy": cpu_s / seconds * 100, "p99": p99_ms}


def processed(server):
    return int(server.info("stats")["total_commands_processed"])


def until_processed(server, count):
    until(lambda: processed(server) > count, "writers at their pace")


class Beside(Commands):
    """GETs while durable writers are at work; the writers' rate shows that they were not starved for it."""

    CALIBRATION = 200
    WRITERS = 8

    def __init__(self, name, read, connections):
        super().__init__(name, [read], connections, 1)

    def __call__(self, sizes, tools, server):
        with load.writers(server, self.WRITERS):
            until_processed(server, processed(server) + WRITERS_PACE)
            requests = self.requests(server, sizes, self.commands[0])
            before, began_s = processed(server), time.monotonic()
            rate, p99_ms = load.benchmark(server, self.commands[0], self.connections, 1, requests)
            writes = processed(server) - before - requests
            return {"rate": rate, "p99": p99_ms, "writes": writes / (time.monotonic() - began_s)}


def jobs(sizes, tools, server):
    rate, cpu_s = load.jobs(server, sizes.jobs, sizes.jobs // 8)
    return {"rate": rate, "cpu": cpu_s * 1e6}


def connections(sizes, tools, server):
    before_s = server.cpu_s()
    rate = load.connects(tools, server, sizes.connections, 50)
    return {"rate": rate, "cpu": (server.cpu_s() - before_s) / sizes.connections * 1e6}


# --- memory --------------------------------------------------------------------------------------------------------


def memory_of(sizes, tools, kind, keys, fill):
    with Server(tools, kind, durable=False) as server:
        used, resident = memory_now(sizes, server)
        fill(server, keys)
        if server.call("DBSIZE") != keys:
            raise Failed(f"{kind} has {server.call('DBSIZE')} keys of {keys}")
        used_full, resident_full = memory_now(sizes, server)
        return {"used": (used_full - used) / keys, "resident": (resident_full - resident) / keys}


def memory_now(sizes, server):
    """(used_memory, resident memory) in bytes."""
    time.sleep(0 if sizes.smoke else MEMORY_FACTS_AGE_S)
    return int(server.info("memory")["used_memory"]), server.rss_bytes()


def memory_of_sessions(sizes, tools, kind):
    return memory_of(sizes, tools, kind, sizes.keys_memory, lambda s, keys: load.fill_sessions(tools, s, keys))


class MemoryOfValues:
    """Bytes a key whose value a command makes; a fifth as many keys, for each has several members."""

    def __init__(self, command):
        self.command = command

    def __call__(self, sizes, tools, kind):
        def fill(server, keys):
            load.fill(tools, server, keys, *self.command)

        return memory_of(sizes, tools, kind, max(sizes.keys_memory // 5, 2_000), fill)


# --- restart and snapshot ------------------------------------------------------------------------------------------


class Restart:
    """From the start of the process to the first PONG: Redis from an RDB file, Sessile from its journal, either as the
    writes left it or right after a snapshot."""

    def __init__(self, state):
        self.state = state

    def __call__(self, sizes, tools, kind):
        keys = sizes.keys_heavy
        with Server(tools, kind, durable=kind == "sessile") as server:
            load.fill_sessions(tools, server, keys)
            server.until_idle()
            if kind == "redis":
                server.call("SAVE")
            elif self.state == "snapshot":
                server.call("BGREWRITEAOF")
                server.until_idle()
            before = digest_of_sessions(server, keys)
            server.kill()
            seconds = server.start()
            if digest_of_sessions(server, keys) != before:
                raise Failed(f"{kind} does not hold after a restart what it held before")
            return {"seconds": seconds}


def digest_of_sessions(server, keys):
    """Number of keys and some of the values, TTL included to the second."""
    digest = hashlib.sha256(str(server.call("DBSIZE")).encode())
    for number in range(0, keys, max(keys // 500, 1)):
        digest.update(repr((number, server.call("GET", "session:%024d" % number))).encode())
        digest.update(repr(server.call("EXPIRETIME", "session:%024d" % number)).encode())
    return digest.hexdigest()


class Snapshot:
    """A GET probe while a snapshot is written, beside the same probe without; then the memory while the values change."""

    WRITERS = 50

    def __init__(self, command):
        self.command = command

    def __call__(self, sizes, tools, kind):
        keys = sizes.keys_heavy
        with Server(tools, kind, durable=True) as server:
            self.fill(tools, server, keys)
            quiet = load.probe(tools, server, keys, sizes.quiet_s)
            during = load.probe(tools, server, keys, 0, self.command)
            return {
                "quiet": quiet["p999"],
                "p999": during["p999"] / quiet["p999"],
                "peak": self.peak(server, keys),
                "seconds": during["seconds"],
            }

    @staticmethod
    def fill(tools, server, keys):
        """Fills it without the snapshots that start by themselves, which would be in the way, also later."""
        server.call("CONFIG", "SET", "auto-aof-rewrite-percentage", "0")
        if server.kind == "redis":  # An fsync for each 16 KiB that it reads would take minutes.
            server.call("CONFIG", "SET", "appendfsync", "no")
        load.fill_sessions(tools, server, keys)
        if server.kind == "redis":
            server.call("CONFIG", "SET", "appendfsync", "always")
        server.until_idle()

    def peak(self, server, keys):
        """Greatest memory during a snapshot, beside writers all over the keys, divided by that before."""
        with load.session_writers(server, self.WRITERS, keys):
            until_processed(server, processed(server) + WRITERS_PACE)
            server.until_idle()
            before = greatest = server.memory_bytes()
            server.call(self.command)
            while not server.is_idle():
                greatest = max(greatest, server.memory_bytes())
                time.sleep(SAMPLE_PAUSE_S)
            return greatest / before


# --- the same results ----------------------------------------------------------------------------------------------

STREAM_ID = re.compile(rb"\d{13}-\d+$")
CHECKS = 50


def results_of(server, commands, look):
    """A hash of the replies to commands, each with several numbers, and of what they left. Ids by the clock count alike."""
    digest = hashlib.sha256()
    for number in range(CHECKS):
        for command in [*commands, *([look] if look else [])]:
            reply = server.call(*(word.replace("__rand_int__", "%012d" % number) for word in command))
            if isinstance(reply, bytes) and STREAM_ID.match(reply):
                reply = b"id"
            digest.update(repr(reply).encode())
    return digest.hexdigest()

"""What is compared, as data: commands, rows, and the floors that a median must reach."""

import dataclasses
from typing import Callable, Optional

import measures

VALUE = "x" * 64
# One call, as a limiter or a lock makes it, and a thousand, as a job queue's scripts do in sum.
ONE_CALL = "return redis.call('set', KEYS[1], ARGV[1])"
THOUSAND_CALLS = (
    "for i = 1, 500 do redis.call('set', KEYS[1], i); redis.call('get', KEYS[1]) end return redis.call('get', KEYS[1])"
)
NUMBER = "__rand_int__"

# name: commands that run one after the other, and what is asked afterwards to see that both servers came to the same.
COMMANDS = {
    "GET": ([["GET", f"key:{NUMBER}"]], None),
    "SET": ([["SET", f"key:{NUMBER}", VALUE]], ["GET", f"key:{NUMBER}"]),
    "INCR": ([["INCR", f"counter:{NUMBER}"]], ["GET", f"counter:{NUMBER}"]),
    "LPUSH/RPOP": ([["LPUSH", "queue", VALUE], ["RPOP", "queue"]], ["LRANGE", "queue", "0", "-1"]),
    "HSET": ([["HSET", f"session:{NUMBER}", "token", VALUE]], ["HGETALL", f"session:{NUMBER}"]),
    "ZADD": ([["ZADD", "expiring", NUMBER, f"session:{NUMBER}"]], ["ZSCORE", "expiring", f"session:{NUMBER}"]),
    "XADD": ([["XADD", "events", "MAXLEN", "~", "10000", "*", "completed", NUMBER]], ["XLEN", "events"]),
    "EVAL 1 call": ([["EVAL", ONE_CALL, "1", f"key:{NUMBER}", VALUE]], ["GET", f"key:{NUMBER}"]),
    "EVAL 1,000 calls": ([["EVAL", THOUSAND_CALLS, "1", f"key:{NUMBER}"]], ["GET", f"key:{NUMBER}"]),
}
CONNECTIONS = (1, 50, 500)
PIPELINES = (1, 16)

# What a small value of each type is made of: platforms' sessions, members of groups, expiry indexes, queues.
SMALL_VALUES = {
    "small hash": ["HSET", "hash:{n}", *(word for n in range(5) for word in (f"field{n}", f"{n}-{{n}}"))],
    "small set": ["SADD", "set:{n}", *(f"member{n}-{{n}}" for n in range(8))],
    "small sorted set": ["ZADD", "zset:{n}", *(word for n in range(8) for word in (str(n * 1000), f"member{n}-{{n}}"))],
    "small list": ["RPUSH", "list:{n}", *(f"element{n}-{{n}}" for n in range(8))],
}


@dataclasses.dataclass(frozen=True)
class Floor:
    """A bound on a median: at least (`more`) or at most."""

    bound: float
    more: bool

    def reached(self, value):
        return value >= self.bound if self.more else value <= self.bound

    def __str__(self):
        return f"{'≥' if self.more else '≤'} {self.bound:g}"


def at_least(bound):
    return Floor(bound, more=True)


def at_most(bound):
    return Floor(bound, more=False)


@dataclasses.dataclass(frozen=True)
class Metric:
    """One number of a row. It is compared as Sessile's divided by Redis', or, if `own`, is a ratio by itself already:
    then the floor holds for Sessile's, and Redis' stands beside it."""

    key: str
    title: str
    digits: int
    floor: Optional[Floor] = None
    own: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table. `setting` names the pair of servers that it shares with others, None brings its own."""

    section: str
    name: str
    setting: Optional[str]
    metrics: tuple
    measure: Callable
    rounds_max: int = 1_000
    command: Optional[str] = None


def command_floors(command, connections, pipeline, durable):
    """(of the rate, of the processor time) of a row of commands; None where nothing is promised."""
    if not durable:
        rate = 1.2 if command.startswith("EVAL") else 1.6 if pipeline == 16 else 0.95
        return at_least(rate), at_most(0.95)
    if command != "SET":
        return None, None
    return at_least(1.6 if pipeline == 16 else 0.95 if connections == 500 else 1.0), None


def command_row(command, connections, pipeline, durable):
    rate, cpu = command_floors(command, connections, pipeline, durable)
    name = f"{'durable ' if durable else ''}{command} c={connections}{f' P={pipeline}' if pipeline > 1 else ''}"
    metrics = (Metric("rate", "ops/s", 0, rate), Metric("cpu", "CPU µs/op", 2, cpu))
    metrics += (Metric("busy", "busy %", 0, own=True), Metric("p99", "p99 ms", 2))
    measure = measures.Commands(name, COMMANDS[command][0], connections, pipeline)
    setting = "durable" if durable else "memory"
    return Row(f"Commands, {'durable' if durable else 'in memory'}", name, setting, metrics, measure, command=command)


def command_rows():
    for durable in (False, True):
        for command in COMMANDS:
            for connections in CONNECTIONS:
                for pipeline in PIPELINES:
                    # 8,000 scripts of a thousand calls in flight would be seconds of work that nobody waits for.
                    if command == "EVAL 1,000 calls" and connections * pipeline > 1_000:
                        continue
                    yield command_row(command, connections, pipeline, durable)


def beside_rows():
    floors = {
        ("durable", 50): (at_least(1.2), at_most(0.8)),
        ("durable", 1): (at_least(3), None),
        ("slow", 50): (at_least(2.5), None),
        ("slow", 1): (at_least(20), None),
        # Pinned, all clients share a core, and a server that serves the writers better takes it from the readers.
        ("unpinned", 50): (at_least(1.2), at_most(0.8)),
        ("unpinned", 1): (at_least(3), None),
    }
    manners = {"durable": "", "slow": ", fsync 1 ms slower", "unpinned": ", not pinned"}
    for (setting, connections), (rate, p99) in floors.items():
        name = f"GET c={connections} beside 8 writers{manners[setting]}"
        metrics = (Metric("rate", "GET/s", 0, rate), Metric("p99", "GET p99 ms", 2, p99), Metric("writes", "SET/s", 0))
        measure = measures.Beside(name, COMMANDS["GET"][0][0], connections)
        yield Row("Reads beside 8 durable writers", name, setting, metrics, measure, command="GET")


def platform_rows():
    for durable in (False, True):
        rate, cpu = (None, None) if durable else (at_least(0.95), at_most(0.95))
        metrics = (Metric("rate", "jobs/s", 0, rate), Metric("cpu", "CPU µs/job", 0, cpu))
        name = f"{'durable ' if durable else ''}BullMQ jobs"
        yield Row("Job queue", name, "durable" if durable else "memory", metrics, measures.jobs, rounds_max=5)
    metrics = (Metric("rate", "connections/s", 0, at_least(1.0)), Metric("cpu", "CPU µs/connection", 1))
    yield Row("Connections", "connect, HELLO 3, GET, close", "memory", metrics, measures.connections)


def memory_rows():
    metrics = (
        Metric("used", "used_memory, bytes/key", 0, at_most(0.8)),
        Metric("resident", "resident, bytes/key", 0, at_most(0.8)),
    )
    yield Row("Memory", "key of 32 bytes, value of 64, TTL", None, metrics, measures.memory_of_sessions, rounds_max=1)
    for name, command in SMALL_VALUES.items():
        yield Row("Memory", name, None, metrics, measures.MemoryOfValues(command), rounds_max=1)


def heavy_rows():
    restart = (Metric("seconds", "seconds", 2, at_most(1.0)),)
    for state in ("snapshot", "journal"):
        name = f"restart: {state}; Redis: RDB file"
        yield Row("Restart", name, None, restart, measures.Restart(state), rounds_max=3)
    during = (
        Metric("quiet", "quiet p99.9 µs", 0),
        Metric("p999", "p99.9 during / quiet", 2, at_most(2.0), own=True),
        Metric("peak", "peak memory / before", 2, at_most(1.15), own=True),
        Metric("seconds", "seconds", 2),
    )
    for command in ("BGREWRITEAOF", "BGSAVE"):
        name = f"snapshot: {command}"
        yield Row("Snapshot", name, None, during, measures.Snapshot(command), rounds_max=3)


ROWS = [*command_rows(), *beside_rows(), *platform_rows(), *memory_rows(), *heavy_rows()]

# What bench/quick runs: the rows that tell most in three minutes.
QUICK = {
    "GET c=50", "SET c=50", "GET c=50 P=16", "SET c=50 P=16", "XADD c=50 P=16", "EVAL 1 call c=50 P=16",
    "EVAL 1,000 calls c=50", "durable GET c=50", "durable SET c=1", "durable SET c=50", "durable SET c=50 P=16",
    "GET c=50 beside 8 writers", "GET c=1 beside 8 writers", "GET c=50 beside 8 writers, fsync 1 ms slower",
    "GET c=50 beside 8 writers, not pinned",
    "BullMQ jobs", "durable BullMQ jobs", "connect, HELLO 3, GET, close", "key of 32 bytes, value of 64, TTL",
}  # fmt: skip

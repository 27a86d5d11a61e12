"""Rounds, options, and what is done with the results."""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time

import load
import measures
import table
from servers import CLIENT_CORE, CORES, KINDS, ROOT, Failed, Server, Tools
from workloads import COMMANDS, QUICK, ROWS

SLOW_WRITES = 100
SLOW_S = 0.001


class Run:
    """All measurements of the chosen rows: row's name → kind → its numbers, one a round."""

    def __init__(self, rows, sizes, tools, rounds):
        self.rows, self.sizes, self.tools, self.rounds = rows, sizes, tools, rounds
        self.results = {row.name: {kind: [] for kind in KINDS} for row in rows}
        self.failures = {}
        self.seconds = {}
        self.began_s = time.monotonic()
        self.planned = sum(min(row.rounds_max, rounds) for row in rows)
        self.done = 0

    def all(self):
        for number in range(self.rounds):
            # The order changes, so that neither always has the warmer or the busier machine.
            order = KINDS if number % 2 == 0 else KINDS[::-1]
            rows = [row for row in self.rows if row.rounds_max > number]
            for setting in ("memory", "durable", "slow", "unpinned"):
                self.shared(setting, order, [row for row in rows if row.setting == setting], check=number == 0)
            for row in rows:
                if row.setting is None:
                    self.row(row, {kind: kind for kind in order})

    def shared(self, setting, order, rows, check):
        """Rows that share a pair of servers, both filled with the keys that are asked for."""
        if not rows:
            return
        with contextlib.ExitStack() as stack:
            servers = {}
            try:
                servers |= {kind: stack.enter_context(self.server(setting, kind)) for kind in order}
                if check:
                    self.compare(rows, servers)
                for server in servers.values():
                    # The keys that GET asks for.
                    load.fill(self.tools, server, 1_000 if self.sizes.smoke else load.KEYS, "SET", "key:{k}", "{x}")
            except (Failed, OSError) as failed:
                self.failures |= {row.name: str(failed) for row in rows}
            for row in rows:
                self.row(row, servers)

    @contextlib.contextmanager
    def server(self, setting, kind):
        durable, slow, pinned = setting != "memory", setting == "slow", setting != "unpinned"
        with Server(self.tools, kind, durable, slow, pinned) as server:
            if setting == "slow":
                require_slow(server)
            yield server

    def compare(self, rows, servers):
        """Both servers have to answer alike before their times are worth anything."""
        for command in dict.fromkeys(row.command for row in rows if row.command):
            hashes = {kind: measures.results_of(server, *COMMANDS[command]) for kind, server in servers.items()}
            if len(set(hashes.values())) > 1:
                alike = [row.name for row in rows if row.command == command]
                self.failures |= dict.fromkeys(alike, f"the servers answer differently: {hashes}")
        for server in servers.values():
            server.call("FLUSHALL")

    def row(self, row, servers):
        began_s = time.monotonic()
        try:
            if row.name not in self.failures:
                numbers = {kind: row.measure(self.sizes, self.tools, server) for kind, server in servers.items()}
                for kind, found in numbers.items():
                    self.results[row.name][kind].append(found)
        except (Failed, OSError) as failed:
            self.failures[row.name] = str(failed)
        took_s = time.monotonic() - began_s
        self.seconds[row.section] = self.seconds.get(row.section, 0) + took_s
        self.done += 1
        self.progress(row.name)

    def progress(self, name):
        so_far_s = time.monotonic() - self.began_s
        left_s = so_far_s / self.done * (self.planned - self.done)
        text = f"{self.done} of {self.planned}, {so_far_s:.0f} s, about {left_s:.0f} s left: {name}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif self.done % 25 == 0:
            print(text, file=sys.stderr, flush=True)


def require_slow(server):
    """A server whose libraries pass the shim by would be measured with a fast disk: not one write may be faster."""
    for _ in range(SLOW_WRITES):
        began_s = time.monotonic()
        server.call("SET", "slow", "1")
        if time.monotonic() - began_s < SLOW_S:
            raise Failed(f"{server.kind} does not see the slow fsync")


def options_of(quick):
    parser = argparse.ArgumentParser(
        description="Compares Sessile with redis-server in alternated runs and prints Markdown tables of ratios."
        + (" This is the short selection; bench/run has all rows." if quick else ""),
    )
    parser.add_argument("--bin", default=str(ROOT / "target/release/sessile"), help="Sessile's binary")
    parser.add_argument("--redis", default=shutil.which("redis-server"), help="the redis-server to compare with")
    parser.add_argument("--rounds", type=int, default=3 if quick else 7, help="how often each row is measured")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual times and numbers of keys")
    parser.add_argument("--only", default="", help="rows whose name or section contains one of these words, with commas")
    parser.add_argument("--list", action="store_true", help="only name the rows")
    parser.add_argument("--smoke", action="store_true", help="tiny inputs: shows that each row can be measured, no more")
    parser.add_argument("--write", metavar="FILE", help="also write the result as a document")
    return parser.parse_args()


def chosen_rows(options, quick):
    rows = [row for row in ROWS if row.name in QUICK] if quick else ROWS
    words = [word.strip().lower() for word in options.only.split(",")]
    rows = [row for row in rows if any(word in f"{row.section}: {row.name}".lower() for word in words)]
    if not rows:
        raise SystemExit(f"no row is called {options.only}: see --list")
    return rows


def require_tools(options):
    for tool in (options.bin, options.redis, *map(shutil.which, ("redis-benchmark", "taskset", "cc", "node", "npm"))):
        if not tool or not os.path.exists(tool):
            raise SystemExit(f"{tool or 'redis-server, redis-benchmark, taskset, cc, node or npm'} is missing")
    if len(CORES) < 2 and not options.smoke:
        raise SystemExit("two cores are needed: one for the server, one for the client")


def main(quick=False):
    options = options_of(quick)
    rows = chosen_rows(options, quick)
    if options.list:
        print("\n".join(f"{row.section}: {row.name}" for row in rows))
        return 0
    require_tools(options)
    # What is done between two measurements is not to disturb the server either.
    os.sched_setaffinity(0, {CLIENT_CORE})
    if any("BullMQ" in row.name for row in rows):
        load.install_libraries()
    sizes = measures.Sizes.smallest() if options.smoke else measures.Sizes.scaled(options.scale)
    facts = {"load": os.getloadavg()[0], "rounds": 1 if options.smoke else options.rounds}
    facts["keys"] = f"{sizes.keys_heavy:,} keys in restart and snapshot, {sizes.keys_memory:,} in memory"
    facts["binaries"] = options.bin, options.redis
    # As one would repeat it: where the binary lay does not matter.
    told = {"rounds": options.rounds, "scale": options.scale, "only": options.only}
    words = [f"--{name} {value}" for name, value in told.items() if value not in ("", 1.0)]
    facts["command"] = " ".join([f"bench/{'quick' if quick else 'run'}", *words])
    with tempfile.TemporaryDirectory(prefix="sessile-bench-") as folder:
        run = Run(rows, sizes, Tools(options.bin, options.redis, folder), facts["rounds"])
        run.all()
    facts["seconds"] = time.monotonic() - run.began_s
    print(file=sys.stderr)
    return conclude(options, run, facts)


def conclude(options, run, facts):
    for section, seconds in run.seconds.items():
        print(f"{seconds:6.0f} s  {section}", file=sys.stderr)
    for name, why in run.failures.items():
        print(f"{name}: {why}", file=sys.stderr)
    if options.smoke:
        passed = sum(row.name not in run.failures for row in run.rows)
        print(f"{passed} passed, {len(run.failures)} failed: rows measured on both servers, with the same results")
    else:
        text = table.report(run.rows, run.results, run.failures, facts)
        print(text)
        if options.write:
            with open(options.write, "w", encoding="utf-8") as file:
                file.write(table.HEAD + text)
    return 1 if run.failures else 0

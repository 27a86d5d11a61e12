"""The example commands of the stacks' pages, by Debian's redis-cli, each with what its page promises of it."""

import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from containers import SERVER_ADDRESS, Container, until
from shell import DEBIAN_CLI
from stacks import ENTRYPOINT, SECRETS

# One of elastauth's keys: base64 of a user's name, escaped.
KEY = "elastauth-am9obi5kb2U%3D"
PROMPT = "127.0.0.1:6379> "


def fields(text):
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def elastauth(checks, shell):
    """Monitoring, troubleshooting and backup of the cache."""
    checks.heading("example commands of elastauth's page")
    with Container(shell.network, shell.image, [ENTRYPOINT, "redis-server", "--appendonly", "yes"]) as server:
        server.wait_ready()
        shell.oracle(["set", KEY, "credentials", "ex", "3600"])
        shell.oracle(["set", "elastauth-key", "credentials", "ex", "3600"])
        shell.oracle(["set", "unrelated", "1"])
        info(checks, shell)
        reach(checks, shell)
        keys(checks, shell)
        slow_log(checks, shell)
        for word in ("monitor", "MONITOR"):
            monitor(checks, shell, word)
        backup(checks, shell, server)


def info(checks, shell):
    plain = shell.oracle(["info"]).out
    for section in ("Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Keyspace"):
        checks.that(f"info has {section}", f"# {section}\n" in plain.replace("\r", ""), plain[:200])
    for words in (["info", "memory"], ["INFO", "MEMORY"]):
        said = fields(shell.oracle(words).out)
        checks.that(f"{' '.join(words)} tells the memory", int(said.get("used_memory", 0)) > 0, said)
        checks.that(f"{' '.join(words)} tells memory only", "redis_version" not in said)
    keyspace = shell.oracle(["info", "keyspace"]).out.replace("\r", "")
    checks.that("info keyspace counts", keyspace.startswith("# Keyspace\ndb0:keys=3,expires=2,avg_ttl="), keyspace)


def reach(checks, shell):
    checks.equal("redis-cli -h redis-host -p 6379 ping",
                 shell.cli(["-h", "redis-host", "-p", "6379", "ping"]).out, "PONG\n")
    # `telnet redis-host 6379`, and a person who types.
    typed = "exec 3<>/dev/tcp/redis-host/6379; printf 'PING\\r\\n' >&3; head -1 <&3"
    checks.equal("telnet redis-host 6379", shell.run(shell.network.client, ["bash", "-c", typed]).out, "+PONG\n")


def keys(checks, shell):
    checks.equal('KEYS "elastauth-*"', sorted(shell.oracle(["KEYS", "elastauth-*"]).out.split()),
                 sorted([KEY, "elastauth-key"]))
    left_s = int(shell.oracle(["TTL", "elastauth-key"]).out)
    checks.that('TTL "elastauth-key"', 3500 < left_s <= 3600, left_s)
    checks.equal('DEL "elastauth-key"', shell.oracle(["DEL", "elastauth-key"]).out, "1\n")
    checks.equal("TTL of a deleted key", shell.oracle(["TTL", "elastauth-key"]).out, "-2\n")
    checks.equal("DEL of a deleted key", shell.oracle(["DEL", "elastauth-key"]).out, "0\n")


def slow_log(checks, shell):
    shell.oracle(["config", "set", "slowlog-log-slower-than", "0"])
    for number in range(12):
        shell.oracle(["set", "slow", str(number)])
    # At a terminal, where redis-cli shows the structure.
    shown = shell.oracle(["--no-raw", "SLOWLOG", "GET", "10"]).out
    entries = re.findall(r"^ *(\d+)\) 1\) \(integer\) \d+$", shown, re.M)
    checks.equal("SLOWLOG GET 10", entries, [str(n) for n in range(1, 11)])
    checks.that("SLOWLOG names the command", '1) "set"' in shown and '2) "slow"' in shown, shown)
    shell.oracle(["config", "set", "slowlog-log-slower-than", "10000"])


def monitor(checks, shell, word):
    with shell.terminal(shell.network.server, [DEBIAN_CLI, word]) as screen:
        screen.await_text("OK")
        shell.cli(["-h", SERVER_ADDRESS, "set", "seen", word])
        screen.await_text(f'"set" "seen" "{word}"')
        line = next(line for line in screen.seen.splitlines() if '"seen"' in line)
        checks.that(f"redis-cli {word}", re.fullmatch(r'\d+\.\d{6} \[0 10\.0\.0\.2:\d+\] "set" "seen" "\w+"', line), line)
        screen.type("\x03")
        until(screen.ended, "the end of MONITOR by Ctrl+C")


def backup(checks, shell, server):
    before = int(shell.oracle(["LASTSAVE"]).out)
    checks.that("LASTSAVE of a server that has not saved is its start", abs(time.time() - before) < 600, before)
    checks.equal("BGSAVE", shell.oracle(["BGSAVE"]).out, "Background saving started\n")
    until(lambda: fields(shell.oracle(["info", "persistence"]).out)["rdb_bgsave_in_progress"] == "0", "the end of BGSAVE")
    checks.equal("status of BGSAVE", fields(shell.oracle(["info", "persistence"]).out)["rdb_last_bgsave_status"], "ok")
    checks.that("LASTSAVE after BGSAVE", int(shell.oracle(["LASTSAVE"]).out) >= before)
    # The copy is worth something if Redis loads it.
    copy = Path(tempfile.mkdtemp(prefix="sessile-stacks-backup-"))
    try:
        shutil.copy(server.volume / "dump.rdb", copy / "dump.rdb")
        check = subprocess.run(["redis-check-rdb", copy / "dump.rdb"], capture_output=True, text=True, check=False)
        checks.that("the copied dump.rdb is whole", "RDB looks OK!" in check.stdout, check.stdout)
        checks.that("and has the keys", "[info] 4 keys read" in check.stdout, check.stdout)
    finally:
        shutil.rmtree(copy)


def authentik(checks, shell):
    """Troubleshooting: `docker compose exec authentik-redis redis-cli`, and what is typed there."""
    checks.heading("example commands of authentik's page")
    with Container(shell.network, shell.image, [ENTRYPOINT, "redis-server"]) as server:
        server.wait_ready()
        shell.oracle(["set", "a", "1"])
        for program in (DEBIAN_CLI, "redis-cli"):
            with shell.terminal(shell.network.server, [program]) as screen:
                typed(checks, shell, screen, program)
            with shell.terminal(shell.network.server, [program]) as screen:
                screen.await_text(PROMPT)
                screen.type("QUIT\r")
                until(screen.ended, "the end by QUIT")
                checks.equal(f"{program}: QUIT", screen.code, 0)
        both = [shell.inside([program], "PING\nDBSIZE\nQUIT\n").out for program in (DEBIAN_CLI, "redis-cli")]
        checks.equal("the same from a pipe", both[0], "PONG\n1\n")
        checks.equal("the same from a pipe by the image's redis-cli", both[1], both[0])


def typed(checks, shell, screen, program):
    screen.await_text(PROMPT)
    for line, expected in (("PING", "PONG"), ("INFO", "redis_version:"), ("DBSIZE", "(integer) 1"), ("MONITOR", "OK")):
        screen.type(f"{line}\r")
        screen.await_text(expected)
        checks.that(f"{program}: {line}", True)
    shell.oracle(["get", "a"])
    screen.await_text('"get" "a"')
    checks.that(f"{program}: MONITOR shows commands", True)
    # 7.0 ends, later versions go back to the prompt.
    screen.type("\x03")
    until(lambda: screen.ended() or PROMPT in screen.read(), "the end of MONITOR by Ctrl+C")


def cloudentity(checks, shell):
    """Its errors, when search is wanted of a server that has none, and its password."""
    checks.heading("errors and password of Cloudentity's page")
    password = SECRETS["REDIS_PASSWORD"]
    with Container(shell.network, shell.image, [ENTRYPOINT, "redis-server", "--requirepass", password]) as server:
        server.wait_ready()
        auth = ["--no-auth-warning", "-h", SERVER_ADDRESS, "-a", password]
        checks.equal("INFO with the password", "redis_version" in fields(shell.cli([*auth, "info"]).out), True)
        checks.equal("FT.INFO", shell.cli([*auth, "FT.INFO", "default-index"]).out.strip(),
                     "ERR unknown command 'FT.INFO', with args beginning with: 'default-index'")
    with Container(shell.network, shell.image, [ENTRYPOINT, "--loadmodule", "/redismodules/search.so"]) as server:
        checks.that("a module that is not there stops the start", server.process.wait(timeout=20) != 0)
        checks.that("and the log names it", "module" in server.log.read_text().lower(), server.log.read_text())


def infisical(checks, shell):
    """The forms of REDIS_URL."""
    checks.heading("addresses of Infisical's page")
    urls = [
        (None, "redis://localhost:6379"),
        ("password", "redis://default:password@localhost:6379"),
        # redis-cli takes the empty name for a user's, and says so; clients such as ioredis do not.
        ("password", "redis://:password@localhost:6379"),
    ]
    for password, url in urls:
        flags = ["--requirepass", password] if password else []
        with Container(shell.network, shell.image, [ENTRYPOINT, "redis-server", *flags]) as server:
            server.wait_ready()
            own, debian = (shell.inside([program, "-u", url, "--no-auth-warning", "ping"]) for program in ("redis-cli", DEBIAN_CLI))
            checks.equal(f"redis-cli -u {url} ping by the image's redis-cli", own, debian)
            if ":password" not in url or "default" in url:
                checks.equal(f"redis-cli -u {url} ping", debian.out, "PONG\n")

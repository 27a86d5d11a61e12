"""Each redis.conf of the stacks' pages: it starts, and does what its page wants of it."""

import re

from check import NO_PASSWORD
from containers import OTHER_ADDRESS, SERVER_ADDRESS, Container
from stacks import ENTRYPOINT

TRAILING_COMMENT = re.compile(r"(?<=\S)\s+#.*$")
PAGE_PASSWORD = "your-strong-password"


def one_conf(checks, shell, conf):
    checks.heading(f"conf {conf.stem}")
    text = conf.read_text()
    commented = [line for line in text.splitlines() if not line.startswith("#") and TRAILING_COMMENT.search(line)]
    if commented and shell.control:
        refused(checks, shell, text, commented)
        text = "\n".join(TRAILING_COMMENT.sub("", line) for line in text.splitlines()) + "\n"
    with Container(shell.network, shell.image, command(shell, text)) as server:
        server.wait_ready()
        if commented and not shell.control:
            log = server.log.read_text()
            for line in commented:
                remark = TRAILING_COMMENT.search(line)[0].strip()
                checks.equal(f"log lines about {remark!r}", sum(remark in entry for entry in log.splitlines()), 1)
        OUTCOMES[conf.stem](checks, shell, server)


def command(shell, text):
    """The entrypoint with the file as its first argument."""
    file = shell.image.path / "redis.conf"
    file.write_text(text)
    return [ENTRYPOINT, str(file)]


def refused(checks, shell, text, commented):
    """Redis takes no comment behind a value: the page's own lines do not start it."""
    with Container(shell.network, shell.image, command(shell, text)) as server:
        code = server.process.wait(timeout=20)
        checks.that("redis-server refuses a comment behind a value", code != 0, code)
        print(f"    redis-server refuses: {commented[0]}")
        print(f"        {server.last_line()}")


def asked(checks, shell, settings, auth=()):
    for name, value in settings.items():
        checks.equal(f"CONFIG GET {name}", shell.oracle([*auth, "config", "get", name]).out, f"{name}\n{value}\n")


def memory(checks, shell, _):
    asked(checks, shell, {"maxmemory": 256 << 20, "maxmemory-policy": "allkeys-lru"})


def append_only(checks, shell, server):
    asked(checks, shell, {"appendonly": "yes", "appendfsync": "everysec"})
    shell.oracle(["set", "session", "alice"])
    server.kill()
    server.start()
    server.wait_ready()
    checks.equal("GET after kill -9", shell.oracle(["get", "session"]).out, "alice\n")


def save_points(checks, shell, server):
    asked(checks, shell, {"save": "900 1 300 10 60 10000"})
    shell.oracle(["set", "session", "alice"])
    checks.equal("exit code after SIGTERM", server.stop(), 0)
    server.start()
    server.wait_ready()
    checks.equal("GET after a clean stop", shell.oracle(["get", "session"]).out, "alice\n")


def password(checks, shell, _):
    checks.equal("PING", shell.cli(["-h", SERVER_ADDRESS, "ping"]).out, NO_PASSWORD)
    page = shell.cli(["-h", "redis-host", "-p", "6379", "-a", PAGE_PASSWORD, "ping"])
    checks.equal("redis-cli -h redis-host -p 6379 -a your-password ping", page.out, "PONG\n")
    own = shell.inside(["redis-cli", "-h", "redis-host", "-p", "6379", "-a", PAGE_PASSWORD, "ping"])
    checks.equal("the same by the image's redis-cli", own, page)


def network(checks, shell, _):
    checks.equal("PING at the loopback address", shell.oracle(["ping"]).out, "PONG\n")
    checks.equal("PING at the other bound address", shell.cli(["-h", SERVER_ADDRESS, "ping"]).out, "PONG\n")
    unbound = shell.cli(["-h", OTHER_ADDRESS, "ping"])
    checks.equal("PING at an address that is not bound", (unbound.code, unbound.err),
                 (1, f"Could not connect to Redis at {OTHER_ADDRESS}:6379: Connection refused\n"))
    for name in ("FLUSHDB", "FLUSHALL"):
        checks.equal(name, shell.oracle([name]).out.strip(), f"ERR unknown command '{name}', with args beginning with:")
    checks.equal("CONFIG", shell.oracle(["CONFIG", "GET", "save"]).out.strip(),
                 "ERR unknown command 'CONFIG', with args beginning with: 'GET' 'save'")


def infisical(checks, shell, server):
    asked(checks, shell, {"maxmemory-policy": "noeviction"})
    append_only(checks, shell, server)


OUTCOMES = {
    "elastauth-memory": memory,
    "elastauth-append-only": append_only,
    "elastauth-save-points": save_points,
    "elastauth-password": password,
    "elastauth-network": network,
    "infisical": infisical,
}

"""The image: built by buildah from scratch, run in a network namespace, as orchestrators run it."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from containers import LIMIT_S, SERVER_ADDRESS, until
from shell import DEBIAN_CLI
from stacks import Stack, stacks

USER, GROUP = 999, 1000
DENIED = "DENIED Redis is running in protected mode"


class Buildah:
    """Buildah with a storage of its own: no daemon, no registry, nothing left on the machine."""

    def __init__(self, directory):
        self.words = ["buildah", "--storage-driver", "vfs", "--root", f"{directory}/root", "--runroot", f"{directory}/run"]

    def __call__(self, *words):
        done = subprocess.run([*self.words, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"buildah {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


class Running:
    """A server in a container of the image."""

    def __init__(self, buildah, network, command, options=(), volume=None):
        self.buildah, self.network, self.command, self.options = buildah, network, command, options
        self.container = buildah("from", "sessile")
        if volume is not None:
            # Buildah would put a fresh volume of its own in the place of ours.
            buildah("config", "--volume", "/data-", self.container)
            self.options = [*options, "-v", f"{volume}:/data"]
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.buildah("rm", self.container)

    def words(self, command, options=()):
        run = [*self.buildah.words, "run", "--isolation", "chroot", *options, self.container, "--", *command]
        return self.network.on(self.network.server, run)

    def start(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.words(self.command, self.options), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        until(lambda: self.ended() or "ready to accept" in self.output(), "a ready server")
        assert not self.ended(), f"{self.command} ended: {self.output()}"
        self.pid = int(self.fields("server")["process_id"])

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def ended(self):
        return self.process.poll() is not None

    def stop(self):
        """What `docker stop` does; returns the exit code."""
        if not self.ended():
            os.kill(self.pid, 15)
        return self.process.wait(timeout=LIMIT_S)

    def exec(self, *command):
        """A command in the container, as health checks are."""
        return subprocess.run(self.words(command, ["-e", "HOME=/tmp"]), capture_output=True, text=True, timeout=LIMIT_S, check=False)

    def cli(self, host, *args):
        words = self.network.on(host, [DEBIAN_CLI, *args])
        return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    def fields(self, section):
        text = self.cli(self.network.server, "--no-auth-warning", *self.auth(), "info", section).stdout
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def auth(self):
        password = Stack("", [str(word) for word in self.command], ["-"]).password
        return ["-a", password] if password else []

    def owner(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        rows = dict(line.split(":", 1) for line in status.splitlines())
        return int(rows["Uid"].split()[0]), int(rows["Gid"].split()[0])


def build(checks, buildah, context):
    checks.heading("image")
    buildah("bud", "--isolation", "chroot", "-t", "sessile", str(context))
    container = buildah("from", "sessile")
    config = json.loads(buildah("inspect", "--type", "container", container))["OCIv1"]["config"]
    buildah("rm", container)
    checks.equal("entrypoint", config["Entrypoint"], ["docker-entrypoint.sh"])
    checks.equal("command", config["Cmd"], ["redis-server"])
    checks.equal("volume", list(config["Volumes"]), ["/data"])
    checks.equal("working directory", config["WorkingDir"], "/data")
    checks.equal("port", list(config["ExposedPorts"]), ["6379/tcp"])
    return config["Entrypoint"], config["Cmd"]


def served(checks, server, what):
    """It serves, as nobody that matters, to another host too."""
    checks.equal(f"{what}: who the server is", server.owner(), (USER, GROUP))
    checks.equal(f"{what}: PING from another host",
                 server.cli(server.network.client, "-h", SERVER_ADDRESS, *server.auth(), "ping").stdout, "PONG\n")


def entrypoint(checks, buildah, network, image):
    """Each form of a command line, and what becomes of it."""
    checks.heading("entrypoint")
    lead, default = image
    forms = {
        "the image's own command": [*lead, *default],
        "flags": [*lead, "--appendonly", "yes"],
        "a configuration file": [*lead, "/etc/try.conf", "--loglevel", "notice"],
        "a command that replaces the entrypoint": ["redis-server", "--appendonly", "yes"],
        "sessile's own name": ["sessile", "server", "--bind", "* -::*", "--dir", "/data"],
    }
    with tempfile.TemporaryDirectory() as directory:
        conf = Path(directory, "try.conf")
        conf.write_text("maxmemory 300mb\n")
        conf.chmod(0o644)
        for what, command in forms.items():
            with Running(buildah, network, command, ["-v", f"{conf}:/etc/try.conf"]) as server:
                served(checks, server, what)
                if "/etc/try.conf" in command:
                    checks.equal("the file is read", server.fields("memory")["maxmemory"], str(300 << 20))
                checks.equal(f"{what}: exit code of a stop", server.stop(), 0)
    # What Kubernetes puts into the environment where a service is called `sessile`.
    linked = ["SESSILE_SERVICE_HOST=10.0.0.9", "SESSILE_PORT=tcp://10.0.0.9:6379", "SESSILE_PORT_6379_TCP_ADDR=10.0.0.9"]
    options = [word for variable in linked for word in ("-e", variable)]
    with Running(buildah, network, [*lead, *default], options) as server:
        served(checks, server, "variables of a service")
        commands(checks, server, lead)


def commands(checks, server, lead):
    """Commands beside the server, and those that are not it."""
    health = server.exec("redis-cli", "ping")
    checks.equal("health check CMD", (health.returncode, health.stdout), (0, "PONG\n"))
    shell = server.exec("/bin/sh", "-c", "redis-cli ping | grep PONG || exit 1")
    checks.equal("health check CMD-SHELL", (shell.returncode, shell.stdout), (0, "PONG\n"))
    checks.equal("entrypoint with another command", server.exec(*lead, "sh", "-c", "echo $((1 + 1))").stdout, "2\n")
    checks.that("redis-server --version", "v=7.2.4" in server.exec(*lead, "redis-server", "--version").stdout)
    checks.that("sessile --version", "sessile" in server.exec("sessile", "--version").stdout)
    modes = server.exec("sh", "-c", "stat -c %a:%U /data/sessile-journal; stat -c %a /data/sessile-journal/* | sort -u").stdout
    checks.equal("modes of the journal", modes.split(), ["700:sessile", "600"])


def protected_mode(checks, buildah, network, image):
    checks.heading("protected mode")
    with Running(buildah, network, [*image[0], "--protected-mode", "yes"]) as server:
        answer = server.cli(network.client, "-h", SERVER_ADDRESS, "ping")
        checks.that("a flag is above the image's default", DENIED in answer.stdout + answer.stderr, answer)


def volumes(checks, buildah, network, image):
    """Volumes as orchestrators hand them over, and as the official image left them."""
    checks.heading("volumes")
    with tempfile.TemporaryDirectory() as directory:
        volume = Path(directory, "of-root")
        volume.mkdir(mode=0o755)
        with Running(buildah, network, ["redis-server"], volume=volume) as server:
            served(checks, server, "a volume of root's")
            server.cli(network.server, "set", "session", "alice")
            os.kill(server.pid, 9)
            server.process.wait(timeout=LIMIT_S)
            server.start()
            checks.equal("GET after kill -9", server.cli(network.server, "get", "session").stdout, "alice\n")

        volume = Path(directory, "of-redis")
        volume.mkdir(mode=0o755)
        save(network, volume)
        with Running(buildah, network, [*image[0], *image[1]], volume=volume) as server:
            checks.equal("GET of what Redis saved", server.cli(network.server, "get", "session").stdout, "bob\n")

        volume = Path(directory, "of-another")
        volume.mkdir(mode=0o755)
        os.chown(volume, 1234, 1234)
        with Running(buildah, network, ["redis-server"], ["--user", "1234:1234"], volume) as server:
            checks.equal("`user: 1234:1234` is kept", server.owner(), (1234, 1234))


def save(network, volume):
    """Redis' own server leaves a dump.rdb in the volume, owned as the official image would."""
    words = ["redis-server", "--dir", str(volume), "--save", "900 1"]
    server = subprocess.Popen(network.on(network.server, words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        cli = network.on(network.server, [DEBIAN_CLI])
        until(lambda: subprocess.run([*cli, "ping"], capture_output=True, check=False).stdout == b"PONG\n", "Redis")
        subprocess.run([*cli, "set", "session", "bob"], check=True, capture_output=True)
        server.terminate()
        server.wait(timeout=LIMIT_S)
    finally:
        server.kill()
        server.wait()
    for path in (volume, volume / "dump.rdb"):
        os.chown(path, USER, GROUP)


def every_stack(checks, buildah, network, folder):
    """Each file of packaging/compose: its command, and its health check."""
    for stack in stacks(folder):
        checks.heading(f"image in stack {stack.name}")
        with Running(buildah, network, stack.command) as server:
            served(checks, server, stack.name)
            health = server.exec(*stack.health)
            checks.equal("health check", (health.returncode, health.stdout), (0, "PONG\n"))


def check(checks, network, context, compose):
    directory = tempfile.mkdtemp(prefix="sessile-buildah-")
    try:
        buildah = Buildah(directory)
        image = build(checks, buildah, context)
        checks.guarded(entrypoint, buildah, network, image)
        checks.guarded(protected_mode, buildah, network, image)
        checks.guarded(volumes, buildah, network, image)
        checks.guarded(every_stack, buildah, network, compose)
    finally:
        shutil.rmtree(directory)

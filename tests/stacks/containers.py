"""Containers without a container engine: a pair of network namespaces joined by a cable, a volume, and a process in it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_S = 20
POLL_S = 0.02
# As in a stack's own network: the server's host has the address that elastauth's page binds, and one that it does not.
SERVER_ADDRESS = "10.0.0.1"
OTHER_ADDRESS = "10.0.0.3"
CLIENT_ADDRESS = "10.0.0.2"
# The names by which the stacks' pages call the server.
HOSTS = f"127.0.0.1 localhost\n{SERVER_ADDRESS} redis redis-host shared-redis authentik-redis\n"
# What the server runs as: never as root, as in the image.
UID = GID = 65534


def until(condition, what):
    """Waits for the condition; says what never came."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {LIMIT_S} s")
        time.sleep(POLL_S)


class Network:
    """Two hosts, `server` and `client`, each with a loopback of its own; nothing of it is seen by the machine's network."""

    def __init__(self):
        if os.geteuid() != 0:
            sys.exit("tests/stacks makes network namespaces, which needs root: run it as root, or with sudo")
        tag = f"sessile-{os.getpid()}"
        self.server, self.client = f"{tag}-server", f"{tag}-client"
        self.made = []

    def __enter__(self):
        try:
            for name in (self.server, self.client):
                ip("netns", "add", name)
                self.made.append(name)
                # `ip netns exec` puts this file in the place of /etc/hosts.
                etc = Path("/etc/netns", name)
                etc.mkdir(parents=True)
                (etc / "hosts").write_text(HOSTS)
                ip("-n", name, "link", "set", "lo", "up")
            ip("-n", self.server, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.client)
            addresses = [(self.server, SERVER_ADDRESS), (self.server, OTHER_ADDRESS), (self.client, CLIENT_ADDRESS)]
            for name, address in addresses:
                ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            for name in (self.server, self.client):
                ip("-n", name, "link", "set", "eth0", "up")
        except subprocess.CalledProcessError as error:
            self.__exit__()
            sys.exit(f"this machine does not let root make network namespaces: {error.stderr.strip()}")
        return self

    def __exit__(self, *_):
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False)
            shutil.rmtree(Path("/etc/netns", name), ignore_errors=True)
        self.made = []

    def on(self, host, command):
        """The command line that runs the command on that host."""
        return ["ip", "netns", "exec", host, *command]


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Container:
    """One server on the network's server host, on a volume that outlives it, with the image's entrypoint and environment."""

    def __init__(self, network, image, command):
        self.network, self.image, self.command = network, image, command
        self.volume = Path(tempfile.mkdtemp(prefix="sessile-stacks-"))
        os.chown(self.volume, UID, GID)
        self.log = self.volume.with_suffix(".log")
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.volume)
        self.log.unlink()

    def start(self):
        words = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", *self.command, *self.image.flags]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.network.on(self.network.server, words), cwd=self.volume, env=self.image.environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def wait_ready(self):
        until(lambda: self.ended() or "eady to accept connections" in self.log.read_text(), "a ready server")
        if self.ended():
            raise RuntimeError(f"{' '.join(self.command)} ended: {self.last_line()}")

    def ended(self):
        return self.process.poll() is not None

    def last_line(self):
        return self.log.read_text().strip().splitlines()[-1]

    def kill(self):
        """`kill -9`: what is not in the volume by now is lost."""
        if not self.ended():
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self):
        """What `docker stop` does; returns the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=LIMIT_S)


class Image:
    """What an image is here: programs by name in a folder, the environment that it sets, and flags that it has built in."""

    def __init__(self, directory, programs, variables, flags):
        self.path, self.variables, self.flags = Path(directory), variables, flags
        self.path.chmod(0o755)
        for name, program in programs.items():
            # Copied, because the user that the server runs as may not reach where the program was built.
            shutil.copy(program, self.path / name)

    def environment(self):
        # The mark by which ./test finds what a suite left behind goes along.
        kept = {name: os.environ[name] for name in ("TEST_RUN_ID",) if name in os.environ}
        return {"PATH": f"{self.path}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.path), **self.variables, **kept}

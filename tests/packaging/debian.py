"""The Debian package, in a booted copy of this machine's system."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BOOT_LIMIT_S = 240
UNIT = """\
[Unit]
After=basic.target dbus.socket
Wants=dbus.socket
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/bash /packaging-test/steps
StandardOutput=truncate:/packaging-test/log
StandardError=inherit
"""


class System:
    """The machine's file system with a layer in memory on top: what is written there is gone afterwards."""

    def __enter__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="sessile-debian-"))
        self.root = self.directory / "root"
        try:
            mount("-t", "tmpfs", "tmpfs", self.directory)
            for name in ("upper", "work", "root"):
                (self.directory / name).mkdir()
            layers = f"lowerdir=/,upperdir={self.directory / 'upper'},workdir={self.directory / 'work'}"
            mount("-t", "overlay", "overlay", "-o", layers, self.root)
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for path in (self.root, self.directory):
            if path.is_mount():
                subprocess.run(["umount", path], check=False)
        self.directory.rmdir()

    def boot(self):
        """Boots it for the test's unit, which powers it off at its end; returns what the console said."""
        words = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network",
                 f"--machine=sessile-{os.getpid()}", "-D", self.root, "systemd.unit=packaging-test.service"]
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=BOOT_LIMIT_S, check=False)
        return done.stdout + done.stderr


def mount(*words):
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"this machine does not let root mount {words[1]}: {done.stderr.strip()}"


def check(checks, package):
    checks.heading("Debian package")
    with System() as system:
        inside = system.root / "packaging-test"
        inside.mkdir()
        shutil.copy(package, inside / "sessile.deb")
        shutil.copy(HERE / "steps", inside / "steps")
        # Images of systems without a service manager forbid packages to start services; this one has one.
        (system.root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
        (system.root / "etc/systemd/system/packaging-test.service").write_text(UNIT)
        console = system.boot()
        log = inside / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        if not lines or lines[-1] != "done":
            print(console[-3000:])
        for line in lines:
            word, _, what = line.partition(" ")
            if word in ("ok", "FAIL"):
                checks.that(what, word == "ok", line)
            elif line != "done":
                print(f"    {line}")
        checks.that("all steps were done", lines and lines[-1] == "done")

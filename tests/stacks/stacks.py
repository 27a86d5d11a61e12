"""What a stack's file says about its server: the command line, the health check, the password."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ENTRYPOINT = "docker-entrypoint.sh"
DEFAULT_COMMAND = ["redis-server"]
# What an operator would put into the stack's environment or secret.
SECRETS = {"REDIS_PASSWORD": "p@ssw0rd!"}


@dataclass
class Stack:
    """One server of one stack."""

    name: str
    command: list
    # Where a stack has no health check of its own, the plainest one.
    health: list = field(default_factory=list)

    def __post_init__(self):
        self.health = self.health or ["redis-cli", *(["-a", self.password] if self.password else []), "ping"]

    @property
    def password(self):
        return self.flag("requirepass")

    def flag(self, name):
        """The value of a flag, or None."""
        words = [*self.command, None]
        return words[words.index(f"--{name}") + 1] if f"--{name}" in words else None

    def flags(self):
        """Every flag with its value, but for the password."""
        names = [word.removeprefix("--") for word in self.command if word.startswith("--")]
        return {name: self.flag(name) for name in names if name != "requirepass"}


def stacks(folder):
    """The stacks of all files in the folder."""
    return [read(path) for path in sorted(Path(folder).glob("*.yml"))]


def read(path):
    document = yaml.safe_load(path.read_text())
    name = path.stem
    if document.get("kind") == "Deployment":
        return kubernetes(name, document["spec"]["template"]["spec"]["containers"][0])
    (service,) = document["services"].values()
    return compose(name, service)


def compose(name, service):
    words = service.get("command", DEFAULT_COMMAND)
    words = shlex.split(filled(words, r"\$\{(\w+)\}")) if isinstance(words, str) else words
    stack = Stack(name, [ENTRYPOINT, *words])
    test = service.get("healthcheck", {}).get("test")
    if test is not None:
        form, *words = (filled(word, r"\$\{(\w+)\}") for word in test)
        stack.health = {"CMD": words, "CMD-SHELL": ["/bin/sh", "-c", *words]}[form]
    return stack


def kubernetes(name, container):
    """Here `command` takes the place of the image's entrypoint."""
    stack = Stack(name, [filled(word, r"\$\((\w+)\)") for word in container["command"]])
    probes = [container[probe]["exec"]["command"] for probe in ("livenessProbe", "readinessProbe") if probe in container]
    if probes:
        assert all(probe == probes[0] for probe in probes), f"{name}: the probes differ"
        stack.health = [filled(word, r"\$\((\w+)\)") for word in probes[0]]
    return stack


def filled(text, reference):
    return re.sub(reference, lambda match: SECRETS[match[1]], text)

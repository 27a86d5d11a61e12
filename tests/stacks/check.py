"""Counting what holds and what does not."""

import sys

# As redis-cli prints it.
NO_PASSWORD = "NOAUTH Authentication required.\n\n"
# Characters of what was seen in place of what was expected.
SHOWN = 400
SIZES = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}


class Checks:
    def __init__(self):
        self.passed = self.failed = 0
        self.where = ""

    def heading(self, text):
        self.where = text
        print(text, flush=True)

    def that(self, what, holds, seen=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"    FAIL {what}: {str(seen)[:SHOWN]}", flush=True)

    def equal(self, what, seen, expected):
        self.that(what, seen == expected, f"{seen!r} is not {expected!r}")

    def settings(self, shell, stack):
        """Every flag of the command line is in force."""
        auth = ["-a", stack.password] if stack.password else []
        for name, value in stack.flags().items():
            number, unit = value[:-2], value[-2:].lower()
            value = str(int(number) * SIZES[unit]) if unit in SIZES else value
            self.equal(f"CONFIG GET {name}", shell.oracle([*auth, "config", "get", name]).out, f"{name}\n{value}\n")

    def guarded(self, part, *args):
        """Runs a part; what breaks it is a failure, and the other parts go on."""
        try:
            part(self, *args)
        except Exception as error:  # noqa: BLE001 - whatever it is, it has to be shown and counted.
            self.that(part.__name__, False, f"{type(error).__name__}: {error}")

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)

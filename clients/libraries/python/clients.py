"""redis-py's two clients behind one face, so that every expectation stands once.

The face is that of `redis.asyncio`. `Threaded` gives it to the client without asyncio: each call runs in a thread, so
that a call that blocks leaves the test's other connections free.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import redis
import redis.asyncio

from server import Server

WAIT_LIMIT_S = 20


class Threaded:
    """A redis-py object whose methods are awaited."""

    #: What asyncio's clients do without waiting.
    IMMEDIATE = {"bitfield", "pipeline", "pubsub", "register_script"}

    def __init__(self, inner) -> None:
        self._inner = inner

    def __getattr__(self, name: str):
        attribute = getattr(self._inner, "close" if name == "aclose" else name)
        if not callable(attribute):
            return attribute
        if name in self.IMMEDIATE:
            return lambda *args, **kwargs: wrapped(attribute(*args, **kwargs))
        if name.endswith("_iter"):
            return lambda *args, **kwargs: iterated(attribute(*args, **kwargs))

        async def call(*args, **kwargs):
            return await asyncio.to_thread(attribute, *args, **kwargs)

        return call


class ThreadedPipeline(Threaded):
    """Queues commands at once and waits for those that asyncio's pipeline waits for."""

    WAITING = {"execute", "watch", "unwatch", "reset", "discard"}

    def __getattr__(self, name: str):
        attribute = getattr(self._inner, name)
        is_immediate = self._inner.watching and not self._inner.explicit_transaction
        if name in self.WAITING or (is_immediate and name != "multi"):
            return super().__getattr__(name)
        return attribute


class ThreadedScript:
    """The object that `register_script` gives."""

    def __init__(self, inner) -> None:
        self._inner = inner
        self.sha = inner.sha

    async def __call__(self, keys=None, args=None):
        return await asyncio.to_thread(self._inner, keys=keys, args=args)


def wrapped(inner):
    """The face for what a client without asyncio made."""
    if isinstance(inner, redis.client.Pipeline):
        return ThreadedPipeline(inner)
    if isinstance(inner, redis.client.PubSub):
        return Threaded(inner)
    if isinstance(inner, redis.commands.core.Script):
        return ThreadedScript(inner)
    return inner


async def iterated(items):
    """An iterator that asks the server, step by step, as an asynchronous one."""
    end = object()
    while (item := await asyncio.to_thread(next, items, end)) is not end:
        yield item


@dataclass
class Context:
    """What a test gets: the server, the variant (client and protocol), and connections that end with the test."""

    server: Server
    kind: str
    protocol: int
    _cleanups: list[Callable[[], Awaitable]] = field(default_factory=list)

    def connect(self, **options):
        """A client of this variant. `legacy_responses=False` gives both protocols' replies one shape."""
        defaults = {"host": "127.0.0.1", "port": self.server.port, "protocol": self.protocol}
        options = {**defaults, "decode_responses": True, "legacy_responses": False, **options}
        if self.kind == "asyncio":
            client = redis.asyncio.Redis(**options)
        else:
            client = Threaded(redis.Redis(**options))
        self.defer(client.aclose)
        return client

    def defer(self, cleanup: Callable[[], Awaitable]) -> None:
        """Runs the clean-up when the test ends, the last one first."""
        self._cleanups.append(cleanup)

    async def clean_up(self) -> None:
        for cleanup in reversed(self._cleanups):
            await cleanup()

    async def blocked(self, client, count: int = 1) -> None:
        """Waits until so many clients are blocked in the server."""

        async def are_blocked():
            return (await client.info("clients"))["blocked_clients"] == count

        await eventually(f"{count} blocked clients", are_blocked)


async def eventually(what: str, probe: Callable[[], Awaitable], limit_s: float = WAIT_LIMIT_S):
    """Polls until the probe gives something true and returns that."""
    deadline = time.monotonic() + limit_s
    while not (value := await probe()):
        assert time.monotonic() < deadline, f"{what}: not within {limit_s} s (last: {value!r})"
        await asyncio.sleep(0.01)
    return value

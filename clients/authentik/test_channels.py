"""authentik's websockets: both layers of channels_redis, between two processes."""

import asyncio
import time

import pytest
from channels.exceptions import ChannelFull

from channels_peer import GROUP, PREFIX, close, make_layer
from server import Server
from support import HERE, WAIT_LIMIT_S, Child

KINDS = ["core", "pubsub"]
PAYLOAD = {"type": "event.update", "text": "\u2603", "bytes": b"\x00\xff", "n": [1, 2.5, None, True]}


async def receive(layer, channel: str, limit_s: float = WAIT_LIMIT_S) -> dict:
    """The next message of a channel; fails after limit_s."""
    return await asyncio.wait_for(layer.receive(channel), limit_s)


async def subscribed(server: Server, *channels: str) -> None:
    """Waits until the server knows the subscriptions: the pub/sub layer does not wait for them."""
    deadline = time.monotonic() + WAIT_LIMIT_S
    with server.client(decode_responses=True) as client:
        while not set(channels) <= set(client.pubsub_channels()):
            assert time.monotonic() < deadline, f"no subscription to {channels}"
            await asyncio.sleep(0.01)


async def echoes(server: Server, kind: str) -> None:
    """A whole conversation with the other process."""
    layer = make_layer(kind, server.url)
    parent = await layer.new_channel()
    if kind == "pubsub":
        await subscribed(server, parent)
    peer = Child(server, f"channels-{kind}", [str(HERE / "channels_peer.py"), kind, parent])
    try:
        theirs = (await receive(layer, parent))["channel"]
        group = f"{PREFIX}__group__{GROUP}"
        if kind == "pubsub":
            await subscribed(server, theirs, group)
        await layer.send(theirs, PAYLOAD)
        assert await receive(layer, parent) == {"type": "echo", "of": PAYLOAD, "process": peer.process.pid}

        # A group reaches both processes: mine hears it directly and as an echo.
        mine = await layer.new_channel()
        await layer.group_add(GROUP, mine)
        if kind == "pubsub":
            await subscribed(server, mine)
            # The group subscription of this process travels on the same connection before this one.
            await layer.group_add("group_marker", mine)
            await subscribed(server, f"{PREFIX}__group__group_marker")
        await layer.group_send(GROUP, {"type": "group", "n": 1})
        assert await receive(layer, mine) == {"type": "group", "n": 1}
        assert (await receive(layer, parent))["of"] == {"type": "group", "n": 1}

        # Messages keep their order and none is lost.
        for number in range(80):
            await layer.send(theirs, {"type": "many", "n": number})
        assert [(await receive(layer, parent))["of"]["n"] for _ in range(80)] == list(range(80))

        # A channel that left hears nothing more; the other process still does.
        await layer.group_discard(GROUP, mine)
        await layer.group_send(GROUP, {"type": "group", "n": 2})
        assert (await receive(layer, parent))["of"] == {"type": "group", "n": 2}
        with pytest.raises(asyncio.TimeoutError):
            await receive(layer, mine, 0.2)
        await layer.send(theirs, {"type": "stop"})
        assert await receive(layer, parent) == {"type": "left"}
        assert await asyncio.to_thread(peer.process.wait, WAIT_LIMIT_S) == 0, peer.text()
    finally:
        peer.stop()
        await close(layer, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes(flushed: Server, kind: str):
    asyncio.run(echoes(flushed, kind))


def test_pubsub_layer_unsubscribes(flushed: Server):
    async def program():
        layer = make_layer("pubsub", flushed.url)
        channels = [await layer.new_channel() for _ in range(30)]
        for channel in channels:
            await layer.group_add(GROUP, channel)
        await subscribed(flushed, *channels, f"{PREFIX}__group__{GROUP}")
        await layer.group_send(GROUP, {"type": "all"})
        for channel in channels:
            assert await receive(layer, channel) == {"type": "all"}
            # A cancelled receive is how this layer learns that a consumer has gone.
            with pytest.raises(asyncio.TimeoutError):
                await receive(layer, channel, 0.005)
        for channel in channels:
            await layer.group_discard(GROUP, channel)
        deadline = time.monotonic() + WAIT_LIMIT_S
        with flushed.client() as client:
            while client.pubsub_channels():
                assert time.monotonic() < deadline, "subscriptions stay behind"
                await asyncio.sleep(0.01)
        await close(layer, "pubsub")

    asyncio.run(program())


def test_pubsub_layer_reconnects_after_kill():
    server = Server()

    async def program():
        layer = make_layer("pubsub", server.url)
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
        await subscribed(server, channel, f"{PREFIX}__group__{GROUP}")
        server.kill()
        server.start()
        await subscribed(server, channel, f"{PREFIX}__group__{GROUP}")
        await layer.group_send(GROUP, {"type": "after"})
        assert await receive(layer, channel) == {"type": "after"}
        await close(layer, "pubsub")

    try:
        server.start()
        asyncio.run(program())
    finally:
        server.close()


def test_core_layer_expiry_and_capacity(flushed: Server):
    async def program():
        layer = make_layer("core", flushed.url, expiry=1, capacity=3)
        with flushed.client(decode_responses=True) as client:
            for number in range(3):
                await layer.send("worker", {"type": "n", "n": number})
            with pytest.raises(ChannelFull):
                await layer.send("worker", {"type": "n", "n": 3})
            assert 0 < client.pttl(PREFIX + "worker") <= 1000
            assert client.zcard(PREFIX + "worker") == 3
            deadline = time.monotonic() + WAIT_LIMIT_S
            while client.exists(PREFIX + "worker"):
                assert time.monotonic() < deadline, "the channel does not expire"
                await asyncio.sleep(0.02)
        await layer.send("worker", {"type": "fresh"})
        assert await receive(layer, "worker") == {"type": "fresh"}
        with pytest.raises(asyncio.TimeoutError):
            await receive(layer, "worker", 0.2)
        await close(layer, "core")

    asyncio.run(program())


def test_core_layer_groups(flushed: Server):
    async def program():
        layer = make_layer("core", flushed.url, capacity=2)
        channels = [await layer.new_channel() for _ in range(20)]
        for channel in channels:
            await layer.group_add(GROUP, channel)
        with flushed.client(decode_responses=True) as client:
            group = f"{PREFIX}:group:{GROUP}"
            assert client.zcard(group) == 20 and 86_000 < client.ttl(group) <= 86_400
        # The third message is over the capacity of a process's channel and vanishes silently.
        for number in range(3):
            await layer.group_send(GROUP, {"type": "n", "n": number})
        for channel in channels:
            assert [(await receive(layer, channel))["n"] for _ in range(2)] == [0, 1]
        await layer.flush()
        with flushed.client() as client:
            assert client.keys(PREFIX + "*") == []
        await close(layer, "core")

    asyncio.run(program())


def test_core_layer_messages_survive_kill():
    server = Server()

    async def send():
        layer = make_layer("core", server.url)
        for number in range(60):
            await layer.send("worker", {"type": "n", "n": number})
        await close(layer, "core")

    async def take():
        layer = make_layer("core", server.url)
        assert [(await receive(layer, "worker"))["n"] for _ in range(60)] == list(range(60))
        await close(layer, "core")

    try:
        server.start()
        asyncio.run(send())
        server.kill()
        server.start()
        asyncio.run(take())
    finally:
        server.close()

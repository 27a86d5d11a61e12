"""The other process of the channel layer programs: joins a group and sends back whatever it receives."""

import asyncio
import os
import sys

PREFIX = "authentik_channels_"
GROUP = "group_events"


def make_layer(kind: str, url: str, **options):
    """authentik's layer: `pubsub` in newer releases, `core` in older ones."""
    from channels_redis.core import RedisChannelLayer
    from channels_redis.pubsub import RedisPubSubChannelLayer

    layer = {"core": RedisChannelLayer, "pubsub": RedisPubSubChannelLayer}[kind]
    return layer(hosts=[url], prefix=PREFIX, **options)


async def close(layer, kind: str) -> None:
    """Closes the connections of a layer and leaves its keys alone."""
    if kind == "core":
        await layer.close_pools()
    else:
        await layer._get_layer().flush()


async def serve(kind: str, parent: str) -> None:
    """Echoes until a message of the type `stop` arrives."""
    layer = make_layer(kind, os.environ["AUTHENTIK_REDIS_URL"])
    mine = await layer.new_channel()
    await layer.group_add(GROUP, mine)
    await layer.send(parent, {"type": "ready", "channel": mine})
    while (message := await layer.receive(mine))["type"] != "stop":
        await layer.send(parent, {"type": "echo", "of": message, "process": os.getpid()})
    await layer.group_discard(GROUP, mine)
    await layer.send(parent, {"type": "left"})
    await close(layer, kind)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))

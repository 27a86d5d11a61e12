"""redis-py with and without asyncio, each in RESP2 and RESP3, through everything that `../covered` lists."""

import asyncio
from pathlib import Path

import pytest

import cases_flow
import cases_types
from clients import Context
from server import Server

CASE_LIMIT_S = 60
COVERED = [
    line[:17].strip()
    for line in (Path(__file__).parent.parent / "covered").read_text().splitlines()
    if line and not line.startswith("#")
]
CASES = cases_types.CASES | cases_flow.CASES


def test_what_is_covered():
    assert sorted(CASES) == sorted(COVERED)


@pytest.mark.parametrize("protocol", [2, 3], ids=["resp2", "resp3"])
@pytest.mark.parametrize("kind", ["sync", "asyncio"])
@pytest.mark.parametrize("name", COVERED)
def test_redis_py(server: Server, name: str, kind: str, protocol: int):
    async def run():
        context = Context(server, kind, protocol)
        try:
            await asyncio.wait_for(CASES[name](context), CASE_LIMIT_S)
        finally:
            await context.clean_up()

    asyncio.run(run())

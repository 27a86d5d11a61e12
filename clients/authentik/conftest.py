"""Fixtures: a fresh server for each file of programs, and a folder for the evidence."""

from collections.abc import Iterator

import pytest

from server import Server, command_line


def pytest_report_header() -> str:
    return "server under test: " + " ".join(command_line())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A running server; its log is shown if it ended by itself."""
    server = Server()
    try:
        server.start()
        yield server
        if server.process.poll() is not None:
            pytest.fail(f"the server ended by itself\n{server.log_tail()}")
    finally:
        server.close()


@pytest.fixture
def flushed(server: Server) -> Server:
    """The module's server without any key."""
    with server.client() as client:
        client.flushall()
    return server

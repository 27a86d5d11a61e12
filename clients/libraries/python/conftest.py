"""The server that all tests share; each test begins with an empty one."""

from collections.abc import Iterator

import pytest

from server import Server, command_line


def pytest_report_header() -> str:
    return "server under test: " + " ".join(command_line())


@pytest.fixture(scope="session")
def running() -> Iterator[Server]:
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
def server(running: Server) -> Server:
    """The server without any key, running even if the test before failed between a kill and a restart."""
    if running.process.poll() is not None:
        running.start()
    with running.client() as client:
        client.flushall()
    return running

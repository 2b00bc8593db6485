"""Which database the engines of the tests run on: `pytest --database postgresql` for a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.postgres_server import INITDB, MISSING, PostgresServer, postgres_server

REPORT = "report"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=["embedded", "postgresql"], default="embedded")


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of the tests' own."""
    if INITDB is None:
        pytest.skip(MISSING)
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _everywhere(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--database") == "postgresql":
        os.environ["CHARTWIRE_TEST_SERVER"] = str(request.getfixturevalue("server").home)


@pytest.fixture(autouse=True)
def _embedded(request: pytest.FixtureRequest) -> None:
    marker = request.node.get_closest_marker("embedded")
    if marker and request.config.getoption("--database") != "embedded":
        pytest.skip(f"of the embedded database: {marker.args[0]}")


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """What a test counted, for the end of the run: `report(what, account)`."""
    return lambda what, account: record_property(REPORT, f"{what}: {account}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ended = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    lines = [text for test in ended for name, text in test.user_properties if name == REPORT]
    if lines:
        terminalreporter.section("what became of the messages")
    for line in lines:
        terminalreporter.write_line(line)

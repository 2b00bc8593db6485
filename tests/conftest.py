"""Which database the engines of the tests run on: `pytest --database postgresql` for a server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.postgres_server import INITDB, MISSING, PostgresServer, postgres_server


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

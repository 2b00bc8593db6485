"""What cannot start says why, in words, and ends with status 1."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.installation import Installation, channel


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


async def refused(site: Installation) -> str:
    """What `chartwire run` says on standard error before it ends with status 1."""
    done = await site.command("run", "--config", str(site.config))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "an exception was not caught" not in done.stderr
    assert not (site.data / "engine.json").exists()
    return done.stderr


@pytest.mark.embedded("with others on the database, it waits for a port")
async def test_the_port_of_a_source_is_taken(tmp_path: Path, taken: int) -> None:
    site = Installation(tmp_path, {"channels/adt.yaml": channel("adt", f"mllp: {{port: {taken}}}")})
    said = await refused(site)
    assert f"127.0.0.1:{taken}" in said
    assert "in use" in said


async def test_the_http_address_is_taken(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTWIRE_HTTP", f"127.0.0.1:{taken}")
    said = await refused(Installation(tmp_path, {"channels/adt.yaml": channel("adt")}))
    assert str(taken) in said
    assert "CHARTWIRE_HTTP" in said


@pytest.mark.embedded("with others on the database, it waits for a port")
async def test_the_database_is_held_by_somebody_else(tmp_path: Path) -> None:
    site = Installation(tmp_path, {"channels/adt.yaml": channel("adt")})
    await site.start()
    assert await site.stop() == 0
    foreign = sqlite3.connect(site.data / "chartwire.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    assert "the database" in await refused(site)
    foreign.close()


@pytest.mark.embedded("with others on the database, it waits for a port")
async def test_the_database_is_none(tmp_path: Path) -> None:
    site = Installation(tmp_path, {"channels/adt.yaml": channel("adt")})
    site.data.mkdir()
    (site.data / "chartwire.db").write_bytes(b"no database at all" * 1000)
    assert "the database" in await refused(site)


async def test_a_wrong_configuration_starts_nothing(tmp_path: Path) -> None:
    wrong = channel("adt").replace("timezone: America/New_York", "timezone: Amerika/Neu_York\ncolour: red")
    site = Installation(tmp_path, {"channels/adt.yaml": wrong})
    said = await refused(site)
    assert "channels/adt.yaml:5:" in said
    assert "channels/adt.yaml:6:" in said
    assert "2 problems; nothing was started" in said


@pytest.mark.embedded("with others on the database, it waits for a port")
async def test_a_source_that_cannot_be_had_takes_the_others_with_it(tmp_path: Path, taken: int) -> None:
    """Half an engine would look alive."""
    files = {
        "channels/adt.yaml": channel("adt"),
        "channels/lab.yaml": channel("lab", f"mllp: {{port: {taken}}}"),
    }
    site = Installation(tmp_path, files)
    with pytest.raises(AssertionError, match="the engine ended with 1"):
        await site.start()

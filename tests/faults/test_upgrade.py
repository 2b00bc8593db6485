"""A release follows another without a stop: for a while processes of both work on one database."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.engine_process import ROOT
from tests.faults.house import FOUR, Load, Report, ended, house
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres
STEP = """
ALTER TABLE message ADD COLUMN release TEXT;
ALTER TABLE delivery ADD COLUMN release INTEGER NOT NULL DEFAULT 0;
CREATE TABLE release (id INTEGER PRIMARY KEY, said TEXT NOT NULL) STRICT;
CREATE INDEX message_release ON message (release) WHERE release IS NOT NULL;
"""
SETTLE = "UPDATE message SET state = $1, code"


def next_release(folder: Path) -> Path:
    """This release with one more step of the schema, whose column it writes."""
    for package in ("engine", "formats", "store", "transforms", "adapters", "web"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "store/database/migrations/9001.sql").write_text(STEP)
    statements = folder / "engine/journal/journal.sql"
    assert statements.read_text().count(SETTLE) == 1
    statements.write_text(
        statements.read_text().replace(SETTLE, SETTLE.replace("SET", "SET release = 'next',"))
    )
    return folder


async def test_old_and_new_code_side_by_side(server: PostgresServer, tmp_path: Path, report: Report) -> None:
    """The new one brings the schema up to date under load; the old one goes on, and may even be started again."""
    there = next_release(tmp_path / "release")
    async with house(tmp_path, server.database(tmp_path), FOUR) as site:
        load = Load(site)
        load.start()
        await load.more(40)
        for name, role in FOUR.items():
            wrapper = ("sh", "-c", f'cd "{there}" && PYTHONPATH= exec "$@"', "sh")
            site.beside(f"next {name}", role).wrapper = wrapper
        await asyncio.gather(*(site.restart(f"next {name}") for name in FOUR if name != "intake"))
        intake = asyncio.create_task(site.restart("next intake"))  # it waits for the ports
        await load.more(60)
        site.kill("worker 1")
        await site.restart("worker 1")
        site.kill("deliver")
        await site.restart("deliver")
        await load.more(60)
        for name in FOUR:
            status = await asyncio.to_thread(site.processes[name].stop)
            assert status == 0, site.log(name)
            del site.processes[name]
        await intake
        await load.more(60)
        await ended(site, load, "a release beside the next one", report)
        released = dict(site.ask("SELECT coalesce(release, 'this'), count(*) FROM message GROUP BY 1"))
        assert set(released) == {"this", "next"}, "both have processed"

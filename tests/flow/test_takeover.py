"""Two engines on one data directory: the second waits, and takes over when the first is gone, however that ended."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.mllp_peer import fields
from tests.engine_process import ROOT, EngineProcess
from tests.flow.installation import Installation, channel, until
from tests.flow.messages import adt


def begun(site: Installation, log: Path) -> EngineProcess:
    """`chartwire run` beside the engine that runs."""
    engine = EngineProcess(site.config, site.data)
    command = [
        sys.executable,
        "-m",
        "engine.cli",
        "run",
        "--config",
        str(site.config),
        "--data",
        str(site.data),
    ]
    env = {**os.environ, "CHARTWIRE_HTTP": "127.0.0.1:0"}
    with log.open("wb") as out:
        engine.process = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=out, env=env, start_new_session=True
        )
    return engine


pytestmark = pytest.mark.embedded("tests/faults has the same of PostgreSQL")


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_a_second_engine_waits_and_takes_over(tmp_path: Path, how: str) -> None:
    site = Installation(tmp_path, {"channels/adt.yaml": channel("adt")})
    try:
        await site.start()
        sender = await site.sender("adt")
        assert fields(await sender.ask(adt("A1", "A")), b"MSA")[1] == "AA"
        first, log = site.engine, site.data.with_name("second.log")
        second = begun(site, log)
        site.engine = second

        async def waits() -> bool:
            return "waiting to take over" in log.read_text()

        await until(waits)
        assert fields(await sender.ask(adt("A2", "A", "A08")), b"MSA")[1] == "AA", "the first one goes on"
        await asyncio.to_thread(first.kill if how == "killed" else first.stop)
        told = site.data / "engine.json"

        assert second.process

        async def over() -> bool:
            assert second.process
            return told.exists() and bool(json.loads(told.read_text())["pid"] == second.process.pid)

        await until(over)
        found = json.loads(told.read_text())
        site.sources, site.http = found["sources"], found["http"].removeprefix("http://")
        assert [(await site.end(key))["state"] for key in ("A1", "A2")] == ["STORED", "STORED"]
        assert await site.stop() == 0
    finally:
        site.kill()
        if first.process and first.process.poll() is None:
            first.kill()

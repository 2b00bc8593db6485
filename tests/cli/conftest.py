from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.web.hospital import Hospital, opened

ROOT = Path(__file__).resolve().parents[2]


class Ended(NamedTuple):
    status: int
    out: str
    err: str


Chartwire = Callable[..., Awaitable[Ended]]


@pytest.fixture
def chartwire() -> Chartwire:
    """The command line as a process of its own."""

    async def run(*arguments: str, **env: str) -> Ended:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CHARTWIRE_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine.cli", *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=ROOT, env={**kept, "TZ": "America/New_York", **env},
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
async def hospital(tmp_path: Path) -> AsyncIterator[Hospital]:
    async with opened(tmp_path) as site:
        yield site

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.hospital import Hospital, opened


@pytest.fixture
async def hospital(tmp_path: Path) -> AsyncIterator[Hospital]:
    """An empty chart behind a real server; `says` fills it."""
    async with opened(tmp_path) as site:
        yield site

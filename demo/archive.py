"""The archive: a folder in which every accepted message becomes a file."""

from __future__ import annotations

import re
from pathlib import Path

from demo import mllp
from demo.seen import Arrived

_NUMBER = re.compile(r"\d+")


def arrivals(folder: Path) -> list[Arrived]:
    """What has arrived, in the order of the numbers in the files' names."""
    files = [f for f in folder.iterdir() if not f.name.startswith(".")]
    return [_arrived(f) for f in sorted(files, key=_number)]


def _number(file: Path) -> int:
    found = _NUMBER.search(file.stem.rpartition("-")[2])
    return int(found[0]) if found else 0


def _arrived(file: Path) -> Arrived:
    body = file.read_bytes()
    patient = mllp.field(body, "PID", 3).partition("^")[0]
    return Arrived(patient, mllp.field(body, "MSH", 7), file.stat().st_mtime)

"""The files that a configuration is compiled from, read at once: what was read is what runs in every process of the
engine, whatever becomes of the files meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, bytes]
"""By their names below the configuration directory, with `/`."""
PATTERNS = (
    "routes.yaml",
    "authorities.yaml",
    "alerts.yaml",
    "environments/*.yaml",
    "channels/*.yaml",
    "channels/*.yml",
    "channels/tables/*.csv",
    "plugins/*.py",
)


def read_files(directory: Path) -> Files:
    """Everything that counts; tests of channels do not."""
    found = [path for pattern in PATTERNS for path in sorted(directory.glob(pattern))]
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in found
        if path.is_file() and not path.name.endswith(".test.yaml")
    }


def below(files: Files, folder: str, suffix: str) -> list[str]:
    """The names of the files in one folder."""
    return [name for name in files if name.startswith(f"{folder}/") and name.endswith(suffix)]

"""Named SQL: `-- name: x` before each statement of a .sql file that lies beside the Python that uses it."""

from __future__ import annotations

from importlib.resources import files
from types import SimpleNamespace


def texts(package: str, file: str) -> dict[str, str]:
    """The statements of one file by name."""
    source = files(package).joinpath(file).read_text("utf-8")
    found: dict[str, str] = {}
    for part in source.split("-- name: ")[1:]:
        name, _, sql = part.partition("\n")
        if name.strip() in found:
            raise ValueError(f"{package}/{file}: two statements are named {name.strip()}")
        found[name.strip()] = sql.strip().rstrip(";")
    return found


def load(package: str, file: str) -> SimpleNamespace:
    """The statements of one file as attributes."""
    return SimpleNamespace(**texts(package, file))

"""`chartwire token`: bearer tokens, made by the running engine."""

from __future__ import annotations

from pathlib import Path

from engine.client import Engine, Refused, refusal


def create(data: Path, name: str) -> int:
    """Make a token and print it, and nothing else, to standard output."""
    try:
        with Engine(data) as engine:
            print(engine.post("/admin/tokens", {"name": name})["token"])
    except Refused as error:
        return refusal(error)
    return 0

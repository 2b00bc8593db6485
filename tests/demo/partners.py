"""The story's partners as the demo runs them: processes of their own."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.children import PATIENCE, Child, Said, python


class Partner:
    """A running partner and what it says."""

    def __init__(self, child: Child, heard: queue.Queue[Said]) -> None:
        self.child, self._heard = child, heard

    def says(self) -> dict[str, Any]:
        """The next thing that it says."""
        return self._heard.get(timeout=PATIENCE)[1]

    @property
    def addresses(self) -> dict[str, Any]:
        """What a listener says first."""
        said = self.says()
        assert "ready" in said, said
        return said["ready"]


@contextmanager
def partner(name: str, log: Path, *arguments: str) -> Iterator[Partner]:
    """`python -m demo.partners.NAME ARGUMENTS`, stopped at the end."""
    heard: queue.Queue[Said] = queue.Queue()
    command = python(f"demo.partners.{name}", *map(str, arguments))
    child = Child(name, command, heard, log / f"{name}.log", dict(os.environ))
    try:
        yield Partner(child, heard)
    finally:
        child.stop()


def ended(name: str, log: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run an actor to its end: exit status, and everything that it said."""
    heard: queue.Queue[Said] = queue.Queue()
    command = python(f"demo.partners.{name}", *map(str, arguments))
    child = Child(name, command, heard, log / f"{name}.log", dict(os.environ))
    status = child.wait()
    return status, [said for _, said in iter_now(heard)]


def iter_now(heard: queue.Queue[Said]) -> Iterator[Said]:
    while not heard.empty():
        yield heard.get_nowait()

"""What an operator has paused: a channel takes nothing, a destination is sent nothing, until it is resumed."""

from __future__ import annotations

from typing import NamedTuple

from store.database import Connection
from store.database.statements import load

SQL = load("engine.journal", "pauses.sql")
Name = tuple[str, str]  # `channel` or `destination`, and which


class Pause(NamedTuple):
    """Since when (microseconds since the epoch), by whom and why."""

    kind: str
    name: str
    at: int
    who: str
    why: str

    @property
    def of(self) -> Name:
        return self.kind, self.name


def pauses(connection: Connection) -> list[Pause]:
    """All of them, by kind and name."""
    return [Pause(*row) for row in connection.all(SQL.pauses)]


def pause(connection: Connection, pause: Pause) -> None:
    """One that is paused already stays as it is. The commit is the caller's."""
    connection.run(SQL.pause, pause)


def resume(connection: Connection, name: Name) -> None:
    """The commit is the caller's."""
    connection.run(SQL.resume, name)

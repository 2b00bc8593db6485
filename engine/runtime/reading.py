"""Reading: what the answer to a query sees of the chart, and what may take long, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from store import criteria
from store.chart import SQL
from store.database import Connection, Reading, one
from store.identity import key_of
from store.reason import Reason
from store.resource import whole

T = TypeVar("T")
MOST = 1000
"""Resources that one search of an answer gives at most."""


@dataclass(frozen=True, slots=True)
class Reader:
    """`ChartReader` over a connection of the calling thread."""

    connection: Connection

    def search(self, type: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        """Whole resources with their ids. ValueError: a parameter or a value that is not supported."""
        asked = [criteria.criterion(type, name, value) for name, value in parameters.items()]
        for each in asked:
            if isinstance(each, Reason):
                raise ValueError(str(each))
        wanted = [each for each in asked if not isinstance(each, Reason)]
        rows = self.connection.all(*criteria.found(type, wanted, 0, MOST))
        return [whole(type, key, number, updated, body) for _, key, number, updated, _message, body in rows]

    def read(self, type: str, id: str) -> dict[str, Any] | None:
        """The current version; None where there is none, or none any more."""
        key = key_of(id)
        row = one(self.connection, SQL.read, (key, type)) if key else None
        if key is None or row is None or row[3] is None:
            return None
        return whole(type, key, row[0], row[1], row[3])


Open = Callable[[], Reading]


async def beside(open: Open, read: Callable[[Connection], T]) -> T:
    """What a reading finds, on a connection of its own in a thread of its own."""
    return await asyncio.to_thread(_read, open, read)


def _read(open: Open, read: Callable[[Connection], T]) -> T:
    connection = open()
    try:
        return read(connection)
    finally:
        connection.close()

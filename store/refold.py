"""All facts of one resource, folded anew."""

from __future__ import annotations

from formats import fhir
from store.database import Connection
from store.database.statements import load
from store.fold import Body, Said, fold

SQL = load("store", "chart.sql")


def refolded(connection: Connection, type: str, id: int) -> Body | None:
    """What they come to, before the chart adds what it says itself."""
    rows = connection.all(SQL.facts, (id,))
    return fold(type, [Said(c, fhir.decode(x), event, cancels, bool(e)) for c, event, cancels, e, x in rows])

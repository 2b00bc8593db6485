"""The schema, step by step: files NNNN.sql, each run once, in order, in one transaction. NNNN.NAME.sql is for one kind
of database. Steps only add: processes of the release before go on beside those of the next."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from store.database import Connection


def migrate(connection: Connection, dialect: Callable[[str], str] = str, kind: str = "sqlite") -> None:
    """Bring the schema to the newest step. The caller holds the transaction."""
    connection.run("CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY)")
    done = {row[0] for row in connection.all("SELECT number FROM migration")}
    for file in sorted(f.name for f in files(__name__).iterdir() if f.name.endswith(".sql")):
        number, _, only = file.removesuffix(".sql").partition(".")
        if int(number) not in done and only in ("", kind):
            for statement in _split(files(__name__).joinpath(file).read_text("utf-8")):
                connection.run(dialect(statement))
            connection.run("INSERT INTO migration (number) VALUES ($1)", (int(number),))


def _split(script: str) -> list[str]:
    lines = (line.partition("--")[0] for line in script.splitlines())
    return [s.strip() for s in "\n".join(lines).split(";") if s.strip()]

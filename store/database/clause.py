"""SQL put together from named pieces: the pieces are ours, the values are always bound."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple


class Clause(NamedTuple):
    """A piece of SQL with `$1, $2, ...` in order of first appearance, and the values for them."""

    sql: str
    args: tuple[Any, ...] = ()


def joined(separator: str, clauses: Iterable[Clause]) -> Clause:
    """The clauses side by side, their placeholders numbered through."""
    texts: list[str] = []
    args: list[Any] = []
    for clause in clauses:
        texts.append(_shifted(clause.sql, len(args)))
        args += clause.args
    return Clause(separator.join(texts), tuple(args))


def _shifted(sql: str, by: int) -> str:
    return re.sub(r"\$(\d+)", lambda found: f"${int(found[1]) + by}", sql) if by else sql

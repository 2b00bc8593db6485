"""What a search asks for, as SQL: one condition for each parameter (http://hl7.org/fhir/R4/search.html).

A comma between values means OR, a repeated parameter AND. What an index finds directly is asked for as ids of
resources; the rest are tests of the resources that are found otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from store.database.clause import Clause, joined
from store.database.statements import load
from store.identity import key_of
from store.reason import Reason
from store.search import COMMON, KINDS, SUPPORTED, folded, token
from web.fhir import dates

SQL = load("web.fhir", "search.sql")
MOST_VALUES = 50
LAST = 2**62
_ID = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9.-]{1,64})|([A-Za-z0-9.-]{1,64})")


class Criterion(NamedTuple):
    """`selects`: the clause is a SELECT of the ids of resources; otherwise it is a test of `r` and `v`."""

    clause: Clause
    selects: bool = True


Read = Sequence[Criterion] | Reason


def names(type: str) -> frozenset[str]:
    """The parameters by which resources of a type are found."""
    return frozenset((*SUPPORTED[type], *COMMON))


def condition(type: str, parameter: str, value: str) -> Clause | Reason:
    """The condition that one parameter sets, where its name is among `names(type)`."""
    name, _, modifier = parameter.partition(":")
    if modifier:
        return Reason("not-supported", "has a modifier; modifiers are not supported", name)
    values = _split(value, ",")
    if len(values) > MOST_VALUES:
        return Reason("too-costly", f"has more than {MOST_VALUES} values", name)
    criteria: list[Criterion] = []
    for each in values:
        found = READERS[name](type, name, each) if each.strip() else Reason("invalid", "has an empty value")
        if isinstance(found, Reason):
            return Reason(found.code, found.text, name)
        criteria += found
    return _any(criteria)


def found(type: str, conditions: Iterable[Clause], cursor: int, limit: int) -> Clause:
    """The whole query: `limit` resources of a type behind the row `cursor`."""
    start = Clause(SQL.found, (type, cursor))
    ands = (joined("", (Clause("AND "), each)) for each in conditions)
    return joined("\n", (start, *ands, Clause(SQL.page, (limit,))))


def _any(criteria: Sequence[Criterion]) -> Clause:
    ids = joined("\nUNION ALL\n", (c.clause for c in criteria if c.selects))
    tests = [c.clause for c in criteria if not c.selects]
    among = [Clause(f"r.id IN ({ids.sql})", ids.args)] if ids.sql else []
    either = joined(" OR ", (*among, *tests))
    return Clause(f"({either.sql})", either.args)


def _split(text: str, separator: str) -> list[str]:
    """At every separator that no backslash escapes (R4, clause 3.1.1.4.1.1)."""
    parts = [""]
    for piece in re.findall(r"\\?.", text, re.DOTALL):
        if piece == separator:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _plain(text: str) -> str:
    return re.sub(r"\\([\\,|$])", r"\1", text)


def _ranges(name: str, ranges: Iterable[dates.Range]) -> list[Criterion]:
    return [Criterion(Clause(SQL.token, (KINDS[name], start, end))) for start, end in ranges]


def _token(type: str, name: str, value: str) -> Read:
    """`code`, `system|code`, `|code` (without a system)."""
    *system, code = (_plain(part) for part in _split(value, "|"))
    if len(system) > 1 or not code.strip():
        return Reason("invalid", "must be `code`, `system|code` or `|code`")
    if system:
        whole = token(code, system[0])
        return _ranges(name, [(whole, whole + "\x01")])
    return _ranges(name, [(f"{code}\x1f", f"{code}\x20")])


def _name(type: str, name: str, value: str) -> Read:
    """Any part of a name starts with it; case and accents do not matter."""
    start = folded(_plain(value).strip())
    return _ranges(name, [(start, start + dates.HIGHEST)]) if start else Reason("invalid", "has no letters")


def _birthdate(type: str, name: str, value: str) -> Read:
    date = dates.asked(value)
    ranges = dates.texts(date) if date else None
    return _ranges(name, ranges) if ranges else Reason("invalid", f"{dates.MEANS}; no time of day")


def _date(type: str, name: str, value: str) -> Read:
    if (date := dates.asked(value)) is None:
        return Reason("invalid", dates.MEANS)
    first, last = date.first, date.last
    match date.prefix:
        case "eq":
            return [Criterion(Clause(SQL.date_eq, (type, first, last, last)))]
        case "ne":
            test = Clause(SQL.date_ne, (first, last))
        case "lt":
            test = Clause(SQL.date_lt, (first,))
        case "le":
            test = Clause(SQL.date_le, (first, last))
        case "gt":
            test = Clause(SQL.date_gt, (last,))
        case "ge":
            test = Clause(SQL.date_ge, (last, first))
        case "sa":
            test = Clause(SQL.date_sa, (last,))
        case _:
            test = Clause(SQL.date_eb, (first,))
    return [Criterion(test, selects=False)]


def _last_updated(type: str, name: str, value: str) -> Read:
    if (date := dates.asked(value)) is None:
        return Reason("invalid", dates.MEANS)
    first, last = date.first, date.last
    spans = {
        "eq": [(first, last)],
        "ne": [(0, first - 1), (last + 1, LAST)],
        "lt": [(0, first - 1)],
        "eb": [(0, first - 1)],
        "le": [(0, last)],
        "gt": [(last + 1, LAST)],
        "sa": [(last + 1, LAST)],
        "ge": [(first, LAST)],
    }[date.prefix]
    return [Criterion(_updated(start, end), selects=False) for start, end in spans]


def _updated(start: int, end: int) -> Clause:
    return Clause(SQL.updated_since, (start, start, end)) if start else Clause(SQL.updated, (start, end))


def _by_id(type: str, name: str, value: str) -> Read:
    return [Criterion(Clause(SQL.id, (key_of(value) or b"",)))]


def _patient(type: str, name: str, value: str) -> Read:
    if not (match := _ID.fullmatch(value)):
        return Reason("invalid", "must be the id of a Patient, or Patient/ and its id")
    key = key_of(match[1] or match[2]) or b""
    return [Criterion(Clause(SQL.patient, (type, key, key)))]


READERS: dict[str, Callable[[str, str, str], Read]] = {
    "identifier": _token,
    "code": _token,
    "name": _name,
    "birthdate": _birthdate,
    "date": _date,
    "patient": _patient,
    "_id": _by_id,
    "_lastUpdated": _last_updated,
}

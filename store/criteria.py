"""What a search asks for, as SQL (http://hl7.org/fhir/R4/search.html).

A comma between values means OR, a repeated parameter AND. The parameter that usually finds the fewest leads to
the resources by an index; the others only test what it leads to. Where none can lead, all resources of the type
are tested in the order of the pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from store import dates
from store.database.clause import Clause, joined
from store.database.statements import load
from store.identity import key_of
from store.reason import Reason
from store.search import COMMON, KINDS, SUPPORTED, folded, token

SQL = load("store", "search.sql")
LEADERS = (
    "_id", "patient", "subject", "identifier", "name", "birthdate", "date", "_lastUpdated",
    "code", "category", "status",
)  # fmt: skip
MOST_VALUES = 50
LAST = 2**62
_ID = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9.-]{1,64})|([A-Za-z0-9.-]{1,64})")


class Way(NamedTuple):
    """One value, two ways: `leads` is a SELECT of the ids of resources, None if there is no index for it;
    `tests` is a condition on `r`, a resource, and `v`, its current version."""

    leads: Clause | None
    tests: Clause


class Criterion(NamedTuple):
    """One parameter with all its values, as a `Way`."""

    name: str
    leads: Clause | None
    tests: Clause


Read = Sequence[Way] | Reason


def names(type: str) -> frozenset[str]:
    """The parameters by which resources of a type are found."""
    return frozenset((*SUPPORTED[type], *COMMON))


def criterion(type: str, parameter: str, value: str) -> Criterion | Reason:
    """What one parameter asks for, where its name is among `names(type)`."""
    name, _, modifier = parameter.partition(":")
    if modifier:
        return Reason("not-supported", "has a modifier; modifiers are not supported", name)
    values = _split(value, ",")
    if len(values) > MOST_VALUES:
        return Reason("too-costly", f"has more than {MOST_VALUES} values", name)
    ways: list[Way] = []
    for each in values:
        read = READERS[name](type, name, each) if each.strip() else Reason("invalid", "has an empty value")
        if isinstance(read, Reason):
            return Reason(read.code, read.text, name)
        ways += read
    leads = [way.leads for way in ways if way.leads]
    either = joined(" OR ", (way.tests for way in ways))
    union = joined("\nUNION ALL\n", leads) if len(leads) == len(ways) else None
    return Criterion(name, union, Clause(f"({either.sql})", either.args))


def found(type: str, criteria: Sequence[Criterion], cursor: int, limit: int) -> Clause:
    """The whole query: `limit` resources of a type behind the row `cursor`."""
    able = [criterion for criterion in criteria if criterion.leads]
    leader = min(able, key=lambda c: LEADERS.index(c.name)) if able else None
    conditions = [
        c.tests for c in criteria if c is not leader or c.name == "_lastUpdated"
    ]  # older versions too
    if leader and leader.leads:
        conditions.append(Clause(f"r.id IN ({leader.leads.sql})", leader.leads.args))
    ands = (joined("", (Clause("AND "), each)) for each in conditions)
    return joined("\n", (Clause(SQL.found, (type, cursor)), *ands, Clause(SQL.page, (limit,))))


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


def _ids(select: Clause) -> Way:
    """The plus keeps an index from being used for a test: two that led would be tried in every combination."""
    return Way(select, Clause(f"+r.id IN ({select.sql})", select.args))


def _ranges(name: str, ranges: Iterable[dates.Range]) -> list[Way]:
    return [_ids(Clause(SQL.token, (KINDS[name], start, end))) for start, end in ranges]


def _token(value: str) -> dates.Range | Reason:
    """`code`, `system|code`, `|code` (without a system)."""
    *system, code = (_plain(part) for part in _split(value, "|"))
    if len(system) > 1 or not code.strip():
        return Reason("invalid", "must be `code`, `system|code` or `|code`")
    if system:
        whole = token(code, system[0])
        return whole, whole + "\x01"
    return f"{code}\x1f", f"{code}\x20"


def _identifier(type: str, name: str, value: str) -> Read:
    found = _token(value)
    return found if isinstance(found, Reason) else _ranges(name, [found])


def _code(type: str, name: str, value: str) -> Read:
    """Many resources have the same code, so as a test it is looked up for each of them."""
    found = _token(value)
    if isinstance(found, Reason):
        return found
    kind, (start, end) = KINDS[name], found
    test = Clause(SQL.token_of, (kind, kind, start, end, kind, end))
    return [Way(Clause(SQL.token, (kind, start, end)), test)]


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
    leads = Clause(SQL.date_eq, (type, first, last, last)) if date.prefix == "eq" else None
    tests = {
        "eq": Clause(SQL.date_eq_of, (first, last)),
        "ne": Clause(SQL.date_ne, (first, last)),
        "lt": Clause(SQL.date_lt, (first,)),
        "le": Clause(SQL.date_le, (first, last)),
        "gt": Clause(SQL.date_gt, (last,)),
        "ge": Clause(SQL.date_ge, (last, first)),
        "sa": Clause(SQL.date_sa, (last,)),
        "eb": Clause(SQL.date_eb, (first,)),
    }
    return [Way(leads, tests[date.prefix])]


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
    return [
        Way(Clause(SQL.updated, span) if span[0] else None, Clause(SQL.updated_of, span)) for span in spans
    ]


def _by_id(type: str, name: str, value: str) -> Read:
    return [_ids(Clause(SQL.id, (key_of(value) or b"",)))]


def _patient(type: str, name: str, value: str) -> Read:
    if not (match := _ID.fullmatch(value)):
        return Reason("invalid", "must be the id of a Patient, or Patient/ and its id")
    key = key_of(match[1] or match[2]) or b""
    return [Way(Clause(SQL.patient, (type, key, key)), Clause(SQL.patient_of, (key, key)))]


READERS: dict[str, Callable[[str, str, str], Read]] = {
    "identifier": _identifier,
    "code": _code,
    "category": _code,
    "status": _code,
    "name": _name,
    "birthdate": _birthdate,
    "date": _date,
    "patient": _patient,
    "subject": _patient,
    "_id": _by_id,
    "_lastUpdated": _last_updated,
}

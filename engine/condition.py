"""`when:` is data: fields and the values they may have, joined by any, all and not, compiled to closures.

    {OBX-8: [HH, LL], not: {PID-5.1: ZZTEST}}     several keys: all of them
    {any: [{OBX-8: HH}, {OBR-27.6: STAT}]}        `"*"`: there is a value; `""`: there is none

A path is one of HL7 v2 (`OBX-8`) or of FHIR (`ServiceRequest.status`), as the channel's messages are. One
without an index means every occurrence, and one occurrence with an accepted value is enough; an HL7 value is
compared with the first component where the path names none. Each line looks at the whole message by
itself. What this cannot say is the name of a registered predicate.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, get_origin

from engine.fault import Fault, nearest
from formats import hl7v2
from formats.fhir import path as fhir_path

Predicate = Callable[[Any], bool]

JOINS = ("any", "all", "not")


def always(body: Any) -> bool:
    return True


def condition(data: Any, predicates: Mapping[str, Predicate]) -> Predicate | list[Fault]:
    """The closure of a `when:`, or everything that is wrong with it."""
    faults: list[Fault] = []
    made = _condition(data, predicates, (), faults)
    return faults or made


def _condition(
    data: Any, predicates: Mapping[str, Predicate], at: tuple[str | int, ...], faults: list[Fault]
) -> Predicate:
    if isinstance(data, str):
        return _named(data, predicates, at, faults)
    if not isinstance(data, Mapping) or not data:
        shape = "a condition is PATH: value, any, all, not, or the name of a predicate"
        faults.append(Fault("bad-condition", shape, "write {OBX-8: [HH, LL]}", at))
        return always
    return _all([_entry(str(k), v, predicates, (*at, k), faults) for k, v in data.items()])


def _entry(
    key: str, value: Any, predicates: Mapping[str, Predicate], at: tuple[str | int, ...], faults: list[Fault]
) -> Predicate:
    if key == "not":
        inner = _condition(value, predicates, at, faults)
        return lambda body: not inner(body)
    if key in ("any", "all"):
        if not isinstance(value, list) or not value:
            faults.append(Fault("bad-condition", f"{key} takes a list of conditions", "write [{...}]", at))
            return always
        parts = [_condition(v, predicates, (*at, i), faults) for i, v in enumerate(value)]
        return _any(parts) if key == "any" else _all(parts)
    return _field(key, value, at, faults)


def _named(
    name: str, predicates: Mapping[str, Predicate], at: tuple[str | int, ...], faults: list[Fault]
) -> Predicate:
    if found := predicates.get(name):
        return found
    faults.append(Fault("unknown-predicate", f'no predicate "{name}"', nearest(name, predicates), at))
    return always


def _field(key: str, value: Any, at: tuple[str | int, ...], faults: list[Fault]) -> Predicate:
    path = _path(key)
    if path is None:
        near = nearest(key, JOINS)
        fault = bad_path(key)._replace(at=at, key=True)
        faults.append(fault._replace(suggestion=near) if near.startswith("did") else fault)
        return always
    values = value if isinstance(value, list) else [value]
    if not values or any(v is None or isinstance(v, (list, Mapping)) for v in values):
        faults.append(
            Fault("bad-condition", f"{key} takes a value or a list of values", 'an absent value is ""', at)
        )
        return always
    return _accepts(*_readers(path), frozenset(_text(v) for v in values))


def _path(key: str) -> hl7v2.Path | fhir_path.Path | None:
    for read in (hl7v2.path, fhir_path.path):
        with contextlib.suppress(ValueError):
            return read(key)
    return None


def strangers(data: Any, body: type | Any) -> Iterator[tuple[str | int, ...]]:
    """Where a `when:` has a path that messages of this type cannot have: a FHIR path of an HL7 message, ..."""
    if isinstance(data, list):
        for n, each in enumerate(data):
            yield from ((n, *at) for at in strangers(each, body))
    for key, value in data.items() if isinstance(data, Mapping) else ():
        if key in JOINS:
            yield from ((key, *at) for at in strangers(value, body))
        elif not _has(body, _path(str(key))):
            yield (key,)


def _has(body: type | Any, path: hl7v2.Path | fhir_path.Path | None) -> bool:
    kind = get_origin(body) or body
    if kind is Any or not isinstance(kind, type) or path is None:
        return True
    if isinstance(path, fhir_path.Path):
        return issubclass(kind, Mapping)
    return hasattr(kind, "values") and not issubclass(kind, Mapping)


Reader = Callable[[Any], Collection[str]]


def _readers(path: hl7v2.Path | fhir_path.Path) -> tuple[Reader, Reader]:
    """What is there at all, and what is compared."""
    if isinstance(path, fhir_path.Path):

        def read(body: Any) -> Collection[str]:
            return fhir_path.values(body, path)

        return read, read
    first = path if path.component or path.fixed else replace(path, component=1)
    return (lambda body: body.values(path)), (lambda body: body.values(first))


def bad_path(text: object) -> Fault:
    """The fault of a text that is no path."""
    return Fault(
        "bad-path", f'"{text}" is not an HL7 path', "write one such as PID-5.1, PID-3[2].4 or OBX[3]-5"
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _accepts(whole: Reader, first: Reader, accepted: frozenset[str]) -> Predicate:
    wanted = accepted - {"*", ""}
    if "*" in accepted:
        return always if "" in accepted else lambda body: bool(whole(body))
    if "" not in accepted:
        return lambda body: not wanted.isdisjoint(first(body))
    return lambda body: not whole(body) or not wanted.isdisjoint(first(body))


def _all(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda body: all(part(body) for part in parts)


def _any(parts: list[Predicate]) -> Predicate:
    return lambda body: any(part(body) for part in parts)

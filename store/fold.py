"""The fold: the current resource is what its facts say, taken in the order of their clocks.

Pure. Nothing here knows in which order the facts arrived, which is why the chart cannot depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from formats import fhir
from store.facts import ANY

Body = dict[str, Any]

# A result's value, status, range and interpretation move together: the newest fact replaces all of the older.
WHOLE = frozenset({"Observation", "DiagnosticReport"})
# ... but a corrected report that repeats only the corrected results does not lose the others.
UNION = frozenset({("DiagnosticReport", "result"), ("ImagingStudy", "modality")})
# Lists whose items each fact knows a part of, by the element that tells items apart: a study comes image by image.
KEYED = {"ImagingStudy.series": "uid", "ImagingStudy.series.instance": "uid"}
# Elements whose parts come from different events (admission, discharge) and are asserted one by one.
PARTS = frozenset({("Encounter", "period"), ("Encounter", "hospitalization")})
# What the chart itself says, from who survives whom (`store.chart`); no fact has a say in it.
DERIVED = frozenset({("Patient", "link")})


class Said(NamedTuple):
    """A fact as the fold sees it: `clock` is packed bytes."""

    clock: bytes
    elements: Mapping[str, Any]
    event: str = ""
    cancels: str = ""
    establishes: bool = True


def fold(type: str, facts: Iterable[Said]) -> Body | None:
    """The resource's elements, or None while nothing in force establishes it."""
    in_force = _in_force(sorted(facts, key=lambda f: f.clock))
    if not any(f.establishes for f in in_force):
        return None
    body: Body = {}
    for f in in_force:
        body = overlay(type, body, f.elements)
    return body


def overlay(type: str, body: Body, elements: Mapping[str, Any]) -> Body:
    """What `body` becomes when a newer fact says `elements`. None asserts that an element is empty."""
    result = _kept(type, body) if type in WHOLE else dict(body)
    for name in elements:
        if (slot := fhir.choice(type, name)) is not None:
            for other in [n for n in result if _of_other_type(type, n, name, slot)]:
                del result[other]
    for name, value in elements.items():
        _put(type, result, name, value)
    if type == "ImagingStudy" and "series" in result:
        _counted(result)
    return result


def _of_other_type(type: str, other: str, name: str, slot: str) -> bool:
    """Is it another type of the same choice (valueString beside valueQuantity)? `_name` belongs to `name`."""
    return other.lstrip("_") != name.lstrip("_") and fhir.choice(type, other) == slot


def _in_force(facts: list[Said]) -> list[Said]:
    """Without the facts that a later one takes back: a cancel undoes the newest event of its kind before it, and
    ANY all of them."""
    kept: list[Said] = []
    for f in facts:
        if f.cancels == ANY:
            kept.clear()
        elif f.cancels:
            undone = next((i for i in range(len(kept) - 1, -1, -1) if kept[i].event == f.cancels), None)
            if undone is not None:
                del kept[undone]
        kept.append(f)
    return kept


def _kept(type: str, body: Body) -> Body:
    return {name: value for name, value in body.items() if (type, name) in UNION}


def _put(type: str, body: Body, name: str, value: Any) -> None:
    if (type, name) in PARTS and isinstance(value, Mapping):
        value = {k: v for k, v in {**body.get(name, {}), **value}.items() if v is not None}
    elif (type, name) in UNION and value:
        old = body.get(name, [])
        value = [*old, *(item for item in value if item not in old)]
    elif (path := f"{type}.{name}") in KEYED and value:
        value = _united(path, body.get(name, ()), value)
    if value is None or value in ({}, []):
        body.pop(name, None)
    else:
        body[name] = value


def _united(path: str, old: Iterable[Body], new: Iterable[Body]) -> list[Body]:
    """Items with the same key are one, the newer laid over the older; in the order of their numbers and keys."""
    key = KEYED[path]
    items = {item[key]: item for item in old}
    for item in new:
        items[item[key]] = _laid(path, items.get(item[key], {}), item)
    return sorted(items.values(), key=lambda item: (item.get("number", _LAST), item[key]))


def _laid(path: str, old: Body, new: Body) -> Body:
    body = {**old, **new}
    for name in (n for n in new if f"{path}.{n}" in KEYED):
        body[name] = _united(f"{path}.{name}", old.get(name, ()), new[name])
    return body


_LAST = 1 << 32  # what has no number stands behind what has one


def _counted(body: Body) -> None:
    """How many series and instances a study has, where they are listed (R4 ImagingStudy)."""
    listed = [
        {**s, "numberOfInstances": len(s["instance"])} if "instance" in s else s for s in body["series"]
    ]
    body["series"] = listed
    body["numberOfSeries"] = len(listed)
    if all("numberOfInstances" in s for s in listed):
        body["numberOfInstances"] = sum(s["numberOfInstances"] for s in listed)

"""What R4 says of the elements at the top of a resource, for whoever puts one together."""

from __future__ import annotations

from functools import cache

from formats.fhir.r4 import properties, r4


@cache
def required(type: str) -> frozenset[str]:
    """The elements that every resource of the type has; a choice by the name of its slot (`medication[x]`).
    KeyError for an unknown type, here and below."""
    return frozenset(name for name, element in r4().types[type].items() if element.min)


def choice(type: str, element: str) -> str | None:
    """The slot that the element shares with the other types of a choice: `value[x]` for `valueQuantity` and
    for `_valueString`; None for an element that is no choice."""
    return _slots(type).get(element.removeprefix("_"))


def is_list(type: str, element: str) -> bool:
    """Whether the element repeats, so that its value is a JSON array. False for one that R4 does not know."""
    known = r4().types[type].get(element.removeprefix("_"))
    return known is not None and known.list


@cache
def _slots(type: str) -> dict[str, str]:
    choices = [item for item in r4().types[type].items() if item[0].endswith("[x]")]
    return {property: name for name, element in choices for property, _ in properties(name, element)}

"""The element tables of FHIR R4 4.0.1, read from `data/r4.json.gz` on first use."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import msgspec

DATA = Path(__file__).parent / "data" / "r4.json.gz"


class Element(msgspec.Struct, frozen=True):
    """One element of a type. `types`: its data types, more than one for a choice, or the name of a backbone
    table (`Patient.contact`). `values`: the value set of a required binding. `targets`: the resource types
    that a Reference may point to, empty for any."""

    types: tuple[str, ...]
    min: int = 0
    list: bool = False
    values: str = ""
    targets: tuple[str, ...] = ()


Table = dict[str, Element]


class R4(msgspec.Struct, frozen=True):
    """`types`: the elements of resources, data types and backbone elements, by name. `values`: the codes of
    each value set by code system. `patterns`: regular expressions for value sets of other systems."""

    resources: frozenset[str]
    types: dict[str, Table]
    values: dict[str, dict[str, list[str]]]
    patterns: dict[str, str]


@cache
def r4() -> R4:
    return msgspec.json.decode(gzip.decompress(DATA.read_bytes()), type=R4)


def properties(name: str, element: Element) -> list[tuple[str, str]]:
    """The JSON properties of an element with their data types: one, or one for each type of a choice."""
    if not name.endswith("[x]"):
        return [(name, element.types[0])]
    stem = name.removesuffix("[x]")
    return [
        (stem + suffix[0].upper() + suffix[1:], type) for type in element.types for suffix in [_base(type)]
    ]


def _base(type: str) -> str:
    """The data type that a profiled one is named after in JSON: `doseQuantity`."""
    return "Quantity" if type == "SimpleQuantity" else type


def is_primitive(type: str) -> bool:
    """Whether a `_name` may stand beside `name` (R4, JSON, Primitive Elements). Primitive types start with a
    small letter; ids of resources and elements (`ResourceId`, `ElementId`) and xhtml take no extensions."""
    return type[0].islower() and type != "xhtml"

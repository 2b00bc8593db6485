"""What a person is told about a fault: the place and the rule, never the content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from jsonschema_rs import ValidationError

from formats.fhir.r4 import properties, r4

FEW = 12  # codes that are worth listing


@dataclass(frozen=True, slots=True)
class Problem:
    """`path` is where, in FHIRPath (`Patient.name[0].given[1]`), `text` what is wrong there. Neither holds a
    value of the resource, nor the name of a member that R4 does not know."""

    path: str
    text: str


def explain(error: ValidationError, path: str, schema: dict[str, Any]) -> Iterator[Problem]:
    """The problems in one fault that `schema` found in the resource at `path`."""
    place = path + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.instance_path)
    parents = list(_parents(schema, error.schema_path))
    rule = next((p for p in parents if isinstance(p.get("title"), str)), None)
    keyword, value = error.kind.name, error.kind.value
    if rule:
        yield Problem(f"{place}.{rule['element']}" if "element" in rule else place, rule["title"])
    elif keyword == "additionalProperties":
        yield from (_unknown(place, name, list(parents[-1]["properties"])) for name in value)
    elif keyword == "required":
        yield Problem(f"{place}.{value}", "required element is missing")
    else:
        yield Problem(place, _text(keyword, value, error.schema_path))


def _parents(schema: Any, path: list[str | int]) -> Iterator[dict[str, Any]]:
    """The schemas on the way to the keyword that failed, outermost first."""
    for step in path:
        if isinstance(schema, dict):
            yield schema
        schema = schema[step]


def _text(keyword: str, value: Any, path: list[str | int]) -> str:
    name, _, added = str(path[1]).partition(":") if path[0] == "definitions" else ("", "", "")
    match keyword:
        case "type":
            return f"is not a JSON {' or '.join(value)}"
        case "enum":
            return f"is not one of {', '.join(value)}" if len(value) <= FEW else f"is not a code of {added}"
        case "pattern" if name == "Reference":
            return f"is not a reference to {added.replace(',', ', ') or 'a resource'}"
        case "pattern":
            return f"is not a valid {name}"
        case "minItems" | "minProperties":
            return "is empty"
        case "minimum":
            return f"is less than {value}"
        case "maximum":
            return f"is more than {value}"
    return "is not valid"


def _unknown(place: str, name: str, allowed: list[str]) -> Problem:
    if name.removeprefix("_") in _names():
        return Problem(f"{place}.{name}", "R4 has no such element here")
    close = get_close_matches(name, allowed, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return Problem(place, f"holds an element that R4 does not know{hint}")


@cache
def _names() -> frozenset[str]:
    """The names of all properties of all types, none of which can be a patient's secret."""
    elements = [item for table in r4().types.values() for item in table.items()]
    return frozenset(property for name, element in elements for property, _ in properties(name, element))

"""From the element tables to the JSON schema of one resource type (draft 4, where 1.0 is not an integer).

A rule that takes more than one keyword carries a `title`, what a person is told when it is broken, and where
that is not the place of the value itself, the `element` that it is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from formats.fhir import primitive
from formats.fhir.r4 import Element, Table, is_primitive, properties, r4

Json = dict[str, Any]
Slot = list[tuple[str, str]]  # the JSON properties of an element, with their types

NEVER: Json = {"not": {}}
NULL: Json = {"type": "null"}
SHADOW = "Element"  # the type of `_birthDate` beside `birthDate`: its id and extensions
WIDE = 12


@cache
def schema(type: str, partial: bool) -> Json:
    """The schema of the resource `type`, with the definitions that it reaches. `partial`: nothing is required
    at the top."""
    top = _object(r4().types[type], required=not partial)
    top["properties"]["resourceType"] = {"enum": [type]}
    made: Json = {}
    pending = set(_references(top))
    while pending:
        name = pending.pop()
        made[name] = _define(name)
        pending |= set(_references(made[name])) - made.keys()
    return {**top, "definitions": made}


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for item in part:
            yield from _references(item)
    elif isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"].removeprefix("#/definitions/")
        for item in part.values():
            yield from _references(item)


@cache
def _define(name: str) -> Json:
    """`name`: a type, and after a colon what one element adds: `code:VALUE-SET`, `Reference:TARGETS`."""
    type, _, added = name.partition(":")
    if type in primitive.SCHEMAS:
        return _codes(added) if added else primitive.SCHEMAS[type]
    if type == "Resource":
        types = {"title": "is not an R4 resource type", "enum": sorted(r4().resources)}
        return {"type": "object", "required": ["resourceType"], "properties": {"resourceType": types}}
    made = _element(r4().types[type])
    if type == "Reference":
        made["properties"]["reference"] = _target(added.split(",") if added else sorted(r4().resources))
    elif added:
        made["allOf"] = [_coded(added)]
    return made


def _target(types: list[str]) -> Json:
    """`Type/id`, a URL, `#id` of a contained resource (R4, References), or `Type?query` in a transaction."""
    local = rf"({'|'.join(types)})(/{primitive.ID}(/_history/{primitive.ID})?|\?{primitive.SOLID})"
    return primitive.text(rf"(#({primitive.ID})?|[A-Za-z][A-Za-z0-9+.-]*:{primitive.SOLID}|{local})")


def _codes(values: str) -> Json:
    if values in r4().patterns:
        return primitive.text(r4().patterns[values])
    return {"enum": sorted({code for codes in r4().values[values].values() for code in codes})}


def _coded(values: str) -> Json:
    """A concept with a required binding has a coding of the value set, unless all it has is an extension;
    text alone will not do (R4, Terminologies, Binding Strengths)."""
    both = {"required": ["system", "code"]}
    good = [
        {**both, "properties": {"system": {"enum": [system]}, "code": {"enum": codes}}}
        for system, codes in r4().values[values].items()
    ]
    found = {"required": ["coding"], "properties": {"coding": {"not": {"items": {"not": {"anyOf": good}}}}}}
    silent = {"properties": {"coding": NEVER, "text": NEVER}}
    return {"title": f"has no coding of the required value set {values}", "anyOf": [found, silent]}


def _element(table: Table) -> Json:
    """A data type or backbone element: never empty, nor an id alone (constraint ele-1)."""
    made = _object(table, required=True)
    made["minProperties"] = 1
    made["dependencies"]["id"] = {"title": "holds nothing but an id", "minProperties": 2}
    return made


def _object(table: Table, *, required: bool) -> Json:
    made: Json = {"type": "object", "properties": {}, "additionalProperties": False, "dependencies": {}}
    rules = []
    for name, element in table.items():
        slot = properties(name, element)
        for property, type in slot:
            made["properties"] |= _property(property, type, element)
        if len(slot) > WIDE:
            rules.append(_one_of_many(name, slot, table))
        elif len(slot) > 1:
            made["dependencies"] |= _one_of(name, slot)
        if element.list and is_primitive(element.types[0]):
            made["dependencies"] |= _aligned(name)
            rules.append(_whole(name))
        if required and element.min:
            rules.append(_required(name, slot))
    return {**made, "allOf": rules} if rules else made


def _property(property: str, type: str, element: Element) -> Json:
    made = {property: _value(_name(type, element), element.list)}
    if is_primitive(type):
        made["_" + property] = _value(SHADOW, element.list)
        if element.list:
            for name, array in made.items():
                what = "object" if name.startswith("_") else type
                array["items"] = {"title": f"is not a valid {what}", "anyOf": [array["items"], NULL]}
    return made


def _value(name: str, many: bool) -> Json:
    one = {"$ref": f"#/definitions/{name}"}
    return {"type": "array", "minItems": 1, "items": one} if many else one


def _name(type: str, element: Element) -> str:
    if element.values and type in ("code", "CodeableConcept"):
        return f"{type}:{element.values}"
    if element.targets and type == "Reference":
        return f"{type}:{','.join(element.targets)}"
    return type


def _names(slot: Slot) -> list[list[str]]:
    return [[property, "_" + property] if is_primitive(type) else [property] for property, type in slot]


def _required(name: str, slot: Slot) -> Json:
    """A required primitive may be there as its extensions alone (R4, JSON, Primitive Elements)."""
    there = [{"required": [n]} for names in _names(slot) for n in names]
    return {"title": "required element is missing", "element": name, "anyOf": there}


def _one_of(name: str, slot: Slot) -> Json:
    """A choice takes one of its types (R4, Formats, Choice of Data Types): each forbids those after it."""
    groups = _names(slot)
    made: Json = {}
    for i, group in enumerate(groups):
        others = {n: NEVER for later in groups[i + 1 :] for n in later}
        made |= {n: {"title": f"more than one type of {name}", "properties": others} for n in group}
    return made


def _one_of_many(name: str, slot: Slot, table: Table) -> Json:
    """The same for the 50 types of `Extension.value[x]`: smaller but slow, so first see whether there is room
    for two at all."""
    others = sum(1 for n, e in table.items() if e.min and n != name)
    there = [{"anyOf": [{"required": [n]} for n in group]} for group in _names(slot)]
    one = {"oneOf": [*there, {"not": {"anyOf": there}}]}
    return {
        "title": f"more than one type of {name}",
        "element": name,
        "anyOf": [{"maxProperties": others + 1}, one],
    }


def _aligned(name: str) -> Json:
    """Two arrays of one length, never null in both (R4, JSON, Primitive Elements)."""
    rule = {"title": f"does not match {name} item by item", "element": "_" + name, "aligned": name}
    return {"_" + name: rule}


def _whole(name: str) -> Json:
    full = {"properties": {name: {"items": {"not": NULL}}}}
    return {"title": f"null without a _{name}", "element": name, "anyOf": [{"required": ["_" + name]}, full]}

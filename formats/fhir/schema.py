"""From the element tables to a JSON schema (draft 4, where 1.0 is no integer) of one resource type.

Every rule that takes more than one keyword carries a `title`, which is what a person is told when it is broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from formats.fhir import primitive
from formats.fhir.r4 import Element, Table, properties, r4
from formats.fhir.r4 import primitive as is_primitive

Json = dict[str, Any]
NEVER: Json = {"not": {}}
SHADOW = "Shadow"  # the object beside a primitive, `_birthDate`: its id and extensions


def schema(type: str, *, partial: bool) -> Json:
    """The schema of the resource `type` with the definitions that it reaches. `partial`: nothing is required
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


def _define(name: str) -> Json:
    type, _, rest = name.partition(":")
    if type in primitive.SCHEMAS:
        return _codes(rest) if rest else primitive.SCHEMAS[type]
    if type == "Resource":
        return {"type": "object", "required": ["resourceType"]}
    if type == SHADOW:
        return _element({n: e for n, e in r4().types["Quantity"].items() if n in ("id", "extension")})
    if rest and type == "Reference":
        return _reference(rest.split(","))
    made = _element(r4().types[type])
    if rest:
        made["allOf"] = [_coded(rest)]
    return made


def _reference(targets: list[str]) -> Json:
    """References are `Type/id`, any URL, or `#id` of a contained resource (clause 2.3.0.1); or, in a transaction,
    `Type?query`."""
    made = _element(r4().types["Reference"])
    types = "|".join(targets)
    local = rf"({types})(/{primitive.ID}(/_history/{primitive.ID})?|\?\S+)"
    made["properties"]["reference"] = primitive.text(rf"(#\S*|[A-Za-z][A-Za-z0-9+.-]*:\S+|{local})")
    return made


def _codes(values: str) -> Json:
    if values in r4().patterns:
        return primitive.text(r4().patterns[values])
    return {"enum": sorted({code for codes in r4().values[values].values() for code in codes})}


def _coded(values: str) -> Json:
    """A concept with a required binding has a coding of the value set, unless it is only an extension
    (clause 4.1.5.1: text alone will not do)."""
    good = [
        {
            "properties": {"system": {"enum": [system]}, "code": {"enum": codes}},
            "required": ["system", "code"],
        }
        for system, codes in r4().values[values].items()
    ]
    found = {"required": ["coding"], "properties": {"coding": {"not": {"items": {"not": {"anyOf": good}}}}}}
    silent = {"properties": {"coding": NEVER, "text": NEVER}}
    return {"title": f"has no coding of the required value set {values}", "anyOf": [found, silent]}


def _element(table: Table) -> Json:
    """A data type or backbone element: never empty, and an id alone is empty too (constraint ele-1)."""
    made = _object(table, required=True)
    made["minProperties"] = 1
    made["dependencies"]["id"] = {"title": "holds nothing but an id", "minProperties": 2}
    return made


def _object(table: Table, *, required: bool) -> Json:
    made: Json = {"type": "object", "properties": {}, "additionalProperties": False, "dependencies": {}}
    made["allOf"] = []
    for name, element in table.items():
        slot = properties(name, element)
        for property, type in slot:
            made["properties"] |= _property(property, type, element)
        if len(slot) > 1:
            made["allOf"] += _one_of(name, slot, table)
        elif element.list and is_primitive(element.types[0]):
            made["dependencies"]["_" + name] = {"aligned": name}
            made["allOf"].append(_no_holes(name))
        if required and element.min:
            made["allOf"].append(_required(name, slot))
    return {keyword: value for keyword, value in made.items() if value != []}


def _property(property: str, type: str, element: Element) -> Json:
    many = element.list
    if not is_primitive(type):
        return {property: _value(_name(type, element), many)}
    made = {property: _value(_name(type, element), many), "_" + property: _value(SHADOW, many)}
    if many:
        for array in made.values():
            array["items"] = {"anyOf": [array["items"], {"type": "null"}]}
    return made


def _name(type: str, element: Element) -> str:
    """The definition's name: the type, with what this element adds to it."""
    if element.values and type in ("code", "CodeableConcept"):
        return f"{type}:{element.values}"
    if element.targets and type == "Reference":
        return f"{type}:{','.join(element.targets)}"
    return type


def _value(name: str, many: bool) -> Json:
    one = {"$ref": f"#/definitions/{name}"}
    return {"type": "array", "minItems": 1, "items": one} if many else one


def _names(slot: list[tuple[str, str]]) -> list[list[str]]:
    return [[property, "_" + property] if is_primitive(type) else [property] for property, type in slot]


def _required(name: str, slot: list[tuple[str, str]]) -> Json:
    """A required primitive may be there as its extensions alone (clause 2.6.2.3: `_status`)."""
    there = [{"required": [n]} for names in _names(slot) for n in names]
    return {"element": name, "title": "required element is missing", "anyOf": there}


def _one_of(name: str, slot: list[tuple[str, str]], table: Table) -> list[Json]:
    """A choice takes one of its types (clause 2.24.0.4.1)."""
    names = _names(slot)
    none = {n: NEVER for group in names for n in group}
    made = {}
    for i, group in enumerate(names):
        others = {n: NEVER for other in names[i+1:] for n in other}
        for n in group: made[n]={"properties": others}
    rule={"element": name, "title": "more than one type of a choice", "dependencies": made}
    k=sum(1 for e in table.values() if e.min and name!=e)+1
    if len(slot)>20: return [{"element": name, "title": "more than one type of a choice", "anyOf":[{"maxProperties":2},{"dependencies":made}]}]
    return [rule]


def _no_holes(name: str) -> Json:
    full = {"properties": {name: {"items": {"not": {"type": "null"}}}}}
    return {"element": name, "title": "null without an extension", "anyOf": [{"required": ["_" + name]}, full]}

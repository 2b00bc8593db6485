"""Whether a resource has the structure that FHIR R4 4.0.1 gives it.

Checked: elements, cardinalities, one type of a choice, formats of primitives with days that exist, codes of
required bindings, shape and target types of references, nothing empty; also in contained resources, in the
entries of a Bundle, and in Parameters. Not checked: HL7's invariants (obs-6, ...), profiles, weaker bindings,
and whether what a reference points to exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema_rs import Draft4Validator, RegexOptions

from formats.fhir.problem import Problem, explain
from formats.fhir.r4 import r4
from formats.fhir.schema import schema

if TYPE_CHECKING:
    from jsonschema_rs import KeywordValidator

__all__ = ["Problem", "problems", "validate_resource"]


class _Aligned:
    """The keyword `aligned: given` of the rule for `_given`: two arrays of one length, never null in both."""

    def __init__(self, parent_schema: dict[str, Any], value: Any, schema_path: list[str | int]) -> None:
        self.name = value

    def validate(self, instance: Any) -> None:
        beside = instance["_" + self.name]
        values = instance.get(self.name, beside)
        if not isinstance(beside, list) or not isinstance(values, list):
            return  # the type is at fault, and said so
        if len(values) != len(beside) or (None, None) in zip(values, beside, strict=True):
            raise ValueError("not aligned")


KEYWORDS: dict[str, type[KeywordValidator]] = {"aligned": _Aligned}
Inner = tuple[str, str, Mapping[str, Any]]  # path, resource type, resource


def problems(type: str, elements: Mapping[str, Any], *, partial: bool = False) -> list[Problem]:
    """What is wrong with the elements of a resource; `resourceType`, `id` and `meta` may be left out.

    `partial`: elements may be missing at the top (a fact that does not establish its resource).
    """
    if type not in r4().resources:
        return [Problem("resourceType", "is not an R4 resource type")]
    found = _own(type, type, elements, partial)
    inner = _inner(type, type, elements)
    for path, kind, resource in inner:  # which grows: a resource in a resource in a resource
        found += _own(path, kind, resource, False)
        if "contained" in resource and path.rpartition(".")[2].startswith("contained["):
            found.append(Problem(f"{path}.contained", "a contained resource holds no other"))
        inner += _inner(path, kind, resource)
    return found


def validate_resource(resource: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a whole resource, whatever its type, and with the resources inside it."""
    type = resource.get("resourceType")
    return problems(type if isinstance(type, str) else "", resource)


@cache
def _validator(type: str, partial: bool) -> Draft4Validator:
    return Draft4Validator(schema(type, partial), pattern_options=RegexOptions(), keywords=KEYWORDS)


def _own(path: str, type: str, elements: Mapping[str, Any], partial: bool) -> list[Problem]:
    value = dict(elements)
    validator = _validator(type, partial)
    try:
        if validator.is_valid(value):
            return []
    except ValueError:
        return [Problem(path, "holds something that JSON has no form for")]
    try:
        errors = list(validator.iter_errors(value))
    except ValueError:
        return [Problem(path, "is not valid, and nested too deep to say where")]
    found = [p for error in errors for p in explain(error, path, schema(type, partial))]
    return list(dict.fromkeys(found))


def _inner(path: str, type: str, elements: Mapping[str, Any]) -> list[Inner]:
    """The resources directly inside this one; not those of an unknown type, which is a problem already."""
    known = (
        (place, resource.get("resourceType"), resource) for place, resource in _places(path, type, elements)
    )
    return [(place, kind, r) for place, kind, r in known if isinstance(kind, str) and kind in r4().resources]


def _places(path: str, type: str, elements: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Wherever R4 has an element of type Resource."""
    if "contained" in elements:
        yield from _objects(f"{path}.contained", elements["contained"])
    if type == "Bundle":
        for place, entry in _objects(f"{path}.entry", elements.get("entry")):
            yield from _objects(f"{place}.resource", entry.get("resource"))
            for _, response in _objects("", entry.get("response")):
                yield from _objects(f"{place}.response.outcome", response.get("outcome"))
    if type == "Parameters":
        for place, parameter in _parameters(f"{path}.parameter", elements.get("parameter")):
            yield from _objects(f"{place}.resource", parameter.get("resource"))


def _parameters(path: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    pending = list(_objects(path, value))
    for place, parameter in pending:
        pending += _objects(f"{place}.part", parameter.get("part"))
        yield place, parameter


def _objects(path: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """An object, or the objects of an array, each with its path; whatever is neither is passed over."""
    if isinstance(value, dict):
        yield path, value
    elif isinstance(value, list | tuple):
        yield from ((f"{path}[{i}]", item) for i, item in enumerate(value) if isinstance(item, dict))

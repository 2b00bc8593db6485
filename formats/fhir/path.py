"""Paths into a resource: `ServiceRequest.category.coding.code`. Lists are looked through; there are no indexes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_PATH = re.compile(r"([A-Z][a-z][A-Za-z]*)((?:\.[a-z][A-Za-z0-9]*)+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Path:
    """The type of a resource and the names of elements below it."""

    type: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.type, *self.names))


@lru_cache(maxsize=1024)
def path(text: str) -> Path:
    """Compile a path. ValueError with a text for people if it is none."""
    if found := _PATH.fullmatch(text):
        return Path(found[1], tuple(found[2].split(".")[1:]))
    raise ValueError(f"{text!r} is not a FHIR path: write Type.element, such as ServiceRequest.status")


def values(body: Mapping[str, Any], path: Path) -> list[str]:
    """Every value at the path, as text, of the resource; of a Bundle, of its first resource of that type."""
    resource = _resource(body, path.type)
    return [] if resource is None else list(_texts(resource, path.names))


def _resource(body: Mapping[str, Any], type: str) -> Mapping[str, Any] | None:
    if body.get("resourceType") == type:
        return body
    entries = (entry.get("resource") for entry in body.get("entry", ()))
    return next((r for r in entries if r is not None and r.get("resourceType") == type), None)


def _texts(value: Any, names: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _texts(each, names)
    elif not names:
        yield str(value).lower() if isinstance(value, bool) else str(value)
    elif isinstance(value, Mapping) and names[0] in value:
        yield from _texts(value[names[0]], names[1:])

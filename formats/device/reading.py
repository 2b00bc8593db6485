"""One reading: a JSON object (RFC 8259) in UTF-8, kept as it came."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from formats import fhir
from formats.reason import Reason

DEEPEST = 32
"""Levels of a reading; what is nested deeper is no device's."""


@dataclass(frozen=True, slots=True)
class Message:
    """A reading. Numbers with a point or an exponent are Decimals (`formats.fhir.decode`)."""

    raw: bytes
    data: Mapping[str, Any]


def parse(body: bytes) -> Message | Reason:
    """The reading, or why it is none. Nothing of the content is in the reason."""
    try:
        data = fhir.decode(body)
    except ValueError:
        return Reason("not-json", "the reading is not JSON in UTF-8")
    if not isinstance(data, dict):
        return Reason("not-a-reading", "a reading is a JSON object")
    if _deeper(data, DEEPEST):
        return Reason("not-a-reading", f"the reading is nested deeper than {DEEPEST} levels")
    if _twice(body):
        return Reason("name-twice", "an object of the reading has two members of one name")
    return Message(body, data)


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner)


class _Twice(Exception):
    pass


def _once(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) < len(members):
        raise _Twice


def _twice(body: bytes) -> bool:
    """Two members of one name: which of two heart rates is meant, nobody can say (RFC 8259, section 4)."""
    try:
        json.loads(body.decode("utf-8-sig"), object_pairs_hook=_once, parse_int=str, parse_float=str)
    except _Twice:
        return True
    return False


def leaves(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All that is said, with its path as `value` takes it; null says nothing."""
    if isinstance(data, dict | list):
        for step, inner in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(inner, f"{path}.{step}" if path else str(step))
    elif data is not None:
        yield path, data


def value(data: Any, path: str) -> Any:
    """What is at a path: names with dots between, a number counts into a list from 0. None: nothing is there."""
    for step in path.split("."):
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and step.isdecimal() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data

"""One reading: a JSON object (RFC 8259) in UTF-8, kept as it came."""

from __future__ import annotations

from collections.abc import Mapping
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
    return Message(body, data)


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner)


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

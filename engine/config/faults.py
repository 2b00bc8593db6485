"""Pydantic's errors in our words: what should have been there, in the terms of YAML."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engine.config.signature import Setting
from engine.config.variables import is_secret
from engine.fault import Fault, Wrong, nearest


def faults_of(bad: ValidationError, setting: Setting, data: Any) -> list[Fault]:
    """What is wrong with one setting. Of the branches of a union the one that got furthest speaks."""
    found: list[Fault] = []
    for e in bad.errors(include_url=False):
        found.extend(_fault(e, setting, data))
    return _joined([f for f in found if f.code != "wrong-type" or not any(_below(o.at, f.at) for o in found)])


def _below(at: tuple[str | int, ...], above: tuple[str | int, ...]) -> bool:
    return len(at) > len(above) and at[: len(above)] == above


def _fault(e: ErrorDetails, setting: Setting, data: Any) -> list[Fault]:
    at = _way(e["loc"], data)
    wrong = e.get("ctx", {}).get("error")
    if isinstance(wrong, Wrong):
        return [f.below(*at) for f in wrong.faults]
    said = _plain(e["msg"]) if wrong is None else str(wrong)
    if e["type"] in ("literal_error", "enum"):
        expected = e["ctx"]["expected"].replace("'", "")
        choice = nearest(str(e["input"]), expected.replace(" or ", ", ").split(", "))
        key = e["loc"][-1:] == ("[key]",)
        return [Fault("wrong-value", f'"{setting.name}" should be {expected}', choice, at, key)]
    return [Fault("wrong-type", f'"{setting.name}" {said}{_not(e["input"], setting)}', setting.doc, at)]


_WORDS = {
    "a valid integer": "a whole number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid tuple": "a list",
    "a valid dictionary": "a mapping",
    "a valid": "a",
}


def _plain(message: str) -> str:
    """Pydantic's sentence in the words of YAML."""
    said = message.removeprefix("Input ").split(",")[0]
    return next((said.replace(old, new) for old, new in _WORDS.items() if old in said), said)


def _not(value: Any, setting: Setting) -> str:
    """What was there instead, unless it is a secret or long."""
    if isinstance(value, (list, Mapping)):
        return ", not a list" if isinstance(value, list) else ", not a mapping"
    if value is None:
        return ", not nothing"
    if is_secret(setting.name) or not isinstance(value, (str, int, Decimal)) or len(str(value)) > 40:
        return ""
    return f', not "{value}"'


def _way(loc: tuple[str | int, ...], data: Any) -> tuple[str | int, ...]:
    """The part of pydantic's location that is in the data: names of union branches are left out."""
    at: list[str | int] = []
    for step in loc:
        if _has(data, step):
            data = data[step]
            at.append(step)
    return tuple(at)


def _has(data: Any, step: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(step, int) and step < len(data)
    return isinstance(data, Mapping) and step in data


def _joined(faults: list[Fault]) -> list[Fault]:
    """One fault per place: the branches of a union are one question."""
    found: dict[tuple[object, ...], Fault] = {}
    for fault in faults:
        key = (fault.at, fault.code) if fault.code == "wrong-type" else fault
        found.setdefault(key, fault)
    return list(found.values())

"""Is a resource what a test expects? Only what is written is compared; every difference is a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

Difference = str


def differences(expected: Any, actual: Any, path: str) -> list[Difference]:
    """Nothing, or one line per element: `Observation.status: expected final, got preliminary`.

    An expected text also fits a coding or a concept with that code, and one of a list. An expected list fits
    if each of its items fits some item. A number fits the number with the same digits (6.30 is not 6.3).
    `null` expects that nothing is there.
    """
    match expected, actual:
        case Mapping(), Mapping():
            return [d for k, v in expected.items() for d in differences(v, actual.get(k), f"{path}.{k}")]
        case (list(), list()):
            return [d for item in expected for d in _closest(item, actual, path)]
        case (_, list()):
            return _closest(expected, actual, path)
        case str(), Mapping():
            return [] if expected in _codes(actual) else [_told(expected, _codes(actual) or actual, path)]
        case _:
            return [] if _same(expected, actual) else [_told(expected, actual, path)]


def _closest(expected: Any, actual: Sequence[Any], path: str) -> list[Difference]:
    tries = [differences(expected, item, f"{path}[{n}]") for n, item in enumerate(actual)]
    return min(tries, key=len, default=[_told(expected, None, path)])


def _codes(concept: Mapping[str, Any]) -> list[str]:
    """The codes of a CodeableConcept, a Coding, an Identifier (its value) or a Reference."""
    codings = [c.get("code") for c in concept.get("coding", ())]
    own = [concept.get(key) for key in ("code", "value", "text", "display", "reference")]
    return [code for code in (*codings, *own) if isinstance(code, str)]


def _same(expected: Any, actual: Any) -> bool:
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, (int, Decimal)) and isinstance(actual, (int, Decimal)):
        return str(expected) == str(actual)
    return bool(expected == actual)


def _told(expected: Any, actual: Any, path: str) -> Difference:
    return f"{path}: expected {_shown(expected)}, got {_shown(actual)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def unmatched(
    expected: Sequence[Mapping[str, Any]], resources: Sequence[Mapping[str, Any]]
) -> list[Difference]:
    """What is missing from `resources`, each written `{Type: {elements}}`, each fitting another one."""
    left, lines = list(resources), []
    for wanted in expected:
        ((type, elements),) = wanted.items()
        same = [r for r in left if r["resourceType"] == type]
        tries = [(differences(elements or {}, r, type), r) for r in same]
        found, resource = min(
            tries, key=lambda t: len(t[0]), default=([f"{type}: expected one more, got none"], {})
        )
        lines += found
        left = [r for r in left if r is not resource]
    return lines

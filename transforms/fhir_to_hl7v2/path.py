"""Where a row reads: `specimen.collection.collectedDateTime`, `telecom[use!=work]`, `.` for the whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Follow = Callable[[Any], Any]
"""A Reference -> the resource that it means, if that is there; anything else, and a dangling one, stays."""


@dataclass(frozen=True, slots=True)
class Test:
    """`[use=work]`: some value below is this one. `[use!=work]`: none is."""

    names: tuple[str, ...]
    value: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    test: Test | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """Lists are looked through and references followed."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return ".".join(step.name for step in self.steps)


_STEP = re.compile(r"([a-z]\w*)(?:\[([\w.]+)(!?=)([\w-]+)\])?(?:\.|$)", re.ASCII)


def path(text: str) -> Path:
    """Compile a path. ValueError if it is none."""
    if text == ".":
        return Path(())
    found = list(_STEP.finditer(text))
    if "".join(f[0] for f in found) != text:
        raise ValueError(f"{text!r} is not a path")
    return Path(tuple(Step(f[1], _test(f[2], f[3], f[4])) for f in found))


def _test(names: str | None, sign: str, value: str) -> Test | None:
    return Test(tuple(names.split(".")), value, sign == "=") if names else None


def values(start: Any, path: Path, follow: Follow) -> Iterator[Any]:
    """Every value at the path."""
    return _values(start, path.steps, follow)


def _values(value: Any, steps: Sequence[Step], follow: Follow) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _values(each, steps, follow)
        return
    value = follow(value)
    if not steps:
        yield value
    elif isinstance(value, Mapping) and (found := value.get(steps[0].name)) is not None:
        test = steps[0].test
        for each in found if isinstance(found, list) else [found]:
            if test is None or _passes(each, test, follow):
                yield from _values(each, steps[1:], follow)


def _passes(value: Any, test: Test, follow: Follow) -> bool:
    below = tuple(Step(name) for name in test.names)
    return (test.value in _values(value, below, follow)) is test.holds

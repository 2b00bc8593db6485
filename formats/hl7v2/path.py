"""Paths into a message: `PID-5.1`, `PID-3[2].4.1`, `OBX[3]-5`."""

from __future__ import annotations

import dataclasses
import re
from functools import lru_cache

HEADERS = frozenset(("MSH", "FHS", "BHS"))
"""Segments whose first field is the field separator itself and whose second is never split nor unescaped."""

_PATH = re.compile(
    r"([A-Z][A-Z0-9]{2})(?:\[([1-9]\d{0,5})\])?"
    r"-([1-9]\d{0,2})(?:\[([1-9]\d{0,5})\])?"
    r"(?:\.([1-9]\d{0,2})(?:\.([1-9]\d{0,2}))?)?",
    re.ASCII,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Path:
    """A compiled path. All numbers count from 1; 0 means that the path does not say.

    Without `component` a path means the whole repetition, without `subcomponent` the whole component.
    Component 1 of a field without components is the field itself; the same holds for subcomponent 1.
    """

    segment: str
    field: int
    occurrence: int = 0
    repetition: int = 0
    component: int = 0
    subcomponent: int = 0
    fixed: bool = dataclasses.field(
        init=False, compare=False, repr=False
    )  # MSH-1, MSH-2: the delimiters themselves

    def __post_init__(self) -> None:
        object.__setattr__(self, "fixed", self.field <= 2 and self.segment in HEADERS)

    def __str__(self) -> str:
        parts = [self.segment, f"[{self.occurrence}]" if self.occurrence else "", f"-{self.field}"]
        parts.append(f"[{self.repetition}]" if self.repetition else "")
        parts.append(f".{self.component}" if self.component else "")
        parts.append(f".{self.subcomponent}" if self.subcomponent else "")
        return "".join(parts)


@lru_cache(maxsize=4096)
def path(text: str) -> Path:
    """Compile a path. ValueError with a text for people if it is none."""
    found = _PATH.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} is not a path: write SEGMENT-FIELD, with [n] after the segment or the field and "
            "up to two .n after it, such as PID-5.1, PID-3[2].4.1 or OBX[3]-5"
        )
    segment, *numbers = found.groups()
    occurrence, position, repetition, component, subcomponent = (int(n or 0) for n in numbers)
    return Path(str(segment), position, occurrence, repetition, component, subcomponent)

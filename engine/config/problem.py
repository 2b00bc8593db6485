"""What a person must put right in a configuration, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from engine.fault import Fault


class Place(NamedTuple):
    """Where something stands: a file below the configuration directory, line and column from 1."""

    file: str
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong. `code` is one word-with-hyphens; a warning does not stop the engine."""

    file: str
    line: int
    column: int
    code: str
    text: str
    suggestion: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.code}: {self.text}{hint}"


def error(place: Place, code: str, text: str, suggestion: str = "") -> Problem:
    return Problem(*place, code, text, suggestion)


def warning(place: Place, code: str, text: str, suggestion: str = "") -> Problem:
    return Problem(*place, code, text, suggestion, "warning")


def located(place: Place, fault: Fault) -> Problem:
    return Problem(*place, fault.code, fault.text, fault.suggestion)

"""Why something did not go the ordinary way: for people, without a word of the message's content."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """`code` is one word-with-hyphens to count by; `text` says what and what to do, never a value;
    `place` is a path into the message (`PID-3[2].4`) or the resource (`Patient.birthDate`)."""

    code: str
    text: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.code}{f' at {self.place}' if self.place else ''}: {self.text}"

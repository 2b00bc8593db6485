"""Fields -> the bytes of a message: delimiters are put in, and what is text is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from formats import hl7v2

Component = str | Sequence[str]
"""Text, or subcomponents."""

Repetition = str | Sequence[Component]
"""Text, or components."""

_FIELD, _COMPONENT, _REPETITION, ESCAPE, _SUBCOMPONENT = hl7v2.STANDARD[:5]
_BREAK = ESCAPE + b".br" + ESCAPE


def field(repetitions: Sequence[Repetition], charset: str, *, formatted: bool = False) -> bytes:
    """One field. `formatted`: FT, where a line ends with `\\.br\\` (HL7 v2.5.1 2.7.5). Raises hl7v2.Unencodable."""
    return _REPETITION.join(_joined(r, charset, (_COMPONENT, _SUBCOMPONENT), formatted) for r in repetitions)


def _joined(value: Repetition, charset: str, delimiters: Sequence[bytes], formatted: bool) -> bytes:
    if isinstance(value, str):
        lines = value.split("\n") if formatted else [value]
        return _BREAK.join(hl7v2.escape(line, charset=charset) for line in lines)
    delimiter, *below = delimiters
    parts = [_joined(v, charset, below, formatted) for v in value]
    return delimiter.join(parts).rstrip(delimiter)


def segment(name: str, fields: Sequence[bytes]) -> bytes:
    """`fields[0]` is field 1; of MSH it is MSH-3, as MSH-1 and MSH-2 are the delimiters."""
    start = [b"MSH", _COMPONENT + _REPETITION + ESCAPE + _SUBCOMPONENT] if name == "MSH" else [name.encode()]
    return _FIELD.join([*start, *fields]).rstrip(_FIELD) + b"\r"

"""The delimiters that a message declares in MSH-1 and MSH-2 (chapter 2, 2.5.4)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple


class Separators(NamedTuple):
    """One byte each, or `b""` where MSH-2 does not declare one."""

    field: bytes = b"|"
    component: bytes = b"^"
    repetition: bytes = b"~"
    escape: bytes = b"\\"
    subcomponent: bytes = b"&"
    truncation: bytes = b""


STANDARD: Final = Separators()

_ALLOWED = (
    frozenset(range(0x21, 0x7F)) - frozenset(b'"') - frozenset(c for c in range(128) if chr(c).isalnum())
)


@lru_cache(maxsize=256)
def separators(field: bytes, encoding: bytes) -> Separators | None:
    """MSH-1 and MSH-2 as separators, or None if they cannot be told apart from data.

    MSH-2 is read by position and may be shorter than four characters. Two slips of real senders are read as
    they are meant: a character that repeats an earlier one (a backslash doubled by a careless writer) says
    nothing, and in `^~&` it is the escape character that is missing.
    """
    distinct = bytes(dict.fromkeys(encoding))
    if len(field) != 1 or not 1 <= len(distinct) <= 5 or field in distinct:
        return None
    if not _ALLOWED.issuperset(field + distinct):
        return None
    given = [distinct[i : i + 1] for i in range(5)]
    if len(distinct) == 3 and given[2] == STANDARD.subcomponent:
        given[2:4] = [b"", STANDARD.subcomponent]
    return Separators(field, *given)

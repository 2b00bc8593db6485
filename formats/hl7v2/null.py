"""HL7's explicit null, the two characters `""`: the value is known to be empty (2.5.3)."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal


class Null(Enum):
    """The type of `NULL`, its only value. An enum, so that it survives pickling and `is` narrows its type."""

    NULL = '""'

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "NULL"

    __str__ = __repr__


NULL: Final = Null.NULL
NULL_BYTES: Final = b'""'

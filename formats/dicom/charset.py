"""Characters: Specific Character Set (0008,0005), with and without code extensions (PS3.5 6.1, PS3.3 C.12.1.1.2).

Strict: a byte that the declared character set does not have is never replaced by another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_ESCAPED = re.compile(rb"\x1b[^\x1b]*|[^\x1b]+")
_RESET = re.compile(
    rb"[\\^=\r\n\f\t]"
)  # after these the first character set is in force again (PS3.5 6.1.2.5.3)
_ASCII = ("", "ISO_IR 6", "ISO 2022 IR 6")


class Undecodable(ValueError):
    """A value has a byte that its character set does not have. `place` is the keyword of its attribute."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place


@lru_cache(maxsize=256)
def codecs(names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Python's names for the values of (0008,0005); None if one is unknown."""
    found = [_codec(name) for name in names or ("",)]
    return tuple(f for f in found if f is not None) if None not in found else None


def _codec(name: str) -> str | None:
    from pydicom.charset import python_encoding

    if name in _ASCII:
        return "ascii"
    found: str | None = python_encoding.get(name)
    return found


def decoded(data: bytes, charsets: Sequence[str]) -> str:
    """Raises UnicodeError."""
    if b"\x1b" not in data:
        return data.decode(charsets[0])
    return "".join(_fragment(piece, charsets) for piece in _ESCAPED.findall(data))


def _fragment(piece: bytes, charsets: Sequence[str]) -> str:
    """From one escape sequence to the next: it names one of the declared character sets."""
    from pydicom.charset import CODES_TO_ENCODINGS, handled_encodings

    if not piece.startswith(b"\x1b"):
        return piece.decode(charsets[0])
    length = 4 if piece[1:3] in (b"$(", b"$)") else 3
    codec = CODES_TO_ENCODINGS.get(piece[:length])
    if codec is None:
        raise UnicodeError
    if codec in handled_encodings:
        return piece.decode(codec)
    rest = piece[length:]
    reset = _RESET.search(rest)
    end = reset.start() if reset else len(rest)
    return rest[:end].decode(codec) + rest[end:].decode(charsets[0])

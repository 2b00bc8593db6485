"""The segments of a file of any length, one after the other, in constant memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from formats.reason import Reason
from formats.x12.delimiters import ISA_LENGTH, Delimiters, read_isa
from formats.x12.segment import Segment

CHUNK = 1 << 16
LONGEST = 1 << 16
"""Bytes of the longest segment that is read: far more than any guide allows but for BIN and BDS."""

_LAYOUT = re.compile(rb"[\r\n \t\x1a]*")
_LINE_END = re.compile(rb"[\r\n]{0,2}")


def segments(
    file: BinaryIO, *, longest: int = LONGEST, charset: str = "latin-1"
) -> Iterator[Segment | Reason]:
    """Every segment from where the file stands to its end; a Reason ends it.

    Each ISA sets the delimiters anew, so that a file may hold several interchanges. A byte that the character
    set does not have becomes a lone surrogate; Latin 1 has all. Codes: `unreadable-isa`, `segment-too-long`,
    `truncated` (bytes after the last terminator).
    """
    return iter(_Reader(file, longest, charset).run())


class _Reader:
    def __init__(self, file: BinaryIO, longest: int, charset: str) -> None:
        self._charset = charset
        self._file = file
        self._longest = longest
        self._buffer = b""
        self._at = 0  # the next byte to read, in the buffer
        self._offset = file.tell()  # of the buffer's first byte
        self._delimiters: Delimiters | None = None

    def run(self) -> Iterator[Segment | Reason]:
        while self._skip():
            found = self._next()
            yield found
            if isinstance(found, Reason):
                return

    def _skip(self) -> bool:
        """Pass over line ends and blanks; is there anything more?"""
        while True:
            self._at = _end(_LAYOUT, self._buffer, self._at)
            if self._at < len(self._buffer):
                return True
            if not self._more():
                return False

    def _next(self) -> Segment | Reason:
        while len(self._buffer) - self._at < ISA_LENGTH and self._more():
            pass
        if self._delimiters is None or self._buffer.startswith(b"ISA", self._at):
            found = read_isa(self._buffer[self._at : self._at + ISA_LENGTH])
            if isinstance(found, Reason):
                return found
            self._delimiters = found
        return self._cut(self._delimiters)

    def _cut(self, delimiters: Delimiters) -> Segment | Reason:
        end = self._find(delimiters.terminator)
        if end < 0:
            if len(self._buffer) - self._at > self._longest:
                return Reason("segment-too-long", f"a segment is longer than {self._longest} bytes")
            return Reason("truncated", "the file ends within a segment")
        length = end - self._at
        while len(self._buffer) - self._at < length + 3 and self._more():
            pass
        start, end = self._at, self._at + length
        self._at = after = _end(_LINE_END, self._buffer, end + 1)
        text = self._buffer[start:end].decode(self._charset, "surrogateescape")
        return Segment(self._buffer[start:after], text, self._offset + start, delimiters)

    def _find(self, terminator: bytes) -> int:
        looked = self._at
        while (end := self._buffer.find(terminator, looked)) < 0:
            seen = len(self._buffer) - self._at
            if seen > self._longest or not self._more():
                return -1
            looked = self._at + seen
        return end if end - self._at <= self._longest else -1

    def _more(self) -> bool:
        """Read on; what was used up is let go of."""
        chunk = self._file.read(CHUNK)
        if not chunk:
            return False
        self._buffer = self._buffer[self._at :] + chunk
        self._offset += self._at
        self._at = 0
        return True


def _end(pattern: re.Pattern[bytes], buffer: bytes, at: int) -> int:
    found = pattern.match(buffer, at)
    return found.end() if found else at

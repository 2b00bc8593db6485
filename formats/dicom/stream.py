"""Data elements one after the other, from a file of any size, in little memory."""

from __future__ import annotations

import zlib
from typing import IO, Protocol

from formats.dicom.encoding import (
    ITEM,
    ITEM_END,
    LITTLE_IMPLICIT,
    SEQUENCE_END,
    UNDEFINED,
    Broken,
    Encoding,
    Head,
    head,
)

CHUNK = 1 << 16
DEEPEST = 32
"""Sequences in sequences; nothing that is meant goes as deep."""


class Bytes(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def skip(self, size: int) -> None:
        """Raises Broken beyond the end."""

    def more(self) -> bool: ...


class Plain:
    """A file from where it stands on."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = file.tell()
        self._end = file.seek(0, 2)
        file.seek(self._at)

    def read(self, size: int) -> bytes:
        found = self._file.read(min(size, self._end - self._at))
        self._at += len(found)
        return found

    def skip(self, size: int) -> None:
        self._at += size
        if self._at > self._end:
            raise Broken
        self._file.seek(self._at)

    def more(self) -> bool:
        return self._at < self._end


class Inflated:
    """What a deflated data set says (PS3.5 A.5), never more of it than a piece."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ready = b""

    def read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size and self.more():
            piece = self._ready[: size - len(found)]
            self._ready = self._ready[len(piece) :]
            found += piece
        return bytes(found)

    def skip(self, size: int) -> None:
        while size:
            if not (piece := self.read(min(size, CHUNK))):
                raise Broken
            size -= len(piece)

    def more(self) -> bool:
        while not self._ready and not self._inflate.eof:
            data = self._inflate.unconsumed_tail or self._file.read(CHUNK)
            if not data:
                raise Broken
            try:
                self._ready = self._inflate.decompress(data, CHUNK)
            except zlib.error:
                raise Broken from None
        return bool(self._ready)


class Elements:
    """The elements of one data set. What is passed over is recorded while there is room for it."""

    def __init__(self, source: Bytes, how: Encoding) -> None:
        self._source = source
        self._how = how
        self._record: bytearray | None = None
        self._room = 0

    def more(self) -> bool:
        return self._source.more()

    def next(self) -> Head:
        return head(self.take, self._how)

    def take(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            raise Broken
        if self._record is not None:
            self._note(data)
        return data

    def _note(self, data: bytes) -> None:
        assert self._record is not None
        self._record += data
        if len(self._record) > self._room:
            self._record = None

    def _skip(self, size: int) -> None:
        if self._record is not None and size <= self._room - len(self._record):
            self.take(size)
        else:
            self._record = None
            self._source.skip(size)

    def value(self, found: Head, room: int) -> bytes | None:
        """The bytes of the value, delimiters too; None if they are more than `room`: they are passed over."""
        self._record, self._room = bytearray(), room
        if found.length != UNDEFINED:
            self._skip(found.length)
        else:
            self._items(LITTLE_IMPLICIT if found.vr == "UN" else self._how, 0)
        record, self._record = self._record, None
        return None if record is None else bytes(record)

    def item(self, room: int) -> bytes:
        """The elements of an item of undefined length, whose head was read, and its delimiter."""
        self._record, self._room = bytearray(), room
        self._elements(self._how, 0)
        record, self._record = self._record, None
        if record is None:
            raise Broken
        return bytes(record)

    def _items(self, how: Encoding, depth: int) -> None:
        """Items up to the delimiter. In an item of undefined length stand elements (PS3.5 7.5)."""
        if depth > DEEPEST:
            raise Broken
        while (item := head(self.take, how)).tag != SEQUENCE_END:
            if item.tag != ITEM:
                raise Broken
            if item.length != UNDEFINED:
                self._skip(item.length)
            else:
                self._elements(how, depth)

    def _elements(self, how: Encoding, depth: int) -> None:
        while (found := head(self.take, how)).tag != ITEM_END:
            if found.length != UNDEFINED:
                self._skip(found.length)
            else:
                self._items(LITTLE_IMPLICIT if found.vr == "UN" else how, depth + 1)

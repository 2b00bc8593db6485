"""A data set on its way into the spool, piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from store.reason import Reason

FULL = Reason("not-spooled", "the instance could not be written; send it again later")
CUT = Reason("cut-off", "the association ended before the instance was whole")
TOO_LONG = Reason("too-long", "the instance is longer than max_size allows")


class Arriving:
    """What pynetdicom writes to. Trouble is noted, not raised: what is still sent is thrown away, and the sender told.

    `trouble` is why there is no instance. `whole`: all of it is here, and somebody has it in hand. `taken`: it is kept,
    and not to be removed.
    """

    def __init__(self, create: Callable[[], IO[bytes]], most: int) -> None:
        self.trouble: Reason | None = None
        self.whole = False
        self.taken = False
        self.start = b""
        self._beginning = bytearray()
        self._most = most
        self._size = 0
        self._file: IO[bytes] | None = None
        self.name = ""
        try:
            self._file = create()
            self.name = self._file.name
        except OSError:
            self.trouble = FULL

    @property
    def path(self) -> Path:
        return Path(self.name)

    @property
    def file(self) -> Arriving:
        """pynetdicom flushes the `file` of what it writes to after every piece."""
        return self

    def flush(self) -> None:
        """Once, at the end, is enough."""

    def write(self, data: bytes) -> int:
        if self.trouble is None and self._file is not None:
            self._size += len(data)
            self._beginning += data[: KEPT - len(self._beginning)]
            try:
                self._file.write(data)
            except OSError:
                self._fail(FULL)
            if self._size > self._most:
                self._fail(TOO_LONG)
        return len(data)

    def close(self) -> None:
        """Everything that was written is in the file, or there is `trouble`."""
        self.whole = True
        if self._file is not None and not self._file.closed:
            try:
                self._file.close()
            except OSError:
                self._fail(FULL)

    def beginning(self, size: int) -> bytes:
        """The first bytes, for the record."""
        return self.start or bytes(self._beginning[:size])

    def cut(self) -> bool:
        """Has something arrived, behind the preamble, that will never be whole?"""
        return self._size > _PREAMBLE and not self.whole and self.trouble is None

    def discard(self) -> None:
        """Leave nothing behind, unless it was taken."""
        if self.name and not self.taken:
            with suppress(OSError):
                self.path.unlink()
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _fail(self, reason: Reason) -> None:
        if reason is TOO_LONG:
            self.start = self.beginning(KEPT)
        self.trouble = reason
        self.discard()


_PREAMBLE = 132
KEPT = 16 << 10
"""Bytes that are kept of what is refused."""

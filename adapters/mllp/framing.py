"""MLLP blocks: VT, the message, FS CR (HL7 v2 Implementation Guide, appendix C.2). Bytes in, events out.

A block ends at its first FS. What comes between blocks is noise. A VT that is followed by MSH inside a block
is where a sender began anew after it had broken off, so that two messages are never read as one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

VT = b"\x0b"
FS = b"\x1c"
CR = b"\x0d"
HEAD = 64 * 1024
"""Bytes kept of a block that is too long."""
NOISE = 1024
"""Bytes kept of what lies between blocks."""


class Frame(NamedTuple):
    """One whole block; the body may be empty."""

    body: bytes


class Overlong(NamedTuple):
    """A block of `size` bytes, more than the limit; `head` is how it began."""

    head: bytes
    size: int


class Truncated(NamedTuple):
    """A block without its end: broken off, begun anew, or without the final CR where that is required."""

    body: bytes


class Noise(NamedTuple):
    """`size` bytes that no block holds; `head` is how they began."""

    head: bytes
    size: int


Event = Frame | Overlong | Truncated | Noise


def block(body: bytes) -> bytes:
    """The body as one block."""
    return b"%b%b%b%b" % (VT, body, FS, CR)


class Framer:
    """Takes bytes as they come and gives events; the events do not depend on how the bytes were cut.

    Holds at most `limit` bytes and one read. With `require_final_cr=False` a block ends at FS, and a CR that
    follows is swallowed.
    """

    def __init__(self, limit: int, *, require_final_cr: bool = True) -> None:
        self._limit = limit
        self._strict = require_final_cr
        self._reset()

    def _reset(self) -> None:
        self._buffer = bytearray()
        self._state: Callable[[list[Event]], bool] = self._between
        self._scanned = 0  # no FS in this much of the buffer
        self._head = b""  # of noise, or of a block that is too long
        self._size = 0  # of that noise or block, without what is in the buffer
        self._body: Frame | Overlong = Frame(b"")  # a block that waits for its final CR

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete, in order."""
        if self._idle() and (bodies := self._whole(data)):
            return [Frame(body) for body in bodies]
        self._buffer += data
        events: list[Event] = []
        while self._buffer and self._state(events):
            pass
        return events

    def close(self) -> list[Event]:
        """What was begun and will never end; the framer starts anew."""
        events: list[Event] = []
        if self._state == self._ended:
            self._truncate(self._body, events)
        elif self._state == self._inside:
            self._truncate(self._block(bytes(self._buffer)), events)
        elif self._size:
            events.append(Noise(self._head, self._size))
        self._reset()
        return events

    def _idle(self) -> bool:
        return self._state == self._between and not self._size

    def _whole(self, data: bytes) -> list[bytes]:
        """The bodies, if this read is exactly one or more whole blocks, as it mostly is; else nothing."""
        if not (data[:1] == VT and data[-2:] == FS + CR):
            return []
        body = data[1:-2]
        if FS not in body:
            return [body] if VT not in body and len(body) <= self._limit else []
        bodies = body.split(FS + CR + VT)
        usual = body.count(FS) == body.count(VT) == len(bodies) - 1 and max(map(len, bodies)) <= self._limit
        return bodies if usual else []

    # One method per state: does what the buffer allows, and says whether there may be more to do.

    def _between(self, events: list[Event]) -> bool:
        start = self._buffer.find(VT)
        noise = len(self._buffer) if start < 0 else start
        self._skip(noise, NOISE)
        if start < 0:
            return False
        del self._buffer[:1]
        if self._size:
            events.append(Noise(self._head, self._size))
        self._begin(self._inside)
        return True

    def _inside(self, events: list[Event]) -> bool:
        end = self._buffer.find(FS, self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            if self._size + self._scanned > self._limit:
                self._skip(self._scanned, HEAD)
                self._scanned = 0
            return False
        self._body = self._block(bytes(memoryview(self._buffer)[:end]))
        del self._buffer[: end + 1]
        if self._strict:
            self._begin(self._ended)
        else:
            self._complete(self._body, events)
            self._begin(self._after)
        return True

    def _ended(self, events: list[Event]) -> bool:
        if self._buffer.startswith(CR):
            del self._buffer[:1]
            self._complete(self._body, events)
        else:
            self._truncate(self._body, events)
        self._begin(self._between)
        return True

    def _after(self, events: list[Event]) -> bool:
        if self._buffer.startswith(CR):
            del self._buffer[:1]
        self._begin(self._between)
        return True

    def _begin(self, state: Callable[[list[Event]], bool]) -> None:
        self._state = state
        self._scanned, self._head, self._size = 0, b"", 0

    def _skip(self, count: int, keep: int) -> None:
        if count:
            self._head += bytes(self._buffer[: min(count, keep - len(self._head))])
            self._size += count
            del self._buffer[:count]

    def _block(self, rest: bytes) -> Frame | Overlong:
        size = self._size + len(rest)
        if size <= self._limit:
            return Frame(rest)
        return Overlong((self._head + rest)[:HEAD], size)

    def _complete(self, body: Frame | Overlong, events: list[Event]) -> None:
        if isinstance(body, Overlong):
            events.append(body)
            return
        *broken, last = _begun_anew(body.body)
        events += [Truncated(part) for part in broken]
        events.append(Frame(last))

    def _truncate(self, body: Frame | Overlong, events: list[Event]) -> None:
        if isinstance(body, Overlong):
            events.append(body)
        else:
            events += [Truncated(part) for part in _begun_anew(body.body) if part]


def _begun_anew(body: bytes) -> list[bytes]:
    """The body cut before every VT MSH; never empty, and only an empty body gives an empty part."""
    first, *others = body.split(VT + b"MSH")
    parts = [b"MSH" + other for other in others]
    return [first, *parts] if first or not parts else parts

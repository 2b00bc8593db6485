"""A message as lines: where each segment begins and ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple


class Lines(NamedTuple):
    """The lines in order, without their terminators, and their offsets; some may be empty."""

    texts: list[bytes]
    starts: list[int]


def split(raw: bytes, start: int, field: bytes) -> Lines:
    """Cut the message, which begins at `start`, into lines.

    The terminator is CR (2.5.2); LF and CRLF are read too. In a message that uses CR, a bare LF is data
    (text over several lines), unless a segment follows it.
    """
    body = raw[start:] if start else raw
    if b"\n" not in body:
        return _uniform(body.split(b"\r"), start, 1)
    if b"\r" not in body:
        return _uniform(body.split(b"\n"), start, 1)
    if body.count(b"\r\n") == body.count(b"\n") == body.count(b"\r"):
        return _uniform(body.split(b"\r\n"), start, 2)
    return _mixed(body, start, field)


def first_line(raw: bytes, start: int, field: bytes) -> bytes:
    """The line that begins at `start`, where the message begins, cut as `split` cuts it."""
    end = raw.find(b"\r", start)
    feed = raw.find(b"\n", start, end if end >= 0 else len(raw))
    if end < 0:
        return raw[start:feed] if feed >= 0 else raw[start:]
    return raw[start:end] if feed < 0 else _mixed(raw[start:end], start, field).texts[0]


def repeated(raw: bytes, name: bytes, field: bytes, message: int) -> bool:
    """Whether another segment of that name follows the one that opens the message."""
    opening = name + field
    return raw.rfind(b"\r" + opening) >= message or (b"\n" in raw and raw.rfind(b"\n" + opening) >= message)


def _uniform(texts: list[bytes], start: int, width: int) -> Lines:
    ends = accumulate([len(text) + width for text in texts], initial=start)
    return Lines(texts, list(ends)[:-1])


def _mixed(body: bytes, start: int, field: bytes) -> Lines:
    lines = Lines([], [])
    opens = _segment_opens(field)
    at = start
    for piece in body.split(b"\r"):
        rows: list[bytes] = []
        for row in piece.split(b"\n"):
            if rows and opens(row):
                _add(lines, b"\n".join(rows), at)
                at += sum(map(len, rows)) + len(rows)
                rows = []
            rows.append(row)
        _add(lines, b"\n".join(rows), at)
        at += sum(map(len, rows)) + len(rows)
    return lines


def _add(lines: Lines, text: bytes, at: int) -> None:
    """Line feeds at either end of a line are terminators, not data."""
    bare = text.lstrip(b"\n")
    lines.starts.append(at + len(text) - len(bare))
    lines.texts.append(bare.rstrip(b"\n"))


@lru_cache(maxsize=64)
def _segment_opens(field: bytes) -> Callable[[bytes], object]:
    return re.compile(rb"[A-Z][A-Z0-9]{2}" + re.escape(field)).match


@lru_cache(maxsize=4096)
def segment_name(head: bytes, field: bytes) -> str:
    """The segment's name from the first four bytes of its line, or `""` if the line is no segment."""
    if len(head) == 3:
        head += field  # a segment without any field
    return head[:3].decode() if _segment_opens(field)(head) else ""

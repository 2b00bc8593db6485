"""The beginning of a message, read before and without the rest of it.

A parser of its own (expat) that stops where it has seen enough: a document type is found before anything that it
declares is read, and the Header of a message that is cut off, too long or of another version still says whom to answer.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_START_TAG = re.compile(rb"""<([^\s/>]+)(?:"[^"]*"|'[^']*'|[^>"'])*>""")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")


class Head(NamedTuple):
    """What the Header says: "" where it says nothing. The kinds are Qualifiers (P pharmacy, D prescriber, ...)."""

    id: str = ""
    to: str = ""
    to_kind: str = ""
    sender: str = ""
    sender_kind: str = ""


class _Enough(Exception):
    """There is no need to read on."""


def head(body: bytes) -> Head:
    """The Header as far as it can be read; nothing of a body with a document type."""
    seen = _Header()
    _read(body, seen)
    to, sender = seen.kinds.get("To", ""), seen.kinds.get("From", "")
    text = {name: "".join(parts).strip() for name, parts in seen.texts.items()}
    return Head(text.get("MessageID", ""), text.get("To", ""), to, text.get("From", ""), sender)


def declares_type(body: bytes) -> bool:
    """Is there a document type declaration? What it declares is not read."""
    seen = _Prolog()
    _read(body, seen)
    return seen.found


def with_id(body: bytes, id: str) -> bytes | None:
    """The same with another text in Header/MessageID; None: there is no such element, or its bytes are UTF-16."""
    seen = _Header()
    _read(body, seen)
    if seen.start is None or seen.end is None or body.startswith(_UTF_16):
        return None
    tag = _START_TAG.match(body, seen.start)
    if tag is None:
        return None
    whole = tag[0]
    if whole.endswith(b"/>"):
        return (
            body[: tag.start()] + whole[:-2] + b">" + id.encode() + b"</" + tag[1] + b">" + body[tag.end() :]
        )
    return body[: tag.end()] + id.encode() + body[seen.end :]


class _Prolog:
    """Up to the first element."""

    found = False

    def listen(self, parser: Any) -> None:
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._element

    def _doctype(self, *_: object) -> None:
        self.found = True
        raise _Enough

    def _element(self, *_: object) -> None:
        raise _Enough


class _Header:
    """The texts of the Header's own elements, and where the bytes of its MessageID are."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.kinds: dict[str, str] = {}
        self.start: int | None = None
        self.end: int | None = None
        self._path: list[str] = []
        self._into: list[str] | None = (
            None  # the texts of the element that is open, if it is the first of its name
        )

    def listen(self, parser: Any) -> None:
        self._parser = parser
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._finish
        parser.CharacterDataHandler = self._text

    def _doctype(self, *_: object) -> None:
        raise _Enough

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(name := tag.rpartition(":")[2])
        if len(self._path) == 2 and name != "Header":
            raise _Enough
        if len(self._path) == 3 and name not in self.texts:
            self._into = self.texts[name] = []
            self.kinds[name] = attributes.get("Qualifier", "")
            if name == "MessageID":
                self.start = self._parser.CurrentByteIndex

    def _finish(self, tag: str) -> None:
        if len(self._path) == 3:
            self._into = None
            if self._path[2] == "MessageID" and self.end is None:
                self.end = self._parser.CurrentByteIndex
        if len(self._path) == 2:
            raise _Enough
        self._path.pop()

    def _text(self, text: str) -> None:
        if self._into is not None and len(self._path) == 3:
            self._into.append(text)


def _read(body: bytes, seen: _Prolog | _Header) -> None:
    from xml.parsers import expat

    parser = expat.ParserCreate()
    parser.buffer_text = True
    seen.listen(parser)
    try:
        parser.Parse(body, True)
    except (_Enough, expat.ExpatError, ValueError, LookupError):
        return

"""One SCRIPT message: a tree over bytes that stay as they came, so that what nobody here knows survives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from formats.reason import Reason

VERSION = "2017071"
DEEPEST = 64
_VERSIONS = ("TransportVersion", "DatatypesVersion", "TransactionVersion", "StructuresVersion", "version")
_MESSAGE_ID = re.compile(rb"(<(?:[\w.-]+:)?MessageID\b[^>]*>)[^<]*(</)")
_MESSAGE_ID_EMPTY = re.compile(rb"<((?:[\w.-]+:)?MessageID)\s*/>")


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """Paths are names of elements without their namespaces, joined by `/`: `Header/MessageID`."""

    raw: bytes
    root: Any

    @property
    def kind(self) -> str:
        """The transaction: NewRx, Status, Error, ..."""
        body = self.find("Body")
        first = next(_children(body), None) if body is not None else None
        return _name(first) if first is not None else ""

    @property
    def content(self) -> Any:
        """The element of the transaction."""
        return next(_children(self.find("Body")))

    def find(self, path: str, below: Any = None) -> Any:
        """The first element at a path, below the whole message or below an element; None if there is none."""
        return next(iter(self.all(path, below)), None)

    def all(self, path: str, below: Any = None) -> list[Any]:
        """Every element at a path."""
        found = [self.root if below is None else below]
        for name in path.split("/"):
            found = [child for parent in found for child in _children(parent) if _name(child) == name]
        return found

    def text(self, path: str, below: Any = None) -> str:
        """The text of the first element at a path, without the white space around it; "" if there is none."""
        element = self.find(path, below)
        return "" if element is None else (element.text or "").strip()

    def first(self, *paths: str, below: Any = None) -> str:
        """The first text that there is: elements have other names in other versions."""
        return next((text for path in paths if (text := self.text(path, below))), "")

    def with_id(self, id: str) -> Message:
        """The same with another MessageID; no other byte changes."""
        raw = _MESSAGE_ID_EMPTY.sub(rb"<\1></\1>", self.raw, count=1)
        raw = _MESSAGE_ID.sub(lambda m: m[1] + id.encode() + m[2], raw, count=1)
        again = parse(raw)
        assert isinstance(again, Message)
        return again


def parse(body: bytes) -> Message | Reason:
    """The message, or why it is none. No entity is expanded, nothing is fetched, nothing of it is in the reason."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, dtd_validation=False
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        return Reason("not-xml", "the body is not well-formed XML")
    if root.getroottree().docinfo.doctype or any(e.tag is etree.Entity for e in root.iter()):
        return Reason("xml-entity", "a document type or entity is never read; send the text itself")
    if _deeper(root, DEEPEST):
        return Reason("not-script", f"the XML is nested deeper than {DEEPEST} levels")
    message = Message(body, root)
    if _name(root) != "Message" or not message.kind:
        return Reason("not-script", "the XML is not a Message with a Header and a Body", "Message")
    if wrong := _other_version(root):
        return Reason("wrong-version", f"only SCRIPT {VERSION} is taken here", wrong)
    return message


def _other_version(root: Any) -> str:
    """The attribute that names another version; a message that names none is taken for what it looks like."""
    for name in _VERSIONS:
        if (value := root.get(name)) and not value.startswith(VERSION):
            return f"Message/@{name}"
    return ""


def _children(element: Any) -> Iterator[Any]:
    return (child for child in element if isinstance(child.tag, str))


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _deeper(element: Any, levels: int) -> bool:
    return levels == 0 or any(_deeper(child, levels - 1) for child in _children(element))

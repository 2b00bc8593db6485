"""One SCRIPT message: a tree over bytes that stay as they came, so that what nobody here knows survives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from formats.reason import Reason
from formats.script.head import declares_type, with_id

VERSION = "2017071"
DEEPEST = 64
ENTITY = Reason("xml-entity", "a document type or entity is never read; send the text itself")
_VERSIONS = ("TransportVersion", "DatatypesVersion", "TransactionVersion", "StructuresVersion", "version")
_SPACE_VERSION = re.compile(r"20\d{5,6}")


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

    def with_id(self, id: str) -> Message | Reason:
        """The same with another MessageID; no other byte changes."""
        raw = with_id(self.raw, id)
        if raw is None:
            return Reason("no-message-id", "there is no MessageID to write ours into", "Header/MessageID")
        return parse(raw)


def parse(body: bytes) -> Message | Reason:
    """The message, or why it is none. No document type is read, nothing is fetched, nothing of it is in the reason."""
    if declares_type(body):
        return ENTITY
    root = _tree(body)
    if isinstance(root, Reason):
        return root
    if root.getroottree().docinfo.doctype or any(not isinstance(e.tag, str) for e in root.iter()):
        return ENTITY  # in an encoding that the first look could not read
    if _deeper(root, DEEPEST):
        return Reason("not-script", f"the XML is nested deeper than {DEEPEST} levels")
    if _name(root) != "Message":
        return Reason("not-script", "the XML is not a Message with a Header and a Body", "Message")
    if wrong := _other_version(root):
        return Reason("wrong-version", f"only SCRIPT {VERSION} is taken here", wrong)
    return _whole(Message(body, root))


def _tree(body: bytes) -> Any:
    """The root element. Comments and instructions are left out: they must not split a text in two."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        load_dtd=False,
        dtd_validation=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        undeclared = getattr(error, "code", None) == etree.ErrorTypes.ERR_UNDECLARED_ENTITY
        return ENTITY if undeclared else Reason("not-xml", "the body is not well-formed XML")


def _whole(message: Message) -> Message | Reason:
    """It, if it says one thing: a Status and an Error at once would be believed by halves."""
    body = message.find("Body")
    count = 0 if body is None else len(list(_children(body)))
    if count > 1:
        return Reason("several-transactions", "Body holds more than one transaction", "Body")
    if count < 1 or message.find("Header") is None:
        return Reason("not-script", "the XML is not a Message with a Header and a Body", "Message")
    return message


def _other_version(root: Any) -> str:
    """What names another version; a message that names none is taken for what it looks like."""
    for name in _VERSIONS:
        if (value := root.get(name)) and not value.startswith(VERSION):
            return f"Message/@{name}"
    named = _SPACE_VERSION.search(str(root.tag).partition("}")[0])
    return "Message/@xmlns" if named and not named[0].startswith(VERSION) else ""


def _children(element: Any) -> Iterator[Any]:
    return (child for child in element if isinstance(child.tag, str))


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _deeper(element: Any, levels: int) -> bool:
    return levels == 0 or any(_deeper(child, levels - 1) for child in _children(element))

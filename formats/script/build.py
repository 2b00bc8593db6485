"""Messages of our own: nested names and texts become XML, in the order in which they are given."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from formats.script.message import Message, parse

RELEASE = "20170715"
"""How messages of version 2017071 name their version."""
_VERSIONS = ("DatatypesVersion", "TransportVersion", "TransactionVersion", "StructuresVersion", "ECLVersion")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Tree = Iterable[tuple[str, Any]]
"""(name, text or Tree); what has no text and nothing below it is left out."""


class Header(NamedTuple):
    """Who writes to whom, with their qualifiers (P pharmacy, D prescriber, C clearinghouse); `sent` is UTC."""

    to: str
    to_kind: str
    sender: str
    sender_kind: str
    id: str
    sent: str
    relates: str = ""
    order: str = ""


def message(header: Header, kind: str, body: Tree) -> Message:
    """A whole message of one transaction."""
    from lxml import etree

    root = etree.Element("Message", dict.fromkeys(_VERSIONS, RELEASE) | {"TransactionDomain": "SCRIPT"})
    head = etree.SubElement(root, "Header")
    for name, kinds, text in (("To", header.to_kind, header.to), ("From", header.sender_kind, header.sender)):
        etree.SubElement(head, name, Qualifier=kinds).text = text
    _put(
        head,
        [
            ("MessageID", header.id or " "),
            ("RelatesToMessageID", header.relates),
            ("SentTime", header.sent),
            ("SenderSoftware", [("SenderSoftwareProduct", "Chartwire")]),
            ("PrescriberOrderNumber", header.order),
        ],
    )
    content = etree.SubElement(etree.SubElement(root, "Body"), kind)
    _put(content, body)
    made = parse(etree.tostring(root, encoding="UTF-8", xml_declaration=True))
    assert isinstance(made, Message)
    return made


def status(header: Header, code: str) -> Message:
    """It was received (010: by the one who acts on it; 000: by one on the way)."""
    return message(header, "Status", [("Code", code)])


def error(header: Header, code: str, text: str, detail: str = "") -> Message:
    """It was not taken: 600 try again, 602 the receiver's own trouble, 900 rejected. `detail`: the DescriptionCode."""
    return message(header, "Error", [("Code", code), ("DescriptionCode", detail), ("Description", text)])


def _put(parent: Any, tree: Tree) -> None:
    from lxml import etree

    for name, value in tree:
        below = [] if isinstance(value, str) else list(value)
        if not value or not (isinstance(value, str) or _any(below)):
            continue
        element = etree.SubElement(parent, name)
        if isinstance(value, str):
            element.text = _printable(value)
        else:
            _put(element, below)


def _any(tree: Tree) -> bool:
    return any(bool(value) if isinstance(value, str) else _any(list(value)) for _, value in tree)


def _printable(text: str) -> str:
    """What XML 1.0 can hold (section 2.2)."""
    return _UNPRINTABLE.sub("", text)

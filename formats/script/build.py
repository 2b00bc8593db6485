"""Messages of our own: nested names and texts become XML, in the order in which they are given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from formats.script.message import VERSION, Message, parse

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

    root = etree.Element(
        "Message",
        DatatypesVersion=VERSION,
        TransportVersion=VERSION,
        TransactionDomain="SCRIPT",
        TransactionVersion=VERSION,
        StructuresVersion=VERSION,
    )
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


def error(header: Header, code: str, text: str) -> Message:
    """It was not taken: 600 try again, 900 rejected."""
    return message(header, "Error", [("Code", code), ("Description", text)])


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
    """XML 1.0 has no control characters."""
    return "".join(c for c in text if c in "\t\n\r" or c >= " ")

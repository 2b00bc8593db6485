"""What a C-FIND is answered (PS3.4 C.4.1, K.4.1): one pending response for each match, then the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from adapters.dicom.bridge import Bridge
from adapters.dicom.store import CANNOT_UNDERSTAND, DOES_NOT_MATCH, OUT_OF_RESOURCES, Status, said
from engine.message import Accepted, Receipt, Received, Refused, Unavailable
from engine.plugin import Intake
from formats import dicom
from store.reason import Reason

PENDING = 0xFF00
CANCELLED = 0xFE00
_TURN = 0.001
"""Seconds between looks whether a response is out."""
UTF8 = "ISO_IR 192"


class Query(NamedTuple):
    """One C-FIND-RQ: the identifier as it came, in its transfer syntax, and who asks."""

    sop_class: str
    transfer_syntax: str
    identifier: bytes
    peer: str


class Find:
    """Puts a query to the engine. Its answer is a DICOM JSON array (PS3.18 F)."""

    def __init__(self, intake: Intake, bridge: Bridge) -> None:
        self._intake = intake
        self._bridge = bridge

    def __call__(self, query: Query) -> list[Any] | Status | None:
        """The matches as data sets, or a failure; None: no answer at all."""
        body = dicom.wrapped(query.sop_class, "", query.transfer_syntax, query.identifier)
        receipt = self._bridge.receipt(lambda: self._intake.ask(Received(body, peer=query.peer)))
        return _answered(receipt, body)


def _answered(receipt: Receipt, query: bytes) -> list[Any] | Status | None:
    match receipt:
        case Accepted(_, bytes(reply)):
            return data_sets(reply, _charset(query))
        case Refused(reason):
            return said(DOES_NOT_MATCH if reason.place else CANNOT_UNDERSTAND, reason)
        case Unavailable(reason):
            return said(OUT_OF_RESOURCES, reason)
        case _:
            return None


def _charset(query: bytes) -> str:
    """The one character set that the asker writes in, if there is one."""
    message = dicom.parse(query)
    names = [] if isinstance(message, Reason) else message.texts("SpecificCharacterSet")
    return names[0] if len(names) == 1 else ""


def data_sets(reply: bytes, charset: str) -> list[Any]:
    """In the asker's own character set where it has all the characters, else in UTF-8; ASCII needs none."""
    from pydicom.dataset import Dataset

    found = []
    for each in json.loads(reply):
        made = Dataset.from_json(each)
        if name := _needed(json.dumps(each, ensure_ascii=False), charset):
            made.SpecificCharacterSet = name
        found.append(made)
    return found


def _needed(text: str, charset: str) -> str:
    if text.isascii():
        return ""
    codecs = dicom.charset.codecs((charset,)) if charset else None
    try:
        if codecs:
            text.encode(codecs[0])
            return charset
    except (UnicodeError, LookupError):
        pass
    return UTF8


def responses(
    found: list[Any] | Status, cancelled: Callable[[], bool], settled: Callable[[], bool]
) -> Iterator[tuple[Status, Any]]:
    """Each waits until the one before is out, so that the asker can stop us (PS3.4 C.4.1.3)."""
    if isinstance(found, Status):
        yield found, None
        return
    for each in found:
        while not settled():
            time.sleep(_TURN)
        if cancelled():
            yield Status(CANCELLED), None
            return
        yield Status(PENDING), each

"""What a C-STORE is answered (PS3.4 B.2.3, PS3.7 9.1.1.1.9): success only when the engine has the instance."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import NamedTuple

from adapters.dicom.arriving import CUT, FULL, KEPT, Arriving
from adapters.dicom.bridge import Bridge
from engine.message import Accepted, Duplicate, Receipt, Received, Refused, Unavailable, Uncertain
from engine.plugin import Intake
from formats import dicom
from store.reason import Reason

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

OTHER_CLASS = Reason(
    "other-sop-class", "the data set is not of the class that the command names", "SOPClassUID"
)
OTHER_INSTANCE = Reason(
    "other-instance", "the data set is not the instance that the command names", "SOPInstanceUID"
)


class Command(NamedTuple):
    """What the C-STORE-RQ says of the data set, and who sent it."""

    sop_class: str
    sop_instance: str
    peer: str


class Status(NamedTuple):
    """The answer. `comment` is Error Comment (0000,0902): at most 64 characters."""

    code: int
    comment: str = ""


class Store:
    """Takes what has arrived, and says how to answer; None: not at all."""

    def __init__(self, intake: Intake, bridge: Bridge) -> None:
        self._intake = intake
        self._bridge = bridge

    def __call__(self, command: Command, arriving: Arriving) -> Status | None:
        arriving.close()
        if arriving.trouble is FULL:
            return said(OUT_OF_RESOURCES, FULL)
        if arriving.trouble is not None:
            return self._refuse(OUT_OF_RESOURCES, command, arriving.start, arriving.trouble)
        with self._intake.spool.open(arriving.path) as file:
            header = dicom.header(file)
        if isinstance(header, Reason):
            return self._refuse(CANNOT_UNDERSTAND, command, arriving.beginning(KEPT), header)
        if other := _other(command, header):
            return self._refuse(DOES_NOT_MATCH, command, header, other)
        return self._take(command, header, arriving)

    def cut(self, arriving: Arriving, peer: str) -> None:
        """Nobody waits for an answer any more; what began to arrive is kept for the record."""
        start = arriving.beginning(KEPT)
        try:
            key = dicom.read_meta(BytesIO(start)).sop_instance
        except dicom.Broken:
            key = None
        self._bridge.receipt(lambda: self._intake.refuse(Received(start, key, peer), CUT))

    def _refuse(self, code: int, command: Command, kept: bytes, reason: Reason) -> Status | None:
        received = Received(kept, command.sop_instance, command.peer)
        receipt = self._bridge.receipt(lambda: self._intake.refuse(received, reason))
        return None if isinstance(receipt, Uncertain) else said(code, reason)

    def _take(self, command: Command, header: bytes, arriving: Arriving) -> Status | None:
        try:
            spooled = self._intake.spool.keep(arriving.path)
        except OSError:
            return said(OUT_OF_RESOURCES, FULL)
        arriving.taken = True
        received = Received(header, command.sop_instance, command.peer, spooled=spooled)
        receipt = self._bridge.receipt(lambda: self._intake(received))
        if isinstance(receipt, Unavailable):
            with suppress(OSError):
                spooled.path.unlink()
        return answer(receipt)


def answer(receipt: Receipt) -> Status | None:
    match receipt:
        case Accepted() | Duplicate():
            return Status(SUCCESS)
        case Refused(reason):
            return said(CANNOT_UNDERSTAND, reason)
        case Unavailable(reason):
            return said(OUT_OF_RESOURCES, reason)
        case Uncertain():
            return None


def said(code: int, reason: Reason) -> Status:
    return Status(code, reason.text[:64])


def _other(command: Command, header: bytes) -> Reason | None:
    """Is it what the command said? What cannot be read at all is for the channel to say."""
    message = dicom.parse(header)
    if isinstance(message, Reason):
        return None
    try:
        if message.text("SOPClassUID") != command.sop_class:
            return OTHER_CLASS
        return OTHER_INSTANCE if message.text("SOPInstanceUID") != command.sop_instance else None
    except dicom.Undecodable:
        return OTHER_INSTANCE

"""Receipts in SCRIPT: Status and Error, related to the message that they answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from adapters.http.inbound import AFTER, Body, response, status_of
from engine.message import Accepted, Duplicate, Receipt, Refused, Unavailable
from formats import script
from formats.reason import Reason

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest, Response

XML = {"Content-Type": "application/xml"}
TAKEN, AGAIN, REJECTED = "010", "600", "900"


@dataclass(frozen=True, slots=True)
class Answering:
    """How receipts are said to partners of SCRIPT."""

    account: str
    senders: frozenset[str]
    receivers: frozenset[str]

    def key(self, request: BaseRequest, data: bytes) -> str | None:
        message = script.parse(data)
        return None if isinstance(message, Reason) else message.text("Header/MessageID") or None

    def refusal(self, data: bytes) -> Reason | None:
        """Not of a partner, or not for us."""
        message = script.parse(data)
        if isinstance(message, Reason):
            return None
        if self.senders and message.text("Header/From") not in self.senders:
            return Reason("unknown-partner", "From is nobody who may send here", "Header/From")
        if self.receivers and message.text("Header/To") not in self.receivers:
            return Reason("not-for-us", "To is nobody here", "Header/To")
        return None

    def answer(self, receipt: Receipt, body: Body, limit: int) -> Response:
        match receipt:
            case Accepted() | Duplicate():
                return response(200, self._said(body, TAKEN, ""), XML)
            case Refused(reason):
                text = f"{reason.code}{f' at {reason.place}' if reason.place else ''}: {reason.text}"
                broken = body.broken or body.size > limit
                status = status_of(receipt, body, limit) if broken else 200
                return response(status, self._said(body, REJECTED, text), XML)
            case Unavailable(reason):
                said = self._said(body, AGAIN, f"{reason.code}: {reason.text}")
                return response(503, said, {**XML, "Retry-After": str(AFTER)})
        return response(503, b"", {})  # never sent: the connection is closed

    def _said(self, body: Body, code: str, text: str) -> bytes:
        theirs = script.parse(body.data)
        to, to_kind, our_kind, relates = "", "C", "C", ""
        if isinstance(theirs, script.Message):
            to, relates = theirs.text("Header/From"), theirs.text("Header/MessageID")
            to_kind, our_kind = _kind(theirs, "From"), _kind(theirs, "To")
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        header = script.Header(to, to_kind, self.account, our_kind, token_hex(16), now, relates)
        made = script.error(header, code, text) if text else script.status(header, code)
        return made.raw


def _kind(message: script.Message, name: str) -> str:
    element = message.find(f"Header/{name}")
    return str(element.get("Qualifier") or "C") if element is not None else "C"

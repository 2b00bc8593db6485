"""Receipts in SCRIPT: Status and Error, related to the message that they answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING

from adapters.http.inbound import AFTER, Body, response, status_of
from engine.message import Accepted, Duplicate, Receipt, Refused, Unavailable
from formats import script
from formats.reason import Reason

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest, Response

XML = {"Content-Type": "application/xml"}
TAKEN, AGAIN, OURS, REJECTED = "010", "600", "602", "900"
DEFECTS = frozenset({"defect", "no-channel", "not-filed", "lost-body"})
"""Reasons that are the engine's own trouble: the sender's message may be sound."""
UNKNOWN = "C"
"""The kind of a partner who says none: a clearinghouse."""


@dataclass(frozen=True, slots=True)
class Answering:
    """How receipts are said to partners of SCRIPT."""

    account: str
    senders: frozenset[str]
    receivers: frozenset[str]

    def key(self, request: BaseRequest, data: bytes) -> str | None:
        return script.head(data).id or None

    def refusal(self, data: bytes) -> Reason | None:
        """Not of a partner, not for us, or nothing that an answer could name. What cannot be read as SCRIPT is left to
        what reads it whole."""
        if isinstance(script.parse(data), Reason):
            return None
        heard = script.head(data)
        if not heard.id:
            return Reason("no-message-id", "without one no answer can be related to it", "Header/MessageID")
        if self.senders and heard.sender not in self.senders:
            return Reason("unknown-partner", "From is nobody who may send here", "Header/From")
        if self.receivers and heard.to not in self.receivers:
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
                code = OURS if reason.code in DEFECTS else REJECTED
                return response(status, self._said(body, code, text), XML)
            case Unavailable(reason):
                said = self._said(body, AGAIN, f"{reason.code}: {reason.text}")
                return response(503, said, {**XML, "Retry-After": str(AFTER)})
        return response(503, b"", {})  # never sent: the connection is closed

    def _said(self, body: Body, code: str, text: str) -> bytes:
        """An answer to what the Header of theirs says, however little of the rest can be read. Its MessageID follows
        from what is answered and how: the answer to a resend is the same message again."""
        heard = script.head(body.data)
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        id = blake2b(b"\0".join((body.data, code.encode(), text.encode())), digest_size=16).hexdigest()
        kinds = (heard.sender_kind or UNKNOWN, heard.to_kind or UNKNOWN)
        header = script.Header(heard.sender, kinds[0], self.account, kinds[1], id, now, heard.id)
        return (script.error(header, code, text) if text else script.status(header, code)).raw

"""Where prescriptions go: posted over HTTPS, answered with Status or Error at once or later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.http.answers import Meaning, outcome
from adapters.http.destination import HttpDestination, Said
from engine.message import Delivered, Delivery, Outcome, Rejected, Retry, Unknown
from engine.plugin import destination
from formats import script
from formats.reason import Reason

LATER: Mapping[str, Meaning] = {"2xx": "unknown", "202": "delivered", "204": "delivered"}
"""What no Status and no Error means."""


@destination("ncpdp")
@dataclass
class NcpdpDestination(HttpDestination):
    """Posts SCRIPT messages, each under a MessageID of our own that is the same on every attempt.

    A Status for it is Delivered. An Error for it with code 600 (try again later) is Retry, with any other Rejected.
    202 or 204 without a body: it has arrived, and its Status or Error comes later; `expect:` of the route says until
    when. Any other 2xx without a body is Unknown, and so is an answer for another message, or one that is none; where
    a partner answers late with 200, say so: `answers: {"200": delivered}`. Other statuses are judged as those of the
    destination `http`, but for an Error in their body.
    """

    content_type: str = "application/xml"

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt."""
        message = script.parse(delivery.body)
        if isinstance(message, Reason):
            return Rejected(Reason("not-script", f"what is to be sent is no SCRIPT message: {message.code}"))
        ours = message.with_id(delivery.control)
        if isinstance(ours, Reason):
            return Rejected(ours)
        said = await self._exchange(delivery, ours.raw)
        if not isinstance(said, Said):
            return said
        if said.reply.strip() and (200 <= said.status < 300 or _refuses(said.reply, delivery.control)):
            return _judged(said.reply, delivery.control)
        return outcome(said.status, said.reply, b"", {**LATER, **self.answers})


def _refuses(reply: bytes, control: str) -> bool:
    """Is it an Error for what was sent? It says more than the status that carries it."""
    answer = script.parse(reply)
    if isinstance(answer, Reason):
        return False
    return answer.kind == "Error" and answer.text("Header/RelatesToMessageID") == control


def _judged(reply: bytes, control: str) -> Outcome:
    answer = script.parse(reply)
    if isinstance(answer, Reason):
        return Unknown(Reason("unknown-answer", f"the answer is no SCRIPT message: {answer.code}"))
    if answer.text("Header/RelatesToMessageID") != control:
        text = "the answer is for another message"
        return Unknown(Reason("other-message-id", text, "Header/RelatesToMessageID"))
    if answer.kind in ("Status", "Verify"):
        return Delivered(reply)
    if answer.kind != "Error":
        return Unknown(Reason("unknown-answer", "the answer is neither Status nor Error", "Body"))
    code = answer.text("Body/Error/Code")
    reason = Reason("script-error", f"answered Error {code if code.isdecimal() else 'without a code'}")
    return Retry(reason) if code == "600" else Rejected(reason, reply)

"""Where prescriptions go: posted over HTTPS, answered with Status or Error at once or later."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.http.answers import outcome
from adapters.http.destination import HttpDestination, Said
from engine.message import Delivered, Delivery, Outcome, Rejected, Retry, Unknown
from engine.plugin import destination
from formats import script
from formats.reason import Reason


@destination("ncpdp")
@dataclass
class NcpdpDestination(HttpDestination):
    """Posts SCRIPT messages, each under a MessageID of our own that is the same on every attempt.

    A Status for it is Delivered. An Error for it with code 600 (try again later) is Retry, with any other Rejected.
    2xx without a SCRIPT message: it has arrived, and its Status or Error comes later; `expect:` of the route says
    until when. An answer for another message, or that is none, is Unknown. Other statuses are judged as those of the
    destination `http`.
    """

    content_type: str = "application/xml"

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt."""
        message = script.parse(delivery.body)
        if isinstance(message, Reason):
            return Rejected(Reason("not-script", f"what is to be sent is no SCRIPT message: {message.code}"))
        said = await self._exchange(delivery, message.with_id(delivery.control).raw)
        if not isinstance(said, Said):
            return said
        if not 200 <= said.status < 300:
            return outcome(said.status, said.reply, b"", self.answers)
        return _judged(said.reply, delivery.control) if said.reply.strip() else Delivered()


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

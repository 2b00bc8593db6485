"""Where messages go over MLLP: to a receiver that acknowledges each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from ssl import SSLContext
from typing import Annotated, ClassVar, Literal

from adapters import tls
from adapters.mllp import sequence
from adapters.mllp.answer import Answer, Code
from adapters.mllp.framing import FS
from adapters.mllp.outbound import Failure, Manners, Outbound, connect
from adapters.mllp.stamp import link_start, stamped
from engine.message import Delivered, Delivery, Outcome, Rejected, Retry, Unknown
from engine.plugin import destination
from engine.settings import Seconds
from store.reason import Reason

Meaning = Literal["delivered", "retry", "rejected"]

ANSWERS: Mapping[Code, Meaning] = {
    "AA": "delivered",
    "CA": "delivered",
    "AE": "retry",
    "CE": "retry",
    "AR": "rejected",
    "CR": "rejected",
}
"""What MSA-1 means (table 0008). Receivers disagree about E and R: many say AE while their own systems are
down, and AR to what they will never take. One that says them the other way round (this engine's own listener
does: AE is the content, AR its trouble) is told apart by `answers: {AE: rejected, AR: retry}`.
"""


@destination("mllp")
@dataclass
class MllpDestination:
    """Sends HL7 v2 messages over persistent MLLP connections, each under a control id (MSH-10) of our own.

    The next message on a connection waits for the answer to the one before. MSH-15 goes out as it stands: it
    must not tell the receiver to be silent.
    """

    counts: ClassVar[bool] = True

    host: Annotated[str, "where the receiver listens"]
    port: Annotated[int, "its TCP port"]
    timeout: Annotated[Seconds, "how long to wait for a connection, and then for each answer"] = 30.0
    answers: Annotated[Mapping[Code, Meaning], "what MSA-1 means, where the default does not suit"] = field(
        default_factory=dict
    )
    ignore_control_id: Annotated[
        bool, "true: for a receiver whose MSA-2 names nothing of ours, and that answers each message once"
    ] = False
    fixed_answer: Annotated[
        str, 'what it answers instead of an acknowledgement, whatever it thinks of the message: "\\x06"'
    ] = ""
    persistent: Annotated[bool, "false: a connection of its own for each message"] = True
    tls: Annotated[bool, "encrypt, and check the receiver's certificate"] = False
    ca: Annotated[Path | None, "PEM file: the authority that the receiver's certificate must be of"] = None
    certificate: Annotated[
        Path | None, "PEM file with our certificate chain, if the receiver asks for one"
    ] = None
    key: Annotated[Path | None, "PEM file with its private key, if that is not in the same file"] = None

    accept_plaintext_risk: Annotated[
        str, "a sentence that names the risk of sending off loopback without TLS"
    ] = ""

    def __post_init__(self) -> None:
        self._idle: list[Outbound] = []
        self._busy: set[Outbound] = set()
        self._meanings = {**ANSWERS, **self.answers}
        self._context: SSLContext | None = None

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        return tls.problems(self)

    def risks(self) -> list[str]:
        """What was accepted by name; listed at every start."""
        if not tls.exposed(self):
            return []
        return [f"plaintext MLLP to {self.host}:{self.port}: {self.accept_plaintext_risk}"]

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt. Retry: not sent, or refused for now. Unknown: sent, but no answer that can be used."""
        body = _outgoing(delivery, None)
        if isinstance(body, Reason):
            return Rejected(body)
        connection = await self._connection()
        if isinstance(connection, Reason):
            return Retry(connection)
        self._busy.add(connection)
        try:
            if delivery.counted:
                return await self._counted(delivery, connection)
            answer = await connection.exchange(body, delivery.control.encode(), self.timeout)
        finally:
            self._busy.discard(connection)
            if connection.open and self.persistent:
                self._idle.append(connection)
            else:
                connection.close()
        if isinstance(answer, Failure):
            return Unknown(Reason(_CODES[answer], answer.value))
        return self._outcome(answer)

    async def _counted(self, delivery: Delivery, connection: Outbound) -> Outcome:
        """One attempt by the sequence number protocol (2.10.1): a new connection starts the link, and what the receiver
        then expects tells what became of the message before."""
        if connection.expected is None:
            control = f"{delivery.control}-0"
            start = link_start(delivery.body, control)
            answer = await connection.exchange(start, control.encode(), self.timeout)
            if isinstance(answer, Failure):
                return Retry(Reason(_CODES[answer], f"at the start of the link: {answer.value}"))
            if answer.expected is None:
                connection.close()
                return Retry(Reason("sequence", "the receiver does not say which number it expects (MSA-4)"))
            connection.expected = answer.expected
        number = sequence.number(delivery.sequence, connection.expected, tried=delivery.tried)
        if number is None:
            return Delivered(sequence=delivery.sequence)
        if isinstance(number, Reason):
            connection.close()
            return Retry(number)
        body = _outgoing(delivery, number)
        assert isinstance(body, bytes)
        answer = await connection.exchange(body, delivery.control.encode(), self.timeout)
        if isinstance(answer, Failure):
            return Unknown(Reason(_CODES[answer], answer.value))
        outcome = self._outcome(answer)
        if isinstance(outcome, Delivered):
            connection.expected = number + 1
            return replace(outcome, sequence=number)
        if answer.expected not in (None, number):
            connection.close()  # the link is started anew
            return Retry(sequence.frozen(number, answer.expected or 0))
        return outcome

    async def close(self) -> None:
        """Close every connection; a delivery under way ends as Unknown."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()

    async def _connection(self) -> Outbound | Reason:
        """An open one: the one used last, so that those not needed are closed by the receiver's own clock."""
        while self._idle:
            if (connection := self._idle.pop()).open:
                return connection
        try:
            context = self._trust()
        except OSError as error:
            return Reason("tls-files", f"the TLS files cannot be read: {type(error).__name__}")
        manners = Manners(self.ignore_control_id, self.fixed_answer.encode("latin-1", "replace"))
        return await connect(self.host, self.port, context, self.timeout, manners)

    def _trust(self) -> SSLContext | None:
        if self.tls and not self._context:
            self._context = tls.client(self.ca, self.certificate, self.key)
        return self._context

    def _outcome(self, answer: Answer) -> Outcome:
        meaning = self._meanings[answer.code]
        if meaning == "delivered":
            refused = [each for each in answer.parts if self._meanings[each.code] != "delivered"]
            found = tuple((each.control.decode("latin-1"), _reason(each)) for each in refused)
            return Delivered(answer.body, final=answer.code[0] == "A", refused=found)
        return Retry(_reason(answer)) if meaning == "retry" else Rejected(_reason(answer), answer.body)


def _reason(answer: Answer) -> Reason:
    number = f", error {answer.error}" if answer.error else ""
    return Reason(f"answered-{answer.code.lower()}", f"the receiver said {answer.code}{number}", answer.place)


_CODES = {
    Failure.SILENT: "no-answer",
    Failure.CLOSED: "closed",
    Failure.GARBLED: "garbled-answer",
    Failure.OTHER: "other-control-id",
}


def _outgoing(delivery: Delivery, number: int | None) -> bytes | Reason:
    """The payload under our own control id, and its number on a link that counts."""
    if FS in delivery.body:
        return Reason("not-sendable", "the message contains FS, which ends an MLLP block")
    return stamped(delivery.body, delivery.control, number)

"""One instance out: an association of its own, the data set byte for byte, the status that comes back."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any

from adapters.dicom.seam import careful, prepare
from engine.message import Delivered, Outcome, Rejected, Retry, Unknown
from formats import dicom
from store.reason import Reason

LARGEST_PDU = 256 << 10
"""Bytes of one P-DATA PDU, if the receiver takes more, or as many as we like (PS3.8 D.1: 0)."""
_AHEAD = 4
"""PDUs that are read from the file before the one before is out."""
_TURN = 0.0005

UNCONNECTED = Reason("not-connected", "no association: nobody answers there, or not in time")
REFUSED = Reason("association-refused", "the receiver refuses the association: see its AE titles, and ours")
NO_CONTEXT = Reason(
    "no-presentation-context", "the receiver does not take this kind of instance in its transfer syntax"
)
UNANSWERED = Reason("no-answer", "the instance was sent, but there is no answer to it")
OTHER = Reason("other-message", "the answer is for another message than the one that was sent")
GONE = Reason("no-file", "the instance is not in the spool any more")
BUSY = frozenset({0x0110, 0x0210, 0x0213})
"""General failures (PS3.7 C) that pass: processing failure, duplicate invocation, resource limitation."""


class Lost(Exception):
    """The association is over, or the receiver takes nothing more."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where, under which names, how long to wait for each answer."""

    host: str
    port: int
    title: str
    calling: str
    timeout: float
    context: SSLContext | None


class Outbound:
    """One attempt; it blocks, so it is made in a thread. `stop`, from any thread, ends it."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._association: Any = None
        self._stopped = False
        self._answered_to: int | None = None

    def send(self, path: Path, number: int) -> Outcome:
        """The file at `path` under the Message ID `number` (PS3.7 9.1.1.1.1: 16 bits)."""
        try:
            with path.open("rb") as file:
                meta = dicom.read_meta(file)
        except OSError:
            return Rejected(GONE)
        except dicom.Broken:
            return Rejected(dicom.NOT_DICOM)
        try:
            self._association = self._associated(meta)
        except OSError as e:
            return Retry(Reason("not-connected", f"no association: {type(e).__name__}"))
        if not self._association.is_established:
            return self._refusal()
        try:
            return self._stored(path, number)
        finally:
            self._leave()

    def stop(self) -> None:
        """What was sent may have been taken or not."""
        self._stopped = True
        with suppress(Exception):
            self._association.dul.socket.socket.shutdown(socket.SHUT_RDWR)

    def _associated(self, meta: dicom.Meta) -> Any:
        prepare()
        from pynetdicom import AE, build_context, evt

        to = self._receiver
        entity = AE(to.calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = to.timeout
        entity.connection_timeout = to.timeout
        return entity.associate(
            to.host,
            to.port,
            contexts=[build_context(meta.sop_class, meta.transfer_syntax)],
            ae_title=to.title,
            tls_args=(to.context, to.host) if to.context else None,
            evt_handlers=[(evt.EVT_DIMSE_RECV, self._heard)],
        )

    def _refusal(self) -> Outcome:
        if self._association.rejected_contexts:
            return Rejected(NO_CONTEXT)
        return Retry(REFUSED if self._association.is_rejected else UNCONNECTED)

    def _stored(self, path: Path, number: int) -> Outcome:
        association = self._association
        if self._stopped:
            return Retry(UNCONNECTED)
        association.dimse.send_msg = self._paced
        association.dimse.receive_primitive = careful(association)
        try:
            peer = association.dul.socket.socket
            peer.settimeout(self._receiver.timeout)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer = association.send_c_store(path, msg_id=number)
        except (Lost, OSError, RuntimeError, AttributeError):
            association.abort()
            return Unknown(UNANSWERED)
        if "Status" not in answer:
            return Unknown(UNANSWERED)
        if self._answered_to != number:
            return Unknown(OTHER)
        return outcome(int(answer.Status), str(answer.get("ErrorComment", "")))

    def _heard(self, event: Any) -> None:
        """EVT_DIMSE_RECV: which message is answered (0000,0120)."""
        self._answered_to = event.message.command_set.get("MessageIDBeingRespondedTo")

    def _paced(self, primitive: Any, context: int) -> None:
        """As `DIMSEServiceProvider.send_msg`, which would read the whole file into its queue at once."""
        from pynetdicom.dimse_messages import C_STORE_RQ

        message = C_STORE_RQ()
        message.primitive_to_message(primitive)
        message.context_id = context
        most = self._association.acceptor.maximum_length or LARGEST_PDU
        for piece in message.encode_msg(context, min(most, LARGEST_PDU) & ~1):
            self._wait()
            self._association.dul.send_pdu(piece)

    def _wait(self) -> None:
        """Until few pieces are on their way. Raises Lost."""
        dul = self._association.dul
        end = time.monotonic() + self._receiver.timeout
        while dul.to_provider_queue.qsize() >= _AHEAD:
            if not dul.is_alive() or not self._association.is_established or time.monotonic() > end:
                raise Lost
            time.sleep(_TURN)

    def _leave(self) -> None:
        with suppress(Exception):
            if self._association.is_established and not self._stopped:
                self._association.release()
            else:
                self._association.abort()


def outcome(status: int, comment: str) -> Outcome:
    """What a C-STORE status means (PS3.4 B.2.3, PS3.7 C): a warning says that it was stored."""
    reply = f"{status:04X} {comment}".strip().encode()
    if status == 0x0000 or status >> 12 == 0xB or status == 0x0001:
        return Delivered(reply)
    reason = Reason(f"status-{status:04x}", f"the receiver answered C-STORE with status {status:04X}")
    if status >> 8 == 0xA7 or status in BUSY:
        return Retry(reason)
    return Rejected(reason, reply)


@contextmanager
def in_memory(body: bytes) -> Iterator[Path]:
    """A file that is on no disk, for a body that is in no spool."""
    handle = os.memfd_create("dicom")
    try:
        os.write(handle, body)
        yield Path(f"/proc/{os.getpid()}/fd/{handle}")
    finally:
        os.close(handle)

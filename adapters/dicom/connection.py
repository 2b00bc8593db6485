"""One association: what it may take, what it holds, and how it ends. All of pynetdicom's own state is asked here."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from adapters.dicom.arriving import Arriving
from adapters.dicom.seam import careful, invalid, writing_to

SET_MOST = 1 << 20
"""Bytes of a command, or of a query's identifier."""
NEGOTIATION = 1 << 20
"""Bytes that a PDU may be longer than was agreed: those that negotiate are not bound by it."""
_PENDING = (0xFF00, 0xFF01)


_QUICKACK = getattr(socket, "TCP_QUICKACK", None)


def at_once(peer: socket.socket) -> None:
    """Acknowledge what came: many senders hold back the next small PDU until that (Nagle), and Linux the
    acknowledgement for 40 ms."""
    if _QUICKACK is not None:
        peer.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


class Connection:
    """Around pynetdicom's association: a PDU must be whole `within` so many seconds and no longer than agreed,
    a data set no longer than `most`; whatever arrived and was not taken is removed at the end."""

    def __init__(self, association: Any, create: Callable[[], IO[bytes]], most: int, within: float) -> None:
        self._association = association
        self._create = create
        self._most = most
        self._within = within
        self._arriving: list[Arriving] = []
        self._lock = threading.Lock()
        self._busy = False
        self._stopping = False
        self._send = association.dimse.send_msg
        self._receive = careful(association)
        self._longest = association.acceptor.maximum_length + NEGOTIATION
        association.dimse.send_msg = self._sent
        association.dimse.receive_primitive = self._received
        association.dul.socket.recv = self._read
        association.dul.daemon = True

    def serve(self, cut: Callable[[Arriving, str], None]) -> None:
        """Until it is over, in a thread of its own. `cut` is told of what was cut off, and by whom."""
        association = self._association
        try:
            association.start()
            association.join()
            association.dul.join()
            for each in self._arriving:
                if each.cut() and not self._stopping:
                    cut(each, association.requestor.ae_title.strip())
        finally:
            for each in self._arriving:
                each.discard()

    # -- what pynetdicom's threads do

    def _read(self, size: int) -> bytearray:
        """Exactly `size` bytes, fewer at the end of the stream. OSError: too many, or not in time."""
        if size > self._longest:
            raise OSError("a PDU that is longer than agreed")
        found, at, end = bytearray(size), 0, time.monotonic() + self._within
        peer, view = self._association.dul.socket.socket, memoryview(found)
        while at < size:
            peer.settimeout(max(end - time.monotonic(), 0.001))
            at_once(peer)
            if not (read := peer.recv_into(view[at:])):
                self._give_up()
                return found[:at]
            at += read
        return found

    def _received(self, primitive: Any) -> None:
        """One P-DATA: pieces of a command, or of a data set."""
        with writing_to(self._begin):
            self._receive(primitive)
        message = self._association.dimse.message
        if message is not None:
            held = message.encoded_command_set.tell() + (message.data_set.tell() if message.data_set else 0)
            if held > SET_MOST:
                invalid(self._association)

    def _begin(self) -> Arriving:
        self._arriving = [each for each in self._arriving if not each.taken]
        arriving = Arriving(self._create, self._most)
        self._arriving.append(arriving)
        return arriving

    def _sent(self, primitive: Any, context: int) -> None:
        self._send(primitive, context)
        if getattr(primitive, "Status", None) not in _PENDING:
            self._done()

    # -- one request at a time

    def begin(self) -> bool:
        """A request is in hand: may it be taken?"""
        with self._lock:
            self._busy = not self._stopping
            return self._busy

    def _done(self) -> None:
        with self._lock:
            self._busy = False
            stopping = self._stopping
        if stopping:
            self.abort()

    def stop(self) -> None:
        """Take nothing more; be gone when what is in hand is answered."""
        with self._lock:
            self._stopping = True
            idle = not self._busy
        if idle:
            self.abort()

    def abort(self) -> None:
        """End it without a further answer."""
        association = self._association
        with suppress(Exception):
            if association.is_established:
                association.abort()
            else:
                association.dul.socket.close()
                self._give_up()

    def _give_up(self) -> None:
        """Who is gone before he asked for an association is not waited for."""
        if self._association.requestor.primitive is None:
            self._association.dul.to_user_queue.put(None)

    def settled(self) -> bool:
        """Is everything sent that was to be sent?"""
        return bool(self._association.dul.to_provider_queue.empty())

"""One connection of a sender: frames go to the intake as they come, answers go back in the same order."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

import structlog

from adapters.mllp.acknowledgement import Acknowledger
from adapters.mllp.doorman import Doorman
from adapters.mllp.framing import Event, Frame, Framer, Noise, Overlong, Truncated, block
from engine.message import Receipt, Received, Uncertain
from engine.plugin import SEVERAL, Intake
from formats.hl7v2 import msh
from formats.hl7v2.msh import Header
from store.reason import Reason

FRAMES = 256
"""With so many frames in hand (taken, not answered) a connection is not read any further."""
BYTES = 4 << 20
"""Nor with so many bytes in hand."""
LINGER = 2.0
"""Seconds that a sender has to take its last answers and close."""

_IDLE = b" \t\r\n\0"  # what senders put between blocks, or into empty ones, to keep a connection alive

log = structlog.get_logger("mllp")


class _Held(NamedTuple):
    """One frame in hand. `silent`: it gets no answer; `message` False: it is not even a message."""

    header: Header | None
    receipt: asyncio.Future[Receipt]
    size: int
    message: bool = True
    silent: bool = False


class Listener:
    """What the connections of one source share: the way in, the way to answer, whether it is still open."""

    def __init__(
        self,
        intake: Intake,
        acknowledger: Acknowledger,
        framer: Callable[[], Framer],
        doorman: Doorman,
        idle: float | None = None,
        *,
        sequence: bool = False,
        single: bool = False,
    ) -> None:
        self.sequence = sequence
        self.single = single
        self.intake = intake
        self.acknowledger = acknowledger
        self.framer = framer
        self.doorman = doorman
        self.idle = idle
        self.connections: set[Inbound] = set()
        self.open = True

    async def close(self) -> None:
        """Answer what is in hand on every connection and close it."""
        self.open = False
        connections = list(self.connections)
        try:
            for connection in connections:
                connection.finish()
            if connections:
                await asyncio.wait([connection.closed for connection in connections])
        finally:
            for connection in list(self.connections):
                connection.abort()


class Inbound(asyncio.Protocol):
    """Serves one connection until the sender leaves, or `finish` is called and all in hand is answered."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._intake = listener.intake
        self._framer = listener.framer()
        self._held: deque[_Held] = deque()
        self._bytes = 0
        self._awaited: asyncio.Future[Receipt] | None = None
        self._clogged = False  # the sender does not read its answers
        self._paused = False
        self._deaf = False  # nothing more is taken from it
        self._ended = False  # it will send nothing more
        self._linger: asyncio.TimerHandle | None = None
        self._attending: asyncio.TimerHandle | None = None
        self._heard = 0.0  # when something came last, by the loop's clock
        self._admitted = False
        self._peer = ""
        self._transport: asyncio.Transport
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = prompt(transport)
        self._peer = (transport.get_extra_info("peername") or ("",))[0]
        self._listener.connections.add(self)
        self._admitted = self._listener.doorman.admits(self._peer)
        if not self._admitted:
            self._deaf = True
            self.abort()
            return
        if self._listener.single:
            for other in [c for c in self._listener.connections if c is not self and c._peer == self._peer]:
                log.info("a new connection takes the place of one before", peer=self._peer)
                other.finish()
        self._heard = asyncio.get_running_loop().time()
        self._attend()
        if not self._listener.open:
            self.finish()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._heard = asyncio.get_running_loop().time()
        for event in self._framer.feed(data):
            self._take(event)
        self._answer()
        self._brake()

    def pause_writing(self) -> None:
        self._clogged = True
        self._brake()

    def resume_writing(self) -> None:
        self._clogged = False
        self._brake()

    def eof_received(self) -> bool:
        self._stop_taking(unfinished=True)
        self._ended = True
        self._answer()
        return bool(self._held) and self._transport.can_write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_taking(unfinished=True)
        self._held.clear()
        for timer in (self._linger, self._attending):
            if timer:
                timer.cancel()
        if self._admitted:
            self._listener.doorman.left(self._peer)
        self._listener.connections.discard(self)
        self.closed.set_result(None)

    # -- in

    def _take(self, event: Event) -> None:
        if isinstance(event, Frame):
            self._frame(event.body)
        elif isinstance(event, Overlong):
            self._refuse(event.head, _overlong(event))
        elif isinstance(event, Truncated):
            self._refuse(event.body, _TRUNCATED)
        elif event.head.strip(_IDLE):
            self._refuse(event.head, _noise(event), silent=True)

    def _frame(self, body: bytes) -> None:
        header = msh.read(body)
        message = True
        if reason := msh.refusal(body, header):
            if reason.code not in SEVERAL:
                if body.strip(_IDLE):
                    self._refuse(body, reason)
                return
            header, message = header or msh.envelope(body), False  # a channel may take it apart
        number = _number(header) if self._listener.sequence else None
        if isinstance(number, Reason):
            self._refuse(body, number)
            return
        received = Received(body, header.key if header else None, self._peer, sequence=number)
        self._hold(_Held(header, self._intake(received), len(body), message=message))

    def _refuse(self, body: bytes, reason: Reason, *, silent: bool = False) -> None:
        header = msh.read(body)
        received = Received(body, header.key if header else None, self._peer)
        receipt = self._intake.refuse(received, reason)
        self._hold(_Held(header, receipt, len(body), message=False, silent=silent))

    def _hold(self, held: _Held) -> None:
        self._held.append(held)
        self._bytes += held.size

    def _stop_taking(self, *, unfinished: bool) -> None:
        """Take nothing more; what the sender left `unfinished` is refused."""
        if unfinished and not self._deaf:
            for event in self._framer.close():
                self._take(event)
        self._deaf = True

    def _brake(self) -> None:
        """Read on only while little is in hand; TCP makes the sender wait."""
        if self._transport.is_closing():
            return
        share = 2 if self._paused else 1  # once stopped, wait until half of it is answered
        full = len(self._held) * share >= FRAMES or self._bytes * share >= BYTES
        pause = (full or self._clogged) and not self._deaf
        if pause != self._paused:
            self._paused = pause
            (self._transport.pause_reading if pause else self._transport.resume_reading)()

    # -- out

    def _settled(self, receipt: asyncio.Future[Receipt]) -> None:
        self._awaited = None
        self._answer()
        self._brake()

    def _answer(self) -> None:
        """Write the answers of all that is settled at the head of the queue, in one go."""
        answers: list[bytes] = []
        certain = True
        while certain and self._held and self._held[0].receipt.done():
            held = self._held.popleft()
            self._bytes -= held.size
            receipt = _receipt(held.receipt)
            certain = not isinstance(receipt, Uncertain)
            answer = self._listener.acknowledger.answer(held.header, receipt, message=held.message)
            if answer is not None and not held.silent:
                answers.append(block(answer))
        if answers and not self._transport.is_closing():
            self._transport.write(b"".join(answers))
        if not certain:
            log.warning("closed without an answer", peer=self._peer, unanswered=1 + len(self._held))
            self._held.clear()
            self.finish()
        elif self._held:
            self._await(self._held[0].receipt)
        elif self._deaf:
            self._leave()

    def _await(self, receipt: asyncio.Future[Receipt]) -> None:
        if receipt is not self._awaited:
            self._awaited = receipt
            receipt.add_done_callback(self._settled)

    # -- the end

    def _attend(self) -> None:
        """Look again when nothing may have come for too long."""
        if self._listener.idle is None:
            return
        loop = asyncio.get_running_loop()
        left = self._listener.idle if self._held else self._heard + self._listener.idle - loop.time()
        if left > 0:
            self._attending = loop.call_later(left, self._attend)
        else:
            log.info("closed, nothing came for too long", peer=self._peer)
            self._attending = None
            self._stop_taking(unfinished=True)
            self._answer()

    def finish(self) -> None:
        """Take nothing more, answer what is in hand, then close. `closed` is done when that is over."""
        self._stop_taking(unfinished=False)
        self._brake()
        self._answer()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _leave(self) -> None:
        """Close so that the last answers arrive: with bytes unread, a plain close would reset them away."""
        if self._transport.is_closing() or self._linger:
            return
        self._linger = asyncio.get_running_loop().call_later(LINGER, self.abort)
        if self._transport.can_write_eof() and not self._ended:
            self._transport.write_eof()
        else:
            self._transport.close()


def prompt(transport: asyncio.BaseTransport) -> asyncio.Transport:
    """Send small blocks at once, and notice a dead peer."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return cast(asyncio.Transport, transport)  # uvloop's is one in all but name


def _number(header: Header | None) -> int | Reason | None:
    """MSH-13; a message without one is not counted."""
    text = header.fields[13] if header else b""
    if not text:
        return None
    if text.isdigit() and len(text) <= 15:  # an NM of that length (2.15.9.13)
        return int(text)
    return Reason("sequence", "the sequence number is not a whole number from 0", "MSH-13")


_TRUNCATED = Reason(
    "truncated",
    "the block has no end; if the sender leaves out the final CR, set require_final_cr: false",
)


def _overlong(event: Overlong) -> Reason:
    return Reason("frame-too-long", f"a block of {event.size} bytes; max_frame sets the limit")


def _noise(event: Noise) -> Reason:
    return Reason("not-framed", f"{event.size} bytes outside of a block; MLLP begins each with VT")


def _receipt(future: asyncio.Future[Receipt]) -> Receipt:
    """An intake that fails without a receipt leaves us as uncertain as it is."""
    if future.cancelled() or future.exception():
        return Uncertain()
    return future.result()

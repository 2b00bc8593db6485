"""One connection of a sender: frames go to the intake as they come, answers go back in the same order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import structlog

from adapters.mllp import header as msh
from adapters.mllp.acknowledgement import Acknowledger
from adapters.mllp.framing import Event, Frame, Framer, Noise, Overlong, Truncated, block
from adapters.mllp.header import Header
from engine.message import Receipt, Received, Uncertain
from engine.plugin import Intake
from store.reason import Reason

FRAMES = 256
"""Frames in hand on one connection, that is not answered yet, above which it is not read any further."""
BYTES = 4 << 20
"""The same in bytes."""
LINGER = 2.0
"""Seconds that a sender has to take its last answers and close."""

log = structlog.get_logger(__name__)


class _Held(NamedTuple):
    """One frame in hand. `silent`: it gets no answer; `message` False: it is not even a message."""

    header: Header | None
    receipt: asyncio.Future[Receipt]
    size: int
    message: bool = True
    silent: bool = False


class Inbound(asyncio.Protocol):
    """Serves one connection until the sender leaves, or `finish` is called and all in hand is answered."""

    def __init__(
        self,
        intake: Intake,
        acknowledger: Acknowledger,
        framer: Framer,
        connections: set[Inbound],
    ) -> None:
        self._intake = intake
        self._acknowledger = acknowledger
        self._framer = framer
        self._connections = connections
        self._held: deque[_Held] = deque()
        self._bytes = 0
        self._awaited: asyncio.Future[Receipt] | None = None
        self._clogged = False  # the sender does not read its answers
        self._paused = False
        self._deaf = False  # nothing more is taken from it
        self._peer = ""
        self._transport: asyncio.Transport
        self.closed = asyncio.get_running_loop().create_future()

    # -- what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer = (transport.get_extra_info("peername") or ("",))[0]
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
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
        self._end()
        self._deaf = True
        self._answer()
        return bool(self._held) and self._transport.can_write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self._end()
        self._deaf = True
        self._held.clear()
        self._connections.discard(self)
        self.closed.set_result(None)

    # -- in

    def _take(self, event: Event) -> None:
        if isinstance(event, Frame):
            self._frame(event.body)
        elif isinstance(event, Overlong):
            self._refuse(event.head, _overlong(event))
        elif isinstance(event, Truncated):
            self._refuse(event.body, _TRUNCATED)
        elif event.head.strip():
            self._refuse(event.head, _noise(event), silent=True)

    def _frame(self, body: bytes) -> None:
        header = msh.read(body)
        if reason := msh.refusal(body, header):
            if body.strip():
                self._refuse(body, reason)
            return
        received = Received(body, header.key if header else None, self._peer)
        self._hold(_Held(header, self._intake(received), len(body)))

    def _refuse(self, body: bytes, reason: Reason, *, silent: bool = False) -> None:
        header = msh.read(body)
        received = Received(body, header.key if header else None, self._peer)
        receipt = self._intake.refuse(received, reason)
        self._hold(_Held(header, receipt, len(body), message=False, silent=silent))

    def _hold(self, held: _Held) -> None:
        self._held.append(held)
        self._bytes += held.size

    def _end(self) -> None:
        """The sender says no more: what it left unfinished is refused."""
        if not self._deaf:
            for event in self._framer.close():
                self._take(event)

    def _brake(self) -> None:
        """Read on only while what is in hand is little; TCP makes the sender wait."""
        if self._transport.is_closing():
            return
        if not self._paused:
            if self._clogged or len(self._held) >= FRAMES or self._bytes >= BYTES:
                self._transport.pause_reading()
                self._paused = True
        elif self._deaf or not (self._clogged or len(self._held) > FRAMES // 2 or self._bytes > BYTES // 2):
            self._transport.resume_reading()
            self._paused = False

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
            answer = self._acknowledger.answer(held.header, receipt, message=held.message)
            if answer is not None and not held.silent:
                answers.append(block(answer))
        if answers and not self._transport.is_closing():
            self._transport.write(b"".join(answers))
        if not certain:
            log.warning("mllp.uncertain", peer=self._peer, unanswered=1 + len(self._held))
            self._held.clear()
            self._leave()
        elif self._held:
            self._await(self._held[0].receipt)
        elif self._deaf:
            self._leave()

    def _await(self, receipt: asyncio.Future[Receipt]) -> None:
        if receipt is not self._awaited:
            self._awaited = receipt
            receipt.add_done_callback(self._settled)

    # -- the end

    def finish(self) -> None:
        """Take nothing more, answer what is in hand, then close. `closed` is done when that is over."""
        self._deaf = True
        self._brake()
        self._answer()

    def _leave(self) -> None:
        """Close so that the last answers arrive: bytes left unread would make TCP reset them away."""
        self._deaf = True
        if self._transport.is_closing():
            return
        ...

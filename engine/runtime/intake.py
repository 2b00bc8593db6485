"""Intake: received bytes become a durable row before anyone is told that they arrived."""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import structlog

from engine.api import FhirSource
from engine.channel import Body, Channel, Configuration
from engine.journal import SQL, audit, inbox, owed
from engine.journal.configuration import judged
from engine.journal.inbox import Waiting
from engine.journal.spool import Spool
from engine.message import (
    Accepted,
    Answered,
    Duplicate,
    Processed,
    Receipt,
    Received,
    Refused,
    Spooled,
    State,
    Stop,
    Unavailable,
    Uncertain,
)  # fmt: skip
from engine.plugin import SEVERAL
from engine.runtime import clock
from engine.runtime.compute import computed
from engine.runtime.counting import counted
from engine.runtime.filing import Filed, Lane, file, file_all
from engine.runtime.metrics import Metrics
from engine.runtime.reading import Reader
from store.database import Alone, Connection
from store.database import Uncertain as CommitUncertain
from store.database.commit import Committer
from store.reason import Reason

REFUSED_BYTES_PER_PEER = 16 * 1024 * 1024
BRIEF = 32 * 1024
"""Bytes of a message that may be computed while the event loop waits: about a millisecond's work."""
HEAD = 64 * 1024
NOBODY = Reason("unknown-feed", "no channel on this source takes messages of this sender", "MSH-3")
log = structlog.get_logger("intake")
T = TypeVar("T")


class Mine(NamedTuple):
    """A message and the channel that takes it."""

    channel: Channel
    received: Received


class Takers(NamedTuple):
    """The channels behind one source: those that take its messages, those that answer its queries."""

    configuration: Configuration
    channels: tuple[Channel, ...]
    answering: tuple[Channel, ...]

    @property
    def compute(self) -> bool:
        return any(c.ack == "processed" for c in self.channels)


class Intake:
    """The intake of one source: one channel, or several that share it: queries go to the one with `ack: replied`,
    messages to the one whose `feed:` takes them."""

    def __init__(
        self,
        channels: Sequence[Channel],
        spool: Spool,
        reader: Connection,
        committer: Committer,
        configuration: Configuration,
        metrics: Metrics,
        filed: Callable[[str, Filed], None],
        wake: Callable[[Iterable[Lane]], None],
    ) -> None:
        self.spool = spool
        self.become(channels, configuration)
        self._reader = Reader(reader)
        self._committer = committer
        self._metrics = metrics
        self._filed = filed
        self._wake = wake
        self._refused_bytes: dict[str, int] = {}
        self._ordered = not isinstance(channels[0].source, FhirSource)  # its clients wait for their answers
        self._turns: dict[str, Future[None]] = {}  # of each peer, the last message that is not submitted yet

    def become(self, channels: Sequence[Channel], configuration: Configuration) -> None:
        """These take what comes from now on; what is in hand is filed by them too."""
        taking = tuple(c for c in channels if c.answer is None)
        answering = tuple(c for c in channels if c.answer is not None)
        self._name, self._takers = channels[0].name, Takers(configuration, taking, answering)

    def __call__(self, received: Received) -> Future[Receipt]:
        takers = self._takers
        if takers.compute and (received.size > BRIEF or received.peer in self._turns):
            return asyncio.ensure_future(self._aside(received, *self._turn(received.peer)))
        body = self._parsed(takers.channels, received.body or _head(received, self.spool))
        taken = self._take(takers, received, body)
        if not isinstance(taken, Mine):
            return taken
        channel, received = taken
        if channel.ack == "processed":
            return self._processed(channel, received, _computed(channel, received, clock.now()))
        return self._stored(channel, received)

    def _turn(self, peer: str) -> tuple[Future[None] | None, Future[None]]:
        """The one that this one may not overtake, and the one by which it tells that it was submitted."""
        mine: Future[None] = asyncio.get_running_loop().create_future()
        if not self._ordered:
            return None, mine
        before = self._turns.get(peer)
        self._turns[peer] = mine
        mine.add_done_callback(lambda _: self._turns.pop(peer) if self._turns.get(peer) is mine else None)
        return before, mine

    async def _aside(self, received: Received, before: Future[None] | None, mine: Future[None]) -> Receipt:
        """Parsed and computed beside the event loop, which answers other senders meanwhile; submitted in turn."""
        try:
            whole = received.body or await asyncio.to_thread(_whole, received, self.spool)
            takers = self._takers
            body = await asyncio.to_thread(self._parsed, takers.channels, whole)
            taken = self._take(takers, replace(received, body=whole), body)
            asked: Processed | None = None
            if isinstance(taken, Mine) and taken.channel.ack == "processed":
                asked = await asyncio.to_thread(_computed, *taken, clock.now())
            if before is not None:
                await before
            receipt = self._submitted(taken, asked)
        finally:
            mine.set_result(None)
        return await receipt

    def _submitted(self, taken: Mine | Future[Receipt], asked: Processed | None) -> Future[Receipt]:
        if not isinstance(taken, Mine):
            return taken
        return self._processed(*taken, asked) if asked else self._stored(*taken)

    def _take(self, takers: Takers, received: Received, body: Body | Reason | None) -> Mine | Future[Receipt]:
        """Whose it is, under the key that its channel reads; or the refusal."""
        found = self._channel(takers.channels, received, body)
        if not isinstance(found, Channel):
            return found
        key = None if isinstance(body, Reason) else _defect(found.name, found.key, body)
        if isinstance(key, Reason):
            return self.refuse(received, key)
        return Mine(found, replace(received, key=key) if key else received)

    def ask(self, received: Received) -> Future[Receipt]:
        answering = self._takers.answering
        body = self._parsed(answering, received.body)
        channel = self._channel(answering, received, body)
        if not isinstance(channel, Channel):
            return channel
        made = _defect(channel.name, self._answer, channel, body)
        if not isinstance(made, tuple):
            return self.refuse(received, made.reason if isinstance(made, Stop) else made)
        (kind, answered), name, now = made, channel.name, clock.now()
        self._metrics.received(name)

        def work(connection: Connection) -> Receipt:
            audit.answered(connection, received.peer, name, kind, answered.patients, now)
            return Accepted(0, answered.reply)

        return self._submit(work, name)

    def _answer(self, channel: Channel, body: Body) -> tuple[str, Answered] | Stop:
        assert channel.answer is not None
        if reason := channel.legible(body):
            return Stop(State.REFUSED, reason)
        answered = channel.answer(body, self._reader)
        return answered if isinstance(answered, Stop) else (channel.kind(body), answered)

    def _parsed(self, channels: Sequence[Channel], whole: bytes) -> Body | Reason | None:
        """How the first channel reads it: those that share a source have the same format."""
        return _defect(channels[0].name, channels[0].parse, whole) if channels else None

    def _channel(
        self, channels: Sequence[Channel], received: Received, body: Body | Reason | None
    ) -> Channel | Future[Receipt]:
        """Which channel takes it; or the refusal."""
        if isinstance(body, Reason):
            apart = next((c for c in channels if c.split and body.code in SEVERAL), None)
            return apart or self.refuse(received, body)
        channel = next((c for c in channels if _takes(c, body)), None)
        return channel or self.refuse(received, NOBODY, unsupported=True)

    def _stored(self, channel: Channel, received: Received) -> Future[Receipt]:
        name, now = channel.name, clock.now()
        self._metrics.received(name)
        state = State.SPLITTING if channel.split else State.RECEIVED
        big = channel.split is not None or len(received.body) > channel.spool_over
        files = [received.spooled] if received.spooled else []

        def spooled(body: bytes) -> Spooled:
            files.append(self.spool.write(body))
            return files[-1]

        lanes: list[Lane] = []

        def work(connection: Connection) -> Receipt:
            receipt = inbox.append(connection, name, received, now, state, spooled if big else None)
            if channel.owed is None:
                return receipt
            lanes[:] = owed.again(connection, receipt.message, now) if isinstance(receipt, Duplicate) else ()
            return replace(receipt, later=True)

        def told(future: Future[Receipt]) -> None:
            _swept(files, future.result())
            if lanes:
                self._wake(lanes)

        future = self._submit(counted(f"channel {self._name}", name, received, work, self._kept), name)
        future.add_done_callback(told)
        return future

    def _processed(self, channel: Channel, received: Received, asked: Processed) -> Future[Receipt]:
        """`ack: processed`: computed first, then journal and chart in one commit; the sender hears the verdict."""
        name, now = channel.name, clock.now()
        self._metrics.received(name)
        ended: list[Filed] = []

        def work(connection: Connection) -> Receipt:
            ended.clear()
            receipt = inbox.append(connection, name, received, now)
            if isinstance(receipt, Duplicate):
                return receipt
            by, said = self._now(channel, received, asked, now)
            filed = self._verdict(connection, by, replace(said, message=receipt.message), now)
            ended.append(filed)
            if filed.processed.state is State.REFUSED and filed.processed.reason:
                return Refused(filed.processed.reason)
            return replace(receipt, reply=filed.reply)

        def told(future: Future[Receipt]) -> None:
            if isinstance(future.result(), Accepted | Refused):  # else nothing was committed
                for filed in ended:
                    self._filed(name, filed)
            if received.spooled:
                _swept([received.spooled], future.result())

        future = self._submit(counted(f"channel {self._name}", name, received, work, self._kept), name)
        future.add_done_callback(told)
        return future

    def _now(
        self, channel: Channel, received: Received, asked: Processed, now: int
    ) -> tuple[Configuration, Processed]:
        """What it asks for by the configuration that is current when it is filed."""
        takers = self._takers
        mine = next((c for c in takers.channels if c.name == channel.name), channel)
        said = asked if mine is channel else _computed(mine, received, now)
        return takers.configuration, replace(said, configuration=takers.configuration.number)

    def _verdict(self, connection: Connection, by: Configuration, asked: Processed, now: int) -> Filed:
        """File it; what would be quarantined or failed is refused instead, with no effect on the chart."""
        if asked.state not in inbox.RENEWABLE:
            connection.run("SAVEPOINT verdict")
            broken = self._committer.broken
            (filed,) = file_all(connection, by.identity, [asked], now, broken, by.triggers)
            if filed.processed.state not in inbox.RENEWABLE:
                connection.run("RELEASE verdict")
                return filed
            connection.run("ROLLBACK TO verdict")
            connection.run("RELEASE verdict")
            asked = filed.processed
        refused = replace(asked, state=State.REFUSED, said=(), outgoing=(), relates="")
        connection.alone(Alone.CHART)
        return file(connection, by.identity, refused, now)

    def refuse(self, received: Received, reason: Reason, *, unsupported: bool = False) -> Future[Receipt]:
        """Keep what is not a message for anyone here, within the cap of its peer."""
        name = self._name
        self._metrics.received(name)
        keep = True

        def work(connection: Connection) -> Receipt:
            nonlocal keep
            keep = self._kept(connection, name, received, reason)
            return Refused(reason, unsupported)

        def forget(future: Future[Receipt]) -> None:
            if not isinstance(future.result(), Refused):  # what was counted was not kept: count anew
                self._refused_bytes.pop(received.peer, None)
            elif received.spooled and not keep:
                received.spooled.path.unlink(missing_ok=True)

        future = self._submit(work, name)
        future.add_done_callback(forget)
        return future

    def _kept(self, connection: Connection, channel: str, received: Received, reason: Reason) -> bool:
        """Refused; its bytes are kept within the cap of its peer."""
        if (used := self._refused_bytes.get(received.peer)) is None:
            used = connection.all(SQL.refused_by, (received.peer,))[0][0]
        keep = bool(used + received.size <= REFUSED_BYTES_PER_PEER)
        id = inbox.refuse(connection, channel, received, clock.now(), reason, keep)
        judged(connection, id, self._takers.configuration.number)
        self._refused_bytes[received.peer] = used + received.size if keep else used
        return keep

    def _submit(self, work: Callable[[Connection], Receipt], channel: str) -> Future[Receipt]:
        future, began = self._committer.submit(work, first=True, failed=_unwritten), time.monotonic()
        future.add_done_callback(lambda f: self._told(channel, f.result(), time.monotonic() - began))
        return future

    def _told(self, channel: str, receipt: Receipt, seconds: float) -> None:
        self._metrics.receipt(channel, receipt)
        self._metrics.latency.tell(f"channel {channel}", seconds)
        if isinstance(receipt, Refused):
            log.warning("refused", channel=channel, code=receipt.reason.code)
        elif isinstance(receipt, Unavailable | Uncertain):
            log.warning("not stored", channel=channel, answer=type(receipt).__name__)


def _whole(received: Received, spool: Spool) -> bytes:
    if received.spooled is None:
        return received.body
    with spool.open(received.spooled.path) as file:
        return file.read()


def _head(received: Received, spool: Spool) -> bytes:
    """What tells whose message a spooled one is."""
    if received.spooled is None:
        return b""
    with spool.open(received.spooled.path) as file:
        return file.read(HEAD)


def _computed(channel: Channel, received: Received, now: int) -> Processed:
    return computed({channel.name: channel}, Waiting(0, channel.name, now, received.body))


def _swept(files: Sequence[Spooled], receipt: Receipt) -> None:
    """Away with the files that no row names: of a resend, of what was not stored, of a transaction done again."""
    if isinstance(receipt, Uncertain):
        return
    for spooled in files if isinstance(receipt, Duplicate | Unavailable) else files[:-1]:
        spooled.path.unlink(missing_ok=True)


def _defect(channel: str, call: Callable[..., T], *args: Any) -> T | Reason:
    """What the call gives. One of a plugin that raises must not stop the feed."""
    try:
        return call(*args)
    except Exception as e:
        log.error("defect", channel=channel, error=type(e).__name__)
        text = f"reading it raised {type(e).__name__}; this is a defect of the channel's format or answer"
        return Reason("defect", text)


def _takes(channel: Channel, body: Body) -> bool:
    """Is the message this channel's? A site's own predicate that raises takes nothing."""
    return _defect(channel.name, channel.mine, body) is True


def _unwritten(error: BaseException) -> Receipt:
    if isinstance(error, CommitUncertain):
        return Uncertain()
    return Unavailable(Reason("not-stored", "the message could not be stored; send it again later"))

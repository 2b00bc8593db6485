"""Intake: received bytes become a durable row before anyone is told that they arrived."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from engine.channel import Body, Channel, Configuration
from engine.journal import SQL, inbox
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
    State,
    Stop,
    Unavailable,
    Uncertain,
)  # fmt: skip
from engine.runtime import clock
from engine.runtime.compute import computed
from engine.runtime.filing import Filed, file, file_all
from engine.runtime.metrics import Metrics
from engine.runtime.reading import Reader
from store.database import Connection
from store.database import Uncertain as CommitUncertain
from store.database.commit import Committer
from store.reason import Reason

REFUSED_BYTES_PER_PEER = 16 * 1024 * 1024
BRIEF = 32 * 1024
"""Bytes of a message that may be computed while the event loop waits: about a millisecond's work."""
HEAD = 64 * 1024
NOBODY = Reason("unknown-feed", "no channel on this source takes messages of this sender", "MSH-3")
log = structlog.get_logger("intake")


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
    ) -> None:
        self.spool = spool
        self._channels = [c for c in channels if c.answer is None]
        self._answering = [c for c in channels if c.answer is not None]
        self._name = channels[0].name
        self._reader = Reader(reader)
        self._committer = committer
        self._identity = configuration.identity
        self._triggers = configuration.triggers
        self._metrics = metrics
        self._filed = filed
        self._refused_bytes: dict[str, int] = {}

    def __call__(self, received: Received) -> Future[Receipt]:
        if received.size > BRIEF and all(c.ack == "processed" for c in self._channels):
            return asyncio.ensure_future(self._long(received))
        return self._take(received, self._parsed(self._channels, received.body or _head(received)))

    async def _long(self, received: Received) -> Receipt:
        """Parsed and computed beside the event loop, which answers other senders meanwhile."""
        whole = received.body or await asyncio.to_thread(_whole, received)
        body = await asyncio.to_thread(self._parsed, self._channels, whole)
        return await self._take(replace(received, body=whole), body)

    def _take(self, received: Received, body: Body | Reason | None) -> Future[Receipt]:
        found = self._channel(self._channels, received, body)
        if not isinstance(found, Channel):
            return found
        if key := found.key(body):
            received = replace(received, key=key)
        if found.ack == "processed":
            return self._processed(found, received)
        return self._stored(found, received)

    def ask(self, received: Received) -> Future[Receipt]:
        body = self._parsed(self._answering, received.body)
        channel = self._channel(self._answering, received, body)
        if not isinstance(channel, Channel):
            return channel
        answered = self._answer(channel, body)
        if isinstance(answered, Stop):
            return self.refuse(received, answered.reason)
        name, now, kind = channel.name, clock.now(), channel.kind(body)
        self._metrics.received(name)

        def work(connection: Connection) -> Receipt:
            row = (now, name, received.peer, kind, len(answered.patients))
            (audit,) = connection.all(SQL.audit, row)[0]
            connection.many(SQL.audited, [(audit, patient) for patient in answered.patients])
            return Accepted(0, answered.reply)

        return self._submit(work, name)

    def _answer(self, channel: Channel, body: Body) -> Answered | Stop:
        assert channel.answer is not None
        try:
            if reason := channel.legible(body):
                return Stop(State.REFUSED, reason)
            return channel.answer(body, self._reader)
        except Exception as e:  # a defect of an answer must not stop the feed
            log.error("answer failed", channel=channel.name, error=type(e).__name__)
            text = f"the answer raised {type(e).__name__}; this is a defect of the channel"
            return Stop(State.FAILED, Reason("defect", text))

    def _parsed(self, channels: Sequence[Channel], whole: bytes) -> Body | Reason | None:
        """How the first channel reads it: those that share a source have the same format."""
        return channels[0].parse(whole) if channels else None

    def _channel(
        self, channels: Sequence[Channel], received: Received, body: Body | Reason | None
    ) -> Channel | Future[Receipt]:
        """Which channel takes it; or the refusal."""
        if isinstance(body, Reason):
            return self.refuse(received, body)
        channel = next((c for c in channels if _takes(c, body)), None)
        return channel or self.refuse(received, NOBODY, unsupported=True)

    def _stored(self, channel: Channel, received: Received) -> Future[Receipt]:
        name, now = channel.name, clock.now()
        self._metrics.received(name)
        state = State.SPLITTING if channel.split else State.RECEIVED
        big = channel.split is not None or len(received.body) > channel.spool_over

        def work(connection: Connection) -> Receipt:
            return inbox.append(connection, name, received, now, state, self.spool.write if big else None)

        future = self._submit(work, name)
        if received.spooled:
            future.add_done_callback(lambda f: _dropped(received, f.result()))
        return future

    def _processed(self, channel: Channel, received: Received) -> Future[Receipt]:
        """`ack: processed`: computed first, then journal and chart in one commit; the sender hears the verdict."""
        name, now = channel.name, clock.now()
        self._metrics.received(name)
        waiting = Waiting(0, name, now, received.body)
        if len(received.body) <= BRIEF:
            return self._judged(channel, received, now, computed({name: channel}, waiting))
        return asyncio.ensure_future(self._aside(channel, received, now, waiting))

    async def _aside(self, channel: Channel, received: Received, now: int, waiting: Waiting) -> Receipt:
        asked = await asyncio.to_thread(computed, {channel.name: channel}, waiting)
        return await self._judged(channel, received, now, asked)

    def _judged(self, channel: Channel, received: Received, now: int, asked: Processed) -> Future[Receipt]:
        name = channel.name
        ended: list[Filed] = []

        def work(connection: Connection) -> Receipt:
            ended.clear()
            receipt = inbox.append(connection, name, received, now)
            if isinstance(receipt, Duplicate):
                return receipt
            filed = self._verdict(connection, replace(asked, message=receipt.message), now)
            ended.append(filed)
            if filed.processed.state is State.REFUSED and filed.processed.reason:
                return Refused(filed.processed.reason)
            return replace(receipt, reply=filed.reply)

        def told(future: Future[Receipt]) -> None:
            if isinstance(future.result(), Accepted | Refused):  # else nothing was committed
                for filed in ended:
                    self._filed(name, filed)

        future = self._submit(work, name)
        future.add_done_callback(told)
        return future

    def _verdict(self, connection: Connection, asked: Processed, now: int) -> Filed:
        """File it; what would be quarantined or failed is refused instead, with no effect on the chart."""
        if asked.state not in inbox.RENEWABLE:
            connection.run("SAVEPOINT verdict")
            (filed,) = file_all(
                connection, self._identity, [asked], now, self._committer.broken, self._triggers
            )
            if filed.processed.state not in inbox.RENEWABLE:
                connection.run("RELEASE verdict")
                return filed
            connection.run("ROLLBACK TO verdict")
            connection.run("RELEASE verdict")
            asked = filed.processed
        refused = replace(asked, state=State.REFUSED, said=(), outgoing=(), relates="")
        return file(connection, self._identity, refused, now)

    def refuse(self, received: Received, reason: Reason, *, unsupported: bool = False) -> Future[Receipt]:
        """Keep what is not a message for anyone here, within the cap of its peer."""
        name, now = self._name, clock.now()
        self._metrics.received(name)
        keep = True

        def work(connection: Connection) -> Receipt:
            nonlocal keep
            if (used := self._refused_bytes.get(received.peer)) is None:
                used = connection.all(SQL.refused_by, (received.peer,))[0][0]
            keep = used + received.size <= REFUSED_BYTES_PER_PEER
            inbox.refuse(connection, name, received, now, reason, keep)
            self._refused_bytes[received.peer] = used + received.size if keep else used
            return Refused(reason, unsupported)

        def forget(future: Future[Receipt]) -> None:
            if not isinstance(future.result(), Refused):  # what was counted was not kept: count anew
                self._refused_bytes.pop(received.peer, None)
            elif received.spooled and not keep:
                received.spooled.path.unlink(missing_ok=True)

        future = self._submit(work, name)
        future.add_done_callback(forget)
        return future

    def _submit(self, work: Callable[[Connection], Receipt], channel: str) -> Future[Receipt]:
        future = self._committer.submit(work, first=True, failed=_unwritten)
        future.add_done_callback(lambda f: self._told(channel, f.result()))
        return future

    def _told(self, channel: str, receipt: Receipt) -> None:
        self._metrics.receipt(channel, receipt)
        if isinstance(receipt, Refused):
            log.warning("refused", channel=channel, code=receipt.reason.code)
        elif isinstance(receipt, Unavailable | Uncertain):
            log.warning("not stored", channel=channel, answer=type(receipt).__name__)


def _whole(received: Received) -> bytes:
    return received.spooled.path.read_bytes() if received.spooled else received.body


def _head(received: Received) -> bytes:
    """What tells whose message a spooled one is."""
    if received.spooled is None:
        return b""
    with received.spooled.path.open("rb") as file:
        return file.read(HEAD)


def _dropped(received: Received, receipt: Receipt) -> None:
    """The bytes of a resend are in the spool already."""
    if isinstance(receipt, Duplicate) and received.spooled:
        received.spooled.path.unlink(missing_ok=True)


def _takes(channel: Channel, body: Body) -> bool:
    """Is the message this channel's? A site's own predicate that raises takes nothing."""
    try:
        return channel.mine(body)
    except Exception as e:
        log.error("feed failed", channel=channel.name, error=type(e).__name__)
        return False


def _unwritten(error: BaseException) -> Receipt:
    if isinstance(error, CommitUncertain):
        return Uncertain()
    return Unavailable(Reason("not-stored", "the message could not be stored; send it again later"))

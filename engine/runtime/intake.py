"""Intake: received bytes become a durable row before anyone is told that they arrived."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from engine.channel import Body, Channel
from engine.journal import SQL, inbox
from engine.journal.inbox import Waiting
from engine.message import (
    Accepted,
    Duplicate,
    Processed,
    Receipt,
    Received,
    Refused,
    State,
    Unavailable,
    Uncertain,
)  # fmt: skip
from engine.runtime import clock
from engine.runtime.compute import computed
from engine.runtime.filing import Filed, file, file_all
from engine.runtime.metrics import Metrics
from store.database import Connection
from store.database import Uncertain as CommitUncertain
from store.database.commit import Committer
from store.identity import Identity
from store.reason import Reason

REFUSED_BYTES_PER_PEER = 16 * 1024 * 1024
NOBODY = Reason("unknown-feed", "no channel on this source takes messages of this sender", "MSH-3")
log = structlog.get_logger("intake")


class Intake:
    """The intake of one source: one channel, or several that share it and are told apart by their `feed:`."""

    def __init__(
        self,
        channels: Sequence[Channel],
        committer: Committer,
        identity: Identity,
        metrics: Metrics,
        filed: Callable[[str, Filed], None],
    ) -> None:
        self._channels = channels
        self._committer = committer
        self._identity = identity
        self._metrics = metrics
        self._filed = filed
        self._refused_bytes: dict[str, int] = {}

    def __call__(self, received: Received) -> Future[Receipt]:
        body = self._channels[0].parse(received.body)
        if isinstance(body, Reason):
            return self.refuse(received, body)
        channel = next((c for c in self._channels if _takes(c, body)), None)
        if channel is None:
            return self.refuse(received, NOBODY, unsupported=True)
        if channel.ack == "processed":
            return self._processed(channel, received)
        return self._stored(channel, received)

    def _stored(self, channel: Channel, received: Received) -> Future[Receipt]:
        name, now = channel.name, clock.now()
        self._metrics.received(name)

        def work(connection: Connection) -> Receipt:
            return inbox.append(connection, name, received, now)

        return self._submit(work, name)

    def _processed(self, channel: Channel, received: Received) -> Future[Receipt]:
        """`ack: processed`: computed first, then journal and chart in one commit; the sender hears the verdict."""
        name, now = channel.name, clock.now()
        self._metrics.received(name)
        asked = computed({name: channel}, Waiting(0, name, now, received.body))
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
            return receipt

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
            (filed,) = file_all(connection, self._identity, [asked], now, self._committer.broken)
            if filed.processed.state not in inbox.RENEWABLE:
                connection.run("RELEASE verdict")
                return filed
            connection.run("ROLLBACK TO verdict")
            connection.run("RELEASE verdict")
            asked = filed.processed
        refused = replace(asked, state=State.REFUSED, said=(), outgoing=())
        return file(connection, self._identity, refused, now)

    def refuse(self, received: Received, reason: Reason, *, unsupported: bool = False) -> Future[Receipt]:
        """Keep what is not a message for anyone here, within the cap of its peer."""
        name, now = self._channels[0].name, clock.now()
        self._metrics.received(name)

        def work(connection: Connection) -> Receipt:
            if (used := self._refused_bytes.get(received.peer)) is None:
                used = connection.all(SQL.refused_by, (received.peer,))[0][0]
            keep = used + len(received.body) <= REFUSED_BYTES_PER_PEER
            inbox.refuse(connection, name, received, now, reason, keep)
            self._refused_bytes[received.peer] = used + len(received.body) if keep else used
            return Refused(reason, unsupported)

        def forget(future: Future[Receipt]) -> None:
            if not isinstance(future.result(), Refused):  # what was counted was not kept: count anew
                self._refused_bytes.pop(received.peer, None)

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
            log.info("refused", channel=channel, code=receipt.reason.code)
        elif isinstance(receipt, Unavailable | Uncertain):
            log.warning("not stored", channel=channel, answer=type(receipt).__name__)


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

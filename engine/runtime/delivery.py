"""Delivery: the head of each lane goes out, its outcome is judged and committed, then the next one goes.

Lanes are independent: while one waits for a retry, the others flow. A lane's next delivery is not sent
before the outcome of the one before it is durable, so a crash can repeat a delivery but not reorder them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from engine.channel import Partner
from engine.journal import outbox
from engine.journal.outbox import Head, Verdict
from engine.journal.spool import Spool
from engine.message import Outcome, Unknown
from engine.runtime import clock
from engine.runtime.metrics import Metrics
from store.database import Connection, Uncertain
from store.database.commit import Committer
from store.reason import Reason

log = structlog.get_logger("delivery")


class Dispatcher:
    """All lanes of one destination; `connections` deliveries at a time, at most one per lane."""

    def __init__(
        self,
        partner: Partner,
        reader: Connection,
        committer: Committer,
        metrics: Metrics,
        origin: str,
        spool: Spool,
    ) -> None:
        self.partner = partner
        self._spool = spool
        self._origin = origin
        self._reader = reader
        self._committer = committer
        self._metrics = metrics
        self._ready: deque[int] = deque()
        self._known: set[int] = set()  # lanes that are ready, in delivery, or waiting for their time
        self._again: set[int] = set()  # lanes that got something new while known
        self._available = asyncio.Event()
        self._stopping = False

    def stop(self) -> None:
        """Send nothing more; `run` ends when what is in hand is settled."""
        self._stopping = True
        self._available.set()

    def wake(self, lane: int) -> None:
        """Something was queued in this lane."""
        if lane in self._known:
            self._again.add(lane)
            return
        self._known.add(lane)
        self._ready.append(lane)
        self._available.set()

    async def run(self) -> None:
        """Deliver until stopped; what was queued before the start goes first."""
        for lane in outbox.lanes(self._reader, self.partner.name):
            self.wake(lane)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.partner.connections):
                    group.create_task(self._connection())
        finally:
            await self.partner.destination.close()

    async def _connection(self) -> None:
        while not self._stopping:
            if self._ready:
                await self._advance(self._ready.popleft())
            else:
                self._available.clear()
                await self._available.wait()

    async def _advance(self, lane: int) -> None:
        """Deliver the head of a lane, if its time has come."""
        self._again.discard(lane)
        head = outbox.head(self._reader, self.partner.name, lane)
        if head is None or head.state == "HELD":
            self._rest(lane)
        elif (wait := head.due - clock.now()) > 0:
            asyncio.get_running_loop().call_later(wait / 1e6, self._return, lane)
        else:
            began = clock.now()
            outcome = await self._deliver(head, lane)
            log.debug("attempt", destination=self.partner.name, delivery=head.id, message=head.message,
                      outcome=type(outcome).__name__, seconds=(clock.now() - began) / 1e6)  # fmt: skip
            self._metrics.attempt(self.partner.name, type(outcome).__name__)
            self._settle(lane, head, outbox.judge(self.partner, head, outcome, clock.now()))

    async def _deliver(self, head: Head, lane: int) -> Outcome:
        try:
            delivery = head.delivery(self.partner.name, lane, self._origin, self._spool)
            return await self.partner.destination.deliver(delivery)
        except Exception as e:  # a defect of an adapter must not stop the other lanes
            log.error(
                "destination failed", destination=self.partner.name, delivery=head.id, error=type(e).__name__
            )
            return Unknown(Reason("defect", f"the destination raised {type(e).__name__}"))

    def _settle(self, lane: int, head: Head, verdict: Verdict) -> None:
        if verdict.state != "DELIVERED":
            log.warning("not delivered", destination=self.partner.name, delivery=head.id, message=head.message,
                        state=verdict.state, attempts=verdict.attempts,
                        code=verdict.reason.code if verdict.reason else None)  # fmt: skip
        work: Callable[[Connection], None] = lambda c: outbox.settle(c, head, verdict, clock.now())  # noqa: E731
        self._committer.submit(work, first=True).add_done_callback(
            lambda done: self._settled(lane, head, verdict, done.exception())
        )

    def _settled(self, lane: int, head: Head, verdict: Verdict, error: BaseException | None) -> None:
        if error is None:
            self._return(lane)
        elif not isinstance(error, Uncertain):  # keep the verdict until it can be written; the lane waits
            log.error("outcome not stored", destination=self.partner.name, delivery=head.id, retry_in=1.0)
            asyncio.get_running_loop().call_later(1.0, self._settle, lane, head, verdict)

    def _return(self, lane: int) -> None:
        self._ready.append(lane)
        self._available.set()

    def _rest(self, lane: int) -> None:
        self._known.discard(lane)
        if lane in self._again:
            self._again.discard(lane)
            self.wake(lane)

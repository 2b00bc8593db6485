"""Delivery: the head of each lane goes out, its outcome is judged and committed, then the next one goes.

Lanes are independent: while one waits for a retry, the others flow. A lane's next delivery is not sent
before the outcome of the one before it is durable, so a crash can repeat a delivery but not reorder them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import replace

import structlog

from engine.channel import Partner
from engine.journal import gather, outbox, sequence
from engine.journal.outbox import Head, Verdict
from engine.journal.sequence import Number
from engine.journal.spool import Spool
from engine.message import Delivered, Outcome, Retry, Unknown
from engine.runtime import clock
from engine.runtime.claims import Claims, Ticket
from engine.runtime.metrics import Metrics
from engine.runtime.pace import NEVER, Pace
from store.database import Connection, Down, Uncertain, Untrusted
from store.database.commit import Committer
from store.reason import Reason

AGAIN = 1.0
"""Seconds after which an outbox that could not be read is read again."""
LOWEST = -1
MOST = 4096
"""Lanes of one destination that are known at a time: memory does not grow with what is queued."""
PAGE = 256
LONGER = 1.25
"""As `judge` spreads them."""
Verdicts = list[tuple[Head, Verdict]]
UNCOUNTED = Number(None, False)
log = structlog.get_logger("delivery")


class Dispatcher:
    """All lanes of one destination; `connections` deliveries at a time, at most one per lane.

    Of the lanes in which something waits, so many are known here; the others are found as these come to rest.
    """

    def __init__(
        self,
        partner: Partner,
        reader: Connection,
        committer: Committer,
        claims: Claims,
        metrics: Metrics,
        origin: str,
        spool: Spool,
    ) -> None:
        self.partner = partner
        self._link = f"destination {partner.name}"  # as what is counted and measured is called
        self.pace = Pace(partner)
        self._spool = spool
        self._origin = origin
        self._reader = reader
        self._committer = committer
        self._claims = claims
        self._metrics = metrics
        self._ready: deque[int] = deque()
        self._known: set[int] = set()  # lanes that are ready, in delivery, or waiting for their time
        self._again: set[int] = set()  # lanes that got something new while known
        self._waiting: dict[int, asyncio.TimerHandle] = {}
        self._unsettled: set[int] = set()  # lanes whose last outcome is not durable yet
        self._after: int | None = LOWEST  # where to look for more lanes; None: all are known
        self._missed = False  # a lane that got something new was not known, and there was no room for it
        self._available = asyncio.Event()
        self._stopping = False
        metrics.breaker(partner.name, open=False)

    def stop(self) -> None:
        """Send nothing more; `run` ends when what is in hand is settled."""
        self._stopping = True
        self._available.set()

    def wake(self, lane: int) -> None:
        """Something was queued in this lane, or may go on."""
        if lane in self._known:
            self._again.add(lane)
        elif len(self._known) >= MOST:
            self._missed = True
            self._after = LOWEST if self._after is None else self._after
        else:
            self._known.add(lane)
            self._ready.append(lane)
            self._available.set()

    def look(self) -> None:
        """Something may have been queued by somebody else."""
        if self._after is None:
            self._after = LOWEST
        else:
            self._missed = True
        self._available.set()

    def hurry(self, lane: int) -> None:
        """As `wake`; and if it waits for its time, it waits no longer."""
        if timer := self._waiting.pop(lane, None):
            timer.cancel()
            self._return(lane)
        else:
            self.wake(lane)

    async def run(self) -> None:
        """Deliver until stopped; what was queued before the start goes first."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.partner.connections):
                    group.create_task(self._connection())
            while self._unsettled:
                await self._signal(NEVER)
        finally:
            for timer in self._waiting.values():
                timer.cancel()
            await self.partner.destination.close()

    async def _connection(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            if not self._ready and not self._look():
                await self._signal(AGAIN)  # and then look again whether it is to stop
            elif not self._ready:
                await self._signal(NEVER)
            elif (wait := self.pace.wait(loop.time())) > 0:
                await self._signal(wait)
            else:
                outcome = await self._advance(self._ready.popleft())
                if self.pace.tell(outcome, loop.time()):
                    self._metrics.breaker(self.partner.name, open=self.pace.open)
                self._available.set()
                if outcome is None:
                    await asyncio.sleep(0)  # others first: it may be one of thousands that are not due

    async def _signal(self, seconds: float) -> None:
        """Until something may have changed, or so long."""
        self._available.clear()
        if seconds == NEVER:
            await self._available.wait()
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._available.wait(), seconds)

    def _look(self) -> bool:
        """Find more lanes, a page at a time; once around, and again if one was missed meanwhile. False: not now."""
        while self._after is not None and not self._ready and len(self._known) < MOST:
            try:
                page = outbox.lanes(self._reader, self.partner.name, self._after, PAGE)
            except Down as e:
                self._unread(e)
                return False
            for lane in page:
                if lane not in self._known:
                    self.wake(lane)
            if len(page) == PAGE:
                self._after = page[-1]
            else:
                self._after, self._missed = (LOWEST if self._missed else None), False
        return True

    def _unread(self, error: Down | Uncertain) -> None:
        log.error(
            "the outbox cannot be read", destination=self.partner.name, reason=str(error), retry_in=AGAIN
        )

    async def _advance(self, lane: int) -> Outcome | None:
        """Deliver the head of a lane, if its time has come; None: it has not."""
        self._again.discard(lane)
        ticket = self._claims.ticket("destination", {self.partner.name})
        try:
            head = outbox.head(self._reader, self.partner.name, lane)
            waits = head is not None and outbox.waits(self._reader, head)
            pause = self._gathering(head) if head is not None else 0.0
        except Down as e:
            self._unread(e)
            self._waiting[lane] = asyncio.get_running_loop().call_later(AGAIN, self._due, lane)
            return None
        if ticket is None or head is None or head.state == "HELD" or waits:
            self._rest(lane)
        elif head.lane != lane:
            self._rest(lane)
            self.wake(head.lane)
        elif (wait := max(self._early(head), pause)) > 0:
            self._waiting[lane] = asyncio.get_running_loop().call_later(wait, self._due, lane)
        elif self.partner.gather is None:
            return await self._attempt(lane, [head], ticket)
        elif batch := await self._batch(head, ticket):
            return await self._attempt(lane, batch, ticket)
        else:
            self._waiting[lane] = asyncio.get_running_loop().call_later(AGAIN, self._due, lane)
        return None

    def _early(self, head: Head) -> float:
        """Seconds until its next attempt. Longer than any retry waits: the clock was set back, and it is time."""
        wait = (head.due - clock.now()) / 1e6
        return wait if wait <= self.partner.retry.max * LONGER else 0.0

    def _gathering(self, head: Head) -> float:
        """Seconds until it is worth while to look again whether there is enough for a batch; 0: there is."""
        if (how := self.partner.gather) is None or head.batch is not None or head.state != "QUEUED":
            return 0.0
        return min(AGAIN, gather.ready(self._reader, how, self.partner.name, head, clock.now()))

    async def _batch(self, head: Head, ticket: Ticket) -> list[Head]:
        """What goes out together, as it is written down; nothing, if that cannot be done now."""
        how, name = self.partner.gather, self.partner.name

        def work(connection: Connection) -> list[Head]:
            if how is None or not self._claims.valid(connection, ticket):
                return []
            if head.batch is None:
                gather.freeze(connection, how, name, head)
            return gather.members(connection, name, head)

        try:
            return await self._committer.submit(work)
        except (Down, Uncertain) as e:
            self._unread(e)
            return []

    async def _attempt(self, lane: int, batch: list[Head], ticket: Ticket) -> Outcome:
        """`batch` is the head, or the head and what goes out with it."""
        began, head = clock.now(), batch[0]
        outcome = await self._deliver(batch, lane, ticket)
        log.debug("attempt", destination=self.partner.name, delivery=head.id, message=head.message,
                  outcome=type(outcome).__name__, seconds=(clock.now() - began) / 1e6)  # fmt: skip
        self._metrics.attempt(self.partner.name, type(outcome).__name__)
        if not isinstance(outcome, Retry):
            self._metrics.latency.tell(self._link, (clock.now() - began) / 1e6)
        self._unsettled.add(lane)
        chance = random.random()
        verdicts = gather.judged(self.partner, batch, outcome, clock.now(), chance, self._origin)
        number = outcome.sequence if isinstance(outcome, Delivered) else None
        self._settle(lane, verdicts, ticket, number)
        return outcome

    async def _numbered(self, head: Head, ticket: Ticket) -> Number | None:
        """The number that it goes out with, as it is written down; None: that cannot be done now."""

        def work(connection: Connection) -> Number | None:
            if not self._claims.valid(connection, ticket):
                return None
            return sequence.take(connection, self._link, head.id)

        try:
            return await self._committer.submit(work)
        except (Down, Uncertain):
            return None

    async def _deliver(self, batch: list[Head], lane: int, ticket: Ticket) -> Outcome:
        head = batch[0]
        number = await self._numbered(head, ticket) if self.partner.sequence else UNCOUNTED
        if number is None:
            return Retry(Reason("not-numbered", "its sequence number cannot be written now"))
        try:
            if self.partner.gather is not None:
                made = gather.together(self._reader, self.partner, batch, self._origin, self._spool)
            else:
                made = head.delivery(self.partner.name, lane, self._origin, self._spool)
            with made as delivery:
                counted = (
                    delivery
                    if number is UNCOUNTED
                    else replace(delivery, counted=True, sequence=number.number, tried=number.tried)
                )
                return await self.partner.destination.deliver(counted)
        except Down as e:
            return Retry(Reason("spool", f"its bytes cannot be read now: {e}"))
        except Exception as e:  # a defect of an adapter must not stop the other lanes
            log.error(
                "destination failed", destination=self.partner.name, delivery=head.id, error=type(e).__name__
            )
            return Unknown(Reason("defect", f"the destination raised {type(e).__name__}"))

    def _settle(self, lane: int, verdicts: Verdicts, ticket: Ticket, number: int | None) -> None:
        for head, verdict in verdicts:
            if verdict.state != "DELIVERED":
                log.warning("not delivered", destination=self.partner.name, delivery=head.id, message=head.message,
                            state=verdict.state, attempts=verdict.attempts,
                            code=verdict.reason.code if verdict.reason else None)  # fmt: skip

        def work(connection: Connection) -> list[int] | None:
            if not self._claims.valid(connection, ticket):
                return None
            now = clock.now()
            if number is not None:
                sequence.follow(connection, self._link, number + 1)
            settled = (outbox.settle(connection, head, verdict, now) for head, verdict in verdicts)
            return [other for others in settled for other in others]

        self._committer.submit(work, first=True).add_done_callback(
            lambda done: self._settled(lane, verdicts, ticket, number, done)
        )

    def _settled(
        self,
        lane: int,
        verdicts: Verdicts,
        ticket: Ticket,
        number: int | None,
        done: asyncio.Future[list[int] | None],
    ) -> None:
        error = done.exception()
        if error is None and (others := done.result()) is not None:
            self._unsettled.discard(lane)
            self._return(lane)
            for other in others:
                self.wake(other)
        elif isinstance(error, Untrusted):
            self._unsettled.discard(lane)
            self._available.set()
        elif error is None or isinstance(
            error, Uncertain
        ):  # it is another process's now, or the journal will tell
            self._unsettled.discard(lane)
            self._waiting[lane] = asyncio.get_running_loop().call_later(AGAIN, self._due, lane)
            self._available.set()
        else:  # keep the verdict until it can be written; the lane waits
            first = verdicts[0][0].id
            log.error("outcome not stored", destination=self.partner.name, delivery=first, retry_in=1.0)
            asyncio.get_running_loop().call_later(1.0, self._settle, lane, verdicts, ticket, number)

    def _due(self, lane: int) -> None:
        del self._waiting[lane]
        self._return(lane)

    def _return(self, lane: int) -> None:
        self._ready.append(lane)
        self._available.set()

    def _rest(self, lane: int) -> None:
        self._known.discard(lane)
        if lane in self._again:
            self._again.discard(lane)
            self.wake(lane)

"""The watch: looks every few seconds, writes what opened and closed, and tells whoever is to be told."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections import Counter as PyCounter
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from engine.alerts import record
from engine.alerts.notify import tell
from engine.alerts.record import Alert, Notice
from engine.alerts.rules import HOUR, Seen, Usual, conditions
from engine.alerts.settings import AlertsFile, Mail, Webhook
from engine.certificates import certificates
from engine.channel import Configuration
from engine.journal import inquiry, queues
from engine.runtime import clock
from engine.runtime.claims import Claims
from engine.runtime.clock import uncertainty
from engine.runtime.metrics import Metrics
from engine.runtime.reading import Open, beside
from store.database import Connection, Down, Uncertain
from store.database.commit import Committer

log = structlog.get_logger("alerts")
PROCESS = f"{socket.gethostname()}-{os.getpid()}"
TELLING = 1.0
"""Seconds between looks for somebody who must be told."""


class Watch:
    """`configuration` gives the one that runs now; `renew` takes up certificates that were exchanged."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        data: Path,
        open: Open,
        committer: Committer,
        claims: Claims,
        metrics: Metrics,
        renew: Callable[[], None],
    ) -> None:
        self._configuration = configuration
        self._renew = renew
        self._data = data
        self._open = open
        self._committer = committer
        self._claims = claims
        self._metrics = metrics
        self._written: dict[str, int] = {}
        self._hour = 0  # when the watch wrote last
        self._known: tuple[tuple[int, int], dict[str, Usual]] = ((0, 0), {})

    def _settings(self) -> AlertsFile:
        return self._configuration().alerts

    async def run(self) -> None:
        """Until cancelled. What cannot be read or written now is looked at again the next time."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._look, lambda: self._settings().every))
            group.create_task(self._repeat(self._tell, lambda: TELLING))

    async def _repeat(self, act: Callable[[], Awaitable[None]], every: Callable[[], float]) -> None:
        while True:
            try:
                await act()
            except (Down, Uncertain) as e:
                log.warning("alerts cannot be written", reason=type(e).__name__)
            except Exception as e:  # a watch that fell asleep would be worse than one that stumbles
                log.error("the watch failed", error=type(e).__name__)
            await asyncio.sleep(every())

    async def _look(self) -> None:
        self._renew()
        settings, mine = self._settings(), self._claims.holds("watch", "")
        seen, opened = await beside(
            self._open, lambda connection: (self._seen(connection, settings, mine), record.opened(connection))
        )
        found, now = list(conditions(settings, seen)) if mine else [], seen.now
        heard = {**seen.heard, **self._metrics.heard}
        fresh = {name: at for name, at in heard.items() if self._written.get(name) != at}
        names = [type(each).__name__ for each in settings.notifiers]
        self._metrics.alerts(len(found))

        counted, hour = self._metrics.counted.copy(), now // HOUR
        slow = self._metrics.latency.lately() if _timed(settings) else {}

        def work(connection: Connection) -> list[tuple[str, Alert]]:
            record.hear(connection, fresh)
            record.count(connection, counted, hour)
            if slow:
                record.slow(connection, PROCESS, slow, now)
            if mine and hour != self._hour:
                record.forget_usual(connection, hour)
            return record.update(connection, settings, found, names, now) if mine else []

        if not (found or (mine and opened) or fresh or slow):
            return
        changed = await self._committer.submit(work)
        self._hour = hour
        self._written |= fresh
        self._metrics.counted.subtract(counted)
        self._metrics.counted += PyCounter()  # those at 0 go
        for what, alert in changed:
            say = log.info if what == "CLOSED" else log.warning
            say("alert", what=what, alert=alert.id, rule=alert.rule, subject=alert.subject, text=alert.text)

    def _seen(self, connection: Connection, settings: AlertsFile, mine: bool) -> Seen:
        """Everything, if it is this process that watches; else what this one heard."""
        now = clock.now()
        if not mine:
            return Seen(now, self._heard(connection, settings, now))
        outbox = queues.outbox(connection)
        within = settings.errors.within if settings.errors else 0.0
        return Seen(
            now,
            self._heard(connection, settings, now),
            queues.inbox(connection),
            queues.held(connection),
            outbox["QUEUED"],
            outbox["HELD"],
            outbox["PARKED"],
            record.ended(connection, now - int(within * 1e6)) if within else {},
            {name: found.overdue for name, found in inquiry.awaited(connection, now).items()},
            _used(self._data),
            {each.where: each.until for each in certificates(self._configuration())},
            self._usual(connection, settings, now // HOUR),
            record.latency(connection, now) if _timed(settings) else {},
            uncertainty() if settings.clock is not None else 0.0,
        )

    def _usual(self, connection: Connection, settings: AlertsFile, hour: int) -> dict[str, Usual]:
        """Looked up once an hour."""
        if settings.learned is None:
            return {}
        asked = (hour, settings.learned.weeks)
        if self._known[0] != asked:
            self._known = (asked, record.usual(connection, *asked))
        return self._known[1]

    def _heard(self, connection: Connection, settings: AlertsFile, now: int) -> dict[str, int]:
        """A channel that was never heard of counts from now on; none is heard later than now."""
        known = record.heard(connection) | self._metrics.heard
        learned = known if settings.learned is not None else {}
        return {name: min(now, known.get(name, now)) for name in {*settings.silent, *learned}}

    async def _tell(self) -> None:
        if not self._claims.holds("watch", ""):
            return
        notices = await beside(self._open, lambda connection: record.due(connection, clock.now()))
        if not notices:
            return
        known = {type(each).__name__: each for each in self._settings().notifiers}
        told = {notice.id: await asyncio.to_thread(_told, known, notice) for notice in notices}
        await self._committer.submit(lambda connection: record.settle(connection, told, notices, clock.now()))


def _timed(settings: AlertsFile) -> bool:
    return settings.ack_latency is not None or settings.answer_latency is not None


def _told(known: dict[str, Mail | Webhook], notice: Notice) -> bool:
    """Was somebody told? One who is no longer configured is not missed."""
    if (notifier := known.get(notice.notifier)) is None:
        return True
    try:
        tell(notifier, notice.what, notice.alert)
    except Exception as e:
        log.error("nobody could be told", by=notice.notifier, alert=notice.alert.id, error=type(e).__name__)
        return False
    return True


def _used(directory: Path) -> float:
    usage = shutil.disk_usage(directory)
    return 100 * (1 - usage.free / usage.total)

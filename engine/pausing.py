"""An operator stops a channel or a destination and lets it go on; a restart changes nothing of it.

A channel that is paused takes nothing: its listener answers what it has in hand and closes, and partners find the
connection refused, which they try again, not an AR, on which many give a message up. What it took goes on. A
destination that is paused is sent nothing: its deliveries queue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from engine.channel import Channel
from engine.journal import inbox, outbox, pauses
from engine.journal.audit import Act, record
from engine.journal.pauses import Name, Pause
from engine.lines import Lines
from engine.runtime import clock
from engine.runtime.sources import grouped
from engine.trigger import ChartSource
from store.database import Connection, Down, Uncertain
from store.database.commit import Committer
from store.reason import Reason

KINDS = ("channel", "destination")
TOLD = Reason(
    "conflict", "the chart is its source, which cannot stop; pause the destinations that it leads to", "name"
)
log = structlog.get_logger("engine")


@dataclass(frozen=True, slots=True)
class Pausing:
    """What is paused is in the journal, and obeyed by the lines."""

    lines: Lines
    committer: Committer

    def named(self, text: str) -> Name | Reason:
        """What is meant by `NAME`, or by `channel:NAME` and `destination:NAME` where one name is both."""
        kind, _, name = text.rpartition(":")
        found = [of for of in self._known() if of[1] == name and kind in ("", of[0])]
        if len(found) > 1:
            return Reason(
                "conflict", f"both are named {name}: say channel:{name} or destination:{name}", "name"
            )
        text = "no such channel or destination"
        return found[0] if found else Reason("not-found", text, "name")

    def _known(self) -> set[Name]:
        made = self.lines.current.made.configuration
        channels = {("channel", channel.name) for channel in made.channels}
        return {*channels, *(("destination", p.name) for p in made.partners), *self.lines.paused}

    def together(self, of: Name) -> list[Name] | Reason:
        """With the channels that share its source: they stop and go on together."""
        group = self._group(of)
        if any(isinstance(channel.source, ChartSource) for channel in group):
            return TOLD
        return [("channel", channel.name) for channel in group] or [of]

    def _group(self, of: Name) -> Sequence[Channel]:
        kind, name = of
        groups = grouped(self.lines.current.made.configuration.channels) if kind == "channel" else []
        return next((group for group in groups if any(c.name == name for c in group)), ())

    async def pause(self, names: Sequence[Name], who: str, why: str) -> None:
        """Durable, and then obeyed: return when all in hand is answered. Raises Down, Uncertain."""
        now = clock.now()

        def work(connection: Connection) -> None:
            for kind, name in names:
                pauses.pause(connection, Pause(kind, name, now, who, why))
            record(connection, _act(who, "pause", names, why), now)

        async with self.lines.lock:
            await self.committer.submit(work, first=True)
            await self.lines.obey(frozenset({*self.lines.paused, *names}))
            _log("paused", names)

    async def resume(self, names: Sequence[Name], who: str, why: str) -> None:
        """Raises Cannot, where a source does not start, Down, Uncertain: then it stays paused."""

        def work(connection: Connection) -> None:
            for name in names:
                pauses.resume(connection, name)
            record(connection, _act(who, "resume", names, why), clock.now())

        async with self.lines.lock:
            before = frozenset(self.lines.paused)
            await self.lines.obey(before - {*names})
            try:
                await self.committer.submit(work, first=True)
            except (Down, Uncertain):
                await self.lines.obey(before)
                raise
            _log("resumed", names)

    def recall(self, connection: Connection) -> None:
        """What was paused before the engine started stays so."""
        self.lines.paused = frozenset(pause.of for pause in pauses.pauses(connection))
        _log("paused", sorted(self.lines.paused))


def left(of: Name) -> Callable[[Connection], tuple[int, int]]:
    """How many a channel has to process yet, or a destination to deliver; and how many of these stand still."""
    kind, name = of
    read = inbox.unprocessed if kind == "channel" else outbox.undelivered
    return lambda connection: read(connection, name)


def _act(who: str, what: str, names: Sequence[Name], why: str) -> Act:
    rows = {f"{kind}s": [name for k, name in names if k == kind] for kind in KINDS}
    return Act(who, what, {kind: found for kind, found in rows.items() if found}, why)


def _log(event: str, names: Sequence[Name]) -> None:
    for kind, name in names:
        log.warning(event, **{kind: name})

"""What is open, who was told, what is muted: rows. Every call that writes runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from engine.alerts.rules import WEEK, Condition, Ended, Usual
from engine.alerts.settings import AlertsFile
from store.database import Connection, one
from store.database.statements import load

SQL = load("engine.alerts", "record.sql")
EVERYTHING = "*"
"""The subject of a mute that is for all subjects of its rule."""
LONGEST = 3600
"""Seconds between attempts to tell somebody, at most."""


class Alert(NamedTuple):
    """One time that something was wrong. Times in microseconds since the epoch: `seen` when it last held, `told` when
    somebody was last told. `who` acknowledged it, and `why`."""

    id: int
    rule: str
    subject: str
    text: str
    opened: int
    seen: int
    told: int
    closed: int | None
    who: str | None
    why: str | None


class Notice(NamedTuple):
    """Somebody must be told: `what` is OPENED, OPEN (a reminder) or CLOSED."""

    id: int
    what: str
    notifier: str
    attempts: int
    alert: Alert


class Mute(NamedTuple):
    """Nobody is told of a rule's alerts, of one subject or of `*`, `until` then."""

    rule: str
    subject: str
    until: int
    who: str
    why: str


def update(
    connection: Connection,
    settings: AlertsFile,
    found: Iterable[Condition],
    notifiers: Sequence[str],
    now: int,
) -> list[tuple[str, Alert]]:
    """Open, keep and close alerts by the conditions that hold now, and write who must be told: what changed."""
    holds = {(each.rule.value, each.subject): each for each in found}
    muted = {(mute.rule, mute.subject) for mute in mutes(connection, now)}
    changed: list[tuple[str, Alert]] = []
    for alert in opened(connection):
        condition = holds.pop((alert.rule, alert.subject), None)
        if what := _kept(connection, settings, alert, condition, now):
            changed.append((what, alert))
    for condition in holds.values():
        row = (condition.rule.value, condition.subject, condition.text, now, now, now)
        if added := one(connection, SQL.opened, row):
            changed.append(("OPENED", Alert(added[0], *row, None, None, None)))
    told = [each for each in changed if not _muted(each[1], muted)]
    connection.many(SQL.notice, [(alert.id, what, name, now) for what, alert in told for name in notifiers])
    return told


def _kept(
    connection: Connection, settings: AlertsFile, alert: Alert, condition: Condition | None, now: int
) -> str | None:
    """What somebody must be told of an alert that was open: CLOSED, OPEN, or nothing."""
    if condition is not None:
        connection.run(SQL.seen, (now, condition.text, alert.id))
        if alert.who is None and now - alert.told >= settings.repeat * 1e6:
            connection.run(SQL.told, (now, alert.id))
            return "OPEN"
    elif alert.seen > now:  # the clock was set back
        connection.run(SQL.seen, (now, alert.text, alert.id))
    elif now - alert.seen >= settings.calm * 1e6:
        connection.run(SQL.closed, (now, alert.id))
        return "CLOSED"
    return None


def _muted(alert: Alert, muted: set[tuple[str, str]]) -> bool:
    return not muted.isdisjoint({(alert.rule, alert.subject), (alert.rule, EVERYTHING)})


def opened(connection: Connection) -> list[Alert]:
    """Those that are open, the oldest first."""
    return [Alert(*row) for row in connection.all(SQL.open)]


def newest(connection: Connection, limit: int) -> list[Alert]:
    """Open and closed, the newest first."""
    return [Alert(*row) for row in connection.all(SQL.newest, (limit,))]


def acknowledge(connection: Connection, alert: int, who: str, why: str) -> bool:
    """Nobody is reminded of it any more. False: it is not open."""
    return bool(connection.all(SQL.acknowledged, (who, why, alert)))


def due(connection: Connection, now: int) -> list[Notice]:
    """Who must be told now."""
    rows = connection.all(SQL.due, (now,))
    return [Notice(id, what, by, attempts, Alert(*row)) for id, what, by, attempts, *row in rows]


def settle(connection: Connection, told: Mapping[int, bool], notices: Iterable[Notice], now: int) -> None:
    """Forget who was told; try the others again later."""
    for notice in notices:
        if told[notice.id]:
            connection.run(SQL.done, (notice.id,))
        else:
            wait = min(LONGEST, 5 * 2 ** min(notice.attempts, 20))
            connection.run(SQL.later, (now + wait * 1_000_000, notice.id))


def mutes(connection: Connection, now: int) -> list[Mute]:
    """What is muted now."""
    return [Mute(*row) for row in connection.all(SQL.mutes, (now,))]


def mute(connection: Connection, mute: Mute) -> None:
    connection.run(SQL.mute, mute)


def unmute(connection: Connection, rule: str, subject: str) -> bool:
    """False: it was not muted."""
    return bool(connection.all(SQL.unmute, (rule, subject)))


def heard(connection: Connection) -> dict[str, int]:
    """When each channel was last heard of, as far as it was written down."""
    return dict(connection.all(SQL.heard))


def hear(connection: Connection, channels: Mapping[str, int]) -> None:
    connection.many(SQL.hear, list(channels.items()))


def count(connection: Connection, messages: Mapping[str, int], hour: int) -> None:
    """So many more messages of each channel in this hour since the epoch."""
    connection.many(SQL.count, [(name, hour, number) for name, number in messages.items()])


def usual(connection: Connection, hour: int, weeks: int) -> dict[str, Usual]:
    """What was usual in the weeks before this hour."""
    first = hour - weeks * WEEK
    found: dict[str, Usual] = {}
    for channel, slot, messages, since in connection.all(SQL.usual, (first, hour)):
        known = found.setdefault(channel, Usual((hour - max(since, first)) / WEEK, {}))
        found[channel] = Usual(known.weeks, {**known.slots, slot: float(messages)})
    return found


def forget_usual(connection: Connection, hour: int) -> None:
    """What is older than a year is not asked for."""
    connection.run(SQL.forget_usual, (hour - 53 * WEEK,))


LATELY = 300_000_000
"""Microseconds for which what a process saw counts."""
ENOUGH = 20
"""So few answers say nothing."""


def slow(connection: Connection, process: str, seen: Mapping[str, tuple[float, int]], now: int) -> None:
    """How long answers took lately, as one process saw it: seconds and number by subject."""
    rows = [(process, subject, now, *each) for subject, each in seen.items()]
    connection.many(SQL.slow, rows)
    connection.run(SQL.forget_slow, (now - LATELY,))


def latency(connection: Connection, now: int) -> dict[str, float]:
    """How long answers took lately, where it was slowest."""
    return dict(connection.all(SQL.latency, (now - LATELY, ENOUGH)))


def ended(connection: Connection, since: int) -> dict[str, Ended]:
    """Of the newest messages that came `since` then, by channel."""
    return {channel: Ended(number, bad) for channel, number, bad in connection.all(SQL.ended, (since,))}

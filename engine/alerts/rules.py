"""The rules: what is seen at one moment -> the conditions that hold. Pure; texts name channels, destinations and
numbers, never anything of a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from engine.alerts.settings import AlertsFile
from engine.journal.queues import Queue


class Rule(StrEnum):
    """What is watched."""

    SILENT = "silent"
    CLOCK = "clock"
    STUCK = "stuck"
    QUEUE_AGE = "queue_age"
    QUEUE_DEPTH = "queue_depth"
    LATENCY = "latency"
    ERRORS = "errors"
    OVERDUE = "overdue"
    DISK = "disk"
    CERTIFICATE = "certificate"


class Usual(NamedTuple):
    """What is usual of a channel: messages by hour of the week (0 is Thursday, 00:00 UTC), and of how many weeks."""

    weeks: float
    slots: Mapping[int, float]


class Condition(NamedTuple):
    """Something that somebody should hear of. `subject`: `channel lab`, `destination pager`, `disk`."""

    rule: Rule
    subject: str
    text: str


class Ended(NamedTuple):
    """Of a channel's newest messages: how many there are, and how many came to no good end."""

    messages: int
    bad: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen. Times in microseconds since the epoch; queues by channel or destination; `disk` in per cent;
    `certificates` by until when they are good, None where that cannot be read; `latency` in seconds, by subject."""

    now: int
    heard: Mapping[str, int] = field(default_factory=dict)
    inbox: Mapping[str, Queue] = field(default_factory=dict)
    held_in: Mapping[str, Queue] = field(default_factory=dict)
    queued: Mapping[str, Queue] = field(default_factory=dict)
    held_out: Mapping[str, Queue] = field(default_factory=dict)
    parked: Mapping[str, Queue] = field(default_factory=dict)
    ended: Mapping[str, Ended] = field(default_factory=dict)
    overdue: Mapping[str, int] = field(default_factory=dict)
    disk: float = 0.0
    certificates: Mapping[str, int | None] = field(default_factory=dict)
    usual: Mapping[str, Usual] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    clock: float | None = 0.0  # seconds by which it may be wrong; None: nobody keeps it


def conditions(settings: AlertsFile, seen: Seen) -> Iterator[Condition]:
    """Everything that holds now."""
    yield from _silent(settings, seen)
    yield from _learned(settings, seen)
    if settings.clock is not None and (seen.clock is None or seen.clock > settings.clock):
        wrong = (
            "nobody keeps the clock"
            if seen.clock is None
            else f"the clock may be wrong by {seen.clock:.1f} s"
        )
        yield Condition(Rule.CLOCK, "clock", wrong)
    if settings.stuck:
        yield from _stuck(seen)
    yield from _queues(settings, seen)
    yield from _slow(settings, seen)
    yield from _errors(settings, seen)
    if settings.overdue:
        for name, number in seen.overdue.items():
            if number:
                yield _destination(Rule.OVERDUE, name, f"{number} answers did not come in time")
    if settings.disk is not None and seen.disk >= settings.disk:
        text = f"{seen.disk:.0f} % of the disk is used; {settings.disk:g} % is the limit"
        yield Condition(Rule.DISK, "disk", text)
    yield from _certificates(settings, seen)


def _certificates(settings: AlertsFile, seen: Seen) -> Iterator[Condition]:
    for where, until in seen.certificates.items() if settings.certificate is not None else ():
        if until is None:
            yield Condition(Rule.CERTIFICATE, where, "it cannot be read")
        elif (left := (until - seen.now) / 1e6) <= 0:
            yield Condition(Rule.CERTIFICATE, where, "it is over")
        elif settings.certificate is not None and left < settings.certificate:
            yield Condition(Rule.CERTIFICATE, where, f"it is good for another {_span(left)}")


def _silent(settings: AlertsFile, seen: Seen) -> Iterator[Condition]:
    """A clock that was set back makes nobody silent: what was heard later than now was heard just now."""
    for name, limit in settings.silent.items():
        since = (seen.now - seen.heard.get(name, seen.now)) / 1e6
        if since > limit:
            yield _channel(Rule.SILENT, name, f"nothing came for {_span(since)}; {_span(limit)} is the limit")


HOUR = 3_600_000_000
WEEK = 168


def _learned(settings: AlertsFile, seen: Seen) -> Iterator[Condition]:
    if (learned := settings.learned) is None:
        return
    for name, usual in seen.usual.items():
        heard = seen.heard.get(name, seen.now)
        if name in settings.silent or usual.weeks < 2 or seen.now - heard < learned.least * 1e6:
            continue
        expected = expectation(usual, heard, seen.now)
        if expected >= learned.expected:
            since = _span((seen.now - heard) / 1e6)
            text = f"nothing came for {since}, in which {expected:.0f} messages would have been usual"
            yield _channel(Rule.SILENT, name, text)


def expectation(usual: Usual, since: int, until: int) -> float:
    """How many messages are usual between two times, at most a week apart."""
    at, found = max(since, until - WEEK * HOUR), 0.0
    while at < until:
        end = min(until, (at // HOUR + 1) * HOUR)
        found += usual.slots.get(at // HOUR % WEEK, 0.0) / usual.weeks * (end - at) / HOUR
        at = end
    return found


def _stuck(seen: Seen) -> Iterator[Condition]:
    for name, queue in seen.held_in.items():
        if queue.depth:
            yield _channel(Rule.STUCK, name, f"{queue.depth} messages are held behind one in trouble")
    for name in {**seen.held_out, **seen.parked}:
        held, parked = (found[name].depth if name in found else 0 for found in (seen.held_out, seen.parked))
        if held or parked:
            yield _destination(
                Rule.STUCK, name, f"{held} lanes stand still, {parked} deliveries were set aside"
            )


def _queues(settings: AlertsFile, seen: Seen) -> Iterator[Condition]:
    for kind, queues in (("channel", seen.inbox), ("destination", seen.queued)):
        for name, queue in queues.items():
            age = (seen.now - queue.oldest) / 1e6
            if queue.depth and settings.queue_age is not None and age > settings.queue_age:
                text = f"the oldest of {queue.depth} waits for {_span(age)}; {_span(settings.queue_age)} is the limit"
                yield Condition(Rule.QUEUE_AGE, f"{kind} {name}", text)
            if settings.queue_depth is not None and queue.depth > settings.queue_depth:
                text = f"{queue.depth} wait; {settings.queue_depth} is the limit"
                yield Condition(Rule.QUEUE_DEPTH, f"{kind} {name}", text)


def _slow(settings: AlertsFile, seen: Seen) -> Iterator[Condition]:
    limits = {"channel": settings.ack_latency, "destination": settings.answer_latency}
    for subject, seconds in seen.latency.items():
        limit = limits[subject.partition(" ")[0]]
        if limit is not None and seconds > limit:
            text = f"5 of 100 answers take longer than {seconds:.2g} s; {limit:g} s is the limit"
            yield Condition(Rule.LATENCY, subject, text)


def _errors(settings: AlertsFile, seen: Seen) -> Iterator[Condition]:
    if (limits := settings.errors) is None:
        return
    for name, found in seen.ended.items():
        if found.messages >= limits.least and found.bad > limits.share * found.messages:
            text = f"{found.bad} of the newest {found.messages} messages were quarantined, failed or refused"
            yield _channel(Rule.ERRORS, name, text)


def _channel(rule: Rule, name: str, text: str) -> Condition:
    return Condition(rule, f"channel {name}", text)


def _destination(rule: Rule, name: str, text: str) -> Condition:
    return Condition(rule, f"destination {name}", text)


def _span(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"

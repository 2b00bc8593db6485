"""What was seen while the story was played, and whether it adds up. Pure: no clock, no I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple

from demo.sent import Sent
from demo.wording import stamp

FEEDS = ("adt", "lab_results")
TOLD = ("ward_board", "pager", "archive")  # those that get messages; the warehouse follows the chart


class Answered(NamedTuple):
    """A message went at `went` (seconds since the epoch) and was answered `ack` after `took` seconds."""

    ack: str
    went: float
    took: float


class Arrived(NamedTuple):
    """A destination heard of the message whose MSH-7 is `told`, at `time` (seconds since the epoch)."""

    patient: str
    told: str
    time: float


@dataclass
class Seen:
    """Everything that the partners and the engine have reported so far."""

    # answers by the message's number in the story, arrivals by destination
    answers: dict[int, list[Answered]] = field(default_factory=lambda: defaultdict(list))
    arrivals: dict[str, list[Arrived]] = field(default_factory=lambda: defaultdict(list))
    bundles: int = 0
    messages: Sequence[Mapping[str, Any]] = ()  # what `chartwire messages list --json` says

    def hear(self, said: Mapping[str, Any]) -> None:
        """Take one line of a partner."""
        if "number" in said:
            self.answers[said["number"]].append(Answered(said["ack"], said["went"], said["took"]))
        elif said.get("at") == "warehouse":
            self.bundles += 1
        elif "at" in said:
            self.arrivals[said["at"]].append(Arrived(said["patient"], said["told"], said["time"]))


def complete(story: Sequence[Sent], seen: Seen) -> bool:
    """Has as much arrived at every destination as must?"""
    return all(len(seen.arrivals[d]) >= sum(d in s.to for s in story) for d in TOLD)


def faults(story: Sequence[Sent], seen: Seen) -> Iterator[str]:
    """What does not add up, each in a sentence; nothing if everything does."""
    yield from _unanswered(story, seen)
    yield from _states(story, seen.messages)
    for destination in TOLD:
        yield from _deliveries(destination, story, seen.arrivals[destination])


def _unanswered(story: Sequence[Sent], seen: Seen) -> Iterator[str]:
    for number, sent in enumerate(story):
        acks = [a.ack for a in seen.answers[number]]
        if acks != [sent.ack]:
            yield f"{sent.feed}: {sent.about}: expected {sent.ack}, was answered {_list(acks)}"


def _states(story: Sequence[Sent], messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """End states by control id; the refused garbage has none, so it is counted."""
    wanted: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for sent in story:
        if sent.state:
            wanted[sent.feed, sent.control][sent.state] += 1
    for message in messages:
        found[message["channel"], message["key"] or ""][message["state"]] += 1
    about: dict[tuple[str, str], str] = {(s.feed, s.control): s.about for s in story if s.state}
    for key in sorted(wanted.keys() | found.keys()):
        if wanted[key] != found[key]:
            name = about.get(key, f"a message {key[1]} that nobody sent")
            yield f"{key[0]}: {name}: expected {_list(wanted[key])}, the engine has {_list(found[key])}"


def _deliveries(destination: str, story: Sequence[Sent], arrivals: Sequence[Arrived]) -> Iterator[str]:
    """Every expected one once, nothing else, and of one patient in the order in which each feed sent them."""
    expected = {told_of(s): s for s in story if destination in s.to}
    counted = Counter(a.told for a in arrivals)
    for told, sent in expected.items():
        if counted[told] != 1:
            yield f"{destination}: {sent.about}: expected once, arrived {counted[told]} times"
    for told in counted.keys() - expected.keys():
        yield f"{destination}: something that it should not hear of arrived (MSH-7 {told})"
    places = {told: n for n, told in enumerate(expected)}
    last: dict[tuple[str, str], str] = {}
    for arrived in (a for a in arrivals if a.told in expected):
        sent = expected[arrived.told]
        before = last.setdefault((sent.feed, arrived.patient), arrived.told)
        if places[before] > places[arrived.told]:
            yield f"{destination}: {sent.about} arrived after {expected[before].about}"
        last[sent.feed, arrived.patient] = arrived.told


def told_of(sent: Sent) -> str:
    """What a destination knows a message by: its MSH-7, of which no two that go out are alike."""
    return stamp(sent.at)


def _list(words: Iterable[str]) -> str:
    return ", ".join(words) or "nothing"


def latencies(story: Sequence[Sent], seen: Seen, destination: str) -> list[float]:
    """Seconds from a message's sending to its arrival there."""
    went = {told_of(s): a.went for n, s in enumerate(story) if s.to for a in seen.answers[n][:1]}
    return [a.time - went[a.told] for a in seen.arrivals[destination] if a.told in went]


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)] if ordered else None

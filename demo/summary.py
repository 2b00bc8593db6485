"""What a person is shown: progress, the table of what happened, and where to look further."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from demo.chapters import NUMBER
from demo.seen import FEEDS, TOLD, Seen, latencies, percentile
from demo.sent import Sent

Cell = tuple[str | int, int]
"""What stands in a column, and how wide that is."""
SHOWN = 30
_TIMES: tuple[Cell, ...] = (("p50 ms", 9), ("p95 ms", 9), ("p99 ms", 9))


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line now and then."""

    def __init__(self, story: Sequence[Sent], out: TextIO = sys.stdout) -> None:
        self._sent = len(story)
        self._expected = {d: sum(d in s.to for s in story) for d in TOLD}
        self._out = out
        self._live = out.isatty()
        self._next = 0.0

    def show(self, seen: Seen, *, now: bool = False) -> None:
        if not now and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (0.1 if self._live else 2.0)
        answered = sum(map(len, seen.answers.values()))
        parts = [f"acknowledged {answered}/{self._sent}"]
        parts += [f"{d} {len(seen.arrivals[d])}/{n}" for d, n in self._expected.items()]
        line = "  " + "   ".join([*parts, f"warehouse {seen.bundles}"])
        self._out.write(f"\r{line}\x1b[K" if self._live else f"{line}\n")
        if now and self._live:
            self._out.write("\n")
        self._out.flush()


def table(story: Sequence[Sent], seen: Seen) -> Iterator[str]:
    """Per feed what was sent and what became of it; per destination what arrived and how soon."""
    yield ""
    yield _row(("feed", 14), ("sent", 6), ("acknowledged", 14), ("refused", 9), ("repeated", 10), *_TIMES)
    for feed in FEEDS:
        yield _feed(feed, story, seen)
    yield ""
    for feed in FEEDS:
        states = Counter(m["state"] for m in seen.messages if m["channel"] == feed)
        yield f"{feed:<14}" + ", ".join(f"{n} {state}" for state, n in states.most_common())
    yield ""
    yield (
        _row(("destination", 14), ("expected", 10), ("delivered", 11), *_TIMES) + "  from sending to arrival"
    )
    for destination in TOLD:
        expected = sum(destination in s.to for s in story)
        arrived = len(seen.arrivals[destination])
        times = _milliseconds(latencies(story, seen, destination))
        yield _row((destination, 14), (expected, 10), (arrived, 11), *times)
    yield _row(("warehouse", 14), ("the chart", 10), (seen.bundles, 11)) + " transactions"


def _feed(feed: str, story: Sequence[Sent], seen: Seen) -> str:
    ours = {n: s for n, s in enumerate(story) if s.feed == feed}
    answers = [a for n in ours for a in seen.answers[n]]
    accepted = sum(a.ack in ("AA", "CA") for a in answers)
    repeated = sum(not s.state for s in ours.values())
    times = _milliseconds([a.took for a in answers])
    refused = len(answers) - accepted
    return _row((feed, 14), (len(ours), 6), (accepted, 14), (refused, 9), (repeated, 10), *times)


def _row(first: Cell, *cells: Cell) -> str:
    """The first column to the left, numbers to the right."""
    return f"{first[0]:<{first[1]}}" + "".join(f"{text:>{width}}" for text, width in cells)


def _milliseconds(seconds: Sequence[float]) -> list[Cell]:
    values = [percentile(seconds, share) for share in (50, 95, 99)]
    return [("-" if v is None else f"{v * 1000:.1f}", 9) for v in values]


def verdict(wrong: Sequence[str]) -> Iterator[str]:
    yield ""
    if not wrong:
        yield "Everything adds up."
    yield from (f"WRONG: {w}" for w in wrong[:SHOWN])
    if len(wrong) > SHOWN:
        yield f"... and {len(wrong) - SHOWN} more, all in wrong.txt"


def further(http: str, data: Path, token: str, mrn: str, patient: str) -> Iterator[str]:
    """Ready to paste."""
    curl = f"curl -s -H 'Authorization: Bearer {token}'"
    yield ""
    yield "Look further:"
    yield f"  {curl} '{http}/fhir/Patient?identifier={mrn}'"
    yield f"  {curl} '{http}/fhir/Encounter?patient={patient}'"
    yield f"  {curl} '{http}/fhir/Observation?patient={patient}&code=2823-3'"
    yield f"  curl -s {http}/metrics"
    yield f"  .venv/bin/chartwire messages list --state QUARANTINED --data {data}"
    yield f"  .venv/bin/chartwire messages trace 1 --data {data}"
    yield f"  .venv/bin/chartwire case L{NUMBER} --data {data}"
    yield f"  .venv/bin/chartwire expectations --data {data}"

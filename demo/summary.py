"""What a person is shown: progress, the table of what happened, and where to look further."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TextIO

from demo.seen import TOLD, Seen, latencies, percentile
from demo.sent import Sent


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
    yield ""
    yield f"{'feed':<14}{'sent':>6}{'acknowledged':>14}{'refused':>9}{'repeated':>10}   {'ack ms p50':>10}{'p95':>8}{'p99':>8}"
    for feed in ("adt", "lab_results"):
        yield _feed(feed, story, seen)
    yield ""
    yield f"{'feed':<14}" + "end states"
    for feed in ("adt", "lab_results"):
        states = Counter(m["state"] for m in seen.messages if m["channel"] == feed)
        yield f"{feed:<14}" + ", ".join(f"{n} {state}" for state, n in states.most_common())
    yield ""
    yield f"{'destination':<14}{'expected':>9}{'delivered':>11}   {'end to end ms p50':>17}{'p95':>8}{'p99':>8}"
    for destination in TOLD:
        expected = sum(destination in s.to for s in story)
        took = _milliseconds(latencies(story, seen, destination), 17)
        yield f"{destination:<14}{expected:>9}{len(seen.arrivals[destination]):>11}   {took}"
    yield f"{'warehouse':<14}{'the chart':>9}{seen.bundles:>11}"


def _feed(feed: str, story: Sequence[Sent], seen: Seen) -> str:
    ours = [s for s in story if s.feed == feed]
    answers = [a for s in ours for a in seen.answers[s.about]]
    accepted = sum(a.ack in ("AA", "CA") for a in answers)
    repeated = sum(not s.state for s in ours)
    took = _milliseconds([a.took for a in answers], 10)
    return f"{feed:<14}{len(ours):>6}{accepted:>14}{len(answers) - accepted:>9}{repeated:>10}   {took}"


def _milliseconds(seconds: Sequence[float], width: int) -> str:
    shown = []
    for share in (0.50, 0.95, 0.99):
        value = percentile(seconds, share)
        shown.append("-" if value is None else f"{value * 1000:.1f}")
    return f"{shown[0]:>{width}}{shown[1]:>8}{shown[2]:>8}"


def further(http: str, data: str, token: str, patient: str, command: str) -> Iterator[str]:
    """Ready to paste."""
    curl = f"curl -s -H 'Authorization: Bearer {token}'"
    yield ""
    yield "Look further:"
    yield f"  {curl} '{http}/fhir/Patient?identifier=MRN10003'"
    yield f"  {curl} '{http}/fhir/Encounter?patient={patient}'"
    yield f"  {curl} '{http}/fhir/Observation?patient={patient}&code=2823-3'"
    yield f"  curl -s {http}/metrics"
    yield f"  {command} messages list --state QUARANTINED --data {data}"
    yield f"  {command} messages trace 1 --data {data}"

"""What happened to the samples of a test, beside what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from engine.config.cases import Expect, Sent
from engine.config.match import unmatched
from engine.message import State
from store.reason import Reason


class Happened(NamedTuple):
    """What became of the samples of one test: of the last message, of the chart, of the destinations."""

    ack: str
    state: State
    reason: Reason | None
    resources: list[dict[str, Any]]
    sent: Mapping[str, list[bytes]]


def compared(expect: Expect, happened: Happened, goldens: Mapping[str, bytes]) -> Iterator[str]:
    """A line for each difference. `goldens`: the content of the files that deliveries must equal."""
    reason = happened.reason
    why = f" ({reason})" if reason else ""
    if expect.ack not in (None, happened.ack):
        yield f"ack: expected {expect.ack}, got {happened.ack}{why}"
    if expect.state not in (None, happened.state):
        yield f"state: expected {expect.state}, got {happened.state}{why}"
    if expect.reason is not None and expect.reason != (reason.code if reason else ""):
        yield f"reason: expected {expect.reason}, got {reason or 'none'}"
    if expect.place is not None and expect.place != (reason.place if reason else ""):
        yield f"place: expected {expect.place}, got {reason.place if reason else 'none'}"
    if expect.stored == () and happened.resources:
        types = ", ".join(r["resourceType"] for r in happened.resources)
        yield f"stored: expected nothing, got {types}"
    for line in unmatched(expect.stored or (), happened.resources):
        yield f"stored: {line}"
    for destination, sent in expect.sent.items():
        for line in _sent(sent, happened.sent.get(destination, []), goldens):
            yield f"sent to {destination}: {line}"


def _sent(expected: Sent, bodies: Sequence[bytes], goldens: Mapping[str, bytes]) -> Iterator[str]:
    if expected.count is not None and len(bodies) != expected.count:
        yield f"expected {expected.count} deliveries, got {len(bodies)}"
    elif expected.count is None and not bodies:
        yield "expected a delivery, got none"
    for text in expected.contains if bodies else ():
        if not any(text.encode() in body for body in bodies):
            yield f'expected a delivery that contains "{text}", got none'
    if expected.equals and bodies:
        yield from min((_lines(goldens[expected.equals], body) for body in bodies), key=len)


def _lines(golden: bytes, body: bytes) -> list[str]:
    """Every line that differs, and of a segment every field; how lines end does not matter."""
    pairs = enumerate(zip_longest(_split(golden), _split(body), fillvalue="nothing"), start=1)
    return [line for n, (wanted, got) in pairs if wanted != got for line in _line(n, wanted, got)]


def _line(number: int, wanted: str, got: str) -> list[str]:
    names, fields = (wanted[:4], got[:4]), zip_longest(wanted.split("|"), got.split("|"), fillvalue="")
    if names[0] != names[1] or not names[0].endswith("|"):
        return [f"line {number}: expected {wanted}, got {got}"]
    first = 1 if names[0] == "MSH|" else 0  # MSH-1 is the separator itself
    return [
        f"line {number}, {wanted[:3]}-{n}: expected {a or 'nothing'}, got {b or 'nothing'}"
        for n, (a, b) in enumerate(fields, start=first)
        if a != b
    ]


def _split(body: bytes) -> list[str]:
    return re.split(r"\r\n|\r|\n", body.decode("utf-8", "backslashreplace").rstrip("\r\n"))

"""The chart does not depend on the order of arrival: any permutation, with duplicates, gives the same chart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import chart
from store.chart import Applied
from store.database import Writing
from store.database.sqlite import Sqlite, create
from store.facts import Clock, Fact, Link
from store.identity import Authority, Identity, reference
from tests.said import ready

IDENTITY = Identity(
    b"test", [Authority("mrn", "urn:mrn", identifies=True), Authority("epi", "urn:epi", identifies=True)]
)
MRN, EPI = IDENTITY.authorities
Story = list[tuple[Fact | Link, ...]]


def patient(value: str) -> bytes:
    return IDENTITY.patient_key(MRN, value)


def demographics(time: int, value: str, family: str, **more: object) -> Fact:
    key = patient(value)
    elements = {"identifier": [{"system": "urn:mrn", "value": value}], "name": [{"family": family}], **more}
    return Fact("Patient", key, Clock(time, sent=time), elements)


def visit(
    time: int,
    event: str,
    value: str = "1",
    *,
    cancels: str = "",
    establishes: bool = True,
    **elements: object,
) -> Fact:
    key = IDENTITY.key("Encounter", "urn:visit", "V" + value, patient(value))
    common = {"class": {"code": "IMP"}, "subject": reference("Patient", patient(value)), **elements}
    return Fact("Encounter", key, Clock(time, sent=time), common, patient(value), event, cancels, establishes)


def result(time: int, status: str, rank: int, text: str, sent: int) -> Fact:
    key = IDENTITY.key("Observation", "lab", "F1", "2823-3")
    value = {"valueString": text} if text != "?" else {"dataAbsentReason": {"text": "pending"}}
    elements = {
        "status": status,
        "code": {"text": "K"},
        "subject": reference("Patient", patient("1")),
        **value,
    }
    return Fact("Observation", key, Clock(time, status=rank, sent=sent), elements, patient("1"))


def report(time: int, rank: int, status: str, *results: str) -> Fact:
    key = IDENTITY.key("DiagnosticReport", "lab", "F1")
    elements = {
        "status": status,
        "code": {"text": "BMP"},
        "result": [{"reference": f"Observation/{r}"} for r in results],
    }
    return Fact("DiagnosticReport", key, Clock(time, status=rank, sent=time), elements, patient("1"))


def merge(time: int, prior: str, survivor: str) -> Link:
    return Link(patient(prior), patient(survivor), Clock(time, sent=time), "merge", "MRG-1")


def claim(time: int, value: str, other: str) -> Link:
    return Link(
        IDENTITY.patient_key(EPI, other), patient(value), Clock(time, sent=time), "claim", "PID-3[2].1"
    )


STORY: Story = [
    (
        demographics(10, "1", "FIRST"),
        visit(10, "A01", status="in-progress", period={"start": "2026-01-01"}),
        claim(10, "1", "E1"),
    ),
    (
        demographics(20, "1", "SECOND", birthDate="1980-01-01"),
        visit(20, "A08", establishes=False, priority={"text": "U"}),
    ),
    (
        demographics(30, "1", "SECOND"),
        visit(
            30,
            "A03",
            status="finished",
            period={"end": "2026-01-05"},
            hospitalization={"dischargeDisposition": {"text": "home"}},
        ),
    ),
    (demographics(40, "1", "SECOND", birthDate=None), visit(40, "A13", cancels="A03", status="in-progress")),
    (result(50, "preliminary", 1, "?", 50), report(50, 1, "preliminary", "a", "b")),
    (result(50, "final", 2, "6.30", 55), report(50, 2, "final", "a", "b")),
    (result(50, "corrected", 3, "3.60", 60), report(50, 3, "corrected", "b")),
    (demographics(70, "2", "DOUBLE"), visit(70, "A01", "2", status="in-progress")),
    (demographics(80, "1", "THIRD"), merge(80, "2", "1")),
    (demographics(82, "1", "THIRD"), merge(82, "1", "2")),
    (demographics(84, "1", "THIRD"), merge(84, "2", "1"), demographics(84, "2", "DOUBLE")),
    (demographics(90, "3", "CLAIMANT"), claim(90, "3", "E1"), visit(90, "A01", "3", status="in-progress")),
    (demographics(91, "3", "CLAIMANT"),),
    (demographics(92, "4", "EARLIER"), claim(5, "4", "E4")),
    (demographics(93, "5", "LATER"), claim(6, "5", "E4")),
    (demographics(94, "5", "LATER"), merge(94, "5", "4"), claim(94, "5", "E4")),
    (visit(95, "A08", "6", establishes=False, status="in-progress"),),
]


def open_chart() -> Sqlite:
    return create(Path(":memory:"))


def filed(connection: Writing, story: Story, order: list[int]) -> tuple[str, frozenset[int]]:
    """Apply messages in this order; what is released is processed again, as the worker does."""
    names: dict[int, int] = {}
    waiting = list(order)
    ended: dict[int, bool] = {}
    ids: dict[int, int] = {}
    connection.begin()
    while waiting:
        n = waiting.pop(0)
        id = ids.setdefault(n, len(ids) + 1)
        names[id] = n
        applied: Applied = chart.apply(connection, id, len(ended), ready(story[n]))
        ended[n] = applied.withheld is not None
        for other, _ in applied.withhold:
            ended[names[other]] = True
        waiting = [names[other] for other in applied.release] + waiting
    connection.commit()
    return chart.digest(connection), frozenset(n for n, withheld in ended.items() if withheld)


@pytest.fixture(scope="module")
def expected() -> tuple[str, frozenset[int]]:
    connection = open_chart()
    result = filed(connection, STORY, list(range(len(STORY))))
    rows = connection.all("SELECT type, count(*) FROM resource WHERE live = 1 GROUP BY type ORDER BY type")
    assert rows == [("DiagnosticReport", 1), ("Encounter", 2), ("Observation", 1), ("Patient", 5)]
    assert result[1] == {11}, "only the later claimant waits; the one that was merged does not"
    connection.close()
    return result


orders = st.permutations(range(len(STORY))).flatmap(
    lambda p: st.lists(st.sampled_from(p), max_size=6).map(lambda again: [*p, *again])
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(order=orders)
def test_any_order_gives_the_same_chart_and_end_states(
    order: list[int], expected: tuple[str, frozenset[int]]
) -> None:
    connection = open_chart()
    assert filed(connection, STORY, order) == expected
    connection.close()


def test_a_planted_arrival_order_bug_is_found(
    expected: tuple[str, frozenset[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Clock, "pack", lambda self, position: position.to_bytes(8, "big"))
    connection = open_chart()
    assert filed(connection, STORY, list(reversed(range(len(STORY))))) != expected
    connection.close()

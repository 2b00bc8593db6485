"""After every message the chart is what a fold over all facts and links says, however it was brought up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from formats import fhir
from store import chart, search
from store.database.sqlite import Sqlite, create
from store.facts import Clock, Fact, Link
from store.fold import Said, fold
from store.identity import Identity
from store.survivor import survivors
from tests.said import ready

IDENTITY = Identity(b"test")
PATIENTS = [IDENTITY.key("Patient", "mrn", str(n)) for n in range(4)]
OTHERS = [IDENTITY.key("Patient", "epi", str(n)) for n in range(3)]
STAYS = [IDENTITY.key("Encounter", str(n)) for n in range(2)]
RESULT, REPORT = IDENTITY.key("Observation"), IDENTITY.key("DiagnosticReport")
Message = tuple[Fact | Link, ...]
Elements = dict[str, Any]

clocks = st.builds(
    lambda time, status, weight: Clock(time, status, time, weight),
    st.integers(0, 6), st.integers(0, 2), st.integers(0, 1),
)  # fmt: skip


def perhaps(**values: Sequence[object]) -> st.SearchStrategy[Elements]:
    """Any of these elements, each with one of its values."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(v) for name, v in values.items()})


def either(*strategies: st.SearchStrategy[Elements]) -> st.SearchStrategy[Elements]:
    return st.one_of(*strategies)


def both(*strategies: st.SearchStrategy[Elements]) -> st.SearchStrategy[Elements]:
    return st.tuples(*strategies).map(lambda parts: {k: v for part in parts for k, v in part.items()})


patients = st.builds(
    lambda key, clock, elements, establishes: Fact("Patient", key, clock, elements, key, "", "", establishes),
    st.sampled_from(PATIENTS),
    clocks,
    both(
        perhaps(
            identifier=[[{"system": "s", "value": "1"}], [{"value": "2"}, {"value": "1"}], None],
            name=[[{"family": "A", "given": ["B", "C"]}], [{"family": "Ä"}], None],
            birthDate=["1980-01-01", None],
            active=[True, None],
        ),
        either(perhaps(deceasedBoolean=[True, None]), perhaps(deceasedDateTime=["2026-01-01", None])),
    ),
    st.booleans(),
)
stays = st.builds(
    lambda key, clock, elements, patient, event, establishes: Fact(
        "Encounter",
        key,
        clock,
        {"class": {"code": "IMP"}, **elements},
        patient,
        event[0],
        event[1],
        establishes,
    ),
    st.sampled_from(STAYS),
    clocks,
    both(
        st.sampled_from([{"status": "in-progress"}, {"status": "finished"}]),
        perhaps(
            period=[{"start": "2026-01-01"}, {"end": "2026-01-05"}, {"end": None}, None],
            hospitalization=[{"dischargeDisposition": {"text": "home"}}, {"admitSource": {"text": "x"}}],
        ),
    ),
    st.sampled_from(PATIENTS),
    st.sampled_from([("A01", ""), ("A02", ""), ("A03", ""), ("A08", ""), ("A11", "A01"), ("A13", "A03")]),
    st.booleans(),
)
results = st.builds(
    lambda clock, elements: Fact("Observation", RESULT, clock, {"status": "final", **elements}, PATIENTS[0]),
    clocks,
    both(
        st.sampled_from([{"code": {"coding": [{"code": code}]}} for code in "ab"]),
        either(
            perhaps(valueString=["x"]),
            perhaps(valueQuantity=[{"value": Decimal("6.30")}, {"value": Decimal("6.3")}]),
        ),
        perhaps(effectiveDateTime=["2026-01-01", "2026-01-01T10:00:00+01:00", None]),
    ),
)
reports = st.builds(
    lambda clock, elements: Fact(
        "DiagnosticReport", REPORT, clock, {"status": "final", "code": {"text": "B"}, **elements}, PATIENTS[0]
    ),
    clocks,
    perhaps(
        result=[[{"reference": f"Observation/{n}"} for n in names] for names in ("a", "ab", "cb")],
        conclusion=["x", None],
    ),
)
merges = st.builds(
    lambda pair, clock: Link(pair[0], pair[1], clock, "merge", "MRG-1"),
    st.permutations(PATIENTS).map(lambda p: p[:2]),
    clocks,
)
claims = st.builds(
    lambda other, patient, clock: Link(other, patient, clock, "claim", "PID-3[2].1"),
    st.sampled_from(OTHERS), st.sampled_from(PATIENTS), clocks,
)  # fmt: skip
messages = st.builds(
    lambda facts, links: (*facts, *links),
    st.lists(st.one_of(patients, stays, results, reports), max_size=3, unique_by=lambda f: f.key),
    st.one_of(
        st.just([]),
        st.lists(st.one_of(merges, claims), max_size=2, unique_by=lambda link: (link.prior, link.survivor)),
    ),
)


class Chart:
    """A chart in memory; what is let go is processed again, as the worker does."""

    def __init__(self) -> None:
        self.connection = create(Path(":memory:"))
        self.connection.begin()
        self.ids: dict[int, int] = {}
        self.said: dict[int, Message] = {}
        self.held: set[int] = set()

    def file(self, name: int, message: Message) -> None:
        self.said[name] = message
        id = self.ids.setdefault(name, len(self.ids) + 1)
        applied = chart.apply(self.connection, id, 0, ready(message))
        names = {id: name for name, id in self.ids.items()}
        self.held.discard(name)
        self.held |= {name} if applied.withheld is not None else set()
        self.held |= {names[other] for other, _ in applied.withhold}
        self.held -= {names[other] for other in applied.release}
        check(self.connection, {self.ids[name] for name in self.held})
        for other in applied.release:
            self.file(names[other], self.said[names[other]])

    def end(self) -> tuple[str, set[int]]:
        digest = chart.digest(self.connection)
        self.connection.close()
        return digest, self.held


def check(connection: Sqlite, held: set[int]) -> None:
    """Bodies, index rows, survivors and withheld messages are what all facts and links say."""
    _check_links(connection, held)
    for id, type, version, live, low, high in connection.all(
        "SELECT id, type, version, live, low, high FROM resource"
    ):
        body = _folded(connection, id, type)
        now = fhir.decode(connection.all(chart.SQL.body, (id, version))[0][0]) if live else None
        assert fhir.canonical(now) == fhir.canonical(body)
        assert set(connection.all("SELECT kind, value FROM token WHERE resource = $1", (id,))) == (
            search.tokens(type, now) if now else set()
        )
        assert (low, high) == (search.period(now) if now else (None, None))
        numbers = connection.all("SELECT number FROM version WHERE resource = $1 ORDER BY number", (id,))
        assert numbers == [(n,) for n in range(1, version + 1)]


def _folded(connection: Sqlite, id: int, type: str) -> Mapping[str, Any] | None:
    rows = connection.all(chart.SQL.facts, (id,))
    body = fold(type, [Said(c, fhir.decode(x), event, cancels, bool(e)) for c, event, cancels, e, x in rows])
    filing = chart._Filing(connection, 0, 0)
    return filing._derived(id, body) if body is not None and type == "Patient" else body


def _check_links(connection: Sqlite, held: set[int]) -> None:
    rows = connection.all("SELECT message, kind, clock, prior, survivor FROM link")
    claimed = {(p, s): min(c for _, k, c, *pair in rows if k == "claim" and pair == [p, s])
               for _, kind, _, p, s in rows if kind == "claim"}  # fmt: skip
    result = survivors(
        {node: connection.all(chart.SQL.key_of, (node,))[0][0] for *_, p, s in rows for node in (p, s)},
        [(c, p, s) for _, kind, c, p, s in rows if kind == "merge"],
        [(c, p, s) for (p, s), c in claimed.items()],
    )
    of = {node: survivor for node, survivor in result.of.items() if node != survivor}
    assert of == dict(connection.all("SELECT patient, survivor FROM survivor"))
    waiting = {m for m, kind, _, p, s in rows if kind == "claim" and (p, s) in result.contested}
    assert waiting == held == {m for (m,) in connection.all("SELECT message FROM withheld")}
    assert not connection.all("SELECT 1 FROM fact WHERE message IN (SELECT message FROM withheld)")


def distinct(story: Sequence[Message]) -> list[Message]:
    """No two messages with the same clock."""
    return [
        tuple(replace(said, clock=said.clock._replace(sequence=n)) for said in message)
        for n, message in enumerate(story)
    ]


def filed(*messages: tuple[int, Message]) -> tuple[str, set[int]]:
    made = Chart()
    for name, message in messages:
        made.file(name, message)
    return made.end()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(story=st.lists(messages, min_size=2, max_size=8).map(distinct), data=st.data())
def test_any_order_of_any_messages(story: list[Message], data: st.DataObject) -> None:
    names = list(range(len(story)))
    order = data.draw(st.permutations(names)) + data.draw(st.lists(st.sampled_from(names), max_size=3))
    assert filed(*enumerate(story)) == filed(*((n, story[n]) for n in order))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(story=st.lists(messages, min_size=3, max_size=8).map(distinct), data=st.data())
def test_only_what_a_message_says_at_its_last_attempt_counts(
    story: list[Message], data: st.DataObject
) -> None:
    first, again = story[:-2], story[-2:]
    attempts = [(data.draw(st.sampled_from(range(len(first)))), message) for message in again]
    assert filed(*enumerate(first), *attempts) == filed(*{**dict(enumerate(first)), **dict(attempts)}.items())


def test_a_message_with_two_patients_waits_until_all_its_claims_are_honoured() -> None:
    """An A40 may hold several pairs (HL7 v2 3.3.40)."""
    a, b, c, d = PATIENTS

    def claim(time: int, other: bytes, patient: bytes) -> Link:
        return Link(other, patient, Clock(time), "claim", "PID-3[2].1")

    made = Chart()
    made.file(0, (claim(1, OTHERS[0], a),))
    made.file(1, (claim(2, OTHERS[0], b), claim(2, OTHERS[1], c)))
    assert made.held == {1}
    made.file(2, (claim(0, OTHERS[1], c),))
    assert made.held == {1}
    made.file(3, (Link(b, a, Clock(9), "merge", "MRG-1"),))
    assert made.held == set()
    made.file(4, (claim(-1, OTHERS[1], d),))
    assert made.end()[1] == {1, 2}

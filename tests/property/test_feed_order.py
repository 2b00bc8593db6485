"""The promise of the chart through the front door: a feed of real messages in any order, with duplicates, gives
the same chart and the same end states. Bytes in, as the intake, the worker and the writer treat them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.app import load
from engine.channel import Configuration
from engine.journal import inbox
from engine.message import Received
from engine.runtime.compute import computed
from engine.runtime.filing import file_all
from formats import fhir
from store import chart
from store.database.sqlite import Sqlite, create
from store.facts import Clock
from tests.flow.installation import AUTHORITIES, NOBODY, channel
from tests.flow.messages import a40, adt, oru
from transforms.hl7v2_to_fhir import merge, results, visit

RECEIVED = 1_790_000_000_000_000  # microseconds; after every message
BATCH = 4


class Sent(NamedTuple):
    channel: str
    key: str
    body: bytes


def at(minute: int) -> str:
    return f"2026030{1 + minute // 1000}{8 + minute % 1000 // 60:02d}{minute % 60:02d}00"


def admission(minute: int, mrn: str, event: str, **more: object) -> Sent:
    key = f"{event}-{mrn}-{minute}"
    return Sent("adt", key, adt(key, mrn, event, time=at(minute), **more))  # type: ignore[arg-type]


def result(minute: int, mrn: str, value: str, status: str, reported: int) -> Sent:
    key = f"R01-{mrn}-{minute}"
    body = oru(key, mrn, value, status=status, time=at(minute), reported=at(reported), order=f"K{mrn}")
    return Sent("lab", key, body)


def merged(minute: int, mrn: str, prior: str) -> Sent:
    return Sent("adt", f"A40-{mrn}-{minute}", a40(f"A40-{mrn}-{minute}", mrn, prior, time=at(minute)))


def changed(sent: Sent, old: str, new: str) -> Sent:
    assert old.encode() in sent.body
    return sent._replace(body=sent.body.replace(old.encode(), new.encode(), 1))


FEED: Sequence[Sent] = [
    # one stay: registered, admitted, moved, updated, discharged, the discharge cancelled, discharged again
    admission(1, "A", "A04", family="UNKNOWN"),
    admission(2, "A", "A01", family="ALPHA"),
    admission(3, "A", "A02", family="ALPHA", ward="ICU"),
    admission(4, "A", "A08", family="ALPHA-BETA", last="NK1|1|BETA^BERTA|SPO|||"),
    changed(admission(5, "A", "A08", family="ALPHA-BETA"), "2222 HOME ST^^GREENSBORO^NC^27401", '""'),
    admission(6, "A", "A03", family="ALPHA-BETA", ward="ICU"),
    admission(7, "A", "A13", family="ALPHA-BETA", ward="ICU"),
    admission(8, "A", "A03", family="ALPHA-GAMMA", ward="ICU"),
    # another that goes on: its discharge was cancelled, its address withdrawn
    admission(50, "N", "A01", family="NOVEMBER"),
    admission(51, "N", "A03", family="NOVEMBER"),
    admission(52, "N", "A13", family="NOVEMBER"),
    changed(admission(53, "N", "A08", family="NOVEMBER"), "2222 HOME ST^^GREENSBORO^NC^27401", '""'),
    # results that overtake one another: preliminary, final, corrected; and two that were reported out of turn
    result(10, "A", "6.1", "P", 10),
    result(11, "A", "6.30", "F", 11),
    result(12, "A", "3.60", "C", 12),
    result(13, "B", "4.0", "F", 13),
    result(14, "B", "4.1", "F", 12),
    # a double registration: merged, and updated afterwards under the old number
    admission(20, "B", "A01", family="DOUBLE"),
    merged(21, "A", "B"),
    admission(22, "B", "A08", family="DOUBLE-LATE"),
    # two claimants of one number; three of another, of whom two turn out to be one
    admission(30, "C", "A01", ids="C^^^MRN~E1^^^EPI"),
    admission(31, "D", "A01", ids="D^^^MRN~E1^^^EPI"),
    admission(32, "D", "A08", family="NO-CLAIM"),
    admission(33, "E", "A01", ids="E^^^MRN~E2^^^EPI"),
    admission(34, "F", "A01", ids="F^^^MRN~E2^^^EPI"),
    admission(35, "G", "A01", ids="G^^^MRN~E2^^^EPI"),
    merged(36, "E", "F"),
    # an update of a stay that nobody opened, and what cannot be trusted, is not taken or not known
    admission(40, "H", "A08"),
    admission(41, "I", "A01", born="1961BAD"),
    admission(42, "J", "A01", ids="J^^^NOWHERE"),
    admission(43, "K", "A01", mode="T"),
    admission(44, "L", "A01", family="ZZTEST"),
    changed(admission(45, "M", "A01"), "ADT^A01^ADT_A01", "ZZZ^Z01"),
]
END = {"D": ("QUARANTINED", "contested-identifier"), "G": ("QUARANTINED", "contested-identifier"),
       "I": ("QUARANTINED", "invalid-date"), "J": ("QUARANTINED", "unknown-authority"),
       "K": ("QUARANTINED", "test-message"), "L": ("FILTERED", "dropped"), "M": ("STORED_RAW", "no-map")}  # fmt: skip


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    folder = tmp_path_factory.mktemp("feeds")
    (folder / "channels").mkdir()
    drop = ("pipeline:", "  - hl7.drop: {when: {PID-5.1: ZZTEST}}")
    (folder / "channels" / "adt.yaml").write_text(channel("adt", "mllp: {port: 0}", *drop))
    (folder / "channels" / "lab.yaml").write_text(channel("lab", "mllp: {port: 0, max_frame: 1MB}"))
    (folder / "authorities.yaml").write_text(AUTHORITIES)
    (folder / "routes.yaml").write_text(NOBODY)
    loaded = load(folder, None, b"secret")
    assert isinstance(loaded, Configuration), loaded
    return loaded


State = dict[str, tuple[str, str | None, str | None]]


def filed(configuration: Configuration, arrived: Sequence[Sent], batch: int) -> tuple[Sqlite, State]:
    """Take the messages in this order; after every `batch` of them the worker comes by."""
    connection = create(Path(":memory:"))
    for start in range(0, len(arrived), batch):
        connection.begin()
        for name, key, body in arrived[start : start + batch]:
            inbox.append(connection, name, Received(body, key), RECEIVED)
        connection.commit()
        work(configuration, connection)
    rows = connection.all("SELECT key, state, code, place FROM message")
    assert len(rows) == len({key for key, *_ in rows}), "a duplicate has a row of its own"
    return connection, {key: (state, code, place) for key, state, code, place in rows}


def work(configuration: Configuration, connection: Sqlite) -> None:
    channels = {c.name: c for c in configuration.channels}
    while waiting := inbox.waiting(connection, BATCH):
        connection.begin()
        asked = [computed(channels, each) for each in waiting]
        file_all(connection, configuration.identity, asked, RECEIVED, connection.broken)
        connection.commit()


def outcome(configuration: Configuration, arrived: Sequence[Sent], batch: int = 1) -> tuple[str, State]:
    connection, state = filed(configuration, arrived, batch)
    try:
        return chart.digest(connection), state
    finally:
        connection.close()


@pytest.fixture(scope="module")
def expected(configuration: Configuration) -> tuple[str, State]:
    return outcome(configuration, FEED)


def test_in_the_order_of_the_clocks_the_chart_is_what_the_feed_says(configuration: Configuration) -> None:
    connection, state = filed(configuration, FEED, 1)
    rows = [(type, fhir.decode(body)) for type, _, body in connection.all(chart.SQL.current)]
    connection.close()
    ends = {key: (ended, code) for key, (ended, code, _) in state.items()}
    assert ends.pop("A08-D-32") == ("STORED", None), "without the claim he is who he is"
    assert ends == {key: END.get(key.split("-")[1], ("STORED", None)) for key in ends}
    patients = {p["identifier"][0]["value"]: p for type, p in rows if type == "Patient"}
    stays = {e["identifier"][0]["value"]: e for type, e in rows if type == "Encounter"}
    assert patients.keys() == set("ABCDEFHN"), "not G, who claims what is not his"
    assert stays.keys() == {"VA", "VB", "VC", "VE", "VF", "VN"}, "not VH, which nobody opened"
    assert (stays["VA"]["status"], stays["VN"]["status"]) == ("finished", "in-progress")
    assert ("end" in stays["VA"]["period"], "end" in stays["VN"]["period"]) == (True, False)
    assert ("address" in patients["A"], "address" in patients["N"]) == (True, False)
    assert [patients[m].get("active") for m in "ABEF"] == [None, False, None, False]
    values = sorted(str(o["valueQuantity"]["value"]) for type, o in rows if type == "Observation")
    assert values == ["3.60", "4.0"], "the corrected one, and the one that was reported last"


@st.composite
def shuffled(draw: st.DrawFn, feed: Sequence[Sent]) -> list[Sent]:
    """In any order, some of them several times."""
    again = draw(st.lists(st.sampled_from(feed), max_size=8))
    return draw(st.permutations([*feed, *again]))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(arrived=shuffled(FEED), batch=st.integers(1, 12))
def test_any_order_with_duplicates_gives_the_same_chart_and_end_states(
    configuration: Configuration, expected: tuple[str, State], arrived: list[Sent], batch: int
) -> None:
    found, state = outcome(configuration, arrived, batch)
    assert state == expected[1]
    assert found == expected[0]


@st.composite
def feeds(draw: st.DrawFn) -> list[Sent]:
    """A feed that nobody thought of: stays, results, merges and claims of a few patients, in the clocks' order."""
    patients = st.sampled_from("ABCD")
    made: list[Sent] = []
    for minute in range(1, draw(st.integers(4, 16))):
        mrn = draw(patients)
        match draw(st.sampled_from(["stay", "stay", "claim", "result", "merge"])):
            case "stay":
                event = draw(st.sampled_from(["A01", "A02", "A03", "A04", "A08", "A13"]))
                made.append(admission(minute, mrn, event, family=f"NAME{minute}", ward=f"WARD{minute}"))
            case "claim":
                ids = f"{mrn}^^^MRN~{draw(st.sampled_from(['E1', 'E2']))}^^^EPI"
                made.append(admission(minute, mrn, draw(st.sampled_from(["A01", "A08"])), ids=ids))
            case "result":
                status, reported = draw(st.sampled_from("PFC")), draw(st.integers(1, 16))
                made.append(result(minute, mrn, f"{minute}.0", status, reported))
            case _:
                if (prior := draw(patients)) != mrn:
                    made.append(merged(minute, mrn, prior))
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), feed=feeds(), batch=st.integers(1, 6))
def test_the_same_of_feeds_that_nobody_thought_of(
    configuration: Configuration, data: st.DataObject, feed: list[Sent], batch: int
) -> None:
    found, state = outcome(configuration, data.draw(shuffled(feed)) if feed else feed, batch)
    in_order, ended = outcome(configuration, feed)
    assert state == ended
    assert found == in_order


def test_everything_twice_is_once(configuration: Configuration, expected: tuple[str, State]) -> None:
    assert outcome(configuration, [*FEED, *FEED], 5) == expected


def by_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last message to arrive wins."""
    monkeypatch.setattr(Clock, "pack", lambda self, position: position.to_bytes(8, "big"))


def by_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source's time is replaced by our own."""
    arrivals = iter(range(1, 10_000))
    read: Callable[..., object] = visit.clock_of

    def clock_of(*given: object) -> object:
        clock = read(*given)
        return clock._replace(time=next(arrivals)) if isinstance(clock, Clock) else clock

    for module in (visit, merge, results):
        monkeypatch.setattr(module, "clock_of", clock_of)


@pytest.mark.parametrize("plant", [by_position, by_arrival])
def test_a_planted_arrival_order_bug_is_found(
    configuration: Configuration,
    expected: tuple[str, State],
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
) -> None:
    plant(monkeypatch)
    found, state = outcome(configuration, FEED[::-1])
    assert found != expected[0], "the chart"
    assert state != expected[1], "the end states"

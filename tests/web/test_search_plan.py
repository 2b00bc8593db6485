"""A search goes to what it asks for by an index; only what no index can order walks one type of resources."""

from __future__ import annotations

import pytest

from engine.journal import inquiry, queues
from engine.journal.inquiry import Filter
from engine.message import State
from store import criteria
from store.criteria import Criterion
from store.database.clause import Clause
from store.database.sqlite import Sqlite, create
from store.reason import Reason
from store.search import COMMON, SUPPORTED

ID = "a" * 26
VALUES = {
    "identifier": ["v", "s|v", "|v", "v,w", "s|v,w"],
    "code": ["v", "s|v", "|v", "v,w"],
    "category": ["v", "s|v"],
    "status": ["v", "v,w"],
    "name": ["ra", "ra,mo"],
    "birthdate": ["1961-04-12", "ge1961-04", "ne1961", "lt1961-04-12,gt2000"],
    "patient": [ID, f"Patient/{ID}", f"{ID},{ID}"],
    "subject": [f"Patient/{ID}"],
    "date": ["2026-03-01", "2026-03,2026-05"],
    "_id": [ID, f"{ID},{ID}"],
    "_lastUpdated": ["2026-03-01", "ge2026", "gt2026-03-01T10:00Z"],
}
WALKS = [("date", "ge2026"), ("date", "lt2026"), ("_lastUpdated", "lt2026"), ("_lastUpdated", "ne2026")]
LED_BY_ID = "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)"
WALK = "SEARCH r USING INDEX resource_order (type=? AND id>?)"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Sqlite:
    return create(tmp_path_factory.mktemp("plan") / "chartwire.db")


def plan(database: Sqlite, query: Clause) -> list[str]:
    return [row[3] for row in database.all(f"EXPLAIN QUERY PLAN {query.sql}", query.args)]


def planned(database: Sqlite, type: str, *parameters: tuple[str, str]) -> list[str]:
    wanted = [criteria.criterion(type, name, value) for name, value in parameters]
    assert not [w for w in wanted if isinstance(w, Reason)]
    return plan(database, criteria.found(type, [w for w in wanted if isinstance(w, Criterion)], 7, 50))


def costly(steps: list[str]) -> list[str]:
    """Reading all of a table, or sorting. `text` is no table: the few texts that a bare code stands for."""
    return [s for s in steps if (s.startswith("SCAN") and s != "SCAN text") or "B-TREE" in s]


EVERY = [
    (type, name, value)
    for type, names in SUPPORTED.items()
    for name in (*names, *COMMON)
    for value in VALUES[name]
]


@pytest.mark.parametrize(("type", "name", "value"), EVERY)
def test_a_parameter_leads_to_its_resources(database: Sqlite, type: str, name: str, value: str) -> None:
    steps = planned(database, type, (name, value))
    assert not costly(steps)
    assert WALK not in steps
    assert not [s for s in steps if "resource_type (type=?)" in s or "PRIMARY KEY (kind=?)" in s]


@pytest.mark.parametrize(("name", "value"), WALKS)
def test_what_no_index_can_order_walks_one_type_in_the_order_of_the_pages(
    database: Sqlite, name: str, value: str
) -> None:
    steps = planned(database, "Observation", (name, value))
    assert WALK in steps
    assert not costly(steps)


@pytest.mark.parametrize(("name", "value"), WALKS)
def test_beside_another_parameter_it_only_tests_what_that_one_found(
    database: Sqlite, name: str, value: str
) -> None:
    steps = planned(database, "Observation", ("patient", ID), (name, value))
    assert WALK not in steps
    assert not costly(steps)


PAIRS = [
    (type, (one, VALUES[one][0]), (other, VALUES[other][0]))
    for type, names in SUPPORTED.items()
    for one in (*names, *COMMON)
    for other in (*names, *COMMON)
]


@pytest.mark.parametrize(("type", "one", "other"), PAIRS)
def test_of_two_parameters_one_leads_and_the_other_tests(
    database: Sqlite, type: str, one: tuple[str, str], other: tuple[str, str]
) -> None:
    """Two that led would be tried in every combination: a hundred results times all of a common code."""
    steps = planned(database, type, one, other)
    assert steps[0] in ("SEARCH r USING INDEX resource_order (type=? AND id=? AND rowid>?)", LED_BY_ID)
    assert not costly(steps)


def test_a_type_is_walked_in_the_order_of_its_pages(database: Sqlite) -> None:
    assert planned(database, "Patient")[0] == WALK


INQUIRIES = [
    (Filter(key="K"), "message_key (key=? AND id<?)"),
    (Filter(key="K", state=State.FAILED), "message_key (key=? AND id<?)"),
    (Filter(patient=(b"p",)), "message_patient (patient=? AND id<?)"),
    (Filter(patient=(b"p", b"q"), channel="adt", since=1), "message_patient (patient=? AND id<?)"),
    (Filter(state=State.RECEIVED), "message_waiting (id<?)"),
    *((Filter(state=state), "message_troubled (state=? AND id<?)") for state in sorted(inquiry.TROUBLED)),
    (Filter(state=State.FAILED, channel="adt", since=1), "message_troubled (state=? AND id<?)"),
    (Filter(), "INTEGER PRIMARY KEY (rowid<?)"),
    (Filter(channel="adt", since=1), "INTEGER PRIMARY KEY (rowid<?)"),
]


@pytest.mark.parametrize(("wanted", "index"), INQUIRIES)
def test_messages_are_found_by_an_index(database: Sqlite, wanted: Filter, index: str) -> None:
    steps = plan(database, inquiry.query(wanted, 100, 0, 50))
    assert steps[0].endswith(index)


@pytest.mark.parametrize("wanted", [Filter(channel="adt"), Filter(state=State.STORED), Filter(since=1)])
def test_what_has_no_index_is_looked_for_in_bounds(database: Sqlite, wanted: Filter) -> None:
    steps = plan(database, inquiry.query(wanted, 100, 50, 50))
    assert steps == ["SEARCH m USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]


@pytest.mark.parametrize("name", ["inbox", "outbox", "parked"])
def test_a_scrape_reads_only_what_waits(database: Sqlite, name: str) -> None:
    steps = plan(database, Clause(getattr(queues.SQL, name)))
    index = {"inbox": "message_waiting", "outbox": "delivery_lane", "parked": "delivery_parked"}[name]
    assert steps[0].endswith(f"USING INDEX {index}")

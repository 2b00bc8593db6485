"""Filing: whose fault a failure is decides who pays for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.journal import inbox
from engine.message import Accepted, Outgoing, Processed, Received, State
from engine.runtime.filing import Filed, file_all
from formats import fhir
from store.chart import CONTESTED
from store.chart import SQL as CHART
from store.database import Connection, Down
from store.database.commit import Committer
from store.database.sqlite import Sqlite, create
from store.facts import Clock, Fact, Link
from store.identity import Identity
from store.prepared import prepare
from store.reason import Reason

IDENTITY = Identity(b"test")


@pytest.fixture
def connection(tmp_path: Path) -> Sqlite:
    return create(tmp_path / "chartwire.db")


def appended(connection: Connection, n: int) -> int:
    receipt = inbox.append(connection, "adt", Received(b"MSH", str(n)), 0)
    assert isinstance(receipt, Accepted)
    return receipt.message


async def test_a_disk_that_is_full_in_the_middle_of_a_message_fails_no_message(connection: Sqlite) -> None:
    """SQLite then undoes the whole transaction by itself, and its savepoints with it."""
    died: list[BaseException] = []
    committer = Committer(connection, died.append)
    ids = [await committer.submit(lambda c, n=n: appended(c, n)) for n in range(3)]  # type: ignore[misc]
    full = connection.all("PRAGMA page_count")[0][0] + 2
    connection.all(f"PRAGMA max_page_count = {full}")
    said = Outgoing("route", "partner", "", b"x" * 65536)
    batch = [Processed(id, State.ROUTED, outgoing=(said,)) for id in ids]

    def work(connection: Connection) -> list[Filed]:
        return file_all(connection, IDENTITY, batch, 0, committer.broken)

    with pytest.raises(Down):
        await committer.submit(work)
    assert [w.id for w in inbox.waiting(connection, 9)] == ids
    connection.all(f"PRAGMA max_page_count = {1 << 30}")
    assert [f.processed.state for f in await committer.submit(work)] == [State.ROUTED] * 3
    assert died == []
    await committer.stop()


def test_a_message_that_the_chart_cannot_take_fails_alone(connection: Sqlite) -> None:
    connection.begin()
    ids = [appended(connection, n) for n in range(3)]
    sent = (Outgoing("route", "partner", "", b"x"),)
    batch = [Processed(id, State.ROUTED, outgoing=sent) for id in ids]
    connection.run(
        f"CREATE TEMP TRIGGER bad BEFORE INSERT ON delivery WHEN new.message = {ids[1]} "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    filed = file_all(connection, IDENTITY, batch, 0, connection.broken)
    connection.commit()
    assert [f.processed.state for f in filed] == [State.ROUTED, State.FAILED, State.ROUTED]
    assert connection.all("SELECT message FROM delivery ORDER BY id") == [(ids[0],), (ids[2],)]


def admitted(message: int, mrn: str, *claimed: str) -> Processed:
    key, clock = IDENTITY.key("Patient", "mrn", mrn), Clock(message)
    fact = prepare(Fact("Patient", key, clock, {"name": [{"family": mrn}]}, key))
    assert not isinstance(fact, Reason)
    links = [Link(IDENTITY.key("Patient", "epi", c), key, clock, "claim", "PID-3[2].1") for c in claimed]
    return Processed(message, State.STORED, said=(fact, *links))


def test_what_a_new_attempt_does_not_say_any_more_is_taken_back(connection: Sqlite) -> None:
    """Two patients claim one identifier; the claim of the second was a mistake of the configuration."""
    connection.begin()
    first, second = appended(connection, 1), appended(connection, 2)

    def ends(*batch: Processed) -> list[str]:
        filed = file_all(connection, IDENTITY, batch, 0, connection.broken)
        return [f.processed.state for f in filed]

    def tags() -> list[object]:
        return [fhir.decode(body).get("meta") for _, _, body in connection.all(CHART.current)]

    assert ends(admitted(first, "A", "E"), admitted(second, "B", "E")) == [State.STORED, State.QUARANTINED]
    assert tags() == [{"tag": [CONTESTED]}]
    assert ends(Processed(second, State.QUARANTINED, Reason("no-patient", "", "PID"))) == [State.QUARANTINED]
    assert tags() == [None]
    assert ends(admitted(second, "B", "E")) == [State.QUARANTINED]
    assert ends(admitted(second, "B")) == [State.STORED]
    assert tags() == [None, None]

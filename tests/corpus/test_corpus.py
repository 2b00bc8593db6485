"""Every public HL7 v2 message of ../shared/corpus through the real engine, twice.

expected.tsv says where each ends; `python -m tests.corpus.regenerate` writes it anew. reviewed.tsv says why an
ADT or ORU of a known patient is not in the chart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from formats import fhir
from formats.hl7v2 import msh as header
from store.chart import SQL, digest
from store.database.sqlite import Sqlite
from store.identity import fhir_id
from tests.corpus.samples import CORPUS, Sample, samples
from tests.corpus.scope import SHARE, counts, known, reviews, unreviewed
from tests.corpus.table import expected, lines
from tests.corpus.walk import Ended, started, twin, walk

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not (CORPUS / "MANIFEST.tsv").exists(), reason="../shared/corpus is not beside the project"
    ),
]


@dataclass(frozen=True, repr=False)
class Twice:
    """What became of the corpus when it was sent once and then again to the same engine."""

    sent: list[Sample]
    first: list[Ended]
    again: list[Ended]
    last: int  # the newest message after the first time
    charts: tuple[str, str]
    reader: Sqlite


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twice]:
    data = tmp_path_factory.mktemp("corpus")
    sent = samples()
    engine, port = started(data)
    try:
        first = walk(data, port, sent)
        reader = Sqlite(data / "chartwire.db", writes=False)
        chart, last = digest(reader), reader.all("SELECT max(id) FROM message")[0][0]
        again = walk(data, port, sent)
        yield Twice(sent, first, again, last, (chart, digest(reader)), reader)
        reader.close()
    finally:
        assert engine.stop() == 0


def test_every_message_ends_as_the_table_says(twice: Twice) -> None:
    assert lines(twice.first) == expected()


def test_no_message_is_left_and_none_shows_a_defect(twice: Twice) -> None:
    states = dict(twice.reader.all("SELECT state, count(*) FROM message GROUP BY state"))
    assert set(states) == {"STORED", "STORED_RAW", "QUARANTINED", "REFUSED"}


def test_every_resource_is_valid(twice: Twice) -> None:
    rows = twice.reader.all("""SELECT r.type, r.key, v.body FROM resource r
                               JOIN version v ON v.resource = r.id AND v.number = r.version WHERE r.live = 1""")
    whole = [{"resourceType": type, "id": fhir_id(key), **fhir.decode(body)} for type, key, body in rows]
    told = {
        f"{r['resourceType']}/{r['id']}": problems for r in whole if (problems := fhir.validate_resource(r))
    }
    assert told == {}
    assert {r["resourceType"] for r in whole} == RESOURCES


RESOURCES = {"Patient", "Encounter", "ServiceRequest", "DiagnosticReport", "Observation"}


def test_each_result_is_an_observation(twice: Twice) -> None:
    """Nothing is dropped between OBX and chart: as many facts as there are OBX with a content of their own."""
    facts = dict(twice.reader.all("""SELECT b.data, count(f.id) FROM message m JOIN body b ON b.message = m.id
                                     LEFT JOIN fact f ON f.message = m.id AND f.resource IN
                                       (SELECT id FROM resource WHERE type = 'Observation')
                                     WHERE m.state = 'STORED' GROUP BY m.id"""))  # fmt: skip
    results = {s.body: _results(s.body) for s, e in zip(twice.sent, twice.first, strict=True) if _result(e)}
    assert {body: facts[body] for body in results} == results
    assert sum(results.values()) > 3000


def _result(end: Ended) -> bool:
    return end.state == "STORED" and end.type.startswith("ORU")


def _results(body: bytes) -> int:
    """How many OBX say something. Status U without a value speaks of an earlier result."""
    found = [line.split(b"|") for line in body.replace(b"\n", b"\r").split(b"\r") if line.startswith(b"OBX|")]
    fields = [[*line, *[b""] * 12] for line in found]
    return sum(any(line[2:]) and not (line[11] == b"U" and not line[5]) for line in fields)


def test_sent_a_second_time_it_changes_nothing(twice: Twice) -> None:
    assert twice.again == twice.first
    assert twice.charts[0] == twice.charts[1]


def test_what_has_a_control_id_is_a_duplicate_the_second_time(twice: Twice) -> None:
    """Only what has no MSH-10, and what intake refused, is written once more."""
    new = twice.reader.all("SELECT count(*) FROM message WHERE id > $1", (twice.last,))[0][0]
    anew = [s for s, e in zip(twice.sent, twice.first, strict=True) if e.state == "REFUSED" or not _keyed(s)]
    assert new == len(anew)


def _keyed(sample: Sample) -> bool:
    found = header.read(sample.body)
    return bool(found and found.key)


def test_in_the_opposite_order_it_makes_the_same_chart(twice: Twice, tmp_path: Path) -> None:
    """But for what two messages say with the same clock: those keep the order in which they came."""
    data = tmp_path / "data"
    twin(data, twice.reader)
    engine, port = started(data)
    try:
        ends = walk(data, port, twice.sent[::-1])
    finally:
        assert engine.stop() == 0
    assert ends[::-1] == twice.first
    reader = Sqlite(data / "chartwire.db", writes=False)
    ours, theirs = _chart(twice.reader), _chart(reader)
    assert ours.keys() == theirs.keys()
    tied = {key for (key,) in twice.reader.all(TIED)}
    assert len(tied) < 0.05 * len(ours)
    assert {key: body for key, body in ours.items() if key not in tied and theirs[key] != body} == {}


TIED = """SELECT DISTINCT r.key FROM fact f JOIN resource r ON r.id = f.resource
          GROUP BY r.id, substr(f.clock, 1, length(f.clock) - 8) HAVING count(DISTINCT f.message) > 1"""


def _chart(reader: Sqlite) -> dict[bytes, str]:
    return {key: repr(fhir.canonical(fhir.decode(body))) for _, key, body in reader.all(SQL.current)}


def test_adt_and_oru_of_known_patients_reach_the_chart(
    twice: Twice, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = _counted(twice)
    stored = sum(end.state == "STORED" for end in ends)
    why = Counter(end.code for end in ends if end.state != "STORED").most_common()
    with capsys.disabled():
        print(f"\n{stored} of {len(ends)} ADT and ORU with a known patient, {stored / len(ends):.2%}; not:")
        print(", ".join(f"{n} {code}" for code, n in why))
    assert len(ends) > 1200
    assert stored >= SHARE * len(ends)


def test_what_is_not_in_the_chart_has_a_reviewed_reason(twice: Twice) -> None:
    missing = [end for end in _counted(twice) if end.state != "STORED"]
    assert list(unreviewed(missing)) == []
    assert [review for review in reviews() if not any(map(review.covers, missing))] == []


def _counted(twice: Twice) -> list[Ended]:
    names = known()
    return [e for s, e in zip(twice.sent, twice.first, strict=True) if counts(s.body, names)]

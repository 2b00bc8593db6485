"""The demo's story is coherent, covers what it claims to, and a wrong count is noticed."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import hl7
import pytest

from demo.cast import PATIENTS, UNLISTED
from demo.seen import TOLD, Answered, Arrived, Seen, faults, latencies, percentile, told_of
from demo.sent import Sent
from demo.story import known, story

STORY = story()
TABLE = Path(__file__).parents[2] / "channels" / "tables" / "lab_to_loinc.csv"


def read(sent: Sent) -> hl7.Message:
    """By python-hl7, which has nothing to do with ours."""
    return hl7.parse(sent.body.decode())


def events(patient: str) -> list[str]:
    """What the hospital says of one number, in the order in which it says it."""
    told = [s.about.split() for s in STORY if s.feed == "adt" and s.state == "STORED"]
    return [words[1] for words in told if words[0] == patient and len(words) == 2]


def test_it_is_the_same_every_time() -> None:
    assert story() == STORY


def test_it_is_big_enough() -> None:
    assert len(STORY) >= 200
    assert len(PATIENTS) == 12


@pytest.mark.parametrize("patient", PATIENTS, ids=lambda p: p.mrn)
def test_every_stay_is_whole(patient) -> None:
    assert events(patient.duplicate) == ["A04", "A03"]
    stay = ["A04", "A01", "A08", "A02", "A08", "A02", "A03", "A13", "A08", "A40", "A03"]
    assert events(patient.mrn) == stay


@pytest.mark.parametrize("patient", PATIENTS, ids=lambda p: p.mrn)
def test_results_are_preliminary_then_final_then_corrected(patient) -> None:
    statuses = defaultdict(list)
    for sent in STORY:
        if sent.feed == "lab_results" and sent.about.startswith(f"{patient.mrn} "):
            _, order, status = sent.about.split()
            statuses[order].append(status)
            assert str(read(sent).segment("OBR")(25)) == status
    assert list(statuses.values()) == [["P", "F", "C"], ["P", "F"], ["F"]]


def test_every_message_of_a_stay_can_be_read_by_another_parser_and_names_its_patient() -> None:
    for sent in STORY:
        if sent.state in ("", "STORED"):
            message = read(sent)
            assert str(message.segment("MSH")(10)) == sent.control
            assert str(message.segment("PID")(3)).startswith("MRN")
            assert str(message.segment("MSH")(7)) == told_of(sent)


def test_control_ids_and_clocks_differ_but_for_the_repeat() -> None:
    first = [s for s in STORY if s.state and s.control]
    assert len({s.control for s in first}) == len(first)
    heard = [s for s in STORY if s.to]
    assert len({told_of(s) for s in heard}) == len(heard)


def test_one_comes_twice_byte_for_byte() -> None:
    counted = Counter((s.feed, s.body) for s in STORY)
    assert [n for n in counted.values() if n > 1] == [2]
    assert [s.state for s in STORY if counted[s.feed, s.body] == 2] == ["STORED", ""]


def test_one_comes_late() -> None:
    """Only one message of a patient is older than one that was sent before it."""
    newest: dict[str, datetime] = {}
    late = []
    for sent in (s for s in STORY if s.state == "STORED" and s.feed == "adt"):
        number = sent.about.split()[0]
        if sent.at < newest.get(number, sent.at):
            late.append(sent.about)
        newest[number] = max(sent.at, newest.get(number, sent.at))
    assert late == ["MRN10001 A08 that comes late"]


def test_at_least_ten_analytes_have_a_loinc_code_and_one_has_none() -> None:
    with TABLE.open(newline="") as file:
        loinc = {row["from"]: row["to"] for row in csv.DictReader(file)}
    sent = {
        str(obx(3)).partition("^")[0]
        for s in STORY
        if s.feed == "lab_results" and s.state == "STORED"
        for obx in read(s).segments("OBX")
    }
    assert len(sent & loinc.keys()) >= 10
    assert sent - loinc.keys() == {UNLISTED.local}


def test_what_goes_wrong_shows_every_end_state_that_a_sender_can_cause() -> None:
    assert {s.state for s in STORY} == {"", "STORED", "STORED_RAW", "QUARANTINED", "FILTERED", "REFUSED"}
    assert all(not s.to for s in STORY if s.state in ("QUARANTINED", "FILTERED", "REFUSED"))
    assert sum(s.state == "QUARANTINED" for s in STORY) >= 7


def test_every_correction_is_paged_and_so_is_every_critical_value() -> None:
    for sent in (s for s in STORY if s.feed == "lab_results" and s.state == "STORED"):
        lines = read(sent).segments("OBX")
        urgent = any(str(o(8)) in ("HH", "LL", "AA") or str(o(11)) == "C" for o in lines)
        assert ("pager" in sent.to) is urgent


def test_the_false_critical_value_is_corrected() -> None:
    paged = {s.about.split()[0] for s in STORY if "pager" in s.to and s.about.endswith(" F")}
    assert len(paged) == 4
    assert {k.potassium for k in known()}.isdisjoint({"6.80"})


# --- the counts


def everything_right() -> Seen:
    seen = Seen()
    for n, sent in enumerate(STORY):
        seen.answers[n].append(Answered(sent.ack, float(n), 0.25))
        patient = read(sent).segment("PID")(3)[0][0][0] if sent.to else ""
        for destination in sent.to:
            seen.arrivals[destination].append(Arrived(str(patient), told_of(sent), n + 2.0))
    seen.messages = [
        {"channel": s.feed, "key": s.control or None, "state": s.state} for s in STORY if s.state
    ]
    return seen


def test_it_adds_up_when_everything_is_right() -> None:
    assert list(faults(STORY, everything_right())) == []


def test_a_wrong_end_state_is_named() -> None:
    seen = everything_right()
    seen.messages = [{**m, "state": "STORED"} if m["key"] == "ODD-DATE" else m for m in seen.messages]
    (fault,) = faults(STORY, seen)
    assert "a birth date that does not exist: expected QUARANTINED, the engine has STORED" in fault


def test_a_missing_and_an_unknown_message_are_named() -> None:
    seen = everything_right()
    seen.messages = [{**seen.messages[0], "key": "STRANGE"}, *seen.messages[1:]]
    found = sorted(faults(STORY, seen))
    assert len(found) == 2
    assert "the engine has nothing" in found[0]
    assert "a message STRANGE that nobody sent" in found[1]


def test_a_wrong_acknowledgement_is_named() -> None:
    seen = everything_right()
    number = next(n for n, s in enumerate(STORY) if s.about == "no PID segment")
    seen.answers[number] = [Answered("AR", 0.0, 0.0)]
    assert list(faults(STORY, seen)) == ["adt: no PID segment: expected AA, was answered AR"]


@pytest.mark.parametrize("destination", TOLD)
def test_a_delivery_that_is_missing_doubled_strange_or_out_of_order_is_named(destination: str) -> None:
    def said(arrivals: list[Arrived]) -> str:
        seen = everything_right()
        seen.arrivals[destination] = arrivals
        return "\n".join(faults(STORY, seen))

    right = everything_right().arrivals[destination]
    assert "arrived 0 times" in said(right[1:])
    assert "arrived 2 times" in said([*right, right[0]])
    assert "should not hear of" in said([*right, right[0]._replace(told="19000101000000")])
    assert " arrived after " in said(right[::-1])


def test_latency_is_from_sending_to_arrival() -> None:
    assert set(latencies(STORY, everything_right(), "ward_board")) == {2.0}


def test_percentiles_are_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, p) for p in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert percentile([7.0], 99) == 7.0
    assert percentile([], 50) is None


def test_a_repeat_makes_no_delivery() -> None:
    seen = everything_right()
    repeated = next(s for s in STORY if not s.state)
    seen.arrivals["archive"].append(Arrived("MRN10002", told_of(repeated), 9.0))
    assert "arrived 2 times" in "\n".join(faults(STORY, seen))

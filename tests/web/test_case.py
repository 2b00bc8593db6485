"""One patient or one order across all wires: all of it, nothing of anybody else, and never what the messages hold."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from engine.journal import case
from engine.message import Outgoing, Rejected, State
from engine.runtime import clock
from store.facts import Clock, Fact
from store.identity import fhir_id
from store.reason import Reason
from tests.web.hospital import IDENTITY, MRN, NOW, Hospital, json_of, merge, patient, patient_key, result
from tests.web.partners import HOUR, answers, asks, awaited, settle, splits, tells

MINUTE = 60_000_000
SYSTEM = "urn:oid:2.999.9"
CANARY = "Canary7"


class Seen(NamedTuple):
    direction: str
    who: str
    state: str
    number: int | None
    note: str


async def told(hospital: Hospital, of: str) -> list[Seen]:
    async with hospital.get(f"/admin/case?{urlencode({'of': of})}") as response:
        found = await json_of(response)
        assert response.status == 200, found
        assert response.headers["cache-control"] == "no-store"
    assert [e["at"] for e in found["events"]] == sorted(e["at"] for e in found["events"])
    return [Seen(*(e[name] for name in Seen._fields)) for e in found["events"]]


async def numbers(hospital: Hospital, of: str) -> list[tuple[str, int | None]]:
    return [(seen.direction, seen.number) for seen in await told(hospital, of)]


def about(type: str, mrn: str, number: str, system: str = SYSTEM, /, **more: Any) -> Fact:
    """A resource of a patient that goes by a number."""
    subject = {"reference": f"Patient/{fhir_id(patient_key(mrn))}"}
    elements = {"identifier": [{"system": system, "value": number}], **more}
    elements["patient" if type == "Claim" else "subject"] = subject
    return Fact(type, IDENTITY.key(type, mrn, system, number), Clock(1), elements, patient_key(mrn))


def order(mrn: str, number: str, system: str = SYSTEM) -> Fact:
    code = {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}
    return about("ServiceRequest", mrn, number, system, status="active", intent="order", code=code)


async def test_a_patient_is_told_in_the_order_of_time_and_nobody_else_is(hospital: Hospital) -> None:
    to_pager = [Outgoing("to-pager", "pager", "1001", None)]
    await hospital.says(patient("1001", "Ramos"), key="A", about="1001", outgoing=to_pager)
    await hospital.says(patient("1002", "Okafor"), key="B", about="1002", at=NOW + MINUTE)
    await settle(hospital, "pager", NOW + 3 * MINUTE)
    await hospital.says(
        result("1001", "L1", "2823-3", None, "6.3"), channel="lab", about="1001", at=NOW + 2 * MINUTE
    )
    await asks(hospital, "1001", "CT_ROOM", NOW + 4 * MINUTE)
    await asks(hospital, "1002", "CT_ROOM", NOW + 4 * MINUTE)
    story = await told(hospital, "1001")
    assert [seen[:4] for seen in story] == [
        ("in", "adt", "STORED", 1),
        ("in", "lab", "STORED", 3),
        ("out", "pager", "DELIVERED", 1),
        ("query", "lab", "ANSWERED", None),
    ]
    assert story[0].note == "as A, from 127.0.0.1:9"
    assert story[2].note == f"of message 1, as {IDENTITY.origin}1"
    assert story[3].note == "by CT_ROOM, 1 found"
    for other in (
        "mrn|1001", "HOSP|1001", f"{MRN.namespace}|1001", " 1001 ", f"Patient/{fhir_id(patient_key('1001'))}"
    ):  # fmt: skip
        assert await told(hospital, other) == story, other


async def test_a_patient_is_everyone_that_was_merged_into_him(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos"), about="1001")
    await hospital.says(patient("1002", "Ramos"), about="1002")
    assert await numbers(hospital, "1001") == [("in", 1)]
    await hospital.says(merge("1002", "1001", at=2), about="1001")
    both = [("in", 1), ("in", 2), ("in", 3)]
    assert await numbers(hospital, "1001") == await numbers(hospital, "1002") == both


async def test_what_ended_badly_says_why(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos"), about="1001")
    reason = Reason("bad-time", "the source time is not a date or time", "MSH-7")
    outgoing = [Outgoing("to-pager", "pager", "1001", None)]
    await hospital.says(about="1001", state=State.QUARANTINED, reason=reason)
    await hospital.says(about="1001", outgoing=outgoing)
    await settle(hospital, "pager", NOW, Rejected(Reason("refused", "no")))
    _, quarantined, _, parked = await told(hospital, "1001")
    assert (quarantined.state, quarantined.note) == ("QUARANTINED", "bad-time at MSH-7, from 127.0.0.1:9")
    assert parked.state == "PARKED"
    assert parked.note.endswith(", refused")


async def test_a_part_brings_its_interchange_and_what_was_said_to_that_but_no_other_part(
    hospital: Hospital,
) -> None:
    await hospital.says(patient("1001", "Ramos"), about="1001")
    answer = [Outgoing("to-pager", "pager", "", b"999")]
    whole = await hospital.says(key="ISA1", state=State.SPLIT, outgoing=answer, at=NOW + MINUTE)
    mine, others = await splits(hospital, whole, ["1001", "1002"], NOW + MINUTE)
    assert await numbers(hospital, "1001") == [("in", 1), ("in", whole), ("out", 1), ("in", mine)]
    assert others > mine
    (part,) = [
        seen for seen in await told(hospital, "1001") if seen.number == mine and seen.direction == "in"
    ]
    assert part.note == f"part 1 of message {whole}, as CLAIM-1001, from folder"


async def test_an_order_goes_by_its_number_and_what_the_chart_told_of_it_is_there(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos"), about="1001")
    chart = await tells(hospital, order("1001", "P77"), about="1001", at=NOW + MINUTE)
    await hospital.says(order("1002", "P77", "urn:oid:2.999.8"), about="1002", at=NOW + 2 * MINUTE)
    await hospital.says(order("1001", "P78"), about="1001")
    mine = [("in", 2), ("chart", chart)]
    assert await numbers(hospital, f"{SYSTEM}|P77") == mine
    id = fhir_id(IDENTITY.key("ServiceRequest", "1001", SYSTEM, "P77"))
    assert await numbers(hospital, f"ServiceRequest/{id}") == mine
    assert await numbers(hospital, "P77") == [*mine, ("in", chart + 1)]
    assert (await told(hospital, "P77"))[1].note == f"as ServiceRequest/{id}/active"


async def test_a_number_that_only_begins_so_is_another_one(hospital: Hospital) -> None:
    await hospital.says(order("1001", "P77"), about="1001")
    await hospital.says(order("1001", "P777"), about="1001")
    assert await numbers(hospital, "P77") == [("in", 1)]
    assert await numbers(hospital, f"{SYSTEM}|P777") == [("in", 2)]


def payment(claim: str) -> Fact:
    detail = {
        "type": {"coding": [{"code": "payment"}]},
        "request": {"type": "Claim", "identifier": {"value": claim}},
    }
    elements = {
        "status": "active", "created": "2026-03-01", "paymentDate": "2026-03-01",
        "paymentAmount": {"value": 1, "currency": "USD"}, "detail": [detail],
    }  # fmt: skip
    return Fact("PaymentReconciliation", IDENTITY.key("PaymentReconciliation", claim), Clock(1), elements)


async def test_a_payment_is_of_the_patient_whose_claim_it_pays_and_of_nobody_whose_number_is_the_same(
    hospital: Hospital,
) -> None:
    await hospital.says(patient("1001", "Ramos"), about="1001")
    await hospital.says(patient("1002", "Okafor"), about="1002")
    claim = about(
        "Claim", "1002", "1001", status="active", use="claim", created="2026-03-01",
        type={"coding": [{"code": "professional"}]}, provider={"display": "x"},
        priority={"coding": [{"code": "normal"}]},
        insurance=[{"sequence": 1, "focal": True, "coverage": {"display": "x"}}],
    )  # fmt: skip
    await hospital.says(claim, about="1002")
    await hospital.says(payment("1001"))
    assert await numbers(hospital, "1001") == [("in", 1)]
    assert await numbers(hospital, "1002") == [("in", 2), ("in", 3), ("in", 4)]
    assert await numbers(hospital, f"{SYSTEM}|1001") == [("in", 3), ("in", 4)]


async def test_an_answer_is_waited_for_is_overdue_and_comes(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos"), about="1001", outgoing=[awaited()])

    async def note() -> str:
        (out,) = [seen for seen in await told(hospital, "1001") if seen.direction == "out"]
        return out.note.split(", ")[-1]

    assert await note() == "answer awaited once delivered"
    delivery = await settle(hospital, "pager", now := clock.now())
    assert (await note()).startswith("answer awaited until 20")
    await hospital.run("UPDATE expectation SET due = $1", now - HOUR)
    assert (await note()).startswith("answer overdue since 20")
    answer = await answers(hospital, delivery, now)
    assert await note() == f"answered Status by message {answer}"
    assert ("in", answer) in await numbers(hospital, "1001"), "the answer itself names no patient"


async def test_of_a_long_case_the_newest_are_shown_and_that_there_are_more(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case, "MOST", 3)
    for n in range(3):
        await hospital.says(patient("1001", "Ramos"), about="1001", at=NOW + n)
    async with hospital.get("/admin/case?of=1001") as response:
        assert (await json_of(response))["more"] is False
    await hospital.says(about="1001", at=NOW + 3, outgoing=[Outgoing("to-pager", "pager", "", None)])
    assert await numbers(hospital, "1001") == [("in", 3), ("in", 4), ("out", 1)]
    async with hospital.get("/admin/case?of=1001") as response:
        assert (await json_of(response))["more"] is True


async def test_nothing_of_what_messages_hold_is_told(hospital: Hospital) -> None:
    await hospital.says(patient("1001", CANARY), body=CANARY.encode(), about="1001", outgoing=[awaited()])
    async with hospital.get("/admin/case?of=1001") as response:
        assert CANARY not in await response.text()


NOBODY = (
    CANARY,
    f"mrn|{CANARY}",
    f"{CANARY}|1001",
    f"Patient/{CANARY}",
    "national|1001",
    "Claim/1001",
    "\x00",
    "|",
    "/",
)


@pytest.mark.parametrize("of", NOBODY)
async def test_nobody_is_not_found_and_not_named(hospital: Hospital, of: str) -> None:
    await hospital.says(patient("1001", "Ramos"), about="1001")
    async with hospital.get(f"/admin/case?{urlencode({'of': of})}") as response:
        assert response.status == 404
        assert CANARY not in await response.text()


@pytest.mark.parametrize(
    "path", ["/admin/case", "/admin/case?of=", "/admin/case?of=+", "/admin/case?patient=1001"]
)
async def test_somebody_must_be_asked_for(hospital: Hospital, path: str) -> None:
    async with hospital.get(path) as response:
        assert response.status == 400
        assert (await json_of(response))["issue"][0]["expression"] == ["of"]


@pytest.mark.parametrize("path", ["/admin/case?of=1001", "/admin/expectations"])
async def test_it_is_a_read_of_patient_data(hospital: Hospital, path: str) -> None:
    await hospital.says(patient("1001", "Ramos"), about="1001")
    async with hospital.ask("GET", path) as response:
        assert response.status == 401
    async with hospital.local.get(f"http://localhost{path}") as response:
        assert response.status == 200

"""search: what is asked for is found and nothing else, in pages that hold still."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from formats import fhir
from store.facts import Fact
from store.identity import fhir_id
from tests.web.hospital import (
    IDENTITY,
    LOINC,
    MRN,
    NOW,
    VISIT,
    Hospital,
    json_of,
    merge,
    patient,
    patient_key,
    visit,
)
from tests.web.hospital import result as result_of

DAY = 86_400_000_000
MARTA, ANDRE, JUN = "1001", "1002", "1003"


def patient_id(mrn: str) -> str:
    return fhir_id(patient_key(mrn))


async def filled(hospital: Hospital) -> None:
    """Three patients, on three days."""
    await hospital.says(
        patient(MARTA, "Ramos", "Marta", "Lucía", born="1961-04-12"),
        visit(MARTA, "V1", {"start": "2026-02-27T10:00:00Z", "end": "2026-03-01T08:00:00Z"}),
        result_of(MARTA, "L1", "2823-3", "2026-02-28T06:30:00+01:00", "6.30"),
        result_of(MARTA, "L2", "2951-2", "2026-03-01", "139"),
        at=NOW - DAY,
    )
    await hospital.says(
        patient(ANDRE, "Müller", "André", born="1961-04"),
        visit(ANDRE, "V2", {"start": "2026-03-01T09:00:00Z"}),
        result_of(ANDRE, "L3", "2823-3", "2026-03-02T11:00:00Z", "4.1"),
    )
    await hospital.says(
        patient(JUN, "O'Neil,Jr", "Jun|ko", born="1975"),
        result_of(JUN, "L1", "2823-3", None, "4.0"),
        at=NOW + DAY,
    )


NAMES = {
    **{patient_key(mrn): mrn for mrn in (MARTA, ANDRE, JUN)},
    **{IDENTITY.key("Encounter", m, n): n for m, n in ((MARTA, "V1"), (ANDRE, "V2"))},
    IDENTITY.key("Observation", MARTA, "L1"): "K of Marta",
    IDENTITY.key("Observation", MARTA, "L2"): "Na of Marta",
    IDENTITY.key("Observation", ANDRE, "L3"): "K of André",
    IDENTITY.key("Observation", JUN, "L1"): "K of Jun",
}
SHORT = {fhir_id(key): name for key, name in NAMES.items()}


def found_in(bundle: Any) -> list[str]:
    return [SHORT[entry["resource"]["id"]] for entry in bundle.get("entry", [])]


async def search(hospital: Hospital, type: str, *items: tuple[str, str], by: str = "GET") -> list[str]:
    """The names of what is found, by GET and by POST alike."""
    async with hospital.get(f"/fhir/{type}?{urlencode(items)}") as response:
        bundle = await json_of(response)
        assert response.status == 200, bundle
    async with hospital.post(f"/fhir/{type}/_search", data=items) as response:
        posted = await json_of(response)
        assert response.status == 200, posted
    assert not fhir.problems("Bundle", bundle)
    assert bundle.get("entry") == posted.get("entry")
    assert bundle["total"] == len(bundle.get("entry", []))
    return found_in(bundle)


PATIENTS = [
    ("identifier", "1001", [MARTA]),
    ("identifier", f"{MRN.namespace}|1001", [MARTA]),
    ("identifier", "urn:other|1001", []),
    ("identifier", "|1001", []),
    ("identifier", "100", []),
    ("identifier", "1001,1003", [MARTA, JUN]),
    ("identifier", f"1002,{MRN.namespace}|1003,9", [ANDRE, JUN]),
    ("name", "ram", [MARTA]),
    ("name", "RAMOS", [MARTA]),
    ("name", "lucia", [MARTA]),
    ("name", "amos", []),
    ("name", "muller", [ANDRE]),
    ("name", "Müll", [ANDRE]),
    ("name", "andre,jun", [ANDRE, JUN]),
    ("name", r"o'neil\,jr", [JUN]),
    ("name", r"jun\|k", [JUN]),
    ("birthdate", "1961-04-12", [MARTA]),
    ("birthdate", "1961-04", [MARTA, ANDRE]),
    ("birthdate", "1961", [MARTA, ANDRE]),
    ("birthdate", "eq1975", [JUN]),
    ("birthdate", "ne1961", [JUN]),
    ("birthdate", "ne1961-04-12", [ANDRE, JUN]),
    ("birthdate", "lt1961-04-12", [ANDRE]),
    ("birthdate", "gt1961-04-12", [ANDRE, JUN]),
    ("birthdate", "ge1961-04-12", [MARTA, ANDRE, JUN]),
    ("birthdate", "le1961-04-12", [MARTA, ANDRE]),
    ("birthdate", "sa1961-04-12", [JUN]),
    ("birthdate", "eb1961-05", [MARTA, ANDRE]),
    ("birthdate", "eb1975-06", [MARTA, ANDRE]),
    ("birthdate", "lt1975-06", [MARTA, ANDRE, JUN]),
    ("birthdate", "gt1975-06", [JUN]),
    ("birthdate", "sa1975-06", []),
    ("_id", patient_id(MARTA), [MARTA]),
    ("_id", f"{patient_id(MARTA)},{patient_id(JUN)}", [MARTA, JUN]),
    ("_id", "nobody", []),
    ("_lastUpdated", "2026-03-01", [MARTA]),
    ("_lastUpdated", "2026-03", [MARTA, ANDRE, JUN]),
    ("_lastUpdated", "ge2026-03-02", [ANDRE, JUN]),
    ("_lastUpdated", "gt2026-03-02", [JUN]),
    ("_lastUpdated", "gt2026-03-02T11:59:59Z", [ANDRE, JUN]),
    ("_lastUpdated", "le2026-03-02", [MARTA, ANDRE]),
    ("_lastUpdated", "lt2026-03-02", [MARTA]),
    ("_lastUpdated", "ne2026-03-02", [MARTA, JUN]),
    ("_lastUpdated", "sa2026-03-02", [JUN]),
    ("_lastUpdated", "eb2026-03-03", [MARTA, ANDRE]),
    ("_lastUpdated", "2026-03-02T13:00:00+01:00", [ANDRE]),
]


@pytest.mark.parametrize(("name", "value", "expected"), PATIENTS)
async def test_patients_are_found_by(hospital: Hospital, name: str, value: str, expected: list[str]) -> None:
    await filled(hospital)
    assert await search(hospital, "Patient", (name, value)) == expected


OBSERVATIONS = [
    ("code", "2823-3", ["K of Marta", "K of André", "K of Jun"]),
    ("code", f"{LOINC}|2951-2", ["Na of Marta"]),
    ("code", "urn:other|2951-2", []),
    ("identifier", "L1", ["K of Marta", "K of Jun"]),
    ("identifier", "|L1", ["K of Marta", "K of Jun"]),
    ("patient", patient_id(MARTA), ["K of Marta", "Na of Marta"]),
    ("patient", f"Patient/{patient_id(ANDRE)}", ["K of André"]),
    (
        "patient",
        f"http://127.0.0.1:1/fhir/Patient/{patient_id(ANDRE)},{patient_id(JUN)}",
        ["K of André", "K of Jun"],
    ),
    ("patient", "nobody", []),
    ("date", "2026-02-28", ["K of Marta"]),
    ("date", "2026-02-28T05:30Z", ["K of Marta"]),
    ("date", "2026-02-28T06:30:00+01:00", ["K of Marta"]),
    ("date", "2026-02-28T06:30:00Z", []),
    ("date", "2026-03-01T10:00Z", []),
    ("date", "2026-03", ["Na of Marta", "K of André"]),
    ("date", "ge2026-03-01", ["Na of Marta", "K of André"]),
    ("date", "gt2026-03-01", ["K of André"]),
    ("date", "gt2026-03-01T10:00Z", ["Na of Marta", "K of André"]),
    ("date", "sa2026-03-01T10:00Z", ["K of André"]),
    ("date", "lt2026-03-01T10:00Z", ["K of Marta", "Na of Marta"]),
    ("date", "eb2026-03-01T10:00Z", ["K of Marta"]),
    ("date", "le2026-03-01", ["K of Marta", "Na of Marta"]),
    ("date", "ne2026-03-01", ["K of Marta", "K of André"]),
    ("_lastUpdated", "2026-03-02", ["K of André"]),
]


@pytest.mark.parametrize(("name", "value", "expected"), OBSERVATIONS)
async def test_results_are_found_by(hospital: Hospital, name: str, value: str, expected: list[str]) -> None:
    await filled(hospital)
    assert await search(hospital, "Observation", (name, value)) == expected


VISITS = [
    ("date", "2026-02", []),
    ("date", "2026", ["V1"]),
    ("date", "ge2026-03-02", ["V2"]),
    ("date", "le2026-03-01", ["V1"]),
    ("date", "le2026-03-02", ["V1", "V2"]),
    ("date", "lt2026-03-01", ["V1"]),
    ("date", "gt2030", ["V2"]),
    ("date", "eb2026-03-01T08:30Z", ["V1"]),
    ("date", "sa2026-03-01", []),
    ("date", "sa2026-03-01T08:30Z", ["V2"]),
    ("date", "ne2026", ["V2"]),
    ("identifier", f"{VISIT.namespace}|V2", ["V2"]),
]


@pytest.mark.parametrize(("name", "value", "expected"), VISITS)
async def test_visits_are_found_by(hospital: Hospital, name: str, value: str, expected: list[str]) -> None:
    """V1 has ended, V2 has not."""
    await filled(hospital)
    assert await search(hospital, "Encounter", (name, value)) == expected


async def test_parameters_narrow_each_other(hospital: Hospital) -> None:
    await filled(hospital)
    both = ("code", "2823-3"), ("patient", patient_id(MARTA))
    assert await search(hospital, "Observation", *both) == ["K of Marta"]
    assert await search(hospital, "Observation", *both, ("date", "ge2026-03-01")) == []
    between = ("date", "ge2026-02-28"), ("date", "lt2026-03-02")
    assert await search(hospital, "Observation", *between) == ["K of Marta", "Na of Marta"]
    assert await search(hospital, "Patient", ("name", "mar"), ("name", "ram")) == [MARTA]
    assert await search(hospital, "Patient", ("name", "mar"), ("name", "jun")) == []
    either = ("date", "2026-02-28,ge2026-03-02")
    assert await search(hospital, "Observation", either) == ["K of Marta", "K of André"]


async def test_everything_of_a_type_is_found_without_parameters(hospital: Hospital) -> None:
    await filled(hospital)
    assert await search(hospital, "Patient") == [MARTA, ANDRE, JUN]
    assert await search(hospital, "DiagnosticReport") == []


async def test_only_what_is_said_now_is_found(hospital: Hospital) -> None:
    await filled(hospital)
    await hospital.says(patient(MARTA, "Ek", "Marta", born="1962", at=2), at=NOW + 2 * DAY)
    assert await search(hospital, "Patient", ("name", "ramos")) == []
    assert await search(hospital, "Patient", ("name", "ek")) == [MARTA]
    assert await search(hospital, "Patient", ("birthdate", "1961-04-12")) == []
    assert await search(hospital, "Patient", ("_lastUpdated", "2026-03-01")) == []
    assert await search(hospital, "Patient", ("_lastUpdated", "2026-03-04")) == [MARTA]


async def test_what_was_filed_under_a_merged_patient_is_found_under_the_survivor(hospital: Hospital) -> None:
    await filled(hospital)
    await hospital.says(merge(ANDRE, MARTA, at=2))
    for type, expected in (
        ("Observation", ["K of Marta", "Na of Marta", "K of André"]),
        ("Encounter", ["V1", "V2"]),
    ):
        assert await search(hospital, type, ("patient", patient_id(MARTA))) == expected
    assert await search(hospital, "Observation", ("patient", patient_id(JUN))) == ["K of Jun"]


async def test_a_blank_value_never_finds_anyone(hospital: Hospital) -> None:
    await filled(hospital)
    blanks = ("", " ", ",", "1001,", "|", "||", f"{MRN.namespace}|", " | ")
    for name, value in [("identifier", blank) for blank in blanks] + [
        ("name", ""),
        ("name", "\u0301"),
        ("_id", ""),
    ]:
        async with hospital.get(f"/fhir/Patient?{urlencode({name: value})}") as response:
            assert response.status == 400, (name, value)
            outcome = await json_of(response)
        assert outcome["issue"][0]["expression"] == [name]


CANARY = "Canary7"


@pytest.mark.parametrize(
    ("type", "name", "value"),
    [
        ("Patient", "birthdate", CANARY),
        ("Patient", "birthdate", "2026-02-30"),
        ("Patient", "birthdate", "1961-04-12T10:00Z"),
        ("Patient", "birthdate", "ap1961"),
        ("Patient", "_lastUpdated", CANARY),
        ("Patient", "_lastUpdated", "0001-01-01T00:00:00+14:00"),
        ("Patient", "identifier", f"a|b|{CANARY}"),
        ("Patient", "identifier", ",".join([CANARY] * 51)),
        ("Patient", "_count", CANARY),
        ("Patient", "_count", "0"),
        ("Patient", "_cursor", CANARY),
        ("Patient", "family", CANARY),
        ("Patient", "patient.name", CANARY),
        ("Patient", "code", CANARY),
        ("Patient", "_has:Observation:patient:code", CANARY),
        ("Observation", "name", CANARY),
        ("Observation", "date", CANARY),
        ("Observation", "date", "ge"),
        ("Observation", "patient", f"Group/{CANARY}"),
        ("Observation", "patient", f"Patient/{CANARY} x"),
    ],
)
async def test_what_is_not_understood_is_refused_by_name_and_never_repeated(
    hospital: Hospital, type: str, name: str, value: str
) -> None:
    await filled(hospital)
    items = [(name, value)]
    async with (
        hospital.get(f"/fhir/{type}?{urlencode(items)}") as got,
        hospital.post(f"/fhir/{type}/_search", data=items) as posted,
    ):
        for response in (got, posted):
            assert response.status == 400
            outcome = await json_of(response)
            assert not fhir.problems("OperationOutcome", outcome)
            assert CANARY not in await response.text()
            assert outcome["issue"][0].get("expression", [name]) == [name]


async def test_a_modifier_is_refused_even_of_a_lenient_client(hospital: Hospital) -> None:
    await filled(hospital)
    for prefer in ({}, {"Prefer": "handling=lenient"}):
        async with hospital.get("/fhir/Patient?name:exact=Ramos", headers=prefer) as response:
            assert response.status == 400


async def test_a_lenient_client_is_told_by_the_self_link_what_was_followed(hospital: Hospital) -> None:
    await filled(hospital)
    lenient = {"Prefer": "return=representation, handling=lenient"}
    async with hospital.get("/fhir/Patient?name=ramos&shoe-size=43", headers=lenient) as response:
        bundle = await json_of(response)
    assert found_in(bundle) == [MARTA]
    assert _link(bundle, "self") == f"{hospital.url}/fhir/Patient?name=ramos"


def _link(bundle: Any, relation: str) -> str:
    return next((link["url"] for link in bundle["link"] if link["relation"] == relation), "")


def _result(n: int, at: int = 1) -> Fact:
    return result_of(MARTA, f"P{n}", "2823-3", "2026-03-01", f"{n}.0", at=at)


@pytest.mark.parametrize(
    "query", ["code=2823-3", "patient=" + patient_id(MARTA), "date=2026-03-01", "_lastUpdated=gt2020", ""]
)
async def test_pages_hold_still_while_resources_come_and_change(hospital: Hospital, query: str) -> None:
    await hospital.says(*(_result(n) for n in range(10)))
    seen: list[str] = []
    path = f"/fhir/Observation?{query}&_count=4".replace("?&", "?")
    for round in range(1, 10):
        async with hospital.get(path) as response:
            bundle = await json_of(response)
        page = [e["resource"]["identifier"][0]["value"] for e in bundle["entry"]]
        assert len(page) <= 4
        seen += page
        await hospital.says(_result(0, at=round + 1), _result(9, at=round + 1), at=NOW + round)
        if round == 1:
            assert "total" not in bundle
            await hospital.says(_result(10))
        if not (path := _link(bundle, "next").removeprefix(hospital.url)):
            break
    assert seen == [f"P{n}" for n in range(11)]


async def test_a_page_has_at_most_500(hospital: Hospital) -> None:
    await hospital.says(*(_result(n) for n in range(505)))
    async with hospital.get("/fhir/Observation?_count=100000") as response:
        bundle = await json_of(response)
    assert len(bundle["entry"]) == 500
    async with hospital.get(_link(bundle, "next").removeprefix(hospital.url)) as response:
        assert len((await json_of(response))["entry"]) == 5


async def test_a_form_must_be_one(hospital: Hospital) -> None:
    for body, kind, status in (
        (b"name=ramos", "text/plain", 415),
        (b"name=\xff", "application/x-www-form-urlencoded", 400),
        (b"name=a&" * 300, "application/x-www-form-urlencoded", 400),
        (b"name=" + b"a" * 70_000, "application/x-www-form-urlencoded", 413),
    ):
        async with hospital.post(
            "/fhir/Patient/_search", data=body, headers={"Content-Type": kind}
        ) as response:
            assert response.status == status
            assert not fhir.problems("OperationOutcome", await json_of(response))


@pytest.mark.parametrize(
    "value", ["' OR 1=1 --", "%", "_", "$1", "\x00", "1001\x1f", "\U0010ffff", "a" * 5000]
)
async def test_values_are_only_ever_values(hospital: Hospital, value: str) -> None:
    await filled(hospital)
    for name in ("identifier", "name", "_id"):
        assert await search(hospital, "Patient", (name, value)) == []

"""What a claim and a remittance say of the chart, and what is not believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.x12.split import x12 as split
from engine.message import Part, State, Stop
from engine.plugin import Feed
from engine.standards.x12 import FORMAT
from formats import fhir, x12
from store.facts import Belongs, Fact, Link
from store.identity import Authority, Identity, Patient, reference
from store.prepared import prepare
from store.reason import Reason
from transforms.x12_to_fhir.entry import x12_to_fhir

SAMPLES = Path(__file__).parents[2] / "channels" / "samples"
MRN = Authority("riverside_mrn", "https://riverside.example/mrn", identifies=True)
PAYER = Authority(
    "payer", "https://payer.example/member", frozenset({"NM001"}), identifies=True, types=("MB",)
)
MEMBERS = Authority("members", "https://members.example", identifies=True, types=("MB",))
NEW_YORK = ZoneInfo("America/New_York")


def feed(*authorities: Authority, own: Authority | None = MRN) -> Feed:
    return Feed("claims", NEW_YORK, Identity(b"x" * 32, authorities or (MRN,)), own)


def bodies(tmp_path: Path, text: str) -> list[x12.Message]:
    path = tmp_path / "whole.x12"
    path.write_text(text)
    found = [piece for piece in split(path, feed(), False) if isinstance(piece, Part)]
    assert [part.reason for part in found] == [None] * len(found)
    return [made for part in found if isinstance(made := x12.parse(part.body), x12.Message)]


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.x12").read_text()


@pytest.fixture
def claim(tmp_path: Path) -> x12.Message:
    return bodies(tmp_path, sample("claims_two"))[0]


@pytest.fixture
def dependent(tmp_path: Path) -> x12.Message:
    return bodies(tmp_path, sample("claims_two"))[1]


def changed(message: x12.Message, *pairs: tuple[str, str]) -> x12.Message:
    body = message.raw
    for before, after in pairs:
        assert before.encode() in body
        body = body.replace(before.encode(), after.encode())
    made = x12.parse(body)
    assert isinstance(made, x12.Message)
    return made


def said(message: x12.Message, of: Feed | None = None) -> Sequence[Fact | Link | Belongs]:
    found = x12_to_fhir(message, of or feed())
    assert found is not None
    assert not isinstance(found, Stop)
    assert [prepare(f) for f in found if isinstance(f, Fact) and isinstance(prepare(f), Reason)] == []
    return found


def facts(message: x12.Message, type: str, of: Feed | None = None) -> list[Mapping[str, Any]]:
    return [f.elements for f in said(message, of) if isinstance(f, Fact) and f.type == type]


def one(message: x12.Message, type: str) -> Mapping[str, Any]:
    (found,) = facts(message, type)
    return found


def stopped(message: x12.Message, of: Feed | None = None) -> tuple[str, str]:
    found = x12_to_fhir(message, of or feed())
    assert isinstance(found, Stop)
    assert found.state is State.QUARANTINED
    return found.reason.code, found.reason.place


# -- a claim


def test_amounts_keep_their_digits(claim: x12.Message) -> None:
    found = one(claim, "Claim")
    assert fhir.encode(found["total"]) == b'{"value":150.00,"currency":"USD"}'
    assert [fhir.encode(item["net"]["value"]) for item in found["item"]] == [b"100.00", b"50"]


def test_the_lines_say_what_was_done_when_and_why(claim: x12.Message) -> None:
    first, _ = one(claim, "Claim")["item"]
    assert first["productOrService"]["coding"] == [
        {"system": "http://www.ama-assn.org/go/cpt", "code": "99213"}
    ]
    assert (first["servicedDate"], first["diagnosisSequence"], first["quantity"]["value"]) == (
        "2026-02-10",
        [1, 2],
        1,
    )


def test_codes_of_icd10_get_their_point(claim: x12.Message) -> None:
    codes = [c["code"]["coding"][0]["code"] for c in facts(claim, "Condition")]
    assert codes == ["J03.00", "R50.9"]


def test_what_the_claim_says_of_people_is_hearsay(claim: x12.Message) -> None:
    weights = {f.type: f.clock.weight for f in said(claim) if isinstance(f, Fact)}
    assert weights["Claim"] == 1
    assert {weights[t] for t in ("Patient", "Coverage", "Practitioner", "Organization")} == {0}


def test_every_reference_points_to_a_fact_of_the_message(claim: x12.Message) -> None:
    found = [f for f in said(claim) if isinstance(f, Fact)]
    there = {reference(f.type, f.key)["reference"] for f in found}
    assert references([dict(f.elements) for f in found]) <= there


def references(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        own = {value["reference"]} if isinstance(value.get("reference"), str) else set()
        return own.union(*(references(v) for v in value.values()))
    return set().union(*(references(v) for v in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(("frequency", "status"), [("1", "active"), ("7", "active"), ("8", "cancelled")])
def test_original_replacement_and_void_are_of_one_claim(
    claim: x12.Message, frequency: str, status: str
) -> None:
    again = changed(claim, ("11:B:1", f"11:B:{frequency}"), ("REF*EA", "REF*F8*NM555~\nREF*EA"))
    assert [f.key for f in said(again) if isinstance(f, Fact) and f.type == "Claim"] == [
        f.key for f in said(claim) if isinstance(f, Fact) and f.type == "Claim"
    ]
    found = one(again, "Claim")
    assert found["status"] == status
    assert found["related"][0]["reference"] == {"value": "NM555"}
    assert found["supportingInfo"][0]["code"]["coding"][0]["code"] == frequency


@pytest.mark.parametrize(("charge", "difference"), [("155.5", "5.5"), ("149.99", "-0.01"), ("0", "-150.00")])
def test_a_claim_that_does_not_balance_says_by_how_much(
    claim: x12.Message, charge: str, difference: str
) -> None:
    wrong = changed(claim, ("ACC100*150.00", f"ACC100*{charge}"))
    found = x12_to_fhir(wrong, feed())
    assert isinstance(found, Stop)
    assert (found.reason.code, found.reason.place) == ("unbalanced", "CLM-2")
    assert Decimal(found.reason.text.split()[6]) == Decimal(difference)


def test_an_institutional_claim_has_no_map(claim: x12.Message) -> None:
    assert x12_to_fhir(changed(claim, ("005010X222A1", "005010X223A2")), feed()) is None


@pytest.mark.parametrize(
    ("before", "after", "code", "place"),
    [
        ("20260301*1200*101", "20261301*1200*101", "bad-time", "GS-4"),
        ("D8*19720305", "D8*19720231", "bad-time", "DMG-2"),
        ("UN*1", "UN*x", "bad-number", "SV1-4"),
        ("SV1*HC:99213", "SV1*HC:", "no-service", "SV1-1.2"),
        ("NM1*PR", "NM1*XX", "no-party", "NM1*PR"),
    ],
)
def test_what_cannot_be_read_is_not_guessed(
    claim: x12.Message, before: str, after: str, code: str, place: str
) -> None:
    assert stopped(changed(claim, (before, after))) == (code, place)


# -- whose it is


def test_the_medical_record_number_comes_first(claim: x12.Message) -> None:
    of = feed(MRN, PAYER)
    patient = FORMAT.patient(claim, of) if FORMAT.patient else None
    assert patient == of.identity.patient_key(MRN, "MRN20001")
    links = [x for x in said(claim, of) if isinstance(x, Link)]
    assert [(x.prior, x.kind) for x in links] == [(of.identity.patient_key(PAYER, "MBR100"), "claim")]


def test_without_one_the_member_id_of_a_known_payer_says_who(claim: x12.Message) -> None:
    bare = changed(claim, ("REF*EA*MRN20001~\n", ""))
    of = feed(MRN, PAYER)
    assert list(FORMAT.patients(bare, of)) == [
        Patient(of.identity.patient_key(PAYER, "MBR100"), PAYER, "MBR100")
    ]
    assert stopped(bare, feed(MRN))[0] == "unknown-authority"
    assert (
        facts(bare, "Patient", feed(MEMBERS, own=MEMBERS))[0]["identifier"][0]["system"] == MEMBERS.namespace
    )


def test_a_dependent_is_never_taken_for_the_subscriber(claim: x12.Message, dependent: x12.Message) -> None:
    of = feed(MEMBERS, own=MEMBERS)
    assert stopped(changed(dependent, ("REF*EA*MRN20002~\n", "")), of)[0] == "blank-patient-id"
    assert one(dependent, "Patient")["birthDate"] == "2018-06-12"
    assert one(dependent, "Coverage")["subscriberId"] == one(claim, "Coverage")["subscriberId"]
    assert "identifier" not in one(dependent, "Coverage")


@pytest.mark.parametrize("blank", ["", "   "])
def test_a_blank_member_id_matches_nobody(claim: x12.Message, blank: str) -> None:
    bare = changed(claim, ("REF*EA*MRN20001~\n", ""), ("MI*MBR100", f"MI*{blank}"))
    assert stopped(bare, feed(MEMBERS, own=MEMBERS))[0] == "blank-patient-id"


def test_a_member_id_must_be_the_patients(claim: x12.Message, dependent: x12.Message) -> None:
    of = feed(MRN, PAYER)
    (belongs,) = [x for x in said(claim, of) if isinstance(x, Belongs)]
    key = of.identity.patient_key(MRN, "MRN20001")
    assert belongs == Belongs("Coverage", "MBR100", PAYER.namespace, key, "NM1[4]-9")
    assert [x for x in said(dependent, of) if isinstance(x, Belongs)] == []


def test_a_test_interchange_says_so(claim: x12.Message) -> None:
    assert FORMAT.processing(changed(claim, ("*0*P*:", "*0*T*:")) if b"*0*P*:" in claim.raw else changed(
        claim, ("*1*P*:", "*1*T*:"))) == ("T", "ISA-15")  # fmt: skip


# -- a remittance


@pytest.fixture
def remittance(tmp_path: Path) -> x12.Message:
    return bodies(tmp_path, sample("remittance"))[0]


def test_a_payment_is_told_to_the_cent(remittance: x12.Message) -> None:
    found = one(remittance, "PaymentReconciliation")
    assert fhir.encode(found["paymentAmount"]["value"]) == b"100.25"
    assert [d["amount"]["value"] for d in found["detail"]] == [Decimal(110), Decimal("-9.75")]
    assert sum(d["amount"]["value"] for d in found["detail"]) == found["paymentAmount"]["value"]
    assert (found["paymentDate"], found["paymentIdentifier"]["value"]) == ("2026-03-05", "EFT7788")


@pytest.mark.parametrize(
    ("before", "after", "place", "difference"),
    [
        ("BPR*I*100.25", "BPR*I*100.26", "BPR-2", "0.01 more"),
        ("WO:NM444*9.75", "WO:NM444*9.70", "BPR-2", "0.05 less"),
        ("*150*110*", "*151*110*", "CLP-4", "1 more"),
        ("CAS*PR*3*40", "CAS*PR*3*39", "SVC-3", "1 more"),
    ],
)
def test_what_does_not_balance_is_not_believed(
    remittance: x12.Message, before: str, after: str, place: str, difference: str
) -> None:
    found = x12_to_fhir(changed(remittance, (before, after)), feed())
    assert isinstance(found, Stop)
    assert (found.state, found.reason.code, found.reason.place) == (State.QUARANTINED, "unbalanced", place)
    assert f"is {difference} than it must be" in found.reason.text


def test_a_claim_without_services_balances_by_itself(remittance: x12.Message) -> None:
    body = remittance.raw.decode()
    start, end = body.index("SVC*"), body.index("PLB*")
    whole = changed(remittance, (body[start:end], "CAS*PR*3*40~\n"))
    assert one(whole, "PaymentReconciliation")["status"] == "active"

"""What a prescription that came in says of the chart, and what is not believed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.message import State, Stop
from engine.plugin import Feed
from engine.standards.script import FORMAT
from formats import script
from store.facts import Belongs, Fact
from store.identity import Authority, Identity, reference
from store.prepared import prepare
from store.reason import Reason
from tests.adapters.script_text import answer, newrx
from transforms.ncpdp_to_fhir.entry import ncpdp_to_fhir

MRN = Authority("mrn", "https://mrn.example", identifies=True)
FEED = Feed("pharmacy", ZoneInfo("America/New_York"), Identity(b"x" * 32, (MRN,)), MRN, rank=2)
Json = Mapping[str, Any]
NCIT = "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"
SNOMED = "http://snomed.info/sct"


def parsed(body: bytes) -> script.Message:
    message = script.parse(body)
    assert isinstance(message, script.Message), message
    return message


def changed(*pairs: tuple[str, str], body: bytes = newrx("M1")) -> script.Message:
    for before, after in pairs:
        assert before.encode() in body, before
        body = body.replace(before.encode(), after.encode())
    return parsed(body)


def said(message: script.Message) -> dict[str, Fact]:
    """The facts by type, each of them valid R4 by itself."""
    found = ncpdp_to_fhir(message, FEED)
    assert found is not None
    assert not isinstance(found, Stop), found
    facts = [each for each in found if isinstance(each, Fact)]
    assert [made for fact in facts if isinstance(made := prepare(fact), Reason)] == []
    by_type = {fact.type: fact for fact in facts}
    assert len(by_type) == len(facts)
    return by_type


def request(*pairs: tuple[str, str]) -> Json:
    return said(changed(*pairs))["MedicationRequest"].elements


def stopped(message: script.Message) -> tuple[str, str]:
    found = ncpdp_to_fhir(message, FEED)
    assert isinstance(found, Stop), found
    assert found.state is State.QUARANTINED
    return found.reason.code, found.reason.place


def test_a_prescription_is_a_medication_request_with_all_that_it_names() -> None:
    found = said(changed())
    assert sorted(found) == ["MedicationRequest", "Organization", "Patient", "Practitioner"]
    patient, rx = found["Patient"], found["MedicationRequest"]
    assert rx.elements == {
        "identifier": [{"system": "urn:chartwire:script:6128890368017", "value": "RX1"}],
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "308182"}],
            "text": "Amoxicillin 500 mg",
        },
        "subject": reference("Patient", patient.key),
        "authoredOn": "2026-03-01",
        "requester": reference("Practitioner", found["Practitioner"].key),
        "dosageInstruction": [{"text": "One capsule three times a day"}],
        "dispenseRequest": {
            "numberOfRepeatsAllowed": 1,
            "quantity": {"value": Decimal(21), "system": NCIT, "code": "C48480"},
            "expectedSupplyDuration": {
                "value": Decimal(7), "unit": "days", "system": "http://unitsofmeasure.org", "code": "d",
            },
            "performer": reference("Organization", found["Organization"].key),
        },
        "substitution": {"allowedBoolean": True},
    }  # fmt: skip
    assert rx.patient == patient.key
    assert patient.elements["identifier"] == [{"system": "https://mrn.example", "value": "MRN1"}]
    assert patient.elements["birthDate"] == "1980-02-03"


def test_what_it_says_of_people_is_hearsay_and_its_own_word_is_not() -> None:
    found = said(changed())
    assert {type: fact.clock.weight for type, fact in found.items()} == {
        "MedicationRequest": found["MedicationRequest"].clock.weight,
        "Organization": 0, "Patient": 0, "Practitioner": 0,
    }  # fmt: skip
    assert found["MedicationRequest"].clock.weight > 0
    assert found["MedicationRequest"].clock.rank == 2


def test_the_number_must_be_this_patients() -> None:
    found = ncpdp_to_fhir(changed(), FEED)
    assert found is not None
    assert not isinstance(found, Stop)
    (belongs,) = [each for each in found if isinstance(each, Belongs)]
    assert (belongs.type, belongs.value, belongs.place) == (
        "MedicationRequest", "RX1", "Header/PrescriberOrderNumber",
    )  # fmt: skip
    assert belongs.patient == FEED.identity.patient_key(MRN, "MRN1")


def test_a_prescription_is_the_same_one_when_it_comes_again_and_another_by_another_sender() -> None:
    first = said(changed())["MedicationRequest"]
    again = said(changed((">M1<", ">M2<"), (">21<", ">42<")))["MedicationRequest"]
    other = said(changed((">6128890368017<", ">clinic one@example.org<")))["MedicationRequest"]
    assert first.key == again.key != other.key
    assert other.elements["identifier"][0]["system"] == "urn:chartwire:script:clinic%20one@example.org"


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("<DaysSupply>7</DaysSupply>", "", "expectedSupplyDuration"),
        ("<NumberOfRefills>1</NumberOfRefills>", "", "numberOfRepeatsAllowed"),
        ("<Value>21</Value>", "", "quantity"),
    ],
)
def test_what_is_not_said_is_not_made_up(before: str, after: str, path: str) -> None:
    assert path not in request((before, after))["dispenseRequest"]


def test_no_refills_are_none_and_not_nothing() -> None:
    assert (
        request(("<NumberOfRefills>1<", "<NumberOfRefills>0<"))["dispenseRequest"]["numberOfRepeatsAllowed"]
        == 0
    )
    assert request(("<Substitutions>0<", "<Substitutions>1<"))["substitution"] == {"allowedBoolean": False}


@pytest.mark.parametrize(
    "coded",
    [
        "<ProductCode><Code>00093310501</Code><Qualifier>ND</Qualifier></ProductCode>",
        '<ProductCode Qualifier="ND">00093310501</ProductCode>',
        "<ProductCode>00093310501</ProductCode><ProductCodeQualifier>ND</ProductCodeQualifier>",
    ],
)
def test_a_drug_code_is_found_with_its_qualifier_in_every_shape(coded: str) -> None:
    found = request(("<DrugCoded>", f"<DrugCoded>{coded}"))["medicationCodeableConcept"]["coding"]
    assert found[0] == {"system": "http://hl7.org/fhir/sid/ndc", "code": "00093310501"}
    assert len(found) == 2


def test_a_diagnosis_is_of_the_classification_that_it_names() -> None:
    def diagnosis(rank: str, code: str, qualifier: str) -> str:
        return f"<{rank}><Code>{code}</Code><Qualifier>{qualifier}</Qualifier></{rank}>"

    said = (
        f"<Diagnosis>{diagnosis('Primary', 'F5109', 'ABF')}{diagnosis('Secondary', '4280', 'ICD-9')}</Diagnosis>"
        f"<Diagnosis><Primary><Code>Q1</Code><Qualifier>ZZ</Qualifier><Description>rash</Description></Primary>"
        f"</Diagnosis><Sig>"
    )
    assert request(("<Sig>", said))["reasonCode"] == [
        {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F51.09"}]},
        {"coding": [{"code": "Q1"}], "text": "rash"},
        {"coding": [{"system": "http://hl7.org/fhir/sid/icd-9-cm", "code": "4280"}]},
    ]


def coding(name: str, text: str, code: str, qualifier: str = "SNOMED") -> str:
    return f"<{name}><Text>{text}</Text><Qualifier>{qualifier}</Qualifier><Code>{code}</Code></{name}>"


TAKE = coding("DoseDeliveryMethod", "Take", "419652001")
DOSE = (
    f"<DoseQuantity>1.5</DoseQuantity>{coding('DoseUnitOfMeasure', 'tablet', 'C48542', 'DoseUnitOfMeasure')}"
)
ROUTE = coding("RouteOfAdministration", "oral route", "26643006")
PER_DAY = coding("FrequencyUnits", "day", "258703001")
DAILY = f"<Frequency><FrequencyNumericValue>3</FrequencyNumericValue>{PER_DAY}</Frequency>"
HOURS = f"<Interval><IntervalNumericValue>8</IntervalNumericValue>{coding('IntervalUnits', 'hours', '')}</Interval>"
MONTH = (
    f"<Duration><DurationNumericValue>30</DurationNumericValue>{coding('DurationText', 'day', '')}</Duration>"
)


def dosage(*instructions: str) -> Json:
    whole = "".join(f"<Instruction>{each}</Instruction>" for each in instructions)
    (found,) = request(("</SigText>", f"</SigText>{whole}"))["dosageInstruction"]
    assert found["text"] == "One capsule three times a day"
    return {name: value for name, value in found.items() if name != "text"}


def timed(*parts: str) -> str:
    return "".join(f"<TimingAndDuration>{part}</TimingAndDuration>" for part in parts)


@pytest.mark.parametrize(
    "instruction",
    [
        f"<DoseAdministration>{TAKE}<Dosage>{DOSE}</Dosage>{ROUTE}</DoseAdministration>",
        f"<DoseAdministration>{TAKE}<Dose>{DOSE}</Dose></DoseAdministration>{ROUTE}",
    ],
)
def test_a_structured_sig_is_read_in_both_shapes(instruction: str) -> None:
    assert dosage(instruction + timed(DAILY, MONTH)) == {
        "method": {"coding": [{"system": SNOMED, "code": "419652001"}], "text": "Take"},
        "route": {"coding": [{"system": SNOMED, "code": "26643006"}], "text": "oral route"},
        "doseAndRate": [
            {"doseQuantity": {"value": Decimal("1.5"), "unit": "tablet", "system": NCIT, "code": "C48542"}}
        ],
        "timing": {
            "repeat": {
                "frequency": 3, "period": 1, "periodUnit": "d",
                "boundsDuration": {
                    "value": Decimal(30), "unit": "d", "system": "http://unitsofmeasure.org", "code": "d",
                },
            }
        },
    }  # fmt: skip


def test_an_interval_is_one_dose_in_so_many_hours() -> None:
    assert dosage(timed(HOURS)) == {
        "timing": {"repeat": {"frequency": 1, "period": Decimal(8), "periodUnit": "h"}}
    }


@pytest.mark.parametrize(
    "instructions",
    [
        (timed(DAILY), timed(DAILY)),  # then the one, then the other: half of it would be wrong
        (timed(DAILY, DAILY),),
        (timed(DAILY, HOURS),),
        ("<DoseAdministration><Dosage><DoseQuantity>1-2</DoseQuantity></Dosage></DoseAdministration>",),
        (timed(DAILY.replace("day", "fortnight").replace("258703001", "1")),),
    ],
)
def test_a_sig_that_is_not_plain_keeps_its_text_alone(instructions: tuple[str, ...]) -> None:
    assert dosage(*instructions) == {}


def test_older_shapes_are_read_too() -> None:
    found = said(
        changed(
            ("<HumanPatient>", ""), ("</HumanPatient>", ""),
            ("<NonVeterinarian>", ""), ("</NonVeterinarian>", ""),
            ("<DateOfBirth><Date>1980-02-03</Date></DateOfBirth>", "<DateOfBirth>19800203</DateOfBirth>"),
            ("<WrittenDate><Date>2026-03-01</Date></WrittenDate>", "<WrittenDate>20260301</WrittenDate>"),
            ("<NumberOfRefills>1</NumberOfRefills>", "<Refills><Quantity>5</Quantity></Refills>"),
            ("<Sig><SigText>One capsule three times a day</SigText></Sig>", "<Sig>Take one</Sig>"),
            ("MedicalRecordIdentificationNumberEHR", "FileID"),
            ("<NCPDPID>6557744</NCPDPID>", "<NPI>1142138869</NPI>"),
        )
    )  # fmt: skip
    rx = found["MedicationRequest"].elements
    assert found["Patient"].elements["birthDate"] == "1980-02-03"
    assert rx["authoredOn"] == "2026-03-01"
    assert rx["dispenseRequest"]["numberOfRepeatsAllowed"] == 5
    assert rx["dosageInstruction"] == [{"text": "Take one"}]
    assert found["Organization"].elements["identifier"][0]["value"] == "1142138869"


@pytest.mark.parametrize(
    ("pairs", "code", "place"),
    [
        ((("EHR>MRN1<", "EHR> <"),), "blank-patient-id", "Body/NewRx/Patient"),
        ((("<Patient>", "<Patient/><Patient>"),), "several-patients", "Body/NewRx/Patient"),
        ((("Amoxicillin 500 mg", " "),), "no-drug", "Body/NewRx/MedicationPrescribed"),
        ((("</NewRx>", "<MedicationPrescribed/></NewRx>"),), "several-drugs", "Body/NewRx/MedicationPrescribed"),
        (((">RX1<", "> <"),), "no-order-number", "Header/PrescriberOrderNumber"),
        (((">1980-02-03<", ">1980-02-31<"),), "bad-date", "Body/NewRx/Patient/DateOfBirth"),
        (((">2026-03-01<", ">soon<"),), "bad-date", "Body/NewRx/MedicationPrescribed/WrittenDate"),
        (((">2026-03-01T12:00:00Z<", "><"),), "bad-time", "Header/SentTime"),
        (((">21<", ">0<"),), "bad-quantity", "Body/NewRx/MedicationPrescribed/Quantity/Value"),
        (((">21<", ">1E9<"),), "bad-quantity", "Body/NewRx/MedicationPrescribed/Quantity/Value"),
        (((">7<", ">a week<"),), "bad-quantity", "Body/NewRx/MedicationPrescribed/DaysSupply"),
        (((">1</NumberOfRefills>", ">-1</NumberOfRefills>"),), "bad-number",
         "Body/NewRx/MedicationPrescribed/NumberOfRefills"),
        ((("NewRx>", "CancelRx>"),), "unsupported-transaction", "Body"),
    ],
)  # fmt: skip
def test_what_cannot_be_trusted_is_quarantined_and_says_where(
    pairs: tuple[tuple[str, str], ...], code: str, place: str
) -> None:
    assert stopped(changed(*pairs)) == (code, place)


@pytest.mark.parametrize("kind", ["Status", "Error", "Verify"])
def test_an_answer_says_nothing_of_the_chart_but_what_it_answers(kind: str) -> None:
    message = parsed(answer(kind, "S1", "CW17", "010"))
    assert ncpdp_to_fhir(message, FEED) == ()
    assert FORMAT.relates(message) == "CW17"
    assert FORMAT.relates(changed()) is None


@pytest.mark.parametrize(("said", "code"), [("1", "T"), ("true", "T"), ("0", "P"), ("false", "P")])
def test_a_test_message_is_known_by_its_header(said: str, code: str) -> None:
    test = changed(("</Header>", f"<TestMessage>{said}</TestMessage></Header>"))
    assert FORMAT.processing(test) == (code, "Header/TestMessage")
    assert FORMAT.processing(changed()) == ("P", "Header/TestMessage")


@pytest.mark.parametrize("written", ["2026-03-01T12:00:00Z", "2026-03-01T12:00:00.0Z", "2026-03-01T07:00:00-05:00",
                                     "2026-03-01T12:00:00"])  # fmt: skip
def test_a_time_without_an_offset_is_utc(written: str) -> None:
    times = FORMAT.times(changed((">2026-03-01T12:00:00Z<", f">{written}<")), FEED)
    assert times == [(1_772_366_400_000_000, "Header/SentTime")]

"""Structural validation: each fault is found where it is, good resources pass, no content is told."""

import base64
import copy
import datetime
from collections.abc import Iterator
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from formats import fhir
from formats.fhir.r4 import r4

Json = dict[str, Any]

OBSERVATION: Json = {
    "identifier": [{"system": "urn:oid:1.2.3", "value": "F123"}],
    "status": "final",
    "category": [{"coding": [{"system": "http://loinc.org", "code": "laboratory"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}], "text": "Potassium"},
    "subject": {"reference": "Patient/p1", "display": "EVERYWOMAN, EVE"},
    "encounter": {"reference": "urn:uuid:0189f5c2-0000-7000-8000-000000000000"},
    "effectiveDateTime": "2026-02-28T10:11:12.5-05:00",
    "issued": "2026-02-28T23:59:60Z",
    "performer": [{"reference": "https://fhir.example.org/r4/Organization/lab"}, {"display": "LAB"}],
    "valueQuantity": {
        "value": Decimal("6.30"),
        "unit": "mmol/L",
        "system": "http://unitsofmeasure.org",
        "code": "mmol/L",
    },
    "interpretation": [{"coding": [{"code": "HH"}]}],
    "referenceRange": [{"low": {"value": Decimal("3.5")}, "high": {"value": 5}, "text": "3.5-5"}],
}
PATIENT: Json = {
    "identifier": [{"use": "usual", "type": {"text": "MRN"}, "system": "urn:oid:1.2.3", "value": "12 34"}],
    "active": True,
    "name": [
        {"use": "official", "family": "山田　花子", "given": ["Eve\u00a0Ann", "E."]},
        {"given": ["Eve", None], "_given": [None, {"extension": [{"url": "urn:x", "valueCode": "masked"}]}]},
    ],
    "gender": "female",
    "birthDate": "1961-06",
    "deceasedDateTime": "2024-02-29",
    "multipleBirthInteger": 2,
    "photo": [{"contentType": "image/png", "data": "iVBORw0KGgo=", "size": 8}],
    "contact": [{"relationship": [{"text": "mother"}], "telecom": [{"system": "phone", "value": "1"}]}],
    "managingOrganization": {"reference": "#org"},
    "contained": [{"resourceType": "Organization", "id": "org", "name": "City"}],
    "extension": [
        {
            "url": "urn:race",
            "extension": [{"url": "omb", "id": "e1", "valueCoding": {"system": "urn:oid:2.16", "code": "1"}}],
        }
    ],
}
GOOD: dict[str, Json] = {
    "Observation": OBSERVATION,
    "Patient": PATIENT,
    "Condition": {
        "clinicalStatus": {
            "coding": [
                {"system": "urn:local", "code": "A"},
                {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"},
            ]
        },
        "subject": {"reference": "Patient/p1/_history/2"},
        "onsetAge": {"value": 40, "unit": "a"},
    },
    "MedicationRequest": {
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": "aspirin"},
        "subject": {"reference": "Patient/p1"},
        "dosageInstruction": [
            {
                "timing": {"repeat": {"frequency": 1, "period": Decimal("1.5"), "periodUnit": "d"}},
                "asNeededBoolean": True,
            }
        ],
    },
    "Invoice": {"status": "issued", "totalNet": {"value": Decimal("10.00"), "currency": "USD"}},
}


def put(resource: Json, path: str, value: Any) -> Json:
    """A deep copy in which the member at `path` (`name.0.given`) is `value`, or is gone if that is None."""
    made = copy.deepcopy(resource)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    at: Any = made
    for step in steps:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return made


FAULTS: list[tuple[str, str, Any, str]] = [  # type, path to change, what it becomes, path of the problem
    # the table of faults that no single library finds all of
    ("Observation", "status", "bogus", "Observation.status"),
    ("Observation", "status", None, "Observation.status"),
    ("Observation", "code", None, "Observation.code"),
    ("Observation", "valueString", "6.3", "Observation.valueString"),
    ("Observation", "potassium", 6, "Observation"),
    ("Observation", "effectiveDateTime", "2026-13-40", "Observation.effectiveDateTime"),
    ("Patient", "birthDate", "2020-02-30", "Patient.birthDate"),
    ("Patient", "contained", [{"resourceType": "Patient", "gender": "x"}], "Patient.contained[0].gender"),
    ("Patient", "id", "bad id!", "Patient.id"),
    ("Patient", "name", [], "Patient.name"),
    ("Patient", "active", "true", "Patient.active"),
    # elements
    ("Observation", "gender", "female", "Observation.gender"),
    ("Patient", "name.0.firstName", "Eve", "Patient.name[0]"),
    ("Patient", "_name", [{"id": "x"}], "Patient._name"),
    ("Observation", "referenceRange.0.low.comparator", "<", "Observation.referenceRange[0].low.comparator"),
    ("Patient", "_id", {"id": "x"}, "Patient._id"),
    ("Patient", "name", {"family": "E"}, "Patient.name"),
    ("Patient", "gender", ["female"], "Patient.gender"),
    ("Patient", "managingOrganization", "Organization/1", "Patient.managingOrganization"),
    # required, and choices
    ("Patient", "link", [{"other": {"reference": "Patient/2"}}], "Patient.link[0].type"),
    ("Patient", "communication", [{"preferred": True}], "Patient.communication[0].language"),
    ("MedicationRequest", "medicationCodeableConcept", None, "MedicationRequest.medication[x]"),
    ("Observation", "_valueInteger", {"id": "x"}, "Observation._valueInteger"),
    ("Patient", "extension.0.valueString", "x", None),  # ext-1 is an invariant, and those are not checked
    ("Patient", "extension.0.extension.0.valueString", "x", "Patient.extension[0].extension[0].value[x]"),
    ("Patient", "extension.0.url", None, "Patient.extension[0].url"),
    # empty
    ("Observation", "code", {}, "Observation.code"),
    ("Observation", "code", {"id": "x"}, "Observation.code"),
    ("Observation", "code.text", "", "Observation.code.text"),
    ("Observation", "interpretation", [{}], "Observation.interpretation[0]"),
    ("Observation", "note", [None], "Observation.note[0]"),
    ("Observation", "identifier.0.system", "", "Observation.identifier[0].system"),
    # primitives
    ("Observation", "valueQuantity.value", "6.30", "Observation.valueQuantity.value"),
    ("Observation", "valueQuantity.value", True, "Observation.valueQuantity.value"),
    ("Observation", "valueQuantity.value", Decimal("NaN"), "Observation.valueQuantity.value"),
    ("Observation", "valueQuantity.value", float("inf"), "Observation.valueQuantity.value"),
    ("Observation", "code.text", 6, "Observation.code.text"),
    ("Patient", "multipleBirthInteger", Decimal("1.0"), "Patient.multipleBirthInteger"),
    ("Patient", "multipleBirthInteger", "1", "Patient.multipleBirthInteger"),
    ("Patient", "multipleBirthInteger", 2**31, "Patient.multipleBirthInteger"),
    ("Patient", "telecom", [{"rank": 0}], "Patient.telecom[0].rank"),
    ("Patient", "photo.0.size", -1, "Patient.photo[0].size"),
    ("Patient", "photo.0.data", "iVBORw0KGgo", "Patient.photo[0].data"),
    ("Patient", "active", 1, "Patient.active"),
    ("Patient", "birthDate", "19610615", "Patient.birthDate"),
    ("Patient", "birthDate", "1961-06-15T10:00:00Z", "Patient.birthDate"),
    ("Patient", "birthDate", "1961-06-15\n", "Patient.birthDate"),
    ("Observation", "effectiveDateTime", "2026-02-28T10:11:12", "Observation.effectiveDateTime"),
    ("Observation", "effectiveDateTime", "2026-02-28T24:00:00Z", "Observation.effectiveDateTime"),
    ("Observation", "effectiveDateTime", "2026-02-30T10:11:12Z", "Observation.effectiveDateTime"),
    ("Observation", "issued", "2026-02-28", "Observation.issued"),
    ("Observation", "identifier.0.system", "urn:oid 1", "Observation.identifier[0].system"),
    ("Observation", "valueQuantity.code", " mmol/L", "Observation.valueQuantity.code"),
    ("Patient", "name.0.given.1", "", "Patient.name[0].given[1]"),
    ("Patient", "name.0.family", "E\x00", "Patient.name[0].family"),
    ("Patient", "id", "x" * 65, "Patient.id"),
    ("Patient", "meta", {"lastUpdated": "yesterday"}, "Patient.meta.lastUpdated"),
    ("Patient", "text", {"status": "generated"}, "Patient.text.div"),
    # arrays of primitives and of what stands beside them
    ("Patient", "name.1._given", None, "Patient.name[1].given"),
    ("Patient", "name.1.given", ["Eve"], "Patient.name[1]._given"),
    ("Patient", "name.1._given.1", [], "Patient.name[1]._given[1]"),
    ("Patient", "name.1._given", [None, None], "Patient.name[1]._given"),
    # required bindings
    ("Patient", "gender", "F", "Patient.gender"),
    ("Patient", "name.0.use", "legal", "Patient.name[0].use"),
    ("Condition", "clinicalStatus.coding.1.code", "on", "Condition.clinicalStatus"),
    ("Condition", "clinicalStatus.coding.1.system", "urn:local", "Condition.clinicalStatus"),
    ("Condition", "clinicalStatus", {"text": "active"}, "Condition.clinicalStatus"),
    ("Invoice", "totalNet.currency", "dollar", "Invoice.totalNet.currency"),
    # references
    ("Observation", "subject", {"reference": "p1"}, "Observation.subject.reference"),
    ("Observation", "subject", {"reference": "Patient/"}, "Observation.subject.reference"),
    ("Observation", "subject", {"reference": "Patient/p1 "}, "Observation.subject.reference"),
    ("Observation", "subject", {"reference": "Practitioner/p1"}, "Observation.subject.reference"),
    ("Observation", "subject", {"reference": {"id": "p1"}}, "Observation.subject.reference"),
    ("Observation", "focus", [{"reference": "Patent/p1"}], "Observation.focus[0].reference"),
    ("Observation", "subject", {"patient": "p1"}, "Observation.subject.patient"),
    # resources inside
    ("Patient", "contained", [{"id": "org"}], "Patient.contained[0].resourceType"),
    ("Patient", "contained", [{"resourceType": "Org"}], "Patient.contained[0].resourceType"),
    ("Patient", "contained", [{"resourceType": ["Patient"]}], "Patient.contained[0].resourceType"),
    (
        "Patient",
        "contained",
        [{"resourceType": "Observation", "status": "final"}],
        "Patient.contained[0].code",
    ),
    ("Patient", "contained.0.contained", [{"resourceType": "Patient"}], "Patient.contained[0].contained"),
]


@pytest.mark.parametrize("type", GOOD)
def test_good_resources_have_no_problems(type: str) -> None:
    assert fhir.problems(type, GOOD[type]) == []
    assert fhir.problems(type, GOOD[type], partial=True) == []
    whole = {"resourceType": type, "id": "a-1", "meta": {"versionId": "1"}, **GOOD[type]}
    assert fhir.validate_resource(fhir.decode(fhir.encode(whole))) == []


@pytest.mark.parametrize(("type", "path", "value", "place"), FAULTS)
def test_a_fault_is_found_where_it_is(type: str, path: str, value: Any, place: str | None) -> None:
    faulty = put(GOOD[type], path, value)
    assert {p.path for p in fhir.problems(type, faulty)} == ({place} if place else set())


def test_every_fault_of_a_resource_is_told_at_once() -> None:
    faulty = put(put(put(OBSERVATION, "status", None), "code.text", ""), "issued", "now")
    places = {p.path for p in fhir.problems("Observation", faulty)}
    assert places == {"Observation.status", "Observation.code.text", "Observation.issued"}


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("Observation.status", "required element is missing"),
        ("Observation.valueString", "more than one type of value[x]"),
        ("Patient.birthDate", "is not a valid date"),
        ("Patient.gender", "is not one of female, male, other, unknown"),
        ("Patient.active", "is not a JSON boolean"),
        ("Patient.name", "is empty"),
    ],
)
def test_the_text_says_what_is_wrong(place: str, text: str) -> None:
    changes = [(t, p, v) for t, p, v, found_at in FAULTS if found_at == place]
    told = {p.text for t, path, v in changes for p in fhir.problems(t, put(GOOD[t], path, v))}
    assert text in told


def test_a_misspelled_element_gets_a_suggestion() -> None:
    [problem] = fhir.problems("Patient", {"birthdate": "1961-06-15"})
    assert problem.text.endswith("did you mean birthDate?")


def test_a_partial_fact_may_lack_what_is_required_at_the_top_but_only_there() -> None:
    assert fhir.problems("Observation", {}, partial=True) == []
    assert fhir.problems("Observation", {"valueString": "x"}, partial=True) == []
    assert fhir.problems("MedicationRequest", {"status": "active"}, partial=True) == []
    assert fhir.problems("Patient", {"link": [{"type": "refer"}]}, partial=True) != []
    assert fhir.problems("Observation", {"valueString": "x", "valueInteger": 1}, partial=True) != []
    assert fhir.problems("Observation", {"contained": [{"resourceType": "Observation"}]}, partial=True) != []


def test_a_required_primitive_may_be_an_extension_alone() -> None:
    why = {"extension": [{"url": "urn:absent", "valueCode": "unknown"}]}
    assert fhir.problems("Observation", {**put(OBSERVATION, "status", None), "_status": why}) == []


@pytest.mark.parametrize("value", [datetime.date(2026, 1, 1), b"x", object(), {1: "x"}, {"x"}])
def test_what_json_has_no_form_for_is_a_problem(value: Any) -> None:
    assert [p.path for p in fhir.problems("Patient", {"birthDate": value})] == ["Patient"]


@pytest.mark.parametrize(
    "resource", [{}, {"resourceType": "Patent"}, {"resourceType": 1}, {"resourceType": ["Patient"]}]
)
def test_an_unknown_type_is_a_problem(resource: Json) -> None:
    assert [p.path for p in fhir.validate_resource(resource)] == ["resourceType"]


def test_the_type_named_inside_must_be_the_one_asked_for() -> None:
    assert [p.path for p in fhir.problems("Patient", {"resourceType": "Person"})] == ["Patient.resourceType"]


def test_entries_and_parameters_are_checked_at_any_depth() -> None:
    faulty = {"resourceType": "Patient", "gender": "x"}
    part = {"name": "a", "part": [{"name": "b", "resource": faulty}]}
    inner = {"resourceType": "Parameters", "parameter": [{"name": "c"}, part]}
    response = {"status": "400", "outcome": {"resourceType": "OperationOutcome"}}
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"resource": inner}, {"response": response}],
    }
    assert {p.path for p in fhir.validate_resource(bundle)} == {
        "Bundle.entry[0].resource.parameter[1].part[0].resource.gender",
        "Bundle.entry[1].response.outcome.issue",
    }


def test_every_place_where_r4_holds_a_resource_is_known() -> None:
    holders = {
        (name, n) for name, table in r4().types.items() for n, e in table.items() if "Resource" in e.types
    }
    assert {holder for holder in holders if holder[1] != "contained"} == {
        ("Bundle.entry", "resource"),
        ("Bundle.entry.response", "outcome"),
        ("Parameters.parameter", "resource"),
    }


def test_every_resource_type_of_r4_is_known() -> None:
    assert len(r4().resources) == 146
    assert all(fhir.problems(type, {"language": "en"}, partial=True) == [] for type in r4().resources)
    assert all(fhir.problems(type, {"nonesuch": 1}, partial=True) for type in r4().resources)


@example(2000, 2, 29)
@example(1900, 2, 29)
@example(2024, 2, 29)
@example(2026, 2, 29)
@given(st.integers(1, 9999), st.integers(0, 13), st.integers(0, 32))
def test_a_date_is_valid_if_there_is_such_a_day(year: int, month: int, day: int) -> None:
    try:
        exists = bool(datetime.date(year, month, day))
    except ValueError:
        exists = False
    text = f"{year:04}-{month:02}-{day:02}"
    assert (fhir.problems("Patient", {"birthDate": text}) == []) is exists
    assert (fhir.problems("Patient", {"deceasedDateTime": f"{text}T10:00:00Z"}) == []) is exists


@given(st.binary(min_size=1))
def test_base64_is_valid_whole_and_not_a_character_shorter(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert fhir.problems("Binary", {"contentType": "text/plain", "data": text}) == []
    assert fhir.problems("Binary", {"contentType": "text/plain", "data": text[:-1]}) != []


CANARY = "Zzyzx-4711"
NOT_TOLD: list[Any] = [
    CANARY,
    [CANARY],
    {CANARY: CANARY},
    {"resourceType": CANARY},
    {"id": CANARY, "reference": CANARY},
]


def leaves(value: Any, path: str = "") -> Iterator[str]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, inner in members:
        yield f"{path}{name}"
        yield from leaves(inner, f"{path}{name}.")


@pytest.mark.parametrize("type", GOOD)
def test_no_problem_tells_a_value_or_an_unknown_name(type: str) -> None:
    found = 0
    for path in leaves(GOOD[type]):
        for planted in NOT_TOLD:
            told = fhir.problems(type, put(GOOD[type], path, planted))
            found += len(told)
            assert CANARY not in repr(told), (path, planted)
    assert found > 15


@pytest.mark.parametrize("code", ["good", ""])
def test_as_deep_as_json_is_decoded_it_is_validated(code: str) -> None:
    inmost = f'{{"url":"x","valueCode":"{code}"}}'
    deep = fhir.decode('{"extension":[' + '{"url":"x","extension":[' * 400 + inmost + "]}" * 401)
    found: list[fhir.Problem] = []
    thread = Thread(target=lambda: found.extend(fhir.problems("Patient", deep)))
    thread.start()
    thread.join()
    assert bool(found) is not bool(code)

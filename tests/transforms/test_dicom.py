"""Instance headers in, facts out; every fact is valid R4 by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from engine.message import State, Stop
from engine.plugin import Feed
from engine.standards.dicom import FORMAT, made_at
from formats import dicom, fhir
from store.facts import Belongs, Fact, Link
from store.fold import overlay
from store.identity import Patient, reference
from store.prepared import Prepared, prepare
from store.reason import Reason
from tests.adapters.dicom_peer import instance
from tests.transforms.conftest import MRN, VISITS
from transforms.dicom_to_fhir.entry import dicom_to_fhir

UID = "1.2.826.0.1.3680043.9.7433.6"
Said = Sequence[Fact | Link | Belongs] | Stop | None
Say = Callable[..., Said]


@pytest.fixture
def imaging(feed: Feed) -> Feed:
    return replace(feed, authority=MRN)


@pytest.fixture
def say(imaging: Feed) -> Say:
    def say(of: Feed = imaging, *, accession: str = "", **values: Any) -> Said:
        said = dicom_to_fhir(parsed(**values), of, accession=accession)
        for fact in said if isinstance(said, list) else []:
            if isinstance(fact, Fact):
                assert isinstance(prepare(fact), Prepared), prepare(fact)
        return said

    return say


def parsed(uid: str = UID, **values: Any) -> dicom.Message:
    found = dicom.parse(instance(uid, **values))
    assert isinstance(found, dicom.Message)
    return found


def one(said: Said, type: str) -> Fact:
    assert isinstance(said, list)
    (found,) = [each for each in said if isinstance(each, Fact) and each.type == type]
    return found


def test_an_instance_is_a_study_of_one_series_with_one_instance(say: Say, imaging: Feed) -> None:
    said = say(
        StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4", Modality="CT", SeriesNumber="2", InstanceNumber="17",
        StudyDescription="CT CHEST", SeriesDescription="AXIAL", SeriesDate="20261120", SeriesTime="101600",
        ReferringPhysicianName="Lindqvist^Sara",
    )  # fmt: skip
    fact = one(said, "ImagingStudy")
    patient = one(said, "Patient")
    dcm = "http://dicom.nema.org/resources/ontology/DCM"
    assert fact.patient == patient.key == imaging.identity.patient_key(MRN, "MRN10001")
    assert overlay("ImagingStudy", {}, fact.elements) == {
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
        "status": "available",
        "modality": [{"system": dcm, "code": "CT"}],
        "subject": reference("Patient", patient.key),
        "started": "2026-11-20T10:15:00-05:00",
        "referrer": {"display": "Lindqvist Sara"},
        "description": "CT CHEST",
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "series": [
            {
                "uid": "1.2.3.4",
                "number": 2,
                "modality": {"system": dcm, "code": "CT"},
                "description": "AXIAL",
                "started": "2026-11-20T10:16:00-05:00",
                "numberOfInstances": 1,
                "instance": [
                    {
                        "uid": UID,
                        "sopClass": {
                            "system": "urn:ietf:rfc:3986",
                            "code": "urn:oid:1.2.840.10008.5.1.4.1.1.7",
                        },
                        "number": 17,
                    }
                ],
            }
        ],
    }


def test_what_an_image_says_of_its_patient_is_hearsay(say: Say) -> None:
    fact = one(
        say(PatientName="Test^Anna^Maria^Dr^Jr", PatientBirthDate="19850304", PatientSex="O"), "Patient"
    )
    assert fact.clock.weight == 0
    assert fact.elements["name"] == [
        {"family": "Test", "given": ["Anna", "Maria"], "prefix": ["Dr"], "suffix": ["Jr"]}
    ]
    assert (fact.elements["birthDate"], fact.elements["gender"]) == ("1985-03-04", "other")
    assert fact.elements["identifier"][0]["system"] == MRN.namespace


def test_a_name_in_another_script_is_a_name_too(say: Say) -> None:
    said = say(PatientName="Yamada^Tarou=山田^太郎", SpecificCharacterSet="ISO_IR 192")
    assert one(said, "Patient").elements["name"] == [
        {"family": "Yamada", "given": ["Tarou"]}, {"text": "山田 太郎"}
    ]  # fmt: skip


def test_the_study_is_known_by_its_uid_alone(say: Say) -> None:
    ours = one(say(PatientID="A", StudyInstanceUID="1.2.3"), "ImagingStudy")
    theirs = one(say(PatientID="B", StudyInstanceUID="1.2.3"), "ImagingStudy")
    other = one(say(PatientID="A", StudyInstanceUID="1.2.4"), "ImagingStudy")
    assert ours.key == theirs.key != other.key
    assert ours.patient != theirs.patient


def test_the_issuer_says_whose_number_it_is(say: Say, imaging: Feed) -> None:
    key = imaging.identity.patient_key(MRN, "A")
    assert one(say(PatientID="A", IssuerOfPatientID="HOSP"), "Patient").key == key
    stopped = say(PatientID="A", IssuerOfPatientID="ELSEWHERE")
    assert isinstance(stopped, Stop)
    assert (stopped.state, stopped.reason.code) == (State.QUARANTINED, "unknown-authority")


@pytest.mark.parametrize(
    ("values", "code", "place"),
    [
        ({"PatientID": ""}, "blank-patient-id", "PatientID"),
        ({"PatientID": None}, "blank-patient-id", "PatientID"),
        ({"StudyInstanceUID": ""}, "no-uid", "StudyInstanceUID"),
        ({"SeriesInstanceUID": None}, "no-uid", "SeriesInstanceUID"),
    ],
)
def test_what_cannot_be_trusted_is_quarantined(
    say: Say, values: dict[str, Any], code: str, place: str
) -> None:
    stopped = say(**values)
    assert isinstance(stopped, Stop)
    assert (stopped.state, stopped.reason.code, stopped.reason.place) == (State.QUARANTINED, code, place)


@pytest.mark.parametrize("keyword", ["PatientBirthDate", "StudyDate"])
def test_a_date_that_is_none_is_quarantined_and_not_repeated(imaging: Feed, keyword: str) -> None:
    file = instance(UID, **{keyword: "19700131"}).replace(b"19700131", b"19701331")
    message = dicom.parse(file)
    assert isinstance(message, dicom.Message)
    stopped = dicom_to_fhir(message, imaging)
    assert isinstance(stopped, Stop)
    assert (stopped.reason.code, stopped.reason.place) == ("bad-time", keyword)
    assert "1970" not in str(stopped.reason)


def test_an_accession_number_must_be_of_an_order_of_the_same_patient(say: Say) -> None:
    said = say(AccessionNumber="A1", accession="visits")
    assert isinstance(said, list)
    (belongs,) = [each for each in said if isinstance(each, Belongs)]
    key = one(said, "Patient").key
    assert belongs == Belongs("ServiceRequest", "A1", VISITS.namespace, key, "AccessionNumber")
    study = one(said, "ImagingStudy").elements
    assert study["basedOn"] == [{"type": "ServiceRequest", "identifier": study["identifier"][1]}]
    assert study["identifier"][1]["value"] == "A1"


def test_without_a_declared_issuer_any_order_of_that_number_counts(say: Say) -> None:
    said = say(AccessionNumber="A1")
    assert isinstance(said, list)
    assert [each.system for each in said if isinstance(each, Belongs)] == [""]


def test_without_an_accession_number_there_is_no_order(say: Say) -> None:
    said = say(AccessionNumber="")
    assert isinstance(said, list)
    assert not [each for each in said if isinstance(each, Belongs)]


def test_an_image_without_a_modality_says_that_it_is_unknown(say: Say) -> None:
    study = one(say(Modality=None), "ImagingStudy").elements
    assert "modality" not in study
    assert study["series"][0]["modality"]["extension"][0]["valueCode"] == "unknown"
    assert fhir.problems("ImagingStudy", overlay("ImagingStudy", {}, study)) == []


STAMPS: tuple[tuple[dict[str, str], str], ...] = (
    ({"InstanceCreationDate": "20261120", "InstanceCreationTime": "120000"}, "2026-11-20T17:00"),
    ({"ContentDate": "20261119", "ContentTime": "120000"}, "2026-11-19T17:00"),
    ({"AcquisitionDate": "20261118"}, "2026-11-18T05:00"),
    ({}, "2026-11-20T15:15"),
)


@pytest.mark.parametrize(("values", "moment"), STAMPS)
def test_the_clock_is_the_time_of_the_instance_or_what_is_next_to_it(
    imaging: Feed, values: dict[str, str], moment: str
) -> None:
    from datetime import UTC, datetime

    found = datetime.fromtimestamp(made_at(parsed(**values), imaging) / 1e6, UTC)
    assert f"{found:%Y-%m-%dT%H:%M}" == moment


def test_an_old_study_is_a_study(say: Say, imaging: Feed) -> None:
    message = parsed(StudyDate="19970424", StudyTime="")
    assert [place for _, place in FORMAT.times(message, imaging)] == ["StudyDate"]  # type: ignore[union-attr]
    assert one(say(StudyDate="19970424"), "ImagingStudy").elements["started"].startswith("1997-04-24")
    assert one(say(StudyDate="", StudyTime=""), "ImagingStudy").clock.time == 0


def test_every_time_is_looked_at_lest_it_lies_in_the_future(imaging: Feed) -> None:
    message = parsed(ContentDate="20301120", SeriesDate="20261120")
    times = FORMAT.times(message, imaging)
    assert not isinstance(times, Reason)
    assert {place for _, place in times} == {"ContentDate", "SeriesDate", "StudyDate"}


def test_the_format_says_what_it_is_and_whose(imaging: Feed) -> None:
    message = parsed(PatientID="A")
    assert (FORMAT.kind(message), FORMAT.key(message)) == ("Secondary Capture Image", UID)
    assert FORMAT.write(message) == message.raw
    (patient,) = FORMAT.patients(message, imaging)
    assert isinstance(patient, Patient)
    assert patient.value == "A"

"""The transform `dicom_to_fhir`: what the header of one instance says of the chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from engine.message import State, Stop
from engine.plugin import Feed, transform
from engine.standards.dicom import made_at, moment, patient_of
from formats import dicom
from store.facts import Belongs, Clock, Fact, Link
from store.identity import Patient, reference
from store.reason import Reason
from transforms.dicom_to_fhir.values import (
    ABSENT,
    UID_SYSTEM,
    URI,
    Json,
    filled,
    gender,
    identifier,
    modality,
    names,
    number,
    uid,
)

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


class Wrong(Exception):
    """A value that cannot be read: the message is quarantined with this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.code)
        self.reason = reason


@transform("dicom_to_fhir")
def dicom_to_fhir(
    message: dicom.Message,
    feed: Feed,
    *,
    accession: Annotated[str, "authority (authorities.yaml) of accession numbers that name no issuer"] = "",
) -> Sequence[Fact | Link | Belongs] | Stop | None:
    """One instance of an ImagingStudy, and what it says of its patient where the chart does not know better.

    The study is known by its Study Instance UID alone, so one that is another patient's is seen; an accession number
    must not be that of another patient's order.
    """
    try:
        return _said(message, feed, accession)
    except Wrong as wrong:
        return Stop(State.QUARANTINED, wrong.reason)


def _said(message: dicom.Message, feed: Feed, accession: str) -> Sequence[Fact | Link | Belongs]:
    patient = patient_of(message, feed)
    if isinstance(patient, Reason):
        raise Wrong(patient)
    for keyword in UIDS:
        if uid(message, keyword) is None:
            raise Wrong(Reason("no-uid", "the instance does not say what it is part of", keyword))
    time = made_at(message, feed)
    clock = Clock(time, sent=time, rank=feed.rank)
    order = _order(message, feed, accession)
    study = uid(message, "StudyInstanceUID") or ""
    key = feed.identity.key("ImagingStudy", UID_SYSTEM, study)
    facts: list[Fact | Link | Belongs] = [
        _patient_fact(message, patient, clock._replace(weight=0)),
        Fact("ImagingStudy", key, clock, _study(message, feed, patient, order), patient.key),
    ]
    if order:
        value, system = str(order["value"]), str(order.get("system", ""))
        facts.append(Belongs("ServiceRequest", value, system, patient.key, "AccessionNumber"))
    facts += [Link(other, patient.key, clock, "claim", place) for other, place in patient.others]
    return facts


def _patient_fact(message: dicom.Message, patient: Patient, clock: Clock) -> Fact:
    """Hearsay: the modality's own copy."""
    elements = {
        "identifier": [identifier(patient.authority.namespace, patient.value, "MR")],
        "name": names(message, "PatientName"),
        "gender": gender(message),
        "birthDate": _date(message, "PatientBirthDate"),
    }
    return Fact("Patient", patient.key, clock, filled(elements), patient.key)


def _date(message: dicom.Message, keyword: str) -> str | None:
    text = message.text(keyword)
    found = dicom.date(text) if text else None
    if text and found is None:
        raise Wrong(Reason("bad-time", "the value is not a date", keyword))
    return found


def _order(message: dicom.Message, feed: Feed, authority: str) -> Json | None:
    """Accession Number (0008,0050) as an identifier, of its issuer (0008,0051) or of the declared one."""
    value = message.text("AccessionNumber")
    if not value:
        return None
    issuer = next(iter(message.items("IssuerOfAccessionNumberSequence")), None)
    ids = ("LocalNamespaceEntityID", "UniversalEntityID")
    named = [text for keyword in ids if issuer and (text := issuer.text(keyword))]
    found = feed.identity.authority(named) if named else feed.identity.named(authority)
    return identifier(found.namespace if found else None, value, "ACSN")


def _study(message: dicom.Message, feed: Feed, patient: Patient, order: Json | None) -> Json:
    """R4 ImagingStudy by this instance; the chart unites them, and counts."""
    _date(message, "StudyDate")
    started = moment(message, "Study", feed)
    kind = modality(message)
    study = identifier(UID_SYSTEM, f"urn:oid:{message.text('StudyInstanceUID')}")
    return filled(
        {
            "identifier": [study, *([order] if order else [])],
            "status": "available",
            "modality": [kind] if kind else [],
            "subject": reference("Patient", patient.key),
            "started": started.text if started else None,
            "basedOn": [{"type": "ServiceRequest", "identifier": order}] if order else [],
            "referrer": _named(message, "ReferringPhysicianName"),
            "description": message.text("StudyDescription"),
            "series": [_series(message, feed)],
        }
    )


def _named(message: dicom.Message, keyword: str) -> Json | None:
    text = " ".join(message.text(keyword).partition("=")[0].replace("^", " ").split())
    return {"display": text} if text else None


def _series(message: dicom.Message, feed: Feed) -> Json:
    started = moment(message, "Series", feed)
    unknown = {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}
    return filled(
        {
            "uid": message.text("SeriesInstanceUID"),
            "number": number(message, "SeriesNumber"),
            "modality": modality(message) or unknown,
            "description": message.text("SeriesDescription"),
            "started": started.text if started else None,
            "instance": [_instance(message)],
        }
    )


def _instance(message: dicom.Message) -> Json:
    return filled(
        {
            "uid": message.text("SOPInstanceUID"),
            "sopClass": {"system": URI, "code": f"urn:oid:{message.text('SOPClassUID')}"},
            "number": number(message, "InstanceNumber"),
        }
    )

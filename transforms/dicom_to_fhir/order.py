"""One imaging order as a worklist item: patient, request, requested procedure, scheduled step (PS3.4 table K.6-1)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.plugin import ChartReader, Feed
from engine.settings import Table
from store.identity import Authority, key_of
from transforms.dicom_to_fhir.matching import Entity
from transforms.dicom_to_fhir.values import DCM, UID_SYSTEM

__all__ = ["Entity", "Order", "entity", "mrn"]

Json = Mapping[str, Any]

STATION = "urn:chartwire:station-ae-title"
"""The extension of a ServiceRequest that names a station."""
_SCHEMES = {
    "http://loinc.org": "LN",
    "http://snomed.info/sct": "SCT",
    DCM: "DCM",
    "http://www.ama-assn.org/go/cpt": "C4",
    "http://www.radlex.org": "RADLEX",
}  # PS3.16 table 8-1
_PRIORITIES = {"stat": "STAT", "asap": "HIGH", "urgent": "HIGH", "routine": "ROUTINE"}
_SEXES = {"male": "M", "female": "F", "other": "O"}
_SHORT, _LONG = 16, 64  # characters of SH, of LO (PS3.5 6.2)


@dataclass(frozen=True, slots=True)
class Order:
    """How orders are read: what `worklist` is set to."""

    modalities: Table | None
    station: str


def entity(order: Json, patient: Json, chart: ChartReader, feed: Feed, how: Order, asked: str) -> Entity:
    """Everything that can be asked for. `asked`: the station that asks, for an order that names none."""
    return {
        **_patient(patient, feed),
        **_visit(_referred(chart, "Encounter", order.get("encounter"))),
        **_request(order, chart),
        **_procedure(order),
        "ScheduledProcedureStepSequence": [_step(order, feed, how, asked)],
    }


def mrn(patient: Json, feed: Feed) -> tuple[str, Authority] | None:
    """The number by which an image will name the patient, and whose it is: the feed's own authority first."""
    own = [feed.authority] if feed.authority else []
    for authority in (*own, *(a for a in feed.identity.authorities if a.identifies)):
        for each in patient.get("identifier", ()):
            if each.get("system") == authority.namespace and each.get("value"):
                return str(each["value"]), authority
    return None


def _patient(patient: Json, feed: Feed) -> dict[str, Sequence[str]]:
    found = mrn(patient, feed)
    value, issuer = (found[0], found[1].name) if found else ("", "")
    name: Json = next(iter(patient.get("name", ())), {})
    return {
        "PatientName": _texts(person(name)),
        "PatientID": _texts(value),
        "IssuerOfPatientID": _texts(issuer),
        "PatientBirthDate": _texts(_whole_date(patient.get("birthDate", ""))),
        "PatientSex": _texts(_SEXES.get(patient.get("gender", ""), "")),
        "PatientWeight": [],
        "MedicalAlerts": [],
        "Allergies": [],
        "PregnancyStatus": [],
        "SpecialNeeds": [],
        "PatientState": [],
        "ConfidentialityConstraintOnPatientDataDescription": [],
    }


def person(name: Json) -> str:
    """A HumanName as PN: family^given^middle^prefix^suffix."""
    given = name.get("given", ())
    first, middle = (given[0], " ".join(given[1:])) if given else ("", "")
    parts = (
        name.get("family", ""),
        first,
        middle,
        *(" ".join(name.get(n, ())) for n in ("prefix", "suffix")),
    )
    text = "^".join(_clean(part) for part in parts).rstrip("^")
    return text or _clean(name.get("text", ""))


def _clean(text: str) -> str:
    """Without what delimits: `^`, `=` and the backslash mean something else in DICOM."""
    return " ".join("".join(" " if c in "^=\\" or not c.isprintable() else c for c in text).split())


def _visit(encounter: Json | None) -> dict[str, Sequence[str]]:
    numbers = (encounter or {}).get("identifier", ())
    places = (encounter or {}).get("location", ())
    where = places[0].get("location", {}).get("display", "") if places else ""
    return {
        "AdmissionID": _texts(_clean(numbers[0].get("value", ""))[:_LONG] if numbers else ""),
        "CurrentPatientLocation": _texts(_clean(where)[:_LONG]),
    }


def _request(order: Json, chart: ChartReader) -> dict[str, Sequence[str]]:
    asked = _requester(order, chart)
    return {
        "AccessionNumber": _texts(accession(order)),
        "RequestingPhysician": _texts(asked),
        "ReferringPhysicianName": _texts(asked),
        "PlacerOrderNumberImagingServiceRequest": _texts(_number(order, "PLAC")),
        "FillerOrderNumberImagingServiceRequest": _texts(_number(order, "FILL")),
        "ReasonForTheImagingServiceRequest": _texts(_reason(order)),
    }


def _requester(order: Json, chart: ChartReader) -> str:
    named = order.get("requester", {})
    found = _referred(chart, "Practitioner", named)
    if found and found.get("name"):
        return person(found["name"][0])
    return _clean(named.get("display", ""))


def _referred(chart: ChartReader, type: str, reference: Json | None) -> Json | None:
    kind, _, id = str((reference or {}).get("reference", "")).rpartition("/")
    return chart.read(type, id) if kind == type else None


def _number(order: Json, type: str) -> str:
    """The identifier of that type (HL7 table 0203)."""
    for each in order.get("identifier", ()):
        if any(c.get("code") == type for c in each.get("type", {}).get("coding", ())):
            return _clean(each.get("value", ""))
    return ""


def accession(order: Json) -> str:
    """The accession number, else the placer's, else any. One that is too long for SH is none: half is another's."""
    numbers = [
        each.get("value", "") for each in order.get("identifier", ()) if each.get("system") != UID_SYSTEM
    ]
    found = _number(order, "ACSN") or _number(order, "PLAC") or _clean(next(iter(numbers), ""))
    return found if len(found) <= _SHORT else ""


def study_uid(order: Json) -> str:
    """What its study is to be called: said by the order, else made of its id, the same each time (PS3.5 B.2)."""
    for each in order.get("identifier", ()):
        if each.get("system") == UID_SYSTEM:
            return str(each.get("value", "")).removeprefix("urn:oid:")
    key = key_of(str(order["id"])) or b""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, key.hex()).int}"


def _procedure(order: Json) -> dict[str, Any]:
    return {
        "StudyInstanceUID": [study_uid(order)],
        "RequestedProcedureID": _texts(_id(order)),
        "RequestedProcedureDescription": _texts(_description(order)),
        "RequestedProcedureCodeSequence": _codes(order),
        "RequestedProcedurePriority": _texts(_PRIORITIES.get(order.get("priority", "routine"), "")),
        "ReasonForTheRequestedProcedure": _texts(_reason(order)),
        "PatientTransportArrangements": [],
        "ReferencedStudySequence": [],
        "ReferencedPatientSequence": [],
    }


def _id(order: Json) -> str:
    """The number of the procedure is that of the order: there is one for each."""
    placer = _number(order, "PLAC")
    return placer if 0 < len(placer) <= _SHORT else accession(order)


def _description(order: Json) -> str:
    code = order.get("code", {})
    shown = next((c["display"] for c in code.get("coding", ()) if c.get("display")), "")
    return _clean(code.get("text") or shown)[:_LONG]


def _codes(order: Json) -> list[Entity]:
    found: list[Entity] = []
    for coding in order.get("code", {}).get("coding", ()):
        code, scheme = coding.get("code", ""), _SCHEMES.get(coding.get("system", ""))
        if code and scheme and len(code) <= _SHORT:
            meaning = _clean(coding.get("display", "") or code)[:_LONG]
            found.append({"CodeValue": [code], "CodingSchemeDesignator": [scheme], "CodeMeaning": [meaning]})
    return found


def _reason(order: Json) -> str:
    for each in order.get("reasonCode", ()):
        shown = next((c["display"] for c in each.get("coding", ()) if c.get("display")), "")
        if text := each.get("text") or shown:
            return _clean(text)[:_LONG]
    return ""


def _step(order: Json, feed: Feed, how: Order, asked: str) -> dict[str, Any]:
    day, time = _scheduled(order, feed)
    return {
        "ScheduledStationAETitle": _texts(_station(order) or how.station or asked),
        "ScheduledProcedureStepStartDate": _texts(day),
        "ScheduledProcedureStepStartTime": _texts(time),
        "Modality": _texts(_modality(order, how.modalities)),
        "ScheduledPerformingPhysicianName": [],
        "ScheduledProcedureStepDescription": _texts(_description(order)),
        "ScheduledProtocolCodeSequence": _codes(order),
        "ScheduledProcedureStepID": _texts(_id(order)),
        "ScheduledStationName": [],
        "ScheduledProcedureStepLocation": [],
        "PreMedication": [],
        "RequestedContrastAgent": [],
        "ScheduledProcedureStepStatus": ["SCHEDULED"],
        "CommentsOnTheScheduledProcedureStep": [],
    }


def _scheduled(order: Json, feed: Feed) -> tuple[str, str]:
    """DA and TM, in the feed's zone: when it is to be done, else when it was ordered."""
    text = order.get("occurrenceDateTime") or order.get("occurrencePeriod", {}).get("start")
    text = text or order.get("authoredOn", "")
    if "T" not in text:
        return _whole_date(text), ""
    moment = datetime.fromisoformat(text)
    local = moment.astimezone(feed.timezone) if moment.tzinfo else moment
    return f"{local:%Y%m%d}", f"{local:%H%M%S}"


def _whole_date(text: str) -> str:
    """A year, or a month, is no DA."""
    return text.replace("-", "") if len(text) == 10 else ""


def _station(order: Json) -> str:
    values = [e.get("valueString", "") for e in order.get("extension", ()) if e.get("url") == STATION]
    return next(iter(values), "")


def _modality(order: Json, table: Table | None) -> str:
    """A code of CID 29 that the order has, in its details or as its code; else by the table."""
    details = [c for d in order.get("orderDetail", ()) for c in d.get("coding", ())]
    ordered = order.get("code", {}).get("coding", ())
    said = next((c["code"] for c in (*details, *ordered) if c.get("system") == DCM and c.get("code")), "")
    if said or table is None:
        return str(said)
    rows = (table.lookup(c.get("code", ""), c.get("system", "")) for c in ordered)
    return next((row.to for row in rows if row), "")


def _texts(value: str) -> list[str]:
    return [value] if value else []

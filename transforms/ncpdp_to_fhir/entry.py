"""The transform `ncpdp_to_fhir`.

What a MedicationRequest cannot hold stays in the message: its bytes are kept, and a route that sends the message on
sends them unchanged. Built and checked against public samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from engine.message import State, Stop
from engine.plugin import Feed, transform
from engine.standards.script import ANSWERS, sent
from formats import script
from store.facts import Belongs, Clock, Fact
from store.identity import Identifier, Patient, reference
from store.reason import Reason
from transforms.ncpdp_to_fhir.drug import PLACE, dispense, drug_of, reasons, substitution
from transforms.ncpdp_to_fhir.parties import born, human, pharmacy, prescriber, said_patient
from transforms.ncpdp_to_fhir.sig import dosage
from transforms.ncpdp_to_fhir.values import Json, date, kept

NUMBERS = ("MedicalRecordIdentificationNumberEHR", "MedicalRecordIdentificationNumber", "FileID")
"""Where the patient's number stands, in newer and older shapes."""


class About(NamedTuple):
    """What every fact of one prescription shares. `order` is the prescriber's number of it."""

    message: script.Message
    feed: Feed
    patient: Patient
    clock: Clock
    drug: Any
    order: str


@transform("ncpdp_to_fhir")
def ncpdp_to_fhir(message: script.Message, feed: Feed) -> Sequence[Fact | Belongs] | Stop | None:
    """NewRx -> MedicationRequest with patient, prescriber and pharmacy; Status, Error and Verify say nothing of the
    chart: they settle what was expected. Other transactions are refused by name, not half understood."""
    if message.kind in ANSWERS:
        return ()
    if message.kind != "NewRx":
        text = "this transaction is not taken here; NewRx, Status and Error are"
        return Stop(State.QUARANTINED, Reason("unsupported-transaction", text, "Body"))
    about = _about(message, feed)
    made = about if isinstance(about, Reason) else _facts(about)
    return Stop(State.QUARANTINED, made) if isinstance(made, Reason) else made


def _about(message: script.Message, feed: Feed) -> About | Reason:
    """Who it is for, when and under which number; or what makes it no prescription."""
    rx = message.content
    time = sent(message, feed)
    if isinstance(time, Reason):
        return time
    patient = _patient(message, feed)
    if isinstance(patient, Reason):
        return patient
    drugs = message.all("MedicationPrescribed", rx)
    if len(drugs) > 1:
        return Reason("several-drugs", "a prescription is of one drug", PLACE)
    if not drugs or not message.text("DrugDescription", drugs[0]):
        return Reason("no-drug", "the prescription names no drug", PLACE)
    order = message.first("Header/PrescriberOrderNumber") or message.text("PrescriberOrderNumber", rx)
    if not order:
        return Reason("no-order-number", "the prescription has no number", "Header/PrescriberOrderNumber")
    return About(message, feed, patient, Clock(time, rank=feed.rank), drugs[0], order)


def _patient(message: script.Message, feed: Feed) -> Patient | Reason:
    place = "Body/NewRx/Patient"
    if len(message.all("Patient", message.content)) > 1:
        return Reason("several-patients", "a prescription is for one patient", place)
    person = human(message)
    number = "" if person is None else message.first(*(f"Identification/{n}" for n in NUMBERS), below=person)
    return feed.identity.patient([Identifier(number, (), "", place)], feed.authority)


def _facts(about: About) -> list[Fact | Belongs] | Reason:
    message, feed, patient, clock, _, order = about
    if date(born(message, human(message))) is None:
        return Reason("bad-date", "it is no date", "Body/NewRx/Patient/DateOfBirth")
    system = f"urn:chartwire:script:{quote(message.text('Header/From'), safe=':@.-') or 'unknown'}"
    who, said_who = prescriber(message, feed, clock)
    where, said_where = pharmacy(message, feed, clock)
    elements = _elements(about, who, where)
    if isinstance(elements, Reason):
        return elements
    elements = {"identifier": [{"system": system, "value": order}], **elements}
    key = feed.identity.key("MedicationRequest", system, order, patient.key)
    belongs = Belongs("MedicationRequest", order, system, patient.key, "Header/PrescriberOrderNumber")
    said = said_patient(message, human(message), patient, clock)
    return [
        belongs,
        said,
        *said_who,
        *said_where,
        Fact("MedicationRequest", key, clock, elements, patient.key),
    ]


def _elements(about: About, who: bytes | None, where: bytes | None) -> Json | Reason:
    message, drug = about.message, about.drug
    written = date(message.first("WrittenDate/Date", "WrittenDate/DateTime", "WrittenDate", below=drug))
    if written is None:
        return Reason("bad-date", "it is no date", f"{PLACE}/WrittenDate")
    supplied = dispense(message, drug)
    if isinstance(supplied, Reason):
        return supplied
    if where:
        supplied["performer"] = reference("Organization", where)
    return kept(
        {
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": drug_of(message, drug),
            "subject": reference("Patient", about.patient.key),
            "authoredOn": written,
            "requester": reference("Practitioner", who) if who else None,
            "reasonCode": reasons(message, drug),
            "note": [{"text": note}] if (note := message.text("Note", drug)) else [],
            "dosageInstruction": dosage(message, drug),
            "dispenseRequest": supplied,
            "substitution": substitution(message, drug),
        }
    )

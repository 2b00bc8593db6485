"""The transform `ncpdp_to_fhir`.

What a MedicationRequest cannot hold stays in the message: its bytes are kept, and a route that sends the message on
sends them unchanged. Built and checked against public samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from engine.message import State, Stop
from engine.plugin import Feed, transform
from engine.standards.script import ANSWERS, sent
from formats import script
from store.facts import Belongs, Clock, Fact
from store.identity import Identifier, Patient, reference
from store.reason import Reason
from transforms.ncpdp_to_fhir.parties import born, date, human, pharmacy, prescriber, said_patient

NDC = "http://hl7.org/fhir/sid/ndc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
DRUG_CODES: Mapping[str, str] = {"ND": NDC, "SCD": RXNORM, "SBD": RXNORM, "GPK": RXNORM, "BPK": RXNORM}
Json = dict[str, Any]


class About(NamedTuple):
    """What every fact of one prescription shares."""

    message: script.Message
    feed: Feed
    patient: Patient
    clock: Clock


@transform("ncpdp_to_fhir")
def ncpdp_to_fhir(message: script.Message, feed: Feed) -> Sequence[Fact | Belongs] | Stop | None:
    """NewRx -> MedicationRequest with patient, prescriber and pharmacy; Status, Error and Verify say nothing of the
    chart: they settle what was expected. Other transactions are refused by name, not half understood."""
    if message.kind in ANSWERS:
        return ()
    if message.kind != "NewRx":
        text = "this transaction is not taken here; NewRx, Status and Error are"
        return Stop(State.QUARANTINED, Reason("unsupported-transaction", text, "Body"))
    made = _prescription(message, feed)
    return Stop(State.QUARANTINED, made) if isinstance(made, Reason) else made


def _prescription(message: script.Message, feed: Feed) -> list[Fact | Belongs] | Reason:
    rx = message.content
    time = sent(message, feed)
    if isinstance(time, Reason):
        return time
    person, place = human(message), "Body/NewRx/Patient"
    names = ("MedicalRecordIdentificationNumberEHR", "MedicalRecordIdentificationNumber", "FileID")
    number = "" if person is None else message.first(*(f"Identification/{n}" for n in names), below=person)
    patient = feed.identity.patient([Identifier(number, (), "", place)], feed.authority)
    if isinstance(patient, Reason):
        return patient
    about = About(message, feed, patient, Clock(time, rank=feed.rank))
    drug = message.find("MedicationPrescribed", rx)
    if drug is None or not message.text("DrugDescription", drug):
        return Reason("no-drug", "the prescription names no drug", "Body/NewRx/MedicationPrescribed")
    order = message.first("Header/PrescriberOrderNumber") or message.text("PrescriberOrderNumber", rx)
    if not order:
        return Reason("no-order-number", "the prescription has no number", "Header/PrescriberOrderNumber")
    return _facts(about, drug, order)


def _facts(about: About, drug: Any, order: str) -> list[Fact | Belongs] | Reason:
    message, feed, patient = about.message, about.feed, about.patient
    system = f"urn:chartwire:script:{message.first('Header/From') or 'unknown'}"
    who, said_who = prescriber(message, feed, about.clock)
    where, said_where = pharmacy(message, feed, about.clock)
    quantity = _quantity(message, drug)
    if isinstance(quantity, Reason):
        return quantity
    written = date(message.first("WrittenDate/Date", "WrittenDate/DateTime", "WrittenDate", below=drug))
    if written is None:
        return Reason("bad-date", "it is no date", "Body/NewRx/MedicationPrescribed/WrittenDate")
    if date(born(message, human(message))) is None:
        return Reason("bad-date", "it is no date", "Body/NewRx/Patient/DateOfBirth")
    elements: Json = {
        "identifier": [{"system": system, "value": order}],
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": _drug(message, drug),
        "subject": reference("Patient", patient.key),
        "authoredOn": written,
        "requester": reference("Practitioner", who) if who else None,
        "reasonCode": _reasons(message, drug),
        "note": [{"text": note}] if (note := message.text("Note", drug)) else None,
        "dosageInstruction": _sig(message, drug),
        "dispenseRequest": _dispense(message, drug, quantity, where),
        "substitution": _substitution(message, drug),
    }
    kept = {name: value for name, value in elements.items() if value}
    key = feed.identity.key("MedicationRequest", system, order, patient.key)
    request = Fact("MedicationRequest", key, about.clock, kept, patient.key)
    belongs = Belongs("MedicationRequest", order, system, patient.key, "Header/PrescriberOrderNumber")
    said = said_patient(message, human(message), patient, about.clock)
    return [belongs, said, *said_who, *said_where, request]


def _drug(message: script.Message, drug: Any) -> Json:
    coded = [
        *message.all("DrugCoded/ProductCode", drug),
        *message.all("DrugCoded/DrugDBCode", drug),
    ]
    codings = [
        {"system": system, "code": code}
        for each in coded
        if (system := DRUG_CODES.get(message.text("Qualifier", each) or each.get("Qualifier") or ""))
        if (code := message.text("Code", each) or (each.text or "").strip())
    ]
    flat = message.text("DrugCoded/ProductCode", drug)
    if not codings and flat and message.text("DrugCoded/ProductCodeQualifier", drug) == "ND":
        codings = [{"system": NDC, "code": flat}]
    return {**({"coding": codings} if codings else {}), "text": message.text("DrugDescription", drug)}


def _quantity(message: script.Message, drug: Any) -> Json | Reason | None:
    place = "Body/NewRx/MedicationPrescribed/Quantity/Value"
    text = message.text("Quantity/Value", drug)
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return Reason("bad-quantity", "the quantity is no number", place)
    if not value.is_finite() or value <= 0:
        return Reason("bad-quantity", "the quantity is not above 0", place)
    unit = message.first("Quantity/QuantityUnitOfMeasure/Code", "Quantity/UnitSourceCode", below=drug)
    ncit = {"system": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl", "code": unit} if unit else {}
    return {"value": value, **ncit}


def _dispense(message: script.Message, drug: Any, quantity: Json | None, where: bytes | None) -> Json:
    refills = message.first("NumberOfRefills", "Refills/Value", "Refills/Quantity", below=drug)
    days = message.text("DaysSupply", drug)
    supply = {"value": Decimal(days), "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}
    found = {
        "numberOfRepeatsAllowed": int(refills) if refills.isdecimal() else None,
        "quantity": quantity,
        "expectedSupplyDuration": supply if days.isdecimal() else None,
        "performer": reference("Organization", where) if where else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _sig(message: script.Message, drug: Any) -> list[Json]:
    text = message.first("Sig/SigText", "Directions", "Sig/FreeText", below=drug)
    return [{"text": text}] if text else []


def _substitution(message: script.Message, drug: Any) -> Json | None:
    code = message.text("Substitutions", drug)
    return {"allowedBoolean": code == "0"} if code else None


def _reasons(message: script.Message, drug: Any) -> list[Json]:
    codes = [message.first("Code", "Value", below=each) for each in message.all("Diagnosis/Primary", drug)]
    return [{"coding": [{"system": ICD10, "code": code}]} for code in codes if code]

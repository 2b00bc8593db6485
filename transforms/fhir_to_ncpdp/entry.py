"""The transform `script.new_rx`: what the chart tells of a MedicationRequest -> NewRx 2017071.

Built and checked against public samples. The destination gives the message its MessageID.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from engine.message import State, Stop
from engine.plugin import Feed, transform
from formats import script
from formats.script.build import Tree
from store.reason import Reason

NPI = "http://hl7.org/fhir/sid/us-npi"
NCPDP = "http://terminology.hl7.org/NamingSystem/NCPDPProviderIdentificationNumber"
NDC = "http://hl7.org/fhir/sid/ndc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
GENDERS = {"male": "M", "female": "F"}
# NCI Thesaurus codes of the units that prescriptions are mostly counted in (SCRIPT code list 38)
UNITS: Mapping[str, str] = {
    "tablet": "C48542", "tab": "C48542", "capsule": "C48480", "cap": "C48480", "ml": "C28254", "g": "C48155",
    "each": "C64933", "patch": "C48524", "suppository": "C48539", "inhaler": "C64933",
}  # fmt: skip
UNSPECIFIED = "C38046"
Json = Mapping[str, Any]


@transform("script.new_rx")
def new_rx(
    bundle: Mapping[str, Any],
    feed: Feed,
    *,
    sender: Annotated[str, "our own number in From: the prescriber's SPI, or the house's"],
) -> script.Message | Stop:
    """The prescription as SCRIPT says it; without drug, patient, prescriber or pharmacy it goes nowhere."""
    request = bundle["entry"][0]["resource"]
    if request.get("resourceType") != "MedicationRequest":
        return Stop(
            State.FILTERED, Reason("not-a-prescription", "only a MedicationRequest is told", "entry[0]")
        )
    others = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}

    def referred(name: str, of: Json = request) -> Json:
        found = of.get(name)
        return others.get(found.get("reference", ""), {}) if isinstance(found, Mapping) else {}

    dispense = request.get("dispenseRequest", {})
    patient, prescriber = referred("subject"), referred("requester")
    pharmacy = referred("performer", dispense)
    order = next((i["value"] for i in request.get("identifier", ()) if i.get("value")), request["id"])
    needed = {
        "MedicationRequest.medicationCodeableConcept": _text(request.get("medicationCodeableConcept", {})),
        "Patient.name": _name(patient),
        "Patient.birthDate": patient.get("birthDate"),
        "Practitioner.identifier": _identifier(prescriber, NPI),
        "Organization.identifier": _identifier(pharmacy, NCPDP),
        "MedicationRequest.dosageInstruction.text": _sig(request),
    }
    if lacking := next((place for place, value in needed.items() if not value), None):
        return Stop(
            State.QUARANTINED, Reason("incomplete", "a prescription cannot go out without it", lacking)
        )
    header = script.Header(
        _identifier(pharmacy, NCPDP),
        "P",
        sender,
        "D",
        "",
        str(request["meta"]["lastUpdated"]),
        order=str(order),
    )
    body: Tree = [
        ("Patient", [("HumanPatient", _human(patient, feed))]),
        ("Pharmacy", _pharmacy(pharmacy)),
        ("Prescriber", [("NonVeterinarian", _prescriber(prescriber))]),
        ("MedicationPrescribed", _medication(request, dispense)),
    ]
    return script.message(header, "NewRx", body)


def _medication(request: Json, dispense: Json) -> Tree:
    concept = request.get("medicationCodeableConcept", {})
    quantity = dispense.get("quantity", {})
    unit = str(quantity.get("code") or quantity.get("unit") or "")
    ncit = unit if unit[:1] == "C" and unit[1:].isdecimal() else UNITS.get(unit.lower(), UNSPECIFIED)
    days = dispense.get("expectedSupplyDuration", {})
    allowed = request.get("substitution", {}).get("allowedBoolean", True)
    return [
        ("DrugDescription", _text(concept)),
        ("DrugCoded", [
            ("ProductCode", _coded(concept, NDC, "ND")),
            ("DrugDBCode", _coded(concept, RXNORM, "SCD")),
        ]),
        ("Quantity", [
            ("Value", str(quantity.get("value", ""))),
            ("CodeListQualifier", "38" if quantity else ""),
            ("QuantityUnitOfMeasure", [("Code", ncit if quantity else "")]),
        ]),
        ("DaysSupply", str(days.get("value", "")) if days.get("code", "d") == "d" else ""),
        ("WrittenDate", [("Date", str(request.get("authoredOn", ""))[:10])]),
        ("Substitutions", "0" if allowed else "1"),
        ("NumberOfRefills", str(dispense.get("numberOfRepeatsAllowed", ""))),
        ("Diagnosis", _diagnosis(request)),
        ("Note", " ".join(note.get("text", "") for note in request.get("note", ()))),
        ("Sig", [("SigText", _sig(request))]),
    ]  # fmt: skip


def _diagnosis(request: Json) -> Tree:
    codings = (c for reason in request.get("reasonCode", ()) for c in reason.get("coding", ()))
    code = next((str(c.get("code", "")) for c in codings if c.get("system") == ICD10), "")
    return [
        ("ClinicalInformationQualifier", "1" if code else ""),
        ("Primary", [("Code", code), ("Qualifier", "ABF" if code else "")]),
    ]


def _human(patient: Json, feed: Feed) -> Tree:
    namespace = feed.authority.namespace if feed.authority else ""
    return [
        ("Identification", [("MedicalRecordIdentificationNumberEHR", _identifier(patient, namespace))]),
        ("Name", _name(patient)),
        ("Gender", GENDERS.get(patient.get("gender", ""), "U")),
        ("DateOfBirth", [("Date", str(patient.get("birthDate", "")))]),
        *_reached(patient),
    ]


def _prescriber(practitioner: Json) -> Tree:
    return [
        ("Identification", [("NPI", _identifier(practitioner, NPI))]),
        ("Name", _name(practitioner)),
        *_reached(practitioner),
    ]


def _pharmacy(organization: Json) -> Tree:
    number = _identifier(organization, NCPDP)
    return [
        ("Identification", [("NCPDPID", number)]),
        ("BusinessName", str(organization.get("name", ""))),
        *_reached(organization),
    ]


def _reached(of: Json) -> Tree:
    address: Json = next(iter(of.get("address", ())), {})
    lines = [*address.get("line", ()), "", ""]
    phones = (t.get("value", "") for t in of.get("telecom", ()) if t.get("system") == "phone")
    return [
        ("Address", [
            ("AddressLine1", lines[0]), ("AddressLine2", lines[1]), ("City", address.get("city", "")),
            ("StateProvince", address.get("state", "")), ("PostalCode", address.get("postalCode", "")),
            ("CountryCode", address.get("country", "")),
        ]),
        ("CommunicationNumbers", [("PrimaryTelephone", [("Number", next(phones, ""))])]),
    ]  # fmt: skip


def _name(of: Json) -> list[tuple[str, str]]:
    name: Json = next(iter(of.get("name", ())), {})
    given = [*name.get("given", ()), "", ""]
    parts = [("LastName", name.get("family", "")), ("FirstName", given[0]), ("MiddleName", given[1])]
    return parts if parts[0][1] else []


def _identifier(of: Json, system: str) -> str:
    found: Iterable[Json] = of.get("identifier", ())
    return next((str(i.get("value", "")) for i in found if i.get("system") == system), "")


def _coded(concept: Json, system: str, qualifier: str) -> Tree:
    code = next((str(c.get("code", "")) for c in concept.get("coding", ()) if c.get("system") == system), "")
    return [("Code", code), ("Qualifier", qualifier if code else "")]


def _text(concept: Json) -> str:
    return str(concept.get("text") or next((c.get("display", "") for c in concept.get("coding", ())), ""))


def _sig(request: Json) -> str:
    return str(next((d.get("text", "") for d in request.get("dosageInstruction", ())), ""))

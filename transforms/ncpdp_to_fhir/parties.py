"""Patient, prescriber and pharmacy of a prescription. What it says of them is hearsay: it only fills gaps."""

from __future__ import annotations

from typing import Any

from engine.plugin import Feed
from formats import script
from store.facts import Clock, Fact
from store.identity import Patient
from transforms.ncpdp_to_fhir.values import Json, date, kept

NPI = "http://hl7.org/fhir/sid/us-npi"
NCPDP = "http://terminology.hl7.org/NamingSystem/NCPDPProviderIdentificationNumber"
GENDERS = {"M": "male", "F": "female", "U": "unknown"}
Found = tuple[bytes | None, list[Fact]]


def human(message: script.Message) -> Any:
    """The patient: in HumanPatient, or in Patient itself in older shapes."""
    patient = message.find("Patient", message.content)
    inner = message.find("HumanPatient", patient) if patient is not None else None
    return patient if inner is None else inner


def born(message: script.Message, person: Any) -> str:
    return message.first("DateOfBirth/Date", "DateOfBirth", below=person)


def said_patient(message: script.Message, person: Any, patient: Patient, clock: Clock) -> Fact:
    gender = GENDERS.get(message.text("Gender", person), "")
    elements: Json = {
        "identifier": [{"system": patient.authority.namespace, "value": patient.value}],
        "name": _names(message, person),
        "gender": gender,
        "birthDate": date(born(message, person)),
        "address": _address(message, person),
        "telecom": _telecom(message, person),
    }
    hearsay = clock._replace(weight=0)
    return Fact("Patient", patient.key, hearsay, kept(elements), patient.key)


def prescriber(message: script.Message, feed: Feed, clock: Clock) -> Found:
    """Who is known by an NPI; nobody else can be told from others."""
    whole = message.find("Prescriber", message.content)
    inner = message.find("NonVeterinarian", whole) if whole is not None else None
    person = whole if inner is None else inner
    npi = message.text("Identification/NPI", person) if person is not None else ""
    if not npi:
        return None, []
    elements = {
        "identifier": [{"system": NPI, "value": npi}],
        "name": _names(message, person),
        "address": _address(message, person),
        "telecom": _telecom(message, person),
    }
    key = feed.identity.key("Practitioner", NPI, npi)
    return key, [Fact("Practitioner", key, clock._replace(weight=0), kept(elements))]


def pharmacy(message: script.Message, feed: Feed, clock: Clock) -> Found:
    """Known by its NCPDP number, else by an NPI."""
    shop = message.find("Pharmacy", message.content)
    if shop is None:
        return None, []
    numbers = {NCPDP: "Identification/NCPDPID", NPI: "Identification/NPI"}
    found = [(system, text) for system, path in numbers.items() if (text := message.text(path, shop))]
    if not found:
        return None, []
    elements = {
        "identifier": [{"system": system, "value": value} for system, value in found],
        "name": message.first("BusinessName", "StoreName", below=shop),
        "address": _address(message, shop),
        "telecom": _telecom(message, shop),
    }
    key = feed.identity.key("Organization", *found[0])
    return key, [Fact("Organization", key, clock._replace(weight=0), kept(elements))]


def _names(message: script.Message, person: Any) -> list[Json]:
    family = message.first("Name/LastName", "LastName", below=person)
    given = [
        text
        for part in ("FirstName", "MiddleName")
        if (text := message.first(f"Name/{part}", part, below=person))
    ]
    if not family and not given:
        return []
    marks = {
        name: [text] if (text := message.first(f"Name/{part}", part, below=person)) else []
        for name, part in (("prefix", "Prefix"), ("suffix", "Suffix"))
    }
    return [kept({"family": family, "given": given, **marks})]


def _address(message: script.Message, of: Any) -> list[Json]:
    found = message.find("Address", of)
    if found is None:
        return []
    lines = [text for name in ("AddressLine1", "AddressLine2") if (text := message.text(name, found))]
    address = {
        "line": lines,
        "city": message.text("City", found),
        "state": message.first("StateProvince", "State", below=found),
        "postalCode": message.first("PostalCode", "ZipCode", below=found),
        "country": message.text("CountryCode", found),
    }
    return [kept(address)] if any(address.values()) else []


def _telecom(message: script.Message, of: Any) -> list[Json]:
    number = message.text("CommunicationNumbers/PrimaryTelephone/Number", of)
    older = (
        message.text("Number", phone)
        for phone in message.all("PhoneNumbers/Phone", of)
        if message.text("Qualifier", phone) == "TE"
    )
    value = number or next(older, "")
    return [{"system": "phone", "value": value}] if value else []

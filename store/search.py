"""What can be searched by: the search parameters of R4, the index rows that a resource gives for each.

Identifiers and codes are stored as `value<US>system`, so that both `system|value` and a bare `value` are a
range of one index. Names are stored folded (case, accents). Dates give a range in microseconds, UTC.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Body = Mapping[str, Any]
Token = tuple[int, str]

IDENTIFIER, NAME, BIRTHDATE, CODE, STATUS, CATEGORY, PAID = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
)  # PAID: the claims of a payment
KINDS = {
    "identifier": IDENTIFIER, "name": NAME, "birthdate": BIRTHDATE, "code": CODE, "status": STATUS,
    "category": CATEGORY,
}  # fmt: skip
OF_A_PATIENT = ("identifier", "patient")
OF_A_SUBJECT = (*OF_A_PATIENT, "subject")  # who is a patient here, so that both find the same
# http://hl7.org/fhir/R4/searchparameter-registry.html
SUPPORTED: dict[str, tuple[str, ...]] = {
    "AllergyIntolerance": (*OF_A_PATIENT, "code"),
    "Appointment": (*OF_A_PATIENT, "status"),
    "CarePlan": (*OF_A_SUBJECT, "status"),
    "CareTeam": (*OF_A_SUBJECT, "status"),
    "Claim": (*OF_A_PATIENT, "status"),
    "ClaimResponse": (*OF_A_PATIENT, "status"),
    "Condition": (*OF_A_SUBJECT, "code"),
    "Consent": (*OF_A_PATIENT, "status"),
    "Coverage": (*OF_A_PATIENT, "status"),
    "Device": ("identifier",),
    "DiagnosticReport": (*OF_A_SUBJECT, "code", "date"),
    "DocumentReference": (*OF_A_SUBJECT, "status"),
    "Encounter": (*OF_A_SUBJECT, "date"),
    "ExplanationOfBenefit": (*OF_A_PATIENT, "status"),
    "Goal": OF_A_SUBJECT,
    "ImagingStudy": (*OF_A_SUBJECT, "status", "date"),
    "Immunization": (*OF_A_PATIENT, "status"),
    "Location": ("identifier", "name"),
    "Media": (*OF_A_SUBJECT, "status"),
    "Medication": ("identifier", "code", "status"),
    "MedicationAdministration": (*OF_A_SUBJECT, "code", "status"),
    "MedicationDispense": (*OF_A_SUBJECT, "code", "status"),
    "MedicationRequest": (*OF_A_SUBJECT, "code", "status"),
    "MedicationStatement": (*OF_A_SUBJECT, "code", "status"),
    "Observation": (*OF_A_SUBJECT, "code", "date"),
    "Organization": ("identifier", "name"),
    "Patient": ("identifier", "name", "birthdate"),
    "PaymentReconciliation": ("identifier", "status"),
    "Practitioner": ("identifier", "name"),
    "PractitionerRole": ("identifier",),
    "Procedure": (*OF_A_SUBJECT, "code", "status"),
    "RelatedPerson": OF_A_PATIENT,
    "Schedule": ("identifier",),
    "ServiceRequest": (*OF_A_SUBJECT, "code", "status", "category"),
    "Slot": ("identifier", "status"),
    "Specimen": OF_A_SUBJECT,
    "SupplyDelivery": (*OF_A_PATIENT, "status"),
    "Task": (*OF_A_PATIENT, "status"),
}
COMMON = ("_id", "_lastUpdated")
DATES = ("effectiveDateTime", "effectivePeriod", "period", "started")
CODED = ("code", "medicationCodeableConcept")


def tokens(type: str, body: Body) -> set[Token]:
    """The index rows of one resource."""
    supported = SUPPORTED.get(type, ())
    found: set[Token] = set()
    if "identifier" in supported:
        found.update((IDENTIFIER, token(i.get("value"), i.get("system"))) for i in _list(body, "identifier"))
    if "code" in supported:
        found.update((CODE, text) for name in CODED for text in _coded(body, name))
    if "category" in supported:
        found.update((CATEGORY, text) for text in _coded(body, "category"))
    if "status" in supported and (status := body.get("status")):
        found.add((STATUS, token(status, None)))
    if "name" in supported:
        found.update((NAME, folded(word)) for name in _list(body, "name") for word in _words(name))
    if type == "PaymentReconciliation":
        claims = (detail.get("request", {}).get("identifier", {}) for detail in _list(body, "detail"))
        found.update((PAID, token(i["value"], i.get("system"))) for i in claims if "value" in i)
    if type == "Patient" and (birth := body.get("birthDate")):
        found.add((BIRTHDATE, birth))
    return found


def _coded(body: Body, name: str) -> Iterator[str]:
    for concept in _list(body, name):
        for coding in concept.get("coding", ()):
            yield token(coding.get("code"), coding.get("system"))


def token(value: str | None, system: str | None) -> str:
    return f"{value or ''}\x1f{system or ''}"


def folded(text: str) -> str:
    """Text as names are compared: no case, no accents."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c))


def period(body: Body) -> tuple[int | None, int | None]:
    """The first and last instant of the resource's `date`, in microseconds; None where open."""
    value = next((body[name] for name in DATES if name in body), None)
    if isinstance(value, Mapping):
        low, high = value.get("start"), value.get("end")
        return (instants(low)[0] if low else None, instants(high)[1] if high else None)
    return instants(value) if value else (None, None)


_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?$"
)  # R4 dateTime; a time without a zone is read as UTC
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instants(text: str) -> tuple[int, int]:
    """First and last microsecond of a FHIR date, dateTime or instant of any precision.

    Raises ValueError if the text is none.
    """
    if not (match := _DATE.match(text)):
        raise ValueError("not a FHIR date")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    start = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
                     int(second or 0), tzinfo=UTC) - _offset(zone)  # fmt: skip
    low = (start - _EPOCH) // timedelta(microseconds=1)
    if fraction:
        return low + int(f"{fraction[1:]:0<6.6}"), low + int(f"{fraction[1:]:9<6.6}")
    return low, low + _span(start, month, day, hour, second) - 1


def _offset(zone: str | None) -> timedelta:
    if zone in (None, "Z"):
        return timedelta(0)
    assert zone is not None
    sign = -1 if zone[0] == "-" else 1
    return sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))


def _span(start: datetime, month: str | None, day: str | None, hour: str | None, second: str | None) -> int:
    if second:
        return 1_000_000
    if hour:
        return 60_000_000
    if day:
        return 86_400_000_000
    if month:
        return (_next_month(start) - start) // timedelta(microseconds=1)
    return (start.replace(year=start.year + 1) - start) // timedelta(microseconds=1)


def _next_month(first: datetime) -> datetime:
    return (first + timedelta(days=31)).replace(day=1)


def _list(body: Body, name: str) -> Iterable[Body]:
    value = body.get(name, ())
    return value if isinstance(value, list | tuple) else (value,)


def _words(name: Body | str) -> Iterator[str]:
    if isinstance(name, str):
        yield name
        return
    for part in ("family", "text"):
        if part in name:
            yield name[part]
    for part in ("given", "prefix", "suffix"):
        yield from name.get(part, ())

"""Who a FHIR Patient is by its identifiers, and which of them nobody else may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store.identity import Identifier, Identity, Patient
from store.reason import Reason

Claims = tuple[tuple[bytes, str], ...]
NOBODY = frozenset({"unknown-authority", "blank-patient-id"})


def told(identity: Identity, elements: Mapping[str, Any], place: str) -> Patient | Reason | None:
    """The patient whom the identifiers tell from all others; None: they tell nobody.

    An identifier without a value is refused: it must never match anyone.
    """
    given = elements.get("identifier")
    found = [i for i in given if isinstance(i, Mapping)] if isinstance(given, list) else []
    read = [
        Identifier(str(i.get("value", "")), (str(i.get("system", "")),), "", f"{place}.identifier[{n}]")
        for n, i in enumerate(found)
    ]
    if any(not i.value.strip() for i in read):
        text = "an identifier has no value; leave it out, or correct it"
        return Reason("invalid", text, f"{place}.identifier")
    patient = identity.patient(read) if read else None
    if not isinstance(patient, Reason):
        return patient
    return None if patient.code in NOBODY else Reason("invalid", patient.text, patient.place)


def claims(identity: Identity, elements: Mapping[str, Any], key: bytes | None, place: str) -> Claims | Reason:
    """The keys that the identifiers stand for, with their places, but for the patient's own `key`."""
    patient = told(identity, elements, place)
    if not isinstance(patient, Patient):
        return () if patient is None else patient
    every = ((patient.key, f"{place}.identifier[0]"), *patient.others)
    return tuple(each for each in every if each[0] != key)

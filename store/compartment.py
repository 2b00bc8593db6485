"""Whose a resource is: the patient in whose compartment it lies (http://hl7.org/fhir/R4/compartmentdefinition-patient.html)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from store.identity import key_of

OWNERS = ("subject", "patient", "beneficiary", "for")
"""The elements that say so, of which a type has one."""
_PATIENT = re.compile(r"Patient/([a-z2-7]{26})(?:/_history/\d+)?")
_ANY_PATIENT = re.compile(r"(?:.*/)?Patient/[^/]+(?:/_history/[^/]+)?")


def owner_of(type: str, elements: Mapping[str, Any]) -> bytes | None:
    """The key of the patient whom the resource refers to as its own by the id that he has here."""
    for _, reference in _owners(type, elements):
        if match := _PATIENT.fullmatch(reference):
            return key_of(match[1])
    return None


def stranger(type: str, elements: Mapping[str, Any]) -> str | None:
    """The element that says whose it is, where that is a patient with an id that nobody has here."""
    if owner_of(type, elements) is not None:
        return None
    return next((n for n, reference in _owners(type, elements) if _ANY_PATIENT.fullmatch(reference)), None)


def moved(type: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Do the two say different owners?"""
    names = ("participant",) if type == "Appointment" else OWNERS
    return any(old.get(name) != new.get(name) for name in names) and owner_of(type, old) != owner_of(
        type, new
    )


def _owners(type: str, elements: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The references that can say whose it is, with their elements; an Appointment's patient is one of those
    who take part."""
    if type == "Appointment":
        for one in elements.get("participant", ()):
            yield from _reference("participant", one.get("actor") if isinstance(one, Mapping) else None)
    for name in OWNERS if type != "Patient" else ():
        yield from _reference(name, elements.get(name))


def _reference(name: str, value: Any) -> Iterator[tuple[str, str]]:
    found = value.get("reference") if isinstance(value, Mapping) else None
    if isinstance(found, str):
        yield name, found

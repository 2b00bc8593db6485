"""Whose a resource is: the patient in whose compartment it lies (http://hl7.org/fhir/R4/compartmentdefinition-patient.html)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from store.identity import key_of

OWNERS = ("subject", "patient", "beneficiary", "for")
"""The elements that say so, of which a type has one."""
_PATIENT = re.compile(r"Patient/([a-z2-7]{26})(?:/_history/\d+)?")


def owner_of(type: str, elements: Mapping[str, Any]) -> bytes | None:
    """The key of the patient whom the resource refers to as its own by the id that he has here."""
    for name in OWNERS if type != "Patient" else ():
        value = elements.get(name)
        found = value.get("reference") if isinstance(value, Mapping) else None
        if isinstance(found, str) and (match := _PATIENT.fullmatch(found)):
            return key_of(match[1])
    return None

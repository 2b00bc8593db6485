"""Values of SCRIPT in FHIR's form: dates, numbers, codes with their qualifiers."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from formats import script
from formats.reason import Reason

Json = dict[str, Any]
NDC = "http://hl7.org/fhir/sid/ndc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
ICD9 = "http://hl7.org/fhir/sid/icd-9-cm"
NCIT = "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"
UCUM = "http://unitsofmeasure.org"
SYSTEMS: Mapping[str, str] = {
    "ND": NDC,
    **dict.fromkeys(("SCD", "SBD", "GPK", "BPK", "RXNORM"), RXNORM),
    **dict.fromkeys(("SNOMED", "SCT", "LD"), SNOMED),
    **dict.fromkeys(("ABF", "ICD-10", "ICD10"), ICD10),
    **dict.fromkeys(("ICD-9", "ICD9"), ICD9),
    **dict.fromkeys(("NCI", "38", "DoseUnitOfMeasure"), NCIT),
}
"""Qualifier -> whose code it is. A code under any other qualifier keeps its text and has no system."""

_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T.*)?$")
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_WHOLE = re.compile(r"[0-9]{1,9}")


def kept(elements: Json) -> Json:
    """Those that say something."""
    return {name: value for name, value in elements.items() if value not in (None, "", [], {})}


def date(text: str) -> str | None:
    """A FHIR date of CCYY-MM-DD, CCYYMMDD or a time on that day; "" of none, None of what is no date."""
    match = _DATE.match(text)
    if not text:
        return ""
    try:
        return datetime.date(*map(int, match.groups())).isoformat() if match else None
    except ValueError:
        return None


def amount(text: str, place: str) -> Decimal | Reason | None:
    """A number above 0; None if there is none."""
    if not text:
        return None
    value = Decimal(text) if _DECIMAL.fullmatch(text) else None
    return value or Reason("bad-quantity", "it is no number above 0", place)


def count(text: str, place: str) -> int | Reason | None:
    """A whole number; None if there is none."""
    if not text:
        return None
    return int(text) if _WHOLE.fullmatch(text) else Reason("bad-number", "it is no whole number", place)


def concept(message: script.Message, element: Any) -> Json:
    """Text, Code and Qualifier as a CodeableConcept; {} if there is nothing."""
    if element is None:
        return {}
    coding = coded(message.text("Code", element), message.text("Qualifier", element))
    return kept({"coding": [coding] if coding else [], "text": message.text("Text", element)})


def coded(code: str, qualifier: str) -> Json:
    """A Coding; {} if there is no code."""
    system = SYSTEMS.get(qualifier, "")
    return kept({"system": system, "code": _dotted(code) if system == ICD10 else code}) if code else {}


def _dotted(code: str) -> str:
    """ICD-10-CM as FHIR writes it: SCRIPT leaves the point out."""
    return f"{code[:3]}.{code[3:]}" if len(code) > 3 and "." not in code else code

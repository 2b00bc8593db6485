"""Simple values: names, codes, identifiers; None where there is no value."""

from __future__ import annotations

import re
from typing import Any

from formats import dicom

Json = dict[str, Any]

DCM = "http://dicom.nema.org/resources/ontology/DCM"
URI = "urn:ietf:rfc:3986"
UID_SYSTEM = "urn:dicom:uid"
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_GENDERS = {"M": "male", "F": "female", "O": "other"}
_NUMBER = re.compile(r"\+?\d{1,9}", re.ASCII)


def filled(elements: Json) -> Json:
    """Without what has no value: absent says nothing."""
    return {name: part for name, part in elements.items() if part not in (None, "", [], {})}


def uid(item: dicom.Item, keyword: str) -> str | None:
    """A UID (PS3.5 9.1). None: there is none that can be one."""
    text = item.text(keyword)
    return text if _UID.fullmatch(text) else None


def number(item: dicom.Item, keyword: str) -> int | None:
    """An IS that R4 can have as unsignedInt."""
    text = item.text(keyword)
    return int(text) if _NUMBER.fullmatch(text) else None


def names(item: dicom.Item, keyword: str) -> list[Json]:
    """PN (PS3.5 6.2.1): the alphabetic form taken apart, the others as they are written."""
    alphabetic, *others = item.text(keyword).split("=")
    found = [person(alphabetic)]
    found += [{"text": text} for other in others if (text := " ".join(other.replace("^", " ").split()))]
    return [each for each in found if each]


def person(text: str) -> Json:
    """Family^given^middle^prefix^suffix."""
    parts = [part.strip() for part in text.split("^")] + [""] * 5
    family, given, middle, prefix, suffix = parts[:5]
    return filled(
        {
            "family": family,
            "given": [*given.split(), *middle.split()],
            "prefix": [prefix] if prefix else [],
            "suffix": [suffix] if suffix else [],
        }
    )


def gender(item: dicom.Item) -> str | None:
    return _GENDERS.get(item.text("PatientSex").upper())


def identifier(system: str | None, value: str, type: str = "") -> Json:
    kind = {"coding": [{"system": TYPES, "code": type}]} if type else None
    return filled({"type": kind, "system": system, "value": value})


def modality(item: dicom.Item) -> Json | None:
    """A code of PS3.16 CID 29."""
    text = item.text("Modality")
    return {"system": DCM, "code": text} if text else None

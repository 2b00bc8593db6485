"""FHIR data types -> HL7 v2 data types. Each answers the components of one repetition, or None for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transforms.fhir_to_hl7v2.compose import Component, Repetition
from transforms.fhir_to_hl7v2.maps import table
from transforms.fhir_to_hl7v2.names import Names

Write = Callable[[Any, Names], "Repetition | None"]
Given = Mapping[str, Any]

NPI = "http://hl7.org/fhir/sid/us-npi"


def text(value: Any, names: Names) -> Repetition | None:
    return value if isinstance(value, str) else None


def moment(value: Any, names: Names) -> Repetition | None:
    """DTM (2.A.22)."""
    return names.moment(value)


def interval(value: Given, names: Names) -> Repetition | None:
    """DR (2.A.20) of a Specimen's collection."""
    period = value.get("collectedPeriod", {})
    start, end = period.get("start", value.get("collectedDateTime")), period.get("end")
    return _filled([names.moment(t) if t else "" for t in (start, end)])


def concept(value: Given, names: Names) -> Repetition | None:
    """CWE (2.A.13): two codings at most, as that is all it has room for; the text is CWE.9.

    Where there is no code the text is CWE.2, which is where a reader looks for it.
    """
    codings = [c for c in value.get("coding", ()) if c.get("code")][:2]
    said = value.get("text", "")
    if not codings:
        display = next((c["display"] for c in value.get("coding", ()) if c.get("display")), "")
        return _filled(["", said or display])
    first, second = [*codings, {}][:2]
    triplets = [part for c in (first, second) for part in _triplet(c, names)]
    return _filled([*triplets, first.get("version", ""), second.get("version", ""), said])


def _triplet(coding: Given, names: Names) -> list[str]:
    return [coding.get("code", ""), coding.get("display", ""), names.coding(coding.get("system", ""))]


def identifier(value: Given, names: Names) -> Repetition | None:
    """CX (2.A.14)."""
    if not value.get("value"):
        return None
    return [value["value"], "", "", names.assigner(value), kind_of(value)]


def kind_of(identifier: Given) -> str:
    """CX.5, of table 0203."""
    codes = (c.get("code", "") for c in identifier.get("type", {}).get("coding", ()))
    return next((code for code in codes if code), "")


def of_patient(value: Given, names: Names) -> Repetition | None:
    """CX of a number that identifies the patient; any other (a social security number) is nobody's business."""
    authority = names.of_patient(value)
    identifies = authority is not None and authority.numbers_patients(kind_of(value))
    return identifier(value, names) if identifies else None


def entity(value: Given, names: Names) -> Repetition | None:
    """EI (2.A.28)."""
    return _entity(value, names) or None


def _entity(value: Given, names: Names) -> Sequence[str]:
    return (value["value"], *names.assigner(value)) if value.get("value") else ()


def of_placer(value: Given, names: Names) -> Repetition | None:
    """EI of the number that the placer gave: any that is not the filler's, an accession or a group's."""
    return None if kind_of(value) in ("FILL", "ACSN", "PGN") else entity(value, names)


def pair(value: Given, names: Names) -> Repetition | None:
    """EIP (2.A.27) of a Specimen: the placer's number and the filler's."""
    given = next((i for i in value.get("identifier", ()) if i.get("value")), None)
    pair = [_entity(i, names) if i else () for i in (given, value.get("accessionIdentifier"))]
    return _filled(pair)


def name(value: Given, names: Names) -> Repetition | None:
    """XPN (2.A.88); a name that is only text is the family name, as it cannot be taken apart."""
    parts = _name(value)
    return [*parts, table("NameUse").get(value.get("use", ""), "")] if any(parts) else None


def _name(value: Given) -> list[str]:
    """Family, given, further given, suffix, prefix, degree."""
    first, *further = value.get("given") or [""]
    family = value.get("family") or ("" if first else value.get("text", ""))
    suffix, prefix = (" ".join(value.get(part, ())) for part in ("suffix", "prefix"))
    return [family, first, " ".join(further), suffix, prefix, ""]


def person(value: Given, names: Names) -> Repetition | None:
    """XCN (2.A.86) of a Practitioner, of the one behind a PractitionerRole, or of a Reference for people to read.

    The national number (NPI) if there is one, else the first.
    """
    value = names.follow(value.get("practitioner", value))
    given = [i for i in _identifiers(value) if i.get("value")]
    number = next((i for i in given if i.get("system") == NPI), given[0] if given else {})
    called = next(iter(_called(value)), {})
    parts: list[Component] = [number.get("value", ""), *_name(called)]
    if not any(parts):
        return None
    kind = "NPI" if number.get("system") == NPI else kind_of(number)
    return [*parts, "", names.assigner(number), "L" if called else "", "", "", kind]


def _identifiers(value: Given) -> Sequence[Given]:
    found = value.get("identifier", ())
    return [found] if isinstance(found, Mapping) else found


def _called(value: Given) -> Sequence[Given]:
    """The names of a person; an organisation's name and a reference's display are only text."""
    found = value.get("name", value.get("display"))
    return [{"text": found}] if isinstance(found, str) else found or ()


def address(value: Given, names: Names) -> Repetition | None:
    """XAD (2.A.87)."""
    first, *further = value.get("line") or [value.get("text", "")]
    parts = [
        first,
        ", ".join(further),
        *(value.get(n, "") for n in ("city", "state", "postalCode", "country")),
    ]
    use = table("AddressUse").get(value.get("use", ""), "")
    return [*parts, use, "", value.get("district", "")] if any(parts) else None


def telecom(value: Given, names: Names) -> Repetition | None:
    """XTN (2.A.89). What is neither a telephone nor an e-mail address has no place there."""
    equipment = table("TelecomSystem").get(value.get("system", ""))
    if not equipment or not value.get("value"):
        return None
    if equipment == "Internet":
        return ["", "NET", equipment, value["value"]]
    use = value.get("use", "")
    cell = use == "mobile" and equipment == "PH"
    return [value["value"], table("TelecomUse").get(use, ""), "CP" if cell else equipment]


def location(value: Given, names: Names) -> Repetition | None:
    """PL (2.A.53): the chart's places are for people to read, which is PL.9."""
    said = value.get("name", value.get("display", ""))
    return ["", "", "", "", "", "", "", "", said] if said else None


def _filled(parts: Sequence[Component]) -> Sequence[Component] | None:
    return parts if any(parts) else None


TYPES: Mapping[str, Write] = {
    "text": text,
    "FT": text,
    "DTM": moment,
    "DR": interval,
    "CWE": concept,
    "CX": identifier,
    "PatientCX": of_patient,
    "EI": entity,
    "PlacerEI": of_placer,
    "EIP": pair,
    "XPN": name,
    "XCN": person,
    "XAD": address,
    "XTN": telecom,
    "PL": location,
}
"""By the name that a row's `as:` uses."""

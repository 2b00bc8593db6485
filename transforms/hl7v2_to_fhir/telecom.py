"""XTN (HL7 v2 2.A.89) -> ContactPoint (guide: XTN[ContactPoint]): its parts depend on one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transforms.hl7v2_to_fhir.maps import table
from transforms.hl7v2_to_fhir.reader import NULL, Reader

Read = Callable[[bytes, Reader], "dict[str, Any] | None"]


def contact_point(defaults: Mapping[str, Any], level: int = 0) -> Read:
    """`defaults` hold where XTN.2 does not say the use."""

    def read(raw: bytes, reader: Reader) -> dict[str, Any] | None:
        leaves = raw.split(reader.delimiters[level])
        parts = ["" if leaf in (b"", NULL) else reader.text(leaf) for leaf in leaves]
        if len(parts) == 1:
            return _point(parts[0], "", "", defaults)
        parts += [""] * (12 - len(parts))
        return _point(_value(parts), parts[1], parts[2], defaults)

    return read


def _point(value: str, use: str, equipment: str, defaults: Mapping[str, Any]) -> dict[str, Any] | None:
    if not value:
        return None
    made = {"system": _system(value, use, equipment), "value": value}
    if equipment == "CP":
        return made | {"use": "mobile"}
    known = table("TelecomUse").lookup(use)
    if known:
        return made | {"use": known.code}
    return made if use else {**made, **defaults}


def _system(value: str, use: str, equipment: str) -> str:
    """A value must have a system (R4, cpt-2). An XTN that names none is a telephone number, which is what the
    fields of this type are for, unless it is plainly an address."""
    if known := table("TelecomSystem").lookup(equipment):
        return known.code
    if "@" in value or use == "NET":
        return "email"
    return "pager" if use == "BPN" else "phone"


def _value(parts: list[str]) -> str:
    """XTN.4 for an internet address, else XTN.12, else the number put together of XTN.5 to 8, else XTN.1."""
    number, use, equipment, address, country, area, local, extension = parts[:8]
    if equipment.upper() in ("INTERNET", "X.400") or use == "NET" or (address and not (number or local)):
        return address or number
    if parts[11]:
        return parts[11]
    if not local:
        return number
    prefix = f"+{country.removeprefix('+')}" if country else ""
    suffix = f"X{extension}" if extension else ""
    return " ".join(p for p in (prefix, area, local, suffix) if p)

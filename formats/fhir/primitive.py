"""JSON schemas of the primitive data types (FHIR R4, Data Types, clause 2.24.0.1).

The regular expressions are HL7's, anchored and made stricter where HL7's let through what its text forbids:
days that do not exist, empty URIs, base64 that is no base64, numbers beyond 32 bits.
"""

from __future__ import annotations

from typing import Any

YEAR = r"([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
MONTH = r"(0[1-9]|1[0-2])"
LEAP_YEAR = r"([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
DAY_OF_MONTH = (
    r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
DAY = rf"({YEAR}-{DAY_OF_MONTH}|{LEAP_YEAR}-02-29)"
TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
HEX = "[0-9a-f]"
SEXTET = r"[0-9A-Za-z+/]\s*"
BASE64 = rf"\s*(({SEXTET}){{4}})*(({SEXTET}){{4}}|({SEXTET}){{3}}=\s*|({SEXTET}){{2}}=\s*=\s*)"
ID = r"[A-Za-z0-9.-]{1,64}"
TEXT = r"[ \r\n\t\S]+"


def text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def whole(minimum: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": minimum, "maximum": 2**31 - 1}


SCHEMAS: dict[str, dict[str, Any]] = {
    "base64Binary": text(BASE64),
    "boolean": {"type": "boolean"},
    "canonical": text(r"\S+"),
    "code": text(r"[^\s]+(\s[^\s]+)*"),
    "date": text(rf"({YEAR}(-{MONTH})?|{DAY})"),
    "dateTime": text(rf"({YEAR}(-{MONTH})?|{DAY}(T{TIME}{ZONE})?)"),
    "decimal": {"type": "number"},
    "ElementId": text(r"\S+"),
    "id": text(ID),
    "instant": text(rf"{DAY}T{TIME}{ZONE}"),
    "integer": whole(-(2**31)),
    "markdown": text(TEXT),
    "oid": text(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+"),
    "positiveInt": whole(1),
    "string": text(TEXT),
    "time": text(TIME),
    "unsignedInt": whole(0),
    "uri": text(r"\S+"),
    "url": text(r"\S+"),
    "uuid": text(f"urn:uuid:{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{12}}"),
    "xhtml": text(r"\s*<[\s\S]+"),
}

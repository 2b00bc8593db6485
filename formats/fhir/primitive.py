"""JSON schemas of the primitive data types (FHIR R4, Data Types, Primitive Types).

The regular expressions are HL7's, anchored, with whitespace as the ASCII that they mean (names in Japanese
hold U+3000), and stricter where they let through what the text forbids or what databases cannot hold: days
that do not exist, empty URIs, base64 that is none, numbers beyond 32 bits, U+0000.
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

SPACE = r"[ \t\n\x0B\f\r]"
SOLID = r"[^ \t\n\x0B\f\r\x00]+"
TEXT = r"[^\x0B\f\x00]+"
ID = r"[A-Za-z0-9.-]{1,64}"
HEX = "[0-9a-f]"
SEXTET = rf"[0-9A-Za-z+/]{SPACE}*"
PAD = rf"={SPACE}*"
BASE64 = rf"{SPACE}*(({SEXTET}){{4}})*(({SEXTET}){{4}}|({SEXTET}){{3}}{PAD}|({SEXTET}){{2}}{PAD}{PAD})"


def text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def whole(minimum: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": minimum, "maximum": 2**31 - 1}


SCHEMAS: dict[str, dict[str, Any]] = {
    "base64Binary": text(BASE64),
    "boolean": {"type": "boolean"},
    "canonical": text(SOLID),
    "code": text(rf"{SOLID}({SPACE}{SOLID})*"),
    "date": text(rf"({YEAR}(-{MONTH})?|{DAY})"),
    "dateTime": text(rf"({YEAR}(-{MONTH})?|{DAY}(T{TIME}{ZONE})?)"),
    "decimal": {"type": "number"},
    "ElementId": text(SOLID),
    "id": text(ID),
    "instant": text(rf"{DAY}T{TIME}{ZONE}"),
    "integer": whole(-(2**31)),
    "markdown": text(TEXT),
    "ResourceId": text(ID),
    "oid": text(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+"),
    "positiveInt": whole(1),
    "string": text(TEXT),
    "time": text(TIME),
    "unsignedInt": whole(0),
    "uri": text(SOLID),
    "url": text(SOLID),
    "uuid": text(f"urn:uuid:{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{12}}"),
    "xhtml": text(rf"{SPACE}*<{TEXT}"),
}

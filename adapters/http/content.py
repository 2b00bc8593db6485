"""What a body is, by how it begins."""

from __future__ import annotations

from formats import hl7v2

HL7 = "application/hl7-v2"
FHIR = "application/fhir+json"
OTHER = "application/octet-stream"


def kind(body: bytes) -> str:
    """The media type."""
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:3]
    if start == b"MSH":
        return HL7
    return FHIR if start[:1] == b"{" else OTHER


def control(body: bytes) -> bytes:
    """MSH-10 as it stands, b"" if the body is not HL7 v2."""
    message = hl7v2.parse(body, charset="ISO-8859-1") if kind(body) == HL7 else None
    header = message.first("MSH") if isinstance(message, hl7v2.Message) else None
    return header.field(10) if header else b""

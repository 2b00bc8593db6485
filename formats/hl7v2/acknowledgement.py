"""The general acknowledgement, ACK (HL7 v2.5.1: 2.9, 2.13.1, 2.15.5, 2.15.8): who wants which, how it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

from formats.hl7v2.escape import escape
from formats.hl7v2.msh import Header
from formats.hl7v2.path import path
from formats.reason import Reason

CONDITIONS = ("-", "AL", "NE", "ER", "SU")
"""Table 0155, and `-` for a field without a value."""


class Mode(NamedTuple):
    """How MSA-1 begins after success and after failure: `C` (accept), `A` (application), empty: no answer."""

    success: bytes
    failure: bytes

    def of(self, *, positive: bool) -> bytes:
        return self.success if positive else self.failure


class Modes(NamedTuple):
    """What one combination of MSH-15 and MSH-16 asks for. `only`: the one answer, where there can be only that on the
    connection; else `accept` on the connection, and `application` as an exchange of its own."""

    only: Mode
    accept: Mode
    application: Mode


def mode(text: str) -> Mode:
    """`C/-`: a commit accept after success, no answer after failure. ValueError: not so."""
    success, _, failure = text.partition("/")
    if not {success, failure} <= {"C", "A", "-"}:
        raise ValueError(text)
    return Mode(success.replace("-", "").encode(), failure.replace("-", "").encode())


def _table() -> Mapping[str, Modes]:
    """MSH-15/MSH-16 -> modes, as acknowledgement.tsv says; each row names its clause, or our reading."""
    lines = files("formats.hl7v2").joinpath("acknowledgement.tsv").read_text("utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return {f"{row[0]}/{row[1]}": Modes(mode(row[2]), mode(row[3]), mode(row[4])) for row in rows}


MODES = _table()


def asked(header: Header) -> str:
    """MSH-15/MSH-16 as a key of MODES. What is not in table 0155 is taken for AL: better one answer too many than a
    sender that waits."""
    return f"{_condition(header.fields[15])}/{_condition(header.fields[16])}"


def _condition(field: bytes) -> str:
    text = field.strip(b'"').decode("latin-1") or "-"
    return text if text in CONDITIONS else "AL"


def acknowledgement(
    header: Header,
    code: bytes,
    own: bytes,
    now: bytes,
    reason: Reason | None = None,
    *,
    accept: bytes = b"",
    application: bytes = b"",
    expected: bytes = b"",
) -> bytes:
    """The ACK to a message with that MSH. `code` is MSA-1, `own` our MSH-10, `now` MSH-7; `accept` and `application`
    are its own MSH-15 and MSH-16; `expected` is MSA-4."""
    fields, component = header.fields, header.separators.component
    event = fields[9].split(component, 2)[1:2]
    kind = component.join((b"ACK", event[0], b"ACK")) if event and event[0] else b"ACK"
    msh = [b"MSH", fields[2], *fields[5:7], *fields[3:5], now, b"", kind, own, *fields[11:13]]
    msh += _shortened([b"", b"", accept, application, b"", fields[18]])
    text = _text(str(reason)[:_TEXT], header) if reason else b""
    msa = _shortened([b"MSA", code, fields[10], text, expected])
    lines = [fields[1].join(msh), fields[1].join(msa)]
    if reason:
        lines.append(_err(reason, header))
    return b"\r".join(lines) + b"\r"


def _shortened(fields: list[bytes]) -> list[bytes]:
    """Without those at the end that are empty; MSA-2 stays."""
    while len(fields) > 3 and not fields[-1]:
        fields.pop()
    return fields if any(fields) else []


_TEXT = 80
_SEGMENT = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?")
_BEFORE_2_5 = re.compile(rb"2\.[0-4](?!\d)")
_TABLE_0357 = {
    ("100", "Segment sequence error"): "required-segment several-messages",
    ("101", "Required field missing"): "required-field blank-patient-id no-patient no-time",
    ("102", "Data type error"): "undecodable bad-time invalid-date future-time",
    ("103", "Table value not found"): "unsupported-charset unmapped-code",
    ("200", "Unsupported message type"): "no-msh batch",
    ("202", "Unsupported processing id"): "test-message",
    ("204", "Unknown key identifier"): (
        "unknown-authority unknown-feed two-identifiers several-patients contested-identifier "
        "merge-with-itself"
    ),
}
_ERRORS = {code: error for error, codes in _TABLE_0357.items() for code in codes.split()}
"""ERR-3 by the code of a Reason."""
_OTHER = ("207", "Application internal error")


def _err(reason: Reason, header: Header) -> bytes:
    fields, component = header.fields, header.separators.component
    code, meaning = _ERRORS.get(reason.code, _OTHER)
    error = (code.encode(), meaning.encode(), b"HL70357")
    place = _location(reason.place)
    if _BEFORE_2_5.match(fields[12]):
        within = header.separators.subcomponent
        place = [*(place + [b""] * 3)[:3], within.join(error) if within else error[0]]
        return b"ERR" + fields[1] + component.join(place)
    said = (b"ERR", b"", component.join(place), component.join(error), b"E", _text(reason.code, header), b"")
    return fields[1].join((*said, _text(str(reason), header), _text(reason.text, header)))


def _location(place: str) -> list[bytes]:
    """A path as ERL: segment, its sequence, field, repetition, component, subcomponent (2.A.28)."""
    try:
        found = path(place)
    except ValueError:
        segment = _SEGMENT.fullmatch(place)
        return [segment[1].encode(), (segment[2] or "1").encode()] if segment else []
    numbers = [found.occurrence or 1, found.field, found.repetition or 1, found.component, found.subcomponent]
    return [found.segment.encode(), *(b"%d" % n for n in numbers if n)]


def _text(text: str, header: Header) -> bytes:
    """Text of ours, escaped for the sender; without an escape character what needs one becomes a blank."""
    plain = "".join(c if c.isprintable() else " " for c in text).encode("ascii", "replace").decode()
    if not header.separators.escape:
        needy = b'"' + b"".join(header.separators)
        plain = plain.translate(dict.fromkeys(needy, " "))
    return escape(plain, header.separators, "ascii")

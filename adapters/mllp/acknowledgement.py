"""What a sender is told: the general acknowledgement, ACK (HL7 v2.5.1: 2.9, 2.13.1, 2.15.5, 2.15.8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

from adapters.mllp.header import Header
from engine.message import Accepted, Duplicate, Receipt, Refused, Unavailable, Uncertain
from formats import hl7v2
from store.reason import Reason

Verdict = Literal["accepted", "duplicate", "refused", "unsupported", "unavailable"]
Code = Literal["AA", "AE", "AR"]

CODES: Mapping[Verdict, Code] = {
    "accepted": "AA",
    "duplicate": "AA",
    "refused": "AE",  # the content
    "unsupported": "AR",  # a kind of message that nobody here takes, or no message at all
    "unavailable": "AR",  # our trouble
}
"""MSA-1 by what became of the message; table 0008 in original mode. A commit accept is CA, CE, CR instead."""

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

_UNREADABLE = Header([b"MSH", b"|", b"^~\\&", *[b""] * 8, b"P", b"2.5.1", *[b""] * 6], hl7v2.STANDARD)
"""Stands in for the MSH of what has none."""

_POSITIVE: Mapping[type[Receipt], Verdict] = {Accepted: "accepted", Duplicate: "duplicate"}
_TEXT = 80
_SEGMENT = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?")
_BEFORE_2_5 = re.compile(rb"2\.[0-4](?!\d)")


CONDITIONS = ("-", "AL", "NE", "ER", "SU")
"""Table 0155, and `-` for a field without a value."""
Modes = tuple[bytes, bytes]  # how MSA-1 begins after success and after failure; empty: no answer


def parsed(text: str) -> Modes:
    """`C/-`: a commit accept after success, no answer after failure. ValueError: not so."""
    success, _, failure = text.partition("/")
    if not {success, failure} <= {"C", "A", "-"}:
        raise ValueError(text)
    return success.replace("-", "").encode(), failure.replace("-", "").encode()


def _table() -> Mapping[str, Modes]:
    """MSH-15/MSH-16 -> modes, as acknowledgement.tsv says; each row names its clause, or our reading."""
    lines = files("adapters.mllp").joinpath("acknowledgement.tsv").read_text("utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return {f"{row[0]}/{row[1]}": parsed(f"{row[2]}/{row[3]}") for row in rows}


MODES = _table()


def _condition(field: bytes) -> str:
    """What is not in table 0155 is taken for AL: better one answer too many than a sender that waits."""
    text = field.strip(b'"').decode("latin-1") or "-"
    return text if text in CONDITIONS else "AL"


class Acknowledger:
    """Makes the acknowledgements of one listener.

    `clock` gives microseconds since the epoch. `origin` begins every MSH-10 of ours: with the count that
    follows it has to stay within 20 characters and be unlike that of any other run.

    At most one answer is given per message: acknowledgement.tsv says which by MSH-15 and MSH-16, or
    `combinations` where it does not suit; with `original` the original mode holds whatever they say.
    """

    def __init__(
        self,
        codes: Mapping[Verdict, Code],
        *,
        original: bool,
        clock: Callable[[], int],
        origin: str,
        combinations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._modes = {**MODES, **{key: parsed(value) for key, value in combinations.items()}}
        self._codes = {verdict: code.encode() for verdict, code in {**CODES, **codes}.items()}
        self._original = original
        self._clock = clock
        self._origin = origin.encode()
        self._count = 0
        self._second = (0, b"")

    def answer(self, header: Header | None, receipt: Receipt, *, message: bool = True) -> bytes | None:
        """The answer to one message, None if it is to have none. `message` False: it was not even one."""
        if header is None:
            header = _UNREADABLE
        elif header.acknowledges:
            return None
        if isinstance(receipt, (Accepted, Duplicate)):
            if receipt.reply is not None:
                return receipt.reply
            return self._acknowledgement(header, self._codes[_POSITIVE[type(receipt)]])
        if isinstance(receipt, Uncertain):
            return None
        verdict = _negative(receipt, message)
        return self._acknowledgement(header, self._codes[verdict], receipt.reason)

    def _acknowledgement(self, header: Header, code: bytes, reason: Reason | None = None) -> bytes | None:
        fields = header.fields
        if not self._original and (fields[15] or fields[16]):
            mode = self._mode(fields[15], fields[16], positive=code == b"AA")
            if not mode:
                return None
            code = mode + code[1:]
        segments = [self._msh(header), fields[1].join((b"MSA", code, fields[10]))]
        if reason:
            segments[1] += fields[1] + _text(str(reason)[:_TEXT], header)
            segments.append(_err(reason, header))
        return b"\r".join(segments) + b"\r"

    def _mode(self, accept: bytes, application: bytes, *, positive: bool) -> bytes:
        """How MSA-1 begins: `C` or `A` (table 0008), nothing if there is no answer."""
        success, failure = self._modes[f"{_condition(accept)}/{_condition(application)}"]
        return success if positive else failure

    def _msh(self, header: Header) -> bytes:
        fields, component = header.fields, header.separators.component
        event = fields[9].split(component, 2)[1:2]
        kind = component.join((b"ACK", event[0], b"ACK")) if event and event[0] else b"ACK"
        self._count += 1
        own = b"%b%d" % (self._origin, self._count)
        said = (b"MSH", fields[2], *fields[5:7], *fields[3:5], self._now(), b"", kind, own, *fields[11:13])
        if fields[18]:
            said = (*said, b"", b"", b"", b"", b"", fields[18])
        return fields[1].join(said)

    def _now(self) -> bytes:
        second = self._clock() // 1_000_000
        if second != self._second[0]:
            text = datetime.fromtimestamp(second, UTC).strftime("%Y%m%d%H%M%S+0000")
            self._second = (second, text.encode())
        return self._second[1]


def _negative(receipt: Refused | Unavailable, message: bool) -> Verdict:
    if isinstance(receipt, Unavailable):
        return "unavailable"
    return "unsupported" if receipt.unsupported or not message else "refused"


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
        path = hl7v2.path(place)
    except ValueError:
        segment = _SEGMENT.fullmatch(place)
        return [segment[1].encode(), (segment[2] or "1").encode()] if segment else []
    numbers = [path.occurrence or 1, path.field, path.repetition or 1, path.component, path.subcomponent]
    return [path.segment.encode(), *(b"%d" % n for n in numbers if n)]


def _text(text: str, header: Header) -> bytes:
    """Text of ours, escaped for the sender; without an escape character what needs one becomes a blank."""
    plain = "".join(c if c.isprintable() else " " for c in text).encode("ascii", "replace").decode()
    if not header.separators.escape:
        needy = b'"' + b"".join(header.separators)
        plain = plain.translate(dict.fromkeys(needy, " "))
    return hl7v2.escape(plain, header.separators, "ascii")

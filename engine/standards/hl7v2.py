"""HL7 v2: MSH says what a message is, PID whom it is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from engine.plugin import Feed, Format, format_
from engine.subject import identifiers, patient_of, time_of
from formats import hl7v2
from formats.hl7v2 import msh
from formats.hl7v2.acknowledgement import MODES, acknowledgement, asked, mode
from store.identity import Patient
from store.reason import Reason


def legible(message: hl7v2.Message) -> Reason | None:
    """Every byte must mean a character: one that does not is never replaced by another."""
    if place := message.undecodable():
        hint = "declare it in MSH-18, or as charset: below format: in the channel"
        return Reason("undecodable", f"a byte that the message's character set does not have; {hint}", place)
    return None


def _processing(message: hl7v2.Message) -> tuple[str, str]:
    """MSH-11 (HL7 v2 2.14.9.11): P production, T training, D debugging."""
    return message.get("MSH-11.1") or "", "MSH-11.1"


def _times(message: hl7v2.Message, feed: Feed) -> Iterable[tuple[int, str]] | Reason:
    time = time_of(message, feed)
    return time if isinstance(time, Reason) else [(time.micros, feed.clock[0]), *_reported(message, feed)]


def _reported(message: hl7v2.Message, feed: Feed) -> Iterator[tuple[int, str]]:
    """OBR-22 of each report, which is the source time of its results; what is no time is the map's to say."""
    for obr in message.all("OBR"):
        if raw := obr.field(22):
            text = message.text(message.components(raw)[0])
            if time := hl7v2.timestamp(text, feed.timezone):
                yield time.micros, f"{obr.place}-22"


def _patients(message: hl7v2.Message, feed: Feed) -> Iterator[Patient | Reason]:
    return (patient_of(message, feed, pid) for pid in message.all("PID"))


def _patient(message: hl7v2.Message, feed: Feed) -> bytes | None:
    found = patient_of(message, feed)
    return found.key if isinstance(found, Patient) else None


_PRIOR = {("PID", 18): 3, ("PV1", 19): 5, ("PV1", 50): 6}
"""The field of MRG (HL7 v2 3.4.9) that holds what the field was before the merge."""


def _also(message: hl7v2.Message, feed: Feed, order_by: str) -> Iterator[str]:
    """Who or what is merged, moved or linked away has an order of its own until then."""
    if order_by == "patient":
        for each in (*_merged(message, feed), *_patients(message, feed)):
            if isinstance(each, Patient):
                yield each.key.hex()
    elif message.first("MRG"):
        path = hl7v2.path(order_by)
        if field := _PRIOR.get((path.segment, path.field)):
            yield from message.values(replace(path, segment="MRG", field=field))


def _merged(message: hl7v2.Message, feed: Feed) -> Iterator[Patient | Reason]:
    for merge in message.all("MRG"):
        named = identifiers(message, merge, 1)
        yield named if isinstance(named, Reason) else feed.identity.patient(named, feed.authority)


def _kind(message: hl7v2.Message) -> str:
    """`ACK^R01 AE`: an answer by what it says."""
    kind = message.kind
    if kind[:3] not in ("ACK", "MCF"):
        return kind
    header = msh.read(message.raw)
    return f"{kind} {header.says.decode()}" if header and header.says else kind


def _relates(message: hl7v2.Message) -> str | None:
    """MSA-2 of an application's answer; that a message came (CA, CE, CR) is no answer to it."""
    said = message.get("MSA-1") or ""
    return str(message.get("MSA-2") or "") if said[:1] == "A" else None


def _owed(message: hl7v2.Message, otherwise: Mapping[str, str]) -> tuple[bytes, bool, bool] | None:
    """By MSH-15 and MSH-16 (2.15.9.16), or as the site says for that combination; an answer is never owed one."""
    header = msh.read(message.raw)
    if header is None or header.says:
        return None
    key = asked(header)
    wanted = mode(otherwise[key]) if key in otherwise else MODES[key].application
    head = header.fields[1].join((b"MSH", *header.fields[2:])) + b"\r"
    return (head, bool(wanted.success), bool(wanted.failure)) if any(wanted) else None


def _acknowledge(head: bytes, ours: bool, reason: Reason | None, now: int) -> bytes:
    """MSH-10 is the delivery's, as of any message that goes out; it asks for an accept acknowledgement, and for nothing
    else (2.9.3)."""
    code = b"AA" if reason is None else b"AR" if ours else b"AE"
    when = hl7v2.written(now)
    header = msh.read(head) or msh.UNREADABLE
    return acknowledgement(header, code, b"", when, reason, accept=b"AL", application=b"NE")


FORMAT = format_(
    "hl7v2",
    Format(
        parse=hl7v2.parse,
        kind=_kind,
        write=lambda message: message.raw,
        legible=legible,
        processing=_processing,
        times=_times,
        patients=_patients,
        patient=_patient,
        also=_also,
        relates=_relates,
        owed=_owed,
        acknowledge=_acknowledge,
    ),
)

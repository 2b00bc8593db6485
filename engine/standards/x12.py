"""X12: ISA says whose an interchange is, GS when it was made, NM1 and REF of a claim whom it is about."""

from __future__ import annotations

from collections.abc import Iterable

from engine.plugin import Feed, Format, format_
from formats import hl7v2, x12
from store.identity import Identifier, Patient
from store.reason import Reason

_BODY = frozenset(("LX", "SBR"))  # where the lines, and other payers, of a claim begin (2400, 2320)


def made_at(message: x12.Message, feed: Feed) -> hl7v2.Timestamp | Reason:
    """GS04 and GS05: when the sender made the group. A TA1 has no group: ISA09 and ISA10."""
    segment, date = ("GS", 4) if message.first("GS") else ("ISA", 9)
    century = "" if segment == "GS" else "20"
    text = f"{century}{message.get(segment, date)}{message.get(segment, date + 1)[:6]}"
    time = hl7v2.timestamp(text, feed.timezone) if text.isdigit() else None
    return time or Reason("bad-time", "the group does not say when it was made", f"{segment}-{date}")


def is_claim(message: x12.Message) -> bool:
    return message.get("ST", 1) == "837"


def patient_of(message: x12.Message, feed: Feed) -> Patient | Reason:
    """Who the patient of a claim is (005010X222A1: 2010BA, 2010CA, 2300).

    His medical record number (REF*EA), which the feed's authority gave, and his own member id (NM109 or REF*1W),
    which the payer gave. A dependent without either is nobody: the member id is then the subscriber's.
    """
    record, members = _record(message), _member(message, feed)
    named = [record, *members] if record else members
    if not any(i.value.strip() for i in named):
        text = "neither a medical record number (REF*EA) nor a member id of the patient's own"
        return Reason("blank-patient-id", text, named[0].place if named else "NM1-9")
    return feed.identity.patient(named, feed.authority)


def _record(message: x12.Message) -> Identifier | None:
    for segment in _before_lines(message):
        if segment.name == "REF" and segment.get(1) == "EA":
            return Identifier(segment.get(2), (), "MR", segment.place(2))
    return None


def _before_lines(message: x12.Message) -> list[x12.Segment]:
    """The claim's own segments: from CLM to its other payers and lines."""
    found: list[x12.Segment] = []
    for segment in message.segments:
        if segment.name == "CLM" or found:
            if segment.name in _BODY:
                break
            found.append(segment)
    return found


def _member(message: x12.Message, feed: Feed) -> list[Identifier]:
    """The patient's own member ids, which the payer assigns: they count if authorities.yaml knows the payer, or if
    the feed's authority says that it numbers members (`types: [MB]`)."""
    payer = payer_names(message)
    default = feed.authority.types if feed.authority else ()
    by = () if feed.identity.authority(payer) is None and "MB" in default else payer or ("an unnamed payer",)
    return [Identifier(s.get(element), by, "MB", s.place(element)) for s, element in member_ids(message)]


def payer_names(message: x12.Message) -> tuple[str, ...]:
    """The payer that the claim goes to, as authorities.yaml may call it: its id (NM109), then its name (NM103)."""
    payer = next((s for s in _above(message) if s.name == "NM1" and s.get(1) == "PR"), None)
    return tuple(n.strip() for n in (payer.get(9), payer.get(3)) if n.strip()) if payer else ()


def member_ids(message: x12.Message) -> list[tuple[x12.Segment, int]]:
    """The patient's own ids as a member: (segment, element), NM109 first."""
    above = _above(message)
    patient = next((n for n, s in enumerate(above) if s.name == "NM1" and s.get(1) == "QC"), None)
    own = above[patient:] if patient is not None else above
    names = {"QC"} if patient is not None else {"IL"}
    found = [(s, 9) for s in own if s.name == "NM1" and s.get(1) in names and s.get(8) in ("MI", "II")]
    return found + [(s, 2) for s in own if s.name == "REF" and s.get(1) == "1W"]


def _above(message: x12.Message) -> list[x12.Segment]:
    """What stands above the claim: providers, subscriber, payer, patient."""
    found: list[x12.Segment] = []
    for segment in message.segments:
        if segment.name == "CLM":
            break
        found.append(segment)
    return found


def _times(message: x12.Message, feed: Feed) -> Iterable[tuple[int, str]] | Reason:
    time = made_at(message, feed)
    return time if isinstance(time, Reason) else [(time.micros, "GS-4" if message.first("GS") else "ISA-9")]


def _patient(message: x12.Message, feed: Feed) -> bytes | None:
    found = patient_of(message, feed) if is_claim(message) else None
    return found.key if isinstance(found, Patient) else None


def _patients(message: x12.Message, feed: Feed) -> Iterable[Patient | Reason]:
    return (patient_of(message, feed),) if is_claim(message) else ()


FORMAT = format_(
    "x12",
    Format(
        parse=x12.parse,
        kind=lambda message: message.kind,
        write=lambda message: message.raw,
        key=lambda message: message.key,
        legible=lambda message: message.illegible(),
        processing=lambda message: (message.get("ISA", 15), "ISA-15"),
        times=_times,
        patients=_patients,
        patient=_patient,
    ),
)

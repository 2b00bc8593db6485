"""DICOM: an instance by its header, or a query: whom it is about (PS3.3 C.7.1.1), when it was made."""

from __future__ import annotations

from collections.abc import Iterator

from engine.plugin import Feed, Format, format_
from formats import dicom
from formats.hl7v2 import Timestamp
from store.identity import Identifier, Patient
from store.reason import Reason

QUERY = "1.2.840.10008.5.1.4.31"
"""Modality Worklist Information Model - FIND (PS3.4 K.5)."""
STAMPS = ("InstanceCreation", "Content", "Acquisition", "Series", "Study")
"""What the dates and times of an instance are of, from the instance to the whole."""


def patient_of(message: dicom.Item, feed: Feed) -> Patient | Reason:
    """Patient ID (0010,0020), which Issuer of Patient ID (0010,0021), or its universal id (0010,0024), assigned."""
    issuers = [message.text("IssuerOfPatientID")]
    for more in message.items("IssuerOfPatientIDQualifiersSequence"):
        issuers.append(more.text("UniversalEntityID"))
    named = Identifier(message.text("PatientID"), tuple(i for i in issuers if i), "", "PatientID")
    return feed.identity.patient([named], feed.authority)


def moment(message: dicom.Item, of: str, feed: Feed) -> Timestamp | None:
    """The date and time of the study, the series, the instance (`Study`, ...); None: none, or none that can be read."""
    offset = message.text("TimezoneOffsetFromUTC")
    return dicom.moment(message.text(f"{of}Date"), message.text(f"{of}Time"), feed.timezone, offset)


def made_at(message: dicom.Message, feed: Feed) -> int:
    """Microseconds UTC: when the instance was made, or what comes next to that; 0 where nothing says it."""
    times = (moment(message, of, feed) for of in STAMPS)
    return next((time.micros for time in times if time), 0)


def legible(message: dicom.Message) -> Reason | None:
    """Every byte must mean a character: one that does not is never replaced by another."""
    if place := message.undecodable():
        hint = "declare it in (0008,0005), or as charset: below format: in the channel"
        return Reason("undecodable", f"a byte that the data set's character set does not have; {hint}", place)
    return None


def _key(message: dicom.Message) -> str | None:
    return message.text("SOPInstanceUID") or None


def _times(message: dicom.Message, feed: Feed) -> Iterator[tuple[int, str]]:
    for of in STAMPS:
        if time := moment(message, of, feed):
            yield time.micros, f"{of}Date"


def _patient(message: dicom.Message, feed: Feed) -> bytes | None:
    found = patient_of(message, feed)
    return found.key if isinstance(found, Patient) else None


FORMAT = format_(
    "dicom",
    Format(
        parse=dicom.parse,
        kind=lambda message: message.kind,
        write=lambda message: message.raw,
        key=_key,
        legible=legible,
        times=_times,
        patients=lambda message, feed: (patient_of(message, feed),),
        patient=_patient,
    ),
)

"""ADT^A40: the patient of MRG is the patient of PID (HL7 v2 3.3.40). The guide has no map for it."""

from __future__ import annotations

from collections.abc import Sequence

from engine.message import State, Stop
from engine.plugin import Feed
from engine.subject import identifiers, patient_of
from formats import hl7v2
from store.facts import Clock, Link
from store.identity import Patient
from store.reason import Reason
from transforms.hl7v2_to_fhir.plan import Plan, by_patient, grouped
from transforms.hl7v2_to_fhir.reader import Reader
from transforms.hl7v2_to_fhir.visit import Said, claims, clock_of, patient_fact


def merge(plan: Plan, message: hl7v2.Message, feed: Feed) -> Said | Stop:
    """For each PID with its MRG: both patients, so that both exist in any order of arrival, and the link."""
    clock = clock_of(message, feed)
    if isinstance(clock, Reason):
        return Stop(State.QUARANTINED, clock)
    reader = Reader(message, feed)
    said: Said = []
    groups = by_patient(message.segments)
    if not groups:
        return Stop(State.QUARANTINED, Reason("no-patient", "the message has no PID segment", "PID"))
    for group in groups:
        merged = _merged(plan, group, reader, clock)
        if isinstance(merged, Reason):
            return Stop(State.QUARANTINED, merged)
        said += merged
    return Stop(State.QUARANTINED, reader.reasons[0]) if reader.reasons else said


def _merged(plan: Plan, group: Sequence[hl7v2.Segment], reader: Reader, clock: Clock) -> Said | Reason:
    reader.group = grouped(group)
    survivor = patient_of(reader.message, reader.feed, reader.group["PID"])
    prior = _prior(reader)
    if isinstance(survivor, Reason):
        return survivor
    if isinstance(prior, Reason):
        return prior
    if prior.key == survivor.key:
        text = "the message merges a patient with himself; PID-3 and MRG-1 name the same patient"
        return Reason("merge-with-itself", text, f"{reader.group['MRG'].place}-1")
    hearsay = clock._replace(weight=0)
    mine = {survivor.key, *(key for key, _ in survivor.others)}
    return [
        patient_fact(plan, survivor, group, reader, clock),
        patient_fact(plan, prior, group, reader, hearsay, part="prior"),
        Link(prior.key, survivor.key, clock, "merge", f"{reader.group['MRG'].place}-1"),
        *claims(survivor, clock),
        *(link for link in claims(prior, clock) if link.prior not in mine),
    ]


def _prior(reader: Reader) -> Patient | Reason:
    """The patient that MRG-1 names, by the same rules as PID-3."""
    segment = reader.group.get("MRG")
    if segment is None or not segment.field(1):
        return Reason("blank-patient-id", "the message does not say who is merged", "MRG-1")
    named = identifiers(reader.message, segment, 1)
    return named if isinstance(named, Reason) else reader.feed.identity.patient(named, reader.feed.authority)

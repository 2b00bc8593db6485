"""ADT events: the patient and the visit as the admitting system knows them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.message import State, Stop
from engine.plugin import Feed
from engine.subject import patient_of, time_of
from formats import fhir, hl7v2
from store.facts import Clock, Fact, Link
from store.identity import Patient, reference
from store.reason import Reason
from transforms.hl7v2_to_fhir import keys
from transforms.hl7v2_to_fhir.plan import Plan, grouped
from transforms.hl7v2_to_fhir.reader import Reader

Said = list[Fact | Link]


def visit(plan: Plan, message: hl7v2.Message, feed: Feed) -> Said | Stop:
    """A Patient fact, an Encounter fact if the event is about a visit that can be told from others, and a
    claim for each further identifying identifier."""
    if len(message.all("PID")) > 1:
        text = "an event of one patient names several; send one message for each"
        return Stop(State.QUARANTINED, Reason("several-patients", text, "PID[2]"))
    if isinstance(patient := patient_of(message, feed), Reason):
        return Stop(State.QUARANTINED, patient)
    if isinstance(clock := clock_of(message, feed), Reason):
        return Stop(State.QUARANTINED, clock)
    segments = message.segments
    reader = Reader(message, feed)
    reader.group = grouped(segments)
    said: Said = [patient_fact(plan, patient, segments, reader, clock)]
    if "Encounter" in plan.parts and (encounter := encounter_fact(plan, patient, segments, reader, clock)):
        said.append(encounter)
    said += claims(patient, clock)
    return Stop(State.QUARANTINED, reader.reasons[0]) if reader.reasons else said


def clock_of(message: hl7v2.Message, feed: Feed) -> Clock | Reason:
    """When the source said it. MSH-13, where a feed fills it, is the feed's own sequence number."""
    time = time_of(message, feed)
    if isinstance(time, Reason):
        return time
    number = message.get("MSH-13") or ""
    sequence = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0
    return Clock(time.micros, sent=time.micros, rank=feed.rank, sequence=sequence)


def patient_fact(
    plan: Plan,
    patient: Patient,
    segments: Sequence[hl7v2.Segment],
    reader: Reader,
    clock: Clock,
    *,
    part: str = "Patient",
    establishes: bool = True,
) -> Fact:
    elements = plan.elements(part, segments, reader)
    return Fact("Patient", patient.key, clock, elements, patient.key, establishes=establishes)


def encounter_fact(
    plan: Plan,
    patient: Patient,
    segments: Sequence[hl7v2.Segment],
    reader: Reader,
    clock: Clock,
    *,
    establishes: bool = True,
) -> Fact | None:
    """The visit, if PV1 or PID tells it from others. Only a fact with all that R4 requires establishes it."""
    if "PV1" not in reader.group or (key := keys.visit(reader, patient)) is None:
        return None
    event = plan.event
    elements = plan.elements("Encounter", segments, reader)
    for value in plan.values:
        value(elements, reader)
    elements["subject"] = reference("Patient", patient.key)
    whole = all(elements.get(name) is not None for name in fhir.required("Encounter"))
    begins = establishes and event.establishes and whole
    return Fact("Encounter", key, clock, elements, patient.key, event.code, event.cancels, begins)


def claims(patient: Patient, clock: Clock) -> list[Link]:
    """Each further identifying identifier of the patient claims its own node."""
    return [Link(other, patient.key, clock, "claim", place) for other, place in patient.others]

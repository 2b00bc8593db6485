"""ORU^R01: orders, reports and results, and what the laboratory happens to know of patient and visit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.message import State, Stop
from engine.plugin import Feed
from engine.subject import patient_of
from formats import hl7v2
from store.facts import Clock, Fact
from store.identity import Patient, reference
from store.reason import Reason
from transforms.hl7v2_to_fhir import keys
from transforms.hl7v2_to_fhir.compile import Elements
from transforms.hl7v2_to_fhir.maps import table
from transforms.hl7v2_to_fhir.plan import Plan, by_patient, grouped
from transforms.hl7v2_to_fhir.reader import Reader
from transforms.hl7v2_to_fhir.visit import Said, clock_of, encounter_fact, patient_fact

NOTE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"
"""R4's DiagnosticReport has no note; R5's stands in an extension."""


@dataclass(slots=True)
class Result:
    """An OBX with its notes."""

    obx: hl7v2.Segment
    notes: list[hl7v2.Segment] = field(default_factory=list)


@dataclass(slots=True)
class Order:
    """An OBR with its ORC, notes and results. `obr` None: results that stand before any OBR."""

    obr: hl7v2.Segment | None = None
    orc: hl7v2.Segment | None = None
    notes: list[hl7v2.Segment] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)


def results(plan: Plan, message: hl7v2.Message, feed: Feed, *, new_patients: bool) -> Said | Stop:
    """The facts of every patient in the message."""
    clock = clock_of(message, feed)
    if isinstance(clock, Reason):
        return Stop(State.QUARANTINED, clock)
    groups = by_patient(message.segments)
    if not groups:
        return Stop(State.QUARANTINED, Reason("no-patient", "the message has no PID segment", "PID"))
    reader = Reader(message, feed)
    seen: Counter[bytes] = Counter()
    said: Said = []
    for group in groups:
        patient = patient_of(message, feed, group[0])
        if isinstance(patient, Reason):
            return Stop(State.QUARANTINED, patient)
        about = About(plan, reader, patient, clock, {"subject": reference("Patient", patient.key)}, seen)
        said += _patient_group(about, group, new_patients)
    return Stop(State.QUARANTINED, reader.reasons[0]) if reader.reasons else said


def orders(segments: Sequence[hl7v2.Segment]) -> list[Order]:
    """The groups ORDER_OBSERVATION of ORU_R01, made of what stands there, in whatever order."""
    found: list[Order] = []
    coming = Order()
    notes: list[hl7v2.Segment] = []
    for segment in segments:
        match segment.name:
            case "ORC":
                coming = Order(orc=segment)
                notes = coming.notes
            case "OBR":
                coming.obr = segment
                found.append(coming)
                notes, coming = coming.notes, Order()
            case "OBX":
                if not found:
                    found.append(Order())
                found[-1].results.append(Result(segment))
                notes = found[-1].results[-1].notes
            case "NTE":
                notes.append(segment)
            case _:
                notes = []
    return found


@dataclass(frozen=True, slots=True)
class About:
    """What is common to all facts of one patient's group. `seen` counts the keys given out in the message."""

    plan: Plan
    reader: Reader
    patient: Patient
    clock: Clock
    common: Elements
    seen: Counter[bytes]

    def key(self, type: str, *parts: str | bytes) -> bytes:
        """The key made of the parts; among equal ones in the message the ordinal tells them apart."""
        key = self.reader.feed.identity.key
        made = key(type, *parts)
        self.seen[made] += 1
        return made if self.seen[made] == 1 else key(type, made, str(self.seen[made]))


def _patient_group(about: About, group: Sequence[hl7v2.Segment], new_patients: bool) -> Said:
    """Hearsay about patient and visit, then each order with its report and results."""
    plan, reader, patient = about.plan, about.reader, about.patient
    reader.group = header = grouped(s for s in group if s.name not in ("ORC", "OBR", "OBX"))
    hearsay = about.clock._replace(weight=0)
    said: Said = [patient_fact(plan, patient, group, reader, hearsay, establishes=new_patients)]
    if encounter := encounter_fact(plan, patient, group, reader, hearsay, establishes=new_patients):
        said.append(encounter)
        about.common["encounter"] = reference("Encounter", encounter.key)
    for order in orders(group):
        own = {"ORC": order.orc, "OBR": order.obr}
        reader.group = header | {name: segment for name, segment in own.items() if segment is not None}
        said += _order(order, order.obr, about) if order.obr is not None else _loose(order, about)
    return said


def _loose(order: Order, about: About) -> Said:
    """Results before any OBR: nothing but the message tells them from others."""
    reader = about.reader
    unit = about.key("message", reader.feed.name, reader.message.control, about.patient.key)
    return [fact for result in order.results if (fact := _observation(result, unit, about.clock, {}, about))]


def _order(order: Order, obr: hl7v2.Segment, about: About) -> Said:
    reader = about.reader
    number = _number(obr, reader)
    said: Said = []
    request = reader.feed.identity.key("ServiceRequest", *number, about.patient.key)
    if request not in about.seen:
        about.seen[request] += 1
        said.append(_request(order, request, about))
    based = {"basedOn": [reference("ServiceRequest", request)]}
    report = about.key("DiagnosticReport", *number, keys.code(obr.field(4), reader), about.patient.key)
    time = _result_time(obr, about)
    observations = [
        fact for result in order.results if (fact := _observation(result, report, time, based, about))
    ]
    said.append(_report(order, obr, report, time, based, observations, about))
    return [*said, *observations]


def _number(obr: hl7v2.Segment, reader: Reader) -> tuple[str, ...]:
    """What tells the order from others: the filler's number, the placer's, or its place in the message."""
    for kind, at in (("filler", 3), ("placer", 2)):
        raw = reader.field("OBR", at) or reader.field("ORC", at)
        if raw and (number := keys.entity(raw, reader)):
            return (kind, *number)
    return ("message", reader.feed.name, reader.message.control, str(obr.number))


def _result_time(obr: hl7v2.Segment, about: About) -> Clock:
    """OBR-22, when the results were reported or changed, but not after the message was sent; else MSH-7.

    A message knows nothing from after it was sent; dated later, it would stand above corrections to come.
    """
    reader = about.reader
    raw = reader.field("OBR", 22)
    time = reader.time(raw) if raw else None
    reader.faults.clear()  # the map reads OBR-22 too, and says where it is wrong
    if time is None:
        return about.clock
    return about.clock._replace(time=min(time.micros, about.clock.sent))


def _ranked(clock: Clock, elements: Elements) -> Clock:
    rank = table("StatusRank").lookup(elements["status"])
    return clock._replace(status=int(rank.code) if rank else 0)


def _request(order: Order, key: bytes, about: About) -> Fact:
    segments = [s for s in (order.orc, order.obr) if s is not None]
    elements = about.plan.elements("ServiceRequest", segments, about.reader) | about.common
    return Fact("ServiceRequest", key, about.clock, elements, about.patient.key)


def _report(
    order: Order,
    obr: hl7v2.Segment,
    key: bytes,
    time: Clock,
    based: Elements,
    observations: Sequence[Fact],
    about: About,
) -> Fact:
    reader = about.reader
    elements = about.plan.elements("DiagnosticReport", [obr], reader) | about.common | based
    _require("code", elements, f"{obr.place}-4", reader)
    if observations:
        elements["result"] = [reference("Observation", fact.key) for fact in observations]
    if notes := about.plan.elements("note", order.notes, reader).get("note"):
        elements["extension"] = [{"url": NOTE, "valueAnnotation": note} for note in notes]
    return Fact("DiagnosticReport", key, _ranked(time, elements), elements, about.patient.key)


def _observation(result: Result, report: bytes, time: Clock, based: Elements, about: About) -> Fact | None:
    """One result, unless there is none in it."""
    reader, obx = about.reader, result.obx
    if _silent(result):
        return None
    reader.group["OBX"] = obx
    elements = about.plan.elements("Observation", (obx,), reader) | about.common | based
    _require("code", elements, f"{obx.place}-3", reader)
    if result.notes:
        elements |= about.plan.elements("note", result.notes, reader)
    key = about.key("Observation", report, keys.code(obx.field(3), reader), reader.text(obx.field(4)))
    return Fact("Observation", key, _ranked(time, elements), elements, about.patient.key)


def _silent(result: Result) -> bool:
    """Is the OBX empty? Status U without a value tells only that an earlier one is final; the report says that."""
    obx = result.obx
    if obx.field(11) == b"U" and not obx.field(5):
        return True
    return not result.notes and not any(obx.fields[2:])


def _require(name: str, elements: Elements, place: str, reader: Reader) -> None:
    if name not in elements:
        text = "the field says what was examined, and is empty; correct it at the source and resend"
        reader.reasons.append(Reason("required-field", text, place))

"""One message type, compiled: which rules make which resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from formats import hl7v2
from transforms.hl7v2_to_fhir.compile import Elements
from transforms.hl7v2_to_fhir.maps import Event, events
from transforms.hl7v2_to_fhir.reader import Reader
from transforms.hl7v2_to_fhir.rules import Last, Rules, constants, rules


@dataclass(frozen=True, slots=True)
class Plan:
    """`parts`: the rules of each resource by the segment that they read. `values`: what the event itself says
    of the visit."""

    event: Event
    parts: Mapping[str, Mapping[str, Rules]]
    values: tuple[Last, ...]

    def elements(self, part: str, segments: Iterable[hl7v2.Segment], reader: Reader) -> Elements:
        """What the segments say of one resource. Of a segment that makes no list, the group's one counts."""
        by_name, group = self.parts[part], reader.group
        out: Elements = {}
        for segment in segments:
            found = by_name.get(segment.name)
            if found is not None and (found.into or group.get(segment.name) is segment):
                found(segment, reader, out)
        return out


@cache
def plan(kind: str) -> Plan | None:
    """The plan for a kind of message (`ADT^A01`), or None: nothing says what it means."""
    event = events().get(kind)
    if event is None:
        return None
    parts = {part: {r.name: r for r in map(rules, names)} for part, names in event.parts.items()}
    return Plan(event, parts, tuple(constants(event.values)))


def grouped(segments: Iterable[hl7v2.Segment]) -> dict[str, hl7v2.Segment]:
    """The segments by name, the first of each."""
    found: dict[str, hl7v2.Segment] = {}
    for segment in segments:
        found.setdefault(segment.name, segment)
    return found


def by_patient(segments: Iterable[hl7v2.Segment]) -> list[list[hl7v2.Segment]]:
    """The groups that PID begins: each PID with what follows it."""
    groups: list[list[hl7v2.Segment]] = []
    for segment in segments:
        if segment.name == "PID":
            groups.append([])
        if groups:
            groups[-1].append(segment)
    return groups

"""Whose number it is: the evidence from which the ids of visits, orders, reports and results are computed."""

from __future__ import annotations

from store.identity import Patient, normalised
from transforms.hl7v2_to_fhir.reader import NULL, Reader

Number = tuple[str, str]
"""(namespace, value)"""

_VISIT_NUMBERS = (("PV1", 19), ("PV1", 50), ("PID", 18))


def visit(reader: Reader, patient: Patient) -> bytes | None:
    """The key of the visit in the reader's group, or None if nothing there tells it from another visit.

    PV1-19; else PV1-50 or PID-18, which feeds use in its stead; else the patient and the time of admission.
    """
    key = reader.feed.identity.key
    for segment, field in _VISIT_NUMBERS:
        if number := assigned(reader.field(segment, field), reader):
            kind = () if field == 19 else (f"{segment}-{field}",)
            return key("Encounter", *kind, *number, patient.key)
    if (raw := reader.field("PV1", 44)) and (time := reader.time(raw)):
        return key("Encounter", "PV1-44", reader.feed.name, str(time.micros), patient.key)
    return None


def assigned(raw: bytes, reader: Reader) -> Number | None:
    """CX: the number and its authority's namespace; without an authority it is the feed's own."""
    leaves = raw.split(reader.repetition, 1)[0].split(reader.delimiters[0])
    value = _text(leaves[0], reader)
    if not value:
        return None
    names = [_text(n, reader) for n in leaves[3].split(reader.delimiters[1])] if len(leaves) > 3 else []
    if known := reader.feed.identity.authority(names[:2]):
        return known.namespace, normalised(known, value)
    namespace, universal, kind = [*names, "", "", ""][:3]
    return reader.authority(namespace, universal, kind) or reader.feed.name, value


def entity(raw: bytes, reader: Reader) -> Number | None:
    """EI: the number and the namespace of the application that gave it, else the feed."""
    leaves = raw.split(reader.repetition, 1)[0].split(reader.delimiters[0])
    value, namespace, universal, kind = ([_text(leaf, reader) for leaf in leaves[:4]] + ["", "", ""])[:4]
    if not value:
        return None
    return reader.authority(namespace, universal, kind) or reader.feed.name, value


def code(raw: bytes, reader: Reader) -> str:
    """CWE: what tells it from another; the code, else the alternate code, else the text."""
    leaves = raw.split(reader.repetition, 1)[0].split(reader.delimiters[0])
    texts = [_text(leaf, reader) for leaf in leaves[:4]] + ["", "", ""]
    return texts[0] or texts[3] or texts[1]


def _text(leaf: bytes, reader: Reader) -> str:
    return "" if leaf == NULL else reader.text(leaf)

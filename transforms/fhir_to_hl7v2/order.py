"""The transform `oml.o21`: a laboratory ServiceRequest -> OML^O21 (HL7 v2.5.1 4.4.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, Literal

from engine.message import State, Stop
from engine.plugin import Feed, transform
from formats import hl7v2
from store.reason import Reason
from transforms.fhir_to_hl7v2 import compose
from transforms.fhir_to_hl7v2.compose import Repetition
from transforms.fhir_to_hl7v2.datatypes import TYPES
from transforms.fhir_to_hl7v2.maps import Message, Row, Segment, message, table
from transforms.fhir_to_hl7v2.names import Names
from transforms.fhir_to_hl7v2.path import Path, values
from transforms.fhir_to_hl7v2.resources import Resource, Resources

Charset = Literal["UNICODE UTF-8", "ASCII", "8859/1", "8859/2", "8859/5", "8859/7", "8859/9", "8859/15"]


@dataclass(frozen=True, slots=True)
class Head:
    """What MSH says of the two ends, the version and the character set."""

    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    processing: str
    version: str
    charset: str
    names: Mapping[str, str] = field(default_factory=dict)


@transform("oml.o21")
def laboratory_order(
    bundle: Mapping[str, Any],
    feed: Feed,
    *,
    sending_application: Annotated[str, "MSH-3"] = "CHARTWIRE",
    sending_facility: Annotated[str, "MSH-4"] = "",
    receiving_application: Annotated[str, "MSH-5"] = "",
    receiving_facility: Annotated[str, "MSH-6"] = "",
    processing: Annotated[str, "MSH-11: P production, T training, D debugging"] = "P",
    version: Annotated[str, "MSH-12"] = "2.5.1",
    charset: Annotated[Charset, "MSH-18, of HL7 table 0211"] = "UNICODE UTF-8",
    names: Annotated[dict[str, str] | None, "what the receiver calls our authorities: {his: HIS}"] = None,
) -> hl7v2.Message | Stop:
    """A laboratory order as OML^O21: NW while it is active, CA when it is revoked; any other is FILTERED.

    An order without a number of its own, without a code, or of a patient whom no number identifies ends
    QUARANTINED, and so does one with a character that `charset` does not have. The place is a FHIR path.
    """
    head = Head(
        sending_application, sending_facility, receiving_application, receiving_facility,
        processing, version, charset, names or {},
    )  # fmt: skip
    resources = Resources(bundle)
    order = resources.first
    if order.get("resourceType") != "ServiceRequest" or order.get("status") not in table("OrderControl"):
        text = "only a laboratory order that is active or taken back is told of"
        return Stop(State.FILTERED, Reason("no-order", text, "ServiceRequest.status"))
    return _written(message("OML_O21"), order, Writer(feed, head, resources))


def _written(map: Message, order: Resource, writer: Writer) -> hl7v2.Message | Stop:
    lines = [writer.header(map.kind, order)]
    for place in map.places:
        found = list(values(order, place.path, writer.names.follow))
        if not found and any(row.required for row in place.segment.rows):
            found = [{}]
        lines += [writer.segment(place.segment, value) for value in found]
    if writer.reasons:
        return Stop(State.QUARANTINED, writer.reasons[0])
    made = hl7v2.parse(b"".join(lines), charset=writer.charset)
    return Stop(State.FAILED, made) if isinstance(made, Reason) else made


_TEXTS = {
    "no-time": "nothing says when the order was made",
    "invalid-date": "neither a date nor a time; correct it at the source",
    "required-element": "an order cannot be sent without it; correct it at the source",
    "unencodable": "a character that the message's character set does not have",
}


class Writer:
    """Writes the segments of one message; counts them for their set ids. `reasons`: why it must not be sent."""

    def __init__(self, feed: Feed, head: Head, resources: Resources) -> None:
        self.names = Names(feed, head.names, resources.follow)
        self.charset = hl7v2.codec(head.charset) or "ascii"
        self.reasons: list[Reason] = []
        self._head = head
        self._count: Counter[str] = Counter()

    def header(self, kind: str, order: Resource) -> bytes:
        """MSH. MSH-10 only holds the place: the destination puts the delivery's own id there."""
        head, meta = self._head, order.get("meta", {})
        given: list[Repetition] = [
            head.sending_application, head.sending_facility,
            head.receiving_application, head.receiving_facility,
            self._told(order), "", kind.split("^"), f"{order.get('id', '')}-{meta.get('versionId', '')}"[-20:],
            head.processing, head.version, "", "", "", "", "", head.charset,
        ]  # fmt: skip
        return compose.segment("MSH", [self._encoded([value], "MSH") for value in given])

    def _told(self, order: Resource) -> str:
        """MSH-7: no clock, so that the same order always makes the same message."""
        place = "ServiceRequest.meta.lastUpdated"
        told = order.get("meta", {}).get("lastUpdated") or order.get("authoredOn")
        if not told:
            self._refuse("no-time", place)
            return ""
        made = self.names.moment(told)
        self._faults(place)
        return made

    def segment(self, map: Segment, value: Resource) -> bytes:
        """One segment; nothing if no row finds anything to say."""
        fields = [b""] * max(row.field for row in map.rows)
        said = False
        for row in map.rows:
            if fields[row.field - 1]:
                continue
            written = self._field(row, value, map.of)
            said = said or bool(written and row.path)
            fields[row.field - 1] = written or row.default.encode()
        if not said:
            return b""
        self._count[map.name] += 1
        if map.numbered:
            fields[0] = str(self._count[map.name]).encode()
        return compose.segment(map.name, fields)

    def _field(self, row: Row, value: Resource, of: str) -> bytes:
        if row.path is None:
            return row.value.encode()
        place = ".".join(filter(None, (of, str(row.path))))
        found = self._repetitions(row, row.path, value)
        self._faults(place)
        if not found and row.required:
            self._refuse("required-element", place)
        return self._encoded(found, place, formatted=row.type == "FT")

    def _repetitions(self, row: Row, path: Path, value: Resource) -> Sequence[Repetition]:
        write, codes = TYPES[row.type], row.table
        found = values(value, path, self.names.follow)
        made = (codes.get(str(v)) if codes is not None else write(v, self.names) for v in found)
        return list(islice(filter(None, made), None if row.many else 1))

    def _encoded(self, found: Sequence[Repetition], place: str, *, formatted: bool = False) -> bytes:
        try:
            return compose.field(found, self.charset, formatted=formatted)
        except hl7v2.Unencodable:
            self._refuse("unencodable", place)
            return b""

    def _faults(self, place: str) -> None:
        """What the data types could not write, now that its place is known."""
        for code in self.names.faults:
            self._refuse(code, place)
        self.names.faults.clear()

    def _refuse(self, code: str, place: str) -> None:
        self.reasons.append(Reason(code, _TEXTS[code], place))

"""The transform `device_to_fhir`: a reading -> Observations of a patient, with LOINC codes and UCUM units."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from engine.message import State, Stop
from engine.plugin import Feed, transform
from formats import device
from store.facts import Clock, Fact
from store.identity import Identifier, Patient, reference
from store.reason import Reason
from transforms.device_to_fhir.schema import Device, Metric, Panel

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
VITAL_SIGNS = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
    ]
}
_NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,12})?", re.ASCII)
Json = dict[str, Any]


class Reading(NamedTuple):
    """What a reading says of itself: `moment` in microseconds since the epoch, `time` as FHIR writes it."""

    type: str
    id: str
    patient: Patient
    moment: int
    time: str


@transform("device_to_fhir")
def device_to_fhir(
    message: device.Message,
    feed: Feed,
    *,
    devices: Annotated[Mapping[str, Device], "the device types, by name"],
) -> Sequence[Fact] | Stop:
    """One Observation for each metric, one with components for each panel.

    Their ids follow from device, time and metric, so a reading that comes twice is one Observation. A reading of
    no declared type, without patient, time or device, or with a value that cannot be, is quarantined as a whole:
    what is wrong with one of its values is wrong with the reading.
    """
    found = next((each for each in devices.items() if _is(message, each[1])), None)
    if found is None:
        text = "no device type is declared whose `when:` fits; declare it in the channel and resend"
        return Stop(State.QUARANTINED, Reason("unknown-device", text))
    name, schema = found
    reading = _reading(message, feed, name, schema)
    if isinstance(reading, Reason):
        return Stop(State.QUARANTINED, reason=reading)
    measured = _measured(message, schema)
    if isinstance(measured, Reason):
        return Stop(State.QUARANTINED, measured)
    return list(_observations(reading, schema, measured, feed))


def _is(message: device.Message, schema: Device) -> bool:
    return all(_text(device.value(message.data, path)) == wanted for path, wanted in schema.when.items())


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()


def _reading(message: device.Message, feed: Feed, name: str, schema: Device) -> Reading | Reason:
    id = _text(device.value(message.data, schema.id))
    if not id:
        return Reason("no-device", "the reading does not say which device it is of", schema.id)
    identifier = Identifier(_text(device.value(message.data, schema.patient)), (), "", schema.patient)
    patient = feed.identity.patient([identifier], feed.authority)
    if isinstance(patient, Reason):
        return patient
    moment = _moment(device.value(message.data, schema.time), feed)
    if moment is None:
        return Reason("bad-time", "the reading's time is no ISO 8601 time and no seconds", schema.time)
    micros = int(moment.timestamp() * 1_000_000)
    return Reading(name, id, patient, micros, moment.isoformat(timespec="milliseconds"))


def _moment(value: Any, feed: Feed) -> datetime | None:
    """A time without an offset is in the channel's zone."""
    try:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return datetime.fromtimestamp(float(value), UTC)
        moment = datetime.fromisoformat(_text(value))
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=feed.timezone)


def _measured(message: device.Message, schema: Device) -> dict[str, Decimal] | Reason:
    """The values that are there, in the stored unit, or what is wrong with one."""
    found: dict[str, Decimal] = {}
    for name, metric in schema.metrics.items():
        value = device.value(message.data, metric.from_)
        if value is None:
            continue
        number = _number(value)
        if number is None:
            return Reason("not-a-number", "the value is no number", metric.from_)
        if metric.unit_from and _text(device.value(message.data, metric.unit_from)) not in metric.unit_is:
            return Reason("unknown-unit", "the device's unit is not among those declared", metric.unit_from)
        number = number if metric.scale == "1" else number * Decimal(metric.scale)
        if not metric.possible(number):
            return Reason("implausible", "the value is outside of what can be", metric.from_)
        found[name] = number
    return found or Reason("nothing-measured", "the reading holds none of the declared values")


def _number(value: Any) -> Decimal | None:
    """A number, or the text of one, which some devices send."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return None
    return Decimal(value)


def _observations(
    reading: Reading, schema: Device, measured: Mapping[str, Decimal], feed: Feed
) -> Iterator[Fact]:
    for name, value in measured.items():
        metric = schema.metrics[name]
        if not metric.panel:
            yield _fact(reading, feed, metric, {"valueQuantity": _quantity(metric, value)})
    for name, panel in schema.panels.items():
        parts = [(m, measured[n]) for n, m in schema.metrics.items() if m.panel == name and n in measured]
        if parts:
            components = [{"code": _code(m), "valueQuantity": _quantity(m, value)} for m, value in parts]
            yield _fact(reading, feed, panel, {"component": components})


def _fact(reading: Reading, feed: Feed, what: Metric | Panel, said: Json) -> Fact:
    patient = reading.patient.key
    key = feed.identity.key(
        "Observation", "device", reading.type, reading.id, str(reading.moment), what.code, patient
    )
    elements = {
        "status": "final",
        "category": [VITAL_SIGNS],
        "code": _code(what),
        "subject": reference("Patient", patient),
        "effectiveDateTime": reading.time,
        "device": {"identifier": {"system": f"urn:chartwire:device:{reading.type}", "value": reading.id}},
        **said,
    }
    return Fact("Observation", key, Clock(reading.moment, rank=feed.rank), elements, patient)


def _code(what: Metric | Panel) -> Json:
    return {"coding": [{"system": LOINC, "code": what.code, "display": what.display}], "text": what.display}


def _quantity(metric: Metric, value: Decimal) -> Json:
    return {"value": value, "unit": metric.unit, "system": UCUM, "code": metric.unit}

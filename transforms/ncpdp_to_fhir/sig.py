"""How a drug is to be taken: the text always, its parts where they are said once and plainly.

Parts stand at other places in other messages (Dosage or Dose, the route inside or beside DoseAdministration): each is
looked for at all of them. Where a part is said more than once, as by two Instructions, the text alone stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from formats import script
from formats.reason import Reason
from transforms.ncpdp_to_fhir.values import UCUM, Json, amount, concept, count, kept

# SNOMED CT code or word -> R4 units-of-time
UNITS: Mapping[str, str] = {
    "258701004": "min", "258702006": "h", "258703001": "d", "258705008": "wk", "258706009": "mo",
    "minute": "min", "hour": "h", "day": "d", "week": "wk", "month": "mo",
}  # fmt: skip
_DOSES = ("DoseAdministration/Dosage", "DoseAdministration/Dose")
_ADMINISTERED = ("", "DoseAdministration/")


def dosage(message: script.Message, drug: Any) -> list[Json]:
    """MedicationRequest.dosageInstruction."""
    text = message.first("Sig/SigText", "Directions", "Sig/FreeText", "Sig", below=drug)
    instructions = message.all("Sig/Instruction", drug)
    parts = _parts(message, instructions[0]) if len(instructions) == 1 else {}
    return [found] if (found := kept({"text": text, **parts})) else []


def _parts(message: script.Message, instruction: Any) -> Json:
    def once(*paths: str) -> Any:
        found = [element for path in paths for element in message.all(path, instruction)]
        return found[0] if len(found) == 1 else None

    def administered(name: str) -> Json:
        return concept(message, once(*(f"{where}{name}" for where in _ADMINISTERED)))

    dose = _dose(message, once(*_DOSES))
    return {
        "timing": _timing(message, once),
        "site": administered("SiteOfAdministration"),
        "route": administered("RouteOfAdministration"),
        "method": concept(message, once("DoseAdministration/DoseDeliveryMethod")),
        "doseAndRate": [{"doseQuantity": dose}] if dose else [],
    }


def _dose(message: script.Message, dose: Any) -> Json:
    if dose is None:
        return {}
    value = amount(message.text("DoseQuantity", dose), "")
    if value is None or isinstance(value, Reason):
        return {}  # a range, or a word: the text says it
    unit = concept(message, message.find("DoseUnitOfMeasure", dose))
    coding: Json = next(iter(unit.get("coding", ())), {})
    return kept({"value": value, "unit": unit.get("text"), **(coding if "system" in coding else {})})


def _timing(message: script.Message, once: Any) -> Json:
    frequency, interval, duration = (
        once(f"TimingAndDuration/{name}") for name in ("Frequency", "Interval", "Duration")
    )
    repeat: Json = {}
    if frequency is not None and interval is None:
        times = count(message.text("FrequencyNumericValue", frequency), "")
        unit = _unit(message, message.find("FrequencyUnits", frequency))
        if isinstance(times, int) and times and unit:
            repeat |= {"frequency": times, "period": 1, "periodUnit": unit}
    if interval is not None and frequency is None:
        period = amount(message.text("IntervalNumericValue", interval), "")
        unit = _unit(message, message.find("IntervalUnits", interval))
        if period is not None and not isinstance(period, Reason) and unit:
            repeat |= {"frequency": 1, "period": period, "periodUnit": unit}
    if duration is not None:
        repeat |= _bounds(message, duration)
    words = once("AdministrationTiming")
    code = {"text": text} if words is not None and (text := message.text("Text", words)) else {}
    return kept({"repeat": repeat, "code": code})


def _bounds(message: script.Message, duration: Any) -> Json:
    value = amount(message.text("DurationNumericValue", duration), "")
    unit = _unit(message, message.find("DurationText", duration))
    if value is None or isinstance(value, Reason) or not unit:
        return {}
    return {"boundsDuration": {"value": value, "unit": unit, "system": UCUM, "code": unit}}


def _unit(message: script.Message, element: Any) -> str:
    if element is None:
        return ""
    word = message.text("Text", element).lower()
    return UNITS.get(message.text("Code", element), "") or UNITS.get(word.removesuffix("s"), "")

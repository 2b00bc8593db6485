"""What is declared of a device type: how its readings are known, who, when, and what it measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Annotated


@dataclass(frozen=True)
class Metric:
    """One value of a reading, as an Observation or as a component of one."""

    from_: Annotated[str, "JSON path of the value: vitals.hr"]
    code: Annotated[str, "LOINC code"]
    display: Annotated[str, "its name in LOINC"]
    unit: Annotated[str, "UCUM code of what is stored"]
    scale: Annotated[str, "what the device's number is multiplied by"] = "1"
    low: Annotated[str, "what is below cannot be"] = ""
    high: Annotated[str, "what is above cannot be"] = ""
    unit_from: Annotated[str, "JSON path of the unit, where the device sends it"] = ""
    unit_is: Annotated[tuple[str, ...], "the device's words for that unit; another one is quarantined"] = ()
    panel: Annotated[str, "the panel that it is a component of"] = ""

    def __post_init__(self) -> None:
        for name in ("scale", "low", "high"):
            if text := getattr(self, name):
                _decimal(name, text)
        if bool(self.unit_from) != bool(self.unit_is):
            raise ValueError("unit_from and unit_is go together")

    def possible(self, value: Decimal) -> bool:
        """Can it be, in the stored unit?"""
        return not ((self.low and value < Decimal(self.low)) or (self.high and value > Decimal(self.high)))


@dataclass(frozen=True)
class Panel:
    """An Observation whose values are its components, such as blood pressure."""

    code: Annotated[str, "LOINC code"]
    display: Annotated[str, "its name in LOINC"]


@dataclass(frozen=True)
class Device:
    """One device type."""

    when: Annotated[Mapping[str, str], "JSON paths and the values that tell its readings: {model: VM-100}"]
    id: Annotated[str, "JSON path of the device's own number"]
    patient: Annotated[str, "JSON path of the patient's identifier, of the channel's authority"]
    time: Annotated[str, "JSON path of the time of the reading: ISO 8601, or seconds since the epoch"]
    metrics: Annotated[Mapping[str, Metric], "what it measures, by name"]
    panels: Annotated[Mapping[str, Panel], "what belongs together, by name"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.when or not self.metrics:
            raise ValueError("a device type needs when: and metrics:")
        for name, metric in self.metrics.items():
            if metric.panel and metric.panel not in self.panels:
                raise ValueError(f"{name}: there is no panel {metric.panel}")


def _decimal(name: str, text: str) -> None:
    try:
        Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{name} is no number") from None

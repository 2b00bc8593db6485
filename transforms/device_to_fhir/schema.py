"""What is declared of a device type: how its readings are known, who, when, and what it measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Annotated


@dataclass(frozen=True)
class Conversion:
    """From a unit of the device's to the one that is stored: (number + add) * scale."""

    add: Annotated[str, "what is added to the device's number: -32"] = "0"
    scale: Annotated[str, "what that is multiplied by, a number or a fraction: 5/9"] = "1"

    def __post_init__(self) -> None:
        _fraction("add", self.add)
        if not _fraction("scale", self.scale):
            raise ValueError("scale cannot be 0")

    def __call__(self, number: Decimal) -> Decimal:
        """The number in the stored unit, with as many digits as it needs, so that the device's can be found again."""
        if self == SAME:
            return number
        places = max(_places(number), _places(Decimal(self.add)))
        places += 1 if "/" in self.scale else _places(Decimal(self.scale))
        exact = (Fraction(number) + Fraction(self.add)) * Fraction(self.scale)
        return Decimal(f"{round(exact * 10**places)}E-{places}")


SAME = Conversion()


@dataclass(frozen=True)
class Metric:
    """One value of a reading, as an Observation or as a component of one."""

    from_: Annotated[str, "JSON path of the value: vitals.hr"]
    code: Annotated[str, "LOINC code"]
    display: Annotated[str, "its name in LOINC"]
    unit: Annotated[str, "UCUM code of what is stored"]
    add: Annotated[str, "what is added to the device's number, if its unit is not the stored one"] = "0"
    scale: Annotated[str, "what that is multiplied by: 0.133322, 5/9"] = "1"
    low: Annotated[str, "what is below cannot be, in the stored unit"] = ""
    high: Annotated[str, "what is above cannot be, in the stored unit"] = ""
    unit_from: Annotated[str, "JSON path of the unit, where the device sends it"] = ""
    unit_is: Annotated[tuple[str, ...], "the device's words for its usual unit"] = ()
    convert: Annotated[
        Mapping[str, Conversion], "the device's words for other units; what is in neither list is quarantined"
    ] = field(default_factory=dict)
    panel: Annotated[str, "the panel that it is a component of"] = ""

    def __post_init__(self) -> None:
        Conversion(self.add, self.scale)
        for name in ("low", "high"):
            if text := getattr(self, name):
                _fraction(name, text)
        if bool(self.unit_from) != bool(self.unit_is or self.convert):
            raise ValueError("unit_from goes with unit_is or convert")

    def conversion(self, unit: str) -> Conversion | None:
        """How the device's number becomes the stored one; None: its unit is not declared."""
        if not self.unit_from or unit in self.unit_is:
            return Conversion(self.add, self.scale)
        return self.convert.get(unit)

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
    ignore: Annotated[tuple[str, ...], "JSON paths that say nothing of the patient: battery, signal"] = ()

    def __post_init__(self) -> None:
        if not self.when or not self.metrics:
            raise ValueError("a device type needs when: and metrics:")
        for name, metric in self.metrics.items():
            if metric.panel and metric.panel not in self.panels:
                raise ValueError(f"{name}: there is no panel {metric.panel}")
        codes = [m.code for m in self.metrics.values() if not m.panel] + [p.code for p in self.panels.values()]
        if twice := {code for code in codes if codes.count(code) > 1}:
            raise ValueError(f"{min(twice)} is the code of two: they would be one Observation")

    def declares(self, path: str) -> bool:
        """Is it said here what is at the path, or that it does not matter?"""
        metrics = self.metrics.values()
        known = {self.id, self.patient, self.time, *self.when, *(m.from_ for m in metrics)}
        known.update(m.unit_from for m in metrics)
        return path in known or any(path == each or path.startswith(f"{each}.") for each in self.ignore)


def _fraction(name: str, text: str) -> Fraction:
    """The number that a setting is."""
    try:
        number = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name} is no number") from None
    if "/" in text and name != "scale":
        raise ValueError(f"{name} is a number, not a fraction")
    return number


def _places(number: Decimal) -> int:
    """Digits after the point."""
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0

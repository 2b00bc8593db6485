"""How the story's messages are written: HL7 v2.5.1 segments, as a hospital and a laboratory send them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from demo.cast import Analyte, Patient


def segment(name: str, *fields: str) -> str:
    return "|".join((name, *fields)).rstrip("|")


def message(*segments: str) -> bytes:
    return ("\r".join(segments) + "\r").encode()


def stamp(at: datetime) -> str:
    """HL7 TS to the second, in local time without an offset, as most feeds send it."""
    return at.strftime("%Y%m%d%H%M%S")


def msh(
    sender: str, type: str, control: str, at: datetime, *, processing: str = "P", commit: str = ""
) -> str:
    """`commit` AL asks for the enhanced mode's commit acknowledgement (HL7 v2.5.1 2.9.3)."""
    facility = "LAB" if sender == "LIS" else "RIVERSIDE"
    return segment(
        "MSH", "^~\\&", sender, facility, "CHARTWIRE", "RIVERSIDE", stamp(at), "", type, control, processing,
        "2.5.1", "", "", commit, "NE" if commit else "", "USA", "UNICODE UTF-8",
    )  # fmt: skip


def pid(
    patient: Patient, *, mrn: str | None = None, phone: int = 1, family: str = "", birth: str = ""
) -> str:
    identifier = f"{patient.mrn if mrn is None else mrn}^^^RIVERSIDE^MR"
    return segment(
        "PID", "1", "", identifier, "", f"{family or patient.family}^{patient.given}^^^^^L", "",
        birth or patient.birth, patient.sex, "", "", f"{patient.street}^^{patient.city}^NY^12345^USA^H", "",
        f"{patient.phone(phone)}^PRN^PH",
    )  # fmt: skip


def pv1(
    patient: Patient, visit: str, where: str, kind: str, admitted: datetime, left: datetime | None = None
) -> str:
    """`where` is ward^room^bed; `kind` is HL7 table 0004: E emergency, I inpatient, O outpatient."""
    fields = [""] * 45
    fields[0], fields[1], fields[2] = "1", kind, f"{where}^RIVERSIDE"
    fields[6] = patient.attending
    fields[9] = patient.ward
    fields[18] = f"{visit}^^^HIS^VN"
    fields[43] = stamp(admitted)
    fields[44] = stamp(left) if left else ""
    return segment("PV1", *fields)


class Result(NamedTuple):
    """One line of a report. `text` replaces the number: SN (`>^60`) when it has a component, else ST."""

    analyte: Analyte
    value: Decimal = Decimal(0)
    text: str = ""
    status: str = "F"

    @property
    def flag(self) -> str:
        return "" if self.text else self.analyte.flag(self.value)


class Order(NamedTuple):
    number: str
    code: str  # LOINC code^name of the battery
    drawn: datetime
    by: str  # ordering provider, XCN


def report(order: Order, results: Sequence[Result], status: str, at: datetime, *notes: str) -> list[str]:
    """ORC, OBR and its OBX (HL7 v2.5.1 7.3.1); a note belongs to the line before it."""
    placer, filler = f"{order.number}^HIS", f"F{order.number}^LIS"
    obr = [""] * 25
    obr[0], obr[1], obr[2], obr[3] = "1", placer, filler, f"{order.code}^LN"
    obr[6], obr[15], obr[21], obr[24] = stamp(order.drawn), order.by, stamp(at), status
    return [
        segment("ORC", "RE", placer, filler),
        segment("OBR", *obr),
        *(_obx(n, result, order.drawn) for n, result in enumerate(results, start=1)),
        *(segment("NTE", str(n), "L", note) for n, note in enumerate(notes, start=1)),
    ]


def _obx(number: int, result: Result, drawn: datetime) -> str:
    a = result.analyte
    type = "NM" if not result.text else "SN" if "^" in result.text else "ST"
    return segment(
        "OBX", str(number), type, f"{a.local}^{a.name}^L", "", result.text or str(result.value),
        f"{a.unit}^^UCUM", f"{a.low}-{a.high}", result.flag, "", "", result.status, "", "", stamp(drawn),
    )  # fmt: skip

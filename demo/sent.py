"""One message of the story: its bytes, and what must become of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from demo.cast import Patient
from demo.wording import Order, Result, message, msh, pid, pv1, report, segment, stamp

Feed = Literal["adt", "lab_results"]
BOARD = frozenset({"A01", "A02", "A03", "A13"})  # what the ward board wants to hear of
STRUCTURES = {
    "A04": "ADT_A01",
    "A08": "ADT_A01",
    "A13": "ADT_A01",
}  # MSH-9.3, where it is not the event's own


@dataclass(frozen=True, slots=True)
class Sent:
    """`control` is its MSH-10 ("" for bytes that have none), `ack` the MSA-1 that must answer it, `state` the
    end state that the engine must show for it ("" for a repeat, which makes no message of its own), `to` the
    destinations that must hear of it, `line` the connection that it takes: one patient always the same."""

    feed: Feed
    at: datetime
    body: bytes
    control: str
    about: str
    line: int = 0
    ack: str = "AA"
    state: str = "STORED"
    to: tuple[str, ...] = ("archive",)


def adt(p: Patient, event: str, at: datetime, visit: str, *, mrn: str = "", phone: int = 1) -> Sent:
    control = f"HIS{stamp(at)}"
    body = message(
        msh("HIS", f"ADT^{event}^{STRUCTURES.get(event, f'ADT_{event}')}", control, at),
        segment("EVN", event, stamp(at)),
        pid(p, mrn=mrn or p.mrn, phone=phone),
        visit,
    )
    to = ("archive", "ward_board") if event in BOARD else ("archive",)
    return Sent("adt", at, body, control, f"{mrn or p.mrn} {event}", p.number % 2, to=to)


def merge(p: Patient, at: datetime, *, phone: int) -> Sent:
    """The patient's second number is found to be his: A40, HL7 v2.5.1 3.3.40."""
    control = f"HIS{stamp(at)}"
    body = message(
        msh("HIS", "ADT^A40^ADT_A39", control, at),
        segment("EVN", "A40", stamp(at)),
        pid(p, phone=phone),
        segment("MRG", f"{p.duplicate}^^^RIVERSIDE^MR"),
    )
    return Sent("adt", at, body, control, f"{p.mrn} A40", p.number % 2)


def oru(p: Patient, order: Order, results: Sequence[Result], status: str, at: datetime, *notes: str) -> Sent:
    """The laboratory asks for commit acknowledgements (MSH-15 AL), so CA answers it, not AA."""
    control = f"LIS{stamp(at)}"
    body = message(
        msh("LIS", "ORU^R01^ORU_R01", control, at, commit="AL"),
        pid(p),
        pv1(p, p.visit, f"{p.ward}^^", "I", order.drawn),
        *report(order, results, status, at, *notes),
    )
    page = status == "C" or any(r.flag in ("HH", "LL") for r in results)
    to = ("archive", "pager") if page else ("archive",)
    return Sent(
        "lab_results", at, body, control, f"{p.mrn} {order.number} {status}", p.number % 2, "CA", to=to
    )

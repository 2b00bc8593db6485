"""The story that the demo plays: what each partner sends, in order, and what must become of it.

Pure and the same every time. Twelve stays run side by side: a clinic visit under a second number, emergency,
admission, updates, transfers, results that are preliminary, final and corrected, a discharge that is
cancelled, the merge of the second number, the final discharge. Then what goes wrong in real life.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from demo.cast import BLOOD_COUNT, CHEMISTRY, FILTRATION, PATIENTS, POTASSIUM, TROPONIN, Patient
from demo.mishaps import mishaps
from demo.sent import Sent, adt, merge, oru
from demo.wording import Order, Result, pv1

START = datetime(2025, 3, 3, 6)  # in the past, so that no clock of any machine takes it for the future
CLINIC = timedelta(days=-30)


@dataclass(frozen=True, slots=True)
class Known:
    """What the chart must say in the end about one patient."""

    patient: Patient
    phone: str
    potassium: str  # the last word of the first chemistry panel, with the laboratory's decimals
    observations: int


def story() -> tuple[Sent, ...]:
    """Everything that is sent, each feed in its order."""
    played = sorted((s for p in PATIENTS for s in (*_stay(p), *_results(p))), key=lambda s: s.at)
    return (*_mixed(played, tuple(mishaps(START))), _late(), _again(played))


def known() -> tuple[Known, ...]:
    """What the chart says when everything has arrived."""
    usual = 2 * (len(CHEMISTRY) + 1) + len(BLOOD_COUNT) + 1  # filtration rate and troponin are the ones
    return tuple(
        Known(
            p, p.phone(3), str(POTASSIUM.value(p.number)), usual + (p is PATIENTS[3])
        )  # he has the unlisted test
        for p in PATIENTS
    )


def _mixed(played: Sequence[Sent], wrong: Sequence[Sent]) -> Iterator[Sent]:
    """The faulty messages arrive in the middle of the others, not in a heap at the end."""
    every = len(played) // len(wrong)
    for n, sent in enumerate(played):
        if n % every == every - 1 and n // every < len(wrong):
            yield wrong[n // every]
        yield sent


def _late() -> Sent:
    """An update of the third hour that a broken queue hands over last: kept, but the chart knows better."""
    p = PATIENTS[0]
    visit = pv1(p, p.visit, "ICU^01^1", "I", _arrival(p) + timedelta(hours=1))
    sent = adt(p, "A08", START + timedelta(hours=2, minutes=59, seconds=59), visit, phone=9)
    return replace(sent, about=f"{sent.about} that comes late")


def _again(played: Sequence[Sent]) -> Sent:
    """An admission sent twice, byte for byte: acknowledged, and otherwise nothing happens."""
    first = next(s for s in played if s.about == f"{PATIENTS[1].mrn} A01")
    return replace(first, about=f"{first.about} that comes twice", state="", to=())


def _arrival(p: Patient) -> datetime:
    return START + timedelta(minutes=4 * p.number)


def _stay(p: Patient) -> Iterator[Sent]:
    """What the hospital says of one patient."""
    arrival = _arrival(p)
    yield from _clinic(p, arrival + CLINIC)
    yield merge(p, arrival + timedelta(hours=62, seconds=30), phone=3)
    emergency = pv1(p, p.visit, "ED^01^1", "E", arrival)
    steps: tuple[tuple[int, str, str, int], ...] = (
        (1, "A01", f"ICU^{p.number:02}^1", 1),
        (2, "A08", f"ICU^{p.number:02}^1", 2),
        (8, "A02", f"{p.ward}^1{p.number:02}^2", 2),
        (20, "A08", f"{p.ward}^1{p.number:02}^2", 2),
        (30, "A02", f"{p.ward}^2{p.number:02}^1", 2),
        (50, "A03", f"{p.ward}^2{p.number:02}^1", 2),
        (51, "A13", f"{p.ward}^2{p.number:02}^1", 2),
        (60, "A08", f"{p.ward}^2{p.number:02}^1", 3),
        (75, "A03", f"{p.ward}^2{p.number:02}^1", 3),
    )
    yield adt(p, "A04", arrival, emergency)
    for n, (hours, event, bed, phone) in enumerate(steps, start=1):
        at = arrival + timedelta(hours=hours, seconds=n)  # the seconds keep every clock of the feed apart
        left = at if event == "A03" else None
        yield adt(p, event, at, pv1(p, p.visit, bed, "I", arrival + timedelta(hours=1), left), phone=phone)


def _clinic(p: Patient, arrival: datetime) -> Iterator[Sent]:
    left = arrival + timedelta(hours=1)
    for event, at, until in (("A04", arrival, None), ("A03", left, left)):
        yield adt(p, event, at, pv1(p, p.clinic_visit, "CLINIC^1^", "O", arrival, until), mrn=p.duplicate)


def _results(p: Patient) -> Iterator[Sent]:
    """Three specimens. The first potassium of every third patient is falsely critical, and then corrected."""
    arrival = _arrival(p)
    first, second, third = (_order(p, n, arrival + timedelta(hours=h)) for n, h in ((1, 2), (2, 3), (3, 25)))
    true = _chemistry(p.number)
    seen = [_haemolysed(r) for r in true] if p.number % 3 == 0 else true
    corrected = [r._replace(status="C" if r.analyte is POTASSIUM else "F") for r in true]
    filtration, troponin = Result(FILTRATION, text=">^60"), Result(TROPONIN, text="<^0.01")
    count = [Result(a, a.value(p.number + k)) for k, a in enumerate(BLOOD_COUNT)]
    note = "Corrected: the first specimen was haemolysed"

    def at(hours: float, seconds: int) -> datetime:
        return arrival + timedelta(hours=hours, seconds=seconds)

    yield oru(p, first, _preliminary(seen), "P", at(3, 40))
    yield oru(p, second, _preliminary(count), "P", at(3.5, 41))
    yield oru(p, first, [*seen, filtration], "F", at(4, 42))
    yield oru(p, second, [*count, troponin], "F", at(4.5, 43))
    yield oru(p, first, [*corrected, filtration], "C", at(9, 44), note)
    yield oru(p, third, [*_chemistry(p.number + 5), filtration], "F", at(26, 45))


def _order(p: Patient, number: int, drawn: datetime) -> Order:
    code = "58410-2^CBC panel" if number == 2 else "24323-8^Comprehensive metabolic panel"
    return Order(f"{p.number:03}{number}", code, drawn, p.attending)


def _chemistry(seed: int) -> list[Result]:
    return [Result(a, a.value(seed + k)) for k, a in enumerate(CHEMISTRY, start=-1)]  # potassium: seed itself


def _haemolysed(result: Result) -> Result:
    return result._replace(value=Decimal("6.80")) if result.analyte is POTASSIUM else result


def _preliminary(results: Sequence[Result]) -> list[Result]:
    return [r._replace(status="P") for r in results]

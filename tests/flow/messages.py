"""Synthetic HL7 v2 messages. Times are local to the channels' zone, long past, and grow from call to call."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

_MINUTE = count()


def later() -> str:
    """A time after all that were given out before."""
    hours, minutes = divmod(next(_MINUTE), 60)
    return f"202603{1 + hours // 24:02d}{hours % 24:02d}{minutes:02d}00"


def segment(name: str, fields: Mapping[int, str]) -> str:
    """A segment with these fields by number."""
    return "|".join([name, *(fields.get(n, "") for n in range(1, max(fields) + 1))])


def message(*segments: str) -> bytes:
    return "".join(f"{s}\r" for s in segments if s).encode()


def msh(kind: str, control: str, time: str, sender: str = "ADT1", mode: str = "P") -> str:
    return f"MSH|^~\\&|{sender}|GHH|CW|HOSPITAL|{time}||{kind}|{control}|{mode}|2.5.1"


def pid(
    mrn: str,
    ids: str = "",
    family: str = "EVERYMAN",
    born: str = "19610615",
    more: Mapping[int, str] | None = None,
) -> str:
    """`ids` is the whole of PID-3."""
    who = {1: "1", 3: ids or f"{mrn}^^^MRN^MR", 5: f"{family}^ADAM^A", 7: born, 8: "M"}
    return segment("PID", {**who, 11: "2222 HOME ST^^GREENSBORO^NC^27401", **(more or {})})


def adt(
    control: str,
    mrn: str,
    event: str = "A01",
    *,
    time: str = "",
    family: str = "EVERYMAN",
    ids: str = "",
    born: str = "19610615",
    sender: str = "ADT1",
    mode: str = "P",
    ward: str = "2000",
    more: Mapping[int, str] | None = None,
    last: str = "",
) -> bytes:
    """An event of one patient's stay. `more` are fields of PID, `last` is one more segment."""
    time = time or later()
    stay = {
        1: "1",
        2: "I",
        3: f"{ward}^2012^01",
        7: "004777^ATTEND^AARON",
        10: "SUR",
        19: f"V{mrn}^^^VISIT",
        44: "20260301",
    }
    if event == "A03":
        stay[45] = time
    return message(
        msh(f"ADT^{event}^ADT_A01", control, time, sender, mode),
        f"EVN|{event}|{time}",
        pid(mrn, ids, family, born, more),
        segment("PV1", stay),
        last,
    )


def a40(control: str, mrn: str, prior: str, *, time: str = "") -> bytes:
    """`prior` is merged into `mrn`."""
    time = time or later()
    return message(
        msh("ADT^A40^ADT_A39", control, time), f"EVN|A40|{time}", pid(mrn), f"MRG|{prior}^^^MRN^MR"
    )


def oru(
    control: str,
    mrn: str,
    value: str = "6.30",
    *,
    status: str = "F",
    time: str = "",
    reported: str = "",
    order: str = "",
    sender: str = "LAB1",
    flag: str = "H",
    code: str = "2823-3^Potassium^LN",
) -> bytes:
    """One result of one order."""
    time, order, taken = time or later(), order or control, "20260301073000"
    return message(
        msh("ORU^R01^ORU_R01", control, time, sender),
        pid(mrn),
        segment(
            "OBR",
            {
                1: "1",
                2: f"P{order}^HIS",
                3: f"F{order}^LIS",
                4: "24323-8^Metabolic panel^LN",
                7: taken,
                22: reported or time,
                25: status,
            },
        ),
        segment(
            "OBX",
            {
                1: "1",
                2: "NM",
                3: code,
                5: value,
                6: "mmol/L^^UCUM",
                7: "3.5-5.1",
                8: flag,
                11: status,
                14: taken,
            },
        ),
    )

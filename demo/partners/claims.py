"""What the clearinghouse sends: a professional claim (837P, 005010X222A1) and its payment (835, 005010X221A1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

RECEIVER = "RIVERSIDE"
SENDERS = {"HC": "LAKESIDE", "HP": "NORTHERNMUTUAL"}  # who bills, who pays
PAYER, PAYER_ID = "NORTHERN MUTUAL", "NMU01"


class Insured(NamedTuple):
    """The patient, who is the subscriber; `claim` is the claim's own number (CLM01), `member` the policy's."""

    mrn: str
    family: str
    given: str
    birth: str  # YYYYMMDD
    sex: str
    member: str
    claim: str


def interchange(group: str, guide: str, number: int, at: datetime, sets: Sequence[str]) -> bytes:
    """ISA to IEA. ISA14 asks for a TA1; `sets` is one transaction set without ST and SE."""
    kind = {"HC": "837", "HP": "835"}[group]
    st = f"ST*{kind}*0001" + (f"*{guide}" if kind == "837" else "")
    sender = SENDERS[group]
    lines = [
        f"ISA*00*{'':10}*00*{'':10}*ZZ*{sender:<15}*ZZ*{RECEIVER:<15}*{at:%y%m%d}*{at:%H%M}*^*00501*{number:09}*1*P*:",
        f"GS*{group}*{sender}*{RECEIVER}*{at:%Y%m%d}*{at:%H%M}*{number}*X*{guide}",
        st,
        *sets,
        f"SE*{len(sets) + 2}*0001",
        f"GE*1*{number}",
        f"IEA*1*{number:09}",
    ]
    return ("~\n".join(lines) + "~\n").encode()


def claim(who: Insured, number: int, at: datetime, charges: Sequence[tuple[str, int]]) -> bytes:
    """837P of one claim: `charges` are (procedure, dollars), one service line each."""
    total = sum(dollars for _, dollars in charges)
    lines: list[str] = []
    for n, (procedure, dollars) in enumerate(charges, start=1):
        lines += [f"LX*{n}", f"SV1*HC:{procedure}*{dollars}*UN*1***1", f"DTP*472*D8*{at:%Y%m%d}"]
    sets = [
        f"BHT*0019*00*{number:09}*{at:%Y%m%d}*{at:%H%M}*CH",
        f"NM1*41*2*LAKESIDE CARDIOLOGY*****46*{SENDERS['HC']}",
        "PER*IC*BILLING OFFICE*TE*5555550150",
        f"NM1*40*2*{RECEIVER}*****46*{RECEIVER}",
        "HL*1**20*1",
        "NM1*85*2*LAKESIDE CARDIOLOGY*****XX*1497758544",
        "N3*3 LAKESIDE AVE",
        "N4*MILLBROOK*NY*125450001",
        "REF*EI*141234567",
        "HL*2*1*22*0",
        "SBR*P*18*******CI",
        f"NM1*IL*1*{who.family}*{who.given}****MI*{who.member}",
        "N3*14 FERRY ST",
        "N4*MILLBROOK*NY*12545",
        f"DMG*D8*{who.birth}*{who.sex}",
        f"NM1*PR*2*{PAYER}*****PI*{PAYER_ID}",
        f"CLM*{who.claim}*{total}***22:B:1*Y*A*Y*Y",
        f"REF*EA*{who.mrn}",
        "HI*ABK:R079",
        "NM1*82*1*LINDQVIST*SARA****XX*1234567893",
        "PRV*PE*PXC*207R00000X",
        *lines,
    ]
    return interchange("HC", "005010X222A1", number, at, sets)


def payment(
    who: Insured, number: int, at: datetime, charges: Sequence[tuple[str, int]], kept: int, *, off_by: int = 0
) -> bytes:
    """835 of that claim: of each line `kept` dollars are contractual (CO 45). `off_by` makes it not balance."""
    billed = sum(dollars for _, dollars in charges)
    paid = billed - kept * len(charges)
    lines: list[str] = []
    for procedure, dollars in charges:
        lines += [
            f"SVC*HC:{procedure}*{dollars}*{dollars - kept}**1",
            f"DTM*472*{at:%Y%m%d}",
            f"CAS*CO*45*{kept}",
        ]
    sets = [
        f"BPR*I*{paid + off_by}*C*ACH*CCP*01*021000021*DA*1111*1{PAYER_ID:0>9}**01*021000089*DA*2222*{at:%Y%m%d}",
        f"TRN*1*EFT{number:07}*1{PAYER_ID:0>9}",
        f"DTM*405*{at:%Y%m%d}",
        f"N1*PR*{PAYER}",
        "N3*PO BOX 1",
        "N4*MILLBROOK*NY*12545",
        "PER*BL*PROVIDER LINE*TE*5555550170",
        "N1*PE*LAKESIDE CARDIOLOGY*XX*1497758544",
        "LX*1",
        f"CLP*{who.claim}*1*{billed}*{paid}**12*{PAYER_ID}{number:07}*22*1",
        f"NM1*QC*1*{who.family}*{who.given}****MI*{who.member}",
        f"DTM*232*{at:%Y%m%d}",
        *lines,
    ]
    return interchange("HP", "005010X221A1", number, at, sets)

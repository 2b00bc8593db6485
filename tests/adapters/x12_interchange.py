"""Interchanges for tests, and pyx12's own `x12valid` to judge them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

GUIDE = "005010X222A1"
HEADER = (
    "BHT*0019*00*B1*20260301*1200*CH~NM1*41*2*LAKESIDE CLINIC*****46*LAKESIDE~PER*IC*DESK*TE*5185550100~"
    "NM1*40*2*RIVERSIDE*****46*RIVERSIDE~HL*1**20*1~PRV*BI*PXC*207Q00000X~"
    "NM1*85*2*LAKESIDE CLINIC*****XX*1234567893~N3*1 LAKE ROAD~N4*RIVERTON*NY*120010001~REF*EI*123456789~"
)


def claim(n: int) -> str:
    """Claim `n`, from 0, of a subscriber who is the patient."""
    return (
        f"HL*{n + 2}*1*22*0~SBR*P*18*GRP0001******CI~NM1*IL*1*PARKER*ELENA*M***MI*MBR{n:06d}~"
        "N3*12 ELM STREET~N4*RIVERTON*NY*12001~DMG*D8*19720305*F~NM1*PR*2*NORTHERN MUTUAL*****PI*NM001~"
        f"CLM*ACC{n:06d}*150***11:B:1*Y*A*Y*Y~REF*EA*MRN{n:06d}~HI*ABK:J0300*ABF:R509~"
        "LX*1~SV1*HC:99213*100.00*UN*1***1:2~DTP*472*D8*20260210~"
        "LX*2~SV1*HC:87880*50*UN*1***1~DTP*472*D8*20260210~"
    )


def claims(count: int) -> str:
    return HEADER + "".join(claim(n) for n in range(count))


def a_set(inner: str, number: str = "0001", code: str = "837", guide: str = GUIDE) -> str:
    st = f"ST*{code}*{number}*{guide}" if guide else f"ST*{code}*{number}"
    return f"{st}~{inner}SE*{inner.count('~') + 2}*{number}~"


def a_group(sets: Iterable[str], number: int = 7, code: str = "HC", guide: str = GUIDE) -> str:
    found = list(sets)
    return f"GS*{code}*LAKESIDE*RIVERSIDE*20260301*1200*{number}*X*{guide}~{''.join(found)}GE*{len(found)}*{number}~"


def interchange(*groups: str, number: int = 1, ask: bool = False) -> str:
    control = f"{number:09d}"
    isa = (
        f"ISA*00*          *00*          *ZZ*LAKESIDE       *ZZ*RIVERSIDE      *260301*1200*^*00501*{control}"
    )
    return f"{isa}*{int(ask)}*P*:~{''.join(groups)}IEA*{len(groups)}*{control}~"


def professional(count: int = 2, **settings: bool) -> str:
    return interchange(a_group([a_set(claims(count))]), **settings)  # type: ignore[arg-type]


def write_big(path: Path, size: int, sets: int = 1) -> int:
    """An interchange of about `size` bytes in `sets` transaction sets; how many claims it has."""
    per_set = size // sets // len(claim(0))
    with path.open("w") as file:
        for piece in _big(per_set, sets):
            file.write(piece)
    return per_set * sets


def _big(per_set: int, sets: int) -> Iterator[str]:
    yield interchange(a_group([])).split("GE*")[0]
    for number in range(1, sets + 1):
        yield f"ST*837*{number:04d}*{GUIDE}~{HEADER}"
        yield from (claim(n) for n in range(per_set))
        yield f"SE*{2 + HEADER.count('~') + per_set * claim(0).count('~')}*{number:04d}~"
    yield f"GE*{sets}*7~IEA*1*000000001~"


def x12valid(folder: Path, *bodies: bytes) -> list[bool]:
    """What pyx12 says of each interchange. It writes its own 999 as N.x12.997 beside each N.x12.

    It ends at an interchange over which it stumbles, which is then called invalid.
    """
    paths = [folder / f"{n}.x12" for n in range(len(bodies))]
    for path, body in zip(paths, bodies, strict=True):
        path.write_bytes(body)
    said: list[bool] = []
    while len(said) < len(paths):
        found = _x12valid(paths[len(said) :])
        said += found if len(said) + len(found) == len(paths) else [*found, False]
    return said


def _x12valid(paths: Sequence[Path]) -> list[bool]:
    program = Path(sys.executable).with_name("x12valid")
    ran = subprocess.run([program, *paths], capture_output=True, text=True, timeout=120, cwd=paths[0].parent)
    told = dict(re.findall(r"^(.+): (OK|Failure)$", ran.stderr, re.MULTILINE))
    return [told[str(path)] == "OK" for path in paths if str(path) in told]

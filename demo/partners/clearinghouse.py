"""A clearinghouse: drops files into the engine's folders and picks up what it is answered.

`claim` drops an 837P and waits for its TA1 and 999; `payment` drops an 835. accept: a good file; twice: the
same file under another name; error: a segment that the guide does not allow, or a payment that does not
balance; garbage: no interchange at all.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from pathlib import Path
from unicodedata import normalize

from demo.partners.claims import Insured, claim, payment
from demo.partners.role import PATIENCE, options, tell

CHARGES = (("99284", 320), ("80053", 45), ("71046", 110))
"""Emergency visit, comprehensive metabolic panel, chest X-ray: procedure and dollars."""
KEPT = 10


def drop(body: bytes, folder: Path, name: str) -> None:
    """Written under a hidden name and renamed, so that nobody reads half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f".{name}"
    hidden.write_bytes(body)
    os.rename(hidden, folder / name)
    tell("clearinghouse", dropped=name, bytes=len(body))


def kinds(body: bytes) -> list[str]:
    """The acknowledgements in a file: `TA1 A`, `999 E`."""
    if not body.startswith(b"ISA") or len(body) < 106:
        return []
    element, end = body[3:4].decode(), body[105:106].decode()
    segments = [s.strip().split(element) for s in body.decode("latin-1").split(end)]
    found = [f"TA1 {s[4]}" for s in segments if s[0] == "TA1" and len(s) > 4]
    return found + [f"999 {s[1]}" for s in segments if s[0] == "AK9" and len(s) > 1]


def answers(folder: Path, wanted: int, before: set[str]) -> list[str]:
    """What is answered, as soon as there are so many; what there is when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while True:
        files = sorted(f for f in folder.glob("*") if f.name not in before and not f.name.startswith("."))
        found = [kind for file in files for kind in kinds(file.read_bytes())]
        if len(found) >= wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def plain(text: str) -> str:
    """As X12's basic character set has it (005010, B.1.1.2): capitals without accents."""
    return normalize("NFKD", text).encode("ascii", "ignore").decode().upper()


def body_of(does: str, behave: str, who: Insured, number: int) -> bytes:
    at = datetime.now()
    if behave == "garbage":
        return b"Dear Sir or Madam, please find our claims attached.\n"
    if does == "payment":
        return payment(who, number, at, CHARGES, KEPT, off_by=int(behave == "error"))
    made = claim(who, number, at, CHARGES)
    return made.replace(b"SV1*HC:99284*320*UN*1", b"SV1*HC:99284*320*QQ*1") if behave == "error" else made


def main() -> int:
    parser = options(__doc__, "accept", "twice", "error", "garbage")
    parser.add_argument("does", choices=("claim", "payment"))
    parser.add_argument("folder", type=Path, help="where the file is dropped")
    parser.add_argument("--answers", type=Path, help="where TA1 and 999 are picked up")
    parser.add_argument("--number", type=int, default=1, help="the interchange's control number")
    parser.add_argument("--patient", default="MRN10021^Ekström^Marta^19640411^F^HHP7700123", metavar="WHO",
                        help="MRN^FAMILY^GIVEN^BIRTH^SEX^MEMBER")  # fmt: skip
    given = parser.parse_args()
    mrn, family, given_name, birth, sex, member = plain(given.patient).split("^")
    who = Insured(mrn, family, given_name, birth, sex, member, f"{mrn}-{given.number}")
    before = {f.name for f in given.answers.glob("*")} if given.answers else set()
    body = body_of(given.does, given.behave, who, given.number)
    for again in ("", "-again")[: 2 if given.behave == "twice" else 1]:
        drop(body, given.folder, f"{given.does}-{given.number:09}{again}.x12")
    if given.answers:
        found = answers(given.answers, 2, before)
        tell("clearinghouse", answered=found)
        return 0 if found else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

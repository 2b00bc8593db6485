"""The splitter: every sender is answered as X12 has it, and what is accepted falls into claims."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.x12.split import x12 as split
from engine.message import Part, Reply, State, Stop
from engine.plugin import Feed
from store.identity import Identity
from tests.adapters.x12_interchange import (
    GUIDE,
    HEADER,
    a_group,
    a_set,
    claim,
    claims,
    interchange,
    professional,
    write_big,
    x12valid,
)

FEED = Feed("claims", ZoneInfo("America/New_York"), Identity(b"x" * 32))
Pieces = list[Part | Reply | Stop]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "whole.x12"


def pieces(file: Path, text: str, *, seen: bool = False, **settings: Any) -> Pieces:
    file.write_bytes(text.encode("latin-1"))
    return list(split(file, FEED, seen, **settings))


def parts(found: Pieces) -> list[Part]:
    return [piece for piece in found if isinstance(piece, Part)]


def replies(found: Pieces) -> list[str]:
    return [piece.body.decode() for piece in found if isinstance(piece, Reply)]


def lines(reply: str, *names: str) -> list[str]:
    return [line for line in reply.split("~") if line.split("*")[0] in names]


# -- what is accepted


def test_each_claim_becomes_an_interchange_of_its_own(file: Path) -> None:
    found = parts(pieces(file, professional(3)))
    assert [part.key for part in found] == [f"000000001/7/0001/{n}" for n in (1, 2, 3)]
    assert all(part.reason is None for part in found)
    second = found[1].body.decode()
    assert lines(second, "CLM", "SE", "GE", "IEA", "HL") == [
        "HL*1**20*1", "HL*2*1*22*0", "CLM*ACC000001*150***11:B:1*Y*A*Y*Y", "SE*28*0001", "GE*1*7", "IEA*1*000000001"
    ]  # fmt: skip
    assert "MBR000000" not in second
    assert "MBR000002" not in second


def test_what_stands_in_a_claim_is_the_senders_bytes(file: Path) -> None:
    text = professional(2).replace("~", "~\r\n")
    first = parts(pieces(file, text))[0].body.decode()
    begin, end = text.index("CLM*"), text.index("HL*3")
    assert text[begin:end] in first
    assert first.endswith("GE*1*7~\r\nIEA*1*000000001~\r\n")


DEPENDENT = (
    "HL*3*1*22*1~SBR*P**GRP0001******CI~NM1*IL*1*PARKER*ELENA****MI*MBR9~NM1*PR*2*NORTHERN MUTUAL*****PI*NM001~"
    "HL*4*3*23*0~PAT*19~NM1*QC*1*PARKER*NOAH~N3*12 ELM STREET~N4*RIVERTON*NY*12001~DMG*D8*20180612*M~"
    + claim(0)[claim(0).index("CLM*") :]
)


def test_a_dependents_claim_has_the_subscriber_above_it_and_nobody_else(file: Path) -> None:
    body = HEADER + claim(0) + DEPENDENT
    first, second = parts(pieces(file, interchange(a_group([a_set(body)]))))
    assert lines(second.body.decode(), "HL") == ["HL*1**20*1", "HL*2*1*22*1", "HL*3*2*23*0"]
    assert b"MBR000000" not in second.body
    assert b"NOAH" not in first.body


def test_pyx12_accepts_every_part(file: Path, tmp_path: Path) -> None:
    body = HEADER + claim(0) + DEPENDENT
    found = parts(pieces(file, interchange(a_group([a_set(body), a_set(claims(2), "0002")]))))
    assert x12valid(tmp_path, *(part.body for part in found)) == [True] * 4


def test_an_interchange_is_answered_with_one_999_for_each_group(file: Path, tmp_path: Path) -> None:
    text = interchange(a_group([a_set(claims(1))], 7), a_group([a_set(claims(1))], 8), ask=True)
    ta1, first, second = replies(pieces(file, text))
    assert lines(ta1, "TA1") == ["TA1*000000001*260301*1200*A*000"]
    assert lines(first, "AK1", "AK2", "IK5", "AK9") == [
        "AK1*HC*7*005010X222A1", "AK2*837*0001*005010X222A1", "IK5*A", "AK9*A*1*1*1"
    ]  # fmt: skip
    assert lines(second, "AK1") == ["AK1*HC*8*005010X222A1"]
    numbers = {reply[90:99] for reply in (ta1, first, second)}
    assert len(numbers) == 3
    assert all("*ZZ*RIVERSIDE      *ZZ*LAKESIDE       *" in reply for reply in (ta1, first, second))
    assert x12valid(tmp_path, *(reply.encode() for reply in (ta1, first, second))) == [True] * 3


def test_no_ta1_unless_it_is_asked_for(file: Path) -> None:
    assert [lines(reply, "TA1", "AK9") for reply in replies(pieces(file, professional()))] == [
        ["AK9*A*1*1*1"]
    ]


def test_a_second_run_gives_the_same(file: Path) -> None:
    text = professional(ask=True)
    assert pieces(file, text) == pieces(file, text)


ACK = "AK1*HC*7*005010X222A1~AK2*837*0001*005010X222A1~IK5*A~AK9*A*1*1*1~"


def test_acknowledgements_are_taken_and_never_acknowledged(file: Path) -> None:
    group = a_group([a_set(ACK, code="999", guide="005010X231A1")], code="FA", guide="005010X231A1")
    ta1 = interchange(ask=True).replace("IEA*", "TA1*000000001*260301*1200*A*000~IEA*")
    assert replies(pieces(file, interchange(group))) == []
    found = pieces(file, ta1)
    assert replies(found) == []
    assert [part.key for part in parts(found)] == ["000000001/TA1/1"]
    old = a_group([a_set("AK1*HC*7~AK9*A*1*1*1~", code="997", guide="")], code="FA", guide="005010")
    found = pieces(file, interchange(old))
    assert replies(found) == []
    assert [part.reason for part in parts(found)] == [None]


def test_a_remittance_is_one_part(file: Path, tmp_path: Path) -> None:
    sample = (Path(__file__).parents[2] / "channels" / "samples" / "remittance.x12").read_text()
    part, reply = pieces(file, sample)
    assert isinstance(part, Part)
    assert part.body.decode() == sample
    assert isinstance(reply, Reply)
    assert x12valid(tmp_path, reply.body, part.body) == [True, True]


# -- what is not


FAULTS = {
    "a number that is none": ("*150***11", "*abc***11"),
    "a date that is none": ("DTP*472*D8*20260210", "DTP*472*D8*20260231"),
    "a code that is none": ("SBR*P*18", "SBR*Z*18"),
    "a missing segment": ("HI*ABK:J0300*ABF:R509~", ""),
    "a segment that does not belong": ("HI*ABK", "ZZZ*1~HI*ABK"),
    "an element too many": ("REF*EI*123456789", "REF*EI*123456789*X*Y*Z"),
    "an element too few": ("NM1*PR*2*NORTHERN MUTUAL", "NM1*PR*2*"),
    "trailing separators": ("N3*12 ELM STREET", "N3*12 ELM STREET**"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_set_is_refused_as_pyx12_refuses_it(file: Path, tmp_path: Path, fault: str) -> None:
    text = professional(2)
    faulty = text.replace(*FAULTS[fault], 1)
    count = faulty.count("~") - 4  # ISA, GS, GE, IEA
    faulty = re.sub(r"SE\*\d+", f"SE*{count}", faulty)
    found = pieces(file, faulty)
    (reply,) = replies(found)
    ours, whole = x12valid(tmp_path, reply.encode(), faulty.encode())
    assert (ours, whole) == (True, False)
    theirs = (tmp_path / "1.x12.997").read_text()
    assert lines(reply, "IK3", "IK4", "IK5") == lines(theirs.replace("\n", ""), "IK3", "IK4", "IK5")
    assert [part.reason.code for part in parts(found) if part.reason] == ["refused-set"]


def test_the_other_sets_of_a_group_are_taken(file: Path, tmp_path: Path) -> None:
    bad = a_set(claims(1).replace("*150***", "*x***"), "0001")
    found = pieces(file, interchange(a_group([bad, a_set(claims(2), "0002")])))
    assert [part.reason is None for part in parts(found)] == [False, True, True]
    (reply,) = replies(found)
    assert lines(reply, "IK5", "AK9") == ["IK5*R*5", "IK5*A", "AK9*P*2*2*1"]
    assert x12valid(tmp_path, reply.encode()) == [True]


GROUP = {
    "GE01": ("GE*1*7", "GE*2*7", "AK9*R*2*1*0*5"),
    "GE02": ("GE*1*7", "GE*1*8", "AK9*R*1*1*0*4"),
    "no GE": ("GE*1*7~", "", "AK9*R*1*1*0*3"),
    "GS06": ("*1200*7*X", "*1200*ABC*X", "AK9*R*1*1*0*4*6"),
    "GS08 unknown": (f"*X*{GUIDE}", "*X*005010X999A9", "AK9*R*1*1*0*2"),
    "GS08 004010": (f"*X*{GUIDE}", "*X*004010X098A1", "AK9*R*1*1*0*2"),
    "GS01 unknown": ("GS*HC", "GS*QQ", "AK9*R*1*1*0*1"),
}


@pytest.mark.parametrize("what", GROUP)
def test_a_faulty_group_is_answered_with_its_code(file: Path, tmp_path: Path, what: str) -> None:
    before, after, ak9 = GROUP[what]
    found = pieces(file, professional().replace(before, after))
    (reply,) = replies(found)
    answered = lines(reply, "AK9")[0].split("*")
    assert [*answered[:5], *sorted(answered[5:])] == ak9.split("*")
    assert [part.reason.code for part in parts(found) if part.reason] == ["refused-group"]
    assert len(parts(found)) == 1
    if what != "GS01 unknown":  # AK1 repeats what is no functional identifier
        assert x12valid(tmp_path, reply.encode()) == [True]


SE = professional()[professional().index("SE*") :].split("GE")[0]
SETS = {
    "SE01": ("SE*", "SE*9", "IK5*R*4"),
    "SE02": ("*0001~GE", "*0009~GE", "IK5*R*3"),
    "no SE": (SE, "", "IK5*R*2"),
}


@pytest.mark.parametrize("what", SETS)
def test_a_set_with_a_faulty_trailer_is_refused_with_its_code(file: Path, what: str) -> None:
    before, after, ik5 = SETS[what]
    (reply,) = replies(pieces(file, professional().replace(before, after)))
    assert lines(reply, "IK5", "AK9") == [ik5, "AK9*R*1*1*0"]


def test_a_control_number_that_comes_twice_in_a_group(file: Path) -> None:
    (reply,) = replies(pieces(file, interchange(a_group([a_set(claims(1)), a_set(claims(1))]))))
    assert lines(reply, "IK5", "AK9") == ["IK5*A", "IK5*R*23", "AK9*P*2*2*1"]


ENVELOPE = {
    "001": ("IEA*1*000000001", "IEA*1*000000002"),
    "005": ("*ZZ*LAKESIDE", "*Q9*LAKESIDE"),
    "006": ("*ZZ*LAKESIDE ", "*ZZ*ELSEWHERE"),
    "007": ("*ZZ*RIVERSIDE ", "*Q9*RIVERSIDE "),
    "008": ("*ZZ*RIVERSIDE ", "*ZZ*HILLSIDE  "),
    "014": ("*260301*", "*260399*"),
    "015": ("*1200*^", "*2561*^"),
    "017": ("*00501*", "*00401*"),
    "018": ("*000000001*0*", "*00000000A*0*"),
    "019": ("*0*P*", "*7*P*"),
    "020": ("*P*:", "*Q*:"),
    "021": ("IEA*1*", "IEA*2*"),
    "022": ("GS*HC", "NTE*ADD*X~GS*HC"),
    "023": ("IEA*1*000000001~", ""),
}


@pytest.mark.parametrize("note", ENVELOPE)
def test_a_faulty_envelope_is_refused_with_its_note(file: Path, tmp_path: Path, note: str) -> None:
    text = professional().replace(*ENVELOPE[note])
    *answers, stop = pieces(
        file, text, senders=["ZZ:LAKESIDE", "LAKESIDE"], receivers=["ZZ:RIVERSIDE", "RIVERSIDE"]
    )
    (ta1,) = replies(answers)
    assert len(answers) == 1
    assert lines(ta1, "TA1")[0].endswith(f"*R*{note}")
    assert isinstance(stop, Stop)
    assert (stop.state, stop.reason.code, stop.reason.place) == (State.REFUSED, "refused-interchange", "ISA")
    if note not in ("014", "015", "018"):  # TA1 repeats what was no date, time or number
        assert x12valid(tmp_path, ta1.encode()) == [True]


def test_truncation_within_a_segment_takes_everything_back(file: Path) -> None:
    text = professional()
    *answers, stop = pieces(file, text[: text.index("DTP*472") + 4])
    assert lines(replies(answers)[0], "TA1") == ["TA1*000000001*260301*1200*R*023"]
    assert isinstance(stop, Stop)
    assert parts(answers) == []


def test_a_control_number_that_was_accepted_before_is_refused(file: Path) -> None:
    *answers, stop = pieces(file, professional(), seen=True)
    assert lines(replies(answers)[0], "TA1") == ["TA1*000000001*260301*1200*R*025"]
    assert isinstance(stop, Stop)
    assert stop.state is State.REFUSED


@pytest.mark.parametrize("text", ["hello", "MSH|^~\\&|", "ISA*00*", "GS*HC~", "\x00" * 200, "\r\n"])
def test_what_is_no_interchange_is_kept_for_a_person(file: Path, text: str) -> None:
    (stop,) = pieces(file, text)
    assert isinstance(stop, Stop)
    assert (stop.state, stop.reason.code) == (State.QUARANTINED, "unreadable-isa")


def test_a_file_of_several_interchanges(file: Path) -> None:
    """The faulty one is refused, the others are taken; rubbish behind them is kept as a part that is not."""
    good, other = professional(1), interchange(a_group([a_set(claims(1))]), number=2)
    bad = interchange(a_group([a_set(claims(1))]), number=3).replace("IEA*1*000000003", "IEA*1*000000007")
    found = pieces(file, good + "\n" + bad + other + "rubbish~")
    codes = [part.reason.code if part.reason else "" for part in parts(found)]
    assert codes == ["", "", "refused-interchange", "after-iea"]
    answers = [lines(reply, "TA1", "AK9")[0] for reply in replies(found)]
    assert answers == ["AK9*A*1*1*1", "TA1*000000003*260301*1200*R*001", "AK9*A*1*1*1"]


def test_a_control_number_that_comes_twice_in_a_file(file: Path) -> None:
    found = pieces(file, professional(1) * 2)
    assert [part.reason.code if part.reason else "" for part in parts(found)] == ["", "refused-interchange"]
    assert lines(replies(found)[1], "TA1") == ["TA1*000000001*260301*1200*R*025"]


def test_a_part_that_is_too_long_is_refused(file: Path) -> None:
    first, second = parts(pieces(file, professional(2), max_part=500))
    assert [part.reason.code for part in (first, second) if part.reason] == ["oversized-part"] * 2
    assert len(first.body) < 2000


def test_guides_may_be_read_as_others(file: Path) -> None:
    text = professional(1).replace(GUIDE, "005010X222A2")
    found = pieces(file, text, read_as={"005010X222A2": GUIDE})
    assert [part.reason for part in parts(found)] == [None]
    assert lines(replies(found)[0], "AK1", "AK9") == ["AK1*HC*7*005010X222A2", "AK9*A*1*1*1"]


def test_nothing_of_a_message_is_logged(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pieces(file, professional().replace("*150***", "*PARKER***"))
    assert not re.search("PARKER|MBR0|ACC0", caplog.text)


def test_no_reason_repeats_what_stands_where_a_segment_id_should(file: Path) -> None:
    found = pieces(file, professional(1).replace("HI*ABK", "ELENA PARKER~ELP*X~HI*ABK"))
    assert "ELENA" not in str([part.reason for part in parts(found)])
    assert "ELENA PARKER" not in replies(found)[0]


def test_no_reason_repeats_a_value(file: Path) -> None:
    found = pieces(file, professional().replace("*150***", "*PARKER***"))
    assert [str(part.reason) for part in parts(found)] == [
        "refused-set at CLM at segment 19: the transaction set was refused in the 999 (IK5 5)"
    ]


# -- a file of any length

MEASURED = """
import resource, sys
from pathlib import Path
from adapters.x12.split import x12
from engine.message import Part
taken = sum(isinstance(piece, Part) and piece.reason is None for piece in x12(Path(sys.argv[1]), None, False))
print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(path: Path) -> tuple[int, int]:
    """How many parts are taken from the file, and the peak of resident memory in KiB, in a process of its own."""
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, path],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=root,
        check=True,
    )
    taken, memory = ran.stdout.split()
    return int(taken), int(memory)


@pytest.mark.parametrize("per_set", [1, 500])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, per_set: int) -> None:
    """One tenth at most from 0.5 to 2.5 MB, in few sets of many claims and in many sets of one; from 5 to 50 MB see
    `python -m tests.bench.claims`."""
    small, large = tmp_path / "small.x12", tmp_path / "large.x12"
    sizes = (500_000, 2_500_000)
    counts = [
        write_big(path, size, size // len(claim(0)) // per_set)
        for path, size in zip((small, large), sizes, strict=True)
    ]
    (taken, before), (all_taken, after) = peak(small), peak(large)
    assert [taken, all_taken] == counts
    assert after < 1.1 * before

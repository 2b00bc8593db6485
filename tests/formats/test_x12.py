"""X12: the bytes are kept, whatever the delimiters and the line ends; what cannot be read is said, not guessed."""

from __future__ import annotations

import io
import pickle

import pytest

from formats import hl7v2, x12
from formats.reason import Reason
from formats.x12 import reader

ISA = "ISA*00*          *00*          *ZZ*LAKESIDE       *ZZ*RIVERSIDE      *260301*1200*^*00501*000000001*0*P*:~"
SET = (
    "GS*HC*LAKESIDE*RIVERSIDE*20260301*1200*7*X*005010X222A1~ST*837*0001*005010X222A1~"
    "BHT*0019*00*B1*20260301*1200*CH~CLM*ACC1*150***11:B:1*Y~SV1*HC:99213:25*100~SV1*HC:87880*50~"
    "SE*6*0001~GE*1*7~IEA*1*000000001~"
)
WHOLE = ISA + SET


def read(text: str | bytes, **settings: int) -> list[x12.Segment | Reason]:
    body = text.encode() if isinstance(text, str) else text
    return list(x12.segments(io.BytesIO(body), **settings))


def message(text: str, **settings: str) -> x12.Message:
    made = x12.parse(text.encode(), **settings)
    assert isinstance(made, x12.Message)
    return made


@pytest.fixture(params=[1, 2, 3, 7, 106, 107, 1 << 16])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, however the file falls into pieces."""
    monkeypatch.setattr(reader, "CHUNK", request.param)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("line_end", ["", "\n", "\r\n", "\r"])
def test_every_byte_is_some_segments(line_end: str) -> None:
    body = WHOLE.replace("~", "~" + line_end).encode()
    found = [s for s in read(body) if isinstance(s, x12.Segment)]
    assert b"".join(s.raw for s in found) == body
    assert [s.name for s in found] == "ISA GS ST BHT CLM SV1 SV1 SE GE IEA".split()  # noqa: SIM905
    assert all(body[s.start :].startswith(s.text.encode()) for s in found)


@pytest.mark.parametrize("delimiters", ["*:^~", "|>^\n", "\x1d\x1f\x1e\x1c", "+;!'"])
def test_the_delimiters_are_those_of_isa(delimiters: str) -> None:
    text = WHOLE.translate(str.maketrans("*:^~", delimiters))
    found = message(text)
    assert found.get("ST", 2) == "0001"
    assert found.get("CLM", 5, 2) == "B"
    assert found.illegible() is None


def test_an_isa11_that_is_no_delimiter_separates_nothing() -> None:
    found = x12.read_isa(ISA.replace("*^*", "*U*").encode())
    assert isinstance(found, x12.Delimiters)
    assert found.repetition == b""


@pytest.mark.parametrize(
    "body",
    [b"", b"HELLO", b"MSH|^~\\&|", ISA[:60].encode(), ISA.replace("LAKESIDE  ", "LAKESIDE").encode(),
     ISA.replace(":~", "**").encode(), ISA.replace(":~", ":A").encode()],
)  # fmt: skip
def test_what_has_no_readable_isa_is_not_read(body: bytes) -> None:
    made = x12.parse(body)
    assert isinstance(made, Reason)
    assert made.code == "unreadable-isa"


def test_a_file_that_ends_within_a_segment_says_so() -> None:
    *_, last = read(WHOLE[:-10])
    assert isinstance(last, Reason)
    assert last.code == "truncated"


def test_a_segment_has_a_longest() -> None:
    *_, last = read(ISA + "NTE*ADD*" + "X" * 2000 + "~", longest=1000)
    assert isinstance(last, Reason)
    assert last.code == "segment-too-long"


def test_a_file_may_hold_interchanges_with_other_delimiters() -> None:
    second = WHOLE.translate(str.maketrans("*~", "|\n"))
    found = [s for s in read(WHOLE + "\r\n" + second) if isinstance(s, x12.Segment)]
    assert [s.get(2) for s in found if s.name == "ST"] == ["0001", "0001"]


def test_a_message_says_what_it_is() -> None:
    found = message(WHOLE)
    assert (found.kind, found.guide, found.key) == ("837P", "005010X222A1", "ZZ:LAKESIDE/000000001")
    assert found.raw == WHOLE.encode()
    assert pickle.loads(pickle.dumps(found)) == found


def test_the_beginning_of_an_interchange_says_what_it_is() -> None:
    """Intake sees no more of a big one."""
    found = message(WHOLE[:300])
    assert found.kind == "837P"
    assert found.illegible() == Reason("truncated", "the file ends within a segment")


def test_values_are_found_by_path() -> None:
    found = message(WHOLE)
    assert found.values(hl7v2.path("CLM-5.3")) == ["1"]
    assert found.values(hl7v2.path("SV1-1.2")) == ["99213", "87880"]
    assert found.values(hl7v2.path("SV1[2]-2")) == ["50"]
    assert found.values(hl7v2.path("ISA-6.1")) == ["LAKESIDE"]
    assert found.all("SV1")[1].place(1, 2) == "SV1[2]-1.2"


@pytest.mark.parametrize(
    ("body", "place"),
    [(ISA + SET.replace("SE*6*0001~", ""), "SE"), (ISA + SET.replace("IEA*1*000000001~", ""), "IEA"),
     (ISA + SET.replace("GE*1*7~", "ST*837*0002~SE*2*0002~GE*1*7~"), "ST")],
)  # fmt: skip
def test_a_torn_envelope_is_said(body: str, place: str) -> None:
    found = message(body).illegible()
    assert found is not None
    assert (found.code, found.place) == ("bad-envelope", place)


def test_a_byte_that_the_character_set_does_not_have_is_never_replaced() -> None:
    body = WHOLE.replace("ACC1", "MÜLLER").encode("latin-1")
    found = x12.parse(body)
    assert isinstance(found, x12.Message)
    reason = found.illegible()
    assert reason is not None
    assert (reason.code, reason.place) == ("undecodable", "CLM")
    latin = x12.parse(body, charset="latin-1")
    assert isinstance(latin, x12.Message)
    assert latin.get("CLM", 1) == "MÜLLER"


def test_our_own_segments_hold_no_delimiters() -> None:
    assert x12.segment("TA1", x12.clean("1~*:^\n\x00é2"), "", "") == b"TA1*12~"

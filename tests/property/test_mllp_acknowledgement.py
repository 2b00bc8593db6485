"""Whatever a sender calls its message, it is answered in its own delimiters and under its own name."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from adapters.mllp import answer
from adapters.mllp.acknowledgement import Acknowledger
from engine.message import Accepted, Refused
from formats import hl7v2
from formats.hl7v2 import msh as header
from store.reason import Reason

delimiters = st.permutations("|^~\\&#!@$%*+-/:;<=>?`{}").map("".join).map(str.encode)
field = st.binary(max_size=12)
text = st.text(max_size=100)


@given(delimiters, st.integers(1, 5), st.lists(field, max_size=20), text)
@example(b"|^~\\&", 4, [b""] * 20, "")
def test_every_readable_header_is_answered(marks: bytes, count: int, rest: list[bytes], why: str) -> None:
    message = b"MSH" + marks[:1] + marks[: count + 1][1:] + b"".join(marks[:1] + f for f in rest) + b"\rPID"
    found = header.read(message)
    assert found
    maker = Acknowledger({}, original=True, clock=lambda: 0, origin="CW")
    for receipt, code in ((Accepted(1), "AA"), (Refused(Reason("some-reason", why, "PID-3")), "AE")):
        made = maker.answer(found, receipt)
        if found.unanswered:
            assert made is None
            continue
        assert made
        read = hl7v2.parse(made, charset="ISO-8859-1")
        assert isinstance(read, hl7v2.Message) or read.code in ("unsupported-charset", "undecodable")
        said = answer.read(made)
        assert said
        assert (said.code, said.control) == (code, found.fields[10])


@given(st.binary(max_size=60), st.sampled_from([b"", b"MSH", b"MSH|", b"MSH|^~\\&|", b"\xef\xbb\xbfMSH"]))
def test_no_bytes_at_all_go_without_an_answer(rest: bytes, start: bytes) -> None:
    found = header.read(start + rest)
    maker = Acknowledger({}, original=True, clock=lambda: 0, origin="CW")
    made = maker.answer(found, Refused(Reason("no-msh", "no message", "MSH")), message=False)
    if found and found.unanswered:
        return
    assert made
    said = answer.read(made)
    assert said
    assert said.code == "AR"

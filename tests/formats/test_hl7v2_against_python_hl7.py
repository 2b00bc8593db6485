"""The view and python-hl7, an independent reader, say the same of well-formed messages."""

from collections.abc import Sequence

import hl7
from hypothesis import given, settings
from hypothesis import strategies as st

from formats import hl7v2

TEXT = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"], exclude_characters="|^~\\&"), max_size=8
)
ESCAPED = st.sampled_from(["\\F\\", "\\S\\", "\\T\\", "\\R\\", "\\E\\"])
LEAF = st.lists(TEXT | ESCAPED, max_size=3).map("".join).filter(lambda text: text != '""')


def joined(part: st.SearchStrategy[str], separator: str) -> st.SearchStrategy[str]:
    return st.lists(part, min_size=1, max_size=3).map(separator.join)


FIELD = joined(joined(joined(LEAF, "&"), "^"), "~")
SEGMENT = st.builds(
    lambda name, fields: "|".join([name, *fields]),
    st.sampled_from(["PID", "OBX", "ZZ1"]),
    st.lists(FIELD, min_size=1, max_size=4),
)


@settings(deadline=None)
@given(st.lists(SEGMENT, min_size=1, max_size=4))
def test_both_read_the_same(segments: Sequence[str]) -> None:
    text = "\r".join(["MSH|^~\\&|A|B|||||ADT^A01|M1|P|2.5||||||UNICODE UTF-8", *segments, "ZZ9|end"]) + "\r"
    theirs = hl7.parse(text)
    ours = hl7v2.parse(text.encode())
    assert isinstance(ours, hl7v2.Message)
    assert len(ours.segments) == len(theirs)
    for segment, other in zip(ours.segments[1:], list(theirs)[1:], strict=True):
        assert [field.decode() for field in segment.fields] == [str(field) for field in other]
        for number, field in enumerate(segment.fields[1:], 1):
            for r, repetition in enumerate(ours.repetitions(field), 1):
                for c, component in enumerate(ours.components(repetition), 1):
                    for s, _ in enumerate(ours.subcomponents(component), 1):
                        place = hl7v2.Path(segment.name, number, segment.number, r, c, s)
                        expected = theirs.extract_field(segment.name, segment.number, number, r, c, s)
                        assert (ours.get(place) or "") == expected

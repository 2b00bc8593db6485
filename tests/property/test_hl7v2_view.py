"""For any message: bytes come back from leaves, a write changes one span and reads back, nothing raises."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from formats import hl7v2
from formats.hl7v2 import NULL, Message, Path, Separators
from formats.reason import Reason

UTF8 = b"|||||||||||||||||UNICODE UTF-8"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TRICKY = st.text('|^~\\&#"FSTREHNX0D.br\r\n\té日', max_size=12)
SEPARATORS = st.sampled_from(
    [
        Separators(),
        Separators(truncation=b"#"),
        Separators(b"#", b"!", b"@", b"%", b"*"),
        Separators(b"^", b"~", b"|"),
    ]
)
END = st.sampled_from([b"\r", b"\n", b"\r\n"])
NAME = st.sampled_from(["PID", "PV1", "OBX", "NTE", "ZZ1"])


def joined(part: st.SearchStrategy[bytes], separator: bytes, most: int) -> st.SearchStrategy[bytes]:
    return st.lists(part, max_size=most).map(separator.join)


def fields(s: Separators) -> st.SearchStrategy[bytes]:
    leaf = (TEXT | TRICKY).map(lambda text: hl7v2.escape(text, s)) | st.just(b'""')
    component = joined(leaf, s.subcomponent, 3)
    return joined(joined(component, s.component, 4), s.repetition, 3)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Well-formed messages of any delimiters and line ends, with values of any text."""
    s = draw(SEPARATORS)
    field = fields(s)
    encoding = s.component + s.repetition + s.escape + s.subcomponent + s.truncation
    lines = [b"MSH" + s.field + encoding + UTF8[1:].replace(b"|", s.field)]
    for name in draw(st.lists(NAME, max_size=5)):
        lines.append(s.field.join([name.encode(), *draw(st.lists(field, max_size=6))]))
    end = draw(END)
    return end.join(lines) + draw(st.sampled_from([b"", end]))


PATHS = st.builds(
    Path,
    segment=NAME | st.just("MSH"),
    field=st.integers(1, 8),
    occurrence=st.integers(0, 2),
    repetition=st.integers(0, 4),
    component=st.integers(0, 4),
) | st.builds(
    Path,
    segment=NAME,
    field=st.integers(1, 8),
    occurrence=st.integers(0, 2),
    repetition=st.integers(0, 4),
    component=st.integers(1, 4),
    subcomponent=st.integers(1, 4),
)


def parsed(body: bytes) -> Message:
    message = hl7v2.parse(body)
    assert isinstance(message, Message)
    return message


def full(place: str) -> Path:
    """The same leaf's path with every number said."""
    p = hl7v2.path(place)
    return Path(
        p.segment, p.field, p.occurrence or 1, p.repetition or 1, p.component or 1, p.subcomponent or 1
    )


def within(leaf: Path, where: Path) -> bool:
    """Whether the leaf is at or below the path."""
    given = (leaf.segment, leaf.field, leaf.occurrence, leaf.repetition, leaf.component, leaf.subcomponent)
    asked = (
        where.segment,
        where.field,
        where.occurrence or 1,
        where.repetition or 1,
        where.component or leaf.component,
        where.subcomponent or leaf.subcomponent,
    )
    return given == asked


def values(message: Message) -> dict[Path, object]:
    return {
        full(leaf.path): message.get(full(leaf.path)) for leaf in message.leaves() if leaf.path != "MSH-2"
    }


def check_spans(message: Message) -> None:
    """Between the leaves lie only delimiters, line ends and, at the start of a segment, its name."""
    s = message.separators
    names = {segment.start: 3 for segment in message.segments if segment.name}
    allowed = set(s.field + s.component + s.repetition + s.subcomponent + b"\r\n")
    at, rebuilt = message.raw.index(b"MSH"), message.raw[: message.raw.index(b"MSH")]
    for start, end in [(leaf.start, leaf.end) for leaf in message.leaves()] + [
        (len(message.raw), len(message.raw))
    ]:
        assert at <= start <= end
        while at < start:
            width = names.get(at, 1)
            assert width == 3 or message.raw[at] in allowed
            rebuilt += message.raw[at : at + width]
            at += width
        rebuilt += message.raw[start:end]
        at = end
    assert rebuilt == message.raw


@settings(deadline=None)
@given(messages())
def test_bytes_rebuilt_from_leaf_spans_equal_the_input(body: bytes) -> None:
    message = parsed(body)
    check_spans(message)
    assert message.undecodable() is None


@settings(deadline=None)
@given(messages())
def test_every_leaf_is_read_by_its_path(body: bytes) -> None:
    message = parsed(body)
    for leaf in message.leaves():
        value = body[leaf.start : leaf.end]
        if leaf.path != "MSH-2":
            expected = NULL if value == b'""' else message.text(value) or None
            assert message.get(leaf.path) == expected
            assert str(hl7v2.path(leaf.path)) == leaf.path


@settings(deadline=None)
@given(messages(), PATHS, TEXT | TRICKY | st.just('""') | st.just(NULL))
def test_setting_one_path_changes_only_that_span_and_reads_back(body: bytes, where: Path, value: str) -> None:
    message = parsed(body)
    assume(not where.fixed)
    same = message.all(where.segment)
    assume(len(same) >= (where.occurrence or 1))
    assume(where.subcomponent < 2 or message.separators.subcomponent)
    segment = same[(where.occurrence or 1) - 1]
    changed = message.set(where, value)
    assert changed.get(where) == (NULL if value is NULL else value or None)
    assert changed.raw.startswith(body[: segment.start])
    assert changed.raw.endswith(body[segment.end :])
    assert len(changed.segments) == len(message.segments)
    before, after = values(message), values(changed)
    assert {p: v for p, v in before.items() if not within(p, where)} == {
        p: v for p, v in after.items() if not within(p, where)
    }
    if (segment.name, where.field) != ("MSH", 18):
        check_spans(changed)


@settings(deadline=None)
@given(messages(), st.sets(NAME))
def test_keep_and_drop_take_whole_lines(body: bytes, names: set[str]) -> None:
    message = parsed(body)
    kept, dropped = message.keep(names), message.drop(names)
    lines = [(s.name, s.line) for s in message.segments]
    assert [(s.name, s.line) for s in kept.segments] == [x for x in lines if x[0] in names or x[0] == "MSH"]
    assert [(s.name, s.line) for s in dropped.segments] == [x for x in lines if x[0] not in names]


@settings(deadline=None)
@given(
    st.text(max_size=30) | TRICKY, SEPARATORS, st.sampled_from(["ascii", "iso8859-1", "iso8859-15", "utf-8"])
)
def test_what_escape_writes_reads_back_and_holds_no_delimiter(text: str, s: Separators, charset: str) -> None:
    try:
        written = hl7v2.escape(text, s, charset)
    except hl7v2.Unencodable as error:
        with pytest.raises(UnicodeEncodeError):
            text[error.offset].encode(charset)
        return
    assert not set(written) & set(s.field + s.component + s.repetition + s.subcomponent + b"\r\n\x0b\x1c")
    encoding = s.component + s.repetition + s.escape + s.subcomponent + s.truncation
    message = hl7v2.parse(b"MSH" + s.field + encoding, charset=charset)
    assert isinstance(message, Message)
    assert message.text(written) == text


SEQUENCES = st.lists(
    st.sampled_from(
        [b"\\", b"X", b"0D", b"C3", b"A9", b"F", b"E", b".br", b"H", b"Z", b"q", b"\xc3", b"\xa9", b"^"]
    )
).map(b"".join)


@settings(deadline=None)
@given(SEQUENCES, st.sampled_from(["ascii", "iso8859-1", "utf-8"]))
@example(b"\\X0D\\\\X0A\\", "utf-8")
@example(b"\\X0D\\\\X0A", "utf-8")
def test_no_run_of_escapes_raises_anything_but_undecodable(leaf: bytes, charset: str) -> None:
    message = hl7v2.parse(b"MSH|^~\\&|", charset=charset)
    assert isinstance(message, Message)
    offset = undecodable_at(message, leaf)
    if offset is not None:
        assert leaf[offset] in (0xC3, 0xA9, ord("\\"))
        assert charset != "iso8859-1"
    else:
        assert "\ufffd" not in message.text(leaf)
        if b"\\" not in leaf:
            assert message.text(leaf).encode(charset) == leaf


def undecodable_at(message: Message, leaf: bytes) -> int | None:
    try:
        message.text(leaf)
    except hl7v2.Undecodable as error:
        return error.offset
    return None


GARBAGE = st.lists(
    st.binary(max_size=4)
    | st.sampled_from([b"|", b"^", b"&", b"~", b"\\", b"\r", b"\n", b"\r\n", b"\\XFF\\", b'""'])
    | st.sampled_from([b"PID|", b"\rPID|", b"\nOBX|", b"\nPID", b"\rPID\r", b"MSH", b"\rMSH|", b"8859/1"]),
    max_size=30,
).map(b"".join)


@settings(deadline=None)
@given(GARBAGE, st.sampled_from(["ASCII", "8859/1", "UNICODE UTF-8"]))
def test_any_bytes_after_the_delimiters_are_a_message_or_a_reason(rest: bytes, charset: str) -> None:
    body = b"MSH|^~\\&|" + rest
    first = [hl7v2.parse(body, charset=charset) for _ in range(2)]
    message = first[0]
    if isinstance(message, Reason):
        return
    assert message.raw == body
    assert isinstance(message.kind, str)
    assert isinstance(message.control, str)
    check_spans(message)
    place = message.undecodable()
    offsets = {leaf: undecodable_at(message, body[leaf.start : leaf.end]) for leaf in message.leaves()}
    wrong = [leaf for leaf, offset in offsets.items() if offset is not None]
    assert all(leaf.start <= leaf.start + offsets[leaf] < leaf.end for leaf in wrong)
    assert place == (wrong[0].path if wrong else None)
    for name in ("PID", "OBX", "MSH"):
        found, known = first[1].first(name) if isinstance(first[1], Message) else None, message.all(name)
        assert (found and found.start) == (known[0].start if known else None)
        assert (found and found.line) == (known[0].line if known else None)
    for name in ("PID-1", "PID-3[2].1", "OBX[2]-1", "PID-2.2.2"):
        if not wrong:
            assert message.get(name) in (None, NULL) or isinstance(message.get(name), str)
            assert all(message.values(name))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_at_all_are_a_message_or_a_reason(body: bytes) -> None:
    assert isinstance(hl7v2.parse(body), Message | Reason)
    assert isinstance(hl7v2.parse(b"MSH" + body), Message | Reason)


@settings(deadline=None)
@given(st.text("0123456789.+-", max_size=26) | st.text(max_size=8))
def test_any_text_is_a_timestamp_or_none(text: str) -> None:
    found = hl7v2.timestamp(text, ZoneInfo("America/New_York"))
    assert found is None or text.startswith(found.text[:4])

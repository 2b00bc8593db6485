"""MLLP framing: what is read does not depend on how the bytes were cut on their way."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from adapters.mllp.framing import (
    CR,
    FS,
    HEAD,
    NOISE,
    VT,
    Event,
    Frame,
    Framer,
    Noise,
    Overlong,
    Truncated,
    block,
)

LIMIT = 40

plain = st.binary(max_size=LIMIT).map(lambda b: b.translate(None, VT + FS))
soup = st.lists(
    st.sampled_from([VT, FS, CR, FS + CR, b"MSH", VT + b"MSH|", b"\n", b"x" * 30]) | st.binary(max_size=8)
).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({p % (len(data) + 1) for p in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


def read(chunks: list[bytes], *, strict: bool, limit: int = LIMIT) -> list[Event]:
    framer = Framer(limit, require_final_cr=strict)
    return [e for chunk in chunks for e in framer.feed(chunk)] + framer.close()


@given(soup, st.lists(st.integers(min_value=0)), st.booleans())
@example(VT + b"x" * 41 + FS + CR, list(range(50)), True)
@example(VT + b"x" * 40 + FS + CR, list(range(50)), True)
@example(VT + VT + b"MSH|" + FS + CR + CR + VT, list(range(50)), False)
def test_the_events_do_not_depend_on_the_cutting(data: bytes, places: list[int], strict: bool) -> None:
    assert read(cut(data, places), strict=strict) == read([data], strict=strict)


@given(st.lists(st.tuples(plain, plain)), st.lists(st.integers(min_value=0)), st.booleans())
def test_every_block_is_read_whatever_lies_between(
    pairs: list[tuple[bytes, bytes]], places: list[int], strict: bool
) -> None:
    data = b"".join(noise + block(body) for noise, body in pairs)
    expected = [
        e for noise, body in pairs for e in ([Noise(noise, len(noise))] if noise else []) + [Frame(body)]
    ]
    assert read(cut(data, places), strict=strict) == expected


@given(st.lists(plain), st.lists(st.integers(min_value=0)))
def test_the_final_cr_may_be_missing_where_it_is_not_required(bodies: list[bytes], places: list[int]) -> None:
    data = b"".join(VT + body + FS for body in bodies)
    assert read(cut(data, places), strict=False) == [Frame(body) for body in bodies]


@given(st.lists(plain.filter(bool)), st.lists(st.integers(min_value=0)))
def test_the_final_cr_is_missed_where_it_is_required(bodies: list[bytes], places: list[int]) -> None:
    data = b"".join(VT + body + FS for body in bodies)
    assert read(cut(data, places), strict=True) == [Truncated(body) for body in bodies]


@given(plain, st.integers(LIMIT + 1, LIMIT * 4), plain, st.lists(st.integers(min_value=0)))
def test_a_block_over_the_limit_is_skipped_and_the_next_is_read(
    before: bytes, size: int, after: bytes, places: list[int]
) -> None:
    data = block(before) + block(b"y" * size) + block(after)
    assert read(cut(data, places), strict=True) == [Frame(before), Overlong(b"y" * size, size), Frame(after)]


def test_of_a_block_over_the_limit_only_the_head_is_kept() -> None:
    chunk = b"z" * 10_000
    assert read([VT, *[chunk] * 50, FS, CR], strict=True, limit=100_000) == [Overlong(b"z" * HEAD, 500_000)]


def test_of_noise_only_the_head_is_kept() -> None:
    assert read([b"z" * 700] * 4, strict=True) == [Noise(b"z" * NOISE, 2800)]


@given(plain, st.lists(st.integers(min_value=0)))
def test_a_sender_that_begins_anew_never_makes_one_message_of_two(rest: bytes, places: list[int]) -> None:
    data = VT + b"MSH|one" + block(b"MSH" + rest)
    assert read(cut(data, places), strict=True, limit=100) == [Truncated(b"MSH|one"), Frame(b"MSH" + rest)]


def test_a_vt_inside_a_text_is_content() -> None:
    assert read([block(b"MSH|line one\x0bline two")], strict=True) == [Frame(b"MSH|line one\x0bline two")]


def test_a_block_without_its_end_is_truncated() -> None:
    assert read([VT + b"MSH|"], strict=True) == [Truncated(b"MSH|")]
    assert read([VT + b"MSH|" + FS], strict=True) == [Truncated(b"MSH|")]
    assert read([VT], strict=True) == []


def test_an_empty_block_is_a_frame() -> None:
    assert read([block(b"")], strict=True) == [Frame(b"")]

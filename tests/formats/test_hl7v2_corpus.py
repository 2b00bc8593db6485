"""Messages that nobody here wrote: each parses or gives a reason, and its bytes are all accounted for."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from formats import hl7v2
from formats.reason import Reason

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not (CORPUS / "MANIFEST.tsv").exists(), reason="../shared/corpus is not beside the project"
    ),
]


@pytest.fixture(scope="module")
def bodies() -> dict[str, bytes]:
    with (CORPUS / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t"))
    return {row["path"]: (CORPUS / row["path"]).read_bytes() for row in rows if row["standard"] in STANDARDS}


STANDARDS = ("hl7v2", "hl7v2_charset")
REASONS = {"batch": 22, "several-messages": 7, "no-msh": 4, "unsupported-charset": 4}


def test_each_is_a_message_or_has_a_reason(bodies: dict[str, bytes]) -> None:
    found = [hl7v2.parse(body) for body in bodies.values()]
    assert Counter(reason.code for reason in found if isinstance(reason, Reason)) == REASONS


def test_bytes_rebuilt_from_leaf_spans_equal_the_file(bodies: dict[str, bytes]) -> None:
    for path, body in bodies.items():
        message = hl7v2.parse(body)
        if isinstance(message, hl7v2.Message):
            assert rebuilt(message) == body, path


def rebuilt(message: hl7v2.Message) -> bytes:
    """Leaves and segment names by their spans; anything else may only be a delimiter or a line end."""
    s = message.separators
    spans = [(leaf.start, leaf.end) for leaf in message.leaves()]
    spans += [(segment.start, segment.start + 3) for segment in message.segments if segment.name]
    opening = message.segments[0].start
    parts, at = [message.raw[:opening]], opening
    for start, end in sorted(spans):
        parts += [between(message.raw[at:start], s), message.raw[start:end]]
        at = end
    return b"".join([*parts, between(message.raw[at:], s)])


def between(gap: bytes, s: hl7v2.Separators) -> bytes:
    allowed = s.field + s.component + s.repetition + s.subcomponent + b"\r\n"
    return bytes(byte for byte in gap if byte in allowed)


def test_every_leaf_is_read_by_its_path_or_named_as_undecodable(bodies: dict[str, bytes]) -> None:
    for path, body in bodies.items():
        message = hl7v2.parse(body, charset="UNICODE UTF-8")
        if isinstance(message, Reason) or message.undecodable():
            continue
        for leaf in message.leaves():
            if not leaf.path.startswith("line ") and leaf.path != "MSH-2":
                value = message.raw[leaf.start : leaf.end]
                expected = hl7v2.NULL if value == b'""' else message.text(value)
                assert message.get(leaf.path) == expected, (path, leaf.path)


def test_the_undecodable_ones_are_told_with_their_place(bodies: dict[str, bytes]) -> None:
    messages = {path: hl7v2.parse(body) for path, body in bodies.items()}
    places = {
        p: m.undecodable() for p, m in messages.items() if isinstance(m, hl7v2.Message) and m.undecodable()
    }
    assert sorted(places.values()) == ["OBX[58]-6", "PID-11[2].1", "PID-5.1", "PID-5.1"]

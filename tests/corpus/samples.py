"""The public HL7 v2 messages of ../shared/corpus, one by one."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
STANDARDS = ("hl7v2", "hl7v2_charset")

_HEADER = re.compile(rb"(?<![^\r\n])MSH(?=[^\w\s])")
_ENVELOPE = re.compile(rb"(?<![^\r\n])(FHS|BHS|BTS|FTS)\b[^\r\n]*[\r\n]*")


class Sample(NamedTuple):
    """One message: its file below the corpus, which of the file's messages it is (from 1), its bytes."""

    path: str
    number: int
    body: bytes


def samples() -> list[Sample]:
    """Every message of every file that the manifest calls HL7 v2, in the manifest's order."""
    with (CORPUS / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t"))
    paths = [row["path"] for row in rows if row["standard"] in STANDARDS]
    return [
        Sample(path, number, body)
        for path in paths
        for number, body in enumerate(messages((CORPUS / path).read_bytes()), start=1)
    ]


def messages(content: bytes) -> Iterator[bytes]:
    """The messages of a file, byte for byte. Batch envelopes, a file's own MLLP block and what stands before
    the first of several messages are not theirs; what has no MSH is sent as it is."""
    bare = content.removeprefix(b"\x0b").partition(b"\x1c")[0]
    starts = [found.start() for found in _HEADER.finditer(bare)]
    if not starts or (starts == [0] and not _ENVELOPE.search(bare)):
        yield bare
    else:
        for start, end in zip(starts, [*starts[1:], len(bare)], strict=True):
            yield _ENVELOPE.sub(b"", bare[start:end])

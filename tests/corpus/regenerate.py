"""Writes expected.tsv anew from what the engine does now: read the diff line by line before it is committed.

python -m tests.corpus.regenerate
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.corpus.samples import samples
from tests.corpus.scope import counts, known, unreviewed
from tests.corpus.table import EXPECTED, lines
from tests.corpus.walk import started, walk


def main() -> None:
    sent = samples()
    with tempfile.TemporaryDirectory() as folder:
        engine, port = started(Path(folder))
        try:
            ends = walk(Path(folder), port, sent)
        finally:
            engine.stop()
    EXPECTED.write_text("\n".join(lines(ends)) + "\n", "utf-8")
    names = known()
    counted = [end for end, sample in zip(ends, sent, strict=True) if counts(sample.body, names)]
    stored = sum(end.state == "STORED" for end in counted)
    print(f"{len(ends)} messages; {stored} of {len(counted)} ADT and ORU in the chart; git diff {EXPECTED}")
    for end in unreviewed(counted):
        print("not reviewed:", *end)


if __name__ == "__main__":
    main()

"""Every public X12 file through the splitter and the map. x12.tsv says how each ends; to write it anew, and then to
read the diff line by line:

python -m tests.corpus.x12_walk
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from adapters.x12.split import x12 as split
from engine.message import Part, Reply, Stop
from engine.plugin import Feed
from formats import x12
from store.facts import Fact
from store.identity import Authority, Identity
from store.prepared import prepare
from store.reason import Reason
from tests.corpus.samples import CORPUS
from transforms.x12_to_fhir.entry import x12_to_fhir

EXPECTED = Path(__file__).parent / "x12.tsv"
HEAD = "path\tkinds\treplies\tparts\tends"
READ_AS = {
    "005010X222": "005010X222A1",
    "005010X222A2": "005010X222A1",
    "005010X223A3": "005010X223A2",
    "005010X221": "005010X221A1",
}
"""Versions of guides that pyx12 has no map of, checked as the nearest that it has."""

_MEMBERS = Authority("members", "https://members.example", identifies=True, types=("MB", "MR"))
FEED = Feed("corpus", ZoneInfo("America/New_York"), Identity(b"corpus" * 6, (_MEMBERS,)), _MEMBERS)


def paths() -> list[str]:
    with (CORPUS / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t"))
    return [row["path"] for row in rows if row["standard"] == "x12"]


def pieces(path: str) -> list[Part | Reply | Stop]:
    return list(split(CORPUS / path, FEED, False, read_as=READ_AS))


def lines() -> list[str]:
    """The table, as lines."""
    return [HEAD, *(_line(path, pieces(path)) for path in paths())]


def _line(path: str, found: list[Part | Reply | Stop]) -> str:
    ends = [_end(piece) for piece in found if not isinstance(piece, Reply)]
    kinds = sorted({kind for kind, _ in ends if kind})
    replies = [answered(piece) for piece in found if isinstance(piece, Reply)]
    parts = sum(isinstance(piece, Part) for piece in found)
    told = (_counted(kinds), _counted(replies), str(parts), _counted(end for _, end in ends))
    return "\t".join((path, *told))


def answered(reply: Reply) -> str:
    """What the sender is told: the note of TA1, or AK9."""
    segments = reply.body.decode().split("~")
    said = next(s for s in segments if s.startswith(("TA1*", "AK9*")))
    elements = said.split("*")
    return f"TA1:{elements[5]}" if elements[0] == "TA1" else f"999:{'*'.join(elements[1:])}"


def _end(piece: Part | Stop) -> tuple[str, str]:
    """(kind, state and reason)."""
    if isinstance(piece, Stop):
        return "", _told(piece.state, piece.reason)
    if piece.reason:
        return "", _told("REFUSED", piece.reason)
    message = x12.parse(piece.body)
    if isinstance(message, Reason):
        return "", _told("UNREADABLE", message)
    if reason := message.illegible():
        return message.kind, _told("QUARANTINED", reason)
    said = x12_to_fhir(message, FEED)
    if said is None:
        return message.kind, "STORED_RAW"
    if isinstance(said, Stop):
        return message.kind, _told(said.state, said.reason)
    made = [prepare(each) for each in said if isinstance(each, Fact)]
    wrong = next((each for each in made if isinstance(each, Reason)), None)
    return message.kind, _told("FAILED", wrong) if wrong else "STORED"


def _told(state: str, reason: Reason) -> str:
    return f"{state}:{reason.code}:{reason.place}"


def _counted(values: Iterable[str]) -> str:
    return ", ".join(_times(Counter(values))) or "-"


def _times(counts: Counter[str]) -> Iterator[str]:
    return (f"{n} x {value}" if n > 1 else value for value, n in counts.items())


if __name__ == "__main__":
    EXPECTED.write_text("\n".join(lines()) + "\n", "utf-8")

"""Each of the 25 combinations of MSH-15 and MSH-16 gets, over a real connection, what the table says and no more."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from adapters.mllp.source import MllpSource
from engine.message import Accepted, Receipt, Received, Refused, Unavailable
from store.reason import Reason
from tests.adapters.mllp_peer import Sender, adt, fields
from tests.conformance.intake import MemoryIntake
from tests.conformance.running import running

TABLE = Path(__file__).parents[2] / "formats" / "hl7v2" / "acknowledgement.tsv"
ROWS = list(csv.DictReader(TABLE.read_text().splitlines(), delimiter="\t"))
NO = Refused(Reason("required-field", "PID-3 is missing", "PID-3"))
RECEIPTS = {
    "Y": Accepted(1), "N": NO, "D": Unavailable(Reason("not-stored", "no disk")), "L": Accepted(1, later=True),
}  # fmt: skip
WORDS = {"Y": "A", "N": "E", "D": "R", "L": "A"}


def receipt(received: Received) -> Receipt:
    return RECEIPTS[(received.key or "")[0]]


def asks(accept: str, application: str) -> str:
    return f"{accept.strip('-')}|{application.strip('-')}"


def test_the_table_has_each_combination_once_and_each_row_says_where_it_is_from() -> None:
    conditions = ("-", "AL", "NE", "ER", "SU")
    assert [(row["accept"], row["application"]) for row in ROWS] == [
        (a, b) for a in conditions for b in conditions
    ]
    for column in ("source", "source of connection and exchange"):
        assert all(row[column].startswith(("2.9", "our reading")) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['accept']}/{row['application']}")
async def test_a_sender_is_told_what_it_asked_for(row: dict[str, str]) -> None:
    """Four messages with these fields: taken, refused, not stored, taken by a channel that answers by exchanges of its
    own; then one that is always answered tells that no other answer came before it."""
    async with running(MllpSource(port=0), MemoryIntake(receipt)) as listener:
        sender = await Sender.connect(listener.address)
        asked = asks(row["accept"], row["application"])
        await sender.send(*(adt(f"{word}1", asks=asked) for word in "YNDL"), adt("Y9", asks="AL|NE"))
        told = []
        while (answer := fields(await sender.answer(), b"MSA"))[2] != "Y9":
            told.append((answer[1], answer[2]))
        await sender.leave()
    (success, failure), later = row["only"].split("/"), row["connection"].split("/")[0]
    modes = {"Y": success, "N": failure, "D": failure, "L": later}
    assert told == [(f"{modes[w]}{WORDS[w]}", f"{w}1") for w in "YNDL" if modes[w] != "-"]


async def test_a_channel_may_have_its_own_combination() -> None:
    source = MllpSource(port=0, combinations={"AL/NE": "A/-", "NE/NE": "A/A"})
    assert source.problems() == []
    async with running(source, MemoryIntake(receipt)) as listener:
        sender = await Sender.connect(listener.address)
        await sender.send(
            *(adt(key, asks=asked) for key, asked in (("Y1", "AL|NE"), ("N2", "AL|NE"), ("N3", "NE|NE")))
        )
        told = [fields(await sender.answer(), b"MSA")[1:3] for _ in range(2)]
        await sender.leave()
    assert told == [["AA", "Y1"], ["AE", "N3"]]


@pytest.mark.parametrize("wrong", [{"AL/XX": "C/C"}, {"AL": "C/C"}, {"AL/NE": "C"}, {"AL/NE": "B/C"}])
def test_a_combination_that_is_none_is_told(wrong: dict[str, str]) -> None:
    (problem,) = MllpSource(port=0, combinations=wrong).problems()
    assert "NE/AL: A/A" in problem

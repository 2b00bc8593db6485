"""The chapters of one patient's story: what is left out and why, and where the configuration's names lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo import addresses
from demo.__main__ import play
from demo.chapters import CHAPTERS, Chapter, untold
from demo.stage import PARTNERS, Stage

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stage(tmp_path) -> Stage:
    made = Stage(tmp_path, {"pharmacy": "error"}, without=["dcmtk"])
    made.sources = {"adt": "mllp://127.0.0.1:1"}
    return made


def wrong(stage):
    yield "something is missing"


def test_a_chapter_without_its_program_is_left_out_and_says_what_to_install(stage, capsys) -> None:
    assert play(4, Chapter("DICOM: a picture", wrong, ("adt",), programs=("dcmtk",)), stage) is None
    assert "left out: needs dcmtk: apt-get install dcmtk" in capsys.readouterr().out


def test_a_chapter_without_its_channel_does_not_add_up(stage) -> None:
    (fault,) = play(4, Chapter("DICOM: a picture", wrong, ("imaging",)), stage)
    assert fault == "DICOM: there is no channel imaging"


def test_what_is_wrong_is_said_with_its_wire(stage) -> None:
    assert play(1, Chapter("FHIR: an order", wrong, ("adt",)), stage) == ["FHIR: something is missing"]


def test_what_a_partner_was_told_to_do_wrong_is_shown_and_is_no_fault_of_ours(stage, capsys) -> None:
    chapter = Chapter("NCPDP: a prescription", wrong, ("adt",), partners=("pharmacy",))
    assert play(6, chapter, stage) is None
    out = capsys.readouterr().out
    assert "pharmacy does as told: error" in out
    assert "something is missing" in out


def test_every_partner_has_a_part_and_every_part_a_partner() -> None:
    assert {p for chapter in CHAPTERS for p in chapter.partners} == set(PARTNERS)


def event(who: str, at: str = "1", direction: str = "in", state: str = "STORED") -> dict[str, str]:
    return {"who": who, "at": at, "direction": direction, "state": state}


def test_a_case_that_is_whole_and_in_order_has_no_fault() -> None:
    chapter = Chapter("OML: a test", wrong, (), ("lis", "adt"))
    assert list(untold([chapter], [event("adt"), event("lis", "2", "out", "DELIVERED")])) == []


def test_what_a_case_lacks_has_out_of_order_or_undelivered_is_named() -> None:
    chapter = Chapter("OML: a test", wrong, (), ("lis", "adt"))
    assert list(untold([chapter], [event("lis")])) == ["the case does not name adt"]
    assert list(untold([], [event("lis", "2"), event("adt", "1")])) == [
        "the case is not in the order of time"
    ]
    (fault,) = untold([], [event("lis", "2", "out", "PARKED")])
    assert fault == "lis: the case shows a delivery that is PARKED"


def test_every_port_that_the_channels_listen_on_is_free_and_of_its_own() -> None:
    found = addresses.ports(ROOT)
    assert {"ADT_PORT", "LAB_PORT"} <= found.keys()
    assert len(set(found.values())) == len(found)
    assert "LIS_PORT" not in found  # where a partner listens is for the partner to say


def test_every_folder_is_a_new_one(tmp_path) -> None:
    found = addresses.folders(ROOT, tmp_path)
    assert found["ARCHIVE_DIR"] == str(tmp_path / "archive")
    assert all(Path(folder).is_dir() for folder in found.values())

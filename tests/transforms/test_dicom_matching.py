"""Which worklist items match a query: DCMTK's own worklist server, over the same items, says the same."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.children import free_ports
from formats import dicom
from tests.adapters.dicom_peer import DEADLINE, found_in, run
from tests.corpus.samples import CORPUS
from transforms.dicom_to_fhir.matching import BadQuery, Entity, asked_for, matches, whole

FIND = "1.2.840.10008.5.1.4.31"
STEP = "ScheduledProcedureStepSequence"
STEPS = (
    ("CT1", "20261127", "083000", "CT", "DOE^JANE"),
    ("CT1", "20261127", "140000", "CT", "ROE^RICHARD"),
    ("MR1", "20261128", "090000", "MR", "DOE^JANE"),
    ("MR2", "20261201", "235900", "MR", ""),
)
PEOPLE = (("Smith^Anna", "P1"), ("Smithers^Bo", "P2"), ("Jones^Ann", "P10"), ("Smith", "X1"))


def entity(n: int) -> Entity:
    station, day, time, modality, performer = STEPS[n]
    name, number = PEOPLE[n]
    step = {
        "Modality": [modality],
        "ScheduledStationAETitle": [station],
        "ScheduledProcedureStepStartDate": [day],
        "ScheduledProcedureStepStartTime": [time],
        "ScheduledPerformingPhysicianName": [performer] if performer else [],
        "ScheduledProcedureStepDescription": ["Chest"],
        "ScheduledProcedureStepID": [f"S{n}"],
    }
    return {
        "AccessionNumber": [f"A{n}"],
        "PatientName": [name],
        "PatientID": [number],
        "PatientBirthDate": ["19700101"],
        "PatientSex": ["F"],
        "StudyInstanceUID": [f"1.2.3.{n}"],
        "RequestedProcedureID": [f"R{n}"],
        "RequestedProcedureDescription": ["Chest"],
        STEP: [step],
    }


ITEMS = [entity(n) for n in range(len(STEPS))]
QUERIES: list[dict[str, str]] = [
    {},
    {"PatientName": "Smith*"},
    {"PatientName": "Smith^Anna"},
    {"PatientName": "*"},
    {"PatientName": "*Ann*"},
    {"PatientID": "P1"},
    {"PatientID": "p1"},
    {"PatientID": "NOBODY"},
    {"AccessionNumber": "A2"},
    {"step.Modality": "CT"},
    {"step.Modality": "US"},
    {"step.ScheduledStationAETitle": "MR1"},
    {"step.ScheduledStationAETitle": "MR2", "PatientID": "P1"},
    {"step.ScheduledProcedureStepStartDate": "20261127"},
    {"step.ScheduledProcedureStepStartDate": "20261127-20261128"},
    {"step.ScheduledProcedureStepStartDate": "20261128-"},
    {"step.ScheduledProcedureStepStartDate": "-20261127"},
    {"step.ScheduledProcedureStepStartTime": "090000-"},
    {"step.ScheduledProcedureStepStartTime": "-0900"},
    {"step.ScheduledProcedureStepStartTime": "0800-1000"},
    {"step.ScheduledProcedureStepStartDate": "20261127", "step.Modality": "CT", "PatientName": "Smith*"},
]


def query_of(keys: dict[str, str]) -> Any:
    """A C-FIND identifier; every one asks for the accession number."""
    from pydicom.dataset import Dataset

    made, step = Dataset(), Dataset()
    made.AccessionNumber = step.Modality = ""
    for key, value in keys.items():
        inner = key.startswith("step.")
        setattr(step if inner else made, key.removeprefix("step."), value)
    made.ScheduledProcedureStepSequence = [step]
    return made


def parsed(query: Any) -> dicom.Message:
    from pynetdicom.dsutils import encode

    data = encode(query, False, True)
    assert data
    message = dicom.parse(dicom.wrapped(FIND, "", "1.2.840.10008.1.2.1", data))
    assert isinstance(message, dicom.Message)
    return message


def ours(items: Iterable[Entity], query: Any) -> list[str]:
    message = parsed(query)
    return sorted(each["AccessionNumber"][0] for each in items if matches(each, message))


@asynccontextmanager
async def wlmscpfs(folder: Path, items: Iterable[Any]) -> AsyncIterator[int]:
    """DCMTK's worklist server over these data sets; its port."""
    from pydicom.dataset import FileMetaDataset

    place = folder / "WORKLIST"
    place.mkdir()
    (place / "lockfile").touch()
    for n, item in enumerate(items):
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        item.file_meta.MediaStorageSOPClassUID, item.file_meta.MediaStorageSOPInstanceUID = FIND, f"1.2.3.{n}"
        item.save_as(place / f"{n}.wl", enforce_file_format=True)
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec("wlmscpfs", "-dfr", "-s", "-dfp", str(folder), str(port))
    try:
        async with asyncio.timeout(DEADLINE):
            while (await run("echoscu", "-aec", "WORKLIST", "127.0.0.1", str(port))).status:
                assert process.returncode is None
        yield port
    finally:
        process.kill()
        await process.wait()


async def theirs(port: int, query: Any, folder: Path) -> list[str]:
    file = written(query, folder)
    out = ("-X", "-od", str(folder), "-aec", "WORKLIST", "127.0.0.1", str(port), str(file))
    ended = await run("findscu", "-W", *out)
    assert ended.status == 0, ended.out
    return sorted(str(each.AccessionNumber) for each in found_in(folder))


def written(query: Any, folder: Path) -> Path:
    """The query as a file, in a folder that has nothing else in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    query.save_as(folder / "query", implicit_vr=False, little_endian=True)
    return folder / "query"


needs_server = pytest.mark.skipif(shutil.which("wlmscpfs") is None, reason="dcmtk is not installed")


@needs_server
async def test_dcmtks_worklist_server_finds_the_same(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset

    async with wlmscpfs(tmp_path, [Dataset.from_json(whole(each)) for each in ITEMS]) as port:
        for keys in QUERIES:
            query = query_of(keys)
            assert (keys, ours(ITEMS, query)) == (keys, await theirs(port, query, tmp_path / "found"))


@needs_server
@pytest.mark.corpus
async def test_the_public_queries_find_the_same_public_items(tmp_path: Path) -> None:
    from pydicom import dcmread

    if not (folder := CORPUS / "dicom_mwl").is_dir():
        pytest.skip("../shared/corpus is not beside the project")
    found = [dcmread(file, force=True) for file in sorted(folder.rglob("*.wl.dcm"))]
    items = [entity_of(each) for each in found]
    queries = sorted(folder.rglob("*.query.dcm"))
    assert (len(items), len(queries)) == (5, 7)
    async with wlmscpfs(tmp_path, found) as port:
        for path in queries:
            query = dcmread(path, force=True)
            query.AccessionNumber = ""
            assert (path.name, ours(items, query)) == (
                path.name,
                await theirs(port, query, tmp_path / "found"),
            )


def entity_of(data: Any) -> Entity:
    found: dict[str, Any] = {}
    for element in data:
        if element.VR == "SQ":
            found[element.keyword] = [entity_of(item) for item in element.value]
        elif element.keyword:
            values = [element.value] if element.VM < 2 else list(element.value)
            found[element.keyword] = [str(value) for value in values if str(value or "")]
    return found


def test_only_what_is_asked_for_goes_out() -> None:
    query = query_of({"PatientName": "", "PatientWeight": "", "step.ScheduledStationAETitle": ""})
    found = asked_for(ITEMS[3], parsed(query))
    assert json.loads(json.dumps(found)) == {
        "00080050": {"vr": "SH", "Value": ["A3"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Smith"}]},
        "00400100": {
            "vr": "SQ",
            "Value": [
                {"00080060": {"vr": "CS", "Value": ["MR"]}, "00400001": {"vr": "AE", "Value": ["MR2"]}}
            ],
        },
    }


def test_an_empty_sequence_asks_for_all_of_it() -> None:
    query = query_of({})
    query.ScheduledProcedureStepSequence = []
    ((step,),) = [
        found["Value"] for tag, found in asked_for(ITEMS[0], parsed(query)).items() if tag == "00400100"
    ]
    assert step["00400009"] == {"vr": "SH", "Value": ["S0"]}
    assert len(step) == len(ITEMS[0][STEP][0])


@pytest.mark.parametrize(
    ("day", "time", "found"),
    [
        ("20261127-20261128", "1000-0900", ["A1", "A2"]),
        ("20261127", "1000-1500", ["A1"]),
        ("20261127-", "-0900", ["A0", "A1", "A2", "A3"]),
        ("20261127-20261128", "090000", ["A2"]),
    ],
)
def test_ranges_of_date_and_time_together_are_one_range(day: str, time: str, found: list[str]) -> None:
    """PS3.4 table K.6-1; DCMTK's server takes each by itself."""
    keys = {"step.ScheduledProcedureStepStartDate": day, "step.ScheduledProcedureStepStartTime": time}
    assert ours(ITEMS, query_of(keys)) == found


def test_names_are_compared_without_regard_to_case() -> None:
    """Which PS3.4 C.2.2.2.1 lets a server do; other values are not."""
    assert ours(ITEMS, query_of({"PatientName": "SMITH^*"})) == ["A0"]
    assert ours(ITEMS, query_of({"PatientName": "smith"})) == ["A3"]
    assert ours(ITEMS, query_of({"PatientID": "x1"})) == []


@pytest.mark.parametrize(
    ("key", "found"), [("P1*", ["A0", "A2"]), ("P?", ["A0", "A1"]), ("?1", ["A0", "A3"])]
)
def test_any_text_may_be_asked_for_by_a_part_of_it(key: str, found: list[str]) -> None:
    """PS3.4 C.2.2.2.4; table K.6-1 asks for it in names only, and DCMTK's server does not more."""
    assert ours(ITEMS, query_of({"PatientID": key})) == found


@pytest.mark.parametrize("value", ["tomorrow", "-", "2026-11-27", "20261127*"])
def test_a_date_that_is_none_is_told(value: str) -> None:
    query = query_of({"step.ScheduledProcedureStepStartDate": "20261127"})
    step = query.ScheduledProcedureStepSequence[0]
    step["ScheduledProcedureStepStartDate"]._value = value  # pydicom would warn of it
    message = parsed(query)
    with pytest.raises(BadQuery, match="ScheduledProcedureStepStartDate"):
        matches(ITEMS[0], message)

"""Images and worklists through the real engine, with DCMTK's programs at the other ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from demo.children import free_ports
from tests.adapters.dicom_peer import data_set, findscu, instance, needs_dcmtk, storescp, storescu
from tests.flow.installation import Installation, channel, running, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_dcmtk]

SOURCE = "dicom: {port: 0, max_size: 64MB}"
IMAGING = f"""
channel: imaging
source:
  {SOURCE}
format: dicom
timezone: America/New_York
authority: mrn
store: {{dicom_to_fhir: {{accession: orders}}}}
order_by: patient
"""
WORKLIST = f"""
channel: worklist
source:
  {SOURCE}
format: dicom
timezone: America/New_York
authority: mrn
ack: replied
answer: dicom.worklist
"""
FHIR = """
channel: fhir
source: fhir
format: fhir
timezone: UTC
ack: processed
store: fhir_to_chart
"""
ROUTES = """
destinations:
  pacs: {{dicom: {{host: 127.0.0.1, port: {port}, ae_title: PACS}}, retry: {{unknown: retry}}}}
routes:
  - {{from: imaging, to: pacs}}
"""
STEP = "ScheduledProcedureStepSequence[0]"
Json = dict[str, Any]


class World:
    def __init__(self, site: Installation, archive: Path, http: aiohttp.ClientSession) -> None:
        self.site = site
        self.archive = archive
        self.address = site.sources["imaging"]
        self._http = http

    async def write(self, method: str, path: str, body: Json) -> Json:
        async with self._http.request(method, f"http://{self.site.http}/fhir{path}", json=body) as answer:
            made: Json = json.loads(await answer.read())
            assert answer.status in (200, 201), made
            return made

    async def send(self, folder: Path, *files: bytes) -> None:
        """Over one association; each is answered success."""
        paths = [folder / f"{n}.dcm" for n in range(len(files))]
        for path, file in zip(paths, files, strict=True):
            path.write_bytes(file)
        ended = await storescu(self.address, *paths)
        assert (ended.status, ended.out.count("Success")) == (0, len(files)), ended.out

    def incoming(self) -> list[Path]:
        return list((self.site.data / "spool" / "incoming").iterdir())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home = tmp_path_factory.mktemp("dicom")
    archive = home / "archive"
    archive.mkdir()
    (port,) = free_ports(1)
    files = {
        "channels/adt.yaml": channel("adt"),
        "channels/imaging.yaml": IMAGING,
        "channels/worklist.yaml": WORKLIST,
        "channels/fhir.yaml": FHIR,
        "routes.yaml": ROUTES.format(port=port),
    }
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(storescp(archive, port, "+xa"))
        site = await stack.enter_async_context(running(home, files))
        made = await site.command("token", "create", "--name", "front")
        headers = {"Authorization": f"Bearer {made.stdout.strip()}", "Content-Type": "application/fhir+json"}
        yield World(site, archive, await stack.enter_async_context(aiohttp.ClientSession(headers=headers)))


async def test_an_instance_is_in_the_chart_and_in_the_archive_byte_for_byte(
    world: World, tmp_path: Path
) -> None:
    uid = "1.2.826.1.1"
    sent = instance(uid, pixels=300_000, PatientID="D1", Modality="CT", StudyInstanceUID="1.2.826.1")
    await world.send(tmp_path, sent)
    await world.site.deliveries(uid, "DELIVERED")
    (message,) = await world.site.messages(key=uid)
    assert (message["state"], message["peer"]) == ("STORED", "STORESCU")
    (study,) = await world.site.resources("ImagingStudy?identifier=urn:oid:1.2.826.1")
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 1)
    assert study["series"][0]["instance"][0]["uid"] == uid
    assert study["started"] == "2026-11-20T10:15:00-05:00"
    (patient,) = await world.site.resources("Patient?identifier=urn:test:mrn|D1")
    assert study["subject"]["reference"] == f"Patient/{patient['id']}"
    (file,) = [file for file in world.archive.iterdir() if file.name.endswith(uid)]
    assert data_set(file.read_bytes()) == data_set(sent)
    assert world.incoming() == []


async def test_a_resend_is_one_row_and_other_bytes_under_the_same_uid_are_told_apart(
    world: World, tmp_path: Path
) -> None:
    uid = "1.2.826.2.1"
    about = {"PatientID": "D2", "StudyInstanceUID": "1.2.826.2"}
    sent, other = instance(uid, pixels=100, **about), instance(uid, pixels=200, **about)
    await world.send(tmp_path, sent, sent)
    await world.site.ended(uid)
    assert [m["repeats"] for m in await world.site.messages(key=uid)] == [1]
    await world.send(tmp_path, other)
    assert [m["state"] for m in await world.site.ended(uid, 2)] == ["STORED", "STORED"]
    (study,) = await world.site.resources("ImagingStudy?identifier=urn:oid:1.2.826.2")
    assert study["numberOfInstances"] == 1


async def test_a_study_is_united_from_its_images(world: World, tmp_path: Path) -> None:
    made = [
        instance(
            f"1.2.826.3.{series}.{number}",
            PatientID="D3",
            StudyInstanceUID="1.2.826.3",
            SeriesInstanceUID=f"1.2.826.3.{series}",
            SeriesNumber=str(series),
            InstanceNumber=str(number),
            Modality="CT" if series == 1 else "PT",
        )
        for series in (2, 1)
        for number in (3, 1, 2)
    ]
    await world.send(tmp_path, *made)
    for series in (1, 2):
        for number in (1, 2, 3):
            await world.site.end(f"1.2.826.3.{series}.{number}")
    (study,) = await world.site.resources("ImagingStudy?identifier=urn:oid:1.2.826.3")
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (2, 6)
    assert [[i["number"] for i in s["instance"]] for s in study["series"]] == [[1, 2, 3], [1, 2, 3]]


async def test_a_blank_patient_number_is_accepted_and_quarantined(world: World, tmp_path: Path) -> None:
    uid = "1.2.826.4.1"
    await world.send(tmp_path, instance(uid, PatientID="", StudyInstanceUID="1.2.826.4"))
    message = await world.site.end(uid)
    assert (message["state"], message["code"], message["place"]) == (
        "QUARANTINED",
        "blank-patient-id",
        "PatientID",
    )
    assert await world.site.resources("ImagingStudy?identifier=urn:oid:1.2.826.4") == []


async def test_a_study_of_another_patient_is_quarantined(world: World, tmp_path: Path) -> None:
    await world.send(tmp_path, instance("1.2.826.5.1", PatientID="D5", StudyInstanceUID="1.2.826.5"))
    assert (await world.site.end("1.2.826.5.1"))["state"] == "STORED"
    await world.send(tmp_path, instance("1.2.826.5.2", PatientID="D6", StudyInstanceUID="1.2.826.5"))
    message = await world.site.end("1.2.826.5.2")
    assert (message["state"], message["code"]) == ("QUARANTINED", "other-patient")


async def test_an_unreadable_character_is_quarantined(world: World, tmp_path: Path) -> None:
    uid = "1.2.826.7.1"
    sent = instance(uid, PatientID="D7", StudyInstanceUID="1.2.826.7", PatientName="Anna^Test")
    await world.send(tmp_path, sent.replace(b"Anna^Test", b"Ann\xe4^Test"))
    message = await world.site.end(uid)
    assert (message["state"], message["code"], message["place"]) == (
        "QUARANTINED",
        "undecodable",
        "PatientName",
    )


def order(patient: Json, number: str, **more: Any) -> Json:
    def numbered(kind: str, value: str) -> Json:
        coding = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": kind}
        return {"type": {"coding": [coding]}, "system": "urn:test:order", "value": value}

    return {
        "resourceType": "ServiceRequest",
        "identifier": [numbered("PLAC", f"P{number}"), numbered("ACSN", f"A{number}")],
        "status": "active",
        "intent": "order",
        "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "363679005"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "30745-4"}], "text": "XR Chest Views"},
        "orderDetail": [
            {"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CR"}]}
        ],
        "occurrenceDateTime": "2026-11-27T09:30:00-05:00",
        "subject": {"reference": f"Patient/{patient['id']}"},
        "requester": {"display": "Dr. Sara Lindqvist"},
        **more,
    }


def patient(mrn: str, family: str) -> Json:
    number = {"system": "urn:test:mrn", "value": mrn}
    name = {"family": family, "given": ["Jörg", "Emil"]}
    return {
        "resourceType": "Patient", "identifier": [number], "name": [name], "gender": "male", "birthDate": "1971-05-02"
    }  # fmt: skip


KEYS = (
    "PatientName", "PatientBirthDate", "PatientSex", "IssuerOfPatientID", "AccessionNumber", "StudyInstanceUID",
    "RequestedProcedureID", "RequestedProcedureDescription", "ReferringPhysicianName", f"{STEP}.Modality",
    f"{STEP}.ScheduledStationAETitle=XRAY1", f"{STEP}.ScheduledProcedureStepStartDate",
    f"{STEP}.ScheduledProcedureStepStartTime",
)  # fmt: skip


def emptied(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()


async def asked(world: World, folder: Path, *keys: str) -> list[Any]:
    await asyncio.to_thread(emptied, folder)
    return await findscu(world.address, folder, *keys)


async def test_a_signed_order_is_on_the_worklist_until_it_is_taken_back(world: World, tmp_path: Path) -> None:
    who = await world.write("POST", "/Patient", patient("W1", "Schröder"))
    made = await world.write("POST", "/ServiceRequest", order(who, "1001"))
    (item,) = await asked(world, tmp_path / "a", "PatientID=W1", *KEYS)
    assert (str(item.PatientName), item.PatientID, item.IssuerOfPatientID) == (
        "Schröder^Jörg^Emil",
        "W1",
        "mrn",
    )
    assert (item.AccessionNumber, item.RequestedProcedureID) == ("A1001", "P1001")
    assert (item.PatientBirthDate, item.PatientSex) == ("19710502", "M")
    assert item.RequestedProcedureDescription == "XR Chest Views"
    assert str(item.ReferringPhysicianName) == "Dr. Sara Lindqvist"
    assert item.StudyInstanceUID.startswith("2.25.")
    (step,) = item.ScheduledProcedureStepSequence
    assert (step.Modality, step.ScheduledStationAETitle) == ("CR", "XRAY1")
    assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == (
        "20261127",
        "093000",
    )
    assert "PatientWeight" not in item
    await world.write("PUT", f"/ServiceRequest/{made['id']}", {**made, "status": "revoked"})
    assert await asked(world, tmp_path / "a", "PatientID=W1", *KEYS) == []


async def test_worklist_queries_are_audited_and_are_no_messages(world: World, tmp_path: Path) -> None:
    await asked(world, tmp_path / "a", "PatientID=NOBODY")
    assert await world.site.messages(channel="worklist") == []


async def test_an_image_of_an_order_names_it_and_must_be_of_its_patient(world: World, tmp_path: Path) -> None:
    who = await world.write("POST", "/Patient", patient("W2", "Two"))
    await world.write("POST", "/ServiceRequest", order(who, "1002"))
    (item,) = await asked(world, tmp_path / "a", "PatientID=W2", *KEYS)
    uid = str(item.StudyInstanceUID)
    about = {"StudyInstanceUID": uid, "AccessionNumber": item.AccessionNumber, "Modality": "CR"}
    await world.send(tmp_path, instance(f"{uid[:50]}.1", PatientID="W2", IssuerOfPatientID="mrn", **about))
    assert (await world.site.end(f"{uid[:50]}.1"))["state"] == "STORED"
    (study,) = await world.site.resources(f"ImagingStudy?identifier=urn:oid:{uid}")
    assert study["basedOn"][0]["identifier"]["value"] == "A1002"
    wrong = {**about, "StudyInstanceUID": "1.2.826.9"}
    await world.send(tmp_path, instance("1.2.826.9.1", PatientID="W9", **wrong))
    message = await world.site.end("1.2.826.9.1")
    assert (message["state"], message["code"], message["place"]) == (
        "QUARANTINED",
        "other-patient",
        "AccessionNumber",
    )


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (("PatientID=W3*", f"{STEP}.Modality"), ["A1003", "A1004"]),
        (("PatientID=W3?", f"{STEP}.Modality=MR"), ["A1004"]),
        (("PatientID=W3*", "PatientName=third^*"), ["A1003"]),
        (("PatientID=W3*", f"{STEP}.ScheduledProcedureStepStartDate=20261201-"), ["A1004"]),
        (("PatientID=W3*", f"{STEP}.ScheduledProcedureStepStartDate=-20261130"), ["A1003"]),
        (("PatientID=W3*", f"{STEP}.ScheduledProcedureStepStartDate=20261127"), ["A1003"]),
        (
            (
                "PatientID=W3*",
                f"{STEP}.ScheduledProcedureStepStartDate=20261126-20261127",
                f"{STEP}.ScheduledProcedureStepStartTime=2200-0800",
            ),
            [],
        ),
        (("AccessionNumber=A1004",), ["A1004"]),
        (("AccessionNumber=a1004",), []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_keys_match_as_the_standard_has_it(
    world: World, tmp_path: Path, keys: tuple[str, ...], found: list[str]
) -> None:
    if not await world.site.resources("Patient?identifier=urn:test:mrn|W3A"):
        third = await world.write("POST", "/Patient", patient("W3A", "Third"))
        fourth = await world.write("POST", "/Patient", patient("W3B", "Fourth"))
        await world.write("POST", "/ServiceRequest", order(third, "1003"))
        other = {"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "MR"}]}
        more = {"orderDetail": [other], "occurrenceDateTime": "2026-12-01T08:00:00-05:00"}
        await world.write("POST", "/ServiceRequest", order(fourth, "1004", **more))
    named = {key.partition("=")[0] for key in keys}
    asks = [*keys, *({"AccessionNumber"} - named)]
    assert [str(item.AccessionNumber) for item in await asked(world, tmp_path / "a", *asks)] == found


async def test_an_odd_value_in_a_worklist_item_is_answered(world: World, tmp_path: Path) -> None:
    """pydicom warns of it, and would quote it."""
    who = await world.write("POST", "/Patient", patient("W5", "Verylongname" * 8))
    await world.write("POST", "/ServiceRequest", order(who, "1005"))
    (item,) = await asked(world, tmp_path / "a", "PatientID=W5", "PatientName")
    assert str(item.PatientName).startswith("Verylongname")


async def test_nothing_of_a_patient_is_in_the_log(world: World) -> None:
    log = world.site.log()
    for text in ("Schröder", "Jörg", "Anna", "W1", "A1001", "D1", "Lindqvist", "19710502", "Verylong"):
        assert f"{text}" not in log


async def test_a_killed_engine_leaves_no_half_instance_and_loses_none(tmp_path: Path) -> None:
    files = {"channels/imaging.yaml": IMAGING}
    site = Installation(tmp_path, files)
    try:
        await site.start()
        from tests.adapters.dicom_wire import Sender

        whole = instance("1.2.826.8.1", PatientID="K1", StudyInstanceUID="1.2.826.8", pixels=100_000)
        sender = await Sender.connect(site.sources["imaging"])
        await sender.store("1.2.826.8.1", data_set(whole))
        assert (await sender.answer()).status == 0
        await sender.begin("1.2.826.8.2", data_set(whole), "1.2.840.10008.5.1.4.1.1.7", 60_000)
        incoming = site.data / "spool" / "incoming"

        async def half() -> bool:
            return any(
                await asyncio.to_thread(lambda: [f for f in incoming.iterdir() if f.stat().st_size > 10_000])
            )

        await until(half)
        site.kill()
        await sender.leave()
        await site.start()
        assert (await site.end("1.2.826.8.1"))["state"] == "STORED"
        spooled = [f for f in (site.data / "spool").rglob("*") if f.is_file()]
        assert [data_set(file.read_bytes()) for file in spooled] == [data_set(whole)]
    finally:
        site.kill()

"""What a modality may do to the DICOM source: what DCMTK's programs do, and what none of them would."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest

from adapters.dicom.source import DicomSource
from engine.journal.spool import Spool
from engine.message import Accepted, Refused
from store.reason import Reason
from tests.adapters.certificates import Authority
from tests.adapters.dicom_peer import (
    DEADLINE,
    data_set,
    echoscu,
    findscu,
    found_in,
    instance,
    needs_dcmtk,
    received,
    run,
    server,
    storescu,
)
from tests.adapters.dicom_wire import DATA, SECONDARY_CAPTURE, Sender, pdu
from tests.conformance.intake import MemoryIntake
from tests.conformance.running import Running, running

UID = "1.2.826.0.1.3680043.9.7433.9"
SOURCE = DicomSource(port=0)


def files(intake: MemoryIntake) -> list[Path]:
    """Everything in the spool."""
    return [file for file in intake.spool.incoming.parent.rglob("*") if file.is_file()]


async def until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not look():
        assert time.monotonic() < end, "it did not come to that in time"
        await asyncio.sleep(0.01)


# --- DCMTK


@needs_dcmtk
async def test_echo_is_answered_and_a_wrong_called_title_is_refused() -> None:
    async with running(SOURCE, MemoryIntake()) as source:
        assert (await echoscu(source.address)).status == 0
        refused = await echoscu(source.address, called="OTHER")
    assert refused.status
    assert "Called AE Title Not Recognized" in refused.out


@needs_dcmtk
async def test_only_those_who_may_call_are_heard() -> None:
    async with running(replace(SOURCE, callers=("CT1",)), MemoryIntake()) as source:
        assert (await echoscu(source.address, "-aet", "CT1")).status == 0
        refused = await echoscu(source.address, "-aet", "CT2")
    assert "Calling AE Title Not Recognized" in refused.out


@needs_dcmtk
@pytest.mark.parametrize(
    ("program", "switch", "options"),
    [
        ("dcmcrle", "-xr", ()),
        ("dcmcjpeg", "-xs", ()),
        ("dcmcjpeg", "-xy", ("+eb",)),
        ("dcmconv", "-xd", ("+td",)),
        ("dcmconv", "-xb", ("+tb",)),
        ("dcmconv", "-xi", ("+ti",)),
    ],
    ids=["rle", "jpeg-lossless", "jpeg", "deflated", "big-endian", "implicit"],
)
async def test_an_instance_is_kept_in_the_transfer_syntax_in_which_it_comes(
    tmp_path: Path, program: str, switch: str, options: tuple[str, ...]
) -> None:
    plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    plain.write_bytes(instance(UID, pixels=64 * 1024))
    ended = await run(program, *options, str(plain), str(packed))
    assert ended.status == 0, ended.out
    intake = MemoryIntake()
    async with running(SOURCE, intake) as source:
        ended = await storescu(source.address, packed, options=(switch, "-R"))
        assert ended.status == 0, ended.out
        (taken,) = intake.received
        assert taken.spooled
        assert await same_data_set(taken.spooled.path, packed)
        assert (taken.peer, len(taken.body) < 4096) == ("STORESCU", True)


async def same_data_set(one: Path, other: Path) -> bool:
    """As dcmdump reads them, without their meta information."""
    dumps = [(await run("dcmdump", "+L", str(path))).out for path in (one, other)]
    bodies = [dump.partition("# Dicom-Data-Set")[2] for dump in dumps]
    return bool(bodies[0]) and bodies[0] == bodies[1]


@needs_dcmtk
async def test_tls_is_spoken_with_who_has_a_certificate(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    certificate, key = ours.issue("localhost")
    client, secret = ours.issue("modality")
    secure = replace(SOURCE, certificate=certificate, key=key, client_ca=ours.ca)
    async with running(secure, MemoryIntake()) as source:
        assert source.address.startswith("dicoms://")
        silent = await asyncio.open_connection(*server(source.address))  # says nothing; nobody waits for it
        tls = ("+tls", str(secret), str(client), "+cf", str(ours.ca))
        assert (await echoscu(source.address, *tls)).status == 0
        assert (await echoscu(source.address)).status != 0
        silent[1].close()


WORKLIST = [
    {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"Müller^{n}"}]},
        "00100020": {"vr": "LO", "Value": [str(n)]},
    }
    for n in range(40)
]


def answering(items: list[Any]) -> MemoryIntake:
    return MemoryIntake(lambda received: Accepted(0, json.dumps(items).encode()))


@needs_dcmtk
@pytest.mark.parametrize("charset", ["ISO_IR 100", ""])
async def test_worklist_items_go_out_one_by_one_in_a_character_set_that_has_all_characters(
    tmp_path: Path, charset: str
) -> None:
    intake = answering(WORKLIST[:3])
    keys = [f"SpecificCharacterSet={charset}"] if charset else []
    async with running(SOURCE, intake) as source:
        found = await findscu(source.address, tmp_path, *keys, "PatientName")
    assert [str(each.PatientName) for each in found] == ["Müller^0", "Müller^1", "Müller^2"]
    assert {each.SpecificCharacterSet for each in found} == {charset or "ISO_IR 192"}
    (asked,) = intake.received
    assert (asked.peer, asked.spooled) == ("FINDSCU", None)


@needs_dcmtk
async def test_a_query_can_be_cancelled(tmp_path: Path) -> None:
    async with running(SOURCE, answering(WORKLIST)) as source:
        keys = ("-k", "PatientName", "-X", "-od", str(tmp_path), "--cancel", "2")
        ended = await run("findscu", "-v", "-W", "-aec", "CHARTWIRE", *keys, *server(source.address))
        assert (await echoscu(source.address)).status == 0
    assert "Cancel" in ended.out
    assert len(found_in(tmp_path)) < len(WORKLIST)


@needs_dcmtk
@pytest.mark.parametrize(("place", "status"), [("PatientID", "0xa900"), ("", "0xc000")])
async def test_a_query_that_is_refused_fails_with_the_reason(place: str, status: str) -> None:
    refused = Refused(Reason("bad-query", "it cannot be matched by", place))
    async with running(SOURCE, MemoryIntake(lambda received: refused)) as source:
        command = ("findscu", "-d", "-W", "-aec", "CHARTWIRE", "-k", "PatientID=1")
        ended = await run(*command, *server(source.address))
    assert status in ended.out
    assert "it cannot be matched by" in ended.out


# --- what no library would send


async def test_garbage_instead_of_an_association_ends_the_connection_and_nothing_else() -> None:
    async with running(SOURCE, MemoryIntake()) as source:
        for garbage in (
            b"GET / HTTP/1.1\r\n\r\n",
            pdu(9, b"?"),
            b"\x01\x00\xff\xff\xff\xff" + bytes(100),
            b"\x01",
        ):
            reader, writer = await asyncio.open_connection(*server(source.address))
            writer.write(garbage)
            writer.write_eof()
            async with asyncio.timeout(DEADLINE):
                await reader.read()
            writer.close()
        await heard(source)


async def heard(source: Running) -> None:
    """It still takes an instance."""
    sender = await Sender.connect(source.address)
    await sender.store(UID, data_set(instance(UID)))
    assert (await sender.answer()).status == 0
    await sender.leave()


@pytest.mark.parametrize(
    "garbage",
    [
        pdu(9, b"?"),
        pdu(DATA, b"\0\0\xff\xff\x01\x03" + bytes(20)),
        b"\x04\x00\xff\xff\xff\xff" + bytes(100),
        pdu(DATA, b"\0\0\0\x16\x01\x03" + bytes(20)),
    ],
    ids=["unknown-type", "length-beyond-its-end", "four-gigabytes", "no-command"],
)
async def test_garbage_in_an_association_ends_it_and_nothing_else(garbage: bytes) -> None:
    async with running(SOURCE, MemoryIntake()) as source:
        sender = await Sender.connect(source.address)
        sender.writer.write(garbage)
        if garbage[2] == 0xFF:
            sender.writer.write_eof()
        assert (await sender.answer()).status is None
        await sender.leave()
        await heard(source)


@pytest.mark.parametrize("how", [Sender.abort, Sender.leave], ids=["abort", "gone"])
async def test_an_instance_that_breaks_off_leaves_no_file_and_is_on_record(
    how: Callable[[Sender], Awaitable[None]],
) -> None:
    intake = MemoryIntake()
    async with running(SOURCE, intake) as source:
        sender = await Sender.connect(source.address)
        await sender.begin(UID, data_set(instance(UID, pixels=200_000)), SECONDARY_CAPTURE, 100_000)
        await until(lambda: any(file.stat().st_size > 50_000 for file in files(intake)))
        await how(sender)
        await intake.came(0, refused=1)
        await until(lambda: not files(intake))
        await heard(source)
    ((kept, reason),) = intake.refused
    assert (kept.key, kept.peer, reason.code) == (UID, "MODALITY", "cut-off")
    assert 0 < len(kept.body) <= 16 << 10


async def test_what_is_longer_than_max_size_is_refused_for_want_of_room() -> None:
    intake = MemoryIntake()
    async with running(replace(SOURCE, max_size=100_000), intake) as source:
        sender = await Sender.connect(source.address)
        await sender.store(UID, data_set(instance(UID, pixels=300_000)))
        assert (await sender.answer()).status == 0xA700
        await sender.store(UID, data_set(instance(UID, pixels=50_000)))
        assert (await sender.answer()).status == 0
        await sender.leave()
    ((kept, reason),) = intake.refused
    assert (kept.key, reason.code, len(intake.received)) == (UID, "too-long", 1)


class FullSpool(Spool):
    def create(self) -> IO[bytes]:
        """A file on a device that has no room left."""
        path = self.incoming / "full"
        path.symlink_to("/dev/full")
        return path.open("wb", buffering=0)


class FullIntake(MemoryIntake):
    spool_of: type[Spool] = FullSpool

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._spool = FullSpool(folder)

    @property
    def spool(self) -> Spool:  # type: ignore[override]
        return self._spool


async def test_a_full_disk_is_not_the_senders_fault(tmp_path: Path) -> None:
    intake = FullIntake(tmp_path)
    async with running(SOURCE, intake) as source:
        sender = await Sender.connect(source.address)
        await sender.store(UID, data_set(instance(UID, pixels=50_000)))
        assert (await sender.answer()).status == 0xA700
        await sender.leave()
    assert (intake.received, intake.refused, files(intake)) == ([], [], [])


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (data_set(instance(UID, SOPClassUID="1.2.840.10008.5.1.4.1.1.2")), 0xA900, "other-sop-class"),
        (data_set(instance(f"{UID}.1")), 0xA900, "other-instance"),
        (data_set(instance(UID, pixels=1000))[:-100], 0xC000, "broken-data-set"),
        (b"no data set at all", 0xC000, "broken-data-set"),
    ],
    ids=["class", "instance", "cut", "garbage"],
)
async def test_a_data_set_that_is_not_what_the_command_says_is_refused(
    data: bytes, status: int, code: str
) -> None:
    intake = MemoryIntake()
    async with running(SOURCE, intake) as source:
        sender = await Sender.connect(source.address)
        await sender.store(UID, data)
        answer = await sender.answer()
        await sender.leave()
        assert files(intake) == []
    ((kept, reason),) = intake.refused
    assert (answer.status, reason.code, reason.text[:64]) == (status, code, answer.comment)
    assert (kept.key, kept.body[128:132]) == (UID, b"DICM")


async def test_the_header_is_the_file_without_its_pixels() -> None:
    intake = MemoryIntake()
    async with running(SOURCE, intake) as source:
        sender = await Sender.connect(source.address)
        sent = data_set(instance(UID, pixels=100_000))
        await sender.store(UID, sent)
        assert (await sender.answer()).status == 0
        await sender.leave()
        (taken,) = intake.received
        assert taken.spooled
        assert taken.spooled.path.read_bytes() == received(UID, sent)
        assert oct(taken.spooled.path.stat().st_mode)[-3:] == "600"
    assert received(UID, sent).startswith(taken.body)
    assert len(sent) - len(taken.body) > 90_000


async def test_there_are_no_more_associations_than_allowed() -> None:
    async with running(replace(SOURCE, max_associations=2), MemoryIntake()) as source:
        two = [await Sender.connect(source.address) for _ in range(2)]
        with pytest.raises(ConnectionError):
            await Sender.connect(source.address)
        for sender in two:
            await sender.leave()

        async def again() -> bool:
            try:
                await (await Sender.connect(source.address)).leave()
            except ConnectionError:
                return False
            return True

        end = time.monotonic() + DEADLINE
        while not await again():
            assert time.monotonic() < end


async def test_who_is_silent_too_long_is_let_go() -> None:
    async with running(replace(SOURCE, timeout=0.3), MemoryIntake()) as source:
        sender = await Sender.connect(source.address)
        assert (await sender.answer()).status is None
        await sender.leave()
        slow = await Sender.connect(source.address)
        slow.writer.write(pdu(DATA, bytes(100))[:20])
        assert (await slow.answer()).status is None
        await slow.leave()


async def test_memory_does_not_grow_with_the_instance(tmp_path: Path) -> None:
    """10 MB, then 200 MB: not a tenth more."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.adapters.dicom_sink", str(tmp_path / "spool"),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert process.stdout
    try:
        address = json.loads(await asyncio.wait_for(process.stdout.readline(), DEADLINE))
        peaks = []
        for megabytes in (10, 10, 200):
            path = big(tmp_path, megabytes << 20)
            ended = await storescu(address, path)
            assert ended.status == 0, ended.out
            told = json.loads(await asyncio.wait_for(process.stdout.readline(), DEADLINE))
            assert told["size"] > megabytes << 20
            peaks.append(told["peak"])
    finally:
        process.kill()
        await process.wait()
    assert peaks[2] < 1.1 * peaks[0]


def big(folder: Path, size: int) -> Path:
    """A file with so many bytes of pixels, which take no room on the disk."""
    path = folder / f"{size}.dcm"
    head = instance(UID, Rows=1, Columns=1, BitsAllocated=8)
    path.write_bytes(head + b"\xe0\x7f\x10\x00OB\0\0" + size.to_bytes(4, "little"))
    os.truncate(path, path.stat().st_size + size)
    return path


def test_settings_that_cannot_work_are_told() -> None:
    assert DicomSource(port=0).problems() == []
    bad = DicomSource(port=0, host="0.0.0.0", ae_title="A TITLE THAT IS TOO LONG", callers=("",), max_pdu=100)
    assert len(bad.problems()) == 4

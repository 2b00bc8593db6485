"""What a DICOM archive may do to an instance that is sent to it; storescp stores what it gets, byte for byte."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from adapters.dicom.destination import DicomDestination
from adapters.dicom.outbound import outcome
from demo.children import free_ports
from engine.message import Delivered, Delivery, Outcome, Rejected, Retry, Unknown
from tests.adapters.certificates import Authority
from tests.adapters.dicom_peer import DEADLINE, data_set, instance, needs_dcmtk, run, storescp
from tests.adapters.dicom_wire import Receiver, Stored, answer, associate_ac, pdu, receiver

UID = "1.2.826.0.1.3680043.9.7433.8"


def delivery(path: Path | None, body: bytes = b"") -> Delivery:
    return Delivery(id=70_001, message=1, destination="pacs", lane=1, body=body, spooled=path)


async def deliver(to: DicomDestination, what: Delivery) -> Outcome:
    try:
        async with asyncio.timeout(DEADLINE):
            return await to.deliver(what)
    finally:
        await to.close()


def pacs(port: int, **more: object) -> DicomDestination:
    return DicomDestination(host="127.0.0.1", port=port, ae_title="PACS", timeout=5.0, **more)  # type: ignore[arg-type]


def stored(folder: Path) -> list[bytes]:
    return [data_set(file.read_bytes()) for file in folder.iterdir()]


# --- DCMTK


@needs_dcmtk
@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("", ()),
        ("dcmcrle", ()),
        ("dcmcjpeg", ()),
        ("dcmconv", ("+td",)),
        ("dcmconv", ("+tb",)),
        ("dcmconv", ("+ti",)),
    ],
    ids=["explicit", "rle", "jpeg", "deflated", "big-endian", "implicit"],
)
async def test_the_archive_gets_the_bytes_that_came(
    tmp_path: Path, program: str, options: tuple[str, ...]
) -> None:
    plain, path, archive = tmp_path / "plain.dcm", tmp_path / "sent.dcm", tmp_path / "archive"
    plain.write_bytes(instance(UID, pixels=300_000))
    archive.mkdir()
    if program:
        assert (await run(program, *options, str(plain), str(path))).status == 0
    else:
        plain.rename(path)
    (port,) = free_ports(1)
    async with storescp(archive, port, "+xa", "-B"):  # every transfer syntax; written as it is read
        assert await deliver(pacs(port), delivery(path)) == Delivered(b"0000")
    (got,) = stored(archive)
    assert got == data_set(path.read_bytes())


@needs_dcmtk
async def test_a_transfer_syntax_that_the_archive_does_not_take_is_not_sent_in_another(
    tmp_path: Path,
) -> None:
    plain, path, archive = tmp_path / "plain.dcm", tmp_path / "sent.dcm", tmp_path / "archive"
    plain.write_bytes(instance(UID, pixels=10_000))
    archive.mkdir()
    assert (await run("dcmcrle", str(plain), str(path))).status == 0
    (port,) = free_ports(1)
    async with storescp(archive, port, "+xi"):
        found = await deliver(pacs(port), delivery(path))
    assert isinstance(found, Rejected)
    assert (found.reason.code, stored(archive)) == ("no-presentation-context", [])


@needs_dcmtk
@pytest.mark.parametrize(("switch", "kind"), [("--abort-during", Unknown), ("--abort-after", Unknown)])
async def test_an_archive_that_breaks_off_may_have_it_or_not(tmp_path: Path, switch: str, kind: type) -> None:
    (port,) = free_ports(1)
    path, archive = tmp_path / "sent.dcm", tmp_path / "archive"
    archive.mkdir()
    path.write_bytes(instance(UID, pixels=1_000_000))
    async with storescp(archive, port, switch):
        assert isinstance(await deliver(pacs(port), delivery(path)), kind)


# --- what no archive would do


async def test_an_association_that_is_refused_is_tried_again() -> None:
    def refuse(asked: bytes) -> bytes:
        return pdu(3, bytes((0, 1, 1, 7)))  # permanent, service user, called AE title not recognised

    async with receiver() as peer:
        peer.agree = refuse
        found = await deliver(pacs(peer.port), delivery(None, instance(UID)))
    assert isinstance(found, Retry)
    assert found.reason.code == "association-refused"


async def test_nobody_there_is_tried_again() -> None:
    (port,) = free_ports(1)
    assert isinstance(await deliver(pacs(port), delivery(None, instance(UID))), Retry)
    nowhere = replace(pacs(port), host="nowhere.invalid")
    assert isinstance(await deliver(nowhere, delivery(None, instance(UID))), Retry)


async def test_only_its_own_class_in_its_own_transfer_syntax_is_proposed_under_our_titles() -> None:
    async with receiver() as peer:
        await deliver(pacs(peer.port, calling="OURS"), delivery(None, instance(UID)))
        (asked,) = peer.asked
    assert (asked[4:20].strip(), asked[20:36].strip()) == (b"PACS", b"OURS")
    assert asked.count(b"1.2.840.10008.5.1.4.1.1.7") == 1
    assert peer.got[0].message == 70_001 & 0xFFFF
    assert peer.got[0].data == data_set(instance(UID))


@pytest.mark.parametrize("limit", [16_384, 100_001, 0], ids=["small", "odd", "unlimited"])
async def test_pieces_are_no_longer_than_the_archive_takes(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "sent.dcm"
    path.write_bytes(instance(UID, pixels=3_000_000))
    async with receiver() as peer:
        peer.agree = partial(associate_ac, limit=limit)
        assert isinstance(await deliver(pacs(peer.port), delivery(path)), Delivered)
        assert peer.longest <= (limit or 1 << 18)
    assert peer.got[0].data == data_set(path.read_bytes())


STATUSES = {
    0x0000: Delivered, 0xB000: Delivered, 0xB006: Delivered, 0xB007: Delivered,
    0xA700: Retry, 0xA7FF: Retry, 0x0110: Retry, 0x0213: Retry,
    0xA900: Rejected, 0xC000: Rejected, 0xCFFF: Rejected, 0x0122: Rejected, 0x0124: Rejected,
}  # fmt: skip


@pytest.mark.parametrize("status", STATUSES, ids=hex)
def test_a_status_means_what_the_standard_says(status: int) -> None:
    """PS3.4 B.2.3 and PS3.7 annex C."""
    found = outcome(status, "")
    assert isinstance(found, STATUSES[status])
    if isinstance(found, Delivered | Rejected):
        assert found.reply == f"{status:04X}".encode()


async def silent(stored: Stored, writer: asyncio.StreamWriter, context: int) -> None:
    """Nothing is said."""


async def closed(stored: Stored, writer: asyncio.StreamWriter, context: int) -> None:
    writer.close()


async def garbled(stored: Stored, writer: asyncio.StreamWriter, context: int) -> None:
    writer.write(pdu(4, b"\0\0\0\x06\x01\x03none"))


async def other(stored: Stored, writer: asyncio.StreamWriter, context: int) -> None:
    answer(stored, writer, context, 0, message=stored.message + 1)


@pytest.mark.parametrize("how", [silent, closed, garbled, other])
async def test_without_an_answer_of_its_own_it_may_have_been_stored(
    how: Callable[[Stored, asyncio.StreamWriter, int], Awaitable[None]],
) -> None:
    async with receiver(how) as peer:
        to = replace(pacs(peer.port), timeout=0.5)
        assert isinstance(await deliver(to, delivery(None, instance(UID))), Unknown)


async def test_an_archive_that_stops_reading_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "sent.dcm"
    path.write_bytes(instance(UID, pixels=20_000_000))
    stuck = await asyncio.start_server(associates_only, "127.0.0.1", 0)
    port = stuck.sockets[0].getsockname()[1]
    try:
        to = replace(pacs(port), timeout=0.5)
        assert isinstance(await deliver(to, delivery(path)), Unknown)
    finally:
        stuck.close()


async def associates_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readexactly(6)
    writer.write(associate_ac(await reader.readexactly(int.from_bytes(head[2:], "big"))))
    reader._transport.pause_reading()  # type: ignore[attr-defined]


async def test_what_cannot_be_sent_is_rejected(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    gone = await deliver(pacs(port), delivery(tmp_path / "gone"))
    none = await deliver(pacs(port), delivery(None, b"no DICOM file"))
    assert [isinstance(each, Rejected) and each.reason.code for each in (gone, none)] == [
        "no-file",
        "not-dicom",
    ]


async def test_memory_does_not_grow_with_the_instance(tmp_path: Path) -> None:
    """200 MB from a file, to an archive that is slower than the disk."""
    path = tmp_path / "sent.dcm"
    head = instance(UID)
    size = 200 << 20
    path.write_bytes(head + b"\xe0\x7f\x10\x00OB\0\0" + size.to_bytes(4, "little"))
    os.truncate(path, path.stat().st_size + size)

    async with receiver() as peer:
        peer.keep = False
        assert isinstance(await deliver(pacs(peer.port), delivery(None, head)), Delivered)
        before = resident()
        assert isinstance(await deliver(pacs(peer.port), delivery(path)), Delivered)
        assert resident() < 1.1 * before


def resident() -> int:
    """The most memory so far, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


async def test_tls_is_spoken_and_a_stranger_is_not_believed(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "stranger")
    certificate, key = ours.issue("localhost")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    peer = Receiver()
    peer.tls = context
    await peer.start()
    try:
        to = replace(pacs(peer.port), host="localhost", tls=True, ca=ours.ca)
        assert isinstance(await deliver(to, delivery(None, instance(UID))), Delivered)
        assert isinstance(await deliver(replace(to, ca=theirs.ca), delivery(None, instance(UID))), Retry)
    finally:
        await peer.stop()


def test_settings_that_cannot_work_are_told() -> None:
    assert pacs(104).problems() == []
    bad = DicomDestination(host="pacs.example", port=0, ae_title="A TITLE THAT IS TOO LONG", ca=Path("/no"))
    assert len(bad.problems()) == 5

"""DICOM's other ends: DCMTK's programs, run as they are installed, and instances to send."""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.adapters.dicom_wire import EXPLICIT, SECONDARY_CAPTURE

DEADLINE = 30.0
needs_dcmtk = pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not installed")


def instance(
    uid: str = "1.2.826.0.1.3680043.9.7433.1", *, pixels: int = 0, syntax: str = EXPLICIT, **values: Any
) -> bytes:
    """A small file of a Secondary Capture, with as many bytes of pixels. `values` go by their keywords."""
    from pydicom.dataset import Dataset, FileMetaDataset

    made: Any = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = values.pop("SOPClassUID", SECONDARY_CAPTURE), uid
    made.StudyInstanceUID, made.SeriesInstanceUID = (
        "1.2.826.0.1.3680043.9.7433.2",
        "1.2.826.0.1.3680043.9.7433.3",
    )
    made.PatientID, made.PatientName, made.PatientSex = "MRN10001", "Test^Anna", "F"
    made.StudyDate, made.StudyTime, made.Modality = "20261120", "101500", "OT"
    made.AccessionNumber = ""
    for keyword, value in values.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    if pixels:
        columns = min(pixels, 1 << 14)
        made.Rows, made.Columns, made.SamplesPerPixel = max(pixels // columns, 1), columns, 1
        made.PhotometricInterpretation = "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
        made.PixelData = (bytes(range(251)) * (pixels // 251 + 1))[:pixels]
        made["PixelData"].VR = "OB"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = made.SOPClassUID, uid
    out = BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def data_set(file: bytes) -> bytes:
    """What follows the meta information (PS3.10 7.1)."""
    (length,) = struct.unpack_from("<L", file, 140)
    return file[144 + length :]


def received(uid: str, data: bytes, sop_class: str = SECONDARY_CAPTURE, syntax: str = EXPLICIT) -> bytes:
    """The file that an instance becomes that pynetdicom receives."""
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import UID
    from pynetdicom.dsutils import create_file_meta

    out = BytesIO()
    out.write(bytes(128) + b"DICM")
    meta = create_file_meta(
        sop_class_uid=UID(sop_class), sop_instance_uid=UID(uid), transfer_syntax=UID(syntax)
    )
    write_file_meta_info(out, meta)
    return out.getvalue() + data


class Ended(NamedTuple):
    status: int
    out: str


async def run(*command: str, cwd: Path | None = None) -> Ended:
    """A program of DCMTK, to its end."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=cwd
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
    finally:
        if process.returncode is None:
            process.kill()
    return Ended(process.returncode or 0, out.decode("utf-8", "replace"))


def server(address: str) -> tuple[str, str]:
    """`dicom://127.0.0.1:104` as DCMTK wants it."""
    host, _, port = address.partition("://")[2].rpartition(":")
    return host, port


async def storescu(
    address: str, *files: Path | str, options: tuple[str, ...] = (), called: str = "CHARTWIRE"
) -> Ended:
    return await run("storescu", "-v", "-aec", called, *options, *server(address), *map(str, files))


async def echoscu(address: str, *options: str, called: str = "CHARTWIRE") -> Ended:
    return await run("echoscu", "-v", "-aec", called, *options, *server(address))


async def findscu(address: str, folder: Path, *keys: str, options: tuple[str, ...] = ()) -> list[Any]:
    """The worklist items that `findscu -W` gets; it fails the test if the query does."""
    wanted = [part for key in keys for part in ("-k", key)]
    command = (
        "findscu",
        "-W",
        "-X",
        "-od",
        str(folder),
        "-aec",
        "CHARTWIRE",
        *options,
        *wanted,
        *server(address),
    )
    ended = await run(*command)
    assert ended.status == 0, ended.out
    return found_in(folder)


def found_in(folder: Path) -> list[Any]:
    """The responses that `findscu -X` has written."""
    from pydicom import dcmread

    return [dcmread(file, force=True) for file in sorted(folder.glob("rsp*.dcm"))]


@asynccontextmanager
async def storescp(folder: Path, port: int, *options: str) -> AsyncIterator[None]:
    """DCMTK's storage service, up; it writes what comes into the folder."""
    process = await asyncio.create_subprocess_exec(
        "storescp", "-aet", "PACS", "-od", str(folder), *options, str(port), stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(DEADLINE):
            while (await run("echoscu", "-aec", "PACS", "127.0.0.1", str(port))).status:
                assert process.returncode is None
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

"""A folder as a destination: one whole file per delivery, however often it is attempted."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.files.destination import FilesDestination
from engine.message import Delivered, Delivery, Outcome, Retry

CANARY = "ZYXWVUTSRQ"
BODY = f"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5.1\rPID|1||1||{CANARY}\r\x00\xff".encode("latin-1")


def delivery(body: bytes = BODY, id: int = 17) -> Delivery:
    return Delivery(id, 1, "partner", 1, body)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def code(result: Outcome) -> str:
    assert isinstance(result, Retry)
    assert CANARY not in str(result.reason)
    return result.reason.code


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """The kernel lets no file grow beyond so many bytes: a write breaks off midway, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_the_body_is_written_as_it_is(tmp_path: Path) -> None:
    result = await FilesDestination(tmp_path).deliver(delivery())
    assert result == Delivered()
    assert names(tmp_path) == ["CW17.hl7"]
    assert (tmp_path / "CW17.hl7").read_bytes() == BODY


async def test_the_name_can_be_set(tmp_path: Path) -> None:
    await FilesDestination(tmp_path, "adt-{control}.json").deliver(delivery(b"{}"))
    assert names(tmp_path) == ["adt-CW17.json"]


def test_it_is_on_disk_before_it_can_be_seen(tmp_path: Path) -> None:
    """fsync of the bytes, then the name, then fsync of the folder that holds the name."""
    folder, trace = tmp_path / "folder", tmp_path / "trace"
    folder.mkdir()
    script = (
        "import asyncio, pathlib, sys; from adapters.files.destination import *; "
        "asyncio.run(FilesDestination(pathlib.Path(sys.argv[1])).deliver(Delivery(17, 1, 'p', 1, b'body')))"
    )
    strace = ("strace", "-f", "-y", "-e", "trace=fsync,fdatasync,/rename", "-o", str(trace))
    subprocess.run(
        [*strace, sys.executable, "-c", script, str(folder)], check=True, cwd=Path(__file__).parents[2]
    )
    calls = re.findall(r"(fsync|fdatasync|rename\w*)\(.*?([^/\">]*)\"?>?\) += 0", trace.read_text())
    assert calls == [("fsync", ".CW17.hl7.part"), ("rename", "CW17.hl7"), ("fsync", "folder")]


@pytest.mark.parametrize("body", [BODY, b"", b"x" * 1_000_000])
async def test_another_attempt_makes_no_second_file(tmp_path: Path, body: bytes) -> None:
    partner = FilesDestination(tmp_path)
    await partner.deliver(delivery(body))
    first = (tmp_path / "CW17.hl7").stat()
    assert isinstance(await partner.deliver(delivery(body)), Delivered)
    assert names(tmp_path) == ["CW17.hl7"]
    assert (tmp_path / "CW17.hl7").stat().st_ino == first.st_ino


@pytest.mark.parametrize("leftover", [b"", BODY[:9], BODY * 3])
async def test_what_a_crash_left_behind_is_used_up(tmp_path: Path, leftover: bytes) -> None:
    (tmp_path / ".CW17.hl7.part").write_bytes(leftover)
    assert isinstance(await FilesDestination(tmp_path).deliver(delivery()), Delivered)
    assert names(tmp_path) == ["CW17.hl7"]
    assert (tmp_path / "CW17.hl7").read_bytes() == BODY


async def test_another_file_of_that_name_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "CW17.hl7").write_bytes(b"somebody's")
    assert code(await FilesDestination(tmp_path).deliver(delivery())) == "name-taken"
    assert (tmp_path / "CW17.hl7").read_bytes() == b"somebody's"


async def test_a_file_that_was_taken_away_before_the_next_attempt_is_given_again(tmp_path: Path) -> None:
    partner = FilesDestination(tmp_path)
    await partner.deliver(delivery())
    (tmp_path / "CW17.hl7").unlink()
    assert isinstance(await partner.deliver(delivery()), Delivered)
    assert (tmp_path / "CW17.hl7").read_bytes() == BODY


async def test_a_full_disk_is_a_retry_and_shows_no_half_file(tmp_path: Path) -> None:
    partner = FilesDestination(tmp_path)
    with disk_of(10):
        assert code(await partner.deliver(delivery())) == "disk-full"
        assert not (tmp_path / "CW17.hl7").exists()
    assert isinstance(await partner.deliver(delivery()), Delivered)
    assert names(tmp_path) == ["CW17.hl7"]


async def test_a_folder_that_is_not_there_is_a_retry_and_is_not_made(tmp_path: Path) -> None:
    partner = FilesDestination(tmp_path / "mount")
    assert code(await partner.deliver(delivery())) == "no-folder"
    assert not (tmp_path / "mount").exists()
    (tmp_path / "mount").write_text("not a folder")
    assert code(await partner.deliver(delivery())) == "no-folder"


async def test_a_folder_is_made_where_that_is_wanted(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "archive"
    assert isinstance(await FilesDestination(folder, create=True).deliver(delivery()), Delivered)
    assert names(folder) == ["CW17.hl7"]


async def test_a_link_in_the_place_of_the_hidden_name_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".CW17.hl7.part").symlink_to(outside)
    assert code(await FilesDestination(folder).deliver(delivery())) == "file-trouble"
    assert outside.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_without_permission_is_a_retry(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o500)
    try:
        assert code(await FilesDestination(tmp_path).deliver(delivery())) == "not-permitted"
    finally:
        os.chmod(tmp_path, 0o700)


async def test_others_may_not_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        await FilesDestination(tmp_path).deliver(delivery())
    finally:
        os.umask(before)
    assert (tmp_path / "CW17.hl7").stat().st_mode & 0o7777 == 0o640


@pytest.mark.parametrize(
    "name",
    [
        "",
        "out.hl7",
        "{control}/x",
        "../{control}",
        ".{control}",
        "{control}\0",
        "{control} x",
        "{id}{control}",
    ],
)
def test_a_name_that_is_not_safe_is_a_problem(tmp_path: Path, name: str) -> None:
    assert FilesDestination(tmp_path, name).problems()


@pytest.mark.parametrize("name", ["{control}.hl7", "{control}", "adt_{control}-1.txt"])
def test_a_safe_name_is_none(tmp_path: Path, name: str) -> None:
    assert FilesDestination(tmp_path, name).problems() == []

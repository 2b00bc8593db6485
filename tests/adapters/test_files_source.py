"""A folder as a source: each file is taken once, whole, and moved away when it is answered for."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from adapters.files.folder import HEAD, Content, Folder, Sight, settled
from adapters.files.source import FILES, FilesSource
from engine.message import Accepted, Duplicate, Receipt, Received, Refused, Unavailable, Uncertain
from store.reason import Reason
from tests.conformance.intake import DEADLINE, MemoryIntake

BODY = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5.1\rPID|1||1\r\x00\xff"
REASON = Reason("missing-segment", "there is no PID", "PID")


class Running:
    """A source that watches `folder`."""

    def __init__(self, folder: Path, intake: MemoryIntake, settings: dict[str, Any]) -> None:
        self.folder, self.intake = folder, intake
        self.ready = asyncio.Event()
        self.address = ""
        source = FilesSource(**{"directory": folder, "poll": 0.01, "settle": 0.0, **settings})
        self.task = asyncio.create_task(source.run(intake, self._tell))

    def _tell(self, address: str) -> None:
        assert not self.address, "ready is told once"
        self.address = address
        self.ready.set()

    def drop(self, name: str, body: bytes = BODY) -> Path:
        """As a careful writer does: under a hidden name, then renamed."""
        hidden = self.folder / f".{name}"
        hidden.write_bytes(body)
        return hidden.rename(self.folder / name)

    def holds(self, folder: str) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (self.folder / folder).glob("*")}

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what the source does to files; it has no other way to tell."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.005)
                assert not self.task.done(), "the source ended"

    async def gone(self, *names: str) -> None:
        await self.until(lambda: not any((self.folder / name).exists() for name in names))

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(DEADLINE):
                await self.task


@asynccontextmanager
async def running(folder: Path, *receipts: Receipt | None, **settings: Any) -> AsyncIterator[Running]:
    """`receipts` are given in turn, the last one for ever; None is held back."""
    turn = iter(receipts)
    last = receipts[-1] if receipts else Accepted(1)
    made = Running(folder, MemoryIntake(lambda received: next(turn, last)), settings)
    try:
        yield made
    finally:
        await made.stop()


def named(received: list[Received]) -> list[str]:
    return [(r.key or "").split(":")[0] for r in received]


@pytest.mark.parametrize("receipt", [Accepted(1), Duplicate(1)])
async def test_a_taken_file_goes_to_the_archive(tmp_path: Path, receipt: Receipt) -> None:
    async with running(tmp_path, receipt) as source:
        await asyncio.wait_for(source.ready.wait(), DEADLINE)
        source.drop("a.hl7")
        await source.gone("a.hl7")
        assert source.holds("archive") == {"a.hl7": BODY}
    (received,) = source.intake.received
    assert received == Received(BODY, f"a.hl7:{hashlib.sha256(BODY).hexdigest()[:32]}", tmp_path.as_uri())
    assert source.address == tmp_path.as_uri()


async def test_a_refused_file_goes_to_failed_with_the_reason(tmp_path: Path) -> None:
    async with running(tmp_path, Refused(REASON)) as source:
        source.drop("a.hl7")
        await source.gone("a.hl7")
        assert source.holds("failed") == {"a.hl7": BODY, "a.hl7.reason": f"{REASON}\n".encode()}


async def test_a_reason_never_takes_the_place_of_a_refused_file(tmp_path: Path) -> None:
    async with running(tmp_path, Refused(REASON)) as source:
        for name, body in (("a.reason", b"one"), ("a", b"two"), ("a", b"three")):
            source.drop(name, body)
            await source.gone(name)
        kept = [body for body in source.holds("failed").values() if body != f"{REASON}\n".encode()]
        assert sorted(kept) == [b"one", b"three", b"two"]


async def test_archive_and_failed_can_be_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    async with running(
        folder, Accepted(1), Refused(REASON), archive="../done", failed=str(tmp_path / "bad")
    ) as source:
        source.drop("a")
        await source.gone("a")
        source.drop("b")
        await source.gone("b")
    assert (tmp_path / "done" / "a").exists()
    assert (tmp_path / "bad" / "b").exists()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("receipt", [Unavailable(REASON), Uncertain()])
async def test_a_file_that_cannot_be_taken_stays_and_is_tried_again(tmp_path: Path, receipt: Receipt) -> None:
    async with running(tmp_path, receipt, receipt, None, Accepted(1)) as source:
        source.drop("a")
        await source.intake.came(3)
        assert (tmp_path / "a").exists()
        source.intake.release(Accepted(1))
        await source.gone("a")
        assert source.holds("archive") == {"a": BODY}
    assert len({received.key for received in source.intake.received}) == 1


@pytest.mark.parametrize("how", ["error", "cancelled"])
async def test_an_intake_that_breaks_leaves_the_file(tmp_path: Path, how: str) -> None:
    async with running(tmp_path, None, Accepted(1)) as source:
        source.drop("a")
        await source.intake.came(1)
        (future,) = source.intake.held
        source.intake.held.clear()
        future.cancel() if how == "cancelled" else future.set_exception(RuntimeError("broken"))
        await source.gone("a")
    assert len(source.intake.received) == 2


async def test_files_go_oldest_first(tmp_path: Path) -> None:
    for age, name in enumerate(["b", "c", "a"]):
        (tmp_path / name).write_bytes(name.encode())
        os.utime(tmp_path / name, ns=(age, age))
    async with running(tmp_path) as source:
        await source.gone("a", "b", "c")
    assert named(source.intake.received) == ["b", "c", "a"]


async def test_a_file_that_waits_for_its_receipt_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with running(tmp_path, None, Accepted(2)) as source:
        source.drop("a")
        await source.intake.came(1)
        source.drop("b")
        await source.gone("b")
        assert (tmp_path / "a").exists()
        source.intake.release(Accepted(1))
        await source.gone("a")
    assert named(source.intake.received) == ["a", "b"]


async def test_only_so_many_files_are_in_hand(tmp_path: Path) -> None:
    names = [f"{n:03}" for n in range(FILES + 10)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    async with running(tmp_path, *[None] * FILES, Accepted(1)) as source:
        await source.intake.came(FILES)
        assert len(source.intake.received) == FILES
        source.intake.release(Accepted(1))
        await source.gone(*names)
    assert sorted(named(source.intake.received)) == names


async def test_a_file_is_taken_only_when_its_writer_has_stopped(tmp_path: Path) -> None:
    """The writer writes in every turn of the loop, so whenever the source has looked twice, it has grown."""
    async with running(tmp_path, settle=0.05) as source:
        await asyncio.wait_for(source.ready.wait(), DEADLINE)
        loop, written = asyncio.get_running_loop(), 0
        end = loop.time() + 0.5
        with (tmp_path / "a").open("wb", buffering=0) as file:
            while loop.time() < end:
                written += file.write(b"x")
                await asyncio.sleep(0)
        await source.gone("a")
    assert [len(received.body) for received in source.intake.received] == [written]


def test_a_file_has_settled_when_it_has_been_the_same_for_long_enough() -> None:
    a, b = Sight(1, "a", 10, 1), Sight(1, "b", 10, 2)
    grown, touched, replaced = a._replace(size=11), a._replace(modified=2), a._replace(inode=3)
    ready, since = settled([a], {}, now=100.0, settle=2.0)
    assert ready == []
    ready, since = settled([a, b], since, now=101.9, settle=2.0)
    assert ready == []
    assert settled([a, b], since, now=102.0, settle=2.0)[0] == [a]
    for other in (grown, touched, replaced):
        ready, later = settled([other, b], since, now=104.0, settle=2.0)
        assert ready == [b]
        assert settled([other, b], later, now=106.0, settle=2.0)[0] == [other, b]
    assert settled([a], {}, now=0.0, settle=0.0)[0] == [a]


def test_a_file_that_has_changed_since_it_was_seen_is_not_read(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "*")
    (tmp_path / "a").write_bytes(b"half")
    (sight,) = folder.look()
    assert folder.read(sight, 100) == Content(b"half", hashlib.sha256(b"half").hexdigest())
    with (tmp_path / "a").open("ab") as file:
        file.write(b" and half")
    assert folder.read(sight, 100) is None
    (tmp_path / "a").unlink()
    assert folder.read(sight, 100) is None


async def test_what_is_written_under_the_same_name_meanwhile_is_another_message(tmp_path: Path) -> None:
    async with running(tmp_path, None, Accepted(2)) as source:
        source.drop("a", b"one")
        await source.intake.came(1)
        source.drop("a", b"two, and longer")
        source.intake.release(Accepted(1))
        await source.gone("a")
        assert source.holds("archive") == {"a": b"two, and longer"}
    assert [received.body for received in source.intake.received] == [b"one", b"two, and longer"]
    assert len({received.key for received in source.intake.received}) == 2


def test_what_came_while_it_was_moved_and_put_back_stays_too(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "*")
    (tmp_path / "a").write_bytes(b"one")
    (sight,) = folder.look()
    (tmp_path / "a").unlink()
    (tmp_path / "a").write_bytes(b"two, and longer")
    real = os.rename

    def rename(source: Path, target: Path) -> None:
        real(source, target)
        (tmp_path / "a").write_bytes(b"three, in that very moment")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", rename)
        folder.move(sight, "0" * 64, tmp_path / "archive")
    found = {file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    assert found == {b"two, and longer", b"three, in that very moment"}
    assert not list((tmp_path / "archive").iterdir())


async def test_nothing_in_the_archive_is_lost_to_a_file_of_the_same_name(tmp_path: Path) -> None:
    async with running(tmp_path) as source:
        for body in (b"one", b"two", b"two", b"one"):
            source.drop("a.hl7", body)
            await source.gone("a.hl7")
        assert sorted(source.holds("archive").values()) == [b"one", b"one", b"two"]
    keys = [received.key for received in source.intake.received]
    assert (keys[0], keys[1]) == (keys[3], keys[2])
    assert len(set(keys)) == 2


async def test_only_regular_files_that_match_are_taken(tmp_path: Path) -> None:
    outside = tmp_path / "outside.hl7"
    outside.write_bytes(BODY)
    folder = tmp_path / "in"
    (folder / "sub.hl7").mkdir(parents=True)
    (folder / "sub.hl7" / "c.hl7").write_bytes(BODY)
    (folder / "link.hl7").symlink_to(outside)
    (folder / "loop.hl7").symlink_to("loop.hl7")
    os.mkfifo(folder / "pipe.hl7")
    (folder / ".hidden.hl7").write_bytes(BODY)
    (folder / "b.txt").write_bytes(BODY)
    (folder / "B.HL7").write_bytes(BODY)
    async with running(folder, pattern="*.hl7") as source:
        source.drop("a.hl7")
        await source.gone("a.hl7")
    assert named(source.intake.received) == ["a.hl7"]
    left = {"sub.hl7", "link.hl7", "loop.hl7", "pipe.hl7", ".hidden.hl7", "b.txt", "B.HL7", "archive"}
    assert {p.name for p in folder.iterdir()} == left


@pytest.mark.parametrize("size", [501, HEAD + 501])
async def test_a_long_file_is_refused_and_its_head_kept(tmp_path: Path, size: int) -> None:
    body = BODY + b"x" * size
    async with running(tmp_path, max_size=500) as source:
        source.drop("long", body)
        source.drop("fits", b"x" * 500)
        await source.gone("long", "fits")
        assert source.holds("failed")["long"] == body
        assert source.holds("archive") == {"fits": b"x" * 500}
    ((received, reason),) = source.intake.refused
    assert (received.body, reason.code) == (body[:HEAD], "file-too-long")
    assert received.key == f"long:{hashlib.sha256(body).hexdigest()[:32]}"


@pytest.mark.parametrize("body", [b"", b" \r\n"])
async def test_an_empty_file_is_refused(tmp_path: Path, body: bytes) -> None:
    async with running(tmp_path) as source:
        source.drop("a", body)
        await source.gone("a")
        assert source.holds("failed")["a"] == body
    assert [reason.code for _, reason in source.intake.refused] == ["empty"]
    assert source.intake.received == []


async def test_a_name_that_is_no_utf_8_does_no_harm(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.hl7")
    async with running(tmp_path) as source:
        source.drop(name)
        await source.gone(name)
        assert (tmp_path / "archive" / name).exists()
    ((received),) = source.intake.received
    assert (received.key or "").encode().startswith(b"caf\\xe9.hl7:")


async def test_a_file_that_cannot_be_moved_is_not_taken_twice(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("in the way")
    canary = "ZYXWVUTSRQ"
    with structlog.testing.capture_logs() as logs:
        async with running(tmp_path, pattern="Z*") as source:
            source.drop(canary)
            await source.until(lambda: logs)
            (tmp_path / "archive").unlink()
            await source.gone(canary)
            assert source.holds("archive") == {canary: BODY}
    assert len(source.intake.received) == 1
    assert [entry["event"] for entry in logs] == ["files.trouble"]
    assert canary not in str(logs)


async def test_a_folder_that_comes_later_is_watched_then(tmp_path: Path) -> None:
    folder = tmp_path / "mount"
    with structlog.testing.capture_logs() as logs:
        async with running(folder) as source:
            await source.until(lambda: logs)
            assert not source.ready.is_set()
            folder.mkdir()
            await asyncio.wait_for(source.ready.wait(), DEADLINE)
            source.drop("a")
            await source.gone("a")
            for name in ("archive/a", "archive"):
                path = folder / name
                path.unlink() if path.is_file() else path.rmdir()
            folder.rmdir()
            await source.until(lambda: len(logs) == 2)
    assert [entry["code"] for entry in logs] == ["no-folder", "no-folder"]


async def test_stopping_waits_for_what_is_in_hand_and_takes_nothing_more(tmp_path: Path) -> None:
    async with running(tmp_path, None) as source:
        source.drop("a")
        await source.intake.came(1)
        source.task.cancel()
        source.drop("b")
        source.intake.release(Accepted(1))
        await source.stop()
        assert source.task.cancelled()
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "b").exists()
    assert named(source.intake.received) == ["a"]


async def test_after_a_stop_before_the_move_the_file_is_a_duplicate_and_moved(tmp_path: Path) -> None:
    async with running(tmp_path, Uncertain()) as source:
        source.drop("a")
        await source.intake.came(1)
    async with running(tmp_path, Duplicate(1)) as again:
        await again.gone("a")
    assert again.intake.received[0] == source.intake.received[0]


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"archive": "."}, "watched folder"), ({"failed": "x/.."}, "watched folder"), ({"poll": 0.0}, "poll")],
)
async def test_what_is_wrong_with_the_settings(tmp_path: Path, settings: dict[str, Any], word: str) -> None:
    source = FilesSource(**{"directory": tmp_path, **settings})
    assert any(word in problem for problem in source.problems()), source.problems()
    with pytest.raises(ValueError, match=word):
        await source.run(MemoryIntake(), lambda address: pytest.fail(address))

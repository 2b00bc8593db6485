from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from adapters.files.destination import FilesDestination
from adapters.files.source import FilesSource
from tests.adapters.mllp_peer import adt
from tests.conformance.harness import CANARY, Behaviour, Sign, Verdict
from tests.conformance.intake import DEADLINE


def control(body: bytes) -> str:
    return body.split(b"|")[9].decode() if body.startswith(b"MSH") else "garbage"


class Dropped(NamedTuple):
    """A file, and what was in archive and failed before it was dropped."""

    path: Path
    before: frozenset[tuple[Path, int]]


class FolderClient:
    """Writes under a hidden name and renames; sees where its files go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dropped: list[Dropped] = []

    async def send(self, body: bytes) -> None:
        self._drop(f"{control(body)}.hl7", body)

    def _drop(self, name: str, body: bytes) -> None:
        hidden = self._folder / f".{name}"
        hidden.write_bytes(body)
        self._dropped.append(Dropped(self._folder / name, self._done(name)))
        hidden.rename(self._folder / name)

    def _done(self, name: str) -> frozenset[tuple[Path, int]]:
        stem = name.partition(".")[0]
        return frozenset((p, p.stat().st_ino) for p in self._folder.glob(f"[af]*/{stem}.*"))

    async def verdict(self) -> Verdict:
        path, before = self._dropped.pop(0)
        async with asyncio.timeout(DEADLINE):
            while path.exists():  # noqa: ASYNC110 (a folder has no other way to tell)
                await asyncio.sleep(0.005)
        new = {p for p, _ in self._done(path.name) - before}
        reasons = [p.read_text() for p in new if p.suffix == ".reason"]
        assert {p.parent.name for p in new} == {"failed" if reasons else "archive"}
        return Verdict("refused", reasons[0]) if reasons else Verdict("accepted")

    def silent(self) -> bool:
        return self._dropped[0].path.exists()

    async def break_off(self, body: bytes) -> None:
        raise NotImplementedError

    async def leave(self) -> None:
        self._dropped.clear()


class WatchedFolder:
    name = "files"
    garbage = b"\r\n"
    cannot: Mapping[Sign, str] = {
        Sign.CLOSED: "a file without an answer stays where it is, and is taken again",
        Sign.BROKEN: "a file that its writer left half-done looks like any other",
    }

    def __init__(self) -> None:
        self._folders: list[TemporaryDirectory[str]] = []

    def source(self) -> FilesSource:
        self._folders.append(TemporaryDirectory())
        return FilesSource(Path(self._folders[-1].name), poll=0.01, settle=0.0)

    def message(self, number: int) -> bytes:
        return adt(f"MSG{number}")

    async def connect(self, address: str) -> FolderClient:
        return FolderClient(Path(unquote(urlsplit(address).path)))


class FolderPartner:
    behaviour = Behaviour.ACCEPT

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._aside = folder.with_name("aside")
        folder.mkdir()

    @property
    def got(self) -> list[tuple[str, bytes]]:
        files = sorted(self._folder.glob("[!.]*"), key=lambda p: (p.stat().st_mtime_ns, len(p.name), p.name))
        return [(p.stem, p.read_bytes()) for p in files]

    def destination(self, timeout: float) -> FilesDestination:
        return FilesDestination(self._folder)

    async def arrived(self, count: int) -> None:
        assert len(self.got) >= count  # a file can be seen before its delivery is over

    async def down(self) -> None:
        self._folder.rename(self._aside)

    async def up(self) -> None:
        self._aside.rename(self._folder)


class Folder:
    name = "files"
    cannot: Mapping[Behaviour, str] = dict.fromkeys(
        set(Behaviour) - {Behaviour.ACCEPT, Behaviour.DOWN}, "a folder takes everything and says nothing"
    )

    @asynccontextmanager
    async def partner(self, directory: Path) -> AsyncIterator[FolderPartner]:
        yield FolderPartner(directory / "folder")

    def payload(self, number: int) -> bytes:
        return adt(f"THEIRS{number}", name=CANARY)


SOURCES = [WatchedFolder()]
DESTINATIONS = [Folder()]

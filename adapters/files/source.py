"""A folder as a source: every file is one message, taken when its writer has let go of it.

The writer has let go when size, time and inode have not changed for `settle`. A writer that can pause for
longer should write under a hidden name (`.NAME`) and rename.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import structlog

from adapters.files.folder import Content, Folder, Sight
from adapters.files.trouble import trouble
from engine.fault import Fault, Wrong
from engine.message import Accepted, Duplicate, Receipt, Received, Refused, Uncertain
from engine.plugin import Intake, Ready, source
from engine.settings import Seconds, Size
from formats.reason import Reason

EMPTY = Reason("empty", "there is nothing in the file")
TOO_LONG = Reason("file-too-long", "the file is longer than max_size allows; only how it begins was kept")

log = structlog.get_logger()


@source("files")
@dataclass(frozen=True)
class FilesSource:
    """Takes each file of a folder as one message, oldest first, and moves it away when it is answered for.

    Accepted and repeated files go to `archive`, refused ones to `failed` with NAME.reason beside them. A file
    that could not be taken for now stays, those behind it wait, and it is tried again. The message's key is
    the file's name and digest: new content under an old name is a new message. Symbolic links, subfolders and
    hidden files are let be.
    """

    directory: Annotated[Path, "the folder to watch"]
    pattern: Annotated[str, "which files, as a shell pattern"] = "*"
    poll: Annotated[Seconds, "how often to look"] = 1.0
    settle: Annotated[Seconds, "how long a file must not have changed before it is read"] = 2.0
    archive: Annotated[str, "where taken files go; relative to the folder, on the same disk"] = "archive"
    failed: Annotated[str, "where refused files go; relative to the folder, on the same disk"] = "failed"
    max_size: Annotated[Size, "longer files are refused"] = 64 << 20

    def __post_init__(self) -> None:
        for name in ("archive", "failed"):
            if os.path.normpath(self.directory / getattr(self, name)) == os.path.normpath(self.directory):
                text = f'"{name}" is the watched folder itself'
                raise Wrong(Fault("same-folder", text, f'write "{name}: {name}"', (name,)))

    async def run(self, intake: Intake, ready: Ready) -> None:
        watch = _Watch(self, intake, ready)
        work = asyncio.create_task(watch.run())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            watch.stop.set()
            await work
            raise


class _Verdict(NamedTuple):
    """Where a file that was answered for goes."""

    to: Path
    digest: str
    note: str


class _Watch:
    """One run of the source: what has been seen, and which files are answered for but not yet moved."""

    def __init__(self, settings: FilesSource, intake: Intake, ready: Ready) -> None:
        self.stop = asyncio.Event()
        self._settings = settings
        self._folder = Folder(settings.directory, settings.pattern)
        self._intake = intake
        self._ready: Ready | None = ready
        self._address = settings.directory.absolute().as_uri()
        self._seen: dict[Sight, float] = {}
        self._answered: dict[Sight, _Verdict] = {}
        self._said: set[tuple[Sight | None, str]] = set()

    async def run(self) -> None:
        while not self.stop.is_set():
            await self._round()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), self._settings.poll)

    async def _round(self) -> None:
        try:
            sights = await asyncio.to_thread(self._folder.look)
        except OSError as error:
            return self._say(None, error)
        if self._ready:
            self._ready(self._address)
            self._ready = None
        for sight in self._settled(sights, asyncio.get_running_loop().time()):
            if self.stop.is_set() or not await self._take(sight):
                return None
        return None

    def _settled(self, sights: list[Sight], now: float) -> list[Sight]:
        self._seen = {s: self._seen.get(s, now) for s in sights}
        self._answered = {s: v for s, v in self._answered.items() if s in self._seen}
        self._said = {(s, code) for s, code in self._said if s in self._seen}
        return [s for s in sights if now - self._seen[s] >= self._settings.settle]

    async def _take(self, sight: Sight) -> bool:
        """False if the files behind this one must wait."""
        try:
            verdict = self._answered.get(sight) or await self._submit(sight)
            if verdict is None:
                return False
            self._answered[sight] = verdict
            await asyncio.to_thread(self._folder.move, sight.name, verdict.digest, verdict.to, verdict.note)
        except OSError as error:
            self._say(sight, error)
        return True

    async def _submit(self, sight: Sight) -> _Verdict | None:
        content = await asyncio.to_thread(self._folder.read, sight, self._settings.max_size)
        if content is None:
            return None
        match await self._offer(sight, content):
            case Accepted() | Duplicate():
                return _Verdict(self._beside(self._settings.archive), content.digest, "")
            case Refused(reason):
                return _Verdict(self._beside(self._settings.failed), content.digest, str(reason))
            case _:
                return None

    async def _offer(self, sight: Sight, content: Content) -> Receipt:
        name = os.fsencode(sight.name).decode(errors="backslashreplace")
        received = Received(content.body, f"{name}:{content.digest[:32]}", self._address)
        reason = TOO_LONG if not content.whole else None if content.body.strip() else EMPTY
        future = self._intake.refuse(received, reason) if reason else self._intake(received)
        await asyncio.wait([future])  # not `await future`: being cancelled must not cancel the commit
        return Uncertain() if future.cancelled() or future.exception() else future.result()

    def _beside(self, name: str) -> Path:
        return self._settings.directory / name

    def _say(self, sight: Sight | None, error: OSError) -> None:
        """Once per file and kind of trouble; a file's name may be a patient's."""
        reason = trouble(error)
        if (sight, reason.code) not in self._said:
            self._said.add((sight, reason.code))
            log.warning("folder", folder=self._address, code=reason.code, text=reason.text)

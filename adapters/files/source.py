"""A folder as a source: every file is one message, taken when its writer has let go of it.

The writer has let go when size, time and inode have not changed for `settle`. A writer that can pause for
longer should write under a hidden name (`.NAME`) and rename.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import structlog

from adapters.files.folder import Content, Folder, Sight, settled
from adapters.files.trouble import trouble
from engine.message import Accepted, Duplicate, Receipt, Received, Refused, Unavailable, Uncertain
from engine.plugin import Intake, Ready, source
from engine.settings import Seconds, Size
from formats.reason import Reason

EMPTY = Reason("empty", "there is nothing in the file")
TOO_LONG = Reason("file-too-long", "the file is longer than max_size allows; only how it begins was kept")

FILES = 64
"""Files in hand, that is read and not answered for, above which no more are read."""
BYTES = 64 << 20
"""The same in bytes, unless it is a single file."""

BIG = 1 << 20
"""Bytes above which a file goes through the spool."""

log = structlog.get_logger(__name__)


@source("files")
@dataclass(frozen=True)
class FilesSource:
    """Takes each file of a folder as one message, oldest first, and moves it away when it is answered for.

    Accepted and repeated files go to `archive`, refused ones to `failed` with NAME.reason beside them. A file
    that cannot be taken for now stays and is tried again. The message's key is the file's name and digest:
    new content under an old name is a new message. Symbolic links, subfolders and hidden files are let be.
    """

    directory: Annotated[Path, "the folder to watch"]
    pattern: Annotated[str, "which files, as a shell pattern"] = "*"
    poll: Annotated[Seconds, "how often to look"] = 1.0
    settle: Annotated[Seconds, "how long a file must not have changed before it is read"] = 2.0
    archive: Annotated[str, "where taken files go; relative to the folder, on the same disk"] = "archive"
    failed: Annotated[str, "where refused files go; relative to the folder, on the same disk"] = "failed"
    max_size: Annotated[Size, "longer files are refused"] = 16 << 20

    def address(self) -> str:
        """The folder: two sources may not have the same."""
        return self.directory.absolute().as_uri()

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        folder = os.path.abspath(self.directory)
        places = {name: os.path.abspath(self.directory / name) for name in (self.archive, self.failed)}
        found = [f"{name} is the watched folder itself" for name, place in places.items() if place == folder]
        if self.poll <= 0:
            found.append("poll must be longer than nothing")
        return found

    async def run(self, intake: Intake, ready: Ready) -> None:
        """Watch until cancelled, then wait for what is in hand."""
        if found := self.problems():
            raise ValueError("; ".join(found))
        watch = _Watch(self, intake, ready)
        work = asyncio.create_task(watch.run())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            watch.stop()
            await work
            raise


class _Verdict(NamedTuple):
    """Where a file that was answered for goes."""

    to: str
    digest: str
    note: str = ""


class _Watch:
    """One run of the source: what has been seen, what is in hand, what is answered for but not yet moved."""

    def __init__(self, settings: FilesSource, intake: Intake, ready: Ready) -> None:
        self._settings = settings
        self._folder = Folder(settings.directory, settings.pattern)
        self._intake = intake
        self._ready: Ready | None = ready
        self._since: dict[Sight, float] = {}
        self._hands: dict[Sight, asyncio.Task[None]] = {}
        self._answered: dict[Sight, _Verdict] = {}
        self._again = False  # a file has to be tried again: nothing more is taken before the next look
        self._stop = asyncio.Event()
        self._freed = asyncio.Event()
        self._troubles: dict[Sight | None, str] = {}

    def stop(self) -> None:
        """Take nothing more; `run` ends when what is in hand is answered for."""
        self._stop.set()
        self._freed.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._stop.is_set():
                await self._round(group)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), self._settings.poll)

    async def _round(self, group: asyncio.TaskGroup) -> None:
        try:
            sights = await asyncio.to_thread(self._folder.look)
        except OSError as error:
            self._say(None, error)
            return
        if self._ready:
            self._ready(self._settings.address())
            self._ready = None
        now = asyncio.get_running_loop().time()
        settling, self._since = settled(sights, self._since, now, self._settings.settle)
        self._forget(self._since)
        for sight in settling:
            if sight not in self._hands:
                await self._take(sight, group)

    def _forget(self, present: Collection[Sight]) -> None:
        self._again = False
        self._answered = {s: v for s, v in self._answered.items() if s in present}
        self._troubles = {s: code for s, code in self._troubles.items() if s in present}

    async def _take(self, sight: Sight, group: asyncio.TaskGroup) -> None:
        await self._room(sight.size)
        if self._closed():
            return
        if verdict := self._answered.get(sight):
            await self._move(sight, verdict)
        elif (content := await self._read(sight)) and not self._closed():
            receipt = self._offer(sight, content)
            self._hands[sight] = group.create_task(self._finish(sight, content.digest, receipt))

    def _closed(self) -> bool:
        return self._stop.is_set() or self._again

    async def _room(self, size: int) -> None:
        """Wait until so much more may be in hand."""
        while self._hands and not self._stop.is_set():
            if len(self._hands) < FILES and size + sum(s.size for s in self._hands) <= BYTES:
                return
            self._freed.clear()
            await self._freed.wait()

    async def _read(self, sight: Sight) -> Content | None:
        """A big file goes into the spool, and never whole into memory."""
        try:
            if BIG < sight.size <= self._settings.max_size:
                return await asyncio.to_thread(self._folder.spool, sight, self._intake.spool)
            return await asyncio.to_thread(self._folder.read, sight, self._settings.max_size)
        except OSError as error:
            self._say(sight, error)
            return None

    def _offer(self, sight: Sight, content: Content) -> asyncio.Future[Receipt]:
        name = os.fsencode(sight.name).decode(errors="backslashreplace")
        key = f"{name}:{content.digest[:32]}"
        received = Received(content.body, key, self._settings.address(), spooled=content.spooled)
        there = content.spooled or content.body.strip()
        reason = TOO_LONG if not content.whole else None if there else EMPTY
        return self._intake.refuse(received, reason) if reason else self._intake(received)

    async def _finish(self, sight: Sight, digest: str, receipt: asyncio.Future[Receipt]) -> None:
        await asyncio.wait([receipt])  # not `await receipt`: being cancelled must not cancel the commit
        match Uncertain() if receipt.cancelled() or receipt.exception() else receipt.result():
            case Accepted() | Duplicate():
                await self._move(sight, _Verdict(self._settings.archive, digest))
            case Refused(reason):
                await self._move(sight, _Verdict(self._settings.failed, digest, str(reason)))
            case Unavailable() | Uncertain():
                self._again = True
        del self._hands[sight]
        self._freed.set()

    async def _move(self, sight: Sight, verdict: _Verdict) -> None:
        self._answered[sight] = verdict
        to = self._settings.directory / verdict.to
        try:
            await asyncio.to_thread(self._folder.move, sight, verdict.digest, to, verdict.note)
        except OSError as error:
            self._say(sight, error)
            return
        self._answered.pop(sight, None)

    def _say(self, sight: Sight | None, error: OSError) -> None:
        """Once per file and kind of trouble, without its name: that may be a patient's."""
        reason = trouble(error)
        if self._troubles.get(sight) != reason.code:
            self._troubles[sight] = reason.code
            log.warning("files.trouble", folder=self._settings.address(), code=reason.code, text=reason.text)

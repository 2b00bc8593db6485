"""Splitting: a spooled message is taken apart, its parts become messages, its answers go out.

A splitter runs in a process of its own, which sends a few parts at a time: memory does not grow with the file,
and the event loop answers other senders meanwhile. Parts are written by position, so that a splitter that is
run again after a crash writes none twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, TypeVar

import structlog

from engine.channel import Channel
from engine.journal import SQL, inbox
from engine.journal.inbox import Splitting
from engine.journal.spool import Spool
from engine.message import Outgoing, Part, Processed, Reply, State, Stop
from engine.runtime import clock
from engine.runtime.claims import Claims, Ticket
from engine.runtime.compute import Pieces, Process
from engine.runtime.current import Current
from engine.runtime.filing import Filed
from store.database import Connection, Down, Uncertain
from store.database.commit import Committer
from store.reason import Reason

log = structlog.get_logger("splitting")
T = TypeVar("T")
DEFECT = Reason(
    "defect", "taking the message apart failed; a defect of the splitter, or a file like no other"
)


AGAIN = 1.0
"""Seconds after which a journal that could not be read is read again."""


class Lost(Exception):
    """Another process takes it apart, or nobody knows what was written: it is begun again."""


class Splitters:
    """One message at a time, oldest first; the process ends when there is nothing more to take apart.

    A message is taken apart to its end by the configuration that began it: half of its parts by another would not be
    the same parts. The next one is begun by the configuration that is current then.
    """

    def __init__(
        self,
        current: Current,
        reader: Connection,
        committer: Committer,
        claims: Claims,
        spool: Spool,
        filed: Callable[[str, Filed], None],
    ) -> None:
        self._current = current
        self._made = current.made  # which the process is of
        self._reader = reader
        self._committer = committer
        self._claims = claims
        self._ticket: Ticket = ()
        self._spool = spool
        self._filed = filed
        self._woken = asyncio.Event()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="splitting")
        self._process: Process | None = None
        self._pipe: Pipe | None = None

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled. What was not finished is begun anew at the next start."""
        try:
            while True:
                self._woken.clear()
                if whole := self._next():
                    try:
                        await self._split(whole)
                    except Lost:
                        self._end()
                else:
                    self._end()
                    await self._woken.wait()
        finally:
            self._end()
            self._threads.shutdown(wait=False)

    def _next(self) -> Splitting | None:
        """The next one, if it is for this process."""
        try:
            whole = inbox.splitting(self._reader)
        except Down as e:
            log.error("the journal cannot be read", reason=str(e))
            asyncio.get_running_loop().call_later(AGAIN, self.wake)
            return None
        ticket = self._claims.ticket("splitting", {""})
        self._ticket = ticket or ()
        return whole if ticket is not None else None

    async def _split(self, whole: Splitting) -> None:
        if self._made is not self._current.made:
            self._end()
            self._made = self._current.made
        log.info("splitting", message=whole.id, channel=whole.channel)
        with contextlib.ExitStack() as open:
            await self._taken_apart(whole, open)

    async def _taken_apart(self, whole: Splitting, open: contextlib.ExitStack) -> None:
        replies: list[Reply] = []
        stop: Stop | None = None
        try:
            seen = inbox.seen(self._reader, whole)
            path = await self._aside(lambda: open.enter_context(self._spool.plain(whole.spool)))
            await self._aside(self._ask, whole, path, seen)
            while (pieces := await self._aside(self._pieces)) is not None:
                if isinstance(pieces, Stop):
                    stop = pieces
                    continue
                parts = [piece for piece in pieces if isinstance(piece, tuple)]
                replies += [piece for piece in pieces if isinstance(piece, Reply)]
                await self._write(whole, parts)
        except (EOFError, OSError, KeyError):
            log.error("the splitting process died", message=whole.id)
            self._end()
            stop = Stop(State.FAILED, DEFECT)
        await self._settle(whole, replies, stop)

    async def _write(self, whole: Splitting, parts: Sequence[tuple[int, Part]]) -> None:
        def work(connection: Connection) -> None:
            inbox.append_parts(connection, whole, parts, clock.now())

        if parts:
            await self._committed(work)

    async def _settle(self, whole: Splitting, replies: Sequence[Reply], stop: Stop | None) -> None:
        """Its end state and its answers, in one transaction."""
        by = self._made.configuration
        channel = next((c for c in by.channels if c.name == whole.channel), None)
        routes = [r for r in channel.routes if r.send == "answer"] if channel else []
        attempt = f"+{whole.repeats}" if whole.repeats else ""  # a new attempt has answers of its own
        outgoing = tuple(
            Outgoing(f"{route.name}#{n}{attempt}", route.to, "", reply.body)
            for n, reply in enumerate(replies, start=1)
            for route in routes
        )
        state, reason = (stop.state, stop.reason) if stop else (State.SPLIT, None)
        kind = await self._aside(self._kind, whole, channel) if channel else ""
        ended = Processed(whole.id, state, reason, kind, outgoing=outgoing, configuration=by.number)
        lanes = [(out.destination, by.identity.lane(out.destination, out.order)) for out in outgoing]

        def work(connection: Connection) -> None:
            now = clock.now()
            rows = [
                (whole.id, out.route, *lane, 0, now, out.body)
                for out, lane in zip(outgoing, lanes, strict=True)
            ]
            connection.many(SQL.enqueue, rows)
            inbox.settle(connection, ended, now)

        await self._committed(work)
        self._filed(whole.channel, Filed(ended, tuple(lanes)))

    def _kind(self, whole: Splitting, channel: Channel) -> str:
        """What its beginning says that it is."""
        try:
            with self._spool.open(self._spool.path(whole.spool)) as file:
                body = channel.parse(file.read(HEAD))
        except OSError:
            return ""
        return "" if isinstance(body, Reason) else channel.kind(body)

    async def _committed(self, work: Callable[[Connection], None]) -> None:
        def ours(connection: Connection) -> bool:
            if valid := self._claims.valid(connection, self._ticket):
                work(connection)
            return valid

        wait = 0.1
        while True:
            try:
                if not await self._committer.submit(ours):
                    raise Lost
                return
            except Uncertain:
                raise Lost from None
            except Down as e:
                log.error("the database takes no parts", reason=str(e), retry_in=wait)
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5.0)

    # -- the process, spoken to from one thread

    async def _aside(self, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    def _ask(self, whole: Splitting, path: Path, seen: bool) -> None:
        if self._pipe is None:
            self._process, self._pipe = self._made.split()
            self._pipe.recv_bytes()  # ready
        self._pipe.send_bytes(pickle.dumps((whole.channel, path, seen)))

    def _pieces(self) -> Pieces:
        assert self._pipe is not None
        pieces: Pieces = pickle.loads(self._pipe.recv_bytes())
        return pieces

    def _end(self) -> None:
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = self._pipe = None


HEAD = 64 * 1024

"""A source that calls: the partner listens, the engine connects and takes what he sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.adapters.mllp_peer import END, VT, fields
from tests.flow.installation import channel, running, until
from tests.flow.messages import adt


class Partner:
    """Waits to be called, and then sends what he has: the next message when the one before is acknowledged."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.told: list[bytes] = []
        self.calls = 0
        self.port = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.server: asyncio.Server | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._called, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        self.writers.add(writer)
        while message := await self.queue.get():
            writer.write(VT + message + END)
            try:
                self.told.append((await reader.readuntil(END))[1:-2])
            except (asyncio.IncompleteReadError, ConnectionError):
                return

    async def gone(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def acknowledged(self, number: int) -> None:
        async def come() -> bool:
            return len(self.told) >= number

        await until(come)


@asynccontextmanager
async def partner() -> AsyncIterator[Partner]:
    made = Partner()
    await made.start()
    try:
        yield made
    finally:
        await made.gone()


async def test_it_calls_takes_acknowledges_and_calls_again(tmp_path: Path) -> None:
    async with partner() as analyser:
        source = f"mllp_client: {{host: 127.0.0.1, port: {analyser.port}, again: 100ms}}"
        async with running(tmp_path, {"channels/lab.yaml": channel("lab", source)}) as site:
            for n in range(3):
                await analyser.queue.put(adt(f"A{n}", f"A{n}"))
            await analyser.acknowledged(3)
            assert [fields(told, b"MSA")[1:3] for told in analyser.told] == [
                ["AA", f"A{n}"] for n in range(3)
            ]
            await analyser.gone()
            await asyncio.sleep(0.3)
            await analyser.queue.put(b"")  # whoever waited for it is gone
            await analyser.start()
            await analyser.queue.put(adt("B1", "B1"))
            await analyser.acknowledged(4)
            assert (await site.end("B1"))["state"] == "STORED"
            assert analyser.calls == 2, "one connection at a time"
            assert site.sources["lab"] == f"mllp://127.0.0.1:{analyser.port}"


async def test_it_is_ready_before_the_partner_is(tmp_path: Path) -> None:
    async with partner() as analyser:
        await analyser.gone()
        source = f"mllp_client: {{host: 127.0.0.1, port: {analyser.port}, again: 100ms}}"
        async with running(tmp_path, {"channels/lab.yaml": channel("lab", source)}) as site:
            await asyncio.sleep(0.5)
            assert site.log().count("no connection to a partner") == 1, "said once, not at every attempt"
            await analyser.start()
            await analyser.queue.put(adt("C1", "C1"))
            await analyser.acknowledged(1)
            assert (await site.end("C1"))["state"] == "STORED"


async def test_off_this_machine_it_wants_tls(tmp_path: Path) -> None:
    source = "mllp_client: {host: 192.0.2.1, port: 2575}"
    async with running(tmp_path, {"channels/ok.yaml": channel("ok")}) as site:
        site.write({"channels/lab.yaml": channel("lab", source)})
        refused = await site.command("apply", "--why", "a new analyser")
        assert refused.returncode == 1
        assert "192.0.2.1 is not loopback and has no TLS" in refused.stderr

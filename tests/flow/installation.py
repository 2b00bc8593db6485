"""A whole installation for the tests of promises: a configuration on disk, the engine as a process, its two doors."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tests.adapters.mllp_peer import Sender
from tests.engine_process import ROOT, EngineProcess

DEADLINE = 60.0
AUTHORITIES = """
authorities:
  mrn: {namespace: "urn:test:mrn", aliases: [MRN], identifies: true, normalise: [strip, upper]}
  epi: {namespace: "urn:test:epi", aliases: [EPI], identifies: true}
  visits: {namespace: "urn:test:visit", aliases: [VISIT]}
  orders: {namespace: "urn:test:order", aliases: [LIS]}
"""
NOBODY = "destinations: {}\nroutes: []\n"
GOING = {"RECEIVED", "SPLITTING"}
Json = dict[str, Any]
T = TypeVar("T")


class Answer(NamedTuple):
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def channel(name: str, source: str = "mllp: {port: 0}", *more: str) -> str:
    """channels/NAME.yaml; `more` are further lines."""
    lines = [
        f"channel: {name}", "source:", f"  {source}", "format: hl7v2", "timezone: America/New_York",
        "order_by: PID-3", "store: hl7v2_to_fhir", *more,
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


class Installation:
    """`files` by their path below the configuration directory. The operator's token is made on first use."""

    def __init__(self, directory: Path, files: Mapping[str, str]) -> None:
        self.config = directory / "config"
        self.data = directory / "data"
        self.engine = EngineProcess(self.config, self.data)
        self.sources: Mapping[str, str] = {}
        self.http = ""
        self._token = ""
        self.write({"authorities.yaml": AUTHORITIES, "routes.yaml": NOBODY, **files})

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.config / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    async def start(self) -> None:
        told = await asyncio.to_thread(self.engine.start)
        self.sources = told["sources"]
        self.http = told["http"].removeprefix("http://")

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        return await asyncio.to_thread(self.engine.stop)

    def kill(self) -> None:
        if self.engine.process and self.engine.process.poll() is None:
            self.engine.kill()

    async def sender(self, channel: str) -> Sender:
        return await Sender.connect(self.sources[channel])

    def log(self) -> str:
        """Everything that the engine wrote to standard output and standard error."""
        return self.data.with_name(f"{self.data.name}.log").read_text()

    # -- the command line

    async def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`chartwire ARGUMENTS --data ...`."""
        command = [sys.executable, "-m", "engine.cli", *arguments, "--data", str(self.data)]
        env = {"CHARTWIRE_HTTP": "127.0.0.1:0", **os.environ}
        return await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=DEADLINE
        )

    # -- HTTP

    async def ask(self, path: str, headers: Mapping[str, str]) -> Answer:
        def asked() -> Answer:
            connection = http.client.HTTPConnection(self.http, timeout=DEADLINE)
            try:
                connection.request("GET", path, headers=dict(headers))
                response = connection.getresponse()
                return Answer(response.status, response.read())
            finally:
                connection.close()

        return await asyncio.to_thread(asked)

    async def read(self, path: str) -> Answer:
        """What a client with a token is answered."""
        if not self._token:
            made = await self.command("token", "create", "--name", "test")
            assert made.returncode == 0, made.stderr
            self._token = made.stdout.strip()
        return await self.ask(path, {"Authorization": f"Bearer {self._token}"})

    async def get(self, path: str) -> Json:
        """What must be there."""
        answer = await self.read(path)
        assert answer.status == 200, answer
        found: Json = answer.json
        return found

    async def resources(self, search: str) -> list[Json]:
        """The resources of a searchset."""
        bundle = await self.get(f"/fhir/{search}")
        return [entry["resource"] for entry in bundle.get("entry", [])]

    # -- messages

    async def messages(self, **wanted: str) -> list[Json]:
        """What is known of the messages that `wanted` describes, the oldest first."""
        query = "&".join(f"{name}={value}" for name, value in {"limit": "1000", **wanted}.items())
        found: list[Json] = (await self.get(f"/admin/messages?{query}"))["messages"]
        return found[::-1]

    async def ended(self, key: str, count: int = 1) -> list[Json]:
        """The messages with that key, when there are `count` and all of them came to an end."""

        async def over() -> list[Json]:
            found = await self.messages(key=key)
            return found if len(found) >= count and all(m["state"] not in GOING for m in found) else []

        return await until(over)

    async def end(self, key: str) -> Json:
        """The one message with that key, when it came to its end."""
        (message,) = await self.ended(key)
        return message

    async def deliveries(self, key: str, *states: str) -> list[Json]:
        """Of the one message with that key, when each is in one of the states."""
        message = await self.end(key)

        async def over() -> list[Json]:
            found: list[Json] = (await self.get(f"/admin/messages/{message['id']}/trace"))["deliveries"]
            return found if found and all(d["state"] in states for d in found) else []

        return await until(over)


@asynccontextmanager
async def running(directory: Path, files: Mapping[str, str]) -> AsyncIterator[Installation]:
    """An installation that runs; at the end it must stop cleanly."""
    site = Installation(directory, files)
    try:
        await site.start()
        yield site
        assert await site.stop() == 0, site.log()[-2000:]
    finally:
        site.kill()


async def until(look: Callable[[], Awaitable[T]], deadline: float = DEADLINE) -> T:
    """What `look` finds, as soon as that is something; fails after a deadline."""
    end = time.monotonic() + deadline
    while not (found := await look()):
        assert time.monotonic() < end, "it did not come to that in time"
        await asyncio.sleep(0.02)
    return found

"""A small hospital's chart behind a real HTTP server, on TCP with tokens and on the operator's own socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import uvicorn

import web
from engine.channel import Channel, Configuration, Partner
from engine.journal import inbox
from engine.message import Accepted, Outgoing, Processed, Received, State
from engine.plugin import Feed
from engine.running import Running
from engine.runtime.filing import file
from engine.runtime.metrics import Metrics
from formats import fhir, hl7v2
from store.database import Connection
from store.database.commit import Committer
from store.database.sqlite import Sqlite, create
from store.facts import Clock, Fact, Link
from store.identity import Authority, Identity, fhir_id
from store.reason import Reason
from tests.said import ready

MRN = Authority("mrn", "urn:oid:2.999.1", frozenset({"HOSP"}), identifies=True, normalise=("strip", "upper"))
NATIONAL = Authority("national", "urn:oid:2.999.2", identifies=True)
VISIT = Authority("visit", "urn:oid:2.999.3")
IDENTITY = Identity(b"s" * 32, (MRN, NATIONAL, VISIT))
LOINC = "http://loinc.org"
Body = dict[str, Any]


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


NOW = micros("2026-03-02T12:00:00")


def patient_key(mrn: str) -> bytes:
    return IDENTITY.patient_key(MRN, mrn)


def patient(mrn: str, family: str, *given: str, born: str | None = None, at: int = 1) -> Fact:
    elements: Body = {
        "identifier": [{"system": MRN.namespace, "value": mrn}],
        "name": [{"family": family, **({"given": list(given)} if given else {})}],
    }
    if born:
        elements["birthDate"] = born
    return _fact("Patient", patient_key(mrn), elements, at)


def result(mrn: str, number: str, code: str, when: str | None, value: str, at: int = 1, **more: Any) -> Fact:
    """A laboratory result; `value` keeps its digits."""
    elements: Body = {
        "identifier": [{"value": number}],
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": f"Patient/{fhir_id(patient_key(mrn))}"},
        "valueQuantity": {"value": Decimal(value), "unit": "mmol/L"},
        **more,
    }
    if when:
        elements["effectiveDateTime"] = when
    key = IDENTITY.key("Observation", mrn, number)
    return _fact("Observation", key, elements, at, patient_key(mrn))


def visit(mrn: str, number: str, period: Mapping[str, str], at: int = 1, **more: Any) -> Fact:
    elements: Body = {
        "identifier": [{"system": VISIT.namespace, "value": number}],
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{fhir_id(patient_key(mrn))}"},
    }
    if period:
        elements["period"] = dict(period)
    key = IDENTITY.key("Encounter", mrn, number)
    return _fact("Encounter", key, elements, at, patient_key(mrn), **more)


def merge(prior: str, survivor: str, at: int = 1) -> Link:
    return Link(patient_key(prior), patient_key(survivor), Clock(at), "merge", "MRG-1")


def _fact(type: str, key: bytes, elements: Body, at: int, patient: bytes | None = None, **more: Any) -> Fact:
    return Fact(type, key, Clock(at), elements, patient, **more)


class Nothing:
    """Where a channel's messages would come from; here they are filed by hand."""

    async def run(self, intake: object, ready: object) -> None: ...

    async def deliver(self, delivery: object) -> None: ...

    async def close(self) -> None: ...


def channel(name: str, charset: str = "ASCII") -> Channel:
    return Channel(
        name, Nothing(), Feed(name, ZoneInfo("UTC"), IDENTITY),
        parse=lambda body: hl7v2.parse(body, charset=charset), mine=lambda body: True,
        legible=lambda body: None, guard=lambda body, received: None, order=lambda body, patient: "",
        kind=lambda body: body.kind, write=lambda body: body.raw, patient=lambda body: None,
    )  # fmt: skip


CONFIGURATION = Configuration(
    (channel("adt"), channel("lab", "ISO-8859-1")),
    (Partner("pager", Nothing()), Partner("archive", Nothing())),  # type: ignore[arg-type]
    IDENTITY,
)


class Server(uvicorn.Server):
    """uvicorn as a part of the test process; it stops at once, because its clients are gone before it."""

    def __init__(self, app: Any) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        self.up, self.over = asyncio.Event(), asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self.up.set()
        await self.over.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()


@contextlib.asynccontextmanager
async def served(app: Any, listening: socket.socket) -> AsyncIterator[None]:
    server = Server(app)
    task = asyncio.create_task(server.serve([listening]))
    await asyncio.wait_for(server.up.wait(), 10)
    try:
        yield
    finally:
        server.over.set()
        await asyncio.wait_for(task, 10)


@dataclass
class Hospital:
    """`get` and `post` ask over TCP with a token, `ask` as it is told; `local` is the operator's socket."""

    running: Running
    url: str
    remote: aiohttp.ClientSession
    local: aiohttp.ClientSession
    data: Path
    unready: Reason | None = None
    token: str = ""

    async def says(
        self, *said: Fact | Link, channel: str = "adt", key: str | None = None, body: bytes = b"MSH|^~\\&|",
        at: int = NOW, state: State = State.STORED, reason: Reason | None = None, about: str | None = None,
        outgoing: Sequence[Outgoing] = (),
    ) -> int:  # fmt: skip
        """File a message that says this; its id."""

        def work(connection: Connection) -> int:
            receipt = inbox.append(connection, channel, Received(body, key, "127.0.0.1:9"), at)
            assert isinstance(receipt, Accepted)
            if state is not State.RECEIVED:
                patient = patient_key(about) if about else None
                processed = Processed(
                    receipt.message, state, reason, "ADT^A01", patient, "", ready(said), tuple(outgoing)
                )
                file(connection, IDENTITY, processed, at)
            return receipt.message

        return await self.running.committer.submit(work)

    async def run(self, sql: str, *args: Any) -> None:
        """Bring a row into a state that only a whole engine would."""
        await self.running.committer.submit(lambda c: c.run(sql, args))

    def ask(self, method: str, path: str, **more: Any) -> Any:
        return self.remote.request(method, self.url + path, **more)

    def get(self, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        return self.ask("GET", path, headers={**self.authorization, **(headers or {})}, **more)

    def post(self, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        return self.ask("POST", path, headers={**self.authorization, **(headers or {})}, **more)

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def new_token(self, name: str = "test") -> str:
        async with self.local.post("http://localhost/admin/tokens", json={"name": name}) as response:
            assert response.status == 201, await response.text()
            return str((await response.json())["token"])


async def json_of(response: aiohttp.ClientResponse) -> Any:
    """A FHIR or plain JSON body with decimals as they were sent."""
    return fhir.decode(await response.read())


@contextlib.asynccontextmanager
async def opened(data: Path) -> AsyncIterator[Hospital]:
    """An empty chart in the directory `data`, with the operator's socket there as the engine has it."""
    connection = create(data / "chartwire.db")
    reader = Sqlite(data / "chartwire.db", writes=False)
    committer = Committer(connection, on_death=lambda error: None)
    running = Running(lambda: CONFIGURATION, reader, committer, Metrics(), lambda: site.unready)
    directory = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    near = f"/proc/self/fd/{directory}/engine.sock"  # short, however long the directory's name is
    tcp, unix = socket.socket(), socket.socket(socket.AF_UNIX)
    tcp.bind(("127.0.0.1", 0))
    unix.bind(near)
    async with (
        served(web.build(running, trusted=False), tcp),
        served(web.build(running, trusted=True), unix),
        aiohttp.ClientSession() as remote,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(near)) as local,
    ):
        site = Hospital(running, f"http://127.0.0.1:{tcp.getsockname()[1]}", remote, local, data)
        site.token = await site.new_token()
        yield site
    await committer.stop()
    reader.close()
    connection.close()
    os.close(directory)

"""The FHIR API as a source: transactions posted to the engine's own web application, which hands them to the intake.

The application gives each Bundle an id before it goes in; `arrived` takes it off again.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

from engine.api import FhirSource
from engine.channel import Channel, Configuration
from engine.message import Accepted, Duplicate, Receipt, Received
from engine.plugin import Feed, Intake, Ready, Source
from engine.running import Running
from engine.runtime.metrics import Metrics
from engine.runtime.server import Server
from engine.standards.fhir import FORMAT
from formats import fhir
from store.database.sqlite import create
from store.identity import Identity
from tests.adapters.http_peer import Sender
from tests.conformance.harness import Sign, Verdict
from web import build

IDENTITY = Identity(b"conformance")


class Api:
    """The engine's web application at work on one intake, as long as it is run."""

    async def run(self, intake: Intake, ready: Ready) -> None:
        channel = Channel(
            "fhir", FhirSource(), Feed("fhir", ZoneInfo("UTC"), IDENTITY), FORMAT.parse, lambda body: True,
            lambda body: None, lambda body, received: None, lambda body, patient: "", FORMAT.kind, FORMAT.write,
            None, ack="processed",
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            free.close()
            reader = create(Path(folder) / "chartwire.db")
            running = Running(
                lambda: Configuration((channel,), (), IDENTITY), reader, None, Metrics(),  # type: ignore[arg-type]
                lambda: None, intakes={"fhir": Committed(intake)},
            )  # fmt: skip
            server = Server(build(running, trusted=True), host="127.0.0.1", port=port)
            async with server.running():
                ready(f"http://127.0.0.1:{port}/fhir")
                await asyncio.get_running_loop().create_future()
            reader.close()


class Committed:
    """The suite's intake, with the reply that the engine commits together with a transaction of one create."""

    REPLY = fhir.encode({"entry": [{"response": {"status": "201 Created"}}]})

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.spool, self.refuse, self.ask = intake.spool, intake.refuse, intake.ask

    def __call__(self, received: Received) -> asyncio.Future[Receipt]:
        return asyncio.ensure_future(self._replied(self._intake(received)))

    async def _replied(self, receipt: asyncio.Future[Receipt]) -> Receipt:
        told = await receipt
        return replace(told, reply=self.REPLY) if isinstance(told, Accepted | Duplicate) else told


class FhirClient:
    """Posts transactions, each under an Idempotency-Key of its own number."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, body: bytes) -> None:
        await self._sender.send(
            body, "Content-Type: application/fhir+json", f"Idempotency-Key: {_number(body)}"
        )

    async def verdict(self) -> Verdict:
        heard = await self._sender.answer()
        if heard is None:
            return Verdict("closed")
        return Verdict("accepted" if heard.status == 200 else "refused", heard.body.decode())

    def silent(self) -> bool:
        return self._sender.answers.empty()

    async def break_off(self, body: bytes) -> None:
        await self._sender.write(self._sender.request(body, length=len(body) + 100))
        await self._sender.leave()

    async def leave(self) -> None:
        await self._sender.leave()


def _number(body: bytes) -> int:
    try:
        return int(json.loads(body)["entry"][0]["resource"]["name"][0]["family"])
    except ValueError:
        return 0


class FhirApi:
    name = "fhir"
    garbage = b"{ this is no JSON"
    cannot: Mapping[Sign, str] = {
        Sign.CLOSED: "the engine's HTTP server answers 500 where the others close; it stops with the engine",
    }

    def source(self) -> Source:
        return Api()

    def message(self, number: int) -> bytes:
        patient = {"resourceType": "Patient", "name": [{"family": str(number)}]}
        entry = {"resource": patient, "request": {"method": "POST", "url": "Patient"}}
        return fhir.encode({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})

    async def connect(self, address: str) -> FhirClient:
        return FhirClient(await Sender.connect(address))

    def arrived(self, received: Received) -> bytes:
        try:
            bundle = fhir.decode(received.body)
        except ValueError:
            return received.body
        return fhir.encode({name: value for name, value in bundle.items() if name != "id"})


SOURCES = [FhirApi()]

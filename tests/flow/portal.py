"""An installation that FHIR clients write to, and clients of it: fhirpy, and plain HTTP for what fhirpy cannot say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from fhirpy import AsyncFHIRClient

from tests.flow.installation import Installation, channel, running

MRN = "urn:test:mrn"
MEDIA = {"Content-Type": "application/fhir+json"}
Json = dict[str, Any]


def fhir_channel(source: str = "fhir") -> str:
    """channels/fhir.yaml"""
    return f"""
channel: fhir
source: {source}
format: fhir
timezone: UTC
ack: processed
store: fhir_to_chart
"""


class Reply(NamedTuple):
    status: int
    body: Any
    headers: Any


class Portal:
    """The clients; `site` is the engine."""

    def __init__(self, site: Installation, token: str, http: aiohttp.ClientSession) -> None:
        self.site = site
        self.url = f"http://{site.http}/fhir"
        self.headers = {"Authorization": f"Bearer {token}"}
        self.client = AsyncFHIRClient(self.url, authorization=f"Bearer {token}")
        self._http = http

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes | type(None)) else json.dumps(body).encode()
        sent = {**self.headers, **MEDIA, **named}
        async with self._http.request(method, f"{self.url}{path}", data=data, headers=sent) as answer:
            text = await answer.read()
            return Reply(answer.status, json.loads(text) if text else None, answer.headers)

    async def patient(self, mrn: str, **more: Any) -> Json:
        body = {"resourceType": "Patient", "identifier": [{"system": MRN, "value": mrn}], **more}
        made = await self.ask("POST", "/Patient", body)
        assert made.status == 201, made
        found: Json = made.body
        return found


@asynccontextmanager
async def opened(directory: Path, source: str = "fhir") -> AsyncIterator[Portal]:
    """An engine with an MLLP feed and the FHIR API."""
    files = {"channels/adt.yaml": channel("adt"), "channels/fhir.yaml": fhir_channel(source)}
    async with running(directory, files) as site:
        made = await site.command("token", "create", "--name", "portal")
        async with aiohttp.ClientSession() as http:
            yield Portal(site, made.stdout.strip(), http)


def order(patient: str, **more: Any) -> Json:
    coding = {"system": "http://loinc.org", "code": "24323-8"}
    return {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "code": {"coding": [coding]},
        "subject": {"reference": patient}, **more,
    }  # fmt: skip


def entry(method: str, url: str, resource: Json | None = None, **more: Any) -> Json:
    body = {"resource": resource} if resource is not None else {}
    return {**body, "request": {"method": method, "url": url, **more}}


def bundle(type: str, *entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": type, "entry": list(entries)}

"""kill -9 in the middle of FHIR transactions: each is there whole or not at all, and what was answered is there."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.flow.installation import Installation

pytestmark = pytest.mark.embedded("tests/faults has the same of PostgreSQL")

ROUNDS = max(4, int(os.environ.get("CHARTWIRE_ROUNDS", "20")) // 4)
SIZE = 60
CHANNEL = """
channel: fhir
source: fhir
format: fhir
timezone: UTC
ack: processed
store: fhir_to_chart
"""


def transaction(name: str) -> dict[str, Any]:
    """One patient and so many orders of his."""
    who = "urn:uuid:0b2f6a52-0000-4000-8000-000000000000"
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:test:mrn", "value": name}]}
    order = {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "code": {"text": "a test"}, "subject": {"reference": who},
    }  # fmt: skip
    asked = [(who, patient)] + [("", order)] * SIZE
    entries = [
        {**({"fullUrl": url} if url else {}), "resource": each,
         "request": {"method": "POST", "url": each["resourceType"]}}
        for url, each in asked
    ]  # fmt: skip
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def test_kill_9_in_mid_transaction(tmp_path: Path) -> None:
    site = Installation(tmp_path, {"channels/fhir.yaml": CHANNEL})
    chance = random.Random(11)
    sent: set[str] = set()
    answered: set[str] = set()
    enough, told = 0, asyncio.Event()
    try:
        await site.start()
        token = (await site.command("token", "create", "--name", "t")).stdout.strip()

        async def client(http: aiohttp.ClientSession, round: int, number: int) -> None:
            for n in range(1000):
                name = f"R{round}C{number}N{n}"
                sent.add(name)
                try:
                    async with http.post(f"http://{site.http}/fhir", json=transaction(name)) as answer:
                        if answer.status == 200 and len((await answer.json())["entry"]) == SIZE + 1:
                            answered.add(name)
                            if len(answered) >= enough:
                                told.set()
                except (aiohttp.ClientError, OSError):
                    return

        for round in range(ROUNDS):
            enough = len(answered) + chance.randrange(1, 12)
            told.clear()
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
                clients = [asyncio.create_task(client(http, round, n)) for n in range(4)]
                await asyncio.wait_for(told.wait(), 60)
                site.kill()
                await asyncio.gather(*clients)
            await site.start()
        there = await _sizes(site)
        assert set(there) >= answered
        assert set(there) <= sent
        assert set(there.values()) == {SIZE}
        assert await site.stop() == 0
    finally:
        site.kill()


async def _sizes(site: Installation) -> dict[str, int]:
    """How many orders each patient has, by number."""
    found: dict[str, int] = {}
    url = "Patient?_count=200"
    while url:
        bundle = await site.get(f"/fhir/{url}")
        for entry in bundle.get("entry", ()):
            patient = entry["resource"]
            orders = await site.get(f"/fhir/ServiceRequest?patient={patient['id']}&_count=200")
            found[patient["identifier"][0]["value"]] = len(orders.get("entry", ()))
        after = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        url = after[0].partition("/fhir/")[2] if after else ""
    return found

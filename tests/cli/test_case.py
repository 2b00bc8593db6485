"""`chartwire case`: one patient, one order, across the wires; `chartwire expectations`: what did not come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.adapters.http_peer import said, server
from tests.adapters.mllp_peer import receiver
from tests.flow.installation import Installation, channel, running, until
from tests.flow.messages import adt, oru

ORDERS = """
channel: orders
source: {chart: {type: ServiceRequest, state: [code.coding.code]}}
format: fhir
timezone: UTC
"""
ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {ward}}}}}
  registry: {{http: {{url: "{registry}"}}, system: registry}}
routes:
  - {{from: adt, to: ward}}
  - {{from: orders, to: registry, expect: {{within: 100ms, answers: adt}}}}
"""


async def lines(site: Installation, *arguments: str) -> list[dict[str, Any]]:
    done = await site.command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_a_case_is_one_timeline_and_what_is_overdue_is_seen(tmp_path: Path) -> None:
    async with receiver() as ward, server(lambda request: said(200)) as registry:
        files = {
            "channels/adt.yaml": channel("adt", "mllp: {port: 0}", "feed: {MSH-3.1: ADT1}"),
            "channels/lab.yaml": channel("lab", "mllp: {port: 0}", "feed: {MSH-3.1: LAB1}"),
            "channels/orders.yaml": ORDERS,
            "routes.yaml": ROUTES.format(ward=ward.port, registry=registry.url),
        }
        async with running(tmp_path, files) as site:
            sender = await site.sender("adt")
            first = adt("A1", "P1")
            for body in (first, first, adt("A2", "P2"), oru("L1", "P1", order="77")):
                await sender.ask(body)
            await site.deliveries("A1", "DELIVERED")
            await sender.leave()

            async def overdue() -> list[dict[str, Any]]:
                found = await site.command("expectations", "--overdue", "--json")
                return [json.loads(line) for line in found.stdout.splitlines()]

            (late,) = await until(overdue)
            assert (late["destination"], late["state"], late["answers"]) == ("registry", "overdue", "adt")
            assert (await site.command("expectations", "--overdue")).returncode == 1

            told = await lines(site, "case", "P1")
            kinds = [(e["direction"], e["who"], e["state"]) for e in told]
            assert ("in", "adt", "STORED") in kinds
            assert ("in", "lab", "STORED") in kinds
            assert ("chart", "orders", "ROUTED") in kinds
            assert ("out", "ward", "DELIVERED") in kinds
            assert ("out", "registry", "DELIVERED") in kinds
            assert [e["at"] for e in told] == sorted(e["at"] for e in told)
            assert any("came 2 times" in e["note"] for e in told)
            assert any("answer overdue" in e["note"] for e in told)
            (patient,) = await site.resources("Patient?identifier=urn:test:mrn|P1")
            assert await lines(site, "case", f"Patient/{patient['id']}") == told
            assert await lines(site, "case", "mrn|P1") == told

            order = await lines(site, "case", "P77")
            assert {(e["direction"], e["who"]) for e in order} == {
                ("in", "lab"),
                ("chart", "orders"),
                ("out", "registry"),
            }
            shown = await site.command("case", "P1")
            assert "ORU^R01" in shown.stdout
            assert shown.stdout.splitlines()[-1].endswith("channels and destinations")
            assert "EVERYMAN" not in shown.stdout
            nobody = await site.command("case", "NOBODY")
            assert nobody.returncode == 1
            assert "no patient and no order" in nobody.stderr
            metrics = (await site.read("/metrics")).body.decode()
            assert 'chartwire_expectations{destination="registry",state="overdue"} 1.0' in metrics

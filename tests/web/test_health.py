"""Alive and ready are two questions; metrics count without naming anyone."""

from __future__ import annotations

import re

from engine.message import Duplicate, Outgoing, Refused, State
from engine.runtime import clock
from store.reason import Reason
from tests.web.hospital import Hospital, json_of, patient

MINUTE = 60_000_000


async def test_the_process_is_alive_even_when_it_cannot_take_messages(hospital: Hospital) -> None:
    hospital.unready = Reason("disk-full", "free some space")
    async with hospital.ask("GET", "/healthz") as response:
        assert response.status == 200


async def test_ready_or_why_not(hospital: Hospital) -> None:
    async with hospital.ask("GET", "/readyz") as response:
        assert (response.status, await json_of(response)) == (200, {"status": "ready"})
    hospital.unready = Reason("starting", "the engine is starting")
    async with hospital.ask("GET", "/readyz") as response:
        told = await json_of(response)
        assert response.status == 503
    assert (told["code"], told["reason"]) == ("starting", "the engine is starting")


async def samples(hospital: Hospital) -> dict[str, float]:
    async with hospital.ask("GET", "/metrics") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        lines = (await response.text()).splitlines()
    found = [re.fullmatch(r"(\S+(?:\{[^}]*\})?) (\S+)", line) for line in lines if not line.startswith("#")]
    return {match[1]: float(match[2]) for match in found if match}


async def test_every_channel_and_destination_is_there_from_the_start(hospital: Hospital) -> None:
    told = await samples(hospital)
    for channel in ("adt", "lab"):
        assert told[f'chartwire_queue_depth{{channel="{channel}"}}'] == 0
        assert told[f'chartwire_queue_oldest_seconds{{channel="{channel}"}}'] == 0
    for destination in ("pager", "archive"):
        for kind in ("queue", "held", "parked"):
            assert told[f'chartwire_delivery_{kind}_depth{{destination="{destination}"}}'] == 0


async def test_what_waits_is_counted_and_its_age_told(hospital: Hospital) -> None:
    for at in (clock.now() - 5 * MINUTE, clock.now()):
        await hospital.says(channel="lab", state=State.RECEIVED, at=at)
    told = await samples(hospital)
    assert told['chartwire_queue_depth{channel="lab"}'] == 2
    assert told['chartwire_queue_depth{channel="adt"}'] == 0
    later, age = await samples(hospital), 'chartwire_queue_oldest_seconds{channel="lab"}'
    assert later[age] >= told[age] >= 300


async def test_deliveries_are_counted_by_what_became_of_them(hospital: Hospital) -> None:
    sent = [Outgoing(f"r{n}", "pager", "1001", None) for n in range(4)]
    sent.append(Outgoing("a", "archive", "1001", None))
    await hospital.says(patient("1001", "Ramos"), outgoing=sent, at=clock.now() - MINUTE)
    await hospital.run("UPDATE delivery SET state = 'PARKED' WHERE route = 'r0'")
    await hospital.run("UPDATE delivery SET state = 'HELD' WHERE route = 'r1'")
    await hospital.run("UPDATE delivery SET state = 'DELIVERED' WHERE route = 'a'")
    told = await samples(hospital)
    assert told['chartwire_delivery_queue_depth{destination="pager"}'] == 2
    assert told['chartwire_delivery_held_depth{destination="pager"}'] == 1
    assert told['chartwire_delivery_parked_depth{destination="pager"}'] == 1
    assert told['chartwire_delivery_queue_depth{destination="archive"}'] == 0
    assert told['chartwire_delivery_parked_oldest_seconds{destination="pager"}'] >= 60


async def test_the_counters_of_the_process_are_there(hospital: Hospital) -> None:
    metrics = hospital.running.metrics
    metrics.received("adt")
    metrics.receipt("adt", Duplicate(1))
    metrics.receipt("adt", Refused(Reason("no-msh", "not HL7")))
    metrics.ended("adt", State.STORED)
    before = await samples(hospital)
    await hospital.says(patient("1001", "Ramos"))
    told = await samples(hospital)
    assert told['chartwire_received_total{channel="adt"}'] == 1
    assert told['chartwire_duplicate_total{channel="adt"}'] == 1
    assert told['chartwire_refused_total{channel="adt"}'] == 1
    assert told['chartwire_ended_total{channel="adt",state="STORED"}'] == 1
    assert told["chartwire_commits_total"] == before["chartwire_commits_total"] + 1

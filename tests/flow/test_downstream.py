"""Partners that are down, slow or wrong: every failure an outcome by the table, order kept, other lanes flow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.adapters import http_peer
from tests.adapters.mllp_peer import Receiver, Said, acknowledgement, fields
from tests.flow.installation import DEADLINE, Installation, Json, channel, running, until
from tests.flow.messages import adt

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = "first: 20ms, max: 50ms"
PARTNERS = {  # what is said of each beside host, port and timeout
    "down": f"retry: {{{QUICK}}}",
    "slow": f"retry: {{{QUICK}}}",
    "errs": f"retry: {{{QUICK}}}",
    "other": f"retry: {{{QUICK}}}",
    "half": f"retry: {{{QUICK}}}",
    "parks": f"retry: {{{QUICK}}}, head: park",
    "blocks": f"retry: {{{QUICK}}}, head: block",
    "holds": f"retry: {{{QUICK}, unknown: hold}}",
    "gives_up": f"retry: {{{QUICK}, give_up: 300ms}}",
    "waits": f"retry: {{{QUICK}}}, connections: 1",
    "killed": f"retry: {{{QUICK}}}, connections: 4",
}
WEB = ("busy", "unprocessable", "cut")


@dataclass
class World:
    site: Installation
    mllp: dict[str, Receiver]
    http: dict[str, http_peer.Server]

    async def send(self, partner: str, *keys: str) -> None:
        """One admission or update for that partner each; a key is PATIENT-N."""
        sender = await self.site.sender("adt")
        for key in keys:
            mrn = f"{partner}.{key.partition('-')[0]}"
            answer = await sender.ask(adt(f"{partner}.{key}", mrn, ward=partner, last=f"ZKY|{key}"))
            assert fields(answer, b"MSA")[1] == "AA"
        await sender.leave()

    async def delivery(self, partner: str, key: str) -> Json:
        """The delivery as it stands, once the message was processed."""
        message = await self.site.end(f"{partner}.{key}")
        (found,) = (await self.site.get(f"/admin/messages/{message['id']}"))["deliveries"]
        delivery: Json = found
        return delivery

    async def becomes(self, partner: str, key: str, state: str, attempts: int = 0) -> Json:
        """The delivery when it is in that state after at least so many attempts."""

        async def look() -> Json:
            found = await self.delivery(partner, key)
            return found if found["state"] == state and found["attempts"] >= attempts else {}

        return await until(look)

    def heard(self, partner: str) -> list[str]:
        """The keys in the order in which they came, repetitions and all."""
        return [key_of(message) for message in self.mllp[partner].got]


def key_of(message: bytes) -> str:
    """What `send` called it; MSH-10 is the engine's."""
    return fields(message, b"ZKY")[1]


def refusing(code: str, when: Callable[[bytes], bool] = lambda message: True) -> Callable[[bytes], Said]:
    return lambda message: acknowledgement(message, code if when(message) else "AA")


def silent(message: bytes) -> Said:
    return Said()


def of(patient: str) -> Callable[[bytes], bool]:
    return lambda message: f".{patient}^^^".encode() in message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    mllp = {name: Receiver() for name in PARTNERS}
    http = {name: http_peer.Server(lambda request: http_peer.said(200)) for name in WEB}
    peers: list[Receiver | http_peer.Server] = [*mllp.values(), *http.values()]
    for peer in peers:
        await peer.start()
    await mllp["down"].stop()
    lines = [
        f"  {name}: {{mllp: {{host: 127.0.0.1, port: {mllp[name].port}, timeout: 400ms}}, {more}}}"
        for name, more in PARTNERS.items()
    ]
    lines += [
        f"  {name}: {{http: {{url: '{http[name].url}', timeout: 2s}}, retry: {{{QUICK}}}}}" for name in WEB
    ]
    routes = [f"  - {{from: adt, when: {{PV1-3.1: {name}}}, to: {name}}}" for name in (*PARTNERS, *WEB)]
    files = {
        "channels/adt.yaml": channel("adt"),
        "routes.yaml": "\n".join(["destinations:", *lines, "routes:", *routes, ""]),
    }
    async with running(tmp_path_factory.mktemp("downstream"), files) as site:
        yield World(site, mllp, http)
    for peer in peers:
        await peer.stop()


async def test_a_partner_that_is_down_gets_everything_in_order_when_it_is_back(world: World) -> None:
    keys = [f"{patient}-{n}" for n in range(10) for patient in "AB"]
    await world.send("down", *keys)
    waiting = await world.becomes("down", "A-0", "QUEUED", attempts=2)
    assert waiting["code"] == "no-connection"
    await world.send("errs", "W-0")
    await world.becomes("errs", "W-0", "DELIVERED")
    assert (await world.delivery("down", "A-1"))["attempts"] == 0, "it waits for the one before it"
    await world.mllp["down"].start()
    for key in keys:
        await world.becomes("down", key, "DELIVERED")
    assert [k for k in world.heard("down") if k[0] == "A"] == [f"A-{n}" for n in range(10)]
    assert [k for k in world.heard("down") if k[0] == "B"] == [f"B-{n}" for n in range(10)]


FAILURES: dict[str, tuple[Callable[[bytes], Said], str]] = {
    "slow": (silent, "no-answer"),
    "errs": (refusing("AE"), "answered-ae"),
    "other": (lambda message: acknowledgement(message, control="NOTTHIS"), "other-control-id"),
    "half": (lambda message: Said(acknowledgement(message).data[:40], close=True), "closed"),
}


@pytest.mark.parametrize("partner", FAILURES)
async def test_what_was_not_accepted_is_sent_again_under_the_same_control_id(
    world: World, partner: str
) -> None:
    reply, code = FAILURES[partner]
    receiver = world.mllp[partner]
    receiver.got.clear()
    receiver.reply = lambda message: reply(message) if of("A")(message) else acknowledgement(message)
    await world.send(partner, "A-0", "B-0", "A-1", "B-1")
    assert (await world.becomes(partner, "A-0", "QUEUED", attempts=2))["code"] == code
    for key in ("B-0", "B-1"):
        await world.becomes(partner, key, "DELIVERED")
    assert "A-1" not in world.heard(partner), "nothing of a lane overtakes"
    receiver.reply = acknowledgement
    for key in ("A-0", "A-1"):
        await world.becomes(partner, key, "DELIVERED")
    first = [m for m in receiver.got if key_of(m) == "A-0"]
    assert len(first) >= 3
    assert len(set(first)) == 1, "the same bytes and the same control id on every attempt"
    assert fields(first[0], b"MSH")[10] == (await world.delivery(partner, "A-0"))["control"]
    later = world.heard(partner)
    assert later.index("A-1") > max(n for n, key in enumerate(later) if key == "A-0")
    assert (later.count("B-0"), later.count("B-1"), later.count("A-1")) == (1, 1, 1)


async def test_a_rejected_message_is_parked_and_the_next_one_passes(world: World) -> None:
    world.mllp["parks"].reply = refusing("AR", lambda message: key_of(message) == "A-0")
    await world.send("parks", "A-0", "A-1", "B-0")
    parked = await world.becomes("parks", "A-0", "PARKED")
    assert (parked["code"], parked["attempts"]) == ("answered-ar", 1)
    for key in ("A-1", "B-0"):
        await world.becomes("parks", key, "DELIVERED")
    assert world.heard("parks").count("A-0") == 1, "sending it again cannot help"


async def test_a_rejected_message_blocks_its_own_lane_only(world: World) -> None:
    world.mllp["blocks"].reply = refusing("AR", lambda message: key_of(message) == "A-0")
    await world.send("blocks", "A-0", "A-1", "B-0", "B-1")
    assert (await world.becomes("blocks", "A-0", "HELD"))["code"] == "answered-ar"
    for key in ("B-0", "B-1"):
        await world.becomes("blocks", key, "DELIVERED")
    behind = await world.delivery("blocks", "A-1")
    assert (behind["state"], behind["attempts"]) == ("QUEUED", 0)
    metrics = (await world.site.ask("/metrics", {})).body.decode()
    assert 'chartwire_delivery_held_depth{destination="blocks"} 1.0' in metrics
    assert 'chartwire_delivery_queue_depth{destination="blocks"} 1.0' in metrics


async def test_what_may_have_been_accepted_is_held_where_a_repetition_would_harm(world: World) -> None:
    receiver = world.mllp["holds"]
    receiver.reply = lambda message: silent(message) if key_of(message) == "A-0" else acknowledgement(message)
    await world.send("holds", "A-0", "A-1", "B-0")
    held = await world.becomes("holds", "A-0", "HELD")
    assert (held["code"], held["attempts"]) == ("no-answer", 1)
    await world.becomes("holds", "B-0", "DELIVERED")
    assert (await world.delivery("holds", "A-1"))["state"] == "QUEUED"
    assert world.heard("holds").count("A-0") == 1


async def test_a_partner_that_is_down_is_no_reason_to_hold(world: World) -> None:
    """Not sent is provably not accepted."""
    await world.mllp["holds"].stop()
    await world.send("holds", "C-0")
    await world.becomes("holds", "C-0", "QUEUED", attempts=2)
    await world.mllp["holds"].start()
    await world.becomes("holds", "C-0", "DELIVERED")


async def test_after_giving_up_the_next_one_passes(world: World) -> None:
    world.mllp["gives_up"].reply = refusing("AE", lambda message: key_of(message) == "A-0")
    await world.send("gives_up", "A-0", "A-1")
    parked = await world.becomes("gives_up", "A-0", "PARKED")
    assert parked["attempts"] > 1
    await world.becomes("gives_up", "A-1", "DELIVERED")


async def test_a_lane_that_waits_does_not_occupy_the_only_connection(world: World) -> None:
    receiver = world.mllp["waits"]
    receiver.reply = refusing("AE", of("A"))
    keys = [f"{patient}-{n}" for n in range(20) for patient in "AB"]
    await world.send("waits", *keys)
    for n in range(20):
        await world.becomes("waits", f"B-{n}", "DELIVERED")
    assert {k for k in world.heard("waits") if k[0] == "A"} == {"A-0"}
    receiver.reply = acknowledgement
    for n in range(20):
        await world.becomes("waits", f"A-{n}", "DELIVERED")
    once = list(dict.fromkeys(world.heard("waits")))
    assert [k for k in once if k[0] == "A"] == [f"A-{n}" for n in range(20)]


WEB_FAILURES = {
    "busy": (http_peer.said(503), "http-503", "QUEUED"),
    "cut": (
        http_peer.Said(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", close=True),
        "closed",
        "QUEUED",
    ),
    "unprocessable": (http_peer.said(422), "http-422", "PARKED"),
}


@pytest.mark.parametrize("partner", WEB_FAILURES)
async def test_the_same_over_http(world: World, partner: str) -> None:
    answer, code, state = WEB_FAILURES[partner]
    server = world.http[partner]
    server.reply = lambda request: answer if key_of(request.body) == "A-0" else http_peer.said(200)
    await world.send(partner, "A-0", "A-1", "B-0")
    found = await world.becomes(partner, "A-0", state, attempts=2 if state == "QUEUED" else 1)
    assert found["code"] == code
    await world.becomes(partner, "B-0", "DELIVERED")
    server.reply = lambda request: http_peer.said(200)
    await world.becomes(partner, "A-0", "PARKED" if state == "PARKED" else "DELIVERED")
    await world.becomes(partner, "A-1", "DELIVERED")
    heard = [key_of(request.body) for request in server.got]
    ids = {r.headers["idempotency-key"] for r in server.got if key_of(r.body) == "A-0"}
    assert len(ids) == 1
    assert heard.index("A-1") > max(n for n, key in enumerate(heard) if key == "A-0")


async def test_a_crash_may_repeat_a_delivery_but_not_reorder_them(world: World) -> None:
    """Killed twice between a partner's hearing and its answer."""
    site, receiver = world.site, world.mllp["killed"]
    deaths = {20: asyncio.Event(), 60: asyncio.Event()}

    def deadly(message: bytes) -> Said:
        if death := deaths.get(len(receiver.got)):
            site.kill()
            death.set()
        return acknowledgement(message)

    receiver.reply = deadly
    await receiver.stop()
    keys = [f"{patient}-{n}" for n in range(40) for patient in "ABCD"]
    await world.send("killed", *keys)
    await receiver.start()
    for death in deaths.values():
        await asyncio.wait_for(death.wait(), DEADLINE)
        await site.start()
    for key in keys:
        await world.becomes("killed", key, "DELIVERED")
    assert len(receiver.got) > len(keys), "what was heard and not answered comes again"
    controls: dict[str, set[str]] = {}
    for message in receiver.got:
        controls.setdefault(key_of(message), set()).add(fields(message, b"MSH")[10])
    assert all(len(ids) == 1 for ids in controls.values()), "under the same control id"
    for patient in "ABCD":
        heard = [int(k[2:]) for k in world.heard("killed") if k[0] == patient]
        assert heard == sorted(heard), "before anything newer"
        assert set(heard) == set(range(40))

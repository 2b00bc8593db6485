"""PHI stays inside: with a canary in every field, nothing of it gets into logs, metrics, reasons or engine.json."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.adapters import http_peer
from tests.adapters.mllp_peer import END, VT, Said, acknowledgement, fields, receiver
from tests.engine_process import EngineProcess, port_of
from tests.flow.installation import Installation, Json, channel, until
from tests.flow.messages import later, message, segment

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "ZYXWVUTSRQ"
PLUGIN = '''
from typing import Annotated

from engine.plugin import predicate, transform
from formats import hl7v2
from store.facts import Clock, Fact


@transform("site.breaks")
def breaks(message: hl7v2.Message, *, when: Annotated[str, "PV1-3.1"]) -> hl7v2.Message:
    """Fails with what it should not say."""
    if message.get("PV1-3.1") == when:
        try:
            raise ValueError(f"no such patient: {message.get('PID-5')}")
        except ValueError as error:
            raise RuntimeError(message.raw.decode()) from error
    return message


@predicate("site_asks")
def asks(message: hl7v2.Message) -> bool:
    """Fails in a route's condition."""
    if message.get("PV1-3.1") == "CONDITION":
        raise KeyError(message.get("PID-5"))
    return False


@transform("site.facts")
def facts(message: hl7v2.Message, feed: object) -> list[Fact]:
    """Facts that cannot be filed."""
    name, kind = message.get("PID-5.1"), message.get("PV1-3.1")
    elements = {
        "VALUE": {"name": [{"family": "x"}], "gender": name},
        "ELEMENT": {name: "x"},
        "TWICE": {"name": [{"family": name}]},
    }[kind]
    said = [Fact("Patient", b"0123456789abcdef", Clock(1), elements)]
    return said * 2 if kind == "TWICE" else said
'''
ROUTES = """
destinations:
  rude: {{mllp: {{host: 127.0.0.1, port: {rude}, timeout: 1s}}, retry: {{first: 20ms, max: 50ms, give_up: 200ms}}}}
  web: {{http: {{url: "{web}"}}, retry: {{first: 20ms, max: 50ms, give_up: 200ms}}}}
routes:
  - {{from: [adt, strict], to: [rude, web]}}
  - from: [adt, strict]
    name: broken
    when: {{PV1-3.1: ROUTE}}
    transform: [{{site.breaks: {{when: ROUTE}}}}]
    to: rude
  - {{from: [adt, strict], name: asked, when: site_asks, to: rude}}
"""


def canaries(control: str, kind: str, ward: str = "WEST", mrn: str = "1", **replaced: str) -> bytes:
    """A message with the canary in every field that does not make it another one."""
    time = later()
    everywhere = {n: f"{CANARY}{n}" for n in range(1, 40)}
    msh = [CANARY, CANARY, CANARY, CANARY, time, CANARY, kind, control, "P", "2.5.1", CANARY]
    dates = {7: "19610615", 24: "N", 25: "1", 29: "", 30: "N", 33: time}
    who = {
        **everywhere,
        3: f"{CANARY}{mrn}^^^MRN^MR",
        5: f"{CANARY}^{CANARY}",
        **dates,
        35: CANARY,
        36: CANARY,
    }
    stay = {
        **everywhere,
        2: "I",
        3: f"{ward}^{CANARY}",
        19: f"{CANARY}{mrn}^^^VISIT",
        **dict.fromkeys((25, 29, 34, 35), ""),
    }
    result = {
        1: "1",
        2: "TX",
        3: f"2823-3^{CANARY}^LN",
        5: f"{CANARY} is high",
        6: CANARY,
        7: CANARY,
        8: "H",
        11: "F",
        16: CANARY,
    }
    order = {
        1: "1",
        2: f"{CANARY}^HIS",
        3: f"{control}^LIS",
        4: f"24323-8^{CANARY}^LN",
        7: time,
        13: CANARY,
        16: CANARY,
        22: time,
        25: "F",
    }
    segments = {
        "MSH": "|".join(["MSH", "^~\\&", *msh]),
        "EVN": f"EVN|A01|{time}",
        "PID": segment("PID", who),
        "PV1": segment("PV1", stay),
        "OBR": segment("OBR", order),
        "OBX": segment("OBX", result),
        "NTE": f"NTE|1||{CANARY}",
    }
    return message(*{**segments, **replaced}.values())


STRICT = "ack: processed"


def unfit(name: str, limit: str, *more: str) -> str:
    """A channel whose store says what the chart cannot take."""
    made = channel(name, f"mllp: {{port: 0, max_frame: {limit}}}", *more)
    return made.replace("store: hl7v2_to_fhir", "store: site.facts")


class World:
    def __init__(self, site: Installation) -> None:
        self.site = site
        self.seen = 0

    async def send(self, feed: str, *bodies: bytes) -> list[str]:
        sender = await self.site.sender(feed)
        codes = []
        for body in bodies:
            answer = await sender.ask(body)
            assert CANARY not in "".join(s for s in answer.decode("latin-1").split("\r") if s[:3] == "ERR")
            codes.append(fields(answer, b"MSA")[1])
        await sender.leave()
        return codes

    async def everything_told(self) -> str:
        """All that the engine says outside of its database."""
        metrics = (await self.site.ask("/metrics", {})).body.decode()
        health = (await self.site.ask("/readyz", {})).body.decode()
        return self.site.log() + metrics + health + (self.site.data / "engine.json").read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    turns = {"n": 0}

    def rudely(message: bytes) -> Said:
        """Every answer quotes the patient."""
        turns["n"] += 1
        code = ("AE", "AR", "AA")[turns["n"] % 3]
        if turns["n"] % 5 == 0:
            return Said(f"{CANARY} who?".encode(), close=True)
        return acknowledgement(message, code, f"|{CANARY} is unknown\rERR||PID^1^5|207^{CANARY}|E|||{CANARY}")

    def told(request: http_peer.Message) -> http_peer.Said:
        turns["n"] += 1
        issue = {"severity": "error", "code": "invalid", "diagnostics": CANARY, "expression": [CANARY]}
        outcome = json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode()
        return http_peer.said((200, 422, 503, 500)[turns["n"] % 4], outcome, f"X-Patient: {CANARY}")

    directory = tmp_path_factory.mktemp("logs")
    async with receiver(rudely) as rude, http_peer.server(told) as web:
        steps = ("pipeline:", "  - site.breaks: {when: BREAKS}")
        files = {
            "channels/adt.yaml": channel("adt", "mllp: {port: 0, max_frame: 64KB}", *steps),
            "channels/strict.yaml": channel("strict", "mllp: {port: 0, max_frame: 65KB}", STRICT, *steps),
            "channels/facts.yaml": unfit("facts", "66KB"),
            "channels/facts_strict.yaml": unfit("facts_strict", "67KB", STRICT),
            "plugins/site.py": PLUGIN,
            "routes.yaml": ROUTES.format(rude=rude.port, web=web.url),
        }
        site = Installation(directory, files)
        site.engine = EngineProcess(site.config, site.data, {"CHARTWIRE_LOG_LEVEL": "debug"})
        try:
            await site.start()
            yield World(site)
            assert await site.stop() == 0
            assert CANARY not in site.log(), "at the stop"
        finally:
            site.kill()


async def reasons(site: Installation) -> str:
    """Everything that is said of messages and deliveries, but their keys and bytes."""
    said: list[Json] = []
    for found in await site.messages():
        traced = await site.get(f"/admin/messages/{found['id']}/trace")
        said.append({**traced, "key": ""})
    return json.dumps(said)


async def test_good_and_bad_messages(world: World) -> None:
    site = world.site
    for feed, accepted in (("adt", "AA"), ("strict", "AE")):
        good = [
            canaries(f"{CANARY}1{feed}", "ADT^A01^ADT_A01"),
            canaries(f"{CANARY}2{feed}", "ORU^R01^ORU_R01"),
        ]
        assert await world.send(feed, *good, good[0]) == ["AA", "AA", "AA"]
        bad = {
            "BREAKS": canaries(f"{CANARY}3{feed}", "ADT^A01^ADT_A01", "BREAKS", "3"),
            "ROUTE": canaries(f"{CANARY}4{feed}", "ADT^A01^ADT_A01", "ROUTE", "4"),
            "CONDITION": canaries(f"{CANARY}5{feed}", "ADT^A01^ADT_A01", "CONDITION", "5"),
            "date": canaries(f"{CANARY}6{feed}", "ADT^A01^ADT_A01").replace(b"19610615", CANARY.encode()),
            "nobody": canaries(f"{CANARY}7{feed}", "ADT^A01^ADT_A01").replace(
                b"^^^MRN", f"^^^{CANARY}".encode()
            ),
            "undecodable": canaries(f"{CANARY}8{feed}", "ADT^A01^ADT_A01", NTE=f"NTE|1||{CANARY}?").replace(
                b"?", b"\xff"
            ),
            "test": canaries(f"{CANARY}9{feed}", "ADT^A01^ADT_A01").replace(
                b"|P|2.5.1", f"|{CANARY}|2.5.1".encode()
            ),
        }
        assert await world.send(feed, *bad.values()) == [accepted] * len(bad)
        for n in (1, 2):
            assert (await site.end(f"{CANARY}{n}{feed}"))["state"] == "STORED"
        for n, name in enumerate(bad, start=3):
            ended = await site.end(f"{CANARY}{n}{feed}")
            assert ended["state"] in ("FAILED", "QUARANTINED", "REFUSED"), name
    assert CANARY not in await reasons(site)
    assert CANARY not in await world.everything_told()


@pytest.mark.parametrize("kind", ["VALUE", "ELEMENT", "TWICE"])
async def test_facts_that_cannot_be_filed_fail_their_message_with_a_reason(world: World, kind: str) -> None:
    for feed, code, state in (("facts", "AA", "FAILED"), ("facts_strict", "AE", "REFUSED")):
        key = f"{CANARY}{kind}{feed}"
        assert await world.send(feed, canaries(key, "ADT^A01^ADT_A01", kind)) == [code]
        ended = await world.site.end(key)
        assert ended["state"] == state
        assert ended["code"] == ("not-filed" if kind == "TWICE" else "invalid-resource")
        places = {"VALUE": "Patient.gender", "ELEMENT": "Patient", "TWICE": ""}
        assert (ended["place"] or "") == places[kind]
    assert CANARY not in await reasons(world.site)
    assert CANARY not in await world.everything_told()


async def test_garbage(world: World) -> None:
    site = world.site
    assert (
        await world.send("adt", CANARY.encode(), f"PID|{CANARY}\r".encode(), f"MSH|{CANARY}".encode())
        == ["AR"] * 3
    )
    long = canaries("LONG", "ADT^A01^ADT_A01", NTE=f"NTE|1||{CANARY * 7000}")
    assert await world.send("adt", long) == ["AR"]
    charset = canaries("CHARSET", "ADT^A01^ADT_A01").replace(b"|2.5.1|", f"|2.5.1|||||{CANARY}|".encode())
    assert await world.send("adt", charset) == ["AE"]
    sender = await site.sender("adt")
    await sender.write(CANARY.encode() + VT + b"MSH|^~\\&|A" + END)
    await sender.answer()
    await sender.write(VT + canaries("CUT", "ADT^A01^ADT_A01")[:-20])
    sender.end()
    assert fields(await sender.answer(), b"MSA")[1] == "AR"
    await sender.leave()
    assert CANARY not in await reasons(site)
    assert CANARY not in await world.everything_told()


async def test_partners_that_answer_with_content(world: World) -> None:
    async def over() -> bool:
        queued = (await world.site.ask("/metrics", {})).body.decode()
        return (
            'delivery_queue_depth{destination="rude"} 0.0' in queued
            and 'depth{destination="web"} 0.0' in queued
        )

    await until(over)
    told = world.site.log()
    assert '"event":"not delivered"' in told
    assert CANARY not in await reasons(world.site)
    assert CANARY not in await world.everything_told()


async def test_questions_with_a_name_in_them(world: World) -> None:
    site = world.site
    for path in (
        f"/fhir/Patient?name={CANARY}", f"/fhir/Patient?identifier=urn:test:mrn|{CANARY}1", f"/fhir/Patient/{CANARY}",
        f"/fhir/{CANARY}", f"/fhir/{CANARY}/{CANARY}/_history/{CANARY}", f"/fhir/Patient?{CANARY}=1",
        f"/fhir/Patient?birthdate={CANARY}", f"/fhir/Patient?_count={CANARY}", f"/fhir/Patient?name:{CANARY}=x",
        f"/admin/messages?patient={CANARY}1", f"/admin/messages?state={CANARY}", f"/admin/messages?key={CANARY}",
        f"/admin/messages/{CANARY}", f"/{CANARY}", f"/metrics?{CANARY}", f"/healthz/{CANARY}",
    ):  # fmt: skip
        answer = await site.read(quote(path, safe="/?=|:&"))
        assert answer.status < 500
        assert (await site.ask(path, {"Authorization": f"Bearer {CANARY}"})).status in (200, 401, 404)
    for broken in (
        f"GET /{CANARY} HTTP/9\r\n\r\n",
        f"{CANARY}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{CANARY}\r\n\r\n",
    ):
        peer = await http_peer.Sender.connect(f"http://127.0.0.1:{port_of(site.http)}/")
        await peer.write(broken.encode())
        await peer.answer()
        await peer.leave()
    assert (await site.command("messages", "list", "--patient", CANARY)).returncode == 0
    assert (await site.command("messages", "list", "--state", CANARY)).returncode == 1
    assert CANARY not in await world.everything_told()


async def test_lines_are_structured_and_carry_ids_and_counts(world: World) -> None:
    lines = [json.loads(line) for line in world.site.log().splitlines()]
    assert all({"time", "level", "log", "event"} <= line.keys() for line in lines)
    failed = [line for line in lines if line["event"] == "process failed"]
    assert {line["error"] for line in failed} == {"RuntimeError", "KeyError"}
    assert all(isinstance(line["message"], int) and line["channel"] for line in failed)
    undelivered = [line for line in lines if line["event"] == "not delivered"]
    assert undelivered
    assert all(line["delivery"] and line["attempts"] and line["code"] for line in undelivered)
    assert {line["destination"] for line in undelivered} == {"rude", "web"}

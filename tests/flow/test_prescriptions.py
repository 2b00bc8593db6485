"""Prescriptions through the front door, over TLS both ways: what goes out is answered, at once, later, or overdue."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.adapters.certificates import Authority
from tests.adapters.http_peer import Message, Said, Sender, Server, said, server
from tests.adapters.script_text import answer, newrx, text
from tests.engine_process import past_the_engine
from tests.flow.installation import Installation, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

FHIR = """
channel: fhir
source: fhir
format: fhir
timezone: UTC
ack: processed
store: fhir_to_chart
"""
PRESCRIPTIONS = """
channel: prescriptions
source:
  chart:
    type: MedicationRequest
    when: {MedicationRequest.status: active, MedicationRequest.intent: order}
format: fhir
timezone: UTC
authority: mrn
order_by: patient
"""
PHARMACY = """
channel: pharmacy
source:
  ncpdp:
    {{port: 0, path: /script, account: HOUSE, receivers: [HOUSE], max_body: 64KB, certificate: "{certificate}",
      key: "{key}"}}
format: script
timezone: UTC
authority: mrn
ack: processed
order_by: patient
store: ncpdp_to_fhir
system: pharmacy
"""
ROUTES = """
destinations:
  pharmacy:
    ncpdp: {{url: "{url}", ca: "{ca}"}}
    retry: {{first: 50ms, max: 100ms}}
    system: pharmacy
routes:
  - from: prescriptions
    transform: [{{script.new_rx: {{sender: HOUSE}}}}]
    to: pharmacy
    expect: {{within: 700ms, answers: pharmacy}}
"""
NPI = "http://hl7.org/fhir/sid/us-npi"
NCPDP = "http://terminology.hl7.org/NamingSystem/NCPDPProviderIdentificationNumber"
PERSON = {"name": [{"family": "Doe", "given": ["Jane"]}], "birthDate": "1980-02-03"}
Json = dict[str, Any]


class World:
    def __init__(self, site: Installation, partner: Server, trust: ssl.SSLContext, token: str) -> None:
        self.site, self.partner, self._trust = site, partner, trust
        self._token = token

    def answers(self, reply: Callable[[Message], Said]) -> None:
        self.partner.reply = reply

    async def post(self, body: bytes) -> bytes:
        """What the engine's own SCRIPT source answers."""
        sender = await Sender.connect(self.site.sources["pharmacy"], self._trust)
        told = await sender.ask(body)
        await sender.leave()
        return told.body

    async def prescribe(self, mrn: str, **more: Any) -> Json:
        """A signed prescription with its patient, prescriber and pharmacy; the transaction's response."""
        names = {kind: f"urn:uuid:{kind}" for kind in ("Patient", "Practitioner", "Organization")}
        rx = {
            "resourceType": "MedicationRequest", "status": "active", "intent": "order", "authoredOn": "2026-03-01",
            "medicationCodeableConcept": {"text": "Amoxicillin 500 mg"}, "subject": {"reference": names["Patient"]},
            "requester": {"reference": names["Practitioner"]}, "dosageInstruction": [{"text": "One & only < twice"}],
            "dispenseRequest": {
                "performer": {"reference": names["Organization"]}, "quantity": {"value": 21, "unit": "capsule"},
            },
            **more,
        }  # fmt: skip
        known = {
            "Patient": ("urn:test:mrn", mrn, PERSON),
            "Practitioner": (NPI, "1003000126", {"name": [{"family": "Okafor"}]}),
            "Organization": (NCPDP, "6557744", {"name": "Corner Drugs"}),
        }
        made: list[tuple[str, Json, str]] = [
            (
                names[kind],
                {"resourceType": kind, "identifier": [{"system": system, "value": value}], **rest},
                f"identifier={system}|{value}",
            )
            for kind, (system, value, rest) in known.items()
        ]
        made.append(("", rx, ""))
        entries = [
            {
                **({"fullUrl": url} if url else {}),
                "resource": each,
                "request": {
                    "method": "POST",
                    "url": each["resourceType"],
                    **({"ifNoneExist": none} if none else {}),
                },
            }
            for url, each, none in made
        ]
        sender = await Sender.connect(f"http://{self.site.http}/fhir")
        body = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()
        told = await sender.ask(
            body, f"Authorization: Bearer {self._token}", "Content-Type: application/fhir+json"
        )
        await sender.leave()
        assert told.status == 200, told.body
        found: Json = told.json
        return found

    async def sent(self, count: int) -> Message:
        """The last of so many prescriptions that the pharmacy got."""
        await self.partner.arrived(count)
        return self.partner.got[count - 1]

    def expectation(self, control: str) -> tuple[Any, ...]:
        """(answered by which message, what it said, due) of our message with that id."""
        reader = past_the_engine(self.site.data)
        row = reader.all(
            "SELECT message, said, due FROM expectation WHERE delivery = $1",
            (int(control.rpartition("-")[2]),),
        )
        reader.close()
        return row[0]

    async def answered(self, control: str) -> tuple[Any, ...]:
        async def met() -> tuple[Any, ...] | None:
            found = self.expectation(control)
            return found if found[1] else None

        found = await until(met)
        assert found
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home: Path = tmp_path_factory.mktemp("rx")
    authority = Authority(home)
    certificate, key = authority.issue("localhost")
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(certificate, key)
    async with server(tls=listening) as partner:
        files = {
            "channels/fhir.yaml": FHIR,
            "channels/prescriptions.yaml": PRESCRIPTIONS,
            "channels/pharmacy.yaml": PHARMACY.format(certificate=certificate, key=key),
            "routes.yaml": ROUTES.format(url=partner.url, ca=authority.ca),
        }
        async with running(home, files) as site:
            made = await site.command("token", "create", "--name", "ehr")
            trust = ssl.create_default_context(cafile=str(authority.ca))
            yield World(site, partner, trust, made.stdout.strip())


def status_for(request: Message) -> Said:
    return said(200, answer("Status", "S1", text(request.body, "MessageID"), "010"))


async def test_a_prescription_goes_out_once_and_its_status_in_the_response_settles_it(world: World) -> None:
    world.answers(status_for)
    count = len(world.partner.got)
    await world.prescribe("R1")
    request = await world.sent(count + 1)
    assert text(request.body, "SigText") == "One &amp; only &lt; twice"
    assert text(request.body, "MedicalRecordIdentificationNumberEHR") == "R1"
    control = text(request.body, "MessageID")
    message, kind, _ = await world.answered(control)
    assert kind == "Status"
    (by,) = [m for m in await world.site.messages(channel="pharmacy") if m["id"] == message]
    assert (by["state"], by["peer"]) == ("STORED", "destination")


async def test_an_error_in_the_response_ends_it_and_is_seen(world: World) -> None:
    world.answers(lambda r: said(200, answer("Error", "E1", text(r.body, "MessageID"), "900")))
    count = len(world.partner.got)
    await world.prescribe("R2")
    control = text((await world.sent(count + 1)).body, "MessageID")
    _, kind, _ = await world.answered(control)
    assert kind == "Error"


async def test_a_late_status_settles_it_too_and_one_for_nothing_is_told_so(world: World) -> None:
    world.answers(lambda request: said(202))
    count = len(world.partner.got)
    await world.prescribe("R3")
    control = text((await world.sent(count + 1)).body, "MessageID")

    async def waiting() -> bool:
        return world.expectation(control)[2] is not None

    await until(waiting)
    assert world.expectation(control)[:2] == (None, None)
    told = await world.post(answer("Status", "S3", control, "010"))
    assert text(told, "Code") == "010"
    assert world.expectation(control)[1] == "Status"
    told = await world.post(answer("Status", "S4", "NOBODYS", "010"))
    assert (text(told, "Code"), "unmatched-answer" in told.decode()) == ("900", True)


async def test_a_silent_pharmacy_is_asked_again_under_the_same_id(world: World) -> None:
    turn = iter([Said(close=True), said(503)])
    world.answers(lambda request: next(turn, None) or status_for(request))
    count = len(world.partner.got)
    await world.prescribe("R4")
    await world.sent(count + 3)
    ids = {text(request.body, "MessageID") for request in world.partner.got[count : count + 3]}
    assert len(ids) == 1
    await world.answered(ids.pop())


async def test_what_lacks_its_pharmacy_goes_nowhere_and_says_why(world: World) -> None:
    count = len(world.partner.got)
    await world.prescribe("R5", dispenseRequest={"quantity": {"value": 1}})

    async def ended() -> Json | None:
        last = (await world.site.messages(channel="prescriptions"))[-1]
        return last if last["state"] == "QUARANTINED" else None

    last = await until(ended)
    assert last
    assert (last["code"], last["place"]) == ("incomplete", "Organization.identifier")
    assert len(world.partner.got) == count


async def test_a_prescription_that_comes_in_is_in_the_chart_and_not_sent_back(world: World) -> None:
    count = len(world.partner.got)
    told = await world.post(newrx("IN1", "RX-IN1", "R6", drug="Ünïcode 5 mg"))
    assert (text(told, "Code"), text(told, "RelatesToMessageID")) == ("010", "IN1")
    (patient,) = await world.site.resources("Patient?identifier=urn:test:mrn|R6")
    (request,) = await world.site.resources(f"MedicationRequest?patient={patient['id']}")
    assert request["medicationCodeableConcept"]["text"] == "Ünïcode 5 mg"
    assert request["dispenseRequest"]["quantity"]["value"] == 21
    again = await world.post(newrx("IN1", "RX-IN1", "R6", drug="Ünïcode 5 mg"))
    assert text(again, "Code") == "010"
    assert len(await world.site.resources(f"MedicationRequest?patient={patient['id']}")) == 1

    async def ended() -> Json | None:
        last = (await world.site.messages(channel="prescriptions"))[-1]
        return last if last["state"] == "UNROUTED" else None

    last = await until(ended)
    assert last
    assert last["code"] == "came-from-there"
    assert len(world.partner.got) == count


BOMB = (
    b'<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<Message><Header><MessageID>&b;</MessageID></Header><Body><NewRx/></Body></Message>"
)
FILE = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Message><Header/><Body><NewRx>&f;</NewRx></Body></Message>'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"this is no XML", "not-xml"),
        (newrx("B1")[:-40], "not-xml"),
        (BOMB, "xml-entity"),
        (FILE, "xml-entity"),
        (newrx("B2").replace(b"2017071", b"2023011"), "wrong-version"),
        (newrx("B3", to="ELSEWHERE"), "not-for-us"),
        (newrx("B4", mrn=" "), "blank-patient-id"),
        (newrx("B5").replace(b"NewRx>", b"RxRenewalRequest>"), "unsupported-transaction"),
        (newrx("B6").replace(b"<Value>21<", b"<Value>-1<"), "bad-quantity"),
        (newrx("B7").replace(b"2026-03-01T12:00:00Z", b"tomorrow"), "bad-time"),
        (newrx("B8").replace(b"2026-03-01T12:00:00Z", b"2999-03-01T12:00:00Z"), "future-time"),
    ],
)
async def test_bad_input_is_answered_with_an_error_and_kept(world: World, body: bytes, code: str) -> None:
    told = await world.post(body)
    assert text(told, "Code") == "900"
    assert code in text(told, "Description")
    kept = (await world.site.messages(channel="pharmacy", state="REFUSED"))[-1]
    assert kept["code"] == code
    assert kept["size"] == len(body)
    assert (
        text(await world.post(newrx(f"AFTER-{code}-{len(body)}", f"A{code}{len(body)}", "R7")), "Code")
        == "010"
    )


async def test_an_oversized_message_is_refused(world: World) -> None:
    told = await world.post(newrx("B9", more=f"<Note>{'x' * 70000}</Note>"))
    assert text(told, "Code") == "900"


async def test_an_order_number_of_somebody_else_is_refused(world: World) -> None:
    assert text(await world.post(newrx("O1", "RX-O", "R8")), "Code") == "010"
    told = await world.post(newrx("O2", "RX-O", "R9"))
    assert text(told, "Code") == "900"
    assert "other-patient" in text(told, "Description")


async def test_what_nobody_here_knows_survives_a_round_trip(tmp_path: Path) -> None:
    out = tmp_path / "out"
    copy = f'{{files: {{directory: "{out}", create: true}}}}'
    routes = f"destinations:\n  copy: {copy}\nroutes:\n  - {{from: pharmacy, to: copy}}\n"
    channel = PHARMACY.format(certificate="", key="").replace(', certificate: "",\n      key: ""', "")
    async with running(tmp_path, {"channels/pharmacy.yaml": channel, "routes.yaml": routes}) as site:
        sender = await Sender.connect(site.sources["pharmacy"])
        body = newrx("K1", more="<ns:Unheard xmlns:ns='urn:x' a='1'>of &#233; <ns:B/></ns:Unheard>")
        assert text((await sender.ask(body)).body, "Code") == "010"
        await site.deliveries("K1", "DELIVERED")
        (sent,) = out.iterdir()
        assert sent.read_bytes() == body
        await sender.leave()

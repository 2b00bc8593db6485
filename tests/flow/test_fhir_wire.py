"""What the API does with requests as they come over the wire: bounds, broken bodies, retries, what is told to whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.adapters.mllp_peer import fields
from tests.flow.installation import DEADLINE, until
from tests.flow.messages import adt
from tests.flow.portal import MRN, Json, Portal, bundle, entry, opened, order

pytestmark = pytest.mark.asyncio(loop_scope="module")
PERSON: Json = {"resourceType": "Patient", "name": [{"family": "x" * 1000}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def portal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    limits = "{fhir: {max_transaction: 200KB, max_batch: 1MB}}"
    async with opened(tmp_path_factory.mktemp("fhir"), limits) as made:
        yield made


async def connected(
    portal: Portal, path: str, *headers: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request whose body is still to come."""
    host, _, port = portal.site.http.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [
        f"POST /fhir{path} HTTP/1.1", f"Host: {host}", "Content-Type: application/fhir+json",
        f"Authorization: {portal.headers['Authorization']}", *headers,
    ]  # fmt: skip
    writer.write("\r\n".join([*lines, "", ""]).encode())
    return reader, writer


async def status(reader: asyncio.StreamReader) -> int:
    return int((await asyncio.wait_for(reader.readline(), DEADLINE)).split()[1])


async def test_what_is_declared_too_long_is_refused_without_reading_it(portal: Portal) -> None:
    reader, writer = await connected(portal, "", f"Content-Length: {1 << 30}")
    writer.write(b"{" + b" " * 100_000)
    assert await status(reader) == 413
    writer.close()


async def test_a_transaction_that_never_ends_is_refused_when_it_is_too_long(portal: Portal) -> None:
    """It says at its beginning what it is; only as much is read as a transaction may have."""
    reader, writer = await connected(portal, "", "Transfer-Encoding: chunked")
    beginning = b'{"resourceType":"Bundle","type":"transaction","entry":['
    chunk = json.dumps(entry("POST", "Patient", PERSON)).encode() + b","
    writer.write(b"%x\r\n%s\r\n" % (len(beginning), beginning))
    answer = asyncio.create_task(status(reader))
    sent = 0
    for _ in range(400):
        writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        sent += len(chunk)
    assert sent < 1_000_000, "a batch could be as long"
    assert await answer == 413
    writer.close()


async def test_a_batch_may_be_longer_than_a_transaction_but_not_endless(portal: Portal) -> None:
    many = [entry("POST", "Patient", PERSON)] * 300
    assert (await portal.ask("POST", "", bundle("transaction", *many))).status == 413
    done = await portal.ask("POST", "", bundle("batch", *many))
    assert done.status == 200
    assert {each["response"]["status"] for each in done.body["entry"]} == {"201 Created"}
    told = await portal.ask("POST", "", bundle("batch", *many * 4))
    assert (told.status, told.body["issue"][0]["code"]) == (413, "too-long")


async def test_a_body_that_breaks_off_is_kept_and_does_nothing(portal: Portal) -> None:
    _, writer = await connected(portal, "/Patient", "Content-Length: 1000")
    writer.write(b'{"resourceType":"Patient","name":[{"family":"Broken')
    await writer.drain()
    writer.close()

    async def kept() -> list[Json]:
        found = await portal.site.messages(channel="fhir", state="REFUSED")
        return [message for message in found if message["code"] == "truncated"]

    assert len(await until(kept)) == 1
    assert not await portal.site.resources("Patient?name=Broken")


async def test_two_at_once_under_one_idempotency_key(portal: Portal) -> None:
    """The same twice is done once; two different ones are not both done."""
    body = {"resourceType": "Patient", "name": [{"family": "Twin"}]}
    same = await asyncio.gather(
        *(portal.ask("POST", "/Patient", body, Idempotency_Key="s") for _ in range(8))
    )
    assert {reply.status for reply in same} == {201}
    assert len({reply.body["id"] for reply in same}) == 1
    others = [{**body, "birthDate": f"200{n}-01-01"} for n in range(8)]
    replies = await asyncio.gather(
        *(portal.ask("POST", "/Patient", other, Idempotency_Key="d") for other in others)
    )
    assert sorted(reply.status for reply in replies) == [201] + [409] * 7


async def test_a_client_hears_what_it_prefers(portal: Portal) -> None:
    made = await portal.ask("POST", "/Patient", PERSON)
    id = made.body["id"]
    assert made.headers["Location"] == f"{portal.url}/Patient/{id}/_history/1"
    assert made.headers["ETag"] == 'W/"1"'
    read = await portal.ask("GET", f"/Patient/{id}")
    assert made.headers["Last-Modified"] == read.headers["Last-Modified"]
    assert made.body == read.body
    minimal = await portal.ask("POST", "/Patient", PERSON, Prefer="return=minimal")
    assert (minimal.status, minimal.body) == (201, None)
    assert minimal.headers["Location"]
    said = await portal.ask("POST", "/Patient", PERSON, Prefer="return=OperationOutcome")
    assert (said.status, said.body["resourceType"]) == (201, "OperationOutcome")
    asked = bundle("transaction", entry("POST", "Patient", PERSON))
    whole = await portal.ask("POST", "", asked, Prefer="return=representation")
    assert whole.body["entry"][0]["resource"]["name"] == PERSON["name"]
    short = await portal.ask("POST", "", asked)
    assert "resource" not in short.body["entry"][0]


async def test_places_are_those_of_what_the_client_sent(portal: Portal) -> None:
    alone = await portal.ask("POST", "/Patient", {"resourceType": "Patient", "gender": "x"})
    assert alone.body["issue"][0]["expression"] == ["Patient.gender"]
    read = entry("GET", "Patient?_count=1")
    wrong = entry("POST", "Patient", {"resourceType": "Patient", "gender": "x"})
    together = await portal.ask("POST", "", bundle("transaction", read, wrong))
    assert together.body["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    each = await portal.ask("POST", "", bundle("batch", read, wrong))
    told = each.body["entry"][1]["response"]["outcome"]
    assert told["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]


async def test_reads_in_a_bundle_have_conditions_of_their_own(portal: Portal) -> None:
    one = f"Patient/{(await portal.ask('POST', '/Patient', PERSON)).body['id']}"
    asked = bundle(
        "batch", entry("GET", one), entry("GET", one, ifNoneMatch='W/"1"'), entry("GET", "Patient/none")
    )
    done = await portal.ask("POST", "", asked, If_None_Match='W/"1"')
    assert [each["response"]["status"] for each in done.body["entry"]] == ["200 OK", "304", "404"]


async def test_an_update_by_condition_may_ask_for_its_format(portal: Portal) -> None:
    who = f"Patient/{(await portal.patient('W1'))['id']}"
    body = order(who, identifier=[{"system": "urn:o", "value": "W1"}])
    made = await portal.ask("PUT", "/ServiceRequest?identifier=urn:o|W1&_format=json", body)
    assert made.status == 201
    wrong = await portal.ask("PUT", "/ServiceRequest?identifer=urn:o|W1", body)
    assert wrong.status == 422


async def test_an_id_is_no_other_types(portal: Portal) -> None:
    id = (await portal.patient("W2"))["id"]
    assert (await portal.ask("DELETE", f"/Observation/{id}")).status == 404
    assert (await portal.ask("GET", f"/Patient/{id}")).status == 200
    assert (await portal.ask("DELETE", "/Patient?identifier=" + MRN + "|W2")).status == 204
    assert (await portal.ask("GET", f"/Patient/{id}")).status == 410


async def test_nothing_of_a_message_is_in_the_log(portal: Portal) -> None:
    await portal.ask("POST", "/Patient", {"resourceType": "Patient", "gender": "SECRETVALUE"})
    await portal.ask("POST", "/Patient", b'{"SECRETVALUE')
    assert "SECRETVALUE" not in portal.site.log()


async def test_hl7_senders_are_answered_while_a_long_transaction_runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    person = entry("POST", "Patient", {"resourceType": "Patient", "name": [{"family": "x" * 900}]})
    long = json.dumps(bundle("transaction", *[person] * 4800)).encode()
    assert len(long) > 4_500_000
    async with opened(tmp_path_factory.mktemp("long")) as portal:
        sender = await portal.site.sender("adt")
        running = asyncio.create_task(portal.ask("POST", "", long))
        answered = 0
        while not running.done():
            assert fields(await sender.ask(adt(f"L{answered}", "L")), b"MSA")[1] == "AA"
            answered += 1
        done = await running
        assert (done.status, len(done.body["entry"])) == (200, 4800)
        assert answered > 5
        await sender.leave()

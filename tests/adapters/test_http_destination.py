"""HTTP as a destination: what each answer, and each kind of no answer, says of a delivery."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.http.destination import HttpDestination
from engine.message import Delivered, Delivery, Outcome, Rejected, Retry, Unknown
from engine.settings import Secret
from tests.adapters.certificates import Authority
from tests.adapters.http_peer import Said, Server, said, server

CANARY = "ZYXWVUTSRQ"
HL7 = f"MSH|^~\\&|A|B|C|D|2026||ADT^A01|THEIRS1|P|2.5.1\rPID|1||1||{CANARY}\r".encode()
BUNDLE = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [], "id": CANARY}).encode()


def delivery(body: bytes = HL7, id: int = 17) -> Delivery:
    return Delivery(id, 1, "partner", 1, body)


def responses(*statuses: str, type: str = "transaction-response") -> Said:
    entries = [{"response": {"status": s, "outcome": {"text": CANARY}}} for s in statuses]
    body = json.dumps({"resourceType": "Bundle", "type": type, "entry": entries})
    return said(200, body.encode(), "Content-Type: application/fhir+json")


def ack(code: str, control: str = "THEIRS1", status: int = 200) -> Said:
    return said(status, f"MSH|^~\\&|C|D|A|B|2026||ACK|9|P|2.5.1\rMSA|{code}|{control}|{CANARY}\r".encode())


@asynccontextmanager
async def destination(peer: Server, **settings: Any) -> AsyncIterator[HttpDestination]:
    made = HttpDestination(**{"url": peer.url, "timeout": 10.0, **settings})
    assert made.problems() == []
    try:
        yield made
    finally:
        await made.close()


async def outcome(answer: Said, body: bytes = HL7, **settings: Any) -> Outcome:
    async with server(lambda request: answer) as peer, destination(peer, **settings) as partner:
        return await partner.deliver(delivery(body))


def code(result: Outcome) -> str:
    """The reason's code; and no reason repeats what the partner wrote."""
    assert not isinstance(result, Delivered)
    assert CANARY not in str(result.reason)
    return result.reason.code


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Delivered), (201, Delivered), (202, Delivered), (204, Delivered),
        (301, Retry), (302, Retry), (307, Retry),
        (400, Rejected), (403, Rejected), (404, Rejected), (405, Rejected), (409, Rejected), (410, Rejected),
        (412, Rejected), (413, Rejected), (415, Rejected), (422, Rejected),
        (401, Retry), (407, Retry), (408, Retry), (425, Retry), (429, Retry),
        (500, Unknown), (502, Unknown), (504, Unknown), (599, Unknown),
        (501, Rejected), (505, Rejected), (503, Retry), (507, Retry), (511, Retry),
    ],
)  # fmt: skip
async def test_the_status_decides(status: int, kind: type[Outcome]) -> None:
    result = await outcome(said(status, b"" if status == 204 else CANARY.encode()))
    assert isinstance(result, kind)
    assert isinstance(result, Delivered) or code(result) == f"http-{status}"


@pytest.mark.parametrize(
    ("answers", "status", "kind"),
    [
        ({"409": "retry"}, 409, Retry),
        ({"409": "retry"}, 410, Rejected),
        ({"409": "delivered"}, 409, Delivered),
        ({"5xx": "rejected"}, 503, Rejected),
        ({"5xx": "rejected", "503": "retry"}, 503, Retry),
        ({"202": "unknown"}, 202, Unknown),
    ],
)
async def test_the_table_can_be_set(answers: dict[str, str], status: int, kind: type[Outcome]) -> None:
    assert isinstance(await outcome(said(status), answers=answers), kind)


async def test_the_answer_is_kept() -> None:
    assert await outcome(said(200, b"thanks")) == Delivered(b"thanks")
    rejected = await outcome(said(422, b"never"))
    assert isinstance(rejected, Rejected)
    assert rejected.reply == b"never"


async def test_the_issue_types_of_an_operation_outcome_are_told() -> None:
    issues = [{"code": "processing", "diagnostics": CANARY}, {"code": f"Not {CANARY}"}]
    body = json.dumps({"resourceType": "OperationOutcome", "issue": issues}).encode()
    result = await outcome(said(422, body), BUNDLE)
    assert isinstance(result, Rejected)
    assert result.reason.text.endswith("(processing)")


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (responses("201 Created", "200 OK"), Delivered, ""),
        (responses(), Delivered, ""),
        (responses("201 Created", "422 Unprocessable"), Rejected, "http-422"),
        (responses("409 Conflict", type="batch-response"), Rejected, "http-409"),
        (responses("201 Created", "503 Later"), Unknown, "http-503"),
        (responses("500", "422"), Rejected, "http-422"),
        (responses("503", type="searchset"), Delivered, ""),
        (said(200, b"{" * 100_000), Delivered, ""),
        (said(200, b'{"type": "batch-response", "entry": [7, {"response": 7}, {}]}'), Delivered, ""),
    ],
)
async def test_every_entry_of_a_fhir_response_counts(answer: Said, kind: type[Outcome], told: str) -> None:
    result = await outcome(answer, BUNDLE)
    assert isinstance(result, kind)
    assert isinstance(result, Delivered) or code(result) == told


async def test_the_place_of_a_failed_entry_is_told() -> None:
    result = await outcome(responses("201", "200", "412"), BUNDLE)
    assert isinstance(result, Rejected)
    assert result.reason.place == "Bundle.entry[2].response"


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (ack("AA"), Delivered, ""),
        (ack("CA"), Delivered, ""),
        (ack("AE"), Retry, "ack-ae"),
        (ack("AR"), Rejected, "ack-ar"),
        (ack("AR", status=500), Rejected, "ack-ar"),
        (ack("AA", status=500), Unknown, "http-500"),
        (ack("AA", control=CANARY), Unknown, "other-control-id"),
        (ack(CANARY), Unknown, "unknown-answer"),
    ],
)
async def test_an_acknowledgement_in_the_answer_counts(answer: Said, kind: type[Outcome], told: str) -> None:
    result = await outcome(answer)
    assert isinstance(result, kind)
    assert isinstance(result, Delivered) or code(result) == told


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Said(close=True), "closed"),
        (Said(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", close=True), "closed"),
        (Said(b"HTTP/1.1 200 OK\r\nContent-Le", close=True), "closed"),
        (Said(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", close=True), "closed"),
        (Said(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"), "closed"),
        (Said(f"\x0bMSH|{CANARY}\r\x1c\r".encode(), close=True), "closed"),
        (said(200, b"x" * 2000), "long-answer"),
    ],
)  # fmt: skip
async def test_no_usable_answer_leaves_it_unknown(answer: Said, told: str) -> None:
    result = await outcome(answer, max_answer=1000)
    assert isinstance(result, Unknown)
    assert code(result) == told


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
async def test_an_answer_that_does_not_come_in_time_leaves_it_unknown(begun: bytes) -> None:
    result = await outcome(Said(begun), timeout=0.2)
    assert isinstance(result, Unknown)
    assert code(result) == "no-answer"


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "http://nobody.invalid/"])
async def test_nobody_there_is_a_retry(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = await HttpDestination(url=url.format(port=port), timeout=5.0).deliver(delivery())
    assert isinstance(result, Retry)
    assert code(result) == "no-connection"


async def test_a_connection_that_never_comes_about_is_a_retry() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]  # fill the backlog; further ones wait for an answer
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            partner = HttpDestination(url=f"http://127.0.0.1:{port}/", timeout=0.2)
            result = await partner.deliver(delivery())
            await partner.close()
        finally:
            for filler in fillers:
                filler.close()
    assert isinstance(result, Retry)


async def test_what_is_sent() -> None:
    async with server() as peer, destination(peer, headers={"X-Site": "7", "user-agent": "us"}) as partner:
        await partner.deliver(delivery())
        await partner.deliver(delivery(BUNDLE, 18))
    hl7, fhir = peer.got
    assert hl7.start == "POST /fhir HTTP/1.1"
    assert hl7.body == HL7
    assert hl7.headers["content-type"] == "application/hl7-v2"
    assert hl7.headers["idempotency-key"] == hl7.headers["x-request-id"] == "CW17"
    assert (hl7.headers["x-site"], hl7.headers["user-agent"]) == ("7", "us")
    assert fhir.body == BUNDLE
    assert fhir.headers["content-type"] == fhir.headers["accept"] == "application/fhir+json"
    assert fhir.headers["idempotency-key"] == "CW18"


async def test_settings_of_the_request() -> None:
    settings = {"method": "PUT", "content_type": "text/plain", "headers": {"x-request-id": "mine"}}
    async with server() as peer, destination(peer, **settings) as partner:
        await partner.deliver(delivery())
    (got,) = peer.got
    assert got.start == "PUT /fhir HTTP/1.1"
    assert (got.headers["content-type"], got.headers["x-request-id"]) == ("text/plain", "mine")


async def test_credentials() -> None:
    async with server() as peer:
        async with destination(peer, token="s3cret") as partner:
            await partner.deliver(delivery())
        async with destination(peer, user="us", password="s3:cret") as partner:
            await partner.deliver(delivery())
    bearer, basic = (request.headers["authorization"] for request in peer.got)
    assert bearer == "Bearer s3cret"
    assert basic == f"Basic {base64.b64encode(b'us:s3:cret').decode()}"


def test_secrets_are_not_shown() -> None:
    partner = HttpDestination(url="https://example.org/", token=Secret("t0ken\n"), password=Secret("pa55\n"))
    assert partner.problems()
    assert all(secret not in repr(partner) + str(partner.problems()) for secret in ("t0ken", "pa55"))


async def test_the_connection_is_used_again() -> None:
    async with server() as peer, destination(peer) as partner:
        for id in range(3):
            assert isinstance(await partner.deliver(delivery(id=id)), Delivered)
        assert peer.served == 1


async def test_cookies_are_not_kept_and_redirects_not_followed() -> None:
    async with server() as peer, destination(peer) as partner:
        peer.reply = lambda request: said(302, b"", f"Location: {peer.url}/elsewhere", "Set-Cookie: a=b")
        assert isinstance(await partner.deliver(delivery()), Retry)
        await partner.deliver(delivery())
    assert [request.start for request in peer.got] == ["POST /fhir HTTP/1.1"] * 2
    assert "cookie" not in peer.got[1].headers


async def test_it_delivers_again_after_close_and_after_the_server_came_back() -> None:
    async with server() as peer, destination(peer) as partner:
        assert isinstance(await partner.deliver(delivery()), Delivered)
        await peer.stop()
        assert isinstance(await partner.deliver(delivery()), Retry | Unknown)
        assert isinstance(await partner.deliver(delivery()), Retry)
        await peer.start()
        assert isinstance(await partner.deliver(delivery()), Delivered)
        await partner.close()
        assert isinstance(await partner.deliver(delivery()), Delivered)


def listening(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("localhost"))
    return context


async def test_tls_with_the_authority_of_the_settings(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    async with server(tls=listening(ours)) as peer, destination(peer, ca=ours.ca) as partner:
        assert isinstance(await partner.deliver(delivery()), Delivered)


async def test_a_certificate_of_another_authority_is_a_retry_and_nothing_is_sent(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with server(tls=listening(ours)) as peer:
        for settings in ({"ca": other.ca}, {}):
            async with destination(peer, **settings) as partner:
                assert code(await partner.deliver(delivery())) == "no-connection"
    assert peer.got == []


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    context = listening(ours)
    context.load_verify_locations(ours.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    certificate, key = ours.issue("engine")
    async with server(tls=context) as peer:
        async with destination(peer, ca=ours.ca, certificate=certificate, key=key) as partner:
            assert isinstance(await partner.deliver(delivery()), Delivered)
        async with destination(peer, ca=ours.ca) as partner:
            assert not isinstance(await partner.deliver(delivery()), Delivered)
    assert len(peer.got) == 1


async def test_tls_files_that_cannot_be_read_are_a_retry(tmp_path: Path) -> None:
    (tmp_path / "not.pem").write_text("no certificate")
    partner = HttpDestination(url="https://localhost/", ca=tmp_path / "not.pem")
    assert isinstance(await partner.deliver(delivery()), Retry)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"url": "fhir.example.org"}, "no address"),
        ({"url": "ftp://localhost/"}, "no address"),
        ({"url": "http://[localhost/"}, "no address"),
        ({"url": "http://localhost:99999/"}, "no address"),
        ({"url": "https://us:pw@example.org/"}, "user or password"),
        ({"url": "http://fhir.example.org/"}, "accept_plaintext_risk"),
        ({"url": "http://192.168.1.7/", "accept_plaintext_risk": "yes"}, "accept_plaintext_risk"),
        ({"url": "http://localhost.example.org/"}, "accept_plaintext_risk"),
        ({"token": "a", "user": "b"}, "excludes"),
        ({"token": "a\r\nb: c"}, "token"),
        ({"password": "b"}, "needs a user"),
        ({"user": "a:b"}, "colon"),
        ({"headers": {"a b": "c"}}, "a b"),
        ({"headers": {"a": "b\nc"}}, "header"),
        ({"answers": {"4x9": "retry"}}, "4x9"),
        ({"ca": Path("/nowhere.pem"), "url": "https://localhost/"}, "no file"),
        ({"ca": Path("/dev/null")}, "https"),
        ({"key": Path("/dev/null"), "url": "https://localhost/"}, "certificate"),
    ],
)
def test_what_is_wrong_with_the_settings(settings: dict[str, Any], word: str) -> None:
    found = HttpDestination(**{"url": "http://localhost/", **settings}).problems()
    assert any(word in problem for problem in found), found


@pytest.mark.parametrize(
    "url", ["http://localhost:1/", "http://127.8.8.8/", "http://[::1]:8/", "https://example.org"]
)
def test_plaintext_stays_on_the_machine(url: str) -> None:
    partner = HttpDestination(url=url)
    assert (partner.problems(), partner.risks()) == ([], [])


def test_an_accepted_risk_is_listed() -> None:
    risk = "the cable ends in the next rack"
    partner = HttpDestination(url="http://10.0.0.7/", accept_plaintext_risk=risk)
    assert partner.problems() == []
    assert partner.risks() == [f"plaintext HTTP to 10.0.0.7: {risk}"]

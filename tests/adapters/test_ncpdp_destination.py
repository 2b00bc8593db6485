"""SCRIPT as a destination: what each answer of a pharmacy, and each kind of no answer, says of a prescription."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.ncpdp.destination import NcpdpDestination
from engine.message import Delivered, Delivery, Outcome, Rejected, Retry, Unknown
from tests.adapters.certificates import Authority
from tests.adapters.http_peer import Reply, Said, Server, said, server
from tests.adapters.script_text import answer, newrx, text

CANARY = "ZYXWVUTSRQ"
BODY = newrx("THEIRS1", drug=CANARY)
Home = tuple[ssl.SSLContext, Path]  # what the pharmacy listens with, and the authority that vouches for it


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(*authority.issue("localhost"))
    return listening, authority.ca


@asynccontextmanager
async def pharmacy(
    home: Home, reply: Reply, **settings: Any
) -> AsyncIterator[tuple[Server, NcpdpDestination]]:
    async with server(reply, tls=home[0]) as peer:
        made = NcpdpDestination(**{"url": peer.url, "ca": home[1], "timeout": 10.0, **settings})
        assert made.problems() == []
        try:
            yield peer, made
        finally:
            await made.close()


def delivery(body: bytes = BODY, id: int = 17) -> Delivery:
    return Delivery(id, 1, "pharmacy", 1, body)


async def outcome(home: Home, told: Said, body: bytes = BODY, **settings: Any) -> Outcome:
    async with pharmacy(home, lambda request: told, **settings) as (_, made):
        result = await made.deliver(delivery(body))
    assert isinstance(result, Delivered) or CANARY not in str(result.reason)
    return result


def code(result: Outcome) -> str:
    return "" if isinstance(result, Delivered) else result.reason.code


STATUS, ERROR = answer("Status", "S1", "CW17", "010"), answer("Error", "E1", "CW17", "900")
LATER = answer("Error", "E1", "CW17", "600")


@pytest.mark.parametrize(
    ("told", "kind", "why"),
    [
        (said(200, STATUS), Delivered, ""),
        (said(202, STATUS), Delivered, ""),
        (said(200, answer("Verify", "V1", "CW17", "010")), Delivered, ""),
        (said(200, ERROR), Rejected, "script-error"),
        (said(200, ERROR.replace(b"900", CANARY.encode())), Rejected, "script-error"),
        (said(200, LATER), Retry, "script-error"),
        (said(400, ERROR), Rejected, "script-error"),
        (said(500, ERROR), Rejected, "script-error"),
        (said(503, LATER), Retry, "script-error"),
        (said(500, STATUS), Unknown, "http-500"),
        (said(500, answer("Error", "E1", CANARY, "900")), Unknown, "http-500"),
        (said(202), Delivered, ""),
        (said(204), Delivered, ""),
        (said(200), Unknown, "http-200"),
        (said(200, b"\r\n "), Unknown, "http-200"),
        (said(200, CANARY.encode()), Unknown, "unknown-answer"),
        (said(200, STATUS[:-9]), Unknown, "unknown-answer"),
        (said(200, STATUS.replace(b"2017071", b"2023011")), Unknown, "unknown-answer"),
        (said(200, b"<!DOCTYPE a>" + STATUS[STATUS.index(b"<Message") :]), Unknown, "unknown-answer"),
        (said(200, STATUS.replace(b"</Status>", b"</Status><Error><Code>900</Code></Error>")),
         Unknown, "unknown-answer"),
        (said(200, answer("Status", "S1", CANARY, "010")), Unknown, "other-message-id"),
        (said(200, newrx("X1").replace(b"<SentTime>", b"<RelatesToMessageID>CW17</RelatesToMessageID><SentTime>")),
         Unknown, "unknown-answer"),
        (said(404), Rejected, "http-404"),
        (said(503), Retry, "http-503"),
        (Said(close=True), Unknown, "closed"),
        (Said(said(200, STATUS).data[:-20], close=True), Unknown, "closed"),
    ],
)  # fmt: skip
async def test_the_answer_decides(home: Home, told: Said, kind: type[Outcome], why: str) -> None:
    result = await outcome(home, told)
    assert (type(result), code(result)) == (kind, why)


async def test_the_answer_is_kept_for_the_channel_that_waits_for_it(home: Home) -> None:
    assert await outcome(home, said(200, STATUS)) == Delivered(STATUS)
    rejected = await outcome(home, said(200, ERROR))
    assert isinstance(rejected, Rejected)
    assert rejected.reply == ERROR
    assert "900" in rejected.reason.text


async def test_a_partner_that_answers_late_with_200_can_be_told_of(home: Home) -> None:
    assert await outcome(home, said(200), answers={"200": "delivered"}) == Delivered(b"")


async def test_every_attempt_is_the_same_message_under_our_id(home: Home) -> None:
    turn = iter([said(503), Said(close=True), said(200, STATUS)])
    async with pharmacy(home, lambda request: next(turn)) as (peer, made):
        kinds = [type(await made.deliver(delivery())) for _ in range(3)]
    assert kinds == [Retry, Unknown, Delivered]
    assert {request.body for request in peer.got} == {BODY.replace(b">THEIRS1<", b">CW17<")}
    assert text(peer.got[0].body, "SentTime") == "2026-03-01T12:00:00Z"
    assert peer.got[0].headers["content-type"] == "application/xml"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"MSH|^~\\&|", "not-script"),
        (BODY.replace(b"<MessageID>THEIRS1</MessageID>", b""), "no-message-id"),
    ],
)
async def test_what_is_no_script_message_is_never_sent(home: Home, body: bytes, why: str) -> None:
    async with pharmacy(home, lambda request: said(200, STATUS)) as (peer, made):
        result = await made.deliver(delivery(body))
    assert (type(result), code(result)) == (Rejected, why)
    assert peer.got == []


async def test_nothing_was_sent_where_nobody_listens_or_nobody_is_trusted(home: Home, tmp_path: Path) -> None:
    async with pharmacy(home, lambda request: said(200, STATUS)) as (peer, made):
        stranger = NcpdpDestination(url=peer.url, ca=Authority(tmp_path).ca)
        assert isinstance(await stranger.deliver(delivery()), Retry)
        await stranger.close()
        await peer.stop()
        assert isinstance(await made.deliver(delivery()), Retry)
        assert peer.got == []
        await peer.start()
        assert isinstance(await made.deliver(delivery()), Delivered)


async def test_a_silent_pharmacy_leaves_it_unknown(home: Home) -> None:
    result = await outcome(home, Said(), timeout=0.2)
    assert (type(result), code(result)) == (Unknown, "no-answer")

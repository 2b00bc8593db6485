"""SCRIPT as a source: what a sender is answered, in SCRIPT's own way, and what reaches the intake."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from adapters.ncpdp.source import NcpdpSource
from engine.message import Accepted, Duplicate, Receipt, Received, Refused, Unavailable, Uncertain
from store.reason import Reason
from tests.adapters.certificates import Authority
from tests.adapters.http_peer import DEADLINE, Sender
from tests.adapters.script_text import newrx, text
from tests.conformance.intake import MemoryIntake

REASON = Reason("blank-patient-id", "the patient has no identifier", "Body/NewRx/Patient")
BODY = newrx("THEIRS1")
Home = tuple[Path, Path, ssl.SSLContext]  # certificate, key, and the trust in both


class Running:
    """A source that runs behind TLS."""

    def __init__(self, address: str, intake: MemoryIntake, trust: ssl.SSLContext) -> None:
        self.address, self.intake, self._trust = address, intake, trust

    async def connect(self) -> Sender:
        return await Sender.connect(self.address, self._trust)

    async def told(self, body: bytes) -> tuple[int, bytes]:
        """The HTTP status and the SCRIPT message that answer one body."""
        sender = await self.connect()
        answer = await sender.ask(body)
        await sender.leave()
        assert answer.headers["content-type"] == "application/xml"
        return answer.status, answer.body


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    trust = ssl.create_default_context(cafile=str(authority.ca))
    return *authority.issue("localhost"), trust


@asynccontextmanager
async def running(home: Home, *receipts: Receipt, **settings: Any) -> AsyncIterator[Running]:
    """`receipts` are given in turn, the last one for ever."""
    certificate, key, trust = home
    turn = iter(receipts)
    intake = MemoryIntake(lambda received: next(turn, receipts[-1]))
    made = NcpdpSource(
        **{
            "port": 0,
            "path": "/script",
            "account": "HOUSE",
            "certificate": certificate,
            "key": key,
            **settings,
        }
    )
    assert made.problems() == []
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(made.run(intake, address.set_result))
    try:
        yield Running(await asyncio.wait_for(address, DEADLINE), intake, trust)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(DEADLINE):
                await task


@pytest.mark.parametrize(
    ("receipt", "status", "kind", "code"),
    [
        (Accepted(17), 200, "Status", "010"),
        (Duplicate(17), 200, "Status", "010"),
        (Refused(REASON), 200, "Error", "900"),
        (Refused(REASON, unsupported=True), 200, "Error", "900"),
        (Refused(Reason("defect", "the map raised KeyError")), 200, "Error", "602"),
        (Unavailable(Reason("not-stored", "later")), 503, "Error", "600"),
    ],
)
async def test_the_receipt_decides(home: Home, receipt: Receipt, status: int, kind: str, code: str) -> None:
    async with running(home, receipt) as source:
        assert source.address.startswith("https://")
        told, body = await source.told(BODY)
    assert (told, text(body, "Code")) == (status, code)
    assert f"<{kind}>".encode() in body
    assert (text(body, "To"), text(body, "From")) == ("6128890368017", "HOUSE")
    assert text(body, "RelatesToMessageID") == "THEIRS1"
    assert text(body, "SentTime").endswith("Z")
    assert source.intake.received == [Received(BODY, "THEIRS1", "127.0.0.1")]


async def test_an_error_names_the_reason_and_its_place(home: Home) -> None:
    async with running(home, Refused(REASON)) as source:
        _, body = await source.told(BODY)
    described = text(body, "Description")
    assert described == "blank-patient-id at Body/NewRx/Patient: the patient has no identifier"


async def test_the_answer_to_a_resend_is_the_same_message_and_to_a_new_attempt_another(home: Home) -> None:
    async with running(home, Refused(REASON), Accepted(17), Duplicate(17)) as source:
        ids = [text((await source.told(BODY))[1], "MessageID") for _ in range(3)]
        other = text((await source.told(newrx("THEIRS2")))[1], "MessageID")
    assert ids[1] == ids[2]
    assert len({ids[0], ids[1], other}) == 3
    assert all(0 < len(id) <= 35 for id in ids)


async def test_uncertain_closes_the_connection_without_an_answer(home: Home) -> None:
    async with running(home, Uncertain()) as source:
        sender = await source.connect()
        await sender.send(BODY)
        assert await sender.answer() is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (newrx("B1", to="ELSEWHERE"), "not-for-us"),
        (newrx("B1").replace(b">6128890368017<", b">STRANGER<"), "unknown-partner"),
        (newrx(" "), "no-message-id"),
    ],
)
async def test_what_is_not_between_partners_is_refused(home: Home, body: bytes, code: str) -> None:
    rules = {"senders": ("6128890368017",), "receivers": ("HOUSE",)}
    async with running(home, Accepted(1), **rules) as source:
        status, told = await source.told(body)
        assert (status, text(told, "Code")) == (200, "900")
        assert text(told, "Description").startswith(code)
        assert "STRANGER" not in text(told, "Description")
        ((kept, reason),) = source.intake.refused
        assert (kept.body, reason.code) == (body, code)
        assert text((await source.told(BODY))[1], "Code") == "010"


@pytest.mark.parametrize(("size", "status"), [(0, 200), (400, 413)])
async def test_what_is_too_long_is_answered_to_the_header_that_could_be_read(
    home: Home, size: int, status: int
) -> None:
    body = newrx("LONG1", more=f"<Note>{'x' * size * 1000}</Note>")
    async with running(home, Accepted(1), max_body=100_000) as source:
        told, answer = await source.told(body)
    assert told == status
    assert (text(answer, "Code"), text(answer, "RelatesToMessageID")) == ("900" if size else "010", "LONG1")


async def test_another_version_is_answered_to_its_header(home: Home) -> None:
    wrong = Refused(Reason("wrong-version", "only SCRIPT 2017071 is taken here", "Message/@TransportVersion"))
    async with running(home, wrong) as source:
        _, told = await source.told(newrx("V1").replace(b"2017071", b"2023011"))
    assert (text(told, "Code"), text(told, "RelatesToMessageID")) == ("900", "V1")


async def test_a_body_that_breaks_off_is_kept_and_told_so(home: Home) -> None:
    async with running(home, Accepted(1)) as source:
        sender = await source.connect()
        await sender.write(sender.request(BODY[:900], length=len(BODY)))
        await sender.leave()
        await source.intake.came(0, refused=1)
    ((kept, reason),) = source.intake.refused
    assert (kept.body, kept.key, reason.code) == (BODY[:900], "THEIRS1", "truncated")


async def test_a_sender_in_plain_text_is_not_heard(home: Home) -> None:
    async with running(home, Accepted(1)) as source:
        sender = await Sender.connect(source.address)
        await sender.send(BODY)
        assert await sender.answer() is None
    assert source.intake.received == []

"""HTTP as a source: what a sender is answered, and what reaches the intake."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from adapters.http.inbound import HEAD
from adapters.http.source import HttpSource
from engine.message import Accepted, Duplicate, Receipt, Received, Refused, Unavailable, Uncertain
from store.reason import Reason
from tests.adapters.certificates import Authority
from tests.adapters.http_peer import DEADLINE, Sender
from tests.conformance.intake import MemoryIntake

HL7 = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|THEIRS1|P|2.5.1\rPID|1||1\r"


class Running:
    """A source that runs: its address, its intake, and how to stop it."""

    def __init__(self, task: asyncio.Task[None], address: str, intake: MemoryIntake) -> None:
        self.task, self.address, self.intake = task, address, intake

    async def connect(self, tls: ssl.SSLContext | None = None) -> Sender:
        return await Sender.connect(self.address, tls)

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(DEADLINE):
                await self.task


@asynccontextmanager
async def running(*receipts: Receipt | None, **settings: Any) -> AsyncIterator[Running]:
    """`receipts` are given in turn, the last one for ever; None is held back."""
    turn = iter(receipts)
    last = receipts[-1] if receipts else Accepted(1)
    intake = MemoryIntake(lambda received: next(turn, last))
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(HttpSource(**{"port": 0, **settings}).run(intake, address.set_result))
    made = Running(task, await asyncio.wait_for(address, DEADLINE), intake)
    try:
        yield made
    finally:
        await made.stop()


REASON = Reason("missing-segment", "there is no PID", "PID")


@pytest.mark.parametrize(
    ("receipt", "status", "content"),
    [
        (Accepted(17), 202, {"message": 17}),
        (Duplicate(17), 200, {"message": 17, "duplicate": True}),
        (Refused(REASON), 422, {"code": "missing-segment", "text": "there is no PID", "place": "PID"}),
        (
            Refused(REASON, unsupported=True),
            415,
            {"code": "missing-segment", "text": "there is no PID", "place": "PID"},
        ),
        (Unavailable(REASON), 503, {"code": "missing-segment", "text": "there is no PID"}),
    ],
)
async def test_the_receipt_decides(receipt: Receipt, status: int, content: dict[str, Any]) -> None:
    async with running(receipt) as source:
        sender = await source.connect()
        answer = await sender.ask(HL7)
        assert (answer.status, answer.json) == (status, content)
        assert answer.headers.get("retry-after") == ("5" if status == 503 else None)
        assert (await sender.ask(HL7)).status == status  # the connection is kept
        await sender.leave()
    assert source.intake.received == [Received(HL7, "THEIRS1", "127.0.0.1")] * 2


@pytest.mark.parametrize(
    ("reply", "kind"), [(HL7, "application/hl7-v2"), (b'{"a": 1}', "application/fhir+json")]
)
async def test_an_answer_of_the_engine_is_passed_on(reply: bytes, kind: str) -> None:
    async with running(Accepted(17, reply), Duplicate(17, reply)) as source:
        sender = await source.connect()
        for _ in range(2):
            answer = await sender.ask(HL7)
            assert (answer.status, answer.body, answer.headers["content-type"]) == (200, reply, kind)
        await sender.leave()


async def test_uncertain_closes_the_connection_without_an_answer_and_others_go_on() -> None:
    async with running(Uncertain(), Accepted(1)) as source:
        one, two = await source.connect(), await source.connect()
        await one.send(HL7)
        assert await one.answer() is None
        assert (await two.ask(HL7)).status == 202
        await two.leave()


@pytest.mark.parametrize("how", ["error", "cancelled"])
async def test_an_intake_that_breaks_is_uncertain(how: str) -> None:
    async with running(None) as source:
        sender = await source.connect()
        await sender.send(HL7)
        await source.intake.came(1)
        (future,) = source.intake.held
        future.cancel() if how == "cancelled" else future.set_exception(RuntimeError("broken"))
        assert await sender.answer() is None


async def test_there_is_no_answer_before_the_receipt() -> None:
    async with running(None) as source:
        sender = await source.connect()
        await sender.send(HL7)
        await source.intake.came(1)
        assert sender.answers.empty()
        source.intake.release(Accepted(9))
        answer = await sender.told()
        assert answer.json == {"message": 9}
        await sender.leave()


@pytest.mark.parametrize(
    ("body", "headers", "key"),
    [
        (HL7, (), "THEIRS1"),
        (HL7, ("Idempotency-Key: abc",), "abc"),
        (b"\xef\xbb\xbf" + HL7, (), "THEIRS1"),
        (HL7.replace(b"THEIRS1", b"TH\xc9IRS"), (), "TH\xc9IRS"),
        (HL7.replace(b"THEIRS1", b""), (), None),
        (b"MSH", (), None),
        (b'{"resourceType": "Bundle"}', (), None),
        (b'{"resourceType": "Bundle"}', ("Idempotency-Key: abc",), "abc"),
    ],
)  # fmt: skip
async def test_the_key(body: bytes, headers: tuple[str, ...], key: str | None) -> None:
    async with running() as source:
        sender = await source.connect()
        await sender.ask(body, *headers)
        await sender.leave()
    assert [(r.body, r.key) for r in source.intake.received] == [(body, key)]


async def test_a_chunked_and_a_compressed_body_arrive_whole() -> None:
    async with running() as source:
        sender = await source.connect()
        await sender.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (HL7[:5], HL7[5:]):
            await sender.write(b"%x\r\n%b\r\n" % (len(part), part))
        await sender.write(b"0\r\n\r\n")
        assert (await sender.told()).status == 202
        assert (await sender.ask(gzip.compress(HL7), "Content-Encoding: gzip")).status == 202
        await sender.leave()
    assert [received.body for received in source.intake.received] == [HL7, HL7]


async def test_a_sender_that_asks_before_it_sends_is_told_to_go_on() -> None:
    async with running() as source:
        sender = await source.connect()
        request = sender.request(HL7, "Expect: 100-continue")
        await sender.write(request.removesuffix(HL7))
        assert (await sender.told()).status == 100
        await sender.write(HL7)
        assert (await sender.told()).status == 202
        await sender.leave()


@pytest.mark.parametrize("size", [1000, HEAD + 1000])
async def test_a_long_body_is_refused_and_its_head_kept(size: int) -> None:
    body = HL7 + b"x" * size
    async with running(max_body=500) as source:
        sender = await source.connect()
        answer = await sender.ask(body)
        assert (answer.status, answer.json["code"]) == (413, "body-too-long")
        assert (await sender.ask(HL7 + b"x" * (500 - len(HL7)))).status == 202
        await sender.leave()
    ((received, reason),) = source.intake.refused
    assert (received.body, received.key) == (body[:HEAD], "THEIRS1")
    assert str(len(body)) in reason.text


@pytest.mark.parametrize("body", [b"", b" \r\n"])
async def test_an_empty_body_is_refused(body: bytes) -> None:
    async with running() as source:
        sender = await source.connect()
        answer = await sender.ask(body)
        assert (answer.status, answer.json["code"]) == (422, "empty")
        await sender.leave()
    assert source.intake.received == []


@pytest.mark.parametrize("rest", [(), ("Transfer-Encoding: chunked",)])
async def test_a_body_that_breaks_off_is_kept_as_refused(rest: tuple[str, ...]) -> None:
    async with running() as source:
        sender = await source.connect()
        if rest:
            await sender.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            await sender.write(b"%x\r\n%b" % (1000, HL7))
        else:
            await sender.write(sender.request(HL7, length=1000))
        await sender.leave()
        await source.intake.came(0, refused=1)
    ((received, reason),) = source.intake.refused
    assert (received.body, reason.code) == (HL7, "truncated")
    assert source.intake.received == []


@pytest.mark.parametrize("rubbish", [b"zz\r\n", b"5\r\nMSH|"])
async def test_a_body_that_is_badly_framed_is_no_message(rubbish: bytes) -> None:
    async with running() as source:
        sender = await source.connect()
        await sender.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + rubbish + b"^~\\&\r\n"
        )
        await sender.leave()
        after = await source.connect()
        assert (await after.ask(HL7)).status == 202
        await after.leave()
    assert [received.body for received in source.intake.received] == [HL7]


async def test_a_slow_body_is_given_up() -> None:
    async with running(timeout=0.2) as source:
        sender = await source.connect()
        await sender.write(sender.request(HL7, length=1000))
        answer = await sender.told()
        assert (answer.status, answer.json["code"]) == (408, "truncated")
        assert await sender.answer() is None
    assert [received.body for received, _ in source.intake.refused] == [HL7]


async def test_what_is_no_post_to_the_path() -> None:
    async with running(path="/in") as source:
        for path, method, status in (
            ("/", "POST", 404),
            ("/in/", "POST", 404),
            ("/in", "GET", 405),
            ("/in", "PUT", 405),
        ):
            sender = await source.connect()
            sender.path = path
            assert (await sender.ask(HL7, method=method)).status == status
            await sender.leave()
        sender = await source.connect()
        sender.path = "/in?source=1"
        assert (await sender.ask(HL7)).status == 202
        await sender.leave()
    assert len(source.intake.received) == 1


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((), 401),
        (("Authorization: Bearer s3cre",), 401),
        (("Authorization: Bearer s3cret\xe9",), 401),
        (("Authorization: Basic s3cret",), 401),
        (("Authorization: Bearer s3cret",), 202),
    ],
)
async def test_the_token(header: tuple[str, ...], status: int) -> None:
    async with running(token="s3cret") as source:
        sender = await source.connect()
        assert (await sender.ask(HL7, *header)).status == status
        await sender.leave()
    assert len(source.intake.received) == (status == 202)


async def test_stopping_answers_what_is_in_hand_and_takes_nothing_more() -> None:
    async with running(None) as source:
        idle, waiting, sending = [await source.connect() for _ in range(3)]
        await waiting.send(HL7)
        await source.intake.came(1)
        await sending.write(sending.request(HL7, length=1000))
        await idle.ask(HL7, method="GET")
        source.task.cancel()
        answer = await sending.told()
        assert answer.status == 503
        assert await sending.answer() is None
        assert not source.task.done()
        with pytest.raises(ConnectionRefusedError):
            await source.connect()
        source.intake.release(Accepted(5))
        answer = await waiting.told()
        assert answer.json == {"message": 5}
        await source.stop()
    assert len(source.intake.received) == 1
    assert source.intake.refused == []


async def test_many_senders_at_once() -> None:
    async with running() as source:
        senders = [await source.connect() for _ in range(20)]
        await asyncio.gather(*[sender.ask(HL7) for sender in senders for _ in range(5)])
        await asyncio.gather(*[sender.leave() for sender in senders])
    assert len(source.intake.received) == 100


async def test_nothing_of_what_is_sent_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    canary = "ZYXWVUTSRQ"
    wrong = (f"MSH|{canary}", f"GET /{canary} HTTP/9.9", f"POST / HTTP/1.1\r\n{canary}\x00: 1")
    with structlog.testing.capture_logs() as logs, caplog.at_level("DEBUG"):
        async with running(Uncertain()) as source:
            for data in wrong:
                sender = await source.connect()
                await sender.write(f"{data}\r\n\r\n".encode())
                await sender.answer()
                await sender.leave()
            sender = await source.connect()
            await sender.send(f"MSH|{canary}".encode(), f"Idempotency-Key: {canary}")
            assert await sender.answer() is None
    assert [entry["event"] for entry in logs] == ["http.trouble"] * 3 + ["http.uncertain"]
    assert canary not in caplog.text + str(logs)


async def test_tls_and_client_certificates(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    certificate, key = ours.issue("localhost")
    settings = {"certificate": certificate, "key": key, "client_ca": ours.ca}
    async with running(**settings) as source:
        assert source.address.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=ours.ca)
        trusting.load_cert_chain(*ours.issue("analyser"))
        sender = await source.connect(trusting)
        assert (await sender.ask(HL7)).status == 202
        await sender.leave()
        stranger = await source.connect(ssl.create_default_context(cafile=ours.ca))
        with suppress(ConnectionError, ssl.SSLError):
            await stranger.send(HL7)
        assert await stranger.answer() is None
        with suppress(ConnectionError, ssl.SSLError):
            await stranger.leave()
    assert len(source.intake.received) == 1


async def test_a_taken_port_is_an_error() -> None:
    async with running() as source:
        port = int(source.address.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="in use"):
            await HttpSource(port=port).run(source.intake, lambda address: None)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"port": 70000}, "TCP port"),
        ({"path": "in"}, "path"),
        ({"path": "/in?x"}, "path"),
        ({"host": "0.0.0.0"}, "accept_plaintext_risk"),
        ({"host": "hospital.example.org", "accept_plaintext_risk": "ok"}, "accept_plaintext_risk"),
        ({"client_ca": Path("/dev/null")}, "certificate"),
        ({"certificate": Path("/nowhere.pem")}, "no file"),
    ],
)
async def test_what_is_wrong_with_the_settings(settings: dict[str, Any], word: str) -> None:
    source = HttpSource(**{"port": 0, **settings})
    assert any(word in problem for problem in source.problems()), source.problems()
    with pytest.raises(ValueError, match=word):
        await source.run(MemoryIntake(), lambda address: pytest.fail(address))


def test_an_accepted_risk_is_listed() -> None:
    risk = "the cable ends in the next rack"
    source = HttpSource(port=8, host="::", accept_plaintext_risk=risk)
    assert source.problems() == []
    assert source.risks() == [f"plaintext on [::]:8: {risk}"]
    assert HttpSource(port=8, host="::1").risks() == []

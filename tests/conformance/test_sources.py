"""What every source promises, whatever its wire. How an adapter joins: `harness.py`."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from engine.message import Accepted, Duplicate, Received, Refused, Unavailable, Uncertain
from store.reason import Reason
from tests.conformance.harness import Sign, SourceHarness, harnesses
from tests.conformance.intake import DEADLINE, MemoryIntake
from tests.conformance.running import running

pytestmark = pytest.mark.parametrize("harness", harnesses("SOURCES"), ids=lambda harness: harness.name)


def needs(harness: SourceHarness, sign: Sign) -> None:
    if why := harness.cannot.get(sign):
        pytest.skip(f"{harness.name}: {why}")


def arrived(harness: SourceHarness, received: Received) -> bytes:
    """What the sender sent, of what came in: a wire may put it into something of its own."""
    unwrapped = getattr(harness, "arrived", None)
    return unwrapped(received) if unwrapped else received.body


async def test_an_accepted_message_is_answered_yes_and_its_bytes_are_untouched(
    harness: SourceHarness,
) -> None:
    intake = MemoryIntake()
    async with running(harness.source(), intake) as source:
        client = await harness.connect(source.address)
        await client.send(harness.message(1))
        assert (await client.verdict()).said == "accepted"
        await client.leave()
    (received,) = intake.received
    assert arrived(harness, received) == harness.message(1)
    assert received.peer
    assert not intake.refused


async def test_a_duplicate_is_answered_yes(harness: SourceHarness) -> None:
    async with running(harness.source(), MemoryIntake(lambda received: Duplicate(1))) as source:
        client = await harness.connect(source.address)
        await client.send(harness.message(1))
        assert (await client.verdict()).said == "accepted"
        await client.leave()


async def test_the_same_message_has_the_same_key_and_another_has_another(harness: SourceHarness) -> None:
    intake = MemoryIntake()
    async with running(harness.source(), intake) as source:
        client = await harness.connect(source.address)
        for number in (1, 1, 2):
            await client.send(harness.message(number))
            await client.verdict()
        await client.leave()
    first, again, other = (received.key for received in intake.received)
    assert first == again != other
    assert first


async def test_a_refused_message_is_answered_no_with_the_reason(harness: SourceHarness) -> None:
    needs(harness, Sign.NO)
    refused = Refused(Reason("blank-patient-id", "no patient identifier", "PID-3"))
    async with running(harness.source(), MemoryIntake(lambda received: refused)) as source:
        client = await harness.connect(source.address)
        await client.send(harness.message(1))
        verdict = await client.verdict()
        await client.leave()
    assert verdict.said == "refused"
    assert "no patient identifier" in verdict.text


async def test_what_could_not_be_stored_is_not_answered_yes(harness: SourceHarness) -> None:
    needs(harness, Sign.CLOSED)
    answer = Unavailable(Reason("not-stored", "the message could not be stored"))
    async with running(harness.source(), MemoryIntake(lambda received: answer)) as source:
        client = await harness.connect(source.address)
        await client.send(harness.message(1))
        assert (await client.verdict()).said in ("refused", "closed")
        await client.leave()


async def test_an_uncertain_commit_closes_the_connection_without_an_answer(harness: SourceHarness) -> None:
    needs(harness, Sign.CLOSED)
    async with running(harness.source(), MemoryIntake(lambda received: Uncertain())) as source:
        client = await harness.connect(source.address)
        await client.send(harness.message(1))
        assert (await client.verdict()).said == "closed"
        await client.leave()
        other = await harness.connect(source.address)
        await other.leave()


async def test_an_intake_that_fails_closes_the_connection_without_an_answer(harness: SourceHarness) -> None:
    needs(harness, Sign.CLOSED)
    intake = MemoryIntake(lambda received: None)
    async with running(harness.source(), intake) as source:
        client = await harness.connect(source.address)
        await client.send(harness.message(1))
        await intake.came(1)
        intake.held.pop().set_exception(OSError("the machine is broken"))
        assert (await client.verdict()).said == "closed"
        await client.leave()


async def test_there_is_no_answer_before_the_receipt_and_others_do_not_wait(harness: SourceHarness) -> None:
    slow = harness.message(1)
    intake = MemoryIntake(lambda received: None if arrived(harness, received) == slow else Accepted(2))
    async with running(harness.source(), intake) as source:
        waiting, other = await harness.connect(source.address), await harness.connect(source.address)
        await waiting.send(slow)
        await intake.came(1)
        await other.send(harness.message(2))
        assert (await other.verdict()).said == "accepted"
        assert waiting.silent()
        intake.release(Accepted(1))
        assert (await waiting.verdict()).said == "accepted"
        await waiting.leave()
        await other.leave()


async def test_garbage_is_kept_as_refused_and_the_next_message_flows(harness: SourceHarness) -> None:
    intake = MemoryIntake()
    async with running(harness.source(), intake) as source:
        client = await harness.connect(source.address)
        await client.send(harness.garbage)
        assert (await client.verdict()).said == ("accepted" if Sign.NO in harness.cannot else "refused")
        await client.send(harness.message(1))
        assert (await client.verdict()).said == "accepted"
        await client.leave()
    ((received, reason),) = intake.refused
    assert received.body == harness.garbage
    assert reason.code
    assert [arrived(harness, message) for message in intake.received] == [harness.message(1)]


async def test_a_sender_that_breaks_off_harms_nobody_and_what_it_sent_is_kept(harness: SourceHarness) -> None:
    needs(harness, Sign.BROKEN)
    intake = MemoryIntake()
    async with running(harness.source(), intake) as source:
        broken, other = await harness.connect(source.address), await harness.connect(source.address)
        await broken.break_off(harness.message(1)[:50])
        await intake.came(0, refused=1)
        await other.send(harness.message(2))
        assert (await other.verdict()).said == "accepted"
        await other.leave()
    ((received, _),) = intake.refused
    assert received.body == harness.message(1)[:50]
    assert [arrived(harness, message) for message in intake.received] == [harness.message(2)]


async def test_when_cancelled_it_answers_what_is_in_hand(harness: SourceHarness) -> None:
    intake = MemoryIntake(lambda received: None)
    async with running(harness.source(), intake) as source:
        clients = [await harness.connect(source.address) for _ in range(3)]
        for number, client in enumerate(clients):
            await client.send(harness.message(number))
        await intake.came(3)
        source.task.cancel()
        await refuses_connections(harness, source.address)
        assert not source.task.done()
        intake.release(Accepted(1))
        for client in clients:
            assert (await client.verdict()).said == "accepted"
            await client.leave()
        await source.ended()


async def test_when_cancelled_it_takes_nothing_more(harness: SourceHarness) -> None:
    needs(harness, Sign.CLOSED)
    intake = MemoryIntake(lambda received: None)
    async with running(harness.source(), intake) as source:
        client = await harness.connect(source.address)
        await client.send(harness.message(1))
        await intake.came(1)
        source.task.cancel()
        await refuses_connections(harness, source.address)
        with suppress(ConnectionError):
            await client.send(harness.message(2))
        intake.release(Accepted(1))
        assert (await client.verdict()).said == "accepted"
        assert (await client.verdict()).said == "closed"
        await client.leave()
        await source.ended()
    assert [arrived(harness, received) for received in intake.received] == [harness.message(1)]


async def test_when_cancelled_it_does_not_wait_for_those_who_say_nothing(harness: SourceHarness) -> None:
    needs(harness, Sign.CLOSED)
    async with running(harness.source(), MemoryIntake()) as source:
        client = await harness.connect(source.address)
        source.task.cancel()
        assert (await client.verdict()).said == "closed"
        await client.leave()
        await source.ended()


async def test_it_can_be_run_again(harness: SourceHarness) -> None:
    for _ in range(2):
        async with running(harness.source(), MemoryIntake()) as source:
            client = await harness.connect(source.address)
            await client.send(harness.message(1))
            assert (await client.verdict()).said == "accepted"
            await client.leave()


async def refuses_connections(harness: SourceHarness, address: str) -> None:
    if Sign.CLOSED in harness.cannot:
        return
    async with asyncio.timeout(DEADLINE):
        with suppress(ConnectionError):
            while True:
                await (await harness.connect(address)).leave()
                await asyncio.sleep(0)

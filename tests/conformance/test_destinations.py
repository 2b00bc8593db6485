"""What every destination promises, whatever its wire. How an adapter joins: `harness.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.message import Delivered, Delivery, Outcome, Rejected, Retry, Unknown
from engine.plugin import Destination
from tests.conformance.harness import CANARY, Behaviour, DestinationHarness, Partner, harnesses
from tests.conformance.intake import DEADLINE

pytestmark = pytest.mark.parametrize("harness", harnesses("DESTINATIONS"), ids=lambda harness: harness.name)

PATIENT = 5.0
HASTY = 0.2


def needs(harness: DestinationHarness, *behaviours: Behaviour) -> None:
    for behaviour in behaviours:
        if why := harness.cannot.get(behaviour):
            pytest.skip(f"{harness.name}: {why}")


def delivery(harness: DestinationHarness, id: int) -> Delivery:
    return Delivery(id=id, message=id, destination="partner", lane=1, body=harness.payload(id))


@asynccontextmanager
async def delivering(
    harness: DestinationHarness, directory: Path, behaviour: Behaviour, within: float = PATIENT
) -> AsyncIterator[tuple[Partner, Destination]]:
    async with harness.partner(directory) as partner:
        partner.behaviour = behaviour
        destination = partner.destination(within)
        try:
            yield partner, destination
        finally:
            await destination.close()


async def outcome(destination: Destination, what: Delivery) -> Outcome:
    async with asyncio.timeout(DEADLINE):
        return await destination.deliver(what)


def says_nothing(outcome: Outcome) -> bool:
    """No content gets from a payload or an answer into the reason."""
    assert not isinstance(outcome, Delivered)
    return CANARY not in str(outcome.reason) and bool(outcome.reason.code and outcome.reason.text)


async def test_what_is_accepted_is_delivered(harness: DestinationHarness, tmp_path: Path) -> None:
    async with delivering(harness, tmp_path, Behaviour.ACCEPT) as (partner, destination):
        assert isinstance(await outcome(destination, delivery(harness, 1)), Delivered)
        await partner.arrived(1)
        ((_, body),) = partner.got
    assert CANARY.encode() in body


async def test_each_delivery_goes_out_under_its_own_id(harness: DestinationHarness, tmp_path: Path) -> None:
    async with delivering(harness, tmp_path, Behaviour.ACCEPT) as (partner, destination):
        sent = [delivery(harness, id) for id in (1, 2, 30)]
        for what in sent:
            await outcome(destination, what)
        await partner.arrived(3)
        for (id, _), what in zip(partner.got, sent, strict=True):
            assert what.control in id


async def test_content_that_is_refused_is_rejected(harness: DestinationHarness, tmp_path: Path) -> None:
    needs(harness, Behaviour.REJECT)
    async with delivering(harness, tmp_path, Behaviour.REJECT) as (_, destination):
        result = await outcome(destination, delivery(harness, 1))
    assert isinstance(result, Rejected)
    assert says_nothing(result)


async def test_what_is_refused_for_now_is_to_be_tried_again(
    harness: DestinationHarness, tmp_path: Path
) -> None:
    needs(harness, Behaviour.LATER)
    async with delivering(harness, tmp_path, Behaviour.LATER) as (_, destination):
        result = await outcome(destination, delivery(harness, 1))
    assert isinstance(result, Retry)
    assert says_nothing(result)


async def test_a_partner_that_is_down_has_provably_not_accepted(
    harness: DestinationHarness, tmp_path: Path
) -> None:
    needs(harness, Behaviour.DOWN)
    async with delivering(harness, tmp_path, Behaviour.ACCEPT) as (partner, destination):
        await partner.down()
        result = await outcome(destination, delivery(harness, 1))
    assert isinstance(result, Retry)
    assert says_nothing(result)


@pytest.mark.parametrize(
    "behaviour", [Behaviour.CLOSE, Behaviour.HALF, Behaviour.SILENT, Behaviour.GARBAGE, Behaviour.OTHER]
)
async def test_without_a_usable_answer_the_outcome_is_unknown_and_the_next_is_delivered(
    harness: DestinationHarness, tmp_path: Path, behaviour: Behaviour
) -> None:
    needs(harness, behaviour)
    within = HASTY if behaviour is Behaviour.SILENT else PATIENT
    async with delivering(harness, tmp_path, behaviour, within) as (partner, destination):
        result = await outcome(destination, delivery(harness, 1))
        assert isinstance(result, Unknown)
        assert says_nothing(result)
        partner.behaviour = Behaviour.ACCEPT
        assert isinstance(await outcome(destination, delivery(harness, 2)), Delivered)


async def test_when_the_partner_is_back_so_are_deliveries(
    harness: DestinationHarness, tmp_path: Path
) -> None:
    needs(harness, Behaviour.DOWN)
    async with delivering(harness, tmp_path, Behaviour.ACCEPT) as (partner, destination):
        assert isinstance(await outcome(destination, delivery(harness, 1)), Delivered)
        await partner.down()
        assert isinstance(await outcome(destination, delivery(harness, 2)), (Retry, Unknown))
        await partner.up()
        assert isinstance(await outcome(destination, delivery(harness, 2)), Delivered)


@pytest.mark.parametrize("behaviour", [Behaviour.LATER, Behaviour.CLOSE])
async def test_another_attempt_goes_out_under_the_same_id(
    harness: DestinationHarness, tmp_path: Path, behaviour: Behaviour
) -> None:
    needs(harness, behaviour)
    async with delivering(harness, tmp_path, behaviour) as (partner, destination):
        await outcome(destination, delivery(harness, 7))
        partner.behaviour = Behaviour.ACCEPT
        assert isinstance(await outcome(destination, delivery(harness, 7)), Delivered)
        first, again = partner.got
    assert first == again


async def test_deliveries_at_the_same_time_each_have_their_own_outcome(
    harness: DestinationHarness, tmp_path: Path
) -> None:
    async with delivering(harness, tmp_path, Behaviour.ACCEPT) as (partner, destination):
        results = await asyncio.gather(*(outcome(destination, delivery(harness, id)) for id in range(8)))
        assert all(isinstance(result, Delivered) for result in results)
        await partner.arrived(8)
        assert {body for _, body in partner.got if CANARY.encode() in body} == {
            body for _, body in partner.got
        }
        assert len({id for id, _ in partner.got}) == 8


async def test_deliveries_at_the_same_time_do_not_wait_for_each_other(
    harness: DestinationHarness, tmp_path: Path
) -> None:
    needs(harness, Behaviour.TOGETHER)
    async with delivering(harness, tmp_path, Behaviour.TOGETHER) as (_, destination):
        results = await asyncio.gather(*(outcome(destination, delivery(harness, id)) for id in (1, 2)))
    assert [type(result) for result in results] == [Delivered, Delivered]


async def test_a_delivery_that_is_cancelled_does_not_confuse_the_next(
    harness: DestinationHarness, tmp_path: Path
) -> None:
    needs(harness, Behaviour.SILENT)
    async with delivering(harness, tmp_path, Behaviour.SILENT) as (partner, destination):
        task = asyncio.create_task(destination.deliver(delivery(harness, 1)))
        await partner.arrived(1)
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE)
        assert task.cancelled()
        partner.behaviour = Behaviour.ACCEPT
        assert isinstance(await outcome(destination, delivery(harness, 2)), Delivered)


async def test_it_can_be_closed_before_and_after_use(harness: DestinationHarness, tmp_path: Path) -> None:
    async with delivering(harness, tmp_path, Behaviour.ACCEPT) as (_, destination):
        await destination.close()
        assert isinstance(await outcome(destination, delivery(harness, 1)), Delivered)
        await destination.close()
        await destination.close()

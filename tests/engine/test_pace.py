"""The pace at one destination: how many in a second, and when it is left in peace. Times are seconds of any clock."""

from __future__ import annotations

import pytest

from engine.channel import Breaker, Partner, RetryPolicy
from engine.message import Delivered, Outcome, Rejected, Retry, Unknown
from engine.runtime.pace import NEVER, Pace
from store.reason import Reason

WHY = Reason("down", "it is down")
FAILED = Retry(WHY)


def pace(rate: float | None = None, after: int = 3, pause: float | None = 10.0, most: float = 60.0) -> Pace:
    return Pace(Partner("p", None, RetryPolicy(1.0, most), rate=rate, breaker=Breaker(after, pause)))  # type: ignore[arg-type]


def tries(made: Pace, outcome: Outcome | None, now: float, times: int = 1) -> None:
    for _ in range(times):
        assert made.wait(now) == 0
        made.tell(outcome, now)


def test_it_opens_after_so_many_failures_in_a_row_and_one_tries_after_the_pause() -> None:
    made = pace()
    tries(made, FAILED, 0.0, 3)
    assert made.open
    assert made.wait(4.0) == pytest.approx(6.0)
    assert made.wait(10.0) == 0
    assert made.wait(10.0) == NEVER, "while one tries, no other does"
    made.tell(Unknown(WHY), 12.0)
    assert made.wait(12.0) == pytest.approx(10.0), "it failed too"
    tries(made, Delivered(), 22.0)
    assert not made.open
    assert (made.wait(22.0), made.wait(22.0)) == (0, 0)


@pytest.mark.parametrize("between", [Delivered(), Rejected(WHY)])
def test_an_answer_in_between_keeps_it_closed(between: Outcome) -> None:
    """A rejection is about the content: the partner is well."""
    made = pace()
    for _ in range(5):
        tries(made, FAILED, 0.0, 2)
        tries(made, between, 0.0)
    assert not made.open


def test_an_attempt_that_was_none_lets_another_try() -> None:
    made = pace()
    tries(made, FAILED, 0.0, 3)
    tries(made, None, 10.0)
    assert made.open
    assert made.wait(10.0) == 0


def test_the_pause_is_no_longer_than_the_longest_retry() -> None:
    made = pace(pause=None, most=2.0)
    tries(made, FAILED, 0.0, 3)
    assert made.wait(0.0) == pytest.approx(2.0)


def test_no_more_than_so_many_a_second_and_nothing_saved_up() -> None:
    made = pace(rate=4.0)
    assert made.wait(100.0) == 0
    assert made.wait(100.0) == pytest.approx(0.25)
    assert made.wait(100.25) == 0
    assert made.wait(200.0) == 0, "after a long rest"
    assert made.wait(200.0) > 0, "there is no burst"


def test_what_was_not_attempted_does_not_count() -> None:
    made = pace(rate=1.0)
    tries(made, None, 100.0, 50)
    assert made.wait(100.0) == 0
    assert made.wait(100.0) == pytest.approx(1.0)

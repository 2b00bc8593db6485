"""The rules of the alerts by themselves: limits, what counts, a clock that steps back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alerts import record
from engine.alerts.rules import HOUR, Condition, Ended, Rule, Seen, Usual, conditions, expectation
from engine.alerts.settings import AlertsFile, Errors, Learned
from engine.journal.queues import Queue
from engine.runtime.clock import uncertainty
from store.database.sqlite import create

NOW = 1_800_000_000_000_000
SECOND = 1_000_000


def found(settings: AlertsFile, **seen: object) -> list[tuple[Rule, str]]:
    return [(c.rule, c.subject) for c in conditions(settings, Seen(NOW, **seen))]  # type: ignore[arg-type]


@given(silence=st.integers(-10_000, 10_000))
def test_silent_is_who_says_nothing_for_longer_than_the_limit(silence: int) -> None:
    settings = AlertsFile(silent={"lab": 900.0})
    heard = {"lab": NOW - silence * SECOND}
    assert found(settings, heard=heard) == ([(Rule.SILENT, "channel lab")] if silence > 900 else [])


ENDS = [(20, 5, False), (20, 6, True), (19, 19, False), (100, 25, False)]


@pytest.mark.parametrize(("messages", "bad", "told"), ENDS)
def test_errors_count_by_share_and_only_of_enough(messages: int, bad: int, told: bool) -> None:
    settings = AlertsFile(errors=Errors(share=0.25, least=20))
    assert found(settings, ended={"lab": Ended(messages, bad)}) == (
        [(Rule.ERRORS, "channel lab")] if told else []
    )


def test_queues_by_age_and_depth() -> None:
    settings = AlertsFile(queue_age=60.0, queue_depth=10)
    old, deep, fine = Queue(1, NOW - 61 * SECOND), Queue(11, NOW), Queue(10, NOW - 59 * SECOND)
    assert found(settings, inbox={"lab": old, "adt": fine}, queued={"pager": deep}) == [
        (Rule.QUEUE_AGE, "channel lab"),
        (Rule.QUEUE_DEPTH, "destination pager"),
    ]


def test_a_clock_that_steps_back_neither_storms_nor_keeps_one_open_for_ever(tmp_path: Path) -> None:
    database, settings = create(tmp_path / "c.db"), AlertsFile(calm=60.0)
    condition = Condition(Rule.DISK, "disk", "full")

    def at(seconds: int, *holds: Condition) -> list[str]:
        database.begin()
        changed = record.update(database, settings, holds, [], NOW + seconds * SECOND)
        database.commit()
        return [what for what, _ in changed]

    assert at(0, condition) == ["OPENED"]
    assert at(10, condition) == []
    assert at(-86_400, condition) == [], "a day back: it is the same alert"
    assert at(-86_390) == []
    assert at(-86_330) == ["CLOSED"], "a minute later, by the clock as it is now"
    assert at(-86_320, condition) == ["OPENED"]
    database.close()


def test_one_that_comes_and_goes_within_the_calm_is_one(tmp_path: Path) -> None:
    database, settings = create(tmp_path / "c.db"), AlertsFile(calm=60.0)
    told = []
    database.begin()
    for second in range(0, 600, 10):
        holds = [Condition(Rule.DISK, "disk", "full")] if second % 20 else []
        told += record.update(database, settings, holds, [], NOW + second * SECOND)
    database.commit()
    assert [what for what, _ in told] == ["OPENED"]
    database.close()


WEEK = 168 * HOUR
BUSY = {
    slot: 4 * 600.0 for slot in range(168) if 7 <= slot % 24 < 19
}  # 600 an hour by day, nothing by night, 4 weeks


def learned(heard: int, now: int, weeks: float = 4.0, **more: Any) -> list[tuple[str, str]]:
    settings = AlertsFile(learned=Learned(), **more)
    seen = Seen(now, heard={"lab": heard}, usual={"lab": Usual(weeks, BUSY)})
    return [(c.rule, c.subject) for c in conditions(settings, seen)]


def at(day: int, hour: int, minute: int = 0) -> int:
    """A time of some week, in microseconds since the epoch."""
    return 2900 * WEEK + (day * 24 + hour) * HOUR + minute * HOUR // 60


def test_silence_is_learned_by_the_hour_of_the_week() -> None:
    silent = [("silent", "channel lab")]
    assert learned(at(1, 10), at(1, 10, 9)) == [], "never before ten minutes"
    assert learned(at(1, 10), at(1, 10, 11)) == silent
    assert learned(at(1, 19), at(2, 6, 59)) == [], "by night nothing comes"
    assert learned(at(1, 19), at(2, 7, 0)) == []
    assert learned(at(1, 19), at(2, 7, 2)) == silent, "20 would have come since seven"
    assert learned(at(1, 10), at(1, 11), weeks=1.9) == [], "two weeks are the least"
    assert learned(at(1, 10), at(1, 11), silent={"lab": 7200.0}) == [], "a limit of its own"
    assert learned(at(1, 10), at(5, 10)) == silent


def test_what_is_usual_is_counted_hour_by_hour(tmp_path: Path) -> None:
    connection = create(tmp_path / "chartwire.db")
    now = at(3, 12) // HOUR
    connection.begin()
    for week in (1, 2, 3):
        for _ in range(2):
            record.count(connection, {"lab": 5 * week}, now - 168 * week)
    record.count(connection, {"lab": 999}, now)
    found = record.usual(connection, now, 4)
    assert found == {"lab": Usual(3.0, {now % 168: 60.0})}
    assert expectation(found["lab"], now * HOUR, (now + 1) * HOUR) == 20.0
    record.forget_usual(connection, now + 53 * 168)
    assert record.usual(connection, now, 4) == {}
    connection.rollback()


@pytest.mark.parametrize(
    ("clock", "told"),
    [(None, "nobody keeps the clock"), (2.5, "may be wrong by 2.5 s"), (0.5, None), (0.0, None)],
)
def test_a_clock_that_may_be_wrong(clock: float | None, told: str | None) -> None:
    found = [c.text for c in conditions(AlertsFile(clock=1.0), Seen(NOW, clock=clock))]
    assert [text for text in found if told and told in text] == found
    assert bool(found) == (told is not None)
    assert list(conditions(AlertsFile(), Seen(NOW, clock=clock))) == []


def test_the_kernel_says_how_well_the_clock_is_kept() -> None:
    found = uncertainty()
    assert found is None or 0 <= found < 3600


def test_slow_is_who_answers_later_than_the_limit_of_its_kind() -> None:
    settings = AlertsFile(ack_latency=0.25)
    seen = {"channel lab": 0.3, "channel adt": 0.2, "destination pager": 9.0}
    assert found(settings, latency=seen) == [(Rule.LATENCY, "channel lab")]
    assert found(AlertsFile(answer_latency=5.0), latency=seen) == [(Rule.LATENCY, "destination pager")]
    assert found(AlertsFile(), latency=seen) == []


def test_what_is_slow_is_what_most_of_enough_answers_say_lately(tmp_path: Path) -> None:
    database = create(tmp_path / "c.db")
    database.begin()
    record.slow(database, "one", {"channel lab": (0.5, 100), "channel adt": (9.0, 19)}, NOW)
    record.slow(database, "two", {"channel lab": (0.7, 20)}, NOW)
    assert record.latency(database, NOW) == {"channel lab": 0.7}
    assert record.latency(database, NOW + 301 * SECOND) == {}
    database.commit()
    database.close()

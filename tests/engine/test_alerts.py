"""The rules of the alerts by themselves: limits, what counts, a clock that steps back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alerts import record
from engine.alerts.rules import Condition, Ended, Rule, Seen, conditions
from engine.alerts.settings import AlertsFile, Errors
from engine.journal.queues import Queue
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

"""Hand-made facts, made ready for the chart as the pipeline does."""

from __future__ import annotations

from collections.abc import Iterable

from store.facts import Fact, Link
from store.prepared import Prepared, prepare
from store.reason import Reason


def ready(said: Iterable[Fact | Link]) -> tuple[Prepared | Link, ...]:
    return tuple(each if isinstance(each, Link) else _prepared(each) for each in said)


def _prepared(fact: Fact) -> Prepared:
    made = prepare(fact)
    assert not isinstance(made, Reason), made
    return made

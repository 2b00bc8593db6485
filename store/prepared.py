"""A fact made ready for the chart: validated, encoded, and folded by itself, without looking at the chart.

Pure, so it can be done on another core; what is left for the one writer is to insert rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from formats import fhir
from store import search
from store.facts import Clock, Fact
from store.fold import DERIVED, overlay
from store.reason import Reason


class Prepared(NamedTuple):
    """`elements` is the fact in JSON. `body`, `tokens`, `low` and `high` are the resource and its index rows
    while this fact is all that is said; `body` is None if the fact does not establish the resource."""

    type: str
    key: bytes
    clock: Clock
    patient: bytes | None
    event: str
    cancels: str
    establishes: bool
    elements: bytes
    body: bytes | None
    tokens: tuple[search.Token, ...]
    low: int | None
    high: int | None

    def read(self) -> dict[str, Any]:
        """The fact's elements."""
        elements: dict[str, Any] = fhir.decode(self.elements)
        return elements


def prepare(fact: Fact) -> Prepared | Reason:
    """Each fact must be valid by itself, so that the fold cannot make an invalid resource of valid facts."""
    said = {name: value for name, value in fact.elements.items() if (fact.type, name) not in DERIVED}
    alone = overlay(fact.type, {}, said)
    if found := fhir.problems(fact.type, alone, partial=not fact.establishes):
        return Reason("invalid-resource", found[0].text, found[0].path)
    about = (fact.type, fact.key, fact.clock, fact.patient, fact.event, fact.cancels, fact.establishes)
    elements = fhir.encode(said)
    if not fact.establishes:
        return Prepared(*about, elements, None, (), None, None)
    body, tokens = fhir.encode(alone), tuple(search.tokens(fact.type, alone))
    return Prepared(*about, elements, body, tokens, *search.period(alone))

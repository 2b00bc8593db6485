"""The transform `x12_to_fhir`: what one claim (837P) or one remittance (835) says of the chart."""

from __future__ import annotations

from collections.abc import Sequence

from engine.message import State, Stop
from engine.plugin import Feed, transform
from engine.standards.x12 import made_at
from formats import x12
from store.facts import Belongs, Clock, Fact, Link
from store.reason import Reason
from transforms.x12_to_fhir.claim import claim_facts
from transforms.x12_to_fhir.remittance import remittance_facts


@transform("x12_to_fhir")
def x12_to_fhir(message: x12.Message, feed: Feed) -> Sequence[Fact | Link | Belongs] | Stop | None:
    """A professional claim, or a remittance, as facts; None: no map says what its type means.

    What cannot be read, does not balance or names no patient ends QUARANTINED.
    """
    maps = {"837P": claim_facts, "835": remittance_facts}
    found = maps.get(message.kind)
    if found is None:
        return None
    time = made_at(message, feed)
    if isinstance(time, Reason):
        return Stop(State.QUARANTINED, time)
    clock = Clock(time.micros, sent=time.micros, rank=feed.rank)
    said = found(message, feed, clock, time.text)
    return Stop(State.QUARANTINED, said) if isinstance(said, Reason) else said

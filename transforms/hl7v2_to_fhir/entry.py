"""The transform `hl7v2_to_fhir`: what one HL7 v2 message says of the chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from engine.message import State, Stop
from engine.plugin import Feed, transform
from formats import hl7v2
from store.facts import Fact, Link
from store.reason import Reason
from transforms.hl7v2_to_fhir.merge import merge
from transforms.hl7v2_to_fhir.plan import Plan, plan
from transforms.hl7v2_to_fhir.results import results
from transforms.hl7v2_to_fhir.visit import visit


@transform("hl7v2_to_fhir")
def hl7v2_to_fhir(
    message: hl7v2.Message,
    feed: Feed,
    *,
    new_patients: Annotated[bool, "may a result bring an unknown patient into the chart?"] = False,
) -> Sequence[Fact | Link] | Stop | None:
    """What an ADT or ORU message says, as facts and links; None: no map says what its type means.

    A message whose patient, time, dates or required fields cannot be read ends QUARANTINED.
    """
    found = plan(_kind(message))
    if found is None:
        return None
    try:
        said = _said(found, message, feed, new_patients)
    except hl7v2.Undecodable:
        text = "a byte that the message's character set does not have"
        return Stop(State.QUARANTINED, Reason("undecodable", text, message.undecodable() or ""))
    return said if isinstance(said, Stop) else _once(said)


def _once(said: Sequence[Fact | Link]) -> list[Fact | Link]:
    """A message says one thing of a resource: of two groups about one patient the first counts."""
    seen: set[bytes] = set()
    kept: list[Fact | Link] = []
    for fact in said:
        if isinstance(fact, Link) or fact.key not in seen:
            kept.append(fact)
        if isinstance(fact, Fact):
            seen.add(fact.key)
    return kept


def _said(found: Plan, message: hl7v2.Message, feed: Feed, new: bool) -> Sequence[Fact | Link] | Stop:
    match found.event.does:
        case "visit":
            return visit(found, message, feed)
        case "merge":
            return merge(found, message, feed)
        case _:
            return results(found, message, feed, new_patients=new)


def _kind(message: hl7v2.Message) -> str:
    """MSH-9; where it has no trigger event (up to HL7 v2.2 it need not), EVN-1 names it."""
    kind = message.kind
    event = "" if "^" in kind else message.get("EVN-1")
    return f"{kind}^{event}" if event else kind

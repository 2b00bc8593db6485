"""835 (005010X221A1): one payment as PaymentReconciliation, with what it pays of each claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from engine.plugin import Feed
from formats import x12
from store.facts import Clock, Fact
from store.reason import Reason
from transforms.x12_to_fhir.loops import Loop, first
from transforms.x12_to_fhir.parties import reference_to
from transforms.x12_to_fhir.values import (
    CURRENCY,
    EIN,
    NPI,
    Json,
    Wrong,
    address,
    assigned_by,
    coded,
    date,
    filled,
    identifier,
    money,
    number,
)

_TYPE = "http://terminology.hl7.org/CodeSystem/payment-type"
_REVERSAL = "22"
_ENDS = frozenset(("LX", "CLP", "PLB", "SE"))


@dataclass(frozen=True, slots=True)
class Paid:
    """One CLP with what is below it."""

    clp: x12.Segment
    below: Loop


def remittance_facts(message: x12.Message, feed: Feed, clock: Clock, created: str) -> list[Fact] | Reason:
    """What one 835 says; or why it cannot be trusted: it must balance to the cent (section 1.10.2)."""
    try:
        return _said(message, feed, clock, created)
    except Wrong as wrong:
        return wrong.reason


def _said(message: x12.Message, feed: Feed, clock: Clock, created: str) -> list[Fact] | Reason:
    bpr, trn = message.first("BPR"), message.first("TRN")
    if bpr is None or trn is None or not trn.get(2).strip():
        return Reason("no-payment", "the remittance lacks BPR, or the trace number of its payment", "TRN-2")
    paid = list(_paid(message))
    if unbalanced := _unbalanced(bpr, paid, message.all("PLB")):
        return unbalanced
    hearsay = clock._replace(weight=0)
    payer = _organization(message, "PR", feed, hearsay)
    payee = _organization(message, "PE", feed, hearsay)
    currency = message.get("CUR", 2) or CURRENCY
    trace = trn.get(2).strip()
    system = assigned_by(feed, (trn.get(3).strip(), message.get("N1", 2)))
    elements: Json = {
        "identifier": [identifier(system, trace)],
        "status": "active",
        "created": created,
        "paymentIssuer": reference_to(payer) if payer else None,
        "requestor": reference_to(payee) if payee else None,
        "outcome": "complete",
        "paymentDate": date(bpr.get(16).strip(), bpr.place(16)) or created[:10],
        "paymentAmount": money(number(bpr, 2), currency),
        "paymentIdentifier": identifier(system, trace),
        "detail": [*(_detail(p, currency) for p in paid), *_adjustments(message.all("PLB"), currency)],
    }
    key = feed.identity.key("PaymentReconciliation", system or feed.name, trace)
    said = [fact for fact in (payer, payee) if fact]
    return [*said, Fact("PaymentReconciliation", key, clock, filled(elements))]


def _paid(message: x12.Message) -> Iterator[Paid]:
    segments = message.segments
    starts = [n for n, segment in enumerate(segments) if segment.name == "CLP"]
    for start in starts:
        after = range(start + 1, len(segments))
        end = next((n for n in after if segments[n].name in _ENDS), len(segments))
        yield Paid(segments[start], segments[start + 1 : end])


def _unbalanced(bpr: x12.Segment, paid: Sequence[Paid], plbs: Sequence[x12.Segment]) -> Reason | None:
    for each in paid:
        if reason := _unbalanced_claim(each):
            return reason
    claims = sum((number(p.clp, 4) for p in paid), Decimal(0))
    adjusted = sum((number(plb, n) for plb in plbs for n in _amounts(plb, 4, 2)), Decimal(0))
    return _off(number(bpr, 2) - (claims - adjusted), "the payment", "BPR-2")


def _unbalanced_claim(paid: Paid) -> Reason | None:
    """Charge less adjustments is payment: of each service that is given, then of the claim."""
    services = _services(paid.below)
    for svc, below in services:
        off = number(svc, 2) - _adjusted(below) - number(svc, 3)
        if reason := _off(off, "the charge of a service less its adjustments", svc.place(3)):
            return reason
    off = number(paid.clp, 3) - _adjusted(paid.below) - number(paid.clp, 4)
    return _off(off, "the charge of a claim less its adjustments", paid.clp.place(4))


def _off(difference: Decimal, what: str, place: str) -> Reason | None:
    if not difference:
        return None
    text = f"{what} is {abs(difference):f} {'more' if difference > 0 else 'less'} than it must be"
    return Reason("unbalanced", text, place)


def _services(below: Loop) -> list[tuple[x12.Segment, Loop]]:
    starts = [n for n, segment in enumerate(below) if segment.name == "SVC"]
    return [(below[start], below[start + 1 : end]) for start, end in pairwise([*starts, len(below)])]


def _adjusted(below: Loop) -> Decimal:
    """The sum of CAS03, 06, 09, 12, 15, 18."""
    cas = (segment for segment in below if segment.name == "CAS")
    return sum((number(segment, n) for segment in cas for n in _amounts(segment, 3, 3)), Decimal(0))


def _amounts(segment: x12.Segment, start: int, step: int) -> range:
    return range(start, len(segment.elements), step)


def _detail(paid: Paid, currency: str) -> Json:
    """CLP01 is our number of the claim, CLP07 the payer's, CLP02 how it was processed."""
    clp = paid.clp
    reversal = clp.get(2) == _REVERSAL
    kind = coded(_TYPE, "adjustment" if reversal else "payment")
    when = first(paid.below, "DTM", "050")
    return filled(
        {
            "identifier": identifier(None, clp.get(7).strip()) if clp.get(7).strip() else None,
            "type": {**kind, "text": f"CLP02 {clp.get(2)}"},
            "request": {"type": "Claim", "identifier": identifier(None, clp.get(1).strip())},
            "date": date(when.get(2).strip(), when.place(2)) if when else None,
            "amount": money(number(clp, 4), currency),
        }
    )


def _adjustments(plbs: Sequence[x12.Segment], currency: str) -> Iterator[Json]:
    """PLB: what is not of one claim. It lowers the payment, so its sign turns."""
    for plb in plbs:
        for n in _amounts(plb, 4, 2):
            if plb.get(n).strip():
                reason, own = plb.get(n - 1, 1), plb.get(n - 1, 2).strip()
                kind = {**coded(_TYPE, "adjustment"), "text": f"PLB {reason}"}
                amount = money(-number(plb, n), currency)
                yield filled(
                    {"identifier": identifier(None, own) if own else None, "type": kind, "amount": amount}
                )


def _organization(message: x12.Message, entity: str, feed: Feed, clock: Clock) -> Fact | None:
    """1000A the payer, 1000B the payee: known by N104 (XX is an NPI, FI a tax number, XV a plan id), else by name."""
    segments = message.segments
    start = next((n for n, s in enumerate(segments) if s.name == "N1" and s.get(1) == entity), None)
    if start is None:
        return None
    n1, loop = segments[start], segments[start : start + 3]
    name, code, own = n1.get(2).strip(), n1.get(3), n1.get(4).strip()
    system = {"XX": NPI, "FI": EIN}.get(code) or assigned_by(feed, ("payer",))
    if not own and not name:
        return None
    key = feed.identity.key("Organization", (system or "") if own else feed.name, own or name)
    ids = [identifier(system, own)] if own else []
    elements: Json = {"identifier": ids, "name": name, "address": [a] if (a := address(loop)) else []}
    return Fact("Organization", key, clock, filled(elements))

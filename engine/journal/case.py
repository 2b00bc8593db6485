"""A case: everything on the wires about one patient or one order, on one timeline. Reads only, and bounded ones.

What came in, what the chart told, what went out and how that ended, which answers came or are overdue, and who asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import Literal, NamedTuple

import msgspec

from engine.journal import inquiry
from engine.journal.inquiry import Expectation, Standing
from engine.message import Delivery
from formats import fhir
from store.database import Connection, one
from store.database.statements import load
from store.identity import Identity, fhir_id, key_of, normalised
from store.resource import instant

SQL = load("engine.journal", "case.sql")
MOST = 1000
"""Events of one case, and messages; of longer ones the newest."""
NAMED = 50
"""Resources that one number is looked for in."""
Direction = Literal["in", "out", "chart", "query"]
Resource = tuple[int, str, bytes]  # its row, type and key


class Event(NamedTuple):
    """One thing on a wire. `at` in microseconds since the epoch; `who` is a channel or a destination; `what` its kind
    or route; `number` of the message, or of the delivery where it went `out`; a query has none."""

    at: int
    direction: Direction
    who: str
    what: str
    state: str
    number: int | None
    note: str = ""


class Case(NamedTuple):
    """Oldest first; `more`: there are older ones."""

    events: list[Event]
    more: bool


def case(connection: Connection, identity: Identity, of: str, now: int) -> Case | None:
    """The case of a patient (NUMBER, AUTHORITY|NUMBER, Patient/ID), or else of an order (any NUMBER that a resource
    goes by, AUTHORITY|NUMBER, Type/ID). None: nobody and nothing here is called so."""
    patients = set(_patients(connection, identity, of))
    resources = list(_resources(connection, identity, of, patients))
    if not patients and not resources:
        return None
    found = set(_messages(connection, patients, resources))
    shown = _related(connection, nlargest(MOST, found))
    events = [event for message in shown for event in _of_message(connection, identity, message, now)]
    events += [_asked(*row) for key in patients for row in connection.all(SQL.audits, (key, MOST))]
    events.sort(key=lambda event: event.at)  # of one moment: in the order of the messages
    return Case(events[-MOST:], len(events) > MOST or len(found) > MOST)


def _patients(connection: Connection, identity: Identity, of: str) -> Iterator[bytes]:
    for key in _keys(identity, of):
        if one(connection, SQL.known, (key,)):
            yield from inquiry.same_person(connection, key)


def _keys(identity: Identity, of: str) -> Iterator[bytes]:
    type, _, id = of.partition("/")
    if type == "Patient" and (key := key_of(id)):
        yield key
    name, _, value = of.rpartition("|")
    known = (identity.authority([name]),) if name else identity.authorities
    for authority in known:
        if authority and authority.identifies and (text := normalised(authority, value)):
            yield identity.patient_key(authority, text)


def _resources(
    connection: Connection, identity: Identity, of: str, patients: Iterable[bytes]
) -> Iterator[Resource]:
    """Those that are asked for, and the payments of claims: a payment names no patient."""
    bodies = [body for key in patients for (body,) in connection.all(SQL.claims, (key, NAMED))]
    if not patients:
        found = _named(connection, identity, of)
        yield from found
        bodies = [body for id, _, _ in found for (body,) in connection.all(SQL.claim, (id,))]
    ids = (i for body in bodies for i in fhir.decode(body).get("identifier", ()))
    for number in dict.fromkeys(i["value"] for i in ids if "value" in i):
        yield from connection.all(SQL.paid, (*_span(number, None), NAMED))


def _named(connection: Connection, identity: Identity, of: str) -> list[Resource]:
    type, slash, id = of.partition("/")
    if slash and (key := key_of(id)):
        return connection.all(SQL.resource, (key, type))
    name, _, value = of.rpartition("|")
    authority = identity.authority([name]) if name else None
    span = _span(value, authority.namespace if authority else name or None)
    return [
        *connection.all(SQL.named, (*span, NAMED)),
        *connection.all(SQL.paid, (*_span(value, None), NAMED)),
    ]


def _span(value: str, system: str | None) -> tuple[str, str]:
    """The texts of the index that are this identifier (`store.search.token`), of any system if none is named."""
    low = f"{value}\x1f"
    return (low, f"{value}\x20") if system is None else (f"{low}{system}", f"{low}{system}\x01")


NUMBERS = {
    "visit": {"Encounter", "EpisodeOfCare", "Account"},
    "order": {
        "ServiceRequest",
        "DiagnosticReport",
        "Observation",
        "MedicationRequest",
        "ImagingStudy",
        "Specimen",
    },
    "accession": {"ServiceRequest", "DiagnosticReport", "ImagingStudy", "Specimen"},
}
"""What resources go by such a number."""


def numbered(connection: Connection, identity: Identity, what: str, number: str) -> frozenset[int]:
    """The newest messages that said something of a visit, an order or what has an accession number: NUMBER or
    AUTHORITY|NUMBER."""
    found = [each for each in _named(connection, identity, number) if each[1] in NUMBERS[what]]
    return frozenset(_messages(connection, (), found))


def _messages(
    connection: Connection, patients: Iterable[bytes], resources: Iterable[Resource]
) -> Iterator[int]:
    """At most one more than are shown of each."""
    for key in patients:
        yield from (m for (m,) in connection.all(SQL.of_patient, (key, MOST + 1)))
    for id, type, key in resources:
        yield from (m for (m,) in connection.all(SQL.of_resource, (id, id, MOST + 1)))
        name = f"{type}/{fhir_id(key)}"
        yield from (m for (m,) in connection.all(SQL.told, (f"{name}/", f"{name}0", MOST + 1)))


def _related(connection: Connection, messages: Iterable[int]) -> list[int]:
    """With the interchanges that they were parts of, and what answered their deliveries, in order of arrival."""
    found = set(messages)
    found |= {parent for m in messages for (parent,) in connection.all(SQL.parent, (m,))}
    found |= {answer for m in list(found) for (answer,) in connection.all(SQL.answers, (m,))}
    return sorted(found)


def _of_message(connection: Connection, identity: Identity, message: int, now: int) -> Iterator[Event]:
    if row := one(connection, SQL.message, (message,)):
        yield _came(message, *row)
        awaited = inquiry.expected(connection, message, now)
        for id, *rest in connection.all(SQL.deliveries, (message,)):
            yield _sent(identity.origin, message, awaited.get(id), id, *rest)


def _came(
    message: int, at: int, channel: str, peer: str, key: str | None, kind: str | None, state: str,
    code: str | None, place: str | None, repeats: int, parent: int | None, position: int | None,
) -> Event:  # fmt: skip
    told = peer == "chart"
    notes = (
        f"{code}{f' at {place}' if place else ''}" if code else "",
        f"part {position + 1} of message {parent}" if position is not None else "",
        f"came {repeats + 1} times" if repeats else "",
        f"as {key}" if key else "",
        f"from {peer}" if peer and not told else "",
    )
    return Event(at, "chart" if told else "in", channel, kind or "", state, message, _note(notes))


def _sent(
    origin: str, message: int, awaited: Expectation | None, id: int, at: int, destination: str, route: str,
    state: str, attempts: int, code: str | None,
) -> Event:  # fmt: skip
    notes = (
        f"of message {message}",
        f"as {Delivery(id, message, destination, 0, b'', origin=origin).control}",
        f"{attempts} attempts" if attempts > 1 else "",
        code or "",
        _awaited(awaited) if awaited else "",
    )
    return Event(at, "out", destination, route, state, id, _note(notes))


def _awaited(awaited: Expectation) -> str:
    match awaited.state:
        case Standing.ANSWERED:
            return f"answered {awaited.said} by message {awaited.answer}"
        case Standing.UNDELIVERED:
            return "answer awaited once delivered"
    until = instant(awaited.due)[:19] + "Z" if awaited.due else ""
    return (
        f"answer overdue since {until}"
        if awaited.state is Standing.OVERDUE
        else f"answer awaited until {until}"
    )


def _asked(at: int, who: str, what: str, rows: str) -> Event:
    about = msgspec.json.decode(rows)
    note = f"by {who}, {about.get('hits', 0)} found"
    return Event(at, "query", about.get("channel", ""), about.get("kind", what), "ANSWERED", None, note)


def _note(notes: Iterable[str]) -> str:
    return ", ".join(note for note in notes if note)

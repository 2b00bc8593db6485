"""A case: everything on the wires about one patient or one order, on one timeline. Reads only, and bounded ones.

What came in, what the chart told, what went out and how that ended, which answers came or are overdue, and who asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from engine.journal.inquiry import same_person
from formats import fhir
from store.database import Connection, one
from store.database.statements import load
from store.identity import Identity, fhir_id, key_of, normalised

SQL = load("engine.journal", "case.sql")
MOST = 1000
"""Messages of one case; of longer ones the newest."""
Direction = Literal["in", "out", "chart", "query"]


class Event(NamedTuple):
    """One thing on a wire. `at` in microseconds since the epoch; `who` is a channel or a destination; `what` its kind;
    `number` of the message, or of the delivery where it went `out`."""

    at: int
    direction: Direction
    who: str
    what: str
    state: str
    number: int
    note: str = ""


class Expectation(NamedTuple):
    """An answer that must follow a delivery. `state`: open, overdue or answered; `due` 0: not delivered yet."""

    delivery: int
    destination: str
    message: int
    answers: str
    due: int
    state: Literal["open", "overdue", "answered"]
    answer: int | None
    said: str | None


def case(connection: Connection, identity: Identity, of: str, now: int) -> list[Event] | None:
    """The events of a patient (a number, AUTHORITY|NUMBER, Patient/ID) or of an order (any number that a resource
    goes by, or Type/ID), oldest first. None: nobody and nothing here is called so."""
    patients = set(_patients(connection, identity, of))
    resources = [] if patients else list(_resources(connection, of))
    if not patients and not resources:
        return None
    resources = [*resources, *_paid(connection, patients, of)]
    messages = set(_messages(connection, patients, resources))
    messages |= {p for m in messages for (p,) in connection.all(SQL.parent, (m,))}
    messages |= {a for m in list(messages) for (a,) in connection.all(SQL.answers, (m,))}
    shown = sorted(messages)[-MOST:]
    events = [event for message in shown for event in _of_message(connection, message, now)]
    events += [_asked(row) for key in patients for row in connection.all(SQL.audits, (key, MOST))]
    return sorted(events, key=lambda event: event.at)  # of one moment: in the order of the messages


def _patients(connection: Connection, identity: Identity, of: str) -> Iterator[bytes]:
    type, _, id = of.partition("/")
    if type == "Patient":
        keys = [key for key in (key_of(id),) if key]
    else:
        name, _, value = of.rpartition("|")
        known = [
            a for a in identity.authorities if a.identifies and (not name or a == identity.authority([name]))
        ]
        keys = [identity.patient_key(a, text) for a in known if (text := normalised(a, value))]
    for key in keys:
        if one(connection, SQL.known, (key,)):
            yield from same_person(connection, key)


Resource = tuple[int, str, bytes]


def _resources(connection: Connection, of: str) -> Iterable[Resource]:
    type, _, id = of.partition("/")
    if id and (key := key_of(id)):
        return connection.all(SQL.resource, (key, type))
    return connection.all(SQL.named, (f"{of}\x1f", f"{of}\x20"))


def _paid(connection: Connection, patients: Iterable[bytes], of: str) -> Iterator[Resource]:
    """The payments of the patients' claims, or of the claim that goes by that number: a payment names no patient."""
    bodies = (body for key in patients for (body,) in connection.all(SQL.claims, (key,)))
    numbers = [i["value"] for body in bodies for i in fhir.decode(body).get("identifier", ()) if "value" in i]
    for number in dict.fromkeys(numbers or [of]):
        yield from connection.all(SQL.paid, (f"{number}\x1f", f"{number}\x20"))


def _messages(
    connection: Connection, patients: Iterable[bytes], resources: Iterable[Resource]
) -> Iterator[int]:
    for key in patients:
        yield from (id for (id,) in connection.all(SQL.of_patient, (key, MOST)))
    for id, type, key in resources:
        yield from (m for (m,) in connection.all(SQL.of_resource, (id, id, MOST)))
        name = f"{type}/{fhir_id(key)}"
        yield from (m for (m,) in connection.all(SQL.told, (f"{name}/", f"{name}0", MOST)))


def _of_message(connection: Connection, message: int, now: int) -> Iterator[Event]:
    row = one(connection, SQL.message, (message,))
    if row is None:
        return
    at, channel, kind, state, code, place, peer, key, repeats, parent, position, _ = row
    notes = (
        f"{code}{f' at {place}' if place else ''}" if code else "",
        f"part {position + 1} of message {parent}" if parent is not None else "",
        f"came {repeats + 1} times" if repeats else "",
        f"as {key}" if key else "",
    )
    direction: Direction = "chart" if peer == "chart" else "in"
    yield Event(at, direction, channel, kind or "", state, message, ", ".join(n for n in notes if n))
    for delivery in connection.all(SQL.deliveries, (message,)):
        yield _sent(message, delivery, now)


def _sent(message: int, row: tuple[object, ...], now: int) -> Event:
    id, created, settled, destination, route, state, attempts, code, answers, due, answer, said, met = row
    notes = [f"of message {message}"]
    if attempts not in (0, 1):
        notes.append(f"{attempts} attempts")
    if code:
        notes.append(str(code))
    if answers:
        notes.append(_awaited(due, answer, said, met, now))
    at = settled or created
    return Event(
        int(str(at)), "out", str(destination), str(route), str(state), int(str(id)), ", ".join(notes)
    )


def _awaited(due: object, answer: object, said: object, met: object, now: int) -> str:
    if met is not None:
        return f"answered {said} by message {answer}"
    if due is None:
        return "answer awaited once delivered"
    return "answer overdue" if int(str(due)) < now else "answer awaited"


def _asked(row: tuple[object, ...]) -> Event:
    at, channel, peer, kind, hits = row
    return Event(int(str(at)), "query", str(channel), str(kind), "ANSWERED", 0, f"by {peer}, {hits} found")


def expectations(connection: Connection, now: int, *, overdue: bool, limit: int = MOST) -> list[Expectation]:
    """The newest ones; or those that are overdue, the longest first."""
    rows = connection.all(*((SQL.overdue, (now, limit)) if overdue else (SQL.expectations, (limit,))))
    return [_expectation(now, *row) for row in rows]


def _expectation(
    now: int, delivery: int, destination: str, message: int, answers: str, due: int | None,
    answer: int | None, said: str | None, met: int | None,
) -> Expectation:  # fmt: skip
    state: Literal["open", "overdue", "answered"] = "open"
    if met is not None:
        state = "answered"
    elif due is not None and due < now:
        state = "overdue"
    return Expectation(delivery, destination, message, answers, due or 0, state, answer, said)


class Waiting(NamedTuple):
    """How many answers of one destination are awaited, and how many of them are overdue."""

    overdue: int
    open: int


def waiting(connection: Connection, now: int) -> dict[str, Waiting]:
    """By destination, of what was delivered."""
    rows = connection.all(SQL.waiting, (now,))
    return {destination: Waiting(overdue, number - overdue) for destination, overdue, number in rows}

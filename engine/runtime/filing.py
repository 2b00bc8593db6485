"""Filing: a message's state, its facts in the chart and its deliveries are written in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeVar

from engine.journal import SQL, inbox, owed
from engine.message import Chart, Outgoing, Processed, State
from engine.runtime.telling import tell
from engine.trigger import Triggers
from store import chart
from store.chart import Applied, Change
from store.database import Alone, Connection
from store.identity import Identity, fhir_id
from store.reason import Reason
from store.reply import reply

T = TypeVar("T")
Lane = tuple[str, int]  # destination, lane
NONE: Triggers = {}


class Filed(NamedTuple):
    """Where a message ended, and which lanes got something to deliver. `woken`: others must be processed.
    `reply`: the answer to its sender, where the chart makes it."""

    processed: Processed
    lanes: tuple[Lane, ...] = ()
    woken: bool = False
    reply: bytes | None = None


def file_all(
    connection: Connection,
    identity: Identity,
    batch: Sequence[Processed],
    now: int,
    broken: Callable[[Exception], bool],
    triggers: Triggers = NONE,
) -> list[Filed]:
    """File each message under a savepoint of its own, so that one that cannot be filed fails alone.

    A failure of the database itself is raised: nothing of the batch is then committed.
    """

    def filed(processed: Processed) -> Filed:
        return file(connection, identity, processed, now, triggers)

    def attempted(processed: Processed) -> Filed:
        try:
            return _saved(connection, partial(filed, processed), broken)
        except Exception as e:
            if broken(e):
                raise
            failed = replace(processed, state=State.FAILED, reason=_failure(e), said=(), outgoing=())
            return _saved(connection, partial(filed, failed), broken)

    connection.alone(Alone.CHART)
    return [attempted(processed) for processed in batch]


def file(
    connection: Connection, identity: Identity, processed: Processed, now: int, triggers: Triggers = NONE
) -> Filed:
    """Apply what one message says, write its deliveries, what the chart tells of it, its end state, and the answers
    that its sender is owed.

    One that says nothing now takes back what it said at an earlier attempt.
    """
    filed = _filed(connection, identity, processed, now, triggers)
    lanes = owed.owe(connection, identity, filed.processed, now)
    return filed._replace(lanes=(*filed.lanes, *lanes)) if lanes else filed


def _filed(
    connection: Connection, identity: Identity, processed: Processed, now: int, triggers: Triggers
) -> Filed:
    if processed.attempt:
        processed = replace(
            processed, outgoing=tuple(_anew(processed.attempt, o) for o in processed.outgoing)
        )
    if first := inbox.behind(connection, processed):
        held = replace(processed, state=State.HELD, reason=_behind(first))
        return _ended(connection, held, now)
    if reason := _unexpected(connection, identity, processed, now):
        return _ended(connection, replace(processed, state=State.QUARANTINED, reason=reason), now)
    applied = chart.apply(connection, processed.message, now, processed.said)
    for id, place in applied.withhold:
        connection.run(SQL.withhold, (*_contested(place), id))
    for id in applied.release:
        connection.run(SQL.release, (id,))
    woken = bool(applied.release)
    reason = applied.refused
    if applied.withheld is not None:
        reason = Reason(*_contested(applied.withheld))
    if reason is not None:
        return _ended(connection, replace(processed, state=State.QUARANTINED, reason=reason), now, woken)
    rows = list(_deliveries(identity, processed, applied, now))
    connection.many(SQL.enqueue, rows)
    _share(connection, identity, processed)
    _expect(connection, processed)
    told = tell(connection, triggers, processed, applied.changed, now)
    inbox.settle(connection, processed, now)
    woken |= inbox.unhold(connection, processed.lane)
    if processed.edits:
        woken |= inbox.park(connection, processed.edits)
    answer = reply(applied.answers) if applied.answers else None
    if answer is not None:
        connection.run(SQL.reply, (answer, processed.message))
    return Filed(processed, tuple((row[2], row[3]) for row in rows), woken or told, answer)


def _ended(connection: Connection, processed: Processed, now: int, woken: bool = False) -> Filed:
    """It has no effect but its own end state."""
    ended = replace(processed, said=(), outgoing=())
    inbox.settle(connection, ended, now)
    return Filed(ended, woken=woken)


def _unexpected(connection: Connection, identity: Identity, processed: Processed, now: int) -> Reason | None:
    """An answer settles the expectation of the delivery that it names; one that answers nothing is looked at."""
    if not processed.relates:
        return None
    id = processed.relates.removeprefix(identity.origin)
    known = processed.relates.startswith(identity.origin) and id.isdecimal() and len(id) < 19
    row = (processed.message, processed.kind, now, int(id)) if known else None
    if row and connection.all(SQL.answered, row):
        return None
    text = "it answers no message of ours that waits for an answer by this channel"
    return Reason("unmatched-answer", text)


def _expect(connection: Connection, processed: Processed) -> None:
    for out in processed.outgoing:
        if out.expect is not None:
            within = int(out.expect.within * 1e6)
            connection.run(SQL.expect, (out.expect.answers, within, processed.message, out.route))


def _share(connection: Connection, identity: Identity, processed: Processed) -> None:
    """What concerns several order keys stands in the lane of each."""
    for out in processed.outgoing:
        for key in out.also:
            lane = identity.lane(out.destination, key)
            connection.run(SQL.share, (lane, processed.message, out.route))


def _anew(attempt: int, out: Outgoing) -> Outgoing:
    """Deliveries are unique by message and route: those of a replay are named after it."""
    return replace(out, route=f"{out.route}!{attempt}")


def _behind(first: int) -> Reason:
    text = f"message {first}, before it in its lane, is in trouble: reprocess it, or park it"
    return Reason("behind", text)


def _contested(place: str) -> tuple[str, str, str]:
    text = "another patient holds this identifier; merge the two or correct it at the source"
    return "contested-identifier", text, place


def _failure(error: Exception) -> Reason:
    return Reason(
        "not-filed", f"the chart could not take it ({type(error).__name__}); this is a defect of Chartwire"
    )


def _saved(connection: Connection, work: Callable[[], T], broken: Callable[[Exception], bool]) -> T:
    """A failing database may have undone the whole transaction by itself; the rest is the committer's."""
    connection.run("SAVEPOINT message")
    try:
        result = work()
        connection.run("RELEASE message")
        connection.flush()
    except Exception as e:
        if not broken(e):
            connection.run("ROLLBACK TO message")
            connection.run("RELEASE message")
        raise
    return result


Row = tuple[int, str, str, int, int, int, bytes | None]


def _deliveries(identity: Identity, processed: Processed, applied: Applied, now: int) -> Iterable[Row]:
    for out in processed.outgoing:
        body = transaction(applied.changed) if isinstance(out.body, Chart) else out.body
        if body is not None or not isinstance(out.body, Chart):
            lane, shared = _lane(identity, out), int(bool(out.also))
            yield processed.message, out.route, out.destination, lane, shared, now, body


def _lane(identity: Identity, out: Outgoing) -> int:
    return identity.lane(out.destination, out.order)


def transaction(changed: Sequence[Change]) -> bytes | None:
    """A FHIR transaction Bundle that brings a peer to the new versions; None if nothing changed."""
    if not changed:
        return None
    bundle = b'{"resourceType":"Bundle","type":"transaction","entry":[%s]}'
    return bundle % b",".join(_entry(c) for c in changed)


def _entry(change: Change) -> bytes:
    """The body's bytes go out as they are, so that no decimal changes on the way."""
    type, id = change.type.encode(), fhir_id(change.key).encode()
    if change.body is None:
        return b'{"request":{"method":"DELETE","url":"%s/%s"}}' % (type, id)
    resource = b'{"resourceType":"%s","id":"%s",%s' % (type, id, change.body[1:])
    return b'{"resource":%s,"request":{"method":"PUT","url":"%s/%s"}}' % (resource, type, id)

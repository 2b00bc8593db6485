"""`process`: everything that one message asks for, computed before a row is written.

Pure: no clock, no I/O, no chart. The same message and channel give the same answer in any process, at any
time, which is why a replay is safe and a channel can be tested without a socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.channel import Body, Channel, Route, Step
from engine.guard import FUTURE
from engine.message import Chart, Message, Outgoing, Owed, Processed, Said, State, Stop
from store.facts import Belongs, Fact, Link, Write
from store.prepared import Prepared, prepare
from store.reason import Reason
from store.write import ready


def process(channel: Channel, message: Message) -> Processed:
    """The walk of one message through its channel, up to the rows that it asks for."""
    body = message.body
    if isinstance(body, Reason):
        return Processed(message.id, State.QUARANTINED, body)
    if reason := channel.legible(body):
        return Processed(message.id, State.QUARANTINED, reason)
    kind = channel.kind(body)
    body = steps(channel.steps, body)
    if isinstance(body, Stop):
        return Processed(message.id, body.state, body.reason, kind)
    if reason := channel.guard(body, message.received):
        return Processed(message.id, State.QUARANTINED, reason, kind)
    said = channel.store(body) if channel.store else ()
    if isinstance(said, Stop):
        return Processed(message.id, said.state, said.reason, kind)
    if place := _ahead(said or (), message.received + channel.future):
        return Processed(message.id, State.QUARANTINED, replace(FUTURE, place=place), kind)
    prepared = _prepared(said or ())
    if isinstance(prepared, Reason):
        return Processed(message.id, State.FAILED, prepared, kind)
    asked = _routed(channel, message, kind, body, None if said is None else prepared)
    return replace(asked, relates=channel.relates(body) or "", system=message.origin or channel.system)


def lane(channel: Channel, body: Body) -> int | None:
    """What is held back when the message ends in trouble: None where nothing is, or nobody can say."""
    if channel.head == "park" or isinstance(body, Reason):
        return None
    order = channel.order(body, _patient(channel, body, ()))
    return channel.feed.identity.lane(f"{channel.name}<", order)


def owed(channel: Channel, body: Body) -> tuple[Owed, ...]:
    """The answers that its sender gets once it has ended."""
    return () if channel.owed is None or isinstance(body, Reason) else channel.owed(body)


def steps(chain: Sequence[Step], body: Body) -> Body | Stop:
    """Run a transform chain to its end or to its first Stop."""
    for step in chain:
        body = step(body)
        if isinstance(body, Stop):
            return body
    return body


def _prepared(said: Sequence[Fact | Link | Belongs | Write]) -> tuple[Said, ...] | Reason:
    done: list[Said] = []
    for each in said:
        made: Said | Reason = each if isinstance(each, Link | Belongs) else _ready(each)
        if isinstance(made, Reason):
            return made
        done.append(made)
    return tuple(done)


def _ahead(said: Sequence[Fact | Link | Belongs | Write], latest: int) -> str:
    """Of what something is said that has yet to happen; what a client writes has the time of the writing."""
    facts = (each for each in said if isinstance(each, Fact))
    return next((fact.type for fact in facts if fact.clock.time > latest), "")


def _ready(each: Fact | Write) -> Prepared | Write | Reason:
    return ready(each) if isinstance(each, Write) else prepare(each)


def _routed(
    channel: Channel, message: Message, kind: str, body: Body, said: tuple[Said, ...] | None
) -> Processed:
    patient = _patient(channel, body, said or ())
    order = channel.order(body, patient)
    also = tuple(key for key in channel.also(body) if key != order)
    outgoing: list[Outgoing] = []
    returned = False
    for route in channel.routes:
        if route.send != "answer" and route.when(body):
            if message.origin and message.origin == route.system:
                returned = True
                continue
            sent = _outgoing(channel, route, message, body, "" if route.alone else order)
            if isinstance(sent, Stop):
                return Processed(message.id, sent.state, sent.reason, kind, patient, order)
            if sent is not None:
                outgoing.append(replace(sent, also=also) if also and not route.alone else sent)
    if channel.store is None:
        state = State.ROUTED if outgoing else State.UNROUTED
    else:
        state = State.STORED_RAW if said is None else State.STORED
    reason = RETURNED if returned and not outgoing else _REASONS.get(state)
    return Processed(message.id, state, reason, kind, patient, order, said or (), tuple(outgoing))


def _patient(channel: Channel, body: Body, said: Sequence[Said]) -> bytes | None:
    """Whom it is about, by the format; where that cannot say, the patient of the first fact."""
    found = channel.patient(body) if channel.patient else None
    facts = (s.fact if isinstance(s, Write) else s for s in said)
    return found or next((f.patient for f in facts if isinstance(f, Prepared) and f.patient), None)


def _outgoing(
    channel: Channel, route: Route, message: Message, body: Body, order: str
) -> Outgoing | Stop | None:
    """None: a step dropped it. A step that quarantines or fails ends the message so."""
    if route.send == "chart":
        return Outgoing(route.name, route.to, order, Chart(), route.expect)
    sent = steps(route.steps, body)
    if isinstance(sent, Stop):
        return None if sent.state is State.FILTERED else sent
    written = channel.write(sent)
    return Outgoing(route.name, route.to, order, None if written == message.raw else written, route.expect)


RETURNED = Reason("came-from-there", "the change came from the system that it would have been sent to")
_REASONS = {
    State.STORED_RAW: Reason("no-map", "no map says what this type of message means; its bytes are kept"),
    State.UNROUTED: Reason(
        "no-route", "the channel does not store, and no route of routes.yaml took the message"
    ),
}

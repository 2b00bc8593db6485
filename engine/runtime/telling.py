"""The chart tells: what a change of the chart makes known, as a message of the channels that listen to it.

In the transaction of the change, so that neither is there without the other; each thing is told once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from engine.journal import SQL
from engine.message import Processed, State
from engine.trigger import HOPS, Trigger, Triggers
from formats import fhir
from store.chart import SQL as CHART
from store.chart import Change
from store.database import Connection, one
from store.identity import key_of
from store.resource import whole

DEEP, MANY = 3, 40
"""How far references are followed, and how many resources one message holds at most."""
CIRCLE = (
    "circle",
    f"more than {HOPS} changes of the chart led to one another; look at the channels and routes",
)
Resource = dict[str, Any]


def tell(
    connection: Connection, triggers: Triggers, processed: Processed, changed: Sequence[Change], now: int
) -> bool:
    """Write a message for each change that a channel listens for. Did anything new come of it?"""
    told = False
    for change in changed if triggers else ():
        if change.body is not None and (listening := triggers.get(change.type)):
            made = whole(change.type, change.key, change.number, now, change.body)
            for trigger in listening:
                told |= _told(connection, trigger, change.key, made, processed, now)
    return told


def _told(
    connection: Connection, trigger: Trigger, key: bytes, resource: Resource, processed: Processed, now: int
) -> bool:
    state = trigger.fires(resource)
    if state is None:
        return False
    digest = trigger.digest(key, state)
    if one(connection, SQL.same, (digest,)):
        return False
    body = fhir.encode(gathered(connection, resource))
    name = f"{resource['resourceType']}/{resource['id']}/{state}"
    row = (trigger.channel, now, name, digest, "chart", len(body), State.RECEIVED, processed.patient,
           processed.system, processed.hops + 1)  # fmt: skip
    (id,) = connection.all(SQL.append_told, row)[0]
    connection.run(SQL.append_body, (id, body))
    if processed.hops >= HOPS:
        connection.run(SQL.withhold, (*CIRCLE, None, id))
    return True


def gathered(connection: Connection, resource: Resource) -> Resource:
    """A Bundle: the resource, then what it refers to, directly or through those, as they are now."""
    found: dict[str, Resource] = {_name(resource): resource}
    edge = [resource]
    for _ in range(DEEP):
        names = dict.fromkeys(name for each in edge for name in _references(each) if name not in found)
        read = (made for name in islice(names, MANY) if (made := _read(connection, name)))
        edge = list(islice(read, MANY - len(found)))
        found.update((_name(made), made) for made in edge)
    entries = [{"fullUrl": name, "resource": made} for name, made in found.items()]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _name(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(name := value.get("reference"), str):
            yield name
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _read(connection: Connection, name: str) -> Resource | None:
    type, _, id = name.partition("/")
    row = one(connection, CHART.read, (key, type)) if (key := key_of(id)) else None
    if row is None or row[3] is None:
        return None
    number, updated, _, body = row
    return whole(type, key_of(id) or b"", number, updated, body)

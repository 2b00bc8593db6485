"""The transform `fhir_to_chart`: a Bundle of requests -> the writes that it asks for.

Ids of what is created follow from the id that the Bundle was given and the place in it, so that they are the same
whenever the message is read. A patient whose identifier tells who he is has the key that every other feed gives him.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.message import State, Stop
from engine.plugin import Feed, transform
from store.claims import claims, told
from store.compartment import owner_of, stranger
from store.facts import ANY, Clock, Fact, Method, Write
from store.identity import Patient
from store.reason import Reason
from store.resource import own
from transforms.fhir_to_chart.entry import Entry, named_key, patch_of, read
from transforms.fhir_to_chart.reference import Led, Names, names


@transform("fhir_to_chart")
def fhir_to_chart(body: Mapping[str, Any], feed: Feed) -> Sequence[Write] | Stop | None:
    """What a client writes. A single interaction is a Bundle of one entry (R4 http.html#transaction).

    Not a Bundle of requests: nothing that is known here (the bytes are kept).
    """
    if body.get("resourceType") != "Bundle" or body.get("type") not in ("transaction", "batch"):
        return None
    try:
        made = _writes(body, feed)
    except RecursionError:
        made = Reason("invalid", "it is nested too deep")
    return Stop(State.QUARANTINED, made) if isinstance(made, Reason) else made


def _writes(body: Mapping[str, Any], feed: Feed) -> list[Write] | Reason:
    entries: list[Entry] = []
    keys: list[bytes | None] = []
    for n, given in enumerate(body.get("entry", ())):
        entry = read(given, f"Bundle.entry[{n}]")
        if isinstance(entry, Reason):
            return entry
        key = _key(entry, n, str(body.get("id", "")), feed)
        if isinstance(key, Reason):
            return key
        entries.append(entry)
        keys.append(key)
    named = names(entries, keys)
    if isinstance(named, Reason):
        return named
    writes: list[Write] = []
    for entry, key in zip(entries, keys, strict=True):
        write = _write(entry, key, named, feed)
        if isinstance(write, Reason):
            return write
        writes.append(write)
    return writes


def _key(entry: Entry, n: int, bundle: str, feed: Feed) -> bytes | Reason | None:
    """Whose it is, or will be; None where conditions must find it."""
    if entry.id:
        return named_key(entry)
    if entry.method in ("PATCH", "DELETE"):
        return None
    if entry.type == "Patient":
        patient = told(feed.identity, entry.resource, f"{entry.place}.resource")
        if patient is not None:
            return patient.key if isinstance(patient, Patient) else patient
    return feed.identity.key(entry.type, "fhir", bundle, str(n))


def _write(entry: Entry, key: bytes | None, named: Names, feed: Feed) -> Write | Reason:
    about = (entry.type, key, entry.place)
    conditions = (entry.criteria, entry.if_match, entry.if_none_match)
    if entry.method == "DELETE":
        return Write("DELETE", *about, None, *conditions)
    if entry.method == "PATCH":
        patch = patch_of(entry)
        if isinstance(patch, Reason):
            return patch
        identity = feed.identity if entry.type == "Patient" else None
        return Write("PATCH", *about, None, *conditions, patch=patch, identity=identity)
    assert key is not None
    return _whole(entry, key, named, feed)


def _whole(entry: Entry, key: bytes, named: Names, feed: Feed) -> Write | Reason:
    led = Led(named)
    elements = led.lead(own(entry.resource))
    claimed = (
        claims(feed.identity, elements, key, f"{entry.place}.resource") if entry.type == "Patient" else ()
    )
    if reason := _misnamed(entry) or _astray(entry, elements, led):
        return reason
    if isinstance(claimed, Reason):
        return claimed
    owner = key if entry.type == "Patient" else owner_of(entry.type, elements)
    method: Method = "PUT" if entry.method == "PUT" else "POST"
    cancels = ANY if method == "PUT" else ""
    return Write(
        method, entry.type, key, entry.place,
        Fact(entry.type, key, Clock(0), elements, owner, cancels=cancels),
        entry.criteria, entry.if_match, entry.if_none_match,
        claims=claimed,
        asked=tuple(dict.fromkeys(led.asked)),
        refers=tuple(dict.fromkeys(led.refers)),
        named=str(entry.resource.get("id", "")) if method == "PUT" and entry.criteria else "",
        link=entry.resource.get("link") if entry.type == "Patient" else None,
    )  # fmt: skip


def _misnamed(entry: Entry) -> Reason | None:
    place = f"{entry.place}.resource"
    if entry.resource.get("resourceType") != entry.type:
        return Reason(
            "mismatch", "the resource is of another type than the url says", f"{place}.resourceType"
        )
    if entry.method == "PUT" and entry.id and entry.resource.get("id") != entry.id:
        return Reason("mismatch", "the id of the resource is not that of the url", f"{place}.id")
    return None


def _astray(entry: Entry, elements: Mapping[str, Any], led: Led) -> Reason | None:
    """References that can lead nowhere, now or later."""
    if led.lost:
        text = "a reference is to the fullUrl of an entry that is not in the bundle"
        return Reason("invalid", text, f"{entry.place}.resource")
    if element := stranger(entry.type, elements):
        text = "it refers to a patient who is not here"
        return Reason("invalid", text, f"{entry.place}.resource.{element}")
    return None

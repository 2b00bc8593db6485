"""The transform `fhir_to_chart`: a Bundle of requests -> the writes that it asks for.

Ids of what is created follow from the id that the Bundle was given and the place in it, so that they are the same
whenever the message is read. A patient whose identifier tells who he is has the key that every other feed gives him.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.message import State, Stop
from engine.plugin import Feed, transform
from store.compartment import owner_of
from store.facts import ANY, Clock, Fact, Method, Write
from store.identity import Identifier, Patient, fhir_id
from store.reason import Reason
from transforms.fhir_to_chart.entry import Entry, named_key, patch_of, read

MANAGED = frozenset({"resourceType", "id", "meta", "text"})
KEPT_META = ("profile", "security", "tag")
BLANK = "blank-patient-id"
_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?.+")


@transform("fhir_to_chart")
def fhir_to_chart(body: Mapping[str, Any], feed: Feed) -> Sequence[Write] | Stop | None:
    """What a client writes. A single interaction is a Bundle of one entry (R4 http.html#transaction).

    Not a Bundle of requests: nothing that is known here (the bytes are kept).
    """
    if body.get("resourceType") != "Bundle" or body.get("type") not in ("transaction", "batch"):
        return None
    made = _writes(body, feed)
    return Stop(State.QUARANTINED, made) if isinstance(made, Reason) else made


def _writes(body: Mapping[str, Any], feed: Feed) -> list[Write] | Reason:
    entries: list[Entry] = []
    for n, given in enumerate(body.get("entry", ())):
        entry = read(given, f"Bundle.entry[{n}]")
        if isinstance(entry, Reason):
            return entry
        entries.append(entry)
    keys: list[bytes | None] = []
    for n, entry in enumerate(entries):
        key = _key(entry, n, str(body.get("id", "")), feed)
        if isinstance(key, Reason):
            return key
        keys.append(key)
    names = {e.full_url: _name(e.type, k) for e, k in zip(entries, keys, strict=True) if e.full_url and k}
    writes: list[Write] = []
    for entry, key in zip(entries, keys, strict=True):
        write = _write(entry, key, names, feed)
        if isinstance(write, Reason):
            return write
        writes.append(write)
    return writes


def _name(type: str, key: bytes) -> str:
    return f"{type}/{fhir_id(key)}"


def _key(entry: Entry, n: int, bundle: str, feed: Feed) -> bytes | Reason | None:
    """Whose it is, or will be; None where conditions must find it."""
    if entry.id:
        return named_key(entry)
    if entry.method in ("PATCH", "DELETE"):
        return None
    if entry.type == "Patient":
        patient = _patient(entry, feed)
        if isinstance(patient, Patient):
            return patient.key
        if patient is not None:
            return patient
    return feed.identity.key(entry.type, "fhir", bundle, str(n))


def _patient(entry: Entry, feed: Feed) -> Patient | Reason | None:
    """Who the identifiers say that it is; None: they do not say. A blank one is never accepted."""
    given = entry.resource.get("identifier")
    found = [i for i in given if isinstance(i, Mapping)] if isinstance(given, list) else []
    place = f"{entry.place}.resource.identifier"
    read = [
        Identifier(str(i.get("value", "")), (str(i.get("system", "")),), "", f"{place}[{n}]")
        for n, i in enumerate(found)
    ]
    if any(not i.value.strip() for i in read):
        return Reason("invalid", "an identifier has no value; leave it out, or correct it", place)
    patient = feed.identity.patient(read) if read else None
    if isinstance(patient, Reason):
        return (
            None if patient.code in ("unknown-authority", BLANK) else Reason("invalid", patient.text, place)
        )
    return patient


def _write(entry: Entry, key: bytes | None, names: Mapping[str, str], feed: Feed) -> Write | Reason:
    about = (entry.type, key, entry.place)
    conditions = (entry.criteria, entry.if_match, entry.if_none_match)
    match entry.method:
        case "DELETE":
            return Write("DELETE", *about, None, *conditions)
        case "PATCH":
            patch = patch_of(entry)
            return (
                patch if isinstance(patch, Reason) else Write("PATCH", *about, None, *conditions, patch=patch)
            )
    assert key is not None
    if reason := _misnamed(entry):
        return reason
    asked: list[str] = []
    elements = _elements(entry, names, asked)
    owner = key if entry.type == "Patient" else owner_of(entry.type, elements)
    cancels = "" if entry.method == "POST" else ANY
    fact = Fact(entry.type, key, Clock(0), elements, owner, cancels=cancels)
    claims = _claims(entry, key, feed)
    if isinstance(claims, Reason):
        return claims
    method: Method = "PUT" if entry.method == "PUT" else "POST"
    return Write(method, *about, fact, *conditions, claims=claims, asked=tuple(dict.fromkeys(asked)))


def _misnamed(entry: Entry) -> Reason | None:
    place = f"{entry.place}.resource"
    if entry.resource.get("resourceType") != entry.type:
        return Reason("invalid", "the resource is of another type than the url says", f"{place}.resourceType")
    if entry.method == "PUT" and entry.id and entry.resource.get("id") != entry.id:
        return Reason("invalid", "the id of the resource is not that of the url", f"{place}.id")
    if entry.type == "Patient" and "link" in entry.resource:
        text = "who replaces whom is said by a merge (ADT^A40), not by writing Patient.link"
        return Reason("not-supported", text, f"{place}.link")
    return None


def _elements(entry: Entry, names: Mapping[str, str], asked: list[str]) -> dict[str, Any]:
    """What the client says, with references led to where they will be; conditional ones go into `asked`."""
    elements = {
        k: _led(v, names, asked) for k, v in entry.resource.items() if k not in MANAGED or k == "text"
    }
    meta = entry.resource.get("meta")
    kept = {k: meta[k] for k in KEPT_META if k in meta} if isinstance(meta, Mapping) else {}
    return {**({"meta": kept} if kept else {}), **elements}


def _led(value: Any, names: Mapping[str, str], asked: list[str]) -> Any:
    if isinstance(value, list):
        return [_led(each, names, asked) for each in value]
    if not isinstance(value, Mapping):
        return value
    led = {k: _led(v, names, asked) for k, v in value.items()}
    reference = led.get("reference")
    if isinstance(reference, str):
        led["reference"] = names.get(reference, reference)
        if _CONDITIONAL.fullmatch(reference):
            asked.append(reference)
    return led


def _claims(entry: Entry, key: bytes, feed: Feed) -> tuple[tuple[bytes, str], ...] | Reason:
    """The other identifiers that tell who the patient is: nobody else may hold them."""
    patient = _patient(entry, feed) if entry.type == "Patient" else None
    if not isinstance(patient, Patient):
        return () if patient is None else patient
    place = f"{entry.place}.resource.identifier[0]"
    return tuple(each for each in ((patient.key, place), *patient.others) if each[0] != key)

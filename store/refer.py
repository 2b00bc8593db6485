"""References in a fact that is JSON already, led to where they belong."""

from __future__ import annotations

from formats import fhir
from store.compartment import owner_of
from store.identity import fhir_id
from store.prepared import Prepared


def promised(fact: Prepared, key: bytes, found: bytes) -> Prepared:
    """What refers to a resource that was to be made, led to the one that is there. Ids are opaque and long, so that
    bytes can be replaced."""
    led = _replaced(fact, fhir_id(key).encode(), fhir_id(found).encode())
    return led._replace(patient=found) if fact.patient == key else led


def conditional(fact: Prepared, asked: str, found: bytes) -> Prepared:
    """A conditional reference, led to the resource that it means, which may be the patient whose it is."""
    target = f"{asked.partition('?')[0]}/{fhir_id(found)}"
    led = _replaced(fact, fhir.encode(asked), fhir.encode(target))
    if fact.patient is not None or not asked.startswith("Patient?"):
        return led
    return led._replace(patient=owner_of(fact.type, fhir.decode(led.elements)))


def _replaced(fact: Prepared, before: bytes, after: bytes) -> Prepared:
    body = fact.body.replace(before, after) if fact.body is not None else None
    return fact._replace(elements=fact.elements.replace(before, after), body=body)

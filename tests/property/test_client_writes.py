"""What a client writes stands against all that was said before it, whenever that arrives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import chart
from store.facts import Clock, Fact
from store.identity import fhir_id, reference
from tests.store.portal import IDENTITY, MRN, Json, Portal, entry, put

PATIENT = IDENTITY.patient_key(MRN, "1")
RESULT = IDENTITY.key("Observation", "F1")
STAY = IDENTITY.key("Encounter", "V1")
OF_HIM = {"subject": reference("Patient", PATIENT)}


def patient(time: int, weight: int = 1, **elements: Any) -> Fact:
    return Fact("Patient", PATIENT, Clock(time, weight=weight), elements, PATIENT)


def result(time: int, rank: int, status: str, text: str) -> Fact:
    elements = {"status": status, "code": {"text": "K"}, **OF_HIM, "valueString": text}
    return Fact("Observation", RESULT, Clock(time, rank), elements, PATIENT)


def stay(time: int, event: str, cancels: str = "", **elements: Any) -> Fact:
    said = {"class": {"code": "IMP"}, **OF_HIM, **elements}
    return Fact("Encounter", STAY, Clock(time), said, PATIENT, event, cancels)


FIRST = (patient(1, gender="male"), result(1, 1, "preliminary", "?"), stay(1, "A01", status="in-progress"))
FEED = (
    patient(10, name=[{"family": "A"}], birthDate="1980-01-01"),
    patient(20, name=[{"family": "B"}], birthDate=None),
    patient(30, weight=0, telecom=[{"value": "1"}], gender="female"),
    result(10, 2, "final", "6.30"),
    result(10, 3, "corrected", "3.60"),
    stay(20, "A03", status="finished", period={"end": "2026-01-05"}),
    stay(30, "A13", "A03", status="in-progress"),
)
LATER = (
    patient(5000, name=[{"family": "Z"}]),
    result(5000, 3, "corrected", "9"),
    stay(5000, "A08", status="finished"),
)


def whole(type: str, key: bytes, **elements: Any) -> Json:
    return {"resourceType": type, "id": fhir_id(key), **elements}


WRITES: tuple[tuple[Json, ...], ...] = (
    (put(whole("Patient", PATIENT, name=[{"family": "P"}])),),
    (put(whole("Observation", RESULT, status="amended", code={"text": "K"}, **OF_HIM)),),
    (put(whole("Encounter", STAY, status="planned", **{"class": {"code": "AMB"}}, **OF_HIM)),),
    (entry("DELETE", f"Observation/{fhir_id(RESULT)}"), entry("DELETE", f"Encounter/{fhir_id(STAY)}")),
)


def written(before: list[Fact], bundle: tuple[Json, ...], after: list[Fact]) -> str:
    portal = Portal()
    portal.says(*FIRST)
    for fact in before:
        portal.says(fact)
    portal.done(*bundle)
    for fact in after:
        portal.says(fact)
    found = chart.digest(portal.connection)
    portal.connection.close()
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    order=st.permutations(FEED),
    split=st.integers(0, len(FEED)),
    bundle=st.sampled_from(WRITES),
    later=st.booleans(),
)
def test_what_was_said_before_a_write_may_arrive_after_it(
    order: list[Fact], split: int, bundle: tuple[Json, ...], later: bool
) -> None:
    rest = list(LATER) if later else []
    assert written(order[:split], bundle, [*order[split:], *rest]) == written(list(FEED), bundle, rest)


def test_a_planted_arrival_order_bug_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "pack", lambda self, position: position.to_bytes(36, "big"))
    assert written([], WRITES[1], list(FEED)) != written(list(FEED), WRITES[1], [])

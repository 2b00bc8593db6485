"""What the guard lets through, and what it says of the rest: a code and a place, never a value."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from engine.guard import Guard
from engine.plugin import Feed
from engine.standards.hl7v2 import FORMAT, legible
from engine.subject import identifiers, patient_of, time_of
from formats import hl7v2
from store.identity import Authority, Identity, Patient
from store.reason import Reason

HOSPITAL = Authority("hospital", "urn:oid:1.2.3", frozenset({"HOSP"}), identifies=True)
CLINIC = Authority("clinic", "urn:oid:1.2.4", frozenset({"CLINIC"}), identifies=True)
INSURER = Authority("insurer", "urn:oid:9", frozenset({"INS"}))
IDENTITY = Identity(b"secret", [HOSPITAL, CLINIC, INSURER])
FEED = Feed("adt", ZoneInfo("America/New_York"), IDENTITY)
DAY = 86_400_000_000
NOON = 1_704_214_800_000_000  # 2024-01-02T12:00:00-05:00
GUARD = Guard(FORMAT, FEED, frozenset({"P"}), DAY, stores=True)


def message(
    pid3: str = "7^^^HOSP", sent: str = "20240102120000", processing: str = "P", more: str = ""
) -> hl7v2.Message:
    text = f"MSH|^~\\&|A|B|||{sent}||ADT^A01|1|{processing}|2.5\rPID|1||{pid3}\r{more}"
    parsed = hl7v2.parse(text.encode())
    assert isinstance(parsed, hl7v2.Message)
    return parsed


def test_a_good_message_passes() -> None:
    assert GUARD(message(), NOON) is None


@pytest.mark.parametrize(
    ("pid3", "code", "place"),
    [
        ("", "blank-patient-id", "PID-3[1].1"),
        ("  ^^^HOSP", "blank-patient-id", "PID-3[1].1"),
        ('""^^^HOSP', "blank-patient-id", "PID-3[1].1"),
        ("7^^^NOWHERE", "unknown-authority", "PID-3[1].1"),
        ("7", "unknown-authority", "PID-3[1].1"),
        ("7^^^INS", "unknown-authority", "PID-3[1].1"),
        ("^^^HOSP~7^^^INS", "unknown-authority", "PID-3[2].1"),
        ("7^^^HOSP~8^^^HOSP", "two-identifiers", "PID-3[2].1"),
    ],
)
def test_a_patient_is_never_guessed(pid3: str, code: str, place: str) -> None:
    reason = GUARD(message(pid3), NOON)
    assert isinstance(reason, Reason)
    assert (reason.code, reason.place) == (code, place)


def test_every_pid_of_a_message_is_looked_at() -> None:
    reason = GUARD(message(more="PID|2||^^^HOSP\r"), NOON)
    assert isinstance(reason, Reason)
    assert reason.place == "PID[2]-3[1].1"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("", "no-time"),
        ('""', "no-time"),
        ("20240230", "bad-time"),
        ("yesterday", "bad-time"),
        ("20240103120001", "future-time"),
    ],
)
def test_a_source_time_is_needed(sent: str, code: str) -> None:
    reason = GUARD(message(sent=sent), NOON)
    assert isinstance(reason, Reason)
    assert (reason.code, reason.place) == (code, "MSH-7.1")


def test_a_source_time_within_the_limit_is_not_in_the_future() -> None:
    assert GUARD(message(sent="20240103120000"), NOON) is None
    assert GUARD(message(sent="20240103120000"), NOON - 1) is not None


def test_the_clock_is_the_first_path_with_a_value() -> None:
    feed = replace(FEED, clock=("EVN-2.1", "MSH-7.1"))
    with_event = message(more="EVN||20240101^S\r")
    assert time_of(with_event, feed).micros == 1_704_085_200_000_000  # type: ignore[union-attr]
    assert time_of(message(), feed).micros == NOON  # type: ignore[union-attr]
    bad = time_of(message(more="EVN||soon\r"), feed)
    assert isinstance(bad, Reason)
    assert (bad.code, bad.place) == ("bad-time", "EVN-2.1")


@pytest.mark.parametrize("processing", ["T", "D", "", "p"])
def test_a_test_message_never_passes(processing: str) -> None:
    reason = GUARD(message(processing=processing), NOON)
    assert isinstance(reason, Reason)
    assert (reason.code, reason.place) == ("test-message", "MSH-11.1")


def test_a_channel_accepts_what_it_declares() -> None:
    training = replace(GUARD, processing=frozenset({"P", "T"}))
    assert training(message(processing="T^A"), NOON) is None


def test_a_channel_that_does_not_store_needs_neither_patient_nor_time() -> None:
    passing = replace(GUARD, stores=False)
    assert passing(message("", ""), NOON) is None
    assert passing(message(processing="T"), NOON) is not None


def test_an_undecodable_byte_is_never_replaced() -> None:
    raw = message().raw.replace(b"PID|1||7^^^HOSP", b"PID|1||7^^^HOSP||J\xffNE")
    found = hl7v2.parse(raw)
    assert isinstance(found, hl7v2.Message)
    reason = legible(found)
    assert isinstance(reason, Reason)
    assert (reason.code, reason.place) == ("undecodable", "PID-5")


def test_the_patient_is_the_preferred_authoritys() -> None:
    patient = patient_of(
        message("8^^^CLINIC^PI~9^^^INS~ 7 ^^^ignored&1.2&ISO~7^^^X&urn:oid:1.2.3&ISO^MR"), FEED
    )
    assert isinstance(patient, Patient)
    assert (patient.authority, patient.value) == (HOSPITAL, "7")
    assert patient.others == ((IDENTITY.patient_key(CLINIC, "8"), "PID-3[1].1"),)


def test_the_channels_authority_answers_for_an_empty_assigner_only() -> None:
    feed = replace(FEED, authority=HOSPITAL)
    assert patient_of(message("7"), feed) == patient_of(message("7^^^HOSP"), FEED)
    assert isinstance(patient_of(message("7^^^NOWHERE"), feed), Reason)


def test_identifiers_of_another_segment() -> None:
    merge = message(more="MRG|6^^^HOSP^MR\r")
    segment = merge.first("MRG")
    assert segment
    found = identifiers(merge, segment, 1)
    assert not isinstance(found, Reason)
    (prior,) = found
    assert (prior.value, prior.assigners, prior.type, prior.place) == ("6", ("HOSP",), "MR", "MRG-1[1].1")


def test_no_reason_holds_a_value() -> None:
    canary = "CANARY"
    for bad in (
        message(f"{canary}^^^{canary}"),
        message(f"{canary}^^^HOSP~X{canary}^^^HOSP"),
        message(sent=canary),
    ):
        assert canary not in str(GUARD(bad, NOON))
    assert canary not in str(GUARD(message(processing=canary), NOON))

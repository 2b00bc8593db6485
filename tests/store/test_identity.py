"""An authority that numbers more than patients: only the types that it declares tell patients apart."""

from __future__ import annotations

import pytest

from store.identity import Authority, Identifier, Identity, Patient
from store.reason import Reason

HOSPITAL = Authority("hospital", "urn:oid:1.2.3", frozenset({"HOSP"}), identifies=True, types=("MR", "PI"))
IDENTITY = Identity(b"secret", [HOSPITAL])


def found(*numbers: tuple[str, str]) -> Patient | Reason:
    """Who a PID-3 of these (CX-1, CX-5) of the hospital is."""
    return IDENTITY.patient(
        [Identifier(value, ("HOSP",), type, f"PID-3[{n}].1") for n, (value, type) in enumerate(numbers, 1)]
    )


@pytest.mark.parametrize("numbers", [[("7", "MR"), ("8", "VN")], [("8", "VN"), ("7", "PI")], [("7", "")]])
def test_the_patients_number_is_found_among_others(numbers: list[tuple[str, str]]) -> None:
    patient = found(*numbers)
    assert isinstance(patient, Patient)
    assert (patient.value, patient.others) == ("7", ())


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([("8", "VN")], "unknown-authority"),
        ([("7", "MR"), ("8", "PI")], "two-identifiers"),
        ([("7", "MR"), ("8", "")], "two-identifiers"),
    ],
)
def test_a_number_of_another_type_is_nobody(numbers: list[tuple[str, str]], code: str) -> None:
    reason = found(*numbers)
    assert isinstance(reason, Reason)
    assert reason.code == code

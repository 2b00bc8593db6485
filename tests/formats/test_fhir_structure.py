"""What R4 says of the elements at the top of a resource."""

import pytest

from formats import fhir


@pytest.mark.parametrize(
    ("type", "elements"),
    [
        ("Patient", set()),
        ("Observation", {"status", "code"}),
        ("Encounter", {"status", "class"}),
        ("DiagnosticReport", {"status", "code"}),
        ("ServiceRequest", {"status", "intent", "subject"}),
        ("MedicationRequest", {"status", "intent", "medication[x]", "subject"}),
        ("Binary", {"contentType"}),
    ],
)
def test_required_elements(type: str, elements: set[str]) -> None:
    assert fhir.required(type) == elements


@pytest.mark.parametrize(
    ("type", "element", "slot"),
    [
        ("Observation", "valueQuantity", "value[x]"),
        ("Observation", "_valueString", "value[x]"),
        ("Observation", "effectiveDateTime", "effective[x]"),
        ("Patient", "deceasedBoolean", "deceased[x]"),
        ("Patient", "multipleBirthInteger", "multipleBirth[x]"),
        ("MedicationRequest", "medicationCodeableConcept", "medication[x]"),
        ("Observation", "code", None),
        ("Observation", "valueMoney", None),
        ("Patient", "valueQuantity", None),
    ],
)
def test_the_types_of_a_choice_share_a_slot(type: str, element: str, slot: str | None) -> None:
    assert fhir.choice(type, element) == slot


@pytest.mark.parametrize(
    ("type", "element", "many"),
    [
        ("Patient", "name", True),
        ("Patient", "gender", False),
        ("Observation", "valueQuantity", False),
        ("Observation", "interpretation", True),
        ("DiagnosticReport", "result", True),
        ("Patient", "nonesuch", False),
    ],
)
def test_which_elements_repeat(type: str, element: str, many: bool) -> None:
    assert fhir.is_list(type, element) is many


def test_an_unknown_type_is_a_mistake_of_the_caller() -> None:
    for ask in (lambda: fhir.required("Patent"), lambda: fhir.is_list("Patent", "name")):
        with pytest.raises(KeyError):
            ask()

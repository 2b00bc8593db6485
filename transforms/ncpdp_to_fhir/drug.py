"""MedicationPrescribed: what is prescribed, how much of it, and why.

What a MedicationRequest with a coded drug cannot hold (strength and form by themselves, coverage codes, ...) is not
made up elsewhere: it is in the message, whose bytes are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from formats import script
from formats.reason import Reason
from transforms.ncpdp_to_fhir.values import NCIT, UCUM, Json, amount, coded, count, kept

PLACE = "Body/NewRx/MedicationPrescribed"


def drug_of(message: script.Message, drug: Any) -> Json:
    """The drug in words, with its codes."""
    codings = [c for name in ("ProductCode", "DrugDBCode") for c in _codes(message, drug, name)]
    return kept(
        {"coding": [c for c in codings if "system" in c], "text": message.text("DrugDescription", drug)}
    )


def _codes(message: script.Message, drug: Any, name: str) -> Iterator[Json]:
    """Codes with their qualifiers: below them, as their attributes, or beside them."""
    beside = message.text(f"DrugCoded/{name}Qualifier", drug)
    for found in message.all(f"DrugCoded/{name}", drug):
        qualifier = message.text("Qualifier", found) or found.get("Qualifier") or beside
        yield coded(message.text("Code", found) or (found.text or "").strip(), qualifier)


def dispense(message: script.Message, drug: Any) -> Json | Reason:
    """MedicationRequest.dispenseRequest, but for the pharmacy."""
    quantity = amount(message.text("Quantity/Value", drug), f"{PLACE}/Quantity/Value")
    days = amount(message.text("DaysSupply", drug), f"{PLACE}/DaysSupply")
    written = message.first("NumberOfRefills", "Refills/Value", "Refills/Quantity", below=drug)
    refills = count(written, f"{PLACE}/NumberOfRefills")
    for value in (quantity, days, refills):
        if isinstance(value, Reason):
            return value
    return kept(
        {
            "numberOfRepeatsAllowed": refills,
            "quantity": _quantity(message, drug, quantity) if isinstance(quantity, Decimal) else None,
            "expectedSupplyDuration": days and {"value": days, "unit": "days", "system": UCUM, "code": "d"},
        }
    )


def _quantity(message: script.Message, drug: Any, value: Decimal) -> Json:
    unit = message.first("Quantity/QuantityUnitOfMeasure/Code", "Quantity/UnitSourceCode", below=drug)
    word = message.text("Quantity/QuantityUnitOfMeasure", drug)
    coding = {"system": NCIT, "code": unit} if unit else {"unit": word}
    return kept({"value": value, **coding})


def substitution(message: script.Message, drug: Any) -> Json | None:
    """Substitutions: 0 the pharmacist may, anything else is a reason why not."""
    code = message.text("Substitutions", drug)
    return {"allowedBoolean": code == "0"} if code else None


def reasons(message: script.Message, drug: Any) -> list[Json]:
    """The diagnoses, primary before secondary."""
    found = [
        _reason(message, each)
        for rank in ("Primary", "Secondary")
        for each in message.all(f"Diagnosis/{rank}", drug)
    ]
    return [reason for reason in found if reason]


def _reason(message: script.Message, diagnosis: Any) -> Json:
    code = message.first("Code", "Value", below=diagnosis)
    coding = coded(code, message.text("Qualifier", diagnosis))
    return kept({"coding": [coding] if coding else [], "text": message.text("Description", diagnosis)})

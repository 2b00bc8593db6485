"""Who and what the story is about: twelve invented patients and the tests that are run on them."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class Patient(NamedTuple):
    number: int
    family: str
    given: str
    birth: str
    sex: str
    street: str
    city: str
    ward: str
    attending: str

    @property
    def mrn(self) -> str:
        return f"MRN{10000 + self.number}"

    @property
    def duplicate(self) -> str:
        """The number of a second record of the same person, merged into the first by an A40."""
        return f"MRN{90000 + self.number}"

    @property
    def visit(self) -> str:
        return f"V{2000 + self.number}"

    @property
    def clinic_visit(self) -> str:
        return f"C{5000 + self.number}"

    def phone(self, version: int) -> str:
        """The telephone number as of the `version`th update."""
        return f"(555)555-{version}{self.number:03}"


PATIENTS = tuple(
    Patient(number, *row)
    for number, row in enumerate(
        (
            ("Okafor", "Adaeze", "19480312", "F", "12 Quarry Rd", "Millbrook", "MED", "4101^Lindqvist^Sara"),
            (
                "Müller",
                "Jürgen",
                "19550721",
                "M",
                "7 Harbor \\T\\ Main",
                "Millbrook",
                "CARD",
                "4102^Adeyemi^Tunde",
            ),
            ("O'Hara", "Siobhan", "19620105", "F", "88 Elm St", "Ashford", "SURG", "4103^Novak^Petra"),
            ("Tanaka", "Kenji", "19701130", "M", "301 Birch Ave", "Ashford", "MED", "4101^Lindqvist^Sara"),
            ("Delacroix", "Zoë", "19880229", "F", "5 Station Sq", "Millbrook", "CARD", "4102^Adeyemi^Tunde"),
            ("Castillo", "Ramón", "19931018", "M", "19 Canal Ct", "Linden", "SURG", "4103^Novak^Petra"),
            ("Haugen", "Ingrid", "19390604", "F", "44 Lake View", "Linden", "MED", "4101^Lindqvist^Sara"),
            ("Petrov", "Dmitri", "19670915", "M", "2 Foundry Ln", "Millbrook", "CARD", "4102^Adeyemi^Tunde"),
            ("Nakamura", "Yui", "20010417", "F", "76 Orchard Way", "Ashford", "SURG", "4103^Novak^Petra"),
            ("Byrne", "Conor", "19741222", "M", "130 Mill Pond Rd", "Linden", "MED", "4101^Lindqvist^Sara"),
            ("Haddad", "Leïla", "19820809", "F", "9 Rose Ter", "Millbrook", "CARD", "4102^Adeyemi^Tunde"),
            ("Kowalski", "Jan", "19510526", "M", "21 Bridge St", "Ashford", "SURG", "4103^Novak^Petra"),
        ),
        start=1,
    )
)

MARTA = Patient(
    21, "Ekström", "Marta", "19640411", "F", "14 Ferry St", "Millbrook", "CARD", "4101^Lindqvist^Sara"
)  # the one who is followed over all wires


class Analyte(NamedTuple):
    """One test. `local` is the laboratory's own code; channels/tables/lab_to_loinc.csv has its LOINC code."""

    local: str
    name: str
    unit: str
    low: Decimal
    high: Decimal
    step: Decimal

    def value(self, seed: int) -> Decimal:
        """A plausible result, the same for the same seed, with the laboratory's own number of decimals."""
        middle = (self.low + self.high) / 2
        return (middle + self.step * (seed % 9 - 4)).quantize(self.step)

    def flag(self, value: Decimal) -> str:
        """HL7 table 0078: critical when more than a fifth beyond the range."""
        if value > self.high:
            return "HH" if value > self.high * Decimal("1.2") else "H"
        if value < self.low:
            return "LL" if value < self.low * Decimal("0.8") else "L"
        return "N"


def _analyte(row: str) -> Analyte:
    local, name, unit, low, high, step = row.split("|")
    return Analyte(local, name, unit, Decimal(low), Decimal(high), Decimal(step))


CHEMISTRY = tuple(
    map(
        _analyte,
        (
            "NA|Sodium|mmol/L|136|145|1",
            "K|Potassium|mmol/L|3.50|5.10|0.10",
            "CL|Chloride|mmol/L|98|107|1",
            "CO2|Carbon dioxide|mmol/L|21|32|1",
            "BUN|Urea nitrogen|mg/dL|7|20|1",
            "CREA|Creatinine|mg/dL|0.60|1.30|0.10",
            "GLU|Glucose|mg/dL|70|105|6",
            "CA|Calcium|mg/dL|8.5|10.5|0.1",
            "ALB|Albumin|g/dL|3.5|5.0|0.1",
            "TP|Protein|g/dL|6.0|8.3|0.2",
            "TBIL|Bilirubin|mg/dL|0.1|1.2|0.1",
            "ALP|Alkaline phosphatase|U/L|44|147|9",
            "ALT|Alanine aminotransferase|U/L|7|56|5",
            "AST|Aspartate aminotransferase|U/L|10|40|3",
        ),
    )
)
POTASSIUM = CHEMISTRY[1]
FILTRATION = _analyte("EGFR|Glomerular filtration rate|mL/min|60|150|1")
TROPONIN = _analyte("TNI|Troponin I|ng/mL|0.00|0.04|0.01")
UNLISTED = _analyte("MYST|Unlisted test|U/L|1|9|1")  # a code that the table does not have

BLOOD_COUNT = tuple(
    map(
        _analyte,
        (
            "WBC|Leukocytes|10*3/uL|4.0|11.0|0.9",
            "RBC|Erythrocytes|10*6/uL|4.00|5.90|0.10",
            "HGB|Hemoglobin|g/dL|12.0|17.5|0.4",
            "HCT|Hematocrit|%|36|50|2",
            "MCV|Mean corpuscular volume|fL|80|100|2",
            "MCH|Mean corpuscular hemoglobin|pg|27.0|33.0|0.5",
            "MCHC|Mean corpuscular hemoglobin concentration|g/dL|32.0|36.0|0.3",
            "PLT|Platelets|10*3/uL|150|400|25",
        ),
    )
)

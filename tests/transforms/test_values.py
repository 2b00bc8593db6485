"""OBX-5 by OBX-2, units, reference ranges: numbers keep their text, and nothing is guessed."""

from decimal import Decimal

import pytest

from tests.transforms.messages import msh, seg

MSH = msh("R01", kind="ORU")
PID = seg("PID", f3="MR001^^^HOSP", f5="Doe")
OBR = seg("OBR", f3="1", f4="X", f25="F")
MGDL = {"unit": "mg/dL"}


@pytest.fixture
def value(facts):
    """The elements that tell what was observed."""

    def value(type, text, units="", **fields):
        obx = seg("OBX", **{"f2": type, "f3": "A^Test^L", "f5": text, "f6": units, "f11": "F"} | fields)
        (result,) = facts(MSH, PID, OBR, obx)["Observation"]
        common = {"status", "code", "subject", "basedOn"}
        return {name: value for name, value in result.elements.items() if name not in common}

    return value


@pytest.mark.parametrize(
    ("text", "number"),
    [("6.30", "6.30"), ("-0.5", "-0.5"), ("+7", "7"), (".5", "0.5"), ("007", "7"), ("5.", "5"), ("0", "0")],
)
def test_a_number_keeps_its_digits(value, text, number):
    found = value("NM", text, "mg/dL")
    assert found == {"valueQuantity": {"value": Decimal(number), **MGDL}}
    assert str(found["valueQuantity"]["value"]) == number


@pytest.mark.parametrize("comparator", ["<", "<=", ">", ">="])
def test_a_number_with_a_comparator(value, comparator):
    expected = {"valueQuantity": {"value": Decimal("5.0"), "comparator": comparator, **MGDL}}
    assert value("NM", f"{comparator}5.0", "mg/dL") == expected
    assert value("NM", f"{comparator} 5.0", "mg/dL") == expected
    assert value("SN", f"{comparator}^5.0", "mg/dL") == expected


@pytest.mark.parametrize(
    "text",
    ["pending", "5-6", "1,000", "1e5", "NaN", "Infinity", "1_000", "<", "5 mg", "٣", "<>5", "--5"],
)
def test_what_is_no_number_stays_text(value, text):
    assert value("NM", text, "mg/dL") == {"valueString": text}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("^100", {"valueQuantity": {"value": Decimal(100), **MGDL}}),
        ("=^100", {"valueQuantity": {"value": Decimal(100), **MGDL}}),
        (
            "^1^:^128",
            {
                "valueRatio": {
                    "numerator": {"value": Decimal(1), **MGDL},
                    "denominator": {"value": Decimal(128), **MGDL},
                }
            },
        ),
        (
            ">^1^/^320",
            {
                "valueRatio": {
                    "numerator": {"value": Decimal(1), "comparator": ">", **MGDL},
                    "denominator": {"value": Decimal(320), **MGDL},
                }
            },
        ),
        (
            "^3^-^5",
            {"valueRange": {"low": {"value": Decimal(3), **MGDL}, "high": {"value": Decimal(5), **MGDL}}},
        ),
        ("^2^+", {"valueString": "2+"}),
        ("<>^5", {"valueString": "<>5"}),
        (">^3^-^5", {"valueString": ">3-5"}),
        ("^many", {"valueString": "many"}),
        ("^1^:", {"valueString": "1:"}),
        (">", {"valueString": ">"}),
        ("^", {}),
    ],
)
def test_structured_numeric(value, text, expected):
    assert value("SN", text, "mg/dL") == expected


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ("", {}),
        ("mg/dL", {"unit": "mg/dL"}),
        ("mg/dL^^UCUM", {"unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"}),
        (
            "mg/dL^milligram per decilitre^UCUM",
            {
                "unit": "milligram per decilitre",
                "system": "http://unitsofmeasure.org",
                "code": "mg/dL",
            },
        ),
        ("x^X^99LAB", {"unit": "X", "system": "urn:chartwire:codesystem:99LAB", "code": "x"}),
        (
            "10*3/uL^^ISO+",
            {"unit": "10*3/uL", "system": "urn:chartwire:codesystem:ISO%2B", "code": "10*3/uL"},
        ),
    ],
)
def test_units(value, units, expected):
    assert value("NM", "1", units) == {"valueQuantity": {"value": Decimal(1), **expected}}


@pytest.mark.parametrize("type", ["ST", "TX", "FT", "", "ZZ"])
def test_text_keeps_its_lines(value, type):
    assert value(type, "one~two~~four") == {"valueString": "one\ntwo\n\nfour"}
    assert value(type, "  indented\\.br\\a \\T\\ b  ") == {"valueString": "  indented\na & b"}
    assert value(type, "a\\X00\\b") == {"valueString": "ab"}
    assert value(type, "   ") == {}


@pytest.mark.parametrize("type", ["CE", "CWE", "CNE", "IS", "ID"])
def test_codes(value, type):
    assert value(type, "260385009^Negative^SCT") == {
        "valueCodeableConcept": {
            "coding": [{"system": "http://snomed.info/sct", "code": "260385009", "display": "Negative"}]
        }
    }
    assert value(type, "^Negative") == {"valueCodeableConcept": {"text": "Negative"}}
    assert value(type, "NEG") == {"valueCodeableConcept": {"coding": [{"code": "NEG"}]}}


def test_codes_keep_alternates_versions_and_text(value):
    assert value("CWE", "A^Alpha^L^B^Beta^LN^1^2.7^as said^C^Gamma^SCT^9") == {
        "valueCodeableConcept": {
            "coding": [
                {"system": "urn:chartwire:codesystem:L", "version": "1", "code": "A", "display": "Alpha"},
                {"system": "http://loinc.org", "version": "2.7", "code": "B", "display": "Beta"},
                {"system": "http://snomed.info/sct", "version": "9", "code": "C", "display": "Gamma"},
            ],
            "text": "as said",
        }
    }


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("LN", "http://loinc.org"),
        ("ln", "http://loinc.org"),
        ("SCT", "http://snomed.info/sct"),
        ("I10", "http://hl7.org/fhir/sid/icd-10"),
        ("HL70078", "http://terminology.hl7.org/CodeSystem/v2-0078"),
        ("HL7123", "http://terminology.hl7.org/CodeSystem/v2-0123"),
        ("2.16.840.1.113883.6.1", "http://loinc.org"),
        ("2.999.5.6", "urn:oid:2.999.5.6"),
        ("http://example.org/codes", "http://example.org/codes"),
        ("urn:oid:2.16.840.1.113883.6.96", "http://snomed.info/sct"),
        ("99 our/own", "urn:chartwire:codesystem:99%20our%2Fown"),
    ],
)
def test_coding_systems(value, name, uri):
    (coding,) = value("CE", f"X^x^{name}")["valueCodeableConcept"]["coding"]
    assert coding["system"] == uri


@pytest.mark.parametrize("type", ["DT", "TS", "DTM"])
def test_dates(value, type):
    assert value(type, "20250301") == {"valueDateTime": "2025-03-01"}
    assert value(type, "2025") == {"valueDateTime": "2025"}
    assert value(type, "202503010930+0100") == {"valueDateTime": "2025-03-01T09:30:00+01:00"}


def test_times(value):
    assert value("TM", "0930") == {"valueTime": "09:30:00"}
    assert value("TM", "093015.25") == {"valueTime": "09:30:15.25"}
    for text in ("09", "2430", "0930+0100", "noon"):
        assert value("TM", text) == {"valueString": text}


def test_periods_and_ranges(value):
    assert value("DR", "20250301^20250302") == {"valuePeriod": {"start": "2025-03-01", "end": "2025-03-02"}}
    assert value("DR", "20250301") == {"valuePeriod": {"start": "2025-03-01"}}
    assert value("DR", "^20250302") == {"valuePeriod": {"end": "2025-03-02"}}
    assert value("DR", "soon^20250302") == {"valueString": "soon^20250302"}
    assert value("NR", "1^2.0") == {
        "valueRange": {"low": {"value": Decimal(1)}, "high": {"value": Decimal("2.0")}}
    }
    assert value("NR", "a^b") == {"valueString": "a^b"}


def test_several_answers_are_components(value):
    found = value("NM", "1~2", "mg/dL")
    code = {"coding": [{"system": "urn:chartwire:codesystem:L", "code": "A", "display": "Test"}]}
    assert found == {
        "component": [
            {"code": code, "valueQuantity": {"value": Decimal(1), **MGDL}},
            {"code": code, "valueQuantity": {"value": Decimal(2), **MGDL}},
        ]
    }
    assert value("CE", "X^x^L~") == value("CE", "X^x^L")


def test_documents_and_pointers(value):
    url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value"

    def attachment(found):
        (extension,) = found["extension"]
        assert extension["url"] == url
        return extension["valueAttachment"]

    pdf = {"contentType": "application/pdf", "data": "JVBERi0="}
    assert attachment(value("ED", "LAB^AP^PDF^Base64^JVBERi0=")) == pdf
    assert attachment(value("ED", "^TEXT^PLAIN^A^hi")) == {"contentType": "text/plain", "data": "aGk="}
    assert value("ED", "^AP^PDF^Base64^%%%") == {"valueString": "^AP^PDF^Base64^%%%"}
    pointer = value("RP", "https://example.org/1^LAB^Application^PDF")
    assert attachment(pointer) == {"contentType": "application/pdf", "url": "https://example.org/1"}
    assert value("RP", "file 7^LAB") == {"valueString": "file 7^LAB"}
    assert len(value("ED", "LAB^AP^PDF^Base64^JVBERi0=", f4="1")["extension"]) == 2


def test_nothing_and_null_have_no_value(value):
    for type in ("NM", "SN", "ST", "TX", "FT", "CE", "CWE", "DT", "TM", "TS", "ED", "RP", "DR", "NR"):
        assert value(type, "") == {}
        assert value(type, '""') == {}


def limit(number):
    return {"value": Decimal(number), **MGDL}


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("3.50-5.1", "3.50", "5.1"),
        ("3.5 - 5.1", "3.5", "5.1"),
        ("-2--1", "-2", "-1"),
        ("-2.5-2.5", "-2.5", "2.5"),
        ("<5", None, "5"),
        ("<= 5", None, "5"),
        (">60", "60", None),
        (">=60", "60", None),
        ("60-", "60", None),
        ("5.1-3.5", None, None),
        ("3.5-5.1 mmol/L", None, None),
        ("-5", None, None),
        ("negative", None, None),
        ("1:40-1:80", None, None),
    ],
)
def test_reference_ranges(value, text, low, high):
    (found,) = value("NM", "1", "mg/dL", f7=text)["referenceRange"]
    ends = {"low": low, "high": high}
    assert found == {name: limit(n) for name, n in ends.items() if n is not None} | {"text": text}


def test_interpretations_repeat_and_keep_the_unknown(value):
    found = value("NM", "1", f8="H~QQ~>")["interpretation"]
    assert [c["coding"][0]["code"] for c in found] == ["H", "QQ", ">"]
    assert found[1]["coding"] == [{"system": "http://terminology.hl7.org/CodeSystem/v2-0078", "code": "QQ"}]

"""Data types, each through a field that has it."""

from dataclasses import replace

import pytest

from tests.transforms.conftest import MRN, VISITS
from tests.transforms.messages import msh, seg

V2 = "http://terminology.hl7.org/CodeSystem/v2-"
HERE = "MR001^^^HOSP"


@pytest.fixture
def patient(facts):
    def patient(**fields):
        return facts(msh("A08"), seg("PID", **{"f3": HERE} | fields))["Patient"][0].elements

    return patient


@pytest.fixture
def visit(facts):
    def visit(**fields):
        return facts(msh("A08"), seg("PID", f3=HERE), seg("PV1", **{"f2": "I", "f19": "V1"} | fields))[
            "Encounter"
        ][0].elements

    return visit


@pytest.mark.parametrize(
    ("authority", "system"),
    [
        ("NAT", "urn:oid:2.999.2"),
        ("nat", "urn:oid:2.999.2"),
        ("&NAT&L", "urn:oid:2.999.2"),
        ("ELSE", "urn:chartwire:authority:ELSE"),
        ("Some Where/Ö", "urn:chartwire:authority:Some%20Where%2F%C3%96"),
        ("ELSE&2.999.9&ISO", "urn:oid:2.999.9"),
        ("&2.999.9.1&", "urn:oid:2.999.9.1"),
        ("&1D0A9F0E-5A0B-4F3C-9F3E-000000000001&UUID", "urn:uuid:1d0a9f0e-5a0b-4f3c-9f3e-000000000001"),
        ("&http://ids.example.org&URI", "http://ids.example.org"),
        ("&ids.example.org&DNS", "urn:chartwire:authority:ids.example.org"),
        ("", None),
    ],
)
def test_cx_system(patient, authority, system):
    identifier = patient(f4=f"77^^^{authority}^MR")["identifier"][1]
    assert identifier.get("system") == system
    assert identifier["value"] == "77"


def test_cx_dates_and_check_digit(patient):
    assert patient(f4="77^3^M11^ELSE^PI^^20200101^20291231")["identifier"][1] == {
        "value": "77",
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/identifier-checkDigit", "valueString": "3"}
        ],
        "system": "urn:chartwire:authority:ELSE",
        "assigner": {"display": "ELSE"},
        "type": {"coding": [{"system": f"{V2}0203", "code": "PI", "display": "Patient internal identifier"}]},
        "period": {"start": "2020-01-01", "end": "2029-12-31"},
    }


def test_an_identifier_without_a_value_is_none(patient):
    assert len(patient(f4="^^^ELSE^MR~77^^^ELSE~  ^^^ELSE")["identifier"]) == 2


def test_the_same_identifier_twice_is_one(patient):
    assert len(patient(f2=HERE, f4=HERE)["identifier"]) == 1


def test_an_identifier_without_an_authority_is_of_the_feed_s(facts, feed):
    of = replace(feed, authority=MRN)
    found = facts(msh("A08"), seg("PID", f3="5", f4="6"), of=of)["Patient"][0].elements
    assert found["identifier"] == [{"value": "5", "system": "urn:oid:2.999.1"}, {"value": "6"}]


def test_xpn(patient):
    assert patient(f5="van Dam&van&Dam^Eva^M^III^Ms^PhD^L^^^^^20200101^20210101^RN")["name"] == [
        {
            "family": "van Dam",
            "given": ["Eva", "M"],
            "suffix": ["III", "PhD", "RN"],
            "prefix": ["Ms"],
            "use": "official",
            "period": {"start": "2020-01-01", "end": "2021-01-01"},
        }
    ]
    assert "name" not in patient(f5="^^^^Ms")
    assert "name" not in patient(f5="^^^^^^L")
    assert patient(f5="Doe^^^~Roe^^^^^^M")["name"] == [{"family": "Doe"}, {"family": "Roe", "use": "maiden"}]
    assert patient(f5='Doe^""^A')["name"] == [{"family": "Doe", "given": ["A"]}]


def test_xpn_keeps_equal_given_names(patient):
    assert patient(f5="Li^Na^Na")["name"] == [{"family": "Li", "given": ["Na", "Na"]}]


def test_xad(patient):
    found = patient(f11="1 Elm^Apt 2^Town^ST^123^US^M^^Kings^^^^20200101~^^Town^^^^BA~^^^^^^H")["address"]
    assert found == [
        {
            "line": ["1 Elm", "Apt 2"],
            "city": "Town",
            "state": "ST",
            "postalCode": "123",
            "country": "US",
            "type": "postal",
            "district": "Kings",
            "period": {"start": "2020-01-01"},
        },
        {"city": "Town", "use": "old"},
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("555-1", {"system": "phone", "value": "555-1", "use": "home"}),
        ("555-1^WPN^PH", {"system": "phone", "value": "555-1", "use": "work"}),
        ("555-1^ORN^FX", {"system": "fax", "value": "555-1", "use": "home"}),
        ("555-1^PRN^CP", {"system": "phone", "value": "555-1", "use": "mobile"}),
        ("555-1^EMR^PH", {"system": "phone", "value": "555-1"}),
        ("555-1^BPN", {"system": "pager", "value": "555-1"}),
        ("^NET^Internet^a@b.org", {"system": "email", "value": "a@b.org"}),
        ("^NET^^a@b.org", {"system": "email", "value": "a@b.org"}),
        ("a@b.org^NET^Internet", {"system": "email", "value": "a@b.org"}),
        ("^^^a@b.org", {"system": "email", "value": "a@b.org", "use": "home"}),
        ("^PRN^PH^^1^555^1234^7", {"system": "phone", "value": "+1 555 1234 X7", "use": "home"}),
        ("^PRN^PH^^^555^1234", {"system": "phone", "value": "555 1234", "use": "home"}),
        ("^PRN^PH^^^^1234", {"system": "phone", "value": "1234", "use": "home"}),
        ("^PRN^PH^^1^555^1234^^^^^+1-555-1234", {"system": "phone", "value": "+1-555-1234", "use": "home"}),
        ("555-1^PRN^XX", {"system": "phone", "value": "555-1", "use": "home"}),
    ],
)
def test_xtn(patient, text, expected):
    assert patient(f13=text)["telecom"] == [expected]


def test_xtn_without_a_value_is_none(patient):
    assert "telecom" not in patient(f13="^PRN^PH", f14="^^Internet")


def test_xcn(visit):
    found = visit(f7="77^Ray&van^Ian^M^Jr^Dr^MD^^NAT^^^^NPI~^Solo~88")["participant"]
    assert [p["individual"] for p in found] == [
        {
            "type": "Practitioner",
            "identifier": {
                "value": "77",
                "system": "urn:oid:2.999.2",
                "type": {
                    "coding": [
                        {"system": f"{V2}0203", "code": "NPI", "display": "National provider identifier"}
                    ]
                },
            },
            "display": "Dr Ian M Ray Jr MD",
        },
        {"type": "Practitioner", "display": "Solo"},
        {"type": "Practitioner", "identifier": {"value": "88"}},
    ]


def test_pl(visit):
    found = visit(f3="ICU^12^B^HOSP&2.999&ISO^^N^EAST^3^^L5&LOC", f11="^^^^^N")["location"]
    assert found == [
        {
            "location": {
                "type": "Location",
                "display": "HOSP / EAST / 3 / ICU / 12 / B",
                "identifier": {"value": "L5", "system": "urn:chartwire:authority:LOC"},
            },
            "status": "active",
        }
    ]


def test_a_visit_number_keeps_its_own_type(visit):
    own = visit(f19="V1^^^VISITS^AN")["identifier"][0]
    assert own["type"]["coding"][0]["code"] == "AN"
    assert own["system"] == VISITS.namespace


def test_xon_and_general_practitioner(facts):
    found = facts(msh("A08"), seg("PID", f3=HERE), seg("PD1", f3="Clinic^^5^^^NAT^^^^X5", f4="77^Ray^Ian"))
    assert found["Patient"][0].elements["generalPractitioner"] == [
        {
            "type": "Organization",
            "display": "Clinic",
            "identifier": {"value": "X5", "system": "urn:oid:2.999.2"},
        },
        {"type": "Practitioner", "identifier": {"value": "77"}, "display": "Ian Ray"},
    ]


def test_booleans(patient):
    assert patient(f24="Y")["multipleBirthBoolean"] is True
    assert patient(f30="N")["deceasedBoolean"] is False
    assert "deceasedBoolean" not in patient(f30="MAYBE")
    assert patient(f29="20250301", f30="Y") | {"identifier": 0} == {
        "identifier": 0,
        "deceasedDateTime": "2025-03-01",
    }


def test_lower_case_codes_mean_what_capitals_mean(patient):
    assert patient(f8="f")["gender"] == "female"


def test_other_delimiters_and_escapes(say, parse):
    odd = "MSH*:%!@*HIS*H***20250301**ADT:A08*C1*P*2.5"
    (fact,) = say(odd, "PID***MR001:::HOSP**O!T!Hara!S!x:Ann%Roe:Bo***f")
    assert fact.elements["name"] == [
        {"family": "O@Hara:x", "given": ["Ann"]},
        {"family": "Roe", "given": ["Bo"]},
    ]

"""A laboratory order leaves the chart as OML^O21, and comes back as what it was."""

import copy
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.message import State, Stop
from engine.plugin import Feed
from formats import fhir, hl7v2
from store.facts import Fact
from store.identity import Authority, Identity
from transforms.fhir_to_hl7v2 import laboratory_order, maps
from transforms.fhir_to_hl7v2.datatypes import TYPES
from transforms.hl7v2_to_fhir import hl7v2_to_fhir
from transforms.hl7v2_to_fhir import maps as inbound

CHANNELS = Path(__file__).parents[2] / "channels"
BUNDLE = fhir.decode((CHANNELS / "samples" / "lab_order.json").read_bytes())
MRN = Authority("mrn", "https://riverside.example/mrn", frozenset({"RIVERSIDE"}), identifies=True)
SSN = Authority("ssn", "http://hl7.org/fhir/sid/us-ssn", frozenset({"SSA"}))
HIS = Authority("his", "https://riverside.example/his", frozenset({"HIS"}))
FEED = Feed("lab_orders", ZoneInfo("America/New_York"), Identity(b"k" * 16, [MRN, SSN, HIS]))


def changed(type="ServiceRequest", **elements):
    """The sample with other elements in one of its resources; None takes one away."""
    bundle = copy.deepcopy(BUNDLE)
    resource = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == type)
    resource |= elements
    for name in [n for n, value in elements.items() if value is None]:
        del resource[name]
    return bundle


def without(type):
    entries = [e for e in BUNDLE["entry"] if e["resource"]["resourceType"] != type]
    return {**BUNDLE, "entry": entries}


def sent(bundle, **settings):
    made = laboratory_order(bundle, FEED, **settings)
    assert isinstance(made, hl7v2.Message), made
    return made


def stopped(bundle, **settings):
    made = laboratory_order(bundle, FEED, **settings)
    assert isinstance(made, Stop), made
    return made.state, made.reason.code, made.reason.place


# --- what is said


def test_the_same_order_is_always_the_same_message():
    assert sent(BUNDLE) == sent(copy.deepcopy(BUNDLE))


def test_the_head_says_what_it_is_and_when_in_the_time_of_the_feed():
    head = sent(BUNDLE, sending_facility="RIVERSIDE", receiving_application="LIS", receiving_facility="LAB")
    assert [head.get(f"MSH-{n}") for n in (3, 4, 5, 6)] == ["CHARTWIRE", "RIVERSIDE", "LIS", "LAB"]
    assert head.get("MSH-9") == "OML^O21^OML_O21"
    assert head.get("MSH-7") == "20250303080507.1230-0500"
    assert [head.get(f"MSH-{n}") for n in (11, 12, 18)] == ["P", "2.5.1", "UNICODE UTF-8"]
    assert len(head.control) <= 20


def test_segments_stand_in_the_order_of_the_standard():
    names = [s.name for s in sent(BUNDLE).segments]
    assert names == ["MSH", "PID", "PV1", "ORC", "TQ1", "OBR", "NTE", "DG1", "DG1", "SPM"]


def test_a_number_that_does_not_identify_the_patient_stays_at_home():
    order = sent(BUNDLE)
    assert order.values("PID-3.1") == ["MRN10002"]
    assert b"999112222" not in order.raw


def test_an_authority_has_the_receivers_name_else_the_one_it_came_by_else_ours():
    assert sent(BUNDLE).get("PID-3.4") == "RIVERSIDE"
    assert sent(BUNDLE).get("ORC-2") == "L70001^his"
    assert sent(BUNDLE, names={"his": "HIS", "mrn": "RGH"}).get("ORC-2") == "L70001^HIS"
    assert sent(BUNDLE, names={"mrn": "RGH"}).get("PID-3.4") == "RGH"


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("urn:oid:2.999.5", "7^^2.999.5^ISO"),
        ("urn:uuid:0b7a", "7^^0b7a^UUID"),
        ("urn:chartwire:authority:CLINIC%20A", "7^CLINIC A"),
        ("https://elsewhere.example/orders", "7^^https://elsewhere.example/orders^URI"),
        ("", "7"),
    ],
)
def test_an_authority_that_nobody_declared_is_written_as_what_it_is(system, expected):
    number = {"system": system, "value": "7"} if system else {"value": "7"}
    assert sent(changed(identifier=[number])).get("ORC-2") == expected


@pytest.mark.parametrize(
    ("system", "name"),
    [
        ("http://loinc.org", "LN"),
        ("http://snomed.info/sct", "SCT"),
        ("http://hl7.org/fhir/sid/icd-10", "I10"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "I10C"),
        ("http://www.ama-assn.org/go/cpt", "C4"),
        ("http://terminology.hl7.org/CodeSystem/v2-0074", "HL70074"),
        ("urn:oid:2.999.8", "2.999.8"),
        ("urn:chartwire:codesystem:99LAB", "99LAB"),
        ("https://lab.example/codes", "https://lab.example/codes"),
    ],
)
def test_a_coding_system_has_its_name_in_table_0396(system, name):
    code = {"coding": [{"system": system, "code": "X", "display": "an X"}]}
    assert sent(changed(code=code)).get("OBR-4") == f"X^an X^{name}"


@pytest.mark.parametrize(
    ("status", "control", "state"),
    [("active", "NW", None), ("revoked", "CA", "CA"), ("entered-in-error", "CA", "CA")],
)
def test_an_order_is_new_or_taken_back(status, control, state):
    order = sent(changed(status=status))
    assert (order.get("ORC-1"), order.get("ORC-5")) == (control, state)
    assert order.get("ORC-2.1") == "L70001"


@pytest.mark.parametrize("status", ["draft", "on-hold", "completed", "unknown"])
def test_of_any_other_state_the_laboratory_is_not_told(status):
    assert stopped(changed(status=status)) == (State.FILTERED, "no-order", "ServiceRequest.status")


@pytest.mark.parametrize(
    ("priority", "code"), [("stat", "S"), ("asap", "A"), ("urgent", "A"), ("routine", "R")]
)
def test_priority(priority, code):
    assert sent(changed(priority=priority)).get("TQ1-9") == code


def test_the_requester_is_named_with_the_national_number():
    order = sent(BUNDLE)
    assert order.get("ORC-12") == "1234567893^Adeyemi^Tunde^^^Dr.^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"
    assert order.get("OBR-16") == order.get("ORC-12")


def test_a_requester_who_is_not_in_the_chart_is_named_as_the_order_names_him():
    requester = {"identifier": {"system": "urn:oid:2.999.4", "value": "77"}, "display": "Petra Novak"}
    assert sent(changed(requester=requester)).get("ORC-12.1") == "77"
    assert sent(changed(requester=requester)).get("ORC-12.2") == "Petra Novak"


def test_the_person_behind_a_role_and_a_contained_one_are_found():
    contained = [
        {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "#p"}},
        {"resourceType": "Practitioner", "id": "p", "name": [{"family": "Novak", "given": ["Petra"]}]},
    ]
    order = sent(changed(contained=contained, requester={"reference": "#r"}))
    assert order.get("ORC-12") == "^Novak^Petra^^^^^^^L"


def test_without_visit_specimen_reason_and_note_their_segments_are_not_there():
    bare = changed(
        encounter=None, specimen=None, reasonCode=None, note=None, priority=None, occurrenceDateTime=None
    )
    assert [s.name for s in sent(bare).segments] == ["MSH", "PID", "ORC", "OBR"]


def test_the_reason_may_be_a_condition():
    condition = {"resourceType": "Condition", "id": "c", "code": {"text": "Weakness"}}
    bundle = changed(reasonReference=[{"reference": "Condition/c"}])
    bundle["entry"].append({"fullUrl": "Condition/c", "resource": condition})
    assert [s.field(1) for s in sent(bundle).all("DG1")] == [b"1", b"2", b"3"]
    assert sent(bundle).get("DG1[3]-3.2") == "Weakness"


def test_a_patient_without_a_name_still_gets_his_tests():
    assert sent(changed("Patient", name=None)).get("PID-5.7") == "U"


# --- what must not leave


def test_a_patient_whom_no_number_identifies():
    only_ssn = [{"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999112222"}]
    wrong = State.QUARANTINED, "required-element", "Patient.identifier"
    assert stopped(changed("Patient", identifier=only_ssn)) == wrong
    assert stopped(changed("Patient", identifier=None)) == wrong
    assert stopped(without("Patient")) == wrong
    assert stopped(changed(subject=None)) == wrong


def test_an_order_without_a_number_of_the_placer():
    filler = {"type": {"coding": [{"code": "FILL"}]}, "value": "F1"}
    wrong = State.QUARANTINED, "required-element", "ServiceRequest.identifier"
    assert stopped(changed(identifier=[filler])) == wrong
    assert stopped(changed(identifier=None)) == wrong


def test_an_order_that_does_not_say_for_what():
    wrong = State.QUARANTINED, "required-element", "ServiceRequest.code"
    assert stopped(changed(code=None)) == wrong
    assert stopped(changed(code={"coding": [{"system": "http://loinc.org"}]})) == wrong


def test_an_order_that_nobody_dated():
    wrong = stopped(changed(meta=None, authoredOn=None))
    assert wrong == (State.QUARANTINED, "no-time", "ServiceRequest.meta.lastUpdated")


@pytest.mark.parametrize("text", ["2025-02-30", "2025-03-03T25:00:00Z", "soon", 20250303])
def test_a_date_that_is_none(text):
    wrong = stopped(changed(occurrenceDateTime=text))
    assert wrong == (State.QUARANTINED, "invalid-date", "ServiceRequest.occurrenceDateTime")


def test_a_character_that_the_receiver_cannot_read():
    wrong = stopped(BUNDLE, charset="ASCII")
    assert wrong == (State.QUARANTINED, "unencodable", "Patient.name")
    latin = sent(BUNDLE, charset="8859/1")
    assert "Müller".encode("latin-1") in latin.raw
    assert latin.get("PID-5.1") == "Müller"


def test_no_reason_holds_what_the_order_says():
    made = laboratory_order(changed(occurrenceDateTime="PRIVATE"), FEED)
    assert isinstance(made, Stop)
    assert "PRIVATE" not in str(made.reason)


# --- whatever the text is

TEXT = st.text(
    st.one_of(st.sampled_from('|^~\\&"\r\n\t\x0b\x1c'), st.characters(exclude_categories=["Cs"])), min_size=1
)
WHERE = {
    "MSH": lambda t: (BUNDLE, {"sending_facility": t}, "MSH-4"),
    "family": lambda t: (changed("Patient", name=[{"family": t}]), {}, "PID-5.1"),
    "given": lambda t: (changed("Patient", name=[{"family": "F", "given": ["G", t]}]), {}, "PID-5.3"),
    "line": lambda t: (changed("Patient", address=[{"line": [t]}]), {}, "PID-11.1"),
    "phone": lambda t: (changed("Patient", telecom=[{"system": "phone", "value": t}]), {}, "PID-13.1"),
    "placer": lambda t: (changed(identifier=[{"value": t, "system": "urn:oid:2.9"}]), {}, "ORC-2.1"),
    "system": lambda t: (changed(identifier=[{"value": "1", "system": f"x:{t}"}]), {}, "ORC-2.3"),
    "display": lambda t: (changed(code={"coding": [{"code": "1", "display": t}]}), {}, "OBR-4.2"),
    "code text": lambda t: (changed(code={"coding": [{"code": "1"}], "text": t}), {}, "OBR-4.9"),
    "only text": lambda t: (changed(code={"text": t}), {}, "OBR-4.2"),
    "requester": lambda t: (changed(requester={"display": t}), {}, "OBR-16.2"),
    "reason": lambda t: (changed(reasonCode=[{"text": t}]), {}, "DG1-3.2"),
    "note": lambda t: (changed(note=[{"text": t}]), {}, "NTE-3"),
    "second note": lambda t: (changed(note=[{"text": "1"}, {"text": t}]), {}, "NTE[2]-3"),
}


@pytest.mark.parametrize("place", WHERE)
@given(text=TEXT)
@example('""')
@example("\\X0D\\")
@example("\\.br\\\n\\")
def test_it_is_read_back_as_it_was(place, text):
    bundle, settings, path = WHERE[place](text)
    made = laboratory_order(bundle, FEED, **settings)
    assert isinstance(made, hl7v2.Message), made
    assert made.get(path) == (f"x:{text}" if place == "system" else text)
    assert {s.name for s in made.segments} <= {"MSH", "PID", "PV1", "ORC", "TQ1", "OBR", "NTE", "DG1", "SPM"}


# --- and back


def returned(order):
    """What hl7v2_to_fhir reads of the same segments, as they come back in front of a result."""
    message = order.set("MSH-9.1", "ORU").set("MSH-9.2", "R01").set("MSH-9.3", "ORU_R01")
    said = hl7v2_to_fhir(message, FEED)
    assert isinstance(said, list), said
    return {fact.type: fact for fact in said if isinstance(fact, Fact)}


def test_what_comes_back_is_the_order_that_went_out():
    order = BUNDLE["entry"][0]["resource"]
    found = returned(sent(BUNDLE, names={"his": "HIS"}))
    request, who = found["ServiceRequest"].elements, found["Patient"].elements
    assert request["code"] == order["code"]
    assert request["identifier"] == order["identifier"]
    assert request["intent"] == "order"
    assert [i["value"] for i in who["identifier"]] == ["MRN10002"]
    assert found["Patient"].key == FEED.identity.patient_key(MRN, "MRN10002")
    assert who["name"] == [{"family": "Müller", "given": ["Jürgen", "Karl"], "use": "official"}]
    assert (who["gender"], who["birthDate"]) == ("male", "1955-07-21")
    assert found["Encounter"].elements["identifier"][0]["value"] == "V2002"


def test_a_cancelled_order_comes_back_revoked():
    assert returned(sent(changed(status="revoked")))["ServiceRequest"].elements["status"] == "revoked"


# --- the map data


def test_every_row_names_a_type_that_there_is():
    for place in maps.message("OML_O21").places:
        for row in place.segment.rows:
            assert row.type in TYPES, row.place


@pytest.mark.parametrize("name", ["AdministrativeSex", "NameUse", "AddressUse", "TelecomUse", "OrderStatus"])
def test_a_code_comes_back_as_the_code_that_went_out(name):
    back = inbound.table(name)
    for code, written in maps.table(name).items():
        found = back.lookup(written)
        assert found is not None, written
        assert found.code == code or code == "entered-in-error"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{to: PID-3, form: identifier}", "unknown key form"),
        ("{to: PV1-3, from: identifier}", "to: PID-N"),
        ("{to: PID-3}", "either from: or value:"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(line, says, tmp_path, monkeypatch):
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "PID.yaml").write_text(f"segment: PID\nof: Patient\nrows:\n  - {line}\n")
    monkeypatch.setattr(maps, "FOLDER", tmp_path)
    with pytest.raises(maps.MapError, match=f"segments/PID.yaml:4: .*{says}"):
        maps.segment.__wrapped__("PID")

"""ORU^R01: orders, reports, results, and what a laboratory happens to know of patient and visit."""

from dataclasses import replace
from decimal import Decimal

from engine.message import State, Stop
from store.facts import Clock
from store.identity import fhir_id
from tests.transforms.messages import msh, seg

SENT = 1740835020000000  # 2025-03-01 08:17:00 in New York
REPORTED = 1740834000000000  # 08:00:00
V3 = "http://terminology.hl7.org/CodeSystem/v3-"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"

MSH = msh("R01", kind="ORU")
PID = seg("PID", f3="MR001^^^HOSP^MR", f5="Doe^Jane", f8="F")
PV1 = seg("PV1", f2="I", f3="WARD", f19="V500^^^VISITS")
ORC = seg("ORC", f1="RE", f2="P77^HIS", f3="F88^LAB", f4="G1^HIS", f5="CM", f12="4101^Novak^Petra")
OBR = seg(
    "OBR",
    f1="1",
    f2="P77^HIS",
    f3="F88^LAB",
    f4="24323-8^Comprehensive panel^LN^CMP^Chem panel^L",
    f7="20250301073000",
    f16="9^Other",
    f22="20250301080000",
    f24="CH",
    f25="F",
    f31="R07.4^Chest pain^I10",
    f32="55&Hippocrates&Howard&&&Dr",
)
OBX = seg(
    "OBX",
    f1="1",
    f2="NM",
    f3="2823-3^Potassium^LN^K^Kalium^L",
    f5="6.30",
    f6="mmol/L^^UCUM",
    f7="3.50-5.10",
    f8="HH",
    f11="F",
    f14="20250301073100",
    f16="77^Tech^Tim",
    f17="ISE^Ion selective^L",
    f18="AU5800^LAB",
    f23="Central Lab^^77^^^NAT",
)


def test_a_report_with_its_order_and_its_result(facts, feed):
    found = facts(MSH, PID, PV1, ORC, OBR, OBX, seg("NTE", f3="Haemolysis excluded"))
    made = feed.identity.key
    patient = made("Patient", "urn:oid:2.999.1", "MR001")
    visit = made("Encounter", "urn:oid:2.999.7", "V500", patient)
    (request,), (report,), (result,) = (
        found[t] for t in ("ServiceRequest", "DiagnosticReport", "Observation")
    )
    lab = "urn:chartwire:authority:LAB"
    assert request.key == made("ServiceRequest", "filler", lab, "F88", patient)
    assert report.key == made("DiagnosticReport", "filler", lab, "F88", "24323-8", patient)
    assert result.key == made("Observation", report.key, "2823-3", "")
    assert {request.patient, report.patient, result.patient} == {patient}

    subject = {"reference": f"Patient/{fhir_id(patient)}"}
    encounter = {"reference": f"Encounter/{fhir_id(visit)}"}
    based_on = [{"reference": f"ServiceRequest/{fhir_id(request.key)}"}]

    def number(value, code, system):
        coding = {"system": f"{V2}0203", "code": code}
        return {"type": {"coding": [coding]}, "value": value, "system": f"urn:chartwire:authority:{system}"}

    panel = {
        "coding": [
            {"system": "http://loinc.org", "code": "24323-8", "display": "Comprehensive panel"},
            {"system": "urn:chartwire:codesystem:L", "code": "CMP", "display": "Chem panel"},
        ]
    }
    assert request.elements == {
        "status": "completed",
        "intent": "order",
        "identifier": [number("P77", "PLAC", "HIS"), number("F88", "FILL", "LAB")],
        "requisition": number("G1", "PGN", "HIS"),
        "code": panel,
        "subject": subject,
        "encounter": encounter,
        "requester": {
            "type": "Practitioner",
            "identifier": {"value": "4101"},
            "display": "Petra Novak",
        },
        "reasonCode": [
            {
                "coding": [
                    {"system": "http://hl7.org/fhir/sid/icd-10", "code": "R07.4", "display": "Chest pain"}
                ]
            }
        ],
    }
    assert request.clock == Clock(SENT, sent=SENT, rank=3)
    assert report.elements == {
        "status": "final",
        "identifier": [number("P77", "PLAC", "HIS"), number("F88", "FILL", "LAB")],
        "basedOn": based_on,
        "category": [{"coding": [{"system": f"{V2}0074", "code": "CH", "display": "Chemistry"}]}],
        "code": panel,
        "subject": subject,
        "encounter": encounter,
        "effectiveDateTime": "2025-03-01T07:30:00-05:00",
        "issued": "2025-03-01T08:00:00-05:00",
        "resultsInterpreter": [
            {"type": "Practitioner", "identifier": {"value": "55"}, "display": "Dr Howard Hippocrates"}
        ],
        "result": [{"reference": f"Observation/{fhir_id(result.key)}"}],
    }
    assert report.clock == Clock(REPORTED, status=2, sent=SENT, rank=3)
    unit = {"unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    assert result.elements == {
        "status": "final",
        "basedOn": based_on,
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": "2823-3", "display": "Potassium"},
                {"system": "urn:chartwire:codesystem:L", "code": "K", "display": "Kalium"},
            ]
        },
        "subject": subject,
        "encounter": encounter,
        "effectiveDateTime": "2025-03-01T07:31:00-05:00",
        "valueQuantity": {"value": Decimal("6.30"), **unit},
        "interpretation": [
            {
                "coding": [
                    {
                        "system": f"{V3}ObservationInterpretation",
                        "code": "HH",
                        "display": "Critical high",
                    },
                    {"system": f"{V2}0078", "code": "HH"},
                ]
            }
        ],
        "referenceRange": [
            {
                "low": {"value": Decimal("3.50"), **unit},
                "high": {"value": Decimal("5.10"), **unit},
                "text": "3.50-5.10",
            }
        ],
        "performer": [
            {"type": "Practitioner", "identifier": {"value": "77"}, "display": "Tim Tech"},
            {
                "type": "Organization",
                "identifier": {"value": "77", "system": "urn:oid:2.999.2"},
                "display": "Central Lab",
            },
        ],
        "method": {
            "coding": [{"system": "urn:chartwire:codesystem:L", "code": "ISE", "display": "Ion selective"}]
        },
        "device": {
            "type": "Device",
            "identifier": {"value": "AU5800", "system": "urn:chartwire:authority:LAB"},
        },
        "note": [{"text": "Haemolysis excluded"}],
    }
    assert str(result.elements["valueQuantity"]["value"]) == "6.30"
    assert result.clock == report.clock


def test_what_a_laboratory_says_of_patient_and_visit_is_hearsay(facts):
    found = facts(MSH, PID, PV1, OBR, OBX)
    for fact in (*found["Patient"], *found["Encounter"]):
        assert fact.clock == Clock(SENT, sent=SENT, weight=0, rank=3)
        assert not fact.establishes
    assert found["Encounter"][0].elements["status"] == "unknown"
    allowed = facts(MSH, PID, PV1, OBR, OBX, new_patients=True)
    assert allowed["Patient"][0].establishes
    assert allowed["Encounter"][0].establishes


def test_hearsay_does_not_overwrite_what_the_hospital_says(chart):
    admitted = (msh("A01", "20250101"), PID, seg("PV1", f2="E", f19="V500^^^VISITS"))
    reported = (MSH, seg("PID", f3="MR001^^^HOSP", f5="Dough^J", f7="19700101"), PV1, OBR, OBX)
    bodies = chart(admitted, reported).values()
    patient = next(b for b in bodies if "birthDate" in b)
    visit = next(b for b in bodies if "class" in b)
    assert patient["name"] == [{"family": "Doe", "given": ["Jane"]}]
    assert patient["birthDate"] == "1970-01-01"  # a gap that only the laboratory could fill
    assert (visit["status"], visit["class"]["code"]) == ("in-progress", "EMER")


def test_a_correction_beats_a_final_result_in_any_order(chart):
    def report(status, value, reported, range):
        obr = OBR.replace("20250301080000", reported).replace("|F||||||R07", f"|{status}||||||R07")
        return (
            MSH,
            PID,
            obr,
            OBX.replace("6.30", value).replace("3.50-5.10", range).replace("|F|", f"|{status}|"),
        )

    first = report("P", "9.9", "20250301080000", "1-9")
    final = report("F", "6.30", "20250301080000", "")  # the same minute: the status decides
    corrected = report("C", "4.2", "20250301081500", "")
    for order in ((first, final, corrected), (corrected, final, first), (final, corrected, first)):
        result = next(b for b in chart(*order).values() if "valueQuantity" in b)
        assert (result["status"], result["valueQuantity"]["value"]) == ("corrected", Decimal("4.2"))
        assert "referenceRange" not in result  # no chimera of two messages
    result = next(b for b in chart(final, first).values() if "valueQuantity" in b)
    assert result["status"] == "final"


def test_the_placer_number_counts_where_the_filler_gave_none(facts, feed):
    found = facts(MSH, PID, seg("OBR", f2="P77^HIS", f4="X^Y^L", f25="F"))
    (request,), (report,) = found["ServiceRequest"], found["DiagnosticReport"]
    evidence = ("placer", "urn:chartwire:authority:HIS", "P77")
    patient = found["Patient"][0].key
    assert request.key == feed.identity.key("ServiceRequest", *evidence, patient)
    assert report.key == feed.identity.key("DiagnosticReport", *evidence, "X", patient)
    from_orc = facts(MSH, PID, seg("ORC", f2="P77^HIS"), seg("OBR", f4="X^Y^L", f25="F"))
    assert from_orc["ServiceRequest"][0].key == request.key
    assert [i["value"] for i in from_orc["DiagnosticReport"][0].elements["identifier"]] == ["P77"]


def test_without_any_number_only_the_message_tells_reports_apart(facts, feed):
    obr = seg("OBR", f4="X^Y^L", f25="F")
    found = facts(MSH, PID, obr, OBX, obr, OBX)
    assert len({f.key for f in found["DiagnosticReport"]}) == 2
    assert len({f.key for f in found["Observation"]}) == 2
    patient = found["Patient"][0].key
    evidence = ("message", "hospital", "C1", "2")
    assert found["ServiceRequest"][1].key == feed.identity.key("ServiceRequest", *evidence, patient)


def test_numbers_without_an_authority_are_the_feed_s_own(say, feed):
    def key(of):
        said = say(MSH, PID, seg("OBR", f3="88", f4="X", f25="F"), of=of)
        return next(f.key for f in said if f.type == "DiagnosticReport")

    assert key(feed) == key(feed)
    assert key(feed) != key(replace(feed, name="other"))


def test_one_order_number_with_two_panels_is_two_reports_of_one_order(facts):
    other = OBR.replace("24323-8", "58410-2")
    found = facts(MSH, PID, OBR, OBX, other, OBX)
    assert len(found["ServiceRequest"]) == 1
    assert len({f.key for f in found["DiagnosticReport"]}) == 2
    assert len({f.key for f in found["Observation"]}) == 2
    assert [len(f.elements["result"]) for f in found["DiagnosticReport"]] == [1, 1]


def test_equal_results_are_told_apart_by_sub_id_or_order(facts, feed):
    found = facts(MSH, PID, OBR, OBX, OBX, OBX, seg("OBX", f2="ST", f3="2823-3", f4="1"))
    keys = [f.key for f in found["Observation"]]
    assert len(set(keys)) == 4
    report = found["DiagnosticReport"][0].key
    assert keys[0] == feed.identity.key("Observation", report, "2823-3", "")
    assert keys[3] == feed.identity.key("Observation", report, "2823-3", "1")
    assert found["Observation"][3].elements["extension"] == [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/observation-v2-subid",
            "extension": [{"url": "original-sub-identifier", "valueString": "1"}],
        }
    ]


def test_statuses(facts):
    def statuses(obr, obx):
        report, value = seg("OBR", f3="1", f4="X", f25=obr), seg("OBX", f2="ST", f3="A", f5="x", f11=obx)
        found = facts(MSH, PID, report, value)
        one, two = found["DiagnosticReport"][0], found["Observation"][0]
        return one.elements["status"], one.clock.status, two.elements["status"], two.clock.status

    assert statuses("P", "P") == ("preliminary", 1, "preliminary", 1)
    assert statuses("A", "R") == ("partial", 1, "preliminary", 1)
    assert statuses("F", "F") == ("final", 2, "final", 2)
    assert statuses("C", "C") == ("corrected", 3, "corrected", 3)
    assert statuses("X", "X") == ("cancelled", 4, "cancelled", 4)
    assert statuses("I", "W") == ("registered", 0, "entered-in-error", 4)
    assert statuses("F", "") == ("final", 2, "final", 2)  # the report's status holds for its results
    assert statuses("", "") == ("unknown", 0, "unknown", 0)
    assert statuses("ZZ", "?") == ("unknown", 0, "unknown", 0)


def test_a_question_that_was_not_asked(facts):
    (result,) = facts(MSH, PID, OBR, seg("OBX", f2="ST", f3="A", f11="N"))["Observation"]
    assert result.elements["status"] == "cancelled"
    assert result.elements["dataAbsentReason"]["coding"][0]["code"] == "not-asked"


def test_final_without_the_value_again_leaves_the_value_to_the_earlier_result(facts):
    found = facts(MSH, PID, OBR, seg("OBX", f2="ST", f3="A", f11="U"))
    assert "Observation" not in found
    assert "result" not in found["DiagnosticReport"][0].elements


def test_the_status_of_the_order(facts):
    def status(orc5, obr25):
        found = facts(MSH, PID, seg("ORC", f1="RE", f3="1", f5=orc5), seg("OBR", f4="X", f25=obr25))
        return found["ServiceRequest"][0].elements["status"]

    assert status("IP", "F") == "active"  # ORC-5 says it
    assert status("", "F") == "completed"
    assert status("", "P") == "active"
    assert status("", "X") == "revoked"
    assert status("", "") == "unknown"


def test_a_new_order_says_when_it_was_written(facts):
    orc = seg("ORC", f1="NW", f3="1", f9="202503010700")
    (request,) = facts(MSH, PID, orc, seg("OBR", f4="X", f27="^^^^^S"))["ServiceRequest"]
    assert request.elements["authoredOn"] == "2025-03-01T07:00:00-05:00"
    assert request.elements["priority"] == "stat"


def test_a_collection_over_time_is_a_period(facts):
    obr = seg("OBR", f3="1", f4="X", f7="20250301", f8="20250302", f25="F")
    (report,) = facts(MSH, PID, obr)["DiagnosticReport"]
    assert report.elements["effectivePeriod"] == {"start": "2025-03-01", "end": "2025-03-02"}
    assert "effectiveDateTime" not in report.elements


def test_a_report_of_a_day_has_no_instant_of_issue(facts):
    obr = seg("OBR", f3="1", f4="X", f22="20250301", f25="F")
    (report,) = facts(MSH, PID, obr)["DiagnosticReport"]
    assert "issued" not in report.elements
    assert report.clock.time == 1740805200000000  # the day begins


def test_a_result_without_its_own_time_has_that_of_its_report(facts):
    (result,) = facts(MSH, PID, OBR, seg("OBX", f2="ST", f3="A", f5="x", f11="F"))["Observation"]
    assert result.elements["effectiveDateTime"] == "2025-03-01T07:30:00-05:00"


def test_notes_go_where_they_stand(facts):
    found = facts(
        MSH,
        PID,
        seg("NTE", f3="of the patient"),
        OBR,
        seg("NTE", f3="of the report"),
        OBX,
        seg("NTE", f3="first~second"),
        seg("NTE", f3=""),
        seg("NTE", f1="3"),
        seg("OBX", f2="ST", f3="A", f5="x", f11="F"),
    )
    first, second = found["Observation"]
    assert first.elements["note"] == [{"text": "first\nsecond"}]
    assert "note" not in second.elements
    assert found["DiagnosticReport"][0].elements["extension"] == [
        {
            "url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note",
            "valueAnnotation": {"text": "of the report"},
        }
    ]


def test_a_note_on_an_order_is_not_the_last_result_s(facts):
    found = facts(MSH, PID, OBR, OBX, seg("ORC", f3="F99"), seg("NTE", f3="new"), seg("OBR", f4="B", f25="F"))
    assert "note" not in found["Observation"][0].elements
    assert "extension" in found["DiagnosticReport"][1].elements


def test_an_orc_belongs_to_the_obr_that_follows_it(facts):
    found = facts(MSH, PID, ORC, OBR, OBX, seg("OBR", f3="F99^LAB", f4="B", f25="F"))
    assert [r.elements.get("requester", {}).get("display") for r in found["ServiceRequest"]] == [
        "Petra Novak",
        None,
    ]


def test_results_before_any_obr_are_kept_as_the_message_s_own(facts):
    found = facts(MSH, PID, OBX)
    assert "DiagnosticReport" not in found
    (result,) = found["Observation"]
    assert "basedOn" not in result.elements
    again = facts(MSH.replace("|C1|", "|C2|"), PID, OBX)
    assert again["Observation"][0].key != result.key


def test_several_patients_each_keep_their_own(facts):
    other = PID.replace("MR001", "MR002")
    found = facts(MSH, PID, OBR, OBX, other, OBR, OBX)
    assert len(found["Patient"]) == len(found["DiagnosticReport"]) == len(found["Observation"]) == 2
    assert [f.patient for f in found["Observation"]] == [f.key for f in found["Patient"]]
    same = facts(MSH, PID, OBR, OBX, PID, OBR, OBX)
    assert len(same["Patient"]) == 1


def test_before_2_3_an_oru_has_no_event(facts):
    assert "Observation" in facts("MSH|^~\\&|LAB|L|||20250301||ORU|C1|P|2.2", PID, OBR, OBX)


# -- what cannot be trusted


def stopped(said, code, place):
    assert isinstance(said, Stop), said
    assert (said.state, said.reason.code, said.reason.place) == (State.QUARANTINED, code, place)
    return True


def test_what_was_examined_must_be_said(say):
    assert stopped(say(MSH, PID, seg("OBR", f3="1", f25="F")), "required-field", "OBR-4")
    nameless = seg("OBX", f2="NM", f5="1", f11="F")
    assert stopped(say(MSH, PID, OBR, OBX, nameless), "required-field", "OBX[2]-3")


def test_dates_that_are_none_stop_the_message(say):
    assert stopped(say(MSH, PID, OBR.replace("20250301080000", "8 am"), OBX), "invalid-date", "OBR-22")
    for type in ("DT", "TS", "DTM"):
        for text in ("20250230", "spring"):
            answer = seg("OBX", f2=type, f3="1^A^L", f5=text, f11="F")
            assert stopped(say(MSH, PID, OBR, answer), "invalid-date", "OBX-5")
    assert stopped(
        say(MSH, PID, OBR, OBX, OBX.replace("20250301073100", "20250230")), "invalid-date", "OBX[2]-14"
    )
    undated = seg("OBX", f2="ST", f3="A", f5="x", f11="F")
    assert stopped(say(MSH, PID, OBR.replace("20250301073000", "0000"), undated), "invalid-date", "OBR-7")


def test_results_are_no_newer_than_the_message_that_brings_them(facts):
    """They would stand above corrections to come."""
    found = facts(MSH, PID, OBR.replace("20250301080000", "20350301"), OBX)
    assert [f.clock.time for f in found["DiagnosticReport"] + found["Observation"]] == [SENT, SENT]


def test_a_line_of_text_without_a_name_is_of_its_report(facts):
    (result,) = facts(MSH, PID, OBR, seg("OBX", f2="TX", f5="No fracture", f11="F"))["Observation"]
    assert result.elements["code"]["coding"][0]["code"] == "24323-8"


def test_an_obx_without_content_says_nothing(facts, say):
    assert "Observation" not in facts(MSH, PID, OBR, "OBX|1")
    assert stopped(say(MSH, PID, OBR, "OBX|1", "NTE|1||of what?"), "required-field", "OBX-3")


def test_results_for_display_are_results(facts):
    assert len(facts(msh("R03", kind="ORU"), PID, OBR, OBX)["Observation"]) == 1


def test_a_result_without_a_patient_stops_the_message(say):
    assert stopped(say(MSH, OBR, OBX), "no-patient", "PID")
    assert stopped(say(MSH, seg("PID", f3="^^^HOSP"), OBR), "blank-patient-id", "PID-3[1].1")

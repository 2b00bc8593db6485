"""ADT: what each event says of patient and visit, element by element."""

from engine.message import State, Stop
from formats import hl7v2
from store.facts import Clock, Link
from store.identity import fhir_id
from tests.transforms.messages import msh, seg
from transforms.hl7v2_to_fhir import hl7v2_to_fhir

PID = seg(
    "PID",
    f3="MR001^7^M10^HOSP^MR~N900^^^NAT^NI",
    f5="Sørensen^Anna^Maria^Jr^Dr^MD^L~^Annie^^^^^N",
    f6="Holm",
    f7="19700315",
    f8="F",
    f11="12 Elm St&Elm St&12^Flat 2^Ashford^NY^12345^USA^H^^KINGS",
    f13="(555)555-1001^PRN^PH~^NET^Internet^anna@example.org",
    f14="(555)555-2001",
    f15="ENG^English^ISO639",
    f16="M",
    f17="A",
    f18="ACC77^^^HOSP^AN",
    f19="111223333",
    f20="D123^NY^20300101",
    f24="Y",
    f25="2",
)
PV1 = seg(
    "PV1",
    f2="I",
    f3="WARD^101^A^HOSP",
    f4="E",
    f7="4101^Novak^Petra^^^Dr^MD^^NAT",
    f8="4102^Ray^Ian",
    f10="SUR",
    f13="R",
    f14="7",
    f15="A2~B6",
    f16="VIP",
    f17="4101^Novak^Petra",
    f19="V500^^^VISITS^VN",
    f44="20250301081500",
)

MICROS = 1740835020000000  # 2025-03-01 08:17:00 in New York
V3 = "http://terminology.hl7.org/CodeSystem/v3-"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"


def test_an_admission_says_all_of_this_of_the_patient(facts, feed):
    (patient,) = facts(msh("A01"), PID, PV1)["Patient"]
    assert patient.key == patient.patient == feed.identity.key("Patient", "urn:oid:2.999.1", "MR001")
    assert patient.clock == Clock(MICROS, sent=MICROS, rank=3)
    assert patient.establishes
    assert patient.elements == {
        "identifier": [
            {
                "value": "MR001",
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/identifier-checkDigit",
                        "valueString": "7",
                    }
                ],
                "system": "urn:oid:2.999.1",
                "assigner": {"display": "HOSP"},
                "type": {
                    "coding": [{"system": f"{V2}0203", "code": "MR", "display": "Medical record number"}]
                },
            },
            {
                "value": "N900",
                "system": "urn:oid:2.999.2",
                "assigner": {"display": "NAT"},
                "type": {
                    "coding": [
                        {
                            "system": f"{V2}0203",
                            "code": "NI",
                            "display": "National unique individual identifier",
                        }
                    ]
                },
            },
            {
                "type": {"coding": [{"system": f"{V2}0203", "code": "SS"}]},
                "system": "http://hl7.org/fhir/sid/us-ssn",
                "value": "111223333",
            },
            {
                "type": {"coding": [{"system": f"{V2}0203", "code": "DL"}]},
                "value": "D123",
                "assigner": {"display": "NY"},
                "period": {"end": "2030-01-01"},
            },
        ],
        "name": [
            {
                "family": "Sørensen",
                "given": ["Anna", "Maria"],
                "suffix": ["Jr", "MD"],
                "prefix": ["Dr"],
                "use": "official",
            },
            {"given": ["Annie"], "use": "nickname"},
        ],
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName",
                "valueString": "Holm",
            },
            {
                "url": "http://hl7.org/fhir/StructureDefinition/patient-religion",
                "valueCodeableConcept": {
                    "coding": [
                        {"system": f"{V3}ReligiousAffiliation", "code": "1007", "display": "Atheism"},
                        {"system": f"{V2}0006", "code": "A"},
                    ]
                },
            },
        ],
        "birthDate": "1970-03-15",
        "_birthDate": None,
        "gender": "female",
        "address": [
            {
                "line": ["12 Elm St", "Elm St", "12", "Flat 2"],
                "city": "Ashford",
                "state": "NY",
                "postalCode": "12345",
                "country": "USA",
                "use": "home",
                "district": "KINGS",
            }
        ],
        "telecom": [
            {"system": "phone", "value": "(555)555-1001", "use": "home"},
            {"system": "email", "value": "anna@example.org"},
            {"system": "phone", "value": "(555)555-2001", "use": "work"},
        ],
        "communication": [
            {"language": {"coding": [{"system": "urn:iso:std:iso:639", "code": "ENG", "display": "English"}]}}
        ],
        "maritalStatus": {
            "coding": [
                {"system": f"{V3}MaritalStatus", "code": "M", "display": "Married"},
                {"system": f"{V2}0002", "code": "M"},
            ]
        },
        "multipleBirthInteger": 2,
    }


def test_an_admission_says_all_of_this_of_the_visit(facts, feed):
    found = facts(msh("A01"), PID, PV1, seg("PV2", f3="CHESTPAIN^Chest pain^L", f25="1"))
    (patient,), (visit,) = found["Patient"], found["Encounter"]
    assert visit.key == feed.identity.key("Encounter", "urn:oid:2.999.7", "V500", patient.key)
    assert (visit.patient, visit.event, visit.cancels, visit.establishes) == (patient.key, "A01", "", True)
    assert visit.clock == patient.clock

    def taking_part(code, meaning, **individual):
        coding = {"system": f"{V3}ParticipationType", "code": code, "display": meaning}
        return {"type": [{"coding": [coding]}], "individual": {"type": "Practitioner", **individual}}

    novak = {"value": "4101"}
    assert visit.elements == {
        "status": "in-progress",
        "class": {"system": f"{V3}ActCode", "code": "IMP", "display": "inpatient encounter"},
        "subject": {"reference": f"Patient/{fhir_id(patient.key)}"},
        "identifier": [
            {
                "value": "V500",
                "system": "urn:oid:2.999.7",
                "assigner": {"display": "VISITS"},
                "type": {"coding": [{"system": f"{V2}0203", "code": "VN", "display": "Visit number"}]},
            }
        ],
        "type": [{"coding": [{"system": f"{V2}0007", "code": "E", "display": "Emergency"}]}],
        "serviceType": {"coding": [{"system": f"{V2}0069", "code": "SUR", "display": "Surgical Service"}]},
        "priority": {
            "coding": [
                {"system": f"{V3}ActPriority", "code": "EM", "display": "emergency"},
                {"system": f"{V2}0217", "code": "1"},
            ]
        },
        "reasonCode": [
            {
                "coding": [
                    {"system": "urn:chartwire:codesystem:L", "code": "CHESTPAIN", "display": "Chest pain"}
                ]
            }
        ],
        "location": [
            {"location": {"type": "Location", "display": "HOSP / WARD / 101 / A"}, "status": "active"}
        ],
        "participant": [
            taking_part(
                "ATND",
                "attender",
                identifier=novak | {"system": "urn:oid:2.999.2"},
                display="Dr Petra Novak MD",
            ),
            taking_part("REF", "referrer", identifier={"value": "4102"}, display="Ian Ray"),
            taking_part("ADM", "admitter", identifier=novak, display="Petra Novak"),
        ],
        "period": {"start": "2025-03-01T08:15:00-05:00"},
        "hospitalization": {
            "reAdmission": {"coding": [{"system": f"{V2}0092", "code": "R", "display": "Re-admission"}]},
            "admitSource": {"coding": [{"system": f"{V2}0023", "code": "7"}]},
            "specialArrangement": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/encounter-special-arrangements",
                            "code": "wheel",
                            "display": "Wheelchair",
                        },
                        {"system": f"{V2}0009", "code": "A2"},
                    ]
                },
                {"coding": [{"system": f"{V2}0009", "code": "B6", "display": "Pregnant"}]},
            ],
            "specialCourtesy": [{"coding": [{"system": f"{V2}0099", "code": "VIP"}]}],
        },
    }


def test_further_identifying_identifiers_are_claimed(say, feed):
    *_, claim = say(msh("A01"), PID, PV1)
    key = feed.identity.key
    assert claim == Link(
        key("Patient", "urn:oid:2.999.2", "N900"),
        key("Patient", "urn:oid:2.999.1", "MR001"),
        Clock(MICROS, sent=MICROS, rank=3),
        "claim",
        "PID-3[2].1",
    )


def test_a_transfer_says_where_to_and_where_from(facts):
    pv1 = seg("PV1", f2="I", f3="ICU^2^B", f6="WARD^101^A", f19="V500^^^VISITS")
    (visit,) = facts(msh("A02"), PID, pv1)["Encounter"]
    assert visit.event == "A02"
    assert visit.elements["status"] == "in-progress"
    assert visit.elements["location"] == [
        {"location": {"type": "Location", "display": "ICU / 2 / B"}, "status": "active"},
        {"location": {"type": "Location", "display": "WARD / 101 / A"}, "status": "completed"},
    ]
    assert "period" not in visit.elements


DISCHARGE = seg("PV1", f2="I", f3="WARD^101^A", f19="V500^^^VISITS", f36="01", f37="HOME", f45="20250304")


def test_a_discharge_ends_the_visit(facts):
    (visit,) = facts(msh("A03"), PID, DISCHARGE)["Encounter"]
    assert (visit.event, visit.establishes) == ("A03", True)
    assert visit.elements["status"] == "finished"
    assert visit.elements["period"] == {"end": "2025-03-04"}
    assert visit.elements["hospitalization"] == {
        "dischargeDisposition": {"coding": [{"system": f"{V2}0112", "code": "01"}]},
        "destination": {"type": "Location", "display": "HOME"},
    }


def test_a_registration_is_a_visit_in_progress_or_planned(facts):
    (here,) = facts(msh("A04"), PID, seg("PV1", f2="O", f19="V501"))["Encounter"]
    (planned,) = facts(msh("A04"), PID, seg("PV1", f2="P", f3="CLINIC", f19="V501"))["Encounter"]
    assert here.elements["status"] == "in-progress"
    assert here.elements["class"]["code"] == "AMB"
    assert planned.elements["status"] == "planned"
    assert planned.elements["class"]["code"] == "PRENC"
    assert planned.elements["location"][0]["status"] == "planned"


def test_an_admission_with_its_discharge_is_over(facts):
    past = seg("PV1", f2="O", f19="V501", f44="20250301", f45="20250302")
    (visit,) = facts(msh("A04"), PID, past)["Encounter"]
    assert visit.elements["status"] == "finished"
    assert visit.elements["period"] == {"start": "2025-03-01", "end": "2025-03-02"}


def test_a_preadmission_is_planned(facts):
    (visit,) = facts(msh("A05"), PID, seg("PV1", f19="V501"))["Encounter"]
    assert visit.elements["status"] == "planned"
    assert visit.elements["class"]["code"] == "PRENC"


def test_pending_events_and_tracking_say_how_far_the_visit_is(facts):
    events = {
        "A09": "in-progress",
        "A10": "in-progress",
        "A14": "planned",
        "A15": "in-progress",
        "A16": "in-progress",
    }
    found = {event: facts(msh(event), PID, PV1)["Encounter"][0] for event in events}
    assert {event: visit.elements["status"] for event, visit in found.items()} == events
    assert all(visit.establishes for visit in found.values())


def test_a_cancelled_pending_discharge_takes_it_back(facts):
    (visit,) = facts(msh("A25"), PID, PV1)["Encounter"]
    assert (visit.cancels, visit.elements["status"]) == ("A16", "in-progress")


def test_an_update_makes_no_visit_and_says_nothing_of_its_status(facts):
    (visit,) = facts(msh("A08"), PID, PV1)["Encounter"]
    assert (visit.event, visit.establishes) == ("A08", False)
    assert "status" not in visit.elements
    assert visit.elements["class"]["code"] == "IMP"


def test_a_cancelled_discharge_takes_the_discharge_back(facts):
    (visit,) = facts(msh("A13"), PID, PV1)["Encounter"]
    assert (visit.event, visit.cancels, visit.establishes) == ("A13", "A03", True)
    assert visit.elements["status"] == "in-progress"
    assert visit.elements["period"] == {"start": "2025-03-01T08:15:00-05:00", "end": None}
    assert visit.elements["hospitalization"]["dischargeDisposition"] is None


def test_after_a_cancelled_discharge_nothing_of_it_is_left(chart):
    admit = (msh("A01", "20250301"), PID, PV1)
    leave = (msh("A03", "20250304"), PID, DISCHARGE)
    update = (msh("A08", "20250305"), PID, DISCHARGE)
    back = (msh("A13", "20250306"), PID, DISCHARGE)
    stay = [b for b in chart(admit, leave, update, back).values() if "class" in b]
    assert [b["status"] for b in stay] == ["in-progress"]
    assert stay[0]["period"] == {"start": "2025-03-01T08:15:00-05:00"}
    assert "dischargeDisposition" not in stay[0]["hospitalization"]
    over = [b for b in chart(admit, leave, update).values() if "class" in b]
    assert over[0]["period"]["end"] == "2025-03-04"


def test_a_person_update_is_about_the_patient_only(facts):
    assert list(facts(msh("A31"), PID, PV1)) == ["Patient"]
    assert list(facts(msh("A28"), PID, PV1)) == ["Patient"]


def test_an_event_without_a_map_says_nothing(say):
    assert say(msh("A11"), PID, PV1) is None
    assert say(msh("O01", kind="ORM"), PID) is None


def test_before_2_3_the_event_stands_in_evn_1(facts):
    (visit,) = facts("MSH|^~\\&|HIS|HOSP|||20250301||ADT|C1|P|2.2", "EVN|A03|20250301", PID, PV1)["Encounter"]
    assert visit.event == "A03"


# -- what is not there, what is empty, what is unknown


def test_absent_says_nothing_and_null_says_empty(facts):
    pid = seg("PID", f3="MR001^^^HOSP", f5="Doe^Jo", f7='""', f8='""', f11='""', f13='""', f19='""')
    found = facts(msh("A08"), pid, seg("PV1", f2='""', f17='""', f19="V5"))
    assert found["Patient"][0].elements == {
        "identifier": [
            {"value": "MR001", "system": "urn:oid:2.999.1", "assigner": {"display": "HOSP"}},
        ],
        "name": [{"family": "Doe", "given": ["Jo"]}],
        "birthDate": None,
        "_birthDate": None,
        "gender": None,
        "address": None,
        "telecom": None,
    }
    elements = found["Encounter"][0].elements
    assert "class" not in elements  # R4 requires one
    assert elements["participant"] is None


def test_null_empties_one_part_of_the_stay_and_leaves_the_others(chart):
    first = (msh("A01", "20250301"), PID, PV1)
    then = (
        msh("A08", "20250302"),
        PID,
        seg("PV1", f2="I", f13='""', f14='""', f15='""', f19="V500^^^VISITS"),
    )
    (visit,) = [b for b in chart(first, then).values() if "class" in b]
    assert list(visit["hospitalization"]) == ["specialCourtesy"]


def test_a_null_date_of_death_does_not_hide_that_he_lives(chart):
    def pid(death, dead):
        return seg("PID", f3="MR001^^^HOSP", f5="Doe^Jo", f29=death, f30=dead)

    died = chart((msh("A08", "20250301"), pid("20250228", "Y")))
    lives = chart((msh("A08", "20250301"), pid("20250228", "Y")), (msh("A08", "20250302"), pid('""', "N")))
    dated = chart((msh("A08", "20250301"), pid("20250228", '""')))
    assert [p.get("deceasedDateTime") for p in died.values()] == ["2025-02-28"]
    assert [(p.get("deceasedDateTime"), p.get("deceasedBoolean")) for p in lives.values()] == [(None, False)]
    assert [p.get("deceasedDateTime") for p in dated.values()] == ["2025-02-28"]


def test_a_multiple_birth_keeps_its_answer_when_the_order_is_null(facts):
    pid = seg("PID", f3="MR001^^^HOSP", f24="Y", f25='""')
    (patient,) = facts(msh("A08"), pid)["Patient"]
    assert patient.elements["multipleBirthBoolean"] is True
    assert "multipleBirthInteger" not in patient.elements


def test_codes_that_no_table_knows_are_kept_or_say_nothing(facts):
    pid = seg("PID", f3="MR001^^^HOSP^ZZ", f5="Doe^Jo^^^^^Q", f8="X", f16="QQ^Strange^L")
    found = facts(msh("A01"), pid, seg("PV1", f2="LODGER", f19="V5"))
    patient = found["Patient"][0].elements
    assert patient["identifier"][0]["type"] == {"coding": [{"system": f"{V2}0203", "code": "ZZ"}]}
    assert "gender" not in patient
    assert "use" not in patient["name"][0]
    assert patient["maritalStatus"] == {
        "coding": [{"system": "urn:chartwire:codesystem:L", "code": "QQ", "display": "Strange"}]
    }
    assert found["Encounter"][0].elements["class"] == {"system": f"{V2}0004", "code": "LODGER"}


def test_an_admission_without_a_class_still_has_one(facts):
    (visit,) = facts(msh("A01"), PID, seg("PV1", f19="V5"))["Encounter"]
    assert visit.elements["class"] == {"system": f"{V3}NullFlavor", "code": "UNK"}
    assert visit.establishes
    (moved,) = facts(msh("A02"), PID, seg("PV1", f19="V5"))["Encounter"]
    assert "class" not in moved.elements  # it must not replace the class that the admission gave
    assert not moved.establishes


def test_a_birth_has_a_time_if_the_source_says_it(facts):
    (patient,) = facts(msh("A28"), "PID|1||MR001^^^HOSP||Doe^Jo||202503010410")["Patient"]
    assert patient.elements["birthDate"] == "2025-03-01"
    assert patient.elements["_birthDate"] == {
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                "valueDateTime": "2025-03-01T04:10:00-05:00",
            }
        ]
    }


def test_next_of_kin_are_contacts_one_each(facts):
    (patient,) = facts(
        msh("A01"),
        PID,
        "NK1|1|Holm^Jens|SPO^Spouse^HL70063|1 Oak Rd^^Ashford|555-1^PRN^CP|555-2|N",
        "NK1|2||FTH",
        "NK1|3|Lind^Eva|MTH",
    )["Patient"]
    assert [c.get("name") for c in patient.elements["contact"]] == [
        {"family": "Holm", "given": ["Jens"]},
        {"family": "Lind", "given": ["Eva"]},
    ]
    assert patient.elements["contact"][0] == {
        "name": {"family": "Holm", "given": ["Jens"]},
        "relationship": [
            {
                "coding": [
                    {"system": f"{V3}RoleCode", "code": "SPS", "display": "spouse"},
                    {"system": f"{V2}0063", "code": "SPO", "display": "Spouse"},
                ]
            },
            {"coding": [{"system": f"{V2}0131", "code": "N", "display": "Next-of-Kin"}]},
        ],
        "address": {"line": ["1 Oak Rd"], "city": "Ashford"},
        "telecom": [
            {"system": "phone", "value": "555-1", "use": "mobile"},
            {"system": "phone", "value": "555-2", "use": "work"},
        ],
    }


def test_a_feed_s_own_sequence_number_is_part_of_the_clock(facts):
    numbered = msh("A01").replace("|P|2.5.1||||||", "|P|2.5.1|42|||||")
    assert facts(numbered, PID)["Patient"][0].clock.sequence == 42
    assert facts(numbered.replace("|42|", "|-1|"), PID)["Patient"][0].clock.sequence == 0


# -- which visit


def test_a_visit_is_told_from_others_by_what_there_is(facts, feed):
    def key(pid, pv1):
        found = facts(msh("A01"), pid, pv1)
        return (found["Patient"][0].key, found["Encounter"][0].key if "Encounter" in found else None)

    made = feed.identity.key
    pid = "PID|1||MR001^^^HOSP||Doe^Jo"
    patient, unassigned = key(pid, seg("PV1", f2="I", f19="V9"))
    assert unassigned == made("Encounter", "hospital", "V9", patient)
    _, strange = key(pid, seg("PV1", f2="I", f19="V9^^^THEM"))
    assert strange == made("Encounter", "urn:chartwire:authority:THEM", "V9", patient)
    _, alternate = key(pid, seg("PV1", f2="I", f50="A9^^^VISITS"))
    assert alternate == made("Encounter", "PV1-50", "urn:oid:2.999.7", "A9", patient)
    _, account = key(seg("PID", f3="MR001^^^HOSP", f18="ACC1"), "PV1|1|I")
    assert account == made("Encounter", "PID-18", "hospital", "ACC1", patient)
    _, admitted = key(pid, seg("PV1", f2="I", f44="20250301"))
    assert admitted == made("Encounter", "PV1-44", "hospital", "1740805200000000", patient)
    assert key(pid, "PV1|1|I|WARD") == (patient, None)


# -- what cannot be trusted


def stopped(said, code, place):
    assert isinstance(said, Stop), said
    assert (said.state, said.reason.code, said.reason.place) == (State.QUARANTINED, code, place)
    return True


def test_a_patient_nobody_can_name_stops_the_message(say):
    assert stopped(say(msh("A01"), PV1), "no-patient", "PID")
    assert stopped(say(msh("A01"), "PID|1||^^^HOSP||Doe"), "blank-patient-id", "PID-3[1].1")
    assert stopped(say(msh("A01"), "PID|1||5^^^ELSE||Doe"), "unknown-authority", "PID-3[1].1")


def test_a_date_that_is_none_stops_the_message_at_its_place(say):
    pid = PID.replace("19700315", "19700230")
    assert stopped(say(msh("A01"), pid, PV1), "invalid-date", "PID-7")
    pid = PID.replace("D123^NY^20300101", "D123^NY^1961BAD")
    assert stopped(say(msh("A01"), pid, PV1), "invalid-date", "PID-20")
    pid = PID.replace("N900^^^NAT^NI", "N900^^^NAT^NI^^soon")
    assert stopped(say(msh("A01"), pid, PV1), "invalid-date", "PID-3[2]")
    assert stopped(say(msh("A01"), PID, PV1.replace("20250301081500", "today")), "invalid-date", "PV1-44")
    nk1 = ("NK1|1|A^B", "NK1|2|C^D||||||never")
    assert stopped(say(msh("A01"), PID, *nk1), "invalid-date", "NK1[2]-8")


def test_a_time_that_is_none_stops_the_message(say):
    said = say(msh("A01", "yesterday"), PID, PV1)
    assert isinstance(said, Stop)
    assert said.reason.place.startswith("MSH-7")


def test_an_event_of_several_patients_stops_the_message(say):
    assert stopped(say(msh("A01"), PID, PV1, PID, PV1), "several-patients", "PID[2]")


def test_a_byte_without_a_character_stops_the_message(feed):
    raw = "\r".join([msh("A01"), "PID|1||MR001^^^HOSP||D#^Jo"]).encode().replace(b"#", b"\xff")
    message = hl7v2.parse(raw)
    assert isinstance(message, hl7v2.Message)
    assert stopped(hl7v2_to_fhir(message, feed), "undecodable", "PID-5.1")

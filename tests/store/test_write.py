"""What FHIR clients write, against the chart as it is: what is done, what is refused, and with which reason."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest

from store import chart
from store.facts import Clock, Fact, Link
from store.identity import key_of
from store.reason import Reason
from store.resource import CONTESTED
from tests.store.portal import EPI, IDENTITY, MRN, Json, Portal, entry, name, observation, post, put, written


@pytest.fixture
def portal() -> Portal:
    return Portal()


def patched(url: str, *operations: Json, **more: Any) -> Json:
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}
    return entry("PATCH", url, binary, **more)


def key(reference: str) -> bytes:
    found = key_of(reference.partition("/")[2])
    assert found is not None
    return found


# -- which resource


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_an_id_is_that_of_one_type_only(portal: Portal, method: str) -> None:
    patient = portal.patient("1")
    id = patient.partition("/")[2]
    asked = {
        "PUT": put({**observation(None), "id": id}),
        "PATCH": patched(f"Observation/{id}", {"op": "add", "path": "/status", "value": "final"}),
        "DELETE": entry("DELETE", f"Observation/{id}"),
    }[method]
    assert portal.refusal(asked).code == {"PUT": "not-allowed"}.get(method, "not-found")


def test_two_writes_of_one_resource_in_a_bundle_are_refused(portal: Portal) -> None:
    patient = portal.patient("1")
    assert portal.refusal(entry("DELETE", patient), entry("DELETE", patient)).code == "duplicate"


def test_what_a_bundle_deletes_it_cannot_find(portal: Portal) -> None:
    patient = portal.patient("1")
    found = entry("POST", "Patient", {"resourceType": "Patient"}, ifNoneExist="identifier=urn:mrn|1")
    assert portal.refusal(entry("DELETE", patient), found).code == "duplicate"


def test_one_condition_does_not_make_two(portal: Portal) -> None:
    device = {"resourceType": "Device", "identifier": [{"system": "urn:d", "value": "1"}]}
    once = entry("POST", "Device", device, ifNoneExist="identifier=urn:d|1")
    assert portal.refusal(once, once).code == "duplicate"
    made = [portal.done(once)[0] for _ in range(2)]
    assert [answer.status for answer in made] == ["201 Created", "200 OK"]
    assert name(made[0]) == name(made[1])


def test_what_is_nested_too_deep_is_the_clients_fault(portal: Portal) -> None:
    deep: list[Json] = [{"url": "urn:x", "valueString": "x"}]
    for _ in range(400):
        deep = [{"url": "urn:x", "extension": deep}]
    assert portal.refusal(post("Patient", extension=deep)).code == "invalid"
    one = portal.patient("1")
    assert portal.refusal(patched(one, {"op": "add", "path": "/extension", "value": deep})).code == "invalid"


def test_two_entries_cannot_have_one_full_url(portal: Portal) -> None:
    one = entry("POST", "Patient", {"resourceType": "Patient"}, fullUrl="urn:uuid:a")
    assert portal.refusal(one, one).code == "duplicate"


def test_a_conditional_update_must_not_name_another_resource(portal: Portal) -> None:
    """R4 http.html#cond-update: one match with another id is 400; none with an id is an update as create."""
    portal.patient("1")
    other = portal.patient("2").partition("/")[2]
    body = {"resourceType": "Patient", "id": other, "gender": "male"}
    assert portal.refusal(entry("PUT", "Patient?identifier=urn:mrn|1", body)).code == "mismatch"
    assert portal.refusal(entry("PUT", "Patient?identifier=urn:mrn|9", body)).code == "not-allowed"


# -- references


def test_references_by_full_url_are_led_to_what_is_made(portal: Portal) -> None:
    """R4 http.html#trules: also where the fullUrl is an address and the reference is relative to it."""
    who = "http://elsewhere.example/fhir/Patient/17"
    made = portal.done(
        entry(
            "POST", "Observation", observation("Patient/17"), fullUrl=who.replace("Patient", "Observation")
        ),
        entry("POST", "Observation", observation(who)),
        entry("POST", "Patient", {"resourceType": "Patient"}, fullUrl=who),
    )
    patient = name(made[2])
    for answer in made[:2]:
        found = portal.read(name(answer))
        assert found is not None
        assert found["subject"] == {"reference": patient}
    assert len(portal.of_patient("Observation", patient)) == 2


@pytest.mark.parametrize(
    "reference", ["Patient/17", "http://elsewhere.example/fhir/Patient/17", "urn:uuid:nobody"]
)
def test_a_subject_who_is_not_here_is_refused(portal: Portal, reference: str) -> None:
    assert portal.refusal(post(**observation(reference))).code == "invalid"


def test_a_promise_that_no_entry_keeps_is_refused(portal: Portal) -> None:
    encounter = {"reference": "urn:uuid:5f0c0c2e-0000-4000-8000-000000000000"}
    assert portal.refusal(post(**observation(portal.patient("1"), encounter=encounter))).code == "invalid"


def test_an_absolute_reference_to_what_is_here_is_kept_relative(portal: Portal) -> None:
    patient = portal.patient("1")
    made = portal.create(**observation(f"https://chart.example/fhir/{patient}"))
    assert portal.of_patient("Observation", patient) == [made]


def test_conditional_references_may_begin_alike(portal: Portal) -> None:
    one, twelve = portal.patient("1"), portal.patient("12")
    extension = [{"url": "urn:x", "valueReference": {"reference": "Patient?identifier=urn:mrn|12"}}]
    made = portal.read(portal.create(**observation("Patient?identifier=urn:mrn%7C1", extension=extension)))
    assert made is not None
    assert made["subject"] == {"reference": one}
    assert made["extension"][0]["valueReference"] == {"reference": twelve}


def test_what_is_there_already_takes_the_references(portal: Portal) -> None:
    """A conditional create that creates nothing: what refers to it refers to what is there."""
    known = portal.patient("1")
    who = entry(
        "POST",
        "Patient",
        {"resourceType": "Patient"},
        fullUrl="urn:uuid:a",
        ifNoneExist="identifier=urn:mrn|1",
    )
    made = portal.done(entry("POST", "Observation", observation("urn:uuid:a")), who)
    assert portal.of_patient("Observation", known) == [name(made[0])]


def test_a_conditional_reference_to_nobody_or_to_many_is_412(portal: Portal) -> None:
    portal.patient("1", gender="male")
    assert portal.refusal(post(**observation("Patient?identifier=urn:mrn|2"))).code == "precondition"


# -- whose


def test_an_update_cannot_move_a_resource_to_another_patient(portal: Portal) -> None:
    one, two = portal.patient("1"), portal.patient("2")
    made = portal.create(**observation(one))
    id = made.partition("/")[2]
    assert portal.refusal(put({**observation(two), "id": id})).code == "other-patient"
    op = {"op": "replace", "path": "/subject/reference", "value": two}
    assert portal.refusal(patched(made, op)).code == "other-patient"
    assert portal.of_patient("Observation", one) == [made]


def test_a_resource_can_be_said_of_the_one_who_survives(portal: Portal) -> None:
    one, two = portal.patient("1"), portal.patient("2")
    made = portal.create(**observation(one))
    portal.says(Link(key(one), key(two), Clock(1), "merge"))
    portal.done(put({**observation(two), "id": made.partition("/")[2]}))
    assert portal.of_patient("Observation", two) == [made]


def test_what_gets_a_subject_is_found_with_the_patient_and_what_loses_it_is_not(portal: Portal) -> None:
    one = portal.patient("1")
    made = portal.create(**observation(None))
    id = made.partition("/")[2]
    portal.done(put({**observation(one), "id": id}))
    assert portal.of_patient("Observation", one) == [made]
    portal.done(put({**observation(None), "id": id}))
    assert portal.of_patient("Observation", one) == []


def test_an_appointment_is_its_patients(portal: Portal) -> None:
    one = portal.patient("1")
    with_whom = [{"actor": {"reference": one}, "status": "accepted"}]
    made = portal.create("Appointment", status="booked", participant=with_whom)
    assert portal.of_patient("Appointment", one) == [made]


# -- deleting


def test_a_patient_is_deleted_together_with_all_that_is_his_or_not_at_all(portal: Portal) -> None:
    one = portal.patient("1")
    made = portal.create(**observation(one))
    assert portal.refusal(entry("DELETE", one)).code == "conflict"
    assert (
        portal.refusal(entry("DELETE", one), entry("DELETE", made), post(**observation(one))).code
        == "invalid"
    )
    portal.done(entry("DELETE", one), entry("DELETE", made))
    assert portal.read(one) is None
    assert portal.read(made) is None


def test_what_is_filed_under_a_merged_patient_is_the_survivors_when_he_is_deleted(portal: Portal) -> None:
    one, two = portal.patient("1"), portal.patient("2")
    portal.create(**observation(one))
    portal.says(Link(key(one), key(two), Clock(1), "merge"))
    assert portal.refusal(entry("DELETE", two)).code == "conflict"


def test_a_late_fact_does_not_bring_back_what_was_deleted_after_it(portal: Portal) -> None:
    one = portal.patient("1")
    portal.done(entry("DELETE", one))
    portal.says(Fact("Patient", key(one), Clock(5), {"gender": "male"}))
    assert portal.read(one) is None
    portal.says(Fact("Patient", key(one), Clock(5000), {"gender": "male"}))
    found = portal.read(one)
    assert found is not None
    assert "identifier" not in found


# -- round trips


def test_what_was_read_can_be_written_back(portal: Portal) -> None:
    """Also where the chart itself says a part of it: who replaces whom, and that an identifier is contested."""
    one, two = portal.patient("1", active=True, meta={"tag": [{"code": "vip"}]}), portal.patient("2")
    portal.says(Link(key(two), key(one), Clock(1), "merge"))
    for reference in (one, two):
        before = portal.read(reference)
        assert before is not None
        assert "link" in before
        (answer,) = portal.done(put(before))
        assert str(answer.version) == before["meta"]["versionId"], "nothing changed"
        assert portal.read(reference) == before


def test_a_flag_of_the_chart_is_not_written_back(portal: Portal) -> None:
    one, three, shared = portal.patient("1"), portal.patient("3"), IDENTITY.patient_key(EPI, "E")
    portal.says(Link(shared, key(one), Clock(1), "claim", "PID-3[2]"))
    wrong = portal.says(Link(shared, key(three), Clock(2), "claim", "PID-3[2]"))
    assert wrong.withheld
    before = portal.read(one)
    assert before is not None
    assert before["meta"]["tag"] == [CONTESTED]
    portal.done(put(before))
    assert portal.read(one) == before


def test_who_replaces_whom_cannot_be_written(portal: Portal) -> None:
    one, two = portal.patient("1"), portal.patient("2")
    link = [{"other": {"reference": two}, "type": "replaced-by"}]
    body = portal.read(one)
    assert body is not None
    assert portal.refusal(put({**body, "link": link})).code == "invalid"
    assert portal.refusal(patched(one, {"op": "add", "path": "/link", "value": link})).code == "invalid"
    assert portal.refusal(post("Patient", link=link)).code == "invalid"


def test_what_the_chart_says_of_a_patient_is_no_word_of_the_client(portal: Portal) -> None:
    """`active` false of one who was replaced, written back, is no longer said once he survives again."""
    one, two = portal.patient("1", active=True), portal.patient("2")
    portal.says(Link(key(two), key(one), Clock(1), "merge"))
    read = portal.read(two)
    assert read is not None
    assert read["active"] is False
    portal.done(put(read))
    portal.says(Link(key(one), key(two), Clock(2), "merge"))
    undone = portal.read(two)
    assert undone is not None
    assert "active" not in undone


def test_tags_can_be_patched(portal: Portal) -> None:
    one = portal.patient("1")
    portal.done(patched(one, {"op": "add", "path": "/meta/tag", "value": [{"code": "vip"}]}))
    found = portal.read(one)
    assert found is not None
    assert found["meta"]["tag"] == [{"code": "vip"}]


def test_a_patch_says_only_what_it_changes(portal: Portal) -> None:
    """A later word of another feed about another element is not lost; a removed element is."""
    one = portal.patient("1", gender="male", birthDate="1980-01-01")
    portal.done(patched(one, {"op": "remove", "path": "/gender"}))
    portal.says(Fact("Patient", key(one), Clock(1000), {"birthDate": "1981-01-01", "gender": "female"}))
    found = portal.read(one)
    assert found is not None
    assert "gender" not in found
    assert found["birthDate"] == "1980-01-01"


def test_digits_survive(portal: Portal) -> None:
    one = portal.patient("1")
    made = portal.create(**observation(one, valueQuantity={"value": Decimal("6.30")}))
    portal.done(patched(made, {"op": "replace", "path": "/status", "value": "amended"}))
    found = portal.read(made)
    assert found is not None
    assert str(found["valueQuantity"]["value"]) == "6.30"


def test_a_patch_of_the_digits_is_a_change(portal: Portal) -> None:
    quantity = {"quantity": {"value": Decimal("6.3")}}
    made = portal.create("Specimen", collection=quantity, subject={"reference": portal.patient("1")})
    path = {"op": "replace", "path": "/collection/quantity", "value": {"value": 6.25}}
    portal.done(patched(made, path))
    found = portal.read(made)
    assert found is not None
    assert str(found["collection"]["quantity"]["value"]) == "6.25"


def test_a_patch_cannot_give_a_patient_the_number_of_another(portal: Portal) -> None:
    one = portal.patient("1")
    portal.patient("2")
    operation = {"op": "replace", "path": "/identifier/0/value", "value": "2"}
    assert portal.refusal(patched(one, operation)).code == "contested-identifier"
    added = {"op": "add", "path": "/identifier/-", "value": {"system": "urn:mrn", "value": "2"}}
    assert portal.refusal(patched(one, added)).code == "invalid", "two numbers of one authority"
    portal.done(patched(one, {**added, "value": {"system": "urn:passport", "value": "P"}}))


# -- identity


def test_the_same_person_by_whatever_wire(portal: Portal) -> None:
    one = IDENTITY.patient_key(MRN, "1")
    portal.says(Fact("Patient", one, Clock(1), {"gender": "male"}))
    assert (
        portal.refusal(post("Patient", identifier=[{"system": "urn:mrn", "value": "1 "}])).code == "conflict"
    )


def test_a_second_number_that_another_patient_holds_is_refused(portal: Portal) -> None:
    numbers = [{"system": "urn:mrn", "value": "1"}, {"system": "urn:epi", "value": "E"}]
    portal.create("Patient", identifier=numbers)
    applied = portal.bundle(post("Patient", identifier=[{**numbers[0], "value": "2"}, numbers[1]]))
    assert not hasattr(applied, "code")
    assert getattr(applied, "withheld", None) == "Bundle.entry[0].resource.identifier[1]"


# -- again


def test_a_write_that_was_done_is_done(portal: Portal) -> None:
    """Processed again (a replay), its conditions are not asked of what it made itself."""
    one = portal.patient("1")
    body = portal.read(one)
    assert body is not None
    for asked in (
        [post("Patient", identifier=[{"system": "urn:mrn", "value": "2"}])],
        [put({**body, "gender": "male"}, ifMatch='W/"1"')],
        [
            patched(
                one, {"op": "test", "path": "/gender", "value": "male"}, {"op": "remove", "path": "/gender"}
            )
        ],
        [entry("DELETE", one)],
    ):
        writes = written(*asked, id=f"b{portal.messages}")
        assert not isinstance(writes, Reason)
        assert portal.says(*writes).refused is None
        before, message = chart.digest(portal.connection), portal.messages
        again = portal.says(*writes, message=message)
        assert (again.refused, again.changed) == (None, ())
        assert chart.digest(portal.connection) == before


def test_a_write_that_must_wait_is_done_once_its_claim_is_honoured(portal: Portal) -> None:
    numbers = [{"system": "urn:mrn", "value": "1"}, {"system": "urn:epi", "value": "E"}]
    writes = written(post("Patient", identifier=numbers), id="b")
    assert not isinstance(writes, Reason)
    made = name(portal.says(*writes).answers[0])
    message = portal.messages
    claim = Link(IDENTITY.patient_key(EPI, "E"), key(portal.patient("3")), Clock(1), "claim", "PID-3[2]")
    earlier = portal.says(claim)
    assert [id for id, _ in earlier.withhold] == [message]
    assert portal.read(made) is None
    assert portal.says(message=portal.messages).release == (message,)
    assert portal.says(*writes, message=message).refused is None
    found = portal.read(made)
    assert found is not None
    assert found["identifier"] == numbers

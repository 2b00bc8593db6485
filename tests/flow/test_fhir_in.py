"""FHIR written through the front door, by a client library that is not ours: fhirpy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from tests.adapters.mllp_peer import fields
from tests.flow.messages import adt
from tests.flow.portal import MRN, Portal, opened, order

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    async with opened(
        tmp_path_factory.mktemp("fhir"), "{fhir: {max_transaction: 200KB, max_batch: 2MB}}"
    ) as portal:
        yield portal


async def test_fhirpy_creates_reads_updates_patches_searches_and_deletes(world: Portal) -> None:
    client = world.client
    patient = client.resource(
        "Patient", identifier=[{"system": MRN, "value": "F1"}], name=[{"family": "Fir"}]
    )
    await patient.save()
    assert patient.id
    observation = client.resource(
        "Observation", status="final", code={"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
        subject=patient.to_reference(), valueQuantity={"value": 4.2, "unit": "mmol/L"},
    )  # fmt: skip
    await observation.save()
    observation["status"] = "amended"
    await observation.save()
    again = await client.reference("Observation", observation.id).to_resource()
    assert (again["status"], again["meta"]["versionId"]) == ("amended", "2")
    found = await client.resources("Observation").search(patient=patient.id).fetch_all()
    assert [each.id for each in found] == [observation.id]
    await observation.delete()
    with pytest.raises((ResourceNotFound, OperationOutcome)):
        await client.reference("Observation", observation.id).to_resource()
    status, _, _ = await world.ask("GET", f"/Observation/{observation.id}")
    assert status == 410


async def test_who_a_patient_is_does_not_depend_on_the_wire(world: Portal) -> None:
    sender = await world.site.sender("adt")
    await sender.ask(adt("F2A", "F2", family="FIRST"))
    await world.site.end("F2A")
    (known,) = await world.site.resources(f"Patient?identifier={MRN}|F2")
    status, said, _ = await world.ask(
        "POST", "/Patient", {"resourceType": "Patient", "identifier": [{"system": MRN, "value": "f2 "}]}
    )
    assert (status, said["issue"][0]["code"]) == (409, "conflict")
    made = await world.patient("F2X")
    await sender.ask(adt("F2B", "F2X", family="LATER"))
    await world.site.end("F2B")
    (same,) = await world.site.resources(f"Patient?identifier={MRN}|F2X")
    assert (same["id"], same["name"][0]["family"]) == (made["id"], "LATER")
    assert known["id"] != made["id"]
    await sender.leave()


async def test_a_transaction_is_all_or_nothing_and_leads_references(world: Portal) -> None:
    who, what = f"urn:uuid:{uuid4()}", f"urn:uuid:{uuid4()}"
    mother = {"resourceType": "Patient", "identifier": [{"system": MRN, "value": "F3"}]}
    entries = [
        {"fullUrl": what, "resource": order(who), "request": {"method": "POST", "url": "ServiceRequest"}},
        {
            "fullUrl": who,
            "resource": mother,
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={MRN}|F3"},
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    status, said, _ = await world.ask("POST", "", bundle)
    assert status == 200, said
    ordered, known = (entry["response"]["location"] for entry in said["entry"])
    assert [entry["response"]["status"] for entry in said["entry"]] == ["201 Created", "201 Created"]
    request = await world.site.get(f"/fhir/{ordered}")
    assert known.startswith(request["subject"]["reference"])
    status, said, _ = await world.ask("POST", "", bundle)
    assert [entry["response"]["status"] for entry in said["entry"]] == ["201 Created", "200 OK"], (
        "no content key: POST is done again"
    )
    bad = [
        *entries,
        {
            "resource": {"resourceType": "Patient", "gender": "x"},
            "request": {"method": "POST", "url": "Patient"},
        },
    ]
    before = len(await world.site.resources(f"ServiceRequest?patient={known.split('/')[1]}"))
    status, said, _ = await world.ask("POST", "", {**bundle, "entry": bad})
    assert (status, said["issue"][0]["expression"]) == (422, ["Bundle.entry[2].resource.gender"])
    assert len(await world.site.resources(f"ServiceRequest?patient={known.split('/')[1]}")) == before


async def test_each_entry_of_a_batch_stands_for_itself(world: Portal) -> None:
    entries = [
        {
            "resource": {"resourceType": "Patient", "identifier": [{"system": MRN, "value": f"F4{n}"}]},
            "request": {"method": "POST", "url": "Patient"},
        }
        for n in range(40)
    ]
    entries[7] = {
        "resource": {"resourceType": "Patient", "birthDate": "soon"},
        "request": {"method": "POST", "url": "Patient"},
    }
    entries[8] = {"request": {"method": "GET", "url": f"Patient?identifier={MRN}|F40"}}
    status, said, _ = await world.ask(
        "POST", "/", {"resourceType": "Bundle", "type": "batch", "entry": entries}
    )
    statuses = [entry["response"]["status"][:3] for entry in said["entry"]]
    assert status == 200
    assert statuses == ["201"] * 7 + ["422", "200"] + ["201"] * 31
    assert said["entry"][7]["response"]["outcome"]["issue"][0]["expression"] == [
        "Bundle.entry[7].resource.birthDate"
    ]
    assert said["entry"][8]["resource"]["total"] == 1


async def test_versions_are_respected(world: Portal) -> None:
    patient = await world.patient("F5")
    url, body = f"/Patient/{patient['id']}", {**patient, "gender": "female"}
    status, made, headers = await world.ask("PUT", url, body, If_Match='W/"1"')
    assert (status, made["meta"]["versionId"], headers["ETag"]) == (200, "2", 'W/"2"')
    status, said, _ = await world.ask("PUT", url, body, If_Match='W/"1"')
    assert (status, said["issue"][0]["code"]) == (412, "conflict")
    patch = json.dumps([{"op": "replace", "path": "/gender", "value": "male"}]).encode()
    status, made, _ = await world.ask(
        "PATCH", url, patch, Content_Type="application/json-patch+json", If_Match='W/"2"'
    )
    assert (status, made["gender"]) == (200, "male")
    assert made["identifier"] == patient["identifier"]
    status, _, _ = await world.ask("GET", url, None, If_None_Match='W/"3"')
    assert status == 304


async def test_an_update_says_the_whole_resource(world: Portal) -> None:
    patient = await world.patient("F6", gender="female", active=False, name=[{"family": "Gone"}])
    assert patient["active"] is False
    left = {key: value for key, value in patient.items() if key != "name"}
    _, made, _ = await world.ask("PUT", f"/Patient/{patient['id']}", left)
    assert "name" not in made
    assert made["gender"] == "female"


async def test_conditions_find_none_one_or_too_many(world: Portal) -> None:
    who = f"Patient/{(await world.patient('F7'))['id']}"
    named = order(who, identifier=[{"system": "urn:o", "value": "O7"}])
    status, first, _ = await world.ask("PUT", "/ServiceRequest?identifier=urn:o|O7", named)
    assert status == 201
    status, second, _ = await world.ask(
        "PUT", "/ServiceRequest?identifier=urn:o|O7", {**named, "status": "revoked"}
    )
    assert (status, second["id"], second["status"]) == (200, first["id"], "revoked")
    status, made, _ = await world.ask("POST", "/ServiceRequest", named, If_None_Exist="identifier=urn:o|O7")
    assert (status, made["id"]) == (200, first["id"])
    await world.ask("POST", "/ServiceRequest", named)
    status, said, _ = await world.ask("PUT", "/ServiceRequest?identifier=urn:o|O7", named)
    assert (status, said["issue"][0]["code"]) == (412, "conflict")
    status, _, _ = await world.ask("DELETE", "/ServiceRequest?identifier=urn:o|O77")
    assert status == 204
    status, said, _ = await world.ask("POST", "/ServiceRequest", order(f"Patient?identifier={MRN}|F7"))
    assert said["subject"] == {"reference": who}


async def test_a_patient_with_resources_is_not_deleted_and_a_deleted_one_can_come_back(world: Portal) -> None:
    patient = await world.patient("F8")
    url = f"/Patient/{patient['id']}"
    _, made, _ = await world.ask("POST", "/ServiceRequest", order(url[1:]))
    assert (await world.ask("DELETE", url))[0] == 409
    assert (await world.ask("DELETE", f"/ServiceRequest/{made['id']}"))[0] == 204
    assert (await world.ask("DELETE", url))[0] == 204
    assert (await world.ask("GET", url))[0] == 410
    assert (await world.ask("PATCH", url, b"[]", Content_Type="application/json-patch+json"))[0] == 410
    status, back, _ = await world.ask("PUT", url, patient)
    assert (status, back["meta"]["versionId"]) == (201, "3")


async def test_an_idempotency_key_is_honoured(world: Portal) -> None:
    body = {"resourceType": "Patient", "name": [{"family": "Once"}]}
    first = await world.ask("POST", "/Patient", body, Idempotency_Key="k1")
    second = await world.ask("POST", "/Patient", body, Idempotency_Key="k1")
    assert (first[0], second[0]) == (201, 201)
    assert first[1]["id"] == second[1]["id"]
    other = await world.ask("POST", "/Patient", {**body, "gender": "male"}, Idempotency_Key="k1")
    assert other[0] == 409
    third = await world.ask("POST", "/Patient", body)
    assert third[1]["id"] != first[1]["id"], "without a key a POST is done again"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/Patient", b"\xff{", 400),
        ("POST", "/Patient", b'{"resourceType":"Patient"', 400),
        ("POST", "/Patient", b"<Patient/>", 400),
        ("POST", "/Patient", b'{"resourceType":"Observation"}', 400),
        (
            "POST",
            "/Patient",
            b'{"resourceType":"Patient","identifier":[{"system":"urn:test:mrn","value":" "}]}',
            422,
        ),
        ("POST", "/Nonsense", b'{"resourceType":"Nonsense"}', 404),
        ("POST", "", b'{"resourceType":"Bundle","type":"collection"}', 400),
        (
            "POST",
            "",
            b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"EAT","url":"Patient"}}]}',
            422,
        ),
        ("PUT", "/Patient/mine", b'{"resourceType":"Patient","id":"mine"}', 405),
        (
            "PUT",
            "/Patient/aaaaaaaaaaaaaaaaaaaaaaaaaa",
            b'{"resourceType":"Patient","id":"aaaaaaaaaaaaaaaaaaaaaaaaaa"}',
            405,
        ),
        ("PATCH", "/Patient/aaaaaaaaaaaaaaaaaaaaaaaaaa", b"[]", 415),
        (
            "POST",
            "/Observation",
            b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aaaaaaaaaaaaaaaaaaaaaaaaaa"}}',
            422,
        ),
    ],
)
async def test_bad_input_is_told_in_fhirs_own_way(
    world: Portal, method: str, path: str, body: bytes, status: int
) -> None:
    found, said, _ = await world.ask(method, path, body)
    assert (found, said["resourceType"]) == (status, "OperationOutcome")


async def test_what_is_no_resource_at_all_is_kept(world: Portal) -> None:
    await world.ask("POST", "/Patient", b"{ no json")
    kept = (await world.site.messages(channel="fhir", state="REFUSED"))[-1]
    assert kept["code"] == "not-json"
    shown = await world.site.get(f"/admin/messages/{kept['id']}")
    assert shown["body"]["text"] == "{ no json"


async def test_xml_is_not_taken_and_its_entities_are_not_read(world: Portal) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Patient>&a;</Patient>'
    status, said, _ = await world.ask("POST", "/Patient", bomb, Content_Type="application/fhir+xml")
    assert (status, said["issue"][0]["code"]) == (415, "not-supported")


async def test_a_number_that_belongs_to_someone_else_is_refused_and_kept(world: Portal) -> None:
    await world.patient("F9A")
    other = await world.patient("F9B")
    stolen = {**other, "identifier": [{"system": MRN, "value": "F9A"}]}
    status, said, _ = await world.ask("PUT", f"/Patient/{other['id']}", stolen)
    assert (status, said["issue"][0]["code"]) == (409, "conflict")
    kept = (await world.site.messages(channel="fhir", state="REFUSED"))[-1]
    assert kept["code"] == "contested-identifier"


async def test_a_long_transaction_is_refused_before_it_is_read_to_its_end(world: Portal) -> None:
    entry = {
        "resource": {"resourceType": "Patient", "name": [{"family": "x" * 1000}]},
        "request": {"method": "POST", "url": "Patient"},
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 250}
    status, said, _ = await world.ask("POST", "", bundle)
    assert (status, said["issue"][0]["code"]) == (413, "too-long")


async def test_hl7_senders_are_answered_while_a_batch_runs(world: Portal) -> None:
    entry = {
        "resource": {"resourceType": "Patient", "name": [{"family": "x"}]},
        "request": {"method": "POST", "url": "Patient"},
    }
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry] * 400}
    batch = asyncio.create_task(world.ask("POST", "", bundle))
    sender = await world.site.sender("adt")
    answered = 0
    while not batch.done():
        assert fields(await sender.ask(adt(f"F10-{answered}", "F10")), b"MSA")[1] == "AA"
        answered += 1
    assert (await batch)[0] == 200
    assert answered > 5
    await sender.leave()

"""The CapabilityStatement promises what is there, no more and no less."""

from __future__ import annotations

from typing import Any

import pytest

from formats import fhir
from store.identity import fhir_id
from tests.web.hospital import Hospital, json_of, patient, patient_key

VALUES = {"token": "x", "string": "x", "date": "2026-03-01", "reference": "x"}


async def statement(hospital: Hospital) -> Any:
    async with hospital.ask("GET", "/fhir/metadata") as response:
        assert response.status == 200
        assert response.content_type == "application/fhir+json"
        return await json_of(response)


async def test_it_is_valid_and_says_where_it_is_from(hospital: Hospital) -> None:
    body = await statement(hospital)
    assert not fhir.problems("CapabilityStatement", body)
    assert body["fhirVersion"] == "4.0.1"
    assert body["implementation"]["url"] == f"{hospital.url}/fhir"


async def test_every_parameter_that_it_names_is_understood(hospital: Hospital) -> None:
    for resource in (await statement(hospital))["rest"][0]["resource"]:
        for parameter in resource["searchParam"]:
            query = f"{parameter['name']}={VALUES[parameter['type']]}"
            async with hospital.get(f"/fhir/{resource['type']}?{query}") as response:
                assert response.status == 200, query


async def test_every_parameter_that_it_does_not_name_is_refused(hospital: Hospital) -> None:
    resources = (await statement(hospital))["rest"][0]["resource"]
    every = {parameter["name"] for resource in resources for parameter in resource["searchParam"]} | {
        "gender"
    }
    for resource in resources:
        for name in every - {parameter["name"] for parameter in resource["searchParam"]}:
            async with hospital.get(f"/fhir/{resource['type']}?{name}=2026") as response:
                assert response.status == 400, (resource["type"], name)


async def test_every_interaction_that_it_names_is_there(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos"))
    one = f"/fhir/Patient/{fhir_id(patient_key('1001'))}"
    paths = {
        "read": one,
        "vread": f"{one}/_history/1",
        "history-instance": f"{one}/_history",
        "search-type": "/fhir/Patient",
    }
    resources = (await statement(hospital))["rest"][0]["resource"]
    for interaction in next(r for r in resources if r["type"] == "Patient")["interaction"]:
        async with hospital.get(paths.pop(interaction["code"])) as response:
            assert response.status == 200
    assert not paths


@pytest.mark.parametrize("host", ['evil"};', "a b", "x" * 300])
async def test_a_strange_host_is_not_repeated(hospital: Hospital, host: str) -> None:
    async with hospital.ask("GET", "/fhir/metadata", headers={"Host": host}) as response:
        body = await json_of(response)
    assert body["implementation"]["url"] == "http://localhost/fhir"

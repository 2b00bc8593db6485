"""Nobody reads anything of a patient without a token; what holds nothing of any patient is open."""

from __future__ import annotations

import hashlib

import pytest

from store.identity import fhir_id
from tests.web.hospital import Hospital, json_of, patient, patient_key

MARTA = f"/fhir/Patient/{fhir_id(patient_key('1001'))}"
GUARDED = (
    MARTA, f"{MARTA}/_history", f"{MARTA}/_history/1", "/fhir/Patient?name=ramos", "/fhir/Patient",
    "/admin/messages", "/admin/messages/1", "/admin/messages/1/trace",
    "/fhir", "/", "/fhir/metadata/", "/healthz/x", "//healthz",
)  # fmt: skip
OPEN = ("/healthz", "/readyz", "/metrics", "/fhir/metadata")


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer ", "Bearer wrong", "Basic d3Jvbmc6d3Jvbmc="]
)
@pytest.mark.parametrize("path", GUARDED)
async def test_without_a_good_token_there_is_nothing(
    hospital: Hospital, path: str, authorization: str | None
) -> None:
    await hospital.says(patient("1001", "Ramos", "Marta"))
    headers = {"Authorization": authorization} if authorization else {}
    async with hospital.ask("GET", path, headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        told = await response.text()
        assert (await json_of(response))["resourceType"] == "OperationOutcome"
        assert "Ramos" not in told


async def test_a_token_opens_and_its_scheme_is_spelt_in_any_case(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos", "Marta"))
    for scheme in ("Bearer", "bearer", "BEARER"):
        async with hospital.ask(
            "GET", MARTA, headers={"Authorization": f"{scheme} {hospital.token}"}
        ) as response:
            assert response.status == 200


async def test_a_token_in_another_scheme_or_cut_short_does_not(hospital: Hospital) -> None:
    for given in (f"Basic {hospital.token}", hospital.token, f"Bearer {hospital.token[:-1]}"):
        async with hospital.ask("GET", "/fhir/Patient", headers={"Authorization": given}) as response:
            assert response.status == 401


async def test_writing_without_a_token_is_refused_before_the_body_is_read(hospital: Hospital) -> None:
    for path in ("/fhir/Patient/_search", "/admin/tokens"):
        async with hospital.ask("POST", path, json={"name": "x"}) as response:
            assert response.status == 401


@pytest.mark.parametrize("path", OPEN)
async def test_what_holds_nothing_of_a_patient_is_open(hospital: Hospital, path: str) -> None:
    await hospital.says(patient("1001", "Ramos", "Marta"), key="CONTROL-1")
    async with hospital.ask("GET", path) as response:
        assert response.status == 200
        told = await response.text()
        assert not any(word in told for word in ("Ramos", "Marta", "1001", "CONTROL-1"))


async def test_the_operators_own_socket_needs_none(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos", "Marta"))
    async with hospital.local.get(f"http://localhost{MARTA}") as response:
        assert response.status == 200


async def test_only_the_digest_of_a_token_is_kept(hospital: Hospital) -> None:
    rows = hospital.running.reader.all("SELECT * FROM token_holder")
    assert [bytes(row[0]) for row in rows] == [hashlib.sha256(hospital.token.encode()).digest()]
    assert hospital.token not in repr(rows)


async def test_whoever_holds_a_token_cannot_make_another(hospital: Hospital) -> None:
    async with hospital.post("/admin/tokens", json={"name": "more"}) as response:
        assert response.status == 403
    assert len(hospital.running.reader.all("SELECT * FROM token_holder")) == 1


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"name": ""}', b'{"name": 7}', b'{"name": "a\\u0000b"}', b"\xff", b"[]"]
)
async def test_a_token_needs_the_name_of_its_user(hospital: Hospital, body: bytes) -> None:
    async with hospital.local.post("http://localhost/admin/tokens", data=body) as response:
        assert response.status == 400
        assert (await json_of(response))["resourceType"] == "OperationOutcome"

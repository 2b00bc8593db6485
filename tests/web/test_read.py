"""read, vread and history: what was stored is what is shown, in every version."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from formats import fhir
from store.identity import fhir_id
from tests.web.hospital import IDENTITY, NOW, Hospital, json_of, merge, patient, patient_key, result, visit

MINUTE = 60_000_000


def url(type: str, key: bytes) -> str:
    return f"/fhir/{type}/{fhir_id(key)}"


MARTA = url("Patient", patient_key("1001"))
POTASSIUM = url("Observation", IDENTITY.key("Observation", "1001", "L1"))


async def test_a_resource_is_read_with_its_version_time_and_message(hospital: Hospital) -> None:
    message = await hospital.says(patient("1001", "Ramos", "Marta", born="1961-04-12"))
    async with hospital.get(MARTA) as response:
        body = await json_of(response)
        assert response.status == 200
        assert response.content_type == "application/fhir+json"
        assert response.headers["ETag"] == 'W/"1"'
        assert parsedate_to_datetime(response.headers["Last-Modified"]).timestamp() * 1e6 == NOW
    assert body["id"] == MARTA.rpartition("/")[2]
    assert body["name"] == [{"family": "Ramos", "given": ["Marta"]}]
    assert body["meta"] == {
        "versionId": "1",
        "lastUpdated": "2026-03-02T12:00:00.000000Z",
        "source": f"urn:chartwire:message:{message}",
    }
    assert not fhir.problems("Patient", body)


@pytest.mark.parametrize("digits", ["6.30", "1.10E+3", "0.000", "100", "12345678901234567890.10"])
async def test_decimals_are_sent_digit_for_digit(hospital: Hospital, digits: str) -> None:
    await hospital.says(result("1001", "L1", "2823-3", "2026-03-02", digits))
    for path in (POTASSIUM, f"{POTASSIUM}/_history/1", f"{POTASSIUM}/_history", "/fhir/Observation"):
        for pretty in ("", "?_pretty=true"):
            async with hospital.get(path + pretty) as response:
                assert f'"value":{digits},' in (await response.text()).replace('": ', '":')


async def test_meta_of_the_stored_resource_is_kept_beside_ours(hospital: Hospital) -> None:
    tag = [{"system": "urn:x", "code": "seen"}]
    await hospital.says(result("1001", "L1", "2823-3", None, "6.30", meta={"tag": tag}))
    async with hospital.get(POTASSIUM) as response:
        text = await response.text()
        assert '"value":6.30' in text
        body = await json_of(response)
    assert body["meta"]["tag"] == tag
    assert body["meta"]["versionId"] == "1"
    assert text.count('"meta"') == 1


async def test_pretty_only_adds_white_space(hospital: Hospital) -> None:
    await hospital.says(result("1001", "L1", "2823-3", "2026-03-02", "6.30"))
    async with hospital.get(POTASSIUM) as plain, hospital.get(f"{POTASSIUM}?_pretty=true") as pretty:
        assert "\n" in await pretty.text()
        assert await json_of(plain) == await json_of(pretty)


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/Patient/unknown",
        f"/fhir/Patient/{'a' * 26}",
        url("Patient", patient_key("never")),
        MARTA.replace("Patient", "Observation"),
        MARTA.upper(),
        f"{MARTA}/_history/2",
        f"{MARTA}/_history/0",
        f"{MARTA}/_history/x",
        f"{MARTA}/_history/99999999999999999999999",
        url("Patient", patient_key("never")) + "/_history",
        "/fhir/Patient/unknown/_history",
        "/fhir/Nonsense",
        "/fhir/Patient/x/y/z",
    ],
)
async def test_what_is_not_there_is_not_found(hospital: Hospital, path: str) -> None:
    await hospital.says(patient("1001", "Ramos", "Marta"))
    async with hospital.get(path) as response:
        assert response.status == 404
        assert not fhir.problems("OperationOutcome", await json_of(response))


async def test_a_visit_that_only_waits_for_its_admission_is_not_there(hospital: Hospital) -> None:
    await hospital.says(visit("1001", "V1", {"start": "2026-03-01"}, establishes=False))
    path = url("Encounter", IDENTITY.key("Encounter", "1001", "V1"))
    for shown in (path, f"{path}/_history", f"{path}/_history/1"):
        async with hospital.get(shown) as response:
            assert response.status == 404


async def _withdrawn(hospital: Hospital) -> str:
    """An admission whose message is said anew to mean nothing; the path of the visit."""
    admission = visit("1001", "V1", {"start": "2026-03-01"}, event="A01")
    await hospital.says(admission)
    await hospital.says(visit("1001", "V1", {}, at=2, cancels="A01", establishes=False))
    return url("Encounter", admission.key)


async def test_what_was_withdrawn_is_gone_and_its_history_stays(hospital: Hospital) -> None:
    path = await _withdrawn(hospital)
    for gone in (path, f"{path}/_history/2"):
        async with hospital.get(gone) as response:
            assert response.status == 410
            assert response.headers["ETag"] == 'W/"2"'
            assert (await json_of(response))["issue"][0]["code"] == "deleted"
    async with hospital.get(f"{path}/_history/1") as response:
        assert response.status == 200
    async with hospital.get(f"{path}/_history") as response:
        bundle = await json_of(response)
    assert not fhir.problems("Bundle", bundle)
    assert [e["request"]["method"] for e in bundle["entry"]] == ["DELETE", "PUT"]
    assert ["resource" in e for e in bundle["entry"]] == [False, True]
    async with hospital.get("/fhir/Encounter") as response:
        assert "entry" not in await json_of(response)


async def test_every_version_can_be_read(hospital: Hospital) -> None:
    families = ["Ramos", "Ramos-Ek", "Ek"]
    for n, family in enumerate(families, start=1):
        await hospital.says(patient("1001", family, at=n), at=NOW + n * MINUTE)
    for n, family in enumerate(families, start=1):
        async with hospital.get(f"{MARTA}/_history/{n}") as response:
            body = await json_of(response)
            assert response.headers["ETag"] == f'W/"{n}"'
        assert body["name"][0]["family"] == family
        assert body["meta"]["versionId"] == str(n)
    async with hospital.get(MARTA) as response:
        assert (await json_of(response))["name"][0]["family"] == "Ek"


async def test_history_goes_back_page_by_page_and_does_not_shift(hospital: Hospital) -> None:
    for n in range(1, 6):
        await hospital.says(patient("1001", f"Name{n}", at=n), at=NOW + n * MINUTE)
    seen: list[str] = []
    path = f"{hospital.url}{MARTA}/_history?_count=2"
    while path:
        async with hospital.get(path.removeprefix(hospital.url)) as response:
            bundle = await json_of(response)
        assert not fhir.problems("Bundle", bundle)
        assert bundle["type"] == "history"
        assert bundle["total"] >= 5
        seen += [e["resource"]["meta"]["versionId"] for e in bundle["entry"]]
        await hospital.says(patient("1001", f"Later{len(seen)}", at=10 + len(seen)))
        path = _link(bundle, "next")
    assert seen == ["5", "4", "3", "2", "1"]


def _link(bundle: dict[str, Any], relation: str) -> str:
    return next((link["url"] for link in bundle["link"] if link["relation"] == relation), "")


@pytest.mark.parametrize(
    "query", ["_count=0", "_count=x", "_count=-1", "_cursor=x", "_since=2026", "_count=²"]
)
async def test_history_refuses_what_it_does_not_know(hospital: Hospital, query: str) -> None:
    await hospital.says(patient("1001", "Ramos"))
    async with hospital.get(f"{MARTA}/_history?{query}") as response:
        assert response.status == 400
        assert (await json_of(response))["issue"][0]["expression"] == [query.partition("=")[0]]


async def test_the_merged_patient_says_who_replaces_it(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos"))
    await hospital.says(patient("1002", "Ramos", "M"))
    await hospital.says(merge("1002", "1001", at=2))
    async with hospital.get(url("Patient", patient_key("1002"))) as response:
        body = await json_of(response)
    assert body["active"] is False
    assert body["link"] == [{"other": {"reference": MARTA.removeprefix("/fhir/")}, "type": "replaced-by"}]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/fhir+json", 200),
        ("application/json;q=0.5, text/html", 200),
        ("*/*", 200),
        ("application/*", 200),
        ("application/fhir+json; fhirVersion=4.0", 200),
        ("application/fhir+xml", 406),
        ("text/html", 406),
    ],
)
async def test_json_is_what_there_is(hospital: Hospital, accept: str, status: int) -> None:
    await hospital.says(patient("1001", "Ramos"))
    async with hospital.get(MARTA, headers={"Accept": accept}) as response:
        assert response.status == status
        assert response.content_type == "application/fhir+json"


@pytest.mark.parametrize(
    ("asked", "status"),
    [("json", 200), ("application/fhir+json", 200), ("application/json", 200), ("xml", 406), ("", 406)],
)
async def test_format_comes_before_the_accept_header(hospital: Hospital, asked: str, status: int) -> None:
    await hospital.says(patient("1001", "Ramos"))
    for accept in ("application/fhir+json", "application/fhir+xml"):
        async with hospital.get(f"{MARTA}?_format={asked}", headers={"Accept": accept}) as response:
            assert response.status == status


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
async def test_the_chart_is_not_written_here(hospital: Hospital, method: str) -> None:
    await hospital.says(patient("1001", "Ramos"))
    for path in (MARTA, "/fhir/Patient", f"{MARTA}/_history", "/fhir/metadata"):
        async with hospital.ask(method, path, headers=hospital.authorization) as response:
            assert response.status == 405
            assert "GET" in response.headers["Allow"]
            assert not fhir.problems("OperationOutcome", await json_of(response))


async def test_nothing_of_a_patient_may_be_cached(hospital: Hospital) -> None:
    message = await hospital.says(patient("1001", "Ramos"))
    for path in (
        MARTA,
        f"{MARTA}/_history",
        "/fhir/Patient",
        "/admin/messages",
        f"/admin/messages/{message}",
    ):
        async with hospital.get(path) as response:
            assert response.headers["Cache-Control"] == "no-store"


async def test_what_fails_inside_is_told_without_a_word_of_content(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos"))
    await hospital.run("UPDATE version SET body = $1", b'{"meta":Ramos}')
    async with hospital.get(MARTA) as response:
        assert response.status == 500
        assert "Ramos" not in await response.text()
        assert (await json_of(response))["issue"][0]["code"] == "exception"

"""Where messages are and what became of them."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

import pytest

from engine.journal import inquiry
from engine.message import Outgoing, State
from engine.runtime import clock
from store.identity import fhir_id
from store.reason import Reason
from tests.web.hospital import (
    IDENTITY,
    MRN,
    NOW,
    Hospital,
    json_of,
    merge,
    patient,
    patient_key,
    result,
)  # fmt: skip

MINUTE = 60_000_000
BAD_TIME = Reason("bad-time", "the source time is not a date or time", "MSH-7")


async def listed(hospital: Hospital, **items: str) -> list[int]:
    """The ids that are listed, newest first, over as many pages as it takes."""
    ids: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        async with hospital.get(f"/admin/messages?{urlencode({**items, **cursor})}") as response:
            page = await json_of(response)
            assert response.status == 200, page
        ids += [message["id"] for message in page["messages"]]
        if page["next"] is None:
            return ids
        cursor = {"cursor": str(page["next"])}


async def filled(hospital: Hospital) -> None:
    """Messages 1 to 4, a minute apart."""
    await hospital.says(patient("1001", "Ramos"), key="A", about="1001")
    await hospital.says(
        result("1001", "L1", "2823-3", None, "6.3"), key="B", about="1001", channel="lab", at=NOW + MINUTE
    )
    await hospital.says(key="C", state=State.QUARANTINED, reason=BAD_TIME, at=NOW + 2 * MINUTE)
    await hospital.says(key="D", state=State.RECEIVED, channel="lab", at=NOW + 3 * MINUTE)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ({}, [4, 3, 2, 1]),
        ({"channel": "lab"}, [4, 2]),
        ({"channel": "none"}, []),
        ({"state": "QUARANTINED"}, [3]),
        ({"state": "received"}, [4]),
        ({"state": "STORED"}, [2, 1]),
        ({"state": "STORED", "channel": "adt"}, [1]),
        ({"key": "B"}, [2]),
        ({"key": "B", "state": "FAILED"}, []),
        ({"patient": "1001"}, [2, 1]),
        ({"patient": " 1001 "}, [2, 1]),
        ({"patient": "mrn|1001"}, [2, 1]),
        ({"patient": "HOSP|1001"}, [2, 1]),
        ({"patient": f"{MRN.namespace}|1001"}, [2, 1]),
        ({"patient": "national|1001"}, []),
        ({"patient": "1001", "channel": "lab"}, [2]),
        ({"patient": "9999"}, []),
        ({"since": "2026-03-02T12:01:00Z"}, [4, 3, 2]),
        ({"since": "2026-03-02T13:01:00+01:00"}, [4, 3, 2]),
        ({"since": "2026-03-03"}, []),
        ({"limit": "1"}, [4, 3, 2, 1]),
        ({"limit": "3", "channel": "lab"}, [4, 2]),
        ({"cursor": "3"}, [2, 1]),
    ],
)
async def test_messages_are_listed_by(hospital: Hospital, items: dict[str, str], expected: list[int]) -> None:
    await filled(hospital)
    assert await listed(hospital, **items) == expected


async def test_since_takes_how_long_ago(hospital: Hospital) -> None:
    await hospital.says(at=clock.now() - 90 * MINUTE)
    await hospital.says(at=clock.now() - 30 * MINUTE)
    assert await listed(hospital, since="1h") == [2]
    assert await listed(hospital, since="2h") == [2, 1]
    assert await listed(hospital, since="10m") == []


async def test_a_patient_is_everyone_that_was_merged_into_him(hospital: Hospital) -> None:
    await filled(hospital)
    moved = await hospital.says(patient("1002", "Ramos"), about="1002")
    await hospital.says(merge("1002", "1001", at=2))
    assert await listed(hospital, patient="1001") == [moved, 2, 1]
    assert await listed(hospital, patient="1002") == [moved, 2, 1]


async def test_a_long_journal_is_looked_through_in_bounded_steps(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inquiry, "SPAN", 10)
    for n in range(35):
        await hospital.says(channel="lab" if n == 2 else "adt", at=NOW + n * MINUTE)
    async with hospital.get("/admin/messages?channel=lab") as response:
        page = await json_of(response)
    assert page == {"messages": [], "next": 26}
    assert await listed(hospital, channel="lab") == [3]
    assert await listed(hospital) == list(range(35, 0, -1))
    async with hospital.get(
        f"/admin/messages?channel=lab&{urlencode({'since': '2026-03-02T12:30Z'})}"
    ) as response:
        assert await json_of(response) == {"messages": [], "next": None}


CANARY = "Canary7"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", CANARY), ("since", CANARY), ("since", "99999999999d"),
        ("limit", "0"), ("limit", CANARY), ("cursor", CANARY), ("cursor", "-1"),
        ("patient", ""), ("patient", "  "), ("patient", "mrn|"),
        ("patient", f"{CANARY}|1001"), ("patient", "visit|V1"),
        (CANARY, "x"),
    ],
)  # fmt: skip
async def test_a_wrong_parameter_is_named_and_never_repeated(
    hospital: Hospital, name: str, value: str
) -> None:
    async with hospital.get(f"/admin/messages?{urlencode({name: value})}") as response:
        assert response.status == 400
        assert CANARY not in await response.text()
        outcome = await json_of(response)
    assert outcome["issue"][0].get("expression", [name]) == [name]


async def shown(hospital: Hospital, id: int, what: str = "") -> Any:
    async with hospital.get(f"/admin/messages/{id}{what}") as response:
        assert response.status == 200
        return await json_of(response)


async def test_a_message_is_shown_with_its_bytes_and_its_reason(hospital: Hospital) -> None:
    await filled(hospital)
    message = await shown(hospital, 3)
    assert message["received"] == "2026-03-02T12:02:00.000000Z"
    assert {name: message[name] for name in ("channel", "state", "code", "place", "key", "kind", "size")} == {
        "channel": "adt", "state": "QUARANTINED", "code": "bad-time", "place": "MSH-7", "key": "C",
        "kind": "ADT^A01", "size": 9,
    }  # fmt: skip
    assert message["reason"] == BAD_TIME.text
    assert message["body"]["text"] == "MSH|^~\\&|"
    assert message["deliveries"] == []


HEAD = "MSH|^~\\&|A|B|C|D|20260302||ADT^A01|1|P|2.5"
BODIES = [
    ("adt", f"{HEAD}||||||8859/1\rPID|||1||Müller", "iso8859-1"),
    ("lab", f"{HEAD}\rPID|||1||Müller", "iso8859-1"),
    ("adt", f"{HEAD}||||||UNICODE UTF-8\rPID|||1||Müller", "utf-8"),
]


@pytest.mark.parametrize(("channel", "text", "charset"), BODIES)
async def test_text_is_shown_in_the_messages_own_character_set(
    hospital: Hospital, channel: str, text: str, charset: str
) -> None:
    id = await hospital.says(channel=channel, body=text.encode(charset))
    assert (await shown(hospital, id))["body"] == {"charset": charset, "text": text}


@pytest.mark.parametrize("body", [f"{HEAD}\rPID|||1||Müller".encode("latin-1"), b"\xff\xfe\x00garbage"])
async def test_bytes_that_are_no_text_are_shown_as_they_are(hospital: Hospital, body: bytes) -> None:
    id = await hospital.says(channel="adt", body=body)
    assert base64.b64decode((await shown(hospital, id))["body"]["base64"]) == body


async def test_a_channel_that_is_no_longer_there_hides_nothing(hospital: Hospital) -> None:
    id = await hospital.says(channel="former")
    assert (await shown(hospital, id))["body"]["text"] == "MSH|^~\\&|"


async def test_bytes_that_were_not_kept_are_not_there(hospital: Hospital) -> None:
    id = await hospital.says()
    await hospital.run("DELETE FROM body")
    assert (await shown(hospital, id))["body"] is None


async def test_a_trace_tells_what_a_message_made_and_who_was_told(hospital: Hospital) -> None:
    id = await hospital.says(
        patient("1001", "Ramos"),
        result("1001", "L1", "2823-3", None, "6.30"),
        outgoing=[
            Outgoing("to-pager", "pager", "1001", None),
            Outgoing("to-archive", "archive", "1001", b"x"),
        ],
    )
    await hospital.run(
        "UPDATE delivery SET state='PARKED', attempts=3, code='refused', reason='no' WHERE route='to-archive'"
    )
    story = await shown(hospital, id, "/trace")
    assert story["state"] == "STORED"
    one = f"/fhir/Patient/{fhir_id(patient_key('1001'))}"
    assert story["resources"][0] == {
        "type": "Patient",
        "id": fhir_id(patient_key("1001")),
        "url": one,
        "versions": [{"number": 1, "gone": False, "url": f"{one}/_history/1"}],
    }
    assert [r["type"] for r in story["resources"]] == ["Patient", "Observation"]
    for resource in story["resources"]:
        async with hospital.get(resource["versions"][0]["url"]) as response:
            assert (await json_of(response))["meta"]["source"] == f"urn:chartwire:message:{id}"
    first, second = story["deliveries"]
    assert (first["destination"], first["state"], first["attempts"]) == ("pager", "QUEUED", 0)
    assert first["control"] == f"{IDENTITY.origin}{first['id']}"
    assert first["lane"] == str(IDENTITY.lane("pager", "1001"))
    assert (second["state"], second["attempts"], second["code"], second["reason"]) == (
        "PARKED",
        3,
        "refused",
        "no",
    )


async def test_a_trace_of_a_repeated_fact_says_that_it_changed_nothing(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos"))
    again = await hospital.says(patient("1001", "Ramos", at=2))
    assert [(r["type"], r["versions"]) for r in (await shown(hospital, again, "/trace"))["resources"]] == [
        ("Patient", [])
    ]


async def test_a_trace_of_a_merge_shows_both_patients(hospital: Hospital) -> None:
    await hospital.says(patient("1001", "Ramos"))
    await hospital.says(patient("1002", "Ramos"))
    id = await hospital.says(merge("1002", "1001", at=2))
    touched = {
        (r["id"], r["versions"][0]["number"]) for r in (await shown(hospital, id, "/trace"))["resources"]
    }
    assert touched == {(fhir_id(patient_key("1001")), 2), (fhir_id(patient_key("1002")), 2)}


@pytest.mark.parametrize(
    "path", ["/admin/messages/99", "/admin/messages/99/trace", "/admin/messages/x", "/admin"]
)
async def test_what_is_not_there_is_not_found(hospital: Hospital, path: str) -> None:
    async with hospital.get(path) as response:
        assert response.status == 404

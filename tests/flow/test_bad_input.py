"""What bad input gets, row by row: kept, in a state that says so, with a code and a place; others unaffected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.adapters.mllp_peer import END, VT, fields
from tests.flow.installation import Installation, channel, running
from tests.flow.messages import a40, adt, later, oru, pid

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 65536
REQUIRED = ("pipeline:", "  - hl7.require: {segments: [PID], fields: [PID-5.1]}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    files = {
        "channels/stored.yaml": channel("stored", f"mllp: {{port: 0, max_frame: {LIMIT}B}}", *REQUIRED),
        "channels/processed.yaml": channel(
            "processed", "mllp: {port: 0, max_frame: 1MB}", "ack: processed", *REQUIRED
        ),
    }
    async with running(tmp_path_factory.mktemp("bad_input"), files) as made:
        yield made


class Row(NamedTuple):
    """`body` with its key to be filled in; `err` is ERR-2 where a sender is told at once."""

    body: bytes
    code: str
    place: str
    err: str


BAD = {
    "a required segment is missing": Row(
        adt("KEY", "X").replace(b"PID|", b"ZID|"), "required-segment", "PID", "PID^1"
    ),
    "a required field is missing": Row(adt("KEY", "X", family=""), "required-field", "PID[1]-5.1", "PID^1^5^1^1"),
    "a byte that is no character": Row(
        adt("KEY", "X").replace(b"HOME ST", b"M\xfcHLENWEG"), "undecodable", "PID-11.1", "PID^1^11^1^1"
    ),
    "a birthday that is no day": Row(adt("KEY", "X", born="19610231"), "invalid-date", "PID-7", "PID^1^7^1"),
    "a birthday that is no date": Row(adt("KEY", "X", born="1961BAD"), "invalid-date", "PID-7", "PID^1^7^1"),
    "a time of death that is none": Row(
        adt("KEY", "X", more={29: "2026022"}), "invalid-date", "PID-29", "PID^1^29^1"
    ),
    "an admission on no day": Row(
        adt("KEY", "X").replace(b"|20260301\r", b"|20260229\r"), "invalid-date", "PV1-44", "PV1^1^44^1"
    ),
    "a report at no time": Row(oru("KEY", "X", reported="20260301250000"), "invalid-date", "OBR-22", "OBR^1^22^1"),
    "sent at no time": Row(adt("KEY", "X", time="20261301"), "bad-time", "MSH-7.1", "MSH^1^7^1^1"),
    "does not say when it was sent": Row(
        adt("KEY", "X", time="NOW").replace(b"|NOW|", b"||").replace(b"|NOW\r", b"|\r"),
        "no-time", "MSH-7.1", "MSH^1^7^1^1",
    ),
    "an empty id": Row(adt("KEY", "X", ids="^^^MRN^MR"), "blank-patient-id", "PID-3[1].1", "PID^1^3^1^1"),
    "an id of blanks": Row(adt("KEY", "X", ids="   ^^^MRN^MR"), "blank-patient-id", "PID-3[1].1", "PID^1^3^1^1"),
    "an id that is null": Row(adt("KEY", "X", ids='""^^^MRN^MR'), "blank-patient-id", "PID-3[1].1", "PID^1^3^1^1"),
    "an id of nobody known": Row(
        adt("KEY", "X", ids="X^^^ELSEWHERE^MR"), "unknown-authority", "PID-3[1].1", "PID^1^3^1^1"
    ),
    "an id of nobody at all": Row(adt("KEY", "X", ids="X"), "unknown-authority", "PID-3[1].1", "PID^1^3^1^1"),
    "an id that identifies no patient": Row(
        adt("KEY", "X", ids="X^^^VISIT^VN"), "unknown-authority", "PID-3[1].1", "PID^1^3^1^1"
    ),
    "two ids of one authority": Row(
        adt("KEY", "X", ids="X^^^MRN^MR~Y^^^MRN^MR"), "two-identifiers", "PID-3[2].1", "PID^1^3^2^1"
    ),
    "sent in the far future": Row(adt("KEY", "X", time="20990101"), "future-time", "MSH-7.1", "MSH^1^7^1^1"),
    "reported in the far future": Row(oru("KEY", "X", reported="20990101"), "future-time", "OBR-22", "OBR^1^22^1"),
    "a test message": Row(adt("KEY", "X", mode="T"), "test-message", "MSH-11.1", "MSH^1^11^1^1"),
    "no processing id": Row(adt("KEY", "X", mode=""), "test-message", "MSH-11.1", "MSH^1^11^1^1"),
    "two patients in one event": Row(adt("KEY", "X", last=pid("Y")), "several-patients", "PID[2]", "PID^2"),
    "merged with himself": Row(a40("KEY", "X", "X"), "merge-with-itself", "MRG-1", "MRG^1^1^1"),
    "merged with nobody": Row(a40("KEY", "X", ""), "blank-patient-id", "MRG-1[1].1", "MRG^1^1^1^1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_bad_content_is_quarantined_with_code_and_place(site: Installation, name: str) -> None:
    row, number = BAD[name], list(BAD).index(name)
    key, mrn = f"Q{number}", f"QX{number}"
    body = row.body.replace(b"KEY", key.encode()).replace(b"X^^^", f"{mrn}^^^".encode())
    sender = await site.sender("stored")
    for control, sent in (
        (f"{key}A", adt(f"{key}A", mrn)),
        (key, body),
        (f"{key}B", adt(f"{key}B", mrn, "A08")),
    ):
        assert fields(await sender.ask(sent), b"MSA")[1:3] == ["AA", control]
    message = await site.end(key)
    assert (message["state"], message["code"], message["place"]) == ("QUARANTINED", row.code, row.place)
    assert message["reason"]
    assert [(await site.end(f"{key}{which}"))["state"] for which in "AB"] == ["STORED", "STORED"]
    assert (await site.get(f"/admin/messages/{message['id']}/trace"))["resources"] == []
    await sender.leave()


@pytest.mark.parametrize("name", BAD)
async def test_bad_content_is_refused_where_the_sender_waits_for_the_verdict(
    site: Installation, name: str
) -> None:
    row, number = BAD[name], list(BAD).index(name)
    key, mrn = f"R{number}", f"RX{number}"
    body = row.body.replace(b"KEY", key.encode()).replace(b"X^^^", f"{mrn}^^^".encode())
    sender = await site.sender("processed")
    answer = await sender.ask(body)
    assert fields(answer, b"MSA")[1:3] == ["AE", key]
    error = fields(answer, b"ERR")
    assert error[2] == row.err
    assert error[3].split("^")[0] in {"100", "101", "102", "103", "202", "204"}, "it is the content's fault"
    assert error[5] == row.code
    message = await site.end(key)
    assert (message["state"], message["code"], message["place"]) == ("REFUSED", row.code, row.place)
    assert not await site.resources(f"Patient?identifier=urn:test:mrn|{mrn}")
    assert fields(await sender.ask(adt(f"{key}B", mrn)), b"MSA")[1] == "AA"
    await sender.leave()


NO_MESSAGE = {
    "not HL7": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "no-msh"),
    "no MSH": (pid("N1").encode() + b"\r", "no-msh"),
    "no delimiters": (b"MSH\rPID|1\r", "bad-delimiters"),
    "two in one frame": (adt("N2", "N2") + adt("N3", "N3"), "several-messages"),
    "a batch": (b"BHS|^~\\&|ADT1\r" + adt("N4", "N4") + b"BTS|1\r", "batch"),
    "over the limit": (adt("N5", "N5", last="NTE|1||" + "x" * LIMIT), "frame-too-long"),
}


@pytest.mark.parametrize("name", NO_MESSAGE)
async def test_what_is_no_message_gets_a_nack_and_is_kept(site: Installation, name: str) -> None:
    body, code = NO_MESSAGE[name]
    key = f"N{list(NO_MESSAGE).index(name)}"
    sender = await site.sender("stored")
    assert fields(await sender.ask(body), b"MSA")[1] == "AR"
    refused = (await site.messages(state="REFUSED", channel="stored"))[-1]
    assert refused["code"] == code
    shown = await site.get(f"/admin/messages/{refused['id']}")
    assert shown["body"]["text"].encode() == body[:65536]
    assert fields(await sender.ask(adt(f"{key}B", key)), b"MSA")[1] == "AA"
    assert (await site.end(f"{key}B"))["state"] == "STORED"
    await sender.leave()


async def test_a_truncated_frame_is_refused_and_kept_and_others_go_on(site: Installation) -> None:
    broken, other = await site.sender("stored"), await site.sender("stored")
    whole = adt("TR1", "TR1")
    await broken.write(VT + whole[:120])
    assert fields(await other.ask(adt("TR2", "TR2")), b"MSA")[1] == "AA"
    broken.end()
    assert fields(await broken.answer(), b"MSA")[1:3] == ["AR", "TR1"]
    refused = await site.end("TR1")
    assert (refused["state"], refused["code"]) == ("REFUSED", "truncated")
    assert (await site.get(f"/admin/messages/{refused['id']}"))["body"]["text"].encode() == whole[:120]
    assert (await site.end("TR2"))["state"] == "STORED"
    await broken.leave()
    await other.leave()


async def test_a_frame_begun_anew_does_not_swallow_the_next(site: Installation) -> None:
    sender = await site.sender("stored")
    await sender.write(VT + adt("TR3", "TR3")[:120] + VT + adt("TR4", "TR4") + END)
    assert fields(await sender.answer(), b"MSA")[1:3] == ["AR", "TR3"]
    assert fields(await sender.answer(), b"MSA")[1:3] == ["AA", "TR4"]
    assert (await site.end("TR4"))["state"] == "STORED"
    await sender.leave()


async def test_a_message_that_no_map_knows_is_stored_raw(site: Installation) -> None:
    sender = await site.sender("stored")
    await sender.ask(adt("RAW", "RAW").replace(b"ADT^A01^ADT_A01", b"ZZZ^Z01"))
    message = await site.end("RAW")
    assert (message["state"], message["code"]) == ("STORED_RAW", "no-map")
    await sender.leave()


async def family_of(site: Installation, mrn: str) -> list[str]:
    found = await site.resources(f"Patient?identifier=urn:test:mrn|{mrn}")
    return [patient["name"][0]["family"] for patient in found]


async def test_two_claimants_of_one_identifier(site: Installation) -> None:
    """The older claim by the source's clock holds it, whoever came first; a merge decides anew."""
    sender = await site.sender("stored")
    early, middle, late, last = later(), later(), later(), later()
    await sender.ask(adt("CL2", "CL2", time=middle, ids="CL2^^^MRN^MR~SHARED^^^EPI^PI", family="SECOND"))
    assert (await site.end("CL2"))["state"] == "STORED"
    await sender.ask(adt("CL3", "CL3", time=late, ids="CL3^^^MRN^MR~SHARED^^^EPI^PI", family="THIRD"))
    waits = await site.end("CL3")
    assert (waits["state"], waits["code"], waits["place"]) == (
        "QUARANTINED",
        "contested-identifier",
        "PID-3[2].1",
    )
    assert await family_of(site, "CL3") == []
    (holder,) = await site.resources("Patient?identifier=urn:test:mrn|CL2")
    assert holder["meta"]["tag"] == [{"system": "urn:chartwire:flag", "code": "contested-identifier"}]

    await sender.ask(adt("CL1", "CL1", time=early, ids="CL1^^^MRN^MR~SHARED^^^EPI^PI", family="FIRST"))
    assert (await site.end("CL1"))["state"] == "STORED"
    assert (await site.end("CL2"))["state"] == "QUARANTINED"
    assert await family_of(site, "CL2") == []
    assert await family_of(site, "CL1") == ["FIRST"]

    await sender.ask(a40("CL4", "CL1", "CL2", time=last))
    assert (await site.end("CL4"))["state"] == "STORED"
    assert (await site.end("CL2"))["state"] == "STORED", "the two are one patient now"
    assert (await site.end("CL3"))["state"] == "QUARANTINED", "the third is not"
    (merged,) = await site.resources("Patient?identifier=urn:test:mrn|CL2")
    assert merged["active"] is False
    assert merged["link"][0]["type"] == "replaced-by"
    await sender.leave()

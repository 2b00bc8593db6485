"""SCRIPT in XML: read safely, kept as it came, changed only where it must be."""

from __future__ import annotations

import pytest

from formats import script
from store.reason import Reason
from tests.adapters.script_text import answer, newrx


def parsed(body: bytes) -> script.Message:
    message = script.parse(body)
    assert isinstance(message, script.Message), message
    return message


def test_names_are_found_whatever_their_namespace() -> None:
    plain = parsed(newrx("M1", "RX7"))
    other = parsed(newrx("M1", "RX7").replace(b"<Message ", b"<Message xmlns='urn:ncpdp' "))
    for message in (plain, other):
        assert message.kind == "NewRx"
        assert message.text("Header/PrescriberOrderNumber") == "RX7"
        assert (
            message.text("MedicationPrescribed/Sig/SigText", message.content)
            == "One capsule three times a day"
        )


def test_another_id_changes_no_other_byte() -> None:
    body = newrx("M1", more="<x:Unheard xmlns:x='urn:x'>\r\n of <x:B/> &#233;</x:Unheard>")
    changed = parsed(body).with_id("CW-17")
    assert changed.raw == body.replace(b"<MessageID>M1<", b"<MessageID>CW-17<")
    empty = body.replace(b"<MessageID>M1</MessageID>", b"<MessageID/>")
    assert parsed(empty).with_id("CW-17").text("Header/MessageID") == "CW-17"


def test_what_is_built_reads_back_with_its_text() -> None:
    text = '5 < 6 & "quoted" \x07 ünï'
    header = script.Header("P1", "P", "D1", "D", "M9", "2026-03-01T12:00:00Z", relates="M1")
    made = script.error(header, "900", text)
    assert made.kind == "Error"
    assert made.text("Body/Error/Description") == text.replace("\x07", "")
    assert made.text("Header/RelatesToMessageID") == "M1"
    assert made.find("Header/To").get("Qualifier") == "P"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-xml"),
        (b"\x00\xff", "not-xml"),
        (b"<a/>", "not-script"),
        (b"<Message><Header/></Message>", "not-script"),
        (b"<Message>" + b"<a>" * 100 + b"</a>" * 100 + b"</Message>", "not-script"),
        (b"<!DOCTYPE a><Message><Body><NewRx/></Body></Message>", "xml-entity"),
        (b'<Message version="010006"><Body><NewRx/></Body></Message>', "wrong-version"),
    ],
)
def test_what_is_none_says_so(body: bytes, code: str) -> None:
    found = script.parse(body)
    assert isinstance(found, Reason)
    assert found.code == code


def test_an_answer_names_what_it_answers() -> None:
    assert parsed(answer("Status", "S1", "CW-1", "010")).text("Header/RelatesToMessageID") == "CW-1"

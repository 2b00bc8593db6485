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


def with_id(body: bytes, id: str) -> bytes:
    found = parsed(body).with_id(id)
    assert isinstance(found, script.Message), found
    assert found.text("Header/MessageID") == id
    return found.raw


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
    assert with_id(body, "CW17") == body.replace(b"<MessageID>M1<", b"<MessageID>CW17<")
    again = with_id(with_id(body, "CW17"), "M1")
    assert again == body


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<MessageID/>", "<MessageID>CW17</MessageID>"),
        ("<MessageID ></MessageID>", "<MessageID >CW17</MessageID>"),
        ("<MessageID a='>'>M<!-- x -->1</MessageID>", "<MessageID a='>'>CW17</MessageID>"),
        ("<!-- <MessageID>no</MessageID> --><MessageID>M1</MessageID>",
         "<!-- <MessageID>no</MessageID> --><MessageID>CW17</MessageID>"),
    ],
)  # fmt: skip
def test_the_id_is_found_however_it_is_written(before: str, after: str) -> None:
    body = newrx("M1").replace(b"<MessageID>M1</MessageID>", before.encode())
    assert with_id(body, "CW17") == body.replace(before.encode(), after.encode())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_message_that_cannot_take_an_id_says_so(encoding: str) -> None:
    without = newrx("M1").replace(
        b"<MessageID>M1</MessageID>", b"" if encoding == "utf-8" else b"<MessageID/>"
    )
    body = without.decode().replace("UTF-8", encoding).encode(encoding)
    found = parsed(body).with_id("CW17")
    assert isinstance(found, Reason)
    assert (found.code, found.place) == ("no-message-id", "Header/MessageID")


def test_a_comment_does_not_shorten_a_text() -> None:
    message = parsed(newrx("M1", mrn="MRN<!-- 9 -->1<?x y?>7"))
    place = "Patient/HumanPatient/Identification/MedicalRecordIdentificationNumberEHR"
    assert message.text(place, message.content) == "MRN17"


def test_what_is_built_reads_back_with_its_text() -> None:
    text = '5 < 6 & "quoted" \x07\ufffe ünï 💊'
    header = script.Header("P1", "P", "D1", "D", "M9", "2026-03-01T12:00:00Z", relates="M1")
    made = script.error(header, "900", text, "4040")
    assert made.kind == "Error"
    assert made.text("Body/Error/Description") == text.replace("\x07", "").replace("\ufffe", "")
    assert made.text("Body/Error/DescriptionCode") == "4040"
    assert made.text("Header/RelatesToMessageID") == "M1"
    assert made.find("Header/To").get("Qualifier") == "P"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-xml"),
        (b"\x00\xff", "not-xml"),
        (b"<a/>", "not-script"),
        (b"<Message><Header/></Message>", "not-script"),
        (b"<Message><Body><NewRx/></Body></Message>", "not-script"),
        (b"<Message>" + b"<a>" * 100 + b"</a>" * 100 + b"</Message>", "not-script"),
        (b"<Message>" + b"<a>" * 100_000, "not-xml"),
        (b"<Message><Header/><Body><Status/><Error/></Body></Message>", "several-transactions"),
        (b"<!DOCTYPE a><Message><Header/><Body><NewRx/></Body></Message>", "xml-entity"),
        ("<!DOCTYPE a><Message><Header/><Body><NewRx/></Body></Message>".encode("utf-16"), "xml-entity"),
        (b"<?xml version='1.0' encoding='gb2312'?><!DOCTYPE a><Message/>", "xml-entity"),
        (b"<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1:9/'>%x;]><Message/>", "xml-entity"),
        (b"<Message><Header>&nobody;</Header><Body><NewRx/></Body></Message>", "xml-entity"),
        (b'<Message version="010006"><Body><NewRx/></Body></Message>', "wrong-version"),
        (
            b"<Message xmlns='urn:ncpdp:script:2023011'><Header/><Body><NewRx/></Body></Message>",
            "wrong-version",
        ),
    ],
)
def test_what_is_none_says_so(body: bytes, code: str) -> None:
    found = script.parse(body)
    assert isinstance(found, Reason)
    assert found.code == code


def test_an_answer_names_what_it_answers() -> None:
    assert parsed(answer("Status", "S1", "CW-1", "010")).text("Header/RelatesToMessageID") == "CW-1"


def test_entities_that_would_grow_without_end_are_not_grown() -> None:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 40))
    body = f'<!DOCTYPE x [<!ENTITY e0 "{"x" * 100}">{levels}]><Message a="&e39;">&e39;</Message>'.encode()
    found = script.parse(body)
    assert isinstance(found, Reason)
    assert found.code == "xml-entity"


def test_a_message_cut_off_anywhere_is_refused_and_never_raises() -> None:
    body = newrx("M1")
    for size in range(len(body) - 1):
        assert isinstance(script.parse(body[:size]), Reason), size


def test_the_header_is_read_as_far_as_it_goes() -> None:
    body = newrx("M&amp;1", to="A &lt; B")
    whole = script.head(body)
    assert whole == script.Head("M&1", "A < B", "D", "6128890368017", "D")
    assert script.head(body[: body.index(b"<Body>")]) == whole
    assert script.head(body.replace(b"2017071", b"2023011")) == whole
    assert script.head(body[: body.index(b"<MessageID>")]) == whole._replace(id="")
    twice = body.replace(b"</MessageID>", b"</MessageID><MessageID>M2</MessageID>")
    assert script.head(twice) == whole
    assert (
        script.head(b"no XML")
        == script.head(b"<!DOCTYPE a>" + body[body.index(b"<Message") :])
        == script.Head()
    )

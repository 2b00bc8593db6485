"""What MSH decides: delimiters, line ends, character set; and what is no message at all."""

import pytest

from formats import hl7v2
from formats.reason import Reason

REST = b"|A|B|C|D|20260101||ADT^A01|7|P|2.5"


def parsed(body: bytes, charset: str = "ASCII") -> hl7v2.Message:
    message = hl7v2.parse(body, charset=charset)
    assert isinstance(message, hl7v2.Message)
    return message


def reason(body: bytes) -> Reason:
    found = hl7v2.parse(body)
    assert isinstance(found, Reason)
    return found


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        (b"MSH|^~\\&", (b"|", b"^", b"~", b"\\", b"&", b"")),
        (b"MSH|^~\\&#", (b"|", b"^", b"~", b"\\", b"&", b"#")),
        (b"MSH#!@%*", (b"#", b"!", b"@", b"%", b"*", b"")),
        (b"MSH|^~\\", (b"|", b"^", b"~", b"\\", b"", b"")),
        (b"MSH|^~", (b"|", b"^", b"~", b"", b"", b"")),
        (b"MSH|^", (b"|", b"^", b"", b"", b"", b"")),
        (b"MSH|^~\\\\&", (b"|", b"^", b"~", b"\\", b"&", b"")),
        (b"MSH|^~&", (b"|", b"^", b"~", b"", b"&", b"")),
    ],
)
def test_the_delimiters_are_those_of_msh(opening: bytes, expected: tuple[bytes, ...]) -> None:
    message = parsed(opening + REST.replace(b"|", opening[3:4]))
    assert message.separators == hl7v2.Separators(*expected)
    assert message.control == "7"
    assert message.get("MSH-1") == opening[3:4].decode()
    assert message.get("MSH-2") == opening[4:].decode()


@pytest.mark.parametrize(
    "body",
    [b"MSH", b"MSH|", b"MSH||A", b"MSHA^~\\&A", b"MSH|AB12|", b'MSH|^~\\"|x', b"MSH|^~\\&#%!|x", b"MSH\r\r"],
)
def test_unusable_delimiters_are_a_reason(body: bytes) -> None:
    assert (reason(body).code, reason(body).place) == ("bad-delimiters", "MSH-2")


@pytest.mark.parametrize("opening", [b"MSH|^~\\&", b"MSH|^~\\&|", b"MSH|^"])
def test_a_header_may_be_short(opening: bytes) -> None:
    message = parsed(opening)
    assert (message.kind, message.control) == ("", "")


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends(end: bytes, last: bool) -> None:
    lines = [b"MSH|^~\\&" + REST, b"PID|1||77", b"PV1|1|I"]
    message = parsed(end.join(lines) + (end if last else b""))
    assert [(s.name, message.raw[s.start : s.end]) for s in message.segments] == list(
        zip(["MSH", "PID", "PV1"], lines, strict=True)
    )
    assert message.get("PV1-2") == "I"
    assert message.control == "7"


def test_a_line_feed_in_a_message_that_uses_cr_is_text() -> None:
    message = parsed(b"MSH|^~\\&" + REST + b"\rOBX|1|TX|||line one\nline two\n\nline four\rNTE|1\r")
    assert message.get("OBX-5") == "line one\nline two\n\nline four"
    assert [s.name for s in message.segments] == ["MSH", "OBX", "NTE"]


def test_line_ends_may_be_mixed() -> None:
    message = parsed(b"MSH|^~\\&" + REST + b"\r\nPID|1\n\nPV1|1\rNTE|1|a\nb\r\n")
    assert [s.name for s in message.segments] == ["MSH", "PID", "PV1", "NTE"]
    assert message.get("NTE-2") == "a\nb"
    assert message.control == "7"


def test_a_byte_order_mark_and_blank_lines_may_come_first() -> None:
    body = b"\xef\xbb\xbf\r\n MSH|^~\\&" + REST + "\rPID|||||Müller".encode()
    message = parsed(body)
    assert message.raw == body
    assert message.get("PID-5") == "Müller"
    assert message.set("PID-5", "Möller").raw == body.replace("ü".encode(), "ö".encode())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "no-msh"),
        (b"<ClinicalDocument/>", "no-msh"),
        (b"PID|1\rMSH|^~\\&|", "no-msh"),
        (b"FHS|^~\\&|A\rBHS|^~\\&\rMSH|^~\\&|\rBTS|1\rFTS|1", "batch"),
        (b"BHS|^~\\&|A\rMSH|^~\\&|", "batch"),
        (b"MSH|^~\\&|A\rPID|1\rMSH|^~\\&|B\rPID|2", "several-messages"),
        (b"MSH|^~\\&|A\nPID|1\nMSH|^~\\&|B\nPID|2", "several-messages"),
        (b"MSH|^~\\&" + REST + b"||||||ISO IR 999", "unsupported-charset"),
        (b"MSH|^~\\&" + REST + b"||||||GB 18030-2000", "unsupported-charset"),
        (b"MSH|^~\\&" + REST + b"||||||\xff", "unsupported-charset"),
        ("MSH|^~\\&|A".encode("utf-16"), "unsupported-charset"),
        ("MSH|^~\\&|A".encode("utf-16-le"), "unsupported-charset"),
        (b"MSH|^~\\&|\xc4", "undecodable"),
        (b"MSH|^~\\&|\\XC4\\", "undecodable"),
    ],
)
def test_what_is_no_message_gives_a_reason(body: bytes, code: str) -> None:
    assert reason(body).code == code


def test_the_reason_says_where_msh_is_undecodable() -> None:
    assert reason(b"MSH|^~\\&|A|B^\xc4").place == "MSH-4.2"


def test_a_reason_never_holds_content() -> None:
    assert "SECRET" not in str(reason(b"MSH|^~\\&" + REST + b"||||||SECRET"))
    assert "SECRET" not in str(reason(b"SECRET"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"ASCII", "plain"),
        (b"8859/1", "Müller"),
        (b"8859/2", "Wałęsa"),
        (b"8859/5", "Иванов"),
        (b"8859/7", "Παπάς"),
        (b"8859/9", "Şahin"),
        (b"8859/15", "5 €"),
        (b"ISO-8859-1", "Müller"),
        (b"UNICODE UTF-8", "日本 Müller"),
        (b"UTF-8", "日本"),
        (b"UNICODE UTF-8~ISO IR87", "日本"),
    ],
)
def test_the_character_set_is_the_first_of_msh_18(name: bytes, text: str) -> None:
    message = parsed(b"MSH|^~\\&" + REST + b"||||||" + name + b"\rPID|1\r").set("PID-5", text)
    assert message.raw.endswith(b"\rPID|1||||" + text.encode(message.charset) + b"\r")
    assert message.get("PID-5") == text


@pytest.mark.parametrize(
    ("default", "expected"),
    [("ASCII", "ascii"), ("8859/1", "iso8859-1"), ("UNICODE UTF-8", "utf-8"), ("cp1252", "cp1252")],
)
def test_the_default_holds_when_msh_18_is_empty(default: str, expected: str) -> None:
    assert parsed(b"MSH|^~\\&" + REST, default).charset == expected
    assert parsed(b"MSH|^~\\&" + REST + b"||||||8859/2", default).charset == "iso8859-2"


@pytest.mark.parametrize(
    "name", ["", "nonsense", "utf-16", "utf-8-sig", "shift_jis", "gb18030", "iso2022_jp", "rot13"]
)
def test_a_default_whose_characters_may_hold_delimiters_is_none(name: str) -> None:
    assert hl7v2.codec(name) is None
    with pytest.raises(LookupError):
        hl7v2.parse(b"MSH|^~\\&" + REST, charset=name)

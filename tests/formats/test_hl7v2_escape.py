"""Escape sequences: text out of the bytes of a leaf, and back."""

import pytest

from formats import hl7v2
from formats.hl7v2 import Separators

FIVE = b"MSH|^~\\&#|A||||||||||||||"


def message(charset: bytes = b"UNICODE UTF-8", opening: bytes = FIVE) -> hl7v2.Message:
    found = hl7v2.parse(opening + b"|" + charset)
    assert isinstance(found, hl7v2.Message)
    return found


@pytest.mark.parametrize(
    ("leaf", "text"),
    [
        (b"plain", "plain"),
        (b"\\F\\\\S\\\\T\\\\R\\\\E\\\\P\\", "|^&~\\#"),
        (b"a\\.br\\b", "a\nb"),
        (b"\\H\\bold\\N\\ plain", "bold plain"),
        (b"\\X0D\\\\X0A\\", "\r\n"),
        (b"\\X0D0A\\", "\r\n"),
        (b"\\X0d0a\\", "\r\n"),
        (b"\\XC3A9\\", "é"),
        (b"\\XC3\\\\XA9\\", "é"),
        (b"\\XE6\\\\X97A5\\", "日"),
        (b"\xc3\\XA9\\", "é"),
        (b"\\XC3\\\xa9", "é"),
        (b"\\E\\F\\E\\", "\\F\\"),
    ],
)
def test_known_sequences(leaf: bytes, text: str) -> None:
    assert message().text(leaf) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "\\",
            "\\\\",
            "\\\\\\",
            "a\\F",
            "\\F",
            "\\X0D",
            "a\\",
            "C:\\temp\\file",
            "\\.sp+3\\",
            "\\.in4\\",
            "\\.ce\\",
        ),
        *(
            "\\Zxx\\",
            "\\C2842\\",
            "\\M2435\\",
            "\\X\\",
            "\\X0\\",
            "\\X0G\\",
            "\\Q\\",
            "\\f\\",
            "\\FF\\",
            "\\ F\\",
        ),
    ],
)
def test_all_others_are_kept_literally(text: str) -> None:
    assert message().text(text.encode()) == text


@pytest.mark.parametrize(
    ("leaf", "text"),
    [
        (b"C:\\temp\\F\\bar", "C:\\temp|bar"),
        (b"\\\\F\\", "\\|"),
        (b"\\F\\\\", "|\\"),
        (b"\\Zx\\F\\", "\\Zx\\F\\"),
        (b"\\X0\\X0D\\", "\\X0\\X0D\\"),
    ],
)
def test_an_escape_character_that_opens_no_sequence_stands_for_itself(leaf: bytes, text: str) -> None:
    assert message().text(leaf) == text


def test_the_truncation_sequence_needs_a_truncation_character() -> None:
    assert message(opening=b"MSH|^~\\&|A||||||||||||||").text(b"\\P\\") == "\\P\\"


def test_other_delimiters() -> None:
    found = hl7v2.parse(b"MSH#!@%*#A")
    assert isinstance(found, hl7v2.Message)
    assert found.text(b"%F%%S%%R%%T%%E%\\F\\") == "#!@*%\\F\\"
    assert hl7v2.escape("#!@*%|\r", found.separators) == b"%F%%S%%R%%T%%E%|%X0D%"


@pytest.mark.parametrize(
    ("leaf", "offset"),
    [
        (b"ab\xff", 2),
        (b"\\F\\\xff", 3),
        (b"\\F\\\\H\\a\\XFF\\b", 7),
        (b"\\XC3\\x", 0),
        (b"\xc3\\F\\", 0),
    ],
)
def test_an_undecodable_byte_is_named_by_its_offset(leaf: bytes, offset: int) -> None:
    with pytest.raises(hl7v2.Undecodable) as refused:
        message().text(leaf)
    assert refused.value.offset == offset


def test_bytes_are_those_of_the_messages_character_set() -> None:
    assert message(b"8859/1").text(b"M\xfcller\\XFC\\") == "Müllerü"
    assert message(b"8859/15").text(b"\\XA4\\") == "€"
    with pytest.raises(hl7v2.Undecodable):
        message(b"ASCII").text(b"\\XFC\\")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", b""),
        ("plain text", b"plain text"),
        ("a|b^c~d\\e&f", b"a\\F\\b\\S\\c\\R\\d\\E\\e\\T\\f"),
        ("\r\n\x00\x0b\x1c", b"\\X0D\\\\X0A\\\\X00\\\\X0B\\\\X1C\\"),
        ("a\tb", b"a\tb"),
        ("é", b"\xc3\xa9"),
        ('""', b"\\X2222\\"),
        ('"', b'"'),
        ('"""', b'"""'),
    ],
)
def test_escape(text: str, written: bytes) -> None:
    assert hl7v2.escape(text) == written


@pytest.mark.parametrize(
    ("text", "charset", "offset"), [("abé", "ascii", 2), ("|日", "iso8859-1", 1), ("a\ud800", "utf-8", 1)]
)
def test_a_character_that_the_charset_lacks_is_refused(text: str, charset: str, offset: int) -> None:
    with pytest.raises(hl7v2.Unencodable) as refused:
        hl7v2.escape(text, Separators(), charset)
    assert refused.value.offset == offset
    assert text not in str(refused.value)

"""Escape sequences (chapter 2, 2.7): text <-> the bytes of one leaf."""

from __future__ import annotations

import re
from functools import lru_cache

from formats.hl7v2.null import NULL_BYTES
from formats.hl7v2.separators import STANDARD, Separators


class Undecodable(ValueError):
    """A byte that the message's character set does not know; `offset` counts bytes from the leaf's start."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"byte {offset} cannot be decoded in the message's character set")
        self.offset = offset


class Unencodable(ValueError):
    """A character that cannot be written in the message; `offset` counts characters, `place` is the path."""

    def __init__(self, offset: int, place: str = "") -> None:
        at = f" at {place}" if place else ""
        super().__init__(
            f"character {offset}{at} cannot be written with the message's charset and delimiters"
        )
        self.offset = offset
        self.place = place


def unescape(leaf: bytes, separators: Separators, charset: str) -> str:
    """The text of one leaf. Raises Undecodable.

    `\\F\\ \\S\\ \\T\\ \\R\\ \\E\\` (and `\\P\\` if MSH-2 names a truncation character) become the
    delimiters, `\\Xhh..\\` bytes in the message's character set, so that a character may be spread over
    adjacent escapes; `\\.br\\` a newline; `\\H\\` and `\\N\\` nothing. Any other sequence, and an escape
    character that opens none, is kept as it stands.
    """
    if separators.escape and separators.escape in leaf:
        plain = _sequence(separators.escape).sub(lambda found: _meaning(found, separators), leaf)
    else:
        plain = leaf
    try:
        return plain.decode("utf-8" if plain.isascii() else charset)
    except UnicodeDecodeError as error:
        wrong = error.start
    raise Undecodable(wrong if plain is leaf else _source(leaf, separators, wrong))


@lru_cache(maxsize=64)
def _sequence(escape: bytes) -> re.Pattern[bytes]:
    """One whole sequence: known ones, and by their shape those that are kept (2.7.1 - 2.7.7)."""
    known = rb"[FSTREPHN]|\.br|X(?P<hex>(?:[0-9A-Fa-f]{2})+)"
    kept = rb"X[0-9A-Fa-f]*|C[0-9A-Fa-f]{4}|M[0-9A-Fa-f]{4,6}|Z[A-Za-z0-9]*|\.[a-z]{2}[+-]?[0-9]*"
    mark = re.escape(escape)
    return re.compile(mark + rb"(?P<body>" + known + rb"|" + kept + rb")" + mark)


def _meaning(found: re.Match[bytes], separators: Separators) -> bytes:
    if digits := found["hex"]:
        return bytes.fromhex(digits.decode())
    meaning = _meanings(separators).get(found["body"])
    return found[0] if meaning is None else meaning


@lru_cache(maxsize=64)
def _meanings(separators: Separators) -> dict[bytes, bytes]:
    named = {
        b"F": separators.field,
        b"S": separators.component,
        b"T": separators.subcomponent,
        b"R": separators.repetition,
        b"E": separators.escape,
        b"P": separators.truncation,
    }
    known = {name: byte for name, byte in named.items() if byte}
    return known | {b".br": b"\n", b"H": b"", b"N": b""}


def _source(leaf: bytes, separators: Separators, wrong: int) -> int:
    """Where in the leaf the byte `wrong` of its unescaped form comes from."""
    gained = 0  # bytes that unescaping has taken away before here
    for found in _sequence(separators.escape).finditer(leaf):
        start = found.start() - gained
        if wrong < start:
            break
        length = len(_meaning(found, separators))
        if wrong < start + length:
            return found.start()
        gained += len(found[0]) - length
    return wrong + gained


def escape(text: str, separators: Separators = STANDARD, charset: str = "utf-8") -> bytes:
    """The bytes of one leaf that read back as `text`: no delimiter, no CR, LF or control byte is left bare.

    Raises Unencodable for a character that the character set lacks, or that needs an escape where the
    message declares no escape character: nothing is ever replaced. Text that would read as the explicit
    null is written in hexadecimal.
    """
    if text == NULL_BYTES.decode():
        return _hexadecimal(text, separators)
    written = text if text.isalnum() else text.translate(_replacements(separators))
    try:
        return written.encode(charset)
    except UnicodeEncodeError:
        pass
    raise Unencodable(_first_unencodable(text, separators, charset))


_UNWRITABLE = "\ud800"  # a lone surrogate: no character set has it


@lru_cache(maxsize=64)
def _replacements(separators: Separators) -> dict[int, str]:
    """What is written for a character that may not stand bare; controls too, as VT and FS frame MLLP."""
    mark = separators.escape.decode()
    if not mark:
        marked = (*range(0x20), *b"".join(separators))
        return dict.fromkeys(set(marked) - {0x09}, _UNWRITABLE)
    controls = {code: f"{mark}X{code:02X}{mark}" for code in range(0x20) if code != 0x09}
    named = zip("FSRET", separators[:5], strict=True)
    delimiters = {byte[0]: f"{mark}{name}{mark}" for name, byte in named if byte}
    return controls | delimiters


def _hexadecimal(text: str, separators: Separators) -> bytes:
    if not separators.escape:
        raise Unencodable(0)
    return separators.escape + b"X" + text.encode("ascii").hex().upper().encode() + separators.escape


def _first_unencodable(text: str, separators: Separators, charset: str) -> int:
    table = _replacements(separators)
    for offset, character in enumerate(text):
        try:
            character.translate(table).encode(charset)
        except UnicodeEncodeError:
            return offset
    raise AssertionError("every character by itself can be written")

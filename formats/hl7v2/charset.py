"""Character sets: the names of HL7 table 0211 (MSH-18) and the Python codecs behind them."""

from __future__ import annotations

from functools import lru_cache

_PARTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)
_TABLE_0211 = {
    "ASCII": "ascii",
    "USASCII": "ascii",
    "ISOIR6": "ascii",
    "UNICODE": "utf-8",  # a message whose delimiters are single bytes cannot be UTF-16 or UTF-32
    "UNICODEUTF8": "utf-8",
    "UTF8": "utf-8",
    **{f"8859{part}": f"iso8859-{part}" for part in _PARTS},
    **{f"ISO8859{part}": f"iso8859-{part}" for part in _PARTS},
}
_WITHOUT = str.maketrans("", "", " -_/")


@lru_cache(maxsize=256)
def hl7_codec(name: str) -> str | None:
    """The Python codec for a name of table 0211, spelt as loosely as senders do; None if unsupported.

    The multi-byte sets of Asia (`GB 18030-2000`, `BIG-5`, the ISO IR ones) are not supported: their
    characters may hold the bytes of the delimiters.
    """
    return _TABLE_0211.get(name.upper().translate(_WITHOUT))


@lru_cache(maxsize=256)
def codec(name: str) -> str | None:
    """The Python codec for a default character set: a name of table 0211 or of a Python codec (`cp1252`).

    None if there is no such codec or a delimiter's byte may be part of another character in it.
    """
    if found := hl7_codec(name):
        return found
    try:
        return name if _keeps_ascii(name) else None
    except (LookupError, ValueError):
        return None


def _keeps_ascii(name: str) -> bool:
    ascii_bytes = bytes(range(128))
    text = ascii_bytes.decode("ascii")
    if ascii_bytes.decode(name) != text or text.encode(name) != ascii_bytes:
        return False
    if not b"\x1b$B^^".decode(name, "replace").endswith("^^"):  # ISO 2022 shifts delimiters into characters
        return False
    pairs = (bytes((high, low)) for high in range(128, 256) for low in b"|^~\\&#\r")
    return all(pair.decode(name, "replace").endswith(chr(pair[1])) for pair in pairs)

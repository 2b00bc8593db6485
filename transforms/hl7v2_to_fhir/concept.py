"""Coded elements (CWE, CE, CNE, IS, ID): the mapped code first, the original beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote

from transforms.hl7v2_to_fhir.maps import V2, Table, table
from transforms.hl7v2_to_fhir.reader import NULL, Reader, is_oid, is_uri
from transforms.hl7v2_to_fhir.values import tidy

Read = Callable[[bytes, Reader], Any]

_ALTERNATES = (
    (3, 4, 5, 7),
    (9, 10, 11, 12),
)  # code, text, system, version; from 0


@lru_cache(maxsize=4096)
def system(name: str) -> str | None:
    """The uri of a coding system by its name in table 0396, its OID or its uri; else a urn of its name."""
    if not name:
        return None
    if is_oid(name):
        name = f"urn:oid:{name}"
    if found := table("CodeSystem").lookup(name):
        return found.code
    if name.upper().startswith("HL7") and name[3:].isdigit():
        return f"{V2}{int(name[3:]):04d}"
    return name if is_uri(name) else f"urn:chartwire:codesystem:{quote(name, safe='')}"


@cache
def _names() -> dict[str, str]:
    return {row.code: name for name, row in reversed([*table("CodeSystem").rows.items()])}


def name_of(uri: str) -> str:
    """The name in table 0396 of the coding system with that uri, else the uri."""
    return _names().get(uri, uri)


def coding(code: str, display: str, system: str | None, version: str = "") -> dict[str, str]:
    made = {}
    if system:
        made["system"] = system
    if version:
        made["version"] = version
    if code:
        made["code"] = code
    if display:
        made["display"] = display
    return made


def concept(codes: Table | None = None, level: int = 0) -> Read:
    """CWE -> CodeableConcept (guide: CWE[CodeableConcept]), its first code looked up in `codes`.

    Without a coding system a code is of the HL7 table of `codes`, to which the field is bound.
    """
    bound = codes.system if codes else ""
    mapped = {code: row.coding() for code, row in codes.rows.items() if row.system} if codes else {}

    def read(raw: bytes, reader: Reader) -> dict[str, Any] | None:
        found = known.get(raw)
        if found is not None:
            return found
        delimiter = reader.delimiters[level]
        if delimiter not in raw:
            code = tidy(reader.text(raw))
            return _bare(code) if code else None
        parts = ["" if leaf in _NOTHING else reader.text(leaf) for leaf in raw.split(delimiter)]
        return _concept(parts)

    def _bare(code: str) -> dict[str, Any]:
        return {"coding": _codings(code, coding(code, "", bound))}

    def _codings(code: str, original: dict[str, str]) -> list[dict[str, str]]:
        first = mapped.get(code) or (mapped.get(code.upper()) if mapped else None)
        if first is None or original.get("system", bound) != bound:
            return [original]
        same = first["code"] == code and first["system"] == original.get("system")
        return [first] if same else [first, original]

    def _concept(parts: list[str]) -> dict[str, Any] | None:
        count = len(parts)
        code, display = tidy(parts[0]), parts[1] if count > 1 else ""
        named = parts[2] if count > 2 else ""
        made: dict[str, Any] = {}
        codings = []
        if code:
            original = coding(code, display, system(named) or bound, parts[6] if count > 6 else "")
            codings = _codings(code, original)
        if count > 3:
            codings += _alternates(parts)
        if codings:
            made["coding"] = codings
        if count > 8 and parts[8]:
            made["text"] = parts[8]
        elif display and not code:
            made["text"] = display
        return made or None

    known = {code.encode(): _bare(code) for code in mapped}  # most codes stand alone and are in the table
    return read


_NOTHING = (b"", NULL)


def _alternates(parts: list[str]) -> list[dict[str, str]]:
    padded = parts + [""] * (13 - len(parts))
    found = []
    for code, display, name, version in _ALTERNATES:
        if padded[code] or padded[display]:
            found.append(coding(tidy(padded[code]), padded[display], system(padded[name]), padded[version]))
    return found


def code_only(codes: Table | None) -> Read:
    """CWE -> code (guide: CWE[code]): the mapped code; a code without a row says nothing."""
    known = {code.encode(): row.code for code, row in codes.rows.items()} if codes else {}

    def read(raw: bytes, reader: Reader) -> str | None:
        if raw in known:
            return known[raw]
        text = reader.text(reader.first(raw))
        if codes is None:
            return tidy(text) or None
        found = codes.lookup(text)
        return found.code if found else None

    return read


def coding_only(codes: Table | None) -> Read:
    """CWE -> Coding (guide: CWE[Coding]): the mapped code, else the original one with its own system."""
    whole = concept(codes)

    def read(raw: bytes, reader: Reader) -> dict[str, str] | None:
        found = whole(raw, reader)
        return found["coding"][0] if found and "coding" in found else None

    return read

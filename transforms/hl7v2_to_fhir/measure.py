"""What was measured: the value of an OBX by its type (OBX-2), its unit, its reference range.

A value that is not what its type promises is kept as text; nothing is guessed of it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from formats import hl7v2
from transforms.hl7v2_to_fhir import values
from transforms.hl7v2_to_fhir.concept import concept as coded
from transforms.hl7v2_to_fhir.concept import system
from transforms.hl7v2_to_fhir.maps import table
from transforms.hl7v2_to_fhir.reader import NULL, Reader, is_uri
from transforms.hl7v2_to_fhir.values import lines, tidy
from transforms.hl7v2_to_fhir.values import number as decimal

Value = dict[str, Any]
Read = Callable[[bytes, Reader], "Value | None"]

COMPARATORS = ("<=", ">=", "<", ">")
"""The comparators that FHIR has (quantity-comparator), the longer ones first."""

_concept = coded()
_ATTACHMENT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value"


def unit(reader: Reader) -> Mapping[str, str]:
    """OBX-6 as the unit of a Quantity (guide: CWE[Quantity]): a code only with the system it is of."""
    raw = reader.field("OBX", 6)
    found = reader.units.get(raw)
    if found is None:
        found = reader.units[raw] = _unit(raw, reader)
    return found


def _unit(raw: bytes, reader: Reader) -> dict[str, str]:
    leaves = raw.split(reader.repetition)[0].split(reader.delimiters[0])
    code, display, name = ([reader.text(leaf) for leaf in leaves] + ["", ""])[:3]
    made: dict[str, str] = {}
    if display or code:
        made["unit"] = display or code
    if code and (named := system(name)):
        made["system"], made["code"] = named, tidy(code)
    return made


def quantity(value: Decimal, reader: Reader, comparator: str = "") -> Value:
    if comparator:
        return {"value": value, "comparator": comparator, **unit(reader)}
    return {"value": value, **unit(reader)}


def number(raw: bytes, reader: Reader) -> Value | None:
    """NM: a Quantity; `<5` too, as labs write it; else text."""
    text = reader.text(raw)
    comparator = next((c for c in COMPARATORS if text.startswith(c)), "")
    value = decimal(text[len(comparator) :].strip())
    return _text(raw, reader) if value is None else {"valueQuantity": quantity(value, reader, comparator)}


def structured(raw: bytes, reader: Reader) -> Value | None:
    """SN (HL7 v2 2.A.69): comparator ^ number ^ separator or suffix ^ number (guide: OBX-5 with SN)."""
    parts = [reader.text(part) for part in raw.split(reader.delimiters[0])][:4]
    comparator, first, separator, second = parts + [""] * (4 - len(parts))
    low, high = decimal(first), decimal(second)
    made: Value | None = None
    if comparator in ("", "=", *COMPARATORS) and low is not None:
        exact = "" if comparator == "=" else comparator
        made = _structured(exact, low, separator, high, second, reader)
    return made or _joined(comparator, first, separator, second)


def _structured(
    comparator: str, low: Decimal, separator: str, high: Decimal | None, second: str, reader: Reader
) -> Value | None:
    if not separator and not second:
        return {"valueQuantity": quantity(low, reader, comparator)}
    if high is None:
        return None
    if separator in (":", "/"):
        above = quantity(low, reader, comparator)
        return {"valueRatio": {"numerator": above, "denominator": quantity(high, reader)}}
    if separator == "-" and not comparator:
        return {"valueRange": {"low": quantity(low, reader), "high": quantity(high, reader)}}
    return None


def _joined(*parts: str) -> Value | None:
    text = "".join(parts)
    return {"valueString": text} if text else None


def number_range(raw: bytes, reader: Reader) -> Value | None:
    """NR (HL7 v2 2.A.48): low ^ high."""
    ends = [decimal(reader.text(part)) for part in raw.split(reader.delimiters[0])[:2]]
    named = zip(("low", "high"), ends, strict=False)
    made = {name: quantity(end, reader) for name, end in named if end is not None}
    return {"valueRange": made} if made else _text(raw, reader)


def text(raw: bytes, reader: Reader) -> Value | None:
    """ST, TX, FT: all repetitions together, a line each."""
    found = lines(raw, reader)
    return {"valueString": found} if found else None


_text = text


def concept(raw: bytes, reader: Reader) -> Value | None:
    found = _concept(raw, reader)
    return {"valueCodeableConcept": found} if found else None


def date_time(raw: bytes, reader: Reader) -> Value | None:
    """DT, TS, DTM. A value that is no date stops the message, as it does in every date field."""
    found = reader.time(raw)
    return {"valueDateTime": found.text} if found else None


def _moment(leaf: bytes, reader: Reader) -> str | None:
    found = hl7v2.timestamp(reader.text(reader.first(leaf)), reader.zone)
    return found.text if found else None


def time(raw: bytes, reader: Reader) -> Value | None:
    found = values.time_of_day(raw, reader)
    return {"valueTime": found} if found else _text(raw, reader)


def period(raw: bytes, reader: Reader) -> Value | None:
    """DR (HL7 v2 2.A.24): start ^ end."""
    given = raw.split(reader.delimiters[0])[:2]
    ends = [_moment(part, reader) if part else "" for part in given]
    if None in ends:
        return _text(raw, reader)
    named = zip(("start", "end"), ends, strict=False)
    made = {name: end for name, end in named if end}
    return {"valuePeriod": made} if made else None


def document(raw: bytes, reader: Reader) -> Value | None:
    """ED (HL7 v2 2.A.27): source ^ type ^ subtype ^ encoding ^ data, as an Attachment.

    R4 has no valueAttachment; R5's stands in an extension. Data in other encodings than Base64 stay text.
    """
    leaves = raw.split(reader.delimiters[0])
    leaves += [b""] * (5 - len(leaves))
    encoding = reader.text(leaves[3]).lower()
    if encoding == "base64":
        data = b"".join(leaves[4].split())
        if _is_base64(data):
            return _attachment({"data": data.decode()}, leaves, reader)
    elif encoding in ("a", "hex") or not encoding:
        plain = reader.message.text(leaves[4]).encode()
        return _attachment({"data": base64.b64encode(plain).decode()}, leaves, reader) if plain else None
    return _text(raw, reader)


def pointer(raw: bytes, reader: Reader) -> Value | None:
    """RP (HL7 v2 2.A.65): where the data are, as an Attachment (guide: RP[Attachment])."""
    where = reader.text(raw.split(reader.delimiters[0])[0])
    if not is_uri(where):
        return _text(raw, reader)
    leaves = [*raw.split(reader.delimiters[0]), b"", b"", b""]
    return _attachment({"url": where}, leaves[1:], reader)


def _attachment(content: Value, leaves: list[bytes], reader: Reader) -> Value:
    kind, subtype = reader.text(leaves[1]), reader.text(leaves[2])
    known = table("AttachmentType").lookup(subtype) or table("AttachmentType").lookup(kind)
    made = {"contentType": known.code, **content} if known else content
    return {"extension": [{"url": _ATTACHMENT, "valueAttachment": made}]}


def _is_base64(data: bytes) -> bool:
    try:
        return bool(base64.b64decode(data, validate=True))
    except binascii.Error:
        return False


READS: dict[str, Read] = {
    "concept": concept,
    "date_time": date_time,
    "document": document,
    "number": number,
    "number_range": number_range,
    "period": period,
    "pointer": pointer,
    "structured": structured,
    "text": text,
    "time": time,
}
"""How a value is read, by the name that tables/ValueType.csv uses."""


def value(raw: bytes, reader: Reader) -> Value | None:
    """OBX-5 as `value[x]`. Text takes its repetitions together; of other types more than one make components
    (guide: OBX[Observation-Component])."""
    known = table("ValueType").lookup(reader.text(reader.field("OBX", 2)))
    read = READS[known.code] if known else text
    if read is text or reader.repetition not in raw:
        return read(raw, reader)
    found = [v for r in raw.split(reader.repetition) if r and r != NULL and (v := read(r, reader))]
    if len(found) < 2:
        return found[0] if found else None
    return {"component": found}


def reference_range(raw: bytes, reader: Reader) -> Value | None:
    """OBX-7: the text always; low and high where it is plainly `3.5-5.1`, `<5`, `>=60` or `60-`."""
    written = reader.text(raw)
    if not written:
        return None
    low, high = _limits(written)
    made: Value = {}
    if low is not None:
        made["low"] = quantity(low, reader)
    if high is not None:
        made["high"] = quantity(high, reader)
    return made | {"text": written}


def _limits(written: str) -> tuple[Decimal | None, Decimal | None]:
    for comparator in COMPARATORS:
        if written.startswith(comparator):
            limit = decimal(written[len(comparator) :].strip())
            return (None, limit) if comparator[0] == "<" else (limit, None)
    dash = written.find("-", 1)
    if dash < 0:
        return None, None
    low, end = decimal(written[:dash].strip()), written[dash + 1 :].strip()
    high = decimal(end)
    if low is None or (high is None and end) or (high is not None and high < low):
        return None, None
    return low, high

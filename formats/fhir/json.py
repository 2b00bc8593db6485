"""JSON text <-> plain dicts, decimals as they were written: precision counts (FHIR R4, Data Types)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

BOM = b"\xef\xbb\xbf"  # may be there and means nothing (RFC 8259, section 8.1)

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
_canonical = msgspec.json.Encoder(decimal_format="number", order="sorted")


def decode(data: bytes | str) -> Any:
    """Dicts, lists, str, int, bool, None, and Decimal for every number with a point or an exponent.

    Value and precision are kept, and the text too of 6.30 and of 1.10E+3; other spellings of an exponent
    become Decimal's (1e3 becomes 1E+3, 1.0E+0 becomes 1.0), and -0 becomes 0. Of two members of one name the
    last counts. Raises ValueError, with none of the content in it, for what is not JSON, not UTF-8, or nested
    deeper than about 1,000 levels.
    """
    try:
        return _decoder.decode(data.removeprefix(BOM) if isinstance(data, bytes) else data)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise ValueError("nested too deep") from None


def encode(obj: Any) -> bytes:
    """Compact UTF-8, members in the order of the dict, numbers as `decode` gave them."""
    return _encoder.encode(obj)


def canonical(obj: Any) -> bytes:
    """The same with members in the order of their names: equal bytes mean an equal resource, to the digit."""
    return _canonical.encode(obj)

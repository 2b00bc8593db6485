"""Readings: one JSON object, to the digit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from formats import device
from store.reason import Reason


def test_numbers_keep_their_digits_and_paths_lead_to_them() -> None:
    message = device.parse(b'{"a":{"b":[{"c":37.20}]},"n":null}')
    assert isinstance(message, device.Message)
    assert str(device.value(message.data, "a.b.0.c")) == "37.20"
    assert isinstance(device.value(message.data, "a.b.0.c"), Decimal)
    for path in ("a.b.1.c", "a.b.c", "n", "n.x", "z"):
        assert device.value(message.data, path) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"\xff{}", "not-json"),
        (b'{"hr":NaN}', "not-json"),
        (b"[]", "not-a-reading"),
        (b"7", "not-a-reading"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "not-a-reading"),
        (b"[" * 100_000, "not-json"),
    ],
)
def test_what_is_none_says_so(body: bytes, code: str) -> None:
    found = device.parse(body)
    assert isinstance(found, Reason)
    assert found.code == code

"""FHIR JSON: decimals as they were written, and errors without content."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats import fhir


@pytest.mark.parametrize(
    "text",
    [
        "6.30",
        "0.0",
        "-0.0",
        "1.10E+3",
        "1E-8",
        "0.000001",
        "123456789012345678901234567890.10",
        "1E+400",
        "100",
        "123456789012345678901234567890",
    ],
)
def test_a_number_leaves_as_it_came(text: str) -> None:
    assert fhir.encode(fhir.decode(f'{{"value":{text}}}')).decode() == f'{{"value":{text}}}'


@pytest.mark.parametrize(("text", "after"), [("1e3", "1E+3"), ("1.0E+0", "1.0"), ("2.50e-2", "0.0250")])
def test_an_exponent_may_be_spelled_anew_but_keeps_value_and_precision(text: str, after: str) -> None:
    value = fhir.decode(text)
    assert (fhir.encode(value).decode(), value.as_tuple()) == (after, Decimal(text).as_tuple())


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_every_decimal_comes_back_digit_by_digit(number: Decimal) -> None:
    again = fhir.decode(fhir.encode({"value": number}))["value"]
    assert Decimal(again).as_tuple() == number.as_tuple() or (number == 0 and again == 0)


def test_whole_numbers_are_int_and_others_are_never_float() -> None:
    values = fhir.decode('{"a": 1, "b": 1.0, "c": 1e0}')
    assert [type(v) for v in values.values()] == [int, Decimal, Decimal]


def test_members_keep_their_order_and_text_its_characters() -> None:
    body = '{"z":"Zoë 山田　太郎","a":[null,true]}'.encode()
    assert fhir.encode(fhir.decode(body)) == body


def test_a_byte_order_mark_is_passed_over() -> None:
    assert fhir.decode(b'\xef\xbb\xbf{"active":true}') == {"active": True}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{CANARY}",
        b'{"family": "CANARY"',
        b'{"family": "CANARY\xff"}',
        b'{"family": NaN, "CANARY": 1}',
        b'["CANARY",' * 5000,
        b"[" * 100_000,
    ],
)
def test_what_is_not_json_is_an_error_that_tells_nothing_of_it(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        fhir.decode(body)
    assert "CANARY" not in repr(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__

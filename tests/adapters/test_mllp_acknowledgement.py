"""ACK as HL7 v2.5.1 chapter 2 has it: what goes back, to whom, in whose delimiters, and whether at all."""

from __future__ import annotations

import hl7
import pytest

from adapters.mllp.acknowledgement import Acknowledger
from engine.message import Accepted, Duplicate, Receipt, Refused, Unavailable, Uncertain
from formats.hl7v2 import msh as header
from store.reason import Reason
from tests.adapters.mllp_peer import adt, fields

NOON = 1_795_348_800_000_000  # 2026-11-22T12:00:00Z
BLANK = Refused(Reason("blank-patient-id", "no patient identifier", "PID-3[2].4"))
YES = Accepted(1)
DOWN = Unavailable(Reason("not-stored", "the message could not be stored"))


def acknowledger(*, original: bool = False, **codes: str) -> Acknowledger:
    return Acknowledger(codes, original=original, clock=lambda: NOON, origin="CW")  # type: ignore[arg-type]


def answer(message: bytes, receipt: Receipt = YES, **settings: object) -> bytes | None:
    return acknowledger(**settings).answer(header.read(message), receipt)  # type: ignore[arg-type]


def said(message: bytes, receipt: Receipt = YES, **settings: object) -> str | None:
    """MSA-1, None for no answer."""
    found = answer(message, receipt, **settings)
    return fields(found, b"MSA")[1] if found else None


def test_an_acknowledgement_in_full() -> None:
    message = adt("M1").replace(b"|2.5.1||||", b"|2.5.1||||||UNICODE UTF-8")
    assert answer(message) == (
        b"MSH|^~\\&|CW|HOSPITAL|ADT1|GHH|20261122120000+0000||ACK^A01^ACK|CW1|P|2.5.1||||||UNICODE UTF-8\r"
        b"MSA|AA|M1\r"
    )


def test_names_and_control_id_go_back_byte_for_byte() -> None:
    message = adt().replace(b"|ADT1|", b"|K\xf6ln\\T\\Sohn^1.2.3^ISO|").replace(b"|MSG1|", b"|\xe4 1|")
    found = answer(message)
    assert found
    assert b"|CW|HOSPITAL|K\xf6ln\\T\\Sohn^1.2.3^ISO|GHH|" in found
    assert b"\rMSA|AA|\xe4 1\r" in found


def test_the_delimiters_are_the_senders() -> None:
    message = b"MSH*:+!@#*A*B*C*D*20260101**ORU:R01*77*P*2.7\rPID*\r"
    found = answer(message, Refused(Reason("required-field", "OBX-3* is missing: resend", "OBX[2]-3.1")))
    assert found == (
        b"MSH*:+!@#*C*D*A*B*20261122120000+0000**ACK:R01:ACK*CW1*P*2.7\r"
        b"MSA*AE*77*required-field at OBX[2]-3.1!S! OBX-3!F! is missing!S! resend\r"
        b"ERR**OBX:2:3:1:1*101:Required field missing:HL70357*E*required-field**"
        b"required-field at OBX[2]-3.1!S! OBX-3!F! is missing!S! resend*OBX-3!F! is missing!S! resend\r"
    )


def test_another_implementation_can_read_it() -> None:
    found = answer(adt("M1", asks="AL|NE"), BLANK)
    assert found
    read = hl7.parse(found.decode())
    assert str(read["MSA"][0][2]) == "M1"
    assert str(read["ERR"][0][2][0][0]) == "PID"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (b"ADT^A08", "ACK^A08^ACK"),
        (b"ORU^R01^ORU_R01", "ACK^R01^ACK"),
        (b"ORU", "ACK"),
        (b"", "ACK"),
    ],
)
def test_the_event_is_named(kind: bytes, expected: str) -> None:
    found = answer(adt().replace(b"ADT^A01^ADT_A01", kind))
    assert found
    assert fields(found, b"MSH")[9] == expected


def test_our_control_ids_never_repeat_and_stay_short() -> None:
    maker = acknowledger()
    message = header.read(adt())
    ids = [fields(maker.answer(message, Accepted(n)) or b"", b"MSH")[10] for n in range(1000)]
    assert len(set(ids)) == 1000
    assert max(map(len, ids)) <= 20


def test_a_duplicate_is_told_yes_and_an_answer_of_the_engines_own_goes_out_as_it_is() -> None:
    assert said(adt(), Duplicate(1)) == "AA"
    assert answer(adt(), Accepted(1, reply=b"MSH|rsp")) == b"MSH|rsp"


def test_refused_is_ae_unsupported_and_unavailable_are_ar_and_uncertain_is_silence() -> None:
    assert said(adt(), BLANK) == "AE"
    assert said(adt(), Refused(BLANK.reason, unsupported=True)) == "AR"
    assert said(adt(), DOWN) == "AR"
    assert said(adt(), Uncertain()) is None


def test_the_codes_can_be_set() -> None:
    assert said(adt(), BLANK, refused="AR") == "AR"
    assert said(adt(), DOWN, unavailable="AE") == "AE"
    assert said(adt(asks="AL|NE"), DOWN, unavailable="AE") == "CE"


@pytest.mark.parametrize(
    ("asks", "accepted", "refused"),
    [
        ("|", "AA", "AE"),  # original mode
        ("AL|", "CA", "CE"),
        ("AL|NE", "CA", "CE"),
        ("AL|AL", "CA", "CE"),
        ("NE|", None, None),
        ("NE|NE", None, None),
        ("SU|NE", "CA", None),
        ("ER|NE", None, "CE"),
        ("|AL", "AA", "AE"),  # only the application's answer is asked for
        ("|NE", None, None),
        ("|ER", None, "AE"),
        ("NE|AL", "AA", "AE"),
        ("ER|AL", "AA", "CE"),  # as immunisation registries are written to
        ('""|""', "AA", "AE"),
        ("YES|", "CA", "CE"),  # not in table 0155: better one too many
    ],
)
def test_who_asks_for_what_gets_it(asks: str, accepted: str | None, refused: str | None) -> None:
    assert said(adt(asks=asks)) == accepted
    assert said(adt(asks=asks), BLANK) == refused


@pytest.mark.parametrize("asks", ["|", "AL|NE", "NE|NE", "ER|AL"])
def test_in_original_mode_all_get_the_same(asks: str) -> None:
    assert said(adt(asks=asks), original=True) == "AA"
    assert said(adt(asks=asks), BLANK, original=True) == "AE"


@pytest.mark.parametrize("kind", [b"ACK^A01^ACK", b"ACK", b"MCF"])
@pytest.mark.parametrize("asks", ["|", "AL|NE"])
def test_an_acknowledgement_is_never_acknowledged(kind: bytes, asks: str) -> None:
    message = adt(asks=asks).replace(b"ADT^A01^ADT_A01", kind)
    assert answer(message) is None
    assert answer(message, BLANK) is None


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.5.1", "ERR||PID^1^3^2^4|101^Required field missing^HL70357|E|blank-patient-id||"),
        ("2.8", "ERR||PID^1^3^2^4|101^Required field missing^HL70357|E|blank-patient-id||"),
        ("2.10", "ERR||PID^1^3^2^4|101^Required field missing^HL70357|E|blank-patient-id||"),
        ("", "ERR||PID^1^3^2^4|101^Required field missing^HL70357|E|blank-patient-id||"),
        ("2.4", "ERR|PID^1^3^101&Required field missing&HL70357\r"),
        ("2.3.1", "ERR|PID^1^3^101&Required field missing&HL70357\r"),
    ],
)
def test_a_refusal_says_where_in_the_form_of_the_version(version: str, expected: str) -> None:
    found = answer(adt(version=version), BLANK)
    assert found
    assert expected.encode() in found


@pytest.mark.parametrize(
    ("place", "location"),
    [
        ("PID", "PID^1"),
        ("OBX[12]", "OBX^12"),
        ("OBX[3]-5", "OBX^3^5^1"),
        ("PV1-19.4.2", "PV1^1^19^1^4^2"),
        ("Patient.birthDate", ""),
        ("", ""),
    ],
)
def test_places_as_locations(place: str, location: str) -> None:
    found = answer(adt(), Refused(Reason("bad", "bad", place)))
    assert found
    assert fields(found, b"ERR")[2:4] == [location, "207^Application internal error^HL70357"]


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("required-segment", "100"),
        ("required-field", "101"),
        ("undecodable", "102"),
        ("unmapped-code", "103"),
        ("no-msh", "200"),
        ("test-message", "202"),
        ("unknown-authority", "204"),
        ("anything-else", "207"),
    ],
)
def test_the_kind_of_error_by_table_0357(code: str, number: str) -> None:
    found = answer(adt(), Refused(Reason(code, "why")))
    assert found
    assert fields(found, b"ERR")[3].split("^")[::2] == [number, "HL70357"]
    assert fields(found, b"ERR")[5] == code


def test_msa_3_is_short() -> None:
    found = answer(adt(), Refused(Reason("long", "x" * 300)))
    assert found
    assert len(fields(found, b"MSA")[3]) == 80
    assert fields(found, b"ERR")[8] == "x" * 300


def test_even_garbage_gets_an_answer() -> None:
    reason = Reason("no-msh", "the message does not begin with an MSH segment", "MSH")
    found = acknowledger().answer(header.read(b"<xml/>"), Refused(reason), message=False)
    assert found
    assert found.startswith(b"MSH|^~\\&|||||20261122120000+0000||ACK|CW1|P|2.5.1\rMSA|AR||no-msh")
    assert fields(found, b"ERR")[3].startswith("200^")


@pytest.mark.parametrize(
    "message",
    [
        b"MSH|^~\\&|ADT1|GHH",
        b"MSH|^~\\&",
        b"MSH|^~\\&|ADT1|GHH\nPID|1\n",
        b"\xef\xbb\xbf\r\nMSH|^~\\&|ADT1|GHH\r",
        b"MSH|^|ADT1|GHH\r",
    ],
)
def test_a_meagre_header_is_answered(message: bytes) -> None:
    assert said(message) == "AA"
    assert said(message, Refused(Reason("x", "a^b|c", "PID-3"))) == "AE"


@pytest.mark.parametrize(
    "message", [b"", b"MSH", b"MSH|", b"MSHA", b"MSH||||", b"PID|^~\\&|", b"MSH\r|^~\\&|"]
)
def test_what_is_no_header_is_not_read_as_one(message: bytes) -> None:
    assert header.read(message) is None


def test_the_key_is_the_senders_own() -> None:
    found = header.read(adt("K-1"))
    assert found
    assert found.key == "K-1"
    nameless = header.read(adt(""))
    assert nameless
    assert nameless.key is None

"""Reading and writing a message by path, and what is kept of its bytes."""

import pickle

import pytest

from formats import hl7v2
from formats.hl7v2 import NULL

BODY = (
    b"MSH|^~\\&|HIS|GENERAL|CHARTWIRE|EHR|20260101120000||ADT^A01^ADT_A01|M1|P|2.5\r"
    b'PID|1||100^^^H&1.2.3&ISO^MR~200^^^SSA||DOE^JANE^""|""|19800203|F||^^|\r'
    b"ZPI|1|O\\T\\B|x\\X0D\\\\X0A\\y\r"
    b"OBX|1|NM|K^Potassium^LN||6.30||3.5-5.1|HH\r"
    b"a line that is no segment|at all\r"
    b"OBX|2|TX|||one~two|||\r"
    b"OBX|3|NM|||4\r"
)


def parsed(body: bytes = BODY) -> hl7v2.Message:
    message = hl7v2.parse(body)
    assert isinstance(message, hl7v2.Message)
    return message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("MSH-1", "|"),
        ("MSH-2", "^~\\&"),
        ("MSH-3", "HIS"),
        ("MSH-9", "ADT^A01^ADT_A01"),
        ("MSH-9.2", "A01"),
        ("PID-3", "100^^^H&1.2.3&ISO^MR"),
        ("PID-3.1", "100"),
        ("PID-3.4", "H&1.2.3&ISO"),
        ("PID-3.4.2", "1.2.3"),
        ("PID-3[2]", "200^^^SSA"),
        ("PID-3[2].1", "200"),
        ("PID-3[2].4.1", "SSA"),
        ("PID-3[3].1", None),
        ("PID-8.1", "F"),
        ("PID-8.1.1", "F"),
        ("PID-8.2", None),
        ("PID-8[2]", None),
        ("PID-5.3", NULL),
        ("PID-6", NULL),
        ("PID-6.1", NULL),
        ("PID-4", None),
        ("PID-10", None),
        ("PID-11", None),
        ("PID-40", None),
        ("PV1-2", None),
        ("ZPI-2", "O&B"),
        ("ZPI-3", "x\r\ny"),
        ("OBX-5", "6.30"),
        ("OBX[2]-5", "one"),
        ("OBX[2]-5[2]", "two"),
        ("OBX[2]-8", None),
        ("OBX[3]-5", "4"),
        ("OBX[4]-5", None),
    ],
)
def test_get(path: str, value: object) -> None:
    assert parsed().get(path) == value
    assert parsed().get(hl7v2.path(path)) == value


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("PID-3.1", ["100", "200"]),
        ("PID-3[2].1", ["200"]),
        ("PID-3[9].1", []),
        ("PID-6", []),
        ("PID-5", ['DOE^JANE^""']),
        ("PID-5.3", []),
        ("OBX-5", ["6.30", "one", "two", "4"]),
        ("OBX[2]-5", ["one", "two"]),
        ("OBX[2]-5[1]", ["one"]),
        ("OBX-8", ["HH"]),
        ("OBX[9]-5", []),
        ("PV1-2", []),
        ("MSH-2", ["^~\\&"]),
    ],
)
def test_values(path: str, values: list[str]) -> None:
    assert parsed().values(path) == values


def test_value_empty_and_null_are_three_things() -> None:
    message = parsed()
    assert message.get("PID-7") == "19800203"
    assert message.get("PID-6") is NULL
    assert message.get("PID-4") is None
    assert not NULL
    assert repr(NULL) == "NULL"


def test_kind_and_control() -> None:
    assert (parsed().kind, parsed().control) == ("ADT^A01", "M1")
    assert parsed(b"MSH|^~\\&|||||||ACK").kind == "ACK"
    assert parsed(b"MSH#!@%*#######ORU!R01#2").kind == "ORU^R01"


def test_segments_come_in_order_and_are_counted_by_name() -> None:
    message = parsed()
    found = [(s.name, s.number) for s in message.segments]
    assert found == [("MSH", 1), ("PID", 1), ("ZPI", 1), ("OBX", 1), ("", 5), ("OBX", 2), ("OBX", 3)]
    assert [s.number for s in message.all("OBX")] == [1, 2, 3]
    assert message.all("PV1") == []
    assert message.first("PV1") is None
    first = message.first("OBX")
    assert first is not None
    assert first.field(3) == b"K^Potassium^LN"
    assert first.field(99) == b""
    assert message.raw[first.start : first.end] == first.line


@pytest.mark.parametrize("body", [BODY, BODY.replace(b"\r", b"\n"), BODY.replace(b"\r", b"\r\n")])
@pytest.mark.parametrize("name", ["MSH", "PID", "OBX", "ZPI", "PV1", "OB", "", "a l"])
def test_the_first_of_a_name_is_the_same_before_and_after_reading_all(body: bytes, name: str) -> None:
    before, after = parsed(body).first(name), (parsed(body).all(name) or [None])[0]
    assert (before and (before.name, before.number, before.start, before.line)) == (
        after and (after.name, after.number, after.start, after.line)
    )


def test_the_header_counts_the_field_separator_as_a_field() -> None:
    header = parsed().first("MSH")
    assert header is not None
    assert header.fields[:4] == [b"MSH", b"|", b"^~\\&", b"HIS"]


def test_a_segment_may_have_no_fields() -> None:
    message = parsed(b"MSH|^~\\&|\rPIDX|1\rPID\rPID|2\rNTE")
    assert [s.name for s in message.segments] == ["MSH", "", "PID", "PID", "NTE"]
    assert message.get("PID-1") is None
    assert message.get("PID[2]-1") == "2"


def test_a_line_that_is_no_segment_is_not_mistaken_for_one() -> None:
    message = parsed(b"MSH|^~\\&|\rPID is missing here\rPID|1")
    assert message.get("PID-1") == "1"
    assert message.segments[1].fields == [b"PID is missing here"]


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        ("PID-5.1", "ROE", b"DOE^JANE", b"ROE^JANE"),
        ("PID-5", "ROE", b'DOE^JANE^""', b"ROE"),
        ("PID-5.4", "JR", b'JANE^""', b'JANE^""^JR'),
        ("PID-3[2].4.2", "x", b"200^^^SSA", b"200^^^SSA&x"),
        ("PID-3[4]", "x", b"~200^^^SSA", b"~200^^^SSA~~x"),
        ("PID-8", NULL, b"|F|", b'|""|'),
        ("PID-6", "", b'|""|1980', b"||1980"),
        ("OBX[3]-7", "x", b"|||4\r", b"|||4||x\r"),
        ("OBX[3]-7", "", b"", b""),
        ("ZPI-2", "a|b^c&d~e\\f", b"O\\T\\B", b"a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f"),
        ("ZPI-3", "\r\n\x0b\x1c\t", b"x\\X0D\\\\X0A\\y", b"\\X0D\\\\X0A\\\\X0B\\\\X1C\\\t"),
        ("PID-8", '""', b"|F|", b"|\\X2222\\|"),
        ("MSH-10", "N2", b"|M1|", b"|N2|"),
        ("MSH-3.2", "x", b"|HIS|", b"|HIS^x|"),
    ],
)
def test_set_changes_only_its_span(path: str, value: str, before: bytes, after: bytes) -> None:
    message = parsed()
    changed = message.set(path, value)
    assert changed.raw == BODY.replace(before, after, 1)
    assert message.raw == BODY
    assert changed.get(path) == (NULL if value is NULL else value or None)


def test_set_wants_the_segment_to_be_there() -> None:
    with pytest.raises(LookupError, match=r"PV1\[1\]"):
        parsed().set("PV1-2", "I")
    with pytest.raises(LookupError, match=r"OBX\[4\]"):
        parsed().set("OBX[4]-2", "I")


@pytest.mark.parametrize("path", ["MSH-1", "MSH-2"])
def test_the_delimiters_cannot_be_set(path: str) -> None:
    with pytest.raises(ValueError, match=path):
        parsed().set(path, "#")


def test_what_cannot_be_written_is_refused_and_never_replaced() -> None:
    with pytest.raises(hl7v2.Unencodable) as refused:
        parsed().set("PID-5.1", "Mül")
    assert (refused.value.place, refused.value.offset) == ("PID-5.1", 1)
    assert "Mül" not in str(refused.value)
    assert refused.value.__context__ is None


def test_without_an_escape_character_a_delimiter_cannot_be_written() -> None:
    message = parsed(b"MSH|^~|\rPID|1")
    assert message.set("PID-5.2", "a&b\\").get("PID-5.2") == "a&b\\"
    for value in ("a^b", "a\rb", '""'):
        with pytest.raises(hl7v2.Unencodable):
            message.set("PID-5", value)
    with pytest.raises(ValueError, match="no delimiter"):
        message.set("PID-5.1.2", "x")
    assert message.get("PID-1.1.1") == "1"


def test_a_wrong_character_set_can_be_put_right_but_not_made_unreadable() -> None:
    message = parsed(b"MSH|^~\\&|A\rPID|||||M\xfcller")
    assert message.undecodable() == "PID-5"
    assert message.set("MSH-18", "8859/1").get("PID-5") == "Müller"
    with pytest.raises(ValueError, match="unsupported-charset"):
        message.set("MSH-18", "nonsense")


def test_keep_and_drop() -> None:
    message = parsed()
    assert [s.name for s in message.keep(["PID", "ZPI"]).segments] == ["MSH", "PID", "ZPI"]
    assert [s.name for s in message.drop(["MSH", "PID", "ZPI"]).segments] == ["MSH", "OBX", "", "OBX", "OBX"]
    assert message.keep(["OBX", "PID", "ZPI"]) == message
    assert message.drop([]) == message
    assert message.drop(["OBX"]).raw == BODY[: BODY.index(b"OBX|1")]


def test_keep_and_drop_leave_the_other_bytes() -> None:
    body = b"\r\nMSH|^~\\&|\r\n\r\nPID|1\r\nNTE|1\r\nsecret\r\nPV1|1"
    assert parsed(body).drop(["NTE"]).raw == b"\r\nMSH|^~\\&|\r\n\r\nPID|1\r\nPV1|1"
    assert parsed(body).keep(["NTE"]).raw == b"\r\nMSH|^~\\&|\r\n\r\nNTE|1\r\nsecret\r\n"


def test_leaves_have_the_shortest_path_that_reads_them() -> None:
    message = parsed(BODY[BODY.index(b"MSH") : BODY.index(b"OBX|2")])
    found = {leaf.path: message.raw[leaf.start : leaf.end] for leaf in message.leaves()}
    assert found["PID-3.4.2"] == b"1.2.3"
    assert found["PID-3[2].4"] == b"SSA"
    assert found["PID-8"] == b"F"
    assert found["line 5"] == b"a line that is no segment|at all"
    for place, value in found.items():
        if place not in ("line 5", "MSH-2"):
            assert message.get(place) == (NULL if value == b'""' else message.text(value))


def test_undecodable_names_the_first_place() -> None:
    message = parsed(b"MSH|^~\\&|A\rPID|||1~2^\xe9&\xe8\rNTE|1|\xe9")
    assert message.undecodable() == "PID-3[2].2.1"
    with pytest.raises(hl7v2.Undecodable) as refused:
        message.get("NTE-2")
    assert refused.value.offset == 0
    assert refused.value.__context__ is None
    assert parsed(b"MSH|^~\\&|A\rPID|1|\\XE9\\|").undecodable() == "PID-2"
    assert parsed(b"MSH|^~\\&|A\rPID|1\rwrong: \xe9").undecodable() == "line 3"
    assert parsed(b"MSH|^~\\&|A\rPID|1|\\X0D\\|").undecodable() is None


def test_an_undecodable_value_elsewhere_does_not_hinder_reading() -> None:
    assert parsed(b"MSH|^~\\&|A\rPID|1||\xe9|4").get("PID-4") == "4"


@pytest.mark.parametrize(
    "text", ["PID-5", "PID-5.1", "PID-3[2].4.1", "OBX[3]-5", "MSH-9.2", "ZX1[2]-3[4].5.6"]
)
def test_a_path_round_trips(text: str) -> None:
    assert str(hl7v2.path(text)) == text
    assert hl7v2.path(str(hl7v2.path(text))) == hl7v2.path(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "PID", "PID-", "PID-0", "PID.5", "pid-5", "PID-5.0", "PID-5.1.1.1", "PID-5[0]", "PID-5 "),
        *("PIDX-5", "PID-1000", "PID-٣", "PID-5.1[2]", "line 7"),
    ],
)
def test_what_is_no_path_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as PID-5\.1"):
        hl7v2.path(text)
    with pytest.raises(ValueError, match="is not a path"):
        parsed().get(text)


def test_a_message_can_go_to_another_process() -> None:
    message = hl7v2.parse(b"MSH|^~\\&|A\rPID|||||M\xfcller", charset="8859/1")
    again = pickle.loads(pickle.dumps(message))
    assert again == message
    assert again.get("PID-5") == "Müller"
    assert pickle.loads(pickle.dumps(NULL)) is NULL


def test_a_message_shows_nothing_of_its_content() -> None:
    message = parsed()
    assert repr(message) == f"<Message of {len(BODY)} bytes>"
    assert [repr(s) for s in message.segments][-3:] == [
        "<Segment line 5>",
        "<Segment OBX[2]>",
        "<Segment OBX[3]>",
    ]

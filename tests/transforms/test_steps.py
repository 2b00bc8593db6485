"""The steps hl7.*: what goes on, changed or not, and what stops."""

import pytest

from engine.message import State, Stop
from engine.plugin import discover, registered
from engine.settings import Row, Table
from formats import hl7v2
from transforms.steps.encode import encode
from transforms.steps.hl7 import assign, copy, drop, filter, keep_segments, require
from transforms.steps.translate import translate

MSH = "MSH|^~\\&|LAB|L|||20250301||ORU^R01|C1|P|2.5.1||||||UNICODE UTF-8"
PID = "PID|1||MR001^^^HOSP&2.999.1&ISO^MR~N9^^^NAT||Doe^Jo"
OBR = "OBR|1|P1|F1|CMP^Panel^L"
K = "OBX|1|NM|K^Potassium^L||6.3|mmol/L"
NA = "OBX|2|NM|NA^Sodium^L||140|mmol/L"
ZZZ = "ZZZ|1|local"

LAB = Table(
    "lab",
    {
        "K": Row("2823-3", "Kalium", "http://loinc.org"),
        "H": Row("high"),
        "99LAB|NA": Row("2951-2", "", "LN"),
    },
)


@pytest.fixture
def message(parse):
    return parse(MSH, PID, OBR, K, NA, ZZZ)


def at(*paths):
    return [hl7v2.path(p) for p in paths]


def lines(message):
    assert isinstance(message, hl7v2.Message), message
    return message.raw.decode().rstrip("\r").split("\r")


def stopped(said, state, code, place):
    assert isinstance(said, Stop), said
    assert (said.state, said.reason.code, said.reason.place) == (state, code, place)
    return True


def test_all_steps_are_registered():
    discover("transforms")
    assert {name for name in registered("transform") if name.startswith("hl7.")} == {
        "hl7.copy",
        "hl7.drop",
        "hl7.encode",
        "hl7.filter",
        "hl7.keep_segments",
        "hl7.require",
        "hl7.set",
        "hl7.translate",
    }


def test_require(message):
    assert require(message, segments=["PID", "OBX"], fields=at("PID-3", "OBX-5", "OBX-3.1")) is message
    lacks = require(message, segments=["PID", "PV1"])
    assert stopped(lacks, State.QUARANTINED, "required-segment", "PV1")
    lacks = require(message, segments=[], fields=at("PID-5.3"))
    assert stopped(lacks, State.QUARANTINED, "required-field", "PID[1]-5.3")
    lacks = require(message, segments=[], fields=at("PV1-19"))
    assert stopped(lacks, State.QUARANTINED, "required-field", "PV1-19")


def test_require_looks_into_every_segment(parse):
    missing = parse(MSH, PID, OBR, K, "OBX|2|NM||||")
    lacks = require(missing, segments=[], fields=at("OBX-3"))
    assert stopped(lacks, State.QUARANTINED, "required-field", "OBX[2]-3")
    null = parse(MSH, PID, OBR, K, 'OBX|2|NM|""')
    assert isinstance(require(null, segments=[], fields=at("OBX-3")), Stop)
    assert require(null, segments=[], fields=at("OBX[1]-3")) is null


def test_set(message):
    changed = lines(assign(message, field=hl7v2.path("PID-5.2"), value="A^B|C"))
    assert changed[1] == PID.replace("Jo", "A\\S\\B\\F\\C")
    assert changed[:1] + changed[2:] == lines(message)[:1] + lines(message)[2:]
    assert lines(assign(message, field=hl7v2.path("PID-8"), value="F"))[1] == f"{PID}|||F"
    assert lines(assign(message, field=hl7v2.path("PID-5"), value=""))[1] == PID.replace("Doe^Jo", "")
    assert lines(assign(message, field=hl7v2.path("PID-5"), value='""'))[1] == PID.replace("Doe^Jo", '""')


def test_set_means_every_segment_unless_one_is_named(message):
    every = lines(assign(message, field=hl7v2.path("OBX-11"), value="P"))
    assert every[3:5] == [f"{K}|||||P", f"{NA}|||||P"]
    second = lines(assign(message, field=hl7v2.path("OBX[2]-11"), value="P"))
    assert second[3:5] == [K, f"{NA}|||||P"]
    assert assign(message, field=hl7v2.path("PV1-2"), value="I") == message
    assert assign(message, field=hl7v2.path("OBX[3]-11"), value="P") == message


def test_a_character_that_cannot_be_written_is_never_replaced(parse):
    ascii = parse(MSH.replace("UNICODE UTF-8", "ASCII"), PID)
    said = assign(ascii, field=hl7v2.path("PID-5.1"), value="Sørensen")
    assert isinstance(said, Stop)
    assert (said.state, said.reason.code) == (State.FAILED, "unencodable")


def test_delimiters_are_no_steps_business(message):
    said = assign(message, field=hl7v2.path("MSH-2"), value="^~")
    assert stopped(said, State.FAILED, "unsettable", "MSH[1]-2")
    said = translate(message, field=hl7v2.path("MSH-1"), table=LAB)
    assert stopped(said, State.FAILED, "unsettable", "MSH-1")


def test_copy_takes_the_components_along(message):
    changed = lines(copy(message, from_=hl7v2.path("PID-3"), to=hl7v2.path("PID-2")))
    assert changed[1] == PID.replace("|1||", "|1|MR001^^^HOSP&2.999.1&ISO^MR|")
    changed = lines(copy(message, from_=hl7v2.path("PID-3[2]"), to=hl7v2.path("PID-3")))
    assert changed[1] == PID.replace("MR001^^^HOSP&2.999.1&ISO^MR", "N9^^^NAT")
    changed = lines(copy(message, from_=hl7v2.path("PID-3.4.2"), to=hl7v2.path("OBR-2.3")))
    assert changed[2] == OBR.replace("|P1|", "|P1^^2.999.1|")
    changed = lines(copy(message, from_=hl7v2.path("OBX[2]-3.1"), to=hl7v2.path("OBX-4")))
    assert changed[3] == K.replace("^L||", "^L|NA|")


def test_copy_of_nothing_changes_nothing(message):
    assert copy(message, from_=hl7v2.path("PID-9"), to=hl7v2.path("PID-5")) == message
    assert copy(message, from_=hl7v2.path("PID-5"), to=hl7v2.path("PV1-5")) == message


def test_drop_segments_or_the_message(message):
    assert lines(drop(message, segments=["ZZZ", "OBR"])) == [MSH, PID, K, NA]
    assert stopped(drop(message), State.FILTERED, "dropped", "")
    holds, fails = (lambda body: True), (lambda body: False)
    assert stopped(drop(message, when=holds), State.FILTERED, "dropped", "")
    assert drop(message, when=fails) is message
    assert drop(message, segments=["ZZZ"], when=fails) is message
    assert lines(drop(message, segments=["ZZZ"], when=holds))[-1] == NA


def test_filter_lets_what_matches_go_on(message):
    assert filter(message, when=lambda body: body.get("PID-5.1") == "Doe") is message
    said = filter(message, when=lambda body: body.get("PID-5.1") == "Roe")
    assert stopped(said, State.FILTERED, "filtered", "")


def test_keep_segments(message):
    assert lines(keep_segments(message, only=["PID", "OBX"])) == [MSH, PID, K, NA]


# -- translate


def test_translate_keeps_the_original_as_the_alternate_code(message):
    changed = lines(translate(message, field=hl7v2.path("OBX-3"), table=LAB))
    assert changed[3] == K.replace("K^Potassium^L", "2823-3^Kalium^LN^K^Potassium^L")
    assert changed[4] == NA  # no row for NA of L; miss: pass


def test_translate_looks_the_system_up_too(parse):
    other = parse(MSH, PID, NA.replace("^L|", "^99LAB|"))
    changed = lines(translate(other, field=hl7v2.path("OBX-3"), table=LAB))
    assert changed[2] == NA.replace("NA^Sodium^L", "2951-2^Sodium^LN^NA^Sodium^99LAB")


def test_translate_does_not_overwrite_an_alternate_code(parse):
    taken = parse(MSH, PID, K.replace("K^Potassium^L", "K^Potassium^L^X^Y^Z"))
    changed = lines(translate(taken, field=hl7v2.path("OBX-3"), table=LAB))
    assert changed[2] == K.replace("K^Potassium^L", "2823-3^Kalium^LN^X^Y^Z")


def test_translate_a_simple_code_or_one_component(parse):
    flagged = parse(MSH, PID, f"{K}||H~L~H", "OBX|2|NM|A^^^H||1||H")
    changed = lines(translate(flagged, field=hl7v2.path("OBX-8"), table=LAB))
    assert changed[2] == f"{K}||high~L~high"
    changed = lines(translate(flagged, field=hl7v2.path("OBX[2]-3.4"), table=LAB))
    assert changed[3] == "OBX|2|NM|A^^^high||1||H"
    changed = lines(translate(flagged, field=hl7v2.path("OBX[1]-8[3]"), table=LAB))
    assert changed[2] == f"{K}||H~L~high"


def test_translate_in_msh(parse):
    table = Table("apps", {"LAB": Row("Laboratory")})
    changed = lines(translate(parse(MSH, PID), field=hl7v2.path("MSH-3"), table=table))
    assert changed[0] == MSH.replace("|LAB|", "|Laboratory|")


def test_what_a_miss_does(message):
    field = hl7v2.path("OBX-3")
    table = Table("lab", {"K": Row("2823-3", "Kalium", "LN")})
    for miss in ("pass", "worklist"):
        assert lines(translate(message, field=field, table=table, miss=miss))[4] == NA
    said = translate(message, field=field, table=table, miss="refuse")
    assert stopped(said, State.QUARANTINED, "unmapped-code", "OBX[2]-3[1]")
    changed = lines(translate(message, field=field, table=table, miss="default", default="UNK"))
    assert changed[4] == NA.replace("NA^Sodium^L", "UNK^Sodium^^NA^Sodium^L")
    said = translate(message, field=field, table=table, miss="default")
    assert stopped(said, State.FAILED, "no-default", "OBX[2]-3[1]")


def test_a_code_of_the_target_system_is_no_miss(parse):
    already = parse(MSH, PID, K.replace("K^Potassium^L", "718-7^Haemoglobin^LN"), "OBX|2|NM||")
    assert translate(already, field=hl7v2.path("OBX-3"), table=LAB, miss="refuse") == already


def test_translate_never_writes_another_character(parse):
    ascii = parse(MSH.replace("UNICODE UTF-8", "ASCII"), PID, K)
    table = Table("lab", {"K": Row("2823-3", "Kaliumspiegel für Ärzte")})
    said = translate(ascii, field=hl7v2.path("OBX-3"), table=table)
    assert stopped(said, State.FAILED, "unencodable", "OBX[1]-3[1]")


def test_encode_writes_another_character_set_and_says_so(parse):
    name = "PID|1||MR001||Müller^Zoë"
    said = encode(parse(MSH, name, OBR), charset="8859/1", terminator="crlf")
    head, pid, obr = said.rstrip(b"\r\n").split(b"\r\n")
    assert (pid.decode("latin-1"), obr.decode()) == (name, OBR)
    assert head.split(b"|")[17] == b"8859/1"
    again = hl7v2.parse(said)
    assert again.charset == "iso8859-1"
    assert again.get("PID-5.1") == "Müller"
    short = parse(MSH.removesuffix("||||||UNICODE UTF-8"), PID)
    assert encode(short, charset="UNICODE UTF-8").split(b"\r")[0] == MSH.encode()


def test_encode_never_replaces_a_character_unless_it_may(parse):
    said = parse(MSH, "PID|1||MR001||Doe^Jo", "NTE|1||6 µmol/L ≥ limit")
    assert stopped(encode(said, charset="8859/1"), State.QUARANTINED, "unwritable", "NTE")
    assert b"NTE|1||6 \xb5mol/L ? limit" in encode(said, charset="8859/1", unwritable="replace")


def test_encode_of_nothing_asked_is_the_message_as_it_was(message):
    assert encode(message) == message.raw
    assert encode(message, terminator="lf") == message.raw.replace(b"\r", b"\n")

"""The map data: every row compiles, every element that a row names exists in R4, every code is valid there."""

from pathlib import Path

import pytest

from formats import fhir
from formats.fhir.r4 import r4
from transforms.hl7v2_to_fhir import maps
from transforms.hl7v2_to_fhir.measure import READS
from transforms.hl7v2_to_fhir.plan import plan
from transforms.hl7v2_to_fhir.reader import Reader
from transforms.hl7v2_to_fhir.rules import compiled, rules

FOLDER = Path(maps.__file__).parent
SEGMENTS = sorted(p.stem for p in (FOLDER / "segments").glob("*.yaml"))
TYPES = sorted(p.stem for p in (FOLDER / "datatypes").glob("*.yaml"))
TABLES = sorted(p.stem for p in (FOLDER / "tables").glob("*.csv"))
EVENTS = sorted(maps.events())

ALL_MAPS = [*map(maps.segment_map, SEGMENTS), *(m for t in TYPES if (m := maps.type_map(t)))]
ROWS = [(m, row) for m in ALL_MAPS for row in m.rows]


def test_the_events_that_have_a_map():
    assert [
        *(
            f"ADT^A{n}"
            for n in ("01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "13", "14", "15")
        ),
        *(f"ADT^A{n}" for n in ("16", "18", "25", "28", "31", "34", "40", "47")),
        "ORU",
        "ORU^R01",
        "ORU^R03",
    ] == EVENTS


@pytest.mark.parametrize("name", SEGMENTS)
def test_every_segment_map_compiles(name):
    made = rules(name)
    assert made.own
    assert [number for number, *_ in made.own] == sorted(number for number, *_ in made.own)


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_compiles_and_every_segment_map_has_a_use(kind):
    made = plan(kind)
    assert made is not None
    assert "Patient" in made.parts
    used = {name for event in maps.events().values() for names in event.parts.values() for name in names}
    assert used == set(SEGMENTS)


def owner(type, to):
    """The R4 type that holds the last element of a path, and that element's name."""
    name, dot, rest = to.removesuffix("*").partition(".")
    if not dot:
        return type, name
    found = r4().types[type].get(name)
    return owner(found.types[0] if found else "Period", rest)  # effectivePeriod, of effective[x]


def element(type, name):
    """The element of that name; of a choice by the name of one of its types."""
    table = r4().types[type]
    bare = name.removeprefix("_")
    return table.get(bare) or table.get(fhir.choice(type, bare) or "")


@pytest.mark.parametrize(("made", "row"), ROWS, ids=[row.place for _, row in ROWS])
def test_every_target_is_an_element_of_r4(made, row):
    type = {"contact": "Patient.contact", "note": "Annotation"}.get(made.into, made.resource)
    holder, name = owner(type, row.to)
    found = element(holder, name)
    assert found is not None, f"{row.place}: {holder} has no element {name}"
    if name != "value[x]":
        assert found.list == row.to.endswith("*"), f"{row.place}: a list takes a *, nothing else does"


@pytest.mark.parametrize(("made", "row"), ROWS, ids=[row.place for _, row in ROWS])
def test_every_row_says_where_it_comes_from(made, row):
    assert row.guide
    file, _, line = row.place.rpartition(":")
    text = (FOLDER / file).read_text("utf-8").splitlines()[int(line) - 1]
    assert f"to: {row.to}" in text or f'to: "{row.to}"' in text


def allowed(type, name):
    """The codes of the required binding of an element."""
    systems = r4().values[r4().types[type][name].values]
    return {code for codes in systems.values() for code in codes}


REQUIRED_CODES = {
    "AdministrativeSex": ("Patient", "gender"),
    "ObservationStatus": ("Observation", "status"),
    "ObservationStatusOfReport": ("Observation", "status"),
    "OrderStatus": ("ServiceRequest", "status"),
    "Priority": ("ServiceRequest", "priority"),
    "ReportStatus": ("DiagnosticReport", "status"),
    "RequestStatus": ("ServiceRequest", "status"),
    "AddressType": ("Address", "type"),
    "AddressUse": ("Address", "use"),
    "NameUse": ("HumanName", "use"),
    "TelecomSystem": ("ContactPoint", "system"),
    "TelecomUse": ("ContactPoint", "use"),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_whole(name):
    made = maps.table(name)
    assert made.rows
    assert all(code == code.strip() and row.code == row.code.strip() for code, row in made.rows.items())
    assert all(row.code for row in made.rows.values())
    if name in REQUIRED_CODES:
        type, element = REQUIRED_CODES[name]
        assert {row.code for row in made.rows.values()} <= allowed(type, element)


def test_every_status_has_a_rank():
    ranked = set(maps.table("StatusRank").rows)
    for type in ("Observation", "DiagnosticReport"):
        assert allowed(type, "status") <= ranked


def test_every_value_type_has_its_read():
    assert {row.code for row in maps.table("ValueType").rows.values()} == set(READS)


def test_a_table_without_a_file_keeps_the_codes():
    assert maps.table("HL70112") == maps.Table("HL70112", "http://terminology.hl7.org/CodeSystem/v2-0112")
    with pytest.raises(maps.MapError, match="no table Nonsense"):
        maps.table("Nonsense")


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A segment map of one row, read from a file."""

    def written(row):
        (tmp_path / "segments").mkdir(exist_ok=True)
        (tmp_path / "datatypes").mkdir(exist_ok=True)
        text = f"segment: ZZZ\nresource: Patient\nguide: ours\nrows:\n  - {row}\n"
        (tmp_path / "segments" / "ZZZ.yaml").write_text(text)
        monkeypatch.setattr(maps, "FOLDER", tmp_path)
        return maps.segment_map.__wrapped__("ZZZ")

    return written


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("{from: ZZZ-1, to: gender, tabel: X}", "unknown key tabel"),
        ("{to: gender}", "either from: or value:"),
        ("{from: ZZZ-1, value: x, to: gender}", "either from: or value:"),
        ("{from: ZZZ-1, to: gender, table: Nonsense}", "no table Nonsense"),
        ("{from: ZZZ-one, to: gender}", "invalid literal"),
        ("{from: ZZZ-1}", "to"),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(written, row, text):
    with pytest.raises(maps.MapError, match=f"^segments/ZZZ.yaml:5: .*{text}"):
        written(row)


def test_a_type_that_nobody_knows_is_named_too(written):
    with pytest.raises(maps.MapError, match=r"segments/ZZZ\.yaml:5: no type XYZ"):
        compiled(written("{from: ZZZ-1, to: gender, as: XYZ}"))


def test_a_segment_row_reads_one_field(written):
    with pytest.raises(maps.MapError, match=r"segments/ZZZ\.yaml:5: a row of a segment reads one field"):
        compiled(written("{from: [ZZZ-1, ZZZ-2], to: gender, join: x}"))


def test_a_snapshot_row_asserts_that_what_is_absent_is_empty(written, feed, parse):
    made = compiled(written("{from: ZZZ-2, to: name*, as: text, mode: snapshot}"))
    for line, expected in (("ZZZ|1|a~b", {"name": ["a", "b"]}), ("ZZZ|1", {"name": None})):
        message = parse("MSH|^~\\&|A", line)
        out = {}
        made(message.first("ZZZ"), Reader(message, feed), out)
        assert out == expected

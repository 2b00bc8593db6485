"""Headers of files of any size, data sets by their keywords, characters and dates; compared with what pydicom reads."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from formats import dicom
from formats.dicom.file import BIG, MOST
from formats.reason import Reason
from tests.adapters.dicom_peer import data_set, instance
from tests.corpus.samples import CORPUS

UID = "1.2.826.0.1.3680043.9.7433.7"
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
NEW_YORK = ZoneInfo("America/New_York")


def header(folder: Path, file: bytes) -> bytes | Reason:
    path = folder / "file.dcm"
    path.write_bytes(file)
    with path.open("rb") as file:
        return dicom.header(file)


def message(file: bytes, **settings: str) -> dicom.Message:
    found = dicom.parse(file, **settings)
    assert isinstance(found, dicom.Message), found
    return found


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_header_is_the_file_without_what_is_big(tmp_path: Path, syntax: str) -> None:
    from pydicom import dcmread

    file = instance(
        UID, syntax=syntax, pixels=3 * BIG, EncapsulatedDocument=bytes(2 * BIG), StudyDescription="Chest"
    )
    found = header(tmp_path, file)
    assert isinstance(found, bytes)
    assert len(found) < 2048
    read = dcmread(BytesIO(found))
    assert (read.StudyDescription, "PixelData" in read, "EncapsulatedDocument" in read) == (
        "Chest",
        False,
        False,
    )
    assert read.file_meta.TransferSyntaxUID == syntax
    assert message(found).text("StudyDescription") == "Chest"
    assert header(tmp_path, found) == found


def test_a_header_has_an_end_however_many_elements_there_are(tmp_path: Path) -> None:
    private = b"".join(
        b"\x09\x00" + n.to_bytes(2, "little") + b"LT" + (10_000).to_bytes(2, "little") + b"x" * 10_000
        for n in range(0x1000, 0x1200)
    )
    found = header(tmp_path, instance(UID) + private)
    assert isinstance(found, bytes)
    assert MOST - BIG < len(found) < MOST + 1024


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_cut_off_is_broken(tmp_path: Path, syntax: str) -> None:
    """At any element's middle; where one ends, nobody can tell."""
    file = instance(UID, syntax=syntax, pixels=100)
    start = len(file) - len(data_set(file))
    for end in (*range(start + 1, start + 8), len(file) - 50, len(file) - 3):
        assert header(tmp_path, file[:end]) == dicom.BROKEN, end


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    for file in (b"", b"DICM", bytes(128) + b"DICM", bytes(200), instance(UID)[:140]):
        assert header(tmp_path, file) == dicom.NOT_DICOM
        assert dicom.parse(file) == dicom.NOT_DICOM


def test_a_small_file_that_inflates_to_a_big_one_takes_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 100 << 20
    packed = squeeze.compress(b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little"))
    packed += b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(100)) + squeeze.flush()
    file = dicom.wrapped("1.2.3", UID, SYNTAXES[3], packed)
    assert len(file) < 1 << 20
    tracemalloc.start()
    found = header(tmp_path, file)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert isinstance(found, bytes)
    assert len(found) < 1024


def test_sequences_deeper_than_any_are_broken(tmp_path: Path) -> None:
    nested = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    assert header(tmp_path, dicom.wrapped("1.2.3", UID, SYNTAXES[1], nested)) == dicom.BROKEN
    assert dicom.parse(dicom.wrapped("1.2.3", UID, SYNTAXES[1], nested)) == dicom.BROKEN


@given(st.binary(max_size=200), st.sampled_from(SYNTAXES))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_bytes_are_a_data_set_or_broken(tmp_path: Path, data: bytes, syntax: str) -> None:
    file = dicom.wrapped("1.2.3", UID, syntax, data)
    assert isinstance(header(tmp_path, file), bytes | Reason)
    found = dicom.parse(file)
    assert isinstance(found, dicom.Message) or found.code in ("broken-data-set", "unknown-charset")


@pytest.mark.parametrize("explicit", [True, False], ids=["explicit", "implicit"])
@pytest.mark.parametrize("undefined", [True, False], ids=["undefined", "defined"])
def test_sequences_are_read_however_they_are_delimited(explicit: bool, undefined: bool) -> None:
    from pydicom.dataset import Dataset

    step, code = Dataset(), Dataset()
    code.CodeValue, step.Modality, step.ScheduledStationAETitle = "C1", "CT", "CT1"
    step.ScheduledProtocolCodeSequence = [code]
    file = instance(
        UID, syntax=SYNTAXES[explicit], ScheduledProcedureStepSequence=[step, step], PatientID="P1"
    )
    if undefined:
        from pydicom import dcmread

        made = dcmread(BytesIO(file))
        made["ScheduledProcedureStepSequence"].is_undefined_length = True
        for item in made.ScheduledProcedureStepSequence:
            item.is_undefined_length_sequence_item = True
        out = BytesIO()
        made.save_as(out)
        file = out.getvalue()
    found = message(file)
    first, second = found.items("ScheduledProcedureStepSequence")
    assert (first.text("Modality"), second.text("ScheduledStationAETitle")) == ("CT", "CT1")
    assert first.items("ScheduledProtocolCodeSequence")[0].text("CodeValue") == "C1"
    assert found.text("PatientID") == "P1"


def named(name: bytes, *charset: str, **more: Any) -> bytes:
    declared = {"SpecificCharacterSet": list(charset)} if charset else {}
    file = instance(UID, PatientName="NAME", **declared, **more)
    padded = name + b" " * (len(name) % 2)
    at = file.index(b"\x10\x00\x10\x00PN\x04\x00NAME")
    return file[: at + 6] + len(padded).to_bytes(2, "little") + padded + file[at + 12 :]


@pytest.mark.parametrize(
    ("name", "charset", "text"),
    [
        (b"Buc^J\xe9r\xf4me", ["ISO_IR 100"], "Buc^Jérôme"),
        ("Buc^Jérôme".encode(), ["ISO_IR 192"], "Buc^Jérôme"),
        (b"\xb4\xcf\xd5", ["ISO_IR 13"], "ｴﾏﾕ"),
        (b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", ["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        (
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
            ["", "ISO 2022 IR 149"],
            "Hong^Gildong=洪^吉洞",
        ),
        ("Wang^XiaoDong=王^小东".encode("gb18030"), ["GB18030"], "Wang^XiaoDong=王^小东"),
    ],
)
def test_characters_are_those_of_the_declared_set(name: bytes, charset: list[str], text: str) -> None:
    found = message(named(name, *charset))
    assert found.text("PatientName") == text
    assert found.undecodable() is None


@pytest.mark.parametrize(
    ("name", "charset"),
    [(b"J\xe9r\xf4me", []), (b"J\xe9r\xf4me", ["ISO_IR 192"]), (b"\x1b$Zxx", ["", "ISO 2022 IR 87"])],
    ids=["none", "utf-8", "unknown-escape"],
)
def test_a_byte_without_a_character_is_never_replaced(name: bytes, charset: list[str]) -> None:
    found = message(named(name, *charset))
    assert found.undecodable() == "PatientName"
    with pytest.raises(dicom.Undecodable):
        found.text("PatientName")


def test_a_channel_may_say_what_data_sets_mean_that_name_no_set() -> None:
    assert message(named(b"J\xe9r\xf4me"), charset="ISO_IR 100").text("PatientName") == "Jérôme"
    assert (
        message(named("Jérôme".encode(), "ISO_IR 192"), charset="ISO_IR 100").text("PatientName") == "Jérôme"
    )


def test_an_unknown_character_set_is_told() -> None:
    found = dicom.parse(named(b"X", "ISO_IR 192").replace(b"ISO_IR 192", b"ISO_IR 999"))
    assert isinstance(found, Reason)
    assert (found.code, found.place) == ("unknown-charset", "SpecificCharacterSet")


@pytest.mark.parametrize(
    ("date", "time", "text"),
    [
        ("20261127", "101530.250000", "2026-11-27T10:15:30.250000-05:00"),
        ("20260701", "1015", "2026-07-01T10:15:00-04:00"),
        ("20261127", "10", "2026-11-27T10:00:00-05:00"),
        ("20261127", "", "2026-11-27"),
        ("20261127", "noon", "2026-11-27"),
        ("2026.11.27", "10:15:30", "2026-11-27T10:15:30-05:00"),
        ("20260230", "", None),
        ("", "101530", None),
        ("yesterday", "", None),
    ],
)
def test_dates_and_times(date: str, time: str, text: str | None) -> None:
    found = dicom.moment(date, time, NEW_YORK)
    assert (found.text if found else None) == text


def test_a_data_set_may_say_its_own_offset() -> None:
    found = dicom.moment("20261127", "101530", NEW_YORK, "+0100")
    assert found
    assert found.text == "2026-11-27T10:15:30+01:00"


@pytest.mark.corpus
@pytest.mark.skipif(not (CORPUS / "dicom").is_dir(), reason="../shared/corpus is not beside the project")
def test_every_public_file_reads_as_pydicom_reads_it(tmp_path: Path) -> None:
    from pydicom import dcmread

    checked, broken = 0, []
    for path in sorted(p for p in (CORPUS / "dicom").rglob("*") if p.is_file()):
        with path.open("rb") as file:
            found = dicom.header(file)
        ours = found if isinstance(found, Reason) else dicom.parse(found)
        if isinstance(ours, Reason):
            broken.append(path.name)
            continue
        theirs = dcmread(path, stop_before_pixels=True)
        for element in theirs:
            if element.VR in TEXT and element.keyword and element.VM < 2:
                value = str(element.value or "").rstrip("=")
                assert ours.text(element.keyword).rstrip("=") == value.strip(), (path, element.keyword)
                checked += 1
    assert checked > 2000
    assert broken == BROKEN


BROKEN = ["DICOMDIR-nooffset", "meta_missing_tsyntax.dcm", "no_meta_group_length.dcm", "rtplan_truncated.dcm"]


TEXT = ("AE", "AS", "CS", "DA", "LO", "PN", "SH", "TM", "UI")

"""An X-ray room: asks the engine's worklist what is to be done (`findscu -W`), and sends the picture (`storescu`).

accept: one image of the patient on the worklist; twice: the same image again; error: the technician has typed
no patient number; garbage: a file that is cut off. Needs DCMTK: `apt-get install dcmtk`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from demo.partners.role import PATIENCE, options, tell

CR = "1.2.840.10008.5.1.4.1.1.1"
"""Computed Radiography Image Storage."""

STEP = "ScheduledProcedureStepSequence[0]"
KEYS = (
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyInstanceUID",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    f"{STEP}.Modality",
    f"{STEP}.ScheduledStationAETitle",
    f"{STEP}.ScheduledProcedureStepStartDate",
    f"{STEP}.ScheduledProcedureStepStartTime",
    f"{STEP}.ScheduledProcedureStepDescription",
    f"{STEP}.ScheduledProcedureStepID",
)
"""What the modality asks of the worklist beside the patient's number (PS3.4 K.6)."""


def worklist(server: Sequence[str], mrn: str, folder: Path) -> list[Any]:
    """The scheduled steps of one patient, as data sets."""
    from pydicom import dcmread

    keys = [part for key in (f"PatientID={mrn}", *KEYS) for part in ("-k", key)]
    run("findscu", "-W", "-X", "-od", str(folder), *keys, *server)
    return [dcmread(file, force=True) for file in sorted(folder.glob("rsp*.dcm"))]


def image(item: Any, at: datetime) -> Any:
    """A small picture of what the worklist asks for: 64 by 64 pixels, from dark to light."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    made: Any = Dataset()
    made.SpecificCharacterSet = item.get("SpecificCharacterSet", "ISO_IR 192")
    for name in ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        setattr(made, name, item.get(name, ""))
    made.AccessionNumber = item.get("AccessionNumber", "")
    made.StudyInstanceUID = item.get("StudyInstanceUID") or generate_uid()
    made.StudyID = item.get("RequestedProcedureID", "")[:16]
    made.StudyDescription = item.get("RequestedProcedureDescription", "")
    made.StudyDate = made.SeriesDate = made.ContentDate = f"{at:%Y%m%d}"
    made.StudyTime = made.SeriesTime = made.ContentTime = f"{at:%H%M%S}"
    made.Modality, made.SeriesNumber, made.InstanceNumber = "CR", "1", "1"
    made.ReferringPhysicianName, made.Manufacturer = "", "Demo"
    made.SOPClassUID, made.SOPInstanceUID = CR, generate_uid()
    made.SeriesInstanceUID = generate_uid()
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows = made.Columns = 64
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = bytes(4 * (n % 64) for n in range(64 * 64))
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = CR
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def written(made: Any, folder: Path, behave: str) -> Path:
    """The picture as a file; as the behaviour has it."""
    if behave == "error":
        made.PatientID = ""
    file = folder / "image.dcm"
    made.save_as(file, enforce_file_format=True)
    if behave == "garbage":
        file.write_bytes(file.read_bytes()[:-1000])
    return file


def run(*command: str) -> int:
    """The exit status of a DCMTK program; what it says goes to our standard error."""
    return subprocess.run(command, stdout=sys.stderr, timeout=PATIENCE, check=False).returncode


def visit(server: Sequence[str], mrn: str, behave: str) -> Iterator[int]:
    """Everything on the worklist of the patient: exit statuses of `storescu`."""
    with tempfile.TemporaryDirectory(prefix="chartwire-modality-") as place:
        folder = Path(place)
        items = worklist(server, mrn, folder)
        tell("worklist", items=len(items), accessions=[str(i.get("AccessionNumber", "")) for i in items])
        for item in items:
            made = image(item, datetime.now())
            file = written(made, folder, behave)
            for _ in range(2 if behave == "twice" else 1):
                status = run("storescu", *server, str(file))
                study = str(made.StudyInstanceUID)
                tell("modality", stored=status == 0, instance=str(made.SOPInstanceUID), study=study)
                yield status


def main() -> None:
    parser = options(__doc__, "accept", "twice", "error", "garbage")
    parser.add_argument("server", help="the engine: HOST:PORT")
    parser.add_argument("--mrn", required=True, help="whose pictures")
    parser.add_argument("--title", default="XRAY1", help="our AE title")
    parser.add_argument("--called", default="CHARTWIRE", help="the engine's AE title")
    parser.add_argument("--only-ask", action="store_true", help="ask the worklist, send nothing")
    given = parser.parse_args()
    if not (shutil.which("findscu") and shutil.which("storescu")):
        sys.exit("findscu and storescu are not installed: apt-get install dcmtk")
    host, _, port = given.server.removeprefix("dicom://").rpartition(":")
    server = ["-aet", given.title, "-aec", given.called, host, port]
    if given.only_ask:
        with tempfile.TemporaryDirectory(prefix="chartwire-modality-") as place:
            items = worklist(server, given.mrn, Path(place))
        tell("worklist", items=len(items), accessions=[str(i.get("AccessionNumber", "")) for i in items])
        return
    list(visit(server, given.mrn, given.behave))


if __name__ == "__main__":
    main()

"""Every public DICOM file to the real engine, one association each. dicom.tsv says how each ends; to write it anew, and
then to read the diff line by line:

python -m tests.corpus.dicom_walk
"""

from __future__ import annotations

import asyncio
import csv
import tempfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from formats import dicom
from tests.adapters.dicom_peer import data_set
from tests.adapters.dicom_wire import Sender
from tests.corpus.samples import CORPUS
from tests.flow.installation import Installation, until

EXPECTED = Path(__file__).parent / "dicom.tsv"
HEAD = "path\tkind\tstatus\tstate\tcode\tplace"
CHANNEL = """
channel: corpus
source:
  dicom: {port: 0}
format: dicom
timezone: America/New_York
authority: unnamed
future_limit: 900000h
store: dicom_to_fhir
order_by: patient
"""
AUTHORITIES = """
authorities:
  unnamed: {namespace: "https://unnamed.example", identifies: true}
"""


class End(NamedTuple):
    """`status`: what the C-STORE was answered; "no file": it is none that can be sent; "not taken": its class."""

    path: str
    kind: str
    status: str
    state: str = ""
    code: str = ""
    place: str = ""


def paths() -> list[str]:
    with (CORPUS / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t"))
    return sorted(row["path"] for row in rows if row["path"].startswith("dicom/"))


async def walk(site: Installation) -> list[End]:
    """One after the other; each accepted or refused instance is one more message, unless it is a repeat."""
    sent = [(path, *await _sent(site, path)) for path in paths()]

    async def over() -> list[dict[str, str]]:
        found = await site.messages()
        return found if not any(m["state"] == "RECEIVED" for m in found) else []

    messages = iter(await until(over))
    seen: dict[tuple[str, bytes], End] = {}
    ends = []
    for path, kind, status, key in sent:
        if key not in seen and key is not None:
            message = next(messages)
            why = (str(message["code"] or ""), str(message["place"] or ""))
            seen[key] = End(path, kind, status, message["state"], *why)
        ends.append(seen[key]._replace(path=path) if key is not None else End(path, kind, status))
    return ends


async def _sent(site: Installation, path: str) -> tuple[str, str, tuple[str, bytes] | None]:
    """(kind, status, what tells a repeat; None: there is no message)."""
    content = (CORPUS / path).read_bytes()
    try:
        with (CORPUS / path).open("rb") as file:
            meta = dicom.read_meta(file)
    except dicom.Broken:
        return "", "no file", None
    kind = dicom.sop_class_name(meta.sop_class)
    if not (meta.sop_class and meta.sop_instance and meta.transfer_syntax):
        return kind, "no file", None
    try:
        sender = await Sender.connect(
            site.sources["corpus"], contexts={1: (meta.sop_class, [meta.transfer_syntax])}
        )
    except ConnectionError:
        return kind, "not taken", None
    instance = named(content) or meta.sop_instance
    await sender.store(instance, data_set(content), meta.sop_class)
    answer = await sender.answer()
    await sender.leave()
    if answer.status is None:
        return kind, "not taken", None
    return kind, f"{answer.status:04X}", (instance, data_set(content))


def named(content: bytes) -> str:
    """The instance as the data set names it: many files were edited, and their meta information was not."""
    from pydicom import dcmread

    found = dcmread(BytesIO(content), stop_before_pixels=True)
    return str(found.get("SOPInstanceUID", ""))


def lines(ends: list[End]) -> list[str]:
    return [HEAD, *("\t".join(end).rstrip() for end in ends)]


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = {"channels/corpus.yaml": CHANNEL, "authorities.yaml": AUTHORITIES}
        site = Installation(Path(folder), files)
        try:
            await site.start()
            EXPECTED.write_text("\n".join(lines(await walk(site))) + "\n", "utf-8")
        finally:
            site.kill()


if __name__ == "__main__":
    asyncio.run(main())

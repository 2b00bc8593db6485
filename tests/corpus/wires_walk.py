"""Every public SCRIPT message and device reading through its parser and its map. wires.tsv says how each ends; to write
it anew, and then to read the diff line by line:

python -m tests.corpus.wires_walk
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from engine.message import Stop
from engine.plugin import Feed
from formats import device, script
from store.facts import Fact
from store.identity import Authority, Identity
from store.prepared import prepare
from store.reason import Reason
from tests.corpus.samples import CORPUS
from transforms.device_to_fhir.entry import device_to_fhir
from transforms.device_to_fhir.schema import Device, Metric, Panel
from transforms.ncpdp_to_fhir.entry import ncpdp_to_fhir

EXPECTED = Path(__file__).parent / "wires.tsv"
_MRN = Authority("mrn", "https://mrn.example", identifies=True)
FEED = Feed("corpus", ZoneInfo("UTC"), Identity(b"corpus" * 6, (_MRN,)), _MRN)


def _device(type: str, panels: dict[str, Panel] | None = None, **metrics: Metric) -> Device:
    return Device({"type": type}, "device", "patient", "time", metrics, panels or {})


DEVICES = {
    "heart": _device(
        "Heart Rate", heart_rate=Metric("values.beatsPerMinute", "8867-4", "Heart rate", "/min", high="350")
    ),
    "oxygen": _device(
        "Oxygen Saturation",
        oxygen=Metric("values.oxygenPercentage", "59408-5", "Oxygen saturation by Pulse oximetry", "%"),
    ),
    "pressure": _device(
        "Blood Pressure",
        {"bp": Panel("85354-9", "Blood pressure panel")},
        systolic=Metric("values.systolic", "8480-6", "Systolic blood pressure", "mm[Hg]", panel="bp"),
        diastolic=Metric("values.diastolic", "8462-4", "Diastolic blood pressure", "mm[Hg]", panel="bp"),
    ),
    "hub": Device(
        {"SystemProperties.iothub-connection-device-id": "ev-d795-1d04-55ae"},
        "SystemProperties.iothub-connection-device-id",
        "Properties.patient",
        "SystemProperties.iothub-enqueuedtime",
        {"heart_rate": Metric("Body.heartrate", "8867-4", "Heart rate", "/min", high="350")},
    ),
}
Walk = tuple[Callable[[bytes], Any], Callable[[Any], Any]]
WALKS: dict[str, Walk] = {
    "ncpdp_script": (script.parse, lambda message: ncpdp_to_fhir(message, FEED)),
    "device_iomt": (device.parse, partial(lambda message: device_to_fhir(message, FEED, devices=DEVICES))),
}


def lines() -> list[str]:
    """The table, as lines."""
    with (CORPUS / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t"))
    paths = [(row["path"], WALKS[row["standard"]]) for row in rows if row["standard"] in WALKS]
    return ["path\tkind\tend\tsaid", *("\t".join((path, *_end(path, walk))) for path, walk in paths)]


def _end(path: str, walk: Walk) -> tuple[str, str, str]:
    parse, store = walk
    message = parse((CORPUS / path).read_bytes())
    if isinstance(message, Reason):
        return "-", f"REFUSED:{message.code}:{message.place}", "-"
    kind = getattr(message, "kind", "reading")
    said = store(message)
    if said is None:
        return kind, "STORED_RAW", "-"
    if isinstance(said, Stop):
        return kind, f"{said.state}:{said.reason.code}:{said.reason.place}", "-"
    facts = [each for each in said if isinstance(each, Fact)]
    wrong = next((made for fact in facts if isinstance(made := prepare(fact), Reason)), None)
    types = ", ".join(sorted({fact.type for fact in facts})) or "-"
    return kind, f"FAILED:{wrong.code}:{wrong.place}" if wrong else "STORED", types


if __name__ == "__main__":
    EXPECTED.write_text("\n".join(lines()) + "\n", "utf-8")

"""The answer `dicom.worklist`: signed imaging orders of the chart as scheduled procedure steps (PS3.4 K)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from engine.message import State, Stop
from engine.plugin import Answered, ChartReader, Feed, answer
from engine.settings import Table
from engine.standards.dicom import QUERY, patient_of
from formats import dicom
from store.identity import Patient, fhir_id, key_of
from store.reason import Reason
from transforms.dicom_to_fhir.matching import BadQuery, asked_for, matches
from transforms.dicom_to_fhir.order import Entity, Order, entity, mrn

IMAGING = "http://snomed.info/sct|363679005"
MOST = 1000
"""Orders that one query may have to look at; the chart gives no more at once."""
_WILD = frozenset("*?")


@answer("dicom.worklist")
def worklist(
    query: dicom.Message,
    chart: ChartReader,
    feed: Feed,
    *,
    modalities: Annotated[
        Table | None, "modality by the code of what is ordered, where the order has none"
    ] = None,
    station: Annotated[
        str, "AE title of the station, where the order names none; without it, whoever asks"
    ] = "",
) -> Answered | Stop:
    """Active imaging orders that match, one item each, with what was asked for and nothing else."""
    if query.meta.sop_class != QUERY:
        return _refused("not-a-worklist", "the query is not one for the modality worklist", "SOPClassUID")
    orders = chart.search(
        "ServiceRequest", {"category": IMAGING, "status": "active", **_narrowed(query, feed)}
    )
    if len(orders) >= MOST:
        return Stop(State.REFUSED, Reason("too-many", "too many orders to look at; ask for less"))
    try:
        found = sorted(_found(orders, query, chart, feed, Order(modalities, station)), key=lambda f: f[0])
    except BadQuery as bad:
        return _refused("bad-query", "the value of a key cannot be matched by", bad.place)
    items = [asked_for(each, query) for _, _, each in found]
    return Answered(
        json.dumps(items, ensure_ascii=False).encode(), tuple(dict.fromkeys(key for _, key, _ in found))
    )


def _refused(code: str, text: str, place: str) -> Stop:
    return Stop(State.REFUSED, Reason(code, text, place))


def _narrowed(query: dicom.Message, feed: Feed) -> dict[str, str]:
    """The chart's index finds the patient, where the query gives his whole number."""
    value = query.text("PatientID")
    if not value or _WILD & set(value):
        return {}
    patient = patient_of(query, feed)
    return {"patient": fhir_id(patient.key)} if isinstance(patient, Patient) else {}


def _found(
    orders: list[dict[str, Any]], query: dicom.Message, chart: ChartReader, feed: Feed, how: Order
) -> Iterator[tuple[tuple[str, str], bytes, Entity]]:
    """(what they are ordered by, the patient's key, the item) of those that match."""
    asked = _asked_station(query)
    for order in orders:
        if order.get("intent") != "order":
            continue
        patient = _patient(chart, order)
        key = key_of(patient["id"]) if patient else None
        if patient is None or key is None or mrn(patient, feed) is None:
            continue
        made = entity(order, patient, chart, feed, how, asked)
        if matches(made, query):
            yield (_when(made), str(order["id"])), key, made


def _when(made: Mapping[str, Any]) -> str:
    step = made["ScheduledProcedureStepSequence"][0]
    parts = (step["ScheduledProcedureStepStartDate"], step["ScheduledProcedureStepStartTime"])
    return "".join(part[0] for part in parts if part)


def _asked_station(query: dicom.Message) -> str:
    steps = query.items("ScheduledProcedureStepSequence")
    title = steps[0].text("ScheduledStationAETitle") if steps else ""
    return "" if _WILD & set(title) else title


def _patient(chart: ChartReader, order: Mapping[str, Any]) -> dict[str, Any] | None:
    """Who the order is for: of patients that were merged, the one who survives."""
    found = _read(chart, "Patient", order.get("subject"))
    for _ in range(8):
        links = (found or {}).get("link", ())
        survivor = next((link["other"] for link in links if link["type"] == "replaced-by"), None)
        if survivor is None:
            return found
        found = _read(chart, "Patient", survivor)
    return None


def _read(chart: ChartReader, type: str, reference: Mapping[str, Any] | None) -> dict[str, Any] | None:
    kind, _, id = str((reference or {}).get("reference", "")).rpartition("/")
    return chart.read(type, id) if kind == type else None

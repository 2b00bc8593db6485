"""What the chart says in the end, asked over HTTP as any client would; and what the warehouse has of it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from demo.cast import POTASSIUM
from demo.children import Failed
from demo.story import Known

POTASSIUM_LOINC = "2823-3"
TYPES = ("Patient", "Encounter", "ServiceRequest", "DiagnosticReport", "Observation")
PAGE = 200


class Server:
    """A FHIR server. `token` is a bearer token, if it wants one. Numbers are read as their text (6.30)."""

    def __init__(self, base: str, token: str = "") -> None:
        self.base = base
        self._headers = {"Accept": "application/fhir+json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        """`path` is relative to the base, or absolute as in a Bundle's links."""
        url = urlsplit(path if "://" in path else f"{self.base}/{path}")
        assert url.hostname
        link = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        try:
            link.request("GET", f"{url.path}?{url.query}" if url.query else url.path, headers=self._headers)
            answer = link.getresponse()
            body = json.loads(answer.read(), parse_float=str)
            if answer.status != 200:
                raise Failed(f"GET {url.path} was answered {answer.status}")
            return body
        finally:
            link.close()

    def search(self, type: str, **parameters: str) -> Iterator[Any]:
        """Every match, page after page."""
        page = self.get(f"{type}?{urlencode({**parameters, '_count': str(PAGE)})}")
        while True:
            yield from (e["resource"] for e in page.get("entry", []))
            following = [link["url"] for link in page.get("link", []) if link["relation"] == "next"]
            if not following:
                return
            page = self.get(following[0])


def faults(engine: Server, known: Known) -> Iterator[str]:
    """What the chart says of one patient that it should not, or does not say."""
    who = known.patient
    patients = list(engine.search("Patient", identifier=who.mrn))
    current = [p for p in patients if not _replaced(p)]
    if len(current) != 1:
        yield f"chart: {who.mrn}: expected one patient, found {len(current)}"
        return
    patient = current[0]
    phones = [t.get("value") for t in patient.get("telecom", [])]
    if phones != [known.phone]:
        yield f"chart: {who.mrn}: expected the last telephone number, found another"
    yield from _visits(engine, known, patient["id"])
    yield from _results(engine, known, patient["id"])


def _replaced(patient: Mapping[str, Any]) -> bool:
    return any(link["type"] == "replaced-by" for link in patient.get("link", []))


def _visits(engine: Server, known: Known, patient: str) -> Iterator[str]:
    """Both visits are over: the clinic's came over from the second number with the merge."""
    states = sorted(e["status"] for e in engine.search("Encounter", patient=patient))
    if states != ["finished", "finished"]:
        yield f"chart: {known.patient.mrn}: expected two finished visits, found {', '.join(states) or 'none'}"


def _results(engine: Server, known: Known, patient: str) -> Iterator[str]:
    mrn = known.patient.mrn
    everything = list(engine.search("Observation", patient=patient))
    if len(everything) != known.observations:
        yield f"chart: {mrn}: expected {known.observations} observations, found {len(everything)}"
    corrected = [o for o in everything if o["status"] == "corrected"]
    values = [str(o["valueQuantity"]["value"]) for o in corrected if _code(o) == POTASSIUM_LOINC]
    if values != [known.potassium]:
        yield f"chart: {mrn}: expected the one corrected {POTASSIUM.name.lower()}, found {len(values)}"


def _code(observation: Mapping[str, Any]) -> str:
    codings = observation["code"].get("coding", [])
    return next((c["code"] for c in codings if c.get("system") == "http://loinc.org"), "")


def copied(engine: Server, warehouse: Server) -> Iterator[str]:
    """Where the warehouse, which follows the chart through its deliveries, differs from it."""
    for type in TYPES:
        ours, theirs = _contents(engine, type), _contents(warehouse, type)
        for id in sorted(ours.keys() | theirs.keys()):
            if id not in theirs:
                yield f"warehouse: it lacks {type}/{id}"
            elif ours.get(id) != theirs[id]:
                yield f"warehouse: its {type}/{id} is not the chart's"


def _contents(server: Server, type: str) -> dict[str, Any]:
    """By id, without what each server keeps for itself."""
    return {r["id"]: {k: v for k, v in r.items() if k != "meta"} for r in server.search(type)}

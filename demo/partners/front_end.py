"""The front end of the EHR: a physician signs orders, or takes one back, over the FHIR API.

`order` posts one transaction: a laboratory order, an imaging order and a prescription for one patient. accept:
that; twice: the same again under the same Idempotency-Key; error: one of the orders is of nobody, so that
none may be taken; garbage: a body that is not JSON. `cancel` reads the imaging order and revokes it.
"""

from __future__ import annotations

import http.client
import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

from demo.partners.role import options, tell

Resource = dict[str, Any]

ZONE = ZoneInfo("America/New_York")
MRN, HIS = "https://riverside.example/mrn", "https://riverside.example/his"
SCT, LOINC = "http://snomed.info/sct", "http://loinc.org"
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
UCUM = "http://unitsofmeasure.org"
NPI = "http://hl7.org/fhir/sid/us-npi"
PHYSICIAN, DRUGSTORE = (
    "urn:uuid:6f0c2b4e-4f0e-4f0b-9a70-0c8a54a2d001",
    "urn:uuid:6f0c2b4e-4f0e-4f0b-9a70-0c8a54a2d002",
)


class Answer(NamedTuple):
    """`body` is None if it is no JSON; `tag` is the ETag."""

    status: int
    body: Any
    tag: str


class Api:
    """The FHIR API at `base`, asked with a bearer token."""

    def __init__(self, base: str, token: str) -> None:
        self._url = urlsplit(base)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        link = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=60)
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            more["Content-Type"] = "application/fhir+json"
        try:
            link.request(method, f"{self._url.path}{path}", body, self._headers | more)
            answer = link.getresponse()
            text = answer.read()
        finally:
            link.close()
        return Answer(answer.status, json.loads(text or b"null"), answer.headers.get("ETag", ""))

    def only(self, type: str, **parameters: str) -> Resource:
        """The one match of a search. Ends the program if there is none or more."""
        found = self.ask("GET", f"/{type}?{urlencode(parameters)}")
        matches = [e["resource"] for e in (found.body or {}).get("entry", [])]
        if len(matches) != 1:
            sys.exit(f"{type}: expected one match, found {len(matches)} (HTTP {found.status})")
        one: Resource = matches[0]
        return one


def coded(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def numbered(kind: str, value: str) -> Resource:
    return {"type": {"coding": [{"system": V2_0203, "code": kind}]}, "system": HIS, "value": value}


def orders(patient: str, encounter: str | None, number: str, at: datetime) -> Iterator[Resource]:
    """What is signed, as the resources of one transaction; `number` tells these orders from others."""
    now = at.isoformat(timespec="seconds")
    soon = (at + timedelta(hours=1)).isoformat(timespec="seconds")
    common: Resource = {"subject": {"reference": f"Patient/{patient}"}, "requester": {"reference": PHYSICIAN}}
    common |= {"encounter": {"reference": f"Encounter/{encounter}"}} if encounter else {}
    signed = {"status": "active", "intent": "order", "authoredOn": now}
    yield {
        "resourceType": "ServiceRequest",
        "identifier": [numbered("PLAC", f"L{number}")],
        "category": [coded(SCT, "108252007", "Laboratory procedure")],
        "priority": "stat",
        "code": coded(LOINC, "24323-8", "Comprehensive metabolic panel"),
        "reasonCode": [coded("http://hl7.org/fhir/sid/icd-10-cm", "R07.9", "Chest pain, unspecified")],
        "note": [{"text": "Difficult veins; call the ward before drawing."}],
        **signed,
        **common,
    }
    yield {
        "resourceType": "ServiceRequest",
        "identifier": [numbered("PLAC", f"R{number}"), numbered("ACSN", f"A{number}")],
        "category": [coded(SCT, "363679005", "Imaging")],
        "code": coded(LOINC, "30745-4", "XR Chest Views"),
        "orderDetail": [coded("http://dicom.nema.org/resources/ontology/DCM", "CR", "Computed Radiography")],
        "occurrenceDateTime": soon,
        "reasonCode": [coded("http://hl7.org/fhir/sid/icd-10-cm", "R07.9", "Chest pain, unspecified")],
        **signed,
        **common,
    }
    yield {
        "resourceType": "MedicationRequest",
        "identifier": [{"system": HIS, "value": f"P{number}"}],
        "medicationCodeableConcept": coded(
            "http://www.nlm.nih.gov/research/umls/rxnorm", "314076", "Lisinopril 10 MG Oral Tablet"
        ),
        "dosageInstruction": [
            {
                "text": "Take 1 tablet by mouth once daily",
                "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                "route": coded(SCT, "26643006", "Oral route"),
                "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
            }
        ],
        "dispenseRequest": {
            "numberOfRepeatsAllowed": 2,
            "quantity": {"value": 30, "unit": "tablet", "system": UCUM, "code": "{tbl}"},
            "expectedSupplyDuration": {"value": 30, "unit": "days", "system": UCUM, "code": "d"},
            "performer": {"reference": DRUGSTORE},
        },
        "substitution": {"allowedBoolean": True},
        **signed,
        **common,
    }


def people() -> Iterator[tuple[str, str, Resource]]:
    """(fullUrl, If-None-Exist, resource) of who signs and who dispenses."""
    physician = {
        "resourceType": "Practitioner",
        "identifier": [{"system": NPI, "value": "1234567893"}],
        "name": [{"family": "Lindqvist", "given": ["Sara"], "prefix": ["Dr."]}],
        "telecom": [{"system": "phone", "use": "work", "value": "(555)555-0101"}],
        "address": [{"line": ["1 Riverside Dr"], "city": "Millbrook", "state": "NY", "postalCode": "12345"}],
    }
    drugstore = {
        "resourceType": "Organization",
        "identifier": [{"system": "http://terminology.hl7.org/NamingSystem/NCPDPProviderIdentificationNumber",
                        "value": "1234567"}, {"system": NPI, "value": "1098765432"}],
        "name": "Harbor Pharmacy",
        "telecom": [{"system": "phone", "use": "work", "value": "(555)555-0199"}],
        "address": [{"line": ["9 Harbor St"], "city": "Millbrook", "state": "NY", "postalCode": "12345"}],
    }  # fmt: skip
    yield PHYSICIAN, f"identifier={NPI}|1234567893", physician
    yield DRUGSTORE, f"identifier={NPI}|1098765432", drugstore


def transaction(resources: list[Resource]) -> Resource:
    """A Bundle that creates them all, or none; people who are known already are not made again."""
    entries = [_create(made, url, ifNoneExist=known) for url, known, made in people()]
    entries += [_create(made, f"urn:uuid:{uuid.uuid4()}") for made in resources]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _create(made: Resource, url: str, **conditions: str) -> Resource:
    request = {"method": "POST", "url": made["resourceType"], **conditions}
    return {"fullUrl": url, "resource": made, "request": request}


def sign(api: Api, mrn: str, visit: str, number: str, behave: str) -> int:
    """Post the orders; the exit status."""
    patient = api.only("Patient", identifier=f"{MRN}|{mrn}")
    encounter = api.only("Encounter", identifier=f"{HIS}|{visit}")["id"] if visit else None
    made = list(orders(patient["id"], encounter, number, datetime.now(ZONE)))
    if behave == "error":
        del made[-1]["subject"]
    body = json.dumps(transaction(made)).encode()
    if behave == "garbage":
        body = body[: len(body) // 2]
    key = str(uuid.uuid4())
    for _ in range(2 if behave == "twice" else 1):
        answer = api.ask("POST", "", body, Idempotency_Key=key)
        tell("front_end", status=answer.status, made=list(created(answer)), diagnostics=said(answer))
    return int(answer.status != 200)


def created(answer: Answer) -> Iterator[str]:
    """`ServiceRequest/abc/_history/1` of every entry."""
    for entry in (answer.body or {}).get("entry", []):
        yield entry.get("response", {}).get("location", "")


def said(answer: Answer) -> str:
    """Why not, in the words of the OperationOutcome."""
    issues: list[Mapping[str, Any]] = (answer.body or {}).get("issue", [])
    return "; ".join(i.get("diagnostics", i.get("code", "")) for i in issues)


def cancel(api: Api, number: str) -> int:
    """Revoke the order, but only the version that was read (If-Match)."""
    order = api.only("ServiceRequest", identifier=f"{HIS}|{number}")
    read = api.ask("GET", f"/ServiceRequest/{order['id']}")
    body = json.dumps(read.body | {"status": "revoked"}).encode()
    answer = api.ask("PUT", f"/ServiceRequest/{order['id']}", body, If_Match=read.tag)
    tell("front_end", status=answer.status, cancelled=number, diagnostics=said(answer))
    return int(answer.status != 200)


def main() -> int:
    parser = options(__doc__, "accept", "twice", "error", "garbage")
    parser.add_argument("does", choices=("order", "cancel"))
    parser.add_argument("api", help="the FHIR API: http://HOST:PORT/fhir")
    parser.add_argument("--token", required=True, help="bearer token")
    parser.add_argument("--mrn", default="", help="for whom `order` is")
    parser.add_argument("--visit", default="", help="during which visit")
    parser.add_argument("--number", required=True, help="number of the orders; of `cancel`, the order's own")
    given = parser.parse_args()
    api = Api(given.api, given.token)
    if given.does == "cancel":
        return cancel(api, given.number)
    return sign(api, given.mrn, given.visit, given.number, given.behave)


if __name__ == "__main__":
    sys.exit(main())

"""What became of writes, as a client is told (http://hl7.org/fhir/R4/http.html#transaction-response)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from formats import fhir
from store.identity import fhir_id
from store.resource import instant


class Answer(NamedTuple):
    """What became of one write. `version` 0: nothing is there (deleted, or never was)."""

    status: str
    type: str
    key: bytes | None
    version: int = 0
    updated: int = 0


def reply(answers: Sequence[Answer]) -> bytes:
    """A transaction-response (R4 http.html#transaction-response)."""
    return fhir.encode(
        {"resourceType": "Bundle", "type": "transaction-response", "entry": [_entry(a) for a in answers]}
    )


def _entry(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"status": answer.status}
    if answer.key is not None and answer.version:
        response["location"] = f"{answer.type}/{fhir_id(answer.key)}/_history/{answer.version}"
        response["etag"] = f'W/"{answer.version}"'
        response["lastModified"] = instant(answer.updated)
    return {"response": response}

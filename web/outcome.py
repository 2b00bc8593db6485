"""OperationOutcome: how every refusal is said (FHIR R4, clause 3.1.0.1.3). Never a value of the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from formats import fhir

MEDIA_TYPE = "application/fhir+json"


def outcome(
    status: int,
    code: str,
    text: str,
    *,
    place: str = "",
    headers: Mapping[str, str] | None = None,
    severity: str = "error",
) -> Response:
    """A refusal. `code` is of http://hl7.org/fhir/issue-type; `place` names the element or parameter at fault."""
    issue = {"severity": severity, "code": code, "diagnostics": text}
    told = {**issue, "expression": [place]} if place else issue
    return outcomes(status, [told], headers)


def outcomes(
    status: int, issues: Sequence[Mapping[str, Any]], headers: Mapping[str, str] | None = None
) -> Response:
    """Several issues at once."""
    body = fhir.encode({"resourceType": "OperationOutcome", "issue": list(issues)})
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, MEDIA_TYPE)

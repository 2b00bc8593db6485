"""What the intake said of a write, as an answer: the reason of a refusal -> status and OperationOutcome."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from starlette.responses import Response

from engine.message import Receipt, Refused, Unavailable
from store.reason import Reason
from web.outcome import outcome

_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]")
# The reason of a refusal -> status and issue type (http://hl7.org/fhir/issue-type).
STATUS: Mapping[str, tuple[int, str]] = {
    "not-json": (400, "structure"),
    "not-fhir": (400, "structure"),
    "truncated": (400, "structure"),
    "mismatch": (400, "invalid"),
    "duplicate": (400, "duplicate"),
    "not-found": (404, "not-found"),
    "unknown-type": (404, "not-supported"),
    "not-allowed": (405, "not-supported"),
    "conflict": (409, "conflict"),
    "contested-identifier": (409, "conflict"),
    "other-patient": (409, "conflict"),
    "gone": (410, "deleted"),
    "precondition": (412, "conflict"),
    "too-long": (413, "too-long"),
    "media-type": (415, "not-supported"),
    "invalid": (422, "invalid"),
    "not-supported": (422, "not-supported"),
    "future-time": (422, "invalid"),
    "defect": (500, "exception"),
    "not-filed": (500, "exception"),
}


def refused(receipt: Receipt, where: Callable[[str], str] = str) -> Response:
    """The answer to what was not done. `where` is a place in our Bundle -> the place in what the client sent."""
    match receipt:
        case Refused(reason):
            return said(replace(reason, place=where(reason.place)))
        case Unavailable(reason):
            return outcome(503, "transient", reason.text, headers={"retry-after": "5"})
    return outcome(500, "exception", "whether it was stored is not known; read before you try again")


def alone(type: str) -> Callable[[str], str]:
    """For a client that sent one resource, and no Bundle."""

    def where(place: str) -> str:
        if (match := _ENTRY.match(place)) is None:
            return place
        inside, _, rest = place[match.end() :].partition(".resource")
        return "" if inside or not rest else type + rest

    return where


def among(positions: Sequence[int]) -> Callable[[str], str]:
    """For a client whose Bundle had our entries at these positions."""

    def where(place: str) -> str:
        return _ENTRY.sub(lambda match: f"Bundle.entry[{positions[int(match[1])]}]", place)

    return where


def said(reason: Reason) -> Response:
    """A refusal of the content as the client must hear it."""
    status, code = STATUS.get(reason.code, (422, "processing"))
    return outcome(status, code, reason.text, place=reason.place)

"""What an HTTP answer means for a delivery (RFC 9110, section 15; FHIR R4 http.html#transaction-response).

Everything that an answer says is looked up in one table: the status, the statuses of the entries of a FHIR
transaction or batch response, and MSA-1 of an HL7 v2 acknowledgement. The worst of them is the outcome.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal, NamedTuple

from engine.message import Delivered, Outcome, Rejected, Retry, Unknown
from formats import hl7v2
from formats.reason import Reason

Meaning = Literal["delivered", "retry", "unknown", "rejected"]

ANSWERS: Mapping[str, Meaning] = {
    "2xx": "delivered",
    "3xx": "retry",  # not followed: a message goes where the settings say, or nowhere
    "4xx": "rejected",
    "401": "retry",  # our credentials, not the content
    "407": "retry",
    "408": "retry",  # the request never arrived whole
    "425": "retry",
    "429": "retry",
    "5xx": "unknown",  # 500, 502, 504: it may have been taken before things went wrong
    "501": "rejected",
    "503": "retry",
    "505": "rejected",
    "507": "retry",
    "511": "retry",
    "AA": "delivered",
    "CA": "delivered",
    "AE": "retry",  # many say it while their own systems are down
    "CE": "retry",
    "AR": "rejected",
    "CR": "rejected",
}
"""`retry` only where the answer says that nothing was taken (MSA-1: table 0008)."""

KEY = re.compile(r"[1-5](\d\d|xx)|[AC][AER]")
_WORST: tuple[Meaning, ...] = ("rejected", "unknown", "retry", "delivered")
_PHRASES = {str(int(s)): s.phrase for s in HTTPStatus}
_ISSUE = re.compile(r"[a-z-]{1,40}")


class Said(NamedTuple):
    """One thing that an answer says; `place` is where in the answer's body."""

    code: str
    place: str = ""


def outcome(status: int, reply: bytes, control: bytes, answers: Mapping[str, Meaning]) -> Outcome:
    """`control`: MSH-10 of what was sent, b"" if it was not HL7 v2; `answers` goes before ANSWERS."""
    content = _json(reply)
    msa = _msa(reply)
    if msa and control and msa.field(2) != control:
        return Unknown(Reason("other-control-id", "the acknowledgement is for another message", "MSA-2"))
    said = [Said(str(status)), *_entries(content)]
    if msa:
        said.append(Said(msa.field(1).decode("ascii", "replace"), "MSA-1"))
    judged = [(_judge(s, answers), s) for s in said]
    meaning, worst = min(judged, key=lambda pair: _WORST.index(pair[0]))
    reason = _reason(worst, content)
    match meaning:
        case "delivered":
            return Delivered(reply)
        case "rejected":
            return Rejected(reason, reply)
        case "retry":
            return Retry(reason)
        case "unknown":
            return Unknown(reason)


def _json(reply: bytes) -> dict[str, Any]:
    try:
        content = json.loads(reply) if reply.lstrip()[:1] == b"{" else {}
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _msa(reply: bytes) -> hl7v2.Segment | None:
    """The MSA segment, if the answer is an HL7 v2 acknowledgement."""
    if reply.lstrip()[:3] != b"MSH":
        return None
    message = hl7v2.parse(reply, charset="ISO-8859-1")
    return None if isinstance(message, Reason) else message.first("MSA")


def _entries(content: dict[str, Any]) -> Iterator[Said]:
    """The entries that failed, of a Bundle of responses."""
    entries = content.get("entry")
    if not isinstance(entries, list) or content.get("type") not in ("transaction-response", "batch-response"):
        return
    for index, entry in enumerate(entries):
        response = entry.get("response") if isinstance(entry, dict) else None
        status = str(response.get("status", ""))[:3] if isinstance(response, dict) else ""
        if status >= "400":
            yield Said(status, f"Bundle.entry[{index}].response")


def _judge(said: Said, answers: Mapping[str, Meaning]) -> Meaning:
    keys = (said.code, f"{said.code[:1]}xx")
    found = (table[key] for table in (answers, ANSWERS) for key in keys if key in table)
    meaning: Meaning = next(found, "unknown")
    # Other entries of the same Bundle may have been taken, so one entry never proves that nothing was.
    return "unknown" if said.place.startswith("Bundle") and meaning == "retry" else meaning


def _reason(said: Said, content: dict[str, Any]) -> Reason:
    """Codes only: what partners write in words may hold anything."""
    if said.code in _PHRASES:
        text = f"answered {said.code} {_PHRASES[said.code]}{_issues(content)}"
        return Reason(f"http-{said.code}", text, said.place)
    if KEY.fullmatch(said.code):
        name = f"http-{said.code}" if said.code.isdigit() else f"ack-{said.code.lower()}"
        return Reason(name, f"answered {said.code}", said.place)
    return Reason("unknown-answer", "answered with a code that is in no table", said.place)


def _issues(content: dict[str, Any]) -> str:
    """The issue types of an OperationOutcome (R4 issue-type: words in lower case), to tell 422s apart."""
    issues = content.get("issue")
    codes = [str(i.get("code")) for i in issues if isinstance(i, dict)] if isinstance(issues, list) else []
    known = [c for c in codes if _ISSUE.fullmatch(c)][:3]
    return f" ({', '.join(known)})" if known else ""

"""What a receiver calls things: authorities, coding systems, moments of time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from engine.plugin import Feed
from store.identity import Authority
from transforms.fhir_to_hl7v2.maps import assigners
from transforms.fhir_to_hl7v2.path import Follow
from transforms.hl7v2_to_fhir.concept import name_of

_V2 = "http://terminology.hl7.org/CodeSystem/v2-"
_OURS = ("urn:chartwire:codesystem:", "urn:chartwire:authority:")
"""What hl7v2_to_fhir makes of a name without a uri."""


class Names:
    """`called`: authority -> its name at the receiver. `follow`: a Reference -> its resource.

    `faults` gathers the codes of what could not be written; whoever asks for it knows the place.
    """

    def __init__(self, feed: Feed, called: Mapping[str, str], follow: Follow) -> None:
        self._feed = feed
        self._called = called
        self.follow = follow
        self.faults: list[str] = []

    def authority(self, identifier: Mapping[str, Any]) -> Authority | None:
        return self._feed.identity.authority([identifier.get("system", "")])

    def of_patient(self, identifier: Mapping[str, Any]) -> Authority | None:
        """Who gave the patient's number: the feed's own authority where the number does not say."""
        return self.authority(identifier) if identifier.get("system") else self._feed.authority

    def assigner(self, identifier: Mapping[str, Any]) -> tuple[str, ...]:
        """HD (2.A.33): the receiver's name of the authority, else the one by which it came, else our own."""
        system = identifier.get("system", "")
        if known := self.authority(identifier):
            return (self._called.get(known.name) or self._as_it_came(identifier, known) or known.name,)
        for start, kind in (("urn:oid:", "ISO"), ("urn:uuid:", "UUID")):
            if system.startswith(start):
                return "", system.removeprefix(start), kind
        if system.startswith(_OURS):
            return (unquote(system.rpartition(":")[2]),)
        return assigners().get(system) or (("", system, "URI") if system else ())

    def _as_it_came(self, identifier: Mapping[str, Any], known: Authority) -> str:
        name = identifier.get("assigner", {}).get("display", "")
        return name if name and self._feed.identity.authority([name]) == known else ""

    def coding(self, system: str) -> str:
        """CWE.3: the name in table 0396, else an OID, else the uri as it is."""
        if system.startswith(_V2):
            return f"HL7{system.removeprefix(_V2)}"
        if system.startswith(_OURS):
            return unquote(system.rpartition(":")[2])
        return name_of(system).removeprefix("urn:oid:")

    def moment(self, text: Any) -> str:
        """DTM in the feed's time zone with its offset, as precise as it was but for 4 decimals (2.A.22).

        A date stays the date that it is. What is no FHIR date or dateTime is a fault.
        """
        try:
            if len(text) <= 10:
                return _date(text)
            at = datetime.fromisoformat(text).astimezone(self._feed.timezone)
        except (ValueError, OverflowError, TypeError):
            self.faults.append("invalid-date")
            return ""
        fraction = f".{at.microsecond // 100:04}" if at.microsecond else ""
        return f"{at:%Y%m%d%H%M%S}{fraction}{_offset(at)}"


def _date(text: str) -> str:
    """YYYY, YYYY-MM or YYYY-MM-DD."""
    datetime.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) in (4, 7) else text)
    return text.replace("-", "")


def _offset(at: datetime) -> str:
    """To the minute: before standard time, zones had seconds, which HL7 cannot write."""
    return f"{at:%z}"[:5]

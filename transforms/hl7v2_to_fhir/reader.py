"""How the bytes of one message are read: delimiters, character set, time zone, authorities."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from engine.plugin import Feed
from formats import hl7v2
from store.reason import Reason

NULL = b'""'
"""HL7's explicit null as it stands in the message (2.5.3)."""

_NEVER = b"\r"  # stands for a delimiter that the message does not have: no segment holds it


class Reader:
    """`group` are the segments that belong together just now, by name; a condition looks them up there.

    `delimiters[n]` splits what stands n levels below a repetition. `faults` gathers what could not be read;
    whoever runs a segment's rules finds out where, and adds to `reasons`. `units` are those already read.
    """

    __slots__ = (
        "delimiters",
        "escape",
        "faults",
        "feed",
        "group",
        "message",
        "reasons",
        "repetition",
        "units",
        "zone",
    )

    def __init__(self, message: hl7v2.Message, feed: Feed) -> None:
        separators = message.separators
        self.message = message
        self.feed = feed
        self.zone = feed.timezone
        self.escape = separators.escape
        self.repetition = separators.repetition or _NEVER
        self.delimiters = (separators.component or _NEVER, separators.subcomponent or _NEVER, _NEVER)
        self.group: dict[str, hl7v2.Segment] = {}
        self.faults: list[str] = []
        self.reasons: list[Reason] = []
        self.units: dict[bytes, dict[str, str]] = {}

    def text(self, leaf: bytes) -> str:
        """The text of a leaf without the blanks around it. Raises hl7v2.Undecodable."""
        if self.escape in leaf or not leaf.isascii():
            return printable(self.message.text(leaf)).strip()
        text = leaf.decode().strip()
        return text if text.isprintable() else printable(text)

    def first(self, raw: bytes) -> bytes:
        """The first subcomponent of the first component: all that a simple type has."""
        component, subcomponent, _ = self.delimiters
        if component in raw:
            raw = raw.split(component, 1)[0]
        return raw.split(subcomponent, 1)[0] if subcomponent in raw else raw

    def time(self, leaf: bytes) -> hl7v2.Timestamp | None:
        """A DT, TS or DTM in the feed's time zone. One that is no date is a fault."""
        text = self.text(leaf if leaf.isdigit() else self.first(leaf))
        if not text:
            return None
        found = hl7v2.timestamp(text, self.zone)
        if found is None:
            self.faults.append("invalid-date")
        return found

    def field(self, segment: str, number: int) -> bytes:
        """A field of the group's segment of that name; empty if it is absent, empty or null."""
        found = self.group.get(segment)
        if found is None:
            return b""
        fields = found.fields
        raw = fields[number] if number < len(fields) else b""
        return b"" if raw == NULL else raw

    def authority(self, namespace: str, universal: str, kind: str) -> str | None:
        """The system of identifiers that the authority (HD: HD.1, HD.2, HD.3) assigns, as a uri."""
        known = self.feed.identity.authority((namespace, universal))
        return known.namespace if known else _system(namespace, universal, kind)


def printable(text: str) -> str:
    """FHIR strings hold no other control characters than tab and line ends (R4 2.24.0.1)."""
    return text if text.isprintable() else "".join(c for c in text if c >= " " or c in "\t\n\r")


@lru_cache(maxsize=4096)
def _system(namespace: str, universal: str, kind: str) -> str | None:
    if universal and (kind == "ISO" or (not kind and is_oid(universal))):
        return f"urn:oid:{quote(universal)}"
    if universal and kind in ("UUID", "GUID"):
        return f"urn:uuid:{quote(universal.lower())}"
    if universal and is_uri(universal):
        return universal
    name = namespace or universal
    return f"urn:chartwire:authority:{quote(name, safe='')}" if name else None


def is_oid(text: str) -> bool:
    return text.replace(".", "").isdigit() and text.isascii() and text.count(".") > 2


def is_uri(text: str) -> bool:
    """Whether the text can stand where FHIR wants a uri: absolute and without blanks."""
    return (text.startswith("urn:") or "://" in text) and len(text.split()) == 1

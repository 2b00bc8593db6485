"""Where references lead, once it is known which resources the entries are (R4 http.html#trules)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from store.identity import fhir_id, key_of
from store.reason import Reason
from transforms.fhir_to_chart.entry import Entry

Names = Mapping[str, tuple[str, bytes]]
"""A name of an entry -> the reference and the key of what it stands for."""
LINKS = frozenset({"reference", "url", "uri", "valueUri", "valueUrl"})
"""Elements that can hold the fullUrl of another entry."""
_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?.+")
_ADDRESS = re.compile(r"https?://.+/([A-Z][A-Za-z]+/([A-Za-z0-9.-]{1,64})(?:/_history/\d+)?)")


def names(entries: Sequence[Entry], keys: Sequence[bytes | None]) -> Names | Reason:
    """By fullUrl, and by what is relative to it where only one entry can be meant."""
    found: dict[str, tuple[str, bytes]] = {}
    short: dict[str, list[tuple[str, bytes]]] = {}
    for entry, key in zip(entries, keys, strict=True):
        if not entry.full_url or key is None:
            continue
        if entry.full_url in found:
            return Reason("duplicate", "another entry has the same fullUrl", f"{entry.place}.fullUrl")
        found[entry.full_url] = target = (f"{entry.type}/{fhir_id(key)}", key)
        if address := _ADDRESS.fullmatch(entry.full_url):
            short.setdefault(address[1], []).append(target)
    return {**{name: targets[0] for name, targets in short.items() if len(targets) == 1}, **found}


@dataclass(slots=True)
class Led:
    """The references of one resource, as they were led: `asked` must be looked for by conditions, `refers` are the
    keys of entries, `lost` is a promise that no entry keeps."""

    names: Names
    asked: list[str] = field(default_factory=list)
    refers: list[bytes] = field(default_factory=list)
    lost: bool = False

    def lead(self, value: Any) -> Any:
        """The same value, with its references where they belong."""
        if isinstance(value, Mapping):
            return dict(self._members(value))
        return [self.lead(each) for each in value] if isinstance(value, list) else value

    def _members(self, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, member in value.items():
            if name not in LINKS or not isinstance(member, str):
                yield name, self.lead(member)
            elif member in self.names:
                reference, key = self.names[member]
                self.refers.append(key)
                yield name, reference
            else:
                yield name, self._reference(member) if name == "reference" else member

    def _reference(self, text: str) -> str:
        if _CONDITIONAL.fullmatch(text):
            self.asked.append(text)
        self.lost |= text.startswith(("urn:uuid:", "urn:oid:"))
        address = _ADDRESS.fullmatch(text)
        return address[1] if address and key_of(address[2]) else text  # ids are ours wherever they are read

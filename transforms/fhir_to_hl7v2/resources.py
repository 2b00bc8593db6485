"""The resources of a bundle, and what their references mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Resource = Mapping[str, Any]


class Resources:
    """A Bundle whose first entry is the resource that the message is about."""

    def __init__(self, bundle: Mapping[str, Any]) -> None:
        entries = [e for e in bundle.get("entry", ()) if "resource" in e]
        self.first: Resource = entries[0]["resource"] if entries else {}
        self._known: dict[str, Resource] = {f"#{r.get('id')}": r for r in self.first.get("contained", ())}
        for entry in entries:
            resource = entry["resource"]
            self._known[f"{resource.get('resourceType')}/{resource.get('id')}"] = resource
            self._known[entry.get("fullUrl", "")] = resource

    def follow(self, value: Any) -> Any:
        """The resource that a Reference means; what is no Reference, and one that dangles, as it is."""
        if isinstance(value, Mapping) and (url := value.get("reference")):
            return self._known.get(url.partition("/_history/")[0], value)
        return value

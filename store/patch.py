"""JSON Patch (RFC 6902) on a resource."""

from __future__ import annotations

from typing import Any

from formats import fhir
from store.reason import Reason


def patched(resource: dict[str, Any], patch: bytes, place: str) -> dict[str, Any] | Reason:
    """The resource after the patch, or why there is none. What a resource is cannot be patched."""
    import jsonpatch

    try:
        made = jsonpatch.JsonPatch(fhir.decode(patch)).apply(resource)
    except jsonpatch.JsonPatchTestFailed:
        return Reason("precondition", "a test of the patch failed", place)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, ValueError, TypeError, KeyError):
        return Reason("invalid", "the patch cannot be applied to the resource", place)
    same = isinstance(made, dict) and all(made.get(k) == resource[k] for k in ("resourceType", "id"))
    return made if same else Reason("invalid", "a patch cannot change what a resource is", place)

"""JSON Schema of the files, for editors, from the same signatures that read them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, get_args

from engine.alerts.settings import AlertsFile
from engine.config.cases import CasesFile
from engine.config.files import (
    PARTNER_KEYS,
    AuthoritiesFile,
    ChannelFile,
    Expected,
    Gathered,
    PartnerSettings,
    RoutesFile,
)
from engine.config.pick import format_parsers
from engine.config.read import adapters
from engine.config.signature import REQUIRED, settings_of
from engine.plugin import registered
from engine.settings import Written

Schema = dict[str, Any]
FILES: Mapping[str, Callable[..., Any]] = {
    "channel": ChannelFile,
    "routes": RoutesFile,
    "authorities": AuthoritiesFile,
    "alerts": AlertsFile,
    "test": CasesFile,
}


def schema(file: str) -> Schema:
    """The schema of one kind of file: channel, routes, authorities, test."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_settings(FILES[file]),
        "$defs": {
            "source": _one_key(registered("source")),
            "transform": _one_key(registered("transform")),
            "splitter": _one_key(registered("splitter")),
            "answer": _one_key(registered("answer")),
            "gatherer": _one_key(registered("gatherer")),
            "format": _one_key(format_parsers()),
            "destination": _destination(),
            "Expected": _settings(Expected),
            "Gathered": _settings(Gathered),
            **{cls.__name__: _settings(cls) for cls in _classes(FILES[file])},
        },
    }


def _settings(thing: Callable[..., Any]) -> Schema:
    settings = settings_of(thing)
    return {
        "type": "object",
        "description": (thing.__doc__ or "").strip(),
        "properties": {s.name: _documented(adapters(thing)[s.name].json_schema(), s.doc) for s in settings},
        "required": [s.name for s in settings if s.default is REQUIRED],
        "additionalProperties": False,
    }


def _documented(found: Schema, doc: str) -> Schema:
    found = _resolved(found)
    if found.get("type") in ("integer", "number", "boolean"):
        found = {"anyOf": [found, {"type": "string", "pattern": r"\$\{"}]}
    return {**found, "description": doc} if doc else found


def _resolved(found: Any) -> Any:
    if isinstance(found, list):
        return [_resolved(item) for item in found]
    if not isinstance(found, dict):
        return found
    if name := found.get("x-def"):
        return {"$ref": f"#/$defs/{name}"}
    return {key: _resolved(value) for key, value in found.items()}


def _one_key(known: Mapping[str, Callable[..., Any]]) -> Schema:
    """`name` where nothing must be set, or `{name: {settings}}`."""
    bare = [name for name, thing in known.items() if not _settings(thing)["required"]]
    return {"anyOf": [{"enum": bare}, _exactly_one({name: _settings(t) for name, t in known.items()})]}


def _exactly_one(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": {name: {"anyOf": [s, {"type": "null"}]} for name, s in properties.items()},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _destination() -> Schema:
    types = {name: _settings(thing) for name, thing in registered("destination").items()}
    beside = _settings(PartnerSettings)["properties"]
    return {
        "type": "object",
        "properties": {**types, **{key: beside[key] for key in PARTNER_KEYS}},
        "additionalProperties": False,
        "oneOf": [{"required": [name]} for name in types],
    }


def _classes(thing: Callable[..., Any]) -> Iterator[type]:
    """Every dataclass that the settings of a file, of its plugins and of those are made of."""
    roots = [thing, PartnerSettings, *registered("source").values(), *registered("destination").values()]
    found: dict[type, None] = {}
    steps = (registered(kind).values() for kind in ("transform", "splitter", "answer", "gatherer"))
    for root in [*roots, *itertools.chain.from_iterable(steps)]:
        for setting in settings_of(root):
            _collect(setting.annotation, found)
    yield from found


def _collect(annotation: Any, found: dict[type, None]) -> None:
    if any(isinstance(m, Written) for m in getattr(annotation, "__metadata__", ())):
        return
    if isinstance(annotation, type) and is_dataclass(annotation) and not hasattr(annotation, "written"):
        if annotation not in found:
            found[annotation] = None
            for setting in settings_of(annotation):
                _collect(setting.annotation, found)
        return
    for inner in get_args(annotation):
        _collect(inner, found)

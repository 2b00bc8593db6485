"""What is installed, with its settings and documentation: `chartwire list`."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from engine.config.pick import format_parsers
from engine.config.signature import REQUIRED, Setting, settings_of
from engine.plugin import registered
from engine.settings import Written

KINDS = ("sources", "destinations", "transforms", "formats", "splitters", "gatherers", "answers")


def describe(kind: str) -> list[dict[str, Any]]:
    """By name: `name`, `doc`, and of each of its `settings` name, type, required, default (JSON) and doc."""
    known = format_parsers() if kind == "formats" else registered(kind.removesuffix("s"))
    return [
        {"name": name, "doc": inspect.getdoc(thing) or "", "settings": _settings(thing)}
        for name, thing in known.items()
    ]


def _settings(thing: Callable[..., Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": s.name,
            "type": type_name(s.annotation),
            "required": s.default is REQUIRED,
            "default": None if s.default is REQUIRED else _default(s),
            "doc": s.doc,
        }
        for s in settings_of(thing)
    ]


_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true | false",
    Any: "anything",
}


def type_name(annotation: Any) -> str:
    """A type as it is written in YAML: `text`, `list of text`, `keep | worklist`, `duration`."""
    origin, inner = (
        get_origin(annotation),
        [a for a in get_args(annotation) if a not in (..., types.NoneType)],
    )
    if written := _written(annotation):
        return written.title
    if origin is Annotated:
        return type_name(inner[0])
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (Union, types.UnionType):
        return " or ".join(map(type_name, inner))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{type_name(inner[0])}: {type_name(inner[1])}"
    if isinstance(origin, type):
        return f"list of {type_name(inner[0])}" if inner else "list"
    return _WORDS.get(annotation) or getattr(annotation, "__name__", str(annotation)).lower()


def _written(annotation: Any) -> Written | None:
    found = (*getattr(annotation, "__metadata__", ()), getattr(annotation, "written", None))
    return next((m for m in found if isinstance(m, Written)), None)


def _default(setting: Setting) -> Any:
    value, kind = setting.default, type_name(setting.annotation)
    if kind.startswith("duration") and isinstance(value, (int, float)):
        return _duration(value)
    if kind.startswith("size") and isinstance(value, int):
        return _size(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(k): str(v) for k, v in value.items()}
    return [str(v) for v in value] if isinstance(value, (list, tuple, frozenset)) else str(value)


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds * 1000:g}ms"


def _size(size: int) -> str:
    for unit, length in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if size >= length and size % length == 0:
            return f"{size // length}{unit}"
    return f"{size}B"


def show(kind: str, *, as_json: bool = False) -> str:
    """For people, or one JSON object per line."""
    described = describe(kind)
    if as_json:
        return "\n".join(json.dumps(entry, ensure_ascii=False) for entry in described)
    return "\n\n".join(map(text, described))


def text(entry: Mapping[str, Any]) -> str:
    """One entry of `describe` for people."""
    doc = [f"    {line}".rstrip() for line in entry["doc"].splitlines()]
    return "\n".join([entry["name"], *doc, *(_line(s) for s in entry["settings"])])


def _line(setting: Mapping[str, Any]) -> str:
    default = "required" if setting["required"] else f"default {_shown(setting['default'])}"
    doc = f": {setting['doc']}" if setting["doc"] else ""
    return f"      {setting['name']} ({setting['type']}; {default}){doc}"


def _shown(value: Any) -> str:
    if value is None or value in ("", {}, []):
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)

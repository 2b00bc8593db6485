"""The signature is the schema: what may be set of a plugin, read from its dataclass fields or keyword-only
parameters. The lint, `chartwire list` and the editor's schema all start here.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, NamedTuple

REQUIRED: Any = object()


class Setting(NamedTuple):
    """One setting of a plugin as its signature declares it. `name` is the key in YAML."""

    name: str
    annotation: Any
    default: Any
    doc: str
    argument: str


@functools.cache
def settings_of(thing: Callable[..., Any]) -> tuple[Setting, ...]:
    """What may be set. A trailing underscore keeps a key such as `from` apart from Python's own word."""
    hints = typing.get_type_hints(thing, include_extras=True)
    return tuple(
        Setting(name.rstrip("_"), hints.get(name, Any), default, _doc(hints.get(name)), name)
        for name, default in _declared(thing)
        if not name.startswith("_")
    )


def _declared(thing: Callable[..., Any]) -> list[tuple[str, Any]]:
    if is_dataclass(thing):
        return [(f.name, _default(f)) for f in fields(thing) if f.init]
    parameters = inspect.signature(thing).parameters.values()
    keyword = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return [(p.name, REQUIRED if p.default is p.empty else p.default) for p in keyword]


def _default(field: Any) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return REQUIRED if field.default is MISSING else field.default


def _doc(annotation: Any) -> str:
    return next((m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, str)), "")

"""The signature is the schema: settings are the fields of a dataclass or the keyword-only parameters of a
function, each read by its annotation, so that one wrong setting hides no other.
"""

from __future__ import annotations

import functools
import inspect
import operator
import pathlib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from engine.config.variables import is_secret
from engine.fault import Fault, Wrong, nearest
from engine.settings import Secret, Site, Written

REQUIRED: Any = object()


class Setting(NamedTuple):
    """One setting of a plugin as its signature declares it. `name` is the key in YAML."""

    name: str
    annotation: Any
    default: Any
    doc: str
    argument: str


class Reading(NamedTuple):
    """The settings that could be read, by argument name, and what is wrong with the others."""

    values: dict[str, Any]
    faults: list[Fault]


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


def read(thing: Callable[..., Any], data: Any, site: Site) -> Reading:
    """The settings of `thing` in `data` (None: there are none), with every fault in them."""
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        return Reading({}, [Fault("wrong-type", "settings are `key: value` lines", _example(thing))])
    known = {s.name: s for s in settings_of(thing)}
    faults = [
        Fault(
            "unknown-key",
            f'no setting "{key}"',
            nearest(str(key), known) or "leave it out",
            (key,),
            key=True,
        )
        for key in data
        if key not in known
    ]
    values: dict[str, Any] = {}
    for setting in known.values():
        _one(thing, setting, data, site, values, faults)
    return Reading(values, faults)


def _one(
    thing: Callable[..., Any],
    setting: Setting,
    data: Mapping[str, Any],
    site: Site,
    values: dict[str, Any],
    faults: list[Fault],
) -> None:
    if setting.name not in data:
        if setting.default is REQUIRED:
            hint = f"add {setting.name}: ..." + (f", {setting.doc}" if setting.doc else "")
            faults.append(Fault("missing-setting", f'"{setting.name}" is missing', hint, key=True))
        return
    try:
        value = adapters(thing)[setting.name].validate_python(data[setting.name], context=site)
    except ValidationError as bad:
        faults.extend(fault.below(setting.name) for fault in _faults(bad, setting, data[setting.name]))
        return
    if isinstance(data[setting.name], bool) and type(value) in (int, float):  # pydantic takes true for 1
        faults.append(
            Fault("wrong-type", f'"{setting.name}" should be a number', setting.doc, (setting.name,))
        )
    kept = _kept(value, data[setting.name])
    values[setting.argument] = site.directory / kept if isinstance(kept, pathlib.Path) else kept


def _kept(value: Any, data: Any) -> Any:
    """What was a secret before it was validated stays one."""
    if isinstance(data, Secret) and isinstance(value, str):
        return Secret(value)
    if isinstance(data, Mapping) and type(value) is dict:
        return {key: _kept(v, data.get(key)) for key, v in value.items()}
    if isinstance(data, list) and type(value) in (list, tuple):
        return type(value)(_kept(v, d) for v, d in zip(value, data, strict=True))
    return value


@functools.cache
def adapters(thing: Callable[..., Any]) -> Mapping[str, TypeAdapter[Any]]:
    """What validates each setting, by name."""
    config = ConfigDict(coerce_numbers_to_str=True, arbitrary_types_allowed=True)
    return {s.name: TypeAdapter(nested(s.annotation), config=config) for s in settings_of(thing)}


def nested(annotation: Any) -> Any:
    """The annotation with every dataclass in it read by `read`, so that its faults are located too."""
    if isinstance(written := getattr(annotation, "written", None), Written):
        return Annotated[Any, written]
    if isinstance(annotation, type) and is_dataclass(annotation):
        return Annotated[Any, Written(_dataclass(annotation), {"type": "object"}, annotation.__name__)]
    origin = get_origin(annotation)
    if origin is Annotated:
        kind, *rest = get_args(annotation)
        written = next((m for m in rest if isinstance(m, Written)), None)
        return Annotated[Any, written] if written else nested(kind)
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, [nested(a) for a in get_args(annotation)])
    if origin in (list, tuple, dict, frozenset, Mapping, Sequence):
        return origin[tuple(a if a is ... else nested(a) for a in get_args(annotation))]
    return annotation


def _dataclass(cls: Callable[..., Any]) -> Callable[[Any, Site], Any]:
    def reader(value: Any, site: Site) -> Any:
        return made(cls, value, site)

    return reader


def made(cls: Callable[..., Any], data: Any, site: Site) -> Any:
    """The object that these settings describe; Wrong with every fault."""
    values, faults = read(cls, data, site)
    if faults:
        raise Wrong(*faults)
    try:
        return cls(**values)
    except ValueError as bad:
        raise (bad if isinstance(bad, Wrong) else Wrong(Fault("wrong-value", str(bad)))) from None


def _example(thing: Callable[..., Any]) -> str:
    names = [s.name for s in settings_of(thing)]
    return f"it takes: {', '.join(names)}" if names else "it takes no settings"


def _faults(bad: ValidationError, setting: Setting, data: Any) -> list[Fault]:
    """Pydantic's errors in our words. Of the branches of a union the one that got furthest speaks."""
    found: list[Fault] = []
    for e in bad.errors(include_url=False):
        found.extend(_fault(e, setting, data))
    branches = {f.at for f in found}
    deepest = [f for f in found if not any(len(o) > len(f.at) and o[: len(f.at)] == f.at for o in branches)]
    return _joined(deepest)


def _fault(e: ErrorDetails, setting: Setting, data: Any) -> list[Fault]:
    at = _way(e["loc"], data)
    wrong = e.get("ctx", {}).get("error")
    if isinstance(wrong, Wrong):
        return [f.below(*at) for f in wrong.faults]
    said = _plain(e["msg"]) if wrong is None else str(wrong)
    if e["type"] == "literal_error":
        expected = e["ctx"]["expected"].replace("'", "")
        choice = nearest(str(e["input"]), expected.replace(" or ", ", ").split(", "))
        return [Fault("wrong-value", f'"{setting.name}" should be {expected}', choice, at)]
    return [Fault("wrong-type", f'"{setting.name}" {said}{_not(e["input"], setting)}', setting.doc, at)]


_WORDS = {
    "a valid integer": "a whole number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid tuple": "a list",
    "a valid dictionary": "a mapping",
    "a valid": "a",
}


def _plain(message: str) -> str:
    """Pydantic's sentence in the words of YAML."""
    said = message.removeprefix("Input ").split(",")[0]
    return next((said.replace(old, new) for old, new in _WORDS.items() if old in said), said)


def _not(value: Any, setting: Setting) -> str:
    """What was there instead, unless it is a secret or long."""
    if isinstance(value, (list, Mapping)):
        return ", not a list" if isinstance(value, list) else ", not a mapping"
    if value is None:
        return ", not nothing"
    if is_secret(setting.name) or not isinstance(value, (str, int, Decimal)) or len(str(value)) > 40:
        return ""
    return f', not "{value}"'


def _way(loc: tuple[str | int, ...], data: Any) -> tuple[str | int, ...]:
    """The part of pydantic's location that is in the data: names of union branches are left out."""
    at: list[str | int] = []
    for step in loc:
        if _has(data, step):
            data = data[step]
            at.append(step)
    return tuple(at)


def _has(data: Any, step: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(step, int) and step < len(data)
    return isinstance(data, Mapping) and step in data


def _joined(faults: list[Fault]) -> list[Fault]:
    """One fault per place: the branches of a union are one question."""
    found: dict[tuple[object, ...], Fault] = {}
    for fault in faults:
        key = (fault.at, fault.code) if fault.code == "wrong-type" else fault
        found.setdefault(key, fault)
    return list(found.values())

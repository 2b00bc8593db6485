"""Settings are read by the signature of what they are for, each by its annotation: one wrong setting hides no
other.
"""

from __future__ import annotations

import functools
import operator
import pathlib
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from engine.config.faults import faults_of
from engine.config.signature import REQUIRED, Setting, settings_of
from engine.fault import Fault, Wrong, nearest
from engine.settings import Secret, Site, Written


class Reading(NamedTuple):
    """The settings that could be read, by argument name, and what is wrong with the others."""

    values: dict[str, Any]
    faults: list[Fault]


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
        faults.extend(fault.below(setting.name) for fault in faults_of(bad, setting, data[setting.name]))
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
        return Annotated[
            Any, Written(_dataclass(annotation), {"x-def": annotation.__name__}, annotation.__name__)
        ]
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

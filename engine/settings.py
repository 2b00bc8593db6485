"""The types of settings: plugins annotate their fields and keyword-only parameters with them.

Ordinary annotations (`str`, `int`, `bool`, `Literal`, `list[str]`, `X | None`, a dataclass) need nothing from
here. `Annotated[..., "text"]` documents a setting.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from engine.condition import Predicate, bad_path, condition
from engine.fault import Fault, Wrong, nearest
from formats import hl7v2


class Row(NamedTuple):
    """One line of a table: what the code in its `from` column is in the other vocabulary."""

    to: str
    display: str = ""
    system: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One CSV file of channels/tables, columns `from,to[,display,system]`; `system` is the system of `to`.

    A `from` may be qualified by the system it comes from (`L|718-7`).
    """

    name: str
    rows: Mapping[str, Row]
    written: ClassVar[Written]  # how a setting of this type is written

    def lookup(self, code: str, system: str = "") -> Row | None:
        """The row of `code`; a row of `system|code` comes before a row of the bare code."""
        qualified = self.rows.get(f"{system}|{code}") if system else None
        return qualified or self.rows.get(code)


@dataclass(frozen=True, slots=True)
class Site:
    """What a configuration directory offers to the settings in it; a relative file path starts there."""

    directory: pathlib.Path = pathlib.Path()
    tables: Mapping[str, Table] = field(default_factory=lambda: MappingProxyType({}))
    predicates: Mapping[str, Predicate] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, eq=False)
class Written:
    """How a setting is written in YAML. `read` takes the value and the site; `Wrong` says what is wrong."""

    read: Callable[[Any, Site], Any]
    schema: Mapping[str, Any]
    title: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # paid by whoever loads a configuration, not by --help

        return core_schema.with_info_plain_validator_function(
            lambda value, info: self.read(value, info.context)
        )

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {"title": self.title, **self.schema}


def _path(value: Any, site: Site) -> hl7v2.Path:
    try:
        return hl7v2.path(str(value))
    except ValueError:
        raise Wrong(bad_path(value)) from None


def _table(value: Any, site: Site) -> Table:
    if found := site.tables.get(str(value)):
        return found
    hint = nearest(str(value), site.tables) or "put a CSV file of that name into channels/tables"
    raise Wrong(Fault("unknown-table", f'no table "{value}"', hint))


def _when(value: Any, site: Site) -> Predicate:
    result = condition(value, site.predicates)
    if isinstance(result, list):
        raise Wrong(*result)
    return result


_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+)\s*(B|KB|MB|GB)")


def _seconds(value: Any, site: Site) -> float:
    if match := _DURATION.fullmatch(str(value)):
        return float(match[1]) * _SECONDS[match[2]]
    raise Wrong(Fault("bad-duration", "a duration needs a number and a unit", "write 500ms, 1s, 2m or 1h"))


def _size(value: Any, site: Site) -> int:
    if match := _SIZE.fullmatch(str(value).upper()):
        return int(match[1]) * _BYTES[match[2]]
    raise Wrong(Fault("bad-size", "a size needs a number and a unit", "write 512B, 64KB, 5MB or 1GB"))


def _zone(value: Any, site: Site) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        hint = nearest(str(value), available_timezones())
        raise Wrong(Fault("unknown-timezone", f'no time zone "{value}"', hint)) from None


def _secret(value: Any, site: Site) -> Secret:
    return Secret(value)


class Secret(str):
    """Text that is never shown: the repr of whatever holds it does not give it away."""

    __slots__ = ()
    written: ClassVar[Written]

    def __repr__(self) -> str:
        return "'***'"


Path = Annotated[
    hl7v2.Path,
    Written(_path, {"type": "string", "pattern": r"^[A-Z][A-Z0-9]{2}(\[\d+\])?-\d+"}, "HL7 path"),
]
"""A place in an HL7 v2 message (`PID-3[2].4.1`), compiled."""

Table.written = Written(_table, {"type": "string"}, "table")
Secret.written = Written(_secret, {"type": "string"}, "secret")
When = Annotated[
    Callable[[Any], bool],
    Written(_when, {"type": ["object", "string"]}, "condition"),
]
"""`(body) -> bool`: fields and their accepted values with any/all/not, or the name of a predicate."""

Seconds = Annotated[float, Written(_seconds, {"type": "string", "pattern": _DURATION.pattern}, "duration")]
"""A duration (`500ms`, `1s`, `2m`, `1h`), in seconds."""

Size = Annotated[int, Written(_size, {"type": "string", "pattern": _SIZE.pattern}, "size")]
"""A size (`64KB`, `5MB`; K is 1024), in bytes."""

Zone = Annotated[ZoneInfo, Written(_zone, {"type": "string"}, "IANA time zone")]
"""An IANA time zone (`America/New_York`)."""

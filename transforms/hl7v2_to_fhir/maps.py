"""The map data: YAML and CSV files, read once into plain frozen values that know file and line."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

FOLDER = Path(__file__).parent
V2 = "http://terminology.hl7.org/CodeSystem/v2-"

Mode = Literal["field", "snapshot", "whole"]


class MapError(ValueError):
    """The map data is wrong: a bug in a file of ours, found when it is loaded. Says file:line."""


class Source(NamedTuple):
    """Where a row reads: `PID-5.1.1` is PID, (5, 1, 1); `XPN.1.1`, of a data type, is XPN, (1, 1)."""

    name: str
    numbers: tuple[int, ...]


class Coded(NamedTuple):
    """What a code is in the other vocabulary."""

    code: str
    display: str = ""
    system: str = ""

    def coding(self) -> dict[str, str]:
        pairs = (("system", self.system), ("code", self.code), ("display", self.display))
        return {name: value for name, value in pairs if value}


@dataclass(frozen=True, slots=True)
class Table:
    """A code mapping. `system` is the code system of the original codes, a HL7 table."""

    name: str
    system: str
    rows: Mapping[str, Coded] = field(default_factory=dict)

    def lookup(self, code: str) -> Coded | None:
        """The row of a code; HL7's codes are capitals, but `m` can mean nothing else than `M`."""
        return self.rows.get(code) or self.rows.get(code.upper())


class Test(NamedTuple):
    """A condition: the field has a value, or its first component is one of `values`."""

    source: Source
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a map: this source, read as that type, makes that element. `place` is file:line."""

    to: str
    place: str
    guide: str
    sources: tuple[Source, ...] = ()
    type: str = "text"
    table: Table | None = None
    value: Any = None
    shape: Any = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    join: str | None = None
    given: Test | None = None
    unless: Test | None = None
    mode: Mode = "field"
    required: bool = False
    of_feed: bool = False  # an identifier without an authority is of the feed's own


@dataclass(frozen=True, slots=True)
class Map:
    """One segment or data type. `into`: each segment makes one item of that list. `needs`: without any of
    these elements what is made means nothing and is left out. `otherwise`: elements that no row made."""

    name: str
    source: str
    resource: str
    rows: tuple[Row, ...]
    needs: tuple[str, ...] = ()
    into: str = ""
    otherwise: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """What one message type makes. `parts` names the segment maps of each resource."""

    kind: str
    does: str
    parts: Mapping[str, tuple[str, ...]]
    values: tuple[Row, ...] = ()
    code: str = ""
    cancels: str = ""
    establishes: bool = True


@cache
def table(name: str) -> Table:
    """A table of tables/; `HL7nnnn` without a file is a HL7 table whose codes are kept as they are."""
    path = FOLDER / "tables" / f"{name}.csv"
    if not path.exists() and name.startswith("HL7") and name[3:].isdigit():
        return Table(name, V2 + name[3:])
    if not path.exists():
        raise MapError(f"no table {name}")
    with path.open(encoding="utf-8", newline="") as lines:
        head, *rows = csv.reader(lines)
    system = V2 + head[0][3:] if head[0].startswith("HL7") else ""
    return Table(name, system, {row[0]: Coded(*row[1:]) for row in rows})


@cache
def segment_map(name: str) -> Map:
    return _map(f"segments/{name}.yaml", "segment")


@cache
def type_map(name: str) -> Map | None:
    """The map of a data type, or None if the type is made by a function."""
    path = f"datatypes/{name}.yaml"
    return _map(path, "type") if (FOLDER / path).exists() else None


@cache
def events() -> Mapping[str, Event]:
    """Every message type that has a map, by its kind (`ADT^A01`)."""
    found: dict[str, Event] = {}
    for path in sorted((FOLDER / "messages").glob("*.yaml")):
        for event in _events(_load(f"messages/{path.name}"), f"messages/{path.name}"):
            if event.kind in found:
                raise MapError(f"messages/{path.name}: {event.kind} has a map already")
            found[event.kind] = event
    return found


def _load(file: str) -> Any:
    from ruamel.yaml import YAML

    return YAML().load((FOLDER / file).read_text("utf-8"))


def _map(file: str, kind: str) -> Map:
    data = _load(file)
    guide, mode = data.get("guide", ""), data.get("mode", "field")
    source = str(data[kind]).partition("-")[0]
    return Map(
        name=Path(file).stem,
        source=source,
        resource=data.get("resource") or data["makes"],
        rows=tuple(_row(line, file, source, guide, mode) for line in data["rows"]),
        needs=tuple(data.get("needs", ())),
        into=data.get("into", "").removesuffix("*"),
        otherwise=_plain(data.get("otherwise", {})),
    )


_KEYS = {
    "to",
    "from",
    "as",
    "table",
    "value",
    "shape",
    "defaults",
    "join",
    "if",
    "unless",
    "mode",
    "required",
}
_KEYS |= {"authority", "guide"}


def _row(line: Any, file: str, name: str, guide: str, mode: Mode) -> Row:
    place = f"{file}:{line.lc.line + 1}"
    if unknown := set(line) - _KEYS:
        raise MapError(f"{place}: unknown key {sorted(unknown)[0]}")
    if ("from" in line) == ("value" in line):
        raise MapError(f"{place}: a row has either from: or value:")
    sources = line.get("from", [])
    try:
        return Row(
            to=line["to"],
            place=place,
            guide=line.get("guide", guide),
            sources=tuple(_source(s) for s in (sources if isinstance(sources, list) else [sources])),
            type=line.get("as", "text"),
            table=table(line["table"]) if "table" in line else None,
            value=_plain(line.get("value")),
            shape=_plain(line.get("shape")),
            defaults=_plain(line.get("defaults", {})),
            join=line.get("join"),
            given=_test(line.get("if")),
            unless=_test(line.get("unless")),
            mode=line.get("mode", mode),
            required=line.get("required", False),
            of_feed=line.get("authority") == "feed",
        )
    except (KeyError, ValueError) as error:
        raise MapError(f"{place}: {error}") from None


def _source(text: str) -> Source:
    """`PID-5.1` or `XPN.1.1`; the bare name of a data type means the whole of it."""
    name, dash, rest = text.partition("-")
    if not dash:
        name, _, rest = text.partition(".")
    return Source(name, tuple(int(n) for n in rest.split(".") if rest))


def _test(data: Any) -> Test | None:
    if data is None:
        return None
    if isinstance(data, str):
        return Test(_source(data))
    ((path, values),) = data.items()
    return Test(_source(path), frozenset(str(v) for v in values))


def _events(data: Any, file: str) -> Sequence[Event]:
    does, message = data["does"], data["message"]
    known = ("about", "does", "events", "message")
    parts = {name: tuple(value) for name, value in data.items() if name not in known}
    made = []
    for code, line in data["events"].items():
        values = tuple(_row(v, file, "", "Event[EncounterStatus]", "field") for v in line.get("values", ()))
        mine = {name: value for name, value in parts.items() if name != line.get("without")}
        establishes = line.get("establishes", True)
        kinds = [f"{message}^{code}", *line.get("also", ())]
        made += [Event(k, does, mine, values, code, line.get("cancels", ""), establishes) for k in kinds]
    return made


def _plain(value: Any) -> Any:
    """ruamel's own containers as dicts and lists."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value

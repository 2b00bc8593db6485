"""The map data: YAML and CSV files, read once into plain frozen values that know file:line."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path as File
from typing import Any

from transforms.fhir_to_hl7v2.path import Path, path

FOLDER = File(__file__).parent


class MapError(ValueError):
    """The map data is wrong: a bug in a file of ours, found when it is loaded. Says file:line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a map: what the resource has at `path`, written as `type`, is field `field`.

    `many`: every value is a repetition; else the first counts. Of two rows for one field the first that has a
    value counts. `value`: a constant, instead of `path`.
    """

    field: int
    place: str
    path: Path | None = None
    type: str = "text"
    table: Mapping[str, str] | None = None
    value: str = ""
    default: str = ""
    many: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its rows in the order of their fields. `numbered`: field 1 is the set id."""

    name: str
    of: str
    rows: tuple[Row, ...]
    numbered: bool


@dataclass(frozen=True, slots=True)
class Place:
    """One place in a message: a segment for every value at `path`."""

    segment: Segment
    path: Path


@dataclass(frozen=True, slots=True)
class Message:
    """One message type (MSH-9) and the type of resource that it tells of."""

    kind: str
    of: str
    places: tuple[Place, ...]


@cache
def message(name: str) -> Message:
    data = _load(f"messages/{name}.yaml")
    places = tuple(Place(segment(p["segment"]), path(p.get("for", "."))) for p in data["segments"])
    return Message(data["message"], data["of"], places)


@cache
def table(name: str) -> Mapping[str, str]:
    """A code mapping of tables/: FHIR code -> code of the HL7 table that the head names."""
    return {row[0]: row[1] for row in _lines(name)}


@cache
def assigners() -> Mapping[str, tuple[str, ...]]:
    """Systems of identifiers that HL7 v2 has names of its own for: uri -> HD.1, HD.2, HD.3."""
    return {uri: tuple(parts) for uri, *parts in _lines("Assigner")}


def _lines(name: str) -> list[list[str]]:
    with (FOLDER / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))[1:]


@cache
def segment(name: str) -> Segment:
    file = f"segments/{name}.yaml"
    data = _load(file)
    rows = tuple(_row(line, file, name) for line in data["rows"])
    return Segment(name, data["of"], rows, data.get("numbered", False))


_KEYS = {"to", "from", "as", "table", "value", "default", "required"}


def _row(line: Any, file: str, segment: str) -> Row:
    place = f"{file}:{line.lc.line + 1}"
    if unknown := set(line) - _KEYS:
        raise MapError(f"{place}: unknown key {sorted(unknown)[0]}")
    name, _, number = line["to"].removesuffix("*").partition("-")
    if name != segment or not number.isdigit() or ("from" in line) == ("value" in line):
        raise MapError(f"{place}: a row has to: {segment}-N, and either from: or value:")
    return Row(
        field=int(number),
        place=place,
        path=path(line["from"]) if "from" in line else None,
        type=line.get("as", "text"),
        table=table(line["table"]) if "table" in line else None,
        value=line.get("value", ""),
        default=line.get("default", ""),
        many=line["to"].endswith("*"),
        required=line.get("required", False),
    )


def _load(file: str) -> Any:
    from ruamel.yaml import YAML

    return YAML().load((FOLDER / file).read_text("utf-8"))

"""The editor's schema and `chartwire list` say what the lint says: they are read from the same signatures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import pytest

from engine.config.describe import describe, show, text
from engine.config.nodes import parse
from engine.config.schema import FILES, schema

KINDS = {"channels/lab.yaml": "channel", "channels/adt.yaml": "channel", "routes.yaml": "routes"}


def valid(kind: str, written: str) -> bool:
    tree, problems = parse(written, "x.yaml")
    assert tree, problems
    return jsonschema_rs.validator_for(schema(kind)).is_valid(tree.plain())


@pytest.mark.parametrize("file", [*KINDS, "authorities.yaml"])
def test_what_is_right_is_valid(good: Mapping[str, str], file: str) -> None:
    assert valid(KINDS.get(file, "authorities"), good[file])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("channels/lab.yaml", "timezone", "timezon"),
        ("channels/lab.yaml", "example.port", "example.prot"),
        ("channels/lab.yaml", "{port:", "{prot:"),
        ("channels/lab.yaml", "[P, T]", "{P: T}"),
        ("channels/lab.yaml", "miss: keep", "miss: kept"),
        ("channels/lab.yaml", "field: OBX-3", "field: OBX3"),
        ("channels/adt.yaml", "500ms", "500"),
        ("channels/adt.yaml", "2575", "abc"),
        ("channels/adt.yaml", "{hl7v2:", "{hl7v3:"),
        ("routes.yaml", "give_up", "giveup"),
        ("routes.yaml", "head: block", "head: blocks"),
        ("routes.yaml", "to: pager", "too: pager"),
        ("authorities.yaml", "unpad", "unpadd"),
    ],
)
def test_what_is_wrong_is_not(good: Mapping[str, str], file: str, old: str, new: str) -> None:
    assert old in good[file]
    assert not valid(KINDS.get(file, "authorities"), good[file].replace(old, new))


@pytest.mark.parametrize("kind", FILES)
def test_every_schema_is_one(kind: str) -> None:
    jsonschema_rs.meta.validate(json.loads(json.dumps(schema(kind))))


def entry(kind: str, name: str) -> Any:
    return next(e for e in describe(kind) if e["name"] == name)


def test_a_source_is_described_by_its_signature() -> None:
    port = entry("sources", "example.port")
    assert port["doc"] == "Takes messages on a port."
    assert [(s["name"], s["type"], s["required"], s["default"], s["doc"]) for s in port["settings"]] == [
        ("port", "number", True, None, "TCP port"),
        ("host", "text", False, "127.0.0.1", ""),
        ("timeout", "duration", False, "30s", "idle time"),
        ("largest", "size", False, "1MB", ""),
        ("accept_plaintext_risk", "true | false", False, False, ""),
    ]


def test_a_transform_is_described_by_its_signature() -> None:
    translate = entry("transforms", "example.translate")
    assert [(s["name"], s["type"]) for s in translate["settings"]] == [
        ("field", "HL7 path"),
        ("table", "table"),
        ("miss", "keep | worklist"),
    ]


def test_for_people() -> None:
    said = text(entry("transforms", "example.translate"))
    assert said == (
        "example.translate\n"
        "    Replace the code of a field.\n"
        "      field (HL7 path; required): the coded field\n"
        "      table (table; required)\n"
        "      miss (keep | worklist; default keep)"
    )


@pytest.mark.parametrize("kind", ["sources", "destinations", "transforms", "formats"])
def test_what_is_described_is_json(kind: str) -> None:
    lines = show(kind, as_json=True).splitlines()
    assert [json.loads(line) for line in lines] == describe(kind) != []

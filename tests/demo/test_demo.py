"""The demo itself, with its processes and sockets; and its comparison of two FHIR servers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from demo.chart import Server, copied
from demo.receivers import Warehouse

ROOT = Path(__file__).parents[2]
POTASSIUM = {"resourceType": "Observation", "id": "k", "valueQuantity": {"value": 6.30}}


def test_the_demo_adds_up() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--exit"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert "Everything adds up." in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stderr


@pytest.fixture
def warehouses() -> Iterator[tuple[Warehouse, Warehouse]]:
    pair = (Warehouse(), Warehouse())
    for warehouse in pair:
        Thread(target=warehouse.serve_forever, daemon=True).start()
    yield pair
    for warehouse in pair:
        warehouse.shutdown()
        warehouse.server_close()


def differences(pair: tuple[Warehouse, Warehouse]) -> list[str]:
    ours, theirs = (Server(f"http://127.0.0.1:{w.server_address[1]}/fhir") for w in pair)
    return list(copied(ours, theirs))


def test_copies_are_equal_whatever_their_meta(warehouses) -> None:
    ours, theirs = warehouses
    ours.resources["Observation/k"] = {**POTASSIUM, "meta": {"versionId": "3"}}
    theirs.resources["Observation/k"] = POTASSIUM
    assert differences(warehouses) == []


def test_what_the_copy_lacks_has_too_much_or_has_otherwise_is_named(warehouses) -> None:
    ours, theirs = warehouses
    ours.resources["Observation/k"] = POTASSIUM
    assert differences(warehouses) == ["warehouse: it lacks Observation/k"]
    theirs.resources["Observation/k"] = {**POTASSIUM, "status": "final"}
    assert differences(warehouses) == ["warehouse: its Observation/k is not the chart's"]
    ours.resources.clear()
    assert differences(warehouses) == ["warehouse: its Observation/k is not the chart's"]

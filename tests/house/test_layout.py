"""The house is kept: small functions and files, names that say something, every adapter proven; and each gate bites."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine_process import ROOT
from tests.house import gates
from tests.house.gates import Fault

PRODUCT = ("engine/", "formats/", "store/", "transforms/", "adapters/", "web/", "demo/")


@pytest.fixture(scope="module")
def files() -> list[str]:
    return gates.listed(ROOT)


@pytest.fixture
def product(files: list[str]) -> list[str]:
    return [file for file in files if file.startswith(PRODUCT)]


def test_functions_are_short(product: list[str]) -> None:
    assert gates.long_functions(ROOT, product) == []


def test_files_are_short(product: list[str]) -> None:
    assert gates.long_files(ROOT, product) == []


def test_names_say_what_things_are_for(files: list[str]) -> None:
    assert gates.vague_names(ROOT, files) == []


def test_no_file_names_a_package_registry(files: list[str]) -> None:
    assert {"requirements.lock", "pyproject.toml", "Makefile", ".ci/run"} <= {*files}
    assert gates.registry_hosts(ROOT, files) == []


def test_every_adapter_is_in_the_conformance_suite(files: list[str]) -> None:
    assert gates.unproven_adapters(ROOT, files) == []
    assert len([*gates._adapters(ROOT, files)]) >= 6, "sources and destinations of MLLP, HTTP and files"


Gate = Callable[[Path, list[str]], list[Fault]]
ADAPTER = '@source("fax")\nclass FaxSource:\n    """Listens to a line."""\n'
PLANTS: list[tuple[Gate, dict[str, str], str]] = [
    (gates.long_functions, {"a.py": "def f():\n" + "    x = 1\n" * 60}, "a.py"),
    (gates.long_functions, {"a.py": "def f():\n" + "    x = 1\n" * 40}, "a.py"),
    (gates.long_files, {"a.sql": "SELECT 1;\n" * 401}, "a.sql"),
    (gates.vague_names, {"engine/utils.py": ""}, "engine/utils.py"),
    (gates.vague_names, {"engine/helpers/a.py": ""}, "engine/helpers/a.py"),
    (gates.vague_names, {"a.py": "class LaneManager: ..."}, "a.py"),
    (gates.registry_hosts, {"lock": f"--index-url https://{gates.HOSTS[0]}/simple\n"}, "lock"),
    (gates.unproven_adapters, {"adapters/fax/line.py": ADAPTER}, "adapters/fax/line.py"),
    (
        gates.unproven_adapters,
        {"adapters/fax/line.py": ADAPTER, "tests/conformance/harness_fax.py": "DESTINATIONS = []\n"},
        "adapters/fax/line.py",
    ),
]


@pytest.mark.parametrize(("gate", "planted", "found"), PLANTS)
def test_the_gates_bite(tmp_path: Path, gate: Gate, planted: dict[str, str], found: str) -> None:
    for name, text in planted.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [fault.file for fault in gate(tmp_path, [*planted])] == [found]

"""Who may import whom: the contracts of pyproject.toml hold, and each of them bites."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine_process import ROOT

PACKAGES = ("engine", "formats", "store", "transforms", "adapters", "web")
PLANTS = {  # in this file, this import
    "formats/reason.py": "store.facts",
    "store/fold.py": "engine.message",
    "engine/pipeline.py": "web.outcome",
    "engine/plugin.py": "adapters.mllp.client",
    "store/identity.py": "transforms.steps.hl7",
    "adapters/mllp/answer.py": "transforms.hl7v2_to_fhir.reader",
    "transforms/steps/edit.py": "adapters.mllp.framing",
    "web/outcome.py": "adapters.http.answers",
    "adapters/mllp/tls_of_another.py": "adapters.http.source",
    "adapters/files/trouble.py": "engine.journal.inbox",
    "transforms/hl7v2_to_fhir/keys.py": "store.chart",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    env = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=120)


def test_the_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_every_contract_bites(copy: Path) -> None:
    for file, imported in PLANTS.items():
        path = copy / file
        text = path.read_text() if path.exists() else ""
        path.write_text(f"{text}\nimport {imported}  # planted\n")
    done = lint(copy)
    assert done.returncode == 1
    assert "0 kept" in done.stdout
    for file, imported in PLANTS.items():
        assert f"{file.removesuffix('.py').replace('/', '.')} -> {imported}" in done.stdout

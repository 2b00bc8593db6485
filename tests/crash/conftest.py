from __future__ import annotations

from pathlib import Path

import pytest

CHANNEL = """
channel: adt
about: Admissions, for the crash tests.
source:
  mllp: {port: 0}
format: hl7v2
timezone: America/New_York
order_by: PID-3
store: hl7v2_to_fhir
"""
AUTHORITIES = """
authorities:
  ghh: {namespace: "urn:oid:2.16.840.1.113883.19.5", aliases: [GHH], identifies: true}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with one channel and nobody to tell."""
    folder = tmp_path / "config"
    (folder / "channels").mkdir(parents=True)
    (folder / "channels" / "adt.yaml").write_text(CHANNEL)
    (folder / "authorities.yaml").write_text(AUTHORITIES)
    (folder / "routes.yaml").write_text("destinations: {}\nroutes: []\n")
    return folder

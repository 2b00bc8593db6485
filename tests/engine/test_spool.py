"""The spool: durable under its final name or not there at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from engine.journal.spool import Spool


def test_what_is_kept_is_whole_private_and_under_a_name_of_its_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    body = os.urandom(3 << 20)
    kept = spool.write(body)
    assert kept.path == spool.path(kept.name)
    assert kept.path.read_bytes() == body
    assert (kept.size, kept.digest) == (len(body), hashlib.blake2b(body, digest_size=16).digest())
    assert kept.path.stat().st_mode & 0o077 == 0
    assert list(spool.incoming.iterdir()) == []
    assert spool.write(body).name != kept.name


def test_a_start_sweeps_what_was_not_finished_and_what_no_row_names(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    known, unknown = spool.write(b"known"), spool.write(b"unknown")
    with spool.create() as file:
        file.write(b"half")
    again = Spool(tmp_path / "spool")
    assert again.sweep({known.name}) == 2
    assert known.path.read_bytes() == b"known"
    assert not unknown.path.exists()
    assert list(again.incoming.iterdir()) == []

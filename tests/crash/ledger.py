"""What the database of a stopped or running engine says, read past the engine on purpose: the engine is on trial."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from store.database import Reading
from store.database.sqlite import Sqlite
from tests.engine_process import past_the_engine


def settled(data: Path, deadline: float = 60.0) -> Reading:
    """Wait until no message waits to be processed; a reader of the database."""
    reader = past_the_engine(data)
    end = time.monotonic() + deadline
    while reader.all("SELECT 1 FROM message WHERE state = 'RECEIVED' LIMIT 1"):
        assert time.monotonic() < end, "messages are still waiting"
        time.sleep(0.02)
    return reader


def check(reader: Reading, accepted: set[str]) -> None:
    """Every accepted message is in the journal once and in the chart once."""
    keys = [key for (key,) in reader.all("SELECT key FROM message")]
    assert len(keys) == len(set(keys)), "a message is in the journal twice"
    missing = accepted - set(keys)
    assert not missing, f"{len(missing)} of {len(accepted)} acknowledged messages are lost"
    unstored = reader.all("SELECT state, count(*) FROM message WHERE state <> 'STORED' GROUP BY state")
    assert not unstored, f"not stored: {unstored}"
    facts = dict(reader.all(
        "SELECT m.key, count(f.id) FROM message m JOIN fact f ON f.message = m.id GROUP BY m.id"
    ))  # fmt: skip
    rows = reader.all(
        "SELECT t.value FROM token t JOIN resource r ON r.id = t.resource"
        " WHERE t.kind = 1 AND r.type = 'Patient' AND r.live = 1"
    )
    visible = {value.partition("\x1f")[0] for (value,) in rows}
    assert all(facts.get(key) == 2 for key in accepted), "one Patient fact and one Encounter fact for each"
    assert accepted <= visible, "an acknowledged patient is not in the chart"
    if isinstance(reader, Sqlite):
        assert reader.all("PRAGMA integrity_check") == [("ok",)]


def inversions(keys: list[str]) -> int:
    """How often one came after a later one of its patient."""
    last: Counter[str] = Counter()
    found = 0
    for key in keys:
        patient, _, number = key.partition("-")
        found += int(number) < last[patient]
        last[patient] = max(last[patient], int(number))
    return found

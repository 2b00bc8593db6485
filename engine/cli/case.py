"""`chartwire case` and `chartwire expectations`: one timeline across all wires, and the answers that are waited for."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from engine.cli.messages import local, table
from engine.client import Engine, Refused, refusal

COLUMNS = ("at", "direction", "who", "what", "state", "number", "note")
EXPECTATION = ("delivery", "destination", "message", "answers", "due", "state", "said", "answer")


def timeline(asked: argparse.Namespace) -> int:
    """Everything on the wires about one patient or order, oldest first."""
    found = _asked(asked, "/admin/case", {"of": asked.of})
    if isinstance(found, int):
        return found
    events = found["events"]
    if asked.json:
        _lines(events)
        return 0
    table(COLUMNS, [{**event, "at": local(event["at"])} for event in events])
    wires = len({event["who"] for event in events})
    print(f"{len(events)} events on {wires} channels and destinations")
    return 0


def expectations(asked: argparse.Namespace) -> int:
    """The answers that are waited for; exit status 1 if one that was asked for is overdue."""
    found = _asked(asked, "/admin/expectations", {"state": "overdue"} if asked.overdue else {})
    if isinstance(found, int):
        return found
    rows = found["expectations"]
    if asked.json:
        _lines(rows)
    elif rows:
        table(EXPECTATION, [{**row, "due": local(row["due"])} for row in rows])
    else:
        print("nothing is overdue" if asked.overdue else "nothing is waited for")
    return int(asked.overdue and bool(rows))


def _asked(asked: argparse.Namespace, path: str, parameters: dict[str, str]) -> Any:
    """The answer of the engine, or the exit status of its refusal."""
    try:
        with Engine(asked.data) as engine:
            return engine.get(path, parameters)
    except Refused as error:
        return refusal(error)


def _lines(rows: Sequence[Any]) -> None:
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))

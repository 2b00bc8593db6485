"""`chartwire case`: one patient or order across all wires, as one timeline."""

from __future__ import annotations

import argparse
import json

from engine.cli.messages import local, table
from engine.cli.options import Commands, as_json, data
from engine.client import Engine, Refused, refusal

COLUMNS = ("time", "direction", "who", "what", "state", "number", "note")


def add(commands: Commands) -> None:
    command = commands.add_parser("case", help="one patient or order across all wires, as one timeline")
    what = "MRN, AUTHORITY|MRN, Patient/ID; an order, accession or prescription number; Type/ID"
    command.add_argument("of", metavar="PATIENT_OR_ORDER", help=what)
    as_json(command)
    data(command)
    command.set_defaults(command=timeline)


def timeline(asked: argparse.Namespace) -> int:
    """Everything on the wires about one patient or order, oldest first."""
    try:
        with Engine(asked.data) as engine:
            found = engine.get("/admin/case", {"of": asked.of})
    except Refused as error:
        return refusal(error)
    events = found["events"]
    if asked.json:
        for event in events:
            print(json.dumps(event, ensure_ascii=False))
        return 0
    table(COLUMNS, [{**event, "time": local(event["at"])} for event in events])
    wires = len({event["who"] for event in events})
    newest = ", the newest of more" if found["more"] else ""
    print(f"{len(events)} events{newest} on {wires} channels and destinations")
    return 0

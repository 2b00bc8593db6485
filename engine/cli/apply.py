"""`chartwire apply`: what is on disk now in the place of the configuration that runs, without a restart."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from engine.cli.messages import table
from engine.cli.options import Commands, as_json, data, reasoned
from engine.client import LONG, Engine, Refused

Json = dict[str, Any]
COLUMNS = ("what", "kind", "name", "note")


def add(commands: Commands) -> None:
    text = "the configuration on disk in the place of the one that runs, or all problems and nothing changes"
    command = commands.add_parser("apply", help=text)
    reasoned(command)
    as_json(command)
    data(command)
    command.set_defaults(command=apply)


def apply(asked: argparse.Namespace) -> int:
    """Exit status 1 if nothing was applied, for whatever reason."""
    request = {"dry_run": asked.dry_run, "why": asked.why or "the files were changed"}
    try:
        with Engine(asked.data, LONG) as engine:
            found = engine.post("/admin/apply", request)
    except Refused as error:
        print(error, file=sys.stderr)
        print("nothing was applied; the engine goes on as it was", file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        _print(found)
    return 0


def _print(found: Json) -> None:
    changes = [change for change in found["plan"] if change["what"] != "kept"]
    table(COLUMNS, changes)
    kept = len(found["plan"]) - len(changes)
    done = "applied" if found["applied"] else "planned, not applied"
    print(f"{len(changes)} parts {done}, {kept} kept" if changes else "nothing has changed")

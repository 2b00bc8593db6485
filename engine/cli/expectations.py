"""`chartwire expectations`: the answers that deliveries wait for, and those that did not come in time."""

from __future__ import annotations

import argparse
import json
from typing import Any

from engine.cli.messages import local, table
from engine.cli.options import Commands, as_json, data
from engine.client import Engine, Refused, refusal

COLUMNS = ("delivery", "destination", "message", "answers", "due", "state", "said", "answer")


def add(commands: Commands) -> None:
    text = "answers of partners that are waited for, are overdue or came"
    command = commands.add_parser("expectations", help=text)
    text = "only those that did not come in time; exit 1 if there is one"
    command.add_argument("--overdue", action="store_true", help=text)
    as_json(command)
    data(command)
    command.set_defaults(command=listing)


def listing(asked: argparse.Namespace) -> int:
    """All of them; or those that are overdue, and then exit status 1 if there is one."""
    try:
        with Engine(asked.data) as engine:
            rows = engine.get("/admin/expectations", {"state": "overdue"} if asked.overdue else {})[
                "expectations"
            ]
    except Refused as error:
        return refusal(error)
    _print(asked, rows)
    return int(asked.overdue and bool(rows))


def _print(asked: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    if asked.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
    elif rows:
        table(COLUMNS, [{**row, "due": local(row["due"])} for row in rows])
    else:
        print("nothing is overdue" if asked.overdue else "no answer was ever waited for")

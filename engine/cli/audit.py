"""`chartwire audit`: who did or read what and why, and whether the record is as it was written."""

from __future__ import annotations

import argparse
import json
from typing import Any

from engine.cli.messages import local, table
from engine.cli.options import Commands, as_json, data, positive
from engine.client import Engine, Refused, refusal

COLUMNS = ("id", "time", "who", "what", "rows", "why")
LONGEST = 60
PAGE = 500


def add(commands: Commands) -> None:
    command = commands.add_parser("audit", help="who did or read what and why; is the record unbroken")
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    action = actions.add_parser("list", help="the newest first")
    text = "at most so many (default: 50)"
    action.add_argument("--limit", type=positive, default=50, metavar="N", help=text)
    as_json(action)
    data(action)
    action.set_defaults(command=listing)
    action = actions.add_parser("verify", help="exit 1 and name the first row that is not as it was written")
    data(action)
    action.set_defaults(command=verify)


def listing(asked: argparse.Namespace) -> int:
    """Newest first."""
    found: list[dict[str, Any]] = []
    before: dict[str, str] = {}
    try:
        with Engine(asked.data) as engine:
            while len(found) < asked.limit:
                more = {"limit": str(min(PAGE, asked.limit - len(found))), **before}
                page = engine.get("/admin/audit", more)
                found += page["entries"]
                if page["next"] is None:
                    break
                before = {"before": str(page["next"])}
    except Refused as error:
        return refusal(error)
    if asked.json:
        for entry in found:
            print(json.dumps(entry, ensure_ascii=False))
    else:
        table(COLUMNS, [{**e, "time": local(e["at"]), "rows": _short(e["rows"])} for e in found])
    return 0


def _short(rows: dict[str, Any]) -> str:
    text = " ".join(f"{name}={_value(value)}" for name, value in rows.items())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def verify(asked: argparse.Namespace) -> int:
    """Exit status 1 if the chain is broken."""
    try:
        with Engine(asked.data) as engine:
            found = engine.get("/admin/audit/verify")
    except Refused as error:
        return refusal(error)
    if not found["sound"]:
        print(f"row {found['row']}: {found['why']}")
        return 1
    print(f"{found['rows']} rows, each as it was written; head {found['head']}")
    return 0

"""`chartwire deliveries`: what was sent or waits to be, and what an operator does about it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from engine.cli.messages import local, table
from engine.cli.options import Commands, as_json, data, positive, reasoned, where
from engine.client import Engine, Refused, refusal

Json = dict[str, Any]
PAGE = 500
SHOWN = 20
COLUMNS = ("id", "message", "destination", "state", "attempts", "created", "due", "lane", "code")
WORDS = "destination=, state=, code=, message=, lane=, since="
ACTIONS = {
    "retry": "try it now, as if for the first time: QUEUED, HELD or PARKED",
    "release": "let the lane that it holds go on with it: HELD",
    "park": "set it aside, and let its lane go on without it: QUEUED or HELD",
    "cancel": "never send it: QUEUED, HELD or PARKED",
}


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "deliveries", help="what was sent or waits to be; retry, release, park, cancel"
    )
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    action = actions.add_parser("list", help="the newest first")
    action.add_argument("--where", type=where, default={}, metavar="WORDS", help=WORDS)
    text = "at most so many (default: 50)"
    action.add_argument("--limit", type=positive, default=50, metavar="N", help=text)
    as_json(action)
    data(action)
    action.set_defaults(command=listing)
    action = actions.add_parser("show", help="one delivery")
    action.add_argument("id", type=positive, metavar="ID", help="the number that `list` shows")
    as_json(action)
    data(action)
    action.set_defaults(command=show)
    for name, text in ACTIONS.items():
        _changing(actions, name, text)


def _changing(actions: Commands, name: str, text: str) -> None:
    action = actions.add_parser(name, help=text)
    action.add_argument("ids", nargs="*", type=positive, metavar="ID", help="the numbers that `list` shows")
    action.add_argument("--where", type=where, default={}, metavar="WORDS", help=f"all of these: {WORDS}")
    reasoned(action)
    data(action)
    action.set_defaults(command=change, action=name)


def listing(asked: argparse.Namespace) -> int:
    """Newest first."""
    try:
        with Engine(asked.data) as engine:
            found = list(_pages(engine, asked.where, asked.limit))
    except Refused as error:
        return refusal(error)
    if asked.json:
        for each in found:
            print(json.dumps(each, ensure_ascii=False))
    elif found:
        _table(found)
    else:
        print("no deliveries")
    return 0


def _pages(engine: Engine, wanted: dict[str, str], limit: int) -> Iterator[Json]:
    cursor = None
    while limit > 0:
        more = {"limit": str(min(limit, PAGE)), **({"cursor": str(cursor)} if cursor else {})}
        page = engine.get("/admin/deliveries", {**wanted, **more})
        yield from page["deliveries"]
        limit -= len(page["deliveries"])
        if (cursor := page["next"]) is None:
            return


def _table(found: list[Json]) -> None:
    table(COLUMNS, [{**d, "created": local(d["created"]), "due": local(d["due"])} for d in found])


def show(asked: argparse.Namespace) -> int:
    """One delivery, whole."""
    try:
        with Engine(asked.data) as engine:
            found = engine.get(f"/admin/deliveries/{asked.id}")
    except Refused as error:
        return refusal(error)
    if asked.json:
        print(json.dumps(found, ensure_ascii=False))
        return 0
    times = {name: local(found[name]) for name in ("created", "due", "settled")}
    for name, value in {**found, **times}.items():
        if value not in (None, ""):
            print(f"{name:<12}{value}")
    return 0


def change(asked: argparse.Namespace) -> int:
    """A page at a time, until all are done that were asked for."""
    done, shown = 0, 0
    request: Json = {"ids": asked.ids, "where": asked.where, "why": asked.why, "dry_run": asked.dry_run}
    try:
        with Engine(asked.data) as engine:
            while True:
                page = engine.post(f"/admin/deliveries/{asked.action}", request)
                found = page["deliveries"]
                if shown < SHOWN:
                    _table(found[: SHOWN - shown])
                done, shown = done + len(found), shown + len(found[: SHOWN - shown])
                if (cursor := page["next"]) is None:
                    break
                request["cursor"] = cursor
    except Refused as error:
        return refusal(error)
    print(f"{done} deliveries{' would be' if asked.dry_run else ''}: {asked.action}")
    return 0

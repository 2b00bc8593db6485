"""`chartwire pause`, `resume` and `drain`: a channel takes nothing, or a destination is sent nothing, for a while."""

from __future__ import annotations

import argparse
import time
from typing import Any

from engine.cli.messages import local, table
from engine.cli.options import Commands, data, reasoned
from engine.client import LONG, Engine, Refused, refusal

Json = dict[str, Any]
COLUMNS = ("kind", "name", "since", "who", "why")
AGAIN = 0.5
"""Seconds from one look to the next."""
NAME = "a channel or a destination; channel:NAME or destination:NAME where both have the name"


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "pause", help="let a channel take nothing, or a destination be sent nothing"
    )
    command.add_argument("name", nargs="?", metavar="NAME", help=f"{NAME}; without it, show what is paused")
    _common(command)
    command.set_defaults(command=pause)
    command = commands.add_parser("resume", help="let what is paused go on")
    command.add_argument("name", metavar="NAME", help=NAME)
    _common(command)
    command.set_defaults(command=resume)
    text = "pause a channel and wait until it has processed what it took; or a destination when it has all"
    command = commands.add_parser("drain", help=text)
    command.add_argument("name", metavar="NAME", help=NAME)
    _common(command)
    command.set_defaults(command=drain)


def _common(command: argparse.ArgumentParser) -> None:
    reasoned(command)
    data(command)


def pause(asked: argparse.Namespace) -> int:
    """Return when all that was in hand is answered."""
    try:
        with Engine(asked.data, LONG) as engine:
            if asked.name is None:
                return _list(engine)
            _change(engine, asked, "pause")
    except Refused as error:
        return refusal(error)
    return 0


def resume(asked: argparse.Namespace) -> int:
    try:
        with Engine(asked.data, LONG) as engine:
            _change(engine, asked, "resume")
    except Refused as error:
        return refusal(error)
    return 0


def drain(asked: argparse.Namespace) -> int:
    """A channel is paused first and a destination last, for it is to get what waits for it. Exit status 1 if something
    is held that only a person can let go."""
    try:
        with Engine(asked.data, LONG) as engine:
            found = _left(engine, asked.name)
            if asked.dry_run or found["kind"] == "channel":
                _change(engine, asked, "pause")
            if not asked.dry_run:
                found = _drained(engine, asked.name)
                if not found["paused"]:
                    _change(engine, asked, "pause")
    except Refused as error:
        return refusal(error)
    return int(found["held"] > 0)


def _drained(engine: Engine, name: str) -> Json:
    """Tell how many are left whenever that has changed, until none is."""
    told = None
    while True:
        found = _left(engine, name)
        if (now := (found["moving"], found["held"])) != told:
            held = f", {now[1]} held" if now[1] else ""
            print(f"{found['kind']} {found['name']}: {now[0]} left{held}", flush=True)
        if not now[0]:
            return found
        told = now
        time.sleep(AGAIN)


def _left(engine: Engine, name: str) -> Json:
    found: Json = engine.get("/admin/drain", {"name": name})
    return found


def _change(engine: Engine, asked: argparse.Namespace, what: str) -> None:
    request = {"name": asked.name, "why": asked.why, "dry_run": asked.dry_run}
    for each in engine.post(f"/admin/{what}", request)["names"]:
        print(f"{each['kind']} {each['name']}: {'would be ' if asked.dry_run else ''}{what}d")


def _list(engine: Engine) -> int:
    found = engine.get("/admin/pauses")["pauses"]
    table(COLUMNS, [{**each, "since": local(each["at"])} for each in found])
    if not found:
        print("nothing is paused")
    return 0

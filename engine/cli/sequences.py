"""`chartwire sequences`: the links that count their messages, and which number is next on each."""

from __future__ import annotations

import argparse
import json

from engine.cli.messages import table
from engine.cli.options import Commands, as_json, data, positive, reasoned
from engine.client import Engine, Refused, refusal

COLUMNS = ("link", "next", "delivery")


def add(commands: Commands) -> None:
    command = commands.add_parser("sequences", help="links by the sequence number protocol (MSH-13, MSA-4)")
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    every = actions.add_parser("list", help="every link with the number that is next")
    as_json(every)
    data(every)
    every.set_defaults(command=listing)
    one = actions.add_parser("set", help="say which number is next, where the two sides do not agree")
    one.add_argument("link", metavar="LINK", help='"channel NAME" or "destination NAME", as `list` shows it')
    one.add_argument("next", type=positive, metavar="N", help="the number that the next message bears")
    reasoned(one)
    data(one)
    one.set_defaults(command=setting)


def listing(asked: argparse.Namespace) -> int:
    """One line for each."""
    try:
        with Engine(asked.data) as engine:
            found = engine.get("/admin/sequences")["links"]
    except Refused as error:
        return refusal(error)
    if asked.json:
        for each in found:
            print(json.dumps(each))
    elif found:
        table(COLUMNS, found)
    else:
        print("no link counts its messages")
    return 0


def setting(asked: argparse.Namespace) -> int:
    """What was next before, and what is now."""
    wanted = {"link": asked.link, "next": asked.next, "why": asked.why, "dry_run": asked.dry_run}
    try:
        with Engine(asked.data) as engine:
            done = engine.post("/admin/sequences", wanted)
    except Refused as error:
        return refusal(error)
    print(f"{done['link']}: {done['next']} is next; before it was {done['before']}")
    return 0

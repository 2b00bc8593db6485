"""`chartwire token`: bearer tokens, made by the running engine."""

from __future__ import annotations

import argparse

from engine.cli.options import Commands, data
from engine.client import Engine, Refused, refusal


def add(commands: Commands) -> None:
    command = commands.add_parser("token", help="bearer tokens for the HTTP API")
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    action = actions.add_parser("create", help="make one and show it once")
    action.add_argument("--name", required=True, metavar="N", help="who will use it")
    data(action)
    action.set_defaults(command=create)


def create(asked: argparse.Namespace) -> int:
    """Make a token and print it, and nothing else, to standard output."""
    try:
        with Engine(asked.data) as engine:
            print(engine.post("/admin/tokens", {"name": asked.name})["token"])
    except Refused as error:
        return refusal(error)
    return 0

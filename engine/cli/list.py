"""`chartwire list`: what is installed."""

from __future__ import annotations

import argparse

from engine.cli.options import Commands, app, as_json

KINDS = ("sources", "destinations", "transforms", "formats", "splitters", "gatherers", "answers")


def add(commands: Commands) -> None:
    command = commands.add_parser("list", help="what is installed, with settings and documentation")
    command.add_argument("kind", choices=KINDS)
    as_json(command)
    command.set_defaults(command=show)


def show(asked: argparse.Namespace) -> int:
    return int(app().describe(asked.kind, asked.json))

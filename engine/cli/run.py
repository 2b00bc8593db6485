"""`chartwire run`: the engine."""

from __future__ import annotations

import argparse

from engine.cli.options import Commands, app, config, data, env


def add(commands: Commands) -> None:
    command = commands.add_parser("run", help="the engine; SIGTERM drains and stops cleanly")
    config(command)
    data(command)
    env(command)
    text = "of several processes on one PostgreSQL, what this one does (default: all)"
    command.add_argument(
        "--role", choices=["all", "intake", "worker", "deliver", "web"], default="all", help=text
    )
    command.set_defaults(command=run)


def run(asked: argparse.Namespace) -> int:
    return int(app().run(asked.config, asked.data, asked.env, asked.role))

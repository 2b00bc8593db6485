"""`chartwire check` and `chartwire test`: is the configuration sound, and does it do what its tests say?"""

from __future__ import annotations

import argparse
import os

from engine.cli.options import Commands, app, config, env


def add(commands: Commands) -> None:
    check = commands.add_parser("check", help="lint everything: all problems at once, exit 1")
    config(check)
    env(check)
    check.set_defaults(command=lint)
    test = commands.add_parser("test", help="run channels/*.test.yaml, exit 1 with a field-level diff")
    config(test)
    test.set_defaults(command=tests)


def lint(asked: argparse.Namespace) -> int:
    return int(app().check(asked.config, asked.env))


def tests(asked: argparse.Namespace) -> int:
    return int(app().test(asked.config, os.environ.get("CHARTWIRE_ENV") or None))

"""The arguments that several commands take, with the same names and defaults."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from engine.journal.seal import Keys

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def config(command: argparse.ArgumentParser) -> None:
    default = Path(os.environ.get("CHARTWIRE_CONFIG") or ".")
    text = "the directory with channels/ and routes.yaml"
    command.add_argument("--config", type=Path, default=default, metavar="DIR", help=text)


def data(command: argparse.ArgumentParser) -> None:
    default = Path(os.environ.get("CHARTWIRE_DATA") or "data")
    command.add_argument("--data", type=Path, default=default, metavar="DIR", help="what the engine writes")


def env(command: argparse.ArgumentParser) -> None:
    default = os.environ.get("CHARTWIRE_ENV") or None
    command.add_argument("--env", default=default, metavar="NAME", help="values of environments/NAME.yaml")


def as_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one JSON object per line")


def reasoned(command: argparse.ArgumentParser) -> None:
    """What every command takes that changes something."""
    why = os.environ.get("CHARTWIRE_WHY") or ""
    text = "the reason, for the audit (default: CHARTWIRE_WHY)"
    command.add_argument("--why", default=why, metavar="TEXT", help=text)
    command.add_argument(
        "--dry-run", action="store_true", help="show what it would be done to, and do nothing"
    )


def where(text: str) -> dict[str, str]:
    """`destination=pager state=held since=2h`: words of a name and a value."""
    words = [word.partition("=") for word in shlex.split(text)]
    if not words or any(not name or not value for name, _, value in words):
        raise argparse.ArgumentTypeError("must be words such as state=held since=2h")
    if len({name for name, _, _ in words}) < len(words):
        raise argparse.ArgumentTypeError("has a word twice")
    return {name: value for name, _, value in words}


def positive(text: str) -> int:
    """A number above 0."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return int(text)


def keys() -> Keys:
    """Those of CHARTWIRE_KEY_FILE. Raises BadKeys."""
    from engine.journal.seal import read_keys

    return read_keys(os.environ.get("CHARTWIRE_KEY_FILE"))


def app() -> ModuleType:
    """The composition root; it knows everybody, so only who needs that imports it."""
    from engine import app

    return app

"""The command line. What a command needs is imported when it runs, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

SETTINGS = """\
environment:
  CHARTWIRE_CONFIG     the configuration directory (default: the current one)
  CHARTWIRE_DATA       everything that the engine writes (default: ./data)
  CHARTWIRE_ENV        NAME of environments/NAME.yaml
  CHARTWIRE_HTTP       HOST:PORT of the HTTP API (default: 127.0.0.1:8080)
  CHARTWIRE_COMPUTE    1: channels run in a process of their own (default with a second core); 0: in a thread
  CHARTWIRE_LOG_LEVEL  debug, info (default), warning or error
"""
KINDS = ("sources", "destinations", "transforms", "formats", "splitters", "answers")
if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    asked = parser().parse_args(arguments)
    try:
        status: int = asked.command(asked)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        "chartwire",
        description="An HL7 v2 / FHIR integration engine built around an EHR core.",
        epilog=SETTINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _run(commands)
    _check(commands)
    _test(commands)
    _send(commands)
    _messages(commands)
    _case(commands)
    _expectations(commands)
    _list(commands)
    _token(commands)
    return top


def _run(commands: Commands) -> None:
    command = commands.add_parser("run", help="the engine; SIGTERM drains and stops cleanly")
    _config(command)
    _data(command)
    _env(command)
    command.set_defaults(command=lambda asked: _app().run(asked.config, asked.data, asked.env))


def _check(commands: Commands) -> None:
    command = commands.add_parser("check", help="lint everything: all problems at once, exit 1")
    _config(command)
    _env(command)
    command.set_defaults(command=lambda asked: _app().check(asked.config, asked.env))


def _test(commands: Commands) -> None:
    command = commands.add_parser("test", help="run channels/*.test.yaml, exit 1 with a field-level diff")
    _config(command)
    env = os.environ.get("CHARTWIRE_ENV") or None
    command.set_defaults(command=lambda asked: _app().test(asked.config, env))


def _send(commands: Commands) -> None:
    command = commands.add_parser("send", help="a real MLLP client; prints acks, rates, latencies")
    command.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="messages to send, in this order"
    )
    command.add_argument("--to", required=True, metavar="mllp://HOST:PORT", help="who is to get them")
    command.add_argument(
        "--count", type=_positive, default=1, metavar="N", help="send them N times (default: 1)"
    )
    command.add_argument("--connections", type=_positive, default=1, metavar="N", help="at once (default: 1)")
    command.set_defaults(
        command=lambda asked: _app().send(asked.files, asked.to, asked.count, asked.connections)
    )


def _messages(commands: Commands) -> None:
    command = commands.add_parser("messages", help="where messages are and what became of them")
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the newest messages first")
    listing.add_argument("--channel", metavar="C", help="of this channel")
    listing.add_argument(
        "--state", metavar="S", help="in this state: RECEIVED, SPLIT, STORED, QUARANTINED, ..."
    )
    listing.add_argument("--patient", metavar="MRN", help="about this patient: MRN or AUTHORITY|MRN")
    listing.add_argument("--key", metavar="K", help="with this control id (MSH-10) of the sender")
    listing.add_argument(
        "--since", metavar="T", help="received since then: 2026-03-01T08:00, or 2h, 30m, 7d ago"
    )
    listing.add_argument(
        "--limit", type=_positive, default=50, metavar="N", help="at most so many (default: 50)"
    )
    show = actions.add_parser("show", help="one message with its bytes")
    trace = actions.add_parser("trace", help="what one message made of the chart, and who was told")
    for action in (show, trace):
        action.add_argument("id", type=_positive, metavar="ID", help="the number that `list` shows")
    for action, name in ((listing, "listing"), (show, "show"), (trace, "trace")):
        action.add_argument("--json", action="store_true", help="one JSON object per line")
        _data(action)
        action.set_defaults(command=_asking, action=name)


def _asking(asked: argparse.Namespace) -> int:
    from engine.cli import messages

    return int(getattr(messages, asked.action)(asked))


def _case(commands: Commands) -> None:
    command = commands.add_parser("case", help="one patient or order across all wires, as one timeline")
    what = "MRN, AUTHORITY|MRN, Patient/ID; an order, accession or prescription number; Type/ID"
    command.add_argument("of", metavar="PATIENT_OR_ORDER", help=what)
    command.add_argument("--json", action="store_true", help="one JSON object per line")
    _data(command)
    command.set_defaults(command=_timeline)


def _timeline(asked: argparse.Namespace) -> int:
    from engine.cli import case

    return case.timeline(asked)


def _expectations(commands: Commands) -> None:
    command = commands.add_parser(
        "expectations", help="answers of partners that are waited for, are overdue or came"
    )
    text = "only those that did not come in time; exit 1 if there is one"
    command.add_argument("--overdue", action="store_true", help=text)
    command.add_argument("--json", action="store_true", help="one JSON object per line")
    _data(command)
    command.set_defaults(command=_awaiting)


def _awaiting(asked: argparse.Namespace) -> int:
    from engine.cli import expectations

    return expectations.listing(asked)


def _list(commands: Commands) -> None:
    command = commands.add_parser("list", help="what is installed, with settings and documentation")
    command.add_argument("kind", choices=KINDS)
    command.add_argument("--json", action="store_true", help="one JSON object per line")
    command.set_defaults(command=lambda asked: _app().describe(asked.kind, asked.json))


def _token(commands: Commands) -> None:
    command = commands.add_parser("token", help="bearer tokens for the HTTP API")
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make one and show it once")
    create.add_argument("--name", required=True, metavar="N", help="who will use it")
    _data(create)
    create.set_defaults(command=_creating)


def _creating(asked: argparse.Namespace) -> int:
    from engine.cli import token

    return token.create(asked.data, asked.name)


def _config(command: argparse.ArgumentParser) -> None:
    default = Path(os.environ.get("CHARTWIRE_CONFIG") or ".")
    text = "the directory with channels/ and routes.yaml"
    command.add_argument("--config", type=Path, default=default, metavar="DIR", help=text)


def _data(command: argparse.ArgumentParser) -> None:
    default = Path(os.environ.get("CHARTWIRE_DATA") or "data")
    command.add_argument("--data", type=Path, default=default, metavar="DIR", help="what the engine writes")


def _env(command: argparse.ArgumentParser) -> None:
    default = os.environ.get("CHARTWIRE_ENV") or None
    command.add_argument("--env", default=default, metavar="NAME", help="values of environments/NAME.yaml")


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return int(text)


def _app() -> ModuleType:
    from engine import app

    return app

"""`chartwire send`: a real MLLP client."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli.options import Commands, app, positive


def add(commands: Commands) -> None:
    command = commands.add_parser("send", help="a real MLLP client; prints acks, rates, latencies")
    text = "messages to send, in this order"
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help=text)
    command.add_argument("--to", required=True, metavar="mllp://HOST:PORT", help="who is to get them")
    text = "send them N times (default: 1)"
    command.add_argument("--count", type=positive, default=1, metavar="N", help=text)
    command.add_argument("--connections", type=positive, default=1, metavar="N", help="at once (default: 1)")
    command.set_defaults(command=send)


def send(asked: argparse.Namespace) -> int:
    return int(app().send(asked.files, asked.to, asked.count, asked.connections))

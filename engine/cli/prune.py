"""`chartwire prune`: retention."""

from __future__ import annotations

import argparse
import time

from engine.cli.options import Commands, data, reasoned
from engine.cli.terminal import progress
from engine.client import LONG, Engine, Refused, refusal

UNITS = {"h": 3600, "d": 86400}


def add(commands: Commands) -> None:
    text = "forget the bytes of old messages that are over; the chart, the history and the audit stay"
    command = commands.add_parser("prune", help=text)
    text = "what came longer ago than this, at least a day (30d)"
    command.add_argument("--older-than", type=_age, required=True, metavar="AGE", help=text)
    command.add_argument("--channel", default="", metavar="C", help="only of this channel")
    reasoned(command)
    data(command)
    command.set_defaults(command=prune)


def _age(text: str) -> float:
    """In seconds."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and unit in UNITS):
        raise argparse.ArgumentTypeError("must be a number of days or hours: 30d, 36h")
    return float(number) * UNITS[unit]


def prune(asked: argparse.Namespace) -> int:
    """Slice by slice, so that nobody waits for it. It can be stopped at any time."""
    wanted = {
        "before": int((time.time() - asked.older_than) * 1e6), "channel": asked.channel,
        "why": asked.why, "dry_run": asked.dry_run,
    }  # fmt: skip
    total, after = 0, 0
    try:
        with Engine(asked.data, LONG) as engine:
            while after is not None:
                done = engine.post("/admin/prune", {**wanted, "after": after})
                total, after = total + done["messages"], done["next"]
                progress(f"{total} messages")
    except Refused as error:
        return refusal(error)
    print(f"{'would forget' if asked.dry_run else 'forgot'} the bytes of {total} messages")
    return 0

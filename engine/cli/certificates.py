"""`chartwire certificates`: every certificate that is in use, and how long it is good."""

from __future__ import annotations

import argparse
import json

from engine.cli.messages import local, table
from engine.cli.options import Commands, as_json, data
from engine.client import Engine, Refused, refusal

COLUMNS = ("days", "until", "where", "subject", "serial", "file", "why")


def add(commands: Commands) -> None:
    text = "every certificate in use with the days that are left; exit 1 if one is over or cannot be read"
    command = commands.add_parser("certificates", help=text)
    as_json(command)
    data(command)
    command.set_defaults(command=listing)


def listing(asked: argparse.Namespace) -> int:
    """The one that ends first at the top."""
    try:
        with Engine(asked.data) as engine:
            found = engine.get("/admin/certificates")["certificates"]
    except Refused as error:
        return refusal(error)
    if asked.json:
        for each in found:
            print(json.dumps(each, ensure_ascii=False))
    elif found:
        table(COLUMNS, [{**each, "until": local(each["until"])} for each in found])
    else:
        print("no certificate is in use")
    return int(any(each["days"] is None or each["days"] < 0 for each in found))

"""`chartwire queues`: the lanes in trouble first, then what waits in every channel and destination."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from engine.cli.messages import local, table
from engine.cli.options import Commands, as_json, data
from engine.client import Engine, Refused, refusal

Json = dict[str, Any]
LANES = ("where", "lane", "state", "head", "behind", "age", "attempts", "due", "why")
CHANNELS = ("channel", "waiting", "held", "age", "paused")
DESTINATIONS = ("destination", "queued", "held", "parked", "age", "breaker", "paused")


def add(commands: Commands) -> None:
    text = "what waits, what stands still and why; exit 1 if something waits for a person"
    command = commands.add_parser("queues", help=text)
    command.add_argument("--destination", metavar="D", help="every lane of this one")
    as_json(command)
    data(command)
    command.set_defaults(command=listing)


def listing(asked: argparse.Namespace) -> int:
    """Exit status 1 if something waits for a person: a lane that stands still, or a delivery set aside."""
    try:
        with Engine(asked.data) as engine:
            found = engine.get(
                "/admin/queues", {"destination": asked.destination} if asked.destination else {}
            )
    except Refused as error:
        return refusal(error)
    if asked.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        _print(found, datetime.now(UTC))
    parked = any(destination["parked"] for destination in found["destinations"])
    return int(parked or any(lane["state"] not in ("FAILING", "WAITING") for lane in found["lanes"]))


def _print(found: Json, now: datetime) -> None:
    table(LANES, [_lane(lane, now) for lane in found["lanes"]])
    for columns, rows in ((CHANNELS, found["channels"]), (DESTINATIONS, found["destinations"])):
        if rows:
            print()
            table(columns, [_row(row, now) for row in rows])


def _row(row: Json, now: datetime) -> Json:
    return {**row, "age": age(row["oldest"], now), "paused": "paused" if row["paused"] else ""}


def _lane(lane: Json, now: datetime) -> Json:
    head = f"delivery {lane['delivery']}" if lane["delivery"] else f"message {lane['message']}"
    inbound = lane["channel"] is not None
    place = f" at {lane['place']}" if lane["place"] else ""
    return {
        **lane,
        "where": f"from {lane['channel']}" if inbound else f"to {lane['destination']}",
        "head": head,
        "behind": lane["depth"] if inbound else lane["depth"] - 1,
        "age": age(lane["oldest"], now),
        "due": local(lane["due"]) if lane["state"] == "FAILING" else "",
        "why": f"{lane['reason'] or lane['code'] or ''}{place}",
    }


def age(since: str | None, now: datetime) -> str:
    """How long ago, in the largest unit that is not 0."""
    if since is None:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"

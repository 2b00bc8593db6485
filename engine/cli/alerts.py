"""`chartwire alerts`: what is wrong now, what was, and who is told of it."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from engine.cli.messages import local, table
from engine.cli.options import Commands, as_json, data, positive, reasoned
from engine.client import Engine, Refused, refusal

COLUMNS = ("id", "rule", "subject", "opened", "closed", "text", "ack")
MUTES = ("rule", "subject", "until", "who", "why")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Json = dict[str, Any]


def add(commands: Commands) -> None:
    command = commands.add_parser("alerts", help="what is wrong, who was told; acknowledge, mute, test")
    as_json(command)
    data(command)
    command.set_defaults(command=listing)
    actions = command.add_subparsers(title="actions", metavar="ACTION")
    _list(actions)
    action = actions.add_parser("ack", help="it stays open, but nobody is reminded of it")
    action.add_argument("id", type=positive, metavar="ID")
    _why(action)
    action.set_defaults(command=acknowledge)
    for name, text in (("mute", "tell nobody of this for a while"), ("unmute", "tell again")):
        action = actions.add_parser(name, help=text)
        action.add_argument("rule", metavar="RULE", help="silent, stuck, queue_age, errors, ...")
        action.add_argument(
            "--subject", default="*", metavar="S", help="'channel lab'; default: all of the rule"
        )
        if name == "mute":
            action.add_argument(
                "--for", dest="span", type=_span, required=True, metavar="T", help="30m, 2h, 7d"
            )
        _why(action)
        action.set_defaults(command=muting, action=name)
    action = actions.add_parser(
        "test", help="tell everybody that this is a test; exit 1 if somebody did not take it"
    )
    data(action)
    action.set_defaults(command=test)


def _list(actions: Commands) -> None:
    action = actions.add_parser(
        "list", help="those that are open, then the newest that are over; exit 1 if one is open"
    )
    as_json(action)
    data(action)
    action.set_defaults(command=listing)


def _why(action: argparse.ArgumentParser) -> None:
    reasoned(action)
    data(action)


def _span(text: str) -> float:
    if match := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return float(int(match[1]) * UNITS[match[2]])
    raise argparse.ArgumentTypeError("must be a duration such as 2h")


def listing(asked: argparse.Namespace) -> int:
    """Exit status 1 if one is open that nobody has acknowledged."""
    try:
        with Engine(asked.data) as engine:
            found = engine.get("/admin/alerts")
    except Refused as error:
        return refusal(error)
    alerts = sorted(found["alerts"], key=lambda alert: alert["closed"] is not None)
    if asked.json:
        print(json.dumps({**found, "alerts": alerts}, ensure_ascii=False))
    else:
        _print(alerts, found["mutes"])
    return int(any(alert["closed"] is None and alert["who"] is None for alert in alerts))


def _print(alerts: list[Json], mutes: list[Json]) -> None:
    if not alerts:
        print("nothing was ever wrong")
    table(COLUMNS, [_row(alert) for alert in alerts])
    if mutes:
        print("\nmuted")
        table(MUTES, [{**mute, "until": local(mute["until"])} for mute in mutes], "  ")


def _row(alert: Json) -> Json:
    times = {name: local(alert[name]) for name in ("opened", "closed")}
    return {**alert, **times, "ack": f"{alert['who']}: {alert['why']}" if alert["who"] else ""}


def acknowledge(asked: argparse.Namespace) -> int:
    """Say that somebody is at it."""
    return _post(asked, f"/admin/alerts/{asked.id}/ack", {}, f"alert {asked.id} is acknowledged")


def muting(asked: argparse.Namespace) -> int:
    """Mute or unmute a rule."""
    wanted: Json = {"rule": asked.rule, "subject": asked.subject}
    if asked.action == "mute":
        wanted["seconds"] = asked.span
    return _post(
        asked, f"/admin/alerts/{asked.action}", wanted, f"{asked.rule} {asked.subject}: {asked.action}d"
    )


def _post(asked: argparse.Namespace, path: str, wanted: Json, done: str) -> int:
    try:
        with Engine(asked.data) as engine:
            engine.post(path, {**wanted, "why": asked.why, "dry_run": asked.dry_run})
    except Refused as error:
        return refusal(error)
    print(f"would be: {done}" if asked.dry_run else done)
    return 0


def test(asked: argparse.Namespace) -> int:
    """Who took it and who did not, and why."""
    try:
        with Engine(asked.data) as engine:
            found = engine.post("/admin/alerts/test", {})["told"]
    except Refused as error:
        return refusal(error)
    for each in found:
        print(f"{each['notifier']}: {'taken' if each['taken'] else each['why']}")
    if not found:
        print("only the log is told: alerts.yaml has neither mail: nor webhook:")
    return int(any(not each["taken"] for each in found))

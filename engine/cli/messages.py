"""`chartwire messages`: asks the running engine; its answers for people or, with `--json`, for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from engine.cli import again
from engine.cli.options import Commands, as_json, data, positive, reasoned
from engine.client import Engine, Refused, refusal

Json = dict[str, Any]
PAGE = 500
COLUMNS = ("id", "received", "channel", "state", "kind", "key", "code", "place")
DELIVERY = ("id", "destination", "state", "attempts", "control", "lane", "code")


def add(commands: Commands) -> None:
    command = commands.add_parser("messages", help="where messages are and what became of them")
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    _list(actions)
    again.actions(actions)
    for name, text, run in (
        ("show", "one message with its bytes", show),
        ("trace", "what one message made of the chart, and who was told", trace),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("id", type=positive, metavar="ID", help="the number that `list` shows")
        as_json(action)
        data(action)
        action.set_defaults(command=run)

    action = actions.add_parser(
        "park", help="let the lane go on that a message in trouble holds (`head: block`)"
    )
    action.add_argument("id", type=positive, metavar="ID", help="the number that `queues` shows")
    reasoned(action)
    data(action)
    action.set_defaults(command=park)


def _list(actions: Commands) -> None:
    action = actions.add_parser("list", help="the newest messages first")
    action.add_argument("--channel", metavar="C", help="of this channel")
    text = "in this state: RECEIVED, SPLIT, HELD, STORED, QUARANTINED, ..."
    action.add_argument("--state", metavar="S", help=text)
    action.add_argument("--patient", metavar="MRN", help="about this patient: MRN or AUTHORITY|MRN")
    action.add_argument("--key", metavar="K", help="with this control id (MSH-10) of the sender")
    text = "received since then: 2026-03-01T08:00, or 2h, 30m, 7d ago"
    action.add_argument("--since", metavar="T", help=text)
    for number in ("visit", "order", "accession"):
        text = f"about this {number}: NUMBER or AUTHORITY|NUMBER; raw and quarantined ones that hold it too"
        action.add_argument(f"--{number}", metavar="N", help=text)
    text = "whose bytes hold this, in letters of any case; raw and quarantined ones too"
    action.add_argument("--text", metavar="TEXT", help=text)
    text = "at most so many (default: 50)"
    action.add_argument("--limit", type=positive, default=50, metavar="N", help=text)
    as_json(action)
    data(action)
    action.set_defaults(command=listing)


def listing(asked: argparse.Namespace) -> int:
    """`messages list`: newest first."""
    names = ("channel", "state", "patient", "visit", "order", "accession", "key", "since", "text")
    wanted = {name: value for name in names if (value := getattr(asked, name)) is not None}
    try:
        with Engine(asked.data) as engine:
            found = list(_pages(engine, wanted, asked.limit))
    except Refused as error:
        return refusal(error)
    if asked.json:
        _lines(found)
    elif found:
        table(COLUMNS, [{**m, "received": local(m["received"])} for m in found])
    else:
        print("no messages")
    return 0


def _pages(engine: Engine, wanted: dict[str, str], limit: int) -> Iterator[Json]:
    cursor = None
    while limit > 0:
        more = {"limit": str(min(limit, PAGE)), **({"cursor": str(cursor)} if cursor else {})}
        page = engine.get("/admin/messages", {**wanted, **more})
        yield from page["messages"]
        limit -= len(page["messages"])
        if (cursor := page["next"]) is None:
            return


def show(asked: argparse.Namespace) -> int:
    """`messages show ID`: the message and its bytes."""
    return _one(asked, "", _shown)


def trace(asked: argparse.Namespace) -> int:
    """`messages trace ID`: what became of it."""
    return _one(asked, "/trace", _traced)


def park(asked: argparse.Namespace) -> int:
    """`messages park ID`: those behind it go on."""
    try:
        with Engine(asked.data) as engine:
            request = {"why": asked.why, "dry_run": asked.dry_run}
            found = engine.post(f"/admin/messages/{asked.id}/park", request)
    except Refused as error:
        return refusal(error)
    would = "would be parked" if asked.dry_run else "parked"
    print(f"message {asked.id}: {would}" if found["parked"] else f"message {asked.id} holds nothing back")
    return 0


def _one(asked: argparse.Namespace, what: str, tell: Any) -> int:
    try:
        with Engine(asked.data) as engine:
            found = engine.get(f"/admin/messages/{asked.id}{what}")
    except Refused as error:
        return refusal(error)
    if asked.json:
        _lines([found])
    else:
        tell(found)
    return 0


def _shown(message: Json) -> None:
    _head(message)
    print()
    body = message["body"]
    if message["spooled"]:
        print(f"its bytes are in {message['spooled']}; so it begins:\n")
    if body is None:
        print("its bytes cannot be read" if message["spooled"] else "its bytes were not kept")
    elif "text" in body:
        print(_printable(body["text"]))
    else:
        print(f"base64: {body['base64']}")


def _traced(message: Json) -> None:
    _head(message)
    print("\nchart")
    for made in message["resources"]:
        numbers = [f"version {v['number']}{' (gone)' if v['gone'] else ''}" for v in made["versions"]]
        print(f"  {made['url']}  {', '.join(numbers) or 'nothing new'}")
    if not message["resources"]:
        print("  nothing")
    print("\ndeliveries")
    if not message["deliveries"]:
        print("  none")
    table(DELIVERY, message["deliveries"], "  ")
    for delivery in message["deliveries"]:
        if delivery["reason"]:
            print(f"  {delivery['id']}: {delivery['reason']}")
        if delivery["expects"]:
            print(f"  {delivery['id']}: {_expected(delivery['expects'])}")


def _expected(expects: Json) -> str:
    if expects["state"] == "answered":
        return f"answered {expects['said']} by message {expects['answer']} of {expects['answers']}"
    due = f" by {local(expects['due'])}" if expects["due"] else " once delivered"
    overdue = ": overdue" if expects["state"] == "overdue" else ""
    return f"an answer on {expects['answers']} is due{due}{overdue}"


def _head(message: Json) -> None:
    print(f"message {message['id']}: {message['state']}")
    place = f" at {message['place']}" if message["place"] else ""
    if message["code"]:
        print(f"{message['code']}{place}: {message['reason']}")
    facts = {
        "channel": message["channel"],
        "kind": message["kind"],
        "key": message["key"],
        "from": message["peer"],
        "received": local(message["received"]),
        "settled": local(message["settled"]),
        "bytes": message["size"],
        "repeats": message["repeats"] or None,
        "part": f"{message['position']} of message {message['parent']}" if message["parent"] else None,
        "by": f"configuration {message['configuration']}" if message["configuration"] else None,
        "edits": f"message {message['edits']}" if message["edits"] else None,
        "edited": ", ".join(f"by message {id}" for id in message["edited_by"]),
        "parts": ", ".join(f"{number} {state}" for state, number in message["parts"].items()),
    }
    for name, value in facts.items():
        if value:
            print(f"  {name:<9}{_plain(value)}")
    for part in message["troubled"]:
        place = f" at {part['place']}" if part["place"] else ""
        print(f"  part {part['position']} is message {part['id']}: {part['state']}, {part['code']}{place}")


def local(instant: str | None) -> str:
    """An instant as ISO 8601 writes it in this machine's time zone, to the second."""
    return datetime.fromisoformat(instant).astimezone().isoformat(timespec="seconds") if instant else ""


def _lines(rows: Sequence[Json]) -> None:
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))


def table(columns: Sequence[str], rows: Sequence[Json], indent: str = "") -> None:
    """Columns as wide as what is in them; nothing if there are no rows."""
    cells = [[_plain(row[column]) for column in columns] for row in rows]
    if not cells:
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in ([c.upper() for c in columns], *cells):
        print(indent + "  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip())


def _plain(value: object) -> str:
    """One line, without what a terminal would obey."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else "\N{MIDDLE DOT}" for c in text)


def _printable(text: str) -> str:
    """Segments on lines of their own (HL7 v2 ends them with CR), nothing that a terminal would obey."""
    return "\n".join(
        _plain(line) for line in text.replace("\r\n", "\r").replace("\n", "\r").rstrip("\r").split("\r")
    )

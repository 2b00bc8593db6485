"""`chartwire messages reprocess|replay|resend|edit`: what is done again about messages that came to an end."""

from __future__ import annotations

import argparse
import time
from typing import Any

from engine.cli.options import Commands, data, positive, reasoned, where
from engine.client import Engine, Refused, refusal

PAGE = 200
WORDS = "channel=, state=, patient=, key=, since="
ACTIONS = {
    "reprocess": "compute and file them again: what each says is replaced, nobody is told twice",
    "replay": "the same, and their routes tell everybody again, by new deliveries",
    "resend": "what they sent goes out again as it was, by new deliveries; the chart is left alone",
}


def actions(commands: Commands) -> None:
    """The actions of `messages` that do something again."""
    for name, text in ACTIONS.items():
        action = commands.add_parser(name, help=text)
        action.add_argument(
            "ids", nargs="*", type=positive, metavar="ID", help="the numbers that `list` shows"
        )
        action.add_argument("--where", type=where, default={}, metavar="WORDS", help=f"all of these: {WORDS}")
        if name == "resend":
            action.add_argument("--to", default="", metavar="D", help="only what went to this destination")
        action.add_argument("--rate", type=positive, metavar="N/S", help="so many messages a second at most")
        reasoned(action)
        data(action)
        action.set_defaults(command=run, action=name)
    action = commands.add_parser("edit", help="a new message with other values, which points to the old one")
    action.add_argument(
        "id", type=positive, metavar="ID", help="one that had no effect: QUARANTINED, FAILED, ..."
    )
    text = "PID-5.1=SMITH; may be given again"
    action.add_argument("--set", action="append", required=True, metavar="PATH=VALUE", help=text, type=_pair)
    action.add_argument(
        "--resubmit", action="store_true", required=True, help="process it (nothing else is possible)"
    )
    reasoned(action)
    data(action)
    action.set_defaults(command=edit)


def _pair(text: str) -> tuple[str, str]:
    path, sign, value = text.partition("=")
    if not (path and sign):
        raise argparse.ArgumentTypeError("must be PATH=VALUE")
    return path, value


def run(asked: argparse.Namespace) -> int:
    """The oldest first, a page at a time; what was done is told even if it is broken off."""
    done = 0
    try:
        with Engine(asked.data) as engine:
            ids = asked.ids or _found(engine, asked.where)
            for start in range(0, len(ids), size := min(PAGE, asked.rate or PAGE)):
                began = time.monotonic()
                done += len(_some(engine, asked, ids[start : start + size]))
                if asked.rate and start + size < len(ids):
                    time.sleep(max(0.0, size / asked.rate - (time.monotonic() - began)))
    except Refused as error:
        print(f"{done} messages: {asked.action}")
        return refusal(error)
    except KeyboardInterrupt:
        print(f"{done} messages: {asked.action}; broken off")
        raise
    print(f"{done} messages{' would be' if asked.dry_run else ''}: {asked.action}")
    return 0


def _found(engine: Engine, wanted: dict[str, str]) -> list[int]:
    if not wanted:
        raise Refused(f"say which messages: by number, or --where with {WORDS}")
    found: list[int] = []
    more: dict[str, str] = {"limit": "1000"}
    while True:
        page = engine.get("/admin/messages", {**wanted, **more})
        found += [message["id"] for message in page["messages"]]
        if page["next"] is None:
            return found[::-1]
        more["cursor"] = str(page["next"])


def _some(engine: Engine, asked: argparse.Namespace, ids: list[int]) -> list[int]:
    request: dict[str, Any] = {"ids": ids, "why": asked.why, "dry_run": asked.dry_run}
    if asked.action == "resend":
        request["to"] = asked.to
    done: list[int] = engine.post(f"/admin/messages/{asked.action}", request)["messages"]
    return done


def edit(asked: argparse.Namespace) -> int:
    """Say which message it became."""
    request = {"set": dict(asked.set), "why": asked.why, "dry_run": asked.dry_run}
    try:
        with Engine(asked.data) as engine:
            made = engine.post(f"/admin/messages/{asked.id}/edit", request)
    except Refused as error:
        return refusal(error)
    would = f"message {asked.id} would be edited"
    print(would if asked.dry_run else f"message {made['made']} corrects message {asked.id}")
    return 0

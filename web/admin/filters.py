"""Which messages are asked for: channel, state, patient, visit, order, accession, key, since, text, limit, cursor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from engine.journal import inquiry
from engine.journal.case import NUMBERS, numbered
from engine.journal.inquiry import Filter
from engine.message import State
from engine.running import Running
from store.identity import Authority, Identity, normalised
from store.reason import Reason

NAMES = ("channel", "state", "patient", *NUMBERS, "key", "since", "text", "limit", "cursor")
PAGE, LARGEST = 50, 1000
_DURATION = re.compile(r"(\d{1,9})\s*([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Asked(NamedTuple):
    filter: Filter
    cursor: int | None
    limit: int
    text: str = ""


def read(running: Running, given: Mapping[str, str], now: int) -> Asked | Reason:
    """The filter, or which parameter is wrong (never its value). `now` in microseconds since the epoch."""
    if any(name not in NAMES for name in given):
        return Reason("not-supported", f"a parameter is not known; there are {', '.join(NAMES)}")
    values = {name: _read(running, name, text, now) for name, text in given.items()}
    if wrong := next((value for value in values.values() if isinstance(value, Reason)), None):
        return wrong
    asked = [name for name in ("text", *NUMBERS) if name in values]
    if len(asked) > 1:
        return Reason("not-supported", f"ask for one of {', '.join(asked)} at a time")
    wanted = Filter(**{name: values.get(name) for name in ("channel", "state", "key", "patient", "since")})
    text = values[asked[0]] if asked else ""
    if asked and asked[0] in NUMBERS:
        wanted = replace(wanted, among=numbered(running.reader, running.identity, asked[0], text))
        text = text.rpartition("|")[2]
    return Asked(wanted, values.get("cursor"), min(values.get("limit", PAGE), LARGEST), text)


def _read(running: Running, name: str, text: str, now: int) -> Any:
    match name:
        case "state":
            return _state(text)
        case "since":
            return since(text, now)
        case "patient":
            return _patients(running, text)
        case "text":
            return text if len(text.strip()) >= 3 else Reason("invalid", "must be 3 letters or more", "text")
        case _ if name in NUMBERS and not text.rpartition("|")[2].strip():
            return Reason("invalid", "has no number", name)
        case "limit" | "cursor":
            return number(text, name)
    return text


def _state(text: str) -> State | Reason:
    try:
        return State(text.upper())
    except ValueError:
        return Reason("invalid", f"must be one of {', '.join(State)}", "state")


def since(text: str, now: int) -> int | Reason:
    """A time as ISO 8601 writes it (local where it says no zone), or how long ago: 45s, 30m, 2h, 7d."""
    if match := _DURATION.fullmatch(text.strip()):
        return now - int(match[1]) * _UNITS[match[2]] * 1_000_000
    try:
        return int(datetime.fromisoformat(text.strip().replace(" ", "+")).timestamp() * 1e6)
    except (ValueError, OverflowError):
        return Reason("invalid", "must be a time such as 2026-03-01T08:00 or a duration such as 2h", "since")


def number(text: str | None, name: str) -> int | Reason | None:
    """A number above 0, if there is one."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 19 and int(text):
        return int(text)
    return Reason("invalid", "must be a number above 0", name)


def _patients(running: Running, text: str) -> tuple[bytes, ...] | Reason:
    """The keys of the patient with an identifier: `VALUE` of any authority that identifies patients, or
    `AUTHORITY|VALUE`; and of those who are the same person."""
    authorities = _authorities(running.identity, text)
    if isinstance(authorities, Reason):
        return authorities
    value = text.rpartition("|")[2]
    valued = [(a, normal) for a in authorities if (normal := normalised(a, value))]
    if not valued:
        return Reason("invalid", "has no identifier", "patient")
    keys = [running.identity.patient_key(a, normal) for a, normal in valued]
    return tuple({k for key in keys for k in inquiry.same_person(running.reader, key)})


def _authorities(identity: Identity, text: str) -> list[Authority] | Reason:
    name, named, _ = text.rpartition("|")
    if not named:
        return [a for a in identity.authorities if a.identifies]
    found = identity.authority([name])
    if found is None or not found.identifies:
        names = ", ".join(a.name for a in identity.authorities if a.identifies)
        return Reason("invalid", f"is of no authority that identifies patients; there are {names}", "patient")
    return [found]

"""NCPDP SCRIPT: the Header says who answers what; the transaction is the element in Body."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from engine.plugin import Feed, Format, format_
from formats import script
from store.reason import Reason

ANSWERS = frozenset({"Status", "Error", "Verify"})


def _processing(message: script.Message) -> tuple[str, str]:
    """TestMessage in the Header, in any spelling of true."""
    test = message.text("Header/TestMessage").lower() in ("1", "true", "y", "yes")
    return ("T" if test else "P"), "Header/TestMessage"


def sent(message: script.Message, feed: Feed) -> int | Reason:
    """SentTime, in microseconds; one without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(message.text("Header/SentTime").replace(".0Z", "Z"))
    except ValueError:
        return Reason("bad-time", "SentTime is no date and time", "Header/SentTime")
    whole = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(whole.timestamp() * 1_000_000)


def _times(message: script.Message, feed: Feed) -> Iterable[tuple[int, str]] | Reason:
    if message.kind in ANSWERS:
        return ()
    moment = sent(message, feed)
    return moment if isinstance(moment, Reason) else [(moment, "Header/SentTime")]


def _relates(message: script.Message) -> str | None:
    return message.text("Header/RelatesToMessageID") if message.kind in ANSWERS else None


FORMAT = format_(
    "script",
    Format(
        parse=script.parse,
        kind=lambda message: message.kind,
        write=lambda message: message.raw,
        key=lambda message: message.text("Header/MessageID") or None,
        processing=_processing,
        times=_times,
        relates=_relates,
    ),
)

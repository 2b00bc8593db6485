"""Links that count their messages (HL7 v2.5.1, 2.10.1): what is not the next of its link is not taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.journal import inbox, sequence
from engine.message import Accepted, Duplicate, Receipt, Received, Refused
from store.database import Connection
from store.reason import Reason

Work = Callable[[Connection], Receipt]
Keep = Callable[[Connection, str, Received, Reason], object]
"""Writes down what is refused, of a channel, and why."""


def counted(link: str, channel: str, received: Received, work: Work, keep: Keep) -> Work:
    """The same work, where the message is the next of its link. What begins a link is no message, but asks which is."""
    if (number := received.sequence) is None:
        return work

    def checked(connection: Connection) -> Receipt:
        expected = sequence.expected(connection, link)
        if number == 0:
            return Accepted(0, expected=sequence.FIRST if expected is None else expected)
        if expected is None or number == expected:
            receipt = work(connection)
            if not isinstance(receipt, Accepted | Duplicate):
                return receipt
            sequence.follow(connection, link, number + 1)
            return replace(receipt, expected=number + 1)
        if number == expected - 1 and (known := inbox.known(connection, channel, received)):
            return Duplicate(known, expected=expected)  # its answer was lost
        text = f"message {expected} of this link is next; start the link anew, or see `chartwire sequences`"
        reason = Reason("sequence", text, "MSH-13")
        keep(connection, channel, received, reason)
        return Refused(reason, unsupported=True, expected=expected)

    return checked

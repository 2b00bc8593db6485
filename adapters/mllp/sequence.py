"""The sequence number protocol as a sender has it (HL7 v2.5.1, 2.10.1)."""

from __future__ import annotations

from store.reason import Reason

ANY = -1
"""What a receiver expects that has taken nothing yet."""


def number(ours: int | None, expected: int, *, tried: bool) -> int | Reason | None:
    """The number that a message goes out with; None: the receiver has it already; or why it cannot go.

    `ours` is the number that was written down for it, None on a link of which nothing is known; `tried` says that it
    may have gone out with it. One step ahead of us, the receiver has taken what it was sent last: this message, or, if
    this one never went out, the one before, whose answer was lost.
    """
    if ours is None:
        return 1 if expected == ANY else expected
    if expected in (ANY, ours):
        return ours
    if expected == ours + 1:
        return None if tried else expected
    return frozen(ours, expected)


def frozen(ours: int, expected: int) -> Reason:
    """The two sides do not agree: a person must look."""
    text = f"the receiver expects message {expected} of this link, the next one is {ours}: `chartwire sequences set`"
    return Reason("sequence", text, "MSH-13")

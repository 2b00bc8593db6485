"""When the next attempt at one destination may be made: its rate, and its circuit breaker."""

from __future__ import annotations

from engine.channel import Partner
from engine.message import Outcome, Retry, Unknown

PAUSE = 10.0
"""Seconds that a destination is left in peace, if its `breaker:` says nothing else and its retries are not quicker."""
NEVER = float("inf")


class Pace:
    """Closed, attempts go as the rate allows. After `after` failures in a row it opens: none goes for a while, then
    one alone; if that fails it stays open, else all go again. Times in seconds of one monotonic clock."""

    def __init__(self, partner: Partner) -> None:
        self._apart = 1 / partner.rate if partner.rate else 0.0
        self._after = partner.breaker.after
        pause = partner.breaker.pause
        self._pause = min(PAUSE, partner.retry.max) if pause is None else pause
        self._next = 0.0
        self._failures = 0
        self._until = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        return self._failures >= self._after

    def wait(self, now: float) -> float:
        """Seconds until an attempt may be made. 0: now, and it is counted; NEVER: not before another has ended."""
        if self.open and self._trying:
            return NEVER
        if (left := max(self._next, self._until) - now) > 0:
            return left
        self._trying = self.open
        self._next = max(self._next, now) + self._apart
        return 0.0

    def tell(self, outcome: Outcome | None, now: float) -> bool:
        """What came of an attempt; None: there was nothing to attempt. Has it opened or closed with that?"""
        before, self._trying = self.open, False
        if outcome is None:
            self._next -= self._apart
        elif isinstance(outcome, Retry | Unknown):
            self._failures += 1
            self._until = now + self._pause if self.open else 0.0
        else:
            self._failures, self._until = 0, 0.0
        return self.open is not before

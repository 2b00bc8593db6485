"""How long answers took lately: ours to senders, by channel, and those of partners, by destination."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

LATELY = 300.0
"""Seconds that are looked back."""
MOST = 1000
"""So many answers of each are looked at."""
SHARE = 0.95


class Slow(NamedTuple):
    """The 95th percentile in seconds, and of how many answers."""

    seconds: float
    answers: int


class Latency:
    """The newest answers of this process by `channel NAME` and `destination NAME`."""

    def __init__(self) -> None:
        self._told: dict[str, deque[tuple[float, float]]] = {}

    def tell(self, subject: str, seconds: float) -> None:
        """An answer took so long."""
        if (known := self._told.get(subject)) is None:
            known = self._told[subject] = deque(maxlen=MOST)
        known.append((time.monotonic(), seconds))

    def lately(self) -> dict[str, Slow]:
        """Of whom anything was told."""
        since = time.monotonic() - LATELY
        found: dict[str, Slow] = {}
        for subject, told in self._told.items():
            if taken := sorted(seconds for at, seconds in list(told) if at >= since):
                found[subject] = Slow(taken[int(SHARE * (len(taken) - 1))], len(taken))
        return found

"""The configuration that is current, and where its channels are computed and taken apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.channel import Configuration
from engine.runtime.compute import Compute, Start


def nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A configuration that can run. `compute` and the processes that `split` starts compile the very same. `ready`
    waits for what computes, or raises EOFError if it does not start; `close` ends it. Both block."""

    configuration: Configuration
    compute: Compute
    split: Start
    ready: Callable[[], None] = nothing
    close: Callable[[], None] = nothing


@dataclass(slots=True)
class Current:
    """What everybody looks at, in whatever thread; it is replaced as a whole, by the event loop's thread. Whoever
    computes keeps the one that it began with, and looks again before it files."""

    made: Made

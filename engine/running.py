"""The running engine, as the web sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.channel import Configuration
from engine.journal.spool import Spool
from engine.plugin import Intake
from engine.runtime.metrics import Metrics
from store.database import Connection
from store.database.commit import Committer
from store.identity import Identity
from store.reason import Reason


@dataclass(frozen=True, slots=True)
class Running:
    """`reader` is a read-only connection for the event loop's thread; writes go through `committer`.
    `unready` says why messages cannot be taken now, or None if they can. `intakes` by channel."""

    configuration: Configuration
    reader: Connection
    committer: Committer
    identity: Identity
    metrics: Metrics
    unready: Callable[[], Reason | None]
    intakes: Mapping[str, Intake] = field(default_factory=dict)
    spool: Spool | None = None

"""The vocabulary of the engine: what arrives, what is said of it, what leaves, and every answer.

All values are frozen. Results are types; an exception is a bug or a broken machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from store.facts import Belongs, Link, Write
from store.prepared import Prepared
from store.reason import Reason

Said = Prepared | Link | Belongs | Write

NOTHING: Mapping[str, str] = {}


class State(StrEnum):
    """Where a message stands. Every message ends in a visible one; RECEIVED, SPLITTING and HELD are not the end."""

    RECEIVED = "RECEIVED"  # durable, not processed yet
    SPLITTING = "SPLITTING"  # durable; its parts are being made messages of their own
    SPLIT = "SPLIT"  # all of its parts are messages of their own
    HELD = "HELD"  # waits behind one of its lane that is in trouble; a person decides about that one
    STORED = "STORED"  # its facts are in the chart
    STORED_RAW = "STORED_RAW"  # the channel stores, but no map says what this type means: bytes only
    ROUTED = "ROUTED"  # the channel does not store; at least one route took it
    UNROUTED = "UNROUTED"  # the channel does not store and no route took it
    FILTERED = "FILTERED"  # a step of the channel dropped it on purpose
    QUARANTINED = "QUARANTINED"  # its content cannot be trusted; a person must look
    FAILED = "FAILED"  # our map or chart could not take it; a person must look
    REFUSED = "REFUSED"  # the sender was told no; the bytes are kept


@dataclass(frozen=True, slots=True)
class Spooled:
    """A body too big for a row: a file of the spool, durable under its name. `digest`: BLAKE2b of its bytes."""

    name: str
    size: int
    digest: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class Received:
    """Raw bytes as they arrived. `key` is the sender's own name for them (MSH-10, ISA13, SOP UID).

    Of a spooled one, `body` is what the channel reads (a DICOM header); empty: it reads the whole file.
    """

    body: bytes
    key: str | None = None
    peer: str = ""
    meta: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    spooled: Spooled | None = None
    sequence: int | None = None  # the sender's number for it, where the link counts; 0 starts the link

    @property
    def size(self) -> int:
        return self.spooled.size if self.spooled else len(self.body)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message is committed and fsynced. `reply`: the answer itself, where the engine makes it; a query
    (`ack: replied`) has no row: its `message` is 0. `later`: what becomes of it is told by an exchange of its own.
    `expected`: where the link counts, the number that is next."""

    message: int
    reply: bytes | None = None
    later: bool = False
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same bytes under the same key were accepted before, as `message`; tell the sender yes."""

    message: int
    reply: bytes | None = None
    later: bool = False
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The sender's fault; the bytes are kept. `unsupported`: a kind that nobody here takes (AR, not AE)."""

    reason: Reason
    unsupported: bool = False
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Our fault; nothing was committed. The sender may try again."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The commit's outcome is unknown: close the connection without an answer."""


Receipt = Accepted | Duplicate | Refused | Unavailable | Uncertain


@dataclass(frozen=True, slots=True)
class Delivery:
    """One payload for one destination: one outbox row. `id` and `control` are ours and stable over retries."""

    id: int
    message: int
    destination: str
    lane: int
    body: bytes
    attempts: int = 0
    origin: str = "CW"  # tells this installation's control ids from any other's
    spooled: Path | None = None  # the message's own bytes, where they are in the spool
    counted: bool = False  # the link counts; then
    sequence: int | None = None  # its number on the link; None: the receiver is asked
    tried: bool = False  # it may have gone out with that number before

    @property
    def control(self) -> str:
        """Our outgoing control id (MSH-10 and the like): at most 20 characters, the same on every attempt."""
        return f"{self.origin}{self.id}"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has it. `reply` is what it answered, kept for the record; not `final`: it only says that it
    came, and the answer that is expected comes later. Of a batch, `refused` are the control ids of the messages in it
    that were not taken, and why."""

    reply: bytes = b""
    final: bool = True
    refused: tuple[tuple[str, Reason], ...] = ()
    sequence: int | None = None  # the number that it went out with


@dataclass(frozen=True, slots=True)
class Retry:
    """Provably not accepted (not sent, or refused for now): it is safe to send again."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Unknown:
    """Sent, but no usable answer came: it may or may not have been accepted."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Rejected:
    """The destination refused the content for good: sending it again cannot help."""

    reason: Reason
    reply: bytes = b""


Outcome = Delivered | Retry | Unknown | Rejected


@dataclass(frozen=True, slots=True)
class Stop:
    """A step or a map ends the walk of a message here, in a visible state, with a reason."""

    state: State
    reason: Reason


@dataclass(frozen=True, slots=True)
class Chart:
    """A delivery's payload that is made when the facts are applied: the resources that the message changed."""


@dataclass(frozen=True, slots=True)
class Expect:
    """What must follow a delivery: an answer `within` so many seconds, as a message of the channel `answers`."""

    within: float
    answers: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery before it has a row: `body` None means the message's own bytes, unchanged."""

    route: str
    destination: str
    order: str  # the order key in clear; it becomes an opaque lane before it is written
    body: bytes | Chart | None
    expect: Expect | None = None
    also: tuple[str, ...] = ()  # the other order keys that it may neither overtake nor be overtaken in


@dataclass(frozen=True, slots=True)
class Owed:
    """An answer that the sender gets by an exchange of its own once the message has ended. `head` is what the answer
    is made of, in `format`; `success` and `failure`: is it owed then?"""

    route: str
    destination: str
    format: str
    head: bytes
    success: bool
    failure: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a message that a splitter takes apart; with a `reason` it is kept as REFUSED and goes no further."""

    body: bytes
    key: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a splitter answers the sender of the whole (TA1, 999): it goes out by the routes that `send: answer`."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a query, and the keys of the patients whose data it holds, for the audit."""

    reply: bytes
    patients: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Processed:
    """Everything that one message asks for, computed before a row is written."""

    message: int
    state: State
    reason: Reason | None = None
    kind: str = ""  # what the message is: "ADT^A01"
    patient: bytes | None = None  # key of the patient that it is about
    order: str = ""  # the order key of its lane, in clear; never stored
    said: tuple[Said, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()
    owed: tuple[Owed, ...] = ()
    relates: str = ""  # the id of the message of ours that this one answers
    system: str = ""  # whose word it is: nothing that follows from it goes back there
    hops: int = 0  # how many changes of the chart led to it
    lane: int | None = None  # the opaque lane, where its channel holds back what comes behind trouble
    attempt: int = 0  # how often it was replayed: its deliveries are new ones each time
    edits: int | None = None  # the message that it corrects
    configuration: int | None = None  # the number of the one that processed it


@dataclass(frozen=True, slots=True)
class Message:
    """One Received on its way through a channel, with its parsed body (an `hl7v2.Message`, ...)."""

    id: int
    received: int  # microseconds since the epoch, UTC
    raw: bytes
    body: Any
    origin: str = ""  # the system whose word changed the chart, where the chart is the source

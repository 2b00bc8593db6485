"""What one message says: facts about resources and links between patients.

A fact holds element values, a clock, and whether it can bring its resource into being. Facts are append-only;
the current resource is a fold over them (`store.fold`), so that arrival order does not matter.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from store.identity import Identity
    from store.prepared import Prepared

ANY = "*"
"""What a fact `cancels` that stands for the whole resource: nothing said before it counts any more."""


class Clock(NamedTuple):
    """When the source said it. Compared field by field; the message's place in its lane breaks ties at last.

    `weight` 0 marks hearsay: a fact that only fills gaps (a laboratory's copy of the demographics), below
    every fact of weight 1. `time` and `sent` are microseconds since the epoch, UTC. For results, `time` is
    OBR-22 and `status` the rank of the result status, so that final beats preliminary and corrected beats
    final; `sent` is MSH-7. `rank` (16 bits) is the channel's, `sequence` the feed's own sequence number.
    """

    time: int
    status: int = 0
    sent: int = 0
    weight: int = 1
    rank: int = 0
    sequence: int = 0

    def pack(self, position: int) -> bytes:
        """36 bytes whose byte order is the order of the clocks. `position` is the message's place in its lane."""
        return _PACKED.pack(
            self.weight,
            self.time + _SHIFT,
            self.status,
            self.sent + _SHIFT,
            self.rank + _RANKS,
            self.sequence,
            position,
        )

    @staticmethod
    def time_of(packed: bytes) -> int:
        """The `time` of a packed clock; 0 of none."""
        return int(_PACKED.unpack(packed)[1]) - _SHIFT if packed else 0


_PACKED = struct.Struct(">BQBQHQQ")
_SHIFT = 1 << 62  # times before 1970 stay positive
_RANKS = 1 << 15  # and ranks below the ordinary one, 0, too


@dataclass(frozen=True, slots=True)
class Fact:
    """What one message says about one resource.

    `elements` maps FHIR element names to values; `None` asserts that the element is empty (HL7 `""`); an
    element that is not there says nothing. `event` names the kind of event (`A03`) that a later fact with
    `cancels="A03"` takes back. A resource is visible once a fact that `establishes` it is in force.
    `cancels` ANY takes back everything before it.
    `key` is 16 bytes from `Identity.key`; `patient` is the key of the Patient whose compartment it is in.
    """

    type: str
    key: bytes
    clock: Clock
    elements: Mapping[str, Any]
    patient: bytes | None = None
    event: str = ""
    cancels: str = ""
    establishes: bool = True


@dataclass(frozen=True, slots=True)
class Link:
    """One message says that the patient `prior` is the patient `survivor`.

    `kind` "merge": an explicit merge (A40). "claim": a secondary identifier of the survivor, whose own
    node is `prior`; if two patients claim it, the earlier clock holds it and the other message is withheld.
    """

    prior: bytes
    survivor: bytes
    clock: Clock
    kind: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Belongs:
    """One message says that the resource of `type` with this identifier is this patient's.

    If the chart knows it only as somebody else's, the message is quarantined. `system` "": any.
    """

    type: str
    value: str
    system: str
    patient: bytes
    place: str


Method = Literal["POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Write:
    """One entry of what a FHIR client asks for. `key` is the resource's, or the one that it will get if `criteria`
    find none; None where it must be found. `fact` holds the whole resource (POST, PUT), with a clock that means
    nothing yet. `claims` are the keys of a patient's other identifiers, with their places; `asked` the conditional
    references (`Patient?identifier=...`) in it; `refers` the keys of entries that it refers to and that may be found
    to be there under another key. `named` is the id that the resource of a conditional update gives itself; `link`
    what it says of who replaces whom, which only the chart can say. `identity` tells whom a patch of identifiers
    names. `place` is `Bundle.entry[3]`.
    """

    method: Method
    type: str
    key: bytes | None
    place: str
    fact: Fact | Prepared | None = None
    criteria: tuple[tuple[str, str], ...] = ()
    if_match: int | None = None
    if_none_match: bool = False
    claims: tuple[tuple[bytes, str], ...] = ()
    asked: tuple[str, ...] = ()
    refers: tuple[bytes, ...] = ()
    named: str = ""
    link: Any = None
    patch: bytes = b""
    identity: Identity | None = None

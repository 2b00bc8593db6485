"""What partners, the chart and queries leave in the journal of the small hospital, written by the engine's own code."""

from __future__ import annotations

from collections.abc import Sequence

from engine.channel import Partner
from engine.journal import SQL, audit, inbox, outbox
from engine.journal.inbox import Splitting
from engine.message import Accepted, Delivered, Expect, Outcome, Outgoing, Part, Processed, Received, State
from engine.runtime.filing import file
from engine.trigger import Trigger
from store.database import Connection
from store.facts import Fact
from tests.said import ready
from tests.web.hospital import IDENTITY, NOW, Hospital, Nothing, patient_key

HOUR = 3_600_000_000


def awaited(destination: str = "pager", answers: str = "lab", within: float = 3600.0) -> Outgoing:
    """A delivery that an answer must follow."""
    return Outgoing(f"to-{destination}", destination, "1", b"x", Expect(within, answers))


async def settle(hospital: Hospital, destination: str, at: int, outcome: Outcome | None = None) -> int:
    """The head of the destination's only lane is attempted, and ends so; its id."""

    def work(connection: Connection) -> int:
        (lane,) = outbox.lanes(connection, destination, -1, 10)
        head = outbox.head(connection, destination, lane)
        assert head
        partner = Partner(destination, Nothing())  # type: ignore[arg-type]
        outbox.settle(connection, head, outbox.judge(partner, head, outcome or Delivered(), at), at)
        return head.id

    return await hospital.running.committer.submit(work)


async def answers(hospital: Hospital, delivery: int, at: int, channel: str = "lab") -> int:
    """The partner's answer comes, as a message of its own; its id."""

    def work(connection: Connection) -> int:
        receipt = inbox.append(connection, channel, Received(b"yes", f"S{delivery}", "127.0.0.1:9"), at)
        assert isinstance(receipt, Accepted)
        relates = f"{IDENTITY.origin}{delivery}"
        file(
            connection, IDENTITY, Processed(receipt.message, State.STORED, kind="Status", relates=relates), at
        )
        return receipt.message

    return await hospital.running.committer.submit(work)


async def splits(hospital: Hospital, whole: int, patients: Sequence[str], at: int) -> list[int]:
    """Message `whole` is taken apart, a part for each of these patients."""

    def work(connection: Connection) -> list[int]:
        parts = [(n, Part(b"part", f"CLAIM-{mrn}")) for n, mrn in enumerate(patients)]
        inbox.append_parts(connection, Splitting(whole, "adt", None, "folder", ""), parts, at)
        ids = [id for (id,) in connection.all("SELECT id FROM message WHERE parent = $1", (whole,))]
        for id, mrn in zip(ids, patients, strict=True):
            file(connection, IDENTITY, Processed(id, State.STORED, kind="837P", patient=patient_key(mrn)), at)
        return ids

    return await hospital.running.committer.submit(work)


async def tells(hospital: Hospital, *said: Fact, about: str, at: int = NOW) -> int:
    """File a message that says this, while a channel listens for ServiceRequests; the message of the chart."""
    triggers = {"ServiceRequest": (Trigger("orders", lambda resource: True, ("status",)),)}

    def work(connection: Connection) -> int:
        receipt = inbox.append(connection, "adt", Received(b"order", None, "127.0.0.1:9"), at)
        assert isinstance(receipt, Accepted)
        processed = Processed(
            receipt.message, State.STORED, kind="OMG^O19", patient=patient_key(about), said=ready(said)
        )
        file(connection, IDENTITY, processed, at, triggers)
        told: int = connection.all(SQL.waiting, (1,))[0][0]
        return told

    return await hospital.running.committer.submit(work)


async def asks(hospital: Hospital, mrn: str, peer: str, at: int) -> None:
    """A worklist is asked for, and this patient is on it."""

    def work(connection: Connection) -> None:
        audit.answered(connection, peer, "lab", "C-FIND", [patient_key(mrn)], at)

    await hospital.running.committer.submit(work)

"""Compute: messages through their channels, here or in a process of its own on another core.

`process` is pure, so it may run anywhere. A process that dies (a defect, no memory) is started again, and
the messages that it had are tried one by one, so that the one that killed it fails alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import structlog

from engine.channel import Channel
from engine.journal.inbox import Waiting
from engine.message import Message, Processed, State
from engine.pipeline import process
from formats import fhir
from store.facts import Clock, Fact, Link
from store.reason import Reason

log = structlog.get_logger("compute")
Compute = Callable[[Sequence[Waiting]], list[Processed]]


def here(channels: Mapping[str, Channel]) -> Compute:
    """In this process."""
    return lambda batch: [computed(channels, waiting) for waiting in batch]


def computed(channels: Mapping[str, Channel], waiting: Waiting) -> Processed:
    """What one message asks for; a channel that raises fails that message only."""
    channel = channels.get(waiting.channel)
    if channel is None:
        text = f"channel {waiting.channel} is no longer configured; configure it again and resend"
        return Processed(waiting.id, State.FAILED, Reason("no-channel", text))
    try:
        body = channel.parse(waiting.body)
        return process(channel, Message(waiting.id, waiting.received, waiting.body, body))
    except Exception as e:  # a defect of a map or a step must not stop the feed
        log.error("process failed", message=waiting.id, channel=waiting.channel, error=type(e).__name__)
        text = f"the channel raised {type(e).__name__}; this is a defect of the channel's steps or maps"
        return Processed(waiting.id, State.FAILED, Reason("defect", text))


Start = Callable[[], tuple[BaseProcess, Connection]]


class Elsewhere:
    """A compute process. Called from one thread at a time; it ends by itself when its pipe closes."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._process, self._pipe = start()

    def __call__(self, batch: Sequence[Waiting]) -> list[Processed]:
        try:
            self._pipe.send_bytes(pickle.dumps([tuple(waiting) for waiting in batch]))
            return [_unpacked(*packed) for packed in pickle.loads(self._pipe.recv_bytes())]
        except (EOFError, OSError):
            log.error("the compute process died", messages=len(batch), status=self._process.exitcode)
            self._pipe.close()
            self._process, self._pipe = self._start()
        if len(batch) > 1:
            return [processed for waiting in batch for processed in self([waiting])]
        text = "the process that computed this message died; this is a defect of the channel's steps or maps"
        return [Processed(batch[0].id, State.FAILED, Reason("defect", text))]

    def close(self) -> None:
        self._pipe.close()
        self._process.join()


def serve(pipe: Connection, channels: Mapping[str, Channel]) -> None:
    """The other side: answer batches until the engine is gone."""
    compute = here(channels)
    while True:
        try:
            batch = [Waiting(*fields) for fields in pickle.loads(pipe.recv_bytes())]
            pipe.send_bytes(pickle.dumps([_packed(processed) for processed in compute(batch)]))
        except (EOFError, OSError):
            return


# Plain tuples and encoded elements cross the pipe: pickling dataclasses and Decimals costs more than a map.


def _packed(p: Processed) -> tuple[Any, ...]:
    return (p.message, p.state, p.reason, p.kind, p.patient, p.order, [_said(s) for s in p.said], p.outgoing)


def _unpacked(
    message: int, state: State, reason: Reason | None, kind: str, patient: bytes | None, order: str,
    said: list[tuple[Any, ...]], outgoing: tuple[Any, ...],
) -> Processed:  # fmt: skip
    return Processed(message, state, reason, kind, patient, order, tuple(_heard(*s) for s in said), outgoing)


def _said(said: Fact | Link) -> tuple[Any, ...]:
    if isinstance(said, Link):
        return (None, said)
    return (fhir.encode(said.elements), said.type, said.key, tuple(said.clock), said.patient, said.event,
            said.cancels, said.establishes)  # fmt: skip


def _heard(elements: bytes | None, *rest: Any) -> Fact | Link:
    if elements is None:
        link: Link = rest[0]
        return link
    type, key, clock, patient, event, cancels, establishes = rest
    return Fact(type, key, Clock(*clock), fhir.decode(elements), patient, event, cancels, establishes)

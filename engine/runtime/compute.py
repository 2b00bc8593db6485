"""Compute: messages through their channels, here or in a process of its own on another core.

`process` is pure, so it may run anywhere. A process that dies (a defect, no memory) is started again, and
the messages that it had are tried one by one, so that the one that killed it fails alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import structlog

from engine.channel import Channel
from engine.journal.inbox import Waiting
from engine.message import Message, Processed, State
from engine.pipeline import process
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
            self._pipe.send_bytes(pickle.dumps(batch))
            processed: list[Processed] = pickle.loads(self._pipe.recv_bytes())
            return processed
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
            pipe.send_bytes(pickle.dumps(compute(pickle.loads(pipe.recv_bytes()))))
        except (EOFError, OSError):
            return

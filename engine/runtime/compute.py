"""Compute: messages through their channels, here or in a process of its own on another core.

`process` is pure, so it may run anywhere. A process that dies (a defect, no memory, no end) is started again, and
the messages that it had are tried one by one, so that the one that killed it fails alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Protocol

import structlog

from engine.channel import Channel
from engine.journal.inbox import Waiting
from engine.message import Message, Part, Processed, Reply, State, Stop
from engine.pipeline import lane, owed, process
from store.reason import Reason

log = structlog.get_logger("compute")
Compute = Callable[[Sequence[Waiting]], list[Processed]]


def here(channels: Mapping[str, Channel]) -> Compute:
    """In this process."""
    return lambda batch: [computed(channels, waiting) for waiting in batch]


LOST = Reason(
    "lost-body", "its bytes cannot be read from the spool; restore DATA/spool, or have it sent again"
)


def computed(channels: Mapping[str, Channel], waiting: Waiting) -> Processed:
    """What one message asks for; a channel that raises fails that message only."""
    channel = channels.get(waiting.channel)
    if channel is None:
        text = f"channel {waiting.channel} is no longer configured; configure it again and resend"
        return Processed(waiting.id, State.FAILED, Reason("no-channel", text))
    if waiting.lost:
        return Processed(waiting.id, State.FAILED, LOST)
    try:
        body = channel.parse(waiting.body)
        message = Message(waiting.id, waiting.received, waiting.body, body, waiting.origin)
        asked = _walked(channel, message)
        asked = replace(asked, hops=waiting.hops, lane=lane(channel, body), owed=owed(channel, body))
        return replace(asked, attempt=waiting.attempt, edits=waiting.edits)
    except Exception as e:
        return _failed(waiting.id, channel, e)


def _walked(channel: Channel, message: Message) -> Processed:
    try:
        return process(channel, message)
    except Exception as e:
        return _failed(message.id, channel, e)


def _failed(message: int, channel: Channel, error: Exception) -> Processed:
    """A defect of a map or a step must not stop the feed."""
    log.error("process failed", message=message, channel=channel.name, error=type(error).__name__)
    text = f"the channel raised {type(error).__name__}; this is a defect of the channel's steps or maps"
    return Processed(message, State.FAILED, Reason("defect", text))


PATIENCE = 60.0
"""Seconds that a batch may take; an ordinary one takes milliseconds."""


class Process(Protocol):
    """A process, whoever started it."""

    @property
    def exitcode(self) -> int | None: ...
    def kill(self) -> None: ...
    def join(self) -> None: ...


Start = Callable[[], tuple[Process, Connection]]


class Elsewhere:
    """A compute process. Called from one thread at a time, closed from any; it ends by itself when its pipe closes."""

    def __init__(self, start: Start, patience: float = PATIENCE) -> None:
        self._start = start
        self._patience = patience
        self._process, self._pipe = start()
        self._ready = False
        self._closed = False
        self._lock = Lock()

    def __call__(self, batch: Sequence[Waiting]) -> list[Processed]:
        processed = self._asked(batch)
        return [self._alone(waiting) for waiting in batch] if processed is None else processed

    def _alone(self, waiting: Waiting) -> Processed:
        """A second attempt: the process may have been killed by somebody else, or by another message."""
        if processed := self._asked([waiting]):
            return processed[0]
        text = "computing this message killed its process or never ended; a defect of the channel's steps or maps"
        return Processed(waiting.id, State.FAILED, Reason("defect", text))

    def _asked(self, batch: Sequence[Waiting]) -> list[Processed] | None:
        """None: the process died of it, and another one runs."""
        self.await_ready()
        try:
            self._pipe.send_bytes(pickle.dumps(batch))
            if not self._pipe.poll(self._patience):  # a step that never ends is a death too
                self._process.kill()
            processed: list[Processed] = pickle.loads(self._pipe.recv_bytes())
            return processed
        except (EOFError, OSError):
            self._again(len(batch))
            return None

    def _again(self, messages: int) -> None:
        with self._lock:
            if self._closed:
                raise EOFError
            log.error("the compute process died", messages=messages, status=self._process.exitcode)
            self._pipe.close()
            self._process, self._pipe = self._start()
            self._ready = False

    def await_ready(self) -> None:
        """Wait until it has compiled. One that cannot even start is no message's fault: EOFError."""
        if not self._ready:
            self._pipe.recv_bytes()
            self._ready = True

    def close(self) -> None:
        """End the process, whatever it is doing: what it has in hand is still in the journal."""
        with self._lock:
            self._closed = True
            self._process.kill()
            self._process.join()


Pieces = list[tuple[int, Part]] | list[Reply] | Stop | None
"""What a splitting process sends: parts with their positions, replies, why it ends early, None at the end."""
CHUNK = 64


def take_apart(pipe: Connection, channels: Mapping[str, Channel]) -> None:
    """The other side of splitting: asked with (channel, path, seen), it sends `Pieces` until None."""
    try:
        pipe.send_bytes(b"ready")
        while True:
            name, path, seen = pickle.loads(pipe.recv_bytes())
            for pieces in _apart(channels, name, path, seen):
                pipe.send_bytes(pickle.dumps(pieces))
            pipe.send_bytes(pickle.dumps(None))
    except (EOFError, OSError):
        return


def _apart(channels: Mapping[str, Channel], name: str, path: Path, seen: bool) -> Iterator[Pieces]:
    """A splitter that raises fails that message only, and nothing of it gets into the log."""
    try:
        split = channels[name].split
        assert split is not None
        yield from _pieces(split(path, seen))
    except Exception as e:
        log.error("splitter failed", channel=name, error=type(e).__name__)
        text = f"the splitter raised {type(e).__name__}; this is a defect of the splitter"
        yield Stop(State.FAILED, Reason("defect", text))


def _pieces(found: Iterator[Part | Reply | Stop]) -> Iterator[Pieces]:
    parts: list[tuple[int, Part]] = []
    position = 0
    for piece in found:
        if isinstance(piece, Part):
            parts.append((position, piece))
            position += 1
        elif isinstance(piece, Reply):
            yield [piece]
        else:
            yield parts
            yield piece
            return
        if len(parts) == CHUNK:
            yield parts
            parts = []
    yield parts


def serve(pipe: Connection, channels: Mapping[str, Channel]) -> None:
    """The other side: say that it is ready, then answer batches until the engine is gone."""
    compute = here(channels)
    try:
        pipe.send_bytes(b"ready")
        while True:
            pipe.send_bytes(pickle.dumps(compute(pickle.loads(pipe.recv_bytes()))))
    except (EOFError, OSError):
        return

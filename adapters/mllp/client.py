"""The client behind `chartwire send`: files over MLLP, and what came back."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from ssl import SSLContext
from typing import NamedTuple
from urllib.parse import urlsplit

from adapters import tls
from adapters.mllp.answer import Answer
from adapters.mllp.framing import VT, Frame, Framer
from adapters.mllp.outbound import Failure, Outbound, connect
from formats import hl7v2
from formats.hl7v2 import msh
from store.reason import Reason


class Ack(NamedTuple):
    """One message and its answer: `code` is MSA-1, or `""` if `problem` says why there is none."""

    control: str
    code: str
    problem: str
    seconds: float


@dataclass
class Report:
    """What a run came to. `codes` counts MSA-1, `problems` the messages without an answer, by why."""

    sent: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list, repr=False)

    @property
    def positive(self) -> bool:
        """Was every message accepted?"""
        return self.sent == self.codes["AA"] + self.codes["CA"]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Seconds within which that share (0.95) of the answers came; 0 without answers."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def add(self, ack: Ack) -> None:
        self.sent += 1
        if ack.problem:
            self.problems[ack.problem] += 1
        else:
            self.codes[ack.code] += 1
            self.latencies.append(ack.seconds)


async def send(
    files: Sequence[Path],
    to: str,
    *,
    count: int = 1,
    connections: int = 1,
    within: float = 30.0,
    ca: Path | None = None,
    on_ack: Callable[[Ack], None] = lambda ack: None,
) -> Report:
    """Send every message of the files `count` times over so many connections, each waiting for its answers.

    `to` is `mllp://HOST:PORT` or `mllps://HOST:PORT` (trusting `ca`, or what the machine trusts). With a
    count above 1 each message goes out under an MSH-10 of its own. A file may hold several messages, with
    any line ends, framed or not; what is not HL7 is sent as it is. ValueError: not such an address, or
    nothing to send. OSError: a file cannot be read.
    """
    host, port, secure = address(to)
    messages = [message for file in files for message in split(file.read_bytes())]
    if not messages:
        raise ValueError("the files hold no message")
    caller = _Caller(host, port, tls.client(ca) if secure else None, within, on_ack)
    queue = _outgoing(messages, count)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as senders:
        for _ in range(min(connections, count * len(messages))):
            senders.create_task(caller.run(queue))
    caller.report.seconds = time.perf_counter() - began
    return caller.report


def address(to: str) -> tuple[str, int, bool]:
    """Host, port and whether with TLS. ValueError with a text for people."""
    parts = urlsplit(to)
    if parts.scheme not in ("mllp", "mllps") or not parts.hostname or not parts.port or parts.path.strip("/"):
        raise ValueError(f"{to!r} is no MLLP address: write mllp://HOST:PORT, or mllps://HOST:PORT for TLS")
    return parts.hostname, parts.port, parts.scheme == "mllps"


def split(content: bytes) -> list[bytes]:
    """The messages of a file, with CR at their line ends, without batch envelopes (FHS, BHS, BTS, FTS)."""
    if content.startswith(VT):
        framer = Framer(len(content), require_final_cr=False)
        return [event.body for event in framer.feed(content) if isinstance(event, Frame)]
    bare = content.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not _HEADER.match(bare):
        return [content] if content.strip() else []
    end = next((end for end in (b"\r\n", b"\r", b"\n") if end in bare), b"\r")
    lines = [line for line in bare.split(end) if line and not _BATCH.match(line)]
    starts = [n for n, line in enumerate(lines) if line.startswith(b"MSH")]
    return [b"\r".join((*lines[a:b], b"")) for a, b in pairwise([*starts, len(lines)])]


_HEADER = re.compile(rb"(MSH|FHS|BHS)[^A-Za-z0-9\s]")
_BATCH = re.compile(rb"(FHS|BHS|BTS|FTS)\b")


class _Outgoing(NamedTuple):
    body: bytes
    control: bytes


def _outgoing(messages: Sequence[bytes], count: int) -> Iterator[_Outgoing]:
    run = f"S{secrets.token_hex(5).upper()}"
    number = 0
    for _ in range(count):
        for message in messages:
            number += 1
            yield _named(message, f"{run}{number}") if count > 1 else _as_it_is(message)


def _as_it_is(body: bytes) -> _Outgoing:
    header = msh.read(body)
    return _Outgoing(body, header.fields[10] if header else b"")


def _named(body: bytes, control: str) -> _Outgoing:
    message = hl7v2.parse(body, charset="ISO-8859-1")
    if isinstance(message, Reason):
        return _as_it_is(body)
    return _Outgoing(message.set("MSH-10", control).raw, control.encode())


class _Caller:
    """Sends from one queue over any number of connections; a broken connection is opened again."""

    def __init__(
        self, host: str, port: int, context: SSLContext | None, within: float, on_ack: Callable[[Ack], None]
    ) -> None:
        self._where = (host, port, context, within)
        self._within = within
        self._on_ack = on_ack
        self.report = Report()

    async def run(self, queue: Iterator[_Outgoing]) -> None:
        connection: Outbound | Reason | None = None
        for message in queue:
            began = time.perf_counter()
            if not isinstance(connection, Outbound) or not connection.open:
                connection = await connect(*self._where)
            if isinstance(connection, Reason):
                self._add(message, connection.text, began)
            else:
                answer = await connection.exchange(message.body, message.control, self._within)
                self._add(message, answer, began)
        if isinstance(connection, Outbound):
            connection.close()

    def _add(self, message: _Outgoing, answer: Answer | Failure | str, began: float) -> None:
        seconds = time.perf_counter() - began
        code, problem = (answer.code, "") if isinstance(answer, Answer) else ("", str(answer))
        ack = Ack(message.control.decode("latin-1"), code, problem, seconds)
        self.report.add(ack)
        self._on_ack(ack)

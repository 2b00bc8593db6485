"""A closed-loop MLLP load in a process of its own: every sender waits for its answer and checks it.

python -m tests.bench.load PORT CONNECTIONS MESSAGES PREFIX KIND [RATE]      one line of JSON

With a RATE (messages a second) each message has its time, and its latency counts from then, whenever it could be sent.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import uvloop

START, END = b"\x0b", b"\x1c\r"
ADT = (
    b"MSH|^~\\&|ADT1|GHH|CW|CW|20261122101530||ADT^A01^ADT_A01|%(id)s|P|2.5.1\r"
    b"EVN|A01|20261122101530|||S12345^SMITH^JANE\r"
    b"PID|1||%(id)s^^^GHH^MR||EVERYMAN^ADAM^A^III||19610615|M||C|2222 HOME STREET^^GREENSBORO^NC^27401-1020|GL"
    b"|(555) 555-2004|(555)555-2004||S||PATID12345001^^^GHH^AN|444333333|987654^NC\r"
    b"NK1|1|NUCLEAR^NELDA^W|SPO^SPOUSE|2222 HOME STREET^^GREENSBORO^NC^27401-1020|(555)555-2004||NK^NEXT OF KIN\r"
    b"PV1|1|I|2000^2012^01||||004777^ATTEND^AARON^A|||SUR||||ADM|A0||||V%(id)s^^^GHH"
    b"|||||||||||||||||||||||||20261122101530\r"
)
_OBX = b"OBX|%d|NM|%s^ANALYTE %d^LN||%d.30|mmol/L|3.5-5.1|N|||F|||20261122073000\r"
ORU = (
    b"MSH|^~\\&|LAB|GHH|CW|CW|20261122101530||ORU^R01^ORU_R01|%(id)s|P|2.5.1\r"
    b"PID|1||%(id)s^^^GHH^MR||EVERYWOMAN^EVE^E||19620320|F\r"
    b"PV1|1|O|OUTP^^^GHH||||004777^ATTEND^AARON^A\r"
    b"OBR|1|P%(id)s^CW|F%(id)s^LAB|24323-8^COMPREHENSIVE METABOLIC PANEL^LN|||20261122073000"
    b"|||||||||555-55-5555^PRIMARY^PATRICIA||||||20261122100000|||F\r"
) + b"".join(_OBX % (n, b"%d-%d" % (1000 + n * 7, n % 10), n, n) for n in range(1, 21))
KINDS = {"adt": ADT, "oru": ORU}


class Turn(NamedTuple):
    """One message; `at` is its time by `time.perf_counter`, 0 for at once."""

    id: bytes
    at: float


class Sender(asyncio.Protocol):
    def __init__(self, take: Callable[[], Turn | None], latencies: list[float], template: bytes) -> None:
        self.take, self.latencies, self.template = take, latencies, template
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self) -> None:
        turn = self.take()
        if turn is None:
            self.done.set_result(None)
        elif (wait := turn.at - time.perf_counter()) > 0:
            asyncio.get_running_loop().call_later(wait, self.write, turn)
        else:
            self.write(turn)

    def write(self, turn: Turn) -> None:
        self.id, self.began = turn.id, turn.at or time.perf_counter()
        self.transport.write(START + self.template % {b"id": self.id} + END)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.buffer.endswith(END):
            return
        self.latencies.append(time.perf_counter() - self.began)
        if not (b"|AA|" + self.id in self.buffer or self.id in self.buffer[:400]):
            raise AssertionError("a wrong answer")
        self.buffer = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed"))


async def load(
    port: int, connections: int, messages: int, prefix: str, kind: str, rate: float = 0.0
) -> dict[str, float]:
    left = iter(range(messages))
    start = time.perf_counter() + 0.2

    def take() -> Turn | None:
        n = next(left, None)
        return (
            None if n is None else Turn(b"%s%07d" % (prefix.encode(), n), start + n / rate if rate else 0.0)
        )

    loop, latencies = asyncio.get_running_loop(), list[float]()
    senders = [
        (await loop.create_connection(lambda: Sender(take, latencies, KINDS[kind]), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    gc.disable()
    began = time.perf_counter()
    for sender in senders:
        sender.send()
    await asyncio.gather(*(s.done for s in senders))
    wall = time.perf_counter() - began
    latencies.sort()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rate": len(latencies) / wall, "p50": latencies[len(latencies) // 2] * 1e3,
        "p99": latencies[int(len(latencies) * 0.99)] * 1e3, "wall": wall, "cpu": usage.ru_utime + usage.ru_stime,
    }  # fmt: skip


if __name__ == "__main__":
    port, connections, messages, prefix, kind, *rate = sys.argv[1:]
    asked = load(int(port), int(connections), int(messages), prefix, kind, *map(float, rate))
    print(json.dumps(uvloop.run(asked)))

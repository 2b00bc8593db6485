"""Every message through the real engine: over MLLP into a process of its own, end states from its database."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.journal import SQL
from formats.hl7v2 import msh as header
from store.database import one
from store.database.sqlite import Sqlite, create
from tests.corpus.samples import Sample
from tests.crash.ledger import settled
from tests.engine_process import EngineProcess, port_of
from tests.senders import END, START

CONFIG = Path(__file__).parent / "config"
DEADLINE = 30.0


class Ended(NamedTuple):
    """What became of one message: MSH-9 as sent, MSA-1 (`-`: no answer), end state, reason and its place."""

    path: str
    number: int
    type: str
    ack: str
    state: str
    code: str
    place: str


def started(data: Path) -> tuple[EngineProcess, int]:
    """The engine on the corpus channel, and its port."""
    engine = EngineProcess(CONFIG, data)
    return engine, port_of(engine.start()["sources"]["corpus"])


def twin(data: Path, of: Sqlite) -> None:
    """A database for another engine that gives out the same ids: with the same identity key."""
    data.mkdir(parents=True)
    made = create(data / "chartwire.db")
    made.begin()
    made.run(SQL.set_setting, ("identity", *(one(of, SQL.setting, ("identity",)) or ())))
    made.commit()
    made.close()


def walk(data: Path, port: int, samples: Sequence[Sample]) -> list[Ended]:
    """Send one sample after the other, wait until all are settled, and read where they ended."""
    acks = asyncio.run(_send(port, samples))
    ends = _ends(settled(data))
    return [
        Ended(s.path, s.number, kind(s.body), ack, *ends[_digest(s.body)])
        for s, ack in zip(samples, acks, strict=True)
    ]


async def _send(port: int, samples: Sequence[Sample]) -> list[str]:
    return [await asyncio.wait_for(_exchange(port, sample.body), DEADLINE) for sample in samples]


async def _exchange(port: int, body: bytes) -> str:
    """A connection for one message: what is answered before the engine closes it, if anything is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(START + body + END)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return acknowledged(answer)


def acknowledged(answer: bytes) -> str:
    """MSA-1, whatever the delimiter."""
    found = [line for line in answer.split(b"\r") if line.startswith(b"MSA")]
    assert len(found) <= 1, "one message got several answers"
    return found[0].split(found[0][3:4])[1].decode() if found else "-"


def kind(body: bytes) -> str:
    """MSH-9.1^MSH-9.2 as the sender wrote it, `-` without."""
    found = header.read(body)
    parts = found.fields[9].split(found.separators.component or b"\r") if found else []
    return "^".join(part.decode("latin-1") for part in parts[:2]).strip("^ ") or "-"


def _ends(reader: Sqlite) -> dict[bytes, tuple[str, str, str]]:
    """End state, reason and place by the digest of the bytes; equal bytes end equally."""
    rows = reader.all("""SELECT b.data, m.state, coalesce(nullif(m.code, ''), '-'), coalesce(nullif(m.place, ''), '-')
                         FROM message m JOIN body b ON b.message = m.id""")
    found: dict[bytes, tuple[str, str, str]] = {}
    for body, state, code, place in rows:
        ended = (state, code, place)
        assert found.setdefault(_digest(body), ended) == ended
    return found


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()

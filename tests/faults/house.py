"""A hospital: an engine, or processes of every role on one PostgreSQL; senders that never give up, a partner who writes
down what he got, and the account of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from store.database import Down
from store.database.postgres import Postgres
from store.database.sqlite import Sqlite
from tests.adapters.mllp_peer import Receiver, Sender, fields, receiver
from tests.crash.ledger import inversions
from tests.engine_process import EngineProcess
from tests.flow.installation import AUTHORITIES, channel, until
from tests.flow.messages import adt

SENDERS = 6
"""Of each channel."""
PAUSE = 1.0
"""Seconds between two messages of one sender: faults are on trial, not speed."""
ROUNDS = int(os.environ.get("CHARTWIRE_ROUNDS", "20"))
REST = 180
"""Seconds until everything has come to rest: only a defect takes longer, on however busy a machine."""
FOUR = {"intake": "intake", "worker 1": "worker", "worker 2": "worker", "deliver": "deliver"}
Report = Callable[[str, object], None]
CHANNELS = ("adt", "lab", "icu")


class Account(NamedTuple):
    """What came of the messages. `doubled`: facts, in the chart; `inversions`: in any lane, of journal or partner."""

    acknowledged: int
    in_chart: int
    delivered: int
    lost: int
    doubled: int
    inversions: int

    def sound(self) -> bool:
        return self.acknowledged > 0 and not (self.lost or self.doubled or self.inversions)

    def __str__(self) -> str:
        return "  ".join(f"{name} {number}" for name, number in self._asdict().items())


def total(accounts: Iterable[Account]) -> Account:
    """Of several houses, as if they were one."""
    return Account(*map(sum, zip(*accounts, strict=True)))


SIDE_BY_SIDE = 4


async def several(directory: Path, rounds: int, play: Callable[[Path, int], Awaitable[Account]]) -> Account:
    """So many rounds of a fault that is mostly waited for, in several houses at a time."""
    many = min(SIDE_BY_SIDE, rounds)
    each = [directory / f"house {n}" for n in range(many)]
    return total(await asyncio.gather(*(play(folder, -(-rounds // many)) for folder in each)))


class Where(NamedTuple):
    """Settings of the sources and the destinations, where senders find the sources, what each process runs in."""

    source: str = ""
    destination: str = "host: 127.0.0.1"
    intake: str = "127.0.0.1"
    wrappers: Mapping[str, tuple[str, ...]] = MappingProxyType({})


LOCAL = Where()


class House:
    """`roles` by the name of the process; without a `url` there is one, on a database of its own. Their sources listen
    on fixed ports, so that one can take over."""

    def __init__(
        self,
        directory: Path,
        url: str | None,
        partner: Receiver,
        roles: Mapping[str, str],
        env: Mapping[str, str],
        where: Where = LOCAL,
    ):
        self.url = url
        self.where = where
        self.partner = partner
        self.ports = {name: free() for name in CHANNELS}
        self.config = directory / "config"
        self._write(
            {
                f"channels/{n}.yaml": channel(n, f"mllp: {{port: {p}{where.source}}}")
                for n, p in self.ports.items()
            }
        )
        self._write(
            {
                "authorities.yaml": AUTHORITIES,
                "routes.yaml": routes(f"{where.destination}, port: {partner.port}"),
            }
        )
        self.directory = directory
        self.env = {"CHARTWIRE_DATABASE": url or "", **env}
        self.processes: dict[str, EngineProcess] = {}
        for name, role in roles.items():
            self.beside(name, role)

    def beside(self, name: str, role: str) -> EngineProcess:
        """One more process, not started."""
        data, arguments = self.directory / name, ("--role", role)
        wrapper = self.where.wrappers.get(name, ())
        self.processes[name] = EngineProcess(self.config, data, self.env, wrapper, arguments)
        return self.processes[name]

    def _write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.config / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    async def start(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(p.start) for p in self.processes.values()))

    async def restart(self, name: str) -> None:
        await asyncio.to_thread(self.processes[name].start)

    def kill(self, name: str) -> None:
        process = self.processes[name]
        if process.process and process.process.poll() is None:
            process.kill()

    def signal(self, name: str, number: signal.Signals) -> None:
        process = self.processes[name].process
        assert process is not None
        os.killpg(process.pid, number)

    async def stop(self) -> None:
        for name, process in self.processes.items():
            status = await asyncio.to_thread(process.stop)
            assert status == 0, f"{name} ended with {status}: {process.log()}"

    def log(self, name: str) -> str:
        return self.processes[name].log()

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        """Past the engine on purpose: it is on trial."""
        (first, *_) = self.processes.values()
        file = first.data / "chartwire.db"
        reader = Postgres(self.url, writes=False) if self.url else Sqlite(file, writes=False)
        try:
            return reader.all(sql)
        finally:
            reader.close()

    def standing(self) -> list[tuple[object, ...]]:
        """What is not at its end, for the report of a failure."""
        return [
            *self.ask("SELECT channel, state, code, count(*), min(id) FROM message GROUP BY 1, 2, 3"),
            *self.ask("SELECT destination, state, code, count(*), min(id) FROM delivery GROUP BY 1, 2, 3"),
            *(self.ask("SELECT kind, name, owner, expires FROM claim") if self.url else ()),
        ]

    async def account(self, load: Load) -> Account:
        """When everything has come to rest."""

        async def rest() -> bool:
            try:
                going = self.ask("SELECT 1 FROM message WHERE state = 'RECEIVED' LIMIT 1")
                return not going and not self.ask("SELECT 1 FROM delivery WHERE state <> 'DELIVERED' LIMIT 1")
            except Down:
                return False

        try:
            await until(rest, REST)
        except AssertionError:
            raise AssertionError(f"it does not come to rest: {self.standing()}") from None
        keys = [str(key) for (key,) in self.ask("SELECT key FROM message ORDER BY id")]
        facts = self.ask(
            "SELECT m.key, count(*) FROM fact f JOIN message m ON m.id = f.message GROUP BY m.key"
        )
        in_chart = {str(key): int(str(number)) for key, number in facts}
        got = list(dict.fromkeys(fields(m, b"PV1")[3].partition("^")[0] for m in self.partner.got))
        told = set(load.accepted)
        return Account(
            len(told),
            len(told & in_chart.keys()),
            len(told & set(got)),
            len(told - in_chart.keys()) + len(told - set(got)),
            sum(number - 2 for number in in_chart.values()) + len(keys) - len(set(keys)),
            inversions(keys) + inversions(got),
        )


class Load:
    """Senders that resend what they are not told of. One patient and one message in flight each."""

    def __init__(self, house: House, pause: float = PAUSE) -> None:
        self._house = house
        self._pause = pause
        self._stop = False
        self._tasks: list[asyncio.Task[None]] = []
        self._bursts = 0
        self.accepted: list[str] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._sender(c, n)) for c in CHANNELS for n in range(SENDERS)]

    async def stop(self) -> None:
        self._stop = True
        await asyncio.wait_for(asyncio.gather(*self._tasks), REST)

    async def more(self, messages: int) -> None:
        """Wait until so many more are acknowledged."""
        enough = len(self.accepted) + messages

        async def come() -> bool:
            return len(self.accepted) >= enough

        await until(come, REST)

    async def burst(self, messages: int) -> None:
        """So many at once, so that whoever processes them has something in hand."""
        self._bursts += 1
        keys = [f"burst{self._bursts}-{n}" for n in range(1, messages + 1)]
        line = await Sender.connect(f"mllp://{self._house.where.intake}:{self._house.ports['adt']}")
        await line.send(*(adt(key, key.partition("-")[0], ward=key) for key in keys))
        self.accepted += [fields(await line.answer(), b"MSA")[2] for _ in keys]
        await line.leave()

    async def _sender(self, name: str, n: int) -> None:
        patient = f"{name}{n}"
        numbers = count(1)
        key = f"{patient}-{next(numbers)}"
        message = adt(key, patient, ward=key)  # the very same bytes again, until they are acknowledged
        while not self._stop:
            try:
                line = await Sender.connect(f"mllp://{self._house.where.intake}:{self._house.ports[name]}")
            except OSError:
                await asyncio.sleep(0.2)
                continue
            while not self._stop and (told := await answer(line, message)):
                if fields(told, b"MSA")[1] == "AA":
                    self.accepted.append(key)
                    key = f"{patient}-{next(numbers)}"
                    message = adt(key, patient, ward=key)
                await asyncio.sleep(self._pause)
            await line.leave()


async def answer(line: Sender, message: bytes) -> bytes:
    """Nothing where the connection ended."""
    try:
        return await line.ask(message)
    except ConnectionError:
        return b""


async def settled(site: House, load: Load) -> Account:
    """The account when the senders have stopped and everything has come to rest."""
    await load.stop()
    return await site.account(load)


def sound(account: Account, what: str, report: Report) -> None:
    report(what, account)
    assert account.sound()


async def ended(site: House, load: Load, what: str, report: Report) -> None:
    """When everything has come to rest, the account is sound."""
    sound(await settled(site, load), what, report)


def routes(partner: str) -> str:
    partner = f"mllp: {{{partner}, timeout: 2s}}"
    return f"""\
destinations:
  pager: {{{partner}, connections: 4, retry: {{first: 200ms, max: 1s}}}}
  ward: {{{partner}, connections: 4, retry: {{first: 200ms, max: 1s}}}}
routes:
  - {{from: [adt, lab], to: pager}}
  - {{from: icu, to: ward}}
"""


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def house(
    directory: Path,
    url: str | None,
    roles: Mapping[str, str],
    where: Where = LOCAL,
    host: str = "127.0.0.1",
    **env: str,
) -> AsyncIterator[House]:
    """`host`: where the partner listens."""
    async with receiver(host=host) as partner:
        made = House(directory, url, partner, roles, env, where)
        try:
            await made.start()
            yield made
            await made.stop()
        finally:
            for name in made.processes:
                made.kill(name)

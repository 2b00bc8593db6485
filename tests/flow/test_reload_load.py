"""Changes one after the other while senders send: nothing is lost, nothing doubled, nothing overtakes."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

from tests.adapters.mllp_peer import Receiver, Sender, fields, receiver
from tests.crash.ledger import inversions, settled
from tests.flow.installation import Installation, channel, running, until
from tests.flow.messages import adt

SENDERS = 6
"""Of each channel; one patient and one message in flight each."""
BETWEEN = 100
"""Messages that are acknowledged between one change and the next."""
PORT = "mllp: {port: 0, max_frame: %dKB}"
SET = "pipeline:\n  - hl7.set: {field: PV1-10, value: %s}"


class Load:
    """Senders that resend what they are not told of, wherever the channel listens now."""

    def __init__(self, site: Installation) -> None:
        self._site = site
        self._stop = False
        self.accepted: list[str] = []
        self.others: Counter[str] = Counter()  # any other answer

    async def run(self) -> None:
        await asyncio.gather(*(self._sender(c, n) for c in ("adt", "lab") for n in range(SENDERS)))

    def stop(self) -> None:
        self._stop = True

    async def more(self, messages: int) -> None:
        """Wait until so many more are acknowledged."""
        enough = len(self.accepted) + messages

        async def come() -> bool:
            return len(self.accepted) >= enough

        await until(come)

    async def _sender(self, name: str, n: int) -> None:
        patient = f"{name}{n}"
        numbers = count(1)
        key = f"{patient}-{next(numbers)}"
        while not self._stop:
            try:
                line = await Sender.connect(self._address(name))
            except OSError:
                continue
            while not self._stop and (told := await line.ask(adt(key, patient, ward=key))):
                code, of = fields(told, b"MSA")[1:3]
                assert of == key
                if code == "AA":
                    self.accepted.append(key)
                    key = f"{patient}-{next(numbers)}"
                else:
                    self.others[code] += 1
            await line.leave()

    def _address(self, name: str) -> str:
        return str(json.loads((self._site.data / "engine.json").read_text())["sources"][name])


def changes(port: int) -> Iterator[Mapping[str, str]]:
    """One after the other, and each is unlike the one before it."""
    for n in count(1):
        yield {"channels/adt.yaml": channel("adt", PORT % 64, SET % f"X{n}")}  # the listener goes on
        yield {
            "channels/lab.yaml": channel("lab", PORT % (100 + n), "ack: processed")
        }  # the listener starts anew
        yield {"routes.yaml": routes(port, n)}  # the destination starts anew
        yield {"channels/extra.yaml": channel("extra", PORT % (1000 + n))}
        yield {"channels/extra.yaml": ""}  # taken away again


def routes(port: int, n: int) -> str:
    return f"""\
destinations:
  pager: {{mllp: {{host: 127.0.0.1, port: {port}}}, connections: 4, retry: {{first: {n}s}}}}
routes:
  - {{from: [adt, lab], to: pager}}
"""


def write(site: Installation, files: Mapping[str, str]) -> None:
    site.write(files)
    for name, text in files.items():
        if not text:
            (site.config / name).unlink()


async def test_under_load_nothing_is_lost_doubled_or_overtaken(tmp_path: Path) -> None:
    async with receiver() as partner:
        files = {
            "channels/adt.yaml": channel("adt", PORT % 64),
            "channels/lab.yaml": channel("lab", PORT % 100, "ack: processed"),
            "routes.yaml": routes(partner.port, 60),
        }
        async with running(tmp_path, files) as site:
            load, began = Load(site), time.monotonic()
            sending = asyncio.create_task(load.run())
            await load.more(BETWEEN)
            for _, files in zip(range(10), changes(partner.port), strict=False):
                write(site, files)
                done = await site.command("apply")
                assert done.returncode == 0, done.stderr
                assert "nothing has changed" not in done.stdout
                await load.more(BETWEEN)
            load.stop()
            await sending
            rate = len(load.accepted) / (time.monotonic() - began)
            await asyncio.to_thread(check, site, load)
            await told(site, partner, load)
            print(f"{len(load.accepted)} acknowledged, {rate:.0f}/s, 10 changes, {dict(load.others)}")


def check(site: Installation, load: Load) -> None:
    """By the database: every acknowledged message once, in the chart once, in the order of its sender."""
    reader = settled(site.data)
    keys = [key for (key,) in reader.all("SELECT key FROM message ORDER BY id")]
    assert Counter(keys) == Counter(load.accepted)
    assert inversions(keys) == 0
    states = reader.all("SELECT state, count(*) FROM message GROUP BY state")
    assert states == [("STORED", len(keys))]
    facts = reader.all("SELECT count(*) FROM fact GROUP BY message")
    assert facts == [(2,)] * len(keys)
    hashes = reader.all("SELECT count(DISTINCT configuration), count(configuration) FROM message")
    assert hashes[0][0] >= 8
    assert hashes[0][1] == len(keys)
    reader.close()


async def told(site: Installation, partner: Receiver, load: Load) -> None:
    """By the partner: every message once, in the order of its lane."""
    await until(lambda: delivered(partner, len(load.accepted)))
    keys = [fields(message, b"PV1")[3].partition("^")[0] for message in partner.got]
    assert Counter(keys) == Counter(load.accepted)
    assert inversions(keys) == 0


async def delivered(partner: Receiver, messages: int) -> bool:
    return len(partner.got) >= messages

"""A million messages wait to be processed, and a million deliveries to go out: the engine starts as ever."""

from __future__ import annotations

import re
import time
from pathlib import Path

import apsw
import pytest

from store.database.sqlite import create
from tests.adapters.mllp_peer import fields, receiver
from tests.engine_process import family, memory
from tests.faults.house import Report
from tests.flow.installation import Installation, channel, until

pytestmark = pytest.mark.embedded("its rows are written past the engine")
MILLION = 1_000_000
LANES = 5_000
MOST = 250 << 10
"""KiB of memory of its own, of any of its processes."""
ROUTES = """
destinations:
  pager: {{mllp: {{host: 127.0.0.1, port: {port}}}, connections: 4}}
routes: []
"""
ROWS = f"""
CREATE TEMP TABLE n AS
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MILLION}) SELECT i FROM n;
INSERT INTO message (id, channel, received, key, peer, size, state)
  SELECT i, 'adt', 1795790000000000 + i, 'K' || i, '10.0.0.1', 150, 'RECEIVED' FROM n;
INSERT INTO body SELECT i, CAST(
  'MSH|^~\\&|ADT1|GHH|CW|H|20261122101530||ADT^A01^ADT_A01|K' || i || '|P|2.5.1' || char(13) ||
  'EVN|A01|20261122101530' || char(13) || 'PID|1||' || (i % {LANES}) || '^^^MRN||A^B' || char(13) AS BLOB) FROM n;
INSERT INTO delivery (message, route, destination, lane, created, state, body)
  SELECT i, 'old', 'pager', i % {LANES} + 1, 1795790000000000 + i, 'QUEUED', CAST(
  'MSH|^~\\&|CW|H|PAGER|P|20261122101530||ADT^A01^ADT_A01|K' || i || '|P|2.5.1' || char(13) ||
  'PV1|1|I|' || (i % {LANES}) || '-' || i || char(13) AS BLOB) FROM n;
"""


async def test_a_million_that_wait(tmp_path: Path, report: Report) -> None:
    """Started, it takes, processes and delivers at once, in order, and its memory does not know how much there is."""
    async with receiver() as partner:
        files = {"channels/adt.yaml": channel("adt"), "routes.yaml": ROUTES.format(port=partner.port)}
        site = Installation(tmp_path, files)
        site.data.mkdir()
        create(site.data / "chartwire.db").close()
        filling = apsw.Connection(str(site.data / "chartwire.db"))
        filling.execute("PRAGMA synchronous = OFF")
        filling.execute(f"BEGIN; {ROWS} COMMIT")
        filling.close()
        began = time.monotonic()
        try:
            await site.start()
            started = time.monotonic() - began
            sender = await site.sender("adt")
            assert fields(await sender.ask(NEW), b"MSA")[1] == "AA"
            await sender.leave()
            queues = await site.command("queues", "--json")
            assert queues.returncode in (0, 1), queues.stderr

            peak = 0

            async def some() -> bool:
                nonlocal peak
                assert site.engine.process is not None
                peak = max(peak, *(memory(p, "RssAnon") for p in family(site.engine.process.pid)))
                counted = (await site.ask("/metrics", {})).body.decode()
                stored = re.search(r'chartwire_ended_total{channel="adt",state="STORED"} (\d+)', counted)
                return len(partner.got) > 2_000 and stored is not None and int(stored[1]) > 2_000

            await until(some)
            at = time.monotonic()
            assert await site.stop() == 0
            report(
                "a million of each",
                f"started in {started:.1f} s, stopped in {time.monotonic() - at:.1f} s, {peak >> 10} MB at most",
            )
            assert peak < MOST
        finally:
            site.kill()
    lanes: dict[str, list[int]] = {}
    for message in partner.got:
        lane, _, number = fields(message, b"PV1")[3].partition("-")
        lanes.setdefault(lane, []).append(int(number))
    assert all(numbers == sorted(numbers) for numbers in lanes.values()), "in order"
    assert all(numbers[0] <= LANES for numbers in lanes.values()), "from the first on"


NEW = (
    b"MSH|^~\\&|ADT1|GHH|CW|H|20261122101530||ADT^A01^ADT_A01|NEW|P|2.5.1\r"
    b"EVN|A01|20261122101530\rPID|1||1^^^MRN||A^B\r"
)

"""One engine on a database of its own, and everything around it fails: what was acknowledged is in the chart and with
the partner once, in order."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.adapters.mllp_peer import Said, acknowledgement
from tests.faults.house import ROUNDS, Load, Report, ended, house

pytestmark = pytest.mark.embedded("one engine alone is on trial")
ONE = {"engine": "all"}
LATE = 3.0
"""Seconds: longer than the destination waits."""


async def test_kill_9(tmp_path: Path, report: Report) -> None:
    chance = random.Random(5)
    async with house(tmp_path, None, ONE) as site:
        load = Load(site)
        load.start()
        for _ in range(ROUNDS):
            await load.more(chance.randrange(1, 60))
            site.kill("engine")
            await site.restart("engine")
        await ended(site, load, "kill -9", report)


async def test_a_foreign_writer_holds_the_database(tmp_path: Path, report: Report) -> None:
    async with house(tmp_path, None, ONE) as site:
        load = Load(site)
        load.start()
        for _ in range(ROUNDS):
            await load.more(20)
            with closing(sqlite3.connect(site.processes["engine"].data / "chartwire.db")) as foreign:
                foreign.execute("BEGIN IMMEDIATE")
                await asyncio.sleep(0.3)
        await ended(site, load, "a foreign writer", report)


def garbage(message: bytes) -> Said:
    return Said(b"HTTP/1.1 200 OK\r\n\r\n")


def half(message: bytes) -> Said:
    return Said(acknowledgement(message).data[:20], close=True)


def wrong(message: bytes) -> Said:
    return acknowledgement(message, control="NOBODY")


async def late(message: bytes) -> Said:
    await asyncio.sleep(LATE)
    return acknowledgement(message)


async def silent(message: bytes) -> Said:
    await asyncio.sleep(60)
    return Said(b"")


def gone(message: bytes) -> Said:
    return Said(b"", close=True)


@pytest.mark.parametrize("reply", [garbage, half, wrong, late, silent, gone])
async def test_a_destination_misbehaves(
    tmp_path: Path, report: Report, reply: Callable[[bytes], Said | Awaitable[Said]]
) -> None:
    """For a while; then it is as it should be. What it was sent before it answered may be sent again."""
    async with house(tmp_path, None, ONE) as site:
        load = Load(site)
        load.start()
        await load.more(20)
        site.partner.reply = reply
        await load.more(100)
        await asyncio.sleep(1)
        site.partner.reply = acknowledgement
        site.partner.drop()
        await load.more(20)
        await ended(site, load, f"a destination that is {reply.__name__}", report)


async def test_a_destination_refuses_connections(tmp_path: Path, report: Report) -> None:
    async with house(tmp_path, None, ONE) as site:
        load = Load(site)
        load.start()
        for _ in range(3):
            await load.more(20)
            await site.partner.stop()
            await load.more(50)
            await site.partner.start()
        await ended(site, load, "a destination that refuses connections", report)


async def test_2000_idle_connections_and_those_that_drip(tmp_path: Path, report: Report) -> None:
    async with house(tmp_path, None, ONE) as site:
        crowd = [await asyncio.open_connection("127.0.0.1", site.ports["adt"]) for _ in range(2000)]
        load = Load(site)
        load.start()
        for n in range(10):
            for _, writer in crowd[:500]:
                writer.write(b"\x0bMSH|^~\\&|"[n : n + 1])
            await load.more(30)
        assert len(crowd) == 2000
        await ended(site, load, "2,000 connections, 500 of them dripping", report)
        for _, writer in crowd:
            writer.close()

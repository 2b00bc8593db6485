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

from tests.adapters.mllp_peer import Receiver, Said, acknowledgement
from tests.faults.house import ROUNDS, Account, Load, Report, ended, house, settled, sound

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
            await load.more(chance.randrange(1, 25))
            site.kill("engine")
            await site.restart("engine")
        await ended(site, load, "kill -9", report)


async def test_a_foreign_writer_holds_the_database(tmp_path: Path, report: Report) -> None:
    async with house(tmp_path, None, ONE) as site:
        load = Load(site)
        load.start()
        for _ in range(ROUNDS):
            await load.more(10)
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


Reply = Callable[[bytes], Said | Awaitable[Said]]


async def test_a_destination_misbehaves(tmp_path: Path, report: Report) -> None:
    """In each of these ways, again and again; between it is as it should be. What it was sent before it answered may be
    sent again."""
    ways: list[Reply | None] = [garbage, half, wrong, late, silent, gone, None]

    async def play(folder: Path, reply: Reply | None) -> Account:
        async with house(folder, None, ONE) as site:
            load = Load(site, pause=1.0)
            load.start()
            for _ in range(ROUNDS):
                await load.more(4)
                await misbehaves(site.partner, reply)
                await load.more(8)
                await behaves(site.partner)
            return await settled(site, load)

    folders = [tmp_path / (way.__name__ if way else "refuses") for way in ways]
    accounts = await asyncio.gather(*map(play, folders, ways))
    for folder, account in zip(folders, accounts, strict=True):
        sound(account, f"a destination: {folder.name}", report)


async def misbehaves(partner: Receiver, reply: Reply | None) -> None:
    """None: nobody listens."""
    if reply is None:
        await partner.stop()
    else:
        partner.reply = reply


async def behaves(partner: Receiver) -> None:
    if partner.reply is acknowledgement:
        await partner.start()
    else:
        partner.reply = acknowledgement
        partner.drop()


async def test_2000_idle_connections_and_those_that_drip(tmp_path: Path, report: Report) -> None:
    async with house(tmp_path, None, ONE) as site:
        crowd = [await asyncio.open_connection("127.0.0.1", site.ports["adt"]) for _ in range(2000)]
        load = Load(site)
        load.start()
        for n in range(ROUNDS):
            for _, writer in crowd[:500]:
                writer.write((b"\x0bMSH|^~\\&|" + b"X" * ROUNDS)[n : n + 1])
            await load.more(15)
        assert len(crowd) == 2000
        await ended(site, load, "2,000 connections, 500 of them dripping", report)
        for _, writer in crowd:
            writer.close()

"""Hints: a word to the other processes on the same database that there is something to do. They carry no state: one
that is lost costs the time until the next sweep, no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from redis.asyncio import Redis

CHANNEL = "chartwire"
GATHER = 0.002
"""Seconds in which the hints of many commits become one."""
AGAIN = 1.0
"""Seconds until Redis is tried again."""
_PATIENCE: dict[str, Any] = {"socket_connect_timeout": 2, "socket_timeout": 2, "health_check_interval": 2}
log = structlog.get_logger("hints")


def _server(url: str) -> Redis:
    from redis.asyncio import Redis  # paid by who has one

    return Redis.from_url(url, **_PATIENCE)


class Hints:
    """`url` of a Redis, or None: then nobody is told, and `heard` is never true. `of` tells installations apart that
    share one; `woken` is called with every hint that another process, or this one, gives."""

    def __init__(self, url: str | None, of: str, woken: Callable[[str], None]) -> None:
        self.heard = False
        self._redis = _server(url) if url else None
        self._channel = f"{CHANNEL}:{of}"
        self._woken = woken
        self._waiting: set[str] = set()
        self._some = asyncio.Event()

    def tell(self, hint: str) -> None:
        """There may be something to do: `worker`, `destination NAME`; or a lane may go on: `hurry LANE NAME`."""
        if self.heard:
            self._waiting.add(hint)
            self._some.set()

    async def run(self) -> None:
        """Until cancelled."""
        if self._redis is None:
            await asyncio.Event().wait()
            return
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listen(self._redis))
                    group.create_task(self._send(self._redis))
            except* (
                Exception
            ) as failed:  # whatever a client of a server that dies raises, the engine goes on without
                if self.heard:
                    log.warning("no hints", reason=type(failed.exceptions[0]).__name__)
            finally:
                self.heard = False
            await asyncio.sleep(AGAIN)

    async def _listen(self, server: Redis) -> None:
        async with server.pubsub() as heard:
            await heard.subscribe(self._channel)
            while True:
                message = await heard.get_message(timeout=1.0)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self.heard = True
                    log.info("hints are heard")
                elif message["type"] == "message":
                    for hint in message["data"].decode().split("\n"):
                        self._woken(hint)

    async def _send(self, server: Redis) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(GATHER)
            self._some.clear()
            hints, self._waiting = self._waiting, set()
            await server.publish(self._channel, "\n".join(sorted(hints)))

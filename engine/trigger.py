"""The chart as a source: a resource that comes to be as declared is a message of the channel that declares it.

Triggers are evaluated where facts are filed, in the same transaction. A message is made once for each
(channel, resource, state), so neither a replay nor another fold of the same facts makes a second.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from engine.condition import always
from engine.plugin import Intake, Ready, source
from engine.settings import When
from formats.fhir.path import path, values

Resource = Mapping[str, Any]
HOPS = 8
"""How often a change of the chart may lead to another before it is taken for a circle."""


@source("chart")
@dataclass(frozen=True)
class ChartSource:
    """Tells of every resource of a type that comes to fulfil `when`, once for each value of its `state`.

    The message is a FHIR Bundle: first the resource, then those that it refers to.
    """

    type: Annotated[str, "the type of resource"]
    when: Annotated[When, "which of them; default: all"] = always
    state: Annotated[tuple[str, ...], "elements whose values, once told of, are not told of again"] = (
        "status",
    )

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = []
        for name in self.state:
            try:
                path(f"{self.type}.{name}")
            except ValueError as bad:
                found.append(f"state: {bad}")
        return found

    async def run(self, intake: Intake, ready: Ready) -> None:
        """The messages are made where the chart is written; there is nothing to listen to."""
        ready(f"chart:{self.type}")
        await asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True)
class Trigger:
    """One channel that the chart is the source of."""

    channel: str
    when: Callable[[Resource], bool]
    state: tuple[str, ...]

    def fires(self, resource: Resource) -> str | None:
        """The state that is to be told of, or None."""
        if not self.when(resource):
            return None
        type = resource["resourceType"]
        told = (",".join(values(resource, path(f"{type}.{name}"))) for name in self.state)
        return "/".join(told)

    def digest(self, key: bytes, state: str) -> bytes:
        """What is unique of one thing told."""
        head = f"{self.channel}\0chart\0{state}\0".encode()
        return hashlib.blake2b(head + key, digest_size=16).digest()


Triggers = Mapping[str, tuple[Trigger, ...]]
"""By the type of resource."""

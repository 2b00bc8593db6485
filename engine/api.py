"""The FHIR API as a source: what clients write under /fhir is a message of the channel that declares it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from engine.plugin import Intake, Ready, source
from engine.settings import Size


@source("fhir")
@dataclass(frozen=True)
class FhirSource:
    """Takes create, update, patch, delete, transaction and batch on /fhir, where read and search are.

    The channel has `ack: processed`: each is answered from the chart. Without such a channel the API only reads.
    """

    max_transaction: Annotated[Size, "the longest transaction taken; a longer one is answered 413"] = 5 << 20
    max_batch: Annotated[Size, "the longest batch taken; its entries are committed a few at a time"] = (
        50 << 20
    )

    async def run(self, intake: Intake, ready: Ready) -> None:
        """The web server hands over what it gets; there is nothing of its own to listen to."""
        ready("/fhir")
        await asyncio.get_running_loop().create_future()

"""Where images go: a DICOM storage service that is called."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Annotated

from adapters import tls
from adapters.dicom.outbound import Outbound, Receiver, in_memory
from engine.message import Delivery, Outcome, Retry
from engine.plugin import destination
from engine.settings import Seconds
from store.reason import Reason

_AT_ONCE = 64


@destination("dicom")
@dataclass
class DicomDestination:
    """Sends each instance (C-STORE) over an association of its own, as it came: its class in its transfer syntax is
    proposed, and nothing else, and no byte of its data set is changed.

    A receiver that does not take it so has rejected it. Retry: no association, or a status that says not now (A7xx).
    Rejected: A9xx, Cxxx and the like. Warnings (Bxxx) say that it was stored. Unknown: it was sent, and there is no
    answer. The Message ID is the number of the delivery (its last 16 bits).
    """

    host: Annotated[str, "where the receiver listens"]
    port: Annotated[int, "its TCP port"]
    ae_title: Annotated[str, "its AE title"]
    calling: Annotated[str, "our AE title"] = "CHARTWIRE"
    timeout: Annotated[Seconds, "how long to wait for an association, and then for each answer"] = 30.0
    tls: Annotated[bool, "encrypt, and check the receiver's certificate"] = False
    ca: Annotated[Path | None, "PEM file: the authority that the receiver's certificate must be of"] = None
    certificate: Annotated[
        Path | None, "PEM file with our certificate chain, if the receiver asks for one"
    ] = None
    key: Annotated[Path | None, "PEM file with its private key, if that is not in the same file"] = None
    accept_plaintext_risk: Annotated[
        str, "a sentence that names the risk of sending off loopback without TLS"
    ] = ""

    def __post_init__(self) -> None:
        self._under_way: set[Outbound] = set()
        self._context: SSLContext | None = None
        self._threads: ThreadPoolExecutor | None = None

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        titles = (self.ae_title, self.calling)
        found = [f"{title!r} is no AE title" for title in titles if not 0 < len(title.strip()) <= 16]
        return found + tls.problems(self)

    def risks(self) -> list[str]:
        """What was accepted by name; listed at every start."""
        if not tls.exposed(self):
            return []
        return [f"plaintext DICOM to {self.host}:{self.port}: {self.accept_plaintext_risk}"]

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt, one association."""
        try:
            receiver = self._receiver()
        except OSError as error:
            return Retry(Reason("tls-files", f"the TLS files cannot be read: {type(error).__name__}"))
        outbound = Outbound(receiver)
        self._under_way.add(outbound)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool(), _send, outbound, delivery)
        except asyncio.CancelledError:
            outbound.stop()
            raise
        finally:
            self._under_way.discard(outbound)

    async def close(self) -> None:
        """A delivery under way ends as Unknown."""
        for outbound in self._under_way:
            outbound.stop()
        if self._threads:
            self._threads.shutdown(wait=False)
            self._threads = None

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_AT_ONCE, f"dicom {self.ae_title}")
        return self._threads

    def _receiver(self) -> Receiver:
        if self.tls and not self._context:
            self._context = tls.client(self.ca, self.certificate, self.key)
        return Receiver(self.host, self.port, self.ae_title, self.calling, self.timeout, self._context)


def _send(outbound: Outbound, delivery: Delivery) -> Outcome:
    number = delivery.id & 0xFFFF
    if delivery.spooled:
        return outbound.send(delivery.spooled, number)
    with in_memory(delivery.body) as path:
        return outbound.send(path, number)

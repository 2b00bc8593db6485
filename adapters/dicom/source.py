"""Where images come from, and worklists are asked for: a DICOM application entity that listens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from adapters import tls
from adapters.dicom.listener import Listener, Terms
from engine.plugin import Intake, Ready, source
from engine.settings import Seconds, Size


@source("dicom")
@dataclass(frozen=True)
class DicomSource(tls.Listening):
    """Takes instances of every storage class in the transfer syntax that they come in (C-STORE), answers C-ECHO,
    and modality worklist queries (C-FIND) for the channel of the same source with `ack: replied`.

    Success is said when the instance is durable; A700: not now, or longer than `max_size`; A900: the data set is not
    what the command names; C000: it cannot be read, the reason is in Error Comment. What is not answered is to be
    sent again. One channel may hear instances and another queries at the same port: with the same settings.
    """

    ae_title: Annotated[str, "our AE title; who calls another is refused"] = "CHARTWIRE"
    callers: Annotated[tuple[str, ...], "AE titles that may call; none named: everybody"] = ()
    max_pdu: Annotated[Size, "the longest P-DATA PDU that we ask for"] = 256 << 10
    max_associations: Annotated[int, "how many at once; who comes then is refused for now"] = 32
    max_size: Annotated[Size, "the longest instance taken"] = 4 << 30
    timeout: Annotated[Seconds, "how long a sender may take for one PDU, or be silent"] = 60.0

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = super().problems()
        found += [
            f"{title!r} is no AE title" for title in (self.ae_title, *self.callers) if not _title(title)
        ]
        if not 4096 <= self.max_pdu <= 1 << 24:
            found.append("max_pdu is 4KB to 16MB")
        return found

    async def run(self, intake: Intake, ready: Ready) -> None:
        """Listen until cancelled, then answer what is in hand. OSError: the address cannot be had."""
        if found := self.problems():
            raise ValueError("; ".join(found))
        listener = Listener(self._terms(), intake, self.context())
        host, port = await asyncio.to_thread(listener.open)
        try:
            ready(
                f"{'dicoms' if self.certificate else 'dicom'}://{f'[{host}]' if ':' in host else host}:{port}"
            )
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.to_thread(listener.close)

    def _terms(self) -> Terms:
        return Terms(
            address=(self.host, self.port),
            title=self.ae_title,
            callers=self.callers,
            max_pdu=self.max_pdu,
            max_associations=self.max_associations,
            max_size=self.max_size,
            timeout=self.timeout,
        )


def _title(title: str) -> bool:
    """AE (PS3.5 6.2): 1 to 16 printable characters without a backslash, not blank."""
    return (
        bool(title.strip())
        and len(title) <= 16
        and title.isascii()
        and title.isprintable()
        and "\\" not in title
    )

"""A DICOM source in a process of its own, whose memory can be read: `python -m tests.adapters.dicom_sink FOLDER`.

It tells its address, and then for each instance that it took how big it was and the most memory it has used so far.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio import Future
from pathlib import Path

from adapters.dicom.source import DicomSource
from engine.journal.spool import Spool
from engine.message import Accepted, Receipt, Received, Refused
from store.reason import Reason


def peak() -> int:
    """The most resident memory so far, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


class Sink:
    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder)

    def __call__(self, received: Received) -> Future[Receipt]:
        assert received.spooled
        received.spooled.path.unlink()
        print(json.dumps({"size": received.spooled.size, "peak": peak()}), flush=True)
        return self._said(Accepted(1))

    def ask(self, received: Received) -> Future[Receipt]:
        return self._said(Accepted(0, b"[]"))

    def refuse(self, received: Received, reason: Reason) -> Future[Receipt]:
        return self._said(Refused(reason))

    def _said(self, receipt: Receipt) -> Future[Receipt]:
        future: Future[Receipt] = asyncio.get_running_loop().create_future()
        future.set_result(receipt)
        return future


if __name__ == "__main__":
    source = DicomSource(port=0)
    asyncio.run(source.run(Sink(Path(sys.argv[1])), lambda address: print(json.dumps(address), flush=True)))

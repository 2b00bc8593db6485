from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.dicom.destination import DicomDestination
from adapters.dicom.source import DicomSource
from tests.adapters.dicom_peer import data_set, instance, received
from tests.adapters.dicom_wire import Receiver, Sender, Stored, answer, pieces, receiver, store_rsp
from tests.conformance.harness import CANARY, Behaviour, Sign, Verdict

ROOT = "1.2.826.0.1.3680043.9.7433"


class DicomClient:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, body: bytes) -> None:
        (size,) = struct.unpack_from("<H", body, body.index(b"\x02\x00\x03\x00UI") + 6)
        at = body.index(b"\x02\x00\x03\x00UI") + 8
        await self._sender.store(body[at : at + size].rstrip(b"\0").decode(), data_set(body))

    async def verdict(self) -> Verdict:
        found = await self._sender.answer()
        if found.status is None:
            return Verdict("closed")
        return Verdict("accepted" if found.status == 0 else "refused", found.comment)

    def silent(self) -> bool:
        return self._sender.answers.empty()

    async def break_off(self, body: bytes) -> None:
        raise NotImplementedError

    async def leave(self) -> None:
        await self._sender.leave()


class DicomListener:
    name = "dicom"
    cannot: Mapping[Sign, str] = {
        Sign.BROKEN: "the first 50 bytes of an instance are nothing yet; see tests/adapters/test_dicom_source.py"
    }
    garbage = received(f"{ROOT}.66", b"this is no data set")

    def source(self) -> DicomSource:
        return DicomSource(port=0)

    def message(self, number: int) -> bytes:
        uid = f"{ROOT}.1.{number}"
        return received(uid, data_set(instance(uid)))

    async def connect(self, address: str) -> DicomClient:
        return DicomClient(await Sender.connect(address))


class DicomPartner:
    behaviour = Behaviour.ACCEPT

    def __init__(self, peer: Receiver) -> None:
        self._peer = peer
        peer.reply = self._reply

    async def _reply(self, stored: Stored, writer: asyncio.StreamWriter, context: int) -> None:
        statuses = {Behaviour.ACCEPT: 0x0000, Behaviour.REJECT: 0xC000, Behaviour.LATER: 0xA700}
        if self.behaviour in statuses:
            answer(stored, writer, context, statuses[self.behaviour], CANARY)
        elif self.behaviour is Behaviour.CLOSE:
            writer.close()
        elif self.behaviour is Behaviour.HALF:
            said = store_rsp(stored.message, stored.sop_class, stored.instance, 0, CANARY)
            writer.write(pieces(context, said, command=True)[:-20])
            writer.close()
        elif self.behaviour is Behaviour.GARBAGE:
            writer.write(f"\x0bMSH|{CANARY}\x1c\r".encode())
        elif self.behaviour is Behaviour.OTHER:
            answer(stored, writer, context, 0, CANARY, message=stored.message + 1)
        elif self.behaviour is Behaviour.TOGETHER and len(self._peer.writers) > 1:
            for each, other, number in self._peer.writers:
                answer(each, other, number, 0)

    @property
    def got(self) -> list[tuple[str, bytes]]:
        return [(f"CW{stored.message}", stored.data) for stored in self._peer.got]

    def destination(self, timeout: float) -> DicomDestination:
        return DicomDestination(host="127.0.0.1", port=self._peer.port, ae_title="PACS", timeout=timeout)

    async def arrived(self, count: int) -> None:
        await self._peer.arrived(count)

    async def down(self) -> None:
        await self._peer.stop()

    async def up(self) -> None:
        await self._peer.start()


class DicomReceiver:
    name = "dicom"
    cannot: Mapping[Behaviour, str] = {}

    @asynccontextmanager
    async def partner(self, directory: Path) -> AsyncIterator[DicomPartner]:
        async with receiver() as peer:
            yield DicomPartner(peer)

    def payload(self, number: int) -> bytes:
        return instance(f"{ROOT}.2.{number}", PatientName=CANARY)


SOURCES = [DicomListener()]
DESTINATIONS = [DicomReceiver()]

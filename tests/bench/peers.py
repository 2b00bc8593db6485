"""Two acknowledging destinations in one process: `python -m tests.bench.peers` prints their ports, then counts.

With `echo` as an argument: one bare MLLP listener that answers at once and stores nothing (the echo ceiling).
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

START, END = b"\x0b", b"\x1c\r"


class Peer(asyncio.Protocol):
    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(END)) >= 0:
            frame, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
            control = frame[: frame.find(b"\r")].split(b"|")[9]
            Peer.count += 1
            self.transport.write(  # type: ignore[attr-defined]
                START
                + b"MSH|^~\\&|B|B|A|A|20261122||ACK|"
                + control
                + b"|P|2.5.1\rMSA|AA|"
                + control
                + b"\r"
                + END
            )


async def main(listeners: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Peer, "127.0.0.1", 0) for _ in range(listeners)]
    print(json.dumps([s.sockets[0].getsockname()[1] for s in servers]), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)


if __name__ == "__main__":
    uvloop.run(main(1 if "echo" in sys.argv else 2))

"""MLLP as the partners speak it, on plain sockets: their own few lines, not the engine's."""

from __future__ import annotations

import socket
from collections.abc import Iterator

VT, END = b"\x0b", b"\x1c\r"


def connect(address: str) -> socket.socket:
    """`mllp://HOST:PORT` or `HOST:PORT`."""
    host, _, port = address.removeprefix("mllp://").rpartition(":")
    link = socket.create_connection((host.strip("[]"), int(port)), timeout=30)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def send(link: socket.socket, body: bytes) -> None:
    link.sendall(VT + body + END)


def blocks(link: socket.socket) -> Iterator[bytes]:
    """The bodies of the blocks that come, until the other side hangs up."""
    buffer = b""
    while data := link.recv(65536):
        buffer += data
        while (end := buffer.find(END)) >= 0:
            yield buffer[buffer.find(VT) + 1 : end]
            buffer = buffer[end + len(END) :]


def field(body: bytes, name: str, number: int) -> str:
    """The first segment of that name, its field as text; for MSH the separator itself counts as the first."""
    for line in body.split(b"\r"):
        fields = line.decode("utf-8", "replace").split("|")
        if fields[0] == name:
            place = number - 1 if name == "MSH" else number
            return fields[place] if place < len(fields) else ""
    return ""

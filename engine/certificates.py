"""The certificates that the configuration uses: whose they are, and until when they are good."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from engine.channel import Configuration

FILES = ("certificate", "ca", "client_ca")
"""The settings of sources and destinations that name PEM files with certificates."""


class Certificate(NamedTuple):
    """`where`: `channel lab: certificate`. `until` in microseconds since the epoch, None if it cannot be read, and
    then `why`."""

    where: str
    file: str
    subject: str
    serial: str
    until: int | None
    why: str = ""


def certificates(configuration: Configuration) -> list[Certificate]:
    """Of all sources and destinations; of a chain the one that is good for the shortest time. Blocks: reads files."""
    things = [(f"channel {c.name}", c.source) for c in configuration.channels]
    things += [(f"destination {p.name}", p.destination) for p in configuration.partners]  # type: ignore[misc]
    return [_read(f"{name}: {setting}", file) for name, thing in things for setting, file in _files(thing)]


def _files(thing: Any) -> Iterator[tuple[str, Path]]:
    for setting in FILES:
        if isinstance(file := getattr(thing, setting, None), Path):
            yield setting, file


def _read(where: str, file: Path) -> Certificate:
    from cryptography import x509

    try:
        found = min(
            x509.load_pem_x509_certificates(file.read_bytes()), key=lambda each: each.not_valid_after_utc
        )
    except (OSError, ValueError) as error:
        return Certificate(where, str(file), "", "", None, type(error).__name__)
    subject, serial = found.subject.rfc4514_string(), f"{found.serial_number:x}"
    return Certificate(where, str(file), subject, serial, int(found.not_valid_after_utc.timestamp() * 1e6))


def days(until: int, now: int) -> int:
    """Whole days left, negative when it is over."""
    return (datetime.fromtimestamp(until / 1e6, UTC) - datetime.fromtimestamp(now / 1e6, UTC)).days

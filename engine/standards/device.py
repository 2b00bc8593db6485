"""Readings of bedside devices: what they mean is declared for each device type, where they are stored."""

from __future__ import annotations

from engine.plugin import Format, format_
from formats import device

FORMAT = format_(
    "device",
    Format(parse=device.parse, kind=lambda message: "reading", write=lambda message: message.raw),
)

"""Readings of bedside devices: one JSON object, numbers to the digit, and paths into it."""

from formats.device.reading import Message, parse, value

__all__ = ["Message", "parse", "value"]

"""The delimiters of an interchange, which its ISA declares by where they stand (X12.5, 005010 appendix B)."""

from __future__ import annotations

from dataclasses import dataclass

from formats.reason import Reason

ISA_LENGTH = 106
"""ISA is the only segment of fixed length: 105 bytes and the segment terminator."""

_ELEMENTS = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)
_VERSION = slice(84, 89)
_PLACE = "ISA"


@dataclass(frozen=True, slots=True)
class Delimiters:
    """One byte each; `repetition` is empty where ISA11 is none, as before version 00402."""

    element: bytes
    component: bytes
    repetition: bytes
    terminator: bytes


STANDARD = Delimiters(b"*", b":", b"^", b"~")


def read_isa(head: bytes) -> Delimiters | Reason:
    """The delimiters that these first 106 bytes of an interchange declare. Code of the Reason: `unreadable-isa`."""
    if not head.startswith(b"ISA"):
        return _unreadable("it does not begin with an ISA segment")
    if len(head) < ISA_LENGTH:
        return _unreadable("it ends within the ISA segment")
    element, component, terminator = head[3:4], head[104:105], head[105:106]
    if any(head[place : place + 1] != element for place in _ELEMENTS):
        return _unreadable("the elements of ISA are not where its fixed length puts them")
    if len({element, component, terminator}) < 3 or any(map(_is_text, (element, component, terminator))):
        return _unreadable("two of its delimiters are the same, or one is a letter, a digit or a blank")
    repetition = head[82:83] if head[_VERSION] >= b"00402" else b""
    if repetition in (element, component, terminator) or _is_text(repetition):
        repetition = b""  # many senders leave the U of older versions there: nothing of theirs repeats
    return Delimiters(element, component, repetition, terminator)


def _is_text(delimiter: bytes) -> bool:
    return delimiter.isalnum() or delimiter == b" "


def _unreadable(text: str) -> Reason:
    return Reason("unreadable-isa", f"this is no readable X12 interchange: {text}", _PLACE)

"""One segment of an interchange."""

from __future__ import annotations

from formats.x12.delimiters import Delimiters


class Segment:
    """One segment. `raw` are its bytes with the terminator and the line end after it, `start` its offset.

    The `name` of what begins with no segment id is `""`: it may be anything, a patient's name too.

    `number` counts the segments of its name from 1 in a `Message`; while streaming it is 0.
    """

    __slots__ = ("_elements", "_text", "delimiters", "name", "number", "raw", "start")

    def __init__(self, raw: bytes, text: str, start: int, delimiters: Delimiters, number: int = 0) -> None:
        self.raw = raw
        self.start = start
        self.number = number
        self._text = text
        self.delimiters = delimiters
        self._elements: list[str] | None = None
        self.name = segment_id(text.partition(delimiters.element.decode("latin-1"))[0])

    @property
    def text(self) -> str:
        """The segment without terminator and line end."""
        return self._text

    @property
    def elements(self) -> list[str]:
        """`elements[n]` is element n of the standard; `elements[0]` the name. Not to be changed."""
        if self._elements is None:
            self._elements = self._text.split(self.delimiters.element.decode("latin-1"))
        return self._elements

    def get(self, element: int, component: int = 0) -> str:
        """Element `element`, or a component of it from 1; `""` beyond the end."""
        elements = self.elements
        value = elements[element] if element < len(elements) else ""
        if not component:
            return value
        parts = value.split(self.delimiters.component.decode("latin-1"))
        return parts[component - 1] if component <= len(parts) else ""

    def repetitions(self, element: int) -> list[str]:
        """The repetitions of an element; never an empty list."""
        value, separator = self.get(element), self.delimiters.repetition.decode("latin-1")
        return value.split(separator) if separator and self.name != "ISA" else [value]

    def place(self, element: int, component: int = 0) -> str:
        """Where a value is, for a Reason: `SV1[2]-2`, `CLM-5.3`."""
        known = self.name or "segment"
        name = f"{known}[{self.number}]" if self.number > 1 else known
        return f"{name}-{element}.{component}" if component else f"{name}-{element}"

    def __repr__(self) -> str:
        return f"<Segment {self.name} at {self.start}>"


def segment_id(text: str) -> str:
    """The text if it can be a segment id (X12.6: a letter, then one or two letters or digits), else `""`."""
    return text if 2 <= len(text) <= 3 and text.isascii() and text.isalnum() and text[0].isalpha() else ""

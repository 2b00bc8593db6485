"""One line of a message."""

from __future__ import annotations

from formats.hl7v2.path import HEADERS


class Segment:
    """One segment, or a line that is none (its `name` is then `""`).

    `number` counts the segments of its name from 1, as ERL-2 does; for a line that is no segment it is the
    number of the line. `start` and `end` are byte offsets in the message, without the terminator.
    """

    __slots__ = ("_fields", "_separator", "line", "name", "number", "start")

    def __init__(self, name: str, number: int, line: bytes, start: int, separator: bytes) -> None:
        self.name = name
        self.number = number
        self.line = line
        self.start = start
        self._separator = separator
        self._fields: list[bytes] | None = None

    @property
    def end(self) -> int:
        return self.start + len(self.line)

    @property
    def fields(self) -> list[bytes]:
        """`fields[n]` is field n of the standard; `fields[0]` the name. Not to be changed."""
        fields = self._fields
        if fields is None:
            fields = self.line.split(self._separator)
            if self.name in HEADERS:
                fields.insert(1, self._separator)
            self._fields = fields
        return fields

    def field(self, number: int) -> bytes:
        """Field `number`, `b""` beyond the end."""
        fields = self.fields
        return fields[number] if number < len(fields) else b""

    @property
    def place(self) -> str:
        """Where this is, for a Reason: `OBX[3]`, or `line 7` for a line that is no segment."""
        if not self.name:
            return f"line {self.number}"
        return self.name if self.number == 1 else f"{self.name}[{self.number}]"

    def __repr__(self) -> str:
        return f"<Segment {self.place}>"

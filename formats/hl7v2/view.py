"""A message of HL7 v2 as a lazy view over its bytes: nothing is split before it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial

from formats.hl7v2.edit import replaced
from formats.hl7v2.escape import Undecodable, Unencodable, escape, unescape
from formats.hl7v2.header import Header, read_header
from formats.hl7v2.leaves import Leaf, leaves
from formats.hl7v2.lines import segment_name, split
from formats.hl7v2.null import NULL, NULL_BYTES, Null
from formats.hl7v2.path import Path, path
from formats.hl7v2.segment import Segment
from formats.reason import Reason


def parse(body: bytes, *, charset: str = "ASCII") -> Message | Reason:
    """The message, or why these bytes are none. Reads no further than MSH.

    `charset` holds when MSH-18 is empty: a name of table 0211 or of a Python codec, LookupError if it is
    neither. A byte order mark or blank lines before MSH are passed over. Codes of the Reason: `no-msh`,
    `batch`, `several-messages`, `bad-delimiters`, `unsupported-charset`, `undecodable` (in MSH itself).
    """
    header = read_header(body, charset)
    return header if isinstance(header, Reason) else Message(body, header, charset)


class Message:
    """One parsed message: immutable, its bytes kept as they came. Made by `parse`.

    `charset` is the Python codec that MSH-18, or else the default, names; `separators` are as in MSH.
    """

    __slots__ = (
        "_default",
        "_found",
        "_index",
        "_parts",
        "_segments",
        "_start",
        "charset",
        "raw",
        "separators",
    )

    def __init__(self, raw: bytes, header: Header, default: str) -> None:
        self.raw = raw
        self.separators = header.separators
        self.charset = header.charset
        self._start = header.segment.start
        self._parts = header.separators.component + header.separators.subcomponent
        self._default = default
        self._segments: list[Segment] | None = None
        self._index: dict[str, list[Segment]] = {}
        self._found: dict[str, Segment | None] = {"MSH": header.segment}

    # -- segments

    @property
    def segments(self) -> list[Segment]:
        """All lines that are not empty, in order; those that are no segment have the name `""`."""
        return list(self._segments if self._segments is not None else self._read())

    def all(self, name: str) -> list[Segment]:
        """Every segment of that name, in order."""
        if self._segments is None:
            self._read()
        return list(self._index.get(name, ()))

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        found = self._found.get(name)
        if found is None and self._segments is None and name not in self._found:
            found = self._found[name] = self._search(name)
        return found

    def _search(self, name: str) -> Segment | None:
        """The first segment of that name, in the plain case without cutting the message into lines."""
        raw, field = self.raw, self.separators.field
        if b"\n" in raw or not name:
            self._read()
            return self._found.get(name)
        opening = b"\r" + name.encode()
        end = self._start
        while (place := raw.find(opening, end) + 1) > 0:
            end = raw.find(b"\r", place)
            line = raw[place:end] if end >= 0 else raw[place:]
            if segment_name(line[:4], field) == name:
                return Segment(name, 1, line, place, field)
            if end < 0:
                break
        return None

    def _read(self) -> list[Segment]:
        field, index = self.separators.field, self._index
        segments: list[Segment] = []
        for text, start in zip(*split(self.raw, self._start, field), strict=True):
            if not text:
                continue
            name = segment_name(text[:4], field)
            same = index.setdefault(name, [])
            number = len(same) + 1 if name else len(segments) + 1
            known = self._found.get(name) if number == 1 else None
            segment = known or Segment(name, number, text, start, field)
            same.append(segment)
            segments.append(segment)
        self._found.update((name, same[0]) for name, same in index.items())
        self._segments = segments
        return segments

    # -- values

    @property
    def kind(self) -> str:
        """`ADT^A01`: MSH-9.1 and MSH-9.2; `ACK` where there is no trigger event."""
        code, event = self.get("MSH-9.1") or "", self.get("MSH-9.2") or ""
        return f"{code}^{event}" if event else code

    @property
    def control(self) -> str:
        """The message control id, MSH-10, `""` if there is none."""
        return self.get("MSH-10") or ""

    def get(self, where: str | Path) -> str | Null | None:
        """The value at the path; None if it is absent or empty, NULL if it is HL7's explicit null.

        A path that does not say which segment or repetition means the first. A path to a whole field or
        component that has parts gives their text with the delimiters between them, and None if all are
        empty. Raises Undecodable, ValueError if the text is not a path.
        """
        at = where if where.__class__ is Path else path(where)
        segment = self.first(at.segment) if at.occurrence < 2 else self._nth(at)
        if segment is None:
            return None
        fields = segment.fields
        if at.field >= len(fields) or not (value := fields[at.field]):
            return None
        if at.fixed:
            return value.decode("ascii")
        repetition = self.separators.repetition
        if repetition and repetition in value:
            value = _part(value, repetition, at.repetition or 1)
        elif at.repetition > 1:
            return None
        return self._read_value(self._below(value, at) if at.component else value)

    def values(self, where: str | Path) -> list[str]:
        """Every value at the path: a path that does not say which segment or repetition means all of them.

        Empty values and NULL are left out. Raises as `get` does.
        """
        at = where if isinstance(where, Path) else path(where)
        segments = self.all(at.segment)
        if at.occurrence:
            segments = segments[at.occurrence - 1 : at.occurrence]
        found = (self._read_value(leaf) for segment in segments for leaf in self._matches(segment, at))
        return [value for value in found if value]

    def _matches(self, segment: Segment, at: Path) -> list[bytes]:
        field = segment.field(at.field)
        if at.fixed:
            return [field]
        repetitions = self.repetitions(field)
        if at.repetition:
            repetitions = repetitions[at.repetition - 1 : at.repetition]
        return [self._below(repetition, at) for repetition in repetitions]

    def _nth(self, at: Path) -> Segment | None:
        number = at.occurrence or 1
        if number == 1:
            return self.first(at.segment)
        same = self.all(at.segment)
        return same[number - 1] if number <= len(same) else None

    def _below(self, repetition: bytes, at: Path) -> bytes:
        if not at.component:
            return repetition
        component = _part(repetition, self.separators.component, at.component)
        return (
            _part(component, self.separators.subcomponent, at.subcomponent) if at.subcomponent else component
        )

    def _read_value(self, value: bytes) -> str | Null | None:
        if value == NULL_BYTES:
            return NULL
        return self.text(value) if value.strip(self._parts) else None

    def repetitions(self, field: bytes) -> list[bytes]:
        """The repetitions of a field; never an empty list, as with `bytes.split`."""
        separator = self.separators.repetition
        return field.split(separator) if separator else [field]

    def components(self, repetition: bytes) -> list[bytes]:
        """The components of one repetition; never an empty list."""
        separator = self.separators.component
        return repetition.split(separator) if separator else [repetition]

    def subcomponents(self, component: bytes) -> list[bytes]:
        """The subcomponents of one component; never an empty list."""
        separator = self.separators.subcomponent
        return component.split(separator) if separator else [component]

    def text(self, leaf: bytes) -> str:
        """The text of a leaf: escapes resolved, decoded. Raises Undecodable with the byte's offset in it."""
        if leaf.isascii() and self.separators.escape not in leaf:
            return leaf.decode()
        return unescape(leaf, self.separators, self.charset)

    # -- the whole message

    def leaves(self) -> Iterator[Leaf]:
        """Every leaf that is not empty, in order. What lies between is delimiters, names and terminators."""
        for segment in self.segments:
            yield from leaves(segment, self.separators)

    def undecodable(self) -> str | None:
        """The place of the first value that the character set cannot decode, as a path; None if all can."""
        if self._decodes(self.raw):
            return None
        suspects = (segment for segment in self.segments if not self._decodes(segment.line))
        for segment in suspects:
            for leaf in leaves(segment, self.separators):
                try:
                    self.text(self.raw[leaf.start : leaf.end])
                except Undecodable:
                    return leaf.path
        return None

    def _decodes(self, part: bytes) -> bool:
        """Whether every value of it surely decodes; hexadecimal escapes are not looked into."""
        if self.separators.escape and self.separators.escape + b"X" in part:
            return False
        if part.isascii():
            return True
        try:
            part.decode(self.charset)
        except UnicodeDecodeError:
            return False
        return True

    # -- other messages made from this one

    def set(self, where: str | Path, value: str | Null) -> Message:
        """The message with another value at the path; not one other byte changes.

        Fields, repetitions and components on the way are added. `value` is escaped: a delimiter in it is
        text. LookupError if there is no such segment; Unencodable (with the place) for a character that
        cannot be written; ValueError for MSH-1, MSH-2, a path that needs an undeclared delimiter, and a
        value of MSH-18 that leaves the message unreadable.
        """
        at = where if isinstance(where, Path) else path(where)
        if at.fixed:
            raise ValueError(f"{at} is the message's delimiters; it cannot be set")
        segment = self._nth(at)
        if segment is None:
            raise LookupError(f"the message has no segment {at.segment}[{at.occurrence or 1}]")
        written = self._written(value, at)
        if not written and not any(self._matches(segment, at)[:1]):
            return self
        line = replaced(segment, at, written, self.separators)
        return self._with(self.raw[: segment.start] + line + self.raw[segment.end :])

    def _written(self, value: str | Null, at: Path) -> bytes:
        if isinstance(value, Null):
            return NULL_BYTES
        try:
            return escape(value, self.separators, self.charset)
        except Unencodable as error:
            offset = error.offset
        raise Unencodable(offset, str(at))

    def keep(self, names: Collection[str]) -> Message:
        """Only these segments and MSH. A line that is no segment goes with the segment before it."""
        return self._filtered(lambda name: name in names)

    def drop(self, names: Collection[str]) -> Message:
        """Without these segments; MSH stays. A line that is no segment goes with the segment before it."""
        return self._filtered(lambda name: name not in names)

    def _filtered(self, wanted: Callable[[str], bool]) -> Message:
        segments = self.segments
        starts = [segment.start for segment in segments] + [len(self.raw)]
        parts = [self.raw[: starts[0]]]
        kept = True
        for segment, start, end in zip(segments, starts, starts[1:], strict=False):
            if segment.name:
                kept = segment.name == "MSH" or wanted(segment.name)
            if kept:
                parts.append(self.raw[start:end])
        return self._with(b"".join(parts))

    def _with(self, raw: bytes) -> Message:
        made = parse(raw, charset=self._default)
        if isinstance(made, Reason):
            raise ValueError(made)
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self.raw == other.raw and self.charset == other.charset

    def __hash__(self) -> int:
        return hash(self.raw)

    def __reduce__(self) -> tuple[Callable[..., Message | Reason], tuple[bytes]]:
        return partial(parse, charset=self._default), (self.raw,)

    def __repr__(self) -> str:
        return f"<Message of {len(self.raw)} bytes>"


def _part(value: bytes, separator: bytes, number: int) -> bytes:
    """Part `number` of a value, counted from 1; `b""` beyond the end."""
    parts = value.split(separator) if separator else [value]
    return parts[number - 1] if number <= len(parts) else b""

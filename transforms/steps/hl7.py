"""The steps `hl7.*` but one: what a message must have, what is put right in it, what is left out of it.

A path that does not say which segment means every segment of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated

from engine.message import State, Stop
from engine.plugin import transform
from engine.settings import Path, When
from formats import hl7v2
from store.reason import Reason


@transform("hl7.require")
def require(
    message: hl7v2.Message,
    *,
    segments: Annotated[list[str], "segments that must be there"],
    fields: Annotated[list[Path], "fields that must have a value in every such segment"] = [],  # noqa: B006
) -> hl7v2.Message | Stop:
    """Quarantines a message that lacks a segment or a field."""
    for name in segments:
        if message.first(name) is None:
            text = f"the channel requires segment {name}; the message has none"
            return Stop(State.QUARANTINED, Reason("required-segment", text, name))
    for field in fields:
        for place in [*everywhere(message, field)] or [field]:
            if not message.get(place):
                text = "the channel requires a value here; correct it at the source and resend"
                return Stop(State.QUARANTINED, Reason("required-field", text, str(place)))
    return message


@transform("hl7.set")
def assign(
    message: hl7v2.Message,
    *,
    field: Annotated[Path, "what to set"],
    value: Annotated[str, 'its value; "" empties it, "\\"\\"" is HL7\'s explicit null'],
) -> hl7v2.Message | Stop:
    """Sets a field to a value in every segment of that name; a message without the segment stays as it is."""
    for place in everywhere(message, field):
        changed = written(message, place, hl7v2.NULL if value == '""' else value)
        if isinstance(changed, Stop):
            return changed
        message = changed
    return message


@transform("hl7.copy")
def copy(
    message: hl7v2.Message,
    *,
    from_: Annotated[Path, "where the value comes from"],
    to: Annotated[Path, "where it goes, in the first such segment if the path does not say which"],
) -> hl7v2.Message | Stop:
    """Copies a value with its components. Where there is nothing to copy, nothing changes."""
    if not message.get(from_) or message.first(to.segment) is None:
        return message
    source = _raw(message, from_)
    changed = written(message, to, "")
    for place, leaf in _parts(message, to, source):
        if isinstance(changed, Stop):
            return changed
        changed = written(changed, place, hl7v2.NULL if leaf == b'""' else message.text(leaf))
    return changed


@transform("hl7.drop")
def drop(
    message: hl7v2.Message,
    *,
    segments: Annotated[list[str], "segments to leave out; none: the whole message"] = [],  # noqa: B006
    when: Annotated[When | None, "only of messages for which this holds"] = None,
) -> hl7v2.Message | Stop:
    """Leaves out segments, or drops the message: it ends FILTERED."""
    if when is not None and not when(message):
        return message
    if segments:
        return message.drop(segments)
    return Stop(State.FILTERED, Reason("dropped", "the channel drops messages such as this one"))


@transform("hl7.filter")
def filter(
    message: hl7v2.Message,
    *,
    when: Annotated[When, "what a message must be to go on"],
) -> hl7v2.Message | Stop:
    """Lets a message go on when the condition holds; any other ends FILTERED."""
    if when(message):
        return message
    return Stop(State.FILTERED, Reason("filtered", "the channel takes only messages that match its filter"))


@transform("hl7.keep_segments")
def keep_segments(
    message: hl7v2.Message,
    *,
    only: Annotated[list[str], "segments to keep; MSH always stays"],
) -> hl7v2.Message:
    """Leaves out all other segments."""
    return message.keep(only)


def everywhere(message: hl7v2.Message, path: hl7v2.Path) -> Iterator[hl7v2.Path]:
    """The path in each segment that it means."""
    for segment in segments_of(message, path):
        yield replace(path, occurrence=segment.number)


class Refused(Exception):
    """Within a step only: a value cannot be rewritten, and why."""

    def __init__(self, state: State, code: str, text: str) -> None:
        super().__init__(code)
        self.state = state
        self.code = code
        self.text = text


def rewritten(
    message: hl7v2.Message, path: hl7v2.Path, change: Callable[[bytes], bytes]
) -> hl7v2.Message | Stop:
    """The message with every repetition that the path means changed by `change`, made in one go."""
    pieces: list[bytes] = []
    end = 0
    for segment in segments_of(message, path):
        line = _changed_line(message, segment, path, change)
        if isinstance(line, Stop):
            return line
        pieces += [message.raw[end : segment.start], line]
        end = segment.end
    raw = b"".join([*pieces, message.raw[end:]])
    made = message if raw == message.raw else hl7v2.parse(raw, charset=message.charset)
    return Stop(State.FAILED, made) if isinstance(made, Reason) else made


def _changed_line(
    message: hl7v2.Message, segment: hl7v2.Segment, path: hl7v2.Path, change: Callable[[bytes], bytes]
) -> bytes | Stop:
    fields = segment.line.split(message.separators.field)
    at = path.field - (segment.name == "MSH")
    if at >= len(fields):
        return segment.line
    repetitions = message.repetitions(fields[at])
    for n, raw in enumerate(repetitions):
        if raw and path.repetition in (0, n + 1):
            place = str(replace(path, occurrence=segment.number, repetition=n + 1))
            try:
                repetitions[n] = change(raw)
            except Refused as why:
                return Stop(why.state, Reason(why.code, why.text, place))
            except hl7v2.Unencodable:
                return _unencodable(place)
    fields[at] = message.separators.repetition.join(repetitions)
    return message.separators.field.join(fields)


def segments_of(message: hl7v2.Message, path: hl7v2.Path) -> list[hl7v2.Segment]:
    """The segments that the path means: one, or all of that name."""
    same = message.all(path.segment)
    return same[path.occurrence - 1 : path.occurrence] if path.occurrence else same


def written(message: hl7v2.Message, place: hl7v2.Path, value: str | hl7v2.Null) -> hl7v2.Message | Stop:
    """The message with the value at the place, which exists."""
    try:
        return message.set(place, value)
    except hl7v2.Unencodable as error:
        return _unencodable(error.place or str(place))


def _unencodable(place: str) -> Stop:
    text = "the message's character set cannot write the value that a step puts here"
    return Stop(State.FAILED, Reason("unencodable", text, place))


def _raw(message: hl7v2.Message, path: hl7v2.Path) -> bytes:
    """The bytes at a path that has a value."""
    segment = message.all(path.segment)[(path.occurrence or 1) - 1]
    value = message.repetitions(segment.field(path.field))[(path.repetition or 1) - 1]
    if path.component:
        value = message.components(value)[path.component - 1]
    if path.subcomponent:
        value = message.subcomponents(value)[path.subcomponent - 1]
    return value


def _parts(message: hl7v2.Message, to: hl7v2.Path, raw: bytes) -> Iterator[tuple[hl7v2.Path, bytes]]:
    """The leaves of a value, each with its place below `to`."""
    if to.subcomponent:
        yield to, raw
        return
    components = [raw] if to.component else message.components(raw)
    for c, component in enumerate(components, start=to.component or 1):
        for s, leaf in enumerate(message.subcomponents(component), start=1):
            if leaf:
                yield replace(to, component=c, subcomponent=s), leaf

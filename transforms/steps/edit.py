"""Changing a message in the places that a path means, as steps do: every segment, every repetition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from engine.message import State, Stop
from formats import hl7v2
from store.reason import Reason


class Refusal(NamedTuple):
    """A value cannot be changed, and why."""

    state: State
    code: str
    text: str


Change = Callable[[bytes], "bytes | Refusal"]

UNENCODABLE = Refusal(
    State.FAILED, "unencodable", "the message's character set cannot write the value that a step puts here"
)

UNSETTABLE = Refusal(State.FAILED, "unsettable", "a step cannot put its value here in this message")


def segments_of(message: hl7v2.Message, path: hl7v2.Path) -> list[hl7v2.Segment]:
    """The segments that the path means: one, or all of that name."""
    same = message.all(path.segment)
    return same[path.occurrence - 1 : path.occurrence] if path.occurrence else same


def everywhere(message: hl7v2.Message, path: hl7v2.Path) -> Iterator[hl7v2.Path]:
    """The path in each segment that it means."""
    for segment in segments_of(message, path):
        yield replace(path, occurrence=segment.number)


def written(message: hl7v2.Message, place: hl7v2.Path, value: str | hl7v2.Null) -> hl7v2.Message | Stop:
    """The message with the value at the place, whose segment exists."""
    try:
        return message.set(place, value)
    except hl7v2.Unencodable as error:
        return _stop(UNENCODABLE, error.place or str(place))
    except ValueError:  # MSH-1, MSH-2, an undeclared delimiter, a character set that cannot be
        return _stop(UNSETTABLE, str(place))


def rewritten(message: hl7v2.Message, path: hl7v2.Path, change: Change) -> hl7v2.Message | Stop:
    """The message with every repetition that the path means changed, in one go."""
    if path.fixed:
        return _stop(UNSETTABLE, str(path))
    pieces: list[bytes] = []
    end = 0
    for segment in segments_of(message, path):
        line = _line(message, segment, path, change)
        if isinstance(line, Stop):
            return line
        pieces += [message.raw[end : segment.start], line]
        end = segment.end
    raw = b"".join([*pieces, message.raw[end:]])
    made = message if raw == message.raw else hl7v2.parse(raw, charset=message.charset)
    return Stop(State.FAILED, made) if isinstance(made, Reason) else made


def _line(message: hl7v2.Message, segment: hl7v2.Segment, path: hl7v2.Path, change: Change) -> bytes | Stop:
    fields = segment.line.split(message.separators.field)
    at = path.field - (segment.name == "MSH")
    if at >= len(fields):
        return segment.line
    repetitions = message.repetitions(fields[at])
    for n, raw in enumerate(repetitions):
        if raw and path.repetition in (0, n + 1):
            changed = change(raw)
            if isinstance(changed, Refusal):
                place = replace(path, occurrence=segment.number, repetition=n + 1)
                return _stop(changed, str(place))
            repetitions[n] = changed
    fields[at] = message.separators.repetition.join(repetitions)
    return message.separators.field.join(fields)


def _stop(why: Refusal, place: str) -> Stop:
    return Stop(why.state, Reason(why.code, why.text, place))

"""The steps `hl7.*` but one: what a message must have, what is put right in it, what is left out of it.

A path that does not say which segment means every segment of that name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from engine.message import State, Stop
from engine.plugin import transform
from engine.settings import Path, When
from formats import hl7v2
from store.reason import Reason
from transforms.steps.edit import everywhere, written


@transform("hl7.require")
def require(
    message: hl7v2.Message,
    *,
    segments: Annotated[tuple[str, ...], "segments that must be there"] = (),
    fields: Annotated[tuple[Path, ...], "fields that must have a value in every such segment"] = (),
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
    segments: Annotated[tuple[str, ...], "segments to leave out; none: the whole message"] = (),
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
    only: Annotated[tuple[str, ...], "segments to keep; MSH always stays"],
) -> hl7v2.Message:
    """Leaves out all other segments."""
    return message.keep(only)


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

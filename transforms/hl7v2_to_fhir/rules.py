"""Segment maps -> closures over segments, compiled once: which fields are read, and what they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from formats import fhir, hl7v2
from store.reason import Reason
from transforms.hl7v2_to_fhir.compile import Elements, Put, Read, assigner, read_of
from transforms.hl7v2_to_fhir.maps import Map, MapError, Row, Test, segment_map
from transforms.hl7v2_to_fhir.reader import NULL, Reader

Holds = Callable[[Reader], bool]
Empty = Callable[[Elements], None]
Last = Callable[[Elements, Reader], None]

_WHOLE_FIELD = {"value", "lines"}  # types that take all repetitions of their field together


@dataclass(frozen=True, slots=True)
class Rules:
    """A compiled segment map. `own` are its fields in order: number, put, and what HL7's `""` there means;
    `others` read other segments of the group; `last` are constants and snapshots."""

    name: str
    own: tuple[tuple[int, Put, Empty | None], ...]
    others: tuple[tuple[str, int, Put], ...]
    last: tuple[Last, ...]
    into: str
    needs: tuple[str, ...]

    def __call__(self, segment: hl7v2.Segment, reader: Reader, out: Elements) -> None:
        """Add what the segment says to the elements. What cannot be read is added to `reader.reasons`."""
        if self.into:
            item: Elements = {}
            self._run(segment, reader, item)
            if any(name in item for name in self.needs):
                out.setdefault(self.into, []).append(item)
        else:
            self._run(segment, reader, out)

    def _run(self, segment: hl7v2.Segment, reader: Reader, out: Elements) -> None:
        fields = segment.fields
        count = len(fields)
        for number, put, empty in self.own:
            if number >= count:
                break
            raw = fields[number]
            if not raw:
                continue
            if raw != NULL:
                put(out, raw, reader)
            elif empty is not None:
                empty(out)
        for name, number, put in self.others:
            if raw := reader.field(name, number):
                put(out, raw, reader)
        for finish in self.last:
            finish(out, reader)
        if reader.faults:
            self._blame(segment, reader)

    def _blame(self, segment: hl7v2.Segment, reader: Reader) -> None:
        """Read again, one repetition at a time, to say where the faults are. Slow, but rare."""
        group = reader.group
        todo = [(segment, number, put) for number, put, _ in self.own]
        todo += [(group[name], number, put) for name, number, put in self.others if name in group]
        for found, number, put in todo:
            for n, repetition in enumerate(found.field(number).split(reader.repetition), start=1):
                reader.faults.clear()
                if repetition and repetition != NULL:
                    put({}, repetition, reader)
                place = f"{found.place}-{number}" if n == 1 else f"{found.place}-{number}[{n}]"
                reader.reasons += [Reason(code, _TEXTS[code], place) for code in reader.faults[:1]]
        reader.faults.clear()


_TEXTS = {"invalid-date": "not a date or time; correct it at the source and resend"}


@cache
def rules(name: str) -> Rules:
    """The compiled segment map of that name."""
    return compiled(segment_map(name))


def compiled(made: Map) -> Rules:
    fields = [row for row in made.rows if row.sources]
    own = sorted(
        (row for row in fields if row.sources[0].name == made.source), key=lambda r: r.sources[0].numbers[0]
    )
    others = [row for row in fields if row.sources[0].name != made.source]
    for row in fields:
        if len(row.sources) > 1:
            raise MapError(f"{row.place}: a row of a segment reads one field")
    return Rules(
        name=made.source,
        own=tuple((r.sources[0].numbers[0], _put(r), _empty(r, made)) for r in own),
        others=tuple((r.sources[0].name, r.sources[0].numbers[0], _put(r)) for r in others),
        last=(*constants(made.rows), *_snapshots(made.rows), *_choices(made), *_otherwise(made)),
        into=made.into,
        needs=made.needs,
    )


def constants(rows: Iterable[Row]) -> list[Last]:
    """The rows that set a value by themselves, under their conditions."""
    return [_constant(row) for row in rows if not row.sources]


def _constant(row: Row) -> Last:
    assign, holds, value = assigner(row.to), _holds(row), row.value

    def finish(out: Elements, reader: Reader) -> None:
        if holds is None or holds(reader):
            assign(out, value)

    return finish


def _snapshots(rows: Iterable[Row]) -> list[Last]:
    """Rows in whose element absence means emptiness (while the row's condition holds)."""
    return [_snapshot(row.to.removesuffix("*"), _holds(row)) for row in rows if row.mode == "snapshot"]


def _snapshot(key: str, holds: Holds | None) -> Last:
    def finish(out: Elements, reader: Reader) -> None:
        if key not in out and (holds is None or holds(reader)):
            out[key] = None

    return finish


def _choices(made: Map) -> list[Last]:
    """Of a choice only one type has a value; that another is empty then says nothing."""
    slots: dict[str, set[str]] = {}
    for row in made.rows:
        if row.mode != "whole" and (slot := _slot(made.resource, row.to)):
            slots.setdefault(slot, set()).add(row.to)
    return [_choice(names) for names in slots.values() if len(names) > 1]


def _slot(resource: str, to: str) -> str | None:
    return fhir.choice(resource, to) if to.isalpha() else None


def _choice(names: set[str]) -> Last:
    def finish(out: Elements, reader: Reader) -> None:
        said = [name for name in names if name in out]
        if len(said) > 1 and any(out[name] is not None for name in said):
            for name in said:
                if out[name] is None:
                    del out[name]

    return finish


def _otherwise(made: Map) -> list[Last]:
    def finish(out: Elements, reader: Reader) -> None:
        for name, value in made.otherwise.items():
            out.setdefault(name, value)

    return [finish] if made.otherwise else []


def _empty(row: Row, made: Map) -> Empty | None:
    """What `""` in the field asserts: that the element is empty, unless it must have a value."""
    if row.mode == "whole" or row.required or made.into:
        return None
    parent, dot, name = row.to.removesuffix("*").partition(".")
    if dot:
        return lambda out: out.setdefault(parent, {}).setdefault(name, None)
    return lambda out: out.setdefault(parent, None)


# -- fields


def _put(row: Row) -> Put:
    put, holds = _field(row), _holds(row)
    if holds is None:
        return put

    def put_if(out: Elements, raw: bytes, reader: Reader) -> None:
        if holds(reader):
            put(out, raw, reader)

    return put_if


def _field(row: Row) -> Put:
    read = read_of(row, 0)
    if row.to == "value[x]":
        return _put_value(read)
    if row.to.endswith("*"):
        return _put_all(row.to, read)
    return _put_first(row.to, read, row.type in _WHOLE_FIELD)


def _put_first(to: str, read: Read, whole: bool) -> Put:
    """The first repetition that says anything."""
    assign = assigner(to)

    def put(out: Elements, raw: bytes, reader: Reader) -> None:
        if whole or reader.repetition not in raw:
            value = read(raw, reader)
            if value is not None:
                assign(out, value)
            return
        for repetition in raw.split(reader.repetition):
            if repetition and repetition != NULL and (value := read(repetition, reader)) is not None:
                assign(out, value)
                return

    return put


def _put_all(to: str, read: Read) -> Put:
    """Every repetition, once each."""
    parent, dot, name = to.removesuffix("*").rpartition(".")

    def put(out: Elements, raw: bytes, reader: Reader) -> None:
        inside = out.get(parent, {}) if dot else out
        for repetition in raw.split(reader.repetition):
            if repetition and repetition != NULL and (value := read(repetition, reader)) is not None:
                items = inside.get(name)
                if items is None:
                    inside[name] = [value]
                    if dot:
                        out[parent] = inside
                elif value not in items:
                    items.append(value)

    return put


def _put_value(read: Read) -> Put:
    """What OBX-5 makes: `value[x]`, components of the same code, or an extension."""

    def put(out: Elements, raw: bytes, reader: Reader) -> None:
        for name, value in (read(raw, reader) or {}).items():
            if name == "component":
                out[name] = [{"code": out.get("code"), **item} for item in value]
            elif name == "extension":
                out[name] = [*out.get(name, ()), *value]
            else:
                out[name] = value

    return put


# -- conditions


def _holds(row: Row) -> Holds | None:
    given = None if row.given is None else _test(row.given)
    unless = None if row.unless is None else _test(row.unless)
    if given is None and unless is None:
        return None
    if unless is None:
        return given
    if given is None:
        return lambda reader: not unless(reader)
    return lambda reader: given(reader) and not unless(reader)


def _test(test: Test) -> Holds:
    name, number = test.source.name, test.source.numbers[0]
    if not test.values:
        return lambda reader: bool(reader.field(name, number))
    values = test.values
    return lambda reader: reader.text(reader.first(reader.field(name, number))) in values

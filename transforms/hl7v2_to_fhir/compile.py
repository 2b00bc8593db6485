"""Data types -> closures over bytes, compiled once. Nothing here knows a segment, an element or a code.

A *read* takes the bytes of one value and the reader, and answers a FHIR value, or None for nothing. Its
`level` says how deep the value stands: 0 a repetition of a field, 1 a component, 2 a subcomponent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transforms.hl7v2_to_fhir import measure
from transforms.hl7v2_to_fhir.concept import code_only, coding_only, concept
from transforms.hl7v2_to_fhir.maps import Map, MapError, Row, type_map
from transforms.hl7v2_to_fhir.reader import NULL, Reader
from transforms.hl7v2_to_fhir.telecom import contact_point
from transforms.hl7v2_to_fhir.values import LEAVES, text

Elements = dict[str, Any]
Read = Callable[[bytes, Reader], Any]
Put = Callable[[Elements, bytes, Reader], None]
Assign = Callable[[Elements, Any], None]

_MEASURES: dict[str, Read] = {"value": measure.value, "range": measure.reference_range}


def read_of(row: Row, level: int) -> Read:
    """How the value of a row is read and shaped."""
    read = _below(row.sources[0].numbers[1:], level, row) if len(row.sources) == 1 else _several(row, level)
    return read if row.shape is None else _shaped(read, shaper(row.shape))


def _below(numbers: Sequence[int], level: int, row: Row) -> Read:
    """The read of a part of what stands at `level`, or of the whole of it."""
    if not numbers:
        return _typed(row, level)
    index, inner = numbers[0] - 1, _below(numbers[1:], level + 1, row)

    def part(raw: bytes, reader: Reader) -> Any:
        leaves = raw.split(reader.delimiters[level])
        leaf = leaves[index] if index < len(leaves) else b""
        return inner(leaf, reader) if leaf and leaf != NULL else None

    return part


def _typed(row: Row, level: int) -> Read:
    match row.type:
        case "CWE":
            return concept(row.table, level)
        case "code":
            return code_only(row.table)
        case "Coding":
            return coding_only(row.table)
        case "HD":
            return _assigner(level)
        case "XTN":
            return contact_point(row.defaults, level)
    if simple := LEAVES.get(row.type) or _MEASURES.get(row.type):
        return simple
    if (made := type_map(row.type)) is None:
        raise MapError(f"{row.place}: no type {row.type}")
    return _composite(made, level, row)


def _composite(made: Map, level: int, row: Row) -> Read:
    """A data type: each of its components adds to one object."""
    constants = {**row.defaults, **{r.to: r.value for r in made.rows if not r.sources}}
    steps = tuple(_step(r, level) for r in made.rows if r.sources)
    needs, of_feed = made.needs, row.of_feed

    def read(raw: bytes, reader: Reader) -> Elements | None:
        leaves = raw.split(reader.delimiters[level])
        count = len(leaves)
        out: Elements = {}
        for index, put in steps:
            if index < 0:
                put(out, raw, reader)
            elif index < count and (leaf := leaves[index]) and leaf != NULL:
                put(out, leaf, reader)
        for name in needs:
            if name in out:
                break
        else:
            return None
        if of_feed and "system" not in out and reader.feed.authority:
            out["system"] = reader.feed.authority.namespace
        return constants | out if constants else out

    return read


def _step(row: Row, level: int) -> tuple[int, Put]:
    """The component that a row reads, from 0; -1 if it reads the whole value."""
    if len(row.sources) > 1 or not row.sources[0].numbers:
        return -1, putter(row.to, read_of(row, level))
    return row.sources[0].numbers[0] - 1, putter(row.to, read_of(row, level + 1))


def _several(row: Row, level: int) -> Read:
    """Texts of several components, joined, or (EI.2 to EI.4) the authority that they name."""
    steps = tuple((s.numbers[0] - 1, _text(s.numbers[1:], level + 1)) for s in row.sources)
    join = row.join

    def read(raw: bytes, reader: Reader) -> str | None:
        leaves = raw.split(reader.delimiters[level])
        count = len(leaves)
        texts = [
            (part(leaf, reader) or "") if index < count and (leaf := leaves[index]) and leaf != NULL else ""
            for index, part in steps
        ]
        if join is None:
            return reader.authority(texts[0], texts[1], texts[2])
        return join.join(t for t in texts if t) or None

    return read


def _text(numbers: Sequence[int], level: int) -> Read:
    if not numbers:
        return text
    index = numbers[0] - 1

    def part(raw: bytes, reader: Reader) -> str | None:
        leaves = raw.split(reader.delimiters[level])
        return text(leaves[index], reader) if index < len(leaves) and leaves[index] != NULL else None

    return part


def _assigner(level: int) -> Read:
    """HD (HL7 v2 2.A.33) -> the system of what it assigns."""

    def read(raw: bytes, reader: Reader) -> str | None:
        parts = [reader.text(part) for part in raw.split(reader.delimiters[level])]
        namespace, universal, kind = [*parts, "", ""][:3]
        return reader.authority(namespace, universal, kind)

    return read


# -- putting a value into its place


def putter(to: str, read: Read) -> Put:
    """Add what is read to the elements, at `to`."""
    if "*" in to or "." in to:
        assign = assigner(to)

        def put(out: Elements, raw: bytes, reader: Reader) -> None:
            value = read(raw, reader)
            if value is not None:
                assign(out, value)

        return put

    def put_one(out: Elements, raw: bytes, reader: Reader) -> None:
        value = read(raw, reader)
        if value is not None:
            out[to] = value

    return put_one


def assigner(to: str) -> Assign:
    """`name`: the value; `name*`: one more item of the list; `period.start`: in the object inside."""
    parent, dot, name = to.partition(".")
    if dot:
        inner = assigner(name)

        def assign_inside(out: Elements, value: Any) -> None:
            inside = out.get(parent)
            if inside is None:
                inside = out[parent] = {}
            inner(inside, value)

        return assign_inside
    key = to.removesuffix("*")
    if key == to:

        def assign(out: Elements, value: Any) -> None:
            out[key] = value

        return assign

    def append(out: Elements, value: Any) -> None:
        old = out.get(key)
        if old is None:
            out[key] = [value]
        else:
            old.append(value)

    return append


def _shaped(read: Read, shape: Callable[[Any], Any]) -> Read:
    def shaped(raw: bytes, reader: Reader) -> Any:
        value = read(raw, reader)
        return None if value is None else shape(value)

    return shaped


def shaper(template: Any) -> Callable[[Any], Any]:
    """A function that puts its value in the place of the one `$` in the template."""
    if template == "$":
        return lambda value: value
    if isinstance(template, list):
        (item,) = template
        only = shaper(item)
        return lambda value: [only(value)]
    names = list(template)
    key = next(name for name in names if _has_place(template[name]))
    at, inner = names.index(key), shaper(template[key])
    before = {name: template[name] for name in names[:at]}
    after = {name: template[name] for name in names[at + 1 :]}
    return lambda value: {**before, key: inner(value), **after}


def _has_place(template: Any) -> bool:
    if isinstance(template, dict):
        return any(_has_place(v) for v in template.values())
    if isinstance(template, list):
        return any(_has_place(v) for v in template)
    return bool(template == "$")

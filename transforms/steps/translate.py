"""The step `hl7.translate`: a code becomes that of another vocabulary, and is kept beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from engine.message import State, Stop
from engine.plugin import transform
from engine.settings import Path, Row, Table
from formats import hl7v2
from transforms.hl7v2_to_fhir.concept import name_of
from transforms.steps.edit import UNENCODABLE, Refusal, rewritten

Miss = Literal["pass", "default", "worklist", "refuse"]


@transform("hl7.translate")
def translate(
    message: hl7v2.Message,
    *,
    field: Annotated[Path, "a coded field (CWE, CE, IS), or one component of it"],
    table: Annotated[Table, "what the codes become"],
    miss: Annotated[Miss, "a code without a row goes on, becomes `default`, or is refused"] = "pass",
    default: Annotated[str | None, "the code for `miss: default`"] = None,
) -> hl7v2.Message | Stop:
    """Looks codes up in a table, in every repetition of every such segment.

    A field with components keeps the original code as its alternate code, if that place is free. A system
    that the table names by its uri is written by its name in HL7 table 0396 (`LN`). A code that is of the
    table's target system already is not unknown. `worklist` lets an unknown code go on unchanged, as `pass`
    does; `refuse` quarantines the message.
    """
    return rewritten(message, field, _Translation(message, field, table, miss, default).repetition)


class Coded(NamedTuple):
    """The first two triplets of a coded field (CWE.1 to CWE.6, HL7 v2 2.A.13)."""

    code: str = ""
    text: str = ""
    system: str = ""
    alternate: str = ""
    alternate_text: str = ""
    alternate_system: str = ""


@dataclass(frozen=True, slots=True)
class _Translation:
    message: hl7v2.Message
    field: hl7v2.Path
    table: Table
    miss: Miss
    default: str | None

    def repetition(self, raw: bytes) -> bytes | Refusal:
        """The repetition with its code looked up."""
        parts = self.message.components(raw)
        first = (self.field.component or 1) - 1
        last = first + 1 if self.field.component else 6
        old = Coded(*("" if part == b'""' else self.message.text(part) for part in parts[first:last]))
        new = self._looked_up(old)
        if isinstance(new, Refusal):
            return new
        for n, (was, value) in enumerate(zip(old, new, strict=True), start=first):
            if was != value:
                parts += [b""] * (n + 1 - len(parts))
                parts[n] = written = self._escaped(value)
                if not written and value:
                    return UNENCODABLE
        return self.message.separators.component.join(parts)

    def _escaped(self, value: str) -> bytes:
        try:
            return hl7v2.escape(value, self.message.separators, self.message.charset)
        except hl7v2.Unencodable:
            return b""

    def _looked_up(self, old: Coded) -> Coded | Refusal:
        if not old.code:
            return old
        if row := self.table.lookup(old.code, old.system):
            return self._new(old, row)
        if self.miss in ("pass", "worklist") or self._is_target(old.system):
            return old
        if self.miss == "default" and self.default is not None:
            return self._new(old, Row(self.default))
        if self.miss == "default":
            return Refusal(State.FAILED, "no-default", "hl7.translate has miss: default, but no default:")
        text = f"the code has no row in table {self.table.name}; add one, then process the message again"
        return Refusal(State.QUARANTINED, "unmapped-code", text)

    def _new(self, old: Coded, row: Row) -> Coded:
        """The row's code first; the original moves to the alternate triplet if that is free."""
        if self.field.component or not (old.text or old.system or row.display or row.system):
            return old._replace(code=row.to)
        new = old._replace(code=row.to, text=row.display or old.text, system=name_of(row.system))
        if old.alternate or old.alternate_text or old.alternate_system:
            return new
        return new._replace(alternate=old.code, alternate_text=old.text, alternate_system=old.system)

    def _is_target(self, system: str) -> bool:
        targets = (row.system for row in self.table.rows.values())
        return bool(system) and any(system in (target, name_of(target)) for target in targets)

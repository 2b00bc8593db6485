"""authorities.yaml, and what of it may change while an engine runs.

The ids of the chart follow from it. So a name may be added to an authority, and an authority after the others; what is
there must stay as it is, or the same number would be another patient's from one message to the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.config.parts import Part
from engine.config.problem import Place, Problem, error
from store.identity import Authority, Identity

HINT = "put it back, or stop the engine and start it with the new rules"


def declared(part: Part) -> list[Authority]:
    """The authorities of the file, in order of preference."""
    return [
        Authority(name, s.namespace, frozenset(s.aliases), s.identifies, s.normalise, s.types)
        for name, s in part.values.get("authorities", {}).items()
    ]


def changed(part: Part, running: Identity | None) -> Iterator[Problem]:
    """What must wait for a restart, of an engine with the identity `running`."""
    found = declared(part)
    given = {authority.name: authority for authority in found}
    before = running.authorities if running else ()
    for old in before:
        if (new := given.get(old.name)) is None:
            text = f'authority "{old.name}" is in use and cannot be removed while the engine runs'
            yield error(_top(part), "needs-restart", text, HINT)
        elif not _same(old, new):
            text = f'authority "{old.name}" is in use: while the engine runs, only aliases can be added to it'
            yield error(_place(part, old.name), "needs-restart", text, HINT)
    kept = [old.name for old in before if old.name in given]
    if [authority.name for authority in found][: len(kept)] != kept:
        text = "the order of the authorities decides which number identifies a patient; it cannot change now"
        yield error(_top(part), "needs-restart", text, "add new ones at the end, or restart")


def _same(old: Authority, new: Authority) -> bool:
    return old.aliases <= new.aliases and replace(new, aliases=old.aliases) == old


def _place(part: Part, name: str) -> Place:
    return part.place("authorities", name, key=True)


def _top(part: Part) -> Place:
    return part.place("authorities", key=True)

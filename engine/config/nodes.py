"""YAML 1.2 with positions: text -> a tree of values that know where they stand.

What is not text: `null`, `~`, `true`, `false` and plain decimal numbers, as in the core of YAML 1.2. So `no`,
`12:30`, `007` and `1e5` stay text, and a number keeps its digits (6.30 is the Decimal 6.30).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from engine.config.problem import Place, Problem, error
from engine.settings import Secret

Scalar = str | int | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands; of a mapping also where each key stands. A secret is never shown."""

    value: Scalar | Mapping[str, Node] | tuple[Node, ...]
    place: Place
    keys: Mapping[str, Place] = field(default_factory=dict)
    secret: bool = False

    def plain(self) -> Any:
        """The value without positions: dict, list, str, int, Decimal, bool, None."""
        match self.value:
            case Mapping():
                return {key: node.plain() for key, node in self.value.items()}
            case tuple():
                return [node.plain() for node in self.value]
            case str() if self.secret:
                return Secret(self.value)
            case _:
                return self.value

    def get(self, key: str) -> Node | None:
        return self.value.get(key) if isinstance(self.value, Mapping) else None

    def secrets(self) -> Iterator[str]:
        """Every secret value in the tree."""
        if self.secret:
            yield str(self.value)
        below = self.value.values() if isinstance(self.value, Mapping) else self.value
        for node in below if isinstance(below, Iterable) and not isinstance(below, str) else ():
            yield from node.secrets()

    def walk(self, at: tuple[str | int, ...]) -> Iterator[tuple[Place, Node]]:
        """The nodes on the way down `at`, each with its key's place; what leads nowhere is passed over."""
        here = self
        yield self.place, self
        for step in at:
            if isinstance(here.value, Mapping) and step in here.value:
                place, here = here.keys[str(step)], here.value[str(step)]
            elif isinstance(here.value, tuple) and isinstance(step, int) and step < len(here.value):
                here = here.value[step]
                place = here.place
            else:
                continue
            yield place, here


def parse(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """The tree of one YAML document, a mapping; and what is wrong with it as YAML."""
    try:
        root = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as bad:
        return None, [_syntax(bad, text, file)]
    except YAMLError:
        return None, [error(Place(file), "yaml", "the file holds characters that YAML forbids")]
    if not isinstance(root, MappingNode):
        return None, [
            error(Place(file), "yaml", "the file is empty or not a mapping", "write `key: value` lines")
        ]
    problems: list[Problem] = []
    return _node(root, file, problems, ()), problems


def _syntax(bad: MarkedYAMLError, text: str, file: str) -> Problem:
    mark = bad.problem_mark or bad.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    source = text.splitlines()[line : line + 1]
    hint = 'inside { } and [ ] put quotes around "${...}"' if source and "${" in source[0] else ""
    if "\t" in "".join(source)[: column + 1]:
        hint = "indent with spaces, not tabs"
    context = f"{bad.context}: " if bad.context else ""
    return error(Place(file, line + 1, column + 1), "yaml", f"{context}{bad.problem}", hint)


def _node(node: Any, file: str, problems: list[Problem], above: tuple[int, ...]) -> Node:
    place = _place(node, file)
    if id(node) in above:
        problems.append(error(place, "yaml", "an alias stands inside its own anchor"))
        return Node(None, place)
    if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
        problems.append(error(place, "yaml", "tags have no meaning here", "leave out the !tag"))
    if isinstance(node, MappingNode):
        return _mapping(node, file, problems, (*above, id(node)))
    if isinstance(node, SequenceNode):
        return Node(tuple(_node(n, file, problems, (*above, id(node))) for n in node.value), place)
    return Node(_scalar(node), place)


def _mapping(node: MappingNode, file: str, problems: list[Problem], above: tuple[int, ...]) -> Node:
    values: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    for key, value in node.value:
        place = _place(key, file)
        if not isinstance(key, ScalarNode):
            problems.append(error(place, "yaml", "a key must be text"))
        elif key.value in values:
            first = keys[key.value]
            text = f'"{key.value}" is already given on line {first.line}'
            problems.append(error(place, "duplicate-key", text, "keep one of them"))
        else:
            keys[key.value] = place
            values[key.value] = _node(value, file, problems, above)
    return Node(values, _place(node, file), keys)


def _place(node: Any, file: str) -> Place:
    return Place(file, node.start_mark.line + 1, node.start_mark.column + 1)


# what nodes without a tag of their own have
_TAGS = frozenset(["str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value"])
_INT = re.compile(r"-?(0|[1-9]\d*)")
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)\.\d+")
_WORDS: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False}


def _scalar(node: ScalarNode) -> Scalar:
    text: str = node.value
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return Decimal(text) if _DECIMAL.fullmatch(text) else text

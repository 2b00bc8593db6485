"""`${NAME}` and `${NAME:default}` inside the string values of a parsed file: never structure.

A value comes from the environment of the process, else from environments/NAME.yaml. `$${` stands for `${`.
A secret comes from the environment of the process alone, so that no file holds one and no default is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.config.nodes import Node
from engine.config.problem import Problem, error

_REFERENCE = re.compile(r"\$(\$)?\{([^}]*)\}")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::(.*))?", re.DOTALL)


def is_secret(name: str) -> bool:
    """A key or a variable whose name ends in password, secret or token."""
    return name.casefold().endswith(("password", "secret", "token"))


@dataclass(frozen=True, slots=True)
class Variables:
    """`environ` of the process first, then what `environment` (environments/NAME.yaml) gives."""

    environ: Mapping[str, str]
    environment: Mapping[str, Node]

    def value(self, name: str, secret: bool) -> str | None:
        if name in self.environ:
            return self.environ[name]
        found = None if secret else self.environment.get(name)
        return None if found is None else _text(found)


def _text(node: Node) -> str | None:
    """A value as it would be written; None for structure, which is a problem of its own."""
    if node.value is None or isinstance(node.value, (Mapping, tuple)):
        return None
    return str(node.value).lower() if isinstance(node.value, bool) else str(node.value)


def expand(node: Node, variables: Variables, problems: list[Problem], key: str = "") -> Node:
    """The same tree with every reference replaced by its value."""
    match node.value:
        case Mapping():
            found = {k: expand(n, variables, problems, k) for k, n in node.value.items()}
            return replace(node, value=found)
        case tuple():
            return replace(node, value=tuple(expand(n, variables, problems, key) for n in node.value))
        case str():
            return _expand(node, node.value, variables, problems, key)
        case None:
            return node
        case _:
            return _expand(node, str(node.value), variables, problems, key) if is_secret(key) else node


def _expand(node: Node, text: str, variables: Variables, problems: list[Problem], key: str) -> Node:
    names = [m[2].partition(":")[0] for m in _REFERENCE.finditer(text) if not m[1]]
    secret = is_secret(key) or any(is_secret(name) for name in names)
    if is_secret(key) and text and not names:
        hint = "write ${NAME} and set NAME in the environment of the process"
        problems.append(error(node.place, "secret-in-file", f'"{key}" is a secret', hint))
    value = _REFERENCE.sub(lambda m: _one(m, node, secret, variables, problems), text)
    return replace(node, value=value, secret=secret)  # a default in the file is a secret all the same


def _one(
    match: re.Match[str], node: Node, secret: bool, variables: Variables, problems: list[Problem]
) -> str:
    if match[1]:
        return f"${{{match[2]}}}"
    parts = _NAME.fullmatch(match[2])
    if not parts:
        text = "a reference is ${NAME} or ${NAME:default}"
        problems.append(error(node.place, "bad-reference", text, "for a literal ${ write $${"))
        return ""
    name, default = parts[1], parts[2]
    if secret and default:
        problems.append(error(node.place, "secret-in-file", f"{name} has a default", "a secret has none"))
    value = variables.value(name, secret)
    if value is None and default is None:
        problems.append(_unset(node, name, secret, variables))
    return value if value is not None else default or ""


def _unset(node: Node, name: str, secret: bool, variables: Variables) -> Problem:
    if secret:
        kept = " (a secret is not taken from a file)" if name in variables.environment else ""
        return error(node.place, "unset-variable", f"{name} is not set{kept}", f"export {name}=...")
    hint = f"export {name}=..., add it to environments/NAME.yaml, or write ${{{name}:default}}"
    return error(node.place, "unset-variable", f"{name} is not set", hint)


class Pretended(dict[str, str]):
    """The environment of a test, where nothing is sent: a secret that is not set is any text."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and is_secret(name))

    def __missing__(self, name: str) -> str:
        return "not-set"

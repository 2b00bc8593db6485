"""What is wrong with the layout of a tree, each gate a function over its files: (file, what) for every fault."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LONG, LONGEST = 40, 60  # lines of a function
FILE = 400  # lines of a file
WORDS = frozenset(
    {"util", "utils", "helper", "helpers", "manager", "managers", "context", "contexts", "common", "misc"}
)
HOSTS = tuple(
    f"{name}.{end}"
    for end, names in {
        "org": ("pypi", "pythonhosted", "npmjs", "debian", "golang"),
        "io": ("crates",),
    }.items()
    for name in names
)


class Fault(NamedTuple):
    file: str
    what: str


def listed(root: Path) -> list[str]:
    """Every file of a checkout, without what was made there."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not _made_here(path.parts[:-1]))


def _made_here(folders: Sequence[str]) -> bool:
    made = any(f == "__pycache__" or f.endswith(".egg-info") or (f[0] == "." and f != ".ci") for f in folders)
    return made or folders[:1] in (("data",), ("build",))


def parsed(root: Path, files: Sequence[str]) -> Iterator[tuple[str, ast.Module]]:
    for file in files:
        if file.endswith(".py"):
            yield file, ast.parse((root / file).read_text())


def lengths(root: Path, files: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """File, name and lines of every function."""
    for file, tree in parsed(root, files):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield file, node.name, (node.end_lineno or 0) - node.lineno + 1


def long_functions(root: Path, files: Sequence[str]) -> list[Fault]:
    """Any that is very long, and all long ones if they are more than one in twenty."""
    found = [*lengths(root, files)]
    long = [Fault(file, f"{name} has {lines} lines") for file, name, lines in found if lines >= LONG]
    longest = [Fault(file, f"{name} has {lines} lines") for file, name, lines in found if lines >= LONGEST]
    return long if len(long) * 20 > len(found) else longest


def long_files(root: Path, files: Sequence[str]) -> list[Fault]:
    counted = [
        (file, (root / file).read_bytes().count(b"\n")) for file in files if file.endswith((".py", ".sql"))
    ]
    return [Fault(file, f"{lines} lines") for file, lines in counted if lines > FILE]


def vague_names(root: Path, files: Sequence[str]) -> list[Fault]:
    """Modules, folders and classes whose name does not say what they are for."""
    found = [Fault(file, part) for file in files for part in _words(Path(file).with_suffix("").parts)]
    for file, tree in parsed(root, files):
        classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        found += [Fault(file, word) for word in _words(classes)]
    return found


def _words(names: Sequence[str]) -> list[str]:
    words = [w.lower() for name in names for w in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]
    return [word for word in words if word in WORDS]


def registry_hosts(root: Path, files: Sequence[str]) -> list[Fault]:
    """Files that name where packages come from: that is the machine's own affair."""
    texts = ((file, (root / file).read_bytes().lower()) for file in files)
    return [Fault(file, host) for file, text in texts for host in HOSTS if host.encode() in text]


def unproven_adapters(root: Path, files: Sequence[str]) -> list[Fault]:
    """Folders of adapters/ whose source or destination is not asked to behave as all of them must."""
    suite = "tests/conformance/harness_{}.py"
    return [
        Fault(file, f"{kind} without {suite.format(name)}")
        for file, name, kind in _adapters(root, files)
        if suite.format(name) not in files
        or f"{kind.upper()}S" not in (root / suite.format(name)).read_text()
    ]


def _adapters(root: Path, files: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """File, adapter and kind of everything below adapters/ that registers itself."""
    for file, tree in parsed(root, [f for f in files if f.startswith("adapters/")]):
        for node in ast.walk(tree):
            for made in node.decorator_list if isinstance(node, ast.ClassDef) else ():
                if isinstance(made, ast.Call) and getattr(made.func, "id", "") in ("source", "destination"):
                    yield file, Path(file).parts[1], made.func.id  # type: ignore[attr-defined]

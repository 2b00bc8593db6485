"""The files of a configuration as trees and tables, and the site's own plugins."""

from __future__ import annotations

import csv
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType

from engine.config.nodes import Node, parse
from engine.config.problem import Place, Problem, error
from engine.config.read import adapters
from engine.config.snapshot import Files, below
from engine.config.variables import Variables, expand
from engine.fault import nearest
from engine.plugin import REGISTRY
from engine.settings import Row, Table


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a configuration as trees with their variables filled in, and everything wrong so far."""

    names: tuple[str, ...]  # the channels' files
    channels: Mapping[str, Node]
    routes: Node | None
    authorities: Node | None
    alerts: Node | None
    tables: Mapping[str, Table]
    problems: tuple[Problem, ...]

    @property
    def secrets(self) -> frozenset[str]:
        """The values that are never shown."""
        trees = [*self.channels.values(), self.routes, self.authorities, self.alerts]
        return frozenset(value for tree in trees if tree for value in tree.secrets() if value)


def open_folder(directory: Path, files: Files, environment: str | None, environ: Mapping[str, str]) -> Folder:
    """Read everything; a file that is missing where it may be is None."""
    problems: list[Problem] = []
    variables = Variables(environ, _environment(files, environment, problems))
    names = [*_channel_files(files, problems)]
    if not names:
        hint = "put NAME.yaml files into channels/"
        problems.append(error(Place("channels"), "no-channels", f"no channel in {directory}/channels", hint))
    trees = {name: _tree(files, name, variables, problems) for name in names}
    return Folder(
        names=tuple(names),
        channels={name: tree for name, tree in trees.items() if tree},
        routes=_tree(files, "routes.yaml", variables, problems),
        authorities=_tree(files, "authorities.yaml", variables, problems),
        alerts=_tree(files, "alerts.yaml", variables, problems),
        tables=_tables(files, problems),
        problems=tuple(problems),
    )


def _channel_files(files: Files, problems: list[Problem]) -> Iterator[str]:
    for name in below(files, "channels", ".yml"):
        problems.append(error(Place(name), "unread-file", "this file is not read", "rename it to .yaml"))
    yield from below(files, "channels", ".yaml")


def text_of(files: Files, name: str, problems: list[Problem]) -> str | None:
    """The text of one file, None if there is none or it is not UTF-8."""
    if (data := files.get(name)) is None:
        return None
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as bad:
        line = data[: bad.start].count(b"\n") + 1
        problems.append(error(Place(name, line), "not-utf8", "the file is not UTF-8", "save it as UTF-8"))
        return None


def _tree(files: Files, name: str, variables: Variables, problems: list[Problem]) -> Node | None:
    text = text_of(files, name, problems)
    if text is None:
        return None
    tree, wrong = parse(text, name)
    problems.extend(wrong)
    return expand(tree, variables, problems) if tree else None


def _environment(files: Files, environment: str | None, problems: list[Problem]) -> Mapping[str, Node]:
    if environment is None:
        return {}
    name = f"environments/{environment}.yaml"
    text = text_of(files, name, problems)
    if text is None:
        known = [PurePosixPath(other).stem for other in below(files, "environments", ".yaml")]
        problems.append(
            error(
                Place(name),
                "unknown-environment",
                f'no environment "{environment}"',
                nearest(environment, known),
            )
        )
        return {}
    tree, wrong = parse(text, name) if text.strip() else (None, [])
    problems.extend(wrong)
    values = tree.value if tree and isinstance(tree.value, Mapping) else {}
    for key, node in values.items():
        if node.value is None or isinstance(node.value, (Mapping, tuple)):
            hint = "values, never structure"
            problems.append(error(node.place, "wrong-type", f'"{key}" should be a single value', hint))
    return values


COLUMNS = ("from", "to", "display", "system")


def _tables(files: Files, problems: list[Problem]) -> Mapping[str, Table]:
    found = {}
    for name in below(files, "channels/tables", ".csv"):
        text, stem = text_of(files, name, problems), PurePosixPath(name).stem
        if text is not None:
            found[stem] = Table(stem, _rows(text, name, problems))
    return found


def _rows(text: str, name: str, problems: list[Problem]) -> Mapping[str, Row]:
    reader = csv.reader(text.splitlines(keepends=True))
    header = [cell.strip() for cell in next(reader, [])]
    wrong = [c for c in header if c not in COLUMNS] or [c for c in COLUMNS[:2] if c not in header]
    if wrong or len(set(header)) < len(header):
        text = f"the columns are {', '.join(header) or 'missing'}"
        problems.append(error(Place(name), "table-columns", text, "write from,to[,display][,system]"))
        return {}
    rows: dict[str, Row] = {}
    for cells in reader:
        place = Place(name, reader.line_num)
        if not any(cell.strip() for cell in cells):
            continue
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        if len(cells) > len(header) or not row.get("from") or not row.get("to"):
            problems.append(
                error(place, "table-row", "a row needs from and to, and no cell beyond the header")
            )
        elif row["from"] in rows:
            problems.append(error(place, "table-row", f'"{row["from"]}" is already in the table', "keep one"))
        else:
            rows[row["from"]] = Row(row["to"], row.get("display", ""), row.get("system", ""))
    return rows


PLUGINS = "site_plugins"


def load_plugins(directory: Path, files: Files) -> list[Problem]:
    """Run the site's own plugins/*.py, which register themselves, where they are new; forget those that are gone."""
    modules = {f"{PLUGINS}.{PurePosixPath(name).stem}": name for name in below(files, "plugins", ".py")}
    kept = {m for m, name in modules.items() if _is(sys.modules.get(m), directory / name, files[name])}
    for key, thing in list(REGISTRY.items()):
        if thing.__module__.startswith(f"{PLUGINS}.") and thing.__module__ not in kept:
            del REGISTRY[key]
    problems = []
    for module, name in modules.items():
        try:
            if module not in kept:
                _import(module, directory / name, files[name])
        except Exception as bad:  # a site's own code may fail in any way
            problems.append(_broken(name, directory / name, bad))
    return problems


def _is(module: ModuleType | None, path: Path, source: bytes) -> bool:
    """Is the module what this file says?"""
    return (getattr(module, "__file__", None), getattr(module, "__source__", None)) == (str(path), source)


def _import(name: str, path: Path, source: bytes) -> None:
    """Run the file and read the signatures of what it registers: wrong annotations show here."""
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    for thing in [t for t in REGISTRY.values() if t.__module__ == name]:
        adapters(thing)
    module.__dict__["__source__"] = source


def _broken(name: str, path: Path, bad: Exception) -> Problem:
    frames = [f.lineno for f in traceback.extract_tb(bad.__traceback__) if f.filename == str(path)]
    line = bad.lineno if isinstance(bad, SyntaxError) else (frames or [1])[-1]
    return error(Place(name, line or 1), "bad-plugin", f"{type(bad).__name__}: {bad}", "see the Python error")

"""A configuration directory read into trees and tables: the only module here that opens files."""

from __future__ import annotations

import csv
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.config.nodes import Node, parse
from engine.config.problem import Place, Problem, error
from engine.config.read import adapters
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
    tables: Mapping[str, Table]
    problems: tuple[Problem, ...]

    @property
    def secrets(self) -> frozenset[str]:
        """The values that are never shown."""
        trees = [*self.channels.values(), self.routes, self.authorities]
        return frozenset(value for tree in trees if tree for value in tree.secrets() if value)


def open_folder(directory: Path, environment: str | None, environ: Mapping[str, str]) -> Folder:
    """Read everything; a file that is missing where it may be is None."""
    problems: list[Problem] = []
    variables = Variables(environ, _environment(directory, environment, problems))
    names = [*_channel_files(directory, problems)]
    if not names:
        hint = "put NAME.yaml files into channels/"
        problems.append(error(Place("channels"), "no-channels", f"no channel in {directory}/channels", hint))
    trees = {name: _tree(directory, name, variables, problems) for name in names}
    return Folder(
        names=tuple(names),
        channels={name: tree for name, tree in trees.items() if tree},
        routes=_tree(directory, "routes.yaml", variables, problems),
        authorities=_tree(directory, "authorities.yaml", variables, problems),
        tables=_tables(directory, problems),
        problems=tuple(problems),
    )


def _channel_files(directory: Path, problems: list[Problem]) -> Iterator[str]:
    for path in sorted((directory / "channels").glob("*")):
        name = f"channels/{path.name}"
        if path.suffix == ".yml":
            problems.append(error(Place(name), "unread-file", "this file is not read", "rename it to .yaml"))
        elif path.suffix == ".yaml" and not path.name.endswith(".test.yaml"):
            yield name


def text_of(directory: Path, name: str, problems: list[Problem]) -> str | None:
    """The text of one file, None if there is none or it is not UTF-8."""
    path = directory / name
    if not path.is_file():
        return None
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as bad:
        line = path.read_bytes()[: bad.start].count(b"\n") + 1
        problems.append(error(Place(name, line), "not-utf8", "the file is not UTF-8", "save it as UTF-8"))
        return None


def _tree(directory: Path, name: str, variables: Variables, problems: list[Problem]) -> Node | None:
    text = text_of(directory, name, problems)
    if text is None:
        return None
    tree, wrong = parse(text, name)
    problems.extend(wrong)
    return expand(tree, variables, problems) if tree else None


def _environment(directory: Path, environment: str | None, problems: list[Problem]) -> Mapping[str, Node]:
    if environment is None:
        return {}
    name = f"environments/{environment}.yaml"
    text = text_of(directory, name, problems)
    if text is None:
        known = [p.stem for p in (directory / "environments").glob("*.yaml")]
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


def _tables(directory: Path, problems: list[Problem]) -> Mapping[str, Table]:
    found = {}
    for path in sorted((directory / "channels" / "tables").glob("*.csv")):
        name = f"channels/tables/{path.name}"
        text = text_of(directory, name, problems)
        if text is not None:
            found[path.stem] = Table(path.stem, _rows(text, name, problems))
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


def load_plugins(directory: Path) -> list[Problem]:
    """Import the site's own plugins/*.py, which register themselves."""
    problems = []
    for path in sorted((directory / "plugins").glob("*.py")):
        name = f"plugins/{path.name}"
        try:
            _import(path)
        except Exception as bad:  # a site's own code may fail in any way
            problems.append(_broken(name, path, bad))
    return problems


def _import(path: Path) -> None:
    """Run the file and read the signatures of what it registers: wrong annotations show here."""
    name = f"site_plugins.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    for thing in [t for t in REGISTRY.values() if t.__module__ == name]:
        adapters(thing)


def _broken(name: str, path: Path, bad: Exception) -> Problem:
    frames = [f.lineno for f in traceback.extract_tb(bad.__traceback__) if f.filename == str(path)]
    line = bad.lineno if isinstance(bad, SyntaxError) else (frames or [1])[-1]
    return error(Place(name, line or 1), "bad-plugin", f"{type(bad).__name__}: {bad}", "see the Python error")

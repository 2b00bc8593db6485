"""From a configuration directory to what runs, or to all of its problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from engine.channel import Configuration
from engine.config.authorities import changed
from engine.config.compile import compiled
from engine.config.folder import load_plugins, open_folder
from engine.config.lint import lint
from engine.config.marks import marks, places
from engine.config.parts import read_parts
from engine.config.problem import Problem
from engine.config.snapshot import Files, read_files
from engine.plugin import registered
from engine.settings import Site
from store.identity import Identity


def hidden(problem: Problem, secrets: Iterable[str]) -> Problem:
    """The problem without a secret in its words, wherever it came from."""
    for secret in secrets:
        text = problem.text.replace(secret, "***")
        problem = replace(problem, text=text, suggestion=problem.suggestion.replace(secret, "***"))
    return problem


def load(
    directory: Path,
    environment: str | None,
    environ: Mapping[str, str],
    secret: bytes,
    files: Files | None = None,
    running: Identity | None = None,
) -> Configuration | list[Problem]:
    """Compile a directory with the plugins that are registered and the directory's own `plugins/*.py`.

    `environment` names environments/NAME.yaml; `environ` comes before it. `secret` is the installation's
    identity key. `files` are what was read of the directory before, `running` the identity of an engine that it is
    for. The list of problems is in the order of the files and holds warnings too; warnings alone do not stop:
    they are `Configuration.warnings`.
    """
    files = read_files(directory) if files is None else files
    broken = load_plugins(directory, files)
    folder = open_folder(directory, files, environment, environ)
    site = Site(directory, folder.tables, MappingProxyType(registered("predicate")))
    parts = read_parts(folder, site)
    found = {*broken, *folder.problems, *parts.problems, *lint(parts), *changed(parts.authorities, running)}
    problems = sorted(hidden(p, folder.secrets) for p in found)
    if any(p.severity == "error" for p in problems):
        return problems
    made = compiled(parts, secret, tuple(str(p) for p in problems))
    return replace(made, marks=marks(parts, files, secret), places=places(parts))

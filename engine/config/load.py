"""From a configuration directory to what runs, or to all of its problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from engine.channel import Configuration
from engine.config.compile import compiled
from engine.config.folder import load_plugins, open_folder
from engine.config.lint import lint
from engine.config.parts import read_parts
from engine.config.problem import Problem
from engine.plugin import registered
from engine.settings import Site


def hidden(problem: Problem, secrets: Iterable[str]) -> Problem:
    """The problem without a secret in its words, wherever it came from."""
    for secret in secrets:
        text = problem.text.replace(secret, "***")
        problem = replace(problem, text=text, suggestion=problem.suggestion.replace(secret, "***"))
    return problem


def load(
    directory: Path, environment: str | None, environ: Mapping[str, str], secret: bytes
) -> Configuration | list[Problem]:
    """Compile a directory with the plugins that are registered and the directory's own `plugins/*.py`.

    `environment` names environments/NAME.yaml; `environ` comes before it. `secret` is the installation's
    identity key. The list of problems is in the order of the files and holds warnings too; warnings alone
    do not stop: they are `Configuration.warnings`.
    """
    broken = load_plugins(directory)
    folder = open_folder(directory, environment, environ)
    site = Site(directory, folder.tables, MappingProxyType(registered("predicate")))
    parts = read_parts(folder, site)
    found = {*broken, *folder.problems, *parts.problems, *lint(parts)}
    problems = sorted(hidden(p, folder.secrets) for p in found)
    if any(p.severity == "error" for p in problems):
        return problems
    return compiled(parts, secret, tuple(str(p) for p in problems))

"""What each part of a configuration is compiled from, as a digest: the YAML with its variables filled in, the tables
and the plugins of the site that it names, the identifier authorities, the version of Chartwire."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any

from engine.channel import Marks, Where
from engine.config.folder import PLUGINS
from engine.config.parts import ACKNOWLEDGED, Parts
from engine.config.routes import answered, listed, pairs
from engine.config.snapshot import Files, below
from engine.plugin import REGISTRY


def marks(parts: Parts, files: Files, secret: bytes) -> Marks:
    """Of a configuration without a fault. Keyed: nobody can try passwords against a digest."""
    beside = _beside(files)

    def mark(*trees: Any) -> str:
        made = hashlib.blake2b(version("chartwire").encode(), digest_size=16, key=secret[:64])
        for text in (_text(tree) for tree in trees):
            made.update(text)
        for word in sorted({word for tree in trees for word in _words(tree) if word in beside}):
            made.update(beside[word])
        return made.hexdigest()

    authorities = parts.authorities.tree.plain()
    destinations = {name: mark(tree) for name, tree in _destinations(parts).items()}
    entries = [
        (pairs(entry), [tree, *_systems(parts, entry)])
        for entry, tree in zip(parts.entries, _entries(parts, "routes"), strict=True)
    ]
    entries += [
        (answered(entry), [tree])
        for entry, tree in zip(parts.acknowledged, _entries(parts, ACKNOWLEDGED), strict=True)
    ]
    routes = {name: mark(trees, to) for found, trees in entries for name, _, to in found}
    channels = {
        name: mark(part.tree.plain(), authorities, *(t for found, t in entries if _of(found, name)))
        for name, part in parts.channels.items()
    }
    alerts = parts.alerts.tree.plain()
    return Marks(mark(channels, destinations, routes, authorities, alerts), channels, destinations, routes)


def _beside(files: Files) -> Mapping[str, bytes]:
    """What a word in the YAML may stand for that lies in a file of its own: a table, a thing of a plugin."""
    tables = {PurePosixPath(name).stem: files[name] for name in below(files, "channels/tables", ".csv")}
    plugins = {
        word: files[f"plugins/{thing.__module__.removeprefix(f'{PLUGINS}.')}.py"]
        for (_, word), thing in REGISTRY.items()
        if thing.__module__.startswith(f"{PLUGINS}.")
    }
    return {**tables, **plugins}


def _destinations(parts: Parts) -> dict[str, Any]:
    tree = parts.routes.tree.get("destinations")
    return tree.plain() if tree and isinstance(tree.value, Mapping) else {}


def _entries(parts: Parts, of: str) -> list[Any]:
    tree = parts.routes.tree.get(of)
    return tree.plain() if tree and isinstance(tree.value, tuple) else []


def _systems(parts: Parts, entry: Mapping[str, Any]) -> list[str]:
    """Whose systems it leads to, and whether in batches: that is compiled into the route."""
    partners = [parts.partners[name] for name in listed(entry, "to")]
    return [f"{partner.system} {partner.gather is not None or partner.sequence}" for partner in partners]


def _of(found: Iterable[tuple[str, str, str]], channel: str) -> bool:
    return any(source == channel for _, source, _ in found)


def _text(tree: Any) -> bytes:
    return json.dumps(tree, default=lambda number: {"number": str(number)}).encode()


def _words(tree: Any) -> Iterator[str]:
    """Every key and every text in it."""
    if isinstance(tree, str):
        yield tree
    for each in tree if isinstance(tree, (Mapping, list, tuple)) else ():
        yield from _words(each)
    for each in tree.values() if isinstance(tree, Mapping) else ():
        yield from _words(each)


def places(parts: Parts) -> Mapping[str, Where]:
    """Where the source of each channel stands."""
    return {name: part.place("source") for name, part in parts.channels.items()}

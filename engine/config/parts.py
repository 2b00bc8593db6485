"""The files of a configuration, each read as far as it can be, with the faults of each in their places."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.alerts.settings import AlertsFile
from engine.channel import Partner
from engine.config.files import (
    AcknowledgementEntry,
    AuthoritiesFile,
    ChannelFile,
    RouteEntry,
    RoutesFile,
    partner,
)
from engine.config.folder import Folder
from engine.config.nodes import Node
from engine.config.problem import Place, Problem, located
from engine.config.read import read
from engine.fault import Fault, Wrong
from engine.settings import Site

ACKNOWLEDGED = "application_ack"


@dataclass(frozen=True, slots=True)
class Part:
    """One file: its tree, and the settings in it that could be read."""

    tree: Node
    values: Mapping[str, Any]

    def place(self, *at: str | int, key: bool = False) -> Place:
        """Where the value at the end of the way stands, or its key."""
        *_, (of_key, node) = self.tree.walk(at)
        return of_key if key else node.place

    def problem(self, fault: Fault, *above: str | int) -> Problem:
        """The fault of a setting below `above`, located. What is wrong with a secret is not said in words."""
        *_, (of_key, node) = self.tree.walk((*above, *fault.at))
        if node.secret and not fault.key:
            fault = fault._replace(text="this value is not accepted; it is a secret and not shown")
        return located(of_key if fault.key else node.place, fault)

    def names(self, *at: str) -> tuple[str, ...]:
        """The keys of a mapping, even where something below them is wrong."""
        node: Node | None = self.tree
        for key in at:
            node = node.get(key) if node else None
        return tuple(node.value) if node and isinstance(node.value, Mapping) else ()


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that was read. `channels` are by name, which is the name of the file."""

    channels: Mapping[str, Part]
    channel_names: tuple[str, ...]  # those of unreadable files too
    routes: Part
    partners: Mapping[str, Partner]  # those that could be read
    entries: tuple[Mapping[str, Any], ...]  # of each route what could be read
    acknowledged: tuple[Mapping[str, Any], ...]  # and of each entry of application_ack
    authorities: Part
    alerts: Part
    problems: tuple[Problem, ...]

    @property
    def destination_names(self) -> tuple[str, ...]:
        return self.routes.names("destinations")


def read_parts(folder: Folder, site: Site) -> Parts:
    """Read every tree by its schema. A value that a variable left open is not complained of twice."""
    problems: list[Problem] = []
    channels = {
        _stem(name): _part(ChannelFile, tree, site, problems) for name, tree in folder.channels.items()
    }
    routes = _part(RoutesFile, folder.routes or _nothing("routes.yaml"), site, problems)
    authorities = Part(_nothing("authorities.yaml"), {})
    if folder.authorities:
        authorities = _part(AuthoritiesFile, folder.authorities, site, problems)
    alerts = _part(AlertsFile, folder.alerts or _nothing("alerts.yaml"), site, problems)
    open_places = {_where(p) for p in folder.problems if p.code in ("unset-variable", "bad-reference")}
    return Parts(
        channels=channels,
        channel_names=tuple(map(_stem, folder.names)),
        routes=routes,
        partners=dict(_partners(routes.tree, site)),
        entries=tuple(_entries(routes.tree, "routes", RouteEntry, site)),
        acknowledged=tuple(_entries(routes.tree, ACKNOWLEDGED, AcknowledgementEntry, site)),
        authorities=authorities,
        alerts=alerts,
        problems=tuple(p for p in problems if _where(p) not in open_places),
    )


def _partners(tree: Node, site: Site) -> Iterator[tuple[str, Partner]]:
    found = tree.get("destinations")
    for name, node in found.value.items() if found and isinstance(found.value, Mapping) else ():
        with contextlib.suppress(Wrong):  # said already, of the file
            yield name, replace(partner(node.plain(), site), name=name)


def _entries(tree: Node, key: str, schema: Callable[..., Any], site: Site) -> Iterator[Mapping[str, Any]]:
    found = tree.get(key)
    for node in found.value if found and isinstance(found.value, tuple) else ():
        yield read(schema, node.plain(), site).values


def _part(schema: Callable[..., Any], tree: Node, site: Site, problems: list[Problem]) -> Part:
    values, faults = read(schema, tree.plain(), site)
    part = Part(tree, values)
    problems.extend(_told(part, faults))
    return part


def _told(part: Part, faults: Iterable[Fault]) -> Iterable[Problem]:
    return [part.problem(fault) for fault in faults]


def _nothing(file: str) -> Node:
    return Node({}, Place(file))


def _stem(name: str) -> str:
    return name.removeprefix("channels/").removesuffix(".yaml")


def _where(problem: Problem) -> Place:
    return Place(problem.file, problem.line, problem.column)

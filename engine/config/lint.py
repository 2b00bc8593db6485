"""What no single file can say about itself: names that must exist, ports, chains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from engine.config.chain import accepts, check, check_store, gives_of, named
from engine.config.parts import Part, Parts
from engine.config.problem import Problem, error
from engine.config.routes import foreign, lint_routes, risks
from engine.fault import nearest
from engine.trigger import ChartSource


def lint(parts: Parts) -> list[Problem]:
    """Every problem between the files, warnings among them."""
    found: list[Problem] = []
    types: dict[str, Any] = {}
    for name, part in parts.channels.items():
        found += _channel(name, part, parts)
        types[name], problems = _chain(part)
        found += problems
    found += _authorities(parts.authorities)
    found += _alerts(parts)
    found += _shared(parts.channels)
    found += lint_routes(parts, types)
    return found


def _channel(name: str, part: Part, parts: Parts) -> Iterator[Problem]:
    given = part.values.get("channel", name)
    if given != name:
        text = f'the channel is named "{given}", its file "{name}"'
        yield error(
            part.place("channel"), "name-mismatch", text, f"write channel: {name}, or rename the file"
        )
    known = parts.authorities.names("authorities")
    authority = part.values.get("authority")
    if authority is not None and authority not in known:
        hint = nearest(authority, known) or "declare it in authorities.yaml"
        yield error(part.place("authority"), "unknown-authority", f'no authority "{authority}"', hint)
    declared = parts.authorities.values.get("authorities", {}).values()
    nobody = not known or (declared and not any(a.identifies for a in declared))
    if part.values.get("store") and nobody:
        text = "a channel that stores needs an authority whose identifiers identify patients"
        hint = "declare it in authorities.yaml, with identifies: true"
        yield error(part.place("store", key=True), "no-authorities", text, hint)
    if source := part.values.get("source"):
        yield from risks(part, source, "source")
    yield from _answers(part)


def _answers(part: Part) -> Iterator[Problem]:
    """`ack: replied` and `answer:` belong together; such a channel neither stores nor splits."""
    replied, answer = part.values.get("ack") == "replied", part.values.get("answer")
    if replied and answer is None and part.tree.get("answer") is None:
        hint = "add answer: dicom.worklist or another"
        yield error(part.place("ack"), "no-answer", "ack: replied needs an answer:", hint)
    if answer and not replied:
        yield error(part.place("answer", key=True), "no-answer", "an answer: needs ack: replied", "add it")
    for other in ("store", "split") if answer else ():
        if part.values.get(other):
            text = f"a channel that answers queries does not {other}"
            yield error(part.place(other, key=True), "no-answer", text, "make it a channel of its own")
    if part.values.get("split") and part.values.get("ack", "stored") != "stored":
        yield error(part.place("ack"), "wrong-value", "split: needs ack: stored", "leave ack: out")


def _chain(part: Part) -> tuple[Any, list[Problem]]:
    """The type that the pipeline leaves, and what is wrong on the way to it and into the store."""
    picked = part.values.get("format")
    given = gives_of(picked.thing) if picked else Any
    kind, faults = check(part.values.get("pipeline", ()), given)
    problems = [part.problem(fault, "pipeline") for fault in faults]
    problems += foreign(part, given, "feed")
    problems += foreign(part, Mapping, "source", "chart", "when")
    if not faults and not accepts(given, kind):
        text = f"the pipeline ends with {named(kind)}, not with {named(given)}"
        problems.append(error(part.place("pipeline", key=True), "chain-type", text, "translate below store:"))
    if store := part.values.get("store"):
        problems += [part.problem(fault, "store") for fault in check_store(store, kind)]
    return kind, problems


def _alerts(parts: Parts) -> Iterator[Problem]:
    part, values = parts.alerts, parts.alerts.values
    for name in values.get("silent", {}):
        if name not in parts.channel_names:
            hint = nearest(name, parts.channel_names) or "there is no channel"
            yield error(part.place("silent", name, key=True), "unknown-channel", f'no channel "{name}"', hint)
    for key in ("mail", "webhook"):
        if notifier := values.get(key):
            yield from risks(part, notifier, key)
    for key in ("every", "calm"):
        if values.get(key, 1.0) <= 0:
            yield error(part.place(key), "wrong-value", f'"{key}" should be more than 0', "write 10s")


def _authorities(part: Part) -> Iterator[Problem]:
    owner: dict[str, str] = {}
    for name, settings in part.values.get("authorities", {}).items():
        if ":" not in settings.namespace:
            hint = "write a URI: urn:oid:... or https://..."
            place = part.place("authorities", name, "namespace")
            yield error(place, "bad-namespace", f'"{settings.namespace}" is not a URI', hint)
        for alias in (name, settings.namespace, *settings.aliases):
            other = owner.setdefault(alias.casefold(), name)
            if other != name:
                place = part.place("authorities", name, key=True)
                yield error(
                    place, "shared-alias", f'"{alias}" is also a name of authority "{other}"', "keep one"
                )


def _shared(channels: Mapping[str, Part]) -> Iterator[Problem]:
    """A port used twice: only by the same source, and only with feeds to tell the channels apart."""
    with_source = {name: part for name, part in channels.items() if _listens(part.values.get("source"))}
    for (first, one), (_, two) in combinations(with_source.items(), 2):
        left, right = one.values["source"], two.values["source"]
        if left == right and _asks(one) == _asks(two):
            yield from _told_apart(first, one, two)
        elif left == right:
            continue  # queries and messages are told apart by themselves
        elif _clash(_address(left), _address(right)):
            text = f'{_address(right)} is used by channel "{first}" with other settings'
            hint = f'give it a port of its own, or the very settings of "{first}" and a feed: to each'
            yield error(two.place("source"), "port-clash", text, hint)


def _told_apart(first: str, one: Part, two: Part) -> Iterator[Problem]:
    hint = 'add feed: {MSH-3.1: "...", MSH-4.1: "..."} to each'
    for part in (one, two):
        if part.values.get("feed") is None and part.tree.get("feed") is None:
            text = "the source is shared, and no feed: says which messages are this channel's"
            yield error(part.place("source"), "shared-source", text, hint)
    left, right = one.tree.get("feed"), two.tree.get("feed")
    if left and right and left.plain() == right.plain():
        text = f'channel "{first}" has the same source and the same feed'
        yield error(two.place("feed"), "shared-source", text, hint)


def _listens(source: Any) -> bool:
    """The chart may be the source of any number of channels."""
    return source is not None and not isinstance(source, ChartSource)


def _asks(part: Part) -> bool:
    return part.values.get("ack") == "replied"


def _address(source: Any) -> str | None:
    address = getattr(source, "address", None)
    return address() if address else None


def _clash(one: str | None, two: str | None) -> bool:
    """`mllp://0.0.0.0:2575` takes the port of every interface; port 0 is any free one."""
    if one is None or two is None:
        return False
    if one.startswith("file:") or two.startswith("file:"):  # a folder: it has no port
        return one == two
    bare = [address.split("://")[-1].split("/")[0] for address in (one, two)]
    (host, _, port), (other_host, _, other_port) = (address.rpartition(":") for address in bare)
    hosts = {host, other_host}
    return port == other_port != "0" and (
        len(hosts) == 1 or not hosts.isdisjoint({"0.0.0.0", "[::]", "::", ""})
    )

"""What routes.yaml must agree with: the channels, the destinations, the types of the messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.channel import RetryPolicy
from engine.condition import strangers
from engine.config.chain import accepts, check, named, sendable
from engine.config.parts import ACKNOWLEDGED, Part, Parts
from engine.config.pick import standards
from engine.config.problem import Problem, error, warning
from engine.fault import Fault, nearest
from engine.plugin import unowed
from engine.trigger import ChartSource

Entry = Mapping[str, Any]  # the settings of a RouteEntry, as far as they could be read


def listed(entry: Entry, key: str) -> list[str]:
    """`from_` or `to`: one name or a list of them."""
    value: str | list[str] = entry.get(key, [])
    return [value] if isinstance(value, str) else value


def pairs(entry: Entry) -> list[tuple[str, str, str]]:
    """(route, channel, destination) of each pair that the entry stands for."""
    name, targets = entry.get("name"), listed(entry, "to")
    return [
        (_name(name, source, target, len(targets)), source, target)
        for source in listed(entry, "from_")
        for target in targets
    ]


def answered(entry: Entry) -> list[tuple[str, str, str]]:
    """The same of an entry of `application_ack`."""
    to = entry.get("to", "")
    return [
        (entry.get("name") or f"{source}-{ACKNOWLEDGED}", source, to) for source in listed(entry, "from_")
    ]


def _name(name: str | None, source: str, target: str, targets: int) -> str:
    if not name:
        return f"{source}-{target}"
    return name if targets == 1 else f"{name}-{target}"


def lint_routes(parts: Parts, types: Mapping[str, Any]) -> Iterator[Problem]:
    """`types`: what leaves the pipeline of each channel."""
    for n, entry in enumerate(parts.entries):
        yield from _known(parts.routes, n, "channel", "from", listed(entry, "from_"), parts.channel_names)
        yield from _known(parts.routes, n, "destination", "to", listed(entry, "to"), parts.destination_names)
        yield from _sent(parts.routes, n, entry, types)
        for channel in listed(entry, "from_"):
            yield from foreign(parts.routes, types.get(channel, Any), "routes", n, "when")
        yield from _expected(parts, n, entry)
        yield from _returned(parts, n, entry)
    yield from _acknowledged(parts)
    yield from _named_twice(parts)
    yield from _unused(parts)
    for name, partner in parts.partners.items():
        yield from risks(parts.routes, partner.destination, "destinations", name)
        yield from _retry(parts.routes, name, partner.retry)


def _known(
    part: Part, n: int, kind: str, key: str, names: list[str], known: tuple[str, ...], of: str = "routes"
) -> Iterator[Problem]:
    for i, name in enumerate(names):
        if name not in known:
            hint = nearest(name, known) or f"there is no {kind}"
            yield error(part.place(of, n, key, i), f"unknown-{kind}", f'no {kind} "{name}"', hint)


def _sent(part: Part, n: int, entry: Entry, types: Mapping[str, Any]) -> Iterator[Problem]:
    """A message is transformed and written; the chart's resources and answers go out as they are."""
    chain = entry.get("transform", ())
    if (send := entry.get("send", "message")) != "message":
        if chain:
            text = f"the {send} is sent as it is: a transform of the message does not apply"
            hint = "leave transform: out, or send: message"
            yield error(part.place("routes", n, "transform", key=True), f"transform-with-{send}", text, hint)
        return
    found: dict[Fault, None] = {}
    for channel in listed(entry, "from_"):
        kind, faults = check(chain, types.get(channel, Any))
        if not faults and not accepts(sendable(), kind):
            faults = [Fault("chain-type", f"the transform ends with {named(kind)}, which cannot be sent")]
        found |= dict.fromkeys(faults)
    for fault in found:
        yield part.problem(fault, "routes", n, "transform")


def foreign(part: Part, body: Any, *at: str | int) -> Iterator[Problem]:
    """Paths of another standard than that of the messages, in the condition at `at`."""
    steps = list(part.tree.walk(at))
    if len(steps) <= len(at):
        return
    _, node = steps[-1]
    for path in strangers(node.plain(), body):
        text = f'"{path[-1]}" is no path into {named(body)}'
        hint = "HL7 v2 has paths such as OBX-8, FHIR such as ServiceRequest.status"
        yield error(part.place(*at, *path, key=True), "foreign-path", text, hint)


def _expected(parts: Parts, n: int, entry: Entry) -> Iterator[Problem]:
    """The answers that are waited for are messages of a channel."""
    expect = entry.get("expect")
    if expect and expect.answers not in parts.channel_names:
        hint = nearest(expect.answers, parts.channel_names) or "there is no channel"
        place = parts.routes.place("routes", n, "expect", "answers")
        yield error(place, "unknown-channel", f'no channel "{expect.answers}"', hint)


def _acknowledged(parts: Parts) -> Iterator[Problem]:
    """Senders are told what became of messages that are processed later, in a standard that knows such answers."""
    for n, entry in enumerate(parts.acknowledged):
        of = (parts.routes, n)
        yield from _known(*of, "channel", "from", listed(entry, "from_"), parts.channel_names, ACKNOWLEDGED)
        yield from _known(
            *of, "destination", "to", listed(entry, "to"), parts.destination_names, ACKNOWLEDGED
        )
        partner = parts.partners.get(entry.get("to", ""))
        if partner and (partner.gather or partner.sequence):
            text = f'what goes to "{partner.name}" is one lane, and each answer is one of its own'
            place = parts.routes.place(ACKNOWLEDGED, n, "to")
            yield error(place, "wrong-value", text, "give it a destination without gather: and sequence:")
        for i, name in enumerate(listed(entry, "from_")):
            values = parts.channels[name].values if name in parts.channels else {}
            place = parts.routes.place(ACKNOWLEDGED, n, "from", i)
            format = values.get("format")
            if format and standards()[format.name].owed is unowed:
                text = f'messages of format "{format.name}" ask for no application acknowledgement'
                yield error(place, "wrong-value", text, "leave the channel out")
            if values.get("ack", "stored") != "stored":
                text = f'channel "{name}" tells its senders at once what became of their messages'
                yield error(place, "wrong-value", text, f"leave {name} out here, or its ack: there")


def _returned(parts: Parts, n: int, entry: Entry) -> Iterator[Problem]:
    """What the chart tells must not go back to the system whose word it was: that system needs a name."""
    told = [c for c in listed(entry, "from_") if _of_chart(parts.channels.get(c))]
    for i, name in enumerate(listed(entry, "to")):
        partner = parts.partners.get(name)
        if told and partner and not partner.system:
            text = f'the chart is told to "{name}", and nothing says whose system that is'
            hint = f'give "{name}" and the channels that come from there the same system:'
            yield error(parts.routes.place("routes", n, "to", i), "unknown-system", text, hint)


def _of_chart(part: Part | None) -> bool:
    return part is not None and isinstance(part.values.get("source"), ChartSource)


def _named_twice(parts: Parts) -> Iterator[Problem]:
    """A route's name counts deliveries: two entries cannot share it."""
    first: dict[str, tuple[str, int]] = {}
    entries = [("routes", n, pairs(entry)) for n, entry in enumerate(parts.entries)]
    entries += [(ACKNOWLEDGED, n, answered(entry)) for n, entry in enumerate(parts.acknowledged)]
    for of, n, found in entries:
        for name in dict.fromkeys(name for name, _, _ in found):
            if first.setdefault(name, (of, n)) != (of, n):
                text = f'route "{name}" is already given by entry {first[name][1] + 1} of {first[name][0]}'
                place = parts.routes.place(of, n)
                yield error(place, "duplicate-route", text, "give one of them a name: of its own")


def _unused(parts: Parts) -> Iterator[Problem]:
    used = {name for entry in (*parts.entries, *parts.acknowledged) for name in listed(entry, "to")}
    for name in parts.destination_names:
        if name not in used:
            place = parts.routes.place("destinations", name, key=True)
            text = f'no route leads to "{name}"'
            yield warning(place, "unused-destination", text, "add a route, or remove it")


def risks(part: Part, thing: Any, *at: str) -> Iterator[Problem]:
    """What a source or destination says of itself: `problems()` stop the engine, `risks()` are listed."""
    wrong: list[str] = getattr(thing, "problems", list)()
    for text in wrong:
        yield error(part.place(*at, key=True), "not-allowed", text)
    for text in () if wrong else getattr(thing, "risks", list)():
        yield warning(part.place(*at, key=True), "accepted-risk", text)


def _retry(part: Part, name: str, retry: RetryPolicy) -> Iterator[Problem]:
    if retry.first > retry.max:
        place = part.place("destinations", name, "retry")
        yield error(place, "wrong-value", "retry: first is longer than max", "swap them")

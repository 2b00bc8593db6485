"""A chain of transforms: type-checked from its annotations, then bound to its settings."""

from __future__ import annotations

import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from engine.channel import Step
from engine.config.pick import Picked, standards
from engine.fault import Fault
from engine.message import Stop
from engine.plugin import Feed
from store.facts import Belongs, Fact, Link, Write
from store.reason import Reason


def sendable() -> Any:
    """The types that can be written: bytes, a FHIR resource, the messages of every format."""
    bodies = (gives_of(format.parse) for format in standards().values())
    return functools.reduce(operator.or_, bodies, bytes | Mapping[str, Any])


def bound(picked: Picked, feed: Feed) -> Step:
    """The transform with its settings, and with the feed if it asks for it."""
    if len(_positional(picked.thing)) < 2:
        return functools.partial(picked.thing, **picked.values)
    thing, values = picked.thing, picked.values
    return lambda body: thing(body, feed, **values)


def check(chain: Sequence[Picked], given: Any) -> tuple[Any, list[Fault]]:
    """The type that leaves the chain, and every step that cannot take what the one before it gives."""
    faults = []
    for n, picked in enumerate(chain):
        takes, gives = takes_of(picked.thing), gives_of(picked.thing)
        if not accepts(takes, given):
            faults.append(_mismatch(picked.name, takes, given)._replace(at=(n,)))
        given = given if isinstance(gives, TypeVar) else gives
    return given, faults


def _mismatch(name: str, takes: Any, given: Any) -> Fault:
    text = f'"{name}" takes {named(takes)}, but gets {named(given)}'
    return Fault("chain-type", text, "put a transform between them, or another in its place")


def check_store(picked: Picked, given: Any) -> list[Fault]:
    """A `store:` takes what the pipeline gives and says facts."""
    takes, gives = takes_of(picked.thing), gives_of(picked.thing)
    if not _says_facts(gives):
        text = f'"{picked.name}" gives {named(gives)}, not facts'
        return [Fault("chain-type", text, "a store is a translation such as hl7v2_to_fhir")]
    return [] if accepts(takes, given) else [_mismatch(picked.name, takes, given)]


def _says_facts(gives: Any) -> bool:
    if gives is Any:
        return True
    origin = get_origin(gives)
    listed = isinstance(origin, type) and issubclass(origin, Sequence)
    return listed and all(
        m in (Fact, Link, Belongs, Write) for a in get_args(gives) if a is not ... for m in _members(a)
    )


def _positional(thing: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(thing).parameters.values()
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def takes_of(thing: Callable[..., Any]) -> Any:
    """The annotation of the first parameter; Any where there is none."""
    first = _positional(thing)[:1]
    return typing.get_type_hints(thing).get(first[0].name, Any) if first else Any


def gives_of(thing: Callable[..., Any]) -> Any:
    """What a function returns when all goes well: without Stop, Reason and None."""
    gives = typing.get_type_hints(thing).get("return", Any)
    members = [m for m in _members(gives) if m not in (Stop, Reason, types.NoneType)]
    return functools.reduce(operator.or_, members) if members else gives


def _members(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def accepts(takes: Any, given: Any) -> bool:
    """May a value of type `given` stand where `takes` is asked for? Unannotated and generic: yes."""
    return all(any(_fits(t, g) for t in _members(takes)) for g in _members(given))


def _fits(takes: Any, given: Any) -> bool:
    if isinstance(takes, TypeVar) or Any in (takes, given) or takes is object:
        return True
    wanted, found = get_origin(takes) or takes, get_origin(given) or given
    return isinstance(wanted, type) and isinstance(found, type) and issubclass(found, wanted)


def named(annotation: Any) -> str:
    """A type as people call it: `hl7v2.Message`, `list of Fact or Link`."""
    if annotation is Any:
        return "anything"
    members = _members(annotation)
    if len(members) > 1:
        return " or ".join(named(m) for m in members)
    kind = get_origin(annotation) or annotation
    inner = [] if kind in (dict, Mapping) else [named(a) for a in get_args(annotation) if a is not ...]
    name = _qualified(kind)
    return f"{name} of {', '.join(inner)}" if inner else name


def _qualified(kind: Any) -> str:
    module, name = getattr(kind, "__module__", ""), getattr(kind, "__qualname__", str(kind))
    return f"{module.split('.')[1]}.{name}" if module.startswith("formats.") else name

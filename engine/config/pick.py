"""The key is the type, exactly one: `mllp: {port: 2575}` is the source `mllp` with its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from engine.config.read import made, read
from engine.fault import Fault, Wrong, nearest
from engine.plugin import FORMATS, Format, discover, registered
from engine.settings import Site, Written
from formats import hl7v2


class Picked(NamedTuple):
    """A registered thing and its settings, by argument name."""

    name: str
    thing: Callable[..., Any]
    values: Mapping[str, Any]


def choose(
    kind: str, value: Any, known: Mapping[str, Callable[..., Any]], beside: tuple[str, ...] = ()
) -> tuple[str, Any]:
    """The one name in `value` and the settings below it (None if there are none). Raises Wrong.

    `beside` are the keys that might have been meant by one that is too much.
    """
    if isinstance(value, str):
        return _known(kind, value, known), None
    if not isinstance(value, Mapping) or len(value) != 1:
        raise Wrong(_not_one(kind, value, known, beside))
    ((name, settings),) = value.items()
    return _known(kind, name, known, name), settings


def _known(kind: str, name: str, known: Mapping[str, Callable[..., Any]], *at: str) -> str:
    if name not in known:
        raise Wrong(Fault(f"unknown-{kind}", f'no {kind} "{name}"', nearest(name, known), at, key=bool(at)))
    return name


def _not_one(
    kind: str, value: Any, known: Mapping[str, Callable[..., Any]], beside: tuple[str, ...]
) -> Fault:
    text = f"a {kind} has exactly one key, its type"
    if not isinstance(value, Mapping) or not value:
        return Fault("one-key", text, nearest("", known))
    extra = ([key for key in value if key not in known] or list(value)[1:])[0]
    near = nearest(extra, [*known, *beside])
    hint = near if near.startswith("did") and extra not in known else f'"{extra}" is too much'
    return Fault("one-key", text, hint, (extra,), key=True)


def pick(kind: str, value: Any, known: Mapping[str, Callable[..., Any]], site: Site) -> Picked:
    name, data = choose(kind, value, known)
    values, faults = read(known[name], data, site)
    if faults:
        raise Wrong(*(fault.below(name) for fault in faults))
    return Picked(name, known[name], values)


def _source(value: Any, site: Site) -> Any:
    known = registered("source")
    name, data = choose("source", value, known)
    return built(known[name], name, data, site)


def built(thing: Callable[..., Any], name: str, data: Any, site: Site) -> Any:
    """A source or destination with its settings. Raises Wrong, located below `name`."""
    try:
        return made(thing, data, site)
    except Wrong as bad:
        raise Wrong(*(fault.below(name) for fault in bad.faults)) from None


def _picked(kind: str) -> Callable[[Any, Site], Picked]:
    return lambda value, site: pick(kind, value, registered(kind), site)


def _format(value: Any, site: Site) -> Picked:
    picked = pick("format", value, format_parsers(), site)
    charset = picked.values.get("charset")
    if charset is not None and hl7v2.codec(str(charset)) is None:
        hint = "a name of HL7 table 0211 or a Python codec, such as 8859/1, UNICODE UTF-8 or cp1252"
        raise Wrong(Fault("unknown-charset", f'no character set "{charset}"', hint, (picked.name, "charset")))
    return picked


def standards() -> Mapping[str, Format]:
    """Every format that a channel can read."""
    discover("engine.standards")
    return dict(sorted(FORMATS.items()))


def format_parsers() -> dict[str, Callable[..., Any]]:
    """The `parse` of each; its settings are those of the format."""
    return {name: format.parse for name, format in standards().items()}


SourceSetting = Annotated[Any, Written(_source, {"x-def": "source"}, "source")]
StepSetting = Annotated[Picked, Written(_picked("transform"), {"x-def": "transform"}, "transform")]
SplitterSetting = Annotated[Picked, Written(_picked("splitter"), {"x-def": "splitter"}, "splitter")]
GathererSetting = Annotated[Picked, Written(_picked("gatherer"), {"x-def": "gatherer"}, "gatherer")]
AnswerSetting = Annotated[Picked, Written(_picked("answer"), {"x-def": "answer"}, "answer")]
FormatSetting = Annotated[Picked, Written(_format, {"x-def": "format"}, "format")]

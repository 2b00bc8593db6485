"""What stands in the files of a configuration: their keys are the fields of these classes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

from engine.channel import Breaker, Gather, Partner, RetryPolicy
from engine.condition import always, bad_path
from engine.config.pick import (
    AnswerSetting,
    FormatSetting,
    GathererSetting,
    SourceSetting,
    SplitterSetting,
    StepSetting,
    built,
    choose,
)
from engine.config.read import made, read
from engine.fault import Fault, Wrong
from engine.message import Expect
from engine.plugin import registered
from engine.settings import Path, Seconds, Site, Size, When, Written, Zone
from formats import hl7v2
from formats.hl7v2.acknowledgement import MODES, mode

Order = hl7v2.Path | Literal["patient"]


def _rank(value: Any, site: Site) -> int:
    if re.fullmatch(r"-?\d{1,4}", str(value)) and abs(int(value)) <= 1000:
        return int(value)
    raise Wrong(Fault("wrong-value", "a rank is a whole number from -1000 to 1000", "write rank: 1"))


def _order(value: Any, site: Site) -> Order:
    """PID-3 is the patient's own identifier by authorities.yaml, whichever repetition that is."""
    if value in ("patient", "PID-3"):
        return "patient"
    try:
        return hl7v2.path(str(value))
    except ValueError:
        raise Wrong(bad_path(value)._replace(suggestion="write one such as PV1-19.1, or patient")) from None


@dataclass(frozen=True, slots=True)
class Accepts:
    """Which messages a channel takes as real."""

    processing_id: Annotated[str | list[str], "accepted values of MSH-11.1"] = "P"


@dataclass(frozen=True, slots=True)
class ChannelFile:
    """channels/NAME.yaml: what comes in and what it means."""

    channel: Annotated[str, "the name; the file has the same"]
    source: SourceSetting
    format: FormatSetting
    timezone: Annotated[Zone, "the zone of times that carry no offset"]
    about: Annotated[str, "for people"] = ""
    accepts: Accepts = Accepts()
    feed: Annotated[When | None, "which messages of a shared source are its own: {MSH-3.1: LAB}"] = None
    order_by: Annotated[
        Order | None,
        Written(_order, {"type": "string"}, "HL7 path, or patient"),
        "what must keep its order; without it the whole channel does",
    ] = None
    head: Annotated[
        Literal["block", "park"],
        "what one that ends QUARANTINED or FAILED does to those of its lane behind it: block holds them for a person",
    ] = "park"
    authority: Annotated[str | None, "whose identifiers they are when CX-4 is empty"] = None
    rank: Annotated[
        int,
        Written(_rank, {"type": "integer", "minimum": -1000, "maximum": 1000}, "rank"),
        "which of two feeds wins at equal times: the higher",
    ] = 0
    clock: Annotated[tuple[Path, ...], "where the source time is: the first path with a value"] = ()
    future_limit: Annotated[Seconds, "how far ahead of our clock a source time may be"] = 86400.0
    ack: Annotated[Literal["stored", "processed", "replied"], "what a yes to the sender means"] = "stored"
    pipeline: Annotated[tuple[StepSetting, ...], "repairs, in order"] = ()
    store: Annotated[StepSetting | None, "the translation into the chart"] = None
    split: Annotated[SplitterSetting | None, "what takes its messages apart into messages of their own"] = (
        None
    )
    answer: Annotated[AnswerSetting | None, "what answers its queries, with ack: replied"] = None
    system: Annotated[str, "whose word its messages are: nothing that follows from it goes back there"] = ""
    spool_over: Annotated[Size, "longer messages are kept in the spool, not in the database"] = 1 << 20


@dataclass(frozen=True, slots=True)
class Expected:
    """What must follow a delivery; what did not come in time is shown as overdue."""

    within: Annotated[Seconds, "how long the answer may take"]
    answers: Annotated[str, "the channel that the answer comes by; an answer on the same connection too"]


def _expect(value: Any, site: Site) -> Expect:
    expected = made(Expected, value, site)
    return Expect(expected.within, expected.answers)


ExpectSetting = Annotated[Expect, Written(_expect, {"x-def": "Expected"}, "expectation")]


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """One entry of `routes:`: who is told what, in which form."""

    from_: Annotated[str | list[str], "channels"]
    to: Annotated[str | list[str], "destinations"]
    name: Annotated[str, "default: FROM-TO"] = ""
    when: Annotated[When, "which messages; default: all"] = always
    transform: Annotated[tuple[StepSetting, ...], "steps on the way out"] = ()
    send: Annotated[
        Literal["message", "chart", "answer"],
        "the message, the resources that it changed, or what a splitter answers (TA1, 999)",
    ] = "message"
    expect: Annotated[ExpectSetting | None, "the answer that must follow a delivery"] = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Many messages go out as one; all of them are one lane, in order."""

    as_: Annotated[GathererSetting, "how they become one: {hl7.batch: {...}}"]
    most: Annotated[int, "so many at most in one"] = 500
    every: Annotated[Seconds, "and what there is when the first has waited for so long"] = 60.0


def _gather(value: Any, site: Site) -> Gather:
    gathered = made(Gathered, value, site)
    return Gather(partial(gathered.as_.thing, **gathered.as_.values), gathered.most, gathered.every)


GatherSetting = Annotated[Gather, Written(_gather, {"x-def": "Gathered"}, "gather")]


def _combinations(value: Any, site: Site) -> Mapping[str, str]:
    """As a source says them."""
    found = {str(k): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {"": ""}
    for key, text in found.items():
        try:
            known = key in MODES and b"C" not in mode(text)
        except ValueError:
            known = False
        if not known:
            hint = "write NE/AL: A/A, MSH-15/MSH-16: after success/after failure, each A or -"
            raise Wrong(Fault("wrong-value", f'"{key}: {text}" is no combination', hint))
    return found


@dataclass(frozen=True, slots=True)
class AcknowledgementEntry:
    """One entry of `application_ack:`: whose senders are told, by exchanges of their own, what became of their messages
    where MSH-16 asks for it (HL7 v2.5.1: 2.9.3); the connection that a message came by then gets accept
    acknowledgements only."""

    from_: Annotated[str | list[str], "channels"]
    to: Annotated[str, "the destination where that sender listens for answers"]
    name: Annotated[str, "default: FROM-application_ack"] = ""
    combinations: Annotated[
        Mapping[str, str],
        Written(
            _combinations, {"type": "object", "additionalProperties": {"type": "string"}}, "combinations"
        ),
        "where the table does not suit: {AL/NE: A/A}, by MSH-15/MSH-16, after success and after failure A or -",
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartnerSettings:
    """What every destination takes beside its type."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    connections: Annotated[int, "how many deliveries at once"] = 1
    head: Annotated[
        Literal["block", "park"], "what a delivery that was rejected or given up does to those behind it"
    ] = "park"
    rate: Annotated[float | None, "deliveries a second at most"] = None
    breaker: Breaker = field(default_factory=Breaker)
    system: Annotated[str, "whose system it is; nothing goes there that came from there"] = ""
    gather: Annotated[GatherSetting | None, "what goes there goes in batches"] = None
    sequence: Annotated[
        bool, "what goes there is one lane and counted (HL7 v2: MSH-13, the sequence number protocol)"
    ] = False


PARTNER_KEYS = ("retry", "connections", "head", "rate", "breaker", "system", "gather", "sequence")


def _least(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The numbers that would let nothing go, and what they should be."""
    retry, breaker = values.get("retry", RetryPolicy()), values.get("breaker", Breaker())
    if values.get("connections", 1) < 1:
        yield "connections", "at least 1"
    if (rate := values.get("rate")) is not None and not 0 < rate <= 1_000_000:
        yield "rate", "more than 0"
    if retry.attempts is not None and retry.attempts < 1:
        yield "retry", "given attempts: of at least 1"
    if (gather := values.get("gather")) is not None and (gather.most < 1 or gather.every <= 0):
        yield "gather", "given most: of at least 1 and every: of more than 0"
    if values.get("sequence") and values.get("gather"):
        yield "sequence", "without gather: a batch has no number"
    if breaker.after < 1:
        yield "breaker", "given after: of at least 1"


def partner(value: Any, site: Site) -> Partner:
    """A destination without its name, which is the key above."""
    if not isinstance(value, Mapping):
        value = {str(value): None} if isinstance(value, str) else {}
    own = {k: v for k, v in value.items() if k in PARTNER_KEYS}
    values, faults = read(PartnerSettings, own, site)
    faults += [
        Fault("wrong-value", f'"{key}" should be {least}', "", (key,)) for key, least in _least(values)
    ]
    known = registered("destination")
    destination: Any = None
    try:
        name, data = choose(
            "destination", {k: v for k, v in value.items() if k not in own}, known, PARTNER_KEYS
        )
        destination = built(known[name], name, data, site)
    except Wrong as bad:
        faults.extend(bad.faults)
    if values.get("sequence") and destination is not None and not getattr(destination, "counts", False):
        faults.append(
            Fault("wrong-value", f'"{name}" does not count its messages', "leave it out", ("sequence",))
        )
    if faults:
        raise Wrong(*faults)
    return Partner("", destination, **values)


@dataclass(frozen=True, slots=True)
class RoutesFile:
    """routes.yaml."""

    destinations: Annotated[
        Mapping[str, Annotated[Partner, Written(partner, {"x-def": "destination"}, "destination")]],
        "where, how, how often",
    ] = field(default_factory=dict)
    routes: Annotated[tuple[RouteEntry, ...], "who is told what"] = ()
    application_ack: Annotated[
        tuple[AcknowledgementEntry, ...], "which senders are told what became of their messages"
    ] = ()


@dataclass(frozen=True, slots=True)
class AuthoritySettings:
    """One identifier authority; those that identify patients are preferred in the order of the file."""

    namespace: Annotated[str, "a URI: urn:oid:... or https://..."]
    aliases: Annotated[tuple[str, ...], "the names that feeds use for it (CX-4.1, CX-4.2)"] = ()
    identifies: Annotated[bool, "may its identifiers tell one patient from another?"] = False
    normalise: Annotated[
        tuple[Literal["strip", "upper", "digits", "unpad"], ...],
        "how two spellings become one, in order",
    ] = ("strip",)
    types: Annotated[
        tuple[str, ...],
        "CX-5 of its patients' numbers, where it numbers visits or accounts too; default: all",
    ] = ()


@dataclass(frozen=True, slots=True)
class AuthoritiesFile:
    """authorities.yaml."""

    authorities: Annotated[Mapping[str, AuthoritySettings], "by name"]

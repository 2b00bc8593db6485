"""`chartwire test`: channels/NAME.test.yaml against the compiled channel, without a socket or a database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.channel import Body, Channel, Configuration
from engine.config.cases import Case, CasesFile
from engine.config.folder import text_of
from engine.config.nodes import parse
from engine.config.parts import Part as File
from engine.config.problem import Place, Problem, error
from engine.config.read import read
from engine.config.verdict import Happened, compared
from engine.fault import nearest
from engine.guard import Guard
from engine.message import Chart, Message, Part, Processed, Reply, State, Stop
from engine.pipeline import process
from engine.settings import Site
from formats import fhir
from store.facts import Write
from store.fold import Said, fold
from store.identity import fhir_id
from store.prepared import Prepared
from store.reason import Reason

# What `ack: processed` tells the sender instead of an acknowledgement.
LATEST = 1 << 60  # microseconds
REFUSED = frozenset({State.QUARANTINED, State.FAILED})


@dataclass(frozen=True, slots=True)
class Result:
    """One test. `differences`: a line for each element that is not what was expected."""

    name: str
    place: Place
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.differences


def run_tests(directory: Path, configuration: Configuration) -> int:
    """Run them all and print what failed, element by element. Exit status 0 if nothing did."""
    results = results_of(directory, configuration)
    print(report(results))
    return int(not all(isinstance(r, Result) and r.passed for r in results))


def results_of(directory: Path, configuration: Configuration) -> list[Result] | list[Problem]:
    """Every test of a configuration; or what is wrong with the tests' files."""
    cases, problems = read_cases(directory, configuration)
    if problems:
        return sorted(problems)
    return [_result(directory, channel, case, place) for channel, case, place in cases]


def read_cases(
    directory: Path, configuration: Configuration
) -> tuple[list[tuple[Channel, Case, Place]], list[Problem]]:
    """Every test with its channel and its place, and what is wrong with the files."""
    channels = {c.name: c for c in configuration.channels}
    partners = [p.name for p in configuration.partners]
    found: list[tuple[Channel, Case, Place]] = []
    problems: list[Problem] = []
    for path in sorted((directory / "channels").glob("*.test.yaml")):
        name, channel = f"channels/{path.name}", path.name.removesuffix(".test.yaml")
        part = _part(directory, name, path.read_bytes(), problems)
        if channel not in channels:
            text = f'no channel "{channel}"'
            problems.append(error(Place(name), "unknown-channel", text, nearest(channel, channels)))
        elif part:
            cases = part.values.get("tests", ())
            problems.extend(_wrong(directory, part, cases, partners))
            found += [(channels[channel], c, part.place("tests", n)) for n, c in enumerate(cases)]
    return found, problems


def _part(directory: Path, name: str, data: bytes, problems: list[Problem]) -> File | None:
    tree, wrong = parse(text_of({name: data}, name, problems) or "", name)
    problems.extend(wrong)
    if tree is None:
        return None
    values, faults = read(CasesFile, tree.plain(), Site(directory))
    part = File(tree, values)
    problems.extend(part.problem(fault) for fault in faults)
    return part


def _wrong(directory: Path, part: File, cases: Sequence[Case], partners: Sequence[str]) -> Iterator[Problem]:
    """Files and destinations that are not there."""
    for n, case in enumerate(cases):
        files: list[tuple[tuple[str, ...], str]] = [(("given",), name) for name in samples(case)]
        sent = case.expect.sent.items()
        files += [(("expect", "sent", to, "equals"), s.equals) for to, s in sent if s.equals]
        for way, name in files:
            if not (directory / "channels" / name).is_file():
                place = part.place("tests", n, *way)
                yield error(place, "no-file", f'no file "channels/{name}"', "name it from channels/ on")
        for name in case.expect.sent:
            if name not in partners:
                place = part.place("tests", n, "expect", "sent", name, key=True)
                yield error(place, "unknown-destination", f'no destination "{name}"', nearest(name, partners))


def samples(case: Case) -> tuple[str, ...]:
    return (case.given,) if isinstance(case.given, str) else case.given


def _result(directory: Path, channel: Channel, case: Case, place: Place) -> Result:
    folder = directory / "channels"
    paths = [folder / name for name in samples(case)]
    happened = _sent_through(channel, paths, case.received)
    goldens = {s.equals: (folder / s.equals).read_bytes() for s in case.expect.sent.values() if s.equals}
    return Result(case.name, place, tuple(compared(case.expect, happened, goldens)))


def _sent_through(channel: Channel, paths: Sequence[Path], received: int | None) -> Happened:
    facts: dict[tuple[str, bytes], list[Said]] = {}
    sent: dict[str, list[bytes]] = {}
    ack, asked = "AR", Processed(0, State.REFUSED)
    for n, piece in enumerate((p for path in paths for p in _pieces(channel, path)), start=1):
        if isinstance(piece, Reply):
            for route in (r for r in channel.routes if r.send == "answer"):
                sent.setdefault(route.to, []).append(piece.body)
            continue
        ack, asked = _one(channel, n, piece, received)
        raw = piece.body if isinstance(piece, Part) else b""
        told = (said.fact if isinstance(said, Write) else said for said in asked.said)
        changed = [fact for fact in told if isinstance(fact, Prepared)]
        for fact in changed:
            said = Said(fact.clock.pack(n), fact.read(), fact.event, fact.cancels, fact.establishes)
            facts.setdefault((fact.type, fact.key), []).append(said)
        for out in asked.outgoing:
            body = _bundle(facts, changed) if isinstance(out.body, Chart) else out.body
            sent.setdefault(out.destination, []).append(raw if body is None else body)
    return Happened(ack, asked.state, asked.reason, _resources(facts), sent)


def _pieces(channel: Channel, path: Path) -> Iterator[Part | Reply | Stop]:
    """A sample is one message, unless the channel takes it apart."""
    if channel.split:
        yield from channel.split(path, False)
    else:
        yield Part(path.read_bytes(), path.name)


def _one(channel: Channel, number: int, piece: Part | Stop, received: int | None) -> tuple[str, Processed]:
    """What the sender is told and what the message asks for."""
    if isinstance(piece, Stop):
        return "AA", Processed(number, piece.state, piece.reason)
    if piece.reason:
        return "AA", Processed(number, State.REFUSED, piece.reason)
    raw = piece.body
    body = channel.parse(raw)
    if isinstance(body, Reason):
        return "AR", Processed(number, State.REFUSED, body)
    if not channel.mine(body):
        text = "the channel's feed: does not take messages of this sender"
        return "AR", Processed(number, State.REFUSED, Reason("unknown-feed", text, "MSH-3"))
    if received is None:
        received = _said_at(channel, body)
    asked = process(channel, Message(number, received, raw, body))
    if channel.ack == "processed" and asked.state in REFUSED:
        return "AE", Processed(number, State.REFUSED, asked.reason, asked.kind)
    return "AA", asked


def _said_at(channel: Channel, body: Body) -> int:
    """The moment that the message says, as if it had come in then; a time after all if it is said elsewhere."""
    times = channel.guard.format.times(body, channel.feed) if isinstance(channel.guard, Guard) else ()
    return 0 if isinstance(times, Reason) else next((micros for micros, _ in times), LATEST)


def _resources(facts: Mapping[tuple[str, bytes], list[Said]]) -> list[dict[str, Any]]:
    folded = ((type, key, fold(type, said)) for (type, key), said in facts.items())
    return [{"resourceType": type, "id": fhir_id(key), **body} for type, key, body in folded if body]


def _bundle(facts: Mapping[tuple[str, bytes], list[Said]], changed: Sequence[Prepared]) -> bytes:
    touched = {(fact.type, fact.key): facts[fact.type, fact.key] for fact in changed}
    entries = [{"resource": resource} for resource in _resources(touched)]
    return fhir.encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def report(results: Sequence[Result | Problem]) -> str:
    """For people: the problems of the files; or each failure with its differences, then the count."""
    problems = [str(p) for p in results if isinstance(p, Problem)]
    if problems:
        return "\n".join([*problems, f"problems: {len(problems)}"])
    lines: list[str] = []
    failed = [r for r in results if isinstance(r, Result) and not r.passed]
    for result in failed:
        lines.append(f"{result.place.file}:{result.place.line}: {result.name}")
        lines += [f"    {difference}" for difference in result.differences]
    return "\n".join([*lines, f"tests: {len(results)}, failed: {len(failed)}"])

"""A small configuration that is right, and the plugins that it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from engine.channel import Configuration
from engine.config import Problem, load
from engine.message import Delivered, Delivery, Outcome, State, Stop
from engine.plugin import Feed, Intake, Ready, destination, predicate, source, transform
from engine.settings import Path as HL7Path
from engine.settings import Seconds, Size, Table, When
from formats import hl7v2
from store.facts import Clock, Fact, Link
from store.reason import Reason

GOOD: Mapping[str, str] = {
    "channels/lab.yaml": """\
channel: lab
about: Laboratory results.
source:
  example.port: {port: "${LAB_PORT:2576}"}
format: hl7v2
timezone: America/New_York
accepts: {processing_id: [P, T]}
order_by: PID-3
authority: hospital
pipeline:
  - example.translate: {field: OBX-3, table: lab_to_loinc, miss: keep}
  - example.filter: {when: {any: [{OBX-8: [HH, LL]}, {OBR-27.6: STAT}], not: {PID-5.1: ZZTEST}}}
store: example.facts
""",
    "channels/adt.yaml": """\
channel: adt
source: {example.port: {port: 2575, timeout: 500ms, largest: 64KB}}
format: {hl7v2: {charset: 8859/1}}
timezone: Europe/Berlin
clock: [EVN-2]
rank: 2
ack: processed
store: example.facts
""",
    "channels/tables/lab_to_loinc.csv": "from,to,display,system\nK,2823-3,Potassium,http://loinc.org\n",
    "routes.yaml": """\
destinations:
  pager:
    example.page: {host: "${PAGER_HOST:127.0.0.1}", token: "${PAGER_TOKEN}"}
    retry: {first: 1s, max: 1m, give_up: 1h, unknown: hold}
    connections: 4
    head: block
routes:
  - from: [lab, adt]
    when: {OBX-8: [HH, LL]}
    transform: [{example.translate: {field: OBX-3, table: lab_to_loinc}}]
    to: pager
""",
    "authorities.yaml": """\
authorities:
  hospital:
    namespace: urn:oid:1.2.3
    aliases: [HOSP, 1.2.3]
    identifies: true
    normalise: [strip, unpad]
""",
    "environments/test.yaml": "LAB_PORT: 3000\nPAGER_HOST: pager.test\n",
}
ENVIRON = {"PAGER_TOKEN": "canary-of-the-token"}


@source("example.port")
@dataclass(frozen=True)
class Port:
    """Takes messages on a port."""

    port: Annotated[int, "TCP port"]
    host: str = "127.0.0.1"
    timeout: Annotated[Seconds, "idle time"] = 30.0
    largest: Size = 1 << 20
    accept_plaintext_risk: bool = False

    async def run(self, intake: Intake, ready: Ready) -> None: ...

    def address(self) -> str:
        return f"example://{self.host}:{self.port}"

    def problems(self) -> list[str]:
        if self.host == "127.0.0.1" or self.accept_plaintext_risk:
            return []
        return ["plaintext off loopback; set accept_plaintext_risk: true if that is meant"]

    def risks(self) -> list[str]:
        return ["plaintext off loopback"] if self.accept_plaintext_risk else []


@destination("example.page")
@dataclass(frozen=True)
class Page:
    """Sends messages to a pager."""

    host: str
    token: str = ""
    mode: Literal["text", "voice"] = "text"

    async def deliver(self, delivery: Delivery) -> Outcome:
        return Delivered()

    async def close(self) -> None: ...


@transform("example.translate")
def translate(
    message: hl7v2.Message,
    *,
    field: Annotated[HL7Path, "the coded field"],
    table: Table,
    miss: Literal["keep", "worklist"] = "keep",
) -> hl7v2.Message | Stop:
    """Replace the code of a field."""
    found = table.lookup(message.get(field) or "")
    return message.set(field, found.to) if found else message


@transform("example.filter")
def only(message: hl7v2.Message, *, when: When) -> hl7v2.Message | Stop:
    """Keep what the condition says."""
    return message if when(message) else Stop(State.FILTERED, Reason("filtered", "not wanted"))


@transform("example.facts")
def facts(message: hl7v2.Message, feed: Feed) -> Sequence[Fact | Link] | Stop | None:
    """Say nothing."""
    return ()


@transform("example.observation")
def observation(message: hl7v2.Message, feed: Feed) -> Sequence[Fact | Link] | Stop | None:
    """OBX into an Observation, keyed by OBX-3."""
    if message.kind != "ORU^R01":
        return None
    code = {"coding": [{"system": "http://loinc.org", "code": message.get("OBX-3.1")}], "text": "K"}
    value = {"value": Decimal(message.get("OBX-5") or "0"), "unit": "mmol/L"}
    elements = {"status": "final", "code": code, "valueQuantity": value}
    clock = Clock(hl7v2.timestamp(message.get("MSH-7") or "", feed.timezone).micros)  # type: ignore[union-attr]
    return (Fact("Observation", feed.identity.key("Observation", "K"), clock, elements),)


@transform("example.tree")
def tree(message: hl7v2.Message) -> dict[str, Any]:
    """A FHIR resource."""
    return {"resourceType": "Basic"}


@transform("example.prune")
def prune(resource: dict[str, Any]) -> dict[str, Any]:
    """Of a FHIR resource, another."""
    return resource


@predicate("example.urgent")
def urgent(message: hl7v2.Message) -> bool:
    return message.get("OBR-27.6") == "STAT"


Loads = Callable[..., Configuration | list[Problem]]


@pytest.fixture
def good() -> Mapping[str, str]:
    return GOOD


@pytest.fixture
def loads(tmp_path: Path) -> Loads:
    """Load the good configuration with some files replaced (None: taken away) or edited (old, new)."""

    def loaded(
        files: Mapping[str, str | tuple[str, str] | None] | None = None,
        environment: str | None = None,
        environ: Mapping[str, str] = ENVIRON,
    ) -> Configuration | list[Problem]:
        texts: dict[str, str | None] = dict(GOOD)
        for name, change in (files or {}).items():
            texts[name] = _edited(GOOD[name], *change) if isinstance(change, tuple) else change
        for name, text in texts.items():
            if text is not None:
                path = tmp_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return load(tmp_path, environment, environ, b"secret")

    return loaded


def _edited(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)

"""Synthetic messages in, facts out; every fact is checked against R4 on the way."""

from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.message import Stop
from engine.plugin import Feed
from formats import fhir, hl7v2
from store.facts import Fact, Link
from store.fold import Said, fold, overlay
from store.identity import Authority, Identity
from transforms.hl7v2_to_fhir import hl7v2_to_fhir

MRN = Authority("mrn", "urn:oid:2.999.1", frozenset({"HOSP"}), identifies=True)
NATIONAL = Authority("national", "urn:oid:2.999.2", frozenset({"NAT"}), identifies=True)
VISITS = Authority("visits", "urn:oid:2.999.7", frozenset({"VISITS"}))

Result = Sequence[Fact | Link] | Stop | None


@pytest.fixture
def feed() -> Feed:
    return Feed(
        "hospital", ZoneInfo("America/New_York"), Identity(b"k" * 16, [MRN, NATIONAL, VISITS]), rank=3
    )


@pytest.fixture
def parse() -> Callable[..., hl7v2.Message]:
    def parse(*segments: str) -> hl7v2.Message:
        made = hl7v2.parse("\r".join(segments).encode(), charset="UTF-8")
        assert isinstance(made, hl7v2.Message)
        return made

    return parse


@pytest.fixture
def say(feed: Feed, parse: Callable[..., hl7v2.Message]) -> Callable[..., Result]:
    """What a message says. Every fact must be valid by itself, and no two may be about one resource."""

    def say(*segments: str, of: Feed = feed, **settings: Any) -> Result:
        said = hl7v2_to_fhir(parse(*segments), of, **settings)
        facts = [f for f in said if isinstance(f, Fact)] if isinstance(said, list) else []
        for fact in facts:
            elements = overlay(fact.type, {}, fact.elements)
            assert fhir.problems(fact.type, elements, partial=not fact.establishes) == []
            assert not _empty(fact.elements)
        assert len({f.key for f in facts}) == len(facts)
        return said

    return say


def _empty(value: Any) -> bool:
    """Whether anything inside is an empty object or list."""
    if isinstance(value, dict):
        return not value or any(_empty(v) for v in value.values())
    if isinstance(value, list):
        return not value or any(_empty(v) for v in value)
    return False


@pytest.fixture
def facts(say: Callable[..., Result]) -> Callable[..., dict[str, list[Fact]]]:
    """The facts of a message by resource type."""

    def facts(*segments: str, **settings: Any) -> dict[str, list[Fact]]:
        said = say(*segments, **settings)
        assert isinstance(said, list), said
        found: dict[str, list[Fact]] = {}
        for fact in said:
            if isinstance(fact, Fact):
                found.setdefault(fact.type, []).append(fact)
        return found

    return facts


@pytest.fixture
def chart(say: Callable[..., Result]) -> Callable[..., dict[bytes, dict[str, Any]]]:
    """The resources that several messages make together, by key."""

    def chart(*messages: Sequence[str], **settings: Any) -> dict[bytes, dict[str, Any]]:
        said: dict[tuple[str, bytes], list[Said]] = {}
        for position, segments in enumerate(messages):
            for f in say(*segments, **settings):
                if isinstance(f, Fact):
                    fact = Said(f.clock.pack(position), f.elements, f.event, f.cancels, f.establishes)
                    said.setdefault((f.type, f.key), []).append(fact)
        folded = {key: fold(type, facts) for (type, key), facts in said.items()}
        return {key: body for key, body in folded.items() if body is not None}

    return chart

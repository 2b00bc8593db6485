"""A chart that FHIR clients write to, in memory: a Bundle through the transform into the store, without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from engine.message import Stop
from engine.plugin import Feed
from store import chart
from store.chart import SQL, Applied
from store.database import one
from store.database.sqlite import Sqlite, create
from store.facts import Fact, Link, Write
from store.identity import Authority, Identity, fhir_id, key_of
from store.reason import Reason
from store.reply import Answer
from store.resource import whole
from store.write import ready as ready_write
from tests.said import ready
from transforms.fhir_to_chart.bundle import fhir_to_chart

MRN = Authority("mrn", "urn:mrn", identifies=True, normalise=("strip", "upper"))
EPI = Authority("epi", "urn:epi", identifies=True)
IDENTITY = Identity(b"test", [MRN, EPI])
FEED = Feed("fhir", ZoneInfo("UTC"), IDENTITY)
Json = dict[str, Any]


@dataclass(slots=True)
class Portal:
    """Each bundle is a message of its own, a microsecond after the one before."""

    connection: Sqlite = field(default_factory=lambda: create(Path(":memory:")))
    messages: int = 0

    def bundle(self, *entries: Json, id: str = "") -> Applied | Reason:
        """What the writes come to, or why they cannot even be read."""
        writes = written(*entries, id=id or f"b{self.messages}")
        return writes if isinstance(writes, Reason) else self.says(*writes)

    def says(self, *said: Fact | Link | Write, message: int = 0) -> Applied:
        """`message`: one that was processed before, and is again."""
        self.messages += 1
        self.connection.begin()
        facts = ready(s for s in said if not isinstance(s, Write))
        writes = [s for s in said if isinstance(s, Write)]
        applied = chart.apply(
            self.connection, message or self.messages, 1000 + self.messages, [*facts, *writes]
        )
        self.connection.commit()
        return applied

    def done(self, *entries: Json) -> tuple[Answer, ...]:
        """The answers of a bundle that must be accepted."""
        applied = self.bundle(*entries)
        assert isinstance(applied, Applied), applied
        assert (applied.refused, applied.withheld) == (None, None)
        return applied.answers

    def refusal(self, *entries: Json) -> Reason:
        """Why a bundle was not accepted; the chart is then as it was."""
        before = chart.digest(self.connection)
        applied = self.bundle(*entries)
        reason = applied if isinstance(applied, Reason) else applied.refused
        assert reason is not None
        assert chart.digest(self.connection) == before
        return reason

    def create(self, resourceType: str, **elements: Any) -> str:
        """`Type/id` of what was made."""
        return name(self.done(post(resourceType, **elements))[0])

    def patient(self, mrn: str, **more: Any) -> str:
        return self.create("Patient", identifier=[{"system": "urn:mrn", "value": mrn}], **more)

    def read(self, reference: str) -> Json | None:
        type, _, id = reference.partition("/")
        key = key_of(id)
        row = one(self.connection, SQL.read, (key, type))
        assert key is not None
        return whole(type, key, row[0], row[1], row[3]) if row and row[3] is not None else None

    def of_patient(self, type: str, reference: str) -> list[str]:
        """What a search by patient finds."""
        from store import criteria

        asked = criteria.criterion(type, "patient", reference)
        assert not isinstance(asked, Reason)
        rows = self.connection.all(*criteria.found(type, [asked], 0, 100))
        return [f"{type}/{fhir_id(bytes(row[1]))}" for row in rows]


def written(*entries: Json, id: str) -> Sequence[Write] | Reason:
    """The writes of a bundle, ready for the chart."""
    made = fhir_to_chart({"resourceType": "Bundle", "type": "transaction", "id": id, "entry": entries}, FEED)
    if isinstance(made, Stop):
        return made.reason
    writes: list[Write] = []
    for each in made or ():
        write = ready_write(each)
        if isinstance(write, Reason):
            return write
        writes.append(write)
    return writes


def name(answer: Answer) -> str:
    assert answer.key is not None
    return f"{answer.type}/{fhir_id(answer.key)}"


def entry(method: str, url: str, resource: Json | None = None, **more: Any) -> Json:
    full = {"fullUrl": more.pop("fullUrl")} if "fullUrl" in more else {}
    body = {"resource": resource} if resource is not None else {}
    return {**full, **body, "request": {"method": method, "url": url, **more}}


def post(resourceType: str, **elements: Any) -> Json:
    return entry("POST", resourceType, {"resourceType": resourceType, **elements})


def put(resource: Mapping[str, Any], **more: Any) -> Json:
    return entry("PUT", f"{resource['resourceType']}/{resource['id']}", dict(resource), **more)


def observation(subject: str | None, **more: Any) -> Json:
    about = {"subject": {"reference": subject}} if subject else {}
    return {"resourceType": "Observation", "status": "final", "code": {"text": "K"}, **about, **more}

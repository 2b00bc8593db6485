"""Writes of FHIR clients: what must be so before each is done, and the facts that it comes to.

http://hl7.org/fhir/R4/http.html: update, patch, delete, create, their conditional forms, and transaction, whose
order of work is DELETE, POST, PUT and PATCH. Everything here runs inside the caller's transaction, before anything
is written; a `Reason` means that nothing is.

An update takes back what was said before it (`cancels` ANY) and says the whole resource anew; a patch says the
elements that it changes; a delete only takes back. Each gets a clock behind everything that the client can have seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from formats import fhir
from store import criteria, search
from store.compartment import owner_of
from store.criteria import Criterion
from store.database import Connection, one
from store.database.statements import load
from store.facts import ANY, Clock, Fact, Link, Write
from store.fold import DERIVED, WHOLE
from store.identity import fhir_id
from store.prepared import Prepared, prepare
from store.reason import Reason
from store.resource import instant

SQL = load("store", "chart.sql")
ORDER: Mapping[str, int] = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 3}


def ready(write: Write) -> Write | Reason:
    """The write with its resource validated, encoded and indexed, without looking at the chart."""
    if write.type not in search.SUPPORTED:
        return _reason("not-supported", "there is no such resource type here", write)
    if not isinstance(write.fact, Fact):
        return write
    fact = prepare(write.fact)
    if isinstance(fact, Prepared):
        return replace(write, fact=fact)
    place = fact.place.partition(".")[2]
    return Reason("invalid", fact.text, f"{write.place}.resource.{place}".rstrip("."))


class Answer(NamedTuple):
    """What became of one write. `version` 0: nothing is there (deleted, or never was)."""

    status: str
    type: str
    key: bytes | None
    version: int = 0
    updated: int = 0


class Resolved(NamedTuple):
    """The facts and links that writes come to, and of each write its status and key, in the order of the entries."""

    facts: tuple[Prepared, ...]
    links: tuple[Link, ...]
    answers: tuple[Answer, ...]


class Current(NamedTuple):
    """A resource as it is: `live` false means that there is none now, `version` 0 that there never was."""

    version: int
    live: bool
    head: bytes
    id: int


NOWHERE = Current(0, False, b"", 0)


def resolve(connection: Connection, now: int, writes: Sequence[Write]) -> Resolved | Reason:
    """What the writes come to in the chart as it is."""
    work = _Work(connection, now)
    answers: dict[int, Answer] = {}
    for n, write in sorted(enumerate(writes), key=lambda each: ORDER[each[1].method]):
        done = work.find(write)
        if isinstance(done, Reason):
            return done
        answers[n] = done
    for write in work.found:
        if reason := work.do(write):
            return reason
    return Resolved(tuple(work.facts), tuple(work.links), tuple(answers[n] for n in range(len(writes))))


@dataclass(slots=True)
class _Work:
    connection: Connection
    now: int
    found: list[Write] = field(default_factory=list)  # with the keys that they turned out to have
    moved: dict[bytes, tuple[bytes, bytes, bytes]] = field(default_factory=dict)
    """A promised key -> its id, the key that was there, the id of that."""
    touched: set[bytes] = field(default_factory=set)
    known: dict[bytes, Current] = field(default_factory=dict)
    facts: list[Prepared] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    # -- which resource it is, and whether it may be done

    def find(self, write: Write) -> Answer | Reason:
        if write.criteria:
            keys = self._matches(write.type, write.criteria, write.place)
            if isinstance(keys, Reason):
                return keys
            if len(keys) > 1:
                return _reason("precondition", "more than one resource matches the condition", write)
            if keys and write.key is not None:
                self.moved[write.key] = _id(write.key), keys[0], _id(keys[0])
            if keys and write.method == "POST":  # it is there already: nothing is done
                return Answer("200 OK", write.type, keys[0])
            write = replace(write, key=keys[0] if keys else write.key)
        if write.key is None:
            return self._unmatched(write)
        if write.key in self.touched:
            return _reason("invalid", "the same resource is written twice", write)
        self.touched.add(write.key)
        current = self.current(write.key)
        if reason := _refusal(write, current):
            return reason
        self.found.append(write)
        return Answer(_status(write, current), write.type, write.key)

    def _matches(self, type: str, asked: Sequence[tuple[str, str]], place: str) -> list[bytes] | Reason:
        wanted: list[Criterion] = []
        for name, value in asked:
            known = name.partition(":")[0] in criteria.names(type)
            read = criteria.criterion(type, name, value) if known else Reason("invalid", "is not known", name)
            if isinstance(read, Reason):
                return Reason("invalid", f"the condition cannot be read: {read.place} {read.text}", place)
            wanted.append(read)
        rows = self.connection.all(*criteria.found(type, wanted, 0, 2))
        return [bytes(row[1]) for row in rows]

    def _unmatched(self, write: Write) -> Answer | Reason:
        if write.method == "DELETE":
            return Answer("204 No Content", write.type, None)
        return _reason("not-found", "no resource matches the condition", write)

    def current(self, key: bytes) -> Current:
        """As it is before anything is written."""
        if (found := self.known.get(key)) is None:
            row = one(self.connection, SQL.find, (key,))
            found = Current(row[1], bool(row[2]), bytes(row[3]), row[0]) if row else NOWHERE
            self.known[key] = found
        return found

    # -- what it comes to

    def do(self, write: Write) -> Reason | None:
        assert write.key is not None
        current = self.current(write.key)
        clock = self._clock(current)
        if write.method == "DELETE":
            return self._delete(write, current, clock)
        fact = self._patched(write, current) if write.method == "PATCH" else self._whole(write, current)
        if isinstance(fact, Reason):
            return fact
        if reason := self._nobody(fact, write) or self._held(fact.key, write):
            return reason
        self.facts.append(fact._replace(clock=clock))
        self.links += [Link(key, fact.key, clock, "claim", place) for key, place in write.claims]
        return None

    def _clock(self, current: Current) -> Clock:
        """Behind everything that is in the chart: what the client saw, it meant to replace."""
        return Clock(max(self.now, Clock.time_of(current.head) + 1))

    def _whole(self, write: Write, current: Current) -> Prepared | Reason:
        assert isinstance(write.fact, Prepared)
        assert write.key is not None
        fact = write.fact._replace(key=write.key)
        for text in write.asked:
            key = self._asked(text, write)
            if isinstance(key, Reason):
                return key
            fact = _referring(fact, text.encode(), b"%s/%s" % (text.split("?")[0].encode(), _id(key)))
        for promised, (before, there, after) in self.moved.items():
            if before in fact.elements:
                owner = there if fact.patient == promised else fact.patient
                fact = _led(fact, before, after)._replace(patient=owner)
        return fact._replace(cancels=ANY) if current.version else fact

    def _asked(self, text: str, write: Write) -> bytes | Reason:
        """The one resource that a conditional reference means."""
        type, _, query = text.partition("?")
        if type not in search.SUPPORTED:
            return _reason("invalid", "a conditional reference is to a type that is not here", write)
        asked = tuple((name, value) for name, _, value in (p.partition("=") for p in query.split("&")))
        keys = self._matches(type, asked, write.place)
        if isinstance(keys, Reason):
            return keys
        if len(keys) != 1:
            text = f"a conditional reference matches {'no' if not keys else 'more than one'} resource"
            return _reason("precondition", text, write)
        return keys[0]

    def _patched(self, write: Write, current: Current) -> Prepared | Reason:
        body: dict[str, Any] = fhir.decode(self.connection.all(SQL.body, (current.id, current.version))[0][0])
        whole = {"resourceType": write.type, "id": fhir_id(write.key or b""), **body}
        patched = _applied(write.patch, whole, write)
        if isinstance(patched, Reason):
            return patched
        elements = {k: v for k, v in patched.items() if k not in ("resourceType", "id", "meta")}
        if found := fhir.problems(write.type, elements):
            return Reason("invalid", f"after the patch: {found[0].text}", found[0].path)
        assert write.key is not None
        owner = owner_of(write.type, elements) or (write.key if write.type == "Patient" else None)
        if write.type in WHOLE:
            fact = prepare(Fact(write.type, write.key, Clock(0), elements, owner, cancels=ANY))
        else:
            names = {*elements, *body} - {name for type, name in DERIVED if type == write.type}
            said = {name: elements.get(name) for name in names if elements.get(name) != body.get(name)}
            fact = prepare(Fact(write.type, write.key, Clock(0), said, owner, establishes=False))
        return Reason("invalid", fact.text, fact.place) if isinstance(fact, Reason) else fact

    def _delete(self, write: Write, current: Current, clock: Clock) -> Reason | None:
        if not current.live:
            return None
        if write.type == "Patient" and one(self.connection, SQL.compartment, (current.id,)):
            return _reason("conflict", "other resources are this patient's; delete those first", write)
        fact = prepare(Fact(write.type, write.key or b"", clock, {}, cancels=ANY, establishes=False))
        assert not isinstance(fact, Reason)
        self.facts.append(fact)
        return None

    def _nobody(self, fact: Prepared, write: Write) -> Reason | None:
        """Whose it is must be known: a patient who is in the chart, or comes with the same transaction."""
        owner = fact.patient
        if owner is None or owner == fact.key or owner in self.touched:
            return None
        if self.current(owner).live:
            return None
        return _reason("invalid", "it refers to a patient who is not here", write)

    def _held(self, key: bytes, write: Write) -> Reason | None:
        """An identifier that tells who somebody is cannot be written into another's record: that would merge them."""
        own = self._survivor(self.current(key))
        for claimed, place in write.claims:
            other = self.current(claimed)
            if other.live and self._survivor(other) != own:
                return Reason("contested-identifier", "another patient holds this identifier", place)
        return None

    def _survivor(self, current: Current) -> int:
        found = one(self.connection, SQL.survivor_of, (current.id,))
        return int(found[0]) if found else current.id


def _refusal(write: Write, current: Current) -> Reason | None:
    if write.if_match is not None and write.if_match != (current.version if current.live else 0):
        return _reason("precondition", "If-Match names another version than the current one", write)
    if write.if_none_match and current.live:
        return _reason("precondition", "If-None-Match: the resource is there", write)
    if write.method == "POST" and current.live:
        text = "this patient is here already: use If-None-Exist, or update it"
        return _reason("conflict", text, write)
    if write.method == "PUT" and not current.version and not write.criteria:
        return _reason("not-allowed", "ids are given by this server: create it with POST", write)
    if write.method == "PATCH" and not current.live:
        code = "gone" if current.version else "not-found"
        return _reason(code, "there is no such resource to patch", write)
    return None


def _status(write: Write, current: Current) -> str:
    if write.method == "DELETE":
        return "204 No Content"
    return "200 OK" if current.live else "201 Created"


def _reason(code: str, text: str, write: Write) -> Reason:
    return Reason(code, text, write.place)


def _id(key: bytes) -> bytes:
    return fhir_id(key).encode()


def _led(fact: Prepared, before: bytes, after: bytes) -> Prepared:
    """The fact with one reference led elsewhere. Ids are opaque and long, so bytes can be replaced."""
    body = fact.body.replace(before, after) if fact.body is not None else None
    return fact._replace(elements=fact.elements.replace(before, after), body=body)


def _referring(fact: Prepared, asked: bytes, found: bytes) -> Prepared:
    """The fact with a conditional reference led to what it means, which may be its patient."""
    led = _led(fact, asked, found)
    return led._replace(patient=owner_of(fact.type, fhir.decode(led.elements)) or fact.patient)


def _applied(patch: bytes, whole: dict[str, Any], write: Write) -> dict[str, Any] | Reason:
    """JSON Patch (RFC 6902)."""
    import jsonpatch

    try:
        patched = jsonpatch.JsonPatch(fhir.decode(patch)).apply(whole)
    except jsonpatch.JsonPatchTestFailed:
        return _reason("precondition", "a test of the patch failed", write)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, ValueError, TypeError):
        return _reason("invalid", "the patch cannot be applied to the resource", write)
    same = isinstance(patched, dict) and all(patched.get(k) == whole[k] for k in ("resourceType", "id"))
    return patched if same else _reason("invalid", "a patch cannot change what a resource is", write)


def reply(answers: Sequence[Answer]) -> bytes:
    """A transaction-response (R4 http.html#transaction-response)."""
    return fhir.encode(
        {"resourceType": "Bundle", "type": "transaction-response", "entry": [_entry(a) for a in answers]}
    )


def _entry(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"status": answer.status}
    if answer.key is not None and answer.version:
        response["location"] = f"{answer.type}/{fhir_id(answer.key)}/_history/{answer.version}"
        response["etag"] = f'W/"{answer.version}"'
        response["lastModified"] = instant(answer.updated)
    return {"response": response}

"""Writes of FHIR clients: what must be so before each is done, and the facts that it comes to.

http://hl7.org/fhir/R4/http.html: update, patch, delete, create, their conditional forms, and transaction, whose
order of work is DELETE, POST, PUT and PATCH. Everything here runs inside the caller's transaction, before anything
is written; a `Reason` means that nothing is.

An update takes back what was said before it (`cancels` ANY) and says the whole resource anew; a patch says the
elements that it changes; a delete only takes back. Each gets a clock behind everything that the client can have seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from formats import fhir
from store import criteria, refer, search
from store.claims import Claims, claims
from store.compartment import owner_of, stranger
from store.criteria import Criterion
from store.database import Connection, Row, one
from store.database.statements import load
from store.facts import ANY, Clock, Fact, Link, Write
from store.fold import WHOLE
from store.identity import fhir_id
from store.patch import patched
from store.prepared import Prepared, prepare
from store.reason import Reason
from store.refold import refolded
from store.reply import Answer
from store.resource import own

SQL = load("store", "chart.sql")
ORDER: Mapping[str, int] = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 3}


def ready(write: Write) -> Write | Reason:
    """The write with its resource validated, encoded and indexed, without looking at the chart."""
    if write.type not in search.SUPPORTED:
        return _reason("unknown-type", "there is no such resource type here", write)
    if not isinstance(write.fact, Fact):
        return write
    fact = prepare(write.fact)
    if isinstance(fact, Prepared):
        return replace(write, fact=fact)
    place = fact.place.partition(".")[2]
    return Reason("invalid", fact.text, f"{write.place}.resource.{place}".rstrip("."))


class Resolved(NamedTuple):
    """The facts and links that writes come to, and of each write its status and key, in the order of the entries.
    `fresh`: the keys of which the chart has no row yet."""

    facts: tuple[Prepared, ...] = ()
    links: tuple[Link, ...] = ()
    answers: tuple[Answer, ...] = ()
    fresh: frozenset[bytes] = frozenset()


class Current(NamedTuple):
    """A resource as it is: `live` false means that there is none now, `version` 0 that there never was.
    `patient`: the row of whose it is."""

    version: int
    live: bool
    head: bytes
    id: int
    patient: int | None


SOME = 20
Condition = tuple[str, tuple[tuple[str, str], ...]]
NOWHERE = Current(0, False, b"", 0, None)


def resolve(connection: Connection, now: int, writes: Sequence[Write]) -> Resolved | Reason:
    """What the writes come to in the chart as it is."""
    work = _Work(connection, now)
    work.look({write.key for write in writes if write.key is not None})
    answers: dict[int, Answer] = {}
    for n, write in sorted(enumerate(writes), key=lambda each: ORDER[each[1].method]):
        done = work.find(write)
        if isinstance(done, Reason):
            return done
        answers[n] = done
    for write in work.found:
        if reason := work.do(write):
            return reason
    told = tuple(answers[n] for n in range(len(writes)))
    return Resolved(tuple(work.facts), tuple(work.links), told, work.fresh())


@dataclass(slots=True)
class _Work:
    connection: Connection
    now: int
    found: list[Write] = field(default_factory=list)  # with the keys that they turned out to have
    moved: dict[bytes, bytes] = field(default_factory=dict)  # a promised key -> the one that was there
    touched: set[bytes] = field(default_factory=set)
    deleted: set[bytes] = field(default_factory=set)
    vain: set[Condition] = field(
        default_factory=set
    )  # conditions that nothing meets, and that make something
    rows: dict[bytes, Row | None] = field(default_factory=dict)  # as they are before anything is written
    meant: dict[str, list[bytes] | Reason] = field(default_factory=dict)  # by conditional references
    facts: list[Prepared] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    # -- which resource it is, and whether it may be done

    def find(self, write: Write) -> Answer | Reason:
        sought = self._sought(write) if write.criteria else write
        if not isinstance(sought, Write):
            return sought
        assert sought.key is not None
        if sought.key in self.touched:
            return _reason("duplicate", "the same resource is written twice", write)
        self.touched.add(sought.key)
        if write.method == "DELETE":
            self.deleted.add(sought.key)
        current = self.current(write.type, sought.key)
        if reason := _refusal(sought, current):
            return reason
        self.found.append(sought)
        return Answer(_status(write, current), write.type, sought.key)

    def _sought(self, write: Write) -> Write | Answer | Reason:
        """What the conditions find: the write of that resource, or what became of it already."""
        keys = self._matches(write.type, write.criteria, write.place)
        if isinstance(keys, Reason):
            return keys
        if len(keys) > 1:
            return _reason("precondition", "more than one resource matches the condition", write)
        if not keys:
            return self._unmatched(write)
        if write.method == "POST" and keys[0] in self.deleted:
            return _reason("duplicate", "the condition finds what the same bundle deletes", write)
        if write.named and write.named != fhir_id(keys[0]):
            return _reason(
                "mismatch", "the resource has another id than the one that the condition finds", write
            )
        if write.key is not None:
            self.moved[write.key] = keys[0]
        if write.method == "POST":  # it is there already: nothing is done
            return Answer("200 OK", write.type, keys[0])
        return replace(write, key=keys[0])

    def _unmatched(self, write: Write) -> Write | Answer | Reason:
        """Conditions that nothing meets (R4 http.html#cond-update, #3.1.0.7.1)."""
        match write.method:
            case "DELETE":
                return Answer("204 No Content", write.type, None)
            case "PATCH":
                return _reason("not-found", "no resource matches the condition", write)
            case "PUT" if write.named:
                return _reason("not-allowed", "ids are given by this server: leave it out", write)
        if (condition := (write.type, write.criteria)) in self.vain:
            return _reason(
                "duplicate", "another entry has the same condition, so that two would be made", write
            )
        self.vain.add(condition)
        return replace(write, method="POST")

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

    def look(self, keys: Iterable[bytes]) -> None:
        """Find many at once."""
        wanted = sorted(keys)
        self.rows.update(dict.fromkeys(wanted))
        for start in range(0, len(wanted), SOME):
            some = wanted[start : start + SOME]
            some += some[-1:] * (SOME - len(some))
            self.rows.update((bytes(row[6]), row) for row in self.connection.all(SQL.find_some, some))

    def current(self, type: str, key: bytes) -> Current:
        """As it is before anything is written. A resource of another type is none."""
        if key not in self.rows:
            self.rows[key] = one(self.connection, SQL.find, (key,))
        row = self.rows[key]
        if row is None or row[5] != type:
            return NOWHERE
        return Current(row[1], bool(row[2]), bytes(row[3]), row[0], row[4])

    def fresh(self) -> frozenset[bytes]:
        """But for patients: links make a row of them too."""
        return frozenset(f.key for f in self.facts if f.type != "Patient" and self.rows.get(f.key) is None)

    # -- what it comes to

    def do(self, write: Write) -> Reason | None:
        assert write.key is not None
        current = self.current(write.type, write.key)
        clock = self._clock(current)
        if write.method == "DELETE":
            return self._delete(write, current, clock)
        fact = self._patched(write, current) if write.method == "PATCH" else self._whole(write, current)
        if isinstance(fact, Reason):
            return fact
        claimed = _claims(write, fact)
        if isinstance(claimed, Reason):
            return claimed
        if reason := self._whose(fact, write, current) or self._held(fact.key, claimed):
            return reason
        self.facts.append(fact._replace(clock=clock))
        self.links += [Link(key, fact.key, clock, "claim", place) for key, place in claimed]
        return None

    def _clock(self, current: Current) -> Clock:
        """Behind everything that is in the chart: what the client saw, it meant to replace."""
        return Clock(max(self.now, Clock.time_of(current.head) + 1))

    def _whole(self, write: Write, current: Current) -> Prepared | Reason:
        assert isinstance(write.fact, Prepared)
        assert write.key is not None
        if write.link is not None and write.link != self._stored(current).get("link"):
            return _reason("invalid", LINKED, write)
        fact = write.fact._replace(key=write.key)
        for text in write.asked:
            keys = self._asked(text, write)
            if isinstance(keys, Reason):
                return keys
            fact = refer.conditional(fact, text, keys[0])
        for key in write.refers:
            if key in self.moved:
                fact = refer.promised(fact, key, self.moved[key])
        if fact.type == "Patient" and current.live and self._survivor(current.id) != current.id:
            fact = self._undeclared(fact, current)
        return fact._replace(cancels=ANY) if current.version else fact

    def _undeclared(self, fact: Prepared, current: Current) -> Prepared:
        """That one who was replaced is not active is the chart's word; the client only gives it back."""
        said = fact.read()
        if said.get("active") is not False:
            return fact
        before = (refolded(self.connection, fact.type, current.id) or {}).get("active")
        said = {k: v for k, v in {**said, "active": before}.items() if v is not None}
        made = prepare(Fact(fact.type, fact.key, fact.clock, said, fact.patient, fact.event, fact.cancels))
        assert isinstance(made, Prepared)
        return made

    def _asked(self, text: str, write: Write) -> list[bytes] | Reason:
        """The one resource that a conditional reference means."""
        if (keys := self.meant.get(text)) is None:
            keys = self.meant[text] = self._meant(text, write)
        if isinstance(keys, Reason):
            return replace(keys, place=write.place)
        if len(keys) != 1:
            text = f"a conditional reference matches {'no' if not keys else 'more than one'} resource"
            return _reason("precondition", text, write)
        return keys

    def _meant(self, text: str, write: Write) -> list[bytes] | Reason:
        type, _, query = text.partition("?")
        if type not in search.SUPPORTED:
            return _reason("invalid", "a conditional reference is to a type that is not here", write)
        return self._matches(type, parse_qsl(query, keep_blank_values=True), write.place)

    def _patched(self, write: Write, current: Current) -> Prepared | Reason:
        stored = self._stored(current)
        meta = {**stored.get("meta", {}), "versionId": str(current.version)}
        about = {"resourceType": write.type, "id": fhir_id(write.key or b"")}
        try:
            made = patched({**about, **stored, "meta": meta}, write.patch, write.place)
            return made if isinstance(made, Reason) else _changed(write, {**about, **stored}, made)
        except RecursionError:
            return _reason("invalid", "after the patch it is nested too deep", write)

    def _stored(self, current: Current) -> dict[str, Any]:
        if not current.live:
            return {}
        body: dict[str, Any] = fhir.decode(self.connection.all(SQL.body, (current.id, current.version))[0][0])
        return body

    def _delete(self, write: Write, current: Current, clock: Clock) -> Reason | None:
        if not current.live:
            return None
        if write.type == "Patient" and self._left(current):
            return _reason("conflict", "other resources are this patient's; delete those first", write)
        fact = prepare(Fact(write.type, write.key or b"", clock, {}, cancels=ANY, establishes=False))
        assert not isinstance(fact, Reason)
        self.facts.append(fact)
        return None

    def _left(self, current: Current) -> bool:
        """Would anything of the patient's be left behind?"""
        limit = len(self.deleted) + 1
        rows = self.connection.all(SQL.compartment, (current.id, current.id, limit))
        return any(bytes(key) not in self.deleted for (key,) in rows)

    def _whose(self, fact: Prepared, write: Write, current: Current) -> Reason | None:
        """Whose it is must be known: a patient who is in the chart, or comes with the same transaction. What is one
        patient's does not become another's."""
        if fact.patient is None or fact.patient == fact.key:
            return None
        owner = self.current("Patient", fact.patient)
        if fact.patient in self.deleted or not (owner.live or fact.patient in self.touched):
            return _reason("invalid", "it refers to a patient who is not here", write)
        if current.patient is None or self._survivor(current.patient) == self._survivor(owner.id):
            return None
        text = "it is another patient's; delete it there, and create it here"
        return _reason("other-patient", text, write)

    def _held(self, key: bytes, claimed: Claims) -> Reason | None:
        """An identifier that tells who somebody is cannot be written into another's record: that would merge them."""
        own = self._survivor(self.current("Patient", key).id) if claimed else 0
        for other, place in claimed:
            holder = self.current("Patient", other)
            if holder.live and self._survivor(holder.id) != own:
                return Reason("contested-identifier", "another patient holds this identifier", place)
        return None

    def _survivor(self, id: int) -> int:
        found = one(self.connection, SQL.survivor_of, (id,))
        return int(found[0]) if found else id


LINKED = "who replaces whom is said by a merge (ADT^A40), not by writing Patient.link"


def _claims(write: Write, fact: Prepared) -> Claims | Reason:
    """The identifiers that nobody else may hold; those of a patch are known only now."""
    if write.method != "PATCH" or write.identity is None:
        return tuple(each for each in write.claims if each[0] != fact.key)
    return claims(write.identity, fact.read(), fact.key, write.place)


def _changed(write: Write, stored: dict[str, Any], made: dict[str, Any]) -> Prepared | Reason:
    """What a patch says: the elements that it changed, or, of a type whose values move together, all of them."""
    assert write.key is not None
    if write.type == "Patient" and made.get("link") != stored.get("link"):
        return _reason("invalid", LINKED, write)
    before, after = own(stored), own(made)
    if found := fhir.problems(write.type, after):
        return Reason("invalid", f"after the patch: {found[0].text}", found[0].path)
    if element := stranger(write.type, after):
        return _reason("invalid", f"{element} refers to a patient who is not here", write)
    owner = write.key if write.type == "Patient" else owner_of(write.type, after)
    whole = write.type in WHOLE
    names = [name for name in {**before, **after} if whole or _differ(before.get(name), after.get(name))]
    said = {name: after.get(name) for name in names if not whole or name in after}
    cancels = ANY if whole else ""
    fact = prepare(Fact(write.type, write.key, Clock(0), said, owner, cancels=cancels, establishes=whole))
    return Reason("invalid", fact.text, fact.place) if isinstance(fact, Reason) else fact


def _differ(a: Any, b: Any) -> bool:
    return a != b or fhir.canonical(a) != fhir.canonical(b)  # 6.3 and 6.30 differ


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
    if write.method == "PATCH" and not current.live and current.version:
        return _reason("gone", "the resource was deleted", write)
    if write.method in ("PATCH", "DELETE") and not current.version:
        return _reason("not-found", "there is no such resource", write)
    return None


def _status(write: Write, current: Current) -> str:
    if write.method == "DELETE":
        return "204 No Content"
    return "200 OK" if current.live else "201 Created"


def _reason(code: str, text: str, write: Write) -> Reason:
    return Reason(code, text, write.place)

"""The chart: facts are added, resources follow. Everything here runs inside the caller's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from formats import fhir
from store import compartment, search
from store.database import Connection, Row, one
from store.database.statements import load
from store.facts import Belongs, Link, Write
from store.fold import Body, overlay
from store.identity import reference
from store.prepared import Prepared
from store.reason import Reason
from store.refold import refolded
from store.reply import Answer
from store.resource import CONTESTED
from store.survivor import Survivors, survivors
from store.write import Resolved, resolve

SQL = load("store", "chart.sql")
SHARED = frozenset({"active", "meta"})
"""What a fact may say of a Patient, and who survives whom has a say in too."""
UNOWNED = frozenset({"ImagingStudy"})
"""Types whose keys are of their own identifier alone, so that two patients can be said to have the same one."""
OTHERS = "the chart knows it as another patient's; correct it at the source, or merge the two"


@dataclass(frozen=True, slots=True)
class Change:
    """One new version. `body` is its elements in JSON; None: the resource is gone from here on."""

    type: str
    key: bytes
    number: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Applied:
    """What one message did to the chart. `withheld`: where the message claims an identifier that another
    patient holds, so that nothing of it was filed. `withhold` and `release` are other messages to which
    the same now happened, or for which it is over. `refused`: why nothing of it was filed; `answers`: what became
    of each write, in their order."""

    changed: tuple[Change, ...] = ()
    withheld: str | None = None
    withhold: tuple[tuple[int, str], ...] = ()
    release: tuple[int, ...] = ()
    refused: Reason | None = None
    answers: tuple[Answer, ...] = ()


def apply(
    connection: Connection, message: int, now: int, said: Sequence[Prepared | Link | Belongs | Write]
) -> Applied:
    """Add what `message` says, replacing what it said before, and bring the resources up to date.

    `now` is in microseconds since the epoch; it becomes lastUpdated, and the clock of what clients write. What a
    client wrote once is not done again: its conditions were those of then.
    """
    asking = [s for s in said if isinstance(s, Write)]
    if asking and one(connection, SQL.said, (message,)):
        return Applied()
    writes = resolve(connection, now, asking) if asking else Resolved()
    asked = writes if isinstance(writes, Resolved) else Resolved()
    filing = _Filing(connection, message, now, fresh=set(asked.fresh))
    facts = [*(s for s in said if isinstance(s, Prepared)), *asked.facts]
    links = [*(s for s in said if isinstance(s, Link)), *asked.links]
    filing.begin(facts)
    refused = writes if isinstance(writes, Reason) else filing.foreign(facts, said)
    filing.link(links if refused is None else ())
    filing.resolve()
    if filing.withheld is None:
        connection.run(SQL.release, (message,))
        for fact in facts if refused is None else ():
            filing.fact(fact)
    filing.flush()
    filing.refold()
    filing.flush()
    done = (tuple(filing.changed), filing.withheld, tuple(filing.withhold), tuple(filing.release))
    effective = refused is None and filing.withheld is None
    return Applied(*done, refused, filing.answered(asked.answers) if effective else ())


def digest(connection: Connection) -> str:
    """A hash of everything visible: equal for any order of arrival of the same messages."""
    hashed = hashlib.sha256()
    for type, key, body in connection.all(SQL.current):
        hashed.update(repr((type, key, fhir.canonical(fhir.decode(body)))).encode())
    return hashed.hexdigest()


@dataclass(slots=True)
class _Filing:
    """The filing of one message: rows are gathered and written together at the end."""

    connection: Connection
    message: int
    now: int
    fresh: set[bytes] = field(default_factory=set)
    """What is known to have no row yet."""
    changed: list[Change] = field(default_factory=list)
    withheld: str | None = None
    withhold: list[tuple[int, str]] = field(default_factory=list)
    release: list[int] = field(default_factory=list)
    stale: set[int] = field(default_factory=set)
    facts: list[Sequence[Any]] = field(default_factory=list)
    versions: list[Sequence[Any]] = field(default_factory=list)
    tokens: list[Sequence[Any]] = field(default_factory=list)
    nodes: dict[bytes, int] = field(default_factory=dict)
    found: dict[bytes, Row | None] = field(default_factory=dict)
    """What was there of a resource, as long as nothing was done to it."""
    unlinked: set[Row] = field(default_factory=set)
    linked: bool = False
    unresolved: set[int] = field(default_factory=set)

    def begin(self, facts: Sequence[Prepared]) -> None:
        """Take back what the message said before; look what is there of what it is about now."""
        keys = {fact.key: None for fact in facts if fact.key not in self.fresh}
        keys.update((fact.patient, None) for fact in facts if fact.patient)
        before = ((SQL.withdraw, (self.message,)), (SQL.unlink, (self.message,)))
        withdrawn, unlinked, *found = self.connection.several(
            (*before, *((SQL.find, (key,)) for key in keys))
        )
        self.stale.update(id for (id,) in withdrawn)
        self.unlinked = set(unlinked)
        self.found = {key: rows[0] if rows else None for key, rows in zip(keys, found, strict=True)}

    def _find(self, key: bytes) -> Row | None:
        """As it was found at the beginning, once: whoever asks changes it."""
        return self.found.pop(key) if key in self.found else one(self.connection, SQL.find, (key,))

    # -- whose it is

    def foreign(self, facts: Sequence[Prepared], said: Sequence[object]) -> Reason | None:
        """What the message takes for its patient's, and the chart knows as somebody else's."""
        for each in (s for s in said if isinstance(s, Belongs)):
            holders = self._all(SQL.holders, (*_texts(each), each.type))
            if holders and not any(self._same(holder, each.patient) for (holder,) in holders):
                return Reason("other-patient", OTHERS, each.place)
        for fact in facts:
            if fact.patient is not None and fact.type in UNOWNED:
                found = one(self.connection, SQL.find, (fact.key,))
                if found and found[4] is not None and not self._same(found[4], fact.patient):
                    return Reason("other-patient", OTHERS, fact.type)
        return None

    def _same(self, holder: int, patient: bytes) -> bool:
        """Are the two one person, as far as is known?"""
        found = one(self.connection, SQL.find, (patient,))
        return found is not None and self._survivor(holder) == self._survivor(found[0])

    def answered(self, answers: Sequence[Answer]) -> tuple[Answer, ...]:
        """With the versions that are there now."""
        made = {change.key: change.number for change in self.changed if change.body is not None}
        return tuple(self._stamped(answer, made) for answer in answers)

    def _stamped(self, answer: Answer, made: Mapping[bytes, int]) -> Answer:
        if answer.key is not None and answer.key in made:
            return answer._replace(version=made[answer.key], updated=self.now)
        found = one(self.connection, SQL.stamp, (answer.key,)) if answer.key else None
        if found is None or not found[1]:
            return answer
        return answer._replace(version=found[0], updated=found[2])

    # -- facts

    def fact(self, fact: Prepared) -> None:
        clock = fact.clock.pack(self.message)
        new = fact.key in self.fresh
        self.fresh.discard(fact.key)
        found = None if new else self._find(fact.key)
        id = self._create(fact, clock) if found is None else self._add(fact, clock, *found[:4])
        if fact.type == "Patient":
            self.nodes[fact.key] = id
        self.facts.append(
            (id, self.message, clock, fact.event, fact.cancels, int(fact.establishes), fact.elements)
        )

    def _create(self, fact: Prepared, clock: bytes) -> int:
        live = int(fact.body is not None)
        row = (fact.type, fact.key, self._owner(fact), live, live, clock, self.now, fact.low, fact.high)
        id: int = self.connection.all(SQL.create, row)[0][0]
        if fact.body is not None:
            self._version(id, fact.type, fact.key, 1, fact.body)
            self.tokens += [(kind, value, id) for kind, value in fact.tokens]
        return id

    def _add(self, fact: Prepared, clock: bytes, id: int, version: int, live: int, head: bytes) -> int:
        if clock > head:
            self.connection.run(SQL.advance, (clock, id))
        if live and clock > head and not fact.cancels and id not in self.stale:
            said = fact.read()
            if fact.type != "Patient" or SHARED.isdisjoint(said):
                old = self._body(id, version)
                self._put(id, fact.type, fact.key, version, old, overlay(fact.type, old, said))
                return id
        self.stale.add(id)
        return id

    def _owner(self, fact: Prepared) -> int | None:
        return self._node(fact.patient) if fact.patient and fact.patient != fact.key else None

    def _node(self, key: bytes) -> int:
        """The row of a patient, made if need be: known, but invisible until a fact establishes it."""
        if (id := self.nodes.get(key)) is None:
            found = self._find(key)
            row = ("Patient", key, None, 0, 0, b"", self.now, None, None)
            id = found[0] if found else self.connection.all(SQL.create, row)[0][0]
            self.nodes[key] = id
        return id

    # -- versions

    def refold(self) -> None:
        """The slow path: fold all facts of what got a late one, a cancel or a link, or lost one."""
        for id in sorted(self.stale):
            type, key, version, live = self.connection.all(SQL.identity, (id,))[0]
            old = self._body(id, version) if live else None
            self._put(id, type, key, version, old, self._folded(id, type))

    def _folded(self, id: int, type: str) -> Body | None:
        body = refolded(self.connection, type, id)
        return self._derived(id, body) if body is not None and type == "Patient" else body

    def _body(self, id: int, version: int) -> Body:
        body: Body = fhir.decode(self.connection.all(SQL.body, (id, version))[0][0])
        return body

    def _put(self, id: int, type: str, key: bytes, version: int, old: Body | None, new: Body | None) -> None:
        if new == old and fhir.canonical(new) == fhir.canonical(old):  # 6.3 and 6.30 differ
            return
        low, high = search.period(new) if new else (None, None)
        self.connection.run(SQL.promote, (version + 1, int(new is not None), self.now, low, high, id))
        self._version(id, type, key, version + 1, fhir.encode(new) if new is not None else None)
        if new is not None and compartment.moved(type, old or {}, new):
            self._owned(id, type, old, new)
        before = search.tokens(type, old) if old else set()
        after = search.tokens(type, new) if new else set()
        self.connection.many(SQL.drop_token, [(kind, value, id) for kind, value in before - after])
        self.tokens += [(kind, value, id) for kind, value in after - before]

    def _owned(self, id: int, type: str, old: Body | None, new: Body) -> None:
        """Search by patient follows what the resource says; one that comes to be says it by its first fact."""
        owner = compartment.owner_of(type, new)
        if owner is not None or old is not None:
            self.connection.run(SQL.own, (self._node(owner) if owner else None, id))

    def _version(self, id: int, type: str, key: bytes, number: int, body: bytes | None) -> None:
        self.versions.append((id, number, self.message, self.now, body))
        self.changed.append(Change(type, key, number, body))

    def flush(self) -> None:
        self.connection.many(SQL.add_fact, self.facts)
        self.connection.many(SQL.add_version, self.versions)
        self.connection.many(SQL.add_token, self.tokens)
        self.facts, self.versions, self.tokens = [], [], []

    # -- identity

    def link(self, links: Sequence[Link]) -> None:
        """Replace the links that the message said before. What is said again is no new evidence."""
        before, self.linked = self.unlinked, bool(links)
        for link in links:
            prior, survivor = self._node(link.prior), self._node(link.survivor)
            clock = link.clock.pack(self.message)
            row = (prior, survivor, link.kind, clock, link.place)
            if row not in before and (link.kind == "merge" or self._first(prior, survivor, clock)):
                self.unresolved.add(prior)
            before.discard(row)
            self.connection.run(SQL.add_link, (self.message, *row))
        self.unresolved.update(node for prior, survivor, *_ in before for node in (prior, survivor))

    def _first(self, prior: int, survivor: int, clock: bytes) -> bool:
        """Is there no earlier claim of this patient to this identifier?"""
        earliest = one(self.connection, SQL.known_claim, (prior, survivor))
        return earliest is None or clock < earliest[0]

    def resolve(self) -> None:
        """Decide anew who survives, and which messages must wait, in every group that got new evidence."""
        honoured: set[tuple[int, int]] = set()
        contested: set[tuple[int, int]] = set()
        while self.unresolved:
            nodes = self._group(self.unresolved.pop())
            self.unresolved -= nodes
            merges = [row for n in nodes for row in self.connection.all(SQL.merges, (n,))]
            claims = [row for n in nodes for row in self.connection.all(SQL.claims, (n,))]
            keys = {n: bytes(self.connection.all(SQL.key_of, (n,))[0][0]) for n in nodes}
            result = survivors(keys, merges, claims)
            self._settle_survivors(result)
            honoured.update({(p, s) for _, p, s in claims} - result.contested)
            contested |= result.contested
            self.stale |= nodes  # the links that a Patient shows follow from who survives
        self._settle_claims(honoured, contested)
        if self.linked and (place := self._contested(self.message)):
            self.withheld = place
            self.connection.run(SQL.withhold, (self.message, place))

    def _group(self, start: int) -> set[int]:
        nodes, edge = {start}, [start]
        while edge:
            node = edge.pop()
            fresh = {n for (n,) in self.connection.all(SQL.neighbours, (node,))} - nodes
            nodes |= fresh
            edge += fresh
        return nodes

    def _settle_survivors(self, result: Survivors) -> None:
        for node, survivor in result.of.items():
            if self._survivor(node) != survivor:
                self.connection.run(SQL.forget_survivor, (node,))
                if node != survivor:
                    self.connection.run(SQL.set_survivor, (node, survivor))

    def _settle_claims(self, honoured: set[tuple[int, int]], contested: set[tuple[int, int]]) -> None:
        """Every claim of a message, in whatever group, must be honoured before it is let go."""
        waiting = {m: place for pair in contested for m, place in self._all(SQL.filed_claimants, pair)}
        for message, place in sorted(waiting.items()):
            if message != self.message:
                self.connection.run(SQL.withhold, (message, place))
                self.withhold.append((message, place))
                self.stale.update(id for (id,) in self._all(SQL.withdraw, (message,)))
        for message in sorted({m for pair in honoured for (m,) in self._all(SQL.withheld_claimants, pair)}):
            if message != self.message and self._contested(message) is None:
                self.connection.run(SQL.release, (message,))
                self.release.append(message)

    def _contested(self, message: int) -> str | None:
        """Where the message claims an identifier that another patient holds, if it does."""
        found = one(self.connection, SQL.contested_claim, (message,))
        return found[0] if found else None

    def _all(self, sql: str, args: Sequence[Any]) -> list[Any]:
        return self.connection.all(sql, args)

    def _derived(self, id: int, body: Body) -> Body:
        result = dict(body)
        survivor = self._survivor(id)
        if survivor != id:
            result["active"] = False
            result["link"] = [self._linked(self.connection.all(SQL.key_of, (survivor,))[0][0], "replaced-by")]
        elif replaced := sorted(key for (key,) in self.connection.all(SQL.replaced_by, (id,))):
            result["link"] = [self._linked(key, "replaces") for key in replaced]
        if one(self.connection, SQL.contested, (id,)):
            meta = result.get("meta", {})
            result["meta"] = {**meta, "tag": [*meta.get("tag", ()), CONTESTED]}
        return result

    def _linked(self, key: bytes, type: str) -> Mapping[str, Any]:
        return {"other": reference("Patient", key), "type": type}

    def _survivor(self, id: int) -> int:
        found = one(self.connection, SQL.survivor_of, (id,))
        return found[0] if found else id


def _texts(each: Belongs) -> tuple[str, str]:
    """The range of index texts of an identifier, of one system or of any."""
    if each.system:
        whole = search.token(each.value, each.system)
        return whole, whole + "\x01"
    return f"{each.value}\x1f", f"{each.value}\x20"

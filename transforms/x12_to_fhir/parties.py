"""Patient, provider, payer and coverage of a claim: hearsay, which only fills gaps."""

from __future__ import annotations

from engine.plugin import Feed
from engine.standards.x12 import member_ids, payer_names
from formats import x12
from store.facts import Belongs, Clock, Fact
from store.identity import Patient, reference
from transforms.x12_to_fhir.loops import Claim, Loop, first, named, value
from transforms.x12_to_fhir.values import (
    EIN,
    NPI,
    Json,
    address,
    assigned_by,
    coded,
    date,
    filled,
    gender,
    identifier,
    person,
)

_SUBSCRIBER = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"
_RELATIONSHIPS = {"18": "self", "01": "spouse", "19": "child", "20": "other", "21": "other", "53": "common"}
_FILING = "https://codesystem.x12.org/005010/1032"  # what kind of insurance it is (SBR09)
_ORDER = {"P": 1, "S": 2, "T": 3}
_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


def patient_fact(claim: Claim, patient: Patient, clock: Clock) -> Fact:
    """Who the claim says that the patient is: 2010CA, or 2010BA where the subscriber is the patient."""
    loop = named(claim.patient, "QC") or named(claim.subscriber, "IL")
    dmg = first(loop, "DMG")
    kind = "MR" if first(claim.claim, "REF", "EA") else "MB"
    elements: Json = {
        "identifier": [identifier(patient.authority.namespace, patient.value, type=coded(_TYPES, kind))],
        "name": [name] if loop and (name := person(loop[0])) else [],
        "gender": gender(loop),
        "birthDate": date(dmg.get(2).strip(), dmg.place(2)) if dmg else None,
        "address": [found] if (found := address(loop)) else [],
    }
    return Fact("Patient", patient.key, clock, filled(elements), patient.key)


def party(loop: Loop, feed: Feed, clock: Clock) -> Fact | None:
    """A person (NM102 is 1) or an organisation: who is known by an NPI, else by the payer's or own id; None if
    nothing tells it from others."""
    if not loop:
        return None
    nm1 = loop[0]
    ids = _ids(loop, feed)
    name = nm1.get(3).strip()
    if not ids and not name:
        return None
    about = ids[0] if ids else {"system": feed.name, "value": name}
    type = "Practitioner" if nm1.get(2) == "1" else "Organization"
    key = feed.identity.key(type, str(about.get("system", feed.name)), str(about["value"]))
    elements: Json = {"identifier": ids, "address": [found] if (found := address(loop)) else []}
    elements["name"] = [person(nm1)] if type == "Practitioner" else name
    return Fact(type, key, clock, filled(elements))


def _ids(loop: Loop, feed: Feed) -> list[Json]:
    nm1 = loop[0]
    code, text = nm1.get(8), nm1.get(9).strip()
    found = [identifier(NPI, text)] if code == "XX" and text else []
    if ein := value(loop, "REF", 2, "EI"):
        found.append(identifier(EIN, ein))
    if code in ("PI", "XV", "FI") and text:
        found.append(identifier(EIN if code == "FI" else assigned_by(feed, ("payer",)), text))
    return found


def reference_to(fact: Fact) -> Json:
    return dict(reference(fact.type, fact.key))


def payer(claim: Claim, feed: Feed, clock: Clock) -> Fact | None:
    """Loop 2010BB."""
    return party(named(claim.subscriber, "PR"), feed, clock)


def coverage(
    message: x12.Message, claim: Claim, patient: Patient, payer: Fact, feed: Feed, clock: Clock
) -> tuple[Fact, Belongs | None]:
    """The insurance that the claim goes to, and whose it must be: a member id belongs to one person. That of a
    dependent's coverage is the subscriber's, so it identifies nothing."""
    sbr = first(claim.subscriber, "SBR")
    member = value(named(claim.subscriber, "IL"), "NM1", 9)
    own = next(((s.get(e).strip(), s.place(e)) for s, e in member_ids(message) if s.get(e).strip()), None)
    system = assigned_by(feed, payer_names(message))
    relation = _relation(claim, sbr)
    elements: Json = {
        "status": "active",
        "identifier": [identifier(system, own[0], type=coded(_TYPES, "MB"))] if own else [],
        "subscriberId": member,
        "beneficiary": reference("Patient", patient.key),
        "relationship": coded(_SUBSCRIBER, relation) if relation else None,
        "payor": [reference_to(payer)],
        "type": coded(_FILING, sbr.get(9)) if sbr and sbr.get(9) else None,
        "order": _ORDER.get(sbr.get(1)) if sbr else None,
        "class": _group(sbr) if sbr else [],
    }
    key = feed.identity.key("Coverage", payer.key, own[0] if own else member, patient.key)
    belongs = Belongs("Coverage", own[0], system or "", patient.key, own[1]) if own else None
    return Fact("Coverage", key, clock, filled(elements), patient.key), belongs


def _relation(claim: Claim, sbr: x12.Segment | None) -> str:
    """SBR02, or PAT01 of a dependent; what has no counterpart is `other`."""
    code = value(claim.patient, "PAT", 1) if claim.patient else (sbr.get(2) if sbr else "")
    return _RELATIONSHIPS.get(code, "other") if code else ""


def _group(sbr: x12.Segment) -> list[Json]:
    """SBR03 and SBR04: the group policy."""
    kind = coded("http://terminology.hl7.org/CodeSystem/coverage-class", "group")
    number, name = sbr.get(3).strip(), sbr.get(4).strip()
    return [filled({"type": kind, "value": number or name, "name": name})] if number or name else []

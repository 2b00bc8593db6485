"""837P: one claim as Claim, with the Patient, Coverage, providers, payer and diagnoses that it names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from engine.plugin import Feed
from engine.standards.x12 import patient_of
from formats import x12
from store.facts import Belongs, Clock, Fact, Link
from store.identity import Patient, reference
from store.reason import Reason
from transforms.x12_to_fhir.loops import Claim, Loop, claim, first, named, value
from transforms.x12_to_fhir.parties import coverage, party, patient_fact, payer, reference_to
from transforms.x12_to_fhir.values import (
    Json,
    Wrong,
    coded,
    diagnosis_code,
    filled,
    identifier,
    money,
    number,
    period,
)

ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
_DIAGNOSES = ("ABK", "ABF")
_CODES = {"HC": "http://www.ama-assn.org/go/cpt", "ER": "urn:chartwire:x12:ER", "IV": "urn:chartwire:x12:IV"}
_HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
_PLACE_OF_SERVICE = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
_FREQUENCY = "https://www.nubc.org/CodeSystem/TypeOfBill"
_RELATED = "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship"
_TYPE = coded("http://terminology.hl7.org/CodeSystem/claim-type", "professional")
_PRIORITY = coded("http://terminology.hl7.org/CodeSystem/processpriority", "normal")
_UNITS = {"UN": "unit", "MJ": "min"}
ORIGINAL, REPLACEMENT, VOID = "1", "7", "8"


def claim_facts(
    message: x12.Message, feed: Feed, clock: Clock, created: str
) -> list[Fact | Link | Belongs] | Reason:
    """What one claim says; or why it cannot be trusted."""
    found = claim(message)
    if found is None:
        return Reason("no-claim", "the transaction set has no CLM", "CLM")
    patient = patient_of(message, feed)
    if isinstance(patient, Reason):
        return patient
    try:
        return _said(message, found, patient, feed, clock, created)
    except Wrong as wrong:
        return wrong.reason


def _said(
    message: x12.Message, found: Claim, patient: Patient, feed: Feed, clock: Clock, created: str
) -> list[Fact | Link | Belongs] | Reason:
    hearsay = clock._replace(weight=0)
    provider = party(named(found.billing, "85"), feed, hearsay)
    insurer = payer(found, feed, hearsay)
    if provider is None or insurer is None:
        missing = "NM1*85" if provider is None else "NM1*PR"
        return Reason("no-party", "the claim names no billing provider, or no payer", missing)
    if unbalanced := _unbalanced(found):
        return unbalanced
    insurance, belongs = coverage(message, found, patient, insurer, feed, hearsay)
    rendering = party(_among(found.people, "82"), feed, hearsay)
    whole = _Claim(found, patient, provider, insurer, insurance, rendering, feed)
    facts: list[Fact | Link | Belongs] = [patient_fact(found, patient, hearsay), provider, insurer, insurance]
    facts += [rendering] if rendering and rendering.key != provider.key else []
    facts += whole.conditions(clock, created)
    facts.append(Fact("Claim", whole.key, clock, whole.elements(created), patient.key))
    facts += [belongs] if belongs else []
    facts += [Link(other, patient.key, clock, "claim", place) for other, place in patient.others]
    return facts


def _among(people: Sequence[Loop], entity: str) -> Loop:
    return next((loop for loop in people if loop[0].get(1) == entity), ())


def _unbalanced(found: Claim) -> Reason | None:
    """CLM02 is the sum of the line charges SV102 (005010X222A1, 2300 CLM02)."""
    lines = sum((number(sv1, 2) for sv1 in _services(found)), Decimal(0))
    difference = number(found.clm, 2) - lines
    if not difference:
        return None
    text = f"the charge of the claim is {difference:f} more than the sum of its lines"
    return Reason("unbalanced", text, "CLM-2")


def _services(found: Claim) -> Iterator[x12.Segment]:
    return (sv1 for line in found.lines if (sv1 := first(line, "SV1")))


class _Claim:
    """One claim with everybody in it known."""

    def __init__(
        self,
        found: Claim,
        patient: Patient,
        provider: Fact,
        insurer: Fact,
        insurance: Fact,
        rendering: Fact | None,
        feed: Feed,
    ) -> None:
        self._found = found
        self._patient = patient
        self._provider = provider
        self._insurer = insurer
        self._insurance = insurance
        self._rendering = rendering
        self._feed = feed
        self._frequency = found.clm.get(5, 3) or ORIGINAL
        self._system = _account_system(provider)

    @property
    def key(self) -> bytes:
        """The same for a claim, its replacement and its void: the provider's own number of it (CLM01)."""
        return self._feed.identity.key("Claim", self._provider.key, self._account, self._patient.key)

    @property
    def _account(self) -> str:
        return self._found.clm.get(1).strip()

    def elements(self, created: str) -> Json:
        clm = self._found.clm
        return filled(
            {
                "identifier": [identifier(self._system, self._account)] if self._account else [],
                "status": "cancelled" if self._frequency == VOID else "active",
                "type": _TYPE,
                "use": "claim",
                "patient": reference("Patient", self._patient.key),
                "created": created,
                "insurer": reference_to(self._insurer),
                "provider": reference_to(self._provider),
                "priority": _PRIORITY,
                "related": self._related(),
                "careTeam": self._care_team(),
                "supportingInfo": [_frequency(self._frequency)],
                "diagnosis": self._diagnoses(),
                "insurance": [{"sequence": 1, "focal": True, "coverage": reference_to(self._insurance)}],
                "item": [self._item(n, line) for n, line in enumerate(self._found.lines, start=1)],
                "total": money(number(clm, 2)),
            }
        )

    def _related(self) -> list[Json]:
        """REF*F8: the payer's number of the claim that this one replaces or takes back."""
        original = value(self._found.claim, "REF", 2, "F8")
        if not original:
            return []
        return [{"relationship": coded(_RELATED, "prior"), "reference": {"value": original}}]

    def _care_team(self) -> list[Json]:
        if self._rendering is None:
            return []
        role = coded("http://terminology.hl7.org/CodeSystem/claimcareteamrole", "primary")
        return [{"sequence": 1, "provider": reference_to(self._rendering), "role": role}]

    def _codes(self) -> list[tuple[str, str]]:
        """(qualifier, code) of each diagnosis: HI01 to HI12 of the segments that hold diagnoses."""
        segments = [s for s in self._found.claim if s.name == "HI"]
        pairs = ((s.get(n, 1), s.get(n, 2).strip()) for s in segments for n in range(1, len(s.elements)))
        return [(qualifier, code) for qualifier, code in pairs if qualifier in _DIAGNOSES and code]

    def _diagnoses(self) -> list[Json]:
        kinds = {"ABK": "principal"}
        system = "http://terminology.hl7.org/CodeSystem/ex-diagnosistype"
        return [
            filled(
                {
                    "sequence": n,
                    "diagnosisReference": dict(reference("Condition", self._condition_key(code))),
                    "type": [coded(system, kinds[qualifier])] if qualifier in kinds else [],
                }
            )
            for n, (qualifier, code) in enumerate(self._codes(), start=1)
        ]

    def _condition_key(self, code: str) -> bytes:
        return self._feed.identity.key("Condition", self.key, code)

    def conditions(self, clock: Clock, created: str) -> list[Fact]:
        """The diagnoses of this claim. A void takes them back."""
        wrong = self._frequency == VOID
        verification = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
        category = coded("http://terminology.hl7.org/CodeSystem/condition-category", "encounter-diagnosis")
        return [
            Fact(
                "Condition",
                self._condition_key(code),
                clock,
                {
                    "verificationStatus": coded(verification, "entered-in-error" if wrong else "unconfirmed"),
                    "category": [category],
                    "code": coded(ICD10, diagnosis_code(code)),
                    "subject": reference("Patient", self._patient.key),
                    "recordedDate": created,
                },
                self._patient.key,
            )
            for code in dict.fromkeys(code for _, code in self._codes())
        ]

    def _item(self, n: int, line: Loop) -> Json:
        """2400: one service line. LX01 is its number."""
        sv1 = first(line, "SV1")
        if sv1 is None:
            raise Wrong(Reason("no-service", "a line of a professional claim without SV1", line[0].place(1)))
        when = period(first(line, "DTP", "472"))
        pointers = [p for p in (sv1.get(7, n) for n in range(1, 5)) if p.isdigit()]
        charge, quantity = number(sv1, 2), number(sv1, 4)
        place = sv1.get(5) or self._found.clm.get(5, 1)
        return filled(
            {
                "sequence": n,
                "careTeamSequence": [1] if self._rendering else [],
                "diagnosisSequence": [int(p) for p in pointers if 0 < int(p) <= len(self._codes())],
                "productOrService": _product(sv1),
                "modifier": [_modifier(m) for m in (sv1.get(1, c) for c in range(3, 7)) if m],
                "servicedDate": when if isinstance(when, str) else None,
                "servicedPeriod": when if isinstance(when, dict) else None,
                "locationCodeableConcept": coded(_PLACE_OF_SERVICE, place) if place else None,
                "quantity": filled({"value": quantity, "unit": _UNITS.get(sv1.get(3), sv1.get(3))}),
                "net": money(charge),
            }
        )


def _account_system(provider: Fact) -> str | None:
    """The namespace of the provider's own numbers: his identifier, since he assigned them."""
    about = next(iter(provider.elements.get("identifier", ())), None)
    return f"urn:chartwire:account:{about['value']}" if about else None


def _frequency(code: str) -> Json:
    """CLM05-3: 1 original, 7 replacement, 8 void."""
    return {"sequence": 1, "category": {"text": "claim frequency"}, "code": coded(_FREQUENCY, code)}


def _product(sv1: x12.Segment) -> Json:
    """SV101: HC is CPT where it is five digits (level I of HCPCS), else HCPCS level II."""
    qualifier, code = sv1.get(1, 1), sv1.get(1, 2).strip()
    if not code:
        raise Wrong(Reason("no-service", "the service line has no procedure code", sv1.place(1, 2)))
    system = _CODES.get(qualifier, f"urn:chartwire:x12:{qualifier}")
    return coded(_HCPCS if qualifier == "HC" and code[:1].isalpha() else system, code)


def _modifier(code: str) -> Json:
    return coded(_HCPCS if code[:1].isalpha() else _CODES["HC"], code)

"""Identity: which identifier is whose, in which namespace, and the opaque id that stands for it.

`authorities.yaml` declares the authorities. An id is a keyed hash of (type, namespace, identifier, ...), so
the same evidence gives the same id in any order of arrival, and nobody without the installation's key can go
back from an id to a medical record number.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from store.reason import Reason


@dataclass(frozen=True, slots=True)
class Authority:
    """One assigning authority. `aliases` are the names that feeds use for it (CX-4.1, CX-4.2)."""

    name: str
    namespace: str
    aliases: frozenset[str] = frozenset()
    identifies: bool = False  # may its identifiers tell one patient from another?
    normalise: tuple[str, ...] = ("strip",)  # of: strip, upper, digits, unpad
    types: tuple[str, ...] = ()  # CX-5 of its patients' numbers, where it numbers visits and the like too

    def numbers_patients(self, type: str) -> bool:
        """May a number of this type (CX-5) tell one patient from another? One without a type may."""
        return self.identifies and (not self.types or not type or type in self.types)


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier as a feed gave it: the text, the assigner's names (CX-4.1, 4.2), the type (CX-5), where."""

    value: str
    assigners: tuple[str, ...]
    type: str
    place: str


@dataclass(frozen=True, slots=True)
class Patient:
    """Who a message is about: the identifying identifier first, then the other identifying ones."""

    key: bytes
    authority: Authority
    value: str
    others: tuple[tuple[bytes, str], ...] = ()  # (key of the other identifier's own node, place)


NORMALISERS: dict[str, Callable[[str], str]] = {
    "strip": str.strip,
    "upper": str.upper,
    "digits": lambda text: "".join(c for c in text if c.isdigit()),
    "unpad": lambda text: text.lstrip("0") or text[-1:],
}


class Identity:
    """The installation's identity rules: its secret, its authorities, in order of preference."""

    def __init__(self, secret: bytes, authorities: Sequence[Authority] = ()) -> None:
        self._secret = secret
        self.authorities = tuple(authorities)
        self._by_alias: dict[str, Authority] = {}
        for authority in reversed(self.authorities):
            for alias in (authority.name, authority.namespace, *authority.aliases):
                self._by_alias[alias.casefold()] = authority

    def key(self, *parts: str | bytes) -> bytes:
        """16 opaque bytes for (type, namespace, identifier, ...)."""
        text = b"\x1f".join(p if isinstance(p, bytes) else p.encode() for p in parts)
        return hashlib.blake2b(text, digest_size=16, key=self._secret).digest()

    @property
    def origin(self) -> str:
        """Six characters and a dash that begin every outgoing control id, so that a new installation repeats none."""
        return base64.b32encode(self.key("origin"))[:6].decode() + "-"

    def lane(self, owner: str, order: str) -> int:
        """The opaque lane of one order key at one channel or destination; a clash only shares a lane."""
        return int.from_bytes(self.key("lane", owner, order)[:7], "big")

    def authority(self, names: Sequence[str]) -> Authority | None:
        """The declared authority behind the names that a feed gave (CX-4.1, CX-4.2), if any is known."""
        for name in names:
            if name and (found := self._by_alias.get(name.casefold())):
                return found
        return None

    def named(self, name: str) -> Authority | None:
        """The authority declared under `name` in authorities.yaml."""
        return next((a for a in self.authorities if a.name == name), None)

    def patient(
        self, identifiers: Sequence[Identifier], default: Authority | None = None
    ) -> Patient | Reason:
        """Who these identifiers (all repetitions of PID-3) are, or why that cannot be said.

        The first declared authority that identifies patients and has a value wins; a blank value matches
        nobody; two different values of that authority are never chosen between.
        """
        valued = [i for i in identifiers if i.value.strip()]
        if not valued:
            place = identifiers[0].place if identifiers else "PID-3"
            return Reason(
                "blank-patient-id", "no patient identifier; correct it at the source and resend", place
            )
        found: dict[str, dict[str, str]] = {}
        for i in valued:
            authority = self.authority(i.assigners) if any(i.assigners) else default
            if authority and authority.numbers_patients(i.type) and (value := normalised(authority, i.value)):
                found.setdefault(authority.name, {}).setdefault(value, i.place)
        ordered = [a for a in self.authorities if a.name in found]
        if not ordered:
            return Reason(
                "unknown-authority",
                "no identifier comes from an authority that authorities.yaml knows and lets identify patients",
                valued[0].place,
            )
        for a in ordered:
            if len(found[a.name]) > 1:
                place = list(found[a.name].values())[1]
                return Reason("two-identifiers", f"two different identifiers of authority {a.name}", place)
        first, *rest = ordered
        value = next(iter(found[first.name]))
        others = tuple((self.patient_key(a, v), place) for a in rest for v, place in found[a.name].items())
        return Patient(self.patient_key(first, value), first, value, others)

    def patient_key(self, authority: Authority, value: str) -> bytes:
        return self.key("Patient", authority.namespace, value)


def normalised(authority: Authority, value: str) -> str:
    """The identifier in the form in which it is compared."""
    for step in authority.normalise:
        value = NORMALISERS[step](value)
    return value


_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [a + b for a in _LETTERS for b in _LETTERS]
_SHIFTS = range(120, -1, -10)


def fhir_id(key: bytes) -> str:
    """The FHIR logical id of a key: 26 characters of base32, lower case (R4 `id`)."""
    number = int.from_bytes(key, "big") << 2  # 128 bits and two more: 13 times ten
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def key_of(fhir_id: str) -> bytes | None:
    """The key behind a logical id, or None if the text is not one of ours."""
    try:
        key = base64.b32decode(fhir_id.upper() + "=" * (-len(fhir_id) % 8))
    except ValueError:
        return None
    return key if len(key) == 16 and fhir_id == fhir_id.lower() else None


def reference(type: str, key: bytes) -> Mapping[str, str]:
    """A FHIR Reference to the resource."""
    return {"reference": f"{type}/{fhir_id(key)}"}

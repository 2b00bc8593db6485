"""Every ADT and ORU of the corpus: no exception, and whatever is said is valid R4."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.message import Stop
from engine.plugin import Feed
from engine.subject import identifiers
from formats import fhir, hl7v2
from store.facts import Fact
from store.fold import overlay
from store.identity import Authority, Identity
from transforms.hl7v2_to_fhir import hl7v2_to_fhir

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not (CORPUS / "MANIFEST.tsv").exists(), reason="../shared/corpus is not beside the project"
    ),
]


def messages() -> Iterator[tuple[str, hl7v2.Message]]:
    """Every message in the files of HL7 v2; several to a file, in files that are no proper batch too."""
    with (CORPUS / "MANIFEST.tsv").open(encoding="utf-8", newline="") as lines:
        files = [row[0] for row in csv.reader(lines, delimiter="\t") if row[3] in ("hl7v2", "hl7v2_charset")]
    for file in files:
        raw = (CORPUS / file).read_bytes().replace(b"\r\n", b"\r").replace(b"\n", b"\r")
        for part in re.split(rb"(?:^|\r)(?=MSH)", raw):
            made = hl7v2.parse(part, charset="UTF-8")
            if isinstance(made, hl7v2.Message) and made.kind.split("^")[0] in ("ADT", "ORU"):
                yield file, made


def feed_of(message: hl7v2.Message) -> Feed:
    """A feed whose first assigner of patient identifiers is a known authority; the others are not."""
    names = ("PID", 3), ("MRG", 1)
    found = [identifiers(message, s, field) for name, field in names for s in message.all(name)[:1]]
    named = [a for ids in found if isinstance(ids, list) for i in ids for a in i.assigners if a]
    authority = Authority("first", "urn:oid:2.999.1", frozenset(named[:1]), identifies=True)
    default = None if named else authority
    return Feed("corpus", ZoneInfo("America/New_York"), Identity(b"k" * 16, [authority]), default)


def test_every_admission_and_result_of_the_corpus(capsys):
    ends: Counter[str] = Counter()
    problems = []
    for file, message in messages():
        said = hl7v2_to_fhir(message, feed_of(message), new_patients=True)
        ends["no map" if said is None else said.reason.code if isinstance(said, Stop) else "mapped"] += 1
        facts = [f for f in said if isinstance(f, Fact)] if isinstance(said, list) else []
        assert len({f.key for f in facts}) == len(facts), file
        for fact in facts:
            elements = overlay(fact.type, {}, fact.elements)
            problems += [(file, p) for p in fhir.problems(fact.type, elements, partial=not fact.establishes)]
    with capsys.disabled():
        print(f"\ncorpus, ADT and ORU: {dict(ends.most_common())}")
    assert problems == []
    unidentified = ("no-patient", "blank-patient-id", "two-identifiers", "several-patients")
    identified = sum(n for end, n in ends.items() if end not in (*unidentified, "no map"))
    assert ends["mapped"] >= 0.95 * identified

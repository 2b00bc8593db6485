"""Resources that nobody here wrote: the valid ones are accepted, and each exception has a reviewed reason."""

import csv
from pathlib import Path
from typing import Any

import pytest

from formats import fhir

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not (CORPUS / "MANIFEST.tsv").exists(), reason="../shared/corpus is not beside the project"
    ),
]

FOLDERS = ("fhir", "bulk_ndjson", "device_fhir")

FAULTY = {  # the end of the path: what is really wrong with it in R4
    "HL7_PHD/resources/ig-new.json": "STU3's fhirVersion, and a parameter code of the publisher's own",
    "resources/structure-definition-example.json": "a fragment for FHIRPath tests",
    "ValueSetMappingTest/toIntersectionEmpty.json": "no status",
    "quirk-primitive-extension-misaligned.json": "arrays of different length, on purpose",
    "value-absent.json": "no code",
    "DeviceMetric-example.json": "HL7's own example: parent is a DeviceDefinition, R4 allows a Device only",
    "DeviceUseStatement-example.json": "HL7's own example: the reason is a Procedure, not allowed in R4",
    "fixtures/CapabilityStatement.json": "STU3's acceptUnknown",
    "fixtures/QuestionnaireResponse.json": "identifier is a list, as in R5",
    "r4/implementationGuide.json": "a fhirVersion that R4's value set does not have",
    "stu3/doc-manifest_bad.json": "STU3, and bad on purpose",
    "fixtures/questionnaireResponse.json": "a narrative without div",
    "fixtures/valueSet.json": "no status",
    "R4/SmartCommon.json": "a reference to a Practioner",
    "R4/practitionerrole-questionnaire.json": "items without linkId",
    "subscription/subscription-bundle.json": "Subscriptions without reason",
}

NOT_JSON = (
    "json-comments-2.json",
    "json-no-quotes-2.json",
    "shc-bundle.json",
)  # JSON5 twice, a token

# What HL7's own validator rejects and so must we: the end of the path, and where we see it.
REJECTED = {
    "contained-resource.json": "Condition.contained[0].id",
    "ext-stds-status-normative.json": "StructureDefinition.fhirVersion",
    "list-extension1.json": "List",
    "resource-invalid-id-2.json": "Location.id",
}


def manifest() -> list[dict[str, str]]:
    with (CORPUS / "MANIFEST.tsv").open(encoding="utf-8") as rows:
        return list(csv.DictReader(rows, delimiter="\t"))


def documents(folder: str) -> list[tuple[str, dict[str, Any]]]:
    """Every resource in JSON or NDJSON below a folder of the corpus, with its path."""
    paths = [row["path"] for row in manifest() if row["path"].startswith(folder + "/")]
    found = []
    for path in (p for p in paths if p.endswith("json") and not p.endswith(NOT_JSON)):
        body = (CORPUS / path).read_bytes()
        bodies = body.splitlines() if path.endswith(".ndjson") else [body]
        found += [(path, fhir.decode(b)) for b in bodies if b.strip()]
    return [(path, document) for path, document in found if "resourceType" in document]


def ends(path: str, names: dict[str, str]) -> str | None:
    return next((name for name in names if path.endswith(name)), None)


@pytest.mark.parametrize("folder", FOLDERS)
def test_valid_resources_are_accepted(folder: str) -> None:
    found = documents(folder)
    told = {path: fhir.validate_resource(document) for path, document in found}
    assert len(found) > 5
    assert {path: problems for path, problems in told.items() if problems and not ends(path, FAULTY)} == {}


def test_each_exception_is_still_one() -> None:
    told = [(path, fhir.validate_resource(d)) for folder in FOLDERS for path, d in documents(folder)]
    assert {ends(path, FAULTY) for path, problems in told if problems} == set(FAULTY)


def test_decimals_and_all_else_survive_a_round_trip() -> None:
    for folder in FOLDERS:
        for path, document in documents(folder):
            again = fhir.decode(fhir.encode(document))
            assert repr(again) == repr(document), path


def test_agrees_with_the_outcomes_of_hl7s_validator() -> None:
    """Whatever it accepts we accept; what it rejects for its structure we reject. The rest it rejects for
    profiles, terminologies and invariants, which are not looked at here."""
    expected = {row["path"]: row["expected_output"] for row in manifest()}
    seen = set()
    for path, document in documents("fhir_validation"):
        issues = fhir.decode((CORPUS / expected[path]).read_bytes()).get("issue", [])
        accepted = not any(issue["severity"] in ("error", "fatal") for issue in issues)
        places = {p.path for p in fhir.validate_resource(document)}
        assert not (accepted and places), path
        if places:
            name = ends(path, REJECTED)
            assert name is not None, path
            assert REJECTED[name] in places, path
            seen.add(name)
    assert seen == set(REJECTED)

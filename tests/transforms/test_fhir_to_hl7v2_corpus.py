"""Orders that another product has told as OML: the same order, told by us, says the same."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.plugin import Feed
from formats import fhir, hl7v2
from store.identity import Authority, Identity
from transforms.fhir_to_hl7v2 import laboratory_order

FOLDER = Path(__file__).parents[3] / "shared" / "corpus" / "fhir_to_hl7v2" / "CDCgov_prime-reportstream"
SAMPLES = ("sample_OML_20230831-0001",)
SAME = (
    "PID-3.1",
    "PID-5.1",
    "PID-5.2",
    "PID-8",
    "PID-11.3",
    "ORC-1",
    "ORC-2.1",
    "OBR-4.1",
    "OBR-4.3",
    "SPM-4.1",
)

pytestmark = pytest.mark.corpus


@pytest.mark.parametrize("name", SAMPLES)
def test_it_says_what_the_other_product_says(name):
    if not FOLDER.is_dir():
        pytest.skip("../shared/corpus is not there")
    source = fhir.decode((FOLDER / "FHIR_to_HL7" / f"{name}.fhir").read_bytes())
    theirs = hl7v2.parse((FOLDER / "FHIR_to_HL7" / f"{name}.hl7").read_bytes().replace(b"\n", b"\r"))
    entries = source["entry"]
    (order,) = (e for e in entries if e["resource"]["resourceType"] == "ServiceRequest")
    mrn = Authority("mrn", "urn:oid:2.999.1", identifies=True)
    feed = Feed("orders", ZoneInfo("America/Chicago"), Identity(b"k" * 16, [mrn]), mrn)
    signed = {**order["resource"], "status": "active", "meta": {"lastUpdated": "2023-05-06T10:29:16Z"}}
    ours = laboratory_order({"entry": [{**order, "resource": signed}, *entries]}, feed)
    assert isinstance(ours, hl7v2.Message), ours
    assert isinstance(theirs, hl7v2.Message)
    assert {p: ours.get(p) for p in SAME} == {p: theirs.get(p) for p in SAME}

"""ADT^A40: one patient becomes another. The guide has no map; README.md documents this one."""

import pytest

from engine.message import State, Stop
from store.facts import Clock, Fact, Link
from tests.transforms.messages import msh, seg

MICROS = 1740835020000000  # 2025-03-01 08:17:00 in New York
CLOCK = Clock(MICROS, sent=MICROS, rank=3)
PID = seg("PID", f3="MR001^^^HOSP^MR", f5="Doe^Jane")


def stopped(said, code, place):
    assert isinstance(said, Stop), said
    assert (said.state, said.reason.code, said.reason.place) == (State.QUARANTINED, code, place)
    return True


def test_a_merge_says_that_both_exist_and_are_one(say, feed):
    survivor, prior, link = say(msh("A40"), PID, seg("MRG", f1="MR002^^^HOSP^MR", f7="Dow^Jane^^^^^L"))
    made = feed.identity.key
    assert isinstance(survivor, Fact)
    assert isinstance(prior, Fact)
    assert survivor.key == made("Patient", "urn:oid:2.999.1", "MR001")
    assert (survivor.clock, survivor.establishes) == (CLOCK, True)
    assert survivor.elements["name"] == [{"family": "Doe", "given": ["Jane"]}]
    assert prior.key == prior.patient == made("Patient", "urn:oid:2.999.1", "MR002")
    assert (prior.clock, prior.establishes) == (CLOCK._replace(weight=0), True)
    assert prior.elements["name"] == [{"family": "Dow", "given": ["Jane"], "use": "official"}]
    assert [i["value"] for i in prior.elements["identifier"]] == ["MR002"]
    assert link == Link(prior.key, survivor.key, CLOCK, "merge", "MRG-1")


@pytest.mark.parametrize("event", ["A18", "A34", "A47"])
def test_its_older_forms_and_a_change_of_number_say_the_same(say, event):
    rest = (PID, seg("MRG", f1="MR002^^^HOSP^MR"))
    assert say(msh(event), *rest) == say(msh("A40"), *rest)


def test_what_the_chart_knows_of_the_prior_patient_stays(chart):
    registered = (msh("A04", "20250201"), seg("PID", f3="MR002^^^HOSP~N900^^^NAT", f5="Dowe^Janet"))
    merged = (msh("A40"), PID, seg("MRG", f1="MR002^^^HOSP", f7="Dow^Jane"))
    for order in ((registered, merged), (merged, registered)):
        prior = next(b for b in chart(*order).values() if b["identifier"][0]["value"] == "MR002")
        assert prior["name"] == [{"family": "Dowe", "given": ["Janet"]}]
        assert len(prior["identifier"]) == 2


def test_further_identifiers_of_both_are_claimed_each_for_its_own(say, feed):
    pid = seg("PID", f3="MR001^^^HOSP~N900^^^NAT", f5="Doe")
    made = feed.identity.key
    key = {value: made("Patient", "urn:oid:2.999.1", value) for value in ("MR001", "MR002")}
    national = {value: made("Patient", "urn:oid:2.999.2", value) for value in ("N900", "N901")}
    said = say(msh("A40"), pid, seg("MRG", f1="MR002^^^HOSP~N901^^^NAT"))
    assert [(x.prior, x.survivor, x.kind, x.place) for x in said if isinstance(x, Link)] == [
        (key["MR002"], key["MR001"], "merge", "MRG-1"),
        (national["N900"], key["MR001"], "claim", "PID-3[2].1"),
        (national["N901"], key["MR002"], "claim", "MRG-1[2].1"),
    ]
    shared = say(msh("A40"), pid, seg("MRG", f1="MR002^^^HOSP~N900^^^NAT"))
    assert [x.kind for x in shared if isinstance(x, Link)] == ["merge", "claim"]  # no two claimants of N900


def test_several_merges_may_come_in_one_message(say):
    first = (PID, seg("MRG", f1="MR002^^^HOSP"))
    second = (PID, seg("MRG", f1="MR003^^^HOSP"))
    said = say(msh("A40"), *first, *second)
    assert [x.place for x in said if isinstance(x, Link)] == ["MRG-1", "MRG[2]-1"]
    assert [type(x).__name__ for x in said].count("Fact") == 3  # the survivor once


def test_a_merge_that_names_no_prior_patient_is_not_guessed_at(say):
    assert stopped(say(msh("A40"), PID), "blank-patient-id", "MRG-1")
    assert stopped(say(msh("A40"), PID, "MRG|"), "blank-patient-id", "MRG-1")
    assert stopped(say(msh("A40"), PID, seg("MRG", f1="^^^HOSP")), "blank-patient-id", "MRG-1[1].1")
    assert stopped(say(msh("A40"), PID, seg("MRG", f1="77^^^ELSE")), "unknown-authority", "MRG-1[1].1")
    assert stopped(say(msh("A40"), seg("MRG", f1="MR002^^^HOSP")), "no-patient", "PID")


def test_a_patient_is_not_merged_with_himself(say):
    assert stopped(say(msh("A40"), PID, seg("MRG", f1="MR001^^^HOSP")), "merge-with-itself", "MRG-1")

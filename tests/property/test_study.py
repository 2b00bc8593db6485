"""A study is what its images say, in whatever order they come and however often."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from formats import fhir
from store.facts import Clock
from store.fold import Said, fold, overlay

IMAGES = [(series, image) for series in ("1.2.10", "1.2.9", "1.2.11") for image in range(4)]


def said(time: int, series: str, image: int, **more: Any) -> Said:
    modality = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT" if image else "PT"}
    instance = {"uid": f"{series}.{image}", "sopClass": {"code": "1.2.3"}, "number": 4 - image}
    one = {"uid": series, "modality": modality, "instance": [instance], **more}
    elements = {"status": "available", "modality": [modality], "series": [one]}
    return Said(Clock(time, sent=time).pack(0), elements)


ALL = [said(n, *image) for n, image in enumerate(IMAGES)]
WHOLE = fold("ImagingStudy", ALL)


@given(st.permutations(ALL).flatmap(lambda facts: st.tuples(st.just(facts), st.integers(0, len(facts)))))
def test_any_order_and_any_repetition_give_the_same_study(case: tuple[list[Said], int]) -> None:
    facts, again = case
    found = fold("ImagingStudy", [*facts, *facts[:again]])
    assert fhir.canonical(found) == fhir.canonical(WHOLE)


def test_laid_on_top_one_by_one_is_the_same_as_folded_at_once() -> None:
    body: dict[str, Any] = {}
    for fact in ALL:
        body = overlay("ImagingStudy", body, fact.elements)
    assert fhir.canonical(body) == fhir.canonical(WHOLE)


def test_series_and_images_are_counted_and_in_order() -> None:
    assert WHOLE
    assert (WHOLE["numberOfSeries"], WHOLE["numberOfInstances"]) == (3, 12)
    assert [series["uid"] for series in WHOLE["series"]] == ["1.2.10", "1.2.11", "1.2.9"]
    assert [image["number"] for image in WHOLE["series"][0]["instance"]] == [1, 2, 3, 4]
    assert {series["numberOfInstances"] for series in WHOLE["series"]} == {4}
    assert [modality["code"] for modality in WHOLE["modality"]] == ["PT", "CT"]


def test_a_newer_word_about_an_image_replaces_the_older() -> None:
    found = fold("ImagingStudy", [*ALL, said(99, "1.2.9", 0, description="Chest")])
    assert found
    assert found["numberOfInstances"] == 12
    assert [s.get("description") for s in found["series"]] == [None, None, "Chest"]


def test_a_study_that_lists_no_images_keeps_its_own_numbers() -> None:
    told = {"series": [{"uid": "1.2", "numberOfInstances": 300}, {"uid": "1.3"}], "numberOfInstances": 400}
    assert overlay("ImagingStudy", {}, told)["numberOfInstances"] == 400

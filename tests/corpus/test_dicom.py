"""Every public DICOM file of ../shared/corpus through the real engine.

dicom.tsv says where each ends; `python -m tests.corpus.dicom_walk` writes it anew.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from formats import fhir
from store.chart import SQL
from store.database.sqlite import Sqlite
from store.identity import fhir_id
from tests.corpus.dicom_walk import AUTHORITIES, CHANNEL, EXPECTED, End, lines, walk
from tests.corpus.samples import CORPUS
from tests.flow.installation import Installation, running

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        not (CORPUS / "MANIFEST.tsv").exists(), reason="../shared/corpus is not beside the project"
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def walked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Installation, list[End]]]:
    files = {"channels/corpus.yaml": CHANNEL, "authorities.yaml": AUTHORITIES}
    async with running(tmp_path_factory.mktemp("corpus"), files) as site:
        yield site, await walk(site)


async def test_every_file_ends_as_the_table_says(walked: tuple[Installation, list[End]]) -> None:
    assert lines(walked[1]) == EXPECTED.read_text("utf-8").splitlines()


async def test_no_file_shows_a_defect() -> None:
    assert not re.search("FAILED|STORED_RAW|RECEIVED", EXPECTED.read_text("utf-8"))


async def test_sent_a_second_time_it_changes_nothing(walked: tuple[Installation, list[End]]) -> None:
    site, ends = walked
    before = await studies(site)
    again = await walk(site)
    assert [end for end in again if end.status == "0000"] == [end for end in ends if end.status == "0000"]
    assert await studies(site) == before
    assert len(before) > 20


async def studies(site: Installation) -> dict[str, Any]:
    reader = Sqlite(site.data / "chartwire.db", writes=False)
    try:
        rows = [(type, key, body) for type, key, body in reader.all(SQL.current)]
    finally:
        reader.close()
    return {fhir_id(key): fhir.decode(body) for type, key, body in rows if type == "ImagingStudy"}


async def test_every_resource_is_valid(walked: tuple[Installation, list[End]]) -> None:
    found = await studies(walked[0])
    whole = [{"resourceType": "ImagingStudy", "id": id, **body} for id, body in found.items()]
    assert {each["id"]: fhir.validate_resource(each) for each in whole if fhir.validate_resource(each)} == {}


async def test_nothing_is_left_beside_the_instances(walked: tuple[Installation, list[End]]) -> None:
    spool = walked[0].data / "spool"
    assert list((spool / "incoming").iterdir()) == []

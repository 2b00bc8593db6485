"""What /admin/openapi.json says of the admin API is what the API does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from engine.client import Engine, Refused
from tests.flow.installation import Installation, channel, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with running(tmp_path_factory.mktemp("openapi"), {"channels/adt.yaml": channel("adt")}) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def described(site: Installation) -> dict[str, Any]:
    return await site.get("/admin/openapi.json")


def operations(described: dict[str, Any], method: str) -> list[tuple[str, dict[str, Any]]]:
    return [(path, found[method]) for path, found in described["paths"].items() if method in found]


def refusal(site: Installation, path: str) -> str:
    """What is said to somebody who sends what nobody reads."""
    try:
        with Engine(site.data) as engine:
            return f"not refused: {engine.post(path.replace('{id}', '1'), {'nonsense': 1})}"
    except Refused as refused:
        return str(refused)


async def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(described: dict[str, Any]) -> None:
    every = [each for method in ("get", "post") for _, each in operations(described, method)]
    names = [each["operationId"] for each in every]
    assert len(names) == len(set(names)) > 25
    assert described["openapi"] == "3.1.0"
    text = json.dumps(described)
    for ref in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert ref in described["components"]["schemas"]


async def test_every_request_is_described_by_what_it_is_read_with(
    site: Installation, described: dict[str, Any]
) -> None:
    """Whoever sends something else is told what there is: the same names."""
    for path, operation in operations(described, "post"):
        if "requestBody" not in operation:
            assert path == "/admin/alerts/test"
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        names = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
        told = await asyncio.to_thread(refusal, site, path)
        if "it may have" in told:
            words = told.partition("it may have ")[2].replace("(", " ").split()
            assert {word.strip(",;.") for word in words} >= set(names), path
        else:
            assert path == "/admin/tokens", (path, told)


async def test_every_parameter_of_a_reading_is_known_to_it(
    site: Installation, described: dict[str, Any]
) -> None:
    for path, operation in operations(described, "get"):
        for parameter in operation["parameters"]:
            if parameter["in"] == "query":
                answer = await site.read(f"{path.replace('{id}', '1')}?{parameter['name']}=1")
                assert "is not known" not in answer.body.decode(), (path, parameter["name"])
        if any(parameter["in"] == "query" for parameter in operation["parameters"]) and path != "/admin/case":
            answer = await site.read(f"{path}?nonsense=1")
            assert answer.status in (400, 404), path

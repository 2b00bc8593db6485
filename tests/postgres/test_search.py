"""What a search is put together from has a shape that PostgreSQL takes too."""

from __future__ import annotations

import pytest

from engine.journal import inquiry
from store import criteria
from store.database.postgres import Postgres
from store.reason import Reason
from store.search import COMMON, SUPPORTED
from tests.postgres.test_smoke import database  # noqa: F401
from tests.web.test_search_plan import INQUIRIES, VALUES, WALKS

pytestmark = pytest.mark.postgres
EVERY = [(name, value) for name, values in VALUES.items() for value in values] + WALKS


def test_every_parameter_is_understood_as_the_leader_and_as_a_test(database: Postgres) -> None:  # noqa: F811
    for type, names in SUPPORTED.items():
        for name, value in EVERY:
            if name in (*names, *COMMON):
                one = criteria.criterion(type, name, value)
                two = criteria.criterion(type, "_id", "a" * 26)
                assert not isinstance(one, Reason)
                assert not isinstance(two, Reason)
                assert database.all(*criteria.found(type, [one], 0, 50)) == []
                assert database.all(*criteria.found(type, [one, two], 0, 50)) == []


def test_every_inquiry_is_understood(database: Postgres) -> None:  # noqa: F811
    for wanted, _ in INQUIRIES:
        assert database.all(*inquiry.query(wanted, 100, 10, 50)) == []

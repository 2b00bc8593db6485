"""YAML 1.2 as it is written, variables, secrets."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from engine.config.nodes import parse
from engine.settings import Secret

LAB, ROUTES = "channels/lab.yaml", "routes.yaml"
CANARY = "canary-of-the-token"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("Yes", "Yes"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("007", "007"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1e5", "1e5"),
        (".5", ".5"),
        ("2026-02-30", "2026-02-30"),
        ("=", "="),
        ("'6.30'", "6.30"),
        ('"1"', "1"),
        ("6.30", Decimal("6.30")),
        ("-0", 0),
        ("17", 17),
        ("true", True),
        ("True", "True"),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_yaml_1_2(written: str, value: object) -> None:
    tree, problems = parse(f"key: {written}\n", "x.yaml")
    assert (tree and tree.plain(), problems) == ({"key": value}, [])
    assert type(tree.plain()["key"]) is type(value)
    assert str(tree.plain()["key"]) == str(value)


def test_a_text_setting_takes_a_number_as_it_is_written(loads: Any) -> None:
    made = loads({ROUTES: ('${PAGER_HOST:127.0.0.1}"', '2.50"')})
    assert made.partners[0].destination.host == "2.50"
    made = loads({ROUTES: ('"${PAGER_HOST:127.0.0.1}"', "2.50")})
    assert made.partners[0].destination.host == "2.50"


def port(made: Any) -> int:
    return next(c.source.port for c in made.channels if c.name == "lab")


def test_a_variable_comes_from_the_process_then_the_environment_file_then_its_default(loads: Any) -> None:
    token = {"PAGER_TOKEN": CANARY}
    assert port(loads(environ={**token, "LAB_PORT": "4000"}, environment="test")) == 4000
    assert port(loads(environ=token, environment="test")) == 3000
    assert port(loads(environ=token)) == 2576


def test_a_variable_is_text_inside_text_and_never_structure(loads: Any) -> None:
    environ = {"PAGER_TOKEN": CANARY, "PAGER_HOST": "{b: [1]}"}
    made = loads({ROUTES: ("${PAGER_HOST:127.0.0.1}", "a-${PAGER_HOST}-$${X}")}, environ=environ)
    assert made.partners[0].destination.host == "a-{b: [1]}-${X}"


def test_a_variable_is_not_expanded_twice(loads: Any) -> None:
    made = loads(environ={"PAGER_TOKEN": CANARY, "PAGER_HOST": "${PAGER_TOKEN}"})
    assert made.partners[0].destination.host == "${PAGER_TOKEN}"


def test_an_environment_holds_values_only(loads: Any) -> None:
    problems = loads({"environments/test.yaml": "LAB_PORT: [1]\n"}, environment="test")
    assert str(problems[0]).startswith("environments/test.yaml:1:11: wrong-type")


def test_a_secret_reaches_the_destination_and_no_text(loads: Any) -> None:
    made = loads()
    token = made.partners[0].destination.token
    assert (isinstance(token, Secret), str(token)) == (True, CANARY)
    assert CANARY not in repr(made)


@pytest.mark.parametrize(
    "change",
    [
        ('127.0.0.1}"', '127.0.0.1}", mode: "${PAGER_TOKEN}"'),
        ("head: block", 'head: "${PAGER_TOKEN}"'),
        ("connections: 4", 'connections: "${PAGER_TOKEN}"'),
        ("first: 1s", 'first: "${PAGER_TOKEN}"'),
        ("when: {OBX-8: [HH, LL]}", 'when: "${PAGER_TOKEN}"'),
        ("table: lab_to_loinc", 'table: "${PAGER_TOKEN}"'),
        ("field: OBX-3", 'field: "${PAGER_TOKEN}"'),
        ("to: pager", 'to: "${PAGER_TOKEN}"'),
        ("lab, adt", 'lab, "${PAGER_TOKEN}"'),
    ],
)
def test_a_secret_in_the_wrong_place_is_a_problem_that_does_not_show_it(loads: Any, change: Any) -> None:
    problems = loads({ROUTES: change})
    assert isinstance(problems, list)
    assert CANARY not in "".join(map(str, problems))
    assert CANARY not in repr(problems)


@pytest.mark.parametrize("written", ["hunter2", "1234", '"${PAGER_TOKEN:hunter2}"'])
def test_a_secret_may_not_stand_in_the_file(loads: Any, written: str) -> None:
    problems = loads({ROUTES: ('"${PAGER_TOKEN}"', written)})
    assert [(p.line, p.column, p.code) for p in problems] == [(3, 60, "secret-in-file")]
    assert "hunter2" not in str(problems[0])
    assert "1234" not in str(problems[0])


def test_a_secret_is_not_taken_from_an_environment_file(loads: Any) -> None:
    files = {"environments/test.yaml": "PAGER_TOKEN: x\n"}
    (problem,) = loads(files, environment="test", environ={})
    assert (problem.code, problem.file) == ("unset-variable", ROUTES)
    assert "not taken from a file" in problem.text


def test_what_plugins_import_brings_no_heavy_library() -> None:
    heavy = "{'pydantic', 'pydantic_core', 'ruamel.yaml'} & set(sys.modules)"
    code = (
        f"import sys, engine.channel, engine.settings, engine.subject, engine.guard; sys.exit(bool({heavy}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

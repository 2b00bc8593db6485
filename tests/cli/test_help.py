"""`--help` answers at once because nothing heavy is imported for it; names and flags are a contract."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from engine.cli import parser
from tests.cli.conftest import ROOT, Chartwire

COMMANDS = ("run", "check", "test", "apply", "pause", "send", "messages", "queues", "list", "token")
PROBE = """
import json, sys
before = set(sys.modules)
from engine.cli import main
try:
    main(json.loads(sys.argv[1]))
except SystemExit as ended:
    status = ended.code
print(json.dumps([status, sorted(set(sys.modules) - before)]), file=sys.stderr)
"""
SLOW = {"asyncio", "ssl", "http", "email", "concurrent", "multiprocessing", "logging", "decimal", "sqlite3"}


def imported(*arguments: str) -> set[str]:
    """The top-level modules that a command line imports beyond those that Python needs to start."""
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    status, modules = json.loads(ended.stderr.splitlines()[-1])
    assert status == 0
    return set(modules)


@pytest.mark.parametrize("command", ["", *COMMANDS, "messages list", "messages trace", "token create"])
def test_help_imports_nothing_heavy(command: str) -> None:
    modules = imported(*command.split(), "--help")
    tops = {name.partition(".")[0] for name in modules}
    assert tops <= {*sys.stdlib_module_names, "engine"}
    assert not tops & SLOW
    light = {"engine", "engine.client"}
    assert {name for name in modules if name.startswith("engine") and "engine.cli" not in name} <= light


async def test_help_names_every_command_and_every_setting(chartwire: Chartwire) -> None:
    ended = await chartwire("--help")
    assert ended.status == 0
    settings = [f"CHARTWIRE_{name}" for name in ("CONFIG", "DATA", "ENV", "HTTP", "LOG_LEVEL")]
    for word in (*COMMANDS, *settings):
        assert word in ended.out


CONTRACT = """
run
run --config c --data d --env prod
check
check --config c --env prod
test
test --config c
send a.hl7 b.hl7 --to mllp://127.0.0.1:2575 --count 3 --connections 2
messages list
messages list --channel c --state STORED --patient 1 --key k --since 2h --limit 5 --json --data d
messages show 7
messages trace 7 --json --data d
list sources
list destinations --json
list transforms
list formats
token create --name n
token create --name n --data d
"""
BROKEN = """
dance
run now
run --port 1
send --to mllp://h:1
send a.hl7
send a.hl7 --to x --count 0
send a.hl7 --to x --connections many
messages
messages show
messages show x
messages list 7
list
list everything
token
token create
"""


@pytest.mark.parametrize("line", CONTRACT.strip().splitlines())
def test_what_the_contract_says_is_understood(line: str) -> None:
    assert callable(parser().parse_args(line.split()).command)


@pytest.mark.parametrize("line", ["", *BROKEN.strip().splitlines()])
async def test_what_is_not_understood_exits_2_and_says_how(chartwire: Chartwire, line: str) -> None:
    ended = await chartwire(*line.split())
    assert ended.status == 2
    assert ended.err.startswith("usage: chartwire")


def test_defaults_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "DATA", "ENV"):
        monkeypatch.delenv(f"CHARTWIRE_{name}", raising=False)
    asked = parser().parse_args(["run"])
    assert (str(asked.config), str(asked.data), asked.env) == (".", "data", None)
    monkeypatch.setenv("CHARTWIRE_CONFIG", "/c")
    monkeypatch.setenv("CHARTWIRE_DATA", "/d")
    monkeypatch.setenv("CHARTWIRE_ENV", "prod")
    asked = parser().parse_args(["run"])
    assert (str(asked.config), str(asked.data), asked.env) == ("/c", "/d", "prod")
    asked = parser().parse_args(["run", "--config", "x", "--data", "y", "--env", "z"])
    assert (str(asked.config), str(asked.data), asked.env) == ("x", "y", "z")

"""Logs are JSON lines with ids, counts and durations; content does not get in, whoever tries to log it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from engine.logging import configure
from engine.message import State
from store.reason import Reason

CANARY = "RAMOSCANARY"


class Log(io.StringIO):
    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged; afterwards everything is as it was."""
    root, hooks = logging.root, (sys.excepthook, threading.excepthook, sys.unraisablehook)
    handlers, level, written = root.handlers, root.level, Log()
    configure("debug", written)
    yield written
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level
    logging.getLogger("uvicorn.access").disabled = False
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


def test_an_event_is_one_json_line_with_its_values(log: Log) -> None:
    structlog.get_logger("delivery").warning(
        "not delivered", delivery=7, state=State.STORED, took=0.25, to="pager"
    )
    (line,) = log.lines
    assert list(line)[:4] == ["time", "level", "log", "event"]
    assert line["time"].endswith("Z")
    del line["time"]
    assert line == {
        "level": "warning", "log": "delivery", "event": "not delivered",
        "delivery": 7, "state": "STORED", "took": 0.25, "to": "pager",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", "abc"), ("info", "bc"), ("warning", "c"), ("WARNING", "c"), ("nonsense", "bc")],
)
def test_the_level_is_chosen(log: Log, level: str, expected: str) -> None:
    configure(level, log)
    logger = structlog.get_logger("engine")
    logger.debug("a")
    logger.info("b")
    logger.error("c")
    assert "".join(line["event"] for line in log.lines) == expected


def test_the_level_comes_from_the_environment(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTWIRE_LOG_LEVEL", "error")
    configure(stream=log)
    structlog.get_logger("engine").warning("unheard")
    structlog.get_logger("engine").error("heard")
    assert [line["event"] for line in log.lines] == ["heard"]


@pytest.mark.parametrize(
    "value",
    [
        CANARY.encode(),
        bytearray(CANARY.encode()),
        f"PID|||1001||{CANARY}",
        f"MSH\r{CANARY}",
        f"{CANARY}\x00",
        CANARY + "x" * 200,
        Reason("code", CANARY),
        ValueError(CANARY),
        object,
        [CANARY.encode(), {"name": CANARY.encode()}],
        {f"{CANARY}|": 1},
        (Reason("code", CANARY),),
    ],
)
def test_a_value_that_may_be_content_is_kept_out(log: Log, value: object) -> None:
    structlog.get_logger("engine").error("event", value=value, many=[value], within={"name": value})
    assert len(log.lines) == 1
    assert CANARY not in log.getvalue()


def test_ordinary_values_are_kept(log: Log) -> None:
    values = {
        "n": 1,
        "flag": True,
        "none": None,
        "text": "ADT^A01",
        "place": "PID-3[2].4",
        "path": Path("/data"),
    }
    structlog.get_logger("engine").info("event", **values, names=["adt", "lab"], by={"adt": 1})
    (line,) = log.lines
    assert {name: line[name] for name in values} == {**values, "path": "/data"}
    assert (line["names"], line["by"]) == (["adt", "lab"], {"adt": 1})


def fail() -> None:
    try:
        raise KeyError(CANARY)
    except KeyError as error:
        raise ValueError(f"cannot read {CANARY}") from error


def test_of_an_exception_its_types_and_places_are_told(log: Log) -> None:
    try:
        fail()
    except ValueError as error:
        structlog.get_logger("engine").exception("failed")
        structlog.get_logger("engine").error("failed", exc_info=error, stack_info=True)
    assert CANARY not in log.getvalue()
    for line in log.lines:
        assert line["exception"] == ["ValueError", "KeyError"]
        assert [place.partition(":")[0] for place in line["places"]] == ["tests/engine/test_logging.py"] * 3
        assert any(place.endswith(" fail") for place in line["places"])


def test_a_library_may_say_that_but_not_what(log: Log) -> None:
    library = logging.getLogger("some.library")
    library.warning("cannot parse %s", CANARY)
    try:
        fail()
    except ValueError:
        library.exception(f"failed on {CANARY}")
    assert CANARY not in log.getvalue()
    first, second = log.lines
    assert (first["log"], first["level"], first["event"]) == ("some.library", "warning", "a library says")
    assert first["where"].startswith("test_logging.py:")
    assert second["exception"] == ["ValueError", "KeyError"]


def test_who_asked_for_what_is_not_logged_at_all(log: Log) -> None:
    for name in ("uvicorn.access", "aiohttp.access"):
        logging.getLogger(name).info("GET /fhir/Patient?name=%s", CANARY)
    assert log.lines == []


async def test_what_asyncio_reports_is_told_without_the_values_that_it_was_given(log: Log) -> None:
    reported = asyncio.Event()
    loop = asyncio.get_running_loop()

    def broken(received: str) -> None:
        loop.call_soon(reported.set)
        raise ValueError(received)

    loop.call_soon(broken, CANARY)
    await asyncio.wait_for(reported.wait(), 10)
    assert CANARY not in log.getvalue()
    (line,) = log.lines
    assert (line["log"], line["level"], line["exception"]) == ("asyncio", "error", ["ValueError"])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_nobody_catches_is_told_the_same_way(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    assert [line["event"] for line in log.lines] == [
        "a thread ended by an exception",
        "an exception was not caught",
    ]
    assert all(line["exception"] == ["ValueError", "KeyError"] for line in log.lines)
    assert CANARY not in log.getvalue() + "".join(capsys.readouterr())

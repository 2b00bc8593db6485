"""Logs: JSON lines on standard error with ids, counts and durations. Content of messages never gets in.

What an event says is fixed text of ours; its values are names, ids, counts and durations. Everything else
is kept out by construction: bytes, long texts, texts that look like HL7, objects, the texts of exceptions
(they may quote what they could not handle) and whatever a library wants to say. Of an exception its type and
the places in the code are told.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec
import structlog

LONGEST, MOST = 200, 50
ROOT = Path(__file__).resolve().parent.parent
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_UNFIT = re.compile(r"[\x00-\x1f\x7f|]")

Event = MutableMapping[str, Any]


def configure(level: str | None = None, stream: IO[str] | None = None) -> None:
    """Everything that this process logs, and every exception that nobody catches, goes through here.

    `level`: debug, info, warning or error; without it CHARTWIRE_LOG_LEVEL, else info.
    """
    named = (level or os.environ.get("CHARTWIRE_LOG_LEVEL") or "info").lower()
    number = LEVELS.get(named, logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _name,
            _exception,
            _guarded,
            _rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *names: _Lines(stream, *names),
    )
    logging.root.handlers = [_Library()]
    logging.root.setLevel(max(number, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
    logging.getLogger("uvicorn.access").disabled = True  # paths and queries hold identifiers and names
    _catch_all()


class _Lines:
    """One line per event, whole lines only. A log that cannot be written (a full disk) stops nothing.

    Standard error is written past its buffer: what stayed in there would fail once more at exit.
    """

    def __init__(self, stream: IO[str] | None, name: str = "") -> None:
        self.name = name
        self._stream = stream

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError):
            if self._stream is None:
                os.write(2, f"{line}\n".encode())
            else:
                self._stream.write(line + "\n")

    debug = info = warning = error = critical = exception = msg


def _name(logger: Any, method: str, event: Event) -> Event:
    head = {"time": event["time"], "level": event["level"], "log": logger.name, "event": event["event"]}
    return {**head, **event}


def _exception(logger: Any, method: str, event: Event) -> Event:
    """`exc_info` as type and places; `stack_info` not at all."""
    event.pop("stack_info", None)
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    if isinstance(given, tuple):
        error = given[1]
    return {**event, **told(error)} if error else event


def told(error: BaseException) -> dict[str, Any]:
    """What may be told of an exception: the types of it and of its causes, and where it passed through."""
    types: list[str] = []
    places: list[str] = []
    at: BaseException | None = error
    while at and len(types) < 5:
        types.append(type(at).__name__)
        places += [_place(frame) for frame in traceback.extract_tb(at.__traceback__)]
        at = at.__cause__ or at.__context__
    return {"exception": types, "places": places[-12:]}


def _place(frame: traceback.FrameSummary) -> str:
    path = Path(frame.filename)
    shown = (
        path.relative_to(ROOT)
        if path.is_relative_to(ROOT) and "site-packages" not in path.parts
        else path.name
    )
    return f"{shown}:{frame.lineno} {frame.name}"


def _guarded(logger: Any, method: str, event: Event) -> Event:
    return {name: _fit(value) for name, value in event.items()}


def _fit(value: object) -> object:
    """The value, or what kind of value was kept out."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        return str(value) if len(value) <= LONGEST and not _UNFIT.search(value) else f"<text of {len(value)}>"
    if isinstance(value, list | tuple | set | frozenset):
        return [_fit(each) for each in list(value)[:MOST]]
    if isinstance(value, Mapping):
        return {str(_fit(name)): _fit(each) for name, each in list(value.items())[:MOST]}
    return f"<{type(value).__name__}>"


def _rendered(logger: Any, method: str, event: Event) -> str:
    return msgspec.json.encode(event).decode()


class _Library(logging.Handler):
    """What libraries log through the standard library: who, where and which exception, never their text,
    into which some (asyncio) put the values that they were given."""

    def emit(self, record: logging.LogRecord) -> None:
        where = f"{Path(record.pathname).name}:{record.lineno} {record.funcName}"
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger(record.name).log(level, "a library says", where=where, exc_info=record.exc_info)


def _catch_all() -> None:
    def uncaught(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, at)
        else:
            structlog.get_logger("process").critical("an exception was not caught", exc_info=error)

    def in_thread(args: threading.ExceptHookArgs) -> None:
        structlog.get_logger("process").critical("a thread ended by an exception", exc_info=args.exc_value)

    def unraisable(args: Any) -> None:
        structlog.get_logger("process").error("an exception could not be raised", exc_info=args.exc_value)

    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable

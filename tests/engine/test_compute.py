"""The compute process: what ends it costs the message that is to blame, and nobody else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from engine.journal.inbox import Waiting
from engine.message import State
from engine.runtime.compute import Elsewhere, Process, serve

DEADLINE = 30.0
STARTED: list[Process] = []


def working(pipe: Connection, folder: Path) -> None:
    """Messages are a word each: `once` kills the process the first time, `deadly` always, `endless` never ends."""
    serve(pipe, Channels(folder))


def stillborn(pipe: Connection, folder: Path) -> None:
    """The process ends before it can take a message."""


class Channels(dict[str, object]):
    """No channel is configured, and looking for one has consequences."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
        if name == "deadly" or (name == "once" and not (self.folder / "killed").exists()):
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "endless":
            (self.folder / "begun").open("wb").close()  # a pipe: waits until somebody listens
            signal.pause()
        return default


@contextmanager
def elsewhere(target: object, folder: Path, patience: float = DEADLINE) -> Iterator[Elsewhere]:
    spawn = multiprocessing.get_context("spawn")

    def start() -> tuple[Process, Connection]:
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=target, args=(theirs, folder), daemon=True)  # type: ignore[arg-type]
        process.start()
        theirs.close()
        STARTED.append(process)
        return process, ours

    compute = Elsewhere(start, patience)
    try:
        yield compute
    finally:
        compute.close()


def codes(compute: Elsewhere, *words: str) -> list[str]:
    ended = compute([Waiting(n, word, 0, b"") for n, word in enumerate(words, start=1)])
    assert [each.message for each in ended] == list(range(1, len(words) + 1))
    assert {each.state for each in ended} == {State.FAILED}
    return [each.reason.code if each.reason else "" for each in ended]


def test_a_message_that_never_ends_fails_alone(tmp_path: Path) -> None:
    with elsewhere(working, tmp_path, patience=0.5) as compute:
        assert codes(compute, "a", "endless", "b") == ["no-channel", "defect", "no-channel"]


def test_a_message_that_kills_the_process_fails_alone(tmp_path: Path) -> None:
    with elsewhere(working, tmp_path) as compute:
        assert codes(compute, "a", "deadly", "b") == ["no-channel", "defect", "no-channel"]


def test_a_process_killed_from_outside_costs_no_message(tmp_path: Path) -> None:
    with elsewhere(working, tmp_path) as compute:
        assert codes(compute, "once") == ["no-channel"]


def test_a_process_that_cannot_start_costs_no_message(tmp_path: Path) -> None:
    with elsewhere(stillborn, tmp_path) as compute, pytest.raises(EOFError):
        codes(compute, "a")


def test_a_message_without_an_end_does_not_keep_the_engine_from_stopping(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "begun")
    ended: list[BaseException] = []

    def ask(compute: Elsewhere) -> None:
        try:
            codes(compute, "endless")
        except EOFError as e:
            ended.append(e)

    with elsewhere(working, tmp_path) as compute:
        codes(compute, "a")
        asking = threading.Thread(target=ask, args=(compute,), daemon=True)
        asking.start()
        (tmp_path / "begun").read_bytes()
    asking.join(DEADLINE)
    assert len(ended) == 1
    assert not STARTED[-1].is_alive()

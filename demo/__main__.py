"""`make demo`: the engine on this repository's own channels and routes, with partners that send and receive.

First a busy day: twelve stays at once from a hospital and a laboratory. Then one patient, chapter by chapter, over
every wire. `--exit` ends after that instead of waiting for Ctrl-C; `--behave pharmacy=late` tells a partner how to
behave. The exit status is 0 only if everything adds up.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from demo import addresses, chart, summary
from demo.archive import arrivals
from demo.cast import MARTA
from demo.chapters import CHAPTERS, Chapter, untold
from demo.chart import Server
from demo.children import PATIENCE, Child, Failed, Said, ask, chartwire, python, ready
from demo.queues import waiting
from demo.seen import Seen, complete, faults
from demo.stage import BEHAVED, PACKAGES, PARTNERS, Stage
from demo.story import known, story

ROOT = Path(__file__).resolve().parent.parent
WATCHED = "MRN10003"  # the patient of the lines to paste: a false critical value, corrected
DEADLINE = 120.0  # seconds for everything to be answered, and again for everything to be delivered
FEEDS = {"hospital": "adt", "laboratory": "lab_results"}
STOPPING = ("hospital", "laboratory", "engine", "receivers")  # so that nothing in hand is cut off


class Demo:
    """One showing: its processes, where they keep their things, and what was seen."""

    def __init__(self, place: Path, behave: Mapping[str, str], without: Collection[str] = ()) -> None:
        self.place = place
        self.data, self.archive = place / "data", place / "archive"
        self.stage = Stage(place, behave, without)
        self.story = story()
        self.seen = Seen()
        self.progress = summary.Progress(self.story)
        self._heard: queue.Queue[Said] = queue.Queue()
        self._children: dict[str, Child] = {}

    # -- processes

    def start(self) -> None:
        """Receivers, the engine, and when it is ready the senders."""
        self._start("receivers", python("demo.receivers"))
        names = self._addresses()
        self.stage.open(names)
        engine = self._start(
            "engine",
            chartwire("run", "--config", str(self._configuration()), "--data", str(self.data)),
            names | self.stage.names,
        )
        told = ready(engine, self.data)
        self.http: str = told["http"]
        self.token = ask("token", "create", "--name", "demo", "--data", str(self.data)).split()[-1]
        self.stage.enter(self.http, self.token, told["sources"])
        listens = [a for a in sorted(set(told["sources"].values())) if "://" in a]
        print(f"  the engine listens on {', '.join([*listens, self.http])}", flush=True)
        for name, feed in FEEDS.items():
            self._start(name, python(f"demo.{name}", told["sources"][feed]))

    def _start(self, name: str, command: list[str], more: Mapping[str, str] | None = None) -> Child:
        env = {k: v for k, v in os.environ.items() if not k.startswith("CHARTWIRE_")} | dict(more or {})
        child = self._children[name] = Child(name, command, self._heard, self.place / f"{name}.log", env)
        return child

    def _configuration(self) -> Path:
        """The repository's own; without a broker, a copy without the channel that would wait for one."""
        if self.stage.has("mosquitto"):
            return ROOT
        copy = self.place / "configuration"
        shutil.copytree(ROOT / "channels", copy / "channels", ignore=shutil.ignore_patterns("vitals*.yaml"))
        for name in ("routes.yaml", "authorities.yaml"):
            shutil.copy(ROOT / name, copy)
        return copy

    def _addresses(self) -> dict[str, str]:
        """The configuration's ${NAMES}: free ports, so that two demos can run side by side."""
        try:
            _, said = self._heard.get(timeout=PATIENCE)
        except queue.Empty:
            raise Failed(f"the receivers do not listen; see {self.place}/receivers.log") from None
        ports: dict[str, int] = said["ready"]
        self.warehouse = Server(f"http://127.0.0.1:{ports['warehouse']}/fhir")
        return {
            **addresses.ports(ROOT),
            **addresses.folders(ROOT, self.place),
            "CHARTWIRE_HTTP": "127.0.0.1:0",
            "WARD_BOARD_HOST": "127.0.0.1",
            "WARD_BOARD_PORT": str(ports["ward_board"]),
            "PAGER_HOST": "127.0.0.1",
            "PAGER_PORT": str(ports["pager"]),
            "WAREHOUSE_URL": self.warehouse.base,
        }

    def stop(self) -> int:
        """Stop everything; the engine's exit status."""
        status = 0
        for name in STOPPING:
            if child := self._children.pop(name, None):
                ended = child.stop()
                status = ended if name == "engine" else status
        self.stage.stop()
        return status

    # -- watching

    def watch(self) -> None:
        """Until the senders are done, the engine has nothing in hand, and its partners have said so."""
        senders = [self._children[name] for name in FEEDS]
        self._until(lambda: all(s.ended for s in senders), DEADLINE)
        self._until(lambda: not any(waiting(self.http).values()), DEADLINE)
        self._until(lambda: complete(self.story, self.seen), 5.0)
        self.progress.show(self.seen, now=True)

    def _until(self, done: Callable[[], bool], patience: float) -> None:
        """Take what the partners say until `done`; past the deadline the counts tell what is off."""
        deadline = time.monotonic() + patience
        while not done() and time.monotonic() < deadline:
            self._hear(0.1)
            self.check()
            self.seen.arrivals["archive"] = arrivals(self.archive)
            self.progress.show(self.seen)

    def check(self) -> None:
        """Raise Failed if any process has ended in error."""
        for child in self._children.values():
            child.check()

    def _hear(self, patience: float) -> None:
        """Everything that has been said; waits a little for the first."""
        with suppress(queue.Empty):
            self.seen.hear(self._heard.get(timeout=patience)[1])
            while True:
                self.seen.hear(self._heard.get_nowait()[1])

    def faults(self) -> Iterator[str]:
        """Everything that does not add up."""
        listed = ask("messages", "list", "--json", "--limit", "100000", "--data", str(self.data))
        self.seen.messages = [json.loads(line) for line in listed.splitlines()]
        yield from faults(self.story, self.seen)
        for name, depth in waiting(self.http, ended=True).items():
            if depth:
                yield f"engine: {depth:.0f} left in {name}"
        engine = Server(f"{self.http}/fhir", self.token)
        for expected in known():
            yield from chart.faults(engine, expected)
        yield from chart.copied(engine, self.warehouse)

    def case(self) -> str:
        """Her whole story as the engine has it, for people."""
        return ask("case", MARTA.mrn, "--data", str(self.data))

    def events(self) -> list[dict[str, Any]]:
        """The same for programs, when nothing of it is under way any more."""
        self._until(lambda: not any(waiting(self.http).values()), DEADLINE)
        listed = ask("case", MARTA.mrn, "--json", "--data", str(self.data))
        return [json.loads(line) for line in listed.splitlines()]

    def further(self) -> Iterator[str]:
        found = Server(f"{self.http}/fhir", self.token).search("Patient", identifier=WATCHED)
        patient = next((p["id"] for p in found), "ID")
        return summary.further(self.http, self.data, self.token, WATCHED, patient)


def show(demo: Demo, stay: bool) -> int:
    """Play it once; 0 if everything adds up."""
    print(f"Chartwire demo: {len(demo.story)} messages about 12 patients, from a hospital and a laboratory")
    demo.start()
    demo.watch()
    wrong = list(demo.faults())
    print("\n".join(summary.table(demo.story, demo.seen)))
    print(f"\n{MARTA.given} {MARTA.family} ({MARTA.mrn}), one stay over every wire:", flush=True)
    played = {chapter: play(number, chapter, demo.stage) for number, chapter in enumerate(CHAPTERS, start=1)}
    wrong += [fault for found in played.values() for fault in found or ()]
    events = demo.events()
    print(f"\nchartwire case {MARTA.mrn}\n\n{demo.case()}", flush=True)
    if not demo.stage.misbehaves:
        wrong += untold([chapter for chapter, found in played.items() if found is not None], events)
    (demo.place / "wrong.txt").write_text("".join(f"{w}\n" for w in wrong))
    print("\n".join(summary.verdict(wrong)), flush=True)
    if stay:
        print("\n".join(demo.further()))
        print("\nRunning; Ctrl-C stops.", flush=True)
        _wait(demo)
    return 1 if wrong else 0


def play(number: int, chapter: Chapter, stage: Stage) -> list[str] | None:
    """One chapter and the line that says how it went; what is wrong after it. None: it says nothing of us, as it
    was left out or a partner did the wrong thing that it was told to."""
    print(f"  {number}  {chapter.title:<66}", end="", flush=True)
    if gone := [package for package in chapter.programs if not stage.has(package)]:
        print(f"left out: needs {', '.join(gone)}: apt-get install {' '.join(gone)}")
        return None
    start = time.monotonic()
    wrong = [f"{chapter.wire}: {fault}" for fault in chapter.faults(stage)]
    told = [name for name in chapter.partners if stage.behave.get(name, "accept") not in BEHAVED]
    if told and wrong:
        print(", ".join(f"{name} does as told: {stage.behave[name]}" for name in told))
        print("\n".join(f"       {fault}" for fault in wrong), flush=True)
        return None
    print(f"{'WRONG' if wrong else 'ok':<6}{time.monotonic() - start:4.1f} s", flush=True)
    return wrong


def _on_signals(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _wait(demo: Demo) -> None:
    """Until Ctrl-C, or until a process ends that should not."""
    try:
        while True:
            demo.check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        print()


def _behaviour(text: str) -> tuple[str, str]:
    partner, equals, how = text.partition("=")
    if partner not in PARTNERS or not equals:
        raise argparse.ArgumentTypeError(f"write PARTNER=HOW; partners are {', '.join(PARTNERS)}")
    return partner, how


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--exit", action="store_true", help="end when everything is played")
    parser.add_argument(
        "--behave", action="append", default=[], type=_behaviour, metavar="PARTNER=HOW",
        help=f"how a partner behaves; one of {', '.join(PARTNERS)}, whose --help says how it can",
    )  # fmt: skip
    parser.add_argument(
        "--without", action="append", default=[], choices=sorted(PACKAGES), help="as if it were not installed"
    )
    asked = parser.parse_args()
    stay = not asked.exit
    place = Path(tempfile.mkdtemp(prefix="chartwire-demo-"))
    demo = Demo(place, dict(asked.behave), asked.without)
    _on_signals(signal.default_int_handler)
    try:
        status = show(demo, stay)
    except Failed as failed:
        print(f"\n{failed}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    finally:
        _on_signals(signal.SIG_IGN)  # stopping ends by itself
        stopped = demo.stop()
    if stopped:
        print(f"\nthe engine stopped with status {stopped}", file=sys.stderr)
    if status == 1 or stopped:
        print(f"logs and data are kept in {place}", file=sys.stderr)
        return status or 1
    shutil.rmtree(place)
    return status


if __name__ == "__main__":
    sys.exit(main())

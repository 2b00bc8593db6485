"""Where one patient's story is played: the engine, the partners that listen, and those that act when called."""

from __future__ import annotations

import json
import os
import queue
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from demo.chart import Server
from demo.children import PATIENCE, Child, Failed, Said, ask, python
from demo.partners import broker, certificate

Json = dict[str, Any]

PARTNERS = (
    "lab_system", "pacs", "pharmacy",  # are there all the time
    "front_end", "modality", "monitor", "clearinghouse",  # come when a chapter calls them
)  # fmt: skip
BEHAVED = ("accept", "late", "twice")
"""Behaviours after which everything must add up as usual."""


def _dcmtk() -> bool:
    return all(map(shutil.which, ("findscu", "storescu")))


PACKAGES: Mapping[str, Callable[[], Any]] = {"dcmtk": _dcmtk, "mosquitto": broker.found}
"""What partners are made of, by the names of the Debian packages: is it installed?"""


class Stage:
    """`behave`: how partners were told to behave, by their names; the others do what is right. `without`: packages
    that are not there whatever the machine has."""

    def __init__(self, place: Path, behave: Mapping[str, str], without: Collection[str] = ()) -> None:
        self.place = place
        self._without = without
        self.behave = behave
        self.http = self.token = ""
        self.data = place / "data"
        self.sources: Mapping[str, str] = {}
        self.names: dict[str, str] = {}  # where the listening partners are, as the configuration's ${NAMES}
        self.addresses: dict[str, Any] = {}
        self.said: list[Json] = []
        self._heard: queue.Queue[Said] = queue.Queue()
        self._running: dict[str, Child] = {}

    @property
    def misbehaves(self) -> bool:
        """Was some partner told to do what is wrong?"""
        return not set(self.behave.values()) <= set(BEHAVED)

    # -- partners

    def open(self, names: Mapping[str, str]) -> None:
        """Start the partners that listen; `names` are where the engine is going to listen."""
        self._listen("lab_system", "--results", f"127.0.0.1:{names['LAB_PORT']}")
        self._listen("pacs")
        self._pharmacy(names["PHARMACY_IN_PORT"])
        self.names |= {"LIS_HOST": "127.0.0.1", "LIS_PORT": str(self.addresses["lis"])}
        self.names |= {"PACS_HOST": "127.0.0.1", "PACS_PORT": str(self.addresses["pacs"])}
        if self.has("mosquitto"):
            self._listen("broker")
            self.names |= {"MQTT_HOST": "127.0.0.1", "MQTT_PORT": str(self.addresses["broker"])}

    def _pharmacy(self, port: str) -> None:
        """Over HTTPS where a certificate can be made; the engine trusts that one."""
        answers = ("--answers", f"http://127.0.0.1:{port}/script")
        if made := certificate.make(self.place):
            self._listen("pharmacy", *answers, "--certificate", str(made[0]), "--key", str(made[1]))
            self.names["SSL_CERT_FILE"] = str(made[0])
        else:
            self._listen("pharmacy", *answers)
        self.names["PHARMACY_URL"] = self.addresses["pharmacy"]

    def has(self, package: str) -> bool:
        return package not in self._without and bool(PACKAGES[package]())

    def enter(self, http: str, token: str, sources: Mapping[str, str]) -> None:
        """The engine is ready."""
        self.http, self.token, self.sources = http, token, sources

    def _listen(self, name: str, *arguments: str) -> None:
        """Start a partner that listens, and learn its addresses."""
        child = self._running[name] = self._started(name, *arguments)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            child.check()
            if found := [s["ready"] for s in self._new(name) if "ready" in s]:
                self.addresses.update(found[0])
                return
        raise Failed(f"{name} does not listen; see {self.place}/{name}.log")

    def act(self, name: str, *arguments: str) -> list[Json]:
        """Let a partner act, to its end; what it said. Failed: it ended in error, unless it was told to."""
        child = self._started(name, *arguments)
        status = child.wait()
        said = self._new(name)
        if status and name not in self.behave:
            raise Failed(f"{name} ended with status {status}; see {self.place}/{name}.log")
        return said

    def _started(self, name: str, *arguments: str) -> Child:
        how = ("--behave", self.behave[name]) if name in self.behave else ()
        command = python(f"demo.partners.{name}", *arguments, *how)
        env = {k: v for k, v in os.environ.items() if not k.startswith("CHARTWIRE_")}
        return Child(name, command, self._heard, self.place / f"{name}.log", env)

    def _new(self, name: str) -> list[Json]:
        """What has been said since; of one partner. Waits a little for the first."""
        found: list[Said] = []
        try:
            found.append(self._heard.get(timeout=0.05))
            while True:
                found.append(self._heard.get_nowait())
        except queue.Empty:
            pass
        self.said += [said for _, said in found]
        return [said for who, said in found if who == name]

    def check(self) -> None:
        """Raise Failed if a partner that should be there has ended in error."""
        for child in self._running.values():
            child.check()

    def stop(self) -> None:
        while self._running:
            self._running.popitem()[1].stop()

    # -- what is to be seen

    def heard(self, at: str, **wanted: object) -> list[Json]:
        """What was said `at` a place, with these values."""
        self._new("")
        return [s for s in self.said if s.get("at") == at and all(s.get(k) == v for k, v in wanted.items())]

    def until(self, done: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """What `done` answers as soon as that is something; its last answer when it takes too long."""
        deadline = time.monotonic() + patience
        while not (found := done()) and time.monotonic() < deadline:
            self.check()
            time.sleep(0.05)
        return found

    # -- the engine, asked as anybody would

    @property
    def chart(self) -> Server:
        return Server(f"{self.http}/fhir", self.token)

    def found(self, type: str, **parameters: str) -> list[Json]:
        return list(self.chart.search(type, **parameters))

    def messages(self, channel: str) -> Iterator[Json]:
        """The engine's messages of one channel, the newest first."""
        listed = ask("messages", "list", "--json", "--channel", channel, "--data", str(self.data))
        yield from (json.loads(line) for line in listed.splitlines())

"""`make bench`, PostgreSQL: ADT end to end with two workers beside the embedded database, in interleaved rounds, and
the memory of each role."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from store.database.postgres import Postgres
from store.database.sqlite import Sqlite
from tests.bench.__main__ import configuration, load, peers
from tests.engine_process import EngineProcess, port_of
from tests.postgres_server import PostgresServer, postgres_server

ONE = {"all": "all"}
FOUR = {"intake": "intake", "worker 1": "worker", "worker 2": "worker", "deliver": "deliver"}


@contextmanager
def engines(
    roles: Mapping[str, str], env: Mapping[str, str], ports: list[int]
) -> Iterator[dict[str, EngineProcess]]:
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    config = configuration(folder / "config", stores=True, peers=ports)
    made = {
        name: EngineProcess(config, folder / name, env, arguments=("--role", role))
        for name, role in roles.items()
    }
    try:
        for process in made.values():
            process.start()
        yield made
        for process in made.values():
            assert process.stop() == 0
    finally:
        shutil.rmtree(folder)


def rate(
    made: Mapping[str, EngineProcess], ask: Callable[[str], list[Any]], messages: int, prefix: str
) -> float:
    """Messages a second, from the first to the last settled delivery."""
    first = next(iter(made.values()))
    port = port_of(json.loads((first.data / "engine.json").read_text())["sources"]["feed"])
    time.sleep(2.0)  # claims are made once
    began = time.perf_counter()
    load(port, 64, messages, prefix)
    while ask("SELECT count(*) FROM delivery WHERE state = 'DELIVERED'")[0][0] < 2 * messages:
        time.sleep(0.02)
    return messages / (time.perf_counter() - began)


def memory(process: EngineProcess) -> float:
    """PSS of the process and those that it started, in MB."""
    assert process.process
    group = process.process.pid
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[2]) == group:
                lines = (status.parent / "smaps_rollup").read_text().splitlines()
                total += int(next(x for x in lines if x.startswith("Pss:")).split()[1])
        except (OSError, StopIteration):
            continue
    return total / 1024


def round_of(figures: dict[str, list[float]], server: PostgresServer, messages: int, round: int) -> None:
    with peers() as ports:
        with engines(ONE, {}, ports) as made:
            reader: Any = Sqlite(made["all"].data / "chartwire.db", writes=False)
            figures["embedded"].append(rate(made, reader.all, messages, f"S{round}"))
        for what, roles in (("one process", ONE), ("two workers", FOUR)):
            url = server.database(Path(f"{what} {round}"))
            with engines(roles, {"CHARTWIRE_DATABASE": url}, ports) as made:
                reader = Postgres(url, writes=False)
                figures[what].append(rate(made, reader.all, messages, f"P{round}"))
                for name, process in made.items():
                    figures[f"memory {name}"].append(memory(process))
                reader.close()


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--messages", type=int, default=2000)
    chosen = options.parse_args()
    figures: dict[str, list[float]] = defaultdict(list)
    with postgres_server() as server:
        for round in range(chosen.rounds):
            round_of(figures, server, chosen.messages, round)
    middle = {name: statistics.median(values) for name, values in figures.items()}
    for name, values in figures.items():
        print(f"{name:28} {middle[name]:10.2f}   {min(values):10.2f} .. {max(values):10.2f}")
    for what in ("one process", "two workers"):
        print(f"ADT end to end on PostgreSQL, {what}: {middle[what] / middle['embedded']:.2f} of embedded")


if __name__ == "__main__":
    main()

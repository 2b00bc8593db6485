"""`make bench`: the engine's hot paths as ratios to what this machine can do, measured in the same run.

Rounds are interleaved and medians are printed, because a shared machine drifts. Load and peers are processes of
their own; their CPU is stated, because they share the cores with the engine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from store.database.sqlite import Sqlite
from tests.bench import ceilings, wires
from tests.engine_process import ROOT, EngineProcess, port_of

Figures = dict[str, list[float]]
CHANNEL = """
channel: {name}
about: For the benchmark.
source:
  mllp: {{port: 0}}
format: hl7v2
timezone: America/New_York
order_by: PID-3
{store}
"""
AUTHORITIES = (
    'authorities:\n  ghh: {namespace: "urn:oid:2.16.840.1.113883.19.5", aliases: [GHH], identifies: true}\n'
)
ROUTES = """
destinations:
  one: {{mllp: {{host: 127.0.0.1, port: {0}}}, connections: 16}}
  two: {{mllp: {{host: 127.0.0.1, port: {1}}}, connections: 16}}
routes:
  - {{from: feed, to: [one, two]}}
"""


def configuration(folder: Path, *, stores: bool, peers: list[int]) -> Path:
    (folder / "channels").mkdir(parents=True)
    store = "store: {hl7v2_to_fhir: {new_patients: true}}" if stores else ""
    (folder / "channels" / "feed.yaml").write_text(CHANNEL.format(name="feed", store=store))
    (folder / "authorities.yaml").write_text(AUTHORITIES)
    (folder / "routes.yaml").write_text(ROUTES.format(*peers) if peers else "destinations: {}\nroutes: []\n")
    return folder


@contextmanager
def peers(*kind: str) -> Iterator[list[int]]:
    command = [sys.executable, "-m", "tests.bench.peers", *kind]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout
        assert process.stdin
        yield json.loads(process.stdout.readline())
        process.stdin.close()


@contextmanager
def engine(*, stores: bool, ports: list[int]) -> Iterator[tuple[EngineProcess, int]]:
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    process = EngineProcess(configuration(folder / "config", stores=stores, peers=ports), folder / "data")
    try:
        yield process, port_of(process.start()["sources"]["feed"])
        assert process.stop() == 0
    finally:
        shutil.rmtree(folder)


def load(
    port: int, connections: int, messages: int, prefix: str, kind: str = "adt", rate: float = 0.0
) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "tests.bench.load",
        str(port),
        str(connections),
        str(messages),
        prefix,
        kind,
        str(rate),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def acknowledgements(figures: Figures, round: int, scale: float) -> None:
    """Durable acknowledgements at 1, 8 and 64 connections beside both ceilings; nothing else is asked for."""
    with engine(stores=False, ports=[]) as (_, port), peers("echo") as echo:
        for connections, messages in (
            (1, int(2000 * scale)),
            (8, int(6000 * scale)),
            (64, int(20000 * scale)),
        ):
            bare = load(echo[0], connections, messages, f"E{round}x{connections}")
            ours = load(port, connections, messages, f"A{round}x{connections}")
            figures[f"echo {connections}"].append(bare["rate"])
            figures[f"inserts {connections}"].append(ceilings.inserts(connections, messages))
            figures[f"ack {connections}"].append(ours["rate"])
            figures[f"ack {connections} p50"].append(ours["p50"])
            figures[f"ack {connections} p99"].append(ours["p99"])


def half_load(figures: Figures, round: int, scale: float) -> None:
    """How long a sender waits at half of what the engine can take and process, beside bare fsyncs; and how many
    commits a message costs at saturation, and with one sender that takes its time."""
    with engine(stores=False, ports=[]) as (process, port):
        commits = _metric(process, "chartwire_commits_total")
        messages = int(12000 * scale)
        began = time.perf_counter()
        load(port, 64, messages, f"S{round}")
        saturated = _metric(process, "chartwire_commits_total")
        figures["commits saturated"].append((saturated - commits) / messages)
        _drained(process)
        figures["sustained"].append(messages / (time.perf_counter() - began))
        fsyncs = ceilings.fsyncs(int(1000 * scale))
        figures["fsync p50"].append(fsyncs[len(fsyncs) // 2] * 1e3)
        figures["fsync p99"].append(fsyncs[int(len(fsyncs) * 0.99)] * 1e3)
        half = load(port, 64, int(messages / 2), f"H{round}", rate=figures["sustained"][-1] / 2)
        figures["half load p50"].append(half["p50"])
        figures["half load p99"].append(half["p99"])
        _drained(process)
        before = _metric(process, "chartwire_commits_total")
        slow = int(100 * scale) or 1
        load(port, 1, slow, f"L{round}", rate=50.0)
        figures["commits slow"].append((_metric(process, "chartwire_commits_total") - before) / slow)


def end_to_end(figures: Figures, kind: str, messages: int, round: int) -> None:
    """Socket to chart to two acknowledging destinations, until the last delivery is settled."""
    with peers() as ports, engine(stores=True, ports=ports) as (process, port):
        began = time.perf_counter()
        sent = load(port, 64, messages, f"{kind}{round}", kind)
        reader = Sqlite(process.data / "chartwire.db", writes=False)
        while reader.all("SELECT count(*) FROM delivery WHERE state = 'DELIVERED'")[0][0] < 2 * messages:
            time.sleep(0.01)
        wall = time.perf_counter() - began
        assert reader.all("SELECT DISTINCT state FROM message") == [("STORED",)]
        figures[f"{kind} end to end"].append(messages / wall)
        figures[f"{kind} ack p99"].append(sent["p99"])
        figures[f"{kind} commits per message"].append(_metric(process, "chartwire_commits_total") / messages)
        figures[f"{kind} memory MB"].append(_memory(process))
        figures[f"{kind} engine CPU ms"].append(_cpu(process) / messages * 1e3)
        figures[f"{kind} sender CPU ms"].append(sent["cpu"] / messages * 1e3)
        reader.close()
        figures[f"{kind} by hand"].append(ceilings.transaction(process.data / "chartwire.db"))


def _drained(process: EngineProcess) -> None:
    """Until nothing waits to be processed."""
    while _metric(process, 'chartwire_queue_depth{channel="feed"}'):
        time.sleep(0.05)


def _metric(process: EngineProcess, name: str) -> float:
    from urllib.request import urlopen

    address = json.loads((process.data / "engine.json").read_text())["http"]
    with urlopen(f"{address}/metrics") as answer:
        line = next(x for x in answer.read().decode().splitlines() if x.startswith(name + " "))
    return float(line.split()[1])


def _memory(process: EngineProcess) -> float:
    assert process.process
    status = Path(f"/proc/{process.process.pid}/smaps_rollup").read_text()
    return int(next(x for x in status.splitlines() if x.startswith("Pss:")).split()[1]) / 1024


def _cpu(process: EngineProcess) -> float:
    assert process.process
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def report(figures: Figures) -> None:
    middle = {name: statistics.median(values) for name, values in figures.items()}
    for name, values in figures.items():
        print(f"{name:28} {middle[name]:10.2f}   {min(values):10.2f} .. {max(values):10.2f}")
    print()
    for c in (1, 8, 64):
        lower = min(middle[f"echo {c}"], middle[f"inserts {c}"])
        print(f"acknowledgements, {c:2} connections: {middle[f'ack {c}'] / lower:.2f} of the lower ceiling")
    share = middle["half load p99"] / middle["fsync p99"]
    print(f"acknowledgement p99 at half load: {share:.1f} times the p99 of a bare fsync")
    saturated, slow = middle["commits saturated"], middle["commits slow"]
    print(f"commits per message: {saturated:.3f} saturated, {slow:.1f} with one slow sender")
    for kind in ("adt", "oru"):
        share = middle[f"{kind} end to end"] / middle[f"{kind} by hand"]
        print(f"{kind} end to end: {share:.2f} of the hand-written transaction")


def main() -> None:
    options: Any = argparse.ArgumentParser(prog="make bench")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--scale", type=float, default=1.0)
    chosen = options.parse_args()
    figures: Figures = defaultdict(list)
    for round in range(chosen.rounds):
        acknowledgements(figures, round, chosen.scale)
        half_load(figures, round, chosen.scale)
        end_to_end(figures, "adt", int(4000 * chosen.scale), round)
        end_to_end(figures, "oru", int(1000 * chosen.scale), round)
    report(figures)
    print()
    asyncio.run(wires.figures(chosen.rounds))


if __name__ == "__main__":
    main()

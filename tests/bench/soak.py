"""`make soak ARGS="--minutes 60"`: steady traffic; memory must not grow and nothing may be left in a queue.

After each round everything must be delivered. Memory is judged between the first and the last third of the
rounds, the first few aside, in which caches fill.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

from store.database.sqlite import Sqlite
from tests.bench.__main__ import _memory, engine, load, peers

MESSAGES = 2000
PATIENCE = 120.0
WARM = 5  # rounds; each kind of message was there
GROWTH = 1.15  # of memory, at most


def soak(minutes: float) -> list[float]:
    """Rounds until the time is over; the engine's memory in MB after each."""
    memory: list[float] = []
    until = time.monotonic() + minutes * 60
    with peers() as ports, engine(stores=True, ports=ports) as (process, port):
        reader = Sqlite(process.data / "chartwire.db", writes=False)
        while time.monotonic() < until or len(memory) < WARM + 6:
            number = len(memory)
            sent = load(port, 16, MESSAGES, f"S{number}x", "oru" if number % 4 == 3 else "adt")
            _drained(reader, 2 * MESSAGES * (number + 1))
            memory.append(_memory(process))
            print(
                f"round {number + 1:4}: {sent['rate']:6.0f}/s  p99 {sent['p99']:6.1f} ms  {memory[-1]:6.1f} MB",
                flush=True,
            )
        reader.close()
    return memory


def _drained(reader: Sqlite, deliveries: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while (done := reader.all("SELECT count(*) FROM delivery WHERE state = 'DELIVERED'")[0][0]) < deliveries:
        if time.monotonic() > deadline:
            raise SystemExit(f"{deliveries - done} deliveries are stuck")
        time.sleep(0.05)


def growth(memory: Sequence[float]) -> float:
    warm = memory[WARM:]
    third = len(warm) // 3
    return statistics.median(warm[-third:]) / statistics.median(warm[:third])


def main() -> int:
    options = argparse.ArgumentParser(prog="make soak")
    options.add_argument("--minutes", type=float, default=60.0)
    grown = growth(soak(options.parse_args().minutes))
    print(f"memory: {grown:.2f} of what it was")
    return 0 if grown <= GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())

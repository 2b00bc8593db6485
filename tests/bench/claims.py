"""Claims through the splitter: how many a second, beside pyx12 alone with its maps kept, and how much memory a file
ten times as long takes. It fails if that is more than a tenth.

python -m tests.bench.claims
"""

from __future__ import annotations

import functools
import io
import logging
import sys
import tempfile
import time
from pathlib import Path

from tests.adapters.test_x12_split import peak
from tests.adapters.x12_interchange import write_big

SIZES = (5_000_000, 50_000_000)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "claims.x12"
        peaks = [measured(path, size) for size in SIZES]
        claims = write_big(path, SIZES[0] // 5)
        print(f"pyx12 alone, its maps read once: {claims / pyx12_alone(path):.0f} claims a second")
    return int(peaks[1] > 1.1 * peaks[0])


def measured(path: Path, size: int) -> int:
    """The peak of resident memory, in KiB."""
    claims = write_big(path, size, size // 2_500_000)
    start = time.perf_counter()
    taken, memory = peak(path)
    rate = claims / (time.perf_counter() - start)
    assert taken == claims
    print(
        f"{size // 1_000_000} MB: {claims} claims, {rate:.0f} a second, {memory / 1024:.1f} MiB", flush=True
    )
    return memory


def pyx12_alone(path: Path) -> float:
    """Seconds that pyx12 takes to check the file and write its 999."""
    import pyx12.map_if
    import pyx12.params
    import pyx12.x12n_document as document

    logging.getLogger("pyx12").setLevel(logging.CRITICAL)
    parameters = pyx12.params.params()
    load = pyx12.map_if.load_map_file
    kept = functools.cache(lambda name: load(name, parameters))
    pyx12.map_if.load_map_file = lambda name, param, map_path=None: kept(name)
    document.x12n_document(parameters, str(path), io.StringIO(), None)
    start = time.perf_counter()
    assert document.x12n_document(parameters, str(path), io.StringIO(), None)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())

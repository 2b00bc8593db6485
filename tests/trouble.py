"""A machine in trouble: a disk that is full or breaks, a clock that is set back (`trouble.c`)."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("trouble.c")


def shim(folder: Path) -> Path:
    """The library to preload."""
    library = folder / "trouble.so"
    command = ["gcc", "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


class Machine:
    """The disk below a data directory and the clock, and what is wrong with them."""

    def __init__(self, directory: Path) -> None:
        self._flags = directory / "trouble"
        self._flags.mkdir(parents=True)

    def env(self, library: Path, data: Path) -> dict[str, str]:
        return {"LD_PRELOAD": str(library), "TROUBLE": str(self._flags), "TROUBLE_DISK": str(data)}

    def has(self, trouble: str) -> None:
        (self._flags / trouble).touch()

    def is_well(self) -> None:
        for flag in self._flags.iterdir():
            flag.unlink()

    def clock(self, ahead: int) -> None:
        """Seconds, from now on."""
        new = self._flags / "new"
        new.write_text(str(ahead))
        new.rename(self._flags / "clock")

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL of the tests' own, on a socket in a temporary directory; its connection string."""
    if BIN is None:
        pytest.skip("no PostgreSQL server here: `make test` installs it with apt-get")
    home = Path(tempfile.mkdtemp(prefix="postgres"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # initdb refuses to run as root
        shutil.chown(home, "postgres")
        as_user = ["su", "postgres", "-s", "/bin/sh", "-c"]
    data = home / "data"

    def run(command: str) -> None:
        done = subprocess.run(
            [*(as_user or ["sh", "-c"]), command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    run(f"{BIN} -D {data} -A trust -U postgres --no-sync")
    run(f"{BIN.parent}/pg_ctl -D {data} -w -l {home}/log -o '-k {home} -h \"\"' start")
    yield f"host={home} user=postgres dbname=postgres"
    run(f"{BIN.parent}/pg_ctl -D {data} -w -m immediate stop")
    shutil.rmtree(home)

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of the tests' own, on a socket in a temporary directory; its connection string."""
    if BIN is None:
        pytest.skip("no PostgreSQL server here: `make test` installs it with apt-get")
    home = tmp_path_factory.mktemp("postgres")
    as_user: list[str] = []
    if os.geteuid() == 0:  # initdb refuses to run as root
        for folder in (home, *home.parents):
            if folder.stat().st_uid == 0 and folder != Path("/tmp") and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o055)
        shutil.chown(home, "postgres")
        as_user = ["su", "postgres", "-s", "/bin/sh", "-c"]
    data = home / "data"

    def run(command: str) -> None:
        subprocess.run(
            [*as_user, command] if as_user else ["sh", "-c", command], check=True, capture_output=True
        )

    run(f"{BIN} -D {data} -A trust -U postgres --no-sync")
    run(f"{BIN.parent}/pg_ctl -D {data} -w -l {home}/log -o '-k {home} -h \"\"' start")
    yield f"host={home} user=postgres dbname=postgres"
    run(f"{BIN.parent}/pg_ctl -D {data} -m immediate stop")

"""`chartwire backup` and `chartwire restore`: everything in one file, and back."""

from __future__ import annotations

import argparse
import fcntl
import os
import tempfile
import time
from pathlib import Path

from engine.cli.options import Commands, data, keys, reasoned
from engine.cli.terminal import no, progress
from engine.client import user

ELSEWHERE = "journal, chart and spool are on PostgreSQL: back up and restore that, as docs/scale-out.md says"


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "backup", help="database and spool in one file, while the engine runs or not"
    )
    command.add_argument("file", type=Path, metavar="FILE", help="a new file; only its owner can read it")
    reasoned(command)
    data(command)
    command.set_defaults(command=backup)
    command = commands.add_parser(
        "restore", help="a backup in the place of the data directory; its deliveries are held"
    )
    command.add_argument("file", type=Path, metavar="FILE", help="what `backup` wrote")
    command.add_argument("--verify", action="store_true", help="only look whether it is whole and sound")
    text = "even if there is data already: that is kept beside it, under another name"
    command.add_argument("--force", action="store_true", help=text)
    reasoned(command)
    data(command)
    command.set_defaults(command=restore)


def backup(asked: argparse.Namespace) -> int:
    """Counts and digest on standard output, progress on standard error."""
    from engine import backup as making
    from engine.journal.audit import Act
    from engine.journal.seal import BadKeys
    from store.database import Down

    if os.environ.get("CHARTWIRE_DATABASE"):
        return no(ELSEWHERE)
    if not (asked.why.strip() or asked.dry_run):
        return no("say why with --why")
    if asked.file.exists():
        return no(f"{asked.file} is there already")
    if asked.dry_run:
        print(f"would write {asked.file}")
        return 0
    act = Act(user(), "backup", {"file": str(asked.file)}, asked.why)
    try:
        counts, digest = making.backup(asked.data, asked.file, keys(), act, time.time_ns() // 1000, progress)
    except (OSError, Down, BadKeys) as error:
        return no(str(error))
    print(f"{_told(counts)}; sha256 {digest}")
    return 0


def restore(asked: argparse.Namespace) -> int:
    """Exit status 1 if the backup is not sound."""
    from engine import backup as making
    from engine.journal.audit import Act
    from engine.journal.seal import BadKeys
    from store.database import Down

    if os.environ.get("CHARTWIRE_DATABASE"):
        return no(ELSEWHERE)
    try:
        if asked.verify or asked.dry_run:
            with tempfile.TemporaryDirectory(dir=asked.file.parent) as folder:
                print(f"sound: {_told(making.verify(asked.file, Path(folder), keys()))}")
            return 0
        if not asked.why.strip():
            return no("say why with --why")
        if asked.data.exists() and any(asked.data.iterdir()) and not asked.force:
            return no(f"there is data in {asked.data}; --force keeps it beside it, under another name")
        if runs(asked.data):
            return no(f"an engine runs on {asked.data}; stop it first")
        act = Act(user(), "restore", {"file": str(asked.file)}, asked.why)
        counts = making.restore(asked.file, asked.data, keys(), act, time.time_ns() // 1000)
    except (OSError, making.Unsound, Down, BadKeys) as error:
        return no(str(error))
    print(f"restored: {_told(counts)}")
    print("every destination is paused: look, then `chartwire resume NAME`")
    return 0


def runs(data: Path) -> bool:
    """Does an engine run on it?"""
    if not (data / "lock").exists():
        return False
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _told(counts: tuple[int, ...]) -> str:
    messages, deliveries, versions, spooled = counts
    return f"{messages} messages, {deliveries} deliveries, {versions} versions of resources, {spooled} spooled files"

"""`chartwire rekey`: encrypt what is there, or write it again with the newest key."""

from __future__ import annotations

import argparse
import time

from engine.cli.backup import runs
from engine.cli.options import Commands, data, keys, reasoned
from engine.cli.terminal import no, progress
from engine.client import user


def add(commands: Commands) -> None:
    text = "write database and spool again with the newest key of CHARTWIRE_KEY_FILE; nothing may run"
    command = commands.add_parser("rekey", help=text)
    reasoned(command)
    data(command)
    command.set_defaults(command=rekey)


def rekey(asked: argparse.Namespace) -> int:
    """It can be broken off and done again."""
    from engine import rekey as writing
    from engine.journal.audit import Act
    from engine.journal.seal import BadKeys
    from store.database import Down

    try:
        if not (held := keys()).keys:
            return no("say with CHARTWIRE_KEY_FILE which keys")
        if not (asked.data / "chartwire.db").is_file():
            return no(f"there is no database in {asked.data}")
        if asked.dry_run:
            print(writing.unlike(asked.data / "chartwire.db", held) or "the database is under the newest key")
            return 0
        if not asked.why.strip():
            return no("say why with --why")
        if runs(asked.data):
            return no(f"an engine runs on {asked.data}; stop it first")
        act = Act(user(), "rekey", {}, asked.why)
        files = writing.rekey(asked.data, held, act, time.time_ns() // 1000, progress)
    except (OSError, Down, BadKeys) as error:
        return no(str(error))
    print(
        f"the database and {files} spooled files are under the newest key; keep the others for older backups"
    )
    return 0

"""The command line: one file a command. What it needs is imported when it runs, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

SETTINGS = """\
environment:
  CHARTWIRE_CONFIG     the configuration directory (default: the current one)
  CHARTWIRE_DATA       everything that the engine writes (default: ./data)
  CHARTWIRE_ENV        NAME of environments/NAME.yaml
  CHARTWIRE_HTTP       HOST:PORT of the HTTP API (default: 127.0.0.1:8080)
  CHARTWIRE_DATABASE   postgresql://... instead of the embedded database
  CHARTWIRE_REDIS      redis://...: hints between processes on one PostgreSQL
  CHARTWIRE_KEY_FILE   keys: database, spool and backups are encrypted
  CHARTWIRE_COMPUTE    1: channels run in a process of their own (default with a second core); 0: in a thread
  CHARTWIRE_LOG_LEVEL  debug, info (default), warning or error
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    asked = parser().parse_args(arguments)
    try:
        status: int = asked.command(asked)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def parser() -> argparse.ArgumentParser:
    """Every module here that has an `add` adds its commands."""
    top = argparse.ArgumentParser(
        "chartwire",
        description="An HL7 v2 / FHIR integration engine built around an EHR core.",
        epilog=SETTINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in sorted(found.name for found in iter_modules(__path__)):
        if module != "__main__" and (add := getattr(import_module(f"{__name__}.{module}"), "add", None)):
            add(commands)
    return top

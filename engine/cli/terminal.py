"""What a command says beside its result, on standard error."""

from __future__ import annotations

import sys


def no(why: str) -> int:
    """It was not done: the exit status."""
    print(f"chartwire: {why}", file=sys.stderr)
    return 1


def progress(text: str) -> None:
    """How far it is, in place, if somebody looks."""
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)

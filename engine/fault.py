"""What is wrong with a setting: said by whoever reads it, located by whoever holds the file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple


class Fault(NamedTuple):
    """`at` is the way from the setting to the wrong part of it: keys and indexes; `suggestion` may be empty.

    `key`: it is the last key of that way that is wrong, not the value below it.
    """

    code: str
    text: str
    suggestion: str = ""
    at: tuple[str | int, ...] = ()
    key: bool = False

    def below(self, *at: str | int) -> Fault:
        """The same fault, seen from further up."""
        return self._replace(at=(*at, *self.at))


class Wrong(ValueError):
    """A setting cannot be read; carries every fault in it."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f.text for f in faults))
        self.faults = faults


def nearest(word: str, words: Iterable[str]) -> str:
    """`did you mean "..."?`, else what there is to choose from (as long as that is short), else nothing."""
    known = sorted(words)
    folded = {w.casefold(): w for w in known}
    if close := difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6):
        return f'did you mean "{folded[close[0]]}"?'
    return f"one of: {', '.join(known)}" if 0 < len(known) <= 20 else ""

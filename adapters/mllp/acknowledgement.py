"""What a sender is told on the connection that its message came by (HL7 v2.5.1: 2.9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from engine.message import Accepted, Duplicate, Receipt, Refused, Unavailable, Uncertain
from formats import hl7v2
from formats.hl7v2.acknowledgement import MODES, Mode, acknowledgement, asked, mode
from formats.hl7v2.msh import UNREADABLE, Header
from store.reason import Reason

Verdict = Literal["accepted", "duplicate", "refused", "unsupported", "unavailable"]
Code = Literal["AA", "AE", "AR"]

CODES: Mapping[Verdict, Code] = {
    "accepted": "AA",
    "duplicate": "AA",
    "refused": "AE",  # the content
    "unsupported": "AR",  # a kind of message that nobody here takes, or no message at all
    "unavailable": "AR",  # our trouble
}
"""MSA-1 by what became of the message; table 0008 in original mode. A commit accept is CA, CE, CR instead."""

_POSITIVE: Mapping[type[Receipt], Verdict] = {Accepted: "accepted", Duplicate: "duplicate"}


class Acknowledger:
    """Makes the acknowledgements of one listener.

    `clock` gives microseconds since the epoch. `origin` begins every MSH-10 of ours: with the count that
    follows it has to stay within 20 characters and be unlike that of any other run.

    At most one answer is given per message on its connection: acknowledgement.tsv says which by MSH-15 and MSH-16,
    or `combinations` where it does not suit; with `original` the original mode holds whatever they say.
    """

    def __init__(
        self,
        codes: Mapping[Verdict, Code],
        *,
        original: bool,
        clock: Callable[[], int],
        origin: str,
        combinations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._own = {key: mode(value) for key, value in combinations.items()}
        self._codes = {verdict: code.encode() for verdict, code in {**CODES, **codes}.items()}
        self._original = original
        self._clock = clock
        self._origin = origin.encode()
        self._count = 0
        self._second = (0, b"")

    def answer(self, header: Header | None, receipt: Receipt, *, message: bool = True) -> bytes | None:
        """The answer to one message, None if it is to have none. `message` False: it was not even one."""
        if header is None:
            header = UNREADABLE
        elif header.unanswered:
            return None
        if isinstance(receipt, (Accepted, Duplicate)):
            if receipt.reply is not None:
                return receipt.reply
            return self._acknowledgement(header, self._codes[_POSITIVE[type(receipt)]], receipt)
        if isinstance(receipt, Uncertain):
            return None
        verdict = _negative(receipt, message)
        return self._acknowledgement(header, self._codes[verdict], receipt, receipt.reason)

    def _acknowledgement(
        self, header: Header, code: bytes, receipt: Receipt, reason: Reason | None = None
    ) -> bytes | None:
        if not self._original and (header.fields[15] or header.fields[16]):
            wanted = self._mode(header, receipt).of(positive=code == b"AA")
            if not wanted or (header.says and wanted == b"A"):  # an answer has no application's answer
                return None
            code = wanted + code[1:]
        self._count += 1
        own = b"%b%d" % (self._origin, self._count)
        expected = getattr(receipt, "expected", None)
        number = b"" if expected is None else b"%d" % expected
        return acknowledgement(header, code, own, self._now(), reason, expected=number)

    def _mode(self, header: Header, receipt: Receipt) -> Mode:
        key = asked(header)
        if (own := self._own.get(key)) is not None:
            return own
        later = isinstance(receipt, Accepted | Duplicate) and receipt.later
        return MODES[key].accept if later else MODES[key].only

    def _now(self) -> bytes:
        second = self._clock() // 1_000_000
        if second != self._second[0]:
            self._second = (second, hl7v2.written(second * 1_000_000))
        return self._second[1]


def _negative(receipt: Refused | Unavailable, message: bool) -> Verdict:
    if isinstance(receipt, Unavailable):
        return "unavailable"
    return "unsupported" if receipt.unsupported or not message else "refused"

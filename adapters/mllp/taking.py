"""What the sources of MLLP have in common: how frames are read and how messages are answered."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from adapters.mllp.acknowledgement import Acknowledger, Code, Verdict
from adapters.mllp.doorman import Doorman
from adapters.mllp.framing import Framer
from adapters.mllp.inbound import Listener
from engine.plugin import Intake
from engine.settings import Seconds, Size
from formats.hl7v2.acknowledgement import MODES, mode


@dataclass(frozen=True, kw_only=True)
class Taking:
    """The settings of a source that takes messages over MLLP and acknowledges them."""

    max_frame: Annotated[Size, "the longest message taken; a longer one is refused"] = 16 << 20
    require_final_cr: Annotated[bool, "false: a block ends with FS, the CR after it may be missing"] = True
    acknowledge: Annotated[
        Literal["auto", "original"],
        "auto: MSH-15 and MSH-16 say which acknowledgement is wanted; original: always AA, AE or AR",
    ] = "auto"
    codes: Annotated[
        Mapping[Verdict, Code], "MSA-1 by what became of the message, where the default does not suit"
    ] = field(default_factory=dict, hash=False)

    combinations: Annotated[
        Mapping[str, str],
        "answers by MSH-15/MSH-16 where the table does not suit: {NE/AL: A/A}, after success and after failure "
        "C (accept), A (application) or -",
    ] = field(default_factory=dict, hash=False)
    sequence: Annotated[
        bool,
        "the sender counts its messages in MSH-13 (2.10.1): what is not next is refused, and MSA-4 says what is",
    ] = False
    idle: Annotated[
        Seconds | None, "a connection is closed on which nothing came for so long; default: never"
    ] = None

    def answering(self) -> list[str]:
        """What is wrong with how it answers."""
        found = [f'combinations: "{k}: {v}" is none such as NE/AL: A/A' for k, v in _odd(self.combinations)]
        if self.idle is not None and self.idle <= 0:
            found.append("idle: should be more than 0")
        if self.codes.get("accepted", "AA") != "AA":
            found.append("codes: what is accepted is answered AA")
        if "AA" in (self.codes.get("unavailable"), self.codes.get("unsupported")):
            found.append("codes: AA may not be said of a message that nobody takes")
        return found

    def listener(self, intake: Intake, doorman: Doorman, *, single: bool = False) -> Listener:
        """What its connections share."""
        original = self.acknowledge == "original"
        acknowledger = Acknowledger(
            self.codes, original=original, clock=_now, origin=_origin(), combinations=self.combinations
        )

        def framer() -> Framer:
            return Framer(self.max_frame, require_final_cr=self.require_final_cr)

        return Listener(
            intake, acknowledger, framer, doorman, self.idle, sequence=self.sequence, single=single
        )


def _odd(combinations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in combinations.items():
        try:
            mode(value)
        except ValueError:
            yield key, value
        else:
            if key not in MODES:
                yield key, value


def _now() -> int:
    return time.time_ns() // 1000


def _origin() -> str:
    """Ten characters that no other run has, before the count in every MSH-10 of ours."""
    return secrets.token_hex(5)

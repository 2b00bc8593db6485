"""Where prescriptions come from: SCRIPT messages posted over HTTPS, each answered in SCRIPT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from adapters.http.source import HttpSource
from engine.plugin import source

if TYPE_CHECKING:
    from adapters.ncpdp.answering import Answering


@source("ncpdp")
@dataclass(frozen=True)
class NcpdpSource(HttpSource):
    """Takes NCPDP SCRIPT messages that are posted to a path, and answers each with Status or Error.

    Status 010: the engine has it; with `ack: processed` the chart has it. Error 900: it is refused, with the code,
    the text and the place of the reason, never with a value; 602: refused for a trouble of ours; 600, with HTTP 503:
    not now, send it again. A connection that is closed without an answer: send it again. Answers relate to the
    MessageID of the message, also where only its Header can be read. That is its key too: the same bytes again are
    answered with the same message. Built and checked against public samples.
    """

    account: Annotated[str, "our own number, in From of what we answer"] = "CHARTWIRE"
    senders: Annotated[tuple[str, ...], "From of those who may send; empty: all"] = ()
    receivers: Annotated[tuple[str, ...], "To of what is for us; empty: all"] = ()

    def _dialect(self) -> Answering:
        from adapters.ncpdp.answering import Answering

        return Answering(self.account, frozenset(self.senders), frozenset(self.receivers))

"""The step `hl7.encode`: the bytes in which a partner wants its messages."""

from __future__ import annotations

from typing import Annotated, Literal

from engine.message import State, Stop
from engine.plugin import transform
from formats import hl7v2
from store.reason import Reason

Charset = Literal[
    "ASCII", "8859/1", "8859/2", "8859/3", "8859/4", "8859/5", "8859/6", "8859/7", "8859/8", "8859/9", "8859/15",
    "UNICODE UTF-8",
]  # fmt: skip
ENDS = {"cr": "\r", "lf": "\n", "crlf": "\r\n"}


@transform("hl7.encode")
def encode(
    message: hl7v2.Message,
    *,
    charset: Annotated[
        Charset | None, "a name of table 0211, written into MSH-18; default: as it came"
    ] = None,
    unwritable: Annotated[
        Literal["refuse", "replace"],
        "a character that it does not have: quarantine the message, or write `?`",
    ] = "refuse",
    terminator: Annotated[
        Literal["cr", "lf", "crlf"],
        "what ends a segment; the standard's is cr (2.5.4), some receivers want another",
    ] = "cr",
) -> bytes | Stop:
    """Writes the message in another character set, or with other segment ends. The last step of a route."""
    try:
        text = message.raw.decode(message.charset).replace("\r\n", "\r").replace("\n", "\r")
    except UnicodeDecodeError:
        return Stop(State.QUARANTINED, Reason("undecodable", "a byte that its character set does not have"))
    codec = message.charset
    if charset:
        text, codec = _declared(text, charset), hl7v2.codec(charset) or "ascii"
    try:
        return text.replace("\r", ENDS[terminator]).encode(codec, _ERRORS[unwritable])
    except UnicodeEncodeError:
        return _unwritable(text, codec)


def _declared(text: str, charset: str) -> str:
    """With the name in MSH-18; MSH-1 is the separator itself, so it is the eighteenth part."""
    header, end, rest = text.partition("\r")
    fields = header.split(header[3])
    fields += [""] * (18 - len(fields))
    fields[17] = charset
    return header[3].join(fields) + end + rest


_ERRORS = {"refuse": "strict", "replace": "replace"}


def _unwritable(text: str, codec: str) -> Stop:
    segment = next(line for line in text.split("\r") if line != line.encode(codec, "ignore").decode(codec))
    why = f"a character that {codec} does not have; set unwritable: replace, or another charset"
    return Stop(State.QUARANTINED, Reason("unwritable", why, segment[:3]))

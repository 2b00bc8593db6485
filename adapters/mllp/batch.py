"""The splitter and the gatherer `hl7.batch`: a batch of HL7 v2 messages becomes its messages, and messages become a
batch (v2.5.1: 2.10.3, 2.15.2, 2.15.6)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Literal

from adapters.mllp.stamp import stamped
from engine.message import Part, Reply, State, Stop
from engine.plugin import Feed, gatherer, splitter
from engine.settings import Size
from formats import hl7v2
from formats.hl7v2 import msh
from formats.reason import Reason

CHUNK = 64 * 1024
_ENDS = re.compile(rb"[\r\n\x0b\x1c]+")  # MLLP's block characters get into files too
_ENVELOPE = (b"FHS", b"BHS", b"BTS", b"FTS")
_OPENS = {b"BTS": b"BHS", b"FTS": b"FHS"}
_NOTHING = Reason("no-msh", "there is no HL7 v2 message in it", "MSH")


@dataclass(slots=True)
class Envelope:
    """What headers and trailers say, and what is there."""

    headers: dict[bytes, list[bytes]] = field(default_factory=dict)
    open: list[bytes] = field(default_factory=list)
    messages: int = 0
    batches: int = 0
    here: int = 0  # messages of the open batch
    problem: Reason | None = None

    def read(self, segment: bytes) -> None:
        name = segment[:3]
        if name in (b"FHS", b"BHS"):
            self.headers.setdefault(name, segment.split(segment[3:4]))
            self.open.append(name)
            self.here = 0
            self.batches += name == b"BHS"
        elif name == b"MSH":
            self.messages += 1
            self.here += 1
        elif name in _OPENS:
            self._close(name, segment)

    def _close(self, name: bytes, segment: bytes) -> None:
        if not self.open or self.open.pop() != _OPENS[name]:
            self._fault(f"{name.decode()} without its {_OPENS[name].decode()}", name)
            return
        said = [*segment.split(segment[3:4]), b"", b""][1].strip()
        counted = self.here if name == b"BTS" else self.batches
        if said and (not said.isdigit() or int(said) != counted):
            what = "messages" if name == b"BTS" else "batches"
            self._fault(f"{name.decode()}-1 does not say how many {what} there are: {counted}", name)

    def _fault(self, text: str, name: bytes) -> None:
        self.problem = self.problem or Reason("batch-envelope", text, name.decode())

    def end(self) -> None:
        if self.open:
            name = self.open[-1]
            self._fault(f"it ends before the trailer of its {name.decode()}: it was cut off", name)


@splitter("hl7.batch")
def batch(
    path: Path,
    feed: Feed,
    seen: bool,
    *,
    envelope: Annotated[
        Literal["strict", "lenient"], "strict: nothing is taken of one that is cut off or miscounted"
    ] = "strict",
    max_part: Annotated[Size, "longer messages are refused"] = 16 << 20,
) -> Iterator[Part | Reply | Stop]:
    """One part for each message of FHS/BHS batches, or of bare messages one after the other; a batch acknowledgement as
    reply where there is a batch. One that cannot be read is kept as REFUSED, and the others go on.
    """
    about = Envelope()
    with path.open("rb") as file:
        for segment in segments(file, max_part):
            about.read(segment)
    about.end()
    if not about.messages:
        yield Stop(State.QUARANTINED, _NOTHING)
        return
    if about.problem and envelope == "strict":
        yield Reply(acknowledgement(about, [], about.problem))
        yield Stop(State.QUARANTINED, about.problem)
        return
    refused: list[Part] = []
    with path.open("rb") as file:
        for part in parts(file, max_part):
            refused += [part] if part.reason else []
            yield part
    if about.headers:
        yield Reply(acknowledgement(about, refused, None))


def segments(file: IO[bytes], most: int) -> Iterator[bytes]:
    """Segment by segment; of one that is longer than `most`, the beginning."""
    pieces: list[bytes] = []
    size = 0
    while chunk := file.read(CHUNK):
        first, *others = _ENDS.split(chunk)
        if size <= most:
            pieces.append(first)
            size += len(first)
        for other in others:
            if (segment := b"".join(pieces)).strip():
                yield segment
            pieces, size = [other], len(other)
    if (segment := b"".join(pieces)).strip():
        yield segment


def parts(file: IO[bytes], most: int) -> Iterator[Part]:
    """The messages, with MSH-10 as key; what stands between them and is none is refused."""
    gathered: list[bytes] = []
    for segment in segments(file, most):
        if segment[:3] in _ENVELOPE or segment[:3] == b"MSH":
            if gathered:
                yield part(gathered, most)
            gathered = [] if segment[:3] in _ENVELOPE else [segment]
        else:
            gathered.append(segment)
    if gathered:
        yield part(gathered, most)


def part(gathered: list[bytes], most: int) -> Part:
    body = b"\r".join(gathered) + b"\r"
    if len(body) > most:
        return Part(body[:CHUNK], "too-long", Reason("too-long", f"it is longer than {most} bytes", "MSH"))
    message = hl7v2.parse(body)
    if isinstance(message, Reason):
        return Part(body, "unreadable", message)
    return Part(body, message.get("MSH-10") or "")


def acknowledgement(about: Envelope, refused: list[Part], problem: Reason | None) -> bytes:
    """A batch of acknowledgements for what was refused, and only for that (2.10.3.3: our reading of "only those in
    error"); BHS-12 and FHS-12 refer to the control ids of what is answered."""
    now = hl7v2.written(time.time_ns() // 1000)
    lines = [
        _header(name, about.headers.get(name), now) for name in (b"FHS", b"BHS") if name in about.headers
    ]
    lines += [line for each in refused for line in _refusal(each, now)]
    comment = b"" if problem is None else b"|" + problem.text.encode("ascii", "replace")
    if b"BHS" in about.headers:
        lines.append(b"BTS|%d%s" % (len(refused), comment))
    if b"FHS" in about.headers:
        lines.append(b"FTS|1%s" % comment)
    return b"".join(line + b"\r" for line in lines)


def _header(name: bytes, asked: list[bytes] | None, now: bytes) -> bytes:
    """The applications change sides (2.15.2, 2.15.6): fields 3 to 6, and 11 of what is answered as 12."""
    old = [*(asked or []), *[b""] * 13][:13]
    fields = [name, b"^~\\&", old[4], old[5], old[2], old[3], now, b"", b"", b"", b"", old[10]]
    return b"|".join(fields)


def _refusal(each: Part, now: bytes) -> list[bytes]:
    message = hl7v2.parse(each.body)
    control = "" if isinstance(message, Reason) else message.get("MSH-10") or ""
    assert each.reason is not None
    text = each.reason.text.encode("ascii", "replace")[:80].replace(b"|", b" ")
    of = control.encode("ascii", "replace")
    return [b"MSH|^~\\&|||||%s||ACK|%s|P|2.5.1" % (now, of), b"MSA|AE|%s|%s" % (of, text)]


@gatherer("hl7.batch")
def gathered(
    parts: Sequence[Part],
    control: str,
    when: int,
    *,
    file: Annotated[bool, "an FHS and an FTS around it"] = False,
    name: Annotated[str, "BHS-9"] = "",
    sending_application: Annotated[str, "BHS-3; default: as the first message has it"] = "",
    sending_facility: Annotated[str, "BHS-4"] = "",
    receiving_application: Annotated[str, "BHS-5"] = "",
    receiving_facility: Annotated[str, "BHS-6"] = "",
) -> bytes:
    """BHS, the messages, BTS with their number. Each message goes out under a control id of its own."""
    first = msh.read(parts[0].body) or msh.UNREADABLE
    asked = (sending_application, sending_facility, receiving_application, receiving_facility)
    own = [text.encode() or field for text, field in zip(asked, first.fields[3:7], strict=True)]
    now = hl7v2.written(when)
    separator, characters = first.fields[1:3]
    rest = [characters, *own, now, b"", name.encode(), b"", control.encode()]
    lines = [separator.join([head, *rest]) for head in (b"FHS", b"BHS")[0 if file else 1 :]]
    lines += [_within(part) for part in parts]
    lines.append(b"BTS%b%d" % (separator, len(parts)))
    lines += [b"FTS%b1" % separator] if file else []
    return b"\r".join(lines) + b"\r"


def _within(part: Part) -> bytes:
    """What is no message goes out as it is: whoever takes the batch apart says so."""
    named = stamped(part.body, part.key)
    body = part.body if isinstance(named, Reason) else named
    return b"\r".join(line for line in _ENDS.split(body) if line)

"""Plays one feed of the story to the engine: each connection sends, waits for the acknowledgement, sends on.

Prints one JSON line per message: its number in the story, when it went (seconds since the epoch), the
acknowledgement and how long that took.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from threading import Thread

from demo import mllp
from demo.sent import Feed, Sent
from demo.story import story


def play(feed: Feed, address: str) -> None:
    ours = [(n, s) for n, s in enumerate(story()) if s.feed == feed]
    lines = sorted({s.line for _, s in ours})
    threads = [Thread(target=_line, args=(address, [o for o in ours if o[1].line == line])) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _line(address: str, messages: Sequence[tuple[int, Sent]]) -> None:
    with mllp.connect(address) as link:
        answers = mllp.blocks(link)
        for number, sent in messages:
            went, start = time.time(), time.monotonic()
            mllp.send(link, sent.body)
            answer = next(answers, b"")
            took = time.monotonic() - start
            right = sent.control == mllp.field(answer, "MSA", 2)
            ack = mllp.field(answer, "MSA", 1) if right else "no answer to it"
            _tell({"number": number, "went": went, "ack": ack, "took": took})


def _tell(said: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")  # one write, so that two threads' lines do not mix
    sys.stdout.flush()

"""What the engine has in hand, read from its metrics as a monitoring system would."""

from __future__ import annotations

import re
import urllib.request

from demo.children import Failed

_SAMPLE = re.compile(r'chartwire_(\w+)_depth\{\w+="(\w+)"\} (\S+)')
_ASK = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine: never through a proxy


def waiting(http: str, *, ended: bool = False) -> dict[str, float]:
    """The depth of each queue; with `ended` also what was given up and what is held for a person."""
    try:
        with _ASK.open(f"{http}/metrics", timeout=30) as answer:
            text = answer.read().decode()
    except OSError as error:
        raise Failed(f"{http}/metrics does not answer: {error}") from None
    return {
        f"{queue} of {name}": float(depth)
        for queue, name, depth in _SAMPLE.findall(text)
        if ended or queue in ("queue", "delivery_queue")
    }

"""A message that kills the engine itself is tried again with care, and parked after three strikes; the rest flows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.mllp_peer import fields
from tests.engine_process import EngineProcess
from tests.flow.installation import Installation, Json, channel
from tests.flow.messages import adt

pytestmark = pytest.mark.embedded("tests/faults has the same of PostgreSQL")

PLUGIN = '''
import os

from engine.plugin import transform
from formats import hl7v2


@transform("site.fatal")
def fatal(message: hl7v2.Message) -> hl7v2.Message:
    """Dies of one patient, as a defect in a library of C might."""
    if message.get("PID-5.1") == "KILLER":
        os._exit(9)
    return message
'''


async def test_a_message_that_kills_the_engine_is_parked_after_three_strikes_and_the_rest_flows(
    tmp_path: Path,
) -> None:
    files = {
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", "pipeline:", "  - site.fatal"),
        "plugins/fatal.py": PLUGIN,
    }
    site = Installation(tmp_path, files)
    site.engine = EngineProcess(site.config, site.data, {"CHARTWIRE_COMPUTE": "0"})
    try:
        await site.start()
        sender = await site.sender("adt")
        before = [adt(f"B{n}", f"B{n}") for n in range(5)]
        after = [adt(f"A{n}", f"A{n}") for n in range(5)]
        await sender.send(*before, adt("K", "K", family="KILLER"), *after)
        answers = 0
        while answer := await sender.answer():
            assert fields(answer, b"MSA")[1] == "AA"
            answers += 1
        assert site.engine.process
        assert site.engine.process.wait() == 9
        deaths = 1
        while (found := await _started(site)) is None:
            deaths += 1
        assert (deaths, found["state"], found["code"]) == (3, "FAILED", "three-strikes")
        keys = {message["key"] for message in await site.messages()} - {"K"}
        assert len(keys) + 1 >= answers, "nothing that was acknowledged is lost"
        assert {(await site.end(key))["state"] for key in keys} == {"STORED"}
        sender = await site.sender("adt")
        assert fields(await sender.ask(adt("N", "N")), b"MSA")[1] == "AA"
        assert (await site.end("N"))["state"] == "STORED"
        await sender.leave()
        assert await site.stop() == 0
    finally:
        site.kill()


async def _started(site: Installation) -> Json | None:
    """How the message ended; None: the engine died of it once more, before it was ready or after."""
    try:
        await site.start()
        return await site.end("K")
    except (OSError, AssertionError):
        return None

"""Messages are computed in a process of their own: what kills it fails alone, and signals to all do no harm."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.adapters.mllp_peer import fields
from tests.engine_process import EngineProcess, computing, forking
from tests.flow.installation import DEADLINE, Installation, channel
from tests.flow.messages import adt

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLUGIN = '''
import os
import signal

from engine.plugin import transform
from formats import hl7v2


@transform("site.deadly")
def deadly(message: hl7v2.Message) -> hl7v2.Message:
    """What a defect in a library's native code does."""
    if message.get("PV1-3.1") == "DEADLY":
        os.kill(os.getpid(), signal.SIGKILL)
    return message
'''


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    files = {
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", "pipeline:", "  - site.deadly: {}"),
        "plugins/deadly.py": PLUGIN,
    }
    made = Installation(tmp_path_factory.mktemp("compute"), files)
    made.engine = EngineProcess(made.config, made.data, {"CHARTWIRE_COMPUTE": "1"})
    try:
        await made.start()
        yield made
    finally:
        made.kill()


def pid(site: Installation) -> int:
    assert site.engine.process is not None
    return site.engine.process.pid


async def send(site: Installation, *bodies: bytes) -> None:
    sender = await site.sender("adt")
    await sender.send(*bodies)
    assert [fields(await sender.answer(), b"MSA")[1] for _ in bodies] == ["AA"] * len(bodies)
    await sender.leave()


async def test_the_message_that_kills_the_process_fails_alone(site: Installation) -> None:
    deadly = {7, 20}
    await send(site, *(adt(f"K{n}", f"K{n}", ward="DEADLY" if n in deadly else "WEST") for n in range(40)))
    for n in range(40):
        ended = await site.end(f"K{n}")
        assert (ended["state"], ended["code"]) == (("FAILED", "defect") if n in deadly else ("STORED", None))
    assert len(await site.resources("Patient?_count=100")) == 38


async def test_killed_from_outside_it_is_started_again_and_nothing_is_lost(site: Installation) -> None:
    await send(site, adt("O0", "O0"))
    (process,) = computing(pid(site))
    os.kill(process, signal.SIGKILL)
    await send(site, *(adt(f"O{n}", f"O{n}") for n in range(1, 20)))
    assert {(await site.end(f"O{n}"))["state"] for n in range(20)} == {"STORED"}


async def test_if_all_of_them_are_killed_it_goes_on_all_the_same(site: Installation) -> None:
    """What forks is gone for good: the next process starts from the beginning."""
    await send(site, adt("F0", "F0"))
    await site.end("F0")
    for process in (forking(pid(site)), *computing(pid(site))):
        os.kill(process, signal.SIGKILL)
    await send(site, adt("F1", "F1"))
    assert (await site.end("F1"))["state"] == "STORED"


async def test_a_sigterm_to_all_of_the_group_stops_cleanly(site: Installation) -> None:
    """As supervisors send it: to every process of the service at once."""
    process = site.engine.process
    assert process is not None
    died = site.log().count("the compute process died")
    await send(site, *(adt(f"G{n}", f"G{n}") for n in range(50)))
    os.killpg(process.pid, signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, DEADLINE) == 0
    assert site.log().count("the compute process died") == died
    await site.start()
    assert {(await site.end(f"G{n}"))["state"] for n in range(50)} == {"STORED"}
    assert await site.stop() == 0


async def test_the_process_does_not_outlive_a_killed_engine(site: Installation) -> None:
    await site.start()
    (process,) = computing(pid(site))
    ended = os.pidfd_open(process)
    assert site.engine.process is not None
    site.engine.process.kill()
    site.engine.process.wait()
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(ended, gone.set)
    await asyncio.wait_for(gone.wait(), DEADLINE)
    loop.remove_reader(ended)
    os.close(ended)

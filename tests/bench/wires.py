"""One figure for each wire: what the whole engine does, as a ratio to the bare library doing nothing with it.

The bare side is the library that a straightforward program would use, in a process of its own, with nothing behind it:
no journal, no fsync, no chart. Both sides get the same load in the same run, one after the other, round by round.
The memory checks fail where memory grows.

python -m tests.bench.wires            the figures
python -m tests.bench.wires memory     100,000 readings, an instance of 10 MB and one of 1 GB
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.adapters.dicom_peer import instance
from tests.adapters.mqtt_peer import Broker, Publisher, broker
from tests.adapters.script_text import newrx
from tests.adapters.x12_interchange import write_big
from tests.bench.claims import pyx12_alone
from tests.crash.test_mqtt import CHANNEL as VITALS
from tests.crash.test_mqtt import reading
from tests.engine_process import ROOT
from tests.flow.installation import Installation, running

FHIR = "channel: fhir\nsource: fhir\nformat: fhir\ntimezone: UTC\nack: processed\nstore: fhir_to_chart\n"
SCRIPT = """
channel: pharmacy
source: {ncpdp: {port: 0, path: /script}}
format: script
timezone: UTC
authority: mrn
ack: processed
store: ncpdp_to_fhir
"""
IMAGES = """
channel: images
source: {dicom: {port: 0, ae_title: CHARTWIRE}}
format: dicom
timezone: UTC
authority: mrn
store: dicom_to_fhir
"""
CLAIMS = """
channel: claims
source: {{files: {{directory: "{inbox}", settle: 50ms, poll: 20ms, max_size: 1GB}}}}
format: x12
timezone: UTC
authority: mrn
split: x12
store: x12_to_fhir
"""
SENDERS = 8


@contextlib.contextmanager
def bare(kind: str, *more: str) -> Iterator[int]:
    """The bare library as a server of its own; its port."""
    command = [sys.executable, "-m", "tests.bench.bare", kind, *more]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout
        assert process.stdin
        yield int(process.stdout.readline())
        process.stdin.close()


@contextlib.asynccontextmanager
async def site(files: dict[str, str]) -> AsyncIterator[Installation]:
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    try:
        async with running(folder, files) as made:
            yield made
    finally:
        shutil.rmtree(folder)


async def posted(url: str, bodies: list[bytes], headers: dict[str, str]) -> float:
    """Requests a second over so many connections."""
    waiting = iter(bodies)

    async def sender(http: aiohttp.ClientSession) -> None:
        for body in waiting:
            async with http.post(url, data=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()

    async with aiohttp.ClientSession() as http:
        began = time.perf_counter()
        await asyncio.gather(*(sender(http) for _ in range(SENDERS)))
        return len(bodies) / (time.perf_counter() - began)


def transaction(n: int) -> bytes:
    """A patient and four observations of him."""
    who = "urn:uuid:who"
    made: list[tuple[str, dict[str, Any]]] = [
        (who, {"resourceType": "Patient", "name": [{"family": f"F{n}"}]})
    ]
    code = {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}
    value = {"value": 4.2, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    for _ in range(4):
        observation = {"resourceType": "Observation", "status": "final", "code": code, "valueQuantity": value}
        made.append(("", {**observation, "subject": {"reference": who}}))
    entries = [
        {
            **({"fullUrl": url} if url else {}),
            "resource": r,
            "request": {"method": "POST", "url": r["resourceType"]},
        }
        for url, r in made
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


async def fhir() -> tuple[float, float]:
    """Transactions of five resources, answered from the chart; bare: Starlette on uvicorn that decodes them."""
    bodies = [transaction(n) for n in range(600)]
    kind = {"Content-Type": "application/fhir+json"}
    with bare("fhir") as port:
        ceiling = await posted(f"http://127.0.0.1:{port}/fhir", bodies, kind)
    async with site({"channels/fhir.yaml": FHIR}) as made:
        token = (await made.command("token", "create", "--name", "bench")).stdout.strip()
        rate = await posted(f"http://{made.http}/fhir", bodies, {**kind, "Authorization": f"Bearer {token}"})
    return rate, ceiling


async def script() -> tuple[float, float]:
    """NewRx into the chart, answered with Status; bare: aiohttp and lxml."""
    bodies = [newrx(f"M{n}", f"RX{n}", f"MRN{n % 100}") for n in range(800)]
    with bare("script") as port:
        ceiling = await posted(f"http://127.0.0.1:{port}/script", bodies, {})
    async with site({"channels/pharmacy.yaml": SCRIPT}) as made:
        rate = await posted(made.sources["pharmacy"], bodies, {})
    return rate, ceiling


def stored(port: int, files: list[Path]) -> float:
    """Instances a second from DCMTK's storescu."""
    began = time.perf_counter()
    command = ["storescu", "-aec", "CHARTWIRE", "127.0.0.1", str(port), *map(str, files)]
    subprocess.run(command, check=True, capture_output=True)
    return len(files) / (time.perf_counter() - began)


async def dicom() -> tuple[float, float]:
    """Instances of 512 kB from storescu over one association; bare: pynetdicom that throws them away."""
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    files = [folder / f"{n}.dcm" for n in range(60)]
    for n, file in enumerate(files):
        file.write_bytes(instance(f"1.2.826.0.1.3680043.9.7433.1.{n}", pixels=1 << 19, PatientID="M1"))
    with bare("dicom") as port:
        ceiling = await asyncio.to_thread(stored, port, files)
    async with site({"channels/images.yaml": IMAGES}) as made:
        port = int(made.sources["images"].rpartition(":")[2])
        rate = await asyncio.to_thread(stored, port, files)
    shutil.rmtree(folder)
    return rate, ceiling


async def x12() -> tuple[float, float]:
    """Claims of one interchange, from the folder to the chart; bare: pyx12 that checks it, its maps kept."""
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    path = folder / "claims.x12"
    claims = write_big(path, 1_000_000)
    ceiling = claims / await asyncio.to_thread(pyx12_alone, path)
    (folder / "inbox").mkdir()
    async with site({"channels/claims.yaml": CLAIMS.format(inbox=folder / "inbox")}) as made:
        began = time.perf_counter()
        path.rename(folder / "inbox" / "claims.x12")
        await count(
            made, "SELECT count(*) FROM message WHERE parent IS NOT NULL AND settled IS NOT NULL", claims
        )
        rate = claims / (time.perf_counter() - began)
    shutil.rmtree(folder)
    return rate, ceiling


async def count(made: Installation, sql: str, wanted: int) -> None:
    """Wait until the engine's database counts so many."""
    from store.database.sqlite import Sqlite

    reader = Sqlite(made.data / "chartwire.db", writes=False)
    while reader.all(sql)[0][0] < wanted:  # noqa: ASYNC110 - another process counts
        await asyncio.sleep(0.01)
    reader.close()


def publish(port: int, first: int, readings: int) -> None:
    publisher = Publisher(port)
    publisher.publish_all("ward/7/vitals", (reading(n) for n in range(first, first + readings)))
    publisher.close()


async def mqtt() -> tuple[float, float]:
    """Readings from Mosquitto to the chart; bare: a subscriber of paho that counts them."""
    with broker(Path(tempfile.mkdtemp(prefix="bench")), saves=100_000) as mosquitto:
        await mosquitto.start()
        with bare("mqtt", str(mosquitto.port), "2000"):
            began = time.perf_counter()
            await asyncio.to_thread(publish, mosquitto.port, 0, 2000)
        ceiling = 2000 / (time.perf_counter() - began)
        async with site({"channels/vitals.yaml": VITALS.format(port=mosquitto.port)}) as made:
            rate = await _readings(made, mosquitto, 0, 2000)
    return rate, ceiling


async def _readings(made: Installation, mosquitto: Broker, first: int, number: int) -> float:
    began = time.perf_counter()
    await asyncio.to_thread(publish, mosquitto.port, first, number)
    await count(made, "SELECT count(*) FROM message WHERE state = 'STORED'", first + number)
    return number / (time.perf_counter() - began)


WIRES = {"FHIR": fhir, "DICOM": dicom, "SCRIPT": script, "X12": x12, "MQTT": mqtt}


async def figures(rounds: int) -> None:
    for name, wire in WIRES.items():
        found = [await wire() for _ in range(rounds)]
        rate, ceiling = (statistics.median(each) for each in zip(*found, strict=True))
        doc = (wire.__doc__ or "").strip()
        print(
            f"{name:7}{rate:9.0f}/s {ceiling:9.0f}/s bare   ratio {rate / ceiling:5.2f}   {doc}", flush=True
        )


async def memory() -> bool:
    """Does memory stay where it is?"""
    return all([await _flat(), await _instances()])


async def _flat() -> bool:
    with broker(Path(tempfile.mkdtemp(prefix="bench")), saves=100_000) as mosquitto:
        await mosquitto.start()
        async with site({"channels/vitals.yaml": VITALS.format(port=mosquitto.port)}) as made:
            sizes = []
            for first in range(0, 100_000, 10_000):
                rate = await _readings(made, mosquitto, first, 10_000)
                sizes.append(resident(made))
                print(
                    f"MQTT {first + 10_000:7} readings, {rate:.0f} a second, {sizes[-1]:.1f} MB", flush=True
                )
    return sizes[-1] <= sizes[1] * 1.1


async def _instances() -> bool:
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    peaks = []
    for size in (10 << 20, (1 << 30) - (1 << 14)):  # an image has fewer than 65,536 rows
        file = folder / "one.dcm"
        file.write_bytes(instance(f"1.2.826.0.1.3680043.9.7433.1.{size}", pixels=size, PatientID="M1"))
        async with site({"channels/images.yaml": IMAGES}) as made:
            port = int(made.sources["images"].rpartition(":")[2])
            await asyncio.to_thread(stored, port, [file])
            peaks.append(resident(made, "VmHWM:"))
        print(f"DICOM {size >> 20:5} MB instance, peak {peaks[-1]:.1f} MB", flush=True)
    shutil.rmtree(folder)
    return peaks[1] <= peaks[0] * 1.1


def resident(made: Installation, what: str = "VmRSS:") -> float:
    """Of the engine's own process, in MB."""
    assert made.engine.process
    status = Path(f"/proc/{made.engine.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) / 1024


def main(arguments: list[str]) -> int:
    if arguments == ["memory"]:
        return int(not asyncio.run(memory()))
    asyncio.run(figures(int(arguments[0]) if arguments else 3))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

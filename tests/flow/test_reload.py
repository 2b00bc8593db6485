"""A new configuration is put in the place of the one that runs: what is kept keeps its connections, and what is wrong
changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from engine.cli import main
from engine.client import Engine, Refused
from tests.adapters.mllp_peer import Said, acknowledgement, fields, receiver
from tests.engine_process import EngineProcess, computing, port_of
from tests.flow.installation import AUTHORITIES, NOBODY, Installation, channel, running, until
from tests.flow.messages import adt

PLUGIN = """
from engine.message import State, Stop
from engine.plugin import transform
from formats import hl7v2
from store.reason import Reason


@transform("site.drop")
def drop(message: hl7v2.Message) -> hl7v2.Message | Stop:
    \"\"\"Of one ward nothing is wanted.\"\"\"
    if message.get("PV1-3.1") == "%s":
        return Stop(State.FILTERED, Reason("dropped", "not wanted"))
    return message
"""
HALVES = """
from pathlib import Path

from engine.plugin import Part, splitter


@splitter("site.halves")
def halves(path, feed, seen, *, mark: str, go: str):
    \"\"\"Two parts, and between them it waits to be told to go on.\"\"\"
    whole = path.read_bytes()
    key = whole.split(b"|")[9].decode()
    for n in (1, 2):
        name = f"{key}-{mark}{n}"
        yield Part(whole.replace(key.encode(), name.encode()), name)
        if n == 1:
            Path(go).read_text()
"""
SLOW = """
from pathlib import Path

from engine.plugin import transform
from formats import hl7v2


@transform("site.slow")
def slow(message: hl7v2.Message, *, go: str) -> hl7v2.Message:
    \"\"\"Waits to be told to go on.\"\"\"
    Path(go).read_text()
    return message
"""
TABLE = """pipeline:
  - hl7.translate: {field: PV1-3.1, table: wards}
  - hl7.filter: {when: {not: {PV1-3.1: "${WARD}"}}}"""
API = """
channel: api
source: fhir
format: fhir
timezone: UTC
ack: processed
store: fhir_to_chart
"""
NEWS = """
channel: news
source: {chart: {type: Patient, state: [identifier.value]}}
format: fhir
timezone: UTC
"""
TOLD = """
destinations:
  paper: {{files: {{directory: "{out}"}}, system: paper}}
routes:
  - {{from: news, to: paper}}
"""
WHY = ("--why", "a new pump")
DROP_EAST = "pipeline:\n  - hl7.filter: {when: {not: {PV1-3.1: EAST}}}"


def routes(*destinations: tuple[str, int]) -> str:
    """Everything of `adt` goes to each of these."""
    lines = ["destinations:"]
    lines += [f"  {name}: {{mllp: {{host: 127.0.0.1, port: {port}}}}}" for name, port in destinations]
    lines += ["routes:", *(f"  - {{from: adt, to: {name}}}" for name, _ in destinations)]
    return "\n".join(lines) + "\n" if destinations else NOBODY


async def applied(site: Installation, *arguments: str) -> dict[str, dict[str, str]]:
    """The plan: what is to become of each part, and its note."""
    done = await site.command("apply", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)["plan"]
    told = json.loads((site.data / "engine.json").read_text())
    site.sources = told["sources"]
    return {f"{change['kind']} {change['name']}": change for change in plan}


async def test_a_changed_channel_keeps_its_connections(tmp_path: Path) -> None:
    async with running(
        tmp_path,
        {
            "channels/adt.yaml": channel("adt"),
            "channels/lab.yaml": channel("lab", "mllp: {port: 0, max_frame: 1MB}"),
        },
    ) as site:
        sender = await site.sender("adt")
        assert fields(await sender.ask(adt("R1", "R1", ward="EAST")), b"MSA")[1] == "AA"
        assert (await site.end("R1"))["state"] == "STORED"
        site.write({"channels/adt.yaml": channel("adt", "mllp: {port: 0}", DROP_EAST)})
        plan = await applied(site)
        assert plan["channel adt"]["what"] == "changed"
        assert plan["channel adt"]["note"] == "its source goes on, with its connections"
        assert plan["channel lab"]["what"] == "kept"
        assert fields(await sender.ask(adt("R2", "R2", ward="EAST")), b"MSA")[1] == "AA"
        assert (await site.end("R2"))["state"] == "FILTERED"
        hashes = {key: await by(site, key) for key in ("R1", "R2")}
        assert len(set(hashes.values())) == 2
        assert all(len(hash) == 32 for hash in hashes.values())


async def test_what_is_wrong_changes_nothing_and_all_of_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        sender = await site.sender("adt")
        wrong = channel("adt").replace("timezone: America/New_York", "timezone: Mars/Olympus")
        site.write(
            {"channels/adt.yaml": wrong + "stroe: x\n", "routes.yaml": routes(("x", 0)) + "route: []\n"}
        )
        assert main(["check", "--config", str(site.config)]) == 1
        problems = capsys.readouterr().err.splitlines()[:-1]
        assert len(problems) >= 3
        for extra in (), ("--dry-run",):
            refused = await site.command("apply", *extra)
            assert refused.returncode == 1
            assert refused.stderr.splitlines()[:-1] == problems
        assert fields(await sender.ask(adt("W1", "W1")), b"MSA")[1] == "AA"
        assert (await site.end("W1"))["state"] == "STORED"


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        sender = await site.sender("adt")
        site.write({"channels/adt.yaml": channel("adt", "mllp: {port: 0}", DROP_EAST)})
        plan = await applied(site, "--dry-run")
        assert plan["channel adt"]["what"] == "changed"
        await sender.ask(adt("D1", "D1", ward="EAST"))
        assert (await site.end("D1"))["state"] == "STORED"


async def test_a_channel_moves_to_another_port_unless_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
            old = await site.sender("adt")
            site.write({"channels/adt.yaml": channel("adt", f"mllp: {{port: {taken.getsockname()[1]}}}")})
            refused = await site.command("apply")
            assert refused.returncode == 1
            assert refused.stderr.startswith("channels/adt.yaml:3:3: cannot-listen: ")
            assert fields(await old.ask(adt("P1", "P1")), b"MSA")[1] == "AA"
            port = free.getsockname()[1]
            free.close()
            site.write({"channels/adt.yaml": channel("adt", f"mllp: {{port: {port}}}")})
            await applied(site)
            assert await old.answer() == b""
            assert port_of(site.sources["adt"]) == port
            new = await site.sender("adt")
            assert fields(await new.ask(adt("P2", "P2")), b"MSA")[1] == "AA"
            assert [(await site.end(key))["state"] for key in ("P1", "P2")] == ["STORED"] * 2


async def test_if_a_new_source_does_not_start_all_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/wrong.pem").write_text("no certificate")
    async with receiver() as partner:
        files = {
            "channels/adt.yaml": channel("adt"),
            "channels/lab.yaml": channel("lab", "mllp: {port: 0, max_frame: 1MB}"),
            "routes.yaml": routes(("pager", partner.port)),
        }
        async with running(tmp_path, files) as site:
            lab = await site.sender("lab")
            old = await site.sender("adt")
            secure = channel("adt", "mllp: {port: 0, certificate: wrong.pem}", DROP_EAST)
            site.write({"channels/adt.yaml": secure, "routes.yaml": NOBODY})
            refused = await site.command("apply", *WHY)
            assert refused.stderr.startswith("channels/adt.yaml:3:3: cannot-listen: "), refused.stderr
            assert await old.answer() == b""
            site.sources = json.loads((site.data / "engine.json").read_text())["sources"]
            sender = await site.sender("adt")
            assert fields(await sender.ask(adt("O1", "O1", ward="EAST")), b"MSA")[1] == "AA"
            await site.deliveries("O1", "DELIVERED")
            assert fields(await lab.ask(adt("O2", "O2")), b"MSA")[1] == "AA"
            acts = (await site.command("audit", "list", "--json")).stdout.splitlines()
            told = [
                (act["what"], act["why"]) for act in map(json.loads, acts) if "configuration" in act["what"]
            ]
            assert told == [("configuration.failed", ""), ("configuration.apply", WHY[1])]


async def test_channels_come_and_go_and_one_that_goes_processes_what_it_took(tmp_path: Path) -> None:
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        sender = await site.sender("adt")
        keys = [f"C{n}" for n in range(60)]
        await sender.send(*(adt(key, key) for key in keys))
        for _ in keys:
            await sender.answer()
        (site.config / "channels/adt.yaml").unlink()
        site.write({"channels/lab.yaml": channel("lab", "mllp: {port: 0, max_frame: 1MB}")})
        plan = await applied(site)
        what = {name: change["what"] for name, change in plan.items()}
        assert what == {"channel adt": "removed", "channel lab": "added"}
        assert [*site.sources] == ["lab"]
        assert await sender.answer() == b""
        new = await site.sender("lab")
        assert fields(await new.ask(adt("N1", "N1")), b"MSA")[1] == "AA"
        ended = [await site.end(key) for key in (*keys, "N1")]
        assert {message["state"] for message in ended} == {"STORED"}


async def test_a_channel_that_cannot_process_what_it_took_does_not_go(tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    files = {
        "plugins/slow.py": SLOW,
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", f"pipeline: [{{site.slow: {{go: '{go}'}}}}]"),
        "channels/lab.yaml": channel("lab", "mllp: {port: 0, max_frame: 1MB}"),
    }
    async with running(tmp_path, files) as site:
        assert fields(await (await site.sender("adt")).ask(adt("Z1", "Z1")), b"MSA")[1] == "AA"
        text = (site.config / "channels/adt.yaml").read_text()
        (site.config / "channels/adt.yaml").unlink()
        refused = await site.command("apply")
        assert "not-drained" in refused.stderr
        site.write({"channels/adt.yaml": text})
        assert {change["what"] for change in (await applied(site)).values()} == {"kept"}
        again = await site.sender("adt")
        assert fields(await again.ask(adt("Z2", "Z2")), b"MSA")[1] == "AA"
        for key in ("Z1", "Z2"):
            (await asyncio.to_thread(go.open, "w")).close()
            assert (await site.end(key))["state"] == "STORED"


async def test_a_channel_goes_from_a_source_that_stays(tmp_path: Path) -> None:
    feed = "feed: {MSH-3.1: %s}"
    files = {
        "channels/one.yaml": channel("one", "mllp: {port: 0}", feed % "ADT1"),
        "channels/two.yaml": channel("two", "mllp: {port: 0}", feed % "ADT2"),
    }
    async with running(tmp_path, files) as site:
        sender = await site.sender("one")
        keys = [f"S{n}" for n in range(60)]
        await sender.send(*(adt(key, key, sender="ADT2") for key in keys))
        (site.config / "channels/two.yaml").unlink()
        await applied(site)
        answers = [fields(await sender.answer(), b"MSA")[1] for _ in keys]
        assert {(await site.end(key))["state"] for key in keys} == {"STORED"}
        assert set(answers) == {"AA"}
        assert fields(await sender.ask(adt("N1", "N1", sender="ADT2")), b"MSA")[1] == "AR"
        assert fields(await sender.ask(adt("N2", "N2")), b"MSA")[1] == "AA"


async def test_deliveries_wait_for_a_destination_that_is_gone_and_go_when_it_is_back(tmp_path: Path) -> None:
    async with receiver() as partner:
        files = {"channels/adt.yaml": channel("adt"), "routes.yaml": routes(("pager", partner.port))}
        async with running(tmp_path, files) as site:
            await partner.stop()
            sender = await site.sender("adt")
            await sender.ask(adt("G1", "G1"))
            await site.deliveries("G1", "QUEUED")
            site.write({"routes.yaml": routes()})
            plan = await applied(site)
            assert plan["destination pager"]["what"] == "removed"
            waits = "deliveries wait for a destination that is not configured"
            assert plan["destination pager"]["note"] == waits
            assert waits in site.log()
            await partner.start()
            await site.deliveries("G1", "QUEUED")
            site.write({"routes.yaml": routes(("pager", partner.port))})
            await applied(site)
            await site.deliveries("G1", "DELIVERED")
            assert len(partner.got) == 1


async def test_a_delivery_on_its_way_ends_before_a_changed_destination_takes_over(tmp_path: Path) -> None:
    answer = asyncio.Event()

    async def late(message: bytes) -> Said:
        await answer.wait()
        return acknowledgement(message)

    async with receiver(late) as partner, receiver() as other:
        files = {"channels/adt.yaml": channel("adt"), "routes.yaml": routes(("pager", partner.port))}
        async with running(tmp_path, files) as site:
            sender = await site.sender("adt")
            await sender.ask(adt("F1", "F1"))
            await partner.arrived(1)
            site.write({"routes.yaml": routes(("pager", other.port))})
            assert (await applied(site))["destination pager"]["what"] == "changed"
            await sender.ask(adt("F2", "F1"))
            await site.end("F2")
            assert other.got == []
            answer.set()
            await site.deliveries("F1", "DELIVERED")
            await site.deliveries("F2", "DELIVERED")
            assert (len(partner.got), len(other.got)) == (1, 1)


async def test_sighup_applies_what_is_on_disk(tmp_path: Path) -> None:
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        sender = await site.sender("adt")
        site.write({"channels/adt.yaml": channel("adt", "mllp: {port: 0}", DROP_EAST)})
        await hung_up(site, '"event":"applied"')
        await sender.ask(adt("H1", "H1", ward="EAST"))
        assert (await site.end("H1"))["state"] == "FILTERED"
        site.write({"channels/adt.yaml": "channel: [\n"})
        await hung_up(site, "channels/adt.yaml:2:1: yaml")
        assert "process died" not in site.log()
        await sender.ask(adt("H2", "H2", ward="EAST"))
        assert (await site.end("H2"))["state"] == "FILTERED"


async def hung_up(site: Installation, told: str) -> None:
    """SIGHUP, and what the log must say then."""
    assert site.engine.process is not None
    os.killpg(site.engine.process.pid, signal.SIGHUP)  # as a terminal sends it: to every process

    async def logged() -> bool:
        return told in site.log()

    await until(logged)


async def test_an_authority_gets_names_and_company_but_stays_what_it_is(tmp_path: Path) -> None:
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        sender = await site.sender("adt")
        await sender.ask(adt("A1", "A1", ids="A1^^^HOSP^MR"))
        assert (await site.end("A1"))["code"] == "unknown-authority"
        site.write({"authorities.yaml": AUTHORITIES.replace('"urn:test:mrn"', '"urn:other:mrn"')})
        refused = await site.command("apply")
        assert refused.stderr.startswith("authorities.yaml:3:3: needs-restart: ")
        first, one, two, *rest = AUTHORITIES.strip().splitlines()
        site.write({"authorities.yaml": "\n".join([first, two, one, *rest])})
        refused = await site.command("apply")
        assert refused.stderr.startswith("authorities.yaml:1:1: needs-restart: ")
        named = AUTHORITIES.replace("[MRN]", "[MRN, HOSP]")
        site.write({"authorities.yaml": named + '  new: {namespace: "urn:test:new", identifies: true}\n'})
        await applied(site)
        await sender.ask(adt("A2", "A2", ids="A2^^^HOSP^MR"))
        assert (await site.end("A2"))["state"] == "STORED"


async def test_what_was_applied_runs_on_whatever_becomes_of_the_files(tmp_path: Path) -> None:
    """A process that computes and is started again compiles what was applied, not what is on disk by then."""
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        site.write({"channels/adt.yaml": channel("adt", "mllp: {port: 0}", DROP_EAST)})
        await applied(site)
        site.write({"channels/adt.yaml": "channel: [\n"})
        assert site.engine.process is not None
        for pid in computing(site.engine.process.pid):
            os.kill(pid, signal.SIGKILL)
        sender = await site.sender("adt")
        await sender.ask(adt("S1", "S1", ward="EAST"))
        assert (await site.end("S1"))["state"] == "FILTERED"


async def test_a_plugin_that_was_changed_is_run_anew(tmp_path: Path) -> None:
    files = {
        "plugins/site.py": PLUGIN % "EAST",
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", "pipeline:\n  - site.drop: {}"),
        "channels/lab.yaml": channel("lab", "mllp: {port: 0, max_frame: 1MB}"),
    }
    async with running(tmp_path, files) as site:
        sender = await site.sender("adt")
        site.write({"plugins/site.py": PLUGIN % "WEST"})
        plan = await applied(site)
        assert [name for name, change in plan.items() if change["what"] == "changed"] == ["channel adt"]
        await sender.ask(adt("W1", "W1", ward="WEST"))
        await sender.ask(adt("E1", "E1", ward="EAST"))
        assert (await site.end("W1"))["state"] == "FILTERED"
        assert (await site.end("E1"))["state"] == "STORED"
        (site.config / "plugins/site.py").unlink()
        refused = await site.command("apply")
        assert "unknown-transform" in refused.stderr


async def test_tables_and_environments_are_read_again(tmp_path: Path) -> None:
    files = {
        "channels/tables/wards.csv": "from,to\nEAST,E\n",
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", TABLE),
        "environments/test.yaml": "WARD: WEST\n",
    }
    site = Installation(tmp_path, files)
    site.engine = EngineProcess(site.config, site.data, {"CHARTWIRE_ENV": "test"})
    try:
        await site.start()
        sender = await site.sender("adt")
        site.write({"channels/tables/wards.csv": "from,to\nEAST,X\n"})
        assert (await applied(site))["channel adt"]["what"] == "changed"
        site.write({"environments/test.yaml": "WARD: X\n"})
        assert (await applied(site))["channel adt"]["what"] == "changed"
        assert (await applied(site))["channel adt"]["what"] == "kept"
        await sender.ask(adt("T1", "T1", ward="EAST"))
        assert (await site.end("T1"))["state"] == "FILTERED"
        assert await site.stop() == 0
    finally:
        site.kill()


async def test_an_interchange_is_taken_apart_to_its_end_by_what_began_it(tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    split = f"split: {{site.halves: {{mark: %s, go: '{go}'}}}}"
    files = {
        "plugins/halves.py": HALVES,
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", split % "X"),
    }
    async with running(tmp_path, files) as site:
        sender = await site.sender("adt")
        assert fields(await sender.ask(adt("FIRST", "F")), b"MSA")[1] == "AA"
        with await asyncio.to_thread(go.open, "w"):  # it stands between its parts
            site.write({"channels/adt.yaml": channel("adt", "mllp: {port: 0}", split % "Y")})
            assert (await applied(site))["channel adt"]["what"] == "changed"
        assert fields(await sender.ask(adt("SECOND", "F")), b"MSA")[1] == "AA"
        (await asyncio.to_thread(go.open, "w")).close()
        for key in ("FIRST-X1", "FIRST-X2", "SECOND-Y1", "SECOND-Y2"):
            assert (await site.end(key))["state"] == "STORED"
        assert len(await site.messages()) == 6
        assert await by(site, "FIRST") != await by(site, "FIRST-X1") == await by(site, "SECOND")


async def test_the_chart_tells_new_channels_and_those_that_go_hear_nothing_more(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        sender = await site.sender("adt")
        await sender.ask(adt("T1", "T1"))
        await site.end("T1")
        site.write(
            {"channels/news.yaml": NEWS, "channels/api.yaml": API, "routes.yaml": TOLD.format(out=out)}
        )
        await applied(site)
        await sender.ask(adt("T2", "T2"))
        await site.end("T2")
        await asyncio.to_thread(write, site, "T3")

        async def told() -> bool:
            return len(list(out.glob("[!.]*"))) == 2

        await until(told)
        for name in ("news", "api"):
            (site.config / f"channels/{name}.yaml").unlink()
        site.write({"routes.yaml": NOBODY})
        await applied(site)
        await sender.ask(adt("T4", "T4"))
        assert (await site.end("T4"))["state"] == "STORED"
        with pytest.raises(Refused, match="only reads"):
            await asyncio.to_thread(write, site, "T5")
        assert len(await site.messages(channel="news")) == 2


def write(site: Installation, mrn: str) -> None:
    """What a client writes."""
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:test:mrn", "value": mrn}]}
    with Engine(site.data) as engine:
        engine.post("/fhir/Patient", patient)


async def by(site: Installation, key: str) -> str:
    """The configuration that processed the message, as `messages show` tells it."""
    message = await site.end(key)
    shown = await site.command("messages", "show", str(message["id"]), "--json")
    return str(json.loads(shown.stdout)["configuration"])

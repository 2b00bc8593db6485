"""`messages` and `token` ask the running engine, through the socket that only its operator can open."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from engine.message import Outgoing, State
from store.identity import fhir_id
from store.reason import Reason
from tests.cli.conftest import ROOT, Chartwire
from tests.web.hospital import IDENTITY, NOW, Hospital, json_of, opened, patient, patient_key, result

BAD_TIME = Reason("bad-time", "the source time is not a date or time", "MSH-7")
BODY = b"MSH|^~\\&|A|B|C|D|20260302||ADT^A01|1|P|2.5\rPID|||1001||Ramos^Marta\x1b[31m\r"


async def filled(hospital: Hospital) -> None:
    outgoing = [Outgoing("to-pager", "pager", "1001", None)]
    await hospital.says(patient("1001", "Ramos"), key="MSG-1", body=BODY, about="1001", outgoing=outgoing)
    await hospital.says(key="MSG-22", channel="lab", state=State.QUARANTINED, reason=BAD_TIME, at=NOW + 1)


async def test_messages_are_listed_in_aligned_columns_and_local_time(
    hospital: Hospital, chartwire: Chartwire
) -> None:
    await filled(hospital)
    ended = await chartwire("messages", "list", "--data", str(hospital.data))
    assert (ended.status, ended.err) == (0, "")
    head, *rows = ended.out.splitlines()
    assert [row.split()[0] for row in rows] == ["2", "1"]
    assert rows[0].split()[1] == "2026-03-02T07:00:00-05:00"
    for column, values in {"STATE": ("QUARANTINED", "STORED"), "KEY": ("MSG-22", "MSG-1")}.items():
        at = head.index(column)
        assert [row[at:].split()[0] for row in rows] == list(values)


async def test_json_is_one_object_a_line(hospital: Hospital, chartwire: Chartwire) -> None:
    await filled(hospital)
    ended = await chartwire("messages", "list", "--json", "--data", str(hospital.data))
    messages = [json.loads(line) for line in ended.out.splitlines()]
    assert [m["id"] for m in messages] == [2, 1]
    assert (messages[0]["state"], messages[0]["key"]) == ("QUARANTINED", "MSG-22")
    assert messages[0]["received"] == "2026-03-02T12:00:00.000001Z"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--channel", "lab"], [2]),
        (["--state", "stored"], [1]),
        (["--key", "MSG-1"], [1]),
        (["--patient", "1001"], [1]),
        (["--patient", "mrn|1001"], [1]),
        (["--since", "2026-03-02T12:00:00.000001Z"], [2]),
        (["--since", "2026-03-02T07:00"], [2, 1]),
        (["--limit", "1"], [2]),
        (["--patient", "none"], []),
    ],
)
async def test_flags_choose(
    hospital: Hospital,
    chartwire: Chartwire,
    flags: list[str],
    expected: list[int],
) -> None:
    await filled(hospital)
    ended = await chartwire("messages", "list", "--json", *flags, CHARTWIRE_DATA=str(hospital.data))
    assert (ended.status, ended.err) == (0, "")
    assert [json.loads(line)["id"] for line in ended.out.splitlines()] == expected


MANY = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 600)
INSERT INTO message (channel, received, peer, size, state) SELECT 'adt', n, '', 0, 'ROUTED' FROM number
"""


async def test_as_many_are_listed_as_asked_for(hospital: Hospital, chartwire: Chartwire) -> None:
    await hospital.run(MANY)
    ended = await chartwire("messages", "list", "--limit", "550", "--json", "--data", str(hospital.data))
    assert [json.loads(line)["id"] for line in ended.out.splitlines()] == list(range(600, 50, -1))


async def test_a_wrong_flag_is_explained(hospital: Hospital, chartwire: Chartwire) -> None:
    ended = await chartwire("messages", "list", "--state", "LOST", "--data", str(hospital.data))
    assert (ended.status, ended.out) == (1, "")
    assert "state must be one of" in ended.err
    assert "QUARANTINED" in ended.err


async def test_show_prints_the_message_segment_by_segment(hospital: Hospital, chartwire: Chartwire) -> None:
    await filled(hospital)
    ended = await chartwire("messages", "show", "1", "--data", str(hospital.data))
    lines = ended.out.splitlines()
    assert lines[0] == "message 1: STORED"
    assert "PID|||1001||Ramos^Marta·[31m" in lines, "a terminal must not obey a message"
    assert "  received 2026-03-02T07:00:00-05:00" in lines
    why = await chartwire("messages", "show", "2", "--data", str(hospital.data))
    assert "bad-time at MSH-7: the source time is not a date or time" in why.out.splitlines()


async def test_trace_tells_the_whole_story(hospital: Hospital, chartwire: Chartwire) -> None:
    await filled(hospital)
    ended = await chartwire("messages", "trace", "1", "--data", str(hospital.data))
    assert f"/fhir/Patient/{fhir_id(patient_key('1001'))}  version 1" in ended.out
    delivery = next(line for line in ended.out.splitlines() if "pager" in line)
    assert delivery.split()[:5] == ["1", "pager", "QUEUED", "0", f"{IDENTITY.origin}1"]
    raw = await chartwire("messages", "trace", "1", "--json", "--data", str(hospital.data))
    assert json.loads(raw.out)["deliveries"][0]["control"] == f"{IDENTITY.origin}1"
    nothing = await chartwire("messages", "trace", "2", "--data", str(hospital.data))
    assert "nothing" in nothing.out
    assert "none" in nothing.out


async def test_a_message_that_is_not_there(hospital: Hospital, chartwire: Chartwire) -> None:
    ended = await chartwire("messages", "show", "99", "--data", str(hospital.data))
    assert (ended.status, ended.out) == (1, "")


COMMANDS = ("messages list", "messages show 1", "messages trace 1", "token create --name n")


@pytest.mark.parametrize("command", COMMANDS)
async def test_without_an_engine_there_is_a_clear_word(
    chartwire: Chartwire, tmp_path: Path, command: str
) -> None:
    (tmp_path / "stale").mkdir()
    (tmp_path / "stale" / "engine.sock").touch()
    for data in (tmp_path, tmp_path / "none", tmp_path / "stale"):
        ended = await chartwire(*command.split(), "--data", str(data))
        assert (ended.status, ended.out) == (1, "")
        assert ended.err.startswith(f"chartwire: no engine runs on {data}")
        assert len(ended.err.splitlines()) == 1


async def test_a_directory_with_a_long_name_will_do(chartwire: Chartwire, tmp_path: Path) -> None:
    data = tmp_path / ("d" * 120)
    data.mkdir()
    async with opened(data) as hospital:
        await hospital.says(result("1001", "L1", "2823-3", None, "6.30"))
        ended = await chartwire("messages", "list", "--json", "--data", str(data))
    assert json.loads(ended.out)["id"] == 1


async def test_a_token_is_printed_once_and_opens_the_api(hospital: Hospital, chartwire: Chartwire) -> None:
    await filled(hospital)
    ended = await chartwire("token", "create", "--name", "a colleague", "--data", str(hospital.data))
    assert (ended.status, ended.err) == (0, "")
    hospital.token = ended.out.removesuffix("\n")
    async with hospital.get("/fhir/Patient?name=ramos") as response:
        assert response.status == 200
        assert (await json_of(response))["total"] == 1
    names = [row[0] for row in hospital.running.reader.all("SELECT name FROM token_holder ORDER BY created")]
    assert names == ["test", "a colleague"]


async def test_a_reader_that_has_seen_enough_is_no_error(hospital: Hospital) -> None:
    await hospital.run(MANY)
    command = f"{sys.executable} -m engine.cli messages list --limit 600 --data {hospital.data} | head -n 1"
    process = await asyncio.create_subprocess_shell(command, cwd=ROOT, stdout=-1, stderr=-1)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert out.startswith(b"ID")
    assert err == b""

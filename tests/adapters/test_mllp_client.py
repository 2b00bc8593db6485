"""The client behind `chartwire send`, over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.mllp.client import Ack, Report, address, send, split
from tests.adapters.certificates import Authority
from tests.adapters.mllp_peer import END, VT, Said, acknowledgement, adt, fields, receiver
from tests.adapters.test_mllp_destination import listening


def file(directory: Path, *messages: bytes, name: str = "a.hl7") -> Path:
    path = directory / name
    path.write_bytes(b"".join(messages))
    return path


def controls(messages: list[bytes]) -> list[str]:
    return [fields(message, b"MSH")[10] for message in messages]


async def test_one_file_goes_out_as_it_is(tmp_path: Path) -> None:
    acks: list[Ack] = []
    async with receiver() as peer:
        to = f"mllp://127.0.0.1:{peer.port}"
        report = await send([file(tmp_path, adt("M1"))], to, on_ack=acks.append)
    assert peer.got == [adt("M1")]
    assert [(ack.control, ack.code, ack.problem) for ack in acks] == [("M1", "AA", "")]
    assert (report.sent, dict(report.codes), dict(report.problems)) == (1, {"AA": 1}, {})
    assert report.positive
    assert 0 < report.percentile(0.5) <= report.percentile(0.99) <= report.seconds
    assert report.rate > 0


async def test_each_repetition_has_a_control_id_of_its_own(tmp_path: Path) -> None:
    async with receiver() as peer:
        to = f"mllp://127.0.0.1:{peer.port}"
        files = [file(tmp_path, adt("M1")), file(tmp_path, adt("M2"), name="b.hl7")]
        reports = [await send(files, to, count=50, connections=4) for _ in range(2)]
        assert peer.served == 8
    sent = controls(peer.got)
    assert len(set(sent)) == len(sent) == 200 == sum(report.codes["AA"] for report in reports)
    assert max(map(len, sent)) <= 20
    assert {len(message) for message in peer.got} > {len(peer.got[0])}


async def test_answers_are_counted_by_code_and_silence_by_cause(tmp_path: Path) -> None:
    def reply(message: bytes) -> Said:
        of = fields(message, b"MSH")[10]
        return {
            "M1": acknowledgement(message, "AA"),
            "M2": acknowledgement(message, "AE"),
            "M3": acknowledgement(message, control="ELSE"),
            "M4": Said(close=True),
            "M5": Said(VT + b"what?" + END),
            "M6": acknowledgement(message, "CR"),
        }[of]

    async with receiver(reply) as peer:
        to = f"mllp://127.0.0.1:{peer.port}"
        report = await send([file(tmp_path, *(adt(f"M{n}") for n in range(1, 7)))], to)
    assert controls(peer.got) == ["M1", "M2", "M3", "M4", "M5", "M6"]
    assert dict(report.codes) == {"AA": 1, "AE": 1, "CR": 1}
    assert sorted(report.problems.values()) == [1, 1, 1]
    assert not report.positive
    assert report.sent == 6


async def test_nobody_there_is_told_for_each_message(tmp_path: Path) -> None:
    async with receiver() as peer:
        port = peer.port
    report = await send([file(tmp_path, adt("M1"), adt("M2"))], f"mllp://127.0.0.1:{port}")
    assert report.sent == 2
    ((problem, times),) = report.problems.items()
    assert times == 2
    assert "refused" in problem.lower() or "failed" in problem.lower()
    assert report.percentile(0.5) == report.rate == 0


async def test_garbage_is_sent_as_garbage(tmp_path: Path) -> None:
    async with receiver(lambda message: acknowledgement(adt(""), "AR", control="")) as peer:
        to = f"mllp://127.0.0.1:{peer.port}"
        report = await send([file(tmp_path, b"<xml/>")], to, count=2)
    assert peer.got == [b"<xml/>", b"<xml/>"]
    assert dict(report.codes) == {"AR": 2}


async def test_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with receiver(tls=listening(authority)) as peer:
        to = f"mllps://localhost:{peer.port}"
        report = await send([file(tmp_path, adt("M1"))], to, ca=authority.ca)
        assert report.positive
        strange = await send([file(tmp_path, adt("M2"))], to)
        assert strange.problems.total() == 1
    assert controls(peer.got) == ["M1"]


@pytest.mark.parametrize(
    "content",
    [
        adt("M1") + adt("M2"),
        adt("M1").replace(b"\r", b"\n") + b"\n\n" + adt("M2").replace(b"\r", b"\n"),
        b"\xef\xbb\xbf" + (adt("M1") + adt("M2")).replace(b"\r", b"\r\n").rstrip(),
        b"FHS|^~\\&|\rBHS|^~\\&|\r" + adt("M1") + adt("M2") + b"BTS|2\rFTS|1\r",
        VT + adt("M1") + END + VT + adt("M2") + END,
        VT + adt("M1") + b"\x1c\n" + VT + adt("M2") + b"\x1c\n",
    ],
)
def test_the_messages_of_a_file(content: bytes) -> None:
    assert split(content) == [adt("M1"), adt("M2")]


def test_a_line_feed_in_a_text_stays_where_it_is() -> None:
    message = adt("M1") + b"NTE|1||one\ntwo\r"
    assert split(message) == [message]


@pytest.mark.parametrize("content", [b"", b"\r\n", b"FHS|^~\\&|\rFTS|0\r"])
async def test_nothing_to_send_is_said(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match="no message"):
        await send([file(tmp_path, content)], "mllp://127.0.0.1:2575")


@pytest.mark.parametrize(
    "to",
    [
        "127.0.0.1:2575",
        "http://127.0.0.1:2575",
        "mllp://127.0.0.1",
        "mllp://:2575",
        "mllp://a:b",
        "mllp://h:1/x",
    ],
)
def test_addresses_that_are_none(to: str) -> None:
    with pytest.raises(ValueError, match=r"mllp://HOST:PORT|[Pp]ort"):
        address(to)


def test_addresses() -> None:
    assert address("mllp://127.0.0.1:2575") == ("127.0.0.1", 2575, False)
    assert address("mllps://[::1]:2576/") == ("::1", 2576, True)


def test_percentiles_of_known_latencies() -> None:
    report = Report(latencies=[n / 1000 for n in range(100, 0, -1)])
    assert [report.percentile(share) for share in (0.5, 0.95, 0.99)] == [0.051, 0.096, 0.1]

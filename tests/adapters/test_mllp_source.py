"""The MLLP listener over real sockets: what a wire can do to it. What all sources promise: conformance."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters.mllp.inbound import BYTES, FRAMES
from adapters.mllp.source import MllpSource
from engine.message import Accepted, Duplicate, Uncertain
from tests.adapters.certificates import Authority
from tests.adapters.mllp_peer import DEADLINE, END, VT, Sender, adt, fields
from tests.conformance.intake import MemoryIntake
from tests.conformance.running import running


def told(answer: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2."""
    msa = fields(answer, b"MSA")
    return msa[1], msa[2]


# -- blocks


async def test_several_frames_in_one_read_are_answered_in_order() -> None:
    intake = MemoryIntake()
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        await sender.send(*(adt(f"M{n}") for n in range(100)))
        assert [told(await sender.answer()) for _ in range(100)] == [("AA", f"M{n}") for n in range(100)]
        await sender.leave()
    assert [received.key for received in intake.received] == [f"M{n}" for n in range(100)]


async def test_answers_keep_the_order_of_arrival_whatever_is_durable_first() -> None:
    intake = MemoryIntake(lambda received: None)
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        await sender.send(adt("M1"), adt("M2"), adt("M3"))
        await intake.came(3)
        first, second, third = intake.held
        third.set_result(Accepted(3))
        second.set_result(Duplicate(2))
        await asyncio.sleep(0)
        assert sender.answers.empty()
        first.set_result(Accepted(1))
        assert [told(await sender.answer())[1] for _ in range(3)] == ["M1", "M2", "M3"]
        await sender.leave()


async def test_one_frame_over_many_reads() -> None:
    intake = MemoryIntake()
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        block = VT + adt("M1") + END
        for n in range(0, len(block), 7):
            await sender.write(block[n : n + 7])
            await asyncio.sleep(0)
        assert told(await sender.answer()) == ("AA", "M1")
        await sender.leave()
    assert intake.received[0].body == adt("M1")


async def test_noise_before_vt_gets_no_answer_is_kept_and_disturbs_nothing() -> None:
    intake = MemoryIntake()
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        await sender.write(b"GET / HTTP/1.1\r\n\r\n")
        assert told(await sender.ask(adt("M1"))) == ("AA", "M1")
        await sender.write(b"\r\n\0 ")
        assert told(await sender.ask(adt("M2"))) == ("AA", "M2")
        await sender.leave()
    ((received, reason),) = intake.refused
    assert received.body == b"GET / HTTP/1.1\r\n\r\n"
    assert reason.code == "not-framed"


async def test_a_missing_final_cr_is_tolerated_only_where_that_is_set() -> None:
    blocks = VT + adt("M1") + b"\x1c" + VT + adt("M2") + b"\x1c"
    intake = MemoryIntake()
    async with running(MllpSource(port=0, require_final_cr=False), intake) as listener:
        sender = await Sender.connect(listener.address)
        await sender.write(blocks)
        assert [told(await sender.answer()) for _ in range(2)] == [("AA", "M1"), ("AA", "M2")]
        await sender.leave()
    strict = MemoryIntake()
    async with running(MllpSource(port=0), strict) as listener:
        sender = await Sender.connect(listener.address)
        await sender.write(blocks)
        assert told(await sender.answer()) == ("AR", "M1")
        await sender.leave()
        await strict.came(0, refused=2)
    assert not strict.received
    assert {reason.code for _, reason in strict.refused} == {"truncated"}


async def test_empty_and_blank_frames_are_signs_of_life() -> None:
    intake = MemoryIntake()
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        await sender.send(b"", b"\r\n", adt("M1"), b"")
        assert told(await sender.answer()) == ("AA", "M1")
        assert told(await sender.ask(adt("M2"))) == ("AA", "M2")
        await sender.leave()
    assert not intake.refused


async def test_an_overlong_frame_is_refused_and_the_connection_lives_on() -> None:
    intake = MemoryIntake()
    async with running(MllpSource(port=0, max_frame=1000), intake) as listener:
        sender = await Sender.connect(listener.address)
        await sender.send(adt("LONG") + b"OBX|" + b"x" * 1_000_000)
        await sender.send(adt("M2"))
        assert told(await sender.answer()) == ("AR", "LONG")
        assert told(await sender.answer()) == ("AA", "M2")
        await sender.leave()
    ((received, reason),) = intake.refused
    assert received.body.startswith(adt("LONG"))
    assert len(received.body) == 64 * 1024
    assert received.key == "LONG"
    assert reason.code == "frame-too-long"


async def test_a_large_frame_within_the_limit_arrives_whole() -> None:
    intake = MemoryIntake()
    body = adt("BIG") + b"OBX|" + bytes(range(0x20, 0x7F)) * 60_000
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        assert told(await sender.ask(body)) == ("AA", "BIG")
        await sender.leave()
    assert intake.received[0].body == body


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"<?xml version='1.0'?><ADT_A01/>", "no-msh"),
        (b"\x00\xff\xfe", "no-msh"),
        (b"MSH||||", "bad-delimiters"),
    ],
)
async def test_what_is_no_message_gets_ar_and_is_kept(payload: bytes, code: str) -> None:
    intake = MemoryIntake()
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        assert told(await sender.ask(payload))[0] == "AR"
        assert told(await sender.ask(adt("NEXT"))) == ("AA", "NEXT")
        await sender.leave()
    assert [(received.body, reason.code) for received, reason in intake.refused] == [(payload, code)]
    assert [received.key for received in intake.received] == ["NEXT"]


async def test_a_sender_that_begins_anew_never_makes_one_message_of_two() -> None:
    intake = MemoryIntake()
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        await sender.write(VT + adt("M1")[:120])
        await sender.send(adt("M2"))
        assert [told(await sender.answer()) for _ in range(2)] == [("AR", "M1"), ("AA", "M2")]
        await sender.leave()
    assert [received.body for received in intake.received] == [adt("M2")]
    assert [received.body for received, _ in intake.refused] == [adt("M1")[:120]]


# -- connections


async def test_a_sender_that_says_no_more_still_hears_the_answers() -> None:
    intake = MemoryIntake(lambda received: None)
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        await sender.send(adt("M1"))
        await sender.write(VT + adt("CUT")[:120])
        sender.end()
        await intake.came(1, refused=1)
        intake.release(Accepted(1))
        assert told(await sender.answer()) == ("AA", "M1")
        answer = await sender.answer()
        assert told(answer)[1] == "CUT"
        assert await sender.answer() == b""
        await sender.leave()


async def test_an_uncertain_commit_does_not_take_earlier_answers_with_it() -> None:
    intake = MemoryIntake(lambda received: None)
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        await sender.send(adt("M1"), adt("M2"), adt("M3"))
        await intake.came(3)
        for future, receipt in zip(intake.held, (Accepted(1), Uncertain(), Accepted(3)), strict=True):
            future.set_result(receipt)
        assert told(await sender.answer()) == ("AA", "M1")
        assert await sender.answer() == b""
        await sender.leave()


@pytest.mark.parametrize("size", [1000, 200_000])
async def test_a_sender_far_ahead_of_its_answers_has_to_wait(size: int) -> None:
    total = 40 * BYTES // size if size > BYTES // FRAMES else 40 * FRAMES
    intake = MemoryIntake(lambda received: Accepted(0) if received.key == "OTHER" else None)
    async with running(MllpSource(port=0), intake) as listener:
        sender, other = await Sender.connect(listener.address), await Sender.connect(listener.address)
        filler = b"OBX|" + b"x" * size
        sending = asyncio.create_task(sender.send(*(adt(f"M{n}") + filler for n in range(total))))
        await intake.came(min(FRAMES, BYTES // size))
        for _ in range(50):
            await other.ask(adt("OTHER"))
        assert sum(len(r.body) for r in intake.received if r.key != "OTHER") < 2 * BYTES
        assert len(intake.held) < 2 * FRAMES
        intake.answer = lambda received: Accepted(0)
        intake.release(Accepted(0))
        assert [told(await sender.answer())[1] for _ in range(total)] == [f"M{n}" for n in range(total)]
        await sending
        await sender.leave()
        await other.leave()


async def test_a_sender_that_does_not_read_its_answers_is_not_read_any_further() -> None:
    intake = MemoryIntake()
    control = "C" * 20_000  # goes back as MSA-2
    async with running(MllpSource(port=0), intake) as listener:
        other = await Sender.connect(listener.address)
        host, _, port = listener.address.removeprefix("mllp://").rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1)
        writer.write((VT + adt(control) + END) * 2000)
        taken, before = 0, -1
        while taken > before:  # until nothing moves any more
            for _ in range(50):
                await other.ask(adt("OTHER"))
            before, taken = taken, sum(received.key == control for received in intake.received)
        assert taken < 1500
        writer.transport.abort()
        await other.leave()


async def test_at_a_stop_the_last_answers_arrive_though_the_sender_goes_on_sending() -> None:
    intake = MemoryIntake(lambda received: None)
    controls = [f"{n:010}" + "C" * 20_000 for n in range(1000)]  # answers too long for the sockets' buffers
    async with running(MllpSource(port=0), intake) as listener:
        sender = await Sender.connect(listener.address)
        sending = asyncio.create_task(sender.send(*map(adt, controls)))
        await intake.came(BYTES // 21_000)
        listener.task.cancel()
        async with asyncio.timeout(DEADLINE):
            await sending  # what is not taken any more is still read
        going_on = asyncio.create_task(forever(sender))
        count = len(intake.received)
        intake.release(Accepted(1))
        assert [told(await sender.answer())[1] for _ in range(count)] == controls[:count]
        assert await sender.answer() == b""
        going_on.cancel()
        await sender.leave()
        await listener.ended()


async def forever(sender: Sender) -> None:
    while True:
        await sender.send(adt("MORE") * 100)


async def test_who_is_late_for_a_stop_is_not_served(authority: Authority) -> None:
    certificate, key = authority.issue("localhost")
    intake = MemoryIntake()
    async with running(MllpSource(port=0, certificate=certificate, key=key), intake) as listener:
        host, _, port = listener.address.removeprefix("mllps://").rpartition(":")
        reader, late = await asyncio.open_connection(host, int(port))  # its handshake is still to come
        other = await Sender.connect(listener.address, trusting(authority))
        assert told(await other.ask(adt("M1"))) == ("AA", "M1")
        listener.task.cancel()
        await listener.ended()
        with suppress(ssl.SSLError, ConnectionError):
            await late.start_tls(trusting(authority), server_hostname="localhost")
            sender = Sender(reader, late)
            await sender.send(adt("LATE"))
            assert await sender.answer() == b""
        await other.leave()
    assert [received.key for received in intake.received] == ["M1"]


async def test_two_listeners_cannot_have_one_address() -> None:
    async with running(MllpSource(port=0), MemoryIntake()) as listener:
        with pytest.raises(OSError, match="in use"):
            await MllpSource(port=int(listener.address.rpartition(":")[2])).run(MemoryIntake(), print)


async def test_the_original_mode_can_be_insisted_on() -> None:
    async with running(MllpSource(port=0, acknowledge="original"), MemoryIntake()) as listener:
        sender = await Sender.connect(listener.address)
        assert told(await sender.ask(adt("M1", asks="AL|NE"))) == ("AA", "M1")
        await sender.leave()
    async with running(MllpSource(port=0), MemoryIntake()) as listener:
        sender = await Sender.connect(listener.address)
        assert told(await sender.ask(adt("M1", asks="AL|NE"))) == ("CA", "M1")
        await sender.send(adt("M2", asks="NE|NE"), adt("M3"))
        assert told(await sender.answer()) == ("AA", "M3")
        await sender.leave()


# -- TLS and the risk of doing without


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.ca)


async def test_tls(authority: Authority) -> None:
    certificate, key = authority.issue("localhost")
    intake = MemoryIntake()
    async with running(MllpSource(port=0, certificate=certificate, key=key), intake) as listener:
        assert listener.address.startswith("mllps://")
        sender = await Sender.connect(listener.address, trusting(authority))
        await sender.send(adt("M1"), adt("M2"))
        assert [told(await sender.answer())[1] for _ in range(2)] == ["M1", "M2"]
        await sender.leave()
        plain = await Sender.connect(listener.address)
        await plain.send(adt("M3"))
        assert not (await plain.answer()).startswith(b"MSH")
        await plain.leave()
    assert [received.key for received in intake.received] == ["M1", "M2"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_tls_before_1_2_is_not_spoken(authority: Authority) -> None:
    certificate, key = authority.issue("localhost")
    old = trusting(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with running(MllpSource(port=0, certificate=certificate, key=key), MemoryIntake()) as listener:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Sender.connect(listener.address, old)
        sender = await Sender.connect(listener.address, trusting(authority))
        assert told(await sender.ask(adt("M1"))) == ("AA", "M1")
        await sender.leave()


async def test_only_clients_of_the_authority_are_let_in(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("localhost")
    source = MllpSource(port=0, certificate=certificate, key=key, client_ca=authority.ca)
    intake = MemoryIntake()
    async with running(source, intake) as listener:
        known = trusting(authority)
        known.load_cert_chain(*authority.issue("analyser"))
        stranger = trusting(authority)
        stranger.load_cert_chain(*Authority(tmp_path).issue("stranger"))
        for context in (stranger, trusting(authority)):
            assert not await heard(listener.address, context)
        sender = await Sender.connect(listener.address, known)
        assert told(await sender.ask(adt("M1"))) == ("AA", "M1")
        await sender.leave()
    assert [received.key for received in intake.received] == ["M1"]


async def heard(address: str, context: ssl.SSLContext) -> bytes:
    """The answer to one message; under TLS 1.3 a client learns only afterwards that it is not let in."""
    try:
        sender = await Sender.connect(address, context)
        await sender.send(adt("BAD"))
        return await sender.answer()
    except (ssl.SSLError, ConnectionError):
        return b""


RISK = "The ward's analysers cannot do TLS; the segment is switched off from the rest."


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "", "listener.example"])
@pytest.mark.parametrize("risk", ["", " ", "yes", "true"])
async def test_no_plaintext_off_loopback_without_a_named_risk(host: str, risk: str) -> None:
    source = MllpSource(port=2575, host=host, accept_plaintext_risk=risk)
    assert len(source.problems()) == 1
    with pytest.raises(ValueError, match="accept_plaintext_risk"):
        await source.run(MemoryIntake(), print)


def test_a_named_risk_is_listed_and_loopback_and_tls_are_none(authority: Authority) -> None:
    exposed = MllpSource(port=2575, host="0.0.0.0", accept_plaintext_risk=RISK)
    assert exposed.problems() == []
    assert exposed.risks() == [f"plaintext on 0.0.0.0:2575: {RISK}"]
    certificate, key = authority.issue("localhost")
    for host in ("127.0.0.1", "127.0.0.9", "::1", "localhost"):
        assert MllpSource(port=2575, host=host).problems() == MllpSource(port=2575, host=host).risks() == []
    secure = MllpSource(port=2575, host="0.0.0.0", certificate=certificate, key=key)
    assert secure.problems() == secure.risks() == []


def test_addresses() -> None:
    assert MllpSource(port=2575).address() == "127.0.0.1:2575"
    assert MllpSource(port=2575, host="::1").address() == "[::1]:2575"


@pytest.mark.parametrize(
    "source",
    [
        MllpSource(port=70000),
        MllpSource(port=2575, certificate=Path("absent.pem")),
        MllpSource(port=2575, client_ca=Path(__file__)),
        MllpSource(port=2575, codes={"unavailable": "AA"}),
        MllpSource(port=2575, codes={"unsupported": "AA"}),
        MllpSource(port=2575, codes={"accepted": "AE"}),
    ],
    ids=lambda source: repr(source)[:60],
)
def test_settings_that_cannot_be(source: MllpSource) -> None:
    assert len(source.problems()) == 1


def test_saying_yes_to_what_is_refused_is_a_risk() -> None:
    assert len(MllpSource(port=2575, codes={"refused": "AA"}).risks()) == 1


def test_sources_with_the_same_settings_are_the_same() -> None:
    assert MllpSource(port=2575, codes={"refused": "AR"}) == MllpSource(port=2575, codes={"refused": "AR"})
    assert hash(MllpSource(port=2575)) == hash(MllpSource(port=2575))
    assert MllpSource(port=2575) != MllpSource(port=2576)


async def test_no_content_in_reasons_nor_in_the_log() -> None:
    canary = "ZYXWVUTSRQ"
    intake = MemoryIntake(lambda received: Uncertain())
    with capture_logs() as logs:
        async with running(MllpSource(port=0, max_frame=500), intake) as listener:
            for data in (
                canary.encode() + VT + canary.encode() + END,
                VT + adt(canary, name=canary) + END,
                VT + adt(canary, name=canary * 60) + END + VT,
            ):
                sender = await Sender.connect(listener.address)
                await sender.write(data)
                await sender.leave()
            await intake.came(1, refused=3)
    assert logs
    assert canary not in str(logs)
    assert canary not in str([reason for _, reason in intake.refused])


# -- who may connect


async def test_only_those_who_are_allowed_are_let_in() -> None:
    intake = MemoryIntake()
    with capture_logs() as logs:
        async with running(MllpSource(port=0, allow=["10.0.0.0/8", "127.0.0.2"]), intake) as listener:
            for _ in range(3):
                stranger = await Sender.connect(listener.address)
                assert await stranger.answer() == b"", "closed at once"
                await stranger.leave()
        async with running(MllpSource(port=0, allow=["127.0.0.0/8"]), intake) as listener:
            sender = await Sender.connect(listener.address)
            assert told(await sender.ask(adt("M1"))) == ("AA", "M1")
            await sender.leave()
    assert [log["reason"] for log in logs if log["event"] == "turned away"] == ["its address is not in allow"]
    assert [received.key for received in intake.received] == ["M1"]


async def test_one_peer_cannot_take_every_place_and_a_place_that_is_left_is_free() -> None:
    settings = MllpSource(port=0, max_connections=5, max_per_peer=3)
    async with running(settings, MemoryIntake()) as listener:
        inside = [await Sender.connect(listener.address) for _ in range(3)]
        for n, sender in enumerate(inside):
            assert told(await sender.ask(adt(f"M{n}"))) == ("AA", f"M{n}")
        fourth = await Sender.connect(listener.address)
        assert await fourth.answer() == b""
        await fourth.leave()
        await inside.pop().leave()
        async with asyncio.timeout(DEADLINE):
            while True:
                again = await Sender.connect(listener.address)
                await again.send(adt("M9"))
                if answer := await again.answer():
                    break
                await again.leave()
        assert told(answer) == ("AA", "M9")
        for sender in (*inside, again):
            await sender.leave()


async def test_a_connection_on_which_nothing_comes_is_closed_but_not_one_that_waits_for_us() -> None:
    intake = MemoryIntake(lambda received: None)
    async with running(MllpSource(port=0, idle=0.3), intake) as listener:
        idler, waiting = await Sender.connect(listener.address), await Sender.connect(listener.address)
        await waiting.send(adt("M1"))
        await intake.came(1)
        assert await idler.answer() == b"", "closed"
        another = await Sender.connect(listener.address)
        assert await another.answer() == b"", "and again so long"
        await another.leave()
        assert waiting.answers.empty()
        intake.held[0].set_result(Accepted(1))
        assert told(await waiting.answer()) == ("AA", "M1")
        assert await waiting.answer() == b"", "and closed when that is over"
        for sender in (idler, waiting):
            await sender.leave()


async def test_hundreds_who_say_nothing_or_drip_do_not_keep_one_from_being_served() -> None:
    intake = MemoryIntake()
    async with running(MllpSource(port=0), intake) as listener:
        idlers = [await Sender.connect(listener.address) for _ in range(300)]
        for n, idler in enumerate(idlers):
            await idler.write((VT + adt("DRIP"))[: n % 40])
        sender = await Sender.connect(listener.address)
        for n in range(50):
            for idler in idlers[:20]:
                await idler.write(b"x")
            assert told(await sender.ask(adt(f"M{n}"))) == ("AA", f"M{n}")
        await sender.leave()
        for idler in idlers:
            await idler.leave()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"allow": ["10.1.0.0/99"]}, "10.1.0.0/16"),
        ({"allow": ["laboratory"]}, "no address"),
        ({"max_connections": 0}, "at least 1"),
        ({"max_per_peer": 0}, "at least 1"),
        ({"idle": 0.0}, "more than 0"),
    ],
)
def test_limits_that_cannot_be_are_told(settings: dict[str, object], word: str) -> None:
    assert any(word in problem for problem in MllpSource(port=0, **settings).problems())  # type: ignore[arg-type]


async def test_a_partner_with_one_connection_that_comes_again_takes_the_place_of_the_one_before() -> None:
    """It never closed the old one; what was in hand there is still answered."""
    intake = MemoryIntake()
    async with running(MllpSource(port=0, single=True), intake) as listener:
        before = await Sender.connect(listener.address)
        assert fields(await before.ask(adt("A")), b"MSA")[2] == "A"
        after = await Sender.connect(listener.address)
        assert await before.answer() == b""
        assert fields(await after.ask(adt("B")), b"MSA")[2] == "B"
        await after.leave()
        await before.leave()

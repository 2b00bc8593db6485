"""The MLLP destination over real sockets. What all destinations promise: conformance."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters.mllp.destination import ANSWERS, MllpDestination
from engine.message import Delivered, Delivery, Outcome, Rejected, Retry, Unknown
from tests.adapters.certificates import Authority
from tests.adapters.mllp_peer import DEADLINE, END, VT, Said, acknowledgement, adt, fields, receiver

CODES = {"AA": Delivered, "CA": Delivered, "AE": Retry, "CE": Retry, "AR": Rejected, "CR": Rejected}


def to(port: int, **settings: object) -> MllpDestination:
    return MllpDestination(host="127.0.0.1", port=port, **{"timeout": 5.0, **settings})  # type: ignore[arg-type]


def delivery(id: int = 7, body: bytes = adt("THEIRS")) -> Delivery:
    return Delivery(id=id, message=1, destination="partner", lane=1, body=body)


async def outcome(destination: MllpDestination, what: Delivery | None = None) -> Outcome:
    async with asyncio.timeout(DEADLINE):
        return await destination.deliver(what or delivery())


async def test_only_the_control_id_is_ours() -> None:
    body = adt("THEIRS").replace(b"EVERYMAN", b"M\xfcller\\T\\S\xf6hne") + b"ZZZ|1||\r"
    async with receiver() as peer:
        destination = to(peer.port)
        result = await outcome(destination, delivery(body=body))
        await destination.close()
    assert peer.got == [body.replace(b"|THEIRS|", b"|CW7|")]
    assert isinstance(result, Delivered)
    assert result.reply == acknowledgement(peer.got[0]).data[1:-2]


@pytest.mark.parametrize(
    "sent",
    [
        b"MSH*:~!@*A*B*C*D*20260101**ADT:A01*CW7*P*2.5\rPID*1\r",
        b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|CW7|P|2.5\nPID|1\n",
        b"\xef\xbb\xbfMSH|^~\\&|A|B|C|D|20260101||ADT^A01|CW7|P|2.5\rPID|1\r",
        b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|CW7\rPID|1\r",
        b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|CW7|P|2.5",
        b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|CW7|P|2.5\rOBX|1|TX|||see MSH|10\r",
    ],
)
@pytest.mark.parametrize("control", [b"77", b"", b"A LONG ONE OF THEIRS"])
async def test_whatever_the_header_looks_like(sent: bytes, control: bytes) -> None:
    body = sent.replace(b"CW7", control)
    async with receiver(lambda message: acknowledgement(adt("CW7"))) as peer:
        destination = to(peer.port)
        assert isinstance(await outcome(destination, delivery(body=body)), Delivered)
        await destination.close()
    assert peer.got == [sent]


@pytest.mark.parametrize("code", sorted(CODES))
async def test_what_each_code_means(code: str) -> None:
    async with receiver(lambda message: acknowledgement(message, code)) as peer:
        destination = to(peer.port)
        result = await outcome(destination)
        await destination.close()
    assert isinstance(result, CODES[code])
    assert set(CODES) == set(ANSWERS)


async def test_what_a_code_means_can_be_set() -> None:
    async with receiver(lambda message: acknowledgement(message, "AE")) as peer:
        strict = to(peer.port, answers={"AE": "rejected"})
        assert isinstance(await outcome(strict), Rejected)
        await strict.close()
        easy = to(peer.port, answers={"AE": "delivered"})
        assert isinstance(await outcome(easy), Delivered)
        await easy.close()


@pytest.mark.parametrize(
    ("err", "place", "number"),
    [
        ("ERR||PID^1^3^2^4|101^Required field missing^HL70357|E", "PID-3[2].4", "101"),
        ("ERR||OBX^3|207|E", "OBX[3]", "207"),
        ("ERR|PID^1^5^102&Data type error&HL70357", "PID-5", "102"),
        ("ERR||SMITH^1^3|JANE|E||||SMITH", "", ""),
        ("ERR", "", ""),
        ("", "", ""),
    ],
)
async def test_a_reason_names_the_place_and_the_number_but_no_content(
    err: str, place: str, number: str
) -> None:
    said = f"|SMITH is unknown\r{err}\r"
    with capture_logs() as logs:
        async with receiver(lambda message: acknowledgement(message, "AR", said)) as peer:
            destination = to(peer.port)
            result = await outcome(destination)
            await destination.close()
    assert isinstance(result, Rejected)
    assert result.reason.code == "answered-ar"
    assert result.reason.place == place
    assert (number in result.reason.text) if number else ("error" not in result.reason.text)
    assert "SMITH" not in str(result.reason) + str(logs)
    assert b"SMITH is unknown" in result.reply


async def test_one_connection_serves_one_message_after_the_other() -> None:
    async with receiver() as peer:
        destination = to(peer.port)
        for id in range(20):
            await outcome(destination, delivery(id))
        assert peer.served == 1
        await destination.close()
        async with asyncio.timeout(DEADLINE):
            await peer.emptied.wait()


async def test_as_many_connections_as_deliveries_at_once_and_no_more() -> None:
    async with receiver() as peer:
        destination = to(peer.port)
        for _ in range(3):
            await asyncio.gather(*(outcome(destination, delivery(id)) for id in range(4)))
        assert peer.served == 4
        await destination.close()


async def test_a_connection_that_the_receiver_closed_meanwhile_is_not_used() -> None:
    async with receiver(lambda message: Said(acknowledgement(message).data, close=True)) as peer:
        destination = to(peer.port)
        for id in range(5):
            assert isinstance(await outcome(destination, delivery(id)), Delivered)
            async with asyncio.timeout(DEADLINE):
                await peer.emptied.wait()
        assert peer.served == 5
        await destination.close()


async def test_nor_one_whose_end_has_come_but_is_not_read_yet() -> None:
    closed = threading.Event()

    def serve(listener: socket.socket) -> None:
        """One message a connection, in a thread of its own."""
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(acknowledgement(connection.recv(65536)[1:-2]).data)
            closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        destination = to(listener.getsockname()[1])
        assert isinstance(await outcome(destination, delivery(1)), Delivered)
        assert closed.wait(DEADLINE)  # meanwhile the event loop reads nothing
        assert isinstance(await outcome(destination, delivery(2)), Delivered)
        await destination.close()
        thread.join(DEADLINE)


async def test_the_applications_answer_after_the_commit_accept_confuses_nothing() -> None:
    accepted: list[bytes] = [b""]

    def both(message: bytes) -> Said:
        """The commit accept, and before it what the application says of the message before."""
        accepted.append(acknowledgement(message, "AA").data)
        return Said(accepted[-2] + acknowledgement(message, "CA").data)

    async with receiver(both) as peer:
        destination = to(peer.port)
        for id in range(5):
            result = await outcome(destination, delivery(id, adt(asks="AL|AL")))
            assert isinstance(result, Delivered)
            assert fields(result.reply, b"MSA")[1:3] == ["CA", f"CW{id}"]
        assert peer.served == 1
        await destination.close()


async def test_a_late_answer_never_meets_a_later_message() -> None:
    late: list[bytes] = []

    def slow(message: bytes) -> Said:
        late.append(acknowledgement(message).data)
        return Said(b"".join(late)) if len(late) > 1 else Said()

    async with receiver(slow) as peer:
        destination = to(peer.port, timeout=0.2)
        assert isinstance(await outcome(destination, delivery(1)), Unknown)
        async with asyncio.timeout(DEADLINE):
            await peer.emptied.wait()
        result = await outcome(destination, delivery(2))
        await destination.close()
    assert isinstance(result, Unknown)
    assert result.reason.code == "other-control-id"


@pytest.mark.parametrize(
    "kind",
    [b"ACK^A01^ACK", b"ORR^O02", b"RSP^K22^RSP_K21"],
)
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
async def test_any_message_with_an_msa_is_an_answer(kind: bytes, end: bytes) -> None:
    def answer(message: bytes) -> Said:
        of = fields(message, b"MSH")[10].encode()
        lines = (b"MSH|^~\\&|R|R|S|S|20261122||" + kind + b"|1|P|2.5.1", b"MSA|AA|" + of, b"QAK|x", b"")
        return Said(b"noise" + VT + end.join(lines) + b"\x1c")  # the final CR is missing

    async with receiver(answer) as peer:
        destination = to(peer.port)
        assert isinstance(await outcome(destination), Delivered)
        await destination.close()


@pytest.mark.parametrize(
    "data",
    [
        VT + b"MSH|^~\\&|R|R|S|S|20261122||ACK|1|P|2.5.1\r" + END,  # no MSA
        VT + b"MSH|^~\\&|R|R|S|S|20261122||ACK|1|P|2.5.1\rMSA|OK|CW7\r" + END,
        VT + b"MSH|^~\\&|R|R|S|S|20261122||ACK|1|P|2.5.1\rMSA|AA\r" + END,
        VT + b"MSA|AA|CW7\r" + END,
        VT + END,
        VT + b"x" * (2 << 20) + END,
    ],
    ids=lambda data: repr(data[:60]),
)
async def test_what_is_no_answer_leaves_the_outcome_unknown(data: bytes) -> None:
    async with receiver(lambda message: Said(data)) as peer:
        destination = to(peer.port)
        result = await outcome(destination)
        await destination.close()
    assert isinstance(result, Unknown)
    assert result.reason.code == "garbled-answer"


@pytest.mark.parametrize("body", [b"<xml/>", b"", adt().replace(b"EVERYMAN", b"EVERY\x1cMAN"), adt() + adt()])
async def test_what_cannot_be_sent_is_rejected_and_not_sent(body: bytes) -> None:
    async with receiver() as peer:
        destination = to(peer.port)
        assert isinstance(await outcome(destination, delivery(body=body)), Rejected)
        await destination.close()
        assert not peer.served


async def test_a_host_without_an_address_is_to_be_tried_again() -> None:
    destination = MllpDestination(host="no-such-host.invalid", port=2575, timeout=5.0)
    result = await outcome(destination)
    assert isinstance(result, Retry)
    assert result.reason.code == "no-connection"


async def test_closing_ends_a_delivery_under_way_as_unknown() -> None:
    async with receiver(lambda message: Said()) as peer:
        destination = to(peer.port)
        task = asyncio.create_task(destination.deliver(delivery()))
        await peer.arrived(1)
        await destination.close()
        async with asyncio.timeout(DEADLINE):
            result = await task
    assert isinstance(result, Unknown)
    assert result.reason.code == "closed"


async def test_a_cancelled_delivery_closes_its_connection() -> None:
    async with receiver(lambda message: Said()) as peer:
        task = asyncio.create_task(to(peer.port).deliver(delivery()))
        await peer.arrived(1)
        task.cancel()
        async with asyncio.timeout(DEADLINE):
            await peer.emptied.wait()


# -- TLS


def listening(authority: Authority, *, mutual: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost"))
    if mutual:
        context.load_verify_locations(authority.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_tls_to_a_receiver_of_the_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("engine")
    async with receiver(tls=listening(authority, mutual=True)) as peer:
        destination = MllpDestination(
            host="localhost", port=peer.port, timeout=5.0, tls=True, ca=authority.ca,
            certificate=certificate, key=key,
        )  # fmt: skip
        assert destination.problems() == destination.risks() == []
        assert isinstance(await outcome(destination), Delivered)
        await destination.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_no_message_goes_to_a_receiver_that_cannot_be_told_to_be_the_right_one(
    tmp_path: Path, host: str
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    trusted = other if host == "localhost" else authority  # else: the right authority, another name
    async with receiver(tls=listening(authority)) as peer:
        destination = MllpDestination(host=host, port=peer.port, timeout=5.0, tls=True, ca=trusted.ca)
        result = await outcome(destination)
        await destination.close()
        assert not peer.got
    assert isinstance(result, Retry)
    assert "CERTIFICATE_VERIFY_FAILED" in result.reason.text


RISK = "The partner has no TLS; the line is a private tunnel."


@pytest.mark.parametrize(
    "destination",
    [
        MllpDestination(host="127.0.0.1", port=0),
        MllpDestination(host="127.0.0.1", port=2575, ca=Path(__file__)),
        MllpDestination(host="127.0.0.1", port=2575, tls=True, ca=Path("absent.pem")),
        MllpDestination(host="192.0.2.7", port=2575),
        MllpDestination(host="192.0.2.7", port=2575, accept_plaintext_risk="yes"),
    ],
    ids=lambda destination: repr(destination)[:80],
)
def test_settings_that_cannot_be(destination: MllpDestination) -> None:
    assert len(destination.problems()) == 1


def test_a_named_risk_is_listed() -> None:
    exposed = MllpDestination(host="192.0.2.7", port=2575, accept_plaintext_risk=RISK)
    assert exposed.problems() == []
    assert exposed.risks() == [f"plaintext MLLP to 192.0.2.7:2575: {RISK}"]
    assert MllpDestination(host="192.0.2.7", port=2575, tls=True).risks() == []


# -- receivers with manners of their own


async def test_an_answer_that_names_nothing_of_ours_is_taken_where_that_is_declared() -> None:
    def echo(message: bytes) -> Said:
        return acknowledgement(message, control="0")

    async with receiver(echo) as peer:
        strict, lax = to(peer.port), to(peer.port, ignore_control_id=True)
        assert isinstance(await outcome(strict), Unknown)
        for n in range(3):
            assert isinstance(await outcome(lax, delivery(n)), Delivered)
        peer.reply = lambda message: acknowledgement(message, "AR", control="")
        assert isinstance(await outcome(lax), Rejected), "what it says is still heard"
        for destination in (strict, lax):
            await destination.close()


async def test_fixed_bytes_are_an_answer_where_that_is_declared() -> None:
    """MLLP release 2 answers ACK, 0x06, or NAK, 0x15."""
    async with receiver(lambda message: Said(VT + b"\x06" + END)) as peer:
        strict, lax = to(peer.port), to(peer.port, fixed_answer="\x06")
        unknown = await outcome(strict)
        assert isinstance(unknown, Unknown)
        assert unknown.reason.code == "garbled-answer"
        assert await outcome(lax) == Delivered(b"\x06")
        peer.reply = lambda message: Said(VT + b"\x15" + END)
        assert isinstance(await outcome(lax), Unknown)
        peer.reply = lambda message: acknowledgement(message, "AR")
        assert isinstance(await outcome(lax), Rejected), "a real acknowledgement is read as one"
        for destination in (strict, lax):
            await destination.close()


async def test_a_connection_for_each_message_where_a_partner_wants_that() -> None:
    async with receiver() as peer:
        destination = MllpDestination("127.0.0.1", peer.port, timeout=5.0, persistent=False)
        for _ in range(3):
            assert isinstance(await outcome(destination, delivery()), Delivered)
        await destination.close()
    assert peer.served == 3
